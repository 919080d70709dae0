// SPDX-License-Identifier: Apache-2.0
#include "packaging/version.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/ascii.h"

namespace bcai::packaging {
namespace {

constexpr size_t kDigitsMax = 15;  // dates as versions have 14
constexpr size_t kPartsMax = 16;
constexpr size_t kVersionBytesMax = 128;

// Takes words and numbers off the front of a version in lower case.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

  bool take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  // -1 when there is no number, or one too long to be meant.
  int64_t number() {
    size_t digits = 0;
    int64_t value = 0;
    while (digits < rest_.size() && digits <= kDigitsMax && is_digit(rest_[digits])) {
      value = value * 10 + (rest_[digits++] - '0');
    }
    if (digits == 0 || digits > kDigitsMax) return -1;
    rest_.remove_prefix(digits);
    return value;
  }
  bool at_digit() const { return !rest_.empty() && is_digit(rest_[0]); }
  // A separator, when one of the words stands behind it.
  template <size_t N>
  int word_of(const std::array<std::pair<std::string_view, int>, N>& words) {
    Reader ahead = *this;
    ahead.separator();
    for (const auto& [word, meaning] : words) {
      if (!ahead.take(word)) continue;
      *this = ahead;
      return meaning;
    }
    return -1;
  }
  bool separator() { return take(".") || take("-") || take("_"); }

  // The number behind "rc" and its like, 0 when left out.
  int64_t counter() {
    Reader ahead = *this;
    ahead.separator();
    if (!ahead.at_digit()) return 0;
    *this = ahead;
    return number();
  }

 private:
  std::string_view rest_;
};

constexpr std::array<std::pair<std::string_view, int>, 8> kPreWords{{{"alpha", 0},
                                                                     {"beta", 1},
                                                                     {"preview", 2},
                                                                     {"pre", 2},
                                                                     {"rc", 2},
                                                                     {"a", 0},
                                                                     {"b", 1},
                                                                     {"c", 2}}};
constexpr std::array<std::pair<std::string_view, int>, 3> kPostWords{
    {{"post", 0}, {"rev", 0}, {"r", 0}}};
constexpr std::array<std::pair<std::string_view, int>, 1> kDevWords{{{"dev", 0}}};

bool read_release(Reader& in, Version& version) {
  int64_t first = in.number();
  if (first < 0) return false;
  if (in.take("!")) {
    version.epoch = first;
    first = in.number();
    if (first < 0) return false;
  }
  version.release.push_back(first);
  while (in.rest().size() > 1 && in.rest()[0] == '.' && is_digit(in.rest()[1])) {
    in.separator();
    version.release.push_back(in.number());
    if (version.release.back() < 0 || version.release.size() > kPartsMax) return false;
  }
  return true;
}

bool read_suffixes(Reader& in, Version& version) {
  if (const int kind = in.word_of(kPreWords); kind >= 0) {
    version.pre_kind = kind;
    version.pre = in.counter();
    if (version.pre < 0) return false;
  }
  if (in.word_of(kPostWords) >= 0) {
    version.post = in.counter();
    if (version.post < 0) return false;
  } else if (in.rest().size() > 1 && in.rest()[0] == '-' && is_digit(in.rest()[1])) {
    in.separator();
    version.post = in.number();
    if (version.post < 0) return false;
  }
  if (in.word_of(kDevWords) >= 0) {
    version.dev = in.counter();
    if (version.dev < 0) return false;
  }
  return true;
}

// A development release sorts before the pre-releases of what it leads to.
int pre_rank(const Version& version) {
  if (version.pre_kind != Version::kNoPre) return version.pre_kind;
  return version.dev >= 0 && version.post < 0 ? -1 : Version::kNoPre;
}

}  // namespace

Result<Version> Version::parse(std::string_view text) {
  const auto wrong = [&] {
    return error(ErrorCode::kInvalidArgument, "'{}' is not a version", text.substr(0, 64));
  };
  if (text.empty() || text.size() > kVersionBytesMax) return wrong();
  const std::string lowered = lower(text.substr(0, text.find('+')));
  Reader in(lowered);
  in.take("v");
  Version version;
  if (!read_release(in, version) || !read_suffixes(in, version) || !in.done()) return wrong();
  return version;
}

std::strong_ordering compare_release(const Version& a, const Version& b) {
  if (a.epoch != b.epoch) return a.epoch <=> b.epoch;
  for (size_t i = 0; i < std::max(a.release.size(), b.release.size()); ++i) {
    const int64_t left = i < a.release.size() ? a.release[i] : 0;
    const int64_t right = i < b.release.size() ? b.release[i] : 0;
    if (left != right) return left <=> right;
  }
  return std::strong_ordering::equal;
}

std::strong_ordering compare(const Version& a, const Version& b) {
  const auto by_release = compare_release(a, b);
  if (by_release != 0) return by_release;
  if (pre_rank(a) != pre_rank(b)) return pre_rank(a) <=> pre_rank(b);
  if (a.pre != b.pre) return a.pre <=> b.pre;
  if (a.post != b.post) return a.post <=> b.post;
  const int64_t dev_a = a.dev < 0 ? INT64_MAX : a.dev;
  const int64_t dev_b = b.dev < 0 ? INT64_MAX : b.dev;
  return dev_a <=> dev_b;
}

bool is_within(const Version& version, const Version& prefix) {
  if (version.epoch != prefix.epoch) return false;
  for (size_t i = 0; i < prefix.release.size(); ++i) {
    if ((i < version.release.size() ? version.release[i] : 0) != prefix.release[i]) return false;
  }
  return true;
}

}  // namespace bcai::packaging
