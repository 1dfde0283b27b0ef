"""Random small convex problems of every kind: labels, losses, biases, architectures. A seed gives one problem."""

from __future__ import annotations

from typing import Any

import numpy as np

import ufm
from ufm.problem import Problem


def small_problem(seed: int) -> tuple[Any, Any, Any, Any]:
    """Architecture, prior or labels, loss and bias of a convex problem of two to five classes."""
    rng = np.random.default_rng(seed)
    prior = _labels(rng, k=int(rng.integers(2, 6)))
    losses = _losses(rng, prior.targets)
    loss = losses[rng.integers(len(losses))]
    bias = (None, "free", float(10 ** rng.uniform(-4, 2)))[rng.integers(3)]
    return _architecture(rng, prior.num_samples), prior, loss, bias


def cvxpy_value(architecture: Any, prior: Any, loss: Any, bias: Any) -> float:
    """The optimal value by an interior-point method, to about 1e-8."""
    import cvxpy as cp

    problem = Problem.of(architecture, prior, loss, bias)
    k, m = prior.targets.shape
    z, b = cp.Variable((k, m)), cp.Variable((k, 1))
    shifted = z if bias is None else z + b @ np.ones((1, m))
    objective = problem.loss.expression(shifted, problem.targets, prior.probabilities)
    if problem.bias:
        objective += problem.bias / 2 * cp.sum_squares(b)
    norm = cp.normNuc(z @ np.diag(problem.weights))
    if problem.is_constrained:
        programme = cp.Problem(cp.Minimize(objective), [norm <= problem.radius])
    else:
        programme = cp.Problem(cp.Minimize(objective + problem.strength * norm))
    programme.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return float(programme.value)


def _labels(rng: np.random.Generator, k: int) -> Any:
    kind = rng.choice(["one-hot", "soft", "multi-label", "regression", "one column", "repeated"])
    if kind == "one-hot":
        return ufm.ClassPrior((rng.choice([1, 2, 5, 30, 1000], size=k) * rng.choice([1, 1, 1.7])).tolist())
    m = 1 if kind == "one column" else int(rng.integers(2, 7))
    if kind == "soft":
        targets = rng.dirichlet(np.ones(k), size=m).T
    elif kind == "regression":
        targets = rng.normal(size=(k, m)) * rng.choice([0.1, 1, 10])
    elif kind == "repeated":
        targets = np.eye(k)[:, rng.integers(0, k, size=m)]
    else:
        targets = (rng.random((k, m)) < 0.4).astype(float)
    return ufm.Labels(targets, (rng.choice([1, 2, 7, 100], size=m) * 1.0).tolist())


def _losses(rng: np.random.Generator, targets: np.ndarray[Any, Any]) -> list[Any]:
    k, m = targets.shape
    scales, weights = tuple(rng.uniform(0.3, 3, k)), tuple(rng.uniform(0.2, 5, m))
    losses: list[Any] = ["mse"]
    if targets.min() >= 0:
        losses += [
            "ce",
            ufm.CrossEntropy(smoothing=0.1),
            ufm.CrossEntropy(weights=weights, scales=scales, shifts=tuple(rng.normal(size=k))),
            ufm.CrossEntropy(smoothing=0.3, scales=scales),
            ufm.SquaredHinge(),
            ufm.SquaredHinge(float(rng.uniform(0.2, 3))),
        ]
        if targets.max() <= 1:
            losses.append("bce")
    return losses


def _architecture(rng: np.random.Generator, n: float) -> Any:
    def size() -> float:
        return float(10 ** rng.uniform(-1.5, 1))

    def decay() -> float:
        return float(10 ** rng.uniform(-3.5, 0) / np.sqrt(n))

    kinds = (
        lambda: ufm.LayerPeeled(size(), size()),
        lambda: ufm.UnconstrainedFeatures(decay(), decay()),
        lambda: ufm.LinearDEQ(size(), size(), 0.5),
        lambda: ufm.PenalisedDEQ(decay(), decay(), 0.4),
        lambda: ufm.DeepLinear((size(), size())),
    )
    return kinds[rng.integers(len(kinds))]()
