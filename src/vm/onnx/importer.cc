// SPDX-License-Identifier: Apache-2.0
#include "vm/onnx/importer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "vm/onnx/operators.h"

namespace bcai::vm::onnx {
namespace {

constexpr size_t kFindingsMax = 200;
// A float constant of up to so many elements is written in the program; others are weights.
constexpr int64_t kInlineFloatsMax = 16;
constexpr int64_t kInlineBytesMax = 4096;
constexpr size_t kKnownInAllMax = size_t{1} << 20;

// Constants of a program have one NaN.
std::string constant_bytes(const Tensor& tensor) {
  std::string bytes(tensor.byte_view());
  if (tensor.dtype() != DType::kF32) return bytes;
  constexpr uint32_t kNan = 0x7fc00000;
  for (size_t i = 0; i < bytes.size(); i += 4) {
    if (std::isnan(tensor.data<float>()[i / 4])) std::memcpy(bytes.data() + i, &kNan, 4);
  }
  return bytes;
}

std::string node_place(size_t index, const Node& node) {
  std::string place = fmt::format("node {}", index);
  if (!node.name.empty()) place += fmt::format(" '{}'", node.name);
  const std::string domain = node.domain.empty() ? "" : node.domain + ".";
  return place + fmt::format(" ({}{})", domain, node.op_type);
}

}  // namespace

std::optional<Elements> elements_of(const Tensor& tensor) {
  if (tensor.elements() > static_cast<int64_t>(kKnownMax)) return std::nullopt;
  Elements elements;
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    switch (tensor.dtype()) {
      case DType::kI64: elements.emplace_back(tensor.data<int64_t>()[i]); break;
      case DType::kI32: elements.emplace_back(tensor.data<int32_t>()[i]); break;
      case DType::kI8: elements.emplace_back(tensor.data<int8_t>()[i]); break;
      case DType::kU8:
      case DType::kBool: elements.emplace_back(tensor.data<uint8_t>()[i]); break;
      default: return std::nullopt;
    }
  }
  return elements;
}

Importer::Importer(const Model& model, std::filesystem::path directory,
                   const ImportOptions& options)
    : model_(model), options_(options), external_(std::move(directory)) {
  scopes_.emplace_back();
}

Value* Importer::new_value() { return &values_.emplace_back(); }

void Importer::add_finding(std::string reason) {
  if (findings_.size() == kFindingsMax) {
    ++findings_left_out_;
    return;
  }
  findings_.push_back(place_.empty() ? std::move(reason) : place_ + ": " + reason);
}

bool Importer::afford(size_t elements) {
  known_ += elements;
  return known_ <= kKnownInAllMax;
}

void Importer::define(const std::string& name, Value* value) {
  if (name.empty()) return;
  if (!scopes_.back().emplace(name, value).second) {
    add_finding(fmt::format("the name '{}' is defined twice", name));
  }
}

Value* Importer::find(const std::string& name) {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto found = scope->find(name);
    if (found != scope->end()) return found->second;
  }
  return nullptr;
}

Dim Importer::named_extent(const std::string& name, bool batch) {
  const auto found = extents_.find(name);
  if (found != extents_.end()) return found->second;
  const auto given = options_.ranges.find(name);
  const SymbolRange range = given != options_.ranges.end() ? given->second
                            : batch                        ? kBatchRange
                                                           : kExtentRange;
  const Result<Dim> open = builder_.dimension(name, range);
  if (!open) add_finding(open.error().message);
  const Dim dim = open ? *open : Dim::invalid();
  extents_.emplace(name, dim);
  return dim;
}

