// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/auth.h"

#include <utility>

#include "coordinator/store/keys.h"
#include "coordinator/store/sessions.h"

namespace bcai::coordinator {
namespace {

constexpr size_t kKnownMax = 20'000;

std::string_view as_text(const Sha256& hash) {
  return {reinterpret_cast<const char*>(hash.bytes.data()), hash.bytes.size()};
}

Error unknown(Credential::Kind kind) {
  return kind == Credential::Kind::kKey
             ? error(ErrorCode::kUnauthenticated, "the API key is unknown or revoked")
             : error(ErrorCode::kUnauthenticated, "the session is unknown or ended");
}

Result<Principal> look_up(store::Connection& db, const Credential& credential) {
  KeyId id = credential.key;
  std::optional<NodeId> node;
  if (credential.kind == Credential::Kind::kSession) {
    Result<store::SessionRecord> session = store::find_session(db, credential.hash);
    if (!session && session.error().code != ErrorCode::kNotFound) return session.error();
    if (!session) return unknown(credential.kind);
    id = session->key;
    node = session->node;
  }
  Result<store::KeyRecord> key = store::find_key(db, id);
  if (!key && key.error().code != ErrorCode::kNotFound) return key.error();
  if (!key || key->revoked_at) return unknown(credential.kind);
  if (!node && !constant_time_equal(as_text(key->hash), as_text(credential.hash))) {
    return unknown(credential.kind);
  }
  BCAI_TRY_ASSIGN(const Role role, parse_role(key->role));
  return Principal{
      .key = id, .name = key->name, .role = role, .node = node, .network = key->network};
}

}  // namespace

std::string_view name(Role role) {
  switch (role) {
    case Role::kOwner: return "owner";
    case Role::kMember: return "member";
    case Role::kNode: return "node";
  }
  return "node";
}

Result<Role> parse_role(std::string_view text) {
  for (const Role role : {Role::kOwner, Role::kMember, Role::kNode}) {
    if (name(role) == text) return role;
  }
  return error(ErrorCode::kInvalidArgument, "expected one of owner, member, node; found '{}'",
               text.substr(0, 64));
}

void Authenticator::authenticate(std::string_view authorization, Done done) {
  Result<Credential> credential = parse_authorization(authorization);
  if (!credential) {
    done(credential.error());
    return;
  }
  if (std::optional<Principal> known = find_known(*credential)) {
    done(*std::move(known));
    return;
  }
  uint64_t generation = 0;
  {
    std::lock_guard lock(mutex_);
    generation = generation_;
  }
  database_.read(
      [this, credential = *credential, generation, done = std::move(done)](store::Connection& db) {
        Result<Principal> principal = look_up(db, credential);
        if (principal) remember(credential, *principal, generation);
        done(std::move(principal));
      });
}

std::optional<Principal> Authenticator::find_known(const Credential& credential) {
  std::lock_guard lock(mutex_);
  if (credential.kind == Credential::Kind::kSession) {
    const auto found = sessions_.find(credential.hash);
    if (found == sessions_.end()) return std::nullopt;
    return found->second;
  }
  const auto found = keys_.find(credential.key);
  if (found == keys_.end()) return std::nullopt;
  if (!constant_time_equal(as_text(found->second.hash), as_text(credential.hash))) {
    return std::nullopt;
  }
  return found->second.principal;
}

void Authenticator::remember(const Credential& credential, const Principal& principal,
                             uint64_t generation) {
  std::lock_guard lock(mutex_);
  if (generation != generation_) return;
  if (credential.kind == Credential::Kind::kSession) {
    if (sessions_.size() >= kKnownMax) sessions_.clear();
    sessions_[credential.hash] = principal;
  } else {
    if (keys_.size() >= kKnownMax) keys_.clear();
    keys_[credential.key] = {credential.hash, principal};
  }
}

void Authenticator::forget(KeyId key) {
  std::lock_guard lock(mutex_);
  ++generation_;
  keys_.erase(key);
  std::erase_if(sessions_, [&](const auto& known) { return known.second.key == key; });
}

void Authenticator::forget(NodeId node) {
  std::lock_guard lock(mutex_);
  ++generation_;
  std::erase_if(sessions_, [&](const auto& known) { return known.second.node == node; });
}

}  // namespace bcai::coordinator
