// SPDX-License-Identifier: Apache-2.0
// A valid random program with some of its numbers changed. What the verifier still accepts must run
// without touching a byte outside its buffers, here under sanitizers, and give the reference's
// bits.
#include <cstdlib>
#include <cstring>

#include "vm/backend/reference/interpreter.h"
#include "vm/generator/generator.h"
#include "vm/runtime/executable.h"
#include "vm/verify/cost.h"

namespace {

using namespace bcai::vm;  // NOLINT

constexpr int64_t kBytesMax = int64_t{1} << 20;
constexpr uint64_t kGasMax = uint64_t{1} << 17;

// The fuzzer's bytes as choices; zeros when they have run out.
class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool more() const { return size_ > 0; }
  uint64_t next(size_t bytes) {
    uint64_t value = 0;
    const size_t n = bytes < size_ ? bytes : size_;
    std::memcpy(&value, data_, n);
    data_ += n;
    size_ -= n;
    return value;
  }
  size_t below(size_t n) { return n == 0 ? 0 : next(2) % n; }
  int64_t number() {
    constexpr int64_t kOdd[] = {
        0,       1,           -1,           INT64_MAX, INT64_MIN,        INT32_MAX,
        kDimMax, kDimMax + 1, kElementsMax, 1 << 16,   int64_t{1} << 32, -(int64_t{1} << 31)};
    const uint64_t kind = next(1);
    return kind < std::size(kOdd) ? kOdd[kind] : static_cast<int64_t>(kind % 40) - 4;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

void collect(Region& region, std::vector<Region*>* regions) {
  regions->push_back(&region);
  for (Instruction& each : region.instructions) {
    for (Region& inner : each.regions) collect(inner, regions);
  }
}

void change_attribute(Instruction& instruction, Choices& choices) {
  const auto entries = instruction.attributes.entries();
  if (entries.empty()) {
    const std::vector<AttributeSpec>& specs = *info_of(instruction.opcode).attributes;
    if (specs.empty()) return;
    instruction.attributes.set(specs[choices.below(specs.size())].attribute, choices.number());
    return;
  }
  const auto& entry = entries[choices.below(entries.size())];
  AttributeValue value = entry.value;
  if (auto* number = std::get_if<int64_t>(&value)) *number = choices.number();
  if (auto* real = std::get_if<float>(&value)) {
    const auto bits = static_cast<uint32_t>(choices.next(4));
    std::memcpy(real, &bits, sizeof(bits));
  }
  if (auto* list = std::get_if<std::vector<int64_t>>(&value)) {
    list->resize(choices.below(list->size() + 3), 1);
    if (!list->empty()) (*list)[choices.below(list->size())] = choices.number();
  }
  if (auto* dims = std::get_if<std::vector<Dim>>(&value)) {
    dims->resize(choices.below(dims->size() + 3), Dim(1));
    if (!dims->empty()) (*dims)[choices.below(dims->size())] = Dim(choices.number());
  }
  instruction.attributes.set(entry.attribute, std::move(value));
}

void change_type(Type& type, Choices& choices) {
  switch (choices.below(4)) {
    case 0: type.dtype = static_cast<DType>(choices.next(1) % 10); return;
    case 1: type.is_state = !type.is_state; return;
    case 2:
      if (type.shape.rank() < kRankMax) type.shape.push_back(Dim(choices.number()));
      return;
    default:
      if (type.shape.rank() > 0) {
        type.shape[choices.below(type.shape.rank())] = Dim(choices.number());
      }
  }
}

void change(Program& program, Choices& choices) {
  Function& function = program.functions[choices.below(program.functions.size())];
  std::vector<Region*> regions;
  collect(function.body, &regions);
  Region& region = *regions[choices.below(regions.size())];
  const auto any_value = [&] {
    return static_cast<ValueId>(choices.below(function.values.size() + 1));
  };
  if (choices.next(1) % 4 == 0 && !function.values.empty()) {
    change_type(function.values[choices.below(function.values.size())], choices);
    return;
  }
  if (region.instructions.empty()) return;
  const size_t at = choices.below(region.instructions.size());
  Instruction& one = region.instructions[at];
  switch (choices.below(10)) {
    case 0: change_attribute(one, choices); break;
    case 1:
      if (!one.operands.empty()) one.operands[choices.below(one.operands.size())] = any_value();
      break;
    case 2: one.operands.push_back(choices.next(1) == 0 ? kNoValue : any_value()); break;
    case 3:
      if (!one.operands.empty()) one.operands.pop_back();
      break;
    case 4: {
      const auto all = instructions();
      one.opcode = all[choices.below(all.size())].opcode;
      break;
    }
    case 5: one.reference = static_cast<uint32_t>(choices.number()); break;
    case 6:
      region.instructions.erase(region.instructions.begin() + static_cast<ptrdiff_t>(at));
      break;
    case 7: {
      const Instruction copy = one;
      region.instructions.insert(region.instructions.begin() + static_cast<ptrdiff_t>(at), copy);
      break;
    }
    case 8:
      if (!one.results.empty()) one.results[choices.below(one.results.size())] = any_value();
      break;
    default:
      if (!program.constants.empty()) {
        program.constants[choices.below(program.constants.size())].bytes.resize(choices.below(64));
      }
  }
}

bcai::Result<Tensor> weight(const WeightFile&, const Param& param) {
  return random_tensor(param.type, 1);
}

bool same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!(a[i].type() == b[i].type()) || a[i].bytes().size() != b[i].bytes().size()) return false;
    if (a[i].bytes().empty()) continue;
    if (std::memcmp(a[i].bytes().data(), b[i].bytes().data(), a[i].bytes().size()) != 0) {
      return false;
    }
  }
  return true;
}

void run_both(const BoundProgram& bound) {
  const auto cost = cost_of(bound);
  if (!cost) std::abort();
  if (cost->gas > kGasMax || cost->bytes > kBytesMax || cost->weight_bytes > kBytesMax) return;
  const Function& main = bound.program().functions[0];
  for (const ValueId id : main.body.arguments) {
    if (main.values[id].bytes().value() > kBytesMax) return;
  }
  const auto executable = prepare(bound, weight, {.threads = 1, .compile = {}});
  if (!executable) {
    if (executable.error().message.empty()) std::abort();
    return;
  }
  if ((*executable)->footprint().total() > kBytesMax) return;
  const std::vector<Tensor> inputs = random_inputs(bound.program(), 1);
  const auto expected = reference::run(bound, inputs, weight);
  const auto found = (*executable)->run(inputs);
  if (expected.has_value() != found.has_value()) std::abort();
  if (expected && !same(*expected, *found)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Choices choices(data, size);
  const uint64_t seed = choices.next(2);
  Program program = random_program(seed, {.instructions = 6, .elements_max = 300});
  for (int i = 0; choices.more() && i < 8; ++i) change(program, choices);
  std::vector<ProgramFinding> findings;
  const auto verified = verify(std::move(program), &findings);
  if (verified.has_value() != findings.empty()) std::abort();
  if (!verified) return 0;
  const auto bound = bind(*verified, {}, &findings);
  if (bound) run_both(*bound);
  return 0;
}
