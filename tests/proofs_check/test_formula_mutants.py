"""A mutant for each rule of losses that state themselves: without the rule something false is accepted.

Mutants are changes of a few words in the source of the rules. What they accept is judged from outside: expressions by
another evaluation at many points, certificates by feasible points that the false bound exceeds.
"""

from __future__ import annotations

import inspect
import json
import math
import sys
import types
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import certificate_oracle as oracle
import numpy as np
import pytest
from flint import arb, ctx, fmpq
from stated_losses import Quartic
from tampering import Json, edited

import ufm
from proofs_check import checker
from proofs_check.kinds import formula as rules
from proofs_check.kinds import labels, open_value
from proofs_check.kinds.reading import Reject
from proofs_check.precision import precision

SOURCE = inspect.getsource(rules)


@pytest.fixture
def broken(monkeypatch):
    """Makes the rules with a few words replaced, which stand in the source once, or in order as often as they say."""

    def make(old: str, new: str) -> types.ModuleType:
        assert SOURCE.count(old) == 1, f"{old!r} is {SOURCE.count(old)} times in the rules"
        module = types.ModuleType("broken_rules")
        monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses look themselves up there
        exec(compile(SOURCE.replace(old, new), module.__name__, "exec"), module.__dict__)
        module.Reject = Reject
        return module

    return make


# Expressions ----------------------------------------------------------------------------------------------------------

S = ["sum", "z"]
MINUS_EXP = ["*", "-1", ["exp", S]]
#: log 3 less a rational near it: 9e-8, of unknown sign at 20 bits.
TINY = ["sum", ["log", "3"], ["*", "-1", "5493061/5000000"]]
#: 0 in a wide ball.
WIDE = 16 * [["log", "3"], ["*", "-1", ["log", "3"]]]


@dataclass(frozen=True)
class Mutant:
    """What is broken, and what shows it.

    Attributes:
        old, new: words of the source and what replaces them.
        expression: accepted without the rule.
        z: where its tangent is taken.
        direction: every entry of the direction asked about.
        bits: working precision.
        refused: why the rules refuse the expression; None where they accept it, and say of it what is true.
        meaningless: the expression has no value, so that accepting it is all that is wrong.
    """

    old: str
    new: str
    expression: Any
    z: tuple[float, ...] = (0.25, 0.25)
    direction: int = 0
    bits: int = 128
    refused: str | None = None
    meaningless: bool = False


