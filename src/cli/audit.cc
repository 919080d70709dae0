// SPDX-License-Identifier: Apache-2.0
// `bcai audit verify` and `bcai audit show`.
#include <optional>

#include "audit/verify.h"
#include "base/id.h"
#include "cli/context.h"
#include "cli/job_view.h"

namespace bcai::cli {
namespace {

namespace fs = std::filesystem;

// The node's own data directory, or that of `bcai up`, whose node lives below.
fs::path log_of(const AuditOptions& options, Context& context) {
  if (!options.path.empty()) return options.path;
  const fs::path data = options.data_directory.empty()
                            ? fs::path(context.settings.value(SettingKey::kDataDirectory))
                            : fs::path(options.data_directory);
  std::error_code ignored;
  const fs::path below = data / "node" / "audit";
  return fs::exists(below, ignored) || options.data_directory.empty() ? below : data / "audit";
}

bool is_of(const audit::Record& record, const std::string& job) {
  return job.empty() || text_of(record.members, "job") == job;
}

// "12  2026-01-31T09:05:07.123Z  attempt  job_…  finished"
void print_line(const Screen& screen, const audit::Record& record) {
  std::string line = fmt::format("{:>6}  {}  {}", record.seq, record.time, record.kind);
  for (const char* member : {"job", "outcome", "cause", "file"}) {
    if (const std::string text = text_of(record.members, member); !text.empty()) {
      line += "  " + text;
    }
  }
  screen.out("{}\n", printable(line));
}

void print_verified(const Screen& screen, const audit::Verified& verified, bool json) {
  if (json) {
    screen.out("{}\n", to_text(json::object{{"records", verified.records},
                                            {"first_seq", verified.first_seq},
                                            {"seq", verified.head.seq},
                                            {"hash", verified.head.hash.text()}}));
    return;
  }
  screen.out("{} records hold, {} to {}; the head is {}\n", verified.records, verified.first_seq,
             verified.head.seq, verified.head.text());
}

}  // namespace

int execute(const AuditOptions& options, Context& context) {
  const Screen& screen = context.screen;
  std::optional<audit::Head> known;
  if (!options.head.empty()) {
    const auto head = audit::parse_head(options.head);
    if (!head)
      return report(screen, {ErrorCode::kInvalidArgument, "--head: " + head.error().message});
    known = *head;
  }
  if (!options.job.empty()) {
    const auto job = JobId::parse(options.job);
    if (!job) return report(screen, {ErrorCode::kInvalidArgument, "--job: " + job.error().message});
  }
  audit::OnRecord on_record;
  bool shown = false;
  if (options.verb == AuditOptions::Verb::kShow) {
    on_record = [&](const audit::Record& record, std::string_view line) {
      if (!is_of(record, options.job)) return;
      shown = true;
      if (options.json) {
        screen.out("{}\n", line);
      } else {
        print_line(screen, record);
      }
    };
  }
  const fs::path log = log_of(options, context);
  const auto verified = audit::verify(log, known, on_record);
  if (!verified) return report(screen, verified.error());
  if (!options.job.empty() && !shown) {
    return report(screen,
                  error(ErrorCode::kNotFound, "{}: no record of {}", log.string(), options.job));
  }
  if (options.verb == AuditOptions::Verb::kVerify) print_verified(screen, *verified, options.json);
  return 0;
}

}  // namespace bcai::cli