// The input's dimensions, or findings.
std::optional<Shape> Importer::input_shape(const ValueInfo& info) {
  std::vector<Extent> extents;
  if (const auto given = options_.shapes.find(info.name); given != options_.shapes.end()) {
    if (info.shape && info.shape->size() != given->second.size()) {
      add_finding(fmt::format("given {} dimensions, the model says {}", given->second.size(),
                              info.shape->size()));
      return std::nullopt;
    }
    for (const int64_t dim : given->second) extents.push_back({dim, ""});
    for (size_t axis = 0; info.shape && axis < extents.size(); ++axis) {
      const Extent& stated = (*info.shape)[axis];
      if (!stated.value || *stated.value == *extents[axis].value || *stated.value <= 0) continue;
      add_finding(fmt::format("axis {} is given {}, the model says {}", axis, *extents[axis].value,
                              *stated.value));
    }
  } else if (info.shape) {
    extents = *info.shape;
  } else {
    add_finding("has no rank; give its shape");
    return std::nullopt;
  }
  if (extents.size() > kRankMax) {
    add_finding(fmt::format("has {} axes, at most {} are supported", extents.size(), kRankMax));
    return std::nullopt;
  }
  Shape shape;
  for (size_t axis = 0; axis < extents.size(); ++axis) {
    const Extent& extent = extents[axis];
    // Some exporters write 0 or -1 for a dimension that is open.
    if (extent.value && (*extent.value > 0 || !info.shape || options_.shapes.contains(info.name))) {
      if (*extent.value < 0 || *extent.value > kDimMax) {
        add_finding(fmt::format("axis {} is {}", axis, *extent.value));
        return std::nullopt;
      }
      shape.push_back(Dim(*extent.value));
      continue;
    }
    // Paddle's exporter calls every unknown dimension "?": two of them need not be equal.
    const bool has_name = !extent.name.empty() && extent.name != "?";
    const std::string name = has_name ? extent.name : fmt::format("{}_{}", info.name, axis);
    const Dim dim = named_extent(name, axis == 0);
    if (!dim.valid()) return std::nullopt;
    shape.push_back(dim);
  }
  return shape;
}

void Importer::import_input(const ValueInfo& info) {
  Value* value = new_value();
  value->name = info.name;
  value->refused = true;
  define(info.name, value);
  const Result<DType> dtype = dtype_of(info.element_type);
  if (!info.is_tensor || !dtype) {
    add_finding(info.is_tensor ? dtype.error().message : "is not a tensor");
    return;
  }
  if (const auto given = options_.values.find(info.name); given != options_.values.end()) {
    if (given->second.dtype() != *dtype) {
      add_finding(fmt::format("is given as {}, the model says {}",
                              dtype_name(given->second.dtype()), dtype_name(*dtype)));
      return;
    }
    value->type = given->second.type();
    value->known = elements_of(given->second);
    value->constant = given->second;
    value->refused = false;
    return;
  }
  const std::optional<Shape> shape = input_shape(info);
  if (!shape) return;
  value->type = {*dtype, *shape};
  value->id = builder_.argument(info.name, value->type);
  value->refused = false;
}

void Importer::import_inputs() {
  std::unordered_set<std::string> given;
  for (const TensorMessage& tensor : model_.graph.initializers) given.insert(tensor.name);
  for (const ValueInfo& info : model_.graph.inputs) {
    place_ = fmt::format("input '{}'", info.name);
    // Before IR version 4 every initializer was an input too.
    if (!given.contains(info.name)) import_input(info);
  }
  place_.clear();
  for (const auto& [name, tensor] : options_.values) {
    if (find(name) == nullptr) add_finding(fmt::format("there is no input '{}' to fix", name));
  }
  for (const auto& [name, shape] : options_.shapes) {
    if (find(name) == nullptr) add_finding(fmt::format("there is no input '{}' to shape", name));
  }
}

void Importer::import_initializers(const Graph& graph) {
  if (graph.has_sparse_initializers) add_finding("sparse initializers are not supported");
  for (const TensorMessage& message : graph.initializers) {
    place_ = fmt::format("{}initializer '{}'", branch_, message.name);
    Value* value = new_value();
    value->name = message.name;
    define(message.name, value);
    Result<Tensor> tensor = to_tensor(message, external_);
    if (!tensor) {
      value->refused = true;
      add_finding(tensor.error().message);
      continue;
    }
    value->type = tensor->type();
    value->known = elements_of(*tensor);
    value->constant = *std::move(tensor);
  }
  place_.clear();
}

