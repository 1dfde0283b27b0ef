r"""The nonconvex side: first-order collapse, mixing, trapped minima, depth, and the conjectures about errors in tau."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ufm.architectures import (
    Architecture,
    DeepLinear,
    Factors,
    LayerPeeled,
    LinearDEQ,
    PenalisedDEQ,
    UnconstrainedFeatures,
)
from ufm.certificates import CertificationError, enclose_geometry
from ufm.claims._model import Claim, Context, Enclosure, Evidence, Status, combine, judge_order
from ufm.claims._tools import evidence, symbolic
from ufm.labels import ClassPrior
from ufm.landscape import certify_trapped, classify, find_trapped
from ufm.problem import Problem
from ufm.reduction import ReducedLogits
from ufm.solvers import solve
from ufm.two_groups.batch import solve_batch
from ufm.two_groups.transitions import State, collapsed_state, hysteresis, mixing_threshold

__all__ = [
    "CLAIMS",
    "benign_claim",
    "depth_claim",
    "first_order_claim",
    "mixing_claim",
    "monotone_claim",
    "trapped_claim",
]

GROUP = "Where neural collapse fails: the landscape"
SAMPLES = 600.0


def _penalised(strength: float, rho: float, n_b: float) -> PenalisedDEQ:
    """A DEQ of 600 samples whose collapsed branch ends at n_B, with ``lambda_A = strength N lam^2``."""
    lam = math.sqrt(n_b) / SAMPLES
    return PenalisedDEQ(lam, lam, rho, lambda_A=strength * SAMPLES * lam**2)


def _plain(h: Any) -> dict[str, Any]:
    names = ("first_order", "lower", "upper", "maxwell", "jump", "collapsed_end", "mixing_end", "curvature")
    return {name: getattr(h, name) for name in names}


# first-order collapse ---------------------------------------------------------------------------------------------


def first_order_claim(factor: float = 1.0) -> Claim:
    """``lambda_A <= K_B N lam^2`` makes collapse a first-order transition; another ``factor`` is a false variant."""

    def check(ctx: Context) -> Evidence:
        instances = {}
        for k_a, k_b, share, rho in ((3, 4, 0.98, 0.5), (5, 5, 0.5, 0.5), (5, 5, 0.98, 0.3))[: 3 if ctx.full else 1]:
            n_b = SAMPLES / (5 * k_a + k_b)  # the end of the collapsed branch at R = 5
            architecture = _penalised(factor * share * k_b, rho, n_b)
            found = hysteresis(architecture, k_a, k_b, num_samples=SAMPLES, points=40 if ctx.full else 12)
            instances[f"K_A={k_a}, K_B={k_b}, λ_A/(K_B N λ²)={factor * share:g}, ρ={rho}"] = _plain(found)
        agree = all(
            i["first_order"] and i["curvature"] < 0 and i["lower"] < i["maxwell"] < i["upper"]
            for i in instances.values()
        )
        widest = max(instances.values(), key=lambda i: i["upper"] / i["lower"])
        return evidence(
            f"two minima coexist, e.g. for R in [{widest['lower']:.4f}, {widest['upper']:.4f}], equal at "
            f"R = {widest['maxwell']:.4f}, where s_B jumps to {widest['jump'][1]:.3f}",
            proofs=[symbolic("landau-collapse")] if factor == 1.0 else [],
            numeric=Status.supported if agree else Status.inconclusive,
            established_by=(f"both branches followed on {len(instances)} instances",),
            details={"instances": instances},
        )

    return Claim(
        id="first-order-collapse",
        title="P2 for a penalised A: collapse is a first-order transition for λ_A ≤ K_B N λ²",
        statement="With weight decay λ_A of A and a cap ρ, within the family that keeps classes of a group alike, the collapsed point is a "
        "local minimum for n_B < N²λ² and none for n_B > N²λ², nothing else is critical for n_B ≤ (1−ρ)²N²λ², and the transition is of first order if "
        "λ_A q_B < N λ² there (q_B: a minority class's probability in a minority column), so always if λ_A ≤ K_B N λ².",
        source="Derived here; Zhang 2010 for the penalty",
        hypotheses=(
            "two groups, K_B ≥ 2",
            "cross-entropy",
            "0 < ρ < 1",
            "symmetric family (an upper bound in the full problem)",
        ),
        check=check,
        group=GROUP,
    )


def _converse(ctx: Context) -> Evidence:
    found = hysteresis(_penalised(6.0, 0.8, 20.0), 5, 5, num_samples=SAMPLES, points=40 if ctx.full else 20)
    against = found.curvature > 0 and found.first_order and found.jump[0] < found.jump[1]
    return evidence(
        f"λ_A = 6 N λ², ρ = 0.8: curvature {found.curvature:+.2e}, yet s_B jumps from {found.jump[0]:.3f} to {found.jump[1]:.3f} at "
        f"R = {found.maxwell:.4f}",
        numeric=Status.supported if against else Status.inconclusive,
        universal=False,
        established_by=("both branches followed",),
        details=_plain(found),
    )


def _logits(state: State, prior: ClassPrior) -> np.ndarray:
    """The K x K logits of a state, columns centred."""
    size = np.array([group.size for group in prior.groups], dtype=float)
    t = np.array([[0.0, -state.d_B], [-state.d_A, 0.0]])
    s = np.array([state.s_A, state.s_B])
    z = ReducedLogits(s, np.diag(s) + np.sqrt(np.outer(size, size)) * t).expand(prior)
    return np.asarray(z - z.mean(axis=0), dtype=float)


def mixing_claim(factor: float = 1.0) -> Claim:
    """Mixing ends the collapsed branch at ``mixing_end``; a multiple of it is a false variant."""

    def check(ctx: Context) -> Evidence:
        rows, right = [], True
        for k_a, k_b, strength, rho in ((3, 4, 2.5, 0.6), (5, 5, 2.0, 0.5)):
            architecture = _penalised(strength, rho, SAMPLES / (5 * k_a + k_b))
            end = factor * mixing_threshold(architecture, k_a, k_b, num_samples=SAMPLES)
            kinds = []
            for ratio in (end * 0.995, end * 1.005):
                state = collapsed_state(architecture, k_a, k_b, ratio, num_samples=SAMPLES)
                n_b = SAMPLES / (k_a * ratio + k_b)
                prior = ClassPrior([ratio * n_b] * k_a + [n_b] * k_b)
                logits = _logits(state, prior)
                kinds.append(classify(Problem.of(architecture, prior), architecture.factorise(logits, prior)).kind)
            right = right and kinds == ["strict saddle", "local minimum"]
            rows.append({"K_A": k_a, "K_B": k_b, "family": 5.0, "mixing": end, "kinds": kinds})
        return evidence(
            f"the Hessian in (W, A, H) changes sign at the predicted R, e.g. {rows[0]['mixing']:.4f}, not at the family's "
            f"{rows[0]['family']:.4f}",
            proofs=[symbolic("factor-landscape")] if factor == 1.0 else [],
            numeric=Status.supported if right else Status.inconclusive,
            established_by=(f"Hessians at 0.995 and 1.005 times the threshold on {len(rows)} instances",),
            details={"instances": rows},
        )

    return Claim(
        id="collapse-mixing",
        title="The collapsed point decays by mixing, before its own direction grows",
        statement="A collapsed point of the DEQ with price slope g < λ on a singular pair of value σ in use is no local minimum where "
        "n_B/N² > (g + σ c₁)(g + σ c₂), c₁ and c₂ the curvatures of the risk along u'vᵀ and uv'ᵀ for collapsed minority directions "
        "u', v': turning the pair towards them pays, although the collapsed direction itself does not grow for n_B < N²λ².",
        source="Derived here",
        hypotheses=("two groups, K_B ≥ 2", "cross-entropy", "weight decay"),
        check=check,
        group=GROUP,
    )


# the landscape ----------------------------------------------------------------------------------------------------


def benign_claim(factor: float = 1.0) -> Claim:
    """Curvature ``lam - |G D^{-1/2}|_2`` at critical points of low rank; a multiple is a false variant."""

    def check(_: Context) -> Evidence:
        k, rows, right = 5, [], True
        prior = ClassPrior.balanced(k)  # one sample a class: moves in W and H have the same length
        for lam in (0.02, 0.05, 0.1):
            problem = Problem.of(UnconstrainedFeatures(lam, lam), prior)
            for rank in (0, 1, 2, 3):
                w, h = np.zeros((k, k)), np.zeros((k, k))
                if rank:
                    low = _low_rank(problem, rank)
                    w[:, :rank], h[:rank] = low
                point = classify(problem, Factors(w, h), tol=1e-6)
                if point.kind == "global minimum":
                    continue
                expected = factor * (lam - point.dual_norm)
                right = right and point.kind == "strict saddle" and abs(point.eigenvalues[0] - expected) < 1e-6
                rows.append(
                    {"lam": lam, "rank": rank, "least curvature": float(point.eigenvalues[0]), "index": point.index}
                )
        return evidence(
            f"all {len(rows)} critical points of lower rank are strict saddles, least curvature λ − |G D^(−1/2)|₂ within 1e-6",
            proofs=[symbolic("factor-landscape")] if factor == 1.0 else [],
            numeric=Status.supported if right and rows else Status.inconclusive,
            established_by=(f"Hessians at {len(rows)} critical points",),
            details={"points": rows},
        )

    return Claim(
        id="explicit-landscape-benign",
        title="Explicit network: every critical point that is not global is a strict saddle",
        statement="For the unconstrained features model with a convex risk and d ≥ K, every critical point (W, H) that is no global minimum has "
        "a direction of curvature proportional to λ − |G D^(−1/2)|₂ < 0.",
        source="Zhu et al. 2021 (CE), restated; d ≥ K suffices for CE and MSE",
        hypotheses=("d ≥ K", "weight decay λ_W, λ_H > 0"),
        check=check,
        group=GROUP,
    )


def _low_rank(problem: Problem, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The best (W, H) with ``rank`` features, from one start."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # its gap is open, and must be
        found = solve(problem.architecture, problem.prior, method="direct", dim=rank, starts=1)
    return found.classifier, found.features


def trapped_claim(beside: float = 0.0) -> Claim:
    """Spurious local minima of the spectral DEQ with A = ``beside`` beside the features used; a large one is false."""

    def check(ctx: Context) -> Evidence:
        settings = [
            ("square code, K = 4", [1.0] * 4, 0.1, 0.6, 2),
            ("K = 4, R = 4", [4.0, 4.0, 1.0, 1.0], 0.06, 0.5, 2),
            ("octahedron, K = 6", [1.0] * 6, 0.05, 0.6, 3),
        ]
        if ctx.full:
            settings.append(("K = 10, as on digits", [100.0] * 5 + [20.0] * 5, math.sqrt(20) / 600, 0.5, 5))
        theorem = symbolic("factor-landscape")
        rows: list[dict[str, Any]] = []
        statuses = [theorem.status]
        for name, counts, lam, rho, rank in settings:
            found = find_trapped(counts, lam, rho, rank, starts=8, seed=ctx.seed)
            status = Status.inconclusive
            numbers: dict[str, Any] = {}
            if found:
                try:
                    numbers = certify_trapped(found[0])
                    status = Status.certified
                except CertificationError as error:
                    numbers = {"error": str(error)}
                point = classify(found[0].problem, found[0].factors(rank + 1, equilibrium=beside))
                best = solve(found[0].problem.architecture, found[0].problem.prior)
                if not (point.kind == "local minimum" and best.value < point.value):
                    status = Status.inconclusive
                numbers |= {"value": point.value, "global minimum": best.value, "kind": point.kind, "rank": rank}
            statuses.append(status)
            rows.append({"setting": name, **numbers})
        return evidence(
            f"{len(rows)} spurious local minima certified, of rank {', '.join(str(s[4]) for s in settings)} where the optimum has rank K−1; "
            f"values above the optimum by up to {max((r['value'] / r['global minimum'] - 1 for r in rows if 'value' in r), default=0):.1%}",
            numeric=combine(statuses),
            universal=False,
            established_by=("strong convexity on the slice across the orbit of rotations, in ball arithmetic",),
            assumptions=(f"theorem {theorem.theorem}, with its classical lemmas: {', '.join(theorem.lemmas)}",),
            details={"minima": rows, "theorem": theorem.status.value},
        )

    return Claim(
        id="deq-trapped-minima",
        title="DEQ: spurious local minima even under a spectral bound",
        statement="In (W, A, H) the DEQ with |A|₂ ≤ ρ, convex in its logits, has local minima that are not global: A = ρ on r features, 0 beside "
        "them, and (1−ρ)λ < |G D^(−1/2)|₂ < λ. Among them are the square code (K = 4) and the octahedron (K = 6) for balanced classes.",
        source="Derived here; such points are what DEQs trained from A = 0 end in",
        hypotheses=("weight decay of W and H", "cross-entropy", "the settings listed in the details"),
        check=check,
        group=GROUP,
    )


# depth --------------------------------------------------------------------------------------------------------------


def depth_claim(depths: tuple[int, ...] = (3, 4)) -> Claim:
    """Collapse is a local minimum at every R for M >= 3; M = 2 among the ``depths`` is a false variant."""

    def check(ctx: Context) -> Evidence:
        k_a = k_b = 3
        k = k_a + k_b
        rows, right = [], True
        for ratio in (1.05, 2.0, 20.0):
            prior = ClassPrior.step(k_a, k_b, ratio)
            for depth in depths:
                architecture = DeepLinear((float(k),) * depth)
                tau = architecture.bound(k)
                start = solve(LayerPeeled(1.0, (tau / k) ** 2), ClassPrior.step(k_a, k_b, 1e4)).logits
                base, best = math.inf, start
                for mix in np.linspace(0, 1, 9):  # a good collapsed point: the trivial block scaled
                    trial = _blend(start, prior, mix)
                    trial = _to_sphere(architecture, trial, tau)
                    risk = Problem.of(architecture, prior).risk(trial)
                    if risk < base:
                        base, best = risk, trial
                grown = np.zeros((k, k))
                grown[k_a:, k_a:] = np.eye(k_b) - 1 / k_b
                change = []
                for size in (1e-3, 1e-4, 1e-5):
                    moved = _to_sphere(architecture, best + size * grown, tau)
                    change.append(Problem.of(architecture, prior).risk(moved) - base)
                right = right and min(change) > 0
                rows.append({"R": ratio, "M": depth, "risk": base, "change for s_B = 1e-3, 1e-4, 1e-5": change})
        table = []
        for ratio in (2.0, 20.0):
            prior = ClassPrior.step(2, 2, ratio)
            values: dict[str, float] = {}
            values["explicit, M = 2"] = solve(LayerPeeled(1.0, 1.0), prior).value
            searched: dict[str, Architecture] = {
                "M = 3": DeepLinear((4.0, 0.5, 4.0)),
                "M = 4": DeepLinear((4.0, 0.5, 0.5, 4.0)),
                "DEQ, E_A = 0.5": LinearDEQ(1.0, 1.0, 0.95, E_A=0.5),
            }
            for name, searched_one in searched.items():
                values[name] = solve(searched_one, prior, method="search", starts=20).value
            right = right and values["DEQ, E_A = 0.5"] < min(v for n, v in values.items() if not n.startswith("DEQ"))
            table.append({"R": ratio, **values})
        return evidence(
            f"a minority direction of size 1e-3 and less raises the risk at all {len(rows)} settings; at equal budgets the DEQ's best risk is "
            f"{table[0]['DEQ, E_A = 0.5']:.4f} against {table[0]['explicit, M = 2']:.4f} (M = 2) and {table[0]['M = 3']:.4f} (M = 3) at R = 2",
            proofs=[symbolic("deep-collapse-stable")] if min(depths) >= 3 else [],
            numeric=Status.supported if right else Status.inconclusive,
            established_by=(
                f"risks next to collapsed points at {len(rows)} settings",
                "best of a search at equal budgets",
            ),
            details={"collapsed points": rows, "equal budgets": table},
        )

    return Claim(
        id="deep-collapse-stable",
        title="Depth: with three factors collapse is a local minimum at every R",
        statement="For a deep linear network of M ≥ 3 factors with Frobenius budgets a collapsed minimum (at which the budget has a positive price) "
        "is a local minimum at every R, R = 1 included: a new direction of size s costs s^{2/M}, of infinite slope at 0. The DEQ, whose "
        "identity skip keeps the slope finite, leaves collapse at a finite R. Equal budgets: the extra factor's is E_A ≤ 1, and then the "
        "DEQ's feasible logits contain the deep network's.",
        source="Derived here",
        hypotheses=("cross-entropy", "Frobenius budgets", "M ≥ 3"),
        check=check,
        group=GROUP,
    )


def _blend(logits: np.ndarray, prior: ClassPrior, mix: float) -> np.ndarray:
    """Collapsed logits with the minority's common direction scaled."""
    size = prior.groups[0].size
    out = logits.copy()
    out[:, size:] = mix * out[:, size:].mean(axis=1, keepdims=True)
    out[size:, :size] = out[size:, :size].mean(axis=0)
    return np.asarray(out - out.mean(axis=0), dtype=float)


