// SPDX-License-Identifier: Apache-2.0
// The zygote's loop, and what a forked child does to itself before a job's code runs in it. Loaded
// into the zygote's Python (python/bcai/_zygote.py) and called with its lock held, so that no other
// thread of it runs. The zygote reads no byte of any job.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/proc_paths.h"
#include "sandbox/zygote/message.h"

enum { kChildrenMax = 1024, kSocket = 3, kFirstUser = 1, kFilterMax = 4096 };
static const char kFirstProcess[] = "/opt/bcai/first";

struct child {
  pid_t pid;
  pid_t first;  // process 1 of its pid namespace
  int socket;
};

static struct child children[kChildrenMax];
static struct sock_filter filter[kFilterMax];
static unsigned short filter_length;
static int own_pid_namespace = -1;
// Python's own steps around a fork, its public interface since 3.7.
static void (*before_fork)(void);
static void (*after_fork_in_parent)(void);
static void (*after_fork_in_child)(void);

// ---- Messages ----

static int send_message(int socket, const struct bcai_message* message, int descriptor) {
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
  struct iovec part = {.iov_base = (void*)message, .iov_len = sizeof *message};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  if (descriptor >= 0) {
    header.msg_control = control.bytes;
    header.msg_controllen = sizeof control.bytes;
    struct cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  }
  return sendmsg(socket, &header, MSG_NOSIGNAL) == (ssize_t)sizeof *message ? 0 : -1;
}

// The number of descriptors that came; -1 at the end of the socket.
static int receive_message(int socket, struct bcai_message* message, int* descriptors) {
  union {
    char bytes[CMSG_SPACE(sizeof(int) * BCAI_MESSAGE_DESCRIPTORS_MAX)];
    struct cmsghdr align;
  } control;
  struct iovec part = {.iov_base = message, .iov_len = sizeof *message};
  struct msghdr header = {.msg_iov = &part,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof control.bytes};
  ssize_t got = 0;
  do {
    got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got != (ssize_t)sizeof *message) return -1;
  struct cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (!rights || rights->cmsg_type != SCM_RIGHTS) return 0;
  const size_t bytes = rights->cmsg_len - CMSG_LEN(0);
  memcpy(descriptors, CMSG_DATA(rights), bytes);
  return (int)(bytes / sizeof(int));
}

__attribute__((noreturn)) static void fail(int line) {
  struct bcai_message message = {.kind = BCAI_FAILED, .error = errno, .line = line};
  send_message(kSocket, &message, -1);
  _exit(126);
}

static void must(bool went_well, int line) {
  if (!went_well) fail(line);
}

// ---- The child's own view of the machine, before it knows its job ----

static void mask(const char* name) {
  char path[64] = "/proc/";
  strcat(path, name);
  if (mount("/dev/null", path, NULL, MS_BIND, NULL) == 0) return;
  if (errno == ENOENT) return;
  must(errno == ENOTDIR && mount("tmpfs", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV,
                                 "size=0,nr_inodes=2") == 0,
       __LINE__);
}

static void make_read_only(const char* name) {
  char path[64] = "/proc/";
  strcat(path, name);
  if (mount(path, path, NULL, MS_BIND, NULL) != 0) return must(errno == ENOENT, __LINE__);
  must(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
             NULL) == 0,
       __LINE__);
}

static void attach(const struct bcai_message* message, const int* descriptors) {
  for (uint32_t i = 0; i < message->mounts; i++) {
    must(syscall(SYS_move_mount, descriptors[i], "", AT_FDCWD, message->targets[i],
                 MOVE_MOUNT_F_EMPTY_PATH) == 0,
         __LINE__);
    close(descriptors[i]);
  }
}

static void prepare(const struct bcai_message* message, const int* descriptors) {
  must(unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNET) == 0,
       __LINE__);
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, __LINE__);
  attach(message, descriptors);
  must(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0, __LINE__);
  for (size_t i = 0; i < sizeof kProcMasked / sizeof *kProcMasked; i++) mask(kProcMasked[i]);
  for (size_t i = 0; i < sizeof kProcReadOnly / sizeof *kProcReadOnly; i++) {
    make_read_only(kProcReadOnly[i]);
  }
  must(sethostname("sandbox", 7) == 0, __LINE__);
}

// ---- Rights, given up for good ----

