"""Where the balanced ETF is optimal under a Frobenius budget: the proof, its ingredients, both sides of it."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

import ufm
import ufm.certificates._etf_region as region
from ufm.boundaries import balanced_lower_bound, etf_local_bound, etf_risk, logits_beating_etf
from ufm.certificates import CertificationError, bound_balanced_risk, certify_code
from ufm.problem import Problem

BITS = region.PRECISION


def risk(z: np.ndarray) -> float:
    z = z - z.max(axis=0)
    return float(np.mean(np.log(np.exp(z).sum(axis=0)) - np.diag(z)))


def feasible(rng: np.random.Generator, k: int, tau: float, b: float) -> np.ndarray:
    """Random centred logits on the boundary |Z|_* - b |Z|_F = tau, codes and noise around them included."""
    x = rng.normal(size=(k, rng.integers(1, k + 1))) * np.exp(rng.normal(scale=1.0))
    y = x.T if rng.random() < 0.7 else rng.normal(size=x.T.shape)
    z = x @ y + rng.choice([0.0, 0.1, 1.0, 5.0]) * np.eye(k)
    z = z - z.mean(axis=0)
    return z * tau / (np.linalg.norm(z, "nuc") - b * np.linalg.norm(z))


# the two sides --------------------------------------------------------------------------------------------------------


def test_known_boundary_and_order() -> None:
    boundary = ufm.etf_boundary(4, 4.0)
    assert boundary.estimate == pytest.approx(0.306, abs=1e-3)
    assert 0.5 * boundary.estimate < boundary.lower < boundary.estimate < boundary.upper < boundary.local
    assert boundary.local == pytest.approx(1 / 3, rel=1e-14)
    assert boundary.counterexample is not None
    assert boundary.counterexample.check()
    assert boundary.counterexample.claim["architecture"]["E_A"] == str(Fraction(f"{boundary.upper:.6g}"))
    assert boundary.optimality is not None
    assert float(boundary.optimality.E_A) == boundary.lower
    assert boundary.structure
    assert len(boundary.singular_values) == 3


@pytest.mark.slow
@settings(max_examples=3, deadline=None)
@given(num_classes=st.integers(3, 6), scale=st.floats(0.4, 1.2))
def test_lower_is_below_estimate_below_upper(num_classes: int, scale: float) -> None:
    boundary = ufm.etf_boundary(num_classes, num_classes * scale)
    assert 0 < boundary.lower < boundary.estimate <= boundary.local
    assert boundary.estimate < boundary.upper
    code = logits_beating_etf(num_classes, num_classes * scale, boundary.upper)
    assert code is not None
    assert risk(code) < etf_risk(num_classes, num_classes * scale, boundary.upper, 0.99)


@pytest.mark.parametrize("num_classes", [4, 6])
def test_search_finds_nothing_better_below_and_something_above(num_classes: int) -> None:
    boundary = ufm.etf_boundary(num_classes, float(num_classes), certify=False)
    prior = ufm.ClassPrior.balanced(num_classes)
    for share, wins in ((0.99, False), (1.01, True)):
        budget = share * boundary.estimate
        found = ufm.solve(ufm.LinearDEQ(1.0, 1.0, 0.99, E_A=budget), prior, method="search", starts=12)
        assert (found.value < etf_risk(num_classes, num_classes, budget, 0.99) * (1 - 1e-9)) is wins


@pytest.mark.parametrize(("num_classes", "tau"), [(4, 4.0), (5, 3.0), (7, 7.0)])
def test_local_bound_is_where_the_hessian_changes_sign(num_classes: int, tau: float) -> None:
    k, critical = num_classes, etf_local_bound(num_classes, tau)
    rng = np.random.default_rng(0)
    for share, stable in ((0.98, True), (1.02, False)):
        b = math.sqrt(share * critical)
        etf = tau / (k - 1 - b * math.sqrt(k - 1)) * (np.eye(k) - 1 / k)
        worst = math.inf
        for trial in range(200):
            e = rng.normal(size=(k, k))
            e = e + e.T if trial % 2 else e
            if trial % 4 == 1:  # the least stable ones: zero diagonal, zero sums
                e = sum(s * np.roll(np.eye(k), shift, axis=0) for shift, s in ((1, 1.0), (2, -1.0)))
                e = (
                    (e + e.T)[np.ix_(*[rng.permutation(k)] * 2)]
                    if k > 4
                    else np.kron([[0, 1], [1, 0]], [[1, -1], [-1, 1]])
                )
            z = etf + 1e-3 * e / np.linalg.norm(e)
            z = z - z.mean(axis=0)
            z = z * tau / (np.linalg.norm(z, "nuc") - b * np.linalg.norm(z))
            worst = min(worst, risk(z) - risk(etf))
        assert (worst > -1e-13) is stable


def test_three_classes_have_a_bound_of_their_own() -> None:
    tau = 1.0
    critical = etf_local_bound(3, tau)
    assert critical > tau**2 / 18  # more than the formula of K >= 4
    e = np.diag([1.0, -1.0, 0.0]) - np.array([[0, 0, 1], [0, 0, -1], [1, -1, 0]]) / 1.0
    e = e - e.mean(axis=0)
    e = e - e.mean(axis=1, keepdims=True)
    for share, sign in ((0.97, 1), (1.03, -1)):
        b = math.sqrt(share * critical)
        etf = tau / (2 - b * math.sqrt(2)) * (np.eye(3) - 1 / 3)
        gaps = []
        for step in (0.01, -0.01):
            z = etf + step * e
            z = z * tau / (np.linalg.norm(z, "nuc") - b * np.linalg.norm(z))
            gaps.append(risk(z) - risk(etf))
        assert np.sign(sum(gaps)) == sign


def test_the_octahedron_takes_over_where_the_two_closed_forms_meet() -> None:
    """K = 6, tau = 24: near margins s/2 of three equal singular values s against those of the ETF."""

    def excess(budget: float) -> float:
        s = 24 / (3 - math.sqrt(3 * budget))
        return math.log1p(4 * math.exp(-s / 2) + math.exp(-s)) - etf_risk(6, 24.0, budget, 0.99)

    crossing = brentq(excess, 0.3, 0.8)
    boundary = ufm.etf_boundary(6, 24.0, certify=False)
    assert boundary.structure == "octahedron"
    assert boundary.estimate == pytest.approx(crossing, rel=2e-4)


def test_where_the_etf_is_always_stable_and_where_no_code_wins() -> None:
    assert etf_local_bound(4, 16.0) == math.inf
    assert ufm.etf_boundary(4, 16.0, certify=False).estimate == pytest.approx(0.7342, abs=1e-3)
    # a cap of 1/10 lets the ETF use nearly all of any budget that matters
    capped = ufm.etf_boundary(4, 4.0, rho=0.1, certify=False)
    assert capped.estimate == capped.local == math.inf
    assert capped.structure == ""


# the proof ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_classes", "tau", "budget"), [(3, 3, 0.2), (4, 4, 0.12), (6, 3, 0.02), (10, 10, 0.03)])
def test_certified_value_is_the_least_of_random_points(num_classes: int, tau: float, budget: float) -> None:
    proof = ufm.certify_etf_optimal(num_classes, tau, budget)
    assert proof.lower <= etf_risk(num_classes, tau, budget, 0.99) * (1 + 1e-15)
    assert 0 < proof.upper - proof.lower < 1e-14
    assert Fraction(budget) == proof.E_A
    assert proof.boxes > 0
    rng = np.random.default_rng(1)
    assert min(risk(feasible(rng, num_classes, tau, math.sqrt(budget))) for _ in range(3000)) > proof.lower


@pytest.mark.parametrize(("num_classes", "tau", "budget"), [(4, 4, 0.31), (4, 4, 0.34), (6, 6, 0.163), (10, 10, 0.075)])
def test_no_proof_where_a_code_wins(num_classes: int, tau: float, budget: float) -> None:
    with pytest.raises(CertificationError, match="too large"):
        ufm.certify_etf_optimal(num_classes, tau, budget)


@pytest.mark.parametrize("factor", [0.0, 0.3])
def test_mutants_of_the_domain_prove_what_is_false(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a domain that is too small the ETF comes out optimal where a code beats it: the proof rests on it."""
    whole = region._Domain.most

    def less(self: region._Domain, left: float, right: float) -> float | None:
        found = whole(self, left, right)
        return None if found is None else found * factor

    monkeypatch.setattr(region._Domain, "most", less)
    assert ufm.certify_etf_optimal(4, 4, 0.31).boxes > 0  # false: what the tests below guard against


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(3, 7), b=st.floats(0.05, 0.9))
def test_every_matrix_lies_in_the_domain(seed: int, k: int, b: float) -> None:
    """The column constraints of the proof hold for random matrices with |Z|_* - b |Z|_F = tau."""
    rng = np.random.default_rng(seed)
    tau, n = 3.0, k - 1
    z = feasible(rng, k, tau, b)
    _, sigma, vt = np.linalg.svd(z)
    mass, size, trace = sigma.sum(), np.linalg.norm(z), np.trace(z)
    w, p = mass - trace, np.diag(vt.T * sigma @ vt)
    s, q = np.diag(z) * k / n, (z**2).sum(axis=0)
    assert np.sqrt(p).max() >= 0
    assert (np.sqrt(p) <= np.sqrt(w / 2) + np.sqrt(np.maximum(w / 2 + np.diag(z), 0)) + 1e-9).all()
    assert sigma[0] <= mass / n + math.sqrt(max(size**2 - mass**2 / n, 0) * (n - 1) / n) + 1e-9
    assert (q <= sigma[0] * p + 1e-9).all()
    d = np.sqrt(np.maximum(q - n / k * s**2, 0) / (n * (n - 1)))
    loss = np.log(np.exp(z - np.diag(z)).sum(axis=0))
    assert (loss >= np.log1p(np.exp(-s) * (np.exp(-(n - 1) * d) + (n - 1) * np.exp(d))) - 1e-9).all()
    if trace < n * tau / (n - b * math.sqrt(n)) or w < 0:
        return
    with ctx.workprec(BITS):
        proof = region._Proof(k, arb(tau), arb(b))
        slack = 1e-9 * (1 + size)
        reach = arb(max(size**2 - trace**2 / n, 0.0) + slack)
        spectral = arb(sigma[0] + slack)
        domain = region._Domain(
            proof, spectral, arb(w + slack), (arb(trace / n - slack), arb(trace / n + slack)), reach
        )
        low, high = domain.ends
        for x, y in zip(s.tolist(), d.tolist(), strict=True):
            most = domain.most(x - slack, x + slack)
            assert low <= x + slack
            assert x - slack <= high
            assert most is not None
            assert y <= most + 1e-6


