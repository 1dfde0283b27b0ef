"""The monotone layer: well-posed where iteration diverges, contractions at the proved rates, exact gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ufm.deq import DEQ, ConvergenceError, ConvergenceWarning, Monotone, MonotoneDEQ
from ufm.deq.monotone import _ACTIVATIONS, _PROXES, _SLOPES, _SPLITTINGS, ACTIVATIONS, SPLITTINGS
from ufm.deq.solvers import SOLVERS
from ufm.deq.wellposed import spectral_norm

PROPERTY = settings(max_examples=examples(25), deadline=None, derandomize=True, database=None)


def draw(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def eye(dim: int) -> Tensor:
    return torch.eye(dim, dtype=torch.float64)


def matrix_of(seed: int, dim: int, m: float, scale: float) -> Tensor:
    monotone = Monotone(dim, m, seed=seed)
    with torch.no_grad():
        for parameter in monotone.parameters():
            parameter.mul_(scale)
        return monotone()


def monotonicity(a: Tensor) -> float:
    """Largest m for which I - A is strongly monotone."""
    return float(torch.linalg.eigvalsh(eye(len(a)) - (a + a.T) / 2)[0])


def splitting(name: str, a: Tensor, p: Tensor, activation: str, m: float):
    difference = eye(len(a)) - a
    lipschitz = float(spectral_norm(difference))
    inverse = torch.linalg.inv(eye(len(a)) + difference / lipschitz)
    return _SPLITTINGS[name](a, p, _PROXES[activation], m, lipschitz, inverse), lipschitz


def layer_of(scale: float = 1.0, tol: float = 1e-11, solver: str = "anderson", dim: int = 6, **options) -> MonotoneDEQ:
    layer = MonotoneDEQ(3, dim, deq=DEQ(solver, tol=tol, max_steps=20_000, on_failure="raise"), **options)
    with torch.no_grad():
        for parameter in layer.monotone.parameters():
            parameter.mul_(scale)
    return layer


class TestMatrix:
    @PROPERTY
    @given(seed=st.integers(0, 10**6), dim=st.integers(1, 12), m=st.floats(0.01, 10), exponent=st.floats(-6, 6))
    def test_strongly_monotone(self, seed, dim, m, exponent):
        a = matrix_of(seed, dim, m, 10**exponent)
        assert monotonicity(a) >= m - 1e-14 * dim * (m + float(torch.linalg.matrix_norm(a, 2)))

    @PROPERTY
    @given(seed=st.integers(0, 10**6), dim=st.integers(1, 8), m=st.floats(0.01, 3))
    def test_every_such_matrix_is_reached(self, seed, dim, m):
        wanted = draw(seed, dim, dim)
        wanted = wanted - (m - monotonicity(wanted) + 1e-9) * eye(dim)
        monotone = Monotone(dim, m)
        values, vectors = torch.linalg.eigh((1 - m) * eye(dim) - (wanted + wanted.T) / 2)
        with torch.no_grad():
            monotone.symmetric.copy_((vectors * values.clamp_min(0).sqrt()).T)
            monotone.skew.copy_((wanted - wanted.T) / 4)
            torch.testing.assert_close(monotone(), wanted, rtol=1e-12, atol=1e-12)

    def test_a_wrong_sign_is_caught(self):
        b, m = draw(0, 5, 5), 0.5
        assert monotonicity((1 - m) * eye(5) + b.T @ b) < 0
        assert monotonicity((1 + m) * eye(5) - b.T @ b) < m

    @pytest.mark.parametrize(
        ("arguments", "options", "error", "message"),
        [
            ((0,), {}, ValueError, "dim must be an integer between 1 and 20000, got 0"),
            ((3, 0.0), {}, ValueError, "m must be > 0"),
            ((3, "large"), {}, TypeError, "m must be a real number"),
            ((3,), {"seed": -1}, ValueError, "seed must be an integer >= 0"),
        ],
    )
    def test_bad_input(self, arguments, options, error, message):
        with pytest.raises(error, match=message):
            Monotone(*arguments, **options)


class TestProx:
    @PROPERTY
    @given(alpha=st.floats(0.01, 100), size=st.floats(0.01, 20), seed=st.integers(0, 10**6))
    def test_tanh_is_the_resolvent_of_its_function(self, alpha, size, seed):
        x = size * draw(seed, 2, 20)
        z = _PROXES["tanh"](x, alpha)
        # In q = artanh(z): alpha q + (1 - alpha) z = x, without cancellation where z rounds to 1.
        q = (x - (1 - alpha) * z) / alpha
        torch.testing.assert_close(torch.tanh(q), z, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_is_the_activation_at_one_firmly_nonexpansive_elsewhere(self, activation):
        x, y = draw(0, 50), draw(1, 50)
        prox = _PROXES[activation]
        assert torch.equal(prox(x, 1.0), _ACTIVATIONS[activation](x))
        for alpha in (0.1, 0.7, 3.0):
            change = prox(x, alpha) - prox(y, alpha)
            assert (change * (x - y) >= change**2 - 1e-14).all()

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_slopes_are_the_derivatives(self, activation):
        x = draw(2, 30).requires_grad_()
        z = _ACTIVATIONS[activation](x)
        (wanted,) = torch.autograd.grad(z.sum(), x)
        torch.testing.assert_close(_SLOPES[activation](z.detach()), wanted, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", SPLITTINGS)
class TestSplitting:
    @PROPERTY
    @given(
        seed=st.integers(0, 10**6),
        m=st.floats(0.05, 2),
        scale=st.floats(0.1, 10),
        activation=st.sampled_from(ACTIVATIONS),
    )
    def test_contracts_at_the_proved_rate(self, name, seed, m, scale, activation):
        a, p = matrix_of(seed, 5, m, scale), draw(seed, 40, 5)
        step, lipschitz = splitting(name, a, p, activation, m)
        rate = (1 - (m / lipschitz) ** (1 if name == "peaceman_rachford" else 2)) ** 0.5
        u, v = draw(seed + 1, 40, 5), 3 * draw(seed + 2, 40, 5)
        before, after = (u - v).norm(dim=1), (step(u) - step(v)).norm(dim=1)
        assert (after <= rate * before * (1 + 1e-10)).all()

    def test_candidate_carries_its_own_image(self, name):
        a, p = matrix_of(3, 5, 0.5, 4.0), draw(4, 7, 5)
        step, _ = splitting(name, a, p, "tanh", 0.5)
        step(draw(5, 7, 5))
        torch.testing.assert_close(step.inner, step.z @ a.T + p, rtol=1e-12, atol=1e-12)
        residual = (torch.tanh(step.z @ a.T + p) - step.z).norm(dim=1) / torch.tanh(step.z @ a.T + p).norm(dim=1)
        torch.testing.assert_close(step.relative(step.z, step.z), residual)

    def test_fixed_points_are_the_equilibria(self, name):
        a, p = matrix_of(6, 5, 0.5, 3.0), draw(7, 4, 5)
        exact = torch.linalg.solve(eye(5) - a, p.T).T
        step, _ = splitting(name, a, p, "identity", 0.5)
        # Where f = 0 the state is z itself, for both.
        torch.testing.assert_close(step(exact), exact, rtol=1e-12, atol=1e-12)
        assert float((step(exact + 1) - exact - 1).norm()) > 1e-3


def test_a_step_too_long_does_not_contract():
    # With I - A nearly skew the bound alpha < 2m/L^2 is sharp: 3m/L^2 expands, which the rate test would see.
    skew = 4.0 * torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    a, p, m = 0.5 * eye(2) + skew, draw(0, 1, 2), 0.5
    step, lipschitz = splitting("forward_backward", a, p, "identity", m)
    step.alpha = 3 * m / lipschitz**2
    u, v = draw(1, 1, 2), draw(2, 1, 2)
    assert float((step(u) - step(v)).norm()) > float((u - v).norm())


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.sample(1)
def test_iteration_diverges(activation):
    """On the layer on which the splittings converge, of the same seed."""
    layer = layer_of(2.5, m=0.5, activation=activation)
    sigma = _ACTIVATIONS[activation]
    with torch.no_grad():
        a, p = layer.monotone(), layer.injection(draw(1, 4, 3))
        assert float(torch.linalg.matrix_norm(a, 2)) > 4
        with pytest.raises(ConvergenceError):
            DEQ("fixed_point", tol=1e-9, max_steps=2000, on_failure="raise")(lambda z: sigma(z @ a.T + p), p)


@pytest.mark.parametrize("splitting_name", SPLITTINGS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
class TestLayer:
    @pytest.mark.parametrize("solver", SOLVERS)
    @pytest.mark.sample(3)
    def test_converges_where_iteration_diverges(self, splitting_name, activation, solver):
        layer = layer_of(2.5, tol=1e-9, solver=solver, m=0.5, activation=activation, splitting=splitting_name)
        x = draw(1, 4, 3)
        sigma = _ACTIVATIONS[activation]
        with torch.no_grad():
            a, p = layer.monotone(), layer.injection(x)
            z, info = layer(x)
            assert info.all_converged
            # A residual of 1e-9 is at most 1e-9 |I - A| / m in z, and no more than |A| times that after one more map.
            torch.testing.assert_close(sigma(z @ a.T + p), z, rtol=0, atol=1e-6)

    def test_gradients_equal_those_of_a_dense_linear_solve(self, splitting_name, activation):
        layer = layer_of(2.0, m=0.4, activation=activation, splitting=splitting_name)
        x = draw(2, 5, 3).requires_grad_()
        z, info = layer(x)
        weight = draw(3, 5, 6)
        inputs = [x, *layer.parameters()]
        found = torch.autograd.grad((weight * torch.sin(z)).sum(), inputs)
        assert info.backward is not None
        assert info.backward.all_converged

        def exact(slope_of):
            root = z.detach()
            a = layer.monotone()
            image = _ACTIVATIONS[activation](root @ a.T + layer.injection(x))
            jacobian = slope_of(image.detach())[:, :, None] * a.detach()
            incoming = weight * torch.cos(root)
            y = torch.linalg.solve(eye(6) - jacobian.mT, incoming[:, :, None])[:, :, 0]
            return torch.autograd.grad(image, inputs, y)

        for ours, wanted in zip(found, exact(_SLOPES[activation]), strict=True):
            assert float((ours - wanted).norm()) <= 1e-6 * float(wanted.norm())
        # An adjoint that forgets the activation's slope must not pass.
        wrong = exact(lambda z: 0.5 * torch.ones_like(z))
        assert any(float((f - w).norm()) > 1e-2 * float(w.norm()) for f, w in zip(found, wrong, strict=True))

    @pytest.mark.sample(2)
    def test_gradcheck(self, splitting_name, activation):
        layer = layer_of(1.0, tol=1e-13, dim=2, m=0.6, activation=activation, splitting=splitting_name)
        names = [name for name, _ in layer.named_parameters()]
        x = draw(9, 2, 3).requires_grad_()  # of ReLU three units of four are active

        def equilibrium(x, *parameters):
            return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))[0]

        parameters = [p.detach().clone().requires_grad_() for p in layer.parameters()]
        assert torch.autograd.gradcheck(equilibrium, (x, *parameters), atol=1e-6)

    @PROPERTY
    @given(seed=st.integers(0, 10**6), m=st.floats(0.1, 3), scale=st.floats(0.1, 4))
    @pytest.mark.sample(3)
    def test_lipschitz_constant(self, splitting_name, activation, seed, m, scale):
        # Forward-backward at the rate 1 - m^2/L^2 / 2 would take long; the constant is the equilibrium's, not its own.
        layer = layer_of(min(scale, 1.0 if splitting_name == "forward_backward" else 4.0), m=m, activation=activation)
        x, other = draw(seed, 4, 3), draw(seed + 1, 4, 3)
        with torch.no_grad():
            change = (layer(x)[0] - layer(other)[0]).norm(dim=1)
            injected = (layer.injection(x) - layer.injection(other)).norm(dim=1)
        assert (change <= injected / m * (1 + 1e-7)).all()


def test_lipschitz_constant_is_attained_and_needs_the_monotonicity():
    m = 0.25
    layer = layer_of(0.0, m=m, activation="identity")
    x, other = draw(0, 4, 3), draw(1, 4, 3)
    with torch.no_grad():
        change = (layer(x)[0] - layer(other)[0]).norm(dim=1)
        injected = (layer.injection(x) - layer.injection(other)).norm(dim=1)
        torch.testing.assert_close(change, injected / m, rtol=1e-9, atol=0)
        # Claiming twice the monotonicity would be caught.
        assert (change > injected / (2 * m)).all()


def test_float32_and_autocast():
    layer = MonotoneDEQ(3, 6, m=0.5, deq=DEQ(tol=1e-5, max_steps=500, on_failure="raise"), dtype=torch.float32)
    x = draw(0, 4, 3).float()
    plain, _ = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, _ = layer(x.bfloat16().float())
        rounded, info = layer(x.bfloat16())
    assert plain.dtype == mixed.dtype == torch.float32
    assert info.all_converged
    assert torch.equal(mixed, rounded)
    torch.testing.assert_close(mixed, plain, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    layer = MonotoneDEQ(3, 6, m=0.5, deq=DEQ(tol=1e-3, max_steps=500, on_failure="raise"), dtype=torch.float32)
    x = draw(0, 4, 3).float()
    plain, _ = layer(x)
    z, info = layer.to(dtype)(x.to(dtype))
    z.sum().backward()
    assert z.dtype == dtype
    assert info.all_converged
    torch.testing.assert_close(z.float(), plain, rtol=0.05, atol=0.05)
    assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.filterwarnings("ignore::ufm.deq.ConvergenceWarning")
@pytest.mark.sample(1)
def test_a_sample_without_a_value_harms_no_shared_weight(activation):
    x = draw(1, 3, 3)
    bad = x.clone()
    bad[1] = torch.nan

    def gradients(x):
        layer = MonotoneDEQ(3, 4, m=0.5, activation=activation, deq=DEQ(tol=1e-11, max_steps=500))
        z, _ = layer(x)
        return torch.autograd.grad(z[[0, 2]].square().sum(), list(layer.parameters()))

    for ours, wanted in zip(gradients(bad), gradients(x), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-8, atol=1e-9)


def test_same_seed_same_layer_and_other_seed_another():
    first, second, third = (MonotoneDEQ(3, 4, seed=seed) for seed in (1, 1, 2))
    for p, q, r in zip(first.parameters(), second.parameters(), third.parameters(), strict=True):
        assert torch.equal(p, q)
        assert not torch.equal(p, r)


def test_memory_does_not_grow_with_the_steps():
    def saved(tol):
        layer = layer_of(2.0, tol=tol, solver="fixed_point", m=0.4)
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            _, info = layer(draw(0, 4, 3))
        return sizes, int(info.steps.max())

    (few, short), (many, long) = saved(1e-2), saved(1e-12)
    assert long > 2 * short
    assert few == many


def test_failure_is_loud_both_ways():
    layer = MonotoneDEQ(3, 6, m=0.1, deq=DEQ("fixed_point", tol=1e-12, max_steps=2))
    with pytest.warns(ConvergenceWarning, match="forward solve"):
        z, info = layer(draw(0, 4, 3))
    assert not info.all_converged
    with pytest.warns(ConvergenceWarning, match="backward solve"):
        z.sum().backward()
    strict = MonotoneDEQ(3, 6, deq=DEQ(on_failure="raise"))
    with pytest.raises(ConvergenceError):
        strict(torch.full((2, 3), torch.nan, dtype=torch.float64))


def test_empty_batch_and_no_grad():
    layer = MonotoneDEQ(3, 6)
    z, info = layer(torch.zeros(0, 3, dtype=torch.float64))
    z.sum().backward()
    assert z.shape == (0, 6)
    assert info.all_converged
    with torch.no_grad():
        inside = layer(draw(0, 2, 3))[0]
    assert not inside.requires_grad
    assert torch.equal(inside, layer(draw(0, 2, 3))[0])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0, 3), {}, ValueError, "num_inputs must be an integer >= 1"),
        ((3, 0), {}, ValueError, "dim must be an integer between 1 and 20000, got 0"),
        ((3, 3), {"m": -1}, ValueError, "m must be > 0"),
        ((3, 3), {"activation": "gelu"}, ValueError, "activation must be one of 'identity', 'relu', 'tanh'"),
        ((3, 3), {"splitting": "admm"}, ValueError, "splitting must be one of"),
        ((3, 3), {"deq": "anderson"}, TypeError, "deq must be a ufm.deq.DEQ"),
        ((3, 3), {"deq": DEQ(stop_mode="abs")}, ValueError, "deq must have stop_mode = 'rel', got 'abs'"),
        ((3, 3), {"deq": DEQ(gradient="phantom")}, ValueError, "deq must have gradient='implicit', got 'phantom'"),
    ],
)
def test_bad_input(arguments, options, error, message):
    with pytest.raises(error, match=message):
        MonotoneDEQ(*arguments, **options)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1.0], TypeError, "x must be a floating-point tensor"),
        (torch.zeros(2, 3, dtype=torch.long), TypeError, "dtype torch.int64"),
        (torch.zeros(2, 4), ValueError, r"x must have shape \(batch, 3\), got \(2, 4\)"),
    ],
)
def test_bad_inputs(x, error, message):
    with pytest.raises(error, match=message):
        MonotoneDEQ(3, 4)(x)
