// SPDX-License-Identifier: Apache-2.0
#include "vm/huggingface/weight_files.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "base/path.h"

namespace bcai::vm::huggingface {
namespace {

constexpr std::string_view kSingle = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";
constexpr int64_t kIndexBytesMax = int64_t{16} << 20;
constexpr size_t kFilesMax = 1024;

// tensor -> file, or findings.
std::map<std::string, std::string, std::less<>> read_weight_map(
    const json::value& index, std::vector<std::string>* findings) {
  std::map<std::string, std::string, std::less<>> files;
  const json::object* object = index.if_object();
  const json::value* map = object == nullptr ? nullptr : object->if_contains("weight_map");
  if (map == nullptr || !map->is_object()) {
    findings->emplace_back("expected an object with an object weight_map");
    return files;
  }
  for (const auto& entry : map->get_object()) {
    if (findings->size() == kFindingsMax) break;
    const std::string tensor(to_std(entry.key()));
    const json::string* file = entry.value().if_string();
    if (file == nullptr || !to_std(*file).ends_with(".safetensors") ||
        to_std(*file).find('/') != std::string_view::npos) {
      findings->push_back(fmt::format("/weight_map/{}: {} is not the name of a safetensors file",
                                      tensor, bcai::to_text(entry.value()).substr(0, 80)));
      continue;
    }
    files.emplace(tensor, to_std(*file));
  }
  return files;
}

}  // namespace

Result<Directory> Directory::open(const std::filesystem::path& path) {
  std::error_code problem;
  const std::filesystem::path whole = std::filesystem::canonical(path, problem);
  if (problem) return errno_error(problem.value(), "open " + path.string());
  Directory directory;
  directory.root_ = whole;
  const std::filesystem::path model = whole.parent_path().parent_path();
  if (whole.parent_path().filename() == "snapshots" &&
      model.filename().string().starts_with("models--")) {
    directory.root_ = model;
    directory.below_ = std::filesystem::path("snapshots") / whole.filename();
  }
  return directory;
}

bool Directory::contains(std::string_view name) const {
  std::error_code problem;
  return std::filesystem::exists(std::filesystem::symlink_status(root_ / below_ / name, problem));
}

Result<std::filesystem::path> Directory::find(std::string_view name) const {
  return path_inside(root_, (below_ / name).string());
}

Result<std::string> Directory::read(std::string_view name, int64_t bytes_max) const {
  BCAI_TRY_ASSIGN(const std::filesystem::path path, find(name));
  std::error_code problem;
  if (!std::filesystem::is_regular_file(path, problem)) {
    return error(ErrorCode::kInvalidArgument, "{} is no regular file", path.string());
  }
  return read_file(path, bytes_max);
}

Result<WeightFiles> WeightFiles::open(const Directory& directory, WeightStore& store) {
  WeightFiles files;
  if (directory.contains(kSingle)) {
    BCAI_TRY(files.add(directory, std::string(kSingle), store));
  } else if (directory.contains(kIndex)) {
    BCAI_TRY(files.open_index(directory, store));
  } else {
    return error(ErrorCode::kNotFound, "there is neither {} nor {}{}", kSingle, kIndex,
                 directory.contains("pytorch_model.bin")
                     ? "; pytorch_model.bin is a pickle: save the model again with "
                       "save_pretrained(directory, safe_serialization=True)"
                     : "");
  }
  return files;
}

Result<void> WeightFiles::add(const Directory& directory, const std::string& name,
                              WeightStore& store) {
  BCAI_TRY_ASSIGN(const std::filesystem::path path, directory.find(name));
  BCAI_TRY_ASSIGN(std::shared_ptr<const Weights> weights, store.add(path));
  files_.push_back({name, std::move(weights)});
  return {};
}

Result<void> WeightFiles::open_index(const Directory& directory, WeightStore& store) {
  BCAI_TRY_ASSIGN(const std::string text, directory.read(kIndex, kIndexBytesMax));
  const Result<json::value> index = parse_json(text);
  if (!index) return error(ErrorCode::kInvalidArgument, "{}: {}", kIndex, index.error().message);
  std::vector<std::string> findings;
  const auto weight_map = read_weight_map(*index, &findings);
  std::map<std::string, size_t> numbers;
  for (const auto& [tensor, file] : weight_map) numbers.emplace(file, 0);
  if (numbers.size() > kFilesMax) {
    findings.push_back(fmt::format("names {} files, at most {}", numbers.size(), kFilesMax));
  }
  if (!findings.empty()) {
    return error(ErrorCode::kInvalidArgument, "{}: {}", kIndex,
                 fmt::join(findings, fmt::format("\n{}: ", kIndex)));
  }
  for (auto& [file, number] : numbers) {
    number = files_.size();
    const Result<void> added = add(directory, file, store);
    if (!added) findings.push_back(added.error().message);
  }
  if (!findings.empty()) {
    return error(ErrorCode::kInvalidArgument, "{}", fmt::join(findings, "\n"));
  }
  for (const auto& [tensor, file] : weight_map) places_.emplace(tensor, numbers.at(file));
  return {};
}

WeightFiles::Place WeightFiles::find(std::string_view name) const {
  Place place;
  if (!places_.empty()) {
    const auto listed = places_.find(name);
    if (listed == places_.end()) return place;
    place.file = listed->second;
  }
  place.tensor = files_.empty() ? nullptr : files_[place.file].weights->find(name);
  return place;
}

}  // namespace bcai::vm::huggingface
