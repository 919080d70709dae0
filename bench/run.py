# SPDX-License-Identifier: Apache-2.0
"""`print(1)`: from submission to result, beside plain Python, bare runc and a Ray job.

The peers run in the same loop, in turn, on the same machine. Ray is installed into an environment
of its own the first time.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import measure
import ray_peer

CODE = "print(1)\n"


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def through_rest(network: measure.Network) -> dict[str, float]:
    """One job over REST; where its time went, in milliseconds."""
    began = time.perf_counter()
    job = network.request("POST", "/v1/jobs", {"code": CODE})
    job = network.request("GET", f"/v1/jobs/{job['id']}?wait=60")
    total = (time.perf_counter() - began) * 1000
    result = network.request("GET", f"/v1/jobs/{job['id']}/results")
    if job["state"] != "succeeded":
        raise SystemExit(f"the job {job['state']}: {result}")
    timings = result["timings"]
    inside = timings["start_ms"] + timings["run_ms"] + timings["collect_ms"]  # type: ignore[index]
    return {"total": total, "inside": inside, "outside": total - inside}


def plain_python() -> None:
    subprocess.run(["/usr/bin/python3", "-I", "-S", "-c", CODE], check=True,
                   stdout=subprocess.DEVNULL)


class BareRunc:
    """runc alone, with the root that the node made: no limits, no collection, no network."""

    def __init__(self, node_directory: pathlib.Path, scratch: pathlib.Path) -> None:
        root = next((node_directory / "sandbox" / "roots").glob("root_*"))
        self.scratch = scratch
        subprocess.run(["runc", "spec", "--bundle", scratch], check=True)
        config = json.loads((scratch / "config.json").read_text())
        config["process"]["terminal"] = False
        config["process"]["args"] = ["/usr/bin/python3", "-I", "-S", "-c", CODE]
        config["root"] = {"path": str(root), "readonly": True}
        config["mounts"] = [mount for mount in config["mounts"]
                            if mount["destination"] in ("/proc", "/dev")]
        (scratch / "config.json").write_text(json.dumps(config))
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        subprocess.run(["runc", "--root", self.scratch / "state", "run", "--bundle", self.scratch,
                        f"bench{os.getpid()}x{self.count}"], check=True,
                       stdout=subprocess.DEVNULL)


def main() -> None:
    options = measure.parser(__doc__)
    options.add_argument("--repeat", type=int, default=30)
    options.add_argument("--without-ray", action="store_true")
    chosen = options.parse_args()
    script = ["run", "-"]
    with measure.network() as network, tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o711)
        runc = BareRunc(network.directory / "node", pathlib.Path(scratch))

        def command_line() -> None:
            subprocess.run([measure.PROGRAM, *script], input=CODE, text=True, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           env=network.environment())

        ray = None if chosen.without_ray else ray_peer.start()
        rest, cli, python, bare, ray_ms = [], [], [], [], []
        for _ in range(3):
            through_rest(network)
        for number in range(chosen.repeat):
            measure.progress(f"round {number + 1} of {chosen.repeat}")
            rest.append(through_rest(network))
            cli.append(timed(command_line))
            python.append(timed(plain_python))
            bare.append(timed(runc))
            if ray is not None and number % 5 == 0:
                ray_ms.append(ray.job_ms(CODE))
        if ray is not None:
            ray.stop()
    total = measure.median([sample["total"] for sample in rest])
    rows = [
        measure.Row("print_p50_ms", total, "ms", "plain python", measure.median(python), "<= 150"),
        measure.Row("print_p99_ms", measure.percentile([s["total"] for s in rest], 99), "ms"),
        measure.Row("print_outside_sandbox_p50_ms",
                    measure.median([sample["outside"] for sample in rest]), "ms", goal="<= 20"),
        measure.Row("print_inside_sandbox_p50_ms",
                    measure.median([sample["inside"] for sample in rest]), "ms",
                    "bare runc", measure.median(bare)),
        measure.Row("print_cli_p50_ms", measure.median(cli), "ms"),
    ]
    if ray_ms:
        rows.append(measure.Row("print_vs_ray_job_ms", total, "ms", "Ray job",
                                measure.median(ray_ms), "ratio <= 0.05"))
    measure.report(rows, chosen)


if __name__ == "__main__":
    sys.exit(main())
