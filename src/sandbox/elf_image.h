// SPDX-License-Identifier: Apache-2.0
// ELF files for tests: headers and a dynamic section, no code.
#pragma once

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace bcai::sandbox {

// An image with the given dynamic entries and strings, loaded at 0x400000.
class Image {
 public:
  explicit Image(const std::string& interpreter = "/lib64/ld.so") {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 3;
    put(0, header);
    segment(0, PT_LOAD, 0, 0x400000, 4096);
    segment(1, PT_DYNAMIC, 1024, 0x400400, 512);
    segment(2, PT_INTERP, 3000, 0x400bb8, interpreter.size() + 1);
    text(3000, interpreter.c_str());
    dynamic(DT_STRTAB, 0x400000 + 2048);
    text(2048, "");
  }
  void segment(size_t index, uint32_t type, uint64_t offset, uint64_t address, uint64_t size) {
    Elf64_Phdr header{};
    header.p_type = type;
    header.p_offset = offset;
    header.p_vaddr = address;
    header.p_filesz = size;
    put(sizeof(Elf64_Ehdr) + index * sizeof header, header);
  }
  void dynamic(int64_t tag, uint64_t value) {
    Elf64_Dyn entry{};
    entry.d_tag = tag;
    entry.d_un.d_val = value;
    put(1024 + entries_++ * sizeof entry, entry);
  }
  void named(int64_t tag, const char* name) {
    dynamic(tag, names_);
    text(2048 + names_, name);
    names_ += std::strlen(name) + 1;
  }
  void text(size_t at, const char* value) {
    std::memcpy(bytes_.data() + at, value, std::strlen(value) + 1);
  }
  template <typename T>
  void put(size_t at, const T& value) {
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  }
  std::vector<uint8_t>& bytes() { return bytes_; }

 private:
  std::vector<uint8_t> bytes_ = std::vector<uint8_t>(4096);
  size_t entries_ = 0;
  size_t names_ = 1;
};

}  // namespace bcai::sandbox
