// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/executable.h"

#include <gtest/gtest.h>

#include <cfenv>
#include <chrono>
#include <thread>

#include "vm/backend/reference/interpreter.h"
#include "vm/generator/generator.h"
#include "vm/program/builder.h"
#include "vm/runtime/arena.h"

namespace bcai::vm {
namespace {

BoundProgram bound(Result<Program> program) {
  EXPECT_TRUE(program) << program.error().message;
  std::vector<ProgramFinding> findings;
  const auto verified = verify(*std::move(program), &findings);
  EXPECT_TRUE(verified) << findings_text(findings);
  return *bind(*verified, {}, &findings);
}

Result<Tensor> no_weights(const WeightFile&, const Param& param) {
  return error(ErrorCode::kNotFound, "{}", param.name);
}

Type state_type() { return {DType::kF32, {1, 8, 4}, true}; }

Program append_program() {
  Builder b;
  const ValueId state = b.argument("state", state_type());
  const ValueId x = b.argument("x", {DType::kF32, {1, 1, 4}});
  const ValueId position = b.argument("position", {DType::kI32, {}});
  const ValueId next = b.add(Opcode::kKVCacheAppend, {state, x, position});
  const std::vector<ValueId> read = b.add_all(Opcode::kKVCacheRead, {next});
  Attributes last;
  last.set(Attr::kAxes, std::vector<int64_t>{0, 1, 2});
  const ValueId sum = b.add(Opcode::kReduceSum, {read[0]}, last);
  Attributes row;
  row.set(Attr::kStarts, std::vector<Dim>{Dim(0), Dim(5), Dim(0)});
  const ValueId sixth = b.add_stated(Opcode::kSlice, {read[0]}, {DType::kF32, {1, 1, 4}}, row);
  return *b.finish({{"sum", sum}, {"state", read[1]}, {"sixth", sixth}});
}

// A weight stored in 16 bits is widened once, for a matmul, which packs it, and for an Add.
TEST(ExecutableTest, StoredWeightsAreWidenedWhenTheyAreLoaded) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    Builder b;
    const ValueId x = b.argument("x", {DType::kF32, {3, 8}});
    const uint32_t file = b.file({"weights", {}, 0});
    const Type wide{DType::kF32, {8, 8}};
    const ValueId stored = b.param(file, "w", {dtype, {8, 8}});
    const ValueId w = b.add_stated(Opcode::kCast, {stored}, wide);
    const ValueId product = b.add(Opcode::kTensorMatMul, {x, w});
    const ValueId plain = b.param(file, "v", {dtype, {8}});
    const ValueId bias = b.add_stated(Opcode::kCast, {plain}, {DType::kF32, {8}});
    const ValueId again = b.add_stated(Opcode::kCast, {plain}, {DType::kF32, {8}});
    const ValueId y = b.add(Opcode::kAdd, {b.add(Opcode::kMul, {product, bias}), again});
    const BoundProgram program = bound(b.finish({{"y", y}, {"stored", stored}}));
    int loads = 0;
    const auto weight = [&](const WeightFile&, const Param& param) -> Result<Tensor> {
      ++loads;
      EXPECT_EQ(param.type.dtype, dtype);
      return random_tensor(param.type, static_cast<uint64_t>(param.name[0]));
    };
    const auto executable = prepare(program, weight);
    ASSERT_TRUE(executable) << executable.error().message;
    EXPECT_EQ(loads, 3);  // w wide and as stored, v wide
    for (const Launch& launch : (*executable)->plan().main) {
      EXPECT_NE(launch.opcode, Opcode::kCast) << (*executable)->explain();
    }
    const std::vector<Tensor> inputs = random_inputs(program.program(), 4);
    loads = 0;
    const auto found = (*executable)->run(inputs);
    EXPECT_EQ(loads, 0);
    const auto expected = reference::run(program, inputs, weight);
    for (size_t i = 0; i < 2; ++i) {
      const auto a = (*expected)[i].bytes();
      const auto z = (*found)[i].bytes();
      EXPECT_TRUE(std::equal(a.begin(), a.end(), z.begin(), z.end())) << i;
    }
  }
}

TEST(ExecutableTest, AStateIsRewrittenWhereItLiesOnlyIfAsked) {
  const auto executable = *prepare(bound(append_program()), no_weights);
  Tensor state(DType::kF32, {1, 8, 4});
  Tensor x(DType::kF32, {1, 1, 4});
  std::fill_n(x.data<float>(), 4, 1.0F);
  Tensor position(DType::kI32, {});
  position.data<int32_t>()[0] = 5;
  const std::vector<Tensor> inputs = {state, x, position};
  const auto copied = executable->run(inputs);
  ASSERT_TRUE(copied);
  EXPECT_EQ(state.data<float>()[20], 0.0F);
  EXPECT_EQ((*copied)[1].data<float>()[20], 1.0F);
  EXPECT_EQ((*copied)[0].data<float>()[0], 4.0F);
  const auto in_place = executable->run(inputs, {.states_in_place = true});
  ASSERT_TRUE(in_place);
  EXPECT_EQ(state.data<float>()[20], 1.0F);
  EXPECT_EQ((*in_place)[1].bytes().data(), state.bytes().data());
  EXPECT_EQ((*in_place)[2].data<float>()[0], 1.0F);
  x.data<float>()[0] = 9;
  ASSERT_TRUE(executable->run(inputs, {.states_in_place = true}));
  EXPECT_EQ((*in_place)[2].data<float>()[0], 1.0F);
  position.data<int32_t>()[0] = 8;
  EXPECT_EQ(executable->run(inputs).error().message,
            "KVCacheAppend: 1 rows at position 8 leave the state's 8");
}

