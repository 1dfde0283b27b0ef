r"""``method="sdp"``: the semidefinite relaxation of Fang, He, Long and Su 2021, solved with CVXPY.

With ``X = [W; H^T][W; H^T]^T`` the logits are ``Z = X_WH``, and both norms are linear in X: ``|W|_F^2 = tr X_WW``,
``|h_k|^2 = (X_HH)_kk``. Dropping the rank constraint leaves the 2K x 2K semidefinite program

    min f(X_WH)   subject to   tr X_WW <= c_W,  tr X_HH <= c_H,  X >= 0,
    min f(X_WH) + (lambda_W/2) tr X_WW + (lambda_H/2) sum_k n_k (X_HH)_kk   over X >= 0,

with budgets and with weight decay. It is tight once d >= 2K, and indeed once d >= rank(Z).

A linear equilibrium layer ``z* = (I - A)^{-1} h`` with ``|A|_2 <= rho`` enters through what the classifier sees, z*:
``|z*| <= |h| / (1 - rho)``, and ``A = rho I``, ``h = (1 - rho) z*`` reaches every such z*. So the DEQ is the explicit
network on z* with budget ``c_H / (1 - rho)^2``, or with decay ``(1 - rho)^2 lambda_H``.

The gauge of the other solvers is not used here: that the two agree is a check of it.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ufm._extras import require
from ufm._validation import one_of, tolerance
from ufm.architectures import Constrained, Penalised
from ufm.labels import ClassPrior
from ufm.losses import Loss
from ufm.problem import Problem
from ufm.reduction import ReducedLogits
from ufm.solution import Solution
from ufm.solvers.conclude import conclude
from ufm.solvers.methods import Support

__all__ = ["solve_sdp", "supports"]

Array = NDArray[np.float64]

#: Above this number of classes conic solvers take minutes, or fail.
_SLOW_CLASSES = 30
#: The duality gap is first order in the error of the logits, so ask conic solvers for more than their defaults.
_SETTINGS: dict[str, dict[str, Any]] = {
    "CLARABEL": {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11},
    "SCS": {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 200_000},
}


class ConicError(RuntimeError, ValueError):
    """A conic solver failed on numbers that are too far apart for it."""


def supports(problem: Problem) -> Support:
    """Exact for convex losses that state a CVXPY expression, under a nuclear norm.

    >>> import ufm
    >>> supports(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]))).answer
    'exact'
    """
    if not problem.loss.is_convex:
        return Support.refused(f"loss {problem.loss.name} is not convex")
    if not problem.has_nuclear_norm:
        return Support.refused(
            f"architecture {problem.architecture!r} has no nuclear-norm gauge, the problem is not convex in it"
        )
    if type(problem.loss).expression is Loss.expression:
        return Support.refused(f"loss {problem.loss.name} states no CVXPY expression")
    return Support("exact")


def solve_sdp(problem: Problem, *, dim: int | None = None, solver: str | None = None, tol: float = 1e-5) -> Solution:
    """Solve ``problem`` as Fang et al.'s semidefinite program.

    Args:
        problem: what to solve; K up to about 30, above which a UserWarning says that it is slow.
        dim: feature dimension of the factors, default K.
        solver: name of a conic solver that CVXPY has installed, default ``"CLARABEL"``.
        tol: relative duality gap > 0 up to which the point counts as the global optimum. Conic solvers are accurate
            to about 1e-8 *absolute*, so a risk below that comes out with ``is_global`` None.

    Returns:
        The solution; its value and bounds are recomputed from the logits. ``info`` holds CVXPY's ``status``,
        ``solver``, ``objective``, ``solver_iterations`` and, with budgets, the ``budget_multipliers`` (y_W, y_H) of
        ``|W|_F^2 <= c_W`` and ``|z*|_F^2 <= c_H``, for which ``2 sqrt(y_W y_H)`` is the multiplier of the nuclear norm.

    Raises:
        TypeError, ValueError: ``tol`` or ``solver`` is not what it should be.
        ConicError: the conic solver failed, where numbers are too far apart for it; a RuntimeError and a ValueError.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1, 1]), "ce")
    >>> round(solve_sdp(problem).value, 5)
    0.36898
    """
    require("cvxpy", extra="sdp")
    import cvxpy as cp

    tol = tolerance("tol", tol)
    name = one_of("solver", "CLARABEL" if solver is None else solver, cp.installed_solvers())
    k, columns = problem.targets.shape
    if k > _SLOW_CLASSES:
        warnings.warn(
            f"method 'sdp' is slow for K = {k} > {_SLOW_CLASSES} classes; method 'nuclear' is not",
            UserWarning,
            stacklevel=3,
        )
    scale_w, scale_h = _scales(problem)
    # X = S x S with S = diag(scale_w, scale_h): the same program in units that suit the solver
    x = cp.Variable((k + columns, k + columns), PSD=True)
    x_ww, x_wh, x_hh = x[:k, :k], x[:k, k:], x[k:, k:]
    z = scale_w * scale_h * x_wh
    shifted = z
    if problem.bias is not None:
        bias = cp.Variable(k)
        shifted = z + cp.reshape(bias, (k, 1), order="C") @ np.ones((1, columns))
    objective = problem.loss.expression(shifted, problem.targets, problem.prior.probabilities)
    if problem.bias:
        objective += problem.bias / 2 * cp.sum_squares(bias)
    budgets: list[Any] = []
    architecture = problem.spectral.convex(problem.max_rank)
    if isinstance(architecture, Penalised):
        decay_h = architecture.lambda_H * architecture.inverse_gain**2
        objective += architecture.lambda_W / 2 * scale_w**2 * cp.trace(x_ww)
        objective += decay_h / 2 * scale_h**2 * (problem.prior.counts @ cp.diag(x_hh))
    else:
        budgets = [cp.trace(x_ww) <= 1, cp.trace(x_hh) <= 1]
    program = cp.Problem(cp.Minimize(objective), budgets)
    try:
        with warnings.catch_warnings():
            # our own gap at the logits judges accuracy; the solver's opinion is kept as info["status"]
            warnings.filterwarnings("ignore", message="Solution may be inaccurate")
            program.solve(solver=name, **_SETTINGS.get(name, {}))
    except cp.error.SolverError as error:
        raise ConicError(f"method 'sdp': the conic solver {name} failed: {error}") from error
    if program.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE) or x.value is None:
        raise ConicError(f"method 'sdp': the conic solver {name} ended with status {program.status!r}")
    info: dict[str, Any] = {"status": program.status, "solver": name, "objective": float(program.value)}
    info["solver_iterations"] = int(program.solver_stats.num_iters or 0)
    if budgets:
        y_w, y_h = (max(0.0, float(budget.dual_value)) for budget in budgets)
        info["budget_multipliers"] = (y_w / scale_w**2, y_h / scale_h**2)
    logits = _feasible(problem, scale_w * scale_h * x.value[:k, k:])
    return conclude(
        problem,
        "sdp",
        logits,
        tol=tol,
        # weak duality holds at any point, and the mean over permutations within groups has less of the solver's noise
        lower=problem.lower_bound(_averaged(problem, logits)),
        iterations=info["solver_iterations"],
        info=info,
        dim=dim,
        trouble="" if program.status == cp.OPTIMAL else f"{name} reports {program.status}",
    )


def _averaged(problem: Problem, logits: Array) -> Array:
    """The mean over permutations of classes with equal counts, where these leave the risk unchanged."""
    if not isinstance(problem.prior, ClassPrior) or problem.loss.closed_form is None:
        return logits
    return ReducedLogits.mean(logits, problem.prior).expand(problem.prior)


def _scales(problem: Problem) -> tuple[float, float]:
    """Units of W and of z*: the roots of the budgets, or those in which both weight decays are equal."""
    architecture = problem.spectral.convex(problem.max_rank)
    if isinstance(architecture, Penalised):
        decay_h = architecture.lambda_H * architecture.inverse_gain**2
        scale = (decay_h / architecture.lambda_W) ** 0.25
        return scale, 1 / scale
    budget_w, budget_h = cast(Constrained, architecture).factor_budgets(problem.prior.num_classes)
    return math.sqrt(budget_w), math.sqrt(budget_h) / architecture.inverse_gain


def _feasible(problem: Problem, logits: Array) -> Array:
    """Centre the columns where no loss changes, and scale back into the ball what rounding put outside."""
    logits = problem.centred(logits)
    if problem.is_constrained:
        logits = logits * min(1.0, problem.radius / max(problem.gauge(logits), 1e-300))
    return logits
