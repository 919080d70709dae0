// SPDX-License-Identifier: Apache-2.0
// Wires store, jobs, scheduler, checker and API to the real clock, disk and network. `bcai
// coordinator`, `bcai up` and `bcai run` without an endpoint all make one of these.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "coordinator/api/upload_limits.h"
#include "coordinator/jobs/jobs.h"

namespace bcai::coordinator {

struct CoordinatorOptions {
  std::filesystem::path data_directory;   // database, logs, artifacts; made when absent, 0700
  std::string listen = "127.0.0.1:8080";  // or "unix:/path"
  std::string tls_certificate_file;
  std::string tls_key_file;
  std::filesystem::path secrets_key_file;  // "" is data_directory/secrets.key; made when absent
  std::string checker_python = "/usr/bin/python3";
  std::string program = "/proc/self/exe";  // bcai: runs programs again whose replicas differ
  Timing timing;
  UploadLimits uploads;
};

class Coordinator {
 public:
  static Result<std::unique_ptr<Coordinator>> start(CoordinatorOptions options);
  ~Coordinator();

  std::string endpoint() const;  // "http://127.0.0.1:8080", "unix:/path"

  // The text of a new API key, "bcai_<id>_<secret>"; only its hash is stored.
  // role: "owner", "member" or "node". network: store/keys.h.
  Result<std::string> create_key(std::string_view name, std::string_view role,
                                 std::optional<std::vector<std::string>> network = {});
  // True when there is no key yet: `bcai up` then makes the first and shows it once.
  Result<bool> has_no_key();

  void stop();

  struct Impl;

 private:
  explicit Coordinator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bcai::coordinator
