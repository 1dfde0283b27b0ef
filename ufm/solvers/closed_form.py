r"""``method="closed_form"``: mean squared error under weight decay, and what separates over classes.

Weight decay is here any price of singular values, a multiple of the nuclear norm or a concave one.

In ``Y = Z D^{1/2}``, ``D = diag(n_j)``, the risk is ``|Y - T D^{1/2}|_F^2 / (2N)``, and with a free bias taken out
``|(Y - T D^{1/2}) P|_F^2 / (2N)``, ``P = I - q q^T`` with ``q_j = sqrt(pi_j)``. Both are minimised together with
``lam |Y|_*`` by soft-thresholding singular values at ``N lam``,

    Y = SVT_{N lam}(T D^{1/2})        and        Y = SVT_{N lam}(T D^{1/2} P),

at the price of one decomposition. With any price ``sum_i g(sigma_i)``, and under a bound d on the rank, the problem
separates by von Neumann's trace inequality: Y has the singular vectors of the targets, each singular value solves
``min (s - b)^2/(2N) + g(s)`` over s >= 0, and of these the d largest are kept, for what a direction gains grows with b.
A concave g makes the choice between s = 0 and the other minimum one of first order. Under budgets and with equal counts
the threshold is the theta at which what is left sums to the radius. A bias with a price beside a nuclear norm leaves an
equation for the bias alone, see :mod:`ufm.solvers.penalised_bias`. For nonnegative features and
bounded norms see :mod:`ufm.solvers.separable`. Source: theory sections 7 and 8.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import svd
from ufm.architectures import Penalised
from ufm.losses import ClosedForm
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers.conclude import conclude
from ufm.solvers.methods import Support
from ufm.solvers.penalised_bias import shrunk_beside_bias
from ufm.solvers.separable import solve_separable, supports_separable

__all__ = ["solve_closed_form", "supports"]

Array = NDArray[np.float64]

#: Relative rounding of a sum of scalar minima.
_ROUNDING = 1e-13


def supports(problem: Problem) -> Support:
    """Exact for mean squared error under weight decay, convex or not, without bias or with a free one.

    With a bias that has a price where the gauge is a nuclear norm.
    Under budgets, where the gauge is a nuclear norm, for columns of equal counts. And for one-hot classes under
    nonnegative features, and balanced ones under bounded norms.

    >>> import ufm
    >>> supports(Problem.of(ufm.UnconstrainedFeatures(0.1, 0.1), ufm.ClassPrior([1, 1]), "mse")).answer
    'exact'
    """
    if problem.is_known and not problem.is_spectral:
        return supports_separable(problem)
    if problem.loss.closed_form is not ClosedForm.MEAN_SQUARED_ERROR:
        return Support.refused(f"loss {problem.loss.name} has no closed form for any targets, only 'mse' has")
    if not problem.is_spectral or not (isinstance(problem.architecture, Penalised) or problem.has_nuclear_norm):
        return Support.refused(
            f"architecture {problem.architecture!r} has no weight decay by a price of singular values"
        )
    if problem.bias and (problem.is_constrained or not problem.has_nuclear_norm):
        return Support.refused(
            "bias with weight decay has no closed form beside budgets or a price that is no nuclear norm, "
            "only none and a free one have"
        )
    counts = problem.prior.counts
    if problem.is_constrained and (counts != counts[0]).any():
        return Support.refused("prior has columns of different counts: with budgets only equal ones have a closed form")
    return Support("exact")


def solve_closed_form(problem: Problem, *, dim: int | None = None) -> Solution:
    """Solve by one singular value decomposition, see the module's docstring.

    Args:
        problem: what to solve.
        dim: feature dimension of the factors, default K; below the rank of the optimum a constraint, of which the
            best point is found as well.

    >>> import ufm
    >>> problem = Problem.of(ufm.UnconstrainedFeatures(0.1, 0.1), ufm.ClassPrior.balanced(2), "mse")
    >>> solve_closed_form(problem).logits.round(6)
    array([[0.8, 0. ],
           [0. , 0.8]])
    """
    if not problem.is_spectral:
        return solve_separable(problem, dim)
    labels = problem.prior
    if problem.bias:
        return _beside_bias(problem, problem.bias, dim)
    # budgets weigh no columns, and all of them have the same count: as if that were 1
    root = np.ones(labels.num_columns) if problem.is_constrained else np.sqrt(labels.counts)
    y = labels.targets * root
    if problem.bias is not None:
        q = np.sqrt(labels.probabilities)
        y = y - np.outer(y @ q, q)
    u, s, vt = svd(y, full_matrices=False)
    if problem.is_constrained:
        return _within_budgets(problem, (u, s, vt), dim)
    # value and bound from singular values, not from the residual of the logits: they may be far below its rounding
    n, price = labels.num_samples, cast(Penalised, problem.architecture)
    kept = np.minimum(s, n * problem.strength) if problem.has_nuclear_norm else _residual(price, s, n)
    lower = float(s @ kept) / n - float(kept @ kept) / (2 * n)  # weak duality at the residual
    is_cut = dim is not None and dim < np.count_nonzero(s > kept)
    if is_cut:
        kept[dim:] = s[dim:]
    s = s - kept
    value = float(kept @ kept) / (2 * n) + price.spectral_gauge(s)
    return conclude(
        problem,
        "closed_form",
        (u * s) @ vt / root,
        tol=1e-9,
        # without a dual the minima of the scalar problems are the bound
        lower=lower if problem.is_convex and not is_cut else value * (1 - _ROUNDING),
        iterations=0,
        info={"singular_values": s},
        dim=dim,
        value=value,
    )


def _beside_bias(problem: Problem, decay: float, dim: int | None) -> Solution:
    """With a bias of a price, under a nuclear norm: by Newton's method for the bias."""
    labels = problem.prior
    n, root = labels.num_samples, np.sqrt(labels.counts)
    found = shrunk_beside_bias(labels.targets * root, np.sqrt(labels.probabilities), n * problem.strength, decay)
    s = found.s - found.kept
    rank = int(np.count_nonzero(s))
    if dim is not None and dim < rank:
        raise ValueError(
            f"dim must be at least the rank of the optimal logits, {rank}, for method 'closed_form' beside a bias with "
            f"weight decay, got {dim}; methods that take it as a constraint: 'search', 'direct'"
        )
    kept, beta, pull = found.kept, found.beta, found.pull
    # weak duality at the residual C: <C, A> - |C|^2/2 - |C q|^2/(2 lambda_b)
    dual = kept @ found.s - kept @ kept / 2 + float(beta @ pull) - float(pull @ pull) / (2 * decay)
    value = kept @ kept / 2 + n * problem.strength * s.sum() + decay / 2 * float(beta @ beta)
    return conclude(
        problem,
        "closed_form",
        (found.u * s) @ found.vt / root,
        tol=1e-9,
        lower=float(dual) / n,
        iterations=found.steps,
        info={"singular_values": s},
        dim=dim,
        value=float(value) / n,
    )


