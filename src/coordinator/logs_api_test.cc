// SPDX-License-Identifier: Apache-2.0
// Logs: written by a node, read in pages, as text and as a stream.
#include <gtest/gtest.h>

#include <future>
#include <mutex>

#include "coordinator/test_network.h"

namespace bcai::coordinator {
namespace {

struct StreamEvent {
  std::string id;
  std::string event;
  json::value data;
};

// Reads a stream of events until `enough` says so or the server ends it.
std::vector<StreamEvent> follow(TestNetwork& network, const std::string& token,
                                const std::string& target, const std::string& last_id,
                                std::function<bool(const StreamEvent&)> enough = {}) {
  net::Client client =
      std::move(*net::Client::make({.endpoint = network.endpoint(), .bearer_token = token}));
  std::vector<StreamEvent> events;
  std::string buffer;
  net::ClientRequest request{.target = target, .headers = {{"Accept", "text/event-stream"}}};
  if (!last_id.empty()) request.headers.emplace_back("Last-Event-ID", last_id);
  request.on_body = [&](std::string_view piece) {
    buffer += piece;
    for (size_t end = buffer.find("\n\n"); end != std::string::npos; end = buffer.find("\n\n")) {
      StreamEvent event;
      size_t at = 0;
      while (at < end) {
        const size_t line_end = buffer.find('\n', at);
        const std::string line = buffer.substr(at, line_end - at);
        if (line.starts_with("id: ")) event.id = line.substr(4);
        if (line.starts_with("event: ")) event.event = line.substr(7);
        if (line.starts_with("data: ")) event.data = *parse_json(line.substr(6));
        at = line_end + 1;
      }
      buffer.erase(0, end + 2);
      if (event.event.empty()) continue;
      events.push_back(event);
      if (enough && enough(event)) return false;
    }
    return true;
  };
  Result<net::ClientResponse> response = client.send(request);
  EXPECT_TRUE(response || response.error().code == ErrorCode::kCancelled)
      << response.error().message;
  return events;
}

std::string text_of(const std::vector<StreamEvent>& events) {
  std::string text;
  for (const StreamEvent& event : events) {
    if (event.event == "log") text += to_std(event.data.at("text").as_string());
  }
  return text;
}

class LogsApi : public ::testing::Test {
 protected:
  void lease_job() {
    id_ = owner_.submit("print(1)");
    lease_ = node_.poll(5).at(0);
  }
  int64_t append(const std::string& records) {
    const Answer answer = node_.append_log(lease_, offset_, records);
    EXPECT_EQ(answer.status, 200) << answer.body;
    offset_ = answer.number("offset");
    return offset_;
  }
  std::string logs() const { return "/v1/jobs/" + id_ + "/logs"; }

