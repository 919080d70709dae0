// SPDX-License-Identifier: Apache-2.0
#include "sandbox/denied_calls.h"

#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace bcai::sandbox {
namespace {

constexpr const char* kSocketName = "calls";
constexpr unsigned kNotifyLevel = 5;  // of libseccomp's API

std::string name_of(const seccomp_data& call) {
  char* found = seccomp_syscall_resolve_num_arch(call.arch, call.nr);
  const std::unique_ptr<char, decltype(&std::free)> name(found, &std::free);
  return name ? name.get() : fmt::format("system call {}", call.nr);
}

// One message of a stream with a descriptor beside it; what it says is the container's state.
Result<UniqueFd> receive_descriptor(int connection) {
  char state[16'384];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part{.iov_base = state, .iov_len = sizeof state};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(connection, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  const cmsghdr* rights = got > 0 ? CMSG_FIRSTHDR(&header) : nullptr;
  if (!rights || rights->cmsg_type != SCM_RIGHTS) {
    return error(ErrorCode::kUnavailable, "the runtime sent no descriptor of denied calls");
  }
  int descriptor = -1;
  std::memcpy(&descriptor, CMSG_DATA(rights), sizeof descriptor);
  return UniqueFd(descriptor);
}

}  // namespace

bool can_count_calls() { return seccomp_api_get() >= kNotifyLevel; }

Result<ListenerSocket> ListenerSocket::make(const std::filesystem::path& directory) {
  ListenerSocket made;
  made.directory_.reset(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!made.directory_) return errno_error(errno, "open " + directory.string());
  made.socket_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = made.path();
  BCAI_ASSERT(path.size() < sizeof address.sun_path);
  std::copy(path.begin(), path.end(), address.sun_path);
  if (!made.socket_ ||
      bind(made.socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(made.socket_.get(), 1) != 0) {
    return errno_error(errno, "listen for denied calls in " + directory.string());
  }
  return made;
}

std::string ListenerSocket::path() const {
  return fmt::format("/proc/{}/fd/{}/{}", getpid(), directory_.get(), kSocketName);
}

Result<UniqueFd> ListenerSocket::receive() const {
  const UniqueFd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) {
    return error(ErrorCode::kUnavailable, "the runtime did not tell where denied calls are told");
  }
  return receive_descriptor(connection.get());
}

void DeniedCalls::answer(short events) {
  if ((events & POLLIN) == 0) return listener_.reset();
  seccomp_notif* call = nullptr;
  seccomp_notif_resp* answer = nullptr;
  if (seccomp_notify_alloc(&call, &answer) != 0) return;
  // Fails when the caller has been killed since.
  if (seccomp_notify_receive(listener_.get(), call) == 0) {
    counts_[name_of(call->data)] += 1;
    total_ += 1;
    answer->id = call->id;
    answer->error = -EPERM;
    (void)seccomp_notify_respond(listener_.get(), answer);
  }
  seccomp_notify_free(call, answer);
}

}  // namespace bcai::sandbox
