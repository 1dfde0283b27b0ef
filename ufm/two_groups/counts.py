"""How the counts of a two-group prior vary with R: what is held fixed while ``R = n_A/n_B`` changes.

Under budgets R alone matters. Under weight decay the number of samples sets the scale, and a statement about R needs to
say which of N, n_A and n_B stays the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ufm._validation import positive
from ufm.architectures import Constrained

__all__ = ["HELD", "CountRule", "count_rule"]

#: What can be held fixed: N, n_A or n_B.
HELD = ("num_samples", "majority_count", "minority_count")


@dataclass(frozen=True)
class CountRule:
    """One quantity held fixed while R varies.

    Attributes:
        held: ``"num_samples"`` (N), ``"majority_count"`` (n_A) or ``"minority_count"`` (n_B).
        value: what it is, > 0.

    >>> CountRule("num_samples", 600.0).counts(5.0, 5, 5)
    (100.0, 20.0)
    """

    held: str
    value: float

    @classmethod
    def of(
        cls,
        num_samples: float | None = None,
        majority_count: float | None = None,
        minority_count: float | None = None,
    ) -> CountRule:
        """The rule that holds the one count fixed that is given.

        >>> CountRule.of(minority_count=20)
        CountRule(held='minority_count', value=20.0)

        Raises:
            TypeError: a count that is no number.
            ValueError: none or several of them, or one that is not positive and finite.
        """
        given = _given(num_samples, majority_count, minority_count)
        if len(given) != 1:
            raise ValueError(
                "exactly one of num_samples, majority_count and minority_count must be given for a penalised "
                f"architecture, got {sorted(given) or 'none'}"
            )
        return cls(*next(iter(given.items())))

    def counts(self, ratio: float, num_majority: int, num_minority: int) -> tuple[float, float]:
        """(n_A, n_B) at R, for K_A and K_B classes."""
        if self.held == "num_samples":
            n_b = self.value / (num_majority * ratio + num_minority)
        else:
            n_b = self.value if self.held == "minority_count" else self.value / ratio
        return ratio * n_b, n_b

    def at_collapse(self, strength: float, num_majority: int, num_minority: int) -> tuple[float, float]:
        """(n_A, n_B) where ``n_B = N^2 lam^2`` for ``lam = strength``; n_A = n_B where that holds beyond R = 1 only.

        * N held: ``n_B = N^2 lam^2``.
        * n_A held: n_B is the smaller root of ``n_B = lam^2 (K_A n_A + K_B n_B)^2``. (Above its larger root N is so
          large that the minority is collapsed again.)
        * n_B held: ``n_A = (sqrt(n_B)/lam - K_B n_B)/K_A``.
        """
        k_a, k_b, lam = num_majority, num_minority, strength
        if self.held == "num_samples":
            price = self.value * lam
            n_b = min(price * price, self.value / (k_a + k_b))
            return (self.value - k_b * n_b) / k_a, n_b
        if self.held == "minority_count":
            n_b = self.value
            return max((math.sqrt(n_b) / lam - k_b * n_b) / k_a, n_b), n_b
        n_a = self.value
        # sqrt(n_B) = lam (K_A n_A + K_B n_B): smaller root of lam K_B x^2 - x + lam K_A n_A = 0, x = sqrt(n_B)
        discriminant = 1 - 4 * lam * lam * k_b * k_a * n_a
        if discriminant < 0:
            return n_a, n_a
        root = 2 * lam * k_a * n_a / (1 + math.sqrt(discriminant))
        return n_a, min(root * root, n_a)


def count_rule(
    architecture: Any,
    num_samples: float | None = None,
    majority_count: float | None = None,
    minority_count: float | None = None,
) -> CountRule | None:
    """How the counts vary with R under an architecture: :meth:`CountRule.of` for weight decay, None for budgets.

    >>> import ufm
    >>> count_rule(ufm.UnconstrainedFeatures(5e-3, 5e-3), num_samples=600)
    CountRule(held='num_samples', value=600.0)
    >>> count_rule(ufm.LayerPeeled(1.0, 5.0))

    Raises:
        TypeError: a count that is no number.
        ValueError: a count for budgets; for weight decay not exactly one, or one that is not positive and finite.
    """
    if not isinstance(architecture, Constrained):
        return CountRule.of(num_samples, majority_count, minority_count)
    given = _given(num_samples, majority_count, minority_count)
    if given:
        raise ValueError(f"{next(iter(given))} plays no role for {architecture!r}: its threshold depends on R alone")
    return None


def _given(*counts: float | None) -> dict[str, float]:
    """The counts that are given, checked, by their names."""
    return {name: positive(name, value) for name, value in zip(HELD, counts, strict=True) if value is not None}
