// SPDX-License-Identifier: Apache-2.0
#include "vm/isa/reference.h"

#include <fmt/format.h>

#include <array>

#include "vm/isa/instruction.h"

namespace bcai::vm {
namespace {

constexpr std::array kDTypes = {DType::kF32, DType::kF16, DType::kBF16, DType::kI64,
                                DType::kI32, DType::kI8,  DType::kU8,   DType::kBool};

struct Family {
  unsigned code;  // the upper byte of its opcodes
  std::string_view title;
};
constexpr std::array kFamilies = {
    Family{0x00, "Data"},         Family{0x01, "Shape and movement"},
    Family{0x02, "One operand"},  Family{0x03, "Two and three operands"},
    Family{0x04, "Along axes"},   Family{0x05, "Linear algebra"},
    Family{0x06, "Convolution"},  Family{0x07, "Normalisation"},
    Family{0x08, "Transformers"}, Family{0x09, "By index"},
    Family{0x0a, "Recurrent"},    Family{0x0f, "Control"}};

std::string_view kind_name(AttributeKind kind) {
  constexpr std::array<std::string_view, 6> kNames = {"int",    "float", "flag",
                                                      "choice", "ints",  "dims"};
  return kNames[static_cast<size_t>(kind)];
}

std::string default_text(const AttributeSpec& spec) {
  if (!spec.default_value) return "required";
  if (const auto* real = std::get_if<float>(&*spec.default_value)) return fmt::format("{}", *real);
  if (const auto* integer = std::get_if<int64_t>(&*spec.default_value)) {
    return spec.words.empty() ? fmt::format("{}", *integer)
                              : std::string(spec.words[static_cast<size_t>(*integer)]);
  }
  return "[]";
}

json::array dtype_names(DTypeSet dtypes) {
  json::array names;
  for (const DType dtype : kDTypes) {
    if (dtypes.contains(dtype)) names.emplace_back(to_json(dtype_name(dtype)));
  }
  return names;
}

json::object attribute_json(const AttributeSpec& spec) {
  json::object object = {{"name", to_json(attribute_name(spec.attribute))},
                         {"tag", static_cast<int>(spec.attribute)},
                         {"kind", to_json(kind_name(spec.kind))},
                         {"meaning", to_json(spec.meaning)},
                         {"required", !spec.default_value}};
  if (spec.default_value) object["default"] = default_text(spec);
  if (!spec.words.empty()) {
    json::array words;
    for (const std::string_view word : spec.words) words.emplace_back(to_json(word));
    object["words"] = std::move(words);
  }
  return object;
}

json::object instruction_json(const InstructionInfo& info) {
  const InstructionClass& kind = *info.instruction_class;
  json::array operands;
  for (const OperandSpec& spec : kind.operands) {
    operands.push_back({{"name", to_json(spec.name)},
                        {"shape", to_json(spec.shape)},
                        {"optional", spec.optional}});
  }
  json::array results;
  for (const std::string_view name : kind.results) results.emplace_back(to_json(name));
  json::array attributes;
  for (const AttributeSpec& spec : *info.attributes) attributes.push_back(attribute_json(spec));
  return {{"name", to_json(info.name)},
          {"code", static_cast<int>(info.opcode)},
          {"class", to_json(kind.name)},
          {"since", info.since},
          {"summary", to_json(info.summary)},
          {"operands", std::move(operands)},
          {"variadic", kind.variadic},
          {"results", std::move(results)},
          {"stated", kind.stated},
          {"dtypes", dtype_names(info.dtypes)},
          {"attributes", std::move(attributes)},
          {"rule", to_json(kind.rule)},
          {"cost", info.cost}};
}

std::string instruction_markdown(const InstructionInfo& info) {
  const InstructionClass& kind = *info.instruction_class;
  std::string text = fmt::format("### {}\n\n`{:#06x}` · {}", info.name,
                                 static_cast<unsigned>(info.opcode), kind.name);
  text += info.cost > 0 ? fmt::format(" · cost {}\n\n", info.cost) : "\n\n";
  text += fmt::format("{}.\n\n", info.summary);
  for (const OperandSpec& spec : kind.operands) {
    text += fmt::format("- operand `{}`{}: {}{}\n", spec.name, spec.optional ? " (optional)" : "",
                        spec.shape,
                        kind.variadic && &spec == &kind.operands.back() ? ", repeated" : "");
  }
  for (const std::string_view name : kind.results) text += fmt::format("- result `{}`\n", name);
  for (const AttributeSpec& spec : *info.attributes) {
    text += fmt::format("- attribute `{}` ({}, {}{}): {}\n", attribute_name(spec.attribute),
                        kind_name(spec.kind), spec.default_value ? "default " : "",
                        default_text(spec), spec.meaning);
    if (!spec.words.empty())
      text.insert(text.size() - 1, fmt::format(" — {}", fmt::join(spec.words, ", ")));
  }
  text += fmt::format("- rule: {}\n", kind.rule);
  std::string dtypes;
  for (const json::value& name : dtype_names(info.dtypes)) {
    dtypes += (dtypes.empty() ? "" : ", ") + std::string(to_std(name.get_string()));
  }
  return text + fmt::format("- dtypes: {}\n\n", dtypes);
}

}  // namespace

json::value isa_json() {
  json::array all;
  for (const InstructionInfo& info : instructions()) all.push_back(instruction_json(info));
  return {{"format", fmt::format("{}.{}", kFormatMajor, kFormatMinor)},
          {"instructions", std::move(all)}};
}

std::string isa_markdown() {
  std::string text = fmt::format(
      "# Instructions\n\nFormat {}.{}, {} instructions. This page is printed by "
      "`bcai vm isa --markdown`; do not edit it.\n\nAn operand's dtype is one of the listed ones "
      "and the same for all operands, unless its shape names another. `cost` is the FLOPs for each "
      "element of work; an instruction without one is charged for the bytes it moves, a view for "
      "1. Rules V1 to V30 are in [verification.md](../formats/verification.md), R1 to R12 in "
      "[numerics_n1.md](../formats/numerics_n1.md).\n\n",
      kFormatMajor, kFormatMinor, instructions().size());
  for (const Family& family : kFamilies) {
    text += fmt::format("## {}\n\n", family.title);
    for (const InstructionInfo& info : instructions()) {
      if (static_cast<unsigned>(info.opcode) >> 8U == family.code) {
        text += instruction_markdown(info);
      }
    }
  }
  text.pop_back();
  return text;
}

}  // namespace bcai::vm
