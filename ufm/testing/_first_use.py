"""The cost of first use, paid before any example: lazy imports, and what libraries set up at their first call."""

from __future__ import annotations

from functools import cache

import numpy as np

__all__ = ["warm"]


@cache
def warm() -> None:
    """Solve and measure something small, in every way that NumPy and SciPy alone can."""
    import ufm

    prior, network = ufm.ClassPrior([2, 1, 1]), ufm.LayerPeeled(1.0, 1.0)
    for loss in ("ce", "mse"):
        for method in ("reduced", "nuclear"):
            _ = ufm.solve(network, prior, loss, method=method).geometry
    _ = ufm.solve(ufm.UnconstrainedFeatures(0.1, 0.1), prior).geometry
    ufm.solve(ufm.UnconstrainedFeatures(0.1, 0.1), prior, bias=1.0)
    for features in (ufm.UnconstrainedFeatures(0.1, 0.1, features="nonnegative"), ufm.NormBounded(1.0, 1.0)):
        _ = ufm.solve(features, prior, "bce").geometry
    for other in (ufm.BinaryCrossEntropy(), ufm.SquaredHinge(), ufm.CrossEntropy(smoothing=0.1)):
        ufm.solve(network, prior, other, bias="free")
    ufm.collapse_threshold(network, 2, 2)
    ufm.measure(np.eye(4), np.arange(4) % 2, classifier=np.eye(2, 4))
