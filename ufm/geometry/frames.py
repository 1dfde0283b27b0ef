"""Frames that optimal features and classifiers form: simplex ETF, orthogonal, general orthogonal and SELI.

A frame is a (d, K) matrix whose column k belongs to class k. Without ``seed`` it lies in a fixed position; with one it
is turned by a Haar-random rotation, so that code which should not care about rotations can be tested.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import as_array, integer, real
from ufm.labels import MAX_DENSE, ClassPrior

__all__ = [
    "SELI",
    "general_orthogonal_frame",
    "orthogonal_frame",
    "random_isometry",
    "seli",
    "simplex_etf",
    "simplex_etf_gram",
]

Array = NDArray[np.float64]
if TYPE_CHECKING:  # numpy.random takes a tenth of numpy's time to import
    Seed = int | np.random.Generator | None


def simplex_etf(num_classes: int, *, dim: int | None = None, seed: Seed = None) -> Array:
    """Simplex equiangular tight frame: K unit vectors with pairwise cosine ``-1/(K-1)``, summing to zero.

    ``M = sqrt(K/(K-1)) Q (I - 11^T/K)`` with an isometry Q of the hyperplane orthogonal to 1 into R^d.

    Args:
        num_classes: K >= 2.
        dim: d >= K - 1; default K, where without ``seed`` the frame is the symmetric ``sqrt(K/(K-1)) (I - 11^T/K)``.
        seed: rotate the frame at random by this seed or Generator.

    Returns:
        M, shape (d, K), with ``M^T M = K/(K-1) (I - 11^T/K)``.

    Raises:
        TypeError, ValueError: K < 2, d < K - 1, or an invalid seed.

    Source: Papyan, Han, Donoho 2020.

    >>> frame = simplex_etf(3)
    >>> (frame.T @ frame).round(3)
    array([[ 1. , -0.5, -0.5],
           [-0.5,  1. , -0.5],
           [-0.5, -0.5,  1. ]])
    >>> simplex_etf(3, dim=2, seed=0).shape
    (2, 3)
    """
    k = integer("num_classes", num_classes, minimum=2, maximum=MAX_DENSE)
    return _embed_centred(math.sqrt(k / (k - 1)) * _helmert(k), k, dim, seed)


def simplex_etf_gram(num_classes: int) -> Array:
    """Gram matrix of the simplex ETF, ``K/(K-1) (I - 11^T/K)``, shape (K, K). Source: Papyan, Han, Donoho 2020.

    >>> simplex_etf_gram(2)
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    k = integer("num_classes", num_classes, minimum=2, maximum=MAX_DENSE)
    return k / (k - 1) * _centring(k)


def orthogonal_frame(num_classes: int, *, dim: int | None = None, seed: Seed = None) -> Array:
    """Orthogonal frame: K orthonormal vectors, ``M^T M = I``.

    Args:
        num_classes: K >= 2.
        dim: d >= K; default K, where without ``seed`` the frame is the identity.
        seed: rotate the frame at random by this seed or Generator.

    Returns:
        M, shape (d, K).

    Raises:
        TypeError, ValueError: K < 2, d < K, or an invalid seed.

    Source: Dang et al. 2024 (features after a ReLU).

    >>> orthogonal_frame(2, dim=3)
    array([[1., 0.],
           [0., 1.],
           [0., 0.]])
    """
    k = integer("num_classes", num_classes, minimum=2, maximum=MAX_DENSE)
    return general_orthogonal_frame(np.ones(k), dim=dim, seed=seed)


