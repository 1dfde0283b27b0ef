"""Check a certificate without trusting whoever wrote it: ``python -m proofs_check.checker FILE``.

A certificate is JSON (``schema.json``): a *claim* (architecture, class prior, loss, statement) apart from a *witness*.
This file re-derives the problem from the claim alone, evaluates the witness in ball arithmetic at a precision of its
own and accepts only what the balls prove. It imports nothing from ``ufm`` and runs no solver. Numbers are exact
rationals in strings, ``"p/q"``; a file that is too large, malformed or merely surprising is rejected with a reason.

The problem: K classes of n_k samples, pi_k = n_k/N, logits Z = W H (or W (I-A)^{-1} H), risk f (cross-entropy or MSE).

    layer_peeled            |W|^2 <= K E_W, sum_k |h_k|^2 <= K E_H               f(Z) s.t. |Z|_* <= K sqrt(E_W E_H)
    linear_deq              the same and |A|_2 <= rho                            radius / (1 - rho)
    deep_linear             |W|^2 <= c_1, |H|^2 <= c_2                           radius sqrt(c_1 c_2)
    unconstrained_features  + (lambda_W/2)|W|^2 + (lambda_H/2) sum_k n_k|h_k|^2  f(Z) + lam |Z diag(sqrt n)|_*
    penalised_deq           the same and |A|_2 <= rho                            lam (1 - rho)

with lam = sqrt(lambda_W lambda_H). The right column has the same optimal value, in every feature dimension >= K (lemma
"gauge"). Classes of equal counts form groups of K_a classes. A matrix invariant under permuting them has the entries
``Z_ij = s_a ([i=j] - 1/K_a) + B_aa`` inside group a and ``Z_ij = B_ab`` across groups; it acts as s_a on the K_a - 1
dimensions of zero-sum vectors of group a, and as S B S, S = diag(sqrt K_a), on what is left.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    from flint import arb, arb_mat, fmpq, fmpz
except ModuleNotFoundError as missing:
    if missing.name != "flint":
        raise
    raise ModuleNotFoundError("the checker needs python-flint: pip install 'ufm[certify]'", name="flint") from None

from proofs_check.kinds import collapse, geometry, gram, local_minimum, open_value, optimality, residual, uncollapsed
from proofs_check.kinds.labels import OpenClaim, loss_words, read_bias, read_labels, read_loss
from proofs_check.kinds.reading import (
    MAX_BYTES,
    MAX_DIGITS,
    RATIONAL,
    Answer,
    Claim,
    Reject,
    brief,
    enclosed,
    fields,
    fraction,
    identity,
    integer,
    interval,
    matrix,
    parse,
    positive_definite,
    rational,
    vector,
)
from proofs_check.precision import precision

__all__ = [
    "FORMAT",
    "LEMMAS",
    "MAX_BYTES",
    "MAX_DIGITS",
    "PROVED_IN",
    "RATIONAL",
    "Claim",
    "Outcome",
    "Reject",
    "check",
    "check_file",
    "parse",
]

FORMAT = "ufm-certificate/1"
PRECISION = 512  # bits; nothing in a file can change it
QUICK = 224  # bits at which large matrices are tried first: what balls prove at fewer bits is proved
MAX_CLASSES = 1_000_000
MAX_GROUPS = 128
MAX_FACTOR_SIZE = 16  # rows and columns of the exact matrices of a counterexample
MAX_FACTORS = 8
MAX_DEPTH = 100_000
MAX_FACTOR_BITS = 128  # of their numerators and denominators

#: What is used without being checked here: classical, or proved elsewhere.
LEMMAS = {
    "gauge": "the gauge of the architecture, the least norm of factors of a given product (Gelfand-Naimark and Mirsky "
    "for an equilibrium layer), and within-class collapse (Jensen)",
    "duality": "weak duality, f(Z) >= <G, Z> - f*(G), and |<G, Z>| <= Omega°(G) Omega(Z): von Neumann's inequality "
    "|<G, Z>| <= |G|_2 |Z|_* for the nuclear norm",
    "kkt": "the Karush-Kuhn-Tucker conditions suffice, and cross-entropy is strictly convex on centred logits",
    "threshold": "the threshold curve: tau(theta) falls strictly along it from infinity to 0, so each radius has one "
    "threshold, with collapse above it and none below",
    "mse": "under MSE the optimum is diagonal (sign flips and convexity)",
    "etf": "the best simplex-ETF logits of an architecture, from its gauge",
    "columns": "what every column of balanced logits satisfies that beat the simplex ETF under a Frobenius budget",
    "residual": "residual depth: the least weight decay of given logits, the parabolas below its price, and what every "
    "column of logits adds to the objective then",
    "criterion": "the universal collapse criterion: the gradient on the zero-sum vectors of interchangeable classes is "
    "pi kappa where they are collapsed, whatever the rest is",
    "gram": "the contrastive loss is convex in the Gram matrix (log-sum-exp), strictly off its diagonal; Gram matrices "
    "of unit vectors in d >= K dimensions are the positive semidefinite ones of unit diagonal; the minimum is unique, "
    "as symmetric as the counts, and has multipliers (Slater, KKT)",
    "trapped": "a strict local minimum of the explicit network is one of the equilibrium layer with A = rho on the "
    "features in use and 0 beside them if |G D^{-1/2}|_2 < lam, and no global one if |G D^{-1/2}|_2 > (1 - rho) lam",
}

#: Files of ``proofs_check/theorems`` with the proofs; duality is classical.
PROVED_IN = {
    "gauge": ("nuclear_norm_factorisation", "spectral_deq_gauge", "within_class_collapse", "symmetry_reduction"),
    "duality": (),
    "kkt": ("ce_convex", "two_group_dual", "collapse_criterion", "collapse_phases", "penalised_threshold"),
    "threshold": ("threshold_curve",),
    "mse": ("mse_closed_form",),
    "etf": ("frobenius_gauge", "schatten_factors"),
    "columns": ("frobenius_budget_etf", "frobenius_gauge"),
    "residual": ("residual_price", "residual_columns"),
    "criterion": ("universal_collapse",),
    "gram": (),
    "trapped": ("factor_landscape",),
}


@dataclass(frozen=True)
class Outcome:
    """Verdict on a certificate, true if accepted.

    Attributes:
        accepted: whether the witness proves the claim.
        reason: why, or why not.
        statement: the claim in words, written from the claim's data; empty when it could not be read.
        lemmas: keys of LEMMAS the acceptance rests on.
    """

    accepted: bool
    reason: str
    statement: str = ""
    lemmas: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.accepted


def check(source: str | bytes | dict[str, Any]) -> Outcome:
    """Check a certificate given as JSON text, bytes or an already parsed object. Never raises on a bad certificate."""
    statement = ""
    try:
        certificate = parse(source if isinstance(source, str | bytes) else json.dumps(source))
        with precision(PRECISION):
            claim = read(certificate)
            statement = describe(claim) if isinstance(claim, Claim) else OPEN_DESCRIBED[claim.kind](claim)
            checks: Any = CHECKS if isinstance(claim, Claim) else OPEN
            reason, lemmas = checks[claim.kind](claim, certificate["witness"])
        return Outcome(True, reason, statement, lemmas)
    except Reject as problem:
        return Outcome(False, str(problem)[:500], statement)
    except RecursionError:
        return Outcome(False, "nested too deeply to be read", statement)
    except Exception as problem:  # fail closed: what this file did not foresee is no proof
        return Outcome(False, f"unreadable: {type(problem).__name__}: {problem!s:.200}", statement)


def check_file(path: str | Path) -> Outcome:
    """Check the certificate in a file; reads little more than MAX_BYTES of it."""
    try:
        if not Path(path).is_file():
            return Outcome(False, f"{path} is not a regular file")
        with open(path, "rb") as stream:
            return check(stream.read(MAX_BYTES + 1))
    except (OSError, ValueError) as problem:
        return Outcome(False, f"cannot read {str(path)!r:.200}: {problem!s:.200}")


# Claims -------------------------------------------------------------------------------------------------------------


def read(certificate: Any) -> Claim | OpenClaim:
    """The claim of a certificate; everything in it is checked, and the witness is not looked at."""
    form, claim, _ = fields(certificate, "certificate", "format", "claim", "witness")
    if form != FORMAT:
        raise Reject(f"format must be {FORMAT!r}, got {str(form)[:60]!r}")
    kind = claim.get("kind") if isinstance(claim, dict) else None
    if kind == "open-threshold":
        return read_open_threshold(claim)
    if kind == "contrastive":
        return read_contrastive(claim)
    return read_open(claim) if kind in OPEN else read_claim(certificate)


def read_open(claim: Any) -> OpenClaim:
    """A claim about any labels, losses and biases."""
    kind, architecture, labels, loss, bias, statement = fields(
        claim, "claim", "kind", "architecture", "labels", "loss", "bias", "statement"
    )
    targets, counts = read_labels(labels)
    name, parameters = read_architecture(architecture)
    penalised, scale2 = open_gauge(name, parameters, len(targets))
    risk = read_loss(loss, targets) | {"counts": counts, "bias": read_bias(bias)}
    return OpenClaim(kind, name, parameters, penalised, scale2, statement, **risk)


def read_open_threshold(claim: Any) -> Claim:
    """A threshold under weight decay for any loss and bias, as a claim about cross-entropy.

    The minority is collapsed iff n_B kappa^2 <= strength^2 N^2 (lemma "criterion"), kappa = (1 - a) w_B Delta_B for ce
    and 1 else: as for cross-entropy at strength/kappa. Weights, scales and shifts are those of majority and minority.
    """
    _, architecture, prior, loss, bias, statement = fields(
        claim, "claim", "kind", "architecture", "prior", "loss", "bias", "statement"
    )
    sizes, _, fixed = read_prior(prior, "threshold")
    name, parameters = read_architecture(architecture)
    penalised, scale2 = gauge(name, parameters, sum(sizes))
    if not penalised or fixed is None:
        raise Reject("thresholds of any loss are checked for weight decay, with something held fixed")
    pair = [[fmpq(1), fmpq(0)], [fmpq(0), fmpq(1)]]  # majority and minority
    risk = read_loss(loss, pair) | {"counts": [fmpq(1)] * 2, "bias": read_bias(bias)}
    open_claim = OpenClaim("", name, parameters, penalised, scale2, statement, **risk)
    pull = collapse.kappa(open_claim, 1)
    return Claim(
        "threshold", name, parameters, sizes, [], fixed, loss_words(open_claim), True, scale2 / pull**2, statement
    )


def read_contrastive(claim: Any) -> Claim:
    """A claim about the contrastive loss of unit vectors."""
    kind, architecture, prior, loss, statement = fields(
        claim, "claim", "kind", "architecture", "prior", "loss", "statement"
    )
    if architecture != {"name": "unit_vectors"}:
        raise Reject("a contrastive loss is one of unit_vectors, without parameters")
    name, beta = fields(loss, "loss", "name", "beta")
    if name != "contrastive":
        raise Reject(f"the loss of unit_vectors must be 'contrastive', got {str(name)[:60]!r}")
    rational(beta, "beta", positive=True)
    sizes, counts, _ = read_prior(prior, kind)
    return Claim(kind, "unit_vectors", {"beta": beta}, sizes, counts, None, name, False, fmpq(0), statement)


def read_architecture(data: Any) -> tuple[str, dict[str, Any]]:
    """Name and parameters, as written."""
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise Reject("architecture must be an object with a name")
    return data["name"], {key: value for key, value in data.items() if key != "name"}


def open_gauge(name: str, parameters: dict[str, Any], k: int) -> tuple[bool, Any]:
    """As :func:`gauge`, of nonnegative features, bounded rows and columns, gains and the decay of two factors too."""
    if name == "norm_bounded":
        vector(fields(parameters, name, "w", "h"), "w and h", 2, positive=True)
        return False, fmpq(0)  # no product of budgets
    if name == "gain":
        given = [key for key in ("depth",) if key in parameters]
        e_w, e_h, rho, kind, *depth = fields(parameters, name, "E_W", "E_H", "rho", "kind", *given)
        budgets = rational(e_w, "E_W", positive=True) * rational(e_h, "E_H", positive=True)
        return False, arb(k * k * budgets) * gain(rational(rho, "rho"), kind, *depth) ** 2
    if name == "penalised_deep_linear":
        (lambdas,) = fields(parameters, name, "lambdas")
        first, second = vector(lambdas, "lambdas", 2, positive=True)
        return True, first * second
    if name in ("layer_peeled", "unconstrained_features") and "features" in parameters:
        if parameters["features"] != "nonnegative":
            raise Reject("features must be 'nonnegative' where they are named")
        return gauge(name, {key: value for key, value in parameters.items() if key != "features"}, k)
    return gauge(name, parameters, k)


def gain(rho: fmpq, kind: Any, depth: Any = None) -> arb:
    """g(rho), by which maps A with |A|_2 <= rho can lengthen features: g has nonnegative Taylor coefficients."""
    if rho < 0 or kind not in ("residual", "unrolled", "ode", "deq") or (depth is None) is not (kind in ("ode", "deq")):
        raise Reject("a gain needs rho >= 0, a kind, and a depth where the network has one")
    x, t = arb(rho), 1 if depth is None else integer(depth, "depth", 1, MAX_DEPTH)
    if kind == "deq":
        return 1 / (1 - arb(fraction(str(rho), "rho")))
    if kind == "ode":
        return x.exp()
    return (1 + x) ** t if kind == "residual" else arb(t) if rho == 1 else (1 - x**t) / (1 - x)


def read_claim(certificate: Any) -> Claim:
    """The claim of a certificate about class priors; everything in it is checked, and the witness is not looked at."""
    form, claim, _ = fields(certificate, "certificate", "format", "claim", "witness")
    if form != FORMAT:
        raise Reject(f"format must be {FORMAT!r}, got {str(form)[:60]!r}")
    kind, architecture, prior, loss, statement = fields(
        claim, "claim", "kind", "architecture", "prior", "loss", "statement"
    )
    if not isinstance(kind, str) or kind not in CHECKS:
        raise Reject(f"kind must be one of {sorted([*CHECKS, *OPEN, 'open-threshold'])}, got {str(kind)[:60]!r}")
    if loss not in ("ce", "mse"):
        raise Reject(f"loss must be 'ce' or 'mse', got {str(loss)[:60]!r}")
    name, parameters = read_architecture(architecture)
    sizes, counts, fixed = read_prior(prior, kind)
    penalised, scale2 = (nonconvex_gauge if kind in NONCONVEX else gauge)(name, parameters, sum(sizes))
    if kind == "threshold" and (fixed is None) == penalised:
        raise Reject("a threshold needs something held fixed exactly when the architecture is penalised")
    return Claim(kind, name, parameters, sizes, counts, fixed, loss, penalised, scale2, statement)


def read_prior(prior: Any, kind: str) -> tuple[list[int], list[fmpq], tuple[str, fmpq] | None]:
    """Group sizes and counts; for a threshold the two sizes and what is held fixed."""
    if kind == "threshold":
        *groups, fixed = fields(prior, "prior", "majority_classes", "minority_classes", "fixed")
        if fixed is not None:
            if not isinstance(fixed, dict) or len(fixed) != 1 or not set(fixed) < {*FIXED}:
                raise Reject(f"fixed must be null or one of {sorted(FIXED)} with its value")
            [(key, value)] = fixed.items()
            fixed = key, rational(value, key, positive=True)
        return [integer(k, "classes", 1, MAX_CLASSES) for k in groups], [], fixed
    if not isinstance(prior, list) or not 1 <= len(prior) <= MAX_GROUPS:
        raise Reject(f"prior must be a list of 1 to {MAX_GROUPS} groups")
    pairs = [fields(group, "group", "classes", "count") for group in prior]
    sizes = [integer(size, "classes", 1, MAX_CLASSES) for size, _ in pairs]
    if sum(sizes) < 2:
        raise Reject("there must be at least 2 classes")
    return sizes, [rational(count, "count", positive=True) for _, count in pairs], None


def gauge(name: str, parameters: dict[str, Any], k: int) -> tuple[bool, fmpq]:
    """(False, squared radius) or (True, squared strength) of an architecture whose gauge is the nuclear norm."""
    equilibrium = ["rho"] if name in ("linear_deq", "penalised_deq") else []
    if name in ("layer_peeled", "linear_deq"):
        e_w, e_h, *rho = fields(parameters, name, "E_W", "E_H", *equilibrium)
        budgets = rational(e_w, "E_W", positive=True) * rational(e_h, "E_H", positive=True)
        return False, k * k * budgets / (1 - fraction(rho[0] if rho else "0", "rho")) ** 2
    if name == "deep_linear":
        (budgets_data,) = fields(parameters, name, "budgets")
        first, second = vector(budgets_data, "budgets", 2, positive=True)
        return False, first * second
    if name in ("unconstrained_features", "penalised_deq"):
        l_w, l_h, *rho = fields(parameters, name, "lambda_W", "lambda_H", *equilibrium)
        decays = rational(l_w, "lambda_W", positive=True) * rational(l_h, "lambda_H", positive=True)
        return True, decays * (1 - fraction(rho[0] if rho else "0", "rho")) ** 2
    raise Reject(f"unknown architecture {name[:60]!r}")


def describe(claim: Claim) -> str:
    """The claim in words, from its data alone."""
    parameters = ", ".join(f"{key}={brief(value)}" for key, value in sorted(claim.parameters.items()))
    loss = {"ce": "cross-entropy", "mse": "mean squared error"}.get(claim.loss, claim.loss)
    stated = claim.statement if isinstance(claim.statement, dict) else {}
    if claim.kind == "threshold":
        fixed = f", {claim.fixed[0]}={brief(str(claim.fixed[1]))}" if claim.fixed else ""
        prior = f"K_A={claim.sizes[0]}, K_B={claim.sizes[1]}{fixed}"
    else:
        groups = [f"{k} of {brief(str(n))}" for k, n in zip(claim.sizes, claim.counts, strict=True)]
        prior = f"classes {', '.join(groups[:6])}{', ...' if len(groups) > 6 else ''}"
    inside = f"[{brief(stated.get('lower'))}, {brief(stated.get('upper'))}]"
    what = {
        "value": f"the optimal value is in {inside}",
        "threshold": "no ratio n_A/n_B collapses the minority"
        if "infinite" in stated
        else f"the ratio n_A/n_B from which on the minority is collapsed is in {inside}",
        "phase": f"the phase of minority collapse is {brief(stated.get('phase'))}",
        "counterexample": f"a feasible point beats every simplex ETF by {brief(stated.get('margin'))}",
    }.get(claim.kind) or DESCRIBED[claim.kind](claim)
    return f"{claim.architecture}({parameters}), {loss}, {prior}: {what}"


# Values -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """A symmetric point with rational factors, and its risk and gradient in balls.

    Attributes:
        within: s_a, the scale on the zero-sum vectors of group a.
        left, right: L (g, r) and R (r, g) with B = L R.
        risk: f(Z).
        standard: the gradient's scale on the zero-sum vectors of every group.
        block: the gradient's block means, (g, g).
        dual: function of c giving -f*(c grad f(Z)).
    """

    within: list[arb]
    left: list[list[arb]]
    right: list[list[arb]]
    risk: arb
    standard: list[arb]
    block: list[list[arb]]
    dual: Callable[[arb], arb]


def evaluate(claim: Claim, data: Any) -> Point:
    """Read the point of a witness and evaluate risk and gradient there."""
    g, sizes, total = len(claim.sizes), claim.sizes, claim.total
    s_data, l_data, r_data = fields(data, "point", "within", "left", "right")
    within = [arb(x) for x in vector(s_data, "within", g)]
    left = [[arb(x) for x in row] for row in matrix(l_data, "left", g, None, MAX_GROUPS)]
    right = [[arb(x) for x in row] for row in matrix(r_data, "right", len(left[0]), g, MAX_GROUPS)]
    b_means = (arb_mat(left) * arb_mat(right)).tolist()
    pi = [arb(n / total) for n in claim.counts]
    standard: list[arb] = []
    block = [[arb(0)] * g for _ in range(g)]
    risk, trace = arb(0), arb(0)
    columns: list[tuple[arb, arb, list[tuple[arb, arb]]]] = []  # mass, miss, shares with the logs of one class's
    for b, k in enumerate(sizes):
        if claim.loss == "ce":
            # odds of the K_a classes of every group (own class apart) against the own class, in a column of group b
            own = b_means[b][b] + within[b] * arb(fmpq(k - 1, k))
            others = [k - 1 if a == b else sizes[a] for a in range(g)]
            logs = [-within[b] if a == b else b_means[a][b] - own for a in range(g)]
            odds = [m * x.exp() if m else arb(0) for m, x in zip(others, logs, strict=True)]
            odd = sum(odds, arb(0))
            loss, certainty = odd.log1p(), 1 / (1 + odd)
            risk += k * pi[b] * loss
            shares, miss = [x * certainty for x in odds], odd * certainty
            standard.append(-pi[b] * (miss + (shares[b] / (k - 1) if k > 1 else 0)))
            for a in range(g):
                block[a][b] = pi[b] * ((shares[b] - miss) / k if a == b else shares[a] / sizes[a])
            each = [(p, x - loss) for p, x, m in zip(shares, logs, others, strict=True) if m]
            columns.append((k * pi[b], miss, each))
        else:
            residual = [b_means[a][b] - (arb(fmpq(1, k)) if a == b else 0) for a in range(g)]
            standard.append(pi[b] * (within[b] - 1))
            for a in range(g):
                block[a][b] = pi[b] * residual[a]
            squares = sum((sizes[a] * residual[a] * residual[a] for a in range(g)), arb(0))
            risk += pi[b] * ((k - 1) * (within[b] - 1) ** 2 + k * squares) / 2
            trace += (k - 1) * standard[b] + k * block[b][b]

    def dual(c: arb) -> arb:
        if claim.loss == "mse":  # -f*(G) = -tr G - sum_k |G_k|^2/(2 pi_k)
            return -c * trace - c * c * risk
        value, log_c = arb(0), c.log()  # -f*(c grad f) = sum_k pi_k H(e_k + c (p_k - e_k)), H the entropy
        for mass, miss, shares in columns:
            value -= mass * (1 - c * miss) * (-c * miss).log1p()
            value -= mass * c * sum((p * (log + log_c) for p, log in shares), arb(0))
        return value

    return Point(within, left, right, risk, standard, block, dual)


def factor_norms(claim: Claim, point: Point, weights: Sequence[Any]) -> tuple[arb, arb, arb]:
    """sum_a (K_a-1) sqrt(w_a) |s_a|, and |S L|^2 and |R S|^2 with columns weighted by w."""
    groups, ranks = range(len(claim.sizes)), range(len(point.right))
    scale = sum(((claim.sizes[a] - 1) * arb(weights[a]).sqrt() * abs(point.within[a]) for a in groups), arb(0))
    left = sum((claim.sizes[a] * point.left[a][r] ** 2 for a in groups for r in ranks), arb(0))
    right = sum((claim.sizes[b] * arb(weights[b]) * point.right[r][b] ** 2 for b in groups for r in ranks), arb(0))
    return scale, left, right


def spectral_norm_at_most(claim: Claim, point: Point, bound: arb, weights: Sequence[Any]) -> bool:
    """Whether |G diag(w)^{-1/2}|_2 <= bound: its scalars, and bound^2 I - X^T X > 0 for its block X."""
    g, roots = len(claim.sizes), [arb(w).sqrt() for w in weights]
    if not all(abs(point.standard[a]) / roots[a] <= bound for a in range(g) if claim.sizes[a] > 1):
        return False
    size = [arb(k).sqrt() for k in claim.sizes]
    scale = [k / root for k, root in zip(size, roots, strict=True)]
    for bits in (QUICK, PRECISION):
        with precision(bits):
            x = arb_mat([[size[a] * point.block[a][b] * scale[b] for b in range(g)] for a in range(g)])
            if positive_definite(identity(g) * bound**2 - x.transpose() * x):
                return True
    return False


def enclose(claim: Claim, witness: Any) -> tuple[arb, arb]:
    """Balls whose lower end (of the first) and upper end (of the second) enclose the optimal value."""
    if claim.loss == "mse" and not claim.penalised and claim.radius2 >= sum(claim.sizes) ** 2:
        fields(witness, "witness")  # Z = I fits the budgets and has risk 0
        return arb(0), arb(0)
    point_data, norm_data = fields(witness, "witness", "point", "dual_norm")
    point, norm = evaluate(claim, point_data), arb(rational(norm_data, "dual_norm", positive=True))
    weights = claim.counts if claim.penalised else [fmpq(1)] * len(claim.sizes)
    if not spectral_norm_at_most(claim, point, norm, weights):
        raise Reject("dual_norm is not an upper bound of the gradient's spectral norm")
    return bounds(claim, point, norm, weights)


def bounds(claim: Claim, point: Point, norm: arb, weights: Sequence[Any]) -> tuple[arb, arb]:
    """The balls of :func:`enclose` from a point whose gradient has at most the dual norm ``norm``."""
    scale, left, right = factor_norms(claim, point, weights)
    if not claim.penalised:
        if not (scale + left) * (scale + right) <= arb(claim.radius2):
            raise Reject("the point is not feasible: its factors exceed the budgets")
        return point.dual(arb(1)) - arb(claim.radius2).sqrt() * norm, point.risk
    strength = arb(claim.strength2).sqrt()
    return point.dual(arb(1) if norm <= strength else strength / norm), point.risk + strength * (
        scale + (left * right).sqrt()
    )


def check_value(claim: Claim, witness: Any) -> Answer:
    """The optimal value lies in [lower, upper].

    Upper bound: the objective at explicit factors. With the roots of s_a on zero-sum vectors, S L and R S on the rest,
    |W|^2 = sum_a (K_a-1)|s_a| + |S L|^2 and |H|^2 likewise; feasible for budgets iff |W|^2 |H|^2 <= radius^2. Lower
    bound: weak duality at the gradient G of the same point, -f*(G) - radius |G|_2 for budgets, -f*(c G) with
    c = strength/|G diag(n)^{-1/2}|_2 (1 if that is more) for weight decay; and 0, which bounds every objective here.
    """
    return enclosed(claim.statement, *enclose(claim, witness))


# Two groups: thresholds and phases ------------------------------------------------------------------------------------


def check_two_groups(claim: Claim) -> tuple[int, int]:
    """(K_A, K_B) of a prior with two groups, majority first, whose minority can collapse."""
    if len(claim.sizes) != 2 or claim.sizes[1] < 2:
        raise Reject("the prior must have two groups, majority first, and at least 2 minority classes")
    if claim.counts and claim.counts[0] < claim.counts[1]:
        raise Reject("the first group must be the majority")
    return claim.sizes[0], claim.sizes[1]


def half_angle(t: arb) -> tuple[arb, arb]:
    """(cos, sin) of the angle theta in (0, pi/2) with tan(theta/2) = t."""
    if not (t > 0 and t < 1):
        raise Reject("the angle leaves (0, pi/2)")
    return (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)


def majority_side(k_a: int, k_b: int, cos: arb) -> tuple[arb, arb]:
    """(d_A, q) at angle theta: stationarity gives q_A = q mu/pi_A with q = (1 - a cos)/K_A, and d_A = log(q_A/r_A)."""
    k = k_a + k_b
    q = (1 - (arb(k_b) / k).sqrt() * cos) / k_a
    return (q * arb(k * k_b).sqrt() / cos).log(), q


def threshold_curve(k_a: int, k_b: int, t: arb) -> tuple[arb, arb, arb, arb]:
    """(tau, d tau/d theta, s_A, q) on the curve of optima with mu = pi_B, at tan(theta/2) = t; R = 1 + q (e^{s_A} - 1).

    r_B = sin/sqrt(K K_A), v = K_B log((1 - K_A r_B)/(K_B r_B)), s_A = sqrt(K_A/K_B) v cot(theta) - K_A d_A and
    tau = (K_A-1) s_A + sqrt(K_A/K) v/sin. As theta grows to arcsin sqrt(K_A/K), v and cot fall while d_A rises, so
    s_A and tau fall strictly, from infinity to 0 (lemma "threshold").
    """
    k = k_a + k_b
    cos, sin = half_angle(t)
    if not k * sin * sin < k_a:
        raise Reject("the angle leaves (0, arcsin sqrt(K_A/K))")
    a, b, lead = (arb(k_b) / k).sqrt(), (arb(k_a) / k).sqrt(), (arb(k_a) / k_b).sqrt()
    r = sin / arb(k * k_a).sqrt()
    v, dv = k_b * ((1 - k_a * r) / (k_b * r)).log(), -k_b * cos / (sin * (1 - k_a * r))
    (d, q), dd = majority_side(k_a, k_b, cos), a * sin / (1 - a * cos) + sin / cos
    s, ds = lead * v * cos / sin - k_a * d, lead * (dv * cos / sin - v / (sin * sin)) - k_a * dd
    slope = (k_a - 1) * ds + b * (dv * sin - v * cos) / (sin * sin)
    return (k_a - 1) * s + b * v / sin, slope, s, q


def collapsed_branch(k_a: int, k_b: int, tau: arb, t: arb) -> tuple[arb, arb]:
    """(R, mu/pi_B) of the optimum among logits with s_B = 0 and |Z|_* = tau, at tan(theta/2) = t.

    Stationarity at angle theta fixes v = (tau + K_A (K_A-1) d_A) / ((K_A-1) sqrt(K_A/K_B) cot + sqrt(K_A/K)/sin),
    r_B = 1/(K_A + K_B e^{v/K_B}), mu/pi_B = sqrt(K K_A) r_B/sin and R = (mu/pi_B)(1 + q (e^{s_A} - 1)).
    """
    k = k_a + k_b
    cos, sin = half_angle(t)
    d, q = majority_side(k_a, k_b, cos)
    u_over_v = (arb(k_a) / k_b).sqrt() * cos / sin
    v = (tau + k_a * (k_a - 1) * d) / ((k_a - 1) * u_over_v + (arb(k_a) / k).sqrt() / sin)
    s = u_over_v * v - k_a * d
    if not v > 0 or (k_a > 1 and not s > 0):
        raise Reject("the angle leaves the branch with v > 0 and s_A > 0")
    beta = arb(k * k_a).sqrt() / (k_a + k_b * (v / k_b).exp()) / sin
    return beta * (1 + q * s.expm1()), beta


def multiplier_ratio(k_a: int, k_b: int, tau: arb, ratio: fmpq, witness: Any, name: str) -> arb:
    """Ball of mu/pi_B at the optimum among logits with s_B = 0, by a sign change of R(theta) - ratio on the bracket."""
    low, high, hull = interval(witness, name)
    first, last = (collapsed_branch(k_a, k_b, tau, t)[0] - arb(ratio) for t in (low, high))
    if not ((first < 0 and last > 0) or (first > 0 and last < 0)):
        raise Reject(f"{name}: no sign change of R(theta) - R on the bracket")
    return collapsed_branch(k_a, k_b, tau, hull)[1]


#: Weight decay collapses the minority iff strength^2 N^2 / n_B >= 1; as a function of R, with one quantity held fixed.
FIXED: dict[str, Callable[[int, int, fmpq, fmpq], fmpq]] = {
    "num_samples": lambda k_a, k_b, ratio, n: n * (k_a * ratio + k_b),
    "minority_count": lambda k_a, k_b, ratio, n: n * (k_a * ratio + k_b) ** 2,
    "majority_count": lambda k_a, k_b, ratio, n: n * (k_a * ratio + k_b) ** 2 / ratio,
}


def check_threshold(claim: Claim, witness: Any) -> Answer:
    """R* = inf{R >= 1: the minority is collapsed at every n_A/n_B >= R} lies in [lower, upper], or is infinite.

    Cross-entropy with budgets: a bracket of theta with tau(theta_low) > tau > tau(theta_high), on which tau falls (one
    solution), carries R* = R(theta*). At either end of [lower, upper] the optimum with s_B = 0 is enclosed by a sign
    change of its own equation, with mu < pi_B at the lower end and mu > pi_B at the upper one. MSE with budgets:
    R* = 1/(1 - tau/K_A), infinite for tau >= K_A. Weight decay: n_B <= strength^2 N^2. The last two compare rationals.
    """
    k_a, k_b = check_two_groups(claim)
    if isinstance(claim.statement, dict) and "infinite" in claim.statement:
        (flag,) = fields(claim.statement, "statement", "infinite")
        fields(witness, "witness")
        if flag is not True or claim.loss != "mse" or claim.penalised or claim.radius2 < k_a**2:
            raise Reject("an infinite threshold needs MSE, budgets and tau >= K_A")
        return "tau >= K_A: no ratio collapses the minority", ("gauge", "mse")
    low, high = (rational(x, "statement") for x in fields(claim.statement, "statement", "lower", "upper"))
    if not 1 <= low <= high:
        raise Reject("a threshold needs 1 <= lower <= upper")
    if claim.fixed is not None:
        fields(witness, "witness")
        held, value = claim.fixed
        # from the upper end on the product is least there, or at K_B/K_A for the one that is not monotone
        least = max(high, fmpq(k_b, k_a)) if held == "majority_count" else high
        first, last = (claim.strength2 * FIXED[held](k_a, k_b, ratio, value) for ratio in (low, least))
        if low > 1 and not first < 1:
            raise Reject("the minority is collapsed at the lower end")
        if not last >= 1:
            raise Reject("the minority is not collapsed from the upper end on")
        lemma = "kkt" if claim.loss in ("ce", "mse") else "criterion"
        return "n_B > strength^2 N^2 at the lower end, n_B <= strength^2 N^2 from the upper end on", ("gauge", lemma)
    if claim.loss == "mse":
        fields(witness, "witness")
        # lower <= 1/(1 - tau/K_A) <= upper, squared
        if claim.radius2 < (k_a * (1 - 1 / low)) ** 2 or claim.radius2 > (k_a * (1 - 1 / high)) ** 2:
            raise Reject("1/(1 - tau/K_A) is not in the interval")
        return "1/(1 - tau/K_A) is in the interval", ("gauge", "mse")
    bracket, below, above = fields(witness, "witness", "bracket", "below", "above")
    tau = arb(claim.radius2).sqrt()
    start, end, hull = interval(bracket, "bracket")
    tau_first, _, s_first, q_first = threshold_curve(k_a, k_b, start)
    tau_last, _, s_last, q_last = threshold_curve(k_a, k_b, end)
    if not (tau_first > tau and tau > tau_last):
        raise Reject("the bracket does not enclose the radius")
    if not threshold_curve(k_a, k_b, hull)[1] < 0:
        raise Reject("the bracket is too wide to show that it holds one solution")
    if not (arb(low) <= 1 + q_first * s_last.expm1() and 1 + q_last * s_first.expm1() <= arb(high)):
        raise Reject("the threshold of the bracket is not inside the claimed interval")
    if not multiplier_ratio(k_a, k_b, tau, low, below, "below") < 1:
        raise Reject("no proof that the minority is uncollapsed at the lower end")
    if not multiplier_ratio(k_a, k_b, tau, high, above, "above") > 1:
        raise Reject("no proof that the minority is collapsed at the upper end")
    return "one threshold in the interval, mu < pi_B at its lower end, mu > pi_B at its upper end", (
        "gauge",
        "kkt",
        "threshold",
    )


def check_phase(claim: Claim, witness: Any) -> Answer:
    """The optimum is in phase "none" (s_B > 0), "partial" (s_B = 0 exactly) or "total" (minority columns vanish too).

    Cross-entropy with budgets: ``angle`` brackets the optimum among logits with s_B = 0. If mu > pi_B there, it is the
    optimum (strict complementarity: s_B = 0 exactly); if mu < pi_B, it is not, and neither is any point with s_B = 0.
    Total takes no witness: u = v = 0, s_A = tau/(K_A-1) satisfies the optimality conditions strictly. Weight decay:
    collapse iff n_B <= strength^2 N^2; ``scale`` brackets s_A of the best point with u = v = 0, which is optimal iff
    its trivial block of the gradient has norm <= mu. MSE: a collapsed minority has features 0.
    """
    k_a, k_b = check_two_groups(claim)
    (phase,) = fields(claim.statement, "statement", "phase")
    if phase not in ("none", "partial", "total"):
        raise Reject("phase must be 'none', 'partial' or 'total'")
    if claim.penalised:
        return check_penalised_phase(claim, witness, phase)
    ratio = claim.counts[0] / claim.counts[1]
    if claim.loss == "mse":
        fields(witness, "witness")
        return decided(phase, "total" if claim.radius2 <= (k_a * (1 - 1 / ratio)) ** 2 else "none", "tau", ("mse",))
    tau = arb(claim.radius2).sqrt()
    if phase == "total":
        fields(witness, "witness")
        if k_a == 1:
            raise Reject("with one majority class and a budget the trivial block cannot vanish")
        q, r = total_point(k_a, k_b, tau / (k_a - 1))
        beta = k_a * q + k_b * r
        if not total_margin(k_a, k_b, r, beta, arb(ratio) * beta) < 1:
            raise Reject("no proof that the point with minority features 0 is optimal")
        return "the gradient's trivial block is strictly below mu where the minority features vanish", ("gauge", "kkt")
    (angle,) = fields(witness, "witness", "angle")
    beta = multiplier_ratio(k_a, k_b, tau, ratio, angle, "angle")
    if not (beta > 1 if phase == "partial" else beta < 1):
        raise Reject(f"no proof that mu {'>' if phase == 'partial' else '<'} pi_B")
    return f"mu {'>' if phase == 'partial' else '<'} pi_B at the best logits with s_B = 0", ("gauge", "kkt")


def decided(phase: str, truth: str, why: str, lemmas: tuple[str, ...]) -> Answer:
    """Accept a phase that a comparison of rationals decides."""
    if phase != truth:
        raise Reject(f"comparing {why} shows that the phase is {truth!r}")
    return f"comparing {why}, exactly", ("gauge", *lemmas)


def total_point(k_a: int, k_b: int, s: arb) -> tuple[arb, arb]:
    """(q_A, r_A) at s_A = s, d_A = -s/K_A, where the trivial block of the logits vanishes."""
    grown = (s / k_a).exp()
    q = 1 / (s.exp() + (k_a - 1) + k_b * grown)
    return q, q * grown


def total_margin(k_a: int, k_b: int, r: arb, beta_a: arb, beta_b: arb) -> arb:
    """Squared norm of the gradient's trivial block over mu^2, where the trivial block of the logits vanishes."""
    k = k_a + k_b
    return k * k_b * (r / beta_a) ** 2 + arb(fmpq(k_a, k)) / beta_b**2


