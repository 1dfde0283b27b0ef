r"""Minority collapse: the imbalance ratio R* = n_A/n_B from which on the minority classifiers coincide.

Group B is collapsed iff its standard representation is not worth its price, ``pi_B <= mu omega_B`` (theory section 3).

*Weight decay.* ``omega_B = sqrt(n_B)`` and mu is the strength lam, so for CE and MSE alike B is collapsed iff
``n_B <= N^2 lam^2``: a comparison of numbers.

*Budgets, cross-entropy.* At the threshold ``mu = pi_B``, and (tau, R*) runs along an explicit curve in an angle, (7) of
the derivation in :mod:`ufm.two_groups`: a threshold is one scalar root, ``tau(theta) = tau``, and R* is explicit.

*Budgets, MSE.* ``R* = 1/(1 - tau/K_A)`` for tau < K_A; otherwise no finite R collapses the minority.

*Nonnegative features.* There is no partial collapse: the minority's features vanish, iff
``n_B <= N^2 lam^2 K/(K - 1)`` for cross-entropy with weight decay, and from
``R* = 1 + (e^{tau sqrt(K/(K - 1)) / K_A} - 1)/K`` on with budgets; for MSE as with real features (theory section 8).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ufm._roots import bracketed_root
from ufm._validation import real
from ufm.architectures import Constrained, FeatureCone, is_known, known_architecture
from ufm.losses import Loss, closed_form
from ufm.two_groups._arguments import class_numbers, finite_radius, finite_strength
from ufm.two_groups.counts import CountRule, count_rule
from ufm.two_groups.scalar import log_total_ratio

__all__ = ["Question", "Threshold", "collapse_threshold", "slope", "threshold_curve", "total_collapse_threshold"]


class Derivable(Protocol):
    """What :attr:`Threshold.derivative` asks.

    >>> import ufm
    >>> question = ufm.collapse_threshold(ufm.LayerPeeled(0.6, 0.6), 2, 2).question
    >>> sorted(question.derivative(1.799360718))
    ['E_H', 'E_W']
    """

    def derivative(self, ratio: float) -> dict[str, Any]:
        """``dR*/dp`` by parameter at the threshold ``ratio``."""


@dataclass(frozen=True)
class Question:
    """What a threshold is one of: an architecture, and how R* depends on its scale, a radius or a strength.

    Attributes:
        architecture: with a nuclear-norm gauge.
        num_majority: K_A.
        num_minority: K_B.
        rule: how the counts vary with R; None for budgets.
        is_mse: with budgets: mean squared error, not cross-entropy.

    >>> import ufm
    >>> question = Question(ufm.LayerPeeled(0.3, 0.4), 3, 2, None, is_mse=True)
    >>> round(question.scale(question.architecture), 6), sorted(question.scale_slopes())
    (1.732051, ['E_H', 'E_W'])
    >>> ratio = collapse_threshold(question.architecture, 3, 2, loss="mse").ratio
    >>> by_chain = question.scale_slope(ratio) * question.scale_slopes()["E_W"]
    >>> round(by_chain - question.derivative(ratio)["E_W"], 9)
    0.0
    >>> decay = Question(ufm.UnconstrainedFeatures(0.1, 0.1), 3, 2, CountRule("num_samples", 9.0))
    >>> round(decay.held_slope(decay.rule), 6)  # n_B = N^2 lam^2
    -0.411523
    """

    architecture: Any
    num_majority: int
    num_minority: int
    rule: CountRule | None
    is_mse: bool = False

    def derivative(self, ratio: float) -> dict[str, Any]:
        """``dR*/dp`` by parameter at the threshold ``ratio``."""
        slope = self.scale_slope(ratio)
        found = {name: _chain(slope, slopes) for name, slopes in self.scale_slopes().items()}
        if self.rule is not None:
            found[self.rule.held] = self.held_slope(self.rule)
        return found

    def scale(self, architecture: Any) -> float:
        """Radius for budgets, strength for weight decay."""
        if self.rule is None:
            return finite_radius(architecture, self.num_majority + self.num_minority)
        return finite_strength(architecture)

    def scale_slopes(self) -> dict[str, Any]:
        """``d scale/dp`` for every parameter p that it depends on; a tuple for one of several numbers."""
        given = self.architecture.parameters.items()
        return {name: self._scale_slope_by(name, value) for name, value in given if isinstance(value, float | tuple)}

    def _scale_slope_by(self, name: str, value: Any) -> Any:
        def at(changed: Any) -> float:
            return self.scale(dataclasses.replace(self.architecture, **{name: changed}))

        if isinstance(value, tuple):
            ends = [(value[:i], value[i + 1 :]) for i in range(len(value))]
            return tuple(
                slope(functools.partial(lambda e, x: at((*e[0], x, *e[1])), e), v)
                for e, v in zip(ends, value, strict=True)
            )
        return slope(at, value, room=_room(name, value))

    def scale_slope(self, ratio: float) -> float:
        """``dR*/d scale``: (7) of the derivation for cross-entropy with budgets, else from the explicit R*."""
        scale, k_a, k_b = self.scale(self.architecture), self.num_majority, self.num_minority
        if self.rule is not None:
            rule = self.rule
            return slope(lambda x: _penalised(x, k_a, k_b, rule).ratio, scale)
        if self.is_mse:
            return ratio * ratio / k_a
        return ratio * _curve_slope(_angle(scale, k_a, k_b), k_a, k_b)

    def held_slope(self, rule: CountRule) -> float:
        """``dR*/dx`` for the count x that is held fixed."""
        strength, k_a, k_b = self.scale(self.architecture), self.num_majority, self.num_minority
        return slope(lambda x: _penalised(strength, k_a, k_b, CountRule(rule.held, x)).ratio, rule.value)


@dataclass(frozen=True)
class Explicit:
    """What a threshold of nonnegative features is one of: R* is explicit in everything.

    Attributes:
        architecture: with nonnegative features.
        num_majority: K_A.
        num_minority: K_B.
        is_mse: mean squared error, not cross-entropy.
        rule: how the counts vary with R; None for budgets.

    >>> import ufm
    >>> explicit = Explicit(ufm.LayerPeeled(0.5, 0.5, features="nonnegative"), 2, 2, False, None)
    >>> {name: round(slope, 6) for name, slope in explicit.derivative(2.0).items()}
    {'E_W': 0.915987, 'E_H': 0.915987}
    """

    architecture: Any
    num_majority: int
    num_minority: int
    is_mse: bool
    rule: CountRule | None

    def derivative(self, ratio: float) -> dict[str, Any]:
        """``dR*/dp`` by parameter."""

        def at(rule: CountRule | None = self.rule, **changed: float) -> float:
            architecture = dataclasses.replace(self.architecture, **changed)
            return _vanishing(architecture, self.num_majority, self.num_minority, self.is_mse, rule).ratio

        given = {n: v for n, v in self.architecture.parameters.items() if isinstance(v, float)}
        found = {n: slope(functools.partial(lambda n, x: at(**{n: x}), n), v) for n, v in given.items()}
        if self.rule is not None:
            held = self.rule.held
            found[held] = slope(lambda x: at(CountRule(held, x)), self.rule.value)
        return found


def slope(function: Callable[[float], Any], at: float, *, room: float | None = None) -> Any:
    """Derivative of a smooth function by five points, to some 1e-11 of its size; one-sided at 0.

    Args:
        function: of a number, exact to rounding; its values numbers or arrays.
        at: where.
        room: how far it may be left, default ``at``.

    >>> round(slope(math.exp, 1.0) / math.e, 9), round(slope(math.exp, 0.0, room=1.0), 9)
    (1.0, 1.0)
    """
    h = 1e-3 * (at if room is None else room)
    if at != 0:
        return (8 * (function(at + h) - function(at - h)) - (function(at + 2 * h) - function(at - 2 * h))) / (12 * h)
    values = [function(at + i * h) for i in range(5)]
    return (-25 * values[0] + 48 * values[1] - 36 * values[2] + 16 * values[3] - 3 * values[4]) / (12 * h)


def _room(name: str, value: float) -> float | None:
    """How far a parameter may be left: a spectral bound lies in [0, 1)."""
    if name != "rho":
        return None
    return min(value, 1 - value) if value > 0 else 1.0


def _chain(outer: float, inner: Any) -> Any:
    return tuple(outer * x for x in inner) if isinstance(inner, tuple) else outer * inner


@dataclass(frozen=True)
class Threshold:
    """A collapse threshold in R = n_A/n_B.

    Attributes:
        ratio: R*; ``math.inf`` where no finite R collapses the minority, 1.0 where every R >= 1 does.
        lower, upper: bracket of R* in floating point.
        majority_count, minority_count: n_A and n_B at the threshold, for penalised architectures; else None.
        question: what it is the threshold of, where :attr:`derivative` can be asked for.
        is_monotone: whether the minority is out of collapse at every R < R*. With a closed form that is known;
            otherwise it is looked at from R = 1 to 1e5. False where it has collapsed at smaller R too: with n_A held, N
            is then so large that the weight decay presses it together again.
    """

    ratio: float
    lower: float
    upper: float
    majority_count: float | None = None
    minority_count: float | None = None
    question: Derivable | None = field(default=None, repr=False, compare=False)
    is_monotone: bool | None = field(default=None, repr=False)

    @property
    def derivative(self) -> dict[str, Any]:
        """``dR*/dp`` for every parameter p of the architecture, and for the count that is held fixed, by name.

        Parameters of the loss are among them where R* is that of a loss with such: of a number for every class the
        slopes are a pair, as those of the majority change together, and those of the minority.

        R* depends on the architecture through its radius or strength alone; the derivative by that is implicit, along
        the threshold curve (7) of :mod:`ufm.two_groups` for cross-entropy with budgets. For a parameter of several
        numbers, such as ``budgets``, a tuple.

        Raises:
            ValueError: R* is infinite, or 1 because every R >= 1 collapses the minority: it has no derivative there.
                Or it has a kink in a parameter, whose slopes to both sides the message has.

        >>> import ufm
        >>> t = collapse_threshold(ufm.LinearDEQ(1.0, 5.0, rho=0.1), 5, 5)
        >>> {name: round(slope, 4) for name, slope in t.derivative.items()}
        {'E_W': 50.1887, 'E_H': 10.0377, 'rho': 111.5305}
        """
        if not 1.0 < self.ratio < math.inf:
            raise ValueError(f"a threshold R* = {self.ratio:g} has no derivative: it must lie between 1 and infinity")
        if self.question is None:
            raise ValueError(
                f"the threshold R* = {self.ratio:g} was bisected, for Newton's method found no root on the collapsed "
                "branch there: its derivative is not known; take differences of thresholds"
            )
        return self.question.derivative(self.ratio)

    def _repr_html_(self) -> str:
        rows: dict[str, float | None] = {"R*": self.ratio, "lower": self.lower, "upper": self.upper}
        rows |= {"n_A": self.majority_count, "n_B": self.minority_count}
        cells = "".join(f"<tr><th>{k}</th><td>{v:.12g}</td></tr>" for k, v in rows.items() if v is not None)
        return f"<table><caption>Collapse threshold</caption>{cells}</table>"

    def __float__(self) -> float:
        return self.ratio


def collapse_threshold(
    architecture: Any,
    num_majority: int,
    num_minority: int,
    *,
    loss: str | Loss = "ce",
    num_samples: float | None = None,
    majority_count: float | None = None,
    minority_count: float | None = None,
) -> Threshold:
    r"""Imbalance ratio R* at which the minority of a two-group prior collapses (s_B = 0 for R >= R*).

    For architectures with budgets R alone matters. For penalised ones the number of samples sets the scale: with
    ``lam = strength`` (``(1-rho) sqrt(lambda_W lambda_H)``) B is collapsed iff ``n_B <= N^2 lam^2``, for CE and MSE,
    and *exactly one* of three quantities must be held fixed while R varies:

    * ``num_samples``: N. Then ``n_B* = N^2 lam^2`` and ``R* = (N/n_B* - K_B)/K_A``.
    * ``majority_count``: n_A. Then n_B* is the smaller root of ``n_B = lam^2 (K_A n_A + K_B n_B)^2``. (Above its
      larger root N is so large that the minority is collapsed again.)
    * ``minority_count``: n_B. Then ``R* = (1/(lam sqrt(n_B)) - K_B)/K_A``.

    Args:
        architecture: where the gauge comes from.
        num_majority: K_A >= 1.
        num_minority: K_B >= 2; a single minority class has nothing to collapse with.
        loss: ``"ce"`` or ``"mse"``, or plain ``CrossEntropy()`` or ``MeanSquaredError()``.
        num_samples, majority_count, minority_count: what is held fixed, penalised architectures only.

    Returns:
        The threshold with a floating-point bracket.

    Raises:
        TypeError: no architecture, or a number that is none.
        ValueError: an architecture or a loss of one's own, a gauge that is not convex, K_B = 1, a fixed quantity
            missing or given where it plays no role, or R* beyond float64.

    Source: Fang et al. 2021 (their Fig. 3 has K = 10, E_W = 1, E_H = 5); theory section 3.

    >>> import ufm
    >>> round(collapse_threshold(ufm.LayerPeeled(E_W=1.0, E_H=5.0), num_majority=5, num_minority=5).ratio, 6)
    12.192447
    >>> collapse_threshold(ufm.UnconstrainedFeatures(5e-3, 5e-3), 5, 5, minority_count=4).ratio
    19.0
    """
    nonnegative = isinstance(architecture, FeatureCone) and is_known(architecture) and not architecture.is_spectral
    if not nonnegative:
        known_architecture(architecture, where="for a collapse threshold")
    k_a, k_b = class_numbers(num_majority, num_minority)
    word = closed_form(loss, where="for a collapse threshold")
    rule = count_rule(architecture, num_samples, majority_count, minority_count)
    if nonnegative:
        explicit = Explicit(architecture, k_a, k_b, word == "mse", rule)
        return dataclasses.replace(_vanishing(architecture, k_a, k_b, word == "mse", rule), question=explicit)
    question = Question(architecture, k_a, k_b, rule, word == "mse")
    if rule is not None:
        return dataclasses.replace(_penalised(finite_strength(architecture), k_a, k_b, rule), question=question)
    tau = finite_radius(architecture, k_a + k_b)
    return dataclasses.replace(_mse_budget(tau, k_a) if word == "mse" else _ce_budget(tau, k_a, k_b), question=question)


def _vanishing(architecture: Any, k_a: int, k_b: int, mse: bool, rule: CountRule | None) -> Threshold:
    """Where the minority's features vanish, nonnegative features."""
    k = k_a + k_b
    if rule is not None:
        return _penalised(architecture.slope * (1.0 if mse else math.sqrt(k / (k - 1))), k_a, k_b, rule)
    tau = architecture.bound(k)
    if mse:
        return _mse_budget(tau, k_a)
    size = tau * math.sqrt(k / (k - 1)) / k_a  # of a majority class, z = a (e - 1/K)
    if size > 700:
        raise ValueError(
            f"architecture has a threshold R* = exp({size:.6g})/K beyond the range of float64; choose budgets with a "
            f"smaller radius than {tau:.6g}"
        )
    ratio, slack = 1 + math.expm1(size) / k, 1e-14 * (1 + size)
    return Threshold(ratio, max(1.0, ratio * (1 - slack)), ratio * (1 + slack))


