// SPDX-License-Identifier: Apache-2.0
#include "sandbox/staging.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "sandbox/mounts.h"

namespace bcai::sandbox {
namespace {

constexpr uint32_t kKeepOwner = ~uint32_t{0};

UniqueFd open_below(int directory, const std::string& path, uint64_t flags, uint64_t mode = 0) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  return UniqueFd(
      static_cast<int>(syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how)));
}

Result<void> own(int fd, uint32_t uid, const std::string& path) {
  if (uid == kKeepOwner || fchown(fd, uid, uid) == 0) return {};
  return errno_error(errno, "give " + path + " to the job");
}

// Every directory on the way to `path` becomes the job's.
Result<void> make_parents(int work, const std::string& path, uint32_t uid) {
  for (size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string directory = path.substr(0, slash);
    if (mkdirat(work, directory.c_str(), 0700) != 0) {
      if (errno == EEXIST) continue;
      return errno_error(errno, "make the directory " + directory + " of an input file");
    }
    const UniqueFd made = open_below(work, directory, O_RDONLY | O_DIRECTORY);
    if (!made) return errno_error(errno, "open " + directory);
    BCAI_TRY(own(made.get(), uid, directory));
  }
  return {};
}

Result<void> write_new(int directory, const std::string& name, std::string_view data,
                       unsigned mode) {
  const UniqueFd fd = open_below(directory, name, O_WRONLY | O_CREAT | O_EXCL, mode);
  if (!fd) return errno_error(errno, "create " + name);
  BCAI_TRY(write_all(fd.get(), data));
  if (fchmod(fd.get(), mode) != 0) return errno_error(errno, "chmod " + name);
  return {};
}

// A new file of the job's.
Result<UniqueFd> create(int work, const std::string& path, uint32_t uid) {
  BCAI_TRY(make_parents(work, path, uid));
  UniqueFd fd = open_below(work, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!fd) return errno_error(errno, "create the file " + path);
  BCAI_TRY(own(fd.get(), uid, path));
  return fd;
}

Result<void> put_code(int work, const Task& task, uint32_t uid) {
  BCAI_TRY_ASSIGN(const UniqueFd to, create(work, task.filename, uid));
  if (auto put = write_all(to.get(), task.code); !put) {
    return Error{put.error().code, "the code as " + task.filename + ": " + put.error().message};
  }
  return {};
}

Result<void> put_file(int work, const InputFile& file, uint32_t uid) {
  const UniqueFd from(open(file.source.c_str(), O_RDONLY | O_CLOEXEC));
  if (!from) return errno_error(errno, "open " + file.source.string());
  BCAI_TRY_ASSIGN(const UniqueFd to, create(work, file.path, uid));
  std::vector<char> buffer(size_t{1} << 18);
  for (;;) {
    const ssize_t got = read(from.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read " + file.source.string());
    if (got == 0) return {};
    if (auto put = write_all(to.get(), {buffer.data(), static_cast<size_t>(got)}); !put) {
      return Error{put.error().code, "input file " + file.path + ": " + put.error().message};
    }
  }
}

Result<void> fill(int in, int work, const Task& task, const std::string& task_json, uint32_t uid) {
  if (task.native.empty()) {
    BCAI_TRY(write_new(in, "task.json", task_json, 0444));
    BCAI_TRY(write_new(in, "main.py", task.code, 0444));
    BCAI_TRY(put_code(work, task, uid));
  }
  for (const InputFile& file : task.files) BCAI_TRY(put_file(work, file, uid));
  return {};
}

// Of this machine, shown to the task.
std::vector<std::pair<std::filesystem::path, std::string>> task_directories(const Task& task) {
  std::vector<std::pair<std::filesystem::path, std::string>> out;
  if (!task.native.empty()) return out;
  if (!task.overlay.empty()) out.emplace_back(task.overlay, kOverlay);
  if (!task.proxy.empty()) out.emplace_back(task.proxy, kProxyDirectory);
  return out;
}

void attach(UniqueFd mount, const std::string& target, Stage* stage) {
  stage->attachments.push_back({mount.get(), target});
  stage->mounts.push_back(std::move(mount));
}

Result<void> attach_root(const Root& root, const std::string& attach_at, Stage* stage) {
  BCAI_TRY_ASSIGN(UniqueFd tree, clone_read_only(root.tree));
  attach(std::move(tree), attach_at, stage);
  if (!root.runner.empty()) {
    BCAI_TRY_ASSIGN(UniqueFd runner, clone_read_only(root.runner));
    attach(std::move(runner), attach_at + "/opt/bcai", stage);
  }
  if (!root.interpreter.site_packages.empty()) {
    BCAI_TRY_ASSIGN(UniqueFd site, clone_read_only(root.interpreter.site_packages));
    attach(std::move(site), attach_at + root.site_packages_inside(), stage);
  }
  return {};
}

int64_t in_bytes_of(const Task& task, const std::string& task_json) {
  return static_cast<int64_t>(task_json.size() + task.code.size()) + 65'536;
}

// /in and /work.
Result<void> attach_files(const Task& task, const std::string& task_json,
                          const std::string& attach_at, uint32_t uid, Stage* stage) {
  BCAI_TRY_ASSIGN(
      UniqueFd in,
      make_tmpfs({.bytes_max = in_bytes_of(task, task_json), .inodes_max = 8, .mode = 0755}));
  BCAI_TRY_ASSIGN(stage->work, make_tmpfs({.bytes_max = task.limits.disk_bytes_max,
                                           .inodes_max = task.limits.inodes_max,
                                           .mode = 0700,
                                           .uid = uid}));
  BCAI_TRY(fill(in.get(), stage->work.get(), task, task_json, uid));
  BCAI_TRY(make_read_only(in.get()));
  attach(std::move(in), attach_at + "/in", stage);
  stage->attachments.push_back({stage->work.get(), attach_at + "/work"});
  return {};
}

}  // namespace

