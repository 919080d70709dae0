// SPDX-License-Identifier: Apache-2.0
// Bytes in and out of one accepted, non-blocking socket, with TLS or without. OpenSSL works on the
// descriptor itself and gives its buffers back between records: an idle connection with TLS holds
// a fifth of what a stream with buffers of its own does. SIGPIPE must be blocked in the thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace bcai::net {

struct TlsContextFree {
  void operator()(ssl_ctx_st* context) const;
};
using TlsContext = std::unique_ptr<ssl_ctx_st, TlsContextFree>;

// TLS 1.2 and up, ALPN http/1.1. kInvalidArgument names the file that cannot be used.
Result<TlsContext> make_tls_context(const std::string& certificate_file,
                                    const std::string& key_file);

enum class Io {
  kDone,       // `bytes` went through
  kWaitRead,   // nothing until the socket is readable
  kWaitWrite,  // nothing until it is writable
  kEnd,        // the peer has ended its side in order
  kBroken,
};

struct IoResult {
  Io io = Io::kBroken;
  size_t bytes = 0;
};

// Does not own the descriptor.
class Transport {
 public:
  Transport(int fd, ssl_ctx_st* context);  // context may be nullptr: plain
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  bool is_tls() const { return ssl_ != nullptr; }
  IoResult handshake();
  IoResult read(std::span<char> into);
  IoResult write(std::string_view bytes);
  // From a file, without a copy. Plain only. kBroken when the file ends early.
  IoResult write_file(int file, off_t offset, size_t bytes);
  // True when read() may give bytes although the socket is not readable.
  bool has_pending() const;
  // Tells the peer that nothing follows.
  void end_writing();
  // Takes bytes off the socket unseen.
  IoResult discard(std::span<char> scratch);

 private:
  IoResult tls_result(int result) const;

  int fd_;
  ssl_st* ssl_ = nullptr;
};

}  // namespace bcai::net
