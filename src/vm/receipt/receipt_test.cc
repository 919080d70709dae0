// SPDX-License-Identifier: Apache-2.0
#include "vm/receipt/receipt.h"

#include <gtest/gtest.h>

#include "vm/backend/reference/interpreter.h"
#include "vm/binary/binary.h"
#include "vm/program/builder.h"
#include "vm/receipt/tensor_root.h"

namespace bcai::vm {
namespace {

TEST(TensorRootTest, IsTheTreeOfTheHeader) {
  const auto raw = [](const Sha256& digest) {
    return std::string(reinterpret_cast<const char*>(digest.bytes.data()), 32);
  };
  // Three chunks: the third has no sibling and moves up.
  Tensor tensor(DType::kU8, {2, 65'536 + 5});
  tensor.bytes()[3] = std::byte{7};
  const std::string bytes(tensor.byte_view());
  const auto leaf = [&](size_t begin, size_t size) {
    return raw(Sha256::of(std::string(1, '\0') + bytes.substr(begin, size)));
  };
  const std::string pair = raw(Sha256::of("\x01" + leaf(0, 65'536) + leaf(65'536, 65'536)));
  const std::string top = raw(Sha256::of("\x01" + pair + leaf(131'072, 65'536)));
  std::string header("\x02\x07\x02", 3);
  header += std::string("\x02\0\0\0\0\0\0\0\x05\0\x01\0\0\0\0\0", 16);
  EXPECT_EQ(tensor_root(tensor), Sha256::of(header + top));
  EXPECT_NE(tensor_root(Tensor(DType::kF32, {0})), tensor_root(Tensor(DType::kF32, {0, 1})));
}

// Four instructions; the third is `third`.
Program chain(Opcode third) {
  Builder builder;
  const ValueId x = builder.argument("x", {DType::kF32, {100}});
  const ValueId a = builder.add(Opcode::kExp, {x});
  const ValueId b = builder.add(Opcode::kAdd, {a, x});
  const ValueId c = builder.add(third, {b, a});
  const ValueId d = builder.add(Opcode::kTanh, {c});
  builder.checkpoint(a);
  builder.checkpoint(c);
  return *builder.finish({{"y", d}});
}

Receipt receipt_of(const Program& program, const Sha256& identity, bool with_trace) {
  std::vector<ProgramFinding> findings;
  const auto verified = verify(program, &findings);
  EXPECT_TRUE(verified) << findings_text(findings);
  const auto bound = bind(*verified, {}, &findings);
  ReceiptRecorder recorder(*verified, identity, {}, with_trace);
  Tensor x(DType::kF32, {100});
  for (int i = 0; i < 100; ++i) x.data<float>()[i] = static_cast<float>(i) / 64;
  const std::vector<Tensor> inputs = {x};
  const auto results = reference::run(*bound, inputs, {}, [&](ValueId value, const Tensor& tensor) {
    recorder.observe(value, tensor);
  });
  EXPECT_TRUE(results);
  return recorder.finish(inputs, *results);
}

TEST(ReceiptTest, TwoRunsAgree) {
  const Program program = chain(Opcode::kSub);
  const Sha256 identity = program_identity(program);
  const Receipt first = receipt_of(program, identity, true);
  const Receipt second = receipt_of(program, identity, false);
  EXPECT_EQ(first.commitment(), second.commitment());
  EXPECT_FALSE(compare_receipts(program, first, second));
  EXPECT_EQ(first.checkpoints.size(), 2U);
  EXPECT_EQ(first.trace.size(), 4U);
}

// The liar computes something else in one instruction and goes on honestly from there.
TEST(ReceiptTest, TheFirstWrongInstructionIsNamed) {
  const Program program = chain(Opcode::kSub);
  const Sha256 identity = program_identity(program);
  const Receipt honest = receipt_of(program, identity, true);
  const Receipt liar = receipt_of(chain(Opcode::kMul), identity, true);
  const auto difference = compare_receipts(program, liar, honest);
  ASSERT_TRUE(difference);
  EXPECT_EQ(difference->what, "checkpoint %3");
  EXPECT_EQ(maker_of(program, *difference->value), "main, instruction 2 (Sub)");
  // Without traces the checkpoint is what is known.
  Receipt bare = liar;
  bare.trace.clear();
  EXPECT_EQ(maker_of(program, *compare_receipts(program, bare, honest)->value),
            "main, instruction 2 (Sub)");
  // A flipped result alone.
  Receipt flipped = honest;
  flipped.results[0].bytes[5] ^= 1U;
  EXPECT_EQ(compare_receipts(program, flipped, honest)->what, "result 'y'");
}

TEST(ReceiptTest, JsonRoundTripsAndIsChecked) {
  const Program program = chain(Opcode::kSub);
  Receipt receipt = receipt_of(program, program_identity(program), true);
  receipt.symbols = {{"B", 3}};
  std::vector<Finding> findings;
  const auto again = decode_receipt(encode_receipt(receipt), &findings);
  ASSERT_TRUE(again) << findings_text(findings);
  EXPECT_EQ(again->commitment(), receipt.commitment());
  EXPECT_EQ(again->trace, receipt.trace);

  json::value changed = encode_receipt(receipt);
  changed.as_object()["symbols"].as_object()["B"] = 4;
  EXPECT_FALSE(decode_receipt(changed, &findings));
  EXPECT_EQ(findings_text(findings), "/commitment: is not that of the rest");
  findings.clear();
  EXPECT_FALSE(decode_receipt(json::parse(R"({"format":"x","inputs":[1],"more":2})"), &findings));
  EXPECT_GE(findings.size(), 5U);
}

}  // namespace
}  // namespace bcai::vm
