// SPDX-License-Identifier: Apache-2.0
#include "protocol/result.h"

#include <set>

namespace bcai {
namespace {

std::optional<Sha256> read_digest(Decoder& in, std::string_view key) {
  std::string text;
  in.read(key, text);
  if (text.empty()) return std::nullopt;
  if (Result<Sha256> digest = Sha256::parse(text); digest) return *digest;
  in.add(key, "expected 64 hexadecimal digits");
  return std::nullopt;
}

void read_usage(Decoder& in, Usage& usage) {
  const json::value* value = in.take("usage");
  if (value == nullptr) return;
  Decoder member(*value, in.pointer_to("usage"), in.findings());
  member.read("wall_ms", usage.wall_ms, kCount);
  member.read("cpu_ms", usage.cpu_ms, kCount);
  member.read("memory_peak_bytes", usage.memory_peak_bytes, kCount);
  member.read("processes_peak", usage.processes_peak, kCount);
  member.read("output_bytes", usage.output_bytes, kCount);
  member.read("output_bytes_dropped", usage.output_bytes_dropped, kCount);
}

void read_timings(Decoder& in, Timings& timings) {
  const json::value* value = in.take("timings");
  if (value == nullptr) return;
  Decoder member(*value, in.pointer_to("timings"), in.findings());
  member.read("staging_ms", timings.staging_ms, kCount);
  member.read("start_ms", timings.start_ms, kCount);
  member.read("run_ms", timings.run_ms, kCount);
  member.read("collect_ms", timings.collect_ms, kCount);
  member.read("start", timings.start, TextLimit{0, 16});
  if (!timings.start.empty() && timings.start != "cold" && timings.start != "forked" &&
      timings.start != "warm") {
    member.add("start", fmt::format("expected cold, forked or warm, found {}", timings.start));
    timings.start.clear();
  }
}

TensorRef read_tensor(Decoder& element) {
  TensorRef tensor;
  element.require("name", tensor.name);
  element.require("dtype", tensor.dtype, TextLimit{1, 16});
  if (const json::value* shape = element.take("shape"); shape != nullptr && shape->is_array()) {
    for (const json::value& extent : shape->get_array()) {
      if (!extent.is_int64() || extent.get_int64() < 0) {
        element.add("shape", "expected whole numbers of at least 0");
        break;
      }
      tensor.shape.push_back(extent.get_int64());
    }
  }
  tensor.sha256 = read_digest(element, "sha256");
  return tensor;
}

void read_sandbox(Decoder& in, SandboxUsed& sandbox) {
  const json::value* value = in.take("sandbox");
  if (value == nullptr) return;
  Decoder member(*value, in.pointer_to("sandbox"), in.findings());
  member.read("security_level", sandbox.security_level, {.bytes_max = 16});
  member.read("runtime", sandbox.runtime, {.bytes_max = 128});
  member.read("self_test", sandbox.self_test, {.bytes_max = 128});
}

void read_error(Decoder& in, JobError& job_error) {
  const json::value* value = in.take("error");
  if (value == nullptr) return;
  Decoder member(*value, in.pointer_to("error"), in.findings());
  member.read("type", job_error.type, {.bytes_max = 256});
  member.read("message", job_error.message, {.bytes_max = 16384});
  member.read("traceback", job_error.traceback, {.bytes_max = 65536});
  member.read("line", job_error.line, {0, INT32_MAX});
}

std::optional<AuditHead> read_audit(Decoder& in) {
  const json::value* value = in.take("audit");
  if (value == nullptr) return std::nullopt;
  Decoder member(*value, in.pointer_to("audit"), in.findings());
  AuditHead head;
  member.require("seq", head.seq, IntRange{1, INT64_MAX});
  const auto hash = read_digest(member, "hash");
  if (!hash) {
    member.add("hash", "is required");
    return std::nullopt;
  }
  head.hash = *hash;
  return head;
}

json::object encode(const Timings& timings) {
  json::object out{{"staging_ms", timings.staging_ms},
                   {"start_ms", timings.start_ms},
                   {"run_ms", timings.run_ms},
                   {"collect_ms", timings.collect_ms}};
  if (!timings.start.empty()) out["start"] = timings.start;
  return out;
}

}  // namespace

json::value encode(const ArtifactRef& artifact) {
  return json::object{
      {"name", artifact.name}, {"sha256", artifact.sha256.text()}, {"bytes", artifact.bytes}};
}

json::value encode(const Usage& usage) {
  return json::object{{"wall_ms", usage.wall_ms},
                      {"cpu_ms", usage.cpu_ms},
                      {"memory_peak_bytes", usage.memory_peak_bytes},
                      {"processes_peak", usage.processes_peak},
                      {"output_bytes", usage.output_bytes},
                      {"output_bytes_dropped", usage.output_bytes_dropped}};
}

json::value encode(const AttemptResult& result) {
  json::array tensors;
  for (const TensorRef& tensor : result.tensors) {
    json::object one{
        {"name", tensor.name}, {"dtype", tensor.dtype}, {"shape", json::value_from(tensor.shape)}};
    if (tensor.sha256) one["sha256"] = tensor.sha256->text();
    tensors.push_back(std::move(one));
  }
  json::array left_out;
  for (const LeftOut& item : result.left_out) {
    left_out.push_back(json::object{{"name", item.name}, {"reason", item.reason}});
  }
  json::array artifacts;
  for (const ArtifactRef& artifact : result.artifacts) artifacts.push_back(encode(artifact));
  json::object out{{"outcome", to_json(name(result.outcome))},
                   {"exit_code", result.exit_code},
                   {"detail", result.detail},
                   {"outputs", result.outputs},
                   {"tensors", std::move(tensors)},
                   {"left_out", std::move(left_out)},
                   {"artifacts", std::move(artifacts)},
                   {"error", nullptr},
                   {"usage", encode(result.usage)},
                   {"timings", encode(result.timings)},
                   {"progress", encode(result.progress)},
                   {"log_bytes", result.log_bytes}};
  if (!result.sandbox.security_level.empty()) {
    json::object sandbox{{"security_level", result.sandbox.security_level},
                         {"runtime", result.sandbox.runtime}};
    if (!result.sandbox.self_test.empty()) sandbox["self_test"] = result.sandbox.self_test;
    out["sandbox"] = std::move(sandbox);
  }
  if (result.environment_lock)
    out["environment_lock"] = packaging::encode(*result.environment_lock);
  if (result.audit) {
    out["audit"] = json::object{{"seq", result.audit->seq}, {"hash", result.audit->hash.text()}};
  }
  if (result.commitment) out["commitment"] = result.commitment->text();
  if (!result.error.type.empty()) {
    out["error"] = json::object{{"type", result.error.type},
                                {"message", result.error.message},
                                {"traceback", result.error.traceback},
                                {"line", result.error.line}};
  }
  return out;
}

AttemptResult decode_attempt_result(const json::value& value, std::vector<Finding>* findings) {
  AttemptResult result;
  Decoder in(value, "", findings);
  std::string outcome;
  in.require("outcome", outcome);
  if (Result<Outcome> parsed = parse_outcome(outcome); parsed) {
    result.outcome = *parsed;
  } else if (!outcome.empty()) {
    in.add("outcome", parsed.error().message);
  }
  in.read("exit_code", result.exit_code, {0, 255});
  in.read("detail", result.detail, {.bytes_max = 1024});
  if (const json::value* outputs = in.take("outputs"); outputs != nullptr) {
    if (outputs->is_object()) {
      result.outputs = outputs->get_object();
    } else {
      in.add("outputs", "expected an object");
    }
  }
  in.read_each("tensors", 10'000,
               [&](Decoder& element) { result.tensors.push_back(read_tensor(element)); });
  in.read_each("left_out", 10'000, [&](Decoder& element) {
    LeftOut item;
    element.require("name", item.name);
    element.require("reason", item.reason);
    result.left_out.push_back(std::move(item));
  });
  std::set<std::string> artifact_names;
  in.read_each("artifacts", 10'000, [&](Decoder& element) {
    ArtifactRef artifact;
    std::string sha256;
    element.require("name", artifact.name, TextLimit{1, 1024});
    element.require("sha256", sha256);
    element.require("bytes", artifact.bytes, kCount);
    if (Result<Sha256> digest = Sha256::parse(sha256); digest) {
      artifact.sha256 = *digest;
    } else {
      element.add("sha256", digest.error().message);
    }
    if (!artifact_names.insert(artifact.name).second) element.add("name", "is given twice");
    result.artifacts.push_back(std::move(artifact));
  });
  result.commitment = read_digest(in, "commitment");
  if (const json::value* lock = in.take("environment_lock"); lock != nullptr) {
    result.environment_lock =
        packaging::decode_lock(*lock, in.pointer_to("environment_lock"), findings);
  }
  result.audit = read_audit(in);
  read_error(in, result.error);
  read_usage(in, result.usage);
  read_timings(in, result.timings);
  read_sandbox(in, result.sandbox);
  if (const json::value* progress = in.take("progress"); progress != nullptr) {
    result.progress = decode_progress(*progress, in.pointer_to("progress"), findings);
  }
  in.read("log_bytes", result.log_bytes, kCount);
  return result;
}

}  // namespace bcai
