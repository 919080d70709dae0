// SPDX-License-Identifier: Apache-2.0
#include "sandbox/runtime.h"

#include <sys/stat.h>

#include <charconv>

#include "base/file.h"
#include "base/json.h"
#include "sandbox/spawn.h"

namespace bcai::sandbox {
namespace {

constexpr RuntimeVersion kOldestRuntime{{1, 1, 0}};
// The first of each line with the fixes of November 2025.
constexpr RuntimeVersion kFixed{{1, 2, 8}};
constexpr RuntimeVersion kFixed13{{1, 3, 3}};

std::string mark(const std::string& program) {
  struct stat info {};
  if (stat(program.c_str(), &info) != 0) return "";
  return fmt::format("{} {} {} {}", program, info.st_ino, info.st_mtim.tv_sec, info.st_size);
}

std::optional<RuntimeVersion> version_after(std::string_view text, std::string_view word) {
  const size_t at = text.find(word);
  if (at == std::string_view::npos) return std::nullopt;
  const char* next = text.data() + at + word.size();
  const char* end = text.data() + text.size();
  RuntimeVersion version;
  for (int& part : version.parts) {
    const auto [after, failed] = std::from_chars(next, end, part);
    if (failed != std::errc() || part < 0) return std::nullopt;
    next = after;
    if (&part != &version.parts.back()) {
      if (next == end || *next != '.') return std::nullopt;
      next++;
    }
  }
  return version;
}

// What the program said, and after it mark() of then.
std::optional<Runtime> read_note(const std::string& program, std::string_view note) {
  if (!note.ends_with("\n" + mark(program))) return std::nullopt;
  const auto version = parse_runtime_version(note);
  if (!version || *version < kOldestRuntime) return std::nullopt;
  return Runtime{
      .program = program, .version = *version, .libseccomp = parse_libseccomp_version(note)};
}

}  // namespace

std::string RuntimeVersion::text() const {
  return fmt::format("{}.{}.{}", parts[0], parts[1], parts[2]);
}

std::optional<RuntimeVersion> parse_runtime_version(std::string_view output) {
  return version_after(output.substr(0, output.find('\n')), "version ");
}

RuntimeVersion parse_libseccomp_version(std::string_view output) {
  return version_after(output, "\nlibseccomp: ").value_or(RuntimeVersion{});
}

std::string Runtime::warning() const {
  const bool fixed =
      version >= kFixed13 || (version >= kFixed && version < RuntimeVersion{{1, 3, 0}});
  if (fixed) return "";
  return fmt::format(
      "runc {} lacks the fixes of CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881; the user "
      "namespace, in which every job runs, mitigates them; install runc 1.2.8, 1.3.3 or newer",
      version.text());
}

Result<Runtime> find_runtime(const std::string& name) {
  auto program = find_program(name);
  if (!program) {
    return error(ErrorCode::kNotFound, "{}; install it: apt-get install runc",
                 program.error().message);
  }
  BCAI_TRY_ASSIGN(const Captured ran, run_captured({.arguments = {*program, "--version"},
                                                    .environment = {"PATH=/usr/bin:/bin"}},
                                                   Millis(20'000)));
  const auto version = parse_runtime_version(ran.output);
  if (ran.status.code != 0 || !version) {
    return error(ErrorCode::kFailedPrecondition, "{} --version says '{}', expected a version",
                 *program, ran.output.substr(0, 200));
  }
  if (*version < kOldestRuntime) {
    return error(ErrorCode::kFailedPrecondition, "{} is version {}, expected {} or newer", *program,
                 version->text(), kOldestRuntime.text());
  }
  return Runtime{
      .program = *program, .version = *version, .libseccomp = parse_libseccomp_version(ran.output)};
}

Result<Runtime> find_runtime(const std::string& name, const std::filesystem::path& note) {
  const auto program = find_program(name);
  if (auto text = read_file(note); program && text) {
    if (auto known = read_note(*program, *text)) return *std::move(known);
  }
  BCAI_TRY_ASSIGN(Runtime runtime, find_runtime(name));
  BCAI_TRY(write_file(note, fmt::format("version {}\nlibseccomp: {}\n{}", runtime.version.text(),
                                        runtime.libseccomp.text(), mark(runtime.program))));
  return runtime;
}

std::vector<std::string> run_arguments(const Runtime& runtime, const RunPaths& paths,
                                       const std::string& id, bool rootless) {
  return {runtime.program,
          "--root",
          paths.state,
          "--log",
          paths.log,
          "--log-format",
          "json",
          "--rootless",
          rootless ? "true" : "false",
          "run",
          "--detach",
          "--preserve-fds",
          "1",
          "--bundle",
          paths.bundle,
          "--pid-file",
          paths.pid_file,
          id};
}

std::string last_log_message(std::string_view log) {
  std::string last;
  while (!log.empty()) {
    const size_t end = std::min(log.find('\n'), log.size());
    if (auto entry = parse_json(log.substr(0, end)); entry && entry->is_object()) {
      const json::value* message = entry->get_object().if_contains("msg");
      if (message && message->is_string()) last = std::string(message->get_string());
    }
    log.remove_prefix(std::min(end + 1, log.size()));
  }
  return last;
}

}  // namespace bcai::sandbox
