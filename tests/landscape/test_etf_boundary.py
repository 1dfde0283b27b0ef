"""Where the balanced ETF is optimal under a Frobenius budget: the proof, its ingredients, both sides of it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import certificate_oracle as oracle
import numpy as np
import pytest
from effort import count, examples
from flint import arb, ctx
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, linprog, minimize

import ufm
import ufm.certificates._etf_region as region
from ufm.certificates import CertificationError, bound_balanced_risk, certify_code
from ufm.landscape.etf_boundary import balanced_lower_bound, etf_local_bound, etf_risk, logits_beating_etf
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


def least_by_descent(rng: np.random.Generator, k: int, tau: float, b: float) -> float:
    """Least risk over W, A, H of norms sqrt(tau), b, sqrt(tau), by descent from codes and noise: no gauge is used."""
    n, shapes = k - 1, ((k, k - 1), (k - 1, k - 1), (k - 1, k))
    norms, cuts = (math.sqrt(tau), b, math.sqrt(tau)), np.cumsum([k * n, n * n])

    def log_risk(x: np.ndarray) -> tuple[float, np.ndarray]:
        raw = [part.reshape(shape) for part, shape in zip(np.split(x, cuts), shapes, strict=True)]
        scales = [norm / np.linalg.norm(m) for norm, m in zip(norms, raw, strict=True)]
        w, a, h = (scale * m for scale, m in zip(scales, raw, strict=True))
        inverse = np.linalg.inv(np.eye(n) - a)
        left, right = w @ inverse, inverse @ h
        z = w @ right
        p = np.exp(z - z.max(axis=0))
        g, value = (p / p.sum(axis=0) - np.eye(k)) / k, risk(z)
        slopes = []
        for m, scale, slope in zip(raw, scales, (g @ right.T, left.T @ g @ right.T, left.T @ g), strict=True):
            unit = m / np.linalg.norm(m)
            slopes.append((slope - (slope * unit).sum() * unit).ravel() * scale)
        return math.log(value), np.concatenate(slopes) / value

    found = []
    for trial in range(10):
        # pairs, noise, and ETFs disturbed by less and less
        points = np.eye(k)[:n] - np.roll(np.eye(k), k // 2, axis=0)[:n] if trial < 2 else np.eye(k)[:n]
        points = rng.normal(size=(n, k)) if trial in (2, 3) else points - points.mean(axis=1, keepdims=True)
        points = points + 10.0 ** -max(trial - 3, 1) * rng.normal(size=(n, k))
        start = np.concatenate([points.T.ravel(), (points @ points.T).ravel(), points.ravel()])
        found.append(minimize(log_risk, start, jac=True, method="L-BFGS-B", options={"maxiter": 400}).fun)
    return math.exp(min(found))


def least_mixture(k: int, tau: float, b: float, size: float, w: float, fine: int = 30) -> float:
    """Least mean loss of columns of the domain at |Z|_F = size and |Z|_* - tr Z = w with the mean of s and of q fixed.

    What a box proves by duality lies below it, and close: a linear programme over a grid of (s, d).
    """
    n, mass = k - 1, tau + b * size
    mean, spectral = (mass - w) / n, mass / n + math.sqrt(max(size**2 - mass**2 / n, 0.0) * (n - 1) / n)
    reach = size**2 - n * mean**2
    ends = max(mean - math.sqrt(reach * k / n), -w / 2 * k / n), mean + math.sqrt(reach * k / n)
    s = np.append(np.linspace(*ends, 4 * fine), mean)
    p = (math.sqrt(w / 2) + np.sqrt(np.maximum(w / 2 + n / k * s, 0))) ** 2
    o2 = np.minimum(spectral * np.minimum(p, spectral) - n / k * s**2, reach - n / k * (s - mean) ** 2)
    s, o2 = s[o2 >= 0], o2[o2 >= 0]
    d = (np.sqrt(o2 / (n * (n - 1)))[:, None] * np.linspace(0, 1, fine)).ravel()
    s = np.repeat(s, fine)
    loss = np.log1p(np.exp(-s) * (np.exp(-(n - 1) * d) + (n - 1) * np.exp(d)))
    found = linprog(
        loss,
        A_ub=np.stack([-(n * (n - 1) * d**2 + n / k * s**2), s]),
        b_ub=[-(size**2) / k, mean],
        A_eq=np.ones((1, len(s))),
        b_eq=[1.0],
    )
    return float(found.fun) if found.status == 0 else math.inf


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


@pytest.mark.parametrize("num_classes", [3, 4, 5, 6, 9])
def test_a_small_radius_has_a_boundary(num_classes: int) -> None:
    """What beats the ETF beyond the local bound does so by less than rounding at small radii, and still beats it."""
    boundary = ufm.etf_boundary(num_classes, 0.02 * num_classes, 0.99, certify=False)
    assert 0 < boundary.estimate <= boundary.local < math.inf


@pytest.mark.slow
@settings(max_examples=count(1, 3), deadline=None)
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
@pytest.mark.sample(2)
def test_certified_value_is_the_least_of_random_points(num_classes: int, tau: float, budget: float) -> None:
    proof = ufm.certify_etf_optimal(num_classes, tau, budget)
    assert proof.lower <= etf_risk(num_classes, tau, budget, 0.99) * (1 + 1e-15)
    assert 0 < proof.upper - proof.lower < 1e-14
    assert Fraction(budget) == proof.E_A
    assert proof.boxes > 0
    rng = np.random.default_rng(1)
    assert min(risk(feasible(rng, num_classes, tau, math.sqrt(budget))) for _ in range(count(1000, 3000))) > proof.lower


@pytest.mark.parametrize(("num_classes", "tau", "budget"), [(4, 4, 0.31), (4, 4, 0.34), (6, 6, 0.163), (10, 10, 0.075)])
def test_no_proof_where_a_code_wins(num_classes: int, tau: float, budget: float) -> None:
    with pytest.raises(CertificationError, match="too large"):
        ufm.certify_etf_optimal(num_classes, tau, budget)


@pytest.mark.parametrize(("num_classes", "tau", "share"), [(3, 1.5, 0.5), (4, 4.0, 0.6), (5, 2.5, 0.85)])
@pytest.mark.sample(1)
def test_descent_in_the_factors_ends_at_the_certified_value(num_classes: int, tau: float, share: float) -> None:
    budget = share * ufm.etf_boundary(num_classes, tau, certify=False).estimate
    proof = ufm.certify_etf_optimal(num_classes, tau, budget)
    least = least_by_descent(np.random.default_rng(0), num_classes, tau, math.sqrt(budget))
    assert proof.lower * (1 - 1e-12) <= least <= proof.upper * (1 + 1e-7)


@settings(max_examples=6, deadline=None)
@given(
    k=st.integers(3, 10),
    tau=st.floats(1.0, 12.0),
    b=st.floats(0.05, 0.6),
    along=st.floats(0.02, 0.7),
    across=st.floats(0.02, 0.7),
    width=st.sampled_from([1e-3, 1e-2, 5e-2]),
)
# boxes where the proof reaches nearly all that the columns allow: one wrong term in it shows
@example(k=3, tau=3.25, b=0.17, along=0.02, across=0.6, width=0.05)
@example(k=4, tau=3.53, b=0.45, along=0.2, across=0.6, width=1e-3)
@example(k=5, tau=7.41, b=0.37, along=0.2, across=0.1, width=1e-3)
@example(k=6, tau=2.04, b=0.38, along=0.6, across=0.6, width=1e-3)
@example(k=7, tau=8.28, b=0.27, along=0.2, across=0.6, width=1e-3)
@example(k=8, tau=6.62, b=0.31, along=0.4, across=0.6, width=1e-3)
def test_a_box_proves_no_more_than_its_columns_allow(
    k: int, tau: float, b: float, along: float, across: float, width: float
) -> None:
    n = k - 1
    start, end = math.sqrt(n) * tau / (n - b * math.sqrt(n)), tau / (1 - b)
    low = start + (end - start) * along**2
    high = low * (1 + width)
    w = b * (low - start) * across**2, b * (high - start) * min(1.0, across**2 + 10 * width)
    least = min(least_mixture(k, tau, b, size, min(x, b * (size - start))) for size in (low, high) for x in w)
    if not 1e-6 < least < math.inf:
        return
    with ctx.workprec(BITS):
        proof = region._Proof(k, arb(tau), arb(b))
        proof.value = arb(least * (1 + 1e-6))
        assert not proof.box(low, high, *w)


@settings(max_examples=examples(60), deadline=None)
@given(
    k=st.integers(3, 12),
    alpha=st.floats(0.05, 8.0),
    b=st.floats(0.01, 0.8),
    share=st.floats(0.05, 0.999),
    distance=st.floats(-4.0, -0.5),
)
@example(k=4, alpha=2.0, b=0.3, share=0.99, distance=-2.0)
def test_columns_next_to_the_etf_are_no_better_than_its_own(
    k: int, alpha: float, b: float, share: float, distance: float
) -> None:
    """Where the second-order bound holds, loss + lam s - kappa |z|^2 is least at s = alpha and d = 0."""
    n, p = k - 1, 1 / (math.exp(alpha) + k - 1)
    kappa, base = share * p / 2, math.sqrt(n) * alpha
    size = base * (1 + 10.0**distance)
    with ctx.workprec(BITS):
        proof = region._Proof(k, arb(alpha) * (n - arb(b) * arb(n).sqrt()), arb(b))
        if not proof._second_order(arb(kappa), arb(size), 1 / (arb(alpha).exp() + n)):
            return
    reach = math.sqrt(size**2 - base**2)
    x = (math.sqrt(k / n) * reach + b * (size - base) / n) * np.linspace(-1, 1, 81)[:, None]
    d = reach / math.sqrt(n * (n - 1)) * np.linspace(0, 1, 41)
    column = np.log1p(np.exp(-alpha - x) * (np.exp(-(n - 1) * d) + (n - 1) * np.exp(d)))
    column = column - math.log1p(n * math.exp(-alpha)) + (n * p + 2 * kappa * alpha * n / k) * x
    column = column - kappa * (n * (n - 1) * d**2 + n / k * (2 * alpha * x + x**2))
    assert column.min() > -1e-14


def test_the_neighbourhood_ends_before_the_codes_begin() -> None:
    """Next to the ETF nothing is settled from the local bound on, nor as far away as a code that beats it."""
    for k, tau in ((4, 4.0), (5, 5.0), (7, 3.5), (8, 16.0), (16, 8.0)):
        local = etf_local_bound(k, tau)
        for share in (0.9, 0.97, 1 + 1e-12, 1.1):
            b = math.sqrt(share * local)
            with ctx.workprec(BITS):
                proof = region._Proof(k, arb(tau), arb(b))
                if share > 1:
                    with pytest.raises(CertificationError, match="local minimum"):
                        proof.near()
                    continue
                size = proof.near()
                assert size > proof.t_e
            code = logits_beating_etf(k, tau, share * local) if k < 8 else None
            assert code is None or np.linalg.norm(code) > size


@pytest.mark.parametrize("factor", [0.0, 0.3])
@pytest.mark.sample(1)
def test_mutants_of_the_domain_prove_what_is_false(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a domain that is too small the ETF comes out optimal where a code beats it: the proof rests on it."""
    whole = region._Domain.most

    def less(self: region._Domain, left: float, right: float) -> float | None:
        found = whole(self, left, right)
        return None if found is None else found * factor

    monkeypatch.setattr(region._Domain, "most", less)
    assert ufm.certify_etf_optimal(4, 4, 0.31).boxes > 0  # false: what the tests below guard against


