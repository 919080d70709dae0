// SPDX-License-Identifier: Apache-2.0
// What really happens on the machines, which nobody in the protocol can see: which attempts have
// processes at this moment, and which ran to their end. The oracle compares the database with it.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "base/crypto.h"
#include "base/id.h"
#include "simulation/world.h"

namespace bcai::simulation {

struct Truth {
  World& world;
  std::map<JobId, std::set<AttemptId>> alive;  // no empty sets
  std::set<AttemptId> finished_well;
  std::function<int64_t(AttemptId)> replica_of;

  // What every honest run of a program commits to.
  static Sha256 right_answer() { return Sha256::of("the right answer"); }

  void started(JobId job, AttemptId attempt) {
    for (AttemptId other : alive[job]) {
      if (replica_of(other) != replica_of(attempt)) continue;
      world.wrong("two attempts of a replica of " + job.text() + " are alive: " + attempt.text() +
                  " and " + other.text());
    }
    alive[job].insert(attempt);
  }
  void ended(JobId job, AttemptId attempt) {
    const auto found = alive.find(job);
    if (found == alive.end()) return;
    found->second.erase(attempt);
    if (found->second.empty()) alive.erase(found);
  }
};

}  // namespace bcai::simulation
