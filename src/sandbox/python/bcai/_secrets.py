# SPDX-License-Identifier: Apache-2.0
"""The job's secrets: read once from standard input, which is a pipe that the engine filled, or come
with the task to a guest that waited, and set as environment variables of this process. They were in
no process's environment before.
"""
__builtins__ = dict(__builtins__)  # the job may break the shared one

import sys
from posix import O_RDONLY, close, dup2, environ, open, putenv, read

_BYTES_MIN = 4  # of what is looked for, as in mask.h

_values = ()
_held = b""


def hold(data):
    """What came with the task."""
    global _held
    _held = data


def take(names):
    """Name and value of each, as bytes: all, or no job. Afterwards standard input is empty."""
    global _held
    parts = [_held]
    while part := read(0, 1 << 16):
        parts.append(part)
    _held = b""
    null = open("/dev/null", O_RDONLY)
    dup2(null, 0)
    close(null)
    fields = b"".join(parts).split(b"\0")
    secrets = dict(zip(fields[:-1:2], fields[1::2], strict=True))
    if list(secrets) != [name.encode() for name in names]:
        raise RuntimeError("the job's secrets did not arrive")
    return secrets


def give(secrets):
    global _values
    os = sys.modules.get("os")
    for name, value in secrets.items():
        if os is not None:
            os.environb[name] = value
        else:
            environ[name] = value  # `os` copies it when it is imported
            putenv(name, value)
    texts = {value.decode("utf-8", "replace").strip() for value in secrets.values()}
    _values = sorted((text for text in texts if len(text.encode()) >= _BYTES_MIN), key=len,
                     reverse=True)


def hide(text):
    """The text without the values: for what is cut before the engine masks it, since a part of a
    value would not be known."""
    for value in _values:
        text = text.replace(value, "***")
    return text
