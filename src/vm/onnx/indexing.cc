// SPDX-License-Identifier: Apache-2.0
// By index and by order.
#include <algorithm>

#include "vm/onnx/families.h"

namespace bcai::vm::onnx {
namespace {

Attributes predicate(Predicate which) {
  return attributes({{Attr::kPredicate, static_cast<int64_t>(which)}});
}

ValueId integer_like(Site& site, ValueId value, const Dim& number) {
  const DType dtype = site.type_of(value).dtype;
  if (number.is_constant() && fits(dtype, number, {})) {
    return site.scalar_integer(number.value(), dtype);
  }
  return site.cast(site.dimension(number), dtype);
}

bool fold_gather(Site& site, size_t axis) {
  const Elements* indices = site.known(1);
  const auto from = site.constant_dims(0);
  const auto by = site.constant_dims(1);
  if (site.known(0) == nullptr || indices == nullptr || !from || !by) return false;
  const int64_t extent = (*from)[axis];
  for (const Dim& index : *indices) {
    if (!index.is_constant() || index.value() < -extent || index.value() >= extent) return false;
  }
  const auto cut = from->begin() + static_cast<int64_t>(axis);
  std::vector<int64_t> dims(from->begin(), cut);
  dims.insert(dims.end(), by->begin(), by->end());
  dims.insert(dims.end(), cut + 1, from->end());
  if (dims.size() > kRankMax) return false;
  return fold_pick(site, 0, dims, [&](const std::vector<int64_t>& index) {
    const auto first = index.begin() + static_cast<int64_t>(axis);
    const auto last = first + std::ssize(*by);
    int64_t at = (*indices)[broadcast_position(*by, {first, last})].value();
    if (at < 0) at += extent;
    std::vector<int64_t> source(index.begin(), first);
    source.push_back(at);
    source.insert(source.end(), last, index.end());
    return broadcast_position(*from, source);
  });
}

// OneHot's depth may be of any number type.
std::optional<Dim> read_depth(Site& site) {
  if (const auto floats = site.floats(1); floats && floats->size() == 1) {
    const float depth = (*floats)[0];
    if (depth >= 1 && depth < 0x1p24F) return Dim(static_cast<int64_t>(depth));
  }
  const Elements* known = site.require_known(1, "depth");
  if (known == nullptr) return std::nullopt;
  if (known->size() == 1) return (*known)[0];
  site.refuse("depth has {} elements", known->size());
  return std::nullopt;
}

// Gather by one known index: a slice.
void gather_one(Site& site, size_t axis, const Dim& index) {
  const Shape shape = site.shape(0);
  Dims starts(shape.rank(), Dim(0));
  Dims dims = dims_of_shape(shape);
  const auto below = holds(Order::kLess, index, Dim(0), site.symbols());
  if (!below) return site.refuse("the index {} may be negative", to_text(index, site.symbols()));
  starts[axis] = *below ? index + shape[axis] : index;
  dims[axis] = Dim(1);
  const ValueId piece = site.slice(site.in(0), starts, dims);
  dims.erase(dims.begin() + static_cast<int64_t>(axis));
  dims.insert(dims.begin() + static_cast<int64_t>(axis), site.rank(1), Dim(1));
  site.out(0, site.reshape(piece, dims));
}

}  // namespace

ValueId wrapped_indices(Site& site, size_t input, const Dim& extent) {
  const Elements* known = site.known(input);
  const bool positive =
      known != nullptr && std::all_of(known->begin(), known->end(), [&](const Dim& index) {
        return holds(Order::kLessOrEqual, Dim(0), index, site.symbols()).value_or(false);
      });
  const ValueId indices = site.in(input);
  if (positive) return indices;
  const ValueId zero = integer_like(site, indices, Dim(0));
  const ValueId negative = site.add(Opcode::kCompare, {indices, zero}, predicate(Predicate::kLt));
  const ValueId moved = site.add(Opcode::kAdd, {indices, integer_like(site, indices, extent)});
  return site.add(Opcode::kSelect, {negative, moved, indices});
}

void import_gather(Site& site) {
  if (!site.require(0, "data") || !site.require(1, "indices")) return;
  const auto axis = site.axis_in(site.integer("axis", 0), site.rank(0));
  if (!axis || fold_gather(site, *axis)) return;
  const Elements* known = site.known(1);
  if (known != nullptr && known->size() == 1) return gather_one(site, *axis, (*known)[0]);
  const ValueId indices = wrapped_indices(site, 1, site.shape(0)[*axis]);
  if (*axis == 0 && site.rank(0) == 2 && site.is_weight(0)) {
    return site.out(0, site.add(Opcode::kEmbeddingLookup, {site.in(0), indices}));
  }
  site.out(0, site.add(Opcode::kGather, {site.in(0), indices},
                       attributes({{Attr::kAxis, static_cast<int64_t>(*axis)}})));
}

void import_gather_elements(Site& site) {
  if (!site.require(0, "data") || !site.require(1, "indices")) return;
  const auto axis = site.axis_in(site.integer("axis", 0), site.rank(0));
  if (!axis) return;
  const ValueId indices = wrapped_indices(site, 1, site.shape(0)[*axis]);
  site.out(0, site.add(Opcode::kGatherElements, {site.in(0), indices},
                       attributes({{Attr::kAxis, static_cast<int64_t>(*axis)}})));
}

void import_one_hot(Site& site) {
  if (!site.require(0, "indices") || !site.require(2, "values")) return;
  const std::optional<Dim> depth = read_depth(site);
  if (!depth) return;
  const size_t rank = site.rank(0) + 1;
  const auto axis = site.axis_in(site.integer("axis", -1), rank);
  if (!axis) return;
  const ValueId wrapped = site.cast(wrapped_indices(site, 0, *depth), DType::kI64);
  Dims dims = dims_of_shape(site.shape(0));
  dims.insert(dims.begin() + static_cast<int64_t>(*axis), Dim(1));
  const ValueId indices = site.reshape(wrapped, dims);
  Dims line(rank, Dim(1));
  line[*axis] = *depth;
  const ValueId places = site.stated(Opcode::kIota, {}, DType::kI64, line,
                                     attributes({{Attr::kAxis, static_cast<int64_t>(*axis)}}));
  const ValueId hot = site.add(Opcode::kCompare, {indices, places}, predicate(Predicate::kEq));
  const ValueId off = site.reshape(site.slice(site.in(2), {Dim(0)}, {Dim(1)}), {});
  const ValueId on = site.reshape(site.slice(site.in(2), {Dim(1)}, {Dim(1)}), {});
  site.out(0, site.add(Opcode::kSelect, {hot, on, off}));
}

void import_trilu(Site& site) {
  if (!site.require(0, "input")) return;
  const size_t rank = site.rank(0);
  if (rank < 2) return site.refuse("has {} axes, expected 2 or more", rank);
  int64_t diagonal = 0;
  if (site.has(1)) {
    const auto k = site.require_numbers(1, "k");
    if (!k) return;
    if (k->size() != 1) return site.refuse("k has {} elements", k->size());
    diagonal = (*k)[0];
  }
  const bool upper = site.integer("upper", 1) != 0;
  const Shape shape = site.shape(0);
  const ValueId rows = site.stated(Opcode::kIota, {}, DType::kI64, {shape[rank - 2], Dim(1)});
  const ValueId columns = site.stated(Opcode::kIota, {}, DType::kI64, {shape[rank - 1]});
  const ValueId edge = site.add(Opcode::kAdd, {rows, site.scalar_integer(diagonal)});
  const ValueId kept = site.add(Opcode::kCompare, {columns, edge},
                                predicate(upper ? Predicate::kGe : Predicate::kLe));
  const DType dtype = site.type(0).dtype;
  const ValueId zero = dtype == DType::kF32 ? site.scalar(0) : site.scalar_integer(0, dtype);
  site.out(0, site.add(Opcode::kSelect, {kept, site.in(0), zero}));
}

void import_top_k(Site& site) {
  if (!site.require(0, "x")) return;
  const auto axis = site.axis_in(site.integer("axis", -1), site.rank(0));
  int64_t count = 0;
  if (site.opset() < 10) {
    count = site.integer("k", 0);
  } else {
    const auto k = site.require_numbers(1, "k");
    if (!k) return;
    if (k->size() != 1) return site.refuse("k has {} elements", k->size());
    count = (*k)[0];
  }
  if (!axis) return;
  const bool largest = site.integer("largest", 1) != 0;
  site.ignore("sorted");  // an order that nobody asked for is one too
  const ValueId x = site.in(0);
  if (site.refused()) return;
  const auto end = static_cast<int64_t>(largest ? Largest::kLargest : Largest::kSmallest);
  const std::vector<ValueId> results = site.builder().add_all(
      Opcode::kTopK, {x},
      attributes(
          {{Attr::kAxis, static_cast<int64_t>(*axis)}, {Attr::kK, count}, {Attr::kLargest, end}}));
  for (size_t i = 0; i < results.size(); ++i) site.out(i, results[i]);
}

void import_cum_sum(Site& site) {
  if (!site.require(0, "x")) return;
  const auto given = site.require_numbers(1, "axis");
  if (!given) return;
  if (given->size() != 1) return site.refuse("axis has {} elements", given->size());
  const auto axis = site.axis_in((*given)[0], site.rank(0));
  if (!axis) return;
  site.out(0,
           site.add(Opcode::kCumSum, {site.in(0)},
                    attributes({{Attr::kAxis, static_cast<int64_t>(*axis)},
                                {Attr::kReverse, int64_t{site.integer("reverse", 0) != 0}},
                                {Attr::kExclusive, int64_t{site.integer("exclusive", 0) != 0}}})));
}

}  // namespace bcai::vm::onnx
