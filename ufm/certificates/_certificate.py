"""What a certificate is: a claim, the witness that proves it, and where to have it checked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from proofs_check.checker import FORMAT, Outcome, check
from ufm._files import write_atomically
from ufm._notebook import table

__all__ = ["Certificate", "CertificationError"]


class CertificationError(RuntimeError):
    """No certificate could be found: the message says what is missing. It says nothing about the claim."""


@dataclass(frozen=True)
class Certificate:
    """A claim with its witness, both as plain JSON data with exact rationals ``"p/q"`` (``proofs_check/schema.json``).

    Build one with :func:`ufm.certify` and its siblings, or read one with :meth:`load`; nothing in it is believed before
    :meth:`check` accepts it.

    Attributes:
        claim: architecture, class prior, loss and statement.
        witness: what proves the statement.

    >>> import ufm
    >>> certificate = ufm.certify(ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.balanced(3)))
    >>> certificate.check().accepted
    True
    >>> Certificate.from_json(certificate.to_json()) == certificate
    True
    >>> forged = {**certificate.claim, "statement": {"lower": "0", "upper": "1/100"}}
    >>> Certificate(forged, certificate.witness).check().accepted
    False
    """

    claim: dict[str, Any]
    witness: dict[str, Any] = field(repr=False)

    @classmethod
    def proving(cls, claim: dict[str, Any], witness: dict[str, Any]) -> Certificate:
        """A certificate that the checker accepts; raises :class:`CertificationError` with the checker's reason."""
        certificate = cls(claim, witness)
        outcome = certificate.check()
        if not outcome:
            raise CertificationError(f"the checker does not accept the certificate: {outcome.reason}")
        return certificate

    def _repr_html_(self) -> str:
        """A table of what is claimed, for notebooks; nothing is checked for it."""
        rows: dict[str, object] = {name: _shown(value) for name, value in self.claim.items() if name != "statement"}
        for name, value in self.claim["statement"].items():
            rows[f"statement: {name}"] = _shown(value)
        if "lower" in self.claim["statement"]:
            rows["interval"] = f"[{self.lower!r}, {self.upper!r}]"
        return table("Certificate: a claim with its witness, for check() to accept", rows)

    @property
    def kind(self) -> str:
        """``"value"``, ``"threshold"``, ``"phase"`` or ``"counterexample"``."""
        return str(self.claim["kind"])

    @property
    def bounds(self) -> tuple[Fraction, Fraction]:
        """The exact ends of the certified interval; raises ValueError for a claim without one."""
        statement = self.claim["statement"]
        if "lower" not in statement:
            raise ValueError(f"the statement of this certificate is not an interval: {statement}")
        return Fraction(statement["lower"]), Fraction(statement["upper"])

    def interval(self, name: str) -> tuple[Fraction, Fraction]:
        """Exact ends of the interval that the statement gives for ``name``; a ValueError where it gives none."""
        ends = self.claim["statement"].get(name)
        if not isinstance(ends, list) or len(ends) != 2:
            raise ValueError(f"name must be an interval of this certificate's statement, got {name!r}")
        return Fraction(ends[0]), Fraction(ends[1])

    @property
    def lower(self) -> float:
        """Lower end of the interval, rounded down."""
        return _outward(self.bounds[0], -1)

    @property
    def upper(self) -> float:
        """Upper end of the interval, rounded up."""
        return _outward(self.bounds[1], 1)

    @property
    def relative_width(self) -> float:
        """``(upper - lower) / |upper|`` of the exact ends; 0 for the interval [0, 0]."""
        low, high = self.bounds
        return float((high - low) / abs(high)) if high else 0.0

    def check(self) -> Outcome:
        """The checker's verdict, with its reason and the claim in its words."""
        return check(self.to_json())

    def to_json(self) -> str:
        """The certificate as JSON text."""
        return json.dumps({"format": FORMAT, "claim": self.claim, "witness": self.witness}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Certificate:
        """Read a certificate *without checking it*; raises ValueError if it is not of the right shape."""
        data = json.loads(text)
        if not isinstance(data, dict) or not {"claim", "witness"} <= set(data):
            raise ValueError("text must be a JSON object with a claim and a witness")
        if not isinstance(data["claim"], dict) or not isinstance(data["witness"], dict):
            raise ValueError("claim and witness must be JSON objects")
        return cls(data["claim"], data["witness"])

    def save(self, path: str | Path) -> Path:
        """Write the certificate to ``path``, in one step: no reader ever sees half a file."""
        target = Path(path)
        write_atomically(target, self.to_json() + "\n")
        return target

    @classmethod
    def load(cls, path: str | Path) -> Certificate:
        """Read a certificate from a file *without checking it*."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))


def _outward(number: Fraction, direction: int) -> float:
    import math

    value = float(number)
    exact = Fraction(value)
    if (direction < 0 and exact > number) or (direction > 0 and exact < number):
        value = math.nextafter(value, direction * math.inf)
    return value


def _shown(value: Any, longest: int = 120) -> str:
    """``value`` as text, shortened."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
