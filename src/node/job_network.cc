// SPDX-License-Identifier: Apache-2.0
#include "node/job_network.h"

#include <algorithm>

#include "base/file.h"
#include "base/log.h"
#include "net/proxy.h"
#include "protocol/network.h"

namespace bcai::node {
namespace {

constexpr const char* kCertificates[] = {"/etc/ssl/certs/ca-certificates.crt",
                                         "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};
// What a program needs to use the network, which the import policy refuses otherwise.
constexpr const char* kModules[] = {"http.client", "socket", "ssl", "urllib.request"};

struct Opened {
  std::filesystem::path directory;
  std::unique_ptr<net::Proxy> proxy;
  Opened() = default;
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  ~Opened() {
    proxy.reset();
    std::error_code failed;
    std::filesystem::remove_all(directory, failed);
  }
};

void log_connection(const Lease& lease, const net::ProxyConnection& connection) {
  log_event(connection.refusal.empty() ? LogLevel::kInfo : LogLevel::kWarn, "job.connection",
            {{"job", lease.job.text()},
             {"attempt", lease.attempt.text()},
             {"target", net::to_text(connection.target)},
             {"address", connection.address},
             {"bytes_sent", connection.bytes_sent},
             {"bytes_received", connection.bytes_received},
             {"refusal", connection.refusal}});
}

// The system's authorities, without which nothing over TLS can be checked.
Result<bool> add_certificates(const std::filesystem::path& directory) {
  for (const char* path : kCertificates) {
    auto text = read_file(path);
    if (!text) continue;
    BCAI_TRY(write_file(directory / "ca.pem", *text));
    return true;
  }
  return false;
}

Result<net::ProxyOptions> proxy_options(const NetworkOptions& options, const Lease& lease,
                                        Connections* seen) {
  net::ProxyOptions proxy;
  for (const std::string& text : lease.spec.network_allow) {
    BCAI_TRY_ASSIGN(const net::HostPort target, net::parse_host_port(text));
    proxy.allow.push_back(target);
    if (std::find(options.patterns.begin(), options.patterns.end(), text) !=
        options.patterns.end()) {
      proxy.trusted.push_back(target);
    }
  }
  proxy.bytes_max = options.bytes_max;
  proxy.on_connection = [lease = Lease{.attempt = lease.attempt, .job = lease.job},
                         seen](const net::ProxyConnection& connection) {
    log_connection(lease, seen->add(SystemClock().wall(), connection));
  };
  return proxy;
}

Result<std::shared_ptr<void>> open_network(const NetworkOptions& options, const Lease& lease,
                                           sandbox::Task* task, Connections* seen) {
  if (!allow_all(options.patterns, lease.spec.network_allow)) {
    return error(ErrorCode::kFailedPrecondition,
                 "this node does not let jobs reach the hosts that the job asks for");
  }
  auto opened = std::make_shared<Opened>();
  opened->directory = options.directory / lease.attempt.text();
  BCAI_TRY(make_directories(opened->directory, 0755));
  BCAI_TRY_ASSIGN(const bool certificates, add_certificates(opened->directory));
  BCAI_TRY_ASSIGN(net::ProxyOptions proxy, proxy_options(options, lease, seen));
  BCAI_TRY_ASSIGN(opened->proxy, net::Proxy::start(opened->directory / "proxy", std::move(proxy)));
  task->proxy = opened->directory;
  if (certificates && !lease.spec.environment.contains("SSL_CERT_FILE")) {
    task->environment.emplace_back("SSL_CERT_FILE", "/opt/proxy/ca.pem");
  }
  for (const char* module : kModules) task->allowed_imports.emplace_back(module);
  return std::shared_ptr<void>(std::move(opened));
}

}  // namespace

Result<OpenNetwork> make_open_network(NetworkOptions options) {
  std::error_code failed;
  std::filesystem::remove_all(options.directory, failed);
  BCAI_TRY(make_directories(options.directory, 0700));
  return OpenNetwork(
      [options = std::move(options)](const Lease& lease, sandbox::Task* task, Connections* seen) {
        return open_network(options, lease, task, seen);
      });
}

}  // namespace bcai::node
