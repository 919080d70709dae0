// SPDX-License-Identifier: Apache-2.0
// Whatever the job leaves as outputs.json or sends as progress, the coordinator takes what the node
// makes of it.
#include "node/outcome.h"
#include "protocol/node.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bcai;
  const std::string text(reinterpret_cast<const char*>(data), size);
  sandbox::Report report;
  report.outcome = sandbox::Outcome::kFinished;
  report.exit_code = 1;
  report.outputs_json = text;
  report.left_out.push_back({text.substr(0, 600), text});
  report.artifacts.push_back({.name = text.substr(0, 40), .path = "", .sha256 = {}, .bytes = 1});
  const AttemptResult made = node::make_result(JobSpec{}, report, {});
  Result<json::value> sent = parse_json(to_text(encode(made)));
  BCAI_ASSERT(sent);
  std::vector<Finding> findings;
  const AttemptResult read = decode_attempt_result(*sent, &findings);
  BCAI_ASSERT(findings.empty());
  BCAI_ASSERT(to_text(encode(read)) == to_text(encode(made)));

  Heartbeat beat;
  beat.attempts.emplace_back();
  node::apply_message(text, &beat.attempts[0].progress);
  Result<json::value> heard = parse_json(to_text(encode(beat)));
  BCAI_ASSERT(heard);
  decode_heartbeat(*heard, &findings);
  BCAI_ASSERT(findings.empty());
  return 0;
}
