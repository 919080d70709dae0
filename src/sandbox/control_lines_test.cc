// SPDX-License-Identifier: Apache-2.0
#include "sandbox/control_lines.h"

#include <gtest/gtest.h>

#include <vector>

namespace bcai::sandbox {
namespace {

struct Lines {
  ControlLines lines;
  std::vector<std::string> accepted;
  void feed(std::string_view data, Instant now = {}) {
    lines.feed(data, now, [&](std::string_view line) { accepted.emplace_back(line); });
  }
};

TEST(ControlLines, CutsAcrossPieces) {
  Lines l;
  l.feed("{\"a\"");
  l.feed(":1}\n{\"b\":2}\n{\"c\"");
  EXPECT_EQ(l.accepted, (std::vector<std::string>{"{\"a\":1}", "{\"b\":2}"}));
  l.feed("}\n\n");
  EXPECT_EQ(l.accepted.size(), 3u);
  EXPECT_EQ(l.lines.lines_left_out(), 0);
}

TEST(ControlLines, TakesWhatAGuestSaysOfItsEndAtAnyRate) {
  Lines l;
  for (int i = 0; i < 1000; i++) l.feed("{}\n");
  const size_t accepted = l.accepted.size();
  for (const char* other : {"{\"ended\":}", "{\"ended\":1", "{\"ended\":99999999999}",
                            "{\"ended\":1}}", "{\"ended\":\"1\"}", "{\"ended\":true}"}) {
    l.feed(std::string(other) + "\n");
  }
  EXPECT_EQ(l.lines.ended(), std::nullopt);
  l.feed("{\"torn\n{\"ended\":137}\n{\"ended\":7");
  EXPECT_EQ(l.lines.ended(), 137);
  EXPECT_EQ(l.accepted.size(), accepted);
}

TEST(ControlLines, LeavesOutWhatIsTooLong) {
  Lines l;
  const std::string longest(ControlLines::kLineBytesMax, 'x');
  l.feed(longest + "\n" + longest + "y\nshort\n");
  ASSERT_EQ(l.accepted.size(), 2u);
  EXPECT_EQ(l.accepted[0], longest);
  EXPECT_EQ(l.accepted[1], "short");
  EXPECT_EQ(l.lines.lines_left_out(), 1);
}

TEST(ControlLines, AnEndlessLineTakesNoMemory) {
  Lines l;
  const std::string piece(60'000, 'x');
  for (int i = 0; i < 100; i++) l.feed(piece);
  l.feed("\nlast\n");
  EXPECT_EQ(l.accepted, std::vector<std::string>{"last"});
}

TEST(ControlLines, AtMostTheRate) {
  Lines l;
  for (int i = 0; i < 1000; i++) l.feed("x\n", {5000});
  EXPECT_EQ(l.accepted.size(), 100u);
  EXPECT_EQ(l.lines.lines_left_out(), 900);
  for (int i = 0; i < 1000; i++) l.feed("x\n", {5500});
  EXPECT_EQ(l.accepted.size(), 150u);
  for (int i = 0; i < 1000; i++) l.feed("x\n", {60'000});
  EXPECT_EQ(l.accepted.size(), 250u);
}

}  // namespace
}  // namespace bcai::sandbox
