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
#include "sandbox/gvisor/runsc.h"
#include "sandbox/sandbox.h"

namespace bcai::sandbox {

class Gvisor {
 public:
  // `program` is looked for when somebody asks for the level. `probe` runs the self-test's tasks.
  Gvisor(std::string program, std::unique_ptr<GuestHost> host,
         std::function<std::vector<SelfTestLine>()> probe);

  // As Engine::high(). Any thread; the first asks for all.
  Result<HighLevel> level();

  // A guest for the task, of a level that is being tested or holds.
  Result<std::unique_ptr<Guest>> take(const Task& task);

 private:
  Result<HighLevel> test();
  Result<void> find_platform();
  std::filesystem::path note() const;
  std::optional<HighLevel> recall();
  void remember(const HighLevel& level) const;

  std::string program_;
  std::unique_ptr<GuestHost> host_;
  std::function<std::vector<SelfTestLine>()> probe_;
  std::mutex mutex_;
  std::optional<Result<HighLevel>> level_;
  Runsc runsc_;  // constant once the level is there
};

// Why no engine on this machine could have the level, without asking runsc; "" when nothing shows.
std::string gvisor_lacking(bool rootless, const CgroupLayout& cgroups, const std::string& program);

}  // namespace bcai::sandbox
