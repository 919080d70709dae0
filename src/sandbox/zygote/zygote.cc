// SPDX-License-Identifier: Apache-2.0
#include "sandbox/zygote/zygote.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/json.h"
#include "sandbox/bundle.h"
#include "sandbox/mounts.h"
#include "sandbox/pidfd.h"
#include "sandbox/tree_copy.h"
#include "sandbox/zygote/message.h"

namespace bcai::sandbox {
namespace fs = std::filesystem;

namespace {

constexpr Millis kAnswerMax{10'000};
constexpr uint32_t kFirstChildId = 2;

Result<void> send(int socket, const bcai_message& message, std::span<const int> descriptors) {
  BCAI_ASSERT(descriptors.size() <= BCAI_MESSAGE_DESCRIPTORS_MAX);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * BCAI_MESSAGE_DESCRIPTORS_MAX)>
      control{};
  iovec part{.iov_base = const_cast<bcai_message*>(&message), .iov_len = sizeof message};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  if (sendmsg(socket, &header, MSG_NOSIGNAL) < 0) return errno_error(errno, "tell a zygote");
  return {};
}

struct Received {
  bcai_message message{};
  UniqueFd descriptor;  // at most one comes this way
};

// One message; kUnavailable when none comes in time or the other end is gone.
Result<Received> receive(int socket, Millis timeout, int stop = -1) {
  pollfd waiting[2] = {{socket, POLLIN, 0}, {stop, POLLIN, 0}};
  const int ready = poll(waiting, 2, static_cast<int>(timeout.count()));
  if (ready <= 0 || waiting[0].revents == 0) {
    return error(ErrorCode::kUnavailable, "a zygote did not answer within {} ms", timeout.count());
  }
  Received received;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec part{.iov_base = &received.message, .iov_len = sizeof received.message};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (const cmsghdr* rights = got > 0 ? CMSG_FIRSTHDR(&header) : nullptr) {
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(rights), sizeof descriptor);
    received.descriptor.reset(descriptor);
  }
  if (got != sizeof received.message) {
    return error(ErrorCode::kUnavailable, "a zygote or its child has ended");
  }
  return received;
}

// The next message of a child, which must be of this kind.
Result<Received> expect(int socket, uint32_t kind) {
  BCAI_TRY_ASSIGN(Received received, receive(socket, kAnswerMax));
  if (received.message.kind == BCAI_FAILED) {
    return errno_error(received.message.error,
                       fmt::format("set up a zygote's child, child.c:{}", received.message.line));
  }
  if (received.message.kind != kind) {
    return error(ErrorCode::kUnavailable, "a zygote's child ended before its task");
  }
  return received;
}

// The process's number on this machine. 0 when it has ended.
pid_t number_of(const UniqueFd& pidfd) {
  const auto text = read_file(fmt::format("/proc/self/fdinfo/{}", pidfd.get()));
  const size_t at = text ? text->find("\nPid:\t") : std::string::npos;
  if (at == std::string::npos) return 0;
  const size_t start = at + 6;
  const auto pid =
      parse_number(std::string_view(*text).substr(start, text->find('\n', start) - start));
  return pid && *pid > 1 ? static_cast<pid_t>(*pid) : 0;
}

void set_mounts(bcai_message* message, const std::vector<std::string>& targets) {
  BCAI_ASSERT(targets.size() <= BCAI_MESSAGE_MOUNTS_MAX);
  message->mounts = static_cast<uint32_t>(targets.size());
  for (size_t i = 0; i < targets.size(); i++) {
    BCAI_ASSERT(targets[i].size() < BCAI_MESSAGE_TARGET_BYTES);
    std::memcpy(message->targets[i], targets[i].c_str(), targets[i].size() + 1);
  }
}

void kill_and_remove(const JobGroup& group) {
  const SystemClock clock;
  group.kill_until_empty(clock, clock.now() + kKillMax);
  group.remove();
}

// Written with the host's rights it is the floor for all that the process starts.
void become_oom_victim(pid_t pid) {
  UniqueFd score(open(fmt::format("/proc/{}/oom_score_adj", pid).c_str(), O_WRONLY | O_CLOEXEC));
  if (score) (void)write_all(score.get(), "1000");
}

}  // namespace

void discard(ZygoteChild child) {
  if (child.pidfd) send_signal(child.pidfd.get(), SIGKILL);
  kill_and_remove(child.group);
}

Zygote::Zygote(ZygoteHost& host, const ZygoteKey& key, Slots::Lease slot)
    : host_(host),
      key_(key),
      slot_(std::move(slot)),
      id_(fmt::format("zygote_{}", host.next_number++)),
      bundle_(host.state / "bundles" / id_),
      group_(host.cgroups, host.group + "/" + id_),
      started_(SystemClock().now()) {}

