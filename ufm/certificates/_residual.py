"""Certificates for residual depth with weight decay: where the balanced ETF is optimal, and where codes beat it.

Every parabola ``p_a(s) = A_a s - kappa_a s^2/2`` lies below the price g of a singular value and touches it where blocks
of size a are best (theorem residual-columns). So the objective is at least ``f(Z) + A_a |Z|_* - (kappa_a/2) |Z|_F^2``,
which splits over the columns of Z once |Z|_2 is bounded: ``proofs_check/kinds/residual.py`` has the bound, this module
chooses a for the ETF's neighbourhood and for boxes of |Z|_2 beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from flint import arb
from numpy.typing import ArrayLike, NDArray

from proofs_check import checker
from proofs_check.kinds import residual
from proofs_check.kinds.reading import Reject, fmpq
from proofs_check.precision import precision
from ufm._validation import array, integer
from ufm.architectures import Residual
from ufm.certificates._certificate import Certificate, CertificationError
from ufm.certificates._exact import lower_end, round_down, round_up, text, upper_end

__all__ = ["certify_residual_code", "certify_residual_etf"]

Array = NDArray[np.float64]

#: Digits of certified ends, bits of the ETF's block, and bits after the point of factors.
DIGITS, BLOCK_BITS, BITS = 12, 200, 60

#: Points of the columns (s, d) at which bounds are guessed, and by how much of the value a guess has to succeed.
GRID, SLACK = (161, 41), 3e-4

#: The largest size of an ETF that is sought.
MAX_SIZE = 80.0

#: Rectangles of columns in one box.
MAX_RECTANGLES = 3000

#: Growth of |Z|_2 from one box to the next, tried in this order.
GROWTH = (1.5, 1.25, 1.12, 1.06, 1.03, 1.015)

#: Of the largest |Z|_2 around the ETF this is taken, and the halvings that find it.
HOME, HALVINGS = 0.98, 16


def certify_residual_etf(network: Residual, num_classes: int, num_samples: int = 1) -> Certificate:
    """Certificate that the simplex ETF is globally optimal for balanced classes, with the optimal value in an interval.

    Args:
        network: residual depth with weight decay; its numbers are taken exactly.
        num_classes: K, 3 to 64.
        num_samples: n of each class.

    Raises:
        ValueError: an argument out of range (TypeError: no network of this kind).
        CertificationError: no proof was found, which says nothing about the statement; between the least lambda_A/L
            that is proved and the largest at which a code is known lies a factor of about 2 to 5.

    >>> certificate = certify_residual_etf(Residual(0.1, 0.1, 4.0, depth=4), num_classes=4)
    >>> certificate.kind, round(certificate.lower, 9), certificate.check().accepted
    ('optimality', 0.889002132, True)
    """
    k, n = _checked(network, num_classes, num_samples, 3)
    claim = _claim("optimality", network, k, n)
    with precision(checker.PRECISION), _refused():
        search = _Search(_model(claim), network, n)
        witness = search.witness()
        value = search.model.etf(_ball(search.block[0]).union(_ball(search.block[1])))
        ends = round_down(lower_end(value), DIGITS), round_up(upper_end(value), DIGITS)
    statement = {"lower": text(ends[0]), "upper": text(ends[1])}
    return Certificate.proving({**claim, "statement": statement}, witness)


def certify_residual_code(network: Residual, logits: ArrayLike, num_samples: int = 1) -> Certificate:
    """Certificate that explicit factors beat every simplex ETF, for balanced classes under cross-entropy.

    The best factors of the logits, found in floating point, are rounded to rationals.

    Args:
        network: residual depth with weight decay; its numbers are taken exactly.
        logits: shape (K, K), K from 3 to 16.
        num_samples: n of each class.

    Raises:
        ValueError: an argument out of range (TypeError: no network of this kind).
        CertificationError: the factors are not proved to beat every ETF.

    >>> network = Residual(0.05, 0.05, 0.1, depth=4)
    >>> pairs = np.kron(np.eye(2), [[1, -1], [-1, 1]])
    >>> certificate = certify_residual_code(network, 3.921 * pairs)
    >>> certificate.kind, round(float(Fraction(certificate.claim["statement"]["margin"])), 6)
    ('counterexample', 0.009679)
    """
    z = array("logits", logits, ndim=2, shape="(K, K)")
    if z.shape[0] != z.shape[1] or len(z) > residual.MAX_FACTOR_SIZE:
        raise ValueError(f"logits must have shape (K, K), K at most {residual.MAX_FACTOR_SIZE}, got {z.shape}")
    k, n = _checked(network, len(z), num_samples, 3)
    claim, witness = _claim("counterexample", network, k, n), _factors(network, z, n)
    with precision(checker.PRECISION), _refused():
        paid = float(residual.objective(_model(claim), witness).mid())
    margin = _best_etf(network, k, n)[1] - paid
    if margin <= 0:
        raise CertificationError(f"the factors do not beat the simplex ETF: advantage {margin:.3g}")
    for share in (1 - 1e-6, 0.99, 0.5):
        statement = {"refutes": "etf-optimal", "margin": text(round_down(Fraction(share * margin), DIGITS))}
        certificate = Certificate({**claim, "statement": statement}, witness)
        if certificate.check():
            return certificate
    return Certificate.proving(certificate.claim, witness)


def _model(claim: dict[str, Any]) -> residual.Model:
    """The problem as the checker reads it; what it does not read is a ValueError."""
    try:
        return residual.Model(checker.read_claim({"format": checker.FORMAT, "claim": claim, "witness": {}}))
    except Reject as reason:
        raise ValueError(f"network: {reason}") from None


@contextmanager
def _refused() -> Iterator[None]:
    """What the checker refuses of a witness is no proof."""
    try:
        yield
    except Reject as reason:
        raise CertificationError(str(reason)) from None


def _checked(network: Residual, num_classes: int, num_samples: int, least: int) -> tuple[int, int]:
    """K and n, in range."""
    if not isinstance(network, Residual):
        raise TypeError(f"network must be a ufm.Residual, got {network!r:.200}")
    k = integer("num_classes", num_classes, minimum=least, maximum=residual.MAX_CLASSES)
    return k, integer("num_samples", num_samples, minimum=1)


def _claim(kind: str, network: Residual, k: int, n: int) -> dict[str, Any]:
    """A claim without its statement."""
    architecture: dict[str, Any] = {"name": "residual", "depth": "inf" if network.is_flow else int(network.depth)}
    architecture |= {name: text(getattr(network, name)) for name in ("lambda_W", "lambda_H", "lambda_A")}
    prior = [{"classes": k, "count": text(n)}]
    return {"kind": kind, "architecture": architecture, "prior": prior, "loss": "ce", "statement": {}}


def _factors(network: Residual, z: Array, n: int) -> dict[str, Any]:
    """The best W, diagonal of every block, and H of logits, each rounded."""
    u, s, vt = np.linalg.svd(z)
    used = s > 1e-9 * max(float(s[0]), 1e-300)
    u, s, vt = u[:, used], s[used], vt[used]
    blocks = network.equilibrium_spectrum(math.sqrt(n) * s)
    left = np.sqrt(s * network.inverse_gains(blocks) * math.sqrt(n * network.lambda_H / network.lambda_W))
    right = s * network.inverse_gains(blocks) / left
    if not all(np.isfinite(x).all() for x in (left, blocks, right)):
        raise ValueError(f"logits must have factors within float64, got singular values {s.tolist()} and {network!r}")

    def texts(m: Array) -> list[list[str]]:
        return [[text(Fraction(round(x * 2**BITS), 2**BITS)) for x in row] for row in m.tolist()]

    return {"W": texts(u * left), "blocks": texts(blocks[None])[0], "H": texts(right[:, None] * vt)}


def _best_etf(network: Residual, k: int, n: int) -> tuple[float, float]:
    """Size and objective of the best simplex ETF, in floats: among these sizes, then over and over next to the best."""
    sizes = np.linspace(0, MAX_SIZE, 401)
    for _ in range(6):
        prices = np.array([network.gauge(np.array([math.sqrt(n) * s])) for s in sizes])
        values = np.log1p((k - 1) * np.exp(-sizes)) + (k - 1) * prices
        at = int(values.argmin())
        size, value = float(sizes[at]), float(values[at])
        sizes = np.linspace(sizes[max(at - 1, 0)], sizes[min(at + 1, len(sizes) - 1)], 41)
    return size, value


class _Columns(NamedTuple):
    """Losses of columns, n times their mean margins s, and K/2 times their squared norms."""

    loss: Array
    margin: Array
    square: Array

    def least(self, slope: float, bend: float) -> float:
        """The least bound F at these multipliers."""
        return float((self.loss + slope * self.margin - bend * self.square).min())


class _Search:
    """The witness of one proof: tangent point, neighbourhood of the ETF, and boxes of |Z|_2 beyond it."""

    def __init__(self, model: residual.Model, network: Residual, num_samples: int) -> None:
        self.model, self.network, self.scale = model, network, math.sqrt(num_samples)
        self.alpha, self.value = _best_etf(network, model.k, num_samples)
        if self.alpha == 0:
            raise CertificationError("the best simplex ETF has size 0: weight decay leaves no logits")
        self.block = self._root(self._best_block(self.alpha))

    def witness(self) -> dict[str, Any]:
        """What a certificate holds of the proof."""
        home, near = self._home()
        boxes: list[list[str]] = []
        m = home
        while not self._costs_more(m):
            if len(boxes) == residual.MAX_BOXES:
                raise CertificationError(f"more than {residual.MAX_BOXES} boxes of |Z|_2 needed")
            box = next(self._boxes(m), None)
            if box is None:
                raise CertificationError(
                    f"no bound found at |Z|_2 = {m:.4g} ({m / self.alpha:.3g} of the ETF's): lambda_A/L is too small "
                    "for this proof"
                )
            boxes.append([text(x) for x in box])
            m = box[0]
        return {
            "block": [text(x) for x in self.block],
            "home": text(home),
            "near": [text(x) for x in near],
            "boxes": boxes,
            "end": text(self._best_block(m)),
        }

    def _best_block(self, size: float) -> float:
        """a at which g(size) is attained."""
        return float(self.network.equilibrium_spectrum(np.array([self.scale * size]))[0])

    def _root(self, start: float) -> tuple[Fraction, Fraction]:
        """A bracket of the critical ETF's block, next to ``start``."""
        low, high = Fraction(start) * (1 - Fraction(1, 10**6)), Fraction(start) * (1 + Fraction(1, 10**6))
        if not (self.model.tilt(_ball(low)) < 0 and self.model.tilt(_ball(high)) > 0):
            raise CertificationError("the best simplex ETF is no simple minimum among simplex ETFs")
        while (high - low) * 2**BLOCK_BITS > 1:
            middle = (low + high) / 2
            middle = Fraction(round(middle * 2 ** (BLOCK_BITS + 8)), 2 ** (BLOCK_BITS + 8))
            slope = self.model.tilt(_ball(middle))
            low, high = (middle, high) if slope < 0 else (low, middle)
        return low, high

    def _parabola(self, a: float) -> tuple[float, float]:
        """(A_a, kappa_a) in floats."""
        return tuple(float(x.mid()) for x in self.model.parabola(arb(a)))  # type: ignore[return-value]

    def _columns(self, m: float) -> _Columns:
        """Columns of norm at most m, on a grid."""
        model, (s, d, square) = self.model, _grid(self.model.k)
        s, d = m * s, m * d
        loss = np.logaddexp(0, np.logaddexp(-(model.n - 1) * d - s, math.log(model.n - 1) + d - s))
        return _Columns(loss, model.n * s, model.k / 2 * m * m * square)

    def _home(self) -> tuple[float, tuple[float, float, float]]:
        """The largest |Z|_2 up to which the ETF's own parabola does, and a rectangle on which F is convex."""
        slope, bend = self._parabola(float(self.block[0]))
        low, high = self.alpha, 8 * self.alpha
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            fits = self._columns(middle).least(slope, bend) >= self.value * (1 - 1e-7)
            low, high = (middle, high) if fits else (low, middle)
        for home in (HOME * low, 0.5 * (low + self.alpha)):
            for power in range(2, 24):
                part = 2.0 ** (-power / 2)
                near = self.alpha * (1 - part), self.alpha * (1 + part), self.alpha * part
                try:
                    with precision(residual.PRECISION):
                        self._check_home(home, near)
                except Reject as reason:
                    if "near" in str(reason):
                        continue
                    break
                return home, near
        raise CertificationError("no neighbourhood of the ETF could be settled: lambda_A/L is too small for this proof")

    def _check_home(self, home: float, near: tuple[float, float, float]) -> None:
        """Whether the checker takes it; raises its Reject."""
        model, block = self.model, _ball(self.block[0]).union(_ball(self.block[1]))
        model.value, model.alpha = model.etf(block), model.size(block)
        residual.check_home(model, arb(home), *model.parabola(block), [_rational(x) for x in near])

    def _boxes(self, m: float) -> Iterator[tuple[float, float, float, float]]:
        """Boxes [m', a, b, t] that begin at m and are hold, the longest first."""
        steep = self._best_block(m)
        high, bend_there = self._parabola(steep)
        for growth in GROWTH:
            end = m * growth
            chosen = self._multipliers(m, end, steep, (high, bend_there))
            if chosen is not None and self._holds(m, end, chosen[0], steep, chosen[1]):
                yield end, chosen[0], steep, chosen[1]

    def _multipliers(
        self, m: float, end: float, most: float, touching: tuple[float, float]
    ) -> tuple[float, float] | None:
        """a and t of the best bound for |Z|_2 in [m, end], if good enough: on a grid, then twice next to the best."""
        columns, best, at, chosen = self._columns(end), -math.inf, (0.5, 0.5), (0.0, 0.0)
        for width in (0.5, 0.125, 0.03):
            middle = at
            for x in np.clip(middle[0] + width * np.linspace(-1, 1, 9), 0, 1).tolist():
                slope, bend = self._parabola(x * most)
                extra = (touching[0] - slope) * m - (touching[1] - bend) * m * m / 2
                limit = min(1.0, bend * end / (2 * slope)) * (1 - 1e-9)
                for y in np.clip(middle[1] + width * np.linspace(-1, 1, 7), 0, 1).tolist():
                    t = y * limit
                    found = extra + columns.least((1 - t) * slope, bend - 2 * t * slope / end)
                    if found > best:
                        best, at, chosen = found, (x, y), (x * most, t)
        return chosen if best > self.value * (1 + SLACK) else None

    def _holds(self, *box: float) -> bool:
        """Whether the checker takes a box: the grid of a guess can miss the least column."""
        try:
            with precision(residual.PRECISION):
                return residual.check_box(self.model, MAX_RECTANGLES, *map(arb, box)) >= 0
        except Reject:
            return False

    def _costs_more(self, m: float) -> bool:
        """Whether one singular value m costs more than the whole ETF."""
        price = self.network.gauge(np.array([self.scale * m]))
        return price > self.value * (1 + 1e-9)


@cache
def _grid(k: int) -> tuple[Array, Array, Array]:
    """s and d of columns of norm at most 1, and their squared norms."""
    n = k - 1
    s = np.linspace(-1, 1, GRID[0])[:, None] / math.sqrt(n / k)
    d = np.sqrt(np.maximum(1 - n / k * s * s, 0) / (n * (n - 1))) * np.linspace(0, 1, GRID[1])[None]
    return s, d, n / k * s * s + n * (n - 1) * d * d


def _rational(x: float) -> fmpq:
    return fmpq(*Fraction(x).as_integer_ratio())


def _ball(x: Fraction) -> arb:
    return arb(fmpq(x.numerator, x.denominator))