def check_penalised_phase(claim: Claim, witness: Any, phase: str) -> Answer:
    """Phases under weight decay, where mu = strength is known: beta_a^2 = (mu sqrt(n_a)/pi_a)^2 = mu^2 N^2/n_a."""
    k_a, k_b = claim.sizes
    squares = [claim.strength2 * claim.total**2 / n for n in claim.counts]
    if squares[1] < 1 or claim.loss == "mse":
        fields(witness, "witness")
        return decided(phase, "none" if squares[1] < 1 else "total", "n_B with strength^2 N^2", (claim_lemma(claim),))
    if k_a == 1 or squares[0] >= 1:  # then u = v = 0 means Z = 0
        fields(witness, "witness")
        below = fmpq(k_b, k_a + k_b) / squares[0] + fmpq(k_a, k_a + k_b) / squares[1] <= 1
        return decided(phase, "total" if below else "partial", "the dual norm at Z = 0 with mu", ("kkt",))
    if phase == "none":
        raise Reject("n_B <= strength^2 N^2: the minority is collapsed")
    (scale,) = fields(witness, "witness", "scale")
    low, high, hull = interval(scale, "scale")
    beta_a, beta_b = (arb(square).sqrt() for square in squares)
    first, last = (k_a * q + k_b * r - beta_a for q, r in (total_point(k_a, k_b, s) for s in (low, high)))
    if not (first > 0 and last < 0):
        raise Reject("scale: no sign change of K_A q + K_B r - beta_A on the bracket")
    margin = total_margin(k_a, k_b, total_point(k_a, k_b, hull)[1], beta_a, beta_b)
    if not (margin < 1 if phase == "total" else margin > 1):
        raise Reject(f"no proof that the gradient's trivial block is {'below' if phase == 'total' else 'above'} mu")
    return f"the gradient's trivial block is {'below' if phase == 'total' else 'above'} mu where it vanishes in Z", (
        "gauge",
        "kkt",
    )


