// SPDX-License-Identifier: Apache-2.0
#include "base/crypto.h"

#include <openssl/evp.h>
#include <sodium.h>

#include <algorithm>

#include "base/ascii.h"

namespace bcai {
namespace {

const EVP_MD* sha256_method() {
  static const EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  BCAI_ASSERT(method != nullptr);
  return method;
}

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string to_hex(std::span<const uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Result<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) {
    return error(ErrorCode::kInvalidArgument, "hexadecimal text of odd length {}", text.size());
  }
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) {
      return error(ErrorCode::kInvalidArgument, "not a lower-case hexadecimal digit at {}", i);
    }
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

std::string to_base64(std::string_view bytes) {
  std::string text(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(text.data(), text.size(), as_bytes(bytes), bytes.size(),
                    sodium_base64_VARIANT_ORIGINAL);
  text.pop_back();  // the NUL
  return text;
}

Result<std::string> from_base64(std::string_view text) {
  std::string bytes(text.size() / 4 * 3 + 2, '\0');
  size_t size = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(),
                        text.size(), nullptr, &size, nullptr,
                        sodium_base64_VARIANT_ORIGINAL) != 0) {
    return error(ErrorCode::kInvalidArgument, "not base64: '{}'", text.substr(0, 64));
  }
  bytes.resize(size);
  return bytes;
}

Sha256 Sha256::of(std::string_view data) {
  Sha256Stream stream;
  stream.update(data);
  return stream.finish();
}

Result<Sha256> Sha256::parse(std::string_view text) {
  if (text.size() != 64) {
    return error(ErrorCode::kInvalidArgument,
                 "a SHA-256 is 64 lower-case hexadecimal digits, found {} characters", text.size());
  }
  BCAI_TRY_ASSIGN(const std::string bytes, from_hex(text));
  Sha256 digest;
  std::copy(bytes.begin(), bytes.end(), digest.bytes.begin());
  return digest;
}

Sha256Stream::Sha256Stream() : context_(EVP_MD_CTX_new()) {
  BCAI_ASSERT(context_ != nullptr);
  BCAI_ASSERT(EVP_DigestInit_ex2(static_cast<EVP_MD_CTX*>(context_), sha256_method(), nullptr) ==
              1);
}

Sha256Stream::~Sha256Stream() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

Sha256Stream::Sha256Stream(Sha256Stream&& other) noexcept
    : context_(std::exchange(other.context_, nullptr)) {}

Sha256Stream& Sha256Stream::operator=(Sha256Stream&& other) noexcept {
  std::swap(context_, other.context_);
  return *this;
}

void Sha256Stream::update(std::string_view data) {
  BCAI_ASSERT(EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), data.data(), data.size()) == 1);
}

Sha256 Sha256Stream::finish() {
  Sha256 digest;
  BCAI_ASSERT(
      EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), digest.bytes.data(), nullptr) == 1);
  return digest;
}

bool constant_time_equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

SigningKey SigningKey::make(Random& random) {
  std::array<uint8_t, 32> seed;
  random.fill(seed);
  return from_seed(seed);
}

SigningKey SigningKey::from_seed(std::span<const uint8_t, 32> seed) {
  SigningKey key;
  std::copy(seed.begin(), seed.end(), key.seed.begin());
  std::array<uint8_t, crypto_sign_SECRETKEYBYTES> secret;
  crypto_sign_seed_keypair(key.public_key.data(), secret.data(), key.seed.data());
  sodium_memzero(secret.data(), secret.size());
  return key;
}

std::string SigningKey::sign(std::string_view message) const {
  std::array<uint8_t, 32> unused;
  std::array<uint8_t, crypto_sign_SECRETKEYBYTES> secret;
  crypto_sign_seed_keypair(unused.data(), secret.data(), seed.data());
  std::string signature(crypto_sign_BYTES, '\0');
  crypto_sign_detached(reinterpret_cast<unsigned char*>(signature.data()), nullptr,
                       as_bytes(message), message.size(), secret.data());
  sodium_memzero(secret.data(), secret.size());
  return signature;
}

bool verify_signature(std::span<const uint8_t, 32> public_key, std::string_view message,
                      std::string_view signature) {
  return signature.size() == crypto_sign_BYTES &&
         crypto_sign_verify_detached(as_bytes(signature), as_bytes(message), message.size(),
                                     public_key.data()) == 0;
}

}  // namespace bcai
