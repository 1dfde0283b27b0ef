"""Every number and formula that a theorem is made of, off by a thousandth either way: no proof goes through.

What may be off is a bound on one side, which the weaker one follows from, and pieces of a proof that have room.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest
import sympy as sp

from proofs_check import theorems

THOUSANDTH = sp.Rational(1, 1000)

#: Pieces that have room: weaker bounds that are true as well, radii and points of the proofs alone.
ROOM = {
    "bce-balanced": {"least"},
    "contrastive-groups": {"end"},
    "cyclic-codes": {"factors"},
    "deep-collapse-stable": {"radius", "slope", "least"},
    "deep-linear-etf": {"octahedron", "square"},
    "deep-square-scale": {"bounds"},
    "factor-landscape": {"local", "spurious"},
    "focal-first-order": {"last"},
    "landau-collapse": {"sufficient", "excluded", "persists"},
    "loss-decreases": {"radius"},
    "relu-edge-code": {"points"},
    "residual-first-order": {"sufficient"},
    "schatten-factors": {"slope"},
    "sphere-spurious-minimum": {"least", "third", "lower", "upper", "etf"},
    "threshold-curve": {"collapse_beyond"},
    "threshold-not-log-convex": {"points", "gap"},
    "two-group-dual": {"consistency"},
    "uncapped-deq-no-minimiser": {"large"},
}

#: Counts of rows and the like, which have no thousandth.
COUNTS = {"cyclic-codes": {"least"}, "rank-two-suffices": {"rows"}}


def off(piece: Any, by: sp.Rational) -> list[Any]:
    """The piece times ``1 + by``, of a tuple of numbers each in turn; nothing where there is no number."""
    if isinstance(piece, bool) or piece == 0:
        return []
    if isinstance(piece, int | sp.Expr):
        return [piece * (1 + by)]
    if isinstance(piece, tuple):
        moved = [(i, off(part, by)) for i, part in enumerate(piece)]
        return [(*piece[:i], part[0], *piece[i + 1 :]) for i, part in moved if part]
    return []


def varied(theorem: str) -> list[dict[str, Any]]:
    module = importlib.import_module(f"proofs_check.theorems.{theorem.replace('-', '_')}")
    free = ROOM.get(theorem, set()) | COUNTS.get(theorem, set())
    return [
        {name: moved}
        for name, parameter in inspect.signature(module.prove).parameters.items()
        if name not in free
        for by in (THOUSANDTH, -THOUSANDTH)
        for moved in off(parameter.default, by)
    ]


def test_what_has_room_is_there() -> None:
    for theorem, pieces in (*ROOM.items(), *COUNTS.items()):
        module = importlib.import_module(f"proofs_check.theorems.{theorem.replace('-', '_')}")
        assert pieces <= set(inspect.signature(module.prove).parameters), theorem
    assert len(ROOM) < len(theorems.all_theorems()) / 4


def test_most_theorems_are_varied() -> None:
    counts = {name: len(varied(name)) for name in theorems.all_theorems()}
    assert sum(counts.values()) > 600
    assert sum(count > 0 for count in counts.values()) > 80


@pytest.mark.parametrize("theorem", theorems.all_theorems())
@pytest.mark.sample(5)
def test_no_piece_may_be_off_by_a_thousandth(theorem: str) -> None:
    proved = [piece for piece in varied(theorem) if theorems.prove(theorem, **piece).status == "proved"]
    assert proved == []
