// SPDX-License-Identifier: Apache-2.0
// `bcai results`.
#include "base/units.h"
#include "cli/connect.h"
#include "cli/context.h"
#include "cli/outputs.h"

namespace bcai::cli {

int execute(const ResultsOptions& options, Context& context) {
  const Screen& screen = context.screen;
  Result<Connected> connected = connect(options.connection, context);
  if (!connected) return report(screen, connected.error());
  const Result<std::string> id = resolve_job(connected->api, options.job);
  if (!id) return report(screen, id.error());
  const Result<json::value> results = connected->api.results(*id);
  if (!results) return report(screen, results.error());
  if (options.json) {
    screen.out("{}\n", to_text(*results));
  } else {
    print_outputs(screen, *results);
    screen.out("{}", results_table(screen, *results, options.output_directory));
    print_verification(screen, *results);
  }
  if (!options.output_directory.empty()) {
    const Result<void> done =
        download_artifacts(connected->api, screen, *results, options.output_directory);
    if (!done) return report(screen, done.error());
    const Result<void> written = write_npy_files(*results, options.output_directory);
    if (!written) return report(screen, written.error());
  } else if (!options.json) {
    const Result<std::vector<ArtifactView>> artifacts = read_artifacts(*results);
    if (!artifacts) return report(screen, artifacts.error());
    for (const ArtifactView& artifact : *artifacts) {
      screen.note(
          printable(fmt::format("artifact {}  {}", artifact.name, format_bytes(artifact.bytes))));
    }
    if (!artifacts->empty()) {
      screen.note(fmt::format("`bcai results {} -o DIR` downloads them", *id));
    }
  }
  return 0;
}

}  // namespace bcai::cli
