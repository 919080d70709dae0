// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/credential.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"

namespace bcai::coordinator {
namespace {

constexpr std::string_view kKeyPrefix = "bcai_";
constexpr std::string_view kSessionPrefix = "bcain_";
constexpr size_t kIdLength = 26;
constexpr size_t kSecretLength = 64;

std::string random_hex(Random& random) {
  std::array<uint8_t, kSecretLength / 2> bytes;
  random.fill(bytes);
  return to_hex(bytes);
}

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

}  // namespace

Result<Credential> parse_authorization(std::string_view header) {
  if (header.empty()) {
    return error(ErrorCode::kUnauthenticated, "no API key: send 'Authorization: Bearer bcai_…'");
  }
  const size_t space = header.find(' ');
  if (space == std::string_view::npos || !equal_without_case(header.substr(0, space), "bearer")) {
    return error(ErrorCode::kUnauthenticated, "Authorization: expected 'Bearer bcai_…'");
  }
  std::string_view text = header.substr(space + 1);
  while (text.starts_with(' ')) text.remove_prefix(1);
  Credential credential;
  credential.hash = Sha256::of(text);
  if (text.starts_with(kSessionPrefix)) {
    credential.kind = Credential::Kind::kSession;
    const std::string_view secret = text.substr(kSessionPrefix.size());
    if (secret.size() == kSecretLength && is_hex(secret)) return credential;
    return error(ErrorCode::kUnauthenticated, "the session token is malformed");
  }
  const auto malformed = [] {
    return error(ErrorCode::kUnauthenticated,
                 "the API key is malformed: expected 'bcai_', 26 characters, '_' and {} more",
                 kSecretLength);
  };
  if (!text.starts_with(kKeyPrefix)) return malformed();
  text.remove_prefix(kKeyPrefix.size());
  if (text.size() != kIdLength + 1 + kSecretLength || text[kIdLength] != '_') return malformed();
  if (!is_hex(text.substr(kIdLength + 1))) return malformed();
  Result<KeyId> id = KeyId::parse(fmt::format("{}{}", KeyTag::kPrefix, text.substr(0, kIdLength)));
  if (!id) return malformed();
  credential.key = *id;
  return credential;
}

std::string make_key_text(KeyId key, Random& random) {
  return fmt::format("{}{}_{}", kKeyPrefix, key.text().substr(KeyTag::kPrefix.size()),
                     random_hex(random));
}

std::string make_session_text(Random& random) {
  return fmt::format("{}{}", kSessionPrefix, random_hex(random));
}

Sha256 hash_of_secret(std::string_view text) { return Sha256::of(text); }

}  // namespace bcai::coordinator
