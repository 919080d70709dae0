// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "vm/onnx/families.h"

namespace bcai::vm::onnx {
namespace {

// A bound of Clip: an attribute before opset 11, then an operand.
struct Bound {
  ValueId value = kNoValue;  // absent: no bound
  std::optional<float> number;
};

Bound read_bound(Site& site, size_t input, std::string_view attribute) {
  Bound bound;
  if (site.opset() < 11) {
    if (!site.has_attribute(attribute)) return bound;
    bound.number = site.real(attribute, 0);
    bound.value = site.scalar(*bound.number);
  } else if (site.has(input)) {
    if (const auto floats = site.floats(input); floats && floats->size() == 1) {
      bound.number = (*floats)[0];
    }
    if (!bound.number) bound.value = site.in(input);
    if (bound.number && std::isfinite(*bound.number)) bound.value = site.scalar(*bound.number);
  }
  return bound;
}

ValueId positive(Site& site) { return site.add(Opcode::kRelu, {site.in(0)}); }
ValueId negative(Site& site) { return site.add(Opcode::kMin, {site.in(0), site.scalar(0)}); }

// alpha * (e^min(x / scale, 0) - 1)
ValueId exponential(Site& site, float alpha, float scale) {
  ValueId below = negative(site);
  if (scale != 1.0F) below = site.add(Opcode::kDiv, {below, site.scalar(scale)});
  const ValueId power = site.add(Opcode::kExp, {below});
  const ValueId shifted = site.add(Opcode::kSub, {power, site.scalar(1)});
  return site.add(Opcode::kMul, {shifted, site.scalar(alpha)});
}

void softmax(Site& site, bool log) {
  if (!site.require(0, "input")) return;
  const bool one_axis = site.opset() >= 13;
  const size_t rank = site.rank(0);
  const auto axis = site.axis_in(site.integer("axis", one_axis ? -1 : 1), rank);
  if (!axis) return;
  const auto emit = [&](ValueId x, size_t along) {
    return site.add(
        Opcode::kSoftmax, {x},
        attributes({{Attr::kAxis, static_cast<int64_t>(along)}, {Attr::kLog, int64_t{log}}}));
  };
  if (one_axis || *axis + 1 == rank) {
    site.out(0, emit(site.in(0), *axis));
    return;
  }
  // Before opset 13 the axes from `axis` on count as one.
  const Shape shape = site.shape(0);
  const ValueId flat =
      site.reshape(site.in(0), {shape.elements(0, *axis), shape.elements(*axis, rank)});
  site.out(0, site.reshape(emit(flat, 1), dims_of_shape(shape)));
}

}  // namespace

void import_clip(Site& site) {
  if (!site.require(0, "input")) return;
  const Bound low = read_bound(site, 1, "min");
  const Bound high = read_bound(site, 2, "max");
  const bool numbers = low.number && high.number && std::isfinite(*low.number) &&
                       std::isfinite(*high.number) && *low.number <= *high.number;
  if (numbers && site.type(0).dtype == DType::kF32) {
    site.out(0, site.add(Opcode::kClamp, {site.in(0)},
                         attributes({{Attr::kMin, *low.number}, {Attr::kMax, *high.number}})));
    return;
  }
  ValueId value = site.in(0);
  if (low.value != kNoValue) value = site.add(Opcode::kMax, {value, low.value});
  if (high.value != kNoValue) value = site.add(Opcode::kMin, {value, high.value});
  if (low.value == kNoValue && high.value == kNoValue) {
    site.out_same(0, 0);
  } else {
    site.out(0, value);
  }
}

void import_hard_sigmoid(Site& site) {
  if (!site.require(0, "x")) return;
  site.out(0, site.add(Opcode::kHardSigmoid, {site.in(0)},
                       attributes({{Attr::kAlpha, site.real("alpha", 0.2F)},
                                   {Attr::kBeta, site.real("beta", 0.5F)}})));
}

void import_leaky_relu(Site& site) {
  if (!site.require(0, "x")) return;
  site.out(0, site.add(Opcode::kLeakyRelu, {site.in(0)},
                       attributes({{Attr::kAlpha, site.real("alpha", 0.01F)}})));
}

void import_p_relu(Site& site) {
  if (!site.require(0, "x") || !site.require(1, "slope")) return;
  const ValueId below = site.add(Opcode::kMul, {negative(site), site.in(1)});
  site.out(0, site.add(Opcode::kAdd, {positive(site), below}));
}

void import_elu(Site& site) {
  if (!site.require(0, "x")) return;
  const ValueId below = exponential(site, site.real("alpha", 1), 1);
  site.out(0, site.add(Opcode::kAdd, {positive(site), below}));
}

void import_selu(Site& site) {
  if (!site.require(0, "x")) return;
  const ValueId below = exponential(site, site.real("alpha", 1.67326319217681884765625F), 1);
  const ValueId sum = site.add(Opcode::kAdd, {positive(site), below});
  const float gamma = site.real("gamma", 1.05070102214813232421875F);
  site.out(0, site.add(Opcode::kMul, {sum, site.scalar(gamma)}));
}

void import_celu(Site& site) {
  if (!site.require(0, "x")) return;
  const float alpha = site.real("alpha", 1);
  site.out(0, site.add(Opcode::kAdd, {positive(site), exponential(site, alpha, alpha)}));
}

void import_softsign(Site& site) {
  if (!site.require(0, "x")) return;
  const ValueId size = site.add(Opcode::kAbs, {site.in(0)});
  const ValueId divisor = site.add(Opcode::kAdd, {size, site.scalar(1)});
  site.out(0, site.add(Opcode::kDiv, {site.in(0), divisor}));
}

void import_thresholded_relu(Site& site) {
  if (!site.require(0, "x")) return;
  const ValueId threshold = site.scalar(site.real("alpha", 1));
  const ValueId above =
      site.add(Opcode::kCompare, {site.in(0), threshold},
               attributes({{Attr::kPredicate, static_cast<int64_t>(Predicate::kGt)}}));
  site.out(0, site.add(Opcode::kSelect, {above, site.in(0), site.scalar(0)}));
}

void import_mish(Site& site) {
  if (!site.require(0, "x")) return;
  const ValueId soft = site.add(Opcode::kSoftplus, {site.in(0)});
  site.out(0, site.add(Opcode::kMul, {site.in(0), site.add(Opcode::kTanh, {soft})}));
}

void import_tan(Site& site) {
  if (!site.require(0, "x")) return;
  const ValueId sine = site.add(Opcode::kSin, {site.in(0)});
  site.out(0, site.add(Opcode::kDiv, {sine, site.add(Opcode::kCos, {site.in(0)})}));
}

void import_gelu(Site& site) {
  if (!site.require(0, "x")) return;
  const std::string approximate = site.word("approximate", "none");
  if (approximate != "none" && approximate != "tanh") {
    site.refuse("approximate is '{}'", approximate);
    return;
  }
  const auto kind = static_cast<int64_t>(approximate == "tanh" ? Gelu::kTanh : Gelu::kErf);
  site.out(0, site.add(Opcode::kGelu, {site.in(0)}, attributes({{Attr::kApproximate, kind}})));
}

void import_softmax(Site& site) { softmax(site, false); }
void import_log_softmax(Site& site) { softmax(site, true); }

}  // namespace bcai::vm::onnx
