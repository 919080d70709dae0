// SPDX-License-Identifier: Apache-2.0
#include "cli/live_view.h"

#include <algorithm>
#include <cmath>

namespace bcai::cli {
namespace {

constexpr int kBarCells = 24;

// The attempt's state says more than the job's while the job is active.
std::string shown_state(const JobView& job) {
  if (job.desired == "cancel" && !job.terminal()) return "cancelling";
  if (job.state == "active" && !job.attempts.empty()) return job.attempts.back().state;
  return job.state;
}

}  // namespace

std::string status_line(const JobView& job, int width) {
  std::string line = printable(shown_state(job));
  if (job.fraction >= 0) {
    const double fraction = std::clamp(job.fraction, 0.0, 1.0);
    const int full = static_cast<int>(std::floor(fraction * kBarCells));
    line += fmt::format("  [{}{}] {:3.0f} %", std::string(static_cast<size_t>(full), '#'),
                        std::string(static_cast<size_t>(kBarCells - full), '-'),
                        std::floor(fraction * 100));
  }
  if (!job.message.empty()) line += "  " + printable(job.message);
  if (job.state == "queued" && !job.reason.empty()) line += ": " + printable(job.reason);
  for (const auto& [name, value] : job.metrics) {
    line += fmt::format("  {}={:.4g}", printable(name), value);
  }
  return shorten(line, width);
}

void LiveView::clear() {
  if (drawn_) screen_.write_err("\r\033[K");
  drawn_ = false;
}

void LiveView::draw() {
  if (!screen_.err_is_terminal || options_.quiet || status_.empty() || !at_line_start_) return;
  screen_.write_err(fmt::format(
      "\r{}\033[K", screen_.styled_err(Style::kDim, shorten(status_, screen_.width - 1))));
  drawn_ = true;
}

void LiveView::output(LogKind kind, std::string_view text,
                      const std::optional<std::string>& bytes) {
  if (kind == LogKind::kSystem && options_.quiet) return;
  const bool terminal =
      kind == LogKind::kStdout ? screen_.out_is_terminal : screen_.err_is_terminal;
  if (bytes && !terminal && kind != LogKind::kSystem) text = *bytes;
  if (text.empty()) return;
  clear();
  if (kind == LogKind::kStdout) {
    screen_.write_out(text);
  } else if (kind == LogKind::kStderr) {
    screen_.write_err(text);
  } else {
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      screen_.note(printable(text.substr(0, end)));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }
  if (terminal) at_line_start_ = kind == LogKind::kSystem || text.ends_with('\n');
  draw();
}

void LiveView::job(const JobView& job) {
  const std::string state = shown_state(job);
  status_ = job.terminal() ? "" : status_line(job, screen_.width - 1);
  if (screen_.err_is_terminal) {
    status_.empty() ? clear() : draw();
  } else if (!options_.quiet && !job.terminal() &&
             (state != last_state_ || (job.state == "queued" && job.reason != last_reason_))) {
    // Only what somebody reading a file later wants to know: why it waits, that it waits no more.
    if (job.state == "queued" && !job.reason.empty()) {
      note(fmt::format("{}: {}", state, job.reason));
    } else if (last_state_ == "queued" || state == "unknown" || state == "cancelling") {
      note(state);
    }
  }
  last_state_ = state;
  last_reason_ = job.reason;
}

void LiveView::finish_line() {
  clear();
  if (!at_line_start_) screen_.write_err("\n");
  at_line_start_ = true;
}

void LiveView::note(std::string_view text) {
  if (options_.quiet) return;
  finish_line();
  screen_.note(printable(text));
  draw();
}

}  // namespace bcai::cli
