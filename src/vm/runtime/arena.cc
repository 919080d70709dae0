// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <utility>

namespace bcai::vm {
namespace {

constexpr size_t kAlignment = 64;
// From here on large pages are worth asking for.
constexpr size_t kHugeBytes = size_t{4} << 20;

}  // namespace

Result<Arena> Arena::make(int64_t bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t rounded = (static_cast<size_t>(bytes) + kAlignment - 1) / kAlignment * kAlignment;
  const size_t inner = (rounded + page - 1) / page * page;
  Arena arena;
  arena.mapped_ = inner + 2 * page;
  void* const mapping =
      mmap(nullptr, arena.mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    return error(ErrorCode::kResourceExhausted, "no room for {} bytes", bytes);
  }
  arena.mapping_ = static_cast<std::byte*>(mapping);
  if (inner > 0 && mprotect(arena.mapping_ + page, inner, PROT_READ | PROT_WRITE) != 0) {
    return error(ErrorCode::kResourceExhausted, "no room for {} bytes", bytes);
  }
  if (inner >= kHugeBytes) madvise(arena.mapping_ + page, inner, MADV_HUGEPAGE);
  arena.data_ = arena.mapping_ + page + inner - rounded;
  arena.bytes_ = bytes;
  return arena;
}

Arena::~Arena() {
  if (mapping_ != nullptr) munmap(mapping_, mapped_);
}

Arena::Arena(Arena&& other) noexcept { *this = std::move(other); }

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  std::swap(mapped_, other.mapped_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace bcai::vm
