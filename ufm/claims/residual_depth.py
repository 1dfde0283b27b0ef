"""Residual depth with weight decay: the same local threshold at every depth, and codes once the blocks are cheap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ufm._words import scientific
from ufm.architectures import Residual
from ufm.claims._figures import curves_figure
from ufm.claims._model import Claim, Context, Evidence, Figure, Scope, Status
from ufm.claims._tools import evidence, symbolic
from ufm.labels import ClassPrior
from ufm.landscape.residual_codes import STRENGTHS, Switch, cheapest_sum, residual_switch, simplex_sum
from ufm.problem import Problem

__all__ = [
    "CLAIMS",
    "codes_claim",
    "first_order_claim",
    "map_claim",
    "optimal_claim",
    "price_claim",
    "stability_claim",
    "threshold_claim",
]

GROUP = "Residual depth with weight decay"

#: Balanced classes, cross-entropy.
BALANCED = Scope(models=("residual-decay",), classes=(4, None), groups=(1, 1), dimension="K - 1")

#: Relative distances from a bound at which both sides are tried.
NEAR = (1e-2, 1e-4, 1e-6)


def _price_figure() -> Figure:
    sizes = np.linspace(0, 8, 81)
    curves = {"two factors": (sizes.tolist(), sizes.tolist())}
    for depth in (1, 4, 32):
        network = Residual(1.0, 1.0, 0.5 * depth, depth)
        curves[f"L = {depth}"] = (sizes.tolist(), [network.gauge(np.array([s])) for s in sizes])
    return curves_figure(
        "The price g(s) of a singular value behind residual depth, λ = 1, λ_A/L = 1/2",
        "All have the slope λ at 0, and are concave: large singular values cost less, the more so the deeper.",
        ("singular value s", "price g(s)"),
        curves,
    )


def price_claim(start: float = 1.0, blocks: Callable[[int], float] = lambda depth: depth / 2, **variant: Any) -> Claim:
    """The price of residual depth; ``start`` times lambda as the slope at 0, ``blocks`` in front of lambda_A a^2."""

    def check(ctx: Context) -> Evidence:
        rng = np.random.default_rng(ctx.seed)
        worst, below, slopes = 0.0, 0, 0.0
        for depth in (1, 2, 5):
            network = Residual(0.3, 0.2, 0.7, depth)
            lam = math.sqrt(0.06)
            for _ in range(6):
                maps = [rng.standard_normal((3, 3)) * rng.uniform(0.05, 0.6) for _ in range(depth)]
                w, h = rng.standard_normal((2, 3, 3)) * rng.uniform(0.3, 2)
                z = w @ np.linalg.multi_dot([np.eye(3), np.eye(3), *(np.eye(3) + a for a in maps)]) @ h
                paid = 0.15 * (w**2).sum() + 0.1 * (h**2).sum() + 0.35 * sum((a**2).sum() for a in maps)
                below += network.gauge(np.linalg.svd(z, compute_uv=False)) > paid * (1 + 1e-12)
            for s in (0.1, 3.0, 40.0):
                a = float(network.equilibrium_spectrum(np.array([s]))[0])
                claimed = 0.7 * (a * (1 + a) + blocks(depth) * a * a)
                grid = np.linspace(max(a - 0.1, 0), a + 0.1, 2001)
                least = float((lam * s * (1 + grid) ** -float(depth) + depth * 0.35 * grid**2).min())
                worst = max(worst, abs(claimed / least - 1))
            slopes = max(slopes, abs(network.gauge(np.array([1e-9])) / (start * lam * 1e-9) - 1))
        good = worst < 1e-7 and below == 0 and slopes < 1e-7
        return evidence(
            f"18 drawn networks pay at least the price; the price differs from the least over a by {worst:.0e} of it",
            proofs=[symbolic("residual-price", **variant)] if good or variant else [],
            numeric=Status.supported if good else Status.inconclusive,
            established_by=("drawn factors", "minimisation over a"),
            figures=[_price_figure()] if good else [],
        )

    return Claim(
        id="residual-price",
        title="Residual depth with weight decay is a concave price with the same slope at 0 at every depth",
        statement="The least weight decay of logits Z, equal within classes, is Σ g(s_i) over the singular values of Z D^{1/2}, "
        "g(s) = min over a ≥ 0 of λ s (1 + a)^{−L} + L λ_A a²/2, λ = √(λ_W λ_H), D the counts: "
        "g(s) = λ_A (a (1 + a) + L a²/2) at the root a of a (1 + a)^{L + 1} = λ s/λ_A. "
        "The price g is increasing and concave, and its slope at 0 is λ at every depth L and every λ_A.",
        source="Derived here (theorem residual-price); compare Súkeník et al. 2025, whose blocks are nonlinear",
        scope=Scope(("ce", "mse"), ("residual-decay",), dimension="rank"),
        check=check,
        group=GROUP,
        papers=("sukenik2025",),
        topic="deq",
    )


def threshold_claim(
    power: float = 2.0, depth_factor: Callable[[int], float] = lambda depth: 1.0, **variant: Any
) -> Claim:
    """Where a collapsed group is left: ``n_b > factor (N lambda)^power``."""

    def check(ctx: Context) -> Evidence:
        wrong: list[str] = []
        prior = ClassPrior([50, 50, 8, 8, 8])
        z = np.zeros((5, 5))
        z[:2, :2] = 2 * np.eye(2) - 0.7
        z[2:, :2], z[:2, 2:] = -0.3, 0.4
        inner = np.zeros((5, 5))
        inner[2:, 2:] = np.eye(3) - 1 / 3
        for depth in (1, 4, 32):
            for near in NEAR[:2]:
                for side in (-near, near):
                    # n_b at 1 + side of the claimed bound
                    lam = (8 / ((1 + side) * depth_factor(depth))) ** (1 / power) / prior.num_samples
                    problem = Problem.of(Residual(lam, lam, 1.0, depth), prior)
                    step = 1e-6
                    change = (problem.objective(z + step * inner) - problem.objective(z)) / step
                    if (change < 0) is not (side > 0):
                        wrong.append(f"L = {depth}, n_b at {1 + side:.4f} of the bound")
        return evidence(
            "first differences at collapsed logits change sign at the bound for L = 1, 4, 32, at relative distances of 10⁻² and 10⁻⁴"
            if not wrong
            else f"not at {wrong[0]}",
            proofs=[symbolic("residual-collapse", **variant)] if (power == 2.0 and not wrong) or variant else [],
            numeric=Status.inconclusive if wrong else Status.supported,
            established_by=("first differences on both sides",),
        )

    return Claim(
        id="residual-collapse-threshold",
        title="Residual depth does not move the local threshold of minority collapse",
        statement="At every depth L and every λ_A: logits at which a group of K_b ≥ 2 classes is collapsed (its rows are equal, and its "
        "columns) are no local minimum if n_b > N² λ², λ = √(λ_W λ_H); if n_b < N² λ² the objective grows, to first order, "
        "along every direction on the standard representation of the group.",
        source="Derived here (theorem residual-collapse); for plain depth the threshold is never reached (deep-collapse-stable)",
        scope=Scope(("ce",), ("residual-decay",), minority=2, dimension="K - 1"),
        check=check,
        group=GROUP,
        topic="deq",
    )


def stability_claim(factor: float = 1.0) -> Claim:
    """A critical ETF is no local minimum for ``alpha (1 + (L+2) a) < factor K L a``; true for factor 1."""

    def check(ctx: Context) -> Evidence:
        wrong = []
        for k, depth, alpha in ((4, 1, 0.9), (4, 8, 2.0), (6, 3, 2.5), (10, 2, 3.0)):
            critical = alpha / (factor * k * depth - (depth + 2) * alpha)
            for near in NEAR:
                for side in (-near, near):
                    if (_bend(k, depth, alpha, critical * (1 + side)) < 0) is not (side > 0):
                        wrong.append(f"K = {k}, L = {depth}, a at {1 + side:.6f} of the bound")
            if _least_bend(k, depth, alpha, 0.99 * critical) <= 0:
                wrong.append(f"K = {k}, L = {depth}, a at 0.99 of the bound along some of 20 directions")
        return evidence(
            "the objective's second order changes sign at the bound for K = 4, 6, 10 and L = 1, 2, 3, 8, at relative distances "
            "down to 10⁻⁶; at 0.99 of it the objective bends up along 20 random directions each"
            if not wrong
            else f"not at {wrong[0]}",
            proofs=[symbolic("residual-etf-stability")] if factor == 1.0 else [],
            numeric=Status.inconclusive if wrong else Status.supported,
            established_by=("perturbations in 60 digits on both sides of the bound",),
        )

    return Claim(
        id="residual-etf-stability",
        title="Residual depth: where a critical ETF is a local minimum and where it is none, in closed form",
        statement="With λ = √(λ_W λ_H), n samples of each class and a the root of a (1 + a)^{L + 1} = λ √n α/λ_A: an ETF of size α is "
        "critical iff p = λ √n/(1 + a)^{L}, p = 1/(e^α + K − 1), and then no local minimum if α (1 + a (2 + L)) < K L a. "
        "A critical ETF is a strict local minimum among logits whose columns have sum 0 if α (1 + a (2 + L)) > K L a.",
        source="Derived here (theorem residual-etf-stability)",
        scope=BALANCED,
        check=check,
        group=GROUP,
        topic="deq",
        core=False,
    )


def _bend(k: int, depth: int, alpha: float, a: float) -> float:
    """(objective at alpha P + t E - objective of a critical ETF)/t^2, E with eigenvalues 2 and -2 and zero diagonal."""
    import mpmath

    with mpmath.workdps(60):
        n, size, block, t = k - 1, mpmath.mpf(alpha), mpmath.mpf(a), mpmath.mpf("1e-15")
        p = 1 / (mpmath.exp(size) + n)
        lam = p * (1 + block) ** depth  # lambda sqrt(n) at a critical ETF
        dear = lam * size / (block * (1 + block) ** (depth + 1))

        def price(s: Any) -> Any:
            best = block
            for _ in range(5):  # Newton for a (1+a)^{L+1} = lam s/lambda_A
                value = best * (1 + best) ** (depth + 1) - lam * s / dear
                best -= value / ((1 + best) ** depth * (1 + (depth + 2) * best))
            return dear * (best * (1 + best) + depth * best**2 / 2)

        def risk(s: Any) -> Any:
            return 4 * mpmath.log1p(mpmath.exp(-size) * (n - 2 + 2 * mpmath.cosh(s))) / k

        change = price(size + 2 * t) + price(size - 2 * t) - 2 * price(size)
        return float((risk(t) - risk(mpmath.mpf(0)) + change) / t**2)


def _least_bend(k: int, depth: int, alpha: float, a: float) -> float:
    """The least second difference of the objective at a critical ETF, along 20 random centred directions."""
    wrong = 1 / (math.exp(alpha) + k - 1)
    lam = wrong * (1 + a) ** depth  # one sample of each class
    network = Residual(lam, lam, lam * alpha / (a * (1 + a) ** (depth + 1)), depth)
    problem = Problem.of(network, ClassPrior.balanced(k))
    centre, rng, step = np.eye(k) - 1 / k, np.random.default_rng(0), 1e-3
    directions = centre @ rng.standard_normal((20, k, k))
    at = problem.objective(alpha * centre)
    return min(
        (problem.objective(alpha * centre + step * e) + problem.objective(alpha * centre - step * e) - 2 * at) / step**2
        for e in directions
    )


def codes_claim(factor: float = 1.0, odd: int = 3, even: int = 2) -> Claim:
    """Pairs beat the ETF where ``4 (1+a) <= factor (K - 2) L a``, K - 3 for odd K."""

    def check(ctx: Context) -> Evidence:
        lost = []
        for k in (4, 6, 10, 5, 9):
            for depth in (1, 2, 8, 64):
                slope = factor * (k - (odd if k % 2 else even)) * depth - 4
                for a in (4 / slope, 12 / slope) if slope > 0 else ():
                    if not _code_cheaper(k, depth, a):
                        lost.append(f"K = {k}, L = {depth}, a = {a:.4g}")
        return evidence(
            "the code costs less at the bound and beyond, for K = 4, 5, 6, 9, 10 and L = 1, 2, 8, 64"
            if not lost
            else f"the code costs more at {lost[0]}",
            proofs=[symbolic("residual-codes")] if (factor, odd, even) == (1.0, 3, 2) else [],
            numeric=Status.inconclusive if lost else Status.supported,
            established_by=("prices in float64",),
        )

    return Claim(
        id="residual-codes-beat-etf",
        title="Residual depth does not save the ETF: at L (K − 3) ≥ 5 pairs beat it once the blocks are strong",
        statement="With λ = √(λ_W λ_H), n samples of each class and a the root of a (1 + a)^{L + 1} = λ √n α/λ_A: a simplex ETF of "
        "size α > 0 is not optimal if 4 (1 + a) ≤ L a (K − 2) for even K, or 4 (1 + a) ≤ L a (K − 3) for odd K; pairs "
        "α [[1, −1], [−1, 1]], with one triangle (3/2) α (I − 11ᵀ/3) for odd K, are better.",
        source="Derived here (theorem residual-codes); Súkeník et al. 2025 find collapse optimal in the limit for nonlinear blocks",
        scope=BALANCED,
        check=check,
        group=GROUP,
        papers=("sukenik2025",),
        topic="deq",
    )


def _code_cheaper(k: int, depth: int, a: float) -> bool:
    """Whether pairs, with a triangle for odd K, cost at most what the ETF with blocks of size ``a`` costs."""
    network = Residual(1.0, 1.0, 1.0, depth)
    size = a * (1 + a) ** (depth + 1)  # lambda = lambda_A = 1
    pairs = [2 * size] * ((k - 3) // 2 if k % 2 else k // 2) + [1.5 * size] * (2 * (k % 2))
    return network.gauge(np.array(pairs)) <= network.gauge(np.full(k - 1, size)) * (1 + 1e-12)


def optimal_claim(bound: Callable[[int, float], float] | None = None, **variant: Any) -> Claim:
    """Where blocks are dear the ETF is optimal; ``bound`` of lambda_A/L replaces the stated one."""

    def check(ctx: Context) -> Evidence:
        lost = []
        for k, decay in ((4, 0.2), (6, 0.15), (10, 0.09)):
            log_bound = math.log(k * k * decay**2) + math.sqrt(2) * math.e * math.log(k) / decay
            least = max(math.log(k), math.exp(log_bound)) if bound is None else bound(k, decay)
            for depth in (1, 8):
                network = Residual(decay, decay, 1.000001 * least * depth, depth)
                if cheapest_sum(network, k).blocks != (k,):
                    lost.append(f"K = {k}, λ √n = {decay}, L = {depth}")
        return evidence(
            "no direct sum of simplices beats the ETF at the bound for K = 4, 6, 10"
            if not lost
            else f"a code wins at {lost[0]}",
            proofs=[symbolic("residual-etf-optimal", **variant)] if bound is None else [],
            numeric=Status.inconclusive if lost else Status.supported,
            established_by=("search among direct sums of simplices",),
        )

    return Claim(
        id="residual-etf-optimal",
        title="Residual depth with dear blocks: the ETF is optimal",
        statement="With λ = √(λ_W λ_H) and n samples of each class: if λ_A/L ≥ log K and λ_A/L > K² n λ² e^{√2 e log K/(λ √n)}, the "
        "optimal logits are α (I − 11ᵀ/K) with some α ≥ 0.",
        source="Derived here (theorem residual-etf-optimal)",
        scope=replace(BALANCED, classes=(2, None)),
        region="a bound far above the true one, which the map of residual-depth shows",
        check=check,
        group=GROUP,
        topic="deq",
        core=False,
    )


def first_order_claim(factor: float = 1.0, depth_power: float = 1.0, **variant: Any) -> Claim:
    """A lower point where collapse ends, for ``lambda_A <= factor K_B N lambda^2 L^depth_power``."""

    def check(ctx: Context) -> Evidence:
        gains = []
        for depth in (1, 4):
            prior = ClassPrior([30, 30, 8, 8, 8])
            lam = math.sqrt(8) / prior.num_samples  # n_B = N^2 lambda^2
            dear = 0.95 * factor * 3 * prior.num_samples * lam**2 * depth**depth_power
            gains.append(_gain_of_leaving(Problem.of(Residual(lam, lam, dear, depth), prior)))
        good = all(x > 1e-5 for x in gains)
        return evidence(
            f"at n_B = N² λ² and 0.95 of the bound a point with s_B > 0 is lower by {gains[0]:.2e} at L = 1, {gains[1]:.2e} at L = 4",
            proofs=[symbolic("residual-first-order", **variant)] if (factor, depth_power) == (1.0, 1.0) else [],
            numeric=Status.supported if good else Status.inconclusive,
            established_by=("descent with s_B = 0, and a line from there",),
        )

    return Claim(
        id="residual-first-order",
        title="Residual depth: minority collapse ends by a jump for λ_A/L ≤ K_B N λ²",
        statement="With λ = √(λ_W λ_H) and residual depth L, s_B = 0 is a strict local minimum in s_B of the best value over the other "
        "variables for n_B < N² λ² and none for n_B > N² λ². At n_B = N² λ² a lower point with s_B > 0 exists already if λ_A q_B < L N λ², "
        "q_B the probability of a minority class in a minority column, so always if λ_A ≤ L N K_B λ².",
        source="Derived here (theorem residual-first-order)",
        scope=Scope(models=("residual-decay",), groups=(2, 2), minority=2, dimension="K - 1", symmetric=True),
        hypotheses=("an upper bound in the full problem, where classes of a group may differ",),
        check=check,
        group=GROUP,
        topic="deq",
        core=False,
    )


def _gain_of_leaving(problem: Problem) -> float:
    """Best value with s_B = 0 minus the best on a line that leaves it, two majority and three minority classes."""
    from scipy.optimize import minimize

    def logits(scales: Sequence[float]) -> np.ndarray:
        z = np.diag(np.repeat(scales[:2], (2, 3)))
        z[:2, :2] += scales[2]
        z[2:, 2:] += scales[3]
        return np.asarray(z - z.mean(axis=0))

    start = [3.0, -0.7, 0.9]
    found = minimize(
        lambda x: problem.objective(logits([x[0], 0, x[1], x[2]])), start, method="Nelder-Mead", options=_CLOSE
    )
    s_a, d_a, d_b = found.x
    # along the line v = s_B + K_B d_B = const, on which nothing else moves to second order
    return float(
        found.fun - min(problem.objective(logits([s_a, s, d_a, d_b - s / 3])) for s in np.linspace(0.05, 1.5, 30))
    )


#: Of the descent with s_B = 0.
_CLOSE = {"xatol": 1e-6, "fatol": 1e-11, "maxfev": 600}

#: K, depths and K lambda sqrt(n) of the checked part of the map.
MAP = ((4, 9), (2, math.inf), (0.1, 0.5))


#: Relative distances from c* at which the cheapest sum is looked at.
EDGE = 5e-4


def _listed(values: Sequence[float]) -> str:
    return ", ".join("∞" if math.isinf(x) else f"{x:g}" for x in values)


def map_claim(growing: bool = True, stable: bool = True, wins: str = "pairs", scale: float = 1.0) -> Claim:
    """How the change from the ETF to codes goes; false variants deny a part of it, or have c* times ``scale``."""
    return Claim(
        id="residual-depth-map",
        title="From the ETF to pairs by a jump: the strength c = λ_A/L at which residual depth breaks neural collapse",
        statement=f"At K = {_listed(MAP[0])}, L = {_listed(MAP[1])} and K λ √n = {_listed(MAP[2])}, n samples of each class: among direct "
        "sums of simplices the ETF is the cheapest for λ_A/L above some c*, and just below it pairs, with one triangle for odd K, are; c* grows with the "
        "depth L and with λ; at c* the ETF passes the bound of residual-etf-stability, so that it is left by a jump.",
        source="Searched here; kept at results/residual-depth for K = 4 to 10, L = 1 to ∞",
        scope=replace(BALANCED, classes=(MAP[0][0], MAP[0][-1])),
        region=f"λ_A/L from {scientific(STRENGTHS[0])} to {STRENGTHS[1]:g}; K = 4 with L = 1 is different: no change at weak decay, a window of codes at strong",
        check=partial(_map, growing, stable, wins, scale),
        group=GROUP,
        topic="deq",
        core=False,
    )


def _map(growing: bool, stable: bool, wins: str, scale: float, ctx: Context) -> Evidence:
    ks, depths, decays = MAP
    found: dict[tuple[int, float, float], Switch] = {}
    for k in ks:
        for depth in depths:
            for decay in decays:
                name = f"residual switch {k} {depth} {decay}"
                found[k, depth, decay] = ctx.once(name, partial(residual_switch, k, decay / k, depth))
    code = {
        "pairs": lambda k: (2,) * (k // 2) if k % 2 == 0 else (3,) + (2,) * ((k - 3) // 2),
        "halves": lambda k: (k - k // 2, k // 2),
    }
    good = all(s.code is not None and s.code.blocks == code[wins](k) for (k, _, _), s in found.items())
    good = good and all(s.is_stable is stable for s in found.values())
    for k in ks:
        deeper = [[found[k, depth, decay].strength for depth in depths] for decay in decays]
        harder = [[found[k, depth, decay].strength for decay in decays] for depth in depths]
        good = good and all((np.diff(line) > 0).all() == growing for line in (*deeper, *harder))
        good = good and all(
            _changes(k, decay / k, depth, scale * found[k, depth, decay].strength)
            for depth in depths
            for decay in decays
        )
    first = found[4, math.inf, 0.1]
    return evidence(
        f"c* = {first.strength:.4g} at K = 4, L = ∞, K λ √n = 0.1; {len(found)} points, the ETF cheapest at 1.0005 c* and not at 0.9995 c*",
        numeric=Status.supported if good else Status.inconclusive,
        established_by=("one-dimensional minimisation for each block, all partitions, bisection in λ_A/L",),
        details={"points": [_row(*at, s) for at, s in found.items()]},
        figures=[_figure(found)],
    )


def _changes(k: int, decay: float, depth: int | float, strength: float) -> bool:
    """Whether the ETF is the cheapest sum just above ``strength`` and not just below."""
    above, below = (
        Residual(decay, decay, c if depth == math.inf else c * depth, depth)
        for c in ((1 + EDGE) * strength, (1 - EDGE) * strength)
    )
    return (
        cheapest_sum(above, k).blocks == (k,)
        and cheapest_sum(below, k, etf=False).value < simplex_sum(below, k, (k,)).value
    )


def _row(k: int, depth: float, decay: float, found: Switch) -> dict[str, object]:
    blocks = found.code.blocks if found.code else ()
    return {
        "K": k,
        "L": depth if math.isfinite(depth) else "inf",
        "K lambda sqrt(n)": decay,
        "c*": found.strength,
        "code": list(blocks),
    }


def _figure(found: dict[tuple[int, float, float], Switch]) -> Figure:
    ks, depths, decays = MAP

    def name(depth: float) -> str:
        return "∞" if math.isinf(depth) else f"{depth:g}"

    return curves_figure(
        "Residual depth: the strength λ_A/L below which codes beat the balanced ETF",
        "Among direct sums of simplices. Above a curve the ETF is the cheapest; just below it pairs are, with one triangle for odd K.",
        ("K λ √n", "c = λ_A/L"),
        {
            f"K = {k}, L = {name(depth)}": (decays, [found[k, depth, d].strength for d in decays])
            for k in ks
            for depth in depths
        },
        scale="log",
    )


CLAIMS = (
    replace(
        price_claim(),
        variants={
            "residual price: the blocks once": price_claim(blocks=lambda depth: 0.5),
            "residual price: slope λ/2 at 0": price_claim(start=0.5),
            "residual price: L a² of the blocks": price_claim(blocks=lambda depth: float(depth)),
        },
        off_by=lambda x: price_claim(blocks=lambda depth: depth / 2 * (1 + x)),
        resolution=1e-4,
    ),
    replace(
        threshold_claim(),
        variants={
            "residual threshold: N λ": threshold_claim(1.0),
            "residual threshold: N³ λ³": threshold_claim(3.0),
            "residual threshold: falls with depth": threshold_claim(depth_factor=lambda depth: 1 / depth**2),
        },
        off_by=lambda x: threshold_claim(depth_factor=lambda depth: 1 + x),
        resolution=1e-3,
    ),
    replace(
        stability_claim(),
        variants={f"residual ETF: unstable up to {x:g} of the bound": stability_claim(x) for x in (0.9, 1.1, 2.0)},
        off_by=lambda x: stability_claim(1 + x),
        resolution=1e-5,
    ),
    replace(
        codes_claim(),
        variants={
            "residual codes: at a quarter of the bound": codes_claim(4.0),
            "residual codes: at half of the bound": codes_claim(2.0),
            "residual codes: K + 2 for even K": codes_claim(even=-2),
        },
    ),
    replace(
        optimal_claim(),
        variants={
            "residual ETF optimal: K² n λ²": optimal_claim(lambda k, decay: (k * decay) ** 2 / 10),
            "residual ETF optimal: whatever λ_A is": optimal_claim(lambda k, decay: 1e-3),
            "residual ETF optimal: n λ²": optimal_claim(lambda k, decay: decay**2),
        },
    ),
    replace(
        first_order_claim(),
        variants={
            "residual jump: four times the bound": first_order_claim(4.0),
            "residual jump: K_B² for K_B, twice": first_order_claim(6.0),
            "residual jump: L³ for L": first_order_claim(depth_power=3.0),
        },
    ),
    replace(
        map_claim(),
        variants={
            "residual map: c* falls with depth": map_claim(growing=False),
            "residual map: the ETF is left without a jump": map_claim(stable=False),
            "residual map: two halves win": map_claim(wins="halves"),
        },
        off_by=lambda x: map_claim(scale=1 + x),
        resolution=1e-3,
    ),
)
