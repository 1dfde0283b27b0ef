"""Strategies for equilibrium maps whose fixed point is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ufm._validation import array, fraction, integer, one_of
from ufm.geometry.frames import random_isometry
from ufm.testing._failing import Array
from ufm.testing._shown import Shown
from ufm.testing.strategies import SEEDS, log_uniform

__all__ = ["ACTIVATIONS", "EquilibriumMap", "equilibrium_maps"]

#: phi of an equilibrium map by name, and its slope; each is 1-Lipschitz. Plainest first.
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "identity": (lambda y: y, np.ones_like),
    "relu": (lambda y: np.maximum(y, 0.0), lambda y: (y > 0).astype(float)),
    "tanh": (np.tanh, lambda y: 1 - np.tanh(y) ** 2),
}

#: How far inside its bound a drawn matrix stays, and what a given one may exceed it by, relative: both are rounding.
INSIDE, BEYOND = 1e-12, 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class EquilibriumMap(Shown):
    """A well-posed map ``f(z) = phi(A z + h)`` on (n, d) arrays, rows are samples: |A|_2 <= rho < 1, phi 1-Lipschitz.

    Attributes:
        matrix: A, shape (d, d).
        injection: h, shape (n, d).
        activation: a name in :data:`ACTIVATIONS`.
        rho: contraction factor in [0, 1).

    Raises:
        TypeError, ValueError: a field is not what it should be, or ``|A|_2 > rho``; the message names it.

    >>> f = EquilibriumMap([[0.5]], [[1.0]], "identity", 0.5)
    >>> f.equilibrium
    array([[2.]])
    """

    matrix: Array
    injection: Array
    activation: str
    rho: float

    def __post_init__(self) -> None:
        one_of("activation", self.activation, ACTIVATIONS)
        a, h = (array(name, getattr(self, name), ndim=2) for name in ("matrix", "injection"))
        rho = fraction("rho", self.rho)
        if a.shape[0] != a.shape[1] or h.shape[1] != len(a):
            raise ValueError(f"matrix (d, d) and injection (n, d) must fit together, got {a.shape} and {h.shape}")
        if (norm := float(np.linalg.norm(a, 2))) > rho * (1 + BEYOND):
            raise ValueError(f"matrix must have |A|_2 <= rho = {rho:g}, got {norm:g}")
        for name, value in (("matrix", a), ("injection", h), ("rho", rho)):
            object.__setattr__(self, name, value)

    def __call__(self, z: Array) -> Array:
        """``f(z)``, shape (n, d)."""
        return ACTIVATIONS[self.activation][0](z @ self.matrix.T + self.injection)

    @property
    def equilibrium(self) -> Array:
        """The fixed point z*, to rounding.

        By Newton steps ``z + (I - D A)^{-1} (f(z) - z)``, D the slopes of phi, where they bring the residual down as
        iterating does, by the factor rho, and by iterating where they do not.
        """
        return np.stack([self._row(h) for h in self.injection])

    def _row(self, h: Array) -> Array:
        phi, slope = ACTIVATIONS[self.activation]
        z, size = np.zeros_like(h), math.inf
        while True:
            image = phi(self.matrix @ z + h)
            residual = image - z
            if not np.linalg.norm(residual) < size:
                return image  # rounding
            size = float(np.linalg.norm(residual))
            jacobian = slope(self.matrix @ z + h)[:, None] * self.matrix
            newton = z + np.linalg.solve(np.eye(len(h)) - jacobian, residual)
            left = np.linalg.norm(phi(self.matrix @ newton + h) - newton)
            z = newton if left <= self.rho * size else image


def equilibrium_maps(
    *,
    max_dim: int = 5,
    max_samples: int = 4,
    max_rho: float = 0.9,
    activations: Sequence[str] = tuple(ACTIVATIONS),
) -> SearchStrategy[EquilibriumMap]:
    """Well-posed equilibrium maps: A = 0, rho I, symmetric, rotated, nilpotent and general, at the bound or inside.

    Args:
        max_dim, max_samples: bounds of d and n, >= 1.
        max_rho: bound of rho, in [0, 1).
        activations: names in :data:`ACTIVATIONS`, at least one.

    Raises:
        TypeError, ValueError: an argument out of its range.

    >>> from hypothesis import find
    >>> f = find(equilibrium_maps(), lambda f: True)
    >>> f.matrix, f.activation
    (array([[0.]]), 'identity')
    """
    if isinstance(activations, str | bytes) or not isinstance(activations, Sequence):
        raise TypeError(f"activations must be a sequence of names, got {activations!r}")
    if not activations:
        raise ValueError(f"activations must hold at least one of {', '.join(map(repr, ACTIVATIONS))}, got none")
    names = [one_of(f"activations[{i}]", name, ACTIVATIONS) for i, name in enumerate(activations)]
    return st.builds(
        _map,
        st.integers(1, integer("max_dim", max_dim, minimum=1)),
        st.integers(1, integer("max_samples", max_samples, minimum=1)),
        st.floats(0, fraction("max_rho", max_rho), allow_subnormal=False),  # there A rounds by more than rho itself
        st.sampled_from(list(_MATRICES)),
        log_uniform(1e-2, 1e2),
        st.sampled_from(names),
        SEEDS,
    )


def _nilpotent(d: int, rng: np.random.Generator) -> Array:
    return np.triu(rng.standard_normal((d, d)), 1)


def _symmetric(d: int, rng: np.random.Generator) -> Array:
    a = rng.standard_normal((d, d))
    return a + a.T


#: Matrices of a kind, to be scaled to their norm.
_MATRICES: dict[str, Callable[[int, np.random.Generator], Array]] = {
    "scaled identity": lambda d, rng: np.eye(d),
    "symmetric": _symmetric,
    "rotation": lambda d, rng: random_isometry(d, d, rng),
    "nilpotent": _nilpotent,
    "general": lambda d, rng: rng.standard_normal((d, d)),
}


def _map(d: int, n: int, rho: float, kind: str, scale: float, activation: str, seed: int) -> EquilibriumMap:
    rng = np.random.default_rng(seed)
    a = _MATRICES[kind](d, rng)
    size = np.linalg.norm(a, 2)
    # a little inside: rounding must not carry the norm beyond the bound
    a = a * (rho * (1 - INSIDE) / size) if size > 0 else a
    return EquilibriumMap(a, scale * rng.standard_normal((n, d)), activation, rho)
