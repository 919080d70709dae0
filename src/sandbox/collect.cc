// SPDX-License-Identifier: Apache-2.0
#include "sandbox/collect.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/file.h"

namespace bcai::sandbox {
namespace fs = std::filesystem;

namespace {

constexpr size_t kLeftOutMax = 100;
constexpr size_t kNameBytesMax = 1024;
constexpr int64_t kSafetensorsHeaderBytesMax = int64_t{1} << 20;

UniqueFd open_beneath(int directory, const char* name, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  return UniqueFd(static_cast<int>(syscall(SYS_openat2, directory, name, &how, sizeof how)));
}

// The length of the UTF-8 sequence at the start of the text; 0 when it is none, or a control
// character. Refuses overlong forms, surrogates and what lies beyond U+10FFFF.
size_t printable_sequence(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; i++) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const unsigned second = byte(1);
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
      (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f) ||
      (first == 0xc2 && second < 0xa0)) {
    return 0;
  }
  return length;
}

bool printable(std::string_view text) {
  while (!text.empty()) {
    const size_t length = printable_sequence(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

// What a person may be shown of a name that was refused.
std::string shown(std::string_view name) {
  std::string out;
  while (!name.empty() && out.size() < 200) {
    const size_t length = printable_sequence(name);
    if (length == 0) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(name[0]));
      name.remove_prefix(1);
    } else {
      out += name.substr(0, length);
      name.remove_prefix(length);
    }
  }
  if (!name.empty()) out += "…";
  return out;
}

class Collector {
 public:
  Collector(const fs::path& to, const CollectLimits& limits, const Mask& mask)
      : to_(to), limits_(limits), mask_(mask) {}

  Result<Collection> run(int work) {
    read_outputs(work);
    BCAI_TRY(take_tensors(work));
    const UniqueFd outputs = open_beneath(work, "outputs", O_RDONLY | O_DIRECTORY);
    if (outputs) {
      BCAI_TRY(walk(outputs.get(), "outputs/", 0));
    } else if (errno != ENOENT) {
      leave_out("outputs", "it is no directory");
    }
    if (unnamed_ > 0) {
      out_.left_out.push_back({"…", fmt::format("{} more were left out", unnamed_)});
    }
    return std::move(out_);
  }

 private:
  void leave_out(std::string_view name, std::string reason) {
    if (out_.left_out.size() >= kLeftOutMax) {
      unnamed_++;
      return;
    }
    out_.left_out.push_back({shown(mask_.text(name)), std::move(reason)});
  }

  void read_outputs(int work) {
    const UniqueFd fd = open_beneath(work, ".bcai/outputs.json", O_RDONLY);
    struct stat info {};
    if (!fd || fstat(fd.get(), &info) != 0) return;
    if (!S_ISREG(info.st_mode)) return leave_out("outputs.json", "it is no regular file");
    std::string text;
    char buffer[65536];
    for (;;) {
      const ssize_t got = read(fd.get(), buffer, sizeof buffer);
      if (got <= 0) break;
      text.append(buffer, static_cast<size_t>(got));
      if (static_cast<int64_t>(text.size()) > limits_.outputs_json_bytes_max) {
        return leave_out("outputs.json", fmt::format("the values take more than {} bytes as JSON",
                                                     limits_.outputs_json_bytes_max));
      }
    }
    out_.outputs_json = mask_.empty() ? std::move(text) : mask_.json(text);
  }

  Result<void> take_tensors(int work) {
    const UniqueFd directory = open_beneath(work, ".bcai", O_RDONLY | O_DIRECTORY);
    struct stat info {};
    if (!directory ||
        fstatat(directory.get(), "outputs.safetensors", &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return {};
    }
    return take(directory.get(), "outputs.safetensors", "outputs.safetensors",
                limits_.carried_bytes_max + kSafetensorsHeaderBytesMax);
  }

  Result<void> walk(int directory, const std::string& prefix, int depth) {
    BCAI_TRY_ASSIGN(const std::vector<std::string> names, list(directory));
    for (const std::string& name : names) {
      const std::string path = prefix + name;
      if (entries_++ == limits_.entries_max) {
        leave_out("outputs", fmt::format("more than {} entries; the rest was not looked at",
                                         limits_.entries_max));
      }
      if (entries_ > limits_.entries_max) return {};
      if (!printable(name) || path.size() > kNameBytesMax) {
        leave_out(path, "its name is too long, not UTF-8 or holds control characters");
        continue;
      }
      struct stat info {};
      if (fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (!S_ISDIR(info.st_mode)) {
        BCAI_TRY(take_artifact(directory, name, path));
      } else if (depth + 1 > limits_.depth_max) {
        leave_out(path, fmt::format("more than {} directories deep", limits_.depth_max));
      } else if (const UniqueFd below =
                     open_beneath(directory, name.c_str(), O_RDONLY | O_DIRECTORY)) {
        BCAI_TRY(walk(below.get(), path + "/", depth + 1));
      } else {
        leave_out(path, "it cannot be read");
      }
    }
    return {};
  }

  // Sorted, so that the same files give the same artifacts.
  Result<std::vector<std::string>> list(int directory) const {
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(
        fdopendir(fcntl(directory, F_DUPFD_CLOEXEC, 3)), closedir);
    if (!stream) return errno_error(errno, "list a directory of outputs");
    std::vector<std::string> names;
    while (const dirent* entry = readdir(stream.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      names.emplace_back(name);
      if (std::cmp_greater(names.size(), limits_.entries_max)) break;
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<void> take_artifact(int directory, const std::string& name, const std::string& path) {
    if (files_ >= limits_.artifacts_max) {
      leave_out(path, fmt::format("more than {} files", limits_.artifacts_max));
      return {};
    }
    const size_t before = out_.artifacts.size();
    BCAI_TRY(take(directory, name, path, limits_.artifact_bytes_max - bytes_));
    if (out_.artifacts.size() == before) return {};
    files_++;
    bytes_ += out_.artifacts.back().bytes;
    return {};
  }

  Result<void> take(int directory, const std::string& name, const std::string& path,
                    int64_t bytes_max) {
    const UniqueFd fd = open_beneath(directory, name.c_str(), O_RDONLY);
    struct stat info {};
    if (!fd || fstat(fd.get(), &info) != 0) {
      leave_out(path, errno == ELOOP ? "it is a link" : "it cannot be read");
      return {};
    }
    if (!S_ISREG(info.st_mode)) {
      leave_out(path, "it is no regular file");
      return {};
    }
    if (info.st_nlink != 1) {
      leave_out(path, fmt::format("it has {} names (hard links)", info.st_nlink));
      return {};
    }
    const auto too_large = [&] {
      leave_out(path, fmt::format("larger than the {} bytes that are left for files", bytes_max));
    };
    // A sparse file may claim any size; reading it would give zeroes for hours.
    if (info.st_size > bytes_max) {
      too_large();
      return {};
    }
    if (mask_.text(path) != path) {
      leave_out(path, "its name holds the value of a secret");
      return {};
    }
    if (out_.artifacts.empty()) BCAI_TRY(make_directories(to_, 0700));
    const fs::path target = to_ / fmt::format("artifact_{:05}", out_.artifacts.size());
    BCAI_TRY_ASSIGN(const Copied copied, copy(fd.get(), target, bytes_max));
    if (!copied.whole) unlink(target.c_str());
    if (copied.secret) {
      leave_out(path, "it holds the value of a secret");
      return {};
    }
    if (!copied.whole) {
      too_large();
      return {};
    }
    out_.artifacts.push_back(
        {.name = path, .path = target, .sha256 = copied.sha256, .bytes = copied.bytes});
    return {};
  }

  struct Copied {
    bool whole = false;
    bool secret = false;  // it holds one, and what was copied ends before
    int64_t bytes = 0;
    Sha256 sha256;
  };

  Result<Copied> copy(int from, const fs::path& target, int64_t bytes_max) const {
    unlink(target.c_str());  // of an earlier run under the same name
    UniqueFd to(open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!to) return errno_error(errno, "create " + target.string());
    Copied copied;
    Sha256Stream hash;
    SecretSearch search(mask_);
    std::vector<char> buffer(size_t{1} << 18);
    for (;;) {
      const ssize_t got = read(from, buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return errno_error(errno, "read an artifact");
      if (got == 0) break;
      copied.bytes += got;
      if (copied.bytes > bytes_max) return copied;
      const std::string_view data(buffer.data(), static_cast<size_t>(got));
      copied.secret = search.feed(data);
      if (copied.secret) return copied;
      hash.update(data);
      BCAI_TRY(write_all(to.get(), data));
    }
    copied.whole = true;
    copied.sha256 = hash.finish();
    return copied;
  }

  fs::path to_;
  CollectLimits limits_;
  const Mask& mask_;
  Collection out_;
  int64_t files_ = 0;
  int64_t bytes_ = 0;
  int64_t unnamed_ = 0;
  int entries_ = 0;
};

}  // namespace

Result<Collection> collect(int work_fd, const fs::path& to, const CollectLimits& limits,
                           const Mask& mask) {
  return Collector(to, limits, mask).run(work_fd);
}

}  // namespace bcai::sandbox
