r"""``method="closed_form"``: mean squared error under weight decay, any targets, without bias or with a free one.

In ``Y = Z D^{1/2}``, ``D = diag(n_j)``, the risk is ``|Y - T D^{1/2}|_F^2 / (2N)``, and with a free bias taken out
``|(Y - T D^{1/2}) P|_F^2 / (2N)``, ``P = I - q q^T`` with ``q_j = sqrt(pi_j)``. Both are minimised together with
``lam |Y|_*`` by soft-thresholding singular values at ``N lam``,

    Y = SVT_{N lam}(T D^{1/2})        and        Y = SVT_{N lam}(T D^{1/2} P),

at the price of one decomposition. Source: theory section 7.
"""

from __future__ import annotations

import numpy as np

from ufm.losses import ClosedForm
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers.conclude import conclude
from ufm.solvers.methods import Support

__all__ = ["solve_closed_form", "supports"]


def supports(problem: Problem) -> Support:
    """Exact for mean squared error under weight decay with a nuclear norm, without bias or with a free one.

    >>> import ufm
    >>> supports(Problem.of(ufm.UnconstrainedFeatures(0.1, 0.1), ufm.ClassPrior([1, 1]), "mse")).answer
    'exact'
    """
    if problem.loss.closed_form is not ClosedForm.MEAN_SQUARED_ERROR:
        return Support.refused(f"loss {problem.loss.name} has no closed form for any targets, only 'mse' has")
    if problem.is_constrained or not problem.has_nuclear_norm:
        return Support.refused(f"architecture {problem.architecture!r} has no weight decay by a nuclear norm")
    if problem.bias:
        return Support.refused("bias with weight decay has no closed form, only none and a free one have")
    return Support("exact")


def solve_closed_form(problem: Problem, *, dim: int | None = None) -> Solution:
    """Solve by one singular value decomposition, see the module's docstring.

    Args:
        problem: what to solve.
        dim: feature dimension of the factors, default K.

    >>> import ufm
    >>> problem = Problem.of(ufm.UnconstrainedFeatures(0.1, 0.1), ufm.ClassPrior.balanced(2), "mse")
    >>> solve_closed_form(problem).logits.round(6)
    array([[0.8, 0. ],
           [0. , 0.8]])
    """
    labels = problem.prior
    root = np.sqrt(labels.counts)
    y = labels.targets * root
    if problem.bias is not None:
        q = np.sqrt(labels.probabilities)
        y = y - np.outer(y @ q, q)
    u, s, vt = np.linalg.svd(y, full_matrices=False)
    # value and bound from singular values, not from the residual of the logits: they may be far below its rounding
    n = labels.num_samples
    kept = np.minimum(s, n * problem.strength)  # of the residual
    value = float(kept @ kept) / (2 * n) + problem.strength * float((s - kept).sum())
    lower = float(s @ kept) / n - float(kept @ kept) / (2 * n)  # weak duality at the residual
    s = s - kept
    return conclude(
        problem,
        "closed_form",
        (u * s) @ vt / root,
        tol=1e-9,
        lower=lower,
        iterations=0,
        info={"singular_values": s},
        dim=dim,
        value=value,
    )
