// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "cli/findings.h"
#include "cli/screen.h"
#include "cli/table.h"

namespace bcai::cli {
namespace {

TEST(Screen, WidthCountsWhatTheTerminalShows) {
  EXPECT_EQ(display_width("abc"), 3);
  EXPECT_EQ(display_width("äé"), 2);
  EXPECT_EQ(display_width("日本"), 4);
  EXPECT_EQ(display_width("e\xCC\x81"), 1);
  EXPECT_EQ(display_width("\xFF\xFE"), 2);
}

TEST(Screen, ShortensAtCharacters) {
  EXPECT_EQ(shorten("abcdef", 6), "abcdef");
  EXPECT_EQ(shorten("abcdef", 4), "abc…");
  EXPECT_EQ(shorten("日本語", 4), "日…");
  EXPECT_EQ(shorten("abc", 0), "");
}

TEST(Screen, ControlCharactersDoNotReachTheTerminal) {
  EXPECT_EQ(printable("a\033[31mb\r"), "a?[31mb?");
  EXPECT_EQ(printable("\xC2\x9B"), "?");
  EXPECT_EQ(printable("ä\xFF"), "ä\xEF\xBF\xBD");
}

TEST(Screen, LineBreaksOfOthersBeginNoLineOfOurs) {
  const std::string explained = "no solution:\n  because\x1b[A a\n\n\n\tand b\r\nerror: c\n";
  EXPECT_EQ(printable(explained), "no solution: because?[A a ?and b? error: c");
  EXPECT_EQ(printable_lines(explained, 4),
            "no solution:\n    because?[A a\n    ?and b?\n    error: c");
  EXPECT_EQ(printable_lines("one line", 4), "one line");
  EXPECT_EQ(printable_lines("", 4), "");
}

TEST(Screen, StylesOnlyWhereThereIsColour) {
  Screen screen;
  EXPECT_EQ(screen.styled_out(Style::kRed, "x"), "x");
  screen.colour_out = true;
  EXPECT_EQ(screen.styled_out(Style::kRed, "x"), "\033[31mx\033[0m");
  EXPECT_EQ(screen.styled_err(Style::kRed, "x"), "x");
}

TEST(Table, AlignsByWidthAndEndsLinesCleanly) {
  Table table({"ID", "NAME", "STATE"});
  table.add({{"job_1"}, {"日本"}, {"queued"}});
  table.add({{"j"}, {"long name"}, {""}});
  EXPECT_EQ(table.text(Screen{}),
            "ID     NAME       STATE\n"
            "job_1  日本       queued\n"
            "j      long name\n");
}

TEST(Table, CutsTheLastColumnOnTerminalsOnly) {
  Table table({"A", "REASON"});
  table.add({{"1"}, {"a reason that is longer than the screen"}});
  Screen screen;
  screen.width = 20;
  EXPECT_NE(table.text(screen).find("than the screen"), std::string::npos);
  screen.out_is_terminal = true;
  EXPECT_EQ(table.text(screen), "A  REASON\n1  a reason that is…\n");
}

TEST(Findings, CaretStandsUnderThePlace) {
  const std::vector<Finding> findings{
      {.pointer = "/code", .message = "import of 'ctypes' is not allowed", .line = 2, .column = 8},
      {.pointer = "/hardware/memory", .message = "expected more", .line = 0, .column = 0}};
  EXPECT_EQ(findings_with_source(Screen{}, findings, "train.py", "import os\nimport ctypes\n"),
            "train.py:2:8: import of 'ctypes' is not allowed\n"
            "    import ctypes\n"
            "           ^\n"
            "/hardware/memory: expected more\n");
}

TEST(Findings, CaretCountsCharactersAndShowsTabsAsOneColumn) {
  const std::vector<Finding> wide{{.pointer = "/code", .message = "m", .line = 1, .column = 4}};
  EXPECT_EQ(findings_with_source(Screen{}, wide, "a.py", "\t日 x"),
            "a.py:1:4: m\n     日 x\n        ^\n");
}

TEST(Findings, PlacesOutsideTheCodeAreHarmless) {
  const std::vector<Finding> odd{
      {.pointer = "/code", .message = "m", .line = 900, .column = 4},
      {.pointer = "/code", .message = "n\033[2J", .line = 1, .column = 900}};
  EXPECT_EQ(findings_with_source(Screen{}, odd, "a.py", "x"),
            "a.py:900:4: m\na.py:1:900: n?[2J\n    x\n     ^\n");
}

TEST(Utf8, NamesLineAndByte) {
  EXPECT_TRUE(check_utf8("print('ä日')\n", "a.py"));
  const Result<void> bad = check_utf8("x = 1\ny = '\xE4'\n", "a.py");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "a.py:2: not UTF-8: byte 0xe4 at offset 11 of the file");
  EXPECT_EQ(bad.error().code, ErrorCode::kInvalidArgument);
  for (const char* wrong : {"\xC0\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xE2\x82", "\x80"}) {
    EXPECT_FALSE(check_utf8(wrong, "a.py"));
  }
}

}  // namespace
}  // namespace bcai::cli
