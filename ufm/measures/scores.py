"""Scores of single samples that rest on collapse."""

from __future__ import annotations

from typing import Any

import numpy as np

from ufm._validation import array
from ufm.geometry import centred
from ufm.measures._input import LARGEST, Array, checked_features

__all__ = ["neco_scores"]


def neco_scores(features: Any, means: Any) -> Array:
    """NECO ``|P (h - mu)| / |h - mu|`` of every sample, (n,), with P the projection onto the span of the class means.

    Under collapse a sample of the known classes lies in that span (score 1), and one from elsewhere does not.
    ``mu`` is the unweighted mean of the class means.

    Args:
        features: h, shape (n, d).
        means: class means of the training data, shape (d, K).

    Returns:
        Numbers in [0, 1]; 0 where ``h = mu``.

    Raises:
        TypeError, ValueError: arrays that are not real, finite and of these shapes.

    Source: Ammar et al. 2024, who project onto principal components of the training features instead, which under
    collapse span the same, and multiply by the largest logit.

    >>> neco_scores([[2.0, 0.0], [1.0, 1.0]], [[1.0, -1.0], [0.0, 0.0]]).round(6)
    array([1.      , 0.707107])
    """
    x = checked_features(features).astype(np.float64)
    m = array("means", means, ndim=2, largest=LARGEST)
    if x.shape[1] != len(m):
        raise ValueError(f"features must have d = {len(m)} columns to match means, got {x.shape[1]}")
    x = x - m.mean(axis=1)
    u, s, _ = np.linalg.svd(centred(m), full_matrices=False)
    basis = u[:, s > 1e-7 * s[0]] if s[0] > 0 else u[:, :0]
    norms, inside = np.linalg.norm(x, axis=1), np.linalg.norm(x @ basis, axis=1)
    return np.minimum(1.0, np.divide(inside, norms, out=np.zeros_like(norms), where=norms > 0))
