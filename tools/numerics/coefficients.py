# SPDX-License-Identifier: Apache-2.0
"""Prints the coefficients of src/vm/numerics/elementary*.h, each with its error in units of 2^-24.

Needs mpmath and numpy. Run it with no argument for all, or with the names of functions.
"""

import sys

import mpmath
from minimax import fit, hex_literal, show, to_float

SLACK = 1.0005  # Ranges reach a little over their ends: range reduction rounds.


def exp() -> None:
    high = float(mpmath.log(2) / 2) * SLACK
    values, error = fit(mpmath.exp, lambda x: 1 / mpmath.exp(x), list(range(7)), -high, high,
                        {0: 1, 1: 1})
    show(f"exp {error * 2**24:.3f}", values)
    top = float.fromhex("0x1.62e4p-1")
    print("ln 2:", hex_literal(top), hex_literal(float(to_float(mpmath.log(2) - top))))


def exp2() -> None:
    values, error = fit(lambda x: mpmath.mpf(2) ** x, lambda x: mpmath.mpf(2) ** -x,
                        list(range(7)), -0.5 * SLACK, 0.5 * SLACK, {0: 1})
    show(f"exp2 {error * 2**24:.3f}", values)


def log() -> None:
    """log(1 + f) = f - f^2 / 2 + f^3 p(f)."""
    def p(f: mpmath.mpf) -> mpmath.mpf:
        with mpmath.workprec(200):
            return (mpmath.log1p(f) - f + f * f / 2) / f**3

    values, error = fit(p, lambda f: f**3 / mpmath.log1p(f), list(range(8)),
                        float(mpmath.sqrt(0.5)) - 1, float(mpmath.sqrt(2)) - 1)
    show(f"log {error * 2**24:.3f}", values)


def log2_tail() -> None:
    """log2(1 + r) = (r - r^2 / 2) / ln 2 + r^3 p(r), for pow."""
    def p(r: mpmath.mpf) -> mpmath.mpf:
        with mpmath.workprec(240):
            return (mpmath.log1p(r) - r + r * r / 2) / r**3 / mpmath.log(2)

    values, error = fit(p, lambda r: r**3 / mpmath.log1p(r), list(range(4)), -0.0334, 0.0334)
    show(f"log2 {error * 2**24:.5f}", values)
    inverse = 1 / mpmath.log(2)
    high = to_float(inverse)
    print("1/ln 2:", hex_literal(float(high)), hex_literal(float(to_float(inverse - high))))


def log2_table() -> None:
    """c is 1/m in 8 bits for the middle of each interval of m; log2(1/c) = high + low."""
    first = 0x3F340000
    cs, highs, lows, worst = [], [], [], 0.0
    for k in range(16):
        ends = [float(mpmath.ldexp(0x800000 + (b & 0x7FFFFF), (b >> 23) - 150))
                for b in (first + (k << 19), first + ((k + 1) << 19))]
        c = 1.0 if ends[0] < 1 < ends[1] else round(2 / (ends[0] + ends[1]) * 128) / 128
        worst = max(worst, *(abs(end * c - 1) for end in ends))
        value = -mpmath.log(c, 2)
        high = float(mpmath.nint(value * 2**15) / 2**15)
        cs.append(c)
        highs.append(high)
        lows.append(float(to_float(value - high)))
    # The index is the low 4 bits of (bits - first) >> 19.
    print(f"|r| <= {worst}")
    show("c", cs)
    show("high", highs)
    show("low", lows)


def sin() -> None:
    high = float(mpmath.pi / 4) * 1.006
    values, error = fit(lambda x: (mpmath.sin(x) - x) / x**3, lambda x: x**3 / mpmath.sin(x),
                        [0, 2, 4], 1e-3, high)
    show(f"sin {error * 2**24:.3f}", values)
    values, error = fit(lambda x: (mpmath.cos(x) - 1 + x * x / 2) / x**4,
                        lambda x: x**4 / mpmath.cos(x), [0, 2, 4], 1e-3, high)
    show(f"cos {error * 2**24:.3f}", values)
    rest = mpmath.pi / 2
    for _ in range(3):
        part = to_float(rest)
        print("pi/2:", hex_literal(float(part)))
        rest -= part
    with mpmath.workprec(400):
        bits = int(mpmath.floor(mpmath.ldexp(2 / mpmath.pi, 224)))
    print("2/pi:", ", ".join(f"0x{(bits >> (32 * k)) & 0xFFFFFFFF:08x}" for k in range(6, -1, -1)))


def piecewise(name: str, f, slope, width: float, degree: int) -> None:
    """f(x) = C + t q(t) for t = |x| - k width: 16 constants and 16 polynomials, slope = f'(0).

    The first is f(x) = t + t q(t), so that the rounding of q is of a small part of f.
    """
    rows = []
    errors = []
    for k in range(16):
        start = to_float(f(mpmath.mpf(k * width)))
        low = -width / 2 * SLACK if k else 0.0

        def q(t: mpmath.mpf, k: int = k, start: mpmath.mpf = start) -> mpmath.mpf:
            first = 0 if k else 1
            return ((f(t + k * width) - start) / t if t else slope) - first

        def weight(t: mpmath.mpf, k: int = k) -> mpmath.mpf:
            return t / f(t + k * width) if t else 1 / slope

        values, error = fit(q, weight, list(range(degree + 1)), low, width / 2 * SLACK)
        rows.append([float(start), *values])
        errors.append(error)
    print(name, "width", hex_literal(width), "1/width",
          hex_literal(float(to_float(mpmath.mpf(1) / width))),
          "errors", " ".join(f"{e * 2**24:.2f}" for e in errors))
    for power in range(degree + 2):
        show(f"  c{power}", [row[power] for row in rows])


def best_width(f, low: float, high: float, step: float) -> float:
    """The width for which every C is nearest to a float, in units of the last place of f."""
    best, least = low, mpmath.inf
    for count in range(round(low / step), round(high / step) + 1):
        width, worst = count * step, mpmath.mpf(0)
        for k in range(1, 16):
            value = f(mpmath.mpf(k * width))
            place = mpmath.ldexp(1, int(mpmath.frexp(f((k - 0.5) * width))[1]) - 24)
            worst = max(worst, abs(value - to_float(value)) / place)
            if worst > least:
                break
        else:
            best, least = width, worst
    print("width", best, "places", float(least))
    return best


def erf() -> None:
    width = best_width(mpmath.erf, 3.93 / 15.5, 3.93 / 15.5 * 1.03, 2**-20)
    piecewise("erf", mpmath.erf, 2 / mpmath.sqrt(mpmath.pi), width, 4)


def tanh() -> None:
    width = best_width(mpmath.tanh, 9.03 / 15.5, 9.03 / 15.5 * 1.03, 2**-19)
    piecewise("tanh", mpmath.tanh, mpmath.mpf(1), width, 6)


ALL = {"exp": exp, "exp2": exp2, "log": log, "log2_tail": log2_tail, "log2_table": log2_table,
       "sin": sin, "erf": erf, "tanh": tanh}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or ALL:
        ALL[chosen]()
