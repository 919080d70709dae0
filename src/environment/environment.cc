// SPDX-License-Identifier: Apache-2.0
#include "environment/environment.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "environment/environment_impl.h"
#include "sandbox/tree_copy.h"

namespace bcai::environment {
namespace {

constexpr size_t kRequirementsMax = 64;
constexpr int64_t kFetchBytes = 500'000'000;  // by one sandbox, in memory until they are verified

std::map<std::string, std::string> base_packages(const sandbox::BaseEnvironment& base) {
  std::map<std::string, std::string> out;
  for (const auto& [name, version] : base.packages) {
    // What has no version of PEP 440 (of Debian's own packages, say) cannot be resolved against.
    if (packaging::Version::parse(version)) out[packaging::normalized_package_name(name)] = version;
  }
  return out;
}

bool matches(const std::string& installed, const std::string& asked) {
  return asked.empty() || installed == asked || installed.starts_with(asked + ".");
}

bool satisfied(const packaging::Requirement& requirement,
               const std::map<std::string, std::string>& base) {
  const auto found = base.find(requirement.name);
  if (found == base.end()) return false;
  const auto version = packaging::Version::parse(found->second);
  return version && packaging::satisfies(*version, requirement);
}

// Of "https://host[:port]/path".
Result<net::HostPort> host_of(std::string_view url) {
  const bool secure = url.starts_with("https://");
  if (!secure && !url.starts_with("http://")) {
    return error(ErrorCode::kInvalidArgument,
                 "index_url: expected https://… or http://…, found '{}'", url);
  }
  url.remove_prefix(secure ? 8 : 7);
  std::string authority(url.substr(0, url.find('/')));
  if (const size_t user = authority.rfind('@'); user != std::string::npos) {
    authority = authority.substr(user + 1);
  }
  const size_t colon = authority.rfind(':');
  if (colon == std::string::npos || authority.ends_with(']')) authority += secure ? ":443" : ":80";
  return net::parse_host_port(authority);
}

int64_t now_s() { return SystemClock().wall().ms / 1000; }

// Wheels become one tree; where two have the same path, the later counts, as for other installers.
class Site {
 public:
  Site(fs::path directory, const Options& options)
      : directory_(std::move(directory)), options_(options) {}

  Result<void> add(const std::vector<Artifact>& files) {
    for (const Artifact& file : files) {
      constexpr std::string_view kPrefix = "outputs/";
      if (!file.name.starts_with(kPrefix)) continue;
      const std::string path = file.name.substr(kPrefix.size());
      Entry& entry = files_[path];
      bytes_ += file.bytes - entry.bytes;
      entry = {file.sha256, file.bytes};
      if (bytes_ > options_.environment_bytes_max ||
          std::cmp_greater(files_.size(), options_.files_max)) {
        return error(ErrorCode::kInvalidArgument,
                     "the environment is too large: more than {} bytes or {} files",
                     options_.environment_bytes_max, options_.files_max);
      }
      const fs::path target = directory_ / path;
      BCAI_TRY(make_directories(target.parent_path(), 0755));
      if (chmod(file.path.c_str(), 0555) != 0 || rename(file.path.c_str(), target.c_str()) != 0) {
        return errno_error(errno, "place " + path);
      }
    }
    return {};
  }

  Store::Built finish(const Lock& lock) const {
    json::array list;
    for (const auto& [path, entry] : files_) {
      list.push_back(
          json::object{{"path", path}, {"sha256", entry.sha256.text()}, {"bytes", entry.bytes}});
    }
    return {to_text(json::object{
                {"bytes", bytes_}, {"lock", packaging::encode(lock)}, {"files", std::move(list)}}),
            bytes_};
  }