@settings(max_examples=examples(60), deadline=None)
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


@settings(max_examples=examples(60), deadline=None)
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
    with pytest.raises(CertificationError, match="zero logits"):
        certify_code(0 * square, 4, "1/2", "9/10")
    for wrong in (square[:3], np.full((4, 4), np.nan), square[0]):
        with pytest.raises(ValueError, match=r"logits must (be|have)"):
            certify_code(wrong, 4, "1/2", "9/10")


@pytest.mark.parametrize("excess", [1.001, 1.2])
@pytest.mark.parametrize(("num_classes", "tau"), [(4, 4.0), (6, 24.0)])
def test_certified_codes_win_by_their_margin_and_losers_are_refused(
    num_classes: int, tau: float, excess: float
) -> None:
    """Codes disturbed until they tie with the ETF, and past that: the margin against many digits of the definition."""
    rng, estimate = np.random.default_rng(3), ufm.etf_boundary(num_classes, tau, certify=False).estimate
    budget = Fraction(f"{excess * estimate:.9g}")
    best, code = etf_risk(num_classes, tau, float(budget), 0.99), logits_beating_etf(num_classes, tau, float(budget))
    assert code is not None
    noise = rng.normal(size=code.shape) * np.linalg.norm(code) / num_classes

    def disturbed(share: float) -> np.ndarray:
        z = code + share * (noise - noise.mean(axis=0))
        return z * tau / (np.linalg.norm(z, "nuc") - math.sqrt(budget) * np.linalg.norm(z))

    tie = brentq(lambda share: best - risk(disturbed(share)), 0.0, 1.0, xtol=1e-14)
    for share in (0.0, 0.5 * tie, tie * (1 - 1e-6)):
        certificate = certify_code(disturbed(share), tau, budget, "99/100")
        margin = oracle.big(certificate.claim["statement"]["margin"])
        true = oracle.counterexample_margin(certificate.claim, certificate.witness)
        assert 0 < margin <= true <= margin * (1 + 1e-10)
        assert float(true) == pytest.approx(best - risk(disturbed(share)), abs=1e-10)
    for share in (tie * (1 + 1e-6), 1.5 * tie):
        with pytest.raises(CertificationError, match="do not beat"):
            certify_code(disturbed(share), tau, budget, "99/100")


