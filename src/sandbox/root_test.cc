// SPDX-License-Identifier: Apache-2.0
#include "sandbox/root.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "sandbox/elf.h"
#include "sandbox/elf_image.h"
#include "sandbox/spawn.h"
#include "sandbox/test_run.h"

namespace bcai::sandbox {
namespace {

namespace fs = std::filesystem;

class RootTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    state_ = make_temporary_directory();
    auto made = prepare_root(state_, "/usr/bin/python3");
    ASSERT_TRUE(made) << made.error().message;
    root_ = *std::move(made);
  }
  static void TearDownTestSuite() { fs::remove_all(state_); }

  static inline fs::path state_;
  static inline Root root_;
};

TEST_F(RootTest, HoldsNoSetuidFileShellOrCompiler) {
  for (const auto& entry : fs::recursive_directory_iterator(root_.tree)) {
    struct stat info {};
    ASSERT_EQ(lstat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 06000, 0u) << entry.path();
    if (S_ISREG(info.st_mode)) {
      EXPECT_EQ(info.st_mode & 0022, 0u) << entry.path();
      EXPECT_NE(info.st_mode & 0004, 0u) << entry.path();
    }
    const std::string name = entry.path().filename();
    EXPECT_TRUE(name != "sh" && name != "bash" && name != "gcc" && name != "cc1") << entry.path();
  }
  size_t programs = 0;
  for (const auto& entry : fs::directory_iterator(root_.tree / "usr/bin")) {
    programs += entry.is_regular_file() && !entry.is_symlink();
  }
  EXPECT_EQ(programs, 1u);
}

TEST_F(RootTest, LeavesOutWhatNoJobNeeds) {
  const fs::path library = root_.tree / "usr/lib" / ("python" + root_.interpreter.short_version());
  EXPECT_TRUE(fs::exists(library / "os.py"));
  EXPECT_TRUE(fs::exists(library / "lib-dynload"));
  for (const char* name : {"test", "idlelib", "tkinter", "ensurepip", "lib2to3"}) {
    EXPECT_FALSE(fs::exists(library / name)) << name;
  }
  EXPECT_TRUE(fs::exists(root_.tree / "etc/passwd"));
  EXPECT_FALSE(fs::exists(root_.tree / "etc/shadow"));
}

