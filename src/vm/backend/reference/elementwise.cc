// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "vm/backend/reference/elementary.h"
#include "vm/backend/reference/step.h"

namespace bcai::vm::reference {
namespace {

float unary_f32(const Step& step, float x) {
  switch (step.view.opcode) {
    case Opcode::kNeg: return -x;
    case Opcode::kAbs: return std::fabs(x);
    case Opcode::kSign: return x > 0 ? 1.0F : x < 0 ? -1.0F : x == 0 ? 0.0F : x;
    case Opcode::kExp: return exp_n1(x);
    case Opcode::kLog: return log_n1(x);
    case Opcode::kSqrt: return std::sqrt(x);
    case Opcode::kRsqrt: return 1.0F / std::sqrt(x);
    case Opcode::kRecip: return 1.0F / x;
    case Opcode::kSin: return apply_n1("sin", x);
    case Opcode::kCos: return apply_n1("cos", x);
    case Opcode::kTanh: return tanh_n1(x);
    case Opcode::kErf: return apply_n1("erf", x);
    case Opcode::kSigmoid: return sigmoid_n1(x);
    case Opcode::kRelu: return activate(Activation::kRelu, x);
    case Opcode::kGelu:
      return activate(static_cast<Gelu>(step.get_int(Attr::kApproximate)) == Gelu::kErf
                          ? Activation::kGeluErf
                          : Activation::kGeluTanh,
                      x);
    case Opcode::kSilu: return activate(Activation::kSilu, x);
    case Opcode::kFloor: return std::floor(x);
    case Opcode::kCeil: return std::ceil(x);
    case Opcode::kRound: return std::nearbyint(x);
    case Opcode::kTrunc: return std::trunc(x);
    case Opcode::kHardSigmoid: {
      const float line = std::fma(x, step.get_float(Attr::kAlpha), step.get_float(Attr::kBeta));
      return std::isnan(line) ? line : line < 0 ? 0.0F : line > 1 ? 1.0F : line;
    }
    case Opcode::kHardSwish: return activate(Activation::kHardSwish, x);
    case Opcode::kLeakyRelu: return x >= 0 ? x : step.get_float(Attr::kAlpha) * x;
    case Opcode::kSoftplus: return apply_n1("softplus", x);
    case Opcode::kClamp: {
      const float low = step.get_float(Attr::kMin);
      const float high = step.get_float(Attr::kMax);
      return x < low ? low : x > high ? high : x;
    }
    default: BCAI_ASSERT(false);
  }
}

// Arithmetic of unsigned numbers wraps, as the instructions' do.
template <typename T>
T unary_integer(Opcode opcode, T x) {
  using U = std::make_unsigned_t<T>;
  const auto negated = static_cast<T>(U(0) - static_cast<U>(x));
  switch (opcode) {
    case Opcode::kNeg: return negated;
    case Opcode::kAbs: return x < 0 ? negated : x;
    case Opcode::kSign: return static_cast<T>(x > 0 ? 1 : x < 0 ? -1 : 0);
    case Opcode::kRelu: return x > 0 ? x : T(0);
    case Opcode::kNot: return static_cast<T>(x == 0 ? 1 : 0);
    default: BCAI_ASSERT(false);
  }
}

float binary_f32(Opcode opcode, float a, float b) {
  switch (opcode) {
    case Opcode::kAdd: return a + b;
    case Opcode::kSub: return a - b;
    case Opcode::kMul: return a * b;
    case Opcode::kDiv: return a / b;
    case Opcode::kPow: return pow_n1(a, b);
    case Opcode::kMax: return maximum(a, b);
    case Opcode::kMin: return minimum(a, b);
    default: BCAI_ASSERT(false);
  }
}

template <typename T>
T divide(T a, T b) {
  if (b == 0) return 0;
  if (std::is_signed_v<T> && b == T(-1)) return unary_integer(Opcode::kNeg, a);
  return static_cast<T>(a / b);
}

template <typename T>
T modulo(T a, T b) {
  if (b == 0 || (std::is_signed_v<T> && b == T(-1))) return 0;
  const auto rest = static_cast<T>(a % b);
  return rest != 0 && (rest < 0) != (b < 0) ? static_cast<T>(rest + b) : rest;
}

template <typename T>
T binary_integer(Opcode opcode, T a, T b) {
  // 64 bits wide, so that no narrow operand is promoted to a signed int.
  const auto x = static_cast<uint64_t>(a);
  const auto y = static_cast<uint64_t>(b);
  switch (opcode) {
    case Opcode::kAdd: return static_cast<T>(x + y);
    case Opcode::kSub: return static_cast<T>(x - y);
    case Opcode::kMul: return static_cast<T>(x * y);
    case Opcode::kDiv: return divide(a, b);
    case Opcode::kMod: return modulo(a, b);
    case Opcode::kMax: return a > b ? a : b;
    case Opcode::kMin: return a < b ? a : b;
    case Opcode::kAnd: return static_cast<T>(x & y);
    case Opcode::kOr: return static_cast<T>(x | y);
    case Opcode::kXor: return static_cast<T>(x ^ y);
    default: BCAI_ASSERT(false);
  }
}

// body(result element, element of each operand), broadcast.
template <typename Body>
void for_each_broadcast(const Step& step, Body body) {
  const Tensor& y = step.results[0];
  if (y.elements() == 0) return;
  std::vector<std::vector<int64_t>> strides;
  for (const Tensor* x : step.operands) strides.push_back(broadcast_strides(x->dims(), y.rank()));
  std::vector<int64_t> index(y.rank(), 0);
  std::vector<int64_t> from(strides.size());
  int64_t at = 0;
  do {
    for (size_t i = 0; i < strides.size(); ++i) from[i] = offset_of(index, strides[i]);
    body(at++, from);
  } while (next_index(index, y.dims()));
}

template <typename T>
bool holds(Predicate predicate, T a, T b) {
  switch (predicate) {
    case Predicate::kEq: return a == b;
    case Predicate::kNe: return a != b;
    case Predicate::kLt: return a < b;
    case Predicate::kLe: return a <= b;
    case Predicate::kGt: return a > b;
    case Predicate::kGe: return a >= b;
  }
  return false;
}

}  // namespace

Result<void> unary(const Step& step) {
  const Tensor& x = step.operand(0);
  Tensor& y = step.results[0];
  with_type(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t i = 0; i < x.elements(); ++i) {
      if constexpr (std::is_same_v<T, float>) {
        y.data<T>()[i] = canonical(unary_f32(step, x.data<T>()[i]));
      } else {
        y.data<T>()[i] = unary_integer(step.view.opcode, x.data<T>()[i]);
      }
    }
  });
  return {};
}

