// SPDX-License-Identifier: Apache-2.0
#include "vm/onnx/folding.h"

namespace bcai::vm::onnx {
namespace {

constexpr int64_t kFoldedFloatsMax = 64;

// The broadcast dimensions of all operands.
std::optional<std::vector<int64_t>> common_dims(const Site& site) {
  std::vector<int64_t> dims;
  for (size_t i = 0; i < site.count(); ++i) {
    const auto next = site.constant_dims(i);
    if (!next) return std::nullopt;
    const auto joined = broadcast_dims(dims, *next);
    if (!joined) return std::nullopt;
    dims = *joined;
  }
  return dims;
}

}  // namespace

bool fits(DType dtype, const Dim& dim, std::span<const Symbol> symbols) {
  if (!dim.valid()) return false;
  const std::optional<Dim::Interval> bounds = dim.bounds(symbols);
  if (!bounds) return false;
  switch (dtype) {
    case DType::kI64: return true;
    case DType::kI32: return bounds->min >= INT32_MIN && bounds->max <= INT32_MAX;
    case DType::kI8: return bounds->min >= INT8_MIN && bounds->max <= INT8_MAX;
    case DType::kU8: return bounds->min >= 0 && bounds->max <= UINT8_MAX;
    case DType::kBool: return bounds->min >= 0 && bounds->max <= 1;
    default: return false;
  }
}

bool fold(Site& site, DType result, const FoldIntegers& body) {
  for (size_t i = 0; i < site.count(); ++i) {
    if (site.known(i) == nullptr) return false;
  }
  const auto dims = common_dims(site);
  if (!dims || site.count() == 0 || count_of(*dims) > static_cast<int64_t>(kKnownMax)) return false;
  Elements elements;
  bool whole = true;
  for_each_index(*dims, [&](const std::vector<int64_t>& index) {
    if (!whole) return;
    std::vector<Dim> operands;
    for (size_t i = 0; i < site.count(); ++i) {
      operands.push_back((*site.known(i))[broadcast_position(*site.constant_dims(i), index)]);
    }
    const std::optional<Dim> element = body(operands);
    whole = element && fits(result, *element, site.symbols());
    if (whole) elements.push_back(*element);
  });
  if (whole) site.out_known(0, result, *dims, std::move(elements));
  return whole;
}

bool fold_floats(Site& site, const FoldFloats& body) {
  std::vector<std::vector<float>> operands;
  for (size_t i = 0; i < site.count(); ++i) {
    if (!site.is_weight(i) || site.shape(i).elements().value() > kFoldedFloatsMax) return false;
    const auto floats = site.floats(i);
    if (!floats) return false;
    operands.push_back(*floats);
  }
  const auto dims = common_dims(site);
  if (!dims || operands.empty() || count_of(*dims) > kFoldedFloatsMax) return false;
  Tensor tensor(DType::kF32, *dims);
  size_t at = 0;
  for_each_index(*dims, [&](const std::vector<int64_t>& index) {
    std::vector<float> each;
    for (size_t i = 0; i < operands.size(); ++i) {
      each.push_back(operands[i][broadcast_position(*site.constant_dims(i), index)]);
    }
    tensor.data<float>()[at++] = body(each);
  });
  site.out_constant(0, std::move(tensor));
  return true;
}

bool fold_pick(Site& site, size_t from, const std::vector<int64_t>& dims,
               const std::function<size_t(const std::vector<int64_t>&)>& source) {
  const Elements* known = site.known(from);
  if (known == nullptr || count_of(dims) > static_cast<int64_t>(kKnownMax)) return false;
  Elements elements;
  for_each_index(dims, [&](const std::vector<int64_t>& index) {
    const size_t position = source(index);
    BCAI_ASSERT(position < known->size());
    elements.push_back((*known)[position]);
  });
  site.out_known(0, site.type(from).dtype, dims, std::move(elements));
  return true;
}

}  // namespace bcai::vm::onnx
