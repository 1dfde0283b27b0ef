"""Codes of unit vectors: the best margin in the plane, and frames that are no codes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ufm.claims._model import Claim, Context, Enclosure, Scope
from ufm.claims._stated import stated
from ufm.claims._tools import Comparison, compare
from ufm.claims.spheres import code_margin

__all__ = ["CLAIMS"]

GROUP = "Bounded norms, codes and spheres"
Array = NDArray[np.float64]


def planar_margin(num_vectors: int) -> float:
    """1 - cos(2 pi/K)."""
    return 1 - math.cos(2 * math.pi / num_vectors)


def _polygon(arcs: Array) -> Array:
    """Unit vectors of the plane (2, K) with these arcs from one to the next, scaled to a full turn."""
    angles = np.cumsum(2 * np.pi * arcs / arcs.sum())
    return np.stack([np.cos(angles), np.sin(angles)])


def _plane(ctx: Context, formula: Callable[[int], float]) -> list[Comparison]:
    rows = []
    for k in (3, 4, 5, 8):
        regular = ctx.once(f"planar-margin-{k}", partial(code_margin, _polygon(np.ones(k))))
        name = f"K={k}, regular polygon"
        rows.append(compare(name, formula(k), Enclosure.around(regular, 1e-7), "distances to hulls", relative=1e-6))
        best = ctx.once(f"planar-best-{k}", partial(_best_planar, k))
        least = Enclosure.around(max(best, regular), 1e-7)
        rows.append(compare(f"K={k}: none of 15 others", formula(k), least, "distances to hulls", relative=1e-6))
    return rows


def _best_planar(num_vectors: int) -> float:
    """The largest margin of random polygons, near the regular one and far from it."""
    rng = np.random.default_rng(num_vectors)
    return max(
        code_margin(_polygon(np.exp(width * rng.standard_normal(num_vectors))))
        for width in (1e-3, 0.1, 1.0)
        for _ in range(5)
    )


PLANE = stated(
    planar_margin,
    _plane,
    "planar-codes",
    ("plane",),
    {
        "planar codes: half the arc": lambda k: 1 - math.cos(math.pi / k),
        "planar codes: the chord": lambda k: 2 * math.sin(math.pi / k),
        "planar codes: margin of the simplex": lambda k: k / (k - 1),
        "planar codes: a sine for its square": lambda k: 2 * math.sin(math.pi / k) ** 2 * (1 + 1e-4),
    },
    summary="regular polygons with K = 3, 4, 5, 8 attain it, and none of 15 others each exceeds it",
    off_by=lambda x: lambda k: planar_margin(k) * (1 + x),
    resolution=1e-5,
    id="planar-softmax-codes",
    title="In the plane the best margin of K classes is 1 − cos(2 π/K), at the regular polygon alone",
    statement="The margin min_k dist(w_k, conv{w_j : j ≠ k}) of K ≥ 3 unit vectors of the plane is at most 1 − cos(2 π/K), "
    "with equality exactly at the regular polygon.",
    source="Jiang et al. 2024, case d = 2, as we state it",
    scope=Scope(("none",), ("vectors",), classes=(3, None)),
    group=GROUP,
    papers=("jiang2024",),
    topic="norms",
    standing="confirmed",
    core=False,
)


def frame_modulus(num_vectors: int, dim: int) -> float:
    """omega, by Welch's bound."""
    return math.sqrt((num_vectors - dim) / (dim * (num_vectors - 1)))


#: K and d of the frame that is tried.
AXES = (6, 3)


def _icosahedron() -> Array:
    """A vector on each of the six axes of an icosahedron (3, 6)."""
    golden = (1 + math.sqrt(5)) / 2
    rows = [np.roll([0.0, 1.0, sign * golden], shift) for shift in range(3) for sign in (1, -1)]
    return np.array(rows).T / math.sqrt(1 + golden**2)


def _moduli(vectors: Array) -> tuple[float, float]:
    """The largest modulus of a cosine, and the least largest cosine over all choices of signs."""
    gram = vectors.T @ vectors
    np.fill_diagonal(gram, 0)
    signs = np.array([(1, *rest) for rest in itertools.product((1, -1), repeat=len(gram) - 1)])
    largest = (gram * signs[:, :, None] * signs[:, None, :]).max(axis=(1, 2))
    return float(np.abs(gram).max()), float(largest.min())


def _frames(ctx: Context, formula: Callable[[int, int], float]) -> list[Comparison]:
    modulus, cosine = _moduli(_icosahedron())
    octahedron = np.concatenate([np.eye(3), -np.eye(3)], axis=1)
    rows = [
        compare(
            "icosahedron's axes: largest |cosine|", formula(*AXES), Enclosure.around(modulus, 1e-14), "Gram matrix"
        ),
        compare("and largest cosine, best signs", formula(6, 3), Enclosure.around(cosine, 1e-14), "all signs"),
        compare(
            "octahedron: largest cosine",
            0.0,
            Enclosure.around(float((octahedron.T @ octahedron - np.eye(6)).max()), 0.0),
            "exact",
        ),
    ]
    rng = np.random.default_rng(0)
    best = min(_moduli_only(rng.standard_normal((3, 6))) for _ in range(200))
    # what is claimed is least: 200 drawn frames stay above it
    rows.append(
        compare("200 drawn frames", formula(6, 3), Enclosure.around(min(best, modulus), 1e-14), "Gram matrices")
    )
    simplex = np.linalg.svd(np.eye(4) - 1 / 4)[0][:, :3].T
    rows.append(
        compare("K = d + 1: the simplex", formula(4, 3), Enclosure.around(_moduli_only(simplex), 1e-14), "Gram matrix")
    )
    return rows


def _moduli_only(vectors: Array) -> float:
    unit = vectors / np.linalg.norm(vectors, axis=0)
    return float(np.abs(unit.T @ unit - np.eye(unit.shape[1])).max())


FRAMES = stated(
    frame_modulus,
    _frames,
    "planar-codes",
    ("frames",),
    {
        "frames: 1/√d": lambda k, d: 1 / math.sqrt(d),
        "frames: without K − 1": lambda k, d: math.sqrt((k - d) / (d * k)),
        "frames: the simplex's 1/(K − 1)": lambda k, d: 1 / (k - 1),
    },
    summary="the six axes of the icosahedron under all signs, the octahedron, 200 drawn frames, and the simplex",
    off_by=lambda x: lambda k, d: frame_modulus(k, d) * (1 + x),
    resolution=1e-8,
    id="grassmannian-frames-no-codes",
    title="Where classes outnumber dimensions Grassmannian frames are not the best codes: icosahedron against octahedron",
    statement="For d ≥ 2 and d + 2 ≤ K ≤ 2 d the least largest cosine of K unit vectors of ℝ^d is 0, but K unit vectors whose "
    "cosines are all ω or −ω with ω² = (K − d)/(d (K − 1)) have a largest cosine of ω > 0 under every choice of their signs; no K "
    "unit vectors have a smaller largest |cosine| than these.",
    source="Gao et al. 2023 (Grassmannian frames) against Jiang et al. 2024 (softmax codes), as we state them; the comparison is our own",
    scope=Scope(("none",), ("vectors",), classes=(4, None)),
    region=f"such frames exist for few K and d, K = {AXES[0]} in d = {AXES[1]} among them: the axes of the icosahedron against the octahedron",
    group=GROUP,
    papers=("jiang2024",),
    topic="norms",
    standing="corrected",
    core=False,
)

CLAIMS: tuple[Claim, ...] = (PLANE, FRAMES)
