"""The losses beyond cross-entropy and mean squared error, held against definitions, autograd, CVXPY and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import ufm
from ufm.labels import Labels
from ufm.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    FocalLoss,
    MeanSquaredError,
    SquaredHinge,
    attack,
    get_loss,
    torch_loss,
)

RNG = np.random.default_rng(7)
KINDS = {
    "one-hot": np.eye(4),
    "soft": RNG.dirichlet(np.ones(4), size=5).T,
    "multi-label": np.array([[1, 0, 0, 1, 0], [1, 1, 0, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 1, 1.0]]),
}


def defined(loss, z, t):
    """Every loss at one column by its formula, term by term."""
    k = range(len(z))
    if isinstance(loss, CrossEntropy):
        a, scales, shifts = loss.smoothing, loss.scales or (1.0,) * len(z), loss.shifts or (0.0,) * len(z)
        total = sum(t)
        t = [(1 - a) * x + a * total / len(z) for x in t]
        x = [scales[i] * z[i] + shifts[i] for i in k]
        top = max(x)
        lse = top + math.log(sum(math.exp(v - top) for v in x))
        return total * lse - sum(t[i] * x[i] for i in k)
    if isinstance(loss, BinaryCrossEntropy):
        return sum(max(z[i], 0) + math.log1p(math.exp(-abs(z[i]))) - t[i] * z[i] for i in k)
    if isinstance(loss, SquaredHinge):
        return sum(t[c] / 2 * max(0.0, loss.margin + z[j] - z[c]) ** 2 for c in k if t[c] for j in k if t[j] == 0)
    if isinstance(loss, FocalLoss):
        top = max(z)
        e = [math.exp(v - top) for v in z]
        p = [v / sum(e) for v in e]
        return -sum(t[i] * (1 - p[i]) ** loss.gamma * math.log(p[i]) for i in k)
    return sum((z[i] - t[i]) ** 2 for i in k) / 2


LOSSES = [
    CrossEntropy(),
    CrossEntropy(smoothing=0.3),
    CrossEntropy(scales=(1.0, 2.0, 0.5, 1.5), shifts=(0.3, -1.0, 0.0, 2.0)),
    MeanSquaredError(),
    BinaryCrossEntropy(),
    SquaredHinge(),
    SquaredHinge(margin=0.4),
    FocalLoss(),
    FocalLoss(gamma=0.5),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_values_are_the_formula(loss, kind):
    t = KINDS[kind]
    for size in (0.1, 3.0, 20.0):
        z = size * RNG.normal(size=t.shape)
        expected = [defined(loss, z[:, j].tolist(), t[:, j].tolist()) for j in range(t.shape[1])]
        np.testing.assert_allclose(loss.values(z, t), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_what_they_say_of_themselves_stands_the_attack(loss, kind):
    attack(loss, KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", [x for x in LOSSES if not isinstance(x, FocalLoss)], ids=repr)
def test_the_cvxpy_expression_is_the_risk(loss, kind):
    cp = pytest.importorskip("cvxpy")
    t, w = KINDS[kind], RNG.uniform(0.2, 2.0, size=KINDS[kind].shape[1])
    z = cp.Variable(t.shape)
    z.value = RNG.normal(size=t.shape)
    expression = loss.expression(z, t, w)
    assert float(expression.value) == pytest.approx(loss.value(z.value, w, t), rel=1e-12)
    assert expression.is_convex()


def test_tiny_losses_keep_their_digits():
    t = np.eye(2)
    z = 300 * (2 * t - 1)
    assert BinaryCrossEntropy().value(z, np.array([0.5, 0.5])) == pytest.approx(2 * math.exp(-300), rel=1e-12)
    assert BinaryCrossEntropy().dual_values(z, t)[0] == pytest.approx(2 * 301 * math.exp(-300), rel=1e-12)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: SquaredHinge(margin=0), "margin must be > 0"),
        (lambda: FocalLoss(gamma=-1.0), "gamma must be >= 0"),
        (lambda: CrossEntropy(smoothing=1.0), "smoothing must lie in"),
        (lambda: CrossEntropy(scales=(1.0, 0.0)), r"scales\[1\] must be > 0"),
        (lambda: CrossEntropy(weights=()), "weights must have at least one entry"),
        (lambda: get_loss("bec"), "loss must be one of 'ce', 'mse', 'bce'"),
    ],
)
def test_arguments_out_of_range(wrong, words):
    with pytest.raises(ValueError, match=words):
        wrong()


@pytest.mark.parametrize(
    ("labels", "loss", "words"),
    [
        (Labels([[2.0, 0], [0, 1]], [1, 1]), "bce", r"targets must lie in \[0, 1\]"),
        (Labels([[-1.0, 0], [0, 1]], [1, 1]), SquaredHinge(), "targets must be >= 0"),
        (ufm.ClassPrior([1, 1]), CrossEntropy(scales=(1, 1, 1)), "scales must have one entry a class, 2, got 3"),
        (ufm.ClassPrior([1, 1]), CrossEntropy(weights=(1, 1, 1)), "weights must have one entry a column, 2, got 3"),
    ],
)
def test_parameters_and_targets_that_do_not_fit_are_named(labels, loss, words):
    with pytest.raises(ValueError, match=words):
        ufm.solve(ufm.LayerPeeled(1.0, 1.0), labels, loss)


# -- problems ----------------------------------------------------------------------------------------------------------

SOFT = Labels(np.random.default_rng(1).dirichlet(np.ones(3), size=5).T, [4, 3, 2, 5, 1])
SETS = Labels.multi_label(3, [(0,), (1,), (2,), (0, 1)], [6, 6, 3, 2])
REAL = Labels(np.random.default_rng(2).normal(size=(3, 6)), [1, 1, 2, 2, 3, 3])
PRIOR = ufm.ClassPrior([5, 5, 1])
CASES = [
    (SOFT, CrossEntropy()),
    (SOFT, CrossEntropy(scales=(1.0, 2.0, 0.5), shifts=(0.3, -1.0, 0.0))),
    (SOFT, CrossEntropy(weights=(1.0, 2.0, 0.5, 1.0, 3.0))),
    (SETS, CrossEntropy()),
    (SETS, BinaryCrossEntropy()),
    (SETS, SquaredHinge()),
    (REAL, MeanSquaredError()),
    (PRIOR, BinaryCrossEntropy()),
    (PRIOR, SquaredHinge(margin=0.5)),
    (PRIOR, CrossEntropy(smoothing=0.1)),
]


@pytest.mark.parametrize("bias", [None, "free", 0.3])
@pytest.mark.parametrize("architecture", [ufm.LayerPeeled(0.4, 0.4), ufm.UnconstrainedFeatures(0.06, 0.05)], ids=repr)
@pytest.mark.parametrize(("labels", "loss"), CASES, ids=lambda x: type(x).__name__)
@pytest.mark.sample(30)
def test_newton_on_logits_agrees_with_the_conic_solver(labels, loss, architecture, bias):
    """Two independent methods: values, and the best bias; the gaps that they report are true of each other."""
    pytest.importorskip("cvxpy")
    ours = ufm.solve(architecture, labels, loss, bias=bias)
    assert ours.method in ("nuclear", "closed_form", "reduced")
    assert ours.is_global is True
    conic = ufm.solve(architecture, labels, loss, bias=bias, method="sdp")
    assert conic.value == pytest.approx(ours.value, rel=2e-6, abs=1e-9)
    assert ours.value <= conic.value * (1 + 1e-9) + 1e-12
    assert conic.lower <= ours.value + 1e-9 * abs(ours.value) + 1e-12
    np.testing.assert_allclose(ours.classifier @ ours.features, ours.logits, atol=1e-9)
    if bias is None:
        assert ours.bias is None
    else:
        shifted = ours.logits + ours.bias[:, None]
        risk = loss.value(shifted, labels.probabilities, labels.targets)
        decay = 0.0 if bias == "free" else bias / 2 * float(ours.bias @ ours.bias)
        penalty = 0.0 if ours.problem.is_constrained else ours.problem.strength * ours.problem.gauge(ours.logits)
        assert risk + decay + penalty == pytest.approx(ours.value, rel=1e-9, abs=1e-12)
        for direction in np.eye(3):
            for step in (1e-4, -1e-4):
                b = ours.bias + step * direction
                other = loss.value(ours.logits + b[:, None], labels.probabilities, labels.targets)
                other += 0.0 if bias == "free" else bias / 2 * float(b @ b)
                assert other >= risk + decay - 1e-12


@given(
    k=st.integers(2, 5),
    m=st.integers(1, 7),
    lam=st.floats(0.001, 0.2),
    free=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_mse_closed_form_is_what_newton_finds(k, m, lam, free, seed):
    rng = np.random.default_rng(seed)
    labels = Labels(rng.normal(size=(k, m)), rng.uniform(0.5, 4, size=m))
    architecture = ufm.UnconstrainedFeatures(lam, lam)
    bias = "free" if free else None
    closed = ufm.solve(architecture, labels, "mse", bias=bias, method="closed_form")
    newton = ufm.solve(architecture, labels, "mse", bias=bias, method="nuclear")
    assert closed.is_global is True
    assert closed.value == pytest.approx(newton.value, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("decay", [0.05, 0.2, 1.0, 5.0])
def test_balanced_mse_with_a_penalised_bias(decay):
    """Standard eigenvalue ``1 - c``, mean eigenvalue ``(1 - c - c/lambda_b)_+`` with ``c = K sqrt(n lW lH)``."""
    k, n, lam = 4, 10.0, 0.02
    c = k * math.sqrt(n) * lam
    found = ufm.solve(ufm.UnconstrainedFeatures(lam, lam), ufm.ClassPrior.balanced(k, n), "mse", bias=decay)
    values = np.sort(np.linalg.eigvalsh((found.logits + found.logits.T) / 2))
    expected = sorted([1 - c] * (k - 1) + [max(0.0, 1 - c - c / decay)])
    np.testing.assert_allclose(values, expected, atol=1e-6)
    assert (values[0] < 1e-6) == (decay <= c / (1 - c))


def test_autograd_gives_the_same_problem():
    def loss(z, t):
        return torch.logsumexp(z, 0) * t.sum() - (t * z).sum()

    for labels in (SOFT, PRIOR):
        ours = ufm.solve(ufm.LayerPeeled(0.4, 0.4), labels, "ce")
        theirs = ufm.solve(ufm.LayerPeeled(0.4, 0.4), labels, torch_loss(loss))
        assert theirs.value == pytest.approx(ours.value, rel=1e-8)
        assert theirs.is_global is True


def test_convexity_of_a_torch_loss_is_attacked():
    with pytest.raises(ValueError, match="is_convex is True, but"):
        ufm.solve(ufm.LayerPeeled(1.0, 1.0), PRIOR, torch_loss(lambda z, t: torch.sin(z).sum() + 3))
    with pytest.raises(TypeError, match="scalar"):
        ufm.solve(ufm.LayerPeeled(1.0, 1.0), PRIOR, torch_loss(lambda z, t: z - t))


def test_focal_loss_is_searched():
    found = ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.balanced(3), FocalLoss(), starts=8)
    assert found.method == "search"
    assert found.is_global is None
    # balanced, within budgets: the ETF at full length is what descent finds too
    s = 3 / 2
    p = math.exp(s) / (math.exp(s) + 2)
    assert found.value == pytest.approx(-((1 - p) ** 2) * math.log(p), rel=1e-6)


def test_logit_adjustment_does_not_move_the_threshold_and_scaling_does():
    """``n_b <= N^2 lW lH / kappa_b^2``: kappa is 1 with any shift, and the scale of the group with scales."""
    k_a = k_b = 2
    n_a = 50.0
    lam = 0.02
    for loss, kappa in (
        (CrossEntropy(shifts=(1.0, 1.0, -1.0, -1.0)), 1.0),
        (CrossEntropy(scales=(1.0, 1.0, 1.5, 1.5)), 1.5),
        (CrossEntropy(smoothing=0.2), 0.8),
        (BinaryCrossEntropy(), 1.0),
    ):
        for factor, collapsed in ((0.9, True), (1.1, False)):
            # n_b = N^2 lam^2 / kappa^2 times the factor, N = 2 n_a + 2 n_b: fixed point by iteration
            n_b = 1.0
            for _ in range(200):
                n_b = factor * ((k_a * n_a + k_b * n_b) * lam / kappa) ** 2
            prior = ufm.ClassPrior([n_a, n_a, n_b, n_b])
            found = ufm.solve(ufm.UnconstrainedFeatures(lam, lam), prior, loss, bias="free", tol=1e-12)
            s_b = found.geometry.group_scales[1]
            assert (abs(s_b) < 1e-5) == collapsed, (loss, factor, s_b)


# -- labels ------------------------------------------------------------------------------------------------------------


def test_one_hot_labels_are_a_prior():
    labels = Labels(np.eye(3), [5, 5, 1])
    for architecture in (ufm.LayerPeeled(0.4, 0.4), ufm.UnconstrainedFeatures(0.06, 0.05)):
        assert ufm.solve(architecture, labels).value == pytest.approx(ufm.solve(architecture, PRIOR).value, rel=1e-8)


def test_groups_are_found():
    assert [g.classes for g in Labels(np.eye(4), [3, 1, 3, 1]).groups] == [(0, 2), (1, 3)]
    assert [g.classes for g in Labels.multi_label(3, [(0, 1), (1, 2), (0, 2)], [2, 2, 2]).groups] == [(0, 1, 2)]
    assert [g.classes for g in Labels.multi_label(3, [(0, 1), (1, 2), (0, 2)], [2, 2, 3]).groups] == [(0, 2), (1,)]
    assert [g.classes for g in Labels([[1.0, 0.2], [0.0, 0.8]], [1, 1]).groups] == [(0,), (1,)]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Labels([1, 0], [1, 1]), ValueError, "targets must have shape"),
        (lambda: Labels([[1, 0]], [1, 1]), ValueError, "targets must have at least 2 rows"),
        (lambda: Labels([[1, 0], [0, np.nan]], [1, 1]), ValueError, "targets must be finite"),
        (lambda: Labels(np.eye(2), [1]), ValueError, "counts must have one entry a column"),
        (lambda: Labels(np.eye(2), [1, 0]), ValueError, r"counts\[1\] must be > 0"),
        (lambda: Labels([["a", 0], [0, 1]], [1, 1]), TypeError, "targets must be real numbers"),
        (lambda: Labels.multi_label(3, [(0, 3)], [1]), ValueError, r"sets\[0\] must be an integer between 0 and 2"),
        (lambda: Labels.multi_label(3, [(0, 0)], [1]), ValueError, r"sets\[0\] must not repeat"),
    ],
)
def test_labels_that_are_none(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("bias", [0, -1.0, "none", True, math.inf])
def test_a_bias_that_is_none(bias):
    with pytest.raises((TypeError, ValueError), match=r"bias must be (None, 'free', or|a real|finite)"):
        ufm.solve(ufm.LayerPeeled(1.0, 1.0), PRIOR, bias=bias)


def test_what_is_not_derived_for_labels_is_refused():
    solution = ufm.solve(ufm.LayerPeeled(0.4, 0.4), SOFT)
    with pytest.raises(ValueError, match=r"prior must be a ufm\.ClassPrior"):
        _ = solution.geometry
    with pytest.raises(ValueError, match="'reduced' does not solve this problem: prior"):
        ufm.solve(ufm.LayerPeeled(0.4, 0.4), SOFT, method="reduced")


def _cross_entropy(z, t):
    return t.sum() * torch.logsumexp(z, 0) - (t * z).sum()


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (lambda z, t: _cross_entropy(z.detach(), t), "got one that does not depend on them"),
        (lambda z, t: torch.tensor(1.0, dtype=torch.float64), "got one that does not depend on them"),
        (lambda z, t: np.log(np.exp(z.detach().numpy()).sum()), "fn must return a scalar tensor"),
    ],
)
def test_a_torch_loss_without_a_derivative_is_named(fn, words):
    with pytest.raises(TypeError, match=words):
        ufm.solve(ufm.LayerPeeled(0.5, 0.5), PRIOR, torch_loss(fn))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_torch_loss_has_its_derivatives_where_the_caller_records_none(mode):
    ours, logits = torch_loss(_cross_entropy), np.random.default_rng(0).normal(size=(4, 3))
    with mode():
        found = ours.gradients(logits, np.eye(4)[:, :3])
    assert found == pytest.approx(ufm.CrossEntropy().gradients(logits, np.eye(4)[:, :3]), abs=1e-12)


def test_what_a_torch_loss_does_to_its_arguments_is_its_own():
    """Logits doubled in place are logits doubled: torch could not differentiate it, and said so of views and leaves."""
    doubled = ufm.solve(ufm.LayerPeeled(0.5, 0.5), PRIOR, torch_loss(lambda z, t: _cross_entropy(z.mul_(2), t)))
    assert doubled.value == pytest.approx(ufm.solve(ufm.LayerPeeled(1.0, 1.0), PRIOR).value, rel=1e-8)
    halved = ufm.solve(ufm.LayerPeeled(0.5, 0.5), PRIOR, torch_loss(lambda z, t: _cross_entropy(z, t.mul_(0.5))))
    assert halved.value == pytest.approx(ufm.solve(ufm.LayerPeeled(0.5, 0.5), PRIOR).value / 2, rel=1e-8)
