"""The two-group problem under cross-entropy, one point after the other: :mod:`_arrays` as a compiled loop.

The formulas and the iterations are those of :mod:`ufm.two_groups._arrays`; a point stays in registers from its
arguments to its bounds, and what the last step of Newton's method does not need is left out. A point that takes the
formulas for small radii, or whose gap stays open, is *left*, for the arrays to solve. Without Numba the same functions
run interpreted, which is for tests: :data:`COMPILED` says which. Numbers in parentheses as in :mod:`ufm.two_groups`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ufm.two_groups._arrays import NONE, PARTIAL, SMALL, TOTAL

__all__ = ["COMPILED", "budgets", "weight_decay"]

try:
    from numba import njit

    COMPILED = True
except ModuleNotFoundError:
    COMPILED = False

_MAX_STEPS = 100
#: A step of Newton's method after which the next error is rounding.
_QUADRATIC = 1e-8
#: How far beyond the kink a step goes that would cross it.
_NUDGE = 1e-12
#: Relative excess of the gauge over the radius that is more than rounding.
_OUTSIDE = 1e-13
#: Relative gap, and absolute one where the risk underflows, of a point that is not left.
_GAP, _FLOOR = 1e-12, 1e-290


def _compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code that releases the interpreter's lock, kept between processes."""
    return njit(nogil=True, cache=True, error_model="numpy")(function) if COMPILED else function


@_compiled
def _log1p(x):  # type: ignore[no-untyped-def]
    """``log(1 + x)``; the library's takes twice the time of its logarithm."""
    return np.log(1 + x) if x > 1 else np.log1p(x)


@_compiled
def _length(x, y):  # type: ignore[no-untyped-def]
    """``sqrt(x^2 + y^2)`` for x, y >= 0; the library's hypot where the squares leave float64."""
    square = x * x + y * y
    return np.sqrt(square) if 1e-280 < square < 1e280 else np.hypot(x, y)


@_compiled
def _total_point(k_a, k_b, s):  # type: ignore[no-untyped-def]
    """``log beta_A`` and r at s_A = s, d_A = -s/K_A (6)."""
    fall = np.exp(-s)
    near = np.exp(-s / k_a)
    r = fall / near / (1 + (k_a - 1) * fall + k_b * fall / near)
    if s < 1:
        return -np.log1p(np.expm1(s) / (k_a + k_b / near)), r
    return s / k_a - s + np.log((k_b + k_a * near) / (1 + (k_a - 1) * fall + k_b * fall / near)), r


@_compiled
def _total_margin(k_a, k_b, s, log_beta_b):  # type: ignore[no-untyped-def]
    """``1 - beta_B^{-2} - c`` (6)."""
    k = k_a + k_b
    fall = -np.expm1(-s / k_a)
    h = k_a / k * fall
    rest = 1 - np.exp(-2 * log_beta_b) if log_beta_b > 1 else -np.expm1(-2 * log_beta_b)
    return rest - k_b / k * fall * (2 - h) / ((1 - h) * (1 - h))


@_compiled
def _lowest(k_a, k_b, radius):  # type: ignore[no-untyped-def]
    """x at which v = 0 on the collapsed branch; -inf where there is none."""
    if k_a < 2:
        return -np.inf
    k = k_a + k_b
    alpha = np.exp(-radius / (k_a * (k_a - 1)))
    half = 0.5 * alpha * k_a
    y = half + np.sqrt(half * half + k_b * (k_b + alpha * k_a))
    e2 = (y * y - k * k_b) / (k * k_a)
    return 0.5 * np.log(e2) if e2 > 0 else -np.inf