def general_orthogonal_frame(lengths: Iterable[float], *, dim: int | None = None, seed: Seed = None) -> Array:
    """General orthogonal frame (GOF): orthogonal columns of given lengths, ``M^T M = diag(lengths^2)``.

    Args:
        lengths: K >= 2 finite numbers >= 0; a class of length 0 has dropped out.
        dim: d >= number of positive lengths; default K.
        seed: rotate the frame at random by this seed or Generator.

    Returns:
        M, shape (d, K).

    Raises:
        TypeError, ValueError: fewer than two lengths, a negative or non-finite one, d too small, or an invalid seed.

    Source: Dang et al. 2023 (deep linear networks, MSE, imbalanced classes).

    >>> general_orthogonal_frame([3, 2, 0], dim=2)
    array([[3., 0., 0.],
           [0., 2., 0.]])
    """
    if isinstance(lengths, str | bytes) or not isinstance(lengths, Iterable):
        raise TypeError(f"lengths must be a sequence of numbers >= 0, got {lengths!r}")
    if hasattr(lengths, "shape"):  # an array or a tensor
        found = as_array("lengths", lengths)
        if found.ndim != 1:
            raise ValueError(f"lengths must be one-dimensional, got an array of shape {found.shape}")
        lengths = found.tolist()
    values = np.array([real(f"lengths[{i}]", x) for i, x in enumerate(lengths)])
    if len(values) < 2:
        raise ValueError(f"lengths must hold at least 2 classes, got {len(values)}")
    if (values < 0).any():
        raise ValueError(f"lengths must be >= 0, got {float(values.min())!r} at index {int(values.argmin())}")
    present = np.flatnonzero(values)
    d = _dimension(dim, default=len(values), minimum=max(1, len(present)), reason="one direction a positive length")
    frame = np.zeros((d, len(values)))
    directions = np.eye(d, len(present)) if seed is None else random_isometry(d, len(present), seed)
    frame[:, present] = directions * values[present]
    return frame


@dataclass(frozen=True)
class SELI:
    """Simplex-encoded-labels interpolation; build it with :func:`seli`.

    Attributes:
        prior: the class prior, n_k samples in class k.
        classifier: W, shape (K, d).
        features: class features H, shape (d, K); the n_k samples of class k all equal column k.
    """

    prior: ClassPrior
    classifier: Array
    features: Array

    @cached_property
    def classifier_gram(self) -> Array:
        """``W W^T = V L V^T``, shape (K, K)."""
        return self.classifier @ self.classifier.T

    @cached_property
    def feature_gram(self) -> Array:
        """``H^T H = D^{-1/2} U L U^T D^{-1/2}``, shape (K, K): one row a class, not a sample."""
        return self.features.T @ self.features

    @cached_property
    def logits(self) -> Array:
        """``W H = I - 11^T/K``, shape (K, K): the simplex-encoded labels, whatever the imbalance."""
        return self.classifier @ self.features

    @cached_property
    def sample_features(self) -> Array:
        """Features of all N samples, shape (d, N), class by class.

        Raises:
            ValueError: a count of the prior is not an integer.
        """
        counts = self.prior.counts
        if (counts != np.floor(counts)).any():
            raise ValueError(f"sample_features needs integer counts in prior, got {self.prior!r}")
        return np.repeat(self.features, counts.astype(int), axis=1)


