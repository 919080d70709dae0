// SPDX-License-Identifier: Apache-2.0
#include "node/agent.h"

#include <algorithm>
#include <map>
#include <optional>
#include <thread>

#include "base/log.h"
#include "node/attempt.h"
#include "node/crew.h"
#include "node/lease_table.h"
#include "node/outcome.h"
#include "node/secrets.h"
#include "node/shipper.h"

namespace bcai::node {
namespace {

constexpr Millis kHeartbeatInterval{5'000};
constexpr Millis kHeartbeatTimeout{10'000};
constexpr Millis kHeartbeatApartMin{250};  // when there is news
constexpr Millis kStatusInterval{1'000};
constexpr Millis kPokeTimeout{5'000};

net::ClientRequest post_json(std::string target, const json::value& body, Millis timeout) {
  net::ClientRequest request;
  request.method = "POST";
  request.target = std::move(target);
  request.headers = {{"Content-Type", "application/json"}};
  request.body = to_text(body);
  request.timeout = timeout;
  return request;
}

std::optional<json::value> body_of(const Answer& answer, std::string_view what) {
  Result<json::value> body = parse_json(answer.response.body);
  if (body) return *std::move(body);
  log_event(LogLevel::kError, "node.answer_unreadable",
            {{"what", what}, {"why", body.error().message}});
  return std::nullopt;
}

}  // namespace

struct Agent::Impl {
  explicit Impl(AgentOptions given)
      : options(std::move(given)),
        link(options.link),
        table(options.offered),
        // Twice: one that has ended its attempt may still tell of it when the next begins.
        executors(static_cast<size_t>(std::max(1, options.offered.slots)) * 2),
        shippers(static_cast<size_t>(std::max(1, options.offered.slots)) * 2 + 4) {}

  // Leases.
  void poll_loop();
  void poke();
  void take_leases(const Answer& answer, Instant asked_at);
  void take_lease(const Lease& lease, Instant asked_at);
  json::value poll_body(const Capacity& free);

  // Attempts.
  void recover(Spool::Recovered recovered);
  void execute(const std::shared_ptr<Attempt>& attempt);
  void ship(const std::shared_ptr<Attempt>& attempt, bool resumed);
  void end(const std::vector<AttemptId>& attempts);

  // Heartbeats, time and status.
  void heartbeat_loop();
  void want_heartbeat();
  void heartbeat_now();
  Answer heartbeat();
  void keeper_loop();
  void write_status();
  Node::Status status() const;
  void stop();

  AgentOptions options;
  SystemClock clock;
  SystemRandom random;
  Metrics metrics;
  Link link;
  std::optional<Spool> spool;
  std::unique_ptr<InputCache> cache;

  mutable std::mutex mutex;
  std::condition_variable heartbeat_due;
  std::condition_variable keeper_due;
  std::condition_variable settled;
  LeaseTable table;
  std::map<AttemptId, std::shared_ptr<Attempt>> attempts;
  bool polling = false;
  bool poking = false;
  bool poke_wanted = false;
  bool heartbeat_wanted = false;  // soon: there is news
  bool heartbeat_asked = false;   // at once: the coordinator has news
  bool status_changed = true;
  bool stopping = false;  // no new leases
  bool halted = false;    // nothing any more
  int64_t sequence = 0;   // of the heartbeat thread, as the next
  Millis interval = kHeartbeatInterval;

  std::mutex stop_mutex;
  bool stopped = false;
  std::thread poller;
  std::thread heart;
  std::thread keeper;
  Crew executors;
  Crew shippers;
  Crew backlog{2};  // what earlier processes left must not hold up what runs now
};

// --- leases ---

json::value Agent::Impl::poll_body(const Capacity& free) {
  json::array held;
  for (AttemptId attempt : table.held()) held.emplace_back(attempt.text());
  return json::object{{"free", encode(free)}, {"held", std::move(held)}};
}

void Agent::Impl::poll_loop() {
  Backoff backoff(Millis(100), Millis(15'000));
  const std::string target =
      fmt::format("/v1/nodes/{{node}}/leases?wait={}", options.poll_wait.count() / 1000);
  for (;;) {
    json::value body;
    {
      const std::lock_guard lock(mutex);
      if (stopping) return;
      // Also with no room: the coordinator answers the poll when it wants to be heard, as for a
      // cancellation.
      body = poll_body(table.free());
      polling = true;
    }
    const Instant asked_at = clock.now();
    const Answer answer = link.poll(post_json(target, body, options.poll_wait + Millis(15'000)));
    {
      const std::lock_guard lock(mutex);
      polling = false;
      if (stopping) return;
    }
    if (answer.ok()) {
      backoff.reset();
      take_leases(answer, asked_at);
    } else {
      log_event(LogLevel::kWarn, "node.poll_failed",
                {{"status", answer.status}, {"why", answer.error.message}});
      link.pause(backoff.next(random, answer.retry_after()));
    }
  }
}

// The poll under way tells of less than is free now. A second one ends it, and asks for nothing
// itself: two that ask at once would be given more than there is.
void Agent::Impl::poke() {
  std::unique_lock lock(mutex);
  poke_wanted = true;
  if (poking) return;
  poking = true;
  while (poke_wanted && polling && !stopping) {
    poke_wanted = false;
    const json::value body = poll_body(Capacity{});
    lock.unlock();
    const Instant asked_at = clock.now();
    const Answer answer =
        link.poll(post_json("/v1/nodes/{node}/leases?wait=0", body, kPokeTimeout));
    if (answer.ok()) take_leases(answer, asked_at);
    lock.lock();
    if (!answer.ok()) break;
  }
  poking = false;
}

void Agent::Impl::take_leases(const Answer& answer, Instant asked_at) {
  const std::optional<json::value> body = body_of(answer, "leases");
  if (!body || !body->is_object()) return;
  if (const json::value* wanted = body->get_object().if_contains("heartbeat");
      wanted != nullptr && wanted->is_bool() && wanted->get_bool()) {
    heartbeat_now();
  }
  const json::value* list = body->get_object().if_contains("leases");
  if (list == nullptr || !list->is_array()) return;
  for (const json::value& element : list->get_array()) {
    std::vector<Finding> findings;
    const Lease lease = decode_lease(element, &findings);
    if (findings.empty()) {
      take_lease(lease, asked_at);
    } else {
      log_event(LogLevel::kError, "node.lease_unreadable", {{"why", findings_text(findings)}});
    }
  }
}

void Agent::Impl::take_lease(const Lease& lease, Instant asked_at) {
  const Instant now = clock.now();
  {
    const std::lock_guard lock(mutex);
    if (stopping) return;
    const LeaseTable::Take take = table.take(lease, asked_at);
    if (take == LeaseTable::Take::kHeld) return;
    if (take == LeaseTable::Take::kNoRoom) {
      log_event(LogLevel::kWarn, "node.lease_without_room", {{"attempt", lease.attempt.text()}});
      return;
    }
  }
  Result<std::unique_ptr<AttemptSpool>> made = spool->create(lease);
  if (!made) {
    // Not held, so it is offered to another node when the offer runs out.
    log_event(LogLevel::kError, "node.spool_failed",
              {{"attempt", lease.attempt.text()}, {"why", made.error().message}});
    const std::lock_guard lock(mutex);
    table.settle(lease.attempt);
    return;
  }
  const auto attempt = std::make_shared<Attempt>(*std::move(made), now);
  metrics.leases_taken += 1;
  {
    const std::lock_guard lock(mutex);
    attempts[lease.attempt] = attempt;
    if (table.end_reason(lease.attempt) != EndReason::kNone) attempt->cancellation.cancel();
    status_changed = true;
  }
  executors.run([this, attempt] { execute(attempt); });
  shippers.run([this, attempt] { ship(attempt, false); });
  keeper_due.notify_all();
  log_event(LogLevel::kInfo, "node.leased",
            {{"attempt", lease.attempt.text()}, {"job", lease.job.text()}, {"epoch", lease.epoch}});
}

// --- attempts ---

void Agent::Impl::recover(Spool::Recovered recovered) {
  AttemptSpool& left = *recovered.attempt;
  if (!recovered.result) {
    (void)left.append_log(LogStream::kSystem, clock.wall(), "The node was restarted.\n");
    (void)left.flush_log();
    recovered.result = make_node_failure("the node was restarted", left.log_bytes());
    write_attempt_record(options.means.audit, {.lease = left.lease(), .connections = {}},
                         &*recovered.result);
    (void)left.write_result(*recovered.result, Durability::kSynced);
  }
  const auto attempt = std::make_shared<Attempt>(std::move(recovered.attempt), clock.now());
  {
    const std::lock_guard lock(mutex);
    table.take_recovered(left.lease(), clock.now());
    attempts[left.lease().attempt] = attempt;
  }
  attempt->shipment.finish(*std::move(recovered.result));
  backlog.run([this, attempt] { ship(attempt, true); });
}

void Agent::Impl::execute(const std::shared_ptr<Attempt>& attempt) {
  const AttemptId id = attempt->shipment.lease().attempt;
  const AttemptEvents events{
      .on_state =
          [this, id](AttemptState state) {
            {
              const std::lock_guard lock(mutex);
              table.advance(id, state);
            }
            want_heartbeat();
          },
      .on_progress =
          [this, id](const Progress& progress) {
            {
              const std::lock_guard lock(mutex);
              table.set_progress(id, progress);
            }
            want_heartbeat();
          },
      .end_reason =
          [this, id] {
            const std::lock_guard lock(mutex);
            return table.end_reason(id);
          },
  };
  AttemptResult result = run_attempt(*attempt, *cache, options.means, events);
  AttemptSpool& kept = attempt->shipment.spool();
  if (auto wrote = kept.write_result(result, Durability::kCached); !wrote) {
    log_event(LogLevel::kError, "node.spool_failed",
              {{"attempt", id.text()}, {"why", wrote.error().message}});
  }
  metrics.attempts_finished += 1;
  if (result.outcome == Outcome::kNodeFailure) metrics.attempts_failed_by_node += 1;
  log_event(LogLevel::kInfo, "node.ended",
            {{"attempt", id.text()},
             {"outcome", name(result.outcome)},
             {"exit_code", result.exit_code},
             {"wall_ms", result.usage.wall_ms}});
  {
    const std::lock_guard lock(mutex);
    table.advance(id, AttemptState::kUploading);
    status_changed = true;
  }
  attempt->shipment.finish(std::move(result));
  keeper_due.notify_all();
  poke();
}

void Agent::Impl::ship(const std::shared_ptr<Attempt>& attempt, bool resumed) {
  if (!Shipper(attempt->shipment, link, metrics).ship(resumed)) return;
  const AttemptId id = attempt->shipment.lease().attempt;
  attempt->shipment.spool().remove();
  {
    const std::lock_guard lock(mutex);
    table.settle(id);
    attempts.erase(id);
    status_changed = true;
  }
  settled.notify_all();
  keeper_due.notify_all();
}

void Agent::Impl::end(const std::vector<AttemptId>& to_end) {
  const std::lock_guard lock(mutex);
  for (AttemptId id : to_end) {
    const auto found = attempts.find(id);
    if (found != attempts.end()) found->second->cancellation.cancel();
    log_event(LogLevel::kInfo, "node.ending",
              {{"attempt", id.text()}, {"reason", name(table.end_reason(id))}});
  }
}

// --- heartbeats, time and status ---

void Agent::Impl::want_heartbeat() {
  {
    const std::lock_guard lock(mutex);
    if (heartbeat_wanted) return;
    heartbeat_wanted = true;
  }
  heartbeat_due.notify_all();
}

void Agent::Impl::heartbeat_now() {
  {
    const std::lock_guard lock(mutex);
    heartbeat_asked = true;
  }
  heartbeat_due.notify_all();
}

void Agent::Impl::heartbeat_loop() {
  Backoff backoff(Millis(500), kHeartbeatInterval);
  Instant last{0};
  Millis pause{0};
  for (;;) {
    {
      std::unique_lock lock(mutex);
      const auto left = [&] {
        if (heartbeat_asked) return Millis(0);
        const Millis at_least = heartbeat_wanted ? std::min(pause, kHeartbeatApartMin) : pause;
        return last + at_least - clock.now();
      };
      while (!halted && left() > Millis(0)) heartbeat_due.wait_for(lock, left());
      if (halted) return;
      heartbeat_wanted = heartbeat_asked = false;
    }
    last = clock.now();
    const Answer answer = heartbeat();
    if (answer.ok()) {
      backoff.reset();
      const auto tenth = static_cast<uint64_t>(interval.count() / 10);
      pause = interval - Millis(tenth) + Millis(static_cast<int64_t>(random.below(2 * tenth + 1)));
    } else {
      metrics.heartbeats_failed += 1;
      link.pause(backoff.next(random, answer.retry_after()));
      pause = Millis(0);
    }
  }
}

Answer Agent::Impl::heartbeat() {
  Heartbeat beat;
  {
    const std::lock_guard lock(mutex);
    beat = table.compose(++sequence);
  }
  const bool was_connected = link.connected();
  const Instant sent_at = clock.now();
  metrics.heartbeats += 1;
  Answer answer =
      link.ask(post_json("/v1/nodes/{node}/heartbeat", encode(beat), kHeartbeatTimeout));
  if (link.connected() != was_connected) {
    const std::lock_guard lock(mutex);
    status_changed = true;
    keeper_due.notify_all();
  }
  const std::optional<json::value> body = answer.ok() ? body_of(answer, "heartbeat") : std::nullopt;
  if (!body) return answer;
  std::vector<Finding> findings;
  const HeartbeatReply reply = decode_heartbeat_reply(*body, &findings);
  std::vector<AttemptId> to_end;
  {
    const std::lock_guard lock(mutex);
    to_end = table.acknowledge(beat, sent_at, reply);
  }
  end(to_end);
  interval = Millis(std::clamp<int64_t>(reply.interval_ms, 100, 60'000));
  return answer;
}

void Agent::Impl::keeper_loop() {
  Instant written{0};
  for (;;) {
    std::vector<AttemptId> expired;
    bool write = false;
    {
      std::unique_lock lock(mutex);
      if (halted) return;
      const Instant now = clock.now();
      expired = table.expire(now);
      const bool moving = status_changed || table.running() > 0;
      write = moving && now - written >= kStatusInterval;
      if (write) {
        status_changed = false;
        written = now;
      }
      if (expired.empty() && !write) {
        if (moving) {
          keeper_due.wait_for(lock, kStatusInterval - (now - written));
        } else {
          keeper_due.wait(lock);
        }
        continue;
      }
    }
    end(expired);
    if (write) write_status();
  }
}

Node::Status Agent::Impl::status() const {
  Node::Status status;
  status.connected = link.connected();
  status.node_id = link.node_id();
  status.capabilities = options.link.capabilities;
  const std::lock_guard lock(mutex);
  status.running = table.running();
  const Capacity free = table.free();
  status.metrics = {
      {"attempts_running", table.running()},
      {"attempts_held", static_cast<double>(table.held().size())},
      {"slots_free", free.slots},
      {"cpu_cores_free", static_cast<double>(free.cpu_millicores) / 1000},
      {"memory_bytes_free", static_cast<double>(free.memory_bytes)},
      {"disk_bytes_free", static_cast<double>(free.disk_bytes)},
      {"cache_bytes", cache ? static_cast<double>(cache->bytes()) : 0},
      {"leases_taken", static_cast<double>(metrics.leases_taken)},
      {"attempts_finished", static_cast<double>(metrics.attempts_finished)},
      {"attempts_failed_by_node", static_cast<double>(metrics.attempts_failed_by_node)},
      {"results_published", static_cast<double>(metrics.results_published)},
      {"results_fenced", static_cast<double>(metrics.results_fenced)},
      {"results_refused", static_cast<double>(metrics.results_refused)},
      {"log_bytes_shipped", static_cast<double>(metrics.log_bytes_shipped)},
      {"artifact_bytes_uploaded", static_cast<double>(metrics.artifact_bytes_uploaded)},
      {"heartbeats", static_cast<double>(metrics.heartbeats)},
      {"heartbeats_failed", static_cast<double>(metrics.heartbeats_failed)},
      {"coordinator_outages", static_cast<double>(link.outages())},
  };
  return status;
}

void Agent::Impl::write_status() {
  const Node::Status now = status();
  json::object values;
  for (const auto& [key, number] : now.metrics) values[key] = number;
  const json::value text = json::object{{"updated_at", format_time(clock.wall())},
                                        {"connected", now.connected},
                                        {"node_id", now.node_id},
                                        {"running", now.running},
                                        {"metrics", std::move(values)},
                                        {"capabilities", encode(now.capabilities)}};
  (void)write_file(options.data_directory / "status.json", to_pretty_text(text) + "\n");
}

void Agent::Impl::stop() {
  const std::lock_guard once(stop_mutex);
  if (stopped) return;
  stopped = true;
  std::vector<AttemptId> to_end;
  {
    const std::lock_guard lock(mutex);
    stopping = true;
    for (AttemptId attempt : table.held()) {
      if (table.end(attempt, EndReason::kStopped)) to_end.push_back(attempt);
    }
  }
  end(to_end);
  link.stop_polling();
  poller.join();
  executors.join();
  {
    std::unique_lock lock(mutex);
    const Instant end_at = clock.now() + options.stop_grace;
    while (!attempts.empty() && link.connected() && clock.now() < end_at) {
      settled.wait_for(lock, std::min(Millis(100), end_at - clock.now()));
    }
    halted = true;
  }
  link.stop();
  heartbeat_due.notify_all();
  keeper_due.notify_all();
  heart.join();
  keeper.join();
  shippers.join();
  backlog.join();
  write_status();
}

Agent::Agent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Agent::~Agent() { stop(); }
void Agent::stop() { impl_->stop(); }
Node::Status Agent::status() const { return impl_->status(); }

Result<std::unique_ptr<Agent>> Agent::start(AgentOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  Impl& agent = *impl;
  BCAI_TRY_ASSIGN(Spool spool, Spool::open(agent.options.data_directory / "attempts"));
  agent.spool = std::move(spool);
  BCAI_TRY_ASSIGN(agent.cache, InputCache::open(agent.options.data_directory / "cache",
                                                agent.options.cache_bytes_max, agent.link));
  agent.options.means.fetch_secrets = [&agent](const Lease& lease,
                                               const std::function<bool()>& given_up) {
    return fetch_secrets(agent.link, lease, given_up);
  };
  if (Result<void> connected = agent.link.connect(); !connected) {
    const ErrorCode code = connected.error().code;
    if (code == ErrorCode::kUnauthenticated || code == ErrorCode::kPermissionDenied ||
        code == ErrorCode::kInvalidArgument) {
      return std::move(connected).error();
    }
    log_event(LogLevel::kWarn, "node.coordinator_away", {{"why", connected.error().message}});
  }
  std::vector<std::string> unreadable;
  for (Spool::Recovered& recovered : agent.spool->recover(&unreadable)) {
    agent.recover(std::move(recovered));
  }
  for (const std::string& why : unreadable) {
    log_event(LogLevel::kError, "node.spool_unreadable", {{"why", why}});
  }
  agent.heart = std::thread([&agent] { agent.heartbeat_loop(); });
  agent.poller = std::thread([&agent] { agent.poll_loop(); });
  agent.keeper = std::thread([&agent] { agent.keeper_loop(); });
  return std::unique_ptr<Agent>(new Agent(std::move(impl)));
}

}  // namespace bcai::node
