// SPDX-License-Identifier: Apache-2.0
#include "net/proxy.h"

#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include "net/proxy_request.h"
#include "net/test_peer.h"

namespace bcai::net {
namespace {

namespace fs = std::filesystem;

// On 127.0.0.1: keeps what each connection said first, and answers with it.
class EchoServer {
 public:
  EchoServer() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd_.get(), 16), 0);
    EXPECT_EQ(getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~EchoServer() {
    shutdown(fd_.get(), SHUT_RDWR);
    thread_.join();
  }
  uint16_t port() const { return port_; }
  std::vector<std::string> heard() {
    const std::lock_guard lock(mutex_);
    return heard_;
  }

 private:
  void run() {
    while (true) {
      const UniqueFd peer(accept(fd_.get(), nullptr, nullptr));
      if (!peer) return;
      std::string text(65536, '\0');
      while (true) {
        const ssize_t got = read(peer.get(), text.data(), text.size());
        if (got <= 0) break;
        {
          const std::lock_guard lock(mutex_);
          heard_.push_back(text.substr(0, static_cast<size_t>(got)));
        }
        (void)!send(peer.get(), text.data(), static_cast<size_t>(got), MSG_NOSIGNAL);
      }
    }
  }

  UniqueFd fd_;
  uint16_t port_ = 0;
  std::mutex mutex_;
  std::vector<std::string> heard_;
  std::thread thread_;
};

class ProxyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "proxy_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override {
    proxy_.reset();
    fs::remove_all(directory_);
  }
  void start(std::vector<HostPort> allow, bool trusted = true, int64_t bytes_max = 1'000'000) {
    auto made = Proxy::start(directory_ / "proxy",
                             {.allow = allow,
                              .trusted = trusted ? allow : std::vector<HostPort>{},
                              .bytes_max = bytes_max,
                              .on_connection = [this](const ProxyConnection& connection) {
                                const std::lock_guard lock(mutex_);
                                seen_.push_back(connection);
                              }});
    ASSERT_TRUE(made) << made.error().message;
    proxy_ = *std::move(made);
  }
  TestPeer connect() const { return TestPeer("unix:" + (directory_ / "proxy").string()); }
  // The answer's head to a request of which nothing more is wanted.
  std::string ask(std::string_view request) const {
    TestPeer peer = connect();
    EXPECT_TRUE(peer.send(request));
    return peer.read_until("\r\n\r\n");
  }
  // All connections of a proxy that has ended.
  std::vector<ProxyConnection> seen() {
    proxy_.reset();
    return seen_;
  }

  EchoServer server_;
  fs::path directory_;
  std::unique_ptr<Proxy> proxy_;
  std::mutex mutex_;
  std::vector<ProxyConnection> seen_;
};

TEST_F(ProxyTest, ATunnelCarriesBytesBothWaysAndIsWrittenDown) {
  start({{"localhost", server_.port()}});
  {
    TestPeer peer = connect();
    ASSERT_TRUE(peer.send(
        fmt::format("CONNECT LocalHost.:{} HTTP/1.1\r\nHost: x\r\n\r\nearly", server_.port())));
    EXPECT_TRUE(peer.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 "));
    EXPECT_EQ(peer.read_until("early"), "early");
    ASSERT_TRUE(peer.send("late"));
    EXPECT_EQ(peer.read_until("late"), "late");
  }
  const auto all = seen();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].target, (HostPort{"localhost", server_.port()}));
  EXPECT_EQ(all[0].address, "127.0.0.1");
  EXPECT_EQ(all[0].bytes_sent, 9);
  EXPECT_EQ(all[0].bytes_received, 9);
  EXPECT_EQ(all[0].refusal, "");
}

TEST_F(ProxyTest, ARequestInAbsoluteFormIsOneToAConnection) {
  start({{"127.0.0.1", server_.port()}});
  {
    TestPeer peer = connect();
    ASSERT_TRUE(peer.send(
        fmt::format("GET http://127.0.0.1:{}/simple/a?b HTTP/1.1\r\nHost: h\r\nProxy-Connection: "
                    "keep-alive\r\nConnection: keep-alive, X\r\nAccept: */*\r\n\r\n",
                    server_.port())));
    (void)peer.read_until("\r\n\r\n");
  }
  EXPECT_EQ(server_.heard(),
            (std::vector<std::string>{"GET /simple/a?b HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n"
                                      "Connection: close\r\n\r\n"}));
}

TEST_F(ProxyTest, OnlyWhatIsAllowedIsReached) {
  start({{"127.0.0.1", server_.port()}});
  const auto other = static_cast<uint16_t>(server_.port() == 65535 ? 1 : server_.port() + 1);
  for (const std::string& target :
       {fmt::format("127.0.0.1:{}", other), fmt::format("localhost:{}", server_.port()),
        fmt::format("[::1]:{}", server_.port()), std::string("169.254.169.254:80")}) {
    EXPECT_TRUE(ask(fmt::format("CONNECT {} HTTP/1.1\r\n\r\n", target)).starts_with("HTTP/1.1 403"))
        << target;
    EXPECT_TRUE(
        ask(fmt::format("GET http://{}/ HTTP/1.1\r\n\r\n", target)).starts_with("HTTP/1.1 403"))
        << target;
  }
  for (const char* bad : {"GET / HTTP/1.1\r\n\r\n", "GET https://127.0.0.1/ HTTP/1.1\r\n\r\n",
                          "CONNECT x\r\n\r\n", "CONNECT 127.0.0.1 HTTP/1.1\r\n\r\n", "\r\n\r\n"}) {
    EXPECT_TRUE(ask(bad).starts_with("HTTP/1.1 400")) << bad;
  }
  EXPECT_TRUE(server_.heard().empty());
  size_t refused = 0;
  for (const ProxyConnection& one : seen()) refused += one.refusal.empty() ? 0 : 1;
  EXPECT_EQ(refused, 13U);
}

