"""Rigorous enclosures of optimal values for any labels, losses and biases, from a floating-point solution.

Above: the objective at rational factors near the solution's, and its bias. Below: a rational dual matrix near the
gradient, repaired until it lies in the domain of the conjugate and, for a free bias, its rows sum to 0, both exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb
from numpy.typing import NDArray

from proofs_check import checker
from proofs_check.kinds import open_value
from proofs_check.kinds.copositive import MAX_COPOSITIVE
from proofs_check.kinds.labels import OpenClaim, pairs
from proofs_check.precision import precision
from ufm.architectures import NormBounded
from ufm.certificates._certificate import Certificate, CertificationError
from ufm.certificates._exact import describe_open, dyadic, lower_end, round_down, round_up, text, upper_end
from ufm.certificates._formula import Tangents, endless, is_nonnegative, shorter, slopes, tangents
from ufm.gauges import gamma2_polar
from ufm.gauges.copositive import cone_maximum, split
from ufm.problem import Problem
from ufm.solution import Solution

__all__ = ["certify_open", "read_problem", "witnesses"]

Array = NDArray[np.float64]
Exact = list[list[Fraction]]

#: Significant digits of the interval, and bits kept of the dual's entries.
DIGITS, DUAL_BITS = 24, 320

#: Steps that balance the dual's sums, each by a float64 solve against the exact residual.
BALANCE_STEPS = 8

#: Relative margins, as powers of two, by which points keep inside of their budgets and bounds exceed a norm.
MARGINS = (-52, -50, -47, -44, -40, -36, -30, -24)

#: Values below this share of the risk at logits and bias 0 may be bounded by 0.
IDLE = 1e-9

#: Largest row of a copositive split's bound is raised by so much before N is rounded.
SPLIT_MARGIN = 2.0**-44
#: How much lower, relative, the maximum must be than every split's for the split to be done without.
NO_SPLIT = 1e-11


def certify_open(solution: Solution) -> Certificate:
    """Certificate of the optimal value of a problem with any labels, loss and bias that the checker knows.

    Raises:
        ValueError: a loss, an architecture or a size that the checker does not know.
        CertificationError: no exact witness was found near the solution.
    """
    problem = solution.problem
    _finite(solution.logits)
    with precision(checker.PRECISION):
        claim, parsed = read_problem(problem)
        reason = "no margin was wide enough"
        for witness in witnesses(parsed, solution, solution):
            try:
                lower, upper = open_value.enclose(parsed, witness)
            except checker.Reject as found:
                reason = str(found)
                continue
            low, high = lower_end(lower), upper_end(upper)
            low = max(low, Fraction(0)) if parsed.loss != "formula" or is_nonnegative(parsed) else low
            statement = {"lower": text(round_down(low, DIGITS)), "upper": text(round_up(high, DIGITS))}
            return Certificate.proving({**claim, "statement": statement}, witness)
    if parsed.loss == "formula":
        reason += endless(problem, solution.logits)
    raise CertificationError(f"no exact witness was found near the solution: {reason}")


def read_problem(problem: Problem) -> tuple[dict[str, Any], OpenClaim]:
    """The claim, its statement to be filled in, and what the checker reads of it.

    Raises:
        ValueError: a loss, an architecture or a size that the checker does not know.
    """
    claim: dict[str, Any] = {"kind": "open-value"} | describe_open(problem) | {"statement": {}}
    try:
        parsed = checker.read_open(claim)
    except checker.Reject as refused:
        raise ValueError(f"solution.problem must be one that the checker reads: {refused}") from None
    if parsed.loss == "formula":
        is_nonnegative(parsed)  # which a formula is not asked that is not shown to be convex
    return claim, parsed


def witnesses(claim: OpenClaim, dual_of: Solution, point_of: Solution) -> Iterator[dict[str, Any]]:
    """Witnesses from the dual of one solution and the point of another, each with wider margins than the one before."""
    problem = dual_of.problem
    if claim.loss == "formula":
        yield from _formula_witnesses(claim, dual_of, point_of)
        return
    # where only a relaxation is bounded, its own dual is the better one
    dual, g = _dual(claim, problem, dual_of.info.get("dual_logits", dual_of.logits))
    for margin in MARGINS:
        share = Fraction(2) ** margin
        yield _texts(_point(point_of, 1 - share) | _bounded(claim, problem, dual, g, 1 + share))


def _formula_witnesses(claim: OpenClaim, dual_of: Solution, point_of: Solution) -> Iterator[dict[str, Any]]:
    """As :func:`witnesses`, by tangents of the risk."""
    problem = dual_of.problem
    logits = dual_of.info.get("dual_logits", dual_of.logits)
    nonnegative = is_nonnegative(claim)
    at_zero = problem.loss.value(np.zeros_like(logits), problem.prior.probabilities, problem.targets)
    idle = nonnegative and point_of.value <= IDLE * at_zero
    outer = None
    for margin in MARGINS:
        excess = 1 + Fraction(2) ** margin
        at = tangents(problem, logits, 2.0 ** (margin / 2))
        _finite(at.logits, at.bias, at.moves, at.gradient)
        if outer is None and claim.penalised and not nonnegative:
            outer = shorter(problem, float(np.sqrt(float(claim.scale2))))
        yield _texts(_point(point_of, 2 - excess) | _mixed(claim, problem, at, excess, outer))
    if idle:  # then that it is >= 0 says it all
        yield _texts(_point(point_of, 1 - Fraction(1, 2**40)) | _without_tangents(claim))


def _without_tangents(claim: OpenClaim) -> dict[str, Any]:
    """Dual and bound 0."""
    k, m = len(claim.targets), len(claim.counts)
    zero = [Fraction(0)] * k
    matrix = [[Fraction(0)] * m for _ in range(k)]
    found: dict[str, Any] = {"dual": {"logits": [matrix], "biases": [zero], "share": Fraction(1), "direction": None}}
    tiny = Fraction(1, 10**60)
    found["bound"] = [[tiny] * k, [tiny] * m] if claim.architecture == "norm_bounded" else tiny
    if "features" in claim.parameters:
        found["copositive"] = [[Fraction(0)] * m for _ in range(m)]
    return found


def _mixed(claim: OpenClaim, problem: Problem, at: Tangents, excess: Fraction, outer: Array | None) -> dict[str, Any]:
    """Dual and bound of tangents; under weight decay a share of a shorter one makes them fit into the polar's ball.

    That one is taken at the logits ``outer``; without any it is 0, which bounds a nonnegative loss.
    """
    if claim.architecture == "norm_bounded":
        return {"dual": at.witness(None, Fraction(0)), "bound": _diagonals(claim, at.gradient, excess, least=1.0)}
    first, other, share, g = _size(claim, problem, at.gradient), None, 0.0, at.gradient
    if claim.penalised:
        limit = float(np.sqrt(float(claim.scale2)))
        room = limit * (1 - 2.0**-50) / float(excess)
        if first > room:
            tail = np.zeros_like(g)
            if outer is not None:
                tail = slopes(problem, outer)
            second = _size(claim, problem, tail)
            if not second < room:
                raise CertificationError("no logits with a shorter gradient were found; a formula >= 0 needs none")
            other, share = outer, (first - room) / (first - second)
            g = (1 - share) * at.gradient + share * tail
    dual = at.witness(other, Fraction(share))
    with suppress(checker.Reject):  # which the checker's verdict on the witness will say
        # where the slopes all but cancel, the float64 gradient is rounding
        g = _middle(open_value.balanced(claim, _texts(dual))[0])
    norm, n = _polar(claim, problem, g)
    found: dict[str, Any] = {"dual": dual}
    found |= {"bound": max(Fraction(norm) * excess, Fraction(1, 10**60))}
    if claim.penalised:
        found["bound"] = min(found["bound"], Fraction(limit) * (1 - Fraction(1, 2**52)))
    if "features" in claim.parameters:
        found["copositive"] = n if n is None else _rounded(n)
    return found


def _middle(g: Any) -> Array:
    """A matrix of balls, or of rationals, in float64."""
    return np.array([[float(x.mid()) if isinstance(x, arb) else float(x) for x in row] for row in g])


def _size(claim: OpenClaim, problem: Problem, g: Array) -> float:
    return _polar(claim, problem, g)[0]


def _polar(claim: OpenClaim, problem: Problem, g: Array) -> tuple[float, Array | None]:
    """The polar of G, columns weighted, and the nonnegative part of its copositive split where features are such."""
    x = g / problem.weights
    if "features" not in claim.parameters:
        return float(np.linalg.norm(x, 2)), None
    size, n = _cone(x.T @ x)
    return float(np.sqrt(size * (1 + SPLIT_MARGIN))), n


def _rounded(matrix: Array, scale: Fraction = Fraction(1)) -> Exact:
    return [[dyadic(Fraction(y) * scale, DUAL_BITS) for y in row] for row in matrix.tolist()]


def _cone(gram: Array) -> tuple[float, Array | None]:
    """``max {v^T M v : v >= 0, |v| = 1}`` and the nonnegative part of a split, None where no split reaches it.

    For up to four columns one does.
    """
    size, n = split(gram)
    if 4 < len(gram) <= MAX_COPOSITIVE:
        found = cone_maximum(gram).bound
        if found < size * (1 - NO_SPLIT):
            return found, None
    return size, np.maximum((n + n.T) / 2, 0.0)


def _finite(*arrays: Array) -> None:
    if not all(np.isfinite(x).all() for x in arrays):
        raise CertificationError("the solution's numbers are not finite")


def _texts(value: Any) -> Any:
    """Fractions as texts, in dictionaries and lists; the classes of multipliers stay integers."""
    if isinstance(value, dict):
        return {key: _texts(x) for key, x in value.items()}
    if isinstance(value, list):
        return [_texts(x) for x in value]
    return text(value) if isinstance(value, Fraction) else value


# Points -------------------------------------------------------------------------------------------------------------


def _point(solution: Solution, share: Fraction) -> dict[str, Any]:
    """Rational factors of ``share`` times the logits, and the bias."""
    problem = solution.problem
    left, right = _factors(solution)
    root = float(share) ** 0.5
    bias = solution.bias if solution.bias is not None else np.zeros(problem.prior.num_classes)
    _finite(left, right, bias)
    return {
        "left": [[Fraction(x) for x in row] for row in (left * root).tolist()],
        "right": [[Fraction(x) for x in row] for row in (right * root).tolist()],
        "bias": [Fraction(x) for x in bias.tolist()],
    }


def _factors(solution: Solution) -> tuple[Array, Array]:
    """L and R with ``L R`` the logits, whose cost is the gauge, within the budgets up to rounding."""
    problem = solution.problem
    if isinstance(problem.architecture, NormBounded):
        w, h = np.array(solution.classifier), np.array(solution.features)
        a, b = problem.architecture.w, problem.architecture.h
        w *= min(1.0, a / np.linalg.norm(w, axis=1).max(initial=1e-300))
        return w, h * min(1.0, b / np.linalg.norm(h, axis=0).max(initial=1e-300))
    if problem.has_nuclear_norm:
        u, s, vt = np.linalg.svd(solution.logits * problem.weights, full_matrices=False)
        kept = s > 1e-16 * s[0] if s[0] > 0 else s >= 0
        root = np.sqrt(s[kept])
        left, right = u[:, kept] * root, root[:, None] * vt[kept]
    else:
        left, right = np.array(solution.classifier), np.maximum(np.array(solution.features), 0.0) * problem.weights
    cost = float(np.linalg.norm(left) * np.linalg.norm(right))
    fit = min(1.0, problem.bound / cost) ** 0.5 if problem.is_constrained and cost > 0 else 1.0
    return left * fit, right * fit / problem.weights


# Duals --------------------------------------------------------------------------------------------------------------


def _dual(claim: OpenClaim, problem: Problem, logits: Array) -> tuple[Any, Exact]:
    """The witness' dual, not scaled yet, and the matrix G that it stands for."""
    gradient = problem.gradient(logits)
    _finite(gradient)
    bias = problem.best_bias(logits)
    shifted = logits if bias is None else logits + bias[:, None]
    pi = [Fraction(int(x.p), int(x.q)) for x in claim.pi]
    if claim.loss == "squared_hinge":
        return _hinge(claim, pi, shifted)
    exact = [[Fraction(x) for x in row] for row in gradient.tolist()]
    targets = np.array([[float(x) for x in row] for row in claim.targets])
    share = np.array([float(p * _fraction(w)) for p, w in zip(pi, claim.weights, strict=True)])
    delta = [_fraction(x) for x in claim.scales]
    if claim.loss == "mse":
        room = np.broadcast_to(share, targets.shape)
        return _as_dual(_balanced(exact, room, claim.bias == 0, False))
    if claim.loss == "bce":
        q = np.clip(targets + gradient / share, 0.0, 1.0)
        exact = _clipped(exact, claim, pi)
        return _as_dual(_balanced(exact, share * _room(q, gradient / share), claim.bias == 0, False))
    # cross-entropy in A = Delta^{-1} G, whose columns sum to 0: q = t + A/(pi w) >= 0
    a = [[x / d for x in row] for row, d in zip(exact, delta, strict=True)]
    weights = [p * _fraction(w) for p, w in zip(pi, claim.weights, strict=True)]
    for j, weight in enumerate(weights):
        column = claim.column(j)
        for i, t in enumerate(column):
            a[i][j] = max(a[i][j], -weight * _fraction(t))
        own = max(range(len(column)), key=lambda i: column[i])
        a[own][j] = -sum((row[j] for i, row in enumerate(a) if i != own), Fraction(0))
    moved = np.array([[float(x) for x in row] for row in a]) / share
    a = _balanced(a, share * _room(np.clip(targets + moved, 0.0, None), moved), claim.bias == 0, True)
    return _as_dual([[x * d for x in row] for row, d in zip(a, delta, strict=True)])


