"""Theorems with machine-checked proof steps, one file a theorem.

Each module states its theorem, gives the reference and the idea of the proof, and has

    ID             the theorem's name,
    SCOPE          what it covers, one :class:`~proofs_check.scope.Scope` for each case,
    statements()   what it says, by the parts that a claim may cite, written from the formulas that the steps decide,
    prove()        builds the :class:`Proof`; keyword arguments replace pieces of the statement,
    MUTANTS        false variants of the statement, as keyword arguments of ``prove``: none of them may come out proved.

A theorem stands only with those that it uses: :func:`outcome` follows them to the end, :func:`prove` looks at one file.

Nothing here imports the package ``ufm``. Modules load on first use.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proofs_check.scope import Scope
    from proofs_check.theorems._kernel import Proof, Step

__all__ = ["Outcome", "all_theorems", "dependencies", "mutants", "outcome", "prove", "scope", "statements"]

_MODULES: dict[str, str] = {
    "etf-gram": "etf_gram",
    "ce-convex": "ce_convex",
    "within-class-collapse": "within_class_collapse",
    "nuclear-norm-factorisation": "nuclear_norm_factorisation",
    "spectral-deq-gauge": "spectral_deq_gauge",
    "loss-decreases": "loss_decreases",
    "balanced-layer-peeled-etf": "balanced_layer_peeled_etf",
    "balanced-spectral-deq-etf": "balanced_spectral_deq_etf",
    "centring": "centring",
    "symmetry-reduction": "symmetry_reduction",
    "collapse-criterion": "collapse_criterion",
    "two-group-dual": "two_group_dual",
    "collapse-phases": "collapse_phases",
    "threshold-curve": "threshold_curve",
    "threshold-not-log-convex": "threshold_not_log_convex",
    "mse-closed-form": "mse_closed_form",
    "penalised-threshold": "penalised_threshold",
    "mcp-penalty": "mcp_penalty",
    "frobenius-gauge": "frobenius_gauge",
    "uncapped-deq-no-minimiser": "uncapped_deq_no_minimiser",
    "schatten-factors": "schatten_factors",
    "square-code-beats-etf": "square_code_beats_etf",
    "etf-local-stability": "etf_local_stability",
    "frobenius-budget-etf": "frobenius_budget_etf",
    "deep-linear-etf": "deep_linear_etf",
    "penalised-deq-etf": "penalised_deq_etf",
    "landau-collapse": "landau_collapse",
    "factor-landscape": "factor_landscape",
    "deep-collapse-stable": "deep_collapse_stable",
    "regression-collapse": "regression_collapse",
    "seli-any-counts": "seli_any_counts",
    "norm-bounded-etf": "norm_bounded_etf",
    "norm-bounded-collapse": "norm_bounded_collapse",
    "contrastive-collapse": "contrastive_collapse",
    "contrastive-groups": "contrastive_groups",
    "planar-codes": "planar_codes",
    "residual-price": "residual_price",
    "residual-columns": "residual_columns",
    "gain-gauge": "gain_gauge",
}

# a theorem that none of these uses is one new file, named after it
_MODULES |= {
    info.name.replace("_", "-"): info.name
    for info in pkgutil.iter_modules(__path__)
    if not info.name.startswith("_") and info.name not in ("facts", *_MODULES.values())
}


def all_theorems() -> tuple[str, ...]:
    """Names of all theorems, each after those it uses."""
    return tuple(_MODULES)


def prove(id: str, **overrides: Any) -> Proof:
    """Run the proof of theorem ``id``, once a process; ``overrides`` replace pieces of its statement.

    Raises:
        ValueError: no theorem has that name.
    """
    run: Callable[..., Proof] = _module(id).prove
    return run(**overrides) if overrides else _proved(run)


def mutants(id: str) -> dict[str, dict[str, Any]]:
    """False variants of theorem ``id``: name to the keyword arguments of its ``prove``.

    Raises:
        ValueError: no theorem has that name.
    """
    return dict(_module(id).MUTANTS)


@dataclass(frozen=True)
class Outcome:
    """What became of a theorem together with everything it uses.

    Attributes:
        id: the theorem.
        status: ``"proved"`` only if the theorem's own steps are and those of every theorem that it uses, directly or
            not; ``"refuted"`` if one of its own steps is False; else ``"inconclusive"``.
        uses: the theorems used, directly or not, in the order of :func:`all_theorems`.
        lemmas: classical lemmas assumed by the theorem or by any that it uses.
        num_exact: its own steps in which there was something to decide.
        num_trivial: its own steps that say 0 = 0 as written; they count for nothing.
        failing: its own steps that are not True and the used theorems that are not proved, in words.
        steps: its own steps.
    """

    id: str
    status: str
    uses: tuple[str, ...]
    lemmas: tuple[str, ...]
    num_exact: int
    num_trivial: int
    failing: tuple[str, ...]
    steps: tuple[Step, ...] = ()


def dependencies(id: str) -> tuple[str, ...]:
    """Theorems that theorem ``id`` uses, directly or not, in the order of :func:`all_theorems`.

    Raises:
        ValueError: no theorem has that name, or a theorem uses itself in the end.

    >>> dependencies("balanced-spectral-deq-etf")[:2]
    ('etf-gram', 'ce-convex')
    """
    found: set[str] = set()
    _collect(_proved(_module(id).prove).uses, (id,), found)
    return tuple(x for x in _MODULES if x in found)


def _collect(uses: tuple[str, ...], path: tuple[str, ...], found: set[str]) -> None:
    for used in uses:
        if used in path:
            raise ValueError(f"theorems must not use themselves: {' -> '.join((*path, used))}")
        if used not in found:
            _collect(_proved(_module(used).prove).uses, (*path, used), found)
            found.add(used)


def outcome(id: str, **overrides: Any) -> Outcome:
    """Prove theorem ``id`` and everything that it uses; ``overrides`` replace pieces of its own statement.

    Raises:
        ValueError: no theorem has that name, or a theorem uses itself in the end.

    >>> outcome("etf-gram").status
    'proved'
    """
    own = prove(id, **overrides)
    found: set[str] = set()
    _collect(own.uses, (id,), found)
    uses = tuple(x for x in _MODULES if x in found)
    used = [_proved(_module(x).prove) for x in uses]
    failing = [f"{step.statement}: {step.detail}" for step in own.steps if step.result is not True]
    failing += [f"theorem used is {proof.status}: {proof.id}" for proof in used if proof.status != "proved"]
    status = "inconclusive" if own.status == "proved" and failing else own.status
    lemmas = dict.fromkeys(lemma for proof in (own, *used) for lemma in proof.lemmas)
    return Outcome(id, status, uses, tuple(lemmas), own.num_exact, own.num_trivial, tuple(failing), own.steps)


@lru_cache(maxsize=256)
def _proved(prove: Callable[[], Proof]) -> Proof:
    """The proof of a theorem as it is stated, remembered: many theorems use the same few."""
    return prove()


def scope(id: str) -> tuple[Scope, ...]:
    """What theorem ``id`` covers, one case each.

    Raises:
        ValueError: no theorem has that name.
    """
    return tuple(_module(id).SCOPE)


def statements(id: str, **overrides: Any) -> dict[str, str]:
    """What theorem ``id`` says, by part, in whole sentences; ``overrides`` as for :func:`prove`.

    Raises:
        ValueError: no theorem has that name.
    """
    return dict(_module(id).statements(**overrides))


def _module(id: str) -> ModuleType:
    if id not in _MODULES:
        raise ValueError(f"id must be one of {', '.join(_MODULES)}, got {id!r}")
    return importlib.import_module(f"proofs_check.theorems.{_MODULES[id]}")
