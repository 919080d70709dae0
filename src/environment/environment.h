// SPDX-License-Identifier: Apache-2.0
// Site-packages that a task adds to the base environment. From requirements to a lock (uv, in a
// sandbox that reaches the package index alone), from a lock to a directory: built once, from
// wheels whose SHA-256 fits, read-only, shared by all that ask for the same lock.
//
//   RESOLVE (sandbox, index) → lock → FETCH (sandbox, index) → VERIFY → UNPACK (sandbox, nothing)
//
// Nothing of a package is executed outside of a sandbox, and in making an environment nothing at
// all but where a package is to be built from source: at the high level, and reaching nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/proxy.h"
#include "packaging/lock.h"
#include "sandbox/sandbox.h"

namespace bcai::environment {

inline constexpr std::string_view kPyPi = "https://pypi.org/simple";

struct Options {
  std::filesystem::path directory;  // made when absent; one Environments to a directory
  std::string uv = "uv";  // without a '/': looked for in `search`, /usr/local/bin, /usr/bin
  std::vector<std::filesystem::path> search;
  std::string index_url{kPyPi};                          // "": none, only wheel_directories
  std::vector<net::HostPort> index_hosts;                // besides index_url's own
  std::vector<std::filesystem::path> wheel_directories;  // files *.whl in them are offered too
  int64_t bytes_max = 20'000'000'000;                    // of all environments
  int64_t environment_bytes_max = 8'000'000'000;         // of one
  int64_t files_max = 200'000;                           // of one
  int64_t resolution_age_max_s = 86'400;  // after which the index is asked again what is newest
};

struct Request {
  std::vector<std::string> requirements;  // as packaging::parse_requirement takes them
  // Names of packages, among those that the requirements need: their wheels are built from source.
  std::vector<std::string> build_from_source;
  std::string python_version;           // "3.11"; "": the one there is
  std::optional<packaging::Lock> lock;  // then the requirements are not looked at
};

// A directory of files that is in use, and so is not evicted, for as long as this lives.
class Environment {
 public:
  Environment(std::filesystem::path overlay, packaging::Lock lock, std::shared_ptr<void> use)
      : overlay_(std::move(overlay)), lock_(std::move(lock)), use_(std::move(use)) {}
  // "" when the base has everything.
  const std::filesystem::path& overlay() const { return overlay_; }
  const packaging::Lock& lock() const { return lock_; }

 private:
  std::filesystem::path overlay_;
  packaging::Lock lock_;
  std::shared_ptr<void> use_;
};

// From the thread that prepares: "resolving", "downloading 3 of 11", "building 2 of 11",
// "building six 1.17.0 from source".
using OnProgress = std::function<void(std::string_view what)>;

// Thread-safe.
class Environments {
 public:
  // `engine` outlives this. kFailedPrecondition names what is missing, and what mends it.
  static Result<std::unique_ptr<Environments>> open(Options options, sandbox::Engine& engine);
  ~Environments();

  // kInvalidArgument: the request's own fault, in words for its user, the resolver's explanation
  // and the end of a backend's output among them (up to 16 KiB). kCancelled. Everything else is
  // this machine's or the index's: kFailedPrecondition where it has no high level to build at.
  Result<Environment> prepare(const Request& request, const OnProgress& on_progress,
                              sandbox::Cancellation& cancellation);

  struct Impl;

 private:
  explicit Environments(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Whether the base has it all, each requirement without extras and markers: then there is nothing
// to prepare.
bool satisfied_by_base(const std::vector<std::string>& requirements,
                       const sandbox::BaseEnvironment& base);

}  // namespace bcai::environment
