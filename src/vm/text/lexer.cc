// SPDX-License-Identifier: Apache-2.0
#include "vm/text/lexer.h"

#include <fmt/format.h>

#include "base/ascii.h"

namespace bcai::vm {
namespace {

bool is_word_start(char c) { return is_letter(c) || c == '_'; }
bool is_word(char c) { return is_word_start(c) || is_digit(c) || c == '.'; }

size_t word_bytes(std::string_view text) {
  size_t size = 0;
  while (size < text.size() && is_word(text[size])) ++size;
  return size;
}

// A sign belongs to a number after the e of a decimal or the p of a hexadecimal one.
size_t number_bytes(std::string_view text) {
  const bool hex = text.size() > 1 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
  size_t size = 0;
  while (size < text.size()) {
    const char c = text[size];
    const char before = size > 0 ? text[size - 1] : '\0';
    const bool exponent =
        hex ? before == 'p' || before == 'P' : (before == 'e' || before == 'E') && size > 1;
    if (!is_word(c) && !((c == '+' || c == '-') && exponent)) break;
    ++size;
  }
  return size;
}

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

void TextLexer::skip_blank() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '#' || c == ';') {
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++at_;
    } else {
      return;
    }
  }
}

// Unterminated, it is a kMark of one quote.
void TextLexer::read_quoted(TextToken* token) {
  size_t end = at_ + 1;
  while (end < text_.size() && text_[end] != '"' && text_[end] != '\n') {
    end += text_[end] == '\\' && end + 1 < text_.size() && text_[end + 1] != '\n' ? 2 : 1;
  }
  if (end >= text_.size() || text_[end] != '"') {
    token->kind = TextTokenKind::kMark;
    token->text = text_.substr(at_, 1);
    at_ = end;
    return;
  }
  token->quoted = true;
  token->text = text_.substr(at_ + 1, end - at_ - 1);
  at_ = end + 1;
}

TextToken TextLexer::next() {
  skip_blank();
  TextToken token;
  token.line = line_;
  token.column = static_cast<int>(at_ - line_start_) + 1;
  if (at_ == text_.size()) return token;
  const char c = text_[at_];
  const auto take = [&](TextTokenKind kind, size_t size) {
    token.kind = kind;
    token.text = text_.substr(at_, size);
    at_ += size;
  };
  if (c == '\n') {
    take(TextTokenKind::kLineEnd, 1);
    ++line_;
    line_start_ = at_;
  } else if (is_word_start(c)) {
    take(TextTokenKind::kWord, word_bytes(text_.substr(at_)));
  } else if (is_digit(c)) {
    take(TextTokenKind::kDigits, number_bytes(text_.substr(at_)));
  } else if (c == '"') {
    token.kind = TextTokenKind::kText;
    read_quoted(&token);
  } else if ((c == '%' || c == '@') && (is_word(at(1)) || at(1) == '"')) {
    const TextTokenKind kind = c == '%' ? TextTokenKind::kValue : TextTokenKind::kFunction;
    ++at_;
    if (at(0) == '"') {
      token.kind = kind;
      read_quoted(&token);
    } else {
      take(kind, word_bytes(text_.substr(at_)));
    }
  } else {
    take(TextTokenKind::kMark, 1);
  }
  return token;
}

std::string describe(const TextToken& token) {
  switch (token.kind) {
    case TextTokenKind::kEnd: return "the end of the text";
    case TextTokenKind::kLineEnd: return "the end of the line";
    case TextTokenKind::kMark:
      if (token.text == "\"") return "a text without an end";
      if (token.text[0] < ' ' || token.text[0] > '~') {
        return fmt::format("the byte 0x{:02x}", static_cast<uint8_t>(token.text[0]));
      }
      break;
    default: break;
  }
  const std::string_view sigil = token.kind == TextTokenKind::kValue      ? "%"
                                 : token.kind == TextTokenKind::kFunction ? "@"
                                                                          : "";
  const std::string_view shown = token.text.substr(0, 60);
  return fmt::format("'{}{}{}'", sigil, shown, shown.size() < token.text.size() ? "…" : "");
}

std::optional<std::string> unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const char escape = i + 1 < text.size() ? text[i + 1] : '\0';
    if (escape == '"' || escape == '\\') {
      out += escape;
      i += 1;
    } else if (escape == 'x' && i + 3 < text.size()) {
      const int high = hex_digit(text[i + 2]);
      const int low = hex_digit(text[i + 3]);
      if (high < 0 || high > 7 || low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 3;
    } else {
      return std::nullopt;
    }
  }
  return out;
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (const auto byte = static_cast<uint8_t>(c); byte < ' ' || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace bcai::vm
