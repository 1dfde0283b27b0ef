"""Residual depth with weight decay: lower bounds by parabolas, and certificates on both sides of where codes take over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from ufm.architectures import Residual
from ufm.certificates import Certificate, CertificationError, certify_residual_code, certify_residual_etf
from ufm.claims._model import Claim, Context, Evidence, Figure, Scope, Status, combine
from ufm.claims._tools import evidence, keep, symbolic
from ufm.landscape.residual_codes import cheapest_sum

__all__ = ["CLAIMS", "certified_claim", "imbalance_claim", "parabola_claim", "three_claim"]

GROUP = "Residual depth with weight decay"

#: Balanced classes, cross-entropy.
BALANCED = Scope(models=("residual-decay",), classes=(3, None), groups=(1, 1), dimension="K - 1")

#: The certified instances by K and L: lambda sqrt(n), c = lambda_A/L where the ETF is optimal, c where a code beats it
#: (None where none is known). All are exact in binary.
Instances = Mapping[tuple[int, int], tuple[float, float, float | None]]
INSTANCES: Instances = {
    (3, 8): (1 / 4, 3 / 4, None),
    (4, 8): (3 / 16, 5 / 4, 7 / 16),
    (5, 8): (5 / 32, 7 / 4, 35 / 64),
    (6, 8): (1 / 8, 5 / 2, 41 / 64),
    (7, 8): (7 / 64, 3.0, 11 / 16),
    (8, 8): (3 / 32, 15 / 4, 49 / 64),
    (9, 8): (11 / 128, 5.0, 51 / 64),
    (10, 8): (5 / 64, 7.0, 57 / 64),
    (4, 64): (3 / 16, 5 / 4, 1 / 2),
    (6, 1): (1 / 8, 3 / 2, 5 / 16),
    (10, 1): (5 / 64, 17 / 4, 5 / 8),
}


def parabola_claim(power: int = 0, bend: float = 1.0, share: float = 1.0, **variant: Any) -> Claim:
    """Parabolas below the price; ``power`` more of 1 + a in A, ``bend`` times kappa, ``share`` times the t of |Z|_F^2."""

    def check(ctx: Context) -> Evidence:
        rng = np.random.default_rng(ctx.seed)
        above, apart, lost = 0.0, 0.0, 0.0
        for depth in (1, 2, 8):
            network, lam = Residual(0.3, 0.2, 0.7, depth), math.sqrt(0.06)
            for a in (0.0, 0.1, 0.5, 2.0):
                slope = lam * (1 + (depth + 1) * a) * (1 + a) ** (power - depth - 1)
                curve = bend * depth * lam**2 / 0.7 * (1 + a) ** (-2 * depth - 2)
                sizes = np.append(np.geomspace(1e-2, 1e4, 60), 0.7 / lam * a * (1 + a) ** (depth + 1))
                prices = np.array([network.gauge(np.array([s])) for s in sizes])
                below = slope * sizes - curve * sizes**2 / 2
                above = max(above, float(((below - prices) / np.maximum(prices, 1e-3)).max()))
                apart = max(apart, abs(prices[-1] - below[-1]) / max(1e-3, prices[-1]))
                for t in (0.3, 1.0):
                    z = rng.standard_normal((4, 4)) + 3 * np.eye(4)
                    norms = np.linalg.svd(z, compute_uv=False)
                    bound = (1 - t) * slope * np.trace(z) - (curve / 2 - share * t * slope / norms[0]) * (z**2).sum()
                    lost = max(lost, float(bound - network.gauge(np.asarray(norms, dtype=float))))
        good = above < 1e-9 and apart < 1e-9 and lost < 1e-9
        return evidence(
            "for L = 1, 2, 8 and a from 0 to 2 the parabolas touch the price and stay below it from s = 0.01 to 10⁴"
            if good
            else f"a parabola is above the price by {above:.1e} of it, apart from it by {apart:.1e}, a bound too large by {lost:.1e}",
            proofs=[symbolic("residual-columns", **variant)] if good or variant else [],
            numeric=Status.supported if good else Status.inconclusive,
            established_by=("prices on a grid", "drawn logits"),
        )

    return Claim(
        id="residual-parabolas",
        title="Residual depth: under the concave price lies a parabola through each of its points, and the objective splits over columns",
        statement="With A = λ (1 + (L + 1) a)/(1 + a)^{L + 1} and κ = L λ²/(λ_A (1 + a)^{2 L + 2}) the price of residual depth satisfies "
        "g(s) ≥ A s − κ s²/2 for all s ≥ 0 and a ≥ 0, with equality at s = (λ_A/λ) a (1 + a)^{L + 1}. "
        "So logits with |Z|₂ ≤ m, one sample of each class, have a weight decay of at least (1 − t) A tr Z − (κ/2 − t A/m) |Z|_F² "
        "for every t from 0 to 1.",
        source="Derived here (theorem residual-columns)",
        scope=BALANCED,
        check=check,
        group=GROUP,
        topic="deq",
        core=False,
    )


def certified_claim(instances: Instances = INSTANCES) -> Claim:
    """The ETF is optimal at one c of each instance and beaten at the other."""
    optimal = ", ".join(f"{c:.6g} (K = {k}, L = {d}, λ √n = {lam:.6g})" for (k, d), (lam, c, _) in instances.items())
    beaten = ", ".join(f"{c:.6g} (K = {k}, L = {d})" for (k, d), (_, _, c) in instances.items() if c is not None)
    ratios = sorted((dear / c, k, d) for (k, d), (_, dear, c) in instances.items() if c is not None)
    gaps = [f"{ratio:.1f} at K = {k} and L = {d}" for ratio, k, d in ratios]
    ks, depths = (sorted({at[i] for at in instances}) for i in range(2))

    return Claim(
        id="residual-depth-certified",
        title="Residual depth: the ETF certified optimal where blocks are dear, and certified beaten where they are cheap",
        statement="With λ = √(λ_W λ_H), n samples of each class and depth L, the simplex ETF is globally optimal at "
        f"λ_A/L = {optimal}, and some factors have a smaller objective than every simplex ETF at the λ √n of the same K and L and "
        f"λ_A/L = {beaten}.",
        source="Certified here; the codes are pairs, with one triangle for odd K",
        scope=replace(BALANCED, classes=(ks[0], ks[-1]), conditions=(f"L = {', '.join(map(str, depths))}",)),
        region=f"between the two, a factor of {gaps[0]} to {gaps[-1]}, optimality is open: the bound of the "
        "columns, each by itself, allows few large singular values with columns that no matrix of that rank has",
        check=partial(_certified, instances),
        group=GROUP,
        topic="deq",
        core=False,
    )


def _certified(instances: Instances, ctx: Context) -> Evidence:
    rows: list[dict[str, object]] = []
    statuses = []
    for i, ((k, depth), (lam, dear, cheap)) in enumerate(instances.items()):
        ctx.progress("certifying both sides", i, len(instances))
        found = ctx.once(f"residual ETF {k} {depth} {dear}", partial(_etf, k, depth, lam, dear))
        code = None
        if cheap is not None:
            code = ctx.once(f"residual code {k} {depth} {cheap}", partial(_code, k, depth, lam, cheap))
        statuses += [
            Status.certified if isinstance(x, Certificate) else Status.inconclusive for x in (found, code) if x
        ]
        for name, certificate in (("residual-etf", found), ("residual-code", code)):
            if isinstance(certificate, Certificate):
                keep(ctx, f"{name}-K{k}-L{depth}", certificate)
        at: dict[str, object] = {"K": k, "L": depth, "lambda sqrt(n)": lam}
        rows.append(at | {"optimal at": dear, "beaten at": cheap, "open": _reasons(found, code)})
    return evidence(
        f"both sides at (K, L) = {', '.join(f'({k}, {depth})' for k, depth in instances)}; at K = 3 the ETF's alone"
        if all(s is Status.certified for s in statuses)
        else "not certified",
        proofs=[symbolic("residual-columns", lemma=True)],
        numeric=combine(statuses),
        universal=False,
        established_by=("ball arithmetic on boxes of |Z|₂", "explicit rational factors, every ETF covered by pieces"),
        details={"points": rows},
        figures=[_figure(instances)],
    )


def _etf(k: int, depth: int, lam: float, strength: float) -> Certificate | str:
    """A certificate that the ETF is optimal, or why there is none."""
    try:
        return certify_residual_etf(Residual(lam, lam, strength * depth, depth), k)
    except CertificationError as reason:
        return str(reason)


def _code(k: int, depth: int, lam: float, strength: float) -> Certificate | str:
    """A certificate that a code beats the ETF, or why there is none."""
    network = Residual(lam, lam, strength * depth, depth)
    try:
        return certify_residual_code(network, cheapest_sum(network, k, etf=False).logits)
    except CertificationError as reason:
        return str(reason)


def _reasons(*found: Certificate | str | None) -> list[str]:
    return [x for x in found if isinstance(x, str)]


def _figure(instances: Instances) -> Figure:
    """The two strengths over K, both certified."""
    shown = {k: strengths for (k, depth), strengths in instances.items() if depth == 8}
    sides = {
        "ETF optimal: certified": [c for _, c, _ in shown.values()],
        "a code beats it: certified": [c for _, _, c in shown.values()],
    }
    return Figure(
        "order-parameter",
        "Residual depth: where the balanced simplex ETF is optimal, and where it is not",
        "At L = 8, K λ √n about 3/4. The boundary lies between the points of each K.",
        {
            "x_label": "classes K",
            "y_label": "strength λ_A/L",
            "series": [
                {"label": label, "line": None, "points": {"x": list(shown), "y": y}} for label, y in sides.items()
            ],
            "thresholds": [],
        },
    )


def _moved(at: int, value: float) -> Instances:
    """The instances with one of the two strengths of K = 4, L = 8 moved."""
    lam, dear, cheap = INSTANCES[4, 8]
    return {**INSTANCES, (4, 8): (lam, value, cheap) if at == 1 else (lam, dear, value)}


#: K = 3, L = 2: lambda sqrt(n) and c = lambda_A/L at which a pair beats the ETF, and the size of the pair.
THREE_CLASSES, THREE_DEPTH = 3, 2
THREE = ((1 / 2, 3 / 32, 0.94), (1 / 2, 1 / 10, 0.9))


def three_claim(instances: tuple[tuple[float, float, float], ...] = THREE, orphan: float = 0.0) -> Claim:
    """A pair and a third class at 0 beat the ETF of three classes; ``orphan`` is the third class's own logit."""

    def check(ctx: Context) -> Evidence:
        statuses, margins = [], []
        for i, (lam, strength, size) in enumerate(instances):
            logits = size * np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
            logits[2] += orphan * np.array([-0.5, -0.5, 1.0])
            try:
                network = Residual(lam, lam, THREE_DEPTH * strength, THREE_DEPTH)
                found = certify_residual_code(network, logits - logits.mean(axis=0))
                keep(ctx, f"residual-three-{i}", found)
                margins.append(float(Fraction(found.claim["statement"]["margin"])))
                statuses.append(Status.certified)
            except CertificationError:
                statuses.append(Status.inconclusive)
        return evidence(
            f"certified margins {', '.join(f'{m:.4f}' for m in margins)}",
            numeric=combine(statuses),
            universal=False,
            established_by=("explicit rational factors, every ETF covered by pieces",),
        )

    where = " and ".join(f"λ √n = {lam:g}, λ_A/L = {c:g}" for lam, c, _ in instances)
    return Claim(
        id="residual-three-classes",
        title="Three classes: residual depth breaks the ETF only where weight decay is strong, by giving one class up",
        statement=f"At K = {THREE_CLASSES} and L = {THREE_DEPTH}, λ = √(λ_W λ_H) and n samples of each class, every simplex ETF has a larger objective, at {where}, "
        "than the logits of a pair of opposite classes with the third at 0, of rank 1.",
        source="Certified here",
        scope=replace(BALANCED, classes=(THREE_CLASSES, THREE_CLASSES), conditions=(f"L = {THREE_DEPTH}",)),
        region=f"at K λ √n = {', '.join(dict.fromkeys(f'{THREE_CLASSES * lam:g}' for lam, *_ in instances))}; at K λ √n < 1, where zero is not "
        "optimal without blocks, no such example is known",
        check=check,
        group=GROUP,
        topic="deq",
        core=False,
    )