def claim_lemma(claim: Claim) -> str:
    """The lemma that turns rational comparisons into phases."""
    return "mse" if claim.loss == "mse" else "kkt"


# Counterexamples ------------------------------------------------------------------------------------------------------


def nonconvex_gauge(name: str, parameters: dict[str, Any], k: int) -> tuple[bool, fmpq]:
    """Check the parameters of an architecture with budgets whose gauge is not a norm; there is no radius to return."""
    if name == "linear_deq":
        e_w, e_h, rho, e_a = fields(parameters, name, "E_W", "E_H", "rho", "E_A")
        vector([e_w, e_h, e_a], "E_W, E_H and E_A", 3, positive=True)
        fraction(rho, "rho")
    elif name == "deep_linear":
        (budgets,) = fields(parameters, name, "budgets")
        vector(budgets, "budgets", 2, MAX_FACTORS, positive=True)
    elif name == "residual":
        residual.read(parameters)
        return True, fmpq(0)
    else:
        raise Reject(f"no counterexamples are known to this checker for {name[:60]!r}")
    return False, fmpq(0)


def check_counterexample(claim: Claim, witness: Any) -> Answer:
    """The simplex ETF is not optimal: exactly feasible factors do better than every ETF by at least ``margin``.

    Balanced classes, cross-entropy. The best ETF has K-1 singular values sigma and risk log(1 + (K-1) e^{-sigma}).
    linear_deq with |A|_2 <= rho, |A|_F^2 <= E_A: sigma = K sqrt(E_W E_H)/(K-1 - min((K-1) rho, sqrt((K-1) E_A)));
    deep_linear with M factors: sigma = (prod c_i)^{1/2}/(K-1)^{M/2}. Budgets of the witness are compared exactly.
    residual: weight decay, so that the sizes of ETFs are covered by pieces.
    """
    refutes, margin_data = fields(claim.statement, "statement", "refutes", "margin")
    if refutes != "etf-optimal" or claim.loss != "ce" or len(claim.sizes) != 1:
        raise Reject("counterexamples refute 'etf-optimal' for balanced classes under cross-entropy")
    margin = rational(margin_data, "margin", positive=True)
    if claim.architecture == "residual":
        return residual.check_counterexample(claim, witness, margin)
    if not arb(margin) <= advantage(claim, witness):
        raise Reject("the point does not beat the simplex ETF by the margin")
    return "exactly feasible factors beat every simplex ETF", ("gauge", "etf")


