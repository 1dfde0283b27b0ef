"""The SELI geometry for any counts, its limit from weight decay, and when logits are those of a simplex ETF."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ufm.architectures import LayerPeeled, UnconstrainedFeatures
from ufm.claims._figures import curves_figure
from ufm.claims._model import Claim, Context, Evidence, Figure, Scope, Status, combine
from ufm.claims._tools import Comparison, compare, enclose, evidence, extrapolated, symbolic
from ufm.claims.balanced import etf_value
from ufm.labels import ClassPrior
from ufm.losses import CrossEntropy
from ufm.solution import Solution
from ufm.solvers import solve

__all__ = ["CLAIMS", "margin_multipliers", "seli_roots"]

GROUP = "SELI and imbalance"
Array = NDArray[np.float64]

#: Counts at which the geometry is tried.
COUNTS = ((9.0, 4.0, 1.0), (6.0, 3.0, 2.0, 1.0), (50.0, 50.0, 1.0, 1.0, 1.0))


def _codes(k: int) -> Array:
    return np.eye(k) - 1 / k


def seli_roots(counts: Sequence[float]) -> tuple[Array, Array]:
    """``W W^T`` and ``D^{1/2} H^T H D^{1/2}`` of balanced factors of ``(I - 11^T/K) D^{1/2}``, shapes (K, K).

    >>> w, h = seli_roots([1.0, 1.0])
    >>> bool(np.abs(w - h).max() < 1e-12)
    True
    """
    k = len(counts)
    u, s, vt = np.linalg.svd(_codes(k) * np.sqrt(np.asarray(counts, dtype=float)))
    return (u * s) @ u.T, (vt.T * s) @ vt


def margin_multipliers(counts: Sequence[float], slip: int = 0) -> Array:
    """Multiplier (j, k) of ``z_kk - z_jk >= 1`` by the integral in closed form, shape (K, K), 0 on the diagonal.

    Trapezoidal rule in log t, exponentially accurate. ``slip = 1`` puts n_j in the place of n_k (for false variants).

    >>> margin_multipliers([1.0, 1.0]).round(9).tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """
    n = np.asarray(counts, dtype=float)
    step = 0.1
    log_t = np.arange(-90.0, 90.0, step)
    t = np.exp(log_t)[:, None]
    share = 1 / (n + t)
    total = (t * share).sum(axis=1)
    # int sqrt(t) ... dt = int t^{3/2} ... d(log t)
    kernel = (t[:, 0] ** 1.5 / total)[:, None, None] * share[:, :, None] * share[:, None, :]
    found = np.asarray(kernel.sum(axis=0) * step / math.pi * (n[:, None] if slip else n[None, :]))
    np.fill_diagonal(found, 0.0)
    return found


# the margin problem -------------------------------------------------------------------------------------------------


def solution_claim(slip: int = 0, scale: float = 1.0) -> Claim:
    """Z = P with multipliers in closed form; n_j in place of n_k, or multipliers scaled, are false variants."""

    def check(ctx: Context) -> Evidence:
        rows, status = [], []
        for counts in COUNTS:
            n, k = np.asarray(counts), len(counts)
            beta = scale * margin_multipliers(counts, slip)
            # the dual point: sum_jk beta_jk (e_k - e_j) e_k^T, over sqrt(n_k) in column k
            dual = (np.diag(beta.sum(axis=0)) - beta) / np.sqrt(n)
            primal = float(np.linalg.svd(_codes(k) * np.sqrt(n), compute_uv=False).sum())
            norm = float(np.linalg.norm(dual, 2))
            gap = abs(float(beta.sum()) - primal) / primal
            rows.append(
                {
                    "counts": list(counts),
                    "dual norm": norm,
                    "relative gap": gap,
                    "least multiplier": beta[beta != 0].min(),
                }
            )
            good = norm <= 1 + 1e-10 and gap <= 1e-10 and bool((beta[~np.eye(k, dtype=bool)] > 0).all())
            status.append(Status.supported if good else Status.inconclusive)
        return evidence(
            f"the multipliers are dual feasible, positive, and close the gap on {len(rows)} priors",
            proofs=[symbolic("seli-any-counts")] if (slip, scale) == (0, 1.0) else [],
            numeric=combine(status),
            details={"instances": rows},
        )

    return Claim(
        id="seli-any-counts",
        title="SELI solves the margin problem for any counts, alone, with multipliers in closed form",
        statement="For any counts n_k > 0 the least (|W|² + Σ n_k |h_k|²)/2 over Z = W H with z_kk − z_jk ≥ 1 for all j ≠ k "
        "is attained at the logits Z = I − 11ᵀ/K alone, where every margin is 1. The multiplier of the margin "
        "z_kk − z_jk ≥ 1 there is (1/π) ∫_0^∞ √t n_k/(u (n_j + t) (n_k + t)) dt > 0, with u = Σ_i t/(n_i + t).",
        source="Thrampoulidis et al. 2022, Theorem 1 (two groups), as we state it; any counts: derived here",
        check=check,
        group=GROUP,
        scope=Scope(("none",), ("margins",), dimension="K - 1"),
        papers=("thrampoulidis2022",),
        topic="imbalance",
        standing="sharpened",
    )


STEPS = ((3, 2, 7.0), (2, 2, 100.0), (1, 4, 1.0), (4, 3, 2500.0))


def _theta(k_a: int, k_b: int, ratio: float) -> float:
    return (k_a + k_b * ratio) / (k_a + k_b)


def _angles() -> Figure:
    """One minus the cosine between minority classifiers against log10 R."""
    exponents = np.linspace(0, 6, 61)
    curves = {}
    for k_a, k_b in ((3, 7), (5, 5), (7, 3)):
        k = k_a + k_b
        apart = [1 / (1 - 1 / k_b + k_a * math.sqrt(_theta(k_a, k_b, 10**x)) / (k * k_b)) for x in exponents]
        curves[f"K_A = {k_a}, K_B = {k_b}"] = exponents.tolist(), apart
    return curves_figure(
        "SELI: minority classifiers merge in direction as R grows, at no finite R",
        "One minus the cosine between two minority classifiers at the solution of the margin problem, K = 10; it falls like 1/√R.",
        ("log₁₀ R", "1 − cosine"),
        curves,
        scale="log",
    )


def step_claim(
    part: str, theta: Callable[[int, int, float], float] = _theta, swap: bool = False, plus: float = 0.0
) -> Claim:
    """Singular values or a minority cosine under two groups; another theta, or the other cosine, is a false variant."""
    texts = {
        "values": (
            "seli-step-singular-values",
            "SELI with two groups: the singular values",
            "Where |W|² + Σ n_k |h_k|² is least with z_kk − z_jk ≥ 1 for all j ≠ k, with R > 0, K_A classes of R n_B samples "
            "each and K_B classes of n_B, the logits, times √(n_k/n_B) in column k, have the singular values √R (K_A "
            "− 1 times), 1 (K_B − 1 times), √θ with θ = (K_A + R K_B)/K, and 0.",
        ),
        "classifiers": (
            "seli-minority-classifiers-merge",
            "SELI: the minority's classifiers merge in direction as R → ∞, and at no finite R",
            "Where |W|² + Σ n_k |h_k|² is least with z_kk − z_jk ≥ 1 for all j ≠ k, with R > 0, K_A classes of R n_B samples "
            "each and K_B classes of n_B, the cosine between two minority classifiers is 1 − 1/(1 + K_A √θ/(K K_B) − "
            "1/K_B) with θ = (K_A + R K_B)/K; it increases in R and tends to 1.",
        ),
        "features": (
            "seli-minority-means-spread",
            "SELI: the minority's class means become a simplex ETF of their own as R → ∞",
            "Where |W|² + Σ n_k |h_k|² is least with z_kk − z_jk ≥ 1 for all j ≠ k, with R > 0, K_A classes of R n_B samples "
            "each and K_B classes of n_B, the cosine between two minority class means is 1 − 1/(1 + K_A/(K √θ K_B) − "
            "1/K_B) with θ = (K_A + R K_B)/K; it decreases in R and tends to −1/(K_B − 1).",
        ),
    }
    id, title, statement = texts[part]
    true = theta is _theta and not swap and plus == 0

    def check(ctx: Context) -> Evidence:
        worst = 0.0
        for k_a, k_b, ratio in STEPS:
            k, th = k_a + k_b, math.sqrt(theta(k_a, k_b, ratio))
            counts = [ratio] * k_a + [1.0] * k_b
            if part == "values":
                claimed = np.sort([math.sqrt(ratio)] * (k_a - 1) + [1.0] * (k_b - 1) + [th, plus])
                seen = np.sort(np.linalg.svd(_codes(k) * np.sqrt(counts), compute_uv=False))
            else:
                gram = seli_roots(counts)[(part == "features") is not swap]
                share = k_a / (k * k_b) * (th if part == "classifiers" else 1 / th)
                claimed = np.array(1 - (1 + plus) / (1 - 1 / k_b + share))
                seen = np.array(gram[-1, -2] / gram[-1, -1])
            worst = max(worst, float(np.abs(claimed - seen).max()) / math.sqrt(ratio))
        return evidence(
            figures=[_angles()] if part == "classifiers" else [],
            summary=f"as claimed within {worst:.0e} of the singular value decomposition on {len(STEPS)} priors",
            proofs=[symbolic("seli-step-geometry", part)] if true else [],
            numeric=Status.supported if worst <= 1e-10 else Status.inconclusive,
            details={"largest relative difference": worst},
        )

    return Claim(
        id=id,
        title=title,
        statement=statement,
        source="Thrampoulidis et al. 2022 (two groups), in closed form here",
        check=check,
        group=GROUP,
        scope=Scope(("none",), ("margins",), groups=(2, 2), minority=2, dimension="K - 1"),
        papers=("thrampoulidis2022",),
        topic="imbalance",
        standing="sharpened",
        core=part == "classifiers",
    )


SCALED = (((9.0, 4.0, 1.0), (1.0, 1.5, 0.6)), ((20.0, 20.0, 1.0, 1.0), (2.0, 2.0, 1.0, 1.0)), ((5.0, 2.0), (0.5, 3.0)))


def _kernel(scales: Array, cdt: bool) -> Array:
    """Logits with all scaled margins active, the kernel (1/delta) taken from the left under CDT, 1 under LDT."""
    v = 1 / scales if cdt else np.ones_like(scales)
    return np.asarray((np.eye(len(v)) - np.outer(v, v) / (v @ v)) / scales)


def _scaled_gap(counts: Array, scales: Array, logits: Array, cdt: bool) -> tuple[float, float, float]:
    """Least margin, least multiplier and relative gap between the price of logits and a dual bound from their polar factor."""
    u, s, vt = np.linalg.svd(logits * np.sqrt(counts))
    polar = (u[:, :-1] @ vt[:-1]) * np.sqrt(counts)
    away = ~np.eye(len(counts), dtype=bool)
    # column k of the polar factor as sum_j beta_jk (delta_k e_k - delta_j e_j), or delta_k (e_k - e_j)
    over = scales[:, None] if cdt else scales[None, :]
    beta = -polar / over
    margins = (scales * np.diag(logits))[None, :] - over * logits
    closes = np.abs(np.diag(polar) - scales * np.where(away, beta, 0.0).sum(axis=0)).max()
    bound = float(beta[away].sum())
    return float(margins[away].min()), float(beta[away].min()), float(abs(bound / s.sum() - 1) + closes)


def scaled_claim(cdt: bool = True, kernel: bool | None = None, power: float = 1.0) -> Claim:
    """CDT or LDT; the other's kernel, or scales to a power, in the logits is a false variant."""
    part = "cdt" if cdt else "ldt"
    true = kernel is None and power == 1

    def check(ctx: Context) -> Evidence:
        rows, agrees = [], True
        for counts, scales in SCALED:
            n, delta = np.asarray(counts), np.asarray(scales)
            logits = _kernel(delta, cdt if kernel is None else kernel) * delta ** (1 - power)
            margin, multiplier, gap = _scaled_gap(n, delta, logits, cdt)
            agrees = agrees and margin >= 1 - 1e-10 and multiplier > 0 and gap <= 1e-9
            rows.append(
                {"counts": list(counts), "scales": list(scales), "margin": margin, "multiplier": multiplier, "gap": gap}
            )
        if not cdt:
            for counts, _ in SCALED:
                w = seli_roots_scaled(np.asarray(counts))
                agrees = agrees and bool(np.abs(w - _codes(len(counts))).max() <= 1e-10)
        return evidence(
            f"margins and multipliers of the claimed logits close the gap on {len(rows)} instances",
            proofs=[symbolic("scaled-margins", *((part,) if cdt else (part, "restored")))] if true else [],
            numeric=Status.supported if agrees else Status.inconclusive,
            details={"instances": rows},
        )

    return Claim(
        id="scales-tilt-the-limit" if cdt else "column-scales-restore-etf",
        title="Class-dependent temperature: the limit of weight decay in closed form, for every count and scale"
        if cdt
        else "Scales of the columns, by √n_k, restore the simplex ETF of the classifiers",
        statement="For any counts n_k > 0 and scales δ_k > 0 the least (|W|² + Σ n_k |h_k|²)/2 over Z = W H with δ_k z_kk − "
        "δ_j z_jk ≥ 1 for all j ≠ k is attained at the logits Z = (I − v vᵀ/|v|²) diag(1/δ) alone, v = (1/δ_1, …, "
        "1/δ_K), where every such margin is 1 with a multiplier > 0."
        if cdt
        else "For any counts n_k > 0 and scales δ_k > 0 the least (|W|² + Σ n_k |h_k|²)/2 over Z = W H with δ_k (z_kk "
        "− z_jk) ≥ 1 for all j ≠ k is attained at the logits Z = (I − 11ᵀ/K) diag(1/δ) alone. With δ_k = √n_k the "
        "classifiers, and the class means times √n_k, then form a simplex ETF.",
        source="Behnia et al. 2023, as we state it; that the dual has the right signs for all counts and scales: derived here",
        check=check,
        group=GROUP,
        scope=Scope(("none",), ("scaled-margins",), dimension="K - 1"),
        papers=("behnia2023", "kini2021"),
        topic="losses",
        standing="sharpened",
        core=False,
    )


