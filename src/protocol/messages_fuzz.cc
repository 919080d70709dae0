// SPDX-License-Identifier: Apache-2.0
// Everything that a stranger may send: decoded without findings, it is encoded and decoded again to
// the same text.
#include <cstdlib>

#include "protocol/job.h"
#include "protocol/log_record.h"
#include "protocol/node.h"
#include "protocol/result.h"

namespace {

template <typename Decode>
void round_trip(const bcai::json::value& value, Decode decode) {
  std::vector<bcai::Finding> findings;
  const auto message = decode(value, &findings);
  if (!findings.empty()) return;
  const std::string text = bcai::to_text(bcai::encode(message));
  const auto parsed = bcai::parse_json(text);
  if (!parsed) std::abort();
  if (bcai::to_text(bcai::encode(decode(*parsed, &findings))) != text) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t consumed = 0;
  if (bcai::read_log_record(text, &consumed) && consumed > size) std::abort();
  const auto value = bcai::parse_json(text);
  if (!value) return 0;
  round_trip(*value, bcai::decode_job_spec);
  round_trip(*value, bcai::decode_attempt_result);
  round_trip(*value, bcai::decode_registration);
  round_trip(*value, bcai::decode_heartbeat);
  round_trip(*value, bcai::decode_heartbeat_reply);
  round_trip(*value, bcai::decode_lease);
  return 0;
}
