"""Claims of the theory, one module a topic; :func:`all_claims` collects them in the order of the report."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from functools import cache

from ufm._validation import one_of
from ufm.claims._model import (
    EFFORTS,
    STANDINGS,
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
from ufm.claims.corrections import CORRECTIONS, Correction, correction_of
from ufm.claims.papers import PAPERS, TOPICS, Paper
from ufm.claims.plugins import installed_claims

__all__ = [
    "CORRECTIONS",
    "EFFORTS",
    "MODULES",
    "PAPERS",
    "STANDINGS",
    "TOPICS",
    "Citation",
    "Claim",
    "Context",
    "Correction",
    "Enclosure",
    "Evidence",
    "Figure",
    "Paper",
    "Scope",
    "Status",
    "Verdict",
    "all_claims",
    "claim",
    "combine",
    "correction_of",
    "judge_equal",
    "judge_order",
    "lookup",
    "package_claims",
    "select",
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
    "imbalanced_losses",
    "nonnegative",
    "seli",
    "imbalanced_mse",
    "targets",
    "depth",
    "heads",
    "spheres",
    "contrastive",
    "codes",
    "residual_depth",
    "residual_bounds",
    "gains",
    "balanced_losses",
    "objectives",
    "bounded_norms",
    "encoders",
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


def lookup(name: object, known: Mapping[str, Claim] | None = None) -> Claim:
    """Return the claim with an id, of :func:`all_claims` by default.

    Raises:
        ValueError: an unknown id; the message names those that are close.
        TypeError: no string.

    >>> lookup("lpm-balanced-etf").effort
    'quick'
    """
    if not isinstance(name, str):
        raise TypeError(f"ids must hold claim ids (strings) or Claim objects, got {name!r}")
    known = all_claims() if known is None else known  # which imports all that they need: only where an id asks for it
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"; did you mean {', '.join(map(repr, close))}?" if close else "; `ufm claims` lists them"
        raise ValueError(f"unknown claim {name!r}{hint}")
    return known[name]


def select(
    claims: Iterable[Claim] | None = None,
    *,
    paper: str | None = None,
    topic: str | None = None,
    loss: str | None = None,
    architecture: str | None = None,
    standing: str | None = None,
) -> list[Claim]:
    """Return the claims that are about all of these, in their order; what is None picks nothing out.

    Args:
        claims: those to choose from, every claim of :func:`all_claims` by default.
        paper: key of a paper (:data:`PAPERS`), such as ``"dang2024"``.
        topic: key of a topic (:data:`TOPICS`), such as ``"depth"``.
        loss, architecture: keys of losses and models as in :class:`Scope`, such as ``"ce"`` and ``"weight-decay"``.
        standing: how they stand to what their source says, such as ``"refuted"`` (:data:`STANDINGS`).

    Raises:
        ValueError: a key that no claim has; the message lists those there are.

    >>> [claim.id for claim in select(paper="fang2021", topic="balance")]
    ['lpm-balanced-etf']
    """
    known = list(all_claims().values() if claims is None else claims)
    wanted = {"paper": paper, "topic": topic, "loss": loss, "architecture": architecture, "standing": standing}
    for name, value in wanted.items():
        if value is not None:
            keys = sorted({key for claim in known for key in _keys(claim, name)})
            one_of(name, value, keys)
            known = [claim for claim in known if value in _keys(claim, name)]
    return known


def _keys(claim: Claim, name: str) -> tuple[str, ...]:
    """What a claim is found by under the name of an argument of :func:`select`."""
    found = {
        "paper": claim.papers,
        "topic": (claim.topic,),
        "loss": claim.losses,
        "architecture": claim.architectures,
        "standing": (claim.standing,),
    }
    return tuple(key for key in found[name] if key)


def package_claims() -> dict[str, Claim]:
    """Return the claims of this package alone, by id; the dictionary is the caller's to change.

    Raises:
        ValueError: two claims share an id.

    >>> package_claims().keys() <= all_claims().keys()
    True
    """
    claims: dict[str, Claim] = {}
    for module in MODULES:
        for found in importlib.import_module(f"ufm.claims.{module}").CLAIMS:
            if found.id in claims:
                raise ValueError(f"two claims share the id {found.id!r} (second one in ufm.claims.{module})")
            claims[found.id] = found
    return claims


@cache
def _collect() -> dict[str, Claim]:
    own = package_claims()
    return own | installed_claims(taken=own)
