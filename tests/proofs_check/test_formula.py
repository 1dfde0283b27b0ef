"""Losses that state themselves in certificates: rules of convexity, tangents, tampering, checkers with a mistake.

A mutant for each rule: ``test_formula_mutants``.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import certificate_oracle as oracle
import numpy as np
import pytest
from effort import count
from flint import arb, ctx, fmpq
from stated_losses import Quartic
from tampering import Json, accepted_tamperings, check_rejected, edited, judged_by

import ufm
from proofs_check import checker
from proofs_check.kinds import formula as rules
from proofs_check.kinds.reading import Reject

ROUNDS = count(8, 64)  # of each of 16 kinds of tampering: 1,024 in full

SOFT = ufm.Labels([[1, 0, 0.5, 0.25], [0, 1, 0.5, 0.25], [0, 0, 0, 0.5]], [10, 5, 4, 2])
PEELED, DECAY = ufm.LayerPeeled(0.4, 0.4), ufm.UnconstrainedFeatures(0.0625, 0.0625)


class Softmax(ufm.Loss):
    """Cross-entropy at temperature 1/2, which is not shown to be nonnegative."""

    is_convex = True

    def values(self, logits, targets):
        return np.logaddexp.reduce(2 * logits, axis=0) - 2 * (targets * logits).sum(axis=0)

    def gradients(self, logits, targets):
        e = np.exp(2 * logits - 2 * logits.max(axis=0))
        return 2 * e / e.sum(axis=0) - 2 * targets

    def constant_direction(self, num_classes):
        return np.ones(num_classes)

    def formula(self, logits, target):
        return (2 * logits).logsumexp() - 2 * (target * logits).sum()


class Hinge(ufm.Loss):
    is_convex = True

    def values(self, logits, targets):
        return (np.maximum(0, 1 - (2 * targets - 1) * logits) ** 2).sum(axis=0)

    def gradients(self, logits, targets):
        sign = 2 * targets - 1
        return -2 * sign * np.maximum(0, 1 - sign * logits)

    def formula(self, logits, target):
        return self.values(logits, target)


@pytest.fixture(scope="module")
def certificates() -> dict[str, Json]:
    prior = ufm.ClassPrior([5, 2, 1])
    solved = {
        "quartic": (PEELED, prior, Quartic(), "free"),
        "priced": (DECAY, SOFT, Quartic(), 0.5),
        "softmax": (DECAY, prior, Softmax(), "free"),
        "hinge": (ufm.UnconstrainedFeatures(0.0625, 0.0625, features="nonnegative"), SOFT, Hinge(), "free"),
        "bounded": (ufm.NormBounded(1, 1), SOFT, Softmax(), None),
    }
    made = {name: ufm.certify(ufm.solve(a, p, loss, bias=b)) for name, (a, p, loss, b) in solved.items()}
    for name, (*_, loss, _) in solved.items():
        oracle.WRITTEN[json.dumps(made[name].claim["loss"]["expression"])] = loss
    return {name: json.loads(certificate.to_json()) for name, certificate in made.items()}


def test_they_are_accepted_tight_true_and_fit_the_schema(certificates):
    schema = json.loads((Path(checker.__file__).parent / "schema.json").read_text())
    validator = pytest.importorskip("jsonschema").Draft202012Validator(schema)
    for name, certificate in certificates.items():
        outcome = checker.check(certificate)
        assert outcome, (name, outcome.reason)
        assert "loss sum(" in outcome.statement
        assert oracle.holds(certificate["claim"]), name
        validator.validate(certificate)
        low, high = (Fraction(certificate["claim"]["statement"][end]) for end in ("lower", "upper"))
        assert 0 < low <= high <= low * (1 + Fraction(1, 10**9)), name


def test_it_agrees_with_the_conjugate_of_cross_entropy():
    """The same loss as a formula and by its entropies: two intervals that meet."""
    plain = ufm.CrossEntropy(scales=(2, 2, 2))
    stated = ufm.certify(ufm.solve(DECAY, ufm.ClassPrior([5, 2, 1]), Softmax(), bias="free"))
    known = ufm.certify(ufm.solve(DECAY, ufm.ClassPrior([5, 2, 1]), plain, bias="free"))
    assert max(stated.lower, known.lower) <= min(stated.upper, known.upper)


CONDITIONS: list[tuple[str, dict[str, Any], str]] = [
    ("quartic", {"claim__statement__upper": "1/1000"}, "upper bound not proved"),
    ("quartic", {"claim__statement__lower": "9/10"}, "lower bound not proved"),
    ("quartic", {"claim__architecture__E_W": "41/100"}, "lower bound not proved"),
    ("quartic", {"claim__bias": None}, "bias must be 0"),
    ("quartic", {"claim__loss__expression": "z"}, "a loss is a scalar"),
    ("quartic", {"claim__loss__expression": ["*", "-1", ["norm", "z"]]}, "concave"),
    ("quartic", {"claim__loss__expression": ["sum", "z", ["power", "z"]]}, "takes 2 arguments"),
    ("quartic", {"claim__loss__expression": ["cosh", "z"]}, "no list of a known operation"),
    ("quartic", {"claim__loss__expression": ...}, "no list of a known operation"),
    ("quartic", {"claim__loss__margin": "1"}, "no parameters but"),
    ("quartic", {"witness__dual__biases__0__0": "1"}, "no positive weights or not an upper bound"),
    ("quartic", {"witness__dual__biases__0": ...}, "a free bias takes"),
    ("quartic", {"witness__dual__direction": ["1", "1", "1"]}, "constant along it"),
    ("quartic", {"witness__dual__share": "3/2"}, "share must lie in"),
    ("quartic", {"witness__dual__share": "1"}, "lower bound not proved"),
    ("quartic", {"witness__dual__share": "1/2"}, "lower bound not proved"),
    ("quartic", {"witness__bound": "1/1000"}, "not an upper bound of the dual's spectral norm"),
    ("softmax", {"witness__dual__direction": None}, "a free bias takes"),
    ("softmax", {"witness__dual__direction": ["1", "0", "0"]}, "constant along it"),
    ("softmax", {"witness__dual__logits__1": ...}, "not shown to be >= 0"),
    ("softmax", {"witness__bound": "1"}, "the dual is not feasible"),
    ("priced", {"claim__bias": "free"}, "a free bias takes"),
    ("priced", {"claim__bias": "1/4"}, "proved"),
    ("hinge", {"witness__right__0__0": "-1/1000"}, "features must be nonnegative"),
    ("bounded", {"claim__architecture__h": "1001/1000"}, "lower bound not proved"),
]


@pytest.mark.parametrize(("name", "changes", "reason"), CONDITIONS)
def test_every_condition_stops_a_certificate(certificates, name, changes, reason):
    check_rejected(certificates[name], changes, reason)


def test_no_tampered_certificate_passes_unless_its_claim_is_still_true(certificates):
    still_true = judged_by(lambda claim, _: oracle.holds(claim))
    accepted = accepted_tamperings(random.Random(12), list(certificates.values()), ROUNDS, still_true)
    assert accepted > 5


# The rules ------------------------------------------------------------------------------------------------------------


def cell(expression: Any, z: list[float], t: list[str] | None = None, direction: int = 0) -> rules.Cell:
    rules.read(expression, len(z), 1)
    targets = [fmpq(int(Fraction(x).numerator), int(Fraction(x).denominator)) for x in t or ["0"] * len(z)]
    return rules.column(expression, [arb(x) for x in z], targets, [fmpq(direction)] * len(z))


S = ["sum", "z"]
#: What is not convex, or not shown to be, and the reason.
REFUSED: dict[str, tuple[Any, str]] = {
    "a difference": (["sum", ["exp", S], ["*", "-1", ["abs", S]]], "convex and a concave"),
    "a product": (["*", S, S], "free of z"),
    "a quotient": (["/", "1", S], "free of z and not 0"),
    "by 0": (["/", S, ["at", "t", 0]], "free of z and not 0"),
    "a cube": (["power", S, "3"], "not even"),
    "a root": (["power", ["abs", S], "1/2"], "exponent"),
    "a square of what is convex": (["power", ["sum", ["exp", S], "-1"], "2"], "power of a convex"),
    "exp of what is concave": (["exp", ["*", "-1", ["exp", S]]], "exp of a concave"),
    "softplus of what is concave": (["softplus", ["*", "-1", ["abs", S]]], "softplus of a concave"),
    "max of what is concave": (["max", "0", ["*", "-1", ["exp", S]]], "max of a concave"),
    "logsumexp of what is concave": (["logsumexp", "0", ["*", "-1", ["exp", S]]], "logsumexp of a concave"),
    "abs of what is convex": (["abs", ["sum", ["exp", S], "-1"]], "abs of a convex"),
    "norm of what is convex": (["norm", "1", ["sum", ["exp", S], "-1"]], "norm of a convex"),
    "huber of what is convex": (["huber", ["sum", ["exp", S], "-1"], "1"], "huber of a convex"),
    "huber of no width": (["huber", S, "0"], "width of huber"),
    "log": (["log", ["exp", S]], "log of what"),
    "log of 0": (["sum", S, ["log", "0"]], "log of what"),
    "a minimum": (["*", "-1", ["max", S, "0"]], "the loss is concave"),
    "an entry beyond": (["at", "z", 2], "entry must be"),
    "two lengths": (["sum", ["sum", "z", ["list", "1", "1", "1"]]], "different lengths"),
    "a list of vectors": (["sum", ["list", "z", "z"]], "a list has scalars"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_convex_by_the_rules_is_refused(name):
    expression, reason = REFUSED[name]
    with ctx.workprec(128), pytest.raises(Reject, match=reason):
        cell(expression, [0.5, -0.25])


#: What is convex, and whether it is shown to be >= 0.
KNOWN: dict[str, tuple[Any, bool]] = {
    "cross-entropy": (["sum", ["logsumexp", "z"], ["*", "-1", ["sum", ["*", "t", "z"]]]], False),
    "focal-free bce": (["sum", ["sum", ["softplus", "z"], ["*", "-1", ["*", "t", "z"]]]], False),
    "pairwise hinge": (["power", ["max", "0", ["sum", "1", ["at", "z", 1], ["*", "-1", ["at", "z", 0]]]], "2"], True),
    "pseudo-huber": (["sum", ["norm", "1", ["sum", "z", ["*", "-1", "t"]]]], True),
    "huber": (["sum", ["huber", ["sum", "z", ["*", "-1", "t"]], "1/2"]], True),
    "power 3/2": (["sum", ["power", ["abs", ["sum", "z", "-1"]], "3/2"]], True),
    "cube of a hinge": (["sum", ["power", ["max", "0", "z"], "3"]], True),
    "log-cosh": (["sum", ["logsumexp", "z", ["*", "-1", "z"]]], False),
    "exponential": (["sum", ["exp", ["*", ["sum", "1", ["*", "-2", "t"]], "z"]]], True),
    "squared norm plus 1": (["power", ["sum", ["norm", "z"], "1"], "2"], True),
    "square of what is concave": (["power", ["*", "-1", ["exp", ["sum", "z"]]], "2"], True),
    "margin of the largest": (["sum", ["max", "z"], ["*", "-1/2", ["sum", "z"]], ["power", ["norm", "z"], "2"]], False),
    "scaled by a target": (["sum", ["/", ["*", "t", ["softplus", "z"]], ["sum", "1", ["log", "2"]]]], True),
}


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.sample(7)
def test_values_and_tangents_are_those_of_the_expression(name):
    """Against another evaluation; the tangent is below everywhere and touches."""
    expression, nonnegative = KNOWN[name]
    rng, t = np.random.default_rng(0), ["3/4", "1/4"]
    value = oracle.stated(expression)
    import torch

    def other(z: np.ndarray) -> float:
        return float(value(torch.tensor(z), torch.tensor([0.75, 0.25], dtype=torch.float64)))

    for z in (*(rng.normal(size=2) * s for s in (0.3, 3.0)), np.zeros(2)):
        with ctx.workprec(128):
            found = cell(expression, z.tolist(), t)
            assert found.low is nonnegative
            assert float(arb(found.value)) == pytest.approx(other(z), rel=1e-13, abs=1e-13)
            slopes = [found.slopes.get(i, arb(0)) for i in range(2)]
        assert float(arb(found.value).rad()) < 1e-25
        for y in z + rng.normal(size=(40, 2)) * rng.choice([0.01, 1.0, 5.0], size=(40, 1)):
            reached = arb(found.value) + sum((g * arb(float(d)) for g, d in zip(slopes, y - z, strict=True)), arb(0))
            assert float(reached.lower()) <= other(y) + 1e-9 * (1 + abs(other(y)))
            assert other(y) > -1e-12 or not nonnegative


def test_drifts_are_what_a_shift_adds():
    with ctx.workprec(128):
        for name, drift in (("cross-entropy", fmpq(0)), ("huber", None), ("margin of the largest", None)):
            assert cell(KNOWN[name][0], [0.5, -1.0], ["3/4", "1/4"], 1).drift == drift
        assert cell(["logsumexp", ["*", "2", "z"]], [0.5, -1.0], direction=1).drift == 2
        assert cell(["norm", ["sum", "z", ["*", "-1/2", ["sum", "z"]]]], [0.5, -1.0], direction=1).drift == 0


MISTAKES: dict[str, tuple[str, str, Any, dict[str, Any]]] = {
    "rows need not sum to 0": ("bounded", "weights", lambda *given: [arb(1)], {"claim__bias": "free"}),
    "directions are believed": (
        "quartic",
        "tangent",
        lambda claim, logits, direction, original=rules.tangent: (original(claim, logits, direction)[0], True),
        {
            "witness__dual__biases__0": ...,
            "witness__dual__direction": ["1", "1", "1"],
            "claim__statement__lower": "1/1000",
            "witness__bound": "larger",
        },
    ),
    "any share is allowed": (
        "softmax",
        "tangent",
        lambda claim, logits, direction, original=rules.tangent: (
            replace(original(claim, logits, direction)[0], low=True),
            True,
        ),
        {"witness__dual__logits__1": ..., "claim__statement__lower": "1/10"},
    ),
    "everything is nonnegative": (
        "bounded",
        "nonnegative",
        lambda claim: True,
        {"claim__statement__lower": "0", "witness__bound__0__0": "1000"},
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_checker_with_a_mistake_accepts_what_is_not_proved(certificates, monkeypatch, mistake):
    name, function, value, changes = MISTAKES[mistake]
    larger = str(Fraction(certificates[name]["witness"]["bound"]) * Fraction(101, 100)) if name == "quartic" else ""
    changes = {key: larger if new == "larger" else new for key, new in changes.items()}
    tampered = edited(certificates[name], **changes)
    assert not checker.check(tampered)
    monkeypatch.setattr(rules, function, value)
    assert checker.check(tampered)


class Huber(ufm.Loss):
    is_convex = True

    def __init__(self, width):
        self.width = width

    def values(self, logits, targets):
        r = np.clip(logits - targets, -self.width, self.width)
        return (r * (logits - targets - r / 2)).sum(axis=0)

    def gradients(self, logits, targets):
        return np.clip(logits - targets, -self.width, self.width)

    def formula(self, logits, target):
        return (logits - target).huber(self.width).sum()


REAL = ufm.Labels([[-2, -1, 1.25, 1], [0.25, -0.75, -0.125, -0.25]], [5, 24, 22, 7])
NONNEGATIVE = ufm.LayerPeeled(4, 4, features="nonnegative")


@pytest.mark.parametrize(
    ("architecture", "prior", "width"),
    [
        (ufm.LayerPeeled(2, 2), ufm.ClassPrior([6, 6, 1, 1]), 0.5),  # idle budgets: all of G is rounding
        (NONNEGATIVE, ufm.ClassPrior([22, 5]), 0.5),
        (ufm.LayerPeeled(0.05, 0.05), SOFT, 0.125),
        (ufm.NormBounded(0.5, 0.5), SOFT, 0.25),
        # 5 + 24 samples pull one way and 22 + 7 the other, in numbers that are no doubles: 0.02 n_j / N
        (ufm.UnconstrainedFeatures(0.01, 0.01), REAL, 0.02),
    ],
)
@pytest.mark.parametrize("bias", ["free", 0.5])
def test_slopes_that_jump_or_cancel(architecture, prior, width, bias):
    solution = ufm.solve(architecture, prior, Huber(width), bias=bias)
    certificate = ufm.certify(solution)
    assert certificate.check()
    assert certificate.upper - certificate.lower <= 1e-10 * solution.value + 1e-20


class Exponential(ufm.Loss):
    is_convex = True

    def values(self, logits, targets):
        return np.exp((1 - 2 * targets) * logits).sum(axis=0)

    def gradients(self, logits, targets):
        return (1 - 2 * targets) * np.exp((1 - 2 * targets) * logits)

    def formula(self, logits, target):
        return self.values(logits, target)


def test_a_bias_without_a_best_value_is_named_or_has_the_bound_zero():
    nothing = ufm.Labels([[1], [1]], [3])  # the risk falls to 0 as the bias grows
    found = ufm.certify(ufm.solve(ufm.LayerPeeled(0.1, 0.1), nothing, Exponential(), bias="free"))
    assert found.check()
    assert 0 == found.lower <= found.upper < 1e-50
    some = ufm.Labels([[1, 0], [1, 1]], [3, 2])
    with pytest.raises(ufm.certificates.CertificationError, match=r"bias of class 1 seems to have no best value"):
        ufm.certify(ufm.solve(ufm.LayerPeeled(0.1, 0.1), some, Exponential(), bias="free"))


# From the user's side -------------------------------------------------------------------------------------------------


def test_formulas_are_refused_by_name():
    class Other(Quartic):
        def formula(self, logits, target):
            return 2 * self.values(logits, target)

    class Bent(ufm.Loss):
        is_convex = True

        def values(self, logits, targets):
            return np.log(1 + np.exp(logits)).sum(axis=0)

        def gradients(self, logits, targets):
            return 1 / (1 + np.exp(-logits))

        def formula(self, logits, target):
            return np.log(1 + np.exp(logits)).sum()

    prior = ufm.ClassPrior([2, 1])
    with pytest.raises(ValueError, match=r"its formula is .* where values gives"):
        ufm.certify(ufm.solve(PEELED, prior, Other()))
    with pytest.raises(ValueError, match="can show to be convex: expression: log of what is no positive number"):
        ufm.certify(ufm.solve(PEELED, prior, Bent()))
    with pytest.raises(ValueError, match="state its formula"):
        ufm.certify(ufm.solve(PEELED, prior, ufm.torch_loss(lambda z, t: ((z - t) ** 4).sum())))
    with pytest.raises(TypeError, match="no truth value"):
        max(ufm.losses.Formula.logits(2), 0)


def test_a_subclass_with_other_values_does_not_inherit_the_formula():
    class Double(Quartic):
        def values(self, logits, targets):
            return 2 * super().values(logits, targets)

        def gradients(self, logits, targets):
            return 2 * super().gradients(logits, targets)

    with pytest.raises(ValueError, match="state its formula"):
        ufm.certify(ufm.solve(PEELED, ufm.ClassPrior([2, 1]), Double()))
