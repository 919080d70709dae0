// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "vm/onnx/families.h"

namespace bcai::vm::onnx {
namespace {

// One operand of an Einsum, or its result: a letter for each axis.
using Letters = std::string;

bool has_letter(const Letters& letters, char c) { return letters.find(c) != std::string::npos; }

// "bhqd,bhkd->bhqk" without spaces; the result's letters as stated or, without an arrow, those that
// occur once, in order.
bool parse_equation(Site& site, std::string equation, std::vector<Letters>* operands,
                    Letters* result) {
  std::erase(equation, ' ');
  if (equation.find('.') != std::string::npos) {
    site.refuse("an ellipsis is not supported in '{}'", equation);
    return false;
  }
  const size_t arrow = equation.find("->");
  std::string left = equation.substr(0, arrow);
  std::map<char, int> seen;
  operands->emplace_back();
  for (const char c : left) {
    if (c == ',') {
      operands->emplace_back();
    } else {
      ++seen[c];
      operands->back() += c;
    }
  }
  if (arrow != std::string::npos) {
    *result = equation.substr(arrow + 2);
  } else {
    for (const auto& [c, times] : seen) {
      if (times == 1) *result += c;
    }
  }
  for (const Letters& letters : *operands) {
    for (const char c : letters) {
      if (std::count(letters.begin(), letters.end(), c) == 1) continue;
      site.refuse("a diagonal is not supported in '{}'", equation);
      return false;
    }
  }
  for (const char c : *result) {
    if (seen.contains(c) && std::count(result->begin(), result->end(), c) == 1) continue;
    site.refuse("'{}': the result's axis {} is not one of the operands'", equation, c);
    return false;
  }
  return true;
}

// A value whose axes have letters.
struct Lettered {
  ValueId value = kNoValue;
  Letters letters;
};

// Sums over the axes whose letter is not in `kept`.
Lettered sum_out(Site& site, Lettered x, const Letters& kept) {
  std::vector<int64_t> axes;
  Letters left;
  for (size_t i = 0; i < x.letters.size(); ++i) {
    if (has_letter(kept, x.letters[i])) {
      left += x.letters[i];
    } else {
      axes.push_back(static_cast<int64_t>(i));
    }
  }
  if (axes.empty()) return x;
  return {site.reduce(Opcode::kReduceSum, x.value, axes, false), left};
}

ValueId reordered(Site& site, const Lettered& x, const Letters& order) {
  std::vector<int64_t> permutation;
  for (const char c : order) {
    permutation.push_back(static_cast<int64_t>(x.letters.find(c)));
  }
  return site.transpose(x.value, permutation);
}

// The sizes of letters, as an operand has them.
Dims sizes_of(Site& site, const Lettered& x, const Letters& letters) {
  Dims dims;
  for (const char c : letters) dims.push_back(site.shape_of(x.value)[x.letters.find(c)]);
  return dims;
}

Dim product(const Dims& dims) {
  Dim total(1);
  for (const Dim& dim : dims) total = total * dim;
  return total;
}

Lettered multiply(Site& site, const Lettered& a, const Lettered& b, const Letters& result) {
  Letters batch;
  Letters inner;
  Letters rows;
  Letters columns;
  for (const char c : a.letters) {
    Letters& group = !has_letter(b.letters, c) ? rows : has_letter(result, c) ? batch : inner;
    group += c;
  }
  for (const char c : b.letters) {
    if (!has_letter(a.letters, c)) columns += c;
  }
  Dims dims = sizes_of(site, a, batch);
  const Dims row_dims = sizes_of(site, a, rows);
  const Dims column_dims = sizes_of(site, b, columns);
  Dims left = dims;
  left.push_back(product(row_dims));
  left.push_back(product(sizes_of(site, a, inner)));
  Dims right = dims;
  right.push_back(product(sizes_of(site, b, inner)));
  right.push_back(product(column_dims));
  const ValueId x = site.reshape(reordered(site, a, batch + rows + inner), left);
  const ValueId y = site.reshape(reordered(site, b, batch + inner + columns), right);
  const ValueId z = site.add(Opcode::kTensorMatMul, {x, y});
  dims.insert(dims.end(), row_dims.begin(), row_dims.end());
  dims.insert(dims.end(), column_dims.begin(), column_dims.end());
  return {site.reshape(z, dims), batch + rows + columns};
}

}  // namespace

void import_matmul(Site& site) {
  if (!site.require(0, "a") || !site.require(1, "b")) return;
  const size_t left = site.rank(0);
  const size_t right = site.rank(1);
  if (left == 0 || right == 0) return site.refuse("an operand is a scalar");
  ValueId a = site.in(0);
  ValueId b = site.in(1);
  // A vector is a matrix of one row or column, which the result does not have.
  if (left == 1) a = site.reshape(a, {Dim(1), site.shape(0)[0]});
  if (right == 1) b = site.reshape(b, {site.shape(1)[0], Dim(1)});
  const ValueId product = site.add(Opcode::kTensorMatMul, {a, b});
  if (product == kNoValue) return;
  Dims dims = dims_of_shape(site.shape_of(product));
  if (left == 1) dims.erase(dims.end() - 2);
  if (right == 1) dims.pop_back();
  site.out(0, site.reshape(product, dims));
}

void import_gemm(Site& site) {
  if (!site.require(0, "a") || !site.require(1, "b")) return;
  if (site.rank(0) != 2 || site.rank(1) != 2) return site.refuse("expected two matrices");
  const float alpha = site.real("alpha", 1);
  const float beta = site.real("beta", 1);
  const Attributes turned =
      attributes({{Attr::kTransposeA, int64_t{site.integer("transA", 0) != 0}},
                  {Attr::kTransposeB, int64_t{site.integer("transB", 0) != 0}}});
  const Dim columns = site.shape(1)[site.integer("transB", 0) != 0 ? 0 : 1];
  const bool has_c = site.has(2) && beta != 0;
  const bool is_bias = has_c && alpha == 1 && beta == 1 && site.shape(2) == Shape{columns};
  ValueId value = site.add(Opcode::kTensorMatMul,
                           {site.in(0), site.in(1), is_bias ? site.in(2) : kNoValue}, turned);
  if (alpha != 1) value = site.add(Opcode::kMul, {value, site.scalar(alpha)});
  if (has_c && !is_bias) {
    ValueId c = site.in(2);
    if (beta != 1) c = site.add(Opcode::kMul, {c, site.scalar(beta)});
    value = site.add(Opcode::kAdd, {value, c});
  }
  site.out(0, value);
}

void import_einsum(Site& site) {
  const std::string equation = site.word("equation", "");
  std::vector<Letters> letters;
  Letters result;
  if (!parse_equation(site, equation, &letters, &result)) return;
  if (letters.size() != site.count() || letters.size() > 2) {
    return site.refuse("'{}' of {} operands, supported are 1 and 2", equation, site.count());
  }
  std::vector<Lettered> operands;
  for (size_t i = 0; i < letters.size(); ++i) {
    if (!site.require(i, "operand")) return;
    if (site.rank(i) != letters[i].size()) {
      return site.refuse("'{}': operand {} has {} axes", equation, i, site.rank(i));
    }
    operands.push_back({site.in(i), letters[i]});
  }
  Lettered whole = operands[0];
  if (operands.size() == 2) {
    const Lettered a = sum_out(site, operands[0], result + letters[1]);
    const Lettered b = sum_out(site, operands[1], result + letters[0]);
    if (site.refused() || a.value == kNoValue || b.value == kNoValue) return;
    whole = multiply(site, a, b, result);
  }
  whole = sum_out(site, whole, result);
  if (whole.value == kNoValue) return;
  site.out(0, reordered(site, whole, result));
}

}  // namespace bcai::vm::onnx
