// SPDX-License-Identifier: Apache-2.0
// Operands and attributes for each instruction class. What a rule refuses in spite of them is left
// out, so they need not be perfect.
#include <algorithm>
#include <numeric>

#include "vm/generator/writer.h"
#include "vm/isa/choices.h"

namespace bcai::vm {
namespace {

using Dims = std::vector<int64_t>;

Type type_of_dims(DType dtype, const Dims& dims) {
  Type type{dtype, {}};
  for (const int64_t dim : dims) type.shape.push_back(Dim(dim));
  return type;
}

class Operation {
 public:
  Operation(Writer& writer, const InstructionInfo& info)
      : w_(writer), r_(writer.random()), info_(info), kind_(info.instruction_class->name) {}

  bool write() {
    if (kind_ == "Fill" || kind_ == "Iota") return write_source();
    if (kind_ == "Convolution" || kind_ == "ConvolutionTranspose" || kind_ == "Pool" ||
        kind_ == "Resize") {
      return write_spatial();
    }
    if (kind_ == "Attention" || kind_ == "Rotary") return write_transformer();
    if (kind_ == "LSTM" || kind_ == "GRU") return write_recurrent();
    if (kind_ == "CacheAppend" || kind_ == "CacheRead") return write_state();
    if (kind_ == "MatMul") return write_matmul();
    if (kind_ == "Gather" || kind_ == "GatherElements" || kind_ == "Embedding") {
      return write_gather();
    }
    if (kind_ == "ElementwiseBinary" || kind_ == "ElementwiseCompare" || kind_ == "Select") {
      return write_broadcast();
    }
    if (kind_ == "LayerNorm" || kind_ == "RMSNorm" || kind_ == "BatchNorm" ||
        kind_ == "GroupNorm") {
      return write_norm();
    }
    return write_one();
  }

 private:
  bool emit(std::vector<ValueId> operands, std::vector<Type> stated = {}) {
    return !w_.emit(info_.opcode, std::move(operands), attributes_, std::move(stated)).empty();
  }
  void set(Attr attribute, AttributeValue value) { attributes_.set(attribute, std::move(value)); }
  void maybe(Attr attribute) {
    if (r_.chance(50)) set(attribute, int64_t{1});
  }
  Dims dims_of_value(ValueId id) const { return dims_of(w_.type_of(id).shape); }
  ValueId floats(const Dims& dims) { return w_.make(type_of_dims(DType::kF32, dims)); }
  ValueId maybe_floats(const Dims& dims) { return r_.chance(60) ? floats(dims) : kNoValue; }
  int64_t axis_of(const Dims& dims) { return r_.below(static_cast<int64_t>(dims.size())); }
  float number() { return static_cast<float>(r_.between(-32, 32)) / 8; }
  int64_t choose(size_t words) { return r_.below(static_cast<int64_t>(words)); }

  bool write_source() {
    const Type type = w_.random_type(info_.dtypes, kind_ == "Iota" ? 1 : 0);
    if (kind_ == "Iota") {
      set(Attr::kAxis, r_.below(static_cast<int64_t>(type.shape.rank())));
    } else if (type.dtype == DType::kF32) {
      set(Attr::kValue, number());
    } else {
      set(Attr::kIntValue, r_.below(2));
    }
    return emit({}, {type});
  }

  // Operands of a shape that broadcasts against that of the first.
  Dims broadcast_dims(Dims dims) {
    for (int64_t& dim : dims) {
      if (r_.chance(25)) dim = 1;
    }
    const auto drop =
        static_cast<size_t>(r_.chance(40) ? r_.below(1 + static_cast<int64_t>(dims.size())) : 0);
    dims.erase(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(drop));
    return dims;
  }

  ValueId beside(ValueId first, DType dtype) {
    const Dims dims = dims_of_value(first);
    return w_.make(type_of_dims(dtype, r_.chance(50) ? dims : broadcast_dims(dims)));
  }

