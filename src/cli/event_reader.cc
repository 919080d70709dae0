// SPDX-License-Identifier: Apache-2.0
#include "cli/event_reader.h"

namespace bcai::cli {

bool EventReader::feed(std::string_view piece) {
  while (!broken_ && !piece.empty()) {
    if (after_return_ && piece.front() == '\n') piece.remove_prefix(1);
    after_return_ = false;
    const size_t end = piece.find_first_of("\r\n");
    line_ += piece.substr(0, end);
    if (line_.size() + event_.data.size() > kEventBytesMax) {
      broken_ = true;
      break;
    }
    if (end == std::string_view::npos) break;
    after_return_ = piece[end] == '\r';
    piece.remove_prefix(end + 1);
    end_line();
    line_.clear();
  }
  return !broken_;
}

void EventReader::end_line() {
  std::string_view line = line_;
  if (first_line_ && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  first_line_ = false;
  if (line.empty()) {
    if (has_data_) {
      if (event_.event.empty()) event_.event = "message";
      take_(event_);
    }
    event_.event.clear();
    event_.data.clear();
    has_data_ = false;
    return;
  }
  const size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  } else if (field == "event") {
    event_.event = value;
  } else if (field == "id" && value.find('\0') == std::string_view::npos) {
    event_.id = value;
  }
}

}  // namespace bcai::cli
