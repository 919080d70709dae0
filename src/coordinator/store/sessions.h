// SPDX-License-Identifier: Apache-2.0
// Sessions of nodes, by the hash of their token. They outlive a restart of the coordinator.
#pragma once

#include "base/crypto.h"
#include "base/id.h"
#include "coordinator/store/database.h"

namespace bcai::store {

struct SessionRecord {
  Sha256 token_hash;
  NodeId node;
  KeyId key;  // the operator's, with which the node registered
  WallTime created_at;
};

// Opens the session and ends every other of this node: what an earlier process of the node still
// has under way is refused from here on. Call it in the transaction that registers the node.
Result<void> begin_session(Connection& db, const SessionRecord& session);

// kNotFound when there is none, or no more.
Result<SessionRecord> find_session(Connection& db, const Sha256& token_hash);

}  // namespace bcai::store
