// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/map.h"
#include "vm/numerics/elementary.h"
#include "vm/numerics/vectors.h"

namespace bcai::vm::BCAI_SIMD_LEVEL {
namespace {

using S = Simd;

using F32 = typename S::F32;
using V = Several<S, kSideBySide<S>>;

// How far a step goes before the next. By a vector (V): what it computed is handed on in registers,
// values stay there from the loads of inputs to the stores of outputs, and the loads of one vector
// go on beside the arithmetic of another. By a tile: a step is a loop that stores, which is faster
// where there is no next step, and where 16 registers do not hold the constants of an operation
// beside what is handed on.
enum class Stride : uint8_t { kVector, kTile };
constexpr Stride kStride = S::kLanes == 16 ? Stride::kVector : Stride::kTile;
static_assert(kMapTile % V::kLanes == 0 && (kStride == Stride::kTile || kSideBySide<S> == 4));

// Where a slot is: a tile, or one vector for the whole tile, of what is no array.
struct Place {
  int32_t* data;
  int64_t mask;  // of an element's number in the tile, by a vector

  template <Stride stride, typename T>
  BCAI_INLINE T* at(int64_t i) const {
    return reinterpret_cast<T*>(data) + (stride == Stride::kVector ? i & mask : i);
  }
};

// One operation on elements [begin, end) of a tile. Its function calls that of the next step, which
// compilers make a jump.
struct Step {
  using Run = void (*)(const Step* step, int64_t begin, int64_t end, F32 v0, F32 v1, F32 v2,
                       F32 v3);

  Run run;
  Place operands[3];  // null is what the step before has in registers
  Place result;       // null where no step but the next reads it
  float p;
  float q;
};

void end_of_steps(const Step*, int64_t, int64_t, F32, F32, F32, F32) {}

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
template <bool kCanonical>
BCAI_INLINE typename V::F32 stored(typename V::F32 v) {
  if constexpr (kCanonical) return canonical_nan<V>(v);
  return v;
}
template <bool kCanonical>
BCAI_INLINE typename V::I32 stored(typename V::I32 v) {
  return v;
}
template <bool kCanonical>
BCAI_INLINE typename V::I32 stored(typename V::Mask m) {
  return V::select(m, V::set(int32_t{1}), V::set(int32_t{0}));
}

BCAI_INLINE typename V::F32 floats(typename V::F32 v) { return v; }
BCAI_INLINE typename V::F32 floats(typename V::I32 v) { return V::of_bits(v); }

// In what follows: the vectors at element i, and `last` as the step before handed it on.
template <Stride stride, typename T>
BCAI_INLINE auto operand(const Place& place, int64_t i, const typename V::F32& last) {
  if (stride == Stride::kTile || place.data != nullptr) {
    return V::load(place.at<stride, const T>(i));
  }
  if constexpr (std::is_same_v<T, float>) {
    return last;
  } else {
    return V::bits(last);
  }
}

template <Stride stride, typename Value, typename A>
BCAI_INLINE auto value_of(const Step& step, int64_t i, const typename V::F32& last) {
  return Value::template of<V>(step, operand<stride, A>(step.operands[0], i, last));
}
template <Stride stride, typename Value, typename A, typename B>
BCAI_INLINE auto value_of(const Step& step, int64_t i, const typename V::F32& last) {
  return Value::template of<V>(step, operand<stride, A>(step.operands[0], i, last),
                               operand<stride, B>(step.operands[1], i, last));
}
template <Stride stride, typename Value, typename A, typename B, typename C>
BCAI_INLINE auto value_of(const Step& step, int64_t i, const typename V::F32& last) {
  return Value::template of<V>(step, operand<stride, A>(step.operands[0], i, last),
                               operand<stride, B>(step.operands[1], i, last),
                               operand<stride, C>(step.operands[2], i, last));
}

template <Stride stride, bool kCanonical, typename Value, typename R, typename... Operands>
BCAI_INLINE typename V::F32 compute(const Step& step, int64_t i, const typename V::F32& last) {
  const auto value = stored<kCanonical>(value_of<stride, Value, Operands...>(step, i, last));
  if (stride == Stride::kTile || step.result.data != nullptr) {
    V::store(step.result.at<stride, R>(i), value);
  }
  return floats(value);
}

template <Stride stride, bool kCanonical, typename Value, typename... Types>
BCAI_INLINE void run_step(const Step* step, int64_t begin, int64_t end, F32 v0, F32 v1, F32 v2,
                          F32 v3) {
  if constexpr (stride == Stride::kVector) {
    const auto [v] = compute<stride, kCanonical, Value, Types...>(*step, begin, {v0, v1, v2, v3});
    return step[1].run(step + 1, begin, end, v[0], v[1], v[2], v[3]);
  } else {
    const Step own = *step;  // which no store can be thought to change
    for (int64_t i = begin; i < end; i += V::kLanes) {
      compute<stride, kCanonical, Value, Types...>(own, i, {});
    }
    return step[1].run(step + 1, begin, end, v0, v1, v2, v3);
  }
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
#define MAP_OP(name, signature, value)                                                             \
  struct name##Value {                                                                             \
    template <class S>                                                                             \
    static BCAI_INLINE auto of(const Step& step, OPERANDS_##signature) {                           \
      [[maybe_unused]] const auto p = S::set(step.p);                                              \
      [[maybe_unused]] const auto q = S::set(step.q);                                              \
      return value;                                                                                \
    }                                                                                              \
  };                                                                                               \
  template <Stride stride, bool kCanonical>                                                        \
  void step_##name(const Step* step, int64_t begin, int64_t end, F32 v0, F32 v1, F32 v2, F32 v3) { \
    run_step<stride, kCanonical, name##Value, TYPES_##signature>(step, begin, end, v0, v1, v2,     \
                                                                 v3);                              \
  }
