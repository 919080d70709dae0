// SPDX-License-Identifier: Apache-2.0
#include "vm/compiler/place_buffers.h"

#include <algorithm>

#include "vm/plan/memory.h"

namespace bcai::vm {
namespace {

struct Loop {
  int64_t first;
  int64_t last;
};

class Lifetimes {
 public:
  explicit Lifetimes(Plan& plan) : plan_(plan) {}

  void find() {
    for (Buffer& buffer : plan_.buffers) {
      buffer.first = 0;
      buffer.last = -1;
    }
    walk(plan_.main);
    // What is there before a loop and used in it must last: the next turn reads it again.
    for (const Loop& loop : loops_) {
      for (Buffer& buffer : plan_.buffers) {
        if (buffer.last >= loop.first && buffer.first < loop.first) {
          buffer.last = std::max(buffer.last, loop.last);
        }
      }
    }
  }

 private:
  void walk(Sequence& sequence) {
    for (Launch& launch : sequence) {
      launch.step = launch.end = step_++;
      touch(launch);
      if (launch.bodies.empty()) continue;
      for (Sequence& body : launch.bodies) walk(body);
      launch.end = step_++;
      if (launch.kind != LaunchKind::kRepeat) continue;
      // The exit predicate is read at the end.
      for (const Operand& operand : launch.operands) touch(operand, launch.end);
      loops_.push_back({launch.step, launch.end});
    }
  }

  void touch(const Launch& launch) {
    // A Repeat's operand is its exit predicate, which its body writes.
    if (launch.kind != LaunchKind::kRepeat) {
      for (const Operand& operand : launch.operands) touch(operand, launch.step);
    }
    touch(launch.residual, launch.step);
    for (const Operand& result : launch.results) touch(result, launch.step);
  }

  void touch(const Operand& operand, int64_t step) {
    if (!operand.present()) return;
    Buffer& buffer = plan_.buffers[operand.buffer];
    if (buffer.last < buffer.first) buffer.first = step;
    buffer.last = std::max(buffer.last, step);
  }

  Plan& plan_;
  std::vector<Loop> loops_;
  int64_t step_ = 0;
};

}  // namespace

Result<void> place_buffers(Plan& plan) {
  Lifetimes(plan).find();
  std::vector<Lifetime> lifetimes;
  std::vector<size_t> in_arena;
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    const Buffer& buffer = plan.buffers[i];
    if (buffer.storage != Storage::kArena || buffer.last < buffer.first) continue;
    lifetimes.push_back({buffer.bytes, buffer.first, buffer.last});
    in_arena.push_back(i);
  }
  const MemoryPlan memory = plan_memory(lifetimes);
  BCAI_TRY(check_memory(lifetimes, memory));
  for (size_t i = 0; i < in_arena.size(); ++i) {
    plan.buffers[in_arena[i]].offset = memory.offsets[i];
  }
  plan.arena_bytes = memory.arena_bytes;
  plan.live_bytes_max = memory.live_bytes_max;
  return {};
}

}  // namespace bcai::vm
