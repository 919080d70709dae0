// SPDX-License-Identifier: Apache-2.0
// Which artifacts there are, who brought them and which jobs name them; the bytes lie in files that
// the API keeps. A job's input files are noted when it is submitted, its outputs when its result
// comes.
#pragma once

#include <vector>

#include "base/crypto.h"
#include "base/id.h"
#include "coordinator/store/database.h"

namespace bcai::store {

struct ArtifactRecord {
  Sha256 sha256;
  int64_t bytes = 0;
  WallTime created_at;
};

// Notes a whole artifact and who brought it. The same one again, by others too, is no error; it is
// as new as when it was last brought.
Result<void> insert_artifact(Connection& db, const ArtifactRecord& artifact, KeyId uploader);
Result<void> insert_artifact(Connection& db, const ArtifactRecord& artifact, NodeId uploader);

Result<ArtifactRecord> find_artifact(Connection& db, const Sha256& sha256);  // kNotFound

// The key brought it, or owns a job that names it.
Result<bool> may_read(Connection& db, KeyId key, const Sha256& sha256);
// The node brought it, or has a live attempt of a job that names it as input. What other nodes
// answered to a job is not for those that are still at it.
Result<bool> may_read(Connection& db, NodeId node, const Sha256& sha256);

// What is input and output of one job is noted as its input.
enum class ArtifactUse : uint8_t { kInput, kOutput };
Result<void> insert_artifact_use(Connection& db, const Sha256& sha256, JobId job, ArtifactUse use);

// The bytes of what the key brought and no job names.
Result<int64_t> unused_bytes(Connection& db, KeyId key);
// Forgets up to 1000 artifacts that were brought before then and that no job names.
Result<std::vector<Sha256>> forget_unused_artifacts(Connection& db, WallTime brought_before);

}  // namespace bcai::store
