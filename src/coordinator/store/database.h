// SPDX-License-Identifier: Apache-2.0
// The system of record: SQLite in WAL mode, synchronous FULL. One writer thread runs all writes and
// checkpoints and commits them in groups; readers are read-only connections on threads of their
// own. (SQLite before 3.51.3 can corrupt a WAL that two connections reset: there is one writer.)
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace bcai::store {

// One prepared statement, reset and given back when it goes. Parameters are bound in order; ids and
// digests as blobs, times as milliseconds.
class Statement {
 public:
  ~Statement();
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) = delete;

  Statement& bind(int64_t value);
  Statement& bind(std::string_view text);
  Statement& bind_real(double value);
  Statement& bind_blob(std::string_view bytes);
  Statement& bind_null();

  // The next row; false after the last.
  Result<bool> step();
  // Runs to the end; the number of rows changed.
  Result<int64_t> run();

  int64_t integer(int column) const;
  double real(int column) const;
  std::string_view text(int column) const;  // valid until the next step
  std::string_view blob(int column) const;
  bool is_null(int column) const;

 private:
  friend class Connection;
  Statement(sqlite3* db, sqlite3_stmt* statement, bool* in_use)
      : db_(db), statement_(statement), in_use_(in_use) {}
  sqlite3* db_;
  sqlite3_stmt* statement_;
  bool* in_use_;  // of the connection's cache; it may not give one statement to two
  int next_ = 1;
};

// A connection with its cache of prepared statements. One thread at a time.
class Connection {
 public:
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // `sql` must be a literal: it is the key of the cache. A syntax error is our own mistake and
  // asserts. A literal may be prepared again while an earlier statement of it still runs.
  Statement prepare(const char* sql);
  // Several statements without parameters or rows.
  Result<void> execute(const std::string& sql);

 private:
  friend class Database;
  Connection();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Database {
 public:
  // Opens or makes the file and brings it to the newest schema (migrations/*.sql, each applied once
  // in a transaction and checked by digest). ":memory:" has one connection for reads and writes.
  // kFailedPrecondition: another process has it open, or a newer program made it.
  static Result<std::unique_ptr<Database>> open(const std::filesystem::path& path);
  ~Database();  // waits for the writes under way

  using Work = std::function<Result<void>(Connection&)>;
  using Done = std::function<void(Result<void>)>;

  // Runs `work` on the writer thread in a savepoint; an error rolls it back and leaves the others
  // of its group alone. `done` is called on the writer thread after the commit is on disk.
  void write(Work work, Done done);
  // The same, waiting.
  Result<void> write(Work work);

  // Runs `work` on a reader's thread, on a snapshot that holds every write whose `done` was called.
  // From a callback only the forms that do not wait may be called.
  void read(std::function<void(Connection&)> work);
  Result<void> read_now(Work work);

  struct Impl;

 private:
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bcai::store
