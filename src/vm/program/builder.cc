// SPDX-License-Identifier: Apache-2.0
#include "vm/program/builder.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/ascii.h"

namespace bcai::vm {
namespace {

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

void drop_defaults(Opcode opcode, Attributes& attributes) {
  for (const AttributeSpec& spec : *info_of(opcode).attributes) {
    const AttributeValue* value = attributes.find(spec.attribute);
    if (value != nullptr && spec.default_value && same_value(*value, *spec.default_value)) {
      attributes.erase(spec.attribute);
    }
  }
}

// A symbol's name as program text spells it.
std::string identifier(std::string_view name) {
  std::string text;
  for (const char c : name) {
    text += is_alphanumeric(c) ? c : '_';
  }
  if (text.empty() || is_digit(text[0])) text.insert(0, "_");
  return text.substr(0, kNameBytesMax);
}

}  // namespace

Builder::Builder() {
  program_.functions.emplace_back();
  program_.functions[0].name = "main";
}

Dim Builder::symbol(Symbol symbol) {
  program_.symbols.push_back(std::move(symbol));
  return Dim::symbol(static_cast<uint32_t>(program_.symbols.size() - 1));
}

Result<Dim> Builder::dimension(std::string_view name, const SymbolRange& range) {
  if (range.step < 1 || range.min < 0 || range.max < range.min || range.max > kDimMax ||
      range.min % range.step != 0) {
    return error(ErrorCode::kInvalidArgument,
                 "dimension '{}': {} to {} in steps of {} is not a range", name, range.min,
                 range.max, range.step);
  }
  if (range.min == range.max) return Dim(range.min);
  if (program_.symbols.size() == kSymbolsMax) {
    return error(ErrorCode::kInvalidArgument,
                 "dimension '{}': more than {} dimensions are open; fix some", name, kSymbolsMax);
  }
  std::string text = identifier(name);
  if (range.step > 1) text += fmt::format("_by_{}", range.step);
  const auto taken = [&](const Symbol& other) { return other.name == text; };
  while (std::any_of(program_.symbols.begin(), program_.symbols.end(), taken)) text += "_";
  return symbol({text, range.min / range.step, range.max / range.step, 1}) * Dim(range.step);
}

uint32_t Builder::file(WeightFile file) {
  program_.files.push_back(std::move(file));
  return static_cast<uint32_t>(program_.files.size() - 1);
}

ValueId Builder::new_value(Type type) {
  std::vector<Type>& values = program_.functions[0].values;
  values.push_back(std::move(type));
  return static_cast<ValueId>(values.size() - 1);
}

ValueId Builder::argument(std::string name, Type type) {
  Function& main = program_.functions[0];
  BCAI_ASSERT(main.body.instructions.empty());
  const ValueId id = new_value(std::move(type));
  main.body.arguments.push_back(id);
  main.argument_names.push_back(std::move(name));
  return id;
}

ValueId Builder::param(uint32_t file, std::string name, Type type) {
  const ValueId id = add_stated(Opcode::kParam, {}, type);
  if (id == kNoValue) return id;
  std::vector<Param>& params = program_.params;
  const auto same = std::find_if(params.begin(), params.end(), [&](const Param& param) {
    return param.file == file && param.name == name && param.type == type;
  });
  program_.functions[0].body.instructions.back().reference =
      static_cast<uint32_t>(same - params.begin());
  if (same == params.end()) params.push_back({file, std::move(name), std::move(type)});
  return id;
}

ValueId Builder::constant(Type type, std::string bytes) {
  const ValueId id = add_stated(Opcode::kConst, {}, type);
  if (id == kNoValue) return id;
  std::vector<Constant>& constants = program_.constants;
  const auto same = std::find_if(constants.begin(), constants.end(), [&](const Constant& constant) {
    return constant.bytes == bytes && constant.type == type;
  });
  program_.functions[0].body.instructions.back().reference =
      static_cast<uint32_t>(same - constants.begin());
  if (same == constants.end()) constants.push_back({std::move(type), std::move(bytes)});
  return id;
}

ValueId Builder::constant_f32(const std::vector<float>& values) {
  return constant({DType::kF32, {static_cast<int64_t>(values.size())}}, bytes_of(values));
}
ValueId Builder::constant_i64(const std::vector<int64_t>& values) {
  return constant({DType::kI64, {static_cast<int64_t>(values.size())}}, bytes_of(values));
}

std::vector<ValueId> Builder::append(Opcode opcode, std::vector<ValueId> operands,
                                     Attributes attributes, std::vector<Type> stated) {
  Function& main = program_.functions[0];
  drop_defaults(opcode, attributes);
  while (!operands.empty() && operands.back() == kNoValue) operands.pop_back();
  const std::vector<OperandSpec>& specs = info_of(opcode).instruction_class->operands;
  std::vector<const Type*> types;
  for (size_t i = 0; i < operands.size(); ++i) {
    const bool required = i >= specs.size() || !specs[i].optional;
    if (operands[i] == kNoValue && required && !problems_.empty()) return {};
    types.push_back(operands[i] == kNoValue ? nullptr : &main.values[operands[i]]);
  }
  Judgement judgement(program_.symbols);
  const std::vector<Type> results = infer_types({opcode, types, attributes, stated}, judgement);
  for (const Refusal& refusal : judgement.refusals()) {
    problems_.push_back(fmt::format("{}{}{}: {} ({})", origin_, origin_.empty() ? "" : ": ",
                                    info_of(opcode).name, refusal.message, refusal.rule));
  }
  if (!judgement.refusals().empty()) return {};
  Instruction instruction;
  instruction.opcode = opcode;
  instruction.operands = std::move(operands);
  instruction.attributes = std::move(attributes);
  for (const Type& type : results) instruction.results.push_back(new_value(type));
  std::vector<ValueId> ids = instruction.results;
  main.body.instructions.push_back(std::move(instruction));
  return ids;
}

ValueId Builder::add(Opcode opcode, std::vector<ValueId> operands, Attributes attributes) {
  const std::vector<ValueId> ids = append(opcode, std::move(operands), std::move(attributes), {});
  return ids.empty() ? kNoValue : ids[0];
}

ValueId Builder::add_stated(Opcode opcode, std::vector<ValueId> operands, Type stated,
                            Attributes attributes) {
  const std::vector<ValueId> ids =
      append(opcode, std::move(operands), std::move(attributes), {std::move(stated)});
  return ids.empty() ? kNoValue : ids[0];
}

std::vector<ValueId> Builder::add_all(Opcode opcode, std::vector<ValueId> operands,
                                      Attributes attributes) {
  return append(opcode, std::move(operands), std::move(attributes), {});
}

const Type& Builder::type_of(ValueId value) const {
  BCAI_ASSERT(value < program_.functions[0].values.size());
  return program_.functions[0].values[value];
}

Result<Program> Builder::finish(const std::vector<std::pair<std::string, ValueId>>& results) {
  if (!problems_.empty()) {
    return error(ErrorCode::kInvalidArgument, "{}", fmt::join(problems_, "\n"));
  }
  Function& main = program_.functions[0];
  Instruction end;
  end.opcode = Opcode::kReturn;
  for (const auto& [name, value] : results) {
    if (value >= main.values.size()) {
      return error(ErrorCode::kInvalidArgument, "result '{}' has no value", name);
    }
    end.operands.push_back(value);
    main.result_names.push_back(name);
    main.result_types.push_back(main.values[value]);
  }
  main.body.instructions.push_back(std::move(end));
  return std::move(program_);
}

}  // namespace bcai::vm
