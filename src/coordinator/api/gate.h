// SPDX-License-Identifier: Apache-2.0
// The database as the API sees it: open until the coordinator stops. After close() new work is
// dropped, so that callbacks which ask for more cannot keep a stopping database busy.
#pragma once

#include <mutex>
#include <utility>

#include "coordinator/store/database.h"

namespace bcai::coordinator {

class DatabaseGate {
 public:
  explicit DatabaseGate(store::Database& database) : database_(database) {}

  void write(store::Database::Work work, store::Database::Done done) {
    std::lock_guard lock(mutex_);
    if (!closed_) database_.write(std::move(work), std::move(done));
  }
  void read(std::function<void(store::Connection&)> work) {
    std::lock_guard lock(mutex_);
    if (!closed_) database_.read(std::move(work));
  }
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }

 private:
  std::mutex mutex_;
  store::Database& database_;
  bool closed_ = false;
};

}  // namespace bcai::coordinator
