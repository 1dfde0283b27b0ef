"""Hard cells, all solvers: no wrong word of convergence, and the gradient right where there is one."""

from __future__ import annotations

import warnings

import pytest
import torch
from deq_zoo import ALL, ZOO, Cell, draw
from torch import Tensor

from ufm.deq import DEQ, ConvergenceWarning, iteration
from ufm.deq.iteration import norms
from ufm.deq.solvers import BROYDEN_MEMORY, MEMORY

CASES = [pytest.param(cell, solver, id=f"{name}-{solver}") for name, cell in ZOO.items() for solver in ALL]


def solve(cell: Cell, solver: str, p: Tensor, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return DEQ(solver, **{**cell.settings, **settings})(lambda z: cell.f(z, p), cell.z0)


def rows(z: Tensor) -> Tensor:
    return z.reshape(len(z), -1)


def assert_true(cell, z, image, info):
    """What a solve says of z is so, by f(z)."""
    size = norms(rows(image))
    true = norms(rows(image - z)) / torch.where(size == 0, 1.0, size)
    tol, eps = cell.settings.get("tol", 1e-6), torch.finfo(z.dtype).eps
    if cell.exists:
        torch.testing.assert_close(info.residuals, true, rtol=1e-3, atol=16 * eps, equal_nan=True)
        assert ((true <= tol + 16 * eps) | ~info.converged).all()
    else:
        assert not info.converged.any()


@pytest.mark.parametrize(("cell", "solver"), CASES)
@pytest.mark.parametrize("recorded", [False, True], ids=["quiet", "recorded"])
@pytest.mark.sample(50)
def test_the_residual_is_that_of_what_is_returned(cell, solver, recorded):
    with torch.set_grad_enabled(recorded):
        z, info = solve(cell, solver, cell.p.clone().requires_grad_(recorded))
    z = z.detach()
    with torch.no_grad():
        image = cell.f(z.clone(), cell.p).clone()
    assert_true(cell, z, image, info)
    if solver in cell.solved_by:
        assert info.all_converged, f"{info.residuals} after {info.steps}"


@pytest.mark.parametrize(("cell", "solver"), CASES)
@pytest.mark.sample(20)
def test_what_the_host_sees_seldom(cell, solver, monkeypatch):
    """As on a GPU, whose numbers are read every few steps: the same word, and the same samples where it is one."""
    with torch.no_grad():
        wanted, known = solve(cell, solver, cell.p, compiled=False)
        monkeypatch.setattr(iteration, "AT_HAND", ())
        z, info = solve(cell, solver, cell.p, compiled=False)
        image = cell.f(z.clone(), cell.p).clone()
    assert_true(cell, z, image, info)
    assert info.all_converged or solver not in cell.solved_by
    if (
        info.all_converged
        and known.all_converged
        and not (info.coupled or known.coupled)
        and bool((known.steps < 8).all())
    ):
        # Before anything goes astray samples end where they would be seen to.
        assert torch.equal(z, wanted)
        assert torch.equal(info.steps, known.steps)


@pytest.mark.parametrize(("cell", "solver"), [case for case in CASES if case.values[0].exact is not None])
@pytest.mark.sample(22)
def test_values_and_gradients(cell, solver):
    p = cell.p.clone().requires_grad_()
    backward = {"backward_solver": "anderson", "backward_max_steps": 5000, "backward_tol": cell.settings.get("tol")}
    z, info = solve(cell, solver, p, **backward)
    if not info.all_converged:
        pytest.skip("does not converge, and says so")
    # In units of the fixed point, so that what is compared is neither tiny nor huge.
    unit = float(cell.exact.abs().max())
    weight = torch.linspace(0.5, 1.5, z.numel(), dtype=z.dtype).view(z.shape) / unit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        (found,) = torch.autograd.grad((weight * z).sum(), p)
    jacobian = torch.autograd.functional.jacobian(lambda z: cell.f(z.clone(), cell.p), z.detach()).double()
    n = z.numel()
    resolvent = torch.linalg.inv(torch.eye(n, dtype=torch.float64) - jacobian.reshape(n, n))
    # A residual of tol is an error of so much at most, wherever the samples are.
    bound = 4 * float(torch.linalg.matrix_norm(resolvent, 2)) * cell.settings.get("tol", 1e-6)
    error = (z.detach().double() - cell.exact.double()).div(unit).norm() / cell.exact.double().div(unit).norm()
    assert float(error) <= bound
    assert info.backward is not None
    if info.backward.all_converged:
        y = (resolvent.T @ weight.double().reshape(n)).view(z.shape)
        (wanted,) = torch.autograd.grad(cell.f(z.detach().clone(), p), p, y.to(z.dtype))
        wanted = wanted.double()
        assert float((found.double() - wanted).mul(unit).norm()) <= bound * float(wanted.mul(unit).norm())


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.sample(10)
def test_never_worse_than_plain_steps(name):
    """Where the plain iteration converges, the solvers do within three times its steps and a handful."""
    cell = ZOO[name]
    plain = solve(cell, "fixed_point", cell.p, max_steps=4000)[1]
    if plain.all_converged:
        steps = int(plain.steps.max())
        for solver in ("anderson", "broyden"):
            info = solve(cell, solver, cell.p, max_steps=3 * steps + 40)[1]
            assert info.all_converged, solver


@pytest.mark.parametrize("compiled", [False, True], ids=["tensors", "compiled"])
@pytest.mark.parametrize(
    ("name", "n"), [("nilpotent 10", 10), ("nilpotent 30", 30), ("nilpotent 60", 60), ("circle", 20)]
)
def test_differences_are_kept_where_a_solve_takes_long(name, n, compiled):
    """On linear maps as many differences as numbers are enough, those apart that were overwritten before."""
    cell = ZOO[name]
    info = solve(cell, "anderson", cell.p, compiled=compiled)[1]
    assert info.all_converged
    assert int(info.steps.max()) <= 2 * MEMORY + n + 2


@pytest.mark.parametrize("compiled", [False, True], ids=["tensors", "compiled"])
def test_terms_are_kept_until_a_linear_map_is_solved(compiled):
    """A term of Broyden's method rests on those before: without the first ones it takes four times the plain steps."""
    cell = ZOO["nilpotent 100"]
    own, asked = (solve(cell, "broyden", cell.p, compiled=compiled, **m)[1] for m in ({}, {"memory": BROYDEN_MEMORY}))
    assert own.all_converged
    assert int(own.steps.max()) <= 2 * 100 + 2
    assert int(asked.steps.max()) > 3 * 100 + 40


@pytest.mark.parametrize("compiled", [False, True], ids=["tensors", "compiled"])
def test_a_memory_that_was_asked_for_stays(compiled):
    cell = ZOO["circle"]
    own, asked = (solve(cell, "anderson", cell.p, compiled=compiled, **m)[1] for m in ({}, {"memory": MEMORY}))
    assert int(asked.steps.max()) > 4 * int(own.steps.max())


@pytest.mark.parametrize("compiled", [False, True], ids=["tensors", "compiled"])
def test_a_memory_grows_for_each_sample_as_if_it_were_alone(compiled):
    """Samples that stop before, or are yet to stop when it grows, find what they find by themselves."""
    cell = ZOO["nilpotent 30"]
    rates = torch.tensor([1.0, 0.1, 0.9, 1.0], dtype=torch.float64)[:, None]
    h = draw(9, 4, 30)

    def steps(rows: slice) -> Tensor:
        part = Cell(lambda z, p: rates[rows] * cell.f(z, 0 * p) + p, h[rows], torch.zeros_like(h[rows]))
        return solve(part, "anderson", part.p, compiled=compiled)[1].steps

    alone = torch.cat([steps(slice(k, k + 1)) for k in range(4)])
    assert int(alone.min()) < 2 * MEMORY < int(alone.max())
    assert int((steps(slice(0, 4)) - alone).abs().max()) <= 1
