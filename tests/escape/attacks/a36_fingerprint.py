# SPDX-License-Identifier: Apache-2.0
# What a job learns of its host. Level `standard` does not hide the machine: kernel version, model
# and number of cores, total memory, load and boot time can be read, and docs say so.
attack("the host's name", lambda: platform.node() == HOST_NAME)
attack("the host's users", lambda: len(open("/etc/passwd").read().splitlines()) > 4)
attack("the kernel's command line", lambda: open("/proc/cmdline").read() != "")
attack("block devices", lambda: os.listdir("/sys/block"))
attack("hardware", lambda: os.listdir("/sys/class/dmi/id"))
attack("addresses of the kernel", lambda: open("/proc/kallsyms").read(64) != "")
attack("the machine's id", lambda: open("/etc/machine-id").read() != "")
twin("the number of cores", lambda: os.cpu_count() > 0)
