// SPDX-License-Identifier: Apache-2.0
#include "sandbox/mask.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/json.h"
#include "base/result.h"
#include "base/seal.h"

namespace bcai::sandbox {
namespace {

constexpr std::string_view kShown = "***";

std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n\v\f";
  const size_t from = text.find_first_not_of(kBlanks);
  if (from == std::string_view::npos) return "";
  return text.substr(from, text.find_last_not_of(kBlanks) - from + 1);
}

// Of UTF-8, which the caller has checked; else of some byte.
uint32_t take_character(std::string_view* text) {
  const auto lead = static_cast<unsigned char>(text->front());
  const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  uint32_t character = length == 1 ? lead : lead & (0xffU >> (length + 1));
  for (size_t i = 1; i < length && i < text->size(); i++) {
    character = character << 6 | (static_cast<unsigned char>((*text)[i]) & 0x3fU);
  }
  text->remove_prefix(std::min(length, text->size()));
  return character;
}

// As Python's json.dumps() writes it, without the quotes.
std::string in_ascii(std::string_view json) {
  std::string out;
  while (!json.empty()) {
    const uint32_t character = take_character(&json);
    if (character < 0x7f) {
      out += static_cast<char>(character);
    } else if (character < 0x10000) {
      out += fmt::format("\\u{:04x}", character);
    } else {
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + ((character - 0x10000) >> 10),
                         0xdc00 + ((character - 0x10000) & 0x3ff));
    }
  }
  return out;
}

// As repr() writes it, without the quotes; what it does to characters that cannot be printed is
// done here to those of ASCII alone.
std::string in_repr(std::string_view text) {
  const bool escapes_quote =
      text.find('\'') != std::string_view::npos && text.find('"') != std::string_view::npos;
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\'': out += escapes_quote ? "\\'" : "'"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
  return out;
}

}  // namespace

Mask::Mask(const std::vector<std::pair<std::string, std::string>>& secrets) {
  std::vector<std::string> forms;
  for (const auto& [name, value] : secrets) {
    const std::string_view text = without_blanks(value);
    if (text.size() < kBytesMin) continue;
    const std::string quoted = to_text(json::value(json::string(text)));
    const std::string_view json = std::string_view(quoted).substr(1, quoted.size() - 2);
    forms.insert(forms.end(),
                 {std::string(text), std::string(json), in_ascii(json), in_repr(text)});
  }
  std::sort(forms.begin(), forms.end());
  forms.erase(std::unique(forms.begin(), forms.end()), forms.end());
  for (std::string& form : forms) {
    Pattern pattern{.text = std::move(form), .borders = {}};
    pattern.borders.resize(pattern.text.size());
    for (size_t i = 1, matched = 0; i < pattern.text.size(); i++) {
      while (matched > 0 && pattern.text[i] != pattern.text[matched]) {
        matched = pattern.borders[matched - 1];
      }
      if (pattern.text[i] == pattern.text[matched]) matched++;
      pattern.borders[i] = static_cast<uint32_t>(matched);
    }
    patterns_.push_back(std::move(pattern));
  }
}

Mask::~Mask() {
  for (Pattern& pattern : patterns_) wipe(&pattern.text);
}

template <typename Found>
size_t Mask::search(const Pattern& pattern, size_t before, std::string_view data,
                    const Found& found) {
  size_t matched = before;
  for (size_t i = 0; i < data.size(); i++) {
    if (matched == 0) {
      const void* next = std::memchr(data.data() + i, pattern.text[0], data.size() - i);
      if (next == nullptr) return 0;
      i = static_cast<size_t>(static_cast<const char*>(next) - data.data());
    }
    while (matched > 0 && data[i] != pattern.text[matched]) matched = pattern.borders[matched - 1];
    if (data[i] == pattern.text[matched]) matched++;
    if (matched == pattern.text.size()) {
      found(i + 1);
      matched = pattern.borders[matched - 1];
    }
  }
  return matched;
}

std::string Mask::text(std::string_view text) const {
  MaskedStream stream(*this);
  std::string out = stream.feed(text);
  out += stream.finish();
  return out;
}

