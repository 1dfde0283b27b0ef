"""Kind "optimality": the simplex ETF is globally optimal for a linear equilibrium layer under a Frobenius budget.

Balanced cross-entropy, K >= 3, n = K - 1, tau = K sqrt(E_W E_H), b = sqrt(E_A) < 1 and b <= rho sqrt(n), so that the
ETF uses the whole budget; alpha (n - b sqrt(n)) = tau, T_e = sqrt(n) alpha, and the optimal value is that of the ETF,
log(1 + n e^{-alpha}). By the lemma "columns" logits Z that do better have N = |Z|_* = tau + b T, T = |Z|_F in (T_e,
tau/(1-b)] and w = N - S in [0, b (T - T_e)), S = tr Z, and with s_k = (K/n) Z_kk, d_k >= 0, |z_k|^2 = (n/K) s_k^2 + n
(n-1) d_k^2 every column has loss_k >= phi(s_k, d_k) = log(1 + e^{-(n-1) d - s} + (n-1) e^{d - s}), and for all kappa
and lam

    f(Z) >= min over columns of F + kappa T^2/K - lam S/n,  F(s, d) = phi + lam s - kappa [(n/K) s^2 + n (n-1) d^2].

The witness covers (T, w) by boxes with multipliers. In each of them the minimum of F over the columns that are possible
is bounded on rectangles of (s, d): phi is convex, above its tangent plane, and -kappa [...] is concave, above its
chords, so that the least value of their sum is at a corner. Rectangles are halved until it suffices. Next to the ETF, T
<= near, F is convex on all columns that are possible and stationary at the ETF's (alpha, 0) for lam = n p + 2 kappa
alpha n/K, p = 1/(e^alpha + n); and 2 kappa T_e/K >= lam b/n settles every T.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Protocol

from flint import arb, fmpq

from proofs_check.kinds.reading import Answer, Claim, Reject, brief, fields, rational, vector
from proofs_check.precision import precision

MAX_CLASSES = 64
MAX_BOXES = 1000
MAX_RECTANGLES = 20_000  # in all boxes together
START = 8  # strips of s at first
NEAR = 8  # parts of s, on either side, and of d next to the ETF
PRECISION = 128  # bits: thousands of rectangles, each with room to spare


def describe(claim: Claim) -> str:
    """What the claim says, in words."""
    said = claim.statement if isinstance(claim.statement, dict) else {}
    return f"the simplex ETF is globally optimal, its risk in [{brief(said.get('lower'))}, {brief(said.get('upper'))}]"


class Numbers(Protocol):
    """K, n, b = sqrt(E_A), alpha, T_e, n/K and n (n-1)."""

    k: int
    n: int
    b: arb
    alpha: arb
    t_e: arb
    share: fmpq
    c: int


class Model:
    """The numbers of one claim."""

    def __init__(self, claim: Claim) -> None:
        e_w, e_h, rho, e_a = (rational(claim.parameters[key], key) for key in ("E_W", "E_H", "rho", "E_A"))
        self.k = claim.sizes[0]
        if not 3 <= self.k <= MAX_CLASSES:
            raise Reject(f"optimality is checked for 3 to {MAX_CLASSES} classes")
        self.n = self.k - 1
        if not e_a < 1 or e_a > rho**2 * self.n:
            raise Reject("optimality is checked for E_A < 1 and sqrt(E_A) <= rho sqrt(K - 1)")
        self.tau, self.b = arb(self.k**2 * e_w * e_h).sqrt(), arb(e_a).sqrt()
        root = arb(self.n).sqrt()
        self.alpha = self.tau / (self.n - self.b * root)
        self.t_e, self.t_max = root * self.alpha, self.tau / (1 - self.b)
        self.value = (self.n * (-self.alpha).exp()).log1p()
        self.share, self.c = fmpq(self.n, self.k), self.n * (self.n - 1)


def check(claim: Claim, witness: Any) -> Answer:
    """The ETF is optimal, with its risk in [lower, upper]."""
    low, high = (rational(x, "statement") for x in fields(claim.statement, "statement", "lower", "upper"))
    if claim.loss != "ce" or claim.architecture != "linear_deq" or len(claim.sizes) != 1:
        raise Reject("optimality is checked for linear_deq, balanced classes and cross-entropy")
    near_data, boxes_data = fields(witness, "witness", "near", "boxes")
    near, kappa = vector(near_data, "near", 2, positive=True)
    if not isinstance(boxes_data, list) or not 1 <= len(boxes_data) <= MAX_BOXES:
        raise Reject(f"boxes must be a list of 1 to {MAX_BOXES}")
    boxes = [vector(box, "box", 6) for box in boxes_data]
    with precision(PRECISION):
        model = Model(claim)
        if not (arb(low) <= model.value and model.value <= arb(high)):
            raise Reject("the risk of the ETF is not in the claimed interval")
        check_cover(model, near, boxes)
        check_near(model, arb(near), arb(kappa))
        rectangles = MAX_RECTANGLES
        for box in boxes:
            rectangles -= check_box(model, rectangles, *map(arb, box))
    return f"no column of better logits is possible in {len(boxes)} boxes, nor next to the ETF", ("etf", "columns")


def check_cover(model: Model, near: fmpq, boxes: list[list[fmpq]]) -> None:
    """The boxes [T, T'] x [w, w'] contain every T in [near, tau/(1-b)] with w in [0, b (T - T_e)]."""
    edges = sorted({near, *(t for box in boxes for t in box[:2] if t > near)})
    if not arb(edges[-1]) >= model.t_max:
        raise Reject("the boxes end before tau/(1-b)")
    for start, end in pairwise(edges):
        reached, top = fmpq(0), model.b * (arb(end) - model.t_e)
        for _, _, w1, w2, *_ in sorted((b for b in boxes if b[0] <= start and end <= b[1]), key=lambda box: box[2]):
            if w1 > reached:
                break
            reached = max(reached, w2)
        if not arb(reached) >= top:
            raise Reject(f"the boxes leave a gap at |Z|_F = {float(start):.6g}")


def check_near(model: Numbers, t: arb, kappa: arb) -> None:
    """Nothing with |Z|_F <= t is better than the ETF: F is convex on the columns that are possible there.

    They have |z_k - (S/n) P_k|^2 <= T^2 - T_e^2 and S/n in [alpha, alpha + b (T - T_e)/n].
    """
    n, k = model.n, model.k
    away = (t * t - model.t_e**2).sqrt()
    deep, wide = away / arb(model.c).sqrt(), away / arb(model.share).sqrt() + model.b * (t - model.t_e) / n
    lam = n / (model.alpha.exp() + n) + 2 * kappa * model.alpha * model.share
    if not (kappa > 0 and 2 * kappa * model.t_e / k >= lam * model.b / n):
        raise Reject("near: the multiplier is too small")
    for i in range(NEAR):
        d = (deep * fmpq(i, NEAR)).union(deep * fmpq(i + 1, NEAR))
        for j in range(-NEAR, NEAR):
            s = model.alpha + (wide * fmpq(j, NEAR)).union(wide * fmpq(j + 1, NEAR))
            if not convex(model, kappa, s, d):
                raise Reject("near: the bound of a column is not proved to be convex there")


def convex(model: Numbers, kappa: arb, s: arb, d: arb) -> bool:
    """Whether F has a positive definite Hessian on balls of s and d.

    With l(d) = log(e^{-(n-1) d} + (n-1) e^d) and m = 1/(1 + e^{s - l}) that of phi is m (1 - m) (-1, l') (-1, l')^T + m
    l'' (0, 1) (0, 1)^T.
    """
    n, steep = model.n, (-model.n * d).exp()
    slope, bend = (n - 1) * (1 - steep) / (n - 1 + steep), n * n * (n - 1) * steep / (n - 1 + steep) ** 2
    miss = 1 / (1 + (s - d - (n - 1 + steep).log()).exp())
    curvature, less = miss * (1 - miss), 2 * kappa * model.share
    second = miss * bend - 2 * kappa * model.c
    # determinant, without the squares that cancel
    return bool(curvature > less and (curvature - less) * second > less * curvature * slope**2)


def check_box(model: Model, most_done: int, t1: arb, t2: arb, w1: arb, w2: arb, kappa: arb, lam: arb) -> int:
    """The bound is at least the ETF's risk for T in [t1, t2] and w in [w1, w2]; returns how many rectangles it took."""
    n, k, b = model.n, model.k, model.b
    if not (kappa >= 0 and lam >= 0 and t1 > 0 and t1 < t2 and w1 >= 0):
        raise Reject("a box must have positive sizes and multipliers that are not negative")
    least, most = model.tau + b * t1, model.tau + b * t2  # of N
    size = ((least - w2) / n).max(model.alpha), (most - w1) / n  # of S/n
    norm = most / n + root((t2 * t2 - least**2 / n) * fmpq(n - 1, n))  # of |Z|_2
    reach2 = (t2 * t2 - n * size[0] ** 2).max(arb(0))  # of |z_k - (S/n) P_k|^2
    # kappa T^2/K - lam b T/n is convex in T, least at t1 if it does not fall there
    rises = 2 * kappa * t1 / k >= lam * b / n
    outer = kappa * t1 * t1 / k - lam * ((least if rises else most) - w1) / n
    radius = root(reach2 / model.share)
    left, right = (size[0] - radius).max(-w2 / 2 / model.share), size[1] + radius
    ends = [left + (right - left) * fmpq(i, START) for i in range(START + 1)]
    strips = pairwise([left.lower(), *(x.mid() for x in ends[1:-1]), right.upper()])
    todo = [(s1, s2, arb(0), arb(norm.upper())) for s1, s2 in strips]
    for done in range(most_done):
        if not todo:
            return done
        s1, s2, d1, d2 = todo.pop()
        # |z_k|^2 <= |Z|_2 p_k, sqrt(p_k) <= sqrt(w/2) + sqrt(w/2 + Z_kk), and the distance from (S/n) P_k
        p = (root(w2 / 2) + root(w2 / 2 + model.share * s2)) ** 2
        gap, flat = (size[0] - s2).max(s1 - size[1]).max(arb(0)), s1.max(-s2).max(arb(0))
        off2 = (norm * p.min(norm) - model.share * flat**2).min(reach2 - model.share * gap**2)  # of n (n-1) d^2
        d2 = d2.min(root(off2 / model.c).upper())
        if off2 < 0 or d2 < d1 or corner(model, kappa, lam, s1, s2, d1, d2) + outer >= model.value:
            continue
        s, d = ((s1 + s2) / 2).mid(), ((d1 + d2) / 2).mid()
        if s2 - s1 > n * (d2 - d1):
            todo += [(s1, s, d1, d2), (s, s2, d1, d2)]
        else:
            todo += [(s1, s2, d1, d), (s1, s2, d, d2)]
    raise Reject(f"no proof of the bound at |Z|_F = {float(t1.mid()):.6g}, |Z|_* - tr Z = {float(w1.mid()):.3g}")


def corner(model: Numbers, kappa: arb, lam: arb, s1: arb, s2: arb, d1: arb, d2: arb) -> arb:
    """A lower bound of F on [s1, s2] x [d1, d2]: tangent plane of phi in the middle, chords of the squares."""
    n = model.n
    s, d = ((s1 + s2) / 2).mid(), ((d1 + d2) / 2).mid()
    first, second = (-(n - 1) * d - s).exp(), (n - 1) * (d - s).exp()
    total = 1 + first + second
    by_s, by_d = -(first + second) / total, (second - (n - 1) * first) / total
    # along s: by_s + lam - kappa (n/K) (s1 + s2), an affine function's slope; the same along d
    in_s, in_d = by_s + lam - kappa * model.share * (s1 + s2), by_d - kappa * model.c * (d1 + d2)
    constant = total.log() - by_s * s - by_d * d + kappa * (model.share * s1 * s2 + model.c * d1 * d2)
    return constant + (in_s * s1).min(in_s * s2) + (in_d * d1).min(in_d * d2)


def root(x: arb) -> arb:
    """At least the square root of the positive part of x."""
    return arb(x.upper()).max(arb(0)).sqrt()
