"""The facts of the steps as statements of Coq: the variables, their domain, that all is defined, the conclusion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sympy as sp

from proofs_check.coq_steps.terms import NotExported, conditions, name_symbols, term
from proofs_check.theorems.facts import Range

__all__ = ["Condition", "Statement", "state"]

#: A part, its relation to 0.
Condition = tuple[sp.Expr, str]

_COQ = {"==": "=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}


@dataclass(frozen=True)
class Statement:
    """A Coq statement, taken apart for the proof.

    Attributes:
        fact: what it states.
        names: identifiers of the symbols.
        variables: the symbols that it is about, in order.
        hypotheses: name and text of each bound on them.
        defined: what has to hold for the expressions to be defined, proved with the conclusion.
        conclusion: the text of the conclusion.
    """

    fact: Any
    names: dict[sp.Symbol, str]
    variables: tuple[sp.Symbol, ...]
    hypotheses: tuple[tuple[str, str], ...]
    defined: tuple[Condition, ...]
    conclusion: str

    @property
    def text(self) -> str:
        """The whole statement."""
        quantifier = f"forall {' '.join(self.names[x] for x in self.variables)} : R,\n  " if self.variables else ""
        arrows = "".join(f"{text} -> " for _, text in self.hypotheses)
        parts = [*(self.condition(c) for c in self.defined), self.conclusion]
        return quantifier + arrows + "\n  " + " /\\\n  ".join(parts)

    def condition(self, c: Condition) -> str:
        """Text of one condition."""
        return f"{self.term(c[0])} {c[1]} 0"

    def term(self, e: sp.Expr) -> str:
        """Text of an expression."""
        return term(e, self.names)


def bounds(r: Range, name: str) -> Iterator[str]:
    """The bounds of a range as hypotheses on a variable."""
    sign = "<=" if r.closed else "<"
    if r.low is not None:
        yield f"{term(r.low, {})} {sign} {name}"
    if r.high is not None:
        yield f"{name} {sign} {term(r.high, {})}"


def unique(items: Iterable[Condition], varies: Any = None) -> tuple[Condition, ...]:
    """Conditions once each; those on numbers other than 0 need no saying."""
    return tuple(dict.fromkeys((e, r) for e, r in items if not (isinstance(e, sp.Rational) and e > 0)))


def state(fact: Any) -> Statement:
    """The Coq statement of a fact.

    Raises:
        NotExported: it has none.
    """
    if fact is None:
        raise NotExported("the step records no fact")
    try:
        return {"relation": _relation, "start": _start, "monotone": _monotone, "limit": _limit}[fact.kind](fact)
    except KeyError as missing:
        raise NotExported(f"no statement for {missing}") from None


def _open(fact: Any, variables: Iterable[sp.Symbol], extra: Iterable[sp.Symbol] = ()) -> Any:
    variables = tuple(variables)
    names = name_symbols([*variables, *extra])
    ranges = dict(fact.domain)
    lines = [line for x in variables if x in ranges for line in bounds(ranges[x], names[x])]
    return names, variables, tuple((f"H{i}", line) for i, line in enumerate(lines))


def _relation(fact: Any) -> Statement:
    called = {name for _, name in fact.where}
    names, variables, hypotheses = _open(fact, [x for x, _ in fact.domain if x not in called])
    if fact.where:
        return _named(fact, called)
    conclusion = f"{term(fact.lhs, names)} {_COQ[fact.relation]} {term(fact.rhs, names)}"
    defined = unique([*conditions(fact.lhs), *conditions(fact.rhs)])
    return Statement(fact, names, variables, hypotheses, defined, conclusion)


def _named(fact: Any, called: set[sp.Symbol]) -> Statement:
    """For every value in the range of a name; that the expression named stays in it is part of the statement."""
    renamed = dict(fact.where)
    lhs, rhs = fact.lhs.xreplace(renamed), fact.rhs.xreplace(renamed)
    names, variables, hypotheses = _open(fact, [x for x, _ in fact.domain])
    keys = [key for key, _ in fact.where]
    ranges = dict(fact.domain)
    members = [line for key, name in fact.where for line in bounds(ranges[name], f"({term(key, names)})")]
    conclusion = f"{term(lhs, names)} {_COQ[fact.relation]} {term(rhs, names)}"
    defined = unique(c for e in (*keys, lhs, rhs) for c in conditions(e))
    return Statement(fact, names, variables, hypotheses, defined, " /\\\n  ".join([*members, conclusion]))


def _start(fact: Any) -> Statement:
    x = fact.variable
    names, variables, hypotheses = _open(fact, [y for y, _ in fact.domain])
    others = [*conditions(fact.function), *conditions(fact.derivative)]
    slope = f"is_derive (fun {names[x]} => {term(fact.function, names)}) {names[x]} ({term(fact.derivative, names)})"
    conclusion = f"{term(fact.lhs, names)} = 0 /\\\n  {slope}"
    return Statement(fact, names, variables, hypotheses, unique([*conditions(fact.lhs), *others]), conclusion)


def _monotone(fact: Any) -> Statement:
    """Two values of the variable in its range, the smaller one first."""
    x = fact.variable
    y = sp.Dummy(f"{x.name}'", real=True)
    names, variables, hypotheses = _open(fact, [z for z, _ in fact.domain], [y])
    names[y] = names.pop(y)
    more = tuple((f"I{i}", line) for i, line in enumerate(bounds(dict(fact.domain)[x], names[y])))
    order = ("L", f"{names[x]} < {names[y]}")
    sides = (fact.lhs, fact.lhs.xreplace({x: y}))
    sign = "<" if fact.relation == "increasing" else ">"
    # the same term twice, with the second value in the place of the first
    conclusion = f"{term(fact.lhs, names)} {sign} {term(fact.lhs, {**names, x: names[y]})}"
    defined = unique(c for e in sides for c in conditions(e))
    return Statement(fact, names, (*variables, y), (*hypotheses, *more, order), defined, conclusion)


def _limit(fact: Any) -> Statement:
    """``filterlim`` at the right of the point, for all values of the others."""
    x = fact.variable
    names, variables, hypotheses = _open(fact, [y for y, _ in fact.domain], [x])
    goal = {sp.oo: "(Rbar_locally p_infty)", -sp.oo: "(Rbar_locally m_infty)"}.get(fact.rhs)
    goal = goal or f"(locally ({term(fact.rhs, names)}))"
    conclusion = f"filterlim (fun {names[x]} => {term(fact.lhs, names)}) (at_right ({term(fact.point, names)})) {goal}"
    found = unique([*conditions(fact.lhs), *([] if fact.rhs in (sp.oo, -sp.oo) else conditions(fact.rhs))])
    defined = tuple(c for c in found if not c[0].has(x))
    near = [f"{term(e, names)} {sign} 0" for e, sign in found if e.has(x)]
    if near:
        start, moving = term(fact.point, names), names[x]
        both = " /\\ ".join(near)
        span = f"forall {moving} : R, {start} < {moving} < {start} + d_ -> {both}"
        conclusion = f"(exists d_ : R, 0 < d_ /\\ {span}) /\\\n  {conclusion}"
    return Statement(fact, names, variables, hypotheses, defined, conclusion)
