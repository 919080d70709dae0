// SPDX-License-Identifier: Apache-2.0
#include "vm/onnx/known.h"

#include <algorithm>

namespace bcai::vm::onnx {
namespace {

Dim factor_dim(const Dim::Factor& factor) {
  return factor.quotient_of == nullptr ? Dim::symbol(factor.symbol)
                                       : floor_div(*factor.quotient_of, factor.divisor);
}

Dim product_of(const std::vector<Dim::Factor>& factors) {
  Dim product(1);
  for (const Dim::Factor& factor : factors) product = product * factor_dim(factor);
  return product;
}

// Takes `taken` out of `factors`; false when one is not there.
bool take_factors(std::vector<Dim::Factor>& factors, const std::vector<Dim::Factor>& taken) {
  for (const Dim::Factor& factor : taken) {
    const auto found = std::find_if(factors.begin(), factors.end(), [&](const auto& other) {
      return factor_dim(other) == factor_dim(factor);
    });
    if (found == factors.end()) return false;
    factors.erase(found);
  }
  return true;
}

}  // namespace

std::optional<Dim> exact_quotient(const Dim& numerator, const Dim& denominator) {
  if (!numerator.valid() || !denominator.valid() || denominator == Dim(0)) return std::nullopt;
  if (numerator == denominator) return Dim(1);
  Dim quotient(0);
  if (denominator.is_constant()) {
    if (denominator.value() < 1) return std::nullopt;
    quotient = floor_div(numerator, denominator.value());
  } else {
    // By one product of symbols: each product of the numerator must have it.
    if (denominator.constant_term() != 0 || denominator.terms().size() != 1) return std::nullopt;
    const Dim::Term& by = denominator.terms()[0];
    if (numerator.constant_term() != 0 || by.coefficient == 0) return std::nullopt;
    for (const Dim::Term& term : numerator.terms()) {
      std::vector<Dim::Factor> factors = term.factors;
      if (term.coefficient % by.coefficient != 0 || !take_factors(factors, by.factors)) {
        return std::nullopt;
      }
      quotient = quotient + Dim(term.coefficient / by.coefficient) * product_of(factors);
    }
  }
  if (!(quotient * denominator == numerator)) return std::nullopt;
  return quotient;
}

std::optional<bool> holds(Order order, const Dim& a, const Dim& b,
                          std::span<const Symbol> symbols) {
  const Dim difference = b - a;
  if (!difference.valid()) return std::nullopt;
  const std::optional<Dim::Interval> bounds = difference.bounds(symbols);
  if (order == Order::kEqual) {
    if (a == b) return true;
    if (difference.is_constant()) return false;
    if (bounds && (bounds->min > 0 || bounds->max < 0)) return false;
    return std::nullopt;
  }
  if (!bounds) return std::nullopt;
  const int64_t least = order == Order::kLess ? 1 : 0;
  if (bounds->min >= least) return true;
  if (bounds->max < least) return false;
  return std::nullopt;
}

std::optional<Dim> smaller(const Dim& a, const Dim& b, std::span<const Symbol> symbols) {
  const std::optional<bool> first = holds(Order::kLessOrEqual, a, b, symbols);
  if (first && *first) return a;
  const std::optional<bool> second = holds(Order::kLessOrEqual, b, a, symbols);
  if (second && *second) return b;
  return std::nullopt;
}

std::optional<Dim> larger(const Dim& a, const Dim& b, std::span<const Symbol> symbols) {
  const std::optional<Dim> least = smaller(a, b, symbols);
  if (!least) return std::nullopt;
  return *least == a ? b : a;
}

int64_t count_of(const std::vector<int64_t>& dims) {
  int64_t count = 1;
  for (const int64_t dim : dims) {
    if (dim < 0 || __builtin_mul_overflow(count, dim, &count)) return INT64_MAX;
  }
  return count;
}

void for_each_index(const std::vector<int64_t>& dims,
                    const std::function<void(const std::vector<int64_t>&)>& each) {
  std::vector<int64_t> index(dims.size());
  const int64_t count = count_of(dims);
  for (int64_t i = 0; i < count; ++i) {
    each(index);
    for (size_t axis = dims.size(); axis-- > 0;) {
      if (++index[axis] < dims[axis]) break;
      index[axis] = 0;
    }
  }
}

size_t broadcast_position(const std::vector<int64_t>& dims, const std::vector<int64_t>& index) {
  int64_t position = 0;
  const size_t skipped = index.size() - dims.size();
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    position = position * dims[axis] + (dims[axis] == 1 ? 0 : index[axis + skipped]);
  }
  return static_cast<size_t>(position);
}

std::optional<std::vector<int64_t>> broadcast_dims(const std::vector<int64_t>& a,
                                                   const std::vector<int64_t>& b) {
  std::vector<int64_t> dims(std::max(a.size(), b.size()));
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t left = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t right = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (left != right && left != 1 && right != 1) return std::nullopt;
    dims[dims.size() - 1 - i] = left == 1 ? right : left;
  }
  return dims;
}

}  // namespace bcai::vm::onnx
