"""Logits to start from: codes of every kind, codes disturbed, and random ones."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ufm.labels import ClassPrior
from ufm.problem import Problem

__all__ = ["codes", "exchanged", "starting_points"]

Array = NDArray[np.float64]


def starting_points(problem: Problem, rank: int, count: int, rng: np.random.Generator) -> Iterator[Array]:
    """``count`` logits ``Y``: codes as they are, codes with classes permuted and noise added, then random ones.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1, 1]))
    >>> first, *others = starting_points(problem, 2, 5, np.random.default_rng(0))
    >>> first.round(3).tolist()[0], len(others)  # the simplex ETF
    ([1.0, -0.5, -0.5], 4)
    """
    k, omega = problem.prior.num_classes, problem.weights
    # what a code says of the classes, the labels' columns say of mixtures of them
    mixture = np.eye(k) if isinstance(problem.prior, ClassPrior) else problem.targets
    known = list(codes(problem))
    random = max(count // 2, count - 4 * len(known))
    for i in range(count):
        if i < count - random:
            x = known[i % len(known)]
            if i >= len(known):
                x = x[:, rng.permutation(k)] * np.exp(rng.normal(scale=0.3, size=k))
                x = x + rng.normal(scale=rng.choice([0.01, 0.1, 0.3]), size=x.shape)
            y = x.T @ x @ mixture
        elif i % 3 == 0:  # a code of random rank
            x = rng.normal(size=(rng.integers(1, rank + 1), k))
            y = x.T @ x @ mixture
        elif i % 3 == 1:
            low = rng.integers(1, rank + 1)
            y = (rng.normal(size=(k, low)) * np.exp(rng.normal(size=low))) @ rng.normal(size=(low, k))
            y += rng.choice([0.0, 1.0, 5.0]) * np.eye(k)
            y = y @ mixture
        else:
            y = _random_factors(problem, rng)
        y = problem.centred(y)
        if not y.any():  # targets of zeros mix classes to nothing, and a descent has no direction from there
            y = problem.centred(_random_factors(problem, rng))
        yield y * omega


def _random_factors(problem: Problem, rng: np.random.Generator) -> Array:
    """The logits of normal factors, all M of them, or W, A and H with ``|A|_2`` up to the bound of a DEQ."""
    k, m = problem.prior.num_classes, problem.prior.num_columns
    architecture = problem.spectral
    layers = [*rng.normal(size=(architecture.num_factors - 1, k, k)), rng.normal(size=(k, m))]
    if architecture.blocks == "deq":
        a = rng.normal(size=(k, k))
        a *= architecture.spectral_bound * rng.uniform() / np.linalg.norm(a, 2)
        layers.insert(1, np.linalg.inv(np.eye(k) - a))
    return np.asarray(np.linalg.multi_dot(layers), dtype=float)


def exchanged(problem: Problem, logits: Array) -> Iterator[Array]:
    """``Y`` of the logits (K, K) with two classes of different groups exchanged, for every pair of them.

    A minimum among classes of many counts says which of them share a direction. That is a choice among very many, from
    most of which no descent leads to a better one, but an exchange often does.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([3, 2, 1, 1]))
    >>> len(list(exchanged(problem, np.eye(4)))), next(exchanged(problem, np.diag([1.0, 2, 3, 4]))).diagonal().tolist()
    (5, [2.0, 1.0, 3.0, 4.0])
    """
    groups = {k: i for i, group in enumerate(problem.prior.groups) for k in group.classes}
    for i in range(len(groups)):
        for j in range(i + 1, len(groups)):
            if groups[i] != groups[j]:
                places = np.arange(len(groups))
                places[[i, j]] = j, i
                yield logits[np.ix_(places, places)] * problem.weights


def codes(problem: Problem) -> Iterator[Array]:
    """Points (d, K): sums and products of simplices, polygons, each also with the classes of a group at one point.

    >>> import ufm
    >>> from ufm.geometry import name_structure
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.balanced(4))
    >>> [name_structure(x) for x in codes(problem)]
    ['simplex ETF', 'square', 'square', 'orthogonal frame']
    """
    prior = problem.prior
    k = prior.num_classes
    for distinct in dict.fromkeys([k, *(k - group.size + 1 for group in prior.groups if 1 < group.size < k)]):
        if distinct == k:
            place = np.arange(k)
        else:  # the members of one group share the last point
            group = next(g for g in prior.groups if k - g.size + 1 == distinct)
            place = np.full(k, distinct - 1)
            place[[j for j in range(k) if j not in group.classes]] = np.arange(distinct - 1)
        for blocks in range(1, distinct // 2 + 1):
            yield _direct_sum([len(part) for part in np.array_split(np.arange(distinct), blocks)])[:, place]
        if distinct > 4:
            angle = 2 * np.pi * np.arange(distinct) / distinct
            yield np.array([np.cos(angle), np.sin(angle)])[:, place]
        for a in range(2, int(distinct**0.5) + 1):
            if distinct % a == 0:
                i, j = np.divmod(np.arange(distinct), distinct // a)
                yield np.vstack([_simplex(a)[:, i], _simplex(distinct // a)[:, j]])[:, place]
    for group in prior.groups:
        if 1 < group.size < k:  # one group alone, and all but one
            x = np.zeros((group.size, k))
            x[:, list(group.classes)] = _simplex(group.size)
            yield x
            rest = [j for j in range(k) if j not in group.classes]
            x = np.zeros((len(rest), k))
            x[:, rest] = _simplex(len(rest))
            if len(rest) > 1:
                yield x
    yield np.eye(k) * np.sqrt(prior.probabilities if isinstance(prior, ClassPrior) else 1.0)


def _simplex(n: int) -> Array:
    return np.eye(n) - 1 / n


def _direct_sum(sizes: list[int]) -> Array:
    x = np.zeros((sum(sizes), sum(sizes)))
    at = 0
    for n in sizes:
        x[at : at + n, at : at + n] = _simplex(n) * math.sqrt(n / (n - 1))
        at += n
    return x
