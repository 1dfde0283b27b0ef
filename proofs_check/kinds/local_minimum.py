"""Kind "local-minimum": the equilibrium layer, |A|_2 <= rho and weight decay, has a local minimum that is not global.

In x = (P, Q), K x r each, Z = P Q^T D^{-1/2}, D = diag(n_k), let F(x) = f(Z) + (1 - rho) lam (|P|^2 + |Q|^2)/2 under
cross-entropy. F does not change along the orbit x S of a rotation S of the r features. The witness is a point x_0, a
``slice``, r (r-1)/2 coordinates that are kept at their values, and numbers ``curvature`` and ``radius``. Where, on the
box that holds every point of the slice within ``radius`` of x_0,

    the Hessian in the free coordinates is above ``curvature``, and the gradient at x_0 below curvature radius,
    the tangents of the orbit, on the coordinates that are kept, are independent, and P has full rank,
    (1 - rho) lam < |G D^{-1/2}|_2 < lam,   G = grad f(Z), lam = sqrt(lambda_W lambda_H),

F has one critical point on the slice next to x_0, a local minimum there; the orbits cross the slice, so it is one of F,
and of f + (1 - rho) lam |Z D^{1/2}|_* among matrices of rank at most r. Lemma "trapped": with A = rho on the features
in use and 0 beside them it is a local minimum in (W, A, H), whatever the dimension d > r, and no global one.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from flint import arb, arb_mat

from proofs_check.kinds.reading import (
    Answer,
    Claim,
    Reject,
    brief,
    fields,
    identity,
    integer,
    matrix,
    positive_definite,
    rational,
    vector,
    whole_power,
)

MAX_CLASSES = 16
MAX_RANK = 8


def describe(claim: Claim) -> str:
    """What the claim says, in words."""
    said = claim.statement if isinstance(claim.statement, dict) else {}
    where = f"value in [{brief(said.get('lower'))}, {brief(said.get('upper'))}]"
    return f"a local minimum in (W, A, H), A = rho on {said.get('rank')!r:.10} features, is not global; {where}"


class Point:
    """Probabilities, weighted gradient G D^{-1/2}, and derivatives of F on balls P and Q."""

    def __init__(self, claim: Claim, p: arb_mat, q: arb_mat) -> None:
        counts = [n for size, n in zip(claim.sizes, claim.counts, strict=True) for _ in range(size)]
        self.k, self.r, self.p, self.q = len(counts), p.ncols(), p, q
        self.pi, self.root = [arb(n / claim.total) for n in counts], [arb(n).sqrt() for n in counts]
        self.strength = arb(claim.strength2).sqrt()
        y, self.risk = p * q.transpose(), arb(0)
        self.prob = arb_mat(self.k, self.k)
        for c in range(self.k):
            odds = [((y[i, c] - y[c, c]) / self.root[c]).exp() for i in range(self.k)]
            odd = sum((x for i, x in enumerate(odds) if i != c), arb(0))
            self.risk += self.pi[c] * odd.log1p()
            for i in range(self.k):
                self.prob[i, c] = odds[i] / (1 + odd)
        self.gradient = arb_mat(
            [
                [self.pi[c] / self.root[c] * (self.prob[i, c] - int(i == c)) for c in range(self.k)]
                for i in range(self.k)
            ]
        )

    def value(self) -> arb:
        """F."""
        squares = [whole_power(m[i, j], 2) for m in (self.p, self.q) for i in range(self.k) for j in range(self.r)]
        return self.risk + self.strength * sum(squares, arb(0)) / 2

    def first(self) -> list[arb]:
        """The gradient of F, P row by row and then Q."""
        by_p = self.gradient * self.q + self.p * self.strength
        by_q = self.gradient.transpose() * self.p + self.q * self.strength
        return [m[i, j] for m in (by_p, by_q) for i in range(self.k) for j in range(self.r)]

    def second(self) -> arb_mat:
        """The Hessian of F.

        dy_ic = dP_i . q_c + p_i . dQ_c, and F's second derivative is sum_c pi_c/n_c (sum_i p_ic dy_ic^2 - (sum_i p_ic
        dy_ic)^2) + 2 sum_ic (G D^{-1/2})_ic dP_i . dQ_c + strength |dx|^2.
        """
        k, r, size = self.k, self.r, 2 * self.k * self.r
        hessian = identity(size) * self.strength
        for c in range(k):
            mean = arb_mat(size, 1)
            for i in range(k):
                weight = self.pi[c] / self.root[c] ** 2 * self.prob[i, c]
                row = [(i * r + b, self.q[c, b]) for b in range(r)] + [
                    ((k + c) * r + b, self.p[i, b]) for b in range(r)
                ]
                for at, x in row:
                    mean[at, 0] += self.prob[i, c] * x
                    for other, y in row:
                        hessian[at, other] += weight * x * y
                for b in range(r):
                    hessian[i * r + b, (k + c) * r + b] += self.gradient[i, c]
                    hessian[(k + c) * r + b, i * r + b] += self.gradient[i, c]
            hessian -= mean * mean.transpose() * (self.pi[c] / self.root[c] ** 2)
        return hessian


def check(claim: Claim, witness: Any) -> Answer:
    """A local minimum of rank ``rank`` that is not global has its value in [lower, upper]."""
    rank_data, low, high = fields(claim.statement, "statement", "rank", "lower", "upper")
    if claim.loss != "ce" or claim.architecture != "penalised_deq" or not 2 <= sum(claim.sizes) <= MAX_CLASSES:
        raise Reject(f"local minima are checked for penalised_deq, cross-entropy and at most {MAX_CLASSES} classes")
    k, r = sum(claim.sizes), integer(rank_data, "rank", 1, MAX_RANK)
    p_data, q_data, slice_data, radius_data, curvature_data, left, right = fields(
        witness, "witness", "P", "Q", "slice", "radius", "curvature", "left", "right"
    )
    exact = [[[arb(x) for x in row] for row in matrix(m, n, k, r, k)] for m, n in ((p_data, "P"), (q_data, "Q"))]
    radius, curvature = (arb(rational(x, "radius", positive=True)) for x in (radius_data, curvature_data))
    if not isinstance(slice_data, list) or len(slice_data) != r * (r - 1) // 2:
        raise Reject(f"slice must name {r * (r - 1) // 2} coordinates")
    kept = sorted({integer(i, "slice", 0, 2 * k * r - 1) for i in slice_data})
    if len(kept) != len(slice_data):
        raise Reject("slice names a coordinate twice")
    free = [i for i in range(2 * k * r) if i not in kept]
    spread = [arb(0) if i in kept else arb(0, 1) * radius for i in range(2 * k * r)]
    box = [
        arb_mat([[x + spread[(m * k + i) * r + b] for b, x in enumerate(row)] for i, row in enumerate(rows)])
        for m, rows in enumerate(exact)
    ]
    middle, around = Point(claim, *map(arb_mat, exact)), Point(claim, *box)
    first, second = middle.first(), around.second()
    if not positive_definite(arb_mat([[second[i, j] - int(i == j) * curvature for j in free] for i in free])):
        raise Reject("no proof that F is strongly convex on the slice")
    if not sum((whole_power(first[i], 2) for i in free), arb(0)) < (curvature * radius) ** 2:
        raise Reject("no proof that a critical point is near: the gradient is too large")
    check_orbit(box, kept)
    check_norm(claim, around, [arb_mat([[arb(x)] for x in vector(v, "left and right", k)]) for v in (left, right)])
    value = around.value()
    if not (arb(rational(low, "lower")) <= value and value <= arb(rational(high, "upper"))):
        raise Reject("the value at the local minimum is not proved to lie in the claimed interval")
    return "strongly convex across the orbit of rotations, and trapped below the bound on A", ("gauge", "trapped")


def check_orbit(box: list[arb_mat], kept: list[int]) -> None:
    """P has full rank, and x S, S the elementary skew matrices, span the coordinates that are kept."""
    p, q = box
    k, r = p.nrows(), p.ncols()
    if not positive_definite(p.transpose() * p):
        raise Reject("no proof that P has full rank")
    columns = []
    for i, j in combinations(range(r), 2):
        moved = [arb(0)] * (2 * k * r)
        for m, x in enumerate((p, q)):
            for a in range(k):
                moved[(m * k + a) * r + i], moved[(m * k + a) * r + j] = x[a, j], -x[a, i]
        columns.append([moved[at] for at in kept])
    if columns and not arb_mat(columns).det() != 0:
        raise Reject("no proof that the orbit crosses the slice")


def check_norm(claim: Claim, around: Point, vectors: list[arb_mat]) -> None:
    """(1 - rho) lam < |G D^{-1/2}|_2 < lam: by a pair of vectors from below, by a factorisation from above."""
    left, right = vectors
    size2 = (left.transpose() * left)[0, 0] * (right.transpose() * right)[0, 0]
    if not (left.transpose() * around.gradient * right)[0, 0] > around.strength * size2.sqrt():
        raise Reject("no proof that |G D^(-1/2)|_2 exceeds (1-rho) lam: the minimum might be global")
    decays = [arb(rational(claim.parameters[key], key)) for key in ("lambda_W", "lambda_H")]
    if not positive_definite(
        identity(around.k) * (decays[0] * decays[1]) - around.gradient * around.gradient.transpose()
    ):
        raise Reject("no proof that |G D^(-1/2)|_2 is below lam: the minimum might be a saddle")
