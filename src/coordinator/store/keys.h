// SPDX-License-Identifier: Apache-2.0
// API keys. The secret is never stored: `hash` is what the caller makes of it. A revoked key stays,
// so that what it did keeps a name.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "base/id.h"
#include "coordinator/store/database.h"

namespace bcai::store {

struct KeyRecord {
  KeyId id;
  std::string name;
  std::string role;  // "owner", "member", "node"
  Sha256 hash;
  WallTime created_at;
  std::optional<WallTime> revoked_at;
  // Patterns (protocol/network.h) of the hosts that its jobs may ask for; nothing: any.
  std::optional<std::vector<std::string>> network;
};

Result<void> insert_key(Connection& db, const KeyRecord& key);
Result<KeyRecord> find_key(Connection& db, KeyId id);      // kNotFound; revoked ones are found too
Result<std::vector<KeyRecord>> list_keys(Connection& db);  // oldest first
// kNotFound when there is no such key; a second time changes nothing. Ends its node sessions
// and deletes its secrets.
Result<void> revoke_key(Connection& db, WallTime now, KeyId id);

}  // namespace bcai::store
