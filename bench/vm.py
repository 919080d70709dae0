# SPDX-License-Identifier: Apache-2.0
"""Native programs beside PyTorch, ONNX Runtime and OpenVINO, in the same process and in turn.

A ratio is the median over rounds of the peer's time divided by ours in the same round: above 1, we
are faster. All have the same threads and 32-bit floats. A floor is the FLOPs over a loop of
multiply-adds, or the bytes over a loop of loads, measured beside. Peers are installed into an
environment of their own the first time. --only WORD selects cases ("verification" among them),
--threads N the threads.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import measure
import peers

RELEASE = measure.ROOT / "build" / "release"


peers.enter()

import numpy as np  # noqa: E402
import torch  # noqa: E402
import vm_cases  # noqa: E402


def paired(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call in each round, the calls in turn."""
    repeats = {}
    for name, call in calls.items():
        call()
        began = time.perf_counter()
        call()
        repeats[name] = max(1, min(200, int(0.02 / max(time.perf_counter() - began, 1e-7))))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            times[name].append(1000 * (time.perf_counter() - began) / repeats[name])
    return times


class Floors:
    """What this machine can do on one thread, by the loops of kernel_bench."""

    def __init__(self) -> None:
        self.program = subprocess.Popen(
            [RELEASE / "src/vm/backend/cpu/kernel_bench"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

    def ask(self, word: str) -> float:
        assert self.program.stdin and self.program.stdout
        self.program.stdin.write(word + "\n")
        self.program.stdin.flush()
        return float(self.program.stdout.readline())

    def milliseconds(self, flops: float, bytes_read: float, threads: int) -> float:
        best = [max(self.ask(word) for _ in range(3)) for word in ("peak", "read")]
        return max(flops / best[0], bytes_read / best[1]) * 1e-6 / threads


@dataclass
class Outcome:
    case: vm_cases.Case
    threads: int
    ours: float
    floor: float
    ratios: dict[str, float] = field(default_factory=dict)
    peers: dict[str, float] = field(default_factory=dict)
    difference: float = 0.0

    def rows(self) -> list[measure.Row]:
        goal = None if self.case.goal is None else f"≥ {self.case.goal}"
        against = self.case.peer or min(self.ratios, key=lambda name: self.ratios[name])
        name = f"{self.case.name}, {self.threads} threads"
        rows = [measure.Row(f"{name}: ours", self.ours, "ms", "the floor", self.floor)]
        for peer, ratio in self.ratios.items():
            rows.append(measure.Row(f"{name}: {peer} / ours", ratio, "×",
                                    goal=goal if peer == against else None))
        return rows


def compare(case: vm_cases.Case, threads: int, rounds: int, floors: Floors) -> Outcome:
    torch.set_num_threads(threads)
    contenders = case.contenders(threads)
    expected = np.asarray(contenders["bcai"]())
    difference = max(
        float(np.abs(np.asarray(call()) - expected).max() / max(np.abs(expected).max(), 1e-30))
        for call in contenders.values())
    if difference > 1e-3:
        raise SystemExit(f"{case.name}: the contenders' results differ by {difference}")
    times = paired(contenders, rounds)
    made = Outcome(case, threads, statistics.median(times["bcai"]),
                   floors.milliseconds(case.flops, case.bytes_read, threads),
                   difference=difference)
    for name, values in times.items():
        if name != "bcai":
            made.peers[name] = statistics.median(values)
            made.ratios[name] = statistics.median(
                peer / own for peer, own in zip(values, times["bcai"], strict=True))
    return made


def memory(name: str) -> list[measure.Row]:
    """The most memory each contender's process had while it loaded and ran the model."""
    peaks = {}
    for contender in ("none", "bcai", "onnxruntime"):
        done = subprocess.run([sys.executable, vm_cases.__file__, "memory", name, contender],
                              capture_output=True, text=True, check=True)
        peaks[contender] = float(done.stdout.split()[-1])
    own, peer = (peaks[each] - peaks["none"] for each in ("bcai", "onnxruntime"))
    return [measure.Row(f"{name}: peak memory", own, "MB", "onnxruntime", peer, "≤ 0.8")]


def load_time() -> list[measure.Row]:
    """Load, verify, plan and pack BERT in a new process, the packed weights on disk."""
    samples = []
    for _ in range(6):
        done = subprocess.run([sys.executable, vm_cases.__file__, "load", "BERT-base"],
                              capture_output=True, text=True, check=True)
        samples.append(float(done.stdout.split()[-1]))
    return [measure.Row("BERT-base: load, verify and plan, packed weights on disk",
                        statistics.median(samples[1:]), "ms", goal="≤ 50")]


def verification() -> list[measure.Row]:
    """Processor time to decode and verify a program with open dimensions."""
    from bcai.vm import Program

    rows = []
    for name, program in vm_cases.programs(peers.MODELS).items():
        form = program.encode()
        instructions = program.quote(threads=1).instructions
        samples = []
        for _ in range(200):
            began = time.thread_time()
            verified = Program.parse(form)
            samples.append(1000 * (time.thread_time() - began))
            del verified
        rows.append(measure.Row(
            f"{name}: decode and verify {instructions} instructions, for 1,000",
            1000 * statistics.median(samples) / instructions, "ms", goal="< 1"))
    return rows


def quotes() -> list[measure.Row]:
    """What `bcai vm quote` says of time and memory, beside what a run takes."""
    rows = []
    for name, source, symbols in (("MiniLM", "MiniLM", ["B=1", "S=128"]),
                                  ("BERT-base", "BERT-base", ["B=1", "S=128"]),
                                  ("ResNet-50", "ResNet-50.onnx", [])):
        program = peers.MODELS / f"{name}.bcvm"
        run = [measure.PROGRAM, "vm"]
        subprocess.run([*run, "import", peers.MODELS / source, "-o", program], check=True,
                       capture_output=True)
        given = [word for symbol in symbols for word in ("--symbol", symbol)]
        if source.endswith(".onnx"):
            given += ["--weights", str(program.with_suffix(".safetensors"))]
        done = subprocess.run([*run, "bench", program, *given, "--threads", "1", "--measure",
                               "--json"], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        rows.append(measure.Row(f"{name}: quoted time", found["estimated_ms"], "ms", "the run",
                                found["median_ms"], "0.75 to 1.25"))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--only", action="append", help="cases whose name contains this")
    parser.add_argument("--threads", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    options = parser.parse_args(arguments)
    vm_cases.WITH_COMPILE = not options.no_compile
    wanted = [case for case in vm_cases.all_cases(peers.MODELS)
              if not options.only or any(word in case.name for word in options.only)]
    floors = Floors()
    rows: list[measure.Row] = []
    for case in wanted:
        for threads in options.threads or [1, 2]:
            measure.progress(f"{case.name}, {threads} threads")
            outcome = compare(case, threads, options.rounds, floors)
            rows += outcome.rows()
            told = ", ".join(f"{peer} {ratio:.2f}" for peer, ratio in outcome.ratios.items())
            measure.progress(f"  {outcome.ours:.3g} ms, floor {outcome.floor:.3g}; {told}; "
                             f"differ by {outcome.difference:.1e}")
    if not options.only:
        for name in ("MiniLM", "BERT-base", "ResNet-50"):
            rows += memory(name)
        rows += load_time() + quotes()
    if not options.only or "verification" in options.only:
        rows += verification()
    measure.report(rows, options)


if __name__ == "__main__":
    main()
