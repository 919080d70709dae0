// SPDX-License-Identifier: Apache-2.0
// The insides of Environments; other rooms see environment.h alone.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "environment/environment.h"
#include "environment/steps.h"
#include "environment/store.h"
#include "environment/tools.h"
#include "packaging/requirement.h"

namespace bcai::environment {

namespace fs = std::filesystem;
using packaging::Lock;
using packaging::LockedPackage;

// Raised when the same lock would be built differently.
inline constexpr int kBuilderVersion = 1;

// What is allowed of them, and each in its form.
Result<std::vector<packaging::Requirement>> parse(const std::vector<std::string>& requirements);

struct Environments::Impl {
  Impl(Options given, sandbox::Engine& e)
      : options(std::move(given)), engine(e), steps(e, options) {}

  Options options;
  sandbox::Engine& engine;
  Steps steps;
  std::unique_ptr<Store> store;
  std::mutex tools_mutex;

  // What a directory of packages is for: a job, which must not meet code that Python runs at every
  // start, or building others in a sandbox of its own.
  enum class Use : uint8_t { kJob, kBuild };

  struct Work {
    const OnProgress& on_progress;
    sandbox::Cancellation& cancellation;
  };

  // What a source distribution came to, in use and so not evicted.
  struct Wheel {
    Steps::Built built;
    packaging::LockedSource source;
    std::shared_ptr<void> hold;
  };
  // Of one, and what its backend wants besides what it was to be built with.
  struct WheelOutcome {
    Wheel wheel;
    std::vector<std::string> lacking;
  };
  using TakeSource = std::function<Result<fs::path>()>;

  Result<Tools> tools();
  Result<void> check(const Lock& lock) const;
  Lock empty_lock() const;
  Lock base_lock(const std::vector<std::string>& requirements) const;
  Result<Lock> resolve(const Request& request, const Work& work);
  Result<Lock> resolve_anew(const Request& request,
                            const std::vector<packaging::Requirement>& parsed, const Tools& tools,
                            const Work& work);
  Result<Store::Use> environment_of(const Lock& lock, Use use, const Work& work);
  Result<Store::Built> build(const Lock& lock, Use use, const fs::path& site, const Work& work);
  Result<void> gather_wheels(const Lock& lock, const fs::path& tools, const fs::path& scratch,
                             const fs::path& wheels, const Work& work);
  std::string key_of(const Lock& lock) const;
  void forget_old_resolutions() const;

  // source.cc
  Result<void> require_high(const std::string& name);
  Result<std::vector<Wheel>> build_wheels(const std::vector<std::string>& names,
                                          const std::vector<packaging::Requirement>& parsed,
                                          const Tools& tools, const Work& work);
  Result<Wheel> build_newest_wheel(const std::string& name,
                                   const std::vector<packaging::Requirement>& parsed,
                                   const Tools& tools, const Work& work);
  Result<Lock> resolve_build_requirements(const std::vector<std::string>& requirements,
                                          const Tools& tools, const Work& work);
  Result<Wheel> locked_wheel(const LockedPackage& package, const packaging::LockedSource& source,
                             const Tools& tools, const Work& work);
  Result<WheelOutcome> wheel_of(const packaging::LockedSource& source, bool ask,
                                const TakeSource& take, const Work& work);
  Result<Store::Built> build_wheel(const packaging::LockedSource& source, const Lock& with,
                                   bool ask, const fs::path& file, const fs::path& site,
                                   std::vector<std::string>* lacking, const Work& work);
};

}  // namespace bcai::environment
