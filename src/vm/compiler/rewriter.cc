// SPDX-License-Identifier: Apache-2.0
#include "vm/compiler/rewriter.h"

#include <utility>

namespace bcai::vm {

Rewriter::Rewriter(const Program& program, Visit visit)
    : program_(program), visit_(std::move(visit)), from_(&program.functions[0]) {}

Program Rewriter::run() {
  main_.name = from_->name;
  main_.argument_names = from_->argument_names;
  main_.result_names = from_->result_names;
  main_.result_types = from_->result_types;
  main_.place = from_->place;
  map_.assign(from_->values.size(), kNoValue);
  copy_region(from_->body, main_.body);
  Program result;
  result.major = program_.major;
  result.minor = program_.minor;
  result.symbols = program_.symbols;
  result.files = program_.files;
  result.params = program_.params;
  result.constants = program_.constants;
  for (const ValueId id : program_.checkpoints) result.checkpoints.push_back(now(id));
  result.functions.push_back(std::move(main_));
  return result;
}

std::vector<ValueId> Rewriter::now(const std::vector<ValueId>& old) const {
  std::vector<ValueId> values;
  for (const ValueId id : old) values.push_back(now(id));
  return values;
}

const Instruction* Rewriter::definition(ValueId value) const {
  return definition_of_[value] == UINT32_MAX ? nullptr : &definitions_[definition_of_[value]];
}

ValueId Rewriter::new_value(const Type& type) {
  main_.values.push_back(type);
  definition_of_.push_back(UINT32_MAX);
  return static_cast<ValueId>(main_.values.size() - 1);
}

std::vector<ValueId> Rewriter::emit(Instruction instruction, const std::vector<Type>& types) {
  ++emitted_;
  instruction.results.clear();
  for (const Type& type : types) {
    instruction.results.push_back(new_value(type));
    definition_of_.back() = static_cast<uint32_t>(definitions_.size());
  }
  std::vector<ValueId> results = instruction.results;
  definitions_.push_back({instruction.opcode,
                          instruction.operands,
                          instruction.attributes,
                          instruction.results,
                          instruction.reference,
                          {},
                          instruction.place});
  region_->instructions.push_back(std::move(instruction));
  return results;
}

void Rewriter::copy_with(const Instruction& old, std::vector<ValueId> operands,
                         Attributes attributes) {
  Instruction instruction;
  instruction.opcode = old.opcode;
  instruction.operands = std::move(operands);
  instruction.attributes = std::move(attributes);
  instruction.reference = old.reference;
  instruction.place = old.place;
  std::vector<Region> regions(old.regions.size());
  for (size_t i = 0; i < regions.size(); ++i) copy_region(old.regions[i], regions[i]);
  instruction.regions = std::move(regions);
  std::vector<Type> types;
  for (const ValueId id : old.results) types.push_back(from_->values[id]);
  const std::vector<ValueId> results = emit(std::move(instruction), types);
  for (size_t i = 0; i < results.size(); ++i) set(old.results[i], results[i]);
}

void Rewriter::copy(const Instruction& old) { copy_with(old, now(old.operands), old.attributes); }

void Rewriter::copy_region(const Region& old, Region& region) {
  Region* const outer = std::exchange(region_, &region);
  ++depth_;
  for (const ValueId id : old.arguments) {
    set(id, new_value(from_->values[id]));
    region.arguments.push_back(now(id));
  }
  visit_instructions(old);
  --depth_;
  region_ = outer;
}

void Rewriter::visit_instructions(const Region& region) {
  for (const Instruction& instruction : region.instructions) {
    if (!visit_(*this, instruction)) copy(instruction);
  }
}

std::vector<ValueId> Rewriter::splice(const Function& callee,
                                      const std::vector<ValueId>& arguments) {
  const Function* const caller = std::exchange(from_, &callee);
  std::vector<ValueId> outer =
      std::exchange(map_, std::vector<ValueId>(callee.values.size(), kNoValue));
  for (size_t i = 0; i < arguments.size(); ++i) set(callee.body.arguments[i], arguments[i]);
  std::vector<ValueId> returned;
  for (const Instruction& instruction : callee.body.instructions) {
    if (instruction.opcode == Opcode::kReturn) {
      returned = now(instruction.operands);
    } else if (!visit_(*this, instruction)) {
      copy(instruction);
    }
  }
  from_ = caller;
  map_ = std::move(outer);
  return returned;
}

namespace {

void count_region(const Region& region, std::vector<uint32_t>& uses) {
  for (const Instruction& instruction : region.instructions) {
    for (const ValueId id : instruction.operands) {
      if (id != kNoValue) ++uses[id];
    }
    for (const Region& inner : instruction.regions) count_region(inner, uses);
  }
}

}  // namespace

std::vector<uint32_t> count_uses(const Program& program) {
  std::vector<uint32_t> uses(program.functions[0].values.size());
  count_region(program.functions[0].body, uses);
  for (const ValueId id : program.checkpoints) ++uses[id];
  return uses;
}

}  // namespace bcai::vm
