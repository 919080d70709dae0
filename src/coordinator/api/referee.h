// SPDX-License-Identifier: Apache-2.0
// Decides jobs whose replicas gave different answers: the program is run again, the answers are
// held against that, and the job ends as it says. One thread, which sleeps while nothing is in
// dispute; one re-run at a time.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "coordinator/api/watch.h"
#include "coordinator/files/artifact_store.h"
#include "coordinator/jobs/jobs.h"
#include "coordinator/programs/rerun.h"

namespace bcai::coordinator {

struct RefereeOptions {
  store::Database& database;  // until stop()
  JobWatch& watch;
  const ArtifactStore& artifacts;
  const Clock& clock;
  std::filesystem::path program;    // of bcai
  std::filesystem::path directory;  // for the files of a re-run
};

class Referee {
 public:
  static Result<std::unique_ptr<Referee>> start(RefereeOptions options);
  ~Referee();  // stops
  Referee(const Referee&) = delete;
  Referee& operator=(const Referee&) = delete;

  // A job may be in dispute now. Any thread, also after stop().
  void kick();

  // Ends a re-run under way; the next start takes it up again.
  void stop();

 private:
  explicit Referee(RefereeOptions options) : options_(std::move(options)) {}
  void run();
  // False when there is no dispute, or it cannot be decided now.
  bool decide_one();
  Result<Verification> decide(const Dispute& dispute) const;
  bool stopping();

  const RefereeOptions options_;
  UniqueFd stop_;  // readable when it stops
  std::mutex mutex_;
  std::condition_variable wake_;
  bool kicked_ = true;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bcai::coordinator
