// SPDX-License-Identifier: Apache-2.0
// The high level of an engine: whether it holds here, and guests for its tasks.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/gvisor/guest.h"
#include "sandbox/gvisor/pool.h"
#include "sandbox/gvisor/runsc.h"
#include "sandbox/sandbox.h"

namespace bcai::sandbox {

class Gvisor {
 public:
  // `program` is looked for when somebody asks for the level. `probe` runs the self-test's tasks.
  // `keeps_waiting`: guests wait for tasks like those that came.
  Gvisor(std::string program, std::unique_ptr<GuestHost> host,
         std::function<std::vector<SelfTestLine>()> probe, bool keeps_waiting);

  // As Engine::high(). Any thread; the first asks for all.
  Result<HighLevel> level();

  // Of a level that is being tested or holds: a guest that waited for tasks like this one, or
  // nothing; and one that is started for it.
  std::unique_ptr<Guest> waiting(const Task& task);
  Result<std::unique_ptr<Guest>> start(const Task& task);

  // Blocks until waiting() would give one. kUnavailable, with the reason, when it would not.
  Result<void> await(const Task& task);

 private:
  Result<HighLevel> test();
  Result<void> find_platform();
  std::filesystem::path note() const;
  std::string key() const;
  std::optional<HighLevel> recall();
  void remember(const HighLevel& level) const;

  std::string program_;
  std::unique_ptr<GuestHost> host_;
  std::function<std::vector<SelfTestLine>()> probe_;
  std::mutex mutex_;
  std::optional<Result<HighLevel>> level_;
  Runsc runsc_;  // constant once the level is there
  const bool keeps_waiting_;
  std::unique_ptr<GuestPool> pool_;  // constant too; null: nothing waits
};

// What the machine lacks for the level beside runsc; "" when nothing.
std::string gvisor_lacking(bool rootless, const CgroupLayout& cgroups);

}  // namespace bcai::sandbox
