// SPDX-License-Identifier: Apache-2.0
#include "vm/tensor/tensor.h"

#include <gtest/gtest.h>

#include <cstring>

namespace bcai::vm {
namespace {

TEST(TensorTest, IsZeroedAndAligned) {
  Tensor tensor(DType::kF32, {3, 5});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.bytes().data()) % 64, 0U);
  for (int i = 0; i < 15; ++i) EXPECT_EQ(tensor.data<float>()[i], 0.0F);
  EXPECT_EQ(Tensor(DType::kI64, {4, 0}).byte_count(), 0);
  EXPECT_EQ(Tensor(DType::kI64, {}).elements(), 1);
}

TEST(NpyTest, RoundTrip) {
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kI64, DType::kI32, DType::kI8, DType::kU8, DType::kBool}) {
    for (const std::vector<int64_t>& dims :
         std::vector<std::vector<int64_t>>{{}, {1}, {3}, {2, 3}, {0, 4}, {1, 2, 3, 4, 5}}) {
      Tensor tensor(dtype, dims);
      for (size_t i = 0; i < tensor.bytes().size(); ++i) {
        tensor.bytes()[i] = static_cast<std::byte>(dtype == DType::kBool ? i % 2 : i);
      }
      const Result<std::string> file = format_npy(tensor);
      ASSERT_TRUE(file);
      EXPECT_EQ((file->size() - tensor.bytes().size()) % 64, 0U);
      const Result<Tensor> again = parse_npy(*file);
      ASSERT_TRUE(again) << again.error().message;
      EXPECT_EQ(again->type(), tensor.type());
      EXPECT_TRUE(std::equal(tensor.bytes().begin(), tensor.bytes().end(), again->bytes().begin()));
    }
  }
}

std::string npy(std::string header, std::string_view body = {}) {
  std::string file = "\x93NUMPY";
  file += {'\x01', '\x00', static_cast<char>(header.size()), '\0'};
  return file + header + std::string(body);
}
std::string problem(const std::string& file) {
  const Result<Tensor> tensor = parse_npy(file);
  return tensor ? "" : tensor.error().message.substr(26);
}

TEST(NpyTest, WhatIsNotReadableIsNamed) {
  EXPECT_EQ(problem(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n", "abcd")),
            "");
  EXPECT_EQ(problem("PK"), "it does not start with \\x93NUMPY");
  EXPECT_EQ(problem(npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "abcd")),
            "dtype '>f4'");
  EXPECT_EQ(problem(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2,2), }")),
            "Fortran order; expected C order");
  EXPECT_EQ(problem(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "abcd")),
            "4 bytes of elements, expected 8");
  EXPECT_EQ(problem(npy("{'descr': '<f4', 'fortran_order': False, 'shape': "
                        "(2147483647,2147483647,2147483647,2147483647), }")),
            "shape is too large");
  EXPECT_EQ(problem(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }")), "shape");
  EXPECT_EQ(problem(npy("{'descr': '|b1', 'fortran_order': False, 'shape': (1,), }", "\x02")),
            "a bool is neither 0 nor 1");
}

}  // namespace
}  // namespace bcai::vm
