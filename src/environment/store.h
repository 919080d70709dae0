// SPDX-License-Identifier: Apache-2.0
// Finished environments on disk, by key. One that is in use stays; of the others the least recently
// used go first when all together are too large.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"
#include "sandbox/sandbox.h"

namespace bcai::environment {

// Thread-safe. <directory>/built/<key>/{files.json, site/}, locks/, scratch/.
class Store {
 public:
  // Removes what an earlier process left half done.
  static Result<std::unique_ptr<Store>> open(std::filesystem::path directory, int64_t bytes_max);

  struct Use {
    std::filesystem::path site;
    std::shared_ptr<void> hold;  // keeps it from being evicted
  };

  // Of the finished environment, or what `build` makes in the directory it is given, which is
  // `site` of the new one. One build of a key at a time, of all threads and processes; the others
  // wait for it, and call `on_wait` first. `build` returns the manifest, which becomes files.json,
  // and the bytes of all files.
  struct Built {
    std::string manifest;
    int64_t bytes = 0;
  };
  using Build = std::function<Result<Built>(const std::filesystem::path& site)>;
  Result<Use> get(const std::string& key, const Build& build, const std::function<void()>& on_wait,
                  sandbox::Cancellation& cancellation);

  // A new empty directory, removed with the last copy of the pointer.
  Result<std::shared_ptr<const std::filesystem::path>> scratch();

  // Held by one thread or process at a time. kCancelled.
  Result<UniqueFd> lock(const std::string& name, const std::function<void()>& on_wait,
                        sandbox::Cancellation& cancellation) const;

 private:
  struct Entry {
    int64_t bytes = 0;
    int uses = 0;
    int64_t last_use = 0;  // a count of uses
  };

  Store(std::filesystem::path directory, int64_t bytes_max)
      : directory_(std::move(directory)), bytes_max_(bytes_max) {}
  Result<void> load();
  Result<std::shared_ptr<void>> hold(const std::string& key);  // null when there is none
  Result<void> finish(const std::string& key, const std::filesystem::path& made,
                      const Built& built);
  void evict(const std::string& kept);
  std::filesystem::path place_of(const std::string& key) const;

  std::filesystem::path directory_;
  int64_t bytes_max_;
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  int64_t uses_ = 0;
  int64_t scratches_ = 0;
};

}  // namespace bcai::environment
