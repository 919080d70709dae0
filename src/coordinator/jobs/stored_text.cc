// SPDX-License-Identifier: Apache-2.0
#include "coordinator/jobs/stored_text.h"

#include <map>
#include <mutex>
#include <utility>

#include "base/crypto.h"
#include "coordinator/store/row.h"

namespace bcai::coordinator {
namespace {

constexpr size_t kCapabilitiesKept = 2048;

Error unreadable(std::string_view why) {
  return error(ErrorCode::kDataLoss, "what the database holds cannot be read: {}", why);
}

Result<json::value> parse_stored(std::string_view text) {
  Result<json::value> parsed = parse_json(text);
  if (!parsed) return unreadable(parsed.error().message);
  if (!parsed->is_object()) return unreadable("expected an object");
  return parsed;
}

// The reader of an encoding, with its findings checked.
template <typename Read>
auto decode_stored(std::string_view text, Read read)
    -> Result<decltype(read(json::value(), nullptr))> {
  BCAI_TRY_ASSIGN(const json::value value, parse_stored(text));
  std::vector<Finding> findings;
  auto decoded = read(value, &findings);
  if (!findings.empty()) return unreadable(findings_text(findings));
  return decoded;
}

}  // namespace

Result<json::value> json_of(std::string_view text) {
  if (text.empty()) return json::value();
  return parse_stored(text);
}

std::string spec_text(const JobSpec& spec) { return to_text(encode(spec, false)); }

Result<JobSpec> spec_of(std::string_view text) {
  // A specification without code does not decode.
  BCAI_TRY_ASSIGN(JobSpec spec, spec_of(text, "#"));
  spec.code.clear();
  return spec;
}

Result<JobSpec> spec_of(std::string_view text, std::string_view code) {
  BCAI_TRY_ASSIGN(json::value value, parse_stored(text));
  if (!value.as_object().contains("program")) value.as_object()["code"] = "#";
  std::vector<Finding> by_later_rules;  // it was admitted by those of its day
  JobSpec spec = decode_job_spec(value, &by_later_rules);
  spec.code = code;
  return spec;
}

std::string needs_text(const JobSpec& spec) {
  json::value whole = encode(spec, false);
  json::object needs;
  for (const char* key : {"hardware", "requirements"}) {
    needs[key] = std::move(whole.as_object()[key]);
  }
  if (spec.replicas > 1) needs["replicas"] = spec.replicas;
  if (!spec.python_version.empty()) needs["python_version"] = spec.python_version;
  if (!spec.network_allow.empty()) needs["network"] = std::move(whole.as_object()["network"]);
  if (spec.security_level != "standard") needs["security_level"] = spec.security_level;
  json::array from_source;  // that there is something decides, too
  for (const std::string& name : spec.build_from_source) from_source.emplace_back(name);
  if (spec.environment_lock) {
    packaging::Lock lock = *spec.environment_lock;
    for (const packaging::LockedSource& source : lock.sources)
      from_source.emplace_back(source.name);
    lock.packages.clear();  // what it stands on decides where it goes
    lock.sources.clear();
    needs["environment_lock"] = packaging::encode(lock);
  }
  if (!from_source.empty()) needs["build_from_source"] = std::move(from_source);
  return to_text(needs);
}

int64_t shape_of(std::string_view needs) {
  const Sha256 digest = Sha256::of(needs);
  uint64_t shape = 0;
  for (size_t i = 0; i < 8; ++i) shape = shape << 8 | digest.bytes[i];
  return static_cast<int64_t>(shape);
}

Result<JobSpec> needs_of(std::string_view text) { return spec_of(text); }

Result<Progress> progress_of(std::string_view text) {
  // As a heartbeat carries it, which is how the protocol reads it.
  Progress progress;
  BCAI_TRY_ASSIGN(const json::value value, parse_stored(text));
  const json::object& object = value.as_object();
  if (const auto* fraction = object.if_contains("fraction"); fraction && fraction->is_number()) {
    progress.fraction = fraction->to_number<double>();
  }
  if (const auto* message = object.if_contains("message"); message && message->is_string()) {
    progress.message = to_std(message->get_string());
  }
  if (const auto* metrics = object.if_contains("metrics"); metrics && metrics->is_object()) {
    for (const auto& member : metrics->get_object()) {
      if (!member.value().is_number()) continue;
      progress.metrics[std::string(to_std(member.key()))] = member.value().to_number<double>();
    }
  }
  return progress;
}

Result<Capacity> capacity_of(std::string_view text) { return decode_stored(text, decode_capacity); }

Result<AttemptResult> result_of(std::string_view text) {
  return decode_stored(text, decode_attempt_result);
}

Result<std::optional<Verification>> verification_of(std::string_view text) {
  if (text.empty()) return std::optional<Verification>();
  BCAI_TRY_ASSIGN(Verification verification, decode_stored(text, decode_verification));
  return std::optional(std::move(verification));
}

Result<std::shared_ptr<const Capabilities>> capabilities_at(const store::Statement& row,
                                                            int digest_column, int text_column) {
  static std::mutex mutex;
  static std::map<Sha256, std::shared_ptr<const Capabilities>> kept;
  const auto digest = store::bytes_at<Sha256>(row, digest_column);
  {
    std::lock_guard hold(mutex);
    if (const auto found = kept.find(digest); found != kept.end()) return found->second;
  }
  BCAI_TRY_ASSIGN(Capabilities capabilities,
                  decode_stored(row.text(text_column), decode_capabilities));
  auto decoded = std::make_shared<const Capabilities>(std::move(capabilities));
  std::lock_guard hold(mutex);
  if (kept.size() >= kCapabilitiesKept) kept.clear();
  kept[digest] = decoded;
  return decoded;
}

}  // namespace bcai::coordinator
