// SPDX-License-Identifier: Apache-2.0
#include "vm/compiler/lowering.h"

#include <algorithm>
#include <map>
#include <utility>

#include "vm/compiler/channels_last.h"
#include "vm/compiler/groups.h"
#include "vm/compiler/views.h"

namespace bcai::vm {
namespace {

class Lowering {
 public:
  Lowering(Program program, bool fuse) : fuse_(fuse) { plan_.program = std::move(program); }

  Plan run() {
    const Function& main = function();
    at_.resize(main.values.size());
    for (uint32_t i = 0; i < main.body.arguments.size(); ++i) {
      const ValueId id = main.body.arguments[i];
      const Storage storage = type_of(id).is_state ? Storage::kState : Storage::kInput;
      at_[id] = new_operand(storage, i, type_of(id));
      keep_checkpoint(id, plan_.main);
    }
    const Uses uses(plan_.program);
    uses_ = &uses;
    lower_region(main.body, plan_.main);
    uint32_t slot = 0;
    for (const ValueId id : main.body.instructions.back().operands) {
      plan_.results.push_back(as_result(here(id, plan_.main), slot++, type_of(id).is_state));
    }
    for (const ValueId id : plan_.program.checkpoints) {
      const auto snapshot = snapshots_.find(id);
      const Operand kept = snapshot == snapshots_.end() ? here(id, plan_.main) : snapshot->second;
      plan_.checkpoints.push_back(as_result(kept, slot++, type_of(id).is_state));
    }
    return std::move(plan_);
  }

 private:
  const Function& function() const { return plan_.program.functions[0]; }
  const Type& type_of(ValueId id) const { return function().values[id]; }

  Operand new_operand(Storage storage, uint32_t index, Type type) {
    type.is_state = false;
    plan_.buffers.push_back({.storage = storage, .index = index, .bytes = type.bytes().value()});
    return {static_cast<uint32_t>(plan_.buffers.size() - 1), 0, std::move(type)};
  }
  Operand new_operand(const Type& type) { return new_operand(Storage::kArena, 0, type); }

  // The operand itself if its buffer can be the result, else a copy of it.
  Operand as_result(const Operand& operand, uint32_t slot, bool is_state) {
    Buffer& buffer = plan_.buffers[operand.buffer];
    // A tensor read from a state is not the state: the next run may rewrite that.
    if (buffer.storage == Storage::kState && is_state) return operand;
    if (buffer.storage == Storage::kArena && operand.bytes() == buffer.bytes) {
      buffer.storage = Storage::kResult;
      buffer.index = slot;
      return operand;
    }
    const Operand copied = new_operand(Storage::kResult, slot, operand.type);
    copy(operand, copied, plan_.main);
    return copied;
  }

  static void copy(const Operand& from, const Operand& to, Sequence& out) {
    if (from.same_place(to)) return;
    Launch launch;
    launch.kind = LaunchKind::kCopy;
    launch.bytes = 2 * static_cast<uint64_t>(from.bytes());
    launch.operands = {from};
    launch.results = {to};
    out.push_back(std::move(launch));
  }

  void lower_region(const Region& region, Sequence& out) {
    Groups groups;
    if (fuse_) groups = find_groups(function(), region, *uses_);
    const uint32_t first = number_;
    for (uint32_t i = 0; i < region.instructions.size(); ++i) {
      const Instruction& instruction = region.instructions[i];
      const uint32_t number = fuse_ ? groups.group_of[i] : kNoGroup;
      ++number_;
      if (number == kNoGroup) {
        lower_instruction(region, instruction, out);
        for (const ValueId id : instruction.results) keep_checkpoint(id, out);
      } else if (groups.groups[number].members.back() == i) {
        lower_group(region, groups.groups[number], first, out);
      }
    }
  }

