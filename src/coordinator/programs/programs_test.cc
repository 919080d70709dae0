// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <stdlib.h>

#include <map>

#include "base/file.h"
#include "coordinator/programs/answer.h"
#include "coordinator/programs/compare.h"
#include "protocol/program_exit.h"
#include "vm/binary/binary.h"
#include "vm/program/builder.h"
#include "vm/receipt/tensor_root.h"
#include "vm/weights/safetensors.h"

namespace bcai::coordinator {
namespace {

namespace fs = std::filesystem;
using vm::DType;
using vm::Opcode;

// A store of files, a program y = exp(-x) + w for any B, and a job that runs it.
struct ProgramsTest : ::testing::Test {
  fs::path directory;
  vm::Program program;
  std::string weights;
  JobSpec spec;
  std::vector<Finding> findings;
  FindFile find_file = [this](const Sha256& sha256) { return directory / sha256.text(); };

  void SetUp() override {
    std::string name = ::testing::TempDir() + "programs_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory = name;
    weights = encode_f32("w", {4}, {1, 2, 3, 4});
    vm::Builder b;
    const vm::Dim rows = b.symbol({.name = "B", .min = 1, .max = 8});
    const uint32_t file =
        b.file({.name = "model", .sha256 = Sha256::of(weights), .bytes = weights.size()});
    const vm::ValueId x = b.argument("x", {DType::kF32, {rows, 4}});
    const vm::ValueId w = b.param(file, "w", {DType::kF32, {4}});
    const vm::ValueId e = b.add(Opcode::kExp, {b.add(Opcode::kNeg, {x})});
    auto made = b.finish({{"y", b.add(Opcode::kAdd, {e, w})}});
    ASSERT_TRUE(made) << made.error().message;
    program = *made;
    vm::Tensor input(DType::kF32, {2, 4});
    spec.program = "model.bcvm";
    spec.inputs = {{"x", "x.npy"}};
    spec.files = {put("model.bcvm", vm::encode(program)), put("x.npy", *vm::format_npy(input)),
                  put("anywhere", weights)};
    spec.replicas = 2;
  }
  void TearDown() override { fs::remove_all(directory); }

  InputFile put(std::string path, const std::string& data) {
    const Sha256 sha256 = Sha256::of(data);
    EXPECT_TRUE(write_file(directory / sha256.text(), data));
    return {.path = std::move(path), .sha256 = sha256, .bytes = static_cast<int64_t>(data.size())};
  }
  static std::string encode_f32(std::string name, std::vector<int64_t> dims,
                                std::vector<float> values) {
    vm::Tensor tensor(DType::kF32, std::move(dims));
    std::copy(values.begin(), values.end(), tensor.data<float>());
    return *vm::encode_safetensors(
        {.tensors = {{std::move(name), tensor.type(), tensor.byte_view()}}, .metadata = {}});
  }
  std::optional<Quote> quote() {
    findings.clear();
    return quote_program(spec, find_file, &findings);
  }
  std::string said() const { return findings_text(findings); }

