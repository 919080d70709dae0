// SPDX-License-Identifier: Apache-2.0
#include "sandbox/control_lines.h"

#include <algorithm>
#include <charconv>

namespace bcai::sandbox {

void ControlLines::append(std::string_view part) {
  if (overlong_ || line_.size() + part.size() > kLineBytesMax) {
    overlong_ = true;
    line_.clear();
    return;
  }
  line_.append(part);
}

bool ControlLines::take_end() {
  constexpr std::string_view kBefore = "{\"ended\":";
  if (!line_.starts_with(kBefore) || !line_.ends_with('}')) return false;
  const char* end = line_.data() + line_.size() - 1;
  int code = 0;
  const auto [after, failed] = std::from_chars(line_.data() + kBefore.size(), end, code);
  if (failed != std::errc() || after != end) return false;
  ended_ = code;
  return true;
}

bool ControlLines::finish_line(Instant now) {
  if (take_end()) return false;
  const int64_t elapsed_ms = std::clamp<int64_t>((now - refilled_).count(), 0, 1000);
  const int64_t gained = elapsed_ms * kLinesPerSecondMax / 1000;
  if (gained > 0) {
    tokens_ = std::min(kLinesPerSecondMax, tokens_ + gained);
    refilled_ = now;
  }
  if (overlong_ || line_.empty() || tokens_ == 0) {
    if (!line_.empty() || overlong_) left_out_++;
    return false;
  }
  tokens_--;
  return true;
}

}  // namespace bcai::sandbox
