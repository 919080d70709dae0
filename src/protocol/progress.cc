// SPDX-License-Identifier: Apache-2.0
#include "protocol/progress.h"

namespace bcai {

json::value encode(const Progress& progress) {
  json::object metrics;
  for (const auto& [key, number] : progress.metrics) metrics[key] = number;
  json::object out{{"fraction", nullptr}, {"message", progress.message}};
  if (progress.fraction >= 0) out["fraction"] = progress.fraction;
  out["metrics"] = std::move(metrics);
  return out;
}

Progress decode_progress(const json::value& value, std::string pointer,
                         std::vector<Finding>* findings) {
  Progress progress;
  Decoder in(value, std::move(pointer), findings);
  in.read("fraction", progress.fraction, {.min = 0, .max = 1});
  in.read("message", progress.message, {.bytes_max = 256});
  const json::value* metrics = in.take("metrics");
  if (metrics == nullptr) return progress;
  if (!metrics->is_object() || metrics->get_object().size() > 256) {
    in.add("metrics", "expected an object of at most 256 numbers");
    return progress;
  }
  for (const auto& member : metrics->get_object()) {
    if (!member.value().is_number() || member.key().size() > 128) continue;
    progress.metrics[std::string(to_std(member.key()))] = member.value().to_number<double>();
  }
  return progress;
}

}  // namespace bcai
