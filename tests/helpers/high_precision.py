"""References in 60-digit arithmetic, written from the definitions and sharing no code with the solvers.

``enclosure`` bounds an optimal value by weak duality at given reduced logits, ``threshold`` solves the five KKT
equations of the collapse threshold with layer-peeled budgets.
"""

from __future__ import annotations

from typing import Any

import mpmath as mp

from ufm import ClassPrior, Solution
from ufm.reduction import ReducedLogits

DIGITS = 60


def _nuclear(m: Any) -> Any:
    return mp.fsum(mp.svd_r(m, compute_uv=False)) if m.rows > 1 else abs(m[0, 0])


def _spectral(m: Any) -> Any:
    return max(mp.svd_r(m, compute_uv=False)) if m.rows > 1 else abs(m[0, 0])


def enclosure(
    prior: ClassPrior, logits: ReducedLogits, *, radius: float | None = None, strength: float | None = None
) -> tuple[Any, Any]:
    """``(lower, upper)`` with lower <= optimal value <= upper, for cross-entropy.

    ``upper`` is the objective at the logits (scaled into the ball where there is a radius); ``lower`` is ``-f*(c G)``,
    less ``radius |G|_2`` for a ball, with c = 1 or, for a penalty, ``c = min(1, strength / |G diag(1/omega)|_2)``.
    """
    with mp.workdps(DIGITS):
        size = [group.size for group in prior.groups]
        count = [mp.mpf(group.count) for group in prior.groups]
        total = mp.fsum(k * n for k, n in zip(size, count, strict=True))
        pi = [n / total for n in count]
        g = len(size)
        weight = [mp.mpf(1) if strength is None else mp.sqrt(n) for n in count]
        s = [mp.mpf(float(x)) for x in logits.s]
        m = mp.matrix([[mp.mpf(float(x)) for x in row] for row in logits.trivial])

        def gauge() -> Any:
            standard = mp.fsum(weight[a] * (size[a] - 1) * abs(s[a]) for a in range(g))
            return standard + _nuclear(m * mp.diag(weight))

        if radius is not None and gauge() > radius:
            shrink = mp.mpf(radius) / gauge()
            s, m = [shrink * x for x in s], m * shrink

        columns = []  # per group: probability of one wrong class of every group, and how many there are
        risk = mp.mpf(0)
        for b in range(g):
            t = [(m[a, b] - (s[a] if a == b else 0)) / mp.sqrt(size[a] * size[b]) for a in range(g)]
            odds = [mp.exp(t[a] - t[b] - s[b]) for a in range(g)]
            many = [size[a] - (a == b) for a in range(g)]
            rest = mp.fsum(n * x for n, x in zip(many, odds, strict=True))
            risk += size[b] * pi[b] * mp.log1p(rest)
            columns.append(([x / (1 + rest) for x in odds], many))

        def dual(c: Any) -> Any:
            value = mp.mpf(0)
            for b, (wrong, many) in enumerate(columns):
                miss = mp.fsum(n * c * x for n, x in zip(many, wrong, strict=True))
                entropy = -(1 - miss) * mp.log1p(-miss)
                entropy -= mp.fsum(n * c * x * mp.log(c * x) for n, x in zip(many, wrong, strict=True) if n)
                value += size[b] * pi[b] * entropy
            return value

        block = mp.zeros(g)
        norm = mp.mpf(0)
        for b, (wrong, many) in enumerate(columns):
            miss = mp.fsum(n * x for n, x in zip(many, wrong, strict=True))
            for a in range(g):
                entry = (size[b] - 1) * wrong[b] - miss if a == b else mp.sqrt(size[a] * size[b]) * wrong[a]
                block[a, b] = pi[b] * entry / weight[b]
            if size[b] > 1:  # on the standard representation of group b: diagonal less off-diagonal
                norm = max(norm, pi[b] * (miss + wrong[b]) / weight[b])
        norm = max(norm, _spectral(block))
        if radius is not None:
            return dual(mp.mpf(1)) - mp.mpf(radius) * norm, risk
        return dual(min(mp.mpf(1), mp.mpf(strength) / norm)), risk + mp.mpf(strength) * gauge()