  // What a node whose result is all `value` says.
  vm::Receipt receipt_of(float value) const {
    vm::Tensor y(DType::kF32, {2, 4});
    std::fill_n(y.data<float>(), 8, value);
    vm::Receipt receipt;
    receipt.program = vm::program_identity(program);
    receipt.symbols = {{"B", 2}};
    receipt.weights = {Sha256::of(weights)};
    receipt.inputs = {vm::tensor_root(vm::Tensor(DType::kF32, {2, 4}))};
    receipt.results = {vm::tensor_root(y)};
    for (const vm::ValueId id : vm::trace_values(program)) {
      receipt.trace.push_back({id, Sha256::of(fmt::format("{}", id))});
    }
    receipt.trace.back().root = receipt.results[0];
    return receipt;
  }
  AttemptResult result_of(const std::string& receipt, const std::string& tensors) {
    AttemptResult result;
    result.outcome = Outcome::kFinished;
    for (const auto& [name, data] :
         {std::pair(kReceiptArtifact, receipt), std::pair(kTensorsArtifact, tensors)}) {
      const InputFile file = put("", data);
      result.artifacts.push_back({std::string(name), file.sha256, file.bytes});
    }
    return result;
  }
  Result<CheckedAnswer> check(const std::string& receipt, const std::string& tensors) {
    return check_answer(spec, *quote(), result_of(receipt, tensors), find_file);
  }
};

TEST_F(ProgramsTest, AQuoteCountsTheProgramAsWritten) {
  const auto found = quote();
  ASSERT_TRUE(found) << said();
  EXPECT_EQ(found->program, vm::program_identity(program));
  EXPECT_EQ(found->symbols.at("B"), 2);
  EXPECT_EQ(found->weight_bytes, 16U);
  EXPECT_GT(found->gas, 0U);
  const Quote again = decode_quote(encode(*found));
  EXPECT_EQ(to_text(encode(again)), to_text(encode(*found)));
}

TEST_F(ProgramsTest, NoByteOfAProgramCanBeOtherwise) {
  const std::string good = vm::encode(program);
  const std::optional<Quote> right = quote();
  ASSERT_TRUE(right);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0xff);
    spec.files[0] = put("model.bcvm", bad);
    const auto found = quote();
    EXPECT_TRUE(found ? found->program != right->program : !findings.empty()) << i;
    spec.files[0] = put("model.bcvm", good.substr(0, i));
    EXPECT_FALSE(quote());
    EXPECT_FALSE(findings.empty());
  }
}

TEST_F(ProgramsTest, WhatIsMissingOrOfAnotherTypeIsNamed) {
  spec.hardware.memory_bytes = 20'000'000;
  EXPECT_FALSE(quote());
  EXPECT_NE(said().find("is 20000000 bytes, but the program needs at least"), said().npos);
  spec.hardware = {};
  const InputFile there = spec.files[2];
  spec.files[2] = put("anywhere", encode_f32("v", {4}, {1, 2, 3, 4}));
  EXPECT_FALSE(quote());
  EXPECT_NE(said().find("is none of the job's files"), said().npos);
  spec.files[2] = there;
  for (const auto& [dims, message] : {std::pair(std::vector<int64_t>{2, 3}, "/inputs"),
                                      {std::vector<int64_t>{9, 4}, "/inputs"},
                                      {std::vector<int64_t>{4}, "/inputs"}}) {
    spec.files[1] = put("x.npy", *vm::format_npy(vm::Tensor(DType::kF32, dims)));
    EXPECT_FALSE(quote());
    EXPECT_NE(said().find(message), said().npos) << said();
  }
  spec.files[1] = put("x.npy", vm::format_npy(vm::Tensor(DType::kF32, {2, 4}))->substr(0, 100));
  EXPECT_FALSE(quote());
}

TEST_F(ProgramsTest, WhatNoNodeCouldRunIsRefused) {
  const auto refuse = [&](std::string_view expected, const auto& make) {
    vm::Builder b;
    auto made = b.finish(make(b));
    ASSERT_TRUE(made) << made.error().message;
    spec.files[0] = put("model.bcvm", vm::encode(*made));
    EXPECT_FALSE(quote());
    EXPECT_LE(findings.size(), 50U);
    EXPECT_NE(said().find(expected), said().npos) << said().substr(0, 1000);
  };
  using Results = std::vector<std::pair<std::string, vm::ValueId>>;
  refuse("has 1001 results, expected at most 1000", [](vm::Builder& b) {
    const vm::ValueId x = b.argument("x", {DType::kF32, {2, 4}});
    Results results;
    for (int i = 0; i < 1001; ++i) {
      results.emplace_back(fmt::format("y{}", i), b.add(Opcode::kNeg, {x}));
    }
    return results;
  });
  const auto with_files = [&](int count, const std::string& name) {
    return [&, count, name](vm::Builder& b) {
      const vm::ValueId x = b.argument("x", {DType::kF32, {2, 4}});
      std::vector<vm::ValueId> params;
      for (int i = 0; i < count; ++i) {
        const uint32_t file = b.file({.name = fmt::format("model{}", i),
                                      .sha256 = Sha256::of(weights),
                                      .bytes = weights.size()});
        params.push_back(b.param(file, name, {DType::kF32, {4}}));
      }
      vm::ValueId sum = x;
      for (const vm::ValueId param : params) sum = b.add(Opcode::kAdd, {sum, param});
      return Results{{"y", sum}};
    };
  };
  refuse("has 257 weight files, expected at most 256", with_files(257, "w"));
  refuse("has nothing as 'v', expected f32[4]", with_files(100, "v"));
  refuse("input 'a=b' cannot be given", [](vm::Builder& b) {
    const vm::ValueId x = b.argument("a=b", {DType::kF32, {2, 4}});
    return Results{{"y", b.add(Opcode::kNeg, {x})}};
  });
}