def _as_dual(g: Exact) -> tuple[Any, Exact]:
    return g, g


def _fraction(x: Any) -> Fraction:
    return Fraction(int(x.p), int(x.q))


def _clipped(g: Exact, claim: OpenClaim, pi: list[Fraction]) -> Exact:
    """G with ``t + g/pi`` in [0, 1] exactly."""
    low = [[-p * _fraction(t) for t, p in zip(row, pi, strict=True)] for row in claim.targets]
    return [
        [min(max(x, a), a + p) for x, a, p in zip(row, least, pi, strict=True)]
        for row, least in zip(g, low, strict=True)
    ]


def _room(q: Array, moved: Array) -> Array:
    """How far every entry may move: as its own size or its distance from the ends 0 and 1, whichever is less."""
    return np.minimum(np.maximum(q, 0.0), np.where(moved < 0, np.abs(moved) + np.maximum(1 - q, 0.0), np.inf))


def _balanced(g: Exact, room: Array, rows: bool, columns: bool) -> Exact:
    """G with rows, and columns, that sum to 0, each entry moved by a share of its ``room``."""
    g = [[dyadic(x, DUAL_BITS) for x in row] for row in g] if rows else g
    if not rows:
        return g
    k, m = room.shape
    for _ in range(BALANCE_STEPS):
        by_row = [sum(row, Fraction(0)) for row in g]
        by_column = [sum(column, Fraction(0)) for column in zip(*g, strict=True)]
        size = max(map(abs, [*by_row, *(by_column if columns else [])]))
        if size == 0:
            return g
        r = np.array([float(x / size) for x in by_row])
        c = np.array([float(x / size) for x in by_column]) if columns else np.zeros(m)
        if columns:
            system = np.block([[np.diag(room.sum(axis=1)), room], [room.T, np.diag(room.sum(axis=0))]])
            found = np.linalg.lstsq(system, -np.concatenate([r, c]), rcond=1e-14)[0]
            x, y = found[:k], found[k:]
        else:
            x, y = -r / np.maximum(room.sum(axis=1), 1e-300), np.zeros(m)
        step = room * (x[:, None] + y)
        _finite(step)
        g = [
            [dyadic(value + size * Fraction(move), DUAL_BITS) for value, move in zip(row, moves, strict=True)]
            for row, moves in zip(g, step.tolist(), strict=True)
        ]
    return _closed(g, room, columns)