def seli_roots_scaled(counts: Array) -> Array:
    """``W W^T`` of the solution under LDT with ``delta_k = sqrt(n_k)``, shape (K, K).

    >>> bool(np.abs(seli_roots_scaled(np.array([9.0, 1.0])) - [[0.5, -0.5], [-0.5, 0.5]]).max() < 1e-12)
    True
    """
    u, s, _ = np.linalg.svd(_kernel(np.sqrt(counts), False) * np.sqrt(counts))
    return np.asarray((u * s) @ u.T)


# weight decay -------------------------------------------------------------------------------------------------------


def _solved(ctx: Context, counts: tuple[float, ...], strength: float, weighted: bool = False) -> Solution:
    prior, model = ClassPrior(counts), UnconstrainedFeatures(strength, strength)
    weights = tuple((prior.num_samples / (len(counts) * prior.counts)).tolist()) if weighted else None
    key = f"seli {counts} {strength!r} {weighted}"
    return ctx.once(key, lambda: solve(model, prior, CrossEntropy(weights=weights)))


def _departure(logits: Array) -> float:
    """Distance of the direction of some logits from that of a simplex ETF, 0 for logits that vanish."""
    size, codes = float(np.linalg.norm(logits)), _codes(len(logits))
    return float(np.linalg.norm(logits / size - codes / np.linalg.norm(codes))) if size > 1e-9 else 0.0


