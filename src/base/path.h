// SPDX-License-Identifier: Apache-2.0
// Names that untrusted input gives to files.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace bcai {

// The existing file of that name in the directory or below, every link followed.
// kPermissionDenied when the name or a link leads out of it; kNotFound when there is none.
Result<std::filesystem::path> path_inside(const std::filesystem::path& directory,
                                          std::string_view name);

}  // namespace bcai
