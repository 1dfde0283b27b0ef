"""What is asked of an answer, recomputed from definitions by formulas of its own, in extended precision's range."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

import ufm
from ufm.losses import CrossEntropy

#: Relative difference up to which two computations agree, and that of sums of logits, relative to their size.
AGREE, ROUNDING = 1e-6, 1e-13


def risk(problem: Any, logits: Any, bias: Any = None) -> float | None:
    """The risk by the loss's definition; None for a loss that is not defined here."""
    z = np.asarray(logits, dtype=np.longdouble)
    z = z if bias is None else z + np.asarray(bias)[:, None]
    t, pi = problem.prior.targets if isinstance(problem.prior, ufm.Labels) else np.eye(len(z)), problem.prior.counts
    pi = np.asarray(pi, dtype=np.longdouble) / np.asarray(pi, dtype=np.longdouble).sum()
    loss = problem.loss
    if type(loss) is CrossEntropy:
        values = _cross_entropy(loss, z, np.asarray(t))
    elif isinstance(loss, ufm.MeanSquaredError):
        values = ((z - t) ** 2).sum(axis=0) / 2
    elif isinstance(loss, ufm.BinaryCrossEntropy):
        values = (np.logaddexp(0, z) - t * z).sum(axis=0)
    else:
        return None
    return float(pi @ values)


def _cross_entropy(loss: CrossEntropy, z: Any, t: Any) -> Any:
    k = len(z)
    t = (1 - loss.smoothing) * t + loss.smoothing / k * t.sum(axis=0)
    x = z if loss.scales is None else np.asarray(loss.scales)[:, None] * z
    x = x if loss.shifts is None else x + np.asarray(loss.shifts)[:, None]
    top = x.max(axis=0)
    values = (t * (top + np.log(np.exp(x - top).sum(axis=0)) - x)).sum(axis=0)
    return values if loss.weights is None else np.asarray(loss.weights) * values


def wrong_by_definition(found: ufm.Solution) -> str:
    """What contradicts the definition of the problem in a solution's factors and value; empty if nothing does."""
    problem, factors = found.problem, found.factors
    w, h = (np.asarray(x, dtype=np.longdouble) for x in (factors.classifier, factors.features))
    a = np.zeros((w.shape[1],) * 2) if factors.equilibrium is None else factors.equilibrium
    if not all(np.isfinite(x).all() for x in (w, h, a)):
        return f"factors that are not finite: {found!r}"
    if isinstance(problem.architecture, ufm.LinearDEQ | ufm.PenalisedDEQ | ufm.LayerPeeled | ufm.UnconstrainedFeatures):
        wrong = _wrong_size(found, w, a, h)
        if wrong:
            return f"{wrong}: {found!r}"
    stated = risk(problem, found.logits, found.bias)
    if stated is None or not isinstance(
        problem.architecture, ufm.LayerPeeled | ufm.LinearDEQ | ufm.UnconstrainedFeatures
    ):
        return ""
    if isinstance(problem.architecture, ufm.UnconstrainedFeatures):
        stated += _weight_decay(problem, w, h)
    if found.bias is not None:
        stated += (problem.bias or 0.0) / 2 * float(found.bias @ found.bias)
    heaviest = max(getattr(problem.loss, "weights", None) or (1.0,)) * max(
        getattr(problem.loss, "scales", None) or (1.0,)
    )
    if isinstance(problem.prior, ufm.Labels):
        heaviest *= max(1.0, float(np.abs(problem.prior.targets).max()))
    room = AGREE * abs(found.value) + ROUNDING * heaviest * (1 + float(np.abs(found.logits).max())) + problem.floor
    return "" if abs(stated - found.value) <= room else f"a value that is {stated!r} by definition: {found!r}"


def _wrong_size(found: ufm.Solution, w: Any, a: Any, h: Any) -> str:
    architecture, k = found.problem.architecture, len(w)
    if isinstance(architecture, ufm.LinearDEQ | ufm.PenalisedDEQ) and a.any():
        if np.linalg.norm(a, 2) > architecture.rho * (1 + 1e-9):
            return f"|A|_2 = {np.linalg.norm(a, 2):.9g}"
        budget = getattr(architecture, "E_A", None)
        if budget is not None and np.linalg.norm(a) ** 2 > budget * (1 + 1e-8):
            return f"|A|_F^2 = {np.linalg.norm(a) ** 2:.9g}"
    if isinstance(architecture, ufm.LayerPeeled | ufm.LinearDEQ):
        sizes = float((w**2).sum() / k), float((h**2).sum() / k)
        if any(s > e * (1 + 1e-7) for s, e in zip(sizes, (architecture.E_W, architecture.E_H), strict=True)):
            return f"sizes {sizes} above their budgets"
    return ""


def _weight_decay(problem: Any, w: Any, h: Any) -> float:
    decay = problem.architecture
    counts = np.asarray(problem.prior.counts, dtype=np.longdouble)
    both = (np.longdouble(decay.lambda_W) * (w**2).sum(), np.longdouble(decay.lambda_H) * (counts * h**2).sum())
    return float(both[0] / 2 + both[1] / 2)


def disagree(one: ufm.Solution, other: ufm.Solution, what: str) -> str:
    """Both enclosures hold the same optimum; what is wrong where they do not meet."""
    low, high = max(one.lower, other.lower), min(one.value, other.value)
    room = 1e-9 * max(abs(low), abs(high)) + one.problem.floor + other.problem.floor + 1e-300
    if low <= high + room:
        return ""
    return f"{what}: [{one.lower!r}, {one.value!r}] and [{other.lower!r}, {other.value!r}] do not meet, {one!r}"


def quiet(function: Any, *given: Any, **more: Any) -> Any:
    """A call without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*given, **more)


def sampled_below(found: ufm.Solution, rng: np.random.Generator, draws: int = 8) -> str:
    """Random feasible points of the definition that lie below the lower bound: there must be none."""
    problem, prior = found.problem, found.problem.prior
    architecture, k, m = problem.architecture, prior.num_classes, prior.num_columns
    if type(architecture) is not ufm.LayerPeeled or problem.bias is not None or found.lower == -math.inf:
        return ""
    d = k if found.dim is None else found.dim
    for _ in range(draws):
        w, h = rng.normal(size=(k, d)), rng.normal(size=(d, m))
        w *= math.sqrt(k * architecture.E_W) / np.linalg.norm(w)
        h *= math.sqrt(k * architecture.E_H) / np.linalg.norm(h)
        with np.errstate(all="ignore"):
            value = risk(problem, rng.random() * w @ h)
        if value is not None and value < found.lower * (1 - 1e-9) - 1e-300 - problem.floor:
            return f"a feasible point of value {value!r} below the lower bound: {found!r}"
    return ""
