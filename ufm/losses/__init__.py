"""Losses: one contract (:class:`Loss`), one file a loss, and the names by which they are called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ufm._overrides import set_on_object
from ufm.losses.attack import COLUMN_TOLERANCE, attack, attack_at
from ufm.losses.base import Array, ClosedForm, Loss, column_blocks
from ufm.losses.binary_cross_entropy import BinaryCrossEntropy
from ufm.losses.cross_entropy import CrossEntropy
from ufm.losses.focal import FocalLoss
from ufm.losses.formula import Formula
from ufm.losses.mean_squared_error import MeanSquaredError
from ufm.losses.squared_hinge import SquaredHinge
from ufm.losses.torch_loss import torch_loss

__all__ = [
    "LOSSES",
    "LOSS_CLASSES",
    "BinaryCrossEntropy",
    "ClosedForm",
    "CrossEntropy",
    "FocalLoss",
    "Formula",
    "Loss",
    "MeanSquaredError",
    "SquaredHinge",
    "attack",
    "attack_at",
    "check_loss",
    "closed_form",
    "get_loss",
    "is_ours",
    "torch_loss",
    "unchanging",
]

#: The losses that have a name.
LOSSES: dict[str, Loss] = {"ce": CrossEntropy(), "mse": MeanSquaredError(), "bce": BinaryCrossEntropy()}

#: Functions that weigh columns into a risk; a loss states its columns instead.
_RISKS = ("value", "gradient", "dual_value")


def get_loss(loss: str | Loss, argument: str = "loss") -> Loss:
    """Return the loss that ``loss`` is or names.

    Args:
        loss: a name in :data:`LOSSES`, or an object of a subclass of :class:`Loss`.
        argument: what the message calls it.

    Raises:
        TypeError: neither; or a class that overrides the risk (``value``, ``gradient``, ``dual_value``), which is made
            of its columns, instead of ``values``, ``gradients`` and ``dual_values``; or one that claims a closed form;
            or an object that holds functions of its own in place of its class's.
        ValueError: an unknown name.

    >>> get_loss("mse").name
    'mse'
    """
    if not isinstance(loss, Loss):
        names, others = ", ".join(map(repr, LOSSES)), "or an object of a subclass of ufm.Loss, such as ufm.FocalLoss()"
        if not isinstance(loss, str) or loss not in LOSSES:
            kind = ValueError if isinstance(loss, str) else TypeError
            raise kind(f"{argument} must be one of {names}, {others}, got {loss!r}")
        return LOSSES[loss]
    for name in _RISKS:
        if getattr(type(loss), name) is not getattr(Loss, name):
            raise TypeError(
                f"{argument} {type(loss).__name__} overrides {name}, which weighs the columns of the contract: state "
                "values(logits, targets) and gradients(logits, targets) for every column instead, see ufm.losses.base"
            )
    if replaced := set_on_object(loss):
        raise TypeError(
            f"{argument} {type(loss).__name__} has {', '.join(replaced)} set on the object itself: state what it is in "
            "a class of its own, a subclass of ufm.Loss"
        )
    if loss.closed_form is not None and not is_ours(loss):
        raise TypeError(
            f"{argument} {type(loss).__name__} must leave closed_form None, got {loss.closed_form!r}: the formulas of "
            "this package are derived for its own classes alone"
        )
    return loss


def check_loss(loss: str | Loss, targets: np.ndarray[Any, np.dtype[np.float64]], argument: str = "loss") -> Loss:
    """:func:`get_loss`, and :func:`attack` for a loss that is not of this package.

    A loss that stood it for other targets is attacked again: what it is may depend on them, and on its own state.

    >>> check_loss("bce", np.eye(2)).name
    'bce'
    """
    found = get_loss(loss, argument)
    if is_ours(found):  # refuses targets and parameters that do not fit
        for b in column_blocks(targets.shape):
            found.on_columns(b, targets.shape[1]).values(np.zeros(targets[:, b].shape), targets[:, b])
        return found
    some = column_blocks(targets.shape)[0]  # of a large matrix a part will do
    attack(found.on_columns(some, targets.shape[1]), targets[:, some])
    return found


def is_ours(loss: Loss) -> bool:
    """Whether ``loss`` is of a class of this package, tested here; a subclass is another loss.

    >>> is_ours(CrossEntropy(smoothing=0.1))
    True
    """
    return type(loss) in LOSS_CLASSES.values()


@contextmanager
def unchanging(loss: Loss, targets: Array) -> Iterator[None]:
    """Refuse, after the work within, a loss of one's own that changed: that of the same logits is no longer the same.

    Noise, a counter, a schedule: what was found with such a loss is the optimum of none.

    Raises:
        ValueError: the values before and after differ.

    >>> with unchanging(CrossEntropy(), np.eye(3)):
    ...     "any work"
    'any work'
    """
    if is_ours(loss):
        yield
        return
    logits = np.random.default_rng(20241205).normal(size=targets.shape)
    before = np.array(loss.values(logits.copy(), targets), dtype=float)
    yield
    after = np.asarray(loss.values(logits.copy(), targets), dtype=float)
    if not np.allclose(before, after, rtol=COLUMN_TOLERANCE, atol=0.0, equal_nan=True):
        at = int(np.argmax(np.abs(after - before)))
        raise ValueError(
            f"loss {loss.name} must give the same value at the same logits whenever it is called, got {before[at]!r} "
            f"first and {after[at]!r} after some calls: it has a state, or draws random numbers"
        )


def closed_form(loss: str | Loss, argument: str = "loss", where: str = "here") -> str:
    """``"ce"`` or ``"mse"``, whichever closed forms hold for ``loss``.

    Args:
        loss: a loss or its name.
        argument: what the message calls it.
        where: what asks, for the message.

    Raises:
        ValueError: no closed form of this package holds for it.
        TypeError: it is no loss.

    >>> closed_form("ce")
    'ce'
    """
    found = get_loss(loss, argument)
    if found.closed_form is None:
        raise ValueError(
            f"{argument} must be plain cross-entropy ('ce') or mean squared error ('mse') {where}, whose formulas hold "
            f"for no other, got {found!r}; ufm.solve(..., loss=...) takes any"
        )
    return found.closed_form.value


#: Classes of this package by their name.
LOSS_CLASSES: dict[str, type[Loss]] = {
    cls.__name__: cls for cls in (CrossEntropy, MeanSquaredError, BinaryCrossEntropy, SquaredHinge, FocalLoss)
}
