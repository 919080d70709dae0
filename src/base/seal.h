// SPDX-License-Identifier: Apache-2.0
// Authenticated encryption, XChaCha20-Poly1305 (libsodium), and what is overwritten after use.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"

namespace bcai {

// With a nonce of 24 random bytes before what is sealed. Only with the same key and the same
// `about`, which is not kept, it opens again.
std::string seal(std::span<const uint8_t, 32> key, std::string_view text, std::string_view about,
                 Random& random);
// kInvalidArgument: it was sealed otherwise, or has been changed.
Result<std::string> unseal(std::span<const uint8_t, 32> key, std::string_view sealed,
                           std::string_view about);

// Overwrites what must not stay in memory. A text is empty afterwards.
void wipe(std::string* text);
void wipe(std::span<uint8_t> bytes);

// From now on this process leaves no core file, and what it executes none as a file either. As
// root, where nothing of /proc/self is lost by it, it cannot be dumped into a program or traced
// either.
void forbid_core_dumps();

}  // namespace bcai
