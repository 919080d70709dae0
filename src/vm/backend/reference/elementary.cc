// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/reference/elementary.h"

#include <cmath>
#include <limits>
#include <string_view>

#include "base/result.h"
#include "vm/numerics/elementary_table.h"

namespace bcai::vm::reference {

float apply_n1(std::string_view name, float x) {
  for (const UnaryFunction& function : elementary_functions(SimdLevel::kPortable).unary) {
    if (function.name != name) continue;
    float y = 0;
    function.apply(&x, &y, 1);
    return y;
  }
  BCAI_ASSERT(false);
}

float exp_n1(float x) { return apply_n1("exp", x); }
float log_n1(float x) { return apply_n1("log", x); }
float tanh_n1(float x) { return apply_n1("tanh", x); }
float sigmoid_n1(float x) { return apply_n1("sigmoid", x); }

float pow_n1(float x, float y) {
  for (const BinaryFunction& function : elementary_functions(SimdLevel::kPortable).binary) {
    if (std::string_view(function.name) != "pow") continue;
    float z = 0;
    function.apply(&x, &y, &z, 1);
    return z;
  }
  BCAI_ASSERT(false);
}

float canonical(float x) { return std::isnan(x) ? std::numeric_limits<float>::quiet_NaN() : x; }

float maximum(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<float>::quiet_NaN();
  return (a > b ? a : b) + 0.0F;  // a zero is +0
}

float minimum(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<float>::quiet_NaN();
  return (a < b ? a : b) + 0.0F;
}

float activate(Activation activation, float x) {
  switch (activation) {
    case Activation::kNone: return x;
    case Activation::kRelu: return apply_n1("relu", x);
    case Activation::kGeluErf: return apply_n1("gelu_erf", x);
    case Activation::kGeluTanh: return apply_n1("gelu_tanh", x);
    case Activation::kSilu: return apply_n1("silu", x);
    case Activation::kSigmoid: return sigmoid_n1(x);
    case Activation::kTanh: return tanh_n1(x);
    case Activation::kHardSwish: return apply_n1("hard_swish", x);
  }
  return x;
}

}  // namespace bcai::vm::reference
