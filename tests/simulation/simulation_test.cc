// SPDX-License-Identifier: Apache-2.0
// simulation_test [--seed N] [--seeds N] [--trace]: worlds of coordinator, nodes, clients and a bad
// network, each from its seed. A failure prints the seed and the end of the trace.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <charconv>
#include <list>
#include <map>
#include <vector>

#include "coordinator/store/row.h"
#include "simulation/node_model.h"
#include "simulation/oracle.h"

namespace bcai::simulation {
namespace {

struct Options {
  uint64_t first_seed = 1;
  uint64_t seeds = SIMULATION_SEEDS;
  bool trace = false;
};
Options g_options;

constexpr int kFirstClient = 100;

// Submits until it has an answer, and again sometimes; may change its mind.
struct Client {
  World& world;
  CoordinatorModel& coordinator;
  Oracle& oracle;
  int peer;
  coordinator::Submission submission;
  bool accepted = false;
  bool wants_cancel = false;
  bool cancel_done = false;

  void submit() {
    world.send(peer, [this] {
      const auto answer = coordinator.submit(submission);
      if (!answer) return;
      if (!*answer) world.wrong("submission refused: " + answer->error().message);
      world.send(peer, [this] {
        accepted = true;
        oracle.job_was_accepted(submission.id);
      });
    });
    world.after(Millis(3'000), [this] {
      if (!accepted || world.fault(0.1)) submit();
    });
  }
  // Another body under the same id must never be taken, nor change what is there.
  void submit_other_body() {
    coordinator::Submission other = submission;
    other.spec.timeout_s += 1;
    world.send(peer, [this, other] {
      if (!accepted) return;
      const auto answer = coordinator.submit(other);
      if (answer && *answer) world.wrong("another body was taken under " + other.id.text());
    });
  }
  void cancel() {
    wants_cancel = true;
    world.send(peer, [this] {
      const auto answer = coordinator.cancel(submission.id);
      if (answer && *answer) world.send(peer, [this] { cancel_done = true; });
    });
    world.after(Millis(3'000), [this] {
      if (!cancel_done) cancel();
    });
  }
};

struct Run {
  explicit Run(uint64_t seed, store::Connection& db)
      : world(seed),
        truth{world, {}, {}, [&db](AttemptId attempt) { return replica_of(db, attempt); }},
        oracle(world, truth, db),
        coordinator(world, db, [this] { oracle.after_step(); }) {}

  static int64_t replica_of(store::Connection& db, AttemptId attempt) {
    store::Statement row = db.prepare("SELECT replica FROM attempts WHERE id = ?");
    const Result<bool> found = row.bind_blob(store::bytes_of(attempt)).step();
    BCAI_ASSERT(found && *found);
    return row.integer(0);
  }

  World world;
  Truth truth;
  Oracle oracle;
  CoordinatorModel coordinator;
  std::list<NodeModel> nodes;
  std::list<Client> clients;