Result<Stage> stage_mounts(const Task& task, const Root& root, const std::string& task_json,
                           const std::string& attach_at, uint32_t uid) {
  Stage stage;
  BCAI_TRY(attach_root(root, attach_at, &stage));
  for (const auto& [path, inside] : task_directories(task)) {
    BCAI_TRY_ASSIGN(UniqueFd mount, clone_read_only(path));
    attach(std::move(mount), attach_at + inside, &stage);
  }
  BCAI_TRY(attach_files(task, task_json, attach_at, uid, &stage));
  return stage;
}

Result<Stage> stage_child(const Task& task, const std::string& task_json, uint32_t uid) {
  Stage stage;
  BCAI_TRY(attach_files(task, task_json, "", uid, &stage));
  for (const char* place : {"/tmp", "/dev/shm"}) {
    BCAI_TRY_ASSIGN(UniqueFd mount, make_tmpfs({.bytes_max = scratch_bytes_max(task.limits),
                                                .inodes_max = task.limits.inodes_max,
                                                .mode = 01777}));
    attach(std::move(mount), place, &stage);
  }
  return stage;
}

Result<Stage> stage_zygote(const Root& root, const std::filesystem::path& overlay,
                           const std::string& attach_at) {
  Stage stage;
  BCAI_TRY(attach_root(root, attach_at, &stage));
  if (!overlay.empty()) {
    BCAI_TRY_ASSIGN(UniqueFd mount, clone_read_only(overlay));
    attach(std::move(mount), attach_at + kOverlay, &stage);
  }
  return stage;
}

Result<Stage> stage_guest(const Root& root, const std::filesystem::path& overlay,
                          const std::filesystem::path& proxy, const std::string& attach_at,
                          uint32_t uid) {
  Stage stage;
  BCAI_TRY(attach_root(root, attach_at, &stage));
  for (const auto& [path, inside] :
       {std::pair(overlay, kOverlay), std::pair(proxy, kProxyDirectory)}) {
    if (path.empty()) continue;
    BCAI_TRY_ASSIGN(UniqueFd mount, clone_read_only(path));
    attach(std::move(mount), attach_at + inside, &stage);
  }
  const TmpfsOptions small{.bytes_max = 65'536, .inodes_max = 16, .mode = 0700, .uid = uid};
  BCAI_TRY_ASSIGN(stage.work, make_tmpfs(small));
  BCAI_TRY_ASSIGN(stage.in, make_tmpfs({.bytes_max = 65'536, .inodes_max = 8, .mode = 0755}));
  stage.attachments.push_back({stage.work.get(), attach_at + "/work"});
  stage.attachments.push_back({stage.in.get(), attach_at + "/in"});
  return stage;
}

Result<void> fill_guest(const Stage& stage, const Task& task, const std::string& task_json,
                        uint32_t uid) {
  BCAI_TRY(resize_tmpfs(stage.in.get(), in_bytes_of(task, task_json), 8));
  BCAI_TRY(resize_tmpfs(stage.work.get(), task.limits.disk_bytes_max, task.limits.inodes_max));
  return fill(stage.in.get(), stage.work.get(), task, task_json, uid);
}

Result<Stage> stage_directories(const Task& task, const Root& root, const std::string& task_json,
                                const std::filesystem::path& directory) {
  Stage stage;
  const std::filesystem::path in = directory / "in";
  const std::filesystem::path work = directory / "work";
  BCAI_TRY(make_directories(in, 0755));
  BCAI_TRY(make_directories(work, 0700));
  const UniqueFd in_fd(open(in.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  stage.work.reset(open(work.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!in_fd || !stage.work) return errno_error(errno, "open " + directory.string());
  BCAI_TRY(fill(in_fd.get(), stage.work.get(), task, task_json, kKeepOwner));
  stage.binds = {{in, "/in", false}, {work, "/work", true}};
  if (!root.runner.empty()) stage.binds.push_back({root.runner, "/opt/bcai", false});
  if (!root.interpreter.site_packages.empty()) {
    stage.binds.push_back({root.interpreter.site_packages, root.site_packages_inside(), false});
  }
  for (const auto& [path, inside] : task_directories(task)) {
    stage.binds.push_back({path, inside, false});
  }
  return stage;
}

}  // namespace bcai::sandbox
