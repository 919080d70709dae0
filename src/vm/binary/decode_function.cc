// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstring>

#include "vm/binary/reader.h"

namespace bcai::vm {
namespace {

template <typename T>
bool has_odd_nan(std::string_view bytes, T exponent_bits, T canonical) {
  const T magnitude_bits = static_cast<T>(~(T{1} << (8 * sizeof(T) - 1)));
  for (size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    T bits = 0;
    std::memcpy(&bits, bytes.data() + at, sizeof bits);
    if ((bits & magnitude_bits) > exponent_bits && bits != canonical) return true;
  }
  return false;
}

}  // namespace

bool elements_are_canonical(const Constant& constant) {
  switch (constant.type.dtype) {
    case DType::kF32: return !has_odd_nan<uint32_t>(constant.bytes, 0x7f800000, 0x7fc00000);
    case DType::kF16: return !has_odd_nan<uint16_t>(constant.bytes, 0x7c00, 0x7e00);
    case DType::kBF16: return !has_odd_nan<uint16_t>(constant.bytes, 0x7f80, 0x7fc0);
    case DType::kBool:
      return std::all_of(constant.bytes.begin(), constant.bytes.end(),
                         [](char byte) { return byte == 0 || byte == 1; });
    default: return true;
  }
}

void ProgramReader::functions() {
  const size_t at = in_.offset();
  functions_ = in_.count(kFunctionsMax, 5, "the count of functions");
  program_.functions.reserve(functions_);
  for (size_t i = 0; i < functions_ && in_.ok(); ++i) function();
  if (types_used_ != types_known_) in_.fail(at, "V3", "type {} is not used", types_used_);
  if (params_used_ != program_.params.size()) {
    in_.fail(at, "V3", "param {} is not used", params_used_);
  }
  if (constants_used_ != program_.constants.size()) {
    in_.fail(at, "V3", "constant {} is not used", constants_used_);
  }
}

void ProgramReader::function() {
  const size_t at = in_.offset();
  std::string name = in_.name();
  for (const Function& other : program_.functions) {
    if (other.name == name) in_.fail(at, "V3", "function '{}' is there twice", name);
  }
  Function& function = program_.functions.emplace_back();
  function_ = &function;
  function_instructions_ = 0;
  hidden_.clear();
  function.name = std::move(name);
  std::vector<Type> arguments;
  port_names(in_.count(kProgramEntriesMax, 3, "the count of arguments"), &function.argument_names,
             &arguments);
  for (const Type& argument : arguments) function.body.arguments.push_back(define(argument));
  port_names(in_.count(kProgramEntriesMax, 3, "the count of results"), &function.result_names,
             &function.result_types);
  count_values(function.result_types.size());
  instructions(&function.body);
}

void ProgramReader::port_names(size_t count, std::vector<std::string>* names,
                               std::vector<Type>* types) {
  std::unordered_set<std::string> seen;
  for (size_t i = 0; i < count && in_.ok(); ++i) {
    const size_t at = in_.offset();
    names->push_back(in_.name());
    types->push_back(type());
    if (!seen.insert(names->back()).second) {
      in_.fail(at, "V3", "'{}' is there twice", names->back());
    }
  }
}

void ProgramReader::instructions(Region* region) {
  const size_t at = in_.offset();
  const size_t count = in_.count(kInstructionsMax, 5, "the count of instructions");
  function_instructions_ += count;
  instructions_ += count;
  if (count == 0) in_.fail(at, "V20", "a region without return");
  if (function_instructions_ > kInstructionsMax || instructions_ > kProgramEntriesMax) {
    in_.fail(at, "V5", "more than {} instructions in a function or {} in all", kInstructionsMax,
             kProgramEntriesMax);
  }
  if (!in_.ok()) return;
  region->instructions.reserve(count);
  function_->values.reserve(function_->values.size() + count);
  hidden_.reserve(hidden_.size() + count);
  for (size_t i = 0; i < count && in_.ok(); ++i) instruction(region, i + 1 == count);
}

void ProgramReader::instruction(Region* region, bool last) {
  const size_t at = in_.offset();
  const uint16_t code = in_.u16();
  const InstructionInfo* info = instruction_of_code(code);
  if (info == nullptr) {
    in_.fail(at, "V3", "instruction 0x{:04x} is not known", code);
    return;
  }
  if (info->since > program_.minor) {
    in_.fail(at, "V4", "{} came with version {}.{}", info->name, kFormatMajor, info->since);
  }
  if ((info->opcode == Opcode::kReturn) != last) {
    in_.fail(at, "V20", "a region ends with its one Return, found {}", info->name);
  }
  Instruction instruction;
  instruction.opcode = info->opcode;
  if (has_reference(instruction.opcode)) reference(&instruction);
  operands(&instruction);
  attributes(&instruction);
  for (size_t i = 0; i < region_count(instruction.opcode) && in_.ok(); ++i) {
    this->region(&instruction);
  }
  results(&instruction);
  region->instructions.push_back(std::move(instruction));
}

void ProgramReader::reference(Instruction* instruction) {
  const size_t at = in_.offset();
  const auto index = static_cast<uint32_t>(in_.number(kProgramEntriesMax, "V3", "a reference"));
  instruction->reference = index;
  if (instruction->opcode == Opcode::kCall) {
    if (index >= functions_) in_.fail(at, "V3", "function {} of {}", index, functions_);
    return;
  }
  const bool is_param = instruction->opcode == Opcode::kParam;
  const size_t known = is_param ? program_.params.size() : program_.constants.size();
  size_t& used = is_param ? params_used_ : constants_used_;
  if (index >= known || index > used) {
    in_.fail(at, "V3", "{} {}, of {} that are listed by first use the next is {}",
             is_param ? "param" : "constant", index, known, used);
  }
  if (index == used) ++used;
}

void ProgramReader::operands(Instruction* instruction) {
  const size_t max = instruction->opcode == Opcode::kReturn ? kProgramEntriesMax : kOperandsMax;
  const size_t count = in_.count(max, 1, "the count of operands");
  instruction->operands.reserve(count);
  for (size_t i = 0; i < count && in_.ok(); ++i) {
    const size_t at = in_.offset();
    const uint64_t id = in_.number(hidden_.size(), "V17", "an operand");
    if (id == 0 && i + 1 == count) in_.fail(at, "V3", "the last operand is absent");
    if (id > 0 && hidden_[id - 1]) {
      in_.fail(at, "V17", "value {} is of a region that has ended", id - 1);
    }
    instruction->operands.push_back(id == 0 ? kNoValue : static_cast<ValueId>(id - 1));
  }
}

void ProgramReader::attributes(Instruction* instruction) {
  const InstructionInfo& info = info_of(instruction->opcode);
  const std::vector<AttributeSpec>& specs = *info.attributes;
  const size_t count = in_.count(specs.size(), 2, "the count of attributes");
  uint64_t before = 0;
  for (size_t i = 0; i < count && in_.ok(); ++i) {
    const size_t at = in_.offset();
    const uint64_t tag = in_.number();
    const auto spec = std::find_if(specs.begin(), specs.end(), [&](const AttributeSpec& candidate) {
      return static_cast<uint64_t>(candidate.attribute) == tag;
    });
    if (spec == specs.end()) {
      in_.fail(at, "V19", "{} takes no attribute {}", info.name, tag);
      return;
    }
    if (tag <= before) in_.fail(at, "V3", "attribute {} after {}", tag, before);
    before = tag;
    AttributeValue value = attribute_value(*spec);
    if (spec->default_value && same_value(value, *spec->default_value)) {
      in_.fail(at, "V3", "{} has its default, which is left out", attribute_name(spec->attribute));
    }
    instruction->attributes.set(spec->attribute, std::move(value));
  }
}

AttributeValue ProgramReader::attribute_value(const AttributeSpec& spec) {
  const size_t at = in_.offset();
  switch (spec.kind) {
    case AttributeKind::kInt: return in_.integer();
    case AttributeKind::kBool:
    case AttributeKind::kChoice:
      return static_cast<int64_t>(
          in_.number(static_cast<uint64_t>(spec.max), "V3", attribute_name(spec.attribute)));
    case AttributeKind::kFloat: {
      const float value = in_.real();
      if (!std::isfinite(value)) in_.fail(at, "V19", "an attribute is not finite");
      return value;
    }
    case AttributeKind::kInts: {
      std::vector<int64_t> values(in_.count(kOperandsMax, 1, "the length of a list"));
      for (int64_t& value : values) value = in_.integer();
      return values;
    }
    case AttributeKind::kDims: break;
  }
  const size_t count = in_.count(kOperandsMax, 2, "the length of a list");
  std::vector<Dim> dims;
  for (size_t i = 0; i < count && in_.ok(); ++i) dims.push_back(dim());
  return dims;
}

void ProgramReader::region(Instruction* instruction) {
  const size_t at = in_.offset();
  if (nesting_ == kNestingMax) {
    in_.fail(at, "V5", "regions nest more than {} deep", kNestingMax);
    return;
  }
  ++nesting_;
  const size_t first = hidden_.size();
  Region inner;
  const size_t count = in_.count(kOperandsMax, 1, "the count of a region's arguments");
  for (size_t i = 0; i < count && in_.ok(); ++i) inner.arguments.push_back(define(type()));
  instructions(&inner);
  std::fill(hidden_.begin() + static_cast<ptrdiff_t>(first), hidden_.end(), true);
  --nesting_;
  instruction->regions.push_back(std::move(inner));
}

void ProgramReader::results(Instruction* instruction) {
  const size_t at = in_.offset();
  const size_t count = in_.count(kResultsMax, 1, "the count of results");
  instruction->results.reserve(count);
  for (size_t i = 0; i < count && in_.ok(); ++i) instruction->results.push_back(define(type()));
  if (!in_.ok()) return;
  if (instruction->opcode == Opcode::kReturn && count != 0) {
    in_.fail(at, "V20", "Return with results");
  }
  const bool is_param = instruction->opcode == Opcode::kParam;
  if (!is_param && instruction->opcode != Opcode::kConst) return;
  const Type& listed = is_param ? program_.params[instruction->reference].type
                                : program_.constants[instruction->reference].type;
  if (count != 1 || !(function_->values[instruction->results[0]] == listed)) {
    in_.fail(at, "V18", "the result is not of the type that is listed");
  }
}

void ProgramReader::count_values(size_t more) {
  values_ += more;
  if (values_ > kProgramEntriesMax) {
    in_.fail(in_.offset(), "V5", "more than {} values and results of functions",
             kProgramEntriesMax);
  }
}

ValueId ProgramReader::define(const Type& type) {
  count_values(1);
  function_->values.push_back(type);
  hidden_.push_back(false);
  return static_cast<ValueId>(function_->values.size() - 1);
}

}  // namespace bcai::vm
