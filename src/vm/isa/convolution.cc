// SPDX-License-Identifier: Apache-2.0
// Convolution, pooling and resampling over x[N, C, spatial…].
#include "vm/isa/choices.h"
#include "vm/isa/classes.h"

namespace bcai::vm {
namespace {

constexpr size_t kSpatialMax = 3;

// The windows' geometry, one number for each spatial axis.
struct Windows {
  std::vector<int64_t> kernel, strides, pads_low, pads_high, dilations;
};

bool read_windows(const InstructionView& view, size_t axes, Windows* out, Judgement& judgement) {
  return read_ints(view, Attr::kStrides, axes, 1, &out->strides, judgement) &&
         read_ints(view, Attr::kPadsLow, axes, 0, &out->pads_low, judgement) &&
         read_ints(view, Attr::kPadsHigh, axes, 0, &out->pads_high, judgement) &&
         read_ints(view, Attr::kDilations, axes, 1, &out->dilations, judgement);
}

// The kernel's extents from its shape: they are numbers, not symbols.
bool read_kernel(const Shape& weight, Windows* out, Judgement& judgement) {
  for (size_t axis = 2; axis < weight.rank(); ++axis) {
    if (!judgement.require(weight[axis].is_constant() && weight[axis].value() >= 1 &&
                               weight[axis].value() < (1 << 16),
                           "V9", "kernel extent is {}, expected 1 to 65535",
                           judgement.text(weight[axis]))) {
      return false;
    }
    out->kernel.push_back(weight[axis].value());
  }
  return true;
}

bool require_spatial(const InstructionView& view, Judgement& judgement) {
  const Shape& x = operand(view, 0).shape;
  return judgement.require(x.rank() >= 3 && x.rank() <= 2 + kSpatialMax, "V9",
                           "x is {}, expected [N,C] and 1 to {} spatial axes", judgement.text(x),
                           kSpatialMax);
}

// Rule V9: (in + pads - extent) / stride + 1, where extent = dilation*(kernel - 1) + 1 fits.
Dim window_count(const Dim& in, const Windows& windows, size_t axis, bool round_up,
                 Judgement& judgement) {
  const Dim extent = Dim(windows.dilations[axis]) * Dim(windows.kernel[axis] - 1) + Dim(1);
  const Dim padded = in + Dim(windows.pads_low[axis]) + Dim(windows.pads_high[axis]);
  judgement.require(judgement.at_most(extent, padded), "V9",
                    "spatial axis {}: {} with padding is less than the kernel's extent {}", axis,
                    judgement.text(padded), judgement.text(extent));
  const Dim slack = padded - extent;
  const int64_t stride = windows.strides[axis];
  return (round_up ? ceil_div(slack, stride) : floor_div(slack, stride)) + Dim(1);
}

std::vector<Type> infer_convolution(const InstructionView& view, Judgement& judgement) {
  const Shape& x = operand(view, 0).shape;
  const Shape& weight = operand(view, 1).shape;
  Windows windows;
  if (!require_spatial(view, judgement) || !require_rank(view, 1, x.rank(), judgement) ||
      !read_windows(view, x.rank() - 2, &windows, judgement) ||
      !read_kernel(weight, &windows, judgement)) {
    return {};
  }
  const int64_t groups = int_of(view, Attr::kGroups);
  judgement.require(weight[1] * Dim(groups) == x[1], "V9",
                    "x has {} channels, weight takes {} in each of {} groups", judgement.text(x[1]),
                    judgement.text(weight[1]), groups);
  judgement.require(weight[0].is_constant() && weight[0].value() % groups == 0, "V9",
                    "{} output channels do not divide into {} groups", judgement.text(weight[0]),
                    groups);
  if (has_operand(view, 2)) require_shape(view, 2, {weight[0]}, judgement);
  Type result{DType::kF32, {x[0], weight[0]}};
  for (size_t axis = 0; axis + 2 < x.rank(); ++axis) {
    result.shape.push_back(window_count(x[axis + 2], windows, axis, false, judgement));
  }
  return {result};
}

// For each output: the taps of one kernel over one group's channels, and half a multiply-add.
Dim work_convolution(const InstructionView& view) {
  Judgement ignored({});
  const std::vector<Type> results = infer_convolution(view, ignored);
  if (results.empty()) return Dim::invalid();
  const Shape& weight = operand(view, 1).shape;
  const Dim outputs = results[0].shape.elements();
  return outputs * weight.elements(1, weight.rank()) + floor_div(outputs + Dim(1), 2);
}

std::vector<Type> infer_transposed(const InstructionView& view, Judgement& judgement) {
  const Shape& x = operand(view, 0).shape;
  const Shape& weight = operand(view, 1).shape;
  Windows windows;
  std::vector<int64_t> output_padding;
  if (!require_spatial(view, judgement) || !require_rank(view, 1, x.rank(), judgement) ||
      !read_windows(view, x.rank() - 2, &windows, judgement) ||
      !read_ints(view, Attr::kOutputPadding, x.rank() - 2, 0, &output_padding, judgement) ||
      !read_kernel(weight, &windows, judgement)) {
    return {};
  }
  const int64_t groups = int_of(view, Attr::kGroups);
  judgement.require(weight[0] == x[1], "V9", "x has {} channels, weight takes {}",
                    judgement.text(x[1]), judgement.text(weight[0]));
  judgement.require(x[1].is_constant() && x[1].value() % groups == 0, "V9",
                    "{} input channels do not divide into {} groups", judgement.text(x[1]), groups);
  const Dim channels = weight[1] * Dim(groups);
  if (has_operand(view, 2)) require_shape(view, 2, {channels}, judgement);
  Type result{DType::kF32, {x[0], channels}};
  for (size_t axis = 0; axis + 2 < x.rank(); ++axis) {
    const Dim extent = Dim(windows.dilations[axis]) * Dim(windows.kernel[axis] - 1) + Dim(1);
    judgement.require(judgement.at_most(Dim(1), x[axis + 2]), "V9", "spatial axis {} is empty",
                      axis);
    judgement.require(
        output_padding[axis] < std::max(windows.strides[axis], windows.dilations[axis]), "V9",
        "output padding {} of axis {} is not below stride and dilation", output_padding[axis],
        axis);
    const Dim full =
        (x[axis + 2] - Dim(1)) * Dim(windows.strides[axis]) + extent + Dim(output_padding[axis]);
    const Dim cut = Dim(windows.pads_low[axis]) + Dim(windows.pads_high[axis]);
    judgement.require(judgement.at_most(cut + Dim(1), full), "V9",
                      "spatial axis {}: pads {} leave nothing of {}", axis, judgement.text(cut),
                      judgement.text(full));
    result.shape.push_back(full - cut);
  }
  return {result};
}

Dim work_transposed(const InstructionView& view) {
  const Shape& weight = operand(view, 1).shape;
  return operand(view, 0).shape.elements() * weight.elements(1, weight.rank());
}

std::vector<Type> infer_pool(const InstructionView& view, Judgement& judgement) {
  const Shape& x = operand(view, 0).shape;
  Windows windows;
  if (!require_spatial(view, judgement) ||
      !read_ints(view, Attr::kKernel, x.rank() - 2, 1, &windows.kernel, judgement) ||
      !read_windows(view, x.rank() - 2, &windows, judgement)) {
    return {};
  }
  const bool round_up = static_cast<Rounding>(int_of(view, Attr::kRounding)) == Rounding::kCeil;
  Type result{DType::kF32, {x[0], x[1]}};
  for (size_t axis = 0; axis + 2 < x.rank(); ++axis) {
    // A window of padding alone has no largest element and no mean.
    const int64_t extent = windows.dilations[axis] * (windows.kernel[axis] - 1) + 1;
    judgement.require(windows.pads_low[axis] < extent && windows.pads_high[axis] < extent, "V9",
                      "spatial axis {}: pads {} and {} are not below the kernel's extent {}", axis,
                      windows.pads_low[axis], windows.pads_high[axis], extent);
    result.shape.push_back(window_count(x[axis + 2], windows, axis, round_up, judgement));
  }
  return {result};
}

Dim work_pool(const InstructionView& view) {
  Judgement ignored({});
  const std::vector<Type> results = infer_pool(view, ignored);
  if (results.empty()) return Dim::invalid();
  Dim window(1);
  for (const int64_t extent : ints_of(view, Attr::kKernel)) window = window * Dim(extent);
  return results[0].shape.elements() * window;
}

std::vector<Type> infer_resize(const InstructionView& view, Judgement& judgement) {
  const Type& x = operand(view, 0);
  const Type& result = view.stated[0];
  if (!require_spatial(view, judgement)) return {};
  judgement.require(result.dtype == DType::kF32 && result.shape.rank() == x.shape.rank() &&
                        result.shape[0] == x.shape[0] && result.shape[1] == x.shape[1],
                    "V18", "result is {}, expected f32 with the rank, N and C of {}",
                    judgement.text(result), judgement.text(x));
  for (size_t axis = 2; axis < x.shape.rank(); ++axis) {
    judgement.require(judgement.at_most(Dim(1), x.shape[axis]), "V9", "axis {} is empty", axis);
  }
  return {result};
}

Dim work_resize(const InstructionView& view) { return view.stated[0].shape.elements(); }

}  // namespace

namespace classes {

const InstructionClass kConvolution = {
    .name = "Convolution",
    .operands = {{"x", "[N,C,..]"}, {"weight", "[O,C/groups,k..]"}, {"bias", "[O]", true}},
    .results = {"y"},
    .rule = "[N,O,..]; each extent (in + pads - (dilation*(k - 1) + 1))/stride + 1 (V9)",
    .infer = infer_convolution,
    .work = work_convolution};
const InstructionClass kConvolutionTranspose = {
    .name = "ConvolutionTranspose",
    .operands = {{"x", "[N,C,..]"}, {"weight", "[C,O/groups,k..]"}, {"bias", "[O]", true}},
    .results = {"y"},
    .rule =
        "[N,O,..]; each extent (in - 1)*stride + dilation*(k - 1) + 1 + output_padding - pads "
        "(V9)",
    .infer = infer_transposed,
    .work = work_transposed};
const InstructionClass kPool = {
    .name = "Pool",
    .operands = {{"x", "[N,C,..]"}},
    .results = {"y"},
    .rule =
        "[N,C,..]; extents as in ConvolutionForward, rounded as `rounding` says; pads below "
        "the kernel's extent (V9)",
    .infer = infer_pool,
    .work = work_pool};
const InstructionClass kResize = {.name = "Resize",
                                  .operands = {{"x", "[N,C,..]"}},
                                  .results = {"y"},
                                  .stated = true,
                                  .rule = "N and C of x, any spatial size (V9)",
                                  .infer = infer_resize,
                                  .work = work_resize};

}  // namespace classes
}  // namespace bcai::vm
