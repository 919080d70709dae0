// SPDX-License-Identifier: Apache-2.0
#include "cli/screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <memory>

namespace bcai::cli {
namespace {

std::string_view escape_of(Style style) {
  switch (style) {
    case Style::kDim: return "\033[2m";
    case Style::kBold: return "\033[1m";
    case Style::kRed: return "\033[31m";
    case Style::kGreen: return "\033[32m";
    case Style::kYellow: return "\033[33m";
    case Style::kCyan: return "\033[36m";
    case Style::kPlain: break;
  }
  return "";
}

std::string styled(bool colour, Style style, std::string_view text) {
  const std::string_view escape = escape_of(style);
  if (!colour || escape.empty() || text.empty()) return std::string(text);
  return fmt::format("{}{}\033[0m", escape, text);
}

// SIGPIPE is ignored by the program; a reader that left is no error of the command.
std::function<void(std::string_view)> writer(int fd) {
  return [fd, closed = std::make_shared<bool>(false)](std::string_view text) {
    while (!text.empty() && !*closed) {
      const ssize_t written = write(fd, text.data(), text.size());
      if (written >= 0) {
        text.remove_prefix(static_cast<size_t>(written));
      } else if (errno == EAGAIN) {
        pollfd wait{.fd = fd, .events = POLLOUT, .revents = 0};
        poll(&wait, 1, 1000);
      } else if (errno != EINTR) {
        *closed = true;
      }
    }
  };
}

int terminal_width(const Environment& environment) {
  winsize size{};
  for (int fd : {STDERR_FILENO, STDOUT_FILENO}) {
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  }
  const std::string& columns = variable(environment, "COLUMNS");
  int width = 0;
  std::from_chars(columns.data(), columns.data() + columns.size(), width);
  return width >= 20 && width <= 1000 ? width : 80;
}

// Decodes one code point at the start of `text`, or takes one ill-formed byte.
struct Point {
  uint32_t value = 0xFFFD;
  size_t bytes = 1;
};
Point first_point(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const size_t length = lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
  if (length == 0 || length > text.size()) return {};
  uint32_t value = lead & (0xFFU >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if (next >> 6 != 2) return {};
    value = value << 6 | (next & 63U);
  }
  return {value, length};
}

int width_of(uint32_t point) {
  if ((point >= 0x300 && point <= 0x36F) || (point >= 0x200B && point <= 0x200F) ||
      (point >= 0xFE00 && point <= 0xFE0F)) {
    return 0;
  }
  const bool wide = (point >= 0x1100 && point <= 0x115F) || (point >= 0x2E80 && point <= 0xA4CF) ||
                    (point >= 0xAC00 && point <= 0xD7A3) || (point >= 0xF900 && point <= 0xFAFF) ||
                    (point >= 0xFE30 && point <= 0xFE6F) || (point >= 0xFF00 && point <= 0xFF60) ||
                    (point >= 0x1F300 && point <= 0x1FAFF) ||
                    (point >= 0x20000 && point <= 0x3FFFD);
  return wide ? 2 : 1;
}

std::string without_controls(std::string_view line) {
  std::string shown;
  while (!line.empty()) {
    const Point point = first_point(line);
    const bool control = point.value < 0x20 || (point.value >= 0x7F && point.value < 0xA0);
    if (control) {
      shown += '?';
    } else if (point.value == 0xFFFD && point.bytes == 1) {
      shown += "\xEF\xBF\xBD";
    } else {
      shown += line.substr(0, point.bytes);
    }
    line.remove_prefix(point.bytes);
  }
  return shown;
}

// The first line keeps its blanks, an empty one is dropped.
std::string joined_lines(std::string_view text, std::string_view between) {
  const size_t first = std::min(text.find('\n'), text.size());
  std::string shown = without_controls(text.substr(0, first));
  text.remove_prefix(first);
  while (!text.empty()) {
    text.remove_prefix(std::min(text.find_first_not_of("\n "), text.size()));
    const size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) shown.append(between).append(without_controls(text.substr(0, end)));
    text.remove_prefix(end);
  }
  return shown;
}

}  // namespace

std::string Screen::styled_out(Style style, std::string_view text) const {
  return styled(colour_out, style, text);
}

std::string Screen::styled_err(Style style, std::string_view text) const {
  return styled(colour_err, style, text);
}

void Screen::note(std::string_view text) const { err("{}\n", styled_err(Style::kDim, text)); }

void Screen::error(std::string_view text) const {
  err("{} {}\n", styled_err(Style::kRed, "error:"), text);
}

Screen make_screen(const Environment& environment) {
  Screen screen;
  screen.write_out = writer(STDOUT_FILENO);
  screen.write_err = writer(STDERR_FILENO);
  screen.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  screen.err_is_terminal = isatty(STDERR_FILENO) == 1;
  screen.in_is_terminal = isatty(STDIN_FILENO) == 1;
  const bool colour =
      variable(environment, "NO_COLOR").empty() && variable(environment, "TERM") != "dumb";
  screen.colour_out = colour && screen.out_is_terminal;
  screen.colour_err = colour && screen.err_is_terminal;
  if (variable(environment, "TERM") == "dumb") screen.err_is_terminal = false;
  screen.width = terminal_width(environment);
  return screen;
}

int display_width(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const Point point = first_point(text);
    width += width_of(point.value);
    text.remove_prefix(point.bytes);
  }
  return width;
}

std::string shorten(std::string_view text, int columns) {
  if (display_width(text) <= columns) return std::string(text);
  std::string kept;
  int width = 0;
  while (!text.empty()) {
    const Point point = first_point(text);
    width += width_of(point.value);
    if (width > columns - 1) break;
    kept += text.substr(0, point.bytes);
    text.remove_prefix(point.bytes);
  }
  return columns < 1 ? "" : kept + "…";
}

std::string printable(std::string_view text) { return joined_lines(text, " "); }

std::string printable_lines(std::string_view text, int indent) {
  return joined_lines(text, "\n" + std::string(static_cast<size_t>(indent), ' '));
}

}  // namespace bcai::cli
