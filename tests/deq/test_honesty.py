"""What the layer says of itself: looks at the host, compaction, best iterates, settings, transforms."""

from __future__ import annotations

import gc
import itertools
import math
import warnings
from collections import OrderedDict

import pytest
import torch
from deq_zoo import draw, orthogonal
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from ufm.deq import DEQ, Batchwise, ConvergenceError, ConvergenceWarning, iteration
from ufm.deq.cells import DenseCell
from ufm.deq.iteration import Iteration
from ufm.deq.layer import _autocast, _resolution
from ufm.deq.solvers import SOLVERS, Options, fixed_point, get_solver

quiet = pytest.mark.filterwarnings("ignore::ufm.deq.ConvergenceWarning")


def cosine(h: Tensor):
    return lambda z: 0.5 * torch.cos(z) + h


@quiet
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("at_hand", [True, False])
def test_looks_at_the_host(solver, at_hand, monkeypatch):
    """One an iteration where they cost nothing, else about half as many at most."""
    looks = []
    monkeypatch.setattr(iteration, "AT_HAND", ("cpu",) if at_hand else ())
    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "nonzero"):
        original = getattr(Tensor, name)
        monkeypatch.setattr(Tensor, name, lambda *a, _f=original, **k: looks.append(1) or _f(*a, **k))
    a = 0.95 * orthogonal(0, 6)
    h = draw(1, 4, 6)
    tanh = lambda z: torch.tanh(z @ a.T) + h  # noqa: E731

    def count(steps):
        looks.clear()
        get_solver(solver)(tanh, torch.zeros_like(h), 1e-300, steps, None, Options(compiled=False))
        return len(looks)

    # And a few where an acceleration gives way, and at the end, where a failing solve chooses its best iterates.
    for steps in (7, 14) if at_hand else (7, 14, 28):
        least = steps if at_hand else steps // 4
        assert least <= count(steps) <= (steps if at_hand else steps // 2) + 3


class Reads(TorchDispatchMode):
    """Counts what makes a host wait for its device: numbers and indices that are read."""

    WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function.overloadpacket.__name__ in self.WAITS
        return function(*args, **(kwargs or {}))


def reads(run, monkeypatch):
    counter, tolist = Reads(), Tensor.tolist

    def counted(t):
        counter.count += 1
        return tolist(t)

    with monkeypatch.context() as patch, counter:
        patch.setattr(Tensor, "tolist", counted)
        run()
    return counter.count


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_layer_waits_for_its_device_less_often_than_torchdeq(solver, monkeypatch):
    """Forward and backward. Counted where TorchDEQ is not installed: once an evaluation and once for its start."""
    monkeypatch.setattr(iteration, "AT_HAND", ())
    a, h = 0.9 * orthogonal(0, 32), draw(1, 16, 32)
    a.requires_grad_()
    for tol in (1e-4, 1e-8):
        settings = {"tol": tol, "max_steps": 200, "compiled": False, "on_failure": "raise"}
        calls = []

        def f(z, calls=calls):
            calls.append(1)
            return torch.tanh(z @ a.T + h)

        def step(layer, f=f):
            z = layer(f, torch.zeros_like(h))[0]
            (z[-1] if isinstance(z, list) else z).square().sum().backward()

        ours, evaluations = reads(lambda settings=settings: step(DEQ(solver, **settings)), monkeypatch), len(calls)
        # As many backward as forward, or about; TorchDEQ's solvers look at each step but for the first one or two.
        assert ours <= 1.4 * evaluations
        try:
            from torchdeq import get_deq
        except ImportError:
            continue
        name = "fixed_point_iter" if solver == "fixed_point" else solver
        both = {"solver": name, "max_iter": 200, "tol": tol, "stop_mode": "rel"}
        peer = get_deq(ift=True, **{f"{side}_{key}": value for side in "fb" for key, value in both.items()})
        assert ours <= reads(lambda peer=peer: step(peer), monkeypatch)


@quiet
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_capped_solve_returns_its_best_iterate(solver):
    """z -> 3.4 z (1 - z) has a cycle of period 2 that attracts plain steps, and residuals that rise and fall."""
    seen = []

    def f(z):
        image = 3.4 * z * (1 - z)
        seen.append(float((image - z).norm() / image.norm()))
        return image

    with torch.no_grad():
        z, info = DEQ(solver, tol=1e-14, max_steps=4)(f, torch.full((1, 1), 0.9, dtype=torch.float64))
    best = min(seen)
    assert float(info.residuals) == pytest.approx(best, rel=1e-9)
    assert float((f(z) - z).norm() / f(z).norm()) == pytest.approx(best, rel=1e-9)
    assert seen[3] > best or solver != "fixed_point"


@quiet
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("gradient", ["implicit", "phantom"])
def test_a_sample_without_a_value_harms_no_shared_weight(solver, gradient):
    h = draw(2, 3, 4)
    bad = h.clone()
    bad[1] = torch.nan

    def of_weights(h):
        a = (0.5 * orthogonal(3, 4)).requires_grad_()
        z, _ = DEQ(solver, tol=1e-11, gradient=gradient)(lambda z: torch.tanh(z @ a.T + h), torch.zeros_like(h))
        return torch.autograd.grad(z[[0, 2]].square().sum(), a)[0]

    torch.testing.assert_close(of_weights(bad), of_weights(h), rtol=1e-10, atol=1e-12)


def nowhere(z: Tensor) -> Tensor:
    return torch.full_like(z, torch.nan)


def beyond_five(z: Tensor) -> Tensor:
    return torch.where(z > 5, torch.nan, z + 1)


def soon_infinite(z: Tensor) -> Tensor:
    return torch.exp(2 * z + 2)


@quiet
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("samples", ["separate", "coupled"])
@pytest.mark.parametrize("value", [nowhere, beyond_five, soon_infinite])
def test_a_node_without_a_value_harms_no_other_part_of_a_graph(solver, samples, value):
    """A chain of three nodes, which go on as one, beside one that the plain iteration loses."""
    a = torch.tensor([[0.5, 0, 0], [0.9, 0, 0], [0, 0.9, 0]], dtype=torch.float64)
    p = torch.tensor([[1.0], [-0.5], [-0.5]], dtype=torch.float64, requires_grad=True)
    layer = DEQ(solver, tol=1e-9, samples=samples)
    z, info = layer(lambda z: torch.cat([torch.relu(a @ z[:3] + p), value(z[3:])]), torch.zeros(4, 1).double())
    assert info.converged.tolist() == [True, True, True, False]
    torch.testing.assert_close(z[:3, 0].detach(), torch.tensor([2.0, 1.3, 0.67], dtype=torch.float64))
    assert z.isfinite().all()
    torch.testing.assert_close(
        torch.autograd.grad(z[2].sum(), p)[0], torch.tensor([[1.62], [0.9], [1.0]], dtype=torch.float64)
    )


@quiet
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("samples", ["separate", "coupled"])
def test_what_has_no_value_enters_no_sum(solver, samples):
    """A column of zeros for the node without one: 0 times NaN is NaN, and f is evaluated where all is finite."""
    mix, h = 0.4 * orthogonal(5, 4), draw(23, 4, 2)
    mix[:, 1] = 0
    bad = torch.tensor([[False], [True], [False], [False]])
    z, info = DEQ(solver, tol=1e-9, samples=samples)(
        lambda z: torch.where(bad, torch.nan, mix @ torch.tanh(z) + h), torch.zeros_like(h)
    )
    assert info.converged.tolist() == [True, False, True, True]
    exact = torch.zeros_like(h)
    for _ in range(100):
        exact = mix @ torch.tanh(exact) + h
    torch.testing.assert_close(z[~bad[:, 0]].detach(), exact[~bad[:, 0]], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("solver", ["anderson", "broyden"])
def test_a_wild_step_loses_no_sample_of_a_coupled_state(solver):
    """The secant overshoots the fixed point .39, to where f has no value; plain steps do not."""
    lost = []

    def f(z):
        lost.append(bool(z[1] > 0.5))
        return torch.cat([z[:1], torch.where(z[1:2] > 0.5, torch.nan, 1 - 0.9 * torch.exp(-z[1:2])), z[2:]])

    with torch.no_grad():
        z, info = DEQ(solver, tol=1e-12, samples="coupled")(f, torch.tensor([[1.0], [0.0], [1.0]]).double())
    assert any(lost)
    assert info.all_converged
    assert float(z[1]) == pytest.approx(1 - 0.9 * math.exp(-float(z[1])), abs=1e-11)


def test_steps_are_at_most_what_was_asked_for():
    """Nodes that are found to depend on each other at the last evaluation go on from a state that is evaluated anew."""
    for seed, steps in itertools.product(range(3), range(2, 8)):
        mix, h = draw(seed, 16, 16), draw(seed + 9, 16, 2)
        mix = 1.5 * mix / torch.linalg.matrix_norm(mix, 2)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore", ConvergenceWarning)
            for solver in ("anderson", "broyden"):
                _, info = DEQ(solver, tol=0.3, max_steps=steps)(lambda z: mix @ torch.tanh(z) + h, 0 * h)  # noqa: B023
                assert int(info.steps.max()) <= steps, solver


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_a_fixed_point_at_zero_is_reached_from_afar(solver, dtype):
    """A residual relative to f(z) never falls on the way to 0; the one at 0 does, and scales are no matter."""
    turn = torch.tensor([[0.0, -0.7], [0.7, 0.0]], dtype=dtype)
    z0 = torch.tensor([[1.0, 2.0], [1e-3, 0.0], [1e8, 1.0], [1.0, 1.0]], dtype=dtype)
    h = torch.tensor([[0.0, 0.0]] * 3 + [[1e-20, 0.0]], dtype=dtype)
    with torch.no_grad():
        z, info = DEQ(solver, max_steps=400, on_failure="raise")(lambda z: z @ turn.T + h, z0)
    assert z[:3].tolist() == [[0.0, 0.0]] * 3
    assert info.residuals[:3].tolist() == [0.0] * 3
    exact = torch.linalg.solve(torch.eye(2, dtype=dtype) - turn, h[3])
    torch.testing.assert_close(z[3], exact, rtol=1e-5, atol=0)


class TestCompaction:
    rates = torch.linspace(0.1, 0.98, 16, dtype=torch.float64)[:, None]

    def count(self, f, **settings) -> tuple[int, Tensor]:
        evaluated = 0

        def counted(z, *inputs):
            nonlocal evaluated
            evaluated += len(z)
            return f(z, *inputs)

        h = draw(4, 16, 3)
        with torch.no_grad():
            z, info = DEQ("fixed_point", max_steps=2000, **settings)(
                Batchwise(counted, self.rates, h), torch.zeros_like(h)
            )
        assert info.all_converged
        return evaluated, z

    def test_held_samples_are_not_evaluated(self):
        def f(z, rates, h):
            return rates * z + h

        (few, z), (many, full) = self.count(f), self.count(f, compact=False)
        assert few < 0.4 * many
        torch.testing.assert_close(z, full, rtol=1e-10, atol=1e-10)

    @pytest.mark.parametrize("mixed", [False, True])
    def test_the_adjoint_of_few_samples_is_solved_for_these(self, mixed):
        """Where samples interact, the restricted map is seen to be another, and all go on."""
        a, h, products = draw(3, 3, 3).requires_grad_(), draw(4, 16, 3), []

        def f(z, rates, h):
            image = rates * torch.tanh(z @ (a / 4).T) + h + (0.1 * z.mean(dim=0) if mixed else 0)
            if image.requires_grad:
                image.register_hook(lambda g: products.append(len(g)))
            return image

        def gradient(**settings):
            products.clear()
            layer = DEQ("fixed_point", tol=1e-10, max_steps=2000, on_failure="raise", **settings)
            z, _ = layer(Batchwise(f, self.rates**8, h), torch.zeros_like(h))
            return torch.autograd.grad(z.square().sum(), a)[0], sum(products)

        (ours, few), (full, many) = gradient(), gradient(compact=False)
        torch.testing.assert_close(ours, full, rtol=1e-8, atol=1e-9)
        assert mixed or few < 0.75 * many

    def test_a_map_of_the_batch_is_not_taken_apart(self):
        def f(z, rates, h):
            return 0.3 * rates * torch.sin(z) + h + 0.1 * z.mean(dim=0)

        _, z = self.count(f)
        _, full = self.count(f, compact=False)
        torch.testing.assert_close(z, full, rtol=1e-5, atol=1e-5)
        with pytest.raises(ValueError, match="compact must be False"):
            self.count(f, compact=True)

    def test_cells_can_be_taken_apart(self):
        cell, h = DenseCell(4, 0.9, "identity", "tanh", 1.0), draw(5, 6, 4)
        rows = torch.tensor([1, 4])
        f = cell(h)
        torch.testing.assert_close(f.of_rows(rows)(h[rows]), f(h)[rows])

    def test_bad_inputs(self):
        with pytest.raises(TypeError, match=r"inputs\[0\] must be a tensor, got 3"):
            Batchwise(lambda z, h: z, 3)
        with pytest.raises(ValueError, match="must have a batch dimension"):
            Batchwise(lambda z, h: z, torch.tensor(1.0))


class TestAnFThatChanges:
    """It is evaluated once more where its derivative is recorded: at what is returned it must be what it was."""

    def chancy(self, at, h):
        """Its inputs are others at the call ``at``, as of dropout that is drawn at every call."""
        calls = []

        def f(z):
            calls.append(1)
            return 0.5 * torch.cos(z) + h + (1e-3 if len(calls) == at else 0)

        return f

    @pytest.mark.parametrize("solver", SOLVERS)
    @pytest.mark.parametrize("samples", ["separate", "joint"])
    def test_is_found(self, solver, samples):
        h = draw(18, 3, 2).requires_grad_()
        layer = DEQ(solver, tol=1e-9, samples=samples)
        last = int(layer(self.chancy(0, h), h * 0)[1].steps.max()) + 1
        with pytest.warns(ConvergenceWarning, match="f was another map when it was recorded"):
            _, info = layer(self.chancy(last, h), h * 0)
        assert not info.converged.any()
        assert (info.residuals > 1e-5).all()
        with pytest.raises(ConvergenceError, match="f must be the same at every call"):
            DEQ(solver, tol=1e-9, samples=samples, on_failure="raise")(self.chancy(last, h), h * 0)

    def test_of_some_samples(self):
        h = draw(18, 3, 2).requires_grad_()
        one = torch.tensor([[0.0], [1.0], [0.0]], dtype=torch.float64)
        layer, calls = DEQ("fixed_point", tol=1e-9, max_steps=200), []

        def f(z, last=0):
            calls.append(1)
            return 0.5 * torch.cos(z) + h + 1e-3 * one * (len(calls) == last)

        last = int(layer(f, h * 0)[1].steps.max()) + 1
        calls.clear()
        with pytest.warns(ConvergenceWarning, match="1 of 3 samples"):
            _, info = layer(lambda z: f(z, last), h * 0)
        assert info.converged.tolist() == [True, False, True]

    @pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
    def test_rounding_is_none(self, scale):
        """A sum in another order where it is recorded."""
        h = scale * draw(19, 3, 40)
        h.requires_grad_()

        def f(z):
            w = torch.full((40, 40), 0.02, dtype=z.dtype)
            return (z @ w if not torch.is_grad_enabled() else (z[:, :, None] * w).flip(1).sum(1)) + h

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert DEQ(tol=1e-14, on_failure="raise")(f, h * 0)[1].all_converged


class TestStates:
    def test_of_several_tensors_and_complex_numbers(self):
        h, c = draw(6, 3, 2).requires_grad_(), torch.complex(draw(7, 3, 4), draw(8, 3, 4)).requires_grad_()

        def f(state):
            x, (y,) = state["x"], state["y"]
            return {"y": [0.4j * y + c], "x": 0.5 * torch.sin(x) + h + 0.1 * y.real[:, :2]}

        start = {"x": torch.zeros(3, 2).double(), "y": [torch.zeros(3, 4, dtype=torch.complex128)]}
        state, info = DEQ(tol=1e-12, on_failure="raise")(f, start)
        exact = c / (1 - 0.4j)
        torch.testing.assert_close(state["y"][0], exact)
        image = f(state)
        torch.testing.assert_close(image["x"], state["x"])
        assert info.converged.shape == (3,)
        (found,) = torch.autograd.grad(state["y"][0].abs().square().sum(), c)
        (wanted,) = torch.autograd.grad(exact.abs().square().sum(), c)
        torch.testing.assert_close(found, wanted)

    @pytest.mark.parametrize(
        ("f", "error", "message"),
        [
            (lambda s: (s[0],), ValueError, "f must return as many entries as z has, 2, got 1 entries"),
            (lambda s: s[0], ValueError, "f must return as many entries"),
            (lambda s: (s[0], s[1][:, :1]), ValueError, r"f must keep the shape of z, \(2, 3\)"),
            (lambda s: (s[0], s[1] * 1j), TypeError, "f must return a floating-point tensor, got .*complex64"),
        ],
    )
    def test_bad_maps(self, f, error, message):
        with pytest.raises(error, match=message):
            DEQ()(f, (torch.zeros(2, 3), torch.zeros(2, 3)))

    def test_bad_starts(self):
        with pytest.raises(ValueError, match="one batch size"):
            DEQ()(lambda s: s, (torch.zeros(2, 3), torch.zeros(3, 3)))
        with pytest.raises(ValueError, match="at least one tensor"):
            DEQ()(lambda s: s, ())
        with pytest.raises(ValueError, match="z0 must hold values"):
            DEQ()(lambda s: s, torch.zeros(2, 3, device="meta"))

    def test_keep_their_classes(self):
        state, _ = DEQ()(
            lambda s: {"y": s["y"] / 2, "x": s["x"] / 2 + 1}, OrderedDict(x=torch.ones(2, 1), y=torch.ones(2))
        )
        assert type(state) is OrderedDict
        assert list(state) == ["x", "y"]

    @pytest.mark.parametrize("solver", SOLVERS)
    def test_on_the_way_with_gradients(self, solver):
        h = draw(9, 2, 3).requires_grad_()
        z, info = DEQ(solver, tol=1e-10, max_steps=200, indexing=(1, 3), trace=True)(
            cosine(h), torch.zeros(2, 3).double()
        )
        first, third, last = info.states
        assert torch.equal(last, z)
        # With a phantom gradient, and the value that the solver had.
        assert (first == 0).all()
        assert all(state.requires_grad for state in info.states)
        residual = (cosine(h)(third) - third).norm(dim=1) / cosine(h)(third).norm(dim=1)
        torch.testing.assert_close(info.trace[2], residual.detach())
        assert info.trace.shape == (int(info.steps.max()), 2)
        assert len(DEQ(n_states=4)(cosine(h), torch.zeros(2, 3).double())[1].states) == 4


class TestSettings:
    def test_set_between_solves(self):
        h, layer = draw(9, 2, 3), DEQ("fixed_point", tol=1e-9, max_steps=60, eval_max_steps=40)
        assert layer(cosine(h), h)[1].trace is None
        layer.trace, layer.n_states, layer.indexing = True, 3, None
        info = layer(cosine(h), torch.zeros_like(h))[1]
        assert len(info.states) == 3
        layer.n_states, layer.indexing = None, [2, 4]
        assert len(layer(cosine(h), h)[1].states) == 3
        layer.indexing[:] = [2]
        assert len(layer(cosine(h), h)[1].states) == 2
        layer.stop_mode, layer.samples = "abs", "joint"
        assert layer(cosine(h), h)[1].coupled
        layer.n_states, layer.indexing = 4, None
        trained, used = layer(cosine(h), h)[1], layer.eval()(cosine(h), h)[1]
        assert not torch.equal(trained.states[0], used.states[0])  # after a quarter of other steps

    def test_of_one_call(self):
        h, layer = draw(10, 2, 3), DEQ("fixed_point", tol=1e-3)
        with torch.no_grad():
            loose, tight = layer(cosine(h), h)[1], layer(cosine(h), h, tol=1e-10)[1]
        assert loose.residuals.max() > 1e-10 >= tight.residuals.max()
        assert layer.tol == 1e-3
        with pytest.raises(TypeError, match="tolerance must not be given: the settings of a call are solver, tol"):
            layer(cosine(h), h, tolerance=1)
        with pytest.raises(ValueError, match="tol must be > 0"):
            layer(cosine(h), h, tol=0)

    def test_of_evaluation(self):
        h, layer = draw(11, 2, 3), DEQ("fixed_point", tol=1e-3, eval_tol=1e-9, eval_max_steps=500)
        with torch.no_grad():
            training, evaluating = layer(cosine(h), h)[1], layer.eval()(cosine(h), h)[1]
        assert training.residuals.max() > 1e-9 >= evaluating.residuals.max()

    def test_absolute_residuals(self):
        h = draw(12, 2, 3)
        with torch.no_grad():
            z, info = DEQ("fixed_point", tol=1e-8, stop_mode="abs", max_steps=200)(lambda z: 0.5 * z, h)
        # Relative to f(z) = z / 2 no residual is ever small.
        assert info.all_converged
        torch.testing.assert_close(info.residuals, 0.5 * z.norm(dim=1))

    def test_the_whole_state(self):
        a = torch.diag(torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64))
        h = torch.tensor([1.0, 1e-9, 0.0], dtype=torch.float64)
        with torch.no_grad():
            z, info = DEQ("fixed_point", samples="joint")(lambda z: a @ z + h, torch.ones(3).double())
        image = a @ z + h
        torch.testing.assert_close(info.residuals, ((image - z).norm() / image.norm()).expand(3))
        assert info.coupled

    def test_a_solver_of_ones_own_is_checked(self):
        h = draw(13, 2, 3).requires_grad_()

        def newton(f, z, tol, steps):
            for _ in range(8):
                z = z - (f(z) - z) / (-0.5 * torch.sin(z) - 1)
            return z

        z, info = DEQ(newton, tol=1e-12, backward_solver="anderson", on_failure="raise")(
            cosine(h), torch.zeros(2, 3).double()
        )
        assert info.steps.tolist() == [8, 8]
        (found,) = torch.autograd.grad(z.sum(), h)
        torch.testing.assert_close(found, 1 / (1 + 0.5 * torch.sin(z.detach())))

        def lazy(f, z, tol, steps):
            return z

        with pytest.raises(ConvergenceError, match="lazy did not converge: 2 of 2"):
            DEQ(lazy, on_failure="raise")(cosine(h), torch.zeros(2, 3).double())
        with pytest.raises(TypeError, match="solver must return a floating-point tensor of shape"):
            DEQ(lambda f, z, tol, steps: None)(cosine(h), torch.zeros(2, 3).double())

    def test_memory_and_patience(self):
        a = 0.99 * orthogonal(14, 12)
        h = draw(15, 1, 12)

        def steps(solver, **options):
            point = get_solver(solver)(
                lambda z: z @ a.T + h, torch.zeros_like(h), 1e-10, 2000, None, Options(**options)
            )
            return int(point.steps)

        assert steps("anderson", memory=12) < steps("anderson", memory=2)
        assert steps("broyden") < steps("broyden", memory=4)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"stop_mode": "both"}, ValueError, "stop_mode must be one of 'rel', 'abs'"),
            ({"samples": "all"}, ValueError, "samples must be one of 'separate', 'coupled', 'joint'"),
            ({"memory": 0}, ValueError, "memory must be an integer >= 1"),
            ({"patience": 0}, ValueError, "patience must be an integer >= 1"),
            ({"growth": 1.0}, ValueError, "growth must be > 1"),
            ({"compact": 1}, TypeError, "compact must be True or False"),
            ({"trace": None}, TypeError, "trace must be True or False"),
            ({"indexing": (3, 2)}, ValueError, "indexing must increase"),
            ({"indexing": 3}, TypeError, "indexing must be a sequence"),
            ({"indexing": (1,), "n_states": 2}, ValueError, "n_states must not be given with indexing"),
            ({"eval_tol": 0}, ValueError, "eval_tol must be > 0"),
        ],
    )
    def test_bad_ones(self, options, error, message):
        with pytest.raises(error, match=message):
            DEQ(**options)


