"""Claims of the theory, one module a topic; :func:`all_claims` collects them in the order of the report."""

from __future__ import annotations

import importlib
from functools import cache

from ufm.claims._model import (
    EFFORTS,
    Citation,
    Claim,
    Context,
    Enclosure,
    Evidence,
    Figure,
    Scope,
    Status,
    Verdict,
    claim,
    combine,
    judge_equal,
    judge_order,
)
from ufm.claims.plugins import installed_claims

__all__ = [
    "EFFORTS",
    "MODULES",
    "Citation",
    "Claim",
    "Context",
    "Enclosure",
    "Evidence",
    "Figure",
    "Scope",
    "Status",
    "Verdict",
    "all_claims",
    "claim",
    "combine",
    "judge_equal",
    "judge_order",
]

#: Modules of this package with a ``CLAIMS: tuple[Claim, ...]``, in the order of the report.
MODULES: tuple[str, ...] = (
    "balanced",
    "relaxation",
    "collapse",
    "imbalanced_geometry",
    "beyond",
    "landscape",
    "nonconvex",
    "network",
    "soundness",
)


def all_claims() -> dict[str, Claim]:
    """Return every claim by its id, in the order of the report; the dictionary is the caller's to change.

    After those of this package come those that installed packages register, see :mod:`ufm.claims.plugins`.

    Raises:
        ValueError: two claims share an id.

    >>> claims = all_claims()
    >>> claims["lpm-balanced-etf"].effort, len(claims) == len({c.id for c in claims.values()})
    ('quick', True)
    """
    return dict(_collect())


@cache
def _collect() -> dict[str, Claim]:
    claims: dict[str, Claim] = {}
    for module in MODULES:
        for found in importlib.import_module(f"ufm.claims.{module}").CLAIMS:
            if found.id in claims:
                raise ValueError(f"two claims share the id {found.id!r} (second one in ufm.claims.{module})")
            claims[found.id] = found
    return claims | installed_claims(taken=claims)
