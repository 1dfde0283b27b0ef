"""Kind "open-value": the optimal value for any labels, losses and biases of ``labels``, in an interval.

Above: the objective at rational factors Z = L R and a bias b. Below, for any G (K x m) in the domain of the conjugate,

    min over |Z| <= tau:   -f*(G) - tau Omega°(G)        weight decay:   -f*(G), where Omega°(G D^{-1/2}) <= 1,

by weak duality, Omega° the polar of the gauge. A free bias needs G 1 = 0, exactly; a penalised one costs
|G 1|^2/(2 lambda_b). Gauges, their factors, and what shows a bound of the polar of X = G or G D^{-1/2}:

    nuclear norm          |L|^2 |R|^2 <= radius^2                      bound^2 I - X X^T > 0
    nonnegative features  the same, R >= 0 entrywise                   bound^2 I - X^T X - N > 0 for some N >= 0, or
                                                                       without N: it is strictly copositive
    norm-bounded          rows |l_k| <= w, columns |r_j| <= h          [[diag alpha, -G], [-G^T, diag beta]] > 0 shows
                                                                       tau Omega°(G) <= (w^2 sum alpha + h^2 sum beta)/2

The witness names ``factors`` (left, right), ``bias``, ``dual`` and ``bound``, and N as ``copositive``, or null, where
features are nonnegative; ``bound`` is [alpha, beta] where rows and columns are bounded.
"""

from __future__ import annotations

from typing import Any

from flint import arb, arb_mat, fmpq

from proofs_check.kinds import formula
from proofs_check.kinds.copositive import strictly_copositive
from proofs_check.kinds.labels import MAX_SIZE, Matrix, OpenClaim, dual, risk, words
from proofs_check.kinds.reading import (
    Answer,
    Reject,
    brief,
    enclosed,
    exact_sum,
    fields,
    identity,
    matrix,
    positive_definite,
    rational,
    vector,
    whole_power,
)


def describe(claim: OpenClaim) -> str:
    """The claim in words."""
    said = claim.statement if isinstance(claim.statement, dict) else {}
    inside = f"[{brief(said.get('lower'))}, {brief(said.get('upper'))}]"
    parameters = ", ".join(f"{key}={brief(value)}" for key, value in sorted(claim.parameters.items()))
    return f"{claim.architecture}({parameters}), {words(claim)}: the optimal value is in {inside}"


def check(claim: OpenClaim, witness: Any) -> Answer:
    """The optimal value lies in [lower, upper]."""
    nonnegative = claim.loss != "formula" or formula.nonnegative(claim)
    return enclosed(claim.statement, *enclose(claim, witness), nonnegative=nonnegative)


def enclose(claim: OpenClaim, witness: Any) -> tuple[arb, arb]:
    """Balls whose lower end (of the first) and upper end (of the second) enclose the optimal value."""
    nonnegative = claim.parameters.get("features") == "nonnegative"
    left, right, bias, dual_data, bound, *rest = fields(
        witness, "witness", "left", "right", "bias", "dual", "bound", *(["copositive"] if nonnegative else [])
    )
    upper = objective(claim, left, right, bias, nonnegative)
    g, value = balanced(claim, dual_data)
    if claim.architecture == "norm_bounded":
        return value - bounded_cost(claim, g, bound), upper
    limit = rational(bound, "bound", positive=True)
    check_polar(claim, g, limit, rest)
    if not claim.penalised:
        return value - arb(claim.scale2).sqrt() * arb(limit), upper
    if not arb(limit) ** 2 <= arb(claim.scale2):
        raise Reject("bound: the dual is not feasible, |G D^(-1/2)| exceeds the strength of the weight decay")
    return value, upper


def balanced(claim: OpenClaim, data: Any) -> tuple[Any, arb]:
    """G and a lower bound of -f*(G), less what a penalised bias takes off; with a free one the rows of G sum to 0."""
    if claim.loss == "formula":
        balls, value = formula.dual(claim, data)
        if claim.bias:
            value -= sum((whole_power(sum(row, arb(0)), 2) for row in balls), arb(0)) / arb(2 * claim.bias)
        return balls, value
    g, value = dual(claim, data)
    if claim.bias is not None:
        sums = [exact_sum(row, "dual") for row in g]
        if claim.bias == 0 and any(sums):
            raise Reject("dual: with a free bias the rows of G must sum to 0")
        value -= sum((arb(x) ** 2 for x in sums), arb(0)) / arb(2 * claim.bias) if claim.bias else arb(0)
    return g, value


