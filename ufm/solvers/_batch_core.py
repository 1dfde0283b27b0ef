"""The two-group cross-entropy problem on arrays of points: :mod:`ufm.solvers._two_groups`, vectorised.

Same formulas and the same safeguarded Newton iterations, on one-dimensional float64 arrays of NumPy or torch (their
namespace is passed as ``xp``). Points that have converged drop out, so a few hard points do not hold up the easy ones.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

__all__ = ["Optima", "Points", "constrained", "penalised"]

_T_BOUND = 340.0  # log tan(theta) beyond which cos or sin underflows when squared
_MAX_STEPS = 200
_QUADRATIC = 1e-8  # an error after which Newton's next step is exact to rounding
_INF = float("inf")

NONE, PARTIAL, TOTAL = 0, 1, 2


@dataclass
class Points:
    """Two-group problems: arrays (n,) of what ``TwoGroups`` holds as numbers.

    Attributes:
        k_a, k_b: classes in either group.
        pi_a, pi_b: probability of one class of either group.
        omega_a, omega_b: gauge weights.
    """

    k_a: Any
    k_b: Any
    pi_a: Any
    pi_b: Any
    omega_a: Any
    omega_b: Any

    def take(self, index: Any) -> Points:
        """The points at ``index`` (positions or a mask)."""
        return Points(*(getattr(self, f.name)[index] for f in fields(self)))


@dataclass
class Optima:
    """Optima of points: reduced logits, losses of a class of either group, log mu and phase (0 none, 1 partial, 2 total)."""

    s_a: Any
    s_b: Any
    d_a: Any
    d_b: Any
    loss_a: Any
    loss_b: Any
    log_multiplier: Any
    phase: Any

    @classmethod
    def empty(cls, like: Any) -> Optima:
        """Zeros in the shape of ``like``."""
        return cls(*(like * 0.0 for _ in fields(cls)))

    def put(self, index: Any, part: Optima) -> None:
        """Write ``part`` to the positions ``index``."""
        for f in fields(self):
            getattr(self, f.name)[index] = getattr(part, f.name)


@dataclass
class _Side:
    """One group at a given angle; ``_m`` and ``_t`` are derivatives in log mu and log tan(theta)."""

    s: Any
    d: Any
    w: Any
    log_p: Any
    miss: Any
    w_m: Any
    w_t: Any
    s_t: Any


def _side(xp: Any, k: Any, k_other: Any, log_beta: Any, cos: Any, sin: Any, sign: float, flat: bool) -> _Side:
    """A group with direction cosine ``cos``; w = -inf off the simplex. ``flat``: collapsed, or a single class."""
    share = k_other / (k + k_other)
    a = xp.sqrt(share)
    one_minus_ac = (1 - share + share * sin * sin) / (1 + a * cos)
    log_r = log_beta + xp.log(cos) - 0.5 * xp.log((k + k_other) * k_other)
    r = xp.exp(log_r)
    dcos = sign * cos * sin * sin
    if flat:
        inside = k_other * r < 1
        q = xp.where(inside, 1 - k_other * r, 1.0) / k
        log_q = xp.log(q)
        d = log_q - log_r
        w = xp.where(inside, k * d, -_INF)
        w_t = -(k_other * r / q + k) * dcos / cos
        return _Side(d * 0.0, d, w, log_q, (k - 1) * q + k_other * r, -1 / q, w_t, d * 0.0)
    log_q = log_beta + xp.log(one_minus_ac / k)
    q = xp.exp(log_q)
    gap = -xp.expm1(log_beta)
    inside = q + gap > 0
    p = xp.where(inside, q + gap, 1.0)
    log_p = xp.log(p)
    near = abs(gap) < q
    s = xp.where(near, xp.log1p(xp.where(near, gap / q, 0.0)), log_p - log_q)
    d = log_q - log_r
    slope = -xp.exp(log_beta) * a / (k * p)
    rate = -a / one_minus_ac
    w = xp.where(inside, s + k * d, -_INF)
    w_t = (slope + (k - 1) * rate - k / cos) * dcos
    return _Side(s, d, w, log_p, (k - 1) * q + k_other * r, -1 / p, w_t, (slope - rate) * dcos)


class _Kind:
    """Points whose sides are all of one kind, at which the angle equation can be solved together."""

    def __init__(self, xp: Any, points: Points, single_a: bool, single_b: bool, collapsed: bool) -> None:
        self.xp, self.points = xp, points
        self.flags = (single_a, single_b, collapsed)
        self.shift = xp.log(points.omega_a / points.omega_b) - xp.log(points.pi_a / points.pi_b)
        self.lead = xp.log(points.omega_a / points.omega_b) + 0.5 * xp.log(points.k_b / points.k_a)

    def take(self, index: Any) -> _Kind:
        """The points at ``index``."""
        part = object.__new__(_Kind)
        part.xp, part.points, part.flags = self.xp, self.points.take(index), self.flags
        part.shift, part.lead = self.shift[index], self.lead[index]
        return part

    def sides(self, m: Any, t: Any) -> tuple[_Side, _Side, Any, Any]:
        """Both groups at log beta_B = m and log tan(theta) = t, and the angle's cosine and sine."""
        xp, p = self.xp, self.points
        e = xp.exp(-abs(t))
        large = 1 / xp.sqrt(1 + e * e)
        cos, sin = xp.where(t < 0, large, e * large), xp.where(t < 0, e * large, large)
        single_a, single_b, collapsed = self.flags
        side_a = _side(xp, p.k_a, p.k_b, m + self.shift, cos, sin, -1.0, single_a)
        return side_a, _side(xp, p.k_b, p.k_a, m, sin, cos, 1.0, single_b or collapsed), cos, sin

    def angle(self, m: Any, t: Any) -> tuple[Any, Any]:
        """log tan(theta) from the start t, and whether it exists; where not, the trivial block of the logits is 0."""
        xp = self.xp
        out, exists = t + 0.0, t == t
        index = xp.arange(len(t))
        lo, hi, last = t * 0 - _T_BOUND, t * 0 + _T_BOUND, t * 0 + _INF
        part = self
        for _ in range(_MAX_STEPS):
            a, b, _, _ = part.sides(m, t)
            up, down = ~(a.w > 0), ~(b.w > 0)
            both = ~(up | down)
            u, v = xp.where(both, a.w, 1.0), xp.where(both, b.w, 1.0)
            h = part.lead + xp.log(u) - xp.log(v) + t
            slope = a.w_t / u - b.w_t / v + 1.0
            rising = xp.where(both, h < 0, up)
            lo, hi = xp.where(rising, t, lo), xp.where(rising, hi, t)
            done = (last <= _QUADRATIC) | (up & down) | (hi - lo <= 1e-15)
            out[index[done]] = t[done]
            exists[index[done]] = both[done]
            new = t - h / slope
            inside = both & (new > lo) & (new < hi)
            last = xp.where(inside, abs(h), _INF)
            t = xp.where(inside, new, 0.5 * (lo + hi))
            keep = ~done
            index, m, t, lo, hi, last = (x[keep] for x in (index, m, t, lo, hi, last))
            if len(index) == 0:
                return out, exists
            part = part.take(keep)
        out[index] = t
        return out, exists

    def gauge(self, m: Any, t: Any, exists: Any) -> tuple[Any, Any]:
        """Gauge at the solved angle and its derivative in log mu."""
        xp, p = self.xp, self.points
        a, b, cos, sin = self.sides(m, t)
        u, v = xp.where(exists, a.w, 1.0), xp.where(exists, b.w, 1.0)
        root_a, root_b = xp.sqrt(p.k_b / (p.k_a + p.k_b)), xp.sqrt(p.k_a / (p.k_a + p.k_b))
        x, y = root_a * p.omega_a * u, root_b * p.omega_b * v
        t_m = -(a.w_m / u - b.w_m / v) / (a.w_t / u - b.w_t / v + 1.0)
        size_a, size_b = p.omega_a * (p.k_a - 1), p.omega_b * (p.k_b - 1)
        single_a, single_b, collapsed = self.flags
        gauge = xp.sqrt(x * x + y * y) + size_a * a.s + size_b * b.s
        rate = root_a * p.omega_a * cos * (a.w_m + a.w_t * t_m) + root_b * p.omega_b * sin * (b.w_m + b.w_t * t_m)
        if not single_a:
            rate = rate + size_a * (a.w_m + a.s_t * t_m)
        if not (single_b or collapsed):
            rate = rate + size_b * (b.w_m + b.s_t * t_m)
        if bool(exists.all()):
            return gauge, rate
        s, s_m = _total_scale(xp, p, m + self.shift)
        return xp.where(exists, gauge, size_a * s), xp.where(exists, rate, size_a * s_m)

    def optima(self, m: Any, t: Any, exists: Any) -> Optima:
        """What the points' optima are at log beta_B = m and the solved angle."""
        xp, p = self.xp, self.points
        a, b, _, _ = self.sides(m, t)
        single_a, single_b, collapsed = self.flags
        loss_a = xp.where(a.log_p > -0.5, -xp.log1p(-xp.where(a.log_p > -0.5, a.miss, 0.0)), -a.log_p)
        loss_b = xp.where(b.log_p > -0.5, -xp.log1p(-xp.where(b.log_p > -0.5, b.miss, 0.0)), -b.log_p)
        found = Optima(
            a.s, b.s, a.d, b.d, loss_a, loss_b, self.log_multiplier(m), m * 0.0 + (PARTIAL if collapsed else NONE)
        )
        missing = ~exists
        if bool(missing.any()):
            s, _ = _total_scale(xp, p.take(missing), (m + self.shift)[missing])
            found.put(missing, total_optima(xp, p.take(missing), s, found.log_multiplier[missing], single_b))
        return found

    def log_multiplier(self, m: Any) -> Any:
        """log mu at log beta_B = m."""
        return m + self.xp.log(self.points.pi_b) - self.xp.log(self.points.omega_b)


