// SPDX-License-Identifier: Apache-2.0
// What the compiler made of the kernels: no instruction whose result differs between processors,
// none of a wider SIMD level, no function that the linker could share between levels.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

std::vector<std::string> lines_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string text;
  char buffer[1 << 16];
  while (pipe) {
    const size_t n = fread(buffer, 1, sizeof buffer, pipe.get());
    if (n == 0) break;
    text.append(buffer, n);
  }
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> objects(const std::string& list) {
  std::vector<std::string> paths;
  std::istringstream stream(list);
  for (std::string path; std::getline(stream, path, ',');) paths.push_back(path);
  return paths;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The text after the address: "vaddps %zmm1,%zmm2,%zmm3".
std::string_view instruction(const std::string& line) {
  const size_t tab = line.find(":\t");
  return tab == std::string::npos ? std::string_view() : std::string_view(line).substr(tab + 2);
}

void check_instructions(const std::string& list, bool may_avx, bool may_zmm) {
  EXPECT_GE(objects(list).size(), 5u) << list;
  for (const auto& object : objects(list)) {
    size_t seen = 0;
    for (const auto& line : lines_of("objdump -d --no-show-raw-insn '" + object + "'")) {
      const auto text = instruction(line);
      seen += !text.empty();
      for (auto approximate : {"rcpps", "rcpss", "rsqrtps", "rsqrtss", "rcp14", "rsqrt14", "rcp28",
                               "rsqrt28", "vexp2ps", "vdpbf16"}) {
        EXPECT_FALSE(contains(text, approximate)) << object << line;
      }
      const bool avx = text.substr(0, 1) == "v" && text.substr(0, 3) != "ver";
      EXPECT_TRUE(may_avx || !avx) << object << line;
      EXPECT_TRUE(may_zmm || !contains(text, "%zmm")) << object << line;
    }
    EXPECT_GT(seen, 20u) << object << ": objdump shows no code";
  }
}

// A weak function of ours is one the linker merges: it must carry its level in its name.
void check_symbols(const std::string& list, std::string_view level, std::string_view type) {
  for (const auto& object : objects(list)) {
    for (const auto& line : lines_of("nm -C --defined-only '" + object + "'")) {
      if (!contains(line, " W ") || !contains(line, "bcai::")) continue;
      EXPECT_TRUE(contains(line, level) || contains(line, type)) << object << line;
    }
  }
}

TEST(KernelObjects, portable_has_neither_avx_nor_approximations) {
#if defined(__x86_64__)
  check_instructions(BCAI_OBJECTS_portable, false, false);
#endif
  check_symbols(BCAI_OBJECTS_portable, "vm::portable::", "vm::Portable");
}

#if defined(__x86_64__)
TEST(KernelObjects, avx2_has_neither_avx512_nor_approximations) {
  check_instructions(BCAI_OBJECTS_avx2, true, false);
  check_symbols(BCAI_OBJECTS_avx2, "vm::avx2::", "vm::Avx2");
}

TEST(KernelObjects, avx512_has_no_approximations) {
  check_instructions(BCAI_OBJECTS_avx512, true, true);
  check_symbols(BCAI_OBJECTS_avx512, "vm::avx512::", "vm::Avx512");
}
#endif

}  // namespace
