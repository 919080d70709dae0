// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/map.h"
#include "vm/backend/cpu/unroll.h"
#include "vm/numerics/elementary.h"
#include "vm/numerics/vectors.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

// The pointers of one operation on one tile: f32 or i32 by its signature.
struct TileOp {
  const void* a;
  const void* b;
  const void* c;
  void* result;
  float p;
  float q;
};

using RunTileOp = void (*)(const TileOp& op, int64_t n);

// Towards zero; NaN is 0 and what does not fit is the nearest end.
template <typename V>
BCAI_INLINE typename V::I32 truncate(typename V::F32 x) {
  alignas(64) float from[V::kLanes];
  alignas(64) int32_t to[V::kLanes];
  V::store(from, x);
  for (int k = 0; k < V::kLanes; ++k) {
    const float v = from[k];
    to[k] = v >= 0x1p31f    ? INT32_MAX
            : v >= -0x1p31f ? static_cast<int32_t>(v)
            : v < 0         ? INT32_MIN
                            : 0;
  }
  return V::load(to);
}

// What is stored of a value: floats with the one NaN or as they are, a mask as 0 or 1.
template <typename V, bool kCanonical>
BCAI_INLINE typename V::F32 stored(typename V::F32 v) {
  if constexpr (kCanonical) return canonical_nan<V>(v);
  return v;
}
template <typename V, bool kCanonical>
BCAI_INLINE typename V::I32 stored(typename V::I32 v) {
  return v;
}
template <typename V, bool kCanonical>
BCAI_INLINE typename V::I32 stored(typename V::Mask m) {
  return V::select(m, V::set(int32_t{1}), V::set(int32_t{0}));
}

template <typename Value, bool kCanonical, typename R, typename A>
BCAI_INLINE void loop(const TileOp& op, int64_t n) {
  const auto* a = static_cast<const A*>(op.a);
  auto* result = static_cast<R*>(op.result);
  for_vectors_side_by_side<S>(n, [&](int64_t i, auto part) BCAI_LAMBDA {
    using V = typename decltype(part)::Simd;
    part.store(result + i, stored<V, kCanonical>(Value::template of<V>(op, part.load(a + i))));
  });
}

template <typename Value, bool kCanonical, typename R, typename A, typename B>
BCAI_INLINE void loop(const TileOp& op, int64_t n) {
  const auto* a = static_cast<const A*>(op.a);
  const auto* b = static_cast<const B*>(op.b);
  auto* result = static_cast<R*>(op.result);
  for_vectors_side_by_side<S>(n, [&](int64_t i, auto part) BCAI_LAMBDA {
    using V = typename decltype(part)::Simd;
    const auto value = Value::template of<V>(op, part.load(a + i), part.load(b + i));
    part.store(result + i, stored<V, kCanonical>(value));
  });
}

template <typename Value, bool kCanonical, typename R, typename A, typename B, typename C>
BCAI_INLINE void loop(const TileOp& op, int64_t n) {
  const auto* a = static_cast<const A*>(op.a);
  const auto* b = static_cast<const B*>(op.b);
  const auto* c = static_cast<const C*>(op.c);
  auto* result = static_cast<R*>(op.result);
  for_vectors_side_by_side<S>(n, [&](int64_t i, auto part) BCAI_LAMBDA {
    using V = typename decltype(part)::Simd;
    const auto value =
        Value::template of<V>(op, part.load(a + i), part.load(b + i), part.load(c + i));
    part.store(result + i, stored<V, kCanonical>(value));
  });
}

// One function per operation, without and with canonical NaNs in the result.
#define F float
#define I int32_t
#define TYPES_FF F, F
#define TYPES_FFF F, F, F
#define TYPES_FFFF F, F, F, F
#define TYPES_IF I, F
#define TYPES_IFF I, F, F
#define TYPES_FI F, I
#define TYPES_II I, I
#define TYPES_III I, I, I
#define TYPES_IIII I, I, I, I
#define TYPES_FIFF F, I, F, F
#define OPERANDS_FF typename S::F32 a
#define OPERANDS_FFF typename S::F32 a, typename S::F32 b
#define OPERANDS_FFFF typename S::F32 a, typename S::F32 b, typename S::F32 c
#define OPERANDS_IF typename S::F32 a
#define OPERANDS_IFF typename S::F32 a, typename S::F32 b
#define OPERANDS_FI typename S::I32 a
#define OPERANDS_II typename S::I32 a
#define OPERANDS_III typename S::I32 a, typename S::I32 b
#define OPERANDS_IIII typename S::I32 a, typename S::I32 b, typename S::I32 c
#define OPERANDS_FIFF typename S::I32 a, typename S::F32 b, typename S::F32 c
#define MAP_OP(name, signature, value)                                   \
  struct name##Value {                                                   \
    template <class S>                                                   \
    static BCAI_INLINE auto of(const TileOp& op, OPERANDS_##signature) { \
      [[maybe_unused]] const auto p = S::set(op.p);                      \
      [[maybe_unused]] const auto q = S::set(op.q);                      \
      return value;                                                      \
    }                                                                    \
  };                                                                     \
  template <bool kCanonical>                                             \
  void tile_##name(const TileOp& op, int64_t n) {                        \
    loop<name##Value, kCanonical, TYPES_##signature>(op, n);             \
  }
