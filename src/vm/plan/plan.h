// SPDX-License-Identifier: Apache-2.0
// The execution plan of a bound program, as data: which kernels run in which order, on which bytes.
// It knows no device and no pointer. The compiler makes it (vm/compiler) and a runtime executes it
// (vm/runtime).
//
// A value of the program is an Operand: a dense row-major tensor inside a buffer. Several values
// may share a buffer (views). Buffers in the arena share memory where their lifetimes are apart.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vm/program/program.h"

namespace bcai::vm {

enum class Storage : uint8_t {
  kArena,     // at `offset` of the arena
  kInput,     // argument `index` of main, read where the caller has it
  kState,     // argument `index`, a state: rewritten as the program runs, and a result in the end
  kWeight,    // Program::params[index]
  kConstant,  // Program::constants[index]
  kResult,    // result `index` of main, or checkpoint `index - results`
};
std::string_view storage_name(Storage storage);

struct Buffer {
  Storage storage = Storage::kArena;
  uint32_t index = 0;
  int64_t bytes = 0;
  int64_t offset = 0;
  // The steps it is used in, inclusive: see Launch::step.
  int64_t first = 0;
  int64_t last = -1;  // below `first`: never used
};

inline constexpr uint32_t kNoBuffer = UINT32_MAX;

struct Operand {
  uint32_t buffer = kNoBuffer;  // absent when there is none
  int64_t offset = 0;           // in bytes
  Type type;

  bool present() const { return buffer != kNoBuffer; }
  int64_t bytes() const { return type.bytes().value(); }
  bool same_place(const Operand& other) const {
    return buffer == other.buffer && offset == other.offset;
  }
};

// One operation of a map: value numbers below the count of inputs are inputs, then come the steps'.
struct MapStep {
  Opcode opcode;
  Attributes attributes;
  std::vector<uint32_t> operands;
  DType operand_dtype;  // of the last operand
  DType dtype;          // of the result
};

enum class LaunchKind : uint8_t {
  kInstruction,  // `opcode` with `attributes`, as the instruction means, with `residual`; then Relu
  kMap,          // `steps` for each element of the results, inputs broadcast
  kCopy,         // operand 0 to result 0, as bytes
  kRepeat,       // bodies[0], `trip` times; with `until`, until operand 0 holds
  kCond,         // bodies[0] if operand 0 holds, else bodies[1]
};

struct Launch;
using Sequence = std::vector<Launch>;

struct Launch {
  LaunchKind kind = LaunchKind::kInstruction;
  Opcode opcode = Opcode::kReturn;
  Attributes attributes;
  std::vector<Operand> operands;
  std::vector<Operand> results;
  // Of the result's type: added after bias and activation, or by a norm to operand 0 before all.
  Operand residual;
  bool relu = false;  // of the sum with the residual
  // Operand 0, the residual and the result are [N,..,C] where the instruction has [N,C,..].
  bool channels_last = false;
  std::vector<MapStep> steps;     // kMap
  std::vector<uint32_t> outputs;  // kMap: the value number of each result
  std::vector<Sequence> bodies;
  int64_t trip = 0;
  bool until = false;
  // The instructions of Plan::program it stands for, by their number in main, regions counted in.
  std::vector<uint32_t> instructions;
  // Of one execution, without bodies.
  uint64_t flops = 0;
  uint64_t bytes = 0;
  // Its place in the order in which launches are met, a body before the end of its Repeat or Cond.
  // `end` is `step` where there are no bodies.
  int64_t step = 0;
  int64_t end = 0;
};

struct Plan {
  Program program;  // main alone, after the passes; its params and constants are what buffers name
  std::vector<Buffer> buffers;
  Sequence main;
  std::vector<Operand> results;
  std::vector<Operand> checkpoints;
  int64_t arena_bytes = 0;
  int64_t live_bytes_max = 0;  // what no plan can go below
};

// How an operand of a map meets the elements of the result, where it is one of these ways: element
// i meets i, 0, i mod period, i / period.
enum class Repetition : uint8_t { kWhole, kScalar, kRow, kColumn };
struct Broadcasting {
  Repetition repetition = Repetition::kWhole;
  int64_t period = 1;
};
std::optional<Broadcasting> broadcasting_of(const Shape& operand, const Shape& result);

// "TensorMatMul + residual", "map of 3: Mul, Add, Tanh".
std::string launch_name(const Launch& launch);

// What a runtime knows of a launch besides.
struct LaunchNote {
  std::string_view backend;
  double microseconds = 0;  // as estimated
};

// A table of launches with buffers, work and lifetimes, for people; with `notes`, by step, where
// each launch runs and how long it should take.
std::string explain(const Plan& plan, const std::vector<LaunchNote>& notes = {});

}  // namespace bcai::vm
