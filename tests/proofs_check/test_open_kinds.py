"""Certificates for any labels, losses and biases: conditions, tampering, checkers with a mistake, conjugates."""

from __future__ import annotations

import json
import random
import time
from fractions import Fraction
from typing import Any

import certificate_oracle as oracle
import numpy as np
import pytest
from effort import count
from flint import arb, ctx, fmpq
from json_schemas import accepted
from tampering import Json, check_rejected, edited, judged_by, tampered_by_kind

import ufm
from proofs_check import checker, coq
from proofs_check.kinds import collapse, labels, open_value
from ufm.certificates import certify_collapse, certify_threshold

#: Of each of 16 kinds of tampering, for every kind of certificate: in full at least 1,000 of each.
ROUNDS = count(3, 80)

SOFT = ufm.Labels([[1, 0, 0.5, 0.25], [0, 1, 0.5, 0.25], [0, 0, 0, 0.5]], [10, 5, 4, 2])
SETS = ufm.Labels.multi_label(3, [(0,), (1, 2), (2,), ()], [5, 2, 3, 1])
REAL = ufm.Labels([[1, 2, -1, 0], [0, 1, 1, 3], [2, 0, 1, -1]], [4, 3, 2, 1])
CONTEXTS = ufm.Labels([[1, 0, 0, 0.5], [0, 1, 0, 0.25], [0, 0, 1, 0.25]], [30, 1, 1, 2])
PEELED, DECAY = ufm.LayerPeeled(1, 1), ufm.UnconstrainedFeatures(0.0625, 0.0625)


@pytest.fixture(scope="module")
def certificates() -> dict[str, Json]:
    scaled = ufm.CrossEntropy(smoothing=0.125, weights=(1, 2, 2), scales=(1, 0.5, 0.5), shifts=(0, 1, 1))
    solved = {
        "soft": (PEELED, SOFT, "ce", "free"),
        "scaled": (ufm.LinearDEQ(1, 1, 0.25), ufm.ClassPrior([9, 2, 2]), scaled, 0.5),
        "sets": (DECAY, SETS, "bce", None),
        "real": (DECAY, REAL, "mse", "free"),
        "hinge": (DECAY, ufm.ClassPrior([5, 2, 2]), ufm.SquaredHinge(1.0), "free"),
        "relu": (
            ufm.UnconstrainedFeatures(0.0625, 0.0625, features="nonnegative"),
            ufm.ClassPrior([5, 2, 2]),
            "ce",
            None,
        ),
        "relu-soft": (ufm.LayerPeeled(1, 1, features="nonnegative"), SOFT, "ce", None),
        "bounded": (ufm.NormBounded(1, 2), ufm.ClassPrior.balanced(3), "ce", None),
        "gain": (ufm.Gain(1, 1, 0.5, "residual", depth=3), ufm.ClassPrior([9, 2, 2]), "ce", None),
        "ode": (ufm.Gain(1, 1, 0.5, "ode"), SOFT, "ce", None),
        "decays": (ufm.PenalisedDeepLinear((0.0625, 0.03125)), REAL, "mse", None),
    }
    made = {
        name: ufm.certify(ufm.solve(architecture, prior, loss, bias=bias))
        for name, (architecture, prior, loss, bias) in solved.items()
    }
    small = ufm.UnconstrainedFeatures(0.01, 0.01)
    made |= {
        "collapsed": certify_collapse(
            small, ufm.ClassPrior([100, 1, 1]), [1, 2], ufm.CrossEntropy(smoothing=0.125), "free"
        ),
        "contexts": certify_collapse(small, CONTEXTS, [1, 2]),
        "multiplier": certify_collapse(PEELED, ufm.ClassPrior([60, 1, 1]), [1, 2], "bce", "free"),
        "apart": certify_collapse(PEELED, ufm.ClassPrior([3, 1, 1]), [1, 2]),
        "threshold": certify_threshold(
            small,
            2,
            2,
            loss=ufm.CrossEntropy(weights=(1, 1, 2, 2), scales=(1, 1, 0.25, 0.25)),
            bias=0.5,
            num_samples=600,
        ),
    }
    return {name: json.loads(certificate.to_json()) for name, certificate in made.items()}


