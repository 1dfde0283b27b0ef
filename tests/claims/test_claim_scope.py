"""A claim says what its theorems say and no more: statements and scopes are compared by machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from claim_samples import claim

import ufm
from proofs_check import theorems
from proofs_check.scope import LOSSES, MODELS, Scope, beyond
from ufm.claims import Context, Evidence, Status, all_claims
from ufm.claims._tools import evidence, symbolic

GRAM = " ".join(theorems.statements("etf-gram").values())
EVERYWHERE = Scope(tuple(LOSSES), tuple(MODELS))


def cites(*proofs, **fields):
    return lambda context: evidence("found", proofs=proofs, **fields)


def status(statement: str, check, **fields) -> Status:
    """Through ``ufm.verify`` and through the claim's own check: there is no way round the comparison."""
    one = claim("tied", check, statement=statement, **{"scope": EVERYWHERE, **fields})
    (verdict,) = ufm.verify([one])
    assert verdict.status is one.check(Context()).status
    return verdict.status


class TestStatement:
    def test_what_the_theorem_says_is_proved(self):
        assert status(GRAM, cites(symbolic("etf-gram"))) is Status.proved

    @pytest.mark.parametrize(
        "statement",
        [
            "Any two vertices of a simplex ETF have the cosine 1/(K − 1).",
            GRAM.replace("−1/(K − 1)", "1/(K − 1)"),
            GRAM.replace("≥", "≤"),
            GRAM.replace(" and ", " or ", 1),
            f"It is not the case that {GRAM}",
            f"False: {GRAM}",
            GRAM.removesuffix(".") + " and also for s < 0.",
            theorems.statements("etf-gram")["norms"],
        ],
    )
    def test_what_it_does_not_say_is_not(self, statement):
        found = claim("contrary", cites(symbolic("etf-gram")), statement=statement, scope=EVERYWHERE).check(Context())
        assert found.status is Status.inconclusive
        assert "etf-gram" in found.summary

    def test_a_part_may_be_cited(self):
        norms = theorems.statements("etf-gram")["norms"]
        assert status(norms, cites(symbolic("etf-gram", "norms"))) is Status.proved

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({}, Status.inconclusive),
            ({"numeric": Status.supported}, Status.supported),
            ({"numeric": Status.certified}, Status.certified),
        ],
    )
    def test_what_is_said_beyond_the_theorem_is_as_certain_as_the_instances(self, fields, expected):
        assert status(f"{GRAM} And more.", cites(symbolic("etf-gram"), **fields)) is expected

    def test_a_false_theorem_proves_nothing(self):
        false = theorems.mutants("etf-gram")
        for name, pieces in false.items():
            said = " ".join(theorems.statements("etf-gram", **pieces).values())
            found = status(said, cites(symbolic("etf-gram", **pieces)))
            assert found is Status.refuted, name

    def test_evidence_by_hand_is_compared_too(self):
        cited = symbolic("etf-gram")
        by_hand = Evidence("proved", "found", established_by=("a proof",), cites=(cited,))
        assert status("The contrary.", lambda context: by_hand) is Status.inconclusive
        untrue = Evidence("proved", "x", established_by=("a proof",), cites=(replace(cited, status=Status.refuted),))
        assert status(GRAM, lambda context: untrue) is Status.inconclusive

    def test_a_lemma_need_not_be_said_and_proves_nothing_itself(self):
        lemma = symbolic("etf-gram", lemma=True)
        assert status("Something else.", cites(lemma)) is Status.inconclusive
        certified = cites(lemma, numeric=Status.certified, universal=False)
        assert status("Something else.", certified) is Status.certified
        refuted = replace(lemma, status=Status.refuted)
        assert status("Something else.", cites(refuted, numeric=Status.certified)) is Status.inconclusive

    def test_replacing_fields_keeps_the_comparison(self):
        one = claim("tied", cites(symbolic("etf-gram")), statement=GRAM, scope=EVERYWHERE)
        assert one.check(Context()).status is Status.proved
        assert replace(one, statement="The contrary.").check(Context()).status is Status.inconclusive


