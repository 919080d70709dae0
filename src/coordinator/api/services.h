// SPDX-License-Identifier: Apache-2.0
// What the handlers work with. The coordinator owns all of it, and keeps it until the server has
// stopped and the database has run what was queued.
#pragma once

#include <functional>
#include <string>

#include "coordinator/api/auth.h"
#include "coordinator/api/challenge.h"
#include "coordinator/api/dispatch.h"
#include "coordinator/api/gate.h"
#include "coordinator/api/log_feed.h"
#include "coordinator/api/referee.h"
#include "coordinator/api/timer.h"
#include "coordinator/api/upload_limits.h"
#include "coordinator/api/vault.h"
#include "coordinator/api/watch.h"
#include "coordinator/files/artifact_store.h"
#include "coordinator/files/log_store.h"
#include "coordinator/files/worker.h"
#include "coordinator/jobs/job_head.h"
#include "policy/checker.h"

namespace bcai::coordinator {

// What is counted. Called from any thread; the coordinator makes metrics of it.
struct Observer {
  std::function<void(std::string_view outcome)> submission;  // created, repeated, refused
  std::function<void(std::string_view outcome)> attempt;     // "finished", …, or "fenced"
  std::function<std::string(const std::vector<JobCount>& jobs)> metrics_text;
};

struct Services {
  DatabaseGate& database;
  policy::Checker& checker;
  LogStore& logs;
  ArtifactStore& artifacts;
  Worker& disk;
  Worker& programs;  // reads native programs and receipts
  Referee& referee;
  Authenticator& authenticator;
  const Challenges& challenges;
  JobWatch& watch;
  LogFeed& log_feed;
  Dispatch& dispatch;
  Timer& timer;
  const Clock& clock;
  Random& random;
  Timing timing;
  UploadLimits uploads;
  const Vault& vault;
  bool tls;  // what comes and goes is encrypted
  Observer observer;
  std::string version;
};

}  // namespace bcai::coordinator
