// SPDX-License-Identifier: Apache-2.0
#include "net/transport.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace bcai::net {
namespace {

std::string tls_error_text() {
  const unsigned long code = ERR_get_error();
  char text[256] = "unknown error";
  if (code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

int select_http_1_1(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned int offered_size, void*) {
  static constexpr unsigned char kProtocols[] = "\x08http/1.1";
  unsigned char* selected = nullptr;
  const int status = SSL_select_next_proto(&selected, out_size, kProtocols, sizeof kProtocols - 1,
                                           offered, offered_size);
  *out = selected;
  return status == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

IoResult socket_result(ssize_t result, Io wait) {
  if (result > 0) return {Io::kDone, static_cast<size_t>(result)};
  if (result == 0) return {Io::kEnd, 0};
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {wait, 0};
  return {Io::kBroken, 0};
}

}  // namespace

void TlsContextFree::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

Result<TlsContext> make_tls_context(const std::string& certificate_file,
                                    const std::string& key_file) {
  ERR_clear_error();
  TlsContext context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return error(ErrorCode::kInternal, "TLS: {}", tls_error_text());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Sessions are resumed by ticket only: a cache would hold memory for clients that are gone.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 1);
  SSL_CTX_set_alpn_select_cb(context.get(), select_http_1_1, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate_file.c_str()) != 1) {
    return error(ErrorCode::kInvalidArgument, "TLS certificate {}: {}", certificate_file,
                 tls_error_text());
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context.get()) != 1) {
    return error(ErrorCode::kInvalidArgument, "TLS key {}: {}", key_file, tls_error_text());
  }
  return context;
}

Transport::Transport(int fd, ssl_ctx_st* context) : fd_(fd) {
  if (context == nullptr) return;
  ssl_ = SSL_new(context);
  BCAI_ASSERT(ssl_ != nullptr && SSL_set_fd(ssl_, fd) == 1);
  SSL_set_accept_state(ssl_);
}

Transport::~Transport() { SSL_free(ssl_); }

IoResult Transport::tls_result(int result) const {
  if (result > 0) return {Io::kDone, static_cast<size_t>(result)};
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ: return {Io::kWaitRead, 0};
    case SSL_ERROR_WANT_WRITE: return {Io::kWaitWrite, 0};
    case SSL_ERROR_ZERO_RETURN: return {Io::kEnd, 0};
    default: return {Io::kBroken, 0};
  }
}

IoResult Transport::handshake() {
  if (ssl_ == nullptr) return {Io::kDone, 0};
  // An error left by another connection would be taken for this one's.
  ERR_clear_error();
  return tls_result(SSL_do_handshake(ssl_));
}

IoResult Transport::read(std::span<char> into) {
  if (ssl_ == nullptr) {
    return socket_result(::recv(fd_, into.data(), into.size(), 0), Io::kWaitRead);
  }
  ERR_clear_error();
  const size_t size = std::min<size_t>(into.size(), INT32_MAX);
  return tls_result(SSL_read(ssl_, into.data(), static_cast<int>(size)));
}

IoResult Transport::write(std::string_view bytes) {
  if (bytes.empty()) return {Io::kDone, 0};
  if (ssl_ == nullptr) {
    return socket_result(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL), Io::kWaitWrite);
  }
  ERR_clear_error();
  const size_t size = std::min<size_t>(bytes.size(), INT32_MAX);
  return tls_result(SSL_write(ssl_, bytes.data(), static_cast<int>(size)));
}

IoResult Transport::write_file(int file, off_t offset, size_t bytes) {
  BCAI_ASSERT(ssl_ == nullptr);
  const IoResult result = socket_result(::sendfile(fd_, file, &offset, bytes), Io::kWaitWrite);
  return result.io == Io::kEnd ? IoResult{Io::kBroken, 0} : result;
}

bool Transport::has_pending() const { return ssl_ != nullptr && SSL_has_pending(ssl_) == 1; }

void Transport::end_writing() {
  if (ssl_ != nullptr && SSL_is_init_finished(ssl_)) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
  }
  ::shutdown(fd_, SHUT_WR);
}

IoResult Transport::discard(std::span<char> scratch) {
  return socket_result(::recv(fd_, scratch.data(), scratch.size(), 0), Io::kWaitRead);
}

}  // namespace bcai::net
