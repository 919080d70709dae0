// SPDX-License-Identifier: Apache-2.0
// Files of jobs, fetched once by digest and kept while there is room; the least recently used go
// first, never one that is pinned. Thread-safe; two that want the same file share one download.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "base/crypto.h"
#include "base/result.h"
#include "node/link.h"

namespace bcai::node {

class InputCache {
 public:
  // Takes over what lies in `directory` from earlier. `link` must outlive it.
  static Result<std::unique_ptr<InputCache>> open(std::filesystem::path directory,
                                                  int64_t bytes_max, Link& link);

  // The path stays good until unpin(). Blocks, through outages too, until `given_up` says so.
  // kDataLoss: the bytes are not those of the digest. kNotFound: the coordinator has them not.
  Result<std::filesystem::path> pin(const Sha256& digest, int64_t bytes,
                                    const std::function<bool()>& given_up);
  void unpin(const Sha256& digest);

  int64_t bytes() const;

 private:
  struct Entry {
    int64_t bytes = 0;
    int pins = 0;
    bool ready = false;     // false: somebody fetches it
    bool verified = false;  // false: it lay here before we came
    uint64_t used = 0;
  };

  InputCache(std::filesystem::path directory, int64_t bytes_max, Link& link)
      : directory_(std::move(directory)), bytes_max_(bytes_max), link_(link) {}

  std::filesystem::path path_of(const Sha256& digest) const { return directory_ / digest.text(); }
  bool is_good(const Sha256& digest, int64_t bytes, bool verified) const;
  Result<void> fetch(const Sha256& digest, int64_t bytes, const std::function<bool()>& given_up);
  void evict();

  std::filesystem::path directory_;
  int64_t bytes_max_;
  Link& link_;
  mutable std::mutex mutex_;
  std::condition_variable fetched_;
  std::map<Sha256, Entry> entries_;
  uint64_t uses_ = 0;
};

}  // namespace bcai::node
