"""Rigorous geometry of two-group optima: against the K x K solver, at exact values, and where it must give up."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.certificates import CertificationError, enclose_geometry
from ufm.certificates import _geometry as module
from ufm.thresholds import total_collapse_threshold


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


@settings(max_examples=40)
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