def path_claim(weighted: bool = False, on_path: Callable[[tuple[float, ...]], bool] | None = None) -> Claim:
    """Logits are ETF logits only for equal counts, or K = 2 unweighted; another rule is a false variant."""

    def truth(counts: tuple[float, ...]) -> bool:
        return len(set(counts)) == 1 or (len(counts) == 2 and not weighted)

    def check(ctx: Context) -> Evidence:
        rows, status = [], []
        priors = ((6.0, 6.0, 6.0), (9.0, 8.0, 8.0), (9.0, 4.0, 1.0), (7.0, 7.0, 3.0, 3.0), (5.0, 1.0), (4.0, 4.0))
        for counts in priors if weighted else priors[:4]:
            for strength in (0.1 / sum(counts), 0.01 / sum(counts)):
                off = _departure(_solved(ctx, counts, strength, weighted).logits)
                expected = (on_path or truth)(counts)
                rows.append({"counts": list(counts), "lambda": strength, "distance": off})
                status.append(Status.supported if (off <= 1e-7) is expected else Status.inconclusive)
        return evidence(
            f"directions of optimal logits away from the ETF's exactly where counts differ, on {len(rows)} instances",
            proofs=[] if on_path else [symbolic("etf-logits-decay", "decay" if weighted else "path")],
            numeric=combine(status),
            details={"instances": rows},
        )

    return Claim(
        id="equal-weights-no-etf-under-decay" if weighted else "seli-off-the-path",
        title="Under weight decay equal weights do not restore the simplex ETF"
        if weighted
        else "With three classes or more, the path of weight decay leaves SELI wherever counts differ",
        statement="Under weight decay and cross-entropy with the weights N/(n_k K) alone, by which all classes weigh alike in the "
        "risk, the optimal logits are a multiple a (I − 11ᵀ/K), a > 0, of those of a simplex ETF only if all "
        "counts are equal."
        if weighted
        else "Under weight decay and cross-entropy with K ≥ 3 classes the optimal logits are a multiple a (I − 11ᵀ/K), "
        "a > 0, of the SELI logits only if all counts are equal.",
        source="Fang et al. 2021, oversampling, carried over to weight decay, as we state it"
        if weighted
        else "Thrampoulidis et al. 2022, Proposition 2 (unless R = 1), as we state it; K = 2 is an exception that it needs",
        check=check,
        group=GROUP,
        scope=Scope(
            ("weighted-ce" if weighted else "ce",), ("weight-decay",), (2 if weighted else 3, None), dimension="K - 1"
        ),
        papers=("fang2021",) if weighted else ("thrampoulidis2022",),
        topic="imbalance",
        standing="refuted" if weighted else "corrected",
        core=weighted,
    )


