// SPDX-License-Identifier: Apache-2.0
// Inside of a connection: only this room includes it.
#pragma once

#include <sqlite3.h>

#include <list>
#include <string>
#include <unordered_map>

#include "coordinator/store/database.h"

namespace bcai::store {

struct Cached {
  sqlite3_stmt* statement = nullptr;
  bool in_use = false;
};

struct Connection::Impl {
  sqlite3* db = nullptr;
  // By the address of the literal. A list, so that Cached::in_use stays where it is.
  std::unordered_map<const char*, std::list<Cached>> statements;
};

Error sqlite_error(sqlite3* db, int code, std::string_view what);

// Opens or makes the file; a read-only connection needs one that exists.
Result<sqlite3*> open_sqlite(const std::string& path, bool read_only);

// Brings the schema to the newest: see Database::open.
Result<void> migrate(Connection& db);

}  // namespace bcai::store
