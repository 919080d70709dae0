// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/map_codes.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "vm/isa/choices.h"

namespace bcai::vm {
namespace {

InstructionView attributes_of(const MapStep& step) {
  return {step.opcode, {}, step.attributes, {}};
}

std::optional<MapCode> code_named(std::string_view name) {
  static constexpr std::string_view kNames[] = {
#define MAP_OP(name, signature, value) #name,
#include "vm/backend/cpu/map_ops.def"
#undef MAP_OP
  };
  const auto* const found = std::find(std::begin(kNames), std::end(kNames), name);
  if (found == std::end(kNames)) return std::nullopt;
  return static_cast<MapCode>(found - std::begin(kNames));
}

// An instruction's operation has its name; on integers, that name with "Int" where there is one.
MapCode same_code(const MapStep& step) {
  if (step.opcode == Opcode::kGelu) {
    const bool erf =
        static_cast<Gelu>(int_of(attributes_of(step), Attr::kApproximate)) == Gelu::kErf;
    return erf ? MapCode::kGeluErf : MapCode::kGeluTanh;
  }
  const std::string name(info_of(step.opcode).name);
  std::optional<MapCode> code;
  if (step.operand_dtype != DType::kF32) code = code_named(name + "Int");
  if (!code) code = code_named(name);
  BCAI_ASSERT(code);
  return *code;
}

// a > b is b < a.
bool is_turned(Predicate predicate) {
  return predicate == Predicate::kGt || predicate == Predicate::kGe;
}

MapCode compare_code(Predicate predicate, bool integer) {
  switch (predicate) {
    case Predicate::kEq: return integer ? MapCode::kEqualInt : MapCode::kEqual;
    case Predicate::kNe: return integer ? MapCode::kNotEqualInt : MapCode::kNotEqual;
    case Predicate::kLt:
    case Predicate::kGt: return integer ? MapCode::kLessInt : MapCode::kLess;
    case Predicate::kLe:
    case Predicate::kGe: return integer ? MapCode::kLessEqualInt : MapCode::kLessEqual;
  }
  BCAI_ASSERT(false);
}

MapCode cast_code(DType from, DType to) {
  if (from == DType::kF32) return to == DType::kBool ? MapCode::kToTruthOfFloat : MapCode::kToInt;
  if (to == DType::kI32) return MapCode::kAnd;  // with itself
  return to == DType::kF32 ? MapCode::kToFloat : MapCode::kToTruth;
}

}  // namespace

MapType map_type_of(DType dtype) {
  switch (dtype) {
    case DType::kF32: return MapType::kF32;
    case DType::kI32: return MapType::kI32;
    case DType::kI8: return MapType::kI8;
    case DType::kU8: return MapType::kU8;
    case DType::kBool: return MapType::kBool;
    default: BCAI_ASSERT(false);
  }
}

MapOp map_op_of(const MapStep& step, uint8_t result, const std::vector<uint8_t>& from) {
  MapOp op{MapCode::kCopy, result, from[0]};
  if (from.size() > 1) op.b = from[1];
  if (from.size() > 2) op.c = from[2];
  const InstructionView view = attributes_of(step);
  switch (step.opcode) {
    case Opcode::kHardSigmoid:
      op.p = float_of(view, Attr::kAlpha);
      op.q = float_of(view, Attr::kBeta);
      break;
    case Opcode::kLeakyRelu: op.p = float_of(view, Attr::kAlpha); break;
    case Opcode::kClamp:
      op.p = float_of(view, Attr::kMin);
      op.q = float_of(view, Attr::kMax);
      break;
    default: break;
  }
  const bool integer = step.operand_dtype != DType::kF32;
  if (step.opcode == Opcode::kSelect) {
    op.code = integer ? MapCode::kSelectInt : MapCode::kSelect;
  } else if (step.opcode == Opcode::kCast) {
    op.code = cast_code(step.operand_dtype, step.dtype);
    op.b = op.a;
  } else if (step.opcode == Opcode::kCompare) {
    const auto predicate = static_cast<Predicate>(int_of(view, Attr::kPredicate));
    op.code = compare_code(predicate, integer);
    if (is_turned(predicate)) std::swap(op.a, op.b);
  } else {
    op.code = same_code(step);
  }
  return op;
}

}  // namespace bcai::vm
