// SPDX-License-Identifier: Apache-2.0
// Copies main instruction by instruction, with new value numbers in the canonical order. A pass
// says what to do differently. Values of the old main are "old", of the new one "now".
#pragma once

#include <functional>
#include <vector>

#include "vm/program/program.h"

namespace bcai::vm {

class Rewriter {
 public:
  // True if it has dealt with the instruction and its results; else the instruction is copied.
  using Visit = std::function<bool(Rewriter& rewriter, const Instruction& old)>;

  // `program` must outlive the rewriter.
  Rewriter(const Program& program, Visit visit);

  // The program with main rewritten and checkpoints renumbered.
  Program run();

  // What the passes' visits call.
  ValueId now(ValueId old) const { return old == kNoValue ? kNoValue : map_[old]; }
  std::vector<ValueId> now(const std::vector<ValueId>& old) const;
  void set(ValueId old, ValueId value) { map_[old] = value; }
  const Type& type_of(ValueId value) const { return main_.values[value]; }
  // The instruction, without regions, that made a value of the new main; null for arguments.
  const Instruction* definition(ValueId value) const;
  // Appends an instruction whose operands are new values; its results get numbers.
  std::vector<ValueId> emit(Instruction instruction, const std::vector<Type>& types);
  // The old instruction with the new operands and other attributes; its results stand for the old.
  void copy_with(const Instruction& old, std::vector<ValueId> operands, Attributes attributes);
  // Appends the body of another function; returns what it returns.
  std::vector<ValueId> splice(const Function& callee, const std::vector<ValueId>& arguments);
  size_t emitted() const { return emitted_; }
  // 1 in main's own region, 2 in a region of that, …
  size_t depth() const { return depth_; }

 private:
  ValueId new_value(const Type& type);
  void copy(const Instruction& old);
  void copy_region(const Region& old, Region& region);
  void visit_instructions(const Region& region);

  const Program& program_;
  Visit visit_;
  const Function* from_;
  Function main_;
  Region* region_ = nullptr;
  std::vector<ValueId> map_;
  std::vector<Instruction> definitions_;  // without regions
  std::vector<uint32_t> definition_of_;   // by new value; UINT32_MAX for arguments
  size_t emitted_ = 0;
  size_t depth_ = 0;
};

// How often each value of main is an operand, Returns and checkpoints included.
std::vector<uint32_t> count_uses(const Program& program);

}  // namespace bcai::vm
