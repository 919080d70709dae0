// SPDX-License-Identifier: Apache-2.0
// For tests: a coordinator of a few hundred lines on a real socket, which keeps what it is told,
// checks the order of things and can be away, forget and lose; and a sandbox that runs nothing but
// does what a script of words says. Both are used from any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "net/server.h"
#include "node/agent.h"
#include "protocol/node.h"
#include "protocol/result.h"
#include "protocol/secret.h"

namespace bcai::node {

class FakeCoordinator {
 public:
  explicit FakeCoordinator(std::filesystem::path socket) : socket_(std::move(socket)) { up(); }

  void up();
  void down();
  std::string endpoint() const { return "unix:" + socket_.string(); }

  void offer(const Lease& lease);
  void set_action(AttemptId attempt, LeaseAction action);
  void put_artifact(std::string bytes);
  // What a job that names secrets is given; a status that is not 200 refuses them.
  void give_secrets(Secrets secrets, int status = 200);
  void forget_session();
  void forget_artifacts();
  void truncate_log(AttemptId attempt, size_t bytes);
  // The next PUTs are answered so; 0 drops nothing.
  void fail_next_puts(int count, int status);
  // Answers results of this attempt with published: false.
  void fence(AttemptId attempt);

  // Waits until it holds; false after 20 s.
  bool wait(const std::function<bool()>& holds);

  struct State {
    std::vector<NodeRegistration> registrations;
    std::vector<Heartbeat> heartbeats;
    std::vector<Capacity> polls;
    std::map<AttemptId, std::string> logs;
    std::map<AttemptId, std::vector<AttemptResult>> results;
    std::map<Sha256, std::string> artifacts;
    std::map<Sha256, std::string> parts;
    std::vector<std::string>
        problems;  // what a real coordinator would refuse and a node never does
    int64_t artifact_bytes_received = 0;
    int gets = 0;
  };
  // Under the lock.
  template <typename Read>
  auto look(Read read) {
    const std::lock_guard lock(mutex_);
    return read(static_cast<const State&>(state_));
  }
  std::string log_text(AttemptId attempt);
  size_t results_of(AttemptId attempt);

 private:
  std::vector<net::Route> routes();
  bool known_session(const net::Request& request) const;
  void answer_poll();
  net::Response heard(const net::Request& request);
  net::Response log_part(const net::Request& request);
  net::Response result(const net::Request& request);
  net::Response put(const net::Request& request);
  net::Response head(const net::Request& request);
  net::Response get(const net::Request& request);
  net::Response get_secrets(const net::Request& request);
  net::Response registered(const net::Request& request);

  std::filesystem::path socket_;
  std::unique_ptr<net::Server> server_;
  std::mutex mutex_;
  std::condition_variable changed_;
  State state_;
  std::map<std::string, std::string> nonces_;
  int sessions_ = 0;
  int64_t sequence_ = 0;  // of the session's newest heartbeat
  std::string session_;
  std::deque<Lease> offered_;
  std::optional<net::Reply> waiting_;
  Capacity waiting_free_;
  std::set<AttemptId> fenced_;
  std::map<AttemptId, LeaseAction> actions_;
  Secrets secrets_;
  int secrets_status_ = 200;
  int failing_puts_ = 0;
  int failing_status_ = 0;
};

// The code is a script, one command a line:
//   out TEXT | err TEXT | message JSON | gate | exit N | artifact NAME BYTES | outputs JSON
// `gate` waits until open_gate() or cancellation.
class FakeSandbox {
 public:
  sandbox::Report run(const sandbox::Task& task, const std::filesystem::path& artifacts_to,
                      const sandbox::Callbacks& callbacks, sandbox::Cancellation& cancellation);
  void open_gate();
  int started() const { return started_; }
  std::vector<sandbox::Task> tasks();

 private:
  bool at_gate(sandbox::Cancellation& cancellation);

  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  std::atomic<int> started_{0};
  std::vector<sandbox::Task> tasks_;
};

// Differs from place to place, so that a part in the wrong one is seen.
std::string pattern(size_t bytes);

}  // namespace bcai::node
