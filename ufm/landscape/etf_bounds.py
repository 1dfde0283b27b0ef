"""What is known of the balanced simplex ETF without a search, for a linear equilibrium layer with a Frobenius budget.

Its risk, the budget E_A up to which it is a local minimum, and a lower bound of the optimal value where it is proved to
be the optimum. The setting and the formulas are those of :mod:`ufm.landscape.etf_boundary`.
"""

from __future__ import annotations

import math

from ufm._extras import MissingExtraError
from ufm._validation import fraction, integer, positive, real
from ufm.architectures import LinearDEQ
from ufm.losses import ClosedForm
from ufm.problem import Problem

__all__ = ["MARGIN", "balanced_lower_bound", "check_boundary", "etf_local_bound", "etf_risk"]

#: A code counts as better than the ETF when its risk is lower by this relative margin.
MARGIN = 1e-9

#: Share of the local bound below which :func:`balanced_lower_bound` looks for a proof.
PROVABLE = 0.5


def etf_risk(num_classes: int, tau: float, E_A: float, rho: float) -> float:
    """Risk ``log(1 + (K-1) e^{-alpha})`` of the largest feasible simplex ETF; arguments: :func:`ufm.etf_boundary`.

    >>> round(etf_risk(4, 1.0, 0.01, 0.9), 6)
    1.133379
    """
    n, tau = integer("num_classes", num_classes, minimum=2) - 1, positive("tau", tau)
    E_A, rho = real("E_A", E_A), fraction("rho", rho)
    if E_A < 0:
        raise ValueError(f"E_A must be >= 0, got {E_A!r}")
    return math.log1p(n * math.exp(-tau / (n - min(n * rho, math.sqrt(n * E_A)))))


def etf_local_bound(num_classes: int, tau: float, rho: float = 0.99) -> float:
    """E_A up to which the ETF is a local minimum, inf if for every E_A < (K-1) rho^2.

    >>> round(etf_local_bound(4, 1.0) * 48, 12)
    1.0
    """
    from scipy.optimize import brentq

    k, tau, rho = check_boundary(num_classes, tau, rho)
    n, top = k - 1, math.sqrt(k - 1) * rho
    if k > 3:
        root = tau / (k * math.sqrt(n))
    else:

        def excess(b: float) -> float:
            left = 2 - math.sqrt(2) * b
            power = tau / left if left * 700 > tau else 700.0
            return b - (2 - 3 / (2 + math.exp(power))) * tau / (3 * math.sqrt(2))

        root = math.inf if excess(top) < 0 else float(brentq(excess, 0.0, top, xtol=1e-15))
    return root**2 if root < top else math.inf


def balanced_lower_bound(problem: Problem, upper: float = math.inf) -> float:
    """A valid lower bound of the optimal value where the ETF is proved optimal, -inf where it is not.

    For balanced cross-entropy and a :class:`ufm.LinearDEQ` with ``sqrt(E_A) <= rho sqrt(K-1)``: the ETF's risk from
    below, so that the gap closes, wherever :func:`ufm.certificates.certify_etf_optimal` finds a proof; nowhere without
    the extra ``certify``.

    Args:
        problem: any problem.
        upper: an upper bound of its optimal value; where it is below the ETF's risk there is nothing to prove.

    >>> import ufm
    >>> layer, prior = ufm.LinearDEQ(0.25, 0.25, rho=0.9, E_A=0.01), ufm.ClassPrior.balanced(4)
    >>> round(balanced_lower_bound(Problem.of(layer, prior)), 6)
    1.133379
    """
    architecture, prior = problem.architecture, problem.prior
    k = prior.num_classes
    if (
        not isinstance(architecture, LinearDEQ)
        or not problem.is_known
        or architecture.E_A is None
        or problem.loss.closed_form is not ClosedForm.CROSS_ENTROPY
    ):
        return -math.inf
    tau, budget = architecture.bound(k), architecture.E_A
    if not 3 <= k <= 16 or len(prior.groups) > 1 or budget >= min(1.0, (k - 1) * architecture.rho**2):
        return -math.inf
    worthwhile = budget < PROVABLE * etf_local_bound(k, tau, architecture.rho)
    if not worthwhile or upper < etf_risk(k, tau, budget, architecture.rho) * (1 - MARGIN):
        return -math.inf
    try:
        from ufm.certificates import CertificationError, certify_etf_optimal
    except MissingExtraError:
        return -math.inf  # python-flint, which proofs need, is optional for solving
    try:
        # tau is rounded: the bound for a radius larger by that much is lower, and valid for both
        return certify_etf_optimal(k, tau * (1 + 1e-15), budget).lower
    except CertificationError:
        return -math.inf


def check_boundary(num_classes: int, tau: float, rho: float) -> tuple[int, float, float]:
    """The arguments of a boundary, checked: K from 3 to 16, tau > 0 and rho in (0, 1); else a ValueError.

    >>> check_boundary(4, 1, 0.9)
    (4, 1.0, 0.9)
    """
    k, tau, rho = integer("num_classes", num_classes, minimum=3, maximum=16), positive("tau", tau), fraction("rho", rho)
    if tau / k == 0:
        raise ValueError(f"tau must be > 0 when divided by num_classes too, got {tau!r} for {k}")
    if rho == 0:
        raise ValueError("rho must lie in (0, 1), got 0: without A there is no boundary")
    return k, tau, rho