def threshold_curve(angle: float, num_majority: int, num_minority: int) -> tuple[float, float]:
    """``(tau, log R*)`` at ``angle = log tan(theta)`` along the threshold curve, (7) in :mod:`ufm.two_groups`.

    Args:
        angle: from -600 to ``log(K_A/K_B)/2``, where tau = 0 and R* = 1; tau and R* grow as it falls.
        num_majority: K_A >= 1.
        num_minority: K_B >= 2.

    Raises:
        TypeError, ValueError: an argument out of its range.

    >>> tau, log_ratio = threshold_curve(-1.0, num_majority=5, num_minority=5)
    >>> round(tau, 6), round(math.exp(log_ratio), 6)
    (86.603969, 9424027.266637)
    """
    k_a, k_b = class_numbers(num_majority, num_minority)
    top = _top(k_a, k_b)
    if not LOWEST_ANGLE <= (at := real("angle", angle)) <= top:
        raise ValueError(
            f"angle must lie between {LOWEST_ANGLE:g} and log(K_A/K_B)/2 = {top!r}, the ends of the curve, "
            f"got {angle!r}"
        )
    return _curve(at, k_a, k_b)


#: Angle at which tau is beyond 1e260: the end of the curve in float64.
LOWEST_ANGLE = -600.0


