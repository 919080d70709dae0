// SPDX-License-Identifier: Apache-2.0
#include "coordinator/programs/quote.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/clip.h"
#include "vm/binary/binary.h"
#include "vm/tensor/tensor.h"
#include "vm/verify/cost.h"
#include "vm/weights/safetensors.h"

namespace bcai::coordinator {
namespace {

// The running program and its libraries.
constexpr int64_t kProgramMemoryBytes = 48'000'000;
constexpr int64_t kFileBytesMax = int64_t{1} << 40;
constexpr size_t kFindingsMax = 50;
// Of a program that the network runs.
constexpr int64_t kResultBytesMax = 1'000'000'000;  // together; as many as a node carries
constexpr size_t kInputsMax = 256;                  // as many as a job names
constexpr size_t kResultsMax = 1000;                // as many as a node reports
constexpr size_t kWeightFilesMax = 256;

class Quoter {
 public:
  Quoter(const JobSpec& spec, const FindFile& find_file, std::vector<Finding>* findings)
      : spec_(spec), find_file_(find_file), findings_(findings) {}

  std::optional<Quote> run() {
    const size_t before = findings_->size();
    const std::optional<vm::VerifiedProgram> verified = read_program();
    if (!verified) return std::nullopt;
    const vm::Program& program = verified->program();
    if (!check_counts(program)) return std::nullopt;
    check_weights(program);
    const std::optional<std::vector<std::vector<int64_t>>> shapes = read_shapes(program);
    if (!shapes) return std::nullopt;
    std::vector<vm::ProgramFinding> found;
    const std::optional<vm::Binding> binding = vm::binding_of_shapes(program, *shapes, &found);
    std::optional<vm::BoundProgram> bound;
    if (binding) bound = vm::bind(*verified, *binding, &found);
    if (!bound) {
      add("/inputs", found);
      return std::nullopt;
    }
    Quote quote{.program = vm::program_identity(program), .symbols = *binding};
    const std::optional<vm::Cost> cost = vm::cost_of(*bound);
    BCAI_ASSERT(cost);
    quote.gas = cost->gas;
    quote.flops = cost->flops;
    quote.bytes = cost->bytes;
    quote.instructions = cost->instructions;
    quote.weight_bytes = cost->weight_bytes;
    quote.memory_bytes = memory_of(bound->program());
    check_room(bound->program().functions[0]);
    if (quote.memory_bytes > spec_.hardware.memory_bytes) {
      add("/hardware/memory", fmt::format("is {} bytes, but the program needs at least {}",
                                          spec_.hardware.memory_bytes, quote.memory_bytes));
    }
    if (findings_->size() != before) return std::nullopt;
    return quote;
  }

 private:
  void add(std::string pointer, std::string message) {
    if (findings_->size() >= kFindingsMax) return;
    findings_->push_back({.pointer = std::move(pointer), .message = std::move(message)});
  }
  void add(const std::string& pointer, const std::vector<vm::ProgramFinding>& found) {
    for (const vm::ProgramFinding& finding : found) add(pointer, vm::findings_text({finding}));
  }

  // Before any work that grows with them.
  bool check_counts(const vm::Program& program) {
    const vm::Function& main = program.functions[0];
    const std::tuple<std::string_view, size_t, size_t> counts[] = {
        {"inputs", main.argument_names.size(), kInputsMax},
        {"results", main.result_names.size(), kResultsMax},
        {"weight files", program.files.size(), kWeightFilesMax},
    };
    bool good = true;
    for (const auto& [what, found, most] : counts) {
      if (found <= most) continue;
      add("/program", fmt::format("has {} {}, expected at most {}", found, what, most));
      good = false;
    }
    for (const std::string& name : main.argument_names) {
      if (name.find('=') == std::string::npos) continue;
      add("/program", fmt::format("input '{}' cannot be given: its name has a '='", name));
      good = false;
    }
    return good;
  }

  const InputFile* file_at(std::string_view path) const {
    for (const InputFile& file : spec_.files) {
      if (file.path == path) return &file;
    }
    return nullptr;
  }

