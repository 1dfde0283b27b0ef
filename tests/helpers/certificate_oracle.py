"""Whether a certificate's claim is true, decided without the checker: mpmath at 50 digits on the KKT system.

The solution is verified by strong duality to 35 digits, so a wrong start or a wrong root is an error and not an answer.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath as mp
import numpy as np

import ufm

DIGITS = 50
TIGHT = mp.mpf(10) ** -35


def big(value: Any) -> mp.mpf:
    x = Fraction(value)
    return mp.mpf(x.numerator) / mp.mpf(x.denominator)


def holds(claim: dict[str, Any]) -> bool:
    """Whether the claim is true; raises if this oracle cannot tell."""
    with mp.workdps(DIGITS):
        return _HOLDS[claim["kind"]](claim)


def _architecture(data: dict[str, Any]) -> Any:
    given = {
        key: [float(Fraction(x)) for x in v] if isinstance(v, list) else float(Fraction(v))
        for key, v in data.items()
        if key != "name"
    }
    return {
        "layer_peeled": ufm.LayerPeeled,
        "linear_deq": ufm.LinearDEQ,
        "deep_linear": ufm.DeepLinear,
        "unconstrained_features": ufm.UnconstrainedFeatures,
        "penalised_deq": ufm.PenalisedDEQ,
    }[data["name"]](**given)


def _gauge(data: dict[str, Any], k: int) -> tuple[mp.mpf | None, mp.mpf | None]:
    """(radius, None) or (None, strength)."""
    shrink = 1 - big(data.get("rho", 0))
    if data["name"] == "deep_linear":
        return mp.sqrt(big(data["budgets"][0]) * big(data["budgets"][1])), None
    if "E_W" in data:
        return k * mp.sqrt(big(data["E_W"]) * big(data["E_H"])) / shrink, None
    return None, mp.sqrt(big(data["lambda_W"]) * big(data["lambda_H"])) * shrink


def _groups(prior: list[dict[str, Any]]) -> list[tuple[int, Fraction]]:
    merged: dict[Fraction, int] = {}
    for group in prior:
        merged[Fraction(group["count"])] = merged.get(Fraction(group["count"]), 0) + group["classes"]
    return [(merged[n], n) for n in sorted(merged, reverse=True)]


# Values -------------------------------------------------------------------------------------------------------------


def _value_holds(claim: dict[str, Any]) -> bool:
    low, high = big(claim["statement"]["lower"]), big(claim["statement"]["upper"])
    value = optimal_value(claim)
    if isinstance(value, tuple):  # floating point only: three groups or more
        return low <= value[1] and value[0] <= high
    return low <= value + TIGHT * abs(value) and value - TIGHT * abs(value) <= high


def optimal_value(claim: dict[str, Any]) -> mp.mpf | tuple[float, float]:
    """The optimal value to 35 digits, or bounds of it for cross-entropy with more than two groups."""
    groups = _groups(claim["prior"])
    radius, strength = _gauge(claim["architecture"], sum(k for k, _ in groups))
    if claim["loss"] == "mse":
        return mse_value(groups, radius, strength)
    if len(groups) == 1:
        return balanced_value(*groups[0], radius, strength)
    if len(groups) == 2:
        return solve_two_groups(claim["architecture"], groups, radius, strength)["value"]
    prior = ufm.ClassPrior([float(n) for k, n in groups for _ in range(k)])
    found = ufm.solve(_architecture(claim["architecture"]), prior, "ce")
    return found.lower * (1 - 1e-9), found.upper * (1 + 1e-9)


def balanced_value(k: int, n: Fraction, radius: mp.mpf | None, strength: mp.mpf | None) -> mp.mpf:
    if radius is not None:
        return mp.log1p((k - 1) * mp.exp(-radius / (k - 1)))
    beta = k * strength * mp.sqrt(big(n))
    s = mp.log1p((1 - beta) * k / beta) if beta < 1 else mp.mpf(0)
    return mp.log1p((k - 1) * mp.exp(-s)) + strength * mp.sqrt(big(n)) * (k - 1) * s


def mse_value(groups: list[tuple[int, Fraction]], radius: mp.mpf | None, strength: mp.mpf | None) -> mp.mpf:
    total = sum(k * n for k, n in groups)
    pi = [big(n / total) for _, n in groups]
    omega = [mp.sqrt(big(n)) if radius is None else mp.mpf(1) for _, n in groups]
    mu = strength
    if radius is not None:
        if radius >= sum(k for k, _ in groups):
            return mp.mpf(0)
        low, high = mp.mpf(0), max(pi)
        for _ in range(200):
            mu = (low + high) / 2
            used = sum(k * max(0, 1 - mu / p) for (k, _), p in zip(groups, pi, strict=True))
            low, high = (mu, high) if used > radius else (low, mu)
    z = [max(mp.mpf(0), 1 - mu * w / p) for w, p in zip(omega, pi, strict=True)]
    value = sum(k * p * (1 - x) ** 2 for (k, _), p, x in zip(groups, pi, z, strict=True)) / 2
    if radius is None:
        value += strength * sum(k * w * x for (k, _), w, x in zip(groups, omega, z, strict=True))
    return value


def _side(k: int, other: int, beta: mp.mpf, cos: mp.mpf, collapsed: bool) -> tuple[mp.mpf, ...]:
    """(s, w, q, r) of a group: w = u or v."""
    r = beta * cos / mp.sqrt((k + other) * other)
    if k == 1 or collapsed:
        q = (1 - other * r) / k
        return mp.mpf(0), k * mp.log(q / r), q, r
    q = beta * (1 - mp.sqrt(mp.mpf(other) / (k + other)) * cos) / k
    s = mp.log((q + 1 - beta) / q)
    return s, s + k * mp.log(q / r), q, r


def solve_two_groups(
    architecture: dict[str, Any], groups: list[tuple[int, Fraction]], radius: mp.mpf | None, strength: mp.mpf | None
) -> dict[str, Any]:
    """Value, phase and mu/pi_B of the two-group optimum under cross-entropy."""
    (k_a, n_a), (k_b, n_b) = groups
    k, total = k_a + k_b, k_a * n_a + k_b * n_b
    pi_a, pi_b = big(n_a / total), big(n_b / total)
    o_a, o_b = (mp.mpf(1), mp.mpf(1)) if radius is not None else (mp.sqrt(big(n_a)), mp.sqrt(big(n_b)))
    prior = ufm.ClassPrior([float(n_a)] * k_a + [float(n_b)] * k_b)
    start = ufm.solve(_architecture(architecture), prior, "ce", method="reduced")
    phase = start.phase
    flat = phase == "total" or not start.info["reduced"].trivial.any()  # a single minority class can vanish, too
    mu = strength if radius is None else mp.mpf(start.multiplier)

    def objective(s_a: Any, s_b: Any, miss_a: Any, miss_b: Any, size: Any) -> mp.mpf:
        risk = -k_a * pi_a * mp.log1p(-miss_a) - k_b * pi_b * mp.log1p(-miss_b)
        gauge = o_a * (k_a - 1) * s_a + o_b * (k_b - 1) * s_b + size
        return risk if radius is not None else risk + strength * gauge

    if flat:
        if radius is not None:
            s_a = radius / (k_a - 1)
        elif strength * o_a / pi_a >= 1 or k_a == 1:
            s_a = mp.mpf(0)
        else:
            low, high = mp.mpf(0), mp.mpf(1000)
            for _ in range(200):
                s_a = (low + high) / 2
                excess = _total_beta(k_a, k_b, s_a) - strength * o_a / pi_a
                low, high = (s_a, high) if excess > 0 else (low, s_a)
        odds = (k_a - 1) * mp.exp(-s_a) + k_b * mp.exp(-s_a * (1 - mp.mpf(1) / k_a))
        r = mp.exp(-s_a * (1 - mp.mpf(1) / k_a)) / (1 + odds)
        beta_a = _total_beta(k_a, k_b, s_a) if radius is not None else strength * o_a / pi_a
        mu = beta_a * pi_a / o_a
        beta_b = mu * o_b / pi_b
        assert k * k_b * (r / beta_a) ** 2 + mp.mpf(k_a) / k / beta_b**2 <= 1 + TIGHT
        value = objective(s_a, 0, odds / (1 + odds), mp.mpf(k - 1) / k, 0)
        return {"value": value, "phase": phase, "beta": beta_b}

    reduced = start.info["reduced"]
    t0 = mp.mpf(float(_angle(reduced.trivial, k_a, k_b, float(o_a), float(o_b))))

    def unknown(log_mu: mp.mpf, t: mp.mpf) -> tuple[Any, ...]:
        m, cos, sin = mp.exp(log_mu), 1 / mp.sqrt(1 + mp.exp(2 * t)), 1 / mp.sqrt(1 + mp.exp(-2 * t))
        a = _side(k_a, k_b, m * o_a / pi_a, cos, False)
        b = _side(k_b, k_a, m * o_b / pi_b, sin, phase != "none")
        size = mp.sqrt((k_b * (o_a * a[1]) ** 2 + k_a * (o_b * b[1]) ** 2) / k)
        angle = mp.log(o_a * mp.sqrt(k_b) * a[1]) - mp.log(o_b * mp.sqrt(k_a) * b[1]) + t
        gauge = o_a * (k_a - 1) * a[0] + o_b * (k_b - 1) * b[0] + size
        return a, b, size, angle, gauge

    if radius is None:
        log_mu = mp.log(mu)
        # the second point of the secant method close by: a default step can leave the simplex, where logs are complex
        starts = (t0, t0 + mp.mpf(10) ** -6)
        t = mp.findroot(lambda x: unknown(log_mu, x)[3], starts, tol=mp.mpf(10) ** -80)
    else:
        found = mp.findroot(
            lambda x, y: [unknown(x, y)[4] - radius, unknown(x, y)[3]], (mp.log(mu), t0), tol=mp.mpf(10) ** -80
        )
        log_mu, t = found[0], found[1]
    a, b, size, _, _ = unknown(log_mu, t)
    mu = mp.exp(log_mu)
    beta = mu * o_b / pi_b
    miss_a, miss_b = (k_a - 1) * a[2] + k_b * a[3], (k_b - 1) * b[2] + k_a * b[3]
    assert k_b == 1 or (beta < 1 if phase == "none" else beta >= 1)
    value = objective(a[0], b[0], miss_a, miss_b, size)
    entropy = _entropy(k_a * pi_a, miss_a, [(k_a - 1, a[2]), (k_b, a[3])])
    entropy += _entropy(k_b * pi_b, miss_b, [(k_b - 1, b[2]), (k_a, b[3])])
    dual = entropy if radius is None else entropy - radius * mu
    assert abs(value - dual) <= TIGHT * value, "strong duality fails: the oracle has no solution"
    return {"value": value, "phase": phase, "beta": beta}


def _total_beta(k_a: int, k_b: int, s: mp.mpf) -> mp.mpf:
    q = 1 / (mp.exp(s) + (k_a - 1) + k_b * mp.exp(s / k_a))
    return k_a * q + k_b * q * mp.exp(s / k_a)


def _entropy(mass: mp.mpf, miss: mp.mpf, parts: list[tuple[int, mp.mpf]]) -> mp.mpf:
    return -mass * ((1 - miss) * mp.log1p(-miss) + sum(m * x * mp.log(x) for m, x in parts if m))


def _angle(trivial: np.ndarray, k_a: int, k_b: int, o_a: float, o_b: float) -> float:
    """log tan(theta) from the trivial block, whose columns are proportional to u and v."""
    u, v = abs(trivial[1, 0]), abs(trivial[0, 1])
    return float(np.log(o_b * v) - np.log(o_a * u) + 0.5 * np.log(k_a / k_b))


# Thresholds, phases and counterexamples ------------------------------------------------------------------------------


def threshold(claim: dict[str, Any]) -> mp.mpf:
    """R*, possibly infinite."""
    k_a, k_b = claim["prior"]["majority_classes"], claim["prior"]["minority_classes"]
    k = k_a + k_b
    radius, strength = _gauge(claim["architecture"], k)
    if strength is not None:
        ((held, value),) = claim["prior"]["fixed"].items()
        n = big(value)
        if held == "num_samples":
            ratio = (1 / (n * strength**2) - k_b) / k_a
        elif held == "minority_count":
            ratio = (1 / (strength * mp.sqrt(n)) - k_b) / k_a
        else:  # sqrt(n_B) is the smaller root of strength (K_A n_A + K_B x^2) = x
            disc = 1 - 4 * strength**2 * k_a * k_b * n
            ratio = mp.mpf(1) if disc < 0 else n / ((1 - mp.sqrt(disc)) / (2 * strength * k_b)) ** 2
        return max(mp.mpf(1), ratio)
    if claim["loss"] == "mse":
        return mp.inf if radius >= k_a else 1 / (1 - radius / k_a)

    def curve(t: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
        cos, sin = 1 / mp.sqrt(1 + mp.exp(2 * t)), 1 / mp.sqrt(1 + mp.exp(-2 * t))
        _, v, _, _ = _side(k_b, k_a, mp.mpf(1), sin, True)
        u = mp.sqrt(mp.mpf(k_a) / k_b) * v * cos / sin
        size = mp.sqrt((k_b * u**2 + k_a * v**2) / k)
        # at mu = pi_B: 1/R = beta_A solves the majority's own equation w(beta_A) = u
        q = (1 - mp.sqrt(mp.mpf(k_b) / k) * cos) / k_a
        d = mp.log(q * mp.sqrt(k * k_b) / cos)
        s = u - k_a * d
        return (k_a - 1) * s + size, (1 - q) + q * mp.exp(s)

    low, high = mp.log(mp.mpf(k_a) / k_b) / 2 - 2000, mp.log(mp.mpf(k_a) / k_b) / 2
    for _ in range(220):
        middle = (low + high) / 2
        low, high = (middle, high) if curve(middle)[0] > radius else (low, middle)
    return curve((low + high) / 2)[1]


def _threshold_holds(claim: dict[str, Any]) -> bool:
    ratio = threshold(claim)
    if "infinite" in claim["statement"]:
        return ratio == mp.inf
    low, high = big(claim["statement"]["lower"]), big(claim["statement"]["upper"])
    return low <= ratio * (1 + TIGHT) and ratio * (1 - TIGHT) <= high


def phase(claim: dict[str, Any]) -> str:
    """The phase of the optimum."""
    groups = _groups(claim["prior"])
    if len(groups) == 1:
        return "none"  # equal counts: as in the balanced problem with budgets
    (k_a, n_a), (k_b, n_b) = groups
    k, total = k_a + k_b, k_a * n_a + k_b * n_b
    radius, strength = _gauge(claim["architecture"], k)
    if strength is not None and big(n_b) > strength**2 * big(total) ** 2:
        return "none"
    if claim["loss"] == "mse":
        if radius is not None and radius > k_a * (1 - big(n_b) / big(n_a)):
            return "none"
        return "total"
    return solve_two_groups(claim["architecture"], groups, radius, strength)["phase"]


def _phase_holds(claim: dict[str, Any]) -> bool:
    return claim["statement"]["phase"] == phase(claim)


_HOLDS = {"value": _value_holds, "threshold": _threshold_holds, "phase": _phase_holds}


def counterexample_margin(claim: dict[str, Any], witness: dict[str, Any]) -> mp.mpf:
    """Advantage over the best ETF of a witness within its budgets; minus infinity for one that is not."""
    with mp.workdps(DIGITS):
        k = claim["prior"][0]["classes"]
        data = claim["architecture"]

        def read(rows: list[list[str]]) -> mp.matrix:
            return mp.matrix([[big(x) for x in row] for row in rows])

        def norm2(m: mp.matrix) -> mp.mpf:
            return sum(x**2 for x in m)

        if data["name"] == "linear_deq":
            e_w, e_h, rho, e_a = (big(data[key]) for key in ("E_W", "E_H", "rho", "E_A"))
            w, a, h = (read(witness[key]) for key in ("W", "A", "H"))
            within = norm2(w) <= k * e_w and norm2(h) <= k * e_h and norm2(a) <= e_a
            within = within and max(mp.svd_r(a, compute_uv=False)) <= rho * (1 + TIGHT)
            z = w * mp.inverse(mp.eye(a.rows) - a) * h
            sigma = k * mp.sqrt(e_w * e_h) / (k - 1 - min((k - 1) * rho, mp.sqrt((k - 1) * e_a)))
        else:
            budgets = [big(c) for c in data["budgets"]]
            factors = [read(m) for m in witness["factors"]]
            within = all(norm2(m) <= c for m, c in zip(factors, budgets, strict=True))
            z = factors[0]
            for m in factors[1:]:
                z = z * m
            sigma = mp.sqrt(mp.fprod(budgets)) / mp.mpf(k - 1) ** (mp.mpf(len(budgets)) / 2)
        risk = sum(mp.log(sum(mp.exp(z[i, j] - z[j, j]) for i in range(k))) for j in range(k)) / k
        return mp.log1p((k - 1) * mp.exp(-sigma)) - risk if within else -mp.inf
