// SPDX-License-Identifier: Apache-2.0
#include "packaging/lock.h"

#include <algorithm>

#include "packaging/requirement.h"

namespace bcai::packaging {
namespace {

constexpr size_t kPackagesMax = 512;
constexpr int64_t kWheelBytesMax = 16'000'000'000;
constexpr int64_t kFormat = 1;

bool is_short_version(std::string_view text) {
  const size_t dot = text.find('.');
  const auto digits = [](std::string_view part) {
    return !part.empty() && part.size() <= 3 &&
           std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  return dot != std::string_view::npos && digits(text.substr(0, dot)) &&
         digits(text.substr(dot + 1));
}

bool is_platform(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

void check_package(Decoder& in, std::string_view name, std::string_view version) {
  if (!name.empty() && normalized_package_name(name) != name) {
    in.add("name", fmt::format("expected a normalized name, found '{}'", name));
  }
  if (version.empty()) return;
  if (const auto parsed = Version::parse(version); !parsed)
    in.add("version", parsed.error().message);
}

LockedPackage decode_package(Decoder& in) {
  LockedPackage package;
  std::string sha256;
  in.require("name", package.name, TextLimit{1, 128});
  in.require("version", package.version, TextLimit{1, 128});
  in.require("wheel", package.wheel, TextLimit{1, 255});
  in.require("sha256", sha256);
  in.require("bytes", package.bytes, IntRange{1, kWheelBytesMax});
  in.refuse_unknown();
  check_package(in, package.name, package.version);
  if (!package.wheel.empty() && !is_wheel_of(package.wheel, package.name, package.version)) {
    in.add("wheel", fmt::format("expected the file name of a wheel of {} {}, found '{}'",
                                package.name, package.version, package.wheel));
  }
  if (const auto parsed = Sha256::parse(sha256)) {
    package.sha256 = *parsed;
  } else if (!sha256.empty()) {
    in.add("sha256", parsed.error().message);
  }
  return package;
}

}  // namespace

json::object encode(const Lock& lock) {
  json::object base;
  for (const auto& [name, version] : lock.base) base[name] = version;
  json::array packages;
  for (const LockedPackage& package : lock.packages) {
    packages.push_back(json::object{{"name", package.name},
                                    {"version", package.version},
                                    {"wheel", package.wheel},
                                    {"sha256", package.sha256.text()},
                                    {"bytes", package.bytes}});
  }
  return {{"format", kFormat},
          {"python", lock.python},
          {"platform", lock.platform},
          {"base", std::move(base)},
          {"packages", std::move(packages)}};
}

Lock decode_lock(const json::value& value, std::string pointer, std::vector<Finding>* findings) {
  Lock lock;
  Decoder in(value, std::move(pointer), findings);
  int64_t format = 0;
  in.require("format", format, IntRange{kFormat, kFormat});
  in.require("python", lock.python, TextLimit{1, 16});
  in.require("platform", lock.platform, TextLimit{1, 64});
  in.read("base", lock.base, 4096, {.bytes_min = 1, .bytes_max = 128});
  const json::value* packages = in.take("packages");
  in.refuse_unknown();
  if (!lock.python.empty() && !is_short_version(lock.python)) {
    in.add("python", fmt::format("expected a version such as 3.11, found '{}'", lock.python));
  }
  if (!lock.platform.empty() && !is_platform(lock.platform)) {
    in.add("platform", "expected a platform such as linux_x86_64");
  }
  for (const auto& [name, version] : lock.base) {
    if (normalized_package_name(name) != name || name.empty() || !Version::parse(version)) {
      in.add("base", fmt::format("expected normalized names and versions, found '{}': '{}'", name,
                                 version));
    }
  }
  if (packages == nullptr || !packages->is_array() || packages->get_array().size() > kPackagesMax) {
    in.add("packages", fmt::format("expected a list of at most {} packages", kPackagesMax));
    return lock;
  }
  std::string previous;
  for (size_t i = 0; i < packages->get_array().size(); ++i) {
    Decoder element(packages->get_array()[i], fmt::format("{}/{}", in.pointer_to("packages"), i),
                    findings);
    lock.packages.push_back(decode_package(element));
    const std::string& name = lock.packages.back().name;
    if (name <= previous) element.add("name", "expected packages in the order of their names");
    previous = name;
  }
  return lock;
}

Sha256 digest(const Lock& lock) { return Sha256::of(to_text(encode(lock))); }

bool is_wheel_of(std::string_view file_name, std::string_view name, std::string_view version) {
  constexpr std::string_view kEnd = ".whl";
  if (!file_name.ends_with(kEnd) || file_name.size() > 255 || file_name.starts_with('.')) {
    return false;
  }
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._+-!").find(c) != std::string_view::npos;
  };
  if (!std::all_of(file_name.begin(), file_name.end(), allowed)) return false;
  const auto dashes = std::count(file_name.begin(), file_name.end(), '-');
  if (dashes != 4 && dashes != 5) return false;
  const size_t first = file_name.find('-');
  const size_t second = file_name.find('-', first + 1);
  const auto named = Version::parse(file_name.substr(first + 1, second - first - 1));
  const auto wanted = Version::parse(version);
  return normalized_package_name(file_name.substr(0, first)) == name && named && wanted &&
         compare(*named, *wanted) == 0;
}

}  // namespace bcai::packaging