  void add_node(int peer, KeyId operator_key) {
    NodeHabits habits{.slots = 1 + static_cast<int>(world.random.below(3)),
                      .fails = world.chance(0.3) ? 0.6 : 0.02,
                      .stubborn = world.chance(0.05),
                      .lies = world.chance(0.25)};
    nodes.emplace_back(world, truth, coordinator, peer, habits, operator_key);
    NodeModel& node = nodes.back();
    world.after(world.between(0, 20'000), [&node] { node.boot(); });
  }

  void add_client(int peer, KeyId owner) {
    coordinator::Submission submission{
        .id = JobId::make(world.wall(), world.random), .owner = owner, .spec = {}};
    submission.spec.name = "job";
    if (world.chance(0.4)) {
      submission.spec.program = "model.bcvm";
      submission.spec.files = {{.path = "model.bcvm", .sha256 = {}, .bytes = peer}};
      submission.spec.replicas = 1 + static_cast<int>(world.random.below(3));
    } else {
      submission.spec.code = fmt::format("print({})", peer);
    }
    submission.spec.hardware = {
        .cpu_millicores = 500, .memory_bytes = 100'000'000, .disk_bytes = 100'000'000};
    submission.spec.max_retries = static_cast<int>(world.random.below(5));
    submission.spec.queue_timeout_s = world.chance(0.1) ? 30 : 3600;
    clients.push_back(Client{world, coordinator, oracle, peer, submission});
    Client& client = clients.back();
    world.after(world.between(0, 200'000), [&client] { client.submit(); });
    if (world.chance(0.2)) {
      world.after(world.between(0, 400'000), [&client] {
        if (client.accepted) client.cancel();
      });
    }
    if (world.chance(0.2)) {
      world.after(world.between(5'000, 400'000), [&client] { client.submit_other_body(); });
    }
  }

  void disturb() {
    if (!world.faults) return;
    for (NodeModel& node : nodes) {
      if (world.chance(0.06)) node.crash();
    }
    world.after(world.between(5'000, 30'000), [this] { disturb(); });
  }

  void isolate(int peer) {
    if (!world.faults) return;
    if (world.chance(0.15)) {
      world.note(fmt::format("node{} is cut off", peer));
      world.partition(peer, world.between(1'000, 300'000));
    }
    world.after(world.between(20'000, 60'000), [this, peer] { isolate(peer); });
  }

  bool everything_ended() {
    return oracle.every_job_ended() &&
           std::all_of(clients.begin(), clients.end(), [](const Client& client) {
             return client.accepted && (!client.wants_cancel || client.cancel_done);
           });
  }

  void play() {
    std::vector<KeyId> owners;
    for (int i = 0; i < 2; ++i) owners.push_back(KeyId::make(world.wall(), world.random));
    const int node_count = 1 + static_cast<int>(world.random.below(4));
    for (int i = 0; i < node_count; ++i) {
      add_node(i, owners[0]);
      isolate(i);
    }
    const int job_count = 2 + static_cast<int>(world.random.below(9));
    for (int i = 0; i < job_count; ++i) {
      add_client(kFirstClient + i, owners[world.random.below(owners.size())]);
    }
    world.after(Millis(10'000), [this] { disturb(); });
    world.run(Millis(400'000), [] { return false; });
    world.note("no more faults");
    world.faults = false;
    // All that was begun ends by itself; what is held waits for a person, who now decides.
    const Millis rest{3'600'000};
    world.run(rest,
              [this] { return oracle.every_job_ended_or_is_held() && everything_accepted(); });
    for (Client& client : clients) {
      if (oracle.held().contains(client.submission.id) && !client.wants_cancel) client.cancel();
    }
    world.run(rest, [this] { return everything_ended(); });
    if (world.failure().empty() && !everything_ended()) {
      world.wrong("not every job ended: " + oracle.summary());
    }
  }
  bool everything_accepted() const {
    return std::all_of(clients.begin(), clients.end(),
                       [](const Client& client) { return client.accepted; });
  }
};

std::string run_seed(uint64_t seed, std::string* summary, std::string* trace) {
  auto database = store::Database::open(":memory:");
  BCAI_ASSERT(database);
  std::string failure;
  // All of a world runs in one write: each of its transactions is a savepoint in it.
  (void)(*database)->write([&](store::Connection& db) -> Result<void> {
    Run run(seed, db);
    run.play();
    failure = run.world.failure();
    *summary = run.oracle.summary();
    *trace = run.world.trace();
    return {};
  });
  return failure;
}

TEST(SimulationTest, HoldsWhateverTheNetworkDoes) {
  for (uint64_t i = 0; i < g_options.seeds; ++i) {
    const uint64_t seed = g_options.first_seed + i;
    std::string summary;
    std::string trace;
    const std::string failure = run_seed(seed, &summary, &trace);
    if (g_options.trace) fmt::print("{}seed {}: {}\n", trace, seed, summary);
    ASSERT_TRUE(failure.empty()) << trace << "seed " << seed << ": " << failure
                                 << "\nrepeat with: simulation_test --seed " << seed;
  }
}

TEST(SimulationTest, OneSeedIsOneWorld) {
  std::string summary;
  std::string trace;
  std::string again;
  ASSERT_EQ(run_seed(g_options.first_seed, &summary, &trace),
            run_seed(g_options.first_seed, &summary, &again));
  EXPECT_EQ(trace, again);
}

bool read_number(std::string_view text, uint64_t& out) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), out);
  return code == std::errc() && end == text.data() + text.size();
}

}  // namespace
}  // namespace bcai::simulation

int main(int argc, char** argv) {
  using bcai::simulation::g_options;
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    bool good = flag == "--trace";
    if (good) g_options.trace = true;
    if (flag == "--seed" && i + 1 < argc) {
      good = bcai::simulation::read_number(argv[++i], g_options.first_seed);
      g_options.seeds = 1;
    } else if (flag == "--seeds" && i + 1 < argc) {
      good = bcai::simulation::read_number(argv[++i], g_options.seeds);
    }
    if (!good) {
      fmt::print(stderr, "usage: simulation_test [--seed N] [--seeds N] [--trace]\n");
      return 2;
    }
  }
  return RUN_ALL_TESTS();
}
