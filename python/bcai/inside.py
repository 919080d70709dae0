# SPDX-License-Identifier: Apache-2.0
"""What a job's own code calls. Outside a job these check their arguments and do nothing else.

Inside the sandbox another module of the same names takes their place and reports to the network,
so the same script runs on a desk and on the network.
"""

from __future__ import annotations

import math
from typing import Any


def output(name: str | None = None, value: Any = None, /, **values: Any) -> None:
    """Leaves values in ``result.outputs``: ``output("loss", loss)`` or ``output(loss=loss)``.

    Raises TypeError for a name that is no text, ValueError for an empty one.
    """
    if name is not None:
        _check_name("output", name)
    elif value is not None or not values:
        raise TypeError("output: expected a name and a value, or name=value")


def progress(fraction: float, message: str = "") -> None:
    """Says how far the job is: ``fraction`` from 0 to 1.

    Raises TypeError or ValueError for anything else.
    """
    number = float(fraction)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"progress: expected a fraction from 0 to 1, found {number}")
    if not isinstance(message, str):
        raise TypeError(f"progress: expected a text, found {type(message).__name__}")


def log_metric(name: str, value: float, step: int | None = None) -> None:
    """Records a number over the job's course; the newest shows in ``job.progress.metrics``.

    Raises TypeError or ValueError for a bad name, value or step. NaN and infinity are allowed.
    """
    _check_name("log_metric", name)
    math.isnan(float(value))
    if step is not None and (isinstance(step, bool) or not isinstance(step, int)):
        raise TypeError(f"log_metric: expected a whole number as step, found {step!r}")


def _check_name(function: str, name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{function}: expected a text as name, found {type(name).__name__}")
    if not name:
        raise ValueError(f"{function}: the name is empty")
