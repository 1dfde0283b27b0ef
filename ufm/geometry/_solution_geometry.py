"""Geometry of a solution: how far its factors are from the ETF and from self-duality, and its phase of collapse."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import svdvals
from ufm._validation import one_of
from ufm.architectures import Factors
from ufm.geometry.codes import name_structure
from ufm.geometry.distances import centred, cosine_matrix, etf_error, mean_pairwise_cosine, self_duality_error
from ufm.labels import ClassPrior
from ufm.phases import PHASES, Phase

__all__ = ["PHASES", "Geometry", "collapse", "group_scales"]

Array = NDArray[np.float64]
Groups = Sequence[tuple[int, ...]]

#: Singular values and logits of a solution count as zero up to this fraction of the largest singular value: a hundred
#: times the 1e-9 that a solver may leave behind, and far below what a solution shows that is not at a threshold.
TOLERANCE = 1e-7

#: Distance of two centred logit columns, over the longest of all, up to which classes of different counts count as one
#: tail. Nothing makes them coincide exactly; without a direction of their own they differ in length along a common one.
RESOLUTION = 1e-2

#: Logits up to this size are zero whatever the largest is (softmax fixes their unit): a solver's noise around Z = 0.
ZERO_LOGITS = 1e-12


@dataclass(frozen=True, eq=False)
class Geometry:
    """Geometry of optimal factors; build it with :meth:`of`. ``geometry["rank"]`` is ``geometry.rank``.

    W is the classifier, H the equilibrium features (what the classifier sees), M the features less their unweighted
    mean over classes, Z = W H the logits. Groups are those of the prior, most frequent first: the majority is the
    first, the minority the last, and with balanced classes both are all classes.

    Attributes:
        etf_error: ``|G/|G|_F - (I - 11^T/K)/sqrt(K-1)|_F`` with ``G = M^T M`` (NC2); 1.0 where M = 0.
        classifier_etf_error: the same with ``G = W W^T``, W not centred; 1.0 where W = 0.
        self_duality_error: ``|W/|W|_F - M^T/|M|_F|_F`` (NC3); 1.0 where one of them is 0, 0.0 where both are.
        minority_cosine: mean pairwise cosine of the minority's classifiers (Fang et al. 2021); 1 in both collapsed
            phases, for zero classifiers coincide; None for a single minority class.
        majority_cosine: mean pairwise cosine of the majority's classifiers; None for a single class.
        minority_feature_cosine: mean pairwise cosine of the minority's columns of M; None for a single class.
        majority_feature_cosine: mean pairwise cosine of the majority's columns of M; None for a single class.
        rank: singular values of Z above 1e-7 of the largest.
        singular_values: of Z, descending, shape (K,), read-only.
        group_scales: s_b of every group, the mean over its classes k of ``Z[k, k]`` less the mean of ``Z[j, k]`` over
            the other members j; None for a group of one class.
        collapsed: for every group, whether its classes coincide (s_b = 0). A group of one class never does, even where
            its logits vanish; there only the rank tells.
        collapsed_classes: sets of two or more classes whose centred logit columns coincide, largest first: a collapsed
            group, or groups that have merged; where none do, the tail of rare classes that have come within a hundredth
            of the longest column of one of them.
        phase: ``"none"``; ``"partial"`` if classes coincide; ``"total"`` if moreover the centred logits of such classes
            vanish, so that their features carry nothing; ``"tail"`` if rare classes of different counts all but
            coincide. See :class:`ufm.phases.Phase`.
        structure: name of the configuration of H, not centred: ``"simplex ETF"``, ``"square"``, ``"octahedron"``, ...,
            ``"softmax code of rank r"``; see :func:`ufm.geometry.name_structure`.
    """

    etf_error: float
    classifier_etf_error: float
    self_duality_error: float
    minority_cosine: float | None
    majority_cosine: float | None
    minority_feature_cosine: float | None
    majority_feature_cosine: float | None
    rank: int
    singular_values: Array
    group_scales: tuple[float | None, ...]
    collapsed: tuple[bool, ...]
    collapsed_classes: tuple[tuple[int, ...], ...]
    phase: Phase
    structure: str

    @classmethod
    def of(
        cls,
        factors: Factors,
        prior: ClassPrior,
        *,
        collapsed: Sequence[bool] | None = None,
        phase: str | None = None,
    ) -> Geometry:
        """Measure ``factors``.

        A group is found collapsed when the centred logit columns of its classes differ from their mean by no more than
        1e-7 of the largest singular value of Z, and its logits vanish within the same tolerance. Closer than that to a
        threshold the numbers cannot tell; a solver that knows better says so.

        Args:
            factors: W, H and, for a DEQ, A.
            prior: the class prior they belong to.
            collapsed: for every group of the prior whether it is collapsed, where the solver knows.
            phase: the phase, where the solver knows. Without ``collapsed``, a phase other than ``"none"`` means that
                the least frequent group of two or more classes is collapsed, beside those found to be.

        Raises:
            TypeError, ValueError: factors and prior that do not belong together, factors not finite or without
                equilibrium, ``collapsed`` of the wrong length or true for a group of one class, an unknown phase, or
                one that contradicts ``collapsed`` or that no group of this prior can have.

        >>> factors = Factors(np.eye(3) - 1 / 3, np.eye(3) - 1 / 3)
        >>> found = Geometry.of(factors, ClassPrior([1, 1, 1]))
        >>> found.structure, found.rank, str(found.phase), round(found.etf_error, 6)
        ('simplex ETF', 2, 'none', 0.0)
        """
        w, h, z = _checked(factors, prior)
        groups = [group.classes for group in prior.groups]
        singular_values = np.asarray(svdvals(z), dtype=np.float64)
        singular_values.setflags(write=False)
        scale = float(singular_values[0])
        tolerance = max(TOLERANCE * scale, ZERO_LOGITS)
        if collapsed is not None:
            flags: tuple[bool, ...] | None = _checked_flags(collapsed, groups)
        elif phase is not None:
            flags = _flags_of_phase(one_of("phase", phase, PHASES), collapse(z, groups, tolerance)[0], groups)
        else:
            flags = None
        # a phase of which a solver knows that it is none leaves nothing to find within a tolerance
        sets = () if phase == Phase.NONE and not any(flags or ()) else coinciding(z, groups, tolerance, flags)
        found = _phase_of(z, sets, tolerance)
        if phase is not None:
            found = _checked_phase(one_of("phase", phase, PHASES), sets)
        if not found.is_exact:  # what no group does exactly, the rare classes of a long tail do nearly
            known = flags or collapse(z, groups, tolerance)[0]
            sets = coinciding(z, groups, RESOLUTION * _longest(z - z.mean(axis=0)), known)
            found = Phase.TAIL if sets else Phase.NONE
        flags = flags or tuple(len(g) > 1 and any(set(g) <= set(s) for s in sets) for g in groups)
        means = centred(h)
        # A logit is a product of two factors: noise of 1e-7 in it is a row of length sqrt(1e-7).
        cosines = [cosine_matrix(x, zero=TOLERANCE**0.5) for x in (w.T, means)]
        (majority_w, majority_h), (minority_w, minority_h) = (
            [mean_pairwise_cosine(c, members) for c in cosines] for members in (groups[0], groups[-1])
        )
        return cls(
            etf_error=etf_error(means),
            classifier_etf_error=etf_error(w.T, centre=False),
            self_duality_error=self_duality_error(w, means),
            minority_cosine=minority_w,
            majority_cosine=majority_w,
            minority_feature_cosine=minority_h,
            majority_feature_cosine=majority_h,
            rank=0 if scale <= ZERO_LOGITS else int((singular_values > TOLERANCE * scale).sum()),
            singular_values=singular_values,
            group_scales=group_scales(z, groups),
            collapsed=flags,
            collapsed_classes=sets,
            phase=found,
            structure=name_structure(h),
        )

    @property
    def collapsed_groups(self) -> tuple[int, ...]:
        """Indices of the collapsed groups in ``prior.groups``."""
        return tuple(b for b, flag in enumerate(self.collapsed) if flag)

    def __getitem__(self, name: str) -> Any:
        if name not in self.__dataclass_fields__:
            raise KeyError(f"{name!r} is no field of Geometry; it has {', '.join(self.__dataclass_fields__)}")
        return getattr(self, name)

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON types (arrays and tuples as lists).

        >>> Geometry.of(Factors(np.eye(2), np.eye(2)), ClassPrior([1, 1])).to_dict()["collapsed"]
        [False]
        """
        return {
            f.name: value.tolist() if isinstance(value := getattr(self, f.name), np.ndarray) else _listed(value)
            for f in dataclasses.fields(self)
        }