#: K_A, K_B, L, N and N^2 lambda^2, the local threshold of n_B, of the imbalanced instance.
IMBALANCED = (2, 3, 4, 84.0, 8.0)

#: Strengths c over K_B N lambda^2, n_B over N^2 lambda^2, and whether the minority is apart at the best symmetric point.
ENDS = ((0.25, 0.6, False), (0.25, 0.8, True), (1.0, 0.9, False), (1.0, 1.1, True), (4.0, 1.0, False), (4.0, 1.1, True))

#: s_B where blocks are cheap and where they are dear, at the second and the last of those.
SCALES = (2.101901666397, 0.273663242476)

#: Relative error of them that is noticed.
NOTICED = 1e-8

#: Values of s_B from which descents start.
STARTS = (0.3, 2.0)

#: Sizes of s_B and of the shared singular value below which a descent has come to a kink.
KINK = 1e-3


def _apart(strength: float, share: float) -> tuple[float, float]:
    """s_B of the best symmetric point found, and by how much it beats every point with s_B = 0; 0 and 0 if none does.

    The price has kinks where s_B, or the singular value that the two groups share, is 0. Between them it is smooth:
    descents run on each piece, and end at the root of its derivative, which no rounding of values blurs.
    """
    k_a, k_b, depth, total, threshold = IMBALANCED
    lam = math.sqrt(threshold) / total
    few = share * threshold
    network = Residual(lam, lam, strength * k_b * total * lam**2 * depth, depth)
    piece = _Symmetric(network, k_a, k_b, (total - k_b * few) / k_a, few)
    start = np.array([4.0, 0.0, 2.0, 1.5])
    flat = [end for free in ([0], [0, 2, 3]) if (end := piece.lowest(free, start))]
    apart = [
        end
        for s_b in STARTS
        for free in ([0, 1], [0, 1, 2, 3])
        if (end := piece.lowest(free, start + s_b * np.array([0, 1, 0, 1])))
    ]
    best = min(apart, default=(math.inf, start), key=lambda end: end[0])
    gain = min(value for value, _ in flat) - best[0]
    return (abs(float(best[1][1])), gain) if gain > 1e-6 else (0.0, 0.0)


