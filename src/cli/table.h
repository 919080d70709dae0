// SPDX-License-Identifier: Apache-2.0
// Columns of text, as wide as they need, two spaces between. Control characters in cells are
// shown as "?".
#pragma once

#include <string>
#include <vector>

#include "cli/screen.h"

namespace bcai::cli {

struct Cell {
  std::string text;
  Style style = Style::kPlain;
};

class Table {
 public:
  explicit Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}
  // As many cells as headings.
  void add(std::vector<Cell> cells);
  bool empty() const { return rows_.empty(); }
  // The last column is shortened to the terminal's width; elsewhere nothing is cut.
  std::string text(const Screen& screen) const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace bcai::cli
