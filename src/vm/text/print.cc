// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/result.h"
#include "vm/program/name.h"
#include "vm/text/lexer.h"
#include "vm/text/number.h"
#include "vm/text/text.h"

namespace bcai::vm {
namespace {

std::string plain_or_quoted(const std::string& name) {
  return is_identifier(name) ? name : quote(name);
}

template <typename T>
const T& item(const std::vector<T>& list, size_t index) {
  BCAI_ASSERT(index < list.size());
  return list[index];
}

class TextPrinter {
 public:
  explicit TextPrinter(const Program& program) : program_(program) {}

  std::string print() {
    write("bcvm {}.{} profile n1\n", program_.major, program_.minor);
    symbols();
    for (const WeightFile& file : program_.files) {
      write("weights {} sha256:{} size {}\n", plain_or_quoted(file.name), file.sha256.text(),
            file.bytes);
    }
    for (const Function& each : program_.functions) function(each);
    if (program_.checkpoints.empty()) return std::move(out_);
    function_ = &item(program_.functions, 0);
    out_ += "\ncheckpoints ";
    values(program_.checkpoints);
    out_ += '\n';
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void write(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }
  std::string text(const Type& type) const { return to_text(type, program_.symbols); }

  void symbols() {
    for (size_t i = 0; i < program_.symbols.size(); ++i) {
      const Symbol& symbol = program_.symbols[i];
      write("{}{} in [{},{}]", i == 0 ? "sym " : ", ", symbol.name, symbol.min, symbol.max);
      if (symbol.multiple_of != 1) write(" mult {}", symbol.multiple_of);
    }
    if (!program_.symbols.empty()) out_ += '\n';
  }

  void function(const Function& function) {
    function_ = &function;
    next_value_ = 0;
    for (const ValueId argument : function.body.arguments) defined(argument);
    write("\nfunc @{}(", plain_or_quoted(function.name));
    for (size_t i = 0; i < function.argument_names.size(); ++i) {
      write("{}%{}: {}", i == 0 ? "" : ", ", plain_or_quoted(function.argument_names[i]),
            text(item(function.values, item(function.body.arguments, i))));
    }
    out_ += ") -> (";
    for (size_t i = 0; i < function.result_names.size(); ++i) {
      write("{}%{}: {}", i == 0 ? "" : ", ", plain_or_quoted(function.result_names[i]),
            text(item(function.result_types, i)));
    }
    out_ += ") ";
    body(function.body, 1);
    out_ += '\n';
  }

  void body(const Region& region, size_t depth) {
    out_ += "{\n";
    for (const Instruction& each : region.instructions) {
      out_.append(2 * depth, ' ');
      instruction(each, depth);
      out_ += '\n';
    }
    out_.append(2 * (depth - 1), ' ');
    out_ += '}';
  }

  void instruction(const Instruction& instruction, size_t depth) {
    if (instruction.opcode == Opcode::kReturn) {
      out_ += "return";
    } else {
      if (!instruction.results.empty()) {
        values(instruction.results);
        out_ += " = ";
      }
      out_ += info_of(instruction.opcode).name;
    }
    head(instruction);
    if (!instruction.operands.empty()) out_ += ' ';
    values(instruction.operands);
    attributes(instruction);
    for (const Region& inner : instruction.regions) region(inner, depth + 1);
    for (size_t i = 0; i < instruction.results.size(); ++i) {
      defined(instruction.results[i]);
      out_ += i == 0 ? " : " : ", ";
      out_ += text(function_->values[instruction.results[i]]);
    }
  }

  void head(const Instruction& instruction) {
    if (instruction.opcode == Opcode::kParam) {
      const Param& param = item(program_.params, instruction.reference);
      write(" {} {}", plain_or_quoted(item(program_.files, param.file).name), quote(param.name));
    } else if (instruction.opcode == Opcode::kConst) {
      constant(item(program_.constants, instruction.reference));
    } else if (instruction.opcode == Opcode::kCall) {
      write(" @{}", plain_or_quoted(item(program_.functions, instruction.reference).name));
    }
  }

  void constant(const Constant& constant) {
    const auto size = static_cast<size_t>(dtype_bytes(constant.type.dtype));
    out_ += " [";
    for (size_t at = 0; at + size <= constant.bytes.size(); at += size) {
      if (at > 0) out_ += ", ";
      out_ += element_text(constant.type.dtype, constant.bytes.data() + at);
    }
    out_ += ']';
  }

  void attributes(const Instruction& instruction) {
    if (instruction.attributes.entries().empty()) return;
    const std::vector<AttributeSpec>& specs = *info_of(instruction.opcode).attributes;
    const char* before = " {";
    for (const Attributes::Entry& entry : instruction.attributes.entries()) {
      const auto spec = std::find_if(
          specs.begin(), specs.end(),
          [&](const AttributeSpec& candidate) { return candidate.attribute == entry.attribute; });
      BCAI_ASSERT(spec != specs.end());
      write("{}{}={}", before, attribute_name(entry.attribute), attribute(*spec, entry.value));
      before = ", ";
    }
    out_ += '}';
  }

  std::string attribute(const AttributeSpec& spec, const AttributeValue& value) const {
    if (const float* real = std::get_if<float>(&value)) return float_text(*real);
    if (const auto* integer = std::get_if<int64_t>(&value)) {
      if (spec.kind != AttributeKind::kChoice) return fmt::format("{}", *integer);
      return std::string(item(spec.words, static_cast<size_t>(*integer)));
    }
    if (const auto* integers = std::get_if<std::vector<int64_t>>(&value)) {
      return fmt::format("[{}]", fmt::join(*integers, ", "));
    }
    std::vector<std::string> dims;
    for (const Dim& dim : *std::get_if<std::vector<Dim>>(&value)) {
      dims.push_back(to_text(dim, program_.symbols));
    }
    return fmt::format("[{}]", fmt::join(dims, ", "));
  }

  void region(const Region& region, size_t depth) {
    out_ += ' ';
    for (size_t i = 0; i < region.arguments.size(); ++i) {
      defined(region.arguments[i]);
      out_ += i == 0 ? "(" : ", ";
      value(region.arguments[i]);
      write(": {}", text(function_->values[region.arguments[i]]));
    }
    if (!region.arguments.empty()) out_ += ") ";
    body(region, depth);
  }

  void values(const std::vector<ValueId>& ids) {
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i > 0) out_ += ", ";
      value(ids[i]);
    }
  }

  void value(ValueId id) {
    if (id == kNoValue) {
      out_ += '_';
    } else if (id < function_->argument_names.size()) {
      write("%{}", plain_or_quoted(function_->argument_names[id]));
    } else {
      write("%{}", id);
    }
  }

  // Text has no ids of its own: they are what the order of definition makes them.
  void defined(ValueId id) {
    BCAI_ASSERT(id == next_value_ && id < function_->values.size());
    ++next_value_;
  }

  const Program& program_;
  const Function* function_ = nullptr;
  ValueId next_value_ = 0;
  std::string out_;
};

}  // namespace

std::string print_text(const Program& program) { return TextPrinter(program).print(); }

}  // namespace bcai::vm
