// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/recurrent.h"

#include <algorithm>

#include "vm/backend/cpu/recurrent_blocks.h"

namespace bcai::vm {

BCAI_DECLARE_PER_SIMD_LEVEL(RecurrentKernels, kRecurrentKernels)

const RecurrentKernels& recurrent_kernels(SimdLevel level) {
  return BCAI_OF_SIMD_LEVEL(level, kRecurrentKernels);
}

int64_t recurrent_gates(RecurrentCell cell) { return cell == RecurrentCell::kLstm ? 4 : 3; }

int64_t recurrent_first_gates(RecurrentCell cell) { return cell == RecurrentCell::kLstm ? 4 : 2; }

int64_t recurrent_packed_floats(const RecurrentArgs& args, int64_t inputs) {
  const int64_t first = recurrent_first_gates(args.cell) * args.hidden;
  const int64_t last =
      (recurrent_gates(args.cell) - recurrent_first_gates(args.cell)) * args.hidden;
  return args.directions * (panel_floats(inputs, first) + panel_floats(inputs, last));
}

MatMulArgs recurrent_input_product(const RecurrentArgs& args) {
  return {.rows = args.steps * args.batch,
          .columns = recurrent_first_gates(args.cell) * args.hidden,
          .depth = args.inputs,
          .a_stride = args.inputs,
          .c_stride = recurrent_gates(args.cell) * args.hidden};
}

MatMulArgs recurrent_gates_product(const RecurrentArgs& args) {
  MatMulArgs product = recurrent_input_product(args);
  product.rows = args.batch;
  product.depth = args.hidden;
  product.a_stride = args.hidden;
  product.epilogue.residual_stride = product.c_stride;
  return product;
}

MatMulArgs recurrent_last_product(const RecurrentArgs& args) {
  return {.rows = args.batch,
          .columns = args.hidden,
          .depth = args.hidden,
          .a_stride = args.hidden,
          .c_stride = args.hidden};
}

RecurrentScratch recurrent_scratch(const RecurrentArgs& args) {
  const int64_t row = recurrent_gates(args.cell) * args.hidden;
  RecurrentScratch at{};
  const auto take = [&](int64_t floats) {
    const int64_t start = at.floats;
    at.floats += (floats + 15) / 16 * 16;
    return start;
  };
  at.bias = take(row);
  at.input = take(args.steps * args.batch * row);
  at.gates = take(args.batch * row);
  at.last = take(args.batch * args.hidden);
  at.hidden = take(args.batch * args.hidden);
  at.cell = take(args.batch * args.hidden);
  const int64_t parts = args.packed ? 0 : 1;
  const int64_t directions = std::max<int64_t>(args.directions, 1);
  at.weight = take(parts * recurrent_packed_floats(args, args.inputs) / directions);
  at.recurrence = take(parts * recurrent_packed_floats(args, args.hidden) / directions);
  const int64_t bytes = std::max({matmul_scratch_bytes(recurrent_input_product(args)),
                                  matmul_scratch_bytes(recurrent_gates_product(args)),
                                  matmul_scratch_bytes(recurrent_last_product(args))});
  at.product = take(bytes / int64_t{sizeof(float)});
  return at;
}

int64_t recurrent_units(const RecurrentArgs& args) { return args.directions; }

int64_t recurrent_scratch_bytes(const RecurrentArgs& args) {
  return recurrent_scratch(args).floats * int64_t{sizeof(float)};
}

}  // namespace bcai::vm
