"""Certified local minima: what is found in floating point, proved in ball arithmetic."""

from __future__ import annotations

from ufm._validation import integer, positive
from ufm.landscape.trapped_minima import TrappedMinimum

__all__ = ["certify_trapped"]


def certify_trapped(minimum: TrappedMinimum, *, width: float = 1e-9, precision: int = 128) -> dict[str, float]:
    """Prove in ball arithmetic that next to the data there is a spurious local minimum of the DEQ in (W, A, H).

    With N an orthonormal basis of the complement of the orbit ``(P, Q) -> (P, Q) S``, S skew, at the data, it shows, on
    a box that holds every ``(P, Q) + N y`` with ``|y|_2 <= width``:

    1. the Hessian in y is at least ``curvature > 0``, and the gradient at y = 0 below ``curvature * width``: there is
       one critical point in the ball, and it is a minimum of the slice;
    2. the orbits cross the slice transversally: so it is a local minimum of the explicit network with r features;
    3. ``(1-rho) lam < |G D^{-1/2}|_2 < lam``: by the theorem in :mod:`ufm.landscape.critical_points` the point with
       A = rho on the features used and 0 beside them is a local minimum of the DEQ for every d > r, not a global one.

    Returns:
        The rigorous numbers: ``curvature``, ``gradient``, and bounds ``dual_norm_lower``, ``dual_norm_upper``.

    Raises:
        ufm.certificates.CertificationError: one of the three could not be shown.

    >>> from ufm.landscape import find_trapped
    >>> minimum = find_trapped([1, 1, 1, 1], lam=0.04, rho=0.5, rank=2, starts=3)[0]
    >>> numbers = certify_trapped(minimum)
    >>> 0.02 < numbers["dual_norm_lower"] <= numbers["dual_norm_upper"] < 0.04
    True
    """
    from ufm.landscape.trapped import prove_trapped

    return prove_trapped(minimum, positive("width", width), integer("precision", precision, minimum=64))
