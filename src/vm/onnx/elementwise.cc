// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "vm/onnx/families.h"

namespace bcai::vm::onnx {
namespace {

using Operands = std::vector<Dim>;

void emit_binary(Site& site, Opcode opcode) {
  if (!site.require(0, "a") || !site.require(1, "b")) return;
  site.out(0, site.add(opcode, {site.in(0), site.in(1)}));
}

void emit_compare(Site& site, Predicate predicate) {
  if (!site.require(0, "a") || !site.require(1, "b")) return;
  site.out(0, site.add(Opcode::kCompare, {site.in(0), site.in(1)},
                       attributes({{Attr::kPredicate, static_cast<int64_t>(predicate)}})));
}

// Of any number of operands, left to right.
ValueId chain(Site& site, Opcode opcode) {
  if (!site.require(0, "data_0")) return kNoValue;
  ValueId value = site.in(0);
  for (size_t i = 1; i < site.count(); ++i) {
    if (!site.require(i, "data")) return kNoValue;
    value = site.add(opcode, {value, site.in(i)});
  }
  return value;
}

std::optional<Dim> to_dim(std::optional<bool> truth) {
  if (!truth) return std::nullopt;
  return Dim(*truth ? 1 : 0);
}

// As the instruction: truncates.
std::optional<Dim> divide(const Dim& a, const Dim& b, std::span<const Symbol> symbols) {
  if (a.is_constant() && b.is_constant()) {
    if (b.value() == 0 || (a.value() == INT64_MIN && b.value() == -1)) return std::nullopt;
    return Dim(a.value() / b.value());
  }
  if (const auto exact = exact_quotient(a, b)) return exact;
  const std::optional<bool> positive = holds(Order::kLessOrEqual, Dim(0), a, symbols);
  if (!b.is_constant() || b.value() < 1 || !positive || !*positive) return std::nullopt;
  return floor_div(a, b.value());
}

bool fold_compare(Site& site, Order order, bool swapped) {
  return fold(site, DType::kBool, [&](const Operands& x) {
    return to_dim(holds(order, x[swapped ? 1 : 0], x[swapped ? 0 : 1], site.symbols()));
  });
}

bool fold_bits(Site& site, int64_t (*body)(int64_t, int64_t)) {
  if (!site.require(0, "a") || !site.require(1, "b")) return true;
  return fold(site, site.type(0).dtype, [&](const Operands& x) -> std::optional<Dim> {
    if (!x[0].is_constant() || !x[1].is_constant()) return std::nullopt;
    return Dim(body(x[0].value(), x[1].value()));
  });
}

bool has_two(Site& site) { return site.require(0, "a") && site.require(1, "b"); }

}  // namespace

void import_add(Site& site) {
  if (!has_two(site)) return;
  if (fold(site, site.type(0).dtype, [](const Operands& x) { return x[0] + x[1]; }) ||
      fold_floats(site, [](const auto& x) { return x[0] + x[1]; })) {
    return;
  }
  emit_binary(site, Opcode::kAdd);
}

void import_sub(Site& site) {
  if (!has_two(site)) return;
  if (fold(site, site.type(0).dtype, [](const Operands& x) { return x[0] - x[1]; }) ||
      fold_floats(site, [](const auto& x) { return x[0] - x[1]; })) {
    return;
  }
  emit_binary(site, Opcode::kSub);
}

void import_mul(Site& site) {
  if (!has_two(site)) return;
  if (fold(site, site.type(0).dtype, [](const Operands& x) { return x[0] * x[1]; }) ||
      fold_floats(site, [](const auto& x) { return x[0] * x[1]; })) {
    return;
  }
  emit_binary(site, Opcode::kMul);
}

void import_div(Site& site) {
  if (!has_two(site)) return;
  if (fold(site, site.type(0).dtype,
           [&](const Operands& x) { return divide(x[0], x[1], site.symbols()); }) ||
      fold_floats(site, [](const auto& x) { return x[0] / x[1]; })) {
    return;
  }
  emit_binary(site, Opcode::kDiv);
}

void import_mod(Site& site) {
  if (!has_two(site)) return;
  const bool as_c = site.integer("fmod", 0) != 0;
  if (as_c && site.type(0).dtype == DType::kF32) {
    site.refuse("fmod of floating-point numbers is not supported");
    return;
  }
  const auto body = [&](const Operands& x) -> std::optional<Dim> {
    const std::optional<bool> positive = holds(Order::kLessOrEqual, Dim(0), x[0], site.symbols());
    if (!x[1].is_constant() || x[1].value() < 1 || !positive || !*positive) return std::nullopt;
    return x[0] - floor_div(x[0], x[1].value()) * x[1];
  };
  if (fold(site, site.type(0).dtype, body)) return;
  if (!as_c) {
    emit_binary(site, Opcode::kMod);
    return;
  }
  // a - (a / b) * b, where the quotient truncates.
  const ValueId whole = site.add(Opcode::kDiv, {site.in(0), site.in(1)});
  site.out(0, site.add(Opcode::kSub, {site.in(0), site.add(Opcode::kMul, {whole, site.in(1)})}));
}

void import_pow(Site& site) {
  if (!has_two(site)) return;
  if (site.type(0).dtype != DType::kF32) {
    site.refuse("the base is {}, expected f32", dtype_name(site.type(0).dtype));
    return;
  }
  const auto exponent = site.floats(1);
  const Elements* whole = site.known(1);
  const bool square = (exponent && exponent->size() == 1 && (*exponent)[0] == 2.0F) ||
                      (whole != nullptr && whole->size() == 1 && (*whole)[0] == Dim(2));
  if (square && site.rank(1) <= site.rank(0)) {
    site.out(0, site.add(Opcode::kMul, {site.in(0), site.in(0)}));
    return;
  }
  site.out(0, site.add(Opcode::kPow, {site.in(0), site.cast(site.in(1), DType::kF32)}));
}

void import_min(Site& site) {
  if (!site.require(0, "data_0")) return;
  const bool folded = fold(site, site.type(0).dtype, [&](const Operands& x) {
    std::optional<Dim> least = x[0];
    for (const Dim& each : x) {
      if (least) least = smaller(*least, each, site.symbols());
    }
    return least;
  });
  if (!folded) site.out(0, chain(site, Opcode::kMin));
}

void import_max(Site& site) {
  if (!site.require(0, "data_0")) return;
  const bool folded = fold(site, site.type(0).dtype, [&](const Operands& x) {
    std::optional<Dim> most = x[0];
    for (const Dim& each : x) {
      if (most) most = larger(*most, each, site.symbols());
    }
    return most;
  });
  if (!folded) site.out(0, chain(site, Opcode::kMax));
}

void import_sum(Site& site) { site.out(0, chain(site, Opcode::kAdd)); }

void import_mean(Site& site) {
  const ValueId sum = chain(site, Opcode::kAdd);
  const auto count = static_cast<float>(site.count());
  site.out(0, site.add(Opcode::kDiv, {sum, site.scalar(count)}));
}

void import_neg(Site& site) {
  if (!site.require(0, "x")) return;
  if (fold(site, site.type(0).dtype, [](const Operands& x) { return Dim(0) - x[0]; }) ||
      fold_floats(site, [](const auto& x) { return -x[0]; })) {
    return;
  }
  import_unary<Opcode::kNeg>(site);
}

void import_abs(Site& site) {
  if (!site.require(0, "x")) return;
  if (site.type(0).dtype == DType::kU8) {
    site.out_same(0, 0);
    return;
  }
  import_unary<Opcode::kAbs>(site);
}

void import_sqrt(Site& site) {
  if (fold_floats(site, [](const auto& x) { return std::sqrt(x[0]); })) return;
  import_unary<Opcode::kSqrt>(site);
}

void import_floor(Site& site) {
  if (fold_floats(site, [](const auto& x) { return std::floor(x[0]); })) return;
  import_unary<Opcode::kFloor>(site);
}

void import_ceil(Site& site) {
  if (fold_floats(site, [](const auto& x) { return std::ceil(x[0]); })) return;
  import_unary<Opcode::kCeil>(site);
}

void import_not(Site& site) {
  if (fold(site, DType::kBool, [](const Operands& x) { return Dim(1) - x[0]; })) return;
  import_unary<Opcode::kNot>(site);
}

void import_bitwise_not(Site& site) {
  if (!site.require(0, "x")) return;
  const DType dtype = site.type(0).dtype;
  const ValueId ones = site.scalar_integer(dtype == DType::kU8 ? UINT8_MAX : -1, dtype);
  site.out(0, site.add(Opcode::kXor, {site.in(0), ones}));
}

void import_and(Site& site) {
  if (!fold_bits(site, [](int64_t a, int64_t b) { return a & b; })) emit_binary(site, Opcode::kAnd);
}
void import_or(Site& site) {
  if (!fold_bits(site, [](int64_t a, int64_t b) { return a | b; })) emit_binary(site, Opcode::kOr);
}
void import_xor(Site& site) {
  if (!fold_bits(site, [](int64_t a, int64_t b) { return a ^ b; })) emit_binary(site, Opcode::kXor);
}

void import_equal(Site& site) {
  if (!fold_compare(site, Order::kEqual, false)) emit_compare(site, Predicate::kEq);
}
void import_less(Site& site) {
  if (!fold_compare(site, Order::kLess, false)) emit_compare(site, Predicate::kLt);
}
void import_less_or_equal(Site& site) {
  if (!fold_compare(site, Order::kLessOrEqual, false)) emit_compare(site, Predicate::kLe);
}
void import_greater(Site& site) {
  if (!fold_compare(site, Order::kLess, true)) emit_compare(site, Predicate::kGt);
}
void import_greater_or_equal(Site& site) {
  if (!fold_compare(site, Order::kLessOrEqual, true)) emit_compare(site, Predicate::kGe);
}

void import_where(Site& site) {
  if (!site.require(0, "condition") || !site.require(1, "x") || !site.require(2, "y")) return;
  const auto body = [](const Operands& x) -> std::optional<Dim> {
    if (!x[0].is_constant()) return std::nullopt;
    return x[0] == Dim(0) ? x[2] : x[1];
  };
  if (fold(site, site.type(1).dtype, body)) return;
  site.out(0, site.add(Opcode::kSelect, {site.in(0), site.in(1), site.in(2)}));
}

}  // namespace bcai::vm::onnx
