// SPDX-License-Identifier: Apache-2.0
// An attempt's log is a file of records, the same bytes on the node (until acknowledged) and on the
// coordinator, so that an offset into one is an offset into the other. docs/formats/log.md:
//   u32 size of the text | u8 stream | u8 zero ×3 | i64 milliseconds since 1970 | text
// Integers are little-endian. A record's text is at most 16 KiB and need not end in a newline.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace bcai {

enum class LogStream : uint8_t { kStdout = 1, kStderr = 2, kSystem = 3 };

std::string_view name(LogStream stream);  // "stdout", "stderr", "system"

inline constexpr size_t kLogHeaderBytes = 16;
inline constexpr size_t kLogTextBytesMax = 16384;

struct LogRecord {
  LogStream stream = LogStream::kStdout;
  WallTime time;
  std::string_view text;  // into the buffer that was read
};

void append_log_record(std::string& out, LogStream stream, WallTime time, std::string_view text);

// The record at the start of `data`, and in *consumed its whole size. Nothing when data holds no
// whole record; then *consumed is 0, or data.size() + 1 when it can never become one.
std::optional<LogRecord> read_log_record(std::string_view data, size_t* consumed);

}  // namespace bcai
