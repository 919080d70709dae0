// SPDX-License-Identifier: Apache-2.0
// Joining, cutting and padding.
#include <algorithm>

#include "vm/onnx/families.h"

namespace bcai::vm::onnx {
namespace {

bool fold_concat(Site& site, size_t axis) {
  std::vector<std::vector<int64_t>> parts;
  for (size_t i = 0; i < site.count(); ++i) {
    const auto dims = site.constant_dims(i);
    if (site.known(i) == nullptr || !dims || dims->size() != site.rank(0)) return false;
    parts.push_back(*dims);
  }
  std::vector<int64_t> dims = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) {
    for (size_t k = 0; k < dims.size(); ++k) {
      if (k != axis && parts[i][k] != dims[k]) return false;
    }
    dims[axis] += parts[i][axis];
  }
  if (count_of(dims) > static_cast<int64_t>(kKnownMax)) return false;
  Elements elements;
  for_each_index(dims, [&](const std::vector<int64_t>& index) {
    std::vector<int64_t> source = index;
    size_t part = 0;
    while (source[axis] >= parts[part][axis]) source[axis] -= parts[part++][axis];
    elements.push_back((*site.known(part))[broadcast_position(parts[part], source)]);
  });
  site.out_known(0, site.type(0).dtype, dims, std::move(elements));
  return true;
}

// One axis of a Slice. The axis is reversed first when the step is negative.
struct Cut {
  Dim start, size;
  int64_t step = 1;
  bool reversed = false;
};

// A start or end as an index from 0 to `most`; negative ones count from the end.
std::optional<Dim> bounded(Site& site, const Dim& given, const Dim& extent, const Dim& least,
                           const Dim& most) {
  const auto from_end = holds(Order::kLess, given, Dim(0), site.symbols());
  if (!from_end) return std::nullopt;
  // The largest integers stand for "to the end" and would overflow.
  if (given.is_constant() && given.value() <= -kDimMax - 1) return least;
  const Dim at = *from_end ? given + extent : given;
  const auto above = larger(at, least, site.symbols());
  return above ? smaller(*above, most, site.symbols()) : std::nullopt;
}

std::optional<Cut> cut_of(Site& site, const Dim& start, const Dim& end, int64_t step,
                          const Dim& extent) {
  if (step == 0 || step <= -kDimMax) {
    site.refuse("a step is {}", step);
    return std::nullopt;
  }
  const bool forward = step > 0;
  const Dim least(forward ? 0 : -1);
  const Dim most = forward ? extent : extent - Dim(1);
  const auto first = bounded(site, start, extent, forward ? least : Dim(0), most);
  // An end before the first element is written as a large negative number.
  const auto last = bounded(site, end, extent, least, most);
  std::optional<Dim> size;
  if (first && last) {
    const Dim span = forward ? *last - *first : *first - *last;
    size = larger(ceil_div(span, std::abs(step)), Dim(0), site.symbols());
  }
  if (!size) {
    site.refuse("from {} to {} of {}: not the same for all sizes", to_text(start, site.symbols()),
                to_text(end, site.symbols()), to_text(extent, site.symbols()));
    return std::nullopt;
  }
  Cut cut;
  cut.size = *size;
  // An empty piece may start anywhere.
  cut.start = *size == Dim(0) ? Dim(0) : forward ? *first : extent - Dim(1) - *first;
  cut.step = std::min(std::abs(step), kDimMax);
  cut.reversed = !forward;
  return cut;
}

// starts, ends, axes and steps of a Slice, from attributes or operands.
struct SliceArguments {
  Elements starts, ends;
  std::vector<int64_t> axes, steps;
};

std::optional<SliceArguments> slice_arguments(Site& site) {
  SliceArguments arguments;
  if (site.opset() < 10) {
    for (const int64_t each : site.integers("starts")) arguments.starts.emplace_back(each);
    for (const int64_t each : site.integers("ends")) arguments.ends.emplace_back(each);
    arguments.axes = site.integers("axes");
  } else {
    const Elements* starts = site.require_known(1, "starts");
    const Elements* ends = site.require_known(2, "ends");
    if (starts == nullptr || ends == nullptr) return std::nullopt;
    arguments.starts = *starts;
    arguments.ends = *ends;
    if (site.has(3)) {
      const auto axes = site.require_numbers(3, "axes");
      if (!axes) return std::nullopt;
      arguments.axes = *axes;
    }
    if (site.has(4)) {
      const auto steps = site.require_numbers(4, "steps");
      if (!steps) return std::nullopt;
      arguments.steps = *steps;
    }
  }
  const size_t count = arguments.starts.size();
  if (arguments.axes.empty()) {
    for (size_t i = 0; i < count; ++i) arguments.axes.push_back(static_cast<int64_t>(i));
  }
  if (arguments.steps.empty()) arguments.steps.assign(count, 1);
  if (arguments.ends.size() == count && arguments.axes.size() == count &&
      arguments.steps.size() == count) {
    return arguments;
  }
  site.refuse("{} starts, {} ends, {} axes, {} steps", count, arguments.ends.size(),
              arguments.axes.size(), arguments.steps.size());
  return std::nullopt;
}

bool fold_slice(Site& site, const std::vector<Cut>& cuts) {
  const auto from = site.constant_dims(0);
  std::vector<int64_t> dims;
  for (const Cut& cut : cuts) {
    if (!cut.size.is_constant() || !cut.start.is_constant()) return false;
    dims.push_back(cut.size.value());
  }
  if (!from) return false;
  return fold_pick(site, 0, dims, [&](const std::vector<int64_t>& index) {
    std::vector<int64_t> source(index.size());
    for (size_t i = 0; i < index.size(); ++i) {
      const int64_t at = cuts[i].start.value() + index[i] * cuts[i].step;
      source[i] = cuts[i].reversed ? (*from)[i] - 1 - at : at;
    }
    return broadcast_position(*from, source);
  });
}

// The sizes of a Split's pieces.
std::optional<Dims> split_sizes(Site& site, const Dim& extent) {
  const auto pieces = static_cast<int64_t>(site.node().outputs.size());
  if (site.opset() < 13 && site.has_attribute("split")) {
    Dims sizes;
    for (const int64_t each : site.integers("split")) sizes.emplace_back(each);
    return sizes;
  }
  if (site.opset() >= 13 && site.has(1)) {
    const Elements* sizes = site.require_known(1, "split");
    if (sizes == nullptr) return std::nullopt;
    return *sizes;
  }
  const int64_t count = site.opset() >= 18 ? site.integer("num_outputs", pieces) : pieces;
  if (count != pieces || count < 1) {
    site.refuse("num_outputs is {}, there are {} outputs", count, pieces);
    return std::nullopt;
  }
  // Since opset 18 the last piece may be smaller.
  if (const auto even = exact_quotient(extent, Dim(count))) {
    return Dims(static_cast<size_t>(count), *even);
  }
  const Dim size = ceil_div(extent, count);
  Dims sizes(static_cast<size_t>(count), size);
  sizes.back() = extent - size * Dim(count - 1);
  return sizes;
}

struct Padding {
  std::vector<int64_t> low, high;
};

std::optional<Padding> read_padding(Site& site) {
  const size_t rank = site.rank(0);
  std::vector<int64_t> pads;
  std::vector<int64_t> axes;
  if (site.opset() < 11) {
    pads = site.integers("pads");
  } else {
    const auto given = site.require_numbers(1, "pads");
    if (!given) return std::nullopt;
    pads = *given;
  }
  if (site.has(3)) {
    const auto given = site.require_numbers(3, "axes");
    if (!given) return std::nullopt;
    axes = *given;
  } else {
    for (size_t i = 0; i < rank; ++i) axes.push_back(static_cast<int64_t>(i));
  }
  if (pads.size() != 2 * axes.size()) {
    site.refuse("{} pads for {} axes", pads.size(), axes.size());
    return std::nullopt;
  }
  for (const int64_t pad : pads) {
    if (pad >= -kDimMax && pad <= kDimMax) continue;
    site.refuse("a pad is {}", pad);
    return std::nullopt;
  }
  Padding padding{std::vector<int64_t>(rank), std::vector<int64_t>(rank)};
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = site.axis_in(axes[i], rank);
    if (!axis) return std::nullopt;
    padding.low[*axis] = pads[i];
    padding.high[*axis] = pads[i + axes.size()];
  }
  return padding;
}

