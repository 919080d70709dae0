// SPDX-License-Identifier: Apache-2.0
#include "sandbox/elf.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "sandbox/elf_image.h"

namespace bcai::sandbox {
namespace {

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