class TestTransforms:
    """Implicit gradients refuse what they cannot do, and name what can."""

    def layer(self, gradient):
        settings = {"tol": 1e-12, "phantom_steps": 60, "phantom_damping": 1.0, "gradient": gradient}
        return lambda h: DEQ(**settings)(cosine(h), torch.zeros_like(h))[0]

    def transforms(self, f, h):
        yield lambda: torch.func.grad(lambda h: f(h).sum())(h)
        yield lambda: torch.func.jacrev(f)(h)
        yield lambda: torch.func.jvp(f, (h,), (torch.ones_like(h),))
        yield lambda: torch.autograd.functional.jacobian(f, h, vectorize=True)

    def test_of_torch_func(self):
        h = draw(16, 2, 3)
        for transform in self.transforms(self.layer("implicit"), h):
            with pytest.raises(RuntimeError, match="gradient='phantom'"):
                transform()
        for transform in self.transforms(self.layer("phantom"), h):
            transform()
        exact = torch.autograd.functional.jacobian(self.layer("implicit"), h)
        torch.testing.assert_close(torch.func.jacrev(self.layer("phantom"))(h), exact)

    def test_what_no_gradient_can_do(self):
        h = draw(17, 2, 3)
        for gradient in ("implicit", "phantom"):
            with pytest.raises(RuntimeError, match="pass the samples as a batch"):
                torch.func.vmap(self.layer(gradient))(h[None])
            with pytest.raises(RuntimeError, match="pass the samples as a batch"):  # vmap around jvp
                torch.func.jacfwd(self.layer(gradient))(h)
            with pytest.raises(RuntimeError, match="cannot be exported nor traced"):
                torch.jit.trace(self.layer(gradient), (h,))


