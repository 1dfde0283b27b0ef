"""Rigorous enclosure of an optimal value from a floating-point solution.

The solution's logits are averaged over the classes of each group and factorised; the factors, rounded to exact
rationals and shrunk until they fit the budgets exactly, are the point. Nothing has to be accurate: a worse point gives
a wider enclosure, never a wrong one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq
from numpy.typing import NDArray

from proofs_check import checker
from proofs_check.precision import precision
from ufm.certificates._certificate import Certificate, CertificationError
from ufm.certificates._exact import (
    ball,
    describe_architecture,
    describe_prior,
    is_open_architecture,
    lower_end,
    round_down,
    round_up,
    text,
    upper_end,
)
from ufm.certificates._open_values import certify_open, read_problem
from ufm.labels import ClassPrior
from ufm.losses import ClosedForm, closed_form
from ufm.problem import Problem
from ufm.reduction import ReducedLogits
from ufm.solution import Solution

__all__ = ["certify", "refusal"]

Array = NDArray[np.float64]

#: Significant digits of the ends of a certified interval.
DIGITS = 30

#: Bits to which a point in closed form is computed.
BITS = 120


def certify(solution: Solution) -> Certificate:
    """Certificate that the optimal value of ``solution.problem`` lies in ``[certificate.lower, certificate.upper]``.

    Above: the objective at exactly rational factors near the solution's. Below: weak duality at the gradient there,
    ``-f*(G) - radius |G|_2`` for budgets (the Frank-Wolfe bound), ``-f*(c G)`` with ``c = min(1, strength/|G|)`` for
    weight decay. Both in ball arithmetic, for the problem over factors (W, H) or (W, A, H) in any dimension >= K.
    Labels, losses and biases of any other kind have the dual matrix itself in the witness, with the bound of its polar:
    see :mod:`proofs_check.kinds.open_value`.

    Args:
        solution: what :func:`ufm.solve` returned, by any method; its accuracy decides the width.

    Returns:
        A certificate that ``proofs_check.checker`` accepts.

    Raises:
        TypeError: not a Solution.
        ValueError: an architecture or a loss whose dual the checker does not know, or more than 128 groups of classes
            (of labels, losses and biases of other kinds: more than 64 classes or columns).
        CertificationError: the solution's numbers do not carry an enclosure: not finite, or so large or small that a
            rational of the certificate would need more than 400 digits.

    Source: theory section 3 (Frank-Wolfe gap; Fenchel duality).

    >>> import ufm
    >>> solution = ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.step(2, 3, 4.0))
    >>> certificate = certify(solution)
    >>> bool(certificate.check()), certificate.relative_width < 1e-14
    (True, True)
    """
    if not isinstance(solution, Solution):
        raise TypeError(f"solution must be a ufm.Solution, got {solution!r}")
    problem = solution.problem
    if _is_open(problem):
        return certify_open(solution)
    claim = _claim(problem)
    if _is_zero(problem):
        statement = {"lower": "0", "upper": "0"}
        return Certificate.proving({**claim, "statement": statement}, {})
    for point in [_diagonal_point(claim)] if claim["loss"] == "mse" else _points_near(problem, solution.logits):
        certificate = _certificate(claim, point)
        if certificate is not None:
            return certificate
    raise CertificationError("no feasible rational point was found near the solution")


def _claim(problem: Problem) -> dict[str, Any]:
    """The claim about plain labels, its statement to be filled in; a ValueError where the checker knows no dual."""
    groups = problem.class_prior.groups
    if len(groups) > checker.MAX_GROUPS:
        raise ValueError(f"prior must have at most {checker.MAX_GROUPS} groups of classes, got {len(groups)}")
    return {
        "kind": "value",
        "architecture": describe_architecture(problem.architecture),
        "prior": describe_prior(problem.class_prior),
        "loss": closed_form(problem.loss, "solution.problem.loss", "in a certificate"),
        "statement": {},
    }


def refusal(problem: Problem) -> str:
    """Why :func:`certify` refuses a problem whatever its solution, in words; empty where it does not.

    >>> import ufm
    >>> refusal(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([2, 1]), "bce", "free"))
    ''
    >>> refusal(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([2, 1]), ufm.FocalLoss()))[:56]
    'loss must be one whose conjugate the checker knows, or s'
    """
    try:
        if _is_open(problem):
            with precision(checker.PRECISION):
                read_problem(problem)
        else:
            _claim(problem)
    except ValueError as reason:
        return str(reason)
    return ""


def _is_open(problem: Problem) -> bool:
    """Whether labels, loss, bias or gauge are others than those of a class prior, a plain loss and real features."""
    plain = isinstance(problem.prior, ClassPrior) and problem.loss.closed_form is not None and problem.bias is None
    return not plain or is_open_architecture(problem.architecture)


def _points_near(problem: Problem, logits: Array) -> Iterator[dict[str, Any]]:
    """Rational points near the logits, each a little further inside the budgets than the one before."""
    reduced = ReducedLogits.mean(logits, problem.class_prior)
    within = reduced.s
    if not (np.isfinite(within).all() and np.isfinite(reduced.trivial).all()):
        raise CertificationError("the solution's logits are not finite")
    left, right = _factorise(problem, reduced.trivial)
    size = np.array([group.size for group in problem.class_prior.groups], dtype=float)
    gauge = float((size - 1) @ np.abs(within) + (size[:, None] * left**2).sum())  # the factors are balanced
    fit = min(1.0, problem.radius / gauge) if problem.is_constrained and gauge > 0 else 1.0
    closest = [None] if len(size) <= 16 else []  # trying a large point that just misses the budgets is dear
    for power in (*closest, *range(-52, -4, 2)):
        scale = fit * (1.0 if power is None else 1.0 - 2.0**power)
        yield {
            "within": [text(scale * s) for s in within],
            "left": [[text(math.sqrt(scale) * x) for x in row] for row in left],
            "right": [[text(math.sqrt(scale) * x) for x in row] for row in right],
        }


def _diagonal_point(claim: dict[str, Any]) -> dict[str, Any]:
    """The optimum under MSE, ``z_k = max(0, 1 - mu omega_k/pi_k)`` on the diagonal, to BITS bits.

    With budgets ``sum_k z_k = radius`` fixes mu; near radius = K the risk is so small that doubles would not do.
    """
    with precision(checker.PRECISION):
        problem = checker.read_claim({"format": checker.FORMAT, "claim": claim, "witness": {}})
        rates = [arb(problem.total / n) for n in problem.counts]  # omega_k / pi_k
        omega = [arb(1)] * len(rates)
        if problem.penalised:
            omega = [arb(n).sqrt() for n in problem.counts]
            rates = [rate * weight for rate, weight in zip(rates, omega, strict=True)]
            mu = arb(problem.strength2).sqrt()
        else:
            radius, used, slope, mu = arb(problem.radius2).sqrt(), 0, arb(0), arb(0)
            for size, rate in zip(problem.sizes, rates, strict=True):  # groups come most frequent first
                used, slope = used + size, slope + size * rate
                mu = mu.max((used - radius) / slope)
        z = [_rational((1 - mu * rate).max(arb(0)) * (1 - arb(2) ** -BITS)) for rate in rates]
        # L_a = sqrt(z_a omega_a / K_a) balances |S L|^2 and |R S diag(omega)|^2 group by group
        root = [
            _rational((arb(fmpq(x.numerator, x.denominator)) * weight / size).sqrt())
            for x, weight, size in zip(z, omega, problem.sizes, strict=True)
        ]
    right = [x / size / r if r else Fraction(0) for x, size, r in zip(z, problem.sizes, root, strict=True)]
    return {"within": [text(x) for x in z], "left": _diagonal(root), "right": _diagonal(right)}


def _rational(ball: arb) -> Fraction:
    """A rational with few more than BITS bits inside or next to the ball."""
    value = lower_end(ball.mid())
    return Fraction(round(value * 2 ** (BITS + 20)), 2 ** (BITS + 20))


def _diagonal(entries: list[Fraction]) -> list[list[str]]:
    return [[text(x) if a == b else "0" for b in range(len(entries))] for a, x in enumerate(entries)]


def _is_zero(problem: Problem) -> bool:
    """Whether Z = I fits the budgets, so that the MSE risk is 0."""
    if problem.loss.closed_form is not ClosedForm.MEAN_SQUARED_ERROR or not problem.is_constrained:
        return False
    claim = {"kind": "value", "architecture": describe_architecture(problem.architecture), "loss": "mse"}
    parsed = checker.read_claim(
        {
            "format": checker.FORMAT,
            "claim": {**claim, "prior": describe_prior(problem.class_prior), "statement": {}},
            "witness": {},
        }
    )
    return bool(parsed.radius2 >= problem.class_prior.num_classes**2)


def _certificate(claim: dict[str, Any], point: dict[str, Any]) -> Certificate | None:
    """The certificate at this point, or None when the point is not feasible."""
    with precision(checker.PRECISION):
        problem = checker.read_claim({"format": checker.FORMAT, "claim": claim, "witness": {}})
        at = checker.evaluate(problem, point)
        norm, weights = _dual_norm(problem, at), problem.counts if problem.penalised else [fmpq(1)] * len(at.block)
        if norm < Fraction(10) ** (2 * DIGITS - checker.MAX_DIGITS):
            raise CertificationError("the optimal value is too small for the certificate format")
        for power in (-BITS if _is_diagonal(at) else -50, *range(-48, 0, 2)):
            bound = round_up(norm * (1 + Fraction(2) ** power), DIGITS)
            try:
                lower, upper = checker.bounds(problem, at, ball(bound), weights)
            except checker.Reject as reason:
                if "feasible" in str(reason):
                    return None
                raise CertificationError(str(reason)) from None
            low, high = max(lower_end(lower), Fraction(0)), upper_end(upper)
            statement = {"lower": text(round_down(low, DIGITS)), "upper": text(round_up(high, DIGITS))}
            found = Certificate({**claim, "statement": statement}, {"point": point, "dual_norm": text(bound)})
            outcome = found.check()
            if outcome:
                return found
            if "dual_norm" not in outcome.reason:
                raise CertificationError(f"the checker does not accept the certificate: {outcome.reason}")
    raise CertificationError("no upper bound of the gradient's norm was found")


def _is_diagonal(at: checker.Point) -> bool:
    """Whether the gradient's block means are 0 outside the diagonal, exactly."""
    return all(x == 0 for a, row in enumerate(at.block) for b, x in enumerate(row) if a != b)


