// SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/keys.h"

#include "base/json.h"
#include "coordinator/store/row.h"

namespace bcai::store {
namespace {

// A text that is no array of texts permits nothing.
std::optional<std::vector<std::string>> patterns_at(const Statement& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  std::vector<std::string> patterns;
  const auto list = parse_json(row.text(column));
  if (!list || !list->is_array()) return patterns;
  for (const json::value& one : list->get_array()) {
    if (one.is_string()) patterns.emplace_back(one.get_string());
  }
  return patterns;
}

KeyRecord read_key(const Statement& row) {
  return {.id = bytes_at<KeyId>(row, 0),
          .name = std::string(row.text(1)),
          .role = std::string(row.text(2)),
          .hash = bytes_at<Sha256>(row, 3),
          .created_at = time_at(row, 4),
          .revoked_at = optional_time_at(row, 5),
          .network = patterns_at(row, 6)};
}

}  // namespace

Result<void> insert_key(Connection& db, const KeyRecord& key) {
  Statement row = db.prepare(
      "INSERT INTO keys (id, name, role, hash, created_at, network) VALUES (?, ?, ?, ?, ?, ?)");
  row.bind_blob(bytes_of(key.id))
      .bind(key.name)
      .bind(key.role)
      .bind_blob(bytes_of(key.hash))
      .bind(key.created_at.ms);
  if (key.network) {
    row.bind(to_text(json::value_from(*key.network)));
  } else {
    row.bind_null();
  }
  BCAI_TRY(row.run());
  return {};
}

Result<KeyRecord> find_key(Connection& db, KeyId id) {
  Statement row = db.prepare(
      "SELECT id, name, role, hash, created_at, revoked_at, network FROM keys WHERE id = ?");
  row.bind_blob(bytes_of(id));
  BCAI_TRY_ASSIGN(const bool found, row.step());
  if (!found) return error(ErrorCode::kNotFound, "there is no key {}", id.text());
  return read_key(row);
}

Result<std::vector<KeyRecord>> list_keys(Connection& db) {
  std::vector<KeyRecord> keys;
  Statement rows = db.prepare(
      "SELECT id, name, role, hash, created_at, revoked_at, network FROM keys ORDER BY created_at, "
      "id");
  while (true) {
    BCAI_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return keys;
    keys.push_back(read_key(rows));
  }
}

Result<void> revoke_key(Connection& db, WallTime now, KeyId id) {
  BCAI_TRY(find_key(db, id));
  BCAI_TRY(db.prepare("UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
               .bind(now.ms)
               .bind_blob(bytes_of(id))
               .run());
  BCAI_TRY(db.prepare("DELETE FROM node_sessions WHERE key = ?").bind_blob(bytes_of(id)).run());
  BCAI_TRY(db.prepare("DELETE FROM secrets WHERE owner = ?").bind_blob(bytes_of(id)).run());
  return {};
}

}  // namespace bcai::store
