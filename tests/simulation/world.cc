// SPDX-License-Identifier: Apache-2.0
#include "simulation/world.h"

#include <fmt/core.h>

#include <algorithm>

namespace bcai::simulation {
namespace {

constexpr size_t kTraceLines = 400;

}  // namespace

void World::after(Millis delay, std::function<void()> action) {
  events_.push_back({now() + delay.count(), order_++, std::move(action)});
  std::push_heap(events_.begin(), events_.end());
}

void World::send(int peer, std::function<void()> deliver) {
  if (partitioned_.contains(peer) && faults) return;
  const int copies = fault(0.04) ? 0 : fault(0.05) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    const Millis delay = fault(0.06) ? between(100, 20'000) : between(1, 40);
    after(delay, deliver);
  }
}

void World::partition(int peer, Millis duration) {
  partitioned_.insert(peer);
  after(duration, [this, peer] { partitioned_.erase(peer); });
}

void World::run(Millis duration, const std::function<bool()>& done) {
  const int64_t end = now() + duration.count();
  while (!events_.empty() && events_.front().time <= end && failure_.empty() && !done()) {
    std::pop_heap(events_.begin(), events_.end());
    const Event event = std::move(events_.back());
    events_.pop_back();
    clock.advance(Millis(event.time - now()));
    event.action();
  }
  if (failure_.empty() && !done()) clock.advance(Millis(std::max<int64_t>(0, end - now())));
}

void World::note(std::string text) {
  lines_.push_back(fmt::format("{:9.3f} {}", static_cast<double>(now()) / 1000, text));
}

void World::wrong(std::string what) {
  if (!failure_.empty()) return;
  note("WRONG: " + what);
  failure_ = std::move(what);
}

std::string World::trace() const {
  std::string out;
  const size_t first = lines_.size() > kTraceLines ? lines_.size() - kTraceLines : 0;
  for (size_t i = first; i < lines_.size(); ++i) out += lines_[i] + "\n";
  return out;
}

}  // namespace bcai::simulation
