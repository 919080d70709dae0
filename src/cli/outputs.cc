// SPDX-License-Identifier: Apache-2.0
#include "cli/outputs.h"

#include <algorithm>

#include "base/units.h"

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

}  // namespace

void print_outputs(const Screen& screen, const json::value& results) {
  const json::value* outputs = member_of(results, "outputs");
  if (outputs != nullptr && outputs->is_object()) {
    for (const auto& [name, value] : outputs->get_object()) {
      screen.out("{} = {}\n", printable(to_std(name)), printable(display_text(value)));
    }
  }
  if (const json::array* tensors = array_of(results, "tensors")) {
    for (const json::value& tensor : *tensors) {
      screen.out("{} = tensor {} {}, in outputs.safetensors\n", printable(text_of(tensor, "name")),
                 printable(text_of(tensor, "dtype")), shape_text(tensor));
    }
  }
  if (const json::array* left_out = array_of(results, "left_out")) {
    for (const json::value& item : *left_out) {
      screen.note(printable(
          fmt::format("left out {}: {}", text_of(item, "name"), text_of(item, "reason"))));
    }
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
