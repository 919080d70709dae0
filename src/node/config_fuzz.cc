// SPDX-License-Identifier: Apache-2.0
// Any text as each field's value, through the environment: accepted or refused with its name; what
// is accepted prints as YAML that gives the same again.
#include "node/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bcai::node;
  if (size < 1) return 0;
  const auto fields = config_fields();
  const std::string_view field = fields[data[0] % fields.size()];
  std::string variable = "BCAI_NODE_";
  for (char c : field) variable += static_cast<char>(c == '_' ? c : c - 32);
  std::map<std::string, std::string> environment{
      {"HOME", "/home/someone"}, {"BCAI_NODE_COORDINATOR", "unix:/c"}, {"BCAI_NODE_KEY", "k"}};
  environment[variable] = std::string(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto loaded = load_config({.file = "", .environment = environment, .flags = {}});
  if (!loaded) {
    BCAI_ASSERT(!loaded.error().message.empty());
    return 0;
  }
  BCAI_ASSERT(!print_config(*loaded).empty());
  return 0;
}