TEST_F(ProxyTest, WhatIsKeptOfARefusalIsInOurWords) {
  start({{"127.0.0.1", server_.port()}});
  {
    TestPeer peer = connect();
    ASSERT_TRUE(peer.send("CONNECT s3cr3t.example.com:443 HTTP/1.1\r\n\r\n"));
    EXPECT_TRUE(peer.read_until("allowed is")
                    .ends_with("\r\n\r\ns3cr3t.example.com:443: it is not allowed; allowed is"));
  }
  for (const char* text :
       {"CONNECT s3cr3t HTTP/1.1\r\n\r\n", "CONNECT s3cr3t/:443 HTTP/1.1\r\n\r\n",
        "GET https://s3cr3t/ HTTP/1.1\r\n\r\n", "GET http://s3cr3t:x/ HTTP/1.1\r\n\r\n",
        "s3cr3t\r\n\r\n", "GET http://x/ HTTP/1.1\r\ns3cr3t\r\n\r\n"}) {
    EXPECT_TRUE(ask(text).starts_with("HTTP/1.1 400")) << text;
  }
  const auto all = seen();
  ASSERT_EQ(all.size(), 7U);
  for (const ProxyConnection& one : all) {
    EXPECT_FALSE(one.refusal.empty());
    EXPECT_EQ(one.refusal.find("s3cr3t"), std::string::npos) << one.refusal;
  }
}

TEST_F(ProxyTest, ANameThatLeadsInsideIsRefusedUnlessTrusted) {
  start({{"localhost", server_.port()}}, false);
  EXPECT_TRUE(ask(fmt::format("CONNECT localhost:{} HTTP/1.1\r\n\r\n", server_.port()))
                  .starts_with("HTTP/1.1 403"));
  EXPECT_TRUE(server_.heard().empty());
  const auto all = seen();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].refusal, "it has no public address");
  EXPECT_EQ(all[0].address, "");
}

TEST_F(ProxyTest, AllConnectionsTogetherHaveOneBudget) {
  start({{"127.0.0.1", server_.port()}}, true, 1000);
  const std::string connect_line =
      fmt::format("CONNECT 127.0.0.1:{} HTTP/1.1\r\n\r\n", server_.port());
  {
    TestPeer peer = connect();
    ASSERT_TRUE(peer.send(connect_line));
    (void)peer.read_until("\r\n\r\n");
    ASSERT_TRUE(peer.send(std::string(600, 'x')));
    EXPECT_LT(peer.read_until("never").size(), 600U);  // until it is closed
  }
  EXPECT_TRUE(ask(connect_line).starts_with("HTTP/1.1 403"));
  for (const ProxyConnection& one : seen()) {
    EXPECT_EQ(one.refusal, "more than 1000 bytes in all");
  }
}

TEST_F(ProxyTest, TheEndOfTheProxyEndsItsConnections) {
  start({{"127.0.0.1", server_.port()}});
  TestPeer peer = connect();
  ASSERT_TRUE(peer.send(fmt::format("CONNECT 127.0.0.1:{} HTTP/1.1\r\n\r\n", server_.port())));
  (void)peer.read_until("\r\n\r\n");
  EXPECT_EQ(seen().size(), 1U);
  EXPECT_EQ(peer.read_until("never"), "");
}

TEST(ProxyAddressTest, WhatIsNotTheInternetsIsNotPublic) {
  for (const char* address : {"127.0.0.1",
                              "127.255.0.1",
                              "0.0.0.0",
                              "10.1.2.3",
                              "100.64.0.1",
                              "100.127.255.255",
                              "169.254.169.254",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.168.0.1",
                              "192.0.0.8",
                              "198.18.0.1",
                              "224.0.0.1",
                              "239.1.1.1",
                              "240.0.0.1",
                              "255.255.255.255",
                              "::",
                              "::1",
                              "fe80::1",
                              "fc00::1",
                              "fd12::1",
                              "ff02::1",
                              "fec0::1",
                              "::ffff:127.0.0.1",
                              "::ffff:8.8.8.8",
                              "64:ff9b::a00:1",
                              "2002:7f00:1::",
                              "2002:a01:203::1",
                              "2001:0:4136:e378::",
                              "100::1",
                              "localhost",
                              "",
                              "1.2"}) {
    EXPECT_FALSE(is_public_address(address)) << address;
  }
  for (const char* address :
       {"8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.169.0.1",
        "151.101.0.223", "2a04:4e42::223", "2001:4860:4860::8888", "2002:808:808::"}) {
    EXPECT_TRUE(is_public_address(address)) << address;
  }
}

TEST(ProxyAddressTest, HostsAndPortsHaveOneForm) {
  EXPECT_EQ(*parse_host_port("PyPI.org.:443"), (HostPort{"pypi.org", 443}));
  EXPECT_EQ(*parse_host_port("[2001:DB8::1]:80"), (HostPort{"2001:db8::1", 80}));
  EXPECT_EQ(to_text(*parse_host_port("[2001:db8::1]:80")), "[2001:db8::1]:80");
  EXPECT_EQ(to_text(*parse_host_port("a-b_c:1")), "a-b_c:1");
  for (const char* bad : {"",     "a",     "a:",    ":1",    "a:0",    "a:65536", "a:-1",
                          "a:1x", "a b:1", "a/b:1", "a@b:1", "[::1]",  "[a]:1",   "::1:80",
                          "[::1", "*.a:1", ".:1",   "..:1",  "a..b:1", "a..:1"}) {
    EXPECT_FALSE(parse_host_port(bad)) << bad;
  }
}

}  // namespace
}  // namespace bcai::net
