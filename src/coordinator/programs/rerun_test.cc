// SPDX-License-Identifier: Apache-2.0
#include "coordinator/programs/rerun.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

namespace bcai::coordinator {
namespace {

namespace fs = std::filesystem;

class RerunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "rerun_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  // What a shell script in the place of bcai says before it fails.
  std::string says(const std::string& script) {
    const fs::path program = directory_ / "program";
    EXPECT_TRUE(write_file(program, "#!/bin/sh\n" + script + " >&2\nexit 1\n"));
    chmod(program.c_str(), 0700);
    JobSpec spec;
    spec.timeout_s = 20;
    const auto rerun = run_again({.program = program, .directory = directory_ / "scratch"}, spec,
                                 [](const Sha256&) { return fs::path(); });
    return rerun ? "it went well" : rerun.error().message;
  }

  fs::path directory_;
};

TEST_F(RerunTest, IsNotInTheCoordinatorsNamespaces) {
  for (const char* kind : {"net", "ipc", "uts"}) {
    const std::string link = std::string("/proc/self/ns/") + kind;
    const std::string own = fs::read_symlink(link).string();
    const std::string message = says("readlink " + link);
    EXPECT_TRUE(message.starts_with("it ended with exit code 1: " + std::string(kind) + ":["))
        << message;
    EXPECT_EQ(message.find(own), std::string::npos) << message;
  }
}

TEST_F(RerunTest, HasNoRights) {
  EXPECT_EQ(says("grep CapEff /proc/self/status"),
            "it ended with exit code 1: CapEff:\t0000000000000000");
}

}  // namespace
}  // namespace bcai::coordinator
