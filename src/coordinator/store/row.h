// SPDX-License-Identifier: Apache-2.0
// Ids, digests and times to and from the columns of a row. A column of another size than its type
// is a damaged database and asserts.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "coordinator/store/database.h"

namespace bcai::store {

// T has an array of bytes: an Id, a Sha256.
template <typename T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size()};
}

template <typename T>
T bytes_at(const Statement& row, int column) {
  const std::string_view blob = row.blob(column);
  T value;
  BCAI_ASSERT(blob.size() == value.bytes.size());
  std::copy(blob.begin(), blob.end(), value.bytes.begin());
  return value;
}

template <typename T>
std::optional<T> optional_bytes_at(const Statement& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return bytes_at<T>(row, column);
}

inline WallTime time_at(const Statement& row, int column) { return {row.integer(column)}; }

inline std::optional<WallTime> optional_time_at(const Statement& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return time_at(row, column);
}

}  // namespace bcai::store
