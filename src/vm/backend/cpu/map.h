// SPDX-License-Identifier: Apache-2.0
// The elementwise interpreter: a short program over tiles of 1024 elements, which hands values on
// in registers where there are enough, else in tiles that stay in the first cache. Every operation
// rounds as it would alone, so a fused program has the bits of its operations one by one.
//
// As all kernels: no allocation, no thread, no exception. Any thread may run any range of units;
// two calls at once need two scratch areas.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "vm/numerics/simd_level.h"

namespace bcai::vm {

inline constexpr int64_t kMapTile = 1024;
inline constexpr int kMapInputsMax = 8;
inline constexpr int kMapOutputsMax = 4;
inline constexpr int kMapOpsMax = 64;
// Slots hold a value for each element of a tile. The first eight are the inputs', the others are
// written by operations.
inline constexpr int kMapSlotsMax = 40;

enum class MapCode : uint8_t {
#define MAP_OP(name, signature, value) k##name,
#include "vm/backend/cpu/map_ops.def"
#undef MAP_OP
};

// In slots there is f32 and i32; the smaller types are i32 there, widened on the way in, the low
// byte kept on the way out (kBool: 0 or 1 by whether it is zero).
enum class MapType : uint8_t { kF32, kI32, kI8, kU8, kBool };

// slots[result] = code(slots[a], slots[b], slots[c]); p and q are immediates of those that have
// them.
struct MapOp {
  MapCode code;
  uint8_t result;
  uint8_t a;
  uint8_t b = 0;
  uint8_t c = 0;
  float p = 0;
  float q = 0;
};

// Which element of the input meets element i: i itself, 0, i mod period, i / period.
enum class MapExtent : uint8_t { kWhole, kScalar, kRow, kColumn };

struct MapInput {
  const void* data;
  MapType type = MapType::kF32;
  MapExtent extent = MapExtent::kWhole;
  int64_t period = 1;
};

struct MapOutput {
  void* data;
  uint8_t slot;
  MapType type = MapType::kF32;
};

// The arrays stay the caller's. n elements. An output may be an input that is whole and of its
// type, if no operation after the one that writes it reads that input; other overlaps are not
// allowed.
struct MapArgs {
  std::span<const MapInput> inputs;
  std::span<const MapOutput> outputs;
  std::span<const MapOp> ops;
  int64_t n;
};

// kInvalidArgument if a limit is passed, a slot is read before it is written, an operand or an
// output has the wrong type, the slot of an output is written twice, or an output is overwritten
// too early.
Result<void> map_check(const MapArgs& args);

struct MapKernels {
  // Units are tiles. The arguments have passed map_check.
  void (*run)(const MapArgs& args, int64_t begin, int64_t end, std::byte* scratch);
};

int64_t map_units(const MapArgs& args);
int64_t map_scratch_bytes(const MapArgs& args);
const MapKernels& map_kernels(SimdLevel level);

}  // namespace bcai::vm