TEST_F(ProgramsTest, AWeightFileIsNeitherTheProgramNorAnInput) {
  spec.inputs["w"] = "anywhere";
  EXPECT_FALSE(quote());
  EXPECT_NE(said().find("is none of the job's files that are neither"), said().npos) << said();
}

TEST_F(ProgramsTest, WhatDoesNotFitTheDiskIsRefused) {
  ASSERT_TRUE(quote());
  spec.hardware.disk_bytes = 2000;
  EXPECT_FALSE(quote());
  EXPECT_NE(said().find("/hardware/disk"), said().npos) << said();
}

TEST_F(ProgramsTest, ResultsBeyondWhatANodeCarriesAreRefused) {
  vm::Builder b;
  b.argument("x", {DType::kF32, {2, 4}});
  auto made = b.finish({{"y", b.add_stated(Opcode::kFill, {}, {DType::kF32, {250'000'000}})}});
  ASSERT_TRUE(made) << made.error().message;
  spec.files[0] = put("model.bcvm", vm::encode(*made));
  spec.hardware.memory_bytes = spec.hardware.disk_bytes = 100'000'000'000;
  EXPECT_FALSE(quote());
  EXPECT_NE(said().find("its results have 1000100000 bytes, expected at most"), said().npos)
      << said();
}

TEST_F(ProgramsTest, AnAnswerHoldsTogetherOrIsRefused) {
  const std::string tensors = encode_f32("y", {2, 4}, std::vector<float>(8, 5));
  const vm::Receipt receipt = receipt_of(5);
  const auto good = check(to_text(vm::encode_receipt(receipt)), tensors);
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->commitment, receipt.commitment());
  ASSERT_EQ(good->tensors.size(), 1U);
  EXPECT_EQ(good->tensors[0].dtype, "F32");

  std::vector<std::pair<std::string, std::string>> bad;
  bad.emplace_back(to_text(vm::encode_receipt(receipt)), encode_f32("y", {2, 4}, {5}));
  bad.emplace_back(to_text(vm::encode_receipt(receipt)), encode_f32("z", {2, 4}, {5}));
  bad.emplace_back(to_text(vm::encode_receipt(receipt)),
                   encode_f32("y", {4, 2}, std::vector<float>(8, 5)));
  bad.emplace_back(to_text(vm::encode_receipt(receipt)), tensors.substr(0, 40));
  bad.emplace_back("{}", tensors);
  bad.emplace_back(std::string(1000, '['), tensors);
  const auto spoilt = [&](auto spoil) {
    vm::Receipt other = receipt;
    spoil(other);
    bad.emplace_back(to_text(vm::encode_receipt(other)), tensors);
  };
  spoilt([](vm::Receipt& r) { r.program = {}; });
  spoilt([](vm::Receipt& r) { r.symbols["B"] = 3; });
  spoilt([](vm::Receipt& r) { r.weights.clear(); });
  spoilt([](vm::Receipt& r) { r.inputs.clear(); });
  spoilt([](vm::Receipt& r) { r.results.push_back({}); });
  spoilt([](vm::Receipt& r) { r.trace.pop_back(); });
  spoilt([](vm::Receipt& r) { std::swap(r.trace[0], r.trace[1]); });
  spoilt([](vm::Receipt& r) { r.checkpoints.push_back(r.trace[0]); });
  for (const auto& [text, file] : bad) {
    const auto refused = check(text, file);
    EXPECT_FALSE(refused) << text.substr(0, 200);
    if (!refused) {
      EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    }
  }
}

