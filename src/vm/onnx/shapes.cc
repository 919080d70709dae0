// SPDX-License-Identifier: Apache-2.0
// The same elements under another shape or in another order.
#include <algorithm>
#include <numeric>

#include "vm/onnx/families.h"

namespace bcai::vm::onnx {
namespace {

// Under `dims`; elements that are known stay known.
void reshape_to(Site& site, const Dims& dims) {
  if (dims.size() > kRankMax) return site.refuse("the result has {} axes", dims.size());
  const Shape shape{std::span<const Dim>(dims)};
  const Elements* known = site.known(0);
  if (known != nullptr && shape.is_constant() &&
      shape.elements() == Dim(static_cast<int64_t>(known->size()))) {
    return site.out_known(0, site.type(0).dtype, vm::dims_of(shape), *known);
  }
  if (shape == site.shape(0)) return site.out_same(0, 0);
  site.out(0, site.reshape(site.in(0), dims));
}

// What -1 stands for: the elements that the other dimensions leave. Dimensions that both shapes
// have go out first, so that symbols need not be divided.
std::optional<Dim> inferred(const Shape& from, const Dims& to, size_t open) {
  Dims left = dims_of_shape(from);
  Dim divisor(1);
  for (size_t i = 0; i < to.size(); ++i) {
    if (i == open) continue;
    const auto same = std::find(left.begin(), left.end(), to[i]);
    if (same != left.end()) {
      left.erase(same);
    } else {
      divisor = divisor * to[i];
    }
  }
  Dim rest(1);
  for (const Dim& dim : left) rest = rest * dim;
  return exact_quotient(rest, divisor);
}

// Axes of a node by attribute before `input_since`, by operand 1 from there.
std::optional<std::vector<int64_t>> listed_axes(Site& site, int64_t input_since) {
  if (site.opset() < input_since) return site.integers("axes");
  if (!site.has(1)) return std::vector<int64_t>();
  return site.require_numbers(1, "axes");
}

std::vector<int64_t> identity_permutation(size_t rank) {
  std::vector<int64_t> permutation(rank);
  std::iota(permutation.begin(), permutation.end(), 0);
  return permutation;
}

// x[N,C,H,W] and a block that must be constant.
bool read_block(Site& site, int64_t* block) {
  if (!site.require(0, "input")) return false;
  *block = site.integer("blocksize", 0);
  if (site.rank(0) == 4 && *block >= 1 && *block < 65536) return true;
  site.refuse("has {} axes and blocksize {}, expected 4 axes", site.rank(0), *block);
  return false;
}

}  // namespace

void import_reshape(Site& site) {
  if (!site.require(0, "data")) return;
  const Elements* target = site.require_known(1, "shape");
  if (target == nullptr) return;
  const bool keep_zero = site.integer("allowzero", 0) != 0;
  Dims dims = *target;
  std::optional<size_t> open;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == Dim(0) && !keep_zero) {
      if (i >= site.rank(0)) return site.refuse("dimension {} of the target copies none", i);
      dims[i] = site.shape(0)[i];
    } else if (dims[i] == Dim(-1)) {
      if (open) return site.refuse("two dimensions of the target are -1");
      open = i;
    }
  }
  if (open) {
    const std::optional<Dim> dim = inferred(site.shape(0), dims, *open);
    if (!dim) {
      return site.refuse("the dimension -1 cannot be told: {} into {}",
                         to_text(site.shape(0), site.symbols()),
                         dims.size() <= kRankMax ? to_text(Shape(dims), site.symbols()) : "many");
    }
    dims[*open] = *dim;
  }
  reshape_to(site, dims);
}

void import_squeeze(Site& site) {
  if (!site.require(0, "data")) return;
  const auto listed = listed_axes(site, 13);
  if (!listed) return;
  const Shape shape = site.shape(0);
  std::vector<bool> gone(shape.rank());
  for (const int64_t each : *listed) {
    const auto axis = site.axis_in(each, shape.rank());
    if (!axis) return;
    if (!(shape[*axis] == Dim(1))) {
      return site.refuse("axis {} has {} elements", *axis, to_text(shape[*axis], site.symbols()));
    }
    gone[*axis] = true;
  }
  const bool all = listed->empty() && (site.opset() < 13 || !site.has(1));
  Dims dims;
  for (size_t i = 0; i < shape.rank(); ++i) {
    if (all) {
      const auto is_one = holds(Order::kEqual, shape[i], Dim(1), site.symbols());
      if (!is_one) {
        return site.refuse("axis {} is {}, which may be 1 or not", i,
                           to_text(shape[i], site.symbols()));
      }
      gone[i] = *is_one;
    }
    if (!gone[i]) dims.push_back(shape[i]);
  }
  reshape_to(site, dims);
}

void import_unsqueeze(Site& site) {
  if (!site.require(0, "data")) return;
  const auto listed = listed_axes(site, 13);
  if (!listed) return;
  const size_t rank = site.rank(0) + listed->size();
  if (rank > kRankMax) return site.refuse("the result has {} axes", rank);
  std::vector<bool> is_new(rank);
  for (const int64_t each : *listed) {
    const auto axis = site.axis_in(each, rank);
    if (!axis) return;
    if (is_new[*axis]) return site.refuse("axis {} is given twice", *axis);
    is_new[*axis] = true;
  }
  Dims dims;
  size_t next = 0;
  for (size_t i = 0; i < rank; ++i) {
    dims.push_back(is_new[i] ? Dim(1) : site.shape(0)[next]);
    if (!is_new[i]) ++next;
  }
  reshape_to(site, dims);
}

