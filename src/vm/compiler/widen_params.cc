// SPDX-License-Identifier: Apache-2.0
#include "vm/compiler/passes.h"
#include "vm/compiler/rewriter.h"

namespace bcai::vm {

Program widen_params(const Program& program) {
  std::vector<Param> params = program.params;
  const auto visit = [&](Rewriter& r, const Instruction& old) {
    if (old.opcode != Opcode::kCast) return false;
    const Instruction* const maker = r.definition(r.now(old.operands[0]));
    const Type& result = program.functions[0].values[old.results[0]];
    if (maker == nullptr || maker->opcode != Opcode::kParam || result.dtype != DType::kF32) {
      return false;
    }
    const Param& stored = program.params[maker->reference];
    if (stored.type.dtype != DType::kF16 && stored.type.dtype != DType::kBF16) return false;
    Instruction wide;
    wide.opcode = Opcode::kParam;
    wide.reference = static_cast<uint32_t>(params.size());
    wide.place = old.place;
    params.push_back({stored.file, stored.name, result});
    r.set(old.results[0], r.emit(std::move(wide), {result})[0]);
    return true;
  };
  Program rewritten = Rewriter(program, visit).run();
  rewritten.params = std::move(params);
  return rewritten;
}

}  // namespace bcai::vm
