// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"

namespace bcai {
namespace {

constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr size_t kTextLength = 26;  // 130 bits: the first character carries three

}  // namespace

IdBytes make_id_bytes(WallTime now, Random& random) {
  IdBytes bytes{};
  const auto ms = static_cast<uint64_t>(now.ms);
  for (size_t i = 0; i < 6; ++i) bytes[i] = static_cast<uint8_t>(ms >> (40 - 8 * i));
  random.fill(std::span(bytes).subspan(6));
  return bytes;
}

std::string id_to_text(std::string_view prefix, const IdBytes& bytes) {
  std::string text(prefix);
  unsigned buffer = 0;
  int bits = 2;  // two leading zero bits make 130
  for (uint8_t byte : bytes) {
    buffer = buffer << 8 | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += kAlphabet[buffer >> bits & 31];
    }
    buffer &= (1U << bits) - 1;
  }
  return text;
}

Result<IdBytes> id_from_text(std::string_view prefix, std::string_view text) {
  const auto wrong = [&] {
    return error(ErrorCode::kInvalidArgument,
                 "'{}' is not an id: expected '{}' and 26 lower-case base32 characters",
                 text.substr(0, 64), prefix);
  };
  if (text.size() != prefix.size() + kTextLength || !text.starts_with(prefix)) return wrong();
  IdBytes bytes{};
  unsigned buffer = 0;
  int bits = -2;
  size_t next = 0;
  for (char c : text.substr(prefix.size())) {
    const size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return wrong();
    if (bits < 0 && digit > 7) return wrong();
    buffer = buffer << 5 | static_cast<unsigned>(digit);
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[next++] = static_cast<uint8_t>(buffer >> bits);
      buffer &= (1U << bits) - 1;
    }
  }
  return bytes;
}

}  // namespace bcai
