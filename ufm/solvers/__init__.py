"""Solvers behind one function: four independent ones for the convex problem on the logits, a search for the others."""

from __future__ import annotations

from typing import Any

from ufm._validation import integer, one_of
from ufm.losses import Loss
from ufm.problem import Problem
from ufm.solution import Solution

__all__ = ["METHODS", "solve"]

METHODS = ("auto", "reduced", "nuclear", "sdp", "direct", "search")


def solve(
    architecture: Any,
    prior: Any,
    loss: str | Loss = "ce",
    *,
    method: str = "auto",
    dim: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Solution:
    """Solve the problem of an architecture, a prior and a loss: to global optimality where it is convex.

    Args:
        architecture: one of ``LayerPeeled``, ``UnconstrainedFeatures``, ``DeepLinear``, ``LinearDEQ``,
            ``PenalisedDEQ``.
        prior: the class prior.
        loss: ``"ce"`` or ``"mse"``.
        method: ``"reduced"`` (symmetry reduction; exact for equal counts), ``"nuclear"`` (K x K logits, any prior),
            ``"sdp"`` (Fang et al.'s 2K x 2K relaxation with CVXPY), ``"direct"`` (the factors themselves from random
            starts), ``"search"`` (local minima from many starts, with a lower bound: the one for architectures whose
            gauge is not convex), or ``"auto"``.
        dim: feature dimension d of the returned factors (default K); at least the rank of the optimum.
        seed: seed of the random starts of ``"direct"`` and ``"search"``; the other methods are deterministic.
        **options: passed to the chosen method, see the functions of this package.

    Returns:
        A :class:`~ufm.solution.Solution` with the value, its enclosure, logits, factors and geometry.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.
    """
    problem = Problem.of(architecture, prior, loss)
    one_of("method", method, METHODS)
    if dim is not None:
        dim = integer("dim", dim, minimum=1)
    integer("seed", seed, minimum=0)
    if method == "auto" and problem.is_convex:
        from ufm.solvers._auto import solve_convex

        return solve_convex(problem, dim=dim, **options)
    if method == "reduced":
        from ufm.solvers.reduced import solve_reduced

        return solve_reduced(problem, dim=dim, **options)
    if method == "nuclear":
        from ufm.solvers.nuclear import solve_nuclear

        return solve_nuclear(problem, dim=dim, **options)
    if method == "sdp":
        from ufm.solvers.sdp import solve_sdp

        return solve_sdp(problem, dim=dim, **options)
    if method in ("auto", "search"):
        from ufm.solvers.search import solve_search

        return solve_search(problem, dim=dim, seed=seed, **options)
    from ufm.solvers.direct import solve_direct

    return solve_direct(problem, dim=dim, seed=seed, **options)
