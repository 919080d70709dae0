# SPDX-License-Identifier: Apache-2.0
"""In a sandbox that starts before its task: descriptor 0 is a socket, on which comes the line that
the task's files are there, and which is the control pipe from then on. With modules to import they
are loaded before, and the job finds the interpreter as a zygote's child does.
"""
__builtins__ = dict(__builtins__)  # the job may break the shared one

import sys
from _io import FileIO, TextIOWrapper
from posix import O_RDONLY, close, dup2, open, read, set_blocking, set_inheritable, write

from bcai import _run, _secrets

_CONTROL = 3


def main(site_packages=None, overlay=None, *names):
    _take_control()
    _keep_output_whole()
    if site_packages is None:
        _wait()
        return _run.main("/in", "/work", tell_end=_tell_end)
    _run._become_second_process(None, _tell_end)
    from bcai import _zygote
    preloaded = _zygote.preload(site_packages, overlay, names)
    _wait()
    _run.main("/in", "/work", site_packages, preloaded)


def _take_control():
    dup2(0, _CONTROL, inheritable=False)
    null = open("/dev/null", O_RDONLY)
    dup2(null, 0)
    close(null)
    set_inheritable(0, True)


class _Whole(FileIO):
    """gVisor takes of a write what the pipe has room for, and unbuffered Python drops the rest."""

    def write(self, data):
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            left = left[super().write(left):]
        return size


def _keep_output_whole():
    for name, fd in (("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        raw = _Whole(fd, "w", closefd=False)
        raw.name = f"<{name}>"
        stream = TextIOWrapper(raw, encoding=old.encoding, errors=old.errors,
                               line_buffering=old.line_buffering, write_through=True)
        stream.mode = "w"
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _wait():
    """A line says that we wait; a line comes when the task is there, with its resource limits, and
    its secrets behind it."""
    import resource
    write(_CONTROL, b'{"waiting":true}\n')
    came = b""
    while b"\n" not in came:
        came += _part()
    line, _, secrets = came.partition(b"\n")
    secrets_bytes, *limits = line.split()
    while len(secrets) < int(secrets_bytes):
        secrets += _part()
    _secrets.hold(secrets)
    for limit in limits:
        kind, value = map(int, limit.split(b":"))
        resource.setrlimit(kind, (value, value))


def _tell_end(code):
    """Without this word, as when gVisor is killed, the job has not ended by itself."""
    try:
        set_blocking(_CONTROL, True)
        write(_CONTROL, b'\n{"ended":%d}\n' % code)
    except OSError:
        pass


def _part():
    part = read(_CONTROL, 1 << 16)
    if not part:
        sys.exit(0)
    return part
