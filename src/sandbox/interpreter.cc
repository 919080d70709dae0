// SPDX-License-Identifier: Apache-2.0
#include "sandbox/interpreter.h"

#include <sys/stat.h>

#include "sandbox/spawn.h"

namespace bcai::sandbox {
namespace {

constexpr const char* kQuestion = R"(
import json, os, sys, sysconfig
from importlib import metadata
site = sysconfig.get_path("purelib")
if not (os.path.isdir(site) and os.listdir(site)): site = ""
found = set()
if site: found = {(d.metadata["Name"], d.version) for d in metadata.distributions(path=[site])}
dynload = [p for p in sys.path if os.path.basename(p) == "lib-dynload"]
print("bcai " + json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3],
    "program": os.path.realpath(sys.executable),
    "standard_library": os.path.realpath(sysconfig.get_path("stdlib")),
    "extensions": os.path.realpath(dynload[0]) if dynload else "",
    "site_packages": os.path.realpath(site) if site else "",
    "packages": sorted([str(n), str(v)] for n, v in found)}))
)";

std::string text_in(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(to_json(name));
  const json::string* text = value ? value->if_string() : nullptr;
  return text ? std::string(*text) : std::string();
}

}  // namespace

std::string Interpreter::short_version() const { return version.substr(0, version.rfind('.')); }

json::object encode(const Interpreter& interpreter) {
  json::array packages;
  for (const auto& [name, version] : interpreter.packages) {
    packages.push_back(json::array{name, version});
  }
  return {{"version", interpreter.version},
          {"program", interpreter.program.string()},
          {"standard_library", interpreter.standard_library.string()},
          {"extensions", interpreter.extensions.string()},
          {"site_packages", interpreter.site_packages.string()},
          {"packages", std::move(packages)}};
}

Result<Interpreter> decode_interpreter(const json::value& value) {
  const json::object* object = value.if_object();
  if (!object) return error(ErrorCode::kDataLoss, "an interpreter's description is no object");
  Interpreter out;
  out.version = text_in(*object, "version");
  out.program = text_in(*object, "program");
  out.standard_library = text_in(*object, "standard_library");
  out.extensions = text_in(*object, "extensions");
  out.site_packages = text_in(*object, "site_packages");
  if (out.version.empty() || out.program.empty() || out.standard_library.empty()) {
    return error(ErrorCode::kDataLoss, "an interpreter's description lacks members");
  }
  const json::value* packages = object->if_contains("packages");
  if (!packages || !packages->is_array()) return out;
  for (const json::value& entry : packages->get_array()) {
    const json::array* pair = entry.if_array();
    if (!pair || pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_string()) continue;
    out.packages.emplace_back(std::string((*pair)[0].get_string()),
                              std::string((*pair)[1].get_string()));
  }
  return out;
}

Result<Interpreter> query_interpreter(const std::string& python) {
  const auto unusable = [&](std::string_view why) {
    return error(ErrorCode::kFailedPrecondition, "the Python interpreter {} cannot be used: {}",
                 python, why);
  };
  auto ran = run_captured({.arguments = {python, "-I", "-c", kQuestion},
                           .environment = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}},
                          Millis(60'000));
  if (!ran) return unusable(ran.error().message);
  // A .pth file of the environment may print too: our line begins with our name.
  const size_t start = ran->output.rfind("bcai {");
  if (ran->status.code != 0 || start == std::string::npos) return unusable(ran->output);
  const size_t end = ran->output.find('\n', start);
  BCAI_TRY_ASSIGN(const json::value answer,
                  parse_json(std::string_view(ran->output).substr(start + 5, end - start - 5)));
  BCAI_TRY_ASSIGN(Interpreter interpreter, decode_interpreter(answer));
  if (interpreter.version.starts_with("2.") || interpreter.version.starts_with("3.7.")) {
    return unusable("it is Python " + interpreter.version + ", expected 3.8 or newer");
  }
  return interpreter;
}

std::string mark_of(const std::filesystem::path& path) {
  struct stat info {};
  if (path.empty() || stat(path.c_str(), &info) != 0) return path.string() + " absent\n";
  return fmt::format("{} {} {} {} {}\n", path.string(), info.st_dev, info.st_ino,
                     info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec,
                     S_ISDIR(info.st_mode) ? 0 : info.st_size);
}

std::string marks_of(const std::string& python, const Interpreter& interpreter) {
  const std::filesystem::path configuration =
      std::filesystem::path(python).parent_path().parent_path() / "pyvenv.cfg";
  return mark_of(python) + mark_of(configuration) + mark_of(interpreter.program) +
         mark_of(interpreter.standard_library) + mark_of(interpreter.extensions) +
         mark_of(interpreter.site_packages);
}

}  // namespace bcai::sandbox
