"""Plain depth: linear factors with weight decay or budgets, where each class is kept or dropped and codes beat the ETF."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.architectures import PenalisedDeepLinear
from ufm.certificates import CertificationError, certify_counterexample
from ufm.claims._figures import curves_figure
from ufm.claims._model import Claim, Context, Evidence, Figure, Scope, Status, combine
from ufm.claims._tools import evidence, keep, symbolic
from ufm.labels import ClassPrior
from ufm.solvers import solve

__all__ = [
    "CLAIMS",
    "balanced_claim",
    "ce_claim",
    "codes_claim",
    "cyclic_claim",
    "low_rank_claim",
    "margins_claim",
    "rank_claim",
    "relu_claim",
    "root_claim",
    "scale_claim",
    "threshold_claim",
]

GROUP = "Plain depth: jumps, pairs and circles"

#: Squared error, three or more factors with weight decay.
SQUARED = Scope(("mse",), ("deep-decay",), dimension="K", conditions=("all inner dimensions ≥ K",))

#: Cross-entropy, balanced classes, three or more factors.
DEEP = tuple(
    Scope(
        models=(model,),
        classes=(4, None),
        groups=(1, 1),
        dimension="K - 1",
        conditions=("all inner dimensions ≥ K − 1",),
    )
    for model in ("deep-linear", "deep-decay")
)

#: Relative distances from a bound at which both sides are tried.
NEAR = (1e-2, 1e-4, 1e-6)

#: Layers above the features.
LAYERS = (2, 3, 7)

#: Sizes z_k among which the least excess is sought, besides the exact critical points.
GRID = np.linspace(1e-3, 1.5, 1500)

Array = NDArray[np.float64]


def excess(layers: int, share: float, size: Any) -> Any:
    """Objective of one class at z_k = ``size`` minus that at 0, over n_k/(2N), for ``share = b/n_k``.

    ``z^{2/M} (B - z^{1-2/M} (2 - z))`` with ``B = M (share/m)^{m/(m+1)}``, m layers and M = m + 1 factors.

    >>> abs(excess(2, 0.5, 0.5)) < 1e-15, excess(2, 0.5, 0.4) > 0  # a tie at share (m-1)^{(m-1)/m}/m and z = (m-1)/m
    (True, True)
    """
    factors = layers + 1
    price = factors * (share / layers) ** (layers / factors)
    return size ** (2 / factors) * (price - size ** (1 - 2 / factors) * (2 - size))


def largest_share(layers: int) -> float:
    """``(m-1)^{(m-1)/m}/m``: a class is kept while b/n_k is below.

    >>> largest_share(2)
    0.5
    """
    return (layers - 1) ** ((layers - 1) / layers) / layers


def _decays(layers: int, total: int, share: float, count: int) -> tuple[float, ...]:
    """Equal weight decays of m + 1 factors with b/n_k = ``share`` at n_k = ``count`` of ``total`` samples."""
    factors = layers + 1
    return ((share * count / layers) ** (layers / factors) / total,) * factors


def _kept(layers: int, share: float) -> float:
    """The best size z_k of a class at ``share = b/n_k``, of a grid."""
    sizes = np.linspace(1e-6, 1, 2001)
    values = excess(layers, share, sizes)
    return float(sizes[values.argmin()]) if values.min() < 0 else 0.0


def _jump_figure() -> Figure:
    shares = np.linspace(0.005, 0.7, 140).tolist()
    return curves_figure(
        "Deep linear networks, squared error: the size of a class over its decay",
        "A class shrinks to (m − 1)/m and is then given up at once.",
        ("b/n_k", "z_k"),
        {f"{m} layers": (shares, [_kept(m, share) for share in shares]) for m in (2, 3, 5)},
    )


def threshold_claim(
    largest: Callable[[int], float] = largest_share,
    jump: Callable[[int], float] = lambda m: (m - 1) / m,
    **variant: Any,
) -> Claim:
    """The threshold and the jump; ``largest``, ``jump`` and ``variant`` replace them (for false variants)."""

    def check(ctx: Context) -> Evidence:
        wrong: list[str] = []
        for m in LAYERS:
            for near in NEAR:
                for side in (-near, near):
                    least = float(excess(m, largest(m) * (1 + side), np.append(GRID, jump(m))).min())
                    if (least < 0) is (side > 0):
                        wrong.append(f"{m} layers, b/n_k at {1 + side:.6f} of the bound")
        counts = (40, 12, 5)
        for m in LAYERS[:2]:
            for side in (-1e-2, 1e-2):  # on both sides of the middle class's bound
                decays = _decays(m, sum(counts), largest(m) * (1 + side), counts[1])
                found = solve(PenalisedDeepLinear(decays), ClassPrior(counts), loss="mse")
                sizes = np.diag(found.logits)
                kept = [True, side < 0, False]
                off = np.abs(found.logits - np.diag(sizes)).max()
                if off > 1e-12 or any(
                    bool(z >= jump(m)) is not k or bool(z > 0) is not k for z, k in zip(sizes, kept, strict=True)
                ):
                    wrong.append(f"solver, {m} layers, n = {counts}")
        true = largest is largest_share and not variant
        return evidence(
            f"least excess over a dropped class changes sign at the bound for {', '.join(map(str, LAYERS))} layers, at "
            "relative distances down to 10⁻⁶; solved instances jump there"
            if not wrong
            else f"not at {wrong[0]}",
            proofs=[symbolic("deep-mse-threshold", "threshold", "jump", **variant)] if true or variant else [],
            numeric=Status.inconclusive if wrong else Status.supported,
            established_by=("scalar minimisation", "closed-form solver"),
            figures=[_jump_figure()] if true else [],
        )

    return Claim(
        id="deep-mse-threshold",
        title="Deep linear networks, squared error: every class is kept or dropped by itself, with a jump",
        statement="With m = M − 1 layers above the features, Λ = ∏ λ_j and b = m (N^M Λ)^{1/m}, Z = diag(z_k) is optimal with "
        "z_k > 0 if b < n_k (m − 1)^{(m − 1)/m}/m, z_k = 0 if b is larger, and at equality 0 and (m − 1)/m cost the same. "
        "What is kept has z_k ≥ (m − 1)/m: z_k is x^m/(x^m + 1) at the largest root x of b = n_k m x^{m − 1}/(x^m + 1)².",
        source="Dang et al. 2023 (linear networks, any counts) and Tirer & Bruna 2022 (M = 3), as we state them",
        scope=SQUARED,
        check=check,
        group=GROUP,
        papers=("dang2023", "tirer2022"),
        topic="depth",
        standing="sharpened",
    )


#: (layers, x) with x^m < m - 1, rational roots that a search for the largest root stops at.
ROOTS = ((2, Fraction(3, 4)), (2, Fraction(99, 100)), (3, Fraction(6, 5)), (5, Fraction(13, 10)))


def root_claim(relation: str = ">", roots: Sequence[tuple[int, Fraction]] = ROOTS, **variant: Any) -> Claim:
    """The largest root can cost more than zero; ``roots`` are exact instances (false variants take others)."""

    def check(ctx: Context) -> Evidence:
        rows, statuses = [], []
        for m, x in roots:
            power = x**m
            share = m * x ** (m - 1) / (power + 1) ** 2
            value = 1 / (power + 1) + share * x
            statuses.append(Status.certified if value > 1 else Status.refuted)
            rows.append({"layers": m, "x": str(x), "b/n_k": float(share), "g(x)": float(value), "exact": str(value)})
        found = combine(statuses) if statuses else Status.inconclusive
        return evidence(
            "; ".join(f"m = {r['layers']}, x = {r['x']}: g = {r['g(x)']:.6g} against g(0) = 1" for r in rows),
            proofs=[symbolic("deep-mse-threshold", "root", **variant)],
            numeric=found,
            established_by=("exact rationals",),
            details={"roots": rows},
        )

    return Claim(
        id="deep-mse-larger-root",
        title="The largest root is not the minimum: between the two bounds a dropped class is better",
        statement="With m = M − 1 layers above the features and b = m (N^M Λ)^{1/m}, a root x of b = n_k m x^{m − 1}/(x^m + 1)² "
        "with z_k = x^m/(x^m + 1) below (m − 1)/m costs more than z_k = 0: at m = 2 and b = 384/625 n_k the root x = 3/4 is the "
        "largest and costs 688/625 times as much.",
        source="The released code of Dang et al. 2023 for their theorem under imbalance, as we read it, keeps the largest root "
        "whenever there is one",
        scope=SQUARED,
        check=check,
        group=GROUP,
        papers=("dang2023",),
        topic="depth",
        standing="refuted",
        core=False,
    )


def balanced_claim(
    bound: Callable[[int, int], float] = lambda k, m: (m - 1) ** (m - 1) / (k ** (m + 1) * m ** (2 * m)), **variant: Any
) -> Claim:
    """The threshold of equal counts; ``bound`` and ``variant`` replace it."""

    def check(ctx: Context) -> Evidence:
        wrong = []
        for k, m, n in ((2, 2, 5), (2, 3, 1), (5, 2, 3), (10, 4, 7)):
            for near in NEAR[:2]:
                for side in (-near, near):
                    decay = (bound(k, m) * (1 + side) / n) ** (1 / (m + 1))
                    prior = ClassPrior([n] * k)
                    zero = (
                        not np.abs(solve(PenalisedDeepLinear((decay,) * (m + 1)), prior, loss="mse").logits).max() > 0
                    )
                    if zero is not (side > 0):
                        wrong.append(f"K = {k}, {m} layers, n Λ at {1 + side:.4f} of the bound")
        return evidence(
            "solved instances with K = 2, 5, 10 are zero above the bound and not below, at relative distances of 10⁻² and 10⁻⁴"
            if not wrong
            else f"not at {wrong[0]}",
            proofs=[symbolic("deep-mse-threshold", "balanced", **variant)]
            if variant or bound(2, 3) == 4 / 16 / 729
            else [],
            numeric=Status.inconclusive if wrong else Status.supported,
            established_by=("closed-form solver on both sides",),
        )

    return Claim(
        id="deep-mse-balanced-threshold",
        title="Equal counts: the weight decay at which a deep linear network under squared error turns to zero",
        statement="With m = M − 1 layers above the features, Λ = ∏ λ_j and equal counts n, every class is kept if n Λ < "
        "K^{−1 − m} (m − 1)^{m − 1}/m^{2 m} and none is if n Λ is larger; at K = 2 that is (m − 1)^{m − 1}/(2^{m + 1} m^{2 m}).",
        source="Súkeník et al. 2023, Theorem 3, as we state it, give the number at K = 2 for ReLU networks; here for linear ones",
        scope=replace(SQUARED, groups=(1, 1)),
        check=check,
        group=GROUP,
        papers=("sukenik2024", "dang2023"),
        topic="depth",
        standing="sharpened",
        core=False,
    )


def code(num_classes: int, margin: float = 1.0) -> Array:
    """Antipodal pairs, with one triangle for odd K: no margin below ``margin``.

    >>> code(4)[0], code(5)[4].round(2)
    (array([ 1., -1.,  0.,  0.]), array([ 0. ,  0. , -0.5, -0.5,  1. ]))
    """
    z = np.zeros((num_classes, num_classes))
    pairs = num_classes // 2 if num_classes % 2 == 0 else (num_classes - 3) // 2
    for i in range(0, 2 * pairs, 2):
        z[i : i + 2, i : i + 2] = [[1, -1], [-1, 1]]
    if num_classes % 2:
        z[-3:, -3:] = 1.5 * np.eye(3) - 0.5
    return margin * z


def cyclic_code(num_classes: int, margin: float = 1.0) -> Array:
    """``margin cos(2 pi (j-k)/K)/(1 - cos(2 pi/K))``: classes around a circle, no margin below ``margin``.

    >>> bool(np.allclose(cyclic_code(4)[0], [1, 0, -1, 0]))
    True
    """
    angles = 2 * np.pi * np.arange(num_classes) / num_classes
    return margin * np.cos(angles[:, None] - angles) / (1 - np.cos(angles[1]))


def risk(z: Array) -> float:
    """Balanced cross-entropy of logits (K, K).

    >>> round(risk(np.zeros((4, 4))), 12) == round(math.log(4), 12)
    True
    """
    from scipy.special import logsumexp

    return float(np.mean(logsumexp(z - np.diag(z), axis=0)))


def price(z: Array, factors: int) -> float:
    """``sum sigma_i^{2/M}`` of the singular values of rank.

    >>> round(price(code(4), 2), 12)
    4.0
    """
    sigma = np.linalg.svd(z, compute_uv=False)
    return float((sigma[sigma > 1e-9 * sigma[0]] ** (2 / factors)).sum())


def _beats(z: Array, factors: int, scales: Sequence[float] = (0.01, 1.0, 10.0)) -> bool:
    """Whether a code of margin 1 costs no more than the ETF of margin 1 and has the smaller risk at some scales."""
    k = len(z)
    etf = np.eye(k) - 1 / k
    return price(z, factors) <= k - 1 + 1e-9 and all(risk(s * z) < risk(s * etf) for s in scales)


#: (K, M) at which the codes are computed.
CASES = ((4, 4), (5, 4), (6, 3), (7, 3), (12, 3), (13, 5))


def _prices_figure() -> Figure:
    """Prices of codes with the ETF's margins over the ETF's, over M."""
    factors = [2 + 0.1 * i for i in range(61)]
    made = {"pairs": code, "circle": cyclic_code}
    curves = {}
    for name, make in made.items():
        norms = np.linalg.svd(make(12), compute_uv=False)
        kept = norms[norms > 1e-9 * norms[0]]
        curves[f"{name}, K = 12"] = (factors, [float((kept ** (2 / m)).sum()) / 11 for m in factors])
    return curves_figure(
        "What codes with no margin below the ETF's cost, over the ETF, K = 12",
        "Below 1 a code is cheaper than the ETF and has a smaller loss. With two factors none is.",
        ("factors M", "cost over that of the ETF"),
        curves | {"ETF": (factors, [1.0] * len(factors))},
        scale="log",
    )


def codes_claim(make: Callable[[int], Array] = code, cases: Sequence[tuple[int, int]] = CASES) -> Claim:
    """Pairs and a triangle beat the ETF; ``make`` and ``cases`` replace the code and (K, M)."""

    def check(ctx: Context) -> Evidence:
        lost = [f"K = {k}, M = {m}" for k, m in cases if not _beats(make(k), m)]
        return evidence(
            "computed at (K, M) = " + ", ".join(map(str, cases)) if not lost else f"the code does not win at {lost[0]}",
            proofs=[symbolic("deep-codes", "codes")] if make is code and cases == CASES else [],
            numeric=Status.inconclusive if lost or not cases else Status.supported,
            established_by=("singular values and risks in float64",),
            figures=[] if lost else [_prices_figure()],
        )

    return Claim(
        id="deep-codes-beat-etf",
        title="Three linear factors and K ≥ 6, or four and K ≥ 4: pairs, and a triangle for odd K, beat the ETF at every scale",
        statement="For M ≥ 3 and K ≥ 6, and for M ≥ 4 and K ≥ 4, no simplex ETF α (I − 11ᵀ/K), α > 0, is optimal: pairs "
        "α [[1, −1], [−1, 1]], with one triangle (3/2) α (I − 11ᵀ/3) for odd K, have a smaller cross-entropy and a smaller "
        "Σ σ_i^{2/M}.",
        source="Garrod & Keating 2025, Theorem 1, as we state it: with L weight layers, M = L + 1, equal weight decay",
        scope=DEEP,
        check=check,
        group=GROUP,
        papers=("garrod2025",),
        topic="depth",
        standing="sharpened",
    )


def margins_claim(factors: int = 3, make: Callable[[int], Array] = code) -> Claim:
    """The max-margin problem of a Schatten quasi-norm is not solved by the ETF."""

    def check(ctx: Context) -> Evidence:
        rows = []
        for k in (6, 7, 10):
            z = make(k)
            margins = np.diag(z) - z + np.eye(k)
            rows.append({"K": k, "least margin": float(margins.min()), "code": price(z, factors), "ETF": k - 1})
        good = all(r["least margin"] >= 1 - 1e-12 and r["code"] < r["ETF"] for r in rows)
        return evidence(
            "; ".join(f"K = {r['K']}: {r['code']:.4f} against {r['ETF']}" for r in rows),
            proofs=[symbolic("deep-codes")] if factors == 3 and make is code else [],
            numeric=Status.supported if good else Status.inconclusive,
            established_by=("singular values in float64",),
            details={"prices at M = 3": rows},
        )

    return Claim(
        id="deep-max-margin-not-etf",
        title="From six classes on the max-margin solution of deep linear networks is not the ETF",
        statement="For M ≥ 3 and K ≥ 6, and for M ≥ 4 and K ≥ 4, no simplex ETF α (I − 11ᵀ/K), α > 0, is optimal: pairs "
        "α [[1, −1], [−1, 1]], with one triangle (3/2) α (I − 11ᵀ/3) for odd K, have a smaller cross-entropy and a smaller "
        "Σ σ_i^{2/M}. So among logits of which all margins are at least 1 the simplex ETF has not the least Σ σ_i^{2/M}.",
        source="“Implicit bias of depth” (2605.23087, abstract) finds softmax codes by gradient descent without "
        "regularisation; here the minimum that its limit would solve, as we state it",
        scope=DEEP,
        check=check,
        group=GROUP,
        papers=("garrod2025",),
        topic="depth",
        core=False,
    )


#: (K, M) of certified counterexamples with their middle factors' common size.
CERTIFIED = ((5, 4, "1"), (5, 4, "3"), (7, 3, "1"), (7, 3, "4"), (9, 3, "2"))


def ce_claim(cases: Sequence[tuple[int, int, str]] = CERTIFIED) -> Claim:
    """Certified codes of odd K; ``cases`` are (K, M, size of the middle factors)."""

    def check(ctx: Context) -> Evidence:
        rows, statuses = [], []
        for k, m, size in cases:
            row: dict[str, object] = {"K": k, "M": m, "size": size}
            try:
                certificate = keep(
                    ctx, f"pairs-triangle-K{k}-M{m}-{size}", _odd_certificate(k, m, float(Fraction(size)))
                )
                row["margin"] = float(Fraction(certificate.claim["statement"]["margin"]))
                statuses.append(Status.certified)
            except CertificationError as reason:
                row["open"] = str(reason)
                statuses.append(Status.inconclusive)
            rows.append(row)
        return evidence(
            "exactly feasible rational factors beat every ETF at (K, M) = "
            + ", ".join(dict.fromkeys(f"({r['K']}, {r['M']})" for r in rows)),
            numeric=combine(statuses) if statuses else Status.inconclusive,
            universal=False,
            established_by=("exactly feasible rational factors, risks in ball arithmetic",),
            details={"points": rows},
        )

    where = ", ".join(dict.fromkeys(f"({k}, {m})" for k, m, _ in cases)) or "none"
    ks = [k for k, _, _ in cases] or [DEEP[0].classes[0]]
    return Claim(
        id="deep-ce-no-etf",
        title="Deep linear networks under cross-entropy do not collapse to the ETF: certified at odd K",
        statement=f"At (K, M) = {where} there are Frobenius budgets of M linear factors at which pairs and a triangle "
        "have a smaller cross-entropy than every simplex ETF of the same budgets.",
        source="Dang et al. 2023 state, as we read the abstract, that global solutions of deep linear networks exhibit neural "
        "collapse under cross-entropy too: false for M ≥ 3 factors",
        scope=replace(DEEP[0], classes=(min(ks), max(ks))),
        check=check,
        group=GROUP,
        papers=("dang2023", "garrod2025"),
        topic="depth",
        standing="refuted",
        core=False,
    )


def _odd_certificate(k: int, factors: int, size: float) -> Any:
    """Certificate of pairs and a triangle: factors with singular values ``sigma^{1/M}``, budgets as they come, rounded up."""
    z = size * code(k)
    u, sigma, v = np.linalg.svd(z)
    rank = int((sigma > 1e-9).sum())
    root = sigma[:rank] ** (1 / factors)
    outer = [u[:, :rank] * root, *[np.diag(root)] * (factors - 2), root[:, None] * v[:rank]]
    budget = Fraction(math.ceil(float((root**2).sum()) * 2**30), 2**30)
    exact = [[[Fraction(round(x * 2**44), 2**44) for x in row] for row in w.tolist()] for w in outer]
    slack = budget * (1 + Fraction(1, 2**24))
    return certify_counterexample({"name": "deep_linear", "budgets": [slack] * factors}, k, exact)


def cyclic_claim(factors: int = 6, make: Callable[[int], Array] = cyclic_code) -> Claim:
    """The circle beats the ETF from six factors on; ``factors`` and ``make`` replace them."""

    def check(ctx: Context) -> Evidence:
        ks = (4, 5, 10, 113)
        lost = [f"K = {k}" for k in ks if not _beats(make(k), factors)]
        return evidence(
            f"computed for M = {factors}, K = {', '.join(map(str, ks))}"
            if not lost
            else f"the circle does not win at {lost[0]}",
            proofs=[symbolic("cyclic-codes")] if factors == 6 and make is cyclic_code else [],
            numeric=Status.inconclusive if lost else Status.supported,
            established_by=("singular values and risks in float64",),
        )

    return Claim(
        id="cyclic-code-beats-etf",
        title="Six linear factors: classes around a circle beat the ETF at every weight decay, with no critical one",
        statement="The cyclic code z_jk = α cos(2π (j − k)/K)/(1 − cos(2π/K)) has no margin below α, and two singular values "
        "α K/(4 sin²(π/K)). For M ≥ 6 it has a smaller cross-entropy and no larger Σ σ_i^{2/M} than the simplex ETF "
        "α (I − 11ᵀ/K), at every α > 0 and K ≥ 4: no ETF is optimal at any weight decay or budget.",
        source="Tan, Gai & Zhang 2026, as we read the abstract, put a critical weight decay of order 1/K between ETF and circle",
        scope=tuple(replace(s, conditions=(*s.conditions, "M ≥ 6")) for s in DEEP),
        check=check,
        group=GROUP,
        papers=("tan2026",),
        topic="depth",
        standing="corrected",
    )


def rank_claim(
    entry: Callable[[Any, Any], Any] = lambda j, k: 2 * j * k - j**2, least: int = 3, **variant: Any
) -> Claim:
    """Rank 2 classifies any number of classes, rank 1 no more than two."""

    def check(ctx: Context) -> Evidence:
        rng, good = np.random.default_rng(ctx.seed), True
        for k in (3, 5, 20):
            j = np.arange(k)
            z = entry(j[:, None], j[None, :])
            margins = np.diag(z) - z + np.eye(k, dtype=int)
            good = good and int(margins.min()) == 1 and np.linalg.matrix_rank(z) == 2
        k = least
        outer = [np.outer(rng.standard_normal(k), rng.standard_normal(k)) for _ in range(100)]
        good = good and not any((np.argmax(z, axis=0) == np.arange(k)).all() for z in outer)
        return evidence(
            "margins in integers at K = 3, 5, 20; no rank-1 logits of 100 drawn classify three classes",
            proofs=[symbolic("rank-two-suffices", **variant)],
            numeric=Status.supported if good else Status.inconclusive,
            established_by=("integers",),
        )

    return Claim(
        id="rank-two-suffices",
        title="Two directions classify any number of classes, one does not",
        statement="For K ≥ 3 no logits of rank 1 classify every class correctly. Z_jk = 2jk − j² has rank 2 and "
        "z_kk − z_jk = (j − k)² ≥ 1 for j ≠ k.",
        source="Garrod & Keating 2025, Theorem 3, as we state it: as depth grows at most two singular values stay; that two are "
        "needed is added here",
        scope=Scope(("none",), ("logits",), classes=(3, None)),
        check=check,
        group=GROUP,
        papers=("garrod2025",),
        topic="depth",
        standing="sharpened",
        core=False,
    )


def low_rank_claim(
    factor: float = 2.0, makes: Sequence[tuple[str, int]] = (("circle", 8), ("circle", 30), ("parabola", 6))
) -> Claim:
    """From ``factor log S/log((K-1)/q)`` factors on a code of rank q beats the ETF; ``makes`` are the codes tried."""

    def check(ctx: Context) -> Evidence:
        lost, rows = [], []
        for name, k in makes:
            j = np.arange(k, dtype=float)
            z = cyclic_code(k) if name == "circle" else 2 * j[:, None] * j - j[:, None] ** 2
            z = z - z.mean(axis=0)  # changes no margin
            sigma = np.linalg.svd(z, compute_uv=False)
            rank = int((sigma > 1e-9 * sigma[0]).sum())
            least = factor * math.log(sigma[0]) / math.log((k - 1) / rank)
            rows.append({"code": name, "K": k, "rank": rank, "M": math.ceil(least)})
            if not all(_beats(z, m) for m in (math.ceil(least), math.ceil(least) + 3)):
                lost.append(f"{name}, K = {k}, M = {math.ceil(least)}")
        return evidence(
            "; ".join(f"{r['code']} at K = {r['K']}: rank {r['rank']}, M ≥ {r['M']}" for r in rows)
            if not lost
            else f"the code does not win at {lost[0]}",
            proofs=[symbolic("low-rank-codes")] if factor == 2.0 and len(makes) == 3 else [],
            numeric=Status.inconclusive if lost or not makes else Status.supported,
            established_by=("singular values and risks in float64",),
        )

    return Claim(
        id="deep-low-rank-codes",
        title="Depth prefers low rank at every weight decay: a depth that does not depend on it",
        statement="Let X be logits of which all margins x_kk − x_jk are at least 1 and one is more, of rank q < K − 1 and largest singular "
        "value S > 1. For M ≥ 2 log S/log((K − 1)/q) factors α X has a smaller cross-entropy and no larger Σ σ_i^{2/M} than "
        "the simplex ETF α (I − 11ᵀ/K), at every α > 0: no ETF is optimal, whatever the weight decay or the budgets are.",
        source="Garrod & Keating 2025, Theorem 2, as we state it, with a depth that depends on the weight decay",
        scope=DEEP,
        check=check,
        group=GROUP,
        papers=("garrod2025",),
        topic="depth",
        standing="sharpened",
        core=False,
    )


def scale_claim(ratio: float = math.sqrt(27 / 32), bounds: tuple[float, float] = (4.9, 5.0), **variant: Any) -> Claim:
    """K = 4, M = 3: the square wins at small scale only; ``ratio`` and ``bounds`` replace its margins and alpha*."""

    def check(ctx: Context) -> Evidence:
        etf, square = np.eye(4) - 0.25, code(4)
        gap = [risk(a * ratio * square) - risk(a * etf) for a in (0.01, 1.0, bounds[0], bounds[1], 20.0)]
        same = abs(price(ratio * square, 3) - price(etf, 3)) < 1e-12
        good = same and max(gap[:3]) < 0 < min(gap[3:])
        return evidence(
            f"risk of the square minus the ETF's: {gap[2]:.2e} at α = {bounds[0]}, {gap[3]:.2e} at α = {bounds[1]}",
            proofs=[symbolic("deep-square-scale", **variant)] if variant or bounds == (4.9, 5.0) else [],
            numeric=Status.supported if good else Status.inconclusive,
            established_by=("risks in float64",),
        )

    return Claim(
        id="deep-square-scale",
        title="Four classes, three factors: which of square and ETF wins depends on the scale",
        statement="At K = 4 and M = 3 there is one α* between 49/10 and 5: the square code of the same budgets, two antipodal pairs, "
        "beats the best simplex ETF, of margin α = τ/3^{3/2}, if α is smaller than α*, and loses to it if α is larger.",
        source="Garrod & Keating 2025 leave K = 4, 5 with two weight layers out; derived here",
        scope=replace(DEEP[0], classes=(4, 4), conditions=("M = 3", "all inner dimensions ≥ K − 1")),
        check=check,
        group=GROUP,
        papers=("garrod2025",),
        topic="depth",
        core=False,
    )


def edge_factors(points: int, factors: int, shift: float = 0.5) -> list[Array]:
    """Factors of the edge code, features last: I, B^T - shift, M - 3 identities, B the incidence of pairs and points.

    >>> [f.shape for f in edge_factors(4, 5)]
    [(6, 6), (6, 4), (4, 4), (4, 4), (4, 6)]
    """
    pairs = list(itertools.combinations(range(points), 2))
    incidence = np.array([[float(i in pair) for pair in pairs] for i in range(points)])
    return [np.eye(len(pairs)), incidence.T - shift, *[np.eye(points)] * (factors - 3), incidence]


def relu_claim(
    points: Sequence[int] = (4, 5, 7), depths: Sequence[int] = (5, 6, 9), shift: float = 0.5, **variant: Any
) -> Claim:
    """Edges of a complete graph beat deep neural collapse; ``points``, ``depths`` and ``shift`` replace the construction's."""

    def check(ctx: Context) -> Evidence:
        lost = []
        for r, m in itertools.product(points, depths):
            network = edge_factors(r, m, shift)
            features = network[-1]
            for weights in network[-2:0:-1]:
                features = np.maximum(weights @ features, 0)
            logits, k = network[0] @ features, r * (r - 1) // 2
            norms = math.prod(float((f**2).sum()) for f in network)
            if not ((logits == np.eye(k)).all() and norms < k**m):
                lost.append(f"r = {r}, M = {m}")
        return evidence(
            "realises the identity exactly, with a smaller product of squared norms, at r = 4, 5, 7 and M = 5, 6, 9"
            if not lost
            else f"not at {lost[0]}",
            proofs=[symbolic("relu-edge-code", **variant)] if shift == 0.5 or variant else [],
            numeric=Status.inconclusive if lost or not points else Status.supported,
            established_by=("the network's output in exact halves",),
        )

    return Claim(
        id="relu-edge-code",
        title="Five factors with ReLU: the edges of a graph beat deep neural collapse at the same logits",
        statement="For K = r (r − 1)/2, r ≥ 4, and M ≥ 5 factors with ReLU between them: deep neural collapse, K equal directions in every "
        "factor, realises the logits z I, z > 0, at a larger weight decay than the pairs of r points do: features B, the r × K "
        "incidence matrix, M − 3 identities of size r, Bᵀ − ½ 11ᵀ and an identity of size K, scaled. So it is not optimal at any z > 0.",
        source="Súkeník, Mondelli & Lampert 2024 (strongly regular graphs; their thresholds from memory); this construction and its bound are "
        "derived here",
        scope=Scope(
            ("mse",),
            ("relu-decay",),
            classes=(6, None),
            groups=(1, 1),
            dimension="K",
            conditions=("all inner dimensions ≥ K", "M ≥ 5", "K = r (r − 1)/2 for an integer r ≥ 4"),
        ),
        check=check,
        group=GROUP,
        papers=("sukenik2024",),
        topic="depth",
        standing="confirmed",
    )


