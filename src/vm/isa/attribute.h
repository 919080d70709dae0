// SPDX-License-Identifier: Apache-2.0
// The attributes of an instruction: numbers fixed when the program is written.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "vm/isa/dim.h"

namespace bcai::vm {

enum class AttributeKind : uint8_t {
  kInt,     // int64_t in the range of its spec
  kFloat,   // float, finite, in the range of its spec
  kBool,    // int64_t 0 or 1
  kChoice,  // int64_t, the index into the spec's words
  kInts,    // vector<int64_t>, each in the range of its spec
  kDims,    // vector<Dim>
};

// A tag is the attribute's place in binary programs; it is never reused.
enum class Attr : uint8_t {
#define BCAI_ATTRIBUTE(tag, Name, text) k##Name = tag,
#include "vm/isa/attributes.def"
#undef BCAI_ATTRIBUTE
};

std::string_view attribute_name(Attr attribute);
std::optional<Attr> parse_attribute(std::string_view name);
std::optional<Attr> attribute_of_tag(uint64_t tag);

using AttributeValue = std::variant<int64_t, float, std::vector<int64_t>, std::vector<Dim>>;

// Equal in bits: a float's sign of zero counts.
bool same_value(const AttributeValue& a, const AttributeValue& b);

// One row of an instruction's table.
struct AttributeSpec {
  Attr attribute;
  AttributeKind kind;
  std::string_view meaning;
  // A missing attribute has this value. Without one it is required.
  std::optional<AttributeValue> default_value;
  int64_t min = INT64_MIN;  // kInt, kInts
  int64_t max = INT64_MAX;
  float float_min = -3.402823466e38F;  // kFloat
  float float_max = 3.402823466e38F;
  std::vector<std::string_view> words;  // kChoice
};

// Sorted by tag; holds no value equal to its default (canonical form).
class Attributes {
 public:
  struct Entry {
    Attr attribute;
    AttributeValue value;
  };

  // Replaces what was there.
  void set(Attr attribute, AttributeValue value);
  void erase(Attr attribute);
  const AttributeValue* find(Attr attribute) const;
  std::span<const Entry> entries() const { return entries_; }
  bool operator==(const Attributes& other) const;

 private:
  std::vector<Entry> entries_;
};

}  // namespace bcai::vm
