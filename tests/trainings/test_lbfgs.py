"""L-BFGS on a device: where it ends, beside SciPy's, and how often the host waits for it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch.utils._python_dispatch import TorchDispatchMode

from ufm.networks import ExplicitNetwork
from ufm.trainings.lbfgs import minimise
from ufm.trainings.optimisation import descend, objective


def of_torch(function):
    """Value and gradient by autograd."""

    def value_and_gradient(x):
        x = x.detach().requires_grad_()
        value = function(x)
        return value, torch.autograd.grad(value, x)[0]

    return value_and_gradient


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2).square() + (1 - x[:-1]).square()).sum()


def start(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("memory", [1, 3, 20])
def test_a_curved_valley(memory):
    x, end = minimise(of_torch(rosenbrock), start(0.2, 1.4, 0.5, 0.8, 1.3, 0.9), memory=memory, max_iterations=3000)
    assert end.message == "the gradient is small"
    assert end.gradient <= 1e-7
    np.testing.assert_allclose(x.numpy(), 1.0, atol=1e-6)
    assert end.evaluations < 2 * end.iterations + 10


@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 2**20), spread=st.floats(0, 4), n=st.integers(1, 30))
def test_convex_functions_beside_scipy(seed, spread, n):
    """Softplus along random directions and a quadratic with eigenvalues over many decades."""
    rng = np.random.default_rng(seed)
    eigenvalues = torch.from_numpy(10.0 ** rng.uniform(-spread, 0, n))
    rows, first = torch.from_numpy(rng.normal(size=(4, n))), torch.from_numpy(rng.normal(size=n))

    def function(x):
        return (eigenvalues * x.square()).sum() / 2 + torch.nn.functional.softplus(rows @ x).sum()

    def for_scipy(x):
        value, gradient = of_torch(function)(torch.from_numpy(x))
        return float(value.detach()), gradient.numpy()

    _, end = minimise(of_torch(function), first, max_iterations=2000)
    options = {"ftol": 0.0, "gtol": 1e-7, "maxiter": 2000, "maxcor": 20}
    found = minimize(for_scipy, first.numpy(), jac=True, method="L-BFGS-B", options=options)
    assert end.gradient <= 1e-7, end
    assert math.isclose(end.objective, found.fun, rel_tol=1e-9)
    assert end.evaluations <= 3 * found.nfev + 20


def test_what_is_no_gradient_leads_nowhere():
    def uphill(x):
        return x.square().sum(), -2 * x

    x, end = minimise(uphill, start(1.0, 2.0))
    assert end.message == "no step lowers the value"
    assert (end.iterations, x.tolist()) == (0, [1.0, 2.0])


def test_values_that_are_not_finite_are_stepped_back_from():
    def barrier(x):
        return x.square().sum() - torch.log(1 - x.square().sum()) - 1.5 * x[0]

    _, end = minimise(of_torch(barrier), start(0.0, 0.9), max_iterations=200)
    assert end.gradient <= 1e-7
    assert math.isfinite(end.objective)


class _Reads(TorchDispatchMode):
    """Counts what makes the host wait for the device, were there one."""

    def __init__(self):
        super().__init__()
        self.scalars = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        self.scalars += "local_scalar_dense" in name or "nonzero" in name or "aten.equal" in name
        return func(*args, **(kwargs or {}))


def test_the_host_waits_once_an_evaluation_and_no_weights_cross(monkeypatch):
    """Explicit network and modelled objective: all numbers that the host sees, those of one transfer an evaluation."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(20, 6, generator=generator, dtype=torch.float64), torch.arange(20) % 3
    network = ExplicitNetwork(6, 3, dim=4, width=24)
    read: list[int] = []
    tolist = torch.Tensor.tolist

    def counted(self):
        read.append(self.numel())
        return tolist(self)

    def crossing(*_, **__):
        raise AssertionError("a tensor is brought to the host")

    monkeypatch.setattr(torch.Tensor, "tolist", counted)
    for name in ("numpy", "cpu", "item", "__float__", "__int__", "__bool__", "__array__"):
        monkeypatch.setattr(torch.Tensor, name, crossing)
    with _Reads() as counter:
        found = descend(
            network,
            x,
            lambda: objective(network(x), y, network.classifier.weight, 0.02, 0.02),
            max_iterations=15,
            optimiser="torch",
        )
    monkeypatch.undo()
    assert found.iterations == 15
    assert counter.scalars == 0
    assert len(read) == found.evaluations
    assert max(read) <= 2 + 3 * (2 * 20 + 3)
    other = ExplicitNetwork(6, 3, dim=4, width=24)
    same = descend(
        other,
        x,
        lambda: objective(other(x), y, other.classifier.weight, 0.02, 0.02),
        max_iterations=2000,
        optimiser="scipy",
    )
    again = descend(
        network,
        x,
        lambda: objective(network(x), y, network.classifier.weight, 0.02, 0.02),
        max_iterations=2000,
        optimiser="torch",
    )
    assert again.converged
    assert same.converged
    assert math.isclose(again.objective, same.objective, rel_tol=1e-9)