@_compiled
def _follow(k_a, k_b, log_ratio, radius):  # type: ignore[no-untyped-def]
    """Solve ``log R(x) = log R`` (5): whether it came to its end, s_A, s_B, d_A, d_B and the phase."""
    k = k_a + k_b
    c_a, c_b = k_a * (k_a - 1), k_b * (k_b - 1)
    x, e = 0.0, 1.0
    low, high = _lowest(k_a, k_b, radius), 0.0
    crossed, last = False, np.inf
    for _ in range(_MAX_STEPS):
        # (4)
        e2 = e * e
        a2 = k_a * e2
        y = np.sqrt(k * (k_b + a2))
        y_x = k * a2 / y
        y_l = y_x / y
        top_a, bottom_a = k_b + k * e2, y + k_b
        top_b, bottom_b = k + a2, y + k_a * e
        a, b = top_a / bottom_a, top_b / bottom_b
        frame_a, frame_b = 0.0, 0.0
        if x != 0:
            frame_a, frame_b = np.log(a), np.log(b) - x
        a_x = 2 * k * e2 / top_a - y_x / bottom_a
        b_l = 2 * a2 / top_b - (y_x + k_a * e) / bottom_b
        # (5): u = top/bottom, from gauge = radius, without s_B and with it
        top, top_x = radius + c_a * frame_a, c_a * a_x
        bottom, bottom_x = y / k + (k_a - 1), y_x / k
        below, below_x = bottom + (k_b - 1) * e, bottom_x + (k_b - 1) * e
        u = (top + c_b * frame_b) / below
        u_x = (top_x + c_b * (b_l - 1) - u * below_x) / below
        s_b, s_b_x = u * e - k_b * frame_b, (u + u_x) * e - k_b * (b_l - 1)
        to_kink = np.inf if k_b < 2 else -s_b / s_b_x
        collapsed = s_b < 0
        if collapsed:
            u = top / bottom
            u_x = (top_x - u * bottom_x) / bottom
        s_a, s_a_x = u - k_a * frame_a, u_x - k_a * a_x
        if (last <= _QUADRATIC and crossed == collapsed) or high - low <= 1e-15:
            d_b = u * e / k_b if collapsed else frame_b
            if k_b < 2 and not collapsed:
                d_b = u * e
            return (
                True,
                0.0 if k_a < 2 else s_a,
                0.0 if collapsed or k_b < 2 else s_b,
                u if k_a < 2 else frame_a,
                d_b,
                PARTIAL if collapsed and k_b >= 2 else NONE,
            )
        # (4): -log beta_a = s_a + log(q + (1-q) e^{-s_a}), q = A/y
        fall_a = np.exp(-s_a)
        q_a = a / y
        g_a = q_a + (1 - q_a) * fall_a
        slope = q_a * ((a_x - y_l) * (1 - fall_a) + s_a_x) / g_a
        if collapsed:
            # (5): -log beta_b = x + d + log((K_B + K_A e^{-d})/y)
            z = u * e / k_b
            g_b = (k_b + k_a * np.exp(-z)) / y
            slope -= k_b / y * ((u + u_x) * e / k_b) / g_b + 1 - y_l
            value = s_a - z + np.log(g_a / g_b) - x
        else:
            fall_b = np.exp(-s_b)
            q_b = b / y
            g_b = q_b + (1 - q_b) * fall_b
            slope -= q_b * ((b_l - y_l) * (1 - fall_b) + s_b_x) / g_b
            value = s_a - s_b + np.log(g_a / g_b)
        excess = value - log_ratio
        step = -excess / slope
        # beyond the kink the slope is another: from its left go there first, and a little further
        clamped = collapsed and step > to_kink
        if clamped:
            step = 1.05 * to_kink + _NUDGE
        if excess > 0:
            low = x
        else:
            high = x
        new = x + step
        inside = (low < new < high) or abs(step) <= _QUADRATIC
        last = abs(step) if inside and not clamped else np.inf
        if not inside:
            new = 0.5 * (low + high) if low > -np.inf else 2 * high - 1
        x = new
        e = np.exp(x)
        crossed = collapsed
    return False, 0.0, 0.0, 0.0, 0.0, NONE


@_compiled
def _column(own, other, s, d, single):  # type: ignore[no-untyped-def]
    """Probabilities q and r of a wrong class of either group, loss and ``-<softmax - 1, z>`` of one column."""
    q = 1.0 if s == 0 else np.exp(-s)
    r = np.exp(-s - d)
    if single:
        q = 0.0
    miss = (own - 1) * q + other * r
    q, r = q / (1 + miss), r / (1 + miss)
    return q, r, _log1p(miss), (own - 1) * q * s + other * r * (s + d)


@_compiled
def _gauge(k_a, k_b, s_a, s_b, d_a, d_b, root):  # type: ignore[no-untyped-def]
    """Gauge (1) over omega_B, ``root = omega_A/omega_B``."""
    k = k_a + k_b
    u, v = s_a + k_a * d_a, s_b + k_b * d_b
    size = _length(np.sqrt(k_b / k) * root * u, np.sqrt(k_a / k) * v)
    return root * (k_a - 1) * s_a + (k_b - 1) * s_b + size


@_compiled
def _budget_point(k_a, k_b, log_ratio, radius):  # type: ignore[no-untyped-def]
    """Optimum with budgets: as :func:`_follow`, totally collapsed points included."""
    s = radius / (1.0 if k_a < 2 else k_a - 1)
    if k_a >= 2 and log_ratio > 0:
        level, _ = _total_point(k_a, k_b, s)
        if _total_margin(k_a, k_b, s, level + log_ratio) >= 0:
            return True, s, 0.0, -s / k_a, 0.0, NONE if k_b < 2 else TOTAL
    if radius < SMALL * (k_a * (k_a - 1) + k_b * (k_b - 1) + 1):
        return False, 0.0, 0.0, 0.0, 0.0, NONE
    return _follow(k_a, k_b, log_ratio, radius)