// The value of constant padding, as the instruction's attribute.
bool read_pad_value(Site& site, Attributes* pad) {
  const bool real = site.type(0).dtype == DType::kF32;
  if (site.opset() < 11) {
    pad->set(Attr::kValue, site.real("value", 0));
    return true;
  }
  if (!site.has(2)) return true;
  const auto floats = site.floats(2);
  const Elements* known = site.known(2);
  if (real && floats && floats->size() == 1) {
    pad->set(Attr::kValue, (*floats)[0]);
  } else if (!real && known != nullptr && known->size() == 1 && (*known)[0].is_constant()) {
    pad->set(Attr::kIntValue, (*known)[0].value());
  } else {
    site.refuse("constant_value must be a constant scalar");
    return false;
  }
  return true;
}

// Negative pads take elements away.
ValueId trimmed(Site& site, Padding& padding) {
  Dims starts;
  Dims dims = dims_of_shape(site.shape(0));
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t low = std::min<int64_t>(padding.low[i], 0);
    const int64_t high = std::min<int64_t>(padding.high[i], 0);
    starts.emplace_back(-low);
    dims[i] = dims[i] + Dim(low) + Dim(high);
    padding.low[i] -= low;
    padding.high[i] -= high;
  }
  return site.slice(site.in(0), starts, dims);
}

}  // namespace

