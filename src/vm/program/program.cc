// SPDX-License-Identifier: Apache-2.0
#include "vm/program/program.h"

namespace bcai::vm {

InstructionView view_of(const Function& function, const Instruction& instruction,
                        std::vector<const Type*>* operands, std::vector<Type>* stated) {
  operands->clear();
  for (const ValueId id : instruction.operands) {
    operands->push_back(id == kNoValue ? nullptr : &function.values[id]);
  }
  stated->clear();
  if (info_of(instruction.opcode).instruction_class->stated) {
    for (const ValueId id : instruction.results) stated->push_back(function.values[id]);
  }
  return {instruction.opcode, *operands, instruction.attributes, *stated};
}

}  // namespace bcai::vm
