// SPDX-License-Identifier: Apache-2.0
// Who is asking? Keys and sessions are checked against their hashes in the database and kept in
// memory until they are revoked. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "coordinator/api/credential.h"
#include "coordinator/api/gate.h"

namespace bcai::coordinator {

enum class Role : uint8_t { kOwner, kMember, kNode };

std::string_view name(Role role);
Result<Role> parse_role(std::string_view text);

struct Principal {
  KeyId key;         // of a session: the operator's
  std::string name;  // of the key
  Role role = Role::kMember;
  std::optional<NodeId> node;                       // set for a node's session
  std::optional<std::vector<std::string>> network;  // of the key: store/keys.h

  // May this one see and change what belongs to `owner`?
  bool owns(KeyId owner) const { return role == Role::kOwner || key == owner; }
};

class Authenticator {
 public:
  explicit Authenticator(DatabaseGate& database) : database_(database) {}

  // Calls `done` on this thread when the credential is known, else on a reader's thread.
  // kUnauthenticated tells what is wrong.
  using Done = std::function<void(Result<Principal>)>;
  void authenticate(std::string_view authorization, Done done);

  // After the commit that revoked the key, or began a new session of the node.
  void forget(KeyId key);
  void forget(NodeId node);

 private:
  struct Known {
    Sha256 hash;
    Principal principal;
  };

  std::optional<Principal> find_known(const Credential& credential);
  void remember(const Credential& credential, const Principal& principal, uint64_t generation);

  DatabaseGate& database_;
  std::mutex mutex_;
  std::map<KeyId, Known> keys_;
  std::map<Sha256, Principal> sessions_;
  // Grows with every forget(): what was read before must not be remembered after.
  uint64_t generation_ = 0;
};

}  // namespace bcai::coordinator
