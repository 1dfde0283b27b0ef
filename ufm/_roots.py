"""A root in a bracket without SciPy: ``scipy.optimize`` alone takes longer to import than a closed form to evaluate."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["bracketed_root"]

_EPS = 2.0**-52


def bracketed_root(f: Callable[[float], float], low: float, high: float, *, xtol: float, max_steps: int = 500) -> float:
    """Return a root of ``f`` between two points of opposite sign, to ``xtol + 4 eps |x|``: Chandrupatla's method.

    It interpolates by the inverse parabola through three points where that is monotone between them, and halves
    elsewhere.

    Args:
        f: continuous, of opposite sign (or 0) at ``low`` and ``high``.
        low, high: the bracket.
        xtol: absolute tolerance >= 0.
        max_steps: most evaluations.

    Raises:
        ValueError: ``f`` has one sign at both ends.
        ArithmeticError: not within ``xtol`` after ``max_steps``.

    Source: Chandrupatla 1997.

    >>> bracketed_root(lambda x: x * x - 2, 0.0, 2.0, xtol=1e-15)
    1.414213562373095...
    """
    a, b, fa, fb = high, low, f(high), f(low)
    if not fa * fb <= 0:
        raise ValueError(f"f must change sign between {low:g} and {high:g}, got {fb:g} and {fa:g}")
    if fa == 0 or fb == 0:
        return a if fa == 0 else b
    share = 0.5
    for _ in range(max_steps):
        x = a + share * (b - a)
        fx = f(x)
        # a is the newest point, b on its other side of the root, c the one before
        if (fx > 0) == (fa > 0):
            c, fc, a, fa = a, fa, x, fx
        else:
            c, fc, b, fb, a, fa = b, fb, a, fa, x, fx
        best, least = (a, fa) if abs(fa) < abs(fb) else (b, fb)
        smallest = (2 * _EPS * abs(best) + 0.5 * xtol) / abs(b - a) if b != a else 1.0
        if smallest >= 0.5 or least == 0:
            return best
        xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
        share = 0.5
        if phi**2 < xi and (1 - phi) ** 2 < 1 - xi:
            share = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
        share = min(1 - smallest, max(smallest, share))
    raise ArithmeticError(f"no root within {xtol:g} after {max_steps} evaluations, last bracket {a!r}, {b!r}")
