// SPDX-License-Identifier: Apache-2.0
#include "vm/generator/generator.h"

#include <cstring>
#include <limits>

#include "vm/generator/writer.h"

namespace bcai::vm {
namespace {

constexpr int kAttemptsMax = 400;
constexpr int kCalleeInstructions = 4;

class ProgramWriter {
 public:
  ProgramWriter(uint64_t seed, const GeneratorOptions& options) : random_(seed), options_(options) {
    program_.files.push_back({"weights", {}, 0});
  }

  Program run() {
    const int64_t callees = random_.chance(40) ? random_.between(1, 2) : 0;
    program_.functions.resize(static_cast<size_t>(callees) + 1);
    // A function may call later ones alone, so the last is written first.
    for (current_ = callees; current_ >= 0; --current_) {
      const bool main = current_ == 0;
      program_.functions[static_cast<size_t>(current_)] =
          write_function(main ? "main" : fmt::format("f{}", current_),
                         main ? options_.instructions : kCalleeInstructions);
    }
    return std::move(program_);
  }

 private:
  Function write_function(std::string name, int instructions) {
    Writer w(program_, std::move(name), random_, options_);
    for (int64_t i = random_.between(1, 3); i > 0; --i) w.argument(w.random_type(kAny));
    if (random_.chance(40)) {
      Type state{
          DType::kF32,
          {Dim(random_.between(1, 2)), Dim(random_.between(3, 9)), Dim(random_.between(1, 9))}};
      state.is_state = true;
      w.argument(state);
    }
    write_instructions(w, instructions);
    std::vector<ValueId> results;
    for (int64_t i = random_.between(1, 4); i > 0; --i) results.push_back(w.any(kAny));
    results.insert(results.end(), w.states().begin(), w.states().end());
    return w.finish(results);
  }

  void write_instructions(Writer& w, int count) {
    for (int done = 0, attempts = 0; done < count && attempts < kAttemptsMax; ++attempts) {
      if (w.depth() <= 2 && random_.chance(5)) {
        write_repeat(w);
        ++done;
      } else if (w.depth() <= 2 && random_.chance(5)) {
        write_cond(w);
        ++done;
      } else if (program_.functions.size() > 1 && random_.chance(8)) {
        done += write_call(w) ? 1 : 0;
      } else {
        done += write_operation(w) ? 1 : 0;
      }
    }
  }

  ValueId predicate(Writer& w) { return w.make({DType::kBool, {}}); }

  void write_repeat(Writer& w) {
    Instruction repeat;
    repeat.opcode = Opcode::kRepeat;
    std::vector<Type> types;
    for (int64_t i = random_.between(1, 3); i > 0; --i) repeat.operands.push_back(w.any(kComputed));
    repeat.operands.insert(repeat.operands.end(), w.states().begin(), w.states().end());
    w.states().clear();
    for (const ValueId id : repeat.operands) types.push_back(w.type_of(id));
    w.begin_region(types);
    write_instructions(w, static_cast<int>(random_.between(1, 4)));
    const std::vector<ValueId> states = w.states();
    std::vector<ValueId> yields;
    const bool until = random_.chance(40);
    if (until) yields.push_back(predicate(w));
    size_t state = 0;
    for (const Type& type : types) yields.push_back(type.is_state ? states[state++] : w.make(type));
    repeat.regions.push_back(w.end_region(yields));
    w.states().clear();
    repeat.attributes.set(Attr::kTrip, std::vector<Dim>{Dim(random_.between(0, 4))});
    if (until) repeat.attributes.set(Attr::kUntil, int64_t{1});
    w.emit_control(std::move(repeat), types);
  }

  void write_cond(Writer& w) {
    Instruction cond;
    cond.opcode = Opcode::kCond;
    cond.operands = {predicate(w)};
    std::vector<Type> types;
    for (int64_t i = random_.between(1, 2); i > 0; --i) types.push_back(w.type_of(w.any(kAny)));
    const std::vector<ValueId> states = std::move(w.states());
    w.states().clear();
    for (int i = 0; i < 2; ++i) {
      w.begin_region({});
      write_instructions(w, static_cast<int>(random_.between(0, 4)));
      std::vector<ValueId> yields;
      for (const Type& type : types) yields.push_back(w.make(type));
      cond.regions.push_back(w.end_region(yields));
    }
    w.states() = states;
    w.emit_control(std::move(cond), types);
  }

  bool write_call(Writer& w) {
    Instruction call;
    call.opcode = Opcode::kCall;
    const auto last = static_cast<int64_t>(program_.functions.size()) - 1;
    if (current_ == last) return false;
    call.reference = static_cast<uint32_t>(random_.between(current_ + 1, last));
    const Function& callee = program_.functions[call.reference];
    for (const ValueId id : callee.body.arguments) {
      if (!callee.values[id].is_state) {
        call.operands.push_back(w.make(callee.values[id]));
        continue;
      }
      // The caller has a state of that type only by luck.
      ValueId found = kNoValue;
      for (const ValueId state : w.states()) {
        if (w.type_of(state) == callee.values[id]) found = state;
      }
      if (found == kNoValue) return false;
      std::erase(w.states(), found);
      call.operands.push_back(found);
    }
    const std::vector<Type> results = callee.result_types;
    w.emit_control(std::move(call), results);
    return true;
  }

  Random random_;
  const GeneratorOptions& options_;
  Program program_;
  int64_t current_ = 0;  // the function that is being written
};

float random_float(Random& random) {
  const float specials[] = {0.0F,
                            -0.0F,
                            std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN(),
                            1e-40F,
                            3e38F,
                            -1e-38F};
  if (random.chance(1)) return specials[random.below(std::size(specials))];
  const auto mantissa = static_cast<float>(random.between(-(1 << 23), 1 << 23)) * 0x1p-23F;
  return mantissa * (random.chance(90) ? 1.0F : 20.0F);
}

}  // namespace

uint64_t Random::next() {
  state_ += 0x9e3779b97f4a7c15U;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

Program random_program(uint64_t seed, const GeneratorOptions& options) {
  return ProgramWriter(seed, options).run();
}

Tensor random_tensor(const Type& type, uint64_t seed) {
  Random random(seed);
  Tensor tensor = Tensor::of_type(type);
  const auto size = static_cast<size_t>(dtype_bytes(type.dtype));
  // Specials in few tensors: they spread over all that follows.
  const bool special = random.chance(10);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    std::byte* const at = tensor.bytes().data() + static_cast<size_t>(i) * size;
    if (type.dtype == DType::kF32) {
      float value = random_float(random);
      if (!special && !(value > -1e3F && value < 1e3F)) value = 0.5F;
      std::memcpy(at, &value, size);
    } else if (type.dtype == DType::kF16 || type.dtype == DType::kBF16) {
      const auto bits = static_cast<uint16_t>((random.next() & 0x8fffU) | 0x3000U);
      std::memcpy(at, &bits, size);
    } else {
      const int64_t low = type.dtype == DType::kU8 || type.dtype == DType::kBool ? 0 : -100;
      const int64_t value = random.between(low, type.dtype == DType::kBool ? 1 : 100);
      std::memcpy(at, &value, size);
    }
  }
  return tensor;
}

std::vector<Tensor> random_inputs(const Program& program, uint64_t seed) {
  const Function& main = program.functions[0];
  std::vector<Tensor> inputs;
  for (const ValueId id : main.body.arguments) {
    inputs.push_back(random_tensor(main.values[id], seed + inputs.size()));
  }
  return inputs;
}

}  // namespace bcai::vm
