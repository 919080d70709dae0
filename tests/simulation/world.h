// SPDX-License-Identifier: Apache-2.0
// True time, chance, a network that loses, repeats, delays and reorders messages, and the trace of
// what happened. All of a world follows from its seed. One thread.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"

namespace bcai::simulation {

class World {
 public:
  explicit World(uint64_t seed) : random(seed) {}

  SeededRandom random;
  FakeClock clock;
  bool faults = true;  // off at the end, so that everything can come to rest

  int64_t now() const { return clock.now().ms; }
  WallTime wall() const { return clock.wall(); }
  bool chance(double probability) {
    return static_cast<double>(random.below(1'000'000)) < probability * 1e6;
  }
  bool fault(double probability) { return chance(probability) && faults; }
  Millis between(int64_t low, int64_t high) {
    return Millis(low + static_cast<int64_t>(random.below(static_cast<uint64_t>(high - low + 1))));
  }

  void after(Millis delay, std::function<void()> action);
  // Between the coordinator and this node or client; a message of a partitioned one is lost.
  void send(int peer, std::function<void()> deliver);
  void partition(int peer, Millis duration);

  // Until `done`, the time is over, or something was wrong.
  void run(Millis duration, const std::function<bool()>& done);

  void note(std::string text);
  // The first thing that is wrong ends the run.
  void wrong(std::string what);
  const std::string& failure() const { return failure_; }
  std::string trace() const;

 private:
  struct Event {
    int64_t time;
    uint64_t order;
    std::function<void()> action;
    bool operator<(const Event& other) const {
      return std::pair(time, order) > std::pair(other.time, other.order);
    }
  };
  std::vector<Event> events_;  // a heap, the next first
  uint64_t order_ = 0;
  std::set<int> partitioned_;
  std::vector<std::string> lines_;
  std::string failure_;
};

}  // namespace bcai::simulation
