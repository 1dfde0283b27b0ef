"""Point functions: solves, direct searches and trainings whose arguments and results are JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ufm.sweeps._run import versioned

__all__ = ["solve_point", "train_point"]


@versioned(1, name="ufm.sweeps.points.solve_point")
def solve_point(
    *,
    architecture: Mapping[str, Any],
    counts: Sequence[float],
    loss: str = "ce",
    method: str = "auto",
    dim: int | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Solve one problem, :func:`ufm.solve` as a point function; ``method="direct"`` makes it a direct search.

    Args:
        architecture: ``{"type": "LinearDEQ", "E_W": 1.0, "E_H": 5.0, "rho": 0.5}``: the class's name and its arguments.
        counts: n_k, one a class.
        loss: ``"ce"`` or ``"mse"``.
        method, dim, seed: see :func:`ufm.solve`.
        options: options of the method, ``{"starts": 20}`` for instance.

    Returns:
        ``value``, ``lower``, ``upper``, ``multiplier``, ``is_global``, ``method``, ``iterations``, and ``geometry``
        with the fields of ``Solution.geometry``.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    >>> point = {"architecture": {"type": "LayerPeeled", "E_W": 1.0, "E_H": 5.0}, "counts": [100.0] * 5 + [1.0] * 5}
    >>> str(solve_point(**point)["geometry"]["phase"])
    'partial'
    """
    from ufm._validation import one_of
    from ufm.architectures import ARCHITECTURES
    from ufm.labels import ClassPrior
    from ufm.solvers import solve

    if not isinstance(architecture, Mapping) or "type" not in architecture:
        raise TypeError(f"architecture must be a dictionary with the key 'type', got {architecture!r}")
    parameters = {key: value for key, value in architecture.items() if key != "type"}
    kind = ARCHITECTURES[one_of("architecture['type']", architecture["type"], ARCHITECTURES)]
    solution = solve(kind(**parameters), ClassPrior(counts), loss, method=method, dim=dim, seed=seed, **(options or {}))
    return {
        "value": solution.value,
        "lower": solution.lower,
        "upper": solution.upper,
        "multiplier": solution.multiplier,
        "is_global": solution.is_global,
        "method": solution.method,
        "iterations": solution.iterations,
        "geometry": solution.geometry.to_dict(),
    }


@versioned(4, name="ufm.sweeps.points.train_point")
def train_point(**fields: Any) -> dict[str, Any]:
    """Train one network on digits, :func:`ufm.deq.train` as a point function.

    Args:
        **fields: of :class:`ufm.deq.TrainingConfig`; those left out have its defaults.

    Returns:
        ``TrainingResult.to_dict()`` without the wall time: the configuration, how the fit ended, what was measured and
        what was predicted.

    Raises:
        TypeError, ValueError: a field is not what it should be; the message names it.
        ConvergenceError: a fixed point was not found.

    >>> counts = {"num_majority": 2, "majority_count": 6, "num_minority": 2, "minority_count": 3}
    >>> result = train_point(architecture="explicit", lambda_W=0.07, lambda_H=0.07, device="cpu", **counts)
    >>> result["config"]["minority_count"], "seconds" in result["fit"]
    (3, False)
    """
    from ufm.trainings.training import TrainingConfig, train

    result = train(TrainingConfig.from_dict(fields)).to_dict()
    del result["fit"]["seconds"]
    return result
