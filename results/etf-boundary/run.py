"""E_A*(K, tau), from which on a code beats the balanced ETF: certified from both sides, and the bound by columns."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import json
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from kept import FINISHED_ONLY, finish, markdown, write, write_json
from scipy.optimize import linprog

import ufm
from ufm.certificates import CertificationError, certify_etf_optimal

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("table.md", "boundary.json")
CLASSES, SCALES, RHO = (3, 4, 5, 6), (0.5, 1.0, 2.0), 0.99
#: Columns of the table.
COLUMNS = (
    "K",
    "τ",
    "E_A*, searched",
    "code that takes over",
    "ETF certified optimal up to",
    "bound by columns holds up to",
    "certified beaten at",
)
#: Halvings of the ranges in which the certified end, and that of the bound by columns, are looked for.
HALVINGS = 5


def last_true(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The largest number in a geometric grid at which ``holds`` was seen to hold, 0 if at none."""
    best = 0.0
    for _ in range(HALVINGS + 1):
        middle = math.sqrt(low * high)
        if holds(middle):
            best = low = middle
        else:
            high = middle
    return best


def certified(k: int, tau: float, budget: float) -> bool:
    """Whether the ETF is certified optimal."""
    try:
        certify_etf_optimal(k, Fraction(tau), Fraction(f"{budget:.6g}"))
    except CertificationError:
        return False
    return True


def by_columns(k: int, tau: float, budget: float, cells: int = 60) -> bool:
    """Whether the bound by columns, sampled in floating point at ``tr Z = |Z|_*``, is above the ETF's risk.

    The least mean loss over distributions of columns (s, d) with the mean of |z_k|^2 and of s that |Z|_F and tr Z ask
    for: the limit of the boxes of a certificate. Formulas: :mod:`ufm.certificates`, the module of ETF regions.
    """
    n, b = k - 1, math.sqrt(budget)
    alpha = tau / (n - b * math.sqrt(n))
    value, t_e, c = math.log1p(n * math.exp(-alpha)), math.sqrt(n) * alpha, n * (n - 1)
    for t in np.linspace(t_e, tau / (1 - b), cells)[1:]:
        mass = tau + b * t
        sigma = min(t, mass / n + math.sqrt(max(0.0, (t * t - mass**2 / n) * (n - 1) / n)))
        s = np.linspace(0, sigma * k / n, cells)
        p = np.minimum(n / k * s, sigma)
        reach = t * t - mass**2 / n - n / k * (s - mass / n) ** 2
        o2 = np.minimum(sigma * p - n / k * s**2, reach)
        s, most = s[o2 >= 0], np.sqrt(o2[o2 >= 0] / c)
        d = np.linspace(0, 1, cells) * most[:, None]
        s = np.broadcast_to(s[:, None], d.shape).ravel()
        d = d.ravel()
        loss = np.log1p(np.exp(-s) * (np.exp(-n * d + d) + (n - 1) * np.exp(d)))
        rows = np.stack([np.ones_like(s), c * d * d + n / k * s * s, s])
        found = linprog(loss, A_eq=rows, b_eq=[1, t * t / k, mass / n], bounds=(0, None))
        if found.status == 0 and found.fun < value - 1e-7:
            return False
    return True


def point(k: int, scale: float) -> dict[str, Any]:
    """Everything at one K and tau."""
    tau = k * scale
    boundary = ufm.etf_boundary(k, tau, RHO)
    top = min(boundary.estimate, 0.99)
    return {
        "K": k,
        "tau": tau,
        "estimate": boundary.estimate,
        "code": boundary.structure,
        "certified": last_true(lambda e: certified(k, tau, e), 0.1 * top, top),
        "by columns": last_true(lambda e: by_columns(k, tau, e), 0.1 * top, top),
        "beaten": boundary.upper if math.isfinite(boundary.upper) else None,
    }


def main() -> None:
    """Compute what is missing, and write the table."""
    path = FOLDER / "boundary.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    for k in CLASSES:
        for scale in SCALES:
            if not FINISHED_ONLY and not any(row["K"] == k and row["tau"] == k * scale for row in found):
                found.append(point(k, scale))
                write_json(path, found)
                print(found[-1], flush=True)

    def cells(row: dict[str, Any]) -> list[str]:
        shares = [f"{row[name]:.4f} ({row[name] / row['estimate']:.0%})" for name in ("certified", "by columns")]
        beaten = "–" if row["beaten"] is None else f"{row['beaten']:.4f}"
        return [str(row["K"]), f"{row['tau']:g}", f"{row['estimate']:.4f}", row["code"], *shares, beaten]

    write(FOLDER / "table.md", markdown(COLUMNS, map(cells, found)) + "\n")
    finish(__file__, __doc__ or "", [], {"rho": RHO, "scales": list(SCALES)})


if __name__ == "__main__":
    main()
