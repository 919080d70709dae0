// SPDX-License-Identifier: Apache-2.0
#include "vm/receipt/receipt.h"

#include <algorithm>

#include "vm/receipt/tensor_root.h"

namespace bcai::vm {
namespace {

constexpr std::string_view kFormat = "bcai-receipt/1";

class Hasher {
 public:
  void number(uint64_t value) {
    std::string bytes;
    for (unsigned shift = 0; shift < 64; shift += 8) {
      bytes += static_cast<char>(value >> shift & 0xffU);
    }
    stream_.update(bytes);
  }
  void text(std::string_view value) {
    number(value.size());
    stream_.update(value);
  }
  void digest(const Sha256& value) {
    stream_.update({reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size()});
  }
  void digests(const std::vector<Sha256>& values) {
    number(values.size());
    for (const Sha256& value : values) digest(value);
  }
  Sha256 finish() { return stream_.finish(); }

 private:
  Sha256Stream stream_;
};

json::array digest_array(const std::vector<Sha256>& digests) {
  json::array array;
  for (const Sha256& digest : digests) array.emplace_back(digest.text());
  return array;
}
json::array root_array(const std::vector<ValueRoot>& roots) {
  json::array array;
  for (const ValueRoot& each : roots) {
    array.push_back({{"value", static_cast<int64_t>(each.value)}, {"root", each.root.text()}});
  }
  return array;
}

// Reads the parts of a receipt; each mistake is a finding with its pointer.
class ReceiptReader {
 public:
  explicit ReceiptReader(std::vector<Finding>* findings) : findings_(findings) {}

  Sha256 digest(const json::value* value, const std::string& pointer) {
    const json::string* text = value == nullptr ? nullptr : value->if_string();
    if (text != nullptr) {
      if (const Result<Sha256> parsed = Sha256::parse(to_std(*text)); parsed) return *parsed;
    }
    findings_->push_back({.pointer = pointer, .message = "expected 64 hexadecimal digits"});
    return {};
  }
  std::vector<Sha256> digests(const json::value* value, const std::string& pointer) {
    std::vector<Sha256> list;
    for_each(value, pointer, [&](const json::value& item, const std::string& at) {
      list.push_back(digest(&item, at));
    });
    return list;
  }
  std::vector<ValueRoot> roots(const json::value* value, const std::string& pointer) {
    std::vector<ValueRoot> list;
    for_each(value, pointer, [&](const json::value& item, const std::string& at) {
      Decoder in(item, at, findings_);
      int64_t id = 0;
      in.read("value", id, {.min = 0, .max = UINT32_MAX - 1});
      list.push_back({static_cast<ValueId>(id), digest(in.take("root"), at + "/root")});
      in.refuse_unknown();
    });
    return list;
  }
  Binding symbols(const json::value* value, const std::string& pointer) {
    Binding binding;
    const json::object* object = value == nullptr ? nullptr : value->if_object();
    if (object == nullptr) {
      findings_->push_back({.pointer = pointer, .message = "expected an object"});
      return binding;
    }
    for (const auto& [name, number] : *object) {
      const int64_t* found = number.if_int64();
      if (found == nullptr) {
        findings_->push_back({.pointer = pointer, .message = "expected whole numbers"});
      } else {
        binding.emplace(std::string(to_std(name)), *found);
      }
    }
    return binding;
  }

 private:
  template <typename Body>
  void for_each(const json::value* value, const std::string& pointer, Body body) {
    const json::array* array = value == nullptr ? nullptr : value->if_array();
    if (array == nullptr) {
      findings_->push_back({.pointer = pointer, .message = "expected a list"});
      return;
    }
    for (size_t i = 0; i < array->size(); ++i) {
      body((*array)[i], fmt::format("{}/{}", pointer, i));
    }
  }

