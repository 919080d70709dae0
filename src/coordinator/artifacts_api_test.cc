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
  TestNetwork network({}, {.artifact_bytes_max = 1000});
  Caller member = network.member();
  const Answer large = member.put(path_of("x"), std::string(1500, 'x'));
  EXPECT_EQ(large.status, 413);
  EXPECT_EQ(large.text("detail"), "an artifact may have 1 kB, this one has 1.5 kB");
  EXPECT_EQ(member.put(path_of("x"), std::string((8 << 20) + 1, 'x')).status, 413);
  EXPECT_EQ(member.put(path_of(""), "").status, 201);
  EXPECT_EQ(member.get(path_of("")).body, "");
}

TEST(ArtifactsApi, AKeyHoldsOnlySoMuchThatNoJobNames) {
  TestNetwork network({}, {.key_bytes_max = 10'000});
  Caller member = network.member();
  const std::string first(6000, 'a');
  const std::string second(4000, 'b');
  const std::string third(1, 'c');
  EXPECT_EQ(member.put(path_of(first), first).status, 201);
  EXPECT_EQ(put_part(member, second, 0, 3000).status, 202);
  network.restart();
  member = network.with(member.token());
  EXPECT_EQ(put_part(member, std::string(1001, 'd'), 0, 1).status, 413);
  EXPECT_EQ(put_part(member, second, 3000, 1000).status, 201);
  const Answer full = member.put(path_of(third), third);
  EXPECT_EQ(full.status, 413);
  EXPECT_EQ(full.text("title"), "Content Too Large");
  EXPECT_EQ(full.text("code"), "resource_exhausted");
  EXPECT_EQ(full.text("detail"),
            "a key may hold 10 kB in uploads that are unfinished or named by no job; yours holds "
            "10 kB, this one needs 1 B more; submit the jobs that name them, or wait 24 h 0 m");
  EXPECT_EQ(network.member().put(path_of(third), third).status, 201);

  const json::object job{{"code", "print(1)"},
                         {"files", json::array{json::object{{"path", "a"},
                                                            {"sha256", Sha256::of(first).text()},
                                                            {"bytes", first.size()}}}}};
  ASSERT_EQ(member.post("/v1/jobs", job).status, 202);
  EXPECT_EQ(member.put(path_of(first), first).status, 201);
  EXPECT_EQ(member.put(path_of(third), third).status, 201);
  FakeNode node(network);
  const std::string output(10'001, 'o');
  EXPECT_EQ(node.caller().put(path_of(output), output).status, 201);
}

TEST(ArtifactsApi, WhatComesToNothingIsRemoved) {
  TestNetwork network({}, {.part_kept = Millis(1500), .unused_kept = Millis(1500)});
  Caller member = network.member();
  const auto put_job = [&] {
    EXPECT_EQ(member.put(path_of("used"), "used").status, 201);
    return member.post(
        "/v1/jobs",
        json::object{
            {"code", "print(1)"},
            {"files", json::array{json::object{
                          {"path", "a"}, {"sha256", Sha256::of("used").text()}, {"bytes", 4}}}}});
  };
  ASSERT_EQ(put_job().status, 202);
  EXPECT_EQ(member.put(path_of("unused"), "unused").status, 201);
  EXPECT_EQ(put_part(member, "a part", 0, 3).status, 202);
  const std::filesystem::path files = network.directory() / "data" / "artifacts";
  const auto count = [&] {
    int64_t found = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(files)) {
      found += entry.is_regular_file() ? 1 : 0;
    }
    return found;
  };
  EXPECT_TRUE(eventually([&] { return count() == 1; })) << count();
  EXPECT_EQ(head(member, path_of("used")).status, 200);
  EXPECT_EQ(head(member, path_of("unused")).status, 404);
  EXPECT_EQ(head(member, path_of("a part")).header("upload-offset"), "0");
  EXPECT_EQ(member.put(path_of("unused"), "unused").status, 201);
}

}  // namespace
}  // namespace bcai::coordinator