def test_autocast_of_older_torch(monkeypatch):
    """torch 2.2 and 2.3 have a function a device, and none with an argument."""

    def without_argument():
        return False

    for cast in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cast), monkeypatch.context() as patch:
            patch.setattr(torch, "is_autocast_enabled", without_argument)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                assert _autocast("cpu") == (torch.bfloat16 if cast else None)
                wanted = torch.bfloat16 if cast else torch.float32
                assert _resolution(torch.float32, "cpu") == wanted


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_cells_in_half_precision(dtype):
    cell = DenseCell(4, 0.8, "identity", "tanh", 1.0, torch.float32).to(dtype)
    h = draw(18, 3, 4).to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        z, info = DEQ(tol=0.04, on_failure="raise")(cell(h), torch.zeros_like(h))
        z.sum().backward()
    assert z.dtype == dtype
    assert info.all_converged
    assert cell.equilibrium.weight.grad.isfinite().all()


class TestWhatHasNoNumbers:
    """What cannot be read is refused by name: compiled loops would read memory that is not there."""

    @pytest.mark.parametrize("solver", SOLVERS)
    @pytest.mark.parametrize(
        ("convert", "error", "message"),
        [
            (lambda z: z.to("meta"), ValueError, "f must return a tensor on the device of z, cpu, but it is on meta"),
            (
                lambda z: z.to_sparse(),
                TypeError,
                "f must return a dense tensor, got a tensor of layout torch.sparse_coo",
            ),
            (
                lambda z: torch.nested.nested_tensor(list(z)),
                TypeError,
                "f must return a dense tensor, got a nested tensor",
            ),
        ],
        ids=["meta", "sparse", "nested"],
    )
    @pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
    def test_images(self, solver, convert, error, message):
        with pytest.raises(error, match=message):
            DEQ(solver)(convert, torch.zeros(2, 3))
        calls = []

        def later(z):
            calls.append(1)
            return convert(z) if len(calls) > 2 else 0.5 * z + 1

        with pytest.raises(error, match=message):
            DEQ(solver, tol=1e-15)(later, torch.zeros(2, 3, dtype=torch.float64) + torch.tensor([0.1, 0.2, 0.4]))

    @pytest.mark.parametrize(
        ("start", "message"),
        [
            (
                lambda: torch.zeros(2, 3).to_sparse(),
                "z0 must be a dense tensor, got a tensor of layout torch.sparse_coo",
            ),
            (lambda: [torch.zeros(2, 3).to_sparse()], "z0 must be a dense tensor"),
            (lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]), "z0 must be a dense tensor"),
            (lambda: torch.zeros(2, 3, dtype=torch.float8_e5m2), "z0 must be in 16 bits or more, got .*float8_e5m2"),
        ],
        ids=["sparse", "in a list", "nested", "eight bits"],
    )
    @pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
    def test_starts(self, start, message):
        with pytest.raises(TypeError, match=message):
            DEQ()(lambda z: z, start())

    @pytest.mark.parametrize("gradient", ["implicit", "phantom"])
    def test_graphs_and_tensors_without_values(self, gradient):
        h = draw(20, 2, 3)

        def f(h):
            return DEQ(gradient=gradient)(cosine(h), torch.zeros_like(h))[0]

        with pytest.raises(RuntimeError, match="cannot be exported nor traced"):
            make_fx(f)(h)
        with (
            FakeTensorMode(allow_non_fake_inputs=True) as mode,
            pytest.raises(RuntimeError, match="cannot be exported"),
        ):
            f(mode.from_tensor(h))


