// SPDX-License-Identifier: Apache-2.0
// What is accepted lies inside the file, covers it, and is read again as it was written.
#include <cstdlib>

#include "vm/weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bcai::vm;  // NOLINT
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  std::vector<bcai::Finding> findings;
  const auto content = read_safetensors(file, &findings);
  if (content.has_value() != findings.empty()) std::abort();
  if (!content) return 0;
  size_t sum = 0;
  for (const TensorView& tensor : content->tensors) {
    if (tensor.bytes.data() < file.data() ||
        tensor.bytes.data() + tensor.bytes.size() > file.data() + file.size()) {
      std::abort();
    }
    sum += tensor.bytes.size();
  }
  if (sum > size) std::abort();
  const auto written = encode_safetensors(*content);
  if (!written) std::abort();
  const auto again = read_safetensors(*written, &findings);
  if (!again || again->metadata != content->metadata ||
      again->tensors.size() != content->tensors.size()) {
    std::abort();
  }
  for (size_t i = 0; i < again->tensors.size(); ++i) {
    const TensorView& a = again->tensors[i];
    const TensorView& b = content->tensors[i];
    if (a.name != b.name || !(a.type == b.type) || a.bytes != b.bytes) std::abort();
  }
  return 0;
}
