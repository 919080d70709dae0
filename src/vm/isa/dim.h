// SPDX-License-Identifier: Apache-2.0
// A dimension: a number, or a polynomial over a program's symbols whose factors are symbols and
// floor_div(dimension, number). It is kept in canonical form, so two dimensions are equal for every
// binding if they compare equal (the reverse need not hold).
//
// Arithmetic is checked. What overflows, or grows past the limits below, is invalid, and so is all
// that is computed from it: a rule computes first and asks `valid()` once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bcai::vm {

// Ranges are closed: min <= value <= max, value divisible by multiple_of.
struct Symbol {
  std::string name;
  int64_t min = 1;
  int64_t max = 1;
  int64_t multiple_of = 1;
  bool operator==(const Symbol&) const = default;
};

inline constexpr size_t kSymbolsMax = 8;
inline constexpr size_t kDegreeMax = 4;
inline constexpr size_t kMonomialsMax = 16;
// Of all products together, those inside quotients too. It bounds nesting, and what it costs to
// compare or print a dimension, whose quotients may share their insides.
inline constexpr size_t kDimFactorsMax = 256;

class Dim {
 public:
  Dim(int64_t value = 0);
  static Dim symbol(uint32_t index);
  static Dim invalid();

  bool valid() const { return valid_; }
  bool is_constant() const { return valid_ && terms_ == nullptr; }
  // The number, of a constant.
  int64_t value() const;
  bool operator==(const Dim& other) const;

  // One product of the polynomial: coefficient * factors. The factors are sorted.
  struct Factor;
  struct Term;
  // The terms without the constant, sorted.
  std::span<const Term> terms() const;
  // The term without factors.
  int64_t constant_term() const { return constant_; }
  // The largest index of a symbol in it, plus one.
  uint32_t symbols_used() const;

  // The number for a binding of all symbols (values[i] is symbol i's). Invalid on overflow.
  Dim bind(std::span<const int64_t> values) const;

  // Bounds over the symbols' ranges; sound, not always tight. Absent on overflow.
  struct Interval {
    int64_t min;
    int64_t max;
  };
  std::optional<Interval> bounds(std::span<const Symbol> symbols) const;

 private:
  friend Dim operator+(const Dim& a, const Dim& b);
  friend Dim operator*(const Dim& a, const Dim& b);
  friend Dim floor_div(const Dim& numerator, int64_t divisor);
  static Dim from_terms(int64_t constant, std::vector<Term> terms);

  int64_t constant_ = 0;
  bool valid_ = true;
  uint16_t factors_ = 0;                            // at most kDimFactorsMax
  std::shared_ptr<const std::vector<Term>> terms_;  // null when there is none
};

struct Dim::Factor {
  uint32_t symbol = 0;                     // when quotient_of is null
  std::shared_ptr<const Dim> quotient_of;  // floor_div(*quotient_of, divisor)
  int64_t divisor = 0;
};
struct Dim::Term {
  int64_t coefficient = 1;
  std::vector<Factor> factors;
};

Dim operator+(const Dim& a, const Dim& b);
Dim operator-(const Dim& a, const Dim& b);
Dim operator*(const Dim& a, const Dim& b);
// Rounds towards minus infinity. A divisor below 1 gives an invalid dimension.
Dim floor_div(const Dim& numerator, int64_t divisor);
Dim ceil_div(const Dim& numerator, int64_t divisor);

// "2*B*S + 1", "floor_div(S + 3, 2)"; "overflow" when invalid.
std::string to_text(const Dim& dim, std::span<const Symbol> symbols);

}  // namespace bcai::vm
