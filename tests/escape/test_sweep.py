# SPDX-License-Identifier: Apache-2.0
"""Which system calls reach the kernel from inside: each number is tried with nonsense. What is
refused gives ENOSYS or EPERM. The list is held: a call that is new in it is a decision, to be made
in src/sandbox/seccomp.cc and written down here. At the high level the kernel is gVisor's, and the
list its release's."""
import platform
from pathlib import Path

import pytest
from sandbox_host import has_runsc
from sandbox_program import lines, run_tasks

PRELUDE = (Path(__file__).parent / "prelude.py").read_text()
CODE = r"""
import errno

def outcome(number):
    child = os.fork()
    if child == 0:
        signal.alarm(1)  # of those that wait
        result = LIBC.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
        refused = result == -1 and ctypes.get_errno() in (errno.ENOSYS, errno.EPERM)
        os._exit(100 if refused else 101)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code

say(reachable=[number for number in range(512) if outcome(number) != 100])
"""
# Of x86-64. Calls that are allowed for some arguments only may be among the refused.
RANGES = (
    "0-15 17-28 32-40 42-52 54-55 57-63 72-100 102 104 107-112 115 118 120-121 124-125 127-132 "
    "137-138 140-141 143 145-150 158 160 186-201 203-204 213 217-219 221-226 228-235 239 247 "
    "253-255 257-258 260-271 273-274 277 280-297 299 302 307 309 316 318 324-328 332 334-336 424 "
    "434 436-437 439 441 449 452")
# Of gVisor's kernel.
HIGH_RELEASE = "runsc 20221219.0"
HIGH_RANGES = (
    "0-102 104-121 124-133 135 137-138 140-141 143-147 149-152 157-158 160 162 186-201 203-204 "
    "206-209 213 217-226 228-235 237-241 247-250 253-255 257-277 280-299 302-304 306-309 316-319 "
    "322 324-325 327-328 332 425-426 436 439 441")


def numbers_of(ranges):
    return {number for part in ranges.split()
            for number in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86-64")
@pytest.mark.parametrize("start", ["cold", "warm", pytest.param("high", marks=pytest.mark.skipif(
    not has_runsc(), reason="needs runsc: apt-get install runsc"))])
def test_the_reachable_system_calls_are_held(tmp_path, start):
    task = {"code": PRELUDE + CODE, "imports_restricted": False,
            "limits": {"wall_ms_max": 60_000, "output_bytes_max": 100_000,
                       "denied_calls_max": 1_000_000}}
    run = run_tasks(tmp_path, [task], start=start)[0]
    reachable = lines(run)[-1]["reachable"]
    runtime = run["report"]["runtime"]
    print(f"{start}, {runtime}: {len(reachable)} system calls of 512 numbers reach the kernel")
    if start == "high" and not runtime.startswith(HIGH_RELEASE):
        pytest.skip(f"held for {HIGH_RELEASE}; of {runtime} {len(reachable)} reach its kernel")
    held = numbers_of(HIGH_RANGES if start == "high" else RANGES)
    assert sorted(set(reachable) - held) == []
    assert len(held - set(reachable)) <= 3  # those that an older kernel lacks
