"""Residual depth with weight decay, balanced cross-entropy: the simplex ETF is optimal, or explicit factors beat it.

Z = W (I+A_L)...(I+A_1) H with (lambda_W/2)|W|^2 + (lambda_H/2) n_1 |H|^2 + (lambda_A/2) sum_l |A_l|^2, n_1 samples of
each of K classes; with depth "inf" e^x stands for (1+x)^L and lambda_A for lambda_A/L. By the lemma "residual" the
least decay of Z is sum_i g(sigma_i), for every a >= 0

    g(s) >= p_a(s) = A_a s - kappa_a s^2/2,   A_a = l (1+(L+1) a)/(1+a)^{L+1},   kappa_a = L l^2/lambda_A (1+a)^{-2L-2}

with l = sqrt(n_1 lambda_W lambda_H), and equality at s = lambda_A/l a (1+a)^{L+1}. So with n = K - 1, N = |Z|_* >= tr Z
and |Z|_F^2 <= |Z|_2 N the objective of logits with |Z|_2 <= m is at least the least value, over s and d >= 0 with
(n/K) s^2 + n (n-1) d^2 <= m^2, of

    F(s, d) = log(1 + e^{-(n-1) d - s} + (n-1) e^{d - s}) + n (1-t) A_a s
              - (K/2) (kappa_a - 2 t A_a/m) [(n/K) s^2 + n (n-1) d^2]

for every 0 <= t <= 1; and by (p_b - p_a)(|Z|_2) more, as the largest singular value costs g >= p_b.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from flint import arb, arb_mat, fmpq

from proofs_check.kinds.optimality import convex, corner, root
from proofs_check.kinds.reading import Answer, Claim, Reject, fields, integer, interval, matrix, rational, vector
from proofs_check.precision import precision

MAX_DEPTH = 100_000
MAX_CLASSES = 64
MAX_FACTOR_SIZE = 16
MAX_BITS = 128  # of numerators and denominators of factors
MAX_BOXES = 400
MAX_RECTANGLES = 8000  # in all boxes together
MAX_PIECES = 4000  # of the ETFs' sizes
START, NEAR = 8, 6  # strips of s at first; parts of s and of d next to the ETF
PRECISION = 128  # bits: thousands of rectangles, each with room to spare

Array = Sequence[Sequence[Any]]


def read(parameters: dict[str, Any]) -> None:
    """Check the parameters; there is no radius and no strength."""
    *decays, depth = fields(parameters, "residual", "lambda_W", "lambda_H", "lambda_A", "depth")
    vector(decays, "lambda_W, lambda_H and lambda_A", 3, positive=True)
    if depth != "inf":
        integer(depth, "depth", 1, MAX_DEPTH)


class Model:
    """The numbers of one claim, and what blocks of size a cost."""

    def __init__(self, claim: Claim) -> None:
        if claim.loss != "ce" or len(claim.sizes) != 1:
            raise Reject("residual depth is checked for balanced classes under cross-entropy")
        self.k = claim.sizes[0]
        if not 3 <= self.k <= MAX_CLASSES:
            raise Reject(f"residual depth is checked for 3 to {MAX_CLASSES} classes")
        given = claim.parameters
        self.by_w, self.by_h, self.dear = (rational(given[x], x) for x in ("lambda_W", "lambda_H", "lambda_A"))
        self.by_h *= claim.counts[0]
        self.depth = None if given["depth"] == "inf" else int(given["depth"])
        self.l = arb(self.by_w * self.by_h).sqrt()
        self.n, self.share, self.c = self.k - 1, fmpq(self.k - 1, self.k), (self.k - 1) * (self.k - 2)
        self.value = arb(0)  # of the ETF, in optimality
        self.b = self.alpha = self.t_e = arb(0)  # unused numbers of the protocol; alpha is set in optimality

    def stretch(self, a: arb) -> arb:
        """(1+a)^L."""
        return a.exp() if self.depth is None else (1 + a) ** self.depth

    def size(self, a: arb) -> arb:
        """Singular value at which blocks of size a are best."""
        return arb(self.dear) / self.l * a * self.stretch(a) * (1 if self.depth is None else 1 + a)

    def price(self, a: arb) -> arb:
        """g there."""
        return arb(self.dear) * (a + a * a * (fmpq(1, 2) if self.depth is None else fmpq(self.depth + 2, 2)))

    def slope(self, a: arb) -> arb:
        """g' there."""
        return self.l / self.stretch(a)

    def parabola(self, a: arb) -> tuple[arb, arb]:
        """(A_a, kappa_a)."""
        if self.depth is None:
            return self.slope(a) * (1 + a), self.slope(a) ** 2 / self.dear
        less = self.slope(a) / (1 + a)
        return less * (1 + (self.depth + 1) * a), less**2 * self.depth / self.dear

    def blocks(self, a: fmpq) -> arb:
        """(L lambda_A/2) a^2."""
        return arb(self.dear * a * a * (1 if self.depth is None else self.depth) / 2)

    def etf(self, a: arb) -> arb:
        """Objective of the ETF whose blocks have size a."""
        return (self.n * (-self.size(a)).exp()).log1p() + self.n * self.price(a)

    def tilt(self, a: arb) -> arb:
        """Derivative of :meth:`etf` in the ETF's size."""
        return self.n * (self.slope(a) - 1 / (self.size(a).exp() + self.n))

    def growth(self, a: arb) -> arb:
        """Derivative of :meth:`size` in a."""
        rate = arb(self.dear) / self.l * self.stretch(a)
        return rate * (1 + a) if self.depth is None else rate * (1 + (self.depth + 2) * a)