def advantage(claim: Claim, witness: Any) -> arb:
    """Risk of the best simplex ETF minus that of the witness, whose budgets are checked."""
    k = claim.sizes[0]
    if k > MAX_FACTOR_SIZE:
        raise Reject(f"counterexamples are limited to {MAX_FACTOR_SIZE} classes")
    z, sigma = (deq_factors if claim.architecture == "linear_deq" else deep_factors)(claim.parameters, witness, k)
    odds = [sum(((z[i, j] - z[j, j]).exp() for i in range(k) if i != j), arb(0)) for j in range(k)]
    return ((k - 1) * (-sigma).exp()).log1p() - sum((odd.log1p() for odd in odds), arb(0)) / k


def factor_matrix(value: Any, name: str, rows: int, columns: int | None, budget: fmpq) -> list[list[fmpq]]:
    """Rational matrix within its Frobenius budget, compared exactly, and small enough for that."""
    m = matrix(value, name, rows, columns, MAX_FACTOR_SIZE)
    if any(x.p.bit_length() > MAX_FACTOR_BITS or x.q.bit_length() > MAX_FACTOR_BITS for row in m for x in row):
        raise Reject(f"{name} must have numerators and denominators of at most {MAX_FACTOR_BITS} bits")
    if sum((x * x for row in m for x in row), fmpq(0)) > budget:
        raise Reject(f"{name} exceeds its Frobenius budget")
    return m


