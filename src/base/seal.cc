// SPDX-License-Identifier: Apache-2.0
#include "base/seal.h"

#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/crypto.h"

namespace bcai {
namespace {

constexpr size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == 32);

}  // namespace

std::string seal(std::span<const uint8_t, 32> key, std::string_view text, std::string_view about,
                 Random& random) {
  std::array<uint8_t, kNonceBytes> nonce;
  random.fill(nonce);
  std::string sealed(nonce.begin(), nonce.end());
  sealed.resize(kNonceBytes + text.size() + kTagBytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(
      reinterpret_cast<unsigned char*>(sealed.data()) + kNonceBytes, nullptr, as_bytes(text),
      text.size(), as_bytes(about), about.size(), nullptr, nonce.data(), key.data());
  return sealed;
}

Result<std::string> unseal(std::span<const uint8_t, 32> key, std::string_view sealed,
                           std::string_view about) {
  const Error refused =
      error(ErrorCode::kInvalidArgument, "sealed with another key, or changed since");
  if (sealed.size() < kNonceBytes + kTagBytes) return refused;
  const std::string_view rest = sealed.substr(kNonceBytes);
  std::string text(rest.size() - kTagBytes, '\0');
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          reinterpret_cast<unsigned char*>(text.data()), nullptr, nullptr, as_bytes(rest),
          rest.size(), as_bytes(about), about.size(), as_bytes(sealed), key.data()) != 0) {
    return refused;
  }
  return text;
}

void wipe(std::string* text) {
  sodium_memzero(text->data(), text->size());
  text->clear();
}

void forbid_core_dumps() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  if (geteuid() == 0) prctl(PR_SET_DUMPABLE, 0);
}

void wipe(std::span<uint8_t> bytes) { sodium_memzero(bytes.data(), bytes.size()); }

}  // namespace bcai