def group_scales(logits: Array, groups: Groups) -> tuple[float | None, ...]:
    """``s_b``, the mean over k in group b of ``Z[k, k] - mean of Z[j, k] over the other j in b``; None for one class.

    On logits that are invariant under permutations within groups, ``Z_ij = s_a [i = j] + t_ab``.

    Args:
        logits: Z, shape (K, K), column k = logits of class k.
        groups: class indices, a tuple a group.

    >>> group_scales(np.diag([2.0, 4.0, 1.0]), [(0, 1), (2,)])
    (3.0, None)
    """
    scales: list[float | None] = []
    for members in groups:
        size = len(members)
        block = logits[np.ix_(members, members)]
        # Differences from the diagonal, not trace minus sum: equal logits then give exactly 0.
        scales.append(float((np.diagonal(block) - block).sum()) / (size * (size - 1)) if size > 1 else None)
    return tuple(scales)


def collapse(
    logits: Array, groups: Groups, tolerance: float, flags: Sequence[bool] | None = None
) -> tuple[tuple[bool, ...], Phase]:
    """Which groups are collapsed, and the phase.

    A group of two or more classes is collapsed when its centred logit columns coincide: ``|Z[:, k] - mean over the
    group|`` at most ``tolerance`` for each of its classes. On symmetric logits this is ``s_b = 0``; on others it is
    stricter than a vanishing mean, where terms could cancel.

    Args:
        logits: Z, shape (K, K), column k = logits of class k.
        groups: class indices, a tuple a group.
        tolerance: absolute tolerance on the Euclidean norm of a column.
        flags: for every group whether it is collapsed, where that is known exactly.

    Returns:
        A flag for every group, and the phase: of the groups, or of all classes where the flags are known, for groups of
        different counts may have merged (see :class:`Geometry`).

    >>> flags, phase = collapse(np.diag([3.0, 0.0, 0.0]), [(0,), (1, 2)], 1e-7)
    >>> flags, str(phase)
    ((False, True), 'total')
    """
    columns = logits - logits.mean(axis=0)
    if flags is None:
        flags = tuple(
            len(members) > 1
            and _longest(columns[:, list(members)] - columns[:, list(members)].mean(axis=1, keepdims=True)) <= tolerance
            for members in groups
        )
        merged = tuple(tuple(g) for g, flag in zip(groups, flags, strict=True) if flag)
        return flags, _phase_of(logits, merged, tolerance)
    flags = tuple(flags)
    return flags, _phase_of(logits, coinciding(logits, groups, tolerance, flags), tolerance)


