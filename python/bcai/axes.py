# SPDX-License-Identifier: Apache-2.0
"""Axes, shapes and indices as a Tensor's methods take them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex

from bcai.errors import InvalidArgument


def axis_of(axis: SupportsIndex, rank: int, what: str = "") -> int:
    """Counted from the first axis. IndexError, about ``what``, when it is none of ``rank``."""
    number = operator.index(axis)
    if not -rank <= number < rank:
        raise IndexError(f"{what or f'axis {number}'}: expected {-rank} to {rank - 1}")
    return number % rank


def axes_of(axis: int | Sequence[int], rank: int) -> list[int]:
    """Ascending. InvalidArgument when one is named twice."""
    given = [axis] if isinstance(axis, int) else list(axis)
    axes = sorted(axis_of(each, rank) for each in given)
    if len(set(axes)) != len(axes):
        raise InvalidArgument(f"axes {given} name one twice")
    return axes


def dims_of(shape: Sequence[Any]) -> list[int]:
    """Of ``f(2, 3)`` and ``f((2, 3))`` alike."""
    if len(shape) == 1 and not isinstance(shape[0], int):
        shape = shape[0]
    return [operator.index(dim) for dim in shape]


def check_index(part: Any) -> None:
    """InvalidArgument when it is no part of a basic index."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return
    if isinstance(part, bool) or not hasattr(part, "__index__"):
        raise InvalidArgument(
            f"an index is an integer, a slice, ... or None, found {type(part).__name__}: "
            "take() gathers by a tensor of indices, where() chooses by a mask"
        )


def whole_index(parts: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """One part for each axis, and the Nones."""
    named = sum(part is not None and part is not Ellipsis for part in parts)
    dots = sum(part is Ellipsis for part in parts)
    if named > len(shape) or dots > 1:
        raise IndexError(f"{named} indices and {dots} ... for {len(shape)} axes")
    rest = [slice(None)] * (len(shape) - named)
    if not dots:
        return parts + rest
    at = next(i for i, part in enumerate(parts) if part is Ellipsis)
    return parts[:at] + rest + parts[at + 1 :]
