// SPDX-License-Identifier: Apache-2.0
// Finds the shared libraries that a set of programs and libraries needs, as the dynamic loader
// would, but without running anything.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace bcai::sandbox {

struct LibrarySet {
  std::map<std::string, std::filesystem::path> libraries;  // the name asked for → the file
  // Names found nowhere → the first file that asks for it.
  std::map<std::string, std::filesystem::path> missing;
  std::filesystem::path loader;     // as the program names it: "/lib64/ld-linux-x86-64.so.2"
  std::filesystem::path directory;  // where the loader looks by default and libc lies
};

// Every ELF file among and below `places` is read, and what it needs, in turn. Names that lie below
// `present` are already where the loader finds them and are left out. `welcome` are names that are
// added where this machine has them.
Result<LibrarySet> find_libraries(const std::vector<std::filesystem::path>& places,
                                  const std::filesystem::path& present,
                                  const std::vector<std::string>& welcome = {});

// kFailedPrecondition, with their names, when libraries are missing.
Result<void> check_complete(const LibrarySet& set);

}  // namespace bcai::sandbox
