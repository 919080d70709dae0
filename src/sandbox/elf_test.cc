// SPDX-License-Identifier: Apache-2.0
#include "sandbox/elf.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

namespace bcai::sandbox {
namespace {

// An image with the given dynamic entries and strings, loaded at 0x400000.
class Image {
 public:
  Image() {
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
    segment(2, PT_INTERP, 3000, 0x400bb8, 20);
    text(3000, "/lib64/ld.so");
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

TEST(Elf, ReadsNamesThroughTheLoadedStringTable) {
  Image image;
  image.named(DT_NEEDED, "libm.so.6");
  image.named(DT_NEEDED, "libc.so.6");
  image.named(DT_RPATH, "/ignored");
  image.named(DT_RUNPATH, "$ORIGIN/../lib:/opt/lib");
  const auto links = read_elf(image.bytes());
  ASSERT_TRUE(links) << links.error().message;
  EXPECT_EQ(links->interpreter, "/lib64/ld.so");
  EXPECT_EQ(links->needed, (std::vector<std::string>{"libm.so.6", "libc.so.6"}));
  EXPECT_EQ(links->run_path, (std::vector<std::string>{"$ORIGIN/../lib", "/opt/lib"}));
}

TEST(Elf, RpathWhereThereIsNoRunpath) {
  Image image;
  image.named(DT_RPATH, "/old");
  EXPECT_EQ(read_elf(image.bytes())->run_path, std::vector<std::string>{"/old"});
}

TEST(Elf, RefusesWhatIsCutOffOrPointsOutside) {
  Image image;
  image.named(DT_NEEDED, "libc.so.6");
  for (size_t size : {size_t{0}, size_t{3}, size_t{40}, size_t{100}}) {
    EXPECT_FALSE(read_elf(std::span(image.bytes()).first(size))) << size;
  }
  Image far;
  far.dynamic(DT_NEEDED, UINT64_MAX - 10);
  EXPECT_FALSE(read_elf(far.bytes()));
  Image elsewhere;
  elsewhere.dynamic(DT_STRTAB, 0x900000);
  EXPECT_FALSE(read_elf(elsewhere.bytes()));
}

TEST(Elf, RefusesOtherClasses) {
  Image image;
  image.bytes()[EI_CLASS] = ELFCLASS32;
  EXPECT_FALSE(read_elf(image.bytes()));
}

TEST(Elf, ReadsThisProgram) {
  const auto links = read_elf_file("/proc/self/exe");
  ASSERT_TRUE(links) << links.error().message;
  EXPECT_NE(std::find(links->needed.begin(), links->needed.end(), "libc.so.6"),
            links->needed.end());
  EXPECT_TRUE(links->interpreter.starts_with("/lib")) << links->interpreter;
}

}  // namespace
}  // namespace bcai::sandbox
