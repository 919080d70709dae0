// SPDX-License-Identifier: Apache-2.0
// Finds the values of a task's secrets in what it leaves, and puts "***" in their place. Known are
// a value as it is, without the blanks around it, and as JSON and Python's repr() write it; one of
// fewer than kBytesMin bytes would be found everywhere and is not looked for. Who encodes a value
// in another way is not caught.
//
// Knuth, Morris and Pratt's search, one pattern after the other: what comes in pieces is read once,
// whatever it holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bcai::sandbox {

// Immutable once made. Wipes its copies of the values when it goes.
class Mask {
 public:
  static constexpr size_t kBytesMin = 4;

  Mask() = default;
  explicit Mask(const std::vector<std::pair<std::string, std::string>>& secrets);
  ~Mask();
  Mask(const Mask&) = delete;
  Mask& operator=(const Mask&) = delete;

  bool empty() const { return patterns_.empty(); }
  // The text with "***" for each value, one for those that touch or overlap.
  std::string text(std::string_view text) const;
  // The same for each string in JSON, however it is escaped; a number that holds a value becomes a
  // string. Of what is no JSON, text().
  std::string json(std::string_view json) const;

 private:
  friend class MaskedStream;
  friend class SecretSearch;

  struct Pattern {
    std::string text;
    std::vector<uint32_t> borders;  // of each beginning: the longest that is its end too
  };
  // The length of the pattern's beginning that `data` ends with, when `before` of it stood before
  // `data`; calls found(end) for each whole one, which ends at data[end - 1].
  template <typename Found>
  static size_t search(const Pattern& pattern, size_t before, std::string_view data,
                       const Found& found);

  std::vector<Pattern> patterns_;
};

// Text that comes in pieces. What could be the beginning of a value waits until it is known.
class MaskedStream {
 public:
  explicit MaskedStream(const Mask& mask) : mask_(mask), matched_(mask.patterns_.size()) {}
  // What may be shown.
  std::string feed(std::string_view data);
  // The rest. The beginning of a value, of Mask::kBytesMin bytes or more, counts as one.
  std::string finish();

 private:
  struct Range {
    int64_t from;
    int64_t to;
  };
  void cover(Range range);
  std::string release(int64_t until);

  const Mask& mask_;
  std::vector<size_t> matched_;  // by pattern: of its beginning, at the end of what came
  std::string waiting_;
  int64_t released_ = 0;        // bytes before waiting_
  std::vector<Range> covered_;  // apart from each other, in order
  bool in_value_ = false;       // the last that was released was a value
};

// Whether bytes that come in pieces hold a value.
class SecretSearch {
 public:
  explicit SecretSearch(const Mask& mask) : mask_(mask), matched_(mask.patterns_.size()) {}
  // True from the piece on in which one ends.
  bool feed(std::string_view data);

 private:
  const Mask& mask_;
  std::vector<size_t> matched_;
  bool found_ = false;
};

}  // namespace bcai::sandbox
