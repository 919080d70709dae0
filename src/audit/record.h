// SPDX-License-Identifier: Apache-2.0
// A record of the audit log and its line (docs/formats/audit.md). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/result.h"

namespace bcai::audit {

// Of a chain: its last record. {0, 64 zeros} before the first.
struct Head {
  int64_t seq = 0;
  Sha256 hash;
  bool operator==(const Head&) const = default;
  std::string text() const { return fmt::format("{}:{}", seq, hash.text()); }
};
Result<Head> parse_head(std::string_view text);

struct Record {
  int64_t seq = 0;
  std::string time;
  Sha256 prev;
  std::string kind;
  Sha256 hash;
  json::object members;  // all of it
};

inline constexpr size_t kLineBytesMax = size_t{1} << 20;

struct Line {
  std::string text;  // with its newline
  Head head;         // after it
};
// kResourceExhausted above kLineBytesMax. `facts` has no member "seq", "time", "prev", "kind",
// "hash".
Result<Line> make_line(const Head& before, WallTime when, std::string_view kind,
                       const json::object& facts);

// `line` without its newline. kDataLoss, with what was expected and found, when it has not the form
// or its hash is not that of its bytes.
Result<Record> parse_line(std::string_view line);

// Text of strangers: of each byte that is no printable ASCII, and of the backslash, "\xNN". Not
// longer than bytes_max; "…" stands for what was cut.
std::string escape(std::string_view text, size_t bytes_max);

}  // namespace bcai::audit
