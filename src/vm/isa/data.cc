// SPDX-License-Identifier: Apache-2.0
// Where values come from.
#include "vm/isa/classes.h"

namespace bcai::vm {
namespace {

std::vector<Type> stated(const InstructionView& view, Judgement&) { return {view.stated[0]}; }

std::vector<Type> infer_fill(const InstructionView& view, Judgement& judgement) {
  const Type& result = view.stated[0];
  const DTypeSet dtypes = info_of(view.opcode).dtypes;
  if (!judgement.require(dtypes.contains(result.dtype), "V26", "{} is not a dtype to fill",
                         dtype_name(result.dtype))) {
    return {};
  }
  if (result.dtype == DType::kF32) return {result};
  const int64_t value = int_of(view, Attr::kIntValue);
  const auto fits = [&](int64_t min, int64_t max) { return value >= min && value <= max; };
  const bool in_range = result.dtype == DType::kBool  ? fits(0, 1)
                        : result.dtype == DType::kU8  ? fits(0, UINT8_MAX)
                        : result.dtype == DType::kI8  ? fits(INT8_MIN, INT8_MAX)
                        : result.dtype == DType::kI32 ? fits(INT32_MIN, INT32_MAX)
                                                      : true;
  judgement.require(in_range, "V19", "int_value {} does not fit {}", value,
                    dtype_name(result.dtype));
  return {result};
}

std::vector<Type> infer_iota(const InstructionView& view, Judgement& judgement) {
  const Type& result = view.stated[0];
  const bool dtype_fits = DTypeSet(DType::kF32, DType::kI64, DType::kI32).contains(result.dtype);
  judgement.require(dtype_fits, "V26", "result is {}, expected f32, i64 or i32",
                    dtype_name(result.dtype));
  require_axis(view, result.shape.rank(), judgement);
  return {result};
}

std::vector<Type> infer_cast(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  const Type& result = view.stated[0];
  judgement.require(result.shape == x.shape, "V18", "result shape is {}, expected {}",
                    judgement.text(result.shape), judgement.text(x.shape));
  return {result};
}

}  // namespace

namespace classes {

const InstructionClass kParam = {.name = "Param",
                                 .results = {"y"},
                                 .stated = true,
                                 .view = true,
                                 .rule = "the type the program lists for the parameter (V27)",
                                 .infer = stated,
                                 .work = work_nothing};
const InstructionClass kConst = {.name = "Const",
                                 .results = {"y"},
                                 .stated = true,
                                 .view = true,
                                 .rule = "the type of the listed constant (V28)",
                                 .infer = stated,
                                 .work = work_nothing};
const InstructionClass kFill = {.name = "Fill",
                                .results = {"y"},
                                .stated = true,
                                .rule = "any shape",
                                .infer = infer_fill,
                                .work = work_nothing};
const InstructionClass kIota = {.name = "Iota",
                                .results = {"y"},
                                .stated = true,
                                .rule = "any shape of rank 1 or more; dtype f32, i64 or i32",
                                .infer = infer_iota,
                                .work = work_nothing};
const InstructionClass kCast = {.name = "Cast",
                                .operands = {{"x", "[..]"}},
                                .results = {"y"},
                                .stated = true,
                                .rule = "the shape of x; any dtype",
                                .infer = infer_cast,
                                .work = work_first_operand};

}  // namespace classes
}  // namespace bcai::vm
