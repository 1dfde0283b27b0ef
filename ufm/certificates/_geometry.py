r"""Rigorous enclosures of a two-group optimum and its geometry (cross-entropy, budgets).

The optimum is the unique zero of the KKT system in the closed dual form of ``ufm.two_groups``. In balls:

* total collapse: explicit, once its optimality conditions hold strictly;
* otherwise with unknowns m = log beta_B and t = log tan(theta): a box in (m, eta), ``t = t0 + c (m - m0) + eta``, on
  whose faces the angle equation and the gauge minus the radius have opposite signs, holds a zero (Poincare-Miranda).
  A zero is a KKT point, so it is the optimum, and the box encloses it. The collapsed branch needs beta_B > 1 on the
  whole box, the uncollapsed one beta_B < 1: strict complementarity. That s_A > 0 need not be checked: without collapse
  beta_A < beta_B < 1; with it s_A <= 0 and u > 0 would make q_A > r_A, so cos(theta) < a and sin(theta) > b, while
  v > 0 makes r_B < 1/K, so beta_B sin(theta) < b.

The geometry then follows from (s_A, s_B, T, theta) in closed form: with e = (K_A-1) s_A + (K_B-1) s_B and phi the
angle between the trivial block's singular vectors, cos(phi) = a cos(theta) + b sin(theta),

    etf_error^2          = 2 - 2 (e + T cos^2) / sqrt((K-1) ((K_A-1) s_A^2 + (K_B-1) s_B^2 + T^2 cos^4)),
    self_duality_error^2 = 2 - 2 (e + T cos) / sqrt((e + T) (e + T cos^2)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import arb, arb_series, fmpq

from proofs_check import checker
from proofs_check.kinds import geometry as box_check
from proofs_check.precision import precision
from ufm.architectures import Constrained
from ufm.certificates._certificate import Certificate, CertificationError
from ufm.certificates._exact import (
    describe_architecture,
    describe_prior,
    lower_end,
    round_down,
    round_up,
    text,
    upper_end,
)
from ufm.labels import ClassPrior
from ufm.two_groups.scalar import TwoGroups

__all__ = ["GeometryEnclosure", "certify_geometry", "enclose_geometry"]

PRECISION = 240

#: Certificates: steps to the zero, relative width and digits of the box about it, digits of the errors' intervals.
NEWTON_STEPS, WIDTH, BOX_DIGITS, DIGITS = 8, Fraction(1, 10**50), 60, 24


@dataclass(frozen=True)
class GeometryEnclosure:
    """Balls of the geometry of a two-group optimum, and its phase (decided by strict inequalities).

    Attributes:
        phase: ``"none"``, ``"partial"`` or ``"total"``.
        s_majority, s_minority: s_A and s_B.
        etf_error_squared: squared ETF error of the features.
        self_duality_error_squared: squared self-duality error.
    """

    phase: str
    s_majority: arb
    s_minority: arb
    etf_error_squared: arb
    self_duality_error_squared: arb


@dataclass(frozen=True)
class _State:
    """Everything at (m, t): balls, or power series of balls."""

    angle: Any  # the angle equation's left side
    gauge: Any
    s_a: Any
    s_b: Any
    size: Any  # T
    cos: Any
    sin: Any


class _System:
    """The KKT system of one problem in ball arithmetic; ``collapsed`` picks the branch."""

    def __init__(self, k_a: int, k_b: int, ratio: fmpq, collapsed: bool) -> None:
        self.k_a, self.k_b, self.k = k_a, k_b, k_a + k_b
        self.ratio, self.collapsed = arb(ratio), collapsed
        self.a, self.b = (arb(k_b) / self.k).sqrt(), (arb(k_a) / self.k).sqrt()

    def __call__(self, m: Any, t: Any) -> _State:
        """The system at balls m and t, or along power series of balls."""
        tan = t.exp()
        cos = 1 / (1 + tan * tan).sqrt()
        sin = tan * cos
        u, s_a = self._side(self.k_a, self.k_b, m.exp() / self.ratio, self.a, cos, self.k_a == 1)
        v, s_b = self._side(self.k_b, self.k_a, m.exp(), self.b, sin, self.collapsed or self.k_b == 1)
        if not (_head(u) > 0 and _head(v) > 0):
            raise CertificationError("the box reaches points where the trivial block vanishes")
        x, y = self.a * u, self.b * v
        size = (x * x + y * y).sqrt()
        # a u = T cos and b v = T sin; sqrt(K) drops out of a u sin = b v cos
        angle = x.log() - y.log() + t
        return _State(angle, (self.k_a - 1) * s_a + (self.k_b - 1) * s_b + size, s_a, s_b, size, cos, sin)

    def _side(self, k: int, other: int, beta: Any, a: arb, cos: Any, flat: bool) -> tuple[Any, Any]:
        r = beta * cos / arb(self.k * other).sqrt()
        if flat:
            q = (1 - other * r) / k
            if not _head(q) > 0:
                raise CertificationError("the box leaves the simplex of probabilities")
            return k * (q / r).log(), arb(0)
        q = beta * (1 - a * cos) / k
        p = q + 1 - beta
        if not _head(p) > 0:
            raise CertificationError("the box leaves the simplex of probabilities")
        s = (p / q).log()
        return s + k * (q / r).log(), s


def _head(x: Any) -> arb:
    """The value of a ball, or of a power series of balls at its centre."""
    return x[0] if isinstance(x, arb_series) else x


def enclose_geometry(architecture: Constrained, prior: ClassPrior) -> GeometryEnclosure:
    """Enclose the geometry of the cross-entropy optimum of ``architecture`` at a two-group ``prior``.

    Args:
        architecture: one with budgets.
        prior: two groups of classes, at least 2 of them in the minority.

    Raises:
        ValueError: a penalised architecture, or a prior without two groups.
        CertificationError: the optimum lies too close to a boundary between phases.

    >>> import ufm
    >>> enclosure = enclose_geometry(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.step(2, 3, 4.0))
    >>> enclosure.phase, round(float(enclosure.s_minority), 6), float(enclosure.s_minority.rad()) < 1e-15
    ('none', 0.013399, True)
    """
    if not isinstance(architecture, Constrained):
        raise ValueError(f"architecture must have budgets, got {architecture!r}")
    if not isinstance(prior, ClassPrior):
        raise TypeError(f"prior must be a ufm.ClassPrior, got {prior!r}")
    if len(prior.groups) != 2 or prior.groups[1].size < 2:
        raise ValueError(f"prior must have two groups of classes, at least 2 of them in the minority, got {prior!r}")
    with precision(PRECISION):
        problem = _problem(architecture, prior)
        k_a, k_b = problem.sizes
        ratio, radius = problem.counts[0] / problem.counts[1], arb(problem.radius2).sqrt()
        total = _total(k_a, k_b, ratio, radius)
        if total is not None:
            return total
        collapsed, m0, t0 = _start(architecture, prior)
        state = _miranda(_System(k_a, k_b, ratio, collapsed), m0, t0, radius)
        return _geometry("partial" if collapsed else "none", k_a, k_b, state)


def certify_geometry(architecture: Constrained, prior: ClassPrior) -> Certificate:
    """Certificate of the phase of a two-group optimum and of its squared ETF and self-duality errors (cross-entropy).

    The witness is a box of mu/pi_B and tan(theta/2), in which the checker finds the optimum by an interval Newton
    method of its own; the enclosure of :func:`enclose_geometry`, by other unknowns and another theorem, must meet it.

    Args:
        architecture: one with budgets.
        prior: two groups of classes, at least 2 of them in the minority.

    Raises:
        ValueError, CertificationError: as :func:`enclose_geometry`.

    >>> import ufm
    >>> found = certify_geometry(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.step(2, 3, 4.0))
    >>> found.claim["statement"]["phase"], round(float(found.interval("self_duality_error_squared")[0]), 6)
    ('none', 0.000102)
    """
    found = enclose_geometry(architecture, prior)
    claim: dict[str, Any] = {
        "kind": "geometry",
        "architecture": describe_architecture(architecture),
        "prior": describe_prior(prior),
        "loss": "ce",
        "statement": {},
    }
    with precision(checker.PRECISION):
        problem = checker.read_claim({"format": checker.FORMAT, "claim": claim, "witness": {}})
        tau, witness = arb(problem.radius2).sqrt(), {}
        if found.phase == "total":
            point = box_check.total(problem, tau, {})
        else:
            _, m0, t0 = _start(architecture, prior)
            witness = _box(problem, tau, found.phase, m0, t0)
            point = box_check.zero(problem, tau, found.phase, witness)
        errors = box_check.squared_errors(problem, *point)
        if not all(
            x.overlaps(y)
            for x, y in zip(errors, (found.etf_error_squared, found.self_duality_error_squared), strict=True)
        ):
            raise CertificationError("two enclosures of the geometry contradict each other")
        intervals = [[text(round_down(lower_end(x), DIGITS)), text(round_up(upper_end(x), DIGITS))] for x in errors]
    statement = {"phase": found.phase} | dict(zip(box_check.ERRORS, intervals, strict=True))
    return Certificate.proving({**claim, "statement": statement}, witness)


def _box(problem: checker.Claim, tau: arb, phase: str, m0: arb, t0: arb) -> dict[str, list[str]]:
    """A small box of x = mu/pi_B and t = tan(theta/2) about the zero next to ``log x = m0, log tan(theta) = t0``."""
    tan = t0.exp()
    x, t = m0.exp().mid(), (tan / (1 + (1 + tan * tan).sqrt())).mid()
    for _ in range(NEWTON_STEPS):
        columns = [
            box_check.conditions(problem, tau, phase, box_check.series(x, i == 0), box_check.series(t, i == 1))
            for i in (0, 1)
        ]
        f, g = (y[0].mid() for y in columns[0][:2])
        (a, c), (b, d) = ([y[1].mid() for y in column[:2]] for column in columns)
        det = a * d - b * c
        x, t = (x - (d * f - b * g) / det).mid(), (t - (a * g - c * f) / det).mid()
    rational = [lower_end(y) for y in (x, t)]
    return {
        name: [text(round_down(y * (1 - WIDTH), BOX_DIGITS)), text(round_up(y * (1 + WIDTH), BOX_DIGITS))]
        for name, y in zip(("x", "t"), rational, strict=True)
    }


def _problem(architecture: Constrained, prior: ClassPrior) -> checker.Claim:
    """The checker's reading of the problem, the one definition of its radius."""
    claim = {"kind": "phase", "architecture": describe_architecture(architecture), "prior": describe_prior(prior)}
    return checker.read_claim(
        {"format": checker.FORMAT, "claim": {**claim, "loss": "ce", "statement": {}}, "witness": {}}
    )


