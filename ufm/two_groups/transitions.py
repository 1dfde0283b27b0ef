r"""First-order collapse: where a collapsed and an uncollapsed minimum coexist, and the hysteresis this makes in R.

With a penalty on A or a Frobenius budget of A the gauge of a linear DEQ is concave in the singular values: a large one
draws more of A to itself and so gets cheaper. In the two-group symmetric family (``ufm.reduction``) four numbers
remain, written here as ``(s_A, s_B, u, v)`` with ``u = s_A + K_A d_A``, ``v = s_B + K_B d_B``. The singular values of
``Z diag(omega)`` are ``omega_A s_A`` (K_A - 1 times), ``omega_B s_B`` (K_B - 1 times) and

    T = sqrt([K_B (omega_A u)^2 + K_A (omega_B v)^2] / K),

and at fixed v the loss of a minority column is ``CE_B = log(1 + (K_B-1) e^{-s_B} + K_A e^{-s_B (1-1/K_B) - v/K_B})``.

*Landau expansion.* At s_B = 0 its slope in s_B is ``-(K_B-1)/K_B`` whatever v is, so to second order nothing else
moves along (the mixed derivatives vanish), and its curvature is ``q_B (K_B-1)/K_B`` with q_B the probability of one
minority class in a minority column, ``K_B q_B = 1 - K_A r_B``. With weight decay and the price
``g(s) = lam s - lam^2 s^2/(2 lambda_A)`` the objective along the collapsed branch is therefore

    Phi(s_B) = Phi(0) + (K_B-1) sqrt(n_B) (lam - sqrt(n_B)/N) s_B
                      + (K_B-1) n_B (q_B/N - lam^2/lambda_A) s_B^2 / 2 + O(s_B^3).

So the collapsed branch is a local minimum of the family for ``n_B < N^2 lam^2`` and none beyond; where its curvature
is negative there, ``lambda_A q_B < N lam^2``, the transition is of first order: another minimum is already lower. As
``1/K <= q_B <= 1/K_B``, this holds whenever ``lambda_A <= K_B N lam^2``. The converse is false: with a positive
curvature the minimum far from 0 can still take over first. With a budget of A in place of the penalty, mu the
multiplier, nu the water level of ``a_i = min(rho, sigma_i/nu)`` and F(tau) the best risk of collapsed logits, the
curvature is ``(K_B-1) [pi_B q_B - mu/nu] + (K_B-1)^2 F''(tau)``.

*Mixing.* The family is not everything: the collapsed point can also decay by turning a singular vector pair in use,
of value sigma, towards a collapsed pair u', v' of the minority. To second order in the two angles that costs

    (sigma/2) [ (g + sigma c_1) theta^2 - 2 gamma theta phi + (g + sigma c_2) phi^2 ],   gamma = sqrt(n_B)/N,

with g = (1 - a) lam the slope of the price at sigma and c_1, c_2 the risk's curvatures along ``u' v^T`` and ``u v'^T``.
It is a minimum in full only if ``(g + sigma c_1)(g + sigma c_2) > gamma^2``, for the majority's pairs (``c_1 = r_A/N``,
``c_2 = r_B/N``) and for the common pair alike. Where A grows (g < lam) this fails well before ``n_B = N^2 lam^2``: the
symmetry between classes breaks, and low-rank codes take over.

Source: derived here; Zhang 2010 for the penalty (MCP).
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize, minimize_scalar, root

from ufm._validation import integer, positive
from ufm.architectures import LinearDEQ, PenalisedDEQ, UnconstrainedFeatures, check_architecture
from ufm.two_groups.thresholds import collapse_threshold

__all__ = ["Branch", "Hysteresis", "State", "collapsed_state", "hysteresis", "mixing_threshold", "trapped_threshold"]

Array = NDArray[np.float64]

#: Largest residual of the stationarity conditions, relative to the forces in balance.
RESIDUAL = 1e-9

#: Sizes (s_A, d) from which the best point at given s_B and R is looked for: any direction may be small or large.
STARTS = ((4.0, 2.0), (0.5, 0.1), (12.0, 0.1), (0.5, 8.0), (12.0, 8.0))

#: Range of s_B over which the uncollapsed branch is followed; below it the expansion at 0 decides.
SMALLEST, LARGEST = 1e-4, 60.0

#: Largest step in log R along the branch, and smallest factor between two s_B.
STEP, FINEST = 0.3, 1.02

#: Relative change of s_A, s_B, u and v from which descent has to come back to a minimum.
PERTURBATION = np.array([1e-3, 0.0, -7e-4, 4e-4])

#: Common singular value T after descent below which it is taken for 0 (descent in y, T = |y|^2, is inexact there).
NEGLIGIBLE = 1e-6

#: The same in a critical point.
VANISHING = 1e-9


@dataclass(frozen=True)
class State:
    """A critical point of the symmetric family.

    Attributes:
        ratio: R = n_A/n_B.
        s_A, s_B, d_A, d_B: reduced logits ``Z_ij = s_a [i=j] + t_ab``, ``d_A = t_AA - t_BA``, ``d_B = t_BB - t_AB``.
        a_A, a_B, a_T: singular values of A along the majority's, the minority's and the common direction.
        value: objective (weight decay) or risk (budgets).
    """

    ratio: float
    s_A: float
    s_B: float
    d_A: float
    d_B: float
    a_A: float
    a_B: float
    a_T: float
    value: float


@dataclass(frozen=True)
class Branch:
    """A curve of critical points of the symmetric family, parametrised by s_B (uncollapsed) or R (collapsed).

    Attributes:
        states: its points, in order.
        stable: whether each is a local minimum in s_B.
    """

    states: tuple[State, ...]
    stable: tuple[bool, ...]

    def __getattr__(self, name: str) -> Array:
        """A field of the states as an array, e.g. ``branch.ratio``."""
        if name.startswith("_") or name not in State.__dataclass_fields__:
            raise AttributeError(name)
        return np.array([getattr(state, name) for state in self.states])


@dataclass(frozen=True)
class Hysteresis:
    """The collapse transition of the symmetric family.

    Attributes:
        first_order: whether the best s_B jumps at the transition.
        lower, upper: ends (spinodals) of the interval of R >= 1 with two local minima, one at least not collapsed;
            equal where there is none.
        maxwell: R at which the best point of the family changes branch; the end of the collapsed branch where the
            transition is continuous.
        jump: (s_B just above, s_B just below) the Maxwell point; both 0 where the transition is continuous.
        collapsed_end: R down to which the collapsed branch is a local minimum (``n_B = N^2 lam^2`` with weight decay).
        mixing_end: R down to which it also withstands mixing with directions in use, in the full problem; never below
            ``collapsed_end``.
        curvature: second derivative of the objective in s_B at ``collapsed_end``; negative makes the transition first
            order.
        collapsed, uncollapsed: the branches; the uncollapsed one with its unstable stretch.
    """

    first_order: bool
    lower: float
    upper: float
    maxwell: float
    jump: tuple[float, float]
    collapsed_end: float
    mixing_end: float
    curvature: float
    collapsed: Branch
    uncollapsed: Branch

    @property
    def branches(self) -> tuple[Branch, Branch]:
        """``(collapsed, uncollapsed)``."""
        return self.collapsed, self.uncollapsed


def hysteresis(
    architecture: Any,
    num_majority: int,
    num_minority: int,
    *,
    num_samples: float | None = None,
    majority_count: float | None = None,
    minority_count: float | None = None,
    points: int = 40,
) -> Hysteresis:
    """Both branches of the collapse transition in R, their ends, and where they exchange the lower value (CE).

    The branches are critical points of the *symmetric* family, in which classes of one group are interchangeable. The
    nonconvex problem may break that symmetry, so a value here is an upper bound of the optimum, a local minimum is one
    within the family, and the Maxwell point is that of the family. (In the full problem the minority can give up its
    directions one after the other: see ``mixing_end`` and ``method="search"``.)

    With a budget of A total and partial collapse are two branches, each with an end of its own. As R falls the minority
    may leave total collapse continuously and then jump back to s_B = 0, into partial collapse.

    Args:
        architecture: a ``PenalisedDEQ`` with ``lambda_A``, or a ``LinearDEQ`` with ``E_A``. Without them the problem is
            convex: there is one branch, and the transition is continuous.
        num_majority: K_A >= 1.
        num_minority: K_B >= 2.
        num_samples, majority_count, minority_count: what is held fixed while R varies, exactly one of them, for a
            penalised architecture; see :func:`ufm.collapse_threshold`.
        points: points of every branch, >= 10.

    Raises:
        TypeError, ValueError: an argument is not what it should be, or the collapsed branch does not end at any R > 1.
        ArithmeticError: a branch could not be followed to the accuracy required, or was missed.
    """
    check_architecture(architecture)
    points = integer("points", points, minimum=10)
    family = _family(architecture, num_majority, num_minority, num_samples, majority_count, minority_count)
    return _Tracer(family, points).trace()


# the family -------------------------------------------------------------------------------------------------------


def _column(k: int, other: int, s: float, w: float) -> tuple[float, float, float, float]:
    """Loss of a column of a group of ``k`` classes, its derivatives in s and w, and the probability of a sibling."""
    siblings, rest = -s, -s * (1 - 1 / k) - w / k
    top = max(0.0, siblings if k > 1 else 0.0, rest)
    e_0, e_s, e_r = math.exp(-top), (k - 1) * math.exp(siblings - top), other * math.exp(rest - top)
    total = e_0 + e_s + e_r
    p_s, p_r = e_s / total, e_r / total
    loss = math.log1p(e_s + e_r) if top == 0.0 else top + math.log(total)
    q = p_s / (k - 1) if k > 1 else e_0 / total
    return loss, -p_s - (1 - 1 / k) * p_r, -p_r / k, q


class _Point(NamedTuple):
    """Unknowns of a critical point: ``x = (s_A, s_B, u, v)``, R and the multiplier (lam for weight decay)."""

    x: Array
    ratio: float
    mu: float


class _Family:
    """The symmetric family: critical points, at given R or at given s_B. Subclasses supply the price of A."""

    constrained: bool

    def __init__(self, k_a: int, k_b: int, rho: float) -> None:
        self.k_a, self.k_b, self.k, self.rho = k_a, k_b, k_a + k_b, rho
        self.multiplicity = np.array([k_a - 1, k_b - 1, 1.0])

    def counts(self, ratio: float) -> tuple[float, float]:
        """(n_A, n_B) at R."""
        raise NotImplementedError

    def equilibrium(self, sigma: Array) -> Array:
        """Optimal singular values of A for singular values (A, B, T) of the logits."""
        raise NotImplementedError

    def concavity(self, point: _Point) -> float:
        """``-d^2 price / d sigma_B^2`` at s_B = 0, mu included."""
        raise NotImplementedError

    def relaxation(self, point: _Point) -> float:
        """What a tight budget adds to the curvature in s_B: ``F''(tau) (slope of the gauge)^2/(K_B - 1)^2``."""
        return 0.0

    def collapsed_end(self) -> float:
        """R down to which the collapsed branch is a local minimum."""
        raise NotImplementedError

    def cost(self, x: Array, ratio: float, risk: float) -> float:
        """Value of the problem at x."""
        raise NotImplementedError

    def scaled(self, x: Array, ratio: float) -> tuple[Array, float]:
        """x with all but s_B scaled to feasibility, and the scale."""
        return x, 1.0

    def weights(self, ratio: float) -> tuple[float, float]:
        """(omega_A, omega_B) at R."""
        n_a, n_b = self.counts(ratio)
        return (1.0, 1.0) if self.constrained else (math.sqrt(n_a), math.sqrt(n_b))

    def pi_b(self, ratio: float) -> float:
        """Probability of a minority class."""
        n_a, n_b = self.counts(ratio)
        return n_b / (self.k_a * n_a + self.k_b * n_b)

    def singular_values(self, x: Array, ratio: float) -> Array:
        """``(omega_A s_A, omega_B s_B, T)``."""
        omega_a, omega_b = self.weights(ratio)
        t = math.hypot(math.sqrt(self.k_b / self.k) * omega_a * x[2], math.sqrt(self.k_a / self.k) * omega_b * x[3])
        return np.array([omega_a * x[0], omega_b * x[1], t])

    def risk(self, x: Array, ratio: float) -> tuple[float, Array, float]:
        """Risk, gradient in x and q_B."""
        mass_b = self.k_b * self.pi_b(ratio)
        a, a_s, a_w, _ = _column(self.k_a, self.k_b, x[0], x[2])
        b, b_s, b_w, q = _column(self.k_b, self.k_a, x[1], x[3])
        mass_a = 1 - mass_b
        return mass_a * a + mass_b * b, np.array([mass_a * a_s, mass_b * b_s, mass_a * a_w, mass_b * b_w]), q

    def excess(self, x: Array, ratio: float) -> float:
        """Risk above what it cannot fall below at this s_B, ``K_B pi_B log(1 + (K_B-1) e^{-s_B})``, without rounding.

        Between columns that are all but certain it is the excess alone that tells one point from another.
        """
        mass_b = self.k_b * self.pi_b(ratio)
        rest = -x[1] * (1 - 1 / self.k_b) - x[3] / self.k_b
        siblings = math.log1p((self.k_b - 1) * math.exp(-x[1]))
        minority = float(np.logaddexp(0.0, math.log(self.k_a) + rest - siblings))
        return (1 - mass_b) * _column(self.k_a, self.k_b, x[0], x[2])[0] + mass_b * minority

    def price(self, x: Array, ratio: float) -> Array:
        """Gradient in x of the gauge, ``sum_i (1 - a_i) m_i d sigma_i/dx``."""
        omega_a, omega_b = self.weights(ratio)
        sigma = self.singular_values(x, ratio)
        slopes = 1 - self.equilibrium(sigma)
        t = max(sigma[2], 1e-300)
        return np.array(
            [
                slopes[0] * (self.k_a - 1) * omega_a,
                slopes[1] * (self.k_b - 1) * omega_b,
                slopes[2] * self.k_b / self.k * omega_a**2 * x[2] / t,
                slopes[2] * self.k_a / self.k * omega_b**2 * x[3] / t,
            ]
        )

    def gauge(self, x: Array, ratio: float) -> float:
        """``sum_i (1 - a_i) m_i sigma_i``."""
        sigma = self.singular_values(x, ratio)
        return float(self.multiplicity @ ((1 - self.equilibrium(sigma)) * sigma))

    def state(self, point: _Point) -> State:
        """The critical point for the record."""
        x, ratio, _ = point
        sigma = self.singular_values(x, ratio)
        a = self.equilibrium(sigma) * (sigma > 0) * (self.multiplicity > 0)
        value = self.cost(x, ratio, self.risk(x, ratio)[0])
        d_a, d_b = (x[2] - x[0]) / self.k_a, (x[3] - x[1]) / self.k_b
        return State(ratio, *(float(y) for y in (x[0], x[1], d_a, d_b, *a, value)))

    def polish(self, start: _Point, *, ratio_free: bool) -> _Point:
        """Critical point next to ``start`` with its s_B; R is unknown where ``ratio_free``, else s_B's equation waits.

        A vanishing common direction (total collapse) stays so.

        Raises:
            ArithmeticError: the residual stays above ``RESIDUAL``.
        """
        free = [0] if self.k_a > 1 else []
        if self.singular_values(start.x, start.ratio)[2] > VANISHING:
            free += [2, 3]
        rows = free + [1] * ratio_free + [4] * self.constrained
        n = len(free)
        if not rows:
            return start

        def unpack(y: Array) -> _Point:
            x = start.x.copy()
            x[free] = y[:n]
            if 2 not in free:
                x[2:] = 0.0
            ratio = math.exp(y[n]) if ratio_free else start.ratio
            return _Point(x, ratio, math.exp(y[-1]) if self.constrained else start.mu)

        def equations(y: Array) -> Array:
            with np.errstate(all="ignore"):
                x, ratio, mu = unpack(y)
                gradient, price = self.risk(x, ratio)[1], mu * self.price(x, ratio)
                residual = (gradient + price) / (np.abs(gradient) + np.abs(price) + 1e-300)
                last = self.gauge(x, ratio) / self.radius - 1 if self.constrained else 0.0
                return np.array([*residual, last])[rows]

        y = np.array([*start.x[free], *[math.log(start.ratio)] * ratio_free, *[math.log(start.mu)] * self.constrained])
        for _ in range(4):  # a kink can stall the secant updates; a fresh start from the best point settles it
            try:
                y = root(equations, y, method="hybr", options={"xtol": 1e-14, "maxfev": 2000}).x
            except (OverflowError, ValueError):
                break
            if np.abs(equations(y)).max() <= 1e-3 * RESIDUAL:
                break
        error = np.abs(equations(y)).max()
        if not error <= RESIDUAL:
            raise ArithmeticError(f"a branch could not be followed: residual {error:.1e} at s_B = {start.x[1]:.3g}")
        return unpack(y)

    def common_direction_grows(self, point: _Point) -> bool:
        """Whether a vanishing common direction (T = 0) pays: its force exceeds its price at 0."""
        x, ratio, mu = point
        sigma = self.singular_values(x, ratio)
        if sigma[2] > VANISHING:
            return False
        omega_a, omega_b = self.weights(ratio)
        gradient = self.risk(x, ratio)[1]
        force = math.hypot(
            gradient[2] / (math.sqrt(self.k_b / self.k) * omega_a),
            gradient[3] / (math.sqrt(self.k_a / self.k) * omega_b),
        )
        return bool(force > mu * (1 - self.equilibrium(sigma)[2]) * (1 + 1e-9))

    @property
    def radius(self) -> float:
        """Radius of the gauge ball, for budgets."""
        raise NotImplementedError

    def profile(self, s_b: float, ratio: float) -> _Point:
        """Best point of the family at given s_B and R: descent from several starts, then :meth:`polish`."""
        descent = _Descent(self, s_b, ratio)
        _, x = min((descent.from_sizes(*sizes) for sizes in STARTS), key=lambda found: found[0])
        if self.singular_values(x, ratio)[2] < NEGLIGIBLE:
            x[2:] = 0.0
            x = self.scaled(x, ratio)[0]
        return self.polish(_Point(x, ratio, self.multiplier(x, ratio)), ratio_free=False)

    def multiplier(self, x: Array, ratio: float) -> float:
        """mu that balances risk and gauge along x at fixed s_B; lam for weight decay."""
        if not self.constrained:
            return self.lam
        others = [0, 2, 3]
        gradient, price = self.risk(x, ratio)[1][others], self.price(x, ratio)[others]
        return -float(gradient @ x[others]) / float(price @ x[others])

    def is_minimum(self, point: _Point) -> bool:
        """Whether descent at its s_B and R from either side of a critical point ends no lower."""
        descent = _Descent(self, float(point.x[1]), point.ratio)
        merit = descent.merit(point.x)
        for sign in (1, -1):
            found = descent.from_point(point.x * (1 + sign * PERTURBATION))[0]
            if found < merit - 1e-9 * max(1.0, abs(merit)):
                return False
        return True

    def restoring(self, point: _Point) -> float:
        """Logarithm of price over force in s_B at a collapsed point; positive where it is a minimum in s_B."""
        x, ratio, mu = point
        price = mu * (1 - self.equilibrium(self.singular_values(x, ratio))[1]) * self.weights(ratio)[1]
        return math.log(price) - math.log(self.pi_b(ratio))

    def mixing(self, point: _Point) -> float:
        """Smallest ``(g + sigma c_1)(g + sigma c_2)/gamma^2 - 1`` at a collapsed point; positive: no mixing."""
        x, ratio, mu = point
        k_a, k_b, k = self.k_a, self.k_b, self.k
        sigma = self.singular_values(x, ratio)
        slopes = mu * (1 - self.equilibrium(sigma))
        omega_a, omega_b = self.weights(ratio)
        pi_b = self.pi_b(ratio)
        pi_a = (1 - k_b * pi_b) / k_a
        # columns of A and of B: probabilities of one class of B, of A and of B
        r_a = 1 / ((math.exp(x[0]) + k_a - 1) * math.exp((x[2] - x[0]) / k_a) + k_b)
        r_b = 1 / (k_b * math.exp(x[3] / k_b) + k_a)
        q_b = (1 - k_a * r_b) / k_b
        curve_a, curve_b = pi_a / omega_a**2, pi_b / omega_b**2
        margins = []
        if k_a > 1 and sigma[0] > 0:
            margins.append((slopes[0] + sigma[0] * curve_a * r_a) * (slopes[0] + sigma[0] * curve_b * r_b))
        if sigma[2] > VANISHING:
            along = k_b / k * (omega_a * x[2] / sigma[2]) ** 2
            first = along * curve_a * r_a + (1 - along) * curve_b * q_b
            second = curve_b * k_a * r_b * (1 - k_a * r_b) * k / (k_a * k_b)
            margins.append((slopes[2] + sigma[2] * first) * (slopes[2] + sigma[2] * second))
        gamma = pi_b / omega_b
        return min(margins, default=math.inf) / gamma**2 - 1

    @property
    def lam(self) -> float:
        """Strength ``sqrt(lambda_W lambda_H)``, for weight decay."""
        raise NotImplementedError

    def curvature(self, ratio: float) -> float:
        """Second derivative in s_B of the best value of the family at s_B = 0, see the module's docstring."""
        point = self.profile(0.0, ratio)
        q = self.risk(point.x, ratio)[2]
        weight = self.weights(ratio)[1] ** 2
        bend = self.pi_b(ratio) * q - weight * self.concavity(point)
        return (self.k_b - 1) * (bend + (self.k_b - 1) * self.relaxation(point))


