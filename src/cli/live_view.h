// SPDX-License-Identifier: Apache-2.0
// Shows a running job: its output exactly as it comes, and on a terminal one line below it with
// state, progress and what it waits for. The line is taken away before output is written, and comes
// back when the cursor is at the start of a line.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/job_view.h"
#include "cli/screen.h"

namespace bcai::cli {

enum class LogKind : unsigned char { kStdout, kStderr, kSystem };

class LiveView {
 public:
  struct Options {
    bool quiet = false;  // only the job's output
  };
  LiveView(const Screen& screen, Options options) : screen_(screen), options_(options) {}
  ~LiveView() { clear(); }

  // `bytes`: what was written, where the text cannot say it; for a stream that is no terminal.
  void output(LogKind kind, std::string_view text, const std::optional<std::string>& bytes = {});
  // State changes and new reasons become lines without a terminal, and the status line on one.
  void job(const JobView& job);
  // A dim line of our own, unless quiet.
  void note(std::string_view text);
  void clear();
  // Puts the cursor at the start of a line.
  void finish_line();

 private:
  void draw();

  const Screen& screen_;
  Options options_;
  std::string status_;
  bool drawn_ = false;
  bool at_line_start_ = true;
  std::string last_state_;
  std::string last_reason_;
};

// "running  [#########-----------]  45 %  epoch 3 of 7  loss=0.31", at most `width` columns.
std::string status_line(const JobView& job, int width);

}  // namespace bcai::cli
