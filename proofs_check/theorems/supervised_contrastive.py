"""Supervised contrastive loss: balanced classes, nonnegative features at any counts, and total collapse.

Setting. A batch of B unit vectors in classes of n_c >= 2, temperature theta; the loss of an anchor i of class c is
log sum_{a != i} e^{<x_i, x_a>/theta} - mean over its n_c - 1 positives of <x_i, x_p>/theta.

Statement. K classes of m: the mean loss is at least log(m - 1 + m (K-1) e^{-K/((K-1) theta)}), with equality exactly
at collapsed classes that form a regular simplex (d >= K-1). Any counts, x >= 0 entrywise, d >= K: the loss of an
anchor of class c is at least log(n_c - 1 + (B - n_c) e^{-1/theta}), all attained together, exactly at collapsed
classes that are orthogonal. Where all B vectors coincide every anchor has log(B - 1).

Source. Graf et al. 2021, Theorem 2; Kini et al. 2024 (nonnegative features), as we state them.

Idea. Jensen within an anchor; sums of inner products over classes are squared lengths of sums of vectors.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, holds, identity, monotone

ID = "supervised-contrastive"

K, m, theta, B, n, q, s = sp.symbols("K m theta B n q s", positive=True)
u, P = sp.symbols("u P", real=True)
SIMPLEX = m - 1 + m * (K - 1) * sp.exp(-K / ((K - 1) * theta))
FRAME = n - 1 + (B - n) * sp.exp(-1 / theta)
COLLAPSED = B - 1

#: What the theorem covers.
SCOPE = (Scope(("contrastive",), ("vectors",), dimension="K"),)


def statements(
    *, simplex: sp.Expr = SIMPLEX, frame: sp.Expr = FRAME, collapsed: sp.Expr = COLLAPSED, **_: Any
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    own = say(frame.subs(n, sp.Symbol("n_c", positive=True)))
    return {
        "simplex": f"In a batch of K classes of m ≥ 2 unit vectors the mean supervised contrastive loss is at least "
        f"log({say(simplex)}), with "
        "equality exactly where each class is one vector and these form a regular simplex.",
        "nonnegative": f"For nonnegative unit vectors and any class sizes n_c ≥ 2 with sum B an anchor of class c "
        f"has a loss of at least log({own}), "
        "and all attain it together exactly where each class is one vector and these are orthogonal.",
        "collapsed": f"Where all B vectors of a batch coincide every anchor has the loss log({say(collapsed)}).",
    }


def prove(
    *,
    simplex: sp.Expr = SIMPLEX,
    frame: sp.Expr = FRAME,
    collapsed: sp.Expr = COLLAPSED,
    largest: sp.Expr = K * m**2,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        simplex: exp of the balanced value.
        frame: exp of the value of an anchor of a class of n with nonnegative vectors.
        collapsed: exp of the loss at total collapse.
        largest: the most that the sum q of |sum of a class|^2 can be.
    """
    negatives = m * (K - 1)
    anchor = sp.log((m - 1) * sp.exp(P) + negatives * sp.exp(P + u)) - P
    reduced = sp.log(m - 1 + negatives * sp.exp(u))
    # means over anchors, s = |sum of all|^2:
    # negatives (s - q)/(K m theta negatives), positives (q - K m)/(K m theta (m-1))
    gap = ((s - q) / negatives - (q - K * m) / (m - 1)) / (K * m * theta)
    lone = sp.log((n - 1) * sp.exp(P) + (B - n) * sp.exp(u)) - P
    more = sp.Symbol("t", positive=True)
    many = {
        K: at_least(2),
        m: at_least(2),
        theta: above(0),
        u: at_least(
            -3,
        ),
        P: at_least(-3),
    }
    odd = {n: at_least(2), more: above(0), theta: above(0), u: at_least(0), P: at_least(0)}
    steps = (
        identity("an anchor by its mean positive P and mean negative P + u", sp.exp(anchor), sp.exp(reduced), many),
        monotone("its exponential grows with u", sp.exp(reduced), u, "increasing", many),
        holds("strictly convex in u", sp.diff(reduced, u, 2), ">", 0, many),
        monotone(
            "the mean of u falls with q",
            gap,
            q,
            "decreasing",
            {K: at_least(2), m: at_least(2), theta: above(0), s: at_least(0), q: above(0)},
        ),
        monotone(
            "and grows with s",
            gap,
            s,
            "increasing",
            {K: at_least(2), m: at_least(2), theta: above(0), s: above(0), q: above(0)},
        ),
        identity(
            "mean of u at s = 0 and the largest q",
            gap.subs({s: 0, q: largest}, simultaneous=True),
            -K / ((K - 1) * theta),
            many,
        ),
        identity("the value there", reduced.subs(u, -K / ((K - 1) * theta)), sp.log(simplex), many),
        identity("q of collapsed classes: K m^2", K * (m * 1) ** 2, largest, many),
        # nonnegative vectors: inner products in [0, 1], B = n + t
        monotone("an anchor's loss grows with its negatives", lone.subs(B, n + more), u, "increasing", odd),
        monotone("and falls with its positives", lone.subs(B, n + more), P, "decreasing", odd),
        identity(
            "negatives 0 and positives 1/theta",
            sp.exp(lone.subs({u: 0, P: 1 / theta}, simultaneous=True)),
            frame,
            {n: at_least(2), B: at_least(4), theta: above(0)},
        ),
        identity(
            "all inner products 1: (B - 1) e^{1/theta} against e^{1/theta}",
            sp.exp(sp.log((B - 1) * sp.exp(1 / theta)) - 1 / theta),
            collapsed,
            {B: at_least(4), theta: above(0)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(simplex=simplex, frame=frame, collapsed=collapsed).values()),
        source="Graf et al. 2021, Theorem 2; Kini et al. 2024",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "Jensen",
                "within an anchor the exponentials of positives and of negatives are at least those of their means, "
                "and a strictly convex increasing function of u is averaged over anchors; equality needs equal "
                "negatives and equal positives",
            ),
            argue(
                "Pythagoras",
                "inner products within classes sum to q - B and those between classes to s - q, with s = |sum of "
                "all|^2 >= 0",
            ),
            argue(
                "Cauchy-Schwarz",
                "|sum of a class| <= m with equality only for equal vectors; nonnegative unit vectors have inner "
                "products in [0, 1], 1 only for equal ones",
            ),
        ),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "simplex with m for m - 1": {"simplex": m + m * (K - 1) * sp.exp(-K / ((K - 1) * theta))},
    "simplex with exponent 1/theta": {"simplex": m - 1 + m * (K - 1) * sp.exp(-1 / theta)},
    "simplex with exponent theta": {"simplex": m - 1 + m * (K - 1) * sp.exp(-K * theta / (K - 1))},
    "frame without 1": {"frame": n + (B - n) * sp.exp(-1 / theta)},
    "frame with 2/theta": {"frame": n - 1 + (B - n) * sp.exp(-2 / theta)},
    "collapsed log B": {"collapsed": B},
    "largest K m": {"largest": K * m},
}