def test_they_are_accepted_tight_true_and_fit_the_schema(certificates):
    for name, certificate in certificates.items():
        accepted(certificate, name)
        assert oracle.holds(certificate["claim"]), name
        statement = certificate["claim"]["statement"]
        if "lower" in statement:
            low, high = Fraction(statement["lower"]), Fraction(statement["upper"])
            assert 0 <= high - low <= high * Fraction(1, 10**9), name


CONDITIONS: list[tuple[str, dict[str, Any], str]] = [
    ("soft", {"claim__statement__upper": "1/10"}, "upper bound not proved"),
    ("soft", {"claim__statement__lower": "7/10"}, "lower bound not proved"),
    ("soft", {"claim__architecture__E_W": "99/100"}, "exceed the budgets"),
    ("soft", {"claim__architecture__E_W": "101/100"}, "lower bound not proved"),
    ("soft", {"claim__bias": None}, "bias must be 0"),
    ("soft", {"claim__bias": "-1"}, "bias must be > 0"),
    ("soft", {"claim__labels__counts__0": "11"}, "dual"),
    ("soft", {"claim__labels__counts__0": "0"}, "counts must be > 0"),
    ("soft", {"claim__labels__targets__0__0": "-1"}, "outside of what 'ce' is bounded for"),
    ("soft", {"claim__labels__targets__0__2": "1/4"}, "proved"),
    ("soft", {"claim__loss__name": "focal"}, "one of"),
    ("soft", {"claim__loss__name": "bce"}, "proved"),
    ("soft", {"claim__loss__name": ["ce"]}, ""),
    ("soft", {"claim__loss": {"name": "ce", "margin": "1"}}, "no parameters but"),
    ("soft", {"claim__loss": {"name": "ce", "weights": ["1"]}}, "weights"),
    ("soft", {"witness__dual__0__0": "0"}, "outside of the domain of the conjugate of ce"),
    ("soft", {"witness__bound": "1/1000"}, "not an upper bound of the dual's spectral norm"),
    ("soft", {"witness__left__0__0": "100"}, "exceed the budgets"),
    ("scaled", {"claim__bias": "1/4"}, "proved"),
    ("scaled", {"claim__bias": "free"}, "rows of G must sum to 0"),
    ("scaled", {"claim__loss__smoothing": "1/4"}, "dual or proved"),
    ("scaled", {"claim__loss__shifts__0": "1"}, "proved"),
    ("scaled", {"claim__loss__scales__0": "2"}, "domain"),
    ("scaled", {"claim__loss__weights__0": "2"}, "proved or domain"),
    ("sets", {"claim__labels__targets__0__1": "1"}, "domain or proved"),
    ("sets", {"claim__labels__targets__0__1": "2"}, "bounded for"),
    ("sets", {"claim__architecture__lambda_W": "1/17"}, "the dual is not feasible"),
    ("sets", {"witness__bound": "1"}, "the dual is not feasible"),
    ("real", {"claim__labels__targets__0__0": "2"}, "proved"),
    ("hinge", {"claim__loss__margin": "2"}, "proved"),
    ("hinge", {"witness__dual__0__0__2": "-1"}, "multipliers are >= 0"),
    ("hinge", {"witness__dual__0__0__0": 1}, "multipliers"),
    ("hinge", {"witness__dual__0": []}, "rows of G must sum to 0"),
    ("relu", {"claim__architecture__features": "real"}, "nonnegative"),
    ("relu", {"claim__architecture__features": ...}, "exactly the keys"),
    ("relu", {"witness__right__0__0": "-1/1000"}, "features must be nonnegative"),
    ("relu", {"witness__copositive__0__1": "-1"}, "symmetric and nonnegative"),
    ("relu", {"witness__copositive__0__0": "1"}, "nonnegative unit vectors"),
    ("bounded", {"claim__architecture__w": "999/1000"}, "a row or column exceeds its bound"),
    ("bounded", {"claim__architecture__h": "2001/1000"}, "lower bound not proved"),
    ("bounded", {"witness__bound__0__0": "1/1000"}, "positive definite"),
    ("bounded", {"witness__bound": "1"}, "must be [alpha, beta]"),
    ("gain", {"claim__architecture__depth": 2}, "exceed the budgets"),
    ("gain", {"claim__architecture__depth": 4}, "lower bound not proved"),
    ("gain", {"claim__architecture__depth": ...}, "a depth where"),
    ("gain", {"claim__architecture__kind": "ode"}, "a depth where"),
    ("gain", {"claim__architecture__kind": "unrolled"}, "exceed the budgets"),
    ("gain", {"claim__architecture__rho": "-1/2"}, "rho >= 0"),
    ("ode", {"claim__architecture__kind": "deq"}, "lower bound not proved"),
    ("ode", {"claim__architecture__rho": "49/100"}, "exceed the budgets"),
    ("decays", {"claim__architecture__lambdas__0": "1/17"}, "the dual is not feasible"),
    ("decays", {"claim__architecture__lambdas__0": "1/15"}, "upper bound not proved"),
    ("collapsed", {"claim__statement__collapsed": False}, "shows the contrary"),
    ("collapsed", {"claim__statement__collapsed": 1}, "true or false"),
    ("collapsed", {"claim__statement__classes": [0, 1]}, "not interchangeable"),
    ("collapsed", {"claim__statement__classes": [1, 1]}, "listed twice"),
    ("collapsed", {"claim__statement__classes": [1]}, "at least 2"),
    ("collapsed", {"claim__loss": {"name": "squared_hinge"}}, "kappa is not known"),
    ("collapsed", {"claim__loss": {"name": "ce", "weights": ["1", "1", "2"]}}, "not interchangeable"),
    ("collapsed", {"claim__loss": {"name": "ce", "weights": ["1", "9", "9"]}}, "shows the contrary"),
    ("collapsed", {"claim__loss": {"name": "ce", "shifts": ["1", "0", "1"]}}, "not interchangeable"),
    ("collapsed", {"claim__labels__counts__1": "2"}, "not interchangeable"),
    ("collapsed", {"claim__architecture__features": "nonnegative"}, "nuclear norm"),
    ("contexts", {"claim__labels__targets__1__3": "1/2"}, "not interchangeable"),
    ("contexts", {"claim__labels__targets__1__1": "1/2"}, "one-hot target"),
    ("multiplier", {"claim__statement__collapsed": False}, "no proof that the multiplier or exceed"),
    ("multiplier", {"witness__step": "1/1000000000000"}, "exceed the budgets"),
    ("multiplier", {"claim__labels__counts__0": "3"}, "no proof or domain"),
    ("apart", {"claim__statement__collapsed": True}, "no proof that the multiplier"),
    ("apart", {"witness__step": "100"}, "below the radius"),
    ("threshold", {"claim__statement__upper": "1", "claim__statement__lower": "1"}, "upper end"),
    ("threshold", {"claim__loss__weights__1": "3"}, "collapsed"),
    ("threshold", {"claim__loss": {"name": "squared_hinge"}}, "kappa is not known"),
    ("threshold", {"claim__architecture": {"name": "layer_peeled", "E_W": "1", "E_H": "1"}}, "weight decay"),
    ("threshold", {"claim__prior__fixed": None}, "held fixed"),
]


