# SPDX-License-Identifier: Apache-2.0
"""The control pipe: JSON lines on descriptor 3, hints for people.

Never blocks, never fails, never floods: a line is at most 4096 bytes, so that the pipe takes it
whole or not at all, and of progress and of each metric only the latest waits for its turn.
"""
__builtins__ = dict(__builtins__)  # the job may break the shared one

from _json import encode_basestring_ascii as quote
from posix import fstat, set_blocking, set_inheritable, write
from time import monotonic

from bcai import _secrets

_FD = 3
_LINES_PER_SECOND = 50
_METRICS_MAX = 256
_MESSAGE_BYTES_MAX = 256

_identity = None    # of the pipe: the job may close it and open a file of its own as 3
_waiting = {}       # kind or metric name -> line; the latest wins
_tokens = float(_LINES_PER_SECOND)
_refilled = 0.0
_claimed = False    # the job itself called bcai.progress


def open_pipe():
    global _identity
    try:
        set_blocking(_FD, False)
        set_inheritable(_FD, False)
        status = fstat(_FD)
        _identity = (status.st_dev, status.st_ino)
    except OSError:
        _identity = None
    _send('{"started":true}\n')


def claim_progress():
    global _claimed
    _claimed = True


def bar(fraction, message):
    """Progress as a tqdm bar shows it; the job's own word goes before."""
    if not _claimed:
        progress(fraction, message)


def progress(fraction, message):
    shown = "null" if fraction is None else float.__repr__(fraction)
    _queue("progress", f'{{"progress":{{"fraction":{shown},"message":{_message(message)}}}}}\n')


def metric(name, value, step):
    if value != value or value in (float("inf"), float("-inf")):
        return  # JSON has no such number
    at = "" if step is None else f',"step":{int.__repr__(step)}'
    key = "metric " + name
    if key in _waiting or len(_waiting) < _METRICS_MAX:
        _queue(key, f'{{"metric":{{"name":{quote(name)},"value":{float.__repr__(value)}{at}}}}}\n')


def flush():
    """At the end: what still waits, whatever the rate."""
    global _tokens
    _tokens = float(_METRICS_MAX + 1)
    _drain()


def _queue(key, line):
    global _tokens, _refilled
    _waiting[key] = line
    now = monotonic()
    _tokens = min(_tokens + (now - _refilled) * _LINES_PER_SECOND, float(_LINES_PER_SECOND))
    _refilled = now
    _drain()


def _drain():
    global _tokens
    while _tokens >= 1 and _waiting:
        try:
            key = next(iter(_waiting))
            line = _waiting.pop(key)
        except (KeyError, RuntimeError, StopIteration):
            return  # another thread is at it
        _tokens -= 1
        if not _send(line):
            _waiting.setdefault(key, line)
            return


def _send(line):
    """False when the pipe is full. A pipe that is gone takes everything."""
    data = line.encode("ascii", "replace")
    if len(data) > 4096 or _identity is None:
        return True
    try:
        status = fstat(_FD)
        if (status.st_dev, status.st_ino) == _identity:
            write(_FD, data)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _message(text):
    data = _secrets.hide(text).encode("utf-8", "replace")
    return quote(data[:_MESSAGE_BYTES_MAX].decode("utf-8", "ignore"))