def two_claim(factor: float = 1.0, power: float = 0.5) -> Claim:
    """K = 2: ``e^a = sqrt(2)/(lam N^power) - 1`` for any counts; a factor or another power is a false variant."""

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        for counts in ((30.0, 1.0), (8.0, 5.0), (400.0, 4.0)):
            n = sum(counts)
            for size in (0.9, 0.4, 0.02):
                lam = size / math.sqrt(2 * n)
                a = math.log(max(1.0, factor * math.sqrt(2) / (lam * n**power) - 1))
                value = math.log(1 + math.exp(-a)) + lam * a * math.sqrt(n / 2)
                found = _solved(ctx, counts, lam)
                off = float(np.abs(found.logits - a * _codes(2)).max())
                row = compare(
                    f"counts {counts}, λ = {lam:.3g}", value, enclose(found, ctx, f"two-{len(rows)}"), "certificate"
                )
                rows.append(row if off <= 1e-6 else replace(row, status=Status.inconclusive))
        return evidence(
            f"value and logits as claimed on {len(rows)} certified instances, whatever the imbalance",
            proofs=[symbolic("etf-logits-decay", "two")] if (factor, power) == (1.0, 0.5) else [],
            comparisons=rows,
        )

    return Claim(
        id="two-classes-no-trace-of-imbalance",
        title="Two classes: imbalance leaves no trace in the logits",
        statement="Under weight decay and cross-entropy with K = 2 classes the optimal logits are a (I − 11ᵀ/2) for any "
        "counts, e^a = max(1, √(2)/(√N λ) − 1), λ = √(λ_W λ_H).",
        source="Derived here",
        check=check,
        group=GROUP,
        scope=Scope(("ce",), ("weight-decay",), (2, 2), dimension="K - 1"),
        papers=("thrampoulidis2022",),
        topic="imbalance",
    )


