// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>

#include "base/json.h"
#include "vm/weights/dtype_word.h"
#include "vm/weights/safetensors.h"

namespace bcai::vm {
namespace {

class SafetensorsReader {
 public:
  SafetensorsReader(std::string_view file, std::vector<Finding>* findings)
      : file_(file), findings_(findings), findings_before_(findings->size()) {}

  std::optional<Safetensors> read() {
    const json::value header = this->header();
    if (const json::object* entries = header.if_object()) {
      for (const auto& entry : *entries) {
        if (findings() == kSafetensorsFindingsMax) break;
        const std::string_view name = to_std(entry.key());
        name == "__metadata__" ? metadata(entry.value()) : tensor(name, entry.value());
      }
      if (findings() == 0) check_cover();
    }
    if (findings() > 0) return std::nullopt;
    std::sort(content_.tensors.begin(), content_.tensors.end(),
              [](const TensorView& a, const TensorView& b) { return a.name < b.name; });
    return std::move(content_);
  }

 private:
  size_t findings() const { return findings_->size() - findings_before_; }

  template <typename... Args>
  bool fail(std::string_view name, fmt::format_string<Args...> format, Args&&... args) {
    std::string pointer;
    if (!name.empty()) pointer = Decoder(json::object(), "", findings_).pointer_to(name);
    findings_->push_back({std::move(pointer), fmt::format(format, std::forward<Args>(args)...)});
    return false;
  }

  // The header's object, or null and a finding.
  json::value header() {
    uint64_t size = 0;
    if (file_.size() < sizeof size) {
      fail("", "{} bytes, expected at least {}", file_.size(), sizeof size);
      return {};
    }
    for (size_t i = 0; i < sizeof size; ++i) {
      size |= uint64_t{static_cast<uint8_t>(file_[i])} << (8 * i);
    }
    const std::string_view rest = file_.substr(sizeof size);
    if (size > kSafetensorsHeaderBytesMax || size > rest.size()) {
      fail("", "a header of {} bytes, expected at most {} and {} that are there", size,
           kSafetensorsHeaderBytesMax, rest.size());
      return {};
    }
    const std::string_view text = rest.substr(0, size);
    data_ = rest.substr(size);
    if (!text.starts_with('{')) {
      fail("", "the header does not begin with {{");
      return {};
    }
    Result<json::value> parsed = parse_json(text);
    if (!parsed) {
      fail("", "the header: {}", parsed.error().message);
      return {};
    }
    return *std::move(parsed);
  }

  bool metadata(const json::value& value) {
    const json::object* entries = value.if_object();
    if (entries == nullptr) return fail("__metadata__", "expected an object of texts");
    for (const auto& entry : *entries) {
      const json::string* text = entry.value().if_string();
      if (text == nullptr) {
        return fail("__metadata__", "'{}' is no text", to_std(entry.key()));
      }
      content_.metadata.emplace(to_std(entry.key()), to_std(*text));
    }
    return true;
  }

  bool tensor(std::string_view name, const json::value& value) {
    const json::object* entry = value.if_object();
    const json::value* dtype = entry == nullptr ? nullptr : entry->if_contains("dtype");
    const json::value* shape = entry == nullptr ? nullptr : entry->if_contains("shape");
    const json::value* offsets = entry == nullptr ? nullptr : entry->if_contains("data_offsets");
    if (dtype == nullptr || shape == nullptr || offsets == nullptr || entry->size() != 3) {
      return fail(name, "expected an object of dtype, shape and data_offsets");
    }
    if (name.empty()) return fail(name, "a tensor without a name");
    TensorView& tensor = content_.tensors.emplace_back();
    tensor.name = name;
    return read_dtype(*dtype, &tensor) && read_shape(*shape, &tensor) &&
           read_offsets(*offsets, &tensor) && check_bools(tensor);
  }

  bool read_dtype(const json::value& value, TensorView* tensor) {
    const json::string* word = value.if_string();
    const std::optional<DType> dtype =
        word == nullptr ? std::nullopt : parse_safetensors_dtype(to_std(*word));
    if (!dtype) {
      return fail(tensor->name, "dtype {} is not one of {}", bcai::to_text(value).substr(0, 40),
                  safetensors_dtypes());
    }
    tensor->type.dtype = *dtype;
    return true;
  }

