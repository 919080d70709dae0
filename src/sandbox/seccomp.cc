// SPDX-License-Identifier: Apache-2.0
#include "sandbox/seccomp.h"

#include <cerrno>

namespace bcai::sandbox {
namespace {

constexpr ArgumentRule equal(unsigned index, uint64_t value) {
  return {index, Compare::kEqual, value, 0};
}
constexpr ArgumentRule not_equal(unsigned index, uint64_t value) {
  return {index, Compare::kNotEqual, value, 0};
}
constexpr ArgumentRule masked(unsigned index, uint64_t mask, uint64_t value) {
  return {index, Compare::kMaskedEqual, mask, value};
}

constexpr uint64_t kAfUnix = 1;
constexpr uint64_t kAfInet = 2;
// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
constexpr uint64_t kNamespaceFlags = 0x7E020000;
constexpr bool kCounted = true;

constexpr SeccompRule kRules[] = {
    // Files.
    {"read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek", 0, {}, ""},
    {"open openat openat2 creat close close_range dup dup2 dup3 pipe pipe2 fcntl flock", 0, {}, ""},
    {"stat fstat lstat newfstatat statx access faccessat faccessat2 statfs fstatfs", 0, {}, ""},
    {"getdents getdents64 getcwd chdir fchdir readlink readlinkat umask", 0, {}, ""},
    {"rename renameat renameat2 mkdir mkdirat rmdir link linkat unlink unlinkat symlink symlinkat",
     0,
     {},
     ""},
    {"chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat",
     0,
     {},
     "shutil and tarfile call them; without capabilities only the job's own files change"},
    {"utime utimes utimensat futimesat truncate ftruncate fallocate fadvise64 readahead",
     0,
     {},
     ""},
    {"fsync fdatasync sync_file_range sendfile copy_file_range", 0, {}, ""},
    {"getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr "
     "fremovexattr",
     0,
     {},
     "shutil.copystat fails on ENOSYS"},
    {"setxattr lsetxattr fsetxattr", EOPNOTSUPP, {}, "what shutil takes as 'not here'"},
    {"mknod", 0, masked(1, 0170000, 0010000), "os.mkfifo; devices would need a capability"},
    {"mknodat", 0, masked(2, 0170000, 0010000), "os.mkfifo"},
    {"inotify_init inotify_init1 inotify_add_watch inotify_rm_watch", 0, {}, ""},

    // Waiting.
    {"poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait "
     "epoll_pwait2 eventfd eventfd2 signalfd signalfd4",
     0,
     {},
     ""},
    {"timerfd_create timerfd_settime timerfd_gettime timer_create timer_settime timer_gettime "
     "timer_getoverrun timer_delete getitimer setitimer alarm pause",
     0,
     {},
     ""},
    {"nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times", 0, {}, ""},

    // Memory.
    {"mmap munmap mremap mprotect madvise mincore msync brk mlock mlock2 munlock membarrier",
     0,
     {},
     "mlock is bounded by RLIMIT_MEMLOCK"},
    {"get_mempolicy getcpu", 0, {}, "libnuma asks at start"},

    // Processes and threads.
    {"clone", 0, masked(0, kNamespaceFlags, 0), "fork and threads, but no namespaces"},
    {"clone3", ENOSYS, {}, "its flags lie in memory, out of a filter's sight; glibc takes clone"},
    {"fork vfork execve exit exit_group wait4 waitid", 0, {}, ""},
    {"futex futex_waitv set_robust_list get_robust_list set_tid_address rseq arch_prctl "
     "restart_syscall",
     0,
     {},
     ""},
    // prctl: the names and switches of a thread, and not PR_SET_SECCOMP, PR_SET_MM and the like.
    {"prctl", 0, equal(0, 1), "PR_SET_PDEATHSIG"},
    {"prctl", 0, equal(0, 2), "PR_GET_PDEATHSIG"},
    {"prctl", 0, equal(0, 3), "PR_GET_DUMPABLE"},
    {"prctl", 0, equal(0, 4), "PR_SET_DUMPABLE"},
    {"prctl", 0, equal(0, 15), "PR_SET_NAME"},
    {"prctl", 0, equal(0, 16), "PR_GET_NAME"},
    {"prctl", 0, equal(0, 23), "PR_CAPBSET_READ"},
    {"prctl", 0, equal(0, 29), "PR_SET_TIMERSLACK"},
    {"prctl", 0, equal(0, 30), "PR_GET_TIMERSLACK"},
    {"prctl", 0, equal(0, 36), "PR_SET_CHILD_SUBREAPER"},
    {"prctl", 0, equal(0, 37), "PR_GET_CHILD_SUBREAPER"},
    {"prctl", 0, equal(0, 38), "PR_SET_NO_NEW_PRIVS"},
    {"prctl", 0, equal(0, 39), "PR_GET_NO_NEW_PRIVS"},
    {"prctl", 0, equal(0, 41), "PR_SET_THP_DISABLE"},
    {"prctl", 0, equal(0, 42), "PR_GET_THP_DISABLE"},
    {"prctl", 0, equal(0, 0x53564d41), "PR_SET_VMA: allocators name their memory"},
    {"rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend "
     "rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack",
     0,
     {},
     ""},
    {"kill tkill tgkill pidfd_open pidfd_send_signal",
     0,
     {},
     "the pid namespace holds nobody but the job"},
    {"getpid getppid gettid getpgid getpgrp getsid setpgid setsid", 0, {}, ""},
    {"getuid geteuid getgid getegid getgroups getresuid getresgid capget", 0, {}, ""},
    {"getrlimit setrlimit prlimit64 getrusage getpriority setpriority sysinfo uname",
     0,
     {},
     "limits can be lowered only"},
    {"sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler "
     "sched_get_priority_max sched_get_priority_min sched_rr_get_interval",
     0,
     {},
     ""},
    {"getrandom", 0, {}, ""},

    // Sockets: between the job's own processes.
    {"socket", 0, equal(0, kAfUnix), ""},
    {"socket", EPERM, not_equal(0, kAfUnix),
     "also AF_VSOCK and AF_ALG, which a network namespace does not hold back"},
    {"socketpair", 0, equal(0, kAfUnix), ""},
    {"socketpair", EPERM, not_equal(0, kAfUnix), ""},
    {"bind listen accept accept4 connect shutdown getsockname getpeername setsockopt getsockopt",
     0,
     {},
     ""},
    {"sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg", 0, {}, ""},

    // ioctl: each request that is known to be needed and harmless.
    {"ioctl", 0, equal(1, 0x5401), "TCGETS: isatty"},
    {"ioctl", 0, equal(1, 0x540F), "TIOCGPGRP"},
    {"ioctl", 0, equal(1, 0x5413), "TIOCGWINSZ: the width of progress bars"},
    {"ioctl", 0, equal(1, 0x541B), "FIONREAD"},
    {"ioctl", 0, equal(1, 0x5421), "FIONBIO"},
    {"ioctl", 0, equal(1, 0x5450), "FIONCLEX"},
    {"ioctl", 0, equal(1, 0x5451), "FIOCLEX: Python sets it on each descriptor"},

    // Never legitimate in a job. Counted is what no library tries to find out what it can use.
    {"mount umount umount2 mount_setattr move_mount open_tree open_tree_attr fsopen fsconfig "
     "fsmount fspick pivot_root chroot swapon swapoff",
     EPERM,
     {},
     "mounts",
     kCounted},
    {"statmount listmount", EPERM, {}, "mounts, as tools look at them"},
    {"unshare setns", EPERM, {}, "namespaces", kCounted},
    {"ptrace process_vm_readv process_vm_writev pidfd_getfd",
     EPERM,
     {},
     "other processes' memory and descriptors",
     kCounted},
    {"process_madvise process_mrelease kcmp", EPERM, {}, "as above; allocators and drivers ask"},
    {"bpf perf_event_open userfaultfd",
     EPERM,
     {},
     "large or often broken parts of the kernel",
     kCounted},
    {"io_uring_setup io_uring_enter io_uring_register memfd_secret vmsplice",
     EPERM,
     {},
     "as above; event loops look whether they are there"},
    {"add_key request_key keyctl", EPERM, {}, "keys are not held back by namespaces", kCounted},
    {"open_by_handle_at", EPERM, {}, "files by handle pass by every mount", kCounted},
    {"name_to_handle_at", EPERM, {}, "as above; tells mounts apart"},
    {"init_module finit_module delete_module kexec_load kexec_file_load reboot",
     EPERM,
     {},
     "the kernel itself",
     kCounted},
    {"create_module query_module get_kernel_syms syslog", EPERM, {}, "the kernel itself"},
    {"acct quotactl quotactl_fd nfsservctl lookup_dcookie fanotify_init fanotify_mark uselib ustat "
     "sysfs _sysctl vhangup",
     EPERM,
     {},
     "the machine's administration"},
    {"settimeofday clock_settime clock_adjtime adjtimex stime sethostname setdomainname",
     EPERM,
     {},
     "time and names"},
    {"iopl ioperm modify_ldt personality vm86 vm86old", EPERM, {}, "hardware and segments"},
    {"setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset",
     EPERM,
     {},
     "identity"},
    {"sched_setscheduler sched_setparam sched_setattr ioprio_set mbind set_mempolicy "
     "migrate_pages move_pages mlockall",
     EPERM,
     {},
     "other people's share of the machine"},
    {"io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents", EPERM, {}, "old aio"},
    {"mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr msgget msgsnd msgrcv "
     "msgctl semget semop semctl semtimedop shmget shmat shmctl shmdt",
     EPERM,
     {},
     "kernel memory outside the files' limits"},
};

const char* native_architecture() {
#if defined(__x86_64__)
  return "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
  return "SCMP_ARCH_AARCH64";
#else
#error "the sandbox's table of system calls is for x86-64 and aarch64"
#endif
}

json::array words(std::string_view text) {
  json::array out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    out.emplace_back(to_json(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

json::object encode(const ArgumentRule& rule) {
  json::object out{{"index", rule.index}, {"value", rule.value}};
  switch (rule.compare) {
    case Compare::kEqual: out["op"] = "SCMP_CMP_EQ"; break;
    case Compare::kNotEqual: out["op"] = "SCMP_CMP_NE"; break;
    case Compare::kMaskedEqual:
      out["op"] = "SCMP_CMP_MASKED_EQ";
      out["valueTwo"] = rule.value_two;
      break;
  }
  return out;
}

// A rule compares an argument once, so "one of two" is one rule for each, and "none of them" is
// "more than the larger": AF_UNSPEC, which is 0, makes no socket.
void add_internet_sockets(json::array* calls) {
  const auto add = [&](const char* action, const char* compare) -> json::object& {
    const json::object argument{{"index", 0}, {"value", kAfInet}, {"op", compare}};
    calls->push_back(json::object{
        {"names", json::array{"socket"}}, {"action", action}, {"args", json::array{argument}}});
    return calls->back().as_object();
  };
  add("SCMP_ACT_ALLOW", "SCMP_CMP_LE");
  add("SCMP_ACT_ERRNO", "SCMP_CMP_GT")["errnoRet"] = EPERM;
}

}  // namespace

std::span<const SeccompRule> seccomp_rules() { return kRules; }

json::object seccomp_profile(SeccompUse use) {
  json::array calls;
  for (const SeccompRule& rule : kRules) {
    if (use.internet && rule.calls == "socket") continue;
    json::object entry{{"names", words(rule.calls)}};
    if (use.counting && rule.counted) {
      entry["action"] = "SCMP_ACT_NOTIFY";
    } else if (rule.errno_value == 0) {
      entry["action"] = "SCMP_ACT_ALLOW";
    } else {
      entry["action"] = "SCMP_ACT_ERRNO";
      entry["errnoRet"] = rule.errno_value;
    }
    if (rule.argument) entry["args"] = json::array{encode(*rule.argument)};
    calls.push_back(std::move(entry));
  }
  if (use.internet) add_internet_sockets(&calls);
  return {{"defaultAction", "SCMP_ACT_ERRNO"},
          {"defaultErrnoRet", kSeccompDefaultErrno},
          {"architectures", json::array{native_architecture()}},
          {"syscalls", std::move(calls)}};
}

}  // namespace bcai::sandbox
