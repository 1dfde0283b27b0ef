"""Whether a certificate's claim is true, decided without the checker: mpmath at 50 digits on the KKT system.

The solution is verified by strong duality to 35 digits, so a wrong start or a wrong root is an error and not an answer.
"""

from __future__ import annotations

import dataclasses
import json
import math
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
        logits = (s_a, mp.mpf(0), -s_a / k_a, mp.mpf(0))
        assert k * k_b * (r / beta_a) ** 2 + mp.mpf(k_a) / k / beta_b**2 <= 1 + TIGHT
        value = objective(s_a, 0, odds / (1 + odds), mp.mpf(k - 1) / k, 0)
        return {"value": value, "phase": phase, "beta": beta_b, "logits": logits}

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
    logits = (a[0], b[0], (a[1] - a[0]) / k_a, (b[1] - b[0]) / k_b)  # s_A, s_B, d_A, d_B
    return {"value": value, "phase": phase, "beta": beta, "logits": logits}


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


# Geometry, optimality and local minima --------------------------------------------------------------------------------


def geometry(claim: dict[str, Any]) -> tuple[str, mp.mpf, mp.mpf]:
    """Phase and both squared errors, from the definition in blocks, on the groups' unit vectors and beside them."""
    groups = _groups(claim["prior"])
    (k_a, _), (k_b, _) = groups
    k = k_a + k_b
    found = solve_two_groups(claim["architecture"], groups, *_gauge(claim["architecture"], k))
    s_a, s_b, d_a, d_b = found["logits"]
    # logits less the own group's competitors': s + d at the own class, d beside it, 0 across, then columns centred
    root_a, root_b = mp.sqrt(k_a), mp.sqrt(k_b)
    z = mp.matrix([[s_a + k_a * d_a, 0], [0, s_b + k_b * d_b]])  # in the basis of the groups' unit vectors
    unit = mp.matrix([root_a, root_b]) / mp.sqrt(k)
    centre = mp.eye(2) - unit * unit.T
    z = centre * z

    # rank 1 there, u v^T times its size, and so are the Gram matrices' roots: H^T H = (Z^T Z)^(1/2)
    size = mp.sqrt(sum(x**2 for x in z))
    right = z.T * z / size if size > TIGHT else mp.zeros(2)
    features = centre * right * centre
    norm = mp.sqrt((k_a - 1) * s_a**2 + (k_b - 1) * s_b**2 + sum(x**2 for x in features))
    etf = (k_a - 1) * (s_a / norm - 1 / mp.sqrt(k - 1)) ** 2 + (k_b - 1) * (s_b / norm - 1 / mp.sqrt(k - 1)) ** 2
    etf += sum(x**2 for x in features / norm - centre / mp.sqrt(k - 1))
    trace = (k_a - 1) * s_a + (k_b - 1) * s_b
    if size < TIGHT:
        return found["phase"], etf, mp.mpf(0)
    inner = trace + sum((z * centre)[i, i] for i in range(2))
    duality = 2 - 2 * inner / mp.sqrt((trace + size) * (trace + features[0, 0] + features[1, 1]))
    return found["phase"], etf, duality


def _geometry_holds(claim: dict[str, Any]) -> bool:
    phase_found, *errors = geometry(claim)
    said = claim["statement"]
    ends = [[big(x) for x in said[key]] for key in ("etf_error_squared", "self_duality_error_squared")]
    return said["phase"] == phase_found and all(
        low <= x + TIGHT and x - TIGHT <= high for (low, high), x in zip(ends, errors, strict=True)
    )


def _optimality_holds(claim: dict[str, Any]) -> bool:
    """Its value is the ETF's, and E_A is below the least at which a search knows a better code."""
    data, k = claim["architecture"], sum(group["classes"] for group in claim["prior"])
    tau = k * mp.sqrt(big(data["E_W"]) * big(data["E_H"]))
    growth = min((k - 1) * big(data["rho"]), mp.sqrt((k - 1) * big(data["E_A"])))
    value = mp.log1p((k - 1) * mp.exp(-tau / (k - 1 - growth)))
    known = ufm.etf_boundary(k, float(tau), certify=False).estimate
    inside = big(claim["statement"]["lower"]) <= value <= big(claim["statement"]["upper"])
    return bool(inside and float(Fraction(data["E_A"])) < known)


