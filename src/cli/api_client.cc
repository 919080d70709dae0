// SPDX-License-Identifier: Apache-2.0
#include "cli/api_client.h"

#include "base/seal.h"
#include "protocol/problem.h"
#include "protocol/secret.h"

namespace bcai::cli {
namespace {

// An event stream carries a comment every 15 s; this long without one, the connection is dead.
constexpr Millis kStreamTimeout{45'000};

std::string job_path(const std::string& id) { return "/v1/jobs/" + net::percent_encode(id); }

void add_query(std::string& target, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  target += target.find('?') == std::string::npos ? '?' : '&';
  target += fmt::format("{}={}", key, net::percent_encode(value));
}

Refusal read_refusal(std::string_view body) {
  Refusal refusal;
  const Result<json::value> parsed = parse_json(body);
  if (!parsed) return refusal;
  refusal.detail = text_of(*parsed, "detail");
  const json::array* errors = array_of(*parsed, "errors");
  if (errors == nullptr) return refusal;
  for (const json::value& item : *errors) {
    refusal.findings.push_back(
        {.pointer = text_of(item, "pointer"),
         .message = text_of(item, "message"),
         .line = static_cast<int>(integer_of(item, "line") & INT32_MAX),
         .column = static_cast<int>(integer_of(item, "column") & INT32_MAX)});
  }
  return refusal;
}

Result<JobView> as_job(Result<json::value> answer) {
  if (!answer) return std::move(answer).error();
  JobView job = read_job(*answer);
  if (job.id.empty()) return error(ErrorCode::kInternal, "the coordinator's answer is no job");
  return job;
}

}  // namespace

Result<ApiClient> ApiClient::make(net::ClientOptions options) {
  BCAI_TRY_ASSIGN(net::Client client, net::Client::make(options));
  return ApiClient(std::move(options), std::move(client));
}

Result<json::value> ApiClient::send(const net::ClientRequest& request, Refusal* refusal) {
  Result<net::ClientResponse> response = client_.send(request);
  if (!response) return std::move(response).error();
  if (!response->ok()) {
    if (refusal != nullptr) *refusal = read_refusal(response->body);
    return decode_problem(response->status, response->body);
  }
  if (response->body.empty()) return json::value(nullptr);
  Result<json::value> parsed = parse_json(response->body);
  if (!parsed) {
    return error(ErrorCode::kInternal, "{} does not answer like a coordinator: {}",
                 options_.endpoint, parsed.error().message);
  }
  return parsed;
}

Result<json::value> ApiClient::get(const std::string& target, Millis timeout) {
  net::ClientRequest request;
  request.target = target;
  request.timeout = timeout;
  return send(request);
}

Result<JobView> ApiClient::submit(const json::object& body, Refusal* refusal) {
  net::ClientRequest request;
  request.method = "POST";
  request.target = "/v1/jobs";
  request.headers = {{"Content-Type", "application/json"}};
  request.body = to_text(body);
  return as_job(send(request, refusal));
}

Result<JobView> ApiClient::job(const std::string& id) { return as_job(get(job_path(id))); }

Result<JobView> ApiClient::wait(const std::string& id, int64_t version, Millis wait) {
  const int64_t seconds = std::min<int64_t>(60, (wait.count() + 999) / 1000);
  std::string target = fmt::format("{}?wait={}", job_path(id), seconds);
  if (version >= 0) target += fmt::format("&version={}", version);
  return as_job(get(target, Millis(seconds * 1000 + 30'000)));
}

Result<std::vector<JobView>> ApiClient::jobs(const JobQuery& query, std::string* next) {
  std::string target = fmt::format("/v1/jobs?limit={}", query.limit);
  add_query(target, "state", query.state);
  add_query(target, "name", query.name);
  add_query(target, "before", query.before);
  BCAI_TRY_ASSIGN(const json::value answer, get(target));
  std::vector<JobView> jobs;
  if (const json::array* list = array_of(answer, "jobs")) {
    for (const json::value& item : *list) jobs.push_back(read_job(item));
  }
  if (next != nullptr) *next = text_of(answer, "next");
  return jobs;
}

Result<json::value> ApiClient::results(const std::string& id) {
  return get(job_path(id) + "/results");
}

Result<json::value> ApiClient::events(const std::string& id) {
  return get(job_path(id) + "/events");
}

Result<JobView> ApiClient::cancel_job(const std::string& id) {
  net::ClientRequest request;
  request.method = "POST";
  request.target = job_path(id) + "/cancel";
  return as_job(send(request));
}

Result<JobView> ApiClient::last_job() {
  BCAI_TRY_ASSIGN(const json::value me, whoami());
  const std::string key = text_of(me, "key_id");
  // An owner's list has everyone's jobs.
  JobQuery query{.state = {}, .name = {}, .limit = 100, .before = {}};
  do {
    std::string next;
    BCAI_TRY_ASSIGN(const std::vector<JobView> page, jobs(query, &next));
    for (const JobView& job : page) {
      if (job.owner == key) return job;
    }
    query.before = next;
  } while (!query.before.empty());
  return error(ErrorCode::kNotFound, "you have no job yet");
}

Result<ApiClient::LogPage> ApiClient::logs(const std::string& id, const std::string& attempt,
                                           int64_t offset) {
  std::string target = fmt::format("{}/logs?offset={}", job_path(id), offset);
  add_query(target, "attempt", attempt);
  BCAI_TRY_ASSIGN(const json::value answer, get(target));
  LogPage page;
  page.attempt = text_of(answer, "attempt_id");
  if (const json::array* records = array_of(answer, "records")) page.records = *records;
  page.next_offset = integer_of(answer, "next_offset", offset);
  const json::value* end = member_of(answer, "end");
  page.end = end != nullptr && end->is_bool() && end->get_bool();
  return page;
}

Result<void> ApiClient::follow(const std::string& id, const std::string& attempt,
                               const std::string& last_event_id,
                               const std::function<bool(const ServerEvent&)>& take) {
  net::ClientRequest request;
  request.target = job_path(id) + "/logs";
  add_query(request.target, "attempt", attempt);
  request.headers = {{"Accept", "text/event-stream"}};
  if (!last_event_id.empty()) request.headers.emplace_back("Last-Event-ID", last_event_id);
  request.timeout = kStreamTimeout;
  bool wanted = true;
  EventReader reader([&](const ServerEvent& event) { wanted = wanted && take(event); });
  bool readable = true;
  request.on_body = [&](std::string_view piece) {
    readable = reader.feed(piece);
    return readable && wanted;
  };
  const Result<net::ClientResponse> response = client_.send(request);
  if (!wanted) return {};
  if (!readable) return error(ErrorCode::kInternal, "the log's event stream is malformed");
  if (!response) return response.error();
  if (!response->ok()) return decode_problem(response->status, response->body);
  return {};
}

Result<json::value> ApiClient::nodes() { return get("/v1/nodes"); }

Result<json::value> ApiClient::whoami() { return get("/v1/whoami"); }

Result<json::value> ApiClient::keys() { return get("/v1/keys"); }

Result<json::value> ApiClient::create_key(const std::string& name, const std::string& role,
                                          const std::optional<std::vector<std::string>>& network) {
  net::ClientRequest request;
  request.method = "POST";
  request.target = "/v1/keys";
  request.headers = {{"Content-Type", "application/json"}};
  json::object key{{"name", name}, {"role", role}};
  if (network) key["network"] = json::object{{"allow", json::value_from(*network)}};
  request.body = to_text(key);
  return send(request);
}

Result<json::value> ApiClient::secrets() { return get("/v1/secrets"); }

Result<void> ApiClient::put_secret(const std::string& name, const std::string& value) {
  if (!keeps_secrets(options_.endpoint)) {
    return error(ErrorCode::kFailedPrecondition,
                 "{} is not encrypted: a secret goes over https:// or to this machine alone",
                 options_.endpoint);
  }
  net::ClientRequest request;
  request.method = "PUT";
  request.target = "/v1/secrets/" + net::percent_encode(name);
  request.headers = {{"Content-Type", "application/octet-stream"}};
  request.body = value;
  const Result<json::value> sent = send(request);
  wipe(&request.body);
  if (!sent) return sent.error();
  return {};
}

Result<void> ApiClient::delete_secret(const std::string& name) {
  net::ClientRequest request;
  request.method = "DELETE";
  request.target = "/v1/secrets/" + net::percent_encode(name);
  BCAI_TRY(send(request));
  return {};
}

Result<void> ApiClient::revoke_key(const std::string& id) {
  net::ClientRequest request;
  request.method = "DELETE";
  request.target = "/v1/keys/" + net::percent_encode(id);
  BCAI_TRY(send(request));
  return {};
}

}  // namespace bcai::cli
