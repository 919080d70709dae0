// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/range.h"

#include <gtest/gtest.h>

namespace bcai::coordinator {
namespace {

using Kind = RangeAnswer::Kind;

TEST(RangeTest, ReadsWhatIsAskedFor) {
  struct Row {
    std::string_view header;
    Kind kind;
    int64_t offset;
    int64_t bytes;
  };
  constexpr Row kRows[] = {
      {"", Kind::kWhole, 0, 100},
      {"bytes=0-9", Kind::kPart, 0, 10},
      {"bytes=90-", Kind::kPart, 90, 10},
      {"bytes=90-1000", Kind::kPart, 90, 10},
      {"bytes=-7", Kind::kPart, 93, 7},
      {"bytes=-1000", Kind::kPart, 0, 100},
      {"bytes=99-99", Kind::kPart, 99, 1},
      {"bytes=100-", Kind::kUnsatisfiable, 0, 0},
      {"bytes=-0", Kind::kUnsatisfiable, 0, 0},
      {"bytes=9-0", Kind::kWhole, 0, 100},
      {"bytes=0-1,5-6", Kind::kWhole, 0, 100},
      {"bytes=+1-2", Kind::kWhole, 0, 100},
      {"bytes=99999999999999999999-", Kind::kWhole, 0, 100},
      {"lines=0-9", Kind::kWhole, 0, 100},
      {"bytes=", Kind::kWhole, 0, 100},
      {"bytes=-", Kind::kWhole, 0, 100},
  };
  for (const Row& row : kRows) {
    const RangeAnswer answer = read_range(row.header, 100);
    EXPECT_EQ(answer.kind, row.kind) << row.header;
    EXPECT_EQ(answer.offset, row.offset) << row.header;
    EXPECT_EQ(answer.bytes, row.bytes) << row.header;
  }
  EXPECT_EQ(read_range("bytes=0-", 0).kind, Kind::kUnsatisfiable);
  EXPECT_EQ(read_range("bytes=-1", 0).kind, Kind::kUnsatisfiable);
}

TEST(RangeTest, ParsesContentRange) {
  const ContentRange range = *parse_content_range("bytes 10-19/100");
  EXPECT_EQ(range.offset, 10);
  EXPECT_EQ(range.bytes, 10);
  EXPECT_EQ(range.total, 100);
  for (std::string_view wrong :
       {"", "bytes", "bytes 1-0/5", "bytes 0-5/5", "bytes 0-1/*", "bytes */5", "bytes 0-1/5 ",
        "bytes 0-1", "bytes -1-2/5", "bytes 0-9223372036854775807/9223372036854775808",
        "bytes=0-1/5", "bytes 0x1-2/5"}) {
    EXPECT_FALSE(parse_content_range(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace bcai::coordinator