static void write_once(const char* path, const char* text, size_t bytes) {
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  must(file >= 0 && write(file, text, bytes) == (ssize_t)bytes, __LINE__);
  close(file);
}

// "1000 7 1\n": the job's user is `uid` to the zygote and to nobody else, and 1000 to itself.
static void map_own_user(uid_t uid) {
  char line[32] = "1000 ";
  char digits[12];
  size_t count = 0;
  for (uid_t left = uid; left != 0; left /= 10) digits[count++] = (char)('0' + left % 10);
  size_t end = strlen(line);
  while (count > 0) line[end++] = digits[--count];
  memcpy(line + end, " 1\n", 3);
  write_once("/proc/self/setgroups", "deny", 4);
  write_once("/proc/self/uid_map", line, end + 3);
  write_once("/proc/self/gid_map", line, end + 3);
}

// Into a user namespace of its own, which is nobody's over what there is, and out of its rights.
static void drop_privileges(uid_t uid) {
  must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, __LINE__);
  must(setgroups(0, NULL) == 0, __LINE__);
  must(setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0, __LINE__);
  // As execve would: else /proc/self were root's.
  must(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0, __LINE__);
  must(unshare(CLONE_NEWUSER) == 0, __LINE__);
  map_own_user(uid);
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
    must(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0, __LINE__);
  }
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  const struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
  must(syscall(SYS_capset, &header, none) == 0, __LINE__);
}

// Landlock by its kernel interface; the headers of older systems know less of it.
struct landlock_ruleset {
  uint64_t handled_fs;
  uint64_t handled_net;
  uint64_t scoped;
};
struct landlock_path {
  uint64_t allowed;
  int32_t parent;
} __attribute__((packed));
enum {
  kCreateRuleset = 444,
  kAddRule = 445,
  kRestrictSelf = 446,
  kExecute = 1 << 0,
  kWriteFile = 1 << 1,
  kReadFile = 1 << 2,
  kReadDirectory = 1 << 3,
  kUntilRefer = (1 << 14) - 1,
  kTruncate = 1 << 14,
  kDeviceIoctl = 1 << 15,
  kScopeSocketsAndSignals = 3
};

static uint32_t landlock_version(void) {
  const long version = syscall(kCreateRuleset, NULL, 0, 1);
  return version < 0 ? 0 : (uint32_t)version;
}

static void allow(int ruleset, const char* path, uint64_t allowed) {
  const int place = open(path, O_PATH | O_CLOEXEC);
  if (place < 0) return must(errno == ENOENT, __LINE__);
  const struct landlock_path rule = {.allowed = allowed, .parent = place};
  must(syscall(kAddRule, ruleset, 1, &rule, 0) == 0, __LINE__);
  close(place);
}

// A second lock on the file system: what no rule names cannot be opened, should a mount be wrong.
static void restrict_files(void) {
  const uint32_t version = landlock_version();
  if (version < 2) return;  // version 1 cannot allow renames between directories
  const uint64_t everything =
      kUntilRefer | (version >= 3 ? kTruncate : 0) | (version >= 5 ? kDeviceIoctl : 0);
  const struct landlock_ruleset rules = {.handled_fs = everything,
                                         .scoped = version >= 6 ? kScopeSocketsAndSignals : 0};
  const size_t bytes = version >= 6   ? sizeof rules
                       : version >= 4 ? offsetof(struct landlock_ruleset, scoped)
                                      : offsetof(struct landlock_ruleset, handled_net);
  const int ruleset = (int)syscall(kCreateRuleset, &rules, bytes, 0);
  must(ruleset >= 0, __LINE__);
  const uint64_t look = kReadFile | kReadDirectory;
  static const char* const readable[] = {"/usr", "/opt", "/etc", "/in"};
  static const char* const writable[] = {"/work", "/tmp", "/dev/shm"};
  for (size_t i = 0; i < 4; i++) allow(ruleset, readable[i], look | kExecute);
  for (size_t i = 0; i < 3; i++) allow(ruleset, writable[i], everything & ~(uint64_t)kExecute);
  const uint64_t truncate = everything & kTruncate;
  allow(ruleset, "/proc", look | kWriteFile | truncate);
  allow(ruleset, "/dev", look | kWriteFile | truncate | (everything & kDeviceIoctl));
  must(syscall(kRestrictSelf, ruleset, 0) == 0, __LINE__);
  close(ruleset);
}

