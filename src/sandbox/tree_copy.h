// SPDX-License-Identifier: Apache-2.0
// Trees of files. Copies trusted ones of this machine into a root: contents and times, never
// owners, links or setuid bits. Removes what a job left.
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

// Removes `path` and all below it, also directories that their owner (us, when rootless) locked.
// Follows no link. What cannot be removed stays.
void remove_tree(const std::filesystem::path& path);

}  // namespace bcai::sandbox
