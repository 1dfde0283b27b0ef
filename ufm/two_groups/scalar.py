"""Cross-entropy with two groups of interchangeable classes, one problem at a time: the scalar equations (3) and (5).

Numbers in parentheses are those of the derivation in :mod:`ufm.two_groups`. With weight decay a safeguarded Newton
iteration finds the angle; with budgets another finds x. :mod:`ufm.two_groups.batch` solves arrays of such problems with
formulas of its own: on single floats NumPy's calls would cost more than the iteration, and each holds the other in the
tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import exp, expm1, log, log1p, sqrt
from typing import NamedTuple

__all__ = ["TwoGroups", "TwoGroupsOptimum", "log_total_ratio"]

_T_BOUND = 340.0  # log tan(theta) beyond which cos or sin underflows when squared
_MAX_STEPS = 200
_QUADRATIC = 1e-8  # a Newton step after which the next error is rounding


@dataclass(frozen=True)
class TwoGroupsOptimum:
    """Optimum in reduced coordinates.

    Attributes:
        s_a, s_b, d_a, d_b: reduced logits; s of a group with one class is 0.
        log_multiplier: log mu.
        collapsed: whether s_B = 0 exactly (beta_B >= 1, K_B >= 2).
        total: whether the trivial block vanishes as well.
        steps: Newton steps taken.
    """

    s_a: float
    s_b: float
    d_a: float
    d_b: float
    log_multiplier: float
    collapsed: bool
    total: bool
    steps: int


class _Side(NamedTuple):
    """One group at a given angle: its logits, ``w = s + K d`` (u or v) and the derivative of w in log tan theta."""

    s: float
    d: float
    w: float
    w_t: float


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
        return _Side(0.0, d, k * d, k * (-(k_other * r / k / q) - 1.0) * dcos / cos)
    # (2): q = beta (1 - a c)/k, p = q + 1 - beta
    log_q = log_beta + math.log(one_minus_ac / k)
    q = math.exp(log_q)
    gap = -math.expm1(log_beta)  # p - q = 1 - beta
    p = q + gap
    if p <= 0:
        return None
    # Near the threshold p/q -> 1 and log1p keeps s accurate; far from it q may underflow and logs are added.
    s = math.log1p(gap / q) if gap < q else math.log(p) - log_q
    d = log_q - log_r
    slope = -math.exp(log_beta) * a / k  # dp/dcos = dq/dcos
    ratio = -a / one_minus_ac  # (dq/dcos)/q
    return _Side(s, d, s + k * d, (slope / p + (k - 1) * ratio - k / cos) * dcos)


class TwoGroups:
    """The two-group problem under cross-entropy, n_A > n_B.

    Args:
        k_a, k_b: classes in either group, >= 1.
        pi_a, pi_b: probability of one class of either group, pi_a > pi_b.
        omega_a, omega_b: gauge weights (1 for budgets, sqrt(n) for weight decay).

    >>> core = TwoGroups(5, 5, 0.18, 0.02, 1.0, 1.0)  # R = 9
    >>> found = core.constrained(radius=10.0)
    >>> found.collapsed, found.total, round(found.s_a, 6)
    (True, True, 2.5)
    >>> [round(bound, 9) for bound in core.bounds(found, radius=10.0)]
    [0.85634553, 0.85634553]
    """

    def __init__(self, k_a: int, k_b: int, pi_a: float, pi_b: float, omega_a: float, omega_b: float) -> None:
        self.k_a, self.k_b, self.k = k_a, k_b, k_a + k_b
        self.pi_a, self.pi_b = pi_a, pi_b
        self.omega_a, self.omega_b = omega_a, omega_b
        # beta_B = mu * omega_b / pi_b; log beta_A = log beta_B + shift
        self.shift = math.log(omega_a / omega_b) - math.log(pi_a / pi_b)
        self.log_scale = math.log(omega_b) - math.log(pi_b)
        self._lead = math.log(omega_a / omega_b) + 0.5 * math.log(k_b / k_a)
        self._c_a, self._c_b = k_a * (k_a - 1), k_b * (k_b - 1)
        self.steps = 0

    # -- (2), (3): the two sides at (log beta_B, log tan theta) -------------------------------------------------------

    def _sides(self, m: float, t: float, collapsed: bool) -> tuple[_Side | None, _Side | None]:
        # cos and sin from log tan theta, each to full relative accuracy
        e = math.exp(-abs(t))
        large = 1.0 / math.sqrt(1.0 + e * e)
        cos, sin = (large, e * large) if t < 0 else (e * large, large)
        return (
            _side(self.k_a, self.k_b, m + self.shift, cos, sin, -1.0, False),
            _side(self.k_b, self.k_a, m, sin, cos, 1.0, collapsed),
        )

    def _angle(self, m: float, collapsed: bool) -> tuple[_Side, _Side] | None:
        """Solve the angle equation (3); None when the trivial block vanishes (u and v would both have to be <= 0)."""
        lo, hi, t = -_T_BOUND, _T_BOUND, 0.0
        found, last, stride = None, math.inf, 1.0
        for _ in range(_MAX_STEPS):
            self.steps += 1
            side_a, side_b = self._sides(m, t, collapsed)
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
                found = side_a, side_b
                lo, hi = (t, hi) if h < 0 else (lo, t)
                step = -h / (side_a.w_t / side_a.w - side_b.w_t / side_b.w + 1.0)
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
        return found

    # -- (6): total collapse, trivial block zero ----------------------------------------------------------------------

    def _total_scale(self, m: float) -> float:
        """s_A with K_A q + K_B r = beta_A at u = v = 0; 0 for beta_A >= 1 or K_A = 1. The level is convex in s."""
        target = m + self.shift
        if target >= 0 or self.k_a == 1:
            return 0.0
        s = -target
        for _ in range(_MAX_STEPS):
            self.steps += 1
            level, log_r = total_point(self.k_a, self.k_b, s)
            r = math.exp(log_r)
            q = r * math.exp(-s / self.k_a)
            # d log r/ds = -(1 - off) with the probability off of wrong classes, but for the d_A = -s/K_A in r
            share = self.k_b / (self.k_b + self.k_a * math.exp(-s / self.k_a))
            slope = (self.k_a - 1) * q + self.k_b * r * (1 - 1 / self.k_a) - 1 + share / self.k_a
            step = (target - level) / slope
            s = s + step if s + step > 0 else 0.5 * s
            if abs(step) <= 1e-8 * s:
                break
        return s

    # -- optima -------------------------------------------------------------------------------------------------------

    def penalised(self, strength: float) -> TwoGroupsOptimum:
        """Minimiser of the risk plus ``strength`` times the gauge."""
        m = math.log(strength) + self.log_scale
        collapsed = self.k_b >= 2 and m >= 0
        if m >= self._log_beta_at_zero():
            return self._total_optimum(0.0, m)
        if collapsed and self.k_a >= 2:
            s = self._total_scale(m)
            if is_total(self.k_a, self.k_b, s, m):
                return self._total_optimum(s, m)
        found = self._angle(m, collapsed)
        if found is None:
            return self._total_optimum(self._total_scale(m), m)
        a, b = found
        return self._optimum(a.s, b.s, a.d, b.d, m, collapsed)

    def constrained(self, radius: float) -> TwoGroupsOptimum:
        """Minimiser of the risk over gauge <= radius, for omega = 1; under cross-entropy it is always on the sphere."""
        if self.k_a >= 2:
            s = radius / (self.k_a - 1)
            log_beta_a, _ = total_point(self.k_a, self.k_b, s)
            if is_total(self.k_a, self.k_b, s, log_beta_a - self.shift):
                return self._total_optimum(s, log_beta_a - self.shift)
        x, low, high = 0.0, self._lowest(radius), 0.0
        last, before = math.inf, False
        for _ in range(_MAX_STEPS):
            self.steps += 1
            log_ratio, slope, to_kink, collapsed, s_a, s_b, d_a, d_b, m = self._at(x, radius)
            if (last <= _QUADRATIC and before is collapsed) or high - low <= 1e-15:
                break
            excess = log_ratio + self.shift  # shift = -log R
            low, high = (x, high) if excess > 0 else (low, x)
            step, last = -excess / slope, math.inf
            if collapsed and step > to_kink:
                # beyond the kink the slope is another: go there first, and a little further
                step = 1.05 * to_kink + 1e-12
            elif low < x + step < high or abs(step) <= _QUADRATIC:
                last = abs(step)
            before = collapsed
            new = x + step
            if not (low < new < high or last < math.inf):
                new = 0.5 * (low + high) if low > -math.inf else 2 * high - 1
            x = new
        return self._optimum(s_a, s_b, d_a, d_b, m, collapsed and self.k_b >= 2)

    def _at(self, x: float, radius: float) -> tuple[float, float, float, bool, float, float, float, float, float]:
        """log R(x), its slope, the step to the kink, whether B is collapsed, s_A, s_B, d_A, d_B and log beta_B.

        ``_x`` marks derivatives, ``_l`` those of a logarithm. It is the inner loop: hence the tuple and the locals.
        """
        k_a, k_b, k, c_a, c_b = self.k_a, self.k_b, self.k, self._c_a, self._c_b
        # (4): E, y, A and B
        e = exp(x)
        k_e2, a_e = k * e * e, k_a * e
        a_e2 = a_e * e
        top_a, top_b = k_b + k_e2, k + a_e2
        y = sqrt(k * (k_b + a_e2))
        y_x = k_a * k_e2 / y
        y_l = y_x / y
        bottom_a, bottom_b = y + k_b, y + a_e
        ratio_a, ratio_b = top_a / bottom_a, top_b / bottom_b
        share_a, share_b = ratio_a / y, ratio_b / y
        d_a, d_b = log(ratio_a), log(ratio_b) - x
        d_a_x = 2 * k_e2 / top_a - y_x / bottom_a
        b_l = 2 * a_e2 / top_b - (y_x + a_e) / bottom_b
        # (5): u = top/bottom from gauge = radius: first with s_B, and if that is negative without
        top, top_x = radius + c_a * d_a, c_a * d_a_x
        bottom, bottom_x = k_a - 1 + y / k, y_x / k
        price = (k_b - 1) * e
        u = (top + c_b * d_b) / (bottom + price)
        u_x = (top_x + c_b * (b_l - 1) - u * (bottom_x + price)) / (bottom + price)
        s_b, s_b_x = u * e - k_b * d_b, (u + u_x) * e - k_b * (b_l - 1)
        collapsed, to_kink = s_b < 0, math.inf
        if collapsed:
            if k_b > 1 and s_b_x:  # for a single class these are the same formulas: no kink
                to_kink = -s_b / s_b_x
            u = top / bottom
            u_x = (top_x - u * bottom_x) / bottom
            # -log beta_B = x + d_B + log((K_B + K_A e^{-d_B})/y)
            s_b, d_b = 0.0, u * e / k_b
            rest = k_b + k_a * exp(-d_b)
            log_beta_b = -x - d_b - log(rest / y)
            slope = y_l - 1 - (u + u_x) * e / rest
        else:
            fall = exp(-s_b)
            rest = share_b + (1 - share_b) * fall
            log_beta_b = -s_b - log(rest)
            slope = -share_b * ((b_l - y_l) * (1 - fall) + s_b_x) / rest
        s_a = u - k_a * d_a
        fall = exp(-s_a)
        rest = share_a + (1 - share_a) * fall
        slope += share_a * ((d_a_x - y_l) * (1 - fall) + u_x - k_a * d_a_x) / rest
        log_ratio = log_beta_b + s_a + log(rest)
        # of a group of one class all of u, or v, is its d: not a sum of s and d, which may cancel
        if k_a == 1:
            s_a, d_a = u, 0.0
        if k_b == 1 and not collapsed:
            s_b, d_b = u * e, 0.0
        return log_ratio, slope, to_kink, collapsed, s_a, s_b, d_a, d_b, log_beta_b

    def _lowest(self, radius: float) -> float:
        """x at which u = v = 0 on the collapsed branch, where total collapse begins; -inf where there is none.

        There ``radius + K_A (K_A-1) log A = 0``, and A is a rational function of y and y^2.
        """
        k_a, k_b, k = self.k_a, self.k_b, self.k
        if k_a == 1:
            return -math.inf
        alpha = math.exp(-radius / (k_a * (k_a - 1)))
        half = 0.5 * alpha * k_a
        y = half + math.sqrt(half * half + k_b * (k_b + alpha * k_a))
        e2 = (y * y - k * k_b) / (k * k_a)
        return 0.5 * math.log(e2) if e2 > 0 else -math.inf

    def _log_beta_at_zero(self) -> float:
        """log beta_B of the smallest mu at which Z = 0 is optimal."""
        if self.k_a >= 2:
            return -self.shift
        # dual norm of the trivial block at Z = 0: mu^2 = (K_B (pi_A/omega_A)^2 + K_A (pi_B/omega_B)^2)/K
        return 0.5 * math.log((self.k_b * math.exp(-2 * self.shift) + self.k_a) / self.k)

    def _optimum(self, s_a: float, s_b: float, d_a: float, d_b: float, m: float, collapsed: bool) -> TwoGroupsOptimum:
        # a group of one class has no s: all of u is in d
        if self.k_a == 1:
            s_a, d_a = 0.0, s_a + d_a
        if self.k_b == 1:
            s_b, d_b = 0.0, s_b + d_b
        return TwoGroupsOptimum(s_a, s_b, d_a, d_b, m - self.log_scale, collapsed, False, self.steps)

    def _total_optimum(self, s: float, m: float) -> TwoGroupsOptimum:
        return TwoGroupsOptimum(s, 0.0, -s / self.k_a, 0.0, m - self.log_scale, self.k_b >= 2, True, self.steps)

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
        price_a, price_b = self.pi_a / self.omega_a, self.pi_b / self.omega_b
        norm = math.hypot(price_a * sqrt(k * k_b) * r_a, price_b * sqrt(k * k_a) * r_b)
        if k_a > 1:
            norm = max(norm, price_a * (k_a * q_a + k_b * r_a))
        if k_b > 1:
            norm = max(norm, price_b * (k_b * q_b + k_a * r_b))
        risk = k_a * self.pi_a * loss_a + k_b * self.pi_b * loss_b
        # the entropy of a column is its loss plus <p, margins> over the wrong classes
        margins_a = (k_a - 1) * q_a * found.s_a + k_b * r_a * (found.s_a + found.d_a)
        margins_b = (k_b - 1) * q_b * found.s_b + k_a * r_b * (found.s_b + found.d_b)
        entropy = risk + k_a * self.pi_a * margins_a + k_b * self.pi_b * margins_b
        if radius is not None:
            return risk, entropy - radius * norm
        x, y = self.omega_a * (found.s_a + k_a * found.d_a), self.omega_b * (found.s_b + k_b * found.d_b)
        size = 0.0 if found.total else math.hypot(sqrt(k_b / k) * x, sqrt(k_a / k) * y)
        gauge = self.omega_a * (k_a - 1) * found.s_a + self.omega_b * (k_b - 1) * found.s_b + size
        # the entropy is concave: at c times the gradient it is at least c times as large
        return risk + strength * gauge, entropy * (min(1.0, strength / norm) if norm > 0 else 1.0)


def total_point(k_a: int, k_b: int, s: float) -> tuple[float, float]:
    """``log beta_A = log(K_A q + K_B r)`` and log r at s_A = s, d_A = -s/K_A, so u = 0: total collapse."""
    shrink = exp(-s / k_a)
    rest = (k_a - 1) * exp(-s) + k_b * exp(-s * (1 - 1 / k_a))
    log_r = -s * (1 - 1 / k_a) - log1p(rest)
    if s > 1:
        return log_r + log(k_b + k_a * shrink), log_r
    return -log1p(expm1(s) / (k_a + k_b / shrink)), log_r


def total_price(k_a: int, k_b: int, s: float) -> float:
    """c with which total collapse at s_A = s is optimal iff ``1 - beta_B^{-2} >= c``, see (6)."""
    k = k_a + k_b
    fall = -expm1(-s / k_a)
    h = k_a / k * fall
    return k_b / k * fall * (2 - h) / (1 - h) ** 2


def is_total(k_a: int, k_b: int, s: float, log_beta_b: float) -> bool:
    """Whether the trivial block of the gradient at (s, u = v = 0) has dual norm at most mu (then T = 0)."""
    return log_beta_b >= 0 and -expm1(-2 * log_beta_b) >= total_price(k_a, k_b, s)


def log_total_ratio(k_a: int, k_b: int, s: float) -> float:
    """log R from which on total collapse at s_A = s is optimal, for budgets: ``beta_B = R beta_A``; inf for none.

    >>> round(exp(log_total_ratio(5, 5, s=2.5)), 6)
    2.748881
    """
    price = total_price(k_a, k_b, s)
    return -0.5 * log1p(-price) - total_point(k_a, k_b, s)[0] if price < 1 else math.inf


def _column(k: int, k_other: int, s: float, d: float) -> tuple[float, float, float]:
    """Cross-entropy of a class with margins s over its own group and s + d >= 0 over the other, and (q, r)."""
    q, r = exp(-s), exp(-s - d)
    rest = (k - 1) * q + k_other * r
    return math.log1p(rest), q / (1 + rest), r / (1 + rest)
