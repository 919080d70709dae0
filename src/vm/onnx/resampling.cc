// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>

#include "vm/onnx/families.h"

namespace bcai::vm::onnx {
namespace {

struct Sampling {
  ResizeMode mode = ResizeMode::kNearest;
  Coordinates coordinates = Coordinates::kHalfPixel;
  Nearest nearest = Nearest::kRoundPreferFloor;
};

// in * scale when that is a whole number for every size; then the instruction, which goes by the
// sizes, samples at the places that ONNX computes from the scale.
std::optional<Dim> scaled(const Dim& in, float scale) {
  if (!(scale > 0) || scale > 65536) return std::nullopt;
  // A scale of p/q, for small q.
  for (int64_t q = 1; q <= 64; ++q) {
    const double p = double{scale} * static_cast<double>(q);
    if (p != std::floor(p)) continue;
    return exact_quotient(in * Dim(static_cast<int64_t>(p)), Dim(q));
  }
  if (!in.is_constant()) return std::nullopt;
  // A third as a float is not a third; times three it is 1 in floats.
  const float product = static_cast<float>(in.value()) * scale;
  if (product != std::floor(product) || product > 0x1p24F) return std::nullopt;
  return Dim(static_cast<int64_t>(product));
}

bool scale_dims(Site& site, const std::vector<float>& scales, const std::vector<size_t>& axes,
                Dims* dims) {
  if (scales.size() != axes.size()) {
    site.refuse("{} scales for {} axes", scales.size(), axes.size());
    return false;
  }
  for (size_t i = 0; i < axes.size(); ++i) {
    const Dim& in = site.shape(0)[axes[i]];
    const auto out = scaled(in, scales[i]);
    if (!out) {
      site.refuse("axis {}: {} times {} is not a whole number for every size", axes[i],
                  to_text(in, site.symbols()), scales[i]);
      return false;
    }
    (*dims)[axes[i]] = *out;
  }
  return true;
}

void emit(Site& site, const Dims& dims, const Sampling& sampling) {
  const Shape& x = site.shape(0);
  if (x.rank() < 3 || x.rank() > 5 || !(dims[0] == x[0]) || !(dims[1] == x[1])) {
    return site.refuse("only the axes behind N and C can be resampled, of 1 to 3");
  }
  site.out(0,
           site.stated(Opcode::kResize, {site.in(0)}, DType::kF32, dims,
                       attributes({{Attr::kMode, static_cast<int64_t>(sampling.mode)},
                                   {Attr::kCoordinates, static_cast<int64_t>(sampling.coordinates)},
                                   {Attr::kRounding, static_cast<int64_t>(sampling.nearest)}})));
}

// An index into `words`; nothing, and a refusal, for a word that is not there.
template <size_t kCount>
std::optional<int64_t> choice(Site& site, std::string_view name, const std::string& word,
                              const std::array<std::string_view, kCount>& words) {
  const auto found = std::find(words.begin(), words.end(), word);
  if (found != words.end()) return found - words.begin();
  site.refuse("{} '{}' is not supported", name, word);
  return std::nullopt;
}

bool read_sampling(Site& site, Sampling* sampling) {
  const bool first = site.opset() < 11;
  const auto mode = choice(site, "mode", site.word("mode", "nearest"), kResizeModeWords);
  std::string where =
      first ? "asymmetric" : site.word("coordinate_transformation_mode", "half_pixel");
  // The same where sizes and scales agree, and others are refused.
  if (where == "half_pixel_symmetric") where = "half_pixel";
  const auto coordinates = choice(site, "coordinate_transformation_mode", where, kCoordinateWords);
  const std::string rounding = first ? "floor" : site.word("nearest_mode", "round_prefer_floor");
  const auto nearest = choice(site, "nearest_mode", rounding, kNearestWords);
  if (site.integer("antialias", 0) != 0) site.refuse("antialias is not supported");
  // Of the modes cubic and tf_crop_and_resize.
  site.ignore("cubic_coeff_a");
  site.ignore("exclude_outside");
  site.ignore("extrapolation_value");
  if (!mode || !coordinates || !nearest || site.refused()) return false;
  *sampling = {static_cast<ResizeMode>(*mode), static_cast<Coordinates>(*coordinates),
               static_cast<Nearest>(*nearest)};
  return true;
}

std::optional<std::vector<size_t>> resized_axes(Site& site) {
  std::vector<int64_t> given = site.integers("axes");
  std::vector<size_t> axes;
  for (size_t i = 0; given.empty() && i < site.rank(0); ++i) axes.push_back(i);
  for (const int64_t each : given) {
    const auto axis = site.axis_in(each, site.rank(0));
    if (!axis) return std::nullopt;
    axes.push_back(*axis);
  }
  return axes;
}

bool is_given(const Site& site, size_t input) {
  return site.has(input) && !(site.shape(input).elements() == Dim(0));
}

}  // namespace

void import_resize(Site& site) {
  Sampling sampling;
  if (!site.require(0, "x") || !read_sampling(site, &sampling)) return;
  const auto axes = resized_axes(site);
  if (!axes) return;
  const size_t scales_at = site.opset() < 11 ? 1 : 2;
  Dims dims = dims_of_shape(site.shape(0));
  const std::string policy = site.word("keep_aspect_ratio_policy", "stretch");
  if (is_given(site, 3)) {
    if (policy != "stretch") return site.refuse("keep_aspect_ratio_policy '{}'", policy);
    const Elements* sizes = site.require_known(3, "sizes");
    if (sizes == nullptr) return;
    if (sizes->size() != axes->size()) {
      return site.refuse("{} sizes for {} axes", sizes->size(), axes->size());
    }
    for (size_t i = 0; i < axes->size(); ++i) dims[(*axes)[i]] = (*sizes)[i];
  } else {
    const auto scales = site.floats(scales_at);
    if (!scales) return site.refuse("scales must be constant");
    if (!scale_dims(site, *scales, *axes, &dims)) return;
  }
  emit(site, dims, sampling);
}

void import_upsample(Site& site) {
  if (!site.require(0, "x")) return;
  const auto mode = choice(site, "mode", site.word("mode", "nearest"), kResizeModeWords);
  const auto scales = site.floats(1);
  if (!scales) return site.refuse("scales must be constant");
  const auto axes = resized_axes(site);
  Dims dims = dims_of_shape(site.shape(0));
  if (!mode || !axes || !scale_dims(site, *scales, *axes, &dims)) return;
  emit(site, dims, {static_cast<ResizeMode>(*mode), Coordinates::kAsymmetric, Nearest::kFloor});
}

}  // namespace bcai::vm::onnx
