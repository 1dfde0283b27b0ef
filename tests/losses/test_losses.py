"""Cross-entropy and mean squared error: values, gradients, Fenchel duals, extreme logits."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from effort import examples
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ufm.losses import LOSSES, BinaryCrossEntropy, CrossEntropy, MeanSquaredError, get_loss

FEW = settings(max_examples=examples(40))


def problem(seed: int, k: int, spread: float):
    rng = np.random.default_rng(seed)
    pi = rng.dirichlet(np.full(k, 2.0)) + 1e-6
    return spread * rng.normal(size=(k, k)), pi / pi.sum()


cases = st.builds(problem, st.integers(0, 2**32 - 1), st.integers(2, 6), st.floats(0.01, 20.0))
losses = st.sampled_from(sorted(LOSSES)).map(get_loss)


def exact_cross_entropy(logits, pi):
    with mp.workdps(50):
        total = mp.mpf(0)
        for k, p in enumerate(pi):
            column = [mp.mpf(float(z)) for z in logits[:, k]]
            total += mp.mpf(float(p)) * mp.log1p(mp.fsum(mp.exp(z - column[k]) for j, z in enumerate(column) if j != k))
        return total


@given(cases)
@FEW
def test_cross_entropy_is_the_definition(case):
    logits, pi = case
    exact = exact_cross_entropy(logits, pi)
    assert abs(CrossEntropy().value(logits, pi) - exact) <= 1e-14 * exact


@given(cases)
@FEW
def test_mean_squared_error_is_the_definition(case):
    logits, pi = case
    loop = 0.5 * sum(pi[k] * sum((logits[j, k] - (j == k)) ** 2 for j in range(len(pi))) for k in range(len(pi)))
    assert MeanSquaredError().value(logits, pi) == pytest.approx(loop, rel=1e-13)


@given(losses, cases, st.integers(0, 2**32 - 1))
@FEW
def test_gradient_agrees_with_finite_differences(loss, case, seed):
    logits, pi = case
    direction = np.random.default_rng(seed).normal(size=logits.shape)
    step = 1e-5
    # fourth-order central difference
    values = [loss.value(logits + j * step * direction, pi) for j in (-2, -1, 1, 2)]
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    scale = 1 + np.abs(logits).max()
    assert np.vdot(loss.gradient(logits, pi), direction) == pytest.approx(slope, rel=1e-7, abs=1e-9 * scale)


@given(losses, cases, st.integers(0, 2**32 - 1))
@FEW
def test_risk_lies_above_its_tangents(loss, case, seed):
    logits, pi = case
    other = logits + np.random.default_rng(seed).normal(size=logits.shape)
    tangent = loss.value(logits, pi) + np.vdot(loss.gradient(logits, pi), other - logits)
    assert loss.value(other, pi) >= tangent - 1e-12 * (1 + np.abs(logits).max() ** 2)


@given(losses, cases)
@FEW
def test_fenchel_young_equality_at_the_gradient(loss, case):
    """``-f*(G) = f(Z) - <G, Z>`` at G = grad f(Z)."""
    logits, pi = case
    expected = loss.value(logits, pi) - np.vdot(loss.gradient(logits, pi), logits)
    scale = 1 + np.abs(logits).max() ** 2
    assert loss.dual_value(logits, pi) == pytest.approx(expected, rel=1e-12, abs=1e-13 * scale)


@given(losses, cases, st.floats(0.0, 1.0), st.integers(0, 2**32 - 1))
@FEW
def test_fenchel_young_inequality_at_a_scaled_gradient(loss, case, scale, seed):
    """``-f*(c G) <= f(Y) - <c G, Y>`` for every Y, and nearly equal for the best Y under MSE."""
    logits, pi = case
    dual = loss.dual_value(logits, pi, scale)
    g = scale * loss.gradient(logits, pi)
    rng = np.random.default_rng(seed)
    for y in [np.zeros_like(logits), logits, *(3 * rng.normal(size=(5, *logits.shape)))]:
        assert dual <= loss.value(y, pi) - np.vdot(g, y) + 1e-12 * (1 + np.abs(logits).max() ** 2)


def test_dual_value_is_attained_where_the_scaled_gradient_is_a_gradient():
    """Under CE, ``c G = grad f(Y)`` for ``Y = log q``, q = e_k + c (p_k - e_k): there Fenchel-Young is an equality."""
    logits, pi = problem(3, 5, 2.0)
    loss, scale = CrossEntropy(), 0.37
    p, _ = loss.probabilities(logits)
    q = np.eye(5) + scale * (p - np.eye(5))
    y = np.log(q)
    np.testing.assert_allclose(loss.gradient(y, pi), scale * loss.gradient(logits, pi), atol=1e-15)
    assert loss.dual_value(logits, pi, scale) == pytest.approx(loss.value(y, pi) - np.vdot(loss.gradient(y, pi), y))
    residual = MeanSquaredError()
    y = np.eye(5) + scale * (logits - np.eye(5))
    expected = residual.value(y, pi) - np.vdot(residual.gradient(y, pi), y)
    assert residual.dual_value(logits, pi, scale) == pytest.approx(expected, rel=1e-12)


def test_a_dual_value_with_the_wrong_sign_or_scale_breaks_the_inequality():
    """The checks above can fail: the dual at the unscaled gradient is no bound for the scaled one."""
    logits, pi = problem(3, 5, 2.0)
    loss, scale = CrossEntropy(), 0.37
    best = np.log(np.eye(5) + scale * (loss.probabilities(logits)[0] - np.eye(5)))
    bound = loss.value(best, pi) - np.vdot(scale * loss.gradient(logits, pi), best)
    assert loss.dual_value(logits, pi, 1.0) > bound + 0.1
    assert -loss.dual_value(logits, pi, scale) < bound - 0.1


@given(cases, hnp.arrays(np.float64, 6, elements=st.floats(-1e3, 1e3)))
@FEW
def test_cross_entropy_ignores_a_shift_of_any_column(case, shifts):
    logits, pi = case
    shifted = logits + shifts[: len(pi)]
    loss = CrossEntropy()
    np.testing.assert_allclose(loss.gradient(shifted, pi), loss.gradient(logits, pi), rtol=1e-9, atol=1e-300)
    assert loss.value(shifted, pi) == pytest.approx(loss.value(logits, pi), rel=1e-9)
    # so the gradient's columns sum to zero
    np.testing.assert_allclose(loss.gradient(logits, pi).sum(axis=0), 0, atol=1e-15)


@pytest.mark.parametrize("margin", [40.0, 300.0, 700.0])
def test_tiny_risk_keeps_its_relative_accuracy(margin):
    k = 4
    pi = np.array([0.4, 0.3, 0.2, 0.1])
    logits = margin * np.eye(k)
    expected = (k - 1) * np.exp(-margin)
    loss = CrossEntropy()
    assert loss.value(logits, pi) == pytest.approx(expected, rel=1e-14)
    g = loss.gradient(logits, pi)
    np.testing.assert_allclose(np.diagonal(g), -pi * expected, rtol=1e-14)
    np.testing.assert_allclose(g[1, 0], pi[0] * np.exp(-margin), rtol=1e-14)
    # -f*(G) = f - <G, Z>: both terms are of the size of the risk here, times the margin
    assert loss.dual_value(logits, pi) == pytest.approx(expected * (1 + margin), rel=1e-13)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("size", [1e3, 1e5, 1e150])
def test_huge_logits_stay_finite(size, sign):
    k = 3
    pi = np.array([0.5, 0.3, 0.2])
    loss = CrossEntropy()
    for logits in (sign * size * np.eye(k), sign * size * np.ones((k, k)) + np.eye(k), size * np.eye(k)[[1, 2, 0]]):
        assert np.isfinite(loss.value(logits, pi))
        assert loss.value(logits, pi) >= 0
        assert np.isfinite(loss.gradient(logits, pi)).all()
        for scale in (0.0, 0.5, 1.0):
            dual = loss.dual_value(logits, pi, scale)
            assert 0 <= dual <= np.log(k) + 1e-12
    # all wrong: the risk grows like the margin, the softmax sits on a wrong class
    assert loss.value(-size * np.eye(k), pi) == pytest.approx(size + np.log(2), rel=1e-12)


def test_a_correct_class_without_probability_has_a_finite_dual():
    """Regression: ``(1 - miss) log(1 - miss)`` at miss = 1 is 0, not NaN."""
    logits = np.array([[0.0, 800.0], [800.0, 0.0]])
    assert CrossEntropy().dual_value(logits, np.array([0.5, 0.5])) == pytest.approx(0.0, abs=1e-12)


def test_losses_are_found_by_name():
    assert get_loss("ce").name == "ce"
    assert get_loss("mse").name == "mse"
    mine = CrossEntropy()
    assert get_loss(mine) is mine


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        ("hinge", ValueError, r"loss must be one of 'ce', 'mse', 'bce', or an object .* got 'hinge'"),
        ("CE", ValueError, r"loss must be one of 'ce', 'mse', 'bce', or an object .* got 'CE'"),
        ("", ValueError, r"loss must be one of 'ce', 'mse', 'bce', or an object .* got ''"),
        (None, TypeError, r"loss must be one of 'ce', 'mse', 'bce', or an object .* got None"),
        (1, TypeError, r"loss must be one of 'ce', 'mse', 'bce', or an object .* got 1"),
        (CrossEntropy, TypeError, r"loss must be one of 'ce', 'mse', 'bce', or an object .* got <class"),
    ],
)
def test_unknown_losses_are_refused_by_name(loss, error, message):
    with pytest.raises(error, match=message):
        get_loss(loss)


@given(cases)
@FEW
def test_probabilities_and_their_complements(case):
    logits, _ = case
    p, miss = CrossEntropy.probabilities(logits)
    assume(p.min() > 0)
    np.testing.assert_allclose(p.sum(axis=0), 1, rtol=1e-13)
    np.testing.assert_allclose(miss, 1 - np.diagonal(p), atol=1e-15)
    np.testing.assert_allclose(CrossEntropy.per_class(logits), -np.log(np.diagonal(p)), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    "loss",
    [
        CrossEntropy(smoothing=0.2),
        CrossEntropy(weights=(0.5, 1.0, 2.0, 1.0, 0.7), scales=(0.5, 1.0, 2.0), shifts=(0.0, 1.0, -1.0)),
        BinaryCrossEntropy(),
    ],
)
def test_curvature_sums_are_those_of_the_curvatures(loss):
    rng = np.random.default_rng(0)
    targets, z, pi = rng.dirichlet(np.ones(3), size=5).T, 3 * rng.normal(size=(3, 5)), rng.dirichlet(np.ones(5))
    units = (np.repeat(np.eye(3)[:, [i]], 5, axis=1) for i in range(3))
    expected = np.stack([loss.curvatures(z, targets, unit) @ pi for unit in units], axis=1)
    assert loss.curvature_sums(z, targets, pi) == pytest.approx(expected, abs=1e-14)
    if getattr(loss, "weights", None):  # in margins of one-hot columns instead, which keep small probabilities
        assert loss.curvature_sums(z, np.eye(3)[:, [0, 1, 2, 0, 1]], pi) is None
