"""When minority collapse is a first-order transition: the Landau expansion of the penalised equilibrium layer.

Setting. Two groups, cross-entropy, the penalty g(s) = lam s - lam^2 s^2/(2 lA) (capped at a = rho) of a singular value;
s = s_B, v = s_B + K_B d_B, n = n_B samples in each of k = K_B >= 2 minority classes, m = K_A, N samples in all, and
q = 1/(k + m e^{-v/k}), the probability of a minority class in a minority column where s = 0.

Statement. In the symmetric family the best objective Phi over all other variables is, near s = 0,

    Phi(0) + (k-1) sqrt(n) (lam - sqrt(n)/N) s + (k-1) n (q/N - lam^2/lA) s^2/2 + O(s^3),

so the collapsed branch is a strict local minimum in s for n < N^2 lam^2 and none for n > N^2 lam^2. Where it ends it is
already beaten, hence the transition is of first order, if lA q < N lam^2; lA <= k N lam^2 is enough, and
lA >= (k + m) N lam^2 excludes it for v >= 0. For n <= (1 - rho)^2 N^2 lam^2 every critical point has s = 0; there may
be several, Z = 0 among them.

Source. New here.

Idea. With v in place of d_B, the slope of the column's loss at s = 0 is -(k-1)/k whatever v is. So all mixed
derivatives vanish there and nothing relaxes to second order; the curvature is a variance.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, argue, at_least, between, everywhere, holds, identity, within

ID = "landau-collapse"

k, m = sp.symbols("K_B K_A", positive=True, integer=True)
lam, lA, n, N, rho, kappa = sp.symbols("lambda lambda_A n N rho kappa", positive=True)
p_s, p_r = sp.symbols("p_s p_r", nonnegative=True)
w = sp.Symbol("w", nonnegative=True)  # e^{v/k} - 1
s, v = sp.symbols("s v", real=True)
LOSS = sp.log(1 + (k - 1) * sp.exp(-s) + m * sp.exp(-s * (1 - 1 / k) - v / k))
SLOPE = -(k - 1) / k
VARIANCE = (k - 1) / k
SIBLING = 1 / (k + m / (1 + w))
DOMAIN = {k: at_least(2), m: at_least(1), w: at_least(0)}


#: What the theorem covers.
SCOPE = (Scope(models=("penalised-deq",), groups=(2, 2), minority=2, dimension="K - 1", symmetric=True),)


def statements(
    *,
    critical: sp.Expr = N**2 * lam**2,
    sufficient: sp.Expr = k * N * lam**2,
    excluded: sp.Expr = (k + m) * N * lam**2,
    persists: sp.Expr = (1 - rho) ** 2 * N**2 * lam**2,
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "branch": f"With λ = √(λ_W λ_H), s_B = 0 is a strict local minimum in s_B of the best value over the other "
        f"variables for "
        f"n_B < {say(critical)} and none for n_B > {say(critical)}; at every critical point s_B = 0 for n_B ≤ "
        f"{say(persists)}.",
        "first order": f"At n_B = {say(critical)}, where the collapsed branch ends, a lower point with s_B > 0 "
        f"exists already if "
        f"λ_A q_B < N λ², q_B the probability of a minority class in a minority column, so always if λ_A ≤ "
        f"{say(sufficient)}.",
        "excluded": f"The curvature in s_B there is not negative for λ_A ≥ {say(excluded)} where v ≥ 0.",
    }


def prove(
    *,
    slope: sp.Expr = SLOPE,
    variance: sp.Expr = VARIANCE,
    critical: sp.Expr = N**2 * lam**2,
    concavity: sp.Expr = lam**2 / lA,
    sufficient: sp.Expr = k * N * lam**2,
    excluded: sp.Expr = (k + m) * N * lam**2,
    persists: sp.Expr = (1 - rho) ** 2 * N**2 * lam**2,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        slope: derivative in s of the loss of a minority column at s = 0.
        variance: its second derivative there, over q.
        critical: n at which the collapsed branch ends.
        concavity: what the penalty takes from the curvature, over (k-1) n.
        sufficient: lA up to which the transition is of first order.
        excluded: lA from which on the curvature is not negative.
        persists: n up to which every critical point has s = 0.
    """
    at_zero = {s: 0}
    q = SIBLING.subs(w, sp.exp(v / k) - 1)
    bernoulli = k**2 * p_s + (k - 1) ** 2 * p_r
    mean = k * p_s + (k - 1) * p_r
    box = {k: at_least(2), m: at_least(1)}
    column = {**box, v: everywhere()}
    weight = n / N  # probability of one minority class
    force = k * weight * slope + (k - 1) * sp.sqrt(n) * lam
    bend = k * weight * SIBLING * variance - (k - 1) * n * concavity
    below, above_it = force.subs(n, kappa * critical), force.subs(n, critical / kappa)
    shares = {kappa: between(0, 1), **box}
    steps = (
        identity("slope of the loss at s = 0, for every v", sp.diff(LOSS, s).subs(at_zero), slope, column),
        identity("so the mixed derivative vanishes there", sp.diff(LOSS, s, v).subs(at_zero), 0, column),
        identity("curvature of the loss at s = 0", sp.diff(LOSS, s, 2).subs(at_zero), q * variance, column),
        identity("force at s = 0", force, (k - 1) * sp.sqrt(n) * (lam - sp.sqrt(n) / N), box),
        holds("positive below the critical n", below, ">", 0, shares),
        holds("negative above it", above_it, "<", 0, shares),
        identity("curvature of the best objective at s = 0", bend, (k - 1) * n * (SIBLING / N - lam**2 / lA), DOMAIN),
        holds(
            "negative at the critical n for lA below the sufficient value",
            bend.subs({lA: kappa * sufficient, n: critical}),
            "<",
            0,
            {**DOMAIN, kappa: between(0, 1)},
        ),
        holds("at the sufficient value itself too", bend.subs({lA: sufficient, n: critical}), "<", 0, DOMAIN),
        holds(
            "not negative there for lA above the excluded value",
            bend.subs({lA: excluded / kappa, n: critical}),
            ">=",
            0,
            {**DOMAIN, kappa: between(0, 1)},
        ),
        # with p_s, p_r the probabilities of the siblings and the other group: E[t^2] - E[t]^2, t in {0, 1, 1 - 1/k}
        holds(
            "the loss is convex in s at fixed v: a variance, k^2 (E[t^2] - E[t]^2), p_0 = 1 - p_s - p_r >= 0",
            bernoulli.subs(p_s, p_s * (1 - p_r)) - (mean.subs(p_s, p_s * (1 - p_r))) ** 2,
            ">=",
            0,
            {p_s: within(0, 1), p_r: within(0, 1), k: at_least(2)},
        ),
        holds(
            "so for n <= persists the force (k-1) sqrt(n) (lam (1 - a) - sqrt(n)/N), a <= rho, is never negative",
            k * weight.subs(n, kappa * persists) * slope
            + (k - 1) * sp.sqrt(kappa) * sp.sqrt(persists / lam**2 / N**2) * N * lam * lam * (1 - rho),
            ">=",
            0,
            {**box, kappa: between(0, 1), rho: between(0, 1)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(
            statements(critical=critical, sufficient=sufficient, excluded=excluded, persists=persists).values()
        ),
        source="new",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue(
                "second-order condition",
                "at n = N^2 lam^2 the slope in s vanishes and the curvature is negative: the collapsed point is no "
                "local minimum there, while for smaller n it is one; another minimum is lower before the branch ends",
            ),
            argue("mean value theorem", "a force that is positive for all s > 0 leaves no critical point there"),
        ),
        uses=("mcp-penalty", "symmetry-reduction"),
    )


MUTANTS: dict[str, dict[str, Any]] = {
    "slope -1/k": {"slope": -1 / k},
    "variance 1/k": {"variance": 1 / k},
    "critical n without the square": {"critical": N * lam},
    "concavity without the square": {"concavity": lam / lA},
    "concavity doubled": {"concavity": 2 * lam**2 / lA},
    "sufficient with K": {"sufficient": (k + m) * N * lam**2},
    "sufficient twice as large": {"sufficient": 2 * k * N * lam**2},
    "excluded from K_B on": {"excluded": k * N * lam**2},
    "persists with 1 - rho": {"persists": (1 - rho) * N**2 * lam**2},
    "persists without rho": {"persists": N**2 * lam**2},
}