class _Descent:
    """Descent of the family at fixed s_B and R.

    In ``s_A = z^2`` and ``(T_u, T_v) = y |y|``, as in the factors, it is smooth at vanishing singular values.
    """

    def __init__(self, family: _Family, s_b: float, ratio: float) -> None:
        self.family, self.s_b, self.ratio = family, s_b, ratio
        omega_a, omega_b = family.weights(ratio)
        k_a, k_b, k = family.k_a, family.k_b, family.k
        self.scale = np.array([math.sqrt(k_b / k) * omega_a, math.sqrt(k_a / k) * omega_b])

    def merit(self, x: Array) -> float:
        """What descends: the objective; for budgets the logarithm of what is left to gain, which may be tiny."""
        if self.family.constrained:
            return math.log(max(self.family.excess(x, self.ratio), 1e-300))
        return self.family.cost(x, self.ratio, self.family.risk(x, self.ratio)[0])

    def from_point(self, x: Array) -> tuple[float, Array]:
        """Merit and x of the minimum that descent from x ends in."""
        trivial = self.scale * x[2:]
        return self._from(np.array([math.sqrt(x[0]), *trivial / math.sqrt(max(math.hypot(*trivial), 1e-300))]))

    def from_sizes(self, s: float, d: float) -> tuple[float, Array]:
        """The same from s_A = s and d_A, d_B of the size d."""
        trivial = np.array([self.family.k_a, self.family.k_b]) * d * self.scale / math.sqrt(2)
        return self._from(np.array([math.sqrt(s), *np.sqrt(trivial)]))

    def _from(self, start: Array) -> tuple[float, Array]:
        found = minimize(self._objective, start, jac=True, method="BFGS", options={"gtol": 1e-8})
        return float(found.fun), self.family.scaled(self._unpack(found.x), self.ratio)[0]

    def _unpack(self, p: Array) -> Array:
        trivial = p[1:] * math.hypot(p[1], p[2]) / self.scale
        return np.array([p[0] ** 2 if self.family.k_a > 1 else 0.0, self.s_b, *trivial])

    def _objective(self, p: Array) -> tuple[float, Array]:
        family = self.family
        x, t = family.scaled(self._unpack(p), self.ratio)
        gradient, price = family.risk(x, self.ratio)[1], family.price(x, self.ratio)
        full = t * (gradient + family.multiplier(x, self.ratio) * price)
        r = max(math.hypot(p[1], p[2]), 1e-300)
        # the trivial part of the price, slope T/|T|, is smooth only together with the jacobian
        d_t = (np.eye(2) * r + np.outer(p[1:], p[1:]) / r) @ (full[2:] / self.scale)
        slope = np.array([full[0] * 2 * p[0] if family.k_a > 1 else 0.0, *d_t])
        merit = self.merit(x)
        return merit, slope / math.exp(merit) if family.constrained else slope