def _top(k_a: int, k_b: int) -> float:
    """The angle at which tau = 0 and R* = 1."""
    return 0.5 * math.log(k_a / k_b)


def _curve(angle: float, k_a: int, k_b: int) -> tuple[float, float]:
    """:func:`threshold_curve` without its checks."""
    # (7) of the derivation, cos and sin from log tan(theta), each to full relative accuracy
    k = k_a + k_b
    e = math.exp(angle)
    norm = math.sqrt(1 + e * e) if angle < 0 else e * math.sqrt(1 + 1 / (e * e))
    cos, sin = 1 / norm, e / norm
    # 1 - a cos and 1 - b sin, which is 1 - K_A r, without cancellation
    q = (k_a / k + k_b / k * sin * sin) / (1 + math.sqrt(k_b / k) * cos) / k_a
    r = sin / math.sqrt(k * k_a)
    v = k_b * math.log((k_b / k + k_a / k * cos * cos) / (1 + math.sqrt(k_a / k) * sin) / (k_b * r))
    d = math.log(q * math.sqrt(k * k_b) / cos)
    s = math.sqrt(k_a / k_b) * v / e - k_a * d
    tau = (k_a - 1) * s + math.sqrt(k_a / k) * v / sin
    log_ratio = math.log1p(q * math.expm1(s)) if s < 1 else s + math.log(q) + math.log1p((1 - q) / q * math.exp(-s))
    return tau, log_ratio


