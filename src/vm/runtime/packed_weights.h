// SPDX-License-Identifier: Apache-2.0
// Weights in the layout that kernels read, made once for an executable and shared by its runs; with
// a directory, made once for all processes that use it, which map the same files.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "vm/numerics/simd_level.h"
#include "vm/plan/plan.h"

namespace bcai::vm {

// Floats that stay where they are: memory of this process, or a file mapped for reading.
class PackedFloats {
 public:
  // Filled by `write`. `file` is empty for memory.
  static Result<PackedFloats> make(const std::filesystem::path& file, int64_t floats,
                                   const std::function<void(float*)>& write);
  // Of a file that make() wrote; kNotFound when there is none of that size.
  static Result<PackedFloats> map(const std::filesystem::path& file, int64_t floats);
  ~PackedFloats();
  PackedFloats(PackedFloats&& other) noexcept;
  PackedFloats& operator=(PackedFloats&&) = delete;

  const float* data() const { return static_cast<const float*>(start_); }

 private:
  PackedFloats(void* start, size_t bytes) : start_(start), bytes_(bytes) {}

  void* start_ = nullptr;
  size_t bytes_ = 0;
};

// Not for several threads at once; the packed floats are read-only and may be read by any.
class PackedWeights {
 public:
  // Packs nothing, and counts what would be.
  static PackedWeights counting(const Plan& plan, SimdLevel level) {
    PackedWeights made(plan, level, {}, {});
    made.counts_ = true;
    return made;
  }
  // `plan` must outlive this. Nothing is kept when `directory` is empty. In it lies a file for each
  // weight and layout, named by a digest of the weight file's digest, the tensor's name, the
  // layout, the SIMD level and the source of the kernels. Who may write there decides what programs
  // compute, so it is made for this user alone.
  // `on_packed` is called behind each `pack`.
  PackedWeights(const Plan& plan, SimdLevel level, std::filesystem::path directory,
                std::function<void()> on_packed)
      : plan_(plan),
        level_(level),
        directory_(std::move(directory)),
        on_packed_(std::move(on_packed)) {}

  // The floats that `pack` writes for this operand and `layout`, a number that says how; calls it
  // when they are nowhere yet. They live as long as this. Null, and problem(), when there is no
  // memory or no room on the disk.
  const float* get(const Operand& weight, int layout, int64_t floats,
                   const std::function<void(float*)>& pack);
  // The first that there was.
  const std::optional<Error>& problem() const { return problem_; }
  int64_t bytes() const { return bytes_; }
  // Of these, found in the directory.
  int64_t found_bytes() const { return found_bytes_; }

 private:
  using Key = std::tuple<uint32_t, int64_t, int, int64_t>;

  Result<PackedFloats> find_or_pack(const std::filesystem::path& file, int64_t floats,
                                    const std::function<void(float*)>& pack);
  // Empty when there is no directory, or what is packed is no weight but a constant.
  std::filesystem::path file_of(const Operand& weight, int layout, int64_t floats) const;

  const Plan& plan_;
  const SimdLevel level_;
  const std::filesystem::path directory_;
  const std::function<void()> on_packed_;
  bool counts_ = false;
  std::map<Key, PackedFloats> packed_;
  int64_t bytes_ = 0;
  int64_t found_bytes_ = 0;
  std::optional<Error> problem_;
};

}  // namespace bcai::vm
