"""Rigorous geometry of two-group optima: against the K x K solver, at exact values, and where it must give up."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath as mp
import pytest
from effort import examples
from flint import ctx
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.certificates import CertificationError, enclose_geometry
from ufm.certificates import _geometry as module
from ufm.two_groups.thresholds import total_collapse_threshold


def _errors(found: module.GeometryEnclosure) -> tuple[float, float]:
    return tuple(
        math.sqrt(max(0.0, float(x.mid()))) for x in (found.etf_error_squared, found.self_duality_error_squared)
    )


@pytest.mark.parametrize("ratio", [1.5, 10.0, 60.0])
@pytest.mark.parametrize("e_h", [1.0, 5.0])
def test_agrees_with_a_solver_that_knows_no_groups(ratio: float, e_h: float) -> None:
    prior, architecture = ufm.ClassPrior.step(3, 4, ratio), ufm.LinearDEQ(1.0, e_h, 0.2)
    geometry = ufm.solve(architecture, prior, method="nuclear", tol=1e-11).geometry
    found = enclose_geometry(architecture, prior)
    assert found.phase == geometry.phase
    assert _errors(found) == pytest.approx((geometry.etf_error, geometry.self_duality_error), abs=2e-5)


def _primal(k_a: int, k_b: int, ratio: Any, tau: Any, found: module.GeometryEnclosure) -> list[Any]:
    """s_A, s_B, d_A, d_B from the derivatives of K_A R CE_A + K_B CE_B + mu gauge, in 60 digits, phase given."""
    k, alone, free = k_a + k_b, k_a == 1, found.phase == "none"

    def equations(s_a: Any, s_b: Any, d_a: Any, d_b: Any, log_mu: Any) -> list[Any]:
        mu, wrong_a, wrong_b = mp.exp(log_mu), mp.exp(-s_a), mp.exp(-s_b)
        odds_a = 1 + (k_a - 1) * wrong_a + k_b * wrong_a * mp.exp(-d_a)
        odds_b = 1 + (k_b - 1) * wrong_b + k_a * wrong_b * mp.exp(-d_b)
        far_a, far_b = k_b * wrong_a * mp.exp(-d_a) / odds_a, k_a * wrong_b * mp.exp(-d_b) / odds_b
        u, v = s_a + k_a * d_a, s_b + k_b * d_b
        size = mp.sqrt((k_b * u**2 + k_a * v**2) / k)
        by_u, by_v = mu * k_b * u / (k * size), mu * k_a * v / (k * size)
        return [
            s_a if alone else mu * (k_a - 1) + by_u - k_a * ratio * ((k_a - 1) * wrong_a / odds_a + far_a),
            mu * (k_b - 1) + by_v - k_b * ((k_b - 1) * wrong_b / odds_b + far_b) if free else s_b,
            by_u - ratio * far_a,
            by_v - far_b,
            (k_a - 1) * s_a + (k_b - 1) * s_b + size - tau,
        ]

    core = module.TwoGroups(k_a, k_b, float(ratio / (k_a * ratio + k_b)), float(1 / (k_a * ratio + k_b)), 1.0, 1.0)
    start = core.constrained(float(tau))
    log_mu = start.log_multiplier + float(mp.log(k_a * ratio + k_b))
    x = [start.s_a, start.s_b if free else 0.0, start.d_a, start.d_b, log_mu]
    return list(mp.findroot(equations, [mp.mpf(value) for value in x], tol=mp.mpf(10) ** -100))[:4]


def _by_definition(k_a: int, k_b: int, ratio: Any, tau: Any, point: list[Any]) -> tuple[Any, ...]:
    """Of the K x K logits: |Z|_*, duality gap <G, Z> + tau |G|_2, both squared errors of their balanced factors."""
    k, (s_a, s_b, d_a, d_b) = k_a + k_b, point
    z, g = mp.zeros(k), mp.zeros(k)
    for j in range(k):
        group, s, d, weight = (range(k_a), s_a, d_a, ratio) if j < k_a else (range(k_a, k), s_b, d_b, 1)
        column = [(s + d if i == j else d) if i in group else mp.mpf(0) for i in range(k)]
        odds = mp.fsum(mp.exp(x) for x in column)
        for i, x in enumerate(column):
            z[i, j] = x - mp.fsum(column) / k
            g[i, j] = weight / (k_a * ratio + k_b) * (mp.exp(x) / odds - (i == j))
    norm = mp.sqrt(max(mp.eigsy(g.T * g, eigvals_only=True)))
    squares, q = mp.eigsy(z.T * z)

    def power(exponent: Any) -> Any:
        return q * mp.diag([x**exponent if x > mp.mpf(10) ** -50 else mp.mpf(0) for x in squares]) * q.T

    def unit(m: Any) -> Any:
        return m / mp.sqrt(mp.fsum(x**2 for x in m))

    centre = mp.eye(k) - mp.ones(k) / k
    means, classifier = power(mp.mpf(1) / 4) * centre, z * power(-mp.mpf(1) / 4)
    gap = mp.fsum(g[i, j] * z[i, j] for i in range(k) for j in range(k)) + tau * norm
    errors = (unit(means.T * means) - unit(centre), unit(classifier) - unit(means.T))
    nuclear = mp.fsum(mp.sqrt(x) for x in squares if x > 0)
    return nuclear, gap, *(mp.fsum(x**2 for x in e) for e in errors)


@pytest.mark.parametrize(("k_a", "k_b", "e_h"), [(3, 4, 2.0), (1, 4, 3.0), (7, 3, 1.0), (2, 6, 0.3), (4, 2, 0.05)])
def test_encloses_the_optimum_of_the_definition_next_to_phase_changes(k_a: int, k_b: int, e_h: float) -> None:
    """Sixty digits that share nothing with the dual form: the gap shows that what lies inside is the optimum."""
    architecture = ufm.LayerPeeled(1.0, e_h)
    first = ufm.collapse_threshold(architecture, k_a, k_b).ratio
    ratios = [first * (1 + x) for x in (-1e-3, -1e-12, 1e-12, 1e-3)]
    if k_a > k_b:
        ratios += [total_collapse_threshold(architecture, k_a, k_b) * (1 + x) for x in (-1e-3, 1e-10)]
    for ratio in ratios:
        prior = ufm.ClassPrior.step(k_a, k_b, ratio)
        found = enclose_geometry(architecture, prior)
        with mp.workdps(60), ctx.workprec(module.PRECISION):
            exact = Fraction(prior.groups[0].count) / Fraction(prior.groups[1].count)
            odds, tau = mp.mpf(exact.numerator) / exact.denominator, (k_a + k_b) * mp.sqrt(mp.mpf(e_h))
            s = tau / max(k_a - 1, 1)
            point = [s, 0, -s / k_a, 0] if found.phase == "total" else _primal(k_a, k_b, odds, tau, found)
            nuclear, gap, *errors = _by_definition(k_a, k_b, odds, tau, point)
            assert abs(gap) < mp.mpf(10) ** -55
            assert abs(nuclear - tau) < mp.mpf(10) ** -27
            assert (point[1] > 0) is (found.phase == "none")
            values = [*point[:2], *errors] if k_a > 1 else [point[1], *errors]
            balls = [found.s_majority, found.s_minority, found.etf_error_squared, found.self_duality_error_squared]
            for value, ball in zip(values, balls[-len(values) :], strict=True):
                assert float(ball.rad()) < 1e-25
                within = module.arb(mp.nstr(value, 58)) - ball
                assert within.contains(0) or abs(within.mid()) < 1e-45


@settings(max_examples=examples(40))
@given(
    k_a=st.integers(1, 12),
    k_b=st.integers(2, 12),
    log_ratio=st.floats(0.05, 6.0),
    log_radius=st.floats(-1.5, 1.5),
)
def test_encloses_what_the_reduced_solver_finds(k_a: int, k_b: int, log_ratio: float, log_radius: float) -> None:
    prior = ufm.ClassPrior.step(k_a, k_b, math.exp(log_ratio))
    architecture = ufm.LayerPeeled(1.0, math.exp(2 * log_radius))
    try:
        found = enclose_geometry(architecture, prior)
    except CertificationError:
        return  # at a boundary between phases nothing is certain, and nothing is claimed
    geometry = ufm.solve(architecture, prior).geometry
    assert found.phase == geometry.phase
    assert _errors(found) == pytest.approx((geometry.etf_error, geometry.self_duality_error), abs=1e-7)
    assert abs(found.etf_error_squared.rad()) < 1e-12
    assert float(found.s_majority) == pytest.approx(geometry.group_scales[0] or float(found.s_majority), rel=1e-9)


def test_total_collapse_is_the_majority_etf_exactly() -> None:
    found = enclose_geometry(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.step(7, 3, 10.0))
    assert found.phase == "total"
    assert found.etf_error_squared.overlaps(module.arb(2) - 2 * (module.arb(6) / 9).sqrt())
    assert found.self_duality_error_squared == 0


def test_phases_around_every_boundary() -> None:
    architecture = ufm.LayerPeeled(1.0, 5.0)
    first = ufm.collapse_threshold(architecture, 7, 3).ratio
    last = total_collapse_threshold(architecture, 7, 3)
    at = {"none": first * (1 - 1e-9), "partial": first * (1 + 1e-9), "total": last * (1 + 1e-9)}
    for phase, ratio in at.items():
        assert enclose_geometry(architecture, ufm.ClassPrior.step(7, 3, ratio)).phase == phase


def test_a_wrong_start_is_not_certified(monkeypatch: pytest.MonkeyPatch) -> None:
    """The box must hold a zero of the system: a start off by more than the widest box is turned down."""

    class Off(module.TwoGroups):
        def constrained(self, radius: float):  # type: ignore[no-untyped-def]
            return super().constrained(1.2 * radius)

    architecture, prior = ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.step(5, 5, 5.0)
    enclose_geometry(architecture, prior)
    monkeypatch.setattr(module, "TwoGroups", Off)
    with pytest.raises(CertificationError, match="no box"):
        enclose_geometry(architecture, prior)


@pytest.mark.parametrize("field", ["angle", "gauge"])
def test_a_wrong_equation_is_noticed(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    """With one equation of the system changed, the enclosure no longer agrees with the solver."""
    call = module._System.__call__

    def changed(self, m, t):  # type: ignore[no-untyped-def]
        state = call(self, m, t)
        return module._State(**{**vars(state), field: getattr(state, field) * 1.01 + 0.01})

    architecture, prior = ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.step(5, 5, 5.0)
    geometry = ufm.solve(architecture, prior).geometry
    monkeypatch.setattr(module._System, "__call__", changed)
    try:
        found = enclose_geometry(architecture, prior)
    except CertificationError:
        return
    assert _errors(found) != pytest.approx((geometry.etf_error, geometry.self_duality_error), abs=1e-5)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="architecture must have budgets"):
        enclose_geometry(ufm.UnconstrainedFeatures(0.1, 0.1), ufm.ClassPrior.step(5, 5, 5.0))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="prior must have two groups"):
        enclose_geometry(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.balanced(4))
