"""Linear residual networks with weight decay on every block, and the neural ODE that they tend to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ufm._validation import integer, positive
from ufm.architectures.base import Array, Penalised
from ufm.architectures.blocks import Kind
from ufm.architectures.gain import MAX_DEPTH
from ufm.architectures.registry import register
from ufm.architectures.unconstrained_features import UnconstrainedFeatures, chord

__all__ = ["Residual"]

_MAX_NEWTON, _NEARLY = 60, 1e-8
#: Largest exponent whose exponential is finite.
_OVERFLOW = 700.0


@register
@dataclass(frozen=True)
class Residual(Penalised):
    """Residual network ``Z = W (I + A_L) ... (I + A_1) H``, weight decay of W, H and ``(lambda_A/2) sum_l |A_l|_F^2``.

    Price of a singular value s of ``Z D^{1/2}``, with ``lam = sqrt(lambda_W lambda_H)``:
    ``g(s) = min over a >= 0 of lam s (1+a)^{-L} + L lambda_A a^2/2``, attained where
    ``a (1+a)^{L+1} = lam s / lambda_A``. Its slope at 0 is lam whatever the depth. Source: theory section 8.

    As L grows with ``lambda_A/L`` fixed at c the blocks shrink, ``A_l = X/L``, and the product tends to ``exp(X)``:
    ``g(s) = min over x >= 0 of lam s e^{-x} + c x^2/2``, attained where ``x e^x = lam s / c`` (Lambert's W). That is
    ``depth=math.inf``, whose ``lambda_A`` is read as c.

    Args:
        lambda_W: weight decay > 0 of the classifier.
        lambda_H: weight decay > 0 of the features, summed over samples.
        lambda_A: weight decay > 0 of every block; at infinite depth the limit of lambda_A/L.
        depth: number L of blocks, 1 to 100000, or inf: the neural ODE.

    Raises:
        ValueError: a parameter out of range.

    >>> one = Residual(0.1, 0.1, 0.2, depth=1)
    >>> one.equilibrium_spectrum(np.array([0.0, 9.0])).round(6)  # a (1 + a)^2 = s/2
    array([0.      , 1.060207])
    >>> round(one.gauge(np.array([9.0])), 6), one.slopes(np.array([0.0, 9.0])).round(6)
    (0.549253, array([0.1     , 0.048539]))
    >>> flow = Residual(0.1, 0.1, 0.2, depth=math.inf)
    >>> flow.equilibrium_spectrum(np.array([9.0])).round(6), round(flow.gauge(np.array([9.0])), 6)
    (array([1.267238]), 0.414037)
    >>> deep = Residual(0.1, 0.1, 2000.0, depth=10000)  # of the same c
    >>> round(deep.gauge(np.array([9.0])), 4), deep.slope, deep.convex_form(2) is None, deep.num_maps
    (0.4141, 0.1, True, 10000)
    >>> below = one.relaxation(3, one.gauge(np.array([9.0])))
    >>> round(below.strength, 6) == round(0.549253 / 9, 6), one.curvatures(np.array([0.0])).round(6)
    (True, array([0.05]))
    """

    lambda_W: float
    lambda_H: float
    lambda_A: float
    depth: int | float

    variants: ClassVar[tuple[dict[str, Any], ...]] = ({"depth": 4}, {"depth": math.inf})

    def __post_init__(self) -> None:
        for name in ("lambda_W", "lambda_H", "lambda_A"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        if not (isinstance(self.depth, float) and self.depth == math.inf):
            object.__setattr__(self, "depth", integer("depth", self.depth, minimum=1, maximum=MAX_DEPTH))

    @property
    def is_flow(self) -> bool:
        """Whether the depth is infinite."""
        return self.depth == math.inf

    @property
    def spectral_bound(self) -> float:
        """inf: the weight decay alone keeps the maps small."""
        return math.inf

    @property
    def blocks(self) -> Kind:
        """``"residual"``, or ``"ode"`` at infinite depth."""
        return "ode" if self.is_flow else "residual"

    @property
    def num_maps(self) -> int:
        """L; 1, that of the flow, at infinite depth."""
        return 1 if self.is_flow else int(self.depth)

    @property
    def map_decay(self) -> float:
        """lambda_A."""
        return self.lambda_A

    def inverse_gains(self, a: Array) -> Array:
        """``(1 + a_i)^{-L}``, or ``e^{-a_i}``."""
        a = np.asarray(a, dtype=float)
        return np.exp(-a) if self.is_flow else np.exp(-self.depth * np.log1p(a))

    def equilibrium_spectrum(self, sigma: Array) -> Array:
        """The root a of ``a (1+a)^{L+1} = lam s / lambda_A`` for every s, or of ``x e^x = lam s / c``."""
        from scipy.special import lambertw  # the command line starts without it

        q = self.slope / self.lambda_A * np.asarray(sigma, dtype=float)
        if self.is_flow:
            return np.asarray(lambertw(q).real, dtype=float)
        power = float(self.depth) + 1
        # (1+a)^{L+1} <= e^{(L+1) a}: a lower bound, from which Newton's method, convex in log a, goes above and down
        a = np.asarray(lambertw(power * q).real, dtype=float) / power
        used = q > 0
        u, target = np.log(a[used]), np.log(q[used])
        for _ in range(_MAX_NEWTON):
            value = np.exp(u)
            step = (u + power * np.log1p(value) - target) / (1 + power * value / (1 + value))
            u = u - step
            if not (np.abs(step) > _NEARLY).any():
                break  # quadratic convergence: what is left of the error is its square
        a[used] = np.exp(u)
        return a

    def spectral_gauge(self, sigma: Array) -> float:
        """``sum_i g(sigma_i)``: ``lambda_A (a (1+a) + L a^2/2)`` at the best a, ``c (x + x^2/2)`` of the flow."""
        a = self.equilibrium_spectrum(sigma)
        if self.is_flow:
            return self.lambda_A * float((a + a * a / 2).sum())
        return self.lambda_A * float((a * (1 + a) + self.depth / 2 * a * a).sum())

    def curvatures(self, sigma: Array) -> Array:
        """``L (lam^2/lambda_A) (1+a)^{-2L-1} / (1 + (L+2) a)``, or ``(lam^2/c) e^{-2x}/(1 + x)``."""
        a = self.equilibrium_spectrum(sigma)
        start = self.slope * (self.slope / self.lambda_A)
        if self.is_flow:
            return start * np.exp(-2 * a) / (1 + a)
        return self.depth * start * np.exp(-(2 * self.depth + 1) * np.log1p(a)) / (1 + (self.depth + 2) * a)

    def relaxation(self, num_classes: int, upper: float) -> UnconstrainedFeatures | None:
        """Weight decay by the slope of the price's chord up to the s of which the price is ``upper``."""
        share = upper / self.lambda_A
        # a + (1 + L/2) a^2 = share, x + x^2/2 = share
        bend = 2.0 if self.is_flow else 4 + 2 * float(self.depth)
        a = 2 * share / (1 + math.sqrt(1 + bend * share))
        exponent = a if self.is_flow else (float(self.depth) + 1) * math.log1p(a)
        largest = self.lambda_A * a / self.slope * math.exp(exponent) if exponent < _OVERFLOW else math.inf
        return chord(upper, largest)

    @property
    def balance(self) -> float:
        """Ratio alpha of ``|W|_F^2`` to what the gauge charges, the optimal split between W and H."""
        return math.sqrt(self.lambda_H) / math.sqrt(self.lambda_W)
