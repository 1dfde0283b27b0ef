"""Bounded norms under imbalance with several majority classes: thresholds by two numbers, and two clusters."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from proofs_check.scope import Scope
from ufm.architectures import NormBounded
from ufm.claims._figures import curves_figure
from ufm.claims._model import Context, Enclosure, Figure
from ufm.claims._stated import stated
from ufm.claims._tools import Comparison, compare
from ufm.claims.spheres import APART, certified_sides
from ufm.labels import ClassPrior
from ufm.solvers import solve
from ufm.thresholds.bounded_norms import norm_bounded_threshold

__all__ = ["CLAIMS"]

Rule = Callable[[int, int, float], float]

#: (K_A, K_B, a b); in the last one the majority is one as well at R*.
CASES = ((2, 2, 1.0), (3, 2, 0.3), (2, 6, 0.1))
#: Relative distance from R*: margins there are above 2e-5, the solver's errors below 1e-7.
NEAR = 5e-4


def _margins(majority: int, minority: int, size: float, ratio: float) -> tuple[float, float]:
    """Margins among the classes of the majority and of the minority, on their own samples, at the optimum."""
    logits = solve(NormBounded(1.0, size), ClassPrior([ratio] * majority + [1.0] * minority)).logits
    return float(logits[0, 0] - logits[1, 0]), float(logits[-1, -1] - logits[-2, -1])


def _sides(ctx: Context, rule: Rule) -> list[Comparison]:
    k_a, k_b, size = CASES[-1]
    ratios = [norm_bounded_threshold(size, k_a, k_b) * (1 + sign * APART) for sign in (1, -1)]
    rows = certified_sides(ctx, k_a, k_b, size, [(r, r >= rule(k_a, k_b, size)) for r in ratios])
    for k_a, k_b, size in CASES:
        for distance in (NEAR, -NEAR):
            ratio = norm_bounded_threshold(size, k_a, k_b) * (1 + distance)
            name = f"K_A={k_a}, K_B={k_b}, a b={size}, R=R*(1{distance:+g})"
            margins = ctx.once(f"bounded {name}", partial(_margins, k_a, k_b, size, ratio))
            seen = Enclosure.around(1.0 if abs(margins[1]) < 1e-7 else 2.0, 0.0)
            claimed = 1.0 if ratio >= rule(k_a, k_b, size) else 2.0
            rows.append(compare(f"{name} (1 collapsed, 2 not)", claimed, seen, "solver"))
            clusters = Enclosure.around(1.0 if abs(margins[0]) < 1e-7 else 2.0, 0.0)
            expected = 1.0 if (k_a, k_b) == (2, 6) else 2.0
            rows.append(compare(f"{name}: majority (1 collapsed, 2 not)", expected, clusters, "solver"))
    return rows


def _two_clusters(k_a: int, k_b: int, size: float) -> float:
    """``(1/(2 K_A^2 p) - p)/e``, as if the majority were one."""
    q = math.exp(-2 * size)
    e, p = q / (k_a + k_b * q), q / (k_b + k_a * q)
    return (1 / (2 * k_a**2 * p) - p) / e


def _figure() -> Figure:
    sizes = np.linspace(0.02, 2.5, 60).tolist()
    return curves_figure(
        "Collapse threshold R* with bounded norms, several majority classes",
        "At its curve the minority classes become one. With more majority classes than minority classes R* falls to 1 "
        "as a b → 0; with few it tends to that of two clusters, in which the majority is one as well. Marks: a b = 1, "
        "K_B = 2.",
        ("a b", "R*"),
        {
            f"K_A = {k_a}, K_B = {k_b}": (sizes, [norm_bounded_threshold(t, k_a, k_b) for t in sizes])
            for k_a, k_b in ((1, 2), (2, 2), (3, 2), (10, 2), (2, 10))
        },
        [(f"{y:.4g}", 1.0, y) for y in (norm_bounded_threshold(1.0, k, 2) for k in (1, 2, 3, 10))],
        scale="log",
    )


def _off(factor: float) -> Rule:
    return lambda k_a, k_b, t: factor * norm_bounded_threshold(t, k_a, k_b)


THRESHOLDS = stated(
    _off(1.0),
    _sides,
    "norm-bounded-groups",
    ("point", "criterion", "two clusters"),
    {
        "bounded norms, groups: two clusters at every a b": _two_clusters,
        "bounded norms, groups: one majority class": lambda k_a, k_b, t: norm_bounded_threshold(t, 1, k_b),
        "bounded norms, groups: a hundredth above": _off(1.01),
        "bounded norms, groups: a hundredth below": _off(0.99),
        "bounded norms, groups: exp(−a b) for exp(−2 a b)": lambda k_a, k_b, t: norm_bounded_threshold(t / 2, k_a, k_b),
    },
    summary="the phases of both groups at 6 optima, at relative distances 5·10⁻⁴ on both sides of R*; the least "
    "risk of K_A = 2, K_B = 6 certified on both sides; R* is 22.544857 for "
    "K_A = 2, 15.170561 for K_A = 3 at K_B = 2, a b = 1",
    figure=_figure,
    off_by=lambda x: _off(1 + x),
    resolution=1e-3,
    id="norm-bounded-groups",
    title="Bounded norms: where the minority is one, for any number of majority classes",
    statement="Let x, y ∈ (0, 1) with y² < x, r = √((1 − x²)(1 − y²)), and let the logits on a majority sample be "
    "a b (x y + r) of its own class, a b (x y − r/(K_A − 1)) of other majority classes, −a b y of minority "
    "classes, on a minority sample −a b x of majority classes and a b of all minority classes; g, e and p are the "
    "probabilities of another majority class and of a minority class on a majority sample, and of a majority "
    "class on a minority sample. If K_B e √((1 + x)(1 − y²)) = (K_A g + K_B e) y √(1 − x), then at the imbalance R = "
    "p y (1 − x)/(e (x − y²)) all minority classes have equal logits on every sample of the minority at the optimum "
    "if and only if x p² K_A² (1 + x) (1 − y²) ≥ x − y². With q = exp(−2 a b), e = q/(K_A + K_B q) and p = q/(K_B + "
    "K_A q) the logits a b within either group and −a b between the groups are optimal at the imbalance R if and only "
    "if 2 p K_A² (p + R e) ≥ 1 and 2 e K_B² (p + R e) ≥ R.",
    source="Our own, by a dual certificate of two diagonals; norm-bounded-collapse is the case of one majority class",
    scope=Scope(models=("norm-bounded",), groups=(2, 2), minority=2, conditions=("K_A ≥ 2", "d ≥ 2 K")),
    hypotheses=("|h| ≤ b for the feature of every sample", "cross-entropy of R samples to 1 of a class"),
    group="Bounded norms, codes and spheres",
    papers=("yaras2022", "fang2021"),
    topic="minority-collapse",
    standing="new",
    core=False,
)

CLAIMS = (THRESHOLDS,)
