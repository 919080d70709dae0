// SPDX-License-Identifier: Apache-2.0
// Reads which libraries a program or library asks the dynamic loader for. Pure; any bytes in:
// 64-bit little-endian ELF is understood, everything else is an Error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace bcai::sandbox {

struct ElfLinks {
  std::string interpreter;            // "/lib64/ld-linux-x86-64.so.2"; "" in a library
  std::vector<std::string> needed;    // "libc.so.6", …
  std::vector<std::string> run_path;  // DT_RUNPATH, else DT_RPATH, as written: with $ORIGIN
};

Result<ElfLinks> read_elf(std::span<const uint8_t> file);

// kInvalidArgument when the file is no ELF file.
Result<ElfLinks> read_elf_file(const std::filesystem::path& path);

}  // namespace bcai::sandbox
