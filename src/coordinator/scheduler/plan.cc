// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "coordinator/scheduler/fit.h"
#include "coordinator/scheduler/scheduler.h"

namespace bcai::coordinator {
namespace {

// A job that waits for room on a node keeps jobs that came this much later off that node, so that a
// stream of small ones cannot hold up a large one for ever.
constexpr Millis kYields{600'000};

// One specification, and what keeps it off each node.
struct Shape {
  Demand demand;
  std::vector<FilterSet> misfits;
};

// Jobs of one specification and owner, and the nodes that could run them.
struct Group {
  std::vector<size_t> fits;  // indices of nodes
  WaitReason misfit;         // when there is none
  int slots = 0;             // of those nodes together
};

// One owner's jobs, oldest first, and how many of them run.
struct Queue {
  std::deque<const QueuedJob*> jobs;
  int running = 0;
};

uint64_t mix(uint64_t value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccdULL;
  value ^= value >> 33;
  value *= 0xc4ceb9fe1a85ec53ULL;
  return value ^ value >> 33;
}

class Planner {
 public:
  Planner(const std::vector<SchedulableNode>& nodes, uint64_t seed) : nodes_(nodes), seed_(seed) {
    free_.reserve(nodes.size());
    for (const SchedulableNode& node : nodes) {
      free_.push_back(node.waiting ? node.free : Capacity{});
      room_ = room_ || free_.back().slots > 0;
    }
    kept_for_.assign(nodes.size(), WallTime{INT64_MAX});
  }

  // True when it was placed.
  bool consider(const QueuedJob& job, Plan& plan) {
    Group& group = group_of(job);
    if (group.fits.empty()) {
      wait(job, group.misfit.code, group.misfit.sentence, plan);
      return false;
    }
    const auto wanted = static_cast<size_t>(job.attempts_wanted);
    const std::vector<size_t> open = without(group.fits, job.taken);
    if (open.size() < wanted) {
      wait(job, "too_few_nodes", too_few(wanted, open.size(), job.taken.size()), plan);
      return false;
    }
    const std::vector<size_t> preferred = heard(without(open, job.failed_on));
    const std::vector<size_t>& candidates = preferred.size() < wanted ? open : preferred;
    if (room_ && place(job, candidates, plan)) return true;
    for (size_t i = 0; i < wanted; ++i) keep_node_for(job, candidates);
    explain_busy(job, group, candidates, plan);
    return false;
  }

 private:
  Group& group_of(const QueuedJob& job) {
    const auto [found, added] = groups_.try_emplace({job.spec, job.owner});
    Group& group = found->second;
    if (!added) return group;
    const Shape& shape = shape_of(*job.spec);
    std::vector<FilterSet> sets = shape.misfits;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (!takes_owner(nodes_[i], job.owner)) sets[i] |= bit(Filter::kStrangers);
      if (sets[i] != 0) continue;
      group.fits.push_back(i);
      group.slots += nodes_[i].capabilities->slots;
    }
    if (group.fits.empty()) group.misfit = explain_misfit(shape.demand, nodes_, sets);
    return group;
  }

  const Shape& shape_of(const JobSpec& spec) {
    const auto [found, added] = shapes_.try_emplace(&spec);
    if (!added) return found->second;
    found->second.demand = demand_of(spec);
    for (const SchedulableNode& node : nodes_) {
      found->second.misfits.push_back(misfits(found->second.demand, *node.capabilities));
    }
    return found->second;
  }

  std::vector<size_t> heard(std::vector<size_t> nodes) const {
    const auto silent = [this](size_t node) { return nodes_[node].silent; };
    nodes.erase(std::remove_if(nodes.begin(), nodes.end(), silent), nodes.end());
    return nodes;
  }

  std::vector<size_t> without(const std::vector<size_t>& nodes,
                              const std::vector<NodeId>& left_out) const {
    std::vector<size_t> others;
    for (const size_t node : nodes) {
      if (std::find(left_out.begin(), left_out.end(), nodes_[node].id) == left_out.end()) {
        others.push_back(node);
      }
    }
    return others;
  }

  static std::string too_few(size_t wanted, size_t open, size_t taken) {
    if (taken == 0) {
      return fmt::format("needs {} nodes, {} fit{}", wanted, open, open == 1 ? "s" : "");
    }
    return fmt::format("needs {} more node{} than the {} that ran it, {} fit{}", wanted,
                       wanted == 1 ? "" : "s", taken, open, open == 1 ? "s" : "");
  }

  // All that the job wants, or nothing.
  bool place(const QueuedJob& job, std::vector<size_t> candidates, Plan& plan) {
    std::vector<size_t> chosen;
    for (int i = 0; i < job.attempts_wanted; ++i) {
      const size_t node = choose(job, candidates);
      if (node == nodes_.size()) return false;
      chosen.push_back(node);
      std::erase(candidates, node);
    }
    for (const size_t node : chosen) {
      take_room(free_[node], job.spec->hardware);
      plan.placements.push_back({.job = job.id, .node = nodes_[node].id});
    }
    return true;
  }

  // The node with room that wastes least: no GPU for a job that needs none, then the most free
  // slots, then by chance. nodes_.size() when there is none.
  size_t choose(const QueuedJob& job, const std::vector<size_t>& candidates) const {
    size_t best = nodes_.size();
    std::tuple<bool, int, uint64_t> best_rank;
    for (const size_t node : candidates) {
      if (!has_room(free_[node], job.spec->hardware)) continue;
      if (job.queued_at > kept_for_[node]) continue;
      const bool wastes_gpu =
          job.spec->hardware.gpu_count == 0 && !nodes_[node].capabilities->gpus.empty();
      const std::tuple rank{wastes_gpu, -free_[node].slots, mix(seed_ + node)};
      if (best < nodes_.size() && rank >= best_rank) continue;
      best = node;
      best_rank = rank;
    }
    return best;
  }

  // The first candidate that is kept for nobody yet.
  void keep_node_for(const QueuedJob& job, const std::vector<size_t>& candidates) {
    if (!room_) return;
    for (const size_t node : candidates) {
      if (kept_for_[node].ms != INT64_MAX) continue;
      kept_for_[node] = job.queued_at + kYields;
      return;
    }
  }

  void explain_busy(const QueuedJob& job, const Group& group, const std::vector<size_t>& candidates,
                    Plan& plan) const {
    const auto node_count = [](size_t count) {
      return count == 1 ? "1 suitable node" : fmt::format("{} suitable nodes", count);
    };
    const auto free_now =
        static_cast<size_t>(std::count_if(candidates.begin(), candidates.end(), [&](size_t node) {
          return has_room(free_[node], job.spec->hardware);
        }));
    if (job.attempts_wanted > 1) {
      wait(job, "busy",
           fmt::format("needs {} nodes at the same time, {} of {} free now", job.attempts_wanted,
                       free_now, node_count(candidates.size())),
           plan);
      return;
    }
    if (candidates.size() < group.fits.size()) {
      wait(job, "retry",
           fmt::format("waits for another node than the {} that failed it",
                       group.fits.size() - candidates.size()),
           plan);
      return;
    }
    const bool slots_free = std::any_of(candidates.begin(), candidates.end(),
                                        [&](size_t node) { return free_[node].slots > 0; });
    if (slots_free) {
      wait(job, "busy",
           fmt::format("{} can run it, but not beside what runs there now",
                       node_count(group.fits.size())),
           plan);
      return;
    }
    wait(job, "busy",
         group.slots == 1 ? fmt::format("the only slot of {} is busy", node_count(1))
                          : fmt::format("all {} slots of {} are busy", group.slots,
                                        node_count(group.fits.size())),
         plan);
  }

  static void wait(const QueuedJob& job, std::string_view code, std::string_view sentence,
                   Plan& plan) {
    plan.waiting.push_back(
        {.job = job.id, .code = std::string(code), .sentence = std::string(sentence)});
  }

  const std::vector<SchedulableNode>& nodes_;
  uint64_t seed_;
  std::vector<Capacity> free_;
  bool room_ = false;               // some node had a free slot at the start
  std::vector<WallTime> kept_for_;  // jobs queued after this may not use the node
  std::map<const JobSpec*, Shape> shapes_;
  std::map<std::pair<const JobSpec*, KeyId>, Group> groups_;
};

}  // namespace

Plan plan(const std::vector<QueuedJob>& jobs, const std::vector<SchedulableNode>& nodes,
          uint64_t seed) {
  std::map<KeyId, Queue> queues;
  for (const QueuedJob& job : jobs) {
    Queue& queue = queues[job.owner];
    queue.jobs.push_back(&job);
    queue.running = job.running_of_owner;
  }
  const auto older = [](const QueuedJob* a, const QueuedJob* b) {
    return std::pair(a->queued_at, a->id) < std::pair(b->queued_at, b->id);
  };
  // The owner with the fewest running goes next; among equals the one with the oldest job.
  std::set<std::tuple<int, WallTime, JobId, KeyId>> turns;
  const auto queue_turn = [&](KeyId owner, const Queue& queue) {
    if (queue.jobs.empty()) return;
    const QueuedJob& next = *queue.jobs.front();
    turns.insert({queue.running, next.queued_at, next.id, owner});
  };
  for (auto& [owner, queue] : queues) {
    std::sort(queue.jobs.begin(), queue.jobs.end(), older);
    queue_turn(owner, queue);
  }
  Plan plan;
  Planner planner(nodes, seed);
  while (!turns.empty()) {
    const KeyId owner = std::get<3>(*turns.begin());
    turns.erase(turns.begin());
    Queue& queue = queues[owner];
    const QueuedJob& job = *queue.jobs.front();
    queue.jobs.pop_front();
    queue.running += planner.consider(job, plan) ? 1 : 0;
    queue_turn(owner, queue);
  }
  return plan;
}

}  // namespace bcai::coordinator
