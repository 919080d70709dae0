// SPDX-License-Identifier: Apache-2.0
#include "vm/verify/cost.h"

#include <algorithm>

namespace bcai::vm {
namespace {

bool add(uint64_t& sum, uint64_t value) { return !__builtin_add_overflow(sum, value, &sum); }
bool multiply(uint64_t& product, uint64_t value) {
  return !__builtin_mul_overflow(product, value, &product);
}

bool add(Cost& sum, const Cost& more) {
  return add(sum.flops, more.flops) && add(sum.bytes, more.bytes) && add(sum.gas, more.gas) &&
         add(sum.instructions, more.instructions);
}

Cost larger(const Cost& a, const Cost& b) {
  return {std::max(a.flops, b.flops), std::max(a.bytes, b.bytes), std::max(a.gas, b.gas),
          std::max(a.instructions, b.instructions)};
}

class CostCounter {
 public:
  explicit CostCounter(const Program& program)
      : program_(program), functions_(program.functions.size()) {}

  // Calls go to later functions only, so the last is counted first.
  std::optional<Cost> run() {
    for (size_t i = functions_.size(); i-- > 0;) {
      if (!count(program_.functions[i], program_.functions[i].body, functions_[i])) {
        return std::nullopt;
      }
    }
    Cost cost = functions_[0];
    for (const Param& param : program_.params) {
      if (!add(cost.weight_bytes, static_cast<uint64_t>(param.type.bytes().value()))) {
        return std::nullopt;
      }
    }
    return cost;
  }

 private:
  bool count(const Function& function, const Region& region, Cost& sum) {
    for (const Instruction& instruction : region.instructions) {
      Cost cost;
      if (!count(function, instruction, cost) || !add(sum, cost)) return false;
    }
    return true;
  }

  bool count(const Function& function, const Instruction& instruction, Cost& cost) {
    if (instruction.opcode == Opcode::kReturn) return true;
    cost.gas = 1;
    cost.instructions = 1;
    if (instruction.opcode == Opcode::kCall) return add(cost, functions_[instruction.reference]);
    if (instruction.opcode == Opcode::kCond) {
      Cost first;
      Cost second;
      return count(function, instruction.regions[0], first) &&
             count(function, instruction.regions[1], second) && add(cost, larger(first, second));
    }
    if (instruction.opcode == Opcode::kRepeat) {
      // A trip costs something in itself: a region may be empty.
      Cost body{.gas = 1, .instructions = 1};
      const auto& trip = *std::get_if<std::vector<Dim>>(instruction.attributes.find(Attr::kTrip));
      const auto times = static_cast<uint64_t>(trip[0].value());
      return count(function, instruction.regions[0], body) && multiply(body.flops, times) &&
             multiply(body.bytes, times) && multiply(body.gas, times) &&
             multiply(body.instructions, times) && add(cost, body);
    }
    const InstructionView view = view_of(function, instruction, &operands_, &stated_);
    results_.clear();
    for (const ValueId id : instruction.results) results_.push_back(function.values[id]);
    const std::optional<Work> work = work_of(view, results_);
    const std::optional<uint64_t> gas = gas_of(view, results_);
    if (!work || !gas) return false;
    cost = {work->flops, work->bytes, *gas, 1};
    return true;
  }

  const Program& program_;
  std::vector<Cost> functions_;
  std::vector<const Type*> operands_;
  std::vector<Type> stated_;
  std::vector<Type> results_;
};

}  // namespace

std::optional<Cost> cost_of(const BoundProgram& program) {
  return CostCounter(program.program()).run();
}

}  // namespace bcai::vm
