// SPDX-License-Identifier: Apache-2.0
#include "vm/program/program.h"

#include <algorithm>
#include <tuple>

namespace bcai::vm {
namespace {

template <typename T>
bool all_same(const std::vector<T>& a, const std::vector<T>& b, bool (*same)(const T&, const T&)) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
}

bool same_region(const Region& a, const Region& b);

bool same_instruction(const Instruction& a, const Instruction& b) {
  return std::tie(a.opcode, a.operands, a.attributes, a.results, a.reference) ==
             std::tie(b.opcode, b.operands, b.attributes, b.results, b.reference) &&
         all_same(a.regions, b.regions, same_region);
}

bool same_region(const Region& a, const Region& b) {
  return a.arguments == b.arguments && all_same(a.instructions, b.instructions, same_instruction);
}

bool same_function(const Function& a, const Function& b) {
  return std::tie(a.name, a.argument_names, a.result_names, a.result_types, a.values) ==
             std::tie(b.name, b.argument_names, b.result_names, b.result_types, b.values) &&
         same_region(a.body, b.body);
}

bool same_file(const WeightFile& a, const WeightFile& b) {
  return std::tie(a.name, a.sha256, a.bytes) == std::tie(b.name, b.sha256, b.bytes);
}

bool same_param(const Param& a, const Param& b) {
  return std::tie(a.file, a.name, a.type) == std::tie(b.file, b.name, b.type);
}

bool same_constant(const Constant& a, const Constant& b) {
  return std::tie(a.bytes, a.type) == std::tie(b.bytes, b.type);
}

}  // namespace

bool same_program(const Program& a, const Program& b) {
  return std::tie(a.major, a.minor, a.symbols, a.checkpoints) ==
             std::tie(b.major, b.minor, b.symbols, b.checkpoints) &&
         all_same(a.files, b.files, same_file) && all_same(a.params, b.params, same_param) &&
         all_same(a.constants, b.constants, same_constant) &&
         all_same(a.functions, b.functions, same_function);
}

Result<void> check_arguments(const Function& main, std::span<const Type> given) {
  const std::vector<ValueId>& arguments = main.body.arguments;
  if (given.size() != arguments.size()) {
    return error(ErrorCode::kInvalidArgument, "{} inputs, expected {}", given.size(),
                 arguments.size());
  }
  for (size_t i = 0; i < given.size(); ++i) {
    Type expected = main.values[arguments[i]];
    expected.is_state = false;
    if (!(given[i] == expected)) {
      return error(ErrorCode::kInvalidArgument, "input '{}' is {}, expected {}",
                   main.argument_names[i], to_text(given[i], {}), to_text(expected, {}));
    }
  }
  return {};
}

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
