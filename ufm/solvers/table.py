"""The table of what is solved, loss x labels x bias x architecture x method, from what every method says of itself.

``python -m ufm.solvers.table docs/solved.md`` writes it.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ufm.architectures import (
    Architecture,
    DeepLinear,
    Gain,
    LayerPeeled,
    LinearDEQ,
    NormBounded,
    PenalisedDeepLinear,
    PenalisedDEQ,
    Residual,
    UnconstrainedFeatures,
)
from ufm.labels import ClassPrior, Labels
from ufm.losses import BinaryCrossEntropy, CrossEntropy, FocalLoss, Loss, MeanSquaredError, SquaredHinge
from ufm.losses.base import Array
from ufm.problem import Problem
from ufm.solvers.methods import METHODS, Support, supported

__all__ = ["ARCHITECTURES", "BIASES", "LABELS", "LOSSES", "Row", "main", "markdown", "table", "write_page"]


class _Quartic(Loss):
    """A convex loss of one's own, the fourth power of the residual."""

    is_convex = True

    def values(self, logits: Array, targets: Array) -> Array:
        return np.asarray(((logits - targets) ** 4).sum(axis=0) + 0.1 * ((logits - targets) ** 2).sum(axis=0))

    def gradients(self, logits: Array, targets: Array) -> Array:
        return 4 * (logits - targets) ** 3 + 0.2 * (logits - targets)


class _Wavy(Loss):
    """A loss of one's own that is not convex."""

    is_convex = False

    def values(self, logits: Array, targets: Array) -> Array:
        return np.asarray((1 - np.cos(logits - targets)).sum(axis=0) + 0.05 * ((logits - targets) ** 2).sum(axis=0))

    def gradients(self, logits: Array, targets: Array) -> Array:
        return np.sin(logits - targets) + 0.1 * (logits - targets)


class _Entrywise(Architecture):
    """A gauge of one's own, the sum of absolute values, at most 2."""

    def gauge(self, y: Array) -> float:
        return float(np.abs(y).sum())

    def polar(self, gradient: Array) -> float:
        return float(np.abs(gradient).max())

    def atom(self, gradient: Array) -> Array:
        out = np.zeros_like(gradient)
        at = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        out[at] = np.sign(gradient[at])
        return out

    def bound(self, num_classes: int) -> float:
        return 2.0


#: Instances of every kind of loss, by what the table calls them.
LOSSES: dict[str, Loss] = {
    "cross-entropy": CrossEntropy(),
    "cross-entropy, label smoothing": CrossEntropy(smoothing=0.1),
    "cross-entropy, scales and shifts": CrossEntropy(scales=(1.0, 1.0, 2.0, 2.0), shifts=(0.5, 0.5, 0.0, 0.0)),
    "mean squared error": MeanSquaredError(),
    "binary cross-entropy": BinaryCrossEntropy(),
    "squared hinge": SquaredHinge(),
    "focal": FocalLoss(),
    "convex, of one's own": _Quartic(),
    "not convex, of one's own": _Wavy(),
}

#: Instances of every kind of architecture.
ARCHITECTURES: dict[str, Architecture] = {
    "LayerPeeled": LayerPeeled(0.5, 0.5),
    "UnconstrainedFeatures": UnconstrainedFeatures(0.05, 0.05),
    "LinearDEQ": LinearDEQ(0.3, 0.3, 0.4),
    "LinearDEQ with E_A": LinearDEQ(0.5, 0.5, 0.6, 0.4),
    "PenalisedDEQ": PenalisedDEQ(0.05, 0.05, 0.4),
    "PenalisedDEQ with lambda_A": PenalisedDEQ(0.05, 0.05, 0.4, 0.05),
    "DeepLinear, 2 factors": DeepLinear((2.0, 2.0)),
    "DeepLinear, 3 factors": DeepLinear((2.0, 2.0, 2.0)),
    "LayerPeeled, nonnegative": LayerPeeled(0.5, 0.5, features="nonnegative"),
    "UnconstrainedFeatures, nonnegative": UnconstrainedFeatures(0.05, 0.05, features="nonnegative"),
    "NormBounded": NormBounded(0.5, 1.0),
    "PenalisedDeepLinear, 2 factors": PenalisedDeepLinear((0.05, 0.05)),
    "PenalisedDeepLinear, 3 factors": PenalisedDeepLinear((0.05, 0.05, 0.05)),
    "Residual": Residual(0.05, 0.05, 0.2, 4),
    "Gain": Gain(0.3, 0.3, 0.4, "residual", 3),
    "of one's own (gauge, polar, atom)": _Entrywise(),
}

