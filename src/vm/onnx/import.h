// SPDX-License-Identifier: Apache-2.0
// Turns an ONNX model into a program and its weights.
//
// Weights stay as they are in the file. What only depends on shapes is computed here, exactly and
// with symbols; an If whose condition comes out known is replaced by its branch. What cannot be
// imported is refused, all of it at once, each node by its place, name, operator and reason.
// docs/reference/onnx.md lists the operators.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "vm/program/builder.h"
#include "vm/tensor/tensor.h"

namespace bcai::vm::onnx {

inline constexpr SymbolRange kBatchRange = {1, 64};     // the first axis of an input
inline constexpr SymbolRange kExtentRange = {1, 2048};  // any other

struct ImportOptions {
  // By the name the model gives the dimension, or, where it gives none, "input_axis".
  std::map<std::string, SymbolRange, std::less<>> ranges;
  // The whole shape of an input, by its name.
  std::map<std::string, std::vector<int64_t>, std::less<>> shapes;
  // Inputs that are constants of the program instead: a sample rate, a Reshape's target.
  std::map<std::string, Tensor, std::less<>> values;
  // The file name that weights get in the program; its size and hash are the caller's to fill in.
  std::string weights = "model";
};

struct Imported {
  // Not verified. Its one weight file has no hash yet; there is none if nothing refers to it.
  Program program;
  // The tensors of the weight file, by the names in program.params.
  std::vector<std::pair<std::string, Tensor>> weights;
};

// An error has a line for each finding: "node 12 'conv1' (Conv): pads must be …".
Result<Imported> import_onnx(const std::filesystem::path& file, const ImportOptions& options);
// Of bytes; `directory` is where external data may lie, none if empty.
Result<Imported> import_onnx_bytes(std::string_view bytes, const std::filesystem::path& directory,
                                   const ImportOptions& options);

// The page docs/reference/onnx.md.
std::string onnx_markdown();

}  // namespace bcai::vm::onnx
