// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "vm/onnx/families.h"

namespace bcai::vm::onnx {

std::optional<std::vector<int64_t>> read_axes(Site& site, size_t input, int64_t input_since,
                                              size_t rank, bool* given) {
  std::vector<int64_t> listed;
  if (site.opset() < input_since) {
    *given = site.has_attribute("axes");
    listed = site.integers("axes");
  } else if (site.has(input)) {
    const auto numbers = site.require_numbers(input, "axes");
    if (!numbers) return std::nullopt;
    listed = *numbers;
  }
  *given = !listed.empty();
  std::vector<int64_t> axes;
  for (const int64_t each : listed) {
    const auto axis = site.axis_in(each, rank);
    if (!axis) return std::nullopt;
    axes.push_back(static_cast<int64_t>(*axis));
  }
  std::sort(axes.begin(), axes.end());
  axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  return axes;
}

namespace {

struct Reduction {
  std::vector<int64_t> axes;
  bool keep = true;
  bool nothing = false;  // the operand is the result
};

std::optional<Reduction> read_reduction(Site& site, int64_t input_since) {
  if (!site.require(0, "data")) return std::nullopt;
  Reduction reduction;
  bool given = false;
  const size_t rank = site.rank(0);
  const auto axes = read_axes(site, 1, input_since, rank, &given);
  if (!axes) return std::nullopt;
  reduction.keep = site.integer("keepdims", 1) != 0;
  const bool no_axes_no_work = site.integer("noop_with_empty_axes", 0) != 0;
  reduction.axes = *axes;
  reduction.nothing = rank == 0 || (!given && no_axes_no_work);
  if (!given && !no_axes_no_work) {
    for (size_t i = 0; i < rank; ++i) reduction.axes.push_back(static_cast<int64_t>(i));
  }
  return reduction;
}

ValueId reduce(Site& site, Opcode opcode, ValueId x, const Reduction& reduction) {
  return reduction.nothing ? x : site.reduce(opcode, x, reduction.axes, reduction.keep);
}

void plain(Site& site, Opcode opcode, int64_t input_since) {
  const auto reduction = read_reduction(site, input_since);
  if (reduction) site.out(0, reduce(site, opcode, site.in(0), *reduction));
}

// All known integers of a vector at once: the elements of a shape.
bool fold_all(Site& site, std::optional<Dim> (*body)(Site&, const Dim&, const Dim&), Dim first) {
  const Elements* known = site.known(0);
  if (known == nullptr || site.rank(0) != 1 || known->empty()) return false;
  std::optional<Dim> total = std::move(first);
  for (const Dim& each : *known) {
    if (total) total = body(site, *total, each);
  }
  if (!total || !fits(site.type(0).dtype, *total, site.symbols())) return false;
  std::vector<int64_t> dims;
  if (site.integer("keepdims", 1) != 0) dims.push_back(1);
  site.ignore("axes");
  site.ignore("noop_with_empty_axes");
  site.out_known(0, site.type(0).dtype, dims, {*total});
  return true;
}

ValueId squared(Site& site) { return site.add(Opcode::kMul, {site.in(0), site.in(0)}); }

void arg_reduce(Site& site, Opcode opcode) {
  if (!site.require(0, "data")) return;
  const auto axis = site.axis_in(site.integer("axis", 0), site.rank(0));
  if (!axis) return;
  site.out(
      0,
      site.add(opcode, {site.in(0)},
               attributes({{Attr::kAxis, static_cast<int64_t>(*axis)},
                           {Attr::kKeepDims, int64_t{site.integer("keepdims", 1) != 0}},
                           {Attr::kSelect, int64_t{site.integer("select_last_index", 0) != 0}}})));
}

}  // namespace

void import_reduce_sum(Site& site) {
  const auto add = [](Site&, const Dim& a, const Dim& b) -> std::optional<Dim> { return a + b; };
  if (!fold_all(site, add, Dim(0))) plain(site, Opcode::kReduceSum, 13);
}

void import_reduce_mean(Site& site) { plain(site, Opcode::kReduceMean, 18); }
void import_reduce_max(Site& site) { plain(site, Opcode::kReduceMax, 18); }
void import_reduce_min(Site& site) { plain(site, Opcode::kReduceMin, 18); }

void import_reduce_prod(Site& site) {
  const auto multiply = [](Site&, const Dim& a, const Dim& b) -> std::optional<Dim> {
    return a * b;
  };
  if (!fold_all(site, multiply, Dim(1))) plain(site, Opcode::kReduceProd, 18);
}

void import_reduce_l1(Site& site) {
  const auto reduction = read_reduction(site, 18);
  if (!reduction) return;
  const ValueId sizes = site.add(Opcode::kAbs, {site.in(0)});
  site.out(0, reduce(site, Opcode::kReduceSum, sizes, *reduction));
}

void import_reduce_l2(Site& site) {
  const auto reduction = read_reduction(site, 18);
  if (!reduction) return;
  const ValueId sum = reduce(site, Opcode::kReduceSum, squared(site), *reduction);
  site.out(0, site.add(Opcode::kSqrt, {sum}));
}

void import_reduce_sum_square(Site& site) {
  const auto reduction = read_reduction(site, 18);
  if (reduction) site.out(0, reduce(site, Opcode::kReduceSum, squared(site), *reduction));
}

void import_reduce_log_sum(Site& site) {
  const auto reduction = read_reduction(site, 18);
  if (!reduction) return;
  const ValueId sum = reduce(site, Opcode::kReduceSum, site.in(0), *reduction);
  site.out(0, site.add(Opcode::kLog, {sum}));
}

void import_reduce_log_sum_exp(Site& site) {
  const auto reduction = read_reduction(site, 18);
  if (!reduction) return;
  // Less the largest, so that no power overflows.
  Reduction kept = *reduction;
  kept.keep = true;
  const ValueId most = reduce(site, Opcode::kReduceMax, site.in(0), kept);
  const ValueId power = site.add(Opcode::kExp, {site.add(Opcode::kSub, {site.in(0), most})});
  const ValueId sum = reduce(site, Opcode::kReduceSum, power, *reduction);
  const ValueId log = site.add(Opcode::kLog, {sum});
  const ValueId moved = site.reshape(most, dims_of_shape(site.shape_of(log)));
  site.out(0, site.add(Opcode::kAdd, {log, moved}));
}

void import_arg_max(Site& site) { arg_reduce(site, Opcode::kArgMax); }
void import_arg_min(Site& site) { arg_reduce(site, Opcode::kArgMin); }

}  // namespace bcai::vm::onnx
