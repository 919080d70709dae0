// SPDX-License-Identifier: Apache-2.0
// Carries one attempt to the coordinator: its log while it runs, then artifacts and result. What
// the coordinator has not acknowledged is sent again, for as long as it takes.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "node/backoff.h"
#include "node/link.h"
#include "node/metrics.h"
#include "node/spool.h"

namespace bcai::node {

// Between the thread that runs an attempt and the one that ships it.
class Shipment {
 public:
  explicit Shipment(std::unique_ptr<AttemptSpool> spool) : spool_(std::move(spool)) {}

  AttemptSpool& spool() { return *spool_; }
  const Lease& lease() const { return spool_->lease(); }

  void note_log();                    // there is more of it
  void finish(AttemptResult result);  // nothing comes after this

  // Waits for log beyond `shipped` bytes or the result.
  void wait_for_news(int64_t shipped);
  // Waits so long, or for the result.
  void wait_for_result(Millis most);
  std::optional<AttemptResult> result();

 private:
  std::unique_ptr<AttemptSpool> spool_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::optional<AttemptResult> result_;
};

class Shipper {
 public:
  Shipper(Shipment& shipment, Link& link, Metrics& metrics)
      : shipment_(shipment), link_(link), metrics_(metrics) {}

  // `resumed`: an earlier process may have shipped some of the log. Blocks until the coordinator
  // has acknowledged the result or wants it no more (true), or the link is stopped (false).
  bool ship(bool resumed);

 private:
  enum class Step : uint8_t { kDone, kAgain, kStopped };

  Step ship_log();
  Step find_log_offset();
  Step ship_artifacts();
  Step upload(const ArtifactRef& artifact, std::string* refusal);
  Step upload_from(const ArtifactRef& artifact, int64_t offset, std::string* refusal);
  Step ask_upload_offset(const ArtifactRef& artifact, int64_t* offset);
  Step send_result(bool* settled);
  Step deliver(bool* settled);
  Step again(const Answer& answer);
  void fail_result(std::string_view detail);
  std::filesystem::path file_of(const ArtifactRef& artifact);
  std::string log_target(int64_t offset) const;

  Shipment& shipment_;
  Link& link_;
  Metrics& metrics_;
  SystemRandom random_;
  Backoff backoff_{Millis(100), Millis(15'000)};
  Millis asked_pause_{0};
  AttemptResult result_;
  int64_t log_shipped_ = 0;
  bool log_offset_known_ = true;
  bool log_refused_ = false;
  std::map<Sha256, std::string> uploads_;  // done; why not, when it was refused
  int missing_ = 0;                        // times the coordinator missed something that was sent
  int refused_ = 0;                        // times it refused the result
};

}  // namespace bcai::node
