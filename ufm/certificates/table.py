"""The table of what is certified, architecture x loss, for every kind of labels and bias.

``python -m ufm.certificates.table docs/certified.md`` writes it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from ufm.certificates._values import refusal
from ufm.labels import ClassPrior, Labels
from ufm.losses import CrossEntropy, Loss
from ufm.losses.base import Array
from ufm.problem import Problem, check_bias
from ufm.solvers import table as solved

__all__ = ["ARCHITECTURES", "BIASES", "LABELS", "LOSSES", "Cell", "cells", "main", "markdown"]


class _Huber(Loss):
    """Linear from a distance of 1/2 to the target on."""

    is_convex = True

    def values(self, logits: Array, targets: Array) -> Array:
        r = np.clip(logits - targets, -0.5, 0.5)
        return np.asarray((r * (logits - targets - r / 2)).sum(axis=0))

    def gradients(self, logits: Array, targets: Array) -> Array:
        return np.asarray(np.clip(logits - targets, -0.5, 0.5))

    def formula(self, logits: Any, target: Any) -> Any:
        return (logits - target).huber(0.5).sum()


class _Exponential(Loss):
    """``sum_k t_k sum_i exp(z_i - z_k)``."""

    is_convex = True

    def values(self, logits: Array, targets: Array) -> Array:
        return np.asarray(np.exp(logits).sum(axis=0) * (targets * np.exp(-logits)).sum(axis=0))

    def gradients(self, logits: Array, targets: Array) -> Array:
        up, down = np.exp(logits), targets * np.exp(-logits)
        return np.asarray(up * down.sum(axis=0) - down * up.sum(axis=0))

    def constant_direction(self, num_classes: int) -> Array:
        return np.ones(num_classes)

    def formula(self, logits: Any, target: Any) -> Any:
        return sum(t * np.exp(z - own) for t, own in zip(target, logits, strict=True) for z in logits)


def _for_any_columns(loss: Loss, _: int) -> Loss:
    return loss


#: Kinds of losses, made for labels of so many columns.
LOSSES: dict[str, Callable[[int], Loss]] = {
    **{name: partial(_for_any_columns, loss) for name, loss in solved.LOSSES.items()},
    "cross-entropy, weights": lambda m: CrossEntropy(weights=tuple(np.linspace(0.5, 2.0, m))),
    "Huber, by its formula": lambda _: _Huber(),
    "exponential, by its formula": lambda _: _Exponential(),
}

ARCHITECTURES = solved.ARCHITECTURES
LABELS: dict[str, ClassPrior | Labels] = {**solved.LABELS, "one-hot, long tail": ClassPrior([20.0, 7.0, 3.0, 1.0])}
BIASES = solved.BIASES


#: What stands for the architectures where labels or bias vary: a norm of singular values, others, and none.
_REPRESENTATIVES = ("LayerPeeled", "UnconstrainedFeatures, nonnegative", "NormBounded", "Residual")


@dataclass(frozen=True)
class Cell:
    """Whether one kind of problem is certified.

    Attributes:
        architecture, loss, labels, bias: what the problem is made of.
        reason: why it is not; empty where it is.
    """

    architecture: str
    loss: str
    labels: str
    bias: str
    reason: str

    @property
    def problem(self) -> Problem:
        """The instance that was asked about."""
        return _problem(self.architecture, self.loss, self.labels, self.bias)


def _problem(architecture: str, loss: str, labels: str, bias: str) -> Problem:
    prior = LABELS[labels]
    # what these instances say of themselves is tested elsewhere, and not attacked here
    return Problem(ARCHITECTURES[architecture], prior, LOSSES[loss](prior.num_columns), check_bias(BIASES[bias]))


@cache
def cells() -> tuple[Cell, ...]:
    """Every architecture and loss for one-hot labels without a bias, and some with every kind of labels and bias.

    A bias goes with convex losses alone.

    >>> found = cells()
    >>> len(found) > 500, found[0].architecture, found[0].loss, found[0].reason
    (True, 'LayerPeeled', 'cross-entropy', '')
    """
    found = []
    for architecture, loss, labels, bias in itertools.product(ARCHITECTURES, LOSSES, LABELS, BIASES):
        plain = labels == "one-hot" and bias == "none"
        if plain or (architecture in _REPRESENTATIVES and (bias == "none" or LOSSES[loss](4).is_convex)):
            reason = refusal(_problem(architecture, loss, labels, bias))
            found.append(Cell(architecture, loss, labels, bias, reason))
    return tuple(found)


def markdown() -> str:
    """The table with its reasons, as Markdown.

    Raises:
        RuntimeError: an answer hangs on labels or bias, for which the table has no place.

    >>> markdown().splitlines()[0]
    '# What is certified'
    """
    answers: dict[tuple[str, str], set[str]] = {}
    reasons: dict[str, str] = {}
    for cell in cells():
        kind = _kind(cell.reason)
        answers.setdefault((cell.architecture, cell.loss), set()).add(kind)
        if kind:
            reasons.setdefault(kind, cell.reason)
    torn = [key for key, kinds in answers.items() if len(kinds) > 1]
    if torn:
        raise RuntimeError(f"answers must be the same for all labels and biases, and are not for {torn}")
    number = {kind: str(i) for i, kind in enumerate(reasons, 1)}
    lines = [
        "# What is certified",
        "",
        "Generated by `python -m ufm.certificates.table docs/certified.md`, and tested by certifying problems of every",
        "row and column. *yes*: `ufm.certify` encloses the optimal value, as tightly as the gap of the solution lets",
        "it, for one-hot, long-tailed, soft and multi-label targets, without a bias and with a free or a penalised",
        "one. A number: refused with a `ValueError` that says why.",
        "",
        f"| architecture | {' | '.join(LOSSES)} |",
        f"|{'---|' * (len(LOSSES) + 1)}",
    ]
    for architecture in ARCHITECTURES:
        row = [next(iter(answers[architecture, loss])) for loss in LOSSES]
        lines.append(f"| {architecture} | {' | '.join(number[kind] if kind else 'yes' for kind in row)} |")
    lines += ["", "## Why not", "", *(f"{number[kind]}. {kind}." for kind in reasons), ""]
    lines += [
        "What `ufm.solve` calls global and is not certified, then: gauges of one's own, and losses of one's own that",
        "do not state their formula; mean squared error at concave prices of singular values, where the closed form is",
        "the proof; and where a bound happens to meet the value of a problem that is not convex.",
        "",
        "More than 64 classes or columns, or 128 groups of one-hot classes, are refused as well.",
    ]
    return "\n".join(lines) + "\n"


def _kind(reason: str) -> str:
    """A refusal without the instance that it names."""
    head, _, tail = reason.partition(", got ")
    return head + ("; " + tail.partition("; ")[2] if "; " in tail else "")


def main(arguments: list[str] | None = None) -> None:
    """Write the table to the path that is given, or print it.

    >>> import contextlib, io
    >>> with contextlib.redirect_stdout(io.StringIO()) as shown:
    ...     main([])
    >>> shown.getvalue() == markdown()
    True
    """
    solved.write_page(markdown(), arguments)


if __name__ == "__main__":
    main()