def _curve_slope(angle: float, k_a: int, k_b: int) -> float:
    """``d log R*/d tau`` at an angle of the threshold curve: (7) differentiated by log tan(theta)."""
    k = k_a + k_b
    e = math.exp(angle)
    norm = math.sqrt(1 + e * e) if angle < 0 else e * math.sqrt(1 + 1 / (e * e))
    cos, sin = 1 / norm, e / norm
    a, b = math.sqrt(k_b / k), math.sqrt(k_a / k)
    # dcos = -cos sin^2 and dsin = sin cos^2; q, v, d, s, tau and log R* as in _curve
    q = (k_a / k + k_b / k * sin * sin) / (1 + a * cos) / k_a
    rest = (k_b / k + k_a / k * cos * cos) / (1 + b * sin)  # 1 - b sin
    v = k_b * math.log(rest / (k_b * sin / math.sqrt(k * k_a)))
    d = math.log(q * math.sqrt(k * k_b) / cos)
    s = math.sqrt(k_a / k_b) * v / e - k_a * d
    dq = a * cos * sin * sin / k_a
    dv = -k_b * (b * sin * cos * cos / rest + cos * cos)
    ds = math.sqrt(k_a / k_b) / e * (dv - v) - k_a * (dq / q + sin * sin)
    dtau = (k_a - 1) * ds + b * (dv - v * cos * cos) / sin
    grown = -math.expm1(-s)  # (e^s - 1)/e^s: in units of e^s nothing overflows
    dlog = (dq * grown + q * ds) / (math.exp(-s) + q * grown)
    return dlog / dtau


