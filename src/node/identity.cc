// SPDX-License-Identifier: Apache-2.0
#include "node/identity.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/file.h"

namespace bcai::node {

Result<SigningKey> load_identity(const std::filesystem::path& path, Random& random) {
  Result<std::string> seed = read_file(path, 4096);
  if (!seed && seed.error().code == ErrorCode::kNotFound) {
    const SigningKey made = SigningKey::make(random);
    const std::string_view bytes(reinterpret_cast<const char*>(made.seed.data()), made.seed.size());
    BCAI_TRY(write_file(path, bytes, Durability::kSynced, 0600));
    return made;
  }
  if (!seed) return std::move(seed).error();
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0) {
    return error(ErrorCode::kPermissionDenied,
                 "{} may be read by others (mode {:o}), expected 600: chmod 600 {}", path.string(),
                 info.st_mode & 07777, path.string());
  }
  if (seed->size() != 32) {
    return error(ErrorCode::kDataLoss, "{}: expected a key of 32 bytes, found {} bytes",
                 path.string(), seed->size());
  }
  std::array<uint8_t, 32> bytes;
  std::copy(seed->begin(), seed->end(), bytes.begin());
  return SigningKey::from_seed(bytes);
}

NodeRegistration make_registration(const SigningKey& identity, std::string name, std::string nonce,
                                   Capabilities capabilities) {
  NodeRegistration registration;
  registration.name = std::move(name);
  registration.public_key = identity.public_key;
  registration.signature = identity.sign(std::string(kRegistrationContext) + nonce);
  registration.nonce = std::move(nonce);
  registration.capabilities = std::move(capabilities);
  return registration;
}

}  // namespace bcai::node
