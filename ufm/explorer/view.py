"""What the page shows at a state: the optimum, its geometry and the threshold, from closed forms."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.explorer.state import State

__all__ = ["View", "view_of"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class View:
    """The optimum at a state.

    Attributes:
        state: where the sliders stand.
        value, lower: optimal risk or objective, and its lower bound.
        is_global: whether the gap between them is closed.
        multiplier: mu.
        phase: ``"none"``, ``"partial"`` or ``"total"``.
        threshold: R* from which on the minority has collapsed, infinite where no imbalance does it; None with a single
            minority class, which has nothing to collapse with.
        singular_values: of the logits, descending, (K,).
        classifier, features: cosines of the centred rows of W and of the class means that it sees, (K, K); 0 for a
            vector that vanishes.
        logits: Z, (K, K).
        warning: what the solver says where the gap is open, else None.
        measures: the errors of the ETF and of self-duality, the cosines of either group, and s_A, s_B.
    """

    state: State
    value: float
    lower: float
    is_global: bool | None
    multiplier: float
    phase: str
    threshold: float | None
    singular_values: Array = field(repr=False)
    classifier: Array = field(repr=False)
    features: Array = field(repr=False)
    logits: Array = field(repr=False)
    measures: dict[str, float | None] = field(repr=False)
    warning: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types.

        >>> view_of(State(K_A=1, K_B=1)).to_dict()["phase"]
        'none'
        """
        from dataclasses import asdict

        arrays = ("singular_values", "classifier", "features", "logits")
        names = ("value", "lower", "is_global", "multiplier", "phase", "threshold", "measures", "warning")
        return {
            "state": asdict(self.state),
            **{name: getattr(self, name) for name in names},
            **{name: getattr(self, name).tolist() for name in arrays},
        }


def view_of(state: State) -> View:
    """Solve the problem of a state.

    >>> seen = view_of(State(R=13.0))
    >>> seen.phase, round(seen.threshold, 4)
    ('partial', 12.1924)
    """
    from ufm.solvers import solve

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # shown beside the value
        s = solve(state.network, state.prior, state.loss)
    g = s.geometry
    scales = dict(zip(("s_A", "s_B"), (*g.group_scales, None), strict=False))
    names = ("etf_error", "self_duality_error", "majority_cosine", "minority_cosine")
    return View(
        state=state,
        value=s.value,
        lower=s.lower,
        is_global=s.is_global,
        multiplier=s.multiplier,
        phase=str(g.phase),
        threshold=threshold_of(state),
        singular_values=np.asarray(g.singular_values),
        classifier=_cosines(s.classifier.T),
        features=_cosines(s.factors.equilibrium_features),
        logits=s.logits,
        warning=None if s.is_global else s.info.get("warning", "the duality gap is open"),
        measures={name: getattr(g, name) for name in names} | scales,
    )


def threshold_of(state: State) -> float | None:
    """R* at the state's other parameters, ``n_B`` fixed under weight decay; None with a single minority class.

    Beyond the numbers of float64 it is infinite.
    """
    from ufm.two_groups.thresholds import collapse_threshold

    if state.K_B < 2:
        return None
    counts = {} if state.has_budgets else {"minority_count": state.n_B}
    try:
        return collapse_threshold(state.network, state.K_A, state.K_B, loss=state.loss, **counts).ratio
    except ValueError:  # every other argument is in range: R* is beyond float64
        return math.inf


def _cosines(columns: Array) -> Array:
    """Cosines between columns about their mean, (K, K); 0 with a column that is rounding."""
    centred = columns - columns.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=0)
    scale = lengths.max(initial=0.0)
    unit = np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 1e-9 * scale)
    return np.asarray(np.clip(unit.T @ unit, -1.0, 1.0))
