// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/args_kernel.h"

#include <array>

namespace bcai::vm {

InstructionView attributes_of(const Launch& launch) {
  return {launch.opcode, {}, launch.attributes, {}};
}

EpilogueActivation activation_of(const Launch& launch) {
  // In the order of kActivationWords (vm/isa/choices.h).
  static constexpr std::array kActivations = {
      EpilogueActivation::kNone,     EpilogueActivation::kRelu,     EpilogueActivation::kGeluErf,
      EpilogueActivation::kGeluTanh, EpilogueActivation::kSilu,     EpilogueActivation::kSigmoid,
      EpilogueActivation::kTanh,     EpilogueActivation::kHardSwish};
  return kActivations.at(static_cast<size_t>(int_of(attributes_of(launch), Attr::kActivation)));
}

}  // namespace bcai::vm