  bool write_broadcast() {
    const ValueId a = w_.any(info_.dtypes);
    const DType dtype = w_.type_of(a).dtype;
    if (kind_ == "Select") {
      const ValueId condition = beside(a, DType::kBool);
      return emit({condition, a, beside(a, dtype)});
    }
    if (kind_ == "ElementwiseCompare") set(Attr::kPredicate, choose(kPredicateWords.size()));
    const ValueId b = beside(a, dtype);
    return r_.chance(50) ? emit({a, b}) : emit({b, a});
  }

  bool write_matmul() {
    const ValueId a = w_.any(kF32Only, 2);
    Dims dims = dims_of_value(a);
    const bool transpose_a = r_.chance(30);
    const bool transpose_b = r_.chance(50);
    const size_t rank = dims.size();
    const int64_t depth = dims[rank - (transpose_a ? 2 : 1)];
    const int64_t columns = w_.random_dims(1, 1)[0];
    Dims batch(dims.begin(), dims.end() - 2);
    batch = r_.chance(60) ? Dims() : broadcast_dims(batch);
    batch.push_back(transpose_b ? columns : depth);
    batch.push_back(transpose_b ? depth : columns);
    if (transpose_a) set(Attr::kTransposeA, int64_t{1});
    if (transpose_b) set(Attr::kTransposeB, int64_t{1});
    if (r_.chance(40)) set(Attr::kActivation, choose(kActivationWords.size()));
    return emit({a, floats(batch), maybe_floats({columns})});
  }

  bool write_norm() {
    const ValueId x = w_.any(kF32Only, kind_ == "BatchNorm" || kind_ == "GroupNorm" ? 2 : 1);
    const Dims dims = dims_of_value(x);
    if (kind_ == "LayerNorm")
      return emit({x, maybe_floats({dims.back()}), maybe_floats({dims.back()})});
    if (kind_ == "RMSNorm") return emit({x, maybe_floats({dims.back()})});
    const Dims channels = {dims[1]};
    if (kind_ == "GroupNorm") {
      set(Attr::kGroups, dims[1] > 0 && dims[1] % 2 == 0 ? int64_t{2} : int64_t{1});
      return emit({x, floats(channels), floats(channels)});
    }
    return emit({x, floats(channels), floats(channels), floats(channels), floats(channels)});
  }

  bool write_gather() {
    const bool embedding = kind_ == "Embedding";
    // One draw after another: compilers differ in which argument of a call they take first.
    const auto table = [&] {
      const DType dtype = w_.random_type(kAny).dtype;
      return w_.make(type_of_dims(dtype, w_.random_dims(2, 2)));
    };
    const ValueId x = embedding ? table() : w_.any(kAny, 1);
    const Dims dims = dims_of_value(x);
    const auto axis = embedding ? 0 : axis_of(dims);
    if (!embedding) set(Attr::kAxis, axis);
    if (r_.chance(50)) set(Attr::kOutOfRange, static_cast<int64_t>(OutOfRange::kClamp));
    Dims shape = w_.random_dims(0, 2);
    if (kind_ == "GatherElements") {
      shape = dims;
      for (int64_t& dim : shape) dim = std::min<int64_t>(dim, 4);
      shape[static_cast<size_t>(axis)] = r_.between(1, 9);
    }
    const DType dtype = r_.chance(50) ? DType::kI64 : DType::kI32;
    const ValueId indices = w_.indices(dtype, shape, dims[static_cast<size_t>(axis)]);
    return emit({x, indices});
  }

