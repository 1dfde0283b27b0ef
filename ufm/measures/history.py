"""Measures over the epochs of a training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ufm._files import write_atomically
from ufm._validation import integer
from ufm.measures.summary import Measures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["History"]


@dataclass
class History:
    """Measures by epoch, in the order in which they were recorded.

    Attributes:
        epochs: numbers of epochs, rising.
        rows: the measures of each, as :meth:`Measures.to_dict` gives them.

    >>> import numpy as np
    >>> from ufm.measures import measure
    >>> history = History()
    >>> for epoch, spread in enumerate([1.0, 0.1]):
    ...     history.record(epoch, measure([[1 + spread], [1 - spread], [-1.0], [-1.0]], [0, 0, 1, 1]))
    >>> [round(x, 4) for x in history.series("nc1")]
    [0.25, 0.0025]
    """

    epochs: list[int] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def record(self, epoch: int, measures: Measures) -> None:
        """Add the measures of an epoch.

        Raises:
            TypeError, ValueError: not :class:`Measures`, or an epoch that is not later than the last.
        """
        number = integer("epoch", epoch, minimum=0)
        if not isinstance(measures, Measures):
            raise TypeError(f"measures must be ufm.measures.Measures, got {measures!r}")
        if self.epochs and number <= self.epochs[-1]:
            raise ValueError(f"epoch must be later than {self.epochs[-1]}, got {number}")
        self.epochs.append(number)
        self.rows.append(measures.to_dict())

    def series(self, name: str) -> list[Any]:
        """Return one measure over the epochs.

        Raises:
            ValueError: a name that is no field of :class:`Measures`.
        """
        names = [f.name for f in dataclasses.fields(Measures)]
        if name not in names:
            raise ValueError(f"name must be one of {', '.join(names)}, got {name!r}")
        return [row[name] for row in self.rows]

    def save(self, path: str | Path) -> Path:
        """Write the history as JSON, in one step."""
        path = Path(path)
        write_atomically(
            path, json.dumps({"format": "ufm-history", "epochs": self.epochs, "rows": self.rows}, indent=1)
        )
        return path

    @classmethod
    def load(cls, path: str | Path) -> History:
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: a file of another kind.
        """
        text = Path(path).read_text(encoding="utf-8")
        try:
            found = json.loads(text)
        except json.JSONDecodeError as exc:
            raise ValueError(f"path must be a history in JSON, got {str(path)!r}: {exc}") from exc
        if not isinstance(found, Mapping) or found.get("format") != "ufm-history":
            raise ValueError(f"path must be a file that History.save wrote, got {str(path)!r}")
        epochs, rows = found.get("epochs"), found.get("rows")
        if not isinstance(epochs, list) or not isinstance(rows, list) or len(epochs) != len(rows):
            raise ValueError(f"path must hold as many epochs as rows, got {str(path)!r}")
        return cls(epochs, rows)

    def plot(self, *names: str) -> Figure:
        """Return a figure of measures over the epochs, on a logarithmic axis where all are positive.

        Args:
            names: of measures; default NC1 to NC3.

        Raises:
            MissingExtraError: Matplotlib is not installed.
            ValueError: a name that is no measure, or nothing recorded.
        """
        from ufm._extras import optional

        with optional("plot"):
            from matplotlib.figure import Figure as MatplotlibFigure
        if not self.epochs:
            raise ValueError("a history must hold at least one epoch to be drawn, got none")
        figure = MatplotlibFigure(layout="constrained")
        axes = figure.subplots()
        lines = {name: self.series(name) for name in names or ("nc1", "etf_error", "self_duality_error")}
        drawn = {name: values for name, values in lines.items() if any(v is not None for v in values)}
        for name, values in drawn.items():
            axes.plot(self.epochs, [float("nan") if v is None else v for v in values], label=name)
        if drawn and all(v is None or v > 0 for values in drawn.values() for v in values):
            axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.legend()
        return figure
