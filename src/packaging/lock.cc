// SPDX-License-Identifier: Apache-2.0
#include "packaging/lock.h"

#include <algorithm>

#include "base/ascii.h"
#include "packaging/requirement.h"

namespace bcai::packaging {
namespace {

constexpr size_t kPackagesMax = 512;
constexpr int64_t kWheelBytesMax = 16'000'000'000;
constexpr int64_t kFormat = 1;

bool is_short_version(std::string_view text) {
  const size_t dot = text.find('.');
  const auto digits = [](std::string_view part) {
    return !part.empty() && part.size() <= 3 && std::all_of(part.begin(), part.end(), is_digit);
  };
  return dot != std::string_view::npos && digits(text.substr(0, dot)) &&
         digits(text.substr(dot + 1));
}

bool is_platform(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return is_lower(c) || is_digit(c) || c == '_';
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

void read_sha256(Decoder& in, Sha256* out) {
  std::string text;
  in.require("sha256", text);
  if (const auto parsed = Sha256::parse(text)) {
    *out = *parsed;
  } else if (!text.empty()) {
    in.add("sha256", parsed.error().message);
  }
}

std::vector<LockedPackage> decode_packages(Decoder& in, std::string_view key) {
  std::vector<LockedPackage> packages;
  const json::value* list = in.take(key);
  if (list == nullptr || !list->is_array() || list->get_array().size() > kPackagesMax) {
    in.add(key, fmt::format("expected a list of at most {} packages", kPackagesMax));
    return packages;
  }
  std::string previous;
  for (size_t i = 0; i < list->get_array().size(); ++i) {
    const std::string pointer = fmt::format("{}/{}", in.pointer_to(key), i);
    packages.push_back(decode_package(list->get_array()[i], pointer, in.findings()));
    const std::string& name = packages.back().name;
    if (name <= previous) {
      in.findings()->push_back({.pointer = pointer + "/name",
                                .message = "expected packages in the order of their names"});
    }
    previous = name;
  }
  return packages;
}

LockedSource decode_source(Decoder& in, const Lock& lock) {
  LockedSource source;
  in.require("name", source.name, TextLimit{1, 128});
  in.require("file", source.file, TextLimit{1, 255});
  read_sha256(in, &source.sha256);
  in.require("bytes", source.bytes, IntRange{1, kWheelBytesMax});
  source.build_requirements = decode_packages(in, "build_requirements");
  in.refuse_unknown();
  const auto package =
      std::find_if(lock.packages.begin(), lock.packages.end(),
                   [&](const LockedPackage& one) { return one.name == source.name; });
  if (package == lock.packages.end()) {
    in.add("name", fmt::format("expected one of the packages, found '{}'", source.name));
    return source;
  }
  const auto found = Version::parse(source_version(source.file, source.name));
  const auto wanted = Version::parse(package->version);
  if (wanted && (!found || compare(*found, *wanted) != 0)) {
    in.add("file", fmt::format("expected a source distribution of {} {}, found '{}'", source.name,
                               package->version, source.file));
  }
  return source;
}

void decode_sources(Decoder& in, const json::value& list, Lock* lock) {
  if (!list.is_array() || list.get_array().size() > lock->packages.size()) {
    in.add("sources", "expected a list of at most as many as there are packages");
    return;
  }
  std::string previous;
  for (size_t i = 0; i < list.get_array().size(); ++i) {
    Decoder element(list.get_array()[i], fmt::format("{}/{}", in.pointer_to("sources"), i),
                    in.findings());
    lock->sources.push_back(decode_source(element, *lock));
    const std::string& name = lock->sources.back().name;
    if (name <= previous) element.add("name", "expected sources in the order of their names");
    previous = name;
  }
}

json::array encode(const std::vector<LockedPackage>& packages) {
  json::array out;
  for (const LockedPackage& package : packages) out.push_back(encode(package));
  return out;
}

bool is_file_name(std::string_view text) {
  const auto allowed = [](char c) {
    return is_alphanumeric(c) || std::string_view("._+-!").find(c) != std::string_view::npos;
  };
  return text.size() <= 255 && !text.starts_with('.') &&
         std::all_of(text.begin(), text.end(), allowed);
}

}  // namespace

json::object encode(const LockedPackage& package) {
  return {{"name", package.name},
          {"version", package.version},
          {"wheel", package.wheel},
          {"sha256", package.sha256.text()},
          {"bytes", package.bytes}};
}

LockedPackage decode_package(const json::value& value, std::string pointer,
                             std::vector<Finding>* findings) {
  Decoder in(value, std::move(pointer), findings);
  LockedPackage package;
  in.require("name", package.name, TextLimit{1, 128});
  in.require("version", package.version, TextLimit{1, 128});
  in.require("wheel", package.wheel, TextLimit{1, 255});
  read_sha256(in, &package.sha256);
  in.require("bytes", package.bytes, IntRange{1, kWheelBytesMax});
  in.refuse_unknown();
  check_package(in, package.name, package.version);
  if (!package.wheel.empty() && !is_wheel_of(package.wheel, package.name, package.version)) {
    in.add("wheel", fmt::format("expected the file name of a wheel of {} {}, found '{}'",
                                package.name, package.version, package.wheel));
  }
  return package;
}

json::object encode(const Lock& lock) {
  json::object base;
  for (const auto& [name, version] : lock.base) base[name] = version;
  json::object out{{"format", kFormat},
                   {"python", lock.python},
                   {"platform", lock.platform},
                   {"base", std::move(base)},
                   {"packages", encode(lock.packages)}};
  if (lock.sources.empty()) return out;
  json::array sources;
  for (const LockedSource& source : lock.sources) {
    sources.push_back(json::object{{"name", source.name},
                                   {"file", source.file},
                                   {"sha256", source.sha256.text()},
                                   {"bytes", source.bytes},
                                   {"build_requirements", encode(source.build_requirements)}});
  }
  out["sources"] = std::move(sources);
  return out;
}

Lock decode_lock(const json::value& value, std::string pointer, std::vector<Finding>* findings) {
  Lock lock;
  Decoder in(value, std::move(pointer), findings);
  int64_t format = 0;
  in.require("format", format, IntRange{kFormat, kFormat});
  in.require("python", lock.python, TextLimit{1, 16});
  in.require("platform", lock.platform, TextLimit{1, 64});
  in.read("base", lock.base, 4096, {.bytes_min = 1, .bytes_max = 128});
  lock.packages = decode_packages(in, "packages");
  if (const json::value* sources = in.take("sources")) decode_sources(in, *sources, &lock);
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
  return lock;
}

Sha256 digest(const Lock& lock) { return Sha256::of(to_text(encode(lock))); }

bool is_wheel_of(std::string_view file_name, std::string_view name, std::string_view version) {
  constexpr std::string_view kEnd = ".whl";
  if (!file_name.ends_with(kEnd) || !is_file_name(file_name)) return false;
  const auto dashes = std::count(file_name.begin(), file_name.end(), '-');
  if (dashes != 4 && dashes != 5) return false;
  const size_t first = file_name.find('-');
  const size_t second = file_name.find('-', first + 1);
  const auto named = Version::parse(file_name.substr(first + 1, second - first - 1));
  const auto wanted = Version::parse(version);
  return normalized_package_name(file_name.substr(0, first)) == name && named && wanted &&
         compare(*named, *wanted) == 0;
}

bool is_wheel_for(std::string_view file_name, std::string_view python, std::string_view platform) {
  constexpr std::string_view kEnd = ".whl";
  if (!file_name.ends_with(kEnd) || std::count(file_name.begin(), file_name.end(), '-') < 4) {
    return false;
  }
  file_name.remove_suffix(kEnd.size());
  const auto take_last = [&] {
    const size_t dash = file_name.rfind('-');
    const std::string_view last = file_name.substr(dash + 1);
    file_name = file_name.substr(0, dash);
    return last;
  };
  const std::string_view platform_tag = take_last();
  const std::string_view abi = take_last();
  if (platform_tag != "any" && platform_tag != platform) return false;
  const std::string version = fmt::format("3{}", python.substr(python.find('.') + 1));
  std::string_view tags = take_last();
  while (!tags.empty()) {
    const std::string_view tag = tags.substr(0, tags.find('.'));
    tags.remove_prefix(std::min(tags.size(), tag.size() + 1));
    if (abi == "none" && (tag == "py3" || tag == "py" + version || tag == "cp" + version)) {
      return true;
    }
    if (tag == "cp" + version && abi == "cp" + version) return true;
    if (abi == "abi3" && tag.starts_with("cp3")) return true;
  }
  return false;
}

std::string_view source_version(std::string_view file_name, std::string_view name) {
  constexpr std::string_view kEnd = ".tar.gz";
  if (!file_name.ends_with(kEnd) || !is_file_name(file_name)) return {};
  file_name.remove_suffix(kEnd.size());
  const size_t dash = file_name.rfind('-');
  if (dash == std::string_view::npos) return {};
  const std::string_view version = file_name.substr(dash + 1);
  const bool fits =
      normalized_package_name(file_name.substr(0, dash)) == name && Version::parse(version);
  return fits ? version : std::string_view();
}

}  // namespace bcai::packaging
