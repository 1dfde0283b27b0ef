"""Strategies for priors, architectures, problems and frames.

Every draw has a range of its own, whatever was drawn before: the number of classes is the length of a list, not a
number that other lists must match. A shrinker that deletes or lowers one draw then leaves a valid example.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ufm import architectures as registry
from ufm._parameters import Parameter, parameters_of
from ufm._validation import fraction, integer, one_of, positive, real
from ufm.architectures import Architecture, Spectral, UnconstrainedFeatures
from ufm.geometry.frames import simplex_etf
from ufm.labels import ClassPrior, Labels
from ufm.losses import LOSSES, ClosedForm, Loss
from ufm.problem import Problem
from ufm.testing._failing import Array
from ufm.testing._shown import ShownArray

__all__ = [
    "ARCHITECTURES",
    "SEEDS",
    "architectures",
    "etfs",
    "log_uniform",
    "priors",
    "problems",
    "rotated_frames",
    "scaled",
    "step_priors",
]

#: Seeds of NumPy generators; 0 is the plainest.
SEEDS = st.integers(0, 2**32 - 1)

#: Sizes of budgets, and of weight decay relative to the strength from which zero features are optimal, in a problem.
SIZES = (0.05, 4.0)
DECAYS = (0.1, 1.1)

#: Most groups of a drawn prior: as many counts as fit a drawing.
MOST_GROUPS = 1000


def _is_convex(cls: type[Architecture]) -> bool:
    """Whether architectures of a class have a multiple of the nuclear norm as their gauge, defaults left alone."""
    plain = {p.name: 0.5 if p.name == "rho" else (1.0, 1.0) if tuple in p.kinds else 1 for p in _required(cls)}
    try:
        return all(cls(**plain, **kind).convex_form(rank=2) is not None for kind in _variants(cls))
    except (TypeError, ValueError):  # it has parameters that are not sizes
        return False


def _variants(cls: type[Architecture]) -> tuple[dict[str, Any], ...]:
    """The choices of a class that are no sizes, see :class:`ufm.architectures.Spectral`."""
    return cls.variants if issubclass(cls, Spectral) else ({},)


def _required(cls: type[Architecture]) -> list[Parameter]:
    """The parameters that have no default, but for those that its variants give."""
    given = {name for kind in _variants(cls) for name in kind}
    return [p for p in parameters_of(cls) if p.required and p.name not in given]


#: Classes by name, plainest first.
_CLASSES = dict(sorted(registry.ARCHITECTURES.items(), key=lambda item: item[0] != "LayerPeeled"))

#: Families an architecture is drawn from, by class name: those whose problems have optima that can be certified.
ARCHITECTURES = tuple(name for name, cls in _CLASSES.items() if _is_convex(cls))


def log_uniform(low: float, high: float) -> SearchStrategy[float]:
    """Positive numbers of every order of magnitude between ``low`` and ``high``; shrinks towards 1, or what is nearest.

    Raises:
        TypeError, ValueError: unless 0 < low <= high < inf.

    >>> from hypothesis import find
    >>> find(log_uniform(1e-3, 1e3), lambda x: True)
    1.0
    """
    low, high = real("low", low), real("high", high)
    if not 0 < low <= high:
        raise ValueError(f"low and high must satisfy 0 < low <= high < inf, got {low!r} and {high!r}")
    # rounding of exp(log(.)) must not leave the interval
    return st.floats(math.log(low), math.log(high)).map(lambda x: min(max(math.exp(x), low), high))


def priors(
    *, min_classes: int = 2, max_classes: int = 8, max_groups: int = 3, max_ratio: float = 100.0
) -> SearchStrategy[ClassPrior]:
    """Class priors with up to ``max_groups`` different counts in any order, ratio of the largest to the least bounded.

    Args:
        min_classes, max_classes: range of K, 2 <= min <= max.
        max_groups: most distinct counts; 1 gives balanced priors, ``max_classes`` priors without symmetry.
        max_ratio: bound of R, >= 1.

    Raises:
        TypeError, ValueError: an argument out of its range, at the call and not at the draw.

    >>> from hypothesis import find
    >>> find(priors(), lambda p: p.num_classes > 2)
    ClassPrior([1, 1, 1])
    """
    k = _class_range(min_classes, max_classes)
    groups = integer("max_groups", max_groups, minimum=1, maximum=MOST_GROUPS)
    half = math.sqrt(_ratio(max_ratio))
    levels = st.tuples(*[log_uniform(1 / half, half)] * groups)
    members = st.lists(st.integers(0, groups - 1), min_size=k[0], max_size=k[1])
    return st.builds(lambda counts, of: ClassPrior([counts[i] for i in of]), levels, members)


def step_priors(
    *, max_majority: int = 6, max_minority: int = 6, min_minority: int = 1, max_ratio: float = 1e4
) -> SearchStrategy[ClassPrior]:
    """Two-group priors: K_A and K_B classes, R = n_A/n_B in [1, max_ratio], R = 1 and nearly 1 among them, n_B = 1.

    Args:
        max_majority: bound of K_A, >= 1.
        max_minority, min_minority: range of K_B, 1 <= min <= max.
        max_ratio: bound of R, >= 1.

    Raises:
        TypeError, ValueError: an argument out of its range.

    >>> from hypothesis import find
    >>> find(step_priors(), lambda p: True)
    ClassPrior([1, 1])
    """
    k_a = st.integers(1, integer("max_majority", max_majority, minimum=1))
    least = integer("min_minority", min_minority, minimum=1)
    k_b = st.integers(least, integer("max_minority", max_minority, minimum=least))
    most = _ratio(max_ratio)
    beyond = st.one_of(st.just(0.0), log_uniform(1e-6, max(most - 1, 2e-6)))
    return st.builds(lambda a, b, x: ClassPrior.step(a, b, min(1 + x, most)), k_a, k_b, beyond)


def architectures(
    *,
    families: Sequence[str] = ARCHITECTURES,
    min_size: float = SIZES[0],
    max_size: float = SIZES[1],
    max_rho: float = 0.8,
    features: str = "real",
) -> SearchStrategy[Architecture]:
    """Architectures of the given ``families``, budgets or weight decays in [min_size, max_size], rho in [0, max_rho].

    Parameters that have a default keep it: what E_A or lambda_A would add is not convex. Weight decay of that size
    mostly leaves nothing of the optimum; :func:`problems` scales it to the prior.

    Args:
        families: class names, at least one of :data:`ARCHITECTURES`; examples shrink towards the first. By name
            ``NormBounded`` too, whose gauge is no nuclear norm.
        min_size, max_size: range of budgets and weight decays, 0 < min <= max.
        max_rho: bound of rho, in [0, 1).
        features: ``"real"``, or ``"nonnegative"`` for those of the families that know them.

    Raises:
        TypeError, ValueError: an argument out of its range.

    >>> from hypothesis import find
    >>> find(architectures(), lambda a: True)
    LayerPeeled(E_W=1.0, E_H=1.0)
    >>> find(architectures(features="nonnegative"), lambda a: "lambda_W" in a.parameters)
    UnconstrainedFeatures(lambda_W=1.0, lambda_H=1.0, features='nonnegative')
    >>> find(architectures(families=("NormBounded",)), lambda a: True)
    NormBounded(w=1.0, h=1.0)
    """
    low, high = positive("min_size", min_size), positive("max_size", max_size)
    if low > high:
        raise ValueError(f"min_size must be at most max_size, got {min_size!r} and {max_size!r}")
    size, rho = log_uniform(low, high), st.floats(0, fraction("max_rho", max_rho))
    classes = [_CLASSES[name] for name in _families(families)]
    if one_of("features", features, registry.FEATURES) == "nonnegative":
        classes = [cls for cls in classes if issubclass(cls, registry.FeatureCone)]
        if not classes:
            raise ValueError(f"families must hold one that knows nonnegative features, got {families!r}")
        drawn = st.one_of([_family(cls, size, rho) for cls in classes])
        return drawn.map(lambda architecture: _with_features(architecture, features))
    return st.one_of([_family(cls, size, rho) for cls in classes])


def problems(
    *,
    max_classes: int = 6,
    max_groups: int = 3,
    losses: Sequence[str] = ("ce", "mse"),
    families: Sequence[str] = ARCHITECTURES,
    features: str = "real",
) -> SearchStrategy[Problem]:
    """Problems whose optimum is worth finding: neither underflowing nor, as a rule, zero.

    Budgets put the radius between K/20 and 4 K under cross-entropy and below 0.9 K under MSE (whose risk vanishes at
    K). Weight decay puts the strength between a tenth of and just above that from which zero features are optimal.

    Args:
        max_classes: bound of K, >= 2.
        max_groups: most distinct counts.
        losses: names, at least one.
        families: class names, at least one of :data:`ARCHITECTURES`; see :func:`architectures`.
        features: ``"real"`` or ``"nonnegative"``.

    Raises:
        TypeError, ValueError: an argument out of its range.

    >>> from hypothesis import find
    >>> problem = find(problems(), lambda p: True)
    >>> problem.architecture, problem.prior
    (LayerPeeled(E_W=1.0, E_H=1.0), ClassPrior([1, 1]))
    """
    names = [one_of("losses", name, LOSSES) for name in _sequence("losses", losses)]
    return _problems(
        architectures(families=families, max_rho=0.6, features=features),
        priors(max_classes=max_classes, max_groups=max_groups),
        st.sampled_from(names),
    )


@st.composite
def _problems(draw: st.DrawFn, architecture: Any, prior: Any, loss: Any) -> Problem:
    """Composite, and not ``builds``: a failing example shows the problem, not the call that scaled it."""
    return scaled(draw(architecture), draw(prior), draw(loss))


def etfs(*, min_classes: int = 2, max_classes: int = 8, max_extra: int = 3) -> SearchStrategy[Array]:
    """Simplex ETFs (d, K) in random rotations and scales, K - 1 <= d <= K + ``max_extra``.

    Args:
        min_classes, max_classes: range of K, 2 <= min <= max.
        max_extra: >= 0.

    Raises:
        TypeError, ValueError: an argument out of its range.

    >>> from hypothesis import find
    >>> find(etfs(), lambda m: m.shape[1] == 3).shape
    (2, 3)
    """
    return _etfs(st.integers(*_class_range(min_classes, max_classes)), rotated_frames(max_extra))


@st.composite
def _etfs(draw: st.DrawFn, num_classes: Any, frames: Any) -> Array:
    """Composite, and not ``builds``: a failing example shows the matrix, not the call that rotated it."""
    k, frame = draw(num_classes), draw(frames)
    found: Array = frame(k).view(ShownArray)
    return found


def rotated_frames(max_extra: int = 3) -> SearchStrategy[Callable[[int], Array]]:
    """Functions that give the simplex ETF of K classes in one rotation and scale, K - 1 <= d <= K + ``max_extra``.

    >>> from hypothesis import find
    >>> find(rotated_frames(), lambda frame: True)(3).shape
    (2, 3)
    """
    extra = st.integers(0, integer("max_extra", max_extra, minimum=0) + 1)

    def frames(extra: int, scale: float, seed: int | None) -> Callable[[int], Array]:
        return lambda k: scale * simplex_etf(k, dim=k - 1 + extra, seed=seed)

    return st.builds(frames, extra, log_uniform(1e-3, 1e3), st.none() | SEEDS)


def _family(
    cls: type[Architecture], size: SearchStrategy[float], rho: SearchStrategy[float]
) -> SearchStrategy[Architecture]:
    """Architectures of one class: a strategy for each parameter without a default, or for all, in all its variants."""
    sizes = {p.name: _value(cls, p, size, rho) for p in _required(cls) or parameters_of(cls)}
    fixed = [{name: st.just(value) for name, value in kind.items()} for kind in _variants(cls)]
    return st.one_of([st.builds(cls, **sizes, **kind) for kind in fixed])


def _value(cls: type, parameter: Parameter, size: SearchStrategy[float], rho: SearchStrategy[float]) -> Any:
    if parameter.name == "rho":
        return rho
    if tuple in parameter.kinds:
        return st.tuples(size, size)  # of two factors: the gauge of more is not convex
    if float in parameter.kinds:
        return size
    raise TypeError(f"{cls.__name__}.{parameter.name} must have a default to be drawn, or be a number or a sequence")


def _with_features(architecture: Any, features: str) -> Any:
    return dataclasses.replace(architecture, features=features)


def scaled(architecture: Any, prior: ClassPrior | Labels, loss: str | Loss, bias: str | float | None = None) -> Problem:
    """The problem of an architecture whose last budget or first weight decay is scaled to prior and loss.

    Radius and strength are geometric means of the two sizes, times a factor that rho and K make: with the factor taken
    out, what was drawn says how large they are. Where the gauge is not convex, or 0 always optimal, nothing is scaled.

    >>> scaled(registry.LayerPeeled(1.0, 4.0), ClassPrior([1, 1]), "mse").radius  # reflected at 0.9 K
    0.81
    """
    if isinstance(architecture, registry.FeatureCone) and architecture.features != "real":
        # by what it would be with real features
        real_features = scaled(_with_features(architecture, "real"), prior, loss, bias).architecture
        return Problem.of(_with_features(real_features, architecture.features), prior, loss, bias)
    problem = Problem.of(architecture, prior, loss, bias)
    if not problem.has_nuclear_norm:
        return problem
    first, second = _sizes(architecture)
    drawn = math.sqrt(first) * math.sqrt(second)
    k = prior.num_classes
    if problem.is_constrained:
        squares = problem.loss.closed_form is ClosedForm.MEAN_SQUARED_ERROR
        wanted = k * (_below(drawn, 0.9) if squares else drawn)
        return Problem.of(_times(architecture, -1, (wanted / problem.radius) ** 2), prior, loss, bias)
    probe = Problem.of(UnconstrainedFeatures(1.0, 1.0), prior, loss, bias)
    edge = probe.dual_norm(probe.gradient(np.zeros((k, prior.num_columns))))
    if edge < 1e-12:
        return problem
    relative = math.log(drawn / SIZES[0]) / math.log(SIZES[1] / SIZES[0])
    wanted = edge * DECAYS[0] * (DECAYS[1] / DECAYS[0]) ** relative
    return Problem.of(_times(architecture, 0, (wanted / problem.strength) ** 2), prior, loss, bias)


def _size_names(architecture: Architecture) -> list[str]:
    return [p.name for p in _required(type(architecture)) if p.name != "rho"]


def _sizes(architecture: Architecture) -> list[float]:
    """Budgets or weight decays, classifier first."""
    values = [getattr(architecture, name) for name in _size_names(architecture)]
    return [x for value in values for x in (value if isinstance(value, tuple) else (value,))]


def _times(architecture: Any, place: int, factor: float) -> Architecture:
    """The architecture with its first or last size times ``factor``."""
    name = _size_names(architecture)[place]
    value = getattr(architecture, name)
    if isinstance(value, tuple):
        sizes = list(value)
        sizes[place] *= factor
        return dataclasses.replace(architecture, **{name: tuple(sizes)})
    return dataclasses.replace(architecture, **{name: value * factor})


def _below(size: float, bound: float) -> float:
    """``size``, reflected at ``bound``."""
    return size if size <= bound else bound**2 / size


def _ratio(value: Any) -> float:
    ratio = real("max_ratio", value)
    if ratio < 1:
        raise ValueError(f"max_ratio must be >= 1, got {value!r}")
    return ratio


def _class_range(least: Any, most: Any) -> tuple[int, int]:
    low = integer("min_classes", least, minimum=2)
    return low, integer("max_classes", most, minimum=low)


def _sequence(name: str, values: Any) -> list[Any]:
    is_flat = isinstance(values, Iterable) and getattr(values, "ndim", 1) == 1
    if isinstance(values, str | bytes) or not is_flat or not (found := list(values)):
        raise ValueError(f"{name} must be a sequence of names, at least one, got {values!r}")
    return found


def _families(families: Any) -> list[str]:
    names = _sequence("families", families) if not isinstance(families, list | tuple) else list(families)
    if not names or any(not isinstance(name, str) or name not in _CLASSES for name in names):
        raise ValueError(f"families must be among {', '.join(_CLASSES)}, got {names!r}")
    return names