@pytest.mark.parametrize(("name", "changes", "reason"), CONDITIONS)
def test_every_condition_stops_a_certificate(certificates, name, changes, reason):
    check_rejected(certificates[name], changes, reason)


def test_no_tampered_certificate_passes_unless_its_claim_is_still_true(certificates):
    still_true = judged_by(lambda claim, _: oracle.holds(claim))
    found = tampered_by_kind(random.Random(11), list(certificates.values()), ROUNDS, still_true)
    assert min(tried for tried, _ in found.values()) >= count(36, 1000)
    assert sum(accepted for _, accepted in found.values()) > 5  # wider intervals


MISTAKES: dict[str, tuple[str, Any, str, Any, dict[str, Any]]] = {
    "polars are not bounded": ("soft", open_value, "check_polar", lambda *_: None, {"witness__bound": "1/1000"}),
    "diagonals are not looked at": (
        "bounded",
        open_value,
        "positive_definite",
        lambda _: True,
        {"witness__bound__0__0": "1/1000"},
    ),
    "any classes are interchangeable": (
        "collapsed",
        collapse,
        "own_column",
        lambda claim, _: 2,
        {"claim__statement__classes": [0, 1]},
    ),
    "kappa is 1": (
        "collapsed",
        collapse,
        "kappa",
        lambda *_: fmpq(1, 10),
        {"claim__loss": {"name": "ce", "weights": ["1", "9", "9"]}},
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_checker_with_a_mistake_accepts_what_is_not_proved(certificates, monkeypatch, mistake):
    name, module, function, value, changes = MISTAKES[mistake]
    tampered = edited(certificates[name], **changes)
    assert not checker.check(tampered)
    monkeypatch.setattr(module, function, value)
    assert checker.check(tampered)


def _claim(loss: Json, targets: list[list[str]], counts: list[str]) -> labels.OpenClaim:
    data = {"labels": {"targets": targets, "counts": counts}, "loss": loss, "bias": None, "statement": {}}
    return checker.read_open(
        {"kind": "open-value", "architecture": {"name": "norm_bounded", "w": "1", "h": "1"}} | data
    )


LOSSES: list[tuple[Json, Any]] = [
    ({"name": "ce", "smoothing": "1/8", "weights": ["1", "2"], "scales": ["1", "1/2", "3"], "shifts": ["0", "1", "-1"]},
     ufm.CrossEntropy(0.125, (1, 2), (1, 0.5, 3), (0, 1, -1))),
    ({"name": "bce"}, ufm.BinaryCrossEntropy()),
    ({"name": "mse"}, ufm.MeanSquaredError()),
    ({"name": "squared_hinge", "margin": "3/2"}, ufm.SquaredHinge(1.5)),
]  # fmt: skip


@pytest.mark.parametrize(("data", "loss"), LOSSES, ids=lambda x: x["name"] if isinstance(x, dict) else "")
def test_risks_are_those_of_the_losses(data, loss):
    targets = [["1", "0"], ["0", "1/2"], ["0", "1/2"]]
    claim, rng = _claim(data, targets, ["3", "1"]), np.random.default_rng(0)
    t = np.array([[float(Fraction(x)) for x in row] for row in targets])
    for _ in range(5):
        z = rng.normal(size=(3, 2)) * 2
        with ctx.workprec(128):
            found = float(labels.risk(claim, [[arb(x) for x in row] for row in z.tolist()]))
        assert found == pytest.approx(loss.value(z, np.array([0.75, 0.25]), t), rel=1e-13)


@pytest.mark.parametrize(("data", "loss"), LOSSES[:3], ids=lambda x: x["name"] if isinstance(x, dict) else "")
def test_no_point_is_below_the_dual(data, loss):
    """<G, Z> - f(Z) stays below the conjugate f*(G), and reaches it where G is the gradient."""
    targets = [["1", "0"], ["0", "1/2"], ["0", "1/2"]]
    claim, rng = _claim(data, targets, ["3", "1"]), np.random.default_rng(1)
    pi, t = np.array([0.75, 0.25]), np.array([[float(Fraction(x)) for x in row] for row in targets])
    z = rng.normal(size=(3, 2))
    g = [[Fraction(x) for x in row] for row in loss.gradient(z, pi, t).tolist()]
    scales = [Fraction(int(x.p), int(x.q)) for x in claim.scales]
    if data["name"] == "ce":  # the columns of Delta^-1 G sum to 0 exactly
        for j in range(2):
            g[0][j] = -scales[0] * sum(row[j] / s for row, s in zip(g[1:], scales[1:], strict=True))
    with ctx.workprec(128):
        matrix, value = labels.dual(claim, [[str(x) for x in row] for row in g])
        dual = float(value)
    numbers = np.array([[float(x.p) / float(x.q) for x in row] for row in matrix])
    assert dual == pytest.approx(loss.value(z, pi, t) - (numbers * z).sum(), abs=1e-13)
    for _ in range(50):
        y = z + rng.normal(size=z.shape) * rng.choice([0.01, 1.0, 5.0])
        assert loss.value(y, pi, t) - (numbers * y).sum() >= dual - 1e-12


def test_multipliers_of_a_squared_hinge_bound_it_from_below():
    claim = _claim(LOSSES[3][0], [["1", "0"], ["0", "1/2"], ["0", "1/2"]], ["3", "1"])
    data = [[[0, 1, "1/2"], [0, 2, "1"]], [[1, 0, "1/8"], [2, 0, "1/4"]]]
    rng, loss, pi = np.random.default_rng(2), ufm.SquaredHinge(1.5), np.array([0.75, 0.25])
    with ctx.workprec(128):
        matrix, value = labels.dual(claim, data)
    numbers = np.array([[float(x.p) / float(x.q) for x in row] for row in matrix])
    t = np.array([[1, 0], [0, 0.5], [0, 0.5]])
    least = min(loss.value(z, pi, t) - (numbers * z).sum() for z in rng.normal(size=(4000, 3, 2)) * 2)
    assert float(value) <= least <= float(value) + 0.05


def test_coq_has_no_verdict_on_them_but_on_thresholds(certificates):
    for name, certificate in certificates.items():
        if name == "threshold":
            assert "Theorem fact_1" in coq.export(certificate)
        else:
            assert coq.check_with_coq(certificate).accepted is None


def test_gains_lengthen_as_their_maps_do():
    """g(rho) is the spectral norm of the network's map at A = rho I, and the radius that of the architecture."""
    with ctx.workprec(128):
        for given, factor in (
            (("residual", 3), 1.5**3),
            (("unrolled", 3), 1 + 0.5 + 0.25),
            (("ode",), float(np.exp(0.5))),
            (("deq",), 2.0),
        ):
            assert float(checker.gain(fmpq(1, 2), *given)) == pytest.approx(factor, rel=1e-15)
        assert checker.gain(fmpq(1), "unrolled", 4) == 4


def test_what_the_checker_does_not_know_is_refused_by_name():
    with pytest.raises(ValueError, match="loss must be one whose conjugate"):
        ufm.certify(ufm.solve(PEELED, ufm.ClassPrior([2, 1]), ufm.FocalLoss(2.0), method="search", starts=2))
    with pytest.raises(ValueError, match="bias must be None for a threshold in budgets"):
        certify_threshold(PEELED, 2, 2, bias="free")
    with pytest.raises(ValueError, match="loss must have a collapse threshold in closed form to be certified"):
        certify_threshold(DECAY, 2, 2, loss=ufm.SquaredHinge(), num_samples=9)
    with pytest.raises(ValueError, match="equal within both groups"):
        certify_threshold(DECAY, 2, 2, loss=ufm.CrossEntropy(weights=(1, 2, 3, 3)), num_samples=9)
    with pytest.raises(ValueError, match="at most 64 classes and columns"):
        ufm.certify(ufm.solve(DECAY, ufm.ClassPrior([2] * 65), "mse", bias="free"))
    with pytest.raises(ufm.certificates.CertificationError, match="not interchangeable"):
        certify_collapse(DECAY, ufm.ClassPrior([3, 2]), [0, 1])


def test_numbers_of_nothing_in_common_end_quickly(certificates):
    """Exact sums of long rationals would grow without end; they are refused."""
    rng, size = random.Random(5), 40

    def number() -> str:
        return str(Fraction(rng.randrange(10**390), rng.randrange(10**389, 10**390)))

    claim = certificates["soft"]["claim"] | {
        "labels": {"targets": [[str(int(i == j)) for j in range(size)] for i in range(size)], "counts": ["1"] * size}
    }
    witness = {
        "left": [["0"]] * size,
        "right": [["0"] * size],
        "bias": ["0"] * size,
        "dual": [[number() for _ in range(size)] for _ in range(size)],
        "bound": "1",
    }
    start = time.process_time()
    outcome = checker.check({"format": checker.FORMAT, "claim": claim, "witness": witness})
    assert "denominators" in outcome.reason
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "model", [ufm.UnconstrainedFeatures(0.01, 0.01, features="nonnegative"), ufm.NormBounded(1.0, 1.0)]
)
def test_collapse_is_certified_where_the_criterion_is_that_of_a_nuclear_norm(model) -> None:
    with pytest.raises(ValueError, match="nuclear-norm gauge for a certificate of collapse"):
        certify_collapse(model, ufm.ClassPrior([60, 60, 1, 1]), [2, 3])


@pytest.mark.parametrize(("bias", "said"), [(None, None), ("free", "free"), (0.25, "1/4")])
def test_a_certificate_states_the_bias_that_it_was_asked_of(bias, said) -> None:
    """Another bias would be true as well, for the threshold does not hang on it, and not what was asked."""
    prior = ufm.ClassPrior([60, 2, 2])
    made = (
        certify_threshold(DECAY, 2, 2, loss="bce", bias=bias, num_samples=900),
        certify_collapse(DECAY, prior, [1, 2], "bce", bias),
        ufm.certify(ufm.solve(DECAY, prior, "bce", bias=bias)),
    )
    assert [certificate.claim["bias"] for certificate in made] == [said] * 3
    assert [certificate.claim["loss"]["name"] for certificate in made] == ["bce"] * 3
