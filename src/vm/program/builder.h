// SPDX-License-Identifier: Apache-2.0
// Writes a program instruction by instruction, deriving each result's type by the same rules that
// the verifier applies.
//
//   Builder b("main");
//   const ValueId x = b.argument("x", {DType::kF32, {4, 8}});
//   const ValueId y = b.add(Opcode::kRelu, {x});
//   Result<Program> program = b.finish({{"y", y}});
//
// A refusal is remembered and comes back from finish(); what depends on a refused value is refused
// silently. One thread.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "vm/program/program.h"

namespace bcai::vm {

// Of a dimension that is open. With a step, the symbol counts steps: a dimension of {32, 960, 32}
// is 32 times a symbol of 1 to 30, so that what divides by 32 is known to divide.
struct SymbolRange {
  int64_t min = 1;
  int64_t max = 1;
  int64_t step = 1;
};

class Builder {
 public:
  Builder();

  Dim symbol(Symbol symbol);
  // A number if the range has one alone, else a symbol, whose name `name` becomes.
  // kInvalidArgument when the range is none or there are kSymbolsMax symbols.
  Result<Dim> dimension(std::string_view name, const SymbolRange& range);
  uint32_t file(WeightFile file);

  // Before the first instruction.
  ValueId argument(std::string name, Type type);
  ValueId param(uint32_t file, std::string name, Type type);
  ValueId constant(Type type, std::string bytes);
  // A scalar or vector of numbers.
  ValueId constant_f32(const std::vector<float>& values);
  ValueId constant_i64(const std::vector<int64_t>& values);

  // One result. `stated` is its type for classes whose rule takes it (Reshape, Cast, …).
  // Attributes that equal their default are left out.
  ValueId add(Opcode opcode, std::vector<ValueId> operands, Attributes attributes = {});
  ValueId add_stated(Opcode opcode, std::vector<ValueId> operands, Type stated,
                     Attributes attributes = {});
  // Several.
  std::vector<ValueId> add_all(Opcode opcode, std::vector<ValueId> operands,
                               Attributes attributes = {});

  const Type& type_of(ValueId value) const;
  const Program& program() const { return program_; }
  // For messages: what the importer is at ("node 12 (Conv)"). Kept until the next call.
  void set_origin(std::string origin) { origin_ = std::move(origin); }
  void checkpoint(ValueId value) { program_.checkpoints.push_back(value); }

  // The refusals so far, each with its origin.
  const std::vector<std::string>& problems() const { return problems_; }
  // The same, and forgets them: what was refused is not there, the rest goes on.
  std::vector<std::string> take_problems() { return std::exchange(problems_, {}); }
  Result<Program> finish(const std::vector<std::pair<std::string, ValueId>>& results);

 private:
  ValueId new_value(Type type);
  std::vector<ValueId> append(Opcode opcode, std::vector<ValueId> operands, Attributes attributes,
                              std::vector<Type> stated);

  Program program_;
  std::string origin_;
  std::vector<std::string> problems_;
};

}  // namespace bcai::vm
