// SPDX-License-Identifier: Apache-2.0
// The programs that a machine is measured with: one instruction each, of a size as models have it.
#pragma once

#include <span>
#include <string>

namespace bcai::vm {

enum class SamplePurpose : uint8_t {
  kWork,    // how long the instruction takes
  kLaunch,  // of next to no work: what every launch costs
  kMemory,  // how fast weights come from memory
};

struct MachineSample {
  std::string arguments;    // "%x: f32[128,768]"
  std::string weights;      // the types of %w0, %w1, …, one a line
  std::string instruction;  // "TensorMatMul %x, %w0"
  std::string result;       // its type
  SamplePurpose purpose = SamplePurpose::kWork;
};

// In an order in which each adds one kind of work to what is known (vm/runtime/machine.h). Every
// elementwise instruction of f32 is among them.
std::span<const MachineSample> machine_samples();

// As a program in text form.
std::string sample_text(const MachineSample& sample);

}  // namespace bcai::vm