class _Penalised(_Family):
    """``f + sum_i g(sigma_i)``, g the capped MCP."""

    constrained = False

    def __init__(self, k_a: int, k_b: int, architecture: PenalisedDEQ, given: dict[str, float]) -> None:
        super().__init__(k_a, k_b, architecture.rho)
        self._lam = math.sqrt(architecture.lambda_W * architecture.lambda_H)
        self.lambda_a = architecture.lambda_A
        ((self.fixed, self.amount),) = given.items()

    @property
    def lam(self) -> float:
        return self._lam

    def counts(self, ratio: float) -> tuple[float, float]:
        if self.fixed == "num_samples":
            n_b = self.amount / (self.k_a * ratio + self.k_b)
        else:
            n_b = self.amount if self.fixed == "minority_count" else self.amount / ratio
        return ratio * n_b, n_b

    def equilibrium(self, sigma: Array) -> Array:
        if self.lambda_a is None:
            return np.full(3, self.rho)
        return np.minimum(self.rho, self.lam * sigma / self.lambda_a)

    def cost(self, x: Array, ratio: float, risk: float) -> float:
        sigma = self.singular_values(x, ratio)
        a = self.equilibrium(sigma)
        return risk + float(self.multiplicity @ (self.lam * (1 - a) * sigma + 0.5 * (self.lambda_a or 0.0) * a**2))

    def concavity(self, point: _Point) -> float:
        return 0.0 if self.lambda_a is None else self.lam**2 / self.lambda_a

    def collapsed_end(self) -> float:
        strength = self.lam * (1 - self.rho if self.lambda_a is None else 1.0)
        explicit = UnconstrainedFeatures(strength, strength)
        fixed: dict[str, Any] = {self.fixed: self.amount}
        ratio = collapse_threshold(explicit, self.k_a, self.k_b, **fixed).ratio
        if ratio <= 1.0:
            raise ValueError(f"{self.fixed} must let the minority grow at R = 1, n_B > N^2 lam^2, got {self.amount}")
        return ratio


