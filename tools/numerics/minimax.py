# SPDX-License-Identifier: Apache-2.0
"""Minimax polynomials whose coefficients are floats: how the constants of profile n1 were made.

fit() minimises max |weight(x) * (f(x) - p(x))| on Chebyshev points by Lawson's iteration (least
squares whose weights grow where the error is large), then rounds the coefficients to binary32 one
by one from the first power up, fitting the rest again, so that later ones absorb what rounding did.
"""

from collections.abc import Callable

import mpmath
import numpy

mpmath.mp.prec = 160
POINTS = 400
ROUNDS = 60


def to_float(value: mpmath.mpf) -> mpmath.mpf:
    """Rounds to binary32, to nearest even."""
    if value == 0:
        return mpmath.mpf(0)
    mantissa, exponent = mpmath.frexp(value)
    return mpmath.ldexp(mpmath.nint(mpmath.ldexp(mantissa, 24)), exponent - 24)


def lawson(points: numpy.ndarray, target: numpy.ndarray, weight: numpy.ndarray,
           powers: list[int]) -> numpy.ndarray:
    """The coefficients of the powers of `points`, the best of all rounds."""
    reach = max(abs(points))
    matrix = numpy.stack([(points / reach) ** p for p in powers], axis=1) * weight[:, None]
    right = target * weight
    share = numpy.ones(len(points)) / len(points)
    best, worst = None, numpy.inf
    for _ in range(ROUNDS):
        root = numpy.sqrt(share)
        found = numpy.linalg.lstsq(matrix * root[:, None], right * root, rcond=None)[0]
        error = abs(matrix @ found - right)
        if error.max() < worst:
            best, worst = found, error.max()
        if error.max() == 0:
            break
        share = share * error + 1e-30
        share /= share.sum()
    assert best is not None
    return best / numpy.array([reach**p for p in powers])


def fit(f: Callable, weight: Callable, powers: list[int], low: float, high: float,
        fixed: dict[int, float] | None = None) -> tuple[list[float], float]:
    """Float coefficients for `powers`, those in `fixed` given, and the largest weighted error."""
    angle = numpy.pi * (numpy.arange(POINTS) + 0.5) / POINTS
    points = (low + high) / 2 - (high - low) / 2 * numpy.cos(angle)
    exact = [f(mpmath.mpf(x)) for x in points]
    weights = numpy.array([float(weight(mpmath.mpf(x))) for x in points])
    known = {power: mpmath.mpf(value) for power, value in (fixed or {}).items()}

    def rest() -> numpy.ndarray:
        return numpy.array([float(y - sum(c * mpmath.mpf(x) ** p for p, c in known.items()))
                            for x, y in zip(points, exact, strict=True)])

    for power in powers:
        if power not in known:
            free = [p for p in powers if p not in known]
            found = lawson(points, rest(), weights, free)
            known[power] = to_float(mpmath.mpf(found[0]))
    return [float(known[p]) for p in powers], float(max(abs(rest() * weights)))


def show(name: str, values: list[float]) -> None:
    """As C++ hexadecimal literals, which are exact."""
    print(f"{name}: " + ", ".join(hex_literal(v) for v in values))


def hex_literal(value: float) -> str:
    """0x1.8p+0f, without trailing zeros."""
    if value == 0:
        return "0.0f"
    sign = "-" if value < 0 else ""
    mantissa, exponent = float(abs(value)).hex()[2:].split("p")
    whole, _, digits = mantissa.partition(".")
    digits = digits.rstrip("0")
    return f"{sign}0x{whole}{'.' + digits if digits else ''}p{exponent}f"
