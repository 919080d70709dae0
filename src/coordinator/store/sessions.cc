// SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/sessions.h"

#include "coordinator/store/row.h"

namespace bcai::store {

Result<void> begin_session(Connection& db, const SessionRecord& session) {
  BCAI_TRY(db.prepare("DELETE FROM node_sessions WHERE node = ?")
               .bind_blob(bytes_of(session.node))
               .run());
  BCAI_TRY(db.prepare("INSERT INTO node_sessions (token_hash, node, key, created_at)"
                      " VALUES (?, ?, ?, ?)")
               .bind_blob(bytes_of(session.token_hash))
               .bind_blob(bytes_of(session.node))
               .bind_blob(bytes_of(session.key))
               .bind(session.created_at.ms)
               .run());
  return {};
}

Result<SessionRecord> find_session(Connection& db, const Sha256& token_hash) {
  Statement row = db.prepare(
      "SELECT token_hash, node, key, created_at FROM node_sessions WHERE token_hash = ?");
  row.bind_blob(bytes_of(token_hash));
  BCAI_TRY_ASSIGN(const bool found, row.step());
  if (!found) return error(ErrorCode::kNotFound, "there is no such node session");
  return SessionRecord{.token_hash = bytes_at<Sha256>(row, 0),
                       .node = bytes_at<NodeId>(row, 1),
                       .key = bytes_at<KeyId>(row, 2),
                       .created_at = time_at(row, 3)};
}

}  // namespace bcai::store
