// SPDX-License-Identifier: Apache-2.0
// A launch that one function of vm/backend/cpu does, over arguments that are known but for the
// places of the tensors.
#pragma once

#include "vm/backend/cpu/epilogue.h"
#include "vm/runtime/kernel.h"

namespace bcai::vm {

// The elements of the axes from `first` to `last`, without it.
inline int64_t count(const Shape& shape, size_t first, size_t last) {
  return shape.elements(first, last).value();
}

template <typename Args>
class ArgsKernel final : public Kernel {
 public:
  struct Functions {
    void (*run)(const Args&, int64_t begin, int64_t end, std::byte* scratch);
    int64_t (*units)(const Args&);
    int64_t (*scratch_bytes)(const Args&);
    void (*bind)(Args&, const Launch&, const Addresses&);
    // Of arguments with a flag to look at: Kernel::looks().
    int64_t (*looks)(const Args&) = nullptr;
    // Of arguments with next_weights: Kernel::weights().
    const float* (*weights)(const Args&) = nullptr;
  };

  ArgsKernel(const Launch& launch, const Args& args, const Functions& functions)
      : launch_(launch), args_(args), functions_(functions) {}

  void bind(const Addresses& addresses) override { functions_.bind(args_, launch_, addresses); }
  int64_t units() const override { return functions_.units(args_); }
  int64_t scratch_bytes() const override { return functions_.scratch_bytes(args_); }
  int64_t looks() const override {
    return functions_.looks == nullptr ? 1 : functions_.looks(args_);
  }
  void watch(const std::atomic<bool>* cancelled) override {
    if constexpr (requires { args_.cancelled; }) args_.cancelled = cancelled;
  }
  const float* weights() const override {
    return functions_.weights == nullptr ? nullptr : functions_.weights(args_);
  }
  void expect(const float* next_weights) override {
    if constexpr (requires { args_.next_weights; }) args_.next_weights = next_weights;
  }
  Result<void> run(int64_t begin, int64_t end, std::byte* scratch) override {
    functions_.run(args_, begin, end, scratch);
    return {};
  }

 private:
  const Launch& launch_;
  Args args_;
  const Functions functions_;
};

template <typename Args>
std::unique_ptr<Kernel> make_args_kernel(const Launch& launch, const Args& args,
                                         const typename ArgsKernel<Args>::Functions& functions) {
  return std::make_unique<ArgsKernel<Args>>(launch, args, functions);
}

// What the launch's attributes say, for int_of and its like.
InstructionView attributes_of(const Launch& launch);
// Of a matmul or convolution.
EpilogueActivation activation_of(const Launch& launch);

}  // namespace bcai::vm
