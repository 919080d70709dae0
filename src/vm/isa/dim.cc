// SPDX-License-Identifier: Apache-2.0
#include "vm/isa/dim.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/result.h"

namespace bcai::vm {
namespace {

using Factor = Dim::Factor;
using Term = Dim::Term;

int compare(const Dim& a, const Dim& b);

int order(int64_t a, int64_t b) { return a < b ? -1 : a > b ? 1 : 0; }

int compare(const Factor& a, const Factor& b) {
  const bool a_is_symbol = a.quotient_of == nullptr;
  const bool b_is_symbol = b.quotient_of == nullptr;
  if (a_is_symbol != b_is_symbol) return a_is_symbol ? -1 : 1;
  if (a_is_symbol) return order(a.symbol, b.symbol);
  if (const int by = order(a.divisor, b.divisor); by != 0) return by;
  return compare(*a.quotient_of, *b.quotient_of);
}

// Longer products first, then by their factors.
int compare_factors(const Term& a, const Term& b) {
  if (const auto by =
          order(static_cast<int64_t>(b.factors.size()), static_cast<int64_t>(a.factors.size()));
      by != 0) {
    return by;
  }
  for (size_t i = 0; i < a.factors.size(); ++i) {
    if (const int by = compare(a.factors[i], b.factors[i]); by != 0) return by;
  }
  return 0;
}

int compare(const Dim& a, const Dim& b) {
  const auto left = a.terms();
  const auto right = b.terms();
  for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    if (const int by = compare_factors(left[i], right[i]); by != 0) return by;
    if (const int by = order(left[i].coefficient, right[i].coefficient); by != 0) return by;
  }
  if (left.size() != right.size()) return left.size() < right.size() ? -1 : 1;
  return order(a.constant_term(), b.constant_term());
}

bool multiply(int64_t a, int64_t b, int64_t* out) { return !__builtin_mul_overflow(a, b, out); }
bool add(int64_t a, int64_t b, int64_t* out) { return !__builtin_add_overflow(a, b, out); }

int64_t floor_quotient(int64_t a, int64_t divisor) {
  return a / divisor - (a % divisor < 0 ? 1 : 0);
}

// Merges equal products and sorts. False on overflow.
bool canonicalise(std::vector<Term>& terms) {
  for (Term& term : terms) {
    std::sort(term.factors.begin(), term.factors.end(),
              [](const Factor& a, const Factor& b) { return compare(a, b) < 0; });
  }
  std::sort(terms.begin(), terms.end(),
            [](const Term& a, const Term& b) { return compare_factors(a, b) < 0; });
  std::vector<Term> merged;
  for (Term& term : terms) {
    if (!merged.empty() && compare_factors(merged.back(), term) == 0) {
      if (!add(merged.back().coefficient, term.coefficient, &merged.back().coefficient)) {
        return false;
      }
    } else {
      merged.push_back(std::move(term));
    }
  }
  std::erase_if(merged, [](const Term& term) { return term.coefficient == 0; });
  terms = std::move(merged);
  return true;
}

}  // namespace

Dim::Dim(int64_t value) : constant_(value) {}

Dim Dim::symbol(uint32_t index) {
  Factor factor;
  factor.symbol = index;
  return from_terms(0, {{1, {factor}}});
}

Dim Dim::invalid() {
  Dim dim;
  dim.valid_ = false;
  return dim;
}

int64_t Dim::value() const {
  BCAI_ASSERT(is_constant());
  return constant_;
}

bool Dim::operator==(const Dim& other) const {
  if (!valid_ || !other.valid_) return false;
  if (terms_ == other.terms_) return constant_ == other.constant_;
  return compare(*this, other) == 0;
}

std::span<const Term> Dim::terms() const {
  return terms_ == nullptr ? std::span<const Term>() : std::span<const Term>(*terms_);
}

