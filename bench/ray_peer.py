# SPDX-License-Identifier: Apache-2.0
"""Ray on this machine, in an environment of its own, with the site-packages of ours behind it."""

import json
import os
import subprocess
import sys

import measure

HOME = measure.ROOT / "build" / "bench-ray"
LOOP = """
import json, sys, time
import ray
from ray.job_submission import JobSubmissionClient
ray.init(address="127.0.0.1:6379", log_to_driver=False)
client = JobSubmissionClient("http://127.0.0.1:8265")

@ray.remote
def task(code):
    exec(code, {})

for line in sys.stdin:
    kind, code = json.loads(line)
    began = time.perf_counter()
    if kind == "task":
        ray.get(task.remote(code))
    else:
        with open(sys.argv[1], "w") as file:
            file.write(code)
        job = client.submit_job(entrypoint=f"{sys.executable} {sys.argv[1]}")
        while not client.get_job_status(job).is_terminal():
            time.sleep(0.005)
    print((time.perf_counter() - began) * 1000, flush=True)
"""


def start() -> "Ray | None":
    """None, said visibly, when Ray cannot be installed. The first time takes some minutes."""
    if not (HOME / "bin" / "ray").exists():
        measure.progress(f"installing Ray into build/{HOME.name}")
        subprocess.run(["/usr/bin/python3", "-m", "venv", HOME], check=True)
        done = subprocess.run([HOME / "bin" / "python", "-m", "pip", "install", "-q",
                               "ray[default]"], check=False)
        if done.returncode != 0:
            measure.progress("SKIPPED: Ray cannot be installed here; its figures are left out")
            return None
    return Ray()


class Ray:
    """A head node with two cores, and a driver that submits to it and waits."""

    def __init__(self) -> None:
        packages = next((HOME / "lib").glob("python*")) / "site-packages"
        own = next(path for path in sys.path if path.endswith("site-packages"))
        (packages / "development.pth").write_text(own + "\n")
        self.ray = HOME / "bin" / "ray"
        environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
        self.quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL,
                      "env": environment}
        subprocess.run([self.ray, "stop", "--force"], **self.quiet)
        subprocess.run([self.ray, "start", "--head", "--dashboard-host=127.0.0.1",
                        "--node-ip-address=127.0.0.1", "--port=6379", "--num-cpus=2"],
                       check=True, **self.quiet)
        script = HOME / "job.py"
        self.driver = subprocess.Popen([HOME / "bin" / "python", "-c", LOOP, script],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                       stderr=subprocess.DEVNULL, env=environment)

    def job_ms(self, code: str) -> float:
        """From its submission to its end."""
        return self._ask("job", code)

    def task_ms(self, code: str) -> float:
        """Of a remote function that executes it, in a worker that waits and keeps its imports."""
        return self._ask("task", code)

    def _ask(self, kind: str, code: str) -> float:
        assert self.driver.stdin and self.driver.stdout
        self.driver.stdin.write(json.dumps([kind, code]) + "\n")
        self.driver.stdin.flush()
        return float(self.driver.stdout.readline())

    def stop(self) -> None:
        assert self.driver.stdin
        self.driver.stdin.close()
        self.driver.wait()
        subprocess.run([self.ray, "stop", "--force"], **self.quiet)
