// SPDX-License-Identifier: Apache-2.0
// `bcai version`.
#include "base/json.h"
#include "cli/context.h"

namespace bcai::cli {

int execute(const VersionOptions& options, Context& context) {
  if (options.json) {
    context.screen.out("{}\n", to_text(json::object{{"version", BCAI_VERSION}}));
  } else {
    context.screen.out("bcai {}\n", BCAI_VERSION);
  }
  return 0;
}

}  // namespace bcai::cli
