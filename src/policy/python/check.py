# SPDX-License-Identifier: Apache-2.0
"""Parses jobs' code for the checker (checker.cc), one request after the other on descriptor 0.

A request is two little-endian 32-bit lengths, a JSON header and the code; an answer is a length and
JSON: {"findings": [{"message", "line", "column"}], "imports": [names]}. The first answer, {}, says
that the process is ready. Code is only parsed and compiled, never run; before the first request the
process gives up all but memory and its one socket.
"""
import ast
import gc
import json
import re
import resource
import sys
import warnings

BOM = b"\xef\xbb\xbf"
BYTES_MAX = 1 << 20
FINDINGS_MAX = 64
NAME_MAX = 256
NAMES_MAX = 1000
MEMORY_BYTES_MAX = 512 << 20
SECONDS_MAX = 3  # of one check; the caller is stricter

COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)
BLANK = re.compile(rb"^[ \t\f]*(?:#.*)?$")
LINE_END = re.compile(rb"\r\n|\r|\n")


class Findings(list):
    def add(self, message, line=0, column=0):
        if len(self) < FINDINGS_MAX:
            self.append({"message": message[:1000], "line": line, "column": column})


def check(code, header):
    """The answer to one request."""
    findings = Findings()
    imports = []
    text = code.removeprefix(BOM)
    if readable(text, findings):
        tree = parse(code, findings)
        if tree is not None:
            rules = Rules(header)
            imports = collect(tree, text, rules if header["restricted"] else None, findings)
    return {"findings": findings, "imports": imports}


def readable(code, findings):
    """Whether these bytes are UTF-8 text to Python as to everyone else who reads them."""
    if len(code) > BYTES_MAX:
        findings.add(f"code has {len(code)} bytes, at most {BYTES_MAX}")
    elif code[:2] in (b"\xff\xfe", b"\xfe\xff"):
        findings.add("code is UTF-16; it has to be UTF-8", 1, 1)
    elif b"\0" in code:
        findings.add("code contains a NUL byte", *place(code, code.index(b"\0")))
    else:
        try:
            code.decode("utf-8")
        except UnicodeDecodeError as error:
            findings.add(f"code is not UTF-8: {error.reason} 0x{code[error.start]:02x}",
                         *place(code, error.start))
            return False
        for number, line in enumerate(LINE_END.split(code, 2)[:2], 1):
            cookie = COOKIE.match(line)
            if cookie and not is_utf8(cookie[1]):
                findings.add(f"code declares the encoding '{cookie[1].decode()}'; it is read as "
                             "UTF-8", number, cookie.start(1) + 1)
            if cookie or not BLANK.match(line):
                break
    return not findings


def is_utf8(name):
    return name.lower().replace(b"_", b"-") in (b"utf-8", b"utf8", b"u8")


def place(code, offset):
    before = LINE_END.split(code[:offset])
    return len(before), len(before[-1].decode("utf-8", "replace")) + 1


def parse(code, findings):
    try:
        tree = compile(code, "<code>", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
        compile(code, "<code>", "exec", dont_inherit=True)  # finds "return outside function" …
        return tree
    except SyntaxError as error:
        kind = {IndentationError: "indentation error", TabError: "indentation error"}.get(
            type(error), "syntax error")
        findings.add(f"{kind}: {error.msg}", error.lineno or 0, max(error.offset or 0, 0))
    except (MemoryError, RecursionError):
        findings.add("code is too deeply nested or too large for Python's parser")
    except Exception as error:
        findings.add(f"code cannot be parsed: {error}")
    return None


class Rules:
    """The same verdicts as the runner's inside the sandbox (sandbox/python/bcai/_imports.py)."""

    def __init__(self, header):
        self.denied = POLICY_DENIED
        self.packages = POLICY_PACKAGES
        self.asked = set(header["allowed"])
        self.own = set(header["job_modules"])

    def refused(self, name):
        """The name to ask for, or None."""
        parts = name.split(".")
        prefixes = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
        if parts[0] in self.own or any(prefix in self.asked for prefix in prefixes):
            return None
        for prefix in prefixes:
            if prefix in self.denied:
                return prefix
        if parts[0] in sys.stdlib_module_names or parts[0] in self.packages:
            return None
        return parts[0]


def collect(tree, code, rules, findings):
    """Judges each import statement, wherever it stands; returns the top-level names."""
    names = set()
    bodies = [tree.body]
    lines = None
    while bodies:
        for node in bodies.pop():
            for field in ("body", "orelse", "finalbody", "handlers", "cases"):
                inner = getattr(node, field, None)
                if inner:
                    bodies.append(inner)
            for name, at in imported(node):
                names.add(name.partition(".")[0])
                refused = rules.refused(name) if rules else None
                if refused:
                    lines = lines or LINE_END.split(code)
                    before = lines[at.lineno - 1][:at.col_offset]
                    findings.add(
                        f"import of '{refused}' is not allowed by the import policy; "
                        f"ask for it with --allow-import {refused}",
                        at.lineno, len(before.decode("utf-8", "replace")) + 1)
    findings.sort(key=lambda finding: (finding["line"], finding["column"]))
    return sorted(name[:NAME_MAX] for name in names)[:NAMES_MAX]


def imported(node):
    """(dotted name, where it stands) of what an import statement names."""
    if isinstance(node, ast.Import):
        return [(alias.name, alias) for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level and node.module:
        inner = [(f"{node.module}.{alias.name}", node) for alias in node.names
                 if f"{node.module}.{alias.name}" in POLICY_DENIED]
        return inner or [(node.module, node)]
    return []


def load_policy(text):
    global POLICY_DENIED, POLICY_PACKAGES
    policy = json.loads(text)
    POLICY_DENIED = frozenset(policy["denied"])
    POLICY_PACKAGES = frozenset(policy["packages"])


def give_up_rights():
    for what, limit in ((resource.RLIMIT_AS, MEMORY_BYTES_MAX), (resource.RLIMIT_CORE, 0),
                        (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NPROC, 0)):
        resource.setrlimit(what, (limit, limit))
    allow_only_memory_and_socket()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))


