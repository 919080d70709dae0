// SPDX-License-Identifier: Apache-2.0
#include "vm/isa/attribute.h"

#include <algorithm>
#include <bit>

namespace bcai::vm {
namespace {

struct Name {
  Attr attribute;
  std::string_view text;
};
constexpr Name kAttributeNames[] = {
#define BCAI_ATTRIBUTE(tag, Name, text) {Attr::k##Name, text},
#include "vm/isa/attributes.def"
#undef BCAI_ATTRIBUTE
};

}  // namespace

std::string_view attribute_name(Attr attribute) {
  for (const Name& name : kAttributeNames) {
    if (name.attribute == attribute) return name.text;
  }
  return "?";
}

std::optional<Attr> parse_attribute(std::string_view text) {
  for (const Name& name : kAttributeNames) {
    if (name.text == text) return name.attribute;
  }
  return std::nullopt;
}

std::optional<Attr> attribute_of_tag(uint64_t tag) {
  for (const Name& name : kAttributeNames) {
    if (static_cast<uint64_t>(name.attribute) == tag) return name.attribute;
  }
  return std::nullopt;
}

bool same_value(const AttributeValue& a, const AttributeValue& b) {
  const float* left = std::get_if<float>(&a);
  const float* right = std::get_if<float>(&b);
  if (left != nullptr && right != nullptr) {
    return std::bit_cast<uint32_t>(*left) == std::bit_cast<uint32_t>(*right);
  }
  return a == b;
}

void Attributes::set(Attr attribute, AttributeValue value) {
  const auto at =
      std::lower_bound(entries_.begin(), entries_.end(), attribute,
                       [](const Entry& entry, Attr tag) { return entry.attribute < tag; });
  if (at != entries_.end() && at->attribute == attribute) {
    at->value = std::move(value);
  } else {
    entries_.insert(at, {attribute, std::move(value)});
  }
}

void Attributes::erase(Attr attribute) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.attribute == attribute; });
}

const AttributeValue* Attributes::find(Attr attribute) const {
  for (const Entry& entry : entries_) {
    if (entry.attribute == attribute) return &entry.value;
  }
  return nullptr;
}

bool Attributes::operator==(const Attributes& other) const {
  return std::equal(entries_.begin(), entries_.end(), other.entries_.begin(), other.entries_.end(),
                    [](const Entry& a, const Entry& b) {
                      return a.attribute == b.attribute && same_value(a.value, b.value);
                    });
}

}  // namespace bcai::vm
