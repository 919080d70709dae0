// SPDX-License-Identifier: Apache-2.0
// What lies between the event stream and the terminal.
#include <gtest/gtest.h>

#include "cli/event_reader.h"
#include "cli/job_view.h"
#include "cli/live_view.h"

namespace bcai::cli {
namespace {

std::vector<std::string> read_all(std::string_view text, size_t piece) {
  std::vector<std::string> events;
  EventReader reader([&](const ServerEvent& event) {
    events.push_back(event.id + "|" + event.event + "|" + event.data);
  });
  for (size_t at = 0; at < text.size(); at += piece)
    EXPECT_TRUE(reader.feed(text.substr(at, piece)));
  return events;
}

TEST(EventReader, ReadsAsTheStandardSays) {
  const std::string_view text =
      ":comment\n\nid: 1\nevent: log\ndata: a\ndata:  b\n\n"
      "data\r\n\r\n"
      "event: ignored, it has no data\n\n"
      "id: 2\rdata: c\r\rdata: incomplete\n";
  const std::vector<std::string> expected{"1|log|a\n b", "1|message|", "2|message|c"};
  for (const size_t piece : {1U, 2U, 3U, 1000U})
    EXPECT_EQ(read_all(text, piece), expected) << piece;
}

TEST(EventReader, RefusesEndlessEvents) {
  EventReader reader([](const ServerEvent&) {});
  const std::string large(1 << 20, 'x');
  bool taken = reader.feed("data: ");
  for (int i = 0; i < 10 && taken; ++i) taken = reader.feed(large);
  EXPECT_FALSE(taken);
}

TEST(JobView, OddAnswersKeepDefaults) {
  const JobView job = read_job(*parse_json(R"({"id": 5, "state": "new_state", "version": "x",
      "progress": {"fraction": 0.5, "metrics": {"loss": 1, "odd": "x"}}, "attempts": {}})"));
  EXPECT_EQ(job.id, "");
  EXPECT_FALSE(job.terminal());
  EXPECT_EQ(job.version, 0);
  EXPECT_EQ(job.fraction, 0.5);
  EXPECT_EQ(job.metrics.size(), 2U);
  EXPECT_EQ(read_job(*parse_json("[]")).state, "");
}

TEST(JobView, TimesAreRead) {
  EXPECT_EQ(parse_time_ms("1970-01-02T00:00:01.500Z"), 86'401'500);
  EXPECT_EQ(parse_time_ms("2026-01-31T09:05:07.123Z"), 1'769'850'307'123);
  for (const char* wrong : {"", "2026-13-31T09:05:07.123Z", "2026-01-31 09:05:07.123Z", "garbage",
                            "2026-01-31T0x:05:07.123Z"}) {
    EXPECT_EQ(parse_time_ms(wrong), -1) << wrong;
  }
  EXPECT_EQ(milliseconds_between("2026-01-31T09:05:07.123Z", "2026-01-31T09:05:08.000Z"), 877);
}

JobView running() {
  JobView job;
  job.state = "active";
  job.attempts.push_back({.state = "running"});
  job.fraction = 0.5;
  job.message = "epoch 3";
  return job;
}

TEST(LiveView, TheLineShowsStateBarAndMetrics) {
  JobView job = running();
  job.metrics = {{"loss", 0.3125}};
  EXPECT_EQ(status_line(job, 200),
            "running  [############------------]  50 %  epoch 3  loss=0.3125");
  EXPECT_EQ(display_width(status_line(job, 30)), 30);
  job.fraction = 99;
  EXPECT_NE(status_line(job, 200).find("100 %"), std::string::npos);
}

struct Captured {
  std::string out;
  std::string err;
  Screen screen;
  Captured() {
    screen.write_out = [this](std::string_view text) { out += text; };
    screen.write_err = [this](std::string_view text) { err += text; };
  }
};

TEST(LiveView, OnATerminalTheLineMakesRoomForOutput) {
  Captured terminal;
  terminal.screen.err_is_terminal = terminal.screen.out_is_terminal = true;
  {
    LiveView view(terminal.screen, {});
    view.job(running());
    EXPECT_NE(terminal.err.find("running  ["), std::string::npos);
    terminal.err.clear();
    view.output(LogKind::kStdout, "half a line");
    EXPECT_EQ(terminal.err, "\r\033[K") << "nothing is drawn into an unfinished line";
    terminal.err.clear();
    view.output(LogKind::kStdout, " and the rest\n");
    EXPECT_EQ(terminal.err.find("\rrunning"), 0U) << terminal.err;
    terminal.err.clear();
  }
  EXPECT_EQ(terminal.err, "\r\033[K");
  EXPECT_EQ(terminal.out, "half a line and the rest\n");
}

TEST(LiveView, ATerminalGetsTextAndAFileTheBytes) {
  for (const bool terminal : {true, false}) {
    Captured captured;
    captured.screen.out_is_terminal = terminal;
    LiveView view(captured.screen, {});
    view.output(LogKind::kStdout, "caf", "caf\xC3");
    view.output(LogKind::kStdout, "\u00E9", "\xA9");
    view.output(LogKind::kStdout, "", "\xFF");
    EXPECT_EQ(captured.out, terminal ? "caf\u00E9" : "caf\xC3\xA9\xFF");
  }
}

TEST(LiveView, EachLineOfTheSystemsLogIsALine) {
  Captured captured;
  LiveView view(captured.screen, {});
  view.output(LogKind::kSystem, "environment: 2 of 2\nenvironment: a\x1b[2J\n  because\n", {});
  EXPECT_EQ(captured.err, "environment: 2 of 2\nenvironment: a?[2J\n  because\n");
}

TEST(LiveView, WithoutATerminalOnlyWaitingIsTold) {
  Captured file;
  LiveView view(file.screen, {});
  JobView job;
  job.state = "queued";
  job.reason = "no node offers a GPU";
  view.job(job);
  view.job(job);
  job.reason = "2 jobs are before it";
  view.job(job);
  view.job(running());
  EXPECT_EQ(file.err, "queued: no node offers a GPU\nqueued: 2 jobs are before it\nrunning\n");
  EXPECT_EQ(file.out, "");
}

}  // namespace
}  // namespace bcai::cli
