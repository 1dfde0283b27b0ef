"""The phase map around a state: phases over imbalance and feature strength, and the threshold's curve."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ufm.explorer.state import RANGES, State
from ufm.explorer.view import threshold_of

__all__ = ["PhaseMap", "phase_map"]

Array = NDArray[np.float64]

#: Points along either axis, and points of the curve.
SIZE, CURVE = 80, 81


@dataclass(frozen=True, eq=False)
class PhaseMap:
    """Phases in the plane of R and of what bounds the features.

    Attributes:
        name: of the second axis, ``"E_H"`` or ``"lambda_H"``.
        ratios: R along the first axis, (n,).
        strengths: along the second axis, (n,).
        phases: codes 0, 1, 2, none, partial, total, at (strength, R), (n, n).
        curve: the collapse threshold, points (R, strength), (m, 2), within the map.
    """

    name: str
    ratios: Array = field(repr=False)
    strengths: Array = field(repr=False)
    phases: NDArray[np.int8] = field(repr=False)
    curve: Array = field(repr=False)


def phase_map(state: State) -> PhaseMap:
    """The map that a state stands in; states that differ in R and in the feature strength alone share it.

    >>> found = phase_map(State())
    >>> found.name, found.phases.shape
    ('E_H', (80, 80))
    """
    name = state.strengths[1]
    idle = {key: getattr(State(), key) for key in RANGES if key not in state.roles}
    return _map(state.at(**idle, R=1.0, **{name: getattr(State(), name)}))


@lru_cache(maxsize=64)
def _map(state: State) -> PhaseMap:
    from ufm.two_groups.batch import solve_batch

    name = state.strengths[1]
    ratios = _spread("R", SIZE)
    strengths = _spread(name, SIZE)
    with warnings.catch_warnings():  # what underflows is the value: the phase is decided by margins
        warnings.filterwarnings(
            "ignore", message=".*where float64 underflows", category=RuntimeWarning
        )  # of values alone
        found = solve_batch(**state.batch(**{"R": ratios[None], name: strengths[:, None]}))
    return PhaseMap(name, ratios, strengths, np.asarray(found.phase, dtype=np.int8), _curve(state, name))


def _curve(state: State, name: str) -> Array:
    if state.K_B < 2:
        return np.empty((0, 2))
    at = _spread(name, CURVE)
    points = [(threshold_of(state.at(**{name: float(value)})), value) for value in at]
    inside = [(ratio, value) for ratio, value in points if ratio is not None and ratio <= RANGES["R"].high]
    return np.array(inside).reshape(-1, 2)


def _spread(name: str, count: int) -> Array:
    values = np.geomspace(RANGES[name].low, RANGES[name].high, count)
    return np.clip(values, RANGES[name].low, RANGES[name].high)
