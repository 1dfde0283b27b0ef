"""Where the simplex ETF is globally optimal for a linear equilibrium layer with a Frobenius budget: a proof in balls.

Balanced cross-entropy, ``Z = W (I - A)^{-1} H``, ``|A|_F^2 <= E_A < 1``: the minimum of f over ``N - b T <= tau`` with
``N = |Z|_*``, ``T = |Z|_F``, ``b = sqrt(E_A)`` (a bound on |A|_2 only removes points, and none below the ETF's value).
Columns of Z centred, n = K - 1, S = tr Z, q_k = |z_k|^2, ``s_k = (K/n) Z_kk`` (mean margin), ``o_k^2 = q_k - (n/K)
s_k^2 = n (n-1) d_k^2``. A minimiser better than the ETF, of size alpha, has ``N = tau + b T`` exactly, ``T > T_e =
sqrt(n) alpha`` and ``w = N - S`` in [0, b (T - T_e)) (theorem "frobenius-budget-etf"), and every column satisfies

    loss_k >= log(1 + e^{-s_k} h(d_k)),  h(d) = e^{-(n-1) d} + (n-1) e^d       (equal variables, Cirtoaje 2007)
    q_k <= |Z|_2 p_k,  p_k = |Z|_kk <= (sqrt(w/2) + sqrt(w/2 + Z_kk))^2         (polar decomposition of Z)
    |Z|_2 <= N/n + sqrt((T^2 - N^2/n) (n-1)/n),  |z_k - (S/n) P_k|^2 <= T^2 - S^2/n.

With multipliers kappa, lam >= 0 the risk is at least ``min over columns of [loss + lam s - kappa q] + kappa T^2/K -
lam S/n``. Boxes of (T, w) cover what is possible; in each one the minimum over (s, d) is bounded on cells where concave
terms are replaced by chords, convex ones by tangents, all at exact points. Next to the ETF a second-order bound serves.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq
from numpy.typing import NDArray

from proofs_check.kinds import optimality
from proofs_check.kinds.reading import Reject
from proofs_check.precision import precision
from ufm._validation import integer, positive, real
from ufm.certificates._certificate import Certificate, CertificationError
from ufm.certificates._exact import rational, text

__all__ = ["EtfOptimality", "bound_balanced_risk", "certify_etf_optimal"]

Array = NDArray[np.float64]

#: Radius from which on products of logits and probabilities leave float64.
LARGEST_RADIUS = 1e100

PRECISION = 96

#: Boxes of (T, w): growth of their width in T, edges in w as shares of its range, halvings, and how many in all.
WIDEN = 1.5
EDGES = (0.0, 1 / 64, 1 / 16, 1 / 4, 1.0 + 1e-9)
MAX_SPLITS = 6
MAX_BOXES = 400

#: Cells along s, pieces along d (graded towards 0), and how often both may be halved where the bound is tight.
CELLS, FIRST, DEPTH = 36, 8, 5

#: For a bound without optimality: share of the range of T in the first box, number of boxes, reductions to try.
FINE = 48
GUESSES = 120
SLACK = (0.01, 0.05, 0.2, 0.5)

#: Of the multipliers next to the ETF the one that is this share of the way up.
LEAN = 0.1

#: Samples along d in each cell for the linear programme that chooses the multipliers.
SAMPLES = 12


@dataclass(frozen=True)
class EtfOptimality:
    """The simplex ETF is globally optimal, for every bound on ``|A|_2`` that is idle at it, with this value.

    Attributes:
        num_classes: K.
        tau: K sqrt(E_W E_H), exact.
        E_A: budget of |A|_F^2, exact.
        lower, upper: enclosure of the optimal value ``log(1 + (K-1) e^{-alpha})``, ``alpha = tau/(K-1 - sqrt((K-1)
            E_A))``.
        boxes: number of boxes of (|Z|_F, |Z|_* - tr Z) the proof consists of, besides the one next to the ETF.
        witness: that neighbourhood and the boxes with their multipliers, as a certificate holds them.
    """

    num_classes: int
    tau: Fraction
    E_A: Fraction
    lower: float
    upper: float
    boxes: int
    witness: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def certificate(self, rho: Any = Fraction(99, 100)) -> Certificate:
        """The proof as a certificate, at ``E_W = E_H = tau/K`` and the bound ``rho`` on ``|A|_2``.

        Args:
            rho: in [sqrt(E_A/(K-1)), 1), exact; a bound on ``|A|_2`` that is idle at the ETF.

        Raises:
            ValueError: rho out of its range.
            CertificationError: E_A = 0, the layer-peeled model, has a value certificate (:func:`ufm.certify`) instead.

        >>> certificate = certify_etf_optimal(4, 2, Fraction(1, 20)).certificate()
        >>> certificate.kind, round(certificate.lower, 9), certificate.check().accepted
        ('optimality', 0.873515296, True)
        """
        bound = rational("rho", rho)
        if not (bound < 1 and bound**2 * (self.num_classes - 1) >= self.E_A):
            raise ValueError(f"rho must lie in [sqrt(E_A/(K-1)), 1), got {rho!r}")
        if not self.witness:
            raise CertificationError("E_A = 0 is the layer-peeled model, whose value has a certificate of its own")
        budget = text(self.tau / self.num_classes)
        claim: dict[str, Any] = {
            "kind": "optimality",
            "architecture": {
                "name": "linear_deq",
                "E_W": budget,
                "E_H": budget,
                "rho": text(bound),
                "E_A": text(self.E_A),
            },
            "prior": [{"classes": self.num_classes, "count": "1"}],
            "loss": "ce",
            "statement": {"lower": text(self.lower), "upper": text(self.upper)},
        }
        return Certificate.proving(claim, self.witness)


def certify_etf_optimal(num_classes: int, tau: Any, E_A: Any) -> EtfOptimality:
    """Prove in ball arithmetic that no factors of the budgets beat the simplex ETF.

    Args:
        num_classes: K >= 3.
        tau: ``K sqrt(E_W E_H)`` > 0; taken exactly (int, float or Fraction).
        E_A: budget of ``|A|_F^2``, in [0, 1), taken exactly. The statement holds for every bound rho on ``|A|_2`` that
            lets the ETF use it, ``sqrt(E_A) <= rho sqrt(K-1)``, and for rho below that by the spectral theorem.

    Returns:
        What was proved.

    Raises:
        ValueError: an argument out of range (TypeError: not a number).
        CertificationError: no proof was found, which says nothing about the statement.

    Source: derived here; see the module's docstring.

    >>> proof = certify_etf_optimal(4, 2, Fraction(1, 20))
    >>> round(proof.lower, 9), round(proof.upper, 9)
    (0.873515296, 0.873515296)
    """
    k, radius, budget = _arguments(num_classes, tau, E_A)
    with precision(PRECISION):
        proof = _Proof(k, _ball(radius), _ball(budget).sqrt())
        boxes = proof.run() if budget else 0  # E_A = 0 is the layer-peeled model
        return EtfOptimality(k, radius, budget, *_outward(proof.value), boxes, proof.witness() if budget else {})


def bound_balanced_risk(num_classes: int, tau: Any, E_A: Any) -> float:
    """Rigorous lower bound of the optimal value, for E_A in [0, 1) and any bound on ``|A|_2``; at most the ETF's risk.

    The bound of the boxes of :func:`certify_etf_optimal` where they do not reach the ETF; arguments as there. 0 where
    the boxes give nothing.

    >>> bound_balanced_risk(4, 2, 0) <= math.log1p(3 * math.exp(-2 / 3)) < bound_balanced_risk(4, 2, 0) + 1e-12
    True
    """
    k, radius, budget = _arguments(num_classes, tau, E_A)
    with precision(PRECISION):
        proof = _Proof(k, _ball(radius), _ball(budget).sqrt())
        return max(0.0, _down(proof.bound() if budget else proof.value))


def _arguments(num_classes: int, tau: Any, E_A: Any) -> tuple[int, Fraction, Fraction]:
    """K, tau and E_A, the latter two exact: a float may round a Fraction into its range or out of it."""
    k = integer("num_classes", num_classes, minimum=3)
    positive("tau", tau)
    real("E_A", E_A)
    radius, budget = rational("tau", tau), rational("E_A", E_A)
    if radius > LARGEST_RADIUS:
        raise ValueError(f"tau must be at most {LARGEST_RADIUS:g}, got {tau!r}")
    if not 0 <= budget < 1:
        raise ValueError(f"E_A must lie in [0, 1), got {E_A!r}")
    return k, radius, budget


@dataclass(frozen=True)
class _Domain:
    """Where the columns (s, d) of matrices in a box can lie."""

    proof: _Proof
    sigma: arb  # at least |Z|_2
    w: arb  # at least |Z|_* - tr Z
    size: tuple[arb, arb]  # S/n lies between
    reach2: arb  # at least |z_k - (S/n) P_k|^2

    @property
    def ends(self) -> tuple[float, float]:
        """Interval of s: within reach, and Z_kk >= -w/2."""
        share = fmpq(self.proof.n, self.proof.k)
        radius = _root(self.reach2 / share)
        return max(_down(self.size[0] - radius), _down(-self.w / 2 / share)), _up(self.size[1] + radius)

    def most(self, left: float, right: float) -> float | None:
        """The largest d for s in [left, right], None where there is no column."""
        s, s2, share = arb(left), arb(right), fmpq(self.proof.n, self.proof.k)
        p = (_root(self.w / 2) + _root(self.w / 2 + share * s2)) ** 2
        away = (self.size[0] - s2).max(s - self.size[1]).max(arb(0))
        least = s.max(-s2).max(arb(0))  # of |s|
        o2 = (self.sigma * p.min(self.sigma) - share * least**2).min(self.reach2 - share * away**2)
        return None if o2 < 0 else _up(_root(o2 / self.proof.c))


class _Proof:
    """The data of one proof: ETF, grid of tangents in d, and the boxes done so far."""

    def __init__(self, k: int, tau: arb, b: arb) -> None:
        self.k, self.n, self.tau, self.b = k, k - 1, tau, b
        root = arb(self.n).sqrt()
        self.alpha = tau / (self.n - b * root)
        self.t_e = root * self.alpha
        self.t_max = tau / (1 - b)
        self.value = (self.n * (-self.alpha).exp()).log1p()
        self.c, self.share = self.n * (self.n - 1), fmpq(self.n, k)  # o^2 = c d^2, |z_k|^2 = share s^2 + o^2
        self.guess = math.inf  # the bound of the last box in floating point
        self.settled = (0.0, 0.0)  # the neighbourhood of the ETF that needs no boxes, and its multiplier
        self.found: list[tuple[float, ...]] = []  # boxes with their multipliers

    def witness(self) -> dict[str, Any]:
        """What a certificate holds of the proof."""
        return {
            "near": [text(x) for x in self.settled],
            "boxes": [[text(x) for x in box] for box in self.found],
        }

    def run(self) -> int:
        """Cover (T_e, tau/(1-b)]; returns the number of boxes, raises CertificationError where a box stays open."""
        return self._cover(list(self._boxes(self._settle())))

    def bound(self) -> arb:
        """A lower bound of the optimal value, at most the ETF's: the least of the boxes' bounds, a little reduced.

        Below T_e the risk is at least the ETF's, so that here no neighbourhood of it has to be settled first.
        """
        start = _down(self.t_e) + (_up(self.t_max) - _down(self.t_e)) / FINE
        boxes = [(_down(self.t_e), start, *pair) for pair in self._edges(start)]
        boxes += [box[:4] for box in self._boxes(start)]
        whole, self.value = float(self.value.mid()), arb(math.inf)  # out of reach: each box stops at its guess

        def guessed(box: tuple[float, float, float, float]) -> tuple[float, tuple[float, float, float, float]]:
            self.guess = math.inf
            self.box(*box)
            return self.guess, box

        heap = [guessed(box) for box in boxes]
        heapq.heapify(heap)
        while heap[0][0] < whole and len(heap) < GUESSES:  # split the box that bounds least
            t1, t2, w1, w2 = heapq.heappop(heap)[1]
            t, w = (t1 + t2) / 2, (w1 + w2) / 2
            for part in itertools.product(((t1, t), (t, t2)), ((w1, w), (w, w2))):
                heapq.heappush(heap, guessed((*part[0], *part[1])))
        least, boxes = min(whole, heap[0][0]), [box for _, box in heap]
        for share in SLACK:
            self.value = arb(least * (1 - share))
            with contextlib.suppress(CertificationError):
                self._cover([(*box, MAX_SPLITS - 1) for box in boxes])
                return self.value
        return arb(0)

    def _edges(self, high: float) -> list[tuple[float, float]]:
        """Intervals of w for T <= high; wider with w, since bounds move as its root."""
        width = _up(self.b) * (high - _down(self.t_e))
        return list(itertools.pairwise(width * share for share in EDGES))

    def _boxes(self, low: float) -> Iterator[tuple[float, float, float, float, int]]:
        """Boxes (T, T', w, w', halvings so far) from T = low on, wider with the distance from the ETF."""
        base, top = _down(self.t_e), _up(self.t_max)
        while low < top:
            high = min(base + (low - base) * WIDEN, top)
            high = high if high > low else top  # radii next to the least float leave no room to grow
            for pair in self._edges(high):
                yield low, high, *pair, 0
            low = high

    def _cover(self, todo: list[tuple[float, float, float, float, int]]) -> int:
        done = 0
        while todo:
            if done + len(todo) > MAX_BOXES:
                raise CertificationError(f"more than {MAX_BOXES} boxes needed: E_A is too large for this proof")
            t1, t2, w1, w2, depth = todo.pop()
            done += 1
            if self.box(t1, t2, w1, w2):
                continue
            if depth == MAX_SPLITS:
                raise CertificationError(
                    f"no bound at |Z|_F = {t1:.4g}, |Z|_* - tr Z = {w1:.3g}: E_A is too large for this proof"
                )
            t, w = (t1 + t2) / 2, (w1 + w2) / 2
            todo += [(*ts, *ws, depth + 1) for ts in ((t1, t), (t, t2)) for ws in ((w1, w), (w, w2))]
        return done

    # next to the ETF ------------------------------------------------------------------------------------------------

    def near(self) -> float:
        """T_1 > T_e such that nothing with T <= T_1 beats the ETF, as large as a few trials find.

        At the multipliers kappa, lam = pi + 2 kappa alpha n/K the ETF's column is stationary. It is the least one where
        ``pi l + B(l - x) >= kappa (n/K x^2 + c d^2)``, l = log(h(d)/n), x = s - alpha and B the Bregman divergence of
        log(1 + e^y), at least beta y^2/2; and kappa (T + T_e)/K >= lam b/n then settles every T >= T_e.
        """
        k, n, p = self.k, self.n, 1 / (self.alpha.exp() + self.n)
        share = fmpq(n, k)
        least = self.b * n * p / (2 * share * (self.t_e - self.b * self.alpha))
        if not least < p / 2:
            raise CertificationError("the ETF is not known to be a local minimum: E_A is too large")
        for weight in (0.5, 0.25, 0.1, 0.02):
            kappa = (least * (1 - arb(weight)) + weight * p / 2).mid()
            lam = n * p + 2 * kappa * self.alpha * share
            if not 2 * kappa * self.t_e / k >= lam * self.b / n:
                continue
            for power in range(0, 44):
                t = self.t_e.upper() * (1 + arb(2) ** arb(-fmpq(power, 2)))
                if t < self.t_max and self._second_order(kappa, t, p):
                    return _down(t)
        raise CertificationError("no neighbourhood of the ETF could be settled: E_A is too large for this proof")

    def _settle(self) -> float:
        """T_1 as in :meth:`near`, no larger, that the checker settles by convexity: its boxes have to begin there."""
        n, top, p = self.n, self.near(), 1 / (self.alpha.exp() + self.n)
        least = self.b * n * p / (2 * fmpq(n, self.k) * (self.t_e - self.b * self.alpha))
        kappa = arb(float((least * (1 - arb(LEAN)) + LEAN * p / 2).mid()))
        for power in range(0, 80):
            t = _down(self.t_e.upper() * (1 + arb(2) ** arb(-fmpq(power, 2))))
            with contextlib.suppress(Reject):
                if t <= top:
                    optimality.check_near(self, arb(t), kappa)
                    self.settled = t, float(kappa)
                    return t
        raise CertificationError("no neighbourhood of the ETF could be settled: E_A is too large for this proof")

    def _second_order(self, kappa: arb, t: arb, p: arb) -> bool:
        k, n = self.k, self.n
        e = (t * t - self.t_e**2).sqrt()  # |z_k - (S/n) P_k| <= e, as S >= n alpha
        d, x = e / arb(self.c).sqrt(), (arb(k) / n).sqrt() * e + self.b * (t - self.t_e) / n
        # h >= n (1 + u) with u = (n-1) d^2/2 (1 - (n-2) d/3), from the Taylor polynomials of degree 3
        lead = (n - 1) * (1 - (n - 2) * d / 3) / 2
        if not lead > 0:
            return False
        u = (n - 1) * d * d / 2
        low, high = lead * (1 - u / 2), self._l(d) - arb(n).log()  # l >= low d^2, l <= high
        y0, reach = arb(n).log() - self.alpha, high + x
        beta = _slope(y0 + reach).min(_slope(y0 - reach))
        gamma = 2 * kappa * fmpq(n, k)
        if not beta > gamma:
            return False
        factor = n * p - beta * gamma / (beta - gamma) * high / 2
        return bool(factor > 0 and low * factor >= kappa * self.c)

    def _l(self, d: arb) -> arb:
        return d + (self.n - 1 + (-self.n * d).exp()).log()

    # away from it ---------------------------------------------------------------------------------------------------

    def box(self, t1: float, t2: float, w1: float, w2: float) -> bool:
        """Whether the risk is shown to be at least ``value`` for T in [t1, t2] and w in [w1, w2]."""
        n, k = self.n, self.k
        low, high, w = arb(t1), arb(t2), arb(w2)
        if self.b * (high - self.t_e) <= w1:
            return True  # there S <= n alpha, so the risk is not below the ETF's
        mass = (self.tau + self.b * high, self.tau + self.b * low)
        sigma = mass[0] / n + _root((high * high - mass[0] ** 2 / n) * fmpq(n - 1, n))
        # S is at least n alpha
        size = (((mass[1] - w) / n).max(self.alpha), ((mass[0] - w1) / n).max(self.alpha))
        reach2 = (high * high - n * size[0] ** 2).max(arb(0))
        domain = _Domain(self, sigma, w, size, reach2)
        edges = np.linspace(*domain.ends, CELLS + 1).tolist()
        cells = [(x, y, domain.most(x, y)) for x, y in itertools.pairwise(edges)]
        limits = [(x, y, most) for x, y, most in cells if most is not None]
        if not limits:
            self.found.append((t1, t2, w1, w2, 0.0, 0.0))
            return True
        multipliers = self._multipliers(t1, (float((mass[1] - w1).mid())) / n, limits)
        if multipliers is None:
            return False
        kappa, lam = (arb(float(x)) for x in multipliers)
        # kappa T^2/K - lam (tau + b T - w)/n is convex in T: with slope >= 0 at t1 its minimum is there
        if not 2 * kappa * low / k >= lam * self.b / n:
            outer = kappa * low * low / k - lam * (mass[0] - w1) / n
        else:
            outer = kappa * low * low / k - lam * (mass[1] - w1) / n
        need = self.value - outer
        if not self._columns(kappa, lam, domain, limits, need):
            return False
        self.found.append((t1, t2, w1, w2, *multipliers))
        return True

    def _multipliers(
        self, t: float, size: float, limits: list[tuple[float, float, float]]
    ) -> tuple[float, float] | None:
        """kappa and lam of the best bound, if good enough: in floats, a linear programme over sampled columns."""
        from scipy.optimize import linprog

        k, n, grid = self.k, self.n, np.linspace(0, 1, SAMPLES) ** 2
        s = np.concatenate([np.repeat((a, b), SAMPLES) for a, b, _ in limits])
        d = np.concatenate([np.tile(m * grid, 2) for _, _, m in limits])
        loss = np.logaddexp(0, d - s + np.log(n - 1 + np.exp(-n * d)))
        q = self.c * d * d + n / k * s * s
        found = linprog(
            [-1, -t * t / k, size],
            A_ub=np.stack([np.ones_like(s), q, -s], axis=1),
            b_ub=loss,
            bounds=[(None, None), (0, None), (0, None)],
            options={"presolve": False},  # in three unknowns there is nothing to be gained from it
        )
        self.guess = -found.fun if found.status == 0 else -math.inf
        # the proof needs them nonnegative, whatever the solver's tolerance
        return (max(0.0, found.x[1]), max(0.0, found.x[2])) if self.guess > float(self.value.mid()) else None

    def _columns(
        self, kappa: arb, lam: arb, domain: _Domain, limits: list[tuple[float, float, float]], need: arb
    ) -> bool:
        """Whether loss + lam s - kappa (c d^2 + n/K s^2) >= need on all cells."""
        share, top = kappa * fmpq(self.n, self.k), max(m for _, _, m in limits)
        tangents: list[Any] = [None] * DEPTH
        todo = [(left, right, most, 0) for left, right, most in limits]
        while todo:
            left, right, most, level = todo.pop()
            tangents[level] = tangents[level] or self._tangents(kappa, top, FIRST << level)
            s, s2 = arb(left), arb(right)
            slope = lam - share * (s + s2)  # of lam s minus the chord of n/K kappa s^2
            if self._cell(s, s2, slope, share * s * s2 - need, most, tangents[level]):
                continue
            if level == DEPTH - 1:
                return False
            middle = (left + right) / 2
            for x, y in ((left, middle), (middle, right)):
                less = domain.most(x, y)
                if less is not None:
                    todo.append((x, y, min(less, most), level + 1))
        return True

    @staticmethod
    def _cell(s: arb, s2: arb, slope: arb, fixed: arb, most: float, pieces: list[tuple[Any, ...]]) -> bool:
        """Whether log(1 + e^{l - s}) + slope s + fixed - kappa c d^2 >= 0 for s in [s, s2] and d <= most.

        log(1 + e^y) >= H(a) + a y for every a in [0, 1], H the entropy: a is the slope where the minimum over s is
        inside, the nearer end's logistic value where it is not.
        """
        left, right, wanted = float(s.mid()), float(s2.mid()), float(slope.mid())
        entropy: dict[float, tuple[arb, arb]] = {}
        for start, middle, l1, q1, l2, q2 in pieces:
            if start > most:
                break
            share = min(max(wanted, _logistic(middle - right)), _logistic(middle - left))
            share = min(max(share, 1e-300), 1 - 1e-15)
            if share not in entropy:
                a = arb(share)
                rest = slope - a
                entropy[share] = a, fixed - a * a.log() - (1 - a) * (-a).log1p() + (rest * s).min(rest * s2)
            a, base = entropy[share]
            if not (base + a * l1 - q1 >= 0 and base + a * l2 - q2 >= 0):
                return False
        return True

    def _tangents(self, kappa: arb, top: float, pieces: int) -> list[tuple[Any, ...]]:
        """Pieces of [0, top]: start, l at the middle; at both ends the tangent of l at the middle and kappa c d^2."""
        n, chord = self.n, kappa * self.c
        grid = [arb(x) for x in (top * np.linspace(0, 1, pieces + 1) ** 2).tolist()]
        found = []
        for x, y in itertools.pairwise(grid):
            m = ((x + y) / 2).mid()
            decay = (-n * m).exp()
            slope, value = (n - 1) * (1 - decay) / (n - 1 + decay), self._l(m)
            found.append(
                (
                    _down(x),
                    float(value.mid()),
                    value + slope * (x - m),
                    chord * x * x,
                    value + slope * (y - m),
                    chord * y * y,
                )
            )
        return found


def _slope(y: arb) -> arb:
    """Derivative of the logistic function."""
    return 1 / ((y / 2).exp() + (-y / 2).exp()) ** 2


def _logistic(y: float) -> float:
    return 1 / (1 + math.exp(-y)) if y > 0 else math.exp(y) / (1 + math.exp(y))


def _ball(x: Fraction) -> arb:
    return arb(fmpq(x.numerator, x.denominator))


def _root(x: arb) -> arb:
    """At least the root of x, of 0 where x is negative; the root of a ball across 0 would be NaN."""
    return arb(x.upper()).max(arb(0)).sqrt()


def _down(x: arb) -> float:
    return math.nextafter(float(x.lower()), -math.inf)


def _up(x: arb) -> float:
    return math.nextafter(float(x.upper()), math.inf)


def _outward(x: arb) -> tuple[float, float]:
    return _down(x), _up(x)
