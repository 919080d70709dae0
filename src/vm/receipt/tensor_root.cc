// SPDX-License-Identifier: Apache-2.0
#include "vm/receipt/tensor_root.h"

#include <algorithm>
#include <vector>

namespace bcai::vm {
namespace {

std::string_view text_of(const Sha256& digest) {
  return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

Sha256 hash(char tag, std::initializer_list<std::string_view> parts) {
  Sha256Stream stream;
  stream.update({&tag, 1});
  for (const std::string_view part : parts) stream.update(part);
  return stream.finish();
}

}  // namespace

Sha256 tensor_root(const Tensor& tensor) {
  const std::string_view bytes = tensor.byte_view();
  std::vector<Sha256> level;
  for (size_t at = 0; at < bytes.size() || level.empty(); at += kRootChunkBytes) {
    level.push_back(hash(0, {bytes.substr(std::min(at, bytes.size()), kRootChunkBytes)}));
  }
  while (level.size() > 1) {
    std::vector<Sha256> above;
    for (size_t i = 0; i + 1 < level.size(); i += 2) {
      above.push_back(hash(1, {text_of(level[i]), text_of(level[i + 1])}));
    }
    if (level.size() % 2 == 1) above.push_back(level.back());
    level = std::move(above);
  }
  std::string header = {static_cast<char>(tensor.dtype()), static_cast<char>(tensor.rank())};
  for (const int64_t dim : tensor.dims()) {
    for (unsigned shift = 0; shift < 64; shift += 8) {
      header += static_cast<char>(static_cast<uint64_t>(dim) >> shift & 0xffU);
    }
  }
  return hash(2, {header, text_of(level[0])});
}

}  // namespace bcai::vm
