// SPDX-License-Identifier: Apache-2.0
// Writes one function of a random program: what can be seen from here, and the next instruction.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "vm/generator/generator.h"

namespace bcai::vm {

class Writer {
 public:
  // Params and constants go into `program`.
  Writer(Program& program, std::string name, Random& random, const GeneratorOptions& options);

  Random& random() { return random_; }
  const GeneratorOptions& options() const { return options_; }
  const Type& type_of(ValueId value) const { return function_.values[value]; }
  ValueId argument(const Type& type);
  // Ends main with a Return of `results`.
  Function finish(const std::vector<ValueId>& results);

  // Empty when the rule of the instruction refuses it.
  std::vector<ValueId> emit(Opcode opcode, std::vector<ValueId> operands,
                            Attributes attributes = {}, std::vector<Type> stated = {});
  ValueId constant(const Type& type, std::string bytes);
  // Values in [0, extent), sometimes outside. `extent` may be 0.
  ValueId indices(DType dtype, const std::vector<int64_t>& dims, int64_t extent);

  // A tensor in sight that the condition holds for; or nothing.
  std::optional<ValueId> pick(const std::function<bool(const Type&)>& condition);
  // A tensor of this type: one in sight, a weight or a constant.
  ValueId make(const Type& type);
  // Any tensor of one of these dtypes and at least this rank.
  ValueId any(DTypeSet dtypes, size_t rank_min = 0);
  std::vector<int64_t> random_dims(size_t rank_min, size_t rank_max);
  Type random_type(DTypeSet dtypes, size_t rank_min = 0);

  // For regions: values made inside are out of sight after end_region().
  void begin_region(const std::vector<Type>& arguments);
  Region end_region(const std::vector<ValueId>& returned);
  const std::vector<ValueId>& region_arguments() const { return open_.back().region.arguments; }
  // An instruction with regions that are closed.
  std::vector<ValueId> emit_control(Instruction instruction, const std::vector<Type>& results);

  // States are used once: taken out of sight, and back with their successor.
  std::vector<ValueId>& states() { return states_; }
  size_t depth() const { return open_.size(); }

 private:
  struct Open {
    Region region;
    size_t seen;  // how many values were in sight before
  };
  ValueId new_value(const Type& type);
  ValueId emit_listed(Opcode opcode, size_t reference, const Type& type);

  Program& program_;
  Random& random_;
  const GeneratorOptions& options_;
  Function function_;
  std::vector<Open> open_;
  std::vector<ValueId> seen_;
  std::vector<ValueId> states_;
};

// Appends a random instruction of the table, not of control flow. False when it came out invalid.
bool write_operation(Writer& writer);

}  // namespace bcai::vm