@pytest.mark.slow
@pytest.mark.parametrize(("num_classes", "tau", "budget"), [(4, 4.0, 0.3), (10, 10.0, 0.074)])
@pytest.mark.sample(1)
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
    ("arguments", "message"),
    [
        ((4, 1, 1), "E_A must lie in"),
        ((4, 1, Fraction(-1, 10**400)), "E_A must lie in"),  # -0 as a float
        ((4, -1, 0.1), "tau"),
        ((4, Fraction(10**400), 0.1), "tau must be finite"),
        ((2, 1, 0), "num"),
    ],
)
@pytest.mark.parametrize("proof", [ufm.certify_etf_optimal, bound_balanced_risk])
def test_arguments_of_the_proof(proof: Any, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        proof(*arguments)


def test_every_kind_of_number_is_read_exactly_and_every_radius_comes_to_an_end() -> None:
    whole = ufm.certify_etf_optimal(4, 1, Fraction(1, 128))
    assert whole == ufm.certify_etf_optimal(np.int64(4), np.int64(1), np.float32(1 / 128))
    with pytest.raises(TypeError, match="tau must be a real number"):
        ufm.certify_etf_optimal(4, "1", 0.1)
    assert bound_balanced_risk(4, 5e-324, 0.001) == pytest.approx(math.log(4), rel=0.02)


def test_root_of_a_ball_across_zero_is_a_bound_and_no_nan():
    across = arb(1, 2)
    assert not across.max(arb(0)).sqrt().is_finite()
    assert region._root(across) >= arb(3).sqrt().lower()
    assert region._root(arb(-2, 1)) == 0
    assert region._root(arb(4)) == 2
