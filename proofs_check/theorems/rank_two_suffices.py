"""Rank 2 is enough to classify any number of classes, and rank 1 is not, for three or more.

Setting. Logits Z (K x K), column k those of class k, classified correctly if z_kk > z_jk for all j != k.

Statement. For K >= 3 no Z of rank 1 classifies every class correctly: u v^T has at most two rows at which a column is
largest. Z_jk = 2 j k - j^2 has rank 2 and margins z_kk - z_jk = (j - k)^2 >= 1.

Source. Sharpens Garrod, Keating 2025, Theorem 3 (at most two non-negligible singular values as depth grows).

Idea. Of three different numbers u_j the middle one is never the strict maximum of v u. A parabola separates.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, at_least, everywhere, holds, identity

ID = "rank-two-suffices"

j, k = sp.symbols("j k", real=True)
a, b, v = sp.symbols("a b v", positive=True)
CODE = 2 * j * k - j**2

#: What the theorem covers.
SCOPE = (Scope(("none",), ("logits",), classes=(3, None)),)


def statements(*, rows: int = 3, **_: Any) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "one": f"For K ≥ {rows} no logits of rank 1 classify every class correctly.",
        "two": f"Z_jk = 2jk − j² has rank {rows - 1} and z_kk − z_jk = (j − k)² ≥ 1 for j ≠ k.",
    }


def prove(
    *,
    code: sp.Expr = CODE,
    margin: sp.Expr = (j - k) ** 2,
    sign: str = "<",
    rows: int = 3,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        code: the entries of rank 2.
        margin: their margins.
        sign: of the product of the middle class's two margins, for logits of rank 1.
        rows: number of rows and columns of which the determinants vanish.
    """
    line = {j: everywhere(), k: everywhere()}
    left, right = sp.symbols(f"j_1:{rows + 1}", real=True), sp.symbols(f"k_1:{rows + 1}", real=True)
    minor = sp.Matrix(rows, rows, lambda i, l: code.subs({j: left[i], k: right[l]}, simultaneous=True))
    free = dict.fromkeys((*left, *right), everywhere())
    two = sp.Matrix(2, 2, lambda i, l: code.subs({j: i + 1, k: l + 1}, simultaneous=True))
    steps = (
        identity("margins", code.subs(j, k) - code, margin, line),
        holds("at least 1 for j = k + 1 + a", margin.subs(j, k + 1 + a), ">=", 1, {k: everywhere(), a: at_least(0)}),
        holds("and for j = k - 1 - a", margin.subs(j, k - 1 - a), ">=", 1, {k: everywhere(), a: at_least(0)}),
        identity("rank at most 2: every determinant of three rows and columns", minor.det(), 0, free),
        holds("rank at least 2: one of two rows and columns, squared", two.det() ** 2, ">", 0),
        # rank 1, u_2 = u_1 + a and u_3 = u_2 + b: the margins of class 2 to 1 and 3 are v a and -v b; not both positive
        holds("rank 1, three different u, v > 0: product of the middle class's margins", (v * a) * (-v * b), sign, 0),
        holds("and v < 0", (-v * a) * (v * b), sign, 0),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(rows=rows).values()),
        source="sharpens Garrod, Keating 2025",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "rank one": {"rows": 2},
    "entries 2jk - j": {"code": 2 * j * k - j},
    "entries jk - j^2": {"code": j * k - j**2},
    "margins |j - k|^4": {"margin": (j - k) ** 4},
    "the middle class wins": {"sign": ">"},
}
