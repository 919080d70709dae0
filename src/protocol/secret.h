// SPDX-License-Identifier: Apache-2.0
// A value that a job finds in its environment and that is shown nowhere. Kept by the coordinator
// under a name of its owner's; a job names those that it gets.
//
//   PUT    /v1/secrets/{name}                  the value as the body
//   GET    /v1/attempts/{id}/secrets?epoch=E   → {secrets: [Secret]}, for the attempt's node
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/decode.h"
#include "base/result.h"

namespace bcai {

inline constexpr size_t kSecretBytesMax = 64 << 10;  // of one value
inline constexpr size_t kSecretsMax = 16;            // of a job
// Of a job's values together, with what lies between them (sandbox/bundle.cc).
inline constexpr size_t kSecretsBytesMax = 240 << 10;

using Secrets = std::vector<std::pair<std::string, std::string>>;  // name, value

// kInvalidArgument unless [A-Z_][A-Z0-9_]{0,63}.
Result<void> check_secret_name(std::string_view name);
// kInvalidArgument unless 1 byte to kSecretBytesMax of UTF-8 without NUL: it becomes the value of
// an environment variable. No message holds any of it.
Result<void> check_secret_value(std::string_view value);

json::value encode(const Secrets& secrets);
Secrets decode_secrets(const json::value& value, std::vector<Finding>* findings);

void wipe(Secrets* secrets);

// May what is secret go to this endpoint? Over TLS, to this machine, through a unix socket.
bool keeps_secrets(std::string_view endpoint);

}  // namespace bcai
