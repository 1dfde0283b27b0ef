"""The two-group problem on arrays of points: one scalar equation a point, with everything else explicit.

Numbers in parentheses are those of the derivation in :mod:`ufm.two_groups`. *Budgets*: ``log R(x) = log R`` (5).
*Weight decay*: beta_A and beta_B are given, x gives u and v, and the equation is ``omega_A u e^x = omega_B v`` (4).

Both are safeguarded Newton iterations from x = 0. Arrays are one-dimensional float64 of NumPy or torch, whose namespace
is passed as ``xp``; a point that has converged drops out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

__all__ = [
    "NONE",
    "PARTIAL",
    "TOTAL",
    "Bounds",
    "Frame",
    "Optima",
    "Points",
    "bounds",
    "constrained",
    "frame_at",
    "log_odds",
    "mean_squared_bounds",
    "mean_squared_error",
    "penalised",
    "total_margin",
    "total_point",
    "total_scale",
]

NONE, PARTIAL, TOTAL = 0, 1, 2

_INF = float("inf")
_MAX_STEPS = 100
#: A step of Newton's method after which the next error is rounding.
_QUADRATIC = 1e-8
#: How far beyond the kink a step goes that would cross it.
_NUDGE = 1e-12
#: Relative excess of the gauge over the radius that is more than rounding.
_OUTSIDE = 1e-13
#: Radius over ``K_A^2 + K_B^2`` below which rounding of d_A and d_B counts.
SMALL = 1e-5


@dataclass
class Points:
    """Two-group problems: a number or an array (n,) each.

    Attributes:
        k_a, k_b: classes in either group, as floats.
        log_ratio: log R >= 0, R = n_A/n_B.
        radius: radius of the ball; None for weight decay.
        beta_b: ``strength omega_B / pi_B``; None for budgets.
    """

    k_a: Any
    k_b: Any
    log_ratio: Any
    radius: Any = None
    beta_b: Any = None

    def take(self, index: Any) -> Points:
        """The points at ``index`` (positions or a mask)."""
        return Points(*(_take(getattr(self, f.name), index) for f in fields(self)))


@dataclass
class Optima:
    """Optima in reduced coordinates, and the phase: 0 none, 1 partial, 2 total.

    s of a group of one class, which no logit depends on, is 0; d is then u or v.
    """

    s_a: Any
    s_b: Any
    d_a: Any
    d_b: Any
    phase: Any

    def put(self, index: Any, part: Optima) -> None:
        """Write ``part`` to the positions ``index``."""
        for f in fields(self):
            getattr(self, f.name)[index] = getattr(part, f.name)


def _take(value: Any, index: Any) -> Any:
    return value[index] if getattr(value, "ndim", 0) else value


@dataclass
class Frame:
    """What x alone determines; ``_x`` marks a derivative in x, ``_l`` the derivative of a logarithm."""

    e: Any
    y: Any
    y_l: Any
    a: Any
    b: Any
    d_a: Any
    d_b: Any
    d_a_x: Any
    b_l: Any


def frame_at(xp: Any, x: Any, k_a: Any, k_b: Any, careful: bool = False) -> Frame:
    """The frame (4) of x; ``careful`` keeps the relative accuracy of d_A and d_B near x = 0, where both are small."""
    k = k_a + k_b
    e = xp.exp(x)
    e2 = e * e
    a2 = k_a * e2
    y2 = k * (k_b + a2)
    y = xp.sqrt(y2)
    y_x = (k * a2) / y
    top_a, bottom_a = k_b + k * e2, y + k_b
    top_b, bottom_b = k + a2, y + k_a * e
    a, b = top_a / bottom_a, top_b / bottom_b
    d_a, d_b = xp.log(a), xp.log(b) - x
    if careful:
        # with w = E^2 - 1 and y = K sqrt(1 + (K_A/K) w): A - 1 and B/E - 1 in parts of one sign
        share, w = k_a / k, xp.expm1(2 * x)
        half = share / (1 + y / k)
        near_a = xp.log1p(k * w * (1 - half) / bottom_a)
        near_b = xp.log1p(-k * (xp.expm1(x) + e * w * half) / (e * bottom_b))
        d_a, d_b = xp.where(a > 0.5, near_a, d_a), xp.where(x > -1, near_b, d_b)
    return Frame(
        e,
        y,
        y_x / y,
        a,
        b,
        d_a,
        d_b,
        2 * k * e2 / top_a - y_x / bottom_a,
        2 * a2 / top_b - (y_x + k_a * e) / bottom_b,
    )


def constrained(xp: Any, points: Points) -> Optima:
    """Minimisers of the cross-entropy over gauge <= radius."""
    total = _totally_collapsed(xp, points)
    s = points.radius / xp.where(points.k_a < 2, 1.0, points.k_a - 1)
    zero = 0.0 * points.radius
    out = Optima(s, zero, -s / points.k_a, zero + 0.0, xp.where(points.k_b < 2, NONE, TOTAL) + zero)
    # logits below the rounding of their parts take formulas that do not cancel, and twice the time
    parts = points.k_a * (points.k_a - 1) + points.k_b * (points.k_b - 1) + 1
    small = points.radius < SMALL * parts
    for careful in (False, True):
        index = xp.where(~total & (small if careful else ~small))[0]
        if len(index):
            _follow(xp, points.take(index), index, out, careful)
    return _within(xp, points, out)


def _within(xp: Any, points: Points, out: Optima) -> Optima:
    """The logits, shrunk to the sphere of the gauge where rounding has put them outside of it."""
    k_a, k_b = points.k_a, points.k_b
    k = k_a + k_b
    u, v = out.s_a + k_a * out.d_a, out.s_b + k_b * out.d_b
    gauge = (k_a - 1) * out.s_a + (k_b - 1) * out.s_b + xp.hypot(xp.sqrt(k_b / k) * u, xp.sqrt(k_a / k) * v)
    scale = xp.where(gauge > points.radius * (1 + _OUTSIDE), points.radius / gauge, 1.0)
    return Optima(out.s_a * scale, out.s_b * scale, out.d_a * scale, out.d_b * scale, out.phase)


def _follow(xp: Any, points: Points, index: Any, out: Optima, careful: bool) -> None:
    """Solve ``log R(x) = log R`` for points with a trivial block, and write their logits to ``out`` at ``index``."""
    x = 0.0 * points.radius
    low, high = _lowest(xp, points) + x, x
    crossed, last = x > 0, x + _INF
    for _ in range(_MAX_STEPS):
        if len(index) == 0:
            break
        value, slope, collapsed, to_kink, found = _ratio_at(xp, x, points, careful)
        excess = value - points.log_ratio
        step = -excess / slope
        # Beyond the kink the slope is another: from its left go there first, and a little further.
        clamped = collapsed & (step > to_kink)
        step = xp.where(clamped, 1.05 * to_kink + _NUDGE * (abs(x) if careful else 1.0), step)
        done = (last <= _QUADRATIC * (abs(x) if careful else 1.0)) & (crossed == collapsed)
        done = done | (high - low <= 1e-15 * (abs(x) if careful else 1.0))
        if bool(done.any()):
            out.put(index[done], Optima(*(_take(getattr(found, f.name), done) for f in fields(found))))
        above = excess > 0
        low, high = xp.where(above, x, low), xp.where(above, high, x)
        new = x + step
        inside = (new > low) & (new < high) | (abs(step) <= _QUADRATIC * (abs(x) if careful else 1.0))
        last = xp.where(inside & ~clamped, abs(step), _INF)
        middle = xp.where(low > -_INF, 0.5 * (xp.where(low > -_INF, low, 0.0) + high), 2 * high - 1)
        x, crossed = xp.where(inside, new, middle), collapsed
        if bool(done.any()):
            keep = ~done
            index, x, low, high, last, crossed = (v[keep] for v in (index, x, low, high, last, crossed))
            points = points.take(keep)
    else:
        out.put(index, _ratio_at(xp, x, points, careful)[-1])


def _ratio_at(xp: Any, x: Any, points: Points, careful: bool = False) -> tuple[Any, Any, Any, Any, Optima]:
    """``log R(x)``, its slope, whether B is collapsed, the Newton step to the kink, and the logits."""
    k_a, k_b = points.k_a, points.k_b
    k = k_a + k_b
    fr = frame_at(xp, x, k_a, k_b, careful)
    d_b_x = fr.b_l - 1
    c_a, c_b = k_a * (k_a - 1), k_b * (k_b - 1)
    # (5): u = top/bottom, from gauge = radius, without s_B and with it
    top, top_x = points.radius + c_a * fr.d_a, c_a * fr.d_a_x
    bottom, bottom_x = fr.y / k + (k_a - 1), fr.y * fr.y_l / k
    full, full_x = top + c_b * fr.d_b, top_x + c_b * d_b_x
    below, below_x = bottom + (k_b - 1) * fr.e, bottom_x + (k_b - 1) * fr.e
    u = full / below
    u_x = (full_x - u * below_x) / below
    s_b, s_b_x = u * fr.e - k_b * fr.d_b, (u + u_x) * fr.e - k_b * d_b_x
    # for a single class the two cases are the same formulas, in s_B + d_B or in s_B and d_B
    collapsed = s_b < 0
    flat = top / bottom
    u, u_x = xp.where(collapsed, flat, u), xp.where(collapsed, (top_x - flat * bottom_x) / bottom, u_x)
    s_a, s_a_x = u - k_a * fr.d_a, u_x - k_a * fr.d_a_x
    d_b = xp.where(collapsed, u * fr.e / k_b, fr.d_b)
    # (4): -log beta_a = s_a + log(q + (1-q) e^{-s_a}), q = A/y
    # (5), collapsed: -log beta_b = x + d + log((K_B + K_A e^{-d})/y)
    q_a, q_b = fr.a / fr.y, xp.where(collapsed, k_b, fr.b) / fr.y
    rest_b = xp.where(collapsed, k_a / fr.y, 1 - q_b)
    z, z_x = xp.where(collapsed, d_b, s_b), xp.where(collapsed, (u + u_x) * fr.e / k_b, s_b_x)
    fall_a, fall_b = xp.exp(-s_a), xp.exp(-z)
    g_a, g_b = q_a + (1 - q_a) * fall_a, q_b + rest_b * fall_b
    if careful:
        share = k_b / k
        turn = xp.where(x > -1, 0.5 * xp.log1p(share * xp.expm1(-2 * xp.where(x > -1, x, -1.0))), xp.log(fr.y / k) - x)
        price_b = log_odds(xp, xp.where(collapsed, share, q_b), z, 1.0) - xp.where(collapsed, turn, 0.0)
        value = log_odds(xp, q_a, s_a, 1.0) - price_b
    else:
        value = s_a - z + xp.log(g_a / g_b) - xp.where(collapsed, x, 0.0)
    slope_a = q_a * ((fr.d_a_x - fr.y_l) * (1 - fall_a) + s_a_x) / g_a
    slope_b = q_b * (xp.where(collapsed, 0.0, (fr.b_l - fr.y_l) * (1 - fall_b)) + z_x) / g_b
    slope_b = slope_b + xp.where(collapsed, 1 - fr.y_l, 0.0)
    # of a group of one class no logit depends on s: all of u, or of v, is its d
    single_b = (k_b < 2) & ~collapsed
    logits = Optima(
        xp.where(k_a < 2, 0.0, s_a),
        xp.where(collapsed | (k_b < 2), 0.0, s_b),
        xp.where(k_a < 2, u, fr.d_a),
        xp.where(single_b, u * fr.e, d_b),
        xp.where(collapsed & (k_b >= 2), PARTIAL, 0.0 * x),
    )
    return value, slope_a - slope_b, collapsed, xp.where(k_b < 2, _INF, -s_b / s_b_x), logits


def log_odds(xp: Any, share: Any, s: Any, limit: float) -> Any:
    """``log(share e^s + 1 - share)``, to relative accuracy where s is below ``limit``."""
    near = xp.where(s < limit, s, limit)
    return xp.where(s < limit, xp.log1p(share * xp.expm1(near)), s + xp.log(share + (1 - share) * xp.exp(-s)))


def _lowest(xp: Any, points: Points) -> Any:
    """x at which v = 0 on the collapsed branch, where total collapse begins; -inf where there is none.

    There ``radius + K_A (K_A-1) log A = 0``, and A is a rational function of y and y^2.
    """
    k_a, k_b = points.k_a, points.k_b
    k = k_a + k_b
    alpha = xp.exp(-points.radius / xp.where(k_a < 2, 1.0, k_a * (k_a - 1)))
    half = 0.5 * alpha * k_a
    y = half + xp.sqrt(half * half + k_b * (k_b + alpha * k_a))
    e2 = (y * y - k * k_b) / (k * k_a)
    exists = (k_a >= 2) & (e2 > 0)
    return xp.where(exists, 0.5 * xp.log(xp.where(exists, e2, 1.0)), -_INF)


def _totally_collapsed(xp: Any, points: Points) -> Any:
    """Whether ``s_A = radius/(K_A-1)`` without a trivial block is optimal: its gradient's has dual norm at most mu."""
    s = points.radius / xp.where(points.k_a < 2, 1.0, points.k_a - 1)
    level, _ = total_point(xp, points.k_a, points.k_b, s)
    possible = (points.k_a >= 2) & (points.log_ratio > 0)
    return possible & (total_margin(xp, points.k_a, points.k_b, s, level + points.log_ratio) >= 0)


