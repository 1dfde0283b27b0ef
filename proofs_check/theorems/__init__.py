"""Theorems with machine-checked proof steps, one file a theorem.

Each module states its theorem, gives the reference and the idea of the proof, and has

    ID        the theorem's name,
    prove()   builds the :class:`Proof`; keyword arguments replace pieces of the statement,
    MUTANTS   false variants of the statement, as keyword arguments of ``prove``: none of them may come out proved.

Nothing here imports the package ``ufm``. Modules load on first use.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proofs_check.theorems._kernel import Proof

__all__ = ["all_theorems", "mutants", "prove"]

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
}


def all_theorems() -> tuple[str, ...]:
    """Names of all theorems, each after those it uses."""
    return tuple(_MODULES)


def prove(id: str, **overrides: Any) -> Proof:
    """Run the proof of theorem ``id``; ``overrides`` replace pieces of its statement.

    Raises:
        ValueError: no theorem has that name.
    """
    return _module(id).prove(**overrides)


def mutants(id: str) -> dict[str, dict[str, Any]]:
    """False variants of theorem ``id``: name to the keyword arguments of its ``prove``.

    Raises:
        ValueError: no theorem has that name.
    """
    return dict(_module(id).MUTANTS)


def _module(id: str) -> ModuleType:
    if id not in _MODULES:
        raise ValueError(f"id must be one of {', '.join(_MODULES)}, got {id!r}")
    return importlib.import_module(f"proofs_check.theorems.{_MODULES[id]}")