void import_concat(Site& site) {
  if (!site.require(0, "inputs")) return;
  for (size_t i = 1; i < site.count(); ++i) {
    if (!site.require(i, "inputs")) return;
  }
  const auto axis = site.axis_in(site.integer("axis", 1), site.rank(0));
  if (!axis || fold_concat(site, *axis)) return;
  if (site.count() == 1) return site.out_same(0, 0);
  // An instruction takes 32 operands.
  std::vector<ValueId> parts;
  for (size_t i = 0; i < site.count(); ++i) {
    parts.push_back(site.in(i));
    if (parts.size() == kOperandsMax || (i + 1 == site.count() && parts.size() > 1)) {
      parts = {site.add(Opcode::kConcat, parts,
                        attributes({{Attr::kAxis, static_cast<int64_t>(*axis)}}))};
    }
  }
  site.out(0, parts[0]);
}

void import_split(Site& site) {
  if (!site.require(0, "input")) return;
  const Shape shape = site.shape(0);
  const auto axis = site.axis_in(site.integer("axis", 0), shape.rank());
  if (!axis) return;
  const auto sizes = split_sizes(site, shape[*axis]);
  if (!sizes) return;
  if (sizes->size() != site.node().outputs.size()) {
    return site.refuse("{} sizes for {} outputs", sizes->size(), site.node().outputs.size());
  }
  Dim sum(0);
  for (const Dim& size : *sizes) sum = sum + size;
  if (!(sum == shape[*axis])) {
    return site.refuse("the sizes add up to {}, axis {} has {}", to_text(sum, site.symbols()),
                       *axis, to_text(shape[*axis], site.symbols()));
  }
  const Elements* known = site.known(0);
  Dim start(0);
  for (size_t i = 0; i < sizes->size(); ++i) {
    const Dim& size = (*sizes)[i];
    if (known != nullptr && shape.rank() == 1 && size.is_constant() && start.is_constant() &&
        size.value() >= 0 && start.value() >= 0 && start.value() <= std::ssize(*known) &&
        size.value() <= std::ssize(*known) - start.value()) {
      const auto first = known->begin() + start.value();
      site.out_known(i, site.type(0).dtype, {size.value()}, Elements(first, first + size.value()));
    } else if (site.wants(i)) {
      Dims starts(shape.rank(), Dim(0));
      starts[*axis] = start;
      Dims dims = dims_of_shape(shape);
      dims[*axis] = size;
      site.out(i, site.slice(site.in(0), starts, dims));
    }
    start = start + size;
  }
}

void import_slice(Site& site) {
  if (!site.require(0, "data")) return;
  const auto arguments = slice_arguments(site);
  if (!arguments) return;
  const Shape shape = site.shape(0);
  std::vector<Cut> cuts;
  for (const Dim& dim : shape.dims()) cuts.push_back({Dim(0), dim});
  for (size_t i = 0; i < arguments->axes.size(); ++i) {
    const auto axis = site.axis_in(arguments->axes[i], shape.rank());
    if (!axis) return;
    const auto cut =
        cut_of(site, arguments->starts[i], arguments->ends[i], arguments->steps[i], shape[*axis]);
    if (!cut) return;
    cuts[*axis] = *cut;
  }
  if (fold_slice(site, cuts)) return;
  std::vector<int64_t> reversed;
  std::vector<int64_t> steps;
  Dims starts;
  Dims dims;
  for (size_t i = 0; i < cuts.size(); ++i) {
    if (cuts[i].reversed) reversed.push_back(static_cast<int64_t>(i));
    starts.push_back(cuts[i].start);
    dims.push_back(cuts[i].size);
    steps.push_back(cuts[i].step);
  }
  ValueId value = site.in(0);
  if (!reversed.empty()) {
    value = site.add(Opcode::kReverse, {value}, attributes({{Attr::kAxes, reversed}}));
  }
  site.out(0, site.slice(value, starts, dims, steps));
}

void import_pad(Site& site) {
  if (!site.require(0, "data")) return;
  const std::string mode = site.word("mode", "constant");
  const auto word = std::find(kPadModeWords.begin(), kPadModeWords.end(), mode);
  if (word == kPadModeWords.end()) return site.refuse("mode '{}' is not supported", mode);
  auto padding = read_padding(site);
  Attributes pad;
  if (!padding || (mode == "constant" && !read_pad_value(site, &pad))) return;
  if (mode != "constant" && site.opset() < 11) site.ignore("value");
  const ValueId value = trimmed(site, *padding);
  const auto none = [](int64_t each) { return each == 0; };
  if (std::all_of(padding->low.begin(), padding->low.end(), none) &&
      std::all_of(padding->high.begin(), padding->high.end(), none)) {
    return site.out(0, value);
  }
  pad.set(Attr::kLow, padding->low);
  pad.set(Attr::kHigh, padding->high);
  pad.set(Attr::kMode, word - kPadModeWords.begin());
  site.out(0, site.add(Opcode::kPad, {value}, pad));
}

}  // namespace bcai::vm::onnx
