r"""Closed forms beyond singular values: one-hot classes under nonnegative features, balanced ones under bounded norms.

*Nonnegative features.* With ``z_k = a_k (e_k - 1/K)`` (cross-entropy) or ``z_k = a_k e_k`` (mean squared error) the
columns of the gradient are pairwise obtuse, so that the polar is the length of the longest, the gauge
``sum_k omega_k |z_k|``, and the problem separates over classes. At the multiplier mu, with ``c = |z_k| / a_k``
and ``x_k = mu omega_k c / pi_k``,

    cross-entropy         own probability 1 - x_k, so a_k = log((K - 1)(1 - x_k) / x_k), where x_k < (K - 1)/K, else 0;
    mean squared error    a_k = 1 - x_k where that is positive, else 0.

Weight decay has mu = lam; for budgets mu is the root of ``sum_k c a_k = tau``. Class k vanishes, features and all,
exactly where a_k = 0: under weight decay where ``n_k <= N^2 lam^2 K/(K - 1)`` and ``n_k <= N^2 lam^2``.

*Bounded norms.* Balanced classes have the simplex ETF, ``Z = w h (K I - 11^T) / (K - 1)``: minus the gradient there is
``kappa (I - 11^T/K)``, whose polar K kappa is proved by the diagonals alpha = beta = kappa. Its risk under
cross-entropy is ``log(1 + (K - 1) e^{-w h K/(K - 1)})``, with a bias too. Source: theory section 8; Dang et al. 2024;
Yaras et al. 2022.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from ufm.architectures import FeatureCone, NormBounded
from ufm.geometry import simplex_etf
from ufm.labels import ClassPrior
from ufm.losses import ClosedForm
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers.conclude import checked, conclude, zero_risk
from ufm.solvers.methods import Support

__all__ = ["solve_separable", "supports_separable"]

Array = NDArray[np.float64]


def supports_separable(problem: Problem) -> Support:
    """Whether one of the closed forms of this module holds.

    >>> import ufm
    >>> relu, prior = ufm.LayerPeeled(1.0, 1.0, features="nonnegative"), ufm.ClassPrior([5, 1])
    >>> supports_separable(Problem.of(relu, prior)).answer, supports_separable(Problem.of(relu, prior, "bce")).answer
    ('exact', 'refused')
    """
    loss = problem.loss
    if not isinstance(problem.prior, ClassPrior):
        return Support.refused("prior has labels that are not one-hot, for which there is no closed form here")
    if isinstance(problem.architecture, NormBounded):
        if loss.closed_form is not ClosedForm.CROSS_ENTROPY:
            return Support.refused(f"loss {loss.name} has no closed form under bounded norms, only 'ce' has")
        if not problem.prior.is_balanced:
            return Support.refused("prior is not balanced, which the closed form under bounded norms wants")
        return Support("exact")
    if loss.closed_form is None:
        return Support.refused(f"loss {loss.name} has no closed form here, only 'ce' and 'mse' have")
    if problem.bias is not None:
        return Support.refused("bias couples the classes: there is no closed form with nonnegative features")
    return Support("exact")


def solve_separable(problem: Problem, dim: int | None = None) -> Solution:
    """Solve by the closed form that holds, see the module's docstring.

    >>> import ufm
    >>> relu = ufm.LayerPeeled(1.0, 1.0, features="nonnegative")
    >>> round(solve_separable(Problem.of(relu, ufm.ClassPrior.balanced(3))).value, 6)  # log(1 + 2 e^{-3/sqrt 6})
    0.462265
    """
    if isinstance(problem.architecture, NormBounded):
        return _bounded_etf(problem, problem.architecture, dim)
    sizes, mu = _sizes(problem)
    k = len(sizes)
    centre = problem.loss.closed_form is ClosedForm.CROSS_ENTROPY
    logits = (np.eye(k) - 1 / k if centre else np.eye(k)) * sizes
    # at the root of budgets the last bits are put right
    if problem.is_constrained and (gauge := problem.gauge(logits)) > problem.bound:
        logits = logits * (problem.bound / gauge)
    architecture = problem.architecture
    assert isinstance(architecture, FeatureCone)
    if dim is not None and dim < np.count_nonzero(sizes):
        architecture.factorise(logits, problem.prior, dim)  # says that dim is too small, and for what
    found = conclude(problem, "closed_form", logits, tol=1e-9, iterations=0, info={"sizes": sizes}, dim=dim)
    collapsed = tuple(group.size > 1 and not sizes[list(group.classes)].any() for group in problem.class_prior.groups)
    return dataclasses.replace(found, collapsed=collapsed, multiplier=mu)


def _sizes(problem: Problem) -> tuple[Array, float]:
    """``a_k`` of every class, and the multiplier."""
    from scipy.optimize import brentq

    prior, k = problem.class_prior, problem.prior.num_classes
    centre = problem.loss.closed_form is ClosedForm.CROSS_ENTROPY
    c = math.sqrt((k - 1) / k) if centre else 1.0
    price = c * problem.weights / prior.probabilities

    def at(log_mu: float) -> Array:
        x = np.exp(log_mu + np.log(price))
        if not centre:
            return np.maximum(1 - x, 0.0)
        alive = x < (k - 1) / k
        inner = np.where(alive, x, 0.5)
        return np.where(alive, math.log(k - 1) + np.log1p(-inner) - (log_mu + np.log(price)), 0.0)

    architecture = problem.architecture
    assert isinstance(architecture, FeatureCone)
    if not problem.is_constrained:
        return at(math.log(architecture.price)), architecture.price
    if (fitted := zero_risk(problem)) is not None:
        return np.diagonal(fitted).copy(), 0.0
    top = math.log((k - 1) / k if centre else 1.0) - math.log(price.min())
    low = top - 1.0
    while c * at(low).sum() < problem.bound:
        low = top - 2 * (top - low)
    log_mu = float(brentq(lambda t: c * at(t).sum() - problem.bound, low, top, xtol=1e-15, rtol=4 * 2.3e-16))
    return at(log_mu), math.exp(log_mu)


def _bounded_etf(problem: Problem, architecture: NormBounded, dim: int | None) -> Solution:
    k = problem.prior.num_classes
    if dim is not None and dim < k - 1:
        raise ValueError(f"dim must be at least K - 1 = {k - 1} for the simplex ETF of the closed form, got {dim}")
    frame = simplex_etf(k, dim=k - 1)
    frame = frame / np.linalg.norm(frame, axis=0)
    factors = architecture.scaled(architecture.w * frame.T, architecture.h * frame, problem.prior, dim)
    logits = problem.bound * (k * np.eye(k) - 1) / (k - 1)
    gradient = problem.gradient(logits)
    kappa = -float(np.trace(gradient)) / (k - 1)
    value = problem.risk(logits)
    # f(Z) - <G, Z> - w h K kappa, of which the last two are one number and its rounding
    rest = float(np.vdot(gradient, logits)) + problem.bound * k * kappa
    lower = min(value, max(problem.loss.infimum, value - max(0.0, rest)))
    info = {"relative_gap": (value - lower) / value if value > 0 else 0.0}
    found = Solution(
        problem, "closed_form", value, lower, value, k * kappa, True, 0, logits, info, dim, factors,
        collapsed=(False,), phase="none",
    )  # fmt: skip
    return checked(found)
