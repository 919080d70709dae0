// SPDX-License-Identifier: Apache-2.0
// Wheels from source distributions:
//
//   LIST → choose → FETCH (sandbox, index) → what it is built with, as an environment of its own
//   → BUILD (sandbox of the high level, nothing) → a wheel in the store, by what it was built from
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/clip.h"
#include "base/file.h"
#include "base/log.h"
#include "environment/environment_impl.h"

namespace bcai::environment {

using packaging::LockedSource;

namespace {

// The same code for what is said in another's words.
Error in_context(const Error& cause, std::string_view context) {
  return Error{cause.code, fmt::format("{}: {}", context, cause.message)};
}

bool is_for_python(const Steps::Source& source, const packaging::Version& python) {
  if (source.requires_python.empty()) return true;
  const auto required = packaging::parse_requirement("python" + source.requires_python);
  return required && satisfies(python, *required);
}

bool is_better(const packaging::Version& one, const packaging::Version& other) {
  if (one.is_prerelease() != other.is_prerelease()) return other.is_prerelease();
  return compare(one, other) > 0;
}

// The newest that all requirements of the package allow; one that is no prerelease, if there is.
Result<Steps::Source> choose(const std::string& name, const std::vector<Steps::Source>& sources,
                             const std::vector<packaging::Requirement>& parsed,
                             const std::string& python_version) {
  const auto python = packaging::Version::parse(python_version);
  const Steps::Source* best = nullptr;
  std::optional<packaging::Version> best_version;
  std::string seen;
  for (const Steps::Source& source : sources) {
    seen += fmt::format("{}{}", seen.empty() ? "" : ", ", source.version);
    const auto version = packaging::Version::parse(source.version);
    if (source.yanked || !version || !python || !is_for_python(source, *python)) continue;
    if (!std::all_of(parsed.begin(), parsed.end(), [&](const packaging::Requirement& one) {
          return one.name != name || !one.marker.empty() || satisfies(*version, one);
        })) {
      continue;
    }
    if (best != nullptr && !is_better(*version, *best_version)) continue;
    best = &source;
    best_version = *version;
  }
  if (best == nullptr) {
    return error(ErrorCode::kInvalidArgument,
                 "the index has no source distribution (.tar.gz) of {} that the requirements and "
                 "Python {} allow; it has {}",
                 name, python_version, seen.empty() ? "none" : clip_utf8(seen, 1000));
  }
  return *best;
}

Result<void> check_wheel(const Artifact& made, const LockedSource& source,
                         const std::string& python, LockedPackage* package) {
  constexpr std::string_view kPrefix = "outputs/";
  const std::string wheel =
      made.name.starts_with(kPrefix) ? made.name.substr(kPrefix.size()) : made.name;
  const std::string version(packaging::source_version(source.file, source.name));
  if (!packaging::is_wheel_of(wheel, source.name, version)) {
    return error(ErrorCode::kInvalidArgument, "expected a wheel of {} {}, found {}", source.name,
                 version, wheel);
  }
  if (!packaging::is_wheel_for(wheel, python, platform_name())) {
    return error(ErrorCode::kInvalidArgument, "expected a wheel for Python {} on {}, found {}",
                 python, platform_name(), wheel);
  }
  *package = {.name = source.name,
              .version = version,
              .wheel = wheel,
              .sha256 = made.sha256,
              .bytes = made.bytes};
  return {};
}

Result<LockedPackage> read_package(const fs::path& manifest) {
  BCAI_TRY_ASSIGN(const std::string text, read_file(manifest));
  BCAI_TRY_ASSIGN(const json::value value, parse_json(text));
  std::vector<Finding> findings;
  const json::value* package =
      value.is_object() ? value.get_object().if_contains("package") : nullptr;
  if (package != nullptr) {
    LockedPackage read = packaging::decode_package(*package, "", &findings);
    if (findings.empty()) return read;
  }
  return error(ErrorCode::kDataLoss, "{} names no wheel", manifest.string());
}

}  // namespace

Result<void> Environments::Impl::require_high(const std::string& name) {
  const auto level = engine.high();
  if (level) return {};
  return error(ErrorCode::kFailedPrecondition,
               "{} is to be built from source, which takes the high security level: {}", name,
               level.error().message);
}

Result<std::vector<Environments::Impl::Wheel>> Environments::Impl::build_wheels(
    const std::vector<std::string>& names, const std::vector<packaging::Requirement>& parsed,
    const Tools& ready, const Work& work) {
  std::set<std::string> wanted;
  for (const std::string& name : names) wanted.insert(packaging::normalized_package_name(name));
  std::vector<Wheel> wheels;
  for (const std::string& name : wanted) {
    BCAI_TRY(require_high(name));
    BCAI_TRY_ASSIGN(wheels.emplace_back(), build_newest_wheel(name, parsed, ready, work));
  }
  return wheels;
}

Result<Environments::Impl::Wheel> Environments::Impl::build_newest_wheel(
    const std::string& name, const std::vector<packaging::Requirement>& parsed, const Tools& ready,
    const Work& work) {
  if (options.index_url.empty()) {
    return error(ErrorCode::kInvalidArgument,
                 "this node has no package index to take the source "
                 "of {} from",
                 name);
  }
  work.on_progress(fmt::format("looking for the source of {}", name));
  BCAI_TRY_ASSIGN(const auto scratch, store->scratch());
  BCAI_TRY_ASSIGN(const auto sources,
                  steps.list_sources(name, ready.directory, *scratch / "list", work.cancellation));
  const std::string& python = engine.environment().python_version;
  BCAI_TRY_ASSIGN(const Steps::Source chosen, choose(name, sources, parsed, python));
  const auto sha256 = Sha256::parse(chosen.sha256);
  if (!sha256) {
    return error(ErrorCode::kInvalidArgument, "the index gives no SHA-256 for {}", chosen.file);
  }
  LockedSource source{
      .name = name, .file = chosen.file, .sha256 = *sha256, .bytes = 0, .build_requirements = {}};
  BCAI_TRY_ASSIGN(
      Steps::FetchedSource fetched,
      steps.fetch_source(source, ready.directory, *scratch / "source", work.cancellation));
  source.bytes = fetched.bytes;
  std::vector<std::string> requirements = std::move(fetched.requirements);
  for (const bool ask : {true, false}) {
    work.on_progress(fmt::format("resolving what {} is built with", name));
    const auto lock = resolve_build_requirements(requirements, ready, work);
    if (!lock) return in_context(lock.error(), fmt::format("what {} is built with", name));
    source.build_requirements = lock->packages;
    BCAI_TRY_ASSIGN(WheelOutcome outcome,
                    wheel_of(
                        source, ask, [&] { return Result<fs::path>(fetched.path); }, work));
    if (outcome.lacking.empty()) return std::move(outcome.wheel);
    requirements.insert(requirements.end(), outcome.lacking.begin(), outcome.lacking.end());
  }
  return error(ErrorCode::kInternal, "{} was not built", chosen.file);
}

Result<Lock> Environments::Impl::resolve_build_requirements(
    const std::vector<std::string>& requirements, const Tools& ready, const Work& work) {
  if (requirements.empty()) return empty_lock();
  BCAI_TRY(parse(requirements));
  BCAI_TRY_ASSIGN(const auto scratch, store->scratch());
  return steps.resolve(requirements, {}, {}, ready.directory, *scratch, work.cancellation);
}

Result<Environments::Impl::Wheel> Environments::Impl::locked_wheel(const LockedPackage& package,
                                                                   const LockedSource& source,
                                                                   const Tools& ready,
                                                                   const Work& work) {
  std::shared_ptr<const fs::path> scratch;
  const TakeSource take = [&]() -> Result<fs::path> {
    if (options.index_url.empty()) {
      return error(ErrorCode::kInvalidArgument, "this node has no package index to take {} from",
                   source.file);
    }
    BCAI_TRY_ASSIGN(scratch, store->scratch());
    BCAI_TRY_ASSIGN(const Steps::FetchedSource fetched,
                    steps.fetch_source(source, ready.directory, *scratch, work.cancellation));
    return fetched.path;
  };
  BCAI_TRY_ASSIGN(WheelOutcome outcome, wheel_of(source, false, take, work));
  if (outcome.wheel.built.package == package) return std::move(outcome.wheel);
  return error(ErrorCode::kInvalidArgument,
               "{} was built into other files than the lock's: expected {} of SHA-256 {}, found {} "
               "of {}",
               source.file, package.wheel, package.sha256.text(), outcome.wheel.built.package.wheel,
               outcome.wheel.built.package.sha256.text());
}

Result<Environments::Impl::WheelOutcome> Environments::Impl::wheel_of(const LockedSource& source,
                                                                      bool ask,
                                                                      const TakeSource& take,
                                                                      const Work& work) {
  Lock with = empty_lock();
  with.packages = source.build_requirements;
  const std::string key =
      "wheel_" + Sha256::of(fmt::format("{} {}", source.sha256.text(), key_of(with))).text();
  WheelOutcome outcome;
  auto use = store->get(
      key,
      [&](const fs::path& site) -> Result<Store::Built> {
        BCAI_TRY(require_high(source.name));
        BCAI_TRY_ASSIGN(const fs::path file, take());
        return build_wheel(source, with, ask, file, site, &outcome.lacking, work);
      },
      [&] { work.on_progress(fmt::format("waiting for {} to be built", source.file)); },
      work.cancellation);
  if (!outcome.lacking.empty()) return outcome;
  if (!use) return use.error();
  BCAI_TRY_ASSIGN(outcome.wheel.built.package,
                  read_package(use->site.parent_path() / "files.json"));
  outcome.wheel.built.path = use->site / outcome.wheel.built.package.wheel;
  outcome.wheel.source = source;
  outcome.wheel.hold = std::move(use->hold);
  return outcome;
}

Result<Store::Built> Environments::Impl::build_wheel(const LockedSource& source, const Lock& with,
                                                     bool ask, const fs::path& file,
                                                     const fs::path& site,
                                                     std::vector<std::string>* lacking,
                                                     const Work& work) {
  const std::string version(packaging::source_version(source.file, source.name));
  const std::string what = fmt::format("building {} {} from source", source.name, version);
  Store::Use environment;
  if (!with.packages.empty()) {
    const OnProgress tell = [&](std::string_view step) {
      work.on_progress(fmt::format("{}, {}", what, step));
    };
    auto made = environment_of(with, Use::kBuild, {tell, work.cancellation});
    if (!made) return in_context(made.error(), fmt::format("what {} is built with", source.name));
    environment = *std::move(made);
  }
  work.on_progress(what);
  BCAI_TRY_ASSIGN(const auto scratch, store->scratch());
  auto built = steps.build(file, ask, environment.site, *scratch, work.cancellation);
  if (!built && built.error().code != ErrorCode::kInvalidArgument) return built.error();
  if (!built) return in_context(built.error(), what + " failed");
  *lacking = std::move(built->lacking);
  if (!lacking->empty()) return error(ErrorCode::kFailedPrecondition, "more is to be asked for");
  LockedPackage package;
  if (auto fits = check_wheel(built->wheel, source, with.python, &package); !fits) {
    return in_context(fits.error(), what + " failed");
  }
  if (chmod(built->wheel.path.c_str(), 0444) != 0 ||
      rename(built->wheel.path.c_str(), (site / package.wheel).c_str()) != 0) {
    return errno_error(errno, "place " + package.wheel);
  }
  log_event(LogLevel::kInfo, "environment.built_from_source",
            {{"source", source.file},
             {"source_sha256", source.sha256.text()},
             {"wheel", package.wheel},
             {"wheel_sha256", package.sha256.text()}});
  return Store::Built{
      to_text(json::object{{"bytes", package.bytes}, {"package", packaging::encode(package)}}),
      package.bytes};
}

}  // namespace bcai::environment