class _Budget(_Family):
    """``f`` over ``|Z|_* - max {<a, sigma>: 0 <= a_i <= rho, |a|^2 <= E_A} <= tau``."""

    constrained = True

    def __init__(self, k_a: int, k_b: int, architecture: LinearDEQ) -> None:
        super().__init__(k_a, k_b, architecture.rho)
        self.tau = self.k * math.sqrt(architecture.E_W * architecture.E_H)
        self.budget = math.inf if architecture.E_A is None else architecture.E_A

    @property
    def radius(self) -> float:
        return self.tau

    def counts(self, ratio: float) -> tuple[float, float]:
        return ratio, 1.0

    def _water(self, sigma: Array) -> tuple[Array, float]:
        """``a_i = min(rho, sigma_i/nu)`` and 1/nu; a vanishing sigma_i gets what is left over."""
        m = self.multiplicity
        top = float(sigma.max())
        capped = m == 0
        if top <= 0:
            return np.zeros(3), 0.0
        sigma = np.maximum(sigma, 1e-150 * top)
        while not capped.all():
            left = max(0.0, self.budget - self.rho**2 * float(m[capped].sum()))
            inverse = math.sqrt(left / float(m[~capped] @ sigma[~capped] ** 2))
            over = ~capped & (inverse * sigma >= self.rho)
            if not over.any():
                return np.where(capped, self.rho, inverse * sigma), inverse
            capped = capped | over
        return np.full(3, self.rho), 0.0

    def equilibrium(self, sigma: Array) -> Array:
        return self._water(sigma)[0]

    def cost(self, x: Array, ratio: float, risk: float) -> float:
        return risk

    def scaled(self, x: Array, ratio: float) -> tuple[Array, float]:
        if x[1] == 0.0:
            t = self.tau / max(self.gauge(x, ratio), 1e-300)
        else:

            def excess(log_t: float) -> float:
                return (
                    self.gauge(np.array([1.0, 0.0, 1.0, 1.0]) * x * math.exp(log_t) + [0, x[1], 0, 0], ratio) - self.tau
                )

            if excess(-40.0) > 0:
                raise ArithmeticError(f"s_B = {x[1]:.6g} alone exceeds the budgets")
            t = math.exp(brentq(excess, -40.0, 40.0, xtol=1e-14))
        return np.array([t * x[0], x[1], t * x[2], t * x[3]]), t

    def concavity(self, point: _Point) -> float:
        a, inverse = self._water(self.singular_values(point.x, point.ratio))
        # with part of the budget idle a_B is what is left of it, and does not grow with s_B
        return point.mu * inverse if a[1] < 1e-100 else 0.0

    def relaxation(self, point: _Point) -> float:
        step = 1e-4 * self.tau
        multipliers = []
        for sign in (1, -1):
            self.tau += sign * step
            moved = self.polish(point._replace(x=self.scaled(point.x, point.ratio)[0]), ratio_free=False)
            self.tau -= sign * step
            multipliers.append(moved.mu)
        slope = 1 - self.equilibrium(self.singular_values(point.x, point.ratio))[1]
        return slope**2 * (multipliers[1] - multipliers[0]) / (2 * step)

    def collapsed_end(self) -> float:
        def excess(log_ratio: float) -> float:
            return self.restoring(self.profile(0.0, math.exp(log_ratio)))

        # upwards from R = 1; after two stable steps in a row the collapsed branch stays stable
        grid, last, run = 0.0, None, 0
        while run < 2:
            if excess(grid) >= 0:
                run += 1
            else:
                last, run = grid, 0
            grid += 0.5
            if grid > 60:
                raise ValueError(f"no R below e^60 collapses the minority at tau = {self.tau:.6g}")
        if last is None:
            raise ValueError(f"the minority is collapsed at every R >= 1 at tau = {self.tau:.6g}")
        return math.exp(brentq(excess, last, last + 0.5, xtol=1e-13, rtol=1e-14))


