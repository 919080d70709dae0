// SPDX-License-Identifier: Apache-2.0
#include "sandbox/masked_callbacks.h"

namespace bcai::sandbox {

MaskedCallbacks::MaskedCallbacks(const Mask& mask, const Callbacks& listeners)
    : mask_(mask), listeners_(listeners), out_(mask), err_(mask), callbacks_(listeners) {
  if (mask.empty()) return;
  callbacks_.on_output = [this](Stream stream, std::string_view data) {
    pass_output(stream, (stream == Stream::kStdout ? out_ : err_).feed(data));
  };
  callbacks_.on_message = [this](std::string_view line) { pass_message(line); };
}

void MaskedCallbacks::finish() {
  pass_output(Stream::kStdout, out_.finish());
  pass_output(Stream::kStderr, err_.finish());
}

void MaskedCallbacks::pass_output(Stream stream, std::string_view text) const {
  if (!text.empty() && listeners_.on_output) listeners_.on_output(stream, text);
}

void MaskedCallbacks::pass_message(std::string_view line) const {
  if (listeners_.on_message) listeners_.on_message(mask_.json(line));
}

}  // namespace bcai::sandbox
