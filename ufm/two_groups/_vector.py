"""Exponential and logarithm without branches: loops over them become vector instructions.

Errors are below 2 units in the last place of float64, which the library's functions keep as well, but those are calls,
which no compiler puts several points into. Without Numba NumPy's functions stand in. Arguments and results stay within
the normal numbers: an exponential below ``e^-700`` is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["COMPILED", "compiled", "exp", "expm1", "lanes", "log", "log1p"]

try:
    from numba import njit

    COMPILED = True
except ModuleNotFoundError:
    COMPILED = False

#: Products and sums may be fused, which only saves roundings; everything else stays as it is written.
_FUSED = {"contract"}


def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code that releases the interpreter's lock, kept between processes."""
    return njit(nogil=True, cache=True, error_model="numpy", fastmath=_FUSED)(function) if COMPILED else function


def lanes(function: Callable[..., Any]) -> Any:
    """The function as a part of the loops that call it."""
    if not COMPILED:
        return function
    return njit(nogil=True, cache=True, error_model="numpy", fastmath=_FUSED, forceinline=True)(function)


#: 1.5 * 2^52: a number added to it is rounded to an integer, which the lowest bits of the sum then hold.
_ROUND = 6755399441055744.0
_ROUND_BITS = np.int64(0x4338000000000000)
#: log 2 in two parts, the first so short that its products with exponents are exact.
_LN2, _LN2_REST = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_BIAS, _MANTISSA = np.int64(1023), np.int64(52)
#: Bits of sqrt(1/2): numbers are scaled to between it and sqrt(2).
_HALF_ROOT = np.int64(0x3FE6A09E667F3BCD)
_EXPONENT = np.int64(-(1 << 52))
_LOWEST, _HIGHEST = -700.0, 700.0


@lanes
def _parts(x):  # type: ignore[no-untyped-def]
    """``2^n`` and ``e^r - 1`` with ``x = n log 2 + r``, |r| <= log(2)/2.

    The polynomial interpolates ``(e^r - 1 - r)/r^2`` at Chebyshev's points, to 2e-17; its halves do not wait for each
    other.
    """
    x = min(max(x, _LOWEST), _HIGHEST)
    shifted = x * 1.4426950408889634 + _ROUND
    n = shifted - _ROUND
    r = (x - n * _LN2) - n * _LN2_REST
    scale = np.int64((np.float64(shifted).view(np.int64) + _BIAS) << _MANTISSA).view(np.float64)
    r2 = r * r
    even = 2.7620075892548164e-07
    even = even * r2 + 2.480152132234228e-05
    even = even * r2 + 0.0013888888917196736
    even = even * r2 + 0.041666666666624164
    even = even * r2 + 0.5
    odd = 2.51003758422237e-08
    odd = odd * r2 + 2.7557268480289716e-06
    odd = odd * r2 + 0.00019841269863040559
    odd = odd * r2 + 0.008333333333330065
    odd = odd * r2 + 0.16666666666666669
    return scale, (odd * r + even) * r2 + r


@lanes
def _exp(x):  # type: ignore[no-untyped-def]
    scale, rest = _parts(x)
    return 0.0 if x < _LOWEST else scale * rest + scale


@lanes
def _expm1(x):  # type: ignore[no-untyped-def]
    scale, rest = _parts(x)
    return scale * rest + (scale - 1)


@lanes
def _log(x):  # type: ignore[no-untyped-def]
    bits = np.float64(x).view(np.int64)
    above = bits - _HALF_ROOT
    z = np.int64(bits - (above & _EXPONENT)).view(np.float64)
    n = np.int64((above >> _MANTISSA) + _ROUND_BITS).view(np.float64) - _ROUND
    f = z - 1
    s = f / (2 + f)
    t = s * s
    # log(1 + f) = 2 artanh(s) = 2 s + s R(s^2), R as in fdlibm, in halves that do not wait for each other
    t2 = t * t
    even = 1.531383769920937332e-01
    even = even * t2 + 2.222219843214978396e-01
    even = even * t2 + 3.999999999940941908e-01
    odd = 1.479819860510658591e-01
    odd = odd * t2 + 1.818357216161805012e-01
    odd = odd * t2 + 2.857142874366239149e-01
    odd = odd * t2 + 6.666666666666735130e-01
    half = 0.5 * f * f
    return n * _LN2 - ((half - (s * (half + (even * t2 + odd * t)) + n * _LN2_REST)) - f)


@lanes
def _log1p(x):  # type: ignore[no-untyped-def]
    u = 1 + x
    return _log(u) + (x - (u - 1)) / u


if COMPILED:
    exp, expm1, log, log1p = _exp, _expm1, _log, _log1p
else:
    exp, expm1, log, log1p = np.exp, np.expm1, np.log, np.log1p
