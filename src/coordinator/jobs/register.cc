// SPDX-License-Identifier: Apache-2.0
#include "coordinator/jobs/jobs.h"
#include "coordinator/store/row.h"

namespace bcai::coordinator {

using store::bytes_of;

Result<NodeId> register_node(store::Connection& db, WallTime now, Random& random,
                             const NodeRegistration& registration, KeyId operator_key) {
  const std::string_view public_key(reinterpret_cast<const char*>(registration.public_key.data()),
                                    registration.public_key.size());
  const std::string capabilities = to_text(encode(registration.capabilities));
  // A new session counts its heartbeats from the beginning. What is free it says in the first.
  store::Statement upsert = db.prepare(
      "INSERT INTO nodes (id, public_key, operator, name, registered_at, last_seen, sequence, free,"
      " capabilities_digest, capabilities) VALUES (?1, ?2, ?3, ?4, ?5, ?5, 0, ?6, ?7, ?8)"
      " ON CONFLICT (public_key) DO UPDATE SET operator = ?3, name = ?4, last_seen = ?5,"
      " sequence = 0, free = ?6, capabilities_digest = ?7, capabilities = ?8"
      " RETURNING id");
  upsert.bind_blob(bytes_of(NodeId::make(now, random))).bind_blob(public_key);
  upsert.bind_blob(bytes_of(operator_key)).bind(registration.name).bind(now.ms);
  upsert.bind(to_text(encode(Capacity{}))).bind_blob(bytes_of(Sha256::of(capabilities)));
  BCAI_TRY_ASSIGN(const bool row, upsert.bind(capabilities).step());
  BCAI_ASSERT(row);
  const auto id = store::bytes_at<NodeId>(upsert, 0);
  BCAI_TRY(upsert.run());
  return id;
}

}  // namespace bcai::coordinator
