// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/vault.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/crypto.h"
#include "base/file.h"
#include "base/seal.h"

namespace bcai::coordinator {
namespace {

constexpr char kVersion = 1;

std::string about(KeyId owner, std::string_view name) {
  return fmt::format("bcai secret\n{}\n{}", owner.text(), name);
}

Result<void> make_key(const std::filesystem::path& file, Random& random) {
  std::array<uint8_t, 32> key;
  random.fill(key);
  std::string text = to_hex(key) + "\n";
  const Result<void> written = write_file(file, text, Durability::kSynced, 0600);
  wipe(&text);
  return written;
}

Result<void> refuse_shared(const std::filesystem::path& file) {
  struct stat info {};
  if (stat(file.c_str(), &info) != 0) return errno_error(errno, "look at " + file.string());
  if ((info.st_mode & 077) == 0) return {};
  return error(ErrorCode::kFailedPrecondition, "{} can be read by others; chmod 600 {}",
               file.string(), file.string());
}

}  // namespace

Result<std::unique_ptr<Vault>> Vault::open(const std::filesystem::path& key_file, bool in_use,
                                           Random& random) {
  std::error_code failed;
  if (!std::filesystem::exists(key_file, failed)) {
    if (in_use) {
      return error(ErrorCode::kFailedPrecondition,
                   "{} is missing, the key of the secrets in the database; put it back, or give "
                   "them up with a new one: (umask 077; openssl rand -hex 32 > {})",
                   key_file.string(), key_file.string());
    }
    BCAI_TRY(make_key(key_file, random));
  }
  BCAI_TRY(refuse_shared(key_file));
  BCAI_TRY_ASSIGN(std::string text, read_file(key_file, 4096));
  Result<std::string> key = from_hex(std::string_view(text).substr(0, text.find('\n')));
  wipe(&text);
  if (!key || key->size() != 32) {
    return error(ErrorCode::kFailedPrecondition, "{} holds no key: expected 64 hexadecimal digits",
                 key_file.string());
  }
  std::unique_ptr<Vault> vault(new Vault(random));
  std::copy(key->begin(), key->end(), vault->key_.begin());
  wipe(&*key);
  return vault;
}

Vault::~Vault() { wipe(key_); }

std::string Vault::seal(KeyId owner, std::string_view name, std::string_view value) const {
  return kVersion + bcai::seal(key_, value, about(owner, name), random_);
}

Result<std::string> Vault::unseal(KeyId owner, std::string_view name,
                                  std::string_view sealed) const {
  if (!sealed.empty() && sealed[0] == kVersion) {
    Result<std::string> value = bcai::unseal(key_, sealed.substr(1), about(owner, name));
    if (value) return value;
  }
  return error(ErrorCode::kFailedPrecondition,
               "the secret {} cannot be opened with the coordinator's key; set it again", name);
}

}  // namespace bcai::coordinator
