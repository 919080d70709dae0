// SPDX-License-Identifier: Apache-2.0
// What moves elements and computes nothing: copies with strides, joins, and rows by index.
#include <algorithm>
#include <cstring>
#include <optional>

#include "vm/isa/choices.h"
#include "vm/runtime/args_kernel.h"

namespace bcai::vm {
namespace {

struct Axis {
  int64_t size;
  int64_t from;  // bytes from one index to the next in the operand
};

// result[i] = x[base + sum of index * from], in runs of whole bytes.
struct Strided {
  int64_t base = 0;
  std::vector<Axis> axes;  // outermost first; the last is the innermost of the result
};

// Axes that one stride steps through become one, and those of size 1 go.
void merge(Strided& strided) {
  std::vector<Axis> merged;
  for (const Axis& axis : strided.axes) {
    if (axis.size == 1) continue;
    if (!merged.empty() && merged.back().from == axis.from * axis.size) {
      merged.back() = {merged.back().size * axis.size, axis.from};
    } else {
      merged.push_back(axis);
    }
  }
  strided.axes = std::move(merged);
}

std::vector<int64_t> byte_strides(const Type& type) {
  std::vector<int64_t> strides(type.shape.rank());
  int64_t stride = dtype_bytes(type.dtype);
  for (size_t axis = strides.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= type.shape[axis].value();
  }
  return strides;
}

std::optional<Strided> strided_of(const Launch& launch) {
  if (launch.opcode != Opcode::kTranspose && launch.opcode != Opcode::kBroadcast &&
      launch.opcode != Opcode::kSlice && launch.opcode != Opcode::kReverse) {
    return std::nullopt;
  }
  const Operand& x = launch.operands[0];
  const Shape& result = launch.results[0].type.shape;
  const std::vector<int64_t> strides = byte_strides(x.type);
  const InstructionView view = attributes_of(launch);
  Strided strided;
  for (size_t axis = 0; axis < result.rank(); ++axis)
    strided.axes.push_back({result[axis].value(), 0});
  switch (launch.opcode) {
    case Opcode::kTranspose: {
      const std::vector<int64_t>& order = ints_of(view, Attr::kPermutation);
      for (size_t i = 0; i < order.size(); ++i) {
        strided.axes[i].from = strides[static_cast<size_t>(order[i])];
      }
      break;
    }
    case Opcode::kBroadcast: {
      const size_t lead = result.rank() - x.type.shape.rank();
      for (size_t i = 0; i < strides.size(); ++i) {
        if (x.type.shape[i] != Dim(1)) strided.axes[lead + i].from = strides[i];
      }
      break;
    }
    case Opcode::kReverse:
      for (size_t i = 0; i < strides.size(); ++i) strided.axes[i].from = strides[i];
      for (const int64_t axis : ints_of(view, Attr::kAxes)) {
        Axis& reversed = strided.axes[static_cast<size_t>(axis)];
        strided.base += (reversed.size - 1) * reversed.from;
        reversed.from = -reversed.from;
      }
      break;
    default: {
      const std::vector<Dim>& starts = dims_of(view, Attr::kStarts);
      const std::vector<int64_t>& steps = ints_of(view, Attr::kSteps);
      for (size_t i = 0; i < strides.size(); ++i) {
        strided.base += starts[i].value() * strides[i];
        strided.axes[i].from = strides[i] * (steps.empty() ? 1 : steps[i]);
      }
      break;
    }
  }
  merge(strided);
  return strided;
}

// A unit is a piece of an index of the outer axes: what is inside is copied in runs, or element by
// element; where the operand has the next to last axis innermost, some of its elements at a time,
// so that a cache line is read once.
class StridedKernel : public Kernel {
 public:
  StridedKernel(const Launch& launch, Strided strided)
      : launch_(launch), size_(dtype_bytes(launch.results[0].type.dtype)), base_(strided.base) {
    axes_ = std::move(strided.axes);
    run_ = size_;
    if (!axes_.empty() && axes_.back().from == size_) {
      run_ = axes_.back().size * size_;
      axes_.pop_back();
    }
    inner_ = take_last();
    if (run_ == size_ && !axes_.empty() && axes_.back().from == size_) {
      across_ = take_last();
      piece_ = kPieceAcross;
    }
    blocks_ = (across_.size + kRowsAcross - 1) / kRowsAcross;
    pieces_ = (inner_.size + piece_ - 1) / piece_;
    units_ = pieces_ * blocks_;
    for (const Axis& axis : axes_) units_ *= axis.size;
    if (launch.results[0].bytes() == 0) units_ = 0;
  }

