// SPDX-License-Identifier: Apache-2.0
#include "cli/outputs.h"

#include <algorithm>
#include <cstring>

#include "base/ascii.h"
#include "base/file.h"
#include "base/units.h"
#include "cli/table.h"
#include "cli/vm_program.h"
#include "protocol/result.h"
#include "vm/tensor/tensor.h"
#include "vm/weights/safetensors.h"

namespace bcai::cli {
namespace {

bool stays_below(std::string_view name) {
  if (name.empty() || name.size() > 1024 || name.front() == '/') return false;
  size_t start = 0;
  while (start <= name.size()) {
    const size_t end = std::min(name.find('/', start), name.size());
    const std::string_view part = name.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") return false;
    start = end + 1;
  }
  return name.find('\0') == std::string_view::npos;
}

std::string shape_text(const json::value& tensor) {
  const json::array* shape = array_of(tensor, "shape");
  return shape == nullptr ? "[]" : display_text(*shape);
}

// Results of native programs have a digest.
bool is_native_result(const json::value& tensor) { return !text_of(tensor, "sha256").empty(); }

// "f32[2,3]"
std::string type_text(const json::value& tensor) {
  std::string out = lower(text_of(tensor, "dtype"));
  out += '[';
  if (const json::array* shape = array_of(tensor, "shape")) {
    for (size_t i = 0; i < shape->size(); ++i) {
      out += (i == 0 ? "" : ",") + display_text((*shape)[i]);
    }
  }
  return out + ']';
}

bool numpy_has(const json::value& tensor) { return text_of(tensor, "dtype") != "BF16"; }

}  // namespace

std::string results_table(const Screen& screen, const json::value& results,
                          const std::filesystem::path& directory) {
  Table table({"RESULT", "TYPE", "SHA256", "FILE"});
  bool any = false;
  const json::array* tensors = array_of(results, "tensors");
  if (tensors == nullptr) return "";
  for (const json::value& tensor : *tensors) {
    if (!is_native_result(tensor)) continue;
    any = true;
    const std::string name = printable(text_of(tensor, "name"));
    const std::string file = directory.empty() ? ""
                             : numpy_has(tensor)
                                 ? (directory / npy_file_name(text_of(tensor, "name"))).string()
                                 : (directory / kTensorsArtifact).string();
    table.add({{name}, {type_text(tensor)}, {text_of(tensor, "sha256").substr(0, 16)}, {file}});
  }
  return any ? table.text(screen) : "";
}

Result<void> write_npy_files(const json::value& results, const std::filesystem::path& directory) {
  const json::array* tensors = array_of(results, "tensors");
  if (tensors == nullptr || tensors->empty() || !is_native_result(tensors->front())) return {};
  BCAI_TRY_ASSIGN(const std::string file, read_file(directory / kTensorsArtifact, INT64_MAX));
  std::vector<Finding> findings;
  const std::optional<vm::Safetensors> content = vm::read_safetensors(file, &findings);
  if (!content) {
    return error(ErrorCode::kDataLoss, "{}: {}", kTensorsArtifact, findings_text(findings));
  }
  for (const vm::TensorView& view : content->tensors) {
    if (view.type.dtype == vm::DType::kBF16) continue;
    vm::Tensor tensor = vm::Tensor::of_type(view.type);
    if (!view.bytes.empty()) {
      std::memcpy(tensor.bytes().data(), view.bytes.data(), view.bytes.size());
    }
    BCAI_TRY_ASSIGN(const std::string npy, vm::format_npy(tensor));
    BCAI_TRY(write_file(directory / npy_file_name(view.name), npy));
  }
  return {};
}

void print_verification(const Screen& screen, const json::value& record) {
  const json::value* verification = member_of(record, "verification");
  if (verification == nullptr || !verification->is_object()) return;
  Table table({"REPLICA", "NODE", "COMMITMENT", "RE-RUN", "DIFFERS FROM"});
  const json::array* answers = array_of(*verification, "answers");
  for (size_t i = 0; answers != nullptr && i < answers->size(); ++i) {
    const json::value& answer = (*answers)[i];
    const json::value* agrees = member_of(answer, "agrees");
    const bool known = agrees != nullptr && agrees->is_bool();
    const std::string instruction = text_of(answer, "instruction");
    table.add({{fmt::format("{}", i)},
               {printable(text_of(answer, "node_name"))},
               {text_of(answer, "commitment").substr(0, 16)},
               {!known               ? "-"
                : agrees->get_bool() ? "agrees"
                                     : "differs",
                !known               ? Style::kPlain
                : agrees->get_bool() ? Style::kGreen
                                     : Style::kRed},
               {printable(instruction.empty() ? text_of(answer, "differs") : instruction)}});
  }
  screen.out("\n{}", table.text(screen));
}

void print_outputs(const Screen& screen, const json::value& results) {
  const json::value* outputs = member_of(results, "outputs");
  if (outputs != nullptr && outputs->is_object()) {
    for (const auto& [name, value] : outputs->get_object()) {
      screen.out("{} = {}\n", printable(to_std(name)), printable(display_text(value)));
    }
  }
  if (const json::array* tensors = array_of(results, "tensors")) {
    for (const json::value& tensor : *tensors) {
      if (is_native_result(tensor)) continue;
      screen.out("{} = tensor {} {}, in outputs.safetensors\n", printable(text_of(tensor, "name")),
                 printable(text_of(tensor, "dtype")), shape_text(tensor));
    }
  }
  print_left_out(screen, results);
}

void print_left_out(const Screen& screen, const json::value& results) {
  const json::array* left_out = array_of(results, "left_out");
  if (left_out == nullptr) return;
  for (const json::value& item : *left_out) {
    screen.note(
        printable(fmt::format("left out {}: {}", text_of(item, "name"), text_of(item, "reason"))));
  }
}

Result<std::vector<ArtifactView>> read_artifacts(const json::value& results) {
  std::vector<ArtifactView> artifacts;
  const json::array* list = array_of(results, "artifacts");
  if (list == nullptr) return artifacts;
  for (const json::value& item : *list) {
    ArtifactView artifact;
    artifact.name = text_of(item, "name");
    if (!stays_below(artifact.name)) {
      return error(ErrorCode::kDataLoss, "the artifact name '{}' leaves the directory",
                   printable(artifact.name));
    }
    BCAI_TRY_ASSIGN(artifact.sha256, Sha256::parse(text_of(item, "sha256")));
    artifact.bytes = std::max<int64_t>(0, integer_of(item, "bytes"));
    artifacts.push_back(std::move(artifact));
  }
  return artifacts;
}

Result<void> download_artifacts(ApiClient& api, const Screen& screen, const json::value& results,
                                const std::filesystem::path& directory) {
  BCAI_TRY_ASSIGN(const std::vector<ArtifactView> artifacts, read_artifacts(results));
  for (const ArtifactView& artifact : artifacts) {
    const std::filesystem::path path = directory / artifact.name;
    const Result<void> done = api.download(artifact, path);
    if (!done) return error(done.error().code, "{}: {}", artifact.name, done.error().message);
    screen.note(printable(fmt::format("{}  {}", path.string(), format_bytes(artifact.bytes))));
  }
  return {};
}

}  // namespace bcai::cli
