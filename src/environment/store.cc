// SPDX-License-Identifier: Apache-2.0
#include "environment/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "sandbox/tree_copy.h"

namespace bcai::environment {
namespace fs = std::filesystem;

namespace {

constexpr Millis kLockInterval{20};

// Everything below the directory and the directory itself are on disk.
Result<void> sync_below(const fs::path& directory) {
  const UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || syncfs(fd.get()) != 0) return errno_error(errno, "sync " + directory.string());
  return {};
}

// Files get their mode when they are put there.
Result<void> make_directories_read_only(const fs::path& directory) {
  std::error_code failed;
  std::vector<fs::path> directories{directory};
  for (fs::recursive_directory_iterator it(directory, failed), end; !failed && it != end;
       it.increment(failed)) {
    if (it->is_directory(failed)) directories.push_back(it->path());
  }
  if (failed) return errno_error(failed.value(), "list " + directory.string());
  for (const fs::path& one : directories) {
    if (chmod(one.c_str(), 0555) != 0) return errno_error(errno, "chmod " + one.string());
  }
  return {};
}

struct Known {
  std::string key;
  int64_t bytes = 0;
  fs::file_time_type used;
};

// bytes of an environment as its manifest tells them, and when it was used last.
Result<Known> read_known(const fs::path& place) {
  BCAI_TRY_ASSIGN(const std::string text, read_file(place / "files.json"));
  BCAI_TRY_ASSIGN(const json::value manifest, parse_json(text));
  const json::value* bytes =
      manifest.is_object() ? manifest.get_object().if_contains("bytes") : nullptr;
  if (bytes == nullptr || !bytes->is_int64()) {
    return error(ErrorCode::kDataLoss, "{} lacks its manifest", place.string());
  }
  std::error_code failed;
  return Known{place.filename(), bytes->get_int64(), fs::last_write_time(place, failed)};
}

}  // namespace

fs::path Store::place_of(const std::string& key) const { return directory_ / "built" / key; }

Result<std::unique_ptr<Store>> Store::open(fs::path directory, int64_t bytes_max) {
  std::unique_ptr<Store> store(new Store(std::move(directory), bytes_max));
  BCAI_TRY(store->load());
  return store;
}

Result<void> Store::load() {
  BCAI_TRY(make_directories(directory_, 0700));
  sandbox::remove_tree(directory_ / "scratch");
  for (const char* name : {"built", "locks", "scratch"}) {
    BCAI_TRY(make_directories(directory_ / name, 0700));
  }
  std::vector<Known> found;
  std::error_code failed;
  for (fs::directory_iterator it(directory_ / "built", failed), end; !failed && it != end;
       it.increment(failed)) {
    if (auto known = read_known(it->path())) {
      found.push_back(*std::move(known));
    } else {
      log_event(LogLevel::kWarn, "environment.unreadable", {{"why", known.error().message}});
      sandbox::remove_tree(it->path());
    }
  }
  std::sort(found.begin(), found.end(),
            [](const Known& a, const Known& b) { return a.used < b.used; });
  for (const Known& known : found) {
    entries_[known.key] = {.bytes = known.bytes, .uses = 0, .last_use = ++uses_};
  }
  return {};
}

Result<std::shared_ptr<void>> Store::hold(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return std::shared_ptr<void>();
  found->second.uses += 1;
  found->second.last_use = ++uses_;
  (void)utimensat(AT_FDCWD, place_of(key).c_str(), nullptr, 0);
  return std::shared_ptr<void>(this, [this, key](void*) {
    const std::lock_guard hold_lock(mutex_);
    entries_[key].uses -= 1;
  });
}

Result<Store::Use> Store::get(const std::string& key, const Build& build,
                              const std::function<void()>& on_wait,
                              sandbox::Cancellation& cancellation) {
  BCAI_TRY_ASSIGN(std::shared_ptr<void> held, hold(key));
  if (held) return Use{place_of(key) / "site", std::move(held)};
  BCAI_TRY_ASSIGN(const UniqueFd only_one, lock(key, on_wait, cancellation));
  BCAI_TRY_ASSIGN(held, hold(key));
  if (held) return Use{place_of(key) / "site", std::move(held)};
  BCAI_TRY_ASSIGN(const auto made, scratch());
  const fs::path site = *made / "new/site";
  BCAI_TRY(make_directories(site, 0755));
  BCAI_TRY_ASSIGN(const Built built, build(site));
  BCAI_TRY(finish(key, *made / "new", built));
  BCAI_TRY_ASSIGN(held, hold(key));
  evict(key);
  return Use{place_of(key) / "site", std::move(held)};
}

Result<void> Store::finish(const std::string& key, const fs::path& made, const Built& built) {
  BCAI_TRY(make_directories_read_only(made / "site"));
  BCAI_TRY(write_file(made / "files.json", built.manifest));
  BCAI_TRY(sync_below(made));
  if (rename(made.c_str(), place_of(key).c_str()) != 0) {
    return errno_error(errno, "rename to " + place_of(key).string());
  }
  const UniqueFd directory(::open((directory_ / "built").c_str(), O_RDONLY | O_CLOEXEC));
  if (!directory || fsync(directory.get()) != 0) return errno_error(errno, "sync built");
  const std::lock_guard lock(mutex_);
  entries_[key] = {.bytes = built.bytes, .uses = 0, .last_use = ++uses_};
  return {};
}

void Store::evict(const std::string& kept) {
  std::vector<fs::path> gone;
  {
    const std::lock_guard lock(mutex_);
    int64_t total = 0;
    for (const auto& [key, entry] : entries_) total += entry.bytes;
    while (total > bytes_max_) {
      auto oldest = entries_.end();
      for (auto it = entries_.begin(); it != entries_.end(); ++it) {
        if (it->second.uses > 0 || it->first == kept) continue;
        if (oldest == entries_.end() || it->second.last_use < oldest->second.last_use) oldest = it;
      }
      if (oldest == entries_.end()) break;  // what is in use may be more than is wanted
      // Under another name from now on: whoever asks for the key builds anew.
      const fs::path away = directory_ / "scratch" / fmt::format("evicted_{}", ++scratches_);
      if (rename(place_of(oldest->first).c_str(), away.c_str()) == 0) gone.push_back(away);
      log_event(LogLevel::kInfo, "environment.evicted",
                {{"key", oldest->first}, {"bytes", oldest->second.bytes}});
      total -= oldest->second.bytes;
      entries_.erase(oldest);
    }
  }
  for (const fs::path& path : gone) sandbox::remove_tree(path);
}

Result<std::shared_ptr<const fs::path>> Store::scratch() {
  fs::path path;
  {
    const std::lock_guard lock(mutex_);
    path = directory_ / "scratch" / fmt::format("s{}", ++scratches_);
  }
  BCAI_TRY(make_directories(path, 0700));
  return std::shared_ptr<const fs::path>(new fs::path(path), [](const fs::path* gone) {
    sandbox::remove_tree(*gone);
    delete gone;
  });
}

Result<UniqueFd> Store::lock(const std::string& name, const std::function<void()>& on_wait,
                             sandbox::Cancellation& cancellation) const {
  const fs::path path = directory_ / "locks" / name;
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return errno_error(errno, "open " + path.string());
  bool told = false;
  while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return errno_error(errno, "lock " + path.string());
    if (cancellation.cancelled()) return error(ErrorCode::kCancelled, "cancelled");
    if (!std::exchange(told, true)) on_wait();
    std::this_thread::sleep_for(kLockInterval);
  }
  return fd;
}

}  // namespace bcai::environment
