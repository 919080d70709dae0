// SPDX-License-Identifier: Apache-2.0
#include "vm/huggingface/network.h"

#include <cstring>

namespace bcai::vm::huggingface {
namespace {

Attributes attributes_of(std::initializer_list<Attributes::Entry> entries) {
  Attributes attributes;
  for (const Attributes::Entry& entry : entries) attributes.set(entry.attribute, entry.value);
  return attributes;
}

template <typename T>
std::string bytes_of(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

}  // namespace

Network::Network(const WeightFiles& files, std::string_view prefix, std::string_view probe)
    : files_(files) {
  const std::string with_prefix = fmt::format("{}{}", prefix, probe);
  if (files_.find(with_prefix).tensor != nullptr) prefix_ = prefix;
}

void Network::add_finding(std::string finding) {
  if (findings_.size() < kFindingsMax) {
    findings_.push_back(std::move(finding));
  } else {
    ++findings_left_out_;
  }
}

bool Network::has(std::string_view name) const { return files_.find(name).tensor != nullptr; }

Dim Network::dimension(std::string_view name, const SymbolRange& range) {
  const Result<Dim> dim = builder_.dimension(name, range);
  if (!dim) add_finding(dim.error().message);
  return dim ? *dim : Dim(1);
}

ValueId Network::add(Opcode opcode, std::vector<ValueId> operands,
                     std::initializer_list<Attributes::Entry> attributes) {
  if (!findings_.empty()) return kNoValue;
  return builder_.add(opcode, std::move(operands), attributes_of(attributes));
}

ValueId Network::add_stated(Opcode opcode, std::vector<ValueId> operands, const Type& stated,
                            std::initializer_list<Attributes::Entry> attributes) {
  if (!findings_.empty()) return kNoValue;
  return builder_.add_stated(opcode, std::move(operands), stated, attributes_of(attributes));
}

ValueId Network::integer(int32_t value) {
  return findings_.empty() ? builder_.constant({DType::kI32, {}}, bytes_of(value)) : kNoValue;
}

ValueId Network::number(float value) {
  return findings_.empty() ? builder_.constant({DType::kF32, {}}, bytes_of(value)) : kNoValue;
}

ValueId Network::numbers(const std::vector<float>& values) {
  return findings_.empty() ? builder_.constant_f32(values) : kNoValue;
}

std::pair<ValueId, ValueId> Network::read(ValueId state) {
  if (!findings_.empty()) return {kNoValue, kNoValue};
  const std::vector<ValueId> results = builder_.add_all(Opcode::kKVCacheRead, {state});
  return results.empty() ? std::pair(kNoValue, kNoValue) : std::pair(results[0], results[1]);
}

ValueId Network::slice(ValueId x, std::vector<Dim> starts, const Type& type) {
  return add_stated(Opcode::kSlice, {x}, type, {{Attr::kStarts, std::move(starts)}});
}

ValueId Network::stored(const std::string& name, const Shape& shape, DType* dtype) {
  const WeightFiles::Place place = files_.find(name);
  if (place.tensor == nullptr) {
    add_finding(fmt::format("tensor '{}' is missing, expected {}", name, to_text(shape, {})));
    return kNoValue;
  }
  const Type& type = place.tensor->type;
  *dtype = type.dtype;
  const bool real = DTypeSet(DType::kF32, DType::kF16, DType::kBF16).contains(type.dtype);
  if (!real || !(type.shape == shape)) {
    add_finding(fmt::format("tensor '{}' is {}, expected {} of f32, f16 or bf16", name,
                            to_text(type, {}), to_text(shape, {})));
    return kNoValue;
  }
  if (!findings_.empty()) return kNoValue;
  const auto [number, is_first] = file_numbers_.emplace(place.file, 0);
  if (is_first) {
    const WeightFileHeld& file = files_.files()[place.file];
    number->second = builder_.file({file.name, file.weights->sha256(), file.weights->bytes()});
  }
  return builder_.param(number->second, name, type);
}

ValueId Network::widened(ValueId x, DType dtype, const Shape& shape) {
  if (dtype == DType::kF32) return x;
  return add_stated(Opcode::kCast, {x}, {DType::kF32, shape});
}

ValueId Network::weight(const std::string& name, const Shape& shape) {
  DType dtype = DType::kF32;
  const ValueId value = stored(name, shape, &dtype);
  return widened(value, dtype, shape);
}

ValueId Network::first_rows(const std::string& name, int64_t table_rows, const Dim& rows,
                            int64_t width) {
  DType dtype = DType::kF32;
  const ValueId table = stored(name, {table_rows, width}, &dtype);
  const Shape shape = {rows, width};
  return widened(slice(table, {0, 0}, {dtype, shape}), dtype, shape);
}

ValueId Network::lookup(const std::string& name, int64_t table_rows, int64_t width, ValueId indices,
                        const Shape& indices_shape) {
  DType dtype = DType::kF32;
  const ValueId table = stored(name, {table_rows, width}, &dtype);
  Shape shape = indices_shape;
  shape.push_back(width);
  return widened(add(Opcode::kEmbeddingLookup, {table, indices}), dtype, shape);
}

ValueId Network::linear(ValueId x, const Linear& layer) {
  const bool transposed = layer.layout == Layout::kLinear;
  const Shape shape = transposed ? Shape{layer.out, layer.in} : Shape{layer.in, layer.out};
  const ValueId matrix = weight(layer.name + ".weight", shape);
  const ValueId bias = layer.bias ? weight(layer.name + ".bias", {layer.out}) : kNoValue;
  return add(Opcode::kTensorMatMul, {x, matrix, bias},
             {{Attr::kTransposeB, int64_t{transposed}},
              {Attr::kActivation, static_cast<int64_t>(layer.activation)}});
}

ValueId Network::layer_norm(ValueId x, const std::string& name, int64_t width, float epsilon) {
  // Checkpoints that began in TensorFlow call them gamma and beta.
  const bool greek = !has(name + ".weight") && has(name + ".gamma");
  const ValueId scale = weight(name + (greek ? ".gamma" : ".weight"), {width});
  const ValueId bias = weight(name + (greek ? ".beta" : ".bias"), {width});
  return add(Opcode::kLayerNorm, {x, scale, bias}, {{Attr::kEpsilon, epsilon}});
}

ValueId Network::rms_norm(ValueId x, const std::string& name, int64_t width, float epsilon) {
  const ValueId scale = weight(name + ".weight", {width});
  return add(Opcode::kRMSNorm, {x, scale}, {{Attr::kEpsilon, epsilon}});
}

Result<Program> Network::finish(const std::vector<std::pair<std::string, ValueId>>& results) {
  if (findings_left_out_ > 0) {
    findings_.push_back(fmt::format("and {} more", findings_left_out_));
  }
  if (!findings_.empty()) {
    return error(ErrorCode::kInvalidArgument, "{}", fmt::join(findings_, "\n"));
  }
  return builder_.finish(results);
}

}  // namespace bcai::vm::huggingface