  void bind(const Addresses& addresses) override {
    from_ = addresses.of(launch_.operands[0]) + base_;
    to_ = addresses.of(launch_.results[0]);
  }
  int64_t units() const override { return units_; }
  Result<void> run(int64_t begin, int64_t end, std::byte*) override {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t first = unit % pieces_ * piece_;
      const int64_t row = unit / pieces_ % blocks_ * kRowsAcross;
      const int64_t outer = unit / pieces_ / blocks_;
      const std::byte* from = from_ + first * inner_.from + row * across_.from;
      int64_t rest = outer;
      for (size_t axis = axes_.size(); axis-- > 0;) {
        from += rest % axes_[axis].size * axes_[axis].from;
        rest /= axes_[axis].size;
      }
      std::byte* to = to_ + ((outer * across_.size + row) * inner_.size + first) * run_;
      const int64_t rows = std::min(kRowsAcross, across_.size - row);
      copy_inner(from, to, rows, std::min(piece_, inner_.size - first));
    }
    return {};
  }

 private:
  static constexpr int64_t kPiece = 1 << 16;  // runs
  static constexpr int64_t kPieceAcross = 1 << 12;
  static constexpr int64_t kRowsAcross = 64;

  Axis take_last() {
    if (axes_.empty()) return {1, 0};
    const Axis last = axes_.back();
    axes_.pop_back();
    return last;
  }

  void copy_inner(const std::byte* from, std::byte* to, int64_t rows, int64_t count) const {
    switch (run_) {
      case 1: return copy_elements<1>(from, to, rows, count);
      case 2: return copy_elements<2>(from, to, rows, count);
      case 4: return copy_elements<4>(from, to, rows, count);
      case 8: return copy_elements<8>(from, to, rows, count);
      default: break;
    }
    for (int64_t i = 0; i < count; ++i) {
      std::memcpy(to + i * run_, from + i * inner_.from, static_cast<size_t>(run_));
    }
  }
  template <int64_t kBytes>
  void copy_elements(const std::byte* from, std::byte* to, int64_t rows, int64_t count) const {
    if (rows == 1) {
      for (int64_t i = 0; i < count; ++i) {
        std::memcpy(to + i * kBytes, from + i * inner_.from, kBytes);
      }
      return;
    }
    const int64_t row = inner_.size * kBytes;
    for (int64_t i = 0; i < count; ++i, from += inner_.from, to += kBytes) {
      for (int64_t r = 0; r < rows; ++r) std::memcpy(to + r * row, from + r * kBytes, kBytes);
    }
  }

  const Launch& launch_;
  int64_t size_;
  int64_t base_;
  std::vector<Axis> axes_;
  Axis inner_{1, 0};
  Axis across_{1, 0};  // the axis outside it, where that is the operand's innermost
  int64_t run_ = 0;    // bytes next to each other
  int64_t piece_ = kPiece;
  int64_t pieces_ = 1;  // of the inner axis
  int64_t blocks_ = 1;  // of the axis across
  int64_t units_ = 1;
  const std::byte* from_ = nullptr;
  std::byte* to_ = nullptr;
};

// A unit is a line of the result along the last axis: what lies inside is copied at once.
class PadKernel : public Kernel {
 public:
  explicit PadKernel(const Launch& launch)
      : launch_(launch), size_(dtype_bytes(launch.results[0].type.dtype)) {
    const InstructionView view = attributes_of(launch);
    const Type& x = launch.operands[0].type;
    const std::vector<int64_t> strides = byte_strides(x);
    std::vector<int64_t> low = ints_of(view, Attr::kLow);
    low.resize(strides.size());  // [] is all 0
    for (size_t axis = 0; axis < strides.size(); ++axis) {
      std::vector<int64_t> from;
      const int64_t size = launch.results[0].type.shape[axis].value();
      for (int64_t i = 0; i < size; ++i) {
        const int64_t index = source(view, i - low[axis], x.shape[axis].value());
        from.push_back(index < 0 ? kOutside : index * strides[axis]);
      }
      from_.push_back(std::move(from));
    }
    if (x.dtype == DType::kF32) {
      const float value = float_of(view, Attr::kValue);
      std::memcpy(value_, &value, sizeof(value));
    } else {
      const int64_t value = int_of(view, Attr::kIntValue);  // its lowest bytes, little endian
      std::memcpy(value_, &value, sizeof(value));
    }
    line_ = launch.results[0].type.shape[strides.size() - 1].value();
    inside_begin_ = std::clamp<int64_t>(low.back(), 0, line_);
    inside_end_ =
        std::clamp<int64_t>(low.back() + x.shape[strides.size() - 1].value(), inside_begin_, line_);
  }

