// SPDX-License-Identifier: Apache-2.0
#include "vm/backend/cpu/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "base/result.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bcai::vm {
namespace {

// About 30 us of pauses at the 40 to 140 cycles that a pause takes; then the processor is given
// away, which keeps two threads that share a core from waiting out each other's time slice; then
// the thread sleeps.
constexpr int kSpins = 1000;
constexpr int kYields = 50;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns when the value is no longer `old`, with what was written before the change visible.
void await_change(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kSpins + kYields; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    if (i < kSpins) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
  value.wait(old, std::memory_order_acquire);
}

// Round to nearest even, no flushing of denormals, no traps, for as long as it lives.
class DefaultFloatingPoint {
 public:
#if defined(__x86_64__)
  DefaultFloatingPoint() : before_(_mm_getcsr()) { _mm_setcsr(0x1f80); }
  ~DefaultFloatingPoint() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  DefaultFloatingPoint() {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    asm volatile("msr fpcr, %0" ::"r"(uint64_t{0}));
  }
  ~DefaultFloatingPoint() { asm volatile("msr fpcr, %0" ::"r"(before_)); }

 private:
  uint64_t before_;
#endif
};

}  // namespace

struct ThreadPool::Shared {
  Task task;
  int threads = 1;
  // Counts runs; a new number tells the threads that `task` is there.
  alignas(64) std::atomic<uint32_t> run{0};
  // Threads, besides the caller, that have not finished the run.
  alignas(64) std::atomic<uint32_t> busy{0};
  std::atomic<bool> incomplete{false};
  std::atomic<bool> closing{false};
  std::vector<pthread_t> workers;
};

namespace {

struct Start {
  void (*work)(void* shared, int thread);
  void* shared;
  int thread;
};

}  // namespace

ThreadPool::ThreadPool(int threads) : shared_(std::make_unique<Shared>()) {
  BCAI_ASSERT(threads >= 1);
  for (int thread = 1; thread < threads; ++thread) {
    // pthread_create and not std::thread, which reports a refusal by an exception.
    auto* start =
        new Start{[](void* shared, int index) { work(*static_cast<Shared*>(shared), index); },
                  shared_.get(), thread};
    pthread_t handle;
    const auto enter = [](void* argument) -> void* {
      const std::unique_ptr<Start> mine(static_cast<Start*>(argument));
      mine->work(mine->shared, mine->thread);
      return nullptr;
    };
    if (pthread_create(&handle, nullptr, enter, start) != 0) {
      delete start;
      break;
    }
    shared_->workers.push_back(handle);
  }
  shared_->threads = 1 + static_cast<int>(shared_->workers.size());
}

ThreadPool::~ThreadPool() {
  shared_->closing.store(true, std::memory_order_relaxed);
  shared_->run.fetch_add(1, std::memory_order_release);
  shared_->run.notify_all();
  for (auto worker : shared_->workers) pthread_join(worker, nullptr);
}

int ThreadPool::threads() const { return shared_->threads; }

bool ThreadPool::run_share(const Task& task, int thread, int threads) {
  const int64_t share = task.units / threads;
  const int64_t extra = task.units % threads;
  const int64_t begin = thread * share + std::min<int64_t>(thread, extra);
  const int64_t end = begin + share + (thread < extra ? 1 : 0);
  for (int64_t i = begin; i < end;) {
    if (task.cancelled != nullptr && task.cancelled->load(std::memory_order_relaxed)) return false;
    const int64_t next = end - i > task.chunk ? i + task.chunk : end;
    task.call(task.context, i, next, thread);
    i = next;
  }
  return true;
}

void ThreadPool::work(Shared& shared, int thread) {
  const DefaultFloatingPoint environment;
  for (uint32_t seen = 0;; ++seen) {
    await_change(shared.run, seen);
    if (shared.closing.load(std::memory_order_relaxed)) return;
    if (!run_share(shared.task, thread, shared.threads)) {
      shared.incomplete.store(true, std::memory_order_relaxed);
    }
    if (shared.busy.fetch_sub(1, std::memory_order_acq_rel) == 1) shared.busy.notify_one();
  }
}

bool ThreadPool::run_task(const Task& task) {
  BCAI_ASSERT(task.units >= 0 && task.chunk >= 1);
  const DefaultFloatingPoint environment;
  // Not worth waking anyone for, and the same ranges otherwise.
  if (shared_->threads == 1 || task.units <= 1) return run_share(task, 0, 1);
  shared_->task = task;
  shared_->incomplete.store(false, std::memory_order_relaxed);
  const auto others = static_cast<uint32_t>(shared_->threads - 1);
  shared_->busy.store(others, std::memory_order_relaxed);
  shared_->run.fetch_add(1, std::memory_order_release);
  shared_->run.notify_all();
  const bool mine = run_share(shared_->task, 0, shared_->threads);
  for (uint32_t left = others; left != 0;) {
    left = shared_->busy.load(std::memory_order_acquire);
    if (left != 0) await_change(shared_->busy, left);
  }
  return mine && !shared_->incomplete.load(std::memory_order_relaxed);
}

}  // namespace bcai::vm
