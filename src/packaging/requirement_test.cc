// SPDX-License-Identifier: Apache-2.0
#include "packaging/requirement.h"

#include <gtest/gtest.h>

namespace bcai::packaging {
namespace {

Version version(std::string_view text) {
  const auto parsed = Version::parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? *parsed : Version{};
}

bool holds(std::string_view installed, std::string_view requirement) {
  const auto parsed = parse_requirement(requirement);
  EXPECT_TRUE(parsed) << requirement;
  return parsed && satisfies(version(installed), *parsed);
}

// The ascending examples of PEP 440, "Summary of permitted suffixes and relative ordering".
TEST(VersionTest, OrdersAsPep440) {
  const char* const ascending[] = {"1.dev0",
                                   "1.0.dev456",
                                   "1.0a1",
                                   "1.0a2.dev456",
                                   "1.0a12.dev456",
                                   "1.0a12",
                                   "1.0b1.dev456",
                                   "1.0b2",
                                   "1.0b2.post345.dev456",
                                   "1.0b2.post345",
                                   "1.0rc1.dev456",
                                   "1.0rc1",
                                   "1.0",
                                   "1.0.post456.dev34",
                                   "1.0.post456",
                                   "1.1.dev1",
                                   "1.1",
                                   "1.10",
                                   "2",
                                   "1!0.1"};
  for (size_t i = 0; i < std::size(ascending); ++i) {
    for (size_t k = 0; k < std::size(ascending); ++k) {
      EXPECT_EQ(compare(version(ascending[i]), version(ascending[k])) < 0, i < k)
          << ascending[i] << " " << ascending[k];
    }
  }
}

TEST(VersionTest, EqualSpellings) {
  const std::pair<const char*, const char*> equal[] = {{"1.0", "1"},
                                                       {"1.0", "v1.0.0"},
                                                       {"2.13.0+cpu", "2.13"},
                                                       {"1.0-alpha1", "1.0a1"},
                                                       {"1.0.RC.2", "1.0c2"},
                                                       {"1.0-1", "1.0.post1"},
                                                       {"1.0.rev3", "1.0post3"},
                                                       {"1.0.dev", "1.0dev0"}};
  for (const auto& [a, b] : equal)
    EXPECT_TRUE(compare(version(a), version(b)) == 0) << a << " " << b;
}

TEST(VersionTest, RefusesWhatIsNoVersion) {
  for (const char* text : {"", "abc", "1..2", "1.0.", "1.0x", "1.0 ", "-1", "1!", "1.0a1b",
                           "99999999999999999999", "1.*", "1.2.3.4.5.6.7.8.9.1.2.3.4.5.6.7.8"}) {
    EXPECT_FALSE(Version::parse(text)) << text;
  }
}

TEST(RequirementTest, Operators) {
  EXPECT_TRUE(holds("2.13.0+cpu", "torch"));
  EXPECT_TRUE(holds("2.13.0+cpu", "torch>=1.12"));
  EXPECT_TRUE(holds("2.13.0", "torch>=1.12,<3"));
  EXPECT_FALSE(holds("2.13.0", "torch>=1.12,<2.13"));
  EXPECT_FALSE(holds("1.9", "torch>=1.12"));
  EXPECT_TRUE(holds("1.12", "torch == 1.12.0"));
  EXPECT_FALSE(holds("1.12.1", "torch==1.12"));
  EXPECT_TRUE(holds("1.12.1", "torch==1.12.*"));
  EXPECT_FALSE(holds("1.120.1", "torch==1.12.*"));
  EXPECT_TRUE(holds("1.13", "torch!=1.12.*"));
  EXPECT_FALSE(holds("1.12.9", "torch!=1.12.*"));
  EXPECT_TRUE(holds("1.12.1", "torch!=1.12"));
  EXPECT_TRUE(holds("2.9", "torch~=2.2"));
  EXPECT_FALSE(holds("3.0", "torch~=2.2"));
  EXPECT_TRUE(holds("1.4.5", "torch~=1.4.2"));
  EXPECT_FALSE(holds("1.5.0", "torch~=1.4.2"));
  EXPECT_FALSE(holds("3.0rc1", "torch<3.0"));
  EXPECT_TRUE(holds("3.0rc1", "torch<3.0rc2"));
  EXPECT_FALSE(holds("1.7.post1", "torch>1.7"));
  EXPECT_TRUE(holds("1.7.1", "torch>1.7"));
  EXPECT_TRUE(holds("1.7", "torch>=1.7,<=1.7"));
}

TEST(RequirementTest, NamesAreNormalized) {
  EXPECT_EQ(parse_requirement("Foo__Bar.-baz >= 1")->name, "foo-bar-baz");
  EXPECT_EQ(parse_requirement("uvicorn[standard, watch]>=0.20")->name, "uvicorn");
  EXPECT_EQ(parse_requirement("a (>=1.0)")->clauses.size(), 1U);
}

TEST(RequirementTest, ExtrasAreNames) {
  EXPECT_EQ(parse_requirement("uvicorn[Standard, wat_ch] >=0.20")->extras,
            (std::vector<std::string>{"standard", "wat-ch"}));
  EXPECT_TRUE(parse_requirement("a[]")->extras.empty());
  for (const char* bad : {"a[b", "a[b,,c]", "a[-b]", "a[b;c]", "a[b c]"}) {
    EXPECT_FALSE(parse_requirement(bad)) << bad;
  }
}

TEST(RequirementTest, MarkersFollowTheGrammar) {
  EXPECT_EQ(parse_requirement("a>1 ; python_version<'3.12'")->marker, "python_version<'3.12'");
  for (const char* good :
       {"a; os_name == 'posix' and (sys_platform != \"win32\" or '3' <= python_version)",
        "a[b]; 'linux' in sys_platform", "a;platform_machine not in 'x86 arm'"}) {
    EXPECT_TRUE(parse_requirement(good)) << good;
  }
  for (const char* bad :
       {"a;", "a; python_version", "a; python_version < 3", "a; evil == '1'", "a; (os_name == 'x'",
        "a; os_name == 'x' and", "a; os_name == 'x' --index-url", "a; os_namex == 'x'",
        "a; os_name == 'x\n--index-url'", "a; extra == 'x'"}) {
    EXPECT_FALSE(parse_requirement(bad)) << bad;
  }
}

TEST(RequirementTest, WhatIsNoNameOfAPackageIsCalledByItsName) {
  const std::pair<const char*, const char*> cases[] = {{"--index-url https://e", "option"},
                                                       {"-e .", "option"},
                                                       {"git+https://e/x", "repository"},
                                                       {"x @ git+ssh://e/x", "repository"},
                                                       {"https://e/x.whl", "an address"},
                                                       {"x @ https://e/x.whl", "an address"},
                                                       {"x@1", "an address"},
                                                       {"./x", "path"},
                                                       {"../x", "path"},
                                                       {"/tmp/x", "path"},
                                                       {"~/x", "path"},
                                                       {"x-1.0-py3-none-any.whl", "path"},
                                                       {"x-1.0.tar.gz", "path"}};
  for (const auto& [text, word] : cases) {
    const auto parsed = parse_requirement(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find(word), std::string::npos) << parsed.error().message;
  }
}

TEST(RequirementTest, FindingsNameTheirPlace) {
  std::vector<Finding> findings;
  check_requirements({"torch>=2", "torch>>2", "x; import os", "x @ https://e/x.whl", "", "torch~=2",
                      "torch>2.*", "torch=2", "a[b", "torch>=1,,<2", "torch>=1,"},
                     &findings);
  ASSERT_EQ(findings.size(), 10U);
  EXPECT_EQ(findings[0].pointer, "/requirements/1");
  EXPECT_NE(findings[1].message.find("marker"), std::string::npos);
  EXPECT_EQ(findings[9].pointer, "/requirements/10");
}

}  // namespace
}  // namespace bcai::packaging