  // An integer, written as one: 1.0 and 1e0 are none.
  static std::optional<uint64_t> natural(const json::value& value) {
    if (const int64_t* integer = value.if_int64(); integer != nullptr && *integer >= 0) {
      return static_cast<uint64_t>(*integer);
    }
    if (const uint64_t* integer = value.if_uint64()) return *integer;
    return std::nullopt;
  }

  bool read_shape(const json::value& value, TensorView* tensor) {
    const json::array* dims = value.if_array();
    if (dims == nullptr || dims->size() > kRankMax) {
      return fail(tensor->name, "shape is not a list of at most {} numbers", kRankMax);
    }
    for (const json::value& each : *dims) {
      const std::optional<uint64_t> dim = natural(each);
      if (!dim || *dim > uint64_t{kDimMax}) {
        return fail(tensor->name, "shape has {}, expected an integer from 0 to {}",
                    bcai::to_text(each).substr(0, 40), kDimMax);
      }
      tensor->type.shape.push_back(static_cast<int64_t>(*dim));
    }
    // Zeros are left out: what overflows beside one is refused too.
    Dim bytes(dtype_bytes(tensor->type.dtype));
    for (const Dim& dim : tensor->type.shape.dims()) {
      bytes = bytes * Dim(std::max<int64_t>(dim.value(), 1));
    }
    if (!bytes.valid() || bytes.value() > kTensorBytesMax) {
      return fail(tensor->name, "more than {} bytes", kTensorBytesMax);
    }
    return true;
  }

  bool read_offsets(const json::value& value, TensorView* tensor) {
    const json::array* pair = value.if_array();
    const bool is_pair = pair != nullptr && pair->size() == 2;
    const std::optional<uint64_t> begin = is_pair ? natural((*pair)[0]) : std::nullopt;
    const std::optional<uint64_t> end = is_pair ? natural((*pair)[1]) : std::nullopt;
    if (!begin || !end) {
      return fail(tensor->name, "data_offsets are not two integers from 0");
    }
    if (*begin > *end || *end > data_.size()) {
      return fail(tensor->name, "data_offsets are {} and {}, of {} bytes", *begin, *end,
                  data_.size());
    }
    const auto expected = static_cast<uint64_t>(tensor->type.bytes().value());
    if (*end - *begin != expected) {
      return fail(tensor->name, "{} bytes, expected {} for {}", *end - *begin, expected,
                  to_text(tensor->type, {}));
    }
    tensor->bytes = data_.substr(*begin, *end - *begin);
    return true;
  }

  // A kernel may take a bool's byte for granted.
  bool check_bools(const TensorView& tensor) {
    return tensor.type.dtype != DType::kBool ||
           std::all_of(tensor.bytes.begin(), tensor.bytes.end(),
                       [](char byte) { return byte == 0 || byte == 1; }) ||
           fail(tensor.name, "a bool that is neither 0 nor 1");
  }

  // Every byte belongs to one tensor.
  void check_cover() {
    std::vector<const TensorView*> order;
    for (const TensorView& tensor : content_.tensors) order.push_back(&tensor);
    const auto begin = [&](const TensorView* tensor) {
      return static_cast<size_t>(tensor->bytes.data() - data_.data());
    };
    std::sort(order.begin(), order.end(), [&](const TensorView* a, const TensorView* b) {
      return std::tuple(begin(a), a->bytes.size()) < std::tuple(begin(b), b->bytes.size());
    });
    size_t covered = 0;
    for (const TensorView* tensor : order) {
      if (findings() == kSafetensorsFindingsMax) return;
      if (begin(tensor) != covered) {
        fail(tensor->name, "begins at {}, but the tensors before it end at {}: a {}", begin(tensor),
             covered, begin(tensor) > covered ? "hole" : "byte of two tensors");
      }
      covered = std::max(covered, begin(tensor) + tensor->bytes.size());
    }
    if (covered != data_.size()) {
      fail("", "{} bytes after the last tensor", data_.size() - covered);
    }
  }

  std::string_view file_;
  std::string_view data_;
  std::vector<Finding>* findings_;
  size_t findings_before_;
  Safetensors content_;
};

}  // namespace

std::optional<Safetensors> read_safetensors(std::string_view file, std::vector<Finding>* findings) {
  return SafetensorsReader(file, findings).read();
}

const TensorView* find_tensor(const Safetensors& content, std::string_view name) {
  const auto found =
      std::lower_bound(content.tensors.begin(), content.tensors.end(), name,
                       [](const TensorView& one, std::string_view key) { return one.name < key; });
  return found != content.tensors.end() && found->name == name ? &*found : nullptr;
}

}  // namespace bcai::vm
