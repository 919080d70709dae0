// SPDX-License-Identifier: Apache-2.0
#include "vm/runtime/profile.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <map>

namespace bcai::vm {
namespace {

double microseconds(int64_t begin, int64_t end) { return static_cast<double>(end - begin) * 1e-3; }

struct Row {
  double us = 0;
  uint64_t flops = 0;
  uint64_t bytes = 0;
  uint64_t count = 0;
};

std::string name_of(const Launch& launch) {
  std::string name = launch_name(launch);
  if (!launch.results.empty()) name += " " + to_text(launch.results[0].type, {});
  return name;
}

}  // namespace

int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

void Profile::add(const Launch& launch, int64_t begin, int64_t end) {
  spans_.push_back({name_of(launch), launch.step, launch.flops, launch.bytes, begin, end});
}

std::string Profile::table() const {
  std::map<std::string, Row> rows;
  double total = 0;
  for (const Span& span : spans_) {
    Row& row = rows[span.name];
    const double us = microseconds(span.begin, span.end);
    row.us += us;
    row.flops += span.flops;
    row.bytes += span.bytes;
    ++row.count;
    total += us;
  }
  std::vector<std::pair<std::string, Row>> sorted(rows.begin(), rows.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a.second.us > b.second.us; });
  std::string out = fmt::format("{:>10} {:>6} {:>7} {:>8} {:>8}  launch\n", "us", "share", "count",
                                "GFLOP/s", "GB/s");
  for (const auto& [name, row] : sorted) {
    const double ns = std::max(row.us * 1000, 1e-3);
    fmt::format_to(std::back_inserter(out), "{:>10.1f} {:>5.1f}% {:>7} {:>8.2f} {:>8.2f}  {}\n",
                   row.us, total > 0 ? 100 * row.us / total : 0, row.count,
                   static_cast<double>(row.flops) / ns, static_cast<double>(row.bytes) / ns, name);
  }
  return out;
}

std::string Profile::chrome_trace() const {
  std::string out = "{\"traceEvents\":[";
  for (size_t i = 0; i < spans_.size(); ++i) {
    const Span& span = spans_[i];
    fmt::format_to(std::back_inserter(out),
                   "{}\n{{\"name\":\"{}\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":{:.3f},"
                   "\"dur\":{:.3f},\"args\":{{\"step\":{},\"flops\":{},\"bytes\":{}}}}}",
                   i == 0 ? "" : ",", span.name, microseconds(spans_[0].begin, span.begin),
                   microseconds(span.begin, span.end), span.step, span.flops, span.bytes);
  }
  return out + "\n]}\n";
}

}  // namespace bcai::vm
