// SPDX-License-Identifier: Apache-2.0
#include "net/client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <optional>
#include <set>
#include <thread>

#include "net/server.h"
#include "net/test_peer.h"

namespace bcai::net {
namespace {

Client client_of(const Server& server) { return *Client::make({.endpoint = server.endpoint()}); }

// Takes one connection, reads what comes first, answers with `answer` and closes.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer) {
    socket_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(socket_.get(), generic, size), 0);
    EXPECT_EQ(::listen(socket_.get(), 8), 0);
    EXPECT_EQ(::getsockname(socket_.get(), generic, &size), 0);
    endpoint = fmt::format("http://127.0.0.1:{}", ntohs(address.sin_port));
    thread_ = std::thread([this, answer = std::move(answer)] {
      const UniqueFd peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      char bytes[4096];
      EXPECT_GT(::recv(peer.get(), bytes, sizeof bytes, 0), 0);
      EXPECT_EQ(::send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(answer.size()));
    });
  }
  ~OneAnswer() { thread_.join(); }

  std::string endpoint;

 private:
  UniqueFd socket_;
  std::thread thread_;
};

TEST(Client, KeepsItsConnection) {
  std::set<std::string> peers;
  const auto server = serve({}, {{"GET", "/",
                                  [&](const Request& request, const Reply& reply) {
                                    peers.insert(request.peer);
                                    reply.send({});
                                  }},
                                 {"POST", "/", [&](const Request& request, const Reply& reply) {
                                    peers.insert(request.peer);
                                    reply.send({.status = 409, .body = request.body});
                                  }}});
  Client client = client_of(*server);
  for (int n = 0; n < 5; ++n) {
    EXPECT_EQ(client.send({.target = "/"})->status, 200);
    EXPECT_EQ(client.send({.method = "POST", .target = "/", .body = "b"})->body, "b");
    EXPECT_EQ(client.send({.target = "/missing"})->status, 404);
  }
  EXPECT_EQ(peers.size(), 1u);
}

TEST(Client, SendsWhatItIsTold) {
  std::vector<Request> seen;
  const Handler keep = [&](Request request, const Reply& reply) {
    seen.push_back(std::move(request));
    reply.send({});
  };
  const auto server = serve({}, {{"POST", "/", keep}, {"DELETE", "/", keep}, {"GET", "/", keep}});
  Client client = client_of(*server);
  client.set_bearer_token("secret");
  ASSERT_TRUE(client.send({.method = "POST", .target = "/", .body = std::string(3000, 'x')}));
  ASSERT_TRUE(client.send({.method = "DELETE", .target = "/"}));
  ASSERT_TRUE(client.send({.target = "/", .headers = {{"Content-Type", "a/b"}}, .body = "x"}));
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].header("authorization"), "Bearer secret");
  EXPECT_EQ(seen[0].header("expect"), "");
  EXPECT_EQ(seen[0].header("content-type"), "");
  EXPECT_EQ(seen[0].body.size(), 3000u);
  EXPECT_EQ(seen[1].method, "DELETE");
  EXPECT_EQ(seen[1].body, "");
  EXPECT_EQ(seen[2].method, "GET");
  EXPECT_EQ(seen[2].header("content-type"), "a/b");
  EXPECT_EQ(seen[2].body, "x");
}

TEST(Client, RefusesToSendBrokenRequests) {
  const auto server = serve({}, {});
  Client client = client_of(*server);
  for (const char* target : {"", "a", "/a b", "/a\r\nX: y", "/\xC3\xA4"}) {
    const auto response = client.send({.target = target});
    ASSERT_FALSE(response) << target;
    EXPECT_EQ(response.error().code, ErrorCode::kInvalidArgument) << target;
  }
  EXPECT_FALSE(client.send({.target = "/", .headers = {{"A", "b\r\nC: d"}}}));
  EXPECT_FALSE(client.send({.target = "/", .headers = {{"A\n", "b"}}}));
  EXPECT_FALSE(Client::make({.endpoint = "file:///etc/passwd"}));
  EXPECT_FALSE(Client::make({.endpoint = server->endpoint(), .bearer_token = "a\r\nB: c"}));
}

TEST(Client, FollowsNoRedirect) {
  std::atomic<int> followed{0};
  const auto server = serve({}, {{"GET", "/a",
                                  [](const Request&, const Reply& reply) {
                                    reply.send({.status = 302, .headers = {{"Location", "/b"}}});
                                  }},
                                 {"GET", "/b", [&](const Request&, const Reply& reply) {
                                    ++followed;
                                    reply.send({});
                                  }}});
  const auto response = client_of(*server).send({.target = "/a"});
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 302);
  EXPECT_EQ(response->header("Location"), "/b");
  EXPECT_EQ(followed, 0);
}