@pytest.mark.parametrize("compiled", [False, None], ids=["tensors", "usual"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("samples", ["separate", "joint"])
def test_an_infinite_norm_is_no_residual_of_zero(solver, samples, compiled):
    """f(z) = 2 z where z and f(z) are finite and the norm of f(z) is not: its residual is 1/2."""
    z0 = torch.full((3, 16), 4.4e307, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        _, info = DEQ(solver, max_steps=1, samples=samples, compiled=compiled)(lambda z: 2 * z, z0)
    assert not info.converged.any()
    assert (info.residuals >= 0.5).all()


@pytest.mark.parametrize("compiled", [False, None], ids=["tensors", "usual"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_nothing_of_a_solve_waits_for_the_garbage_collector(solver, compiled):
    """Its memory is many states: of large ones a few solves' would fill a GPU before the collector comes."""
    h = draw(21, 3, 4).requires_grad_()
    gc.collect()
    gc.disable()
    try:
        for _ in range(2):
            DEQ(solver, compiled=compiled)(cosine(h), torch.zeros_like(h))[0].sum().backward()
        assert [o for o in gc.get_objects() if isinstance(o, Iteration)] == []
    finally:
        gc.enable()


def test_broyden_has_patience_where_it_stands_still():
    """Eigenvalues on a circle: 40 dimensions are seen before the residual falls at all."""
    angles = [math.pi * (k + 0.5) / 20 for k in range(20)]
    turns = [torch.tensor([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]]) for t in angles]
    a, h = 0.99 * torch.block_diag(*turns).double(), draw(36, 2, 40)
    _, info = DEQ("broyden", on_failure="raise")(lambda z: z @ a.T + h, torch.zeros_like(h))
    assert info.all_converged


def by_data(z, image):
    z.data.copy_(image)


def by_an_array(z, image):
    z.numpy()[:] = image.numpy()


@pytest.mark.parametrize("write", [by_data, by_an_array])
@pytest.mark.parametrize("compiled", [None, False])
@pytest.mark.parametrize("solver", SOLVERS)
def test_an_argument_written_to_behind_the_back_of_its_version(solver, compiled, write):
    """What f returns is then z, and their difference 0."""
    h = draw(2, 4, 6)
    image = cosine(h)

    def f(z):
        write(z, image(z))
        return z

    point = get_solver(solver)(f, torch.zeros_like(h), 1e-10, 80, None, Options(compiled=compiled))
    assert point.converged.all()
    torch.testing.assert_close(image(point.z), point.z, rtol=0, atol=1e-8)


@pytest.mark.parametrize("compiled", [None, False])
def test_a_sample_that_shrinks_to_zero_does_so_alone(compiled):
    """What it grew to on the way may be small beside another sample, and large beside its own start."""

    def f(z):
        return torch.where(z > 1.5, -1e3 * z, torch.where(z > 0, z + 1, 0.25 * z))

    z0 = torch.tensor([[-1e4], [1.0]], dtype=torch.float64)
    batch, alone = (fixed_point(f, start, 1e-6, 80, None, Options(compiled=compiled)) for start in (z0, z0[1:]))
    assert batch.converged.all()
    assert alone.converged
    assert batch.steps[1] == alone.steps[0]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("steps", [30, 31])
def test_a_sample_without_a_value_has_not_converged_where_the_best_is_looked_at_again(solver, steps):
    """Coupled, it stays where it is while the other goes to and fro; there is no f(z) there."""

    def f(z):
        return torch.where(z.abs() > 100, -torch.inf, torch.cat((2 * z[:1] - 3, 3 - z[1:])))

    options = Options(samples="coupled", memory=1, patience=1, growth=1.01)
    point = get_solver(solver)(f, torch.ones(2, 1, dtype=torch.float64), 1e-6, steps, None, options)
    image = f(point.z)
    fine = ((image - point.z).abs() <= 1e-6 * image.abs()).all(dim=1) & image.isfinite().all(dim=1)
    assert not (point.converged & ~fine).any()
    assert solver != "fixed_point" or not point.converged.any()
