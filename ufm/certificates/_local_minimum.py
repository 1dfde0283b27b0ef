"""Certificates of spurious local minima of the spectral DEQ with weight decay, found in floating point before."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import arb, arb_mat
from numpy.typing import NDArray

from proofs_check import checker
from proofs_check.kinds.local_minimum import Point
from proofs_check.precision import precision
from ufm.certificates._certificate import Certificate, CertificationError
from ufm.certificates._exact import ball, dyadic, lower_end, round_down, round_up, text, upper_end

if TYPE_CHECKING:
    from ufm.landscape.trapped_minima import TrappedMinimum

__all__ = ["certify_local_minimum"]

Array = NDArray[np.float64]

#: Bits of the point of a certificate, steps that lead there, and the radius within which the minimum is.
BITS, STEPS, RADIUS = 160, 5, Fraction(1, 2**100)

#: Bits of the bound of the curvature and of the pair of vectors, digits of the interval of the value.
VECTOR_BITS, DIGITS = 40, 24


def certify_local_minimum(minimum: TrappedMinimum) -> Certificate:
    """Certificate of a spurious local minimum in (W, A, H) next to the data, with its value.

    The features are rotated until r classes have a triangular block of P; the entries above its diagonal are what the
    slice across the orbit keeps. Newton steps in the other coordinates sharpen the point.

    Raises:
        CertificationError: the checker finds no proof in it.

    Source: theorem factor-landscape; :mod:`proofs_check.kinds.local_minimum`.

    >>> from ufm.landscape import find_trapped
    >>> minimum = find_trapped([1, 1, 1, 1], lam=0.04, rho=0.5, rank=2, starts=3)[0]
    >>> certificate = certify_local_minimum(minimum)
    >>> certificate.kind, certificate.check().accepted, certificate.relative_width < 1e-20
    ('local-minimum', True, True)
    """
    if not (np.isfinite(minimum.left).all() and np.isfinite(minimum.right).all()):
        raise CertificationError("the data carry no proof: they are not finite")
    claim: dict[str, Any] = {
        "kind": "local-minimum",
        "architecture": {
            "name": "penalised_deq",
            "lambda_W": text(minimum.lam),
            "lambda_H": text(minimum.lam),
            "rho": text(minimum.rho),
        },
        "prior": [{"classes": len(list(run)), "count": text(n)} for n, run in groupby(minimum.counts)],
        "loss": "ce",
        "statement": {},
    }
    try:
        with precision(checker.PRECISION):
            problem = checker.read_claim({"format": checker.FORMAT, "claim": claim, "witness": {}})
            witness, interval = _witness(problem, *_across(minimum.left, minimum.right))
    except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
        raise CertificationError(f"the data carry no proof: {error}") from None
    return Certificate.proving({**claim, "statement": {"rank": minimum.rank} | interval}, witness)


def _across(left: Array, right: Array) -> tuple[list[list[Fraction]], list[int]]:
    """(P, Q) turned until r rows of P are lower triangular, one above the other, and the places above that diagonal."""
    from scipy.linalg import qr

    r = left.shape[1]
    rotation, _, order = qr(left.T, mode="economic", pivoting=True)
    x = np.concatenate([left @ rotation, right @ rotation])
    kept = sorted(int(order[i]) * r + j for i, j in combinations(range(r), 2))
    return [[Fraction(y) for y in row] for row in x.tolist()], kept


def _witness(
    problem: checker.Claim, point: list[list[Fraction]], kept: list[int]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The witness at the minimum next to a point, and an interval of its value."""
    k, r = len(point) // 2, len(point[0])
    free = [i for i in range(2 * k * r) if i not in kept]
    for _ in range(STEPS):
        here = _at(problem, point)
        first, second = here.first(), here.second()
        middle = arb_mat([[second[i, j].mid() for j in free] for i in free])
        step = middle.solve(arb_mat([[first[i].mid()] for i in free]))
        for place, i in enumerate(free):
            point[i // r][i % r] = dyadic(point[i // r][i % r] - lower_end(step[place, 0].mid()), BITS)
    here = _at(problem, point)
    second = here.second()
    least = np.linalg.eigvalsh([[float(second[i, j].mid()) for j in free] for i in free])[0]
    u, _, vt = np.linalg.svd([[float(here.gradient[i, j].mid()) for j in range(k)] for i in range(k)])
    value = _at(problem, point, RADIUS).value()
    witness = {
        "P": [[text(y) for y in row] for row in point[:k]],
        "Q": [[text(y) for y in row] for row in point[k:]],
        "slice": kept,
        "radius": text(RADIUS),
        "curvature": text(dyadic(Fraction(float(least)) / 2, VECTOR_BITS)),
        "left": [text(dyadic(Fraction(float(y)), VECTOR_BITS)) for y in u[:, 0]],
        "right": [text(dyadic(Fraction(float(y)), VECTOR_BITS)) for y in vt[0]],
    }
    ends = text(round_down(lower_end(value), DIGITS)), text(round_up(upper_end(value), DIGITS))
    return witness, {"lower": ends[0], "upper": ends[1]}


def _at(problem: checker.Claim, point: list[list[Fraction]], radius: Fraction = Fraction(0)) -> Point:
    """The checker's numbers on the box of this radius about a point."""
    spread, k = arb(0, 1) * ball(radius), len(point) // 2
    p, q = (arb_mat([[ball(x) + spread for x in row] for row in rows]) for rows in (point[:k], point[k:]))
    return Point(problem, p, q)
