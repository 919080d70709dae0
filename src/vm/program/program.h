// SPDX-License-Identifier: Apache-2.0
// A program: a typed list of instructions in single-assignment form, as data. It may come from
// anywhere and promises nothing; vm/verify turns it into a VerifiedProgram.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "base/result.h"
#include "vm/isa/instruction.h"

namespace bcai::vm {

// A value of a function: its index in Function::values, numbered in the order of definition:
// arguments, then instruction by instruction, first what its regions define (a region's arguments,
// then its instructions), then its results. So an instruction's operands are below all that it
// defines. A region sees what is defined before it in the regions around it, and no region's values
// are seen outside.
using ValueId = uint32_t;
inline constexpr ValueId kNoValue = UINT32_MAX;  // an optional operand that is absent

// Where an instruction stands, for messages.
struct Place {
  // In text: from 1; 0 when the program did not come from text.
  int line = 0;
  int column = 0;
};

struct Instruction;

// Instructions in order; the last one is Return.
struct Region {
  std::vector<ValueId> arguments;
  std::vector<Instruction> instructions;
};

struct Instruction {
  Opcode opcode = Opcode::kReturn;
  std::vector<ValueId> operands;
  Attributes attributes;
  std::vector<ValueId> results;
  // Param: index into Program::params. Const: into Program::constants. Call: into
  // Program::functions. Otherwise 0.
  uint32_t reference = 0;
  std::vector<Region> regions;  // Repeat: one. Cond: two.
  Place place;
};

inline constexpr size_t region_count(Opcode opcode) {
  return opcode == Opcode::kCond ? 2 : opcode == Opcode::kRepeat ? 1 : 0;
}

inline constexpr bool has_reference(Opcode opcode) {
  return opcode == Opcode::kParam || opcode == Opcode::kConst || opcode == Opcode::kCall;
}

struct Function {
  std::string name;
  std::vector<std::string> argument_names;  // one for each body argument, unique
  std::vector<std::string> result_names;    // one for each result, unique
  std::vector<Type> result_types;
  std::vector<Type> values;  // the type of each value
  Region body;
  Place place;
};

struct WeightFile {
  std::string name;  // unique; where it lies is not the program's matter
  Sha256 sha256;
  uint64_t bytes = 0;
};

// A tensor of a weight file.
struct Param {
  uint32_t file = 0;
  std::string name;
  Type type;
};

struct Constant {
  Type type;
  std::string bytes;  // little-endian, row-major
};

struct Program {
  uint16_t major = kFormatMajor;
  uint16_t minor = kFormatMinor;
  std::vector<Symbol> symbols;
  std::vector<WeightFile> files;
  // Each once, none unused, in the order in which the functions' instructions first name them.
  std::vector<Param> params;
  std::vector<Constant> constants;
  std::vector<Function> functions;  // the first is the entry, called "main"
  // The value ids, in main, whose tensors a receipt commits to besides inputs and results.
  std::vector<ValueId> checkpoints;
};

// The limits of rules V1, V3, V5 and V28.
inline constexpr size_t kProgramBytesMax = size_t{16} << 20;
inline constexpr size_t kNameBytesMax = 255;
inline constexpr size_t kInstructionsMax = 65'535;
inline constexpr size_t kFunctionsMax = 256;
inline constexpr size_t kNestingMax = 8;  // of regions; the function's body is not counted
// Of the values (with the results of functions), instructions, types, params and constants of a
// whole program, each: a short file must not ask for much memory.
inline constexpr size_t kProgramEntriesMax = size_t{1} << 18;
inline constexpr size_t kConstantBytesMax = size_t{64} << 10;
inline constexpr size_t kConstantsBytesMax = size_t{1} << 20;

// Equal in all but Place, floats in bits.
bool same_program(const Program& a, const Program& b);

// Whether main can be called with arguments of these types, states given as tensors. An error names
// the first that it cannot take.
Result<void> check_arguments(const Function& main, std::span<const Type> given);

// What one instruction of `function` looks like to the rules. `operands` and `stated` are scratch
// that must outlive the view. Operand ids must be in range.
InstructionView view_of(const Function& function, const Instruction& instruction,
                        std::vector<const Type*>* operands, std::vector<Type>* stated);

}  // namespace bcai::vm