def budgets_claim(value: Callable[[int, float], float] | None = None) -> Claim:
    """Under budgets equal weights restore the ETF; another value is a false variant."""
    claimed = value or etf_value

    def check(ctx: Context) -> Evidence:
        rows: list[Comparison] = []
        for counts in ((40.0, 4.0), (9.0, 4.0, 1.0), (30.0, 30.0, 2.0, 2.0)):
            k, prior = len(counts), ClassPrior(counts)
            weights = tuple((prior.num_samples / (k * prior.counts)).tolist())
            for e_h in (0.5, 2.0):
                model = LayerPeeled(1.0, e_h)
                key = f"oversampled {counts} {e_h}"
                found = ctx.once(key, partial(solve, model, prior, CrossEntropy(weights=weights)))
                row = compare(
                    f"counts {counts}, E_H = {e_h:g}",
                    claimed(k, k * math.sqrt(e_h)),
                    enclose(found, ctx, f"oversampled-{len(rows)}"),
                    "certificate",
                    relative=1e-9,
                )
                rows.append(row if _departure(found.logits) <= 1e-6 else replace(row, status=Status.inconclusive))
        return evidence(
            f"value of the balanced ETF, and its logits, on {len(rows)} certified instances",
            proofs=[] if value else [symbolic("etf-logits-decay", "budgets")],
            comparisons=rows,
        )

    return Claim(
        id="equal-weights-etf-under-budgets",
        title="Under budgets equal weights restore the simplex ETF at every imbalance",
        statement="Under budgets and cross-entropy with the weights N/(n_k K) alone the least risk is log(1 + (K − 1) e^{−τ/(K − "
        "1)}), τ = K √(E_W E_H), attained at the simplex ETF, whatever the counts.",
        source="Fang et al. 2021, oversampling, as we state it",
        check=check,
        group=GROUP,
        scope=Scope(("weighted-ce",), ("layer-peeled",), dimension="K - 1"),
        papers=("fang2021",),
        topic="imbalance",
        standing="confirmed",
        core=False,
    )