# Numbers on x86_64 and aarch64: read, write, mmap, mprotect, munmap, brk, mremap, madvise,
# rt_sigaction, rt_sigprocmask, rt_sigreturn, sigaltstack, futex, getrusage, prlimit64,
# clock_gettime, exit, exit_group, getpid, gettid, tgkill (abort), restart_syscall.
CALLS = {
    "x86_64": (0xC000003E, (0, 1, 9, 10, 11, 12, 25, 28, 13, 14, 15, 131, 202, 98, 302, 228, 60,
                            231, 39, 186, 234, 219)),
    "aarch64": (0xC00000B7, (63, 64, 222, 226, 215, 214, 216, 233, 134, 135, 139, 132, 98, 165,
                             261, 113, 93, 94, 172, 178, 131, 128)),
}


def allow_only_memory_and_socket():
    """A seccomp filter: every other system call fails with EPERM."""
    import ctypes
    import os
    if os.uname().machine not in CALLS:
        return
    architecture, calls = CALLS[os.uname().machine]
    load, equal, answer = 0x20, 0x15, 0x06
    refuse, allow, kill = 0x00050001, 0x7FFF0000, 0x80000000
    program = [(load, 0, 0, 4), (equal, 1, 0, architecture), (answer, 0, 0, kill), (load, 0, 0, 0)]
    for index, call in enumerate(calls):
        program.append((equal, len(calls) - index, 0, call))
    program += [(answer, 0, 0, refuse), (answer, 0, 0, allow)]

    class Instruction(ctypes.Structure):
        _fields_ = [("code", ctypes.c_uint16), ("if_true", ctypes.c_uint8),
                    ("if_false", ctypes.c_uint8), ("operand", ctypes.c_uint32)]

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_uint16), ("start", ctypes.POINTER(Instruction))]

    table = (Instruction * len(program))(*program)
    libc = ctypes.CDLL(None)
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    libc.prctl(no_new_privileges, 1, 0, 0, 0)
    libc.prctl(set_seccomp, filter_mode, ctypes.byref(Program(len(program), table)), 0, 0)


def limit_time():
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + SECONDS_MAX
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


def read_exactly(stream, count):
    data = stream.read(count)
    if len(data) != count:
        sys.exit(0)  # the caller is gone
    return data


def answer(stream, value):
    text = json.dumps(value).encode()
    stream.write(len(text).to_bytes(4, "little") + text)
    stream.flush()


def serve(policy):
    load_policy(policy)
    warnings.simplefilter("ignore")
    gc.disable()  # trees have no cycles; collected now and then below
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    give_up_rights()
    answer(answers, {})
    count = 0
    while True:
        header_size = int.from_bytes(read_exactly(requests, 4), "little")
        code_size = int.from_bytes(read_exactly(requests, 4), "little")
        header = json.loads(read_exactly(requests, header_size))
        code = read_exactly(requests, code_size)
        limit_time()
        answer(answers, check(code, header))
        count += 1
        if count % 256 == 0:
            gc.collect()


if __name__ == "__main__":
    serve(sys.argv[1])