def _start(architecture: Constrained, prior: ClassPrior) -> tuple[bool, arb, arb]:
    """Whether the minority is collapsed, log beta_B and log tan(theta), in floating point."""
    majority, minority = prior.groups
    n, k_a, k_b = prior.num_samples, majority.size, minority.size
    core = TwoGroups(k_a, k_b, majority.count / n, minority.count / n, 1.0, 1.0)
    found = core.constrained(architecture.radius(k_a + k_b))
    if found.total:
        raise CertificationError("total collapse is not certain: the prior is too close to its boundary")
    a, b = math.sqrt(k_b / core.k), math.sqrt(k_a / core.k)
    u, v = found.s_a + k_a * found.d_a, found.s_b + k_b * found.d_b
    return found.collapsed, arb(found.log_multiplier + core.log_scale), arb(math.log(b * v / (a * u)))


def _total(k_a: int, k_b: int, ratio: fmpq, radius: arb) -> GeometryEnclosure | None:
    """The total phase, where its optimality conditions hold strictly; None elsewhere."""
    if k_a == 1:
        return None
    s, k = radius / (k_a - 1), k_a + k_b
    grown = (s / k_a).exp()
    q = 1 / (s.exp() + (k_a - 1) + k_b * grown)
    beta = k_a * q + k_b * q * grown
    norm = k * k_b * (q * grown / beta) ** 2 + arb(fmpq(k_a, k)) / (arb(ratio) * beta) ** 2
    if not (arb(ratio) * beta > 1 and norm < 1):
        return None
    zero = arb(0)
    return _geometry("total", k_a, k_b, _State(zero, radius, s, zero, zero, arb(1), zero))


