// SPDX-License-Identifier: Apache-2.0
// User ids for jobs: two per slot, or as many as asked, never those of another job that runs, of
// this engine or of any other on this machine (lock files, let go by the kernel when we die).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace bcai::sandbox {

class Slots {
 public:
  // Lock files go to `directory`, which must exist.
  Slots(std::filesystem::path directory, uint32_t uid_base, int count, uint32_t ids_of_slot = 2);

  class Lease {
   public:
    Lease(Slots* slots, size_t index) : slots_(slots), index_(index) {}
    ~Lease() { release(); }
    Lease(Lease&& other) noexcept
        : slots_(std::exchange(other.slots_, nullptr)), index_(other.index_) {}
    Lease& operator=(Lease&&) = delete;
    uint32_t uid() const;  // and those after it, ids_of_slot in all
    // Keeps the ids out of use for good: something under them could not be killed.
    void quarantine() { slots_ = nullptr; }

   private:
    void release();
    Slots* slots_;
    size_t index_;
  };

  // Waits while all are taken by us; kResourceExhausted when others hold all that we do not.
  Result<Lease> acquire();

 private:
  struct Slot {
    UniqueFd lock;  // kept once taken
    bool busy = false;
  };
  bool lock(size_t index);
  void release(size_t index);

  std::filesystem::path directory_;
  uint32_t uid_base_;
  uint32_t ids_of_slot_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<Slot> slots_;
};

}  // namespace bcai::sandbox