def _angle(tau: float, k_a: int, k_b: int) -> float:
    """The angle at which the threshold curve has the radius ``tau``; the end of the curve where rounding is all."""
    top = _top(k_a, k_b)

    def excess(angle: float) -> float:
        return _curve(angle, k_a, k_b)[0] - tau

    lo = top - 1.0
    while lo > LOWEST_ANGLE and excess(lo) < 0:
        lo = max(top - 2 * (top - lo), LOWEST_ANGLE)
    if excess(top) >= 0:  # rounding at the end of the curve, tau ~ 0
        return top
    return bracketed_root(excess, lo, top, xtol=1e-15) if excess(lo) >= 0 else lo


def _ce_budget(tau: float, k_a: int, k_b: int) -> Threshold:
    top, root = _top(k_a, k_b), _angle(tau, k_a, k_b)
    if root == top:
        return Threshold(1.0, 1.0, 1.0 + 1e-12, is_monotone=True)
    log_ratio = _curve(root, k_a, k_b)[1]
    width = 1e-14 * max(1.0, abs(root))
    ends = [_curve(min(root + shift, top), k_a, k_b)[1] for shift in (width, -width)]
    if max(log_ratio, *ends) > 709:
        raise ValueError(
            f"architecture has a threshold R* = exp({log_ratio:.6g}) beyond the range of float64; "
            f"choose budgets with a smaller radius than {tau:.6g}"
        )
    ratio = max(1.0, math.exp(log_ratio))
    ulp = 1e-14
    return Threshold(
        ratio, max(1.0, math.exp(min(ends)) * (1 - ulp)), max(1.0, math.exp(max(ends))) * (1 + ulp), is_monotone=True
    )


