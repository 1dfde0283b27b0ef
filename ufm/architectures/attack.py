"""Attacks on what an architecture of one's own says: its gauge, its polar and its atom must belong together."""

from __future__ import annotations

import numpy as np

from ufm.architectures.base import Architecture, Array

__all__ = ["attack", "attack_at", "statements"]

#: The statements that belong together.
STATEMENTS = ("gauge", "polar", "atom")

TOLERANCE = 1e-8
ROUNDS = 8


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
    ``Omega(atom(G)) <= 1`` and ``<G, atom(G)> = Omega^o(G)``.

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


def _try(architecture: Architecture, y: Array, x: Array, g: Array) -> None:
    name = type(architecture).__name__
    size, other, polar = (float(v) for v in (architecture.gauge(y), architecture.gauge(x), architecture.polar(g)))
    atom = np.asarray(architecture.atom(g), dtype=float)
    if atom.shape != y.shape:
        raise ValueError(f"architecture {name}.atom must return shape {y.shape}, got {atom.shape}")
    if not np.isfinite([size, other, polar]).all() or min(size, other, polar) < 0 or not np.isfinite(atom).all():
        raise ValueError(f"architecture {name} must have gauge and polar finite and >= 0, got {size!r}, {polar!r}")
    room = 1 + TOLERANCE
    inner, attained = float(np.vdot(g, y)), float(np.vdot(g, atom))
    for said, holds in (
        (f"gauge(3 Y) = {architecture.gauge(3 * y):.10g}, not 3 gauge(Y) = {3 * size:.10g}",
         abs(architecture.gauge(3 * y) - 3 * size) <= 3 * TOLERANCE * size),
        (f"gauge(Y + X) = {architecture.gauge(y + x):.10g} is above gauge(Y) + gauge(X) = {size + other:.10g}",
         architecture.gauge(y + x) <= (size + other) * room),
        (f"<G, Y> = {inner:.10g} is above polar(G) gauge(Y) = {polar * size:.10g}",
         inner <= polar * size + TOLERANCE * (polar * size + float(np.vdot(abs(g), abs(y))))),
        (f"gauge(atom(G)) = {architecture.gauge(atom):.10g} is above 1", architecture.gauge(atom) <= room),
        (f"<G, atom(G)> = {attained:.10g} is not polar(G) = {polar:.10g}",
         abs(attained - polar) <= TOLERANCE * (polar + float(np.vdot(abs(g), abs(atom))))),
    ):  # fmt: skip
        if not holds:
            raise ValueError(f"architecture {name} contradicts itself: {said}")
