"""Frobenius budget, balanced classes: what a matrix that beats the simplex ETF would have to satisfy, column by column.

Setting. Balanced cross-entropy, K >= 3, n = K - 1, minimise f(Z) over N - b T <= tau with N = |Z|_*, T = |Z|_F, 0 < b
< 1; columns centred; alpha (n - b sqrt(n)) = tau, T_e = sqrt(n) alpha; S = tr Z, w = N - S, s_k = (K/n) Z_kk, o_k^2 =
|z_k|^2 - (n/K) s_k^2 = n (n-1) d_k^2, p_k = |Z|_kk with |Z| = (Z^T Z)^{1/2}.

Statement. A minimiser with f below the ETF's log(1 + n e^{-alpha}) has N = tau + b T, T_e < T <= tau/(1-b), 0 <= w <
b (T - T_e), and with |Z|_2 <= N/n + sqrt((n-1)/n (T^2 - N^2/n)) =: sigma each column obeys
    loss_k >= log(1 + e^{-s_k} (e^{-(n-1) d_k} + (n-1) e^{d_k})),
    |z_k|^2 <= sigma p_k,   sqrt(p_k) <= sqrt(w/2) + sqrt(w/2 + Z_kk),   |z_k - (S/n) P_k|^2 <= T^2 - S^2/n,
and for all kappa, lam: f >= (1/K) sum_k [loss_k + lam s_k - kappa |z_k|^2] + kappa T^2/K - lam S/n. So the ETF is
optimal where that is at least its risk for every column and every (T, w), which balls decide for given K, tau, E_A.

Source. New here; the equal-variable theorem is Cirtoaje 2007.

Idea. Polar decomposition Z = U |Z|: w = tr((I - U)|Z|) = |(I - U)|Z|^{1/2}|_F^2/2 bounds |Z|_kk - Z_kk.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from proofs_check.notation import say
from proofs_check.scope import Scope, hypotheses
from proofs_check.theorems._kernel import Proof, above, argue, at_least, between, holds, identity

ID = "frobenius-budget-etf"

n, b, tau, t, w, p, z, sigma, N, T, s, d = sp.symbols("n b tau t w p z sigma N T s d", positive=True)
c, a = sp.symbols("c a", positive=True)


#: What the theorem covers.
SCOPE = (
    Scope(models=("frobenius-deq",), classes=(3, None), groups=(1, 1), dimension="K - 1", conditions=("E_A < 1",)),
)


def statements(
    *,
    largest: sp.Expr = N / n + sp.sqrt((n - 1) / n * (T**2 - N**2 / n)),
    defect: sp.Expr = sp.sqrt(2 * w * p),
    deviation: sp.Expr = n * (n - 1) * d**2,
    **_: Any,
) -> dict[str, str]:
    """What the theorem says, by part, with these pieces; see :func:`prove`."""
    return {
        "columns": "With n = K − 1, N = |Z|_*, T = |Z|_F, w = N − tr Z and p = |Z|_kk, logits that beat the simplex "
        "ETF "
        f"have |Z|₂ ≤ {say(largest)} and p − Z_kk ≤ {say(defect)}; a column with one margin s + (n − 1) d and the "
        f"others "
        f"s − d has |z|² − n s²/K = {say(deviation)}.",
    }


def prove(
    *,
    largest: sp.Expr = N / n + sp.sqrt((n - 1) / n * (T**2 - N**2 / n)),
    defect: sp.Expr = sp.sqrt(2 * w * p),
    deviation: sp.Expr = n * (n - 1) * d**2,
    entropy: sp.Expr = -a * sp.log(a) - (1 - a) * sp.log(1 - a),
    cubic: sp.Expr = 1 + (n - 1) * d**2 / 2 - (n - 1) * (n - 2) * d**3 / 6,
    slope: sp.Expr = b,
) -> Proof:
    """Prove the statement with these pieces.

    Args:
        largest: bound of |Z|_2 in n, N and T.
        defect: bound of |Z|_kk - Z_kk in w and p = |Z|_kk.
        deviation: o^2 of margins s + (n-1) d once and s - d else.
        entropy: H(a) with log(1 + e^y) >= H(a) + a y.
        cubic: Taylor polynomial below (e^{-(n-1) d} + (n-1) e^d)/n.
        slope: of the bound n alpha + slope (T - T_e) of N.
    """
    root = sp.sqrt(n)
    alpha = tau / (n - b * root)
    m1, m2 = s + (n - 1) * d, s - d
    odds = sp.Symbol("u", positive=True)  # e^y
    touch = sp.log(1 + odds) - a * sp.log(odds)
    x = sp.Symbol("x", positive=True)
    steps = (
        identity("N = tau + b T at T_e: n alpha", tau + b * root * alpha, n * alpha, _SMALL),
        identity("so N - n alpha = b (T - T_e)", (tau + b * T) - n * alpha, slope * (T - root * alpha), _SMALL),
        holds("T <= N gives T <= tau/(1-b): (1-b) > 0", 1 - b, ">", 0, {b: between(0, 1)}),
        # (N - sigma)^2 <= (n-1)(T^2 - sigma^2) is a quadratic in sigma with this larger root.
        identity(
            "the bound of |Z|_2 solves (N - x)^2 = (n-1)(T^2 - x^2)",
            (N - largest) ** 2,
            (n - 1) * (T**2 - largest**2),
            {n: above(1), N: between(0, 1), T: at_least(1)},
        ),
        identity(
            "sqrt(p) - sqrt(w/2) squared, from p - Z_kk <= defect",
            (sp.sqrt(p) - sp.sqrt(w / 2)) ** 2,
            p - defect + w / 2,
        ),
        # |x - y|^2 of unit vectors: (I-U)^T (I-U) = 2 I - U - U^T, so half of |(I-U) M|^2 is tr(|Z| - Z).
        identity("|1 - u|^2 = 2 - 2 Re u for |u| = 1, u = (1 - x^2 + 2 i x)/(1 + x^2)", _chord(x), 0),
        identity("margins s + (n-1) d and n-1 times s - d: mean", m1 + (n - 1) * m2, n * s),
        identity("and variance about the mean", (m1 - s) ** 2 + (n - 1) * (m2 - s) ** 2, deviation),
        identity("their exponentials", sp.exp(-m1) + (n - 1) * sp.exp(-m2), sp.exp(-s) * _h()),
        # For margins m of a centred column |z|^2 = sum m^2 - (sum m)^2/K and sum m = K Z_kk = n s.
        identity("|z_k|^2 = o_k^2 + (n/K) s_k^2", c + n * s**2 - (n * s) ** 2 / (n + 1), c + n / (n + 1) * s**2),
        identity("mean of s_k is S/n: (1/K)(K/n) tr Z", (n + 1) / n / (n + 1), 1 / n),
        identity("log(1 + e^y) - a y touches H(a) at e^y = a/(1-a)", touch.subs(odds, a / (1 - a)), entropy, _SHARE),
        identity("with derivative 0 in y there", (odds * sp.diff(touch, odds)).subs(odds, a / (1 - a)), 0, _SHARE),
        holds("and convex in y", sp.diff(odds * sp.diff(touch, odds), odds) * odds, ">", 0),
        *(
            identity(
                f"Taylor coefficient {i} of h/n", sp.diff(_h() / n, d, i).subs(d, 0), sp.diff(cubic, d, i).subs(d, 0)
            )
            for i in range(4)
        ),
        holds(
            "fourth derivative of h/n, with E = e^{-(n-1) d} and F = e^d",
            sp.diff(_h() / n, d, 4),
            ">",
            0,
            {n: above(1)},
            {sp.exp(-d * (n - 1)): sp.Symbol("E", positive=True), sp.exp(d): sp.Symbol("F", positive=True)},
        ),
    )
    return Proof(
        id=ID,
        statement=" ".join(statements(largest=largest, defect=defect, deviation=deviation).values()),
        source="new; linear equilibrium layer with a Frobenius budget",
        hypotheses=hypotheses(SCOPE),
        steps=steps,
        arguments=(
            argue("extreme value theorem", "N - b T >= (1-b) N bounds the set, so there is a minimiser"),
            argue(
                "convex optimality",
                "f is convex without a stationary point (its infimum 0 is not attained), so the constraint is active "
                "there: N = tau + b T",
            ),
            argue("Jensen", "f >= log(1 + n e^{-S/n}): below the ETF's risk S > n alpha, so N > n alpha and T > T_e"),
            argue("von Neumann", "S = tr(Z P) <= N, so w >= 0"),
            argue(
                "Cauchy-Schwarz",
                "the other singular values, at most n - 1, have sum N - |Z|_2 and square sum T^2 - |Z|_2^2; "
                "p_k - Z_kk = <row k of (I-U) M, M e_k> <= sqrt(2 w) sqrt(p_k), M = |Z|^{1/2}; "
                "|z_k|^2 = e_k^T |Z|^2 e_k <= |Z|_2 p_k",
            ),
            argue("Pythagoras", "|Z - (S/n) P|_F^2 = T^2 - S^2/n, and a column is at most the whole"),
            argue(
                "equal variables",
                "of n margins with given sum and square sum one larger and n-1 equal ones have the least sum of e^{-m}",
            ),
            argue("gradient inequality", "log(1 + e^y) >= H(a) + a y"),
            argue("mean value theorem", "h/n is at least its Taylor polynomial of degree 3 for d >= 0"),
        ),
        uses=("frobenius-gauge",),
    )


_SHARE = {a: between(0, 1)}
_SMALL = {b: between(0, 1), n: at_least(2)}


def _h() -> sp.Expr:
    return sp.exp(-(n - 1) * d) + (n - 1) * sp.exp(d)


def _chord(x: sp.Symbol) -> sp.Expr:
    re, im = (1 - x**2) / (1 + x**2), 2 * x / (1 + x**2)
    return (1 - re) ** 2 + im**2 - (2 - 2 * re)


MUTANTS: dict[str, dict[str, Any]] = {
    "|Z|_2 without (n-1)/n": {"largest": N / n + sp.sqrt(T**2 - N**2 / n)},
    "|Z|_2 = N/n": {"largest": N / n},
    "defect sqrt(w p)": {"defect": sp.sqrt(w * p)},
    "defect 2 w": {"defect": 2 * w},
    "deviation with n^2": {"deviation": n**2 * d**2},
    "entropy halved": {"entropy": -a * sp.log(a) / 2 - (1 - a) * sp.log(1 - a) / 2},
    "entropy of one outcome": {"entropy": -a * sp.log(a)},
    "cubic with the other sign": {"cubic": 1 + (n - 1) * d**2 / 2 + (n - 1) * (n - 2) * d**3 / 6},
    "slope b^2": {"slope": b**2},
}
