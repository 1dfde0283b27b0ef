"""Exact rationals in and out of certificates, and the claim's description of a problem."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq

from proofs_check.kinds.labels import MAX_SIZE
from ufm.architectures import (
    ARCHITECTURES,
    Architecture,
    DeepLinear,
    Gain,
    LinearDEQ,
    NormBounded,
    PenalisedDeepLinear,
    Residual,
    file_word,
    is_known,
    known_architecture,
)
from ufm.certificates._certificate import CertificationError
from ufm.labels import ClassPrior
from ufm.losses import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquaredError, SquaredHinge
from ufm.losses.formula import state
from ufm.problem import Problem

__all__ = [
    "ball",
    "describe_architecture",
    "describe_loss",
    "describe_open",
    "describe_prior",
    "dyadic",
    "exact",
    "is_open_architecture",
    "lower_end",
    "round_down",
    "round_up",
    "text",
    "upper_end",
]

#: What says something of architectures whose gauge is no norm.
_INSTEAD: dict[type[Architecture], str] = {
    LinearDEQ: "ufm.certify_etf_optimal, ufm.certify_counterexample",
    DeepLinear: "ufm.certify_counterexample",
    Residual: "ufm.certificates.certify_residual_etf, ufm.certificates.certify_residual_code",
}

#: Binary exponents beyond this, in size, belong to numbers that certificates (400 digits) cannot hold.
MAX_EXPONENT = 1 << 16


def rational(name: str, value: Any) -> Fraction:
    """The rational number that an int, a float, a Fraction or a string ``"p/q"`` stands for, exactly.

    Raises:
        TypeError, ValueError: it stands for none; the message names ``name``.

    >>> rational("rho", "9/10"), rational("rho", 0.5)
    (Fraction(9, 10), Fraction(1, 2))
    """
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, np.longdouble):
        plain = Fraction(*plain.as_integer_ratio()) if np.isfinite(plain) else float(plain)
    if isinstance(plain, bool) or not isinstance(plain, int | float | Fraction | str):
        raise TypeError(f"{name} must be an int, a float, a Fraction or a string 'p/q', got {value!r:.200}")
    try:
        return Fraction(plain)
    except (ValueError, OverflowError, ZeroDivisionError):
        raise ValueError(f"{name} must be finite, or a string 'p/q', got {value!r:.200}") from None


def exact(value: Any) -> Fraction:
    """The rational number a float, int or Fraction stands for, exactly."""
    return Fraction(value)


def text(value: Any) -> str:
    """``"p/q"`` or ``"p"``."""
    p, q = (value if isinstance(value, float) else Fraction(value)).as_integer_ratio()
    return f"{p}/{q}" if q != 1 else str(p)


def describe_architecture(architecture: Architecture) -> dict[str, Any]:
    """Name and exact parameters of an architecture, as a claim states them.

    Raises:
        ValueError: the architecture's gauge is not a norm, so that no bound from below is known.
    """
    given = architecture.parameters
    known_architecture(architecture, "architecture", "in a certificate")
    if set(given) - {"E_W", "E_H", "rho", "budgets", "lambda_W", "lambda_H"}:
        raise ValueError(
            f"architecture must have a nuclear-norm gauge to be certified, got {architecture!r}{_instead(architecture)}"
        )
    if "budgets" in given and len(given["budgets"]) != 2:
        raise ValueError(
            f"architecture must have 2 factors to be certified, got {architecture!r}{_instead(architecture)}"
        )
    known = next(cls for cls in type(architecture).__mro__ if cls in ARCHITECTURES.values())
    return {"name": file_word(known)} | {
        key: [text(c) for c in value] if isinstance(value, tuple) else text(value) for key, value in given.items()
    }


def _instead(architecture: Architecture) -> str:
    """What is certified of an architecture whose gauge is no norm."""
    others = [names for cls, names in _INSTEAD.items() if isinstance(architecture, cls)]
    return "".join(f"; whether the simplex ETF of balanced classes is optimal: {names}" for names in others)


def describe_open(problem: Problem) -> dict[str, Any]:
    """Architecture, labels, loss and bias of a claim about any labels.

    Raises:
        ValueError: an architecture or a loss that the checker does not know, or more than MAX_SIZE classes or columns.
    """
    size = max(problem.prior.num_classes, problem.prior.num_columns)
    if size > MAX_SIZE:
        raise ValueError(f"prior must have at most {MAX_SIZE} classes and columns in a certificate, got {size}")
    bias = problem.bias
    return {
        "architecture": _open_architecture(problem.architecture),
        "labels": {
            "targets": [[text(x) for x in row] for row in problem.targets.tolist()],
            "counts": [text(n) for n in problem.prior.counts.tolist()],
        },
        "loss": describe_loss(problem.loss, problem.targets),
        "bias": None if bias is None else text(bias) if bias else "free",
    }


def _open_architecture(architecture: Architecture) -> dict[str, Any]:
    given = architecture.parameters
    if not (is_known(architecture) and is_open_architecture(architecture)):
        return describe_architecture(architecture)
    if len(given.get("lambdas", (1, 1))) != 2:
        raise ValueError(f"architecture must have 2 factors to be certified, got {architecture!r}")
    known = next(cls for cls in type(architecture).__mro__ if cls in ARCHITECTURES.values())
    return {"name": file_word(known)} | {
        key: value
        if isinstance(value, str | int) and key in ("features", "kind", "depth")
        else [text(x) for x in value]
        if isinstance(value, tuple)
        else text(value)
        for key, value in given.items()
    }


def is_open_architecture(architecture: Architecture) -> bool:
    """Whether only certificates for any labels know an architecture."""
    return isinstance(architecture, NormBounded | Gain | PenalisedDeepLinear) or "features" in architecture.parameters


def describe_loss(loss: Loss, targets: np.ndarray[Any, np.dtype[np.float64]] | None = None) -> dict[str, Any]:
    """Name and exact parameters of a loss that the checker knows, or with ``targets`` (K, m) the formula it states.

    Raises:
        ValueError: the checker does not know the loss, and it states no formula or one that its values contradict.
    """
    if type(loss) is CrossEntropy:
        listed = {key: getattr(loss, key) for key in ("weights", "scales", "shifts")}
        found = {key: [text(x) for x in value] for key, value in listed.items() if value is not None}
        return {"name": "ce"} | ({"smoothing": text(loss.smoothing)} if loss.smoothing else {}) | found
    if type(loss) is SquaredHinge:
        return {"name": "squared_hinge", "margin": text(loss.margin)}
    for cls, name in ((BinaryCrossEntropy, "bce"), (MeanSquaredError, "mse")):
        if type(loss) is cls:
            return {"name": name}
    if targets is None:
        raise ValueError(f"loss must be one whose conjugate the checker knows here, got {loss!r}")
    formula = state(loss, targets)
    if formula is None:
        raise ValueError(
            "loss must be one whose conjugate the checker knows, or state its formula(logits, target), "
            f"to be certified, got {loss!r}"
        )
    return {"name": "formula", "expression": formula.node}


def describe_prior(prior: ClassPrior) -> list[dict[str, Any]]:
    """The groups of a prior, most frequent first."""
    return [{"classes": group.size, "count": text(group.count)} for group in prior.groups]


def ball(x: Fraction) -> arb:
    """A rational as a ball, at the working precision."""
    return arb(fmpq(x.numerator, x.denominator))


def dyadic(x: Fraction, bits: int) -> Fraction:
    """The multiple of ``2^-bits`` next to ``x``."""
    return Fraction(round(x * 2**bits), 2**bits)


def lower_end(ball: arb) -> Fraction:
    """Exact lower end of a ball."""
    return _dyadic(ball.lower())


def upper_end(ball: arb) -> Fraction:
    """Exact upper end of a ball."""
    return _dyadic(ball.upper())


def _dyadic(point: arb) -> Fraction:
    if not point.is_finite():
        raise ValueError(f"the ball {point} is not finite")
    mantissa, exponent = point.man_exp()
    if abs(int(exponent)) > MAX_EXPONENT:  # exp(-1e75) is a fine ball, and as a rational fills the memory
        raise CertificationError(f"a number of about 2^{exponent} is beyond the certificate format")
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def round_down(value: Fraction, digits: int) -> Fraction:
    """Largest multiple of a power of ten, with ``digits`` significant digits, not above ``value``."""
    if value == 0:
        return value
    unit = _unit(value, digits)
    return math.floor(value / unit) * unit


def round_up(value: Fraction, digits: int) -> Fraction:
    """Smallest multiple of a power of ten, with ``digits`` significant digits, not below ``value``."""
    return -round_down(-value, digits)


def _unit(value: Fraction, digits: int) -> Fraction:
    size = len(str(abs(value.numerator))) - len(str(value.denominator))
    return Fraction(10) ** (size - digits + 1)
