// SPDX-License-Identifier: Apache-2.0
#include "vm/generator/writer.h"

#include <cstring>

namespace bcai::vm {
namespace {

constexpr DTypeSet kStored{DType::kF16, DType::kBF16};

Attributes without_defaults(Opcode opcode, const Attributes& attributes) {
  Attributes kept = attributes;
  for (const AttributeSpec& spec : *info_of(opcode).attributes) {
    const AttributeValue* value = attributes.find(spec.attribute);
    if (value != nullptr && spec.default_value && same_value(*value, *spec.default_value)) {
      kept.erase(spec.attribute);
    }
  }
  return kept;
}

}  // namespace

Writer::Writer(Program& program, std::string name, Random& random, const GeneratorOptions& options)
    : program_(program), random_(random), options_(options) {
  function_.name = std::move(name);
  open_.push_back({{}, 0});
}

ValueId Writer::new_value(const Type& type) {
  function_.values.push_back(type);
  const auto id = static_cast<ValueId>(function_.values.size() - 1);
  (type.is_state ? states_ : seen_).push_back(id);
  return id;
}

ValueId Writer::argument(const Type& type) {
  const ValueId id = new_value(type);
  function_.argument_names.push_back(fmt::format("a{}", id));
  open_[0].region.arguments.push_back(id);
  return id;
}

Function Writer::finish(const std::vector<ValueId>& results) {
  for (size_t i = 0; i < results.size(); ++i) {
    function_.result_names.push_back(fmt::format("r{}", i));
    function_.result_types.push_back(type_of(results[i]));
  }
  function_.body = end_region(results);
  return std::move(function_);
}

std::vector<ValueId> Writer::emit(Opcode opcode, std::vector<ValueId> operands,
                                  Attributes attributes, std::vector<Type> stated) {
  while (!operands.empty() && operands.back() == kNoValue) operands.pop_back();
  attributes = without_defaults(opcode, attributes);
  std::vector<const Type*> types;
  for (const ValueId id : operands) types.push_back(id == kNoValue ? nullptr : &type_of(id));
  Judgement judgement({});
  const std::vector<Type> results = infer_types({opcode, types, attributes, stated}, judgement);
  if (!judgement.refusals().empty()) return {};
  for (const Type& type : results) {
    const Dim elements = type.shape.elements();
    const bool listed = opcode == Opcode::kParam || opcode == Opcode::kConst;
    if (!elements.valid() || (!listed && elements.value() > options_.elements_max)) return {};
  }
  Instruction instruction;
  instruction.opcode = opcode;
  instruction.operands = std::move(operands);
  instruction.attributes = std::move(attributes);
  for (const Type& type : results) instruction.results.push_back(new_value(type));
  std::vector<ValueId> ids = instruction.results;
  open_.back().region.instructions.push_back(std::move(instruction));
  return ids;
}

ValueId Writer::emit_listed(Opcode opcode, size_t reference, const Type& type) {
  const ValueId id = emit(opcode, {}, {}, {type})[0];
  open_.back().region.instructions.back().reference = static_cast<uint32_t>(reference);
  return id;
}

ValueId Writer::constant(const Type& type, std::string bytes) {
  program_.constants.push_back({type, std::move(bytes)});
  return emit_listed(Opcode::kConst, program_.constants.size() - 1, type);
}

ValueId Writer::indices(DType dtype, const std::vector<int64_t>& dims, int64_t extent) {
  Type type{dtype, {}};
  for (const int64_t dim : dims) type.shape.push_back(Dim(dim));
  if (type.bytes().value() > static_cast<int64_t>(kConstantBytesMax)) {
    // Too large to be written out (rule V28): the same index everywhere.
    Attributes attributes;
    const int64_t index = extent > 0 ? random_.below(extent) : 0;
    if (index != 0) attributes.set(Attr::kIntValue, index);
    return emit(Opcode::kFill, {}, attributes, {type})[0];
  }
  std::string bytes(static_cast<size_t>(type.bytes().value()), '\0');
  const auto size = static_cast<size_t>(dtype_bytes(dtype));
  const bool outside = random_.chance(options_.traps_percent);
  for (size_t at = 0; at < bytes.size(); at += size) {
    int64_t index = extent > 0 ? random_.below(extent) : 0;
    if (outside && random_.chance(10)) index = random_.chance(50) ? -1 : extent;
    std::memcpy(bytes.data() + at, &index, size);  // little-endian
  }
  return constant(type, std::move(bytes));
}

std::optional<ValueId> Writer::pick(const std::function<bool(const Type&)>& condition) {
  std::vector<ValueId> found;
  for (const ValueId id : seen_) {
    if (condition(type_of(id))) found.push_back(id);
  }
  if (found.empty()) return std::nullopt;
  // The later half more often, so that instructions make chains.
  const auto count = static_cast<int64_t>(found.size());
  const int64_t first = random_.chance(60) ? count / 2 : 0;
  return found[static_cast<size_t>(random_.between(first, count - 1))];
}

ValueId Writer::make(const Type& type) {
  const auto same = [&](const Type& other) { return other == type; };
  if (random_.chance(60)) {
    if (const auto found = pick(same)) return *found;
  }
  const bool small = type.bytes().value() <= 512;
  if (small && random_.chance(40) && !kStored.contains(type.dtype)) {
    const Tensor tensor = random_tensor(type, random_.next());
    std::string bytes(tensor.bytes().size(), '\0');
    if (!bytes.empty()) std::memcpy(bytes.data(), tensor.bytes().data(), bytes.size());
    return constant(type, std::move(bytes));
  }
  program_.params.push_back({0, fmt::format("p{}", program_.params.size()), type});
  return emit_listed(Opcode::kParam, program_.params.size() - 1, type);
}

ValueId Writer::any(DTypeSet dtypes, size_t rank_min) {
  const auto fits = [&](const Type& type) {
    return dtypes.contains(type.dtype) && type.shape.rank() >= rank_min;
  };
  if (random_.chance(85)) {
    if (const auto found = pick(fits)) return *found;
  }
  return make(random_type(dtypes, rank_min));
}

std::vector<int64_t> Writer::random_dims(size_t rank_min, size_t rank_max) {
  static constexpr int64_t kSizes[] = {1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 130};
  const auto rank = static_cast<size_t>(
      random_.between(static_cast<int64_t>(rank_min), static_cast<int64_t>(rank_max)));
  std::vector<int64_t> dims;
  int64_t elements = 1;
  for (size_t axis = 0; axis < rank; ++axis) {
    int64_t size = kSizes[random_.below(std::size(kSizes))];
    while (elements * size > options_.elements_max) size = (size + 1) / 3;
    if (random_.chance(1)) size = 0;
    dims.push_back(size);
    elements *= std::max<int64_t>(size, 1);
  }
  return dims;
}

Type Writer::random_type(DTypeSet dtypes, size_t rank_min) {
  static constexpr DType kAll[] = {DType::kF32, DType::kF32,  DType::kF32, DType::kF32,
                                   DType::kF16, DType::kBF16, DType::kI64, DType::kI32,
                                   DType::kI8,  DType::kU8,   DType::kBool};
  Type type;
  do {
    type.dtype = kAll[random_.below(std::size(kAll))];
  } while (!dtypes.contains(type.dtype));
  for (const int64_t dim : random_dims(rank_min, std::max<size_t>(rank_min, 4))) {
    type.shape.push_back(Dim(dim));
  }
  return type;
}

void Writer::begin_region(const std::vector<Type>& arguments) {
  open_.push_back({{}, seen_.size()});
  for (const Type& type : arguments) {
    const ValueId id = new_value(type);
    open_.back().region.arguments.push_back(id);
  }
}

Region Writer::end_region(const std::vector<ValueId>& returned) {
  Instruction end;
  end.opcode = Opcode::kReturn;
  end.operands = returned;
  open_.back().region.instructions.push_back(std::move(end));
  Region region = std::move(open_.back().region);
  seen_.resize(open_.back().seen);
  open_.pop_back();
  return region;
}

std::vector<ValueId> Writer::emit_control(Instruction instruction,
                                          const std::vector<Type>& results) {
  for (const Type& type : results) instruction.results.push_back(new_value(type));
  std::vector<ValueId> ids = instruction.results;
  open_.back().region.instructions.push_back(std::move(instruction));
  return ids;
}

}  // namespace bcai::vm
