// SPDX-License-Identifier: Apache-2.0
#include "node/shipper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "node/outcome.h"

namespace bcai::node {
namespace {

constexpr size_t kLogPartBytesMax = size_t{1} << 20;
constexpr int64_t kPartBytesMax = int64_t{8} << 20;
constexpr Millis kLogInterval{100};
constexpr Millis kRequestTimeout{30'000};
constexpr Millis kUploadTimeout{300'000};
constexpr int kMissingMax = 5;

Result<std::string> read_part(const std::filesystem::path& path, int64_t offset, int64_t bytes) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return errno_error(errno, "open " + path.string());
  std::string part(static_cast<size_t>(bytes), '\0');
  size_t done = 0;
  while (done < part.size()) {
    const ssize_t got =
        pread(fd.get(), part.data() + done, part.size() - done, offset + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return error(ErrorCode::kDataLoss, "{} is cut short", path.string());
    done += static_cast<size_t>(got);
  }
  return part;
}

}  // namespace

void Shipment::note_log() {
  { const std::lock_guard lock(mutex_); }
  news_.notify_all();
}

void Shipment::finish(AttemptResult result) {
  {
    const std::lock_guard lock(mutex_);
    result_ = std::move(result);
  }
  news_.notify_all();
}

void Shipment::wait_for_news(int64_t shipped) {
  std::unique_lock lock(mutex_);
  news_.wait(lock,
             [&] { return result_ || spool_->log_bytes() > shipped || spool_->has_pending(); });
}

void Shipment::wait_for_result(Millis most) {
  std::unique_lock lock(mutex_);
  news_.wait_for(lock, most, [&] { return result_.has_value(); });
}

std::optional<AttemptResult> Shipment::result() {
  const std::lock_guard lock(mutex_);
  return result_;
}

bool Shipper::ship(bool resumed) {
  log_offset_known_ = !resumed;
  std::optional<AttemptResult> result;
  while (!(result = shipment_.result())) {
    shipment_.wait_for_news(log_shipped_);
    if (log_refused_) {
      shipment_.wait_for_result(Millis(3'600'000));
      continue;
    }
    const Step step = ship_log();
    if (step == Step::kStopped) return false;
    if (step == Step::kAgain) {
      link_.pause(backoff_.next(random_, asked_pause_));
    } else if (!shipment_.result()) {
      shipment_.wait_for_result(kLogInterval);
    }
  }
  result_ = *std::move(result);
  bool settled = false;
  bool synced = false;
  for (;;) {
    const Step step = deliver(&settled);
    if (settled) return true;
    if (step == Step::kStopped) return false;
    // As long as the coordinator takes it at once there is nothing for the disk to keep.
    if (!synced) (void)shipment_.spool().write_result(result_, Durability::kSynced);
    synced = true;
    if (!link_.pause(backoff_.next(random_, asked_pause_))) return false;
  }
}

Shipper::Step Shipper::deliver(bool* settled) {
  if (const Step step = ship_log(); step != Step::kDone) return step;
  if (const Step step = ship_artifacts(); step != Step::kDone) return step;
  return send_result(settled);
}

Shipper::Step Shipper::again(const Answer& answer) {
  asked_pause_ = answer.retry_after();
  return link_.stopped() ? Step::kStopped : Step::kAgain;
}

std::string Shipper::log_target(int64_t offset) const {
  return fmt::format("/v1/attempts/{}/logs?epoch={}&offset={}", shipment_.lease().attempt.text(),
                     shipment_.lease().epoch, offset);
}

// An empty part at the end is answered with where the coordinator's copy ends.
Shipper::Step Shipper::find_log_offset() {
  const int64_t end = shipment_.spool().log_bytes();
  net::ClientRequest request;
  request.method = "POST";
  request.target = log_target(end);
  request.headers = {{"Content-Type", "application/octet-stream"}};
  request.timeout = kRequestTimeout;
  const Answer answer = link_.ask(std::move(request));
  if (answer.passing()) return again(answer);
  const int64_t offset = answer.number("offset");
  log_offset_known_ = true;
  log_shipped_ = offset >= 0 && offset <= end ? offset : 0;
  return Step::kDone;
}

Shipper::Step Shipper::ship_log() {
  if (auto flushed = shipment_.spool().flush_log(); !flushed) {
    log_event(LogLevel::kError, "node.log_lost",
              {{"attempt", shipment_.lease().attempt.text()}, {"why", flushed.error().message}});
  }
  if (!log_offset_known_) {
    if (const Step step = find_log_offset(); step != Step::kDone) return step;
  }
  while (!log_refused_ && log_shipped_ < shipment_.spool().log_bytes()) {
    Result<std::string> records = shipment_.spool().read_log(log_shipped_, kLogPartBytesMax);
    if (!records || records->empty()) {
      log_refused_ = true;
      break;
    }
    const auto sent = static_cast<int64_t>(records->size());
    net::ClientRequest request;
    request.method = "POST";
    request.target = log_target(log_shipped_);
    request.headers = {{"Content-Type", "application/octet-stream"}};
    request.body = *std::move(records);
    request.timeout = kRequestTimeout;
    const Answer answer = link_.ask(std::move(request));
    if (answer.passing()) return again(answer);
    const int64_t offset = answer.number("offset");
    const bool gap = answer.status == 409 && offset >= 0 && offset < log_shipped_;
    const bool taken = answer.ok() && offset > log_shipped_;
    if ((!gap && !taken) || offset > shipment_.spool().log_bytes()) {
      // Fenced, or other bytes stand there: the result still goes.
      log_event(LogLevel::kWarn, "node.log_refused",
                {{"attempt", shipment_.lease().attempt.text()},
                 {"status", answer.status},
                 {"why", answer.error.message}});
      log_refused_ = true;
      break;
    }
    if (taken) metrics_.log_bytes_shipped += std::min(sent, offset - log_shipped_);
    log_shipped_ = offset;
    backoff_.reset();
  }
  return Step::kDone;
}

Shipper::Step Shipper::ship_artifacts() {
  for (const ArtifactRef& artifact : result_.artifacts) {
    if (uploads_.contains(artifact.sha256)) continue;
    struct stat info {};
    if (stat(file_of(artifact).c_str(), &info) != 0 || info.st_size != artifact.bytes) {
      fail_result("what the job left was lost on the node's disk");
      return Step::kDone;
    }
    std::string refusal;
    if (const Step step = upload(artifact, &refusal); step != Step::kDone) return step;
    uploads_[artifact.sha256] = std::move(refusal);
  }
  std::erase_if(result_.artifacts, [&](const ArtifactRef& artifact) {
    const std::string& refusal = uploads_[artifact.sha256];
    if (!refusal.empty()) result_.left_out.push_back({artifact.name, refusal});
    return !refusal.empty();
  });
  return Step::kDone;
}

std::filesystem::path Shipper::file_of(const ArtifactRef& artifact) {
  return shipment_.spool().artifacts() / artifact.sha256.text();
}

Shipper::Step Shipper::upload(const ArtifactRef& artifact, std::string* refusal) {
  int64_t offset = 0;
  // A small one is sent on the chance that it is new: one round trip instead of two.
  if (artifact.bytes > kPartBytesMax || missing_ > 0) {
    const Step step = ask_upload_offset(artifact, &offset);
    if (step != Step::kDone || offset < 0) return step;
  }
  return upload_from(artifact, offset, refusal);
}

// *offset is -1 when the coordinator has all of it.
Shipper::Step Shipper::ask_upload_offset(const ArtifactRef& artifact, int64_t* offset) {
  net::ClientRequest request;
  request.method = "HEAD";
  request.target = "/v1/artifacts/" + artifact.sha256.text();
  request.timeout = kRequestTimeout;
  const Answer answer = link_.ask(std::move(request));
  if (answer.passing()) return again(answer);
  if (answer.ok()) {
    *offset = -1;
    return Step::kDone;
  }
  const std::string text(answer.response.header("upload-offset"));
  const int64_t told = std::strtoll(text.c_str(), nullptr, 10);
  *offset = told > 0 && told < artifact.bytes ? told : 0;
  return Step::kDone;
}

Shipper::Step Shipper::upload_from(const ArtifactRef& artifact, int64_t offset,
                                   std::string* refusal) {
  int restarts = 0;
  for (;;) {
    const int64_t bytes = std::min(kPartBytesMax, artifact.bytes - offset);
    Result<std::string> part = read_part(file_of(artifact), offset, bytes);
    if (!part) {
      *refusal = part.error().message;
      return Step::kDone;
    }
    net::ClientRequest request;
    request.method = "PUT";
    request.target = "/v1/artifacts/" + artifact.sha256.text();
    request.headers = {{"Content-Type", "application/octet-stream"}};
    if (bytes < artifact.bytes) {
      request.headers.emplace_back(
          "Content-Range",
          fmt::format("bytes {}-{}/{}", offset, offset + bytes - 1, artifact.bytes));
    }
    request.body = *std::move(part);
    request.timeout = kUploadTimeout;
    const Answer answer = link_.ask(std::move(request));
    if (answer.passing()) return again(answer);
    if (answer.ok()) {
      metrics_.artifact_bytes_uploaded += bytes;
      backoff_.reset();
      offset += bytes;
      if (answer.status == 201 || offset >= artifact.bytes) return Step::kDone;
      continue;
    }
    const int64_t told = answer.number("offset");
    const bool elsewhere =
        answer.status == 409 && told >= 0 && told < artifact.bytes && told != offset;
    // After a digest that did not match, the parts are gone: once more from the start.
    const bool spoiled = answer.status == 400 && offset > 0;
    if ((!elsewhere && !spoiled) || ++restarts > 3) {
      *refusal = "the coordinator does not take it: " + answer.error.message.substr(0, 256);
      return Step::kDone;
    }
    offset = elsewhere ? told : 0;
  }
}

Shipper::Step Shipper::send_result(bool* settled) {
  if (log_refused_) result_.log_bytes = std::min(result_.log_bytes, log_shipped_);
  net::ClientRequest request;
  request.method = "POST";
  request.target = fmt::format("/v1/attempts/{}/result?epoch={}", shipment_.lease().attempt.text(),
                               shipment_.lease().epoch);
  request.headers = {{"Content-Type", "application/json"}};
  request.body = to_text(encode(result_));
  request.timeout = kRequestTimeout;
  const Answer answer = link_.ask(std::move(request));
  if (answer.passing()) return again(answer);
  if (answer.ok()) {
    *settled = true;
    Result<json::value> body = parse_json(answer.response.body);
    const json::value* published =
        body && body->is_object() ? body->get_object().if_contains("published") : nullptr;
    const bool counts = published != nullptr && published->is_bool() && published->get_bool();
    (counts ? metrics_.results_published : metrics_.results_fenced) += 1;
    return Step::kDone;
  }
  if (answer.status == 412 && ++missing_ <= kMissingMax) {
    log_offset_known_ = false;
    log_refused_ = false;
    uploads_.clear();
    return again(answer);
  }
  const bool malformed = answer.status == 400 || answer.status == 412 || answer.status == 413;
  log_event(LogLevel::kError, "node.result_refused",
            {{"attempt", shipment_.lease().attempt.text()},
             {"status", answer.status},
             {"why", answer.error.message}});
  if (malformed && refused_++ == 0) {
    fail_result("the coordinator did not take the result: " + answer.error.message);
    return again(answer);
  }
  metrics_.results_refused += 1;
  *settled = true;
  return Step::kDone;
}

void Shipper::fail_result(std::string_view detail) {
  result_ = make_node_failure(detail, log_refused_ ? log_shipped_ : result_.log_bytes);
}

}  // namespace bcai::node