// The descriptor at which the kernel tells of counted calls; -1: it cannot (Linux 5.0), and the
// filter counts none. Whoever holds it may let a call through: the job never does.
static int restrict_calls(void) {
  if (filter_length == 0) return -1;
  const struct sock_fprog program = {.len = filter_length, .filter = filter};
  const int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                    SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  must(listener > kSocket ||
           (listener < 0 && errno == EINVAL &&
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0),
       __LINE__);
  return listener;
}

// ---- From a zygote's copy to the job's process ----

static void become_job(const struct bcai_message* message, const int* descriptors, uid_t uid) {
  attach(message, descriptors);
  const int* streams = descriptors + message->mounts;
  for (uint32_t i = 0; i < message->limits; i++) {
    const struct rlimit value = {message->limit[i].value, message->limit[i].value};
    must(setrlimit((__rlimit_resource_t)message->limit[i].resource, &value) == 0, __LINE__);
  }
  must(dup2(streams[0], 1) == 1 && dup2(streams[1], 2) == 2, __LINE__);
  must(!message->secrets || dup2(streams[3], 0) == 0, __LINE__);
  drop_privileges(uid);
  umask(077);
  must(chdir("/work") == 0, __LINE__);
  restrict_files();
  const int listener = restrict_calls();
  const struct bcai_message running = {.kind = BCAI_RUNNING};
  must(send_message(kSocket, &running, listener) == 0, __LINE__);
  if (dup2(streams[2], kSocket) < 0 || syscall(SYS_close_range, kSocket + 1, ~0U, 0) != 0) {
    _exit(126);
  }
}

// Returns when the next thing is the job.
static void live(int socket, uid_t uid) {
  dup2(socket, kSocket);
  syscall(SYS_close_range, kSocket + 1, ~0U, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setsid();
  after_fork_in_child();
  struct bcai_message message;
  int descriptors[BCAI_MESSAGE_DESCRIPTORS_MAX];
  // The engine that goes away takes its waiting children with it.
  if (receive_message(kSocket, &message, descriptors) < 0) _exit(0);
  prepare(&message, descriptors);
  const struct bcai_message prepared = {.kind = BCAI_PREPARED};
  must(send_message(kSocket, &prepared, -1) == 0, __LINE__);
  const int count = receive_message(kSocket, &message, descriptors);
  if (count < 0) _exit(0);
  errno = EBADMSG;
  must(message.kind == BCAI_RUN && count == (int)(message.mounts + 3 + message.secrets), __LINE__);
  become_job(&message, descriptors, uid);
}

// ---- The zygote ----

// Shares the zygote's memory until it executes: touches nothing but its own stack.
static int become_first(void* unused) {
  (void)unused;
  signal(SIGCHLD, SIG_IGN);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (syscall(SYS_setresgid, kFirstUser, kFirstUser, kFirstUser) != 0 ||
      syscall(SYS_setresuid, kFirstUser, kFirstUser, kFirstUser) != 0) {
    _exit(126);
  }
  char* const arguments[] = {(char*)"first", NULL};
  char* const environment[] = {NULL};
  syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
  execve(kFirstProcess, arguments, environment);
  _exit(127);
}

static pid_t start_first(void) {
  static char stack[16384] __attribute__((aligned(16)));
  return clone(become_first, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
}

// 0 in the child; in the zygote its number, or -1.
static pid_t fork_between_steps(void) {
  before_fork();
  const pid_t pid = fork();
  if (pid == 0) return 0;
  const int error = errno;
  after_fork_in_parent();
  errno = error;
  return pid;
}

static struct child* free_place(void) {
  for (size_t i = 0; i < kChildrenMax; i++) {
    if (children[i].pid == 0) return &children[i];
  }
  errno = EAGAIN;
  return NULL;
}

// True in the child.
static bool make_child(int socket, uid_t uid) {
  struct bcai_message born = {.kind = BCAI_BORN};
  struct child* place = free_place();
  pid_t first = -1;
  pid_t pid = -1;
  // What is forked from here on is born into the new namespace: first its process 1.
  if (place && unshare(CLONE_NEWPID) == 0) first = start_first();
  if (first > 0) pid = fork_between_steps();
  if (pid == 0) {
    live(socket, uid);
    return true;
  }
  const int error = errno;
  // Else every later child would be born into this job's namespace.
  if (setns(own_pid_namespace, CLONE_NEWPID) != 0) abort();
  errno = error;
  born.error = pid < 0 ? errno : 0;
  const int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
  send_message(socket, &born, pidfd);
  if (pidfd >= 0) close(pidfd);
  if (pid > 0) {
    *place = (struct child){.pid = pid, .first = first, .socket = socket};
  } else {
    if (first > 0) kill(first, SIGKILL);
    close(socket);
  }
  return false;
}

static void reap(void) {
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    for (size_t i = 0; i < kChildrenMax; i++) {
      if (children[i].pid != pid) continue;
      const struct bcai_message ended = {
          .kind = BCAI_ENDED,
          .status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status)};
      kill(children[i].first, SIGKILL);
      send_message(children[i].socket, &ended, -1);
      close(children[i].socket);
      children[i] = (struct child){0, 0, 0};
    }
  }
}

