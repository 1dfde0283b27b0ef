"""Claims about any labels, losses and biases: how they are read, and each loss with its conjugate, in balls.

Columns j = 1..m of the logits stand for n_j samples each, pi_j = n_j/N, with targets T (K x m); f(Z) = sum_j pi_j
l(z_j; t_j) over logits Z + b 1^T, where a bias b is free or costs (lambda_b/2)|b|^2. With S = sum_i t_i, x = Delta z +
iota:

    ce             w [S log sum_i e^{x_i} - <t, x>], t smoothed: (1 - a) t + (a S/K) 1
    bce            sum_i log(1 + e^{z_i}) - t_i z_i
    mse            |z - t|^2/2
    squared_hinge  (1/2) sum of t_k max(0, margin + z_i - z_k)^2 over classes k in the target and i outside of it
    formula        what its expression says, see ``formula``

All of them are convex, and all but the last >= 0. Minus the conjugate at G, column by column with g = G_j, pi l*(g/pi):

    ce             for q = t + Delta^{-1} g/(pi w) >= 0 of sum S:  pi w [sum_i -q_i log(q_i/S) + <iota, q - t>]
    bce            for q = t + g/pi in [0, 1]:  pi sum_i -q_i log q_i - (1 - q_i) log(1 - q_i)
    mse            -<t, g> - |g|^2/(2 pi)
    squared_hinge  for g = pi sum a_ik (e_i - e_k), a >= 0, at least  pi sum [margin a_ik - a_ik^2/(2 t_k)]
    formula        at least f(Z_0) - <G, Z_0> for a subgradient G at Z_0
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flint import arb, fmpq

from proofs_check.kinds import formula
from proofs_check.kinds.reading import (
    Reject,
    brief,
    exact_sum,
    fields,
    fraction,
    integer,
    matrix,
    rational,
    vector,
    whole_power,
)

MAX_SIZE = 64
LOSSES: dict[str, tuple[str, ...]] = {
    "ce": ("smoothing", "weights", "scales", "shifts"),
    "bce": (),
    "mse": (),
    "squared_hinge": ("margin",),
    "formula": ("expression",),
}

Matrix = list[list[fmpq]]


@dataclass(frozen=True)
class OpenClaim:
    """The problem of a claim about any labels, and the statement.

    Attributes:
        kind, architecture, parameters, penalised, statement: as in ``reading.Claim``.
        scale2: squared strength of the nuclear-norm penalty or squared radius of the ball, where the gauge is one.
        targets: T, K rows of m, smoothed.
        counts: n_j.
        loss: its name.
        weights, scales, shifts, margin: its parameters; w_j, Delta_i, iota_i.
        smoothing: a.
        bias: lambda_b, 0 for a free one, None for none.
        formula: the expression of a loss that states itself.
    """

    kind: str
    architecture: str
    parameters: dict[str, Any]
    penalised: bool
    scale2: Any
    statement: Any
    targets: Matrix
    counts: list[fmpq]
    loss: str
    weights: list[fmpq]
    scales: list[fmpq]
    shifts: list[fmpq]
    margin: fmpq
    smoothing: fmpq
    bias: fmpq | None
    formula: Any = None

    @property
    def pi(self) -> list[fmpq]:
        """pi_j."""
        total = sum(self.counts, fmpq(0))
        return [n / total for n in self.counts]

    def column(self, j: int) -> list[fmpq]:
        """t_j."""
        return [row[j] for row in self.targets]


def read_labels(data: Any) -> tuple[Matrix, list[fmpq]]:
    """Targets and counts."""
    targets, counts = fields(data, "labels", "targets", "counts")
    if not isinstance(targets, list) or not 2 <= len(targets) <= MAX_SIZE:
        raise Reject(f"targets must have 2 to {MAX_SIZE} rows, one a class")
    found = matrix(targets, "targets", len(targets), None, MAX_SIZE)
    return found, vector(counts, "counts", len(found[0]), positive=True)


def read_loss(data: Any, targets: Matrix) -> dict[str, Any]:
    """The loss with its parameters, and the targets after smoothing."""
    name = data.get("name") if isinstance(data, dict) else None
    if name not in LOSSES:
        raise Reject(f"loss must be an object whose name is one of {sorted(LOSSES)}")
    if not set(data) <= {"name", *LOSSES[name]}:
        raise Reject(f"loss {name!r} has no parameters but {LOSSES[name]}")
    k, m = len(targets), len(targets[0])
    a = fraction(data.get("smoothing", "0"), "smoothing")
    sums = [sum((row[j] for row in targets), fmpq(0)) for j in range(m)]
    low, high = min(x for row in targets for x in row), max(x for row in targets for x in row)
    if (name in ("ce", "squared_hinge") and low < 0) or (name == "bce" and not 0 <= low <= high <= 1):
        raise Reject(f"the targets are outside of what {name!r} is bounded for")
    return {
        "targets": [[(1 - a) * x + a * s / k for x, s in zip(row, sums, strict=True)] for row in targets],
        "loss": name,
        "weights": vector(data["weights"], "weights", m, positive=True) if "weights" in data else [fmpq(1)] * m,
        "scales": vector(data["scales"], "scales", k, positive=True) if "scales" in data else [fmpq(1)] * k,
        "shifts": vector(data["shifts"], "shifts", k) if "shifts" in data else [fmpq(0)] * k,
        "margin": rational(data.get("margin", "1"), "margin", positive=True),
        "smoothing": a,
        "formula": formula.read(data.get("expression"), k, m) if name == "formula" else None,
    }


def read_bias(data: Any) -> fmpq | None:
    """lambda_b: None without a bias, 0 for a free one."""
    if data is None or data == "free":
        return None if data is None else fmpq(0)
    return rational(data, "bias", positive=True)


def loss_words(claim: OpenClaim) -> str:
    """Loss and bias in words."""
    if claim.loss == "formula":
        return f"loss {formula.spell(claim.formula):.2000}{bias_words(claim)}"
    given = [("smoothing", claim.smoothing, 0), *((f"w_{j}", w, 1) for j, w in enumerate(claim.weights))]
    given += [(f"Delta_{i}", x, 1) for i, x in enumerate(claim.scales)]
    given += [(f"iota_{i}", x, 0) for i, x in enumerate(claim.shifts)] + [("margin", claim.margin, 1)]
    changed = [f"{name}={brief(str(value))}" for name, value, usual in given if value != usual]
    return f"{claim.loss}({', '.join(changed[:6])}{', ...' if len(changed) > 6 else ''}){bias_words(claim)}"


def bias_words(claim: OpenClaim) -> str:
    """The bias in words."""
    return "" if claim.bias is None else f", bias lambda_b={brief(str(claim.bias))}" if claim.bias else ", free bias"


def words(claim: OpenClaim) -> str:
    """Labels, loss and bias in words."""
    counts = ", ".join(brief(str(n)) for n in claim.counts[:6]) + (", ..." if len(claim.counts) > 6 else "")
    return f"{loss_words(claim)}, {len(claim.targets)} classes, columns of {counts} samples"


def risk(claim: OpenClaim, logits: list[list[arb]]) -> arb:
    """f at logits (K x m), the bias added to them already."""
    if claim.loss == "formula":
        return formula.risk(claim, logits)
    total = arb(0)
    for j, pi in enumerate(claim.pi):
        z, t = [row[j] for row in logits], claim.column(j)
        mass, loss = sum(t, fmpq(0)), arb(0)
        if claim.loss == "ce" and mass > 0:
            x = [d * y + i for d, y, i in zip(map(arb, claim.scales), z, map(arb, claim.shifts), strict=True)]
            own = max(range(len(t)), key=lambda i: t[i])
            rest = sum(((y - x[own]).exp() for i, y in enumerate(x) if i != own), arb(0))
            # S lse(x) - <t, x>, less S x_own on both sides
            loss = arb(claim.weights[j]) * (
                arb(mass) * rest.log1p() - sum((arb(a) * (y - x[own]) for a, y in zip(t, x, strict=True)), arb(0))
            )
        elif claim.loss == "bce":
            for a, y in zip(t, z, strict=True):
                loss += arb(a) * (-y).exp().log1p() + arb(1 - a) * y.exp().log1p()
        elif claim.loss == "mse":
            loss = sum((whole_power(y - arb(a), 2) for a, y in zip(t, z, strict=True)), arb(0)) / 2
        elif claim.loss == "squared_hinge":
            for k, i in pairs(t):
                loss += arb(t[k]) * (arb(claim.margin) + z[i] - z[k]).max(arb(0)) ** 2 / 2
        total += arb(pi) * loss
    return total


def pairs(t: list[fmpq]) -> list[tuple[int, int]]:
    """(k, i): a class in the target and one outside."""
    return [(k, i) for k in range(len(t)) for i in range(len(t)) if t[k] != 0 and t[i] == 0]


def dual(claim: OpenClaim, data: Any) -> tuple[Matrix, arb]:
    """G and a lower bound of -f*(G), from a witness; G lies in the conjugate's domain exactly."""
    k, m = len(claim.targets), len(claim.counts)
    if claim.loss == "squared_hinge":
        return hinge_dual(claim, data)
    g, value = matrix(data, "dual", k, m, MAX_SIZE), arb(0)
    for j, pi in enumerate(claim.pi):
        t, column = claim.column(j), [row[j] for row in g]
        mass = sum(t, fmpq(0))
        if claim.loss == "mse":
            value -= sum((arb(a * y) + arb(y) ** 2 / arb(2 * pi) for a, y in zip(t, column, strict=True)), arb(0))
        elif claim.loss == "bce":
            q = [a + y / pi for a, y in zip(t, column, strict=True)]
            if not all(0 <= x <= 1 for x in q):
                raise Reject("dual: outside of the domain of the conjugate of bce")
            value += arb(pi) * sum((entropy(x, fmpq(1)) + entropy(1 - x, fmpq(1)) for x in q), arb(0))
        else:
            share = pi * claim.weights[j]
            moved = [y / d / share for y, d in zip(column, claim.scales, strict=True)]
            q = [a + x for a, x in zip(t, moved, strict=True)]
            if exact_sum(moved, "dual") != 0 or not all(x >= 0 for x in q):
                raise Reject("dual: outside of the domain of the conjugate of ce")
            linear = sum((arb(i) * arb(x) for i, x in zip(claim.shifts, moved, strict=True)), arb(0))
            value += arb(share) * (sum((entropy(x, mass) for x in q), arb(0)) + linear)
    return g, value


