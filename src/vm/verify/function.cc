// SPDX-License-Identifier: Apache-2.0
#include "vm/verify/function.h"

#include <algorithm>

namespace bcai::vm {
namespace {

class FunctionVerifier {
 public:
  FunctionVerifier(const Program& program, const Function& function, Findings& findings)
      : program_(program),
        function_(function),
        findings_(findings),
        symbols_(program.symbols),
        depth_(function.values.size(), 0),
        state_uses_(function.values.size(), 0) {}

  void run() {
    verify_region(function_.body, 1);
    if (fine_ && next_id_ != function_.values.size()) {
      refuse("V2", "{} values are listed, {} are defined", function_.values.size(), next_id_);
    }
  }

 private:
  template <typename... Args>
  void refuse(std::string_view rule, fmt::format_string<Args...> format, Args&&... args) {
    fine_ = false;
    const std::string where =
        here_ == nullptr
            ? function_.name
            : fmt::format("{}, instruction {} ({})", function_.name, number_, name_of(*here_));
    findings_.add(rule, where, here_ == nullptr ? function_.place : here_->place, format,
                  std::forward<Args>(args)...);
  }
  static std::string_view name_of(const Instruction& instruction) {
    return info_of(instruction.opcode).name;
  }
  std::string text(const Type& type) const { return to_text(type, symbols_); }

  // Ids count up in the order of definition (rule V17): that also makes the form canonical.
  void define(ValueId id, size_t depth) {
    if (id != next_id_ || id >= function_.values.size()) {
      refuse("V17", "defines value {}, expected {}", id, next_id_);
      numbering_broken_ = true;
      return;
    }
    depth_[id] = depth;
    scope_.push_back(id);
    ++next_id_;
  }

  // Whether the operand is defined and still in scope.
  bool use(ValueId id, size_t depth) {
    if (id >= next_id_ || id >= depth_.size() || depth_[id] == 0) {
      refuse("V17", "operand {} is not defined here", id);
      return false;
    }
    if (!function_.values[id].is_state) return true;
    if (depth_[id] != depth) {
      refuse("V23", "state {} comes from outside the region", id);
      return false;
    }
    if (++state_uses_[id] > 1) {
      refuse("V23", "state {} was used before", id);
      return false;
    }
    return true;
  }

  void close_scope(size_t begin) {
    for (size_t i = begin; i < scope_.size(); ++i) {
      const ValueId id = scope_[i];
      if (fine_ && function_.values[id].is_state && state_uses_[id] == 0) {
        refuse("V23", "state {} is dropped", id);
      }
      depth_[id] = 0;
    }
    scope_.resize(begin);
  }

  // Leaves the last instruction, Return, in `returned_`.
  void verify_region(const Region& region, size_t depth) {
    if (depth > kNestingMax) {
      refuse("V5", "regions are nested deeper than {}", kNestingMax);
      return;
    }
    const size_t begin = scope_.size();
    for (const ValueId id : region.arguments) define(id, depth);
    if (region.instructions.empty() || region.instructions.back().opcode != Opcode::kReturn) {
      refuse("V20", "a region does not end with Return");
      return;
    }
    for (const Instruction& instruction : region.instructions) {
      if (numbering_broken_) break;
      const Instruction* const outer = here_;
      const size_t outer_number = number_;
      here_ = &instruction;
      number_ = counted_++;
      if (counted_ > kInstructionsMax + 1) {
        if (!numbering_broken_) refuse("V5", "more than {} instructions", kInstructionsMax);
        numbering_broken_ = true;
      } else {
        verify_instruction(instruction, &instruction == &region.instructions.back(), depth);
      }
      here_ = outer;
      number_ = outer_number;
    }
    close_scope(begin);
  }