void import_flatten(Site& site) {
  if (!site.require(0, "input")) return;
  const auto rank = static_cast<int64_t>(site.rank(0));
  int64_t axis = site.integer("axis", 1);
  if (axis < -rank || axis > rank) return site.refuse("axis {} of {} axes", axis, rank);
  if (axis < 0) axis += rank;
  const Shape& shape = site.shape(0);
  reshape_to(site, {shape.elements(0, static_cast<size_t>(axis)),
                    shape.elements(static_cast<size_t>(axis), shape.rank())});
}

void import_transpose(Site& site) {
  if (!site.require(0, "data")) return;
  const size_t rank = site.rank(0);
  std::vector<int64_t> permutation = identity_permutation(rank);
  std::reverse(permutation.begin(), permutation.end());
  permutation = site.integers("perm", permutation);
  std::vector<int64_t> sorted = permutation;
  std::sort(sorted.begin(), sorted.end());
  if (sorted != identity_permutation(rank)) {
    return site.refuse("perm [{}] does not name each of {} axes", fmt::join(permutation, ","),
                       rank);
  }
  if (sorted == permutation) return site.out_same(0, 0);
  if (const auto from = site.constant_dims(0); from && site.known(0) != nullptr) {
    std::vector<int64_t> dims;
    for (const int64_t axis : permutation) dims.push_back((*from)[static_cast<size_t>(axis)]);
    const bool folded = fold_pick(site, 0, dims, [&](const std::vector<int64_t>& index) {
      std::vector<int64_t> source(rank);
      for (size_t i = 0; i < rank; ++i) source[static_cast<size_t>(permutation[i])] = index[i];
      return broadcast_position(*from, source);
    });
    if (folded) return;
  }
  site.out(0, site.transpose(site.in(0), permutation));
}

void import_expand(Site& site) {
  if (!site.require(0, "input")) return;
  const Elements* target = site.require_known(1, "shape");
  if (target == nullptr) return;
  const Shape from = site.shape(0);
  const size_t rank = std::max(target->size(), from.rank());
  if (rank > kRankMax) return site.refuse("the result has {} axes", rank);
  Dims dims(rank, Dim(1));
  for (size_t i = 0; i < from.rank(); ++i) dims[rank - from.rank() + i] = from[i];
  for (size_t i = 0; i < target->size(); ++i) {
    Dim& dim = dims[rank - target->size() + i];
    if (dim == Dim(1)) dim = (*target)[i];
  }
  const Shape shape{std::span<const Dim>(dims)};
  if (const auto source = site.constant_dims(0); source && shape.is_constant()) {
    const auto folded = [&](const std::vector<int64_t>& index) {
      return broadcast_position(*source, index);
    };
    if (shape.elements().valid() && shape.elements().value() >= 0 &&
        fold_pick(site, 0, vm::dims_of(shape), folded)) {
      return;
    }
  }
  site.out(0, site.broadcast(site.in(0), dims));
}

void import_tile(Site& site) {
  if (!site.require(0, "input")) return;
  const Elements* repeats = site.require_known(1, "repeats");
  if (repeats == nullptr) return;
  if (repeats->size() != site.rank(0)) {
    return site.refuse("{} repeats for {} axes", repeats->size(), site.rank(0));
  }
  // One axis at a time, as [before, repeats, the axis and what follows].
  ValueId value = site.in(0);
  Shape shape = site.shape(0);
  for (size_t axis = 0; axis < shape.rank(); ++axis) {
    const Dim& count = (*repeats)[axis];
    if (count == Dim(1)) continue;
    const Dim before = shape.elements(0, axis);
    const Dim after = shape.elements(axis, shape.rank());
    value = site.reshape(value, {before, Dim(1), after});
    value = site.broadcast(value, {before, count, after});
    shape[axis] = shape[axis] * count;
    value = site.reshape(value, dims_of_shape(shape));
  }
  site.out(0, value);
}

void import_depth_to_space(Site& site) {
  int64_t block = 0;
  if (!read_block(site, &block)) return;
  const std::string mode = site.word("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") return site.refuse("mode is '{}'", mode);
  const Shape s = site.shape(0);
  const auto channels = exact_quotient(s[1], Dim(block * block));
  if (!channels) return site.refuse("the channels do not divide by {}", block * block);
  const bool depth_first = mode == "DCR";
  const Dims split = depth_first ? Dims{s[0], block, block, *channels, s[2], s[3]}
                                 : Dims{s[0], *channels, block, block, s[2], s[3]};
  ValueId value = site.reshape(site.in(0), split);
  value = site.transpose(value, depth_first ? std::vector<int64_t>{0, 3, 4, 1, 5, 2}
                                            : std::vector<int64_t>{0, 1, 4, 2, 5, 3});
  site.out(0, site.reshape(value, {s[0], *channels, s[2] * Dim(block), s[3] * Dim(block)}));
}

void import_space_to_depth(Site& site) {
  int64_t block = 0;
  if (!read_block(site, &block)) return;
  if (site.word("mode", "DCR") != "DCR") return site.refuse("mode is not DCR");
  const Shape s = site.shape(0);
  const auto height = exact_quotient(s[2], Dim(block));
  const auto width = exact_quotient(s[3], Dim(block));
  if (!height || !width) return site.refuse("height and width do not divide by {}", block);
  ValueId value = site.reshape(site.in(0), {s[0], s[1], *height, block, *width, block});
  value = site.transpose(value, {0, 3, 5, 1, 2, 4});
  site.out(0, site.reshape(value, {s[0], s[1] * Dim(block * block), *height, *width}));
}

}  // namespace bcai::vm::onnx
