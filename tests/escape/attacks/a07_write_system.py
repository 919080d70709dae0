# SPDX-License-Identifier: Apache-2.0
for path in ("/usr/bin/python3", "/usr/lib/new", "/etc/passwd", "/etc/new", "/opt/bcai/runner.py",
             "/opt/bcai/new", "/opt/venv/new", "/in/main.py", "/in/new", "/new", "/dev/new",
             "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/1/oom_score_adj.new"):
    attack(f"write {path}", lambda: os.open(path, os.O_WRONLY | os.O_CREAT))
for path in ("/usr", "/etc/passwd", "/opt/bcai/runner.py", "/in/main.py"):
    attack(f"chmod {path}", lambda: os.chmod(path, 0o777))
    attack(f"rename {path}", lambda: os.rename(path, path + ".old"))
attack("unlink /in/main.py", lambda: os.unlink("/in/main.py"))


def write(path):
    with open(path, "w") as file:
        file.write("x")
    os.chmod(path, 0o600)
    os.rename(path, path + "2")
    os.unlink(path + "2")


for place in ("/work", "/tmp", "/dev/shm"):
    twin(f"write in {place}", lambda: write(place + "/file"))
attack("execute a file from /work", lambda: (
    open("/work/run", "w").write("#!/usr/bin/python3\n"), os.chmod("/work/run", 0o700),
    child_succeeds(lambda: os.execv("/work/run", ["run"])))[2])
twin("execute the interpreter",
     lambda: child_succeeds(lambda: os.execv(sys.executable, ["python3", "-I", "-S", "-c", ""])))
