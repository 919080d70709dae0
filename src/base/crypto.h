// SPDX-License-Identifier: Apache-2.0
// SHA-256 (OpenSSL, which uses the CPU's instructions for it) and Ed25519 (libsodium, RFC 8032).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"

namespace bcai {

// The text as OpenSSL and libsodium take it.
inline const unsigned char* as_bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string to_hex(std::span<const uint8_t> bytes);
Result<std::string> from_hex(std::string_view text);  // the bytes, as a string
// RFC 4648, with padding.
std::string to_base64(std::string_view bytes);
Result<std::string> from_base64(std::string_view text);

// A digest; text form is 64 lower-case hexadecimal digits.
struct Sha256 {
  std::array<uint8_t, 32> bytes{};

  static Sha256 of(std::string_view data);
  static Result<Sha256> parse(std::string_view text);
  std::string text() const { return to_hex(bytes); }
  auto operator<=>(const Sha256&) const = default;
};

// Hashes what comes in pieces. One thread.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  Sha256Stream& operator=(Sha256Stream&&) noexcept;
  void update(std::string_view data);
  Sha256 finish();  // once

 private:
  void* context_;
};

bool constant_time_equal(std::string_view a, std::string_view b);

// An Ed25519 key pair; the secret is its 32-byte seed.
struct SigningKey {
  std::array<uint8_t, 32> seed{};
  std::array<uint8_t, 32> public_key{};

  static SigningKey make(Random& random);
  static SigningKey from_seed(std::span<const uint8_t, 32> seed);
  std::string sign(std::string_view message) const;  // 64 bytes
};

bool verify_signature(std::span<const uint8_t, 32> public_key, std::string_view message,
                      std::string_view signature);

}  // namespace bcai
