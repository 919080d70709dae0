// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/file.h"
#include "base/json.h"
#include "vm/weights/dtype_word.h"
#include "vm/weights/safetensors.h"

namespace bcai::vm {
namespace {

struct Layout {
  std::string head;  // length and header
  std::vector<const TensorView*> order;
};

Result<void> check(const TensorView& tensor) {
  const Dim bytes = tensor.type.bytes();
  const auto dims = tensor.type.shape.dims();
  const bool fits =
      bytes.is_constant() && bytes.value() <= kTensorBytesMax && !tensor.type.is_state &&
      std::all_of(dims.begin(), dims.end(),
                  [](const Dim& dim) {
                    return dim.is_constant() && dim.value() >= 0 && dim.value() <= kDimMax;
                  }) &&
      bytes.value() == static_cast<int64_t>(tensor.bytes.size());
  if (fits && !tensor.name.empty() && tensor.name != "__metadata__") return {};
  return error(ErrorCode::kInvalidArgument, "tensor '{}' is {} of {} bytes", tensor.name,
               to_text(tensor.type, {}), tensor.bytes.size());
}

Result<Layout> lay_out(const Safetensors& content) {
  Layout layout;
  for (const TensorView& tensor : content.tensors) {
    BCAI_TRY(check(tensor));
    layout.order.push_back(&tensor);
  }
  std::sort(layout.order.begin(), layout.order.end(), [](const TensorView* a, const TensorView* b) {
    const int64_t left = dtype_bytes(a->type.dtype);
    const int64_t right = dtype_bytes(b->type.dtype);
    return left != right ? left > right : a->name < b->name;
  });
  json::object header;
  if (!content.metadata.empty()) {
    json::object metadata;
    for (const auto& [key, text] : content.metadata) metadata[to_json(key)] = to_json(text);
    header["__metadata__"] = std::move(metadata);
  }
  size_t at = 0;
  for (const TensorView* tensor : layout.order) {
    json::array shape;
    for (const Dim& dim : tensor->type.shape.dims()) shape.push_back(dim.value());
    const size_t end = at + tensor->bytes.size();
    header[to_json(tensor->name)] = {{"dtype", to_json(safetensors_dtype(tensor->type.dtype))},
                                     {"shape", std::move(shape)},
                                     {"data_offsets", {at, end}}};
    at = end;
  }
  if (header.size() != content.tensors.size() + (content.metadata.empty() ? 0 : 1)) {
    return error(ErrorCode::kInvalidArgument, "two tensors have one name");
  }
  std::string text = bcai::to_text(header);
  // A name that is no UTF-8 would make a header that nobody reads.
  BCAI_TRY(parse_json(text));
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > kSafetensorsHeaderBytesMax) {
    return error(ErrorCode::kInvalidArgument, "a header of {} bytes, expected at most {}",
                 text.size(), kSafetensorsHeaderBytesMax);
  }
  for (size_t i = 0; i < 8; ++i) layout.head += static_cast<char>((text.size() >> (8 * i)) & 0xff);
  layout.head += text;
  return layout;
}

}  // namespace

Result<std::string> encode_safetensors(const Safetensors& content) {
  BCAI_TRY_ASSIGN(const Layout layout, lay_out(content));
  std::string bytes = layout.head;
  for (const TensorView* tensor : layout.order) bytes += tensor->bytes;
  return bytes;
}

Result<WeightFileIdentity> safetensors_identity(const Safetensors& content) {
  BCAI_TRY_ASSIGN(const Layout layout, lay_out(content));
  Sha256Stream digest;
  digest.update(layout.head);
  WeightFileIdentity identity{{}, layout.head.size()};
  for (const TensorView* tensor : layout.order) {
    digest.update(tensor->bytes);
    identity.bytes += tensor->bytes.size();
  }
  identity.sha256 = digest.finish();
  return identity;
}

Result<void> save_safetensors(const std::filesystem::path& path, const Safetensors& content) {
  BCAI_TRY_ASSIGN(const Layout layout, lay_out(content));
  std::string temporary = path.string() + ".XXXXXX";
  const UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return errno_error(errno, "create " + temporary);
  Result<void> wrote = write_all(fd.get(), layout.head);
  for (const TensorView* tensor : layout.order) {
    if (wrote) wrote = write_all(fd.get(), tensor->bytes);
  }
  if (wrote && fchmod(fd.get(), 0644) != 0) wrote = errno_error(errno, "chmod " + temporary);
  if (wrote && rename(temporary.c_str(), path.c_str()) != 0) {
    wrote = errno_error(errno, "rename to " + path.string());
  }
  if (!wrote) {
    unlink(temporary.c_str());
    return Error{wrote.error().code, path.string() + ": " + wrote.error().message};
  }
  return {};
}

}  // namespace bcai::vm
