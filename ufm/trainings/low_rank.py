"""Codes of limited rank: the local minima that a DEQ started at A = 0 is at, and the branches that a loop follows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ufm._validation import integer, positive
from ufm.architectures import UnconstrainedFeatures
from ufm.geometry import group_scales
from ufm.labels import ClassPrior
from ufm.problem import Problem
from ufm.trainings.config import TrainingConfig
from ufm.trainings.loop import Loop
from ufm.trainings.prediction import model_of

__all__ = ["LowRankCode", "low_rank_branch", "low_rank_codes"]

Array = NDArray[np.float64]

#: Noise on a code that is followed, relative to its root mean square.
NOISE = 1e-3


@dataclass(frozen=True)
class LowRankCode:
    """A minimum among codes of limited rank, and whether a DEQ can be trapped there.

    Attributes:
        minority_count: n_B.
        rank: r, the largest rank allowed.
        value: of the trained objective.
        scale: s_B, averaged over the minority's pairs.
        dual_norm: ``|G D^{-1/2}|_2/lam``, ``lam^2 = lambda_W lambda_H``. Below 1 the code is a local minimum of the DEQ
            whose A is rho on the directions in use and 0 beside them; above ``1 - rho`` it is not the global one.
    """

    minority_count: float
    rank: int
    value: float
    scale: float
    dual_norm: float

    @property
    def is_stable(self) -> bool:
        """Whether it is a local minimum of the DEQ with A = 0 beside the directions in use."""
        return self.dual_norm < 1


def low_rank_branch(
    training: TrainingConfig,
    minority_counts: Iterable[float],
    rank: int,
    *,
    follow: bool = False,
    starts: int = 8,
    seed: int = 0,
) -> tuple[LowRankCode, ...]:
    r"""Codes of rank at most r along n_B: the best found, or what a loop through them should find.

    With A = rho on r directions the objective at the best W and H of the logits ``P Q^T D^{-1/2}``, P and Q of shape
    (K, r), is ``f(P Q^T D^{-1/2}) + (1-rho) lam (|P|^2 + |Q|^2)/2``: the explicit network with r features. That is not
    convex, and its minima here are numerical, without a certificate.

    Args:
        training: the objective; its n_B plays no part. The loss is that of a linear fixed point, whatever gamma is.
        minority_counts: n_B, real numbers > 0.
        rank: r >= 1.
        follow: descend at every n_B from the minimum of the one before it, with noise of :data:`NOISE`, as a loop does;
            only the first is the best found. Else every one is the best found: from random points at the smallest, the
            middle and the largest n_B, and at each n_B from the minima of its neighbours, down and up.
        starts: random points >= 1.
        seed: of the random points and of the noise.

    Returns:
        A code for each n_B, in the order of ``minority_counts``.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    >>> training = TrainingConfig(num_majority=2, majority_count=10, num_minority=2, minority_count=4)
    >>> [code] = low_rank_branch(training, [4.0], 1, starts=2)
    >>> code.rank, code.is_stable
    (1, False)
    """
    if not isinstance(training, TrainingConfig):
        raise TypeError(f"training must be a ufm.deq.TrainingConfig, got {training!r}")
    if not isinstance(minority_counts, Iterable) or isinstance(minority_counts, str | bytes | Mapping):
        raise TypeError(f"minority_counts must be a sequence of n_B, got {minority_counts!r}")
    if not isinstance(follow, bool):
        raise TypeError(f"follow must be True or False, got {follow!r}")
    asked = [positive(f"minority_counts[{i}]", n) for i, n in enumerate(minority_counts)]
    r, number = integer("rank", rank, minimum=1), integer("starts", starts, minimum=1)
    rng = np.random.default_rng(integer("seed", seed, minimum=0))
    if not asked:
        raise ValueError("minority_counts must hold at least one n_B, got none")

    def random(objective: _RankLimited) -> tuple[float, Array]:
        found = (objective.minimum(2 * rng.normal(size=objective.size)) for _ in range(number))
        return min(found, key=lambda pair: pair[0])

    if follow:
        objectives = [_RankLimited(training, n, r) for n in asked]
        minima = [random(objectives[0])]
        for objective in objectives[1:]:
            x = minima[-1][1]
            noise = NOISE * math.sqrt(float((x**2).mean())) * rng.normal(size=x.size)
            minima.append(objective.minimum(x + noise))
        return tuple(o.code(*found) for o, found in zip(objectives, minima, strict=True))
    grid = sorted(set(asked))
    objectives = [_RankLimited(training, n, r) for n in grid]
    best = {i: random(objectives[i]) for i in {0, len(grid) // 2, len(grid) - 1}}
    down = [(i, i + 1) for i in range(len(grid) - 2, -1, -1)]
    for i, neighbour in (*down, *((i + 1, i) for i in range(len(grid) - 1))):
        found = objectives[i].minimum(best[neighbour][1])
        if i not in best or found[0] < best[i][0] - 1e-13 * abs(best[i][0]):
            best[i] = found
    codes = {n: objectives[i].code(*best[i]) for i, n in enumerate(grid)}
    return tuple(codes[n] for n in asked)


def low_rank_codes(loop: Loop) -> tuple[LowRankCode | None, ...]:
    """For every point of a loop the code that its network should be at; None where its rank is the optimum's.

    Every one of :meth:`Loop.runs` starts at the best code of its rank, and goes on as :func:`low_rank_branch` follows.

    >>> low_rank_codes(Loop(TrainingConfig(width=64), ((2,),), 1e-3, ()))
    ()
    """
    if not isinstance(loop, Loop):
        raise TypeError(f"loop must be a ufm.deq.Loop, got {loop!r}")
    found: dict[int, LowRankCode] = {}
    for run in loop.runs():
        codes = low_rank_branch(loop.training, [p.minority_count for p in run], run[0].rank, follow=True)
        found |= {id(p): code for p, code in zip(run, codes, strict=True)}
    return tuple(found.get(id(p)) for p in loop.points)


class _RankLimited:
    """The explicit network with r features that a DEQ with A = rho on r directions is."""

    def __init__(self, training: TrainingConfig, minority_count: float, rank: int) -> None:
        k_a, k_b = training.num_majority, training.num_minority
        self.minority_count, self.rank, self.k, self.k_a = minority_count, rank, k_a + k_b, k_a
        prior = ClassPrior([training.majority_count] * k_a + [minority_count] * k_b)
        self.lam = math.sqrt(training.lambda_W * training.lambda_H)
        self.strength = (1 - float(getattr(model_of(training), "rho", 0.0))) * self.lam
        self.problem = Problem.of(UnconstrainedFeatures(self.strength, self.strength), prior)
        self.root = np.sqrt(prior.counts)
        self.size = 2 * self.k * rank

    def _logits(self, x: Array) -> tuple[Array, Array, Array]:
        p, q = x.reshape(2, self.k, self.rank)
        return p, q, p @ q.T / self.root

    def __call__(self, x: Array) -> tuple[float, Array]:
        p, q, z = self._logits(x)
        g = self.problem.gradient(z) / self.root
        value = self.problem.risk(z) + 0.5 * self.strength * float(x @ x)
        return value, np.concatenate([(g @ q).ravel(), (g.T @ p).ravel()]) + self.strength * x

    def minimum(self, start: Array) -> tuple[float, Array]:
        """Value and place of the minimum that descent from ``start`` ends in."""
        found = minimize(self, start, jac=True, method="BFGS", options={"gtol": 1e-9})
        return float(found.fun), np.asarray(found.x)

    def code(self, value: float, x: Array) -> LowRankCode:
        """The record."""
        z = self._logits(x)[2]
        scale = group_scales(z, [tuple(range(self.k_a)), tuple(range(self.k_a, self.k))])[-1]
        if scale is None:
            raise ValueError("the minority must have at least two classes")
        norm = self.problem.dual_norm(self.problem.gradient(z)) / self.lam
        return LowRankCode(self.minority_count, self.rank, value, scale, float(norm))
