"""Attacks on what an architecture of one's own says: its gauge, its polar and its atom must belong together."""

from __future__ import annotations

import numpy as np

from ufm._validation import array
from ufm.architectures.base import Architecture, Array

__all__ = ["attack", "attack_at", "statements"]

#: The statements that belong together.
STATEMENTS = ("gauge", "polar", "atom")

TOLERANCE = 1e-8
ROUNDS = 8
#: Directions beside G whose atoms are tried against the polar at G, in shares of the size of G.
_BESIDE = tuple(np.geomspace(0.1, 10.0, 24))


def statements(architecture: Architecture) -> tuple[str, ...]:
    """Which of gauge, polar and atom are stated by a class of one's own, and not by one of this package.

    >>> from ufm.architectures import LayerPeeled
    >>> class Twice(LayerPeeled):
    ...     __module__ = "mine"
    ...     def gauge(self, y):
    ...         return 2 * super().gauge(y)
    >>> statements(Twice(1.0, 1.0))
    ('gauge',)
    """
    cls = type(architecture)
    stated = []
    for name in STATEMENTS:
        owner = next(base for base in cls.__mro__ if name in vars(base))
        if not owner.__module__.startswith("ufm.architectures."):
            stated.append(name)
    return tuple(stated)


def attack(architecture: Architecture, shape: tuple[int, int]) -> None:
    """Raise a ValueError where random matrices contradict what an architecture of one's own says of itself.

    Tried: ``Omega(c Y) = c Omega(Y) >= 0``, ``Omega(Y + X) <= Omega(Y) + Omega(X)``, ``<G, Y> <= Omega^o(G) Omega(Y)``,
    ``Omega(atom(G)) <= 1``, ``<G, atom(G)> = Omega^o(G)``, and that no atom met beside it is better.

    Args:
        architecture: the architecture.
        shape: (K, m) of the logits it is wanted for.

    Raises:
        ValueError: one of the three is missing, or a contradiction, with the numbers that show it.

    >>> from ufm.solvers.table import ARCHITECTURES
    >>> attack(ARCHITECTURES["of one's own (gauge, polar, atom)"], (3, 3))  # stands it
    """
    name = type(architecture).__name__
    missing = [s for s in STATEMENTS if s not in statements(architecture)]
    if missing:
        raise ValueError(
            f"architecture {name} must state gauge, polar and atom together, in matrices (K, m): {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing or inherited from another architecture"
        )
    rng = np.random.default_rng(20241205)
    for _ in range(ROUNDS):
        _try(architecture, *(rng.normal(size=shape) for _ in range(3)))
    _try_polar(architecture, rng.normal(size=shape))


def attack_at(architecture: Architecture, y: Array, gradient: Array) -> None:
    """:func:`attack` at what a solver ended with: ``Y = Z diag(omega)`` and the direction G that the risk falls in.

    Raises:
        ValueError: a contradiction, with the numbers that show it.

    >>> from ufm.solvers.table import ARCHITECTURES
    >>> attack_at(ARCHITECTURES["of one's own (gauge, polar, atom)"], np.eye(3), -np.eye(3))  # stands it
    """
    rng = np.random.default_rng(20241205)
    size, slope = (max(float(np.abs(x).max()), 1e-300) for x in (y, gradient))
    for share in (0.1, 1.0):
        x, g = (s * share * rng.normal(size=y.shape) for s in (size, slope))
        if gradient.any():  # where it is 0 no atom is better than another
            _try(architecture, y, x, gradient)
        _try(architecture, y, x, gradient + g)
    if gradient.any():
        _try_polar(architecture, gradient)


def _try(architecture: Architecture, y: Array, x: Array, g: Array) -> None:
    name = type(architecture).__name__
    # each is given a copy: what it does to its argument is not done to ours
    size, other, tripled, both = (_number(architecture, "gauge", v) for v in (y, x, 3 * y, y + x))
    polar, bound = (_number(architecture, word, g) for word in ("polar", "polar_bound"))
    atom = _atom(architecture, g)
    if min(size, other, polar) < 0:
        raise ValueError(f"architecture {name} must have gauge and polar >= 0, got {size!r}, {polar!r}")
    room = 1 + TOLERANCE
    inner, attained = float(np.vdot(g, y)), float(np.vdot(g, atom))
    unit = _number(architecture, "gauge", atom)
    rounding = TOLERANCE * (polar + float(np.vdot(abs(g), abs(atom))))
    for said, holds in (
        (f"gauge(3 Y) = {tripled:.10g}, not 3 gauge(Y) = {3 * size:.10g}",
         abs(tripled - 3 * size) <= 3 * TOLERANCE * size),
        (f"gauge(Y + X) = {both:.10g} is above gauge(Y) + gauge(X) = {size + other:.10g}",
         both <= (size + other) * room),
        (f"<G, Y> = {inner:.10g} is above polar(G) gauge(Y) = {polar * size:.10g}",
         inner <= polar * size + TOLERANCE * (polar * size + float(np.vdot(abs(g), abs(y))))),
        (f"gauge(atom(G)) = {unit:.10g} is above 1", unit <= room),
        (f"<G, atom(G)> = {attained:.10g} is not polar(G) = {polar:.10g}", abs(attained - polar) <= rounding),
        (f"<G, atom(G)> = {attained:.10g} is above polar(G) gauge(atom(G)) = {polar * unit:.10g}",
         attained <= polar * unit + rounding),
        (f"polar_bound(G) = {bound:.10g} is below polar(G) = {polar:.10g}, which it should bound",
         bound >= polar * (1 - TOLERANCE)),
    ):  # fmt: skip
        if not holds:
            raise ValueError(f"architecture {name} contradicts itself: {said}")


def _try_polar(architecture: Architecture, g: Array) -> None:
    """Atoms of directions beside G are no better at G than its own: a search that ends at a local maximum is found."""
    polar = _number(architecture, "polar", g)
    rng = np.random.default_rng(20241205)
    for share in _BESIDE:
        other = _atom(architecture, g + share * float(np.abs(g).max()) * rng.normal(size=g.shape))
        inner, unit = float(np.vdot(g, other)), _number(architecture, "gauge", other)
        if inner > polar * unit + TOLERANCE * (polar * unit + float(np.vdot(abs(g), abs(other)))):
            raise ValueError(
                f"architecture {type(architecture).__name__} contradicts itself: polar(G) = {polar:.10g}, but another "
                f"of its atoms, of gauge {unit:.10g}, has <G, atom> = {inner:.10g}"
            )


def _number(architecture: Architecture, word: str, at: Array) -> float:
    name = f"architecture {type(architecture).__name__}.{word}(...)"
    return float(array(name, getattr(architecture, word)(at.copy()), ndim=0, shape="()"))


def _atom(architecture: Architecture, g: Array) -> Array:
    word = f"architecture {type(architecture).__name__}.atom(...)"
    atom = array(word, architecture.atom(g.copy()), ndim=2, shape="(K, m)")
    if atom.shape != g.shape:
        raise ValueError(f"{word} must return shape {g.shape}, got {atom.shape}")
    return atom