def _miranda(system: _System, m0: arb, t0: arb, radius: arb) -> _State:
    """A box around (m0, t0) that holds a zero of the system, and the system's values on it."""
    step = arb(2) ** -60

    def slope(up: _State, down: _State, field: str) -> arb:
        return ((getattr(up, field) - getattr(down, field)) / (2 * step)).mid()

    in_m = system(m0 + step, t0), system(m0 - step, t0)
    in_t = system(m0, t0 + step), system(m0, t0 - step)
    h_m, h_t = slope(*in_m, "angle"), slope(*in_t, "angle")
    g_m, g_t = slope(*in_m, "gauge"), slope(*in_t, "gauge")
    # two Newton steps sharpen the float64 start far below the size of the box
    for _ in range(3):
        here = system(m0, t0)
        h, g = here.angle.mid(), (here.gauge - radius).mid()
        det = h_m * g_t - h_t * g_m
        m0, t0 = (m0 - (g_t * h - h_t * g) / det).mid(), (t0 - (h_m * g - g_m * h) / det).mid()
    # Along t = t0 + lean (m - m0) the angle equation is constant to first order.
    lean = (-h_m / h_t).mid()
    for exponent in (-100, -80, -60, -40):
        width = arb(2) ** exponent
        thin = width * arb(2) ** -12
        box_m, box_t = m0 + arb(0, 1) * width, t0 + arb(0, 1) * (width * abs(lean) + thin)
        try:
            left = system(m0 - width, t0 - lean * width + arb(0, 1) * thin)
            right = system(m0 + width, t0 + lean * width + arb(0, 1) * thin)
            # mean-value form: plain balls would forget that t moves with m, and add what cancels
            drift = (
                system(arb_series([box_m, 1], prec=2), arb_series([box_t, lean], prec=2)).angle[1] * arb(0, 1) * width
            )
            down, up = system(m0, t0 - thin).angle + drift, system(m0, t0 + thin).angle + drift
            whole = system(box_m, box_t)
        except CertificationError:
            continue
        opposite = left.gauge > radius and right.gauge < radius and down < 0 and up > 0
        if opposite and (box_m > 0 if system.collapsed else box_m < 0):
            return whole
    raise CertificationError("no box around the optimum could be verified: too close to a boundary between phases")


def _geometry(phase: str, k_a: int, k_b: int, state: _State) -> GeometryEnclosure:
    k = k_a + k_b
    # cos(phi) = a cos(theta) + b sin(theta), and 0 matters not where T = 0
    cos = (arb(k_b) / k).sqrt() * state.cos + (arb(k_a) / k).sqrt() * state.sin
    e = (k_a - 1) * state.s_a + (k_b - 1) * state.s_b
    across = state.size * cos * cos
    square = (k_a - 1) * state.s_a**2 + (k_b - 1) * state.s_b**2 + across**2
    etf = 2 - 2 * (e + across) / ((k - 1) * square).sqrt()
    duality = 2 - 2 * (e + state.size * cos) / ((e + state.size) * (e + across)).sqrt()
    return GeometryEnclosure(phase, state.s_a, state.s_b, etf, duality if phase != "total" else arb(0))
