"""What refuted earlier statements, and evidence that must not be lent: dropped points, no points at all, too wide."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from sympy import Integer, Rational

import ufm
import ufm.claims.imbalanced_geometry as geometry
from proofs_check import theorems
from proofs_check.scope import Scope
from proofs_check.scope import beyond as wider
from ufm.certificates import enclose_geometry
from ufm.claims import (
    Context,
    Evidence,
    Status,
    all_claims,
    beyond,
    collapse,
    contrastive,
    depth,
    imbalanced_losses,
    landscape,
    network,
    nonconvex,
    nonnegative,
    relaxation,
    residual_bounds,
    residual_depth,
)
from ufm.claims._tools import evidence, symbolic
from ufm.geometry import group_scales
from ufm.problem import Problem
from ufm.solvers import solve


def status(claim: ufm.Claim) -> Status:
    return claim.check(Context()).status


# evidence -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claim",
    [
        nonconvex.suboptimal_claim({}),
        nonconvex.optimal_claim({}),
        collapse.fang_claim({}),
        landscape.depth_claim(()),
        landscape.monotone_claim("etf", phases=()),
        landscape.monotone_claim("duality", phases=()),
    ],
    ids=lambda claim: claim.id,
)
def test_no_instance_is_no_evidence(claim: ufm.Claim) -> None:
    assert not status(claim).as_claimed


@pytest.mark.parametrize("name", ["deq-etf-error-smaller", "deq-etf-error-tie", "deq-self-duality-counterexample"])
def test_a_point_that_the_solver_does_not_confirm_is_not_dropped(name: str) -> None:
    """Each point of the grid counts: with one of them unconfirmed, "at all of them" is not shown."""
    points = geometry.grid_points(Context())
    for phases in {p.phases for p in points}:
        at = next(i for i, p in enumerate(points) if p.phases == phases)
        doubted = (*points[:at], replace(points[at], confirmed=False), *points[at + 1 :])
        context = Context(cache={"imbalanced-geometry-grid": doubted})
        concerned = {
            "deq-etf-error-smaller": phases != ("total", "total"),
            "deq-etf-error-tie": phases == ("total", "total"),
            "deq-self-duality-counterexample": phases[0] == "total" != phases[1],
        }[name]
        assert all_claims()[name].check(context).status.as_claimed is not concerned


def test_a_missing_point_of_the_grid_is_missed(monkeypatch) -> None:
    points = geometry.grid_points(Context())
    for name, phases in (("deq-etf-error-tie", ("total", "total")), ("deq-self-duality-counterexample", None)):
        at = next(
            i for i, p in enumerate(points) if (p.phases == phases if phases else p.phases[0] == "total" != p.phases[1])
        )
        context = Context(cache={"imbalanced-geometry-grid": (*points[:at], *points[at + 1 :])})
        assert all_claims()[name].check(context).status is Status.inconclusive
    # and an instance that the statement names is among those that were checked
    context = Context(cache={"imbalanced-geometry-grid": points})
    assert geometry.tie_claim().check(context).status is Status.certified
    monkeypatch.setattr(geometry, "TIED_AT", (3, 7, 10.0, 9.0, 0.5))
    assert geometry.tie_claim().check(context).status is Status.inconclusive


@pytest.mark.parametrize(
    ("module", "name", "value", "made"),
    [
        (collapse, "FANG_AT", (9, 1.0, 5.0), collapse.fang_claim),
        (collapse, "FANG", {3: 245.5}, collapse.fang_claim),
        (imbalanced_losses, "REWEIGHTED_AT", ((90, 100, 10, 10), Fraction(1, 64)), imbalanced_losses.reweighting_claim),
        (
            imbalanced_losses,
            "REWEIGHTED_AT",
            ((100, 100, 10, 10), Fraction(1, 65)),
            imbalanced_losses.reweighting_claim,
        ),
        (imbalanced_losses, "LIMITS_AT", (9, 5, 1), imbalanced_losses.limit_claim),
        (residual_bounds, "IMBALANCED", (2, 3, 5, 84.0, 8.0), residual_bounds.imbalance_claim),
        (residual_bounds, "SCALES", (2.1, 0.27), residual_bounds.imbalance_claim),
        (landscape, "SAMPLES", 700.0, landscape.converse_claim),
        (geometry, "TIED_AT", (7, 3, 50.0, 1.0, 0.5), geometry.tie_claim),
        (geometry, "LEFT_AT", (5, 5, 10.0, 1.0, 0.3), geometry._duality_counterexample),
        (geometry, "NEAR", 1e-11, geometry.tie_claim),
        (geometry, "NEAR", 1e-11, geometry._duality_counterexample),
        (beyond, "SEARCHED", ((1, 2), (2, 3)), beyond.power_claim),
        (beyond, "ALONG", (0.01, 7.0), beyond.power_claim),
        (collapse, "FANG_ERROR", 1e-8, collapse.fang_claim),
        (contrastive, "APART", (3, 3, "5/2", 10**7), contrastive.contrastive_certified_claim),
        (contrastive, "LEAST_ERROR", 1e-9, contrastive.contrastive_certified_claim),
        (imbalanced_losses, "BUDGETS_AT", (2, 1.5), imbalanced_losses.budgets_claim),
        (landscape, "JUMP", 1e-6, landscape.converse_claim),
        (landscape, "MIXED", landscape.MIXED[:1], landscape.mixing_claim),
        (landscape, "OWN_END", 6, landscape.mixing_claim),
        (landscape, "SAMPLES", 700.0, landscape.mixing_claim),
        (landscape, "LARGEST", 50, partial(landscape.monotone_claim, "etf")),
        (landscape, "LOG_RATIOS", (0.003, 11.0), partial(landscape.monotone_claim, "etf")),
        (landscape, "LOG_BUDGETS", (-1, 3), partial(landscape.monotone_claim, "etf")),
        (network, "MARGIN", 0.2, partial(network.prediction_claim, "explicit")),
        (network, "GRAM_AT", 20, network.gram_claim),
        (nonconvex, "RHO", Fraction(9, 10), nonconvex.suboptimal_claim),
        (nonconvex, "MARGIN", 1e-8, nonconvex.boundary_claim),
        (nonconvex, "ACCURACY", 1e-5, nonconvex.boundary_claim),
        (nonconvex, "SCALES", (0.4, 3.0), nonconvex.boundary_claim),
        (nonconvex, "KS", (3, 4), nonconvex.boundary_claim),
        (nonnegative, "PAIR", 3, nonnegative.between_claim),
        (relaxation, "SLACK_CLASSES", 3, relaxation.slack_claim),
        (residual_bounds, "THREE_DEPTH", 3, residual_bounds.three_claim),
        (residual_depth, "MAP", ((4, 9), (2, 3), (0.1, 0.5)), residual_depth.map_claim),
        (residual_depth, "STRENGTHS", (1e-4, 50.0), residual_depth.map_claim),
    ],
    ids=lambda x: x if isinstance(x, str) and x.isupper() else "",
)
def test_a_statement_is_rendered_from_the_data_of_its_check(monkeypatch, module, name, value, made) -> None:
    before = made()
    monkeypatch.setattr(module, name, value)
    after = made()
    assert (after.statement, after.region) != (before.statement, before.region)


@pytest.mark.parametrize(
    ("made", "values"),
    [
        (collapse.fang_claim, {3: 245.496930599, 5: 12.192447080, 7: 4.000466710}),
        (depth.ce_claim, depth.CERTIFIED[:2]),
        (contrastive.contrastive_certified_claim, contrastive.BRACKETS[:2]),
        (nonconvex.optimal_claim, {3: "1/5", 4: "1/9"}),
        (nonconvex.suboptimal_claim, {3: "19/20", 4: "32/100"}),
        (residual_bounds.three_claim, residual_bounds.THREE[:1]),
        (residual_bounds.certified_claim, {(3, 8): (1 / 4, 7 / 8, None), (4, 8): (3 / 16, 5 / 4, 7 / 16)}),
    ],
    ids=lambda x: x.__name__ if callable(x) else "",
)
def test_a_statement_lists_the_instances_of_its_check(made, values) -> None:
    assert made(values).statement != made().statement


@pytest.mark.parametrize(
    ("theorem", "piece"),
    [
        ("sphere-spurious-minimum", {"scale": Integer(10)}),
        ("sphere-spurious-minimum", {"etf": Rational(1, 10**12)}),
        ("cyclic-codes", {"factors": 7}),
        ("contrastive-groups", {"end": Integer(3)}),
        ("orthoplex-codes", {"third": -Rational(1, 3)}),
    ],
    ids=lambda x: x if isinstance(x, str) else next(iter(x)),
)
def test_a_theorem_says_the_numbers_of_its_proof(theorem, piece) -> None:
    assert theorems.statements(theorem, **piece) != theorems.statements(theorem)


# off by a little ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claim",
    [
        *(collapse.criterion_claim(lambda pi, mu, omega, x=x: pi <= x * mu * omega) for x in (0.9, 0.999, 1.001, 1.01)),
        *(collapse.criterion_claim(lambda pi, mu, omega, x=x: pi <= mu * omega ** (2 * x)) for x in (0.45, 0.499)),
        *(nonconvex.local_claim(x) for x in (0.98, 0.999, 1.001, 1.03)),
        *(nonconvex.penalised_claim(x) for x in (0.96, 0.999, 1.001, 1.04)),
        *(nonconvex.deep_claim(exponent=x) for x in (0.4995, 0.5005)),
        *(landscape.mixing_claim(x) for x in (0.996, 1.001, 1.004)),
        *(landscape.benign_claim(x) for x in (0.999, 1.001)),
        *(collapse.penalised_claim(loss, factor=x) for loss in ("ce", "mse") for x in (0.999, 1.001)),
        *(collapse.mse_claim(factor=x) for x in (0.999, 1.001)),
        *(collapse.phases_claim(x) for x in (0.999, 1.001)),
        *(collapse.total_claim(x) for x in (0.999, 1.001)),
        *(collapse.deq_threshold_claim(factor=x) for x in (0.999, 1.001)),
    ],
    ids=lambda claim: claim.id,
)
@pytest.mark.sample(6)
def test_off_by_a_thousandth_is_noticed(claim: ufm.Claim) -> None:
    assert not status(claim).as_claimed


def test_supported_claims_say_what_they_would_notice() -> None:
    found = all_claims()["collapse-mixing"].check(Context())
    assert found.status is Status.supported
    assert any("relative error of 1e-06" in line for line in found.established_by)


# what refuted earlier statements ------------------------------------------------------------------------------------


def test_mse_with_slack_budgets_need_not_collapse() -> None:
    """The factors of the counterexample in floating point: risk 0, budgets met, features of a class apart."""
    w = np.array([[1.0, 0, 0], [0, 1, 0]])
    h = np.array([[1.0, 0, 1], [1, 0, -1], [0, 1, 1], [0, 1, -1]]).T
    assert np.abs(w @ h - np.repeat(np.eye(2), 2, axis=1)).max() == 0
    assert (w**2).sum() / 2 <= 2
    assert (h**2).sum() / 4 <= 2
    assert status(relaxation.slack_claim()) is Status.certified
    assert status(relaxation.slack_claim(Fraction(199, 100))) is Status.refuted
    wider = replace(all_claims()["within-class-collapse"], scope=ufm.Scope(("mse",), ("layer-peeled",)))
    assert status(wider) is Status.inconclusive


def test_thresholds_need_the_dimension() -> None:
    """With d = 1 the minority is collapsed far above the threshold, so no claim about it may be about every d."""
    prior, lam = ufm.ClassPrior([100, 30, 30]), np.sqrt(10) / 160
    with pytest.warns(RuntimeWarning, match="an upper bound, not a proven optimum"):
        found = solve(ufm.UnconstrainedFeatures(lam, lam), prior, method="direct", dim=1, starts=8, seed=0)
    scale = group_scales(found.logits, [group.classes for group in prior.groups])[-1]
    assert abs(scale) < 1e-3  # type: ignore[arg-type]
    assert prior.counts.min() > (prior.num_samples * lam) ** 2 * 2.9
    for name in ("penalised-threshold-ce", "penalised-threshold-mse", "deq-threshold-larger", "three-phases"):
        true = all_claims()[name]
        assert any("d ≥ K" in hypothesis for hypothesis in true.hypotheses), name
        assert (
            status(replace(true, scope=tuple(replace(s, dimension="any") for s in true.scope))) is Status.inconclusive
        )


def test_shifts_within_a_group_are_part_of_the_hypothesis() -> None:
    """Equal weights and scales are not enough: shifts that differ keep classes apart far below the threshold."""
    prior = ufm.ClassPrior([100, 100, 4, 4])
    lam = np.sqrt(4 * 1.05) / prior.num_samples
    for shifts, apart in (((0.0, 0.0, 1.0, 1.0), False), ((0.0, 0.0, 1.0, -1.0), True)):
        found = solve(ufm.UnconstrainedFeatures(lam, lam), prior, ufm.CrossEntropy(shifts=shifts))
        assert found.is_global
        assert bool(np.abs(found.classifier[2] - found.classifier[3]).max() > 1) is apart
    assert "weights, scales and shifts that are equal" in all_claims()["weights-scales-collapse-threshold"].statement
    assert "without weights and scales" in all_claims()["shifts-leave-collapse-threshold"].statement


def test_the_slope_of_the_threshold_is_that_without_a_layer() -> None:
    """Behind an equilibrium layer log R* rises 1/(1 - rho) times as fast: the limit of the slope is another one."""
    k_a = k_b = 2
    limit, unit, step = 1 / (np.sqrt(k_b / (k_a + k_b)) + k_a - 1), 20.0, 1e-3

    def slope(rho: float) -> float:
        ends = [ufm.LinearDEQ(unit * (1 + x), unit * (1 + x), rho=rho) for x in (step, -step)]
        ahead, behind = (np.log(ufm.collapse_threshold(model, k_a, k_b).ratio) for model in ends)
        return float((ahead - behind) / (2 * step * (k_a + k_b) * unit))

    assert slope(0.0) == pytest.approx(limit, rel=2e-3)
    assert slope(0.5) == pytest.approx(2 * limit, rel=2e-3)
    deq = Scope(models=("spectral-deq",), groups=(2, 2), majority=2, minority=2, dimension="K - 1")
    for theorem in ("threshold-not-log-convex", "collapse-phases"):
        assert wider(deq, theorems.scope(theorem)) is not None
        assert wider(replace(deq, models=("layer-peeled",)), theorems.scope(theorem)) is None
    assert all_claims()["threshold-not-log-convex"].architectures == ("layer-peeled",)


def test_a_class_by_itself_has_nothing_to_collapse_with() -> None:
    """Of squared error too: K_b >= 2 wherever a group is called collapsed."""
    for name in theorems.all_theorems():
        said = " ".join(theorems.statements(name).values())
        if "a group of classes with n_B samples" in said.lower():
            assert all(case.minority >= 2 for case in theorems.scope(name)), name
    assert all(case.minority >= 2 for case in all_claims()["gain-threshold"].scope)


def test_every_critical_point_collapsed_is_not_one_critical_point() -> None:
    """K_A = K_B = 2, n = (10, 1), N^2 lam^2 = 16, rho = 1/2, lambda_A = 0.01: Z = 0 and a minimum at s_A = 1.5."""
    assert "at every critical point s_B = 0" in theorems.statements("landau-collapse")["branch"]
    prior, lam = ufm.ClassPrior([10, 10, 1, 1]), 4 / 22
    problem = Problem.of(ufm.PenalisedDEQ(lam, lam, 0.5, lambda_A=0.01), prior)
    majority = np.zeros((4, 4))
    majority[:2, :2] = [[0.5, -0.5], [-0.5, 0.5]]
    at = {s: problem.objective(s * majority) for s in (0.0, 0.002, 1.3, 1.55, 1.8)}
    assert at[0.0] < at[0.002]
    assert at[1.55] < min(at[1.3], at[1.8])
    assert (prior.num_samples * lam) ** 2 * 0.25 > prior.counts.min()


@pytest.mark.parametrize(
    ("k_a", "k_b", "ratio", "low", "high"), [(6, 2, 1.02, 0.10, 0.15), (44, 2, 150594, 14.78, 14.9)]
)
def test_errors_of_the_search_keep_their_relative_size(
    k_a: int, k_b: int, ratio: float, low: float, high: float
) -> None:
    """Squares of 1e-11 and 1e-8, against enclosures in ball arithmetic."""
    prior = ufm.ClassPrior.step(k_a, k_b, ratio)
    for unit in (low, high):
        enclosed = enclose_geometry(ufm.LayerPeeled(1.0, unit**2), prior)
        etf, duality, phase = landscape._squared_errors(*(np.array([x]) for x in (k_a, k_b, float(ratio), unit)))
        assert phase[0] == 0
        assert duality[0] == pytest.approx(float(enclosed.self_duality_error_squared.mid()), rel=1e-6)
        assert etf[0] == pytest.approx(float(enclosed.etf_error_squared.mid()), rel=1e-9)


def test_the_curvature_criterion_says_what_happens_at_its_point_alone() -> None:
    found = all_claims()["first-order-converse"].check(Context())
    assert found.status is Status.supported
    assert found.details["maxwell"] < found.details["collapsed_end"] == pytest.approx(5)
    assert 0.19 < found.details["jump"][0] < 0.21


@pytest.mark.parametrize(
    ("name", "theorem", "fields"),
    [
        ("collapse-criterion", "collapse-criterion", {"losses": ("mse",)}),
        ("collapse-criterion", "collapse-criterion", {"groups": (1, 5)}),
        ("explicit-landscape-benign", "factor-landscape", {"models": ("penalised-deq",)}),
        ("first-order-collapse", "landau-collapse", {"symmetric": False}),
        ("uncapped-deq-minimiser", "uncapped-deq-no-minimiser", {"dimension": "any"}),
        ("deep-linear-etf", "deep-linear-etf", {"classes": (3, None)}),
        ("deep-collapse-stable", "deep-collapse-stable", {"conditions": ()}),
        ("deq-balanced-etf", "balanced-spectral-deq-etf", {"models": ("frobenius-deq",)}),
    ],
)
def test_wider_than_its_theorem(name: str, theorem: str, fields: dict[str, object]) -> None:
    (scope,) = all_claims()[name].scope
    assert wider(scope, theorems.scope(theorem)) is None
    assert wider(replace(scope, **fields), theorems.scope(theorem)) is not None  # type: ignore[arg-type]

    @ufm.claim(
        id="wider", title="w", statement=all_claims()[name].statement, source="s", scope=replace(scope, **fields)
    )  # type: ignore[arg-type]
    def check(context: Context) -> Evidence:
        return evidence("found", proofs=[symbolic(theorem)])

    assert status(check) is Status.inconclusive


def _behind_residual_depth(strength: float, share: float) -> tuple[Problem, residual_bounds._Symmetric]:
    """The problem of the claim about two groups behind residual depth, and its objective on symmetric logits."""
    k_a, k_b, depth, total, threshold = residual_bounds.IMBALANCED
    decay = math.sqrt(threshold) / total
    few = share * threshold
    many = (total - k_b * few) / k_a
    network = ufm.Residual(decay, decay, strength * k_b * total * decay**2 * depth, depth)
    prior = ufm.ClassPrior([many] * k_a + [few] * k_b)
    return Problem.of(network, prior), residual_bounds._Symmetric(network, k_a, k_b, many, few)


def test_symmetric_logits_behind_residual_depth_have_the_problems_objective() -> None:
    problem, symmetric = _behind_residual_depth(1.0, 0.9)
    k_a, k_b = residual_bounds.IMBALANCED[:2]
    rng = np.random.default_rng(0)
    for v in rng.normal(size=(5, 4)) * 2:
        d_a, d_b = (v[2] - v[0]) / k_a, (v[3] - v[1]) / k_b
        z = np.diag(np.repeat(v[:2], (k_a, k_b)))
        z[:k_a, :k_a] += d_a
        z[k_a:, k_a:] += d_b
        value, slope = symmetric(v)
        assert value == pytest.approx(problem.objective(z - z.mean(axis=0)), rel=1e-12)
        steps = 1e-6 * np.eye(4)
        assert slope == pytest.approx([(symmetric(v + e)[0] - symmetric(v - e)[0]) / 2e-6 for e in steps], abs=1e-8)


@pytest.mark.parametrize("end", [residual_bounds.ENDS[1], residual_bounds.ENDS[-1]])
@pytest.mark.sample(0)
def test_scales_behind_residual_depth_are_those_of_the_solvers(end: tuple[float, float, bool]) -> None:
    """Where the groups share nothing, a kink of the price, and beside it."""
    problem, _ = _behind_residual_depth(*end[:2])
    scale = solve(problem.architecture, problem.prior).geometry.group_scales[1]
    assert abs(scale) == pytest.approx(residual_bounds._apart(*end[:2])[0], rel=1e-7)