  std::optional<vm::VerifiedProgram> read_program() {
    const InputFile* const file = file_at(spec_.program);
    BCAI_ASSERT(file != nullptr);  // protocol/job.h checked it
    const Result<MappedFile> mapped =
        MappedFile::open(find_file_(file->sha256), static_cast<int64_t>(vm::kProgramBytesMax));
    if (!mapped) {
      add("/program", mapped.error().message);
      return std::nullopt;
    }
    std::vector<vm::BinaryFinding> wrong;
    std::optional<vm::Program> program = vm::decode(mapped->bytes(), &wrong);
    for (const vm::BinaryFinding& one : wrong) {
      add("/program", fmt::format("{}: byte {}: {}", one.rule, one.offset, one.message));
    }
    if (!program) return std::nullopt;
    std::vector<vm::ProgramFinding> found;
    std::optional<vm::VerifiedProgram> verified = vm::verify(*std::move(program), &found);
    add("/program", found);
    return verified;
  }

  std::optional<std::vector<std::vector<int64_t>>> read_shapes(const vm::Program& program) {
    const size_t before = findings_->size();
    const vm::Function& main = program.functions[0];
    std::vector<std::vector<int64_t>> shapes;
    for (size_t i = 0; i < main.argument_names.size(); ++i) {
      const std::string& name = main.argument_names[i];
      const auto given = spec_.inputs.find(name);
      if (given == spec_.inputs.end()) {
        add("/inputs", fmt::format("input '{}' is missing", name));
        continue;
      }
      const vm::Type& type = main.values[main.body.arguments[i]];
      const std::optional<vm::NpyHeader> header = read_header(name, given->second);
      if (!header) continue;
      if (header->dtype != type.dtype) {
        add("/inputs/" + name, fmt::format("is {}, expected {}", vm::dtype_name(header->dtype),
                                           vm::dtype_name(type.dtype)));
      }
      input_bytes_ += header->element_bytes;
      shapes.push_back(header->dims);
    }
    for (const auto& [name, path] : spec_.inputs) {
      const auto& names = main.argument_names;
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      add("/inputs/" + name,
          fmt::format(
              "the program has no input '{}', only {}", name,
              names.empty() ? "none" : clip_utf8(fmt::format("{}", fmt::join(names, ", ")), 400)));
    }
    if (findings_->size() != before) return std::nullopt;
    return shapes;
  }

  std::optional<vm::NpyHeader> read_header(const std::string& name, const std::string& path) {
    const InputFile* const file = file_at(path);
    BCAI_ASSERT(file != nullptr);
    const Result<MappedFile> mapped = MappedFile::open(find_file_(file->sha256), kFileBytesMax);
    const auto header = [&]() -> Result<vm::NpyHeader> {
      if (!mapped) return mapped.error();
      return vm::parse_npy_header(mapped->bytes().substr(0, vm::kNpyHeaderBytesMax));
    }();
    if (!header) {
      add("/inputs/" + name, header.error().message);
      return std::nullopt;
    }
    const int64_t found = file->bytes - header->header_bytes;
    if (found != header->element_bytes) {
      add("/inputs/" + name,
          fmt::format("has {} bytes of elements, expected {}", found, header->element_bytes));
      return std::nullopt;
    }
    return *header;
  }

  // What `bcai vm run` finds in the store of weights: neither the program nor an input.
  bool is_weight_file(const InputFile& file) const {
    return file.path != spec_.program &&
           std::none_of(spec_.inputs.begin(), spec_.inputs.end(),
                        [&](const auto& input) { return input.second == file.path; });
  }

  // Rule V27: a program's weights are there, and what it says they are.
  void check_weights(const vm::Program& program) {
    std::set<Sha256> given;
    for (const InputFile& file : spec_.files) {
      if (is_weight_file(file)) given.insert(file.sha256);
    }
    std::map<Sha256, std::vector<const vm::Param*>> params;  // of files that are given
    for (const vm::WeightFile& wanted : program.files) {
      if (given.count(wanted.sha256) > 0) {
        params[wanted.sha256];
        continue;
      }
      add("/files", fmt::format("weight file '{}' (sha256 {}) is none of the job's files that are "
                                "neither its program nor an input",
                                wanted.name, wanted.sha256.text()));
    }
    for (const vm::Param& param : program.params) {
      const auto found = params.find(program.files[param.file].sha256);
      if (found != params.end()) found->second.push_back(&param);
    }
    for (const auto& [sha256, wanted] : params) check_weight_file(program, sha256, wanted);
  }

