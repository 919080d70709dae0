// SPDX-License-Identifier: Apache-2.0
// A value or an Error. The vocabulary is that of std::expected, so that a later switch is
// mechanical. Wrong input from outside is an Error; a mistake of our own is BCAI_ASSERT, which
// stays on in release builds. Nothing in src/ throws.
#pragma once

#include <fmt/core.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace bcai {

// One table maps a code to an HTTP status (protocol/problem.h), a CLI exit code and an SDK
// exception.
enum class ErrorCode : unsigned char {
  kInvalidArgument,
  kNotFound,
  kAlreadyExists,
  kPermissionDenied,
  kUnauthenticated,
  kFailedPrecondition,
  kResourceExhausted,
  kDeadlineExceeded,
  kCancelled,
  kUnavailable,
  kUnimplemented,
  kDataLoss,
  kInternal,
};

// "invalid_argument", "not_found", …: the word used in JSON, logs and SDK alike.
std::string_view error_code_name(ErrorCode code);

struct [[nodiscard]] Error {
  ErrorCode code;
  std::string message;
};

template <typename... Args>
Error error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Error{code, fmt::format(format, std::forward<Args>(args)...)};
}

// An Error from errno: "open /x: Permission denied". ENOENT is kNotFound, EACCES and EPERM are
// kPermissionDenied, ENOSPC and EDQUOT are kResourceExhausted, the rest is kInternal.
Error errno_error(int errno_value, std::string_view what);

[[noreturn]] void assert_failed(const char* expression, const char* file, int line);

// An expression: without optimisation g++ sees only so that BCAI_ASSERT(false) never returns.
#define BCAI_ASSERT(expression) \
  ((expression) ? (void)0 : ::bcai::assert_failed(#expression, __FILE__, __LINE__))

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    BCAI_ASSERT(!has_value());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    BCAI_ASSERT(!has_value());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  T& value() {
    BCAI_ASSERT(has_value());
    return *std::get_if<0>(&state_);
  }
  const T& value() const {
    BCAI_ASSERT(has_value());
    return *std::get_if<0>(&state_);
  }

  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool has_value() const { return !error_; }
  explicit operator bool() const { return has_value(); }

  const Error& error() const& {
    BCAI_ASSERT(error_);
    return *error_;
  }
  Error&& error() && {
    BCAI_ASSERT(error_);
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

// Goes on, or returns the error to the caller.
#define BCAI_TRY(expression)                                                               \
  do {                                                                                     \
    if (auto try_result = (expression); !try_result) return std::move(try_result).error(); \
  } while (false)

// Declares `lhs` with the value, or returns the error to the caller.
#define BCAI_TRY_ASSIGN(lhs, expression) \
  BCAI_TRY_ASSIGN_(BCAI_CAT_(try_result_, __LINE__), lhs, expression)
#define BCAI_TRY_ASSIGN_(result, lhs, expression) \
  auto result = (expression);                     \
  if (!result) return std::move(result).error();  \
  lhs = *std::move(result)
#define BCAI_CAT_(a, b) BCAI_CAT2_(a, b)
#define BCAI_CAT2_(a, b) a##b

}  // namespace bcai
