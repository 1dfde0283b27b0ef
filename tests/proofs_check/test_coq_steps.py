"""Steps as Coq statements: they say what the step says, coqc proves one of each kind and refuses false ones."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import sympy as sp
from effort import count

from proofs_check.coq_steps import checking, files, record
from proofs_check.coq_steps.statements import state
from proofs_check.theorems._kernel import (
    Step,
    above,
    at_least,
    between,
    compare,
    holds,
    identity,
    limit,
    monotone,
    vanishing_start,
)

x, y = sp.symbols("x y", positive=True)
u = sp.Symbol("u", real=True)
K = sp.Symbol("K", integer=True, positive=True)
WIDE = {K: at_least(2)}

TRUE: dict[str, Step] = {
    "identity": identity("", 1 / (1 + (K - 1) * sp.exp(-x)), sp.exp(x) / (sp.exp(x) + K - 1), WIDE),
    "sign": holds("", x / (1 + x), "<", 1),
    "monotone": monotone("", sp.log(1 + (K - 1) * x), x, "increasing", WIDE),
    "limit": limit("", x * y + 1, x, 0, 1),
    "start": vanishing_start("", sp.exp(x) - 1 - x, x, 0, 2)[0],
    "enclosure": compare("", sp.exp(-2) + sp.sqrt(2), "<", sp.log(5)),
}
FALSE: dict[str, Step] = {
    "identity": identity("", 1 / (1 + K * sp.exp(-x)), sp.exp(x) / (sp.exp(x) + K - 1), WIDE),
    "sign": holds("", x / (1 + x), ">", 1),
    "monotone": monotone("", sp.log(1 + (K - 1) * x), x, "decreasing", WIDE),
    "limit": limit("", x * y + 1, x, 0, 2),
    "undefined": identity("", 2 * sp.log(u), sp.log(u) + sp.log(u), {u: above(-1)}),
    "enclosure": compare("", sp.exp(-2) + sp.sqrt(2), ">", sp.log(5)),
}


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("proofs")
    try:
        checking.compile_library(folder)
    except RuntimeError as missing:
        pytest.skip(str(missing))
    return folder


def as_one(steps: dict[str, Step]) -> list[files.StepFile]:
    return [files.step_file("sample", i, step, name) for i, (name, step) in enumerate(steps.items())]


class TestStatement:
    def test_domain_definedness_and_conclusion_are_there(self) -> None:
        step = holds("", sp.log(x) / (y - 1), "<", x, {y: between(0, 1)})
        text = state(step.fact).text
        assert text.startswith("forall x y : R,")
        for part in ("0 < x", "0 < y", "y < 1", "y - 1 <> 0", "x > 0", "ln x / (y - 1) < x"):
            assert part in text

    def test_closed_end_and_limit_at_the_right(self) -> None:
        assert "2 <= K" in state(identity("", K, K, WIDE).fact).text
        assert "(at_right (0)) (locally (1))" in state(TRUE["limit"].fact).text

    def test_a_named_subexpression_is_every_value_of_its_range(self) -> None:
        step = holds("", x * sp.exp(x), ">", 0, {y: above(0)}, {sp.exp(x): y})
        assert "forall x y" in state(step.fact).text
        assert "0 < (exp x)" in state(step.fact).text


class TestSample:
    def test_one_of_each_kind_is_proved_and_its_false_twin_refused(self, store: Path) -> None:
        # true ones as steps of a theorem, and so in one process
        good = [files.step_file("sample", i, step) for i, step in enumerate(TRUE.values())]
        bad = as_one(FALSE)
        verdicts = checking.check_all([*good, *bad], store, workers=2)
        assert [f.index for f, v in verdicts[: len(good)] if v.accepted is not True] == []
        assert {f.variant for f, v in verdicts[len(good) :] if v.accepted is not False} == set()

    @pytest.mark.parametrize("variant", ["", "a variant"])
    @pytest.mark.sample(1)
    def test_one_process_for_many_steps_says_what_one_for_each_says(
        self, store: Path, tmp_path: Path, variant: str
    ) -> None:
        """Five true steps and a false one, as steps of a theorem and as those of a false variant."""
        steps = [*[*TRUE.values()][:5], FALSE["sign"]]
        for name in ("library.v", "library.vo"):
            shutil.copy(store / name, tmp_path / name)
        batch = [files.step_file(f"sample{variant}", i, step, variant) for i, step in enumerate(steps)]
        checking.batched(batch, tmp_path)
        kept = [(tmp_path / f"{file.key}.json").exists() for file in batch]
        # of a false variant it refuses and leaves the rest to coqc; of a theorem it accepts what it can
        assert kept == ([False] * 5 + [True] if variant else [True] * 3 + [False] * 3)
        alone = batch[-count(1, len(batch)) :]
        assert [checking.check(file, tmp_path).accepted for file in alone] == [True] * (len(alone) - 1) + [False]

    def test_all_of_them_are_checked_whatever_one_process_leaves(self, store: Path, monkeypatch) -> None:
        """The verdicts of :func:`check_all` are those of one process for each, where a process for many says none."""
        monkeypatch.setattr(checking, "run_coqtop", lambda *arguments: (None, ""))
        batch = [
            files.step_file("left", i, FALSE[name], "left")
            for i, name in enumerate(count(("sign",), ("sign", "limit")))
        ]
        assert {v.accepted for _, v in checking.check_all(batch, store, workers=2)} == {False}

    def test_a_session_without_its_tactics_refuses_nothing(self, store: Path, tmp_path: Path) -> None:
        batch = [files.step_file("sample", i, FALSE["sign"], f"variant {i}") for i in range(2)]
        checking.batched(batch, tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_a_store_may_be_named_from_where_one_stands(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (file,) = as_one({"sign": TRUE["sign"]})
        monkeypatch.chdir(store.parent)
        shutil.copytree(store, "relative", ignore=shutil.ignore_patterns("*.json"))
        fresh = Path("relative")
        checking.compile_library(fresh)  # nothing to do
        assert checking.check(file, fresh).accepted is True

    def test_without_the_library_nothing_is_refused(self, store: Path, tmp_path: Path) -> None:
        (file,) = as_one({"sign": FALSE["sign"]})
        with pytest.raises(RuntimeError, match="does not find a library"):
            checking.check(file, tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_a_verdict_is_remembered_under_the_text(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # one of those above: alone this asks Coq first
        file = files.step_file("sample", [*TRUE].index("sign"), TRUE["sign"])
        first = checking.check(file, store)
        monkeypatch.setattr(checking, "_coqc", None)
        assert checking.check(file, store) == first


class TestRecord:
    def test_a_changed_step_is_not_accepted(self) -> None:
        assert record.accepted_steps([identity("", K * x + x, x * (K + 1), {K: at_least(7)})]) == (0, 1)


class TestTrust:
    def test_nothing_is_assumed_in_the_files(self) -> None:
        texts = [files.library(), *(f.text for f in files.files_of("etf-gram"))]
        for text in texts:
            assert not re.search(r"\b(Admitted|admit|Axiom|Parameter|Hypothesis|Variable|Conjecture)\b", text)