  void check_weight_file(const vm::Program& program, const Sha256& sha256,
                         const std::vector<const vm::Param*>& params) {
    const Result<MappedFile> mapped = MappedFile::open(find_file_(sha256), kFileBytesMax);
    if (!mapped) return add("/files", mapped.error().message);
    std::vector<Finding> found;
    const std::optional<vm::Safetensors> content = vm::read_safetensors(mapped->bytes(), &found);
    if (!content) {
      return add("/files", fmt::format("weight file {}: {}", sha256.text(), findings_text(found)));
    }
    for (const vm::Param* param : params) {
      const vm::TensorView* const tensor = vm::find_tensor(*content, param->name);
      if (tensor != nullptr && tensor->type == param->type) continue;
      add("/files", fmt::format("V27: weight file '{}' has {} as '{}', expected {}",
                                program.files[param->file].name,
                                tensor == nullptr ? "nothing" : to_text(tensor->type, {}),
                                param->name, to_text(param->type, {})));
    }
  }

  // A node carries so much back, from a disk that holds the job's files too.
  void check_room(const vm::Function& main) {
    constexpr int64_t kHeaderBytes = 100'000;  // of the results' file, and the receipt
    int64_t results = kHeaderBytes;
    for (const vm::Type& type : main.result_types) {
      results = std::min(results + std::min(type.bytes().value(), kFileBytesMax), kFileBytesMax);
    }
    if (results > kResultBytesMax) {
      add("/program",
          fmt::format("its results have {} bytes, expected at most {}", results, kResultBytesMax));
    }
    int64_t files = 0;
    for (const InputFile& file : spec_.files) files += file.bytes;
    if (files + results > spec_.hardware.disk_bytes) {
      add("/hardware/disk", fmt::format("is {} bytes, but files and results have {}",
                                        spec_.hardware.disk_bytes, files + results));
    }
  }

  int64_t memory_of(const vm::Program& bound) const {
    const vm::Function& main = bound.functions[0];
    const auto bytes_of = [&](vm::ValueId value) {
      return value == vm::kNoValue ? 0 : main.values[value].bytes().value();
    };
    int64_t files = 0;
    for (const InputFile& file : spec_.files) files += file.bytes;
    int64_t all = 0;
    int64_t largest = 0;
    for (const vm::Instruction& instruction : main.body.instructions) {
      int64_t results = 0;
      for (const vm::ValueId value : instruction.results) results += bytes_of(value);
      all += results;
      largest = std::max(largest, results);
    }
    int64_t outputs = 0;
    for (const vm::Type& type : main.result_types) outputs += type.bytes().value();
    return kProgramMemoryBytes + files + input_bytes_ + 2 * outputs +
           (spec_.replicas > 1 ? all : largest);
  }

  const JobSpec& spec_;
  const FindFile& find_file_;
  std::vector<Finding>* findings_;
  int64_t input_bytes_ = 0;
};

}  // namespace

json::object encode(const Quote& quote) {
  json::object symbols;
  for (const auto& [name, value] : quote.symbols) symbols[name] = value;
  return {{"program", quote.program.text()},
          {"symbols", std::move(symbols)},
          {"gas", quote.gas},
          {"flops", quote.flops},
          {"bytes", quote.bytes},
          {"instructions", quote.instructions},
          {"weight_bytes", quote.weight_bytes},
          {"memory_bytes", quote.memory_bytes}};
}

Quote decode_quote(const json::value& value) {
  const json::object& object = value.as_object();
  Quote quote;
  const Result<Sha256> program = Sha256::parse(to_std(object.at("program").as_string()));
  BCAI_ASSERT(program);
  quote.program = *program;
  for (const auto& [name, number] : object.at("symbols").as_object()) {
    quote.symbols.emplace(std::string(to_std(name)), number.to_number<int64_t>());
  }
  const auto number = [&](const char* key) { return object.at(key).to_number<uint64_t>(); };
  quote.gas = number("gas");
  quote.flops = number("flops");
  quote.bytes = number("bytes");
  quote.instructions = number("instructions");
  quote.weight_bytes = number("weight_bytes");
  quote.memory_bytes = object.at("memory_bytes").to_number<int64_t>();
  return quote;
}

std::optional<Quote> quote_program(const JobSpec& spec, const FindFile& find_file,
                                   std::vector<Finding>* findings) {
  return Quoter(spec, find_file, findings).run();
}

}  // namespace bcai::coordinator
