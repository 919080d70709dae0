// SPDX-License-Identifier: Apache-2.0
// Answers to native programs, from nodes that need not be honest.
#include <filesystem>

#include "coordinator/programs/quote.h"
#include "coordinator/test_network.h"
#include "vm/binary/binary.h"
#include "vm/program/builder.h"
#include "vm/receipt/receipt.h"
#include "vm/receipt/tensor_root.h"
#include "vm/weights/safetensors.h"

namespace bcai::coordinator {
namespace {

// A job that runs y = -x, and a node that has it.
struct ProgramsApiTest : ::testing::Test {
  TestNetwork network;
  Caller owner = network.owner();
  FakeNode node{network};
  vm::Program program;
  std::string job;
  Lease lease;

  void SetUp() override {
    vm::Builder b;
    const vm::ValueId x = b.argument("x", {vm::DType::kF32, {2}});
    auto made = b.finish({{"y", b.add(vm::Opcode::kNeg, {x})}});
    ASSERT_TRUE(made) << made.error().message;
    program = *made;
    const std::string binary = vm::encode(program);
    const std::string input = *vm::format_npy(vm::Tensor(vm::DType::kF32, {2}));
    json::array files;
    for (const auto& [path, data] : {std::pair("model.bcvm", binary), {"x.npy", input}}) {
      upload(network.owner(), data);
      files.push_back(json::object{
          {"path", path}, {"sha256", Sha256::of(data).text()}, {"bytes", data.size()}});
    }
    const Answer submitted = owner.post("/v1/jobs", json::object{{"program", "model.bcvm"},
                                                                 {"inputs", {{"x", "x.npy"}}},
                                                                 {"files", std::move(files)}});
    ASSERT_EQ(submitted.status, 202) << submitted.body;
    job = submitted.text("id");
    const std::vector<Lease> leases = node.poll(5);
    ASSERT_EQ(leases.size(), 1U);
    lease = leases[0];
  }
  static Sha256 upload(Caller&& caller, const std::string& data) {
    const Sha256 sha256 = Sha256::of(data);
    EXPECT_LT(caller.put("/v1/artifacts/" + sha256.text(), data).status, 300);
    return sha256;
  }
  // What an honest node sends, not yet uploaded.
  std::pair<std::string, std::string> answer() const {
    vm::Tensor y(vm::DType::kF32, {2});
    y.data<float>()[0] = y.data<float>()[1] = -0.0F;
    vm::Receipt receipt;
    receipt.program = vm::program_identity(program);
    receipt.inputs = {vm::tensor_root(vm::Tensor(vm::DType::kF32, {2}))};
    receipt.results = {vm::tensor_root(y)};
    return {to_text(vm::encode_receipt(receipt)),
            *vm::encode_safetensors({.tensors = {{"y", y.type(), y.byte_view()}}, .metadata = {}})};
  }
  static AttemptResult result_of(const Sha256& receipt, const Sha256& tensors) {
    AttemptResult result = FakeNode::finished();
    result.artifacts = {{std::string(kReceiptArtifact), receipt, 1},
                        {std::string(kTensorsArtifact), tensors, 1}};
    return result;
  }
};

TEST_F(ProgramsApiTest, OnlyWhatWasCheckedIsDelivered) {
  const auto [receipt, tensors] = answer();
  AttemptResult result = result_of(upload(node.caller(), receipt), upload(node.caller(), tensors));
  result.left_out = {{"z", "a lie"}};
  result.artifacts.push_back({"outputs/more", upload(node.caller(), "more"), 4});
  const AttemptResult good = result;
  result.artifacts.push_back({std::string(kTensorsArtifact), upload(node.caller(), "other"), 5});
  const Answer twice = node.finish(lease, result);
  EXPECT_EQ(twice.status, 400);
  EXPECT_NE(twice.body.find("is given twice"), std::string::npos) << twice.body;

  EXPECT_EQ(node.finish(lease, good).status, 200);
  const Answer results = owner.get("/v1/jobs/" + job + "/results");
  ASSERT_EQ(results.status, 200) << results.body;
  EXPECT_EQ(results.json.at("artifacts").as_array().size(), 2U);
  EXPECT_TRUE(results.json.at("outputs").as_object().empty());
  EXPECT_TRUE(results.json.at("left_out").as_array().empty());
  EXPECT_EQ(results.json.at("tensors").as_array().size(), 1U);
}

TEST_F(ProgramsApiTest, WhatOthersBroughtIsAsGoodAsMissing) {
  const auto [receipt, tensors] = answer();
  const Sha256 sent = upload(node.caller(), receipt);
  const Answer missing = node.finish(lease, result_of(sent, Sha256::of(tensors)));
  EXPECT_EQ(missing.status, 412) << missing.body;
  FakeNode other(network, 2);
  upload(other.caller(), tensors);
  const Answer foreign = node.finish(lease, result_of(sent, Sha256::of(tensors)));
  EXPECT_EQ(foreign.body, missing.body);
}

TEST_F(ProgramsApiTest, ANodeIsNotBlamedForWhatTheCoordinatorCannotRead) {
  const auto [receipt, tensors] = answer();
  const AttemptResult result =
      result_of(upload(node.caller(), receipt), upload(node.caller(), tensors));
  std::filesystem::path stored;
  const std::string digest = Sha256::of(vm::encode(program)).text();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(network.directory())) {
    if (entry.path().filename() == digest) stored = entry.path();
  }
  ASSERT_FALSE(stored.empty());
  std::filesystem::rename(stored, stored.string() + ".gone");
  EXPECT_EQ(node.finish(lease, result).status, 503);
  std::filesystem::rename(stored.string() + ".gone", stored);
  EXPECT_EQ(node.finish(lease, result).status, 200);
  EXPECT_EQ(owner.get("/v1/jobs/" + job).text("state"), "succeeded");
}

}  // namespace
}  // namespace bcai::coordinator
