// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.h"

#include <gtest/gtest.h>

namespace bcai::cli {
namespace {

using Words = std::vector<std::string>;

template <typename T>
T parsed(const Words& words) {
  const Parsed result = parse_arguments(words);
  EXPECT_TRUE(result.command.has_value()) << result.text;
  if (!result.command || !std::holds_alternative<T>(*result.command)) {
    ADD_FAILURE() << "not the command expected";
    return T{};
  }
  return std::get<T>(*result.command);
}

TEST(Arguments, RunTakesOptionsBeforeAndAfterTheFile) {
  const auto run = parsed<RunOptions>({"run", "--gpu", "2", "train.py", "data.csv", "--memory",
                                       "8GB", "--timeout", "2h", "--env", "A=1", "--env", "B=x=y",
                                       "--allow-import", "ctypes", "--", "--epochs", "3"});
  EXPECT_EQ(run.job.file, "train.py");
  EXPECT_EQ(run.job.arguments, (Words{"data.csv", "--epochs", "3"}));
  EXPECT_EQ(run.job.gpu_count, 2);
  EXPECT_EQ(run.job.memory, "8GB");
  EXPECT_EQ(run.job.timeout, Millis(7'200'000));
  ASSERT_EQ(run.job.environment.size(), 2U);
  EXPECT_EQ(run.job.environment[1].first, "B");
  EXPECT_EQ(run.job.environment[1].second, "x=y");
  EXPECT_EQ(run.job.allowed_imports, Words{"ctypes"});
  EXPECT_FALSE(run.job.json);
}

TEST(Arguments, CodeMakesEveryWordAnArgument) {
  const auto run = parsed<RunOptions>({"run", "--code", "print(1)", "a", "b"});
  EXPECT_EQ(run.job.code, "print(1)");
  EXPECT_EQ(run.job.file, "");
  EXPECT_EQ(run.job.arguments, (Words{"a", "b"}));
  EXPECT_EQ(parsed<RunOptions>({"run", "--code", ""}).job.code, "");
}

TEST(Arguments, CodeMayLookLikeAnything) {
  EXPECT_EQ(parsed<RunOptions>({"run", "--code", "[1, 2]"}).job.code, "[1, 2]");
  EXPECT_EQ(parsed<RunOptions>({"run", "--code", "a=1\nprint(a)\n"}).job.code, "a=1\nprint(a)\n");
  EXPECT_EQ(parsed<RunOptions>({"run", "--code=-1"}).job.code, "-1");
}

TEST(Arguments, StandardInputIsAFile) {
  EXPECT_EQ(parsed<RunOptions>({"run", "-"}).job.file, "-");
  EXPECT_EQ(parsed<RunOptions>({"run", "-", "x"}).job.arguments, Words{"x"});
}

TEST(Arguments, RepeatableOptionsTakeOneValueEach) {
  const auto run = parsed<RunOptions>(
      {"run", "--requirements", "torch>=2.0", "--requirements", "numpy", "train.py"});
  EXPECT_EQ(run.job.requirements, (Words{"torch>=2.0", "numpy"}));
  const auto source = parsed<RunOptions>({"run", "--requirements", "a==1", "--build-from-source",
                                          "a", "--build-from-source", "b", "train.py"});
  EXPECT_EQ(source.job.build_from_source, (Words{"a", "b"}));
  EXPECT_EQ(source.job.file, "train.py");
  const RunOptions locked =
      parsed<RunOptions>({"run", "--environment-lock", "r.json", "--allow-host", "a:1",
                          "--allow-host", "b:2", "--security-level", "high", "train.py"});
  EXPECT_EQ(locked.job.security_level, "high");
  EXPECT_EQ(locked.job.environment_lock, "r.json");
  EXPECT_EQ(locked.job.allow_hosts, (Words{"a:1", "b:2"}));
  EXPECT_EQ(run.job.file, "train.py");
  const auto secret = parsed<RunOptions>({"run", "--secret", "A", "--secret", "B", "train.py"});
  EXPECT_EQ(secret.job.secrets, (Words{"A", "B"}));
  EXPECT_EQ(secret.job.file, "train.py");
}

TEST(Arguments, NestedCommands) {
  EXPECT_EQ(parsed<NodeDeployOptions>({"node", "deploy", "--config", "p.yaml"}).config, "p.yaml");
  EXPECT_TRUE(parsed<NodeStatusOptions>({"node", "status", "--metrics"}).metrics);
  EXPECT_EQ(
      parsed<CreateKeyOptions>({"coordinator", "create-key", "--name", "n", "--role", "node"}).role,
      "node");
  EXPECT_EQ(parsed<CoordinatorOptions>({"coordinator"}).listen, "127.0.0.1:8080");
  EXPECT_EQ(parsed<CoordinatorOptions>({"coordinator"}).uploads_bytes_max, std::nullopt);
  EXPECT_EQ(parsed<UpOptions>({"up", "--uploads-max", "5GB"}).uploads_bytes_max, 5'000'000'000);
  EXPECT_EQ(parsed<KeysOptions>({"keys"}).verb, KeysOptions::Verb::kList);
  const auto keys = parsed<KeysOptions>({"keys", "revoke", "key_1", "--endpoint", "http://a"});
  EXPECT_EQ(keys.verb, KeysOptions::Verb::kRevoke);
  EXPECT_EQ(keys.id, "key_1");
  EXPECT_EQ(keys.connection.endpoint, "http://a");
  const auto set = parsed<ConfigOptions>({"config", "set", "endpoint", "http://a"});
  EXPECT_EQ(set.verb, ConfigOptions::Verb::kSet);
  EXPECT_EQ(set.value, "http://a");
  EXPECT_TRUE(parsed<UpOptions>({"up"}).save);
  EXPECT_FALSE(parsed<UpOptions>({"up", "--no-save"}).save);
  const auto up = parsed<UpOptions>({"up", "--allow-network", "*:443", "--allow-network", "a:1"});
  EXPECT_EQ(up.allow_network, (Words{"*:443", "a:1"}));
}

void expect_refused(const Words& words, const std::string& part) {
  const Parsed result = parse_arguments(words);
  EXPECT_FALSE(result.command.has_value());
  EXPECT_EQ(result.exit_code, 2) << result.text;
  EXPECT_NE(result.text.find(part), std::string::npos) << result.text;
}

TEST(Arguments, RefusalsSayWhatWasMeant) {
  expect_refused({"run", "train.py", "--gpuu", "1"}, "did you mean --gpu?");
  expect_refused({"run", "train.py", "--epochs", "3"}, "goes after --");
  expect_refused({"run"}, "--code TEXT");
  expect_refused({"run", "a.py", "--memory", "8 potatoes"}, "8GB");
  expect_refused({"run", "a.py", "--timeout", "soon"}, "90s");
  expect_refused({"run", "a.py", "--allow-host", "pypi.org"}, "host:port");
  expect_refused({"run", "a.py", "--env", "NAME"}, "NAME=VALUE");
  expect_refused({"run", "a.py", "--import-policy", "none"}, "standard");
  expect_refused({"run", "a.py", "--local", "--endpoint", "http://x"}, "exclude each other");
  expect_refused({"jbos"}, "did you mean jobs?");
  expect_refused({"jobs", "--state", "running"}, "queued");
  expect_refused({"show"}, "ID");
  expect_refused({"node"}, "subcommand");
  expect_refused({"node", "deploy"}, "--print-example");
  expect_refused({"coordinator", "--tls-cert", "c.pem"}, "--tls-key");
}

TEST(Arguments, EveryCommandsHelpHasAnExample) {
  const Parsed all = parse_arguments({"--help"});
  EXPECT_EQ(all.exit_code, 0);
  EXPECT_NE(all.text.find("create-project"), std::string::npos);
  for (const char* command :
       {"run", "submit", "jobs", "show", "logs", "results", "cancel", "wait", "up", "coordinator",
        "keys", "node", "nodes", "create-project", "config", "doctor", "completion", "version"}) {
    const Parsed help = parse_arguments({command, "--help"});
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_NE(help.text.find(std::string("bcai ") + command), std::string::npos) << help.text;
    EXPECT_NE(help.text.find("Example:"), std::string::npos) << command;
    EXPECT_EQ(parse_arguments({"help", command}).text, help.text);
  }
  EXPECT_NE(parse_arguments({"help", "exit-codes"}).text.find("130"), std::string::npos);
  EXPECT_EQ(parse_arguments({}).text, all.text);
}

TEST(Completion, OffersWhatMayStandThere) {
  EXPECT_EQ(complete({"ca"}), "cancel\n");
  EXPECT_EQ(complete({"node", ""}), "deploy\nstatus\n");
  EXPECT_EQ(complete({"run", "--gpu-m"}), "--gpu-memory\n--gpu-model\n");
  EXPECT_EQ(complete({"run", ""}), ":files\n");
  EXPECT_EQ(complete({"run", "--file", ""}), ":files\n");
  EXPECT_EQ(complete({"run", "--name", ""}), "");
  EXPECT_EQ(complete({"show", ""}), "last\n");
  EXPECT_EQ(complete({"completion", "b"}), "bash\n");
  EXPECT_EQ(complete({"nonsense", "--"}).find("--gpu"), std::string::npos);
}

}  // namespace
}  // namespace bcai::cli
