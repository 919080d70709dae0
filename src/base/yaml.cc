// SPDX-License-Identifier: Apache-2.0
#include "base/yaml.h"

#include <yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/ascii.h"

namespace bcai {
namespace {

constexpr size_t kTextBytesMax = size_t{1} << 20;
constexpr int kDepthMax = 64;
constexpr size_t kNodesMax = 100'000;
// Pointers repeat the keys above them: a long key over many elements would cost gigabytes.
constexpr size_t kPointerBytesMax = size_t{16} << 20;
constexpr size_t kFindingsMax = 20;

bool all_of(std::string_view text, bool (*holds)(char)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), holds);
}

std::string_view without_sign(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return text;
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

// [0-9]+(:[0-5]?[0-9])+(\.[0-9]*)? is a number to base 60 in YAML 1.1.
bool is_sexagesimal(std::string_view text) {
  size_t colon = text.find(':');
  if (colon == std::string_view::npos || !all_of(text.substr(0, colon), is_digit)) return false;
  while (colon != std::string_view::npos) {
    const size_t next = text.find(':', colon + 1);
    std::string_view group = text.substr(colon + 1, next - colon - 1);
    if (next == std::string_view::npos) group = group.substr(0, group.find('.'));
    if (group.empty() || group.size() > 2 || !all_of(group, is_digit)) return false;
    if (group.size() == 2 && group[0] > '5') return false;
    colon = next;
  }
  return true;
}

// 2024-1-31, 2024-01-31T10:00:00Z.
bool is_date(std::string_view text) {
  if (text.size() < 8 || !all_of(text.substr(0, 4), is_digit) || text[4] != '-') return false;
  size_t at = 5;
  const auto one_or_two = [&] {
    const size_t start = at;
    while (at < text.size() && at < start + 2 && is_digit(text[at])) ++at;
    return at > start;
  };
  if (!one_or_two() || at >= text.size() || text[at++] != '-' || !one_or_two()) return false;
  return at == text.size() || text[at] == 'T' || text[at] == 't' || text[at] == ' ';
}

// What YAML 1.1 readers take the word for, when that is not what YAML 1.2 says; else "".
std::string_view other_reading(std::string_view text) {
  if (is_one_of(text, {"y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "on", "On", "ON",
                       "off", "Off", "OFF"})) {
    return "true or false";
  }
  const std::string_view digits = without_sign(text);
  const auto digit_or_gap = [](char c) { return is_digit(c) || c == '_'; };
  if (digits.size() > 1 && digits[0] == '0' && all_of(digits, digit_or_gap)) {
    return "an octal number";
  }
  if (digits.starts_with("0b") && all_of(digits.substr(2), digit_or_gap)) return "a binary number";
  if (digits.find('_') != std::string_view::npos && is_digit(digits.empty() ? '_' : digits[0]) &&
      all_of(digits, [](char c) { return is_digit(c) || c == '_' || c == '.'; })) {
    return "a number";
  }
  if (is_sexagesimal(digits)) return "a number to base 60";
  if (is_date(text)) return "a date";
  return "";
}

// [0-9]*(\.[0-9]*)?([eE][-+]?[0-9]+)? with a digit before the exponent.
bool is_decimal(std::string_view text) {
  size_t at = 0;
  size_t count = 0;
  const auto digits = [&] {
    const size_t start = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at - start;
  };
  count += digits();
  if (at < text.size() && text[at] == '.') {
    ++at;
    count += digits();
  }
  if (count == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

class Reader {
 public:
  Reader(std::string_view text, std::vector<Finding>* findings) : text_(text), findings_(findings) {
    BCAI_ASSERT(yaml_parser_initialize(&parser_) == 1);
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  ~Reader() {
    drop_event();
    yaml_parser_delete(&parser_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  YamlDocument read() {
    if (next() && event_.type == YAML_STREAM_START_EVENT && next()) {
      if (event_.type == YAML_DOCUMENT_START_EVENT) read_document();
    }
    return std::move(document_);
  }

 private:
  // Reads the next event into event_; false after a finding that ends the reading.
  bool next() {
    if (stopped_) return false;
    drop_event();
    if (yaml_parser_parse(&parser_, &event_) == 0) {
      add_syntax_finding();
      stopped_ = true;
      return false;
    }
    have_event_ = true;
    return true;
  }

  void drop_event() {
    if (have_event_) yaml_event_delete(&event_);
    have_event_ = false;
  }

  static Place place_of(const yaml_mark_t& mark) {
    return {static_cast<int>(mark.line) + 1, static_cast<int>(mark.column) + 1};
  }

  void add(Place place, std::string pointer, std::string message) {
    if (findings_->size() >= kFindingsMax) {
      stopped_ = true;
      return;
    }
    findings_->push_back({.pointer = std::move(pointer),
                          .message = std::move(message),
                          .line = place.line,
                          .column = place.column});
  }

  void stop(Place place, std::string pointer, std::string message) {
    add(place, std::move(pointer), std::move(message));
    stopped_ = true;
  }

  // libyaml gives the reader's own errors (encoding, control characters) as a byte offset.
  Place place_of_offset(size_t offset) const {
    Place place{1, 1};
    for (char c : text_.substr(0, std::min(offset, text_.size()))) {
      if (c == '\n') {
        place = {place.line + 1, 1};
      } else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) {
        place.column += 1;
      }
    }
    return place;
  }

  void add_syntax_finding() {
    const std::string problem = parser_.problem == nullptr ? "not YAML" : parser_.problem;
    if (parser_.error == YAML_READER_ERROR) {
      add(place_of_offset(parser_.problem_offset), "", problem);
      return;
    }
    const Place place = place_of(parser_.problem_mark);
    const size_t index = parser_.problem_mark.index;
    if (parser_.error == YAML_SCANNER_ERROR && tab_at(index)) {
      add(place, "", "a tab; indent with spaces");
      return;
    }
    std::string message = problem;
    if (parser_.context != nullptr) {
      const Place begin = place_of(parser_.context_mark);
      message += fmt::format(" {} that begins at {}:{}", parser_.context, begin.line, begin.column);
    }
    add(place, "", std::move(message));
  }

  // `index` counts characters.
  bool tab_at(size_t index) const {
    for (size_t i = 0; i < text_.size(); ++i) {
      if ((static_cast<unsigned char>(text_[i]) & 0xC0) == 0x80) continue;
      if (index-- == 0) return text_[i] == '\t';
    }
    return false;
  }

  void read_document() {
    const auto& start = event_.data.document_start;
    if (start.version_directive != nullptr && start.version_directive->minor < 2) {
      stop(place_of(event_.start_mark), "", "expected YAML 1.2; drop the %YAML line");
    }
    if (start.tag_directives.start != start.tag_directives.end) {
      stop(place_of(event_.start_mark), "", "tags are not supported; drop the %TAG line");
    }
    if (!next()) return;
    document_.value = read_node("", 0);
    if (!next() || !next()) return;  // the document's end, and what follows
    if (event_.type != YAML_STREAM_END_EVENT) {
      stop(place_of(event_.start_mark), "", "expected one document, found another");
    }
  }

  // The node that begins with event_; on return event_ is its last event.
  json::value read_node(const std::string& pointer, int depth) {
    const Place place = place_of(event_.start_mark);
    pointer_bytes_ += pointer.size();
    if (depth > kDepthMax) {
      stop(place, "", fmt::format("more than {} levels", kDepthMax));
    } else if (++nodes_ > kNodesMax || pointer_bytes_ > kPointerBytesMax) {
      stop(place, "", fmt::format("more than {} values, or keys too long", kNodesMax));
    }
    if (stopped_) return nullptr;
    document_.places[pointer] = place;
    switch (event_.type) {
      case YAML_SCALAR_EVENT:
        refuse_tag(event_.data.scalar.tag, event_.data.scalar.anchor, place, pointer);
        return read_scalar(place, pointer);
      case YAML_SEQUENCE_START_EVENT:
        refuse_tag(event_.data.sequence_start.tag, event_.data.sequence_start.anchor, place,
                   pointer);
        return read_sequence(pointer, depth);
      case YAML_MAPPING_START_EVENT:
        refuse_tag(event_.data.mapping_start.tag, event_.data.mapping_start.anchor, place, pointer);
        return read_mapping(pointer, depth);
      default:
        add(place, pointer, "aliases are not supported; write the value out");
        return nullptr;
    }
  }

  void refuse_tag(const yaml_char_t* tag, const yaml_char_t* anchor, Place place,
                  const std::string& pointer) {
    if (tag != nullptr) add(place, pointer, "tags are not supported");
    if (anchor != nullptr) add(place, pointer, "anchors are not supported");
  }

  json::value read_sequence(const std::string& pointer, int depth) {
    json::array array;
    while (next() && event_.type != YAML_SEQUENCE_END_EVENT) {
      array.push_back(read_node(fmt::format("{}/{}", pointer, array.size()), depth + 1));
    }
    return array;
  }

  json::value read_mapping(const std::string& pointer, int depth) {
    json::object object;
    while (next() && event_.type != YAML_MAPPING_END_EVENT) {
      const Place place = place_of(event_.start_mark);
      if (event_.type != YAML_SCALAR_EVENT) {
        stop(place, pointer, "expected a word as the key");
        break;
      }
      const auto& scalar = event_.data.scalar;
      const std::string key(reinterpret_cast<const char*>(scalar.value), scalar.length);
      const bool plain = scalar.style == YAML_PLAIN_SCALAR_STYLE;
      refuse_tag(scalar.tag, scalar.anchor, place, pointer);
      if (plain && (key.empty() || key == "<<")) {
        add(place, pointer,
            key.empty() ? "expected a key before ':'" : "merge keys are not supported");
      }
      const std::string at = pointer + '/' + escaped(key);
      const auto earlier = document_.places.find(at);
      if (earlier != document_.places.end()) {
        add(place, at,
            fmt::format("duplicate key '{}'; the first one's value is at {}:{}", key.substr(0, 64),
                        earlier->second.line, earlier->second.column));
      }
      if (!next()) break;
      object[to_json(key)] = read_node(at, depth + 1);
    }
    return object;
  }

  static std::string escaped(std::string_view key) {
    std::string out;
    for (char c : key) {
      if (c == '~') {
        out += "~0";
      } else if (c == '/') {
        out += "~1";
      } else {
        out += c;
      }
    }
    return out;
  }

  json::value read_scalar(Place place, const std::string& pointer) {
    const auto& scalar = event_.data.scalar;
    const std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    if (scalar.style != YAML_PLAIN_SCALAR_STYLE) return to_json(text);
    if (is_one_of(text, {"", "~", "null", "Null", "NULL"})) return nullptr;
    if (is_one_of(text, {"true", "True", "TRUE"})) return true;
    if (is_one_of(text, {"false", "False", "FALSE"})) return false;
    const std::string_view other = other_reading(text);
    if (!other.empty()) {
      add(place, pointer,
          fmt::format("'{}' is {} to some readers: quote this", text.substr(0, 64), other));
      return nullptr;
    }
    return read_number(text, place, pointer);
  }

  json::value read_number(std::string_view text, Place place, const std::string& pointer) {
    const std::string_view digits = without_sign(text);
    if (is_one_of(digits, {".inf", ".Inf", ".INF"}) || is_one_of(text, {".nan", ".NaN", ".NAN"})) {
      add(place, pointer, fmt::format("expected a finite number, found {}", text));
      return nullptr;
    }
    int base = 0;
    std::string_view whole = text.starts_with('+') ? digits : text;
    if (all_of(digits, is_digit)) base = 10;
    if (text.starts_with("0o") || text.starts_with("0x")) {
      base = text[1] == 'o' ? 8 : 16;
      whole = text.substr(2);
    }
    if (base != 0) {
      int64_t number = 0;
      const auto [end, code] =
          std::from_chars(whole.data(), whole.data() + whole.size(), number, base);
      if (code == std::errc::result_out_of_range) {
        add(place, pointer, fmt::format("{} is out of range", text.substr(0, 64)));
        return nullptr;
      }
      const bool prefixed_sign = base != 10 && whole.starts_with('-');
      if (code == std::errc() && end == whole.data() + whole.size() && !prefixed_sign) {
        return number;
      }
      return to_json(text);
    }
    if (!is_decimal(digits)) return to_json(text);
    double number = 0;
    const std::string_view decimal = text.starts_with('+') ? digits : text;
    const auto [end, code] =
        std::from_chars(decimal.data(), decimal.data() + decimal.size(), number);
    if (code != std::errc() || !std::isfinite(number)) {
      add(place, pointer, fmt::format("{} is out of range", text.substr(0, 64)));
      return nullptr;
    }
    return number;
  }

  std::string_view text_;
  std::vector<Finding>* findings_;
  yaml_parser_t parser_{};
  yaml_event_t event_{};
  bool have_event_ = false;
  bool stopped_ = false;
  size_t nodes_ = 0;
  size_t pointer_bytes_ = 0;
  YamlDocument document_;
};

}  // namespace

void YamlDocument::locate(std::vector<Finding>* findings) const {
  for (Finding& finding : *findings) {
    if (finding.line > 0) continue;
    std::string pointer = finding.pointer;
    auto found = places.find(pointer);
    while (found == places.end() && !pointer.empty()) {
      pointer.resize(pointer.rfind('/') == std::string::npos ? 0 : pointer.rfind('/'));
      found = places.find(pointer);
    }
    const Place place = found == places.end() ? Place{1, 1} : found->second;
    finding.line = place.line;
    finding.column = place.column;
  }
}

Result<YamlDocument> parse_yaml(std::string_view text, std::vector<Finding>* findings) {
  if (text.size() > kTextBytesMax) {
    Finding finding{.pointer = "",
                    .message = fmt::format("more than 1 MiB of YAML: {} bytes", text.size()),
                    .line = 1,
                    .column = 1};
    if (findings != nullptr) findings->push_back(finding);
    return error(ErrorCode::kInvalidArgument, "{}", findings_text({finding}));
  }
  std::vector<Finding> found;
  YamlDocument document = Reader(text, &found).read();
  if (found.empty()) return document;
  if (findings != nullptr) findings->insert(findings->end(), found.begin(), found.end());
  return error(ErrorCode::kInvalidArgument, "{}", findings_text(found));
}

}  // namespace bcai