  TestNetwork network_;
  FakeNode node_{network_};
  Caller owner_ = network_.owner();
  std::string id_;
  Lease lease_;
  int64_t offset_ = 0;
};

TEST_F(LogsApi, AreReadInPagesWhileTheJobRuns) {
  const std::string waiting = owner_.submit("print(0)");
  const Answer before = owner_.get("/v1/jobs/" + waiting + "/logs");
  EXPECT_TRUE(before.json.at("attempt_id").is_null()) << before.body;
  EXPECT_FALSE(before.json.at("end").as_bool());
  EXPECT_EQ(owner_.post("/v1/jobs/" + waiting + "/cancel").status, 202);
  EXPECT_TRUE(owner_.get("/v1/jobs/" + waiting + "/logs").json.at("end").as_bool());

  lease_job();
  append(log_record("one\n"));
  append(log_record("two\n", LogStream::kStderr) + log_record("three\n"));
  const Answer page = owner_.get(logs() + "?limit=1");
  EXPECT_EQ(page.json.at("records").as_array().size(), 1U) << page.body;
  EXPECT_FALSE(page.json.at("end").as_bool());
  const Answer rest = owner_.get(fmt::format("{}?offset={}", logs(), page.number("next_offset")));
  ASSERT_EQ(rest.json.at("records").as_array().size(), 2U) << rest.body;
  EXPECT_EQ(rest.json.at("records").at(0).at("stream"), "stderr");
  EXPECT_EQ(rest.json.at("records").at(0).at("offset").as_int64(), page.number("next_offset"));
  EXPECT_EQ(rest.number("next_offset"), offset_);
  EXPECT_FALSE(rest.json.at("end").as_bool());
  EXPECT_EQ(owner_.get(logs() + "?offset=3").status, 400);

  EXPECT_EQ(node_.finish(lease_, FakeNode::finished(offset_)).status, 200);
  EXPECT_TRUE(owner_.get(logs()).json.at("end").as_bool());
  const Answer text = owner_.get(logs(), {{"Accept", "text/plain"}});
  EXPECT_EQ(text.body, "one\ntwo\nthree\n");
  EXPECT_EQ(text.header("log-end"), "true");
  EXPECT_EQ(text.header("log-attempt-id"), lease_.attempt.text());
}

TEST_F(LogsApi, AnAppendIsRepeatedOrRefusedByItsOffset) {
  lease_job();
  const std::string one = log_record("one\n");
  append(one);
  EXPECT_EQ(node_.append_log(lease_, 0, one).number("offset"), offset_);
  const Answer gap = node_.append_log(lease_, offset_ + 100, one);
  EXPECT_EQ(gap.status, 409);
  EXPECT_EQ(gap.number("offset"), offset_);
  EXPECT_EQ(gap.header("content-type"), "application/problem+json");
  EXPECT_EQ(node_.append_log(lease_, offset_, "not a record").status, 400);
  EXPECT_EQ(owner_.get(logs(), {{"Accept", "text/plain"}}).body, "one\n");
}

TEST_F(LogsApi, TextThatIsNotUtf8IsShownAndSplitCharactersAreJoined) {
  lease_job();
  append(log_record("caf\xC3") + log_record("\xA9 \xFF\n"));
  const Answer page = owner_.get(logs());
  std::string text;
  for (const json::value& record : page.json.at("records").as_array()) {
    text += to_std(record.at("text").as_string());
  }
  EXPECT_EQ(text, "café \xEF\xBF\xBD\n");
}

TEST_F(LogsApi, EveryByteThatWasWrittenCanBeHad) {
  lease_job();
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  const std::vector<std::string> written = {"plain\n", all, "caf\xC3", "\xA9\n", "\xE2\x82"};
  for (const std::string& one : written) append(log_record(one));
  EXPECT_EQ(node_.finish(lease_, FakeNode::finished(offset_)).status, 200);
  std::vector<json::value> records;
  for (const StreamEvent& event : follow(network_, owner_.token(), logs(), "")) {
    if (event.event == "log") records.push_back(event.data);
  }
  const Answer page = owner_.get(logs());
  for (const json::value& one : page.json.at("records").as_array()) records.push_back(one);
  ASSERT_EQ(records.size(), 2 * written.size());
  for (size_t i = 0; i < records.size(); ++i) {
    const json::value* bytes = records[i].as_object().if_contains("bytes");
    const std::string had = bytes != nullptr
                                ? *from_base64(to_std(bytes->as_string()))
                                : std::string(to_std(records[i].at("text").as_string()));
    EXPECT_EQ(had, written[i % written.size()]);
    EXPECT_EQ(bytes == nullptr, i % written.size() == 0);
  }
}

TEST_F(LogsApi, AStreamFollowsFromTheQueueToTheEnd) {
  id_ = owner_.submit("print(1)");
  auto stream =
      std::async(std::launch::async, [&] { return follow(network_, owner_.token(), logs(), ""); });
  std::this_thread::sleep_for(Millis(100));
  lease_ = node_.poll(5).at(0);
  append(log_record("one\n"));
  std::this_thread::sleep_for(Millis(50));
  append(log_record("two\n"));
  EXPECT_EQ(node_.finish(lease_, FakeNode::finished(offset_)).status, 200);
  const std::vector<StreamEvent> events = stream.get();
  ASSERT_GE(events.size(), 4U);
  EXPECT_EQ(events.front().event, "job");
  EXPECT_EQ(events.front().data.at("state"), "queued");
  EXPECT_EQ(events.back().event, "end");
  EXPECT_EQ(events.back().data.at("state"), "succeeded");
  EXPECT_EQ(text_of(events), "one\ntwo\n");
  int64_t version = -1;
  for (const StreamEvent& event : events) {
    if (event.event != "job") continue;
    EXPECT_GT(event.data.at("version").as_int64(), version);
    version = event.data.at("version").as_int64();
  }
}

TEST_F(LogsApi, AStreamResumesWithoutLossOrRepetition) {
  lease_job();
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    const std::string line = fmt::format("line {}\n", i);
    append(log_record(line));
    expected += line;
  }
  EXPECT_EQ(node_.finish(lease_, FakeNode::finished(offset_)).status, 200);
  std::string text;
  std::string last;
  int streams = 0;
  for (bool ended = false; !ended && streams < 100; ++streams) {
    int logs_seen = 0;
    const auto events = follow(network_, owner_.token(), logs(), last, [&](const StreamEvent& one) {
      return one.event == "log" && ++logs_seen == 7;
    });
    text += text_of(events);
    for (const StreamEvent& event : events) {
      if (!event.id.empty()) last = event.id;
      ended = ended || event.event == "end";
    }
  }
  EXPECT_EQ(text, expected);
  EXPECT_GT(streams, 5);
  const Answer wrong = network_.owner().get(
      logs(), {{"Accept", "text/event-stream"}, {"Last-Event-ID", lease_.attempt.text() + ":3"}});
  EXPECT_EQ(wrong.status, 400);
}

TEST_F(LogsApi, ALongLogGoesThroughOneStream) {
  lease_job();
  const std::string line(16'000, 'x');
  std::string piece;
  for (int i = 0; i < 200; ++i) piece += log_record(line);
  append(piece);
  EXPECT_EQ(node_.finish(lease_, FakeNode::finished(offset_)).status, 200);
  const auto events = follow(network_, owner_.token(), logs(), "");
  EXPECT_EQ(events.back().event, "end");
  EXPECT_EQ(text_of(events).size(), 200 * line.size());
}

TEST_F(LogsApi, AFloodIsCappedAndTheLogSaysSo) {
  id_ = owner_.post("/v1/jobs", json::object{{"code", "print(1)"}, {"output_bytes_max", 1000}})
            .text("id");
  lease_ = node_.poll(5).at(0);
  std::string piece;
  for (int i = 0; i < 100; ++i) piece += log_record(std::string(16'000, 'x'));
  append(piece);
  append(piece);
  EXPECT_EQ(node_.finish(lease_, FakeNode::finished(offset_)).status, 200);
  const std::string text = owner_.get(logs(), {{"Accept", "text/plain"}}).body;
  EXPECT_LT(text.size(), 1'200'000U);
  EXPECT_NE(text.find("bytes of output were dropped"), std::string::npos);
}

}  // namespace
}  // namespace bcai::coordinator