#include "vm/backend/cpu/map_ops.def"
#undef MAP_OP
#undef F
#undef I

constexpr RunTileOp kTileOps[][2] = {
#define MAP_OP(name, signature, value) {tile_##name<false>, tile_##name<true>},
#include "vm/backend/cpu/map_ops.def"
#undef MAP_OP
};

// Element k of the input, widened, in 32 bits.
BCAI_INLINE int32_t element(const MapInput& input, int64_t k) {
  switch (input.type) {
    case MapType::kF32:
    case MapType::kI32: return static_cast<const int32_t*>(input.data)[k];
    case MapType::kI8: return static_cast<const int8_t*>(input.data)[k];
    case MapType::kU8: return static_cast<const uint8_t*>(input.data)[k];
    case MapType::kBool: return static_cast<const uint8_t*>(input.data)[k] != 0;
  }
  return 0;
}

BCAI_INLINE void fill(int32_t* tile, int32_t value, int64_t n) {
  for_vectors<S>(n, [=](int64_t i, auto part) { part.store(tile + i, S::set(value)); });
}

BCAI_INLINE void copy(const int32_t* from, int64_t n, int32_t* to) {
  for_vectors<S>(n, [=](int64_t i, auto part) { part.store(to + i, part.load(from + i)); });
}

bool is_wide(MapType type) { return type == MapType::kF32 || type == MapType::kI32; }

// Elements [start, start + n) of the input where it is not a tile of its own array.
void gather(const MapInput& input, int64_t start, int64_t n, int32_t* tile) {
  switch (input.extent) {
    case MapExtent::kScalar: fill(tile, element(input, 0), kMapTile); return;
    case MapExtent::kWhole:
      for (int64_t i = 0; i < n; ++i) tile[i] = element(input, start + i);
      return;
    case MapExtent::kRow: {
      int64_t k = start % input.period;
      if (is_wide(input.type)) {
        for (int64_t i = 0; i < n; k = 0) {
          const int64_t left = input.period - k < n - i ? input.period - k : n - i;
          copy(static_cast<const int32_t*>(input.data) + k, left, tile + i);
          i += left;
        }
        return;
      }
      for (int64_t i = 0; i < n; ++i) {
        tile[i] = element(input, k);
        if (++k == input.period) k = 0;
      }
      return;
    }
    case MapExtent::kColumn:
      for (int64_t i = 0; i < n;) {
        const int64_t row = (start + i) / input.period;
        const int64_t left = (row + 1) * input.period - (start + i);
        const int64_t run = left < n - i ? left : n - i;
        fill(tile + i, element(input, row), run);
        i += run;
      }
      return;
  }
}

// Where the tile of an input lies: in its array if it is there as it is, else gathered in scratch,
// a scalar for the first tile of a range alone.
void* input_tile(const MapInput& input, int64_t start, int64_t n, bool first, int32_t* scratch) {
  auto* data = static_cast<int32_t*>(const_cast<void*>(input.data));
  if (is_wide(input.type)) {
    if (input.extent == MapExtent::kWhole) return data + start;
    const int64_t k = start % input.period;
    if (input.extent == MapExtent::kRow && k + n <= input.period) return data + k;
  }
  if (input.extent != MapExtent::kScalar || first) gather(input, start, n, scratch);
  return scratch;
}

void narrow(const MapOutput& output, const int32_t* tile, int64_t start, int64_t n) {
  auto* bytes = static_cast<uint8_t*>(output.data) + start;
  const bool truth = output.type == MapType::kBool;
  for (int64_t i = 0; i < n; ++i) {
    bytes[i] = truth ? static_cast<uint8_t>(tile[i] != 0) : static_cast<uint8_t>(tile[i]);
  }
}

void run(const MapArgs& args, int64_t begin, int64_t end, std::byte* scratch) {
  auto* tiles = reinterpret_cast<int32_t*>(scratch);
  void* slots[kMapSlotsMax];
  bool out[kMapSlotsMax] = {};
  for (int64_t s = 0; s < kMapSlotsMax; ++s) slots[s] = tiles + s * kMapTile;
  for (const auto& output : args.outputs) out[output.slot] = true;
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t start = unit * kMapTile;
    const int64_t n = args.n - start < kMapTile ? args.n - start : kMapTile;
    for (size_t s = 0; s < args.inputs.size(); ++s) {
      slots[s] = input_tile(args.inputs[s], start, n, unit == begin, tiles + s * kMapTile);
    }
    for (const auto& output : args.outputs) {
      if (is_wide(output.type)) slots[output.slot] = static_cast<int32_t*>(output.data) + start;
    }
    for (const auto& op : args.ops) {
      const TileOp tile{slots[op.a], slots[op.b], slots[op.c], slots[op.result], op.p, op.q};
      kTileOps[static_cast<int>(op.code)][out[op.result]](tile, n);
    }
    for (const auto& output : args.outputs) {
      if (!is_wide(output.type)) {
        narrow(output, static_cast<const int32_t*>(slots[output.slot]), start, n);
      }
    }
  }
}

}  // namespace

extern const MapKernels kMapKernels;
const MapKernels kMapKernels = {.run = run};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
