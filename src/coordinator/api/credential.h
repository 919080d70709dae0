// SPDX-License-Identifier: Apache-2.0
// What comes in an Authorization header: an API key "bcai_<id>_<secret>" or a node's session
// "bcain_<secret>". The secrets have 256 random bits, so a plain SHA-256 of the text is all that is
// stored.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/crypto.h"
#include "base/id.h"

namespace bcai::coordinator {

struct Credential {
  enum class Kind : uint8_t { kKey, kSession };
  Kind kind = Kind::kKey;
  KeyId key;    // of a key
  Sha256 hash;  // of the whole text
};

// kUnauthenticated with what is wrong; the text itself is never repeated.
Result<Credential> parse_authorization(std::string_view header);

std::string make_key_text(KeyId key, Random& random);
std::string make_session_text(Random& random);
Sha256 hash_of_secret(std::string_view text);

}  // namespace bcai::coordinator