def _total_point(xp: Any, p: Points, s: Any) -> tuple[Any, Any, Any]:
    """``log(K_A q + K_B r)`` and its derivative in s, and log r, where the trivial block is 0 and s_A = s."""
    grown = s / p.k_a
    rest = (p.k_a - 1) * xp.exp(-s) + p.k_b * xp.exp(grown - s)
    log_q = -s - xp.log1p(rest)
    q, r = xp.exp(log_q), xp.exp(log_q + grown)
    level = log_q + xp.log(p.k_a + p.k_b * xp.exp(grown))
    pull = p.k_b * r / (p.k_a * (p.k_a * q + p.k_b * r))
    return level, -(1 - (p.k_a - 1) * q - p.k_b * r + p.k_b * r / p.k_a) + pull, log_q + grown


def _total_scale(xp: Any, p: Points, log_beta_a: Any) -> tuple[Any, Any]:
    """s_A of the best logits without trivial block, and its derivative in log mu; 0 for beta_A >= 1 or K_A = 1."""
    nothing = (log_beta_a >= 0) | (p.k_a < 2)
    target = xp.where(nothing, -1.0, log_beta_a)
    s = -target + 0.5
    for _ in range(60):
        level, slope, _ = _total_point(xp, p, s)
        step = (level - target) / slope
        # the level is convex and falls in s; a step from the right may overshoot below 0
        s = xp.where(s - step > 0, s - step, 0.5 * s)
        if bool((abs(step) <= 1e-15 * s).all()):
            break
    _, slope, _ = _total_point(xp, p, s)
    return xp.where(nothing, 0.0, s), xp.where(nothing, 0.0, 1 / slope)


