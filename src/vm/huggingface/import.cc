// SPDX-License-Identifier: Apache-2.0
#include "vm/huggingface/import.h"

#include "vm/huggingface/config.h"
#include "vm/huggingface/families.h"

namespace bcai::vm::huggingface {
namespace {

constexpr int64_t kConfigBytesMax = int64_t{1} << 20;

Result<Config> open_config(const Directory& directory) {
  BCAI_TRY_ASSIGN(const std::string text, directory.read("config.json", kConfigBytesMax));
  std::vector<Finding> findings;
  const std::optional<Config> config = read_config(text, &findings);
  if (config) return *config;
  std::vector<std::string> lines;
  for (const Finding& finding : findings) {
    lines.push_back(fmt::format("config.json: {}", findings_text({finding})));
  }
  return error(ErrorCode::kInvalidArgument, "{}", fmt::join(lines, "\n"));
}

}  // namespace

Result<Program> import_huggingface(const std::filesystem::path& path, WeightStore& store,
                                   const ImportOptions& options) {
  BCAI_TRY_ASSIGN(const Directory directory, Directory::open(path));
  BCAI_TRY_ASSIGN(const Config config, open_config(directory));
  BCAI_TRY_ASSIGN(const WeightFiles files, WeightFiles::open(directory, store));
  switch (config.family) {
    case Family::kBert:
    case Family::kRoberta:
    case Family::kDistilBert: return import_encoder(config, files, options);
    case Family::kGpt2: return import_gpt2(config, files, options);
    case Family::kLlama: break;
  }
  return import_llama(config, files, options);
}

}  // namespace bcai::vm::huggingface
