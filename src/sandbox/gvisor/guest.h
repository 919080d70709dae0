// SPDX-License-Identifier: Apache-2.0
// A guest: a sandbox of runsc's whose Python waits for its one task. /in and /work are tmpfs of
// ours that gVisor sees through its file server, so what is put there later is there for the guest.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"
#include "sandbox/cgroup.h"
#include "sandbox/gvisor/runsc.h"
#include "sandbox/root.h"
#include "sandbox/slots.h"
#include "sandbox/spawn.h"
#include "sandbox/staging.h"
#include "sandbox/supervise.h"

namespace bcai::sandbox {

// What an engine has that its guests need. Outlives them.
struct GuestHost {
  std::filesystem::path state;
  CgroupLayout cgroups;
  std::string group;  // "/bcai/3f2a"
  std::string attach_at;
  Root root;
  Slots* slots = nullptr;
  std::atomic<uint64_t> next_number = 1;  // of guests, in names
};

// What is fixed when a guest starts.
struct GuestOptions {
  std::vector<std::pair<std::string, std::string>> environment;
  std::filesystem::path overlay;
  std::filesystem::path proxy;
  // A module that is imported before the task comes; "": none, but the interpreter waits.
  std::optional<std::string> preload;  // nothing: the task's environment is that of the guest
  Limits limits;        // those of them that are fixed, and of its control group if it is limited
  bool limited = true;  // before the task brings its own
};

// Single use; not thread-safe.
class Guest {
 public:
  // Starts runsc and waits until its Python says that it waits: 0.3 s, and what `preload` takes.
  // `stop` readable ends that. kUnavailable with what runsc said; kResourceExhausted: it was out of
  // memory by `options.limits`.
  static Result<std::unique_ptr<Guest>> start(GuestHost& host, const Runsc& runsc,
                                              const GuestOptions& options, Millis timeout,
                                              int stop = -1);
  // Kills what is left of it and removes every trace.
  ~Guest();

  // Gives it the task, which runs when this returns. An Error: it does not and never will.
  Result<Watched> dispatch(const Task& task, const std::string& task_json);

  const Stage& stage() const { return stage_; }
  const JobGroup& group() const { return group_; }
  Instant started() const { return started_; }
  bool alive() const;
  uint32_t uid() const { return slot_.uid() + 1; }  // of its processes, on this machine
  // Keeps its user ids out of use for good.
  void quarantine() { slot_.quarantine(); }

 private:
  Guest(GuestHost& host, Slots::Lease slot);
  Result<void> start(const Runsc& runsc, const GuestOptions& options, Millis timeout, int stop);
  Result<void> await_ready(Millis timeout, int stop);
  Result<void> find_kernel();
  Error why_not(std::string_view what) const;

  GuestHost& host_;
  Slots::Lease slot_;
  std::string id_;
  std::filesystem::path bundle_;
  JobGroup group_;
  Stage stage_;
  UniqueFd out_;
  UniqueFd err_;
  UniqueFd control_;
  UniqueFd pidfd_;   // of runsc
  UniqueFd kernel_;  // of the process in which gVisor's kernel runs
  Instant started_;
};

// The task's limits and what gVisor itself needs on this machine: memory for its kernel and its
// file server, and the processes and threads that each of the guest's takes.
Limits with_guest_kernel(const Limits& limits);

}  // namespace bcai::sandbox