  bool write_spatial() {
    const auto axes = static_cast<size_t>(r_.between(1, 3));
    Dims dims = {r_.between(1, 2), 2 * r_.between(1, 4)};
    for (size_t i = 0; i < axes; ++i) dims.push_back(r_.between(3, axes == 1 ? 40 : 9));
    const ValueId x = floats(dims);
    if (kind_ == "Resize") {
      for (size_t i = 2; i < dims.size(); ++i) dims[i] = r_.between(1, 12);
      set(Attr::kMode, choose(kResizeModeWords.size()));
      set(Attr::kCoordinates, choose(kCoordinateWords.size()));
      set(Attr::kRounding, choose(kNearestWords.size()));
      return emit({x}, {type_of_dims(DType::kF32, dims)});
    }
    const bool plain = r_.chance(40);
    const auto list = [&](int64_t low, int64_t high) {
      Dims numbers;
      for (size_t i = 0; i < axes; ++i) numbers.push_back(r_.between(low, high));
      return numbers;
    };
    const Dims kernel = list(1, 3);
    if (!plain) {
      set(Attr::kStrides, list(1, 3));
      set(Attr::kPadsLow, list(0, 1));
      set(Attr::kPadsHigh, list(0, 2));
      set(Attr::kDilations, list(1, 2));
    }
    if (kind_ == "Pool") {
      set(Attr::kKernel, kernel);
      if (info_.opcode == Opcode::kAveragePool) maybe(Attr::kCountIncludePad);
      if (r_.chance(30)) set(Attr::kRounding, static_cast<int64_t>(Rounding::kCeil));
      return emit({x});
    }
    const int64_t groups = r_.chance(50) ? 1 : r_.chance(50) ? 2 : dims[1];
    const int64_t outputs = groups * r_.between(1, 3);
    const bool forward = kind_ == "Convolution";
    Dims weight = forward ? Dims{outputs, dims[1] / groups} : Dims{dims[1], outputs / groups};
    weight.insert(weight.end(), kernel.begin(), kernel.end());
    set(Attr::kGroups, groups);
    if (r_.chance(40)) set(Attr::kActivation, choose(kActivationWords.size()));
    return emit({x, floats(weight), maybe_floats({outputs})});
  }

  bool write_transformer() {
    const int64_t batch = r_.between(1, 2);
    const int64_t queries = r_.chance(40) ? 1 : r_.between(1, 20);
    const int64_t kv_heads = r_.between(1, 2);
    const int64_t heads = kv_heads * r_.between(1, 3);
    const int64_t width = 2 * r_.between(1, 9);
    set(Attr::kHeads, heads);
    const ValueId q = floats({batch, queries, heads * width});
    if (kind_ == "Rotary") {
      const int64_t pairs = r_.between(1, width / 2);
      const Dims angles = r_.chance(50) ? Dims{queries, pairs} : Dims{batch, queries, pairs};
      maybe(Attr::kInterleaved);
      return emit({q, floats(angles), floats(angles)});
    }
    const int64_t keys = queries + r_.between(0, 40);
    const int64_t value_width = r_.chance(80) ? width : r_.between(1, 20);
    set(Attr::kKvHeads, kv_heads);
    set(Attr::kScale, 0.25F);
    maybe(Attr::kCausal);
    if (r_.chance(30)) set(Attr::kWindow, r_.between(1, 12));
    const ValueId k = floats({batch, keys, kv_heads * width});
    const ValueId v = floats({batch, keys, kv_heads * value_width});
    const ValueId mask =
        r_.chance(40) ? floats(broadcast_dims({batch, heads, queries, keys})) : kNoValue;
    ValueId length = kNoValue;
    if (r_.chance(40)) {
      const Dims dims = r_.chance(70) ? Dims() : Dims{batch};
      std::vector<int32_t> lengths(static_cast<size_t>(dims.empty() ? 1 : batch));
      for (int32_t& n : lengths) {
        n = static_cast<int32_t>(r_.between(queries, keys));
        if (r_.chance(w_.options().traps_percent)) n = static_cast<int32_t>(keys + 1);
      }
      length = w_.constant(type_of_dims(DType::kI32, dims),
                           std::string(reinterpret_cast<const char*>(lengths.data()),
                                       lengths.size() * sizeof(int32_t)));
    }
    return emit({q, k, v, mask, length});
  }

