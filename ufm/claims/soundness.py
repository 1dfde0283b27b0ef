"""The verifier tried on itself: false variants of the claims, none of which may come out as claimed.

A variant changes a sign, a constant, an exponent, a class count or a hypothesis of a true claim and runs through the very
check of that claim, beside which it stands (``Claim.variants``); claims with a ``resolution`` are tried off by it, either
way. The false variants of the symbolic theorems (``MUTANTS`` of each) run through their proofs.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable
from functools import partial

from ufm._extras import require
from ufm._pieces import Pieces
from ufm.claims._model import Claim, Context, Evidence, Status
from ufm.claims._tools import evidence

__all__ = ["CLAIMS", "false_claims", "false_theorems"]


#: How many false variants are tried at least.
LEAST = 60


def false_claims(*, core: bool = False) -> dict[str, Claim]:
    """False variants of the claims, or of those of the core alone, by a description of what is wrong in each."""
    from ufm.claims import MODULES

    found: dict[str, Claim] = {}
    for module in MODULES:
        if module == __name__.rsplit(".", 1)[-1]:
            continue
        for claim in importlib.import_module(f"ufm.claims.{module}").CLAIMS:
            if core and not claim.core:
                continue
            for name, variant in claim.false_variants.items():
                key = f"{claim.id}: {name}" if name.startswith("off by") else name
                if key in found:
                    raise ValueError(f"two false variants are called {key!r} (second one of {claim.id})")
                found[key] = variant
    return found


def false_theorems() -> list[tuple[str, str]]:
    """(theorem, name of the false variant) of every symbolic theorem."""
    require("sympy", extra="proofs")
    from proofs_check import theorems

    return [(theorem, name) for theorem in theorems.all_theorems() for name in theorems.mutants(theorem)]


def _tally(*, core: bool) -> dict[str, int]:
    """How many false variants each claim has."""
    from ufm.claims import all_claims

    return {c.id: len(c.false_variants) for c in all_claims().values() if c.false_variants and (c.core or not core)}


def _claim_status(claim: Claim, context: Context) -> str:
    return claim.check(context).status.value


def _theorem_status(theorem: str, mutant: str) -> str:
    from proofs_check import theorems

    return str(theorems.prove(theorem, **theorems.mutants(theorem)[mutant]).status)


def _check(ctx: Context) -> Evidence:
    require("sympy", extra="proofs")
    claims, proofs = false_claims(core=not ctx.full), false_theorems()
    total = len(claims) + len(proofs)
    inner = Context(effort="quick", seed=ctx.seed, cache=ctx.cache)
    trials: dict[str, Callable[[], str]] = {name: partial(_claim_status, c, inner) for name, c in claims.items()}
    trials |= {f"theorem {theorem}: {name}": partial(_theorem_status, theorem, name) for theorem, name in proofs}
    kept = Pieces(ctx.out, "soundness-suite", ctx.effort, ctx.seed)
    which = "claims" if ctx.full else "claims of the core"
    try:
        for i, (name, trial) in enumerate(trials.items()):
            ctx.progress("false variants", i, total)
            if name not in kept.found:
                kept.add(name, trial())
    finally:
        kept.write()
    counts = Counter(kept.found[name] for name in trials)
    passed = [name for name in trials if Status(kept.found[name]).as_claimed]
    outcome = Status.supported if total >= LEAST and not passed else Status.inconclusive
    return evidence(
        f"{total} false variants ({len(claims)} of {which}, {len(proofs)} of theorems): {counts['refuted']} refuted, "
        f"{counts['inconclusive']} inconclusive, {len(passed)} taken for true",
        numeric=outcome,
        established_by=(f"running all {total} variants through the checks",),
        details={
            "by status": dict(counts),
            "taken for true": passed,
            "false variants of a claim": _tally(core=not ctx.full),
        },
    )


CLAIMS = (
    Claim(
        id="soundness-suite",
        title="False variants of the claims do not pass",
        statement=f"Each of at least {LEAST} false variants of the claims and theorems here (a sign, a constant, a swapped class count, a "
        "dropped hypothesis, ρ for 1−ρ, > for <) comes out refuted or inconclusive; at quick effort those of the core's claims and of "
        "all theorems are tried, at full effort all.",
        source="Mutation testing of this package's own checks",
        check=_check,
        group="The verifier itself",
        topic="soundness",
    ),
)
