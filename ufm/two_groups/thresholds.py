r"""Minority collapse: the imbalance ratio R* = n_A/n_B from which on the minority classifiers coincide.

Group B is collapsed iff its standard representation is not worth its price, ``pi_B <= mu omega_B`` (theory section 3).

*Weight decay.* ``omega_B = sqrt(n_B)`` and mu is the strength lam, so for CE and MSE alike B is collapsed iff
``n_B <= N^2 lam^2``: a comparison of numbers.

*Budgets, cross-entropy.* At the threshold ``mu = pi_B``, and in the closed dual form of the two-group problem (see
``ufm.two_groups.scalar``) R drops out of everything but one equation. With K = K_A + K_B, a = sqrt(K_B/K),
b = sqrt(K_A/K) and an angle theta, 0 < tan(theta) < sqrt(K_A/K_B), the pair (tau, R*) runs along the curve

    r = sin / sqrt(K K_A),            v = K_B log((1 - K_A r) / (K_B r)),
    q = (1 - a cos) / K_A,            d = log(q sqrt(K K_B) / cos),
    s = sqrt(K_A/K_B) v cot(theta) - K_A d,
    R* = 1 + q (e^s - 1),             tau = (K_A - 1) s + b v / sin,

so a threshold is one scalar root, ``tau(theta) = tau``, and R* is explicit after it.

*Budgets, MSE.* ``R* = 1/(1 - tau/K_A)`` for tau < K_A; otherwise no finite R collapses the minority.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scipy.optimize import brentq

from ufm._validation import integer
from ufm.architectures import Constrained, known_architecture
from ufm.losses import Loss, closed_form
from ufm.two_groups.counts import count_rule

__all__ = ["Threshold", "collapse_threshold", "threshold_curve", "total_collapse_threshold"]


@dataclass(frozen=True)
class Threshold:
    """A collapse threshold in R = n_A/n_B.

    Attributes:
        ratio: R*; ``math.inf`` where no finite R collapses the minority, 1.0 where every R >= 1 does.
        lower, upper: bracket of R* in floating point.
        majority_count, minority_count: n_A and n_B at the threshold, for penalised architectures; else None.
    """

    ratio: float
    lower: float
    upper: float
    majority_count: float | None = None
    minority_count: float | None = None

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
    * ``minority_count``: n_B. Then ``R* = (sqrt(n_B)/lam - K_B)/K_A``.

    Args:
        architecture: where the gauge comes from.
        num_majority: K_A >= 1.
        num_minority: K_B >= 2; a single minority class has nothing to collapse with.
        loss: ``"ce"`` or ``"mse"``.
        num_samples, majority_count, minority_count: what is held fixed, penalised architectures only.

    Returns:
        The threshold with a floating-point bracket.

    Raises:
        ValueError: K_B = 1, a fixed quantity missing or given where it plays no role, or R* beyond float64.

    Source: Fang et al. 2021 (their Fig. 3 has K = 10, E_W = 1, E_H = 5); theory section 3.
    """
    architecture = known_architecture(architecture, where="for thresholds")
    k_a = integer("num_majority", num_majority, minimum=1)
    k_b = integer("num_minority", num_minority, minimum=2, reason="a single minority class cannot collapse")
    risk = closed_form(loss, where="for thresholds")
    rule = count_rule(architecture, num_samples, majority_count, minority_count)
    if rule is not None:
        n_a, n_b = rule.at_collapse(architecture.strength, k_a, k_b)
        slack = 1e-14 * (1 + (k_a + k_b) / k_a)
        ratio = n_a / n_b
        return Threshold(ratio, max(1.0, ratio * (1 - slack)), ratio * (1 + slack), n_a, n_b)
    tau = architecture.radius(k_a + k_b)
    return _mse_budget(tau, k_a) if risk == "mse" else _ce_budget(tau, k_a, k_b)