  void bind(const Addresses& addresses) override {
    from_data_ = addresses.of(launch_.operands[0]);
    to_ = addresses.of(launch_.results[0]);
  }
  int64_t units() const override {
    const Shape& shape = launch_.results[0].type.shape;
    return line_ == 0 ? 0 : count(shape, 0, shape.rank() - 1);
  }
  Result<void> run(int64_t begin, int64_t end, std::byte*) override {
    for (int64_t unit = begin; unit < end; ++unit) write_line(unit);
    return {};
  }

 private:
  static constexpr int64_t kOutside = -1;

  // The index that a padded index stands for, or kOutside.
  static int64_t source(const InstructionView& view, int64_t i, int64_t size) {
    if (i >= 0 && i < size) return i;
    switch (static_cast<PadMode>(int_of(view, Attr::kMode))) {
      case PadMode::kConstant: return kOutside;
      case PadMode::kEdge: return std::clamp<int64_t>(i, 0, std::max<int64_t>(size - 1, 0));
      case PadMode::kReflect: return i < 0 ? -i : 2 * (size - 1) - i;
    }
    return kOutside;
  }

  void write_line(int64_t unit) const {
    const size_t last = from_.size() - 1;
    const std::byte* from = from_data_;
    int64_t rest = unit;
    for (size_t axis = last; axis-- > 0;) {
      const auto size = static_cast<int64_t>(from_[axis].size());
      const int64_t offset = from_[axis][static_cast<size_t>(rest % size)];
      rest /= size;
      if (offset == kOutside) from = nullptr;
      if (from != nullptr) from += offset;
    }
    std::byte* to = to_ + unit * line_ * size_;
    const bool there = from != nullptr;
    write_elements(from, 0, there ? inside_begin_ : line_, to);
    if (!there) return;
    if (inside_end_ > inside_begin_) {
      std::memcpy(to + inside_begin_ * size_,
                  from + from_[last][static_cast<size_t>(inside_begin_)],
                  static_cast<size_t>((inside_end_ - inside_begin_) * size_));
    }
    write_elements(from, inside_end_, line_, to);
  }
  void write_elements(const std::byte* from, int64_t begin, int64_t end, std::byte* to) const {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t offset = from_.back()[static_cast<size_t>(i)];
      const bool there = from != nullptr && offset != kOutside;
      std::memcpy(to + i * size_, there ? from + offset : value_, static_cast<size_t>(size_));
    }
  }

  const Launch& launch_;
  const int64_t size_;
  std::vector<std::vector<int64_t>> from_;  // by axis and index of the result, in bytes of x
  std::byte value_[8] = {};
  int64_t line_ = 0;          // elements of the last axis
  int64_t inside_begin_ = 0;  // of it, what x has
  int64_t inside_end_ = 0;
  const std::byte* from_data_ = nullptr;
  std::byte* to_ = nullptr;
};

// Concat and Split: a unit is a piece of what lies behind one index of the axes before theirs.
class JoinKernel : public Kernel {
 public:
  explicit JoinKernel(const Launch& launch)
      : launch_(launch), joins_(launch.opcode == Opcode::kConcat) {
    const Operand& whole = joins_ ? launch.results[0] : launch.operands[0];
    const auto axis = static_cast<size_t>(int_of(attributes_of(launch), Attr::kAxis));
    const int64_t rows = count(whole.type.shape, 0, axis);
    for (const Operand& part : joins_ ? launch.operands : launch.results) {
      parts_.push_back({rows == 0 ? 0 : part.bytes() / rows, nullptr});
      row_ += parts_.back().bytes;
    }
    pieces_ = std::max<int64_t>((row_ + kPiece - 1) / kPiece, 1);
    units_ = rows * pieces_;
  }

