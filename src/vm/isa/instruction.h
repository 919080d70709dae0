// SPDX-License-Identifier: Apache-2.0
// The instruction set as a table. Everything that must know all instructions reads it.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vm/isa/attribute.h"
#include "vm/isa/dtype.h"
#include "vm/isa/type.h"

namespace bcai::vm {

// The format this build writes; it reads this major and any minor up to its own.
inline constexpr uint16_t kFormatMajor = 1;
inline constexpr uint16_t kFormatMinor = 0;

enum class Opcode : uint16_t {
#define BCAI_INSTRUCTION(code, Name, Class, attributes, dtypes, cost, since, summary) \
  k##Name = code,
#include "vm/isa/instructions.def"
#undef BCAI_INSTRUCTION
};

struct OperandSpec {
  std::string_view name;
  std::string_view shape;  // for the reference page: "[..,M,K]"
  bool optional = false;
  // The rule checks its dtype. All others are T: one dtype for all, out of the instruction's set.
  bool own_dtype = false;
};

// What one instruction was given. Operands that are absent are null.
struct InstructionView {
  Opcode opcode;
  std::span<const Type* const> operands;
  const Attributes& attributes;
  // The result types the program states. Rules of classes with `stated` results take them as input.
  std::span<const Type> stated;
};

// Arithmetic and traffic of one instruction with constant dimensions. An overflow is absent.
struct Work {
  uint64_t flops = 0;
  // Operands read and results written, once each, in bytes. Views move nothing.
  uint64_t bytes = 0;
};

class Judgement;

struct InstructionClass {
  std::string_view name;
  std::vector<OperandSpec> operands;
  bool variadic = false;  // the last operand may be there up to kOperandsMax times
  std::vector<std::string_view> results;
  // The result types are an input of the rule, not derived by it.
  bool stated = false;
  // Only the layout changes: no byte moves unless the compiler must copy.
  bool view = false;
  std::string_view rule;  // the shape rule in words, with the verifier's rule numbers

  // The types of the results; fewer than expected when it refused.
  std::vector<Type> (*infer)(const InstructionView&, Judgement&) = nullptr;
  // Elements of work, each of which costs the instruction's `cost`. Only of what `infer` accepted,
  // with constant dimensions.
  Dim (*work)(const InstructionView&) = nullptr;
};

struct InstructionInfo {
  Opcode opcode;
  std::string_view name;  // as in text
  const InstructionClass* instruction_class;
  const std::vector<AttributeSpec>* attributes;
  DTypeSet dtypes;
  int cost;
  uint16_t since;
  std::string_view summary;
};

inline constexpr size_t kOperandsMax = 32;
inline constexpr size_t kResultsMax = 32;

std::span<const InstructionInfo> instructions();  // in the order of the table
const InstructionInfo* find_instruction(Opcode opcode);
const InstructionInfo* find_instruction(std::string_view name);
const InstructionInfo* instruction_of_code(uint64_t code);
// Of an opcode that is in the table.
const InstructionInfo& info_of(Opcode opcode);

// The value given, or the default. Only after the attributes were checked.
int64_t int_of(const InstructionView& view, Attr attribute);
float float_of(const InstructionView& view, Attr attribute);
const std::vector<int64_t>& ints_of(const InstructionView& view, Attr attribute);
const std::vector<Dim>& dims_of(const InstructionView& view, Attr attribute);

// One refusal: the verifier's rule ("V12"), and what, expected and found.
struct Refusal {
  std::string_view rule;
  std::string message;
};

// A type, shape or dimension whose text is made when a refusal prints it: most rules hold.
template <typename T>
struct Printed {
  const T& value;
  std::span<const Symbol> symbols;
};

// Collects what a rule refuses, and prints types with the program's symbols.
class Judgement {
 public:
  explicit Judgement(std::span<const Symbol> symbols) : symbols_(symbols) {}

  template <typename... Args>
  bool refuse(std::string_view rule, fmt::format_string<Args...> format, Args&&... args) {
    refusals_.push_back({rule, fmt::format(format, std::forward<Args>(args)...)});
    return false;
  }
  // False, and a refusal, when the condition does not hold.
  template <typename... Args>
  bool require(bool condition, std::string_view rule, fmt::format_string<Args...> format,
               Args&&... args) {
    return condition || refuse(rule, format, std::forward<Args>(args)...);
  }

  template <typename T>
  Printed<T> text(const T& value) const {
    return {value, symbols_};
  }
  std::span<const Symbol> symbols() const { return symbols_; }
  // Whether a <= b for every binding, as far as it can be proved.
  bool at_most(const Dim& a, const Dim& b) const;

  const std::vector<Refusal>& refusals() const { return refusals_; }
  std::vector<Refusal> take() { return std::move(refusals_); }

 private:
  std::span<const Symbol> symbols_;
  std::vector<Refusal> refusals_;
};

// Names, kinds, ranges and canonical form of the attributes. False when it refused one.
bool check_attributes(const InstructionView& view, Judgement& judgement);

// Checks count and dtypes of operands, attributes and their ranges, then the shape rule.
// The types of the results, or refusals in `judgement`. Not for the Control class.
std::vector<Type> infer_types(const InstructionView& view, Judgement& judgement);

// Of an instruction whose types are constant and were accepted. Absent on overflow.
std::optional<Work> work_of(const InstructionView& view, std::span<const Type> results);
// What the network charges for it: its FLOPs, at least the bytes it moves when it computes nothing,
// at least 1. Counted on the program as written, so every machine charges the same.
std::optional<uint64_t> gas_of(const InstructionView& view, std::span<const Type> results);

}  // namespace bcai::vm

template <typename T>
struct fmt::formatter<bcai::vm::Printed<T>> : fmt::formatter<std::string_view> {
  auto format(const bcai::vm::Printed<T>& printed, fmt::format_context& context) const {
    return fmt::formatter<std::string_view>::format(to_text(printed.value, printed.symbols),
                                                    context);
  }
};
