// SPDX-License-Identifier: Apache-2.0
#include "cli/settings.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"

namespace bcai::cli {
namespace {

class SettingsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "bcai_settings_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    environment_ = {{"HOME", directory_.string()}};
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path file() const { return directory_ / ".config/bcai/config.yaml"; }
  void write(std::string_view text) {
    ASSERT_TRUE(make_directories(file().parent_path()));
    ASSERT_TRUE(write_file(file(), text));
  }

  std::filesystem::path directory_;
  Environment environment_;
};

TEST_F(SettingsTest, DefaultsWithoutAFile) {
  const Result<Settings> settings = Settings::load(environment_, 1000);
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->value(SettingKey::kEndpoint), "");
  EXPECT_EQ(settings->value(SettingKey::kPython), "/usr/bin/python3");
  EXPECT_EQ(settings->value(SettingKey::kDataDirectory),
            directory_.string() + "/.local/state/bcai");
  EXPECT_EQ(settings->at(SettingKey::kPython).origin, "default");
  EXPECT_EQ(Settings::load(environment_, 0)->value(SettingKey::kDataDirectory), "/var/lib/bcai");
}

TEST_F(SettingsTest, FlagBeatsEnvironmentBeatsFile) {
  write("endpoint: http://file\napi_key: k\n");
  environment_["BCAI_ENDPOINT"] = "http://environment";
  Result<Settings> settings = Settings::load(environment_, 1000);
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->value(SettingKey::kEndpoint), "http://environment");
  EXPECT_EQ(settings->at(SettingKey::kEndpoint).origin, "environment BCAI_ENDPOINT");
  EXPECT_EQ(settings->at(SettingKey::kApiKey).origin, "file");
  settings->override_with_flag(SettingKey::kEndpoint, "", "--endpoint");
  EXPECT_EQ(settings->value(SettingKey::kEndpoint), "http://environment");
  settings->override_with_flag(SettingKey::kEndpoint, "http://flag", "--endpoint");
  EXPECT_EQ(settings->value(SettingKey::kEndpoint), "http://flag");
  EXPECT_EQ(settings->at(SettingKey::kEndpoint).origin, "--endpoint");
}

TEST_F(SettingsTest, SavesWhatTheFileHoldsAndNothingFromTheEnvironment) {
  write("endpoint: http://file\n");
  environment_["BCAI_PYTHON"] = "/opt/python";
  Result<Settings> settings = Settings::load(environment_, 1000);
  ASSERT_TRUE(settings);
  ASSERT_TRUE(settings->save({{SettingKey::kApiKey, "odd: \"key\" #1"}}));
  struct stat status {};
  ASSERT_EQ(stat(file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  environment_.erase("BCAI_PYTHON");
  Result<Settings> again = Settings::load(environment_, 1000);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->value(SettingKey::kApiKey), "odd: \"key\" #1");
  EXPECT_EQ(again->value(SettingKey::kEndpoint), "http://file");
  EXPECT_EQ(again->value(SettingKey::kPython), "/usr/bin/python3");
  ASSERT_TRUE(again->save({{SettingKey::kEndpoint, std::nullopt}}));
  EXPECT_EQ(Settings::load(environment_, 1000)->value(SettingKey::kEndpoint), "");
}

TEST_F(SettingsTest, AWrongFileIsNamedWithItsPlace) {
  write("endpoint: http://a\nendpont: x\n");
  const Result<Settings> settings = Settings::load(environment_, 1000);
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().message.find(file().string() + ":2:"), 0U) << settings.error().message;
  write("endpoint: [\n");
  EXPECT_FALSE(Settings::load(environment_, 1000));
  write("# nothing\n");
  EXPECT_TRUE(Settings::load(environment_, 1000));
}

TEST(Paths, FollowTheBaseDirectories) {
  EXPECT_EQ(config_file({{"XDG_CONFIG_HOME", "/c"}}), "/c/bcai/config.yaml");
  EXPECT_EQ(config_file({{"XDG_CONFIG_HOME", "relative"}, {"HOME", "/h"}}),
            "/h/.config/bcai/config.yaml");
  EXPECT_EQ(default_data_directory({{"XDG_STATE_HOME", "/s"}}, 1000), "/s/bcai");
}

TEST(SettingNames, WrongOnesListTheRightOnes) {
  EXPECT_EQ(*parse_setting_key("ca_file"), SettingKey::kCaFile);
  const Result<SettingKey> wrong = parse_setting_key("endpont");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("did you mean endpoint?"), std::string::npos);
}

}  // namespace
}  // namespace bcai::cli
