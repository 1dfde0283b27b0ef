"""Two groups of equal classes: the nuclear norm and the risk of invariant logits in four variables.

Setting. Groups A, B of K_A, K_B classes, K = K_A + K_B, column weights omega_A, omega_B (1 for budgets, sqrt(n_a) for
weight decay). Invariant logits Z_ij = s_a [i=j] + t_ab with columns of sum zero, d_A = t_AA - t_BA, d_B = t_BB - t_AB.

Statement. Some optimum is invariant. With u = s_A + K_A d_A and v = s_B + K_B d_B,

    |Z diag(omega)|_* = omega_A (K_A-1)|s_A| + omega_B (K_B-1)|s_B| + T,
    T = sqrt((K_B omega_A^2 u^2 + K_A omega_B^2 v^2)/K),
    CE_A = log(1 + (K_A-1) e^{-s_A} + K_B e^{-s_A-d_A}), and B with the letters exchanged.

For any number of groups, Z has the singular value |s_a| on the K_a - 1 directions of group a with sum zero and acts
on the normalised indicators as M_ab = s_a [a=b] + sqrt(K_a K_b) t_ab.

Source. Fang et al. 2021, Section 4 (the SDP it replaces); isotypic decomposition of S_{K_A} x S_{K_B}.

Idea. M annihilates u_a = sqrt(K_a/K) from the left, so for two groups it has rank one and |M|_* = |M|_F.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import CONVEX, Scope, hypotheses
from proofs_check.theorems._kernel import GroupMatrix, Proof, argue, at_least, everywhere, identity

ID = "symmetry-reduction"

K_A, K_B = sp.symbols("K_A K_B", integer=True, positive=True)
omega_A, omega_B, s_A, s_B = sp.symbols("omega_A omega_B s_A s_B", positive=True)
d_A, d_B = sp.symbols("d_A d_B", real=True)
K = K_A + K_B
U, V = s_A + K_A * d_A, s_B + K_B * d_B
TRIVIAL_SQUARED = (K_B * omega_A**2 * U**2 + K_A * omega_B**2 * V**2) / K
CE_A = sp.log(1 + (K_A - 1) * sp.exp(-s_A) + K_B * sp.exp(-s_A - d_A))


def invariant_logits() -> GroupMatrix:
    """Z in the four variables, columns centred."""
    t_ba, t_ab = -U / K, -V / K
    return GroupMatrix.of([K_A, K_B], [s_A, s_B], [[t_ba + d_A, t_ab], [t_ba, t_ab + d_B]])


def weighted(logits: GroupMatrix) -> GroupMatrix:
    """``Z diag(omega)``."""
    w = (omega_A, omega_B)
    return GroupMatrix.of(logits.sizes, [x * y for x, y in zip(logits.s, w, strict=True)], logits.t * sp.diag(*w))


#: What the theorem covers.
SCOPE = (Scope(models=CONVEX, groups=(1, 2), dimension="K - 1"),)


def statements(
    *, trivial_squared: sp.Expr = TRIVIAL_SQUARED, multiplicity: sp.Expr = K_A - 1, **_: Any
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "reduction": "Some optimum treats the classes of a group alike; then |Z diag(ω)|_* = "
        f"ω_A ({say(multiplicity)}) |s_A| + ω_B (K_B − 1) |s_B| + T, T² = {say(trivial_squared)}.",
    }


def prove(
    *,
    trivial_squared: sp.Expr = TRIVIAL_SQUARED,
    multiplicity: sp.Expr = K_A - 1,
    ce_a: sp.Expr = CE_A,
    block_scale: sp.Expr | None = None,
    centred: bool = True,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        trivial_squared: T^2.
        multiplicity: how many singular values equal omega_A |s_A|.
        ce_a: the risk of a class of group A.
        block_scale: factor of t_ab in M_ab, default ``sqrt(K_a K_b)``; in the symbols K_A, K_B for a, b.
        centred: whether the columns of Z are centred; False drops that hypothesis.
    """
    reals = {d_A: everywhere(), d_B: everywhere(), K_A: at_least(1), K_B: at_least(1)}
    z = invariant_logits()
    if not centred:
        z = GroupMatrix.of(z.sizes, z.s, z.t + sp.Matrix([[1, 0], [1, 0]]))
    y = weighted(z)
    m = y.trivial_block
    left = sp.Matrix([[sp.sqrt(K_A / K), sp.sqrt(K_B / K)]])
    perp = sp.Matrix([sp.sqrt(K_B / K), -sp.sqrt(K_A / K)])
    w = sp.Matrix([[sp.sqrt(K_B / K) * omega_A * U, -sp.sqrt(K_A / K) * omega_B * V]])
    scale = sp.sqrt(K_A) * sp.sqrt(K_B) if block_scale is None else block_scale
    s, t = sp.symbols("s t", positive=True)
    right, other, across = z.entry(0, 0, same=True), z.entry(0, 0), z.entry(1, 0)
    square = (y.T @ y).trace
    isotypic = multiplicity * (omega_A * s_A) ** 2 + (K_B - 1) * (omega_B * s_B) ** 2
    e = sp.exp
    steps = [
        # Row of group a of Z (indicator of b)/sqrt(K_b) against M_ab (indicator of a)/sqrt(K_a).
        identity("block action for a = b", s / sp.sqrt(K_A) + K_A * t / sp.sqrt(K_A), (s + K_A * t) / sp.sqrt(K_A)),
        identity("block action for a != b", K_B * t / sp.sqrt(K_B), scale * t / sp.sqrt(K_A)),
        identity("the singular values number K", multiplicity + (K_B - 1) + 2, K),
        identity("class of A: margin to its own group", right - other, s_A, reals),
        identity("class of A: margin to the other group", right - across, s_A + d_A, reals),
        identity(
            "risk of a class of A",
            sp.log(1 + (K_A - 1) * e(-(right - other)) + K_B * e(-(right - across))),
            ce_a,
            reals,
        ),
    ]
    product = left * m
    steps += [identity(f"u^T M = 0, column {j}", product[0, j], 0, reals) for j in range(2)]
    rank_one = perp * w
    for i in range(2):
        steps += [identity(f"M is rank one, entry ({i}, {j})", m[i, j], rank_one[i, j], reals) for j in range(2)]
    steps += [
        identity("its left factor has norm 1", (perp.T * perp)[0, 0], 1, reals),
        identity("its right factor has norm T", (w * w.T)[0, 0], trivial_squared, reals),
        identity(
            "Frobenius check: |Y|_F^2 = sum of squared singular values", square, isotypic + trivial_squared, reals
        ),
    ]
    return Proof(
        id=ID,
        statement=" ".join(statements(trivial_squared=trivial_squared, multiplicity=multiplicity).values()),
        source="Fang et al. 2021, Section 4; isotypic decomposition",
        hypotheses=hypotheses(SCOPE),
        steps=tuple(steps),
        arguments=(
            argue(
                "Jensen",
                "averaging an optimum over S_{K_A} x S_{K_B} raises neither the risk nor the gauge, both convex",
            ),
            argue("Schur", "the average is s_a [i=j] + t_ab, and acts as s_a on the vectors of group a with sum zero"),
            argue("unitary invariance", "a rank-one matrix (unit vector)(w) has the one singular value |w|"),
        ),
        uses=("centring",),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "swapped class count in T": {"trivial_squared": (K_A * omega_A**2 * U**2 + K_B * omega_B**2 * V**2) / K},
    "T without the division by K": {"trivial_squared": K * TRIVIAL_SQUARED},
    "weights exchanged": {"trivial_squared": (K_B * omega_B**2 * U**2 + K_A * omega_A**2 * V**2) / K},
    "minus in T": {"trivial_squared": (K_B * omega_A**2 * U**2 - K_A * omega_B**2 * V**2) / K},
    "u = s_A + d_A": {
        "trivial_squared": (K_B * omega_A**2 * (s_A + d_A) ** 2 + K_A * omega_B**2 * V**2) / K,
    },
    "multiplicity K_A": {"multiplicity": K_A},
    "multiplicity K_B - 1": {"multiplicity": K_B - 1},
    "risk with K_A other classes": {"ce_a": sp.log(1 + K_A * sp.exp(-s_A) + K_B * sp.exp(-s_A - d_A))},
    "risk with the sign of d_A": {"ce_a": sp.log(1 + (K_A - 1) * sp.exp(-s_A) + K_B * sp.exp(-s_A + d_A))},
    "block scale K_B": {"block_scale": K_B},
    "columns not centred": {"centred": False},
}
