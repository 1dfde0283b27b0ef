r"""Cross-entropy with two groups of interchangeable classes: the KKT system in closed dual form.

Group A has K_A classes of probability pi_A and gauge weight omega_A, group B likewise; K = K_A + K_B. In the symmetry
reduction (theory section 3) four numbers remain, s_A, s_B (how far a class stands out of its own group) and d_A, d_B
(how far its group stands out of the other), and

    gauge = omega_A (K_A-1) s_A + omega_B (K_B-1) s_B + T,   T = sqrt([K_B (omega_A u)^2 + K_A (omega_B v)^2] / K),
    u = s_A + K_A d_A,   v = s_B + K_B d_B.

Write beta_a = mu omega_a / pi_a for the multiplier mu, a = sqrt(K_B/K), b = sqrt(K_A/K), and let (c, s) = (cos, sin)
of the angle theta with a omega_A u = T c, b omega_B v = T s. Stationarity then fixes every softmax probability: in a
column of group A, with p the correct class, q each other class of the group and r each class of the other group,

    r_A = beta_A c / sqrt(K K_B),   q_A = beta_A (1 - a c) / K_A,   p_A = q_A + 1 - beta_A,

and likewise for B with s and b; so s_A = log(p_A/q_A), d_A = log(q_A/r_A) and what is left is *one* equation for theta,

    log(omega_A sqrt(K_B) u) - log(omega_B sqrt(K_A) v) + log tan(theta) = 0,

whose left side increases with theta. B is collapsed (s_B = 0) iff beta_B >= 1; then q_B = (1 - K_A r_B)/K_B. With
budgets mu itself solves gauge(mu) = radius, and the gauge decreases in mu. Both are safeguarded Newton iterations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["TwoGroups", "TwoGroupsOptimum"]

_T_BOUND = 340.0  # log tan(theta) beyond which cos or sin underflows when squared
_MAX_STEPS = 200
_MAX_JOINT_STEPS = 25


@dataclass(frozen=True)
class TwoGroupsOptimum:
    """Optimum in reduced coordinates.

    Attributes:
        s_a, s_b, d_a, d_b: reduced logits; s of a group with one class is 0.
        loss_a, loss_b: cross-entropy of a class of either group.
        log_multiplier: log mu.
        collapsed: whether s_B = 0 exactly (beta_B >= 1, K_B >= 2).
        total: whether the trivial block vanishes as well.
        steps: Newton steps taken.
        off_a, off_b: (q, r) of either group.
    """

    s_a: float
    s_b: float
    d_a: float
    d_b: float
    loss_a: float
    loss_b: float
    log_multiplier: float
    collapsed: bool
    total: bool
    steps: int
    off_a: tuple[float, float]
    off_b: tuple[float, float]


class _Side(NamedTuple):
    """One group at a given angle: its numbers, their derivatives in log mu (``_m``) and in log tan theta (``_t``)."""

    s: float
    d: float
    w: float  # u or v
    log_p: float
    q: float
    r: float
    w_m: float
    w_t: float
    s_m: float
    s_t: float


def _side(k: int, k_other: int, log_beta: float, cos: float, sin: float, sign: float, collapsed: bool) -> _Side | None:
    """Numbers of a group of ``k`` classes whose own direction cosine is ``cos``; None off the probability simplex.

    A collapsed group and a group of one class obey the same formulas: s is not a variable, and q = (1 - k_other r)/k.
    ``sign`` is the sign of d(cos)/d(log tan theta) / (cos sin^2): -1 for A (cosine), +1 for B (sine).
    """
    total = k + k_other
    a = math.sqrt(k_other / total)
    one_minus_ac = (k / total + k_other / total * sin * sin) / (1 + a * cos)  # 1 - a cos without cancellation
    log_r = log_beta + math.log(cos) - 0.5 * math.log(total * k_other)
    dcos = sign * cos * sin * sin
    if collapsed or k == 1:
        rest = -math.expm1(log_r + math.log(k_other))  # 1 - k_other r
        if log_r + math.log(k_other) >= 0 or rest <= 0:
            return None
        log_q = math.log(rest / k)
        q, r = rest / k, math.exp(log_r)
        d = log_q - log_r
        w_t = k * (-(k_other * r / k / q) - 1.0) * dcos / cos
        return _Side(0.0, d, k * d, log_q, q, r, -1.0 / q, w_t, 0.0, 0.0)
    log_q = log_beta + math.log(one_minus_ac / k)
    q, r = math.exp(log_q), math.exp(log_r)
    gap = -math.expm1(log_beta)  # p - q = 1 - beta
    p = q + gap
    if p <= 0:
        return None
    # Near the threshold p/q -> 1 and log1p keeps s accurate; far from it q may underflow and logs are added.
    s = math.log1p(gap / q) if gap < q else math.log(p) - log_q
    d = log_q - log_r
    slope = -math.exp(log_beta) * a / k  # dp/dcos = dq/dcos
    ratio = -a / one_minus_ac  # (dq/dcos)/q
    w_t = (slope / p + (k - 1) * ratio - k / cos) * dcos
    s_t = (slope / p - ratio) * dcos
    return _Side(s, d, s + k * d, math.log(p), q, r, -1.0 / p, w_t, -1.0 / p, s_t)


class TwoGroups:
    """The two-group problem under cross-entropy, n_A > n_B.

    Args:
        k_a, k_b: classes in either group, >= 1.
        pi_a, pi_b: probability of one class of either group, pi_a > pi_b.
        omega_a, omega_b: gauge weights (1 for budgets, sqrt(n) for weight decay).
    """

    def __init__(self, k_a: int, k_b: int, pi_a: float, pi_b: float, omega_a: float, omega_b: float) -> None:
        self.k_a, self.k_b, self.k = k_a, k_b, k_a + k_b
        self.pi_a, self.pi_b = pi_a, pi_b
        self.omega_a, self.omega_b = omega_a, omega_b
        # beta_B = mu * omega_b / pi_b; log beta_A = log beta_B + shift
        self.shift = math.log(omega_a / omega_b) - math.log(pi_a / pi_b)
        self.log_scale = math.log(omega_b) - math.log(pi_b)
        self._lead = math.log(omega_a / omega_b) + 0.5 * math.log(k_b / k_a)
        self.steps = 0
        self._t = 0.0

    # -- the two sides at (log beta_B, log tan theta) -----------------------------------------------------------------

    def _sides(self, m: float, t: float, collapsed: bool) -> tuple[_Side | None, _Side | None, float, float]:
        # cos and sin from log tan theta, each to full relative accuracy
        e = math.exp(-abs(t))
        large = 1.0 / math.sqrt(1.0 + e * e)
        cos, sin = (large, e * large) if t < 0 else (e * large, large)
        return (
            _side(self.k_a, self.k_b, m + self.shift, cos, sin, -1.0, False),
            _side(self.k_b, self.k_a, m, sin, cos, 1.0, collapsed),
            cos,
            sin,
        )

    def _angle(self, m: float, collapsed: bool) -> tuple[_Side, _Side, float, float, float, float] | None:
        """Solve the angle equation; None when the trivial block vanishes (u and v would both have to be <= 0)."""
        lo, hi, t = -_T_BOUND, _T_BOUND, self._t
        found, last, stride = None, math.inf, 1.0
        for _ in range(_MAX_STEPS):
            self.steps += 1
            side_a, side_b, cos, sin = self._sides(m, t, collapsed)
            u_positive = side_a is not None and side_a.w > 0
            v_positive = side_b is not None and side_b.w > 0
            if not u_positive and not v_positive:
                return None
            h = step = math.nan
            if side_a is None or not u_positive:  # the angle is too small for u > 0
                lo = t
            elif side_b is None or not v_positive:
                hi = t
            else:
                h = self._lead + math.log(side_a.w) - math.log(side_b.w) + t
                slope_t = side_a.w_t / side_a.w - side_b.w_t / side_b.w + 1.0
                slope_m = side_a.w_m / side_a.w - side_b.w_m / side_b.w
                found = side_a, side_b, cos, sin, slope_m, slope_t
                lo, hi = (t, hi) if h < 0 else (lo, t)
                step = -h / slope_t
            # The slope is at least 1 in log(u/v), so |h| bounds the error, and Newton's next step squares it.
            if last <= 1e-8 or hi - lo <= 4e-16 * max(1.0, abs(t)):
                break
            new, last = t + step, abs(h)
            if math.isnan(h) and (hi == _T_BOUND if lo == t else lo == -_T_BOUND):
                # the root lies beyond every angle tried so far: stride out
                new, stride = (t + stride, 2 * stride) if lo == t else (t - stride, 2 * stride)
            if not lo < new < hi:
                new, last = 0.5 * (lo + hi), math.inf
            t = new
        self._t = t
        return found

    def _gauge(self, m: float, collapsed: bool) -> tuple[float, float]:
        """Gauge at log beta_B = m along the solved angle, and its derivative in m."""
        found = self._angle(m, collapsed)
        if found is None:
            s, slope = self._total_scale(m)
            return self.omega_a * (self.k_a - 1) * s, self.omega_a * (self.k_a - 1) * slope
        side_a, side_b, cos, sin, h_m, h_t = found
        a, b = math.sqrt(self.k_b / self.k), math.sqrt(self.k_a / self.k)
        size = math.hypot(a * self.omega_a * side_a.w, b * self.omega_b * side_b.w)
        gauge = self.omega_a * (self.k_a - 1) * side_a.s + self.omega_b * (self.k_b - 1) * side_b.s + size
        t_m = -h_m / h_t
        rate = (
            self.omega_a * (self.k_a - 1) * (side_a.s_m + side_a.s_t * t_m)
            + self.omega_b * (self.k_b - 1) * (side_b.s_m + side_b.s_t * t_m)
            + a * self.omega_a * cos * (side_a.w_m + side_a.w_t * t_m)
            + b * self.omega_b * sin * (side_b.w_m + side_b.w_t * t_m)
        )
        return gauge, rate

    # -- total collapse: trivial block zero ---------------------------------------------------------------------------

    def _total_point(self, s: float) -> tuple[float, float, float]:
        """``log(K_A q + K_B r)``, q and r of group A at s_A = s, d_A = -s/K_A (so u = 0)."""
        scale = math.exp(-s)
        rest = (self.k_a - 1) * scale + self.k_b * math.exp(-s * (1 - 1 / self.k_a))
        log_q = -s - math.log1p(rest)
        q, r = math.exp(log_q), math.exp(log_q + s / self.k_a)
        return math.log(self.k_a * q + self.k_b * r), q, r

    def _total_scale(self, m: float) -> tuple[float, float]:
        """s_A with K_A q + K_B r = beta_A at u = v = 0, and ds_A/dm; (0, 0) for beta_A >= 1 or K_A = 1."""
        target = m + self.shift
        if target >= 0 or self.k_a == 1:
            return 0.0, 0.0
        lo, hi, s = 0.0, 1.0, 1.0
        while self._total_point(hi)[0] > target:
            lo, hi = hi, 2 * hi
        s, last = 0.5 * (lo + hi), math.inf
        for _ in range(_MAX_STEPS):
            self.steps += 1
            value, q, r = self._total_point(s)
            p = 1 - (self.k_a - 1) * q - self.k_b * r
            # d log q/ds = -(p + K_B r/K_A); d log r/ds = d log q/ds + 1/K_A
            dq = -(p + self.k_b * r / self.k_a)
            slope = dq + self.k_b * r / self.k_a / (self.k_a * q + self.k_b * r)
            lo, hi = (s, hi) if value > target else (lo, s)
            new = s - (value - target) / slope
            if last <= 1e-8 * s or hi - lo <= 4e-16 * hi:
                return s, 1.0 / slope
            last = abs(new - s)
            if not lo < new < hi:
                new, last = 0.5 * (lo + hi), math.inf
            s = new
        return s, 1.0 / slope

    def _is_total(self, s: float, log_beta_a: float, log_beta_b: float) -> bool:
        """Whether the trivial block of the gradient at (s, u = v = 0) has dual norm at most mu (then T = 0)."""
        if log_beta_b < 0:
            return False
        _, _, r = self._total_point(s)
        k = self.k
        return k * self.k_b * (r * math.exp(-log_beta_a)) ** 2 + self.k_a / k * math.exp(-2 * log_beta_b) <= 1.0

    # -- optima -------------------------------------------------------------------------------------------------------

    def penalised(self, strength: float) -> TwoGroupsOptimum:
        """Minimiser of the risk plus ``strength`` times the gauge."""
        m = math.log(strength) + self.log_scale
        return self._optimum(m, self.k_b >= 2 and m >= 0)

    def constrained(self, radius: float) -> TwoGroupsOptimum:
        """Minimiser of the risk over gauge <= radius; the constraint is always active under cross-entropy."""
        if self.k_a >= 2:
            s = radius / (self.omega_a * (self.k_a - 1))
            log_beta_a, _, _ = self._total_point(s) if s < 700 else (-s, 0.0, 0.0)
            log_beta_b = log_beta_a - self.shift
            if self.k_b >= 2 and s < 700 and self._is_total(s, log_beta_a, log_beta_b):
                return self._total_optimum(s, log_beta_b)
        # mu at which all logits vanish bounds the search: gauge -> 0 as m -> top
        top = self._log_beta_at_zero()
        highest = min(top, 0.0) if self.k_b >= 2 else top
        mean = (self.k_a - 1) * self.omega_a + (self.k_b - 1) * self.omega_b + 1.0
        m = self._joint(self._guess(radius), radius, False)
        if m is not None and m < highest:
            return self._optimum(m, False)
        collapsed = self.k_b >= 2 and self._gauge(0.0, True)[0] >= radius
        lo, hi = (0.0, top) if collapsed else (-math.inf, highest)
        m = self._joint(0.0, radius, True) if collapsed else None
        if m is None or not lo <= m < hi:
            m = self._multiplier(lo, hi, hi - 1e-3 - radius / mean, radius, collapsed)
        return self._optimum(m, collapsed)

    def _guess(self, radius: float) -> float:
        """Rough log beta_B: d = 0, as for the simplex ETF, and the probabilities that go with every s."""
        price_a, price_b = self.omega_a * (self.k_a - 1), self.omega_b * (self.k_b - 1)
        a, b = math.sqrt(self.k_b / self.k) * self.omega_a, math.sqrt(self.k_a / self.k) * self.omega_b
        m = -radius / (price_a + price_b + 1.0)
        shrink = 1 - 1 / self.k
        for _ in range(4):
            # beta = K / (e^s + K - 1)
            left_a, left_b = 1 - shrink * math.exp(m + self.shift), 1 - shrink * math.exp(m)
            s_a, s_b = math.log(self.k * left_a) - m - self.shift, math.log(self.k * left_b) - m
            size = math.hypot(a * s_a, b * s_b)
            excess = price_a * s_a + price_b * s_b + size - radius
            rate = price_a / left_a + price_b / left_b + (a * a * s_a / left_a + b * b * s_b / left_b) / size
            m = min(m + excess / rate, 0.5 * m)
        self._t = -self._lead + math.log(max(s_b / s_a, 0.1))
        return m

    def _joint(self, m: float, radius: float, collapsed: bool) -> float | None:
        """log beta_B by Newton's method on angle and multiplier at once, from m; None where it does not converge.

        What it converges to solves the KKT system, so it is the optimum if its side of the threshold is right.
        """
        a, b = math.sqrt(self.k_b / self.k), math.sqrt(self.k_a / self.k)
        t = self._t
        step_m = step_t = 0.0
        for _ in range(_MAX_JOINT_STEPS):
            self.steps += 1
            side_a, side_b, _, _ = self._sides(m, t, collapsed)
            if side_a is None or side_b is None:
                # off the simplex: go back half of the way
                step_m, step_t = 0.5 * step_m, 0.5 * step_t
                m, t = m - step_m, t - step_t
                continue
            # residuals: the angle equation without its logarithms, and gauge - radius; T = hypot(x, y)
            scale = math.exp(self._lead + t)
            h = scale * side_a.w - side_b.w
            h_m = scale * side_a.w_m - side_b.w_m
            h_t = scale * (side_a.w + side_a.w_t) - side_b.w_t
            x, y = a * self.omega_a * side_a.w, b * self.omega_b * side_b.w
            size = math.hypot(x, y)
            price_a, price_b = self.omega_a * (self.k_a - 1), self.omega_b * (self.k_b - 1)
            excess = price_a * side_a.s + price_b * side_b.s + size - radius
            cos, sin = a * self.omega_a * x / size, b * self.omega_b * y / size
            g_m = price_a * side_a.s_m + price_b * side_b.s_m + cos * side_a.w_m + sin * side_b.w_m
            g_t = price_a * side_a.s_t + price_b * side_b.s_t + cos * side_a.w_t + sin * side_b.w_t
            determinant = h_m * g_t - h_t * g_m
            if determinant == 0:
                return None
            step_m = (h_t * excess - g_t * h) / determinant
            step_t = (g_m * h - h_m * excess) / determinant
            m, t = m + step_m, t + step_t
            if not collapsed and m > 1.0:
                return None
            if abs(step_m) <= 1e-12 * max(1.0, abs(m)) and abs(step_t) <= 1e-12 * max(1.0, abs(t)):
                self._t = t
                return m if side_a.w > 0 and side_b.w > 0 else None
            if abs(t) > _T_BOUND:
                return None
        return None

    def _multiplier(self, lo: float, hi: float, m: float, radius: float, collapsed: bool) -> float:
        """log beta_B in (lo, hi) with gauge = radius by safeguarded Newton: never fails, an angle solved every step."""
        for _ in range(_MAX_STEPS):
            gauge, rate = self._gauge(m, collapsed)
            excess = gauge - radius
            lo, hi = (m, hi) if excess > 0 else (lo, m)
            step = -excess / rate if rate < 0 else math.nan
            # A small step before this one proves nothing: the gauge has a kink where the trivial block vanishes.
            if abs(step) <= 1e-14 * max(1.0, abs(m)) or hi - lo <= 2e-16 * max(1.0, abs(m)):
                break
            new = m + step
            if not lo < new < hi:
                new = 0.5 * (lo + hi) if math.isfinite(lo) else min(hi, m) - 2 * (1 + abs(m))
            m = new
        return m

    def _log_beta_at_zero(self) -> float:
        """log beta_B of the smallest mu at which Z = 0 is optimal."""
        if self.k_a >= 2:
            return -self.shift
        # dual norm of the trivial block at Z = 0: mu^2 = (K_B (pi_A/omega_A)^2 + K_A (pi_B/omega_B)^2)/K
        return 0.5 * math.log((self.k_b * math.exp(-2 * self.shift) + self.k_a) / self.k)

    def _optimum(self, m: float, collapsed: bool) -> TwoGroupsOptimum:
        if m >= self._log_beta_at_zero():
            return self._total_optimum(0.0, m)
        if collapsed and self.k_a >= 2:
            s, _ = self._total_scale(m)
            if self._is_total(s, m + self.shift, m):
                return self._total_optimum(s, m)
        found = self._angle(m, collapsed)
        if found is None:
            s, _ = self._total_scale(m)
            return self._total_optimum(s, m)
        a, b = found[0], found[1]
        loss_a = -math.log1p(-((self.k_a - 1) * a.q + self.k_b * a.r)) if a.log_p > -0.5 else -a.log_p
        loss_b = -math.log1p(-((self.k_b - 1) * b.q + self.k_a * b.r)) if b.log_p > -0.5 else -b.log_p
        return TwoGroupsOptimum(
            # a group of one class has no s: put all of u in d
            a.s if self.k_a > 1 else 0.0,
            b.s if self.k_b > 1 else 0.0,
            a.d if self.k_a > 1 else a.w,
            b.d if self.k_b > 1 else b.w,
            loss_a,
            loss_b,
            m - self.log_scale,
            collapsed,
            False,
            self.steps,
            (a.q, a.r),
            (b.q, b.r),
        )

    def _total_optimum(self, s: float, m: float) -> TwoGroupsOptimum:
        _, q, r = self._total_point(s)
        loss_a = math.log1p((self.k_a - 1) * math.exp(-s) + self.k_b * math.exp(-s * (1 - 1 / self.k_a)))
        return TwoGroupsOptimum(
            s,
            0.0,
            -s / self.k_a,
            0.0,
            loss_a,
            math.log(self.k),
            m - self.log_scale,
            self.k_b >= 2,
            True,
            self.steps,
            (q, r),
            (1 / self.k, 1 / self.k),
        )

    # -- bounds -------------------------------------------------------------------------------------------------------

    def bounds(
        self, found: TwoGroupsOptimum, *, radius: float | None = None, strength: float = 0.0
    ) -> tuple[float, float]:
        """``(value, lower)``: the objective at ``found`` and the weak-duality bound at its gradient.

        Computed from the logits alone, as :class:`ufm.reduction.ReducedRisk` does for any number of groups. The
        trivial blocks of logits and gradient are centred on both sides, so for two groups their rank is one.

        Args:
            found: reduced logits.
            radius: of the nuclear-norm ball; None for weight decay.
            strength: of the penalty; without a radius.
        """
        k_a, k_b, k = self.k_a, self.k_b, self.k
        loss_a, q_a, r_a = _column(k_a, k_b, found.s_a, found.d_a)
        loss_b, q_b, r_b = _column(k_b, k_a, found.s_b, found.d_b)
        norm = math.hypot(
            self.pi_a / self.omega_a * math.sqrt(k * k_b) * r_a, self.pi_b / self.omega_b * math.sqrt(k * k_a) * r_b
        )
        if k_a > 1:
            norm = max(norm, self.pi_a / self.omega_a * (k_a * q_a + k_b * r_a))
        if k_b > 1:
            norm = max(norm, self.pi_b / self.omega_b * (k_b * q_b + k_a * r_b))
        scale, penalty = 1.0, 0.0
        if radius is None:
            scale = min(1.0, strength / norm) if norm > 0 else 1.0
            x, y = self.omega_a * (found.s_a + k_a * found.d_a), self.omega_b * (found.s_b + k_b * found.d_b)
            size = 0.0 if found.total else math.hypot(math.sqrt(k_b / k) * x, math.sqrt(k_a / k) * y)
            penalty = self.omega_a * (k_a - 1) * found.s_a + self.omega_b * (k_b - 1) * found.s_b + size
        value = k_a * self.pi_a * loss_a + k_b * self.pi_b * loss_b + strength * penalty
        dual = k_a * self.pi_a * _entropy(k_a - 1, k_b, scale * q_a, scale * r_a)
        dual += k_b * self.pi_b * _entropy(k_b - 1, k_a, scale * q_b, scale * r_b)
        return value, dual if radius is None else dual - radius * norm


def _column(k: int, k_other: int, s: float, d: float) -> tuple[float, float, float]:
    """Cross-entropy of a class with margins s over its own group and s + d >= 0 over the other, and (q, r)."""
    q, r = math.exp(-s), math.exp(-s - d)
    rest = (k - 1) * q + k_other * r
    return math.log1p(rest), q / (1 + rest), r / (1 + rest)


def _entropy(siblings: int, others: int, q: float, r: float) -> float:
    """Entropy of a column with ``siblings`` entries q, ``others`` entries r and one entry for all the rest."""
    miss = siblings * q + others * r
    own = -(1 - miss) * math.log1p(-miss)
    return own - sum(m * p * math.log(p) for m, p in ((siblings, q), (others, r)) if p > 0)
