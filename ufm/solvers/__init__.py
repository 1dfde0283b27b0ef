"""Solvers behind one function: each says which problems it solves, the others refuse by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from ufm._linalg import svdvals
from ufm._validation import integer, one_of
from ufm.architectures.base import numerical_rank
from ufm.labels import MAX_DENSE
from ufm.losses import Loss
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers.auto import first_closed, ranked
from ufm.solvers.methods import METHODS as _METHODS
from ufm.solvers.methods import Method, Support, method_of, supported

__all__ = ["METHODS", "Method", "Support", "solve", "supported"]

#: What ``method=`` may be.
METHODS = ("auto", *_METHODS)

#: Methods that solve the convex problem in the logits, and see no dimension of the factors.
_WHATEVER_DIM = ("closed_form", "reduced", "nuclear", "sdp")


def solve(
    architecture: Any,
    prior: Any,
    loss: str | Loss = "ce",
    *,
    method: str = "auto",
    bias: str | float | None = None,
    dim: int | None = None,
    seed: int | None = None,
    **options: Any,
) -> Solution:
    """Solve the problem of an architecture, a prior and a loss: to global optimality where it is convex.

    Args:
        architecture: one of ``LayerPeeled``, ``UnconstrainedFeatures``, ``DeepLinear``, ``PenalisedDeepLinear``,
            ``LinearDEQ``, ``PenalisedDEQ``, ``Residual``, ``Gain``, ``NormBounded``, or an object of a subclass of
            ``ufm.Architecture``.
        prior: the class prior, or :class:`ufm.Labels` of any kind (soft, multi-label, regression).
        loss: ``"ce"``, ``"mse"``, ``"bce"``, or an object of a subclass of ``ufm.Loss``, such as
            ``ufm.SquaredHinge()``, ``ufm.torch_loss(...)`` or one of one's own.
        bias: None, ``"free"``, or, for a convex loss, the weight decay lambda_b > 0 of a bias ``b``: the risk is then
            ``f(Z + b 1^T) + (lambda_b/2) |b|^2``, and the solution has it as ``bias``.
        method: ``"reduced"`` (symmetry reduction; exact for equal counts), ``"nuclear"`` (K x K logits, any prior),
            ``"sdp"`` (Fang et al.'s 2K x 2K relaxation with CVXPY), ``"direct"`` (the factors themselves from random
            starts), ``"search"`` (local minima from many starts, with a lower bound: the one for architectures whose
            gauge is not convex), ``"factored"`` (factors with a dual bound, for nonnegative features and bounded
            norms), ``"low_rank"`` (factors of few dimensions, for logits too large to be written out),
            ``"closed_form"``, ``"atoms"`` (conditional gradients, for a gauge of one's own), or ``"auto"``: the
            one that does most for the problem at the least cost.
        dim: feature dimension d of the factors (default K). Below the rank of the optimum it is a constraint:
            ``"auto"`` then searches factors of that width, the methods for the convex problem refuse.
        seed: seed >= 0 of the random starts of ``"direct"`` and ``"search"`` (default 0); the others have none.
        **options: passed to the chosen method, see the functions of this package.

    Returns:
        A :class:`~ufm.solution.Solution` with the value, its enclosure, logits, factors and geometry. On its way out it
        is checked: the value is the objective at its logits, these are feasible, and no lower bound exceeds it.

    Raises:
        TypeError, ValueError: an argument is not what it should be, or no method solves the problem; the message names
            the argument, and the methods that would do.

    >>> import ufm
    >>> s = ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.balanced(3))
    >>> f"{s.value:.6f}", s.is_global
    ('0.368981', True)
    """
    problem = Problem.of(architecture, prior, loss, bias)
    one_of("method", method, METHODS)
    if dim is not None:
        dim = integer("dim", dim, minimum=1, maximum=MAX_DENSE)
    if seed is not None:
        seed = integer("seed", seed, minimum=0)
    chosen, *others = ranked(problem) if method == "auto" else [method_of(method, problem)]
    if chosen.name == "closed_form" and others and dim is not None and dim < problem.targets.shape[0]:
        # the closed forms beyond singular values have an atom a class; with fewer dimensions they are a constraint, and
        # so they are beside a bias with a price
        chosen = next((other for other in others if problem.bias or other.name == "factored"), chosen)
    if seed is not None and "seed" in chosen.options:
        options["seed"] = seed
    chosen.check_options(options)
    found = first_closed(problem, [chosen, *others], dim=dim, **options)
    if dim is not None and dim < problem.max_rank and found.method in _WHATEVER_DIM:
        return _within(found, dim, search=method == "auto", seed=seed or 0)
    return found


def _within(found: Solution, dim: int, *, search: bool, seed: int) -> Solution:
    """``found`` if its logits have factors in ``dim`` dimensions; else a search among those that do, or ValueError."""
    sigma = np.asarray(svdvals(found.logits * found.problem.weights), dtype=float)
    rank = numerical_rank(sigma)
    if rank <= dim:
        return found
    if not search:
        raise ValueError(
            f"dim must be at least the rank of the optimal logits, {rank}, for method {found.method!r}, got {dim}; "
            "methods that take it as a constraint: 'search', 'direct'"
        )
    if not found.problem.bias and _METHODS["closed_form"].supports(found.problem):
        return _METHODS["closed_form"].solve(found.problem, dim=dim)
    name = "search" if _METHODS["search"].supports(found.problem) else "direct"
    return _METHODS[name].solve(found.problem, dim=dim, seed=seed)
