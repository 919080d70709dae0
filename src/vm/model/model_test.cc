// SPDX-License-Identifier: Apache-2.0
#include "vm/model/model.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "vm/program/builder.h"

namespace bcai::vm {
namespace {

Tensor numbers(std::vector<int64_t> dims) {
  Tensor tensor(DType::kF32, std::move(dims));
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = static_cast<float>(i);
  return tensor;
}

Program program_of(const Tensor& weight) {
  Builder builder;
  const ValueId x = builder.argument("x", weight.type());
  const uint32_t file = builder.file({.name = "model"});
  const ValueId w = builder.param(file, "w", weight.type());
  Result<Program> program = builder.finish({{"y", builder.add(Opcode::kAdd, {x, w})}});
  EXPECT_TRUE(program);
  return *std::move(program);
}

class ModelTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "model.XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path directory_;
};

TEST_F(ModelTest, WhatIsSavedIsWhatWasNamed) {
  const Tensor weight = numbers({2, 3});
  Result<Model> model = Model::of_tensors(program_of(weight), {{"w", weight}});
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_TRUE(model->save(directory_ / "m.bcvm"));
  Result<std::string> file = read_file(directory_ / "m.safetensors");
  ASSERT_TRUE(file);
  const WeightFile& named = model->program().program().files[0];
  EXPECT_EQ(named.sha256, Sha256::of(*file));
  EXPECT_EQ(named.bytes, file->size());

  Result<std::string> source = read_file(directory_ / "m.bcvm");
  Result<VerifiedProgram> program = parse_verified_program(*source);
  ASSERT_TRUE(program) << program.error().message;
  Result<std::unique_ptr<WeightStore>> store = WeightStore::open(directory_ / "store");
  Result<Model> missing = Model::of_files(*program, {}, **store);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  const std::vector<std::filesystem::path> paths = {directory_ / "m.safetensors"};
  Result<Model> again = Model::of_files(*program, paths, **store);
  ASSERT_TRUE(again) << again.error().message;
  const Tensor read = again->tensor(program->program().params[0]);
  EXPECT_TRUE(std::ranges::equal(read.bytes(), weight.bytes()));

  // A model out of the store is saved byte by byte.
  ASSERT_TRUE(again->save(directory_ / "n.bcvm"));
  EXPECT_EQ(*read_file(directory_ / "n.safetensors"), *file);
  EXPECT_EQ(*read_file(directory_ / "n.bcvm"), *source);
}

TEST_F(ModelTest, AnImportedModelHasEveryTensor) {
  const Tensor weight = numbers({2, 3});
  Result<Model> missing = Model::of_tensors(program_of(weight), {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message,
            "V27: weight file 'model' has nothing as 'w', expected f32[2,3]");
  Result<Model> other = Model::of_tensors(program_of(weight), {{"w", numbers({3, 2})}});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().message,
            "V27: weight file 'model' has f32[3,2] as 'w', expected f32[2,3]");
}

TEST(ParseProgram, RefusesWithEveryFinding) {
  const Result<VerifiedProgram> text = parse_verified_program("bcvm 1.0 profile n1\nfunc\nfunc\n");
  ASSERT_FALSE(text);
  EXPECT_TRUE(text.error().message.starts_with("2:")) << text.error().message;
  const Result<VerifiedProgram> binary = parse_verified_program("BCVM");
  ASSERT_FALSE(binary);
  EXPECT_NE(binary.error().message.find("byte"), std::string::npos);
}

}  // namespace
}  // namespace bcai::vm
