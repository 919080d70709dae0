// SPDX-License-Identifier: Apache-2.0
// Constants, shapes as numbers, casts, and what only passes values on.
#include <cmath>
#include <cstring>
#include <limits>

#include "vm/onnx/families.h"

namespace bcai::vm::onnx {
namespace {

template <typename T>
Tensor vector_tensor(DType dtype, const std::vector<T>& numbers, bool scalar) {
  std::vector<int64_t> dims;
  if (!scalar) dims.push_back(static_cast<int64_t>(numbers.size()));
  Tensor tensor(dtype, dims);
  if (!numbers.empty()) {
    std::memcpy(tensor.bytes().data(), numbers.data(), numbers.size() * sizeof(T));
  }
  return tensor;
}

// Of a tensor inside a node; it never lies in another file.
std::optional<Tensor> inline_tensor(Site& site, const TensorMessage& message) {
  ExternalData none{std::filesystem::path()};
  Result<Tensor> tensor = to_tensor(message, none);
  if (!tensor) {
    site.refuse("its tensor {}", tensor.error().message);
    return std::nullopt;
  }
  return *std::move(tensor);
}

// An infinity, or the one NaN that programs have.
ValueId special(Site& site, float value) {
  if (std::isnan(value)) value = std::numeric_limits<float>::quiet_NaN();
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return site.builder().constant({DType::kF32, {}}, std::move(bytes));
}

// start, limit, delta as integers: 0, 1, 2, … scaled and moved.
void integer_range(Site& site, const Dim& start, const Dim& limit, const Dim& delta, DType dtype) {
  if (!delta.is_constant() || delta == Dim(0)) {
    site.refuse("delta is {}, expected a number that is not 0", to_text(delta, site.symbols()));
    return;
  }
  const int64_t step = delta.value();
  if (step == INT64_MIN) return site.refuse("delta is {}", step);
  const Dim count = step > 0 ? ceil_div(limit - start, step) : ceil_div(start - limit, -step);
  const std::optional<Dim> length = larger(count, Dim(0), site.symbols());
  if (!length) {
    site.refuse("the range's length {} may be negative", to_text(count, site.symbols()));
    return;
  }
  if (length->is_constant() && length->value() <= static_cast<int64_t>(kKnownMax)) {
    Elements elements;
    for (int64_t i = 0; i < length->value(); ++i) elements.push_back(start + Dim(i) * delta);
    site.out_known(0, dtype, {length->value()}, std::move(elements));
    return;
  }
  ValueId value = site.stated(Opcode::kIota, {}, DType::kI64, {*length});
  if (step != 1) value = site.add(Opcode::kMul, {value, site.scalar_integer(step)});
  if (!(start == Dim(0))) value = site.add(Opcode::kAdd, {value, site.dimension(start)});
  site.out(0, site.cast(value, dtype));
}

void float_range(Site& site, float start, float limit, float delta) {
  const double count = std::ceil((double{limit} - double{start}) / double{delta});
  if (!std::isfinite(count) || count > static_cast<double>(kDimMax)) {
    return site.refuse("from {} to {} by {}", start, limit, delta);
  }
  const Dim length(std::max<int64_t>(0, static_cast<int64_t>(count)));
  const ValueId iota = site.stated(Opcode::kIota, {}, DType::kF32, {length});
  const ValueId scaled = site.add(Opcode::kMul, {iota, site.scalar(delta)});
  site.out(0, site.add(Opcode::kAdd, {scaled, site.scalar(start)}));
}

// Floats to integers as the Cast instruction converts them.
bool fold_cast(Site& site, DType to) {
  if (to != DType::kI64 && to != DType::kI32) return false;
  const auto floats = site.floats(0);
  if (!floats || floats->size() > kKnownMax) return false;
  Elements elements;
  for (const float each : *floats) {
    if (!(std::fabs(each) < 0x1p31F)) return false;
    elements.emplace_back(static_cast<int64_t>(each));
  }
  site.out_known(0, to, *site.constant_dims(0), std::move(elements));
  return true;
}

void cast_to(Site& site, DType to) {
  site.ignore("saturate");
  site.ignore("round_mode");
  if (site.type(0).dtype == to) return site.out_same(0, 0);
  if (to != DType::kBool && site.known(0) != nullptr &&
      fold(site, to, [](const std::vector<Dim>& x) { return x[0]; })) {
    return;
  }
  if (to == DType::kBool && fold(site, to, [&](const std::vector<Dim>& x) -> std::optional<Dim> {
        const auto zero = holds(Order::kEqual, x[0], Dim(0), site.symbols());
        if (!zero) return std::nullopt;
        return Dim(*zero ? 0 : 1);
      })) {
    return;
  }
  const Elements* known = site.known(0);
  if (to == DType::kF32 && known != nullptr && known->size() <= 16) {
    Tensor tensor(DType::kF32, *site.constant_dims(0));
    bool numbers = true;
    for (size_t i = 0; i < known->size(); ++i) {
      numbers = numbers && (*known)[i].is_constant();
      if (numbers) tensor.data<float>()[i] = static_cast<float>((*known)[i].value());
    }
    if (numbers) return site.out_constant(0, std::move(tensor));
  }
  if (fold_cast(site, to)) return;
  site.out(0, site.cast(site.in(0), to));
}

}  // namespace

void import_constant(Site& site) {
  if (site.node().attributes.size() != 1) return site.refuse("has no value");
  const Attribute& value = *site.attribute(site.node().attributes[0].name);
  if (value.name == "value" && value.tensor != nullptr) {
    if (auto tensor = inline_tensor(site, *value.tensor)) site.out_constant(0, *std::move(tensor));
  } else if (value.name == "value_float") {
    site.out_constant(0, vector_tensor<float>(DType::kF32, {value.real.value_or(0)}, true));
  } else if (value.name == "value_floats") {
    site.out_constant(0, vector_tensor<float>(DType::kF32, value.reals, false));
  } else if (value.name == "value_int") {
    site.out_constant(0, vector_tensor<int64_t>(DType::kI64, {value.integer.value_or(0)}, true));
  } else if (value.name == "value_ints") {
    site.out_constant(0, vector_tensor<int64_t>(DType::kI64, value.integers, false));
  } else {
    site.refuse("a constant given as {} is not supported", value.name);
  }
}

void import_constant_of_shape(Site& site) {
  const Elements* dims = site.require_known(0, "shape");
  if (dims == nullptr) return;
  Tensor value(DType::kF32, {1});
  if (const Attribute* given = site.attribute("value")) {
    if (given->tensor == nullptr) return site.refuse("attribute value is not a tensor");
    auto tensor = inline_tensor(site, *given->tensor);
    if (!tensor) return;
    value = *std::move(tensor);
    if (value.elements() != 1) return site.refuse("value has {} elements", value.elements());
  }
  Attributes fill;
  Elements element;
  switch (value.dtype()) {
    case DType::kF32: fill.set(Attr::kValue, value.data<float>()[0]); break;
    case DType::kI64: element = {Dim(value.data<int64_t>()[0])}; break;
    case DType::kI32: element = {Dim(value.data<int32_t>()[0])}; break;
    case DType::kI8: element = {Dim(value.data<int8_t>()[0])}; break;
    case DType::kU8:
    case DType::kBool: element = {Dim(value.data<uint8_t>()[0])}; break;
    default: return site.refuse("value is {}", dtype_name(value.dtype()));
  }
  Dim total(1);
  std::vector<int64_t> numbers;
  for (const Dim& dim : *dims) {
    total = total * dim;
    if (dim.is_constant()) numbers.push_back(dim.value());
  }
  const bool whole = numbers.size() == dims->size() && numbers.size() <= kRankMax;
  if (!element.empty() && whole && total.is_constant() && total.value() >= 0 &&
      total.value() <= static_cast<int64_t>(kKnownMax)) {
    const auto count = static_cast<size_t>(total.value());
    return site.out_known(0, value.dtype(), numbers, Elements(count, element[0]));
  }
  if (value.dtype() == DType::kF32 && !std::isfinite(value.data<float>()[0])) {
    // Fill takes finite numbers only.
    return site.out(0, site.broadcast(special(site, value.data<float>()[0]), *dims));
  }
  if (!element.empty()) fill.set(Attr::kIntValue, element[0].value());
  site.out(0, site.stated(Opcode::kFill, {}, value.dtype(), *dims, fill));
}

void import_shape(Site& site) {
  if (!site.require(0, "data")) return;
  const auto rank = static_cast<int64_t>(site.rank(0));
  const auto bound = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const int64_t first = bound(site.integer("start", 0));
  const int64_t last = bound(site.integer("end", rank));
  Elements elements;
  for (int64_t i = first; i < last; ++i) elements.push_back(site.shape(0)[static_cast<size_t>(i)]);
  const auto count = static_cast<int64_t>(elements.size());
  site.out_known(0, DType::kI64, {count}, std::move(elements));
}

void import_size(Site& site) {
  if (!site.require(0, "data")) return;
  const Dim elements = site.shape(0).elements();
  if (!elements.valid()) return site.refuse("the number of elements overflows");
  site.out_known(0, DType::kI64, {}, {elements});
}

void import_range(Site& site) {
  if (!site.require(0, "start") || !site.require(1, "limit") || !site.require(2, "delta")) return;
  site.ignore("stash_type");
  if (site.type(0).dtype == DType::kF32) {
    const auto start = site.floats(0);
    const auto limit = site.floats(1);
    const auto delta = site.floats(2);
    if (!start || !limit || !delta || start->size() != 1 || limit->size() != 1 ||
        delta->size() != 1) {
      return site.refuse("start, limit and delta must be constants");
    }
    return float_range(site, (*start)[0], (*limit)[0], (*delta)[0]);
  }
  const Elements* start = site.require_known(0, "start");
  const Elements* limit = site.require_known(1, "limit");
  const Elements* delta = site.require_known(2, "delta");
  if (start == nullptr || limit == nullptr || delta == nullptr) return;
  if (start->size() != 1 || limit->size() != 1 || delta->size() != 1) {
    return site.refuse("start, limit and delta must be scalars");
  }
  integer_range(site, (*start)[0], (*limit)[0], (*delta)[0], site.type(0).dtype);
}

void import_cast(Site& site) {
  if (!site.require(0, "input")) return;
  const Result<DType> to = dtype_of(site.integer("to", 0));
  if (!to) return site.refuse("to: {}", to.error().message);
  cast_to(site, *to);
}

void import_cast_like(Site& site) {
  if (!site.require(0, "input") || !site.require(1, "target_type")) return;
  site.ignore("saturate");
  site.ignore("round_mode");
  const DType to = site.type(1).dtype;
  if (site.type(0).dtype == to) return site.out_same(0, 0);
  site.out(0, site.cast(site.in(0), to));
}

void import_identity(Site& site) {
  if (site.require(0, "input")) site.out_same(0, 0);
}

void import_dropout(Site& site) {
  if (!site.require(0, "data")) return;
  site.ignore("ratio");
  site.ignore("seed");
  if (site.has(2)) {
    const auto training = site.require_numbers(2, "training_mode");
    if (!training) return;
    if (training->size() != 1 || (*training)[0] != 0) return site.refuse("training_mode is true");
  }
  site.out_same(0, 0);
  if (site.wants(1)) {
    site.out(1, site.stated(Opcode::kFill, {}, DType::kBool, dims_of_shape(site.shape(0)),
                            attributes({{Attr::kIntValue, int64_t{1}}})));
  }
}

void import_if(Site& site) {
  const Attribute* then_branch = site.attribute("then_branch");
  const Attribute* else_branch = site.attribute("else_branch");
  if (then_branch == nullptr || else_branch == nullptr || then_branch->graph == nullptr ||
      else_branch->graph == nullptr) {
    return site.refuse("a branch is missing");
  }
  const auto condition = site.require_numbers(0, "cond");
  if (!condition) return;
  if (condition->size() != 1)
    return site.refuse("the condition has {} elements", condition->size());
  const bool taken = (*condition)[0] != 0;
  const Graph& branch = taken ? *then_branch->graph : *else_branch->graph;
  const auto results = site.import_branch(branch, taken ? "then_branch" : "else_branch");
  if (!results) return;
  if (results->size() != site.node().outputs.size()) {
    return site.refuse("the branch gives {} results, the node {}", results->size(),
                       site.node().outputs.size());
  }
  for (size_t i = 0; i < results->size(); ++i) site.out_value(i, (*results)[i]);
}

}  // namespace bcai::vm::onnx
