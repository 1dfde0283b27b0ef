"""The DEQ layer: solvers to their stated residual, implicit gradients against exact ones, loud failure."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from effort import count, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ufm.deq import DEQ, ConvergenceError, ConvergenceWarning, Info
from ufm.deq.solvers import SOLVERS, anderson, get_solver

PROPERTY = settings(max_examples=examples(20), deadline=None, derandomize=True, database=None)


def draw(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def contraction(seed: int, dim: int, rho: float) -> Tensor:
    matrix = draw(seed, dim, dim)
    return rho * matrix / torch.linalg.matrix_norm(matrix, 2)


def relative(f, z: Tensor) -> Tensor:
    image = f(z)
    return (image - z).norm(dim=1) / image.norm(dim=1)


@pytest.mark.parametrize("solver", SOLVERS)
class TestSolvers:
    @PROPERTY
    @given(seed=st.integers(0, 10**6), rho=st.floats(0.0, 0.9), dim=st.integers(1, 12), batch=st.integers(1, 5))
    def test_stops_at_the_stated_residual(self, solver, seed, rho, dim, batch):
        a, h = contraction(seed, dim, rho), draw(seed + 1, batch, dim)

        def f(z):
            return torch.tanh(z @ a.T) + h

        tol = 1e-9
        with torch.no_grad():
            z, info = DEQ(solver, tol=tol, max_steps=400, on_failure="raise")(f, torch.zeros_like(h))
        assert info.all_converged
        assert (relative(f, z) <= tol * (1 + 1e-6)).all()
        torch.testing.assert_close(relative(f, z), info.residuals, rtol=1e-3, atol=1e-15)

    def test_linear_solution(self, solver):
        a, h = contraction(0, 8, 0.8), draw(1, 6, 8)
        with torch.no_grad():
            z, _ = DEQ(solver, tol=1e-13, max_steps=400, on_failure="raise")(lambda z: z @ a.T + h, h)
        exact = torch.linalg.solve(torch.eye(8, dtype=h.dtype) - a, h.T).T
        torch.testing.assert_close(z, exact, rtol=1e-11, atol=1e-12)

    def test_samples_stop_on_their_own(self, solver):
        rates = torch.tensor([[0.05], [0.5], [0.95]], dtype=torch.float64)
        h = draw(2, 3, 4)

        def f(z, rows=slice(None)):
            return rates[rows] * torch.sin(z) + h[rows]

        with torch.no_grad():
            deq = DEQ(solver, tol=1e-10, max_steps=500, on_failure="raise")
            z, info = deq(f, torch.zeros_like(h))
            alone = [deq(lambda z, i=i: f(z, slice(i, i + 1)), torch.zeros(1, 4, dtype=h.dtype)) for i in range(3)]
        assert info.steps.tolist() == [int(i.steps[0]) for _, i in alone]
        assert len(set(info.steps.tolist())) > 1
        torch.testing.assert_close(z, torch.cat([z for z, _ in alone]), rtol=1e-13, atol=1e-13)

    def test_a_held_sample_stays_what_it_was(self, solver):
        """Whatever f makes of it within the tolerance while the others go on: bit for bit, and in its own steps."""
        a, h = contraction(3, 4, 0.9), draw(4, 2, 4)
        start = torch.stack([torch.linalg.solve(torch.eye(4, dtype=h.dtype) - a, h[0]), torch.zeros(4).double()])
        calls = []

        def f(z):
            calls.append(z)
            return z @ a.T + h + torch.tensor([[1e-12 * (len(calls) > 2)], [0.0]])

        point = get_solver(solver)(f, start, 1e-10, 500)
        assert point.converged.all()
        assert not point.joint
        assert point.steps[0] == 1
        assert point.steps[1] == len(calls) > 4
        assert torch.equal(point.z[0], start[0])

    def test_a_held_sample_is_looked_at_again(self, solver):
        """Where f makes something else of it while the others go on, it has not converged, and goes on with them."""
        a, h = contraction(3, 4, 0.9), draw(4, 2, 4)
        start = torch.stack([torch.linalg.solve(torch.eye(4, dtype=h.dtype) - a, h[0]), torch.zeros(4).double()])
        calls, shift = [], torch.tensor([[1.0], [0.0]], dtype=h.dtype)

        def f(z):
            calls.append(z)
            return z @ a.T + h + shift * (len(calls) > 2)

        point = get_solver(solver)(f, start, 1e-10, 500)
        assert point.converged.all()
        assert point.joint
        assert point.steps[0] > 1
        exact = torch.linalg.solve(torch.eye(4, dtype=h.dtype) - a, (h + shift).T).T
        torch.testing.assert_close(point.z, exact, rtol=1e-8, atol=1e-8)

    def test_fixed_point_at_zero_has_residual_zero(self, solver):
        with torch.no_grad():
            z, info = DEQ(solver, on_failure="raise")(lambda z: 0.5 * z, torch.zeros(2, 3))
        assert (z == 0).all()
        assert info.residuals.tolist() == [0.0, 0.0]
        assert info.steps.tolist() == [1, 1]

    def test_shapes_beyond_vectors(self, solver):
        h = draw(3, 2, 3, 4, 4)
        with torch.no_grad():
            z, _ = DEQ(solver, tol=1e-12, on_failure="raise")(lambda z: torch.tanh(0.4 * z.flip(3)) + h, h)
        assert z.shape == h.shape
        torch.testing.assert_close(z, torch.tanh(0.4 * z.flip(3)) + h, rtol=1e-10, atol=1e-11)

    def test_float32(self, solver):
        h = draw(4, 3, 5).float()
        with torch.no_grad():
            z, info = DEQ(solver, tol=1e-5, on_failure="raise")(lambda z: 0.5 * torch.cos(z) + h, h)
        assert z.dtype == torch.float32
        assert info.all_converged

    def test_no_fixed_point_is_loud_and_finite(self, solver):
        # z = z + 1 has no solution; every residual is the same, so mixing and secant systems are singular.
        with torch.no_grad():
            with pytest.warns(ConvergenceWarning, match=rf"forward solve with '{solver}' did not converge: 2 of 2"):
                z, info = DEQ(solver, max_steps=15)(lambda z: z + 1, torch.zeros(2, 3))
            with pytest.raises(ConvergenceError, match="did not converge"):
                DEQ(solver, max_steps=15, on_failure="raise")(lambda z: z + 1, torch.zeros(2, 3))
        assert torch.isfinite(z).all()
        assert not info.converged.any()
        assert info.steps.tolist() == [15, 15]

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
    @pytest.mark.parametrize("n", [1, 2, 7, 40])
    @pytest.mark.parametrize("rotated", [False, True])
    @pytest.mark.sample(12)
    def test_singular_systems_without_a_solution_are_loud(self, solver, dtype, n, rotated):
        """(I - A) z = b where A has the eigenvalue 1 and b a part along it: rounding must not pass for progress."""
        batch = 60
        b = draw(n, batch, n).to(dtype)
        if rotated:
            q = torch.linalg.qr(draw(n + 1, n, n))[0]
            values = torch.from_numpy(np.random.default_rng(n).uniform(-0.9, 0.9, n))
            values[0] = 1
            a = (q * values @ q.T).to(dtype)
            part = (b.double() @ q[:, 0]).abs() / b.double().norm(dim=1)
            f = lambda z: z @ a.T + b  # noqa: E731
        else:
            part = torch.ones(batch)
            f = lambda z: z + b  # noqa: E731
        with torch.no_grad(), warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            z, info = DEQ(solver, tol=1e-6)(f, torch.zeros_like(b))
        assert torch.isfinite(z).all()
        # The residual is never less than the part of b along the eigenvector.
        assert not info.converged[part > 1e-3].any()
        assert (part > 1e-3).sum() > batch / 2
        assert (info.residuals[part > 1e-3] > 1e-6).all()

    def test_wild_steps_do_not_make_a_far_point_near(self, solver):
        """The same, at the samples whose accelerated steps leap by far more than any residual of the problem."""
        for seed, n in ((5, 7), (3, 20)):
            b, q = draw(1000 + seed, 60, n).float(), torch.linalg.qr(draw(seed, n, n))[0]
            values = torch.from_numpy(np.random.default_rng(seed).uniform(-0.9, 0.9, n))
            values[0] = 1
            a = (q * values @ q.T).float()
            for compiled in (False, None):
                with torch.no_grad(), warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
                    _, info = DEQ(solver, compiled=compiled)(lambda z: z @ a.T + b, torch.zeros_like(b))  # noqa: B023
                part = (b.double() @ q[:, 0]).abs() / b.double().norm(dim=1)
                assert not info.converged[part > 1e-3].any()

    def test_nothing_is_gained_by_growing(self, solver):
        """softplus(z) + 1 > z: no fixed point, and |f(z) - z| falls to 1 while z grows."""
        with torch.no_grad(), pytest.raises(ConvergenceError, match="3 of 3"):
            DEQ(solver, tol=1e-3, max_steps=count(600, 3000), on_failure="raise")(
                lambda z: torch.nn.functional.softplus(z) + 1, torch.zeros(3, 5).double()
            )

    def test_fixed_points_far_from_the_start_are_found(self, solver):
        h = draw(30, 5, 6)
        a = contraction(31, 6, 0.5)
        near = torch.linalg.solve(torch.eye(6, dtype=h.dtype) - a, h.T).T
        layer = DEQ(solver, tol=1e-9, max_steps=50_000, on_failure="raise")
        with torch.no_grad():
            far, _ = layer(lambda z: 0.999 * z + h, torch.zeros_like(h))  # a thousand times as large as f(0)
            torch.testing.assert_close(far, 1000 * h, rtol=2e-6, atol=0)
            back, _ = layer(lambda z: z @ a.T + h, 1e12 * torch.ones_like(h))
            torch.testing.assert_close(back, near, rtol=1e-7, atol=1e-8)
            # from next to nothing at an unstable fixed point, to a stable one or back
            grown, _ = layer(lambda z: torch.tanh(2 * z), 1e-9 * h.sign())
            torch.testing.assert_close(torch.tanh(2 * grown), grown, rtol=1e-8, atol=1e-17)

    def test_only_the_failing_sample_is_reported(self, solver):
        shift = torch.tensor([[0.0], [1.0]])
        with torch.no_grad(), pytest.warns(ConvergenceWarning, match="1 of 2"):
            _, info = DEQ(solver, max_steps=40)(lambda z: torch.where(shift > 0, z + 1, 0.3 * z + 1), torch.zeros(2, 1))
        assert info.converged.tolist() == [True, False]

    def test_nan_is_not_convergence(self, solver):
        with torch.no_grad(), pytest.raises(ConvergenceError):
            DEQ(solver, max_steps=5, on_failure="raise")(lambda z: z * torch.nan, torch.ones(1, 2))

    def test_backward_failure_is_loud(self, solver):
        # The forward start is the solution; the adjoint equation is a plain contraction that needs many steps.
        a = contraction(5, 6, 0.95).requires_grad_()
        h = draw(6, 2, 6)
        exact = torch.linalg.solve(torch.eye(6, dtype=h.dtype) - a.detach(), h.T).T

        def loss(on_failure):
            deq = DEQ(solver, tol=1e-8, backward_tol=1e-13, backward_max_steps=2, on_failure=on_failure)
            z, info = deq(lambda z: z @ a.T + h, exact)
            return z.square().sum(), info

        value, info = loss("warn")
        with pytest.warns(ConvergenceWarning, match="backward solve"):
            value.backward()
        assert info.backward is not None
        assert not info.backward.all_converged
        value, _ = loss("raise")
        with pytest.raises(ConvergenceError, match="backward solve"):
            value.backward()


def test_anderson_solves_a_linear_map_in_as_many_steps_as_it_has_eigenvalues():
    q, _ = torch.linalg.qr(draw(7, 12, 12))
    a = (q * torch.tensor([0.9] * 6 + [-0.7] * 6, dtype=torch.float64)) @ q.T
    h = draw(8, 3, 12)
    point = anderson(lambda z: z @ a + h, torch.zeros_like(h), 1e-12, 50)
    # Two eigenvalues: a start, two Krylov steps, and the evaluation that finds the residual small.
    assert int(point.steps.max()) <= 4
    plain = get_solver("fixed_point")(lambda z: z @ a + h, torch.zeros_like(h), 1e-12, 500)
    assert int(plain.steps.min()) > 100


def test_anderson_in_one_dimension_is_the_secant_method():
    shifts = [0.0, 0.25, 0.5, 0.75, 1.0]

    def secant_steps(shift):
        def g(z):
            return math.cos(z) + shift - z

        a, b, steps = 0.0, g(0.0), 2
        while abs(g(b)) > 1e-13 * abs(g(b) + b):
            a, b = b, b - g(b) * (b - a) / (g(b) - g(a))
            steps += 1
        return steps

    h = torch.tensor(shifts, dtype=torch.float64)[:, None]
    point = anderson(lambda z: torch.cos(z) + h, torch.zeros_like(h), 1e-13, 50)
    assert point.steps.tolist() == [secant_steps(shift) for shift in shifts]


@pytest.mark.parametrize("solver", ["anderson", "broyden"])
def test_acceleration_recovers_from_a_value_that_is_not_finite(solver):
    calls = []

    def f(z):
        calls.append(z)
        image = 0.7 * torch.cos(z) + 1
        return torch.where(torch.tensor([[False], [len(calls) == 4], [False]]), torch.nan, image)

    with torch.no_grad():
        z, info = DEQ(solver, tol=1e-12, on_failure="raise")(f, torch.zeros(3, 4, dtype=torch.float64))
    torch.testing.assert_close(z[1], z[0])
    assert int(info.steps[1]) <= int(info.steps[0]) + 4


def test_anderson_on_a_singular_but_solvable_system():
    # I - A is singular; h lies in its range, so fixed points exist.
    a = torch.diag(torch.tensor([1.0, 0.5, 0.2], dtype=torch.float64))
    h = torch.tensor([[0.0, 1.0, 1.0]], dtype=torch.float64)
    with torch.no_grad():
        z, info = DEQ("anderson", tol=1e-12, on_failure="raise")(lambda z: z @ a + h, torch.ones_like(h))
    assert info.all_converged
    torch.testing.assert_close(z, torch.tensor([[1.0, 2.0, 1.25]], dtype=torch.float64))


class TestImplicitGradient:
    @PROPERTY
    @given(
        seed=st.integers(0, 10**6), rho=st.floats(0.0, 0.95), dim=st.integers(1, 10), solver=st.sampled_from(SOLVERS)
    )
    def test_equals_the_exact_gradient_of_a_linear_fixed_point(self, seed, rho, dim, solver):
        a = contraction(seed, dim, rho).requires_grad_()
        h = draw(seed + 1, 4, dim).requires_grad_()
        weight = draw(seed + 2, 4, dim)

        def loss(z):
            return (weight * torch.sin(z)).sum()

        deq = DEQ(solver, tol=1e-12, max_steps=1000, on_failure="raise")
        z, _ = deq(lambda z: z @ a.T + h, h.detach())
        implicit = torch.autograd.grad(loss(z), (a, h))
        exact_z = torch.linalg.solve(torch.eye(dim, dtype=h.dtype) - a, h.T).T
        exact = torch.autograd.grad(loss(exact_z), (a, h))
        for found, wanted in zip(implicit, exact, strict=True):
            assert float((found - wanted).norm()) <= 1e-6 * float(wanted.norm())

    @pytest.mark.parametrize("solver", SOLVERS)
    def test_gradcheck(self, solver):
        a, u, x = (contraction(0, 4, 0.7), draw(1, 4, 3), draw(2, 2, 3))
        deq = DEQ(solver, tol=1e-14, max_steps=300, on_failure="raise")

        def equilibrium(a, u, x):
            injected = x @ u.T
            return deq(lambda z: torch.tanh(z @ a.T + injected), torch.zeros(2, 4, dtype=a.dtype))[0]

        assert torch.autograd.gradcheck(equilibrium, tuple(t.requires_grad_() for t in (a, u, x)), atol=1e-7)

    def test_wrong_gradient_is_caught(self):
        # Stopping at the last evaluation, J left out, is the classic mistake: the comparison must see it.
        a = contraction(3, 5, 0.6).requires_grad_()
        h = draw(4, 3, 5)
        z, _ = DEQ(tol=1e-12)(lambda z: z @ a.T + h, h)
        (implicit,) = torch.autograd.grad(z.square().sum(), a)
        (phantom,) = torch.autograd.grad((z.detach() @ a.T + h).square().sum(), a)
        assert float((phantom - implicit).norm()) > 0.1 * float(implicit.norm())

    def test_module_parameters_receive_it(self):
        torch.manual_seed(0)
        cell = torch.nn.Linear(3, 3).double()
        with torch.no_grad():
            cell.weight.mul_(0.5)
        z, info = DEQ(tol=1e-12, on_failure="raise")(
            lambda z: torch.relu(cell(z)), torch.zeros(2, 3, dtype=torch.double)
        )
        z.sum().backward()
        assert cell.weight.grad is not None
        assert cell.bias.grad is not None
        assert info.backward is not None
        assert info.backward.all_converged

    def test_map_that_ignores_z(self):
        h = draw(5, 2, 3).requires_grad_()
        z, info = DEQ(on_failure="raise")(lambda z: 2 * h, torch.zeros(2, 3, dtype=h.dtype))
        z.sum().backward()
        assert (h.grad == 2).all()
        assert info.steps.tolist() == [2, 2]

    def test_start_receives_none(self):
        z0 = draw(6, 2, 3).requires_grad_()
        h = draw(7, 2, 3).requires_grad_()
        z, _ = DEQ(tol=1e-10)(lambda z: 0.3 * torch.sin(z) + h, z0)
        z.sum().backward()
        assert z0.grad is None
        assert h.grad is not None

    def test_own_solver_and_tolerance(self):
        a = contraction(8, 6, 0.9).requires_grad_()
        h = draw(9, 2, 6)

        def steps(**options):
            z, info = DEQ("anderson", tol=1e-12, on_failure="raise", **options)(lambda z: z @ a.T + h, h)
            z.sum().backward()
            assert info.backward is not None
            return int(info.backward.steps.max()), float(info.backward.residuals.max())

        loose, tight = steps(backward_tol=1e-3), steps()
        assert loose[0] < tight[0]
        assert tight[1] <= 1e-12 < loose[1] <= 1e-3
        assert steps(backward_solver="fixed_point", backward_max_steps=1000)[0] > tight[0]

    @pytest.mark.parametrize("loss", [lambda z: z.sum(), lambda z: z.square().sum()], ids=["linear", "square"])
    def test_second_derivatives_are_refused(self, loss):
        """Of a linear loss too, whose incoming gradient is a constant: the solution of the adjoint equation is none."""
        h = draw(10, 1, 2).requires_grad_()
        z, _ = DEQ()(lambda z: 0.5 * torch.sin(z) + h, h)
        with pytest.raises(RuntimeError, match="cannot be differentiated again"):
            torch.autograd.grad(loss(z), h, create_graph=True)

    def test_second_derivatives_of_the_phantom_gradient(self):
        h = draw(10, 1, 2).requires_grad_()
        layer = DEQ(tol=1e-12, gradient="phantom", phantom_steps=60, phantom_damping=1.0)

        def second(z):
            (first,) = torch.autograd.grad(z.sum(), h, create_graph=True)
            return torch.autograd.grad(first.sum(), h)[0]

        z = h
        for _ in range(100):
            z = 0.5 * torch.sin(z) + h
        torch.testing.assert_close(second(layer(lambda z: 0.5 * torch.sin(z) + h, h.detach())[0]), second(z))

    def test_no_recording_without_gradients(self):
        h = draw(11, 2, 3).requires_grad_()
        with torch.no_grad():
            z, _ = DEQ()(lambda z: 0.5 * z + h, h)
        assert not z.requires_grad

    @pytest.mark.parametrize("solver", SOLVERS)
    def test_memory_does_not_grow_with_the_steps(self, solver):
        a = contraction(12, 8, 0.9).requires_grad_()
        h = draw(13, 4, 8)

        def saved(tol):
            sizes: list[int] = []

            def pack(tensor):
                sizes.append(tensor.numel())
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                _, info = DEQ(solver, tol=tol, max_steps=1000, on_failure="raise")(lambda z: torch.tanh(z @ a.T + h), h)
            return sizes, int(info.steps.max())

        (few, short), (many, long) = saved(1e-2), saved(1e-13)
        assert long > 2 * short
        assert few == many
        assert len(few) > 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"solver": "newton"}, ValueError, "solver must be one of 'fixed_point', 'anderson', 'broyden', got 'newton'"),
        ({"solver": 3}, TypeError, "solver must be one of"),
        ({"tol": 0.0}, ValueError, "tol must be > 0"),
        ({"tol": -1e-3}, ValueError, "tol must be > 0"),
        ({"tol": float("nan")}, ValueError, "tol must be finite"),
        ({"tol": "small"}, TypeError, "tol must be a real number"),
        ({"max_steps": 0}, ValueError, "max_steps must be an integer >= 1"),
        ({"max_steps": 2.5}, ValueError, "max_steps must be an integer"),
        ({"backward_solver": "none"}, ValueError, "backward_solver must be one of"),
        ({"backward_tol": 0}, ValueError, "backward_tol must be > 0"),
        ({"backward_max_steps": -1}, ValueError, "backward_max_steps must be an integer >= 1"),
        ({"on_failure": "ignore"}, ValueError, "on_failure must be one of 'warn', 'raise', got 'ignore'"),
    ],
)
def test_bad_settings(options, error, message):
    with pytest.raises(error, match=message):
        DEQ(**options)


@pytest.mark.parametrize(
    ("z0", "error", "message"),
    [
        ([1.0], TypeError, "z0 must be a floating-point tensor"),
        (torch.zeros(2, 2, dtype=torch.long), TypeError, "dtype torch.int64"),
        (torch.tensor(1.0), ValueError, "z0 must have a batch dimension"),
        (torch.zeros(3, 0), ValueError, "at least one entry a sample"),
    ],
)
def test_bad_start(z0, error, message):
    with pytest.raises(error, match=message):
        DEQ()(lambda z: z, z0)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (3, "f must be a map of tensors, got 3"),
        (lambda z: None, "f must return a floating-point tensor, got None"),
        (lambda z: (z, z), r"f must return a floating-point tensor, got \("),
        (lambda z: z.long(), "f must return a floating-point tensor, got a tensor of dtype torch.int64"),
        (lambda z: z * 1j, "f must return a floating-point tensor, got a tensor of dtype torch.complex64"),
    ],
)
def test_bad_map(f, message):
    with pytest.raises(TypeError, match=message):
        DEQ()(f, torch.zeros(2, 3))


def test_map_must_keep_the_shape():
    with pytest.raises(ValueError, match=r"f must keep the shape of z, \(2, 3\), but returned \(2, 4\)"):
        DEQ()(lambda z: torch.zeros(2, 4), torch.zeros(2, 3))


def test_converged_solve_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, info = DEQ()(lambda z: 0.5 * z + 1, torch.zeros(1, 1))
    assert isinstance(info, Info)
    assert "tol=1e-06" in repr(DEQ())
