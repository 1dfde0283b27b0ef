"""More than a thousand random tamperings of valid certificates: none may pass unless its claim is still true.

Truth is decided by ``certificate_oracle`` (50 digits, other formulas, other code). What a tampering of the witness
alone leaves accepted proves the same, true claim.
"""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import certificate_oracle as oracle
import pytest

import ufm
from proofs_check import checker
from ufm.certificates import certify_square_code

Json = dict[str, Any]
Path = tuple[Any, ...]

ROUNDS = 150  # of every kind of tampering; there are 16 kinds


@pytest.fixture(scope="module")
def pool() -> list[Json]:
    step = ufm.ClassPrior.step
    lpm, deq = ufm.LayerPeeled(1, 5), ufm.LinearDEQ(0.3, 0.7, 0.5)
    weak, strong = ufm.PenalisedDEQ(5e-3, 5e-3, 0.5), ufm.UnconstrainedFeatures(2e-2, 2e-2)
    square = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    made = [
        ufm.certify(ufm.solve(lpm, step(3, 7, 10))),
        ufm.certify(ufm.solve(lpm, step(3, 7, 1000))),
        ufm.certify(ufm.solve(deq, step(5, 5, 4))),
        ufm.certify(ufm.solve(ufm.DeepLinear((3.0, 4.0)), ufm.ClassPrior.balanced(6))),
        ufm.certify(ufm.solve(weak, step(2, 3, 12))),
        ufm.certify(ufm.solve(strong, step(5, 5, 10))),
        ufm.certify(ufm.solve(deq, step(3, 7, 10), "mse")),
        ufm.certify(ufm.solve(lpm, step(3, 7, 10), "mse")),
        ufm.certify(ufm.solve(weak, step(2, 3, 12), "mse")),
        ufm.certify_threshold(lpm, 3, 7),
        ufm.certify_threshold(deq, 5, 5),
        ufm.certify_threshold(lpm, 3, 7, loss="mse"),
        ufm.certify_threshold(ufm.LayerPeeled(0.1, 0.5), 3, 7, loss="mse"),
        ufm.certify_threshold(weak, 3, 7, num_samples=600),
        ufm.certify_threshold(weak, 3, 7, majority_count=100),
        ufm.certify_threshold(weak, 3, 7, loss="mse", minority_count=20),
        ufm.certify_phase(lpm, step(3, 7, 10)),
        ufm.certify_phase(lpm, step(3, 7, 1000)),
        ufm.certify_phase(ufm.LayerPeeled(1, 1), step(5, 5, 10)),
        ufm.certify_phase(strong, step(5, 5, 10)),
        ufm.certify_phase(ufm.UnconstrainedFeatures(8e-3, 8e-3), step(5, 5, 80)),
        ufm.certify_phase(deq, step(3, 7, 10), "mse"),
        certify_square_code(),
        ufm.certify_counterexample(
            {"name": "deep_linear", "budgets": [4, 2, 4]},
            4,
            [square, [[1, 0], [0, 1]], [list(column) for column in zip(*square, strict=True)]],
        ),
    ]
    return [json.loads(certificate.to_json()) for certificate in made]


# Looking into JSON ---------------------------------------------------------------------------------------------------


def leaves(node: Any, path: Path = ()) -> list[Path]:
    if isinstance(node, dict):
        return [found for key, child in node.items() for found in leaves(child, (*path, key))]
    if isinstance(node, list):
        return [found for index, child in enumerate(node) for found in leaves(child, (*path, index))]
    return [path]


def containers(node: Any, path: Path = ()) -> list[Path]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    here = [path] if isinstance(node, dict | list) and node else []
    return [*here, *(found for key, child in items for found in containers(child, (*path, key)))]


def get(node: Any, path: Path) -> Any:
    for key in path:
        node = node[key]
    return node


def put(node: Any, path: Path, value: Any) -> None:
    get(node, path[:-1])[path[-1]] = value


def is_number(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and checker.RATIONAL.fullmatch(value) is not None)


def numbers(certificate: Json, part: str) -> list[Path]:
    return [path for path in leaves(certificate) if path[0] == part and is_number(get(certificate, path))]


