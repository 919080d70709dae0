// SPDX-License-Identifier: Apache-2.0
#include "protocol/log_record.h"

#include <bit>
#include <cstring>

#include "base/result.h"

namespace bcai {

static_assert(std::endian::native == std::endian::little);

std::string_view name(LogStream stream) {
  switch (stream) {
    case LogStream::kStdout: return "stdout";
    case LogStream::kStderr: return "stderr";
    case LogStream::kSystem: return "system";
  }
  return "system";
}

void append_log_record(std::string& out, LogStream stream, WallTime time, std::string_view text) {
  BCAI_ASSERT(text.size() <= kLogTextBytesMax);
  char header[kLogHeaderBytes] = {};
  const auto size = static_cast<uint32_t>(text.size());
  std::memcpy(header, &size, 4);
  header[4] = static_cast<char>(stream);
  std::memcpy(header + 8, &time.ms, 8);
  out.append(header, sizeof header);
  out.append(text);
}

std::optional<LogRecord> read_log_record(std::string_view data, size_t* consumed) {
  *consumed = 0;
  if (data.size() < kLogHeaderBytes) return std::nullopt;
  uint32_t size = 0;
  std::memcpy(&size, data.data(), 4);
  const auto stream = static_cast<uint8_t>(data[4]);
  if (size > kLogTextBytesMax || stream < 1 || stream > 3) {
    *consumed = data.size() + 1;
    return std::nullopt;
  }
  if (data.size() < kLogHeaderBytes + size) return std::nullopt;
  LogRecord record;
  record.stream = static_cast<LogStream>(stream);
  std::memcpy(&record.time.ms, data.data() + 8, 8);
  record.text = data.substr(kLogHeaderBytes, size);
  *consumed = kLogHeaderBytes + size;
  return record;
}

}  // namespace bcai
