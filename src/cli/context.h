// SPDX-License-Identifier: Apache-2.0
// What every subcommand is given, and the subcommands themselves, one overload for each struct of
// options.h. execute() returns the exit code.
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "cli/interrupts.h"
#include "cli/options.h"
#include "cli/paths.h"
#include "cli/screen.h"
#include "cli/settings.h"

namespace bcai::cli {

inline constexpr int kExitInterrupted = 130;
inline constexpr int kExitUnreachable = 3;
inline constexpr int kExitUsage = 2;

struct Context {
  const Environment& environment;
  Settings& settings;
  const Screen& screen;
  Clock& clock;
  Random& random;
  Interrupts& interrupts;
};

// Prints the error; returns the exit code for it.
int report(const Screen& screen, const Error& error);

int execute(const RunOptions& options, Context& context);
int execute(const SubmitOptions& options, Context& context);
int execute(const JobsOptions& options, Context& context);
int execute(const ShowOptions& options, Context& context);
int execute(const LogsOptions& options, Context& context);
int execute(const ResultsOptions& options, Context& context);
int execute(const CancelOptions& options, Context& context);
int execute(const WaitOptions& options, Context& context);
int execute(const NodesOptions& options, Context& context);
int execute(const KeysOptions& options, Context& context);
int execute(const SecretOptions& options, Context& context);
int execute(const UpOptions& options, Context& context);
int execute(const LocalOptions& options, Context& context);
int execute(const CoordinatorOptions& options, Context& context);
int execute(const CreateKeyOptions& options, Context& context);
int execute(const NodeDeployOptions& options, Context& context);
int execute(const NodeStatusOptions& options, Context& context);
int execute(const AuditOptions& options, Context& context);
int execute(const CreateProjectOptions& options, Context& context);
int execute(const ConfigOptions& options, Context& context);
int execute(const DoctorOptions& options, Context& context);
int execute(const CompletionOptions& options, Context& context);
int execute(const VmOptions& options, Context& context);
int execute(const VersionOptions& options, Context& context);

}  // namespace bcai::cli
