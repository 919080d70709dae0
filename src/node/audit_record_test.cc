// SPDX-License-Identifier: Apache-2.0
#include "node/audit_record.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "audit/verify.h"

namespace bcai::node {
namespace {

Lease lease() {
  Lease lease;
  lease.tenant = "key_one";
  lease.spec.code = "print(1)";
  lease.spec.filename = "a\nb.py";
  lease.spec.network_allow = {"pypi.org:443"};
  return lease;
}

net::ProxyConnection connection(std::string host, std::string address, std::string refusal) {
  return {.target = {.host = std::move(host), .port = 443},
          .address = std::move(address),
          .bytes_sent = 3,
          .bytes_received = 4,
          .refusal = std::move(refusal)};
}

TEST(AuditRecord, ConnectionsHaveAVerdictAndAnEnd) {
  Connections connections;
  connections.add({}, connection("pypi.org", "192.0.2.7", ""));
  connections.add({}, connection("\x1b[31m", "", "not\nallowed"));
  connections.add({}, connection("pypi.org", "192.0.2.7", "more than 3 bytes in all"));
  for (size_t i = 0; i < Connections::kListedMax; i++) {
    connections.add({}, connection(std::string(5000, 'x'), "", std::string(5000, '\n')));
  }
  const json::object told = connections.encode({"pypi.org:443"});
  const json::array& list = told.at("connections").as_array();
  ASSERT_EQ(list.size(), Connections::kListedMax);
  EXPECT_EQ(list[0].at("verdict").as_string(), "allowed");
  EXPECT_EQ(list[0].at("target").as_string(), "pypi.org:443");
  EXPECT_FALSE(list[0].as_object().contains("reason"));
  EXPECT_EQ(list[1].at("verdict").as_string(), "refused");
  EXPECT_EQ(list[1].at("target").as_string(), "\\x1b[31m:443");
  EXPECT_EQ(list[1].at("reason").as_string(), "not\\x0aallowed");
  EXPECT_EQ(list[2].at("verdict").as_string(), "ended");
  EXPECT_EQ(told.at("connections_unlisted").as_int64(), 3);
  EXPECT_EQ(told.at("bytes_unlisted").as_int64(), 21);
  EXPECT_LT(to_text(told).size(), audit::kLineBytesMax / 2);
}

TEST(AuditRecord, ConnectionsTellNoSecret) {
  const std::string jwt = "eyJhbGciOi.Zm9vYmFy-_x";
  Connections connections(Secrets{{"A", "Hunter22"}, {"B", "Ab/Cd3fGh"}, {"C", jwt}, {"D", "k"}});
  const auto told = [&](const std::string& host, const std::string& refusal) {
    const net::ProxyConnection shown = connections.add({}, connection(host, "", refusal));
    const std::string recorded =
        to_text(connections.encode({}).at("connections").as_array().back());
    EXPECT_NE(recorded.find('"' + net::to_text(shown.target) + '"'), std::string::npos) << recorded;
    EXPECT_NE(recorded.find(shown.refusal), std::string::npos) << recorded;
    return net::to_text(shown.target) + " " + shown.refusal;
  };
  EXPECT_EQ(told("hunter22.example.com", "not allowed"), "***.example.com:443 not allowed");
  EXPECT_EQ(told("x.Hunter22", "of hunter22, Hunter22"), "x.***:443 of ***, ***");
  EXPECT_EQ(told("eyjhbgcioi.zm9vymfy-_x.example.com", ""), "***.example.com:443 ");
  // What a URL leaves of a value as its host: the piece before the slash, if it is long enough.
  EXPECT_EQ(
      Connections(Secrets{{"B", "Abcd/Efgh"}}).add({}, connection("user.abcd", "", "")).target.host,
      "user.***");
  EXPECT_EQ(told("pypi.org", "more than 3 bytes in all"), "pypi.org:443 more than 3 bytes in all");
}

TEST(AuditRecord, FactsOfTheSandboxAndNoWordOfTheJob) {
  sandbox::Report report;
  report.outcome = sandbox::Outcome::kFinished;
  report.detail = "exited with code 1";
  report.exit_code = 1;
  report.uid = 300'001;
  report.denied_calls = {{"mount", 2}};
  report.outputs_json = R"({"outputs":{"x":"said by the job"}})";
  report.artifacts.push_back({.name = "outputs/\xff", .path = {}, .sha256 = {}, .bytes = 3});
  AttemptResult result;
  result.outcome = Outcome::kFinished;
  result.detail = "ValueError: said by the job";
  result.error.message = "said by the job";
  const Connections connections;
  const AuditTo to{.log = nullptr, .sandbox = {{"level", "standard"}}};
  const json::object record =
      attempt_record(to, {.lease = lease(), .report = &report, .connections = connections}, result);
  EXPECT_EQ(record.at("cause").as_string(), "exited with code 1");
  EXPECT_EQ(record.at("denied_calls").at("mount").as_int64(), 2);
  report.denied_calls.reset();
  const json::object uncounted =
      attempt_record(to, {.lease = lease(), .report = &report, .connections = connections}, result);
  EXPECT_TRUE(uncounted.at("denied_calls").is_null());
  EXPECT_EQ(record.at("sandbox").at("uid").to_number<int64_t>(), 300'001);
  EXPECT_EQ(record.at("code").at("filename").as_string(), "a\\x0ab.py");
  EXPECT_EQ(record.at("code").at("sha256").as_string(), Sha256::of("print(1)").text());
  EXPECT_EQ(record.at("outputs").at("files").as_array()[0].at("name").as_string(), "outputs/\\xff");
  EXPECT_EQ(to_text(record).find("said by the job"), std::string::npos);
}

TEST(AuditRecord, TheLargestFits) {
  sandbox::Report report;
  report.detail = std::string(10'000, '\n');
  for (int i = 0; i < 2000; i++) {
    report.artifacts.push_back(
        {.name = std::string(1000, '\x01'), .path = {}, .sha256 = {}, .bytes = 3});
  }
  Connections connections;
  for (int i = 0; i < 2000; i++) {
    connections.add({}, connection(std::string(5000, '\n'), "", std::string(5000, '\n')));
  }
  Lease large = lease();
  large.spec.network_allow.assign(64, std::string(300, 'h'));
  const json::object record = attempt_record(
      {}, {.lease = large, .report = &report, .connections = connections}, AttemptResult{});
  EXPECT_EQ(record.at("outputs").at("files_unlisted").as_int64(), 1500);
  EXPECT_TRUE(audit::make_line({}, {}, "attempt", record));
}

TEST(AuditRecord, TheResultCarriesTheHead) {
  std::string directory = ::testing::TempDir() + "audit_record_XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const auto log = audit::Log::open(directory);
  ASSERT_TRUE(log);
  AttemptResult result;
  const AuditTo to{.log = log->get(), .sandbox = {}};
  write_attempt_record(to, {.lease = lease(), .connections = {}}, &result);
  ASSERT_TRUE(result.audit);
  EXPECT_EQ(result.audit->hash, (*log)->head().hash);
  std::vector<Finding> findings;
  const AttemptResult read = decode_attempt_result(encode(result), &findings);
  EXPECT_TRUE(findings.empty()) << findings_text(findings);
  ASSERT_TRUE(read.audit);
  EXPECT_EQ(read.audit->seq, 1);
  EXPECT_EQ(read.audit->hash, result.audit->hash);
  ASSERT_TRUE(audit::verify(directory));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace bcai::node
