// SPDX-License-Identifier: Apache-2.0
// The threads that share out the units of kernels. Unit ranges are contiguous and depend on the
// number of units and of threads alone, so a thread meets the same memory in every run; results
// never depend on it. Waiting is hybrid: spin for tens of microseconds, then yield, then sleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace bcai::vm {

// One caller at a time. The calling thread is the first of the pool's threads and works too; a pool
// of one runs everything inline. While it works on units, a thread has the default floating-point
// environment: round to nearest even, denormals kept; the caller's own is put back afterwards.
class ThreadPool {
 public:
  // Starts threads - 1 threads; threads >= 1. Should the system refuse some, the pool is smaller:
  // see threads().
  explicit ThreadPool(int threads);
  // No run may be going on.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls work(begin, end, thread) for contiguous pieces that make up [0, units), in parallel, with
  // at most `chunk` units in one call, and returns when all have returned. Where `cancelled` is
  // given and becomes true, pieces that have not begun are left out. True if all units were done.
  // work must not throw, and must not run on the same pool.
  template <typename Work>
  bool run(int64_t units, const Work& work, int64_t chunk = INT64_MAX,
           const std::atomic<bool>* cancelled = nullptr) {
    static_assert(std::is_invocable_v<const Work&, int64_t, int64_t, int>);
    const auto call = [](const void* context, int64_t begin, int64_t end, int thread) {
      (*static_cast<const Work*>(context))(begin, end, thread);
    };
    return run_task(
        {.call = call, .context = &work, .units = units, .chunk = chunk, .cancelled = cancelled});
  }

 private:
  struct Task {
    void (*call)(const void* context, int64_t begin, int64_t end, int thread) = nullptr;
    const void* context = nullptr;
    int64_t units = 0;
    int64_t chunk = INT64_MAX;
    const std::atomic<bool>* cancelled = nullptr;
  };
  struct Shared;

  bool run_task(const Task& task);
  static bool run_share(const Task& task, int thread, int threads);
  static void work(Shared& shared, int thread);

  std::unique_ptr<Shared> shared_;
};

}  // namespace bcai::vm