def total_point(xp: Any, k_a: Any, k_b: Any, s: Any) -> tuple[Any, Any]:
    """``log beta_A = log(K_A q + K_B r)`` and log r at s_A = s, d_A = -s/K_A: total collapse."""
    log_r = s / k_a - s - xp.log1p((k_a - 1) * xp.exp(-s) + k_b * xp.exp(s / k_a - s))
    near = xp.where(s < 1, s, 1.0)
    level = -xp.log1p(xp.expm1(near) / (k_a + k_b * xp.exp(near / k_a)))
    return xp.where(s < 1, level, log_r + xp.log(k_b + k_a * xp.exp(-s / k_a))), log_r


def total_margin(xp: Any, k_a: Any, k_b: Any, s: Any, log_beta_b: Any) -> Any:
    """``1 - beta_B^{-2} - c``, >= 0 iff total collapse at s_A = s is optimal, see (6)."""
    k = k_a + k_b
    fall = -xp.expm1(-s / k_a)
    h = k_a / k * fall
    return -xp.expm1(-2 * log_beta_b) - k_b / k * fall * (2 - h) / (1 - h) ** 2


def penalised(xp: Any, points: Points) -> Optima:
    """Minimisers of the cross-entropy plus ``strength`` times the gauge."""
    k_a, k_b = points.k_a, points.k_b
    zero = 0.0 * points.beta_b
    log_beta_b = xp.log(points.beta_b)
    log_beta_a = log_beta_b - 0.5 * points.log_ratio
    # mu at which all logits vanish: the standard representation of A, or for K_A = 1 the trivial block
    norm = (k_b * xp.exp(-2 * log_beta_a) + k_a * xp.exp(-2 * log_beta_b)) / (k_a + k_b)
    nothing = xp.where(k_a >= 2, log_beta_a >= 0, norm <= 1)
    candidates = ~nothing & (k_a >= 2) & ((k_b < 2) | (log_beta_b >= 0))
    s, total = zero, nothing
    if bool(candidates.any()):
        part = points.take(candidates)
        target = log_beta_a[candidates]
        root = total_scale(xp, part, target)
        fits = total_margin(xp, part.k_a, part.k_b, root, log_beta_b[candidates]) >= 0
        s, total = zero + 0.0, nothing | candidates
        s[candidates], total[candidates] = root, fits
    alone = (k_b < 2) & ~(nothing & ((k_a >= 2) | (points.log_ratio == 0)))
    phase = xp.where(alone, NONE, TOTAL) + zero
    out = Optima(s + 0.0, zero, -s / k_a, zero + 0.0, phase)
    index = xp.where(~total)[0]
    points = points.take(index)
    x = 0.0 * points.beta_b
    low, high, last = x - _INF, x + _INF, x + _INF
    for _ in range(_MAX_STEPS):
        if len(index) == 0:
            break
        value, slope, found = _imbalance_at(xp, x, points)
        # divided by e^{x/2}, in which the equation treats the groups alike
        slope = xp.where(slope > 0.5 * value, slope - 0.5 * value, slope)
        step = -value / slope
        done = (last <= _QUADRATIC) | (high - low <= 1e-15 * (1 + abs(x)))
        if bool(done.any()):
            out.put(index[done], Optima(*(_take(getattr(found, f.name), done) for f in fields(found))))
        low, high = xp.where(value > 0, low, x), xp.where(value > 0, x, high)
        new = x + step
        inside = (new > low) & (new < high) | (abs(step) <= _QUADRATIC)
        last = xp.where(inside, abs(step), _INF)
        outward = xp.where(low > -_INF, x + 1 + abs(x), x - 1 - abs(x))
        bounded = (low > -_INF) & (high < _INF)
        middle = xp.where(bounded, 0.5 * (xp.where(bounded, low, 0.0) + xp.where(bounded, high, 0.0)), outward)
        x = xp.where(inside, new, middle)
        if bool(done.any()):
            keep = ~done
            index, x, low, high, last = (v[keep] for v in (index, x, low, high, last))
            points = points.take(keep)
    else:
        out.put(index, _imbalance_at(xp, x, points)[-1])
    return out


