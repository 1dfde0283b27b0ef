"""Residual depth with weight decay: where pairs replace the balanced ETF, K = 4 to 10, L = 1 to infinity."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import math
from typing import Any

import numpy as np
from kept import draw, finish, write, write_json

from ufm import collapse_threshold
from ufm.architectures import Gain, Residual
from ufm.landscape.residual_codes import cheapest_sum, residual_switch, simplex_sum

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("switches.json", "table.md", "map.svg", "equal.svg", "gains.svg")

CLASSES, DEPTHS = range(4, 11), (1, 2, 4, 8, 32, math.inf)
#: K lambda sqrt(n); at 1 everything is 0.
DECAYS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)


def main() -> None:
    """Find every change, and write table and figures."""
    rows = [_row(k, depth, decay) for k in CLASSES for depth in DEPTHS for decay in DECAYS]
    write_json(FOLDER / "switches.json", rows)
    write(FOLDER / "table.md", _table(rows))
    draw(_map(rows), FOLDER / "map.svg")
    draw(_equal(), FOLDER / "equal.svg")
    draw(_gains(), FOLDER / "gains.svg")
    finish(__file__, __doc__ or "", [])


def _name(depth: float) -> str:
    return "inf" if math.isinf(depth) else f"{depth:g}"


def _sign(depth: float) -> str:
    """A depth as a reader sees it."""
    return "∞" if math.isinf(depth) else f"{depth:g}"


def _row(k: int, depth: float, decay: float) -> dict[str, Any]:
    found = residual_switch(k, decay / k, depth)
    row: dict[str, Any] = {"K": k, "L": _name(depth), "decay": decay, "strength": found.strength, "block": found.block}
    if found.code is None or found.etf is None:
        return row | {"code": None, "stable": None}
    return row | {
        "code": list(found.code.blocks),
        "stable": found.is_stable,
        "etf size": found.etf.sizes[0],
        "code size": found.code.sizes[0],
        "value": found.etf.value,
    }


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "# Residual depth: c* = λ_A/L below which codes beat the balanced ETF",
        "",
        "Among direct sums of simplices, λ = √(λ_W λ_H), n samples of each class; 0: no change down to 10⁻⁵. The code",
        "that takes over is pairs, with one triangle for odd K, unless it is named. At every c* the ETF passes the",
        "bound of `residual-etf-stability` (marked ! where it does not): it is left by a jump. K = 4 with L = 1 is",
        "different: where there is a c* the ETF wins again at smaller λ_A/L, as three plain factors would have it.",
        "For K = 3 there is no other sum, and descents find nothing better than the ETF at these K λ √n (at 1.5 and",
        "L = 2 a pair with the third class at 0 is: `residual-three-classes`). Certified on both sides:",
        "`residual-depth-certified`.",
        "`gains.svg` sets DEQ, unrolled, residual networks and the neural ODE side by side at equal budgets of W and H",
        "and equal |A|₂ (ρ/L for each of L blocks): the gain alone decides, and the DEQ's is the largest.",
        "",
        "| K | L | " + " | ".join(f"K λ √n = {x:g}" for x in DECAYS) + " |",
        "|---|---|" + "---|" * len(DECAYS),
    ]
    for k in CLASSES:
        for depth in DEPTHS:
            cells = [r for r in rows if r["K"] == k and r["L"] == _name(depth)]
            lines.append(f"| {k} | {_sign(depth)} | " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any]) -> str:
    if row["code"] is None:
        return "0"
    k = row["K"]
    usual = [2] * (k // 2) if k % 2 == 0 else [3] + [2] * ((k - 3) // 2)
    name = "" if row["code"] == usual else f" ({'+'.join(map(str, row['code']))})"
    return f"{row['strength']:.4g}{name}{'' if row['stable'] else ' !'}"


def _map(rows: list[dict[str, Any]]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, k in zip(figure.subplots(1, 3, sharey=True), (4, 7, 10), strict=True):
        for depth in DEPTHS:
            line = [
                (r["decay"], r["strength"]) for r in rows if r["K"] == k and r["L"] == _name(depth) and r["strength"]
            ]
            if line:
                axes.loglog(*zip(*line, strict=True), marker=".", label=f"L = {_sign(depth)}")
        axes.set(title=f"K = {k}", xlabel="K λ √n")
        axes.legend(fontsize=7)
    figure.axes[0].set_ylabel("c* = λ_A/L: ETF above, codes below")
    return figure


def _equal() -> Any:
    """Least objective against c = lambda_A/L at K = 6: every depth, the ETF dashed."""
    from matplotlib.figure import Figure

    k, rate, strengths = 6, 0.2 / 6, np.geomspace(0.01, 3, 40)
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    for depth in (1, 4, math.inf):
        networks = [Residual(rate, rate, c if math.isinf(depth) else c * depth, depth) for c in strengths]
        (line,) = axes.semilogx(strengths, [cheapest_sum(x, k).value for x in networks], label=f"L = {_sign(depth)}")
        axes.semilogx(strengths, [simplex_sum(x, k, (k,)).value for x in networks], "--", color=line.get_color())
    axes.set(xlabel="c = λ_A/L", ylabel="risk + weight decay", title="K = 6, K λ √n = 0.2; dashed: ETF")
    axes.legend()
    return figure


def _gains() -> Any:
    """Least risk and collapse threshold of every kind of map at equal budgets E_W, E_H and |A|_2 <= rho."""
    from matplotlib.figure import Figure

    bounds = np.linspace(0, 0.6, 25).tolist()
    kinds: dict[str, dict[str, Any]] = {
        "DEQ, 1/(1 − ρ)": {"kind": "deq"},
        "unrolled, T = 3": {"kind": "unrolled", "depth": 3},
        "neural ODE, e^ρ": {"kind": "ode"},
    }
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for label, kind in kinds.items():
        _line(left, right, bounds, [Gain(1.0, 1.0, rho, **kind) for rho in bounds], label)
    for depth in (1, 4):
        blocks = [Gain(1.0, 1.0, rho / depth, "residual", depth) for rho in bounds]
        _line(left, right, bounds, blocks, f"residual, L = {depth}, ρ/L a block")
    left.set(xlabel="ρ", ylabel="least risk, balanced K = 4", title="E_W = E_H = 1, |A|₂ ≤ ρ")
    right.set(xlabel="ρ", ylabel="R*, K_A = K_B = 5", title="minority collapse above the line")
    left.legend(fontsize=7)
    return figure


def _line(left: Any, right: Any, bounds: list[float], networks: list[Gain], label: str) -> None:
    """Both curves of one kind of map."""
    risks = [math.log1p(3 * math.exp(-network.radius(4) / 3)) for network in networks]
    left.plot(bounds, risks, label=label)
    right.semilogy(bounds, [collapse_threshold(network, 5, 5).ratio for network in networks], label=label)


if __name__ == "__main__":
    main()
