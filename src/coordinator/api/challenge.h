// SPDX-License-Identifier: Apache-2.0
// Nonces for nodes to sign, without keeping any: a nonce holds the time and a digest over it, the
// node's key and a secret of this process. After a restart a node asks for another.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"

namespace bcai::coordinator {

class Challenges {
 public:
  Challenges(const Clock& clock, Random& random);

  std::string make(std::string_view public_key_hex) const;
  // Made here for this key, at most a minute ago.
  bool holds(std::string_view nonce, std::string_view public_key_hex) const;

 private:
  std::string nonce_at(Instant at, std::string_view public_key_hex) const;

  const Clock& clock_;
  std::array<uint8_t, 32> secret_;
};

}  // namespace bcai::coordinator