def _mixing_end(family: _Family, end: float) -> float:
    """R >= end from which on the best collapsed point withstands mixing."""

    def margin(log_ratio: float) -> float:
        return family.mixing(family.profile(0.0, math.exp(log_ratio)))

    low = math.log(end)
    if margin(low) >= 0:
        return end
    high = low + 0.25
    while margin(high) < 0:
        low, high = high, high + 0.25
        if high > 60:
            raise ArithmeticError("the collapsed branch does not withstand mixing at any R below e^60")
    return math.exp(brentq(margin, low, high, xtol=1e-12))


def collapsed_state(
    architecture: PenalisedDEQ | LinearDEQ,
    num_majority: int,
    num_minority: int,
    ratio: float,
    *,
    num_samples: float | None = None,
    majority_count: float | None = None,
    minority_count: float | None = None,
) -> State:
    """The best point of the symmetric family with s_B = 0 at R; arguments as for :func:`hysteresis`."""
    family = _family(architecture, num_majority, num_minority, num_samples, majority_count, minority_count)
    return family.state(family.profile(0.0, positive("ratio", ratio)))


def mixing_threshold(
    architecture: PenalisedDEQ | LinearDEQ,
    num_majority: int,
    num_minority: int,
    *,
    num_samples: float | None = None,
    majority_count: float | None = None,
    minority_count: float | None = None,
) -> float:
    """:attr:`Hysteresis.mixing_end` alone; arguments as for :func:`hysteresis`."""
    family = _family(architecture, num_majority, num_minority, num_samples, majority_count, minority_count)
    return _mixing_end(family, family.collapsed_end())


