// SPDX-License-Identifier: Apache-2.0
#include "vm/onnx/families.h"

namespace bcai::vm::onnx {
namespace {

// The mean and 1 / sqrt(variance + epsilon) over the axes from `axis`, each kept with size 1.
void out_moments(Site& site, size_t axis, float epsilon) {
  if (!site.wants(1) && !site.wants(2)) return;
  std::vector<int64_t> axes;
  for (size_t i = axis; i < site.rank(0); ++i) axes.push_back(static_cast<int64_t>(i));
  const ValueId mean = site.reduce(Opcode::kReduceMean, site.in(0), axes, true);
  const ValueId off = site.add(Opcode::kSub, {site.in(0), mean});
  const ValueId square = site.add(Opcode::kMul, {off, off});
  const ValueId variance = site.reduce(Opcode::kReduceMean, square, axes, true);
  const ValueId moved = site.add(Opcode::kAdd, {variance, site.scalar(epsilon)});
  if (site.wants(1)) site.out(1, mean);
  if (site.wants(2)) site.out(2, site.add(Opcode::kRsqrt, {moved}));
}

// [groups] repeated to [channels].
ValueId of_channels(Site& site, size_t input, int64_t groups, const Dim& channels) {
  const auto width = exact_quotient(channels, Dim(groups));
  if (!width) {
    site.refuse("the channels do not divide into {} groups", groups);
    return kNoValue;
  }
  const ValueId column = site.reshape(site.in(input), {Dim(groups), Dim(1)});
  return site.reshape(site.broadcast(column, {Dim(groups), *width}), {channels});
}

}  // namespace

void import_batch_normalization(Site& site) {
  for (size_t i = 0; i < 5; ++i) {
    if (!site.require(i, "x, scale, b, mean, var")) return;
  }
  if (site.integer("training_mode", 0) != 0) return site.refuse("training_mode is not supported");
  for (size_t i = 1; i < site.node().outputs.size(); ++i) {
    if (site.wants(i)) return site.refuse("outputs of training are not supported");
  }
  site.ignore("momentum");
  site.out(0, site.add(Opcode::kBatchNormInfer,
                       {site.in(0), site.in(1), site.in(2), site.in(3), site.in(4)},
                       attributes({{Attr::kEpsilon, site.real("epsilon", 1e-5F)}})));
}

void import_layer_normalization(Site& site) {
  if (!site.require(0, "x") || !site.require(1, "scale")) return;
  const auto axis = site.axis_in(site.integer("axis", -1), site.rank(0));
  if (!axis) return;
  if (site.integer("stash_type", 1) != 1) return site.refuse("stash_type is not float");
  const float epsilon = site.real("epsilon", 1e-5F);
  const Shape shape = site.shape(0);
  // The axes from `axis` on as one.
  const Dim width = shape.elements(*axis, shape.rank());
  Dims flat(shape.dims().begin(), shape.dims().begin() + static_cast<int64_t>(*axis));
  flat.push_back(width);
  const Dims inner(shape.dims().begin() + static_cast<int64_t>(*axis), shape.dims().end());
  const auto weight = [&](size_t i) {
    return site.has(i) ? site.reshape(site.broadcast(site.in(i), inner), {width}) : kNoValue;
  };
  const ValueId y =
      site.add(Opcode::kLayerNorm, {site.reshape(site.in(0), flat), weight(1), weight(2)},
               attributes({{Attr::kEpsilon, epsilon}}));
  site.out(0, site.reshape(y, dims_of_shape(shape)));
  out_moments(site, *axis, epsilon);
}

void import_instance_normalization(Site& site) {
  if (!site.require(0, "input") || !site.require(1, "scale") || !site.require(2, "b")) return;
  if (site.rank(0) < 2 || !site.shape(0)[1].is_constant()) {
    return site.refuse("the number of channels must be a number");
  }
  site.out(0, site.add(Opcode::kGroupNorm, {site.in(0), site.in(1), site.in(2)},
                       attributes({{Attr::kGroups, site.shape(0)[1].value()},
                                   {Attr::kEpsilon, site.real("epsilon", 1e-5F)}})));
}

void import_group_normalization(Site& site) {
  if (!site.require(0, "x") || !site.require(1, "scale") || !site.require(2, "bias")) return;
  if (site.rank(0) < 2) return site.refuse("has {} axes", site.rank(0));
  if (site.integer("stash_type", 1) != 1) return site.refuse("stash_type is not float");
  const int64_t groups = site.integer("num_groups", 0);
  const Dim channels = site.shape(0)[1];
  // Before opset 21, scale and bias were of the groups.
  const bool of_groups = site.opset() < 21;
  const ValueId scale = of_groups ? of_channels(site, 1, groups, channels) : site.in(1);
  const ValueId bias = of_groups ? of_channels(site, 2, groups, channels) : site.in(2);
  site.out(0, site.add(Opcode::kGroupNorm, {site.in(0), scale, bias},
                       attributes({{Attr::kGroups, groups},
                                   {Attr::kEpsilon, site.real("epsilon", 1e-5F)}})));
}

}  // namespace bcai::vm::onnx
