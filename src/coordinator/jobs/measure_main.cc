// SPDX-License-Identifier: Apache-2.0
// coordinator_jobs_measure [DIRECTORY]: durable submissions by 64 producers, and one round of
// scheduling over 3000 queued jobs. One JSON object a line, as `./dev bench --json` prints them.
#include <fmt/core.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <thread>

#include "coordinator/jobs/jobs.h"
#include "coordinator/jobs/queries.h"

namespace bcai::coordinator {
namespace {

constexpr int kProducers = 64;
constexpr int kSubmissionsEach = 400;
constexpr int kQueued = 3000;

double read_ms(clockid_t clock) {
  timespec at{};
  clock_gettime(clock, &at);
  return static_cast<double>(at.tv_sec) * 1e3 + static_cast<double>(at.tv_nsec) / 1e6;
}
double now_ms() { return read_ms(CLOCK_MONOTONIC); }
// Of this thread alone, so that a busy machine does not show.
double cpu_ms() { return read_ms(CLOCK_THREAD_CPUTIME_ID); }

void row(const char* name, double value, const char* unit) {
  fmt::print("{{\"name\":\"{}\",\"value\":{:.3f},\"unit\":\"{}\"}}\n", name, value, unit);
}

double percentile(std::vector<double>& sorted, double part) {
  std::sort(sorted.begin(), sorted.end());
  return sorted[static_cast<size_t>(part * static_cast<double>(sorted.size() - 1))];
}

Submission make_submission(WallTime now, KeyId owner) {
  SystemRandom random;
  Submission made{.id = JobId::make(now, random), .owner = owner, .spec = {}};
  made.spec.name = "job";
  made.spec.code = std::string(2000, '#');
  made.spec.requirements = {"torch>=2.1", "numpy"};
  return made;
}

void measure_submissions(store::Database& database) {
  SystemRandom random;
  SystemClock clock;
  std::vector<std::vector<double>> took(kProducers);
  std::vector<std::thread> producers;
  const double began = now_ms();
  for (std::vector<double>& mine : took) {
    producers.emplace_back([&] {
      SystemRandom own;
      const KeyId owner = KeyId::make(clock.wall(), own);
      for (int i = 0; i < kSubmissionsEach; ++i) {
        const Submission made = make_submission(clock.wall(), owner);
        const double start = now_ms();
        const Result<void> done = database.write([&](store::Connection& db) -> Result<void> {
          BCAI_TRY(submit(db, clock.wall(), made));
          return {};
        });
        BCAI_ASSERT(done);
        mine.push_back(now_ms() - start);
      }
    });
  }
  for (std::thread& producer : producers) producer.join();
  const double seconds = (now_ms() - began) / 1000;
  std::vector<double> all;
  for (const auto& mine : took) all.insert(all.end(), mine.begin(), mine.end());
  row("store_submissions_per_s", static_cast<double>(all.size()) / seconds, "1/s");
  row("store_submit_p50_ms", percentile(all, 0.5), "ms");
  row("store_submit_p99_ms", percentile(all, 0.99), "ms");
}

// What one submission costs the writer thread, disk apart.
void measure_submission_cpu(store::Database& database) {
  constexpr int kCount = 2000;
  SystemRandom random;
  const WallTime now = SystemClock().wall();
  std::vector<Submission> made;
  for (int i = 0; i < kCount; ++i) made.push_back(make_submission(now, KeyId{}));
  double took = 0;
  BCAI_ASSERT(database.write([&](store::Connection& db) -> Result<void> {
    const double start = cpu_ms();
    for (const Submission& submission : made) BCAI_TRY(submit(db, now, submission));
    took = cpu_ms() - start;
    return {};
  }));
  row("submit_cpu_us", took * 1000 / kCount, "us");
}

struct Spread {
  const char* name;
  int owners;
  int shapes;
  int nodes;
};

// Runs a round as the API does, in one write, and gives its milliseconds of CPU.
double one_round(store::Database& database, WallTime now, const std::vector<Waiting>& waiting,
                 size_t* grants) {
  SystemRandom random;
  double took = 0;
  const Result<void> done = database.write([&](store::Connection& db) -> Result<void> {
    const double start = cpu_ms();
    BCAI_TRY_ASSIGN(const auto made, schedule(db, now, random, waiting, Timing{}));
    took = cpu_ms() - start;
    *grants = made.size();
    return {};
  });
  BCAI_ASSERT(done);
  return took;
}

void measure_schedule(const std::filesystem::path& directory, const Spread& spread) {
  std::filesystem::remove_all(directory / spread.name);
  std::filesystem::create_directory(directory / spread.name);
  auto database = store::Database::open(directory / spread.name / "bcai.db");
  BCAI_ASSERT(database);
  SystemRandom random;
  const WallTime now = SystemClock().wall();
  std::vector<KeyId> owners;
  for (int i = 0; i < spread.owners; ++i) owners.push_back(KeyId::make(now, random));
  std::vector<Waiting> waiting;
  const Result<void> filled = (*database)->write([&](store::Connection& db) -> Result<void> {
    for (int i = 0; i < kQueued; ++i) {
      Submission made = make_submission(now, owners[static_cast<size_t>(i % spread.owners)]);
      made.spec.hardware.memory_bytes += (i / spread.owners) % spread.shapes;
      BCAI_TRY(submit(db, now, made));
    }
    for (int i = 0; i < spread.nodes; ++i) {
      NodeRegistration registration;
      registration.name = fmt::format("node{}", i);
      random.fill(registration.public_key);
      Capabilities& offered = registration.capabilities;
      offered = {.cpu_millicores = 8000,
                 .memory_bytes = 32'000'000'000,
                 .disk_bytes = 100'000'000'000,
                 .slots = 4,
                 .strangers = true,
                 .packages = {{"torch", "2.13.0+cpu"}, {"numpy", "2.1.0"}}};
      for (int k = 0; k < 200; ++k) offered.packages[fmt::format("package{}", k)] = "1.0";
      BCAI_TRY_ASSIGN(const NodeId id, register_node(db, now, random, registration, owners[0]));
      waiting.push_back({.node = id,
                         .free = {.cpu_millicores = 8000,
                                  .memory_bytes = 32'000'000'000,
                                  .disk_bytes = 100'000'000'000,
                                  .gpu_count = 0,
                                  .slots = 4}});
    }
    return {};
  });
  BCAI_ASSERT(filled);
  size_t grants = 0;
  row(fmt::format("schedule_{}_first_cpu_ms", spread.name).c_str(),
      one_round(**database, now, {}, &grants), "ms");
  std::vector<double> idle;
  for (int i = 0; i < 20; ++i) idle.push_back(one_round(**database, now, {}, &grants));
  row(fmt::format("schedule_{}_idle_cpu_ms", spread.name).c_str(), percentile(idle, 0.5), "ms");
  const double took = one_round(**database, now, waiting, &grants);
  row(fmt::format("schedule_{}_grant_cpu_ms", spread.name).c_str(), took, "ms");
  row(fmt::format("schedule_{}_grants", spread.name).c_str(), static_cast<double>(grants), "");
  std::vector<double> lists;
  for (int i = 0; i < 20; ++i) {
    const double start = now_ms();
    BCAI_ASSERT((*database)->read_now([](store::Connection& db) -> Result<void> {
      BCAI_TRY(list_jobs(db, {}));
      return {};
    }));
    lists.push_back(now_ms() - start);
  }
  row(fmt::format("list_50_of_{}_ms", spread.name).c_str(), percentile(lists, 0.5), "ms");
}

int64_t resident_kb() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    int64_t kb = 0;
    if (word == "VmRSS:" && status >> kb) return kb;
  }
  return 0;
}

int run(const std::filesystem::path& directory) {
  {
    auto database = store::Database::open(directory / "submit.db");
    BCAI_ASSERT(database);
    row("store_open_rss_mb", static_cast<double>(resident_kb()) / 1000, "MB");
    measure_submissions(**database);
    measure_submission_cpu(**database);
    row("store_after_rss_mb", static_cast<double>(resident_kb()) / 1000, "MB");
  }
  for (const Spread& spread : {Spread{"one", 1, 1, 2}, Spread{"many_shapes", 1, 3000, 2},
                               Spread{"many_owners", 100, 3, 50}}) {
    measure_schedule(directory, spread);
  }
  return 0;
}

}  // namespace
}  // namespace bcai::coordinator

int main(int argc, char** argv) {
  std::string pattern = std::string(argc > 1 ? argv[1] : "/var/tmp") + "/bcai_measure_XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) {
    fmt::print(stderr, "cannot make a directory {}\n", pattern);
    return 1;
  }
  const int code = bcai::coordinator::run(pattern);
  std::filesystem::remove_all(pattern);
  return code;
}
