"""Numbers in words: what a claim or a theorem says is rendered from the data of its check.

A number that stands in the text of a source file alone could part from what is checked. The texts are read as they
stand in the source, without what is put into them; what a claim quotes of a theorem is compared with it word for word
when the claim is checked, so that the theorem's text is where such numbers come from.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import proofs_check
import ufm
from proofs_check import theorems

#: Arguments of claims and scopes that are read as part of a statement.
FIELDS = ("conditions", "hypotheses", "region", "statement", "title")

NUMBER = re.compile(r"(?<![\w.^_])\d+(?:\.\d+)?|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+|[¼¾⅓]")

#: Structure and no data: bounds 0, ones, pairs and halves, squares, inverses; of two digits the matrix of ones alone.
STRUCTURE, ONES = {"0", "1", "2", "²", "⁻¹"}, "11ᵀ"

#: What claims say in numbers of their own, and why.
CLAIMS_SAY = {
    "Fig. 3": "a figure's number in the source",
    "{1/4}": "an exponent of the theorem that the claim quotes",
    "K/(4(K − 1))": "the title shortens the quoted theorem",
    "K ≥ 6, or four and K ≥ 4": "the title shortens the quoted theorem",
    "even K ≥ 6": "the title shortens the quoted theorem",
    "from 18 classes on": "the title shortens the quoted theorem",
    "L (K − 3) ≥ 5": "the title gives the quoted condition at a → ∞",
    "K = 4 with M = 3": "what the quoted theorem leaves out",
    "K = 4 with L = 1": "what the map leaves out",
    "E_A*(3, τ)": "the only K without a theorem of local stability",
}

#: What theorems say in numbers of their own, and why.
THEOREMS_SAY = {
    "for K ≥ 3": "fewer classes have no two wrong logits",
    "K ≥ 3 classes": "two classes are the other part of the statement",
    "K = 3 if": "the cases of K, a step each",
    "K ≥ 3 unit vectors": "a polygon",
    "K_A ≥ 3": "two majority classes are the case before",
    "4 K_A": "a bound in a step of its own",
    "4 sin²": "the price of the code, a step of its own",
    "4 (1 + a)": "the inequality of the code, a step of its own",
    "(3/2) α (I − 11ᵀ/3)": "a triangle",
    "|²/8": "Chernoff's exponent of two unit Gaussians",
    "(0, 4]": "squared distances of unit vectors",
    "{1/4}": "an exponent, a step of its own",
    "M − 3": "the factors between the named ones",
    "d = 4 and K = 6": "the smallest example, a step of its own",
}


def pieces(node: ast.AST) -> Iterator[str]:
    """Texts as they stand in the source, without what is put into them."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def loose(text: str, known: dict[str, str]) -> list[str]:
    """Numbers of a text that are neither structure nor known."""
    for part in known:
        text = text.replace(part, "")
    return [number for number in NUMBER.findall(text.replace(ONES, "")) if number not in STRUCTURE]


def quoted() -> list[str]:
    """What claims may quote, the longest first."""
    texts = {text for name in theorems.all_theorems() for text in theorems.statements(name).values()}
    return sorted(texts, key=len, reverse=True)


def shared() -> set[str]:
    """Conditions of theorems, word for word those of the claims that cite them."""
    return {c for name in theorems.all_theorems() for case in theorems.scope(name) for c in case.conditions}


def in_claims(source: str, theirs: list[str], conditions: frozenset[str] | set[str] = frozenset()) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg in FIELDS:
            for text in pieces(node.value):
                if node.arg == "conditions" and text in conditions:
                    continue
                for part in theirs:
                    text = text.replace(part, "")
                found += [f"{node.arg}: {number} in {text!r}" for number in loose(text, CLAIMS_SAY)]
    return found


def in_theorem(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == "statements":
            texts = [text for part in ast.walk(node) if isinstance(part, ast.Return) for text in pieces(part)]
        elif isinstance(node, ast.keyword) and node.arg == "conditions":
            texts = list(pieces(node.value))
        else:
            continue
        found += [f"{number} in {text!r}" for text in texts for number in loose(text, THEOREMS_SAY)]
    return found


def test_claims_have_their_numbers_from_their_checks() -> None:
    theirs, conditions, found = quoted(), shared(), {}
    for path in sorted((Path(ufm.__file__).parent / "claims").glob("*.py")):
        found[path.stem] = in_claims(path.read_text(encoding="utf-8"), theirs, conditions)
    assert len(found) > 25
    assert {name: numbers for name, numbers in found.items() if numbers} == {}


def test_theorems_have_their_numbers_from_their_proofs() -> None:
    found = {}
    for path in sorted((Path(proofs_check.__file__).parent / "theorems").glob("[a-z]*.py")):
        found[path.stem] = in_theorem(path.read_text(encoding="utf-8"))
    assert len(found) > 85
    assert {name: numbers for name, numbers in found.items() if numbers} == {}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("at K = 4 and E_A = {x}", ["4"]),
        ("to 10⁻¹² of it", ["10", "⁻¹²"]),
        ("|A|₂ ≤ 0.99", ["0.99"]),
        ("(I − 11ᵀ/K)² of K − 1 classes", []),
        ("Fig. 3", []),
    ],
)
def test_a_number_in_words_is_found(text: str, numbers: list[str]) -> None:
    assert [x.split(": ")[1].split(" in ")[0] for x in in_claims(f"f(statement={text!r})", [])] == numbers


def test_what_claims_quote_is_no_number_of_theirs() -> None:
    text = theorems.statements("square-code-beats-etf")["risks"]
    assert in_claims(f"f(statement={text!r})", quoted()) == []
    assert in_claims(f"f(statement={text.replace('K = 4', 'K = 5')!r})", quoted())