def _imbalance_at(xp: Any, x: Any, points: Points) -> tuple[Any, Any, Optima]:
    """``(omega_A/omega_B) u e^x - v``, its slope and the logits; +-inf off the simplex, on the side where it lies."""
    k_a, k_b = points.k_a, points.k_b
    fr = frame_at(xp, x, k_a, k_b)
    weight = xp.exp(0.5 * points.log_ratio)
    beta_a, beta_b = points.beta_b / weight, points.beta_b
    # (4): p/q - 1 = (1 - beta) y / (beta A)
    odds_a, odds_b = (1 - beta_a) / beta_a * fr.y / fr.a, (1 - beta_b) / beta_b * fr.y / fr.b
    collapsed = beta_b >= 1
    # collapsed: v = K_B log(q/r), q/r = (y/(beta_B E) - K_A)/K_B
    pull = fr.y / (beta_b * fr.e)
    spread = xp.where(collapsed, (pull - k_a) / k_b, 1.0)
    on_a, on_b = odds_a > -1, xp.where(collapsed, spread > 0, odds_b > -1)
    odds_a = xp.where(on_a, odds_a, 0.0)
    odds_b = xp.where(on_b & ~collapsed, odds_b, 0.0)
    spread = xp.where(spread > 0, spread, 1.0)
    s_a, s_b = xp.log1p(odds_a), xp.log1p(odds_b)
    d_b = xp.where(collapsed, xp.log(spread), fr.d_b)
    u, v = s_a + k_a * fr.d_a, s_b + k_b * d_b
    u_x = odds_a / (1 + odds_a) * (fr.y_l - fr.d_a_x) + k_a * fr.d_a_x
    flat_x, full_x = pull / spread * (fr.y_l - 1), odds_b / (1 + odds_b) * (fr.y_l - fr.b_l) + k_b * (fr.b_l - 1)
    v_x = xp.where(collapsed, flat_x, full_x)
    value = weight * u * fr.e - v
    value = xp.where(on_a & on_b, value, xp.where(on_a, _INF, -_INF))
    logits = Optima(
        xp.where(k_a < 2, 0.0, s_a),
        xp.where(k_b < 2, 0.0, s_b),
        xp.where(k_a < 2, u, fr.d_a),
        xp.where((k_b < 2) & ~collapsed, v, d_b),
        xp.where(collapsed & (k_b >= 2), PARTIAL, 0.0 * x),
    )
    return value, weight * (u + u_x) * fr.e - v_x, logits


