"""Assertions about losses: derivatives, convexity, and all that a loss says of itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from ufm._validation import integer
from ufm.losses import Loss
from ufm.losses.attack import bend, contradiction, wrong_derivatives
from ufm.losses.formula import state
from ufm.testing._failing import fail, matrix

__all__ = ["assert_convex", "assert_gradients", "assert_loss"]


def assert_gradients(loss: Loss, targets: Any = None, *, rounds: int = 16) -> None:
    """Assert that a loss' gradients, and curvatures, are those of its values, by differences at random logits.

    Args:
        loss: what is tested.
        targets: T, shape (K, m); one-hot columns of 4 classes unless given.
        rounds: random logits of each size, >= 1.

    Raises:
        AssertionError: they are not; with the numbers that show it.
        TypeError, ValueError: no loss, no matrix, or no number of rounds.

    >>> import ufm
    >>> assert_gradients(ufm.CrossEntropy(smoothing=0.1))
    """
    t = _checked(loss, targets)
    found = wrong_derivatives(loss, t, integer("rounds", rounds, minimum=1))
    fail(f"not its gradients: {loss!r}", [found] if found else [])


def assert_convex(loss: Loss, targets: Any = None, *, rounds: int = 64) -> None:
    """Assert that a loss is convex, by an attack: random segments of all lengths, and a climb from the most bent one.

    Whatever it says of itself. Passing proves nothing; a formula (:meth:`ufm.Loss.formula`) can be proved convex.

    Args:
        loss: what is tested.
        targets: T, shape (K, m); one-hot columns of 4 classes unless given.
        rounds: random segments of each size, >= 1.

    Raises:
        AssertionError: it is not; with two points between which it is above its chord.
        TypeError, ValueError: no loss, no matrix, or no number of rounds.

    >>> import ufm
    >>> assert_convex(ufm.SquaredHinge())
    >>> assert_convex(ufm.FocalLoss(gamma=2.0))
    Traceback (most recent call last):
        ...
    AssertionError: not convex: FocalLoss(gamma=2.0)
      - half way between two points the value is ...
    """
    t = _checked(loss, targets)
    found = bend(loss, t, integer("rounds", rounds, minimum=1))
    fail(f"not convex: {loss!r}", [found] if found else [])


def assert_loss(loss: Loss, targets: Any = None) -> None:
    """Assert all that a loss says of itself: derivatives, convexity, infimum, conjugate, constant direction, formula.

    Args:
        loss: what is tested.
        targets: T, shape (K, m); one-hot columns of 4 classes unless given.

    Raises:
        AssertionError: something is wrong, a line each.
        TypeError, ValueError: no loss, or no matrix.

    >>> import ufm
    >>> assert_loss(ufm.BinaryCrossEntropy())
    """
    t = _checked(loss, targets)
    wrong = []
    for check in (contradiction, wrong_derivatives, bend, _formula):
        if check is bend and not loss.is_convex:
            continue
        try:
            found = check(loss, t)
        except (TypeError, ValueError) as problem:  # a shape or a word that is none: it is the loss that is tested
            found = str(problem)
        wrong += [found] if found and found not in wrong else []
    fail(f"not what it says: {loss!r}", wrong)


def _formula(loss: Loss, targets: Any) -> str:
    state(loss, targets)
    return ""


def _checked(loss: Any, targets: Any) -> Any:
    if not isinstance(loss, Loss):
        raise TypeError(f"loss must be an object of a subclass of ufm.Loss, got {loss!r}")
    return np.eye(4) if targets is None else matrix("targets", targets)