uint32_t Dim::symbols_used() const {
  uint32_t used = 0;
  for (const Term& term : terms()) {
    for (const Factor& factor : term.factors) {
      used = std::max(used, factor.quotient_of == nullptr ? factor.symbol + 1
                                                          : factor.quotient_of->symbols_used());
    }
  }
  return used;
}

Dim Dim::from_terms(int64_t constant, std::vector<Term> terms) {
  if (!canonicalise(terms) || terms.size() > kMonomialsMax) return invalid();
  size_t factors = 0;
  for (const Term& term : terms) {
    if (term.factors.size() > kDegreeMax) return invalid();
    factors += term.factors.size();
    for (const Factor& factor : term.factors) {
      if (factor.quotient_of == nullptr) continue;
      if (!factor.quotient_of->valid_) return invalid();
      factors += factor.quotient_of->factors_;
    }
  }
  if (factors > kDimFactorsMax) return invalid();
  Dim dim(constant);
  dim.factors_ = static_cast<uint16_t>(factors);
  if (!terms.empty()) dim.terms_ = std::make_shared<const std::vector<Term>>(std::move(terms));
  return dim;
}

Dim operator+(const Dim& a, const Dim& b) {
  int64_t constant = 0;
  if (!a.valid_ || !b.valid_ || !add(a.constant_, b.constant_, &constant)) return Dim::invalid();
  if (a.terms_ == nullptr && b.terms_ == nullptr) return {constant};
  std::vector<Term> terms(a.terms().begin(), a.terms().end());
  terms.insert(terms.end(), b.terms().begin(), b.terms().end());
  return Dim::from_terms(constant, std::move(terms));
}

Dim operator*(const Dim& a, const Dim& b) {
  int64_t constant = 0;
  if (!a.valid_ || !b.valid_ || !multiply(a.constant_, b.constant_, &constant)) {
    return Dim::invalid();
  }
  if (a.terms_ == nullptr && b.terms_ == nullptr) return {constant};
  std::vector<Term> terms;
  const auto push = [&](int64_t x, int64_t y, std::vector<Factor> factors) {
    Term term{0, std::move(factors)};
    if (!multiply(x, y, &term.coefficient)) return false;
    terms.push_back(std::move(term));
    return true;
  };
  for (const Term& left : a.terms()) {
    if (!push(left.coefficient, b.constant_, left.factors)) return Dim::invalid();
    for (const Term& right : b.terms()) {
      std::vector<Factor> factors = left.factors;
      factors.insert(factors.end(), right.factors.begin(), right.factors.end());
      if (!push(left.coefficient, right.coefficient, std::move(factors))) return Dim::invalid();
    }
  }
  for (const Term& right : b.terms()) {
    if (!push(a.constant_, right.coefficient, right.factors)) return Dim::invalid();
  }
  return Dim::from_terms(constant, std::move(terms));
}

Dim operator-(const Dim& a, const Dim& b) { return a + b * Dim(-1); }

// floor((divisor*q + rest) / divisor) = q + floor(rest / divisor): what divides is taken out, so
// that one dimension has one form.
Dim floor_div(const Dim& numerator, int64_t divisor) {
  if (!numerator.valid_ || divisor < 1) return Dim::invalid();
  if (divisor == 1) return numerator;
  const int64_t whole_constant = floor_quotient(numerator.constant_, divisor);
  const int64_t remainder = numerator.constant_ % divisor;
  if (numerator.terms_ == nullptr) return {whole_constant};
  std::vector<Term> whole;
  std::vector<Term> rest;
  for (const Term& term : numerator.terms()) {
    if (term.coefficient % divisor == 0) {
      whole.push_back({term.coefficient / divisor, term.factors});
    } else {
      rest.push_back(term);
    }
  }
  if (!rest.empty()) {
    Factor quotient;
    quotient.quotient_of = std::make_shared<const Dim>(
        Dim::from_terms(remainder < 0 ? remainder + divisor : remainder, std::move(rest)));
    quotient.divisor = divisor;
    whole.push_back({1, {std::move(quotient)}});
  }
  return Dim::from_terms(whole_constant, std::move(whole));
}