CLAIMS = (
    replace(
        threshold_claim(),
        variants={
            "deep MSE: kept while a root exists": threshold_claim(lambda m: 1.3 * largest_share(m)),
            "deep MSE: 1/m for m layers": threshold_claim(lambda m: 1 / m),
            "deep MSE: exponent 1/m": threshold_claim(lambda m: (m - 1) ** (1 / m) / m),
            "deep MSE: no jump": threshold_claim(jump=lambda m: 0.999),
        },
        off_by=lambda x: threshold_claim(lambda m: largest_share(m) * (1 + x)),
        resolution=1e-5,
    ),
    replace(
        root_claim(),
        variants={
            "deep MSE root: beyond the jump": root_claim(roots=((2, Fraction(5, 4)),)),
            "deep MSE root: at the jump": root_claim(roots=((2, Fraction(1)),)),
            "deep MSE root: none at all": root_claim(roots=()),
            "deep MSE root: cheaper than zero": root_claim(beyond="<"),
        },
    ),
    replace(
        balanced_claim(),
        variants={
            "deep MSE balanced: K^m": balanced_claim(lambda k, m: (m - 1) ** (m - 1) / (k**m * m ** (2 * m))),
            "deep MSE balanced: m^m": balanced_claim(lambda k, m: (m - 1) ** (m - 1) / (k ** (m + 1) * m**m)),
            "deep MSE balanced: without (m−1)^{m−1}": balanced_claim(lambda k, m: 1 / (k ** (m + 1) * m ** (2 * m))),
        },
        off_by=lambda x: balanced_claim(
            lambda k, m: (1 + x) * (m - 1) ** (m - 1) / (k ** (m + 1) * m ** (2 * m)),
        ),
        resolution=1e-3,
    ),
    replace(
        codes_claim(),
        variants={
            "deep codes: two factors": codes_claim(cases=((6, 2),)),
            "deep codes: K = 5 with three factors": codes_claim(cases=((5, 3),)),
            "deep codes: K = 4 with three factors": codes_claim(cases=((4, 3),)),
            "deep codes: margins of 3/4": codes_claim(lambda k: 0.75 * code(k)),
        },
    ),
    replace(
        margins_claim(),
        variants={
            "max margin: two factors": margins_claim(2),
            "max margin: margins of 9/10": margins_claim(make=lambda k: 0.9 * code(k)),
            "max margin: the ETF itself": margins_claim(make=lambda k: np.eye(k) - 1 / k),
        },
    ),
    replace(
        ce_claim(),
        variants={
            "deep CE: two factors": ce_claim(((7, 2, "1"),)),
            "deep CE: K = 5 with three factors at large scale": ce_claim(((5, 3, "9"),)),
            "deep CE: at no budgets": ce_claim(()),
        },
    ),
    replace(
        cyclic_claim(),
        variants={
            "circle: two factors": cyclic_claim(2),
            "circle: four factors": cyclic_claim(4),
            "circle: margins of the second neighbour": cyclic_claim(make=lambda k: cyclic_code(k) / 2),
        },
    ),
    replace(
        rank_claim(),
        variants={
            "rank two: entries 2jk − j": rank_claim(lambda j, k: 2 * j * k - j),
            "rank two: entries jk − j²": rank_claim(lambda j, k: j * k - j**2),
            "rank two: rank 1 for three classes": rank_claim(rows=2),
            "rank two: two classes": rank_claim(least=2),
        },
    ),
    replace(
        scale_claim(),
        variants={
            "square's scale: ratio 0.9": scale_claim(0.9),
            "square's scale: α* below 4.9": scale_claim(bounds=(4.0, 4.8)),
            "square's scale: α* above 5": scale_claim(bounds=(5.1, 6.0)),
        },
    ),
    replace(
        relu_claim(),
        variants={
            "edge code: four factors": relu_claim(depths=(4,)),
            "edge code: three points": relu_claim(points=(3,)),
            "edge code: entries less a quarter": relu_claim(shift=0.25),
        },
    ),
    replace(
        low_rank_claim(),
        variants={
            "low rank: half as many factors": low_rank_claim(1.0),
            "low rank: three quarters of them": low_rank_claim(1.5),
            "low rank: no code": low_rank_claim(makes=()),
        },
    ),
)
