"""Certificates for residual depth: their conditions, tamperings, and checkers with a mistake."""

from __future__ import annotations

import json
import math
import random
from fractions import Fraction
from typing import Any

import certificate_oracle as oracle
import numpy as np
import pytest
from effort import count
from flint import arb
from json_schemas import accepted
from tampering import Json, accepted_tamperings, check_rejected, edited, judged_by

from proofs_check import checker, coq
from proofs_check.kinds import residual
from ufm.architectures import Residual
from ufm.certificates import CertificationError, certify_residual_code, certify_residual_etf
from ufm.landscape.residual_codes import cheapest_sum, residual_switch

ROUNDS = count(8, 64)  # of each of 16 kinds of tampering: 1,024 in full


def network(strength: float, decay: float = 3 / 16, depth: float = 8) -> Residual:
    return Residual(decay, decay, strength * (8 if depth == 8 else 1), depth)


@pytest.fixture(scope="module")
def certificates() -> dict[str, Json]:
    cheap = network(3 / 8)
    made = {
        "etf": certify_residual_etf(network(3.0), 4),
        "flow": certify_residual_etf(network(3.0, 1 / 4, math.inf), 3),
        "boxes": certify_residual_etf(network(1.25), 4),
        "code": certify_residual_code(cheap, cheapest_sum(cheap, 4, etf=False).logits),
    }
    return {name: json.loads(certificate.to_json()) for name, certificate in made.items()}


def test_they_are_accepted_with_the_claim_in_words_and_fit_the_schema(certificates):
    for name, certificate in certificates.items():
        outcome = accepted(certificate, name)
        assert "residual" in outcome.lemmas
        assert ("beats every simplex ETF" if name == "code" else "globally optimal") in outcome.statement
        assert oracle.residual_holds(certificate["claim"], certificate["witness"]), name
        # Coq proves the code's inequality between scalars (test_coq.py); the others' boxes stay with the balls
        if name != "code":
            assert coq.check_with_coq(certificate).accepted is None


CONDITIONS: list[tuple[str, dict[str, Any], str]] = [
    ("etf", {"claim__loss": "mse"}, "balanced classes under cross-entropy"),
    ("etf", {"claim__prior": [{"classes": 2, "count": "1"}] * 2}, "balanced classes"),
    ("etf", {"claim__prior__0__classes": 2}, "3 to 64 classes"),
    ("etf", {"claim__architecture__depth": 0}, "depth must be an integer"),
    ("etf", {"claim__architecture__depth": "oo"}, "depth must be an integer"),
    ("etf", {"claim__architecture__lambda_A": "0"}, "must be > 0"),
    ("etf", {"claim__architecture__lambda_W": "1/5"}, "critical"),
    ("etf", {"claim__prior__0__count": "2"}, "critical"),
    ("etf", {"claim__statement__upper": "9/10"}, "not in the claimed interval"),
    ("etf", {"claim__statement__lower": "13/10"}, "not in the claimed interval"),
    ("etf", {"witness__block": ["1/10", "1/5"]}, "critical"),
    ("etf", {"witness__home": "100"}, "no proof of the bound of a column"),
    ("etf", {"witness__near__0": "2"}, "near must hold"),
    ("etf", {"witness__near__2": "0"}, "near must hold"),
    ("etf", {"witness__near__2": "5"}, "not proved to be convex"),
    ("etf", {"witness__end": "0"}, "must be > 0"),
    ("etf", {"witness__end": "9"}, "larger singular values"),
    ("etf", {"witness__boxes": []}, "larger singular values"),
    ("etf", {"witness__boxes": {}}, "boxes must be a list"),
    ("boxes", {"witness__boxes__5": ...}, "no proof of the bound or price is not least"),
    ("boxes", {"witness__boxes__5__0": "1"}, "follow one another"),
    ("boxes", {"witness__boxes__5__0": "30"}, "no proof of the bound or t is too large"),
    ("boxes", {"witness__boxes__5__1": "-1/10"}, "a >= 0, b >= 0"),
    ("boxes", {"witness__boxes__5__1": "9"}, "price is not least"),
    ("boxes", {"witness__boxes__5__2": "9"}, "price is not least or no proof"),
    ("boxes", {"witness__boxes__5__3": "2"}, "0 <= t <= 1"),
    ("boxes", {"witness__boxes__5__3": "1", "witness__boxes__5__1": "0"}, "t is too large or no proof"),
    ("boxes", {"claim__architecture__lambda_A": "7/2"}, "critical"),
    ("flow", {"claim__architecture__depth": 8}, "critical"),
    ("code", {"claim__statement__margin": "1"}, "not proved to beat"),
    ("code", {"claim__statement__margin": "0"}, "must be > 0"),
    ("code", {"claim__loss": "mse"}, "under cross-entropy"),
    ("code", {"claim__architecture__lambda_A": "100"}, "not proved to beat"),
    ("code", {"claim__architecture__name": "deep_linear"}, "keys"),
    ("code", {"witness__blocks__0": "-1"}, "blocks must be > -1"),
    ("code", {"witness__blocks__0": "0"}, "not proved to beat"),
    ("code", {"witness__W__0__0": f"{2**129 + 1}/{2**130}"}, "at most 128 bits"),
    ("code", {"witness__W__0__0": "9"}, "not proved to beat"),
]


