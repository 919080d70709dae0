# SPDX-License-Identifier: Apache-2.0
"""A node keeps processes for what it has seen, and the job's timings say where its process came
from."""

from __future__ import annotations

import json

from bcai import SDK
from machine import OneMachine, wait_until

CODE = "import math\nx = math.pi\nprint('ran')"


def test_later_jobs_start_warm_and_say_so(client: SDK, machine: OneMachine) -> None:
    starts: list[str] = []

    def starts_warm() -> bool:
        result = client.create_job(CODE).execute()
        assert result.outputs["x"] > 3
        starts.append(result.timings.start)
        return starts[-1] == "warm"

    wait_until(starts_warm, 60, "a job starts warm")
    assert set(starts) <= {"cold", "forked", "warm"}
    job = client.create_job(CODE)
    job.execute()
    told = json.loads(machine.command("results", job.id, "--json").stdout)
    assert told["timings"]["start"] in {"forked", "warm"}
