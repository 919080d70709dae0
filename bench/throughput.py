# SPDX-License-Identifier: Apache-2.0
"""A queue of trivial jobs: how many a second, and whether the network answers meanwhile."""

import subprocess
import time

import measure


def main() -> None:
    options = measure.parser(__doc__)
    options.add_argument("--jobs", type=int, default=3000)
    chosen = options.parse_args()
    with measure.network() as network:
        measure.progress(f"queueing {chosen.jobs} jobs")
        began = time.perf_counter()
        for _ in range(chosen.jobs):
            network.request("POST", "/v1/jobs", {"code": "print(1)"})
        queued = time.perf_counter() - began
        listing = []
        while True:
            started = time.perf_counter()
            subprocess.run([measure.PROGRAM, "jobs", "--json"], check=True,
                           stdout=subprocess.DEVNULL, env=network.environment())
            listing.append((time.perf_counter() - started) * 1000)
            left = sum(count_jobs(network, state) for state in ("queued", "active"))
            measure.progress(f"{left} jobs left after {time.perf_counter() - began:.0f} s")
            if left == 0:
                break
            time.sleep(2)
        took = time.perf_counter() - began
        succeeded = count_jobs(network, "succeeded", limit=chosen.jobs)
    measure.report([
        measure.Row("jobs_ended", succeeded, "jobs", goal=f"{chosen.jobs}"),
        measure.Row("jobs_per_second", chosen.jobs / took, "1/s"),
        measure.Row("queued_per_second", chosen.jobs / queued, "1/s"),
        measure.Row("bcai_jobs_p50_ms", measure.median(listing), "ms"),
        measure.Row("bcai_jobs_max_ms", max(listing), "ms", goal="< 100"),
    ], chosen)


def count_jobs(network: measure.Network, state: str, limit: int = 100) -> int:
    """Up to `limit`, a page of 100 at a time."""
    found, before = 0, ""
    while found < limit:
        page = network.request("GET", f"/v1/jobs?state={state}&limit=100{before}")
        found += len(page["jobs"])  # type: ignore[arg-type]
        if not page["next"]:
            break
        before = f"&before={page['next']}"
    return found


if __name__ == "__main__":
    main()
