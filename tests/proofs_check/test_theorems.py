"""Theorems prove, their false variants do not, and the kernel that judges the steps says True only for truths."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import flint
import mpmath
import numpy as np
import pytest
import sympy as sp
from effort import examples
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import ufm
from proofs_check import theorems
from proofs_check.coq_steps import record
from proofs_check.theorems import _kernel as kernel
from proofs_check.theorems._kernel import (
    GroupMatrix,
    Proof,
    Range,
    Step,
    above,
    argue,
    at_least,
    ball,
    between,
    compare,
    equal_entries,
    exp_bounds,
    expectation,
    holds,
    identity,
    limit,
    monotone,
    vanishing_start,
    within,
)
from proofs_check.theorems.square_code_beats_etf import sqrt_bounds
from proofs_check.theorems.threshold_not_log_convex import curve_point

x, y, k = sp.symbols("x y k", positive=True)
z = sp.Symbol("z", real=True)
IDS = theorems.all_theorems()
VARIANTS = [(id, name) for id in IDS for name in theorems.mutants(id)]
FOLDER = Path(kernel.__file__).parent


# theorems -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", IDS)
def test_theorem_is_proved(id):
    proof = theorems.prove(id)
    open_steps = [step for step in proof.steps if step.result is not True]
    assert open_steps == []
    assert proof.status == "proved"
    assert proof.id == id
    assert proof.hypotheses
    assert proof.source
    assert len({step.statement for step in proof.steps}) == len(proof.steps)


def test_every_step_is_a_statement_of_coqs_and_most_are_recorded_as_accepted():
    steps = [step for id in IDS for step in theorems.prove(id).steps]
    assert [step.statement for step in steps if not record.fingerprint(step)] == []
    accepted, all_of_them = record.accepted_steps(steps)
    assert accepted >= 0.95 * all_of_them


@pytest.mark.parametrize(("id", "name"), VARIANTS)
@pytest.mark.sample(100)
def test_false_variant_is_refuted_at_an_exact_point(id, name):
    proof = theorems.prove(id, **theorems.mutants(id)[name])
    assert proof.status == "refuted"
    failed = [step for step in proof.steps if step.result is False]
    assert all(step.detail for step in failed)


def test_there_are_enough_false_variants():
    assert len(VARIANTS) >= 60
    assert all(theorems.mutants(id) for id in IDS)


def test_every_override_is_varied():
    """Each keyword of each ``prove`` is exercised by some false variant, so no piece of a statement is decoration."""
    for id in IDS:
        keywords = set(theorems._module(id).prove.__kwdefaults__)
        varied = {key for kwargs in theorems.mutants(id).values() for key in kwargs}
        assert varied == keywords, id


def test_theorems_use_only_earlier_ones_and_listed_lemmas():
    seen, lemmas = set(), set()
    for id in IDS:
        proof = theorems.prove(id)
        assert set(proof.uses) <= seen, id
        assert set(proof.lemmas) <= set(kernel.LEMMAS)
        lemmas |= set(proof.lemmas)
        seen.add(id)
    assert lemmas == set(kernel.LEMMAS)


def test_one_documented_file_a_theorem():
    files = {p.stem for p in FOLDER.glob("*.py")} - {"__init__", "_kernel", "facts"}
    assert files == {theorems._module(id).__name__.rsplit(".", 1)[-1] for id in IDS}
    for id in IDS:
        for part in ("Setting.", "Statement.", "Source.", "Idea."):
            assert part in theorems._module(id).__doc__, id


def test_nothing_here_imports_ufm():
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "ufm" for name in names), path


def test_theorems_load_lazily():
    code = "import sys, proofs_check.theorems as t; t.all_theorems(); print('sympy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_unknown_theorem_and_unknown_piece():
    with pytest.raises(ValueError, match="id must be one of etf-gram"):
        theorems.prove("etf")
    with pytest.raises(ValueError, match="got 'nothing'"):
        theorems.mutants("nothing")
    with pytest.raises(TypeError, match="colour"):
        theorems.prove("etf-gram", colour=1)


# what a proof is ----------------------------------------------------------------------------------------------------


def _proof(*results: bool | None) -> Proof:
    return Proof("id", "statement", "source", (), tuple(Step(str(i), "m", r) for i, r in enumerate(results)))


def test_only_true_steps_make_a_proof():
    assert _proof(True, True).status == "proved"
    assert _proof(True, None).status == "inconclusive"
    assert _proof(True, None, False).status == "refuted"
    assert _proof().status == "inconclusive"


def _toy(id: str, *, uses: tuple[str, ...] = (), result: bool | None = True, lemma: str = "Jensen"):
    proof = Proof(id, "s", "s", ("h",), (Step("a step", "m", result, "detail"),), (argue(lemma, "because"),), uses)
    return SimpleNamespace(prove=lambda **overrides: proof, MUTANTS={})


@pytest.fixture
def library(monkeypatch):
    """Three theorems, the last on the second on the first."""
    modules = {"base": _toy("base"), "middle": _toy("middle", uses=("base",), lemma="Horn")}
    modules["top"] = _toy("top", uses=("middle",), lemma="Berge")
    monkeypatch.setattr(theorems, "_MODULES", dict.fromkeys(modules, ""))
    monkeypatch.setattr(theorems, "_module", modules.__getitem__)
    return modules


def test_a_theorem_assumes_what_the_theorems_it_uses_assume(library):
    found = theorems.outcome("top")
    assert (found.status, found.uses, found.lemmas) == ("proved", ("base", "middle"), ("Berge", "Jensen", "Horn"))
    assert theorems.dependencies("top") == ("base", "middle")
    assert theorems.outcome("base").lemmas == ("Jensen",)


@pytest.mark.parametrize(("result", "status"), [(False, "refuted"), (None, "inconclusive")])
def test_a_theorem_on_one_that_is_not_proved_is_not_proved(library, result, status):
    library["base"] = _toy("base", result=result)
    found = theorems.outcome("top")
    assert theorems.prove("top").status == "proved"
    assert found.status == "inconclusive"
    assert found.failing == (f"theorem used is {status}: base",)
    assert theorems.outcome("base").status == status


def test_a_refuted_theorem_stays_refuted_whatever_it_uses(library):
    library["top"] = _toy("top", uses=("middle",), result=False)
    assert theorems.outcome("top").status == "refuted"


def test_a_circle_of_theorems_is_an_error(library):
    library["base"] = _toy("base", uses=("top",))
    for id in ("base", "top"):
        with pytest.raises(ValueError, match="must not use themselves"):
            theorems.outcome(id)


def test_all_theorems_stand_with_what_they_use():
    for id in IDS:
        found, own = theorems.outcome(id), theorems.prove(id)
        assert found.status == "proved"
        assert set(own.lemmas).union(*(theorems.prove(x).lemmas for x in found.uses)) == set(found.lemmas)
        assert set(own.uses) <= set(found.uses)
        assert found.num_exact + found.num_trivial == len(own.steps)


def test_steps_that_say_nothing_are_not_counted():
    def proof(*steps: Step) -> Proof:
        return Proof("id", "s", "s", (), steps)

    same = identity("", x + y, y + x)
    assert (same.result, same.trivial) == (True, True)
    assert identity("", x * (1 + y), x + x * y).trivial is False
    assert holds("", x, "<=", x).trivial is True
    assert holds("", x, ">", 0).trivial is False
    one = identity("", x * (1 + y), x + x * y)
    assert (proof(same, one, same).num_exact, proof(same, one, same).num_trivial) == (1, 2)
    assert proof(same).status == "inconclusive"
    assert proof(same, one).status == "proved"


def test_a_claim_on_a_theorem_that_fell_is_not_proved(monkeypatch):
    from ufm.claims import _tools

    assert _tools.symbolic("penalised-threshold").status == "proved"
    module = theorems._module("etf-gram")
    monkeypatch.setattr(module, "prove", functools.partial(module.prove, **theorems.mutants("etf-gram")["rank K"]))
    fallen = _tools.symbolic("balanced-layer-peeled-etf")
    assert fallen.status == "inconclusive"
    assert "etf-gram" in fallen.failing[-1]
    assert _tools.evidence("summary", proofs=[fallen]).status == "inconclusive"
    assert _tools.symbolic("etf-gram").status == "refuted"
    assert _tools.symbolic("loss-decreases").status == "proved"


def test_arguments_name_a_listed_lemma():
    with pytest.raises(KeyError, match="lemma must be one of"):
        argue("Fermat", "obvious")


# the kernel: True only for truths -----------------------------------------------------------------------------------


def test_identity_true_false_and_undecided():
    assert identity("", (x + y) ** 2, x**2 + 2 * x * y + y**2).result is True
    assert identity("", sp.log(x * y), sp.log(x) + sp.log(y)).result is True
    assert identity("", sp.sqrt((1 - x) ** 2), 1 - x, {x: between(0, 1)}).result is True
    assert identity("", sp.exp(x), 1 + x).result is False
    assert "at x" in identity("", sp.exp(x), 1 + x).detail
    # True at every point tried, yet not decided: a function the kernel knows nothing about.
    assert identity("", sp.Function("f")(x), 0).result is None


def test_identity_refuses_a_wrong_simplification(monkeypatch):
    monkeypatch.setattr(kernel, "_vanishes", lambda *args: True)
    assert identity("", sp.exp(x + k), sp.exp(x) * k).result is False


@pytest.mark.parametrize(
    ("expr", "relation", "domain", "result"),
    [
        (x**2 + y, ">", {}, True),
        (x - 1, ">", {x: above(1)}, True),
        (x - 1, ">", {x: at_least(1)}, False),
        (x - 1, ">=", {x: at_least(1)}, True),
        (x - x**2, ">", {x: between(0, 1)}, True),
        (x - x**2, ">", {x: within(0, 1)}, False),
        (x - x**2, ">=", {x: within(0, 1)}, True),
        ((z - 1) ** 2, ">=", {z: at_least(-5)}, True),
        ((z**2 - 2) ** 2, ">", {z: within(0, 2)}, None),
        (1 / (z - sp.sqrt(2)) ** 2 - 1, ">=", {z: within(0, 2)}, False),
        ((z - 1) ** 2 + x, ">", {z: at_least(-5)}, True),
        (-x, "<", {}, True),
        (x, "<=", {}, False),
        (x * 0, ">=", {}, True),
        (x * 0, ">", {}, False),
        (sp.exp(z) - sp.Rational(1, 10**9), ">", {z: at_least(-1)}, None),
        (sp.exp(z), ">", {z: at_least(-1)}, True),
        (sp.sqrt(x) * y + 1, ">", {x: above(2)}, True),
        # Motzkin's polynomial is nonnegative, but neither its coefficients nor factors show it.
        (x**4 * y**2 + x**2 * y**4 - 3 * x**2 * y**2 + 1, ">=", {}, None),
    ],
)
def test_signs(expr, relation, domain, result):
    assert holds("", expr, relation, 0, domain).result is result


COEFFICIENTS = st.lists(st.sampled_from([0, 0, 0, 1, 1, 2, 5, -1]), min_size=9, max_size=9)
ENDS = st.sampled_from([above(0), at_least(0), above(1), at_least(-1), between(0, 1), within(0, 1), between(-1, 2)])


@settings(max_examples=examples(60), derandomize=True, deadline=None)
@given(COEFFICIENTS, ENDS, ENDS, st.sampled_from([">", ">=", "<", "<="]), st.data())
def test_a_sign_judged_true_holds_at_every_point(coefficients, range_x, range_y, relation, data):
    u, v = sp.symbols("u v", real=True)
    polynomial = sum(c * u ** (i % 3) * v ** (i // 3) for i, c in enumerate(coefficients))
    # Attack points off: only the argument about coefficients may say True here.
    judged = kernel._sign(sp.sympify(polynomial), {u: range_x, v: range_y})
    if judged is None:
        return
    sign, strict = judged

    def point(r: Range) -> sp.Rational:
        t = data.draw(st.fractions(0, 1, max_denominator=50))
        assume(r.closed or 0 < t < 1)
        assume(r.high is not None or t < 1)
        t = sp.Rational(t.numerator, t.denominator)
        return r.low + (t / (1 - t) if r.high is None else (r.high - r.low) * t)

    value = sp.sympify(polynomial).subs({u: point(range_x), v: point(range_y)})
    assert value * sign >= 0
    assert value * sign > 0 or not strict


def test_every_branch_of_the_sign_argument_is_reached():
    u, v = sp.symbols("u v", real=True)
    box = {u: between(0, 1), v: at_least(0)}
    assert kernel._sign(1 + u * v, box) == (1, True)
    assert kernel._sign(u * v, box) == (1, False)
    assert kernel._sign(-(u**2) - 1, box) == (-1, True)
    assert kernel._sign(u - v, box) is None
    assert kernel._sign(1 / (u - v), box) is None
    assert kernel._sign(sp.Integer(0), box) == (0, False)


def test_a_symbol_without_a_range_is_an_error():
    with pytest.raises(ValueError, match="domain must give a range for z"):
        holds("", z, ">", 0)
    with pytest.raises(ValueError, match="relation must be one of"):
        holds("", x, "!=", 0)
    with pytest.raises(ValueError, match="direction must be"):
        monotone("", x, x, "up")
    with pytest.raises(ValueError, match="relation must be one of"):
        compare("", 1, "==", 1)


def test_derivatives_limits_and_starts():
    assert monotone("", x**2, x, "increasing").result is True
    assert monotone("", x**2, x, "decreasing").result is False
    assert monotone("", x**3 - x, x, "increasing").result is False
    assert [s.result for s in vanishing_start("", x - sp.log(1 + x), x, 0)] == [True, True]
    assert vanishing_start("", x - 2 * sp.log(1 + x), x, 0)[-1].result is False
    assert vanishing_start("", 1 + x, x, 0)[0].result is False
    assert limit("", sp.sin(x) / x, x, 0, 1).result is True
    assert limit("", sp.sin(x) / x, x, 0, 2).result is False
    assert limit("", 1 / x, x, 0, sp.oo).result is True
    assert limit("", 1 / x, x, 0, 5).result is False
    assert limit("", sp.sin(1 / x), x, 0, 0).result is None


def test_constants_are_compared_rigorously():
    assert compare("", sp.sqrt(2), "<", sp.Rational(3, 2)).result is True
    assert compare("", sp.sqrt(2), ">", sp.Rational(3, 2)).result is False
    assert compare("", sp.exp(sp.pi * sp.sqrt(163)), "<", 640320**3 + 744).result is True
    assert compare("", sp.sqrt(2) ** 2 + sp.log(6), ">", 2 + sp.log(2) + sp.log(3)).result is None


def test_a_ball_contains_the_number():
    expr = sp.log(1 + 3 * sp.exp(-x)) ** sp.Rational(2, 3) + sp.sqrt(x) * sp.pi - sp.E
    point = sp.Rational(7, 5)
    with mpmath.workdps(60):
        exact = flint.arb(mpmath.nstr(sp.lambdify(x, expr, "mpmath")(mpmath.mpf(7) / 5), 55))
    assert ball(expr, {x: point}).overlaps(exact)
    assert float(ball(expr, {x: point}).rad()) < 1e-80
    with pytest.raises(ValueError, match="no enclosure"):
        ball(sp.gamma(x), {x: point})
    with pytest.raises(ValueError, match="no enclosure"):
        ball(x)


@settings(max_examples=examples(40), derandomize=True, deadline=None)
@given(st.fractions(-20, 20, max_denominator=1000))
def test_exponential_bounds_enclose(t):
    assume(t != 0)
    low, high = exp_bounds(t)
    with flint.ctx.workprec(2000):
        exact = flint.arb(flint.fmpq(t.numerator, t.denominator)).exp()
        assert flint.arb(flint.fmpq(low.numerator, low.denominator)) < exact
        assert exact < flint.arb(flint.fmpq(high.numerator, high.denominator))


def test_exponential_bounds_reject_what_they_cannot_bound():
    with pytest.raises(ValueError, match="x must be nonzero"):
        exp_bounds(Fraction(0))
    with pytest.raises(ValueError, match="below terms=5"):
        exp_bounds(Fraction(6), terms=5)


@settings(max_examples=examples(40), derandomize=True, deadline=None)
@given(st.fractions(0, 1000, max_denominator=1000))
def test_square_root_bounds_enclose(q):
    low, high = sqrt_bounds(q)
    assert low**2 <= q < high**2
    assert high - low < Fraction(1, 10**19)


# the algebra of invariant matrices against dense ones -----------------------------------------------------------------

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=3)


def _draw(data: st.DataObject, sizes: list[int]) -> GroupMatrix:
    numbers = st.integers(-3, 3)
    g = len(sizes)
    s = data.draw(st.lists(numbers, min_size=g, max_size=g))
    t = data.draw(st.lists(st.lists(numbers, min_size=g, max_size=g), min_size=g, max_size=g))
    return GroupMatrix.of(sizes, s, t)


def _dense(matrix: GroupMatrix) -> np.ndarray:
    group = [a for a, size in enumerate(matrix.sizes) for _ in range(int(size))]
    n = len(group)
    return np.array(
        [[int(matrix.entry(group[i], group[j], same=i == j)) for j in range(n)] for i in range(n)], dtype=float
    )


@settings(max_examples=examples(40), derandomize=True, deadline=None)
@given(SIZES, st.data())
def test_group_matrices_multiply_as_dense_ones(sizes, data):
    left, right = _draw(data, sizes), _draw(data, sizes)
    np.testing.assert_array_equal(_dense(left @ right), _dense(left) @ _dense(right))
    np.testing.assert_array_equal(_dense(left.T), _dense(left).T)
    np.testing.assert_array_equal(_dense(left.times(3)), 3 * _dense(left))
    assert int(left.trace) == np.trace(_dense(left))


@settings(max_examples=examples(40), derandomize=True, deadline=None)
@given(SIZES, st.data())
def test_group_matrices_have_the_singular_values_claimed(sizes, data):
    matrix = _draw(data, sizes)
    block = np.linalg.svd(np.array(matrix.trivial_block.tolist(), dtype=float), compute_uv=False)
    rest = [abs(int(s)) for s, size in zip(matrix.s, sizes, strict=True) for _ in range(size - 1)]
    dense = np.linalg.svd(_dense(matrix), compute_uv=False)
    np.testing.assert_allclose(np.sort([*block, *rest]), np.sort(dense), atol=1e-12)


def test_equal_entries_sees_one_wrong_coefficient():
    left = GroupMatrix.of([k, 2], [1, x], [[x, 0], [1, y]])
    assert all(step.result for step in equal_entries("", left, left))
    other = GroupMatrix.of([k, 2], [1, x], [[x, 0], [1, y + 1]])
    assert [step.result for step in equal_entries("", left, other)].count(False) == 1


@settings(max_examples=examples(30), derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.fractions(0, 5), st.fractions(-5, 5)), min_size=1, max_size=6), st.integers(0, 3))
def test_expectations_are_sums(terms, degree):
    v = sp.Symbol("v")
    polynomial = sum((i + 1) * v**i for i in range(degree + 1))
    weights, values = zip(
        *[(sp.Rational(p.numerator, p.denominator), sp.Rational(q.numerator, q.denominator)) for p, q in terms],
        strict=True,
    )
    moments = [sum(w * value**i for w, value in zip(weights, values, strict=True)) for i in range(degree + 1)]
    direct = sum(w * polynomial.subs(v, value) if degree else w for w, value in zip(weights, values, strict=True))
    assert expectation(polynomial, v, moments) == direct
    with pytest.raises(ValueError, match="moments must hold"):
        expectation(v ** (degree + 1), v, moments)


# the theorems' formulas against the solvers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_majority", "num_minority", "t"), [(8, 2, "1/3"), (5, 5, "1/4"), (1, 2, "1/5"), (3, 7, "1/6")]
)
def test_the_threshold_curve_is_the_computed_threshold(num_majority, num_minority, t):
    tau, log_ratio = (float(v) for v in map(ball, curve_point(sp.Rational(t), num_majority, num_minority)))
    budget = (tau / (num_majority + num_minority)) ** 2
    computed = ufm.collapse_threshold(ufm.LayerPeeled(E_W=1.0, E_H=budget), num_majority, num_minority)
    assert np.log(computed.ratio) == pytest.approx(log_ratio, rel=1e-9)