MUTANTS: dict[str, Mutant] = {
    # sums
    "convex plus concave": Mutant(
        "if {CONVEX, CONCAVE} <= levels:",
        "if False:",
        ["sum", ["exp", S], ["*", "-2", ["abs", S]]],
        refused="convex and a concave",
    ),
    "convex plus affine is convex": Mutant(
        "x for x in (CONVEX, CONCAVE, AFFINE) if x in levels",
        "x for x in (AFFINE, CONVEX, CONCAVE) if x in levels",
        ["*", "-1", ["sum", ["exp", S], S]],
        refused="the loss is concave",
    ),
    "a sum is >= 0 if all parts are": Mutant(
        "all(c.low for c in cells)", "any(c.low for c in cells)", ["sum", ["exp", S], "-3"]
    ),
    "a sum is <= 0 if all parts are": Mutant(
        "all(c.high for c in cells)",
        "any(c.high for c in cells)",
        ["abs", ["sum", MINUS_EXP, "3"]],
        refused="abs of a concave",
    ),
    "a sum drifts if all parts do": Mutant(
        "sum(drifts, fmpq(0)) if len(drifts) == len(cells) else None",
        "sum(drifts, fmpq(0))",
        ["sum", ["exp", S], S],
        direction=1,
    ),
    # products
    "one factor is free of z": Mutant(
        """    if by.level != CONSTANT:
        raise Reject("expression: one part of a product is free of z")""",
        "",
        ["*", S, S],
        z=(0.5, 0.5),
        refused="free of z",
    ),
    "nothing but 0 makes 0": Mutant(
        "(by.low and by.high)", "(by.low or by.high)", ["*", "-1", ["abs", S]], refused="concave"
    ),
    "factors have a sign": Mutant(
        "if not (by.low or by.high):", "if False:", ["*", TINY, MINUS_EXP], bits=20, refused="factor of unknown sign"
    ),
    "negative factors turn": Mutant(
        "level if by.low else CONCAVE if level == CONVEX else CONVEX", "level", MINUS_EXP, refused="the loss is concave"
    ),
    "negative factors turn the sign": Mutant(
        "(cell.low, cell.high) if by.low else (cell.high, cell.low) if by.high else (False, False)",
        "(cell.low, cell.high)",
        ["*", "-1", ["sum", MINUS_EXP, "3"]],
    ),
    "factors stretch the drift": Mutant(
        "cell.drift * by.value if isinstance", "cell.drift if isinstance", ["*", "3", S], direction=1
    ),
    "factors stretch the slopes": Mutant("{i: x * arb(by.value) for i, x", "{i: x for i, x", ["*", "1/3", ["exp", S]]),
    # quotients and logarithms
    "denominators are free of z": Mutant(
        "if below.level != CONSTANT or not (", "if not (", ["/", "1", S], refused="free of z and not 0"
    ),
    "logarithms are free of z": Mutant(
        "if cell.level != CONSTANT or not x > 0:",
        "if not x > 0:",
        ["log", ["sum", "1", ["exp", S]]],
        refused="log of what",
    ),
    # compositions
    "exp of concave": Mutant(
        "[x.exp()], [True], [False]", "[x.exp()], [True], [True]", ["exp", MINUS_EXP], refused="exp of a concave"
    ),
    "softplus of concave": Mutant(
        "[1 / (1 + (-x).exp())], [True], [False]",
        "[1 / (1 + (-x).exp())], [True], [True]",
        ["softplus", ["*", "-3", ["abs", S]]],
        refused="softplus of a concave",
    ),
    "max of concave": Mutant(
        "top, partials, every, [False] * n",
        "top, partials, every, every",
        ["max", "-2", MINUS_EXP],
        refused="max of a concave",
    ),
    "log-sum-exp of concave": Mutant(
        "[(y - value).exp() for y in x], every, [False] * n",
        "[(y - value).exp() for y in x], every, every",
        ["logsumexp", "-2", MINUS_EXP],
        refused="logsumexp of a concave",
    ),
    "norm of convex": Mutant(
        "[c.low for c in cells], [c.high for c in cells]",
        "every, [c.high for c in cells]",
        ["norm", "1/8", ["sum", ["exp", S], "-1"]],
        z=(-0.5, -0.5),
        refused="norm of a convex",
    ),
    "norm of concave": Mutant(
        "[c.low for c in cells], [c.high for c in cells]",
        "[c.low for c in cells], every",
        ["norm", "1/8", ["sum", "1", MINUS_EXP]],
        z=(-0.5, -0.5),
        refused="norm of a concave",
    ),
    "abs of convex": Mutant(
        "[slope], [cell.low], [cell.high]",
        "[slope], [True], [cell.high]",
        ["abs", ["sum", ["exp", S], "-1"]],
        z=(-0.5, -0.5),
        refused="abs of a convex",
    ),
    "huber of concave": Mutant(
        "[slope], [cell.low], [cell.high]",
        "[slope], [cell.low], [True]",
        ["huber", ["sum", "1", MINUS_EXP], "1/8"],
        z=(-0.5, -0.5),
        refused="huber of a concave",
    ),
    "squares of convex": Mutant(
        "[n * whole_power(x, n - 1)], [cell.low], [cell.high]",
        "[n * whole_power(x, n - 1)], [True], [cell.high]",
        ["power", ["sum", ["exp", S], "-1"], "2"],
        z=(-1.0, -1.0),
        refused="power of a convex",
    ),
    "squares of concave": Mutant(
        "[n * whole_power(x, n - 1)], [cell.low], [cell.high]",
        "[n * whole_power(x, n - 1)], [cell.low], [True]",
        ["power", ["sum", "1", MINUS_EXP], "2"],
        z=(-1.0, -1.0),
        refused="power of a concave",
    ),
    "cubes": Mutant("if not cell.low:", "if False:", ["power", S, "3"], z=(0.5, 0.5), refused="not even"),
    "what is composed with constants drifts": Mutant("fmpq(0) if still else None", "fmpq(0)", ["exp", S], direction=1),
    # signs and kinks
    "a maximum is >= 0 if one part is": Mutant(
        "low, drifts = any(cell.low for cell in cells)", "low, drifts = True", ["max", S, "-1"]
    ),
    "a maximum's slope is its leader's": Mutant(
        "if not any(x[y] < x[other]", "if not any(x[y] > x[other]", ["max", S, ["*", "-1", S]]
    ),
    "leaders share the slope": Mutant(
        "(arb(1) if led == [i] else arb(0).union(arb(1)))", "arb(1)", ["max", S, ["*", "2", S]], z=(0.0, 0.0)
    ),
    "constants have their maximum": Mutant(
        "constant(max(cell.value for cell in cells))",
        "constant(min(cell.value for cell in cells))",
        ["sum", S, ["*", "-1", ["max", "1", "2"]]],
    ),
    "all arguments drift alike": Mutant("len(drifts) == 1:", "drifts:", ["max", S, ["*", "2", S]], direction=1),
    "shares of exponentials": Mutant(
        "[(y - value).exp() for y in x]", "[(y - top).exp() for y in x]", ["logsumexp", S, ["*", "2", S]]
    ),
    "a norm at 0": Mutant("if value > 0 else arb(0, 1)", "if value > 0 else arb(1)", ["norm", "z"], z=(0.0, 0.0)),
    "a kink at 0": Mutant("if x < 0 else arb(0, 1)", "if x < 0 else arb(2)", ["abs", S], z=(0.0, 0.0)),
    "abs falls below 0": Mutant("else arb(-1) if x < 0", "else arb(1) if x < 0", ["abs", S], z=(-1.0, -1.0)),
    # widths and exponents
    "widths are free of z": Mutant(
        "if not known(width) or not", "if not", ["huber", "1", ["abs", S]], refused="width of huber"
    ),
    "beyond its width huber is linear": Mutant(
        "x.min(arb(width.value)).max(-arb(width.value))", "x.min(arb(width.value))", ["huber", S, "1"], z=(-1.5, -1.5)
    ),
    "exponents are at least 1": Mutant(
        "not 1 <= p <= MAX_POWER", "not 0 < p <= MAX_POWER", ["power", ["abs", S], "1/2"], refused="exponent"
    ),
    "even exponents are even": Mutant(
        "if whole and int(p.p) % 2 == 0:", "if whole:", ["power", S, "3"], z=(0.5, 0.5), refused="not even"
    ),
    "even exponents are whole": Mutant(
        "if whole and int(p.p) % 2 == 0:", "if int(p.p) % 2 == 0:", ["power", ["abs", S], "4/3"], z=(1.0, 1.0)
    ),
    "powers have their slope": Mutant(
        "[arb(p) * raised(x, p - 1)]", "[raised(x, p - 1)]", ["power", ["max", "0", S], "3"], z=(1.0, 1.0)
    ),
    "powers of balls": Mutant(
        "return below.union(above)", "return above", ["power", ["abs", ["sum", S, *WIDE]], "3/2"], bits=20
    ),
    # what a loss is
    "losses are not concave": Mutant(
        "if found[0].level == CONCAVE:", "if False:", MINUS_EXP, refused="the loss is concave"
    ),
    "losses are scalars": Mutant("if len(found) != 1:", "if False:", "z", refused="a scalar", meaningless=True),
    "vectors are of one length": Mutant(
        "if any(len(part) not in (1, width) for part in given):",
        "if False:",
        ["sum", ["sum", "z", ["list", "1", "1", "1"]]],
        refused="different lengths",
        meaningless=True,
    ),
    "lists have scalars": Mutant(
        'if word == "list" and any(len(part) != 1 for part in given):',
        "if False:",
        ["sum", ["list", "z", "z"]],
        refused="a list has scalars",
        meaningless=True,
    ),
    "entries are those that there are": Mutant(
        'found[integer(node[2], "entry", 0, len(found) - 1)]',
        "found[node[2]]",
        ["at", "z", -1],
        refused="entry",
        meaningless=True,
    ),
    "widths of huber are positive": Mutant(
        "or not width.value > 0:", "or False:", ["huber", S, "-1"], refused="width of huber", meaningless=True
    ),
    "words are known": Mutant(
        "node[0] not in words", "False", ["cosh", S], refused="no list of a known operation", meaningless=True
    ),
}