  void verify_instruction(const Instruction& instruction, bool last, size_t depth) {
    const size_t operands_max =
        instruction.opcode == Opcode::kReturn ? kProgramEntriesMax : kOperandsMax;
    if (instruction.operands.size() > operands_max || instruction.results.size() > kResultsMax) {
      refuse("V5", "{} operands and {} results, at most {} and {}", instruction.operands.size(),
             instruction.results.size(), operands_max, kResultsMax);
      numbering_broken_ = true;
      return;
    }
    bool defined = true;
    for (const ValueId id : instruction.operands) {
      if (id != kNoValue) defined &= use(id, depth);
    }
    if (!instruction.operands.empty() && instruction.operands.back() == kNoValue) {
      refuse("V3", "the last operand is absent: it is left out");
    }
    const bool control = info_of(instruction.opcode).instruction_class->infer == nullptr;
    if (control) {
      verify_control(instruction, last, depth, defined);
      return;
    }
    if (!instruction.regions.empty()) refuse("V20", "takes no region");
    const size_t first = next_id_;
    for (const ValueId id : instruction.results) define(id, depth);
    if (!defined || numbering_broken_) return;
    verify_reference(instruction);
    Judgement judgement(symbols_);
    const InstructionView view = view_of(function_, instruction, &operands_, &stated_);
    const std::vector<Type> types = infer_types(view, judgement);
    for (const Refusal& refusal : judgement.refusals()) {
      refuse(refusal.rule, "{}", refusal.message);
    }
    if (judgement.refusals().empty()) require_types(types, first, instruction.results.size());
  }

  // Rule V18.
  void require_types(std::span<const Type> types, size_t first, size_t stated) {
    if (types.size() != stated) {
      refuse("V18", "{} results, expected {}", stated, types.size());
      return;
    }
    for (size_t i = 0; i < types.size(); ++i) {
      const Type& found = function_.values[first + i];
      if (!(found == types[i])) {
        refuse("V18", "result {} is {}, expected {}", i, text(found), text(types[i]));
      }
    }
  }

  void verify_reference(const Instruction& instruction) {
    const Type* listed = nullptr;
    if (instruction.opcode == Opcode::kParam) {
      if (instruction.reference >= program_.params.size()) {
        return refuse("V27", "parameter {} of {}", instruction.reference, program_.params.size());
      }
      listed = &program_.params[instruction.reference].type;
    } else if (instruction.opcode == Opcode::kConst) {
      if (instruction.reference >= program_.constants.size()) {
        return refuse("V28", "constant {} of {}", instruction.reference, program_.constants.size());
      }
      listed = &program_.constants[instruction.reference].type;
    } else if (instruction.reference != 0) {
      refuse("V3", "refers to {}, but takes no reference", instruction.reference);
    }
    if (listed != nullptr && instruction.results.size() == 1 &&
        !(function_.values[instruction.results[0]] == *listed)) {
      refuse("V18", "result is {}, listed as {}", text(function_.values[instruction.results[0]]),
             text(*listed));
    }
  }

  std::vector<Type> types_of(std::span<const ValueId> ids) const {
    std::vector<Type> types;
    for (const ValueId id : ids) {
      types.push_back(id == kNoValue ? Type{} : function_.values[id]);
    }
    return types;
  }

  void require_same(std::string_view rule, std::string_view what, std::span<const Type> found,
                    std::span<const Type> expected) {
    if (found.size() != expected.size()) {
      refuse(rule, "{}: {} values, expected {}", what, found.size(), expected.size());
      return;
    }
    for (size_t i = 0; i < found.size(); ++i) {
      if (!(found[i] == expected[i])) {
        refuse(rule, "{} {} is {}, expected {}", what, i, text(found[i]), text(expected[i]));
      }
    }
  }

  void verify_control(const Instruction& instruction, bool last, size_t depth, bool defined) {
    Judgement judgement(symbols_);
    const InstructionView view{instruction.opcode, {}, instruction.attributes, {}};
    check_attributes(view, judgement);
    for (const Refusal& refusal : judgement.refusals()) {
      refuse(refusal.rule, "{}", refusal.message);
    }
    if (std::count(instruction.operands.begin(), instruction.operands.end(), kNoValue) > 0) {
      refuse("V17", "an operand is absent");
      defined = false;
    }
    const size_t regions = instruction.opcode == Opcode::kRepeat ? 1
                           : instruction.opcode == Opcode::kCond ? 2
                                                                 : 0;
    if (instruction.regions.size() != regions) {
      refuse("V20", "{} regions, expected {}", instruction.regions.size(), regions);
      numbering_broken_ = true;
      return;
    }
    if (instruction.opcode != Opcode::kCall && instruction.reference != 0) {
      refuse("V3", "refers to {}, but takes no reference", instruction.reference);
    }
    std::vector<std::vector<Type>> returned;
    for (const Region& region : instruction.regions) {
      verify_region(region, depth + 1);
      returned.push_back(region.instructions.empty()
                             ? std::vector<Type>()
                             : safe_types_of(region.instructions.back().operands));
    }
    const size_t first = next_id_;
    for (const ValueId id : instruction.results) define(id, depth);
    if (!defined || numbering_broken_ || !judgement.refusals().empty()) return;
    const std::vector<Type> operands = types_of(instruction.operands);
    switch (instruction.opcode) {
      case Opcode::kReturn: return verify_return(instruction, last, depth, operands);
      case Opcode::kCall: return verify_call(instruction, operands, first);
      case Opcode::kCond: return verify_cond(instruction, operands, returned, first);
      default: return verify_repeat(instruction, operands, returned[0], first);
    }
  }