def _is_total(xp: Any, p: Points, s: Any, log_beta_a: Any, log_beta_b: Any) -> Any:
    """Whether the trivial block of the gradient at (s, u = v = 0) has dual norm at most mu, with group B collapsed."""
    _, _, log_r = _total_point(xp, p, s)
    k = p.k_a + p.k_b
    norm = k * p.k_b * xp.exp(2 * (log_r - log_beta_a)) + p.k_a / k * xp.exp(-2 * log_beta_b)
    return (log_beta_b >= 0) & (norm <= 1)


def total_optima(xp: Any, p: Points, s: Any, log_multiplier: Any, single_b: bool) -> Optima:
    """Optima without trivial block."""
    loss_a = xp.log1p((p.k_a - 1) * xp.exp(-s) + p.k_b * xp.exp(s / p.k_a - s))
    zero = s * 0.0
    phase = zero + (NONE if single_b else TOTAL)
    return Optima(s, zero, -s / p.k_a, zero + 0.0, loss_a, xp.log(p.k_a + p.k_b), log_multiplier, phase)


def _log_beta_at_zero(xp: Any, p: Points, shift: Any) -> Any:
    """log beta_B of the smallest mu at which Z = 0 is optimal."""
    alone = 0.5 * xp.log((p.k_b * xp.exp(-2 * shift) + p.k_a) / (p.k_a + p.k_b))
    return xp.where(p.k_a >= 2, -shift, alone)


def _kinds(xp: Any, points: Points, chosen: Any, collapsed: Any) -> list[tuple[Any, _Kind]]:
    """The chosen points by kind: (positions, kind)."""
    out = []
    every = xp.arange(len(chosen))
    for single_a in (False, True):
        for single_b in (False, True):
            for flat in (False, True):
                mask = chosen & ((points.k_a < 2) == single_a) & ((points.k_b < 2) == single_b) & (collapsed == flat)
                if bool(mask.any()):
                    out.append((every[mask], _Kind(xp, points.take(mask), single_a, single_b, flat)))
    return out


