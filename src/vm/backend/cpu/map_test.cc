// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/map.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "vm/backend/cpu/simd_levels_test.h"

namespace bcai::vm {
namespace {

struct Named {
  MapCode code;
  std::string name;
  std::string types;
};

const Named kOps[] = {
#define MAP_OP(name, signature, value) {MapCode::k##name, #name, #signature},
#include "vm/backend/cpu/map_ops.def"
#undef MAP_OP
};

void run(const MapArgs& args, SimdLevel level) {
  const auto checked = map_check(args);
  ASSERT_TRUE(checked.has_value()) << checked.error().message;
  std::vector<std::byte> scratch(static_cast<size_t>(map_scratch_bytes(args)));
  map_kernels(level).run(args, 0, map_units(args), scratch.data());
}

// One operation alone, on operands of its types.
std::vector<int32_t> run_one(const Named& op, size_t n, SimdLevel level, bool special) {
  std::vector<std::vector<float>> floats;
  std::vector<std::vector<int32_t>> ints;
  std::vector<MapInput> inputs;
  for (uint32_t k = 0; k < 3; ++k) {
    floats.push_back(test_floats(n, special, k + 1));
    ints.emplace_back(n);
    std::mt19937 random(k);
    for (auto& v : ints.back()) v = static_cast<int32_t>(random() % 4 == 0 ? random() : k % 2);
  }
  for (size_t k = 1; k < op.types.size(); ++k) {
    if (op.types[k] == 'F') inputs.push_back({.data = floats[k - 1].data()});
    if (op.types[k] == 'I') inputs.push_back({.data = ints[k - 1].data(), .type = MapType::kI32});
  }
  std::vector<int32_t> result(n + 1, 77);
  const MapOp ops[] = {{op.code, 8, 0, 1, 2, 0.25f, 0.5f}};
  const MapOutput outputs[] = {
      {result.data(), 8, op.types[0] == 'F' ? MapType::kF32 : MapType::kI32}};
  run({inputs, outputs, ops, static_cast<int64_t>(n)}, level);
  EXPECT_EQ(result[n], 77) << op.name << ": wrote past the end";
  return result;
}

TEST(Map, every_operation_has_the_same_bits_at_all_levels_and_lengths) {
  for (const auto& op : kOps) {
    const auto whole = run_one(op, 5000, SimdLevel::kPortable, true);
    for (auto level : levels_here()) {
      EXPECT_TRUE(same_bytes(whole, run_one(op, 5000, level, true)))
          << op.name << " at " << simd_level_name(level);
      for (size_t n = 0; n <= 70; ++n) {
        EXPECT_TRUE(
            same_bytes(run_one(op, n, SimdLevel::kPortable, true), run_one(op, n, level, true)))
            << op.name << " at " << simd_level_name(level) << " of " << n;
      }
    }
  }
}

// The expected values come from the language's own operators.
TEST(Map, simple_operations_are_those_of_ieee_arithmetic) {
  const size_t n = 3000;
  const auto x = test_floats(n, true, 5), y = test_floats(n, true, 6);
  const auto check = [&](MapCode code, auto expected) {
    std::vector<float> z(n);
    const MapInput inputs[] = {{.data = x.data()}, {.data = y.data()}};
    const MapOutput outputs[] = {{z.data(), 8}};
    const MapOp ops[] = {{code, 8, 0, 1, 1}};
    run({inputs, outputs, ops, static_cast<int64_t>(n)}, detect_simd_level());
    for (size_t i = 0; i < n; ++i) {
      const float want = expected(x[i], y[i]);
      const auto bits = std::isnan(want) ? 0x7fc00000 : std::bit_cast<uint32_t>(want);
      ASSERT_EQ(std::bit_cast<uint32_t>(z[i]), bits) << x[i] << " " << y[i];
    }
  };
  check(MapCode::kAdd, [](float a, float b) { return a + b; });
  check(MapCode::kSub, [](float a, float b) { return a - b; });
  check(MapCode::kMul, [](float a, float b) { return a * b; });
  check(MapCode::kDiv, [](float a, float b) { return a / b; });
  check(MapCode::kFma, [](float a, float b) { return std::fma(a, b, b); });
  check(MapCode::kSqrt, [](float a, float) { return std::sqrt(a); });
  check(MapCode::kNeg, [](float a, float) { return -a; });
  check(MapCode::kFloor, [](float a, float) { return std::floor(a); });
  check(MapCode::kCeil, [](float a, float) { return std::ceil(a); });
  check(MapCode::kRound, [](float a, float) { return std::nearbyint(a); });
  check(MapCode::kRelu, [](float a, float) { return a > 0 ? a : std::isnan(a) ? a : 0.0f; });
  check(MapCode::kMax, [](float a, float b) {
    if (std::isnan(a) || std::isnan(b)) return NAN;
    const float m = a > b ? a : b;
    return m == 0 ? 0.0f : m;
  });
}

TEST(Map, casts_saturate_and_small_types_widen) {
  const float x[] = {1.9f, -1.9f, 3e9f, -3e9f, NAN, 0.0f};
  const int8_t small[] = {-3, 5, 127, -128, 0, 1};
  const uint8_t truth[] = {0, 2, 255, 1, 0, 0};
  int32_t ints[6];
  int8_t bytes[6];
  uint8_t bools[6];
  const MapInput inputs[] = {
      {.data = x}, {.data = small, .type = MapType::kI8}, {.data = truth, .type = MapType::kBool}};
  const MapOp ops[] = {
      {MapCode::kToInt, 8, 0}, {MapCode::kAddInt, 9, 1, 2}, {MapCode::kNot, 10, 2}};
  const MapOutput outputs[] = {
      {ints, 8, MapType::kI32}, {bytes, 9, MapType::kI8}, {bools, 10, MapType::kBool}};
  for (auto level : levels_here()) {
    run({inputs, outputs, ops, 6}, level);
    EXPECT_EQ(std::vector<int32_t>(ints, ints + 6),
              (std::vector<int32_t>{1, -1, INT32_MAX, INT32_MIN, 0, 0}));
    EXPECT_EQ(std::vector<int8_t>(bytes, bytes + 6),
              (std::vector<int8_t>{-3, 6, -128, -127, 0, 1}));
    EXPECT_EQ(std::vector<uint8_t>(bools, bools + 6), (std::vector<uint8_t>{1, 0, 0, 0, 1, 1}));
  }
}

void expect_broadcasts(int64_t rows, int64_t columns) {
  const int64_t n = rows * columns;
  const auto x = test_floats(static_cast<size_t>(n), false, 1);
  const auto row = test_floats(static_cast<size_t>(columns), false, 2);
  const auto column = test_floats(static_cast<size_t>(rows), false, 3);
  const float scalar = 0.75f;
  std::vector<float> want(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const auto k = static_cast<size_t>(i);
    want[k] = (x[k] - column[k / static_cast<size_t>(columns)]) * scalar +
              row[k % static_cast<size_t>(columns)];
  }
  const MapInput inputs[] = {
      {.data = x.data()},
      {.data = &scalar, .extent = MapExtent::kScalar},
      {.data = row.data(), .extent = MapExtent::kRow, .period = columns},
      {.data = column.data(), .extent = MapExtent::kColumn, .period = columns}};
  const MapOp ops[] = {
      {MapCode::kSub, 8, 0, 3}, {MapCode::kMul, 8, 8, 1}, {MapCode::kAdd, 9, 8, 2}};
  std::vector<float> y(static_cast<size_t>(n));
  const MapOutput outputs[] = {{y.data(), 9}};
  const MapArgs args{inputs, outputs, ops, n};
  std::vector<std::byte> scratch(static_cast<size_t>(map_scratch_bytes(args)));
  for (auto level : levels_here()) {
    for (int64_t cut = 0; cut <= map_units(args); ++cut) {
      map_kernels(level).run(args, cut, map_units(args), scratch.data());
      map_kernels(level).run(args, 0, cut, scratch.data());
      ASSERT_TRUE(same_bytes(y, want)) << simd_level_name(level) << " cut at " << cut;
    }
  }
}

TEST(Map, broadcasts_scalars_rows_and_columns_in_any_split_of_units) {
  expect_broadcasts(70, 53);
  expect_broadcasts(3, 2100);  // of some tiles the row is read where it lies
}

TEST(Map, small_types_are_stored_in_tiles_of_any_length) {
  const size_t n = 3000;
  std::vector<int8_t> x(n), sums(n + 1, 77);
  std::vector<uint8_t> y(n), truths(n + 1, 77);
  for (size_t i = 0; i < n; ++i) {
    x[i] = static_cast<int8_t>(i % 251);
    y[i] = static_cast<uint8_t>(i % 3);
  }
  const MapInput inputs[] = {{.data = x.data(), .type = MapType::kI8},
                             {.data = y.data(), .type = MapType::kU8}};
  const MapOp ops[] = {{MapCode::kAddInt, 8, 0, 1}, {MapCode::kMulInt, 9, 8, 1}};
  const MapOutput outputs[] = {{sums.data(), 8, MapType::kI8}, {truths.data(), 9, MapType::kBool}};
  for (auto level : levels_here()) {
    run({inputs, outputs, ops, static_cast<int64_t>(n)}, level);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(sums[i], static_cast<int8_t>(x[i] + y[i])) << i;
      ASSERT_EQ(truths[i], (x[i] + y[i]) * y[i] != 0) << i;
    }
    EXPECT_EQ(sums[n], 77);
    EXPECT_EQ(truths[n], 77);
  }
}

// A program of random operations on random slots, some written again, and what each of its
// operations gives when it runs alone on whole arrays.
struct RandomProgram {
  explicit RandomProgram(uint32_t seed) : random(seed), n(random() % 2500) {
    const size_t count = random() % 12;
    while (ops.size() < count) add_op(static_cast<uint8_t>(8 + random() % 12));
    add_op(20);
    const size_t wanted = 1 + random() % 3;
    for (size_t k = ops.size(); k-- > 0 && outputs.size() < wanted;) {
      if (writes[ops[k].result] == 1) outputs.push_back(ops[k].result);
    }
  }