#include "vm/backend/cpu/map_ops.def"
#undef MAP_OP
#undef F
#undef I

// The step of a value that steps alone read, that of an output, and that of a whole program.
constexpr Step::Run kSteps[][3] = {
#define MAP_OP(name, signature, value) \
  {step_##name<kStride, false>, step_##name<kStride, true>, step_##name<Stride::kTile, true>},
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
    case MapExtent::kScalar: return;  // is there already
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

// Elements [start, start + n) of an output from a tile that is not in its array.
void scatter(const MapOutput& output, const int32_t* tile, int64_t start, int64_t n) {
  if (is_wide(output.type)) {
    copy(tile, n, static_cast<int32_t*>(output.data) + start);
    return;
  }
  auto* bytes = static_cast<uint8_t*>(output.data) + start;
  const bool truth = output.type == MapType::kBool;
  for (int64_t i = 0; i < n; ++i) {
    bytes[i] = truth ? static_cast<uint8_t>(tile[i] != 0) : static_cast<uint8_t>(tile[i]);
  }
}

// The part of an input's array that is a tile as it lies there; null where there is none.
int32_t* tile_in_place(const MapInput& input, int64_t start, int64_t n) {
  auto* data = static_cast<int32_t*>(const_cast<void*>(input.data));
  if (!is_wide(input.type) || n % V::kLanes != 0) return nullptr;
  if (input.extent == MapExtent::kWhole) return data + start;
  if (input.extent != MapExtent::kRow) return nullptr;
  const int64_t k = start % input.period;
  return k + n <= input.period ? data + k : nullptr;
}

int32_t* tile_in_place(const MapOutput& output, int64_t start, int64_t n) {
  if (!is_wide(output.type) || n % V::kLanes != 0) return nullptr;
  return static_cast<int32_t*>(output.data) + start;
}

class Program {
 public:
  Program(const MapArgs& args, int32_t* scratch)
      : args_(args), scratch_(scratch), stride_(args.ops.size() > 1 ? kStride : Stride::kTile) {
    bool is_output[kMapSlotsMax] = {};
    for (const auto& output : args.outputs) is_output[output.slot] = true;
    for (size_t k = 0; k < args.ops.size(); ++k) {
      const MapOp& op = args.ops[k];
      const int kind = args.ops.size() == 1 ? 2 : is_output[op.result];
      steps_[k].run = kSteps[static_cast<int>(op.code)][kind];
      steps_[k].p = op.p;
      steps_[k].q = op.q;
      is_kept_[k] = stride_ == Stride::kTile || is_output[op.result] || is_read_late(k);
    }
    steps_[args.ops.size()].run = end_of_steps;
    for (size_t s = 0; s < kMapSlotsMax; ++s) {
      slots_[s] = {.data = vector(s), .mask = V::kLanes - 1};
    }
    for (size_t s = 0; s < args.inputs.size(); ++s) {
      const MapInput& input = args.inputs[s];
      if (input.extent == MapExtent::kScalar) fill(slots_[s].data, element(input, 0), elements());
    }
  }

  // At most a tile from `start`: in whole V, or less than one, which is computed in scratch.
  void run(int64_t start, int64_t n) {
    for (size_t s = 0; s < args_.inputs.size(); ++s) {
      const MapInput& input = args_.inputs[s];
      if (input.extent == MapExtent::kScalar) continue;
      slots_[s] = {.data = tile_in_place(input, start, n), .mask = kWhole};
      if (slots_[s].data != nullptr) continue;
      slots_[s].data = tile(s);
      gather(input, start, n, tile(s));
    }
    for (const auto& output : args_.outputs) {
      int32_t* const in_place = tile_in_place(output, start, n);
      slots_[output.slot] = {.data = in_place != nullptr ? in_place : tile(output.slot),
                             .mask = kWhole};
    }
    run_steps(n);
    for (const auto& output : args_.outputs) {
      if (slots_[output.slot].data != tile(output.slot)) continue;
      scatter(output, tile(output.slot), start, n);
    }
  }

 private:
  static constexpr int64_t kWhole = -1;

  int64_t elements() const { return stride_ == Stride::kTile ? kMapTile : V::kLanes; }
  int32_t* tile(size_t slot) const { return scratch_ + static_cast<int64_t>(slot) * kMapTile; }

  // Processors take a load for one of what was just stored where the last twelve bits of both
  // addresses are the same: vectors lie side by side, modulo the size of a tile.
  int32_t* vector(size_t slot) const {
    if (stride_ == Stride::kTile) return tile(slot);
    return tile(slot) + static_cast<int64_t>(slot) * V::kLanes % kMapTile;
  }

  bool is_read_late(size_t op) const {
    const uint8_t slot = args_.ops[op].result;
    for (size_t k = op + 2; k < args_.ops.size(); ++k) {
      const MapOp& reader = args_.ops[k];
      if (reader.a == slot || reader.b == slot || reader.c == slot) return true;
    }
    return false;
  }

  void run_steps(int64_t n) {
    for (size_t k = 0; k < args_.ops.size(); ++k) {
      const MapOp& op = args_.ops[k];
      const auto place = [&](uint8_t slot) {
        const bool handed_on =
            stride_ == Stride::kVector && k > 0 && slot == args_.ops[k - 1].result;
        return handed_on ? Place{} : slots_[slot];
      };
      steps_[k].operands[0] = place(op.a);
      steps_[k].operands[1] = place(op.b);
      steps_[k].operands[2] = place(op.c);
      steps_[k].result = is_kept_[k] ? slots_[op.result] : Place{};
    }
    const F32 nothing = S::set(0.0f);
    for (int64_t i = 0; i < n; i += elements()) {
      const int64_t end = i + elements() < n ? i + elements() : n;
      steps_[0].run(steps_, i, end, nothing, nothing, nothing, nothing);
    }
  }

  const MapArgs& args_;
  int32_t* const scratch_;
  const Stride stride_;
  Step steps_[kMapOpsMax + 1];
  Place slots_[kMapSlotsMax];
  bool is_kept_[kMapOpsMax];
};

void run(const MapArgs& args, int64_t begin, int64_t end, std::byte* scratch) {
  Program program(args, reinterpret_cast<int32_t*>(scratch));
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t start = unit * kMapTile;
    const int64_t n = args.n - start < kMapTile ? args.n - start : kMapTile;
    const int64_t rest = n % V::kLanes;
    if (n > rest) program.run(start, n - rest);
    if (rest > 0) program.run(start + n - rest, rest);
  }
}

}  // namespace

extern const MapKernels kMapKernels;
const MapKernels kMapKernels = {.run = run};

}  // namespace bcai::vm::BCAI_SIMD_LEVEL