TEST(Client, NamesWhatItCannotReach) {
  std::string endpoint;
  {
    const auto server = serve({}, {});
    endpoint = server->endpoint();
  }
  Client client = *Client::make({.endpoint = endpoint});
  const auto refused = client.send({.target = "/"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(refused.error().message, "cannot reach " + endpoint + ": connection refused");
  Client absent = *Client::make({.endpoint = "unix:/nonexistent/socket"});
  const auto missing = absent.send({.target = "/"});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(missing.error().message,
            "cannot reach unix:/nonexistent/socket: no such file or directory");
}

TEST(Client, TellsWhenTheConnectionBreaks) {
  for (const char* answer :
       {"", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"}) {
    const OneAnswer peer(answer);
    const auto response = Client::make({.endpoint = peer.endpoint})->send({.target = "/"});
    ASSERT_FALSE(response) << answer;
    EXPECT_EQ(response.error().code, ErrorCode::kUnavailable) << answer;
    EXPECT_NE(response.error().message.find(peer.endpoint), std::string::npos);
  }
}

TEST(Client, BoundsTheAnswer) {
  const auto server = serve({}, {{"GET", "/", [](const Request&, const Reply& reply) {
                                    reply.send({.body = std::string(1001, 'x')});
                                  }}});
  Client client = client_of(*server);
  const auto large = client.send({.target = "/", .body_bytes_max = 1000});
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(client.send({.target = "/", .body_bytes_max = 1001})->body.size(), 1001u);
}

TEST(Client, StreamsOnlyGoodAnswers) {
  const auto server =
      serve({}, {{"GET", "/{status}", [](const Request& request, const Reply& reply) {
                    reply.send({.status = std::stoi(request.params.at("status")), .body = "text"});
                  }}});
  Client client = client_of(*server);
  std::string streamed;
  const auto take = [&](std::string_view piece) {
    streamed += piece;
    return true;
  };
  EXPECT_EQ(client.send({.target = "/404", .on_body = take})->body, "text");
  EXPECT_EQ(streamed, "");
  EXPECT_EQ(client.send({.target = "/206", .on_body = take})->body, "");
  EXPECT_EQ(streamed, "text");
  const auto ended = client.send({.target = "/200", .on_body = [](auto) { return false; }});
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(client.send({.target = "/200"})->body, "text");
}

TEST(Client, TimesOut) {
  std::vector<Reply> held;
  const auto server =
      serve({}, {{"GET", "/", [&](const Request&, const Reply& reply) { held.push_back(reply); }},
                 {"GET", "/stream", [&](const Request&, const Reply& reply) {
                    reply.stream().send("", "", "one");
                    held.push_back(reply);
                  }}});
  Client client = client_of(*server);
  const auto late = client.send({.target = "/", .timeout = Millis(20)});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_NE(late.error().message.find("GET / within 20 ms"), std::string::npos);
  EXPECT_EQ(client.send({.target = "/missing"})->status, 404);
}

TEST(Client, GivesAStreamTimeWhileItMoves) {
  std::optional<EventStream> stream;
  Server* running = nullptr;
  std::function<void()> tick;
  int ticks = 0;
  const auto server = serve({}, {{"GET", "/", [&](const Request&, const Reply& reply) {
                                    stream.emplace(reply.stream());
                                    tick();
                                  }}});
  running = server.get();
  // Twelve events, longer in all than the timeout; then silence.
  tick = [&] {
    stream->send("", "", "text");
    if (++ticks < 12) running->after(Millis(50), tick);
  };
  size_t received = 0;
  const auto response =
      client_of(*server).send({.target = "/", .timeout = Millis(400), .on_body = [&](auto piece) {
                                 received += piece.size();
                                 return true;
                               }});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(received, 12 * std::string("data: text\n\n").size());
  server->stop();
}

TEST(Client, CanBeCancelledFromAnotherThread) {
  std::vector<Reply> held;
  std::promise<void> parked;
  const auto server = serve({}, {{"GET", "/", [&](const Request&, const Reply& reply) {
                                    held.push_back(reply);
                                    parked.set_value();
                                  }}});
  Client client = client_of(*server);
  std::thread other([&] {
    parked.get_future().wait();
    client.cancel();
  });
  const auto response = client.send({.target = "/", .timeout = Millis(0)});
  other.join();
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(client.send({.target = "/missing"}).error().code, ErrorCode::kCancelled);
}

TEST(Client, ComesBackAfterTheServerClosed) {
  auto server = serve({}, {});
  const std::string listen = server->endpoint().substr(7);
  Client client = client_of(*server);
  EXPECT_EQ(client.send({.target = "/"})->status, 404);
  server.reset();
  auto next = Server::start({.listen = listen}, {});
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_EQ(client.send({.method = "POST", .target = "/", .body = "x"})->status, 404);
}

}  // namespace
}  // namespace bcai::net