Zygote::~Zygote() {
  socket_.reset();
  if (process_.pidfd) {
    // It ends by itself when its socket does, and its pid namespace with it.
    pollfd ended{.fd = process_.pidfd.get(), .events = POLLIN, .revents = 0};
    if (poll(&ended, 1, 1000) != 1) send_signal(process_.pidfd.get(), SIGKILL);
    (void)wait_for(process_);
  }
  kill_and_remove(group_);
  remove_tree(bundle_);
  remove_tree(host_.state / "runc" / id_);
}

bool Zygote::alive() const {
  pollfd ended{.fd = process_.pidfd.get(), .events = POLLIN, .revents = 0};
  return process_.pidfd && poll(&ended, 1, 0) == 0;
}

Result<std::shared_ptr<Zygote>> Zygote::start(ZygoteHost& host, const ZygoteKey& key, int stop) {
  BCAI_TRY_ASSIGN(Slots::Lease slot, host.slots->acquire());
  const std::shared_ptr<Zygote> zygote(new Zygote(host, key, std::move(slot)));
  if (auto started = zygote->start(stop); !started) {
    const auto said = read_file(zygote->bundle_ / "output");
    return error(ErrorCode::kUnavailable, "{}: {}", started.error().message,
                 said && !said->empty() ? said->substr(0, 2000) : "it said nothing");
  }
  return zygote;
}

Result<void> Zygote::start(int stop) {
  BCAI_TRY(make_directories(bundle_, 0700));
  BCAI_TRY_ASSIGN(SocketPair sockets, make_sockets(SOCK_SEQPACKET));
  BCAI_TRY_ASSIGN(const Child runc, run_container(sockets.theirs.get()));
  sockets.theirs.reset();
  socket_ = std::move(sockets.ours);
  BCAI_TRY_ASSIGN(const ExitStatus status, wait_for(runc));
  const auto text = read_file(bundle_ / "pid");
  const auto pid = text ? parse_number(*text) : std::nullopt;
  if (pid && *pid > 1) {
    process_.pid = static_cast<pid_t>(*pid);
    process_.pidfd.reset(open_pidfd(process_.pid));
  }
  if (status.code != 0 || !process_.pidfd) {
    const auto log = read_file(bundle_ / "log");
    return error(ErrorCode::kUnavailable, "runc could not start a zygote: {}",
                 log ? last_log_message(*log) : "");
  }
  return wait_until_loaded(stop);
}