TEST_F(RootTest, EveryLibraryIsFound) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root for chroot";
  const std::string code =
      "import importlib, os, sys\n"
      "d = [p for p in sys.path if p.endswith('lib-dynload')][0]\n"
      "names = {n.split('.')[0] for n in os.listdir(d) if n.endswith('.so')}\n"
      "for n in sorted(names):\n"
      "    if n.startswith(('_test', '_ctypes_test', '_xx', 'xx')): continue\n"
      "    importlib.import_module(n)\n"
      "import json, ssl, sqlite3, ctypes, bz2, lzma, uuid\n"
      "print('fine', len(names) > 20)\n";
  const auto ran = run_captured(
      {.arguments = {"/usr/sbin/chroot", root_.tree, "/usr/bin/python3", "-I", "-S", "-c", code},
       .environment = {}},
      Millis(60'000));
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_EQ(ran->output, "fine True\n");
}

TEST_F(RootTest, ImportsAreCompiledAlready) {
  const fs::path library = root_.tree / "usr/lib" / ("python" + root_.interpreter.short_version());
  for (const char* module : {"argparse", "json/decoder", "asyncio/base_events"}) {
    const fs::path source = library / (std::string(module) + ".py");
    bool found = false;
    for (const auto& entry : fs::directory_iterator(source.parent_path() / "__pycache__")) {
      found |= entry.path().filename().string().starts_with(source.stem().string() + ".cpython-");
    }
    EXPECT_TRUE(found) << module;
  }
}

TEST_F(RootTest, IsBuiltOnceForAnInterpreter) {
  struct stat before {};
  ASSERT_EQ(stat(root_.tree.c_str(), &before), 0);
  const auto again = prepare_root(state_, "/usr/bin/python3");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->tree, root_.tree);
  EXPECT_EQ(again->runner, root_.runner);
  struct stat after {};
  ASSERT_EQ(stat(again->tree.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

TEST_F(RootTest, HoldsTheRunner) {
  EXPECT_TRUE(fs::exists(root_.runner / "runner.py"));
  EXPECT_TRUE(fs::exists(root_.runner / "bcai/__init__.py"));
  EXPECT_TRUE(fs::exists(root_.runner / "bcai/__pycache__"));
}

// A program that asks for libown.so, which lies in lib/ beside it.
class NativeRootTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = make_temporary_directory();
    const auto self = read_elf_file("/proc/self/exe");
    ASSERT_TRUE(self) << self.error().message;
    Image program(self->interpreter);
    program.named(DT_NEEDED, "libc.so.6");
    program.named(DT_NEEDED, "libown.so");
    program.named(DT_RUNPATH, "$ORIGIN/lib");
    write(directory_ / "app/program", program);
    write(directory_ / "app/lib/libown.so", Image());
  }
  void TearDown() override { fs::remove_all(directory_); }
  static void write(const fs::path& path, Image image) {
    fs::create_directories(path.parent_path());
    const std::vector<uint8_t>& bytes = image.bytes();
    ASSERT_TRUE(write_file(path, std::string(bytes.begin(), bytes.end())));
  }
  // Where the root holds libown.so; nothing when it does not.
  static fs::path own_library(const Root& root) {
    for (const auto& entry : fs::recursive_directory_iterator(root.tree)) {
      if (entry.path().filename() == "libown.so") return entry.path();
    }
    return {};
  }
  Result<Root> prepare(const fs::path& program) const {
    return prepare_native_root(directory_ / "state", program);
  }

  fs::path directory_;
};

TEST_F(NativeRootTest, OriginIsWhereTheProgramLiesWhateverLinkLedToIt) {
  fs::create_symlink(directory_ / "app/program", directory_ / "link");
  const auto root = prepare(directory_ / "link");
  ASSERT_TRUE(root) << root.error().message;
  EXPECT_FALSE(own_library(*root).empty());
}

TEST_F(NativeRootTest, AnotherLibraryMakesAnotherRoot) {
  const auto before = prepare(directory_ / "app/program");
  ASSERT_TRUE(before) << before.error().message;
  EXPECT_EQ(prepare(directory_ / "app/program")->tree, before->tree);
  Image other;
  other.named(DT_SONAME, "other");
  write(directory_ / "app/lib/libown.so", other);
  const auto after = prepare(directory_ / "app/program");
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_NE(after->tree, before->tree);
  EXPECT_EQ(*read_file(own_library(*after)), *read_file(directory_ / "app/lib/libown.so"));
}

TEST_F(NativeRootTest, ALibraryThatIsMissingIsNamed) {
  fs::remove(directory_ / "app/lib/libown.so");
  const auto root = prepare(directory_ / "app/program");
  ASSERT_FALSE(root);
  EXPECT_EQ(root.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(root.error().message, "libraries are missing on this machine: libown.so, which " +
                                      (directory_ / "app/program").string() + " needs");
}

TEST(Interpreter, WhatIsNoPythonIsRefused) {
  const auto missing = query_interpreter("/no/such/python");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_FALSE(query_interpreter("/bin/echo"));
}

TEST(Interpreter, SurvivesItsNote) {
  const Interpreter before{.version = "3.11.2",
                           .program = "/usr/bin/python3.11",
                           .standard_library = "/usr/lib/python3.11",
                           .extensions = "/usr/lib/python3.11/lib-dynload",
                           .site_packages = "",
                           .packages = {{"torch", "2.0"}}};
  const auto after = decode_interpreter(encode(before));
  ASSERT_TRUE(after);
  EXPECT_EQ(after->version, "3.11.2");
  EXPECT_EQ(after->short_version(), "3.11");
  EXPECT_EQ(after->packages, before.packages);
  EXPECT_FALSE(decode_interpreter(json::object{{"version", "3.11.2"}}));
  EXPECT_FALSE(decode_interpreter(json::value(1)));
}

}  // namespace
}  // namespace bcai::sandbox
