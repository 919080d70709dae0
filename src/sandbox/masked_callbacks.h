// SPDX-License-Identifier: Apache-2.0
// Stands between a task and those who listen to it, and masks what passes. One thread.
#pragma once

#include "sandbox/mask.h"
#include "sandbox/sandbox.h"

namespace bcai::sandbox {

// Refers to all that it is given.
class MaskedCallbacks {
 public:
  MaskedCallbacks(const Mask& mask, const Callbacks& listeners);
  MaskedCallbacks(const MaskedCallbacks&) = delete;
  MaskedCallbacks& operator=(const MaskedCallbacks&) = delete;

  const Callbacks& callbacks() const { return callbacks_; }
  // After the last of the task's output: passes on what waits.
  void finish();

 private:
  void pass_output(Stream stream, std::string_view text) const;
  void pass_message(std::string_view line) const;

  const Mask& mask_;
  const Callbacks& listeners_;
  MaskedStream out_;
  MaskedStream err_;
  Callbacks callbacks_;
};

}  // namespace bcai::sandbox
