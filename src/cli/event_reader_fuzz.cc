// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <string>

#include "cli/event_reader.h"

// The events must not depend on how the bytes were cut into pieces.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t piece = data[0] % 7 + 1U;
  std::string whole;
  std::string cut;
  const auto note = [](std::string& to) {
    return [&to](const bcai::cli::ServerEvent& event) {
      to += event.id + "|" + event.event + "|" + event.data + "\n";
    };
  };
  bcai::cli::EventReader at_once(note(whole));
  bcai::cli::EventReader in_pieces(note(cut));
  at_once.feed(text);
  for (size_t at = 0; at < text.size(); at += piece) in_pieces.feed(text.substr(at, piece));
  if (whole != cut) std::abort();
  return 0;
}