def told(module: types.ModuleType, mutant: Mutant) -> Any:
    """What the rules say of the expression at its point."""
    module.read(mutant.expression, len(mutant.z), 1)
    zero = [fmpq(0)] * len(mutant.z)
    return module.column(mutant.expression, [arb(x) for x in mutant.z], zero, [fmpq(mutant.direction)] * len(mutant.z))


def faults(module: types.ModuleType, mutant: Mutant) -> list[str]:
    """What of that is false, by the values of the expression at other points."""
    import torch

    function = oracle.stated(mutant.expression)

    def value(z: Any) -> float:
        x = torch.tensor(np.asarray(z, dtype=float))
        return float(function(x, torch.zeros(len(mutant.z), dtype=torch.float64)))

    with ctx.workprec(mutant.bits):
        found = told(module, mutant)
        at = np.array(mutant.z)
        steps = [0.0, *(sign * size for size in (0.05, 0.2, 0.5, 1.0, 2.0, 20.0) for sign in (1, -1))]
        points = [at + step * np.array(part) for step in steps for part in ((1, 1), (1, 0), (0, 1), (1, -1))]
        wrong = []
        for y in points:
            reached = arb(found.value)
            reached += sum(
                (x * arb(float(d)) for i, d in enumerate(y - at) if (x := found.slopes.get(i)) is not None), arb(0)
            )
            if float(reached.lower()) > value(y) + 1e-9 * (1 + abs(value(y))):
                wrong.append(f"its tangent is {reached} at {y}, it {value(y)}")
            if found.low and value(y) < -1e-9:
                wrong.append(f"it is {value(y)} < 0 at {y}")
        if found.drift is not None:
            moved = value(at + mutant.direction) - value(at)
            if abs(moved - float(arb(found.drift))) > 1e-9 * (1 + abs(moved)):
                wrong.append(f"its drift is {found.drift}, a shift adds {moved}")
    return wrong


