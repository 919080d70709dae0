// SPDX-License-Identifier: Apache-2.0
#include "sandbox/cgroup_files.h"

#include <charconv>
#include <vector>

namespace bcai::sandbox {
namespace {

// Takes what stands before the separator off the text.
std::string_view take(std::string_view* text, char separator) {
  const size_t end = text->find(separator);
  const std::string_view head = text->substr(0, end);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  return head;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) parts.push_back(take(&text, separator));
  return parts;
}

// mountinfo writes space, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      int code = 0;
      const auto [end, failed] = std::from_chars(&text[i + 1], &text[i + 1] + 3, code, 8);
      if (failed == std::errc() && end == &text[i + 1] + 3 && code > 0 && code < 256) {
        out.push_back(static_cast<char>(code));
        i += 3;
        continue;
      }
    }
    out.push_back(text[i]);
  }
  return out;
}

}  // namespace

CgroupMounts parse_cgroup_mounts(std::string_view mountinfo) {
  CgroupMounts mounts;
  while (!mountinfo.empty()) {
    std::string_view line = take(&mountinfo, '\n');
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const auto before = split(line.substr(0, dash), ' ');
    const auto after = split(line.substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3) continue;
    const std::string mount_point = unescape(before[4]);
    if (after[0] == "cgroup2" && mounts.v2.empty()) mounts.v2 = mount_point;
    if (after[0] != "cgroup") continue;
    for (std::string_view option : split(after[2], ',')) {
      if (option == "rw" || option == "ro" || option.empty()) continue;
      mounts.v1.emplace(option, mount_point);
    }
  }
  return mounts;
}

std::map<std::string, std::string> parse_own_groups(std::string_view text) {
  std::map<std::string, std::string> groups;
  while (!text.empty()) {
    std::string_view line = take(&text, '\n');
    if (line.find(':') == std::string_view::npos) continue;
    take(&line, ':');
    if (line.find(':') == std::string_view::npos) continue;
    const std::string_view controllers = take(&line, ':');
    if (controllers.empty()) groups.emplace("", line);
    for (std::string_view controller : split(controllers, ',')) groups.emplace(controller, line);
  }
  return groups;
}

std::optional<int64_t> parse_number(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<int64_t> parse_keyed(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view line = take(&text, '\n');
    if (take(&line, ' ') == key) return parse_number(line);
  }
  return std::nullopt;
}

bool has_word(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    std::string_view line = take(&words, '\n');
    while (!line.empty()) {
      if (take(&line, ' ') == word) return true;
    }
  }
  return false;
}

}  // namespace bcai::sandbox
