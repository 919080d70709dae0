# SPDX-License-Identifier: Apache-2.0
"""The job's secrets: read once from standard input, which is a pipe that the engine filled, or come
with the task to a guest that waited, and set as environment variables of this process. They were in
no process's environment before.
"""
__builtins__ = dict(__builtins__)  # the job may break the shared one

import sys
from _json import encode_basestring, encode_basestring_ascii
from posix import O_RDONLY, close, dup2, environ, open, putenv, read

# Of what is looked for, as in mask.h: a value, and a line of one that has several.
_BYTES_MIN = 4
_LINE_BYTES_MIN = 8
_BLANKS = " \t\r\n\v\f"

_forms = ()
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
    global _forms
    os = sys.modules.get("os")
    for name, value in secrets.items():
        if os is not None:
            os.environb[name] = value
        else:
            environ[name] = value  # `os` copies it when it is imported
            putenv(name, value)
    forms = set()
    for value in secrets.values():
        text = value.decode("utf-8", "replace").strip(_BLANKS)
        if len(text.encode()) >= _BYTES_MIN:
            forms |= _forms_of(text)
        for line in text.split("\n"):
            line = line.strip(_BLANKS)
            if len(line.encode()) >= _LINE_BYTES_MIN:
                forms |= _forms_of(line)
    _forms = tuple(forms)


def _forms_of(text):
    """As it is, and without quotes as JSON, repr() and ascii() write it, and repr() its bytes.
    Whether those three escape a single quote hangs on what stands around it."""
    forms = {text, encode_basestring(text)[1:-1], encode_basestring_ascii(text)[1:-1]}
    for write, pieces in ((repr, text.split("'")), (ascii, text.split("'")),
                          (repr, text.encode().split(b"'"))):
        written = [write(piece).removeprefix("b")[1:-1] for piece in pieces]
        forms |= {"'".join(written), "\\'".join(written)}
    return forms


def shorten(text, characters):
    """hide(), then at most so many characters; "..." stands for the rest."""
    text = hide(text)
    return text if len(text) <= characters else text[:characters - 3] + "..."


def hide(text):
    """The text with *** for each value, one for those that touch or overlap: for what is cut before
    the engine masks it, since a part of a value would not be known."""
    found = []
    for form in _forms:
        at = text.find(form)
        while at >= 0:
            found.append((at, at + len(form)))
            at = text.find(form, at + 1)
    parts = []
    shown = 0
    for start, end in sorted(found):
        if start > shown or not parts:
            parts += [text[shown:start], "***"]
        shown = max(shown, end)
    return "".join(parts) + text[shown:]
