# SPDX-License-Identifier: Apache-2.0
"""Minimax polynomials whose coefficients are floats: how the constants of profile n1 were made.

fit() solves min over p of max |weight(x) * (f(x) - p(x))| by Remez exchange on a dense grid in
extended precision, then rounds the coefficients to binary32 one by one from the lowest degree up,
solving again for the rest, so that each rounding error is absorbed by the later ones.
"""

from collections.abc import Callable

import mpmath
import numpy

mpmath.mp.prec = 120


def to_float(value: mpmath.mpf) -> mpmath.mpf:
    """Rounds to binary32, to nearest even."""
    mantissa, exponent = mpmath.frexp(value)
    return mpmath.ldexp(mpmath.nint(mpmath.ldexp(mantissa, 24)), exponent - 24)


def remez(f: Callable, weight: Callable, powers: list[int], low: float, high: float) -> list:
    """The coefficients of the given powers of x, and the largest weighted error."""
    size = len(powers)
    nodes = [mpmath.mpf(low + high) / 2 - mpmath.mpf(high - low) / 2
             * mpmath.cos(mpmath.pi * (2 * k + 1) / (2 * (size + 1))) for k in range(size + 1)]
    grid = [mpmath.mpf(low) + (mpmath.mpf(high) - low) * k / 1600 for k in range(1601)]
    grid = [x for x in grid if x != 0]
    table = [(x, weight(x), f(x)) for x in grid]
    coefficients: list = []
    for _ in range(12):
        matrix = mpmath.matrix(size + 1, size + 1)
        right = mpmath.matrix(size + 1, 1)
        for row, x in enumerate(nodes):
            for column, power in enumerate(powers):
                matrix[row, column] = x ** power
            matrix[row, size] = mpmath.mpf((-1) ** row) / weight(x)
            right[row] = f(x)
        solution = mpmath.lu_solve(matrix, right)
        coefficients = [solution[k] for k in range(size)]
        errors = [w * (y - sum(c * x ** p for c, p in zip(coefficients, powers, strict=True)))
                  for x, w, y in table]
        peaks = []
        start = 0
        for k in range(1, len(errors) + 1):
            if k == len(errors) or (errors[k] > 0) != (errors[start] > 0):
                peaks.append(max(range(start, k), key=lambda i: abs(errors[i])))
                start = k
        while len(peaks) > size + 1:
            peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
        worst = max(abs(e) for e in errors)
        if len(peaks) < size + 1 or worst <= abs(solution[size]) * mpmath.mpf("1.0001"):
            break
        nodes = [grid[i] for i in peaks]
    return [coefficients, worst]


def fit(f: Callable, weight: Callable, powers: list[int], low: float, high: float,
        fixed: dict[int, float] | None = None) -> tuple[list[float], float]:
    """Float coefficients for `powers`, those of `fixed` given. Returns them and the error."""
    known = {power: mpmath.mpf(value) for power, value in (fixed or {}).items()}
    for power in powers:
        free = [p for p in powers if p not in known]
        if power in known:
            continue

        def rest(x: mpmath.mpf) -> mpmath.mpf:
            return f(x) - sum(c * x ** p for p, c in known.items())

        coefficients, _ = remez(rest, weight, free, low, high)
        known[power] = to_float(coefficients[free.index(power)])
    worst = 0.0
    for x in numpy.linspace(low, high, 4001):
        if x != 0:
            error = f(mpmath.mpf(x)) - sum(c * mpmath.mpf(x) ** p for p, c in known.items())
            worst = max(worst, float(abs(weight(mpmath.mpf(x)) * error)))
    return [float(known[p]) for p in powers], worst


def show(name: str, values: list[float]) -> None:
    """As C++ hexadecimal literals; repr(float.hex) is exact."""
    print(f"{name}: " + ", ".join(hex_literal(v) for v in values))


def hex_literal(value: float) -> str:
    """0x1.8p+0f, without trailing zeros."""
    if value == 0:
        return "0.0f"
    sign = "-" if value < 0 else ""
    mantissa, exponent = abs(value).hex()[2:].split("p")
    whole, _, digits = mantissa.partition(".")
    digits = digits.rstrip("0")
    return f"{sign}0x{whole}{'.' + digits if digits else ''}p{exponent}f"
