// SPDX-License-Identifier: Apache-2.0
#include "net/client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/ascii.h"
#include "base/clock.h"
#include "net/endpoint.h"
#include "net/header.h"

namespace bcai::net {
namespace {

constexpr size_t kHeaderCountMax = 200;

struct EasyFree {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiFree {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct ListFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, ListFree>;

void prepare_curl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

bool is_one_line(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::strchr(" \t\r\n", text.front()) != nullptr) text.remove_prefix(1);
  while (!text.empty() && std::strchr(" \t\r\n", text.back()) != nullptr) text.remove_suffix(1);
  return text;
}

void append_header(HeaderList& list, const std::string& line) {
  curl_slist* grown = curl_slist_append(list.get(), line.c_str());
  BCAI_ASSERT(grown != nullptr);
  static_cast<void>(list.release());  // it is the head of what has grown, or was null
  list.reset(grown);
}

Result<HeaderList> make_headers(const ClientRequest& request, const std::string& token) {
  HeaderList list;
  // Without this, libcurl waits up to a second for "100 Continue" before a large body.
  append_header(list, "Expect:");
  bool has_type = false;
  for (const auto& [name, value] : request.headers) {
    if (!is_one_line(name) || !is_one_line(value) || name.empty()) {
      return error(ErrorCode::kInvalidArgument, "header \"{}\": more than one line", name);
    }
    has_type = has_type || equal_without_case(name, "Content-Type");
    append_header(list, value.empty() ? name + ";" : fmt::format("{}: {}", name, value));
  }
  // Without this, libcurl calls every body a form.
  if (!has_type) append_header(list, "Content-Type:");
  if (!token.empty()) append_header(list, "Authorization: Bearer " + token);
  return list;
}

}  // namespace

struct Client::Impl {
  ClientOptions options;
  Endpoint endpoint;
  SystemClock clock;
  std::unique_ptr<CURLM, MultiFree> multi;
  std::unique_ptr<CURL, EasyFree> easy;  // before multi goes
  std::atomic<bool> cancelled{false};
  char error_text[CURL_ERROR_SIZE] = {};

  // Of the request under way.
  const ClientRequest* request = nullptr;
  ClientResponse response;
  Instant moved;
  bool head_whole = false;
  bool body_too_large = false;
  bool body_refused = false;

  void set_up();
  Result<void> prepare(HeaderList& headers);
  Result<CURLcode> run();
  Error failure(CURLcode code) const;
  Error cancelled_error() const;
  Error timed_out() const;
  size_t on_header(std::string_view line);
  size_t on_body(std::string_view piece);
  bool streams() const { return request->on_body && response.ok(); }

  static size_t header_callback(char* data, size_t size, size_t count, void* self) {
    return static_cast<Impl*>(self)->on_header({data, size * count});
  }
  static size_t body_callback(char* data, size_t size, size_t count, void* self) {
    return static_cast<Impl*>(self)->on_body({data, size * count});
  }
};

std::string_view ClientResponse::header(std::string_view name) const {
  return find_value(headers, name);
}

Result<Client> Client::make(ClientOptions options) {
  BCAI_TRY_ASSIGN(Endpoint endpoint, parse_endpoint(options.endpoint));
  if (!is_one_line(options.bearer_token)) {
    return error(ErrorCode::kInvalidArgument, "bearer token: more than one line");
  }
  prepare_curl();
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->endpoint = std::move(endpoint);
  impl->multi.reset(curl_multi_init());
  impl->easy.reset(curl_easy_init());
  if (impl->multi == nullptr || impl->easy == nullptr) {
    return error(ErrorCode::kInternal, "libcurl cannot be initialised");
  }
  return Client(std::move(impl));
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

const std::string& Client::endpoint() const { return impl_->options.endpoint; }

void Client::set_bearer_token(std::string token) { impl_->options.bearer_token = std::move(token); }

void Client::cancel() {
  impl_->cancelled = true;
  curl_multi_wakeup(impl_->multi.get());
}

// What does not change between requests; a reset keeps the connections.
void Client::Impl::set_up() {
  CURL* handle = easy.get();
  curl_easy_reset(handle);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  curl_easy_setopt(handle, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(options.connect_timeout.count()));
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, error_text);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "bcai");
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &Impl::header_callback);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &Impl::body_callback);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, this);
  if (!endpoint.unix_path.empty()) {
    curl_easy_setopt(handle, CURLOPT_UNIX_SOCKET_PATH, endpoint.unix_path.c_str());
  }
  if (!endpoint.unix_path.empty() || is_loopback(endpoint.host)) {
    curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
  }
  if (!options.ca_file.empty()) {
    // The file takes the place of the system's bundle; the system's directory stays.
    curl_easy_setopt(handle, CURLOPT_CAINFO, options.ca_file.c_str());
    curl_easy_setopt(handle, CURLOPT_CAPATH, "/etc/ssl/certs");
  }
}