Result<void> is_nan(const Step& step) {
  const Tensor& x = step.operand(0);
  for (int64_t i = 0; i < x.elements(); ++i) {
    step.results[0].data<uint8_t>()[i] = std::isnan(x.data<float>()[i]) ? 1 : 0;
  }
  return {};
}

Result<void> binary(const Step& step) {
  Tensor& y = step.results[0];
  with_type(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const a = step.operand(0).data<T>();
    const T* const b = step.operand(1).data<T>();
    for_each_broadcast(step, [&](int64_t at, const std::vector<int64_t>& from) {
      if constexpr (std::is_same_v<T, float>) {
        y.data<T>()[at] = canonical(binary_f32(step.view.opcode, a[from[0]], b[from[1]]));
      } else {
        y.data<T>()[at] = binary_integer(step.view.opcode, a[from[0]], b[from[1]]);
      }
    });
  });
  return {};
}

Result<void> compare(const Step& step) {
  const auto predicate = static_cast<Predicate>(step.get_int(Attr::kPredicate));
  with_type(step.operand(0).dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const a = step.operand(0).data<T>();
    const T* const b = step.operand(1).data<T>();
    for_each_broadcast(step, [&](int64_t at, const std::vector<int64_t>& from) {
      step.results[0].data<uint8_t>()[at] = holds(predicate, a[from[0]], b[from[1]]) ? 1 : 0;
    });
  });
  return {};
}

Result<void> select(const Step& step) {
  Tensor& y = step.results[0];
  const auto* const condition = step.operand(0).data<uint8_t>();
  with_type(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const a = step.operand(1).data<T>();
    const T* const b = step.operand(2).data<T>();
    for_each_broadcast(step, [&](int64_t at, const std::vector<int64_t>& from) {
      y.data<T>()[at] = condition[from[0]] != 0 ? a[from[1]] : b[from[2]];
    });
  });
  return {};
}

}  // namespace bcai::vm::reference
