// SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/secrets.h"

#include "coordinator/store/keys.h"
#include "coordinator/store/row.h"

namespace bcai::store {
namespace {

Error none(std::string_view name) {
  return error(ErrorCode::kNotFound, "there is no secret {}", name);
}

}  // namespace

Result<bool> put_secret(Connection& db, WallTime now, KeyId owner, std::string_view name,
                        std::string_view sealed, int64_t bytes) {
  BCAI_TRY_ASSIGN(const KeyRecord key, find_key(db, owner));
  if (key.revoked_at) return error(ErrorCode::kUnauthenticated, "the API key is revoked");
  const bool known = find_secret(db, owner, name).has_value();
  BCAI_TRY(db.prepare("INSERT INTO secrets (owner, name, sealed, bytes, created_at, updated_at)"
                      " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (owner, name) DO UPDATE SET"
                      " sealed = excluded.sealed, bytes = excluded.bytes,"
                      " updated_at = excluded.updated_at")
               .bind_blob(bytes_of(owner))
               .bind(name)
               .bind_blob(sealed)
               .bind(bytes)
               .bind(now.ms)
               .bind(now.ms)
               .run());
  return !known;
}

Result<std::string> find_secret(Connection& db, KeyId owner, std::string_view name) {
  Statement row = db.prepare("SELECT sealed FROM secrets WHERE owner = ? AND name = ?");
  BCAI_TRY_ASSIGN(const bool found, row.bind_blob(bytes_of(owner)).bind(name).step());
  if (!found) return none(name);
  return std::string(row.blob(0));
}

Result<std::vector<SecretRecord>> list_secrets(Connection& db, KeyId owner) {
  std::vector<SecretRecord> secrets;
  Statement rows = db.prepare(
      "SELECT name, bytes, created_at, updated_at FROM secrets WHERE owner = ? ORDER BY name");
  rows.bind_blob(bytes_of(owner));
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return secrets;
    secrets.push_back({.name = std::string(rows.text(0)),
                       .bytes = rows.integer(1),
                       .created_at = time_at(rows, 2),
                       .updated_at = time_at(rows, 3)});
  }
}

Result<void> delete_secret(Connection& db, KeyId owner, std::string_view name) {
  BCAI_TRY(find_secret(db, owner, name));
  BCAI_TRY(db.prepare("DELETE FROM secrets WHERE owner = ? AND name = ?")
               .bind_blob(bytes_of(owner))
               .bind(name)
               .run());
  return {};
}

Result<int64_t> count_secrets(Connection& db) {
  Statement row = db.prepare("SELECT count(*) FROM secrets");
  BCAI_TRY(row.step());
  return row.integer(0);
}

}  // namespace bcai::store
