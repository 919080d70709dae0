// SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/artifacts.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/units.h"
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
    response = problem_response(
        416, error(ErrorCode::kInvalidArgument, "Range: the artifact has {} bytes", size));
    response.headers.emplace_back("Content-Range", fmt::format("bytes */{}", size));
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
  int64_t unused_bytes = 0;  // of the key
};
using UploadPtr = std::shared_ptr<Upload>;

void note_stored(Services& services, const UploadPtr& upload) {
  services.database.write(
      [&services, upload](store::Connection& db) -> Result<void> {
        // A sweep that had forgotten an earlier copy may have removed this one.
        if (services.artifacts.size(upload->sha256) != upload->range.total) {
          return error(ErrorCode::kUnavailable, "the artifact was being removed; upload it again");
        }
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

// What is too much, in numbers; "" when the limits leave room for the rest of the upload.
std::string beyond_limits(const Services& services, const Upload& upload) {
  const UploadLimits& limits = services.uploads;
  if (upload.range.total > limits.artifact_bytes_max) {
    return fmt::format("an artifact may have {}, this one has {}",
                       format_bytes(limits.artifact_bytes_max), format_bytes(upload.range.total));
  }
  const Principal& who = upload.call.who;
  if (who.node) return "";
  const IdBytes uploader = uploader_of(who);
  const int64_t held = upload.unused_bytes + services.artifacts.unfinished_bytes(uploader);
  const int64_t more =
      upload.range.total - services.artifacts.upload_offset(upload.sha256, uploader);
  if (more <= limits.key_bytes_max - held) return "";
  return fmt::format(
      "a key may hold {} in uploads that are unfinished or named by no job; yours holds {}, this "
      "one needs {} more; submit the jobs that name them, or wait {}",
      format_bytes(limits.key_bytes_max), format_bytes(held), format_bytes(more),
      format_duration(limits.unused_kept));
}

void store_part(Services& services, const UploadPtr& upload) {
  if (std::string beyond = beyond_limits(services, *upload); !beyond.empty()) {
    return upload->call.reply.send(
        problem_response(413, Error{ErrorCode::kResourceExhausted, std::move(beyond)}));
  }
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

void queue_part(Services& services, const UploadPtr& upload) {
  const bool taken = services.disk.post([&services, upload] { store_part(services, upload); });
  if (!taken) {
    upload->call.reply.send(
        problem_response(error(ErrorCode::kUnavailable, "too many uploads at once; try again")));
  }
}

// In a write of its own: a copy that was brought while the first one was committed stays.
void remove_files(Services& services, const std::vector<Sha256>& forgotten) {
  services.database.write(
      [&services, forgotten](store::Connection& db) -> Result<void> {
        for (const Sha256& sha256 : forgotten) {
          const Result<store::ArtifactRecord> again = store::find_artifact(db, sha256);
          if (!again && again.error().code == ErrorCode::kNotFound) {
            BCAI_TRY(services.artifacts.remove(sha256));
          }
        }
        return {};
      },
      [](const Result<void>& done) {
        if (!done) log_event(LogLevel::kError, "sweep.failed", {{"error", done.error().message}});
      });
}

}  // namespace

void sweep_uploads(Services& services) {
  (void)services.disk.post(
      [&services] { services.artifacts.remove_parts(services.uploads.part_kept); });
  auto forgotten = std::make_shared<std::vector<Sha256>>();
  services.database.write(
      [&services, forgotten](store::Connection& db) -> Result<void> {
        const WallTime before = services.clock.wall() + -services.uploads.unused_kept;
        BCAI_TRY_ASSIGN(*forgotten, store::forget_unused_artifacts(db, before));
        return {};
      },
      [&services, forgotten](const Result<void>& done) {
        if (!done) log_event(LogLevel::kError, "sweep.failed", {{"error", done.error().message}});
        if (done && !forgotten->empty()) remove_files(services, *forgotten);
      });
  const Millis kept = std::min(services.uploads.part_kept, services.uploads.unused_kept);
  services.timer.after(kept / 4, [&services] { sweep_uploads(services); });
}

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
  if (upload->call.who.node) return queue_part(services, upload);
  services.database.read([&services, upload](store::Connection& db) {
    const Result<int64_t> unused = store::unused_bytes(db, upload->call.who.key);
    if (!unused) return upload->call.reply.send(problem_response(unused.error()));
    upload->unused_bytes = *unused;
    queue_part(services, upload);
  });
}

}  // namespace bcai::coordinator
