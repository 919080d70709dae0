// SPDX-License-Identifier: Apache-2.0
// A run that is cancelled ends within 10 ms: no kernel goes on longer without looking at the flag.
// Portable code, fifty times slower than AVX-512, has the same units, and may take 150 ms for one.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "vm/generator/generator.h"
#include "vm/program/builder.h"
#include "vm/runtime/executable.h"

namespace bcai::vm {
namespace {

double longest_ns(SimdLevel level) { return level == SimdLevel::kPortable ? 150e6 : 10e6; }

using Ints = std::vector<int64_t>;

Type floats(const Shape& shape) { return {DType::kF32, shape}; }

// A program of one instruction whose operands are arguments, but for `params`, which are weights.
struct Long {
  Opcode opcode;
  std::vector<Shape> operands;
  Attributes attributes;
  std::vector<size_t> params;
  Shape stated;
  bool runs = true;  // else it is too large to be run in a test

  BoundProgram program() const {
    Builder b;
    const uint32_t file = b.file({"weights", {}, 0});
    std::vector<ValueId> ids;
    for (size_t i = 0; i < operands.size(); ++i) {
      const std::string name = fmt::format("x{}", i);
      const bool param = std::find(params.begin(), params.end(), i) != params.end();
      ids.push_back(param ? b.param(file, name, floats(operands[i]))
                          : b.argument(name, floats(operands[i])));
    }
    const bool states = stated.rank() > 0;
    const ValueId y = states ? b.add_stated(opcode, ids, floats(stated), attributes)
                             : b.add_all(opcode, ids, attributes).at(0);
    std::vector<ProgramFinding> findings;
    const auto verified = verify(*b.finish({{"y", y}}), &findings);
    EXPECT_TRUE(verified) << info_of(opcode).name << "\n" << findings_text(findings);
    return *bind(*verified, {}, &findings);
  }
};

template <typename... Pairs>
Attributes with(Pairs... pairs) {
  Attributes attributes;
  (attributes.set(pairs.first, pairs.second), ...);
  return attributes;
}
template <typename T>
std::pair<Attr, T> is(Attr attribute, T value) {
  return {attribute, std::move(value)};
}

std::vector<Long> long_launches() {
  const auto heads = with(is(Attr::kHeads, int64_t{8}), is(Attr::kScale, 0.125F));
  const auto hidden = with(is(Attr::kHiddenSize, int64_t{512}));
  const auto twice = with(is(Attr::kStrides, Ints{2, 2}));
  return {
      {Opcode::kTensorMatMul, {{2048, 2048}, {2048, 2048}}},
      {Opcode::kTensorMatMul, {{2048, 2048}, {2048, 2048}}, {}, {1}},
      {Opcode::kConvolutionForward, {{8, 128, 112, 112}, {128, 128, 3, 3}}, {}, {1}},
      {Opcode::kConvolutionForward, {{8, 512, 28, 28}, {512, 512, 3, 3}}, {}, {1}},
      {Opcode::kConvolutionTranspose, {{8, 128, 64, 64}, {128, 128, 4, 4}}, twice, {1}},
      {Opcode::kTransformerAttention, {{4, 2048, 512}, {4, 2048, 512}, {4, 2048, 512}}, heads},
      {Opcode::kTransformerAttention, {{64, 1, 512}, {64, 4096, 512}, {64, 4096, 512}}, heads},
      {Opcode::kLSTM, {{200, 4, 512}, {1, 2048, 512}, {1, 2048, 512}}, hidden, {1, 2}},
      {Opcode::kGRU, {{200, 4, 512}, {1, 1536, 512}, {1, 1536, 512}}, hidden, {1, 2}},
      {Opcode::kSoftmax, {{40'000, 1000}}, with(is(Attr::kAxis, int64_t{1}))},
      {Opcode::kSoftmax, {{40, 1000, 1000}}, with(is(Attr::kAxis, int64_t{1}))},
      {Opcode::kLayerNorm, {{40'000, 1000}}, {}},
      {Opcode::kGelu, {{40'000, 1000}}, {}},
      {Opcode::kReduceSum, {{40'000, 1000}}, with(is(Attr::kAxes, Ints{1})), {}, {}, false},
      {Opcode::kRotaryEmbed,
       {{8, 4096, 1024}, {4096, 64}, {4096, 64}},
       with(is(Attr::kHeads, int64_t{8})),
       {},
       {},
       false},
      {Opcode::kBatchNormInfer, {{64, 64, 100, 100}, {64}, {64}, {64}, {64}}, {}, {}, {}, false},
      {Opcode::kResize, {{8, 64, 128, 128}}, {}, {}, {8, 64, 256, 256}, false},
      {Opcode::kTranspose, {{8000, 8000}}, with(is(Attr::kPermutation, Ints{1, 0})), {}, {}, false},
      {Opcode::kReverse, {{64'000'000}}, with(is(Attr::kAxes, Ints{0})), {}, {}, false},
      {Opcode::kConcat, {{32'000'000}, {32'000'000}}, {}, {}, {}, false},
      {Opcode::kPad,
       {{8000, 8000}},
       with(is(Attr::kLow, Ints{1, 1}), is(Attr::kHigh, Ints{1, 1})),
       {},
       {},
       false},
      {Opcode::kReshape, {{64'000'000}}, {}, {}, {8000, 8000}, false},
  };
}

Result<Tensor> random_weight(const WeightFile&, const Param& param) {
  return random_tensor(param.type, 1);
}

TEST(CancellationTest, NoKernelGoesOnForLong) {
  for (const SimdLevel level : {SimdLevel::kPortable, SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    if (!has_simd_level(level)) continue;
    for (const Long& launch : long_launches()) {
      const BoundProgram program = launch.program();
      const auto executable = *prepare(program, random_weight, {.level = level, .threads = 1});
      EXPECT_LE(executable->longest_piece_ns(), longest_ns(level))
          << info_of(launch.opcode).name << " " << simd_level_name(level) << "\n"
          << executable->explain();
      EXPECT_GT(executable->longest_piece_ns(), 0) << info_of(launch.opcode).name;
    }
  }
}

TEST(CancellationTest, ARunEndsInsideALongLaunch) {
  for (const Long& launch : long_launches()) {
    if (!launch.runs) continue;
    const BoundProgram program = launch.program();
    for (const int threads : {1, 2}) {
      const auto executable = *prepare(program, random_weight, {.threads = threads});
      std::vector<Tensor> inputs;
      const Function& main = program.program().functions[0];
      for (const ValueId id : main.body.arguments) {
        const Type& type = main.values[id];
        inputs.push_back(Tensor(type.dtype, dims_of(type.shape)));
      }
      std::atomic<bool> cancelled{false};
      std::thread other([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        cancelled = true;
      });
      const auto outcome = executable->run(inputs, {.cancelled = &cancelled});
      other.join();
      ASSERT_FALSE(outcome) << info_of(launch.opcode).name;
      EXPECT_EQ(outcome.error().code, ErrorCode::kCancelled);
    }
  }
}

}  // namespace
}  // namespace bcai::vm
