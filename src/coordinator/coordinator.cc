// SPDX-License-Identifier: Apache-2.0
#include "coordinator/coordinator.h"

#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/seal.h"
#include "coordinator/api/answer.h"
#include "coordinator/api/routes.h"
#include "coordinator/metrics.h"
#include "coordinator/store/keys.h"
#include "coordinator/store/secrets.h"

namespace bcai::coordinator {
namespace {

constexpr size_t kDiskThreads = 2;
constexpr size_t kDiskQueueMax = 256;
constexpr size_t kProgramThreads = 1;
constexpr size_t kProgramQueueMax = 64;

std::string problem_text(int status, ErrorCode code, std::string_view detail) {
  return to_text(problem_of_status(status, Error{code, std::string(detail)}));
}

}  // namespace

// In the order of their needs; stop() takes them down the other way round.
struct Coordinator::Impl {
  explicit Impl(CoordinatorOptions from) : options(std::move(from)) {}
  ~Impl() { stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  CoordinatorOptions options;
  SystemClock clock;
  SystemRandom random;
  Metrics metrics;
  std::unique_ptr<LogStore> logs;
  std::unique_ptr<ArtifactStore> artifacts;
  std::unique_ptr<store::Database> database;
  std::unique_ptr<Vault> vault;
  std::unique_ptr<DatabaseGate> gate;
  std::unique_ptr<Timer> timer;
  std::unique_ptr<Authenticator> authenticator;
  std::unique_ptr<Challenges> challenges;
  std::unique_ptr<JobWatch> watch;
  std::unique_ptr<LogFeed> log_feed;
  std::unique_ptr<Dispatch> dispatch;
  std::unique_ptr<Worker> disk;
  std::unique_ptr<Worker> programs;
  std::unique_ptr<Referee> referee;
  std::unique_ptr<policy::Checker> checker;
  std::unique_ptr<Services> services;
  std::unique_ptr<net::Server> server;
  std::string endpoint;
  std::atomic<net::Server*> listening{nullptr};  // for the metrics

  Result<void> open_files();
  Result<void> open_vault();
  Result<void> start();
  Result<void> make_parts();
  void stop();
  net::ServerOptions server_options();
};

Result<void> Coordinator::Impl::open_files() {
  if (options.data_directory.empty()) {
    return error(ErrorCode::kInvalidArgument, "data_directory: is required");
  }
  const std::filesystem::path& directory = options.data_directory;
  BCAI_TRY(make_directories(directory, 0700));
  // Its lock keeps a second coordinator out, so it comes first.
  BCAI_TRY_ASSIGN(database, store::Database::open(directory / "coordinator.db"));
  BCAI_TRY_ASSIGN(logs, LogStore::open(directory / "logs"));
  BCAI_TRY_ASSIGN(artifacts, ArtifactStore::open(directory / "artifacts"));
  return {};
}

Result<void> Coordinator::Impl::open_vault() {
  int64_t secrets = 0;
  BCAI_TRY(database->read_now([&](store::Connection& db) -> Result<void> {
    BCAI_TRY_ASSIGN(secrets, store::count_secrets(db));
    return {};
  }));
  const std::filesystem::path& file = options.secrets_key_file;
  BCAI_TRY_ASSIGN(vault, Vault::open(file.empty() ? options.data_directory / "secrets.key" : file,
                                     secrets > 0, random));
  return {};
}

Result<void> Coordinator::Impl::make_parts() {
  gate = std::make_unique<DatabaseGate>(*database);
  timer = std::make_unique<Timer>(clock);
  authenticator = std::make_unique<Authenticator>(*gate);
  challenges = std::make_unique<Challenges>(clock, random);
  watch = std::make_unique<JobWatch>(*gate);
  log_feed = std::make_unique<LogFeed>(*gate, *logs, *watch, *timer);
  dispatch = std::make_unique<Dispatch>(
      DispatchOptions{.database = *gate,
                      .watch = *watch,
                      .timer = *timer,
                      .clock = clock,
                      .random = random,
                      .timing = options.timing,
                      .on_lease = [this](Millis waited) { metrics.lease(waited); },
                      .on_reconciled = [this] { referee->kick(); }});
  BCAI_TRY_ASSIGN(referee, Referee::start({.database = *database,
                                           .watch = *watch,
                                           .artifacts = *artifacts,
                                           .clock = clock,
                                           .program = options.program,
                                           .directory = options.data_directory / "rerun"}));
  programs = std::make_unique<Worker>(kProgramThreads, kProgramQueueMax);
  disk = std::make_unique<Worker>(kDiskThreads, kDiskQueueMax);
  Observer observer{
      .submission = [this](std::string_view outcome) { metrics.submission(outcome); },
      .attempt = [this](std::string_view outcome) { metrics.attempt(outcome); },
      .metrics_text =
          [this](const std::vector<JobCount>& jobs) {
            const net::Server* const now = listening;
            return metrics.text({.jobs = jobs,
                                 .waiting_nodes = dispatch->waiting(),
                                 .connections = now == nullptr ? 0 : now->connections()});
          }};
  services = std::make_unique<Services>(Services{.database = *gate,
                                                 .checker = *checker,
                                                 .logs = *logs,
                                                 .artifacts = *artifacts,
                                                 .disk = *disk,
                                                 .programs = *programs,
                                                 .referee = *referee,
                                                 .authenticator = *authenticator,
                                                 .challenges = *challenges,
                                                 .watch = *watch,
                                                 .log_feed = *log_feed,
                                                 .dispatch = *dispatch,
                                                 .timer = *timer,
                                                 .clock = clock,
                                                 .random = random,
                                                 .timing = options.timing,
                                                 .uploads = options.uploads,
                                                 .vault = *vault,
                                                 .tls = !options.tls_key_file.empty(),
                                                 .observer = std::move(observer),
                                                 .version = BCAI_VERSION});
  return {};
}

net::ServerOptions Coordinator::Impl::server_options() {
  return {
      .listen = options.listen,
      .tls_certificate_file = options.tls_certificate_file,
      .tls_key_file = options.tls_key_file,
      .on_request =
          [this](std::string_view method, std::string_view route, int status,
                 std::chrono::microseconds took) { metrics.request(method, route, status, took); },
      .problem = problem_text};
}

Result<void> Coordinator::Impl::start() {
  forbid_core_dumps();
  raise_open_files_limit();  // each node and each client that waits holds a connection
  BCAI_TRY(open_files());
  BCAI_TRY(open_vault());
  BCAI_TRY(database->write(
      [this](store::Connection& db) { return grace(db, clock.wall(), options.timing); }));
  BCAI_TRY_ASSIGN(checker, policy::Checker::start({.python = options.checker_python}));
  BCAI_TRY(make_parts());
  BCAI_TRY_ASSIGN(server, net::Server::start(server_options(), make_routes(*services)));
  endpoint = server->endpoint();
  listening = server.get();
  dispatch->start();
  sweep_uploads(*services);
  log_event(LogLevel::kInfo, "coordinator.started",
            {{"endpoint", endpoint}, {"data", options.data_directory.string()}});
  return {};
}

// Whoever could ask the database for more stops before it. What it has still queued may ask the
// referee, the workers, in vain by then, and the checker: those objects stay until it is gone. The
// server's stays until the last, because replies that nobody sent are given back to it.
void Coordinator::Impl::stop() {
  if (server) server->stop();
  if (gate) gate->close();
  if (timer) timer->stop();
  if (referee) referee->stop();
  if (disk) disk->stop();
  if (programs) programs->stop();
  database.reset();
  checker.reset();
}

Coordinator::Coordinator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Coordinator::~Coordinator() = default;

Result<std::unique_ptr<Coordinator>> Coordinator::start(CoordinatorOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  BCAI_TRY(impl->start());
  return std::unique_ptr<Coordinator>(new Coordinator(std::move(impl)));
}

std::string Coordinator::endpoint() const { return impl_->endpoint; }

Result<std::string> Coordinator::create_key(std::string_view name, std::string_view role,
                                            std::optional<std::vector<std::string>> network) {
  BCAI_TRY(parse_role(role));
  if (!impl_->database) return error(ErrorCode::kUnavailable, "the coordinator has stopped");
  store::KeyRecord key{.id = KeyId::make(impl_->clock.wall(), impl_->random),
                       .name = std::string(name),
                       .role = std::string(role),
                       .hash = {},
                       .created_at = impl_->clock.wall(),
                       .revoked_at = std::nullopt,
                       .network = std::move(network)};
  std::string text = make_key_text(key.id, impl_->random);
  key.hash = hash_of_secret(text);
  BCAI_TRY(
      impl_->database->write([&](store::Connection& db) { return store::insert_key(db, key); }));
  return text;
}

Result<bool> Coordinator::has_no_key() {
  if (!impl_->database) return error(ErrorCode::kUnavailable, "the coordinator has stopped");
  bool none = false;
  BCAI_TRY(impl_->database->read_now([&](store::Connection& db) -> Result<void> {
    BCAI_TRY_ASSIGN(const std::vector<store::KeyRecord> keys, store::list_keys(db));
    none = keys.empty();
    return {};
  }));
  return none;
}

void Coordinator::stop() { impl_->stop(); }

}  // namespace bcai::coordinator
