// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "coordinator/test_network.h"

namespace bcai::coordinator {
namespace {

std::string path_of(const std::string& data) { return "/v1/artifacts/" + Sha256::of(data).text(); }

Answer head(Caller& caller, const std::string& target) {
  return caller.send({.method = "HEAD", .target = target});
}

Answer put_part(Caller& caller, const std::string& data, size_t from, size_t count) {
  return caller.put(
      path_of(data), data.substr(from, count),
      {{"Content-Range", fmt::format("bytes {}-{}/{}", from, from + count - 1, data.size())}});
}

TEST(ArtifactsApi, GoUpInPartsAndDownInRanges) {
  TestNetwork network;
  Caller member = network.member();
  std::string data;
  for (int i = 0; i < 10'000; ++i) data += std::to_string(i);
  const std::string path = path_of(data);
  EXPECT_EQ(head(member, path).status, 404);
  EXPECT_EQ(head(member, path).header("upload-offset"), "0");
  EXPECT_EQ(put_part(member, data, 0, 10'000).status, 202);
  EXPECT_EQ(head(member, path).header("upload-offset"), "10000");
  const Answer gap = put_part(member, data, 20'000, 100);
  EXPECT_EQ(gap.status, 409);
  EXPECT_EQ(gap.number("offset"), 10'000);
  network.restart();
  member = network.with(member.token());
  EXPECT_EQ(head(member, path).header("upload-offset"), "10000");
  EXPECT_EQ(put_part(member, data, 10'000, data.size() - 10'000).status, 201);
  EXPECT_EQ(head(member, path).status, 200);
  EXPECT_EQ(head(member, path).header("content-length"), std::to_string(data.size()));

  EXPECT_EQ(member.get(path).body, data);
  const Answer part = member.get(path, {{"Range", "bytes=5-9"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, data.substr(5, 5));
  EXPECT_EQ(part.header("content-range"), fmt::format("bytes 5-9/{}", data.size()));
  EXPECT_EQ(member.get(path, {{"Range", "bytes=-3"}}).body, data.substr(data.size() - 3));
  const Answer beyond = member.get(path, {{"Range", "bytes=99999999-"}});
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(beyond.header("content-range"), fmt::format("bytes */{}", data.size()));
}

TEST(ArtifactsApi, AWrongDigestIsRefusedAndForgotten) {
  TestNetwork network;
  Caller member = network.member();
  const std::string path = path_of("right");
  EXPECT_EQ(member.put(path, "wrong").status, 400);
  EXPECT_EQ(head(member, path).header("upload-offset"), "0");
  EXPECT_EQ(member.get(path).status, 404);
  EXPECT_EQ(member.put(path, "right").status, 201);
  EXPECT_EQ(member.put(path, "right").status, 201);
  EXPECT_EQ(member.put("/v1/artifacts/xyz", "x").status, 400);
  EXPECT_EQ(member.put(path, "right", {{"Content-Range", "bytes 0-1/5"}}).status, 400);
}

TEST(ArtifactsApi, OnlyThoseConcernedRead) {
  TestNetwork network;
  Caller one = network.member("one");
  Caller two = network.member("two");
  const std::string secret = "the secret data";
  EXPECT_EQ(one.put(path_of(secret), secret).status, 201);
  EXPECT_EQ(two.get(path_of(secret)).status, 404);
  EXPECT_EQ(head(two, path_of(secret)).status, 404);
  EXPECT_EQ(network.owner().get(path_of(secret)).body, secret);

  // Naming it in a job of one's own does not help.
  const json::object job{
      {"code", "print(1)"},
      {"files", json::array{json::object{{"path", "a.txt"},
                                         {"sha256", Sha256::of(secret).text()},
                                         {"bytes", static_cast<int64_t>(secret.size())}}}}};
  const Answer refused = two.post("/v1/jobs", job);
  EXPECT_EQ(refused.status, 412) << refused.body;
  EXPECT_EQ(refused.json.at("errors").at(0).at("pointer"), "/files/0/sha256");
  EXPECT_EQ(two.get(path_of(secret)).status, 404);
  EXPECT_EQ(one.post("/v1/jobs", job).status, 202);

  FakeNode node(network);
  Caller session = node.caller();
  EXPECT_EQ(session.get(path_of(secret)).status, 404);
  EXPECT_EQ(node.poll(5).size(), 1U);
  EXPECT_EQ(session.get(path_of(secret)).body, secret);

  // Who has the bytes may say so.
  EXPECT_EQ(two.put(path_of(secret), secret).status, 201);
  EXPECT_EQ(two.get(path_of(secret)).body, secret);
}

TEST(ArtifactsApi, LimitsHold) {
  TestNetwork network({}, 1000);
  Caller member = network.member();
  EXPECT_EQ(member.put(path_of("x"), std::string(1001, 'x')).status, 429);
  EXPECT_EQ(member.put(path_of("x"), std::string((8 << 20) + 1, 'x')).status, 413);
  EXPECT_EQ(member.put(path_of(""), "").status, 201);
  EXPECT_EQ(member.get(path_of("")).body, "");
}

}  // namespace
}  // namespace bcai::coordinator
