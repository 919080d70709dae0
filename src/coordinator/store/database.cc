// SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/database.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "coordinator/store/connection.h"

namespace bcai::store {
namespace {

constexpr size_t kGroupMax = 1000;
constexpr int kReaders = 2;
constexpr int kCheckpointPages = 10'000;   // at the latest, between two groups
constexpr int kIdleCheckpointPages = 250;  // when nothing is queued
constexpr std::chrono::milliseconds kIdle{500};

constexpr const char* kWriterPragmas =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
    "PRAGMA cache_size = -2000; PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY";
constexpr const char* kReaderPragmas = "PRAGMA query_only = ON; PRAGMA cache_size = -1000";

struct Write {
  Database::Work work;
  Database::Done done;
  Result<void> outcome;
};
using Read = std::function<void(Connection&)>;

// Holds the file that keeps a second process out.
class Lock {
 public:
  static Result<Lock> take(const std::string& path) {
    Lock lock;
    lock.fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock.fd_ < 0) return errno_error(errno, fmt::format("open {}", path));
    if (flock(lock.fd_, LOCK_EX | LOCK_NB) == 0) return lock;
    if (errno != EWOULDBLOCK) return errno_error(errno, fmt::format("lock {}", path));
    return error(ErrorCode::kFailedPrecondition, "{} is locked: another coordinator runs on it",
                 path);
  }
  Lock() = default;
  Lock(Lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Lock& operator=(Lock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Lock() {
    if (fd_ >= 0) close(fd_);
  }

 private:
  int fd_ = -1;
};

}  // namespace

struct Database::Impl {
  Lock lock;
  Connection writer;
  int wal_pages = 0;                                 // writer thread only
  std::vector<std::unique_ptr<Connection>> readers;  // none in memory: the writer reads

  std::mutex mutex;
  std::condition_variable writer_wakes;
  std::condition_variable reader_wakes;
  std::deque<Write> writes;
  std::deque<Read> reads;
  bool stopping = false;
  std::thread writer_thread;
  std::vector<std::thread> reader_threads;

  Result<void> open_file(const std::filesystem::path& path);
  Result<void> open_memory();
  void start_threads();
  void stop();

  void enqueue(Write write);
  void enqueue(Read read);

