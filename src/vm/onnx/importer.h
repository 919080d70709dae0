// SPDX-License-Identifier: Apache-2.0
// One import: the names that are defined, the program so far, and what was refused.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "vm/onnx/import.h"
#include "vm/onnx/site.h"

namespace bcai::vm::onnx {

class Importer {
 public:
  // The model, with the bytes it refers to, and the options must outlive the importer.
  Importer(const Model& model, std::filesystem::path directory, const ImportOptions& options);

  Result<Imported> run();

  // For Site.
  Builder& builder() { return builder_; }
  Value* new_value();
  // The instruction that gives the value; kNoValue, with a finding, when there can be none.
  ValueId materialise(Value& value);
  std::optional<std::vector<Value*>> import_branch(const Graph& graph, const std::string& name);
  void add_finding(std::string reason);
  // Whether so many more integers may be kept: a node of few bytes can ask for thousands.
  bool afford(size_t elements);
  // i64[] of a dimension with symbols.
  ValueId dimension(const Dim& dim);

 private:
  void import_inputs();
  void import_input(const ValueInfo& info);
  std::optional<Shape> input_shape(const ValueInfo& info);
  Dim named_extent(const std::string& name, bool batch);
  void import_initializers(const Graph& graph);
  void import_nodes(const Graph& graph);
  void import_node(const Node& node);
  void define(const std::string& name, Value* value);
  Value* find(const std::string& name);
  ValueId add_weight(const Value& value);
  std::string unique_name(const std::string& wanted);

  const Model& model_;
  const ImportOptions& options_;
  ExternalData external_;
  Builder builder_;
  std::deque<Value> values_;
  std::vector<std::unordered_map<std::string, Value*>> scopes_;
  std::map<std::string, Dim, std::less<>> extents_;
  std::vector<std::pair<std::string, Tensor>> weights_;
  std::unordered_set<std::string> weight_names_;
  std::string place_;  // "node 12 'conv1' (Conv)", for findings
  std::string branch_;
  std::vector<std::string> findings_;
  size_t findings_left_out_ = 0;
  size_t known_ = 0;
};

// Known integers of a constant tensor, if there are few enough.
std::optional<Elements> elements_of(const Tensor& tensor);

}  // namespace bcai::vm::onnx
