// SPDX-License-Identifier: Apache-2.0
// Reads and writes weight files of the safetensors format: 8 bytes little-endian length of the
// header, the header as JSON, the tensors' bytes. Stricter than the format's own reader: see
// docs/formats/weights.md. A tensor's bytes lie where the file has them, at any alignment.
// Any thread.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "base/decode.h"
#include "base/result.h"
#include "vm/isa/type.h"

namespace bcai::vm {

inline constexpr size_t kSafetensorsHeaderBytesMax = size_t{16} << 20;
inline constexpr size_t kSafetensorsFindingsMax = 50;

struct TensorView {
  std::string name;
  Type type;               // of constant shape
  std::string_view bytes;  // little-endian, row-major; of whoever holds the file
};

struct Safetensors {
  std::vector<TensorView> tensors;  // sorted by name
  std::map<std::string, std::string> metadata;
};

// The file's tensors, as views into `file`, or up to kSafetensorsFindingsMax findings, each with
// the JSON pointer of its place in the header.
std::optional<Safetensors> read_safetensors(std::string_view file, std::vector<Finding>* findings);

// The tensor of this name, nullptr when there is none.
const TensorView* find_tensor(const Safetensors& content, std::string_view name);

// The bytes of a file. Wider elements come first, then names in order; the tensors begin at a
// multiple of 8. kInvalidArgument when the tensors are none that read_safetensors takes.
Result<std::string> encode_safetensors(const Safetensors& content);

// Of the file that encode_safetensors gives and save_safetensors writes, without making it.
struct WeightFileIdentity {
  Sha256 sha256;
  uint64_t bytes = 0;
};
Result<WeightFileIdentity> safetensors_identity(const Safetensors& content);

// Replaces the file in one step, without a second copy of the tensors in memory.
Result<void> save_safetensors(const std::filesystem::path& path, const Safetensors& content);

}  // namespace bcai::vm