def balls(m: list[list[fmpq]]) -> arb_mat:
    """A rational matrix in balls."""
    return arb_mat([[arb(x) for x in row] for row in m])


def deq_factors(parameters: dict[str, Any], witness: Any, k: int) -> tuple[arb_mat, arb]:
    """Logits W (I-A)^{-1} H of factors within the budgets, and sigma of the best ETF."""
    e_w, e_h, rho, e_a = (rational(parameters[key], key) for key in ("E_W", "E_H", "rho", "E_A"))
    w_data, a_data, h_data = fields(witness, "witness", "W", "A", "H")
    w = factor_matrix(w_data, "W", k, None, k * e_w)
    d = len(w[0])
    a = factor_matrix(a_data, "A", d, d, e_a)
    h = factor_matrix(h_data, "H", d, k, k * e_h)
    # |A|_2^2 <= |A|_1 |A|_inf settles |A|_2 = rho for multiples of the identity; else it has to be smaller
    sums = [max(sum((abs(x) for x in line), fmpq(0)) for line in lines) for lines in (a, zip(*a, strict=True))]
    below = identity(d) * arb(rho**2) - balls(a).transpose() * balls(a)
    if sums[0] * sums[1] > rho**2 and not positive_definite(below):
        raise Reject("no proof that |A|_2 <= rho")
    growth = arb((k - 1) * rho).min((arb((k - 1) * e_a)).sqrt())
    sigma = arb(k * k * e_w * e_h).sqrt() / (k - 1 - growth)
    return balls(w) * (identity(d) - balls(a)).solve(balls(h)), sigma