@pytest.mark.parametrize(("name", "changes", "reason"), CONDITIONS)
def test_every_condition_stops_a_certificate(certificates, name, changes, reason):
    check_rejected(certificates[name], changes, reason)


def test_no_tampered_certificate_passes_unless_its_claim_is_still_true(certificates):
    pool = [certificates[name] for name in ("etf", "flow", "code")]
    assert accepted_tamperings(random.Random(5), pool, ROUNDS, judged_by(oracle.residual_holds)) > 10


def test_a_checker_with_a_mistake_lets_a_false_certificate_pass(certificates, monkeypatch):
    gap = edited(certificates["boxes"], witness__boxes__5=...)
    assert not checker.check(gap)
    monkeypatch.setattr(residual, "check_box", lambda *_: 0)
    assert checker.check(gap)
    last = certificates["boxes"]["witness"]["boxes"][-1][0]
    false = edited(certificates["boxes"], witness__home=last, witness__boxes=[])
    assert not checker.check(false)
    monkeypatch.setattr(residual, "rectangles", lambda *_: 0)
    assert checker.check(false)


def test_parabolas_are_below_the_price_and_touch_it(certificates):
    rng = random.Random(2)
    for name in ("etf", "flow"):
        with checker.precision(256):
            model = residual.Model(checker.read_claim(certificates[name]))
            for _ in range(40):
                a, b = (arb(rng.expovariate(1.0)) for _ in range(2))
                (slope, bend), size = model.parabola(a), model.size(b)
                assert slope * size - bend * size * size / 2 <= model.price(b)
                size = model.size(a)
                assert abs(slope * size - bend * size * size / 2 - model.price(a)) < 1e-40


def test_the_bound_is_below_the_objective_of_drawn_logits(certificates):
    """F of the ETF's box, over the columns of drawn logits: at most their objective."""
    net, k = network(3.0), 4
    rng = np.random.default_rng(0)
    with checker.precision(128):
        model = residual.Model(checker.read_claim(certificates["etf"]))
        slope, bend = (
            float(x) for x in model.parabola(arb(float(Fraction(certificates["etf"]["witness"]["block"][0]))))
        )
    for _ in range(50):
        z = rng.standard_normal((k, k)) * rng.uniform(0.1, 2) + rng.uniform(0, 4) * np.eye(k)
        z -= z.mean(axis=0)
        s = k / (k - 1) * np.diag(z)
        d = np.sqrt(np.maximum((z**2).sum(axis=0) - (k - 1) / k * s**2, 0) / ((k - 1) * (k - 2)))
        loss = np.log1p(np.exp(-(k - 2) * d - s) + (k - 2) * np.exp(d - s))
        bound = (loss + (k - 1) * slope * s - k * bend / 2 * (z**2).sum(axis=0)).mean()
        risk = (np.log(np.exp(z).sum(axis=0)) - np.diag(z)).mean()
        assert bound <= risk + net.gauge(np.linalg.svd(z, compute_uv=False)) + 1e-12


def test_what_cannot_be_certified_is_said():
    with pytest.raises(CertificationError, match="lambda_A/L is too small"):
        certify_residual_etf(network(3 / 8), 4)
    with pytest.raises(CertificationError, match="size 0"):
        certify_residual_etf(network(3.0, decay=0.3), 4)
    with pytest.raises(CertificationError, match="do not beat the simplex ETF"):
        certify_residual_code(network(3.0), cheapest_sum(network(3.0), 4, etf=False).logits)
    with pytest.raises(TypeError, match="network"):
        certify_residual_etf(None, 4)
    with pytest.raises(ValueError, match="num_classes"):
        certify_residual_etf(network(3.0), 2)
    with pytest.raises(ValueError, match="logits"):
        certify_residual_code(network(3.0), np.zeros((3, 4)))


def test_a_code_is_certified_next_to_the_switch():
    """At 0.9999 of the strength at which codes take over."""
    for k, depth in ((4, 2), (5, math.inf)):
        found = residual_switch(k, 0.5 / k, depth)
        near = Residual(0.5 / k, 0.5 / k, 0.9999 * found.strength * (1 if depth == math.inf else depth), depth)
        assert certify_residual_code(near, cheapest_sum(near, k, etf=False).logits).check()
