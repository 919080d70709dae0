// SPDX-License-Identifier: Apache-2.0
// Artifacts up and down, by digest, in parts that can be resumed.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "base/file.h"
#include "cli/api_client.h"
#include "protocol/problem.h"

namespace bcai::cli {
namespace {

constexpr int64_t kPartBytes = 8 << 20;

Result<std::string> read_part(int fd, int64_t offset, int64_t bytes) {
  std::string part(static_cast<size_t>(bytes), '\0');
  size_t done = 0;
  while (done < part.size()) {
    const ssize_t got = pread(fd, part.data() + done, part.size() - done,
                              static_cast<off_t>(offset) + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read");
    if (got == 0) return error(ErrorCode::kFailedPrecondition, "the file became shorter");
    done += static_cast<size_t>(got);
  }
  return part;
}

int64_t parse_offset(std::string_view text) {
  int64_t offset = 0;
  std::from_chars(text.data(), text.data() + text.size(), offset);
  return std::max<int64_t>(0, offset);
}

// Hashes what an earlier download left, and says how much that is.
Result<int64_t> hash_part(int fd, int64_t bytes_max, Sha256Stream& hash) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return errno_error(errno, "stat");
  const int64_t size = status.st_size;
  if (size > bytes_max) {
    if (ftruncate(fd, 0) != 0) return errno_error(errno, "truncate");
    return int64_t{0};
  }
  for (int64_t at = 0; at < size; at += kPartBytes) {
    BCAI_TRY_ASSIGN(const std::string part, read_part(fd, at, std::min(kPartBytes, size - at)));
    hash.update(part);
  }
  return size;
}

}  // namespace

Result<void> ApiClient::upload(const std::filesystem::path& file, const Sha256& digest,
                               int64_t bytes, const std::function<void(int64_t)>& sent) {
  const UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, fmt::format("open {}", file.string()));
  net::ClientRequest ask;
  ask.method = "HEAD";
  ask.target = "/v1/artifacts/" + digest.text();
  BCAI_TRY_ASSIGN(const net::ClientResponse there, client_.send(ask));
  if (there.ok()) {
    sent(bytes);
    return {};
  }
  if (there.status != 404) return decode_problem(there.status, there.body);
  int64_t offset = std::min(bytes, parse_offset(there.header("upload-offset")));
  int corrections = 0;
  for (;;) {
    const int64_t size = std::min(kPartBytes, bytes - offset);
    BCAI_TRY_ASSIGN(std::string part, read_part(fd.get(), offset, size));
    net::ClientRequest put;
    put.method = "PUT";
    put.target = ask.target;
    put.headers = {{"Content-Type", "application/octet-stream"}};
    // A range cannot name zero bytes; a file of one part needs none.
    if (bytes > kPartBytes || offset > 0) {
      put.headers.emplace_back("Content-Range",
                               fmt::format("bytes {}-{}/{}", offset, offset + size - 1, bytes));
    }
    put.body = std::move(part);
    put.timeout = Millis(120'000);
    BCAI_TRY_ASSIGN(const net::ClientResponse answer, client_.send(put));
    if (answer.status == 201) {
      sent(bytes);
      return {};
    }
    if (answer.status != 202 && answer.status != 409) {
      return decode_problem(answer.status, answer.body);
    }
    const Result<json::value> body = parse_json(answer.body);
    const int64_t next = body ? integer_of(*body, "offset", -1) : -1;
    if (next < 0 || next >= bytes || (next <= offset && ++corrections > 3)) {
      return error(ErrorCode::kInternal, "upload of {}: the coordinator stands at byte {} of {}",
                   file.string(), next, bytes);
    }
    offset = next;
    sent(offset);
  }
}

Result<void> ApiClient::download(const ArtifactView& artifact, const std::filesystem::path& file) {
  const std::filesystem::path part =
      file.string() + "." + artifact.sha256.text().substr(0, 8) + ".part";
  if (!file.parent_path().empty()) BCAI_TRY(make_directories(file.parent_path()));
  const UniqueFd fd(open(part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) return errno_error(errno, fmt::format("open {}", part.string()));
  Sha256Stream hash;
  BCAI_TRY_ASSIGN(int64_t offset, hash_part(fd.get(), artifact.bytes, hash));
  if (offset < artifact.bytes) {
    net::ClientRequest request;
    request.target = "/v1/artifacts/" + artifact.sha256.text();
    if (offset > 0) request.headers = {{"Range", fmt::format("bytes={}-", offset)}};
    request.timeout = Millis(60'000);
    if (lseek(fd.get(), offset, SEEK_SET) < 0) return errno_error(errno, "seek");
    Result<void> written;
    request.on_body = [&](std::string_view piece) {
      offset += static_cast<int64_t>(piece.size());
      if (offset > artifact.bytes) return false;
      hash.update(piece);
      written = write_all(fd.get(), piece);
      return written.has_value();
    };
    const int expected = offset > 0 ? 206 : 200;
    const Result<net::ClientResponse> response = client_.send(request);
    BCAI_TRY(std::move(written));
    if (!response && offset <= artifact.bytes) return response.error();
    if (response && !response->ok()) return decode_problem(response->status, response->body);
    if (response && response->status != expected) offset = -1;
  }
  if (offset != artifact.bytes || hash.finish() != artifact.sha256) {
    unlink(part.c_str());
    return error(ErrorCode::kDataLoss, "{}: the bytes that came are not those of {}", artifact.name,
                 artifact.sha256.text());
  }
  if (rename(part.c_str(), file.c_str()) != 0) return errno_error(errno, file.string());
  return {};
}

}  // namespace bcai::cli