# Tamperings: each changes a copy in place, or returns text -----------------------------------------------------------


def other_number(rng: random.Random, value: Any) -> Any:
    if isinstance(value, int):
        return max(1, value + rng.choice([-2, -1, 1, 2, 5])) if rng.random() < 0.9 else rng.choice([0, -1, 10**6])
    x = Fraction(value)
    ways: list[Callable[[], Fraction]] = [
        lambda: -x,
        lambda: Fraction(0),
        lambda: 1 / x if x else Fraction(1),
        lambda: x + rng.choice([-1, 1]),
        lambda: x * (1 + Fraction(rng.choice([-1, 1]), 10 ** rng.randint(1, 30))),
        lambda: x * Fraction(rng.randint(1, 40), 20),
        lambda: Fraction(x.numerator + rng.choice([-1, 1]), x.denominator),
        lambda: Fraction(x.numerator, max(1, x.denominator + rng.choice([-1, 1]))),
        lambda: Fraction(rng.randint(1, 100), rng.randint(1, 100)),
    ]
    return str(rng.choice(ways)())


def change_number(part: str) -> Callable[[random.Random, Json, list[Json]], None]:
    def tamper(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
        found = numbers(certificate, part)
        if found:
            path = rng.choice(found)
            put(certificate, path, other_number(rng, get(certificate, path)))

    return tamper


def change_digit(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    found = [p for p in numbers(certificate, rng.choice(["claim", "witness"])) if isinstance(get(certificate, p), str)]
    if found:
        path = rng.choice(found)
        text = get(certificate, path)
        place = rng.choice([i for i, c in enumerate(text) if c.isdigit()])
        put(certificate, path, text[:place] + rng.choice("0123456789") + text[place + 1 :])


def narrow(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    """Move one end of the interval, or the margin, to the wrong side."""
    statement = certificate["claim"]["statement"]
    if "margin" in statement:
        statement["margin"] = str(Fraction(statement["margin"]) * (1 + Fraction(1, 10 ** rng.randint(1, 20))))
    elif "lower" in statement:
        low, high = Fraction(statement["lower"]), Fraction(statement["upper"])
        part = Fraction(rng.randint(1, 1000), 1000) * rng.choice([1, 2, 10**6])
        if rng.random() < 0.5:
            statement["lower"] = str(low + part * (high - low))
        else:
            statement["upper"] = str(high - part * (high - low))


def round_wrongly(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    statement = certificate["claim"]["statement"]
    if "lower" in statement:
        scale = 10 ** rng.randint(3, 25)
        end = rng.choice(["lower", "upper"])
        value = Fraction(statement[end]) * scale
        down = value.numerator // value.denominator
        statement[end] = str(Fraction(down + 1 if end == "lower" else down, scale))


def widen(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    """Still true where an interval grows; the checker may accept it."""
    statement = certificate["claim"]["statement"]
    if "lower" in statement:
        part = Fraction(1, 10 ** rng.randint(1, 25))
        statement["lower"] = str(Fraction(statement["lower"]) * (1 - part))
        statement["upper"] = str(Fraction(statement["upper"]) * (1 + part))
    elif "margin" in statement:
        statement["margin"] = str(Fraction(statement["margin"]) * Fraction(rng.randint(1, 99), 100))


def shift(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    """The whole interval moves by part of its width."""
    statement = certificate["claim"]["statement"]
    if "lower" in statement:
        low, high = Fraction(statement["lower"]), Fraction(statement["upper"])
        move = (high - low) * Fraction(rng.randint(-3000, 3000), 1000)
        statement.update(lower=str(low + move), upper=str(high + move))


def swap_witness(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    certificate["witness"] = copy.deepcopy(rng.choice(pool)["witness"])


def swap_witness_part(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    other = rng.choice(pool)["witness"]
    for key in set(other) & set(certificate["witness"]):
        certificate["witness"][key] = copy.deepcopy(other[key])
        return


def swap_claim_part(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    key = rng.choice(["architecture", "prior", "loss", "statement", "kind"])
    certificate["claim"][key] = copy.deepcopy(rng.choice(pool)["claim"][key])


def easier_problem(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    """More budget, less decay, fewer classes, a looser bound: the same statement about another problem."""
    architecture, prior = certificate["claim"]["architecture"], certificate["claim"]["prior"]
    if rng.random() < 0.3 and isinstance(prior, list):
        group = rng.choice(prior)
        group["classes"] = max(1, group["classes"] - 1)
        return
    key = rng.choice([key for key in architecture if key != "name"])
    grow = Fraction(rng.choice(["101/100", "2", "1000001/1000000"]))
    factor = 1 / grow if key.startswith("lambda") else grow
    if isinstance(architecture[key], list):
        place = rng.randrange(len(architecture[key]))
        architecture[key][place] = str(Fraction(architecture[key][place]) * factor)
    elif key == "rho":
        architecture[key] = str(1 - (1 - Fraction(architecture[key])) / grow)
    else:
        architecture[key] = str(Fraction(architecture[key]) * factor)


def rename(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    """Another architecture's name or loss over the same numbers."""
    claim = certificate["claim"]
    names = ["layer_peeled", "linear_deq", "deep_linear", "unconstrained_features", "penalised_deq"]
    if rng.random() < 0.3:
        claim["loss"] = {"ce": "mse", "mse": "ce"}[claim["loss"]]
    elif rng.random() < 0.3 and "phase" in claim["statement"]:
        claim["statement"]["phase"] = rng.choice(["none", "partial", "total"])
    else:
        claim["architecture"]["name"] = rng.choice(names)
        if claim["architecture"]["name"] in ("layer_peeled", "unconstrained_features"):
            claim["architecture"].pop("rho", None)


def restructure(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    path = rng.choice(containers(certificate))
    node = get(certificate, path)
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    way = rng.randrange(5)
    if way == 0:
        del node[rng.choice(keys)]
    elif way == 1 and isinstance(node, dict):
        node[rng.choice(["precision", "lower", "note", "fixed", "E_A", "count"])] = rng.choice(["1", 1, None, {}])
    elif way == 2 and isinstance(node, list):
        node.append(copy.deepcopy(rng.choice(node)))
    elif way == 3 and isinstance(node, list):
        rng.shuffle(node)
    else:
        node[rng.choice(keys)] = rng.choice(
            [None, True, [], {}, "", "abc", 7, "1", [["1"]], {"classes": 3, "count": "1"}]
        )


def break_text(rng: random.Random, certificate: Json, pool: list[Json]) -> str:
    text = json.dumps(certificate)
    place = rng.randrange(len(text))
    junk = rng.choice(
        [
            "NaN",
            "Infinity",
            "1e400",
            "0.5",
            "\\u0000",
            "\x00",
            "[" * 3000,
            '{"a":' * 2000,
            "9" * 5000,
            "١",
            "\ufeff",
            ",",
            "}",
            '"',
        ]
    )
    return rng.choice(
        [
            text[:place],
            text[:place] + junk + text[place:],
            text[:place] + chr(rng.randrange(32, 127)) + text[place + 1 :],
            text + junk,
            text.replace('"1"', junk, 1),
            text.replace('{"format"', '{"format": "ufm-certificate/1", "format"', 1),
            text.replace('"claim": {', '"claim": {"loss": "ce", ', 1),
        ]
    )


def make_huge(rng: random.Random, certificate: Json, pool: list[Json]) -> str:
    found = numbers(certificate, rng.choice(["claim", "witness"])) or numbers(certificate, "claim")
    path = rng.choice(found)
    value = get(certificate, path)
    put(certificate, path, rng.choice(["9" * 401, "1" + "0" * 5000, "1/" + "3" * 4500, "1/0", "-" * 50 + "1", 10**400]))
    if rng.random() < 0.3:
        put(certificate, path, [[value] * 200] * 200)
    return json.dumps(certificate)


TAMPERINGS: list[Callable[[random.Random, Json, list[Json]], Any]] = [
    change_number("claim"),
    change_number("witness"),
    change_digit,
    narrow,
    round_wrongly,
    widen,
    shift,
    swap_witness,
    swap_witness_part,
    swap_claim_part,
    easier_problem,
    rename,
    restructure,
    break_text,
    make_huge,
    lambda rng, certificate, pool: [change_number(part)(rng, certificate, pool) for part in ("claim", "witness")],
]


def still_true(original: Json, text: str) -> bool:
    """Whether what was accepted is true: the original's claim, or one that the oracle confirms."""
    tampered = json.loads(text)
    if tampered["claim"] == original["claim"]:
        return True
    if tampered["claim"]["kind"] == "counterexample":
        margin = oracle.counterexample_margin(tampered["claim"], tampered["witness"])
        return bool(margin >= oracle.big(tampered["claim"]["statement"]["margin"]))
    return oracle.holds(tampered["claim"])


def tampered_texts(
    rng: random.Random, pool: list[Json], tamper: Callable[..., Any], rounds: int
) -> list[tuple[Json, str]]:
    """Tamperings that changed something."""
    found = []
    while len(found) < rounds:
        original = rng.choice(pool)
        certificate = copy.deepcopy(original)
        result = tamper(rng, certificate, pool)
        text = result if isinstance(result, str) else json.dumps(certificate)
        if text != json.dumps(original):
            found.append((original, text))
    return found


def test_the_certificates_that_get_tampered_with_are_valid_and_true(pool):
    for certificate in pool:
        assert checker.check(certificate)
        if certificate["claim"]["kind"] == "counterexample":
            margin = oracle.counterexample_margin(certificate["claim"], certificate["witness"])
            assert margin >= oracle.big(certificate["claim"]["statement"]["margin"])
        else:
            assert oracle.holds(certificate["claim"])


def test_no_tampered_certificate_passes_unless_its_claim_is_still_true(pool):
    rng = random.Random(20240117)
    counts: Counter[str] = Counter()
    for tamper in TAMPERINGS:
        for original, text in tampered_texts(rng, pool, tamper, ROUNDS):
            outcome = checker.check(text)
            counts["accepted" if outcome else "rejected"] += 1
            assert outcome.reason
            if outcome:
                assert still_true(original, text), (outcome.statement, text[:2000])
    assert counts.total() == ROUNDS * len(TAMPERINGS) >= 1000
    # both happen: most tamperings are caught, and some (a wider interval, a longer way to write 1/2) leave a true claim
    assert counts["rejected"] >= 0.8 * counts.total()
    assert counts["accepted"] >= 50


def _without_budget(value: Any, name: str, rows: int, columns: int | None, budget: Any) -> Any:
    return checker.matrix(value, name, rows, columns, checker.MAX_FACTOR_SIZE)


WRONG_ON_PURPOSE: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "norms of gradients are not checked": lambda m: m.setattr(checker, "spectral_norm_at_most", lambda *_: True),
    "factors weigh nothing": lambda m: m.setattr(
        checker, "factor_norms", lambda claim, *_: tuple(checker.arb(0) for _ in range(3))
    ),
    "rho is not read": lambda m: m.setattr(checker, "fraction", lambda *_: checker.fmpq(0)),
    "rounding of six digits": lambda m: m.setattr(checker, "PRECISION", 12),
    "Frobenius norms are not checked": lambda m: m.setattr(checker, "factor_matrix", _without_budget),
    "optimum with s_B = 0 taken anywhere": lambda m: m.setattr(
        checker, "multiplier_ratio", lambda *args: checker.arb(2 if args[-1] in ("above", "angle") else 0)
    ),
}


@pytest.mark.parametrize("mistake", WRONG_ON_PURPOSE)
def test_a_checker_with_a_mistake_lets_a_false_claim_or_loses_a_true_one(pool, monkeypatch, mistake):
    """The tamperings above have teeth: a checker wrong on purpose does not come through them."""
    WRONG_ON_PURPOSE[mistake](monkeypatch)
    if not all(checker.check(certificate) for certificate in pool):
        return  # caught by the valid certificates already
    rng = random.Random(5)
    for tamper in (
        easier_problem,
        narrow,
        change_number("claim"),
        change_number("witness"),
        swap_witness,
        rename,
        widen,
    ):
        for original, text in tampered_texts(rng, pool, tamper, 300):
            if checker.check(text) and not still_true(original, text):
                return
    pytest.fail(f"nothing noticed that {mistake}")
