// SPDX-License-Identifier: Apache-2.0
#include "vm/isa/instruction.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/result.h"
#include "vm/isa/attribute_lists.h"
#include "vm/isa/classes.h"

namespace bcai::vm {

namespace classes {
const InstructionClass kControl = {.name = "Control",
                                   .variadic = true,
                                   .results = {"y.."},
                                   .view = true,
                                   .rule = "regions, calls and their types (V20 to V23)"};
}  // namespace classes

namespace {

constexpr InstructionInfo kTable[] = {
#define BCAI_INSTRUCTION(code, Name, Class, attributes, dtypes, cost, since, summary)       \
  {Opcode::k##Name, #Name,  &classes::k##Class, &attribute_lists::attributes, dtypes, cost, \
   since,           summary},
#include "vm/isa/instructions.def"
#undef BCAI_INSTRUCTION
};

const AttributeSpec* find_spec(const InstructionInfo& info, Attr attribute) {
  for (const AttributeSpec& spec : *info.attributes) {
    if (spec.attribute == attribute) return &spec;
  }
  return nullptr;
}

template <typename T>
const T& value_of(const InstructionView& view, Attr attribute) {
  const AttributeValue* value = view.attributes.find(attribute);
  if (value == nullptr) value = &*find_spec(info_of(view.opcode), attribute)->default_value;
  return *std::get_if<T>(value);
}

bool require_int(const AttributeSpec& spec, int64_t value, Judgement& judgement) {
  return judgement.require(value >= spec.min && value <= spec.max, "V19",
                           "{} is {}, expected {} to {}", attribute_name(spec.attribute), value,
                           spec.min, spec.max);
}

bool check_value(const AttributeSpec& spec, const AttributeValue& value, Judgement& judgement) {
  const std::string_view name = attribute_name(spec.attribute);
  if (spec.default_value && same_value(value, *spec.default_value)) {
    return judgement.refuse("V3", "{} has its default value, which is left out", name);
  }
  switch (spec.kind) {
    case AttributeKind::kInt:
    case AttributeKind::kBool:
    case AttributeKind::kChoice:
      if (const auto* integer = std::get_if<int64_t>(&value)) {
        return require_int(spec, *integer, judgement);
      }
      break;
    case AttributeKind::kFloat:
      if (const auto* real = std::get_if<float>(&value)) {
        return judgement.require(
            std::isfinite(*real) && *real >= spec.float_min && *real <= spec.float_max, "V19",
            "{} is {}, expected a finite number from {} to {}", name, *real, spec.float_min,
            spec.float_max);
      }
      break;
    case AttributeKind::kInts:
      if (const auto* list = std::get_if<std::vector<int64_t>>(&value)) {
        return judgement.require(list->size() <= kOperandsMax, "V19", "{} has {} numbers", name,
                                 list->size()) &&
               std::all_of(list->begin(), list->end(),
                           [&](int64_t each) { return require_int(spec, each, judgement); });
      }
      break;
    case AttributeKind::kDims:
      if (const auto* list = std::get_if<std::vector<Dim>>(&value)) {
        return judgement.require(list->size() <= kOperandsMax, "V19", "{} has {} numbers", name,
                                 list->size()) &&
               std::all_of(list->begin(), list->end(), [&](const Dim& dim) {
                 return judgement.require(
                     judgement.at_most(Dim(0), dim) && judgement.at_most(dim, Dim(kDimMax)), "V7",
                     "{} has {}, expected 0 to {}", name, judgement.text(dim), kDimMax);
               });
      }
      break;
  }
  return judgement.refuse("V19", "{} is of another kind", name);
}

bool check_operands(const InstructionView& view, const InstructionInfo& info,
                    Judgement& judgement) {
  const std::vector<OperandSpec>& specs = info.instruction_class->operands;
  const bool variadic = info.instruction_class->variadic;
  const size_t most = variadic ? kOperandsMax : specs.size();
  const auto required = static_cast<size_t>(
      std::count_if(specs.begin(), specs.end(), [](const auto& spec) { return !spec.optional; }));
  if (!judgement.require(view.operands.size() >= required && view.operands.size() <= most, "V17",
                         "{} operands, expected {} to {}", view.operands.size(), required, most)) {
    return false;
  }
  bool fine = true;
  const Type* first = nullptr;
  for (size_t i = 0; i < view.operands.size(); ++i) {
    const OperandSpec& spec = specs[std::min(i, specs.size() - 1)];
    const Type* type = view.operands[i];
    if (type == nullptr) {
      fine &= judgement.require(spec.optional, "V17", "{} is missing", operand_text(view, i));
      continue;
    }
    const bool state_allowed = spec.name == "state";
    fine &= judgement.require(state_allowed || !type->is_state, "V23",
                              "{} is a state, which only cache instructions take",
                              operand_text(view, i));
    if (spec.own_dtype) continue;
    fine &= require_dtype(view, i, info.dtypes, judgement);
    if (first == nullptr) first = type;
    fine &=
        judgement.require(type->dtype == first->dtype, "V17", "{} is {}, expected {}",
                          operand_text(view, i), dtype_name(type->dtype), dtype_name(first->dtype));
  }
  return fine;
}

bool require_result(const Type& type, Judgement& judgement) {
  bool in_range = true;
  bool small = true;
  int64_t elements = 1;  // at most
  for (const Dim& dim : type.shape.dims()) {
    const std::optional<Dim::Interval> bounds = dim.bounds(judgement.symbols());
    in_range = in_range && bounds && bounds->min >= 0 && bounds->max <= kDimMax;
    if (!in_range) break;
    small = small && !__builtin_mul_overflow(elements, bounds->max, &elements);
  }
  const int64_t elements_max = std::min(kElementsMax, kTensorBytesMax / dtype_bytes(type.dtype));
  return judgement.require(in_range, "V7", "a dimension of {} may leave 0 to {}",
                           judgement.text(type), kDimMax) &&
         judgement.require(small && elements <= elements_max, "V7",
                           "{} may exceed {} elements or {} bytes", judgement.text(type),
                           kElementsMax, kTensorBytesMax);
}

bool add(uint64_t& sum, const Dim& value) {
  return value.is_constant() && value.value() >= 0 &&
         !__builtin_add_overflow(sum, static_cast<uint64_t>(value.value()), &sum);
}

}  // namespace

std::span<const InstructionInfo> instructions() { return kTable; }

const InstructionInfo* instruction_of_code(uint64_t code) {
  // The codes ascend in the table.
  constexpr uint64_t kLast = static_cast<uint64_t>(std::end(kTable)[-1].opcode);
  static constexpr std::array<uint16_t, kLast + 1> kRows = [] {
    std::array<uint16_t, kLast + 1> rows{};
    for (size_t row = 0; row < std::size(kTable); ++row) {
      rows[static_cast<uint64_t>(kTable[row].opcode)] = static_cast<uint16_t>(row + 1);
    }
    return rows;
  }();
  return code > kLast || kRows[code] == 0 ? nullptr : &kTable[kRows[code] - 1];
}

const InstructionInfo* find_instruction(Opcode opcode) {
  return instruction_of_code(static_cast<uint64_t>(opcode));
}

const InstructionInfo* find_instruction(std::string_view name) {
  const auto* found = std::find_if(std::begin(kTable), std::end(kTable),
                                   [&](const InstructionInfo& info) { return info.name == name; });
  return found == std::end(kTable) ? nullptr : found;
}

const InstructionInfo& info_of(Opcode opcode) {
  const InstructionInfo* info = find_instruction(opcode);
  BCAI_ASSERT(info != nullptr);
  return *info;
}

int64_t int_of(const InstructionView& view, Attr attribute) {
  return value_of<int64_t>(view, attribute);
}
float float_of(const InstructionView& view, Attr attribute) {
  return value_of<float>(view, attribute);
}
const std::vector<int64_t>& ints_of(const InstructionView& view, Attr attribute) {
  return value_of<std::vector<int64_t>>(view, attribute);
}
const std::vector<Dim>& dims_of(const InstructionView& view, Attr attribute) {
  return value_of<std::vector<Dim>>(view, attribute);
}

bool check_attributes(const InstructionView& view, Judgement& judgement) {
  const InstructionInfo& info = info_of(view.opcode);
  bool fine = true;
  for (const Attributes::Entry& entry : view.attributes.entries()) {
    const AttributeSpec* spec = find_spec(info, entry.attribute);
    fine &= spec == nullptr
                ? judgement.refuse("V19", "takes no {}", attribute_name(entry.attribute))
                : check_value(*spec, entry.value, judgement);
  }
  for (const AttributeSpec& spec : *info.attributes) {
    fine &= judgement.require(spec.default_value || view.attributes.find(spec.attribute), "V19",
                              "{} is missing", attribute_name(spec.attribute));
  }
  return fine;
}

std::vector<Type> infer_types(const InstructionView& view, Judgement& judgement) {
  const InstructionInfo& info = info_of(view.opcode);
  const bool operands_fit = check_operands(view, info, judgement);
  const bool attributes_fit = check_attributes(view, judgement);
  if (!operands_fit || !attributes_fit) return {};
  if (info.instruction_class->stated) {
    if (!judgement.require(view.stated.size() == 1, "V18", "{} results, expected 1",
                           view.stated.size()) ||
        !judgement.require(!view.stated[0].is_state, "V18", "the result is a state") ||
        !require_result(view.stated[0], judgement)) {
      return {};
    }
  }
  const size_t before = judgement.refusals().size();
  std::vector<Type> types = info.instruction_class->infer(view, judgement);
  if (judgement.refusals().size() != before) return {};
  if (info.instruction_class->stated) return types;
  const bool results_fit = std::all_of(types.begin(), types.end(), [&](const Type& type) {
    return require_result(type, judgement);
  });
  return results_fit ? types : std::vector<Type>();
}

std::optional<Work> work_of(const InstructionView& view, std::span<const Type> results) {
  const InstructionInfo& info = info_of(view.opcode);
  Work work;
  if (!add(work.flops, info.instruction_class->work(view) * Dim(info.cost))) return std::nullopt;
  if (info.instruction_class->view) return work;
  // Of a table only the rows that are looked up are read: as much as is written.
  const bool by_index = info.instruction_class == &classes::kEmbedding ||
                        info.instruction_class == &classes::kGather ||
                        info.instruction_class == &classes::kGatherElements;
  for (size_t i = 0; i < view.operands.size(); ++i) {
    if (view.operands[i] == nullptr || view.operands[i]->is_state || (by_index && i == 0)) continue;
    if (!add(work.bytes, view.operands[i]->bytes())) return std::nullopt;
  }
  for (const Type& result : results) {
    if (!result.is_state && !add(work.bytes, result.bytes() * Dim(by_index ? 2 : 1))) {
      return std::nullopt;
    }
  }
  return work;
}

std::optional<uint64_t> gas_of(const InstructionView& view, std::span<const Type> results) {
  const std::optional<Work> work = work_of(view, results);
  if (!work) return std::nullopt;
  return std::max<uint64_t>(work->flops > 0 ? work->flops : work->bytes, 1);
}

}  // namespace bcai::vm
