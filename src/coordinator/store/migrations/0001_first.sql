-- SPDX-License-Identifier: Apache-2.0
-- Ids are blobs of 16 bytes, digests of 32, times milliseconds since 1970, states the words of
-- protocol/state.h. This file is applied once and its digest checked: it never changes.

CREATE TABLE jobs (
  id BLOB NOT NULL PRIMARY KEY,
  owner BLOB NOT NULL,
  digest BLOB NOT NULL,             -- of the canonical specification
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  desired TEXT NOT NULL,
  responsible TEXT NOT NULL,        -- who acts next: scheduler, node, operator; '' when ended
  deadline INTEGER,                 -- when the reconciler acts instead; NULL when ended
  reason_code TEXT NOT NULL,
  reason TEXT NOT NULL,
  version INTEGER NOT NULL,
  epoch INTEGER NOT NULL,           -- of the newest grant
  published BLOB,                   -- the attempt whose result is the job's
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  max_retries INTEGER NOT NULL,
  timeout_ms INTEGER NOT NULL,
  queue_timeout_ms INTEGER NOT NULL,
  shape INTEGER NOT NULL,           -- hash of `needs`: jobs of one shape fit the same nodes
  needs TEXT NOT NULL,              -- hardware and requirements, for the scheduler
  spec TEXT NOT NULL,               -- canonical, without the code
  code TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_by_age ON jobs (created_at, id);
CREATE INDEX jobs_by_owner ON jobs (owner, created_at, id);
CREATE INDEX jobs_by_state ON jobs (state, created_at, id);
CREATE INDEX jobs_queued ON jobs (owner, shape, created_at, id) WHERE state = 'queued';
CREATE INDEX jobs_active ON jobs (owner) WHERE state = 'active';
CREATE INDEX jobs_deadline ON jobs (deadline) WHERE deadline IS NOT NULL;

CREATE TABLE attempts (
  id BLOB NOT NULL PRIMARY KEY,
  job BLOB NOT NULL REFERENCES jobs (id),
  node BLOB NOT NULL REFERENCES nodes (id),
  epoch INTEGER NOT NULL,
  state TEXT NOT NULL,
  desired TEXT NOT NULL,
  failure TEXT NOT NULL,            -- failure class, '' while live
  responsible TEXT NOT NULL,
  deadline INTEGER,                 -- NULL when ended
  heard_at INTEGER NOT NULL,        -- when its node last named it, or could still be handed it
  offered_at INTEGER NOT NULL,      -- when it was last handed to the node
  offers INTEGER NOT NULL,          -- how often
  reason_code TEXT NOT NULL,
  reason TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  progress TEXT NOT NULL,           -- JSON as in a heartbeat
  UNIQUE (job, epoch)
) STRICT;
CREATE INDEX attempts_live ON attempts (node) WHERE deadline IS NOT NULL;
CREATE INDEX attempts_offered ON attempts (node) WHERE state = 'offered';
CREATE INDEX attempts_deadline ON attempts (deadline) WHERE deadline IS NOT NULL;

CREATE TABLE job_events (
  job BLOB NOT NULL,
  sequence INTEGER NOT NULL,
  attempt BLOB,                     -- NULL for events of the job
  time INTEGER NOT NULL,
  kind TEXT NOT NULL,
  actor TEXT NOT NULL,
  reason_code TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (job, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE results (
  attempt BLOB NOT NULL PRIMARY KEY,
  job BLOB NOT NULL,
  fenced INTEGER NOT NULL,          -- 1: came too late; kept, never shown
  received_at INTEGER NOT NULL,
  result TEXT NOT NULL
) STRICT;
CREATE INDEX results_by_job ON results (job, received_at);

CREATE TABLE nodes (
  id BLOB NOT NULL PRIMARY KEY,
  public_key BLOB NOT NULL UNIQUE,
  operator BLOB NOT NULL,           -- the key that registered it
  name TEXT NOT NULL,
  registered_at INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  sequence INTEGER NOT NULL,        -- of the newest heartbeat of this session
  free TEXT NOT NULL,
  capabilities_digest BLOB NOT NULL,
  capabilities TEXT NOT NULL
) STRICT;
CREATE INDEX nodes_by_last_seen ON nodes (last_seen);

CREATE TABLE node_sessions (
  token_hash BLOB NOT NULL PRIMARY KEY,
  node BLOB NOT NULL,
  key BLOB NOT NULL,                -- the operator's key that opened it
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX node_sessions_by_node ON node_sessions (node);

CREATE TABLE keys (
  id BLOB NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('owner', 'member', 'node')),
  hash BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
  sha256 BLOB NOT NULL PRIMARY KEY,
  bytes INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact_uploads (
  sha256 BLOB NOT NULL,
  uploader BLOB NOT NULL,           -- id of a key or of a node
  PRIMARY KEY (sha256, uploader)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact_uses (
  sha256 BLOB NOT NULL,
  job BLOB NOT NULL,
  PRIMARY KEY (sha256, job)
) STRICT, WITHOUT ROWID;
