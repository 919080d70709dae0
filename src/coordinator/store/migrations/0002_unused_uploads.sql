-- SPDX-License-Identifier: Apache-2.0
-- What an upload counts against its uploader: its bytes until a job names the artifact, then NULL.

ALTER TABLE artifact_uploads ADD COLUMN unused_bytes INTEGER;
UPDATE artifact_uploads SET unused_bytes =
  (SELECT bytes FROM artifacts WHERE artifacts.sha256 = artifact_uploads.sha256)
  WHERE sha256 NOT IN (SELECT sha256 FROM artifact_uses);
CREATE INDEX artifact_uploads_unused ON artifact_uploads (uploader, unused_bytes)
  WHERE unused_bytes IS NOT NULL;