def coinciding(
    logits: Array, groups: Groups, tolerance: float, flags: Sequence[bool] | None = None
) -> tuple[tuple[int, ...], ...]:
    """Sets of two or more classes linked by centred logit columns within ``tolerance`` of each other, largest first.

    Args:
        logits: Z, shape (K, K), column k = logits of class k.
        groups: class indices, a tuple a group.
        tolerance: absolute tolerance on the Euclidean distance of two columns.
        flags: for every group whether its classes coincide, where that is known exactly: those of a group that has not
            collapsed are distinct, however close they are, and those of one that has are together.

    >>> coinciding(np.diag([3.0, 0.0, 0.0]), [(0,), (1,), (2,)], 1e-7)
    ((1, 2),)
    """
    columns = logits - logits.mean(axis=0)
    apart = {k for a, g in enumerate(groups) if flags is not None and not flags[a] and len(g) > 1 for k in g}
    units: list[tuple[int, ...]] = [(k,) for g in groups for k in g if k not in apart]
    if flags is not None:
        units = [g for a, g in enumerate(groups) if flags[a] or len(g) == 1]
    direction = np.random.default_rng(0).normal(size=len(columns))
    direction /= np.linalg.norm(direction)
    # columns that are close have close lengths and close projections: only the few that do are compared
    norms, projections = np.linalg.norm(columns, axis=0), direction @ columns
    sets: list[list[int]] = []
    open_sets: list[list[int]] = []  # whose last column is not too short for the ones to come
    for unit in sorted(units, key=lambda unit: norms[unit[0]]):
        k = unit[0]
        open_sets = [found for found in open_sets if norms[k] - norms[found[-1]] <= tolerance]
        for found in open_sets:
            last = found[-1]  # columns come by their length: a tail is a chain, each close to the one before
            near = max(abs(norms[k] - norms[last]), abs(projections[k] - projections[last])) <= tolerance
            if near and np.linalg.norm(columns[:, k] - columns[:, last]) <= tolerance:
                found.extend(unit)
                break
        else:
            sets.append(list(unit))
            open_sets.append(sets[-1])
    several = [tuple(sorted(found)) for found in sets if len(found) > 1]
    return tuple(sorted(several, key=lambda found: (-len(found), found)))