#: One-hot labels, and labels of every other kind.
LABELS: dict[str, ClassPrior | Labels] = {
    "one-hot": ClassPrior([4.0, 4.0, 1.0, 1.0]),
    "soft": Labels(
        0.7 * np.eye(4, 5) + 0.3 * np.tri(4, 5) / np.tri(4, 5).sum(axis=0).clip(1), [4.0, 4.0, 1.0, 1.0, 2.0]
    ),
    "multi-label": Labels.multi_label(4, [(0,), (1,), (2, 3), (3,), (0, 1)], [4.0, 4.0, 1.0, 1.0, 2.0]),
}

#: What ``bias=`` may be, by what the table calls it.
BIASES: dict[str, str | float | None] = {"none": None, "free": "free", "penalised": 0.3}

#: What stands for the architectures where labels or bias vary: the others differ in their gauge alone.
_REPRESENTATIVES = (
    "LayerPeeled",
    "UnconstrainedFeatures",
    "LayerPeeled, nonnegative",
    "UnconstrainedFeatures, nonnegative",
    "NormBounded",
    "PenalisedDeepLinear, 3 factors",
    "of one's own (gauge, polar, atom)",
)
#: And for the losses: those with closed forms, and one without.
_REPRESENTATIVE_LOSSES = ("cross-entropy", "mean squared error", "binary cross-entropy")


@dataclass(frozen=True)
class Row:
    """What every method does with one kind of problem.

    Attributes:
        loss, labels, bias, architecture: what the problem is made of.
        answers: :class:`~ufm.solvers.methods.Support` of every method by its name.
    """

    loss: str
    labels: str
    bias: str
    architecture: str
    answers: dict[str, Support]

    @property
    def problem(self) -> Problem:
        """The instance that was asked about."""
        return _problem(self.loss, self.labels, self.bias, self.architecture)


def _problem(loss: str, labels: str, bias: str, architecture: str) -> Problem:
    return Problem.of(ARCHITECTURES[architecture], LABELS[labels], LOSSES[loss], BIASES[bias])


def table() -> tuple[Row, ...]:
    """Rows for every kind of loss and architecture with one-hot labels and no bias, and for every label and bias.

    >>> row = table()[0]
    >>> row.loss, row.architecture, row.answers["reduced"].answer
    ('cross-entropy', 'LayerPeeled', 'exact')
    """
    rows = []
    for loss, labels, bias, architecture in itertools.product(LOSSES, LABELS, BIASES, ARCHITECTURES):
        plain = labels == "one-hot" and bias == "none"
        if plain or (architecture in _REPRESENTATIVES and loss in _REPRESENTATIVE_LOSSES):
            answers = supported(_problem(loss, labels, bias, architecture))
            rows.append(Row(loss, labels, bias, architecture, answers))
    return tuple(rows)


def markdown() -> str:
    """The table with its reasons, as Markdown.

    >>> markdown().splitlines()[0]
    '# What is solved, bounded and refused'
    """
    head = ["loss", "labels", "bias", "architecture", *METHODS]
    lines = [
        "# What is solved, bounded and refused",
        "",
        "Generated by `python -m ufm.solvers.table docs/solved.md` from what every method says of itself, and tested",
        "by calling every cell. *exact*: the global optimum, to a closed duality gap. *bounded*: the best point found",
        "with a lower bound, global only where the two meet. A dash: refused, before any work, with a `ValueError`",
        "that names the reason below and the methods that would do. A bias with a loss that is not convex is refused",
        "by every method.",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
    ]
    refusals: dict[str, set[str]] = {}
    for row in table():
        cells = [support.answer if support else "-" for support in row.answers.values()]
        lines.append(f"| {' | '.join([row.loss, row.labels, row.bias, row.architecture, *cells])} |")
        for name, support in row.answers.items():
            if not support:
                kind = support.reason.split(" ")[0]
                refusals.setdefault(name, set()).add(f"{kind} {_tail(support.reason)}")
    lines += ["", "## Why a method refuses", ""]
    lines += [f"- `{name}`: {'; '.join(sorted(reasons))}." for name, reasons in refusals.items()]
    return "\n".join(lines) + "\n"


def _tail(reason: str) -> str:
    """A refusal without the instance that it names: from its verb on."""
    for verb in (" has no ", " is not ", " states "):
        if verb in reason:
            return verb.strip() + " " + reason.split(verb, 1)[1]
    return reason


def main(arguments: list[str] | None = None) -> None:
    """Write the table to the path that is given, or print it.

    >>> import contextlib, io
    >>> with contextlib.redirect_stdout(io.StringIO()) as shown:
    ...     main([])
    >>> shown.getvalue() == markdown()
    True
    """
    write_page(markdown(), arguments)


def write_page(page: str, arguments: list[str] | None) -> None:
    """Write a generated page to the path that is given, by default on the command line, or print it.

    >>> write_page("# A page\\n", [])
    # A page
    """
    paths = sys.argv[1:] if arguments is None else arguments
    if paths:
        Path(paths[0]).write_text(page, encoding="utf-8")
    else:
        print(page, end="")


if __name__ == "__main__":
    main()
