// SPDX-License-Identifier: Apache-2.0
#include "sandbox/mask.h"

#include <algorithm>
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

enum class Beyond : uint8_t { kAsTheyAre, kEscaped, kAsBytes };

// As repr(), ascii() and repr() of its bytes write it, without the quotes. Of what is beyond ASCII
// and cannot be printed repr() escapes some; here it is as it is.
std::string in_repr(std::string_view text, std::string_view single_quote, Beyond beyond) {
  std::string out;
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text.front());
    if (byte >= 0x80 && beyond == Beyond::kEscaped) {
      const uint32_t c = take_character(&text);
      out += c < 0x100     ? fmt::format("\\x{:02x}", c)
             : c < 0x10000 ? fmt::format("\\u{:04x}", c)
                           : fmt::format("\\U{:08x}", c);
      continue;
    }
    text.remove_prefix(1);
    switch (byte) {
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\'': out += single_quote; break;
      default:
        if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && beyond == Beyond::kAsBytes)) {
          out += fmt::format("\\x{:02x}", byte);
        } else {
          out += static_cast<char>(byte);
        }
    }
  }
  return out;
}

void add_forms(std::string_view text, std::vector<std::string>* forms) {
  const std::string quoted = to_text(json::value(json::string(text)));
  const std::string_view json = std::string_view(quoted).substr(1, quoted.size() - 2);
  forms->insert(forms->end(), {std::string(text), std::string(json), in_ascii(json)});
  // Whether a single quote is escaped hangs on what stands around it.
  for (const std::string_view single_quote : {"'", "\\'"}) {
    for (const Beyond beyond : {Beyond::kAsTheyAre, Beyond::kEscaped, Beyond::kAsBytes}) {
      forms->push_back(in_repr(text, single_quote, beyond));
    }
  }
}

}  // namespace

Mask::Mask(const std::vector<std::pair<std::string, std::string>>& secrets) {
  std::vector<std::string> forms;
  for (const auto& [name, value] : secrets) {
    std::string_view text = without_blanks(value);
    if (text.size() >= kBytesMin) add_forms(text, &forms);
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      const std::string_view line = without_blanks(text.substr(0, end));
      if (line.size() >= kLineBytesMin) add_forms(line, &forms);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }
  if (forms.empty()) return;
  size_t bytes = 1;
  for (const std::string& form : forms) bytes += form.size();
  states_.reserve(bytes);  // never moved, which would leave a copy
  states_.emplace_back();
  for (std::string& form : forms) {
    add(form);
    wipe(&form);
  }
  link();
}

Mask::~Mask() {
  wipe({reinterpret_cast<uint8_t*>(states_.data()), states_.size() * sizeof(State)});
}

void Mask::add(std::string_view form) {
  uint32_t state = 0;
  for (const char byte : form) {
    uint32_t longer = child(state, byte);
    if (longer == 0) {
      longer = static_cast<uint32_t>(states_.size());
      states_.push_back(
          {.length = states_[state].length + 1, .sibling = states_[state].child, .byte = byte});
      states_[state].child = longer;
      if (state == 0) first_[static_cast<unsigned char>(byte)] = longer;
    }
    state = longer;
  }
  states_[state].value = states_[state].length;
}

// The shorter ones first: what a state falls back to is shorter.
void Mask::link() {
  std::vector<uint32_t> order{0};
  order.reserve(states_.size());
  for (size_t i = 0; i < order.size(); i++) {
    const uint32_t parent = order[i];
    for (uint32_t at = states_[parent].child; at != 0; at = states_[at].sibling) {
      State& state = states_[at];
      if (parent != 0) state.shorter = next(states_[parent].shorter, state.byte);
      if (state.value == 0) state.value = states_[state.shorter].value;
      order.push_back(at);
    }
  }
}

uint32_t Mask::child(uint32_t state, char byte) const {
  if (state == 0) return first_[static_cast<unsigned char>(byte)];
  uint32_t at = states_[state].child;
  while (at != 0 && states_[at].byte != byte) at = states_[at].sibling;
  return at;
}

uint32_t Mask::next(uint32_t state, char byte) const {
  uint32_t longer = child(state, byte);
  while (longer == 0 && state != 0) {
    state = states_[state].shorter;
    longer = child(state, byte);
  }
  return longer;
}

template <typename Found>
uint32_t Mask::walk(uint32_t state, std::string_view data, const Found& found) const {
  for (size_t i = 0; i < data.size(); i++) {
    if (state == 0) {
      // Most of what is looked at begins nothing.
      while (i < data.size() && first_[static_cast<unsigned char>(data[i])] == 0) i++;
      if (i == data.size()) break;
    }
    state = next(state, data[i]);
    if (states_[state].value > 0) found(i + 1, states_[state].value);
    while (state != 0 && states_[state].child == 0) state = states_[state].shorter;
  }
  return state;
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
  state_ = mask_.walk(state_, data, [&](size_t at, uint32_t bytes) {
    const int64_t end = from + static_cast<int64_t>(at);
    cover({end - bytes, end});
  });
  return release(from + static_cast<int64_t>(data.size()) - mask_.states_[state_].length);
}

std::string MaskedStream::finish() {
  if (mask_.empty()) return "";
  const int64_t end = released_ + static_cast<int64_t>(waiting_.size());
  const uint32_t beginning = mask_.states_[state_].length;
  if (beginning >= Mask::kBytesMin) cover({end - beginning, end});
  state_ = 0;
  return release(end);
}

// In the order of their ends.
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
  if (mask_.empty() || found_) return found_;
  state_ = mask_.walk(state_, data, [&](size_t, uint32_t) { found_ = true; });
  return found_;
}

}  // namespace bcai::sandbox
