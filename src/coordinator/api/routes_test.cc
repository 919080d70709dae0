// SPDX-License-Identifier: Apache-2.0
#include "coordinator/api/routes.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/yaml.h"
#include "coordinator_api_files.h"

namespace bcai::coordinator {
namespace {

std::set<std::string> declared_security(const json::value& document, const json::value& operation) {
  const json::value* own = operation.as_object().if_contains("security");
  std::set<std::string> names;
  for (const json::value& one : (own != nullptr ? *own : document.at("security")).as_array()) {
    for (const auto& member : one.as_object()) names.emplace(to_std(member.key()));
  }
  return names;
}

std::set<std::string> served_security(Access access) {
  switch (access) {
    case Access::kOpen: return {};
    case Access::kSession: return {"nodeSession"};
    case Access::kTransfer: return {"apiKey", "nodeSession"};
    default: return {"apiKey"};
  }
}

// What is declared and what is served are the same, with the same kind of credential.
TEST(Routes, AreThoseOfTheDescription) {
  const Result<YamlDocument> document =
      parse_yaml(coordinator_api_files("../../../schema/openapi.yaml"));
  ASSERT_TRUE(document) << document.error().message;
  std::map<std::string, std::set<std::string>> declared;
  for (const auto& path : document->value.at("paths").as_object()) {
    for (const auto& member : path.value().as_object()) {
      if (member.key() == "parameters") continue;
      std::string method(to_std(member.key()));
      for (char& c : method) c = static_cast<char>(c - 'a' + 'A');
      declared[method + " " + std::string(to_std(path.key()))] =
          declared_security(document->value, member.value());
    }
  }
  std::map<std::string, std::set<std::string>> served;
  for (const ApiRoute& route : api_routes()) {
    served[fmt::format("{} {}", route.method, route.pattern)] = served_security(route.access);
  }
  EXPECT_EQ(served, declared);
  EXPECT_GT(served.size(), 25U);
}

}  // namespace
}  // namespace bcai::coordinator
