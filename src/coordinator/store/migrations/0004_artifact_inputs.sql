-- SPDX-License-Identifier: Apache-2.0
-- Whether a job names an artifact as input: only those are for the nodes that run it.

ALTER TABLE artifact_uses ADD COLUMN input INTEGER NOT NULL DEFAULT 0;
UPDATE artifact_uses SET input = 1 WHERE EXISTS
  (SELECT 1 FROM jobs, json_each(jobs.spec, '$.files') AS file WHERE jobs.id = artifact_uses.job
    AND file.value ->> '$.sha256' = lower(hex(artifact_uses.sha256)));
