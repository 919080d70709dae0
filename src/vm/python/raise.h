// SPDX-License-Identifier: Apache-2.0
// From results to Python's exceptions. The interpreter's lock must be held.
#pragma once

#include <nanobind/nanobind.h>

#include <utility>

#include "base/result.h"

namespace bcai::vm::python {

// The exception of bcai.errors for the error's code.
[[noreturn]] void raise(const Error& error);

template <typename... Args>
[[noreturn]] void raise_invalid(fmt::format_string<Args...> format, Args&&... args) {
  raise(error(ErrorCode::kInvalidArgument, format, std::forward<Args>(args)...));
}

template <typename T>
T value_of(Result<T> result) {
  if (!result) raise(result.error());
  return *std::move(result);
}

inline void check(const Result<void>& result) {
  if (!result) raise(result.error());
}

// Calls `work`, which touches no Python object, without the lock.
template <typename Work>
auto unlocked(const Work& work) {
  const nanobind::gil_scoped_release release;
  return work();
}

}  // namespace bcai::vm::python
