# SPDX-License-Identifier: Apache-2.0
def write(path, data):
    return os.write(os.open(path, os.O_WRONLY), data)


for path, data in (("/proc/sysrq-trigger", b"h"), ("/proc/sys/kernel/core_pattern", b"|/work/x"),
                   ("/proc/sys/kernel/modprobe", b"/work/x"), ("/proc/sys/vm/drop_caches", b"1"),
                   ("/proc/sys/kernel/hostname", b"x"), ("/proc/sys/net/ipv4/ip_forward", b"1"),
                   ("/proc/self/oom_score_adj", b"-1000"),
                   ("/proc/irq/0/smp_affinity", b"1"), ("/proc/self/setgroups", b"allow"),
                   ("/proc/self/gid_map", b"0 0 1")):
    attack(f"write {path}", lambda: write(path, data))
for path in ("/proc/kcore", "/proc/kallsyms", "/proc/config.gz", "/proc/keys", "/proc/key-users",
             "/proc/timer_list", "/proc/vmallocinfo", "/proc/slabinfo", "/proc/modules",
             "/proc/diskstats", "/proc/partitions", "/proc/cmdline", "/proc/interrupts",
             "/proc/iomem", "/proc/kmsg", "/proc/kpageflags"):
    attack(f"read {path}", lambda: os.read(os.open(path, os.O_RDONLY), 64) != b"")
attack("control groups", lambda: os.listdir("/sys/fs/cgroup"))
attack("another root through /proc", lambda: os.path.exists("/proc/1/root" + CANARY))
attack("a path of the host through /proc/self/exe",
       lambda: os.readlink("/proc/self/exe") not in ("/usr/bin/python3", os.path.realpath(
           "/usr/bin/python3")))
twin("own status", lambda: "VmRSS" in open("/proc/self/status").read())
twin("memory of the machine", lambda: "MemTotal" in open("/proc/meminfo").read())
twin("cores", lambda: os.cpu_count() >= 1 and len(os.sched_getaffinity(0)) >= 1)
