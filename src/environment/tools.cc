// SPDX-License-Identifier: Apache-2.0
#include "environment/tools.h"

#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "base/crypto.h"
#include "base/file.h"
#include "sandbox/tree_copy.h"

namespace bcai::environment {
namespace fs = std::filesystem;

namespace {

constexpr const char* kCertificates[] = {"/etc/ssl/certs/ca-certificates.crt",
                                         "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};

bool is_program(const fs::path& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && access(path.c_str(), X_OK) == 0;
}

// It runs in a sandbox alone, so it may lie where others than root can write.
Result<fs::path> find_uv(const Options& options) {
  std::vector<fs::path> places = options.search;
  for (const char* one : {"/usr/local/bin", "/usr/bin"}) places.emplace_back(one);
  const bool is_path = options.uv.find('/') != std::string::npos;
  if (is_path && is_program(options.uv)) return fs::path(options.uv);
  for (const fs::path& place : places) {
    if (!is_path && is_program(place / options.uv)) return place / options.uv;
  }
  return error(ErrorCode::kFailedPrecondition,
               "environments are built with uv, and there is no program {} here; install it "
               "(pip install uv) or name it in the node's configuration (uv: /path/to/uv)",
               options.uv);
}

Result<fs::path> find_certificates(const Options& options) {
  if (!options.index_url.starts_with("https://")) return fs::path();
  for (const char* path : kCertificates) {
    if (access(path, R_OK) == 0) return fs::path(path);
  }
  return error(ErrorCode::kFailedPrecondition,
               "the package index is asked over https, and there are no certificates of "
               "authorities here; install ca-certificates");
}

std::string mark_of(const fs::path& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return path.string() + " absent\n";
  return fmt::format("{} {} {} {}\n", path.string(), info.st_ino, info.st_size,
                     info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec);
}

// In the order of their names.
Result<std::map<std::string, fs::path>> wheels_in(const fs::path& directory) {
  std::map<std::string, fs::path> found;
  std::error_code failed;
  for (fs::directory_iterator it(directory, failed), end; !failed && it != end;
       it.increment(failed)) {
    const std::string name = it->path().filename();
    if (name.ends_with(".whl") && it->is_regular_file(failed)) found[name] = it->path();
  }
  if (failed) {
    return error(ErrorCode::kFailedPrecondition, "the wheel directory {} cannot be read: {}",
                 directory.string(), failed.message());
  }
  return found;
}

// A link where both lie on one file system and jobs may read it, else a copy.
Result<void> place(const fs::path& from, const fs::path& to) {
  struct stat info {};
  if (stat(from.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0 &&
      link(from.c_str(), to.c_str()) == 0) {
    return {};
  }
  return sandbox::copy_plain_file(from, to);
}

}  // namespace

Result<Tools> prepare_tools(const Options& options) {
  BCAI_TRY_ASSIGN(const fs::path uv, find_uv(options));
  BCAI_TRY_ASSIGN(const fs::path certificates, find_certificates(options));
  std::string marks = mark_of(uv) + mark_of(certificates);
  std::vector<std::map<std::string, fs::path>> wheels;
  for (const fs::path& directory : options.wheel_directories) {
    BCAI_TRY_ASSIGN(wheels.emplace_back(), wheels_in(directory));
    for (const auto& [name, path] : wheels.back()) marks += mark_of(path);
    marks += '\n';
  }
  const fs::path all = options.directory / "tools";
  const fs::path directory = all / Sha256::of(marks).text().substr(0, 20);
  std::error_code failed;
  if (fs::exists(directory, failed)) return Tools{directory};
  const fs::path temporary = all / "new";
  sandbox::remove_tree(temporary);
  BCAI_TRY(make_directories(temporary, 0755));
  BCAI_TRY(sandbox::copy_plain_file(uv, temporary / "uv"));
  if (!certificates.empty()) {
    BCAI_TRY(sandbox::copy_plain_file(certificates, temporary / "ca.pem"));
  }
  for (size_t i = 0; i < wheels.size(); ++i) {
    const fs::path place_of_wheels = temporary / "wheels" / fmt::format("{}", i);
    BCAI_TRY(make_directories(place_of_wheels, 0755));
    for (const auto& [name, path] : wheels[i]) BCAI_TRY(place(path, place_of_wheels / name));
  }
  if (rename(temporary.c_str(), directory.c_str()) != 0) {
    return errno_error(errno, "rename to " + directory.string());
  }
  return Tools{directory};
}

}  // namespace bcai::environment
