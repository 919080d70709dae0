// SPDX-License-Identifier: Apache-2.0
// A program being written over a checkpoint: layers as torch.nn has them, their tensors found by
// name and checked against the config.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vm/huggingface/weight_files.h"
#include "vm/isa/choices.h"
#include "vm/program/builder.h"

namespace bcai::vm::huggingface {

// The tensors of a Linear are [out,in], those of GPT-2's Conv1D [in,out].
enum class Layout : unsigned char { kLinear, kConv1D };

struct Linear {
  std::string name;  // "encoder.layer.0.output.dense"
  int64_t in = 0;
  int64_t out = 0;
  bool bias = true;
  Activation activation = Activation::kNone;
  Layout layout = Layout::kLinear;
};

class Network {
 public:
  // Names have `prefix` in front if the checkpoint has `probe` with it: a model is saved alone, or
  // as a part of one with a head. `files` must outlive the network.
  Network(const WeightFiles& files, std::string_view prefix, std::string_view probe);

  Builder& builder() { return builder_; }
  const std::vector<std::string>& findings() const { return findings_; }
  void add_finding(std::string finding);
  const std::string& prefix() const { return prefix_; }
  bool has(std::string_view name) const;

  // The dimensions of what runs: symbols, or numbers where the range has one alone.
  Dim dimension(std::string_view name, const SymbolRange& range);

  // Nothing is written after a finding: tensors are only checked.
  ValueId add(Opcode opcode, std::vector<ValueId> operands,
              std::initializer_list<Attributes::Entry> attributes = {});
  ValueId add_stated(Opcode opcode, std::vector<ValueId> operands, const Type& stated,
                     std::initializer_list<Attributes::Entry> attributes = {});
  ValueId integer(int32_t value);  // i32[]
  ValueId number(float value);     // f32[]
  ValueId numbers(const std::vector<float>& values);
  ValueId reshape(ValueId x, const Type& type) { return add_stated(Opcode::kReshape, {x}, type); }
  std::pair<ValueId, ValueId> read(ValueId state);  // its tensor, and the state
  ValueId slice(ValueId x, std::vector<Dim> starts, const Type& type);

  // f32, widened if the file has f16 or bf16. A finding unless it has this shape.
  ValueId weight(const std::string& name, const Shape& shape);
  // The first `rows` of a table, f32[rows,width].
  ValueId first_rows(const std::string& name, int64_t table_rows, const Dim& rows, int64_t width);
  // f32[..,width] of a table [table_rows,width].
  ValueId lookup(const std::string& name, int64_t table_rows, int64_t width, ValueId indices,
                 const Shape& indices_shape);
  ValueId linear(ValueId x, const Linear& layer);
  ValueId layer_norm(ValueId x, const std::string& name, int64_t width, float epsilon);
  ValueId rms_norm(ValueId x, const std::string& name, int64_t width, float epsilon);

  Result<Program> finish(const std::vector<std::pair<std::string, ValueId>>& results);

 private:
  // As in the file, which `dtype` becomes the element type of.
  ValueId stored(const std::string& name, const Shape& shape, DType* dtype);
  ValueId widened(ValueId x, DType dtype, const Shape& shape);

  const WeightFiles& files_;
  std::string prefix_;
  Builder builder_;
  std::map<size_t, uint32_t> file_numbers_;  // of files_ in the program
  std::vector<std::string> findings_;
  size_t findings_left_out_ = 0;
};

}  // namespace bcai::vm::huggingface
