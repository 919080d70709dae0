// SPDX-License-Identifier: Apache-2.0
// The steps that touch what strangers wrote, each in a sandbox of its own: resolve, fetch, unpack.
#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "environment/environment.h"
#include "packaging/lock.h"

namespace bcai::environment {

// A file that a step left, with what the collector made of it.
using sandbox::Artifact;

std::string short_version(const std::string& version);  // "3.11" of "3.11.2"
std::string_view platform_name();                       // "linux_x86_64"

// Constant; any number of threads.
class Steps {
 public:
  Steps(sandbox::Engine& engine, const Options& options);

  // The lock's base and packages. `base` are the packages that stay as they are, by normalized
  // name. `tools`: see tools.h. Errors as Environments::prepare.
  Result<packaging::Lock> resolve(const std::vector<std::string>& requirements,
                                  const std::map<std::string, std::string>& base,
                                  const std::filesystem::path& tools,
                                  const std::filesystem::path& scratch,
                                  sandbox::Cancellation& cancellation);

  // Wheels of the lock from the index, below `scratch`, verified. `first` counts from 1.
  Result<std::vector<Artifact>> fetch(const std::vector<packaging::LockedPackage>& wheels,
                                      size_t first, size_t total,
                                      const std::filesystem::path& tools,
                                      const std::filesystem::path& scratch,
                                      const OnProgress& on_progress,
                                      sandbox::Cancellation& cancellation);

  // Files of a wheel in `wheels`, from number `first` on, and the number at which to go on; -1 when
  // these were the last. Artifact::name is "outputs/" and the path in site-packages.
  struct Unpacked {
    std::vector<Artifact> files;
    int64_t next = -1;
  };
  Result<Unpacked> unpack(const std::string& wheel, const std::filesystem::path& wheels,
                          int64_t first, const std::filesystem::path& scratch,
                          sandbox::Cancellation& cancellation);

 private:
  struct Step {
    std::string_view script;  // in environment_files
    json::object request;
    std::filesystem::path overlay;
    std::filesystem::path scratch;
    bool reaches_index = false;
    sandbox::Limits limits;
  };
  Result<sandbox::Report> run(const Step& step, const OnProgress& on_progress,
                              sandbox::Cancellation& cancellation);

  sandbox::Engine& engine_;
  const Options& options_;
  std::atomic<int64_t> count_{0};
};

}  // namespace bcai::environment
