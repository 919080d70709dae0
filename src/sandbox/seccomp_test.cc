// SPDX-License-Identifier: Apache-2.0
#include "sandbox/seccomp.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <map>
#include <set>
#include <string>

namespace bcai::sandbox {
namespace {

std::multimap<std::string, const SeccompRule*> by_name() {
  std::multimap<std::string, const SeccompRule*> out;
  for (const SeccompRule& rule : seccomp_rules()) {
    std::string_view rest = rule.calls;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(' '), rest.size());
      out.emplace(rest.substr(0, end), &rule);
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return out;
}

TEST(Seccomp, ACallWithoutArgumentsHasOneRule) {
  const auto rules = by_name();
  for (const auto& [name, rule] : rules) {
    EXPECT_FALSE(name.empty());
    if (!rule->argument) {
      EXPECT_EQ(rules.count(name), 1u) << name;
    }
  }
}

TEST(Seccomp, WhatBreaksOutIsNeverAllowed) {
  const auto rules = by_name();
  for (const char* name : {"mount",
                           "umount2",
                           "pivot_root",
                           "chroot",
                           "unshare",
                           "setns",
                           "ptrace",
                           "bpf",
                           "perf_event_open",
                           "userfaultfd",
                           "io_uring_setup",
                           "keyctl",
                           "add_key",
                           "open_by_handle_at",
                           "init_module",
                           "kexec_load",
                           "process_vm_writev",
                           "pidfd_getfd",
                           "move_mount",
                           "fsopen",
                           "open_tree",
                           "clone3",
                           "memfd_secret",
                           "personality"}) {
    ASSERT_EQ(rules.count(name), 1u) << name;
    EXPECT_NE(rules.find(name)->second->errno_value, 0) << name;
  }
  for (const char* name : {"seccomp", "landlock_create_ruleset", "memfd_create", "splice"}) {
    EXPECT_EQ(rules.count(name), 0u) << name << ": the default refuses it";
  }
}

TEST(Seccomp, CloneMakesNoNamespaces) {
  const auto rules = by_name();
  ASSERT_EQ(rules.count("clone"), 1u);
  const auto& argument = rules.find("clone")->second->argument;
  ASSERT_TRUE(argument);
  EXPECT_EQ(argument->index, 0u);
  EXPECT_EQ(argument->compare, Compare::kMaskedEqual);
  EXPECT_EQ(argument->value_two, 0u);
  EXPECT_EQ(argument->value, uint64_t{CLONE_NEWNS} | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET);
}

TEST(Seccomp, ProfileRefusesByDefaultAndKnowsOneArchitecture) {
  const json::object profile = seccomp_profile();
  EXPECT_EQ(profile.at("defaultAction").as_string(), "SCMP_ACT_ERRNO");
  EXPECT_EQ(profile.at("defaultErrnoRet").as_int64(), 38);
  EXPECT_EQ(profile.at("architectures").as_array().size(), 1u);
  const json::array& calls = profile.at("syscalls").as_array();
  EXPECT_EQ(calls.size(), seccomp_rules().size());
  size_t unix_only = 0;
  for (const json::value& entry : calls) {
    const json::object& rule = entry.as_object();
    if (rule.at("names").as_array().at(0).as_string() != "socket") continue;
    const json::object& argument = rule.at("args").as_array().at(0).as_object();
    EXPECT_EQ(argument.at("value").to_number<uint64_t>(), 1u);
    if (rule.at("action").as_string() == "SCMP_ACT_ALLOW") {
      unix_only++;
      EXPECT_EQ(argument.at("op").as_string(), "SCMP_CMP_EQ");
    }
  }
  EXPECT_EQ(unix_only, 1u);
}

TEST(Seccomp, CountedCallsAreRefusedWhereNobodyCounts) {
  const auto actions = [](SeccompUse use) {
    std::map<std::string, std::string> out;
    const json::object profile = seccomp_profile(use);
    for (const json::value& entry : profile.at("syscalls").as_array()) {
      const json::object& rule = entry.as_object();
      for (const json::value& name : rule.at("names").as_array()) {
        out[std::string(name.as_string())] = rule.at("action").as_string().c_str();
      }
    }
    return out;
  };
  const auto plain = actions({});
  const auto counting = actions({.counting = true});
  size_t counted = 0;
  for (const SeccompRule& rule : seccomp_rules()) {
    std::string_view rest = rule.calls;
    while (!rest.empty()) {
      const std::string name(rest.substr(0, rest.find(' ')));
      rest.remove_prefix(std::min(name.size() + 1, rest.size()));
      EXPECT_NE(plain.at(name), "SCMP_ACT_NOTIFY") << name;
      if (!rule.counted) {
        EXPECT_EQ(counting.at(name), plain.at(name)) << name;
        continue;
      }
      counted++;
      EXPECT_EQ(rule.errno_value, EPERM) << name;
      EXPECT_EQ(plain.at(name), "SCMP_ACT_ERRNO") << name;
      EXPECT_EQ(counting.at(name), "SCMP_ACT_NOTIFY") << name;
    }
  }
  EXPECT_GE(counted, 20u);
  for (const char* call : {"mount", "ptrace", "bpf", "keyctl", "unshare", "setns", "userfaultfd"}) {
    EXPECT_EQ(counting.at(call), "SCMP_ACT_NOTIFY") << call;
  }
}

TEST(Seccomp, InternetAddsOneFamilyOfSocketsAndNothingElse) {
  const json::object profile = seccomp_profile({.internet = true});
  const json::object closed = seccomp_profile();
  std::vector<std::string> about_socket;
  json::array others;
  for (const json::value& entry : profile.at("syscalls").as_array()) {
    if (entry.at("names").as_array().at(0).as_string() == "socket") {
      about_socket.push_back(to_text(entry.at("args").as_array().at(0)) + " " +
                             std::string(entry.at("action").as_string()));
    } else {
      others.push_back(entry);
    }
  }
  json::array closed_others;
  for (const json::value& entry : closed.at("syscalls").as_array()) {
    if (entry.at("names").as_array().at(0).as_string() != "socket") closed_others.push_back(entry);
  }
  EXPECT_EQ(others, closed_others);
  EXPECT_EQ(about_socket, (std::vector<std::string>{
                              R"({"index":0,"value":2,"op":"SCMP_CMP_LE"} SCMP_ACT_ALLOW)",
                              R"({"index":0,"value":2,"op":"SCMP_CMP_GT"} SCMP_ACT_ERRNO)"}));
}

}  // namespace
}  // namespace bcai::sandbox