def _closed(g: Exact, room: Array, columns: bool) -> Exact:
    """What is left of the sums goes where there is most room: first every column's, then the rows' into one column."""
    if columns:
        for j, i in enumerate(room.argmax(axis=0)):
            g[i][j] -= sum((row[j] for row in g), Fraction(0))
        most = int(room.min(axis=0).argmax())
        for row in g:
            row[most] -= sum(row, Fraction(0))
        return g
    for row, j in zip(g, room.argmax(axis=1), strict=True):
        row[j] -= sum(row, Fraction(0))
    return g


def _hinge(claim: OpenClaim, pi: list[Fraction], shifted: Array) -> tuple[Any, Exact]:
    """Multipliers ``a = t_k max(0, margin + z_i - z_k)``, balanced for a free bias, and their G."""
    margin, k = float(claim.margin), len(claim.targets)
    arcs: list[tuple[int, int, int]] = []
    flows: list[Fraction] = []
    for j in range(len(pi)):
        for own, other in pairs(claim.column(j)):
            excess = margin + shifted[other, j] - shifted[own, j]
            arcs.append((j, own, other))
            flows.append(max(Fraction(0), Fraction(float(excess)) * _fraction(claim.targets[own][j])))

    def assembled() -> Exact:
        g = [[Fraction(0)] * len(pi) for _ in range(k)]
        for (j, own, other), a in zip(arcs, flows, strict=True):
            g[other][j] += pi[j] * a
            g[own][j] -= pi[j] * a
        return g

    if claim.bias == 0:
        flows = _circulation(k, pi, arcs, flows)
    witness = [
        [[own, other, a] for (at, own, other), a in zip(arcs, flows, strict=True) if at == j and a]
        for j in range(len(pi))
    ]
    return witness, assembled()


