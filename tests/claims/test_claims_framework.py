"""The claim model and its judgements: nothing is called more certain than its evidence."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from claim_samples import claim, found
from effort import examples
from flint import arb, ctx
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ufm import claims as claims_package
from ufm._json import plain
from ufm.claims import (
    Claim,
    Context,
    Enclosure,
    Evidence,
    Figure,
    Status,
    all_claims,
    combine,
    judge_equal,
    judge_order,
)

PROPERTY = settings(derandomize=True, deadline=None, max_examples=examples(200))

anything = st.floats(allow_nan=True, allow_infinity=True)
finite = st.floats(-1e6, 1e6)
sizes = st.floats(0, 1e3)


@st.composite
def enclosures(draw: st.DrawFn) -> Enclosure:
    return Enclosure(draw(anything), draw(anything), rigorous=draw(st.booleans()))


class TestStatus:
    def test_only_three_count_as_claimed(self):
        assert [s.value for s in Status if s.as_claimed] == ["proved", "certified", "supported"]


class TestJudgeEqual:
    @PROPERTY
    @given(st.one_of(anything, enclosures()), enclosures(), sizes)
    def test_only_rigorous_enclosures_certify_or_refute(self, claimed, computed, tolerance):
        status = judge_equal(claimed, computed, tolerance=tolerance)
        rigorous = computed.rigorous and (not isinstance(claimed, Enclosure) or claimed.rigorous)
        assert status in (Status.certified, Status.supported, Status.refuted, Status.inconclusive)
        if status in (Status.certified, Status.refuted):
            assert rigorous
        if status is Status.supported:
            assert not rigorous

    @PROPERTY
    @given(finite, finite, sizes, sizes)
    def test_agrees_with_exact_arithmetic(self, claimed, centre, width, tolerance):
        """Against rationals: as claimed only if every point is within the tolerance, refuted only if none is."""
        computed = Enclosure(centre, centre + width, rigorous=True)
        low, high, value, allowed = map(Fraction, (computed.lower, computed.upper, claimed, tolerance))
        all_within = max(abs(low - value), abs(high - value)) <= allowed
        none_within = low - value > allowed or value - high > allowed
        status = judge_equal(claimed, computed, tolerance=tolerance)
        if status is Status.certified:
            assert all_within
        elif status is Status.refuted:
            assert none_within
        loose = Fraction(1, 10**9)
        if max(abs(low - value), abs(high - value)) <= allowed - loose:
            assert status is Status.certified
        if low - value > allowed + loose or value - high > allowed + loose:
            assert status is Status.refuted

    @PROPERTY
    @given(finite, st.floats(1e-12, 1e-6), st.floats(1.01, 1e3))
    def test_false_numbers_are_never_as_claimed(self, truth, error, factor):
        computed = Enclosure.around(truth, error)
        wrong = truth + 2 * factor * error + 1e-9 * abs(truth)
        assert judge_equal(wrong, computed, tolerance=error / 2) is Status.inconclusive

    @pytest.mark.parametrize(
        "computed",
        [
            Enclosure(math.nan, 1.0),
            Enclosure(1.0, math.nan, rigorous=True),
            Enclosure(2.0, 1.0, rigorous=True),
            Enclosure(-math.inf, math.inf, rigorous=True),
            Enclosure.around(1.0, math.nan),
            Enclosure.around(1.0, -1.0),
            Enclosure.around(1.0, math.inf),
        ],
    )
    def test_no_error_bound_no_judgement(self, computed):
        assert judge_equal(1.0, computed, tolerance=1e300) is Status.inconclusive
        assert judge_order(computed, Enclosure(5.0, 6.0, rigorous=True), strict=False) is Status.inconclusive
        assert judge_order(Enclosure(-5.0, -4.0), computed, strict=True) is Status.inconclusive

    def test_exact_equality_with_zero_tolerance(self):
        assert judge_equal(0.5, Enclosure(0.5, 0.5, rigorous=True), tolerance=0) is Status.certified
        assert judge_equal(0.5, Enclosure(0.5, 0.5), tolerance=0) is Status.supported
        above = math.nextafter(0.5, 1)
        assert judge_equal(above, Enclosure(0.5, 0.5, rigorous=True), tolerance=0) is Status.refuted

    def test_enclosure_wider_than_tolerance_decides_nothing(self):
        assert judge_equal(0.5, Enclosure(0.0, 1.0, rigorous=True), tolerance=0.1) is Status.inconclusive

    @pytest.mark.parametrize("tolerance", [-1e-3, math.nan, math.inf, "1", True])
    def test_tolerance_must_be_a_number(self, tolerance):
        with pytest.raises((ValueError, TypeError), match="tolerance"):
            judge_equal(1.0, Enclosure(1.0, 1.0), tolerance=tolerance)


class TestJudgeOrder:
    @PROPERTY
    @given(enclosures(), enclosures(), st.booleans())
    def test_meaning(self, lhs, rhs, strict):
        status = judge_order(lhs, rhs, strict=strict)
        rigorous = lhs.rigorous and rhs.rigorous
        if not (lhs.is_valid and rhs.is_valid):
            assert status is Status.inconclusive
        elif status.as_claimed:
            assert status is (Status.certified if rigorous else Status.supported)
            assert lhs.upper < rhs.lower or (not strict and lhs.upper == rhs.lower)
        elif status is Status.refuted:
            assert rigorous
            assert lhs.lower > rhs.upper or (strict and lhs.lower == rhs.upper)

    @PROPERTY
    @given(enclosures(), enclosures())
    def test_an_order_and_its_opposite_are_never_both_as_claimed(self, lhs, rhs):
        assert not (judge_order(lhs, rhs, strict=True).as_claimed and judge_order(rhs, lhs, strict=False).as_claimed)

    def test_touching(self):
        one = Enclosure(1.0, 1.0, rigorous=True)
        assert judge_order(one, one, strict=False) is Status.certified
        assert judge_order(one, one, strict=True) is Status.refuted


class TestEnclosure:
    @PROPERTY
    @given(finite, st.integers(20, 200))
    def test_of_ball_encloses(self, value, precision):
        with ctx.workprec(precision):
            ball = arb(value).exp() if value < 100 else arb(value).sqrt()
            found = Enclosure.of_ball(ball)
            assume(found.is_valid)
            assert found.rigorous
            with ctx.workprec(400):
                assert arb(found.lower) <= ball
                assert ball <= arb(found.upper)

    @pytest.mark.parametrize("bad", ["1", None, True, 1j])
    def test_ends_must_be_numbers(self, bad):
        with pytest.raises(TypeError, match="lower"):
            Enclosure(bad, 1.0)

    def test_rigorous_is_no_number(self):
        with pytest.raises(TypeError, match="rigorous"):
            Enclosure(0.0, 1.0, rigorous=1)


class TestCombine:
    @PROPERTY
    @given(st.lists(st.sampled_from(list(Status)), max_size=5))
    def test_weakest_part_decides(self, statuses):
        whole = combine(statuses)
        assert whole.as_claimed == (bool(statuses) and all(s.as_claimed for s in statuses))
        assert (whole is Status.refuted) == (Status.refuted in statuses)
        if whole is Status.proved:
            assert set(statuses) == {Status.proved}
        if whole is Status.certified:
            assert Status.supported not in statuses

    def test_nothing_supports_nothing(self):
        assert combine([]) is Status.inconclusive


class TestEvidence:
    @pytest.mark.parametrize("status", [s for s in Status if s is not Status.inconclusive])
    @pytest.mark.parametrize("details", [{"x": math.nan}, {"a": [{"b": np.array([1.0, math.nan])}]}])
    def test_nan_supports_nothing(self, status, details):
        with pytest.raises(ValueError, match="NaN"):
            Evidence(status, "fine", details=details, established_by=("a test",))
        assert Evidence(Status.inconclusive, "nan", details=details).status is Status.inconclusive

    @pytest.mark.parametrize("status", [s for s in Status if s is not Status.inconclusive])
    def test_must_say_what_established_it(self, status):
        with pytest.raises(ValueError, match="established_by"):
            Evidence(status, "fine")

    def test_details_become_plain(self):
        details = {"a": np.float64(1.5), "b": np.arange(3), "c": (np.bool_(True), None), "s": Status.proved}
        evidence = Evidence("supported", "fine", details=details, established_by=("a test",))
        assert evidence.details == {"a": 1.5, "b": [0, 1, 2], "c": [True, None], "s": "proved"}
        assert str(evidence) == "fine"

    @pytest.mark.parametrize("value", [object(), {1: 2}, {"x": {3}}, 1j, [lambda: 0]])
    def test_details_must_be_json_able(self, value):
        with pytest.raises(TypeError, match="details"):
            Evidence("inconclusive", "fine", details={"v": value})

    def test_a_string_is_no_tuple_of_strings(self):
        with pytest.raises(TypeError, match="established_by"):
            Evidence("supported", "fine", established_by="ball arithmetic")

    @pytest.mark.parametrize("status", ["true", "", None])
    def test_unknown_status(self, status):
        with pytest.raises(ValueError, match="status must be one of 'proved', 'certified'"):
            Evidence(status, "fine", established_by=("a test",))

    def test_figure_fields(self):
        with pytest.raises(ValueError, match="caption"):
            Figure("thresholds", "title", "", {})


class TestClaim:
    @pytest.mark.parametrize("bad", ["", "Upper-case", "under_score", "double--dash", "-dash", "spa ce", "é"])
    def test_id_is_kebab_case(self, bad):
        with pytest.raises(ValueError, match="id"):
            claim(bad, found("proved"))

    def test_fields_are_checked(self):
        with pytest.raises(TypeError, match="callable"):
            claim("x", None)
        with pytest.raises(ValueError, match="statement"):
            claim("x", found("proved"), statement=" ")
        with pytest.raises(ValueError, match="effort"):
            claim("x", found("proved"), effort="huge")


class TestContext:
    def test_once_computes_once(self):
        context, calls = Context(), []
        for _ in range(3):
            assert context.once("sweep", lambda: calls.append(1) or 7) == 7
        assert calls == [1]

    def test_once_retries_after_a_failure(self):
        context = Context()
        with pytest.raises(ZeroDivisionError):
            context.once("sweep", lambda: 1 / 0)
        assert context.once("sweep", lambda: 3) == 3

    @pytest.mark.parametrize("fields", [{"effort": "huge"}, {"seed": -1}, {"seed": 0.5}])
    def test_fields_are_checked(self, fields):
        with pytest.raises(ValueError, match=next(iter(fields))):
            Context(**fields)

    def test_progress_reaches_the_watcher(self):
        seen = []
        Context(on_progress=lambda *args: seen.append(args)).progress("sweep", 3, 8)
        Context().progress("nobody watches", 1, None)
        assert seen == [("sweep", 3, 8)]


class TestRegistry:
    def test_real_claims_are_well_formed(self):
        known = all_claims()
        assert list(known) == [c.id for c in known.values()]
        assert all(isinstance(c, Claim) for c in known.values())

    def test_the_registry_cannot_be_changed_by_accident(self):
        all_claims()["intruder"] = claim("intruder", found("proved"))
        assert "intruder" not in all_claims()

    def test_ids_are_unique(self, monkeypatch):
        import sys
        import types

        for name in ("one", "two"):
            module = types.ModuleType(f"ufm.claims.{name}")
            module.CLAIMS = (claim("same", found("proved")),)
            monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(claims_package, "MODULES", ("one", "two"))
        with pytest.raises(ValueError, match="same"):
            claims_package._collect.__wrapped__()


class TestPlain:
    @PROPERTY
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=8,
        )
    )
    def test_plain_values_stay(self, value):
        assert plain("x", value) == value
