// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <algorithm>

#include "base/result.h"

namespace bcai::cli {
namespace {

constexpr int kGap = 2;
constexpr int kLastColumnMin = 10;

}  // namespace

void Table::add(std::vector<Cell> cells) {
  BCAI_ASSERT(cells.size() == headings_.size());
  for (Cell& cell : cells) cell.text = printable(cell.text);
  rows_.push_back(std::move(cells));
}

std::string Table::text(const Screen& screen) const {
  std::vector<int> widths;
  for (const std::string& heading : headings_) widths.push_back(display_width(heading));
  for (const std::vector<Cell>& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(row[i].text));
    }
  }
  int before_last = 0;
  for (size_t i = 0; i + 1 < widths.size(); ++i) before_last += widths[i] + kGap;
  const int last_max =
      screen.out_is_terminal ? std::max(kLastColumnMin, screen.width - before_last) : INT32_MAX;

  std::string out;
  const auto add_line = [&](const auto& cell_at) {
    for (size_t i = 0; i < headings_.size(); ++i) {
      const Cell& cell = cell_at(i);
      if (i + 1 == headings_.size()) {
        out += screen.styled_out(cell.style, shorten(cell.text, last_max));
        break;
      }
      out += screen.styled_out(cell.style, cell.text);
      out.append(static_cast<size_t>(widths[i] + kGap - display_width(cell.text)), ' ');
    }
    while (out.ends_with(' ')) out.pop_back();
    out += '\n';
  };
  std::vector<Cell> first;
  for (const std::string& heading : headings_) first.push_back({heading, Style::kBold});
  add_line([&](size_t i) -> const Cell& { return first[i]; });
  for (const std::vector<Cell>& row : rows_) {
    add_line([&](size_t i) -> const Cell& { return row[i]; });
  }
  return out;
}

}  // namespace bcai::cli