def deep_factors(parameters: dict[str, Any], witness: Any, k: int) -> tuple[arb_mat, arb]:
    """Logits of a product of factors within their budgets (the classifier first), and sigma of the best ETF."""
    budgets = [rational(c, "budgets") for c in parameters["budgets"]]
    (data,) = fields(witness, "witness", "factors")
    if not isinstance(data, list) or len(data) != len(budgets):
        raise Reject(f"factors must be a list of {len(budgets)} matrices")
    product, rows, size = identity(k), k, fmpq(1)
    for i, (factor_data, budget) in enumerate(zip(data, budgets, strict=True)):
        factor = factor_matrix(factor_data, f"factor {i + 1}", rows, k if i == len(budgets) - 1 else None, budget)
        product, rows, size = product * balls(factor), len(factor[0]), size * budget
    return product, arb(size / fmpz(k - 1) ** len(budgets)).sqrt()


def check_optimality(claim: Claim, witness: Any) -> Answer:
    """The simplex ETF is optimal: under a Frobenius budget, or for residual depth."""
    return (residual.check_optimality if claim.architecture == "residual" else optimality.check)(claim, witness)


CHECKS: dict[str, Callable[[Claim, Any], Answer]] = {
    "value": check_value,
    "threshold": check_threshold,
    "phase": check_phase,
    "counterexample": check_counterexample,
    "contrastive": gram.check,
    "geometry": geometry.check,
    "local-minimum": local_minimum.check,
    "optimality": check_optimality,
    "uncollapsed": uncollapsed.check,
}

