# SPDX-License-Identifier: Apache-2.0
"""What a job can tell the outside: bcai.output, bcai.progress, bcai.log_metric.

Present in every job without being installed. Values given to output() come back as the job's
outputs and win over top-level variables of the same name. progress() and log_metric() are hints
for people: they never fail for want of a reader and never slow the job down.
"""
__builtins__ = dict(__builtins__)  # the job may break the shared one

from bcai import _control, _secrets

__all__ = ["log_metric", "output", "progress"]

_given = {}


def output(*pair, **values):
    """output(name, value) or output(name=value, …): carry values out of the job.

    Numbers, text, lists and dicts come back as they are; tensors and arrays as safetensors. Nothing
    is copied now: what counts is the value when the job ends. A value of another kind is named in
    result.left_out, with the reason.
    """
    if pair:
        if len(pair) != 2:
            raise TypeError("bcai.output takes a name and a value, or name=value: "
                            f"got {len(pair)} positional arguments")
        values = {pair[0]: pair[1], **values}
    for name in values:
        if not isinstance(name, str) or not 0 < len(name) <= 256:
            raise TypeError("bcai.output: a name is text of 1 to 256 characters, "
                            f"not {_short(name)}")
    _given.update(values)


def progress(fraction, message=""):
    """Tell how far the job is, from 0 to 1 (None: unknown), and what it does.

    Takes the place of what tqdm bars would say.
    """
    if fraction is not None:
        fraction = _number("bcai.progress: the fraction", fraction)
        fraction = min(max(fraction, 0.0), 1.0)
    _control.claim_progress()
    _control.progress(fraction, str(message))


def log_metric(name, value, step=None):
    """Report a number under a name, for example the loss at a step.

    When they come faster than people can read, the latest of each name is what arrives.
    """
    if not isinstance(name, str) or not 0 < len(name) <= 128:
        raise TypeError("bcai.log_metric: a name is text of 1 to 128 characters, "
                        f"not {_short(name)}")
    value = _number("bcai.log_metric: the value", value, finite=False)
    if step is not None:
        step = int(step)
        if not -2**53 <= step <= 2**53:
            raise ValueError("bcai.log_metric: the step is beyond 2**53")
    _control.metric(name, value, step)


def _number(what, value, finite=True):
    try:
        value = float(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{what} is a number, not {_short(value)}") from None
    if finite and value != value:
        raise ValueError(f"{what} is not a number (nan)")
    return value


def _short(value):
    return _secrets.shorten(repr(value), 80)


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(f"module 'bcai' has no attribute {name!r}")
    raise AttributeError(
        f"module 'bcai' has no attribute {name!r}: inside a job there are bcai.output, "
        "bcai.progress and bcai.log_metric; the SDK belongs to the program that submits the job")


def __dir__():
    return list(__all__)
