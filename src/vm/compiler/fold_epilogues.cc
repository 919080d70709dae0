// SPDX-License-Identifier: Apache-2.0
// Bias and activation round on their own in the fused instruction too (rule R3), so no bit changes.
#include <optional>

#include "vm/compiler/passes.h"
#include "vm/compiler/rewriter.h"
#include "vm/isa/choices.h"

namespace bcai::vm {
namespace {

bool is_product(const Instruction* maker) {
  return maker != nullptr &&
         (maker->opcode == Opcode::kTensorMatMul || maker->opcode == Opcode::kConvolutionForward ||
          maker->opcode == Opcode::kConvolutionTranspose);
}

std::optional<Activation> activation_of(const Instruction& instruction) {
  switch (instruction.opcode) {
    case Opcode::kRelu: return Activation::kRelu;
    case Opcode::kGelu:
      return instruction.attributes.find(Attr::kApproximate) == nullptr ? Activation::kGeluErf
                                                                        : Activation::kGeluTanh;
    case Opcode::kSilu: return Activation::kSilu;
    case Opcode::kSigmoid: return Activation::kSigmoid;
    case Opcode::kTanh: return Activation::kTanh;
    case Opcode::kHardSwish: return Activation::kHardSwish;
    default: return std::nullopt;
  }
}

// Whether `bias` has one number for each index of the product's axis and 1 elsewhere.
bool is_bias(const Shape& bias, const Shape& product, size_t axis) {
  if (bias.rank() > product.rank()) return false;
  const size_t lead = product.rank() - bias.rank();
  if (axis < lead) return false;
  for (size_t i = 0; i < bias.rank(); ++i) {
    if (!(bias[i] == (i + lead == axis ? product[axis] : Dim(1)))) return false;
  }
  return true;
}

class Folding {
 public:
  explicit Folding(const Program& program) : uses_(count_uses(program)) {}

  bool visit(Rewriter& r, const Instruction& old) const {
    if (old.opcode == Opcode::kAdd) return fold_bias(r, old, 0) || fold_bias(r, old, 1);
    const std::optional<Activation> activation = activation_of(old);
    if (!activation || uses_[old.operands[0]] != 1) return false;
    const Instruction* const maker = r.definition(r.now(old.operands[0]));
    if (!is_product(maker) || maker->attributes.find(Attr::kActivation) != nullptr) return false;
    Instruction fused = *maker;
    fused.attributes.set(Attr::kActivation, static_cast<int64_t>(*activation));
    replace(r, old, std::move(fused));
    return true;
  }

 private:
  bool fold_bias(Rewriter& r, const Instruction& add, size_t side) const {
    const Instruction* const maker = r.definition(r.now(add.operands[side]));
    if (!is_product(maker) || uses_[add.operands[side]] != 1 ||
        add.operands[0] == add.operands[1]) {
      return false;
    }
    const bool has_bias = maker->operands.size() > 2 && maker->operands[2] != kNoValue;
    if (has_bias || maker->attributes.find(Attr::kActivation) != nullptr) return false;
    const Shape product = r.type_of(maker->results[0]).shape;
    const size_t axis = maker->opcode == Opcode::kTensorMatMul ? product.rank() - 1 : 1;
    ValueId bias = r.now(add.operands[1 - side]);
    if (!is_bias(r.type_of(bias).shape, product, axis)) return false;
    Instruction fused = *maker;
    if (r.type_of(bias).shape.rank() != 1) {
      Instruction flat;
      flat.opcode = Opcode::kReshape;
      flat.operands = {bias};
      bias = r.emit(std::move(flat), {{DType::kF32, {product[axis]}}})[0];
    }
    fused.operands.resize(2);
    fused.operands.push_back(bias);
    replace(r, add, std::move(fused));
    return true;
  }

  // The product once more, in the place of what it takes over; the first one is dead now.
  static void replace(Rewriter& r, const Instruction& old, Instruction fused) {
    const Type type = r.type_of(fused.results[0]);
    r.set(old.results[0], r.emit(std::move(fused), {type})[0]);
  }

  const std::vector<uint32_t> uses_;
};

}  // namespace

Program fold_epilogues(const Program& program) {
  const Folding folding(program);
  const auto visit = [&](Rewriter& r, const Instruction& old) { return folding.visit(r, old); };
  return Rewriter(program, visit).run();
}

}  // namespace bcai::vm
