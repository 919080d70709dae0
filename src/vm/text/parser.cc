// SPDX-License-Identifier: Apache-2.0
#include "vm/text/parser.h"

#include <algorithm>
#include <tuple>

#include "vm/program/name.h"
#include "vm/text/number.h"
#include "vm/text/text.h"

namespace bcai::vm {

std::optional<Program> parse_text(std::string_view text, std::vector<Finding>* findings) {
  if (text.size() > kTextBytesMax) {
    findings->push_back(
        {"", fmt::format("{} bytes, expected at most {} (V1)", text.size(), kTextBytesMax), 1, 1});
    return std::nullopt;
  }
  return TextParser(text, findings).parse();
}

TextParser::TextParser(std::string_view text, std::vector<Finding>* findings)
    : lexer_(text), findings_(findings), findings_before_(findings->size()) {
  token_ = lexer_.next();
  ahead_ = lexer_.next();
}

TextToken TextParser::take() {
  if (at('{')) ++braces_;
  if (at('}')) --braces_;
  return std::exchange(token_, std::exchange(ahead_, lexer_.next()));
}

bool TextParser::accept(char mark) {
  if (!at(mark)) return false;
  take();
  return true;
}

bool TextParser::expect(char mark) {
  return accept(mark) || fail(token_, "expected '{}', found {}", mark, describe(token_));
}

bool TextParser::expect_word(std::string_view word) {
  if (!at_word(word)) return fail(token_, "expected '{}', found {}", word, describe(token_));
  take();
  return true;
}

bool TextParser::expected(std::string_view what) {
  return fail(token_, "expected {}, found {}", what, describe(token_));
}

void TextParser::skip_lines() {
  while (at(Kind::kLineEnd)) take();
}

bool TextParser::accept_comma() {
  if (!accept(',')) return false;
  skip_lines();
  return true;
}

// To the end of the statement that began with `braces` open.
void TextParser::recover(int braces) {
  while (!at(Kind::kEnd) && !(braces_ <= braces && at_statement_end())) take();
}

void TextParser::stop() {
  lexer_ = TextLexer("");
  token_ = ahead_ = TextToken{};
  stopped_ = true;
}

void TextParser::add_finding(int line, int column, std::string message) {
  if (stopped_) return;
  findings_->push_back({"", std::move(message), line, column});
  if (findings_->size() - findings_before_ >= kTextFindingsMax) stop();
}

std::optional<Program> TextParser::parse() {
  skip_lines();
  if (!header()) recover(braces_);
  for (skip_lines(); !at(Kind::kEnd); skip_lines()) {
    const int braces = braces_;
    const bool fine = item() && (at(Kind::kLineEnd) || at(Kind::kEnd) || expected("a new line"));
    if (!fine) recover(braces);
    if (at('}')) take();  // one too many; the finding is there
  }
  resolve_calls();
  const auto first = findings_->begin() + static_cast<ptrdiff_t>(findings_before_);
  std::stable_sort(first, findings_->end(), [](const Finding& a, const Finding& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  if (first != findings_->end()) return std::nullopt;
  return std::move(program_);
}

bool TextParser::header() {
  if (!expect_word("bcvm")) return false;
  const TextToken version = token_;
  const size_t dot = version.text.find('.');
  if (!at(Kind::kDigits) || dot == std::string_view::npos) return expected("a version, as 1.0");
  const auto major = parse_unsigned(version.text.substr(0, dot));
  const auto minor = parse_unsigned(version.text.substr(dot + 1));
  if (!major || !minor || version.text != fmt::format("{}.{}", *major, *minor)) {
    return expected("a version, as 1.0");
  }
  if (*major != kFormatMajor || *minor > kFormatMinor) {
    return fail(version, "version {}, expected {}.0 to {}.{} (V4)", version.text, kFormatMajor,
                kFormatMajor, kFormatMinor);
  }
  take();
  program_.minor = static_cast<uint16_t>(*minor);
  return expect_word("profile") && expect_word("n1");
}

bool TextParser::item() {
  if (at_word("sym")) return symbols();
  if (at_word("weights")) return weights();
  if (at_word("func")) return function();
  if (at_word("checkpoints")) return checkpoints();
  return expected("sym, weights, func or checkpoints");
}

bool TextParser::symbols() {
  take();
  do {
    if (!symbol()) return false;
  } while (accept_comma());
  return true;
}

bool TextParser::symbol() {
  const TextToken place = token_;
  if (!at(Kind::kWord) || !is_symbol_name(place.text)) return expected("a symbol's name");
  take();
  Symbol symbol;
  symbol.name = place.text;
  if (!expect_word("in") || !expect('[') || !integer(&symbol.min) || !expect(',') ||
      !integer(&symbol.max) || !expect(']')) {
    return false;
  }
  if (at_word("mult")) {
    take();
    if (!integer(&symbol.multiple_of)) return false;
  }
  std::vector<Symbol>& symbols = program_.symbols;
  if (std::any_of(symbols.begin(), symbols.end(),
                  [&](const Symbol& other) { return other.name == symbol.name; })) {
    return fail(place, "{} is declared twice", symbol.name);
  }
  if (symbols.size() == kSymbolsMax) return fail(place, "more than {} symbols", kSymbolsMax);
  symbols.push_back(std::move(symbol));
  return true;
}

bool TextParser::weights() {
  take();
  const TextToken place = token_;
  WeightFile file;
  if (!at(Kind::kWord) && !at(Kind::kText)) return expected("the weight file's name");
  if (!name(take(), &file.name) || !expect_word("sha256") || !expect(':')) return false;
  const Result<Sha256> digest = Sha256::parse(token_.text);
  if (!digest) return expected("64 lower-case hexadecimal digits");
  file.sha256 = *digest;
  take();
  if (!expect_word("size")) return false;
  const std::optional<uint64_t> bytes = parse_unsigned(token_.text);
  if (!at(Kind::kDigits) || !bytes) return expected("a number of bytes");
  file.bytes = *bytes;
  take();
  const auto index = static_cast<uint32_t>(program_.files.size());
  if (!files_.emplace(file.name, index).second) {
    return fail(place, "weights {} are declared twice", describe(place));
  }
  program_.files.push_back(std::move(file));
  return true;
}

bool TextParser::checkpoints() {
  take();
  if (program_.functions.empty()) return fail(token_, "checkpoints come after the first function");
  do {
    if (!at(Kind::kValue)) return expected("a value");
    const auto found = main_names_.find(value_key(token_));
    if (found == main_names_.end()) {
      return fail(token_, "{} is not defined in @{}", describe(token_), program_.functions[0].name);
    }
    program_.checkpoints.push_back(found->second);
    take();
  } while (accept_comma());
  return true;
}

}  // namespace bcai::vm
