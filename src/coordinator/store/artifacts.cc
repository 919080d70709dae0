// SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/artifacts.h"

#include "coordinator/store/row.h"

namespace bcai::store {
namespace {

Result<void> insert(Connection& db, const ArtifactRecord& artifact, std::string_view uploader) {
  BCAI_TRY(db.prepare("INSERT INTO artifacts (sha256, bytes, created_at) VALUES (?, ?, ?)"
                      " ON CONFLICT DO UPDATE SET created_at = excluded.created_at")
               .bind_blob(bytes_of(artifact.sha256))
               .bind(artifact.bytes)
               .bind(artifact.created_at.ms)
               .run());
  BCAI_TRY(db.prepare("INSERT INTO artifact_uploads (sha256, uploader, unused_bytes)"
                      " SELECT ?1, ?2, iif(EXISTS (SELECT 1 FROM artifact_uses WHERE sha256 = ?1),"
                      " NULL, ?3) WHERE true ON CONFLICT DO NOTHING")
               .bind_blob(bytes_of(artifact.sha256))
               .bind_blob(uploader)
               .bind(artifact.bytes)
               .run());
  return {};
}

}  // namespace

Result<void> insert_artifact(Connection& db, const ArtifactRecord& artifact, KeyId uploader) {
  return insert(db, artifact, bytes_of(uploader));
}

Result<void> insert_artifact(Connection& db, const ArtifactRecord& artifact, NodeId uploader) {
  return insert(db, artifact, bytes_of(uploader));
}

Result<ArtifactRecord> find_artifact(Connection& db, const Sha256& sha256) {
  Statement row = db.prepare("SELECT bytes, created_at FROM artifacts WHERE sha256 = ?");
  row.bind_blob(bytes_of(sha256));
  BCAI_TRY_ASSIGN(const bool found, row.step());
  if (!found) return error(ErrorCode::kNotFound, "there is no artifact {}", sha256.text());
  return ArtifactRecord{.sha256 = sha256, .bytes = row.integer(0), .created_at = time_at(row, 1)};
}

Result<bool> may_read(Connection& db, KeyId key, const Sha256& sha256) {
  Statement row = db.prepare(
      "SELECT 1 FROM artifact_uploads WHERE sha256 = ?1 AND uploader = ?2 UNION ALL "
      "SELECT 1 FROM artifact_uses JOIN jobs ON jobs.id = artifact_uses.job"
      " WHERE sha256 = ?1 AND jobs.owner = ?2 LIMIT 1");
  return row.bind_blob(bytes_of(sha256)).bind_blob(bytes_of(key)).step();
}

Result<bool> may_read(Connection& db, NodeId node, const Sha256& sha256) {
  Statement row = db.prepare(
      "SELECT 1 FROM artifact_uploads WHERE sha256 = ?1 AND uploader = ?2 UNION ALL "
      "SELECT 1 FROM attempts JOIN artifact_uses ON artifact_uses.job = attempts.job"
      " WHERE artifact_uses.sha256 = ?1 AND artifact_uses.input = 1 AND attempts.node = ?2"
      " AND attempts.deadline IS NOT NULL LIMIT 1");
  return row.bind_blob(bytes_of(sha256)).bind_blob(bytes_of(node)).step();
}

Result<void> insert_artifact_use(Connection& db, const Sha256& sha256, JobId job, ArtifactUse use) {
  BCAI_TRY(db.prepare("INSERT INTO artifact_uses (sha256, job, input) VALUES (?, ?, ?)"
                      " ON CONFLICT DO NOTHING")
               .bind_blob(bytes_of(sha256))
               .bind_blob(bytes_of(job))
               .bind(use == ArtifactUse::kInput ? 1 : 0)
               .run());
  BCAI_TRY(db.prepare("UPDATE artifact_uploads SET unused_bytes = NULL"
                      " WHERE sha256 = ? AND unused_bytes IS NOT NULL")
               .bind_blob(bytes_of(sha256))
               .run());
  return {};
}

Result<int64_t> unused_bytes(Connection& db, KeyId key) {
  Statement row = db.prepare(
      "SELECT coalesce(sum(unused_bytes), 0) FROM artifact_uploads"
      " WHERE uploader = ? AND unused_bytes IS NOT NULL");
  BCAI_TRY(row.bind_blob(bytes_of(key)).step());
  return row.integer(0);
}

Result<std::vector<Sha256>> forget_unused_artifacts(Connection& db, WallTime brought_before) {
  std::vector<Sha256> forgotten;
  {
    Statement rows = db.prepare(
        "SELECT DISTINCT sha256 FROM artifact_uploads JOIN artifacts USING (sha256)"
        " WHERE unused_bytes IS NOT NULL AND created_at < ? LIMIT 1000");
    rows.bind(brought_before.ms);
    while (true) {
      BCAI_TRY_ASSIGN(const bool found, rows.step());
      if (!found) break;
      forgotten.push_back(bytes_at<Sha256>(rows, 0));
    }
  }
  for (const Sha256& sha256 : forgotten) {
    BCAI_TRY(db.prepare("DELETE FROM artifact_uploads WHERE sha256 = ?")
                 .bind_blob(bytes_of(sha256))
                 .run());
    BCAI_TRY(
        db.prepare("DELETE FROM artifacts WHERE sha256 = ?").bind_blob(bytes_of(sha256)).run());
  }
  return forgotten;
}

}  // namespace bcai::store