def _family(
    architecture: Any,
    num_majority: int,
    num_minority: int,
    num_samples: float | None,
    majority_count: float | None,
    minority_count: float | None,
) -> _Family:
    """The symmetric family of an architecture, arguments checked."""
    k_a = integer("num_majority", num_majority, minimum=1)
    k_b = integer("num_minority", num_minority, minimum=2, reason="a single minority class cannot collapse")
    if isinstance(architecture, PenalisedDEQ):
        return _Penalised(k_a, k_b, architecture, _fixed(num_samples, majority_count, minority_count))
    if isinstance(architecture, LinearDEQ):
        if not (num_samples is majority_count is minority_count is None):
            raise ValueError(f"num_samples, majority_count and minority_count play no role for {architecture!r}")
        return _Budget(k_a, k_b, architecture)
    raise TypeError(f"architecture must be a PenalisedDEQ or a LinearDEQ, got {architecture!r}")


def trapped_threshold(
    architecture: PenalisedDEQ,
    num_majority: int,
    num_minority: int,
    *,
    num_samples: float | None = None,
    majority_count: float | None = None,
    minority_count: float | None = None,
) -> float:
    """R from which on a spectral DEQ whose A vanishes along the collapsed directions stays collapsed (CE).

    The collapsed point with A = rho on the directions in use and 0 beside them is a local minimum in (W, A, H) from
    this R on, far below the R at which collapse is optimal, ``n_B = (1-rho)^2 N^2 lam^2``. It ends where
    ``n_B = N^2 lam^2`` or, earlier, by mixing (see the module's docstring). A start with A = 0 is drawn to it.

    Args:
        architecture: a ``PenalisedDEQ`` without ``lambda_A``.
        num_majority: K_A >= 1.
        num_minority: K_B >= 2.
        num_samples, majority_count, minority_count: what is held fixed while R varies, exactly one of them.

    Raises:
        TypeError, ValueError: an argument is not what it should be.
    """
    if not isinstance(architecture, PenalisedDEQ) or architecture.lambda_A is not None:
        raise TypeError(f"architecture must be a PenalisedDEQ without lambda_A, got {architecture!r}")
    family = _family(architecture, num_majority, num_minority, num_samples, majority_count, minority_count)
    end = collapse_threshold(
        UnconstrainedFeatures(architecture.lambda_W, architecture.lambda_H),
        num_majority,
        num_minority,
        num_samples=num_samples,
        majority_count=majority_count,
        minority_count=minority_count,
    )
    return _mixing_end(family, end.ratio)


def _fixed(num_samples: float | None, majority_count: float | None, minority_count: float | None) -> dict[str, float]:
    """The one quantity that is held fixed while R varies, by name."""
    fixed = {"num_samples": num_samples, "majority_count": majority_count, "minority_count": minority_count}
    given = {name: positive(name, value) for name, value in fixed.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            "exactly one of num_samples, majority_count and minority_count must be given for a penalised "
            f"architecture, got {sorted(given) or 'none'}"
        )
    return given


# following the branches -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Stretch:
    """Local minima between two turning points: R falls as s_B grows from the first point to the last.

    One that begins at s_B = 0 goes on as a collapsed branch from its largest R upwards.
    """

    points: tuple[_Point, ...]
    values: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, float]:
        """(smallest, largest) R."""
        return self.points[-1].ratio, self.points[0].ratio

    @property
    def leaves_collapse(self) -> bool:
        """Whether it begins at s_B = 0."""
        return bool(self.points[0].x[1] == 0.0)

    @property
    def top(self) -> float:
        """Largest R of its minima, collapsed ones included."""
        return math.inf if self.leaves_collapse else self.points[0].ratio


