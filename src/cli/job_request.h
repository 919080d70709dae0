// SPDX-License-Identifier: Apache-2.0
// From the options of `run` and `submit` to a job on the coordinator: the program's text, the
// files it needs, the request.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "base/result.h"
#include "cli/api_client.h"
#include "cli/context.h"
#include "cli/options.h"
#include "protocol/job.h"

namespace bcai::cli {

struct Program {
  std::string code;
  std::string filename;  // as the job sees it
  std::string shown;     // as the user wrote it
};

// Reads a file, standard input, or --code, as bytes. kInvalidArgument names file, line and byte of
// what is not UTF-8.
Result<Program> read_program(const JobOptions& options);

struct Upload {
  std::filesystem::path source;
  InputFile file;
};

// PATH[:DEST] of --file, directories with all below them; hashed.
Result<std::vector<Upload>> find_uploads(const std::vector<std::string>& files);

// "" makes a new id; a text that is no job id becomes one that is the same for the same text.
Result<JobId> choose_id(const std::string& asked, WallTime now, Random& random);

// The body of POST /v1/jobs: what the user said and nothing else.
json::object job_body(const JobOptions& options, const Program& program,
                      const std::vector<Upload>& uploads, const JobId& id);

// Uploads, submits, and tries again under the same id when the connection breaks. A refusal is
// printed with its places; the result is then the exit code.
struct Submission {
  JobView job;
  int exit_code = 0;  // not 0: refused or failed, and said so
};
Submission submit_job(ApiClient& api, Context& context, const JobOptions& options,
                      const Program& program);

}  // namespace bcai::cli