  std::vector<Finding>* findings_;
};

const Instruction* find_maker(const Program& program, ValueId value, size_t* number) {
  const std::vector<Instruction>& instructions = program.functions[0].body.instructions;
  for (*number = 0; *number < instructions.size(); ++*number) {
    const std::vector<ValueId>& results = instructions[*number].results;
    if (std::find(results.begin(), results.end(), value) != results.end()) {
      return &instructions[*number];
    }
  }
  return nullptr;
}

// The first value that both list with different roots.
std::optional<ValueId> first_difference(const std::vector<ValueRoot>& a,
                                        const std::vector<ValueRoot>& b) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (!(a[i] == b[i])) return a[i].value;
  }
  return std::nullopt;
}

}  // namespace

Sha256 Receipt::commitment() const {
  Hasher hasher;
  hasher.text(kFormat);
  hasher.digest(program);
  hasher.text(profile);
  hasher.number(symbols.size());
  for (const auto& [name, value] : symbols) {
    hasher.text(name);
    hasher.number(static_cast<uint64_t>(value));
  }
  hasher.digests(weights);
  hasher.digests(inputs);
  hasher.number(checkpoints.size());
  for (const ValueRoot& checkpoint : checkpoints) {
    hasher.number(checkpoint.value);
    hasher.digest(checkpoint.root);
  }
  hasher.digests(results);
  return hasher.finish();
}

json::value encode_receipt(const Receipt& receipt) {
  json::object symbols;
  for (const auto& [name, value] : receipt.symbols) symbols[name] = value;
  json::object object = {{"format", to_json(kFormat)},
                         {"program", receipt.program.text()},
                         {"profile", receipt.profile},
                         {"symbols", std::move(symbols)},
                         {"weights", digest_array(receipt.weights)},
                         {"inputs", digest_array(receipt.inputs)},
                         {"checkpoints", root_array(receipt.checkpoints)},
                         {"results", digest_array(receipt.results)},
                         {"commitment", receipt.commitment().text()}};
  if (!receipt.trace.empty()) object["trace"] = root_array(receipt.trace);
  return object;
}

std::optional<Receipt> decode_receipt(const json::value& value, std::vector<Finding>* findings) {
  const size_t before = findings->size();
  Decoder in(value, "", findings);
  ReceiptReader reader(findings);
  Receipt receipt;
  std::string format;
  in.read("format", format);
  if (format != kFormat) in.add("format", fmt::format("is '{}', expected '{}'", format, kFormat));
  in.read("profile", receipt.profile);
  if (receipt.profile != "n1") {
    in.add("profile", fmt::format("is '{}', expected 'n1'", receipt.profile));
  }
  receipt.program = reader.digest(in.take("program"), "/program");
  receipt.symbols = reader.symbols(in.take("symbols"), "/symbols");
  receipt.weights = reader.digests(in.take("weights"), "/weights");
  receipt.inputs = reader.digests(in.take("inputs"), "/inputs");
  receipt.checkpoints = reader.roots(in.take("checkpoints"), "/checkpoints");
  receipt.results = reader.digests(in.take("results"), "/results");
  if (const json::value* trace = in.take("trace")) receipt.trace = reader.roots(trace, "/trace");
  const Sha256 commitment = reader.digest(in.take("commitment"), "/commitment");
  in.refuse_unknown();
  if (findings->size() == before && commitment != receipt.commitment()) {
    in.add("commitment", "is not that of the rest");
  }
  if (findings->size() != before) return std::nullopt;
  return receipt;
}

ReceiptRecorder::ReceiptRecorder(const VerifiedProgram& program, Sha256 identity, Binding symbols,
                                 bool with_trace)
    : program_(program), with_trace_(with_trace) {
  receipt_.program = identity;
  receipt_.symbols = std::move(symbols);
  for (const WeightFile& file : program.program().files) receipt_.weights.push_back(file.sha256);
}

void ReceiptRecorder::observe(ValueId value, const Tensor& tensor) {
  const std::vector<ValueId>& declared = program_.program().checkpoints;
  const bool checkpoint = std::binary_search(declared.begin(), declared.end(), value);
  if (!checkpoint && !with_trace_) return;
  const ValueRoot root{value, tensor_root(tensor)};
  if (checkpoint) receipt_.checkpoints.push_back(root);
  if (with_trace_) receipt_.trace.push_back(root);
}