  std::vector<Type> safe_types_of(const std::vector<ValueId>& ids) const {
    const bool in_range = std::all_of(ids.begin(), ids.end(),
                                      [&](ValueId id) { return id < function_.values.size(); });
    return in_range ? types_of(ids) : std::vector<Type>();
  }

  void verify_return(const Instruction& instruction, bool last, size_t depth,
                     const std::vector<Type>& operands) {
    if (!last) refuse("V20", "Return is not the last instruction of its region");
    if (!instruction.results.empty()) refuse("V18", "Return has results");
    if (depth == 1) require_same("V20", "result", operands, function_.result_types);
  }

  void verify_call(const Instruction& instruction, const std::vector<Type>& operands,
                   size_t first) {
    if (instruction.reference >= program_.functions.size()) {
      return refuse("V20", "function {} of {}", instruction.reference, program_.functions.size());
    }
    const Function& callee = program_.functions[instruction.reference];
    std::vector<Type> arguments;
    for (const ValueId id : callee.body.arguments) {
      if (id < callee.values.size()) arguments.push_back(callee.values[id]);
    }
    require_same("V20", "argument", operands, arguments);
    require_types(callee.result_types, first, instruction.results.size());
  }

  void verify_cond(const Instruction& instruction, const std::vector<Type>& operands,
                   const std::vector<std::vector<Type>>& returned, size_t first) {
    if (operands.size() != 1 || !(operands[0] == Type{DType::kBool, {}})) {
      refuse("V21", "takes one predicate of type bool[]");
    }
    for (const Region& region : instruction.regions) {
      if (!region.arguments.empty()) refuse("V21", "a region of Cond takes no arguments");
    }
    require_same("V21", "the second region's result", returned[1], returned[0]);
    require_types(returned[0], first, instruction.results.size());
  }

  void verify_repeat(const Instruction& instruction, const std::vector<Type>& operands,
                     std::vector<Type> returned, size_t first) {
    const auto& trip = *std::get_if<std::vector<Dim>>(instruction.attributes.find(Attr::kTrip));
    if (trip.size() != 1) refuse("V22", "trip has {} numbers, expected 1", trip.size());
    require_same("V22", "the region's argument", types_of(instruction.regions[0].arguments),
                 operands);
    if (instruction.attributes.find(Attr::kUntil) != nullptr) {
      if (returned.empty() || !(returned[0] == Type{DType::kBool, {}})) {
        return refuse("V22", "the region's first result is not the exit predicate bool[]");
      }
      returned.erase(returned.begin());
    }
    require_same("V22", "the region's result", returned, operands);
    require_types(operands, first, instruction.results.size());
  }

  const Program& program_;
  const Function& function_;
  Findings& findings_;
  std::span<const Symbol> symbols_;
  // The depth of the region that defined each value, 0 outside its scope.
  std::vector<size_t> depth_;
  std::vector<uint8_t> state_uses_;
  std::vector<ValueId> scope_;
  std::vector<const Type*> operands_;
  std::vector<Type> stated_;
  size_t next_id_ = 0;
  size_t counted_ = 0;
  size_t number_ = 0;
  const Instruction* here_ = nullptr;
  bool fine_ = true;
  bool numbering_broken_ = false;
};

}  // namespace

void verify_function(const Program& program, const Function& function, Findings& findings) {
  FunctionVerifier(program, function, findings).run();
}

}  // namespace bcai::vm
