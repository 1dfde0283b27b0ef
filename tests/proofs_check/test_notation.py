"""What a theorem says, attacked: formulas in words, read back by rules written down once more, keep their value."""

from __future__ import annotations

import importlib
import inspect
import random
import re

import mpmath
import pytest
import sympy as sp
from effort import count
from random_facts import NO_VALUE, Setting, value

from proofs_check import notation, theorems
from proofs_check.notation import say

DIGITS = 50
TOKEN = re.compile(r"\s*(\d+|[^\W\d_²³⁴][^\W_²³⁴]*(?:_[^\W²³⁴]+)?|[²³⁴√∞+−/^(){},])")
POWERS = {"²": 2, "³": 3, "⁴": 4}
FUNCTIONS = {
    "log": mpmath.log,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "Abs": mpmath.fabs,
    "binomial": mpmath.binomial,
    "Min": min,
    "Max": max,
}


class Reader:
    """A formula as one reads it: sums of products of powers; products by juxtaposition, / of what stands beside it."""

    def __init__(self, text: str, at: dict[str, mpmath.mpf]) -> None:
        self.tokens, self.at = TOKEN.findall(text), at
        assert "".join(self.tokens) == text.replace(" ", "")

    def all(self) -> mpmath.mpf:
        found = self.sum()
        assert not self.tokens, self.tokens
        return found

    def peek(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def take(self, *wanted: str) -> str:
        return self.tokens.pop(0) if self.peek() in wanted else ""

    def sum(self) -> mpmath.mpf:
        sign = -1 if self.take("−") else 1
        found = sign * self.product()
        while sign := self.take("+", "−"):
            found += self.product() * (1 if sign == "+" else -1)
        return found

    def product(self) -> mpmath.mpf:
        found = self.power()
        while self.peek() not in ("", "+", "−", ")", "}", ","):
            found = found / self.power() if self.take("/") else found * self.power()
        return found

    def power(self) -> mpmath.mpf:
        base = self.atom()
        if self.take("^"):
            return base ** (self.group("{", "}") if self.peek() == "{" else self.atom())
        return base ** POWERS[self.tokens.pop(0)] if self.peek() in POWERS else base

    def group(self, start: str, end: str) -> mpmath.mpf:
        assert self.take(start)
        found = self.sum()
        assert self.take(end)
        return found

    def atom(self) -> mpmath.mpf:
        if self.peek() == "(":
            return self.group("(", ")")
        word = self.tokens.pop(0)
        if word == "√":
            return mpmath.sqrt(self.atom())
        if word in FUNCTIONS:
            assert self.take("(")
            given = [self.sum()]
            while self.take(","):
                given.append(self.sum())
            assert self.take(")")
            return FUNCTIONS[word](*given)
        if word.isdigit():
            return mpmath.mpf(word)
        return self.at[word]


def read(text: str, point: dict[sp.Symbol, sp.Rational]) -> mpmath.mpf:
    at = {say(symbol): mpmath.mpf(int(x.p)) / int(x.q) for symbol, x in point.items()}
    return Reader(text, {"π": mpmath.pi * 1, "e": mpmath.e * 1} | at).all()


def kept(e: sp.Expr, point: dict[sp.Symbol, sp.Rational]) -> bool | None:
    """Whether a formula keeps its value; None where it has none."""
    with mpmath.workdps(DIGITS):
        try:
            wanted = value(e, point)
            with mpmath.extradps(20):
                again = value(e, point)
        except NO_VALUE:
            return None
        if not abs(again - wanted) <= mpmath.mpf(10) ** -30 * (1 + abs(wanted)):  # the logarithm of what should be 0
            return None
        if not isinstance(wanted, mpmath.mpf) or not mpmath.isfinite(wanted) or abs(wanted) > 1e40:
            return None
        return bool(abs(read(say(e), point) - wanted) <= mpmath.mpf(10) ** -30 * (1 + abs(wanted)))


def random_formulas(number: int, seed: int) -> list[tuple[sp.Expr, dict[sp.Symbol, sp.Rational]]]:
    rng, found = random.Random(seed), []
    for _ in range(number):
        s = Setting.draw(rng)
        kinds = (s.positive(2) + s.linear(), s.linear() / s.positive(1), s.positive(1) ** 2 * s.linear())
        found.append((rng.choice((*kinds, s.linear() - s.number() * s.positive(2))), s.point()))
    return found


def pieces() -> list[tuple[str, sp.Expr]]:
    """Every formula that a theorem is made of, and its false variants."""
    found = []
    for name in theorems.all_theorems():
        module = importlib.import_module(f"proofs_check.theorems.{name.replace('-', '_')}")
        given = [p.default for p in inspect.signature(module.prove).parameters.values()]
        given += [piece for variant in module.MUTANTS.values() for piece in variant.values()]
        found += [(name, e) for e in given if isinstance(e, sp.Expr) and not isinstance(e, sp.Number)]
    return found


def test_random_formulas_are_read_as_they_are() -> None:
    judged = [(kept(e, point), e) for e, point in random_formulas(count(60, 1000), 5)]
    assert [say(e) for good, e in judged if good is False] == []
    assert sum(good is True for good, _ in judged) > len(judged) / 2


def test_formulas_of_theorems_are_read_as_they_are() -> None:
    tried, rng = 0, random.Random(2)
    for name, e in pieces():
        for _ in range(4):  # symbols that stand for a count, a share, a size
            point = {
                s: sp.Rational(rng.randint(1, 9), 1 if s.is_integer else rng.choice((1, 7)))
                for s in sorted(e.free_symbols, key=str)
            }
            good = kept(e, point)
            if good is not None:
                assert good, (name, say(e))
                tried += 1
                break
    assert tried > 500


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (sp.sqrt(sp.Symbol("x", positive=True)) ** -3, "x^{−3/2}"),
        (1 / sp.sqrt(sp.Symbol("lambda_W", positive=True) + 1), "1/√(1 + λ_W)"),
        (-sp.exp(-sp.Symbol("tau")) / 2, "−e^{−τ}/2"),
        ((sp.Symbol("K") - 1) ** 2 / 4, "(K − 1)²/4"),
        (-(sp.Symbol("x") ** 2), "−x²"),
    ],
    ids=str,
)
def test_single_formulas(expr: sp.Expr, text: str) -> None:
    assert say(expr) == text


@pytest.mark.parametrize("mistake", ["no parentheses under roots", "no parentheses of bases", "signs", "exponents"])
def test_a_printer_with_a_mistake_is_noticed(monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    printer = notation._Printer
    if mistake == "signs":
        add = printer._print_Add
        monkeypatch.setattr(printer, "_print_Add", lambda self, e, order=None: add(self, e).replace(" - ", " + "))
    elif mistake == "exponents":
        monkeypatch.setattr(notation, "_POWERS", {2: "³", 3: "²"})
    elif mistake == "no parentheses of bases":
        monkeypatch.setattr(printer, "parenthesize", lambda self, item, level, strict=False: self._print(item))
    else:
        power = printer._print_Pow

        def bare(self: notation._Printer, e: sp.Pow, rational: bool = False) -> str:
            return f"√{self._print(e.base)}" if e.exp == sp.Rational(1, 2) else power(self, e, rational)

        monkeypatch.setattr(printer, "_print_Pow", bare)
    wrong = 0
    for e, point in random_formulas(30, 6):
        try:
            wrong += kept(e, point) is False
        except (AssertionError, KeyError, IndexError, ValueError):
            wrong += 1
    assert wrong