  bool write_recurrent() {
    const int64_t steps = r_.between(1, 5);
    const int64_t batch = r_.between(1, 3);
    const int64_t inputs = r_.between(1, 6);
    const int64_t hidden = r_.between(1, 5);
    const int64_t gates = kind_ == "LSTM" ? 4 : 3;
    const auto direction = static_cast<Direction>(choose(kDirectionWords.size()));
    const int64_t directions = direction == Direction::kBidirectional ? 2 : 1;
    set(Attr::kDirection, static_cast<int64_t>(direction));
    set(Attr::kHiddenSize, hidden);
    if (kind_ == "GRU") maybe(Attr::kLinearBeforeReset);
    std::vector<ValueId> operands = {
        floats({steps, batch, inputs}), floats({directions, gates * hidden, inputs}),
        floats({directions, gates * hidden, hidden}),
        maybe_floats({directions, 2 * gates * hidden}), maybe_floats({directions, batch, hidden})};
    if (kind_ == "LSTM") operands.push_back(maybe_floats({directions, batch, hidden}));
    return emit(std::move(operands));
  }

  bool write_state() {
    if (w_.states().empty()) return false;
    const auto at = w_.states().begin() + r_.below(static_cast<int64_t>(w_.states().size()));
    const ValueId state = *at;
    const Dims dims = dims_of_value(state);
    std::vector<ValueId> operands = {state};
    if (kind_ == "CacheAppend") {
      const int64_t rows = r_.between(1, std::min<int64_t>(dims[1], 3));
      operands.push_back(floats({dims[0], rows, dims[2]}));
      operands.push_back(w_.indices(DType::kI32, {}, dims[1] - rows + 1));
    }
    w_.states().erase(std::find(w_.states().begin(), w_.states().end(), state));
    const bool done = emit(operands);
    BCAI_ASSERT(done);
    return true;
  }

  // One operand, and attributes.
  bool write_one() {
    const bool needs_axis = kind_ != "ElementwiseUnary" && kind_ != "ElementwisePredicate" &&
                            kind_ != "Cast" && kind_ != "Reshape" && kind_ != "Broadcast";
    const ValueId x = w_.any(info_.dtypes, needs_axis ? 1 : 0);
    const Type type = w_.type_of(x);
    const Dims dims = dims_of_value(x);
    if (kind_ == "Cast") return emit({x}, {{w_.random_type(kAny).dtype, type.shape}});
    if (kind_ == "Reshape") return emit({x}, {type_of_dims(type.dtype, reshaped(dims))});
    if (kind_ == "Broadcast") return emit({x}, {type_of_dims(type.dtype, widened(dims))});
    if (kind_ == "Slice") return write_slice(x, type, dims);
    if (kind_ == "Concat") return write_concat(x, dims);
    if (kind_ == "ElementwiseUnary") set_numbers();
    if (needs_axis) set_axes(dims);
    return emit({x});
  }

  void set_numbers() {
    switch (info_.opcode) {
      case Opcode::kGelu: maybe(Attr::kApproximate); break;
      case Opcode::kHardSigmoid:
      case Opcode::kLeakyRelu: set(Attr::kAlpha, number()); break;
      case Opcode::kClamp: {
        const float low = number();
        set(Attr::kMin, low);
        set(Attr::kMax, low + 1.5F);
        break;
      }
      default: break;
    }
  }