  void run_writer();
  void run_reader(Connection& connection);
  void commit_group(std::vector<Write>& group);
  void run_in_savepoint(Write& write);
  void checkpoint_when_over(int pages);
};

namespace {

Result<void> read_in_snapshot(Connection& connection, const Read& read) {
  BCAI_TRY(connection.execute("BEGIN"));
  read(connection);
  return connection.execute("COMMIT");
}

}  // namespace

Result<void> Database::Impl::open_memory() {
  BCAI_TRY_ASSIGN(writer.impl_->db, open_sqlite(":memory:", false));
  BCAI_TRY(writer.execute("PRAGMA foreign_keys = ON"));
  return migrate(writer);
}

Result<void> Database::Impl::open_file(const std::filesystem::path& path) {
  BCAI_TRY_ASSIGN(lock, Lock::take(path.string() + ".lock"));
  // SQLite gives the mode of this file to its journal too.
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return errno_error(errno, fmt::format("open {}", path.string()));
  close(fd);
  BCAI_TRY_ASSIGN(writer.impl_->db, open_sqlite(path.string(), false));
  BCAI_TRY(writer.execute(kWriterPragmas));
  // Replaces SQLite's own automatic checkpoint, which would run inside a commit.
  sqlite3_wal_hook(
      writer.impl_->db,
      [](void* pages, sqlite3*, const char*, int in_log) {
        *static_cast<int*>(pages) = in_log;
        return SQLITE_OK;
      },
      &wal_pages);
  BCAI_TRY(migrate(writer));
  for (int i = 0; i < kReaders; ++i) {
    std::unique_ptr<Connection> reader(new Connection);
    BCAI_TRY_ASSIGN(reader->impl_->db, open_sqlite(path.string(), true));
    BCAI_TRY(reader->execute(kReaderPragmas));
    readers.push_back(std::move(reader));
  }
  return {};
}

void Database::Impl::start_threads() {
  writer_thread = std::thread([this] { run_writer(); });
  for (const auto& reader : readers) {
    reader_threads.emplace_back([this, &reader] { run_reader(*reader); });
  }
}

void Database::Impl::stop() {
  {
    std::lock_guard hold(mutex);
    stopping = true;
  }
  writer_wakes.notify_all();
  reader_wakes.notify_all();
  for (std::thread& thread : reader_threads) thread.join();
  if (writer_thread.joinable()) writer_thread.join();
  // The writer goes last: the last connection to close writes the log back.
  readers.clear();
}

void Database::Impl::enqueue(Write write) {
  {
    std::lock_guard hold(mutex);
    BCAI_ASSERT(!stopping || std::this_thread::get_id() == writer_thread.get_id());
    writes.push_back(std::move(write));
  }
  writer_wakes.notify_one();
}

void Database::Impl::enqueue(Read read) {
  {
    std::lock_guard hold(mutex);
    BCAI_ASSERT(!stopping || std::this_thread::get_id() == writer_thread.get_id());
    reads.push_back(std::move(read));
  }
  (readers.empty() ? writer_wakes : reader_wakes).notify_one();
}

void Database::Impl::run_writer() {
  const bool reads_too = readers.empty();
  std::vector<Write> group;
  std::deque<Read> group_reads;
  const auto has_work = [&] { return !writes.empty() || (reads_too && !reads.empty()); };
  while (true) {
    {
      std::unique_lock hold(mutex);
      const auto wakes = [&] { return has_work() || stopping; };
      if (wal_pages < kIdleCheckpointPages) {
        writer_wakes.wait(hold, wakes);
      } else if (!writer_wakes.wait_for(hold, kIdle, wakes)) {
        hold.unlock();
        checkpoint_when_over(kIdleCheckpointPages);
        continue;
      }
      if (!has_work()) return;
      const size_t count = std::min(writes.size(), kGroupMax);
      std::move(writes.begin(), writes.begin() + static_cast<ptrdiff_t>(count),
                std::back_inserter(group));
      writes.erase(writes.begin(), writes.begin() + static_cast<ptrdiff_t>(count));
      if (reads_too) group_reads.swap(reads);
    }
    commit_group(group);
    for (Write& write : group) {
      if (write.done) write.done(std::move(write.outcome));
    }
    group.clear();
    for (const Read& read : group_reads) read(writer);
    group_reads.clear();
    checkpoint_when_over(kCheckpointPages);
  }
}

void Database::Impl::run_reader(Connection& connection) {
  while (true) {
    Read read;
    {
      std::unique_lock hold(mutex);
      reader_wakes.wait(hold, [&] { return !reads.empty() || stopping; });
      if (reads.empty()) return;
      read = std::move(reads.front());
      reads.pop_front();
    }
    // A snapshot that cannot begin shows itself to the work as failing statements.
    if (!read_in_snapshot(connection, read)) (void)connection.execute("ROLLBACK");
  }
}

void Database::Impl::commit_group(std::vector<Write>& group) {
  // An error of the disk can end the whole transaction (SQLite then is in autocommit mode again);
  // what was done in it so far is gone and says so.
  size_t first = 0;
  const auto fail_from_first = [&](size_t end, const Error& why) {
    for (; first < end; ++first) {
      if (group[first].outcome) group[first].outcome = why;
    }
  };
  for (size_t i = 0; i < group.size(); ++i) {
    if (sqlite3_get_autocommit(writer.impl_->db) != 0) {
      if (Result<void> begun = writer.execute("BEGIN IMMEDIATE"); !begun) {
        fail_from_first(group.size(), begun.error());
        return;
      }
    }
    run_in_savepoint(group[i]);
    if (sqlite3_get_autocommit(writer.impl_->db) != 0) {
      const Error why = group[i].outcome ? error(ErrorCode::kUnavailable, "the transaction ended")
                                         : group[i].outcome.error();
      fail_from_first(i + 1, why);
    }
  }
  if (first == group.size()) return;
  if (Result<void> committed = writer.execute("COMMIT"); !committed) {
    (void)writer.execute("ROLLBACK");
    fail_from_first(group.size(), committed.error());
  }
}

void Database::Impl::run_in_savepoint(Write& write) {
  write.outcome = writer.execute("SAVEPOINT work");
  if (!write.outcome) return;
  write.outcome = write.work(writer);
  if (sqlite3_get_autocommit(writer.impl_->db) != 0) return;
  if (!write.outcome) (void)writer.execute("ROLLBACK TO work");
  Result<void> released = writer.execute("RELEASE work");
  if (write.outcome && !released) write.outcome = std::move(released);
}

void Database::Impl::checkpoint_when_over(int pages) {
  if (wal_pages < pages) return;
  // PASSIVE waits for nobody; frames that a reader still needs stay for the next time.
  sqlite3_wal_checkpoint_v2(writer.impl_->db, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  wal_pages = 0;
}

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Database::~Database() { impl_->stop(); }

Result<std::unique_ptr<Database>> Database::open(const std::filesystem::path& path) {
  auto impl = std::unique_ptr<Impl>(new Impl);
  BCAI_TRY(path == ":memory:" ? impl->open_memory() : impl->open_file(path));
  impl->start_threads();
  return std::unique_ptr<Database>(new Database(std::move(impl)));
}

void Database::write(Work work, Done done) {
  impl_->enqueue(Write{.work = std::move(work), .done = std::move(done), .outcome = {}});
}

Result<void> Database::write(Work work) {
  BCAI_ASSERT(std::this_thread::get_id() != impl_->writer_thread.get_id());
  std::promise<Result<void>> promise;
  write(std::move(work), [&](Result<void> outcome) { promise.set_value(std::move(outcome)); });
  return promise.get_future().get();
}

void Database::read(std::function<void(Connection&)> work) { impl_->enqueue(std::move(work)); }

Result<void> Database::read_now(Work work) {
  std::promise<Result<void>> promise;
  read([&](Connection& connection) { promise.set_value(work(connection)); });
  return promise.get_future().get();
}

}  // namespace bcai::store
