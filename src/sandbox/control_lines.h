// SPDX-License-Identifier: Apache-2.0
// Cuts what a job writes into its control pipe into lines. The job can write anything: what is too
// long or too much is left out and counted, and memory stays bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace bcai::sandbox {

class ControlLines {
 public:
  static constexpr size_t kLineBytesMax = 65'536;
  static constexpr int64_t kLinesPerSecondMax = 100;

  // Takes bytes as they come; calls `accept(std::string_view line)` for each line that is whole,
  // short enough and within the rate.
  template <typename Accept>
  void feed(std::string_view data, Instant now, const Accept& accept) {
    while (!data.empty()) {
      const size_t end = data.find('\n');
      append(data.substr(0, end));
      if (end == std::string_view::npos) return;
      data.remove_prefix(end + 1);
      if (finish_line(now)) accept(std::string_view(line_));
      line_.clear();
      overlong_ = false;
    }
  }

  int64_t lines_left_out() const { return left_out_; }

  // The number of the last `{"ended":7}`: what a guest's first process says of its end (gvisor/).
  // Such a line is taken at any rate, and not given on.
  std::optional<int> ended() const { return ended_; }

 private:
  void append(std::string_view part);
  bool take_end();
  bool finish_line(Instant now);

  std::string line_;
  bool overlong_ = false;
  std::optional<int> ended_;
  int64_t left_out_ = 0;
  Instant refilled_;
  int64_t tokens_ = kLinesPerSecondMax;
};

}  // namespace bcai::sandbox
