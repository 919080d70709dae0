// SPDX-License-Identifier: Apache-2.0
// The path of a request from bytes to a route. The oracle: bytes that come in pieces mean what they
// mean in one, a head is never taken with two framings, and decoded text is clean.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/ascii.h"
#include "base/result.h"
#include "net/header.h"
#include "net/request_parser.h"
#include "net/router.h"
#include "net/target.h"

namespace bcai::net {
namespace {

constexpr uint64_t kBodyBytesMax = 1000;

struct Outcome {
  std::string text;  // all that a handler or a peer would see
  size_t taken = 0;
};

Outcome read(std::string_view bytes, size_t piece_bytes) {
  using State = RequestParser::State;
  RequestParser parser;
  Outcome outcome;
  std::string input;
  while (!bytes.empty() && (parser.state() == State::kHead || parser.state() == State::kBody)) {
    input += bytes.substr(0, piece_bytes);
    bytes.remove_prefix(std::min(piece_bytes, bytes.size()));
    while (!input.empty()) {
      const State before = parser.state();
      const size_t step = parser.feed(input);
      BCAI_ASSERT(step <= input.size());
      input.erase(0, step);
      outcome.taken += step;
      if (before == State::kHead && parser.state() == State::kBody) {
        parser.limit_body(kBodyBytesMax);
      }
      BCAI_ASSERT(parser.body().size() <= kBodyBytesMax || parser.state() == State::kRefused);
      if (step == 0) break;
    }
  }
  outcome.text = std::to_string(static_cast<int>(parser.state()));
  if (parser.state() == State::kRefused) {
    outcome.text += std::to_string(parser.refusal().status);
    outcome.taken = 0;  // the connection is closed: how much was taken does not matter
    return outcome;
  }
  if (parser.state() == State::kHead) return outcome;
  RequestHead& head = parser.head();
  outcome.text += head.method + " " + head.target + (head.keep_alive ? "k" : "c");
  int framings = 0;
  int hosts = 0;
  for (const auto& [name, value] : head.headers) {
    outcome.text += "\n" + name + ":" + value;
    if (equal_without_case(name, "Content-Length")) ++framings;
    if (equal_without_case(name, "Transfer-Encoding")) ++framings;
    if (equal_without_case(name, "Host")) ++hosts;
  }
  BCAI_ASSERT(framings <= 1 && hosts <= 1 && (hosts == 1 || head.http_1_0));
  outcome.text += "\n" + parser.body();
  return outcome;
}

void route(std::string_view bytes) {
  static const Router router =
      *Router::make({{"GET", "/", [](const Request&, const Reply&) {}},
                     {"GET", "/v1/jobs/{id}", [](const Request&, const Reply&) {}},
                     {"POST", "/v1/jobs/{id}/cancel", [](const Request&, const Reply&) {}}});
  const Result<Target> target = parse_target(bytes);
  if (!target) return;
  BCAI_ASSERT(is_utf8(target->path) && target->path.find('\0') == std::string::npos);
  const RouteMatch match = router.match("GET", target->segments);
  BCAI_ASSERT(match.route == nullptr || match.allow.empty());
}

}  // namespace
}  // namespace bcai::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto whole = bcai::net::read(bytes, std::max<size_t>(size, 1));
  for (const size_t piece_bytes : {size_t{1}, size_t{13}}) {
    const auto pieces = bcai::net::read(bytes, piece_bytes);
    BCAI_ASSERT(pieces.text == whole.text && pieces.taken == whole.taken);
  }
  bcai::net::route(bytes.substr(0, 8192));
  return 0;
}
