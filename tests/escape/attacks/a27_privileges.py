# SPDX-License-Identifier: Apache-2.0
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines()
              if ":\t" in line)
for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
    attack(f"a capability in {name}", lambda: int(status[name], 16) != 0)
attack("gaining privileges by exec", lambda: status["NoNewPrivs"] != "1")
attack("be root", lambda: 0 in os.getresuid() + os.getresgid() + tuple(os.getgroups()))
attack("setuid(0)", lambda: os.setuid(0))
attack("setresuid(0)", lambda: os.setresuid(0, 0, 0))
attack("setgroups", lambda: os.setgroups([0]))
attack("capset", lambda: syscall("capset", (ctypes.c_uint32 * 2)(0x20080522, 0),
                                 (ctypes.c_uint32 * 6)(1 << 21, 1 << 21, 0, 0, 0, 0)))
attack("an ambient capability", lambda: syscall("prctl", 47, 2, 21, 0, 0))
attack("keep capabilities", lambda: syscall("prctl", 8, 1, 0, 0, 0))
attack("a file with the setuid bit", lambda: [
    os.path.join(where, name) for place in ("/usr", "/opt/bcai") for where, _, names in
    os.walk(place) for name in names
    if os.lstat(os.path.join(where, name)).st_mode & 0o6000] or False)
attack("give a file away", lambda: (open("/work/f", "w").close(), os.chown("/work/f", 0, 0)))
twin("an own user", lambda: os.getuid() == 1000 and os.getgid() == 1000)
twin("own files", lambda: (open("/work/g", "w").close(), os.stat("/work/g").st_uid == 1000)[1])
