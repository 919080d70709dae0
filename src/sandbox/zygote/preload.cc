// SPDX-License-Identifier: Apache-2.0
#include "sandbox/zygote/preload.h"

#include <algorithm>

#include "sandbox/bundle.h"

namespace bcai::sandbox {
namespace {

constexpr std::string_view kSpace = " \t\r\f";

// Read when a library is loaded or an interpreter starts: in a zygote that is over.
constexpr std::string_view kReadAtStart[] = {
    "PYTHON",    "LD_",   "GLIBC_", "MALLOC_", "OMP_",    "GOMP_", "KMP_", "MKL_",
    "OPENBLAS_", "BLIS_", "TORCH",  "ATEN_",   "PYTORCH", "CUDA_", "NPY_", "NUMPY"};

std::string_view trim(std::string_view text) {
  const size_t start = std::min(text.find_first_not_of(kSpace), text.size());
  text.remove_prefix(start);
  return text;
}

// Takes what stands before the first of `separators` off the text.
std::string_view take(std::string_view* text, std::string_view separators) {
  const size_t end = std::min(text->find_first_of(separators), text->size());
  const std::string_view head = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return head;
}

// "numpy.linalg as la" → "numpy"
std::string_view top_name(std::string_view module) {
  module = trim(module);
  return module.substr(0, module.find_first_of(". \t\r\f#"));
}

template <typename Visit>
void visit_imports(std::string_view statement, const Visit& visit) {
  statement = trim(statement);
  const std::string_view word = take(&statement, kSpace);
  if (word == "from") visit(top_name(statement));
  if (word != "import") return;
  while (!statement.empty()) visit(top_name(take(&statement, ",")));
}

std::string_view stem_of(std::string_view path) { return path.substr(0, path.find_first_of("./")); }

bool has_package(const Interpreter& interpreter, std::string_view name) {
  return std::any_of(interpreter.packages.begin(), interpreter.packages.end(),
                     [&](const auto& package) { return package.first == name; });
}

}  // namespace

std::string_view imported_library(std::string_view code) {
  std::string_view found;
  while (!code.empty()) {
    std::string_view line = take(&code, "\n");
    while (!line.empty()) {
      visit_imports(take(&line, ";"), [&](std::string_view name) {
        if (name == "torch") found = "torch";
        if (name == "numpy" && found.empty()) found = "numpy";
      });
    }
  }
  return found;
}

std::optional<ZygoteKey> zygote_key(const Task& task, const Interpreter& interpreter) {
  if (task.tenant.empty() || !task.native.empty() || !task.proxy.empty()) return std::nullopt;
  for (const auto& [name, value] : task.environment) {
    for (const std::string_view prefix : kReadAtStart) {
      if (name.starts_with(prefix)) return std::nullopt;
    }
  }
  ZygoteKey key{.tenant = task.tenant,
                .overlay = task.overlay,
                .overlay_mark = task.overlay.empty() ? "" : mark_of(task.overlay),
                .preload = std::string(imported_library(task.code)),
                .threads = threads_of(task.limits)};
  if (!key.preload.empty() && !has_package(interpreter, key.preload)) key.preload.clear();
  const auto shadows = [](std::string_view path) {
    const std::string_view stem = stem_of(path);
    return stem == "torch" || stem == "numpy";
  };
  if (shadows(task.filename) || std::any_of(task.files.begin(), task.files.end(),
                                            [&](const InputFile& f) { return shadows(f.path); })) {
    return std::nullopt;
  }
  return key;
}

}  // namespace bcai::sandbox
