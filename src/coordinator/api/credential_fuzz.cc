// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/credential.h"

using namespace bcai;
using namespace bcai::coordinator;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Result<Credential> credential = parse_authorization(text);
  if (!credential) {
    BCAI_ASSERT(credential.error().code == ErrorCode::kUnauthenticated);
  } else if (credential->kind == Credential::Kind::kKey) {
    BCAI_ASSERT(text.find(credential->key.text().substr(4)) != std::string_view::npos);
  }
  return 0;
}
