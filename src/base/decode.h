// SPDX-License-Identifier: Apache-2.0
// Reads typed fields out of a JSON (or YAML) object and gathers every finding, each with its place,
// instead of stopping at the first. A field that is absent leaves its default.
//
//   Decoder in(value, "", &findings);
//   in.require("code", spec.code);
//   in.read("timeout", spec.timeout_s, {.min = 1, .max = 604800});
//   in.refuse_unknown();
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace bcai {

// pointer is a JSON pointer (RFC 6901), "" for the whole. line and column count from 1 and are 0
// where the text is not known (JSON bodies).
struct Finding {
  std::string pointer;
  std::string message;
  int line = 0;
  int column = 0;
};

// "/hardware/memory: expected …; /timeout: …", or with places "4:9: /timeout: …".
std::string findings_text(const std::vector<Finding>& findings);

struct IntRange {
  int64_t min = INT64_MIN;
  int64_t max = INT64_MAX;
};
// Of what is counted or measured: a few such add up without overflow.
inline constexpr IntRange kCount{0, INT64_MAX / 4};
struct FloatRange {
  double min = -1e300;
  double max = 1e300;
};
struct TextLimit {
  size_t bytes_min = 0;
  size_t bytes_max = 4096;
};

class Decoder {
 public:
  // `value` and `findings` must outlive the decoder. A value that is no object is a finding.
  Decoder(const json::value& value, std::string pointer, std::vector<Finding>* findings);

  void read(std::string_view key, std::string& out, TextLimit limit = {});
  void read(std::string_view key, bool& out);
  void read(std::string_view key, int64_t& out, IntRange range = {});
  void read(std::string_view key, int& out, IntRange range = {INT32_MIN, INT32_MAX});
  void read(std::string_view key, double& out, FloatRange range = {});
  void read(std::string_view key, std::vector<std::string>& out, size_t count_max = 64,
            TextLimit limit = {});
  void read(std::string_view key, std::map<std::string, std::string>& out, size_t count_max = 64,
            TextLimit limit = {});
  // Bytes: an integer, or text with a unit: "8GB", "512MiB".
  void read_bytes(std::string_view key, int64_t& out, IntRange range = {0, INT64_MAX});
  // One of the words; anything else is a finding that lists them.
  void read_word(std::string_view key, std::string& out, const std::vector<std::string>& words);

  template <typename T, typename... Limits>
  void require(std::string_view key, T& out, Limits... limits) {
    if (peek(key) == nullptr) {
      add(key, "is required");
    } else {
      read(key, out, limits...);
    }
  }

  // Calls `read_element` with a decoder for each element of an array.
  void read_each(std::string_view key, size_t count_max,
                 const std::function<void(Decoder&)>& read_element);

  // The member, or nullptr when absent or null. Marks the key as known.
  const json::value* take(std::string_view key);
  const json::value* peek(std::string_view key) const;

  // Adds a finding at a member of this object ("" for the object itself).
  void add(std::string_view key, std::string message);

  // A finding for each member that nothing has read, with the nearest known key.
  void refuse_unknown();

  std::string pointer_to(std::string_view key) const;
  std::vector<Finding>* findings() { return findings_; }

 private:
  bool wrong_type(std::string_view key, const json::value& found, std::string_view expected);

  const json::object* object_ = nullptr;
  std::string pointer_;
  std::vector<Finding>* findings_;
  std::vector<std::string> known_;
};

// The word of `words` nearest to `word` (edit distance at most 2), or "".
std::string nearest_word(std::string_view word, const std::vector<std::string>& words);

}  // namespace bcai
