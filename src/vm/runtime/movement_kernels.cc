// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/kernel.h"

namespace bcai::vm {

std::unique_ptr<Kernel> make_movement_kernel(const Launch&, const KernelTarget&) { return nullptr; }

}  // namespace bcai::vm
