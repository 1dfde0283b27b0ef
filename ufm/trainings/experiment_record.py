"""What a run by SGD has measured, read from its folder; and when its terminal phase has converged."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ufm._extras import optional
from ufm._files import unsealed
from ufm.trainings.experiment_config import ExperimentConfig

with optional("deq"):
    from torch import nn

__all__ = ["FORMAT", "VERSION", "Experiment", "is_terminal", "load_run"]

FORMAT = "ufm.deq.experiment"
VERSION = 1

#: Measures whose change decides whether the terminal phase has converged.
TERMINAL_MEASURES = ("trace_quotient", "etf_error", "self_duality_error")


@dataclass(frozen=True)
class Experiment:
    """A run, finished or not.

    Attributes:
        config: what is trained.
        records: metrics of every evaluated epoch: ``epoch`` (1 after the first), ``learning_rate``, ``loss`` (mean over
            the epoch's batches), ``train_accuracy``, ``test_accuracy`` (each ``{"overall", "majority", "minority"}``),
            ``measures`` (:class:`ufm.Measures` of the training set), ``fixed_point`` (None or ``{"steps",
            "residual", "converged"}``: mean steps, mean relative residual and fraction within tol, in the evaluation)
            and ``seconds``.
        stopped: why it ended: ``"epochs"``, ``"terminal"`` (the terminal phase converged), or None while it has not.
        network: the trained network; None for a run read by :func:`load_run` (``checkpoint.pt`` holds its weights).

    >>> experiment = Experiment(ExperimentConfig(ratio=50), (), None)
    >>> experiment.to_dict()["counts"], experiment.to_dict()["final"]
    ([500, 500, 500, 500, 500, 10, 10, 10, 10, 10], None)
    """

    config: ExperimentConfig
    records: tuple[dict[str, Any], ...]
    stopped: str | None
    network: nn.Module | None = dataclasses.field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "config": self.config.to_dict(),
            "counts": list(self.config.counts),
            "stopped": self.stopped,
            "final": self.records[-1] if self.records else None,
        }


def is_terminal(records: list[dict[str, Any]], patience: int, tolerance: float) -> bool:
    """Whether the terminal phase of training has converged.

    The training set has been fitted (accuracy 1) at each of the last ``patience + 1`` evaluations, and none of NC1
    (``tr S_W / tr S_B``), NC2 (ETF error) and NC3 (self-duality error) spread over them by more than ``tolerance``.
    Under a cosine schedule this stops before the learning rate has gone down.

    Args:
        records: metrics so far, see :class:`Experiment`.
        patience: evaluations >= 1.
        tolerance: of the spread, absolute; each of the three is of order 1 before collapse.

    >>> measures = {"trace_quotient": 0.1, "etf_error": 0.2, "self_duality_error": 0.3}
    >>> record = {"train_accuracy": {"overall": 1.0}, "measures": measures}
    >>> is_terminal([record, record], 1, 1e-2), is_terminal([record], 1, 1e-2)
    (True, False)
    """
    last = records[-patience - 1 :]
    if len(last) <= patience or any(r["train_accuracy"]["overall"] < 1 for r in last):
        return False
    values = [[r["measures"][name] for r in last] for name in TERMINAL_MEASURES]
    return all(None not in v and max(v) - min(v) <= tolerance for v in values)


def load_run(directory: str | os.PathLike[str]) -> Experiment:
    """The run in a directory, finished or not.

    Args:
        directory: of the run.

    Raises:
        OSError: there is none.
        ValueError: a file of it is damaged; the message names it. :func:`run_experiment` writes ``metrics.jsonl`` and
            ``result.json`` anew from the checkpoint.

    >>> load_run("no such folder")
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    folder = Path(directory)
    config = ExperimentConfig.from_file(folder / "config.json")
    path, records = folder / "metrics.jsonl", []
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for line in lines:
            record = unsealed(json.loads(line))
            if not isinstance(record, dict):
                raise ValueError(f"got {line!r}")
            records.append(record)
    except ValueError as error:
        raise ValueError(
            f"{path} must hold the metrics of an epoch in every line, line {len(records) + 1} does not: {error}"
        ) from None
    path = folder / "result.json"
    try:
        stopped = unsealed(json.loads(path.read_text(encoding="utf-8")))["stopped"] if path.exists() else None
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} must hold the result of a run: {error!r}") from None
    return Experiment(config, tuple(records), stopped)
