// SPDX-License-Identifier: Apache-2.0
#include "vm/plan/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace bcai::vm {
namespace {

std::string buffer_text(const Plan& plan, const Operand& operand) {
  if (!operand.present()) return "-";
  const Buffer& buffer = plan.buffers[operand.buffer];
  const std::string where = buffer.storage == Storage::kArena
                                ? fmt::format("arena+{}", buffer.offset + operand.offset)
                                : fmt::format("{} {}", storage_name(buffer.storage), buffer.index);
  return fmt::format("{} {}", to_text(operand.type, {}), where);
}

std::string operands_text(const Plan& plan, const std::vector<Operand>& operands) {
  std::vector<std::string> texts;
  for (const Operand& operand : operands) texts.push_back(buffer_text(plan, operand));
  return fmt::format("{}", fmt::join(texts, ", "));
}

void add_sequence(const Plan& plan, const Sequence& sequence, const std::vector<LaunchNote>& notes,
                  size_t depth, std::string& out) {
  for (const Launch& launch : sequence) {
    std::string operands = operands_text(plan, launch.operands);
    if (launch.residual.present()) operands += " + " + buffer_text(plan, launch.residual);
    fmt::format_to(std::back_inserter(out), "{:>5} {:>12} {:>12}  ", launch.step, launch.flops,
                   launch.bytes);
    if (const auto step = static_cast<size_t>(launch.step); step < notes.size()) {
      fmt::format_to(std::back_inserter(out), "{:>9.1f} {:<9}  ", notes[step].microseconds,
                     notes[step].backend);
    }
    fmt::format_to(std::back_inserter(out), "{:>{}}{}: {} <- {}\n", "", 2 * depth,
                   launch_name(launch), operands_text(plan, launch.results), operands);
    for (const Sequence& body : launch.bodies) add_sequence(plan, body, notes, depth + 1, out);
  }
}

}  // namespace

std::string_view storage_name(Storage storage) {
  switch (storage) {
    case Storage::kArena: return "arena";
    case Storage::kInput: return "input";
    case Storage::kState: return "state";
    case Storage::kWeight: return "weight";
    case Storage::kConstant: return "constant";
    case Storage::kResult: return "result";
  }
  return "";
}

std::optional<Broadcasting> broadcasting_of(const Shape& operand, const Shape& result) {
  const size_t rank = result.rank();
  const size_t lead = rank - operand.rank();
  const auto size = [&](size_t axis) {
    return axis < lead ? int64_t{1} : operand[axis - lead].value();
  };
  if (operand.elements() == result.elements()) return Broadcasting{};
  if (operand.elements() == Dim(1)) return Broadcasting{Repetition::kScalar, 1};
  size_t first = 0;  // axes before are repeated, from here on they are whole
  while (size(first) == 1) ++first;
  size_t whole = first;
  while (whole < rank && size(whole) == result[whole].value()) ++whole;
  if (whole == rank) {
    return Broadcasting{Repetition::kRow, result.elements(first, rank).value()};
  }
  size_t last = 0;  // axes before are whole, from here on they are repeated
  while (last < rank && size(last) == result[last].value()) ++last;
  for (size_t axis = last; axis < rank; ++axis) {
    if (size(axis) != 1) return std::nullopt;
  }
  return Broadcasting{Repetition::kColumn, result.elements(last, rank).value()};
}

std::string launch_name(const Launch& launch) {
  switch (launch.kind) {
    case LaunchKind::kInstruction:
      return fmt::format("{}{}{}{}", info_of(launch.opcode).name,
                         launch.residual.present() ? " + residual" : "",
                         launch.relu ? ", Relu" : "", launch.channels_last ? " channels last" : "");
    case LaunchKind::kMap: {
      std::vector<std::string_view> names;
      for (const MapStep& step : launch.steps) names.push_back(info_of(step.opcode).name);
      return fmt::format("map {}", fmt::join(names, ", "));
    }
    case LaunchKind::kCopy: return "copy";
    case LaunchKind::kRepeat:
      return fmt::format("Repeat {}{}", launch.trip, launch.until ? " until" : "");
    case LaunchKind::kCond: return "Cond";
  }
  return "";
}

std::string explain(const Plan& plan, const std::vector<LaunchNote>& notes) {
  std::string out = fmt::format("{:>5} {:>12} {:>12}  ", "step", "flops", "bytes");
  if (!notes.empty()) out += fmt::format("{:>9} {:<9}  ", "us", "backend");
  out += "launch: results <- operands\n";
  add_sequence(plan, plan.main, notes, 0, out);
  int64_t weights = 0;
  for (const Buffer& buffer : plan.buffers) {
    if (buffer.storage == Storage::kWeight) weights += buffer.bytes;
  }
  fmt::format_to(std::back_inserter(out), "arena {} bytes (most alive {}), weights {} bytes\n",
                 plan.arena_bytes, plan.live_bytes_max, weights);
  fmt::format_to(std::back_inserter(out), "{:>6} {:>12} {:>12} {:>13}\n", "buffer", "storage",
                 "bytes", "steps");
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    const Buffer& buffer = plan.buffers[i];
    if (buffer.last < buffer.first) continue;
    const std::string storage = fmt::format(
        "{} {}", storage_name(buffer.storage),
        buffer.storage == Storage::kArena ? buffer.offset : static_cast<int64_t>(buffer.index));
    fmt::format_to(std::back_inserter(out), "{:>6} {:>12} {:>12} {:>6}-{:<6}\n", i, storage,
                   buffer.bytes, buffer.first, buffer.last);
  }
  return out;
}

}  // namespace bcai::vm
