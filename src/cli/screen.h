// SPDX-License-Identifier: Apache-2.0
// Where a command writes: its answer to `out`, everything else to `err`. Colour and redrawing
// happen on terminals only, and colour not with NO_COLOR. What is written to a closed pipe is
// dropped. One thread.
#pragma once

#include <fmt/core.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "cli/paths.h"

namespace bcai::cli {

enum class Style : unsigned char { kPlain, kDim, kBold, kRed, kGreen, kYellow, kCyan };

struct Screen {
  std::function<void(std::string_view)> write_out;
  std::function<void(std::string_view)> write_err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool in_is_terminal = false;
  bool colour_out = false;
  bool colour_err = false;
  int width = 80;  // of the terminal, in columns

  template <typename... Args>
  void out(fmt::format_string<Args...> format, Args&&... args) const {
    write_out(fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void err(fmt::format_string<Args...> format, Args&&... args) const {
    write_err(fmt::format(format, std::forward<Args>(args)...));
  }
  // The text with the style's escape codes, where that stream takes colour.
  std::string styled_out(Style style, std::string_view text) const;
  std::string styled_err(Style style, std::string_view text) const;
  // A dim line on `err`: what is being done.
  void note(std::string_view text) const;
  // "error: …" on `err`.
  void error(std::string_view text) const;
};

// The process's own standard streams.
Screen make_screen(const Environment& environment);

// Columns that UTF-8 text takes: one for each code point, two for the wide ones of East Asia and
// emoji, none for combining marks. An ill-formed byte takes one.
int display_width(std::string_view text);

// At most `columns` wide, the end replaced by "…" when it is longer.
std::string shorten(std::string_view text, int columns);

// One line: control characters replaced by "?", so that what others wrote cannot drive the
// terminal, and line breaks, with the blanks around them, by a blank.
std::string printable(std::string_view text);

// The same with its line breaks. Each further line begins `indent` columns in, so that none can be
// taken for one of ours.
std::string printable_lines(std::string_view text, int indent);

}  // namespace bcai::cli
