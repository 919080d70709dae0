// SPDX-License-Identifier: Apache-2.0
// The verifier: the only way from a Program to one that may be compiled and run.
//
// What it guarantees of a BoundProgram: every instruction's operands have the types its rule asks
// for and its results the types it states, so an implementation that honours the types touches
// nothing outside its buffers; it ends, because trip counts are numbers, calls form no cycle and
// there is no other jump; and its gas is a number known before it runs. Indices into tensors are
// data: instructions that take them check them as they run.
//
// One pass over the program, linear in its size, without running anything. The rules have numbers
// (V1 to V30) and are written down in docs/formats/verification.md.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vm/program/program.h"

namespace bcai::vm {

// One refusal and its place: "main, instruction 12 (TensorMatMul)".
struct ProgramFinding {
  std::string_view rule;
  std::string where;
  Place place;  // of text, else zero
  std::string message;
};

// "V12: main, instruction 12 (TensorMatMul), 14:3: a has 3 columns, b has 4 rows", a line each.
std::string findings_text(const std::vector<ProgramFinding>& findings);

inline constexpr size_t kProgramFindingsMax = 50;

// Shared and immutable; copies are cheap. May be read by several threads.
class VerifiedProgram {
 public:
  const Program& program() const { return *program_; }

 private:
  friend std::optional<VerifiedProgram> verify(Program program,
                                               std::vector<ProgramFinding>* findings);
  explicit VerifiedProgram(std::shared_ptr<const Program> program) : program_(std::move(program)) {}
  std::shared_ptr<const Program> program_;
};

// Every dimension is correct for every binding of the symbols, as far as equality can be proved.
// Nothing when there are findings, of which it keeps kProgramFindingsMax.
std::optional<VerifiedProgram> verify(Program program, std::vector<ProgramFinding>* findings);

// A value for each symbol, by name.
using Binding = std::map<std::string, int64_t, std::less<>>;

// A program without symbols, verified again with numbers. Only such a program runs.
class BoundProgram {
 public:
  const Program& program() const { return verified_.program(); }
  const VerifiedProgram& verified() const { return verified_; }

 private:
  friend std::optional<BoundProgram> bind(const VerifiedProgram& program, const Binding& binding,
                                          std::vector<ProgramFinding>* findings);
  explicit BoundProgram(VerifiedProgram verified) : verified_(std::move(verified)) {}
  VerifiedProgram verified_;
};

// Nothing, and findings, when a symbol has no value, a value has no symbol or lies outside its
// range, or a rule does not hold.
std::optional<BoundProgram> bind(const VerifiedProgram& program, const Binding& binding,
                                 std::vector<ProgramFinding>* findings);

// The symbols' largest values.
Binding largest_binding(const Program& program);

// The values of a program's symbols that make its entry's arguments have these shapes. Findings
// when they contradict each other or leave a symbol open.
std::optional<Binding> binding_of_shapes(const Program& program,
                                         const std::vector<std::vector<int64_t>>& shapes,
                                         std::vector<ProgramFinding>* findings);

}  // namespace bcai::vm