TEST(ExecutableTest, AStateInPlaceLiesApartFromTheOtherInputs) {
  Builder b;
  const ValueId one = b.argument("one", state_type());
  const ValueId two = b.argument("two", state_type());
  const ValueId x = b.argument("x", {DType::kF32, {1, 1, 4}});
  const ValueId y = b.argument("y", {DType::kF32, {1, 1, 4}});
  const ValueId position = b.argument("position", {DType::kI32, {}});
  const ValueId first = b.add(Opcode::kKVCacheAppend, {one, x, position});
  const ValueId second = b.add(Opcode::kKVCacheAppend, {two, y, position});
  const auto executable = *prepare(bound(b.finish({{"one", first}, {"two", second}})), no_weights);
  Tensor memory(DType::kF32, {68});
  const auto at = [&](int64_t element, std::vector<int64_t> dims) {
    return Tensor::borrow(DType::kF32, std::move(dims), memory.bytes().data() + 4 * element,
                          nullptr);
  };
  const auto run = [&](int64_t one_at, int64_t two_at, int64_t x_at, int64_t y_at, bool in_place) {
    const std::vector<Tensor> inputs = {at(one_at, {1, 8, 4}), at(two_at, {1, 8, 4}),
                                        at(x_at, {1, 1, 4}), at(y_at, {1, 1, 4}),
                                        Tensor(DType::kI32, {})};
    const auto outcome = executable->run(inputs, {.states_in_place = in_place});
    return outcome ? std::string() : outcome.error().message;
  };
  EXPECT_EQ(run(0, 32, 64, 64, true), "");  // states side by side, inputs that are one
  EXPECT_EQ(run(0, 0, 64, 64, false), "");  // copies
  const std::string rule =
      "states are rewritten in place and must lie apart from the other inputs; ";
  EXPECT_EQ(run(0, 0, 64, 64, true), rule + "'one' and 'two' overlap");
  EXPECT_EQ(run(31, 0, 64, 64, true), rule + "'two' and 'one' overlap");
  EXPECT_EQ(run(0, 32, 0, 63, true), rule + "'one' and 'x', 'two' and 'y' overlap");
}

// Seconds of matmuls.
Program long_program() {
  Builder b;
  ValueId x = b.argument("x", {DType::kF32, {1, 512, 512}});
  for (int i = 0; i < 400; ++i) {
    x = b.add(Opcode::kTensorMatMul, {x, x});
    x = b.add(Opcode::kTanh, {x});
  }
  return *b.finish({{"x", x}});
}

TEST(ExecutableTest, ARunEndsSoonAfterItIsCancelled) {
  for (const int threads : {1, 2}) {
    const auto executable = *prepare(bound(long_program()), no_weights, {.threads = threads});
    const std::vector<Tensor> inputs = {Tensor(DType::kF32, {1, 512, 512})};
    std::atomic<bool> cancelled{false};
    int64_t asked = 0;
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      asked = monotonic_ns();
      cancelled = true;
    });
    const auto outcome = executable->run(inputs, {.cancelled = &cancelled});
    const int64_t ended = monotonic_ns();
    other.join();
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::kCancelled);
    // 10 ms on a free machine.
    EXPECT_LT(ended - asked, 500'000'000);
  }
}

TEST(ExecutableTest, SeveralThreadsRunOneExecutable) {
  const auto executable = *prepare(bound(append_program()), no_weights, {.threads = 2});
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        Tensor x(DType::kF32, {1, 1, 4});
        std::fill_n(x.data<float>(), 4, static_cast<float>(t));
        const std::vector<Tensor> inputs = {Tensor(DType::kF32, {1, 8, 4}), x,
                                            Tensor(DType::kI32, {})};
        const auto results = executable->run(inputs);
        if (results && (*results)[0].data<float>()[0] == static_cast<float>(4 * t)) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 200);
}