def _mse_budget(tau: float, k_a: int) -> Threshold:
    if tau >= k_a:
        return Threshold(math.inf, math.inf, math.inf, is_monotone=True)
    ratio = k_a / (k_a - tau)
    slack = 1e-15 * ratio  # of K_A - tau, the rounding of tau among it
    return Threshold(ratio, max(1.0, ratio * (1 - slack)), ratio * (1 + slack), is_monotone=True)


def _penalised(strength: float, k_a: int, k_b: int, rule: CountRule) -> Threshold:
    """``n_B = N^2 lam^2``, for cross-entropy and MSE alike."""
    n_a, n_b = rule.at_collapse(strength, k_a, k_b)
    if not (n_b >= SMALLEST_COUNT and n_a <= 1 / SMALLEST_COUNT and n_a / n_b <= 1 / SMALLEST_COUNT):
        raise ValueError(
            f"{rule.held} = {rule.value:.6g} puts the threshold n_B = N^2 lam^2, with lam = {strength:.6g}, at "
            f"n_A = {n_a:.6g}, n_B = {n_b:.6g}: counts and R* must lie between {SMALLEST_COUNT:g} and "
            f"{1 / SMALLEST_COUNT:g}, the range of float64"
        )
    slack = 1e-14 * (1 + (k_a + k_b) / k_a)
    ratio = max(1.0, n_a / n_b)
    # with n_A held the minority is collapsed again where sqrt(n_B) is beyond the other root of the quadratic
    again = rule.held == "majority_count" and strength * (k_a + k_b) * math.sqrt(n_a) > 1
    return Threshold(
        ratio, max(1.0, ratio * (1 - slack)), ratio * (1 + slack), n_a, n_b, is_monotone=ratio == 1.0 or not again
    )


#: Smallest count at a threshold, and inverse of the largest.
SMALLEST_COUNT = 1e-290


def total_collapse_threshold(architecture: Any, num_majority: int, num_minority: int) -> float:
    r"""Ratio R_total >= R* from which on the minority's features vanish altogether (CE, budgets); inf if there is none.

    Total collapse leaves the majority its own ETF, ``s_A = tau/(K_A - 1)``, with probabilities
    ``q = 1/(e^{s_A} + K_A - 1 + K_B e^{s_A/K_A})`` and ``r = q e^{s_A/K_A}``. It is optimal iff

        R >= sqrt((K_A/K) / (m^2 - K K_B r^2)),   m = K_A q + K_B r,

    which needs ``e^{s_A/K_A} (sqrt(K K_B) - K_B) < K_A``: beyond a radius proportional to K_A (K_A - 1) no imbalance
    makes the minority vanish.

    Args:
        architecture: one with budgets and a nuclear-norm gauge.
        num_majority: K_A >= 1.
        num_minority: K_B >= 2.

    Raises:
        TypeError: no architecture, or a class number that is no number.
        ValueError: a penalised architecture, one of one's own, K_B = 1, or R_total beyond float64.

    Source: theory section 3 (phases); derived here.

    >>> import ufm
    >>> round(total_collapse_threshold(ufm.LayerPeeled(1.0, 1.0), num_majority=5, num_minority=5), 6)
    2.748881
    """
    known_architecture(architecture, where="for a threshold of total collapse")
    if not isinstance(architecture, Constrained):
        raise ValueError(f"architecture must have budgets (LayerPeeled, DeepLinear, LinearDEQ), got {architecture!r}")
    k_a, k_b = class_numbers(num_majority, num_minority)
    if k_a == 1:
        return math.inf
    tau = finite_radius(architecture, k_a + k_b)
    log_ratio = log_total_ratio(k_a, k_b, tau / (k_a - 1))
    if 709 < log_ratio < math.inf:
        raise ValueError(
            f"architecture has a threshold R_total = exp({log_ratio:.6g}) beyond the range of float64; "
            f"choose budgets with a smaller radius than {tau:.6g}"
        )
    return math.exp(log_ratio)