  void lower_instruction(const Region& region, const Instruction& instruction, Sequence& out) {
    switch (instruction.opcode) {
      case Opcode::kReturn: return;
      case Opcode::kParam: return lower_listed(instruction, Storage::kWeight);
      case Opcode::kConst: return lower_listed(instruction, Storage::kConstant);
      case Opcode::kRepeat: return lower_repeat(instruction, out);
      case Opcode::kCond: return lower_cond(instruction, out);
      case Opcode::kKVCacheRead: return lower_read(region, instruction, out);
      default: break;
    }
    if (lower_view(instruction, out)) return;
    Launch launch = launch_of(instruction, out);
    launch.instructions = {number_ - 1};
    if (launch.channels_last) {
      add_channels_last_result(instruction.results[0], launch);
      out.push_back(std::move(launch));
      return;
    }
    for (size_t i = 0; i < instruction.results.size(); ++i) {
      // A state is rewritten where it lies.
      const ValueId id = instruction.results[i];
      at_[id] = instruction.opcode == Opcode::kKVCacheAppend ? launch.operands[0]
                                                             : new_operand(type_of(id));
      launch.results.push_back(at_[id]);
    }
    out.push_back(std::move(launch));
  }

  // A state that is a checkpoint is copied before it is rewritten.
  void keep_checkpoint(ValueId id, Sequence& out) {
    if (!type_of(id).is_state) return;
    const auto& checkpoints = plan_.program.checkpoints;
    if (std::find(checkpoints.begin(), checkpoints.end(), id) == checkpoints.end()) return;
    snapshots_[id] = new_operand(type_of(id));
    copy(at_[id], snapshots_[id], out);
  }

  Launch launch_of(const Instruction& instruction, Sequence& out) {
    Launch launch;
    launch.opcode = instruction.opcode;
    launch.attributes = instruction.attributes;
    launch.channels_last =
        fuse_ && wants_channels_last(function(), instruction, is_fixed(instruction));
    bool image_last = launch.channels_last;
    if (fuse_ && !launch.channels_last && images_lie_last(instruction)) {
      std::optional<Attributes> turned = attributes_channels_last(function(), instruction);
      launch.channels_last = turned.has_value();
      if (!turned) turned = spatial_axes_channels_last(function(), instruction);
      image_last = turned.has_value();
      if (turned) launch.attributes = *std::move(turned);
    }
    for (size_t i = 0; i < instruction.operands.size(); ++i) {
      const ValueId id = instruction.operands[i];
      const bool last = image_last && i < images_of(instruction);
      launch.operands.push_back(id == kNoValue ? Operand{}
                                : last         ? last_here(id, out)
                                               : here(id, out));
    }
    add_work(instruction, launch);
    return launch;
  }

  // How many of its first operands are images.
  static size_t images_of(const Instruction& instruction) {
    return instruction.opcode == Opcode::kConcat ? instruction.operands.size() : 1;
  }

  // Whether all its images lie with their channels innermost, and one of them only so.
  bool images_lie_last(const Instruction& instruction) const {
    bool only = false;
    if (instruction.operands.empty()) return false;
    for (size_t i = 0; i < images_of(instruction); ++i) {
      const ValueId id = instruction.operands[i];
      if (id == kNoValue || last_.count(id) == 0) return false;
      only = only || !at_[id].present();
    }
    return only;
  }

  bool is_fixed(const Instruction& instruction) const {
    if (instruction.opcode != Opcode::kConvolutionForward &&
        instruction.opcode != Opcode::kConvolutionTranspose) {
      return false;
    }
    const Operand& weight = at_[instruction.operands[1]];
    if (!weight.present()) return false;
    const Storage storage = plan_.buffers[weight.buffer].storage;
    return storage == Storage::kWeight || storage == Storage::kConstant;
  }

  // The value as the program has it; turned here if so far there is only the other way.
  Operand here(ValueId id, Sequence& out) {
    if (!at_[id].present()) {
      at_[id] = turned(type_of(id).shape, last_.at(id), type_of(id),
                       from_channels_last(type_of(id).shape.rank()), out);
    }
    return at_[id];
  }

  // The value with its channels innermost.
  Operand last_here(ValueId id, Sequence& out) {
    Operand& last = last_[id];
    if (!last.present()) {
      last = turned(type_of(id).shape, at_[id], channels_last(type_of(id)),
                    to_channels_last(type_of(id).shape.rank()), out);
    }
    return last;
  }

