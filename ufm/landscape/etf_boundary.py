"""Where the balanced simplex ETF stops being optimal for a linear equilibrium layer with a Frobenius budget.

Balanced cross-entropy, ``Z = W (I - A)^{-1} H``, ``|W|_F^2 <= K E_W``, ``|H|_F^2 <= K E_H``, ``|A|_F^2 <= E_A``,
``|A|_2 <= rho``; tau = K sqrt(E_W E_H). The ETF of size ``alpha = tau/(K-1 - min((K-1) rho, sqrt((K-1) E_A)))`` is
optimal for small E_A, and again from ``E_A = (K-1) rho^2`` on, where the Frobenius budget is idle. In between lie

* ``local``: the E_A up to which the ETF is a local minimum. For K >= 4 it is ``tau^2/(K^2 (K-1)) = E_W E_H/(K-1)``
  (theorem "etf-local-stability"); for K = 3 it solves ``sqrt(E_A) = (2 - 3 p) tau/(3 sqrt 2)`` with ``p = 1/(2 +
  e^alpha)``, because there every symmetric perturbation moves the diagonal too.
* ``estimate``: E_A*, from which on some softmax code is better; best of the searched codes, no proof.
* ``lower`` and ``upper``: certified. At ``lower`` the ETF is globally optimal, at ``upper`` it is not.

Source: derived here; Sukenik & Mondelli 2023 and Garrod et al. 2026 for softmax codes in deep networks.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ufm._extras import require
from ufm._validation import positive
from ufm.architectures import LinearDEQ
from ufm.geometry import name_structure
from ufm.labels import ClassPrior
from ufm.landscape.etf_bounds import MARGIN, balanced_lower_bound, check_boundary, etf_local_bound, etf_risk
from ufm.problem import Problem
from ufm.solvers.search import Landscape

if TYPE_CHECKING:
    from ufm.certificates import Certificate, EtfOptimality

__all__ = [
    "EtfBoundary",
    "balanced_lower_bound",
    "etf_boundary",
    "etf_local_bound",
    "etf_risk",
    "logits_beating_etf",
]

Array = NDArray[np.float64]

#: How much of the ETF is added to the start of a descent, relative to its norm: a direction that is empty stays empty,
#: and one that is filled may lead away.
FILLS = (0.03, 0.0)

#: Relative accuracy of the estimate by bisection.
ACCURACY = 1e-4

#: Shares of the E_A at which the Frobenius budget goes idle, at which codes are tried where the ETF is always stable.
SCAN = (0.1, 0.3, 0.5, 0.7, 0.9)

#: Shares of the estimate at which a proof that the ETF is optimal is tried, and excesses for a counterexample.
SHARES = (0.6, 0.45, 0.3, 0.15, 0.05)
EXCESSES = (0.005, 0.02, 0.05, 0.1)


@dataclass(frozen=True)
class EtfBoundary:
    """Boundary of the optimality of the simplex ETF in E_A, for K balanced classes.

    Attributes:
        num_classes, tau, rho: the problem.
        estimate: E_A*, the least E_A at which a searched code beats the ETF by a relative 1e-9 of its risk, never above
            ``local``; inf if none does below (K-1) rho^2 and ``local`` is inf.
        lower: an E_A at which the ETF is certified to be globally optimal, 0 where no proof was found.
        upper: an E_A at which a code certified to be feasible beats every ETF, inf where there is none.
        local: the E_A up to which the ETF is a local minimum, inf if for every E_A < (K-1) rho^2.
        structure: name of the code that takes over (:func:`ufm.geometry.name_structure`), "" if none was found.
        singular_values: of that code's logits, descending (K-1,).
        optimality: what certifies ``lower``, None if nothing does.
        counterexample: what certifies ``upper``, None if nothing does.
    """

    num_classes: int
    tau: float
    rho: float
    estimate: float
    lower: float
    upper: float
    local: float
    structure: str
    singular_values: tuple[float, ...] = field(repr=False)
    optimality: EtfOptimality | None = field(repr=False)
    counterexample: Certificate | None = field(repr=False)


def etf_boundary(num_classes: int, tau: float, rho: float = 0.99, *, certify: bool = True) -> EtfBoundary:
    """Estimate and enclose the budget E_A*(K, tau) from which on the balanced simplex ETF is not optimal.

    Every direct sum of simplices (antipodal pairs, triangles, ..., with and without a single point) is descended from;
    the least E_A at which one of the minima beats the ETF is found by bisection.

    Args:
        num_classes: K, 3 to 16.
        tau: ``K sqrt(E_W E_H)`` > 0.
        rho: bound on ``|A|_2``, in (0, 1).
        certify: whether to look for ``lower`` and ``upper`` too (seconds each; without them they are 0 and inf).

    Raises:
        ValueError: an argument out of range.

    >>> boundary = etf_boundary(4, 1.0, certify=False)
    >>> round(boundary.estimate, 3), round(boundary.local, 4), boundary.structure
    (0.021, 0.0208, 'softmax code of rank 3')
    """
    k, tau, rho = check_boundary(num_classes, tau, rho)
    if certify:
        require("flint", extra="certify")
    local, idle = etf_local_bound(k, tau, rho), (k - 1) * rho * rho
    # just above the local bound something is better; without one, the ETF may win again before the budget is idle
    trials = [local * (1 + 1e-3)] if local * (1 + 1e-3) < idle else [idle * share for share in SCAN]
    best: Array | None = None
    high = math.inf
    for start in _starts(k):
        for trial in trials if best is None else [high]:
            code = _better(k, tau, trial, rho, start)
            if code is not None:
                break
        else:
            continue
        low, high = 0.0, trial
        while high - low > ACCURACY * high:
            middle = (low + high) / 2
            found = _better(k, tau, middle, rho, code)
            low, high, code = (middle, high, code) if found is None else (low, middle, found)
        best = code
    # beyond the local bound the ETF is no local minimum, though what is better there may be so by less than MARGIN
    estimate = min(high, local)
    optimality = _optimality(k, tau, min(estimate, idle, 1.0)) if certify else None
    counterexample, upper = (
        _counterexample(k, tau, rho, estimate, best) if certify and best is not None else (None, 0.0)
    )
    return EtfBoundary(
        num_classes=k,
        tau=tau,
        rho=rho,
        estimate=estimate,
        lower=0.0 if optimality is None else float(optimality.E_A),
        upper=math.inf if counterexample is None else upper,
        local=local,
        structure="" if best is None else name_structure(_points(best)),
        singular_values=() if best is None else tuple(np.linalg.svd(best, compute_uv=False)[:-1].tolist()),
        optimality=optimality,
        counterexample=counterexample,
    )


def logits_beating_etf(num_classes: int, tau: float, E_A: float, rho: float = 0.99) -> Array | None:
    """Logits (K, K) of a feasible code with a lower risk than every simplex ETF, the first one found; None if none is.

    Arguments and starts as for :func:`etf_boundary`, in floating point.

    >>> logits_beating_etf(4, 1.0, 0.01) is None
    True
    >>> logits = logits_beating_etf(4, 1.0, 0.1)  # three classes alone, the fourth left out
    >>> np.sort(np.linalg.norm(logits, axis=0)).round(1)
    array([0. , 0.5, 0.5, 0.5])
    """
    k, tau, rho = check_boundary(num_classes, tau, rho)
    budget = positive("E_A", E_A)
    return next((code for start in _starts(k) if (code := _better(k, tau, budget, rho, start)) is not None), None)


def _starts(k: int) -> Iterator[Array]:
    """Logits of direct sums of simplices, with at most one single point."""
    for sizes in _partitions(k, k):
        if sizes.count(1) > 1 or len(sizes) == 1:
            continue
        points = np.zeros((k, k))
        at = 0
        for size in sizes:
            block = slice(at, at + size)
            points[block, block] = (np.eye(size) - 1 / size) * math.sqrt(size / (size - 1)) if size > 1 else 1.0
            at += size
        gram = points.T @ points
        yield gram - gram.mean(axis=0)


def _partitions(total: int, largest: int) -> Iterator[list[int]]:
    if total == 0:
        yield []
    for first in range(min(total, largest), 0, -1):
        for rest in _partitions(total - first, first):
            yield [first, *rest]


def _better(k: int, tau: float, budget: float, rho: float, start: Array) -> Array | None:
    """Feasible logits that beat the ETF, by descent from ``start``; None where it ends at nothing better."""
    from scipy.optimize import minimize

    landscape = Landscape(Problem.of(LinearDEQ(tau / k, tau / k, rho, budget), ClassPrior.balanced(k)), k - 1)
    options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-8, "maxcor": 30}
    for fill in FILLS:
        x = landscape.at(start + fill * np.linalg.norm(start, 2) * (np.eye(k) - 1 / k))
        found = minimize(landscape, x, jac=True, method="L-BFGS-B", options=options)
        if math.exp(found.fun) < etf_risk(k, tau, budget, rho) * (1 - MARGIN):
            return landscape.logits(found.x)
    return None


def _points(logits: Array) -> Array:
    """Features (K, K) whose Gram matrix is ``|Z| = (Z^T Z)^{1/2}``."""
    _, s, vt = np.linalg.svd(logits)
    points: Array = np.sqrt(s)[:, None] * vt
    return points


def _optimality(k: int, tau: float, budget: float) -> EtfOptimality | None:
    """A proof that the ETF is optimal, at the largest of the SHARES of the budget for which one is found."""
    from ufm.certificates import CertificationError, certify_etf_optimal

    for share in SHARES:
        with contextlib.suppress(CertificationError):
            return certify_etf_optimal(k, Fraction(tau), Fraction(f"{share * budget:.3g}"))
    return None


def _counterexample(k: int, tau: float, rho: float, budget: float, code: Array) -> tuple[Certificate | None, float]:
    """A certified code that beats every ETF at the least of the EXCESSES over the budget, and its budget."""
    from ufm.certificates import CertificationError, certify_code

    for excess in EXCESSES:
        exact = Fraction(f"{budget * (1 + excess):.6g}")
        if exact >= (k - 1) * Fraction(rho) ** 2:
            break
        found = _better(k, tau, float(exact), rho, code)
        if found is not None:
            with contextlib.suppress(CertificationError):
                return certify_code(found, tau, exact, rho), float(exact)
    return None, math.inf
