// SPDX-License-Identifier: Apache-2.0
#include "base/path.h"

#include <algorithm>

namespace bcai {

Result<std::filesystem::path> path_inside(const std::filesystem::path& directory,
                                          std::string_view name) {
  const std::filesystem::path relative(name);
  const bool climbs = std::any_of(relative.begin(), relative.end(),
                                  [](const std::filesystem::path& part) { return part == ".."; });
  if (name.empty() || name.find('\0') != std::string_view::npos || relative.is_absolute() ||
      climbs) {
    return error(ErrorCode::kPermissionDenied, "'{}' is not a name inside the directory", name);
  }
  std::error_code problem;
  const std::filesystem::path base = std::filesystem::canonical(directory, problem);
  if (problem) return errno_error(problem.value(), "open " + directory.string());
  const std::filesystem::path file = std::filesystem::canonical(base / relative, problem);
  if (problem) return errno_error(problem.value(), "open " + (directory / relative).string());
  if (std::mismatch(base.begin(), base.end(), file.begin(), file.end()).first != base.end()) {
    return error(ErrorCode::kPermissionDenied, "'{}' leads out of the directory", name);
  }
  return file;
}

}  // namespace bcai
