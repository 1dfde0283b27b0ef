"""Certificates that classes are collapsed, or are not, for any labels, loss and bias of ``certify``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from proofs_check import checker
from proofs_check.kinds import collapse as criterion
from proofs_check.kinds.labels import OpenClaim
from proofs_check.precision import precision
from ufm._validation import integer, sequence
from ufm.architectures import LayerPeeled
from ufm.certificates._certificate import Certificate, CertificationError
from ufm.certificates._exact import describe_open, text
from ufm.certificates._open_values import witnesses
from ufm.problem import Problem
from ufm.solution import Solution
from ufm.solvers import solve

__all__ = ["certify_collapse"]

#: Steps in the radius, relative, that enclose the multiplier of a budget.
STEPS = (1e-3, 1e-5, 1e-4, 1e-2)


def certify_collapse(
    architecture: Any, prior: Any, classes: Sequence[int], loss: Any = "ce", bias: Any = None
) -> Certificate:
    """Certificate that interchangeable classes are collapsed at the optimum, or that they are not.

    Under weight decay exactly if ``pi kappa <= strength sqrt(n)``, a comparison of rationals; kappa is 1 for
    cross-entropy, binary cross-entropy and mean squared error, 1 - a with smoothing a, and is multiplied by weights and
    scales. With budgets the multiplier takes the place of ``strength sqrt(n)``, bounded by values at two radii.

    Args:
        architecture: one with a nuclear-norm gauge.
        prior: a ClassPrior or Labels.
        classes: at least two classes with one-hot columns of equal counts, and equal parameters of the loss.
        loss: cross-entropy with any parameters, binary cross-entropy or mean squared error.
        bias: as in :func:`ufm.solve`.

    Raises:
        TypeError, ValueError: a bad argument, by name.
        CertificationError: the classes are not interchangeable, or too close to the threshold to tell.

    Source: theory section 7 (universal collapse criterion).

    >>> import ufm
    >>> model, prior = ufm.UnconstrainedFeatures(0.01, 0.01), ufm.ClassPrior([60, 60, 1, 1, 1])
    >>> loss = ufm.CrossEntropy(smoothing=0.1)
    >>> certify_collapse(model, prior, [2, 3, 4], loss, bias="free").claim["statement"]
    {'classes': [2, 3, 4], 'collapsed': True}
    """
    problem = Problem.of(architecture, prior, loss, bias)
    given = sequence("classes", classes, "class indices")
    chosen = [integer("classes", i, minimum=0, maximum=problem.prior.num_classes - 1) for i in given]
    if not problem.has_nuclear_norm:
        raise ValueError(
            f"architecture must have a nuclear-norm gauge for a certificate of collapse, got {architecture!r}"
        )
    claim: dict[str, Any] = {"kind": "collapse"} | describe_open(problem)
    with precision(checker.PRECISION):
        parsed = checker.read_open({**claim, "statement": {}})
        try:
            pull = parsed.pi[criterion.own_column(parsed, chosen)]
            pull = pull * criterion.kappa(parsed, criterion.own_column(parsed, chosen))
        except checker.Reject as reason:
            raise CertificationError(str(reason)) from None
        reasons: list[str] = []
        for collapsed, witness in _attempts(parsed, problem, pull, reasons):
            statement = {"classes": chosen, "collapsed": collapsed}
            certificate = Certificate({**claim, "statement": statement}, witness)
            outcome = certificate.check()
            if outcome:
                return certificate
            reasons.append(outcome.reason)
    raise CertificationError(f"the classes {chosen} are too close to their threshold to tell: {reasons[-1]}")


def _attempts(
    claim: OpenClaim, problem: Problem, pull: Any, reasons: list[str]
) -> Iterator[tuple[bool, dict[str, Any]]]:
    """What may be true, with a witness of it."""
    if claim.penalised:
        yield from ((collapsed, {}) for collapsed in (True, False))
        return
    tau = problem.radius
    here = _at_radius(problem, tau)
    for size in STEPS:
        step = Fraction(size * tau)
        beyond, before = (_at_radius(problem, tau + sign * float(step)) for sign in (1, -1))
        slopes = (here.value - beyond.value) / float(step), (before.value - here.value) / float(step)
        for collapsed, point_of, likely in (
            (True, beyond, slopes[0] > float(pull)),
            (False, before, slopes[1] < float(pull)),
        ):
            if not likely:
                reasons.append(f"the multiplier lies between {slopes[0]:.6g} and {slopes[1]:.6g}")
                continue
            for witness in witnesses(claim, here, point_of):
                yield collapsed, {"step": text(step), "value": witness}


def _at_radius(problem: Problem, radius: float) -> Solution:
    """The optimum in a nuclear-norm ball of another radius."""
    k = problem.prior.num_classes
    bias = None if problem.bias is None else problem.bias or "free"
    return solve(LayerPeeled(1.0, (radius / k) ** 2), problem.prior, problem.loss, bias=bias)