// Puts what has been loaded into huge pages, where the kernel can (Linux 6.1): a fork then copies
// one entry for 512, and with torch costs 6 ms of CPU time less, its end included.
static void collapse_memory(void) {
  enum { kHugePage = 2 << 20, kCollapse = 25 /* MADV_COLLAPSE */ };
  FILE* maps = fopen("/proc/self/maps", "re");
  char line[512];
  while (maps && fgets(line, sizeof line, maps)) {
    unsigned long from = 0;
    unsigned long to = 0;
    unsigned long inode = 0;
    char rights[5] = "";
    if (sscanf(line, "%lx-%lx %4s %*x %*s %lu", &from, &to, rights, &inode) != 4) continue;
    if (strcmp(rights, "rw-p") != 0 || inode != 0 || strstr(line, "[stack]")) continue;
    from = (from + kHugePage - 1) & ~(kHugePage - 1UL);
    for (; from + kHugePage <= to; from += kHugePage) {
      madvise((void*)from, kHugePage, kCollapse);
    }
  }
  if (maps) fclose(maps);
}

static void* python(const char* name) {
  void* found = dlsym(RTLD_DEFAULT, name);
  if (!found) _exit(3);
  return found;
}

static void take_filter(int file) {
  const ssize_t bytes = pread(file, filter, sizeof filter, 0);
  if (bytes <= 0 || (size_t)bytes % sizeof *filter != 0) _exit(3);
  filter_length = (unsigned short)((size_t)bytes / sizeof *filter);
  close(file);
}

// Serves until the engine goes away, and does not return then. Returns in each child that is to run
// a job: its code and files lie in /in and /work, its rights are what they will be.
__attribute__((visibility("default"))) void bcai_zygote_serve(void) {
  const int control = fcntl(kSocket, F_DUPFD_CLOEXEC, 10);
  close(kSocket);
  collapse_memory();
  before_fork = (void (*)(void))python("PyOS_BeforeFork");
  after_fork_in_parent = (void (*)(void))python("PyOS_AfterFork_Parent");
  after_fork_in_child = (void (*)(void))python("PyOS_AfterFork_Child");
  own_pid_namespace = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
  sigset_t ended;
  sigemptyset(&ended);
  sigaddset(&ended, SIGCHLD);
  sigprocmask(SIG_BLOCK, &ended, NULL);
  const int signals = signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK);
  const struct bcai_message ready = {.kind = BCAI_READY, .landlock = landlock_version()};
  if (control < 0 || own_pid_namespace < 0 || signals < 0) _exit(3);
  if (send_message(control, &ready, -1) != 0) _exit(0);
  for (;;) {
    struct pollfd waiting[2] = {{control, POLLIN, 0}, {signals, POLLIN, 0}};
    poll(waiting, 2, -1);
    if (waiting[1].revents != 0) {
      struct signalfd_siginfo ignored;
      while (read(signals, &ignored, sizeof ignored) > 0) {
      }
      reap();
    }
    if (waiting[0].revents == 0) continue;
    struct bcai_message message;
    int descriptors[BCAI_MESSAGE_DESCRIPTORS_MAX];
    if (receive_message(control, &message, descriptors) != 1) _exit(0);
    if (message.kind == BCAI_FILTER) take_filter(descriptors[0]);
    if (message.kind == BCAI_FORK && make_child(descriptors[0], message.uid)) return;
  }
}
