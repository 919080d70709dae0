// SPDX-License-Identifier: Apache-2.0
// Memory of fixed size between two pages that nobody may touch: what runs past either end is killed
// instead of reading or writing something else.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace bcai::vm {

class Arena {
 public:
  Arena() = default;
  // Zeroed; ends at the guard page behind it, up to the 64 bytes that data() is aligned to.
  // kResourceExhausted when the system has no room.
  static Result<Arena> make(int64_t bytes);
  ~Arena();
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  std::byte* mapping_ = nullptr;
  size_t mapped_ = 0;
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace bcai::vm
