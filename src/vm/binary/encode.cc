// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <unordered_map>

#include "base/result.h"
#include "vm/binary/binary.h"
#include "vm/binary/bytes.h"
#include "vm/binary/layout.h"

namespace bcai::vm {
namespace {

template <typename T>
const T& item(const std::vector<T>& list, size_t index) {
  BCAI_ASSERT(index < list.size());
  return list[index];
}

class ProgramWriter {
 public:
  explicit ProgramWriter(const Program& program) : program_(program) {}

  std::string write() {
    // The types are numbered as these three name them, and come before them.
    const std::string params = this->params();
    const std::string constants = this->constants();
    const std::string functions = this->functions();
    ByteWriter out;
    out.raw(kBinaryMagic);
    out.u16(program_.major);
    out.u16(program_.minor);
    out.u8(kProfileN1);
    const auto section = [&](Section id, const std::string& payload) {
      out.u8(static_cast<uint8_t>(id));
      out.text(payload);
    };
    section(Section::kSymbols, symbols());
    section(Section::kTypes, counted(type_ids_.size(), types_.bytes()));
    section(Section::kFiles, files());
    section(Section::kParams, params);
    section(Section::kConstants, constants);
    section(Section::kFunctions, functions);
    section(Section::kCheckpoints, checkpoints());
    return out.take();
  }

 private:
  static std::string counted(size_t count, const std::string& items) {
    ByteWriter out;
    out.number(count);
    out.raw(items);
    return out.take();
  }

  uint64_t type_id(const Type& type) {
    ByteWriter out;
    out.u8(
        static_cast<uint8_t>(static_cast<uint8_t>(type.dtype) | (type.is_state ? kStateFlag : 0)));
    out.number(type.shape.rank());
    for (const Dim& dim : type.shape.dims()) out.dim(dim);
    const auto [entry, is_new] = type_ids_.emplace(out.take(), type_ids_.size());
    if (is_new) types_.raw(entry->first);
    return entry->second;
  }

  std::string symbols() const {
    ByteWriter out;
    out.number(program_.symbols.size());
    for (const Symbol& symbol : program_.symbols) {
      out.text(symbol.name);
      out.integer(symbol.min);
      out.integer(symbol.max);
      out.integer(symbol.multiple_of);
    }
    return out.take();
  }

  std::string files() const {
    ByteWriter out;
    out.number(program_.files.size());
    for (const WeightFile& file : program_.files) {
      out.text(file.name);
      out.raw({reinterpret_cast<const char*>(file.sha256.bytes.data()), file.sha256.bytes.size()});
      out.number(file.bytes);
    }
    return out.take();
  }

  std::string params() {
    ByteWriter out;
    out.number(program_.params.size());
    for (const Param& param : program_.params) {
      out.number(param.file);
      out.text(param.name);
      out.number(type_id(param.type));
    }
    return out.take();
  }

  std::string constants() {
    ByteWriter out;
    out.number(program_.constants.size());
    for (const Constant& constant : program_.constants) {
      out.number(type_id(constant.type));
      out.raw(constant.bytes);
    }
    return out.take();
  }

  std::string functions() {
    ByteWriter out;
    out.number(program_.functions.size());
    for (const Function& each : program_.functions) function(each, out);
    return out.take();
  }

  void function(const Function& function, ByteWriter& out) {
    function_ = &function;
    next_value_ = 0;
    out.text(function.name);
    out.number(function.body.arguments.size());
    for (size_t i = 0; i < function.body.arguments.size(); ++i) {
      out.text(item(function.argument_names, i));
      define(function.body.arguments[i], out);
    }
    out.number(function.result_types.size());
    for (size_t i = 0; i < function.result_types.size(); ++i) {
      out.text(item(function.result_names, i));
      out.number(type_id(function.result_types[i]));
    }
    instructions(function.body, out);
  }

  void instructions(const Region& region, ByteWriter& out) {
    out.number(region.instructions.size());
    for (const Instruction& each : region.instructions) instruction(each, out);
  }

  void instruction(const Instruction& instruction, ByteWriter& out) {
    out.u16(static_cast<uint16_t>(instruction.opcode));
    if (has_reference(instruction.opcode)) out.number(instruction.reference);
    out.number(instruction.operands.size());
    for (const ValueId id : instruction.operands) {
      out.number(id == kNoValue ? 0 : uint64_t{id} + 1);
    }
    out.number(instruction.attributes.entries().size());
    for (const Attributes::Entry& entry : instruction.attributes.entries()) {
      out.number(static_cast<uint64_t>(entry.attribute));
      attribute(instruction.opcode, entry, out);
    }
    BCAI_ASSERT(instruction.regions.size() == region_count(instruction.opcode));
    for (const Region& region : instruction.regions) {
      out.number(region.arguments.size());
      for (const ValueId argument : region.arguments) define(argument, out);
      instructions(region, out);
    }
    out.number(instruction.results.size());
    for (const ValueId result : instruction.results) define(result, out);
  }

  static void attribute(Opcode opcode, const Attributes::Entry& entry, ByteWriter& out) {
    const std::vector<AttributeSpec>& specs = *info_of(opcode).attributes;
    const auto spec = std::find_if(specs.begin(), specs.end(), [&](const AttributeSpec& candidate) {
      return candidate.attribute == entry.attribute;
    });
    BCAI_ASSERT(spec != specs.end());
    switch (spec->kind) {
      case AttributeKind::kInt: out.integer(as<int64_t>(entry)); break;
      case AttributeKind::kBool:
      case AttributeKind::kChoice: out.number(static_cast<uint64_t>(as<int64_t>(entry))); break;
      case AttributeKind::kFloat: out.real(as<float>(entry)); break;
      case AttributeKind::kInts:
        out.number(as<std::vector<int64_t>>(entry).size());
        for (const int64_t each : as<std::vector<int64_t>>(entry)) out.integer(each);
        break;
      case AttributeKind::kDims:
        out.number(as<std::vector<Dim>>(entry).size());
        for (const Dim& each : as<std::vector<Dim>>(entry)) out.dim(each);
        break;
    }
  }

  template <typename T>
  static const T& as(const Attributes::Entry& entry) {
    const T* value = std::get_if<T>(&entry.value);
    BCAI_ASSERT(value != nullptr);
    return *value;
  }

  // Bytes hold no ids of what is defined: they are what the order of definition makes them.
  void define(ValueId id, ByteWriter& out) {
    BCAI_ASSERT(id == next_value_);
    ++next_value_;
    out.number(type_id(item(function_->values, id)));
  }

  std::string checkpoints() const {
    ByteWriter out;
    out.number(program_.checkpoints.size());
    for (const ValueId id : program_.checkpoints) out.number(id);
    return out.take();
  }

  const Program& program_;
  std::unordered_map<std::string, uint64_t> type_ids_;
  ByteWriter types_;
  const Function* function_ = nullptr;
  ValueId next_value_ = 0;
};

}  // namespace

std::string encode(const Program& program) { return ProgramWriter(program).write(); }

Sha256 program_identity(const Program& program) { return Sha256::of(encode(program)); }

}  // namespace bcai::vm
