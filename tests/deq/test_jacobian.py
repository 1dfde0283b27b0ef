"""The Jacobian penalty against exact norms, the spectral radius against eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ufm.deq import DEQ, jacobian_penalty, spectral_radius

PROPERTY = settings(max_examples=examples(25), deadline=None, derandomize=True, database=None)


def draw(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def exact_penalty(f, z: Tensor) -> Tensor:
    """Mean over the samples of |J|_F^2 / n."""
    jacobians = [torch.autograd.functional.jacobian(lambda s: f(s[None])[0], sample) for sample in z]
    return torch.stack([(j**2).sum() for j in jacobians]).mean() / z[0].numel()


@PROPERTY
@given(seed=st.integers(0, 10**6), batch=st.integers(1, 4), dim=st.integers(1, 6))
def test_penalty_of_a_diagonal_jacobian_is_exact_and_so_is_its_gradient(seed, batch, dim):
    w, z = draw(seed, dim).requires_grad_(), draw(seed + 1, batch, dim)
    found = jacobian_penalty(lambda z: torch.sin(w * z), z, generator=seeded(seed))
    wanted = ((w * torch.cos(w * z)) ** 2).mean()
    torch.testing.assert_close(found, wanted)
    (ours,), (theirs,) = torch.autograd.grad(found, w), torch.autograd.grad(wanted, w)
    torch.testing.assert_close(ours, theirs)


def test_penalty_is_unbiased_and_so_is_its_gradient():
    a, z = draw(0, 5, 5).requires_grad_(), 0.5 * draw(1, 3, 5)

    def f(z):
        return torch.tanh(z @ a.T)

    exact = float(exact_penalty(f, z))
    slopes = 1 - f(z).detach() ** 2
    single = torch.stack([jacobian_penalty(f, z, generator=seeded(i)).detach() for i in range(400)])
    error = float(single.std()) / 20
    assert error < 0.05 * exact
    assert abs(float(single.mean()) - exact) < 5 * error
    # Variants that are a factor off are far outside: no division by n, or by the probes.
    assert abs(5 * exact - float(single.mean())) > 50 * error

    many = jacobian_penalty(f, z, probes=3000, generator=seeded(1))
    assert float(many.detach()) == pytest.approx(exact, rel=0.05)
    (ours,) = torch.autograd.grad(many, a)
    jacobian = (1 - torch.tanh(z @ a.T) ** 2)[:, :, None] * a
    (wanted,) = torch.autograd.grad((jacobian**2).sum() / z.numel(), a)
    assert float((ours - wanted).norm()) < 0.1 * float(wanted.norm())
    # Holding the slopes constant is a different gradient.
    (frozen,) = torch.autograd.grad(((slopes[:, :, None] * a) ** 2).sum() / z.numel(), a)
    assert float((frozen - wanted).norm()) > 0.3 * float(wanted.norm())


def test_penalty_gradcheck():
    z = draw(2, 2, 3)

    def penalty(a):
        return jacobian_penalty(lambda z: torch.tanh(z @ a.T), z, probes=2, generator=seeded(0))

    assert torch.autograd.gradcheck(penalty, draw(3, 3, 3).requires_grad_())


def test_penalty_holds_the_equilibrium_constant_and_trains_the_map_towards_contraction():
    a = (0.9 * torch.linalg.qr(draw(4, 6, 6))[0]).requires_grad_()
    h = draw(5, 8, 6)
    deq, optimiser, generator = DEQ(tol=1e-8, max_steps=300), torch.optim.SGD([a], lr=1.0), seeded(0)

    def f(z):
        return torch.tanh(z @ a.T + h)

    steps = []
    for _ in range(30):
        z, info = deq(f, torch.zeros_like(h))
        steps.append(float(info.steps.double().mean()))
        optimiser.zero_grad()
        jacobian_penalty(f, z, generator=generator).backward()
        optimiser.step()
    assert steps[-1] < 0.7 * steps[0]
    held = draw(6, 2, 6).requires_grad_()
    jacobian_penalty(lambda z: torch.tanh(z @ a.T), held).backward()
    assert held.grad is None


def test_penalty_generator_dtypes_and_edge_cases():
    a, z = draw(0, 4, 4), draw(1, 3, 2, 4)

    def f(z):
        return torch.tanh(z @ a.to(z.dtype).T)

    first, again, other = (jacobian_penalty(f, z, generator=seeded(s)) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert jacobian_penalty(f, z.bfloat16(), generator=seeded(0)).dtype == torch.float32
    assert jacobian_penalty(f, z[:0]) == 0
    assert jacobian_penalty(lambda z: torch.ones_like(z), z) == 0
    with torch.no_grad():
        quiet = jacobian_penalty(f, z, probes=2, generator=seeded(0))
    assert not quiet.requires_grad
    with pytest.raises(ValueError, match="probes must be an integer >= 1"):
        jacobian_penalty(f, z, probes=0)


@pytest.mark.parametrize("function", [jacobian_penalty, spectral_radius])
@pytest.mark.parametrize(
    ("f", "z", "error", "message"),
    [
        (3, torch.zeros(2, 3), TypeError, "f must be a map of tensors, got 3"),
        (lambda z: z[:, :2], torch.zeros(2, 3), ValueError, r"keep the shape of z, \(2, 3\), but returned \(2, 2\)"),
        (lambda z: z.sum(), torch.zeros(2, 3), ValueError, r"keep the shape of z, \(2, 3\), but returned \(\)"),
        (lambda z: (z > 0).long(), torch.zeros(2, 3), TypeError, "f must return a floating-point tensor"),
        (lambda z: 1.0, torch.zeros(2, 3), TypeError, "f must return a floating-point tensor, got 1.0"),
        (lambda z: z, [[1.0]], TypeError, r"z must be a floating-point tensor, got \[\[1.0\]\]"),
        (lambda z: z, torch.zeros(2, 3, dtype=torch.long), TypeError, "floating-point tensor, got .*torch.int64"),
        (lambda z: z, torch.tensor(1.0), ValueError, r"z must have a batch dimension, got shape \(\)"),
    ],
)
def test_bad_maps_and_points(function, f, z, error, message):
    with pytest.raises(error, match=message):
        function(f, z)


def test_samples_of_one_number():
    z = draw(0, 5)
    torch.testing.assert_close(jacobian_penalty(lambda z: 0.3 * z, z), torch.tensor(0.09, dtype=torch.float64))
    torch.testing.assert_close(spectral_radius(lambda z: -0.3 * z, z), torch.full((5,), 0.3, dtype=torch.float64))


class TestSpectralRadius:
    @PROPERTY
    @given(seed=st.integers(0, 10**6), dim=st.integers(1, 6))
    def test_of_a_symmetric_jacobian(self, seed, dim):
        q, _ = torch.linalg.qr(draw(seed, dim, dim))
        values = torch.linspace(-0.9, 0.3, dim, dtype=torch.float64) if dim > 1 else -0.9 * torch.ones(1).double()
        a = (q * values) @ q.T
        found = spectral_radius(lambda z: z @ a, draw(seed + 1, 3, dim), generator=seeded(0))
        torch.testing.assert_close(found, torch.full((3,), 0.9, dtype=torch.float64), rtol=1e-6, atol=0)

    def test_of_a_dominant_complex_pair(self):
        # A Rayleigh quotient gives 0.8 cos(1) here.
        c, s = np.cos(1.0), np.sin(1.0)
        a = torch.block_diag(0.8 * torch.tensor([[c, -s], [s, c]]), torch.tensor([[0.3]])).double()
        change = torch.linalg.qr(draw(0, 3, 3))[0] + 0.3 * draw(1, 3, 3)
        a = torch.linalg.solve(change, a) @ change
        found = spectral_radius(lambda z: z @ a.T, draw(2, 2, 3), steps=400, generator=seeded(0))
        assert float(torch.linalg.eigvals(a).abs().max()) == pytest.approx(0.8, rel=1e-6)
        torch.testing.assert_close(found, torch.full((2,), 0.8, dtype=torch.float64), rtol=1e-2, atol=0)

    def test_sample_by_sample_and_below_the_norm(self):
        # Norm 50, radius 0.5 or 0.7: what decides about convergence is the radius.
        a = torch.tensor([[1.0, 100.0], [0.0, 0.5]], dtype=torch.float64)
        rates = torch.tensor([[0.5], [0.7]], dtype=torch.float64)
        found = spectral_radius(lambda z: rates * (z @ a.T), torch.zeros(2, 2).double(), generator=seeded(0))
        torch.testing.assert_close(found, rates[:, 0], rtol=1e-6, atol=0)

    def test_nilpotent_constant_empty_and_images(self):
        a = torch.diag(torch.ones(3, dtype=torch.float64), 1)
        assert (spectral_radius(lambda z: z @ a, draw(0, 2, 4)) == 0).all()
        assert (spectral_radius(lambda z: torch.ones_like(z), draw(0, 2, 4)) == 0).all()
        assert spectral_radius(lambda z: z, draw(0, 0, 4)).shape == (0,)
        found = spectral_radius(lambda z: 0.25 * z.flip(3), draw(0, 2, 3, 4, 4))
        torch.testing.assert_close(found, torch.full((2,), 0.25, dtype=torch.float64))
        assert not found.requires_grad
        with pytest.raises(ValueError, match="steps must be an integer >= 2"):
            spectral_radius(lambda z: z, draw(0, 1, 1), steps=1)
