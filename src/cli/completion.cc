// SPDX-License-Identifier: Apache-2.0
// `bcai completion SHELL`: scripts that ask `bcai __complete WORDS…` and offer what it prints.
#include "cli/context.h"
#include "cli_files.h"

namespace bcai::cli {

int execute(const CompletionOptions& options, Context& context) {
  context.screen.write_out(cli_files("completion/bcai." + options.shell));
  return 0;
}

}  // namespace bcai::cli