Dim ceil_div(const Dim& numerator, int64_t divisor) {
  if (divisor < 1) return Dim::invalid();
  return floor_div(numerator + Dim(divisor - 1), divisor);
}

Dim Dim::bind(std::span<const int64_t> values) const {
  if (!valid_ || terms_ == nullptr) return *this;
  Dim sum(constant_);
  for (const Term& term : terms()) {
    Dim product(term.coefficient);
    for (const Factor& factor : term.factors) {
      if (factor.quotient_of != nullptr) {
        product = product * floor_div(factor.quotient_of->bind(values), factor.divisor);
      } else {
        BCAI_ASSERT(factor.symbol < values.size());
        product = product * Dim(values[factor.symbol]);
      }
    }
    sum = sum + product;
  }
  return sum;
}

std::optional<Dim::Interval> Dim::bounds(std::span<const Symbol> symbols) const {
  if (!valid_) return std::nullopt;
  Interval sum{constant_, constant_};
  for (const Term& term : terms()) {
    Interval product{term.coefficient, term.coefficient};
    for (const Factor& factor : term.factors) {
      Interval range{};
      if (factor.quotient_of != nullptr) {
        const std::optional<Interval> inner = factor.quotient_of->bounds(symbols);
        if (!inner) return std::nullopt;
        range = {floor_quotient(inner->min, factor.divisor),
                 floor_quotient(inner->max, factor.divisor)};
      } else {
        BCAI_ASSERT(factor.symbol < symbols.size());
        range = {symbols[factor.symbol].min, symbols[factor.symbol].max};
      }
      int64_t corners[4];
      if (!multiply(product.min, range.min, &corners[0]) ||
          !multiply(product.min, range.max, &corners[1]) ||
          !multiply(product.max, range.min, &corners[2]) ||
          !multiply(product.max, range.max, &corners[3])) {
        return std::nullopt;
      }
      product = {*std::min_element(corners, corners + 4), *std::max_element(corners, corners + 4)};
    }
    if (!add(sum.min, product.min, &sum.min) || !add(sum.max, product.max, &sum.max)) {
      return std::nullopt;
    }
  }
  return sum;
}

namespace {

std::string factor_text(const Factor& factor, std::span<const Symbol> symbols) {
  if (factor.quotient_of != nullptr) {
    return fmt::format("floor_div({}, {})", to_text(*factor.quotient_of, symbols), factor.divisor);
  }
  return factor.symbol < symbols.size() ? symbols[factor.symbol].name
                                        : fmt::format("?{}", factor.symbol);
}

}  // namespace

std::string to_text(const Dim& dim, std::span<const Symbol> symbols) {
  if (!dim.valid()) return "overflow";
  if (dim.is_constant()) return fmt::format("{}", dim.value());
  std::string text;
  for (const Term& term : dim.terms()) {
    if (!text.empty()) text += term.coefficient < 0 ? " - " : " + ";
    if (text.empty() && term.coefficient < 0) text += "-";
    const uint64_t magnitude = term.coefficient < 0 ? -static_cast<uint64_t>(term.coefficient)
                                                    : static_cast<uint64_t>(term.coefficient);
    if (magnitude != 1) text += fmt::format("{}*", magnitude);
    for (size_t i = 0; i < term.factors.size(); ++i) {
      text += (i == 0 ? "" : "*") + factor_text(term.factors[i], symbols);
    }
  }
  const int64_t constant = dim.constant_term();
  if (constant > 0) text += fmt::format(" + {}", constant);
  if (constant < 0) text += fmt::format(" - {}", -static_cast<uint64_t>(constant));
  return text;
}

}  // namespace bcai::vm
