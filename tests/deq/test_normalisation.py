"""Dropout, normalised weights, correction: the same map throughout a solve, and gradients through it."""

from __future__ import annotations

import pytest
import torch
from deq_zoo import draw

from ufm.deq import DEQ
from ufm.deq.normalisation import NORMS, VariationalDropout, fixed_point_correction, normalise
from ufm.deq.solvers import SOLVERS


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_mask_a_solve(solver):
    torch.manual_seed(0)
    drop, h = VariationalDropout(0.5), draw(0, 4, 6).requires_grad_()
    layer = DEQ(solver, tol=1e-10, on_failure="raise")
    z, _ = layer(lambda z: 0.4 * drop(z) + h, torch.zeros_like(h))
    # 0 or 0.8 of z: h, or five times as much.
    factor = (z / h).detach()
    assert set(factor.round(decimals=6).flatten().tolist()) == {1.0, 5.0}
    (found,) = torch.autograd.grad(z.sum(), h)
    torch.testing.assert_close(found, factor)
    again, _ = layer(lambda z: 0.4 * drop(z) + h, torch.zeros_like(h))
    assert not torch.allclose(again, z)
    drop.eval()
    torch.testing.assert_close(layer(lambda z: 0.4 * drop(z) + h, torch.zeros_like(h))[0], h / 0.6)


def test_masks_are_shared_along_dimensions():
    drop = VariationalDropout(0.5, shared=(2, 3))
    torch.manual_seed(0)
    z = drop(torch.ones(8, 4, 3, 3))
    assert (z == z[:, :, :1, :1]).all()
    assert set(z.flatten().tolist()) == {0.0, 2.0}
    with pytest.raises(ValueError, match="shared must be dimensions of z, of which there are 2"):
        drop(torch.ones(8, 4))
    with pytest.raises(ValueError, match=r"p must lie in \[0, 1\)"):
        VariationalDropout(1.0)


@pytest.mark.parametrize("norm", NORMS)
def test_weights_are_computed_once_a_solve_with_their_gradients(norm):
    torch.manual_seed(0)
    cell, h = torch.nn.Linear(5, 5, dtype=torch.float64), draw(1, 3, 5)
    normalise(cell, norm, bound=0.5)
    counts = []
    kind = cell.parametrizations.weight[0]
    original = kind.value
    kind.value = lambda weight: counts.append(1) or original(weight)
    z, info = DEQ(tol=1e-13, max_steps=300, on_failure="raise")(lambda z: torch.tanh(cell(z) + h), torch.zeros_like(h))
    assert len(counts) == 1
    assert int(info.steps.max()) > 3
    parameters = list(cell.parameters())
    found = torch.autograd.grad(z.square().sum(), parameters)
    plain = torch.zeros_like(h)
    for _ in range(200):
        plain = torch.tanh(cell(plain) + h)
    wanted = torch.autograd.grad(plain.square().sum(), parameters)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


def test_norms_are_what_they_are_called():
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 6)
    before = layer.weight.detach().clone()
    torch.testing.assert_close(normalise(layer, "weight").weight, before)
    spectral = normalise(torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.Linear(4, 4)), "spectral", bound=0.1)
    for m in spectral:
        assert float(torch.linalg.matrix_norm(m.weight.detach().flatten(1), 2)) == pytest.approx(0.1, rel=1e-5)
    with pytest.raises(ValueError, match="norm must be one of 'weight', 'spectral', got 'batch'"):
        normalise(layer, "batch")
    with pytest.raises(TypeError, match=r"module must be a torch\.nn\.Module"):
        normalise(3)


def test_correction_has_gradients_of_all_states():
    h = draw(2, 2, 3).requires_grad_()
    layer = DEQ("fixed_point", tol=1e-10, n_states=3, max_steps=60)
    _, info = layer(lambda z: 0.5 * torch.cos(z) + h, torch.zeros_like(h))
    loss = fixed_point_correction(lambda z: z.square().sum(), info.states, decay=0.5)
    first, second, last = (z.square().sum() for z in info.states)
    torch.testing.assert_close(loss, last + 0.5 * second + 0.25 * first)
    assert torch.autograd.grad(loss, h)[0].abs().min() > 0
    with pytest.raises(ValueError, match="states must hold the states of a call"):
        fixed_point_correction(torch.sum, ())