  void bind(const Addresses& addresses) override {
    whole_ = addresses.of(joins_ ? launch_.results[0] : launch_.operands[0]);
    const std::vector<Operand>& operands = joins_ ? launch_.operands : launch_.results;
    for (size_t i = 0; i < parts_.size(); ++i) parts_[i].data = addresses.of(operands[i]);
  }
  int64_t units() const override { return units_; }
  Result<void> run(int64_t begin, int64_t end, std::byte*) override {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t row = unit / pieces_;
      const int64_t first = unit % pieces_ * kPiece;
      const int64_t last = std::min(first + kPiece, row_);
      int64_t at = 0;  // where the part begins in the row
      for (const Part& part : parts_) {
        const int64_t begin_here = std::max(first, at);
        const int64_t end_here = std::min(last, at + part.bytes);
        if (end_here > begin_here) {
          std::byte* const whole = whole_ + row * row_ + begin_here;
          std::byte* const piece = part.data + row * part.bytes + begin_here - at;
          std::memcpy(joins_ ? whole : piece, joins_ ? piece : whole,
                      static_cast<size_t>(end_here - begin_here));
        }
        at += part.bytes;
      }
    }
    return {};
  }

 private:
  static constexpr int64_t kPiece = int64_t{1} << 20;  // bytes
  struct Part {
    int64_t bytes;  // of one unit
    std::byte* data;
  };

  const Launch& launch_;
  const bool joins_;
  int64_t units_ = 0;
  int64_t row_ = 0;     // bytes of the whole behind one index
  int64_t pieces_ = 1;  // of a row
  std::vector<Part> parts_;
  std::byte* whole_ = nullptr;
};

// Gather and EmbeddingLookup: a unit is one index of one outer position; it is checked before it is
// followed (rule V15).
class GatherKernel : public Kernel {
 public:
  explicit GatherKernel(const Launch& launch) : launch_(launch) {
    const Type& x = launch.operands[0].type;
    const InstructionView view = attributes_of(launch);
    const bool embedding = launch.opcode == Opcode::kEmbeddingLookup;
    const auto axis = embedding ? 0 : static_cast<size_t>(int_of(view, Attr::kAxis));
    clamps_ = static_cast<OutOfRange>(int_of(view, Attr::kOutOfRange)) == OutOfRange::kClamp;
    wide_ = launch.operands[1].type.dtype == DType::kI64;
    extent_ = x.shape[axis].value();
    count_ = launch.operands[1].type.shape.elements().value();
    row_ = count(x.shape, axis + 1, x.shape.rank()) * dtype_bytes(x.dtype);
    units_ = count(x.shape, 0, axis) * count_;
  }

  void bind(const Addresses& addresses) override {
    x_ = addresses.of(launch_.operands[0]);
    indices_ = addresses.of(launch_.operands[1]);
    to_ = addresses.of(launch_.results[0]);
  }
  int64_t units() const override { return units_; }
  Result<void> run(int64_t begin, int64_t end, std::byte*) override {
    for (int64_t unit = begin; unit < end; ++unit) {
      int64_t index = index_at(unit % count_);
      if (index < 0 || index >= extent_) {
        if (!clamps_) {
          return error(ErrorCode::kInvalidArgument, "{}: index {} at element {} is outside 0 to {}",
                       info_of(launch_.opcode).name, index, unit % count_, extent_ - 1);
        }
        index = index < 0 ? 0 : extent_ - 1;
      }
      if (row_ == 0) continue;
      std::memcpy(to_ + unit * row_, x_ + (unit / count_ * extent_ + index) * row_,
                  static_cast<size_t>(row_));
    }
    return {};
  }

 private:
  int64_t index_at(int64_t element) const {
    if (wide_) return reinterpret_cast<const int64_t*>(indices_)[element];
    return reinterpret_cast<const int32_t*>(indices_)[element];
  }

  const Launch& launch_;
  bool clamps_ = false;
  bool wide_ = false;
  int64_t extent_ = 0;
  int64_t count_ = 0;  // of indices
  int64_t row_ = 0;    // bytes
  int64_t units_ = 0;
  const std::byte* x_ = nullptr;
  const std::byte* indices_ = nullptr;
  std::byte* to_ = nullptr;
};

}  // namespace

std::unique_ptr<Kernel> make_movement_kernel(const Launch& launch, const KernelTarget&) {
  if (launch.kind != LaunchKind::kInstruction) return nullptr;
  switch (launch.opcode) {
    case Opcode::kConcat:
    case Opcode::kSplit: return std::make_unique<JoinKernel>(launch);
    case Opcode::kGather:
    case Opcode::kEmbeddingLookup: return std::make_unique<GatherKernel>(launch);
    case Opcode::kPad:
      if (launch.operands[0].type.shape.rank() == 0) return nullptr;
      return std::make_unique<PadKernel>(launch);
    default: break;
  }
  std::optional<Strided> strided = strided_of(launch);
  if (!strided) return nullptr;
  return std::make_unique<StridedKernel>(launch, *std::move(strided));
}

}  // namespace bcai::vm
