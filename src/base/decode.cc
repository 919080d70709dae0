// SPDX-License-Identifier: Apache-2.0
#include "base/decode.h"

#include <algorithm>

#include "base/clip.h"
#include "base/units.h"

namespace bcai {
namespace {

std::string describe(const json::value& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  return clip_utf8(to_text(value), 40);
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest_word(std::string_view word, const std::vector<std::string>& words) {
  std::string best;
  size_t best_distance = 3;
  if (word.size() > 64) return best;
  for (const std::string& candidate : words) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string findings_text(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    if (!text.empty()) text += "; ";
    if (finding.line > 0) text += fmt::format("{}:{}: ", finding.line, finding.column);
    if (!finding.pointer.empty()) text += finding.pointer + ": ";
    text += finding.message;
  }
  return text;
}

Decoder::Decoder(const json::value& value, std::string pointer, std::vector<Finding>* findings)
    : object_(value.if_object()), pointer_(std::move(pointer)), findings_(findings) {
  if (object_ == nullptr) add("", "expected an object, found " + describe(value));
}

std::string Decoder::pointer_to(std::string_view key) const {
  if (key.empty()) return pointer_;
  std::string pointer = pointer_ + "/";
  for (char c : key) {
    if (c == '~') {
      pointer += "~0";
    } else if (c == '/') {
      pointer += "~1";
    } else {
      pointer += c;
    }
  }
  return pointer;
}

void Decoder::add(std::string_view key, std::string message) {
  findings_->push_back({.pointer = pointer_to(key), .message = std::move(message)});
}

const json::value* Decoder::peek(std::string_view key) const {
  if (object_ == nullptr) return nullptr;
  const json::value* found = object_->if_contains(to_json(key));
  return found == nullptr || found->is_null() ? nullptr : found;
}

const json::value* Decoder::take(std::string_view key) {
  known_.emplace_back(key);
  return peek(key);
}

bool Decoder::wrong_type(std::string_view key, const json::value& found,
                         std::string_view expected) {
  add(key, fmt::format("expected {}, found {}", expected, describe(found)));
  return false;
}

void Decoder::read(std::string_view key, std::string& out, TextLimit limit) {
  const json::value* found = take(key);
  if (found == nullptr) return;
  if (!found->is_string()) {
    wrong_type(key, *found, "text");
    return;
  }
  const size_t size = found->get_string().size();
  if (size < limit.bytes_min || size > limit.bytes_max) {
    add(key, fmt::format("expected {} to {} bytes of text, found {}", limit.bytes_min,
                         limit.bytes_max, size));
    return;
  }
  out = to_std(found->get_string());
}

void Decoder::read(std::string_view key, bool& out) {
  const json::value* found = take(key);
  if (found == nullptr) return;
  if (found->is_bool()) {
    out = found->get_bool();
  } else {
    wrong_type(key, *found, "true or false");
  }
}

void Decoder::read(std::string_view key, int64_t& out, IntRange range) {
  const json::value* found = take(key);
  if (found == nullptr) return;
  if (found->is_uint64() ||
      (found->is_int64() && (found->get_int64() < range.min || found->get_int64() > range.max))) {
    add(key, fmt::format("expected {} to {}, found {}", range.min, range.max, describe(*found)));
  } else if (found->is_int64()) {
    out = found->get_int64();
  } else {
    wrong_type(key, *found, "a whole number");
  }
}

void Decoder::read(std::string_view key, int& out, IntRange range) {
  int64_t wide = out;
  read(key, wide, range);
  out = static_cast<int>(wide);
}

void Decoder::read(std::string_view key, double& out, FloatRange range) {
  const json::value* found = take(key);
  if (found == nullptr) return;
  if (!found->is_number()) {
    wrong_type(key, *found, "a number");
    return;
  }
  const double number = found->to_number<double>();
  if (number < range.min || number > range.max) {
    add(key, fmt::format("expected {} to {}, found {}", range.min, range.max, number));
    return;
  }
  out = number;
}

void Decoder::read(std::string_view key, std::vector<std::string>& out, size_t count_max,
                   TextLimit limit) {
  const json::value* found = take(key);
  if (found == nullptr) return;
  if (!found->is_array()) {
    wrong_type(key, *found, "an array of texts");
    return;
  }
  if (found->get_array().size() > count_max) {
    add(key, fmt::format("expected at most {} elements, found {}", count_max,
                         found->get_array().size()));
    return;
  }
  std::vector<std::string> read;
  for (const json::value& element : found->get_array()) {
    const std::string at = fmt::format("{}/{}", pointer_to(key), read.size());
    if (!element.is_string() || element.get_string().size() < limit.bytes_min ||
        element.get_string().size() > limit.bytes_max) {
      findings_->push_back(
          {.pointer = at,
           .message = fmt::format("expected text of {} to {} bytes, found {}", limit.bytes_min,
                                  limit.bytes_max, describe(element))});
      return;
    }
    read.emplace_back(to_std(element.get_string()));
  }
  out = std::move(read);
}

void Decoder::read(std::string_view key, std::map<std::string, std::string>& out, size_t count_max,
                   TextLimit limit) {
  const json::value* found = take(key);
  if (found == nullptr) return;
  if (!found->is_object() || found->get_object().size() > count_max) {
    wrong_type(key, *found, fmt::format("an object of at most {} texts", count_max));
    return;
  }
  Decoder members(*found, pointer_to(key), findings_);
  std::map<std::string, std::string> read;
  for (const auto& member : found->get_object()) {
    members.read(to_std(member.key()), read[std::string(to_std(member.key()))], limit);
  }
  out = std::move(read);
}

void Decoder::read_bytes(std::string_view key, int64_t& out, IntRange range) {
  const json::value* found = take(key);
  if (found == nullptr) return;
  int64_t bytes = 0;
  if (found->is_int64()) {
    bytes = found->get_int64();
  } else if (found->is_string()) {
    Result<int64_t> parsed = parse_bytes(to_std(found->get_string()));
    if (!parsed) {
      add(key, parsed.error().message);
      return;
    }
    bytes = *parsed;
  } else {
    wrong_type(key, *found, "bytes, such as 8589934592 or \"8GB\"");
    return;
  }
  if (bytes < range.min || bytes > range.max) {
    add(key, fmt::format("expected {} to {}, found {}", format_bytes(range.min),
                         format_bytes(range.max), describe(*found)));
    return;
  }
  out = bytes;
}

void Decoder::read_word(std::string_view key, std::string& out,
                        const std::vector<std::string>& words) {
  std::string word;
  const json::value* found = peek(key);
  read(key, word);
  if (found == nullptr || !found->is_string()) return;
  if (std::find(words.begin(), words.end(), word) == words.end()) {
    std::string list;
    for (const std::string& known : words) list += (list.empty() ? "" : ", ") + known;
    add(key, fmt::format("expected one of {}; found '{}'", list, clip_utf8(word, 64)));
    return;
  }
  out = word;
}

void Decoder::read_each(std::string_view key, size_t count_max,
                        const std::function<void(Decoder&)>& read_element) {
  const json::value* list = take(key);
  if (list == nullptr) return;
  if (!list->is_array() || list->get_array().size() > count_max) {
    add(key, fmt::format("expected an array of at most {} elements", count_max));
    return;
  }
  size_t index = 0;
  for (const json::value& element : list->get_array()) {
    Decoder decoder(element, fmt::format("{}/{}", pointer_to(key), index++), findings_);
    read_element(decoder);
  }
}

void Decoder::refuse_unknown() {
  if (object_ == nullptr) return;
  for (const auto& member : *object_) {
    const std::string key(to_std(member.key()));
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const std::string near = nearest_word(key, known_);
    add(clip_utf8(key, 64),
        near.empty() ? "unknown field" : fmt::format("unknown field; did you mean '{}'?", near));
  }
}

}  // namespace bcai
