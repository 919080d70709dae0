// SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/artifacts.h"

#include <memory>
#include <utility>

#include "coordinator/api/answer.h"
#include "coordinator/api/handlers.h"
#include "coordinator/api/range.h"

namespace bcai::coordinator {
namespace {

std::optional<Sha256> path_digest(const Call& call) {
  Result<Sha256> parsed = Sha256::parse(call.request.params.at("sha256"));
  if (parsed) return *parsed;
  call.reply.send(problem_response(parsed.error()));
  return std::nullopt;
}

IdBytes uploader_of(const Principal& who) { return who.node ? who.node->bytes : who.key.bytes; }

// The size of an artifact that this caller may read; nothing when it is not there for it.
Result<std::optional<int64_t>> readable_size(store::Connection& db, const Principal& who,
                                             const Sha256& sha256) {
  Result<store::ArtifactRecord> artifact = store::find_artifact(db, sha256);
  if (!artifact && artifact.error().code != ErrorCode::kNotFound) return artifact.error();
  if (!artifact) return std::optional<int64_t>();
  bool readable = !who.node && who.role == Role::kOwner;
  if (!readable) {
    BCAI_TRY_ASSIGN(readable, who.node ? store::may_read(db, *who.node, sha256)
                                       : store::may_read(db, who.key, sha256));
  }
  return readable ? std::optional<int64_t>(artifact->bytes) : std::nullopt;
}

net::Response range_response(const Sha256& sha256, std::string path, const RangeAnswer& range,
                             int64_t size) {
  net::Response response;
  if (range.kind == RangeAnswer::Kind::kUnsatisfiable) {
    json::value problem = encode_problem(
        error(ErrorCode::kInvalidArgument, "Range: the artifact has {} bytes", size));
    problem.as_object()["status"] = 416;
    problem.as_object()["title"] = "Range Not Satisfiable";
    response.status = 416;
    response.headers = {{"Content-Type", "application/problem+json"},
                        {"Content-Range", fmt::format("bytes */{}", size)}};
    response.body = to_text(problem);
    return response;
  }
  response.headers = {{"Content-Type", "application/octet-stream"},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Accept-Ranges", "bytes"},
                      {"ETag", '"' + sha256.text() + '"'}};
  if (range.kind == RangeAnswer::Kind::kPart) {
    response.status = 206;
    response.headers.emplace_back(
        "Content-Range",
        fmt::format("bytes {}-{}/{}", range.offset, range.offset + range.bytes - 1, size));
  }
  response.file = net::FileBody{std::move(path), range.offset, range.bytes};
  return response;
}

struct Upload {
  explicit Upload(Call of) : call(std::move(of)) {}
  Call call;
  Sha256 sha256;
  ContentRange range;
};
using UploadPtr = std::shared_ptr<Upload>;

void note_stored(Services& services, const UploadPtr& upload) {
  services.database.write(
      [&services, upload](store::Connection& db) {
        const store::ArtifactRecord artifact{.sha256 = upload->sha256,
                                             .bytes = upload->range.total,
                                             .created_at = services.clock.wall()};
        const Principal& who = upload->call.who;
        return who.node ? store::insert_artifact(db, artifact, *who.node)
                        : store::insert_artifact(db, artifact, who.key);
      },
      [upload](Result<void> done) {
        upload->call.reply.send(
            done ? json_response(201, json::object{{"sha256", upload->sha256.text()},
                                                   {"bytes", upload->range.total}})
                 : problem_response(done.error()));
      });
}

void store_part(Services& services, const UploadPtr& upload) {
  const Result<ArtifactPut> put = services.artifacts.put({.sha256 = upload->sha256,
                                                          .uploader = uploader_of(upload->call.who),
                                                          .offset = upload->range.offset,
                                                          .total = upload->range.total,
                                                          .data = upload->call.request.body});
  upload->call.request.body = {};
  const net::Reply& reply = upload->call.reply;
  if (!put) return reply.send(problem_response(put.error()));
  switch (put->state) {
    case ArtifactPut::State::kStored: return note_stored(services, upload);
    case ArtifactPut::State::kPart:
      return reply.send(json_response(202, json::object{{"offset", put->offset}}));
    case ArtifactPut::State::kWrongOffset:
      return reply.send(offset_problem(
          fmt::format("the part begins at {}, expected {}", upload->range.offset, put->offset),
          put->offset));
  }
}

}  // namespace

void check_artifact(Services& services, Call call) {
  const std::optional<Sha256> sha256 = path_digest(call);
  if (!sha256) return;
  services.database.read([&services, call = std::move(call),
                          sha256 = *sha256](store::Connection& db) {
    const Result<std::optional<int64_t>> size = readable_size(db, call.who, sha256);
    if (!size) return call.reply.send(problem_response(size.error()));
    net::Response response;
    if (*size) {
      response.headers = {{"Content-Length", std::to_string(**size)}, {"Accept-Ranges", "bytes"}};
      return call.reply.send(std::move(response));
    }
    const int64_t offset = services.artifacts.upload_offset(sha256, uploader_of(call.who));
    response.status = 404;
    response.headers = {{"Upload-Offset", std::to_string(offset)}};
    call.reply.send(std::move(response));
  });
}

void get_artifact(Services& services, Call call) {
  const std::optional<Sha256> sha256 = path_digest(call);
  if (!sha256) return;
  services.database.read([&services, call = std::move(call),
                          sha256 = *sha256](store::Connection& db) {
    const Result<std::optional<int64_t>> size = readable_size(db, call.who, sha256);
    if (!size) return call.reply.send(problem_response(size.error()));
    if (!*size) {
      return call.reply.send(
          problem_response(error(ErrorCode::kNotFound, "there is no artifact {}", sha256.text())));
    }
    call.reply.send(range_response(sha256, services.artifacts.path_of(sha256).string(),
                                   read_range(call.request.header("range"), **size), **size));
  });
}

void put_artifact(Services& services, Call call) {
  const std::optional<Sha256> sha256 = path_digest(call);
  if (!sha256) return;
  auto upload = std::make_shared<Upload>(std::move(call));
  const net::Request& request = upload->call.request;
  const auto bytes = static_cast<int64_t>(request.body.size());
  upload->sha256 = *sha256;
  upload->range = {.offset = 0, .bytes = bytes, .total = bytes};
  if (const std::string_view header = request.header("content-range"); !header.empty()) {
    Result<ContentRange> range = parse_content_range(header);
    if (range && range->bytes != bytes) {
      range = error(ErrorCode::kInvalidArgument, "Content-Range: {} bytes, the body has {}",
                    range->bytes, bytes);
    }
    if (!range) return upload->call.reply.send(problem_response(range.error()));
    upload->range = *range;
  }
  const bool taken = services.disk.post([&services, upload] { store_part(services, upload); });
  if (!taken) {
    upload->call.reply.send(
        problem_response(error(ErrorCode::kUnavailable, "too many uploads at once; try again")));
  }
}

}  // namespace bcai::coordinator
