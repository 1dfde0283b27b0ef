"""MSE with a free bias under imbalance: closed form, two groups, rank, and the simplex ETF under balance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.architectures import UnconstrainedFeatures
from ufm.claims._model import Claim, Context, Evidence, Scope, Status
from ufm.claims._tools import Comparison, compare, enclose, evidence, symbolic
from ufm.labels import ClassPrior
from ufm.solution import Solution
from ufm.solvers import solve

__all__ = ["CLAIMS", "free_bias_logits"]

GROUP = "MSE under imbalance"
THEOREM = "mse-free-bias"
FREE = ("the bias is free, λ_b = 0",)
SOURCE = "arXiv 2411.17278 (MSE with an unregularised bias under imbalance), as we state it"
Array = NDArray[np.float64]

#: Counts and N lam, with directions on both sides of N lam.
INSTANCES = (((40.0, 20.0, 5.0, 1.0), 1.5), ((40.0, 20.0, 5.0, 1.0), 3.0), ((9.0, 4.0), 0.8), ((25.0, 16.0, 9.0), 3.2))
#: K_A, K_B, n_A, n_B and N lam.
GROUPS = ((3, 2, 30.0, 4.0, 1.0), (2, 4, 50.0, 2.0, 1.7), (1, 3, 20.0, 9.0, 3.2), (2, 2, 10.0, 10.0, 0.5))


def free_bias_logits(counts: Sequence[float], n_lam: float, power: float = 1.0) -> Array:
    """Optimal logits in closed form, shape (K, K): ``Y = D^{1/2} - n sqrt(n)^T/N`` with singular values less ``N lam``.

    The count in the second term is taken to a power, 1 for the truth.

    >>> free_bias_logits([4.0, 4.0], 1.0).round(9).tolist()
    [[0.25, -0.25], [-0.25, 0.25]]
    """
    n = np.asarray(counts, dtype=float)
    y = np.diag(np.sqrt(n)) - np.outer(n**power / (n**power).sum(), np.sqrt(n))
    u, s, vt = np.linalg.svd(y)
    return np.asarray((u * np.maximum(0.0, s - n_lam)) @ vt / np.sqrt(n))


def _value(logits: Array, prior: ClassPrior, lam: float) -> float:
    """Risk with the best bias, and penalty."""
    away = logits - np.eye(len(logits))
    pi = prior.probabilities
    spread = float(pi @ (away**2).sum(axis=0)) - float(((away @ pi) ** 2).sum())
    return spread / 2 + lam * float(np.linalg.svd(logits * np.sqrt(prior.counts), compute_uv=False).sum())


def _solved(ctx: Context, counts: tuple[float, ...], n_lam: float) -> tuple[ClassPrior, float, Solution]:
    prior = ClassPrior(counts)
    lam = n_lam / prior.num_samples
    key = f"mse free bias {counts} {n_lam}"
    found = ctx.once(key, lambda: solve(UnconstrainedFeatures(lam, lam), prior, "mse", bias="free"))
    return prior, lam, found


def form_claim(
    part: str = "form",
    instances: Sequence[tuple[tuple[float, ...], float]] = INSTANCES,
    closed: Callable[[tuple[float, ...], float], Array] | None = None,
    factor: float = 1.0,
    *,
    true: bool = True,
    **fields: Any,
) -> Claim:
    """Values and logits in closed form; another closed form, or ``N lam`` times a factor, is a false variant."""

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        worst = 0.0
        for counts, n_lam in instances:
            prior, lam, found = _solved(ctx, counts, n_lam)
            claimed = (closed or free_bias_logits)(counts, factor * n_lam)
            off = float(np.abs(found.logits - claimed).max())
            certified = enclose(found, ctx, f"mse-free-bias-{part}-{len(rows)}")
            row = compare(f"counts {counts}, Nλ = {n_lam:g}", _value(claimed, prior, lam), certified, "certificate")
            rows.append(row if off <= 1e-8 else replace(row, status=Status.inconclusive))
            worst = max(worst, off)
        return evidence(
            f"values inside certified enclosures on {len(rows)} instances; the solver's logits differ by ≤ {worst:.0e}",
            proofs=[symbolic(THEOREM, part)] if true and factor == 1 else [],
            comparisons=rows,
        )

    return Claim(check=check, group=GROUP, topic="bias", source=SOURCE, papers=("extended2024",), **fields)


def _form(closed: Callable[[tuple[float, ...], float], Array] | None = None, factor: float = 1.0) -> Claim:
    return form_claim(
        closed=closed,
        factor=factor,
        true=closed is None,
        id="mse-free-bias-closed-form",
        title="MSE with a free bias, any counts: singular values less Nλ",
        statement="Under weight decay and MSE with a free bias the optimal Z D^{1/2} has the singular vectors of Y = "
        "D^{1/2} − n √nᵀ/N and the singular values max(0, s_i − N λ), s_i those of Y, λ = √(λ_W λ_H); its rank is "
        "at most K − 1.",
        scope=Scope(("mse",), ("bias-decay",), dimension="K - 1", conditions=FREE),
        standing="confirmed",
    )


def _balanced(size: Callable[[int, float, float], float] | None = None) -> Claim:
    def closed(counts: tuple[float, ...], n_lam: float) -> Array:
        k, n = len(counts), counts[0]
        rule = size or (lambda k, n, lam: 1 - k * math.sqrt(n) * lam)
        return max(0.0, rule(k, n, n_lam / (k * n))) * (np.eye(k) - 1 / k)

    return form_claim(
        "balanced",
        (((9.0, 9.0, 9.0), 1.2), ((16.0, 16.0, 16.0, 16.0), 2.5), ((4.0, 4.0), 2.4), ((25.0,) * 5, 0.3)),
        closed,
        true=size is None,
        id="mse-free-bias-balanced-etf",
        title="MSE with a free bias under balance: the simplex ETF in closed form",
        statement="Under weight decay and MSE with a free bias and n samples in each class the optimal logits are Z = "
        "max(0, 1 − λ K √n) (I − 11ᵀ/K), those of a simplex ETF if λ K √n < 1 and zero if λ K √n ≥ 1.",
        scope=Scope(("mse",), ("bias-decay",), groups=(1, 1), dimension="K - 1", conditions=FREE),
        standing="confirmed",
        core=False,
    )


def _theta(k_a: int, k_b: int, n_a: float, n_b: float) -> float:
    return (k_a + k_b) * n_a * n_b / (k_a * n_a + k_b * n_b)


def groups_claim(block: Callable[[int, int, float, float], float] | None = None, swap: bool = False) -> Claim:
    """Singular values of two groups; another theta, or groups exchanged, are false variants."""

    def check(ctx: Context) -> Evidence:
        worst = 0.0
        for k_a, k_b, n_a, n_b, n_lam in GROUPS:
            counts = (n_a,) * k_a + (n_b,) * k_b
            _, _, found = _solved(ctx, counts, n_lam)
            seen = np.sort(np.linalg.svd(found.logits * np.sqrt(counts), compute_uv=False))
            first, second = (k_b, k_a) if swap else (k_a, k_b)
            values = [math.sqrt(n_a)] * (first - 1) + [math.sqrt(n_b)] * (second - 1)
            values += [math.sqrt((block or _theta)(k_a, k_b, n_a, n_b)), 0.0]
            claimed = np.sort(np.maximum(0.0, np.array(values) - n_lam))
            worst = max(worst, float(np.abs(claimed - seen).max()))
        return evidence(
            f"singular values of the solver's optima less Nλ as claimed within {worst:.0e} on {len(GROUPS)} priors",
            proofs=[] if block or swap else [symbolic(THEOREM, "form", "groups")],
            numeric=Status.supported if worst <= 1e-7 else Status.inconclusive,
            details={"largest difference": worst},
        )

    return Claim(
        id="mse-free-bias-two-groups",
        title="MSE with a free bias, two groups: the indicators carry the harmonic mean of the counts",
        statement="Under weight decay and MSE with a free bias the optimal Z D^{1/2} has the singular vectors of Y = "
        "D^{1/2} − n √nᵀ/N and the singular values max(0, s_i − N λ), s_i those of Y, λ = √(λ_W λ_H); its rank is "
        "at most K − 1. Under weight decay and MSE with a free bias and two groups of classes the s_i are √n_A "
        "(K_A − 1 times), √n_B (K_B − 1 times), √θ with θ = K n_A n_B/N, and 0.",
        source=SOURCE + "; two groups: derived here",
        check=check,
        group=GROUP,
        scope=Scope(("mse",), ("bias-decay",), groups=(2, 2), dimension="K - 1", conditions=FREE),
        papers=("extended2024",),
        topic="bias",
        standing="sharpened",
        core=False,
    )


def interlacing_claim(low: float = 1.0, high: float = 1.0, least: int = 1) -> Claim:
    """Interlacing, and the rank; bounds times a factor, or ranks without "one less", are false variants."""
    counts = (40.0, 22.0, 9.0, 5.0, 1.5)

    def check(ctx: Context) -> Evidence:
        n, ranks = np.asarray(counts), []
        y = np.diag(np.sqrt(n)) - np.outer(n / n.sum(), np.sqrt(n))
        squares = np.linalg.svd(y, compute_uv=False)[:-1] ** 2
        good = bool((high * n[:-1] > squares).all() and (squares > low * n[1:]).all())
        for n_lam in (0.8, 1.3, 2.0, 2.5, 3.5, 5.2, 6.5):
            _, _, found = _solved(ctx, counts, n_lam)
            rank = int((np.linalg.svd(found.logits * np.sqrt(n), compute_uv=False) > 1e-7).sum())
            above = int((n > n_lam**2).sum())
            ranks.append({"N lambda": n_lam, "classes above": above, "rank": rank})
            good = good and above - least <= rank <= above - (least - 1)
        drops = {row["classes above"] - row["rank"] for row in ranks}
        return evidence(
            f"s_i² between neighbouring counts; the rank is that number or one less at {len(ranks)} strengths (differences {sorted(drops)})",
            proofs=[symbolic(THEOREM, "form", "interlacing")] if (low, high, least) == (1.0, 1.0, 1) else [],
            numeric=Status.supported if good else Status.inconclusive,
            details={"squares": squares.tolist(), "ranks": ranks},
        )

    return Claim(
        id="mse-free-bias-interlacing",
        title="MSE with a free bias, long tail: singular values interlace the counts, and the rank counts the classes above N²λ²",
        statement="Under weight decay and MSE with a free bias the optimal Z D^{1/2} has the singular vectors of Y = "
        "D^{1/2} − n √nᵀ/N and the singular values max(0, s_i − N λ), s_i those of Y, λ = √(λ_W λ_H); its rank is "
        "at most K − 1. Under weight decay and MSE with a free bias and counts n_1 > n_2 > … > n_K the s_i "
        "satisfy n_i > s_i² > n_{i+1} for i < K: the rank of Z is the number of classes with n_k > N² λ², or one "
        "less.",
        source=SOURCE + ", estimation of singular values",
        check=check,
        group=GROUP,
        scope=Scope(("mse",), ("bias-decay",), dimension="K - 1", conditions=FREE),
        papers=("extended2024",),
        topic="bias",
        standing="sharpened",
        core=False,
    )


CLAIMS = (
    replace(
        _form(),
        variants={
            "MSE, free bias: no bias": _form(lambda c, m: np.diag(np.maximum(0.0, 1 - m / np.sqrt(c)))),
            "MSE, free bias: plain mean": _form(lambda c, m: free_bias_logits(c, m, 0.0)),
            "MSE, free bias: root of the counts": _form(lambda c, m: free_bias_logits(c, m, 0.5)),
        },
        off_by=lambda x: _form(factor=1 + x),
        resolution=1e-6,
    ),
    replace(
        groups_claim(),
        variants={
            "MSE, two groups: θ of SELI": groups_claim(lambda a, b, m, n: (a * n + b * m) / (a + b)),
            "MSE, two groups: mean count": groups_claim(lambda a, b, m, n: (a * m + b * n) / (a + b)),
            "MSE, two groups: multiplicities exchanged": groups_claim(swap=True),
            "MSE, two groups: θ = n_B": groups_claim(lambda a, b, m, n: n),
        },
        off_by=lambda x: groups_claim(lambda *sizes: _theta(*sizes) * (1 + x)),
        resolution=1e-6,
    ),
    replace(
        interlacing_claim(),
        variants={
            "MSE, interlacing: from above by n/2": interlacing_claim(high=0.5),
            "MSE, interlacing: from below by 3n": interlacing_claim(low=3.0),
            "MSE, rank: the number or one more": interlacing_claim(least=0),
        },
    ),
    replace(
        _balanced(),
        variants={
            "MSE, balanced: K n λ": _balanced(lambda k, n, lam: 1 - k * n * lam),
            "MSE, balanced: K λ": _balanced(lambda k, n, lam: 1 - k * lam),
            "MSE, balanced: (K − 1) √n λ": _balanced(lambda k, n, lam: 1 - (k - 1) * math.sqrt(n) * lam),
        },
        off_by=lambda x: _balanced(lambda k, n, lam: 1 - k * math.sqrt(n) * lam * (1 + x)),
        resolution=1e-6,
    ),
)
