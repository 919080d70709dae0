// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/challenge.h"

#include <charconv>

#include "base/crypto.h"

namespace bcai::coordinator {
namespace {

constexpr Millis kValid{60'000};

}  // namespace

Challenges::Challenges(const Clock& clock, Random& random) : clock_(clock) { random.fill(secret_); }

// Both digests are over text of a fixed length, so nothing can be appended to it.
std::string Challenges::nonce_at(Instant at, std::string_view public_key_hex) const {
  const std::string time = fmt::format("{:016x}", at.ms);
  const std::string secret = to_hex(secret_);
  const Sha256 inner = Sha256::of(fmt::format("{}{}{}", secret, time, public_key_hex));
  return time + Sha256::of(secret + inner.text()).text();
}

std::string Challenges::make(std::string_view public_key_hex) const {
  return nonce_at(clock_.now(), public_key_hex);
}

bool Challenges::holds(std::string_view nonce, std::string_view public_key_hex) const {
  if (nonce.size() != 80) return false;
  Instant at;
  const auto [end, code] = std::from_chars(nonce.data(), nonce.data() + 16, at.ms, 16);
  if (code != std::errc() || end != nonce.data() + 16 || at.ms < 0) return false;
  const Instant now = clock_.now();
  if (at > now || now - at > kValid) return false;
  return constant_time_equal(nonce, nonce_at(at, public_key_hex));
}

}  // namespace bcai::coordinator