  // The same place where the order of the elements stays.
  Operand turned(const Shape& image, const Operand& from, const Type& type, Attributes order,
                 Sequence& out) {
    if (keeps_order_turned(image)) {
      Operand view = from;
      view.type = type;
      view.type.is_state = false;
      return view;
    }
    const Operand to = new_operand(type);
    Launch launch;
    launch.opcode = Opcode::kTranspose;
    launch.attributes = std::move(order);
    launch.operands = {from};
    launch.results = {to};
    launch.bytes = 2 * bytes_of(from);
    out.push_back(std::move(launch));
    return to;
  }

  // [N,C,..] with one channel or one pixel: its elements are in the same order as [N,..,C].
  static bool keeps_order_turned(const Shape& image) {
    return image.rank() >= 2 && (image[1] == Dim(1) || image.elements(2, image.rank()) == Dim(1));
  }

  void add_channels_last_result(ValueId id, Launch& launch) {
    at_[id] = {};
    last_[id] = new_operand(channels_last(type_of(id)));
    launch.results.push_back(last_[id]);
  }

  // A region may run or not, and again: what it makes in passing is not there afterwards, and what
  // it needs is there before.
  void turn_back_all(Sequence& out) {
    std::vector<ValueId> pending;
    for (const auto& [id, last] : last_) {
      if (!at_[id].present()) pending.push_back(id);
    }
    for (const ValueId id : pending) here(id, out);
  }
  void lower_body(const Region& region, Sequence& body) {
    const std::map<ValueId, Operand> before = last_;
    lower_region(region, body);
    for (const ValueId id : region.instructions.back().operands) here(id, body);
    last_ = before;
  }

  void add_work(const Instruction& instruction, Launch& launch) const {
    std::vector<const Type*> types;
    std::vector<Type> stated;
    const InstructionView view = view_of(function(), instruction, &types, &stated);
    std::vector<Type> results;
    for (const ValueId id : instruction.results) results.push_back(type_of(id));
    const Work work = work_of(view, results).value_or(Work{});
    launch.flops += work.flops;
    launch.bytes += work.bytes;
  }

  void lower_listed(const Instruction& instruction, Storage storage) {
    Operand& listed = listed_[{storage, instruction.reference}];
    if (!listed.present()) {
      listed = new_operand(storage, instruction.reference, type_of(instruction.results[0]));
    }
    at_[instruction.results[0]] = listed;
  }

  bool lower_view(const Instruction& instruction, Sequence& out) {
    const std::optional<std::vector<int64_t>> offsets = view_offsets(function(), instruction);
    if (!offsets) return false;
    for (size_t i = 0; i < instruction.results.size(); ++i) {
      Operand view = here(instruction.operands[0], out);
      view.offset += (*offsets)[i];
      view.type = type_of(instruction.results[i]);
      at_[instruction.results[i]] = std::move(view);
    }
    return true;
  }

  // The tensor is the state's memory, unless something may rewrite that later.
  void lower_read(const Region& region, const Instruction& read, Sequence& out) {
    const Operand state = at_[read.operands[0]];
    at_[read.results[1]] = state;
    at_[read.results[0]] = state;
    if (state_stays(region, read.results[1])) return;
    at_[read.results[0]] = new_operand(type_of(read.results[0]));
    copy(state, at_[read.results[0]], out);
  }

  static bool state_stays(const Region& region, ValueId state) {
    for (const Instruction& instruction : region.instructions) {
      const auto& operands = instruction.operands;
      if (std::find(operands.begin(), operands.end(), state) == operands.end()) continue;
      if (instruction.opcode != Opcode::kKVCacheRead) return instruction.opcode == Opcode::kReturn;
      state = instruction.results[1];
    }
    return false;
  }

