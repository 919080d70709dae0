// SPDX-License-Identifier: Apache-2.0
#include "net/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>
#include <thread>

#include "base/file.h"
#include "net/client.h"
#include "net/test_peer.h"

namespace bcai::net {
namespace {

Route echo_route(size_t body_bytes_max = 1 << 20) {
  return {"POST",
          "/echo",
          [](const Request& request, const Reply& reply) { reply.send({.body = request.body}); },
          {.body_bytes_max = body_bytes_max}};
}

Route text_route(std::string pattern, std::string text) {
  return {"GET", std::move(pattern), [text = std::move(text)](const Request&, const Reply& reply) {
            reply.send({.body = text});
          }};
}

std::string body_of(const std::string& answer) {
  const size_t end = answer.find("\r\n\r\n");
  return end == std::string::npos ? "no answer: " + answer : answer.substr(end + 4);
}

// A directory that goes with the test.
struct TestDirectory {
  std::filesystem::path path;
  TestDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bcai_net_XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~TestDirectory() { std::filesystem::remove_all(path); }
};

TEST(Server, HandsOverTheParts) {
  Request seen;
  const auto server =
      serve({}, {{"PUT", "/v1/jobs/{id}/x", [&](Request request, const Reply& reply) {
                    seen = std::move(request);
                    reply.send({.status = 201, .headers = {{"X-A", "b"}}});
                  }}});
  Result<Client> client = Client::make({.endpoint = server->endpoint(), .bearer_token = "t"});
  ASSERT_TRUE(client);
  const auto response = client->send({.method = "PUT",
                                      .target = "/v1/jobs/a%2Fb/x?q=1%202",
                                      .headers = {{"X-Empty", ""}, {"X-C", "d"}},
                                      .body = std::string("\0\xff", 2)});
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->header("X-a"), "b");
  EXPECT_EQ(seen.method, "PUT");
  EXPECT_EQ(seen.path, "/v1/jobs/a/b/x");
  EXPECT_EQ(seen.route, "/v1/jobs/{id}/x");
  EXPECT_EQ(seen.params.at("id"), "a/b");
  EXPECT_EQ(seen.query.at("q"), "1 2");
  EXPECT_EQ(seen.header("authorization"), "Bearer t");
  EXPECT_EQ(seen.header("x-c"), "d");
  EXPECT_EQ(seen.header("content-type"), "");
  EXPECT_EQ(seen.body, std::string("\0\xff", 2));
  EXPECT_EQ(seen.peer.substr(0, 10), "127.0.0.1:");
}

TEST(Server, AnswersUnknownPathsAndMethods) {
  const auto server = serve({.problem =
                                 [](int status, ErrorCode code, std::string_view) {
                                   return fmt::format("{} {}", status, error_code_name(code));
                                 }},
                            {text_route("/a", "text")});
  TestPeer peer(server->endpoint());
  peer.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
  std::string answer = peer.read_answer();
  EXPECT_EQ(answer.substr(0, 22), "HTTP/1.1 404 Not Found");
  EXPECT_EQ(body_of(answer), "404 not_found");
  EXPECT_NE(answer.find("\r\nContent-Type: application/problem+json\r\n"), std::string::npos);
  peer.send("DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n");
  answer = peer.read_answer();
  EXPECT_EQ(answer.substr(0, 31), "HTTP/1.1 405 Method Not Allowed");
  EXPECT_NE(answer.find("\r\nAllow: GET, HEAD\r\n"), std::string::npos);
  peer.send("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n");
  answer = peer.read_all();
  EXPECT_EQ(answer.substr(0, 24), "HTTP/1.1 400 Bad Request");
  EXPECT_EQ(body_of(answer), "400 invalid_argument");
}

TEST(Server, RefusesSmugglingAndCloses) {
  std::atomic<int> handled{0};
  const auto count = [&](const Request&, const Reply& reply) {
    ++handled;
    reply.send({});
  };
  const auto server = serve({}, {{"POST", "/", count}, {"GET", "/admin", count}});
  const std::string inner = "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n";
  for (const char* headers :
       {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n", "Content-Length: 0\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n x: y\r\n", "Transfer-Encoding : chunked\r\n"}) {
    TestPeer peer(server->endpoint());
    peer.send(std::string("POST / HTTP/1.1\r\nHost: x\r\n") + headers + "\r\n0\r\n\r\n" + inner);
    const std::string all = peer.read_all();
    EXPECT_TRUE(all.starts_with("HTTP/1.1 400") || all.starts_with("HTTP/1.1 501")) << all;
    EXPECT_EQ(all.find("\r\nDate: "), all.rfind("\r\nDate: ")) << headers << all;
    EXPECT_FALSE(all.ends_with("(open)")) << headers;
  }
  EXPECT_EQ(handled, 0);
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  std::vector<Reply> held;
  const auto server = serve(
      {}, {{"GET", "/held", [&](const Request&, const Reply& reply) { held.push_back(reply); }},
           text_route("/a", "A"),
           echo_route()});
  TestPeer peer(server->endpoint());
  std::string requests = "GET /held HTTP/1.1\r\nHost: x\r\n\r\n";
  for (int n = 0; n < 500; ++n) requests += "GET /missing HTTP/1.1\r\nHost: x\r\n\r\n";
  requests += "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
  requests += "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /a HTTP/1.1\r\n\r\n";
  peer.send(requests);
  std::promise<void> posted;
  server->after(Millis(20), [&] {
    ASSERT_EQ(held.size(), 1u);
    held.at(0).send({.body = "first"});
    posted.set_value();
  });
  posted.get_future().wait();
  EXPECT_EQ(body_of(peer.read_answer()), "first");
  for (int n = 0; n < 500; ++n) {
    ASSERT_EQ(peer.read_answer().substr(0, 12), "HTTP/1.1 404");
  }
  EXPECT_EQ(body_of(peer.read_answer()), "hello");
  const std::string last = peer.read_all();
  EXPECT_EQ(body_of(last), "A");
  EXPECT_NE(last.find("Connection: close"), std::string::npos);
  server->stop();
}

TEST(Server, ReadsARequestInSingleBytes) {
  const auto server = serve({}, {echo_route()});
  TestPeer peer(server->endpoint());
  for (const char c : std::string("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                                  "\r\n3\r\nabc\r\n0\r\n\r\n")) {
    ASSERT_TRUE(peer.send({&c, 1}));
    std::this_thread::yield();
  }
  EXPECT_EQ(body_of(peer.read_answer()), "abc");
}

TEST(Server, HeadHasNoBody) {
  const auto server =
      serve({}, {text_route("/a", "text"), {"HEAD", "/b", [](const Request&, const Reply& reply) {
                                              reply.send({.headers = {{"Content-Length", "77"}}});
                                            }}});
  TestPeer peer(server->endpoint());
  peer.send(
      "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nHEAD /b HTTP/1.1\r\nHost: x\r\n\r\n"
      "HEAD /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_NE(peer.read_until("\r\n\r\n").find("Content-Length: 4\r\n"), std::string::npos);
  EXPECT_NE(peer.read_until("\r\n\r\n").find("Content-Length: 77\r\n"), std::string::npos);
  const std::string last = peer.read_all();
  EXPECT_EQ(last.substr(0, 12), "HTTP/1.1 404");
  EXPECT_EQ(body_of(last), "");
  Result<Client> client = Client::make({.endpoint = server->endpoint()});
  const auto response = client->send({.method = "HEAD", .target = "/a"});
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->header("content-length"), "4");
  EXPECT_EQ(response->body, "");
}

TEST(Server, SaysContinueBeforeTheBody) {
  const auto server = serve({}, {echo_route(100)});
  TestPeer peer(server->endpoint());
  const std::string start = "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n";
  peer.send(start + "Content-Length: 4\r\n\r\n");
  EXPECT_EQ(peer.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  peer.send("body");
  EXPECT_EQ(body_of(peer.read_answer()), "body");
  peer.send(start + "Content-Length: 101\r\n\r\n");
  EXPECT_EQ(peer.read_all().substr(0, 12), "HTTP/1.1 413");
}

TEST(Server, Answers413WithoutReadingTheBody) {
  const auto server = serve({}, {echo_route(1000)});
  TestPeer peer(server->endpoint());
  peer.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n");
  // The rest is on its way while the answer is written: it must not be lost to a reset.
  std::thread sender([&] {
    const std::string piece(1 << 20, 'x');
    for (int n = 0; n < 20 && peer.send(piece); ++n) {
    }
    peer.end_writing();
  });
  const std::string answer = peer.read_all();
  sender.join();
  EXPECT_EQ(answer.substr(0, 30), "HTTP/1.1 413 Content Too Large");
  EXPECT_FALSE(answer.ends_with("(open)"));
  TestPeer chunked(server->endpoint());
  chunked.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "200\r\n" +
      std::string(512, 'a') + "\r\n200\r\n");
  EXPECT_EQ(chunked.read_all().substr(0, 12), "HTTP/1.1 413");
}

TEST(Server, BoundsTheBodiesOfAllRequests) {
  const auto server = serve({.body_bytes_total_max = 1000}, {echo_route()});
  const std::string start = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 800\r\n\r\n";
  TestPeer first(server->endpoint());
  TestPeer second(server->endpoint());
  first.send(start + std::string(600, 'a'));
  second.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  second.read_answer();  // the first one's bytes are in
  second.send(start + std::string(600, 'b'));
  const std::string answer = second.read_all();
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 503");
  EXPECT_NE(answer.find("Retry-After: 1\r\n"), std::string::npos);
  first.send(std::string(200, 'a'));
  EXPECT_EQ(body_of(first.read_answer()), std::string(800, 'a'));
  TestPeer third(server->endpoint());
  third.send(start + std::string(800, 'c'));
  EXPECT_EQ(body_of(third.read_answer()), std::string(800, 'c'));
}

TEST(Server, TimesOutSlowRequestsAndIdleConnections) {
  const auto server = serve({.idle_timeout = Millis(50), .request_timeout = Millis(50)},
                            {echo_route(), text_route("/a", "A")});
  TestPeer idle(server->endpoint());
  TestPeer slow(server->endpoint());
  TestPeer used(server->endpoint());
  slow.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc");
  used.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(body_of(used.read_answer()), "A");
  EXPECT_EQ(idle.read_all(), "");
  EXPECT_EQ(used.read_all(), "");
  EXPECT_EQ(slow.read_all().substr(0, 12), "HTTP/1.1 408");
}

TEST(Server, AnswersFromAnyThreadAndOnce) {
  const auto server = serve({}, {{"GET", "/", [](const Request&, const Reply& reply) {
                                    std::thread([reply] {
                                      reply.send({.body = "first"});
                                      reply.send({.body = "second"});
                                      EXPECT_FALSE(reply.stream().send("", "", "third"));
                                    }).detach();
                                  }}});
  Result<Client> client = Client::make({.endpoint = server->endpoint()});
  for (int n = 0; n < 20; ++n) {
    const auto response = client->send({.target = "/"});
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->body, "first");
  }
}

TEST(Server, AnswersForAHandlerThatDoesNot) {
  const auto server = serve({}, {{"GET", "/", [](const Request&, const Reply&) {}}});
  Result<Client> client = Client::make({.endpoint = server->endpoint()});
  EXPECT_EQ(client->send({.target = "/"})->status, 500);
  EXPECT_EQ(client->send({.target = "/"})->status, 500);
}

TEST(Server, SendsPartsOfFiles) {
  const TestDirectory directory;
  const std::string path = directory.path / "file";
  std::string bytes;
  for (int n = 0; n < 300'000; ++n) bytes += static_cast<char>(n % 251);
  ASSERT_TRUE(write_file(path, bytes));
  const auto server =
      serve({}, {{"GET", "/{offset}/{bytes}", [&](const Request& request, const Reply& reply) {
                    reply.send({.status = 206,
                                .file = FileBody{path, std::stoll(request.params.at("offset")),
                                                 std::stoll(request.params.at("bytes"))}});
                  }}});
  Result<Client> client = Client::make({.endpoint = server->endpoint()});
  for (const auto& [offset, count] : {std::pair{0, 300'000}, {17, 4}, {299'999, 1}, {300'000, 0}}) {
    const auto response = client->send({.target = fmt::format("/{}/{}", offset, count)});
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->status, 206);
    EXPECT_EQ(response->body,
              bytes.substr(static_cast<size_t>(offset), static_cast<size_t>(count)));
  }
  for (const char* target :
       {"/0/300001", "/300001/0", "/-1/5", "/5/-1", "/9223372036854775807/2"}) {
    EXPECT_EQ(client->send({.target = target})->status, 500) << target;
  }
  const auto head = client->send({.method = "HEAD", .target = "/3/70"});
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->header("content-length"), "70");
}

TEST(Server, WritesLargeAnswersToASlowReader) {
  const std::string text(5'000'000, 'z');
  const auto server = serve({}, {text_route("/", text)});
  TestPeer peer(server->endpoint());
  peer.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(body_of(peer.read_answer()), text);
  EXPECT_EQ(body_of(peer.read_answer()), text);
}

TEST(Server, AnswersAPeerThatHasEndedItsSide) {
  Reply held(nullptr);
  const auto server =
      serve({}, {{"GET", "/", [&](const Request&, const Reply& reply) { held = reply; }}});
  TestPeer peer(server->endpoint());
  peer.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  peer.end_writing();
  server->after(Millis(50), [&] { std::exchange(held, Reply(nullptr)).send({.body = "late"}); });
  EXPECT_EQ(body_of(peer.read_all()), "late");
}

TEST(Server, ReportsEachAnswer) {
  std::mutex mutex;
  std::vector<std::string> seen;
  const auto server = serve({.on_request =
                                 [&](std::string_view method, std::string_view route, int status,
                                     std::chrono::microseconds took) {
                                   const std::lock_guard lock(mutex);
                                   EXPECT_GE(took.count(), 0);
                                   seen.push_back(fmt::format("{} {} {}", method, route, status));
                                 }},
                            {text_route("/a/{b}", "A")});
  TestPeer peer(server->endpoint());
  peer.send("GET /a/1 HTTP/1.1\r\nHost: x\r\n\r\nPUT /a/1 HTTP/1.1\r\nHost: x\r\n\r\nbad\r\n\r\n");
  EXPECT_FALSE(peer.read_all().ends_with("(open)"));
  const std::lock_guard lock(mutex);
  const std::vector<std::string> expected{"GET /a/{b} 200", "PUT  405", "  400"};
  EXPECT_EQ(seen, expected);
}

TEST(Server, RunsTasksOnItsThread) {
  const auto server = serve({}, {});
  std::promise<std::thread::id> posted;
  std::promise<std::thread::id> later;
  server->after(Millis(1), [&] { later.set_value(std::this_thread::get_id()); });
  server->post([&] { posted.set_value(std::this_thread::get_id()); });
  const std::thread::id id = posted.get_future().get();
  EXPECT_NE(id, std::this_thread::get_id());
  EXPECT_EQ(later.get_future().get(), id);
  std::promise<std::string> order;
  std::string text;
  server->after(Millis(30), [&] { order.set_value(text + "c"); });
  server->after(Millis(1), [&] { text += "a"; });
  server->after(Millis(10), [&] { text += "b"; });
  EXPECT_EQ(order.get_future().get(), "abc");
}

TEST(Server, StopsWithRequestsOpen) {
  std::vector<Reply> held;
  std::promise<void> parked;
  auto server = serve({}, {{"GET", "/", [&](const Request&, const Reply& reply) {
                              reply.on_peer_gone([] { FAIL() << "called by stop()"; });
                              held.push_back(reply);
                              if (held.size() == 3) parked.set_value();
                            }}});
  std::vector<TestPeer> peers;
  for (int n = 0; n < 3; ++n) {
    peers.emplace_back(server->endpoint());
    peers.back().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  const TestPeer idle(server->endpoint());
  parked.get_future().wait();
  server->after(Millis(10), [keep = held.at(0)] { FAIL() << "run after stop()"; });
  server->stop();
  EXPECT_EQ(server->connections(), 0u);
  for (TestPeer& peer : peers) EXPECT_EQ(peer.read_all(), "");
  server->post([] { FAIL() << "run after stop()"; });
  server->stop();
  server.reset();
  held.at(0).send({});
  EXPECT_FALSE(held.at(1).stream().send("", "", "text"));
}

TEST(Server, ClosesConnectionsBeyondTheLimit) {
  const auto server = serve({.connections_max = 2}, {text_route("/", "A")});
  TestPeer first(server->endpoint());
  TestPeer second(server->endpoint());
  for (TestPeer* peer : {&first, &second}) {
    peer->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(body_of(peer->read_answer()), "A");
  }
  TestPeer third(server->endpoint());
  EXPECT_EQ(third.read_all(), "");
  first.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(body_of(first.read_all()), "A");
  first.close();
  // The server sees the end of the first one before it accepts the next, or soon after.
  std::string body;
  while (body != "A") {
    TestPeer fourth(server->endpoint());
    fourth.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    body = body_of(fourth.read_answer());
  }
}

TEST(Server, SurvivesRunningOutOfDescriptors) {
  const auto server = serve({}, {text_route("/", "A")});
  TestPeer before(server->endpoint());
  before.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(body_of(before.read_answer()), "A");
  TestPeer starved("unix:/nonexistent");  // takes its descriptor before they run out
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  std::vector<UniqueFd> hoard;
  const rlimit low{512, limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  while (true) {
    UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!fd) break;
    hoard.push_back(std::move(fd));
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  const std::string endpoint = server->endpoint();
  address.sin_port =
      htons(static_cast<uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
            0);
  char byte = 0;
  EXPECT_LE(::recv(socket.get(), &byte, 1, 0), 0);  // it is closed, not left waiting
  before.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(body_of(before.read_answer()), "A");
  hoard.clear();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  TestPeer after(server->endpoint());
  after.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(body_of(after.read_answer()), "A");
}

TEST(Server, ListensOnAUnixSocket) {
  const TestDirectory directory;
  const std::string path = directory.path / "socket";
  auto server = serve({.listen = "unix:" + path},
                      {{"GET", "/", [](const Request& request, const Reply& reply) {
                          reply.send({.body = request.peer});
                        }}});
  EXPECT_EQ(server->endpoint(), "unix:" + path);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  Result<Client> client = Client::make({.endpoint = server->endpoint()});
  const auto response = client->send({.target = "/"});
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "unix");
  const auto second = Server::start({.listen = "unix:" + path}, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  server->stop();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Server, TakesAStaleUnixSocketButNoOtherFile) {
  const TestDirectory directory;
  const std::string path = directory.path / "socket";
  {
    const UniqueFd left(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    ASSERT_EQ(::bind(left.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  EXPECT_TRUE(Server::start({.listen = "unix:" + path}, {}));
  const std::string file = directory.path / "file";
  ASSERT_TRUE(write_file(file, "text"));
  EXPECT_FALSE(Server::start({.listen = "unix:" + file}, {}));
  EXPECT_TRUE(std::filesystem::exists(file));
}

TEST(Server, NamesBadOptions) {
  const auto code = [](ServerOptions options, std::vector<Route> routes = {}) {
    const auto server = Server::start(std::move(options), std::move(routes));
    return server ? "started" : error_code_name(server.error().code);
  };
  EXPECT_EQ(code({.listen = "nowhere"}), "invalid_argument");
  EXPECT_EQ(code({.listen = "203.0.113.1:80"}), "unavailable");
  EXPECT_EQ(code({.tls_certificate_file = "/a"}), "invalid_argument");
  EXPECT_EQ(code({.tls_key_file = "/a"}), "invalid_argument");
  EXPECT_EQ(code({.tls_certificate_file = "/nonexistent", .tls_key_file = "/nonexistent"}),
            "invalid_argument");
  EXPECT_EQ(code({}, {text_route("no slash", "")}), "invalid_argument");
  const auto server = serve({}, {});
  EXPECT_EQ(code({.listen = server->endpoint().substr(7)}), "unavailable");
}

}  // namespace
}  // namespace bcai::net