  void add_op(uint8_t result) {
    const Named& named = kOps[random() % std::size(kOps)];
    uint8_t operands[3] = {};
    for (size_t k = 1; k < named.types.size(); ++k) {
      do {
        const bool last = !ops.empty() && random() % 2 == 0;  // chains are what is handed on
        operands[k - 1] = last ? ops.back().result : static_cast<uint8_t>(random() % 20);
      } while (types[operands[k - 1]] != named.types[k]);
    }
    ops.push_back({named.code, result, operands[0], operands[1], operands[2], 0.25f, 0.5f});
    types[result] = named.types[0];
    ++writes[result];
  }

  std::mt19937 random;
  size_t n;
  std::vector<MapOp> ops;
  std::vector<uint8_t> outputs;
  // Of the slots: the inputs are two of f32, one of i32 and a scalar.
  std::string types = std::string("FFIF").append(kMapSlotsMax - 4, ' ');
  int writes[kMapSlotsMax] = {};
};

using Slots = std::vector<std::vector<int32_t>>;

MapType type_of(char letter) { return letter == 'F' ? MapType::kF32 : MapType::kI32; }

Slots random_inputs(const RandomProgram& program, uint32_t seed) {
  Slots slots(kMapSlotsMax);
  for (uint32_t k = 0; k < 2; ++k) {
    for (const float v : test_floats(program.n, true, seed + k)) {
      slots[k].push_back(std::bit_cast<int32_t>(v));
    }
  }
  for (size_t i = 0; i < program.n; ++i) slots[2].push_back(static_cast<int32_t>(i % 7) - 3);
  slots[3].assign(program.n, std::bit_cast<int32_t>(0.75f));
  return slots;
}

void run_one_by_one(const RandomProgram& program, Slots& slots) {
  for (const MapOp& op : program.ops) {
    const std::string& types = kOps[static_cast<size_t>(op.code)].types;
    const uint8_t from[] = {op.a, op.b, op.c};
    std::vector<MapInput> inputs;
    for (size_t k = 1; k < types.size(); ++k) {
      inputs.push_back({.data = slots[from[k - 1]].data(), .type = type_of(types[k])});
    }
    std::vector<int32_t> result(program.n);
    const MapOutput outputs[] = {{result.data(), 8, type_of(types[0])}};
    const MapOp alone[] = {{op.code, 8, 0, 1, 2, op.p, op.q}};
    run({inputs, outputs, alone, static_cast<int64_t>(program.n)}, SimdLevel::kPortable);
    slots[op.result] = result;
  }
}

// Of the outputs. The first replaces input 0 where that is allowed.
Slots run_whole(const RandomProgram& program, Slots slots, SimdLevel level, int* replaced) {
  const MapInput inputs[] = {{.data = slots[0].data()},
                             {.data = slots[1].data()},
                             {.data = slots[2].data(), .type = MapType::kI32},
                             {.data = slots[3].data(), .extent = MapExtent::kScalar}};
  Slots results(program.outputs.size(), std::vector<int32_t>(program.n + 1, 77));
  std::vector<MapOutput> outputs;
  for (size_t k = 0; k < results.size(); ++k) {
    const uint8_t slot = program.outputs[k];
    outputs.push_back({results[k].data(), slot, type_of(program.types[slot])});
  }
  const MapArgs args{inputs, outputs, program.ops, static_cast<int64_t>(program.n)};
  outputs[0].data = slots[0].data();
  const bool in_place = map_check(args).has_value();
  if (!in_place) outputs[0].data = results[0].data();
  run(args, level);
  if (in_place) std::copy(slots[0].begin(), slots[0].end(), results[0].begin());
  *replaced += in_place;
  for (auto& result : results) {
    EXPECT_EQ(result.back(), 77) << "wrote past the end";
    result.pop_back();
  }
  return results;
}

TEST(Map, a_program_has_the_bits_of_its_operations_one_by_one) {
  int replaced = 0;
  for (uint32_t seed = 0; seed < 400; ++seed) {
    const RandomProgram program(seed);
    Slots slots = random_inputs(program, seed);
    Slots expected = slots;
    run_one_by_one(program, expected);
    for (const SimdLevel level : levels_here()) {
      const Slots results = run_whole(program, slots, level, &replaced);
      for (size_t k = 0; k < results.size(); ++k) {
        EXPECT_TRUE(same_bytes(results[k], expected[program.outputs[k]]))
            << "program " << seed << " of " << program.ops.size() << " operations on " << program.n
            << " at " << simd_level_name(level);
      }
    }
  }
  EXPECT_GT(replaced, 100);
}

TEST(Map, refuses_what_it_could_not_run) {
  float x[4] = {}, y[4];
  const MapInput inputs[] = {{.data = x}};
  const auto refused = [&](std::vector<MapOp> ops, MapOutput output) {
    const MapOutput outputs[] = {output};
    return !map_check({inputs, outputs, ops, 4});
  };
  const MapOp neg{MapCode::kNeg, 8, 0};
  EXPECT_FALSE(refused({neg}, {y, 8}));
  EXPECT_TRUE(refused({{MapCode::kNeg, 8, 1}}, {y, 8})) << "unwritten slot";
  EXPECT_TRUE(refused({{MapCode::kNot, 8, 0}}, {y, 8})) << "wrong operand type";
  EXPECT_TRUE(refused({neg}, {y, 8, MapType::kI32})) << "wrong output type";
  EXPECT_TRUE(refused({{MapCode::kNeg, 8, 0, 0, 200}}, {y, 8})) << "no slot, if unread";
  EXPECT_TRUE(refused({{MapCode::kNeg, 7, 0}}, {y, 7})) << "result over an input's slot";
  EXPECT_TRUE(refused({neg, {MapCode::kNeg, 8, 8}}, {y, 8})) << "output written twice";
  EXPECT_TRUE(refused({neg, {MapCode::kAdd, 9, 8, 0}}, {x, 8})) << "input overwritten too early";
  EXPECT_FALSE(refused({neg, {MapCode::kAdd, 9, 8, 0}}, {x, 9}));
  EXPECT_TRUE(refused(std::vector<MapOp>(65, neg), {y, 8})) << "too long";
}

}  // namespace
}  // namespace bcai::vm