  void set_axes(const Dims& dims) {
    const int64_t axis = axis_of(dims);
    const auto extent = dims[static_cast<size_t>(axis)];
    if (kind_ == "Transpose") {
      Dims order(dims.size());
      std::iota(order.begin(), order.end(), 0);
      for (size_t i = order.size(); i-- > 1;) {
        std::swap(order[i], order[static_cast<size_t>(r_.below(static_cast<int64_t>(i) + 1))]);
      }
      set(Attr::kPermutation, order);
    } else if (kind_ == "Reverse" || kind_ == "Reduce") {
      Dims axes;
      for (size_t i = 0; i < dims.size(); ++i) {
        if (r_.chance(50)) axes.push_back(static_cast<int64_t>(i));
      }
      set(Attr::kAxes, axes);
      if (kind_ == "Reduce") maybe(Attr::kKeepDims);
    } else if (kind_ == "Pad") {
      Dims low, high;
      for (size_t i = 0; i < dims.size(); ++i) {
        low.push_back(r_.between(0, 2));
        high.push_back(r_.between(0, 2));
      }
      if (r_.chance(10)) low.clear();
      if (r_.chance(10)) high.clear();
      set(Attr::kLow, low);
      set(Attr::kHigh, high);
      set(Attr::kMode, choose(kPadModeWords.size()));
    } else {
      set(Attr::kAxis, axis);
    }
    if (kind_ == "Split") {
      const int64_t first = extent > 0 ? r_.between(0, extent) : 0;
      set(Attr::kSizes, std::vector<Dim>{Dim(first), Dim(extent - first)});
    }
    if (kind_ == "ArgReduce") {
      maybe(Attr::kKeepDims);
      maybe(Attr::kSelect);
    }
    if (kind_ == "Scan") {
      maybe(Attr::kReverse);
      maybe(Attr::kExclusive);
    }
    if (kind_ == "Softmax") maybe(Attr::kLog);
    if (kind_ == "TopK") {
      set(Attr::kK, extent > 0 ? r_.between(1, extent) : 1);
      maybe(Attr::kLargest);
    }
  }

  Dims reshaped(const Dims& dims) {
    const int64_t elements =
        std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
    const int64_t parts[] = {1, 2, 3, 4, 8};
    const int64_t part = parts[r_.below(5)];
    if (elements % part != 0) return {elements};
    return r_.chance(50) ? Dims{part, elements / part} : Dims{elements / part, 1, part};
  }

  Dims widened(Dims dims) {
    for (int64_t& dim : dims) {
      if (dim == 1) dim = r_.between(1, 5);
    }
    if (dims.size() < 4 && r_.chance(40)) dims.insert(dims.begin(), r_.between(1, 3));
    return dims;
  }

  bool write_slice(ValueId x, const Type& type, const Dims& dims) {
    std::vector<Dim> starts;
    Dims steps, sizes;
    const size_t outer = r_.chance(40) ? 0 : dims.size();  // a run of rows is a view
    for (size_t i = 0; i < dims.size(); ++i) {
      const bool whole = outer == 0 && i > 0;
      const int64_t start = whole || dims[i] == 0 ? 0 : r_.below(dims[i]);
      const int64_t step = whole ? 1 : r_.between(1, 2);
      const int64_t most = (dims[i] - start + step - 1) / step;
      starts.push_back(Dim(start));
      steps.push_back(step);
      sizes.push_back(whole ? dims[i] : most > 0 ? r_.between(1, most) : 0);
    }
    set(Attr::kStarts, starts);
    if (std::any_of(steps.begin(), steps.end(), [](int64_t step) { return step != 1; })) {
      set(Attr::kSteps, steps);
    }
    return emit({x}, {type_of_dims(type.dtype, sizes)});
  }

  bool write_concat(ValueId x, const Dims& dims) {
    const int64_t axis = axis_of(dims);
    set(Attr::kAxis, axis);
    std::vector<ValueId> operands = {x};
    for (int64_t i = r_.below(3); i > 0; --i) {
      Dims next = dims;
      next[static_cast<size_t>(axis)] = r_.between(0, 4);
      operands.push_back(w_.make(type_of_dims(w_.type_of(x).dtype, next)));
    }
    return emit(std::move(operands));
  }

  Writer& w_;
  Random& r_;
  const InstructionInfo& info_;
  const std::string_view kind_;
  Attributes attributes_;
};

}  // namespace

bool write_operation(Writer& writer) {
  const std::span<const InstructionInfo> table = instructions();
  const InstructionInfo* info = nullptr;
  do {
    info = &table[static_cast<size_t>(writer.random().below(static_cast<int64_t>(table.size())))];
  } while (info->instruction_class->infer == nullptr || info->opcode == Opcode::kParam ||
           info->opcode == Opcode::kConst);
  return Operation(writer, *info).write();
}

}  // namespace bcai::vm
