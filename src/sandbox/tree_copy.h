// SPDX-License-Identifier: Apache-2.0
// Copies trusted files of this machine into a root: contents and times, never owners, links or
// setuid bits.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

#include "base/result.h"

namespace bcai::sandbox {

// Follows links. The copy can be read by everyone, executed when the original can, written by none.
Result<void> copy_plain_file(const std::filesystem::path& from, const std::filesystem::path& to);

// Files and directories below `from` that `wanted` (its argument: the path below `from`) takes;
// a directory that it refuses is not entered. Broken links are left out.
Result<void> copy_tree(const std::filesystem::path& from, const std::filesystem::path& to,
                       const std::function<bool(const std::filesystem::path& below)>& wanted);

// Makes the directory with mode 0755, whatever the umask.
Result<void> make_open_directory(const std::filesystem::path& path);

}  // namespace bcai::sandbox
