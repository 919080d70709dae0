// SPDX-License-Identifier: Apache-2.0
// The steps that touch what strangers wrote, each in a sandbox of its own. That which executes
// it, build, runs at the high level.
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

  // A wheel that was built from source.
  struct Built {
    packaging::LockedPackage package;
    std::filesystem::path path;
  };

  // The lock's base and packages. `base` are the packages that stay as they are, by normalized
  // name; `built` is what there is of theirs. `tools`: see tools.h. Errors as
  // Environments::prepare.
  Result<packaging::Lock> resolve(const std::vector<std::string>& requirements,
                                  const std::map<std::string, std::string>& base,
                                  const std::vector<Built>& built,
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

  // A source distribution as an index has it.
  struct Source {
    std::string file;
    std::string version;
    std::string sha256;           // "" when the index does not tell
    std::string requires_python;  // a specifier, "" for none
    bool yanked = false;          // withdrawn (PEP 592)
  };
  Result<std::vector<Source>> list_sources(const std::string& name,
                                           const std::filesystem::path& tools,
                                           const std::filesystem::path& scratch,
                                           sandbox::Cancellation& cancellation);

  // Of `source`, whose `bytes` may be 0: not known.
  struct FetchedSource {
    std::filesystem::path path;  // below `scratch`, verified
    int64_t bytes = 0;
    std::vector<std::string> requirements;  // that it says it is built with: untrusted
  };
  Result<FetchedSource> fetch_source(const packaging::LockedSource& source,
                                     const std::filesystem::path& tools,
                                     const std::filesystem::path& scratch,
                                     sandbox::Cancellation& cancellation);

  // The wheel that the backend at `environment` makes of `source`; or, when it is to be asked and
  // wants more packages, their names: untrusted.
  struct BuildOutcome {
    Artifact wheel;  // named "outputs/" and its file name: untrusted
    std::vector<std::string> lacking;
  };
  Result<BuildOutcome> build(const std::filesystem::path& source, bool ask,
                             const std::filesystem::path& environment,
                             const std::filesystem::path& scratch,
                             sandbox::Cancellation& cancellation);

  // Files of a wheel in `wheels`, from number `first` on, and the number at which to go on; -1 when
  // these were the last. Artifact::name is "outputs/" and the path in site-packages.
  // `startup_code`: .pth files may hold code.
  struct Unpacked {
    std::vector<Artifact> files;
    int64_t next = -1;
  };
  Result<Unpacked> unpack(const std::string& wheel, const std::filesystem::path& wheels,
                          int64_t first, bool startup_code, const std::filesystem::path& scratch,
                          sandbox::Cancellation& cancellation);

 private:
  struct Step {
    std::string_view script;  // in environment_files
    json::object request;
    std::filesystem::path overlay;
    std::filesystem::path scratch;
    bool reaches_index = false;
    sandbox::Limits limits;
    std::vector<sandbox::InputFile> files = {};
    sandbox::SecurityLevel level = sandbox::SecurityLevel::kStandard;
  };
  Result<sandbox::Report> run(const Step& step, const OnProgress& on_progress,
                              sandbox::Cancellation& cancellation);

  sandbox::Engine& engine_;
  const Options& options_;
  std::atomic<int64_t> count_{0};
};

}  // namespace bcai::environment
