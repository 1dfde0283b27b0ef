"""Tamperings of certificates: each changes a copy in place, or returns the text of a file."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from proofs_check import checker

Json = dict[str, Any]
Path = tuple[Any, ...]


def edited(certificate: Json, **changes: Any) -> Json:
    """A copy with values replaced; keys are paths joined by two underscores, list indices included."""
    result = copy.deepcopy(certificate)
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("__")]
        node: Any = result
        for part in parents:
            node = node[part]
        if value is ...:
            del node[last]
        else:
            node[last] = value
    return result


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


def _interval(rng: random.Random, statement: Json) -> tuple[Any, Any, Any] | None:
    """An interval of a statement: what holds it, and the keys of its ends."""
    pairs = [(value, 0, 1) for value in statement.values() if isinstance(value, list) and len(value) == 2]
    pairs += [(statement, "lower", "upper")] if "lower" in statement else []
    return rng.choice(pairs) if pairs else None


def narrow(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    """Move one end of the interval, or the margin, to the wrong side."""
    statement = certificate["claim"]["statement"]
    found = _interval(rng, statement)
    if found:
        node, low_key, high_key = found
        low, high = Fraction(node[low_key]), Fraction(node[high_key])
        part = Fraction(rng.randint(1, 1000), 1000) * rng.choice([1, 2, 10**6])
        key, value = (
            (low_key, low + part * (high - low)) if rng.random() < 0.5 else (high_key, high - part * (high - low))
        )
        node[key] = str(value)
    for key in BOUNDED_BELOW & set(statement):
        statement[key] = str(Fraction(statement[key]) * (1 + Fraction(1, 10 ** rng.randint(1, 20))))


#: Statements that a number is at least so large.
BOUNDED_BELOW = {"margin", "distance_squared"}


def round_wrongly(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    """Round one end of the interval inwards."""
    found = _interval(rng, certificate["claim"]["statement"])
    if found:
        scale = 10 ** rng.randint(3, 25)
        node, low_key, _ = found
        end = rng.choice(found[1:])
        value = Fraction(node[end]) * scale
        down = value.numerator // value.denominator
        node[end] = str(Fraction(down + 1 if end == low_key else down, scale))


def widen(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    """Still true where an interval grows; the checker may accept it."""
    statement = certificate["claim"]["statement"]
    found = _interval(rng, statement)
    if found:
        node, low_key, high_key = found
        part = Fraction(1, 10 ** rng.randint(1, 25))
        node[low_key] = str(Fraction(node[low_key]) * (1 - part))
        node[high_key] = str(Fraction(node[high_key]) * (1 + part))
    for key in BOUNDED_BELOW & set(statement):
        statement[key] = str(Fraction(statement[key]) * Fraction(rng.randint(1, 99), 100))


def shift(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    """The whole interval moves by part of its width."""
    found = _interval(rng, certificate["claim"]["statement"])
    if found:
        node, low_key, high_key = found
        low, high = Fraction(node[low_key]), Fraction(node[high_key])
        move = (high - low) * Fraction(rng.randint(-3000, 3000), 1000)
        node[low_key], node[high_key] = str(low + move), str(high + move)


def swap_witness(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    certificate["witness"] = copy.deepcopy(rng.choice(pool)["witness"])


def swap_witness_part(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    other = rng.choice(pool)["witness"]
    for key in set(other) & set(certificate["witness"]):
        certificate["witness"][key] = copy.deepcopy(other[key])
        return


def swap_claim_part(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    key = rng.choice(["architecture", "prior", "labels", "loss", "bias", "statement", "kind"])
    other = rng.choice(pool)["claim"]
    if key in other:
        certificate["claim"][key] = copy.deepcopy(other[key])


def easier_problem(rng: random.Random, certificate: Json, pool: list[Json]) -> None:
    """More budget, less decay, fewer classes, a looser bound: the same statement about another problem."""
    architecture, prior = certificate["claim"]["architecture"], certificate["claim"].get("prior")
    if rng.random() < 0.3 and isinstance(prior, list):
        group = rng.choice(prior)
        group["classes"] = max(1, group["classes"] - 1)
        return
    if "features" in architecture and rng.random() < 0.5:
        del architecture["features"]
        return
    keys = [key for key in architecture if key not in ("name", "features", "kind", "depth")]
    if not keys:  # unit vectors
        return
    key = rng.choice(keys)
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
        if isinstance(claim["loss"], dict):
            claim["loss"]["name"] = rng.choice(["ce", "bce", "mse", "squared_hinge"])
            claim["loss"] = rng.choice([claim["loss"], {"name": claim["loss"]["name"]}])
        else:
            claim["loss"] = {"ce": "mse", "mse": "ce"}[claim["loss"]]
    elif rng.random() < 0.3 and "bias" in claim:
        claim["bias"] = rng.choice([None, "free", "1/10", "7"])
    elif rng.random() < 0.3 and "collapsed" in claim["statement"]:
        claim["statement"]["collapsed"] = not claim["statement"]["collapsed"]
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


def tampered_texts(
    rng: random.Random, pool: list[Json], tamper: Callable[..., Any], rounds: int, others: list[Json] | None = None
) -> list[tuple[Json, str]]:
    """Tamperings that changed something, fewer than ``rounds`` where few do; parts are swapped with ``others``."""
    found = []
    for _ in range(20 * rounds):
        original = rng.choice(pool)
        certificate = copy.deepcopy(original)
        result = tamper(rng, certificate, others or pool)
        text = result if isinstance(result, str) else json.dumps(certificate)
        if text != json.dumps(original):
            found.append((original, text))
        if len(found) == rounds:
            break
    return found


def judged_by(holds: Callable[[Json, Json], Any]) -> Callable[[Json, str], bool]:
    """Whether what was accepted is true: the original's claim, or one that holds, by claim and witness."""

    def still_true(original: Json, text: str) -> bool:
        tampered = json.loads(text)
        return bool(tampered["claim"] == original["claim"] or holds(tampered["claim"], tampered["witness"]))

    return still_true


