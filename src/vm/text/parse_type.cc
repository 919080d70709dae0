// SPDX-License-Identifier: Apache-2.0
#include "vm/program/name.h"
#include "vm/text/number.h"
#include "vm/text/parser.h"

namespace bcai::vm {

bool TextParser::name(const TextToken& token, std::string* out) {
  if (!token.quoted) {
    *out = token.text;
  } else if (std::optional<std::string> resolved = unescape(token.text)) {
    *out = *std::move(resolved);
  } else {
    return fail(token, "an escape is \\\", \\\\ or \\x00 to \\x7f");
  }
  return is_name(*out) ||
         fail(token, "a name is 1 to {} bytes of UTF-8, found {}", kNameBytesMax, out->size());
}

bool TextParser::number(Number* out) {
  out->negative = accept('-');
  if (!at(Kind::kDigits) && !at_word("inf") && !at_word("nan")) return expected("a number");
  out->token = take();
  return true;
}

bool TextParser::integer(int64_t* out) {
  const TextToken place = token_;
  Number read;
  if (!number(&read)) return false;
  const std::optional<int64_t> value = parse_integer(read.negative, read.token.text);
  if (!value) return fail(place, "expected a 64-bit integer, found {}", describe(read.token));
  *out = *value;
  return true;
}

bool TextParser::dim(Dim* out) {
  const TextToken place = token_;
  if (at(Kind::kDigits) && ahead_.kind == Kind::kMark &&
      (ahead_.text == "," || ahead_.text == "]")) {
    int64_t value = 0;
    if (!integer(&value)) return false;
    *out = Dim(value);
    return true;
  }
  if (!sum(out)) return false;
  return out->valid() || fail(place,
                              "a dimension overflows, divides by less than 1, or has more than {} "
                              "products, {} factors in one or {} in all",
                              kMonomialsMax, kDegreeMax, kDimFactorsMax);
}

bool TextParser::sum(Dim* out) {
  // A dimension has at most kDimFactorsMax nested quotients; parentheses are free to nest less.
  if (static_cast<size_t>(dim_depth_) > kDimFactorsMax) return fail(token_, "nested too deeply");
  ++dim_depth_;
  bool fine = product(accept('-'), out);
  while (fine && (at('+') || at('-'))) {
    const bool negative = take().text[0] == '-';
    Dim term;
    fine = product(negative, &term);
    *out = *out + term;
  }
  --dim_depth_;
  return fine;
}

bool TextParser::product(bool negative, Dim* out) {
  *out = Dim(negative ? -1 : 1);
  if (at(Kind::kDigits)) {
    // With its sign: the least integer has no positive counterpart.
    const std::optional<int64_t> value = parse_integer(negative, token_.text);
    if (!value) return fail(token_, "expected a 64-bit integer, found {}", describe(token_));
    *out = Dim(*value);
    take();
    if (!accept('*')) return true;
  }
  do {
    Dim next;
    if (!factor(&next)) return false;
    *out = *out * next;
  } while (accept('*'));
  return true;
}

bool TextParser::factor(Dim* out) {
  if (at(Kind::kDigits)) {
    int64_t value = 0;
    if (!integer(&value)) return false;
    *out = Dim(value);
    return true;
  }
  if (accept('(')) return sum(out) && expect(')');
  if (!at(Kind::kWord)) return expected("a dimension");
  if (at_word("floor_div") || at_word("ceil_div")) return quotient(out);
  const std::vector<Symbol>& symbols = program_.symbols;
  for (size_t i = 0; i < symbols.size(); ++i) {
    if (symbols[i].name == token_.text) {
      *out = Dim::symbol(static_cast<uint32_t>(i));
      take();
      return true;
    }
  }
  return fail(token_, "{} is not a symbol of this program", describe(token_));
}

bool TextParser::quotient(Dim* out) {
  const bool rounds_up = take().text == "ceil_div";
  Dim numerator;
  int64_t divisor = 0;
  if (!expect('(') || !sum(&numerator) || !expect(',') || !integer(&divisor) || !expect(')')) {
    return false;
  }
  *out = rounds_up ? ceil_div(numerator, divisor) : floor_div(numerator, divisor);
  return true;
}

bool TextParser::type(Type* out) {
  if (!at_word("state")) return tensor(out);
  take();
  out->is_state = true;
  return expect('<') && tensor(out) && expect('>');
}

bool TextParser::tensor(Type* out) {
  const std::optional<DType> dtype = at(Kind::kWord) ? parse_dtype(token_.text) : std::nullopt;
  if (!dtype) return expected("a type, as f32[2,3]");
  out->dtype = *dtype;
  take();
  if (!expect('[')) return false;
  if (accept(']')) return true;
  do {
    if (out->shape.rank() == kRankMax) return fail(token_, "more than {} dimensions", kRankMax);
    Dim size;
    if (!dim(&size)) return false;
    out->shape.push_back(std::move(size));
  } while (accept_comma());
  return expect(']');
}

}  // namespace bcai::vm
