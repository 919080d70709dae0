// SPDX-License-Identifier: Apache-2.0
// Secrets of API keys, as the vault sealed them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "coordinator/store/database.h"

namespace bcai::store {

struct SecretRecord {
  std::string name;
  int64_t bytes = 0;  // of the value
  WallTime created_at;
  WallTime updated_at;
};

// Takes the place of one of the same name. True when there was none. kUnauthenticated: the owner
// has been revoked.
Result<bool> put_secret(Connection& db, WallTime now, KeyId owner, std::string_view name,
                        std::string_view sealed, int64_t bytes);
Result<std::string> find_secret(Connection& db, KeyId owner, std::string_view name);  // kNotFound
Result<std::vector<SecretRecord>> list_secrets(Connection& db, KeyId owner);          // by name
Result<void> delete_secret(Connection& db, KeyId owner, std::string_view name);       // kNotFound
// Of all owners.
Result<int64_t> count_secrets(Connection& db);

}  // namespace bcai::store
