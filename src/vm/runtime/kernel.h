// SPDX-License-Identifier: Apache-2.0
// One launch of a plan on this machine: the function that does it and its arguments. Which kernels
// there are is known to make_kernel alone; an instruction without a kernel of its own runs on the
// reference backend, which gives the same bits.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vm/numerics/simd_level.h"
#include "vm/plan/plan.h"

namespace bcai::vm {

// Where the buffers of a plan lie now. One thread.
class Addresses {
 public:
  explicit Addresses(size_t buffers) : base_(buffers), asked_(buffers) {}
  void set(uint32_t buffer, std::byte* base) { base_[buffer] = base; }
  bool is_set(uint32_t buffer) const { return base_[buffer] != nullptr; }
  std::byte* of(const Operand& operand) const {
    if (!operand.present()) return nullptr;
    asked_[operand.buffer] = true;
    return base_[operand.buffer] + operand.offset;
  }
  float* floats(const Operand& operand) const { return reinterpret_cast<float*>(of(operand)); }
  // Whether anyone has asked where the buffer lies: of a weight that is packed, nobody does.
  bool asked(uint32_t buffer) const { return asked_[buffer]; }

 private:
  std::vector<std::byte*> base_;
  mutable std::vector<bool> asked_;
};

class Kernel {
 public:
  virtual ~Kernel() = default;

  // "cpu" or "reference".
  virtual std::string_view backend() const { return "cpu"; }
  // Once before the first run, and whenever one of its buffers has moved. Not while it runs.
  virtual void bind(const Addresses& addresses) = 0;
  // A kernel whose units are long looks at the flag itself, this often in each, and leaves the rest
  // undone once it is true.
  virtual int64_t looks() const { return 1; }
  virtual void watch(const std::atomic<bool>*) {}
  // The packed weights it reads from their start, or null; and those of the kernel that runs after
  // it, which one that has some itself brings near in the end.
  virtual const float* weights() const { return nullptr; }
  virtual void expect(const float* /*next_weights*/) {}
  // Independent pieces of work; any partition over threads gives the same bytes.
  virtual int64_t units() const { return 1; }
  // What one call of run() needs, at 64 bytes.
  virtual int64_t scratch_bytes() const { return 0; }
  // Units [begin, end). An error is a trap: an index outside, which data alone decides.
  virtual Result<void> run(int64_t begin, int64_t end, std::byte* scratch) = 0;
};

class PackedWeights;

// What kernels are made for.
struct KernelTarget {
  const Plan& plan;
  SimdLevel level = SimdLevel::kPortable;
  // Holds what prepacking made; `weights` has the addresses of weights and constants.
  PackedWeights& packed;
  const Addresses& weights;
};

// `launch` must outlive the kernel. Not for kRepeat and kCond.
std::unique_ptr<Kernel> make_kernel(const Launch& launch, const KernelTarget& target);

// Each null where it does not know the launch.
std::unique_ptr<Kernel> make_matmul_kernel(const Launch& launch, const KernelTarget& target);
std::unique_ptr<Kernel> make_image_kernel(const Launch& launch, const KernelTarget& target);
std::unique_ptr<Kernel> make_attention_kernel(const Launch& launch, const KernelTarget& target);
std::unique_ptr<Kernel> make_map_kernel(const Launch& launch, const KernelTarget& target);
std::unique_ptr<Kernel> make_row_kernel(const Launch& launch, const KernelTarget& target);
std::unique_ptr<Kernel> make_recurrent_kernel(const Launch& launch, const KernelTarget& target);
std::unique_ptr<Kernel> make_movement_kernel(const Launch& launch, const KernelTarget& target);
// Knows every launch but maps.
std::unique_ptr<Kernel> make_reference_kernel(const Launch& launch);

}  // namespace bcai::vm
