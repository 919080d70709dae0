// SPDX-License-Identifier: Apache-2.0
#include "vm/onnx/wire.h"

#include <gtest/gtest.h>

namespace bcai::vm::onnx {
namespace {

using std::string_literals::operator""s;

// The fields of a message as text, or the error.
std::string fields(std::string_view bytes) {
  WireReader reader(bytes);
  std::string text;
  Field field;
  while (true) {
    const Result<bool> more = reader.next(&field);
    if (!more) return more.error().message;
    if (!*more) return text;
    text += fmt::format("{}:{}:{}{} ", field.number, static_cast<int>(field.type), field.bytes,
                        field.type == WireType::kBytes ? "" : std::to_string(field.value));
  }
}

TEST(WireTest, EveryWireTypeIsRead) {
  EXPECT_EQ(fields(""), "");
  EXPECT_EQ(fields("\x08\x96\x01"s), "1:0:150 ");
  EXPECT_EQ(fields("\x12\x03"s + "abc"), "2:2:abc ");
  EXPECT_EQ(fields("\x1d\x00\x00\x80\x3f"s), "3:5:1065353216 ");
  EXPECT_EQ(fields("\x21\x01\x00\x00\x00\x00\x00\x00\x00"s), "4:1:1 ");
  EXPECT_EQ(fields("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s), "1:0:18446744073709551615 ");
}

TEST(WireTest, WhatIsMalformedIsRefused) {
  EXPECT_EQ(fields("\x08"s), "byte 1: a number is cut off");
  EXPECT_EQ(fields("\x08\x80"s), "byte 2: a number is cut off");
  EXPECT_EQ(fields("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"s),
            "byte 11: a number exceeds 64 bits");
  EXPECT_EQ(fields("\x12\x04"s + "abc"), "byte 2: field 2 has 4 bytes, 3 are left");
  EXPECT_EQ(fields("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s),
            "byte 11: field 2 has 18446744073709551615 bytes, 0 are left");
  EXPECT_EQ(fields("\x1d\x01\x02"s), "byte 1: 4 bytes are cut off");
  EXPECT_EQ(fields("\x00\x01"s), "byte 1: field number 0");
  EXPECT_EQ(fields("\x0b"s), "byte 1: wire type 3");
}

TEST(WireTest, RepeatedNumbersArePackedOrNot) {
  std::vector<int64_t> integers;
  Field field{1, WireType::kBytes, 0, "\x01\x96\x01"};
  ASSERT_TRUE(append_integers(field, &integers));
  field = {1, WireType::kVarint, 7, {}};
  ASSERT_TRUE(append_integers(field, &integers));
  EXPECT_EQ(integers, (std::vector<int64_t>{1, 150, 7}));
  std::vector<float> floats;
  const std::string packed = "\x00\x00\x80\x3f\x00\x00\x00"s;
  field = {1, WireType::kBytes, 0, packed};
  EXPECT_FALSE(append_floats(field, &floats));
  field.type = WireType::kFixed64;
  EXPECT_EQ(append_floats(field, &floats).error().message,
            "field 1 has wire type 1, expected 2, bytes");
}

}  // namespace
}  // namespace bcai::vm::onnx
