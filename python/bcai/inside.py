# SPDX-License-Identifier: Apache-2.0
"""What a job's own code calls. Outside a job these check their arguments and do nothing else.

Inside the sandbox another module of the same names takes their place and reports to the network,
so the same script runs on a desk and on the network. Both accept and refuse the same.
"""

from __future__ import annotations

from typing import Any, SupportsFloat, SupportsInt

_OUTPUT_NAME_MAX = 256
_METRIC_NAME_MAX = 128


def output(*pair: Any, **values: Any) -> None:
    """Leaves values in ``result.outputs``: ``output("loss", loss)`` or ``output(loss=loss)``.

    Raises TypeError for anything but a name of 1 to 256 characters and a value.
    """
    if pair:
        if len(pair) != 2:
            raise TypeError(
                "bcai.output takes a name and a value, or name=value: "
                f"got {len(pair)} positional arguments"
            )
        values = {pair[0]: pair[1], **values}
    for name in values:
        _check_name("bcai.output", name, _OUTPUT_NAME_MAX)


def progress(fraction: SupportsFloat | None, message: str = "") -> None:
    """Says how far the job is, from 0 to 1 (``None``: unknown), and what it does.

    Raises TypeError for what is no number, ValueError for NaN.
    """
    if fraction is not None:
        number = _number("bcai.progress: the fraction", fraction)
        if number != number:
            raise ValueError("bcai.progress: the fraction is not a number (nan)")
    str(message)


def log_metric(name: str, value: SupportsFloat, step: SupportsInt | None = None) -> None:
    """Records a number over the job's course; the newest shows in ``job.progress.metrics``.

    Raises TypeError for a bad name or value, ValueError for a step beyond 2**53.
    """
    _check_name("bcai.log_metric", name, _METRIC_NAME_MAX)
    _number("bcai.log_metric: the value", value)
    if step is not None and not -(2**53) <= int(step) <= 2**53:
        raise ValueError("bcai.log_metric: the step is beyond 2**53")


def _check_name(function: str, name: object, characters_max: int) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= characters_max:
        raise TypeError(
            f"{function}: a name is text of 1 to {characters_max} characters, not {_short(name)}"
        )


def _number(what: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{what} is a number, not {_short(value)}") from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
