"""Random facts: none that is false comes out True, and most that are true do."""

from __future__ import annotations

import collections
import random

import mpmath
import pytest
import sympy as sp
from effort import count
from random_facts import MAKERS, Fact, facts, inside, tally, unattacked, value, violated

from proofs_check.theorems import _kernel as kernel
from proofs_check.theorems._exact import limits, polynomials
from proofs_check.theorems._exact.language import Language
from proofs_check.theorems._kernel import above, between, within

#: Shares of the true facts that have to be proved; a kernel that refuses everything is of no use.
LEAST = {
    "identity": 0.75,
    "holds": 0.7,
    "holds where": 0.7,
    "monotone": 0.8,
    "vanishing_start": 0.9,
    "limit": 0.9,
    "compare": 1.0,
}


@pytest.fixture(scope="module")
def false_facts():
    """``python tests/helpers/random_facts.py`` tries 10,000."""
    return list(facts(False, count(210, 1500), seed=0))


def test_no_random_false_fact_is_judged_true(false_facts):
    with unattacked():  # what is True with the attack is True without
        assert [fact for _, fact in false_facts if fact.judge() is True] == []
    assert min(collections.Counter(name for name, _ in false_facts).values()) >= count(30, 200)


def test_most_random_true_facts_are_proved():
    table, wrong = tally(True, count(140, 280), seed=0)
    assert wrong == []
    shares = {name: found[True] / found.total() for name, found in table.items()}
    assert {name: share for name, share in shares.items() if share < LEAST[name]} == {}


def test_false_facts_are_of_many_kinds(false_facts):
    kinds = collections.Counter((name, fact.kind.split(":")[0]) for name, fact in false_facts)
    assert len(kinds) >= 30
    assert {"float", "complex", "pole", "hypothesis", "name"} <= {kind for name, kind in kinds if name == "identity"}
    assert {"parameter", "modulus"} <= {kind for name, kind in kinds if name == "limit"}


def test_a_kernel_that_believes_everything_is_caught(monkeypatch):
    monkeypatch.setattr(Fact, "judge", lambda self: True)
    table, wrong = tally(False, 50, seed=0)
    assert len(wrong) == 50
    assert all(found[True] == found.total() for found in table.values())


def _unchecked_names(language, where, domain):
    """Names whose ranges are taken on trust."""
    renamed = {key: sp.Dummy(name.name, real=True) for key, name in where.items()}
    return Language({**language.domain, **{renamed[k]: domain[n] for k, n in where.items()}}), renamed


def _first_candidate(self, candidates):
    return self.read(next(iter(candidates)))


def _trusted_coefficient(e, language):
    return (language.sign(e) or (1, True))[0]


#: Faults that the kernel, or one before it, could have: what is replaced, by what, and facts that must show it.
FAULTS = {
    "denominators are taken to be nonzero": (Language, "_need_nonzero", lambda self, e: None, "pole"),
    "strict signs forget the zeros": (polynomials, "_nowhere_zero", lambda *args: True, "end"),
    "ranges of names are taken on trust": (kernel, "_named", _unchecked_names, "a range that is left"),
    "maxima are the first argument": (Language, "_largest", _first_candidate, "hypothesis"),
    "coefficients of either sign are positive": (limits, "_settled", _trusted_coefficient, "parameter"),
    "starts need not be zero": (kernel, "_starts_at_zero", lambda s, *args: kernel.Step(s, "m", True), "value"),
    "functions need not be smooth at the point": (limits, "_need_analytic", lambda *args: None, "modulus"),
    "derivatives alone decide": (kernel, "_not_monotone", lambda *args: None, "slope"),
}


#: Faults behind which another check stands.
CHECKED_TWICE = [
    "maxima are the first argument",
    "functions need not be smooth at the point",
    "derivatives alone decide",
]


def _corner() -> Fact:
    """A sum that is zero at one corner of a box, which is no point at which the kernel attacks."""
    symbols = sp.symbols("a:4", real=True)
    domain = dict.fromkeys(symbols, within(0, 1))
    return Fact("holds", (sum(symbols), ">", sp.Integer(0), domain), False, "end", "the corner")


def _narrow() -> Fact:
    """A named expression that leaves its range between the points at which the kernel attacks."""
    x, name = sp.Symbol("x", real=True), sp.Symbol("Q", positive=True)
    key = sp.exp((x - sp.Rational(1, 7)) ** 2) - 1
    domain = {x: within(0, 1), name: above(sp.Rational(1, 10**6))}
    return Fact("holds", (key, ">", sp.Rational(1, 10**6), domain, {key: name}), False, "a range that is left", "1/7")


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in CHECKED_TWICE])
def test_a_fault_in_the_kernel_is_caught(monkeypatch, false_facts, fault):
    owner, attribute, replacement, kind = FAULTS[fault]
    false_facts = [*false_facts, ("holds", _corner()), ("holds where", _narrow())]
    kernel._judge.cache_clear()
    monkeypatch.setattr(owner, attribute, replacement)
    try:
        assert any(fact.judge() is True for _, fact in false_facts if fact.kind.startswith(kind))
    finally:
        kernel._judge.cache_clear()


def test_facts_made_by_hand_for_these_faults_are_not_judged_true():
    assert (_corner().judge(), _narrow().judge()) == (None, None)


@pytest.mark.parametrize("fault", CHECKED_TWICE)
def test_what_is_checked_twice_stands_without_one_check(monkeypatch, false_facts, fault):
    owner, attribute, replacement, kind = FAULTS[fault]
    monkeypatch.setattr(owner, attribute, replacement)
    assert not any(fact.judge() is True for _, fact in false_facts if fact.kind.startswith(kind))


@pytest.mark.parametrize("seed", range(3))
def test_facts_are_drawn_anew_from_the_same_seed(seed):
    first, second = ([(n, f.kind, f.witness) for n, f in facts(False, 40, seed)] for _ in range(2))
    assert first == second


def test_witnesses_are_points_of_the_domain():
    rng = random.Random(0)
    for r in (above(2), between(-1, 3), within(0, 1)):
        for _ in range(200):
            x = inside(rng, r)
            assert r.low <= x
            assert r.high is None or x <= r.high
            assert r.closed or x not in (r.low, r.high)


def test_the_oracle_sees_violations_and_only_those():
    x = sp.Symbol("x", real=True)
    at = {x: sp.Rational(1, 3)}
    assert not violated(sp.exp(x), "==", sp.exp(x / 2) ** 2, at)
    assert violated(x, "==", x + sp.Rational(1, 10**20), at)
    assert violated(1 / (x - at[x]), "==", 1 / (x - at[x]), at)
    assert violated(sp.log(x - 1), ">", -9, at)
    assert violated(x - at[x], ">", 0, at)
    assert not violated(x - at[x], ">=", 0, at)
    assert mpmath.almosteq(
        value(sp.sqrt(x) * sp.pi + sp.Abs(-x), at), mpmath.sqrt(mpmath.mpf(1) / 3) * mpmath.pi + mpmath.mpf(1) / 3
    )
    assert set(MAKERS) == set(LEAST)
