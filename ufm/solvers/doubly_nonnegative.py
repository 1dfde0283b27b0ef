r"""A bound for nonnegative features of many columns: the doubly nonnegative relaxation, solved with CVXPY.

With ``X = [W; H^T][W; H^T]^T``, ``H >= 0``, the block X_HH is completely positive. Of that only "positive semidefinite
and nonnegative" is kept, which makes a semidefinite programme in X,

    minimise f(X_WH diag(1/omega)) + (price/2) tr X      or      f over tr X <= 2 tau,        X >= 0, (X_HH)_ij >= 0.

Its optimal value is below that of the problem, by about a thousandth where soft targets of many columns make
completely positive matrices differ. Only its logits are used: the bound is that of weak duality at their gradient, for
which :func:`ufm.gauges.copositive.split` finds the matrix N that proves it: no accuracy of the conic solver is
relied on. Source: theory section 8.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._extras import optional
from ufm.losses import Loss
from ufm.problem import Problem

__all__ = ["relaxed_logits"]

Array = NDArray[np.float64]

#: The bound lies below the relaxation's optimum by about the root of what the logits are off: at Clarabel's own 1e-8 by
#: up to 2e-6, depending on the processor, at this by 1e-8.
_TOLERANCE = 1e-10


def relaxed_logits(problem: Problem) -> Array | None:
    """The logits (K, m) that are optimal in the relaxation; None where CVXPY, or an expression of the loss, is missing.

    >>> import ufm
    >>> relu = ufm.UnconstrainedFeatures(0.1, 0.1, features="nonnegative")
    >>> problem = Problem.of(relu, ufm.ClassPrior([2, 1]), "mse")  # the gradient's columns are obtuse: it is exact
    >>> logits = relaxed_logits(problem)
    >>> bool(abs(problem.lower_bound(logits) - ufm.solve(relu, problem.prior, "mse").value) < 1e-6)
    True
    """
    if type(problem.loss).expression is Loss.expression:
        return None
    try:
        with optional("sdp"):
            import cvxpy as cp
    except ImportError:
        return None
    k, m = problem.targets.shape
    # in units in which the trace is about 1
    unit = problem.bound if problem.is_constrained else 1.0
    x = cp.Variable((k + m, k + m), PSD=True)
    z = x[:k, k:] @ np.diag(unit / problem.weights)
    shifted: Any = z
    if problem.bias is not None:
        bias = cp.Variable(k)
        shifted = z + cp.reshape(bias, (k, 1), order="C") @ np.ones((1, m))
    objective = problem.loss.expression(shifted, problem.targets, problem.prior.probabilities)
    if problem.bias:
        objective += problem.bias / 2 * cp.sum_squares(bias)
    constraints: list[Any] = [x[k:, k:] >= 0]
    if problem.is_constrained:
        constraints.append(cp.trace(x) <= 2)
    else:
        objective += float(getattr(problem.architecture, "price", 1.0)) / 2 * cp.trace(x)
    program = cp.Problem(cp.Minimize(objective), constraints)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the bound at the logits judges what they are worth
        try:
            program.solve(solver="CLARABEL", tol_gap_abs=_TOLERANCE, tol_gap_rel=_TOLERANCE, tol_feas=_TOLERANCE)
        except cp.error.SolverError:
            return None
    return None if z.value is None else np.asarray(z.value, dtype=float)