def _to_sphere(architecture: DeepLinear, logits: np.ndarray, tau: float) -> np.ndarray:
    """Scaled so that the gauge, homogeneous of degree 1, equals tau."""
    return np.asarray(logits * tau / architecture.gauge(np.linalg.svd(logits, compute_uv=False)), dtype=float)


# errors in tau ------------------------------------------------------------------------------------------------------


def _squared_errors(k_a: Any, k_b: Any, ratio: Any, unit: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared ETF and self-duality errors and phase at ``tau = K unit``; the formulas of ``enclose_geometry``."""
    found = solve_batch(k_a, k_b, ratio, E_W=1.0, E_H=unit**2)
    k = k_a + k_b
    u, v = found.s_A + k_a * found.d_A, found.s_B + k_b * found.d_B
    t = np.sqrt((k_b * u**2 + k_a * v**2) / k)
    cos = (k_b * u + k_a * v) / k / np.maximum(t, 1e-300)
    e = (k_a - 1) * found.s_A + (k_b - 1) * found.s_B
    across = t * cos**2
    square = (k_a - 1) * found.s_A**2 + (k_b - 1) * found.s_B**2 + across**2
    etf = 2 - 2 * (e + across) / np.sqrt((k - 1) * square)
    duality = 2 - 2 * (e + t * cos) / np.sqrt((e + t) * (e + across))
    return etf, duality, found.phase


def monotone_claim(measure: str, *, smallest_majority: int = 1, phases: tuple[int, ...] = (0, 1, 2)) -> Claim:
    """An error does not rise with tau; self-duality for K_A = 1 or in every phase is a false variant."""
    everywhere = len(phases) == 3

    def check(ctx: Context) -> Evidence:
        count = 1_000_000 if ctx.full else 150_000
        rng = np.random.default_rng(ctx.seed)
        k_a, k_b = rng.integers(smallest_majority, 13, count), rng.integers(2, 13, count)
        ratio, unit = np.exp(rng.uniform(0.01, 9, count)), np.exp(rng.uniform(-2, 2, count))
        step = np.exp(rng.uniform(0.005, 0.5, count))
        before, after = _squared_errors(k_a, k_b, ratio, unit), _squared_errors(k_a, k_b, ratio, unit * step)
        which = 0 if measure == "etf" else 1
        inside = np.isin(before[2], phases) & np.isin(after[2], phases)
        rise = np.where(inside, after[which] - before[which], -np.inf)
        worst = int(rise.argmax())
        rises = int((rise > 1e-9).sum())
        name = "ETF error" if measure == "etf" else "self-duality error"
        return evidence(
            f"{name} rises with τ at {rises} of {int(inside.sum())} random pairs"
            + (
                f", e.g. K_A={k_a[worst]}, K_B={k_b[worst]}, R={ratio[worst]:.4g}, τ/K={unit[worst]:.4g}"
                if rises
                else ""
            ),
            numeric=Status.supported if rises == 0 and inside.sum() > 1000 else Status.inconclusive,
            established_by=(f"search over {count} random pairs (K_A, K_B, R, τ < τ')",),
            details={"pairs": int(inside.sum()), "rises": rises},
        )

    name = "etf-error-monotone" if measure == "etf" else "self-duality-monotone"
    return Claim(
        id=name,
        title="Conjecture that survives: the ETF error does not rise with τ"
        if measure == "etf"
        else "What is left of the conjecture: self-duality improves with τ for K_A ≥ 2, out of collapse",
        statement=f"For the two-group layer-peeled model under CE the {'ETF' if measure == 'etf' else 'self-duality'} error does not rise with τ"
        + ("." if everywhere else f" above the collapse threshold, for K_A ≥ {smallest_majority}."),
        source="Open; searched for counterexamples here",
        hypotheses=(f"K_A ≥ {smallest_majority}, K_B ≥ 2", "cross-entropy", "budgets"),
        check=check,
        group=GROUP,
        region=None if everywhere else "no collapse (phase none) at both τ",
    )


def _duality_counterexample(_: Context) -> Evidence:
    """Certified rises of the self-duality error."""
    rows: list[dict[str, Any]] = []
    statuses = []
    for k_a, k_b, ratio, low, high, phases in (
        (1, 3, 200.0, 1.47, 1.6, ("none", "none")),
        (2, 2, 160.0, 0.44, 0.46, ("total", "partial")),
        (3, 2, 1164.0, 1.15, 1.18, ("partial", "partial")),
    ):
        prior = ClassPrior.step(k_a, k_b, ratio)
        found = [enclose_geometry(LayerPeeled(1.0, unit**2), prior) for unit in (low, high)]
        errors = [Enclosure.of_ball(f.self_duality_error_squared) for f in found]
        status = judge_order(errors[0], errors[1], strict=True)
        statuses.append(status if tuple(f.phase for f in found) == phases else Status.inconclusive)
        rows.append(
            {
                "K_A": k_a,
                "K_B": k_b,
                "R": ratio,
                "τ/K": [low, high],
                "phases": phases,
                "errors": [math.sqrt(max(0.0, e.upper)) for e in errors],
            }
        )
    first = rows[0]["errors"]
    return evidence(
        f"K_A = 1, K_B = 3, R = 200, uncollapsed: self-duality error {first[0]:.5f} at τ/K = 1.47, {first[1]:.5f} at 1.6",
        numeric=combine(statuses),
        universal=False,
        established_by=("enclosures of both optima in ball arithmetic",),
        details={"pairs": rows},
    )


CLAIMS = (
    first_order_claim(),
    Claim(
        id="first-order-converse",
        title="The curvature criterion for a first-order collapse is not necessary",
        statement="That the CE curvature at s_B = 0 exceeds λ²/λ_A per sample does not make collapse continuous: the minimum far from s_B = 0 can "
        "take over first, e.g. K_A = K_B = 5, N = 600, λ_A = 6 N λ², ρ = 0.8.",
        source="Counterexample found here, to the converse of first-order-collapse",
        hypotheses=("symmetric family", "the instance stated"),
        check=_converse,
        group=GROUP,
    ),
    mixing_claim(),
    benign_claim(),
    trapped_claim(),
    depth_claim(),
    monotone_claim("etf"),
    monotone_claim("duality", smallest_majority=2, phases=(0,)),
    Claim(
        id="self-duality-not-monotone",
        title="The conjecture that self-duality improves with τ is false",
        statement="The self-duality error of the two-group layer-peeled model can rise with τ: above the collapse threshold for K_A = 1, and for "
        "K_A ≥ 2 on leaving total collapse and inside the partial phase.",
        source="Counterexamples found here, by search",
        hypotheses=("the pairs listed in the details",),
        check=_duality_counterexample,
        group=GROUP,
    ),
)
