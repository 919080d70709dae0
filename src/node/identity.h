// SPDX-License-Identifier: Apache-2.0
// The node's own key: whoever has it is this node. Kept in a file of 32 bytes with mode 0600.
#pragma once

#include <filesystem>

#include "base/crypto.h"
#include "protocol/node.h"

namespace bcai::node {

// Reads the key, or makes it when there is none. kPermissionDenied when others may read it.
Result<SigningKey> load_identity(const std::filesystem::path& path, Random& random);

NodeRegistration make_registration(const SigningKey& identity, std::string name, std::string nonce,
                                   Capabilities capabilities);

}  // namespace bcai::node
