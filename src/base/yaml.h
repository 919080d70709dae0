// SPDX-License-Identifier: Apache-2.0
// YAML in, on libyaml's events: the value as JSON, and where each part of it stands. Strict, in the
// YAML 1.2 core schema: duplicate keys, unquoted values that YAML 1.1 reads otherwise (no, on, 012,
// 1:30, 2024-01-31), tags, anchors, aliases, merge keys, .inf, .nan and more than one document are
// errors. Keys are text as written. At most 64 levels, 100 000 nodes, 1 MiB.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/decode.h"
#include "base/json.h"

namespace bcai {

struct Place {
  int line = 0;  // both count from 1
  int column = 0;
};

struct YamlDocument {
  json::value value;                    // null when the text holds no document
  std::map<std::string, Place> places;  // by JSON pointer; of a member: where its value begins

  // Fills line and column of findings from `places`; a missing member takes its parent's place.
  void locate(std::vector<Finding>* findings) const;
};

// On error the result has no value; its message names each finding, "4:9: …; 7:1: …". The findings
// themselves, with line and column, are added to `findings` when it is given.
Result<YamlDocument> parse_yaml(std::string_view text, std::vector<Finding>* findings = nullptr);

}  // namespace bcai
