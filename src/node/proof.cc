// SPDX-License-Identifier: Apache-2.0
#include "node/proof.h"

#include <algorithm>

#include "base/clip.h"
#include "base/file.h"
#include "base/log.h"

namespace bcai::node {
namespace {

std::string key_of(const Capabilities& machine) {
  const Result<std::string> boot = read_file("/proc/sys/kernel/random/boot_id", 4096);
  return fmt::format("{} | {} | {} | {} | {}", boot ? *boot : "", machine.kernel, machine.version,
                     machine.sandbox_runtime, machine.python_version);
}

json::array to_array(const std::vector<SelfTestLine>& lines) {
  json::array array;
  for (const SelfTestLine& line : lines) {
    array.push_back(
        json::object{{"name", line.name}, {"holds", line.holds}, {"detail", line.detail}});
  }
  return array;
}

// Empty when nothing is remembered for this key, or not every line held.
std::vector<SelfTestLine> remembered(const std::filesystem::path& file, std::string_view key) {
  const Result<std::string> text = read_file(file, int64_t{1} << 20);
  if (!text) return {};
  Result<json::value> value = parse_json(*text);
  if (!value || !value->is_object()) return {};
  std::vector<Finding> findings;
  std::string found_key;
  Decoder in(*value, "", &findings);
  in.read("key", found_key);
  const json::value* list = in.take("lines");
  if (found_key != key || list == nullptr || !list->is_array()) return {};
  std::vector<SelfTestLine> lines;
  for (const json::value& element : list->get_array()) {
    SelfTestLine line;
    Decoder member(element, "/lines", &findings);
    member.require("name", line.name);
    member.require("holds", line.holds);
    member.read("detail", line.detail);
    if (!findings.empty() || !line.holds) return {};
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace

std::vector<SelfTestLine> self_test(
    const SelfTestOptions& options,
    const std::function<std::vector<sandbox::SelfTestLine>()>& run) {
  const std::string key = key_of(*options.machine);
  if (!options.afresh) {
    std::vector<SelfTestLine> lines = remembered(options.file, key);
    if (!lines.empty()) return lines;
  }
  std::vector<SelfTestLine> lines;
  for (const sandbox::SelfTestLine& line : run()) {
    lines.push_back({clip_utf8(line.name, 64), line.holds, clip_utf8(line.detail, 1024)});
    if (!line.holds) {
      log_event(LogLevel::kWarn, "node.limit_does_not_hold",
                {{"name", line.name}, {"detail", line.detail}});
    }
  }
  const json::value text = json::object{{"key", key}, {"lines", to_array(lines)}};
  if (auto wrote = write_file(options.file, to_pretty_text(text) + "\n"); !wrote) {
    log_event(LogLevel::kWarn, "node.self_test_not_kept", {{"why", wrote.error().message}});
  }
  return lines;
}

}  // namespace bcai::node