def seli(prior: ClassPrior, *, dim: int | None = None, seed: Seed = None) -> SELI:
    """SELI geometry of a class prior: where the penalised unconstrained-features model goes as its penalty vanishes.

    The simplex-encoded label matrix ``Z^`` (K x N) has entries ``[c = y_i] - 1/K``. With its compact singular value
    decomposition ``Z^ = V L U^T`` of rank K - 1, SELI is ``W W^T = V L V^T``, ``H^T H = U L U^T``, ``W H = Z^``, up to
    one positive scale. Columns of one class are equal, so the decomposition is that of the K x K matrix
    ``(I - 11^T/K) D^{1/2} = V L U^T``, ``D = diag(n_k)``: ``W = V L^{1/2} Q^T`` and, a column a class,
    ``H = Q L^{1/2} U^T D^{-1/2}``. Balanced counts give the simplex ETF.

    Args:
        prior: the class prior; counts may be real.
        dim: d >= K - 1; default K, where without ``seed`` W is symmetric.
        seed: rotate the frame at random by this seed or Generator.

    Returns:
        A :class:`SELI` with W, H and their Gram matrices.

    Raises:
        TypeError, ValueError: not a prior, d < K - 1, or an invalid seed.

    Source: Thrampoulidis, Kini, Vakilian, Behnia 2022.

    >>> frame = seli(ClassPrior([100, 100, 1]))
    >>> frame.logits.round(3)  # whatever the imbalance
    array([[ 0.667, -0.333, -0.333],
           [-0.333,  0.667, -0.333],
           [-0.333, -0.333,  0.667]])
    >>> np.linalg.norm(frame.features, axis=0).round(2)  # the minority's features are the long ones
    array([0.28, 0.28, 0.34])
    """
    if not isinstance(prior, ClassPrior):
        raise TypeError(f"prior must be a ufm.ClassPrior, got {prior!r}")
    k = prior.num_classes
    root_counts = np.sqrt(prior.counts)
    # In an orthonormal basis of the hyperplane the label matrix has full row rank: no zero singular value to cut off.
    basis = _helmert(k)
    v, s, ut = np.linalg.svd(basis * root_counts, full_matrices=False)
    frame = np.hstack([(v * np.sqrt(s)) @ v.T @ basis, (v * np.sqrt(s)) @ ut / root_counts])
    embedded = _embed_centred(frame, k, dim, seed)
    return SELI(prior, np.ascontiguousarray(embedded[:, :k].T), np.ascontiguousarray(embedded[:, k:]))


def random_isometry(dim: int, rank: int, seed: int | np.random.Generator) -> Array:
    """Haar-random (d, r) matrix with orthonormal columns.

    QR of a Gaussian matrix, with the signs of R's diagonal moved into Q (Mezzadri 2007).

    Raises:
        TypeError, ValueError: r > d, or a seed that is neither an integer >= 0 nor a Generator.

    >>> q = random_isometry(4, 2, seed=0)
    >>> q.shape, np.allclose(q.T @ q, np.eye(2))
    ((4, 2), True)
    """
    d = integer("dim", dim, minimum=1, maximum=MAX_DENSE)
    r = integer("rank", rank, minimum=0, maximum=d)
    q, upper = np.linalg.qr(_generator(seed).standard_normal((d, r)))
    return q * np.where(np.diagonal(upper) < 0, -1.0, 1.0)


def _centring(k: int) -> Array:
    """``I - 11^T/K``."""
    return np.eye(k) - 1.0 / k


def _helmert(k: int) -> Array:
    """Orthonormal basis of the hyperplane orthogonal to 1 in R^K, as the rows of a (K-1, K) Helmert matrix."""
    rows = np.tril(np.ones((k, k)), -1)[1:]
    i = np.arange(1, k)
    rows[i - 1, i] = -i
    return rows / np.sqrt(i * (i + 1.0))[:, None]


def _embed_centred(coordinates: Array, k: int, dim: Any, seed: Seed) -> Array:
    """Map (K-1, m) coordinates in the hyperplane orthogonal to 1 isometrically into R^d."""
    d = _dimension(dim, default=k, minimum=k - 1, reason="the frame spans K - 1 dimensions")
    if seed is not None:
        return random_isometry(d, k - 1, seed) @ coordinates
    if d == k - 1:
        return coordinates.copy()
    frame = np.zeros((d, coordinates.shape[1]))
    frame[:k] = _helmert(k).T @ coordinates
    return frame


def _dimension(dim: Any, *, default: int, minimum: int, reason: str) -> int:
    return default if dim is None else integer("dim", dim, minimum=minimum, maximum=MAX_DENSE, reason=reason)


def _generator(seed: Any) -> np.random.Generator:
    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, bool | np.bool_ | np.timedelta64) or not isinstance(seed, numbers.Integral):
        raise TypeError(f"seed must be an integer >= 0, a numpy.random.Generator or None, got {seed!r}")
    if seed < 0:
        raise ValueError(f"seed must be >= 0, got {seed!r}")
    return np.random.default_rng(int(seed))
