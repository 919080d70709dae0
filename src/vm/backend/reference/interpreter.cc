// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/reference/interpreter.h"

#include <algorithm>

#include "vm/backend/reference/step.h"

namespace bcai::vm::reference {
namespace {

class Interpreter {
 public:
  Interpreter(const Program& program, const WeightSource& weights, const Observer& observer)
      : program_(program), weights_(weights), observer_(observer) {}

  Result<std::vector<Tensor>> call(const Function& function, std::span<const Tensor> arguments) {
    std::vector<Tensor> values(function.values.size());
    std::copy(arguments.begin(), arguments.end(), values.begin());
    return run_region(function, function.body, values);
  }

 private:
  // The operands of its Return.
  Result<std::vector<Tensor>> run_region(const Function& function, const Region& region,
                                         std::vector<Tensor>& values) {
    for (const Instruction& instruction : region.instructions) {
      if (instruction.opcode == Opcode::kReturn) return operands_of(instruction, values);
      BCAI_TRY_ASSIGN(std::vector<Tensor> results, run_instruction(function, instruction, values));
      for (size_t i = 0; i < results.size(); ++i) {
        values[instruction.results[i]] = std::move(results[i]);
        if (observer_ && &region == &program_.functions[0].body) {
          observer_(instruction.results[i], values[instruction.results[i]]);
        }
      }
    }
    BCAI_ASSERT(false);
  }

  static std::vector<Tensor> operands_of(const Instruction& instruction,
                                         const std::vector<Tensor>& values) {
    std::vector<Tensor> operands;
    for (const ValueId id : instruction.operands) operands.push_back(values[id]);
    return operands;
  }

  Result<std::vector<Tensor>> run_instruction(const Function& function,
                                              const Instruction& instruction,
                                              std::vector<Tensor>& values) {
    switch (instruction.opcode) {
      case Opcode::kParam: {
        const Param& param = program_.params[instruction.reference];
        BCAI_TRY_ASSIGN(Tensor tensor, weights_(program_.files[param.file], param));
        return std::vector<Tensor>{std::move(tensor)};
      }
      case Opcode::kConst: {
        const Constant& constant = program_.constants[instruction.reference];
        return std::vector<Tensor>{Tensor::copy_of(constant.type, constant.bytes)};
      }
      case Opcode::kCall:
        return call(program_.functions[instruction.reference], operands_of(instruction, values));
      case Opcode::kCond: {
        const bool holds = values[instruction.operands[0]].data<uint8_t>()[0] != 0;
        return run_region(function, instruction.regions[holds ? 0 : 1], values);
      }
      case Opcode::kRepeat: return run_repeat(function, instruction, values);
      default: return run_kernel(function, instruction, values);
    }
  }

  Result<std::vector<Tensor>> run_repeat(const Function& function, const Instruction& instruction,
                                         std::vector<Tensor>& values) {
    const auto& trip = *std::get_if<std::vector<Dim>>(instruction.attributes.find(Attr::kTrip));
    const bool until = instruction.attributes.find(Attr::kUntil) != nullptr;
    const Region& region = instruction.regions[0];
    std::vector<Tensor> carried = operands_of(instruction, values);
    for (int64_t i = 0; i < trip[0].value(); ++i) {
      for (size_t k = 0; k < carried.size(); ++k) values[region.arguments[k]] = carried[k];
      BCAI_TRY_ASSIGN(carried, run_region(function, region, values));
      if (!until) continue;
      const bool leave = carried[0].data<uint8_t>()[0] != 0;
      carried.erase(carried.begin());
      if (leave) break;
    }
    return carried;
  }

  Result<std::vector<Tensor>> run_kernel(const Function& function, const Instruction& instruction,
                                         const std::vector<Tensor>& values) {
    std::vector<const Type*> types;
    std::vector<Type> stated;
    const InstructionView view = view_of(function, instruction, &types, &stated);
    std::vector<const Tensor*> operands;
    for (const ValueId id : instruction.operands) {
      operands.push_back(id == kNoValue ? nullptr : &values[id]);
    }
    std::vector<Tensor> results;
    for (const ValueId id : instruction.results) {
      results.push_back(Tensor::of_type(function.values[id]));
    }
    BCAI_TRY(kernel_of(instruction.opcode)({view, operands, results}));
    return results;
  }

  const Program& program_;
  const WeightSource& weights_;
  const Observer& observer_;
};

}  // namespace

Result<std::vector<Tensor>> run(const BoundProgram& program, std::span<const Tensor> inputs,
                                const WeightSource& weights, const Observer& observer) {
  const Function& main = program.program().functions[0];
  BCAI_TRY(check_arguments(main, types_of(inputs)));
  return Interpreter(program.program(), weights, observer).call(main, inputs);
}

}  // namespace bcai::vm::reference