def threshold_curve(angle: float, num_majority: int, num_minority: int) -> tuple[float, float]:
    """``(tau, log R*)`` at ``angle = log tan(theta)`` along the threshold curve, see the module's docstring.

    Args:
        angle: below ``log(K_A/K_B)/2``, where tau = 0 and R* = 1; tau and R* grow as it falls.
        num_majority: K_A >= 1.
        num_minority: K_B >= 2.
    """
    k_a, k_b = num_majority, num_minority
    k = k_a + k_b
    e = math.exp(angle)
    norm = math.sqrt(1 + e * e) if angle < 0 else e * math.sqrt(1 + 1 / (e * e))
    cos, sin = 1 / norm, e / norm
    # 1 - a cos without cancellation
    q = (k_a / k + k_b / k * sin * sin) / (1 + math.sqrt(k_b / k) * cos) / k_a
    r = sin / math.sqrt(k * k_a)
    v = k_b * math.log((1 - k_a * r) / (k_b * r))
    d = math.log(q * math.sqrt(k * k_b) / cos)
    s = math.sqrt(k_a / k_b) * v / e - k_a * d
    tau = (k_a - 1) * s + math.sqrt(k_a / k) * v / sin
    log_ratio = math.log1p(q * math.expm1(s)) if s < 1 else s + math.log(q) + math.log1p((1 - q) / q * math.exp(-s))
    return tau, log_ratio


def _ce_budget(tau: float, k_a: int, k_b: int) -> Threshold:
    top = 0.5 * math.log(k_a / k_b)

    def excess(angle: float) -> float:
        return threshold_curve(angle, k_a, k_b)[0] - tau

    lo = top - 1.0
    while excess(lo) < 0:
        lo = top - 2 * (top - lo)
    hi = top
    if excess(top) >= 0:  # rounding at the end of the curve, tau ~ 0
        return Threshold(1.0, 1.0, 1.0 + 1e-12)
    root = brentq(excess, lo, hi, xtol=1e-15, rtol=4 * 2.3e-16, maxiter=500)
    log_ratio = threshold_curve(root, k_a, k_b)[1]
    if log_ratio > 709:
        raise ValueError(
            f"architecture has a threshold R* = exp({log_ratio:.6g}) beyond the range of float64; "
            f"choose budgets with a smaller radius than {tau:.6g}"
        )
    width = 1e-14 * max(1.0, abs(root))
    ends = [threshold_curve(min(root + shift, top), k_a, k_b)[1] for shift in (width, -width)]
    ratio = math.exp(log_ratio)
    ulp = 1e-14
    return Threshold(ratio, max(1.0, math.exp(min(ends)) * (1 - ulp)), math.exp(max(ends)) * (1 + ulp))


def _mse_budget(tau: float, k_a: int) -> Threshold:
    if tau >= k_a:
        return Threshold(math.inf, math.inf, math.inf)
    ratio = k_a / (k_a - tau)
    return Threshold(ratio, ratio * (1 - 1e-15), ratio * (1 + 1e-15))


def total_collapse_threshold(architecture: Any, num_majority: int, num_minority: int) -> float:
    r"""Ratio R_total >= R* from which on the minority's features vanish altogether (CE, budgets); inf if there is none.

    Total collapse leaves the majority its own ETF, ``s_A = tau/(K_A - 1)``, with probabilities
    ``q = 1/(e^{s_A} + K_A - 1 + K_B e^{s_A/K_A})`` and ``r = q e^{s_A/K_A}``. It is optimal iff

        R >= sqrt((K_A/K) / (m^2 - K K_B r^2)),   m = K_A q + K_B r,

    which needs ``e^{s_A/K_A} (sqrt(K K_B) - K_B) < K_A``: beyond a radius proportional to K_A (K_A - 1) no imbalance
    makes the minority vanish.

    Raises:
        ValueError: a penalised architecture, or K_B = 1.

    Source: theory section 3 (phases); derived here.
    """
    architecture = known_architecture(architecture, where="for thresholds")
    if not isinstance(architecture, Constrained):
        raise ValueError(f"architecture must have budgets (LayerPeeled, DeepLinear, LinearDEQ), got {architecture!r}")
    k_a = integer("num_majority", num_majority, minimum=1)
    k_b = integer("num_minority", num_minority, minimum=2, reason="a single minority class cannot collapse")
    if k_a == 1:
        return math.inf
    k = k_a + k_b
    s = architecture.radius(k) / (k_a - 1)
    # m/r - sqrt(K K_B), the sign of which decides
    excess = k_a * math.exp(-s / k_a) + k_b - math.sqrt(k * k_b)
    if excess <= 0:
        return math.inf
    tail = (k_a - 1) * math.exp(-s) + k_b * math.exp(-s * (1 - 1 / k_a))
    log_r = -s + s / k_a - math.log1p(tail)
    log_ratio = 0.5 * (math.log(k_a / k) - math.log(excess) - math.log(excess + 2 * math.sqrt(k * k_b))) - log_r
    return math.exp(log_ratio) if log_ratio < 709 else math.inf
