// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/packed_weights.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace bcai::vm {
namespace {

size_t bytes_of(int64_t floats) { return static_cast<size_t>(floats) * sizeof(float); }

}  // namespace

PackedFloats::~PackedFloats() {
  if (bytes_ > 0) munmap(start_, bytes_);
}

PackedFloats::PackedFloats(PackedFloats&& other) noexcept
    : start_(std::exchange(other.start_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Result<PackedFloats> PackedFloats::make(const std::filesystem::path& file, int64_t floats,
                                        const std::function<void(float*)>& write) {
  const size_t bytes = bytes_of(floats);
  if (bytes == 0) return PackedFloats(nullptr, 0);
  std::string temporary = file.empty() ? "" : file.string() + ".XXXXXX";
  UniqueFd fd;
  if (!file.empty()) {
    fd.reset(mkostemp(temporary.data(), O_CLOEXEC));
    if (!fd) return errno_error(errno, "create " + temporary);
  }
  const auto fail = [&](int code, const std::string& what) {
    if (!file.empty()) unlink(temporary.c_str());
    return errno_error(code, what);
  };
  // A page of a file that finds no room when it is written to kills the process.
  if (fd) {
    const int problem = posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes));
    if (problem != 0) return fail(problem, "make room for " + temporary);
  }
  const int flags = file.empty() ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void* start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd.get(), 0);
  if (start == MAP_FAILED) return fail(errno, "map packed weights");
  PackedFloats made(start, bytes);
  if (file.empty()) madvise(start, bytes, MADV_HUGEPAGE);
  write(static_cast<float*>(start));
  mprotect(start, bytes, PROT_READ);
  if (fd && (fchmod(fd.get(), 0400) != 0 || fsync(fd.get()) != 0 ||
             rename(temporary.c_str(), file.c_str()) != 0)) {
    return fail(errno, "keep " + file.string());
  }
  return made;
}

Result<PackedFloats> PackedFloats::map(const std::filesystem::path& file, int64_t floats) {
  const size_t bytes = bytes_of(floats);
  if (bytes == 0) return PackedFloats(nullptr, 0);
  const UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return errno_error(errno, "open " + file.string());
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return errno_error(errno, "stat " + file.string());
  if (!S_ISREG(info.st_mode) || info.st_size != static_cast<off_t>(bytes)) {
    return error(ErrorCode::kNotFound, "{} has not {} bytes", file.string(), bytes);
  }
  void* start = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (start == MAP_FAILED) return errno_error(errno, "map " + file.string());
  return PackedFloats(start, bytes);
}

std::filesystem::path PackedWeights::file_of(const Operand& weight, int layout,
                                             int64_t floats) const {
  const Buffer& buffer = plan_.buffers[weight.buffer];
  if (directory_.empty() || buffer.storage != Storage::kWeight) return {};
  const Param& param = plan_.program.params[buffer.index];
  // BCAI_KERNEL_SOURCES: what is packed by other kernels is another file.
  const std::string key =
      fmt::format("{} {} {} {} {} {} {} {}", BCAI_KERNEL_SOURCES, simd_level_name(level_), layout,
                  floats, weight.offset, to_text(weight.type, {}),
                  plan_.program.files[param.file].sha256.text(), param.name);
  return directory_ / Sha256::of(key).text();
}

Result<PackedFloats> PackedWeights::find_or_pack(const std::filesystem::path& file, int64_t floats,
                                                 const std::function<void(float*)>& pack) {
  if (!file.empty()) {
    Result<PackedFloats> found = PackedFloats::map(file, floats);
    if (found) found_bytes_ += static_cast<int64_t>(bytes_of(floats));
    if (found) return found;
    BCAI_TRY(make_directories(directory_, 0700));
  }
  Result<PackedFloats> packed = PackedFloats::make(file, floats, pack);
  if (packed && on_packed_) on_packed_();
  return packed;
}

const float* PackedWeights::get(const Operand& weight, int layout, int64_t floats,
                                const std::function<void(float*)>& pack) {
  const Key key{weight.buffer, weight.offset, layout, floats};
  if (const auto known = packed_.find(key); known != packed_.end()) return known->second.data();
  Result<PackedFloats> packed = counts_
                                    ? PackedFloats::make({}, 0, pack)
                                    : find_or_pack(file_of(weight, layout, floats), floats, pack);
  if (!packed) {
    if (!problem_) problem_ = std::move(packed).error();
    return nullptr;
  }
  bytes_ += static_cast<int64_t>(bytes_of(floats));
  return packed_.emplace(key, *std::move(packed)).first->second.data();
}

}  // namespace bcai::vm
