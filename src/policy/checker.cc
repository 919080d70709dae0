// SPDX-License-Identifier: Apache-2.0
#include "policy/checker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "base/json.h"
#include "base/log.h"
#include "policy/parser_process.h"
#include "policy_files.h"

namespace bcai::policy {
namespace {

constexpr size_t kCodeBytesMax = 1 << 20;
// A parser that has read this much keeps the memory; a new one costs 30 ms.
constexpr size_t kCodeBytesLarge = 128 << 10;
constexpr size_t kQueueMax = 10'000;
constexpr size_t kQueueBytesMax = 64 << 20;

CheckReport report_of(std::string message) {
  CheckReport report;
  report.findings.push_back({.pointer = "/code", .message = std::move(message)});
  return report;
}

std::string header_of(const CheckRequest& request) {
  return to_text(json::object{{"restricted", request.imports_restricted},
                              {"allowed", json::value_from(request.allowed_imports)},
                              {"job_modules", json::value_from(request.job_modules)}});
}

Result<CheckReport> decode_report(std::string_view text) {
  BCAI_TRY_ASSIGN(const json::value value, parse_json(text));
  std::vector<Finding> wrong;
  CheckReport report;
  Decoder in(value, "", &wrong);
  in.read("imports", report.imports, kCodeBytesMax);
  if (const json::value* findings = in.take("findings"); findings && findings->is_array()) {
    for (const json::value& element : findings->get_array()) {
      Finding finding{.pointer = "/code", .message = {}};
      Decoder member(element, "/findings", &wrong);
      member.require("message", finding.message);
      member.read("line", finding.line, {0, INT32_MAX});
      member.read("column", finding.column, {0, INT32_MAX});
      report.findings.push_back(std::move(finding));
    }
  }
  if (!wrong.empty()) return error(ErrorCode::kInternal, "the parser: {}", findings_text(wrong));
  return report;
}

}  // namespace

std::string_view imports_json() { return policy_files("imports.json"); }

struct Checker::Impl {
  struct Waiting {
    CheckRequest request;
    std::function<void(Result<CheckReport>)> done;
    bool over_capacity = false;
  };

  explicit Impl(CheckerOptions chosen) : options(std::move(chosen)) {}

  Result<void> start();
  void stop();
  void enqueue(Waiting waiting);
  void work(std::function<void(Result<void>)> started);
  Result<CheckReport> answer(const Waiting& waiting);
  Result<CheckReport> ask(const CheckRequest& request);

  const CheckerOptions options;
  UniqueFd stopped;  // an eventfd, readable once stop() was called
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Waiting> queue;
  size_t queue_bytes = 0;
  bool stopping = false;
  ParserProcess parser;  // of the worker: the parser dies with the thread that started it
  std::thread worker;
};

Result<void> Checker::Impl::start() {
  stopped = UniqueFd(eventfd(0, EFD_CLOEXEC));
  if (!stopped) return errno_error(errno, "eventfd");
  Result<void> outcome;
  bool started = false;
  worker = std::thread([&] {
    work([&](Result<void> result) {
      const std::lock_guard lock(mutex);
      outcome = std::move(result);
      started = true;
      changed.notify_all();
    });
  });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return started; });
  return outcome;
}

void Checker::Impl::stop() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
    changed.notify_all();
  }
  const uint64_t one = 1;
  if (stopped) (void)!write(stopped.get(), &one, sizeof one);
  if (worker.joinable()) worker.join();
}

void Checker::Impl::enqueue(Waiting waiting) {
  const std::lock_guard lock(mutex);
  const size_t bytes = waiting.request.code.size();
  if (queue.size() >= kQueueMax || queue_bytes + bytes > kQueueBytesMax) {
    waiting.over_capacity = true;
    waiting.request = {};
  } else {
    queue_bytes += bytes;
  }
  queue.push_back(std::move(waiting));
  changed.notify_all();
}

void Checker::Impl::work(std::function<void(Result<void>)> started) {
  Result<void> ready = parser.start(options.python);
  const bool failed = !ready;
  // `started` refers to the starter's stack: it must not be called, nor kept, a second time.
  std::exchange(started, nullptr)(std::move(ready));
  if (failed) return;
  while (true) {
    Waiting next;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return stopping || !queue.empty(); });
      if (queue.empty()) break;
      next = std::move(queue.front());
      queue.pop_front();
      queue_bytes -= next.request.code.size();
    }
    next.done(answer(next));
  }
  parser.kill();
}

Result<CheckReport> Checker::Impl::answer(const Waiting& waiting) {
  if (waiting.over_capacity) {
    return error(ErrorCode::kUnavailable, "too many jobs wait for their check; try again later");
  }
  {
    const std::lock_guard lock(mutex);
    if (stopping) return error(ErrorCode::kUnavailable, "the checker is shutting down");
  }
  const size_t bytes = waiting.request.code.size();
  if (bytes > kCodeBytesMax) {
    return report_of(fmt::format("code has {} bytes, at most {}", bytes, kCodeBytesMax));
  }
  return ask(waiting.request);
}

Result<CheckReport> Checker::Impl::ask(const CheckRequest& request) {
  if (!parser.running()) {
    if (Result<void> restarted = parser.start(options.python); !restarted) {
      log_event(LogLevel::kError, "checker.start_failed", {{"error", restarted.error().message}});
      return error(ErrorCode::kUnavailable, "{}", restarted.error().message);
    }
  }
  const Result<std::string> answer =
      parser.ask(header_of(request), request.code, options.timeout, stopped.get());
  if (answer) {
    if (request.code.size() > kCodeBytesLarge) parser.kill();
    return decode_report(*answer);
  }
  switch (answer.error().code) {
    case ErrorCode::kCancelled:
      return error(ErrorCode::kUnavailable, "the checker is shutting down");
    case ErrorCode::kDeadlineExceeded:
      return report_of(
          fmt::format("code could not be parsed within {} ms", options.timeout.count()));
    default: return report_of("code is too deeply nested or too large for Python's parser");
  }
}

Checker::Checker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Checker::~Checker() { impl_->stop(); }

Result<std::unique_ptr<Checker>> Checker::start(CheckerOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  if (Result<void> started = impl->start(); !started) {
    impl->stop();
    return std::move(started).error();
  }
  return std::unique_ptr<Checker>(new Checker(std::move(impl)));
}

void Checker::check(CheckRequest request, std::function<void(Result<CheckReport>)> done) {
  impl_->enqueue({.request = std::move(request), .done = std::move(done)});
}

}  // namespace bcai::policy
