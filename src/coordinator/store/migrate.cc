// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "base/crypto.h"
#include "coordinator/store/connection.h"
#include "coordinator/store/row.h"
#include "migrations.h"

namespace bcai::store {
namespace {

// In the order of their numbers. A file that was in a release is never edited.
constexpr std::string_view kMigrations[] = {
    "migrations/0001_first.sql",       "migrations/0002_unused_uploads.sql",
    "migrations/0003_replicas.sql",    "migrations/0004_artifact_inputs.sql",
    "migrations/0005_key_network.sql", "migrations/0006_secrets.sql"};

constexpr const char* kJournal =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    " number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, sha256 BLOB NOT NULL) STRICT";

Result<void> check(int64_t number, std::string_view name, const Sha256& applied) {
  const std::string_view expected = kMigrations[number - 1];
  const Sha256 ours = Sha256::of(migrations(expected));
  if (name == expected && applied == ours) return {};
  return error(ErrorCode::kFailedPrecondition,
               "the database was made by another program: migration {} is '{}' {}, expected '{}' "
               "{}",
               number, name, applied.text(), expected, ours.text());
}

Result<void> apply(Connection& db, int64_t number) {
  const std::string_view name = kMigrations[number - 1];
  const std::string_view sql = migrations(name);
  BCAI_ASSERT(!sql.empty());
  BCAI_TRY(db.execute(std::string(sql)));
  BCAI_TRY(db.prepare("INSERT INTO schema_migrations (number, name, sha256) VALUES (?, ?, ?)")
               .bind(number)
               .bind(name)
               .bind_blob(bytes_of(Sha256::of(sql)))
               .run());
  return {};
}

Result<void> apply_missing(Connection& db) {
  BCAI_TRY(db.execute(kJournal));
  int64_t done = 0;
  {
    Statement rows = db.prepare("SELECT number, name, sha256 FROM schema_migrations ORDER BY 1");
    while (true) {
      BCAI_TRY_ASSIGN(const bool row, rows.step());
      if (!row) break;
      done += 1;
      if (rows.integer(0) != done || done > static_cast<int64_t>(std::size(kMigrations))) {
        return error(ErrorCode::kFailedPrecondition,
                     "the database is of a newer program: it has migration {} '{}', this program "
                     "knows {}",
                     rows.integer(0), rows.text(1), std::size(kMigrations));
      }
      BCAI_TRY(check(done, rows.text(1), bytes_at<Sha256>(rows, 2)));
    }
  }
  while (done < static_cast<int64_t>(std::size(kMigrations))) BCAI_TRY(apply(db, ++done));
  return {};
}

}  // namespace

Result<void> migrate(Connection& db) {
  BCAI_TRY(db.execute("BEGIN IMMEDIATE"));
  Result<void> applied = apply_missing(db);
  if (applied) return db.execute("COMMIT");
  BCAI_TRY(db.execute("ROLLBACK"));
  return applied;
}

}  // namespace bcai::store
