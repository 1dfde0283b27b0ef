"""Maps between features and classifier under a spectral bound: what counts is how much they can lengthen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ufm._validation import integer, one_of, real
from ufm.architectures.base import Array, ClassAveraged
from ufm.architectures.blocks import KINDS, Kind
from ufm.architectures.registry import register

__all__ = ["LARGEST_GAIN", "MAX_DEPTH", "Gain", "inverse_gains"]

#: Deepest networks with a depth; beyond it a flow is the model.
MAX_DEPTH = 100_000
#: Largest gain: radii beyond it leave no room in float64.
LARGEST_GAIN = 1e100


@register
@dataclass(frozen=True, repr=False)
class Gain(ClassAveraged):
    """Layer-peeled budgets around maps of gain g, ``Z = W g(A) H`` with ``|A|_2 <= rho``.

    Gauge: ``|Z|_* / g(rho) <= tau = K sqrt(E_W E_H)``, the layer-peeled model of radius ``g(rho) tau``. A power series
    g with nonnegative coefficients is largest, ``|g(A)|_2 <= g(rho)``, at ``A = rho I``. Source: theory section 8.

    ============  =============================================================  ==============================
    kind          network                                                        g
    ============  =============================================================  ==============================
    residual      L blocks ``z + A z``                                           ``(1 + x)^L``
    unrolled      T steps of ``z = A z + h`` from 0, the first of them ``h``     ``1 + x + ... + x^{T-1}``
    ode           ``dz/dt = A z`` until time 1                                   ``e^x``
    deq           the fixed point of ``z = A z + h``                             ``1/(1 - x)``, ``rho < 1``
    ============  =============================================================  ==============================

    Args:
        E_W: classifier budget > 0.
        E_H: feature budget > 0.
        rho: spectral bound >= 0 of A, below 1 for a DEQ.
        kind: one of residual, unrolled, ode, deq.
        depth: number L of blocks or T of steps, 1 to 100000; None for ode and deq.

    Raises:
        ValueError: a parameter out of range, a depth missing or given where it plays no role, a gain above 1e100.

    >>> [Gain(1.0, 1.0, 0.5, **kind).radius(2) for kind in Gain.variants]  # tau = 2
    [6.75, 3.5, 3.2974425414002564, 4.0]
    >>> block = Gain(1.0, 1.0, 0.5, "residual", depth=3)
    >>> block.convex_form(2) is block, block.factor_budgets(2), block.bound(2), block.inverse_gains(np.array([1.0]))
    (True, (2.0, 2.0), 2.0, array([0.125]))
    """

    E_W: float
    E_H: float
    rho: float
    kind: Kind
    depth: int | None = None

    variants: ClassVar[tuple[dict[str, Any], ...]] = (
        {"kind": "residual", "depth": 3},
        {"kind": "unrolled", "depth": 3},
        {"kind": "ode"},
        {"kind": "deq"},
    )

    def __post_init__(self) -> None:
        self.check_budgets()
        one_of("kind", self.kind, KINDS)
        rho = real("rho", self.rho)
        if rho < 0 or (self.kind == "deq" and rho >= 1):
            raise ValueError(f"rho must {'lie in [0, 1)' if self.kind == 'deq' else 'be >= 0'}, got {self.rho!r}")
        object.__setattr__(self, "rho", rho)
        if self.kind in ("ode", "deq"):
            if self.depth is not None:
                raise ValueError(
                    f"depth must be None for kind {self.kind!r}, where it plays no role, got {self.depth!r}"
                )
        elif self.depth is None:
            raise ValueError(f"depth must be an integer >= 1 for kind {self.kind!r}, got None")
        else:
            object.__setattr__(self, "depth", integer("depth", self.depth, minimum=1, maximum=MAX_DEPTH))
        with np.errstate(all="ignore"):
            gain = 1 / self.inverse_gain if self.inverse_gain > 0 else math.inf
        if not gain <= LARGEST_GAIN:
            raise ValueError(
                f"rho and depth must leave a gain of at most {LARGEST_GAIN:g}, got {gain:.6g} from {self!r}"
            )

    @property
    def spectral_bound(self) -> float:
        """rho."""
        return self.rho

    @property
    def blocks(self) -> Kind:
        """The kind."""
        return self.kind

    @property
    def map_repeats(self) -> int:
        """How often the one A is applied: L of a residual network, T - 1 of an unrolled one, else 1."""
        return (self.depth or 1) - (self.kind == "unrolled")

    def inverse_gains(self, a: Array) -> Array:
        """``1/g(a_i)``."""
        a = np.asarray(a, dtype=float)
        if self.kind == "deq":
            return 1 - a
        if self.kind == "ode":
            return np.exp(-a)
        if self.kind == "residual":
            return np.exp(-float(self.depth or 1) * np.log1p(a))
        gains = [1 / math.fsum(x**k for k in range(self.depth or 1)) for x in a.ravel().tolist()]
        return np.array(gains).reshape(a.shape)

    def convex_form(self, rank: int) -> Gain:
        """Itself."""
        return self


def inverse_gains(xp: Any, kind: Kind, depth: int | None, rho: Any) -> Any:
    """``1/g(rho)`` of :class:`Gain` for arrays, numbers or tensors of the namespace ``xp``, 0 where g overflows.

    ``1 + x + ... + x^{T-1} = (x^T - 1)/(x - 1)``, by ``expm1`` and ``log1p``, which do not cancel near 1.

    >>> inverse_gains(np, "unrolled", 3, np.array([0.0, 0.5, 1.0, 2.0])).round(4).tolist()
    [1.0, 0.5714, 0.3333, 0.1429]
    """
    if kind == "deq":
        return 1 - rho
    if kind == "ode":
        return xp.exp(-rho)
    steps = float(depth or 1)
    if kind == "residual":
        return xp.exp(-steps * xp.log1p(rho))
    beyond = xp.where(rho == 1, 1.0, rho - 1)
    with np.errstate(divide="ignore", over="ignore"):
        return xp.where(rho == 1, 1 / steps, beyond / xp.expm1(steps * xp.log1p(beyond)))