# The ETF is optimal ---------------------------------------------------------------------------------------------------


def check_optimality(claim: Claim, witness: Any) -> Answer:
    """The ETF is optimal, with its objective in [lower, upper].

    ``block`` brackets a of a critical ETF, tangent point of p_a and g. ``home`` is m for its own box, where ``near`` =
    [s, s', d] is a rectangle about the ETF's column on which F is convex. The boxes [m', a, b, t] follow one another
    from m on; at ``end`` = b the largest singular value alone costs p_b, more than the ETF.
    """
    low, high = (rational(x, "statement") for x in fields(claim.statement, "statement", "lower", "upper"))
    block, home, near, boxes, end = fields(witness, "witness", "block", "home", "near", "boxes", "end")
    if not isinstance(boxes, list) or len(boxes) > MAX_BOXES:
        raise Reject(f"boxes must be a list of at most {MAX_BOXES}")
    model = Model(claim)
    a1, a2, a = interval(block, "block")
    if not (model.tilt(a1) < 0 and model.tilt(a2) > 0):
        raise Reject("block: no ETF is proved to be critical there")
    model.value, model.alpha = model.etf(a), model.size(a)
    if not (arb(low) <= model.value and model.value <= arb(high)):
        raise Reject("the objective of the ETF is not in the claimed interval")
    with precision(PRECISION):
        m = rational(home, "home", positive=True)
        left = MAX_RECTANGLES - check_home(model, arb(m), *model.parabola(a), vector(near, "near", 3))
        for box in boxes:
            m2, *rest = vector(box, "box", 4)
            if not m2 > m:
                raise Reject("boxes must follow one another")
            left -= check_box(model, left, arb(m), arb(m2), *map(arb, rest))
            m = m2
        slope, bend = model.parabola(arb(rational(end, "end", positive=True)))
        if not slope * m - bend * m**2 / 2 >= model.value:
            raise Reject("end: larger singular values are not proved to cost more than the ETF")
    return f"no column of better logits is possible for |Z|_2 in {len(boxes) + 1} boxes, nor beyond", (
        "residual",
        "columns",
    )


def check_home(model: Model, m: arb, slope: arb, bend: arb, near: list[fmpq]) -> int:
    """Nothing with |Z|_2 <= m is better than the ETF; returns how many rectangles it took."""
    s1, s2, d = map(arb, near)
    kappa, lam = model.k * bend / 2, model.n * slope
    if not (s1 < model.alpha < s2 and d > 0):
        raise Reject("near must hold the ETF's column")
    for i in range(NEAR):
        deep = (d * fmpq(i, NEAR)).union(d * fmpq(i + 1, NEAR))
        for j in range(NEAR):
            wide = s1 + ((s2 - s1) * fmpq(j, NEAR)).union((s2 - s1) * fmpq(j + 1, NEAR))
            if not convex(model, kappa, wide, deep):
                raise Reject("near: the bound of a column is not proved to be convex there")
    wide, high = root(m * m / model.share), root(m * m / model.c)
    todo = [*strips(-wide, s1, high), *strips(s2, wide, high), (s1, s2, d, high)]
    return rectangles(model, MAX_RECTANGLES, kappa, lam, m, model.value, todo)


def check_box(model: Model, most: int, m1: arb, m2: arb, a: arb, b: arb, t: arb) -> int:
    """Nothing with |Z|_2 in [m1, m2] is better than the ETF; returns how many rectangles it took."""
    if not (a >= 0 and b >= 0 and 0 <= t <= 1):
        raise Reject("a box needs a >= 0, b >= 0 and 0 <= t <= 1")
    (slope, bend), (steep, round_) = model.parabola(a), model.parabola(b)
    # p_b - p_a is convex for kappa_b <= kappa_a, and least at m1 if it does not fall there
    if not (round_ <= bend and steep - slope + (bend - round_) * m1 >= 0):
        raise Reject("box: the largest singular value's price is not least at the box's start")
    extra = (steep - slope) * m1 + (bend - round_) * m1 * m1 / 2
    kappa = model.k * (bend - 2 * t * slope / m2) / 2
    if not kappa >= 0:
        raise Reject("box: t is too large")
    wide, high = root(m2 * m2 / model.share), root(m2 * m2 / model.c)
    todo = strips(-wide, wide, high)
    return rectangles(model, most, kappa, model.n * (1 - t) * slope, m2, model.value - extra, todo)