def local_minimum_holds(claim: dict[str, Any], witness: dict[str, Any]) -> bool:
    """Whether Newton steps from the witness reach a point of this value that is a local minimum and not global."""
    from ufm.landscape import TrappedMinimum, classify

    with mp.workdps(DIGITS):
        data, statement = claim["architecture"], claim["statement"]
        counts = [Fraction(group["count"]) for group in claim["prior"] for _ in range(group["classes"])]
        lam = mp.sqrt(big(data["lambda_W"]) * big(data["lambda_H"]))
        strength = (1 - big(data["rho"])) * lam
        k, r, total = len(counts), statement["rank"], sum(counts)
        root = [mp.sqrt(big(n)) for n in counts]
        x = mp.matrix([big(y) for part in ("P", "Q") for row in witness[part] for y in row])

        def parts(x: mp.matrix) -> tuple[mp.mpf, mp.matrix]:
            """F and its gradient."""
            p, q = (mp.matrix(k, r) for _ in range(2))
            for i in range(k * r):
                p[i // r, i % r], q[i // r, i % r] = x[i], x[k * r + i]
            y, g, value = p * q.T, mp.matrix(k, k), strength * mp.fsum(z**2 for z in x) / 2
            for c in range(k):
                odds = [mp.exp((y[i, c] - y[c, c]) / root[c]) for i in range(k)]
                whole, share = mp.fsum(odds), big(counts[c] / total)
                value += share * mp.log(whole)
                for i in range(k):
                    g[i, c] = share / root[c] * (odds[i] / whole - int(i == c))
            by_p, by_q = g * q + strength * p, g.T * p + strength * q
            return value, mp.matrix([m[i, j] for m in (by_p, by_q) for i in range(k) for j in range(r)])

        for _ in range(3):
            slope = parts(x)[1]
            step, size = mp.mpf(10) ** -25, len(x)
            hessian = np.empty((size, size))
            for j in range(size):
                moved = x.copy()
                moved[j] += step
                hessian[:, j] = [float(y) for y in (parts(moved)[1] - slope) / step]
            # floats are enough for a contraction, and the orbit's directions are left alone
            scale = mp.norm(slope)
            if scale:
                back = np.linalg.lstsq(hessian, np.array([float(y / scale) for y in slope]), rcond=1e-8)[0]
                x = x - mp.matrix(back.tolist()) * scale
        value = parts(x)[0]
        p, q = (np.array([float(y) for y in x[m * k * r : (m + 1) * k * r]]).reshape(k, r) for m in (0, 1))
        inside = big(statement["lower"]) <= value + TIGHT and value - TIGHT <= big(statement["upper"])
    found = TrappedMinimum(tuple(map(float, counts)), float(lam), float(Fraction(data["rho"])), p, q)
    point = classify(found.problem, found.factors(r + 1))
    best = ufm.solve(found.problem.architecture, found.problem.prior).value
    return bool(inside and point.kind == "local minimum" and best < point.value * (1 - 1e-9))


def uncollapsed_distance(claim: dict[str, Any], witness: dict[str, Any]) -> Fraction | None:
    """Largest squared distance within a class of features of risk 0 within the budgets; None for others."""
    sizes = [int(Fraction(group["count"])) for group in claim["prior"] for _ in range(group["classes"])]
    w = np.array([[Fraction(x) for x in row] for row in witness["W"]], dtype=object)
    features = [np.array([[Fraction(x) for x in h] for h in rows], dtype=object) for rows in witness["features"]]
    eye = np.eye(len(w), dtype=int)
    right = [len(h) == n and (h @ w.T == row).all() for h, n, row in zip(features, sizes, eye, strict=True)]
    spent_w, spent_h = (w**2).sum() / len(w), sum((h**2).sum() / len(h) for h in features) / len(w)
    data = claim["architecture"]
    if not all(right) or spent_w > Fraction(data["E_W"]) or spent_h > Fraction(data["E_H"]):
        return None
    return max(((x - y) ** 2).sum() for h in features for x in h for y in h)


# Any labels, losses and biases ---------------------------------------------------------------------------------------


def _open_problem(claim: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    """Architecture, labels, loss and bias as arguments of ``ufm.solve``."""
    data, loss = claim["architecture"], dict(claim["loss"])
    if data["name"] == "norm_bounded":
        architecture = ufm.NormBounded(float(Fraction(data["w"])), float(Fraction(data["h"])))
    elif data["name"] == "penalised_deep_linear":
        architecture = ufm.PenalisedDeepLinear(tuple(float(Fraction(x)) for x in data["lambdas"]))
    elif data["name"] == "gain":
        numbers = [float(Fraction(data[key])) for key in ("E_W", "E_H", "rho")]
        architecture = ufm.Gain(*numbers, data["kind"], data.get("depth"))
    else:
        architecture = _architecture({key: value for key, value in data.items() if key != "features"})
        if "features" in data:
            architecture = dataclasses.replace(architecture, features="nonnegative")
    if loss["name"] == "formula":
        targets = [[float(Fraction(x)) for x in row] for row in claim["labels"]["targets"]]
        labels = ufm.Labels(targets, [float(Fraction(n)) for n in claim["labels"]["counts"]])
        bias = claim["bias"] if claim["bias"] in (None, "free") else float(Fraction(claim["bias"]))
        return architecture, labels, _stated_loss(loss["expression"], targets), bias
    given = {
        key: tuple(float(Fraction(x)) for x in value) if isinstance(value, list) else float(Fraction(value))
        for key, value in loss.items()
        if key != "name"
    }
    kinds = {
        "ce": ufm.CrossEntropy,
        "bce": ufm.BinaryCrossEntropy,
        "mse": ufm.MeanSquaredError,
        "squared_hinge": ufm.SquaredHinge,
    }
    targets = [[float(Fraction(x)) for x in row] for row in claim["labels"]["targets"]]
    labels = ufm.Labels(targets, [float(Fraction(n)) for n in claim["labels"]["counts"]])
    bias = claim["bias"] if claim["bias"] in (None, "free") else float(Fraction(claim["bias"]))
    return architecture, labels, kinds[loss["name"]](**given), bias


#: Losses by the expression that writes them, as JSON, each with values and gradients of its own.
WRITTEN: dict[str, ufm.Loss] = {}


def _stated_loss(expression: Any, targets: Any) -> ufm.Loss:
    return WRITTEN.get(json.dumps(expression)) or _Stated(expression, targets)


class _Stated(ufm.Loss):
    """The loss that an expression writes, in torch; bounded by 0 unless random points are below."""

    is_convex = True

    def __init__(self, expression: Any, targets: Any) -> None:
        self.function = stated(expression)
        t = np.array(targets)
        rng = np.random.default_rng(0)
        seen = [self.values(s * rng.normal(size=t.shape), t).min() for s in (0.1, 1.0, 10.0) for _ in range(5)]
        self.infimum = 0.0 if min(seen) >= 0 else -math.inf

    def values(self, logits: Any, targets: Any) -> Any:
        import torch

        return self.function(torch.tensor(logits), torch.tensor(targets)).broadcast_to(logits.shape[1:]).numpy()

    def gradients(self, logits: Any, targets: Any) -> Any:
        import torch

        z = torch.tensor(logits, requires_grad=True)
        return torch.autograd.grad(self.function(z, torch.tensor(targets)).sum(), z)[0].numpy()


def stated(expression: Any) -> Any:
    """The function of logits and targets, (K,) or (K, m), that an expression writes, in torch."""
    import torch

    several = {
        "sum": lambda x: x.sum(0),
        "max": lambda x: x.amax(0),
        "logsumexp": lambda x: torch.logsumexp(x, 0),
        "norm": lambda x: (x**2).sum(0).sqrt(),
    }
    one = {
        "*": lambda x, y: x * y,
        "/": lambda x, y: x / y,
        "power": lambda x, p: x**p,
        "exp": torch.exp,
        "log": torch.log,
        "abs": torch.abs,
        "softplus": lambda x: torch.logaddexp(x, 0 * x),
        "huber": lambda x, d: torch.where(x.abs() <= d, x**2 / 2, d * (x.abs() - d / 2)),
    }

    def value(node: Any, z: Any, t: Any) -> Any:
        if isinstance(node, str):
            return {"z": z, "t": t}[node] if node in "zt" else torch.tensor(float(Fraction(node)), dtype=z.dtype)
        if node[0] == "at":
            return value(node[1], z, t)[node[2]]
        parts = [value(part, z, t) for part in node[1:]]
        if node[0] in one:
            return one[node[0]](*parts)
        if node[0] in several and len(parts) == 1 and parts[0].ndim == z.ndim:
            return several[node[0]](parts[0])
        stack = torch.stack(torch.broadcast_tensors(*parts))
        return stack if node[0] == "list" else several[node[0]](stack)

    return lambda z, t: value(expression, z, t)


def open_value(claim: dict[str, Any]) -> tuple[mp.mpf, mp.mpf]:
    """Bounds of the optimal value: equal to 35 digits in closed forms, of float64 accuracy elsewhere."""
    data, loss, bias = claim["architecture"], claim["loss"], claim["bias"]
    targets = [[big(x) for x in row] for row in claim["labels"]["targets"]]
    counts = [big(n) for n in claim["labels"]["counts"]]
    total, k, m = mp.fsum(counts), len(targets), len(counts)
    one_hot = k == m and all(x == int(i == j) for i, row in enumerate(targets) for j, x in enumerate(row))
    real = "features" not in data and data["name"] != "norm_bounded"
    if loss["name"] == "mse" and real and "lambda_W" in data and bias in (None, "free"):
        # Y = Z D^(1/2) is T D^(1/2), singular values soft-thresholded at N lam; a free bias takes the mean out of T
        strength, q = _gauge(data, k)[1], [mp.sqrt(n / total) for n in counts]
        y = mp.matrix([[t * mp.sqrt(n) for t, n in zip(row, counts, strict=True)] for row in targets])
        if bias == "free":
            y = y - (y * mp.matrix(q)) * mp.matrix(q).T
        small = y.T * y if m <= k else y * y.T
        sigma = [mp.sqrt(max(mp.mpf(0), x)) for x in mp.eigsy(small, eigvals_only=True)]
        cut = total * strength
        value = mp.fsum(min(s, cut) ** 2 / (2 * total) + strength * max(mp.mpf(0), s - cut) for s in sigma)
        return value, value
    if (
        loss == {"name": "ce"}
        and bias is None
        and one_hot
        and data.get("features") == "nonnegative"
        and "lambda_W" in data
    ):
        # the problem separates over classes: z_k = a (e_k - 1/K)
        strength, value = _gauge(data, k)[1], mp.mpf(0)
        for n in counts:
            cost = strength * mp.sqrt(n * (k - 1) / mp.mpf(k))
            odds = cost * total / n  # (K-1) e^-a/(1 + (K-1) e^-a) at the best a
            a = mp.log((k - 1) * (1 - odds) / odds) if odds < mp.mpf(k - 1) / k else mp.mpf(0)
            value += n / total * mp.log1p((k - 1) * mp.exp(-a)) + cost * a
        return value, value
    if loss == {"name": "ce"} and bias is None and one_hot and data["name"] == "norm_bounded" and len(set(counts)) == 1:
        value = mp.log1p((k - 1) * mp.exp(-big(data["w"]) * big(data["h"]) * k / (k - 1)))
        return value, value
    architecture, labels, given, b = _open_problem(claim)
    found = ufm.solve(architecture, labels, given, bias=b)
    return mp.mpf(found.lower) * (1 - mp.mpf("1e-8")), mp.mpf(found.upper) * (1 + mp.mpf("1e-8"))


def _open_value_holds(claim: dict[str, Any]) -> bool:
    low, high = open_value(claim)
    said = big(claim["statement"]["lower"]), big(claim["statement"]["upper"])
    return bool(said[0] <= high * (1 + TIGHT) + TIGHT and low * (1 - TIGHT) - TIGHT <= said[1])


def _collapse_holds(claim: dict[str, Any]) -> bool:
    """By the logits of a solver: equal differences between own and other logits, or not."""
    architecture, labels, loss, bias = _open_problem(claim)
    classes = claim["statement"]["classes"]
    z = ufm.solve(architecture, labels, loss, bias=bias).logits
    columns = [int(np.flatnonzero((labels.targets == np.eye(len(z))[:, [i]]).all(axis=0))[0]) for i in classes]
    block = z[np.ix_(classes, columns)]
    s = np.diag(block).mean() - (block.sum() - np.trace(block)) / (len(classes) * (len(classes) - 1))
    return bool(abs(s) < 1e-6) == claim["statement"]["collapsed"]


def _open_threshold_holds(claim: dict[str, Any]) -> bool:
    """The threshold at a strength divided by kappa."""
    loss = claim["loss"]
    kappa = mp.mpf(1)
    if loss["name"] == "ce":
        kappa = 1 - big(loss.get("smoothing", 0))
        kappa *= big(loss.get("weights", ["1", "1"])[1]) * big(loss.get("scales", ["1", "1"])[1])
    elif loss["name"] == "squared_hinge":
        return False
    data = claim["architecture"]
    decay = Fraction(data["lambda_W"]) / Fraction(str(mp.nstr(kappa, 45))) ** 2
    return _threshold_holds(claim | {"architecture": data | {"lambda_W": str(decay)}, "loss": "ce"})


_HOLDS = {
    "open-value": _open_value_holds,
    "collapse": _collapse_holds,
    "open-threshold": _open_threshold_holds,
    "value": _value_holds,
    "threshold": _threshold_holds,
    "phase": _phase_holds,
    "geometry": _geometry_holds,
    "optimality": _optimality_holds,
}


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


def residual_holds(claim: dict[str, Any], witness: dict[str, Any]) -> bool:
    """Of residual depth: the ETF's objective, that no sum of simplices is known to beat it; or a witness's margin."""
    from ufm.architectures import Residual
    from ufm.landscape.residual_codes import cheapest_sum

    with mp.workdps(DIGITS):
        data, (group,) = claim["architecture"], claim["prior"]
        k, flow = group["classes"], data["depth"] == "inf"
        by_w, by_h, dear = big(data["lambda_W"]), big(data["lambda_H"]) * big(group["count"]), big(data["lambda_A"])
        depth = mp.mpf(1 if flow else data["depth"])
        lam = mp.sqrt(by_w * by_h)

        def stretch(a: mp.mpf) -> mp.mpf:
            return mp.exp(a) if flow else (1 + a) ** depth

        def etf(s: mp.mpf, a: mp.mpf) -> mp.mpf:
            return mp.log1p((k - 1) * mp.exp(-s)) + (k - 1) * (lam * s / stretch(a) + blocks * a * a / 2)

        def slopes(s: mp.mpf, a: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
            fall = 1 if flow else depth / (1 + a)
            return lam / stretch(a) - 1 / (mp.exp(s) + k - 1), blocks * a - lam * s * fall / stretch(a)

        blocks = dear if flow else depth * dear
        sizes, grid = np.linspace(0.05, 20, 200)[:, None], np.linspace(0, 6, 400)[None]
        grown = np.exp(grid) if flow else (1 + grid) ** float(depth)
        values = np.log1p((k - 1) * np.exp(-sizes)) + (k - 1) * (
            float(lam) * sizes / grown + float(blocks) * grid * grid / 2
        )
        at = np.unravel_index(values.argmin(), values.shape)
        value = mp.log(k)
        try:
            value = min(value, etf(*mp.findroot(slopes, (sizes[at[0], 0], max(grid[0, at[1]], 1e-3)))))
        except ValueError:  # none beside 0
            value = min(value, mp.mpf(float(values.min())))
        said = claim["statement"]
        if claim["kind"] == "optimality":
            inside = big(said["lower"]) <= value + TIGHT and value - TIGHT <= big(said["upper"])
            numbers = (float(by_w), float(by_h), float(dear), math.inf if flow else int(depth))
            return inside and (k == 3 or cheapest_sum(Residual(*numbers), k).blocks == (k,))
        w, h = (mp.matrix([[big(x) for x in row] for row in witness[key]]) for key in ("W", "H"))
        maps = [big(x) for x in witness["blocks"]]
        z = w * mp.diag([stretch(a) for a in maps]) * h
        paid = sum(mp.log(sum(mp.exp(z[i, j] - z[j, j]) for i in range(k))) for j in range(k)) / k
        paid += by_w * sum(x * x for x in w) / 2 + by_h * sum(x * x for x in h) / 2
        paid += blocks * sum(a * a for a in maps) / 2
        return bool(big(said["margin"]) <= value - paid)
