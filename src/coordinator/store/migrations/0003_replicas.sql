-- SPDX-License-Identifier: Apache-2.0
-- Native programs: what a run was quoted at, and what several nodes made of it.

ALTER TABLE jobs ADD COLUMN replicas INTEGER NOT NULL DEFAULT 1;
ALTER TABLE jobs ADD COLUMN quote TEXT NOT NULL DEFAULT '';         -- JSON, '' of a Python job
ALTER TABLE jobs ADD COLUMN verification TEXT NOT NULL DEFAULT '';  -- JSON, '' before the verdict
CREATE INDEX jobs_verifying ON jobs (created_at) WHERE state = 'verifying';

ALTER TABLE attempts ADD COLUMN replica INTEGER NOT NULL DEFAULT 0; -- 0 to replicas - 1
ALTER TABLE attempts ADD COLUMN commitment BLOB;                    -- of a receipt that was checked