def total_scale(xp: Any, points: Points, log_beta_a: Any) -> Any:
    """s_A of the best logits without trivial block, for beta_A < 1: its level is convex and falls in s."""
    k_a, k_b = points.k_a, points.k_b
    s = -log_beta_a
    for _ in range(_MAX_STEPS):
        level, log_r = total_point(xp, k_a, k_b, s)
        r = xp.exp(log_r)
        q = r * xp.exp(-s / k_a)
        slope = (k_a - 1) * q + k_b * r - 1 - k_b * r / k_a + k_b * r / (k_a * (k_a * q + k_b * r))
        step = (log_beta_a - level) / slope
        s = xp.where(s + step > 0, s + step, 0.5 * s)
        if bool((abs(step) <= _QUADRATIC * s).all()):
            break
    return s


def mean_squared_error(xp: Any, points: Points) -> Optima:
    """Minimisers under MSE: diagonal, ``z_k = 1 - e_k`` with the residuals e, so ``s = z``, d = 0.

    Of a single class, whose s is 0, it is ``d = z``: either way ``z = s + d``.
    """
    z_a, z_b = _diagonal(xp, points)
    gone = ((z_b <= 0) & (points.k_b >= 2)) | ((z_a <= 0) & ((points.k_a >= 2) | (points.log_ratio == 0)))
    zero = 0.0 * z_a
    s_a, s_b = xp.where(points.k_a >= 2, z_a, zero), xp.where(points.k_b >= 2, z_b, zero)
    return Optima(s_a, s_b, z_a - s_a, z_b - s_b, xp.where(gone, TOTAL, zero))


