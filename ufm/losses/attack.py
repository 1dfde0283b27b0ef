"""Attacks on what a loss says of itself: gradient, curvature, convexity, dual values, constant direction, infimum.

A loss of one's own is believed only where random points do not contradict it; the classes of this package are tested
instead. Finding nothing proves nothing: a loss that is wrong on a set that random points miss passes. So what a solver
ends with is attacked once more, :func:`attack_at`, at the size and place of the logits that were found.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from ufm.losses.base import Array, Loss

__all__ = ["attack", "attack_at", "bend", "contradiction", "wrong_derivatives"]

#: Sizes of the random logits that are tried.
SIZES = (0.1, 1.0, 10.0)
#: Relative errors beyond which a derivative, or an inequality, counts as contradicted.
DERIVATIVE_TOLERANCE, CONVEXITY_TOLERANCE = 1e-4, 1e-9
#: Relative difference beyond which a column's value, alone and among others, is not one value.
COLUMN_TOLERANCE = 1e-9
#: Random points for each size.
ROUNDS = 4


def attack(loss: Loss, targets: Array) -> None:
    """Raise a ValueError that names what is wrong where a random point contradicts what ``loss`` says of itself.

    Args:
        loss: the loss.
        targets: T, shape (K, m), the targets of the problem that it is wanted for.

    Raises:
        TypeError: ``is_convex`` is no boolean, or a function does not return numbers of the right shape.
        ValueError: a contradiction, with the numbers that show it.

    >>> from ufm.losses import CrossEntropy
    >>> attack(CrossEntropy(smoothing=0.1), np.eye(3))  # stands it
    """
    found = contradiction(loss, targets)
    if found:
        raise ValueError(f"loss {type(loss).__name__} contradicts itself: {found}")


def contradiction(loss: Loss, targets: Array) -> str:
    """What random points contradict, in words; empty where nothing was found.

    >>> from ufm.losses import MeanSquaredError
    >>> contradiction(MeanSquaredError(), np.eye(3))
    ''
    """
    _check_words(loss)
    rng = np.random.default_rng(20241205)
    for size in SIZES:
        for _ in range(ROUNDS):
            z, other, d = (size * rng.normal(size=targets.shape) for _ in range(3))
            if found := _tried(loss, targets, z, other, d / size):
                return found
    return ""


def attack_at(loss: Loss, targets: Array, logits: Array) -> None:
    """:func:`attack` around ``logits`` (K, m), such as those of an optimum: near them, at their size, and back to 0.

    Raises:
        TypeError, ValueError: as :func:`attack` does.

    >>> from ufm.losses import MeanSquaredError
    >>> attack_at(MeanSquaredError(), np.eye(3), 100 * np.eye(3))  # stands it
    """
    rng = np.random.default_rng(20241205)
    size = max(float(np.abs(logits).max()), 1e-3)
    for share in (1e-3, 0.1, 1.0):
        for other in (np.zeros_like(logits), logits + share * size * rng.normal(size=logits.shape), share * logits):
            d = rng.normal(size=logits.shape)
            if _overflows(loss, targets, other):  # far from the logits found, which says nothing of these
                continue
            if found := _tried(loss, targets, logits, other, d):
                raise ValueError(f"loss {type(loss).__name__} contradicts itself at the logits found: {found}")


def _overflows(loss: Loss, targets: Array, logits: Array) -> bool:
    """Whether a value is larger than float64 holds, as an exponential's is in the wrong direction; NaN is none."""
    with np.errstate(all="ignore"):
        values = np.asarray(loss.values(logits.copy(), targets))
    return values.dtype.kind == "f" and bool(np.isposinf(values).any())


def wrong_derivatives(loss: Loss, targets: Array, rounds: int = ROUNDS) -> str:
    """What differences contradict in gradients and curvatures, in words; empty where nothing was found.

    Random logits of every size in :data:`SIZES`, ``rounds`` of each.

    >>> from ufm.losses import CrossEntropy
    >>> wrong_derivatives(CrossEntropy(), np.eye(3))
    ''
    """
    rng = np.random.default_rng(20241205)
    for size in SIZES:
        for _ in range(rounds):
            z, d = size * rng.normal(size=targets.shape), rng.normal(size=targets.shape)
            with np.errstate(all="ignore"):
                if found := _shapes(loss, targets, z, z, d) or _derivatives(loss, targets, z, z, d):
                    return found
    return ""