  void lower_group(const Region& region, const Group& group, uint32_t first, Sequence& out) {
    Launch launch;
    switch (group.kind) {
      case GroupKind::kMap:
        launch.channels_last = stays_channels_last(group);
        add_steps(region, group, launch, out);
        break;
      case GroupKind::kResidual: {
        const Instruction& product = region.instructions[group.members[0]];
        const Instruction& add = region.instructions[group.members[1]];
        launch = launch_of(product, out);
        launch.relu = group.members.size() > 2;
        add_residual(add.operands[add.operands[0] == product.results[0] ? 1 : 0], launch, out);
        break;
      }
      case GroupKind::kNorm: {
        const Instruction& add = region.instructions[group.members[0]];
        // The norm reads the first term where it would read the sum, which nobody else does.
        at_[add.results[0]] = here(add.operands[0], out);
        launch = launch_of(region.instructions[group.members[1]], out);
        add_residual(add.operands[1], launch, out);
        break;
      }
    }
    for (const uint32_t member : group.members) launch.instructions.push_back(first + member);
    for (const ValueId id : group.results) {
      if (launch.channels_last) {
        add_channels_last_result(id, launch);
        continue;
      }
      at_[id] = new_operand(type_of(id));
      launch.results.push_back(at_[id]);
    }
    if (group.kind == GroupKind::kMap) {
      for (const Operand& operand : launch.operands) launch.bytes += bytes_of(operand);
      for (const Operand& result : launch.results) launch.bytes += bytes_of(result);
    }
    out.push_back(std::move(launch));
  }

  void add_residual(ValueId id, Launch& launch, Sequence& out) {
    launch.residual = launch.channels_last ? last_here(id, out) : here(id, out);
    launch.flops += static_cast<uint64_t>(type_of(id).shape.elements().value());
    launch.bytes += bytes_of(launch.residual);
  }

  static uint64_t bytes_of(const Operand& operand) {
    return static_cast<uint64_t>(operand.bytes());
  }

  // Whether a map can go on with images as they lie, because nothing must be turned for it.
  bool stays_channels_last(const Group& group) const {
    const Type& result = type_of(group.results[0]);
    bool pending = false;
    for (const ValueId id : group.inputs) {
      const bool whole = type_of(id).shape == result.shape;
      if (whole && last_.count(id) == 0) return false;
      pending = pending || (whole && !at_[id].present());
      const bool there = at_[id].present() || keeps_order_turned(type_of(id).shape);
      if (!whole && (!there || !broadcast_channels_last(type_of(id), result))) return false;
    }
    return pending;
  }

  Operand map_input(ValueId id, const Group& group, bool last, Sequence& out) {
    const Type& result = type_of(group.results[0]);
    if (!last) return broadcast_input(here(id, out), result.shape, out);
    if (type_of(id).shape == result.shape) return last_here(id, out);
    Operand operand = here(id, out);
    operand.type = *broadcast_channels_last(type_of(id), result);
    return operand;
  }

  // A map repeats inputs by row, column and scalar. What is repeated otherwise is written out.
  Operand broadcast_input(const Operand& from, const Shape& shape, Sequence& out) {
    if (broadcasting_of(from.type.shape, shape)) return from;
    const Operand whole = new_operand({from.type.dtype, shape});
    Launch launch;
    launch.opcode = Opcode::kBroadcast;
    launch.operands = {from};
    launch.results = {whole};
    launch.bytes = bytes_of(from) + bytes_of(whole);
    out.push_back(std::move(launch));
    return whole;
  }

  void add_steps(const Region& region, const Group& group, Launch& launch, Sequence& out) {
    launch.kind = LaunchKind::kMap;
    std::map<ValueId, uint32_t> numbers;
    for (const ValueId id : group.inputs) {
      numbers[id] = static_cast<uint32_t>(launch.operands.size());
      launch.operands.push_back(map_input(id, group, launch.channels_last, out));
    }
    for (const uint32_t member : group.members) {
      const Instruction& instruction = region.instructions[member];
      MapStep step{instruction.opcode,
                   instruction.attributes,
                   {},
                   type_of(instruction.operands.back()).dtype,
                   type_of(instruction.results[0]).dtype};
      for (const ValueId id : instruction.operands) step.operands.push_back(numbers[id]);
      numbers[instruction.results[0]] =
          static_cast<uint32_t>(group.inputs.size() + launch.steps.size());
      launch.steps.push_back(std::move(step));
      add_work(instruction, launch);
    }
    launch.bytes = 0;
    for (const ValueId id : group.results) launch.outputs.push_back(numbers[id]);
  }

