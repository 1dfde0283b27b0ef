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
    "with the ends of the spectrum",
    "with its least value known",
    "certified beaten at",
)
#: Columns that are told as shares of E_A*, too.
SHARES = ("certified", "by columns", "by ends", "by least")
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
    return all(
        least_loss(k, tau, budget, t, (0.0, largest(k - 1, mass, t)), cells) >= value - 1e-7
        for t, mass, value in norms(k, tau, budget, cells)
    )


def by_ends(k: int, tau: float, budget: float, cells: int = 40) -> bool:
    """The same where all singular values lie between both ends that |Z|_F and |Z|_* leave."""
    n = k - 1
    return all(
        least_loss(k, tau, budget, t, (max(0.0, 2 * mass / n - top), top), cells) >= value - 1e-7
        for t, mass, value in norms(k, tau, budget, cells)
        for top in (largest(n, mass, t),)
    )


def by_least(k: int, tau: float, budget: float, cells: int = 30) -> bool:
    """The same for every least singular value that there may be, the others as far apart as they can be."""
    n = k - 1
    if n == 2:  # both are known
        return by_ends(k, tau, budget)
    for t, mass, value in norms(k, tau, budget, cells):
        for least in np.linspace(0, mass / n, cells).tolist():
            rest, square = mass - least, t * t - least * least
            spread = square - rest * rest / (n - 1)
            if spread < 0:  # of no matrix
                continue
            top = largest(n - 1, rest, math.sqrt(square))
            if least_loss(k, tau, budget, t, (least, top), cells) < value - 1e-7:
                return False
    return True


def norms(k: int, tau: float, budget: float, cells: int) -> list[tuple[float, float, float]]:
    """``|Z|_F`` beyond the ETF's with ``|Z|_*``, and the ETF's risk."""
    n, b = k - 1, math.sqrt(budget)
    alpha = tau / (n - b * math.sqrt(n))
    value = math.log1p(n * math.exp(-alpha))
    sizes = np.linspace(math.sqrt(n) * alpha, tau / (1 - b), cells)[1:].tolist()
    return [(t, tau + b * t, value) for t in sizes]


def largest(count: int, total: float, norm: float) -> float:
    """The most that the largest of ``count`` numbers can be, of this sum and this norm."""
    spread = max(0.0, (norm * norm - total**2 / count) * (count - 1) / count)
    return min(norm, total / count + math.sqrt(spread))


def least_loss(k: int, tau: float, budget: float, t: float, ends: tuple[float, float], cells: int) -> float:
    """The least mean loss over columns of a matrix with singular values between ``ends``, inf where there is none.

    ``(|Z| - low)(|Z| - high) <= 0`` on the centred vectors bounds |z_k|^2 by a chord.
    """
    n, (low, high) = k - 1, ends
    mass, c = tau + math.sqrt(budget) * t, n * (n - 1)
    s = np.linspace(low, high * (k / n if low == 0 else 1), cells)
    p = np.minimum(n / k * s, high)
    square = (low + high) * p - low * high * n / k
    reach = t * t - mass**2 / n - n / k * (s - mass / n) ** 2
    o2 = np.minimum(square - n / k * s**2, reach)
    s, most = s[o2 >= 0], np.sqrt(o2[o2 >= 0] / c)
    d = np.linspace(0, 1, cells) * most[:, None]
    s = np.broadcast_to(s[:, None], d.shape).ravel()
    d = d.ravel()
    if not len(s):
        return math.inf
    loss = np.log1p(np.exp(-s) * (np.exp(-n * d + d) + (n - 1) * np.exp(d)))
    rows = np.stack([np.ones_like(s), c * d * d + n / k * s * s, s])
    found = linprog(loss, A_eq=rows, b_eq=[1, t * t / k, mass / n], bounds=(0, None))
    return float(found.fun) if found.status == 0 else math.inf


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
        **relaxed(k, tau, top),
        "beaten": boundary.upper if math.isfinite(boundary.upper) else None,
    }


def relaxed(k: int, tau: float, top: float) -> dict[str, float]:
    """How far the bounds with more of the spectrum hold."""
    return {
        "by ends": last_true(lambda e: by_ends(k, tau, e), 0.1 * top, top),
        "by least": last_true(lambda e: by_least(k, tau, e), 0.1 * top, top),
    }


def main() -> None:
    """Compute what is missing, and write the table."""
    path = FOLDER / "boundary.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    for row in found:
        if not FINISHED_ONLY and "by least" not in row:
            row |= relaxed(row["K"], row["tau"], min(row["estimate"], 0.99))
            write_json(path, found)
    for k in CLASSES:
        for scale in SCALES:
            if not FINISHED_ONLY and not any(row["K"] == k and row["tau"] == k * scale for row in found):
                found.append(point(k, scale))
                write_json(path, found)
                print(found[-1], flush=True)

    def cells(row: dict[str, Any]) -> list[str]:
        shares = [f"{row[name]:.4f} ({row[name] / row['estimate']:.0%})" for name in SHARES]
        beaten = "–" if row["beaten"] is None else f"{row['beaten']:.4f}"
        return [str(row["K"]), f"{row['tau']:g}", f"{row['estimate']:.4f}", row["code"], *shares, beaten]

    write(FOLDER / "table.md", markdown(COLUMNS, map(cells, found)) + "\n")
    finish(__file__, __doc__ or "", [], {"rho": RHO, "scales": list(SCALES)})


if __name__ == "__main__":
    main()