@settings(max_examples=60, deadline=None)
@given(
    k=st.integers(3, 10),
    s=st.floats(-2, 8),
    width=st.floats(0.01, 1.0),
    top=st.floats(0.05, 3.0),
    lam=st.floats(0, 1.2),
    kappa=st.floats(0, 0.2),
    share=st.floats(0, 1),
    along=st.floats(0, 1),
)
def test_cells_bound_the_columns_from_below(
    k: int, s: float, width: float, top: float, lam: float, kappa: float, share: float, along: float
) -> None:
    n = k - 1
    x, y = s + share * width, along * top
    column = math.log1p(math.exp(-x) * (math.exp(-(n - 1) * y) + (n - 1) * math.exp(y)))
    column += lam * x - kappa * (n * (n - 1) * y * y + n / k * x * x)
    with ctx.workprec(BITS):
        proof = region._Proof(k, arb(1), arb(0.1))
        left, right, scale = arb(s), arb(s + width), arb(kappa) * n / k
        pieces = proof._tangents(arb(kappa), top, 8)
        slope = arb(lam) - scale * (left + right)
        need = arb(column + 1e-9)  # more than this column's value: must not be proved
        assert not proof._cell(left, right, slope, scale * left * right - need, top, pieces)
        least = arb(column - 5.0 - 10 * kappa * n * n * (1 + top) ** 2)
        grid = np.linspace(s, s + width, 7)[:, None], np.linspace(0, top, 60)[None]
        values = np.logaddexp(0, -grid[0] + np.log(np.exp(-(n - 1) * grid[1]) + (n - 1) * np.exp(grid[1])))
        values = values + lam * grid[0] - kappa * (n * (n - 1) * grid[1] ** 2 + n / k * grid[0] ** 2)
        floor = min(float(least.mid()), float(values.min()) - 2.0 - 3 * kappa * n * n * (1 + top) ** 2 - n * top)
        assert proof._cell(left, right, slope, scale * left * right - arb(floor), top, pieces)


