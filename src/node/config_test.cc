// SPDX-License-Identifier: Apache-2.0
#include "node/config.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"

namespace bcai::node {
namespace {

class ConfigFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "/configXXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory); }

  Result<LoadedConfig> load(std::string_view text,
                            std::map<std::string, std::string> environment = {},
                            std::map<std::string, std::string> flags = {}) {
    EXPECT_TRUE(write_file(directory / "production.yaml", text));
    environment.emplace("HOME", "/home/someone");
    return load_config({.file = directory / "production.yaml",
                        .environment = std::move(environment),
                        .flags = std::move(flags)});
  }
  std::string problem(std::string_view text, std::map<std::string, std::string> environment = {}) {
    Result<LoadedConfig> loaded = load(text, std::move(environment));
    return loaded ? "accepted" : loaded.error().message;
  }

  std::filesystem::path directory;
};

constexpr std::string_view kLeast = "coordinator: http://127.0.0.1:1\nkey: k\n";

TEST_F(ConfigFile, LaterLayersWinAndOriginsAreKept) {
  Result<LoadedConfig> loaded =
      load(std::string(kLeast) + "slots: 1\ncpu_cores: 1.5\nmemory: 8GB\nlabels: {a: b}\n",
           {{"BCAI_NODE_SLOTS", "2"}, {"BCAI_NODE_CPU_CORES", "3"}, {"OTHER", "x"}},
           {{"cpu_cores", "0.5"}, {"labels", "zone=attic,owner=me"}, {"strangers", "true"}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  const NodeConfig& config = loaded->config;
  EXPECT_EQ(config.slots, 2);
  EXPECT_EQ(config.cpu_cores, 0.5);
  EXPECT_EQ(config.memory_bytes, 8'000'000'000);
  EXPECT_TRUE(config.strangers);
  EXPECT_EQ(config.labels,
            (std::map<std::string, std::string>{{"zone", "attic"}, {"owner", "me"}}));
  EXPECT_EQ(loaded->origins["slots"], "BCAI_NODE_SLOTS");
  EXPECT_EQ(loaded->origins["cpu_cores"], "--cpu_cores");
  EXPECT_EQ(loaded->origins["memory"], "production.yaml:5");
  EXPECT_EQ(loaded->origins["disk"], "default");
}

TEST_F(ConfigFile, ListsAreReadFromEveryLayer) {
  Result<LoadedConfig> loaded =
      load(std::string(kLeast) + "index_url: none\nwheel_directories: [/a, /b]\n",
           {{"BCAI_NODE_INDEX_HOSTS", "a:1,b:2"}, {"PATH", "/x:relative:/y"}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->config.wheel_directories, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(loaded->config.index_hosts, (std::vector<std::string>{"a:1", "b:2"}));
  EXPECT_EQ(loaded->config.search, (std::vector<std::filesystem::path>{"/x", "/y"}));
  EXPECT_EQ(problem(std::string(kLeast) + "index_url: ftp://x\nwheel_directories: [a]\n"
                                          "index_hosts: [b]\n"),
            "production.yaml:3: index_url: expected https://…, http://… or none, found 'ftp://x'\n"
            "production.yaml:5: index_hosts: expected host:port, found 'b'\n"
            "production.yaml:4: wheel_directories: expected absolute paths, found 'a'");
}

TEST_F(ConfigFile, EverythingWrongIsReportedAtOnceWithItsPlace) {
  EXPECT_EQ(problem("coordinator: ftp://x\nslots: 5000\nmemroy: 8GB\nstrangers: maybe\n"
                    "disk: 5 apples\ndata_directory: here\n",
                    {{"BCAI_NODE_SLOT", "1"}, {"BCAI_NODE_CPU_CORES", "many"}}),
            "production.yaml:2:8: /slots: expected 0 to 1024, found 5000\n"
            "production.yaml:3:9: /memroy: unknown field; did you mean 'memory'?\n"
            "production.yaml:4:12: /strangers: expected true or false, found \"maybe\"\n"
            "production.yaml:5:7: /disk: expected bytes with a unit, such as 512MB, 8GB or 4GiB, "
            "found '5 apples'\n"
            "production.yaml:6:17: /data_directory: expected an absolute path, found here\n"
            "BCAI_NODE_CPU_CORES: expected a number, found \"many\"\n"
            "BCAI_NODE_SLOT: unknown variable; did you mean BCAI_NODE_SLOTS?\n"
            "key is required: in the file, as BCAI_NODE_KEY, or as --key\n"
            "production.yaml:1: coordinator: expected https://…, http://… or unix:/…, found "
            "'ftp://x'");
}

TEST_F(ConfigFile, WrongYamlIsReportedWithThePlace) {
  const std::string message = problem("coordinator: http://x\nkey: k\nstrangers: no\nkey: l\n");
  EXPECT_EQ(message.substr(0, message.find('\n')),
            "production.yaml:3:12: /strangers: 'no' is true or false to some readers: quote this");
  EXPECT_NE(message.find("production.yaml:4:1: /key: duplicate key"), std::string::npos);
  EXPECT_EQ(problem("- a\n").substr(0, 21), "production.yaml:1:1: ");
}

TEST_F(ConfigFile, AMissingFileIsNamed) {
  const auto loaded =
      load_config({.file = directory / "absent.yaml", .environment = {}, .flags = {}});
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("absent.yaml: No such file"), std::string::npos);
}

TEST_F(ConfigFile, WithoutAFileTheEnvironmentIsEnough) {
  const auto loaded = load_config({.file = "",
                                   .environment = {{"HOME", "/home/someone"},
                                                   {"BCAI_NODE_COORDINATOR", "unix:/run/bcai"},
                                                   {"BCAI_NODE_KEY", "k"}},
                                   .flags = {}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_FALSE(loaded->config.name.empty());
  EXPECT_TRUE(loaded->config.data_directory.is_absolute());
}

TEST_F(ConfigFile, PrintedConfigLoadsAgainAndKeepsTheKeySecret) {
  Result<LoadedConfig> first = load(std::string(kLeast) +
                                    "name: 'no'\nmemory: 1GB\nlabels: {'on': 'yes # x'}\n"
                                    "ca_file: /etc/ca.pem\n");
  ASSERT_TRUE(first) << first.error().message;
  first->config.key = "bcai_very_secret";
  const std::string printed = print_config(*first);
  EXPECT_EQ(printed.find("very_secret"), std::string::npos);
  EXPECT_NE(printed.find("# production.yaml:4\n"), std::string::npos) << printed;
  Result<LoadedConfig> second = load(printed);
  ASSERT_TRUE(second) << second.error().message << printed;
  EXPECT_EQ(second->config.name, "no");
  EXPECT_EQ(second->config.memory_bytes, 1'000'000'000);
  EXPECT_EQ(second->config.labels, first->config.labels);
  EXPECT_EQ(second->config.data_directory, first->config.data_directory);
}

// "#name: x" is a setting shown with its default, "# text" is prose.
std::string uncommented(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.size() > 1 && line[0] == '#' && line[1] != ' ') line.remove_prefix(1);
    out += std::string(line) + "\n";
  }
  return out;
}

TEST_F(ConfigFile, TheExampleLoadsAndShowsEveryFieldWithItsDefault) {
  Result<LoadedConfig> example = load(example_config());
  ASSERT_TRUE(example) << example.error().message;
  Result<LoadedConfig> full = load(uncommented(example_config()));
  ASSERT_TRUE(full) << full.error().message;
  for (std::string_view field : config_fields()) {
    EXPECT_NE(full->origins[std::string(field)], "default") << field;
  }
  EXPECT_EQ(full->config.slots, example->config.slots);
  EXPECT_EQ(full->config.cpu_cores, example->config.cpu_cores);
  EXPECT_EQ(full->config.memory_bytes, example->config.memory_bytes);
  EXPECT_EQ(full->config.disk_bytes, example->config.disk_bytes);
  EXPECT_EQ(full->config.strangers, example->config.strangers);
  EXPECT_EQ(full->config.warm_starts, example->config.warm_starts);
  EXPECT_EQ(full->config.high_level, example->config.high_level);
  EXPECT_EQ(full->config.python, example->config.python);
  EXPECT_EQ(full->config.labels, example->config.labels);
}

TEST(Config, TheDocumentationListsEveryField) {
  Result<std::string> docs = read_file(BCAI_NODE_DOCS);
  ASSERT_TRUE(docs) << docs.error().message;
  for (std::string_view field : config_fields()) {
    EXPECT_NE(docs->find(fmt::format("\n| `{}` |", field)), std::string::npos) << field;
  }
}

}  // namespace
}  // namespace bcai::node
