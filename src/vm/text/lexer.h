// SPDX-License-Identifier: Apache-2.0
// Cuts program text into tokens. Spaces and comments (# or ; to the end of the line) are left out;
// a line's end is a token, since it ends a statement.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bcai::vm {

enum class TextTokenKind : uint8_t {
  kEnd,
  kLineEnd,
  kWord,      // an identifier, or _
  kDigits,    // begins with a digit: 12, 1.5, 0x1p-3, also 6f00 of a digest
  kText,      // "…"
  kValue,     // %name, %12, %"…"
  kFunction,  // @name, @"…"
  kMark,      // any other single character
};

struct TextToken {
  TextTokenKind kind = TextTokenKind::kEnd;
  bool quoted = false;
  // Without %, @ and quotes; escapes as they are. Points into the text.
  std::string_view text;
  int line = 1;
  int column = 1;  // in bytes
};

class TextLexer {
 public:
  // The text must outlive the lexer and its tokens.
  explicit TextLexer(std::string_view text) : text_(text) {}
  TextToken next();

 private:
  void skip_blank();
  void read_quoted(TextToken* token);
  char at(size_t ahead) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  std::string_view text_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  int line_ = 1;
};

// For messages: "'}'", "the end of the line".
std::string describe(const TextToken& token);

// What stands between quotes, with its escapes resolved: \" \\ and \x00 to \x7f.
std::optional<std::string> unescape(std::string_view text);
// The canonical inverse, with quotes around it.
std::string quote(std::string_view text);

}  // namespace bcai::vm