def _within_budgets(problem: Problem, decomposed: tuple[Array, Array, Array], dim: int | None) -> Solution:
    """``sum_i (s_i - theta)_+ = radius``, of the first ``dim`` singular values where there are more."""
    u, s, vt = decomposed
    m, radius = problem.prior.num_columns, problem.radius
    rank = int(np.count_nonzero(s > _ROUNDING * s[0])) if s[0] > 0 else 0
    width = rank if dim is None else min(dim, rank)
    kept = _excess(s, radius)  # of the convex problem, whose bound is that of all ranks
    lower = (float(kept @ kept) / 2 + float(kept @ (s - kept)) - radius * float(kept.max(initial=0.0))) / m
    if width < np.count_nonzero(s > kept):
        kept = np.concatenate([_excess(s[:width], radius), s[width:]])
    s = s - kept
    return conclude(
        problem,
        "closed_form",
        (u * s) @ vt,
        tol=1e-9,
        lower=max(0.0, lower),
        iterations=0,
        info={"singular_values": s},
        dim=dim,
        value=float(kept @ kept) / (2 * m),
    )


def _excess(s: Array, radius: float) -> Array:
    """``min(s_i, theta)``, s from large to small, with what is left of s summing to ``radius``; 0 where it does not."""
    if s.sum() <= radius:
        return np.zeros_like(s)
    theta = (np.cumsum(s) - radius) / np.arange(1, len(s) + 1)
    return np.minimum(s, theta[np.flatnonzero(s > theta)[-1]])


def _residual(price: Penalised, b: Array, num_samples: float) -> Array:
    """``b - s`` at the s that solve the scalar problems: ``N g'(s)`` where s is positive, b elsewhere."""
    s = price.shrunk(b, num_samples)
    residual = np.array(b)
    residual[s > 0] = num_samples * price.slopes(s[s > 0])
    return residual
