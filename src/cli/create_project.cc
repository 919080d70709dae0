// SPDX-License-Identifier: Apache-2.0
// `bcai create-project`: writes the files of project/ into a new directory.
#include <array>
#include <filesystem>

#include "base/file.h"
#include "cli/context.h"
#include "cli_files.h"

namespace bcai::cli {
namespace {

constexpr std::array<std::string_view, 3> kFiles{"project/train.py", "project/README.md",
                                                 "project/.gitignore"};
constexpr std::string_view kPlaceholder = "PROJECT_NAME";

std::string with_name(std::string_view text, std::string_view name) {
  std::string out;
  for (size_t at = text.find(kPlaceholder); at != std::string_view::npos;
       at = text.find(kPlaceholder)) {
    out += text.substr(0, at);
    out += name;
    text.remove_prefix(at + kPlaceholder.size());
  }
  return out += text;
}

}  // namespace

int execute(const CreateProjectOptions& options, Context& context) {
  const Screen& screen = context.screen;
  const std::filesystem::path directory = options.name;
  std::error_code failure;
  if (std::filesystem::exists(directory, failure) &&
      !std::filesystem::is_empty(directory, failure)) {
    screen.error(fmt::format("{} exists and is not empty", options.name));
    return kExitUsage;
  }
  const Result<void> made = make_directories(directory);
  if (!made) return report(screen, made.error());
  const std::string name =
      std::filesystem::absolute(directory).lexically_normal().filename().string();
  for (const std::string_view file : kFiles) {
    const std::filesystem::path path = directory / file.substr(file.find('/') + 1);
    const Result<void> written = write_file(path, with_name(cli_files(file), name));
    if (!written) return report(screen, written.error());
    screen.note(path.string());
  }
  screen.out("cd {} && bcai run train.py\n", options.name);
  return 0;
}

}  // namespace bcai::cli