#: Weight decays 10^-e whose optima are extrapolated to none.
PATH = (6, 8, 10, 12, 14)


def limit_claim(power: float = 1.0, offset: float = 0.0, slip: int = 0) -> Claim:
    """Margins as lam -> 0 to the order of constants; a power of log(1/lam), an offset or other multipliers are false."""

    def check(ctx: Context) -> Evidence:
        rows, worst, closed = [], 0.0, True
        for counts in ((9.0, 4.0, 1.0), (6.0, 3.0, 2.0, 1.0)):
            n, k = np.asarray(counts), len(counts)
            off = ~np.eye(k, dtype=bool)
            beta = np.where(off, margin_multipliers(counts, slip), 1.0)
            claimed = np.log(n[None, :] / (n.sum() * beta)) + offset
            seen = []
            for exponent in PATH:
                lam, size = 10.0**-exponent, exponent * math.log(10.0)
                found = _solved(ctx, counts, lam)
                z, closed = found.logits, closed and found.is_global is True
                seen.append((size, np.diag(z)[None, :] - z - size**power))
            # what is left is a power series in 1/log(1/lam)
            limit = extrapolated([size for size, _ in seen], [value for _, value in seen])
            error = float(np.abs((limit - claimed)[off]).max())
            rows.append({"counts": list(counts), "error": error})
            worst = max(worst, error)
        return evidence(
            f"extrapolated from five λ = 10⁻⁶ to 10⁻¹⁴ the constants of the margins agree within {worst:.0e}",
            numeric=Status.supported if worst <= 2e-4 and closed else Status.inconclusive,
            established_by=("optima at a closed duality gap",),
            details={"instances": rows},
        )

    return Claim(
        id="seli-path-margins",
        title="How weight decay approaches SELI: margins to the order of constants",
        statement="Under weight decay and cross-entropy z_kk − z_jk = log(1/λ) + log(n_k/(N β_jk)) + O(1/log(1/λ)) as λ = √(λ_W λ_H) → 0, "
        "β_jk the multiplier (1/π) ∫_0^∞ √t n_k/(u (n_j + t) (n_k + t)) dt, u = Σ_i t/(n_i + t): the direction of the logits "
        "approaches that of SELI like 1/log(1/λ) where these constants differ.",
        source="Thrampoulidis et al. 2022, Proposition 1 (the limit, without a rate); the next order: derived here",
        check=check,
        group=GROUP,
        scope=Scope(("ce",), ("weight-decay",), dimension="K - 1"),
        papers=("thrampoulidis2022",),
        topic="imbalance",
        standing="sharpened",
        core=False,
    )


