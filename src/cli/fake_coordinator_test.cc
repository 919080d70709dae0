// SPDX-License-Identifier: Apache-2.0
#include "cli/fake_coordinator_test.h"

#include <charconv>

#include "base/file.h"

namespace bcai::cli {

void FakeCoordinator::start() {
  std::vector<net::Route> routes;
  for (const char* method : {"GET", "POST", "PUT", "HEAD", "DELETE"}) {
    for (const char* pattern : {"/v1/jobs", "/v1/jobs/{id}", "/v1/jobs/{id}/{part}", "/v1/nodes",
                                "/v1/keys", "/v1/keys/{id}", "/v1/whoami", "/v1/artifacts/{id}"}) {
      routes.push_back({.method = method,
                        .pattern = pattern,
                        .handler = [this](net::Request request,
                                          net::Reply reply) { handle(std::move(request), reply); },
                        .options = {.body_bytes_max = 9 << 20}});
    }
  }
  Result<std::unique_ptr<net::Server>> server = net::Server::start({}, std::move(routes));
  BCAI_ASSERT(server);
  server_ = *std::move(server);
}

void FakeCoordinator::handle(net::Request request, const net::Reply& reply) {
  const std::lock_guard lock(mutex);
  requests.push_back(request);
  if (request.path.starts_with("/v1/artifacts/")) {
    reply.send(artifact(request));
    return;
  }
  if (request.header("accept") == "text/event-stream") {
    stream(request, reply);
    return;
  }
  const auto found = answers.find(request.method + " " + request.path);
  if (found != answers.end()) {
    reply.send(found->second);
    return;
  }
  const Error missing = error(ErrorCode::kNotFound, "there is no {}", request.path);
  reply.send({.status = 404, .headers = {}, .body = to_text(encode_problem(missing)), .file = {}});
}

void FakeCoordinator::stream(const net::Request& request, const net::Reply& reply) {
  last_event_ids.emplace_back(request.header("last-event-id"));
  const StreamScript& script = streams[std::min(streams.size() - 1, last_event_ids.size() - 1)];
  const net::EventStream events = reply.stream();
  for (const StreamScript::Event& event : script.events) {
    events.send(event.id, event.event, event.data);
  }
  if (!script.stay_open) events.close();
  ++streams_opened;
}

net::Response FakeCoordinator::artifact(const net::Request& request) {
  const std::string digest = request.path.substr(14);
  const auto plain = [](int status, std::string body) {
    return net::Response{.status = status, .headers = {}, .body = std::move(body), .file = {}};
  };
  const auto stored = artifacts.find(digest);
  if (request.method == "HEAD") {
    if (stored != artifacts.end()) return plain(200, "");
    net::Response response = plain(404, "");
    response.headers = {{"Upload-Offset", std::to_string(partial[digest].size())}};
    return response;
  }
  if (request.method == "GET") {
    if (stored == artifacts.end()) return plain(404, "");
    const std::string_view range = request.header("range");
    if (range.empty()) return plain(200, stored->second);
    size_t from = 0;
    std::from_chars(range.data() + 6, range.data() + range.size(), from);
    return plain(206, stored->second.substr(from));
  }
  if (drop_puts > 0) {
    --drop_puts;
    return plain(503, "");
  }
  std::string& part = partial[digest];
  const std::string_view range = request.header("content-range");
  size_t total = request.body.size();
  if (!range.empty()) {
    size_t from = 0;
    std::from_chars(range.data() + 6, range.data() + range.size(), from);
    const size_t slash = range.find('/');
    std::from_chars(range.data() + slash + 1, range.data() + range.size(), total);
    if (from != part.size()) return plain(409, fmt::format("{{\"offset\":{}}}", part.size()));
  }
  part += request.body;
  if (part.size() < total) return plain(202, fmt::format("{{\"offset\":{}}}", part.size()));
  if (Sha256::of(part).text() != digest) return plain(400, "{}");
  artifacts[digest] = part;
  return plain(201, "{}");
}

std::vector<std::string> FakeCoordinator::targets(const std::string& method) {
  const std::lock_guard lock(mutex);
  std::vector<std::string> paths;
  for (const net::Request& request : requests) {
    if (request.method == method) paths.push_back(request.path);
  }
  return paths;
}

json::value FakeCoordinator::body_of(const std::string& method, const std::string& path) {
  const std::lock_guard lock(mutex);
  for (const net::Request& request : requests) {
    if (request.method != method || request.path != path) continue;
    Result<json::value> body = parse_json(request.body);
    if (body) return *std::move(body);
  }
  ADD_FAILURE() << "no " << method << " " << path;
  return nullptr;
}

json::object fake_job(const std::string& state, const std::string& outcome) {
  json::object job{{"id", kFakeJobId},
                   {"name", "train"},
                   {"state", state},
                   {"desired", "run"},
                   {"reason", ""},
                   {"version", 3},
                   {"owner", "key_me"},
                   {"created_at", "2026-01-31T09:05:07.000Z"},
                   {"started_at", "2026-01-31T09:05:08.000Z"},
                   {"ended_at", "2026-01-31T09:05:09.500Z"},
                   {"progress", json::object{{"fraction", nullptr}, {"message", ""}}},
                   {"attempts", json::array()},
                   {"result", nullptr}};
  if (!outcome.empty()) {
    job["result"] =
        json::object{{"outcome", outcome},
                     {"exit_code", outcome == "finished" ? 1 : 0},
                     {"detail", ""},
                     {"error", json::object{{"type", "ValueError"}, {"message", "too large"}}}};
  }
  return job;
}

CommandTest::CommandTest() {
  std::string pattern = testing::TempDir() + "bcai_cli_XXXXXX";
  BCAI_ASSERT(mkdtemp(pattern.data()) != nullptr);
  directory = pattern;
  environment = {{"HOME", pattern}};
  screen.write_out = [this](std::string_view text) { out += text; };
  screen.write_err = [this](std::string_view text) { err += text; };
}

CommandTest::~CommandTest() { std::filesystem::remove_all(directory); }

std::filesystem::path CommandTest::write(const std::string& name, std::string_view text) const {
  const std::filesystem::path path = directory / name;
  BCAI_ASSERT(make_directories(path.parent_path()));
  BCAI_ASSERT(write_file(path, text));
  return path;
}

}  // namespace bcai::cli
