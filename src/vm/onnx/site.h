// SPDX-License-Identifier: Apache-2.0
// One node while it is imported: what an operator's function reads from and writes to.
//
// A function that cannot go on calls refuse() and returns; results it has not set then count as
// refused, and the nodes that read them are passed over. An attribute that the function never
// asked for refuses the node too: what we do not understand is not ignored.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "vm/onnx/known.h"
#include "vm/onnx/model.h"
#include "vm/program/builder.h"

namespace bcai::vm::onnx {

// What stands behind a name of the model.
struct Value {
  std::string name;
  Type type;
  bool refused = false;
  ValueId id = kNoValue;           // of its instruction, once there is one
  std::optional<Elements> known;   // integers and bools
  std::optional<Tensor> constant;  // what the model holds as data
};

class Importer;
using Dims = std::vector<Dim>;

class Site {
 public:
  Site(Importer& importer, const Node& node, int64_t opset, std::vector<Value*> inputs);

  const Node& node() const { return node_; }
  // Of the node's domain.
  int64_t opset() const { return opset_; }
  Builder& builder();
  std::span<const Symbol> symbols();

  template <typename... Args>
  void refuse(fmt::format_string<Args...> format, Args&&... args) {
    add_refusal(fmt::format(format, std::forward<Args>(args)...));
  }
  bool refused() const { return refused_; }

  // Operands. Those that are absent have no type.
  size_t count() const { return inputs_.size(); }
  bool has(size_t i) const { return i < inputs_.size() && inputs_[i] != nullptr; }
  // Refuses when it is absent.
  bool require(size_t i, std::string_view name);
  const Type& type(size_t i) const { return inputs_[i]->type; }
  const Shape& shape(size_t i) const { return inputs_[i]->type.shape; }
  size_t rank(size_t i) const { return shape(i).rank(); }
  // Its instruction; kNoValue when it is absent.
  ValueId in(size_t i);
  bool is_weight(size_t i) const { return has(i) && inputs_[i]->constant.has_value(); }
  // The integers of an operand that are known, else null.
  const Elements* known(size_t i) const;
  // Refuses and gives null when they are not known.
  const Elements* require_known(size_t i, std::string_view name);
  // The same, numbers without symbols.
  std::optional<std::vector<int64_t>> require_numbers(size_t i, std::string_view name);
  // The elements of an f32 constant.
  std::optional<std::vector<float>> floats(size_t i) const;
  // The shape as numbers, when it has no symbol.
  std::optional<std::vector<int64_t>> constant_dims(size_t i) const;

  // Attributes. A wrong type refuses the node.
  bool has_attribute(std::string_view name);
  int64_t integer(std::string_view name, int64_t otherwise);
  float real(std::string_view name, float otherwise);
  std::string word(std::string_view name, std::string_view otherwise);
  std::vector<int64_t> integers(std::string_view name, std::vector<int64_t> otherwise = {});
  const Attribute* attribute(std::string_view name);
  // Counts an attribute as understood that has no bearing on the result.
  void ignore(std::string_view name) { seen_.insert(std::string(name)); }
  // An axis from 0 to rank - 1; refuses others. `axis` may count from the end.
  std::optional<size_t> axis_in(int64_t axis, size_t rank);

  // Results.
  bool wants(size_t i) const { return i < node_.outputs.size() && !node_.outputs[i].empty(); }
  void out(size_t i, ValueId value);
  void out_known(size_t i, DType dtype, std::vector<int64_t> dims, Elements elements);
  void out_constant(size_t i, Tensor tensor);
  // The result is the operand itself.
  void out_same(size_t i, size_t operand);

  // Instructions. What depends on a refused value is refused.
  const Type& type_of(ValueId value);
  const Shape& shape_of(ValueId value) { return type_of(value).shape; }
  ValueId add(Opcode opcode, std::vector<ValueId> operands, Attributes attributes = {});
  ValueId stated(Opcode opcode, std::vector<ValueId> operands, DType dtype, const Dims& dims,
                 Attributes attributes = {});
  ValueId reshape(ValueId value, const Dims& dims);
  ValueId transpose(ValueId value, const std::vector<int64_t>& permutation);
  ValueId broadcast(ValueId value, const Dims& dims);
  ValueId cast(ValueId value, DType dtype);
  // `value` from `starts`, to the size `dims`.
  ValueId slice(ValueId value, const Dims& starts, const Dims& dims,
                std::vector<int64_t> steps = {});
  ValueId reduce(Opcode opcode, ValueId value, std::vector<int64_t> axes, bool keep);
  // A tensor without axes.
  ValueId scalar(float value);
  ValueId scalar_integer(int64_t value, DType dtype = DType::kI64);
  // An integer that depends on symbols, as i64[].
  ValueId dimension(const Dim& dim);

  // The branch's results; nothing when it was refused.
  std::optional<std::vector<Value*>> import_branch(const Graph& graph, std::string_view name);
  void out_value(size_t i, Value* value);

  // For the importer: what is left to say once the function returned.
  void finish();
  const std::vector<Value*>& results() const { return results_; }

 private:
  void add_refusal(std::string reason);
  Value& result(size_t i);

  Importer& importer_;
  const Node& node_;
  int64_t opset_;
  std::vector<Value*> inputs_;
  std::vector<Value*> results_;
  std::set<std::string, std::less<>> seen_;
  bool refused_ = false;
};

Dims dims_of_shape(const Shape& shape);
Attributes attributes(std::initializer_list<Attributes::Entry> entries);

}  // namespace bcai::vm::onnx
