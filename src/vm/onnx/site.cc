// SPDX-License-Identifier: Apache-2.0
#include "vm/onnx/site.h"

#include <algorithm>

#include "vm/onnx/importer.h"

namespace bcai::vm::onnx {

Dims dims_of_shape(const Shape& shape) { return {shape.dims().begin(), shape.dims().end()}; }

Attributes attributes(std::initializer_list<Attributes::Entry> entries) {
  Attributes result;
  for (const Attributes::Entry& entry : entries) result.set(entry.attribute, entry.value);
  return result;
}

Site::Site(Importer& importer, const Node& node, int64_t opset, std::vector<Value*> inputs)
    : importer_(importer), node_(node), opset_(opset), inputs_(std::move(inputs)) {
  for (size_t i = 0; i < node.outputs.size(); ++i) results_.push_back(importer.new_value());
  for (size_t i = 0; i < results_.size(); ++i) {
    results_[i]->name = node.outputs[i];
    results_[i]->refused = true;  // until it is set
  }
}

Builder& Site::builder() { return importer_.builder(); }
std::span<const Symbol> Site::symbols() { return builder().program().symbols; }

void Site::add_refusal(std::string reason) {
  refused_ = true;
  importer_.add_finding(std::move(reason));
}

bool Site::require(size_t i, std::string_view name) {
  if (has(i)) return true;
  refuse("input {} ({}) is missing", i, name);
  return false;
}

ValueId Site::in(size_t i) {
  if (!has(i)) return kNoValue;
  const ValueId id = importer_.materialise(*inputs_[i]);
  if (id == kNoValue) refused_ = true;
  return id;
}

const Elements* Site::known(size_t i) const {
  return has(i) && inputs_[i]->known ? &*inputs_[i]->known : nullptr;
}

const Elements* Site::require_known(size_t i, std::string_view name) {
  if (!require(i, name)) return nullptr;
  const Elements* elements = known(i);
  if (elements == nullptr) {
    refuse("input {} ({}) must be known when the model is imported, but is computed from data", i,
           name);
  }
  return elements;
}

std::optional<std::vector<int64_t>> Site::require_numbers(size_t i, std::string_view name) {
  const Elements* elements = require_known(i, name);
  if (elements == nullptr) return std::nullopt;
  std::vector<int64_t> numbers;
  for (const Dim& element : *elements) {
    if (!element.is_constant()) {
      refuse("input {} ({}) is {}, expected a number", i, name, to_text(element, symbols()));
      return std::nullopt;
    }
    numbers.push_back(element.value());
  }
  return numbers;
}

std::optional<std::vector<float>> Site::floats(size_t i) const {
  if (!has(i) || !inputs_[i]->constant || type(i).dtype != DType::kF32) return std::nullopt;
  const Tensor& tensor = *inputs_[i]->constant;
  return std::vector<float>(tensor.data<float>(), tensor.data<float>() + tensor.elements());
}

std::optional<std::vector<int64_t>> Site::constant_dims(size_t i) const {
  if (!has(i) || !shape(i).is_constant()) return std::nullopt;
  return vm::dims_of(shape(i));
}

const Attribute* Site::attribute(std::string_view name) {
  seen_.insert(std::string(name));
  const auto found = std::find_if(node_.attributes.begin(), node_.attributes.end(),
                                  [&](const Attribute& each) { return each.name == name; });
  return found == node_.attributes.end() ? nullptr : &*found;
}

bool Site::has_attribute(std::string_view name) { return attribute(name) != nullptr; }

int64_t Site::integer(std::string_view name, int64_t otherwise) {
  const Attribute* found = attribute(name);
  if (found == nullptr) return otherwise;
  if (!found->integer) {
    // A default value may be left out of the file.
    if (found->type == 2) return 0;
    refuse("attribute {} is not an integer", name);
  }
  return found->integer.value_or(otherwise);
}

float Site::real(std::string_view name, float otherwise) {
  const Attribute* found = attribute(name);
  if (found == nullptr) return otherwise;
  if (!found->real) {
    if (found->type == 1) return 0;
    refuse("attribute {} is not a number", name);
  }
  return found->real.value_or(otherwise);
}

std::string Site::word(std::string_view name, std::string_view otherwise) {
  const Attribute* found = attribute(name);
  if (found == nullptr) return std::string(otherwise);
  if (!found->text && found->type != 3) refuse("attribute {} is not a text", name);
  return found->text.value_or("");
}

std::vector<int64_t> Site::integers(std::string_view name, std::vector<int64_t> otherwise) {
  const Attribute* found = attribute(name);
  return found == nullptr ? std::move(otherwise) : found->integers;
}

std::optional<size_t> Site::axis_in(int64_t axis, size_t rank) {
  const auto axes = static_cast<int64_t>(rank);
  if (axis < -axes || axis >= axes) {
    refuse("axis {} of {} axes", axis, rank);
    return std::nullopt;
  }
  return static_cast<size_t>(axis < 0 ? axis + axes : axis);
}

Value& Site::result(size_t i) {
  BCAI_ASSERT(i < results_.size());
  results_[i]->refused = false;
  return *results_[i];
}

void Site::out(size_t i, ValueId value) {
  if (i >= results_.size() || value == kNoValue) return;
  Value& each = result(i);
  each.type = type_of(value);
  each.id = value;
}

void Site::out_known(size_t i, DType dtype, std::vector<int64_t> dims, Elements elements) {
  if (i >= results_.size() || refused_) return;
  if (!importer_.afford(elements.size())) return refuse("too many integers to compute on import");
  if (count_of(dims) != static_cast<int64_t>(elements.size())) {
    return refuse("the result has the dimensions [{}]", fmt::join(dims, ","));
  }
  Value& each = result(i);
  each.type.dtype = dtype;
  for (const int64_t dim : dims) each.type.shape.push_back(Dim(dim));
  each.known = std::move(elements);
}

void Site::out_constant(size_t i, Tensor tensor) {
  if (i >= results_.size()) return;
  Value& each = result(i);
  each.type = tensor.type();
  each.known = elements_of(tensor);
  each.constant = std::move(tensor);
}

void Site::out_same(size_t i, size_t operand) { out_value(i, inputs_[operand]); }

void Site::out_value(size_t i, Value* value) {
  if (i < results_.size()) results_[i] = value;
}

const Type& Site::type_of(ValueId value) {
  static const Type nothing;
  return value == kNoValue ? nothing : builder().type_of(value);
}

ValueId Site::add(Opcode opcode, std::vector<ValueId> operands, Attributes given) {
  if (refused_) return kNoValue;
  return builder().add(opcode, std::move(operands), std::move(given));
}

ValueId Site::stated(Opcode opcode, std::vector<ValueId> operands, DType dtype, const Dims& dims,
                     Attributes given) {
  if (refused_) return kNoValue;
  if (dims.size() > kRankMax) {
    refuse("needs a tensor of {} axes, at most {} are supported", dims.size(), kRankMax);
    return kNoValue;
  }
  return builder().add_stated(opcode, std::move(operands), {dtype, Shape(dims)}, std::move(given));
}

ValueId Site::reshape(ValueId value, const Dims& dims) {
  if (value == kNoValue) return value;
  const Type type = type_of(value);
  if (dims.size() <= kRankMax && type.shape == Shape(dims)) return value;
  return stated(Opcode::kReshape, {value}, type.dtype, dims);
}

ValueId Site::transpose(ValueId value, const std::vector<int64_t>& permutation) {
  if (value == kNoValue || std::is_sorted(permutation.begin(), permutation.end())) return value;
  return add(Opcode::kTranspose, {value}, attributes({{Attr::kPermutation, permutation}}));
}

ValueId Site::broadcast(ValueId value, const Dims& dims) {
  if (value == kNoValue) return value;
  const Type type = type_of(value);
  if (dims.size() <= kRankMax && type.shape == Shape(dims)) return value;
  return stated(Opcode::kBroadcast, {value}, type.dtype, dims);
}

ValueId Site::cast(ValueId value, DType dtype) {
  if (value == kNoValue || type_of(value).dtype == dtype) return value;
  return stated(Opcode::kCast, {value}, dtype, dims_of_shape(shape_of(value)));
}

ValueId Site::slice(ValueId value, const Dims& starts, const Dims& dims,
                    std::vector<int64_t> steps) {
  if (value == kNoValue) return value;
  if (std::all_of(steps.begin(), steps.end(), [](int64_t step) { return step == 1; })) {
    steps.clear();
  }
  const Type type = type_of(value);
  if (steps.empty() && type.shape == Shape(dims)) return value;
  return stated(Opcode::kSlice, {value}, type.dtype, dims,
                attributes({{Attr::kStarts, starts}, {Attr::kSteps, std::move(steps)}}));
}

ValueId Site::reduce(Opcode opcode, ValueId value, std::vector<int64_t> axes, bool keep) {
  if (value == kNoValue) return value;
  return add(opcode, {value},
             attributes({{Attr::kAxes, std::move(axes)}, {Attr::kKeepDims, int64_t{keep}}}));
}

ValueId Site::scalar(float value) {
  return stated(Opcode::kFill, {}, DType::kF32, {}, attributes({{Attr::kValue, value}}));
}

ValueId Site::scalar_integer(int64_t value, DType dtype) {
  return stated(Opcode::kFill, {}, dtype, {}, attributes({{Attr::kIntValue, value}}));
}

ValueId Site::dimension(const Dim& dim) {
  if (dim.is_constant()) return scalar_integer(dim.value());
  return importer_.dimension(dim);
}

std::optional<std::vector<Value*>> Site::import_branch(const Graph& graph, std::string_view name) {
  return importer_.import_branch(graph, std::string(name));
}

void Site::finish() {
  if (refused_) return;
  for (const Attribute& each : node_.attributes) {
    if (!seen_.contains(each.name)) refuse("attribute {} is not supported", each.name);
    if (!each.reference.empty()) refuse("attribute {} refers to a function", each.name);
  }
}

}  // namespace bcai::vm::onnx
