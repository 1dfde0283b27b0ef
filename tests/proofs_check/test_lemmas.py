"""The classical inequalities that the theorems assume, attacked numerically; each attack must catch a false version."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from proofs_check.theorems._kernel import LEMMAS

EPS = np.finfo(float).eps
#: Rounding of an n x n singular value decomposition and the few operations after it, in units of EPS times the scale.
ROUNDING = 400

Array = np.ndarray
#: (left, right, scale): the lemma says left <= right; scale bounds the numbers that rounding acts on.
Instances = Iterable[tuple[float, float, float]]

#: Theorems of analysis and algebra that no finite sample can attack.
TEXTBOOK = {
    "mean value theorem",
    "intermediate value theorem",
    "extreme value theorem",
    "second-order condition",
    "convexity by Hessian",
    "Berge",
    "square root by resolvents",
    "Radon",
}


def singular(x: Array) -> Array:
    return np.linalg.svd(x, compute_uv=False)


def von_neumann(x: Array, y: Array, broken: bool = False) -> Instances:
    a, b = singular(x), singular(y)
    right = float(a @ (b[::-1] if broken else b))
    yield abs(float(np.trace(x @ y))), right, float(a.sum() * b.sum())


def gelfand_naimark(x: Array, y: Array, broken: bool = False) -> Instances:
    z, a, b = singular(x @ y), singular(x), singular(y)
    for size in range(1, len(z) + 1):
        for index in itertools.combinations(range(len(z)), size):
            top = b[len(b) - size :] if broken else b[:size]
            yield float(z[list(index)].prod()), float(a[list(index)].prod() * top.prod()), float((a[0] * b[0]) ** size)


def horn(x: Array, y: Array, broken: bool = False) -> Instances:
    z, a, b = singular(x @ y), singular(x), singular(y)
    yield float(z.sum()), float(a @ (b[::-1] if broken else b)), float(a.sum() * b.sum())
    for power in (1.0, 2.0):
        yield float((z**power).sum()), float((a**power) @ (b**power)), float((a.sum() * b.sum()) ** power)


def mirsky(x: Array, y: Array, broken: bool = False) -> Instances:
    a, b = singular(x), singular(y)
    left = float(((a - (b[::-1] if broken else b)) ** 2).sum())
    yield left, float(((x - y) ** 2).sum()), float((a.sum() + b.sum()) ** 2)


def hoelder(x: Array, y: Array, broken: bool = False) -> Instances:
    a, b = singular(x), singular(y)
    yield abs(float((x * y).sum())), float(a.sum() * b[-1 if broken else 0]), float(a.sum() * b.sum())
    f, g = np.linalg.norm(x), np.linalg.norm(y)
    yield float(singular(x @ y @ x).sum()), float(f * b[0] * f), float(f * g * f)
    u, v, w = np.abs(x), np.abs(y), np.abs(x - y)
    right = float(np.prod([(t**3).sum() for t in (u, v, w)]) ** (1 / 3))
    yield float((u * v * w).sum()), right, float(max(u.sum(), v.sum(), w.sum()) ** 3)


def submultiplicativity(x: Array, y: Array, broken: bool = False) -> Instances:
    z, a, b = singular(x @ y), singular(x), singular(y)
    for left, right in zip(z, a[-1 if broken else 0] * b, strict=True):
        yield float(left), float(right), float(a[0] * b[0])


def pythagoras(x: Array, y: Array, broken: bool = False) -> Instances:
    q, _ = np.linalg.qr(y)
    p = q[:, :2] @ q[:, :2].T
    whole, parts = (x**2).sum(), ((p @ x) ** 2).sum() + ((x - (0.5 if broken else 1) * p @ x) ** 2).sum()
    yield float(abs(whole - parts)), 0.0, float(whole)


def cauchy_schwarz(x: Array, y: Array, broken: bool = False) -> Instances:
    for z in (y, x + y / 10):
        right = float((x**2).sum() * (z**2).sum())
        yield float((x * z).sum() ** 2) * (2 if broken else 1), right, right


def means(x: Array, y: Array, broken: bool = False) -> Instances:
    values = np.abs(x).ravel()
    geometric, arithmetic = float(np.exp(np.log(np.maximum(values, 1e-300)).mean())), float(values.mean())
    yield (arithmetic, geometric, arithmetic) if broken else (geometric, arithmetic, arithmetic)


def cross_entropy(z: Array) -> float:
    top = z.max()
    return float(top + np.log(np.exp(z - top).sum()) - z[0])


def jensen(x: Array, y: Array, broken: bool = False) -> Instances:
    columns = np.hstack([x, y])
    mean_of, of_mean = float(np.mean([cross_entropy(c) for c in columns.T])), cross_entropy(columns.mean(axis=1))
    scale = 1 + float(np.abs(columns).max())
    yield (mean_of, of_mean, scale) if broken else (of_mean, mean_of, scale)


def gradient_inequality(x: Array, y: Array, broken: bool = False) -> Instances:
    for a, b in zip(x.T, y.T, strict=True):
        p = np.exp(a - a.max())
        p /= p.sum()
        tangent = cross_entropy(a) + float((p - np.eye(len(a))[0]) @ (b - a)) * (-1 if broken else 1)
        yield tangent, cross_entropy(b), 1 + float(np.abs(a).max() + np.abs(b).max())


def unitary_invariance(x: Array, y: Array, broken: bool = False) -> Instances:
    q, _ = np.linalg.qr(y)
    q = y if broken else q
    yield float(np.abs(singular(q @ x) - singular(x)).max()), 0.0, float(singular(x)[0])


def neumann_series(x: Array, y: Array, broken: bool = False) -> Instances:
    a = x / (singular(x)[0] + 0.25)
    rho = float(singular(a)[0])
    left = float(singular(np.linalg.inv(np.eye(len(a)) - a))[0])
    yield left, 1 / (1 + rho if broken else 1 - rho), 1 / (1 - rho) ** 2


def weyl_polya(x: Array, y: Array, broken: bool = False) -> Instances:
    # sigma(XY) is weakly log-majorised by sigma(X) sigma(Y); log(1 + t^2) is convex in log t, and t/(1 + t) is not
    small, large = singular(x @ y), singular(x) * singular(y)
    if broken:
        small, large = np.array([1.0, 1.0]), np.array([100.0, 0.01])
        yield float((small / (1 + small)).sum()) + 1e-3, float((large / (1 + large)).sum()), 1.0
        return
    yield float(np.log1p(small**2).sum()), float(np.log1p(large**2).sum()), float(large.sum() ** 2)


def weak_log_majorisation(x: Array, y: Array, broken: bool = False) -> Instances:
    # Logarithms averaged by a doubly stochastic matrix and then lowered are weakly majorised.
    logs = np.sort(np.clip(x.ravel()[:4], -5, 5))[::-1]
    weights = np.zeros((4, 4))
    shares = np.abs(y.ravel()[:4]) + 0.01
    for share, shift in zip(shares / shares.sum(), range(4), strict=True):
        weights += share * np.roll(np.eye(4), shift, axis=0)
    lowered = weights @ logs - np.abs(y.ravel()[4:8])
    small, large = np.exp(np.sort(lowered)[::-1]), np.exp(logs)
    for k in range(1, 5):
        yield float(small[:k].prod()), float(large[:k].prod()), float(max(1, large[0]) ** k)
    yield (
        (float(large.sum()), float(small.sum()), 1.0)
        if broken
        else (float(small.sum()), float(large.sum()), float(large.sum()))
    )


def schur(x: Array, y: Array, broken: bool = False) -> Instances:
    # Average of x over permutations of the first two and of the last two indices: s_a [i = j] + t_ab.
    perms = [(i, j) for i in ((0, 1), (1, 0)) for j in ((2, 3), (3, 2))]
    mean = sum(x[:4, :4][np.ix_([*i, *j], [*i, *j])] for i, j in perms) / 4
    for vector in ([1.0, -1, 0, 0], [0, 0, 1.0, -1] if not broken else [0, 1.0, 0, -1]):
        v = np.array(vector)
        image = mean @ v
        yield float(np.abs(image - (image @ v) / (v @ v) * v).max()), 0.0, float(np.abs(x).max())


def convex_optimality(x: Array, y: Array, broken: bool = False) -> Instances:
    # 0 is a subgradient of |z - x|^2/2 + |z|_1 at the soft threshold; no other point is lower.
    best = np.sign(x) * np.maximum(np.abs(x) - (2 if broken else 1), 0)

    def objective(z: Array) -> float:
        return float(((z - x) ** 2).sum() / 2 + np.abs(z).sum())

    for other in (y, best + 0.3 * y, 0 * x, np.sign(x) * np.maximum(np.abs(x) - 1, 0)):
        yield objective(best), objective(other), objective(y) + objective(0 * x)


def equal_variables(x: Array, y: Array, broken: bool = False) -> Instances:
    for v in (x.ravel()[:4], y.ravel()[:7], np.abs(x).ravel()):
        n, mean = len(v), float(v.mean())
        step = float(np.sqrt(((v - mean) ** 2).sum() / (n * (n - 1)))) * (-1 if broken else 1)
        least = float(np.exp(-(mean + (n - 1) * step)) + (n - 1) * np.exp(-(mean - step)))
        yield least, float(np.exp(-v).sum()), float(n * np.exp(np.abs(v).max() + n * abs(step)))


ATTACKS: dict[str, Callable[..., Instances]] = {
    "von Neumann": von_neumann,
    "Gelfand-Naimark": gelfand_naimark,
    "Horn": horn,
    "Weyl-Polya": weyl_polya,
    "weak log-majorisation": weak_log_majorisation,
    "Mirsky": mirsky,
    "Hoelder": hoelder,
    "submultiplicativity": submultiplicativity,
    "Pythagoras": pythagoras,
    "Cauchy-Schwarz": cauchy_schwarz,
    "arithmetic-geometric mean": means,
    "Jensen": jensen,
    "gradient inequality": gradient_inequality,
    "convex optimality": convex_optimality,
    "unitary invariance": unitary_invariance,
    "Schur": schur,
    "equal variables": equal_variables,
    "Neumann series": neumann_series,
}

ENTRIES = st.one_of(st.integers(-3, 3).map(float), st.floats(-10, 10, allow_subnormal=False))
MATRICES = hnp.arrays(np.float64, (4, 4), elements=ENTRIES)


def violation(instances: Instances) -> float:
    """Largest excess of left over right, in units of rounding at the instance's scale; <= 1 is no violation."""
    return max((left - right) / (ROUNDING * EPS * max(scale, 1e-3)) for left, right, scale in instances)


@pytest.mark.parametrize("lemma", ATTACKS)
@settings(max_examples=examples(60), derandomize=True, deadline=None)
@given(x=MATRICES, y=MATRICES)
def test_no_instance_violates_the_lemma(lemma, x, y):
    assert violation(ATTACKS[lemma](x, y)) <= 1


@pytest.mark.parametrize("lemma", ATTACKS)
def test_the_attack_catches_a_false_version(lemma):
    rng = np.random.default_rng(0)
    worst = max(violation(ATTACKS[lemma](*rng.normal(size=(2, 4, 4)), broken=True)) for _ in range(50))
    assert worst > 1e6


def test_every_lemma_is_attacked_or_a_textbook_theorem():
    assert set(LEMMAS) == set(ATTACKS) | TEXTBOOK
    assert not set(ATTACKS) & TEXTBOOK
