"""Certificates for the contrastive loss of unit vectors: both sides of collapse, conditions, tamperings, mistakes."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from effort import count
from flint import arb, ctx, fmpq
from json_schemas import accepted
from scipy.optimize import minimize
from tampering import Json, check_rejected, edited, judged_by, tampered_by_kind

from proofs_check import checker, coq
from proofs_check.kinds import gram
from ufm.certificates import CertificationError, certify_contrastive
from ufm.claims.contrastive import contrastive_ratio

ROUNDS = count(3, 64)  # of each of 16 kinds of tampering: 1,024 in full

#: K_A, K_B, beta and R on both sides of the threshold.
SETTINGS = ((2, 2, 1, 135, 150), (2, 3, 2, 190, 210))


@pytest.fixture(scope="module")
def certificates() -> dict[str, Json]:
    made = {}
    for m, n, beta, low, high in SETTINGS:
        for side, ratio in (("apart", low), ("one", high)):
            for statement in ("value", "collapse"):
                found = certify_contrastive(m, n, ratio, beta, statement=statement)
                made[f"{statement}-{side}-{n}"] = json.loads(found.to_json())
    return made


def _slopes(pi: np.ndarray, beta: float, g: np.ndarray) -> tuple[float, np.ndarray]:
    parts = pi * np.exp(beta * (g - 1))
    whole = parts.sum(axis=1)
    slope = beta * pi[:, None] * parts / whole[:, None]
    return float(pi @ np.log(whole)), (slope + slope.T) / 2


@cache
def _minimum(pi: tuple[float, ...], beta: float) -> tuple[float, np.ndarray]:
    """Least loss of unit vectors and their Gram matrix, by descent from drawn vectors."""
    k, weights = len(pi), np.array(pi)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        v = flat.reshape(k, k)
        norms = np.linalg.norm(v, axis=1, keepdims=True)
        u = v / norms
        value, s = _slopes(weights, beta, u @ u.T)
        pull = 2 * s @ u
        return value, ((pull - (pull * u).sum(axis=1, keepdims=True) * u) / norms).ravel()

    start = np.random.default_rng(0).normal(size=k * k)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-16, "gtol": 1e-11, "maxiter": 5000})
    v = found.x.reshape(k, k)
    u = v / np.linalg.norm(v, axis=1, keepdims=True)
    return float(found.fun), u @ u.T


def holds(claim: Json) -> bool:
    """The claim by descent; collapse by distances of vectors, that are small or not."""
    counts = [Fraction(group["count"]) for group in claim["prior"] for _ in range(group["classes"])]
    value, g = _minimum(tuple(float(n / sum(counts)) for n in counts), float(Fraction(claim["loss"]["beta"])))
    said = claim["statement"]
    if "collapsed" in said:
        i, j, *_ = said["classes"]
        return bool(g[i, j] > 1 - 2e-3) is said["collapsed"]
    return float(Fraction(said["lower"])) - 1e-9 <= value <= float(Fraction(said["upper"])) + 1e-9


def test_they_are_accepted_on_both_sides_tight_and_true(certificates):
    for name, certificate in certificates.items():
        outcome = accepted(certificate, name)
        assert outcome.lemmas == ("gram",)
        assert holds(certificate["claim"]), name
        assert coq.check_with_coq(certificate).accepted is None
        said = certificate["claim"]["statement"]
        if "collapsed" in said:
            m = certificate["claim"]["prior"][0]["classes"]
            beta, ratio = float(certificate["claim"]["loss"]["beta"]), float(certificate["claim"]["prior"][0]["count"])
            assert (
                said["collapsed"] is (contrastive_ratio(m, len(said["classes"]), beta, ratio) >= 1) is ("one" in name)
            )
            assert ("coincide" if "one" in name else "differ") in outcome.statement
        else:
            assert 0 <= Fraction(said["upper"]) - Fraction(said["lower"]) < Fraction(1, 10**18)


def test_next_to_a_threshold_both_sides_are_certified():
    """One majority class: R* = 2 K_B e^{2 beta} and less; the criterion's root to nine digits."""
    q = float(np.exp(-2))
    middle = (1 - q) * (2 + q)
    star = 3 * (middle + np.sqrt(middle**2 + 8 * q * q * (1 + q))) / (2 * q * (1 + q))
    for near, collapsed in ((1e-9, True), (-1e-9, False)):
        found = certify_contrastive(1, 3, star * (1 + near), 1, statement="collapse")
        assert found.claim["statement"]["collapsed"] is collapsed


