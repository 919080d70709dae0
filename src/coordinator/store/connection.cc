// SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/connection.h"

#include <utility>

namespace bcai::store {
namespace {

constexpr int kBusyTimeoutMs = 5000;

ErrorCode code_of(int sqlite_code) {
  switch (sqlite_code & 0xFF) {
    case SQLITE_CONSTRAINT: return ErrorCode::kAlreadyExists;
    case SQLITE_FULL:
    case SQLITE_NOMEM: return ErrorCode::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR: return ErrorCode::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ErrorCode::kDataLoss;
    case SQLITE_PERM:
    case SQLITE_READONLY: return ErrorCode::kPermissionDenied;
    case SQLITE_CANTOPEN: return ErrorCode::kNotFound;
    case SQLITE_TOOBIG: return ErrorCode::kInvalidArgument;
    default: return ErrorCode::kInternal;
  }
}

}  // namespace

Error sqlite_error(sqlite3* db, int code, std::string_view what) {
  const char* message = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  return error(code_of(code), "{}: {}", what, message);
}

Result<sqlite3*> open_sqlite(const std::string& path, bool read_only) {
  // One thread at a time uses a connection, so SQLite's own locks are not needed.
  const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                    (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
  if (code != SQLITE_OK) {
    Error failed = sqlite_error(db, code, fmt::format("open the database {}", path));
    sqlite3_close(db);
    return failed;
  }
  sqlite3_busy_timeout(db, kBusyTimeoutMs);
  return db;
}

Connection::Connection() : impl_(std::make_unique<Impl>()) {}

Connection::~Connection() {
  for (auto& [sql, list] : impl_->statements) {
    for (Cached& cached : list) {
      BCAI_ASSERT(!cached.in_use);
      sqlite3_finalize(cached.statement);
    }
  }
  sqlite3_close(impl_->db);
}

Statement Connection::prepare(const char* sql) {
  std::list<Cached>& list = impl_->statements[sql];
  for (Cached& cached : list) {
    if (cached.in_use) continue;
    cached.in_use = true;
    return {impl_->db, cached.statement, &cached.in_use};
  }
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v3(impl_->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) {
    fmt::print(stderr, "{}\n{}\n", sql, sqlite3_errmsg(impl_->db));
    BCAI_ASSERT(code == SQLITE_OK);
  }
  list.push_back({statement, true});
  return {impl_->db, statement, &list.back().in_use};
}

Result<void> Connection::execute(const std::string& sql) {
  const int code = sqlite3_exec(impl_->db, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return sqlite_error(impl_->db, code, "run SQL");
  return {};
}

Statement::Statement(Statement&& other) noexcept
    : db_(other.db_),
      statement_(std::exchange(other.statement_, nullptr)),
      in_use_(other.in_use_),
      next_(other.next_) {}

Statement::~Statement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  *in_use_ = false;
}

Statement& Statement::bind(int64_t value) {
  BCAI_ASSERT(sqlite3_bind_int64(statement_, next_++, value) == SQLITE_OK);
  return *this;
}

Statement& Statement::bind(std::string_view text) {
  // A null pointer would bind NULL.
  const char* data = text.data() != nullptr ? text.data() : "";
  BCAI_ASSERT(sqlite3_bind_text64(statement_, next_++, data, text.size(), SQLITE_TRANSIENT,
                                  SQLITE_UTF8) == SQLITE_OK);
  return *this;
}

Statement& Statement::bind_real(double value) {
  BCAI_ASSERT(sqlite3_bind_double(statement_, next_++, value) == SQLITE_OK);
  return *this;
}

Statement& Statement::bind_blob(std::string_view bytes) {
  const char* data = bytes.data() != nullptr ? bytes.data() : "";
  BCAI_ASSERT(sqlite3_bind_blob64(statement_, next_++, data, bytes.size(), SQLITE_TRANSIENT) ==
              SQLITE_OK);
  return *this;
}

Statement& Statement::bind_null() {
  BCAI_ASSERT(sqlite3_bind_null(statement_, next_++) == SQLITE_OK);
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return sqlite_error(db_, code, "database");
}

Result<int64_t> Statement::run() {
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, step());
    if (!row) return sqlite3_changes64(db_);
  }
}

int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

double Statement::real(int column) const { return sqlite3_column_double(statement_, column); }

std::string_view Statement::text(int column) const {
  const unsigned char* data = sqlite3_column_text(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return {reinterpret_cast<const char*>(data), static_cast<size_t>(size)};
}

std::string_view Statement::blob(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return {static_cast<const char*>(data), static_cast<size_t>(size)};
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

}  // namespace bcai::store
