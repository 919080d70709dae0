// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/range.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace bcai::coordinator {
namespace {

// Takes digits off the front of `text`.
std::optional<int64_t> take_number(std::string_view& text) {
  int64_t number = 0;
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

RangeAnswer part(int64_t offset, int64_t bytes) {
  return {RangeAnswer::Kind::kPart, offset, bytes};
}

}  // namespace

RangeAnswer read_range(std::string_view header, int64_t size) {
  const RangeAnswer whole{RangeAnswer::Kind::kWhole, 0, size};
  constexpr RangeAnswer kUnsatisfiable{RangeAnswer::Kind::kUnsatisfiable, 0, 0};
  if (!take(header, "bytes=")) return whole;
  if (take(header, "-")) {
    const std::optional<int64_t> suffix = take_number(header);
    if (!suffix || !header.empty()) return whole;
    if (*suffix == 0 || size == 0) return kUnsatisfiable;
    const int64_t bytes = std::min(*suffix, size);
    return part(size - bytes, bytes);
  }
  const std::optional<int64_t> first = take_number(header);
  if (!first || !take(header, "-")) return whole;
  int64_t last = size - 1;
  if (!header.empty()) {
    const std::optional<int64_t> given = take_number(header);
    if (!given || !header.empty() || *given < *first) return whole;
    last = std::min(*given, last);
  }
  if (*first >= size) return kUnsatisfiable;
  return part(*first, last - *first + 1);
}

Result<ContentRange> parse_content_range(std::string_view header) {
  const auto wrong = [whole = header] {
    return error(ErrorCode::kInvalidArgument,
                 "Content-Range: expected 'bytes FIRST-LAST/TOTAL' with FIRST <= LAST < TOTAL, "
                 "found '{}'",
                 whole.substr(0, 100));
  };
  if (!take(header, "bytes ")) return wrong();
  const std::optional<int64_t> first = take_number(header);
  if (!first || !take(header, "-")) return wrong();
  const std::optional<int64_t> last = take_number(header);
  if (!last || !take(header, "/")) return wrong();
  const std::optional<int64_t> total = take_number(header);
  if (!total || !header.empty() || *first > *last || *last >= *total) return wrong();
  return ContentRange{.offset = *first, .bytes = *last - *first + 1, .total = *total};
}

}  // namespace bcai::coordinator
