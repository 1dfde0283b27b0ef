"""The simplex equiangular tight frame: Gram matrix, rank, eigenvalues, nuclear and spectral norm.

Setting. K >= 2 unit vectors m_1, ..., m_K with Gram matrix E = (K/(K-1)) (I - 11^T/K).

Statement. (1/K) 11^T and P = I - 11^T/K are complementary projections; rank P = K - 1; every pair of the m_k has cosine
-1/(K-1), the smallest that K equiangular unit vectors can have; E has eigenvalue K/(K-1) with multiplicity K - 1 and 0
once; and |s P|_* = (K-1) s, |s P|_2 = s for s > 0.

Source. Papyan, Han, Donoho 2020, Definition of the simplex ETF (NC2).

Idea. Products of matrices a I + b 11^T need only 11^T 11^T = K 11^T; the trace of a projection is its rank.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import SIGNS, say
from proofs_check.scope import LOSSES, MODELS, Scope, hypotheses
from proofs_check.theorems._kernel import GroupMatrix, Proof, argue, at_least, equal_entries, holds, identity

ID = "etf-gram"

K = sp.Symbol("K", integer=True, positive=True)
s = sp.Symbol("s", positive=True)
_DOMAIN = {K: at_least(2)}


#: What the theorem covers.
SCOPE = (Scope(tuple(LOSSES), tuple(MODELS)),)


def statements(
    *,
    cosine: sp.Expr = -1 / (K - 1),
    rank: sp.Expr = K - 1,
    scale: sp.Expr = K / (K - 1),
    nuclear_norm: sp.Expr = (K - 1) * s,
    spectral_norm: sp.Expr = s,
    relation: str = ">=",
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "gram": f"The Gram matrix of a simplex ETF of K unit vectors is {say(scale)} (I − 11ᵀ/K), of rank "
        f"{say(rank)}: any two have the "
        f"cosine {say(cosine)}, and the common cosine of any K equiangular unit vectors is {SIGNS[relation]} that.",
        "norms": f"For s > 0, |s (I − 11ᵀ/K)|_* = {say(nuclear_norm)} and |s (I − 11ᵀ/K)|₂ = {say(spectral_norm)}.",
    }


def prove(
    *,
    cosine: sp.Expr = -1 / (K - 1),
    rank: sp.Expr = K - 1,
    scale: sp.Expr = K / (K - 1),
    nuclear_norm: sp.Expr = (K - 1) * s,
    spectral_norm: sp.Expr = s,
    relation: str = ">=",
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        cosine: cosine of two vertices.
        rank: rank of ``I - 11^T/K``.
        scale: factor between ``I - 11^T/K`` and the Gram matrix of unit vertices, the non-zero eigenvalue.
        nuclear_norm: ``|s (I - 11^T/K)|_*``.
        spectral_norm: ``|s (I - 11^T/K)|_2``.
        relation: relation of the cosine of any K equiangular unit vectors to ``cosine``.
    """
    projection = GroupMatrix.of([K], [1], [[-1 / K]])
    gram = GroupMatrix.of([K], [scale], [[-scale / K]])
    scaled = GroupMatrix.of([K], [s], [[-s / K]])
    c = sp.Symbol("c", real=True)
    slack = sp.Symbol("x", nonnegative=True)
    on_ones = scaled.trivial_block[0, 0]
    steps = [
        *equal_entries("P P = P", projection @ projection, projection, _DOMAIN),
        *equal_entries("P^T = P", projection.T, projection, _DOMAIN),
        identity("tr P is the rank", projection.trace, rank, _DOMAIN),
        identity("P 1 = 0", projection.trivial_block[0, 0], 0, _DOMAIN),
        *equal_entries(
            "E E = scale * E, so the non-zero eigenvalue is the scale", gram @ gram, gram.times(scale), _DOMAIN
        ),
        identity("the vertices have norm 1", gram.entry(0, 0, same=True), 1, _DOMAIN),
        identity("two vertices have the cosine claimed", gram.entry(0, 0), cosine, _DOMAIN),
        identity(
            "|m_1 + ... + m_K|^2 = K + K(K-1) c is 0 at c = -1/(K-1)",
            (K + K * (K - 1) * c).subs(c, -1 / (K - 1)),
            0,
            _DOMAIN,
        ),
        # K + K(K-1) c >= 0 makes c = -1/(K-1) + x/(K(K-1)) with x = |m_1 + ... + m_K|^2 >= 0.
        holds(
            "cosines of K equiangular unit vectors against the one claimed",
            -1 / (K - 1) + slack / (K * (K - 1)),
            relation,
            cosine,
            {**_DOMAIN, slack: at_least(0)},
        ),
        identity("nuclear norm of s P: s on K - 1 directions, 0 on one", (K - 1) * s + on_ones, nuclear_norm, _DOMAIN),
        identity("spectral norm of s P", scaled.s[0], spectral_norm, _DOMAIN),
    ]
    return Proof(
        id=ID,
        statement=" ".join(
            statements(
                cosine=cosine,
                rank=rank,
                scale=scale,
                nuclear_norm=nuclear_norm,
                spectral_norm=spectral_norm,
                relation=relation,
            ).values()
        ),
        source="Papyan, Han, Donoho 2020, NC2",
        hypotheses=hypotheses(SCOPE),
        steps=tuple(steps),
        arguments=(
            argue("Schur", "a I + b 11^T acts as a on vectors of sum zero (K - 1 dimensions) and as a + K b on 1"),
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "cosine -1/K": {"cosine": -1 / K},
    "cosine of the wrong sign": {"cosine": 1 / (K - 1)},
    "rank K": {"rank": K},
    "scale (K-1)/K": {"scale": (K - 1) / K},
    "nuclear norm K s": {"nuclear_norm": K * s},
    "spectral norm s K/(K-1)": {"spectral_norm": s * K / (K - 1)},
    "the cosine is the largest": {"relation": "<="},
}
