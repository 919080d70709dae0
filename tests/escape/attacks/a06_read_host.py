# SPDX-License-Identifier: Apache-2.0
# CANARY, a file of the host, and SECRET, a variable of the supervisor's environment, are set by the
# driver.
def content(path):
    with open(path, "rb") as file:
        return file.read(4096)


def listing(path):
    return os.listdir(path)


for path in (CANARY, "/etc/shadow", "/root/.bashrc", "/etc/ssh/sshd_config", "/var/log/dpkg.log",
             "/proc/kcore", "/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/nvme0n1",
             "/etc/machine-id", "/run/docker.sock", "/sys/kernel/uevent_seqnum"):
    attack(f"read {path}", lambda: content(path) != b"")
for path in ("/root", "/home", "/var", "/sys", "/run", "/boot", "/mnt", "/srv"):
    attack(f"list {path}", lambda: listing(path))
for process in filter(str.isdigit, os.listdir("/proc")):
    attack(f"the host's root through {process}", lambda: content(f"/proc/{process}/root{CANARY}"))
    attack(f"the supervisor's environment in {process}",
           lambda: SECRET.encode() in content(f"/proc/{process}/environ"))
attack("the supervisor's environment", lambda: SECRET in str(os.environ))
twin("own root", lambda: content("/etc/passwd").startswith(b"root"))
twin("own code", lambda: b"CANARY" in content("/in/main.py") or True)
twin("randomness", lambda: len(os.urandom(16)) == 16 and content("/dev/zero") != b"")
