// SPDX-License-Identifier: Apache-2.0
// TLS on both sides, with a certificate made here.
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <filesystem>
#include <future>
#include <memory>

#include "base/file.h"
#include "net/client.h"
#include "net/server.h"
#include "net/test_peer.h"

namespace bcai::net {
namespace {

// A certificate for 127.0.0.1 that signs itself, and its key, as files that go with the test.
class TestCertificate {
 public:
  TestCertificate() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bcai_tls_XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* names =
        X509V3_EXT_conf_nid(nullptr, &context, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(certificate, names, -1);
    X509_EXTENSION_free(names);
    X509_sign(certificate, key, EVP_sha256());
    FILE* file = std::fopen(certificate_file().c_str(), "w");
    PEM_write_X509(file, certificate);
    std::fclose(file);
    file = std::fopen(key_file().c_str(), "w");
    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  ~TestCertificate() { std::filesystem::remove_all(directory_); }

  std::string certificate_file() const { return directory_ / "certificate.pem"; }
  std::string key_file() const { return directory_ / "key.pem"; }
  std::filesystem::path directory() const { return directory_; }

 private:
  std::filesystem::path directory_;
};

class ServerTls : public testing::Test {
 protected:
  std::unique_ptr<Server> serve(std::vector<Route> routes) {
    auto server = Server::start({.tls_certificate_file = certificate_.certificate_file(),
                                 .tls_key_file = certificate_.key_file()},
                                std::move(routes));
    EXPECT_TRUE(server) << server.error().message;
    return server ? *std::move(server) : nullptr;
  }
  Client client(const Server& server) {
    return *Client::make(
        {.endpoint = server.endpoint(), .ca_file = certificate_.certificate_file()});
  }

  TestCertificate certificate_;
};

TEST_F(ServerTls, CarriesLargeBodiesBothWays) {
  const auto server = serve(
      {{"POST",
        "/echo",
        [](const Request& request, const Reply& reply) { reply.send({.body = request.body}); },
        {.body_bytes_max = 8 << 20}}});
  EXPECT_TRUE(server->endpoint().starts_with("https://127.0.0.1:"));
  Client peer = client(*server);
  for (const size_t size : {0u, 1u, 16'384u, 16'385u, 5'000'000u}) {
    std::string body(size, 'x');
    for (size_t i = 0; i < size; i += 97) body[i] = static_cast<char>(i);
    const auto response = peer.send({.method = "POST", .target = "/echo", .body = body});
    ASSERT_TRUE(response) << size << response.error().message;
    EXPECT_TRUE(response->body == body) << size;
  }
  EXPECT_EQ(server->connections(), 1u);
}

TEST_F(ServerTls, SendsFiles) {
  const std::string path = certificate_.directory() / "file";
  std::string bytes;
  for (int n = 0; n < 300'000; ++n) bytes += static_cast<char>(n % 251);
  ASSERT_TRUE(write_file(path, bytes));
  const auto server = serve({{"GET", "/", [&](const Request&, const Reply& reply) {
                                reply.send({.file = FileBody{path, 5, 299'990}});
                              }}});
  Client peer = client(*server);
  const auto response = peer.send({.target = "/"});
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_TRUE(response->body == bytes.substr(5, 299'990));
}

TEST_F(ServerTls, HoldsLongPollsAndStreams) {
  std::promise<void> gone;
  const auto server = serve({{"GET", "/poll",
                              [&](const Request&, const Reply& reply) {
                                reply.on_peer_gone([&] { gone.set_value(); });
                                static std::vector<Reply> kept;
                                kept.push_back(reply);
                              }},
                             {"GET", "/stream", [](const Request&, const Reply& reply) {
                                const EventStream stream = reply.stream();
                                for (int n = 0; n < 3; ++n) stream.send("", "", "text");
                              }}});
  Client streaming = client(*server);
  std::string text;
  const auto streamed =
      streaming.send({.target = "/stream", .on_body = [&](std::string_view piece) {
                        text += piece;
                        return true;
                      }});
  ASSERT_TRUE(streamed) << streamed.error().message;
  EXPECT_EQ(text, "data: text\n\ndata: text\n\ndata: text\n\n");
  {
    Client polling = client(*server);
    const auto polled = polling.send({.target = "/poll", .timeout = Millis(100)});
    ASSERT_FALSE(polled);
    EXPECT_EQ(polled.error().code, ErrorCode::kDeadlineExceeded);
  }
  gone.get_future().wait();
}

TEST_F(ServerTls, RefusesAnUnknownCertificate) {
  const auto server = serve({});
  Client peer = *Client::make({.endpoint = server->endpoint()});
  const auto response = peer.send({.target = "/"});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(response.error().message.starts_with("cannot reach https://127.0.0.1:"))
      << response.error().message;
  EXPECT_NE(response.error().message.find("certificate"), std::string::npos)
      << response.error().message;
}

TEST_F(ServerTls, ClosesOnWhatIsNotTls) {
  const auto server = serve({});
  TestPeer plain(server->endpoint());
  plain.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(plain.read_all().find("HTTP/1.1"), std::string::npos);
  // The next one is served: an error of one connection stays with it.
  Client peer = client(*server);
  EXPECT_EQ(peer.send({.target = "/"})->status, 404);
}

TEST_F(ServerTls, SpeaksNoOldVersion) {
  const auto server = serve({});
  TestPeer socket(server->endpoint());
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_security_level(context, 0);
  SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, socket.fd());
  EXPECT_NE(SSL_connect(ssl), 1);
  SSL_free(ssl);
  SSL_CTX_free(context);
}

TEST_F(ServerTls, NamesTheFileThatIsWrong) {
  const auto server = Server::start({.tls_certificate_file = certificate_.certificate_file(),
                                     .tls_key_file = certificate_.certificate_file()},
                                    {});
  ASSERT_FALSE(server);
  EXPECT_NE(server.error().message.find(certificate_.certificate_file()), std::string::npos);
}

}  // namespace
}  // namespace bcai::net