def _dual_norm(problem: checker.Claim, at: checker.Point) -> Fraction:
    """|G diag(1/omega)|_2 at the point: exact for a diagonal block, else to double precision whatever its magnitude."""
    g, sizes = len(problem.sizes), np.sqrt(np.array(problem.sizes, dtype=float))
    if _is_diagonal(at):
        weights = [arb(n).sqrt() if problem.penalised else arb(1) for n in problem.counts]
        entries = [k * at.block[a][a] for a, k in enumerate(problem.sizes)] + at.standard
        return max(upper_end(abs(x) / w) for x, w in zip(entries, 2 * weights, strict=True))
    scale = arb(0)
    for x in (*at.standard, *(x for row in at.block for x in row)):
        scale = scale.max(abs(x))
    scale = scale.mid()
    if not scale > 0:
        return Fraction(1)
    counts = [float(n.p) / float(n.q) if problem.penalised else 1.0 for n in problem.counts]
    omega = np.sqrt(counts)
    with precision(64):  # what becomes a double
        block = np.array([[float(x / scale) for x in row] for row in at.block])
    scalars = [abs(float(at.standard[a] / scale)) / omega[a] for a in range(g) if problem.sizes[a] > 1]
    return lower_end(scale) * Fraction(max(np.linalg.norm(sizes[:, None] * block * sizes / omega, 2), *scalars, 0.0))


def _factorise(problem: Problem, trivial: Array) -> tuple[Array, Array]:
    """L, R with ``M = S L R S``, S = diag(K_a)^{1/2}; S L and R S diag(omega) balance ``M diag(omega)``."""
    size = np.sqrt([group.size for group in problem.class_prior.groups])
    omega = np.array([problem.weights[group.classes[0]] for group in problem.class_prior.groups])
    u, s, vt = np.linalg.svd(trivial * omega)
    rank = max(1, int((s > 1e-15 * s[0]).sum()))
    root = np.sqrt(s[:rank])
    return u[:, :rank] * root / size[:, None], root[:, None] * vt[:rank] / (size * omega)
