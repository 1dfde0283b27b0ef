"""What one has to touch to add a claim with a proof: the claim, the theorem and, here, the expected verdicts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import proofs_check
import ufm
from ufm.claims import Citation, Context
from ufm.claims._tools import evidence

THEOREM = '''
"""The sum of two squares.

Setting. Real numbers.
Statement. (a + b)^2 = a^2 + 2 a b + b^2.
Source. School.
Idea. Expand.
"""

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import LOSSES, MODELS, Scope, hypotheses
from proofs_check.theorems._kernel import Proof, at_least, identity

ID = "binomial"
SCOPE = (Scope(tuple(LOSSES), tuple(MODELS)),)
a, b = sp.symbols("a b", positive=True)


def statements(*, square=a**2 + 2 * a * b + b**2):
    return {"square": f"(a + b)² = {say(square)}."}


def prove(*, square=a**2 + 2 * a * b + b**2):
    step = identity("the square", (a + b) ** 2, square, {a: at_least(1), b: at_least(1)})
    said = " ".join(statements(square=square).values())
    return Proof(id=ID, statement=said, source="school", hypotheses=hypotheses(SCOPE), steps=(step,))


MUTANTS = {"without the middle": {"square": a**2 + b**2}}
'''

CLAIMS = """
import json

import ufm
import ufm.claims
from ufm.claims._tools import evidence, symbolic


def square(pieces, statement):
    @ufm.claim(
        id="square-of-a-sum",
        title="The square of a sum",
        statement=statement,
        source="school",
        scope=ufm.Scope(),
        variants={} if pieces else {"without the middle": square(pieces=VARIANT, statement=statement)},
    )
    def check(context):
        return evidence("expanded", proofs=[symbolic("binomial", **pieces)])

    return check


from proofs_check import theorems

VARIANT = theorems.mutants("binomial")["without the middle"]
found = []
for statement in ("(a + b)² = a² + b² + 2 a b.", "(a + b)² = a² + b²."):
    (verdict,) = ufm.verify([square({}, statement)])
    variants = verdict.claim.false_variants.values()
    found.append([verdict.status.value, [variant.check(ufm.claims.Context()).status.value for variant in variants]])
print(json.dumps(found))
"""


@pytest.fixture
def with_theorem(tmp_path: Path) -> Path:
    """A copy of ``proofs_check`` with one more file: nothing else names the theorem."""
    shutil.copytree(Path(proofs_check.__file__).parent, tmp_path / "proofs_check")
    (tmp_path / "proofs_check" / "theorems" / "binomial.py").write_text(THEOREM)
    return tmp_path


def test_a_claim_with_a_proof_is_a_file_for_each_of_the_two(with_theorem: Path) -> None:
    (with_theorem / "my_claims.py").write_text(CLAIMS)
    path = os.pathsep.join([str(with_theorem), str(Path(ufm.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "my_claims.py"],
        cwd=with_theorem,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    true, false = json.loads(done.stdout)
    assert true == ["proved", ["refuted"]]
    assert false == ["inconclusive", ["refuted"]]


class TestDecorator:
    def test_the_function_below_is_the_check(self) -> None:
        @ufm.claim(id="mine", title="Mine", statement="1 < 2.", source="here", hypotheses=("counting",))
        def check(context: Context) -> ufm.Evidence:
            return ufm.Evidence("certified", f"seed {context.seed}", established_by=("integers",))

        assert isinstance(check, ufm.Claim)
        assert (check.id, check.hypotheses) == ("mine", ("counting",))
        assert check(Context(seed=4)).summary == "seed 4"
        verdicts = list(ufm.verify([check, "within-class-collapse-slack"], seed=3))
        assert [(v.claim.id, v.status) for v in verdicts] == [
            ("mine", ufm.Status.certified),
            ("within-class-collapse-slack", ufm.Status.certified),
        ]
        assert verdicts[0].evidence.summary == "seed 3"

    @pytest.mark.parametrize("fields", [{"id": "Not kebab"}, {"statement": ""}, {"effort": "huge"}])
    def test_fields_are_checked_where_the_claim_is_made(self, fields: dict[str, str]) -> None:
        good = {"id": "mine", "title": "Mine", "statement": "1 < 2.", "source": "here"}
        with pytest.raises(ValueError, match=next(iter(fields))):
            ufm.claim(**(good | fields))(lambda context: None)

    def test_what_is_no_function_is_refused(self) -> None:
        with pytest.raises(TypeError, match="callable"):
            ufm.claim(id="mine", title="Mine", statement="1 < 2.", source="here")(3)

    def test_a_resolution_needs_what_measures_it(self) -> None:
        with pytest.raises(ValueError, match="off_by"):
            ufm.claim(id="mine", title="Mine", statement="1 < 2.", source="here", resolution=1e-6)(lambda context: None)


def test_a_citation_by_hand_cannot_lend_a_proof() -> None:
    """A theorem that says nothing and covers nothing proves nothing."""
    empty = Citation("etf-gram", ufm.Status.proved)

    @ufm.claim(id="mine", title="Mine", statement="1 < 2.", source="here", scope=ufm.Scope())
    def check(context: Context) -> ufm.Evidence:
        return evidence("found", proofs=[empty])

    assert check(Context()).status is ufm.Status.inconclusive
