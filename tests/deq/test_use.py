"""The DEQ layer as others use it: phantom gradient, half precision, compiled models, graphs used twice, odd inputs."""

from __future__ import annotations

import contextlib
import copy
import getpass
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from effort import count, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ufm.deq import DEQ, ConvergenceError, ConvergenceWarning, PrecisionWarning
from ufm.deq.solvers import SOLVERS, minimal_tolerance

# The C++ backend of compiled models imports it, which fails once other tests have changed what can be imported.
with contextlib.suppress(ImportError):
    import setuptools  # noqa: F401

PROPERTY = settings(max_examples=examples(20), deadline=None, derandomize=True, database=None)
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def draw(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def contraction(seed: int, dim: int, rho: float) -> Tensor:
    matrix = draw(seed, dim, dim)
    return rho * matrix / torch.linalg.matrix_norm(matrix, 2)


class Convolutional(nn.Module):
    """``z = tanh(conv(z) + x)`` on (batch, 3, 5, 5)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 3, 3, padding=1, dtype=torch.float64)
        with torch.no_grad():
            self.conv.weight.mul_(0.7)

    def forward(self, deq: DEQ, x: Tensor):
        return deq(lambda z: torch.tanh(self.conv(z) + x), torch.zeros_like(x))


class TestPhantomGradient:
    @PROPERTY
    @given(
        seed=st.integers(0, 10**6),
        rho=st.floats(0.0, 0.95),
        steps=st.integers(1, 12),
        damping=st.floats(0.05, 1.0),
    )
    def test_is_the_truncated_series_with_the_stated_error(self, seed, rho, steps, damping):
        dim = 5
        a, weight = contraction(seed, dim, rho), draw(seed + 1, 3, dim)
        h = draw(seed + 2, 3, dim).requires_grad_()
        deq = DEQ(
            tol=1e-13,
            max_steps=500,
            on_failure="raise",
            gradient="phantom",
            phantom_steps=steps,
            phantom_damping=damping,
        )
        z, info = deq(lambda z: z @ a.T + h, h.detach())
        (found,) = torch.autograd.grad((weight * z).sum(), h)
        eye = torch.eye(dim, dtype=h.dtype)
        implicit = torch.linalg.solve(eye - a.T, weight.T).T
        iteration = damping * a + (1 - damping) * eye
        series = implicit - implicit @ torch.linalg.matrix_power(iteration, steps)
        torch.testing.assert_close(found, series, rtol=1e-9, atol=1e-11)
        bound = (1 - damping * (1 - rho)) ** steps
        assert ((found - implicit).norm(dim=1) <= bound * implicit.norm(dim=1) + 1e-11).all()
        assert info.backward is None
        # One step more or less, or a step without its weight, is another series.
        other = implicit - implicit @ torch.linalg.matrix_power(iteration, steps + 1)
        if bound > 0.01 and rho > 0.01:
            assert float((found - other).norm()) > 1e-6 * float(found.norm())
        if damping < 0.9:
            assert float((found / damping - series).norm()) > 0.05 * float(series.norm())

    @pytest.mark.parametrize("damping", [0.5, 1.0])
    def test_tends_to_the_implicit_gradient(self, damping):
        a, h = contraction(0, 6, 0.8).requires_grad_(), draw(1, 4, 6)

        def gradient(**options):
            z, _ = DEQ(tol=1e-13, max_steps=500, on_failure="raise", **options)(lambda z: torch.tanh(z @ a.T + h), h)
            return torch.autograd.grad(z.square().sum(), a)[0]

        implicit = gradient()
        errors = [
            float((gradient(gradient="phantom", phantom_steps=k, phantom_damping=damping) - implicit).norm())
            / float(implicit.norm())
            for k in (1, 10, 100)
        ]
        assert errors[0] > 0.1
        assert errors[0] > errors[1] > errors[2]
        assert errors[2] < 1e-6

    def test_damping_reaches_where_plain_steps_diverge(self):
        a = torch.diag(torch.tensor([-1.5, 0.3], dtype=torch.float64))
        h = draw(2, 3, 2).requires_grad_()

        def error(damping):
            deq = DEQ(tol=1e-12, on_failure="raise", gradient="phantom", phantom_steps=60, phantom_damping=damping)
            (found,) = torch.autograd.grad(deq(lambda z: z @ a + h, h.detach())[0].sum(), h)
            return float((found - 1 / (1 - a.diagonal())).abs().max())

        assert error(0.5) < 1e-9
        assert error(1.0) > 1e3

    def test_gradcheck_of_many_steps(self):
        deq = DEQ(tol=1e-14, max_steps=300, gradient="phantom", phantom_steps=60, phantom_damping=1.0)
        h = draw(4, 2, 3)

        def equilibrium(a):
            return deq(lambda z: torch.tanh(z @ a.T + h), torch.zeros_like(h))[0]

        assert torch.autograd.gradcheck(equilibrium, contraction(3, 3, 0.6).requires_grad_(), atol=1e-7)

    def test_without_gradients_the_equilibrium_itself(self):
        h = draw(5, 2, 3)
        with torch.no_grad():
            phantom, _ = DEQ(tol=1e-10, gradient="phantom")(lambda z: 0.5 * torch.sin(z) + h, h)
            implicit, _ = DEQ(tol=1e-10)(lambda z: 0.5 * torch.sin(z) + h, h)
        assert torch.equal(phantom, implicit)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"gradient": "neumann"}, ValueError, "gradient must be one of 'implicit', 'phantom', got 'neumann'"),
            ({"phantom_steps": 0}, ValueError, "phantom_steps must be an integer between 1 and 10000"),
            ({"phantom_damping": 0.0}, ValueError, "phantom_damping must be > 0"),
            ({"phantom_damping": 1.5}, ValueError, r"phantom_damping must lie in \(0, 1\], got 1.5"),
            ({"phantom_damping": "half"}, TypeError, "phantom_damping must be a real number"),
        ],
    )
    def test_bad_settings(self, options, error, message):
        with pytest.raises(error, match=message):
            DEQ(**options)
        assert "phantom_steps=5" in repr(DEQ(gradient="phantom"))


class TestMemory:
    """Saved tensors, counted."""

    @staticmethod
    def saved(deq: DEQ) -> tuple[int, int]:
        a, h = contraction(0, 8, 0.99).requires_grad_(), draw(1, 4, 8)
        sizes: list[int] = []
        with (
            warnings.catch_warnings(),
            torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t),
        ):
            warnings.simplefilter("ignore", ConvergenceWarning)
            _, info = deq(lambda z: torch.tanh(z @ a.T + h), h)
        return sum(sizes), int(info.steps.max())

    @pytest.mark.parametrize("solver", SOLVERS)
    @pytest.mark.parametrize("gradient", ["implicit", "phantom"])
    def test_does_not_grow_with_max_steps(self, solver, gradient):
        found = [self.saved(DEQ(solver, tol=1e-15, max_steps=k, gradient=gradient)) for k in (2, 6, 12)]
        assert len({size for size, _ in found}) == 1
        assert found[0][0] > 0
        assert found[0][1] < found[1][1] < found[2][1]

    def test_the_count_sees_recorded_steps(self):
        # What a layer that records its iteration would show.
        sizes = [self.saved(DEQ(gradient="phantom", phantom_steps=k))[0] for k in (1, 2, 3)]
        assert sizes[2] - sizes[1] == sizes[1] - sizes[0] > 0


class TestPrecision:
    def test_minimal_tolerances(self):
        found = [minimal_tolerance(d) for d in (torch.float64, torch.float32, torch.float16, torch.bfloat16)]
        assert found == pytest.approx([8.9e-16, 4.8e-7, 3.9e-3, 3.1e-2], rel=0.02)

    @pytest.mark.parametrize("solver", SOLVERS)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    def test_every_dtype_reaches_its_minimal_tolerance_in_silence(self, solver, dtype):
        a, h = contraction(0, 16, 0.8), draw(1, 5, 16)
        tol = minimal_tolerance(dtype)
        low_a, low_h = a.to(dtype).requires_grad_(), h.to(dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            deq = DEQ(solver, tol=tol, on_failure="raise")
            z, info = deq(lambda z: torch.tanh(z @ low_a.T + low_h), torch.zeros_like(low_h))
            z.sum().backward()
        assert z.dtype == dtype
        assert info.residuals.dtype == torch.float32
        assert info.backward is not None
        assert info.backward.residuals.dtype == torch.float32
        exact, _ = DEQ(tol=1e-12)(lambda z: torch.tanh(z @ a.T + h), torch.zeros_like(h))
        # Residual and rounding, each tol at most, are amplified by 1 / (1 - 0.8).
        assert ((z.double() - exact).norm(dim=1) <= 2 * tol / 0.2 * exact.norm(dim=1)).all()

    def test_the_residual_is_that_of_the_rounded_iterate(self):
        a, h = contraction(0, 16, 0.8).bfloat16(), draw(1, 5, 16).bfloat16()

        def f(z):
            return torch.tanh(z @ a.T + h)

        with torch.no_grad():
            z, info = DEQ(tol=0.04)(f, torch.zeros_like(h))
        image = f(z).float()
        torch.testing.assert_close((image - z.float()).norm(dim=1) / image.norm(dim=1), info.residuals)

    @pytest.mark.parametrize("solver", SOLVERS)
    @pytest.mark.parametrize("cast", [torch.bfloat16, torch.float16])
    def test_autocast_converges_or_warns(self, solver, cast):
        torch.manual_seed(0)
        cell, h = nn.Linear(16, 16), draw(0, 6, 16).float()
        with torch.no_grad():
            cell.weight.copy_(contraction(1, 16, 0.7))
        z0 = torch.zeros_like(h)
        exact, _ = DEQ(tol=1e-6)(lambda z: torch.tanh(cell(z) + h), z0)
        exact.square().sum().backward()
        wanted, cell.weight.grad = cell.weight.grad.clone(), None

        def mixed(tol, **options):
            with torch.autocast("cpu", dtype=cast):
                z, info = DEQ(solver, tol=tol, **options)(lambda z: torch.tanh(cell(z) + h), z0)
            z.square().sum().backward()
            return z, info

        floor = minimal_tolerance(cast)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            z, info = mixed(floor, on_failure="raise")
        assert z.dtype == torch.float32
        assert info.backward is not None
        assert info.backward.all_converged
        assert ((z - exact).norm(dim=1) <= 2 * floor / 0.3 * exact.norm(dim=1)).all()
        assert float((cell.weight.grad - wanted).norm()) <= 20 * floor * float(wanted.norm())
        # f returns float32 here, for h is; that its products were rounded must be seen nevertheless.
        name = str(cast).removeprefix("torch.")
        with pytest.warns(ConvergenceWarning, match=f"{name} resolves"):
            mixed(1e-6)

    def test_a_tolerance_below_rounding_warns_though_met(self):
        with pytest.warns(PrecisionWarning, match=r"forward solve: tol = 1e-08 is below 4.8e-07, .* float32 resolves"):
            _, info = DEQ(tol=1e-8)(lambda z: 0.5 * z, torch.zeros(2, 3))
        assert info.all_converged
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            DEQ(tol=1e-8)(lambda z: 0.5 * z, torch.zeros(2, 3, dtype=torch.float64))
            # Autocast leaves float64 alone, and so does the judgement.
            with torch.autocast("cpu", dtype=torch.bfloat16):
                DEQ(tol=1e-8)(lambda z: 0.5 * z, torch.zeros(2, 3, dtype=torch.float64))

    def test_the_adjoint_neither_vanishes_nor_overflows_in_half_precision(self):
        cell = contraction(0, 8, 0.8).float()
        h = draw(1, 4, 8).float().requires_grad_()
        z0, weight = torch.zeros(4, 8), draw(2, 4, 8).float()

        def gradient(scale):
            with torch.autocast("cpu", dtype=torch.float16):
                z, info = DEQ(tol=4e-3, backward_tol=4e-3, on_failure="raise")(lambda z: torch.tanh(z @ cell.T) + h, z0)
            (found,) = torch.autograd.grad((scale * weight * z).sum(), h)
            assert info.backward is not None
            return found / scale

        usual = gradient(1.0)
        assert float((usual - weight).norm()) > 0.2 * float(weight.norm())
        for scale in (1e-12, 1e9):
            torch.testing.assert_close(gradient(scale), usual, rtol=1e-2, atol=1e-2)
        # What it avoids: the same product without scaling is zero, or infinite.
        with torch.autocast("cpu", dtype=torch.float16):
            root = z0.clone().requires_grad_()
            image = root @ cell.T
        (product,) = torch.autograd.grad(image, root, (1e-12 * weight).half(), retain_graph=True)
        assert (product == 0).all()


class _Call(torch.nn.Module):
    def __init__(self, layer, h):
        super().__init__()
        self.layer, self.h = layer, h

    def forward(self, z0):
        return self.layer(lambda z: 0.5 * torch.sin(z) + self.h, z0)


class TestFailure:
    @pytest.mark.parametrize("solver", SOLVERS)
    def test_singular_adjoint(self, solver):
        # At f(z) = z + w (z^2 - 1) with w = 0 every z is a fixed point and J = I: y = y + g has no solution.
        w = torch.zeros(1, dtype=torch.float64, requires_grad=True)

        def run(on_failure):
            return DEQ(solver, max_steps=20, on_failure=on_failure)(lambda z: z + w * (z * z - 1), draw(0, 2, 3))

        for weight in (torch.ones(2, 3, dtype=torch.float64), draw(1, 2, 3)):
            z, info = run("warn")
            assert info.all_converged
            with pytest.warns(ConvergenceWarning, match="backward solve"):
                (weight * z).sum().backward()
            assert info.backward is not None
            assert not info.backward.converged.any()
            with pytest.raises(ConvergenceError, match="backward solve"):
                (weight * run("raise")[0]).sum().backward()

    @pytest.mark.parametrize("direction", ["forward", "backward"])
    def test_warnings_point_at_the_users_line(self, direction):
        h = draw(0, 2, 3).requires_grad_()
        layer = (
            DEQ("fixed_point", tol=1e-9, max_steps=2) if direction == "forward" else DEQ(tol=1e-9, backward_max_steps=1)
        )
        with pytest.warns(ConvergenceWarning, match=direction) as caught:
            torch.nn.Sequential(_Call(layer, h))(h)[0].sum().backward()
        assert {w.filename for w in caught if direction in str(w.message)} == {__file__}

    @pytest.mark.parametrize("solver", SOLVERS)
    def test_a_gradient_that_is_not_finite(self, solver):
        h = draw(0, 2, 3).requires_grad_()
        z, info = DEQ(solver, on_failure="raise")(lambda z: 0.5 * torch.sin(z) + h, torch.zeros(2, 3).double())
        with pytest.raises(ConvergenceError, match=r"backward solve .* 1 of 2"):
            z.backward(torch.tensor([[1.0, torch.nan, 1.0], [1.0, 1.0, 1.0]], dtype=torch.float64))
        assert info.backward is not None
        assert info.backward.converged.tolist() == [False, True]

    @pytest.mark.parametrize("solver", SOLVERS)
    def test_a_map_that_grows_without_bound(self, solver):
        # exp(z) + 1 > z: no fixed point on the line, and iterates overflow.
        with torch.no_grad(), pytest.raises(ConvergenceError, match="forward solve"):
            DEQ(solver, max_steps=60, on_failure="raise")(lambda z: torch.exp(z) + 1, torch.zeros(3, 2).double())

    def test_a_linear_expansion_is_solved_by_acceleration_and_refused_by_iteration(self):
        h = draw(0, 2, 3)
        with torch.no_grad():
            for solver in ("anderson", "broyden"):
                z, _ = DEQ(solver, tol=1e-10, on_failure="raise")(lambda z: -3 * z + h, torch.zeros_like(h))
                torch.testing.assert_close(z, h / 4, rtol=1e-8, atol=1e-10)
            with pytest.raises(ConvergenceError):
                DEQ("fixed_point", on_failure="raise")(lambda z: -3 * z + h, torch.zeros_like(h))

    @pytest.mark.parametrize("solver", SOLVERS)
    def test_one_bad_sample_leaves_the_others_alone(self, solver):
        h = draw(1, 3, 4)
        bad = h.clone()
        bad[1] = torch.nan
        with torch.no_grad():
            clean, _ = DEQ(solver, tol=1e-10, max_steps=60)(lambda z: 0.5 * torch.cos(z) + h, torch.zeros_like(h))
            with pytest.warns(ConvergenceWarning, match="1 of 3"):
                z, info = DEQ(solver, tol=1e-10, max_steps=60)(lambda z: 0.5 * torch.cos(z) + bad, torch.zeros_like(h))
        assert info.converged.tolist() == [True, False, True]
        torch.testing.assert_close(z[[0, 2]], clean[[0, 2]], rtol=0, atol=0)


class TestGraph:
    def test_backward_twice(self):
        a, h = contraction(0, 4, 0.7).requires_grad_(), draw(1, 3, 4)
        z, _ = DEQ(tol=1e-12)(lambda z: torch.tanh(z @ a.T + h), h)
        loss = z.square().sum()
        (first,) = torch.autograd.grad(loss, a, retain_graph=True)
        (again,) = torch.autograd.grad(loss, a, retain_graph=True)
        (cubes,) = torch.autograd.grad((z**3).sum(), a)
        assert torch.equal(first, again)
        assert not torch.equal(first, cubes)
        with pytest.raises(RuntimeError, match="second time"):
            torch.autograd.grad(loss, a)

    def test_two_losses_and_two_layers_add_up(self):
        a, h = contraction(0, 4, 0.7).requires_grad_(), draw(1, 3, 4)
        deq = DEQ(tol=1e-13, max_steps=300)

        def chain():
            first, _ = deq(lambda z: torch.tanh(z @ a.T + h), h)
            return first, deq(lambda z: torch.tanh(z @ a.T + first), h)[0]

        first, second = chain()
        (both,) = torch.autograd.grad(first.sum() + second.square().sum(), a)
        first, second = chain()
        (one,) = torch.autograd.grad(first.sum(), a, retain_graph=True)
        (other,) = torch.autograd.grad(second.square().sum(), a)
        torch.testing.assert_close(both, one + other, rtol=1e-9, atol=1e-11)

    def test_inference_mode_and_no_grad_agree_with_training(self):
        cell, x = Convolutional(), draw(0, 2, 3, 5, 5)
        deq = DEQ(tol=1e-12)
        trained, _ = cell(deq, x)
        with torch.no_grad():
            quiet, _ = cell(deq, x)
        with torch.inference_mode():
            inferred, _ = cell(deq, x)
        assert trained.requires_grad
        assert not quiet.requires_grad
        assert inferred.is_inference()
        assert torch.equal(quiet, inferred)
        torch.testing.assert_close(trained, quiet, rtol=1e-10, atol=1e-11)

    def test_a_deep_copy_is_the_same_layer(self):
        deq = DEQ("broyden", tol=1e-9, gradient="phantom")
        assert repr(copy.deepcopy(deq)) == repr(deq)


class TestInputs:
    @pytest.mark.parametrize("solver", SOLVERS)
    @pytest.mark.parametrize("gradient", ["implicit", "phantom"])
    def test_empty_batch(self, solver, gradient):
        a = contraction(0, 3, 0.5).requires_grad_()
        h = torch.zeros(0, 3, dtype=torch.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            z, info = DEQ(solver, gradient=gradient)(lambda z: torch.tanh(z @ a.T + h), h)
            z.sum().backward()
        assert z.shape == (0, 3)
        assert info.all_converged
        assert info.residuals.shape == (0,)
        assert (a.grad == 0).all()

    @pytest.mark.parametrize("solver", SOLVERS)
    def test_images_contiguous_or_not(self, solver):
        cell, deq = Convolutional(), DEQ(solver, tol=1e-13, max_steps=300, on_failure="raise")
        x = draw(0, 2, 3, 5, 5)
        results = []
        for same in (
            x,
            x.to(memory_format=torch.channels_last),
            x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
        ):
            cell.zero_grad()
            z, _ = cell(deq, same)
            z.square().sum().backward()
            results.append((z.detach(), cell.conv.weight.grad.clone()))
        assert not x.permute(3, 2, 1, 0).is_contiguous()
        for z, grad in results[1:]:
            torch.testing.assert_close(z, results[0][0], rtol=1e-11, atol=1e-12)
            torch.testing.assert_close(grad, results[0][1], rtol=1e-9, atol=1e-11)

    def test_convolutional_gradients_are_exact(self):
        cell, x = Convolutional(), draw(1, 2, 3, 5, 5)
        z, _ = cell(DEQ(tol=1e-13, max_steps=300, on_failure="raise"), x)
        weight = draw(2, 2, 3, 5, 5)
        found = torch.autograd.grad((weight * z).sum(), cell.conv.weight)[0]
        root = z.detach()

        def f(sample, i):
            return torch.tanh(cell.conv(sample[None]) + x[i])[0]

        rows = []
        for i in range(2):
            jacobian = torch.autograd.functional.jacobian(lambda s, i=i: f(s, i), root[i]).reshape(75, 75)
            eye = torch.eye(75, dtype=jacobian.dtype)
            rows.append(torch.linalg.solve(eye - jacobian.T, weight[i].reshape(75)).view(3, 5, 5))
        image = torch.tanh(cell.conv(root) + x)
        (wanted,) = torch.autograd.grad(image, cell.conv.weight, torch.stack(rows))
        assert float((found - wanted).norm()) <= 1e-6 * float(wanted.norm())

    def test_the_start_is_left_as_it_was(self):
        z0 = draw(0, 2, 3)
        before = z0.clone()
        for solver in SOLVERS:
            DEQ(solver)(lambda z: 0.5 * torch.cos(z), z0)
        assert torch.equal(z0, before)


class Model(nn.Module):
    """Linear, equilibrium, linear."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.cell, self.head = (nn.Linear(*s, dtype=torch.float64) for s in ((3, 6), (6, 6), (6, 2)))
        with torch.no_grad():
            self.cell.weight.mul_(0.5)
        self.deq = DEQ(tol=1e-10, max_steps=200, on_failure="raise")

    def forward(self, x: Tensor):
        h = self.encoder(x)
        z, info = self.deq(lambda z: torch.tanh(self.cell(z) + h), torch.zeros_like(h))
        return self.head(z), info.steps


def with_gradients(model: Model, call) -> list[Tensor]:
    model.zero_grad()
    out, steps = call(draw(0, 4, 3))
    out.square().sum().backward()
    return [out.detach(), steps, *(p.grad.clone() for p in model.parameters())]


BACKENDS = [
    "eager",
    "aot_eager",
    pytest.param(
        "inductor",
        marks=[
            pytest.mark.skipif(
                shutil.which("g++") is None and shutil.which("clang++") is None, reason="inductor needs a C++ compiler"
            ),
            pytest.mark.slow,
        ],
    ),
]


class TestCompile:
    @pytest.fixture(autouse=True)
    def _code_of_this_processor(self, monkeypatch):
        """What inductor keeps between processes it finds by the graph alone, and code for more instructions than
        ATEN_CPU_CAPABILITY now allows does not compile any more."""
        kept = f"inductor-{getpass.getuser()}-{torch.backends.cpu.get_cpu_capability()}"
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(Path(tempfile.gettempdir()) / kept))

    # inductor compiles a dozen files of C++ here, of the map alone one
    @pytest.mark.parametrize("backend", count(BACKENDS[:-1], BACKENDS))
    def test_inside_a_compiled_model(self, backend):
        torch._dynamo.reset()
        model, counters = Model(), torch._dynamo.utils.counters
        counters.clear()
        plain = with_gradients(model, model)
        compiled = with_gradients(model, torch.compile(model, backend=backend))
        for ours, wanted in zip(compiled, plain, strict=True):
            torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-13)
        # What comes before the layer and what comes after: the solver's loop is not torn into graphs of its own.
        assert counters["stats"]["unique_graphs"] <= 6

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_of_the_map(self, backend):
        torch._dynamo.reset()
        model = Model()
        compiled = torch.compile(lambda z, h: torch.tanh(model.cell(z) + h), backend=backend)
        plain = with_gradients(model, model)

        def call(x):
            h = model.encoder(x)
            z, info = model.deq(lambda z: compiled(z, h), torch.zeros_like(h))
            return model.head(z), info.steps

        for ours, wanted in zip(with_gradients(model, call), plain, strict=True):
            torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-13)


@CUDA
@pytest.mark.parametrize("solver", SOLVERS)
class TestCuda:
    def test_equals_the_cpu(self, solver):
        model = Model()
        model.deq = DEQ(solver, tol=1e-10, max_steps=300, on_failure="raise")
        plain = with_gradients(model, model)
        model.cuda()
        moved = with_gradients(model, lambda x: model(x.cuda()))
        for ours, wanted in zip(moved, plain, strict=True):
            assert ours.is_cuda
            torch.testing.assert_close(ours.cpu(), wanted, rtol=1e-8, atol=1e-9, check_dtype=True)

    def test_autocast(self, solver):
        model = Model().float().cuda()
        model.deq = DEQ(solver, tol=0.04, on_failure="raise")
        with torch.autocast("cuda", dtype=torch.bfloat16), warnings.catch_warnings():
            warnings.simplefilter("error")
            out, _ = model(draw(0, 4, 3).float().cuda())
        out.float().square().sum().backward()
        assert torch.isfinite(out).all()
