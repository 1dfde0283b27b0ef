"""Names for the configurations of points that optimal features form: simplex ETF, square, octahedron, other codes.

Class-mean features are read as K points in R^d, up to rotation and scale. Points that coincide are counted once,
those at the origin are set apart, and the others fall into blocks that are orthogonal to one another (the connected
components of the Gram matrix). With ``<x, y>`` the cosines of the points of a block, all of one norm:

==================  ====================================================================================================
digon               two points, ``<x, y> = -1``: the simplex ETF of two
simplex ETF         n points, ``<x_i, x_j> = -1/(n-1)``
regular polygon     n points of rank 2, sorted by angle: ``<x_0, x_j> = cos(2 pi j/n)``
orthogonal frame    n >= 2 blocks of a single point, of one norm
square              two digons of one norm
octahedron          three
cross-polytope      m >= 4 digons of one norm, ``+-e_1, ..., +-e_m``; of several norms: antipodal pairs
==================  ====================================================================================================

Anything else is a *softmax code of rank r*, r the rank of the points; the term is that of Jiang et al. 2024, here
without a claim of optimality. Several blocks are joined by a plus sign, ``simplex ETF (3) + point``, copies counted.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm._validation import array, positive

__all__ = ["TOLERANCE", "name_structure"]

Array = NDArray[np.float64]

#: Largest error of a distance or an inner product, relative to the longest point (squared).
TOLERANCE = 1e-4


def name_structure(points: ArrayLike, tolerance: float = TOLERANCE) -> str:
    """Name the configuration of ``points``, see the module's docstring.

    Args:
        points: features, shape (d, K), a column a class; not centred here.
        tolerance: largest deviation of any entry of a block's Gram matrix from the named structure's, relative to the
            block's mean squared norm; the same, relative to the longest point, for points that coincide or vanish and
            for blocks that are orthogonal.

    Returns:
        ``"simplex ETF"``, ``"square"``, ``"octahedron"``, ``"cross-polytope"``, ``"regular polygon (n)"``, ``"digon"``,
        ``"orthogonal frame"``, ``"softmax code of rank r"``, a sum of blocks, or ``"origin"`` where all points vanish;
        where classes share a point, followed by ``"with repeated points (m_1, m_2, ...)"``, their multiplicities, and
        where some vanish by ``"and m at the origin"``.

    Raises:
        TypeError, ValueError: not a real finite matrix, or a tolerance that is not positive.

    >>> from ufm.geometry import simplex_etf
    >>> name_structure(simplex_etf(4, seed=0))
    'simplex ETF'
    >>> name_structure([[1, -1, 0, 0], [0, 0, 1, -1]])
    'square'
    >>> name_structure([[1, -1, -1, 0]])
    'digon with repeated points (2, 1) and 1 at the origin'
    """
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial.distance import cdist

    x = array("points", points, ndim=2, shape="(d, K)")
    tolerance = positive("tolerance", tolerance)
    norms = np.linalg.norm(x, axis=0)
    longest = float(norms.max())
    present = norms > tolerance * longest
    if longest < 1e-150 or not present.any():
        return "origin"
    x = x[:, present] / longest
    _, labels = connected_components(cdist(x.T, x.T) <= tolerance, directed=False)
    multiplicity = np.bincount(labels)
    distinct = np.stack([x[:, labels == i].mean(axis=1) for i in range(len(multiplicity))], axis=1)
    name = _name(distinct, tolerance)
    if multiplicity.max() > 1:
        name += f" with repeated points ({', '.join(str(m) for m in sorted(multiplicity, reverse=True))})"
    absent = int((~present).sum())
    return f"{name} and {absent} at the origin" if absent else name


def _name(x: Array, tolerance: float) -> str:
    """Name of distinct nonzero points (d, n), the longest of norm about 1."""
    from scipy.sparse.csgraph import connected_components

    count, labels = connected_components(np.abs(x.T @ x) > tolerance, directed=False)
    blocks = [x[:, labels == i] for i in range(count)]
    names = [_name_block(block, tolerance) for block in blocks]
    if count == 1:
        return names[0]
    squared = np.array([(block**2).sum() / block.shape[1] for block in blocks])
    of_one_norm = np.ptp(squared) <= tolerance * squared.mean()
    if set(names) == {"digon"}:
        return {2: "square", 3: "octahedron"}.get(count, "cross-polytope") if of_one_norm else "antipodal pairs"
    if set(names) == {"point"}:
        return "orthogonal frame" if of_one_norm else "orthogonal points"
    names = [f"{name} ({b.shape[1]})" if name == "simplex ETF" else name for name, b in zip(names, blocks, strict=True)]
    return " + ".join(f"{m} x {name}" if m > 1 else name for name, m in sorted(Counter(names).items()))


def _name_block(x: Array, tolerance: float) -> str:
    """Name of one block: distinct points (d, n) that fall into no two orthogonal sets."""
    n = x.shape[1]
    if n == 1:
        return "point"
    x = x / np.sqrt((x**2).sum() / n)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    gram = x.T @ x

    def is_gram(wanted: Array) -> bool:
        return bool(np.abs(gram - wanted).max() <= tolerance)

    if is_gram((n * np.eye(n) - 1) / (n - 1)):
        return "digon" if n == 2 else "simplex ETF"
    if n > 3 and len(s) > 1 and s[2:].max(initial=0.0) <= tolerance * s[0]:
        plane = u[:, :2].T @ x
        gram = gram[np.ix_(*(np.argsort(np.arctan2(plane[1], plane[0])),) * 2)]
        if is_gram(np.cos(2 * np.pi / n * np.subtract.outer(np.arange(n), np.arange(n)))):
            return f"regular polygon ({n})"
    return f"softmax code of rank {int((s > tolerance * s[0]).sum())}"