# counterexamples, bounds, arguments -----------------------------------------------------------------------------------


def test_a_code_that_does_not_win_is_not_certified() -> None:
    square = 2 * np.array([[1, 0, -1, 0], [0, 1, 0, -1], [-1, 0, 1, 0], [0, -1, 0, 1]])
    assert certify_code(square, 4, "1/2", "9/10").check()
    with pytest.raises(CertificationError, match="do not beat"):
        certify_code(square, 4, "3/10", "9/10")


@pytest.mark.slow
@pytest.mark.parametrize(("num_classes", "tau", "budget"), [(4, 4.0, 0.3), (10, 10.0, 0.074)])
def test_bound_without_optimality_lies_below_the_codes_and_above_the_nuclear_ball(
    num_classes: int, tau: float, budget: float
) -> None:
    bound = bound_balanced_risk(num_classes, tau, budget)
    n = num_classes - 1
    ball = math.log1p(n * math.exp(-tau / n / (1 - math.sqrt(budget))))
    rng = np.random.default_rng(2)
    points = [feasible(rng, num_classes, tau, math.sqrt(budget)) for _ in range(1000)]
    code = logits_beating_etf(num_classes, tau, budget * 1.05)
    assert code is not None
    shrunk = code * tau / (np.linalg.norm(code, "nuc") - math.sqrt(budget) * np.linalg.norm(code))
    assert ball < bound < min(map(risk, [*points, shrunk]))
    assert bound < etf_risk(num_classes, tau, budget, 0.99)


