// SPDX-License-Identifier: Apache-2.0
#include "node/outcome.h"

#include <algorithm>
#include <cmath>

#include "base/clip.h"
#include "base/units.h"

namespace bcai::node {
namespace {

// What the decoder of AttemptResult and the coordinator's body limit take, with some room.
constexpr int64_t kOutputsBytesMax = int64_t{4} << 20;
constexpr size_t kOutputNameBytesMax = 256;
constexpr size_t kReasonBytesMax = 512;
constexpr size_t kDetailBytesMax = 1024;
constexpr size_t kListMax = 1000;
constexpr size_t kShapeMax = 32;
constexpr size_t kMetricsMax = 256;

void leave_out(AttemptResult* result, std::string_view name, std::string_view reason) {
  if (result->left_out.size() == kListMax) {
    result->left_out.push_back({"…", "more than can be listed"});
  }
  if (result->left_out.size() > kListMax) return;
  const std::string shown = clip_utf8(name, kOutputNameBytesMax);
  result->left_out.push_back({shown.empty() ? "?" : shown, clip_utf8(reason, kReasonBytesMax)});
}

std::string text_member(const json::object& object, std::string_view key, size_t bytes_max) {
  const json::value* found = object.if_contains(to_json(key));
  if (found == nullptr || !found->is_string()) return "";
  return clip_utf8(to_std(found->get_string()), bytes_max);
}

void read_values(const json::value& values, AttemptResult* result) {
  if (!values.is_object()) return;
  int64_t total = 0;
  for (const auto& member : values.get_object()) {
    const std::string_view name = to_std(member.key());
    const auto bytes = static_cast<int64_t>(to_text(member.value()).size() + name.size());
    if (name.size() > kOutputNameBytesMax) {
      leave_out(result, name, "its name is too long");
    } else if (total + bytes > kOutputsBytesMax) {
      leave_out(result, name,
                fmt::format("all outputs together may take {}; write it to outputs/",
                            format_bytes(kOutputsBytesMax)));
    } else {
      total += bytes;
      result->outputs[member.key()] = member.value();
    }
  }
}

void read_tensors(const json::value& tensors, AttemptResult* result) {
  if (!tensors.is_array()) return;
  for (const json::value& element : tensors.get_array()) {
    if (!element.is_object()) continue;
    TensorRef tensor;
    tensor.name = text_member(element.get_object(), "name", kOutputNameBytesMax);
    tensor.dtype = text_member(element.get_object(), "dtype", 16);
    const json::value* shape = element.get_object().if_contains("shape");
    bool whole = shape != nullptr && shape->is_array() && shape->get_array().size() <= kShapeMax &&
                 !tensor.name.empty() && !tensor.dtype.empty();
    if (whole) {
      for (const json::value& extent : shape->get_array()) {
        whole = whole && extent.is_int64() && extent.get_int64() >= 0;
        if (whole) tensor.shape.push_back(extent.get_int64());
      }
    }
    if (!whole) continue;
    if (result->tensors.size() < kListMax) {
      result->tensors.push_back(std::move(tensor));
    } else {
      leave_out(result, tensor.name,
                fmt::format("more than {} tensors; it is in outputs.safetensors", kListMax));
    }
  }
}

void read_left_out(const json::value& list, AttemptResult* result) {
  if (!list.is_array()) return;
  for (const json::value& element : list.get_array()) {
    if (!element.is_object()) continue;
    leave_out(result, text_member(element.get_object(), "name", kOutputNameBytesMax),
              text_member(element.get_object(), "reason", kReasonBytesMax));
  }
}

void read_error(const json::value& value, AttemptResult* result) {
  if (!value.is_object()) return;
  const json::object& object = value.get_object();
  result->error.type = text_member(object, "type", 256);
  result->error.message = text_member(object, "message", 16384);
  result->error.traceback = text_member(object, "traceback", 65536);
  const json::value* line = object.if_contains("line");
  if (line != nullptr && line->is_int64() && line->get_int64() > 0 &&
      line->get_int64() <= INT32_MAX) {
    result->error.line = static_cast<int>(line->get_int64());
  }
}

Outcome outcome_of(sandbox::Outcome outcome) {
  switch (outcome) {
    case sandbox::Outcome::kFinished: return Outcome::kFinished;
    case sandbox::Outcome::kOutOfMemory: return Outcome::kOutOfMemory;
    case sandbox::Outcome::kTimedOut: return Outcome::kTimedOut;
    case sandbox::Outcome::kOverCpu: return Outcome::kOverCpu;
    case sandbox::Outcome::kOverOutput: return Outcome::kOverOutput;
    case sandbox::Outcome::kOverProcesses: return Outcome::kOverProcesses;
    case sandbox::Outcome::kCancelled: return Outcome::kCancelled;
    case sandbox::Outcome::kPolicyViolation: return Outcome::kPolicyViolation;
    case sandbox::Outcome::kNodeFailure: return Outcome::kNodeFailure;
  }
  return Outcome::kNodeFailure;
}

// The traceback's last line, as the job tells it; else what the exit code says.
std::string detail_of_finish(const AttemptResult& result) {
  if (result.exit_code == 0) return "finished";
  const JobError& job_error = result.error;
  if (job_error.type.empty()) return fmt::format("ended with exit code {}", result.exit_code);
  const std::string first_line = job_error.message.substr(0, job_error.message.find('\n'));
  std::string text = job_error.type;
  if (!first_line.empty()) text += ": " + first_line;
  if (job_error.line > 0) text += fmt::format(" (line {})", job_error.line);
  return text;
}

std::string detail_of(const JobSpec& spec, const AttemptResult& result) {
  switch (result.outcome) {
    case Outcome::kFinished: return detail_of_finish(result);
    case Outcome::kOutOfMemory:
      return fmt::format("used more than {} of memory (hardware.memory)",
                         format_bytes(spec.hardware.memory_bytes));
    case Outcome::kTimedOut:
      return fmt::format("ran longer than {} (timeout)",
                         format_duration(std::chrono::seconds(spec.timeout_s)));
    case Outcome::kOverCpu:
      return fmt::format("used more than {} of CPU time (cpu_seconds_max)",
                         format_duration(std::chrono::seconds(spec.cpu_seconds_max)));
    case Outcome::kOverOutput:
      return fmt::format("wrote far more than {} of output (output_bytes_max)",
                         format_bytes(spec.output_bytes_max));
    case Outcome::kOverProcesses:
      return fmt::format("started more than {} processes and threads (processes_max)",
                         spec.processes_max);
    case Outcome::kCancelled: return "cancelled";
    case Outcome::kEnvironmentFailed: return "its environment could not be made";
    case Outcome::kPolicyViolation: return "tried what the sandbox does not allow";
    case Outcome::kNodeFailure: return "the node could not run it";
  }
  return "";
}

bool set_progress(const json::object& message, Progress* progress) {
  bool changed = false;
  const json::value* fraction = message.if_contains("fraction");
  if (fraction != nullptr && fraction->is_number()) {
    const double value = fraction->to_number<double>();
    if (value >= 0 && value <= 1 && value != progress->fraction) {
      progress->fraction = value;
      changed = true;
    }
  }
  if (message.contains("message")) {
    std::string text = text_member(message, "message", 256);
    changed = changed || text != progress->message;
    progress->message = std::move(text);
  }
  return changed;
}

bool set_metric(const json::object& message, Progress* progress) {
  const std::string name = text_member(message, "name", 128);
  const json::value* value = message.if_contains("value");
  if (name.empty() || value == nullptr || !value->is_number()) return false;
  const double number = value->to_number<double>();
  const auto known = progress->metrics.find(name);
  if (!std::isfinite(number) || (known != progress->metrics.end() && known->second == number) ||
      (known == progress->metrics.end() && progress->metrics.size() >= kMetricsMax)) {
    return false;
  }
  progress->metrics[name] = number;
  return true;
}

}  // namespace

void read_outputs(std::string_view outputs_json, AttemptResult* result) {
  if (outputs_json.empty()) return;
  Result<json::value> parsed = parse_json(outputs_json);
  if (!parsed || !parsed->is_object()) {
    leave_out(result, "outputs",
              "outputs.json cannot be read: " +
                  (parsed ? std::string("it is no object") : parsed.error().message));
    return;
  }
  const json::object& object = parsed->get_object();
  const auto member = [&](std::string_view key) {
    const json::value* found = object.if_contains(to_json(key));
    return found == nullptr ? json::value() : *found;
  };
  read_left_out(member("left_out"), result);
  read_values(member("outputs"), result);
  read_tensors(member("tensors"), result);
  read_error(member("error"), result);
}

AttemptResult make_result(const JobSpec& spec, const sandbox::Report& report,
                          const AttemptFacts& facts) {
  AttemptResult result;
  result.outcome = outcome_of(report.outcome);
  result.exit_code = std::clamp(report.exit_code, 0, 255);
  result.log_bytes = facts.log_bytes;
  result.timings = {.staging_ms = std::max<int64_t>(0, facts.staging_ms),
                    .start_ms = std::max<int64_t>(0, report.start_ms),
                    .run_ms = std::max<int64_t>(0, report.run_ms),
                    .collect_ms = std::max<int64_t>(0, report.collect_ms),
                    .start = std::string(name(report.start))};
  if (!report.runtime.empty()) {
    const bool has_own = !report.self_test.empty();
    result.sandbox = {.security_level = spec.security_level,
                      .runtime = clip_utf8(report.runtime, 128),
                      .self_test = clip_utf8(has_own ? report.self_test : facts.self_test, 128)};
  }
  result.usage = {.wall_ms = report.usage.wall_ms,
                  .cpu_ms = report.usage.cpu_ms,
                  .memory_peak_bytes = report.usage.memory_peak_bytes,
                  .processes_peak = report.usage.processes_peak,
                  .output_bytes = report.usage.output_bytes,
                  .output_bytes_dropped = report.usage.output_bytes_dropped};
  for (const sandbox::LeftOut& item : report.left_out) leave_out(&result, item.name, item.reason);
  for (const sandbox::Artifact& artifact : report.artifacts) {
    if (artifact.name.empty() || clip_utf8(artifact.name, 1024) != artifact.name) {
      leave_out(&result, artifact.name, "its name is too long or no UTF-8");
    } else {
      result.artifacts.push_back({artifact.name, artifact.sha256, artifact.bytes});
    }
  }
  read_outputs(report.outputs_json, &result);
  std::string detail = report.detail;
  const bool told_by_job = result.outcome == Outcome::kFinished && !result.error.type.empty();
  if (detail.empty() || told_by_job) detail = detail_of(spec, result);
  if (result.outcome == Outcome::kCancelled && facts.ended == EndReason::kLeaseLost) {
    result.outcome = Outcome::kNodeFailure;
    detail = "the node could not reach the coordinator and ended the attempt";
  }
  if (result.outcome == Outcome::kCancelled && facts.ended == EndReason::kStopped) {
    result.outcome = Outcome::kNodeFailure;
    detail = "the node was stopped";
  }
  result.detail = clip_utf8(detail, kDetailBytesMax);
  return result;
}

AttemptResult make_node_failure(std::string_view detail, int64_t log_bytes) {
  AttemptResult result;
  result.outcome = Outcome::kNodeFailure;
  result.detail = clip_utf8(detail, kDetailBytesMax);
  result.log_bytes = log_bytes;
  return result;
}

AttemptResult make_environment_failure(std::string_view why, const AttemptFacts& facts) {
  AttemptResult result;
  result.outcome = Outcome::kEnvironmentFailed;
  result.detail = clip_utf8(why, kDetailBytesMax);
  result.log_bytes = facts.log_bytes;
  result.timings.staging_ms = std::max<int64_t>(0, facts.staging_ms);
  return result;
}

bool apply_message(std::string_view line, Progress* progress) {
  Result<json::value> parsed = parse_json(line);
  if (!parsed || !parsed->is_object()) return false;
  const json::object& object = parsed->get_object();
  bool changed = false;
  if (const json::value* found = object.if_contains("progress"); found && found->is_object()) {
    changed = set_progress(found->get_object(), progress);
  }
  if (const json::value* found = object.if_contains("metric"); found && found->is_object()) {
    changed = set_metric(found->get_object(), progress) || changed;
  }
  return changed;
}

}  // namespace bcai::node
