// SPDX-License-Identifier: Apache-2.0
// Seals the values of secrets before they are stored, each bound to its owner and its name, and
// opens them. The key is a file of 64 hexadecimal digits that its owner alone may read.
// Thread-safe.
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/random.h"
#include "base/result.h"

namespace bcai::coordinator {

class Vault {
 public:
  // Makes a key where there is no file, unless `in_use`: secrets are stored that the lost key alone
  // opens. kFailedPrecondition, with what mends it.
  static Result<std::unique_ptr<Vault>> open(const std::filesystem::path& key_file, bool in_use,
                                             Random& random);
  ~Vault();
  Vault(const Vault&) = delete;
  Vault& operator=(const Vault&) = delete;

  // One byte, the version of the form, then base/crypto.h's.
  std::string seal(KeyId owner, std::string_view name, std::string_view value) const;
  // kFailedPrecondition: it was sealed with another key, or has been changed.
  Result<std::string> unseal(KeyId owner, std::string_view name, std::string_view sealed) const;

 private:
  explicit Vault(Random& random) : random_(random) {}

  Random& random_;
  std::array<uint8_t, 32> key_{};
};

}  // namespace bcai::coordinator