CLAIMS = (
    replace(
        solution_claim(),
        variants={
            "SELI: multipliers with n_j": solution_claim(slip=1),
            "SELI: multipliers doubled": solution_claim(scale=2.0),
            "SELI: multipliers negative": solution_claim(scale=-1.0),
        },
        off_by=lambda x: solution_claim(scale=1 + x),
        resolution=1e-8,
    ),
    replace(
        step_claim("values"),
        variants={
            "SELI: groups exchanged in θ": step_claim("values", lambda a, b, r: (b + a * r) / (a + b)),
            "SELI: θ = R": step_claim("values", lambda a, b, r: r),
            "SELI: full rank": step_claim("values", plus=0.1),
        },
        off_by=lambda x: step_claim("values", lambda a, b, r: _theta(a, b, r) * (1 + x)),
        resolution=1e-8,
    ),
    replace(
        step_claim("classifiers"),
        variants={
            "SELI classifiers: groups exchanged in θ": step_claim("classifiers", lambda a, b, r: (b + a * r) / (a + b)),
            "SELI classifiers: those of class means": step_claim("classifiers", swap=True),
            "SELI classifiers: θ = 1, no dependence on R": step_claim("classifiers", lambda a, b, r: 1.0),
        },
        off_by=lambda x: step_claim("classifiers", plus=x),
        resolution=1e-6,
    ),
    replace(
        step_claim("features"),
        variants={
            "SELI class means: groups exchanged in θ": step_claim("features", lambda a, b, r: (b + a * r) / (a + b)),
            "SELI class means: those of classifiers": step_claim("features", swap=True),
            "SELI class means: θ = R²": step_claim("features", lambda a, b, r: r * r),
        },
        off_by=lambda x: step_claim("features", plus=x),
        resolution=1e-6,
    ),
    replace(
        path_claim(),
        variants={
            "path: always SELI": path_claim(on_path=lambda counts: True),
            "path: never SELI": path_claim(on_path=lambda counts: False),
            "path: SELI up to R = 9/8": path_claim(on_path=lambda counts: max(counts) <= 9 / 8 * min(counts)),
        },
    ),
    replace(
        two_claim(),
        variants={
            "two classes: 1/(λ√N)": two_claim(math.sqrt(0.5)),
            "two classes: N for √N": two_claim(power=1.0),
            "two classes: twice": two_claim(2.0),
        },
        off_by=lambda x: two_claim(1 + x),
        resolution=1e-4,
    ),
    replace(
        path_claim(weighted=True),
        variants={
            "equal weights: always an ETF": path_claim(True, lambda counts: True),
            "equal weights: never an ETF": path_claim(True, lambda counts: False),
            "equal weights: an ETF for K = 2": path_claim(
                True, lambda counts: len(counts) == 2 or len(set(counts)) == 1
            ),
        },
    ),
    replace(
        budgets_claim(),
        variants={
            "equal weights: K others": budgets_claim(lambda k, t: math.log(1 + k * math.exp(-t / (k - 1)))),
            "equal weights: τ/K": budgets_claim(lambda k, t: math.log(1 + (k - 1) * math.exp(-t / k))),
            "equal weights: unscaled ETF": budgets_claim(
                lambda k, t: math.log(1 + (k - 1) * math.exp(-k * t / (k - 1)))
            ),
        },
        off_by=lambda x: budgets_claim(lambda k, t: etf_value(k, t) * (1 + x)),
        resolution=1e-9,
    ),
    replace(
        limit_claim(),
        variants={
            "path: constants of n_j": limit_claim(slip=1),
            "path: constants off by log 2": limit_claim(offset=math.log(2)),
            "path: log(1/λ)^0.99": limit_claim(power=0.99),
        },
        off_by=lambda x: limit_claim(offset=x),
        resolution=1e-3,
    ),
    replace(
        scaled_claim(),
        variants={
            "CDT: logits of LDT": scaled_claim(kernel=False),
            "CDT: scales squared": scaled_claim(power=2.0),
            "CDT: no scales": scaled_claim(power=0.0),
        },
        off_by=lambda x: scaled_claim(power=1 + x),
        resolution=1e-6,
    ),
    replace(
        scaled_claim(False),
        variants={
            "LDT: logits of CDT": scaled_claim(False, kernel=True),
            "LDT: scales squared": scaled_claim(False, power=2.0),
            "LDT: no scales": scaled_claim(False, power=0.0),
        },
        off_by=lambda x: scaled_claim(False, power=1 + x),
        resolution=1e-6,
    ),
)
