// SPDX-License-Identifier: Apache-2.0
// What can happen to a job, as transactions. Each function runs inside one write transaction of the
// store, takes the time as an argument, and is the same for the same inputs: the simulation runs
// these very functions.
//
// Each transition is one statement guarded by the state it may leave (protocol/state.h) and, for
// attempts, by node and epoch; it writes its event into job_events in the same transaction. A job's
// state is recomputed from its attempts by one function.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/random.h"
#include "coordinator/store/database.h"
#include "protocol/job.h"
#include "protocol/node.h"
#include "protocol/result.h"
#include "protocol/verification.h"

namespace bcai::coordinator {

// Durations of the lease protocol (design: heartbeat 5 s, unknown after 30 s, lost after 120 s).
struct Timing {
  Millis heartbeat{5'000};
  Millis unknown_after{30'000};
  Millis lost_after{120'000};
  Millis offer_ttl{10'000};
};

// --- users ---

// What `submit` will not take though it decodes: requirements that are not understood. A finding
// for each, to be shown before anything is stored.
void check_spec(const JobSpec& spec, std::vector<Finding>* findings);

struct Submission {
  JobId id;
  KeyId owner;
  JobSpec spec;
  std::string quote;  // JSON, of a native program; kept as it is
};

// created is false when the same submission was there before. kAlreadyExists: another
// specification, or another owner, under this id. kInvalidArgument: check_spec finds something.
struct Submitted {
  bool created = false;
};
Result<Submitted> submit(store::Connection& db, WallTime now, const Submission& submission);

// A queued job is cancelled at once; one with a live attempt gets desired = cancel and is cancelled
// when the node proves the kill or the lease runs out. Cancelling an ended job changes nothing.
Result<void> cancel(store::Connection& db, WallTime now, JobId job, std::string_view actor);

// --- nodes ---

// Makes the node or finds it by its public key, stores what it offers. What it held before and does
// not bring back is decided by its first heartbeat.
Result<NodeId> register_node(store::Connection& db, WallTime now, Random& random,
                             const NodeRegistration& registration, KeyId operator_key);

// A node that waits for work, as its request said it.
struct Waiting {
  NodeId node;
  Capacity free;
  // The attempts that it holds, as far as the request tells.
  std::optional<std::vector<AttemptId>> held;
};
struct Grant {
  NodeId node;
  Lease lease;
};
// One round of scheduling (coordinator/scheduler) over the queued jobs and the nodes that wait:
// commits the placements as leases, and a reason on every job that still waits. A lease that its
// node does not hold, because the answer got lost, is granted to it again: the same attempt and
// epoch, so that a node which has it after all can tell.
Result<std::vector<Grant>> schedule(store::Connection& db, WallTime now, Random& random,
                                    const std::vector<Waiting>& waiting, const Timing& timing);

Result<HeartbeatReply> heartbeat(store::Connection& db, WallTime now, NodeId node,
                                 const Heartbeat& heartbeat, const Timing& timing);

struct Completion {
  bool published = false;  // false: the attempt was fenced; its result is kept, never shown
};
// Idempotent. Artifacts named by the result must be in the store: `has_artifact` is asked for each,
// and a missing one is kFailedPrecondition. A native program's success without the commitment of a
// checked receipt is kUnavailable.
Result<Completion> complete(store::Connection& db, WallTime now, NodeId node, AttemptId attempt,
                            int64_t epoch, const AttemptResult& result,
                            const std::function<bool(const Sha256&)>& has_artifact);

// --- replicas ---

// A job whose replicas gave different answers, for the coordinator to run again.
struct Dispute {
  JobId job;
  JobSpec spec;
  struct Answer {
    ReplicaAnswer answer;
    AttemptResult result;
  };
  std::vector<Answer> answers;  // by replica
};
// The oldest.
Result<std::optional<Dispute>> find_dispute(store::Connection& db);

// What the re-run showed: kept with the job, which ends as it says. Does nothing to a job that is
// in dispute no more.
Result<void> resolve(store::Connection& db, WallTime now, JobId job,
                     const Verification& verification);

// May this node still write for this attempt? kFailedPrecondition when it is fenced.
Result<JobId> check_epoch(store::Connection& db, NodeId node, AttemptId attempt, int64_t epoch);

// --- time ---

// Every state past its deadline: offers not taken, silent nodes to unknown, unknown attempts to
// lost (and their jobs back to the queue, or ended), queue timeouts. Returns when to call again at
// the latest, and which jobs changed.
struct Reconciled {
  WallTime next;
  std::vector<JobId> changed;
};
Result<Reconciled> reconcile(store::Connection& db, WallTime now, const Timing& timing);

// After a restart: every live attempt gets a full lost_after from now.
Result<void> grace(store::Connection& db, WallTime now, const Timing& timing);

}  // namespace bcai::coordinator
