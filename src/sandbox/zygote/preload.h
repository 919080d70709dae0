// SPDX-License-Identifier: Apache-2.0
// Which zygote a task would start from, by what it is.
#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "sandbox/interpreter.h"
#include "sandbox/sandbox.h"

namespace bcai::sandbox {

// Tasks with the same key may come from one zygote.
struct ZygoteKey {
  std::string tenant;
  std::filesystem::path overlay;
  std::string overlay_mark;  // another after it has been removed and made again
  std::string preload;       // "torch", "numpy" or ""
  int64_t threads = 1;       // that its libraries were told to use when they were loaded
  auto operator<=>(const ZygoteKey&) const = default;
};

// The heaviest of torch and numpy that the code says it imports, at whatever depth; "" when none. A
// glance at its lines: an import in a string or made by other means does not matter, it is only
// slower or for nothing.
std::string_view imported_library(std::string_view code);

// Nothing: the task starts cold. It is native, nobody's, has a proxy, brings a module of a
// library's name, or sets a variable that libraries or Python read while they are loaded.
std::optional<ZygoteKey> zygote_key(const Task& task, const Interpreter& interpreter);

}  // namespace bcai::sandbox
