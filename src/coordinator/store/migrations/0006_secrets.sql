-- SPDX-License-Identifier: Apache-2.0
-- Secrets of keys, sealed by the coordinator's vault: what is here opens nothing without its key.

CREATE TABLE secrets (
  owner BLOB NOT NULL REFERENCES keys (id),
  name TEXT NOT NULL,
  sealed BLOB NOT NULL,
  bytes INTEGER NOT NULL,           -- of the value
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (owner, name)
) STRICT;
