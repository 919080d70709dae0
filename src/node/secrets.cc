// SPDX-License-Identifier: Apache-2.0
#include "node/secrets.h"

#include "base/seal.h"
#include "node/backoff.h"

namespace bcai::node {
namespace {

constexpr Millis kTimeout{15'000};

// The errors name what is wrong, and nothing of what came.
Result<Secrets> read_secrets(std::string* body, const Lease& lease) {
  const Result<json::value> value = parse_json(*body);
  wipe(body);
  std::vector<Finding> findings;
  Secrets secrets;
  if (value) secrets = decode_secrets(*value, &findings);
  bool whole = value.has_value() && findings.empty() && secrets.size() == lease.spec.secrets.size();
  for (size_t i = 0; whole && i < secrets.size(); ++i) {
    whole = secrets[i].first == lease.spec.secrets[i] && check_secret_value(secrets[i].second);
  }
  if (whole) return secrets;
  wipe(&secrets);
  return error(ErrorCode::kDataLoss, "the coordinator's answer is not the job's secrets");
}

}  // namespace

Result<Secrets> fetch_secrets(Link& link, const Lease& lease,
                              const std::function<bool()>& given_up) {
  SystemRandom random;
  Backoff backoff(Millis(100), Millis(10'000));
  for (;;) {
    net::ClientRequest request;
    request.target =
        fmt::format("/v1/attempts/{}/secrets?epoch={}", lease.attempt.text(), lease.epoch);
    request.timeout = kTimeout;
    Answer answer = link.ask(std::move(request));
    if (given_up()) return error(ErrorCode::kCancelled, "ended before its secrets came");
    if (answer.ok()) return read_secrets(&answer.response.body, lease);
    if (answer.error.code == ErrorCode::kFailedPrecondition) {
      return error(ErrorCode::kInvalidArgument, "{}", answer.error.message);
    }
    if (answer.status != 0 && !answer.passing()) {
      return error(answer.error.code, "the job's secrets could not be fetched: {}",
                   answer.error.message);
    }
    if (!link.pause(backoff.next(random, answer.retry_after()))) {
      return error(ErrorCode::kCancelled, "the node stops");
    }
  }
}

}  // namespace bcai::node