CONDITIONS: list[tuple[str, dict[str, Any], str]] = [
    ("value-one-2", {"claim__statement__upper": "-3/5"}, "upper bound not proved"),
    ("value-one-2", {"claim__statement__lower": "-1/5", "claim__statement__upper": "0"}, "lower bound not proved"),
    ("value-one-2", {"claim__loss__beta": "101/100"}, "not proved"),
    ("value-one-2", {"claim__loss__beta": "0"}, "beta must be > 0"),
    ("value-one-2", {"claim__loss__beta": "-1"}, "beta must be > 0"),
    ("value-one-2", {"claim__loss__name": "ce"}, "must be 'contrastive'"),
    ("value-one-2", {"claim__loss": "ce"}, "exactly the keys"),
    ("value-one-2", {"claim__kind": "value"}, "loss must be 'ce' or 'mse'"),
    ("value-one-2", {"claim__architecture__name": "layer_peeled"}, "unit_vectors"),
    ("value-one-2", {"claim__architecture__norm": "2"}, "unit_vectors"),
    ("value-one-2", {"claim__prior__0__count": "151"}, "not proved"),
    ("value-one-2", {"claim__prior__0__count": "0"}, "count must be > 0"),
    ("value-one-2", {"claim__prior__0__classes": 3}, "vectors must be a list"),
    ("value-one-2", {"claim__prior__0__classes": 1000000}, "limited to 16 classes"),
    ("value-one-2", {"witness__vectors__0": ["0"] * 5}, "must not be 0"),
    ("value-one-2", {"witness__vectors__0__0": "2"}, "not proved"),
    ("value-one-2", {"witness__shift__0": "-1"}, "positive definite"),
    ("value-one-2", {"witness__shift__0": "1"}, "lower bound not proved"),
    ("value-one-2", {"witness__shift": ["1"]}, "shift must be a list"),
    ("collapse-one-2", {"claim__statement__collapsed": False}, "no proof that the vectors of these classes differ"),
    ("collapse-apart-2", {"claim__statement__collapsed": True}, "no proof that the vectors of these classes coincide"),
    ("collapse-one-2", {"claim__statement__collapsed": 1}, "true or false"),
    ("collapse-one-2", {"claim__statement__classes": [1, 2]}, "equal counts"),
    ("collapse-one-2", {"claim__statement__classes": [0, 1]}, "no proof that the vectors of these classes coincide"),
    ("collapse-one-2", {"claim__statement__classes": [2]}, "list of 2 to 4"),
    ("collapse-one-2", {"claim__statement__classes": [2, 2]}, "listed twice"),
    ("collapse-one-2", {"claim__statement__classes": [2, 4]}, "between 0 and 3"),
    ("collapse-one-2", {"claim__prior__0__count": "130"}, "positive definite or no proof"),
    ("collapse-one-2", {"witness__shift__2": "1"}, "no proof"),
    ("collapse-apart-3", {"claim__loss__beta": "1"}, "positive definite or no proof"),
]


@pytest.mark.parametrize(("name", "changes", "reason"), CONDITIONS)
def test_every_condition_stops_a_certificate(certificates, name, changes, reason):
    check_rejected(certificates[name], changes, reason)


def test_no_tampered_certificate_passes_unless_its_claim_is_still_true(certificates):
    still_true = judged_by(lambda claim, _: holds(claim))
    found = tampered_by_kind(random.Random(3), list(certificates.values()), ROUNDS, still_true)
    tried, passed = found["contrastive"]
    assert tried >= count(36, 1000)
    assert passed > 0  # other spellings of what is true: a wider interval


def test_a_checker_with_a_mistake_lets_a_false_certificate_pass(certificates, monkeypatch):
    value = certificates["value-one-2"]
    low = Fraction(value["claim"]["statement"]["upper"]) + Fraction(1, 1000)
    less = [str(Fraction(y) - Fraction(1, 1000)) for y in value["witness"]["shift"]]
    high = edited(value, witness__shift=less, claim__statement={"lower": str(low), "upper": "0"})
    assert not holds(high["claim"])
    assert "positive definite" in checker.check(high).reason
    apart = certificates["collapse-apart-2"]
    more = [str(Fraction(y) + 1) for y in apart["witness"]["shift"]]
    false = edited(apart, witness__shift=more, claim__prior__0__count="150")
    assert not holds(false["claim"])
    assert "no proof" in checker.check(false).reason
    with monkeypatch.context() as changed:
        changed.setattr(gram, "positive_definite", lambda _: True)
        assert checker.check(high)
    with monkeypatch.context() as changed:
        changed.setattr(gram, "optimum", lambda pi, beta, g, gap: g)
        assert checker.check(false)


def test_the_tangent_is_below_the_loss_by_the_bend_that_the_checker_counts_on():
    rng = np.random.default_rng(1)
    for k, beta in ((3, 0.5), (4, 2.0), (5, 6.0)):
        pi = rng.dirichlet(np.ones(k))
        grams = [u @ u.T for u in (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, k, k)))]
        for share in (1.0, 1e-2):
            first, second = grams[0], (1 - share) * grams[0] + share * grams[1]
            with ctx.workprec(128):
                exact = [fmpq(*float(p).as_integer_ratio()) for p in pi]
                value, s = gram.tangent(exact, arb(beta), [[arb(x) for x in row] for row in first.tolist()])
                radius = gram.optimum(exact, arb(beta), [[arb(0)] * k] * k, arb(1))
            bend = np.array(
                [[0.0 if i == j else 2 / float(radius[i][j].upper()) ** 2 for j in range(k)] for i in range(k)]
            )
            slopes = np.array([[float(x.mid()) for x in row] for row in s])
            expected, ours = _slopes(pi, beta, first)
            assert float(value.mid()) == pytest.approx(expected, abs=1e-12)
            assert slopes == pytest.approx(ours, abs=1e-12)
            apart = second - first
            rest = _slopes(pi, beta, second)[0] - expected - (slopes * apart).sum()
            assert rest >= (np.triu(bend, 1) * apart**2).sum() / 2 * (1 - 1e-6) - 1e-15


def test_what_cannot_be_certified_is_said():
    for bad, name in (((0, 2, 2, 1), "num_majority"), ((1, 1, 2, 1), "num_minority"), ((2, 2, 0.5, 1), "ratio")):
        with pytest.raises(ValueError, match=name):
            certify_contrastive(*bad)
    with pytest.raises(ValueError, match="beta"):
        certify_contrastive(2, 2, 3, 0)
    with pytest.raises(ValueError, match="statement"):
        certify_contrastive(2, 2, 3, 1, statement="phase")
    with pytest.raises(TypeError, match="ratio"):
        certify_contrastive(2, 2, None, 1)
    for ratio, beta in ((3, 10**4), (10**320, 1)):
        with pytest.raises(CertificationError):
            certify_contrastive(2, 2, ratio, beta, statement="collapse")