  void lower_repeat(const Instruction& repeat, Sequence& out) {
    const Region& region = repeat.regions[0];
    turn_back_all(out);
    Launch launch;
    launch.kind = LaunchKind::kRepeat;
    launch.instructions = {number_ - 1};
    launch.trip = std::get<std::vector<Dim>>(*repeat.attributes.find(Attr::kTrip))[0].value();
    launch.until = repeat.attributes.find(Attr::kUntil) != nullptr;
    std::vector<Operand> carried;
    for (size_t k = 0; k < repeat.operands.size(); ++k) {
      const Operand& from = at_[repeat.operands[k]];
      // A state is used once, so the loop may have its memory.
      const bool in_place = type_of(repeat.operands[k]).is_state;
      carried.push_back(in_place ? from : new_operand(from.type));
      copy(from, carried[k], out);
      at_[region.arguments[k]] = carried[k];
      at_[repeat.results[k]] = carried[k];
    }
    Sequence body;
    lower_body(region, body);
    std::vector<Operand> yields;
    for (const ValueId id : region.instructions.back().operands) yields.push_back(at_[id]);
    carry(launch.until, yields, carried, body);
    if (launch.until) launch.operands = {yields[0]};
    launch.bodies.push_back(std::move(body));
    out.push_back(std::move(launch));
  }

  // What a turn yields becomes what the next one starts with; first out of the way what another
  // copy would overwrite.
  void carry(bool until, std::vector<Operand>& yields, const std::vector<Operand>& carried,
             Sequence& body) {
    const size_t skip = until ? 1 : 0;
    for (size_t i = 0; i < yields.size(); ++i) {
      const bool stays = i >= skip && yields[i].same_place(carried[i - skip]);
      const bool threatened =
          std::any_of(carried.begin(), carried.end(),
                      [&](const Operand& operand) { return operand.buffer == yields[i].buffer; });
      if (stays || !threatened) continue;
      const Operand aside = new_operand(yields[i].type);
      copy(yields[i], aside, body);
      yields[i] = aside;
    }
    for (size_t k = 0; k < carried.size(); ++k) copy(yields[k + skip], carried[k], body);
  }

  void lower_cond(const Instruction& cond, Sequence& out) {
    turn_back_all(out);
    Launch launch;
    launch.kind = LaunchKind::kCond;
    launch.instructions = {number_ - 1};
    launch.operands = {at_[cond.operands[0]]};
    launch.bodies.resize(2);
    for (size_t i = 0; i < 2; ++i) lower_body(cond.regions[i], launch.bodies[i]);
    for (size_t k = 0; k < cond.results.size(); ++k) {
      const ValueId yes_id = cond.regions[0].instructions.back().operands[k];
      const ValueId no_id = cond.regions[1].instructions.back().operands[k];
      const Operand yes = at_[yes_id];
      const Operand no = at_[no_id];
      Operand result = yes;
      // A state may have been rewritten in place; a tensor read from it must not follow it out.
      const bool one = yes_id == no_id || type_of(yes_id).is_state;
      if (!one || !yes.same_place(no)) {
        result = new_operand(type_of(cond.results[k]));
        copy(yes, result, launch.bodies[0]);
        copy(no, result, launch.bodies[1]);
      }
      at_[cond.results[k]] = result;
    }
    out.push_back(std::move(launch));
  }

  Plan plan_;
  const bool fuse_;
  const Uses* uses_ = nullptr;
  std::vector<Operand> at_;  // where each value of main lies, absent when only last_ has it
  std::map<std::pair<Storage, uint32_t>, Operand> listed_;
  std::map<ValueId, Operand> last_;  // values that also lie, or only lie, with channels innermost
  std::map<ValueId, Operand> snapshots_;
  uint32_t number_ = 0;  // of the next instruction
};

}  // namespace

Plan lower(Program program, bool fuse) { return Lowering(std::move(program), fuse).run(); }

}  // namespace bcai::vm
