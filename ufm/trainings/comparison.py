"""An optimum of the theory beside a trained network: Gram matrices, s_B, cosines, NC2 and NC3."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.geometry import centred
from ufm.measures import measure
from ufm.solution import Solution

__all__ = ["PURE", "beside", "compare", "gram_matrices", "gram_of"]

Array = NDArray[np.float64]

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


def gram_matrices(classifier: Array, means: Array) -> dict[str, Array]:
    """Gram matrices, shape (K, K): of the centred class means, ``features``, and of the rows of W, ``classifier``.

    Args:
        classifier: W, shape (K, d).
        means: class means of the features that it sees, shape (d, K).
    """
    w, h = (np.asarray(x, dtype=np.float64) for x in (classifier, means))
    if w.ndim != 2 or h.shape != w.shape[::-1]:
        raise ValueError(f"classifier (K, d) and means (d, K) must fit together, got shapes {w.shape} and {h.shape}")
    m = centred(h)
    return {"features": m.T @ m, "classifier": w @ w.T}


def gram_of(solution: Solution) -> dict[str, Array]:
    """:func:`gram_matrices` of an optimum's factors; the features are those that its classifier sees."""
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
    """
    network = gram_matrices(classifier, means)
    theory = gram_of(solution)
    prior, geometry = solution.problem.prior, solution.geometry
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
    return found | {"phase": geometry.phase, "measured_phase": measured.phase, "threshold": threshold}


def beside(predicted: float | None, measured: float | None, *, relative: bool) -> dict[str, float | None]:
    """``{"predicted", "measured", "error", "relative_error"}``; ``error`` is the relative one or the difference."""
    if predicted is None or measured is None:
        difference = quotient = None
    else:
        difference = measured - predicted
        quotient = measured / predicted - 1 if predicted else None
    error = quotient if relative else difference
    return {"predicted": predicted, "measured": measured, "error": error, "relative_error": quotient}
