// SPDX-License-Identifier: Apache-2.0
// Identifiers of 128 bits: 48 bits of milliseconds, 80 random ones, so they sort by age. Made by
// the client, so that a retry is harmless. As text: a prefix and 26 characters of Crockford
// base32, "job_01hf3z…". An Id of one kind does not convert to another.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"

namespace bcai {

using IdBytes = std::array<uint8_t, 16>;

IdBytes make_id_bytes(WallTime now, Random& random);
std::string id_to_text(std::string_view prefix, const IdBytes& bytes);
Result<IdBytes> id_from_text(std::string_view prefix, std::string_view text);

template <typename Tag>
struct Id {
  IdBytes bytes{};

  static Id make(WallTime now, Random& random) { return {make_id_bytes(now, random)}; }
  static Result<Id> parse(std::string_view text) {
    BCAI_TRY_ASSIGN(IdBytes parsed, id_from_text(Tag::kPrefix, text));
    return Id{parsed};
  }
  std::string text() const { return id_to_text(Tag::kPrefix, bytes); }
  auto operator<=>(const Id&) const = default;
};

struct JobTag {
  static constexpr std::string_view kPrefix = "job_";
};
struct AttemptTag {
  static constexpr std::string_view kPrefix = "att_";
};
struct NodeTag {
  static constexpr std::string_view kPrefix = "node_";
};
struct KeyTag {
  static constexpr std::string_view kPrefix = "key_";
};

using JobId = Id<JobTag>;
using AttemptId = Id<AttemptTag>;
using NodeId = Id<NodeTag>;
using KeyId = Id<KeyTag>;

}  // namespace bcai
