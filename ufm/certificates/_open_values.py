"""Rigorous enclosures of optimal values for any labels, losses and biases, from a floating-point solution.

Above: the objective at rational factors near the solution's, and its bias. Below: a rational dual matrix near the
gradient, repaired until it lies in the domain of the conjugate and, for a free bias, its rows sum to 0, both exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from flint import ctx
from numpy.typing import NDArray

from proofs_check import checker
from proofs_check.kinds import open_value
from proofs_check.kinds.labels import OpenClaim, pairs
from ufm.certificates._certificate import Certificate, CertificationError
from ufm.certificates._exact import describe_open, lower_end, round_down, round_up, text, upper_end
from ufm.problem import Problem
from ufm.solution import Solution

__all__ = ["certify_open"]

Array = NDArray[np.float64]
Exact = list[list[Fraction]]

#: Significant digits of the interval.
DIGITS = 24

#: Bits kept of dual entries, relative to the largest, and steps that balance their sums.
DUAL_BITS, BALANCE_STEPS = 300, 12

#: Relative margins, as powers of two, for budgets and for bounds of the dual's size.
MARGINS = (-52, -50, -46, -42, -36, -30)


def certify_open(solution: Solution) -> Certificate:
    """Certificate of the optimal value of a problem with any labels, loss and bias that the checker knows.

    Raises:
        ValueError: a loss, an architecture or a size that the checker does not know.
        CertificationError: no exact witness was found near the solution.
    """
    problem = solution.problem
    claim = {"kind": "open-value"} | describe_open(problem) | {"statement": {}}
    with ctx.workprec(checker.PRECISION):
        parsed = checker.read_open(claim)
        dual, g = _dual(parsed, problem, solution.logits)
        for point, bound in zip(_points(problem, solution), _bounds(parsed, problem, g), strict=True):
            if parsed.penalised:  # a dual outside is scaled into the polar's ball
                scale = min(Fraction(1), _strength(problem) / bound["bound"])
                witness = point | bound | {"dual": _scaled(parsed, dual, scale), "bound": bound["bound"] * scale}
            else:
                witness = point | bound | {"dual": dual}
            witness = _texts(witness)
            try:
                lower, upper = open_value.enclose(parsed, witness)
            except checker.Reject as reason:
                problem_text = str(reason)
                if "feasible" in problem_text or "bound" in problem_text:
                    continue
                raise CertificationError(problem_text) from None
            low, high = max(lower_end(lower), Fraction(0)), upper_end(upper)
            statement = {"lower": text(round_down(low, DIGITS)), "upper": text(round_up(high, DIGITS))}
            return Certificate.proving({**claim, "statement": statement}, witness)
    raise CertificationError("no feasible rational witness was found near the solution")