class _Symmetric:
    """The objective at logits that treat the classes of a group alike, in (s_A, s_B, y_A, y_B), y = s + K d.

    Classes of a group differ by s_A or s_B, the groups by d_A or d_B in the columns of either; y = 0 where the columns of
    the two groups span nothing in common.
    """

    def __init__(self, network: Residual, k_a: int, k_b: int, many: float, few: float) -> None:
        self.network, self.sizes, self.counts = network, np.array([k_a, k_b]), np.array([many, few])
        self.shares = self.sizes * self.counts / (self.sizes @ self.counts)
        self.times = np.array([k_a - 1, k_b - 1, 1])

    def __call__(self, v: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and derivative; 0 of a kink's own."""
        from scipy.special import expit

        s, y, k = v[:2], v[2:], self.sizes
        own, other = np.log(k - 1), np.log(k[::-1]) - (y - s) / k  # logits of the own group's classes, of the other's
        wrong = np.logaddexp(own, other) - s
        pull, across = self.shares * expit(wrong), expit(other - own)
        within = self.counts * k[::-1] / k.sum()
        shared = math.sqrt(float(within @ y**2))
        sizes = np.append(np.abs(s) * np.sqrt(self.counts), shared)
        a = self.network.equilibrium_spectrum(sizes)
        prices = self.network.lambda_A * (a * (1 + a) + self.network.depth / 2 * a * a)
        slopes = self.times * self.network.slopes(sizes)
        by_s = -pull * (1 - across / k) + slopes[:2] * np.sqrt(self.counts) * np.sign(s)
        by_y = -pull * across / k + (slopes[2] * within * y / shared if shared else 0.0)
        return float(self.shares @ np.logaddexp(0, wrong) + self.times @ prices), np.append(by_s, by_y)

    def lowest(self, free: list[int], start: np.ndarray) -> tuple[float, np.ndarray] | None:
        """Value and place where a descent in the variables ``free`` ends, the others at 0; None if at a kink of theirs."""
        from scipy.optimize import minimize, root

        def at(u: np.ndarray) -> np.ndarray:
            v = np.zeros(4)
            v[free] = u
            return v

        def restricted(u: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = self(at(u))
            return value, slope[free]

        end = minimize(restricted, start[free], jac=True, method="BFGS", options={"gtol": 1e-9})
        exact = root(lambda u: restricted(u)[1], end.x, options={"xtol": 1e-13})
        v = at(exact.x)
        kinks = [abs(v[1])] * (1 in free) + [float(np.linalg.norm(v[2:]))] * (2 in free)
        if min(kinks, default=1.0) < KINK or not np.abs(exact.fun).max() < 1e-11:
            return None
        return self(v)[0], v


def _times(number: float) -> str:
    return "" if number == 1 else f"{number:g} "


def imbalance_claim(factor: float = 1.0, ends: tuple[tuple[float, float, bool], ...] = ENDS) -> Claim:
    """The minority leaves far from 0 where blocks are cheap and near it where they are dear: ``factor`` times as far."""
    k_a, k_b, depth, _, threshold = IMBALANCED
    (cheap, cheap_share, _), (dear, dear_share, _) = ends[1], ends[-1]
    stated = tuple(factor * scale for scale in SCALES)

    def check(ctx: Context) -> Evidence:
        found = {at[:2]: ctx.once(f"residual imbalance {at[0]} {at[1]}", partial(_apart, *at[:2])) for at in ends}
        good = all((found[at[:2]][0] > 0) is at[2] for at in ends)
        scales = found[ends[1][:2]][0], found[ends[-1][:2]][0]
        errors = [abs(scale / said - 1) for scale, said in zip(scales, stated, strict=True)]
        good = good and max(errors) <= NOTICED / 2
        return evidence(
            f"s_B = {scales[0]:.9f} at n_B = {cheap_share:g} N² λ² where blocks are cheap, {scales[1]:.9f} at {dear_share:g} where they "
            f"are dear, off by {max(errors):.1g} at most",
            numeric=Status.supported if good else Status.inconclusive,
            established_by=("descents on every smooth piece of the price, each to the root of the derivative",),
            figures=[_imbalance_figure(found)],
        )

    return Claim(
        id="residual-imbalance",
        title="Two groups behind residual depth: the local threshold stays, the jump comes with cheap blocks",
        statement=f"At K_A = {k_a}, K_B = {k_b}, L = {depth}, N λ = √{threshold:g}, λ = √(λ_W λ_H), among logits that treat the classes "
        f"of a group alike: with λ_A/L = {cheap:g} K_B N λ² the best logits have s_B = 0 at n_B = {ends[0][1]:g} N² λ² and s_B = "
        f"{stated[0]:.9g} at {cheap_share:g} N² λ², below the local threshold N² λ²; with λ_A/L = {dear:g} K_B N λ² they have s_B = 0 at "
        f"n_B = {_times(ends[-2][1])}N² λ² and s_B = {stated[1]:.9g} at {dear_share:g} N² λ².",
        source="Searched here, beside theorems residual-collapse and residual-first-order",
        scope=Scope(
            models=("residual-decay",),
            classes=(5, 5),
            groups=(2, 2),
            minority=2,
            dimension="K - 1",
            symmetric=True,
            conditions=(f"L = {depth}, N λ = √{threshold:g}",),
        ),
        check=check,
        off_by=lambda x: imbalance_claim(1 + x),
        resolution=NOTICED,
        group=GROUP,
        topic="deq",
        core=False,
    )


def _imbalance_figure(found: Mapping[tuple[float, float], tuple[float, float]]) -> Figure:
    """s_B over n_B for each strength."""
    strengths = sorted({strength for strength, _ in found})
    lines = {c: sorted((share, s) for (strength, share), (s, _) in found.items() if strength == c) for c in strengths}
    return Figure(
        "order-parameter",
        "Minority collapse behind residual depth",
        "K_A = 2, K_B = 3, L = 4. Left of N² λ² collapse is a local minimum at every strength; where blocks are cheap a point far from "
        "it is lower already.",
        {
            "x_label": "n_B/(N² λ²)",
            "y_label": "s_B",
            "series": [
                {
                    "label": f"λ_A/L = {c:g} K_B N λ²",
                    "line": None,
                    "points": {"x": [x for x, _ in line], "y": [y for _, y in line]},
                }
                for c, line in lines.items()
            ],
            "thresholds": [{"label": "local threshold", "x": 1.0}],
        },
    )


CLAIMS = (
    replace(
        parabola_claim(),
        variants={
            "residual parabolas: one power of 1 + a more in A": parabola_claim(power=1),
            "residual parabolas: half the bend": parabola_claim(bend=0.5),
            "residual parabolas: twice the share of |Z|_F²": parabola_claim(share=2.0),
        },
        off_by=lambda x: parabola_claim(bend=1 - x),
        resolution=1e-4,
    ),
    replace(
        certified_claim(),
        variants={
            "residual certified: the ETF optimal at 7/16 for K = 4": certified_claim(_moved(1, 7 / 16)),
            "residual certified: a code better at 5/4 for K = 4": certified_claim(_moved(2, 5 / 4)),
            "residual certified: a code better at 0.46 for K = 4": certified_claim(_moved(2, 0.46)),
        },
    ),
    replace(
        three_claim(),
        variants={
            "residual, three classes: at λ √n = 1/4": three_claim(((1 / 4, 3 / 32, 0.94), (1 / 4, 1 / 10, 0.9))),
            "residual, three classes: with dear blocks": three_claim(((1 / 2, 2.0, 0.94), (1 / 2, 3.0, 0.9))),
            "residual, three classes: the third class apart as well": three_claim(orphan=1.0),
        },
    ),
    replace(
        imbalance_claim(),
        variants={
            "residual imbalance: s_B half as large again": imbalance_claim(1.5),
            "residual imbalance: apart at 0.6": imbalance_claim(ends=((0.25, 0.6, True), *ENDS[1:])),
        },
    ),
)