 private:
  struct Entry {
    Sha256 sha256;
    int64_t bytes = 0;
  };
  fs::path directory_;
  const Options& options_;
  std::map<std::string, Entry> files_;
  int64_t bytes_ = 0;
};

Result<void> put_wheel(const fs::path& from, const fs::path& to) {
  if (chmod(from.c_str(), 0444) != 0 || rename(from.c_str(), to.c_str()) != 0) {
    return errno_error(errno, "place " + to.filename().string());
  }
  return {};
}

// Of the operator's directories: the file of that name whose content is the lock's.
Result<bool> take_local(const LockedPackage& package, const fs::path& tools, const fs::path& to,
                        size_t directories) {
  bool found_other = false;
  for (size_t i = 0; i < directories; ++i) {
    const fs::path path = tools / "wheels" / fmt::format("{}", i) / package.wheel;
    std::error_code failed;
    if (!fs::exists(path, failed)) continue;
    BCAI_TRY(sandbox::copy_plain_file(path, to));
    BCAI_TRY_ASSIGN(const std::string data, read_file(to, package.bytes + 1));
    if (Sha256::of(data) == package.sha256) return true;
    found_other = true;
    fs::remove(to, failed);
  }
  if (!found_other) return false;
  return error(ErrorCode::kInvalidArgument,
               "{} has the wrong hash: a wheel directory of this node holds another file of that "
               "name, expected SHA-256 {}",
               package.wheel, package.sha256.text());
}

}  // namespace

Result<std::vector<packaging::Requirement>> parse(const std::vector<std::string>& requirements) {
  if (requirements.size() > kRequirementsMax) {
    return error(ErrorCode::kInvalidArgument, "expected at most {} requirements, found {}",
                 kRequirementsMax, requirements.size());
  }
  std::vector<Finding> findings;
  packaging::check_requirements(requirements, &findings);
  if (!findings.empty()) return Error{ErrorCode::kInvalidArgument, findings_text(findings)};
  std::vector<packaging::Requirement> out;
  for (const std::string& text : requirements) out.push_back(*packaging::parse_requirement(text));
  return out;
}

Result<Tools> Environments::Impl::tools() {
  const std::lock_guard lock(tools_mutex);
  return prepare_tools(options);
}

Result<void> Environments::Impl::check(const Lock& lock) const {
  const sandbox::BaseEnvironment& base = engine.environment();
  const auto wrong = [](std::string_view what, std::string_view wanted, std::string_view found) {
    return error(ErrorCode::kInvalidArgument, "the environment lock is for {} {}; this node has {}",
                 what, wanted, found);
  };
  if (!matches(base.python_version, lock.python)) {
    return wrong("Python", lock.python, base.python_version);
  }
  const std::map<std::string, std::string> packages = base_packages(base);
  for (const auto& [name, version] : lock.base) {
    const auto found = packages.find(name);
    if (found == packages.end()) return wrong(name, version, "none of it");
    if (found->second != version) return wrong(name, version, found->second);
  }
  if (lock.platform != platform_name()) return wrong("platform", lock.platform, platform_name());
  return {};
}

Lock Environments::Impl::empty_lock() const {
  return {.python = short_version(engine.environment().python_version),
          .platform = std::string(platform_name()),
          .base = {},
          .packages = {},
          .sources = {}};
}

Lock Environments::Impl::base_lock(const std::vector<std::string>& requirements) const {
  Lock lock = empty_lock();
  const std::map<std::string, std::string> base = base_packages(engine.environment());
  for (const std::string& text : requirements) {
    const std::string name = packaging::parse_requirement(text)->name;
    lock.base[name] = base.at(name);
  }
  return lock;
}

Result<Lock> Environments::Impl::resolve(const Request& request, const Work& work) {
  BCAI_TRY_ASSIGN(const auto parsed, parse(request.requirements));
  BCAI_TRY_ASSIGN(const Tools ready, tools());
  std::vector<std::string> sorted = request.requirements;
  std::sort(sorted.begin(), sorted.end());
  std::string question =
      fmt::format("{} {} {} {}\n", kBuilderVersion, engine.environment().python_version,
                  options.index_url, ready.directory.filename().string());
  for (const auto& [name, version] : base_packages(engine.environment())) {
    question += fmt::format("{}=={}\n", name, version);
  }
  for (const std::string& one : sorted) question += one + "\n";
  std::set<std::string> from_source;
  for (const std::string& name : request.build_from_source) {
    from_source.insert(packaging::normalized_package_name(name));
  }
  for (const std::string& name : from_source) question += "from source: " + name + "\n";
  const std::string key = Sha256::of(question).text();
  BCAI_TRY_ASSIGN(const UniqueFd only_one,
                  store->lock(
                      "resolve_" + key,
                      [&] { work.on_progress("waiting for the same requirements to be resolved"); },
                      work.cancellation));
  const fs::path file = options.directory / "resolutions" / key;
  if (const auto text = read_file(file)) {
    const auto known = parse_json(*text);
    const json::object* object = known ? known->if_object() : nullptr;
    const json::value* at = object ? object->if_contains("at_s") : nullptr;
    const json::value* lock = object ? object->if_contains("lock") : nullptr;
    if (at && lock && at->is_int64() && now_s() - at->get_int64() <= options.resolution_age_max_s) {
      std::vector<Finding> findings;
      Lock decoded = packaging::decode_lock(*lock, "", &findings);
      if (findings.empty()) return decoded;
    }
  }
  BCAI_TRY_ASSIGN(Lock lock, resolve_anew(request, parsed, ready, work));
  BCAI_TRY(write_file(file,
                      to_text(json::object{{"at_s", now_s()}, {"lock", packaging::encode(lock)}})));
  return lock;
}

Result<Lock> Environments::Impl::resolve_anew(const Request& request,
                                              const std::vector<packaging::Requirement>& parsed,
                                              const Tools& ready, const Work& work) {
  BCAI_TRY_ASSIGN(const std::vector<Wheel> wheels,
                  build_wheels(request.build_from_source, parsed, ready, work));
  work.on_progress(fmt::format("resolving {} requirement{}", request.requirements.size(),
                               request.requirements.size() == 1 ? "" : "s"));
  // The base stays as it is, but for what a requirement asks for in another version, and for what
  // is built from source: the overlay's then comes before it.
  std::map<std::string, std::string> base = base_packages(engine.environment());
  for (const packaging::Requirement& one : parsed) {
    if (one.marker.empty() && !satisfied(one, base)) base.erase(one.name);
  }
  std::vector<Steps::Built> built;
  for (const Wheel& wheel : wheels) {
    base.erase(wheel.source.name);
    built.push_back(wheel.built);
  }
  BCAI_TRY_ASSIGN(const auto scratch, store->scratch());
  BCAI_TRY_ASSIGN(Lock lock, steps.resolve(request.requirements, base, built, ready.directory,
                                           *scratch, work.cancellation));
  for (const Wheel& wheel : wheels) {
    if (std::find(lock.packages.begin(), lock.packages.end(), wheel.built.package) ==
        lock.packages.end()) {
      return error(ErrorCode::kInvalidArgument,
                   "build_from_source names {}, which the requirements do not need",
                   wheel.source.name);
    }
    lock.sources.push_back(wheel.source);
  }
  return lock;
}

Result<void> Environments::Impl::gather_wheels(const Lock& lock, const fs::path& ready,
                                               const fs::path& scratch, const fs::path& wheels,
                                               const Work& work) {
  std::vector<LockedPackage> absent;
  for (const LockedPackage& package : lock.packages) {
    const auto source = std::find_if(lock.sources.begin(), lock.sources.end(),
                                     [&](const auto& one) { return one.name == package.name; });
    if (source != lock.sources.end()) {
      BCAI_TRY_ASSIGN(const Wheel wheel, locked_wheel(package, *source, Tools{ready}, work));
      BCAI_TRY(sandbox::copy_plain_file(wheel.built.path, wheels / package.wheel));
      continue;
    }
    BCAI_TRY_ASSIGN(const bool local, take_local(package, ready, wheels / package.wheel,
                                                 options.wheel_directories.size()));
    if (!local) absent.push_back(package);
  }
  size_t done = 0;
  while (done < absent.size()) {
    std::vector<LockedPackage> some;
    int64_t bytes = 0;
    while (done + some.size() < absent.size()) {
      const LockedPackage& next = absent[done + some.size()];
      if (!some.empty() && bytes + next.bytes > kFetchBytes) break;
      bytes += next.bytes;
      some.push_back(next);
    }
    BCAI_TRY_ASSIGN(
        const std::vector<Artifact> fetched,
        steps.fetch(some, done + 1, absent.size(), ready, scratch / fmt::format("fetch_{}", done),
                    work.on_progress, work.cancellation));
    for (const Artifact& wheel : fetched) {
      BCAI_TRY(put_wheel(wheel.path, wheels / fs::path(wheel.name).filename()));
    }
    done += some.size();
  }
  return {};
}

Result<Store::Use> Environments::Impl::environment_of(const Lock& lock, Use use, const Work& work) {
  return store->get(
      use == Use::kJob ? key_of(lock) : "build_" + key_of(lock),
      [&](const fs::path& site) { return build(lock, use, site, work); },
      [&] { work.on_progress("waiting for the same environment to be built"); }, work.cancellation);
}

Result<Store::Built> Environments::Impl::build(const Lock& lock, Use use, const fs::path& site,
                                               const Work& work) {
  int64_t bytes = 0;
  for (const LockedPackage& package : lock.packages) bytes += package.bytes;
  if (bytes > options.environment_bytes_max) {
    return error(ErrorCode::kInvalidArgument,
                 "the environment is too large: its wheels have {} bytes, allowed are {}", bytes,
                 options.environment_bytes_max);
  }
  BCAI_TRY_ASSIGN(const Tools ready, tools());
  BCAI_TRY_ASSIGN(const auto scratch, store->scratch());
  const fs::path wheels = *scratch / "wheels";
  BCAI_TRY(make_directories(wheels, 0755));
  BCAI_TRY(gather_wheels(lock, ready.directory, *scratch, wheels, work));
  Site made(site, options);
  for (size_t i = 0; i < lock.packages.size(); ++i) {
    work.on_progress(fmt::format("building {} of {}", i + 1, lock.packages.size()));
    for (int64_t next = 0; next >= 0;) {
      const fs::path place = *scratch / fmt::format("unpack_{}_{}", i, next);
      BCAI_TRY_ASSIGN(const Steps::Unpacked unpacked,
                      steps.unpack(lock.packages[i].wheel, wheels, next, use == Use::kBuild, place,
                                   work.cancellation));
      BCAI_TRY(made.add(unpacked.files));
      if (unpacked.next >= 0 && unpacked.next <= next) {
        return error(ErrorCode::kInternal, "unpacking {} does not come forward",
                     lock.packages[i].wheel);
      }
      next = unpacked.next;
    }
  }
  return made.finish(lock);
}

std::string Environments::Impl::key_of(const Lock& lock) const {
  return Sha256::of(fmt::format("{} {} {}", packaging::digest(lock).text(),
                                engine.environment().python_version, kBuilderVersion))
      .text();
}

// Strangers may ask for anything, and each question leaves a file.
void Environments::Impl::forget_old_resolutions() const {
  const auto oldest =
      fs::file_time_type::clock::now() - std::chrono::seconds(options.resolution_age_max_s);
  std::vector<fs::path> old;
  std::error_code failed;
  for (fs::directory_iterator it(options.directory / "resolutions", failed), end;
       !failed && it != end; it.increment(failed)) {
    std::error_code ignored;
    if (fs::last_write_time(it->path(), ignored) < oldest) old.push_back(it->path());
  }
  for (const fs::path& path : old) fs::remove(path, failed);
}

Environments::Environments(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Environments::~Environments() = default;

Result<std::unique_ptr<Environments>> Environments::open(Options options, sandbox::Engine& engine) {
  const std::string& version = engine.environment().python_version;
  const auto parsed = packaging::Version::parse(version);
  const auto oldest = packaging::Version::parse("3.11");
  if (!parsed || packaging::compare(*parsed, *oldest) < 0) {
    return error(ErrorCode::kFailedPrecondition,
                 "environments need a base of Python 3.11 or newer; this node has {}", version);
  }
  if (!options.index_url.empty()) {
    BCAI_TRY_ASSIGN(const net::HostPort host, host_of(options.index_url));
    options.index_hosts.push_back(host);
    if (options.index_url == kPyPi) options.index_hosts.push_back({"files.pythonhosted.org", 443});
  }
  auto impl = std::make_unique<Impl>(std::move(options), engine);
  BCAI_TRY_ASSIGN(impl->store, Store::open(impl->options.directory, impl->options.bytes_max));
  BCAI_TRY(make_directories(impl->options.directory / "resolutions", 0700));
  BCAI_TRY(impl->tools());
  impl->forget_old_resolutions();
  return std::unique_ptr<Environments>(new Environments(std::move(impl)));
}

Result<Environment> Environments::prepare(const Request& request, const OnProgress& on_progress,
                                          sandbox::Cancellation& cancellation) {
  Impl& impl = *impl_;
  const Impl::Work work{on_progress, cancellation};
  const std::string& version = impl.engine.environment().python_version;
  if (!matches(version, request.python_version)) {
    return error(ErrorCode::kInvalidArgument, "the job asks for Python {}; this node has {}",
                 request.python_version, version);
  }
  Lock lock;
  if (request.lock) {
    BCAI_TRY(impl.check(*request.lock));
    lock = *request.lock;
  } else if (request.build_from_source.empty() &&
             satisfied_by_base(request.requirements, impl.engine.environment())) {
    lock = impl.base_lock(request.requirements);
  } else {
    BCAI_TRY_ASSIGN(lock, impl.resolve(request, work));
  }
  if (lock.packages.empty()) return Environment({}, std::move(lock), nullptr);
  BCAI_TRY_ASSIGN(Store::Use use, impl.environment_of(lock, Impl::Use::kJob, work));
  return Environment(std::move(use.site), std::move(lock), std::move(use.hold));
}

bool satisfied_by_base(const std::vector<std::string>& requirements,
                       const sandbox::BaseEnvironment& base) {
  const std::map<std::string, std::string> packages = base_packages(base);
  return std::all_of(requirements.begin(), requirements.end(), [&](const std::string& text) {
    const auto parsed = packaging::parse_requirement(text);
    return parsed && parsed->extras.empty() && parsed->marker.empty() &&
           satisfied(*parsed, packages);
  });
}

}  // namespace bcai::environment
