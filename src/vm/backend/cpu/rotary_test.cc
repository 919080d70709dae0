// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/rotary.h"

#include <gtest/gtest.h>

#include <cmath>

#include "vm/backend/cpu/kernel_test_data.h"

namespace bcai::vm {
namespace {

TEST(Rotary, EqualsTheDefinition) {
  for (const bool interleaved : {false, true}) {
    for (int64_t pairs = 0; pairs <= 20; ++pairs) {
      RotaryArgs args{.rows = 6, .angles = 3, .heads = 2, .size = 2 * pairs + pairs % 4};
      args.pairs = pairs;
      args.interleaved = interleaved;
      const int64_t floats = args.rows * args.heads * args.size;
      const auto x = random_floats(floats, 1);
      const auto cosine = random_floats(args.angles * pairs, 2);
      const auto sine = random_floats(args.angles * pairs, 3);
      std::vector<float> expected = x;
      for (int64_t head = 0; head < args.rows * args.heads; ++head) {
        for (int64_t i = 0; i < pairs; ++i) {
          const auto angle = static_cast<size_t>(head / args.heads % args.angles * pairs + i);
          const auto first = static_cast<size_t>(head * args.size + (interleaved ? 2 * i : i));
          const size_t second = first + static_cast<size_t>(interleaved ? 1 : pairs);
          expected[first] = std::fma(x[first], cosine[angle], -(x[second] * sine[angle]));
          expected[second] = std::fma(x[second], cosine[angle], x[first] * sine[angle]);
        }
      }
      args.x = x.data();
      args.cosine = cosine.data();
      args.sine = sine.data();
      for (const SimdLevel level : machine_levels()) {
        std::vector<float> y(x.size(), -7);
        args.y = y.data();
        Scratch scratch(rotary_scratch_bytes(args));
        run_in_parts(rotary_units(args), 3, [&](int64_t begin, int64_t end) {
          rotary_kernels(level).run(args, begin, end, scratch.get());
        });
        EXPECT_EQ(first_difference(y, expected), -1) << pairs << " " << simd_level_name(level);
      }
    }
  }
}

}  // namespace
}  // namespace bcai::vm