def strips(low: arb, high: arb, depth: arb) -> list[tuple[arb, arb, arb, arb]]:
    """[low, high] x [0, depth] in strips of s, all ends exact; nothing if it is empty."""
    ends = [low.lower(), *((low + (high - low) * fmpq(i, START)).mid() for i in range(1, START)), high.upper()]
    return [(x, y, arb(0), arb(depth.upper())) for x, y in pairwise(ends) if x < y]


def rectangles(
    model: Model, most: int, kappa: arb, lam: arb, m: arb, need: arb, todo: list[tuple[arb, arb, arb, arb]]
) -> int:
    """F >= need on the columns of norm at most m in these rectangles; returns how many it took."""
    for done in range(most):
        if not todo:
            return done
        s1, s2, d1, d2 = todo.pop()
        flat = s1.max(-s2).max(arb(0))
        off2 = m * m - model.share * flat**2  # of n (n-1) d^2
        d2 = d2.min(root(off2 / model.c).upper())
        if off2 < 0 or d2 < d1 or corner(model, kappa, lam, s1, s2, d1, d2) >= need:
            continue
        s, d = ((s1 + s2) / 2).mid(), ((d1 + d2) / 2).mid()
        if s2 - s1 > model.n * (d2 - d1):
            todo += [(s1, s, d1, d2), (s, s2, d1, d2)]
        else:
            todo += [(s1, s2, d1, d), (s1, s2, d, d2)]
    raise Reject(f"no proof of the bound of a column at |Z|_2 <= {float(m.mid()):.6g}")


# Explicit factors beat it ---------------------------------------------------------------------------------------------


def check_counterexample(claim: Claim, witness: Any, margin: fmpq) -> Answer:
    """Every simplex ETF has an objective larger by ``margin`` than that of the witness W, A_l = diag(blocks), H."""
    model = Model(claim)
    paid = objective(model, witness) + arb(margin)
    cover_etfs(model, paid)
    return "explicit factors beat every simplex ETF", ("residual",)


def objective(model: Model, witness: Any) -> arb:
    """Objective of the factors of a witness."""
    k = model.k
    if k > MAX_FACTOR_SIZE:
        raise Reject(f"counterexamples are limited to {MAX_FACTOR_SIZE} classes")
    w_data, blocks_data, h_data = fields(witness, "witness", "W", "blocks", "H")
    w = matrix(w_data, "W", k, None, MAX_FACTOR_SIZE)
    d = len(w[0])
    h, blocks = matrix(h_data, "H", d, k, MAX_FACTOR_SIZE), vector(blocks_data, "blocks", d)
    for x in (x for row in [*w, *h, blocks] for x in row):
        if x.p.bit_length() > MAX_BITS or x.q.bit_length() > MAX_BITS:
            raise Reject(f"numerators and denominators must have at most {MAX_BITS} bits")
    if not all(a > -1 for a in blocks):
        raise Reject("blocks must be > -1")
    grown = [model.stretch(arb(a)) for a in blocks]
    z = arb_mat([[arb(x) * g for x, g in zip(row, grown, strict=True)] for row in w]) * arb_mat(
        [[arb(x) for x in row] for row in h]
    )
    odds = [sum(((z[i, j] - z[j, j]).exp() for i in range(k) if i != j), arb(0)) for j in range(k)]
    risk = sum((odd.log1p() for odd in odds), arb(0)) / k
    decay = model.by_w * squares(w) / 2 + model.by_h * squares(h) / 2
    return risk + arb(decay) + sum((model.blocks(a) for a in blocks), arb(0))


def squares(rows: Array) -> fmpq:
    """Sum of the squared entries."""
    return sum((x * x for row in rows for x in row), fmpq(0))


def cover_etfs(model: Model, paid: arb) -> None:
    """The objective of every ETF is above ``paid``: on pieces of a, by the mean value theorem or at their ends.

    From the last piece on the price alone is.
    """
    top = arb(fmpq(1, 1024))
    while not model.n * model.price(top) > paid:
        top *= 2
        if top > 2**20:
            raise Reject("the factors are not proved to beat the simplex ETF")
    todo = [(arb(0), top)]
    for _ in range(MAX_PIECES):
        if not todo:
            return
        a1, a2 = todo.pop()
        whole, middle = a1.union(a2), ((a1 + a2) / 2).mid()
        ends = (model.n * (-model.size(a2)).exp()).log1p() + model.n * model.price(a1)
        mean = model.etf(middle) + model.tilt(whole) * model.growth(whole) * (whole - middle)
        if not (ends > paid or mean > paid):
            todo += [(a1, middle), (middle, a2)]
    raise Reject("the factors are not proved to beat the simplex ETF")