def objective(claim: OpenClaim, left_data: Any, right_data: Any, bias_data: Any, nonnegative: bool) -> arb:
    """The objective at the factors of a witness, which fit the budgets."""
    k, m = len(claim.targets), len(claim.counts)
    left = matrix(left_data, "left", k, None, MAX_SIZE)
    right = matrix(right_data, "right", len(left[0]), m, MAX_SIZE)
    bias = vector(bias_data, "bias", k)
    if claim.bias is None and any(bias):
        raise Reject("bias must be 0 in a problem without one")
    if nonnegative and any(x < 0 for row in right for x in row):
        raise Reject("right: features must be nonnegative")
    first, second = (arb_mat([[arb(x) for x in row] for row in part]) for part in (left, right))
    z = (first * second).tolist()
    value = risk(claim, [[x + arb(b) for x in row] for row, b in zip(z, bias, strict=True)])
    if claim.bias:
        value += arb(claim.bias) * sum((arb(b) ** 2 for b in bias), arb(0)) / 2
    if claim.architecture == "norm_bounded":
        w, h = (arb(rational(claim.parameters[key], key)) for key in ("w", "h"))
        rows = [(part, bound**2) for part, bound in ((first, w), (second.transpose(), h))]
        if not all(sum((x * x for x in row), arb(0)) <= bound for part, bound in rows for row in part.tolist()):
            raise Reject("the point is not feasible: a row or column exceeds its bound")
        return value
    weights = [arb(n) if claim.penalised else arb(1) for n in claim.counts]
    cost = sum((x * x for row in first.tolist() for x in row), arb(0))
    cost *= sum((n * x * x for row in second.tolist() for x, n in zip(row, weights, strict=True)), arb(0))
    if claim.penalised:
        return value + (arb(claim.scale2) * cost).sqrt()
    if not cost <= arb(claim.scale2):
        raise Reject("the point is not feasible: its factors exceed the budgets")
    return value


def check_polar(claim: OpenClaim, g: Matrix, limit: fmpq, rest: list[Any]) -> None:
    """The polar of G, columns divided by sqrt(n) under weight decay, is at most ``limit``."""
    k, m = len(g), len(g[0])
    weights = [arb(n).sqrt() if claim.penalised else arb(1) for n in claim.counts]
    x = arb_mat([[arb(y) / w for y, w in zip(row, weights, strict=True)] for row in g])
    if not rest:
        if not positive_definite(identity(k) * arb(limit) ** 2 - x * x.transpose()):
            raise Reject("bound is not an upper bound of the dual's spectral norm")
        return
    form = identity(m) * arb(limit) ** 2 - x.transpose() * x
    if rest[0] is None:
        if not strictly_copositive(form):
            raise Reject("bound is not shown to be an upper bound of |G v| over nonnegative unit vectors v")
        return
    n = matrix(rest[0], "copositive", m, m, MAX_SIZE)
    if any(n[i][j] < 0 or n[i][j] != n[j][i] for i in range(m) for j in range(m)):
        raise Reject("copositive must be symmetric and nonnegative")
    split = arb_mat([[arb(y) for y in row] for row in n])
    if not positive_definite(form - split):
        raise Reject("bound is not an upper bound of |G v| over nonnegative unit vectors v")


def bounded_cost(claim: OpenClaim, g: Matrix, data: Any) -> arb:
    """(w^2 sum alpha + h^2 sum beta)/2, at least <G, Z> for every Z with such rows and columns."""
    if not isinstance(data, list) or len(data) != 2:
        raise Reject("bound must be [alpha, beta]")
    k, m = len(g), len(g[0])
    alpha, beta = vector(data[0], "alpha", k, positive=True), vector(data[1], "beta", m, positive=True)
    size = k + m
    block = arb_mat(size, size)
    for i, x in enumerate([*alpha, *beta]):
        block[i, i] = arb(x)
    for i in range(k):
        for j in range(m):
            block[i, k + j] = block[k + j, i] = -arb(g[i][j])
    if not positive_definite(block):
        raise Reject("bound: [[diag alpha, -G], [-G^T, diag beta]] is not proved to be positive definite")
    w, h = (rational(claim.parameters[key], key) for key in ("w", "h"))
    return (arb(w * w) * sum(map(arb, alpha), arb(0)) + arb(h * h) * sum(map(arb, beta), arb(0))) / 2