def _diagonal(xp: Any, points: Points) -> tuple[Any, Any]:
    """``z_k = max(0, 1 - mu omega_k/pi_k)``; with budgets ``K_A z_A + K_B z_B = radius`` while radius < K."""
    k_a, k_b = points.k_a, points.k_b
    if points.radius is None:
        z_a, z_b = 1 - points.beta_b * xp.exp(-0.5 * points.log_ratio), 1 - points.beta_b
        return xp.where(z_a > 0, z_a, 0.0), xp.where(z_b > 0, z_b, 0.0)
    k, inverse = k_a + k_b, xp.exp(-points.log_ratio)
    full = xp.where(points.radius < k, points.radius, k)
    # e_B = R e_A while B takes part, z_B > 0; numerators and denominators over R, so that none overflows
    weight = k_a * inverse + k_b
    z_b = (full - k_a * -xp.expm1(-points.log_ratio)) / weight
    z_a = (k_b * -xp.expm1(-points.log_ratio) + full * inverse) / weight
    alone = z_b <= 0
    z_a, z_b = xp.where(alone, points.radius / k_a, z_a), xp.where(alone, 0.0, z_b)
    return xp.where(z_a < 1, z_a, 1.0), xp.where(z_b < 1, z_b, 1.0)


def _residuals(xp: Any, points: Points) -> tuple[Any, Any]:
    """``e_k = 1 - z_k``, to relative accuracy where it is small."""
    k_a, k_b = points.k_a, points.k_b
    if points.radius is None:
        e_a, e_b = points.beta_b * xp.exp(-0.5 * points.log_ratio), points.beta_b
    else:
        inverse = xp.exp(-points.log_ratio)
        # e_B = R e_A, and of the two with and without B the larger one holds
        full = xp.where(points.radius < k_a + k_b, points.radius, 1.0 * (k_a + k_b))
        left, alone = (k_a + k_b - full) / (k_a * inverse + k_b), 1 - full / k_a
        together = left * inverse >= alone
        e_a = xp.where(together, left * inverse, alone)
        e_b = xp.where(together, left, 1.0)
        e_a, e_b = xp.where(e_a > 0, e_a, 0.0), xp.where(e_b > 0, e_b, 0.0)
    return xp.where(e_a < 1, e_a, 1.0), xp.where(e_b < 1, e_b, 1.0)


