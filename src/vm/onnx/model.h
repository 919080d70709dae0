// SPDX-License-Identifier: Apache-2.0
// The messages of an ONNX model that the importer needs, as they stand in the file. Nothing here
// is checked against anything else; vm/onnx/import.h does that.
//
// Reading never throws and allocates in proportion to the input. Tensors with raw data refer to
// the bytes that were parsed, which must outlive the Model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vm/tensor/tensor.h"

namespace bcai::vm::onnx {

inline constexpr int64_t kModelBytesMax = int64_t{2} << 30;  // what a protocol buffer may have
inline constexpr size_t kGraphDepthMax = 8;                  // If in If
inline constexpr size_t kRecordsMax = size_t{1} << 20;       // messages of all kinds

struct TensorMessage {
  std::string name;
  int64_t data_type = 0;
  std::vector<int64_t> dims;
  std::optional<std::string_view> raw;
  std::vector<float> floats;
  std::vector<int64_t> integers;  // int32_data or int64_data
  bool unread = false;            // double, uint64 or string data, or a segment
  bool external = false;
  std::map<std::string, std::string> external_data;  // location, offset, length
};

struct Graph;

struct Attribute {
  std::string name;
  std::string reference;  // to a function's attribute
  int64_t type = 0;
  std::optional<float> real;
  std::optional<int64_t> integer;
  std::optional<std::string> text;
  std::vector<float> reals;
  std::vector<int64_t> integers;
  std::vector<std::string> texts;
  std::shared_ptr<const TensorMessage> tensor;
  std::shared_ptr<const Graph> graph;
};

struct Node {
  std::string name;
  std::string op_type;
  std::string domain;
  std::vector<std::string> inputs;   // "" where absent
  std::vector<std::string> outputs;  // "" where nobody reads it
  std::vector<Attribute> attributes;
};

// A dimension of a value: a number, a name, or neither.
struct Extent {
  std::optional<int64_t> value;
  std::string name;
};

struct ValueInfo {
  std::string name;
  bool is_tensor = false;
  int64_t element_type = 0;
  std::optional<std::vector<Extent>> shape;  // nothing when the rank is not stated
};

struct Graph {
  std::string name;
  std::vector<Node> nodes;
  std::vector<TensorMessage> initializers;
  bool has_sparse_initializers = false;
  std::vector<ValueInfo> inputs;
  std::vector<ValueInfo> outputs;
};

struct Model {
  int64_t ir_version = 0;
  std::map<std::string, int64_t> opsets;  // by domain; "" is ONNX's own
  std::string producer;
  Graph graph;
};

Result<Model> parse_model(std::string_view bytes);
// Of test data: a file that holds one tensor.
Result<TensorMessage> parse_tensor(std::string_view bytes);

// The dtype of an ONNX element type; "uint16" and others are refused by name.
Result<DType> dtype_of(int64_t element_type);

// Where a model's external tensor data lies. Files outside the model's directory are refused:
// absolute names, "..", and symbolic links that lead out. Also refused: reading more bytes than
// the files that were named hold together.
class ExternalData {
 public:
  // Empty: the model has no directory, and external data is refused.
  explicit ExternalData(std::filesystem::path directory) : directory_(std::move(directory)) {}
  struct Place {
    std::filesystem::path file;
    int64_t offset = 0;
  };
  // Where the tensor's `bytes` lie; the file has that many.
  Result<Place> find(const TensorMessage& tensor, int64_t bytes);

 private:
  std::filesystem::path directory_;
  std::map<std::filesystem::path, int64_t> sizes_;
  int64_t bytes_listed_ = 0;
  int64_t bytes_found_ = 0;
};

// Checks the dimensions and that there are as many elements as they say. Bools become 0 or 1.
Result<Tensor> to_tensor(const TensorMessage& message, ExternalData& external);

}  // namespace bcai::vm::onnx