def bend(loss: Loss, targets: Array, rounds: int = 64, climbs: int = 40) -> str:
    """Two logits of one column between which the loss is above its chord, in words; empty where none were found.

    Random segments of all lengths; from the most bent of them the search climbs on, towards more.

    >>> from ufm.losses import CrossEntropy, FocalLoss
    >>> bend(CrossEntropy(), np.eye(3)), bend(FocalLoss(2.0), np.eye(3))[:37]
    ('', 'half way between two points the value')
    """
    rng = np.random.default_rng(20241205)
    best: tuple[float, Array, Array] | None = None
    for size in (0.1, 1.0, 4.0, 20.0):
        for _ in range(rounds):
            z = size * rng.normal(size=targets.shape)
            y = z + size * 10.0 ** rng.uniform(-2, 0.5) * rng.normal(size=targets.shape)
            found = _bend(loss, targets, z, y)
            if best is None or found > best[0]:
                best = found, z, y
    assert best is not None
    for _ in range(climbs):
        step = 10.0 ** rng.uniform(-2, 0) * float(np.abs(best[1]).max())
        z, y = (x + step * rng.normal(size=x.shape) for x in best[1:])
        found = _bend(loss, targets, z, y)
        best = (found, z, y) if found > best[0] else best
    return _above_chord(loss, targets, *best[1:]) if best[0] > 0 else ""


def _bend(loss: Loss, t: Array, z: Array, y: Array) -> float:
    """The largest excess of a column's value half way over the mean of the ends, relative, less what rounding may."""
    with np.errstate(all="ignore"):
        ends = loss.values(z, t), loss.values(y, t)
        middle = loss.values((z + y) / 2, t)
        size = np.abs(ends[0]) + np.abs(ends[1]) + np.abs(middle) + 1e-3
        excess = (middle - (ends[0] + ends[1]) / 2) / size - CONVEXITY_TOLERANCE
    return float(np.max(np.where(np.isfinite(excess), excess, -1.0)))


def _tried(loss: Loss, t: Array, z: Array, other: Array, d: Array) -> str:
    with np.errstate(all="ignore"):
        for check in (_shapes, _columns, _derivatives, _infimum, _constancy, _convexity, _duality):
            if found := check(loss, t, z, other, d):
                return found
    return ""


def _check_words(loss: Loss) -> None:
    """What a loss says in single words: ``is_convex``, ``infimum`` and ``floor``."""
    name = type(loss).__name__
    if not isinstance(getattr(loss, "is_convex", None), bool | np.bool_):
        raise TypeError(f"loss {name} must say is_convex = True or False")
    for word, least, most in (("infimum", -math.inf, math.inf), ("floor", 0.0, math.inf)):
        said: Any = getattr(loss, word)
        if isinstance(said, bool | np.bool_ | np.timedelta64) or not isinstance(
            said, numbers.Real | np.floating | np.integer
        ):
            raise TypeError(f"loss {name}.{word} must be a real number, got {said!r}")
        if not least <= float(said) < most:
            allowed = "-inf or a finite number" if word == "infimum" else "finite and >= 0"
            raise ValueError(f"loss {name}.{word} must be {allowed}, got {said!r}")


