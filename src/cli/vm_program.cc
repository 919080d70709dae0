// SPDX-License-Identifier: Apache-2.0
#include "cli/vm_program.h"

#include <charconv>
#include <iostream>
#include <iterator>

#include "base/file.h"
#include "vm/binary/binary.h"
#include "vm/text/text.h"

namespace bcai::cli {
namespace {

Result<std::string> read_source(const std::string& path) {
  if (path != "-") return read_file(path, static_cast<int64_t>(vm::kTextBytesMax));
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

Error findings_error(const std::string& path, const std::vector<std::string>& lines) {
  return error(ErrorCode::kInvalidArgument, "{}:\n  {}", path == "-" ? "standard input" : path,
               fmt::join(lines, "\n  "));
}

Error findings_error(const std::string& path, const std::vector<vm::ProgramFinding>& findings) {
  std::vector<std::string> lines;
  for (const vm::ProgramFinding& finding : findings) lines.push_back(vm::findings_text({finding}));
  return findings_error(path, lines);
}

// NAME=REST
Result<std::pair<std::string, std::string>> split_word(const std::string& word,
                                                       std::string_view expected) {
  const size_t equals = word.find('=');
  if (equals == 0 || equals == std::string::npos) {
    return error(ErrorCode::kInvalidArgument, "expected {}, found '{}'", expected, word);
  }
  return std::pair(word.substr(0, equals), word.substr(equals + 1));
}

}  // namespace

Result<vm::Program> read_program(const std::string& path) {
  BCAI_TRY_ASSIGN(const std::string source, read_source(path));
  std::vector<std::string> lines;
  if (source.starts_with("BCVM")) {
    std::vector<vm::BinaryFinding> findings;
    std::optional<vm::Program> program = vm::decode(source, &findings);
    if (program) return *std::move(program);
    for (const vm::BinaryFinding& finding : findings) {
      lines.push_back(
          fmt::format("{}: byte {}: {}", finding.rule, finding.offset, finding.message));
    }
  } else {
    std::vector<Finding> findings;
    std::optional<vm::Program> program = vm::parse_text(source, &findings);
    if (program) return *std::move(program);
    for (const Finding& finding : findings) {
      lines.push_back(fmt::format("{}:{}: {}", finding.line, finding.column, finding.message));
    }
  }
  return findings_error(path, lines);
}

Result<vm::VerifiedProgram> read_verified_program(const std::string& path) {
  BCAI_TRY_ASSIGN(vm::Program program, read_program(path));
  std::vector<vm::ProgramFinding> findings;
  std::optional<vm::VerifiedProgram> verified = vm::verify(std::move(program), &findings);
  if (!verified) return findings_error(path, findings);
  return *std::move(verified);
}

Result<vm::Binding> parse_binding(const std::vector<std::string>& words) {
  vm::Binding binding;
  for (const std::string& word : words) {
    BCAI_TRY_ASSIGN(const auto pair, split_word(word, "SYMBOL=NUMBER"));
    int64_t value = 0;
    const char* const end = pair.second.data() + pair.second.size();
    const auto [stop, problem] = std::from_chars(pair.second.data(), end, value);
    if (problem != std::errc() || stop != end) {
      return error(ErrorCode::kInvalidArgument, "symbol {}: expected a number, found '{}'",
                   pair.first, pair.second);
    }
    if (!binding.emplace(pair.first, value).second) {
      return error(ErrorCode::kInvalidArgument, "symbol {} is given twice", pair.first);
    }
  }
  return binding;
}

Result<vm::BoundProgram> bind_program(const vm::VerifiedProgram& program, vm::Binding binding,
                                      bool largest) {
  if (largest) binding.merge(vm::largest_binding(program.program()));
  std::vector<vm::ProgramFinding> findings;
  std::optional<vm::BoundProgram> bound = vm::bind(program, binding, &findings);
  if (bound) return *std::move(bound);
  return error(ErrorCode::kInvalidArgument, "{}", vm::findings_text(findings));
}

Result<std::vector<vm::Tensor>> read_inputs(const vm::Program& program,
                                            const std::vector<std::string>& words) {
  const vm::Function& main = program.functions[0];
  std::map<std::string, vm::Tensor> given;
  for (const std::string& word : words) {
    BCAI_TRY_ASSIGN(const auto pair, split_word(word, "INPUT=FILE.npy"));
    BCAI_TRY_ASSIGN(const std::string file, read_file(pair.second, int64_t{1} << 36));
    Result<vm::Tensor> tensor = vm::parse_npy(file);
    if (!tensor) {
      return error(tensor.error().code, "{}: {}", pair.second, tensor.error().message);
    }
    if (!given.emplace(pair.first, *std::move(tensor)).second) {
      return error(ErrorCode::kInvalidArgument, "input '{}' is given twice", pair.first);
    }
  }
  std::vector<vm::Tensor> inputs;
  for (const std::string& name : main.argument_names) {
    const auto found = given.find(name);
    if (found == given.end()) {
      return error(ErrorCode::kInvalidArgument, "input '{}' is missing: --input {}=FILE.npy", name,
                   name);
    }
    inputs.push_back(std::move(found->second));
    given.erase(found);
  }
  if (!given.empty()) {
    return error(ErrorCode::kInvalidArgument, "the program has no input '{}', only {}",
                 given.begin()->first, fmt::join(main.argument_names, ", "));
  }
  return inputs;
}

Result<ProgramWeights> ProgramWeights::open(const vm::Program& program,
                                            const std::vector<std::string>& given,
                                            const std::filesystem::path& directory) {
  ProgramWeights weights;
  if (program.files.empty() && given.empty()) return weights;
  BCAI_TRY_ASSIGN(const std::unique_ptr<vm::WeightStore> store,
                  vm::WeightStore::open(directory / "weights"));
  std::vector<std::shared_ptr<const vm::Weights>> held;
  for (const std::string& path : given) {
    Result<std::shared_ptr<const vm::Weights>> added = store->add(path);
    if (!added) return std::move(added).error();
    held.push_back(*std::move(added));
  }
  for (const vm::WeightFile& file : program.files) {
    Result<std::shared_ptr<const vm::Weights>> loaded = store->load(file.sha256);
    if (!loaded && loaded.error().code == ErrorCode::kNotFound) {
      return error(ErrorCode::kNotFound, "weight file '{}' (sha256 {}) is missing: --weights FILE",
                   file.name, file.sha256.text());
    }
    if (!loaded) return std::move(loaded).error();
    weights.files_[file.sha256] = *std::move(loaded);
  }
  for (const vm::Param& param : program.params) {
    const vm::WeightFile& file = program.files[param.file];
    const vm::TensorView* found = weights.files_[file.sha256]->find(param.name);
    if (found == nullptr || !(found->type == param.type)) {
      return error(ErrorCode::kInvalidArgument, "V27: weight file '{}' has {} as '{}', expected {}",
                   file.name, found == nullptr ? "nothing" : vm::to_text(found->type, {}),
                   param.name, vm::to_text(param.type, {}));
    }
  }
  return weights;
}

vm::Tensor ProgramWeights::tensor(const vm::WeightFile& file, const vm::Param& param) const {
  const std::shared_ptr<const vm::Weights>& weights = files_.at(file.sha256);
  const vm::TensorView* view = weights->find(param.name);
  // Tensors of a program are never written to; the interpreter copies what it changes.
  auto* bytes = reinterpret_cast<std::byte*>(const_cast<char*>(view->bytes.data()));
  return vm::Tensor::borrow(param.type.dtype, vm::dims_of(param.type.shape), bytes, weights);
}

void ProgramWeights::drop_pages() const {
  for (const auto& [sha256, weights] : files_) weights->drop_pages();
}

}  // namespace bcai::cli
