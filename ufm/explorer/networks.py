"""Trained networks that are kept with the package: measured order parameters beside the theory's."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.explorer.state import State

__all__ = ["StoredNetworks", "packed", "stored_networks"]

Array = NDArray[np.float64]

#: What is kept of a trained network.
FIELDS = (
    "branch",
    "minority_count",
    "seed",
    "scale",
    "predicted_scale",
    "status",
    "phase",
    "objective",
    "objective_error",
)


@dataclass(frozen=True, eq=False)
class StoredNetworks:
    """A sweep of trained networks over n_B.

    Attributes:
        state: the problem of its explicit networks, at some R of the sweep.
        majority_count: n_A, fixed.
        points: what was trained: branch (``"explicit"``, or where A of a DEQ started: ``"identity"``, ``"zero"``),
            minority_count n_B, seed, scale s_B, predicted_scale, status, phase, objective, and objective_error, how far
            above the optimum it is, relative.
    """

    state: State
    majority_count: int
    points: tuple[dict[str, Any], ...] = field(repr=False)

    def measured(self, branch: str) -> Array:
        """(n_B, s_B) of every network of a branch, (m, 2).

        >>> len(stored_networks().measured("explicit")) > 20
        True
        """
        return np.array([(p["minority_count"], p["scale"]) for p in self.points if p["branch"] == branch])

    def matches(self, state: State) -> bool:
        """Whether a state has the networks' classes, weight decay, n_A and loss, and their rho if it has one.

        >>> stored_networks().matches(stored_networks().state), stored_networks().matches(State())
        (True, False)
        """
        own = self.state
        names = ("K_A", "K_B", "lambda_W", "lambda_H", "loss", *(("rho",) if state.is_deq else ()))
        close = math.isclose(state.R * state.n_B, self.majority_count, rel_tol=0.01)
        return not state.has_budgets and close and all(_equal(getattr(state, n), getattr(own, n)) for n in names)

    def theory(self, counts: Any, rho: float = 0.0) -> Array:
        """s_B of the optimum at every n_B of an array.

        >>> stored_networks().theory([10.0, 40.0]).round(3).tolist()[0]
        0.0
        """
        from ufm.two_groups.batch import solve_batch

        s = self.state
        found = solve_batch(
            s.K_A,
            s.K_B,
            majority_count=float(self.majority_count),
            minority_count=np.asarray(counts, dtype=float),
            lambda_W=s.lambda_W,
            lambda_H=s.lambda_H,
            rho=rho,
        )
        return np.asarray(found.s_B)


def _equal(a: Any, b: Any) -> bool:
    """Whether two settings are equal, numbers to half a step of a slider."""
    return a == b if isinstance(a, str) else math.isclose(a, b, rel_tol=0.012)


@cache
def stored_networks() -> StoredNetworks:
    """The sweep on digits that ``results/digits-sweep`` keeps, in short.

    >>> stored_networks().majority_count
    100
    """
    text = resources.files("ufm.explorer").joinpath("digits.json").read_text(encoding="utf-8")
    document = json.loads(text)
    training = document["training"]
    state = State(
        architecture="unconstrained-features",
        K_A=training["num_majority"],
        K_B=training["num_minority"],
        R=10.0,
        lambda_W=training["lambda_W"],
        lambda_H=training["lambda_H"],
        n_B=training["majority_count"] / 10,
        rho=training["rho"],
    )
    points = tuple(dict(zip(FIELDS, row, strict=True)) for row in document["points"])
    return StoredNetworks(state, training["majority_count"], points)


def packed(lines: Iterable[str]) -> dict[str, Any]:
    """What is kept of a sweep's file, ``results/digits-sweep/sweep.jsonl``: its training and a row a network.

    >>> packed(['{"config": {"training": {"rho": 0.5}}}'])
    {'training': {'rho': 0.5}, 'fields': ['branch', ...], 'points': []}
    """
    head, *points = map(json.loads, lines)
    rows = sorted([point[name] for name in FIELDS] for point in points)
    return {"training": head["config"]["training"], "fields": list(FIELDS), "points": rows}
