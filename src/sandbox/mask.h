// SPDX-License-Identifier: Apache-2.0
// Finds the values of a task's secrets in what it leaves, and puts "***" in their place. Known are
// a value without the blanks around it, and each of its lines when it has several; these as they
// are, as JSON writes them, as Python's repr() and ascii() do, and its repr() of their bytes. What
// is shorter than kBytesMin, as a line than kLineBytesMin, would be found everywhere and is not
// looked for. Who encodes a value in another way is not caught. The runner has the same
// (python/bcai/_secrets.py), for what it cuts itself.
//
// Aho and Corasick's search: what comes in pieces is read once, however many values there are.
#pragma once

#include <array>
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
  static constexpr size_t kLineBytesMin = 8;

  Mask() = default;
  explicit Mask(const std::vector<std::pair<std::string, std::string>>& secrets);
  ~Mask();
  Mask(const Mask&) = delete;
  Mask& operator=(const Mask&) = delete;

  bool empty() const { return states_.empty(); }
  // The text with "***" for each value, one for those that touch or overlap.
  std::string text(std::string_view text) const;
  // The same for each string in JSON, however it is escaped; a number that holds a value becomes a
  // string. Of what is no JSON, text().
  std::string json(std::string_view json) const;

 private:
  friend class MaskedStream;
  friend class SecretSearch;

  // Stands for the longest beginning of a form that the text so far ends with. The first is that
  // of none.
  struct State {
    uint32_t length = 0;
    uint32_t value = 0;    // bytes of the longest form that the text ends with
    uint32_t shorter = 0;  // the state of the next shorter beginning that the text ends with
    uint32_t child = 0;    // the first of the states that are one byte longer; 0: none
    uint32_t sibling = 0;  // the next of the same parent; 0: none
    char byte = 0;         // the last
  };
  void add(std::string_view form);
  void link();
  uint32_t child(uint32_t state, char byte) const;
  uint32_t next(uint32_t state, char byte) const;
  // The state after the data, as far as a form can still go on from it. Calls found(end, bytes) for
  // the longest form that ends at data[end - 1].
  template <typename Found>
  uint32_t walk(uint32_t state, std::string_view data, const Found& found) const;

  std::vector<State> states_;
  std::array<uint32_t, 256> first_{};  // the states of one byte
};

// Text that comes in pieces. What could be the beginning of a value waits until it is known.
class MaskedStream {
 public:
  explicit MaskedStream(const Mask& mask) : mask_(mask) {}
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
  uint32_t state_ = 0;
  std::string waiting_;
  int64_t released_ = 0;        // bytes before waiting_
  std::vector<Range> covered_;  // apart from each other, in order
  bool in_value_ = false;       // the last that was released was a value
};

// Whether bytes that come in pieces hold a value.
class SecretSearch {
 public:
  explicit SecretSearch(const Mask& mask) : mask_(mask) {}
  // True from the piece on in which one ends.
  bool feed(std::string_view data);

 private:
  const Mask& mask_;
  uint32_t state_ = 0;
  bool found_ = false;
};

}  // namespace bcai::sandbox