class _Tracer:
    """Follows the uncollapsed branch from the end of the collapsed one; finds where they exchange the lower value."""

    def __init__(self, family: _Family, points: int) -> None:
        self.family = family
        self.points = points
        self.end = family.collapsed_end()

    def trace(self) -> Hysteresis:
        """Everything :func:`hysteresis` returns."""
        end = self.end
        curve, stretches = self._march()
        if not any(s.leaves_collapse and abs(s.points[0].ratio / end - 1) < 1e-6 for s in stretches):
            best = self.family.profile(0.0, end)
            # where s_B jumps, no stretch leaves the collapsed branch: it stands for itself, from its end upwards
            stretches.insert(0, _Stretch((best,), (self.family.state(best).value,)))
        lower, upper = self._overlap(stretches)
        maxwell, jump = self._maxwell(stretches, lower, upper)
        stable = {id(p) for stretch in stretches for p in stretch.points}
        states = tuple(self.family.state(p) for p in curve)
        top = 2 * max(end, upper)
        ratios = np.concatenate(
            [np.geomspace(1.0, end, self.points // 3), np.geomspace(end, top, self.points // 3)[1:]]
        )
        collapsed = [self.family.state(self.family.profile(0.0, float(r))) for r in ratios]
        return Hysteresis(
            first_order=jump[1] != jump[0],
            lower=lower,
            upper=upper,
            maxwell=maxwell,
            jump=jump,
            collapsed_end=end,
            mixing_end=_mixing_end(self.family, end),
            curvature=self.family.curvature(end),
            collapsed=Branch(tuple(collapsed), tuple(bool(r >= end * (1 - 1e-12)) for r in ratios)),
            uncollapsed=Branch(states, tuple(id(p) in stable for p in curve)),
        )

    def _at(self, s_b: float, near: _Point) -> _Point:
        """Critical point at s_B continuing that at ``near``."""
        x = near.x.copy()
        x[1] = s_b
        return self.family.polish(near._replace(x=x), ratio_free=True)

    def _best_at(self, s_b: float, near: _Point, look: bool) -> tuple[_Point, bool]:
        """Critical point at s_B, with ``look`` that of the best value over all else; whether it continues ``near``."""
        try:
            point, smooth = self._at(s_b, near), True
            look = look or self.family.common_direction_grows(point)
        except ArithmeticError:
            point, smooth = near._replace(x=self.family.profile(s_b, near.ratio).x), False
            point = self._at(s_b, point)
        for _ in range(5 * look):
            better = self.family.profile(s_b, point.ratio)
            value = self.family.state(point).value
            if self.family.state(better).value > value - 1e-9 * abs(value):
                break
            point, smooth = self._at(s_b, better), False
        return point, smooth

    def _march(self) -> tuple[list[_Point], list[_Stretch]]:
        """The branch up to R = 1 with its turning points, and its stable stretches."""
        current = self.family.profile(0.0, self.end)
        pieces = [[current]]
        ahead = list(np.geomspace(SMALLEST, LARGEST, self.points))[::-1]
        planned = set(ahead)
        while ahead and current.ratio > 1 + 1e-9:
            s, last = float(ahead.pop()), float(current.x[1])
            found = None
            with contextlib.suppress(ArithmeticError):
                # a better branch is looked for at every planned point; each found is followed both ways
                found = self._best_at(s, current, look=s in planned)
            if (found is None or abs(math.log(found[0].ratio / current.ratio)) > STEP) and s > last * FINEST > 0:
                ahead += [s, math.sqrt(s * last)]
                continue
            if found is None:
                break  # the family has no critical point of that size
            current, smooth = found
            if smooth:
                current = self._balanced_end(pieces[-1][-1], current)
            if smooth:
                pieces[-1].append(current)
            else:
                pieces.append([current])
        curve: list[_Point] = []
        stretches: list[list[_Point]] = []
        for i, piece in enumerate(pieces):
            # the best of all else may change at some s_B, yet each of the two stays a critical point beyond it
            before = [p.x[1] for q in pieces[:i] for p in q][::-1]
            after = [p.x[1] for q in pieces[i + 1 :] for p in q]
            piece = [*self._extend(piece[0], before)[::-1], *piece, *self._extend(piece[-1], after)]
            piece = self._with_turning_points(piece)
            curve += piece
            run: list[_Point] = []
            for point in piece:
                minimum = self.family.is_minimum(point)
                if run and (point.ratio >= run[-1].ratio or not minimum):
                    stretches += [run] * (len(run) > 1)
                    run = []
                if minimum:
                    run.append(point)
            stretches += [run] * (len(run) > 1)
        return curve, [_Stretch(tuple(r), tuple(self.family.state(p).value for p in r)) for r in stretches]

    def _balanced_end(self, inside: _Point, point: _Point) -> _Point:
        """``point``, or where R = 1 between the two if it lies beyond."""
        if point.ratio >= 1 or inside.ratio <= 1:
            return point

        def excess(s: float) -> float:
            return math.log((inside if s == inside.x[1] else self._at(s, inside)).ratio)

        low, high = sorted((float(inside.x[1]), float(point.x[1])))
        try:
            return self._at(brentq(excess, low, high, xtol=1e-12), inside)
        except ArithmeticError:
            return point

    def _extend(self, start: _Point, sizes: list[float]) -> list[_Point]:
        """The branch through ``start`` at further s_B, while it stays a minimum in the common direction."""
        points: list[_Point] = []
        ahead = [float(s) for s in sizes][::-1]
        last = start
        while ahead:
            s = ahead.pop()
            point = None
            with contextlib.suppress(ArithmeticError):
                point = self._at(s, last)
            if point is None or self.family.common_direction_grows(point):
                if abs(math.log(s / last.x[1])) < math.log(FINEST) if last.x[1] > 0 else s <= SMALLEST:
                    break
                ahead = [*ahead, math.sqrt(s * last.x[1]) if last.x[1] > 0 else SMALLEST]
                continue
            last = self._balanced_end(last, point)
            points.append(last)
            if last.ratio <= 1 + 1e-9:
                break
        return points

    def _with_turning_points(self, piece: list[_Point]) -> list[_Point]:
        refined = piece[:1]
        for left, middle, right in zip(piece, piece[1:], piece[2:], strict=False):
            refined.append(middle)
            sign = 1.0 if middle.ratio < min(left.ratio, right.ratio) else -1.0
            if sign > 0 or middle.ratio > max(left.ratio, right.ratio):
                found = minimize_scalar(
                    lambda s, near=middle, sign=sign: sign * math.log(self._at(s, near).ratio),
                    bounds=(left.x[1], right.x[1]),
                    method="bounded",
                    options={"xatol": 1e-10},
                )
                turn = self._at(float(found.x), middle)
                at = len(refined) - (turn.x[1] < middle.x[1])
                refined.insert(at, turn)
        return refined + piece[1:][-1:]

    def _overlap(self, stretches: list[_Stretch]) -> tuple[float, float]:
        """Hull of the R with two local minima or more, of which one at least is not collapsed."""
        pairs = []
        for i, a in enumerate(stretches):
            for b in stretches[:i]:
                low, high = max(a.ratios[0], b.ratios[0]), min(a.top, b.top, max(a.ratios[1], b.ratios[1]))
                if high > low * (1 + 1e-9) and not self._same(a, b, low):
                    pairs.append((low, high))
        return (min(p[0] for p in pairs), max(p[1] for p in pairs)) if pairs else (self.end, self.end)

    def _same(self, one: _Stretch, other: _Stretch, ratio: float) -> bool:
        """Whether two stretches are one and the same just above R."""
        found = [self._minimum(s, ratio * (1 + 1e-9)) for s in (one, other)]
        return all(math.isfinite(value) for value, _ in found) and _close(found[0][1], found[1][1])

    def _minimum(self, stretch: _Stretch, ratio: float) -> tuple[float, float]:
        """(value, s_B) at R of a stretch's minimum, collapsed where it goes on as such; infinite where it has none."""
        low, high = stretch.ratios
        if ratio > high and stretch.leaves_collapse:
            return self._collapsed(stretch.points[0], ratio), 0.0
        if not low <= ratio <= high:
            return math.inf, 0.0
        if len(stretch.points) == 1:
            return stretch.values[0], float(stretch.points[0].x[1])
        i = next(i for i, p in enumerate(stretch.points[1:]) if p.ratio <= ratio)
        left, right = stretch.points[i], stretch.points[i + 1]

        def excess(s: float) -> float:
            near = left if s - left.x[1] < right.x[1] - s else right
            return (near if s == near.x[1] else self._at(s, near)).ratio - ratio

        s_b = brentq(excess, left.x[1], right.x[1], xtol=1e-13)
        x = left.x + (right.x - left.x) * (s_b - left.x[1]) / (right.x[1] - left.x[1])
        x[1] = s_b
        mu = left.mu if s_b - left.x[1] < right.x[1] - s_b else right.mu
        point = self.family.polish(_Point(x, ratio, mu), ratio_free=True)
        return self.family.state(point).value, s_b

    def _collapsed(self, start: _Point, ratio: float) -> float:
        """Value at R of the collapsed branch through ``start``; infinite where it has come to its end before.

        From ``self.end`` on the best collapsed point, whichever it is, is a minimum and stands for all of them.
        """
        if ratio >= self.end:
            return self.family.state(self.family.profile(0.0, ratio)).value
        steps = max(1, math.ceil(math.log(ratio / start.ratio) / STEP))
        point = start
        for i in range(1, steps + 1):
            at = start.ratio * (ratio / start.ratio) ** (i / steps)
            x = self.family.scaled(point.x, at)[0]
            try:
                point = self.family.polish(_Point(x, at, point.mu), ratio_free=False)
            except ArithmeticError:
                return math.inf
            if self.family.common_direction_grows(point):
                return math.inf
        return self.family.state(point).value

    def _maxwell(self, stretches: list[_Stretch], lower: float, upper: float) -> tuple[float, tuple[float, float]]:
        """The largest R at which s_B of the best minimum jumps, and s_B above and below it.

        Raises:
            ArithmeticError: the best point known, at some R, lies on none of the branches, or one branch hands over to
                another that it does not meet.
        """
        if upper <= lower:
            for ratio in np.geomspace(1.0, self.end, 16)[:-1]:
                if self.family.restoring(self.family.profile(0.0, float(ratio))) > 1e-9:
                    raise ArithmeticError(f"collapse is stable at R = {ratio:.6g}, and no branch followed leads there")
            return self.end, (0.0, 0.0)
        inside = np.geomspace(lower, upper, 16)
        inside[0], inside[-1] = lower * (1 + 1e-9), upper * (1 - 1e-9)

        def best(ratio: float) -> int:
            values = [self._minimum(s, ratio)[0] for s in stretches]
            lowest = int(np.argmin(values))
            collapsed = self.family.state(self.family.profile(0.0, ratio)).value
            if not values[lowest] <= collapsed + 1e-9 * abs(collapsed):
                raise ArithmeticError(f"a collapsed point at R = {ratio:.6g} is better than every branch followed")
            return lowest

        above = best(float(inside[-1]))
        for high, low in zip(inside[::-1], inside[-2::-1], strict=False):
            below = best(float(low))
            if below != above:
                found = self._exchange(stretches[above], stretches[below], float(low), float(high))
                if found is not None:
                    return found
                above = below
        return self.end, (0.0, 0.0)

    def _exchange(
        self, first: _Stretch, second: _Stretch, low: float, high: float
    ) -> tuple[float, tuple[float, float]] | None:
        """R at which ``second`` takes over from ``first`` as R falls, and s_B of both; None without a jump."""
        # a branch that ends between the two points is infinite beyond its end: shrink to the overlap
        inner = max(low, first.ratios[0], second.ratios[0]), min(high, first.top, second.top)
        if inner[0] > inner[1]:
            sizes = self._minimum(first, inner[0])[1], self._minimum(second, inner[1])[1]
            if inner[0] < inner[1] * FINEST and abs(sizes[0] - sizes[1]) <= (FINEST - 1) * max(sizes):
                return None  # one goes on as the other
            raise ArithmeticError(f"no branch leads from R = {inner[0]:.6g} to R = {inner[1]:.6g}")

        def difference(ratio: float) -> float:
            return self._minimum(first, ratio)[0] - self._minimum(second, ratio)[0]

        low, high = inner
        ends = [self._minimum(s, ratio)[1] for ratio in (low, high) for s in (first, second)]
        if _close(ends[0], ends[1]) or _close(ends[2], ends[3]):
            return None  # one branches off the other, or both are collapsed
        if not difference(low) > 0 > difference(high):
            raise ArithmeticError(f"branches could not be matched for R in [{low:.6g}, {high:.6g}]")
        ratio = brentq(difference, low, high, rtol=1e-13)
        return ratio, (self._minimum(first, ratio)[1], self._minimum(second, ratio)[1])


def _close(one: float, other: float) -> bool:
    """Whether two s_B are the same, to the accuracy of a branch."""
    return abs(one - other) <= 1e-6 * max(one, other)