@_compiled
def budgets(k_a, k_b, log_ratio, radius, value, lower, norm, s_a, s_b, d_a, d_b, phase, left):  # type: ignore[no-untyped-def]
    """Solve points with budgets into the arrays from ``value`` on; ``left`` marks those that remain to be solved."""
    for i in range(len(log_ratio)):
        a, b, tau = k_a[i], k_b[i], radius[i]
        ok, sa, sb, da, db, code = _budget_point(a, b, log_ratio[i], tau)
        left[i] = True
        if not ok:
            continue
        gauge = _gauge(a, b, sa, sb, da, db, 1.0)
        if gauge > tau * (1 + _OUTSIDE):  # rounding has put them outside of the ball
            scale = tau / gauge
            sa, sb, da, db = sa * scale, sb * scale, da * scale, db * scale
        # (9)
        inverse = np.exp(-log_ratio[i])
        pi_a = 1 / (a + b * inverse)
        pi_b = inverse * pi_a
        q_a, r_a, loss_a, spread_a = _column(a, b, sa, da, a < 2)
        q_b, r_b, loss_b, spread_b = _column(b, a, sb, db, b < 2)
        total = a * pi_a * loss_a + b * pi_b * loss_b
        spread = a * pi_a * spread_a + b * pi_b * spread_b
        dual_a = 0.0 if a < 2 else pi_a * (a * q_a + b * r_a)
        dual_b = 0.0 if b < 2 else pi_b * (b * q_b + a * r_b)
        k = a + b
        trivial = _length(pi_a * np.sqrt(k * b) * r_a, pi_b * np.sqrt(k * a) * r_b)
        largest = max(trivial, max(dual_a, dual_b))
        gap = max(tau * largest - spread, 0.0)
        value[i], lower[i], norm[i] = total, total - gap, largest
        s_a[i], s_b[i], d_a[i], d_b[i], phase[i] = sa, sb, da, db, code
        left[i] = not gap <= _GAP * total + _FLOOR


@_compiled
def _total_scale(k_a, k_b, log_beta_a):  # type: ignore[no-untyped-def]
    """s_A of the best logits without trivial block (6), for beta_A < 1: its level is convex and falls in s."""
    s = -log_beta_a
    for _ in range(_MAX_STEPS):
        level, r = _total_point(k_a, k_b, s)
        q = r * np.exp(-s / k_a)
        slope = (k_a - 1) * q + k_b * r - 1 - k_b * r / k_a + k_b * r / (k_a * (k_a * q + k_b * r))
        step = (log_beta_a - level) / slope
        s = s + step if s + step > 0 else 0.5 * s
        if abs(step) <= _QUADRATIC * s:
            break
    return s


@_compiled
def _balance(k_a, k_b, log_ratio, beta_b):  # type: ignore[no-untyped-def]
    """Solve ``omega_A u e^x = omega_B v`` (4): as :func:`_follow`."""
    k = k_a + k_b
    weight = np.exp(0.5 * log_ratio)
    beta_a = beta_b / weight
    rest_a, rest_b = (1 - beta_a) / beta_a, (1 - beta_b) / beta_b
    collapsed = beta_b >= 1
    x, low, high, last = 0.0, -np.inf, np.inf, np.inf
    for _ in range(_MAX_STEPS):
        # (4)
        e = np.exp(x)
        e2 = e * e
        a2 = k_a * e2
        y = np.sqrt(k * (k_b + a2))
        y_x = k * a2 / y
        y_l = y_x / y
        top_a, bottom_a = k_b + k * e2, y + k_b
        a = top_a / bottom_a
        a_x = 2 * k * e2 / top_a - y_x / bottom_a
        odds_a = rest_a * y / a
        on_a, on_b = odds_a > -1, True
        s_a = _log1p(odds_a) if on_a else 0.0
        d_a = np.log(a)
        u = s_a + k_a * d_a
        u_x = (odds_a / (1 + odds_a) * (y_l - a_x) if on_a else 0.0) + k_a * a_x
        if collapsed:  # v = K_B log(q/r), q/r = (y/(beta_B E) - K_A)/K_B
            pull = y / (beta_b * e)
            spread = (pull - k_a) / k_b
            on_b = spread > 0
            s_b, d_b = 0.0, np.log(spread) if on_b else 0.0
            v_x = pull / (spread if on_b else 1.0) * (y_l - 1)
        else:
            top_b, bottom_b = k + a2, y + k_a * e
            b = top_b / bottom_b
            b_l = 2 * a2 / top_b - (y_x + k_a * e) / bottom_b
            odds_b = rest_b * y / b
            on_b = odds_b > -1
            s_b, d_b = _log1p(odds_b) if on_b else 0.0, np.log(b) - x
            v_x = (odds_b / (1 + odds_b) * (y_l - b_l) if on_b else 0.0) + k_b * (b_l - 1)
        v = s_b + k_b * d_b
        if last <= _QUADRATIC or high - low <= 1e-15 * (1 + abs(x)):
            return (
                on_a and on_b,
                0.0 if k_a < 2 else s_a,
                0.0 if k_b < 2 else s_b,
                u if k_a < 2 else d_a,
                v if k_b < 2 and not collapsed else d_b,
                PARTIAL if collapsed and k_b >= 2 else NONE,
            )
        value = weight * u * e - v
        if not (on_a and on_b):
            value = np.inf if on_a else -np.inf
        slope = weight * (u + u_x) * e - v_x
        if slope > 0.5 * value:  # divided by e^{x/2}, in which the equation treats the groups alike
            slope -= 0.5 * value
        step = -value / slope
        if value > 0:
            high = x
        else:
            low = x
        new = x + step
        inside = (low < new < high) or abs(step) <= _QUADRATIC
        last = abs(step) if inside else np.inf
        if inside:
            x = new
        elif low > -np.inf and high < np.inf:
            x = 0.5 * (low + high)
        else:
            x = x + 1 + abs(x) if low > -np.inf else x - 1 - abs(x)
    return False, 0.0, 0.0, 0.0, 0.0, NONE