@pytest.mark.parametrize("rule", MUTANTS)
def test_without_the_rule_what_is_false_is_accepted(broken, rule):
    mutant = MUTANTS[rule]
    if mutant.refused is None:
        assert not faults(rules, mutant)
    else:
        with ctx.workprec(mutant.bits), pytest.raises(Reject, match=mutant.refused):
            told(rules, mutant)
    module = broken(mutant.old, mutant.new)
    if mutant.meaningless:
        told(module, mutant)
    else:
        assert faults(module, mutant)


# Certificates ---------------------------------------------------------------------------------------------------------


class Dipped(ufm.Loss):
    """Mean squared error less what it is at 0: below 0, but for a target 0."""

    is_convex = True
    infimum = -math.inf

    def values(self, logits, targets):
        return (logits**2).sum(axis=0) / 8 - (targets * logits).sum(axis=0)

    def gradients(self, logits, targets):
        return logits / 4 - targets

    def formula(self, logits, target):
        return self.values(logits, target)


PRIOR = ufm.ClassPrior([5, 2, 1])
SETS = ufm.Labels.multi_label(3, [(0,), (1, 2), ()], [5, 2, 1])
#: Budgets next to 0, where logits do next to nothing and the bias all.
NOTHING = ufm.LayerPeeled(1e-3, 1e-3)


@pytest.fixture(scope="module")
def solved() -> dict[str, tuple[ufm.Solution, Json]]:
    found = {
        "quartic": ufm.solve(ufm.LayerPeeled(0.4, 0.4), PRIOR, Quartic()),
        "dipped": ufm.solve(ufm.LayerPeeled(0.4, 0.4), SETS, Dipped()),
        "free": ufm.solve(NOTHING, PRIOR, Quartic(), bias="free"),
    }
    return {name: (s, json.loads(ufm.certify(s).to_json())) for name, s in found.items()}


def listed(matrix: Any) -> list[list[str]]:
    return [[str(Fraction(float(x))) for x in row] for row in np.atleast_2d(matrix)]


def biased(*moves: tuple[float, float, float]) -> Any:
    """Biases, best ones moved."""

    def made(s: ufm.Solution) -> list[list[str]]:
        return listed(s.bias + np.array(moves))

    return made


def off(*moves: tuple[float, float, float]) -> Any:
    """Biases, the first entry as if there were none of it: a bound for less freedom, which is higher."""

    def made(s: ufm.Solution) -> list[list[str]]:
        return listed(s.bias * [0, 1, 1] + np.array(moves))

    return made


OFF = off((0, 0.01, 0), (0, 0, 0.01), (0, -0.01, -0.01))
AROUND = biased((0.01, 0, 0), (0, 0.01, 0), (0, 0, 0.01), (-0.01, -0.01, -0.01))
FAR = 3 * np.eye(3)