class TestScope:
    def test_without_a_scope_nothing_is_compared(self):
        assert status(GRAM, cites(symbolic("etf-gram")), scope=()) is Status.inconclusive

    @pytest.mark.parametrize(
        ("wider", "word"),
        [
            ({"losses": ("ce", "mse")}, "MSE"),
            ({"models": ("layer-peeled", "penalised-deq")}, "λ_A"),
            ({"groups": (1, None)}, "groups"),
            ({"groups": (2, 3)}, "groups"),
            ({"minority": 1}, "K_B"),
            ({"dimension": "any"}, "any d"),
            ({"dimension": "rank"}, "d ≥ rank Z"),
        ],
    )
    @pytest.mark.sample(3)
    def test_a_claim_wider_than_its_theorem_is_inconclusive(self, wider, word):
        true = all_claims()["collapse-criterion"]
        (scope,) = true.scope
        found = replace(true, scope=replace(scope, **wider)).check(Context())
        assert found.status is Status.inconclusive
        assert "wider than theorem collapse-criterion" in found.summary
        assert word in found.summary

    def test_each_pair_of_loss_and_model_must_lie_in_a_case(self):
        cases = theorems.scope("within-class-collapse")
        budgets, decay = Scope(("mse",), ("layer-peeled",)), Scope(("mse",), ("weight-decay",))
        assert beyond(decay, cases) is None
        assert "MSE" in beyond(budgets, cases)
        assert beyond(Scope(("ce", "mse"), ("layer-peeled", "weight-decay")), cases) is not None

    def test_conditions_of_the_theorem_must_be_the_claims(self):
        (needed,) = theorems.scope("etf-local-stability")
        assert beyond(needed, (needed,)) is None
        assert needed.conditions[0] in beyond(replace(needed, conditions=()), (needed,))

    def test_a_symmetric_family_is_not_all_logits(self):
        (family,) = theorems.scope("landau-collapse")
        assert "treat the classes" in beyond(replace(family, symmetric=False), (family,))

    @pytest.mark.parametrize("fields", [{"losses": ("hinge",)}, {"models": ()}, {"dimension": "K + 1"}])
    def test_unknown_keys_are_refused(self, fields):
        with pytest.raises(ValueError, match=next(iter(fields))):
            Scope(**fields)

    def test_convexity_follows_from_the_models(self):
        assert Scope(models=("layer-peeled", "spectral-deq-decay")).is_convex
        assert not Scope(models=("layer-peeled", "penalised-deq")).is_convex


class TestEveryClaim:
    def test_hypotheses_tell_the_dimension_the_loss_and_the_model(self):
        """A statement about W and H that says nothing of d is one about every d."""
        for one in all_claims().values():
            if one.group not in ("The trained network", "The verifier itself"):
                assert one.scope, one.id
                assert one.hypotheses, one.id

    def test_any_convex_loss_is_said_and_no_more(self):
        """Left out, the hypotheses took in the focal loss, whose spurious minimum at zero another claim is about."""
        landscape, trap = (all_claims()[name] for name in ("explicit-landscape-benign", "focal-zero-trap"))
        assert "any convex loss" in landscape.hypotheses
        assert "focal loss" in trap.hypotheses
        every = Scope(("ce", "mse", "convex"), ("weight-decay",))
        assert every.hypotheses[0] == "any convex loss"

    def test_every_supported_claim_has_false_variants(self):
        supported = ("deq-threshold-power", "first-order-converse", "collapse-mixing", "etf-error-monotone")
        for name in (*supported, "self-duality-monotone", "etf-boundary"):
            assert all_claims()[name].false_variants, name

    def test_every_theorem_has_a_scope_and_says_something(self):
        for name in theorems.all_theorems():
            assert theorems.scope(name)
            said = theorems.statements(name)
            assert said
            assert all((text.endswith(".") and text[0].isupper()) or text[0] in "|W" for text in said.values()), name

    def test_statements_change_with_the_pieces_of_the_proof(self):
        """The formulas in words are those that the steps decide: most false variants say other things."""
        silent = [
            (name, variant)
            for name in theorems.all_theorems()
            for variant, pieces in theorems.mutants(name).items()
            if theorems.statements(name, **pieces) == theorems.statements(name)
        ]
        total = sum(len(theorems.mutants(name)) for name in theorems.all_theorems())
        assert len(silent) < total / 2, silent