namespace {

json::value masked(const Mask& mask, const json::value& value) {
  if (value.is_string()) return json::value(mask.text(to_std(value.get_string())));
  if (value.is_array()) {
    json::array out;
    for (const json::value& element : value.get_array()) out.push_back(masked(mask, element));
    return out;
  }
  if (value.is_object()) {
    json::object out;
    for (const auto& member : value.get_object()) {
      out[to_json(mask.text(to_std(member.key())))] = masked(mask, member.value());
    }
    return out;
  }
  // Not as JSON, which has exponents where nobody would write them.
  const std::string text =
      value.is_double() ? fmt::format("{}", value.get_double()) : to_text(value);
  const std::string shown = mask.text(text);
  return shown == text ? value : json::value(shown);
}

}  // namespace

std::string Mask::json(std::string_view json) const {
  if (empty()) return std::string(json);
  const auto value = parse_json(json);
  return value ? to_text(masked(*this, *value)) : text(json);
}

std::string MaskedStream::feed(std::string_view data) {
  if (mask_.empty()) return std::string(data);
  const int64_t from = released_ + static_cast<int64_t>(waiting_.size());
  waiting_.append(data);
  const int64_t end = from + static_cast<int64_t>(data.size());
  int64_t known = end;
  std::vector<Range> found;
  for (size_t i = 0; i < matched_.size(); i++) {
    const Mask::Pattern& pattern = mask_.patterns_[i];
    const auto length = static_cast<int64_t>(pattern.text.size());
    matched_[i] = Mask::search(pattern, matched_[i], data, [&](size_t at) {
      const int64_t to = from + static_cast<int64_t>(at);
      if (!found.empty() && found.back().from <= to - length && to - length <= found.back().to) {
        found.back().to = std::max(found.back().to, to);
      } else {
        found.push_back({to - length, to});
      }
    });
    known = std::min(known, end - static_cast<int64_t>(matched_[i]));
  }
  found.insert(found.end(), covered_.begin(), covered_.end());
  covered_.clear();
  std::sort(found.begin(), found.end(),
            [](const Range& a, const Range& b) { return a.from < b.from; });
  for (const Range& range : found) cover(range);
  return release(known);
}

std::string MaskedStream::finish() {
  const int64_t end = released_ + static_cast<int64_t>(waiting_.size());
  const size_t longest = matched_.empty() ? 0 : *std::max_element(matched_.begin(), matched_.end());
  if (longest >= Mask::kBytesMin) cover({end - static_cast<int64_t>(longest), end});
  std::fill(matched_.begin(), matched_.end(), 0);
  return release(end);
}

// In the order of their beginnings.
void MaskedStream::cover(Range range) {
  while (!covered_.empty() && covered_.back().to >= range.from) {
    range = {std::min(range.from, covered_.back().from), std::max(range.to, covered_.back().to)};
    covered_.pop_back();
  }
  covered_.push_back(range);
}

std::string MaskedStream::release(int64_t until) {
  std::string out;
  int64_t at = released_;
  const auto show = [&](int64_t to) {
    if (to <= at) return;
    out += std::string_view(waiting_).substr(static_cast<size_t>(at - released_),
                                             static_cast<size_t>(to - at));
    in_value_ = false;
    at = to;
  };
  size_t done = 0;
  for (Range& range : covered_) {
    if (range.from >= until) break;
    show(range.from);
    if (!in_value_) out += kShown;
    in_value_ = true;
    at = std::min(range.to, until);
    range.from = at;
    if (range.to > until) break;
    done++;
  }
  show(until);
  covered_.erase(covered_.begin(), covered_.begin() + static_cast<ptrdiff_t>(done));
  waiting_.erase(0, static_cast<size_t>(until - released_));
  released_ = until;
  return out;
}

bool SecretSearch::feed(std::string_view data) {
  for (size_t i = 0; i < matched_.size() && !found_; i++) {
    matched_[i] =
        Mask::search(mask_.patterns_[i], matched_[i], data, [&](size_t) { found_ = true; });
  }
  return found_;
}

}  // namespace bcai::sandbox
