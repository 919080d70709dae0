// SPDX-License-Identifier: Apache-2.0
// `bcai submit`.
#include "cli/connect.h"
#include "cli/context.h"
#include "cli/job_request.h"

namespace bcai::cli {

int execute(const SubmitOptions& options, Context& context) {
  const Screen& screen = context.screen;
  const Result<Program> program = read_program(options.job);
  if (!program) return report(screen, program.error());
  Result<ApiClient> api = connect_to_network(options.job.connection, context);
  if (!api) return report(screen, api.error());
  const Submission submission = submit_job(*api, context, options.job, *program);
  if (submission.exit_code != 0) return submission.exit_code;
  screen.out("{}\n", options.job.json ? to_text(submission.job.raw) : submission.job.id);
  return 0;
}

}  // namespace bcai::cli