Result<Child> Zygote::run_container(int socket) {
  BCAI_TRY_ASSIGN(const Stage stage, stage_zygote(host_.root, key_.overlay, host_.attach_at));
  std::vector<std::string> arguments{"/usr/bin/python3",
                                     "-I",
                                     "-S",
                                     "-B",
                                     "-u",
                                     "/opt/bcai/zygote.py",
                                     host_.root.site_packages_inside(),
                                     key_.overlay.empty() ? "" : kOverlay};
  if (!key_.preload.empty()) arguments.push_back(key_.preload);
  const BundleContext context{.root = host_.attach_at,
                              .cgroup_path = group_.runc_path(),
                              .cgroups = &host_.cgroups,
                              .seccomp = nullptr,
                              .seccomp_listener = "",
                              .rootless = false,
                              .uid = slot_.uid(),
                              .binds = {}};
  BCAI_TRY(write_file(bundle_ / "config.json",
                      to_text(make_zygote_config(arguments, key_.threads, context, kIds))));
  BCAI_TRY(group_.create());
  const UniqueFd output(
      open((bundle_ / "output").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!output) return errno_error(errno, "make a file for a zygote's output");
  const RunPaths paths{.state = host_.state / "runc",
                       .bundle = bundle_,
                       .pid_file = bundle_ / "pid",
                       .log = bundle_ / "log"};
  return spawn({.arguments = run_arguments(host_.runtime, paths, id_, false),
                .environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
                .stdout_fd = output.get(),
                .stderr_fd = output.get(),
                .third_fd = socket,
                .attachments = stage.attachments,
                .cgroup_procs = group_.runtime_procs_files(),
                .dies_with_this_thread = true});
}

Result<void> Zygote::wait_until_loaded(int stop) {
  if (host_.filter) {
    const int descriptor = host_.filter.get();
    BCAI_TRY(send(socket_.get(), {.kind = BCAI_FILTER}, std::span(&descriptor, 1)));
  }
  BCAI_TRY_ASSIGN(const Received ready, receive(socket_.get(), kLoadMax, stop));
  landlock_ = ready.message.landlock;
  started_ = SystemClock().now();
  return {};
}

// What a child sees instead of what the zygote has: the same, with inodes of its own, for a lock on
// a file that two jobs can open would be seen by both.
Result<std::vector<UniqueFd>> Zygote::base_mounts(std::vector<std::string>* targets) {
  std::vector<UniqueFd> mounts;
  const Root& root = host_.root;
  const fs::path empty = host_.state / "roots" / "empty";
  BCAI_TRY_ASSIGN(UniqueFd devices, make_devices());
  mounts.push_back(std::move(devices));
  targets->emplace_back("/dev");
  std::vector<std::pair<fs::path, std::string>> trees{{root.tree / "usr", "/usr"},
                                                      {root.tree / "etc", "/etc"},
                                                      {root.tree / "opt", "/opt"},
                                                      {root.runner, "/opt/bcai"}};
  if (!root.interpreter.site_packages.empty()) {
    trees.emplace_back(root.interpreter.site_packages, root.site_packages_inside());
  }
  if (!key_.overlay.empty()) trees.emplace_back(key_.overlay, kOverlay);
  for (const auto& [path, target] : trees) {
    BCAI_TRY_ASSIGN(UniqueFd mount, overlay_read_only(path, empty));
    mounts.push_back(std::move(mount));
    targets->push_back(target);
  }
  return mounts;
}

Result<void> Zygote::send_base(int socket) {
  std::vector<std::string> targets;
  BCAI_TRY_ASSIGN(const std::vector<UniqueFd> mounts, base_mounts(&targets));
  bcai_message message{.kind = BCAI_PREPARE};
  set_mounts(&message, targets);
  std::vector<int> descriptors;
  for (const UniqueFd& mount : mounts) descriptors.push_back(mount.get());
  return send(socket, message, descriptors);
}

Result<ZygoteChild> Zygote::fork() {
  const uint32_t number = forked_++;
  if (number >= kChildrenMax) {
    return error(ErrorCode::kResourceExhausted, "this zygote has had its {} children",
                 kChildrenMax);
  }
  BCAI_TRY_ASSIGN(SocketPair sockets, make_sockets(SOCK_SEQPACKET));
  ZygoteChild child{
      .zygote = shared_from_this(),
      .socket = std::move(sockets.ours),
      .pidfd = UniqueFd(),
      .uid = slot_.uid() + kFirstChildId + number,
      .group = JobGroup(host_.cgroups, fmt::format("{}/warm_{}", host_.group, host_.next_number++)),
      .calls = UniqueFd()};
  const auto make = [&]() -> Result<void> {
    BCAI_TRY(child.group.create_whole());
    const int theirs = sockets.theirs.get();
    BCAI_TRY(send(socket_.get(), {.kind = BCAI_FORK, .uid = kFirstChildId + number},
                  std::span(&theirs, 1)));
    sockets.theirs.reset();
    BCAI_TRY_ASSIGN(Received born, expect(child.socket.get(), BCAI_BORN));
    child.pidfd = std::move(born.descriptor);
    if (!child.pidfd) return errno_error(born.message.error, "fork a zygote");
    const pid_t pid = number_of(child.pidfd);
    if (pid == 0) return error(ErrorCode::kUnavailable, "a zygote's child ended at once");
    BCAI_TRY(child.group.admit(pid));
    become_oom_victim(pid);
    BCAI_TRY(send_base(child.socket.get()));
    BCAI_TRY(expect(child.socket.get(), BCAI_PREPARED));
    return {};
  };
  if (auto made = make(); !made) {
    discard(std::move(child));
    return made.error();
  }
  return child;
}

Result<void> dispatch(ZygoteChild& child, const Stage& stage, const Limits& limits,
                      const CgroupLayout& cgroups, const ChildStreams& streams) {
  BCAI_TRY(child.group.limit(limits));
  bcai_message message{.kind = BCAI_RUN};
  std::vector<std::string> targets;
  std::vector<int> descriptors;
  for (const Attachment& attachment : stage.attachments) {
    targets.push_back(attachment.target);
    descriptors.push_back(attachment.mount_fd);
  }
  set_mounts(&message, targets);
  descriptors.insert(descriptors.end(), {streams.out, streams.err, streams.control});
  if (streams.secrets >= 0) descriptors.push_back(streams.secrets);
  message.secrets = streams.secrets >= 0 ? 1 : 0;
  for (const ResourceLimit& limit : resource_limits(limits, &cgroups)) {
    BCAI_ASSERT(message.limits < BCAI_MESSAGE_LIMITS_MAX);
    message.limit[message.limits++] = {limit.resource, static_cast<uint64_t>(limit.value)};
  }
  BCAI_TRY(send(child.socket.get(), message, descriptors));
  BCAI_TRY_ASSIGN(Received running, expect(child.socket.get(), BCAI_RUNNING));
  child.calls = std::move(running.descriptor);
  return {};
}

}  // namespace bcai::sandbox