@_compiled
def _decay_point(k_a, k_b, log_ratio, beta_b):  # type: ignore[no-untyped-def]
    """Optimum with weight decay: as :func:`_follow`, totally collapsed points included."""
    log_beta_b = np.log(beta_b)
    log_beta_a = log_beta_b - 0.5 * log_ratio
    # mu at which all logits vanish: the standard representation of A, or for K_A = 1 the trivial block
    if k_a >= 2:
        nothing = log_beta_a >= 0
    else:
        nothing = (k_b * np.exp(-2 * log_beta_a) + k_a * np.exp(-2 * log_beta_b)) / (k_a + k_b) <= 1
    alone = k_b < 2 and not (nothing and (k_a >= 2 or log_ratio == 0))
    code = NONE if alone else TOTAL
    if nothing:
        return True, 0.0, 0.0, 0.0, 0.0, code
    if k_a >= 2 and (k_b < 2 or log_beta_b >= 0):
        s = _total_scale(k_a, k_b, log_beta_a)
        if _total_margin(k_a, k_b, s, log_beta_b) >= 0:
            return True, s, 0.0, -s / k_a, 0.0, code
    return _balance(k_a, k_b, log_ratio, beta_b)


@_compiled
def weight_decay(k_a, k_b, log_ratio, beta_b, value, lower, norm, s_a, s_b, d_a, d_b, phase, left):  # type: ignore[no-untyped-def]
    """:func:`budgets` with weight decay; ``norm`` is the gradient's over the strength."""
    for i in range(len(log_ratio)):
        a, b, beta = k_a[i], k_b[i], beta_b[i]
        ok, sa, sb, da, db, code = _decay_point(a, b, log_ratio[i], beta)
        left[i] = True
        if not ok:
            continue
        # (9)
        inverse = np.exp(-log_ratio[i])
        root = np.exp(0.5 * log_ratio[i])
        pi_a = 1 / (a + b * inverse)
        pi_b = inverse * pi_a
        q_a, r_a, loss_a, spread_a = _column(a, b, sa, da, a < 2)
        q_b, r_b, loss_b, spread_b = _column(b, a, sb, db, b < 2)
        total = a * pi_a * loss_a + b * pi_b * loss_b
        spread = a * pi_a * spread_a + b * pi_b * spread_b
        price_a, price_b = root / beta, 1 / beta
        dual_a = 0.0 if a < 2 else price_a * (a * q_a + b * r_a)
        dual_b = 0.0 if b < 2 else price_b * (b * q_b + a * r_b)
        k = a + b
        trivial = _length(price_a * np.sqrt(k * b) * r_a, price_b * np.sqrt(k * a) * r_b)
        largest = max(trivial, max(dual_a, dual_b))
        found = total + beta * pi_b * _gauge(a, b, sa, sb, da, db, root)
        bound = min((total + spread) * (1 / largest if largest > 1 else 1.0), found)
        value[i], lower[i], norm[i] = found, bound, largest
        s_a[i], s_b[i], d_a[i], d_b[i], phase[i] = sa, sb, da, db, code
        left[i] = not found - bound <= _GAP * found + _FLOOR
