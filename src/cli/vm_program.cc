// SPDX-License-Identifier: Apache-2.0
#include "cli/vm_program.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iostream>
#include <iterator>

#include "base/ascii.h"
#include "base/file.h"
#include "vm/text/number.h"
#include "vm/text/text.h"

namespace bcai::cli {
namespace {

Result<std::string> read_source(const std::string& path) {
  if (path != "-") return read_file(path, static_cast<int64_t>(vm::kTextBytesMax));
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

// With the file's name above the findings.
Error in_file(const std::string& path, const Error& error) {
  std::string lines;
  for (const char c : error.message) lines += c == '\n' ? "\n  " : std::string(1, c);
  return bcai::error(error.code, "{}:\n  {}", path == "-" ? "standard input" : path, lines);
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

using Tensors = std::map<std::string, vm::Tensor, std::less<>>;

Result<vm::Tensor> read_npy(const std::string& path) {
  BCAI_TRY_ASSIGN(const std::string file, read_file(path, int64_t{1} << 36));
  Result<vm::Tensor> tensor = vm::parse_npy(file);
  return tensor ? std::move(tensor)
                : error(tensor.error().code, "{}: {}", path, tensor.error().message);
}

// One number is a scalar, several are a vector. Absent when one does not fit the dtype.
std::optional<vm::Tensor> parse_numbers(vm::DType dtype, std::string_view text) {
  std::string bytes;
  int64_t count = 0;
  for (size_t begin = 0; begin <= text.size(); ++count) {
    const size_t end = std::min(text.find(',', begin), text.size());
    std::string_view number = text.substr(begin, end - begin);
    const bool negative = number.starts_with('-');
    if (negative) number.remove_prefix(1);
    if (!vm::append_element(dtype, negative, number, &bytes)) return std::nullopt;
    begin = end + 1;
  }
  vm::Tensor tensor(dtype, count == 1 ? std::vector<int64_t>{} : std::vector<int64_t>{count});
  std::memcpy(tensor.bytes().data(), bytes.data(), bytes.size());
  return tensor;
}

Result<void> give(const std::string& name, vm::Tensor tensor, Tensors* given) {
  if (given->emplace(name, std::move(tensor)).second) return {};
  return error(ErrorCode::kInvalidArgument, "input '{}' is given twice", name);
}

Error no_such_input(const vm::Function& main, std::string_view name) {
  return error(ErrorCode::kInvalidArgument, "the program has no input '{}', only {}", name,
               fmt::join(main.argument_names, ", "));
}

}  // namespace

Result<vm::Program> read_program(const std::string& path) {
  BCAI_TRY_ASSIGN(const std::string source, read_source(path));
  Result<vm::Program> program = vm::parse_program(source);
  return program ? std::move(program) : in_file(path, program.error());
}

Result<vm::VerifiedProgram> read_verified_program(const std::string& path) {
  BCAI_TRY_ASSIGN(const std::string source, read_source(path));
  Result<vm::VerifiedProgram> program = vm::parse_verified_program(source);
  return program ? std::move(program) : in_file(path, program.error());
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
                                            const std::vector<std::string>& files,
                                            const std::vector<std::string>& values) {
  const vm::Function& main = program.functions[0];
  Tensors given;
  for (const std::string& word : files) {
    BCAI_TRY_ASSIGN(const auto pair, split_word(word, "INPUT=FILE.npy"));
    BCAI_TRY_ASSIGN(vm::Tensor tensor, read_npy(pair.second));
    BCAI_TRY(give(pair.first, std::move(tensor), &given));
  }
  for (const std::string& word : values) {
    BCAI_TRY_ASSIGN(const auto pair, split_word(word, "INPUT=NUMBER,…"));
    const auto name = std::find(main.argument_names.begin(), main.argument_names.end(), pair.first);
    if (name == main.argument_names.end()) return no_such_input(main, pair.first);
    const size_t index = static_cast<size_t>(name - main.argument_names.begin());
    const vm::Type& type = main.values[main.body.arguments[index]];
    std::optional<vm::Tensor> tensor = parse_numbers(type.dtype, pair.second);
    if (!tensor) {
      return error(ErrorCode::kInvalidArgument, "input '{}': expected numbers of {}, found '{}'",
                   pair.first, vm::dtype_name(type.dtype), pair.second);
    }
    if (type.shape.rank() == 1) tensor = tensor->reshaped({tensor->elements()});
    BCAI_TRY(give(pair.first, *std::move(tensor), &given));
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
  if (!given.empty()) return no_such_input(main, given.begin()->first);
  return inputs;
}

Result<Tensors> read_values(const std::vector<std::string>& words) {
  Tensors values;
  for (const std::string& word : words) {
    BCAI_TRY_ASSIGN(const auto pair, split_word(word, "INPUT=NUMBER,… or INPUT=FILE.npy"));
    if (pair.second.ends_with(".npy")) {
      BCAI_TRY_ASSIGN(vm::Tensor tensor, read_npy(pair.second));
      BCAI_TRY(give(pair.first, std::move(tensor), &values));
      continue;
    }
    std::optional<vm::Tensor> tensor = parse_numbers(vm::DType::kI64, pair.second);
    if (!tensor) tensor = parse_numbers(vm::DType::kF32, pair.second);
    if (!tensor) {
      return error(ErrorCode::kInvalidArgument, "input '{}': expected numbers, found '{}'",
                   pair.first, pair.second);
    }
    BCAI_TRY(give(pair.first, *std::move(tensor), &values));
  }
  return values;
}

std::string npy_file_name(std::string_view name) {
  std::string file;
  for (const char c : name) {
    const bool plain = is_alphanumeric(c) || c == '_' || c == '-';
    file += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<uint8_t>(c));
  }
  return file + ".npy";
}

Result<vm::Model> open_model(vm::VerifiedProgram program, const std::vector<std::string>& given,
                             const std::filesystem::path& directory) {
  if (program.program().files.empty() && given.empty()) {
    return vm::Model::of_tensors(program.program(), {});
  }
  BCAI_TRY_ASSIGN(const std::unique_ptr<vm::WeightStore> store,
                  vm::WeightStore::open(directory / "weights"));
  const std::vector<std::filesystem::path> paths(given.begin(), given.end());
  Result<vm::Model> model = vm::Model::of_files(std::move(program), paths, *store);
  if (!model && model.error().code == ErrorCode::kNotFound) {
    return error(ErrorCode::kNotFound, "{}: --weights FILE", model.error().message);
  }
  return model;
}

}  // namespace bcai::cli