@dataclass
class Bounds:
    """Value, its lower bound by weak duality, and the dual norm of the gradient, for weight decay over the strength."""

    value: Any
    lower: Any
    norm: Any


def bounds(xp: Any, points: Points, logits: Optima) -> Bounds:
    """Value and bound (9) of logits from scratch: probabilities come from s and d, not from the equations solved."""
    k_a, k_b = points.k_a, points.k_b
    k = k_a + k_b
    pi_a, pi_b = _probabilities(xp, points)
    u, v = logits.s_a + k_a * logits.d_a, logits.s_b + k_b * logits.d_b
    total, spread = 0.0, 0.0
    dual, cross = [], []
    weight = 1.0 if points.radius is not None else xp.exp(-0.5 * points.log_ratio)
    for pi, own, other, s, d, single in (
        (pi_a, k_a, k_b, logits.s_a, logits.d_a, k_a < 2),
        (pi_b, k_b, k_a, logits.s_b, logits.d_b, k_b < 2),
    ):
        q = xp.where(single, 0.0, xp.exp(xp.where(single, 0.0, -s)))
        r = xp.exp(-s - d)
        miss = (own - 1) * q + other * r
        loss = xp.log1p(miss)
        q, r = q / (1 + miss), r / (1 + miss)
        total = total + own * pi * loss
        spread = spread + own * pi * ((own - 1) * q * s + other * r * (s + d))
        # times pi (budgets), over beta (weight decay)
        price = pi if points.radius is not None else 1 / (points.beta_b * weight)
        dual.append(xp.where(single, 0.0, price * (own * q + other * r)))
        cross.append(price * xp.sqrt(k * other) * r)
        weight = 1.0
    trivial = xp.hypot(*cross)
    norm = xp.where(dual[0] > dual[1], dual[0], dual[1])
    norm = xp.where(trivial > norm, trivial, norm)
    if points.radius is not None:
        gap = points.radius * norm - spread
        return Bounds(total, total - xp.where(gap > 0, gap, 0.0), norm)
    root = xp.exp(0.5 * points.log_ratio)
    size = xp.hypot(xp.sqrt(k_b / k) * root * u, xp.sqrt(k_a / k) * v)
    gauge = root * (k_a - 1) * logits.s_a + (k_b - 1) * logits.s_b + size
    value = total + points.beta_b * pi_b * gauge
    lower = (total + spread) * xp.where(norm > 1, 1 / norm, 1.0)
    return Bounds(value, xp.where(lower < value, lower, value), norm)