def _circulation(k: int, pi: list[Fraction], arcs: list[tuple[int, int, int]], flows: list[Fraction]) -> list[Fraction]:
    """Flows from the own class to the other, weighted by pi, that leave no class with a surplus."""
    incidence = np.zeros((k, len(arcs)))
    for at, (j, own, other) in enumerate(arcs):
        incidence[other, at], incidence[own, at] = float(pi[j]), -float(pi[j])

    def surplus() -> list[Fraction]:
        out = [Fraction(0)] * k
        for (j, own, other), a in zip(arcs, flows, strict=True):
            out[other] += pi[j] * a
            out[own] -= pi[j] * a
        return out

    room = np.array([float(a) for a in flows])
    for _ in range(BALANCE_STEPS):
        left = surplus()
        size = max(map(abs, left))
        if size == 0:
            return flows
        potential = np.linalg.lstsq(
            (incidence * room) @ incidence.T, -np.array([float(x / size) for x in left]), rcond=1e-13
        )[0]
        step = room * (incidence.T @ potential)
        _finite(step)
        flows = [dyadic(a + size * Fraction(x), DUAL_BITS) for a, x in zip(flows, step.tolist(), strict=True)]
    for i in range(1, k):  # the rest, along the arc between each class and the first that has most room
        found = [at for at, (_, own, other) in enumerate(arcs) if {own, other} == {0, i}]
        if not found:
            continue
        at = max(found, key=lambda at: room[at])
        j, own, other = arcs[at]
        flows[at] += surplus()[i] / pi[j] * (1 if own == i else -1)
    return flows