#: Kinds for any labels, losses and biases, and what their claims say.
OPEN: dict[str, Callable[[OpenClaim, Any], Answer]] = {"collapse": collapse.check, "open-value": open_value.check}
OPEN_DESCRIBED: dict[str, Callable[[OpenClaim], str]] = {
    "collapse": collapse.describe,
    "open-value": open_value.describe,
}

#: Kinds whose architectures have a gauge that is no norm.
NONCONVEX = ("counterexample", "optimality")

#: What the claims of the kinds that are files of their own say.
DESCRIBED: dict[str, Callable[[Claim], str]] = {
    "contrastive": gram.describe,
    "geometry": geometry.describe,
    "local-minimum": local_minimum.describe,
    "optimality": optimality.describe,
    "uncollapsed": uncollapsed.describe,
}


def main(paths: Sequence[str]) -> int:
    """Check files; exit status 0 when all are accepted, 1 when one is not, 2 for wrong usage."""
    if not paths:
        print("usage: python -m proofs_check.checker FILE...", file=sys.stderr)
        return 2
    accepted = True
    for path in paths:
        outcome = check_file(path)
        accepted = accepted and outcome.accepted
        print(f"{path}: {'accepted' if outcome else 'REJECTED'}: {outcome.reason}")
        print(f"  {outcome.statement or '(no claim could be read)'}")
        for lemma in outcome.lemmas:
            print(f"  rests on {LEMMAS[lemma]} ({', '.join(PROVED_IN[lemma]) or 'classical'})")
    return 0 if accepted else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