def mean_squared_bounds(xp: Any, points: Points, logits: Optima) -> Bounds:
    """:func:`bounds` under MSE: the dual value at ``c G`` is ``sum_k pi_k (c e_k - (c e_k)^2/2)`` with e = 1 - z."""
    k_a, k_b = points.k_a, points.k_b
    pi_a, pi_b = _probabilities(xp, points)
    e_a, e_b = _residuals(xp, points)
    z_a, z_b = logits.s_a + logits.d_a, logits.s_b + logits.d_b
    square = 0.5 * (k_a * pi_a * e_a * e_a + k_b * pi_b * e_b * e_b)
    if points.radius is not None:
        norm = xp.where(pi_a * e_a > pi_b * e_b, pi_a * e_a, pi_b * e_b)
        # radius |G| - <-G, Z>, in parts that cancel one by one
        slack = points.radius - k_a * z_a - k_b * z_b
        gap = k_a * z_a * (norm - pi_a * e_a) + k_b * z_b * (norm - pi_b * e_b)
        return Bounds(square, square - gap - xp.where(slack > 0, slack, 0.0) * norm, norm)
    root = xp.exp(0.5 * points.log_ratio)
    norm = xp.where(e_a * root > e_b, e_a * root, e_b) / points.beta_b
    value = square + points.beta_b * pi_b * (root * k_a * z_a + k_b * z_b)
    scale = xp.where(norm > 1, 1 / norm, 1.0)
    lower = scale * (k_a * pi_a * e_a + k_b * pi_b * e_b - scale * square)
    return Bounds(value, xp.where(lower < value, lower, value), norm)


def _probabilities(xp: Any, points: Points) -> tuple[Any, Any]:
    """pi_A and pi_B, of one class each."""
    inverse = xp.exp(-points.log_ratio)
    return 1 / (points.k_a + points.k_b * inverse), inverse / (points.k_a + points.k_b * inverse)
