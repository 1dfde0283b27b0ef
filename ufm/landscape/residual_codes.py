"""Residual depth with weight decay, balanced classes: which direct sum of simplices is cheapest, and where it changes.

Blocks of m classes, ``s (I - 11^T/m)`` each, make logits in which the classes of other blocks have logit 0. Risk and
price are sums over the blocks, so every block chooses its size s by itself:

    share(m) = min over s >= 0 of (m/K) log(1 + (m-1) e^{-s} + (K-m) e^{-s (1-1/m)}) + (m-1) g(sqrt(n) s)

and the cheapest sum is the partition of K with the least sum of shares. ``(K,)`` is the simplex ETF.

Source: derived here; theorems residual-price and residual-codes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ufm._validation import integer, positive
from ufm.architectures import Residual

Array = NDArray[np.float64]

__all__ = ["STRENGTHS", "SimplexSum", "Switch", "cheapest_sum", "residual_switch", "simplex_sum"]

#: Sizes s among which each block's is sought first, beside 0.
_SIZES = np.geomspace(1e-3, 80.0, 150)

#: Then between the neighbours of the best, over and over.
_ZOOMS, _FRACTIONS = 5, np.linspace(0.0, 1.0, 21)

#: Range of c = lambda_A/L in which changes are sought.
STRENGTHS = (1e-5, 50.0)

#: Strengths among which they are sought first, and halvings of the interval that has one.
_STRENGTHS, _HALVINGS = np.geomspace(*STRENGTHS, 24), 26

#: Absolute difference of objectives that counts.
_LEAST = 1e-11


@dataclass(frozen=True)
class SimplexSum:
    """A direct sum of simplices, its blocks at their best sizes.

    Attributes:
        blocks: numbers of classes, in decreasing order; ``(K,)`` for the ETF.
        sizes: singular value s of each block.
        value: risk plus weight decay.

    >>> SimplexSum((2, 2), (1.0, 4.0), 0.5).logits.tolist()[2:]
    [[0.0, 0.0, 2.0, -2.0], [0.0, 0.0, -2.0, 2.0]]
    """

    blocks: tuple[int, ...]
    sizes: tuple[float, ...]
    value: float

    @property
    def logits(self) -> Array:
        """The sum as a matrix (K, K), block after block."""
        ends = np.cumsum((0, *self.blocks))
        z = np.zeros((ends[-1], ends[-1]))
        for start, end, s in zip(ends, ends[1:], self.sizes, strict=False):
            z[start:end, start:end] = s * (np.eye(end - start) - 1 / (end - start))
        return z


@dataclass(frozen=True)
class Switch:
    """Where the ETF stops being the cheapest sum of simplices, as ``c = lambda_A/L`` falls.

    Attributes:
        strength: the largest c at which another sum is cheaper; 0 if there is none down to 1e-5.
        code: the cheapest other sum there, None if there is none.
        etf: the ETF there.
        block: its a, the size of each block of the network; x of the flow.
        is_stable: whether the ETF there passes the bound of theorem residual-etf-stability: it still bends up along the
            direction in which the risk bends least, so that it is left by a jump.
    """

    strength: float
    code: SimplexSum | None
    etf: SimplexSum | None
    block: float
    is_stable: bool


#: K up to which all direct sums are gone through: as many as K has partitions into parts from 2.
MOST_CLASSES = 60


@cache
def _partitions(total: int, largest: int) -> tuple[tuple[int, ...], ...]:
    """Partitions of ``total`` into parts from 2 to ``largest``, in decreasing order."""
    return tuple(_parts(total, largest))


def _parts(total: int, largest: int) -> Iterator[tuple[int, ...]]:
    if total == 0:
        yield ()
    for m in range(min(total, largest), 1, -1):
        for rest in _parts(total - m, m):
            yield (m, *rest)


def simplex_sum(network: Residual, num_classes: int, blocks: tuple[int, ...], num_samples: int = 1) -> SimplexSum:
    """A direct sum of simplices with these blocks, each at the size that is best for it.

    Args:
        network: the weight decay.
        num_classes: K.
        blocks: numbers of classes of the blocks, from 2, K together.
        num_samples: n of each class.

    Raises:
        ValueError: blocks that are no partition of K into parts of at least 2.

    >>> network = Residual(0.05, 0.05, 0.001, depth=4)
    >>> [round(simplex_sum(network, 4, blocks).value, 4) for blocks in ((4,), (2, 2))]
    [0.0391, 0.0345]
    """
    k = integer("num_classes", num_classes, minimum=2)
    n = integer("num_samples", num_samples, minimum=1)
    ordered = tuple(sorted((integer("blocks", m, minimum=2) for m in blocks), reverse=True))
    if sum(ordered) != k:
        raise ValueError(f"blocks must be parts of num_classes={k} of at least 2 classes, got {blocks!r}")
    return _sum(ordered, *_shares(network, k, n))


def cheapest_sum(network: Residual, num_classes: int, num_samples: int = 1, *, etf: bool = True) -> SimplexSum:
    """The cheapest direct sum of simplices; ``etf=False`` leaves the ETF out.

    Raises:
        ValueError: fewer than 4 classes without the ETF: there is no other sum; more than 60, whose partitions are too
            many to go through.

    >>> [cheapest_sum(Residual(0.05, 0.05, dear, depth=4), 6).blocks for dear in (0.001, 9.0)]
    [(2, 2, 2), (6,)]
    """
    k = integer("num_classes", num_classes, minimum=2 if etf else 4, maximum=MOST_CLASSES)
    n = integer("num_samples", num_samples, minimum=1)
    return _cheapest(k, etf, *_shares(network, k, n))


def residual_switch(num_classes: int, decay: float, depth: int | float) -> Switch:
    """Where, as ``c = lambda_A/L`` falls, the ETF stops being the cheapest sum of simplices.

    Args:
        num_classes: K, from 4.
        decay: ``lambda sqrt(n)``, lambda = sqrt(lambda_W lambda_H), n samples of each class; from 1/K on all is 0.
        depth: L, or inf.

    Raises:
        ValueError: fewer than 4 classes or a decay that is not in (0, 1/K).

    >>> switch = residual_switch(4, 0.05, 4)
    >>> round(switch.strength, 4), switch.code.blocks, switch.is_stable
    (0.0638, (2, 2), True)
    """
    k, rate = integer("num_classes", num_classes, minimum=4, maximum=MOST_CLASSES), positive("decay", decay)
    if not (isinstance(depth, float) and depth == math.inf):
        depth = integer("depth", depth, minimum=1)
    if rate * k >= 1:
        raise ValueError(f"decay must be below 1/num_classes = {1 / k:.6g}, got {decay!r}")

    def network(c: float) -> Residual:
        return Residual(rate, rate, c if depth == math.inf else c * depth, depth)

    def loses(c: float) -> bool:
        shares = _shares(network(c), k, 1)
        return _cheapest(k, False, *shares).value < _sum((k,), *shares).value - _LEAST

    lost = [c for c in _STRENGTHS.tolist() if loses(c)]
    if not lost:
        return Switch(0.0, None, None, 0.0, False)
    low = max(lost)
    high = min((c for c in _STRENGTHS.tolist() if c > low), default=2 * low)
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if loses(middle) else (low, middle)
    etf = simplex_sum(network(low), k, (k,))
    alpha = etf.sizes[0]
    a = float(network(low).equilibrium_spectrum(np.array([alpha]))[0])
    # alpha (1 + (L+2) a) against K L a; alpha (1 + x) against K x at infinite depth
    left, right = (1 + a, k * a) if depth == math.inf else (1 + (depth + 2) * a, k * depth * a)
    return Switch(low, cheapest_sum(network(low), k, etf=False), etf, a, alpha * left > right)


def _sum(blocks: tuple[int, ...], values: Array, sizes: Array) -> SimplexSum:
    """The sum with these blocks, from what :func:`_shares` returns."""
    at = [m - 2 for m in blocks]
    return SimplexSum(blocks, tuple(sizes[at].tolist()), math.fsum(values[at].tolist()))


def _cheapest(k: int, etf: bool, values: Array, sizes: Array) -> SimplexSum:
    among = _partitions(k, k if etf else k - 2)
    best = min(among, key=lambda blocks: math.fsum(float(values[m - 2]) for m in blocks))
    return _sum(best, values, sizes)


def _shares(network: Residual, k: int, n: int) -> tuple[Array, Array]:
    """Least of risk and price of blocks of 2 to k classes (k-1,), and the sizes (k-1,) that attain it."""
    if not isinstance(network, Residual):
        raise TypeError(f"network must be a ufm.Residual, got {network!r}")
    m = np.arange(2, k + 1)[:, None]

    def cost(sizes: Array) -> Array:
        others = (m - 1) * np.exp(-sizes) + (k - m) * np.exp(-sizes * (1 - 1 / m))
        return np.asarray(m / k * np.log1p(others) + (m - 1) * _prices(network, math.sqrt(n) * sizes))

    sizes = np.broadcast_to(_SIZES, (k - 1, len(_SIZES)))
    for _ in range(_ZOOMS):
        at = np.clip(cost(sizes).argmin(axis=1), 1, sizes.shape[1] - 2)[:, None]
        low, high = (np.take_along_axis(sizes, at + side, axis=1) for side in (-1, 1))
        sizes = low + (high - low) * _FRACTIONS
    values = cost(sizes)
    at = values.argmin(axis=1)[:, None]
    least, best = (np.take_along_axis(x, at, axis=1)[:, 0] for x in (values, sizes))
    zero = cost(np.zeros((1, 1)))[:, 0]
    return np.minimum(least, zero), np.where(zero <= least, 0.0, best)


def _prices(network: Residual, sizes: Array) -> Array:
    """g of each singular value."""
    a = network.equilibrium_spectrum(sizes)
    bend = 1.0 if network.is_flow else 2 + float(network.depth)
    return network.lambda_A * (a + bend * a * a / 2)
