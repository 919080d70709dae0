// SPDX-License-Identifier: Apache-2.0
#include "coordinator/programs/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/file.h"

namespace bcai::coordinator {

Result<MappedFile> MappedFile::open(const std::filesystem::path& path, int64_t bytes_max) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "open " + path.string());
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return errno_error(errno, "stat " + path.string());
  if (info.st_size > bytes_max) {
    return error(ErrorCode::kResourceExhausted, "it has {} bytes, more than {}", info.st_size,
                 bytes_max);
  }
  if (info.st_size == 0) return MappedFile({});
  const auto size = static_cast<size_t>(info.st_size);
  void* start = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (start == MAP_FAILED) return errno_error(errno, "map " + path.string());
  return MappedFile({static_cast<const char*>(start), size});
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

}  // namespace bcai::coordinator
