// SPDX-License-Identifier: Apache-2.0
#include "cli/findings.h"

#include <algorithm>

namespace bcai::cli {
namespace {

// Line `number` (from 1) of the code, without its end.
std::string_view line_of(std::string_view code, int number) {
  for (int i = 1; i < number; ++i) {
    const size_t end = code.find('\n');
    if (end == std::string_view::npos) return {};
    code.remove_prefix(end + 1);
  }
  std::string_view line = code.substr(0, code.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

size_t bytes_of_characters(std::string_view text, int count) {
  size_t bytes = 0;
  while (count-- > 0 && bytes < text.size()) {
    ++bytes;
    while (bytes < text.size() && static_cast<unsigned char>(text[bytes]) >> 6 == 2) ++bytes;
  }
  return bytes;
}

// Length of the well-formed sequence at the start of `text`, 0 when it is none (RFC 3629).
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  unsigned low = 0x80;
  unsigned high = 0xBF;
  size_t length = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  return length;
}

}  // namespace

std::string findings_with_source(const Screen& screen, const std::vector<Finding>& findings,
                                 std::string_view filename, std::string_view code) {
  std::string out;
  for (const Finding& finding : findings) {
    const bool in_code = finding.pointer == "/code" && finding.line > 0;
    std::string place = in_code ? std::string(filename) : printable(finding.pointer);
    if (in_code) place += fmt::format(":{}", finding.line);
    if (in_code && finding.column > 0) place += fmt::format(":{}", finding.column);
    if (!place.empty()) place += ": ";
    out +=
        fmt::format("{}{}\n", screen.styled_err(Style::kBold, place), printable(finding.message));
    if (!in_code) continue;
    std::string line(line_of(code, finding.line));
    if (line.empty()) continue;
    std::replace(line.begin(), line.end(), '\t', ' ');
    out += fmt::format("    {}\n", printable(line));
    if (finding.column < 1) continue;
    const int before = display_width(
        std::string_view(line).substr(0, bytes_of_characters(line, finding.column - 1)));
    out += fmt::format("    {}{}\n", std::string(static_cast<size_t>(before), ' '),
                       screen.styled_err(Style::kRed, "^"));
  }
  return out;
}

Result<void> check_utf8(std::string_view text, std::string_view filename) {
  int line = 1;
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = sequence_length(text.substr(at));
    if (length == 0) {
      return error(ErrorCode::kInvalidArgument,
                   "{}:{}: not UTF-8: byte 0x{:02x} at offset {} of the file", filename, line,
                   static_cast<unsigned>(static_cast<unsigned char>(text[at])), at);
    }
    if (text[at] == '\n') ++line;
    at += length;
  }
  return {};
}

}  // namespace bcai::cli
