"""An optimum of the theory beside a trained network: Gram matrices, s_B, cosines, NC2 and NC3."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import array
from ufm.geometry import centred, coinciding, collapse
from ufm.labels import ClassPrior
from ufm.measures import measure
from ufm.phases import Phase
from ufm.solution import Solution

__all__ = [
    "PURE",
    "RESOLUTION",
    "beside",
    "compare",
    "gram_matrices",
    "gram_of",
    "phase_of",
    "phase_of_classes",
    "rank_of",
    "resolution_of",
]

Array = NDArray[np.float64]

#: Fraction of the largest singular value of logits up to which they count as those of unused directions; and what is
#: below it of a unit is none at all. The unit of logits is that of log-probabilities, 1, or what a problem makes it.
RESOLUTION = 1e-3
#: Distance of two logit columns, over the longest of all, at which classes of different counts are one tail, as of
#: :class:`ufm.Geometry`.
TAIL = 1e-2

#: Numbers of a comparison that have no scale of their own; their ``error`` is a difference.
PURE = (
    "minority_cosine",
    "majority_cosine",
    "minority_feature_cosine",
    "majority_feature_cosine",
    "etf_error",
    "classifier_etf_error",
    "self_duality_error",
)


def resolution_of(logits: Array, unit: float = 1.0) -> float:
    """What counts as zero in logits (K, K): :data:`RESOLUTION` times a unit, or their largest singular value.

    Relative to the largest alone, the rounding of a network that is zero would have ranks and phases.

    >>> resolution_of(np.diag([5.0, 0.0])), resolution_of(1e-9 * np.eye(2))
    (0.005, 0.001)
    """
    return RESOLUTION * max(float(np.linalg.norm(logits, 2)), unit)


def rank_of(logits: Array, unit: float = 1.0) -> int:
    """Singular values of logits (K, K) above :func:`resolution_of` them.

    >>> rank_of(np.diag([5.0, 1.0, 1e-4])), rank_of(1e-9 * np.eye(3)), rank_of(1e-9 * np.eye(3), unit=1e-9)
    (2, 0, 3)
    """
    return int((np.linalg.svd(logits, compute_uv=False) > resolution_of(logits, unit)).sum())


def phase_of(logits: Array, prior: ClassPrior) -> str:
    """``"none"``, ``"partial"`` or ``"total"``: of groups in logits (K, K), at :func:`resolution_of` them.

    >>> phase_of(1e-9 * np.random.default_rng(0).normal(size=(4, 4)), ClassPrior([9, 9, 2, 2]))
    'total'
    """
    centred_logits = logits - logits.mean(axis=0)
    return str(collapse(centred_logits, [group.classes for group in prior.groups], resolution_of(centred_logits))[1])


def phase_of_classes(logits: Array, prior: ClassPrior, unit: float = 1.0) -> str:
    """``"none"``, ``"partial"``, ``"total"`` or ``"tail"``: of classes in logits (K, K), at :func:`resolution_of` them.

    What an optimum's :class:`ufm.Geometry` says of what coincides exactly is said of what does to the resolution, also
    of some classes of a group, as in codes of low rank. Classes of different counts coincide where their logits vanish,
    else they are a tail at most.

    >>> priors = ClassPrior([9, 4, 2, 1]), ClassPrior.balanced(4)
    >>> [phase_of_classes(np.diag([9.0, 4.0, s, t]), priors[0]) for s, t in ((0, 0), (0.03, 0.02), (2, 1))]
    ['total', 'tail', 'none']
    >>> phase_of_classes(np.outer([1, 1, -1, -1], [1, 1, -1, -1]), priors[1])
    'partial'
    """
    z, groups = logits - logits.mean(axis=0), [group.classes for group in prior.groups]
    resolution, lengths = resolution_of(z, unit), np.linalg.norm(z, axis=0)
    if (lengths <= resolution).sum() > 1:
        return str(Phase.TOTAL)
    place = {k: a for a, members in enumerate(groups) for k in members}
    if any(len({place[k] for k in found}) < len(found) for found in coinciding(z, groups, resolution)):
        return str(Phase.PARTIAL)
    flags = collapse(z, groups, resolution)[0]
    return str(Phase.TAIL if coinciding(z, groups, TAIL * float(lengths.max()), flags) else Phase.NONE)


def gram_matrices(classifier: Array, means: Array) -> dict[str, Array]:
    """Gram matrices, shape (K, K): of the centred class means, ``features``, and of the rows of W, ``classifier``.

    Args:
        classifier: W, shape (K, d).
        means: class means of the features that it sees, shape (d, K).

    >>> gram = gram_matrices(np.eye(2), np.array([[1.0, -1.0], [0.0, 0.0]]))
    >>> gram["features"].tolist(), gram["classifier"].tolist()
    ([[1.0, -1.0], [-1.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])
    """
    w, h = array("classifier", classifier), array("means", means)
    if w.ndim != 2 or h.shape != w.shape[::-1]:
        raise ValueError(f"classifier (K, d) and means (d, K) must fit together, got shapes {w.shape} and {h.shape}")
    m = centred(h)
    return {"features": m.T @ m, "classifier": w @ w.T}


def gram_of(solution: Solution) -> dict[str, Array]:
    """:func:`gram_matrices` of an optimum's factors; the features are those that its classifier sees.

    >>> import ufm
    >>> gram_of(ufm.solve(ufm.LayerPeeled(1, 1), ufm.ClassPrior.balanced(2)))["classifier"].round(6).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    return gram_matrices(solution.factors.classifier, solution.factors.equilibrium_features)


def compare(solution: Solution, threshold: float, classifier: Array, means: Array) -> dict[str, Any]:
    """An optimum beside a trained network, as JSON types.

    Args:
        solution: the predicted optimum.
        threshold: the predicted n_B*.
        classifier: measured W, shape (K, d).
        means: measured class means of the features that it sees, shape (d, K).

    Returns:
        ``gram_features``, ``gram_classifier``: relative error in the Frobenius norm of the Gram matrices ``M^T M``
        (M centred) and ``W W^T``, scale included; None where the predicted one is 0. ``scale`` (s_B), the cosines of
        minority and majority and the errors of NC2 and NC3, named as in :class:`ufm.measures.Measures`:
        ``{"predicted", "measured", "error", "relative_error"}``. ``relative_error`` is ``measured/predicted - 1``, None
        where the predicted is 0; ``error`` is the same for s_B, and the difference for the others, which have no scale.
        ``phase``, ``measured_phase``, and ``threshold``, predicted: one network has none to be measured.

    Raises:
        TypeError, ValueError: arrays that are not real, finite and of these shapes.

    >>> import ufm
    >>> solution = ufm.solve(ufm.UnconstrainedFeatures(0.01, 0.01), ufm.ClassPrior.step(2, 2, 2.0))
    >>> w, m = solution.factors.classifier, solution.factors.equilibrium_features
    >>> found = compare(solution, 1.0, w, 1.1 * m)
    >>> round(found["gram_features"], 6), round(found["scale"]["error"], 6), found["measured_phase"]
    (0.21, 0.1, 'none')
    """
    network = gram_matrices(classifier, means)
    theory = gram_of(solution)
    prior, geometry = solution.problem.class_prior, solution.geometry
    # Class means are samples without spread.
    measured = measure(np.asarray(means).T, np.arange(prior.num_classes), classifier=classifier, prior=prior)
    found: dict[str, Any] = {}
    for name, p in theory.items():
        size = float(np.linalg.norm(p))
        found[f"gram_{name}"] = float(np.linalg.norm(p - network[name])) / size if size else None
    scales = measured.group_scales
    found["scale"] = beside(geometry.group_scales[-1], None if scales is None else scales[-1], relative=True)
    for name in PURE:
        found[name] = beside(getattr(geometry, name), getattr(measured, name), relative=False)
    phase = phase_of(np.asarray(classifier) @ np.asarray(means), prior)
    return found | {"phase": geometry.phase, "measured_phase": phase, "threshold": threshold}


def beside(predicted: float | None, measured: float | None, *, relative: bool) -> dict[str, float | None]:
    """``{"predicted", "measured", "error", "relative_error"}``; ``error`` is the relative one or the difference.

    >>> [beside(2.0, 2.5, relative=relative)["error"] for relative in (True, False)]
    [0.25, 0.5]
    """
    if predicted is None or measured is None:
        difference = quotient = None
    else:
        difference = measured - predicted
        quotient = measured / predicted - 1 if predicted else None
    error = quotient if relative else difference
    return {"predicted": predicted, "measured": measured, "error": error, "relative_error": quotient}
