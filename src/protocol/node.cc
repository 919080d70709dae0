// SPDX-License-Identifier: Apache-2.0
#include "protocol/node.h"

#include <algorithm>

namespace bcai {
namespace {

constexpr size_t kAttemptsMax = 10'000;

template <typename T>
void require_id(Decoder& in, std::string_view key, T& id) {
  std::string text;
  in.require(key, text);
  if (text.empty()) return;
  if (Result<T> parsed = T::parse(text); parsed) {
    id = *parsed;
  } else {
    in.add(key, parsed.error().message);
  }
}

std::string require_hex(Decoder& in, std::string_view key, size_t bytes) {
  std::string text;
  in.require(key, text);
  if (text.empty()) return {};
  Result<std::string> decoded = from_hex(text);
  if (decoded && decoded->size() == bytes) return *decoded;
  in.add(key, fmt::format("expected {} hexadecimal digits", bytes * 2));
  return {};
}

std::string_view name(LeaseAction action) {
  constexpr std::string_view kNames[] = {"keep", "cancel", "fence"};
  return kNames[static_cast<size_t>(action)];
}

}  // namespace

json::value encode(const Capabilities& capabilities) {
  json::array gpus;
  for (const Gpu& gpu : capabilities.gpus) {
    gpus.push_back(json::object{
        {"model", gpu.model}, {"memory_bytes", gpu.memory_bytes}, {"driver", gpu.driver}});
  }
  json::array self_test;
  for (const SelfTestLine& line : capabilities.self_test) {
    self_test.push_back(
        json::object{{"name", line.name}, {"holds", line.holds}, {"detail", line.detail}});
  }
  return json::object{{"hostname", capabilities.hostname},
                      {"version", capabilities.version},
                      {"os", capabilities.os},
                      {"kernel", capabilities.kernel},
                      {"architecture", capabilities.architecture},
                      {"cpu_model", capabilities.cpu_model},
                      {"instruction_sets", json::value_from(capabilities.instruction_sets)},
                      {"cpu_millicores", capabilities.cpu_millicores},
                      {"memory_bytes", capabilities.memory_bytes},
                      {"disk_bytes", capabilities.disk_bytes},
                      {"slots", capabilities.slots},
                      {"gpus", std::move(gpus)},
                      {"sandbox_runtime", capabilities.sandbox_runtime},
                      {"security_levels", json::value_from(capabilities.security_levels)},
                      {"self_test", std::move(self_test)},
                      {"strangers", capabilities.strangers},
                      {"packages", json::value_from(capabilities.packages)},
                      {"python_version", capabilities.python_version},
                      {"environments", capabilities.environments},
                      {"network", json::value_from(capabilities.network)},
                      {"labels", json::value_from(capabilities.labels)}};
}

Capabilities decode_capabilities(const json::value& value, std::vector<Finding>* findings) {
  Capabilities out;
  Decoder in(value, "", findings);
  in.read("hostname", out.hostname, {.bytes_max = 256});
  in.read("version", out.version, {.bytes_max = 64});
  in.read("os", out.os, {.bytes_max = 256});
  in.read("kernel", out.kernel, {.bytes_max = 256});
  in.read("architecture", out.architecture, {.bytes_max = 64});
  in.read("cpu_model", out.cpu_model, {.bytes_max = 256});
  in.read("instruction_sets", out.instruction_sets, 256);
  in.require("cpu_millicores", out.cpu_millicores, kCount);
  in.require("memory_bytes", out.memory_bytes, kCount);
  in.require("disk_bytes", out.disk_bytes, kCount);
  in.require("slots", out.slots, IntRange{0, 10'000});
  in.read_each("gpus", 64, [&](Decoder& element) {
    Gpu gpu;
    element.require("model", gpu.model, TextLimit{1, 128});
    element.require("memory_bytes", gpu.memory_bytes, kCount);
    element.read("driver", gpu.driver, {.bytes_max = 64});
    out.gpus.push_back(std::move(gpu));
  });
  in.read("sandbox_runtime", out.sandbox_runtime, {.bytes_max = 128});
  in.read("security_levels", out.security_levels, 8, {.bytes_min = 1, .bytes_max = 16});
  in.read_each("self_test", 100, [&](Decoder& element) {
    SelfTestLine line;
    element.require("name", line.name, TextLimit{1, 64});
    element.require("holds", line.holds);
    element.read("detail", line.detail, {.bytes_max = 1024});
    out.self_test.push_back(std::move(line));
  });
  in.read("strangers", out.strangers);
  in.read("packages", out.packages, 10'000, {.bytes_max = 128});
  in.read("python_version", out.python_version, {.bytes_max = 32});
  in.read("environments", out.environments);
  in.read("network", out.network, 256, {.bytes_min = 1, .bytes_max = 260});
  in.read("labels", out.labels, 64, {.bytes_max = 128});
  return out;
}

json::value encode(const NodeRegistration& registration) {
  return json::object{
      {"name", registration.name},
      {"public_key", to_hex(registration.public_key)},
      {"nonce", registration.nonce},
      {"signature", to_hex({reinterpret_cast<const uint8_t*>(registration.signature.data()),
                            registration.signature.size()})},
      {"capabilities", encode(registration.capabilities)}};
}

NodeRegistration decode_registration(const json::value& value, std::vector<Finding>* findings) {
  NodeRegistration out;
  Decoder in(value, "", findings);
  in.require("name", out.name, TextLimit{1, 128});
  const std::string key = require_hex(in, "public_key", out.public_key.size());
  std::copy(key.begin(), key.end(), out.public_key.begin());
  in.require("nonce", out.nonce, TextLimit{1, 128});
  out.signature = require_hex(in, "signature", 64);
  if (const json::value* capabilities = in.take("capabilities"); capabilities != nullptr) {
    out.capabilities = decode_capabilities(*capabilities, findings);
  } else {
    in.add("capabilities", "is required");
  }
  return out;
}

json::value encode(const Capacity& capacity) {
  return json::object{{"cpu_millicores", capacity.cpu_millicores},
                      {"memory_bytes", capacity.memory_bytes},
                      {"disk_bytes", capacity.disk_bytes},
                      {"gpu_count", capacity.gpu_count},
                      {"slots", capacity.slots}};
}

Capacity decode_capacity(const json::value& value, std::vector<Finding>* findings) {
  Capacity out;
  Decoder in(value, "/free", findings);
  in.require("cpu_millicores", out.cpu_millicores, kCount);
  in.require("memory_bytes", out.memory_bytes, kCount);
  in.require("disk_bytes", out.disk_bytes, kCount);
  in.read("gpu_count", out.gpu_count, {0, 64});
  in.require("slots", out.slots, IntRange{0, 10'000});
  return out;
}

json::value encode(const Lease& lease) {
  return json::object{{"attempt_id", lease.attempt.text()},
                      {"job_id", lease.job.text()},
                      {"epoch", lease.epoch},
                      {"lost_after_ms", lease.lost_after_ms},
                      {"tenant", lease.tenant},
                      {"spec", encode(lease.spec)}};
}

Lease decode_lease(const json::value& value, std::vector<Finding>* findings) {
  Lease out;
  Decoder in(value, "", findings);
  require_id(in, "attempt_id", out.attempt);
  require_id(in, "job_id", out.job);
  in.require("epoch", out.epoch, kCount);
  in.require("lost_after_ms", out.lost_after_ms, kCount);
  in.read("tenant", out.tenant, TextLimit{0, 128});
  if (const json::value* spec = in.take("spec"); spec != nullptr) {
    out.spec = decode_job_spec(*spec, findings);
  } else {
    in.add("spec", "is required");
  }
  return out;
}

json::value encode(const Heartbeat& heartbeat) {
  json::array attempts;
  for (const HeartbeatAttempt& attempt : heartbeat.attempts) {
    attempts.push_back(json::object{{"attempt_id", attempt.attempt.text()},
                                    {"epoch", attempt.epoch},
                                    {"state", to_json(name(attempt.state))},
                                    {"progress", encode(attempt.progress)}});
  }
  return json::object{{"sequence", heartbeat.sequence},
                      {"free", encode(heartbeat.free)},
                      {"attempts", std::move(attempts)}};
}

Heartbeat decode_heartbeat(const json::value& value, std::vector<Finding>* findings) {
  Heartbeat out;
  Decoder in(value, "", findings);
  in.require("sequence", out.sequence, kCount);
  if (const json::value* free = in.take("free"); free != nullptr) {
    out.free = decode_capacity(*free, findings);
  } else {
    in.add("free", "is required");
  }
  in.read_each("attempts", kAttemptsMax, [&](Decoder& element) {
    HeartbeatAttempt attempt;
    require_id(element, "attempt_id", attempt.attempt);
    element.require("epoch", attempt.epoch, kCount);
    std::string state;
    element.require("state", state);
    if (Result<AttemptState> parsed = parse_attempt_state(state); parsed) {
      attempt.state = *parsed;
    } else if (!state.empty()) {
      element.add("state", parsed.error().message);
    }
    if (const json::value* progress = element.take("progress"); progress != nullptr) {
      attempt.progress = decode_progress(*progress, element.pointer_to("progress"), findings);
    }
    out.attempts.push_back(std::move(attempt));
  });
  return out;
}

json::value encode(const HeartbeatReply& reply) {
  json::array attempts;
  for (const HeartbeatReply::Item& item : reply.attempts) {
    attempts.push_back(
        json::object{{"attempt_id", item.attempt.text()}, {"action", to_json(name(item.action))}});
  }
  return json::object{{"interval_ms", reply.interval_ms}, {"attempts", std::move(attempts)}};
}

HeartbeatReply decode_heartbeat_reply(const json::value& value, std::vector<Finding>* findings) {
  HeartbeatReply out;
  Decoder in(value, "", findings);
  in.require("interval_ms", out.interval_ms, IntRange{1, 3'600'000});
  in.read_each("attempts", kAttemptsMax, [&](Decoder& element) {
    HeartbeatReply::Item item;
    require_id(element, "attempt_id", item.attempt);
    std::string action;
    element.read_word("action", action, {"keep", "cancel", "fence"});
    if (action == "cancel") item.action = LeaseAction::kCancel;
    if (action == "fence") item.action = LeaseAction::kFence;
    out.attempts.push_back(item);
  });
  return out;
}

}  // namespace bcai
