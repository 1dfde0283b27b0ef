"""Spurious local minima of the spectral DEQ with weight decay, trapped below the bound on A: their search and storage.

Why they are local minima of the layer is the theorem on trapped points in :mod:`ufm.landscape.critical_points`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import fraction, integer, positive
from ufm.architectures import Factors, PenalisedDEQ, UnconstrainedFeatures
from ufm.labels import ClassPrior
from ufm.landscape.critical_points import _Analysis, classify
from ufm.problem import Problem

__all__ = ["TrappedMinimum", "find_trapped"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TrappedMinimum:
    """Approximate data of a spurious local minimum of the spectral DEQ with weight decay, exact as floats.

    ``Z = P Q^T D^{-1/2}`` is a critical point of ``f(Z) + (1-rho) lam (|P|_F^2 + |Q|_F^2)/2``.

    Attributes:
        counts: n_k.
        lam: ``sqrt(lambda_W lambda_H)``.
        rho: spectral bound.
        left, right: P and Q, shape (K, r).

    >>> minimum = find_trapped([1, 1, 1, 1], lam=0.04, rho=0.5, rank=2, starts=3)[0]
    >>> minimum.factors(3).equilibrium
    array([[0.5, 0. , 0. ],
           [0. , 0.5, 0. ],
           [0. , 0. , 0. ]])
    >>> TrappedMinimum.from_json(minimum.to_json()).counts
    (1.0, 1.0, 1.0, 1.0)
    """

    counts: tuple[float, ...]
    lam: float
    rho: float
    left: Array
    right: Array

    @property
    def rank(self) -> int:
        """r."""
        return int(self.left.shape[1])

    def factors(self, dim: int | None = None, equilibrium: float = 0.0) -> Factors:
        """(W, A, H) with ``lambda_W = lambda_H = lam``; A is rho on the features used, ``equilibrium`` beside."""
        k, r = self.left.shape
        d = k if dim is None else integer("dim", dim, minimum=r)
        root = math.sqrt(1 - self.rho)
        w, h = np.zeros((k, d)), np.zeros((d, k))
        w[:, :r] = root * self.left
        h[:r] = root * self.right.T / np.sqrt(self.counts)
        return Factors(w, h, np.diag(np.where(np.arange(d) < r, self.rho, fraction("equilibrium", equilibrium))))

    @property
    def problem(self) -> Problem:
        """The problem it is a local minimum of."""
        return Problem.of(PenalisedDEQ(self.lam, self.lam, self.rho), ClassPrior(self.counts))

    def to_json(self) -> dict[str, Any]:
        """Plain data; floats survive the round trip through JSON exactly."""
        return {
            "counts": list(self.counts),
            "lam": self.lam,
            "rho": self.rho,
            "left": self.left.tolist(),
            "right": self.right.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrappedMinimum:
        """The inverse of :meth:`to_json`."""
        left, right = (np.array(data[name], dtype=float) for name in ("left", "right"))
        return cls(tuple(data["counts"]), float(data["lam"]), float(data["rho"]), left, right)

    @classmethod
    def load(cls, path: str | Path) -> TrappedMinimum:
        """Read a JSON file."""
        return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))


def find_trapped(
    counts: Any, lam: float, rho: float, rank: int, *, starts: int = 20, seed: int = 0
) -> list[TrappedMinimum]:
    """Spurious local minima of the spectral DEQ with weight decay that use ``rank`` features, found by descent (CE).

    Local minima of the explicit network with ``rank`` features at strength ``(1-rho) lam``, from random starts and
    polished by Newton steps; kept where ``(1-rho) lam < |G D^{-1/2}|_2 < lam``, one for each value.

    Args:
        counts: n_k.
        lam: ``sqrt(lambda_W lambda_H)`` > 0.
        rho: spectral bound in (0, 1).
        rank: r >= 1.
        starts: number of starts >= 1.
        seed: seed of the starts >= 0.

    >>> minimum = find_trapped([1, 1, 1, 1], lam=0.04, rho=0.5, rank=2, starts=3)[0]
    >>> points = minimum.left / np.linalg.norm(minimum.left, axis=1)[:, None]
    >>> np.sort(points @ points.T, axis=1).round(2) + 0.0  # a square, where four classes want three dimensions
    array([[-1.,  0.,  0.,  1.],
           [-1.,  0.,  0.,  1.],
           [-1.,  0.,  0.,  1.],
           [-1.,  0.,  0.,  1.]])
    """
    from scipy.optimize import minimize

    prior = ClassPrior(counts)
    lam, rho, rank = positive("lam", lam), fraction("rho", rho), integer("rank", rank, minimum=1)
    rng = np.random.default_rng(integer("seed", seed, minimum=0))
    k, strength = prior.num_classes, (1 - rho) * lam
    problem = Problem.of(UnconstrainedFeatures(strength, strength), prior)
    root = np.sqrt(prior.counts)

    def objective(x: Array) -> tuple[float, Array]:
        p, q = x.reshape(2, k, rank)
        z = p @ q.T / root
        g = problem.gradient(z) / root
        value = problem.risk(z) + 0.5 * strength * float(x @ x)
        return value, np.concatenate([(g @ q).ravel(), (g.T @ p).ravel()]) + strength * x

    found: list[TrappedMinimum] = []
    values: list[float] = []
    for _ in range(integer("starts", starts, minimum=1)):
        x = minimize(objective, rng.normal(size=2 * k * rank) * 2, jac=True, method="BFGS", options={"gtol": 1e-9}).x
        for _ in range(8):
            p, q = x.reshape(2, k, rank)
            analysis = _Analysis(problem, Factors(p, q.T / root))
            gradient = objective(x)[1]
            # in (P, Q) the decay is (strength/2)(|P|^2 + |Q|^2): rows of H times sqrt(n_k)
            scale = np.concatenate([np.ones(k * rank), np.tile(1 / root, (rank, 1)).ravel()])
            full = np.array(
                [analysis._product(v)[: 2 * k * rank] for v in np.eye(2 * k * rank + rank**2)[: 2 * k * rank]]
            )
            hessian = scale[:, None] * full * scale
            order = np.concatenate([np.arange(k * rank), k * rank + np.arange(k * rank).reshape(rank, k).T.ravel()])
            x = x - np.linalg.lstsq(hessian[np.ix_(order, order)], gradient, rcond=1e-9)[0]
        value, gradient = objective(x)
        p, q = x.reshape(2, k, rank)
        trapped = TrappedMinimum(tuple(float(n) for n in prior.counts), lam, rho, p.copy(), q.copy())
        norm = problem.dual_norm(problem.gradient(p @ q.T / root))
        full_rank = np.linalg.svd(p, compute_uv=False)[-1] > 1e-6
        if not (full_rank and strength * (1 + 1e-6) < norm < lam * (1 - 1e-6) and np.abs(gradient).max() < 1e-12):
            continue
        new = all(abs(value - v) > 1e-9 * abs(v) for v in values)
        if new and classify(problem, Factors(p, q.T / root)).kind == "local minimum":
            values.append(value)
            found.append(trapped)
    return [trapped for _, trapped in sorted(zip(values, found, strict=True), key=lambda pair: pair[0])]