def accepted_tamperings(
    rng: random.Random, pool: list[Json], rounds: int, still_true: Callable[[Json, str], bool]
) -> int:
    """How many of ``rounds`` of every tampering the checker accepts; an AssertionError where one is no longer true."""
    return _tampered(rng, pool, rounds, still_true, pool)[1]


def tampered_by_kind(
    rng: random.Random, pool: list[Json], rounds: int, still_true: Callable[[Json, str], bool]
) -> dict[str, tuple[int, int]]:
    """Of every kind of certificate, how many were tampered with and accepted; an AssertionError as above."""
    kinds: dict[str, list[Json]] = {}
    for certificate in pool:
        kinds.setdefault(certificate["claim"]["kind"], []).append(certificate)
    return {kind: _tampered(rng, members, rounds, still_true, pool) for kind, members in kinds.items()}


def _tampered(
    rng: random.Random, pool: list[Json], rounds: int, still_true: Callable[[Json, str], bool], others: list[Json]
) -> tuple[int, int]:
    tried = accepted = 0
    for tamper in TAMPERINGS:
        for original, text in tampered_texts(rng, pool, tamper, rounds, others):
            outcome = checker.check(text)
            tried, accepted = tried + 1, accepted + bool(outcome)
            assert not outcome or still_true(original, text), (outcome.statement, text[:2000])
    return tried, accepted


def check_rejected(certificate: Json, changes: Json, reason: str) -> None:
    """Assert that the checker rejects a changed certificate, for one of the reasons separated by " or "."""
    outcome = checker.check(edited(certificate, **changes))
    assert not outcome
    assert any(part in outcome.reason for part in reason.split(" or ")), outcome.reason
