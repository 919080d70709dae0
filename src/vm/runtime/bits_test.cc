// SPDX-License-Identifier: Apache-2.0
// Random programs: the runtime's results have the bits of the reference backend at every SIMD
// level, on one and two threads, with passes and fusion and without, between guard pages. It traps
// when and as the reference does.
//   BCAI_PROGRAMS=100000 BCAI_SEED=1 vm_runtime_test --gtest_filter='Bits*'
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <limits>

#include "vm/backend/reference/interpreter.h"
#include "vm/generator/generator.h"
#include "vm/isa/choices.h"
#include "vm/program/builder.h"
#include "vm/runtime/executable.h"

namespace bcai::vm {
namespace {

uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

Result<Tensor> weight_by_name(const WeightFile&, const Param& param) {
  return random_tensor(param.type, std::hash<std::string>()(param.name));
}

// Where the results differ first; empty when they have the same bits.
std::string difference(const Result<std::vector<Tensor>>& expected,
                       const Result<std::vector<Tensor>>& found) {
  if (expected.has_value() != found.has_value()) {
    return expected ? "trapped: " + found.error().message
                    : "did not trap: " + expected.error().message;
  }
  if (!expected) {
    return expected.error().message == found.error().message ? "" : found.error().message;
  }
  for (size_t i = 0; i < expected->size(); ++i) {
    const Tensor& a = (*expected)[i];
    const Tensor& b = (*found)[i];
    if (!(a.type() == b.type())) return fmt::format("result {}: {}", i, to_text(b.type(), {}));
    const auto size = static_cast<size_t>(dtype_bytes(a.dtype()));
    for (size_t at = 0; at < a.bytes().size(); at += size) {
      if (std::memcmp(a.bytes().data() + at, b.bytes().data() + at, size) == 0) continue;
      uint64_t bits[2] = {0, 0};
      std::memcpy(&bits[0], a.bytes().data() + at, size);
      std::memcpy(&bits[1], b.bytes().data() + at, size);
      return fmt::format("result {} {}: element {} is {:#x}, expected {:#x}", i,
                         to_text(a.type(), {}), at / size, bits[1], bits[0]);
    }
  }
  return "";
}

struct Case {
  PrepareOptions options;
  std::string name;
};

std::vector<Case> cases_of(uint64_t seed) {
  std::vector<Case> cases;
  for (const SimdLevel level : {SimdLevel::kPortable, SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    if (!has_simd_level(level)) continue;
    const int threads = 1 + static_cast<int>((seed + static_cast<uint64_t>(level)) % 2);
    cases.push_back({{.level = level, .threads = threads, .parallel_ns_min = 0},
                     fmt::format("{}, {} threads", simd_level_name(level), threads)});
  }
  const CompileOptions parts[] = {
      {.rewrite = false, .fuse = false}, {.rewrite = true, .fuse = false}, {.rewrite = false}};
  cases.push_back({{.threads = 1, .compile = parts[seed % 3]}, fmt::format("part {}", seed % 3)});
  return cases;
}

void check(uint64_t seed, const std::vector<Case>& cases, const GeneratorOptions& generator) {
  std::vector<ProgramFinding> findings;
  const auto verified = verify(random_program(seed, generator), &findings);
  ASSERT_TRUE(verified) << "seed " << seed << "\n" << findings_text(findings);
  const auto bound = bind(*verified, {}, &findings);
  ASSERT_TRUE(bound) << findings_text(findings);
  const std::vector<Tensor> inputs = random_inputs(bound->program(), seed);
  const auto expected = reference::run(*bound, inputs, weight_by_name);
  for (const Case& one : cases) {
    const auto executable = prepare(*bound, weight_by_name, one.options);
    ASSERT_TRUE(executable) << "seed " << seed << ": " << executable.error().message;
    for (int time = 0; time < 2; ++time) {
      const auto found = (*executable)->run(inputs);
      const std::string differs = difference(expected, found);
      ASSERT_EQ(differs, "") << "seed " << seed << ", " << one.name << ", run " << time << "\n"
                             << (*executable)->explain();
    }
    EXPECT_EQ((*executable)->footprint().arena, (*executable)->plan().arena_bytes);
  }
}

TEST(BitsTest, RandomProgramsHaveTheBitsOfTheReference) {
  const uint64_t first = number_from_environment("BCAI_SEED", 1);
  const uint64_t count = number_from_environment("BCAI_PROGRAMS", 300);
  for (uint64_t seed = first; seed < first + count; ++seed) {
    check(seed, cases_of(seed), {});
    if (HasFatalFailure()) return;
  }
}

// One or two instructions on larger tensors, so that every kernel meets tails and several units.
TEST(BitsTest, InstructionsAloneAtEveryLevelAndThreadCount) {
  std::vector<Case> cases;
  for (const SimdLevel level : {SimdLevel::kPortable, SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    if (!has_simd_level(level)) continue;
    for (const int threads : {1, 2}) {
      cases.push_back({{.level = level, .threads = threads, .parallel_ns_min = 0},
                       fmt::format("{}, {} threads", simd_level_name(level), threads)});
    }
  }
  const uint64_t first = number_from_environment("BCAI_SEED", 1) + 1'000'000;
  const uint64_t count = number_from_environment("BCAI_PROGRAMS", 300);
  for (uint64_t seed = first; seed < first + count; ++seed) {
    check(seed, cases, {.instructions = 2, .elements_max = 20'000});
    if (HasFatalFailure()) return;
  }
}

// What a mask of minus infinity hides altogether.
TEST(BitsTest, ARowOfHiddenKeys) {
  Builder b;
  const ValueId q = b.argument("q", {DType::kF32, {1, 20, 16}});
  const ValueId mask = b.argument("mask", {DType::kF32, {1, 1, 20, 20}});
  Attributes attributes;
  attributes.set(Attr::kHeads, int64_t{2});
  attributes.set(Attr::kScale, 0.5F);
  const ValueId y = b.add(Opcode::kTransformerAttention, {q, q, q, mask}, attributes);
  std::vector<ProgramFinding> findings;
  const auto bound = bind(*verify(*b.finish({{"y", y}}), &findings), {}, &findings);
  std::vector<Tensor> inputs = random_inputs(bound->program(), 3);
  std::fill_n(inputs[1].data<float>(), 20 * 20, 0.0F);
  std::fill_n(inputs[1].data<float>() + 60, 20, -std::numeric_limits<float>::infinity());
  EXPECT_EQ(difference(reference::run(*bound, inputs, weight_by_name),
                       (*prepare(*bound, weight_by_name))->run(inputs)),
            "");
}

// What follows a product, up to the Relu of its sum with a residual, is one launch.
TEST(BitsTest, AResidualAndTheReluBehindIt) {
  Builder b;
  const ValueId rows = b.argument("rows", {DType::kF32, {5, 24}});
  const ValueId image = b.argument("image", {DType::kF32, {1, 20, 7, 9}});
  const uint32_t file = b.file({"weights", {}, 0});
  const ValueId product =
      b.add(Opcode::kTensorMatMul, {rows, b.param(file, "m", {DType::kF32, {24, 24}})});
  const ValueId convolved = b.add(Opcode::kConvolutionForward,
                                  {image, b.param(file, "c", {DType::kF32, {20, 20, 1, 1}})});
  const ValueId first = b.add(Opcode::kRelu, {b.add(Opcode::kAdd, {product, rows})});
  const ValueId second = b.add(Opcode::kRelu, {b.add(Opcode::kAdd, {image, convolved})});
  std::vector<ProgramFinding> findings;
  const auto verified = verify(*b.finish({{"first", first}, {"second", second}}), &findings);
  ASSERT_TRUE(verified) << findings_text(findings);
  const auto bound = bind(*verified, {}, &findings);
  for (uint64_t seed = 1; seed < 20; ++seed) {
    const std::vector<Tensor> inputs = random_inputs(bound->program(), seed);
    const auto expected = reference::run(*bound, inputs, weight_by_name);
    for (const Case& one : cases_of(seed)) {
      const auto executable = *prepare(*bound, weight_by_name, one.options);
      EXPECT_EQ(difference(expected, executable->run(inputs)), "") << one.name;
    }
  }
  const auto executable = *prepare(*bound, weight_by_name);
  int fused = 0;
  for (const Launch& launch : executable->plan().main) {
    EXPECT_NE(launch.kind, LaunchKind::kMap) << executable->explain();
    fused += launch.relu ? 1 : 0;
  }
  EXPECT_EQ(fused, 2) << executable->explain();
}

TEST(BitsTest, APadWithoutElementsBefore) {
  Builder b;
  const ValueId x = b.argument("x", {DType::kF32, {2, 3}});
  Attributes attributes;
  attributes.set(Attr::kLow, std::vector<int64_t>{});
  attributes.set(Attr::kHigh, std::vector<int64_t>{1, 2});
  std::vector<ProgramFinding> findings;
  const auto verified = verify(*b.finish({{"y", b.add(Opcode::kPad, {x}, attributes)}}), &findings);
  ASSERT_TRUE(verified) << findings_text(findings);
  const auto bound = bind(*verified, {}, &findings);
  const std::vector<Tensor> inputs = random_inputs(bound->program(), 3);
  EXPECT_EQ(difference(reference::run(*bound, inputs, weight_by_name),
                       (*prepare(*bound, weight_by_name))->run(inputs)),
            "");
}

// A sum that only a norm reads is the norm's; one that a map has, or a result, is not.
TEST(BitsTest, ASumBeforeANorm) {
  Builder b;
  const ValueId x = b.argument("x", {DType::kF32, {5, 24}});
  const ValueId y = b.argument("y", {DType::kF32, {5, 24}});
  const ValueId row = b.argument("row", {DType::kF32, {24}});
  const auto add = [&](ValueId left, ValueId right) { return b.add(Opcode::kAdd, {left, right}); };
  const ValueId layer = b.add(Opcode::kLayerNorm, {add(x, y), row, row});
  const ValueId root = b.add(Opcode::kRMSNorm, {add(x, x), row});
  const ValueId repeated = b.add(Opcode::kLayerNorm, {add(x, row), row, row});
  const ValueId sum = add(layer, y);
  const ValueId shown = b.add(Opcode::kLayerNorm, {sum, row, row});
  std::vector<ProgramFinding> findings;
  const auto verified =
      verify(*b.finish({{"root", root}, {"repeated", repeated}, {"sum", sum}, {"shown", shown}}),
             &findings);
  ASSERT_TRUE(verified) << findings_text(findings);
  const auto bound = bind(*verified, {}, &findings);
  for (uint64_t seed = 1; seed < 20; ++seed) {
    const std::vector<Tensor> inputs = random_inputs(bound->program(), seed);
    const auto expected = reference::run(*bound, inputs, weight_by_name);
    for (const Case& one : cases_of(seed)) {
      const auto executable = *prepare(*bound, weight_by_name, one.options);
      EXPECT_EQ(difference(expected, executable->run(inputs)), "") << one.name;
    }
  }
  std::vector<std::string> names;
  const auto executable = *prepare(*bound, weight_by_name);
  for (const Launch& launch : executable->plan().main) names.push_back(launch_name(launch));
  EXPECT_EQ(names, (std::vector<std::string>{"LayerNorm + residual", "RMSNorm + residual",
                                             "map Add", "LayerNorm", "map Add", "LayerNorm"}));
}

// A kernel as large as its stride is packed in another way than one whose taps overlap.
TEST(BitsTest, OneWeightUnderTwoStrides) {
  Builder b;
  const ValueId x = b.argument("x", {DType::kF32, {1, 8, 5, 6}});
  const ValueId w = b.param(b.file({"weights", {}, 0}), "w", {DType::kF32, {8, 16, 2, 2}});
  Attributes apart;
  apart.set(Attr::kStrides, std::vector<int64_t>{2, 2});
  const ValueId spread = b.add(Opcode::kConvolutionTranspose, {x, w}, apart);
  const ValueId overlapping = b.add(Opcode::kConvolutionTranspose, {x, w});
  std::vector<ProgramFinding> findings;
  const auto verified =
      verify(*b.finish({{"spread", spread}, {"overlapping", overlapping}}), &findings);
  ASSERT_TRUE(verified) << findings_text(findings);
  const auto bound = bind(*verified, {}, &findings);
  const std::vector<Tensor> inputs = random_inputs(bound->program(), 1);
  const auto expected = reference::run(*bound, inputs, weight_by_name);
  for (const Case& one : cases_of(1)) {
    const auto executable = *prepare(*bound, weight_by_name, one.options);
    EXPECT_EQ(difference(expected, executable->run(inputs)), "") << one.name;
  }
}

// Convolutions, a residual, a channel-wise map and a pool in a chain: images stay as the kernels
// have them, and come back where an instruction or a result asks for it.
TEST(BitsTest, AChainOfConvolutions) {
  Builder b;
  const ValueId x = b.argument("x", {DType::kF32, {1, 3, 19, 17}});
  const uint32_t file = b.file({"weights", {}, 0});
  const auto convolve = [&](ValueId from, const std::string& name, int64_t in) {
    Attributes attributes;
    attributes.set(Attr::kPadsLow, std::vector<int64_t>{1, 1});
    attributes.set(Attr::kPadsHigh, std::vector<int64_t>{1, 1});
    const ValueId w = b.param(file, name, {DType::kF32, {20, in, 3, 3}});
    return b.add(Opcode::kConvolutionForward, {from, w}, attributes);
  };
  const ValueId scale = b.param(file, "scale", {DType::kF32, {20, 1, 1}});
  const ValueId first = b.add(Opcode::kRelu, {convolve(x, "w1", 3)});
  const ValueId second = b.add(Opcode::kAdd, {convolve(first, "w2", 20), first});
  const ValueId scaled = b.add(Opcode::kHardSwish, {b.add(Opcode::kMul, {second, scale})});
  Attributes pool;
  pool.set(Attr::kKernel, std::vector<int64_t>{2, 2});
  const ValueId pooled = b.add(Opcode::kMaxPool, {scaled}, pool);
  Attributes axes;
  axes.set(Attr::kAxes, std::vector<int64_t>{2, 3});
  const ValueId mean = b.add(Opcode::kReduceMean, {pooled}, axes);
  std::vector<ProgramFinding> findings;
  const auto verified = verify(*b.finish({{"mean", mean}, {"scaled", scaled}}), &findings);
  ASSERT_TRUE(verified) << findings_text(findings);
  const auto bound = bind(*verified, {}, &findings);
  const std::vector<Tensor> inputs = random_inputs(bound->program(), 5);
  const auto expected = reference::run(*bound, inputs, weight_by_name);
  for (const Case& one : cases_of(1)) {
    const auto executable = *prepare(*bound, weight_by_name, one.options);
    EXPECT_EQ(difference(expected, executable->run(inputs)), "") << one.name;
  }
  // Turned: x on the way in, one result on the way out.
  const auto executable = *prepare(*bound, weight_by_name);
  int turns = 0;
  for (const Launch& launch : executable->plan().main) {
    if (launch.kind == LaunchKind::kInstruction && launch.opcode == Opcode::kTranspose) ++turns;
  }
  EXPECT_EQ(turns, 2) << executable->explain();
}

// A normalised image beside itself, larger, and carried back by a transposed convolution: nothing
// is turned but what comes in and goes out.
TEST(BitsTest, ADecoderOfImages) {
  Builder b;
  const ValueId x = b.argument("x", {DType::kF32, {2, 3, 9, 7}});
  const uint32_t file = b.file({"weights", {}, 0});
  const auto param = [&](const std::string& name, const Shape& shape) {
    return b.param(file, name, {DType::kF32, shape});
  };
  const ValueId first = b.add(Opcode::kConvolutionForward, {x, param("w1", {18, 3, 2, 2})});
  const ValueId normed =
      b.add(Opcode::kBatchNormInfer, {first, param("scale", {18}), param("bias", {18}),
                                      param("mean", {18}), param("variance", {18})});
  Attributes channels;
  channels.set(Attr::kAxis, int64_t{1});
  const ValueId joined = b.add(Opcode::kConcat, {normed, b.add(Opcode::kRelu, {first})}, channels);
  Attributes linear;
  linear.set(Attr::kMode, static_cast<int64_t>(ResizeMode::kLinear));
  const ValueId larger =
      b.add_stated(Opcode::kResize, {joined}, {DType::kF32, {2, 36, 13, 12}}, linear);
  Attributes twice;
  twice.set(Attr::kStrides, std::vector<int64_t>{2, 2});
  twice.set(Attr::kActivation, static_cast<int64_t>(Activation::kSigmoid));
  const ValueId y = b.add(Opcode::kConvolutionTranspose,
                          {larger, param("w2", {36, 5, 2, 2}), param("b2", {5})}, twice);
  std::vector<ProgramFinding> findings;
  const auto verified = verify(*b.finish({{"y", y}}), &findings);
  ASSERT_TRUE(verified) << findings_text(findings);
  const auto bound = bind(*verified, {}, &findings);
  const std::vector<Tensor> inputs = random_inputs(bound->program(), 9);
  const auto expected = reference::run(*bound, inputs, weight_by_name);
  for (const Case& one : cases_of(1)) {
    const auto executable = *prepare(*bound, weight_by_name, one.options);
    EXPECT_EQ(difference(expected, executable->run(inputs)), "") << one.name;
  }
  const auto executable = *prepare(*bound, weight_by_name);
  int turns = 0;
  for (const Launch& launch : executable->plan().main) {
    if (launch.kind == LaunchKind::kInstruction && launch.opcode == Opcode::kTranspose) ++turns;
  }
  EXPECT_EQ(turns, 2) << executable->explain();
  EXPECT_EQ(executable->explain().find("reference"), std::string::npos);
}

}  // namespace
}  // namespace bcai::vm