void Importer::import_node(const Node& node) {
  const std::string domain = node.domain == "ai.onnx" ? "" : node.domain;
  const Operator* row = find_operator(domain, node.op_type);
  const auto opset = model_.opsets.find(domain);
  const int64_t version = opset == model_.opsets.end() ? 1 : opset->second;
  std::vector<Value*> inputs;
  bool whole = true;
  for (const std::string& name : node.inputs) {
    inputs.push_back(name.empty() ? nullptr : find(name));
    if (name.empty()) continue;
    if (inputs.back() == nullptr) {
      add_finding(fmt::format("its input '{}' is not defined before it", name));
    }
    whole = whole && inputs.back() != nullptr && !inputs.back()->refused;
  }
  if (inputs.size() > 4096) add_finding(fmt::format("has {} inputs", inputs.size()));
  Site site(*this, node, version, std::move(inputs));
  if (row == nullptr) {
    site.refuse("this operator is not supported");
  } else if (domain.empty() && version < row->since) {
    site.refuse("of opset {}, supported since {}", version, row->since);
  } else if (whole && node.inputs.size() <= 4096) {
    const size_t before = builder_.problems().size();
    row->import(site);
    site.finish();
    for (size_t i = before; i < builder_.problems().size(); ++i) {
      site.refuse("{}", builder_.problems()[i]);
    }
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) define(node.outputs[i], site.results()[i]);
}

void Importer::import_nodes(const Graph& graph) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    place_ = branch_ + node_place(i, graph.nodes[i]);
    import_node(graph.nodes[i]);
  }
  place_.clear();
}

std::optional<std::vector<Value*>> Importer::import_branch(const Graph& graph,
                                                           const std::string& name) {
  if (scopes_.size() > kGraphDepthMax) {
    add_finding("graphs are nested too deeply");
    return std::nullopt;
  }
  const std::string outer_place = place_;
  const std::string outer_branch = branch_;
  branch_ = fmt::format("{}, {}, ", place_, name);
  scopes_.emplace_back();
  if (!graph.inputs.empty()) add_finding("the branch has inputs");
  import_initializers(graph);
  import_nodes(graph);
  place_ = outer_place;
  branch_ = outer_branch;
  std::vector<Value*> results;
  for (const ValueInfo& info : graph.outputs) {
    results.push_back(find(info.name));
    if (results.back() == nullptr) {
      add_finding(fmt::format("{}: its result '{}' is not defined", name, info.name));
    }
  }
  scopes_.pop_back();
  if (std::find(results.begin(), results.end(), nullptr) != results.end()) return std::nullopt;
  return results;
}

std::string Importer::unique_name(const std::string& wanted) {
  std::string name = wanted.empty() ? "constant" : wanted;
  if (name.size() > kNameBytesMax - 16) name = name.substr(name.size() - (kNameBytesMax - 16));
  const std::string stem = name;
  for (size_t i = 2; !weight_names_.insert(name).second; ++i) name = fmt::format("{}~{}", stem, i);
  return name;
}

ValueId Importer::add_weight(const Value& value) {
  if (builder_.program().files.empty()) builder_.file({options_.weights, Sha256{}, 0});
  const std::string name = unique_name(value.name);
  weights_.emplace_back(name, *value.constant);
  return builder_.param(0, name, value.type);
}

ValueId Importer::dimension(const Dim& dim) {
  // There is no instruction that reads a dimension: 0, 1, 2, … up to it, and the last of them.
  const Shape counted = {dim + Dim(1)};
  const ValueId iota = builder_.add_stated(Opcode::kIota, {}, {DType::kI64, counted});
  if (iota == kNoValue) return iota;
  const ValueId last = builder_.add_stated(Opcode::kSlice, {iota}, {DType::kI64, {1}},
                                           attributes({{Attr::kStarts, Dims{dim}}}));
  if (last == kNoValue) return last;
  return builder_.add_stated(Opcode::kReshape, {last}, {DType::kI64, {}});
}

namespace {

Tensor tensor_of(const Elements& elements, const Type& type) {
  Tensor tensor = Tensor::of_type(type);
  for (size_t i = 0; i < elements.size(); ++i) {
    const int64_t number = elements[i].value();
    switch (type.dtype) {
      case DType::kI64: tensor.data<int64_t>()[i] = number; break;
      case DType::kI32: tensor.data<int32_t>()[i] = static_cast<int32_t>(number); break;
      case DType::kI8: tensor.data<int8_t>()[i] = static_cast<int8_t>(number); break;
      default: tensor.data<uint8_t>()[i] = static_cast<uint8_t>(number); break;
    }
  }
  return tensor;
}

}  // namespace

