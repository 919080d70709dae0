// SPDX-License-Identifier: Apache-2.0
// `bcai cancel`.
#include "cli/connect.h"
#include "cli/context.h"

namespace bcai::cli {

int execute(const CancelOptions& options, Context& context) {
  const Screen& screen = context.screen;
  Result<Connected> connected = connect(options.connection, context);
  if (!connected) return report(screen, connected.error());
  ApiClient& api = connected->api;
  const Result<std::string> id = resolve_job(api, options.job);
  if (!id) return report(screen, id.error());
  Result<JobView> job = api.cancel_job(*id);
  const int seen = context.interrupts.count();
  context.interrupts.on_interrupt(seen, [&api] { api.cancel(); });
  while (job && options.wait && !job->terminal()) job = api.wait(*id, -1, Millis(60'000));
  context.interrupts.on_interrupt(0, {});
  if (!job && context.interrupts.count() > seen) {
    screen.note("detached; the job is being cancelled");
    return kExitInterrupted;
  }
  if (!job) return report(screen, job.error());
  if (!job->terminal()) {
    screen.note(
        fmt::format("{} is being cancelled; `bcai wait {}` returns when it is dead", *id, *id));
  } else if (job->state == "cancelled") {
    screen.note(fmt::format("{} is cancelled", *id));
  } else {
    screen.note(printable(fmt::format("{} had ended before: {}", *id, job->state)));
  }
  return 0;
}

}  // namespace bcai::cli