def _shapes(loss: Loss, t: Array, z: Array, other: Array, d: Array) -> str:
    for name, rest, shape in (
        ("values", (), t.shape[1:]),
        ("gradients", (), t.shape),
        ("curvatures", (d,), t.shape),
        ("curvature_diagonals", (), t.shape),
        ("curvature_forms", (np.eye(len(t)),), t.shape),
        ("dual_values", (1.0,), t.shape[1:]),
    ):
        given = z.copy(), t.copy()
        found = getattr(loss, name)(*given, *rest)
        if not (np.array_equal(given[0], z) and np.array_equal(given[1], t)):
            return f"{name} changes the logits or the targets that it is given"
        if found is None and name == "dual_values":
            continue
        array = np.asarray(found)
        if array.shape != shape or array.dtype.kind != "f" or array.dtype.itemsize < 8:
            raise TypeError(
                f"loss {type(loss).__name__}.{name} must return floats of shape {shape}, in double precision, for "
                f"logits of shape {t.shape}, got shape {array.shape} of {array.dtype}"
            )
        if not np.isfinite(array).all():
            return f"{name} are not finite at logits of size {np.abs(z).max():.3g}"
    return ""


def _columns(loss: Loss, t: Array, z: Array, other: Array, d: Array) -> str:
    """Columns are samples: what a loss makes of one hangs neither on the others nor on how many they are."""
    m = t.shape[1]
    if loss.on_columns(slice(0, 1), m) is loss:
        z, t, m = np.hstack([z, other]), np.hstack([t, t]), 2 * m
    parts = [part for part in (slice(0, (m + 1) // 2), slice((m + 1) // 2, m)) if part.start < m]
    for name in ("values", "gradients"):
        together = getattr(loss, name)(z, t)
        apart = np.concatenate(
            [getattr(loss.on_columns(part, m), name)(z[:, part], t[:, part]) for part in parts], axis=-1
        )
        if np.shape(together) != apart.shape:
            return f"{name} have shape {np.shape(together)} at {m} columns"
        size = 1 + np.abs(apart).max(axis=tuple(range(apart.ndim - 1)))  # of every column
        # what overflows either way is the same
        apart_by = np.where(together == apart, 0.0, np.abs(together - apart) / size)
        if not apart_by.max() <= COLUMN_TOLERANCE:
            at = np.unravel_index(int(np.argmax(apart_by)), apart.shape)
            return f"{name} of a column hang on the others: {apart[at]:.10g} by itself, {together[at]:.10g} among more"
    return ""


def _derivatives(loss: Loss, t: Array, z: Array, other: Array, d: Array) -> str:
    step = 1e-5 * max(1.0, float(np.abs(z).max()))
    values = [loss.values(z + x * d, t) for x in (step, -step, step / 7, -step / 7)]
    # what is next to nothing at an optimum may be a difference of numbers as large as the loss is a unit away
    far = z + d
    noise = 1e-14 * max(float(np.abs(x).max()) for x in (*values, loss.values(far, t))) / step
    slope, stated = (values[0] - values[1]) / (2 * step), (loss.gradients(z, t) * d).sum(axis=0)
    # an error that shrinks with the step is the loss's curvature, on one side of a kink of its gradient
    nearer = np.abs(stated - (values[2] - values[3]) / (2 * step / 7))
    slope = np.where(nearer < 0.5 * np.abs(stated - slope), stated, slope)
    scale = np.abs(loss.gradients(z, t) * d).sum(axis=0)
    if found := _differs("gradients", stated, slope, scale, noise):
        return found + _kink(loss, t, z, d, step, stated)
    slopes = (loss.gradients(z + step * d, t) - loss.gradients(z - step * d, t)) / (2 * step)
    curved = loss.curvatures(z, t, d)
    # a kink between the two points is no contradiction where the loss is only once differentiable
    noise = 1e-14 * max(float(np.abs(loss.gradients(x, t)).max()) for x in (z, far)) / step
    shorter = (loss.gradients(z + step / 7 * d, t) - loss.gradients(z - step / 7 * d, t)) / (2 * step / 7)
    smooth = np.abs(slopes - shorter).max(axis=0) <= 1e-5 * np.abs(slopes).max(axis=0) + 10 * noise
    size = np.abs(slopes).max(axis=0)
    return _differs("curvatures", curved[:, smooth], slopes[:, smooth], size[smooth], noise)


def _kink(loss: Loss, t: Array, z: Array, d: Array, step: float, stated: Array) -> str:
    """Words for a gradient that is one of many: an error of the loss, whose slopes differ on its two sides."""
    here = loss.values(z, t)
    ahead, behind = (loss.values(z + step * d, t) - here) / step, (here - loss.values(z - step * d, t)) / step
    low, high = np.minimum(ahead, behind), np.maximum(ahead, behind)
    between = (high - low > 1e-3 * (np.abs(low) + np.abs(high))) & (stated >= low - 1e-6) & (stated <= high + 1e-6)
    if not between.any():
        return ""
    j = int(np.argmax(np.where(between, high - low, -1.0)))
    return (
        f": a kink, with slopes {behind[j]:.6g} and {ahead[j]:.6g} on its sides, and a loss must be once differentiable"
    )


def _differs(name: str, stated: Array, measured: Array, scale: Array, noise: float) -> str:
    wrong = np.abs(stated - measured) > DERIVATIVE_TOLERANCE * scale + 100 * noise + 1e-12
    if not wrong.any():
        return ""
    at = np.unravel_index(int(np.argmax(np.abs(stated - measured) * wrong)), wrong.shape)
    return f"{name} give {stated[at]:.10g} in a direction along which differences give {measured[at]:.10g}"


def _infimum(loss: Loss, t: Array, z: Array, other: Array, d: Array) -> str:
    least = float(loss.values(z, t).min())
    return f"a value of {least:.6g} is below its infimum {loss.infimum:g}" if least < loss.infimum - 1e-12 else ""


def _constancy(loss: Loss, t: Array, z: Array, other: Array, d: Array) -> str:
    c = loss.constant_direction(len(t))
    if c is None:
        return ""
    c = np.asarray(c, dtype=float)
    if c.shape != (len(t),) or not np.isfinite(c).all() or not c.any():
        return f"constant_direction must be a finite vector of {len(t)} entries that is not 0, got {c!r}"
    moved = loss.values(z + c[:, None] * d[:1], t)
    before = loss.values(z, t)
    if np.abs(moved - before).max() > 1e-9 * (1 + np.abs(z).max() + np.abs(before).max()):
        return f"values change along its constant_direction, from {before[0]:.10g} to {moved[0]:.10g}"
    return ""


def _convexity(loss: Loss, t: Array, z: Array, other: Array, d: Array) -> str:
    if not loss.is_convex:
        return ""
    for y in (other, z + 0.1 * d):  # far and near
        ends = loss.values(z, t), loss.values(y, t)
        middle, chord = loss.values((z + y) / 2, t), (ends[0] + ends[1]) / 2
        size = np.abs(ends[0]) + np.abs(ends[1]) + np.abs(middle)
        if (middle > chord + CONVEXITY_TOLERANCE * size + 1e-12).any():
            return f"is_convex is True, but {_above_chord(loss, t, z, y)}"
    return ""


def _above_chord(loss: Loss, t: Array, z: Array, y: Array) -> str:
    middle, chord = loss.values((z + y) / 2, t), (loss.values(z, t) + loss.values(y, t)) / 2
    j = int(np.argmax(middle - chord))
    return (
        f"half way between two points the value is {middle[j]:.10g}, above the mean {chord[j]:.10g} of their values, "
        f"{np.array2string(z[:, j], precision=6)} and {np.array2string(y[:, j], precision=6)}"
    )


def _duality(loss: Loss, t: Array, z: Array, other: Array, d: Array) -> str:
    for scale in (1.0, 0.6):
        found: Any = loss.dual_values(z, t, scale)
        if found is None:
            return ""
        g = scale * loss.gradients(z, t)
        # -l*(g) <= l(y) - <g, y> for every y, with equality at z for scale 1
        for y in (z, other, z + d, np.zeros_like(z)):
            above = loss.values(y, t) - (g * y).sum(axis=0)
            room = 1e-9 * (1 + np.abs(g * y).sum(axis=0) + np.abs(found))
            if (found > above + room).any():
                return f"dual_values at scale {scale} exceed l(y) - <g, y> = {above.min():.10g}: {np.max(found):.10g}"
    return ""
