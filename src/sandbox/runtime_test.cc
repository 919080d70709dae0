// SPDX-License-Identifier: Apache-2.0
#include "sandbox/runtime.h"

#include <gtest/gtest.h>

namespace bcai::sandbox {
namespace {

std::string runc_version_of(std::string_view output) {
  const auto version = parse_runtime_version(output);
  return version ? version->text() : "none";
}

TEST(RuntimeVersion, Parses) {
  EXPECT_EQ(runc_version_of("runc version 1.1.5+ds1\ncommit: 1.1.5\n"), "1.1.5");
  EXPECT_EQ(runc_version_of("runc version 1.4.0-rc.3"), "1.4.0");
  EXPECT_EQ(runc_version_of("runc version 1.1"), "none");
  EXPECT_EQ(runc_version_of("runc version 1.1.x"), "none");
  EXPECT_EQ(runc_version_of("crun 1.8"), "none");
  EXPECT_EQ(runc_version_of("first\nrunc version 1.1.5"), "none");
  EXPECT_EQ(runc_version_of(""), "none");
}

TEST(RuntimeVersion, OfLibseccomp) {
  const auto counts = [](std::string_view output) {
    return Runtime{.program = "runc", .version = {}, .libseccomp = parse_libseccomp_version(output)}
        .counts_calls();
  };
  EXPECT_TRUE(counts("runc version 1.1.5+ds1\ngo: go1.19.8\nlibseccomp: 2.5.4\n"));
  EXPECT_FALSE(counts("runc version 1.1.5\nlibseccomp: 2.4.4\n"));
  EXPECT_FALSE(counts("runc version 1.1.5\nspec: 1.0.2-dev\n"));
}

TEST(RuntimeVersion, WarnsBelowTheFixes) {
  const auto warned = [](int major, int minor, int patch) {
    return !Runtime{.program = "runc", .version = {{major, minor, patch}}, .libseccomp = {}}
                .warning()
                .empty();
  };
  EXPECT_TRUE(warned(1, 1, 5));
  EXPECT_TRUE(warned(1, 2, 7));
  EXPECT_FALSE(warned(1, 2, 8));
  EXPECT_TRUE(warned(1, 3, 0));
  EXPECT_TRUE(warned(1, 3, 2));
  EXPECT_FALSE(warned(1, 3, 3));
  EXPECT_FALSE(warned(1, 4, 0));
}

TEST(RuntimeLog, LastMessage) {
  EXPECT_EQ(last_log_message("{\"level\":\"warn\",\"msg\":\"a\"}\n{\"level\":\"error\",\"msg\":"
                             "\"runc run failed: b\",\"time\":\"\"}\n"),
            "runc run failed: b");
  EXPECT_EQ(last_log_message("no json\n[1]\n{\"msg\":1}"), "");
}

TEST(Runtime, AMissingProgramSaysHowToGetIt) {
  const auto runtime = find_runtime("no-such-runtime");
  ASSERT_FALSE(runtime);
  EXPECT_EQ(runtime.error().code, ErrorCode::kNotFound);
  EXPECT_NE(runtime.error().message.find("apt-get install runc"), std::string::npos);
}

TEST(Runtime, AProgramThatIsNoneIsRefused) { EXPECT_FALSE(find_runtime("/bin/true")); }

}  // namespace
}  // namespace bcai::sandbox