def entropy(q: fmpq, mass: fmpq) -> arb:
    """-q log(q/S), 0 at 0."""
    return arb(0) if q == 0 else -arb(q) * arb(q / mass).log()


def hinge_dual(claim: OpenClaim, data: Any) -> tuple[Matrix, arb]:
    """G and the dual value of multipliers [k, i, a_ik] in every column."""
    k, m = len(claim.targets), len(claim.counts)
    if not isinstance(data, list) or len(data) != m:
        raise Reject(f"dual must be a list of {m} columns of multipliers")
    g, value = [[fmpq(0)] * m for _ in range(k)], arb(0)
    for j, (pi, column) in enumerate(zip(claim.pi, data, strict=True)):
        t = claim.column(j)
        allowed = set(pairs(t))
        if not isinstance(column, list) or len(column) > k * k:
            raise Reject("dual: a column of multipliers must be a list")
        for entry in column:
            if not isinstance(entry, list) or len(entry) != 3:
                raise Reject("dual: a multiplier must be [k, i, a]")
            own, other = (integer(x, "class of a multiplier", 0, k - 1) for x in entry[:2])
            a = rational(entry[2], "multiplier")
            if (own, other) not in allowed or a < 0:
                raise Reject("dual: multipliers are >= 0, one of each pair of a class in the target and one outside")
            allowed.remove((own, other))
            g[other][j] = exact_sum([g[other][j], pi * a], "dual")
            g[own][j] = exact_sum([g[own][j], -pi * a], "dual")
            value += arb(pi) * (arb(claim.margin * a) - arb(a) ** 2 / arb(2 * t[own]))
    return g, value
