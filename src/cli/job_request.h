// SPDX-License-Identifier: Apache-2.0
// From the options of `run` and `submit` to a job on the coordinator: the program's text, the
// files it needs, the request.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "base/result.h"
#include "cli/api_client.h"
#include "cli/context.h"
#include "cli/options.h"
#include "protocol/job.h"

namespace bcai::cli {

struct Program {
  std::string code;      // Python; "" of a native program
  std::string filename;  // as the job sees it
  std::string shown;     // as the user wrote it
  // Of a native program: its binary form, and main's arguments.
  std::string binary;
  std::vector<std::string> argument_names;

  bool is_native() const { return !binary.empty(); }
};

// Reads a file, standard input, or --code, as bytes. kInvalidArgument names file, line and byte of
// what is not UTF-8. A native program (.bcvm, .bcasm) is verified and taken in binary form.
Result<Program> read_program(const JobOptions& options);

struct Upload {
  std::filesystem::path source;
  InputFile file;
  std::shared_ptr<UniqueFd> held;  // what `source` names when it is a descriptor of ours
};

// The files of a native program: itself, its inputs (--input) and weights (--weights), and which
// argument is which file.
struct NativeFiles {
  std::vector<Upload> uploads;
  std::map<std::string, std::string> inputs;
};
Result<NativeFiles> find_native_files(const JobOptions& options, const Program& program);

// PATH[:DEST] of --file, directories with all below them; hashed.
Result<std::vector<Upload>> find_uploads(const std::vector<std::string>& files);

// "" makes a new id; a text that is no job id becomes one that is the same for the same text.
Result<JobId> choose_id(const std::string& asked, WallTime now, Random& random);

// A lock, or the results of a job that has one. Nothing when `path` is "".
Result<std::optional<json::value>> read_environment_lock(const std::string& path);

// The body of POST /v1/jobs: what the user said and nothing else.
json::object job_body(const JobOptions& options, const Program& program,
                      const std::vector<Upload>& uploads,
                      const std::map<std::string, std::string>& inputs, const JobId& id);

// Uploads, submits, and tries again under the same id when the connection breaks. A refusal is
// printed with its places; the result is then the exit code.
struct Submission {
  JobView job;
  int exit_code = 0;  // not 0: refused or failed, and said so
};
Submission submit_job(ApiClient& api, Context& context, const JobOptions& options,
                      const Program& program);

}  // namespace bcai::cli
