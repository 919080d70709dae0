// SPDX-License-Identifier: Apache-2.0
#include "sandbox/slots.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>

namespace bcai::sandbox {

Slots::Slots(std::filesystem::path directory, uint32_t uid_base, int count, uint32_t ids_of_slot)
    : directory_(std::move(directory)),
      uid_base_(uid_base),
      ids_of_slot_(ids_of_slot),
      slots_(static_cast<size_t>(count)) {}

uint32_t Slots::Lease::uid() const {
  BCAI_ASSERT(slots_);
  return slots_->uid_base_ + static_cast<uint32_t>(index_) * slots_->ids_of_slot_;
}

void Slots::Lease::release() {
  if (slots_) slots_->release(index_);
}

bool Slots::lock(size_t index) {
  Slot& slot = slots_[index];
  if (slot.lock) return true;
  const uint32_t uid = uid_base_ + static_cast<uint32_t>(index) * ids_of_slot_;
  const std::filesystem::path path = directory_ / fmt::format("uid_{}", uid);
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd || flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return false;
  slot.lock = std::move(fd);
  return true;
}

Result<Slots::Lease> Slots::acquire() {
  std::unique_lock guard(mutex_);
  for (;;) {
    for (size_t index = 0; index < slots_.size(); index++) {
      if (slots_[index].busy || !lock(index)) continue;
      slots_[index].busy = true;
      return Lease(this, index);
    }
    if (std::none_of(slots_.begin(), slots_.end(), [](const Slot& s) { return s.busy; })) {
      return error(ErrorCode::kResourceExhausted,
                   "all {} user id slots from {} on are held by others (lock files in {})",
                   slots_.size(), uid_base_, directory_.string());
    }
    freed_.wait(guard);
  }
}

void Slots::release(size_t index) {
  const std::lock_guard guard(mutex_);
  slots_[index].busy = false;
  freed_.notify_one();
}

}  // namespace bcai::sandbox
