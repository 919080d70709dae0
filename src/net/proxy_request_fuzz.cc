// SPDX-License-Identifier: Apache-2.0
#include "net/proxy_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bcai::net;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto request = parse_proxy_request(text);
  if (!request) return 0;
  BCAI_ASSERT(!request->target.host.empty() && request->target.port != 0);
  BCAI_ASSERT(request->tunnel == request->head.empty());
  // What the target is sent is one request: one empty line, at its end.
  BCAI_ASSERT(request->tunnel || request->head.find("\r\n\r\n") == request->head.size() - 4);
  BCAI_ASSERT(parse_host_port(to_text(request->target)));
  (void)is_public_address(request->target.host);
  return 0;
}