#: The rule's words, the mutant's, the certificate whose dual is changed, and how.
DUALS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "tangents start at their point": (
        "offset += arb(pi) * (cell.value - sum(",
        "offset += arb(pi) * (cell.value + sum(",
        "quartic",
        {"logits": [FAR]},
    ),
    "values have the columns' weights": ("offset += arb(pi) * (", "offset += (", "quartic", {}),
    "slopes have the columns' weights": ("g[i, j] = arb(pi) * x", "g[i, j] = arb(pi) ** 2 * x", "quartic", {}),
    "a share is not negative": ("if not 0 <= share <= 1:", "if not share <= 1:", "quartic", {"share": "-1"}),
    "a share is at most 1": (
        "if not 0 <= share <= 1:",
        "if not 0 <= share:",
        "quartic",
        {"share": "2", "logits": [FAR, lambda s: s.logits]},
    ),
    "a share of 0 is of what is >= 0": (
        "if share and not other and not tangents[0].low:",
        "if False:",
        "dipped",
        {"share": "1/2"},
    ),
    "what is >= 0 is so in every column": (
        "low, still = low and cell.low, still",
        "low, still = low or cell.low, still",
        "dipped",
        {"share": "1/2"},
    ),
    "with a free bias rows sum to 0": (
        "if claim.bias is None or claim.bias != 0:",
        "if True:",
        "free",
        {"biases": off((0, 0, 0)), "direction": None},
    ),
    "all rows do": (
        "next((i for i, c in enumerate(direction) if c != 0), None)",
        "0",
        "free",
        {"biases": OFF, "direction": None},
    ),
    "directions are tried": (
        "if any(direction) and not all(still for _, still in found):",
        "if False:",
        "free",
        {"biases": OFF, "direction": ["1", "1", "1"]},
    ),
    "directions are tried in every column": (
        "still and cell.drift == 0",
        "True",
        "free",
        {"biases": OFF, "direction": ["1", "1", "1"]},
    ),
    "weights are positive": (
        "if not all(x > 0 for x in found):",
        "if False:",
        "free",
        {"biases": biased((0.2, 0.2, 0.2), (0.4, 0.2, 0.2), (0.2, 0.4, 0.2), (0.2, 0.2, 0.4)), "direction": None},
    ),
    "the second matrix has rows": (
        "([-arb(share) * last[i]] for i in rows)",
        "([arb(0)] for i in rows)",
        "free",
        {
            "biases": AROUND,
            "direction": None,
            "share": "1/2",
            "logits": [lambda s: s.logits, lambda s: s.logits + (s.bias * [0, 1, 1])[:, None]],
        },
    ),
}


def tampered(solution: ufm.Solution, certificate: Json, changes: dict[str, Any]) -> Json:
    """The certificate with another dual, and the bound of its size that the rules in force make of it."""
    made = edited(certificate)
    for key, new in changes.items():
        if key == "logits":
            new = [listed(z(solution) if callable(z) else z) for z in new]
        made["witness"]["dual"][key] = new(solution) if callable(new) else new
    with precision(checker.PRECISION):
        claim = checker.read_open(made["claim"])
        g = np.array([[float(x) for x in row] for row in open_value.balanced(claim, made["witness"]["dual"])[0]])
        made["witness"]["bound"] = str(Fraction(float(np.linalg.norm(g, 2))) * (1 + Fraction(1, 2**40)))
        lower = float(open_value.enclose(claim, made["witness"])[0].lower())
    made["claim"]["statement"]["lower"] = str(Fraction(lower) - Fraction(abs(lower)) / 1000)
    made["claim"]["statement"]["upper"] = str(
        max(Fraction(lower), Fraction(certificate["claim"]["statement"]["upper"]))
    )
    return made


@pytest.mark.parametrize("rule", DUALS)
def test_without_the_rule_a_false_bound_is_accepted(broken, monkeypatch, solved, rule):
    old, new, name, changes = DUALS[rule]
    solution, honest = solved[name]
    module = broken(old, new)
    with monkeypatch.context() as during:
        during.setattr(labels, "formula", module)
        during.setattr(open_value, "formula", module)
        false = tampered(solution, honest, changes)
        assert checker.check(false), checker.check(false).reason
    # above what feasible factors have, by the checker's own enclosure
    assert Fraction(false["claim"]["statement"]["lower"]) > Fraction(honest["claim"]["statement"]["upper"])
    assert not checker.check(false)


def test_without_the_rule_a_column_alone_makes_a_loss_nonnegative(broken, monkeypatch, solved):
    _, honest = solved["dipped"]
    false = edited(honest, claim__statement__lower="0", claim__statement__upper="0")
    assert Fraction(honest["claim"]["statement"]["upper"]) < 0
    assert not checker.check(false)
    module = broken("return all(column(claim.formula, zero", "return any(column(claim.formula, zero")
    monkeypatch.setattr(open_value, "formula", module)
    assert checker.check(false)


def test_every_function_of_the_rules_has_a_mutant():
    """But those that read, spell, count, or put the others together."""
    words = [*(mutant.old for mutant in MUTANTS.values()), *(old for old, *_ in DUALS.values()), "return all(column("]
    stated = [f for f in vars(rules).values() if inspect.isfunction(f) and f.__module__ == rules.__name__]
    sources = {f.__name__: inspect.getsource(f) for f in stated}
    without = {name for name, source in sources.items() if not any(word in source for word in words)}
    assert without == {"constant", "known", "risk", "spell", "work"}
