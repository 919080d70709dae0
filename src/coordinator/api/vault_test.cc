// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/vault.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"

namespace bcai::coordinator {
namespace {

class VaultTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "vault_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    file_ = directory_ / "secrets.key";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path directory_;
  std::filesystem::path file_;
  SeededRandom random_{1};
  KeyId alice_ = KeyId::make({1}, random_);
  KeyId bob_ = KeyId::make({1}, random_);
};

TEST_F(VaultTest, OpensWhatItSealedForItsOwnerUnderItsNameAlone) {
  const auto vault = Vault::open(file_, false, random_);
  ASSERT_TRUE(vault) << vault.error().message;
  const std::string sealed = (*vault)->seal(alice_, "TOKEN", "hunter22");
  EXPECT_EQ(sealed.find("hunter22"), std::string::npos);
  EXPECT_NE((*vault)->seal(alice_, "TOKEN", "hunter22"), sealed);
  const auto opened = (*vault)->unseal(alice_, "TOKEN", sealed);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(*opened, "hunter22");
  EXPECT_FALSE((*vault)->unseal(bob_, "TOKEN", sealed));
  EXPECT_FALSE((*vault)->unseal(alice_, "TOKEN_", sealed));
  for (size_t i = 0; i < sealed.size(); i++) {
    std::string changed = sealed;
    changed[i] ^= 1;
    EXPECT_FALSE((*vault)->unseal(alice_, "TOKEN", changed)) << i;
    EXPECT_FALSE((*vault)->unseal(alice_, "TOKEN", sealed.substr(0, i))) << i;
  }
}

TEST_F(VaultTest, KeepsItsKeyInAFileOfItsOwnersAlone) {
  std::string sealed;
  {
    const auto vault = Vault::open(file_, false, random_);
    ASSERT_TRUE(vault);
    sealed = (*vault)->seal(alice_, "TOKEN", "hunter22");
  }
  struct stat info {};
  ASSERT_EQ(stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto again = Vault::open(file_, true, random_);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE((*again)->unseal(alice_, "TOKEN", sealed));
  chmod(file_.c_str(), 0640);
  const auto shared = Vault::open(file_, true, random_);
  ASSERT_FALSE(shared);
  EXPECT_NE(shared.error().message.find("chmod 600"), std::string::npos);
}

TEST_F(VaultTest, MakesNoSecondKeyForWhatTheFirstSealed) {
  const auto lost = Vault::open(file_, true, random_);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(lost.error().message.find("put it back"), std::string::npos);
  ASSERT_TRUE(write_file(file_, "no key\n", Durability::kCached, 0600));
  EXPECT_FALSE(Vault::open(file_, true, random_));
}

}  // namespace
}  // namespace bcai::coordinator
