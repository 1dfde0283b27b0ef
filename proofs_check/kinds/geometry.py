"""Kind "geometry": phase and squared errors of the two-group optimum (cross-entropy, budgets), each in an interval.

With a = sqrt(K_B/K), b = sqrt(K_A/K), x = mu/pi_B and theta the angle with a u = T cos(theta), b v = T sin(theta), u =
s_A + K_A d_A, v = s_B + K_B d_B, stationarity in d_A, s_A, d_B, s_B reads, with beta_A = x/R and beta_B = x,

    r_A = beta_A cos(theta)/sqrt(K K_B),  q_A = beta_A (1 - a cos(theta))/K_A,  own probability q_A + 1 - beta_A,

and the same for B with sin(theta), sqrt(K K_A) and b. Where s = 0 (a collapsed group) or K_A = 1 the own class has the
probability q of the others, q = (1 - K_B r)/K_A. Two equations are left for x and t = tan(theta/2),

    a u sin(theta) = b v cos(theta),   (K_A-1) s_A + (K_B-1) s_B + T = tau,

and a box that Krawczyk's operator maps into its interior holds a zero. It is a KKT point if s_A > 0 (K_A >= 2), u, v >
0 and s_B > 0 (x < 1), or s_B = 0 and x > 1: its subgradient there is 1/x. So it is the optimum, and s_B = 0 exactly.
Where minority features vanish, u = v = 0, the optimum is explicit and its conditions are strict inequalities.

Features have the Gram matrix s_A P_A + s_B P_B + T cos(phi)^2 c c^T after centring, cos(phi) = a cos(theta) + b
sin(theta), c the centred unit vector that is constant on groups; classifiers have T c c^T in the last term's place.
"""

from __future__ import annotations

from typing import Any

from flint import arb, arb_series, fmpq

from proofs_check.kinds.reading import Answer, Claim, Reject, brief, fields, interval, rational

PHASES = ("none", "partial", "total")
ERRORS = ("etf_error_squared", "self_duality_error_squared")


def describe(claim: Claim) -> str:
    """What the claim says, in words."""
    said = claim.statement if isinstance(claim.statement, dict) else {}
    ends = {key: [brief(x) for x in said[key]] if isinstance(said.get(key), list) else "?" for key in ERRORS}
    return (
        f"the phase of the optimum is {brief(said.get('phase'))}, its features' squared ETF error is in "
        f"{ends[ERRORS[0]]} and its squared self-duality error in {ends[ERRORS[1]]}"
    )


def check(claim: Claim, witness: Any) -> Answer:
    """The phase is that of the claim, and both squared errors lie in its intervals."""
    if claim.loss != "ce" or claim.penalised or len(claim.sizes) != 2 or claim.sizes[1] < 2:
        raise Reject("geometry is enclosed for cross-entropy, budgets and two groups, the second of 2 classes or more")
    if claim.counts[0] < claim.counts[1]:
        raise Reject("the first group must be the majority")
    phase, *intervals = fields(claim.statement, "statement", "phase", *ERRORS)
    if phase not in PHASES:
        raise Reject(f"phase must be one of {PHASES}")
    tau = arb(claim.radius2).sqrt()
    point = total(claim, tau, witness) if phase == "total" else zero(claim, tau, phase, witness)
    errors = squared_errors(claim, *point)
    for name, found, said in zip(ERRORS, errors, intervals, strict=True):
        if not isinstance(said, list) or len(said) != 2:
            raise Reject(f"{name} must be a list of 2 rationals")
        low, high = (arb(rational(x, name)) for x in said)
        if not (low <= found and found <= high):
            raise Reject(f"{name} is not proved to lie in the claimed interval")
    where = "strictly where the minority features vanish" if phase == "total" else "at one point of the box"
    return f"the optimality conditions hold {where}, which has such errors", ("gauge", "kkt")


def total(claim: Claim, tau: arb, witness: Any) -> tuple[arb, ...]:
    """s_A, s_B, T, cos(theta), sin(theta) where the minority's features vanish: s_A = tau/(K_A-1), T = 0.

    There K_A q_A + K_B r_A = beta_A gives mu. The gradient is -pi_B on zero-sum vectors of the minority, and its
    trivial block has the squared norm K K_B (pi_A r_A)^2 + (K_A/K) pi_B^2: both must be below mu.
    """
    fields(witness, "witness")
    (k_a, k_b), ratio = claim.sizes, arb(claim.counts[0] / claim.counts[1])
    if k_a < 2:
        raise Reject("with one majority class and a budget the trivial block cannot vanish")
    k, s = k_a + k_b, tau / (k_a - 1)
    wrong, far = (-s).exp(), (s / k_a - s).exp()  # odds of another majority class, and of a minority class
    odds = 1 + (k_a - 1) * wrong + k_b * far
    x = ratio * (k_a * wrong + k_b * far) / odds  # mu/pi_B
    trivial = k * k_b * (ratio * far / odds / x) ** 2 + arb(fmpq(k_a, k)) / x**2
    if not (x > 1 and trivial < 1):
        raise Reject("no proof that the point with minority features 0 is optimal")
    return s, arb(0), arb(0), arb(1), arb(0)


