# SPDX-License-Identifier: Apache-2.0
"""Which system calls reach the kernel from inside: each number is tried with nonsense. What is
refused gives ENOSYS or EPERM. The list is held: a call that is new in it is a decision, to be made
in src/sandbox/seccomp.cc and written down here. At the high level the kernel is gVisor's, and the
list its release's; what gVisor itself may ask of the machine's is read from its filter."""
import ctypes
import os
import platform
import struct
import time
from concurrent.futures import ThreadPoolExecutor
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
def test_the_reachable_system_calls_are_held(tmp_path, start, tell):
    task = {"code": PRELUDE + CODE, "imports_restricted": False,
            "limits": {"wall_ms_max": 60_000, "output_bytes_max": 100_000,
                       "denied_calls_max": 1_000_000}}
    run = run_tasks(tmp_path, [task], start=start)[0]
    reachable = lines(run)[-1]["reachable"]
    runtime = run["report"]["runtime"]
    tell(f"{start}, {runtime}: {len(reachable)} system calls of 512 numbers reach the kernel")
    if start == "high" and not runtime.startswith(HIGH_RELEASE):
        pytest.skip(f"held for {HIGH_RELEASE}; of {runtime} {len(reachable)} reach its kernel")
    held = numbers_of(HIGH_RANGES if start == "high" else RANGES)
    assert sorted(set(reachable) - held) == []
    assert len(held - set(reachable)) <= 3  # those that an older kernel lacks


# Of gVisor's own process, by its filter.
HOST_RANGES = (
    "0-1 3 5 8-11 13-18 20 24 27-28 32 35 38-39 46-48 50 55-56 60-61 72 74 77 91 96 101 131 "
    "149-150 186 202 219 222-223 226 228 231 233-234 271 276-277 280-281 285 288 290-292 "
    "295-296 299 307 309 318 324 327-328 332")
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, GET_FILTER = 0x4206, 0x4207, 17, 0x420c
WALL = 0x40000000
ALLOW = 0x7fff0000
ARCHITECTURE = 0xc000003e  # x86-64


def filter_of(process):
    """The instructions (code, jump if true, jump if not, constant) of a process's one filter."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.restype, ptrace.argtypes = ctypes.c_long, [ctypes.c_long] * 4
    if ptrace(PTRACE_SEIZE, process, 0, 0) != 0:
        pytest.skip(f"gVisor cannot be traced: {os.strerror(ctypes.get_errno())}")
    try:
        ptrace(PTRACE_INTERRUPT, process, 0, 0)
        os.waitpid(process, WALL)
        size = ptrace(GET_FILTER, process, 0, 0)
        if size < 0:
            pytest.skip(f"the kernel shows no filters: {os.strerror(ctypes.get_errno())}")
        code = ctypes.create_string_buffer(8 * size)
        ptrace(GET_FILTER, process, 0, ctypes.addressof(code))
        return list(struct.iter_unpack("HBBI", code.raw[:8 * size]))
    finally:
        ptrace(PTRACE_DETACH, process, 0, 0)


def allows(program, number):
    """Whether the filter lets this call pass for some arguments: they are taken for anything."""
    known = {0: number, 4: ARCHITECTURE}  # by their place in seccomp_data
    waiting, seen = [(0, None)], set()
    while waiting:
        at, value = waiting.pop()
        if (at, value) in seen:
            continue
        seen.add((at, value))
        code, true, false, constant = program[at]
        if code == 0x06:  # return
            if constant == ALLOW:
                return True
        elif code == 0x20:  # load
            waiting.append((at + 1, known.get(constant)))
        elif code == 0x54:  # and
            waiting.append((at + 1, None if value is None else value & constant))
        elif code == 0x05:  # jump
            waiting.append((at + 1 + constant, value))
        else:
            compare = {0x15: int.__eq__, 0x25: int.__gt__, 0x35: int.__ge__}[code]
            ways = (True, False) if value is None else (compare(value, constant),)
            waiting += [(at + 1 + (true if way else false), value) for way in ways]
    return False


def gvisor_of(directory):
    """The process that is gVisor's kernel, of the engine whose state is in this directory."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            filtered = "\nSeccomp:\t2" in (process / "status").read_text()
        except OSError:
            continue
        if command.startswith(b"runsc-sandbox\0") and bytes(directory) in command and filtered:
            return int(process.name)
    return None


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86-64")
@pytest.mark.skipif(not has_runsc(), reason="needs runsc: apt-get install runsc")
def test_what_gvisor_may_ask_of_the_machine_is_held(tmp_path, tell):
    task = {"code": "import time; time.sleep(2)", "imports_restricted": False}
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(run_tasks, tmp_path, [task], start="high")
        while (process := gvisor_of(tmp_path)) is None:
            assert not run.done(), run.result()
            time.sleep(0.02)
        program = filter_of(process)
        runtime = run.result()[0]["report"]["runtime"]
    allowed = {number for number in range(512) if allows(program, number)}
    tell(f"{runtime}: {len(allowed)} system calls of 512 numbers reach the machine's kernel")
    assert 0 < len(allowed) < 100
    if runtime != HIGH_RELEASE + " (ptrace)":
        pytest.skip(f"held for {HIGH_RELEASE} (ptrace); {len(allowed)} of {runtime}")
    assert sorted(allowed - numbers_of(HOST_RANGES)) == []