# Bounds of the dual's size --------------------------------------------------------------------------------------------


def _bounded(claim: OpenClaim, problem: Problem, dual: Any, g: Exact, excess: Fraction) -> dict[str, Any]:
    """Dual and bound of a witness; under weight decay the dual is scaled into the polar's unit ball."""
    numbers = np.array([[float(x) for x in row] for row in g])
    if claim.architecture == "norm_bounded":
        return {"dual": dual, "bound": _diagonals(claim, numbers, excess)}
    x = numbers / problem.weights
    nonnegative = "features" in claim.parameters
    if nonnegative:
        size, n = _cone(x.T @ x)
        norm = Fraction(float(np.sqrt(size * (1 + SPLIT_MARGIN) * float(excess))))
    else:
        norm, n = Fraction(float(np.linalg.norm(x, 2))) * excess, np.zeros((0, 0))
    scale = Fraction(1)
    if claim.penalised:
        limit = Fraction(float(np.sqrt(float(claim.scale2)))) * (1 - Fraction(1, 2**52))
        scale = min(Fraction(1), limit / norm) if norm else Fraction(1)
    found = {"dual": _scaled(claim, dual, scale), "bound": max(norm * scale, Fraction(1, 10**60))}
    if nonnegative:
        found["copositive"] = n if n is None else _rounded(n, scale**2)
    return found


def _scaled(claim: OpenClaim, dual: Any, scale: Fraction) -> Any:
    """The dual times ``scale``: of multipliers their sizes."""
    if scale == 1:
        return dual
    scale = Fraction(float(scale)) * (1 - Fraction(1, 2**51))  # few digits
    if claim.loss == "squared_hinge":
        return [[[own, other, a * scale] for own, other, a in column] for column in dual]
    return [[x * scale for x in row] for row in dual]


def _diagonals(claim: OpenClaim, g: Array, excess: Fraction, least: float = 0.0) -> list[list[Fraction]]:
    """alpha and beta of the least ``(w^2 sum alpha + h^2 sum beta)/2``, a little enlarged, by ``least`` at least."""
    w, h = (float(Fraction(claim.parameters[key])) for key in ("w", "h"))
    found = gamma2_polar(g)
    ratio = h / w
    floor = 2.0**-60 * max(float(np.abs(g).max()), 1e-300) + least * float(excess - 1)
    alpha, beta = found.alpha * ratio + floor, found.beta / ratio + floor
    return [[Fraction(float(x)) * excess for x in part] for part in (alpha, beta)]
