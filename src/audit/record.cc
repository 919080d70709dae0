// SPDX-License-Identifier: Apache-2.0
#include "audit/record.h"

#include <charconv>

namespace bcai::audit {
namespace {

constexpr std::string_view kHashMember = ",\"hash\":\"";
constexpr size_t kDigits = 64;
constexpr size_t kTailBytes = kHashMember.size() + kDigits + 2;  // ,"hash":"…"}
constexpr const char* kFirst[] = {"seq", "time", "prev", "kind"};

Error broken(std::string why) { return Error{ErrorCode::kDataLoss, std::move(why)}; }

// What the hash is of: the line without its last member.
std::string hashed_part(std::string_view line) {
  return std::string(line.substr(0, line.size() - kTailBytes)) + "}";
}

Result<Sha256> digest_of(const json::object& members, std::string_view key) {
  const json::value* value = members.if_contains(to_json(key));
  if (value == nullptr || !value->is_string()) {
    return broken(fmt::format("it has no text member {}", key));
  }
  auto digest = Sha256::parse(to_std(value->get_string()));
  if (!digest) return broken(fmt::format("{}: {}", key, digest.error().message));
  return *digest;
}

}  // namespace

Result<Head> parse_head(std::string_view text) {
  Head head;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), head.seq);
  const size_t digits = static_cast<size_t>(end - text.data());
  if (failed != std::errc() || head.seq < 1 || digits == text.size() || text[digits] != ':') {
    return error(ErrorCode::kInvalidArgument, "expected SEQ:HASH, found '{}'", text);
  }
  BCAI_TRY_ASSIGN(head.hash, Sha256::parse(text.substr(digits + 1)));
  return head;
}

Result<Line> make_line(const Head& before, WallTime when, std::string_view kind,
                       const json::object& facts) {
  json::object members{{"seq", before.seq + 1},
                       {"time", format_time(when)},
                       {"prev", before.hash.text()},
                       {"kind", to_json(kind)}};
  for (const auto& [key, value] : facts) {
    BCAI_ASSERT(!members.contains(key) && key != "hash");
    members[key] = value;
  }
  Line line{.text = to_text(members), .head = {.seq = before.seq + 1, .hash = {}}};
  line.head.hash = Sha256::of(line.text);
  line.text.pop_back();
  line.text += fmt::format("{}{}\"}}\n", kHashMember, line.head.hash.text());
  if (line.text.size() > kLineBytesMax) {
    return error(ErrorCode::kResourceExhausted, "an audit record of {} bytes, at most {} are taken",
                 line.text.size(), kLineBytesMax);
  }
  return line;
}

Result<Record> parse_line(std::string_view line) {
  auto parsed = parse_json(line);
  if (!parsed) return broken("it is no JSON: " + parsed.error().message);
  if (!parsed->is_object()) return broken("it is no JSON object");
  Record record{.members = parsed->get_object()};
  auto member = record.members.begin();
  for (const char* expected : kFirst) {
    if (member == record.members.end() || member->key() != expected) {
      return broken(
          fmt::format("expected member {}, found {}", expected,
                      member == record.members.end() ? "the end" : to_std(member->key())));
    }
    ++member;
  }
  const json::value& seq = record.members.at("seq");
  const json::value& time = record.members.at("time");
  const json::value& kind = record.members.at("kind");
  if (!seq.is_int64() || seq.get_int64() < 1 || !time.is_string() || !kind.is_string()) {
    return broken("seq is no positive integer, or time or kind no text");
  }
  record.seq = seq.get_int64();
  record.time = time.get_string();
  record.kind = kind.get_string();
  BCAI_TRY_ASSIGN(record.prev, digest_of(record.members, "prev"));
  BCAI_TRY_ASSIGN(record.hash, digest_of(record.members, "hash"));
  if (line.size() < kTailBytes || line.substr(line.size() - kTailBytes) !=
                                      fmt::format("{}{}\"}}", kHashMember, record.hash.text())) {
    return broken("its last member is not hash, or not written as the format says");
  }
  if (const Sha256 found = Sha256::of(hashed_part(line)); found != record.hash) {
    return broken(
        fmt::format("its hash is {}, that of its bytes {}", record.hash.text(), found.text()));
  }
  return record;
}

std::string escape(std::string_view text, size_t bytes_max) {
  constexpr std::string_view kCut = "\xE2\x80\xA6";
  std::string out;
  size_t fitting = 0;  // of `out`, with room for what stands for the rest
  for (const char c : text) {
    const bool plain = c >= 0x20 && c < 0x7f && c != '\\';
    const std::string one =
        plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    if (out.size() + one.size() > bytes_max) return out.substr(0, fitting).append(kCut);
    out += one;
    if (out.size() + kCut.size() <= bytes_max) fitting = out.size();
  }
  return out;
}

}  // namespace bcai::audit