TEST(ExecutableTest, TheCallersRoundingModeDoesNotMatter) {
  const auto executable = *prepare(bound(append_program()), no_weights);
  Tensor x(DType::kF32, {1, 1, 4});
  for (int i = 0; i < 4; ++i) x.data<float>()[i] = 0.1F * static_cast<float>(i + 1);
  const std::vector<Tensor> inputs = {Tensor(DType::kF32, {1, 8, 4}), x, Tensor(DType::kI32, {})};
  const float expected = (*executable->run(inputs))[0].data<float>()[0];
  std::fesetround(FE_UPWARD);
  const auto upward = executable->run(inputs);
  EXPECT_EQ(std::fegetround(), FE_UPWARD);
  std::fesetround(FE_TONEAREST);
  EXPECT_EQ((*upward)[0].data<float>()[0], expected);
}

TEST(ExecutableTest, CheckpointsComeBack) {
  Builder b;
  const ValueId x = b.argument("x", {DType::kF32, {3}});
  const ValueId y = b.add(Opcode::kNeg, {x});
  const ValueId z = b.add(Opcode::kExp, {y});
  b.checkpoint(y);
  const auto executable = *prepare(bound(b.finish({{"z", z}})), no_weights);
  Tensor input(DType::kF32, {3});
  input.data<float>()[1] = 2;
  std::vector<Tensor> checkpoints;
  ASSERT_TRUE(executable->run(std::vector<Tensor>{input}, {.checkpoints = &checkpoints}));
  ASSERT_EQ(checkpoints.size(), 1U);
  EXPECT_EQ(checkpoints[0].data<float>()[1], -2.0F);
}

// A checkpoint is a result of the plan, or a value in the arena.
TEST(ExecutableTest, CheckpointsThatNobodyCanAskForHaveNoMemoryOfTheirOwn) {
  Builder b;
  const ValueId x = b.argument("x", {DType::kF32, {64, 64}});
  Attributes rows, columns;
  rows.set(Attr::kAxis, int64_t{1});
  columns.set(Attr::kAxis, int64_t{0});
  const ValueId y = b.add(Opcode::kSoftmax, {x}, rows);
  b.checkpoint(y);
  const BoundProgram program = bound(b.finish({{"z", b.add(Opcode::kSoftmax, {y}, columns)}}));
  const auto with = *prepare(program, no_weights);
  const auto without = *prepare(program, no_weights, {.compile = {.checkpoints = false}});
  const std::vector<Tensor> inputs = random_inputs(program.program(), 1);
  std::vector<Tensor> checkpoints;
  const auto expected = with->run(inputs, {.checkpoints = &checkpoints});
  const auto got = without->run(inputs);
  ASSERT_TRUE(expected);
  ASSERT_TRUE(got);
  EXPECT_EQ((*expected)[0].byte_view(), (*got)[0].byte_view());
  EXPECT_EQ(with->footprint().results, 2 * without->footprint().results);
  EXPECT_EQ(without->run(inputs, {.checkpoints = &checkpoints}).error().code,
            ErrorCode::kFailedPrecondition);
}

TEST(ExecutableTest, AProfileHasEveryLaunch) {
  const auto executable = *prepare(bound(append_program()), no_weights);
  const std::vector<Tensor> inputs = {Tensor(DType::kF32, {1, 8, 4}),
                                      Tensor(DType::kF32, {1, 1, 4}), Tensor(DType::kI32, {})};
  Profile profile;
  ASSERT_TRUE(executable->run(inputs, {.profile = &profile}));
  EXPECT_NE(profile.table().find("KVCacheAppend"), std::string::npos);
  EXPECT_NE(profile.chrome_trace().find("\"name\":\"ReduceSum"), std::string::npos);
  EXPECT_NE(executable->explain().find("KVCacheAppend"), std::string::npos);
}

TEST(ExecutableTest, WrongInputsAndWeightsAreRefused) {
  const auto executable = *prepare(bound(append_program()), no_weights);
  const std::vector<Tensor> wrong = {Tensor(DType::kF32, {1, 8, 4}), Tensor(DType::kF32, {4}),
                                     Tensor(DType::kI32, {})};
  EXPECT_EQ(executable->run(wrong).error().message, "input 'x' is f32[4], expected f32[1,1,4]");
  Builder b;
  const uint32_t file = b.file({"weights", {}, 0});
  const ValueId w = b.param(file, "w", {DType::kF32, {2}});
  const BoundProgram program = bound(b.finish({{"w", w}}));
  EXPECT_EQ(prepare(program, no_weights).error().code, ErrorCode::kNotFound);
  const auto other = [](const WeightFile&, const Param&) -> Result<Tensor> {
    return Tensor(DType::kF32, {3});
  };
  EXPECT_EQ(prepare(program, other).error().message, "weight 'w' is f32[3], expected f32[2]");
}

TEST(ArenaDeathTest, NobodyTouchesWhatIsOutside) {
  const Arena arena = *Arena::make(100);
  std::byte* const data = arena.data();
  data[0] = data[127] = std::byte{1};  // rounded up to 128
  EXPECT_DEATH(data[128] = std::byte{1}, "");
}

}  // namespace
}  // namespace bcai::vm
