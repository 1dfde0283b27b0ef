"""Certificates that neural collapse fails: exactly feasible factors that beat every simplex ETF."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from proofs_check import checker
from proofs_check.precision import precision
from ufm._validation import array, integer, positive
from ufm.architectures import LinearDEQ
from ufm.certificates._certificate import Certificate, CertificationError
from ufm.certificates._exact import lower_end, rational, round_down, text
from ufm.labels import ClassPrior

__all__ = ["certify_code", "certify_counterexample", "certify_square_code"]

#: Significant digits of a certified margin.
DIGITS = 12

#: Bits after the point of rounded factors, and how much they shrink first so that they still fit their budgets.
BITS, SHRINK = 44, 2.0**-38

#: Largest size of logits whose factors fit float64: their squares do.
LARGEST_LOGIT = 1e100


def certify_counterexample(
    architecture: Mapping[str, Any], num_classes: int, factors: Mapping[str, Any] | Sequence[Any]
) -> Certificate:
    """Certificate that the simplex ETF is not optimal for balanced classes under cross-entropy.

    Args:
        architecture: ``{"name": "linear_deq", "E_W": .., "E_H": .., "rho": .., "E_A": ..}`` (``|A|_2 <= rho`` and
            ``|A|_F^2 <= E_A``) or ``{"name": "deep_linear", "budgets": [..]}``. Numbers are taken exactly: ints,
            floats, Fractions or strings ``"p/q"``.
        num_classes: K, 2 to 16.
        factors: for the equilibrium model a mapping with ``W`` (K, d), ``A`` (d, d), ``H`` (d, K) and logits
            ``W (I - A)^{-1} H``; for the deep one a sequence of matrices, classifier first, with the logits as product.

    Returns:
        The certificate; its statement's ``margin`` is a lower bound of (best ETF's risk) - (risk of the factors).

    Raises:
        ValueError: K out of range or a malformed architecture.
        CertificationError: the factors exceed a budget or do not beat the ETF; the message says which.

    Source: theory section 4 (softmax codes); Sukenik & Mondelli 2023, Garrod et al. 2026 for depth.

    >>> points = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    >>> square = {"W": points, "A": [[0.5, 0], [0, 0.5]], "H": [[1, -1, 0, 0], [0, 0, 1, -1]]}
    >>> layer = {"name": "linear_deq", "E_W": 1, "E_H": 1, "rho": 0.9, "E_A": 0.5}
    >>> margin = certify_counterexample(layer, 4, square).claim["statement"]["margin"]
    >>> round(float(Fraction(margin)), 6)
    0.020124
    """
    k = integer("num_classes", num_classes, minimum=2, maximum=checker.MAX_FACTOR_SIZE)
    if not isinstance(architecture, Mapping) or "name" not in architecture:
        raise ValueError(f"architecture must be a mapping with a name, got {architecture!r}")
    claim: dict[str, Any] = {
        "kind": "counterexample",
        "architecture": {
            key: value if key == "name" else _texts(f"architecture[{key!r}]", value)
            for key, value in architecture.items()
        },
        "prior": [{"classes": k, "count": "1"}],
        "loss": "ce",
        "statement": {},
    }
    witness = (
        {key: _texts(f"factors[{key!r}]", m) for key, m in factors.items()}
        if isinstance(factors, Mapping)
        else {"factors": [_texts(f"factors[{i}]", m) for i, m in enumerate(_listed("factors", factors))]}
    )
    with precision(checker.PRECISION):
        try:
            problem = checker.read_claim({"format": checker.FORMAT, "claim": claim, "witness": witness})
        except checker.Reject as reason:
            raise ValueError(f"architecture: {reason}") from None
        try:
            margin = lower_end(checker.advantage(problem, witness))
        except checker.Reject as reason:
            raise CertificationError(str(reason)) from None
    if margin <= 0:
        raise CertificationError(f"the factors do not beat the simplex ETF: advantage {float(margin):.3g}")
    statement = {"refutes": "etf-optimal", "margin": text(round_down(margin, DIGITS))}
    return Certificate.proving({**claim, "statement": statement}, witness)


def certify_code(logits: ArrayLike, tau: Any, E_A: Any, rho: Any) -> Certificate:
    """Certificate that logits found in floating point beat the simplex ETF for balanced classes.

    Their optimal factors, ``|W|_F^2 = |H|_F^2 = tau``, are shrunk a little and rounded to exact rationals.

    Args:
        logits: shape (K, K), with gauge at most tau up to rounding.
        tau: K sqrt(E_W E_H) > 0; this and the next two are taken exactly.
        E_A: budget > 0 of ``|A|_F^2``.
        rho: bound on ``|A|_2``.

    Raises:
        ValueError: as :func:`certify_counterexample`, or logits that are not square or not finite.
        CertificationError: the rounded factors do not beat the ETF.

    >>> square = np.kron(np.eye(2), [[1, -1], [-1, 1]])  # four points at right angles
    >>> certify_code(2 * square, tau=4, E_A=Fraction(1, 2), rho=Fraction(9, 10)).check().accepted
    True
    """
    z = array("logits", logits, ndim=2, shape="(K, K)", largest=LARGEST_LOGIT)
    if z.shape[0] != z.shape[1]:
        raise ValueError(f"logits must be a finite matrix of shape (K, K), got {logits!r:.200}")
    if not z.any():
        raise CertificationError("zero logits do not beat the simplex ETF")
    k = len(z)
    budget, bound, frobenius = rational("tau", tau) / k, rational("rho", rho), rational("E_A", E_A)
    positive("tau", float(budget))
    architecture = LinearDEQ(float(budget), float(budget), float(bound), float(frobenius))
    rank = int((np.linalg.svd(z, compute_uv=False) > 1e-7 * np.linalg.norm(z, 2)).sum())
    u, s, vt = np.linalg.svd(z)
    factors = architecture.factorise((u[:, :rank] * s[:rank]) @ vt[:rank], ClassPrior.balanced(k), dim=rank)
    # whatever the gauge says, each factor must fit its own budget
    root = math.sqrt(k * budget)
    w, h = (m * min(1.0, root / float(np.linalg.norm(m))) for m in (factors.classifier, factors.features))

    def exact(m: np.ndarray[Any, Any]) -> list[list[Fraction]]:
        return [[Fraction(round(x * (1 - SHRINK) * 2**BITS), 2**BITS) for x in row] for row in m.tolist()]

    return certify_counterexample(
        {"name": "linear_deq", "E_W": budget, "E_H": budget, "rho": bound, "E_A": frobenius},
        k,
        {"W": exact(w), "A": exact(np.asarray(factors.equilibrium)), "H": exact(h)},
    )


def certify_square_code() -> Certificate:
    """The square softmax code beats the ETF: K = 4, E_W = E_H = 1 (tau = 4), E_A = 1/2, rho = 9/10.

    Four unit vectors in the plane at right angles, A = I/2: risk log(1 + 2e^{-2} + e^{-4}) against the best ETF's
    log(1 + 3 exp(-4/(3 - sqrt(3/2)))). Source: theory section 4.

    >>> certify_square_code().check().statement
    'linear_deq(E_A=1/2, E_H=1, E_W=1, rho=9/10), ...: a feasible point beats every simplex ETF by ~0.0201238427...'
    """
    code = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    return certify_counterexample(
        {"name": "linear_deq", "E_W": 1, "E_H": 1, "rho": "9/10", "E_A": "1/2"},
        4,
        {"W": code, "A": [["1/2", 0], [0, "1/2"]], "H": [list(column) for column in zip(*code, strict=True)]},
    )


def _listed(name: str, value: Any) -> Sequence[Any]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError(f"{name} must be a mapping or a sequence of matrices, got {value!r:.200}")
    return value


def _texts(name: str, value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_texts(f"{name}[{i}]", item) for i, item in enumerate(value)]
    return str(rational(name, value))