TEST_F(ProgramsTest, ARefusalIsTextWhateverTheReceiptSays) {
  const std::string tensors = encode_f32("y", {2, 4}, std::vector<float>(8, 5));
  for (size_t shift = 0; shift < 4; ++shift) {
    std::string format(shift, 'a');
    while (format.size() < 4000) format += "\U0001F600";
    const auto refused = check(to_text(json::object{{"format", format}}), tensors);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(parse_json(to_text(json::value(refused.error().message)))) << shift;
  }
}

TEST_F(ProgramsTest, AReRunBeyondTheMachinesMemoryIsNotStarted) {
  spec.hardware.memory_bytes = int64_t{1} << 60;
  const auto found =
      run_again({.program = "/bin/true", .directory = directory / "again"}, spec, find_file);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kResourceExhausted);
  EXPECT_FALSE(fs::exists(directory / "again"));
}

TEST_F(ProgramsTest, TheReRunTellsWhoDiffersAndWhere) {
  const vm::Receipt right = receipt_of(5);
  vm::Receipt wrong = receipt_of(6);
  wrong.trace[2].root = Sha256::of("a lie");
  const auto claim = [&](std::string node, const vm::Receipt& receipt) {
    ReplicaClaim made;
    made.answer.node_name = std::move(node);
    made.answer.commitment = receipt.commitment();
    made.receipt = find_file(put("", to_text(vm::encode_receipt(receipt))).sha256);
    return made;
  };
  ReplicaClaim failed{
      .answer = {}, .receipt = {}, .outcome = Outcome::kFinished, .exit_code = kProgramFailedExit};
  failed.answer.node_name = "claims a trap";
  const std::vector<ReplicaClaim> claims = {claim("liar", wrong), claim("honest", right), failed};
  const Verification found = compare_with_rerun(program, claims, {.receipt = right, .failure = ""});
  ASSERT_EQ(found.answers.size(), 3U);
  EXPECT_EQ(found.answers[0].agrees, false);
  EXPECT_EQ(found.answers[0].differs, "result 'y'");
  EXPECT_EQ(found.answers[0].instruction, vm::maker_of(program, vm::trace_values(program)[2]));
  EXPECT_EQ(found.answers[1].agrees, true);
  EXPECT_EQ(found.answers[2].agrees, false);
  EXPECT_EQ(found.rerun_commitment, right.commitment());
  std::vector<Finding> wrongs;
  EXPECT_EQ(to_text(encode(decode_verification(encode(found), &wrongs))), to_text(encode(found)));
  EXPECT_TRUE(wrongs.empty());

  // The commitment decides; what is said of the values between does not.
  vm::Receipt other_trace = right;
  other_trace.trace[1].root = Sha256::of("another");
  const Verification agreed =
      compare_with_rerun(program, {claim("n", other_trace)}, {.receipt = right, .failure = ""});
  EXPECT_EQ(agreed.answers[0].agrees, true);
  EXPECT_EQ(agreed.answers[0].differs, "");

  const Verification trapped =
      compare_with_rerun(program, claims, {.receipt = std::nullopt, .failure = "out of range"});
  EXPECT_EQ(trapped.answers[1].agrees, false);
  EXPECT_EQ(trapped.answers[2].agrees, true);
  failed.exit_code = 134;  // an abort says nothing of the program
  const Verification aborted =
      compare_with_rerun(program, {failed}, {.receipt = std::nullopt, .failure = "out of range"});
  EXPECT_EQ(aborted.answers[0].agrees, false);
}

}  // namespace
}  // namespace bcai::coordinator