def penalised(xp: Any, points: Points, strength: Any) -> Optima:
    """Minimisers of the risk plus ``strength`` times the gauge, for arrays of points."""
    m = xp.log(strength) + xp.log(points.omega_b) - xp.log(points.pi_b)
    shift = xp.log(points.omega_a / points.omega_b) - xp.log(points.pi_a / points.pi_b)
    log_mu = xp.log(strength)
    out = Optima.empty(m)
    single_b = points.k_b < 2
    nothing = m >= _log_beta_at_zero(xp, points, shift)
    s, _ = _total_scale(xp, points, m + shift)
    collapsed = ~single_b & (m >= 0)
    total = nothing | (collapsed & (points.k_a >= 2) & _is_total(xp, points, s, m + shift, m))
    if bool(total.any()):
        s_total = xp.where(nothing, 0.0, s)[total]
        found = total_optima(xp, points.take(total), s_total, log_mu[total], False)
        found.phase = xp.where(single_b[total], found.phase * 0.0 + NONE, found.phase)
        out.put(total, found)
    for positions, kind in _kinds(xp, points, ~total, collapsed):
        t, exists = kind.angle(m[positions], m[positions] * 0.0)
        out.put(positions, kind.optima(m[positions], t, exists))
    return out


def constrained(xp: Any, points: Points, radius: Any) -> Optima:
    """Minimisers of the risk over gauge <= radius, for arrays of points."""
    shift = xp.log(points.omega_a / points.omega_b) - xp.log(points.pi_a / points.pi_b)
    log_scale = xp.log(points.pi_b) - xp.log(points.omega_b)
    out = Optima.empty(radius)
    two_a, two_b = points.k_a >= 2, points.k_b >= 2
    s = radius / (points.omega_a * xp.where(two_a, points.k_a - 1, 1.0))
    log_beta_a, _, _ = _total_point(xp, points, s)
    total = two_a & two_b & (s < 700) & _is_total(xp, points, s, log_beta_a, log_beta_a - shift)
    if bool(total.any()):
        at = (log_beta_a - shift + log_scale)[total]
        out.put(total, total_optima(xp, points.take(total), s[total], at, False))
    # B is collapsed iff the gauge at mu = pi_B/omega_B, where its s_B reaches 0, is not below the radius
    collapsed = total & ~total
    start = radius * 0.0
    for positions, kind in _kinds(xp, points, ~total & two_b, total | ~total):
        zero = radius[positions] * 0.0
        t, exists = kind.angle(zero, zero)
        collapsed[positions] = kind.gauge(zero, t, exists)[0] >= radius[positions]
        start[positions] = t
    for positions, kind in _kinds(xp, points, ~total, collapsed):
        out.put(positions, _outer(kind, radius[positions], start[positions]))
    return out


def _outer(kind: _Kind, radius: Any, t: Any) -> Optima:
    """Newton's method for gauge(mu) = radius on points of one kind."""
    xp, whole = kind.xp, kind
    p = kind.points
    _, single_b, collapsed = kind.flags
    top = _log_beta_at_zero(xp, p, kind.shift)
    if collapsed:
        lo, hi = radius * 0.0, top
        m = 0.5 * (lo + hi)
    else:
        lo = radius * 0.0 - _INF
        hi = top if single_b else xp.where(top < 0, top, 0.0)
        m = hi - 1e-3 - radius / ((p.k_a - 1) * p.omega_a + (p.k_b - 1) * p.omega_b + 1.0)
    out_m, out_t, out_exists = m + 0.0, t + 0.0, t == t
    index, last = xp.arange(len(m)), m * 0 + _INF
    for _ in range(_MAX_STEPS):
        t, exists = kind.angle(m, t)
        gauge, rate = kind.gauge(m, t, exists)
        excess = gauge - radius
        over = excess > 0
        lo, hi = xp.where(over, m, lo), xp.where(over, hi, m)
        # the gauge has a kink in m where the trivial block vanishes: a small step is believed once it met the radius
        met = abs(excess) <= 1e-12 * radius
        done = ((last <= _QUADRATIC) & met) | (excess == 0) | (hi - lo <= 2e-16 * (1 + abs(m)))
        out_m[index[done]], out_t[index[done]], out_exists[index[done]] = m[done], t[done], exists[done]
        new = m - excess / rate
        inside = (new > lo) & (new < hi)
        size = xp.where(abs(new - m) > abs(excess) / radius, abs(new - m), abs(excess) / radius)
        last = xp.where(inside, size, _INF)
        middle = xp.where(
            lo > -_INF, 0.5 * (xp.where(lo > -_INF, lo, 0.0) + hi), xp.where(hi < m, hi, m) - 2 * (1 + abs(m))
        )
        m = xp.where(inside, new, middle)
        keep = ~done
        index, m, t, lo, hi, last, radius = (x[keep] for x in (index, m, t, lo, hi, last, radius))
        if len(index) == 0:
            break
        kind = kind.take(keep)
    else:
        out_m[index], out_t[index], out_exists[index] = m, t, exists[keep]
    return whole.optima(out_m, out_t, out_exists)
