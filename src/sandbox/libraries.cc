// SPDX-License-Identifier: Apache-2.0
#include "sandbox/libraries.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <deque>
#include <set>

#include "base/file.h"
#include "sandbox/elf.h"

namespace bcai::sandbox {
namespace fs = std::filesystem;

namespace {

#if defined(__x86_64__)
constexpr const char* kTriple = "x86_64-linux-gnu";
#else
constexpr const char* kTriple = "aarch64-linux-gnu";
#endif

bool looks_like_library(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.ends_with(".so") || name.find(".so.") != std::string::npos;
}

class Finder {
 public:
  explicit Finder(const fs::path& present) : present_(present) {}

  Result<LibrarySet> run(const std::vector<fs::path>& places,
                         const std::vector<std::string>& welcome) {
    for (const fs::path& place : places) add_place(place);
    // What libc opens by itself when a thread is cancelled or unwound.
    find("libgcc_s.so.1", {}, {});
    for (const std::string& name : welcome) find(name, {}, {});
    while (!queue_.empty()) {
      const fs::path file = queue_.front();
      queue_.pop_front();
      const auto links = read_elf_file(file);
      if (!links) continue;  // a linker script, or another machine's library
      if (set_.loader.empty()) set_.loader = links->interpreter;
      for (const std::string& name : links->needed) {
        if (!find(name, *links, file)) set_.missing.emplace(name, file);
      }
    }
    const auto libc = set_.libraries.find("libc.so.6");
    if (libc == set_.libraries.end() || set_.loader.empty()) {
      return error(ErrorCode::kFailedPrecondition,
                   "the interpreter does not use this machine's glibc: found {}",
                   libc == set_.libraries.end() ? "no libc.so.6" : "no dynamic loader");
    }
    set_.directory = libc->second.parent_path();
    return std::move(set_);
  }

 private:
  void add_place(const fs::path& place) {
    std::error_code failed;
    if (!fs::is_directory(place, failed)) {
      queue_.push_back(place);
      return;
    }
    const bool is_present = place == present_;
    fs::recursive_directory_iterator it(place, failed);
    for (const fs::recursive_directory_iterator end; !failed && it != end; it.increment(failed)) {
      if (!looks_like_library(it->path())) continue;
      std::error_code ignored;
      if (!it->is_regular_file(ignored)) continue;
      if (is_present) present_names_.insert(it->path().filename().string());
      queue_.push_back(it->path());
    }
  }

  bool find(const std::string& name, const ElfLinks& asker, const fs::path& asker_path) {
    if (set_.libraries.contains(name) || present_names_.contains(name)) return true;
    std::vector<fs::path> directories;
    for (std::string directory : asker.run_path) {
      for (const char* variable : {"${ORIGIN}", "$ORIGIN"}) {
        const size_t at = directory.find(variable);
        if (at == std::string::npos) continue;
        directory.replace(at, std::string_view(variable).size(), asker_path.parent_path().string());
      }
      directories.emplace_back(directory);
    }
    for (const char* directory : {"/lib/", "/usr/lib/", "/usr/local/lib/"}) {
      directories.emplace_back(fs::path(directory) / kTriple);
    }
    for (const char* directory : {"/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"}) {
      directories.emplace_back(directory);
    }
    for (const fs::path& directory : directories) {
      const fs::path candidate = directory / name;
      if (name.find('/') != std::string::npos || !read_elf_file(candidate)) continue;
      set_.libraries.emplace(name, candidate);
      queue_.push_back(candidate);
      return true;
    }
    return false;
  }

  fs::path present_;
  std::set<std::string> present_names_;
  std::deque<fs::path> queue_;
  LibrarySet set_;
};

}  // namespace

Result<LibrarySet> find_libraries(const std::vector<fs::path>& places, const fs::path& present,
                                  const std::vector<std::string>& welcome) {
  return Finder(present).run(places, welcome);
}

Result<void> check_complete(const LibrarySet& set) {
  if (set.missing.empty()) return {};
  std::vector<std::string> names;
  for (const auto& [name, asker] : set.missing) {
    names.push_back(fmt::format("{}, which {} needs", name, asker.string()));
  }
  return error(ErrorCode::kFailedPrecondition, "libraries are missing on this machine: {}",
               fmt::join(names, "; "));
}

}  // namespace bcai::sandbox
