// SPDX-License-Identifier: Apache-2.0
// Windows over the axes behind [N, C].
#include <algorithm>

#include "vm/onnx/families.h"

namespace bcai::vm::onnx {
namespace {

struct Windows {
  std::vector<int64_t> kernel, strides, dilations, low, high;

  int64_t extent(size_t axis) const { return dilations[axis] * (kernel[axis] - 1) + 1; }
};

// One number for each axis within `least` to 65535; `otherwise` where none are given.
bool read_list(Site& site, std::string_view name, size_t axes, int64_t least, int64_t otherwise,
               std::vector<int64_t>* list) {
  *list = site.integers(name);
  if (list->empty()) list->assign(axes, otherwise);
  const bool fine = std::all_of(list->begin(), list->end(),
                                [&](int64_t each) { return each >= least && each < 65536; });
  if (list->size() == axes && fine) return true;
  site.refuse("{} [{}] for {} axes", name, fmt::join(*list, ","), axes);
  return false;
}

// Everything but the pads that auto_pad leaves open.
bool read_windows(Site& site, size_t axes, Windows* windows) {
  std::vector<int64_t> pads;
  if (!read_list(site, "kernel_shape", axes, 1, 1, &windows->kernel) ||
      !read_list(site, "strides", axes, 1, 1, &windows->strides) ||
      !read_list(site, "dilations", axes, 1, 1, &windows->dilations) ||
      !read_list(site, "pads", 2 * axes, 0, 0, &pads)) {
    return false;
  }
  const auto half = pads.begin() + static_cast<int64_t>(axes);
  windows->low.assign(pads.begin(), half);
  windows->high.assign(half, pads.end());
  return true;
}

bool require_spatial(Site& site) {
  if (!site.require(0, "x")) return false;
  if (site.rank(0) >= 3 && site.rank(0) <= 5) return true;
  site.refuse("x has {} axes, expected N, C and 1 to 3 more", site.rank(0));
  return false;
}

// The kernel's extents out of the weight's shape.
bool kernel_of_weight(Site& site, Windows* windows) {
  if (!site.require(1, "w")) return false;
  const Shape& weight = site.shape(1);
  if (weight.rank() != site.rank(0)) {
    site.refuse("w has {} axes, x has {}", weight.rank(), site.rank(0));
    return false;
  }
  std::vector<int64_t> kernel;
  for (size_t i = 2; i < weight.rank(); ++i) {
    if (!weight[i].is_constant()) {
      site.refuse("the kernel's extent is open");
      return false;
    }
    kernel.push_back(weight[i].value());
  }
  if (site.has_attribute("kernel_shape") && kernel != windows->kernel) {
    site.refuse("kernel_shape [{}], but w has [{}]", fmt::join(windows->kernel, ","),
                fmt::join(kernel, ","));
    return false;
  }
  windows->kernel = kernel;
  return true;
}

void share_pads(bool upper, int64_t total, size_t axis, Windows* windows) {
  windows->low[axis] = upper ? total / 2 : total - total / 2;
  windows->high[axis] = total - windows->low[axis];
}

// SAME_UPPER and SAME_LOWER: as many results as steps fit into x.
bool resolve_auto_pad(Site& site, Windows* windows) {
  const std::string mode = site.word("auto_pad", "NOTSET");
  if (mode == "NOTSET" || mode.empty()) return true;
  for (size_t i = 0; i < windows->kernel.size(); ++i) {
    windows->low[i] = 0;
    windows->high[i] = 0;
    if (mode == "VALID") continue;
    if (mode != "SAME_UPPER" && mode != "SAME_LOWER") {
      site.refuse("auto_pad is '{}'", mode);
      return false;
    }
    const Dim& in = site.shape(0)[i + 2];
    const int64_t stride = windows->strides[i];
    const Dim total = (ceil_div(in, stride) - Dim(1)) * Dim(stride) + Dim(windows->extent(i)) - in;
    if (!total.is_constant()) {
      site.refuse("auto_pad {} of {} by {} depends on the size", mode, to_text(in, site.symbols()),
                  stride);
      return false;
    }
    share_pads(mode == "SAME_UPPER", std::max<int64_t>(total.value(), 0), i, windows);
  }
  return true;
}

Attributes window_attributes(const Windows& windows) {
  return attributes({{Attr::kStrides, windows.strides},
                     {Attr::kPadsLow, windows.low},
                     {Attr::kPadsHigh, windows.high},
                     {Attr::kDilations, windows.dilations}});
}

// The pads of a transposed convolution from the size of its result.
bool transposed_pads(Site& site, Windows* windows, std::vector<int64_t>* output_padding) {
  const std::string mode = site.word("auto_pad", "NOTSET");
  const bool same = mode == "SAME_UPPER" || mode == "SAME_LOWER";
  const std::vector<int64_t> shape = site.integers("output_shape");
  if (!same && mode != "NOTSET" && mode != "VALID") {
    site.refuse("auto_pad is '{}'", mode);
    return false;
  }
  if (!same && shape.empty()) return true;
  const size_t axes = windows->kernel.size();
  if (!shape.empty() && shape.size() != axes) {
    site.refuse("output_shape [{}] for {} axes", fmt::join(shape, ","), axes);
    return false;
  }
  for (const int64_t extent : shape) {
    if (extent >= 1 && extent <= kDimMax) continue;
    site.refuse("output_shape has {}", extent);
    return false;
  }
  for (size_t i = 0; i < axes; ++i) {
    const Dim& in = site.shape(0)[i + 2];
    const int64_t stride = windows->strides[i];
    const Dim full =
        (in - Dim(1)) * Dim(stride) + Dim((*output_padding)[i]) + Dim(windows->extent(i));
    const Dim total = full - (shape.empty() ? in * Dim(stride) : Dim(shape[i]));
    if (!total.is_constant()) {
      site.refuse("the pads depend on the size {}", to_text(in, site.symbols()));
      return false;
    }
    // A larger result than the windows reach: the rest is added at the end.
    if (total.value() < 0) (*output_padding)[i] -= total.value();
    share_pads(mode == "SAME_UPPER", std::max<int64_t>(total.value(), 0), i, windows);
  }
  return true;
}

// With ceil_mode a window that starts in the padding at the end is left out, which the instruction
// does not do. Makes the pads such that rounding down gives the same windows.
bool resolve_ceil(Site& site, bool pads_count, Windows* windows, Rounding* rounding) {
  if (site.integer("ceil_mode", 0) == 0) return true;
  bool moved = false;
  for (size_t i = 0; i < windows->kernel.size(); ++i) {
    const Dim& in = site.shape(0)[i + 2];
    const int64_t extent = windows->extent(i);
    const int64_t stride = windows->strides[i];
    const int64_t low = windows->low[i];
    if (stride + windows->high[i] <= extent) continue;  // no window starts there
    if (!in.is_constant()) {
      site.refuse("ceil_mode with stride {} and a kernel of {} depends on the size", stride,
                  extent);
      return false;
    }
    const int64_t slack = in.value() + low + windows->high[i] - extent;
    if (slack < 0) {
      site.refuse("the kernel exceeds the padded input");
      return false;
    }
    int64_t count = (slack + stride - 1) / stride + 1;
    if ((count - 1) * stride < in.value() + low) continue;
    moved = true;
    --count;
    if (pads_count && (count - 1) * stride + extent > in.value() + low + windows->high[i]) {
      site.refuse("ceil_mode with count_include_pad leaves out a window");
      return false;
    }
    if (!pads_count) {
      windows->high[i] = std::max<int64_t>(0, (count - 1) * stride + extent - in.value() - low);
    }
  }
  *rounding = moved ? Rounding::kFloor : Rounding::kCeil;
  return true;
}

void pool(Site& site, Opcode opcode) {
  Windows windows;
  Rounding rounding = Rounding::kFloor;
  if (!require_spatial(site)) return;
  if (!site.has_attribute("kernel_shape")) return site.refuse("kernel_shape is missing");
  const bool average = opcode == Opcode::kAveragePool;
  const bool pads_count = average && site.integer("count_include_pad", 0) != 0;
  if (!read_windows(site, site.rank(0) - 2, &windows) || !resolve_auto_pad(site, &windows) ||
      !resolve_ceil(site, pads_count, &windows, &rounding)) {
    return;
  }
  Attributes given = window_attributes(windows);
  given.set(Attr::kKernel, windows.kernel);
  given.set(Attr::kRounding, static_cast<int64_t>(rounding));
  if (average) given.set(Attr::kCountIncludePad, int64_t{pads_count});
  site.out(0, site.add(opcode, {site.in(0)}, given));
}

void global(Site& site, Opcode opcode) {
  if (!site.require(0, "x")) return;
  std::vector<int64_t> axes;
  for (size_t i = 2; i < site.rank(0); ++i) axes.push_back(static_cast<int64_t>(i));
  site.out(0, site.reduce(opcode, site.in(0), axes, true));
}

}  // namespace

void import_conv(Site& site) {
  Windows windows;
  if (!require_spatial(site) || !read_windows(site, site.rank(0) - 2, &windows) ||
      !kernel_of_weight(site, &windows) || !resolve_auto_pad(site, &windows)) {
    return;
  }
  Attributes given = window_attributes(windows);
  given.set(Attr::kGroups, site.integer("group", 1));
  site.out(0, site.add(Opcode::kConvolutionForward, {site.in(0), site.in(1), site.in(2)}, given));
}

void import_conv_transpose(Site& site) {
  Windows windows;
  std::vector<int64_t> output_padding;
  if (!require_spatial(site) || !read_windows(site, site.rank(0) - 2, &windows) ||
      !read_list(site, "output_padding", site.rank(0) - 2, 0, 0, &output_padding) ||
      !kernel_of_weight(site, &windows) || !transposed_pads(site, &windows, &output_padding)) {
    return;
  }
  Attributes given = window_attributes(windows);
  given.set(Attr::kGroups, site.integer("group", 1));
  given.set(Attr::kOutputPadding, output_padding);
  site.out(0, site.add(Opcode::kConvolutionTranspose, {site.in(0), site.in(1), site.in(2)}, given));
}

void import_max_pool(Site& site) {
  if (site.wants(1)) return site.refuse("the output Indices is not supported");
  site.ignore("storage_order");  // of the indices
  pool(site, Opcode::kMaxPool);
}

void import_average_pool(Site& site) { pool(site, Opcode::kAveragePool); }
void import_global_average_pool(Site& site) { global(site, Opcode::kReduceMean); }
void import_global_max_pool(Site& site) { global(site, Opcode::kReduceMax); }

}  // namespace bcai::vm::onnx