def solution_enclosure(solution: Solution) -> tuple[Any, Any]:
    """``enclosure`` for the problem of a reduced solution, at its logits."""
    problem, logits = solution.problem, solution.info["reduced"]
    if problem.is_constrained:
        return enclosure(problem.prior, logits, radius=problem.radius)
    return enclosure(problem.prior, logits, strength=problem.strength)


def value_error(solution: Solution) -> float:
    """Upper bound of ``|value - optimal value| / optimal value``: distance to the far end of the enclosure."""
    lower, upper = solution_enclosure(solution)
    if lower <= 0:
        return float("inf")
    return float(max(abs(solution.value - lower), abs(solution.value - upper)) / lower)


def threshold(tau: float, k_a: int, k_b: int, start: dict[str, float]) -> Any:
    """R* as an mpf: s_A, d_A, d_B, mu and R from stationarity in s_A, s_B, d_A, d_B at s_B = 0 and ``|Z|_* = tau``.

    The logits' four derivatives of ``f + mu |Z|_*`` are written out from the two-group formulas; the collapse criterion
    ``pi_B = mu`` is not used, it is asserted of the root. For K_A = 1 there is no s_A.

    Args:
        tau: radius.
        k_a, k_b: classes in either group.
        start: rough ``s_a``, ``d_a``, ``d_b`` and ``log_ratio`` for Newton's method.
    """
    with mp.workdps(DIGITS):
        k = k_a + k_b

        def equations(s_a: Any, d_a: Any, d_b: Any, log_mu: Any, log_ratio: Any) -> list[Any]:
            """In units of pi_B: ``log_mu`` is log(mu/pi_B)."""
            mu, ratio = mp.exp(log_mu), mp.exp(log_ratio)
            odds_a = 1 + (k_a - 1) * mp.exp(-s_a) + k_b * mp.exp(-s_a - d_a)
            odds_b = k_b + k_a * mp.exp(-d_b)
            q_a, r_a = mp.exp(-s_a) / odds_a, mp.exp(-s_a - d_a) / odds_a
            q_b, r_b = 1 / odds_b, mp.exp(-d_b) / odds_b
            u, v = s_a + k_a * d_a, k_b * d_b
            size = mp.sqrt((k_b * u**2 + k_a * v**2) / k)
            by_u, by_v = k_b * u / (k * size), k_a * v / (k * size)
            result = [
                -k_a * ratio * k_b * r_a + mu * by_u * k_a,
                -((k_b - 1) * q_b + k_a * r_b) * k_b + mu * (k_b - 1 + by_v),
                -k_a * r_b * k_b + mu * by_v * k_b,
                ((k_a - 1) * s_a + size) / tau - 1,
            ]
            if k_a > 1:
                result.append(-k_a * ratio * ((k_a - 1) * q_a + k_b * r_a) + mu * (k_a - 1 + by_u))
            return result

        first = [mp.mpf(start["d_a"]), mp.mpf(start["d_b"]), mp.mpf(0), mp.mpf(start["log_ratio"])]
        if k_a > 1:
            root = mp.findroot(equations, [mp.mpf(start["s_a"]), *first], tol=mp.mpf(10) ** (10 - 2 * DIGITS))
        else:
            root = mp.findroot(lambda *x: equations(0, *x), first, tol=mp.mpf(10) ** (10 - 2 * DIGITS))
        log_mu, log_ratio = root[len(root) - 2], root[len(root) - 1]
        if abs(log_mu) > mp.mpf(10) ** -30:
            raise ArithmeticError(f"collapse criterion mu = pi_B violated: log(mu/pi_B) = {log_mu}")
        return mp.exp(log_ratio)
