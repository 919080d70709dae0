// SPDX-License-Identifier: Apache-2.0
// Which instructions the interpreter for elementwise programs can do.
#include "vm/compiler/groups.h"

namespace bcai::vm {
namespace {

// Types that are the same in a tile as in memory.
constexpr DTypeSet kTileTypes{DType::kF32, DType::kI32, DType::kBool};
// Those that are wider there: sums and products of theirs would wrap later than they should.
constexpr DTypeSet kWidenedTypes{DType::kI8, DType::kU8};

// What has a result of the operands' range.
bool keeps_range(Opcode opcode) {
  return opcode == Opcode::kMax || opcode == Opcode::kMin || opcode == Opcode::kAnd ||
         opcode == Opcode::kOr || opcode == Opcode::kXor;
}

bool integer_binary(Opcode opcode) {
  switch (opcode) {
    case Opcode::kAdd:
    case Opcode::kSub:
    case Opcode::kMul:
    case Opcode::kMax:
    case Opcode::kMin:
    case Opcode::kAnd:
    case Opcode::kOr:
    case Opcode::kXor: return true;
    default: return false;
  }
}

bool does_operation(Opcode opcode, DType from, DType to) {
  const std::string_view kind = info_of(opcode).instruction_class->name;
  if (opcode == Opcode::kCast) {
    return from != to && kTileTypes.contains(to) &&
           (kTileTypes.contains(from) || kWidenedTypes.contains(from));
  }
  if (kind == "ElementwiseUnary") {
    return opcode == Opcode::kNot || from == DType::kF32;
  }
  if (kind == "ElementwisePredicate") return true;
  if (kind == "ElementwiseBinary") {
    return from == DType::kF32 || (kTileTypes.contains(from) && integer_binary(opcode)) ||
           (kWidenedTypes.contains(from) && keeps_range(opcode));
  }
  return (kind == "ElementwiseCompare" || kind == "Select") &&
         (kTileTypes.contains(from) || kWidenedTypes.contains(from));
}

}  // namespace

bool is_elementwise(const Function& function, const Instruction& instruction) {
  if (instruction.results.size() != 1 || instruction.operands.empty()) return false;
  const Type& result = function.values[instruction.results[0]];
  const Type& last = function.values[instruction.operands.back()];
  if (!does_operation(instruction.opcode, last.dtype, result.dtype)) return false;
  for (const ValueId id : instruction.operands) {
    if (id == kNoValue) return false;
  }
  return true;
}

}  // namespace bcai::vm
