// SPDX-License-Identifier: Apache-2.0
#include "node/audit_record.h"

#include "base/ascii.h"
#include "base/log.h"
#include "packaging/lock.h"

namespace bcai::node {
namespace {

constexpr size_t kTextBytesMax = 512;
constexpr size_t kNameBytesMax = 256;
constexpr size_t kArtifactsMax = 500;

json::object limits_of(const JobSpec& spec) {
  return {{"memory_bytes", spec.hardware.memory_bytes},
          {"disk_bytes", spec.hardware.disk_bytes},
          {"cpu_millicores", spec.hardware.cpu_millicores},
          {"wall_s", spec.timeout_s},
          {"cpu_s", spec.cpu_seconds_max},
          {"processes", spec.processes_max},
          {"output_bytes", spec.output_bytes_max}};
}

json::object timings_of(const Timings& timings) {
  return {{"staging_ms", timings.staging_ms},
          {"start_ms", timings.start_ms},
          {"run_ms", timings.run_ms},
          {"collect_ms", timings.collect_ms}};
}

json::object outputs_of(const sandbox::Report& report) {
  json::array files;
  for (const sandbox::Artifact& artifact : report.artifacts) {
    if (files.size() == kArtifactsMax) break;
    files.push_back(json::object{{"name", audit::escape(artifact.name, kNameBytesMax)},
                                 {"sha256", artifact.sha256.text()},
                                 {"bytes", artifact.bytes}});
  }
  json::object out{{"files", std::move(files)}};
  if (report.artifacts.size() > kArtifactsMax) {
    out["files_unlisted"] = static_cast<int64_t>(report.artifacts.size() - kArtifactsMax);
  }
  if (!report.outputs_json.empty()) {
    out["values_sha256"] = Sha256::of(report.outputs_json).text();
  }
  return out;
}

// Null: they were not counted.
json::value denied_of(const sandbox::Report& report) {
  if (!report.denied_calls) return nullptr;
  json::object out;
  for (const auto& [call, count] : *report.denied_calls) out[call] = count;
  return out;
}

// The code by the digest of its bytes; with the specification's digest nothing of it is open.
json::object code_of(const JobSpec& spec) {
  if (!spec.program.empty()) return {{"program", audit::escape(spec.program, kNameBytesMax)}};
  return {{"filename", audit::escape(spec.filename, kNameBytesMax)},
          {"sha256", Sha256::of(spec.code).text()},
          {"bytes", static_cast<int64_t>(spec.code.size())}};
}

// The values as they are and as the name of a host has them.
struct WithLowerCase {
  Secrets values;

  explicit WithLowerCase(const Secrets& secrets) {
    values.reserve(2 * secrets.size());  // what grows leaves copies behind
    values.insert(values.end(), secrets.begin(), secrets.end());
    for (const auto& [name, value] : secrets) {
      for (char& c : values.emplace_back(name, value).second) c = lower(c);
    }
  }
  WithLowerCase(const WithLowerCase&) = delete;
  WithLowerCase& operator=(const WithLowerCase&) = delete;
  ~WithLowerCase() { wipe(&values); }
};

}  // namespace

Connections::Connections(const Secrets& secrets) : mask_(WithLowerCase(secrets).values) {}

net::ProxyConnection Connections::add(WallTime when, net::ProxyConnection connection) {
  connection.target.host = mask_.text(connection.target.host);
  connection.refusal = mask_.text(connection.refusal);
  if (listed_.size() == kListedMax) {
    unlisted_ += 1;
    unlisted_bytes_ += connection.bytes_sent + connection.bytes_received;
    return connection;
  }
  json::object one{{"time", format_time(when)},
                   {"target", audit::escape(net::to_text(connection.target), kNameBytesMax)},
                   {"address", connection.address},
                   {"bytes_sent", connection.bytes_sent},
                   {"bytes_received", connection.bytes_received},
                   {"verdict", connection.refusal.empty()   ? "allowed"
                               : connection.address.empty() ? "refused"
                                                            : "ended"}};
  if (!connection.refusal.empty()) {
    one["reason"] = audit::escape(connection.refusal, kTextBytesMax);
  }
  listed_.push_back(std::move(one));
  return connection;
}

json::object Connections::encode(const std::vector<std::string>& asked_for) const {
  json::array allow;
  for (const std::string& host : asked_for) allow.emplace_back(audit::escape(host, kNameBytesMax));
  json::object out{{"allow", std::move(allow)}, {"connections", listed_}};
  if (unlisted_ > 0) {
    out["connections_unlisted"] = unlisted_;
    out["bytes_unlisted"] = unlisted_bytes_;
  }
  return out;
}

std::string self_test_of(const AuditTo& to) {
  const json::value* id = to.sandbox.if_contains("self_test");
  return id != nullptr && id->is_string() ? std::string(id->get_string()) : std::string();
}

json::object attempt_record(const AuditTo& to, const AttemptFactsOfAudit& facts,
                            const AttemptResult& result) {
  const Lease& lease = facts.lease;
  const JobSpec& spec = lease.spec;
  json::object out{{"job", lease.job.text()},
                   {"attempt", lease.attempt.text()},
                   {"epoch", lease.epoch},
                   {"tenant", audit::escape(lease.tenant, kNameBytesMax)},
                   {"specification_sha256", digest(spec).text()},
                   {"code", code_of(spec)},
                   {"limits", limits_of(spec)},
                   {"outcome", to_json(name(result.outcome))}};
  if (result.environment_lock) {
    out["environment_sha256"] = packaging::digest(*result.environment_lock).text();
  }
  if (facts.report == nullptr) {
    out["ran"] = false;
    out["cause"] = audit::escape(result.detail, kTextBytesMax);
    return out;
  }
  const sandbox::Report& report = *facts.report;
  json::object sandbox = to.sandbox;
  sandbox["level"] = spec.security_level;
  if (!report.runtime.empty()) sandbox["runtime"] = report.runtime;
  if (!report.self_test.empty())
    sandbox["self_test"] = audit::escape(report.self_test, kTextBytesMax);
  sandbox["start"] = to_json(name(report.start));
  sandbox["uid"] = report.uid;
  out["ran"] = true;
  out["cause"] = audit::escape(report.detail, kTextBytesMax);
  out["exit_code"] = report.exit_code;
  out["sandbox"] = std::move(sandbox);
  out["usage"] = encode(result.usage);
  out["denied_calls"] = denied_of(report);
  out["outputs"] = outputs_of(report);
  out["network"] = facts.connections.encode(spec.network_allow);
  out["timings"] = timings_of(result.timings);
  return out;
}

void write_attempt_record(const AuditTo& to, const AttemptFactsOfAudit& facts,
                          AttemptResult* result) {
  if (to.log == nullptr) return;
  const auto head = to.log->append("attempt", attempt_record(to, facts, *result));
  if (head) {
    result->audit = AuditHead{.seq = head->seq, .hash = head->hash};
    return;
  }
  log_event(LogLevel::kError, "node.audit_failed",
            {{"attempt", facts.lease.attempt.text()}, {"why", head.error().message}});
}

}  // namespace bcai::node
