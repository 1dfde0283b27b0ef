"""Kind "contrastive": the least contrastive loss of unit vectors, in an interval, and whether classes coincide there.

K classes with probabilities pi_c proportional to their counts are unit vectors x_c in d >= K dimensions,

    F(G) = sum_c pi_c log sum_c' pi_c' e^{beta (G_cc' - 1)},        G_cc' = <x_c, x_c'>,

so that G is any positive semidefinite matrix with unit diagonal, and F is convex in G. The witness has ``vectors``, a
row each, that are normalised here, and a ``shift`` y. Above: F(G) at their Gram matrix G. Below: its tangent there,

    F(G') >= F(G) + <S, G' - G> >= F(G) - <S, G> - sum y        where S + diag y > 0, S the symmetrised gradient.

The minimum G* is unique: along D, with zero diagonal, F bends by at least beta^2 e^{-2 beta} sum_{c<i} pi_c pi_i
(pi_c + pi_i) D_ci^2, for a class has probability >= pi_c by itself and >= pi_i e^{-2 beta} for another (and Cauchy-
Schwarz). Half of this is at most upper - lower at G* - G: that encloses every entry of G*. Classes of equal counts are
interchangeable, so e_i - e_j is an eigenvector of G* and of Q = S + diag y* (KKT: Q >= 0, Q G* = 0, y*_i = -(S G*)_ii,
S at G*): where its eigenvalue y*_i + S_ii - S_ij is positive, G* (e_i - e_j) = 0, and the classes coincide.
"""

from __future__ import annotations

from typing import Any

from flint import arb, arb_mat, fmpq

from proofs_check.kinds.reading import (
    Answer,
    Claim,
    Reject,
    brief,
    enclosed,
    fields,
    integer,
    matrix,
    positive_definite,
    rational,
    vector,
)

MAX_CLASSES = 16

Rows = list[list[arb]]


def describe(claim: Claim) -> str:
    """What the claim says, in words."""
    said = claim.statement if isinstance(claim.statement, dict) else {}
    if "collapsed" in said:
        how = {True: "coincide", False: "differ"}.get(said["collapsed"], "?")
        return f"at the minimum the unit vectors of the classes {brief(said.get('classes'))} {how}"
    inside = f"[{brief(said.get('lower'))}, {brief(said.get('upper'))}]"
    return f"the least loss of unit vectors in as many dimensions as classes, or more, is in {inside}"


def check(claim: Claim, witness: Any) -> Answer:
    """The least loss lies in [lower, upper], or given classes of equal counts coincide at the minimum, or differ."""
    pi, beta = probabilities(claim), arb(rational(claim.parameters["beta"], "beta", positive=True))
    vectors_data, shift_data = fields(witness, "witness", "vectors", "shift")
    k = len(pi)
    g = gram(matrix(vectors_data, "vectors", k, None, MAX_CLASSES + 2))
    shift = [arb(y) for y in vector(shift_data, "shift", k)]
    value, s = tangent(pi, beta, g)
    if not positive_definite(arb_mat([[x + shift[i] * (i == j) for j, x in enumerate(s[i])] for i in range(k)])):
        raise Reject("shift: the symmetrised gradient plus diag(shift) is not proved to be positive definite")
    gap = sum((s[i][j] * g[i][j] for i in range(k) for j in range(k)), arb(0)) + sum(shift, arb(0))
    if isinstance(claim.statement, dict) and "collapsed" in claim.statement:
        return check_classes(claim, pi, beta, optimum(pi, beta, g, gap))
    enclosed(claim.statement, value - gap, value, nonnegative=False)
    return "unit vectors from above, a tangent in their Gram matrix from below", ("gram",)


def probabilities(claim: Claim) -> list[fmpq]:
    """pi_c of every class."""
    if sum(claim.sizes) > MAX_CLASSES:
        raise Reject(f"contrastive losses are limited to {MAX_CLASSES} classes")
    return [n / claim.total for size, n in zip(claim.sizes, claim.counts, strict=True) for _ in range(size)]


def gram(vectors: list[list[fmpq]]) -> Rows:
    """Gram matrix of normalised rows; its diagonal is 1 exactly."""
    rows = [[arb(x) for x in row] for row in vectors]
    norms = [sum((x * x for x in row), arb(0)).sqrt() for row in rows]
    if not all(norm > 0 for norm in norms):
        raise Reject("vectors must not be 0")
    units = [[x / norm for x in row] for row, norm in zip(rows, norms, strict=True)]
    return [
        [arb(1) if i == j else sum((a * b for a, b in zip(u, v, strict=True)), arb(0)) for j, v in enumerate(units)]
        for i, u in enumerate(units)
    ]


def tangent(pi: list[fmpq], beta: arb, g: Rows) -> tuple[arb, Rows]:
    """F and its symmetrised gradient at a Gram matrix in balls."""
    value, slopes = arb(0), []
    for own, row in zip(pi, g, strict=True):
        parts = [arb(p) * (beta * (x - 1)).exp() for p, x in zip(pi, row, strict=True)]
        whole = sum(parts, arb(0))
        value += arb(own) * whole.log()
        slopes.append([arb(own) * beta * part / whole for part in parts])
    return value, [[(x + slopes[j][i]) / 2 for j, x in enumerate(row)] for i, row in enumerate(slopes)]


def optimum(pi: list[fmpq], beta: arb, g: Rows, gap: arb) -> Rows:
    """The minimum's Gram matrix in balls around one whose loss is at most ``gap`` too large."""

    def around(c: int, i: int) -> arb:
        if c == i:
            return arb(1)
        bend = beta**2 * (-2 * beta).exp() * arb(pi[c] * pi[i] * (pi[c] + pi[i]))
        radius = (2 * arb(gap.upper()) / bend).sqrt()
        return g[c][i] + radius.union(-radius)

    return [[around(c, i) for i in range(len(pi))] for c in range(len(pi))]


def check_classes(claim: Claim, pi: list[fmpq], beta: arb, g: Rows) -> Answer:
    """Whether classes coincide at the minimum, whose Gram matrix is in ``g``."""
    classes, collapsed = fields(claim.statement, "statement", "classes", "collapsed")
    if not isinstance(classes, list) or not 2 <= len(classes) <= len(pi):
        raise Reject(f"classes must be a list of 2 to {len(pi)} places")
    places = [integer(c, "class", 0, len(pi) - 1) for c in classes]
    if len(set(places)) != len(places):
        raise Reject("a class is listed twice")
    if len({str(pi[c]) for c in places}) != 1:
        raise Reject("classes must have equal counts")
    if type(collapsed) is not bool:
        raise Reject("collapsed must be true or false")
    i, j, *_ = places  # all pairs are alike
    if not collapsed:
        if not g[i][j] < 1:
            raise Reject("no proof that the vectors of these classes differ")
        return "the inner product at the minimum is below 1", ("gram",)
    _, s = tangent(pi, beta, g)
    multiplier = -sum((x * y for x, y in zip(s[i], g[i], strict=True)), arb(0))
    if not multiplier + s[i][i] - s[i][j] > 0:
        raise Reject("no proof that the vectors of these classes coincide")
    return "the multiplier of the Gram matrix is positive on the differences of these classes", ("gram",)
