"""Formulas of the proofs in the plain notation of statements: ``τ/(K − 1)`` for ``tau/(K - 1)``."""

from __future__ import annotations

import sympy as sp
from sympy.printing.str import StrPrinter

__all__ = ["SIGNS", "say"]

#: Relations as statements write them.
SIGNS = {"<": "<", "<=": "≤", ">": ">", ">=": "≥", "==": "="}

_GREEK = {
    "tau": "τ",
    "rho": "ρ",
    "lambda": "λ",
    "Lambda": "Λ",
    "mu": "μ",
    "omega": "ω",
    "sigma": "σ",
    "pi": "π",
    "kappa": "κ",
    "gamma": "γ",
    "beta": "β",
    "alpha": "α",
    "delta": "δ",
    "Delta": "Δ",
    "nu": "ν",
    "theta": "θ",
    "phi": "φ",
    "epsilon": "ε",
}
_POWERS = {2: "²", 3: "³", 4: "⁴"}


class _Printer(StrPrinter):
    def _print_Symbol(self, expr: sp.Symbol) -> str:
        name, *index = expr.name.split("_", 1)
        return "_".join([_GREEK.get(name, name), *index])

    def _print_exp(self, expr: sp.exp) -> str:
        exponent = self._print(expr.args[0])
        return f"e^{exponent}" if exponent.isalnum() else f"e^{{{exponent}}}"

    def _print_Exp1(self, expr: sp.Expr) -> str:
        return "e"

    def _print_Infinity(self, expr: sp.Expr) -> str:
        return "∞"

    def _print_Add(self, expr: sp.Add, order: str | None = None) -> str:
        # what is taken away comes last: K - 1, not -1 + K
        terms = sorted(expr.args, key=lambda term: bool(term.could_extract_minus_sign()))
        text = self._print(terms[0])
        for term in terms[1:]:
            shown = self._print(term)
            text += f" - {shown[1:]}" if shown.startswith("-") else f" + {shown}"
        return text

    def _print_Pow(self, expr: sp.Pow, rational: bool = False) -> str:
        base, exponent = expr.args
        if exponent == sp.Rational(1, 2):
            return f"√{self._print(base)}" if base.is_Symbol else f"√({self._print(base)})"
        if exponent == sp.Rational(-1, 2):
            return f"1/{self._print(1 / expr)}"
        if exponent.is_Integer and exponent < 0:
            return f"1/{self.parenthesize(base**-exponent, 60)}"
        shown = self.parenthesize(base, 60)
        if exponent.is_Integer and int(exponent) in _POWERS:
            return shown + _POWERS[int(exponent)]
        return f"{shown}^{{{self._print(exponent)}}}"


def say(expr: sp.Expr | int) -> str:
    """``expr`` in plain text with Unicode mathematics, products by juxtaposition.

    >>> K, tau = sp.symbols("K tau", positive=True)
    >>> say((K - 1) * sp.exp(-tau / (K - 1)))
    '(K − 1) e^{−τ/(K − 1)}'
    """
    text = _Printer({"order": "none"}).doprint(sp.sympify(expr))
    return text.replace("*", " ").replace("-", "−")