ValueId Importer::materialise(Value& value) {
  if (value.id != kNoValue || value.refused) return value.id;
  if (value.known && !value.constant) {
    const bool numbers = std::all_of(value.known->begin(), value.known->end(),
                                     [](const Dim& each) { return each.is_constant(); });
    if (numbers) {
      value.constant = tensor_of(*value.known, value.type);
    } else if (value.known->size() > kOperandsMax) {
      add_finding(
          fmt::format("'{}' holds {} integers that depend on sizes, at most {} can be "
                      "computed when the program runs",
                      value.name, value.known->size(), kOperandsMax));
      return kNoValue;
    } else {
      std::vector<ValueId> parts;
      for (const Dim& each : *value.known) {
        const ValueId part =
            each.is_constant() ? builder_.constant_i64({each.value()}) : dimension(each);
        if (part == kNoValue) return part;
        parts.push_back(builder_.add_stated(Opcode::kReshape, {part}, {DType::kI64, {1}}));
      }
      ValueId joined = parts.size() == 1 ? parts[0] : builder_.add(Opcode::kConcat, parts);
      if (joined == kNoValue) return joined;
      joined = builder_.add_stated(Opcode::kReshape, {joined}, {DType::kI64, value.type.shape});
      if (value.type.dtype != DType::kI64 && joined != kNoValue) {
        joined = builder_.add_stated(Opcode::kCast, {joined}, value.type);
      }
      return value.id = joined;
    }
  }
  if (!value.constant) return kNoValue;
  const Tensor& tensor = *value.constant;
  const bool small = tensor.dtype() == DType::kF32 || tensor.dtype() == DType::kF16 ||
                             tensor.dtype() == DType::kBF16
                         ? tensor.elements() <= kInlineFloatsMax
                         : tensor.byte_count() <= kInlineBytesMax;
  value.id = small ? builder_.constant(value.type, constant_bytes(tensor)) : add_weight(value);
  return value.id;
}

Result<Imported> Importer::run() {
  const auto opset = model_.opsets.find("");
  if (opset == model_.opsets.end()) {
    add_finding("the model names no opset");
  } else if (opset->second < kOpsetMin || opset->second > kOpsetMax) {
    add_finding(fmt::format("the model is of opset {}, supported are {} to {}", opset->second,
                            kOpsetMin, kOpsetMax));
  }
  import_inputs();
  import_initializers(model_.graph);
  import_nodes(model_.graph);
  std::vector<std::pair<std::string, ValueId>> results;
  for (const ValueInfo& info : model_.graph.outputs) {
    place_ = fmt::format("output '{}'", info.name);
    Value* value = find(info.name);
    if (value == nullptr) {
      add_finding("is not defined");
      continue;
    }
    if (value->refused) continue;
    const Result<DType> dtype = dtype_of(info.element_type);
    if (info.is_tensor && info.element_type != 0 && (!dtype || *dtype != value->type.dtype)) {
      add_finding(fmt::format("is {}, the model says {}", dtype_name(value->type.dtype),
                              dtype ? dtype_name(*dtype) : "another type"));
    }
    const size_t before = builder_.problems().size();
    results.emplace_back(info.name, materialise(*value));
    for (size_t i = before; i < builder_.problems().size(); ++i) {
      add_finding(builder_.problems()[i]);
    }
  }
  if (model_.graph.outputs.empty()) add_finding("the graph has no outputs");
  if (findings_left_out_ > 0) {
    findings_.push_back(fmt::format("and {} more", findings_left_out_));
  }
  if (!findings_.empty()) {
    return error(ErrorCode::kUnimplemented, "{}", fmt::join(findings_, "\n"));
  }
  BCAI_TRY_ASSIGN(Program program, builder_.finish(results));
  return Imported{std::move(program), std::move(weights_)};
}

}  // namespace bcai::vm::onnx