def test_lower_bound_closes_the_gap_only_where_it_is_proved() -> None:
    prior = ufm.ClassPrior.balanced(4)
    value = etf_risk(4, 4.0, 0.12, 0.9)
    assert value * (1 - 1e-12) < balanced_lower_bound(Problem.of(ufm.LinearDEQ(1, 1, 0.9, E_A=0.12), prior)) <= value
    for architecture, p, loss in (
        (ufm.LinearDEQ(1, 1, 0.9, E_A=0.3), prior, "ce"),
        (ufm.LinearDEQ(1, 1, 0.9, E_A=0.12), prior, "mse"),
        (ufm.LinearDEQ(1, 1, 0.9), prior, "ce"),
        (ufm.LinearDEQ(1, 1, 0.15, E_A=0.12), prior, "ce"),  # the cap binds: the value is another
        (ufm.LinearDEQ(1, 1, 0.9, E_A=0.12), ufm.ClassPrior.step(2, 2, 2.0), "ce"),
        (ufm.LayerPeeled(1, 1), prior, "ce"),
    ):
        assert balanced_lower_bound(Problem.of(architecture, p, loss)) == -math.inf
    assert balanced_lower_bound(Problem.of(ufm.LinearDEQ(1, 1, 0.9, E_A=0.12), prior), upper=value * 0.99) == -math.inf


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 1.0), "num_classes must be an integer between 3 and 16, got 2"),
        ((4, 0.0), "tau must be > 0"),
        ((4, 1.0, 1.0), r"rho must lie in \[0, 1\)"),
        ((4, 1.0, 0.0), r"rho must lie in \(0, 1\)"),
    ],
)
def test_arguments_of_the_boundary(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ufm.etf_boundary(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"), [((4, 1, 1), "E_A must lie in"), ((4, -1, 0.1), "tau"), ((2, 1, 0), "num")]
)
def test_arguments_of_the_proof(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ufm.certify_etf_optimal(*arguments)  # type: ignore[arg-type]


def test_root_of_a_ball_across_zero_is_a_bound_and_no_nan():
    across = arb(1, 2)
    assert not across.max(arb(0)).sqrt().is_finite()
    assert region._root(across) >= arb(3).sqrt().lower()
    assert region._root(arb(-2, 1)) == 0
    assert region._root(arb(4)) == 2
