// SPDX-License-Identifier: Apache-2.0
// Images with their channels innermost, [N,..,C], as the kernels of convolution and pooling take
// them. Programs have them as [N,C,..]; a plan keeps them either way, and turns them where it must.
#pragma once

#include "vm/plan/plan.h"

namespace bcai::vm {

// [N,C,..] as [N,..,C].
Type channels_last(const Type& type);
// The permutation from one to the other.
Attributes to_channels_last(size_t rank);
Attributes from_channels_last(size_t rank);

// Whether a kernel for [N,..,C] does the instruction. `fixed` says that its second operand is a
// weight or a constant.
bool wants_channels_last(const Function& function, const Instruction& instruction, bool fixed);

// The attributes of an instruction that goes on with its images as they lie, [N,..,C], its result
// too; nothing where it does not.
std::optional<Attributes> attributes_channels_last(const Function& function,
                                                   const Instruction& instruction);

// The attributes of a reduction of [N,..,C] over all spatial axes, whose result is that of
// [N,C,..]; nothing for other instructions.
std::optional<Attributes> spatial_axes_channels_last(const Function& function,
                                                     const Instruction& reduction);

// What an operand that is broadcast against [N,C,..] is against [N,..,C], where only its type
// changes: one number, or one for each channel.
std::optional<Type> broadcast_channels_last(const Type& operand, const Type& result);

}  // namespace bcai::vm
