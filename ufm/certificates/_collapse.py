"""Certificates of collapse thresholds and of the phase at a point, for two-group priors.

Both rest on one-parameter closed forms of the optimality conditions (``proofs_check.checker``: ``threshold_curve`` and
``collapsed_branch``), so a witness is a narrow bracket of an angle, found by bisection.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from flint import arb, fmpq

from proofs_check import checker
from proofs_check.precision import precision
from ufm._validation import integer
from ufm.architectures import known_architecture
from ufm.certificates._certificate import Certificate, CertificationError
from ufm.certificates._exact import (
    describe_architecture,
    describe_loss,
    describe_prior,
    lower_end,
    round_down,
    round_up,
    text,
    upper_end,
)
from ufm.labels import ClassPrior
from ufm.losses import Loss, closed_form, get_loss
from ufm.problem import check_bias
from ufm.two_groups.counts import count_rule

__all__ = ["certify_phase", "certify_threshold"]

#: Significant digits of the ends of a certified threshold.
DIGITS = 24

#: Relative width, in bits, of the brackets in witnesses.
BRACKET_BITS = 120


def certify_threshold(
    architecture: Any,
    num_majority: int,
    num_minority: int,
    *,
    loss: str | Loss = "ce",
    bias: str | float | None = None,
    num_samples: float | None = None,
    majority_count: float | None = None,
    minority_count: float | None = None,
) -> Certificate:
    r"""Certificate that R* = inf{R >= 1: minority collapsed at every n_A/n_B >= R} lies in ``[lower, upper]``.

    Cross-entropy with budgets: existence and uniqueness of the solution of the KKT system with mu = pi_B in a
    bracket, by a sign change and a derivative of one sign along the threshold curve; no collapse at the lower end and
    collapse at the upper end by strict complementarity. MSE and weight decay: comparisons of rationals; under weight
    decay of any loss ``n_B kappa^2 <= strength^2 N^2`` (:func:`ufm.certificates.certify_collapse`).

    Args:
        architecture: one with a nuclear-norm gauge.
        num_majority: K_A >= 1.
        num_minority: K_B >= 2.
        loss: ``"ce"`` or ``"mse"``; under weight decay also binary cross-entropy, and cross-entropy with any parameters
            that are equal within a group.
        bias: under weight decay as in :func:`ufm.solve`; it does not move the threshold.
        num_samples, majority_count, minority_count: what is held fixed while R varies, exactly one of them for a
            penalised architecture and none otherwise, as in :func:`ufm.collapse_threshold`.

    Returns:
        A certificate of relative width below 1e-20; its statement is ``{"infinite": True}`` where no ratio collapses
        the minority (MSE, tau >= K_A).

    Raises:
        TypeError, ValueError: a bad argument, by name.

    Source: Fang et al. 2021 (minority collapse); theory section 3.

    >>> import ufm
    >>> certificate = certify_threshold(ufm.LayerPeeled(1.0, 1.0), 2, 3)
    >>> round(certificate.lower, 6), round(certificate.upper, 6), certificate.relative_width < 1e-20
    (4.064289, 4.064289, True)
    """
    known_architecture(architecture, where="in a certificate")
    sizes = (
        integer("num_majority", num_majority, minimum=1, maximum=checker.MAX_CLASSES),
        integer("num_minority", num_minority, minimum=2, maximum=checker.MAX_CLASSES),
    )
    rule = count_rule(architecture, num_samples, majority_count, minority_count)
    claim: dict[str, Any] = {
        "kind": "threshold",
        "architecture": describe_architecture(architecture),
        "prior": {
            "majority_classes": sizes[0],
            "minority_classes": sizes[1],
            "fixed": {rule.held: text(rule.value)} if rule else None,
        },
        "statement": {},
    }
    found = get_loss(loss)
    if rule and (found.closed_form is None or check_bias(bias) is not None):
        decay = check_bias(bias)
        stated = {
            "loss": _group_loss(found, *sizes),
            "bias": None if decay is None else text(decay) if decay else "free",
        }
        claim |= {"kind": "open-threshold"} | stated
    elif bias is not None:
        raise ValueError(f"bias must be None for a threshold in budgets, got {bias!r}")
    else:
        claim |= {"loss": closed_form(loss, where="in a certificate")}
    with precision(checker.PRECISION):
        problem = _parse(claim)
        if problem.penalised:
            return _rational_threshold(claim, _penalised_ratio(problem))
        if problem.loss == "mse":
            if problem.radius2 >= sizes[0] ** 2:
                return Certificate.proving({**claim, "statement": {"infinite": True}}, {})
            return _rational_threshold(claim, 1 / (1 - arb(problem.radius2).sqrt() / sizes[0]))
        try:
            return _curve_threshold(claim, arb(problem.radius2).sqrt(), *sizes)
        except checker.Reject as reason:
            raise CertificationError(f"architecture {architecture!r} leaves no room for a bracket: {reason}") from None


def certify_phase(architecture: Any, prior: ClassPrior, loss: str | Loss = "ce") -> Certificate:
    """Certificate of the phase of the optimum at a two-group prior: ``"none"``, ``"partial"`` or ``"total"``.

    A collapse is certified as s_B = 0 exactly, by strict complementarity (or by an exact comparison of rationals), not
    as a small number; see ``checker.check_phase``.

    Args:
        architecture: one with a nuclear-norm gauge.
        prior: two groups of classes, the smaller counts on at least two classes.
        loss: ``"ce"`` or ``"mse"``.

    Raises:
        TypeError, ValueError: a bad argument, by name.
        CertificationError: the prior lies on the boundary between two phases, to all digits that were tried.

    Source: theory section 3 (collapse criterion and phases).

    >>> import ufm
    >>> certificate = certify_phase(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.step(2, 3, 100.0))
    >>> certificate.claim["statement"]
    {'phase': 'partial'}
    """
    known_architecture(architecture, where="in a certificate")
    if not isinstance(prior, ClassPrior):
        raise TypeError(f"prior must be a ufm.ClassPrior, got {prior!r}")
    if len(prior.groups) != 2 or prior.groups[1].size < 2:
        raise ValueError(f"prior must have two groups of classes, at least 2 of them in the minority, got {prior!r}")
    claim: dict[str, Any] = {
        "kind": "phase",
        "architecture": describe_architecture(architecture),
        "prior": describe_prior(prior),
        "loss": closed_form(loss, where="in a certificate"),
        "statement": {},
    }
    attempts: list[tuple[str, dict[str, Any]]] = [(phase, {}) for phase in ("none", "partial", "total")]
    with precision(checker.PRECISION):
        problem = _parse(claim)
        for phase, witness in attempts:
            certificate = Certificate({**claim, "statement": {"phase": phase}}, witness)
            if certificate.check():
                return certificate
        witness = _phase_witness(problem)
    for phase in ("none", "partial", "total"):
        certificate = Certificate({**claim, "statement": {"phase": phase}}, witness)
        if certificate.check():
            return certificate
    raise CertificationError(f"{prior!r} is too close to a boundary between phases of {architecture!r} to tell")


def _parse(claim: dict[str, Any]) -> checker.Claim:
    found = checker.read({"format": checker.FORMAT, "claim": claim, "witness": {}})
    if not isinstance(found, checker.Claim):
        raise TypeError(f"claim must be about a class prior, got {claim['kind']!r}")
    return found


def _group_loss(loss: Loss, k_a: int, k_b: int) -> dict[str, Any]:
    """A loss with one parameter a group; a ValueError where they differ within a group."""
    found = describe_loss(loss)
    if found["name"] not in ("ce", "bce", "mse"):
        raise ValueError(f"loss must have a collapse threshold in closed form to be certified, got {loss!r}")
    for key, value in found.items():
        if isinstance(value, list):
            groups = value[:k_a], value[k_a:]
            if len(value) != k_a + k_b or any(len(set(group)) > 1 for group in groups):
                raise ValueError(f"loss must have {key} that are equal within both groups, got {value}")
            found[key] = [value[0], value[-1]]
    return found


def _rational_threshold(claim: dict[str, Any], ratio: arb) -> Certificate:
    low, high = round_down(lower_end(ratio), DIGITS), round_up(upper_end(ratio), DIGITS)
    one = Fraction(1)
    return Certificate.proving(
        {**claim, "statement": {"lower": text(max(low, one)), "upper": text(max(high, one))}}, {}
    )


def _penalised_ratio(problem: checker.Claim) -> arb:
    """Solution R of ``strength^2 N^2 = n_B`` with one quantity held fixed (the largest one)."""
    k_a, k_b = problem.sizes
    held, value = problem.fixed  # type: ignore[misc]
    target = 1 / (problem.strength2 * value)  # of K_A R + K_B, its square, or its square over R
    if held == "num_samples":
        return arb((target - k_b) / k_a)
    if held == "minority_count":
        return (arb(target).sqrt() - k_b) / k_a
    half = target - 2 * k_a * k_b  # K_A^2 R^2 - half R + K_B^2 = 0
    discriminant = half**2 - 4 * k_a**2 * k_b**2
    if half < 0 or discriminant < 0:
        return arb(1)  # collapsed at every ratio
    return (half + arb(discriminant).sqrt()) / (2 * k_a**2)


def _curve_threshold(claim: dict[str, Any], tau: arb, k_a: int, k_b: int) -> Certificate:
    """Bracket theta on the threshold curve, and the two ends of the interval on the branch with s_B = 0."""
    top = (arb(k_a) / (k_a + k_b)).sqrt().asin() / 2

    def low_side(t: arb) -> bool:
        return bool(t < top.tan()) and bool(checker.threshold_curve(k_a, k_b, t)[0] > tau)

    bracket = _bisect(low_side)
    first, last = (checker.threshold_curve(k_a, k_b, t) for t in bracket)
    low = round_down(lower_end(1 + first[3] * last[2].expm1()), DIGITS)
    high = round_up(upper_end(1 + last[3] * first[2].expm1()), DIGITS)
    if low <= 1:
        raise CertificationError("the threshold is too close to 1 to tell from it")
    witness = {"bracket": _ends(bracket)} | {
        key: _ends(_branch_bracket(tau, fmpq(ratio.numerator, ratio.denominator), k_a, k_b))
        for key, ratio in (("below", low), ("above", high))
    }
    return Certificate.proving({**claim, "statement": {"lower": text(low), "upper": text(high)}}, witness)


def _phase_witness(problem: checker.Claim) -> dict[str, Any]:
    k_a, k_b = problem.sizes
    if not problem.penalised:
        ratio = problem.counts[0] / problem.counts[1]
        return {"angle": _ends(_branch_bracket(arb(problem.radius2).sqrt(), ratio, k_a, k_b))}
    beta = arb(problem.strength2 * problem.total**2 / problem.counts[0]).sqrt()

    def low_side(s: arb) -> bool:
        q, r = checker.total_point(k_a, k_b, s)
        return bool(k_a * q + k_b * r > beta)

    return {"scale": _ends(_bisect(low_side))}


def _branch_bracket(tau: arb, ratio: fmpq, k_a: int, k_b: int) -> tuple[arb, arb]:
    """Bracket of tan(theta/2) at which the optimum with s_B = 0 has this ratio; the ratio falls as theta grows."""

    def low_side(t: arb) -> bool:
        if not t < 1:
            return False
        cos, _ = checker.half_angle(t)
        d, _ = checker.majority_side(k_a, k_b, cos)
        if not tau + k_a * (k_a - 1) * d > 0:  # v <= 0: theta is too small
            return True
        try:
            return bool(checker.collapsed_branch(k_a, k_b, tau, t)[0] > arb(ratio))
        except checker.Reject:  # s_A <= 0: theta is too large
            return False

    return _bisect(low_side)


def _bisect(low_side: Callable[[arb], bool]) -> tuple[arb, arb]:
    """Dyadic bracket (low, high) of a positive number, BRACKET_BITS narrow, from a test ``number > t``."""
    low, high = arb(1), arb(1)
    while low_side(high):
        high *= 2
    while not low_side(low):
        low /= 2
        if low < arb(2) ** -2000:
            raise CertificationError("the solution is too close to 0 to bracket it")
    # midpoints have one more bit each, so both ends are exact in the working precision
    while not (high - low) * arb(2) ** BRACKET_BITS < low:
        middle = (low + high) / 2
        low, high = (middle, high) if low_side(middle) else (low, middle)
    return low, high


def _ends(bracket: tuple[arb, arb]) -> list[str]:
    return [text(lower_end(point)) for point in bracket]
