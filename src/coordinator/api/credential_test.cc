// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/credential.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bcai::coordinator {
namespace {

TEST(CredentialTest, AKeyGoesThroughTheHeader) {
  SeededRandom random(3);
  const KeyId id = KeyId::make({1'700'000'000'000}, random);
  const std::string text = make_key_text(id, random);
  for (const std::string& header : {"Bearer " + text, "bearer  " + text, "BEARER " + text}) {
    Result<Credential> parsed = parse_authorization(header);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->kind, Credential::Kind::kKey);
    EXPECT_EQ(parsed->key, id);
    EXPECT_EQ(parsed->hash, hash_of_secret(text));
  }
}

TEST(CredentialTest, ASessionGoesThroughTheHeader) {
  SeededRandom random(4);
  const std::string text = make_session_text(random);
  Result<Credential> parsed = parse_authorization("Bearer " + text);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->kind, Credential::Kind::kSession);
  EXPECT_EQ(parsed->hash, hash_of_secret(text));
}

TEST(CredentialTest, AnythingElseIsRefusedWithoutBeingRepeated) {
  SeededRandom random(5);
  const std::string key = make_key_text(KeyId::make({1}, random), random);
  const std::string session = make_session_text(random);
  for (const std::string& header : std::vector<std::string>{
           std::string(), std::string("Bearer"), std::string("Bearer "), "Basic " + key, key,
           "Bearer " + key + "0", "Bearer " + key.substr(0, key.size() - 1), "Bearer " + key + " ",
           "Bearer bcai_" + std::string(26, 'u') + "_" + std::string(64, '0'),
           "Bearer bcai_" + std::string(26, '0') + "_" + std::string(64, 'G'),
           "Bearer " + session + "a", "Bearer bcain_", std::string("Bearer bcai__")}) {
    Result<Credential> parsed = parse_authorization(header);
    ASSERT_FALSE(parsed) << header;
    EXPECT_EQ(parsed.error().code, ErrorCode::kUnauthenticated);
    EXPECT_EQ(parsed.error().message.find(std::string(20, '0')), std::string::npos);
  }
}

}  // namespace
}  // namespace bcai::coordinator
