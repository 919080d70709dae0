// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <list>
#include <map>
#include <set>

#include "coordinator/scheduler/scheduler.h"

namespace bcai::coordinator {
namespace {

constexpr int64_t kGb = 1'000'000'000;

// A world of jobs and nodes, with names for ids.
struct World {
  SeededRandom random{7};
  std::list<JobSpec> specs;
  std::list<Capabilities> capabilities;
  std::vector<QueuedJob> jobs;
  std::vector<SchedulableNode> nodes;
  int64_t clock = 1'700'000'000'000;

  template <typename T>
  T id() {
    return T::make({clock}, random);
  }
  KeyId alice = id<KeyId>();
  KeyId bob = id<KeyId>();

  Capabilities& node(int slots = 2, int64_t memory = 8 * kGb) {
    Capabilities& made = capabilities.emplace_back();
    made.cpu_millicores = 4000;
    made.memory_bytes = memory;
    made.disk_bytes = 100 * kGb;
    made.slots = slots;
    made.strangers = true;
    nodes.push_back({.id = id<NodeId>(),
                     .capabilities = &made,
                     .operator_key = alice,
                     .free = {.cpu_millicores = 4000,
                              .memory_bytes = memory,
                              .disk_bytes = 100 * kGb,
                              .gpu_count = 0,
                              .slots = slots},
                     .waiting = true});
    return made;
  }
  void add_gpu(Capabilities& node_capabilities, std::string model, int64_t memory) {
    node_capabilities.gpus.push_back({.model = std::move(model), .memory_bytes = memory});
    nodes.back().free.gpu_count += 1;
  }
  JobSpec& job(std::optional<KeyId> owner = {}) {
    JobSpec& spec = specs.emplace_back();
    spec.hardware = {.cpu_millicores = 1000, .memory_bytes = kGb, .disk_bytes = kGb};
    jobs.push_back(
        {.id = id<JobId>(), .owner = owner.value_or(alice), .spec = &spec, .queued_at = {clock}});
    clock += 1;
    return spec;
  }
  Plan run(uint64_t seed = 1) { return plan(jobs, nodes, seed); }
  WaitReason only_reason() {
    const Plan made = run();
    EXPECT_TRUE(made.placements.empty());
    EXPECT_EQ(made.waiting.size(), 1U);
    return made.waiting.empty() ? WaitReason{} : made.waiting.front();
  }
};

TEST(PlanTest, EveryJobIsPlacedOrHasAReason) {
  World w;
  w.node(2);
  for (int i = 0; i < 5; ++i) w.job();
  const Plan made = w.run();
  EXPECT_EQ(made.placements.size(), 2U);
  EXPECT_EQ(made.waiting.size(), 3U);
  EXPECT_EQ(made.placements[0].job, w.jobs[0].id);
  EXPECT_EQ(made.placements[1].job, w.jobs[1].id);
  EXPECT_EQ(made.waiting[0].code, "busy");
  EXPECT_EQ(made.waiting[0].sentence, "all 2 slots of 1 suitable node are busy");
}

TEST(PlanTest, NeverExceedsWhatIsFree) {
  World w;
  w.node(4, 8 * kGb);
  w.node(4, 3 * kGb);
  for (int i = 0; i < 8; ++i) w.job().hardware.memory_bytes = 2 * kGb;
  std::map<NodeId, int> placed;
  for (const Placement& placement : w.run().placements) placed[placement.node] += 1;
  EXPECT_EQ(placed[w.nodes[0].id], 4);
  EXPECT_EQ(placed[w.nodes[1].id], 1);
}

TEST(PlanTest, IsTheSameForTheSameSeed) {
  World w;
  for (int i = 0; i < 4; ++i) w.node(1);
  for (int i = 0; i < 2; ++i) w.job();
  const auto nodes_of = [&](uint64_t seed) {
    std::vector<NodeId> chosen;
    for (const Placement& placement : w.run(seed).placements) chosen.push_back(placement.node);
    return chosen;
  };
  EXPECT_EQ(nodes_of(5), nodes_of(5));
  std::set<std::vector<NodeId>> different;
  for (uint64_t seed = 0; seed < 20; ++seed) different.insert(nodes_of(seed));
  EXPECT_GT(different.size(), 1U);
}

TEST(PlanTest, OwnersTakeTurnsByWhatTheyRun) {
  World w;
  w.node(4);
  for (int i = 0; i < 10; ++i) w.job(w.alice);
  for (int i = 0; i < 10; ++i) w.job(w.bob);
  std::map<JobId, KeyId> owners;
  for (const QueuedJob& job : w.jobs) owners[job.id] = job.owner;
  std::map<KeyId, int> placed;
  for (const Placement& placement : w.run().placements) placed[owners[placement.job]] += 1;
  EXPECT_EQ(placed[w.alice], 2);
  EXPECT_EQ(placed[w.bob], 2);
  for (QueuedJob& job : w.jobs) job.running_of_owner = job.owner == w.alice ? 3 : 0;
  placed.clear();
  for (const Placement& placement : w.run().placements) placed[owners[placement.job]] += 1;
  EXPECT_EQ(placed[w.bob], 4 - placed[w.alice]);
  EXPECT_GE(placed[w.bob], 3);
}

TEST(PlanTest, AJobThatDoesNotFitHoldsUpNobody) {
  World w;
  w.node(1);
  w.job().hardware.gpu_count = 1;
  w.job();
  const Plan made = w.run();
  ASSERT_EQ(made.placements.size(), 1U);
  EXPECT_EQ(made.placements[0].job, w.jobs[1].id);
}

TEST(PlanTest, StrangersNeedANodeThatTakesThem) {
  World w;
  w.node().strangers = false;
  w.job(w.bob);
  EXPECT_EQ(w.only_reason().code, "strangers");
  w.jobs[0].owner = w.alice;
  EXPECT_EQ(w.run().placements.size(), 1U);
}

TEST(PlanTest, ARetryPrefersAnotherNodeAndWaitsForIt) {
  World w;
  w.node(1);
  w.node(1);
  w.job();
  w.jobs[0].failed_on = {w.nodes[0].id};
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Plan made = w.run(seed);
    ASSERT_EQ(made.placements.size(), 1U);
    EXPECT_EQ(made.placements[0].node, w.nodes[1].id);
  }
  w.nodes[1].waiting = false;
  EXPECT_EQ(w.only_reason().code, "retry");
  w.nodes[1].silent = true;
  EXPECT_EQ(w.run().placements.at(0).node, w.nodes[0].id);
  w.nodes[1].silent = false;
  w.jobs[0].failed_on.push_back(w.nodes[1].id);
  EXPECT_EQ(w.run().placements.size(), 1U);  // every node failed it: any may try again
}

TEST(PlanTest, GpusAreKeptForThoseWhoNeedThem) {
  World w;
  Capabilities& with_gpu = w.node(4);
  w.add_gpu(with_gpu, "NVIDIA A100", 40 * kGb);
  w.node(1);
  w.job();
  EXPECT_EQ(w.run().placements.at(0).node, w.nodes[1].id);
}

TEST(PlanTest, GpuModelAndMemoryMustMeetInOneGpu) {
  World w;
  Capabilities& node = w.node(4);
  w.add_gpu(node, "NVIDIA A100", 40 * kGb);
  w.add_gpu(node, "NVIDIA T4", 16 * kGb);
  Hardware& needs = w.job().hardware;
  needs.gpu_count = 1;
  needs.gpu_model = "a100";
  needs.gpu_memory_bytes = 40 * kGb;
  EXPECT_EQ(w.run().placements.size(), 1U);
  needs.gpu_model = "T4";
  EXPECT_EQ(w.only_reason().code, "too_little_gpu_memory");
  needs.gpu_model = "";
  needs.gpu_count = 2;
  EXPECT_EQ(w.only_reason().sentence,
            "needs 2 GPUs of 40 GB memory each; the largest on 1 node has 40 GB; "
            "with less GPU memory 1 node would do");
}

TEST(PlanTest, ALargeJobIsNotHeldUpForEverByLaterSmallOnes) {
  World w;
  w.node(2, 8 * kGb);
  w.nodes[0].free.memory_bytes = 4 * kGb;  // something runs there
  w.job().hardware.memory_bytes = 8 * kGb;
  w.job();
  EXPECT_EQ(w.run().placements.size(), 1U);
  w.jobs[1].queued_at = w.jobs[0].queued_at + Millis(600'001);
  EXPECT_TRUE(w.run().placements.empty());
}

struct ReasonCase {
  const char* what;
  void (*set_up)(World&);
  const char* code;
  const char* sentence;
};

class ReasonTest : public ::testing::TestWithParam<ReasonCase> {};

TEST_P(ReasonTest, IsWhatAUserCanActOn) {
  World w;
  GetParam().set_up(w);
  const WaitReason reason = w.only_reason();
  EXPECT_EQ(reason.code, GetParam().code);
  EXPECT_EQ(reason.sentence, GetParam().sentence);
}

INSTANTIATE_TEST_SUITE_P(
    All, ReasonTest,
    ::testing::Values(
        ReasonCase{"nobody", [](World& w) { w.job(); }, "no_node", "no node is connected"},
        ReasonCase{"gpu",
                   [](World& w) {
                     w.node();
                     w.node();
                     w.job().hardware.gpu_count = 1;
                   },
                   "no_gpu", "no node offers a GPU; without a GPU 2 nodes would do"},
        ReasonCase{"memory",
                   [](World& w) {
                     w.node(2, 8 * kGb);
                     w.node(2, 24 * kGb);
                     w.node(2, 16 * kGb);
                     w.job().hardware.memory_bytes = 64 * kGb;
                   },
                   "too_little_memory",
                   "needs 64 GB memory; the largest of 3 nodes offers 24 GB; "
                   "with less memory 3 nodes would do"},
        ReasonCase{"memory of one",
                   [](World& w) {
                     w.node(2, 8 * kGb);
                     w.job().hardware.memory_bytes = 64 * kGb;
                   },
                   "too_little_memory",
                   "needs 64 GB memory; the only node offers 8 GB; "
                   "with less memory 1 node would do"},
        ReasonCase{"cpu",
                   [](World& w) {
                     w.node();
                     w.node();
                     w.job().hardware.cpu_millicores = 7500;
                   },
                   "too_few_cores",
                   "needs 7.5 CPU cores; the largest of 2 nodes offers 4; "
                   "with fewer CPU cores 2 nodes would do"},
        ReasonCase{"both",
                   [](World& w) {
                     w.node();
                     w.job().hardware = {
                         .cpu_millicores = 8000, .memory_bytes = 64 * kGb, .disk_bytes = kGb};
                   },
                   "too_little_memory",
                   "needs 64 GB memory; the only node offers 8 GB; "
                   "needs 8 CPU cores; the only node offers 4"},
        ReasonCase{"one has this, one has that",
                   [](World& w) {
                     w.node(2, 64 * kGb);
                     w.node(2, 8 * kGb).packages = {{"torch", "2.13.0+cpu"}};
                     JobSpec& spec = w.job();
                     spec.hardware.memory_bytes = 32 * kGb;
                     spec.requirements = {"torch>=2"};
                   },
                   "no_node_fits",
                   "none of 2 nodes has it all: 1 with too little memory, 1 without the packages; "
                   "with less memory 1 node would do"},
        ReasonCase{"package",
                   [](World& w) {
                     w.node();
                     w.node();
                     w.job().requirements = {"transformers"};
                   },
                   "no_package",
                   "package transformers is on none of 2 nodes; "
                   "with other requirements 2 nodes would do"},
        ReasonCase{"version",
                   [](World& w) {
                     w.node().packages = {{"Torch", "2.13.0+cpu"}};
                     w.job().requirements = {"torch>=3"};
                   },
                   "no_package",
                   "needs torch>=3; the newest on 1 node is 2.13.0+cpu; "
                   "with other requirements 1 node would do"},
        ReasonCase{
            "python",
            [](World& w) {
              w.node().python_version = "3.11.2";
              w.job().python_version = "3.1";
            },
            "no_python",
            "needs Python 3.1; the only node has 3.11.2; with another Python 1 node would do"},
        ReasonCase{"lock without a builder",
                   [](World& w) {
                     w.node().python_version = "3.11.2";
                     w.job().environment_lock = packaging::Lock{.python = "3.11", .platform = "x"};
                   },
                   "no_package",
                   "the only node builds no environments; with other requirements 1 node would do"},
        ReasonCase{"lock on another base",
                   [](World& w) {
                     Capabilities& node = w.node();
                     node.environments = true;
                     node.python_version = "3.11.2";
                     node.packages = {{"NumPy", "2.4.5"}};
                     w.job().environment_lock =
                         packaging::Lock{.python = "3.11", .base = {{"numpy", "2.4.6"}}};
                   },
                   "no_package",
                   "no node that builds environments has the base of its lock: numpy 2.4.6; "
                   "with other requirements 1 node would do"},
        ReasonCase{"network",
                   [](World& w) {
                     w.node().network = {"*.example.org:443"};
                     w.job().network_allow = {"a.example.org:443", "b.example.com:443"};
                   },
                   "no_network",
                   "the only node lets no job reach b.example.com:443; "
                   "without these hosts 1 node would do"},
        ReasonCase{"security level",
                   [](World& w) {
                     w.node();
                     w.job().security_level = "high";
                   },
                   "no_security_level",
                   "the only node does not offer the security level 'high'; "
                   "at the standard security level 1 node would do"},
        ReasonCase{"from source without the high level",
                   [](World& w) {
                     w.node().environments = true;
                     w.node().security_levels = {"standard", "high"};
                     JobSpec& spec = w.job();
                     spec.requirements = {"src"};
                     spec.build_from_source = {"src"};
                   },
                   "no_node_fits",
                   "none of 2 nodes has it all: 1 without the packages, 1 without its security "
                   "level; with other requirements 1 node would do"},
        ReasonCase{"from source on a node that builds no environments",
                   [](World& w) {
                     w.node().security_levels = {"standard", "high"};
                     JobSpec& spec = w.job();
                     spec.requirements = {"src"};
                     spec.build_from_source = {"src"};
                   },
                   "no_package",
                   "the only node builds no environments; with other requirements 1 node would do"},
        ReasonCase{"a lock of what was built from source",
                   [](World& w) {
                     Capabilities& node = w.node();
                     node.environments = true;
                     node.python_version = "3.11.2";
                     w.job().environment_lock =
                         packaging::Lock{.python = "3.11", .sources = {{.name = "src"}}};
                   },
                   "no_security_level",
                   "the only node does not offer the security level 'high'; "
                   "without packages built from source 1 node would do"},
        ReasonCase{"busy",
                   [](World& w) {
                     w.node();
                     w.node();
                     for (auto& node : w.nodes) node.waiting = false;
                     w.job();
                   },
                   "busy", "all 4 slots of 2 suitable nodes are busy"},
        ReasonCase{"no room beside another",
                   [](World& w) {
                     w.node();
                     w.nodes[0].free.memory_bytes = kGb / 2;
                     w.job();
                   },
                   "busy", "1 suitable node can run it, but not beside what runs there now"}));

TEST(PlanTest, ANodeThatBuildsEnvironmentsTakesWhatItsBaseLacks) {
  World world;
  Capabilities& node = world.node();
  node.python_version = "3.11.2";
  node.packages = {{"NumPy", "2.4.6"}};
  world.job().requirements = {"six; python_version > '3'", "numpy<2", "absent"};
  EXPECT_EQ(world.only_reason().code, "no_package");
  node.environments = true;
  EXPECT_EQ(world.run().placements.size(), 1U);
  world.jobs.clear();
  JobSpec& locked = world.job();
  locked.environment_lock = packaging::Lock{.python = "3.11", .base = {{"numpy", "2.4.6"}}};
  EXPECT_EQ(world.run().placements.size(), 1U);
  locked.python_version = "3.12";
  EXPECT_EQ(world.only_reason().code, "no_python");
}

TEST(PlanTest, ReplicasArePlacedTogetherOrNotAtAll) {
  World world;
  world.node(2);
  world.node(2);
  world.job();
  world.jobs.back().attempts_wanted = 3;
  EXPECT_EQ(world.only_reason().code, "too_few_nodes");
  EXPECT_EQ(world.only_reason().sentence, "needs 3 nodes, 2 fit");
  world.node(2);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Plan made = world.run(seed);
    std::set<NodeId> used;
    for (const Placement& placement : made.placements) used.insert(placement.node);
    EXPECT_EQ(used.size(), 3U);
  }
  world.nodes[1].waiting = false;
  EXPECT_EQ(world.only_reason().sentence,
            "needs 3 nodes at the same time, 2 of 3 suitable nodes free now");
}

TEST(PlanTest, AReplicaKeepsOffTheNodesThatAnswered) {
  World world;
  world.node(2);
  world.node(2);
  world.job();
  world.jobs.back().taken = {world.nodes[0].id};
  const Plan made = world.run();
  ASSERT_EQ(made.placements.size(), 1U);
  EXPECT_EQ(made.placements[0].node, world.nodes[1].id);
  world.jobs.back().taken.push_back(world.nodes[1].id);
  EXPECT_EQ(world.only_reason().sentence, "needs 1 more node than the 2 that ran it, 0 fit");
}

}  // namespace
}  // namespace bcai::coordinator