def zero(claim: Claim, tau: arb, phase: str, witness: Any) -> tuple[arb, ...]:
    """s_A, s_B, T, cos(theta), sin(theta) on a box of (x, t) in which the optimality conditions hold at one point."""
    boxes = [interval(data, name) for data, name in zip(fields(witness, "witness", "x", "t"), "xt", strict=True)]
    middle = [((low + high) / 2).mid() for low, high, _ in boxes]
    reach = [(high - low) / 2 + abs((low + high) / 2 - m) for (low, high, _), m in zip(boxes, middle, strict=True)]
    whole = [m + arb(0, 1) * r for m, r in zip(middle, reach, strict=True)]  # no less than the box
    at = conditions(claim, tau, phase, *middle)[:2]
    slopes = [
        [f[1] for f in conditions(claim, tau, phase, *(series(w, j == i) for j, w in enumerate(whole)))[:2]]
        for i in (0, 1)
    ]
    (j11, j21), (j12, j22) = ([entry.mid() for entry in column] for column in slopes)
    det = j11 * j22 - j12 * j21
    if not det != 0:
        raise Reject("the box does not determine one point")
    inverse = [[j22 / det, -j12 / det], [-j21 / det, j11 / det]]
    for i, row in enumerate(inverse):
        step = abs(row[0] * at[0] + row[1] * at[1])
        rest = [abs((i == j) - row[0] * slopes[j][0] - row[1] * slopes[j][1]) for j in (0, 1)]
        low, high, _ = boxes[i]
        inside = (high - middle[i]).min(middle[i] - low)
        if not step + rest[0] * reach[0] + rest[1] * reach[1] < inside:
            raise Reject("no proof that the optimality conditions have a zero in the box")
    _, _, s_a, s_b, size, cos, sin = conditions(claim, tau, phase, *whole)
    if not ((claim.sizes[0] == 1 or s_a > 0) and (whole[0] > 1 if phase == "partial" else s_b > 0)):
        raise Reject(f"the zero in the box is not proved to be an optimum of phase {phase!r}")
    return s_a, s_b, size, cos, sin


def series(ball: arb, varies: bool) -> arb_series:
    """The ball as a function of itself, or constant, to first order."""
    return arb_series([ball, int(varies)], prec=2)


def conditions(claim: Claim, tau: arb, phase: str, x: Any, t: Any) -> tuple[Any, ...]:
    """Both equations, left less right, then s_A, s_B, T, cos(theta), sin(theta), at balls or series x and t."""
    (k_a, k_b), ratio = claim.sizes, arb(claim.counts[0] / claim.counts[1])
    k = k_a + k_b
    a, b = (arb(k_b) / k).sqrt(), (arb(k_a) / k).sqrt()
    cos, sin = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    u, s_a = side(k_a, k_b, x / ratio, a, cos, k_a == 1)
    v, s_b = side(k_b, k_a, x, b, sin, phase == "partial")
    if not all(value(y) > 0 for y in (u, v, cos, sin)):
        raise Reject("the box reaches points where the trivial block vanishes or the angle leaves (0, pi/2)")
    size = ((a * u) ** 2 + (b * v) ** 2).sqrt()
    return a * u * sin - b * v * cos, (k_a - 1) * s_a + (k_b - 1) * s_b + size - tau, s_a, s_b, size, cos, sin


def side(k: int, others: int, beta: Any, a: arb, cos: Any, flat: bool) -> tuple[Any, Any]:
    """(u, s) of a group of k classes at mu/pi = beta, with s = 0 where it is ``flat``."""
    r = beta * cos / arb((k + others) * others).sqrt()
    q = (1 - others * r) / k if flat else beta * (1 - a * cos) / k
    own = q if flat else q + 1 - beta
    if not all(value(y) > 0 for y in (r, q, own)):
        raise Reject("the box leaves the simplex of probabilities")
    s = arb(0) if flat else (own / q).log()
    return s + k * (q / r).log(), s


def value(y: Any) -> arb:
    """A ball, or the constant term of a series."""
    return y[0] if isinstance(y, arb_series) else y


def squared_errors(claim: Claim, s_a: arb, s_b: arb, size: arb, cos: arb, sin: arb) -> tuple[arb, arb]:
    """|X/|X| - P/|P||^2 of the features' centred Gram matrix, |W/|W| - M^T/|M||^2 of classifier and class means."""
    k_a, k_b = claim.sizes
    k, trace = k_a + k_b, (k_a - 1) * s_a + (k_b - 1) * s_b
    tilt = (arb(k_b) / k).sqrt() * cos + (arb(k_a) / k).sqrt() * sin  # cos(phi)
    mean = size * tilt**2
    gram = ((k_a - 1) * s_a**2 + (k_b - 1) * s_b**2 + mean**2).sqrt()
    etf = 2 - 2 * (trace + mean) / (gram * arb(k - 1).sqrt())
    if size == 0:
        return etf, arb(0)  # classifier and features are the same
    return etf, 2 - 2 * (trace + size * tilt) / ((trace + size) * (trace + mean)).sqrt()