def _phase_of(logits: Array, sets: Sequence[tuple[int, ...]], tolerance: float) -> Phase:
    columns = logits - logits.mean(axis=0)
    if any(_longest(columns[:, list(members)]) <= tolerance for members in sets):
        return Phase.TOTAL
    return Phase.PARTIAL if sets else Phase.NONE


def _longest(columns: Array) -> float:
    return float(np.linalg.norm(columns, axis=0).max())


def _checked_phase(phase: str, sets: Sequence[tuple[int, ...]]) -> Phase:
    if (phase == Phase.NONE) != (not sets):
        raise ValueError(f"phase {phase!r} contradicts collapsed: the sets of classes that coincide are {list(sets)}")
    return Phase(phase)


def _flags_of_phase(phase: str, flags: tuple[bool, ...], groups: Groups) -> tuple[bool, ...]:
    if phase == Phase.NONE:
        return tuple(False for _ in groups)
    candidates = [b for b, members in enumerate(groups) if len(members) > 1]
    if not candidates:
        raise ValueError(f"phase must be 'none' where every group has one class, got {phase!r}")
    return tuple(flag or b == candidates[-1] for b, flag in enumerate(flags))


def _checked_flags(collapsed: Any, groups: Groups) -> tuple[bool, ...]:
    if isinstance(collapsed, str | bytes) or not isinstance(collapsed, Sequence | np.ndarray):
        raise TypeError(f"collapsed must be a sequence of booleans, one a group, got {collapsed!r}")
    if len(collapsed) != len(groups):
        raise ValueError(f"collapsed must have one entry a group, {len(groups)}, got {len(collapsed)}")
    for b, (flag, members) in enumerate(zip(collapsed, groups, strict=True)):
        if not isinstance(flag, bool | np.bool_):
            raise TypeError(f"collapsed[{b}] must be a boolean, got {flag!r}")
        if flag and len(members) < 2:
            raise ValueError(f"collapsed[{b}] must be False: a group of one class has nothing to coincide with")
    return tuple(bool(flag) for flag in collapsed)


def _checked(factors: Any, prior: Any) -> tuple[Array, Array, Array]:
    """W (K, d), the equilibrium features (d, K) and the logits (K, K)."""
    if not isinstance(factors, Factors):
        raise TypeError(f"factors must be ufm.architectures.Factors, got {factors!r}")
    if not isinstance(prior, ClassPrior):
        raise TypeError(f"prior must be a ufm.ClassPrior, got {prior!r}")
    k = prior.num_classes
    w = np.asarray(factors.classifier, dtype=np.float64)
    if w.ndim != 2 or w.shape[0] != k or w.shape[1] < 1:
        raise ValueError(f"factors.classifier must have shape (K, d) with K = {k} classes, got {w.shape}")
    d = w.shape[1]
    if np.shape(factors.features) != (d, k):
        raise ValueError(f"factors.features must have shape (d, K) = {(d, k)}, got {np.shape(factors.features)}")
    if factors.equilibrium is not None and np.shape(factors.equilibrium) != (d, d):
        raise ValueError(f"factors.equilibrium must have shape (d, d) = {(d, d)}, got {np.shape(factors.equilibrium)}")
    try:
        h = np.asarray(factors.equilibrium_features, dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            "factors.equilibrium must not have eigenvalue 1: there is no equilibrium; a rho next to 1 rounds to it"
        ) from error
    if not (np.isfinite(w).all() and np.isfinite(h).all()):
        raise ValueError("factors must be finite, got NaN or infinite entries")
    return w, h, w @ h


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value
