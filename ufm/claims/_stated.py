"""Claims that say what a theorem says, tried on instances: the true formula cites the proof, false ones have to fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from ufm.architectures import Architecture
from ufm.claims._model import Claim, Context, Enclosure, Evidence, Figure
from ufm.claims._tools import Comparison, enclose, evidence, symbolic
from ufm.labels import ClassPrior, Labels
from ufm.losses import Loss
from ufm.solvers import solve

__all__ = ["enclosed", "stated"]

F = TypeVar("F")

Rows = Callable[[Context, F], Sequence[Comparison]]


def stated(
    formula: F,
    rows: Rows[F],
    theorem: str,
    parts: Sequence[str],
    variants: Mapping[str, F],
    *,
    summary: str,
    off_by: Callable[[float], F] | None = None,
    figure: Callable[[], Figure] | None = None,
    **fields: Any,
) -> Claim:
    """A claim that says those ``parts`` of ``theorem``.

    Args:
        formula: the formula claimed, compared with computed numbers by ``rows(context, formula)``.
        rows: makes the comparisons, some on either side of every boundary.
        theorem: what is cited for ``formula`` alone.
        parts: keys of its statements.
        variants: false formulas by what is wrong in each.
        summary: what the instances show, in one line.
        off_by: the formula with its quantity multiplied by ``1 + x``; needs ``resolution`` among the fields. By default
            everything that the formula returns, where there is a ``resolution``.
        figure: what the report draws.
        **fields: of the :class:`Claim`.
    """
    resolution = fields.pop("resolution", None)
    if resolution is not None and off_by is None:
        off_by = partial(_scaled, formula)

    def made(tried: F) -> Claim:
        def check(ctx: Context) -> Evidence:
            return evidence(
                summary,
                proofs=[symbolic(theorem, *parts)] if tried is formula else [],
                comparisons=rows(ctx, tried),
                figures=[figure()] if figure is not None and tried is formula else [],
            )

        return Claim(check=check, **fields)

    return replace(
        made(formula),
        variants={name: made(false) for name, false in variants.items()},
        off_by=None if off_by is None else lambda x: made(off_by(x)),
        resolution=resolution,
    )


def _scaled(formula: Any, x: float) -> Any:
    """The formula with every number that it returns times ``1 + x``."""

    def scaled(*arguments: Any) -> Any:
        found = formula(*arguments)
        return tuple((1 + x) * part for part in found) if isinstance(found, tuple) else (1 + x) * found

    return scaled


def enclosed(
    ctx: Context, key: str, architecture: Architecture, prior: ClassPrior | Labels, loss: str | Loss = "ce"
) -> Enclosure:
    """Certified enclosure of an optimal value, computed once a run under ``key`` and kept under that name."""
    return ctx.once(f"enclosed-{key}", lambda: enclose(solve(architecture, prior, loss), ctx, key))