Result<void> Client::Impl::prepare(HeaderList& headers) {
  if (!request->target.starts_with('/') ||
      std::ranges::any_of(request->target, [](char c) { return c <= 0x20 || c >= 0x7f; })) {
    return error(ErrorCode::kInvalidArgument,
                 "request target \"{}\": expected a path that is percent-encoded", request->target);
  }
  set_up();
  CURL* handle = easy.get();
  curl_easy_setopt(handle, CURLOPT_URL, (endpoint.base_url + request->target).c_str());
  curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
  const bool sends_body = !request->body.empty() || request->method == "POST" ||
                          request->method == "PUT" || request->method == "PATCH";
  if (request->method == "HEAD") {
    curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
  } else {
    if (sends_body) {
      curl_easy_setopt(handle, CURLOPT_POST, 1L);
      curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request->body.data());
      curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request->body.size()));
    }
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request->method.c_str());
  }
  BCAI_TRY_ASSIGN(headers, make_headers(*request, options.bearer_token));
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  return {};
}

size_t Client::Impl::on_header(std::string_view line) {
  moved = clock.now();
  if (line.starts_with("HTTP/")) {  // also after "100 Continue"
    response.headers.clear();
    long status = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
    response.status = static_cast<int>(status);
    return line.size();
  }
  if (line == "\r\n" || line == "\n") head_whole = response.status >= 200;
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return line.size();
  if (response.headers.size() >= kHeaderCountMax) return 0;
  response.headers.emplace_back(lower(line.substr(0, colon)), trimmed(line.substr(colon + 1)));
  return line.size();
}

size_t Client::Impl::on_body(std::string_view piece) {
  moved = clock.now();
  if (streams()) {
    if (cancelled || !request->on_body(piece)) {
      body_refused = true;
      return 0;
    }
    return piece.size();
  }
  if (response.body.size() + piece.size() > static_cast<uint64_t>(request->body_bytes_max)) {
    body_too_large = true;
    return 0;
  }
  response.body += piece;
  return piece.size();
}

// Drives the exchange until libcurl is done with it.
Result<CURLcode> Client::Impl::run() {
  const Instant started = clock.now();
  moved = started;
  while (true) {
    int running = 0;
    if (curl_multi_perform(multi.get(), &running) != CURLM_OK) {
      return error(ErrorCode::kInternal, "{}: libcurl failed", options.endpoint);
    }
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
      if (message->msg == CURLMSG_DONE) return message->data.result;
    }
    if (cancelled) return cancelled_error();
    int wait_ms = 60'000;
    if (request->timeout.count() > 0) {
      const Instant end = (streams() ? moved : started) + request->timeout;
      const int64_t left_ms = (end - clock.now()).count();
      if (left_ms <= 0) return timed_out();
      wait_ms = static_cast<int>(std::min<int64_t>(left_ms, wait_ms));
    }
    curl_multi_poll(multi.get(), nullptr, 0, wait_ms, nullptr);
  }
}

Error Client::Impl::cancelled_error() const {
  return error(ErrorCode::kCancelled, "{} {}: cancelled", request->method, request->target);
}

Error Client::Impl::timed_out() const {
  return error(ErrorCode::kDeadlineExceeded, "{}: no answer to {} {} within {} ms",
               options.endpoint, request->method, request->target, request->timeout.count());
}

Error Client::Impl::failure(CURLcode code) const {
  long os_error = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_OS_ERRNO, &os_error);
  std::string cause = error_text[0] != '\0' ? error_text : curl_easy_strerror(code);
  switch (code) {
    case CURLE_COULDNT_CONNECT:
      if (os_error != 0) {
        cause = std::strerror(static_cast<int>(os_error));
        cause[0] = lower(cause[0]);
      }
      [[fallthrough]];
    case CURLE_OPERATION_TIMEDOUT:  // of connecting: nothing else is timed by libcurl
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return error(ErrorCode::kUnavailable, "cannot reach {}: {}", options.endpoint, cause);
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
      return error(ErrorCode::kUnavailable, "{}: the connection broke before {} {} was answered",
                   options.endpoint, request->method, request->target);
    case CURLE_WRITE_ERROR:
      if (body_refused) {
        return error(ErrorCode::kCancelled, "{} {}: ended by the reader", request->method,
                     request->target);
      }
      if (body_too_large) {
        return error(ErrorCode::kResourceExhausted,
                     "{}: the answer to {} {} has more than {} bytes", options.endpoint,
                     request->method, request->target, request->body_bytes_max);
      }
      break;
    default: break;
  }
  return error(ErrorCode::kUnavailable, "{}: {} {}: {}", options.endpoint, request->method,
               request->target, cause);
}

Result<ClientResponse> Client::send(const ClientRequest& request) {
  Impl& impl = *impl_;
  impl.request = &request;
  if (impl.cancelled) return impl.cancelled_error();
  impl.response = {};
  impl.head_whole = false;
  impl.body_too_large = false;
  impl.body_refused = false;
  impl.error_text[0] = '\0';
  HeaderList headers;
  BCAI_TRY(impl.prepare(headers));
  if (curl_multi_add_handle(impl.multi.get(), impl.easy.get()) != CURLM_OK) {
    return error(ErrorCode::kInternal, "{}: libcurl failed", impl.options.endpoint);
  }
  Result<CURLcode> done = impl.run();
  // A transfer that is not complete takes its connection with it.
  curl_multi_remove_handle(impl.multi.get(), impl.easy.get());
  if (!done) return std::move(done).error();
  if (*done != CURLE_OK) return impl.failure(*done);
  // libcurl is content with a head that was cut off.
  if (!impl.head_whole) return impl.failure(CURLE_GOT_NOTHING);
  return std::move(impl.response);
}

}  // namespace bcai::net
