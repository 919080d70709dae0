// SPDX-License-Identifier: Apache-2.0
// Answers that wait: long polls, event streams, and peers that go.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "net/client.h"
#include "net/exchange.h"
#include "net/server.h"
#include "net/test_peer.h"

namespace bcai::net {
namespace {

const std::string kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

// Keeps what a handler was given, for the test's thread.
class Held {
 public:
  Handler handler() {
    return [this](Request request, Reply reply) {
      const std::lock_guard lock(mutex_);
      requests_.push_back(std::move(request));
      replies_.push_back(std::move(reply));
      grown_.notify_all();
    };
  }
  std::vector<Reply> take(size_t count) {
    std::unique_lock lock(mutex_);
    grown_.wait(lock, [&] { return replies_.size() >= count; });
    return std::exchange(replies_, {});
  }
  const std::vector<Request>& requests() const { return requests_; }

 private:
  std::mutex mutex_;
  std::condition_variable grown_;
  std::vector<Request> requests_;
  std::vector<Reply> replies_;
};

TEST(EventFormat, KeepsOneEventOne) {
  EXPECT_EQ(format_event("7", "log", "text"), "id: 7\nevent: log\ndata: text\n\n");
  EXPECT_EQ(format_event("", "", ""), "data: \n\n");
  EXPECT_EQ(format_event("1\n2", "a\r\nb", "x\ny\r\nz\rw\n"),
            "id: 1 2\nevent: a  b\ndata: x\ndata: y\ndata: z\ndata: w\ndata: \n\n");
}

TEST(EventStream, SendsEventsAndEnds) {
  Held held;
  const auto server = serve({}, {{"GET", "/", held.handler()}});
  TestPeer peer(server->endpoint());
  peer.send("GET / HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 41\r\n\r\n");
  const EventStream stream = held.take(1)[0].stream({{"X-A", "b"}});
  const std::string head = peer.read_until("\r\n\r\n");
  EXPECT_EQ(held.requests().at(0).header("last-event-id"), "41");
  for (const char* line : {"HTTP/1.1 200 OK\r\n", "Content-Type: text/event-stream\r\n",
                           "X-A: b\r\n", "Cache-Control: no-store\r\n", "X-Accel-Buffering: no\r\n",
                           "Transfer-Encoding: chunked\r\n"}) {
    EXPECT_NE(head.find(line), std::string::npos) << line << head;
  }
  EXPECT_TRUE(stream.send("42", "log", "one"));
  EXPECT_EQ(peer.read_until("one\n\n"), "1d\r\nid: 42\nevent: log\ndata: one\n\n");
  EXPECT_TRUE(stream.send("43", "end", "two"));
  stream.close();
  EXPECT_FALSE(stream.send("44", "", "late"));
  EXPECT_NE(peer.read_until("0\r\n\r\n").find("data: two\n\n"), std::string::npos);
  peer.send("GET /missing HTTP/1.1\r\nHost: x\r\n\r\n");  // the connection goes on
  EXPECT_EQ(peer.read_answer().substr(0, 12), "HTTP/1.1 404");
}

TEST(EventStream, EndsWithItsLastCopy) {
  Held held;
  const auto server = serve({}, {{"GET", "/", held.handler()}});
  TestPeer peer(server->endpoint());
  peer.send("GET / HTTP/1.0\r\n\r\n");
  {
    std::optional<EventStream> stream = held.take(1)[0].stream();
    const EventStream copy = *stream;
    stream.reset();
    EXPECT_TRUE(copy.send("", "", "one"));
  }
  const std::string all = peer.read_all();
  EXPECT_EQ(all.find("Transfer-Encoding"), std::string::npos);
  EXPECT_TRUE(all.ends_with("\r\n\r\ndata: one\n\n")) << all;
}

TEST(EventStream, ReachesAClientInPieces) {
  Held held;
  const auto server = serve({}, {{"GET", "/", held.handler()}});
  Result<Client> client = Client::make({.endpoint = server->endpoint()});
  std::thread sender([&] {
    const EventStream stream = held.take(1)[0].stream();
    for (int n = 0; n < 1000; ++n) EXPECT_TRUE(stream.send("", "", std::to_string(n)));
  });
  std::string text;
  const auto response = client->send({.target = "/", .on_body = [&](std::string_view piece) {
                                        text += piece;
                                        return true;
                                      }});
  sender.join();
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "");
  std::string expected;
  for (int n = 0; n < 1000; ++n) expected += "data: " + std::to_string(n) + "\n\n";
  EXPECT_EQ(text, expected);
}

TEST(EventStream, DropsAPeerThatDoesNotRead) {
  Held held;
  std::promise<void> gone;
  const auto server = serve({}, {{"GET", "/", held.handler()}});
  TestPeer peer(server->endpoint());
  peer.send(kGet);
  const Reply reply = held.take(1)[0];
  reply.on_peer_gone([&] { gone.set_value(); });
  const EventStream stream = reply.stream();
  const std::string text(60'000, 'x');
  int sent = 0;
  while (stream.send("", "", text)) {
    ASSERT_LT(++sent, 1'000'000);
    if (sent % 16 == 0) std::this_thread::sleep_for(Millis(1));  // lets the socket fill first
  }
  EXPECT_GE(sent, 16);
  gone.get_future().wait();
  EXPECT_FALSE(stream.send("", "", "x"));
  const std::string all = peer.read_all();
  EXPECT_FALSE(all.ends_with("0\r\n\r\n"));  // cut, so that the peer knows to resume
  EXPECT_FALSE(all.ends_with("(open)"));
}

TEST(EventStream, ShowsLifeWhileItIsSilent) {
  Held held;
  const auto server = serve({.stream_heartbeat = Millis(10)}, {{"GET", "/", held.handler()}});
  TestPeer peer(server->endpoint());
  peer.send(kGet);
  const EventStream stream = held.take(1)[0].stream();
  peer.read_until("\r\n\r\n");
  EXPECT_EQ(peer.read_until(":\n\n\r\n"), "3\r\n:\n\n\r\n");
}

TEST(EventStream, TellsThatThePeerIsGone) {
  for (const bool with_reset : {false, true}) {
    Held held;
    std::promise<void> gone;
    const auto server = serve({}, {{"GET", "/", held.handler()}});
    TestPeer peer(server->endpoint());
    peer.send(kGet);
    const Reply reply = held.take(1)[0];
    const EventStream stream = reply.stream();
    reply.on_peer_gone([&] { gone.set_value(); });
    peer.read_until("\r\n\r\n");
    with_reset ? peer.abort() : peer.close();
    gone.get_future().wait();
    EXPECT_FALSE(stream.send("", "", "x"));
  }
}

TEST(LongPoll, TellsThatThePeerIsGone) {
  for (const std::string& rest : {std::string(), kGet, std::string(200'000, 'x')}) {
    Held held;
    std::promise<void> gone;
    const auto server = serve({}, {{"GET", "/", held.handler()}});
    TestPeer peer(server->endpoint());
    peer.send(kGet + rest);
    const Reply reply = held.take(1)[0];
    reply.on_peer_gone([&] { gone.set_value(); });
    rest.size() > 100'000 ? peer.abort() : peer.close();
    gone.get_future().wait();
    reply.send({});
    std::promise<void> again;
    reply.on_peer_gone([&] { again.set_value(); });  // also when it is asked for too late
    again.get_future().wait();
  }
}

TEST(LongPoll, DoesNotTellAfterTheAnswer) {
  Held held;
  std::promise<void> done;
  const auto server = serve({.on_request = [&](auto, auto, int, auto) { done.set_value(); }},
                            {{"GET", "/", held.handler()}});
  {
    TestPeer peer(server->endpoint());
    peer.send(kGet);
    const Reply reply = held.take(1)[0];
    reply.on_peer_gone([] { FAIL() << "the peer was answered"; });
    reply.send({.body = "a"});
    EXPECT_TRUE(peer.read_answer().ends_with("\r\n\r\na"));
    done.get_future().wait();
  }
  while (server->connections() > 0) std::this_thread::yield();
}

TEST(LongPoll, HoldsFiveHundredAndWakesThem) {
  constexpr size_t kCount = 500;
  Held held;
  const auto server = serve({}, {{"GET", "/{n}", held.handler()}});
  std::vector<TestPeer> peers;
  for (size_t n = 0; n < kCount; ++n) {
    peers.emplace_back(server->endpoint());
    ASSERT_TRUE(peers.back().connected());
    ASSERT_TRUE(peers.back().send(fmt::format("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", n)));
  }
  std::vector<Reply> replies;
  while (replies.size() < kCount) {
    for (Reply& reply : held.take(1)) replies.push_back(std::move(reply));
  }
  EXPECT_EQ(server->connections(), kCount);
  for (size_t n = 0; n < kCount; ++n) {
    replies[n].send({.body = held.requests()[n].params.at("n")});
  }
  for (size_t n = 0; n < kCount; ++n) {
    EXPECT_TRUE(peers[n].read_answer().ends_with(fmt::format("\r\n\r\n{}", n)));
  }
}

}  // namespace
}  // namespace bcai::net
