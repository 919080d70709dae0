// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "vm/text/number.h"
#include "vm/text/parser.h"

namespace bcai::vm {
namespace {

std::string names_of(const std::vector<AttributeSpec>& specs) {
  std::vector<std::string_view> names;
  for (const AttributeSpec& spec : specs) names.push_back(attribute_name(spec.attribute));
  return names.empty() ? "no attributes" : fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

bool TextParser::attributes(const InstructionInfo& info, Attributes* out) {
  take();
  skip_lines();
  if (accept('}')) return true;
  std::vector<Attr> seen;
  do {
    if (!attribute(info, &seen, out)) return false;
  } while (accept_comma());
  skip_lines();
  return expect('}');
}

bool TextParser::attribute(const InstructionInfo& info, std::vector<Attr>* seen, Attributes* out) {
  const std::vector<AttributeSpec>& specs = *info.attributes;
  const std::optional<Attr> attribute =
      at(Kind::kWord) ? parse_attribute(token_.text) : std::nullopt;
  const auto spec = std::find_if(specs.begin(), specs.end(), [&](const AttributeSpec& candidate) {
    return attribute == candidate.attribute;
  });
  if (spec == specs.end()) {
    return fail(token_, "{} takes {}, found {}", info.name, names_of(specs), describe(token_));
  }
  if (std::find(seen->begin(), seen->end(), *attribute) != seen->end()) {
    return fail(token_, "{} is given twice", token_.text);
  }
  seen->push_back(*attribute);
  take();
  AttributeValue value;
  if (!expect('=') || !attribute_value(*spec, &value)) return false;
  const bool is_default = spec->default_value && same_value(value, *spec->default_value);
  if (!is_default) out->set(*attribute, std::move(value));
  return true;
}

bool TextParser::attribute_value(const AttributeSpec& spec, AttributeValue* out) {
  switch (spec.kind) {
    case AttributeKind::kInt: return integer(&out->emplace<int64_t>());
    case AttributeKind::kBool: {
      if (!at(Kind::kDigits) || (token_.text != "0" && token_.text != "1")) {
        return expected("0 or 1");
      }
      *out = int64_t{take().text == "1"};
      return true;
    }
    case AttributeKind::kChoice: {
      const auto word = std::find(spec.words.begin(), spec.words.end(), token_.text);
      if (!at(Kind::kWord) || word == spec.words.end()) {
        return expected(fmt::format("{}", fmt::join(spec.words, ", ")));
      }
      *out = int64_t{word - spec.words.begin()};
      take();
      return true;
    }
    case AttributeKind::kFloat: {
      Number read;
      if (!number(&read)) return false;
      const std::optional<float> value = parse_float(read.negative, read.token.text);
      if (!value || !std::isfinite(*value)) {
        return fail(read.token, "expected a finite f32 (V19), found {}", describe(read.token));
      }
      *out = *value;
      return true;
    }
    case AttributeKind::kInts:
      return list(&out->emplace<std::vector<int64_t>>(), &TextParser::integer, kOperandsMax);
    case AttributeKind::kDims:
      return list(&out->emplace<std::vector<Dim>>(), &TextParser::dim, kOperandsMax);
  }
  return false;
}

template <typename T>
bool TextParser::list(std::vector<T>* out, bool (TextParser::*element)(T*), size_t max) {
  if (!expect('[')) return false;
  skip_lines();
  if (accept(']')) return true;
  do {
    if (out->size() == max) return fail(token_, "more than {} elements", max);
    if (!(this->*element)(&out->emplace_back())) return false;
  } while (accept_comma());
  skip_lines();
  return expect(']');
}
template bool TextParser::list(std::vector<TextParser::Number>* out,
                               bool (TextParser::*element)(TextParser::Number*), size_t max);

bool TextParser::constant(const TextToken& place, const std::vector<Number>& numbers,
                          const Type& type, uint32_t* reference) {
  const Dim elements = type.shape.elements();
  if (!elements.is_constant() || elements.value() != static_cast<int64_t>(numbers.size())) {
    return fail(place, "{} elements, expected those of {} (V28)", numbers.size(),
                to_text(type, program_.symbols));
  }
  std::string bytes;
  for (const Number& each : numbers) {
    if (!append_element(type.dtype, each.negative, each.token.text, &bytes)) {
      return fail(each.token, "expected an element of {}, found {}{}", dtype_name(type.dtype),
                  each.negative ? "-" : "", describe(each.token));
    }
  }
  const auto [entry, is_new] = constants_.emplace(to_text(type, program_.symbols) + bytes,
                                                  static_cast<uint32_t>(program_.constants.size()));
  *reference = entry->second;
  if (!is_new) return true;
  constant_bytes_ += bytes.size();
  if (bytes.size() > kConstantBytesMax || constant_bytes_ > kConstantsBytesMax) {
    return fail(place, "a constant has at most {} bytes, a program's together {} (V5)",
                kConstantBytesMax, kConstantsBytesMax);
  }
  program_.constants.push_back({type, std::move(bytes)});
  return true;
}

bool TextParser::param(const TextToken& place, uint32_t file, std::string tensor, const Type& type,
                       uint32_t* reference) {
  if (file >= program_.files.size()) return fail(place, "no weight file");
  const auto [entry, is_new] =
      params_.emplace(fmt::format("{} {} {}", file, to_text(type, program_.symbols), tensor),
                      static_cast<uint32_t>(program_.params.size()));
  *reference = entry->second;
  if (is_new) program_.params.push_back({file, std::move(tensor), type});
  return true;
}

}  // namespace bcai::vm