Receipt ReceiptRecorder::finish(std::span<const Tensor> inputs, std::span<const Tensor> results) {
  // A checkpoint may also be an argument, which no instruction makes.
  const std::vector<ValueId>& declared = program_.program().checkpoints;
  const std::vector<ValueId>& arguments = program_.program().functions[0].body.arguments;
  for (size_t i = 0; i < inputs.size(); ++i) {
    receipt_.inputs.push_back(tensor_root(inputs[i]));
    if (std::binary_search(declared.begin(), declared.end(), arguments[i])) {
      receipt_.checkpoints.push_back({arguments[i], receipt_.inputs.back()});
    }
  }
  std::sort(receipt_.checkpoints.begin(), receipt_.checkpoints.end(),
            [](const ValueRoot& a, const ValueRoot& b) { return a.value < b.value; });
  for (const Tensor& result : results) receipt_.results.push_back(tensor_root(result));
  return std::move(receipt_);
}

std::vector<ValueId> trace_values(const Program& program) {
  std::vector<ValueId> values;
  for (const Instruction& instruction : program.functions[0].body.instructions) {
    values.insert(values.end(), instruction.results.begin(), instruction.results.end());
  }
  return values;
}

Program traced_program(const Program& program) {
  Program traced = program;
  std::vector<ValueId>& checkpoints = traced.checkpoints;
  const std::vector<ValueId> values = trace_values(program);
  checkpoints.insert(checkpoints.end(), values.begin(), values.end());
  std::sort(checkpoints.begin(), checkpoints.end());
  checkpoints.erase(std::unique(checkpoints.begin(), checkpoints.end()), checkpoints.end());
  return traced;
}

std::optional<Difference> compare_receipts(const Program& program, const Receipt& claimed,
                                           const Receipt& found) {
  const Function& main = program.functions[0];
  if (claimed.program != found.program) return Difference{"program", std::nullopt};
  if (claimed.profile != found.profile) return Difference{"profile", std::nullopt};
  if (claimed.symbols != found.symbols) return Difference{"symbols", std::nullopt};
  if (claimed.weights != found.weights) return Difference{"weights", std::nullopt};
  if (claimed.inputs.size() != found.inputs.size() ||
      claimed.checkpoints.size() != found.checkpoints.size() ||
      claimed.results.size() != found.results.size()) {
    return Difference{"the number of inputs, checkpoints or results", std::nullopt};
  }
  for (size_t i = 0; i < found.inputs.size(); ++i) {
    if (claimed.inputs[i] != found.inputs[i]) {
      return Difference{fmt::format("input '{}'", main.argument_names[i]), std::nullopt};
    }
  }
  const std::optional<ValueId> instruction = first_difference(claimed.trace, found.trace);
  const std::optional<ValueId> checkpoint =
      first_difference(claimed.checkpoints, found.checkpoints);
  if (checkpoint) {
    return Difference{fmt::format("checkpoint %{}", *checkpoint),
                      instruction ? instruction : checkpoint};
  }
  for (size_t i = 0; i < found.results.size(); ++i) {
    if (claimed.results[i] == found.results[i]) continue;
    const ValueId made = main.body.instructions.back().operands[i];
    return Difference{fmt::format("result '{}'", main.result_names[i]),
                      instruction ? instruction : std::optional(made)};
  }
  if (instruction) return Difference{"the trace", instruction};
  return std::nullopt;
}

std::string maker_of(const Program& program, ValueId value) {
  size_t number = 0;
  const Instruction* maker = find_maker(program, value, &number);
  if (maker == nullptr) return fmt::format("value %{}", value);
  const std::string place =
      maker->place.line == 0 ? "" : fmt::format(", {}:{}", maker->place.line, maker->place.column);
  return fmt::format("main, instruction {} ({}){}", number, info_of(maker->opcode).name, place);
}

}  // namespace bcai::vm
