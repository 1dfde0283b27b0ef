"""Compiled steps: what the tensor operations find, whatever happens on the way, and no bit from another sample."""

from __future__ import annotations

import importlib
import os
import signal
import time
import types
import warnings
import weakref

import numpy as np
import pytest
import torch
from deq_zoo import ZOO

from ufm.deq import DEQ, ConvergenceWarning, compiled, room, solvers
from ufm.deq.compiled import CompiledSteps
from ufm.deq.iteration import OWNED, Guard, Iteration, Options
from ufm.deq.solvers import SOLVERS, get_solver

pytest.importorskip("numba")
_kernels = importlib.import_module("ufm.deq._kernels")


def draw(seed, *shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def tanh(n, norm, batch, dtype=torch.float64):
    a = draw(n, n, n)
    a = (a * norm / torch.linalg.matrix_norm(a, 2)).to(dtype)
    h = draw(1, batch, n, dtype=dtype)
    return lambda z: torch.tanh(z @ a.T + h)


def both(f, z0, solver, tol, steps, **options):
    return (get_solver(solver)(f, z0, tol, steps, None, Options(compiled=c, **options)) for c in (True, False))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=["double", "single"])
@pytest.mark.parametrize("memory", [None, 2])
def test_the_same_iterates(solver, dtype, tol, memory):
    """More steps than slots, sums of four and of what is left, samples that stop at different times."""
    f, z0 = tanh(21, 0.95, 7, dtype), torch.zeros(7, 21, dtype=dtype)
    z0[0] = f(z0)[0]
    ours, theirs = both(f, z0, solver, tol, 300, memory=memory, trace=True)
    assert ours.converged.all()
    assert len(set(ours.steps.tolist())) > 1
    assert (ours.steps - theirs.steps).abs().max() <= 1
    # Rounding is amplified a little from step to step.
    torch.testing.assert_close(ours.trace[:6], theirs.trace[:6], rtol=1e5 * torch.finfo(dtype).eps, atol=0)
    torch.testing.assert_close(ours.z, theirs.z, rtol=0, atol=40 * tol)


@pytest.mark.parametrize("solver", ["anderson", "broyden"])
@pytest.mark.parametrize("options", [{"memory": 3, "patience": 4}, {"patience": 5}], ids=str)
def test_the_same_iterates_where_the_acceleration_is_lost(solver, options, monkeypatch):
    """Steps that were not those proposed: plain ones after failures, each row at its own time."""
    recover, lost = Guard.recover, []
    monkeypatch.setattr(Guard, "recover", lambda self: lost.append(recover(self)) or lost[-1])
    for seed, rate in ((0, 3.0), (1, 2.0)):
        a, h = draw(seed, 12, 12), draw(seed + 50, 6, 12)
        a *= 1.3 * rate / torch.linalg.matrix_norm(a, 2)
        ours, theirs = both(lambda z, a=a, h=h: torch.sin(z @ a.T + h), 0 * h, solver, 1e-10, 30, trace=True, **options)
        torch.testing.assert_close(ours.trace[:14], theirs.trace[:14], rtol=1e-9, atol=0)
    assert {bool(rows.all()) for rows in lost} == {False}


@pytest.mark.parametrize("memory", [None, 2])
@pytest.mark.parametrize(("dtype", "tol"), [(torch.bfloat16, 1e-2), (torch.float16, 1e-3)], ids=str)
def test_the_same_iterates_where_steps_are_rounded(dtype, tol, memory):
    a, h = draw(9, 40, 40), draw(1, 5, 40, dtype=dtype)
    a = (0.95 * a / torch.linalg.matrix_norm(a, 2)).to(dtype)
    ours, theirs = both(lambda z: torch.tanh(z @ a.T + h), 0 * h, "broyden", tol, 60, trace=True, memory=memory)
    assert ours.converged.all()
    assert int((ours.steps - theirs.steps).abs().max()) <= 1
    torch.testing.assert_close(ours.trace[:4], theirs.trace[:4], rtol=1e-5, atol=0)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_scales_whose_squares_leave_the_numbers(solver, scale):
    h = scale * draw(2, 3, 5)
    ours, theirs = both(lambda z: 0.5 * z.flip(1) + h, torch.zeros_like(h), solver, 1e-12, 100)
    assert ours.converged.all()
    torch.testing.assert_close(ours.z / scale, theirs.z / scale, rtol=1e-10, atol=0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_no_bit_of_a_sample_depends_on_the_others(solver):
    """One sample that is NaN, one that runs away, one that is there at once: steps that are judged by tensors."""
    h, a = draw(3, 4, 6), torch.tensor([[0.9], [0.9], [3.0], [0.0]], dtype=torch.float64)
    h[0] = torch.nan

    def f(a, h):
        return lambda z: a * torch.cos(z) + h if len(z) == len(h) else z

    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        all_of_them = get_solver(solver)(f(a, h), torch.zeros_like(h), 1e-10, 80, None, Options(compiled=True))
        for i in (1, 3):
            rows = slice(i, i + 1)
            alone = get_solver(solver)(f(a[rows], h[rows]), h[rows] * 0, 1e-10, 80, None, Options(compiled=True))
            assert torch.equal(alone.z[0], all_of_them.z[i])
            assert alone.steps[0] == all_of_them.steps[i]


@pytest.mark.parametrize("n", [5, 97])
@pytest.mark.parametrize("solver", ["anderson", "broyden"])
@pytest.mark.parametrize(("dtype", "scale", "tol"), [(torch.float64, 1, 1e-13), (torch.float32, 1e-10, 1e-6)])
def test_no_bit_of_a_sample_depends_on_another_that_is_lost(solver, n, dtype, scale, tol):
    """The plain steps of that one are judged by tensor operations, and kernels learn from all rows' steps."""
    rates, h = torch.linspace(-0.8, 0.8, n, dtype=dtype), scale * draw(3, n, dtype=dtype)

    def f(z):
        astray, z = z[:-1], z[-1:]
        astray = torch.where(astray.abs() > scale, -2 * astray, 3 * astray) + scale
        return torch.cat((astray, rates * z + 0.1 * scale * torch.sin(z / scale) + h))

    z0, options = scale * draw(4, 3, n, dtype=dtype), Options(compiled=True, patience=4)
    batch, alone = (get_solver(solver)(f, start, tol, 60, None, options) for start in (z0, z0[-1:]))
    assert alone.converged
    assert torch.equal(batch.z[-1:], alone.z)
    assert torch.equal(batch.steps[-1:], alone.steps)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_capped_solve_returns_each_samples_best(solver):
    """z -> r z (1 - z) rises and falls: the best iterate is copied where the next is worse."""
    r = torch.tensor([[3.4], [3.2], [2.5]], dtype=torch.float64)
    z0 = torch.tensor([[0.9], [0.05], [0.3]], dtype=torch.float64)
    for steps in (3, 4, 5, 6):
        ours, theirs = both(lambda z: r * z * (1 - z), z0, solver, 1e-14, steps)
        torch.testing.assert_close(ours.residuals, theirs.residuals, rtol=1e-8, atol=0)
        torch.testing.assert_close(ours.z, theirs.z, rtol=1e-8, atol=0)


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("solver", ["anderson", "fixed_point"])
def test_hard_cells_without_kernels(name, solver):
    """The rest of the suite solves them with kernels, where Numba is installed."""
    cell = ZOO[name]
    with torch.no_grad(), warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        _, info = DEQ(solver, compiled=False, **cell.settings)(lambda z: cell.f(z, cell.p), cell.z0)
    assert cell.exists or not info.converged.any()
    assert info.all_converged or solver not in cell.solved_by


def test_strided_starts_and_images():
    h = draw(4, 6, 5)
    ours = DEQ(tol=1e-12, compiled=True)(lambda z: (0.5 * z.mT.contiguous()).mT + h, torch.zeros(5, 6).double().mT)[0]
    torch.testing.assert_close(ours, 2 * h, rtol=1e-10, atol=0)


def test_steps_of_a_kernel_need_no_tensor_operation():
    state = Iteration(tanh(5, 0.5, 3), torch.zeros(3, 5, dtype=torch.float64), 1e-3, 9, None, Options(compiled=True))
    CompiledSteps.attach(state)
    for _ in range(3):
        state.evaluate()
        assert state.swift
        state.move(state.image)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", ["tanh", "a row that is not a number", "one that runs away"])
@pytest.mark.parametrize("threads", [2, 4, None], ids=["a team of two", "of four", "a thread of our own"])
def test_several_threads_find_the_same_bits(solver, name, threads, monkeypatch):
    """Rows in each part that something happens to, and others that have converged."""
    if threads is not None and not compiled.has_team():
        pytest.skip("torch brings no GNU OpenMP")
    h = draw(5, 9, 6)
    rates = torch.linspace(0.1, 0.95, 9, dtype=torch.float64)[:, None]
    if name != "tanh":
        for row in (1, 7):
            (h if "number" in name else rates)[row] = torch.nan if "number" in name else 3.0

    def solve():
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            return get_solver(solver)(
                lambda z: rates * torch.cos(z) + h, torch.zeros_like(h), 1e-10, 80, None, Options(compiled=True)
            )

    alone = solve()
    run, runs = CompiledSteps._run, []
    monkeypatch.setattr(CompiledSteps, "_run", lambda self, *a: runs.append(self.parts) or run(self, *a))
    monkeypatch.setattr(compiled, "SHARED", 2)
    monkeypatch.setattr(compiled, "SHARED_PLAIN", 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads or 3)
    if threads is None:
        monkeypatch.setattr(compiled, "has_team", lambda: False)
    shared, second = solve(), compiled._second
    if "number" not in name:  # else tensor operations take all steps
        assert set(runs) == {threads or 2}
        assert second.cache_info().currsize == (threads is None)
    for name in ("z", "residuals", "steps", "converged"):
        torch.testing.assert_close(getattr(shared, name), getattr(alone, name), rtol=0, atol=0, equal_nan=True)
    second.cache_clear()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_a_second_thread_of_its_own(monkeypatch):
    monkeypatch.setattr(compiled, "SHARED", 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    def solve():
        return DEQ(tol=1e-9, compiled=True)(lambda z: 0.5 * torch.cos(z), torch.zeros(4, 3).double())[1].all_converged

    assert solve()
    child = os.fork()
    if not child:
        os._exit(0 if solve() and not compiled.has_team() else 1)
    for _ in range(600):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.1)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child waits for a thread that it has not")
    assert status == 0


@pytest.mark.parametrize("error", [ModuleNotFoundError, ImportError])
def test_without_numba(error, monkeypatch):
    """It is not needed, not even one that works; asked for it is named."""

    def missing():
        raise error("numba")

    monkeypatch.setattr(compiled, "_load", missing)
    compiled._numba_works.cache_clear()
    try:
        assert DEQ()(lambda z: 0.5 * z + 1, torch.zeros(2, 1))[1].all_converged
        with pytest.raises(error, match="numba"):
            DEQ(compiled=True)
    finally:
        compiled._numba_works.cache_clear()


@pytest.mark.parametrize(("threads", "asked", "used"), [(2, None, True), (3, None, False), (3, True, True)])
def test_large_states_are_left_to_many_threads_where_there_is_no_team(monkeypatch, threads, asked, used):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(compiled, "LARGE", 5)
    monkeypatch.setattr(compiled, "has_team", lambda: False)
    for rows, expected in ((3, used), (2, True)):
        state = Iteration(lambda z: 0.5 * z + 1, torch.zeros(rows, 2), 1e-6, 100, None, Options(compiled=asked))
        CompiledSteps.attach(state)
        assert (state.compiled is not None) == expected


class Pool:
    """Memory in one piece, full of what is no number, where an array lies next to another one, before or after it."""

    def __init__(self, seed, full_of=np.nan):
        self.numbers, self.generator = np.full(2**17, full_of), np.random.default_rng(seed)
        self.free, self.taken = np.ones(self.numbers.size, bool), [(2**16, 2**16)]

    def empty(self, shape, dtype=np.float64):
        assert dtype == np.float64
        size = int(np.prod(shape))
        while True:
            gap = int(self.generator.integers(0, 6))
            begin, end = self.taken[self.generator.integers(len(self.taken))]
            begin = end + gap if self.generator.integers(2) else begin - gap - size
            place = slice(begin, begin + size)
            if self.free[place].all():
                break
        self.free[place] = False
        self.taken = [*self.taken[-7:], (begin, begin + size)]
        return self.numbers[place].reshape(shape)

    def tensor(self, *shape):
        return torch.from_numpy(self.empty(shape))

    def put(self, tensor):
        return self.tensor(*tensor.shape).copy_(tensor)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_same_bits_wherever_memory_is_found(solver, monkeypatch):
    """Arrays next to each other, at any place in a line of the cache, that nobody has written to.

    Loops that are taken several numbers at a time only where arrays are far apart add in another order where they are
    near. Rows shorter and longer than a block, with and without a rest, more steps than slots. f sees copies, for a
    product of MKL has other bits where an array does not begin at a multiple of 16 bytes, as all do that are allocated.
    """
    numpy = types.SimpleNamespace(**vars(np))
    monkeypatch.setattr(compiled, "np", numpy)

    def solve(width, pool):
        numpy.empty = pool.empty
        monkeypatch.setattr(torch, "empty_like", lambda t: pool.tensor(*t.shape))
        monkeypatch.setattr(torch.Tensor, "new_empty", lambda _, *shape: pool.tensor(*shape))
        g = tanh(width, 0.9, 3)
        found = get_solver(solver)(
            lambda z: pool.put(g(z.clone())),
            torch.zeros(3, width).double(),
            1e-9,
            80,
            None,
            Options(compiled=True, memory=4),
        )
        assert found.converged.all()
        assert (~pool.free).sum() > 10 * width  # it was asked
        return found

    for width in (5, 8, 16, 27):
        expected = solve(width, Pool(0, full_of=0.0))
        for seed in range(1, 12):
            found = solve(width, Pool(seed))
            assert torch.equal(found.z, expected.z)
            assert torch.equal(found.residuals, expected.residuals)


def test_numbers_of_any_kind_take_the_same_machine_code():
    for patience, growth in ((5, 20), (np.int64(5), np.float32(20))):
        options = Options(compiled=True, patience=patience, growth=growth)
        assert solvers.anderson(tanh(5, 0.5, 3), torch.zeros(3, 5).double(), 1e-6, 50, None, options).converged.all()
    for kernel in (_kernels.bind, _kernels.plain, _kernels.anderson):
        assert len(kernel.signatures) <= 2  # single and double


def test_no_kernel_may_be_reordered():
    """What a compiler may reorder it does where addresses allow."""
    kernels = [value for value in vars(_kernels).values() if hasattr(value, "targetoptions")]
    assert len(kernels) > 5
    assert not any(kernel.targetoptions.get("fastmath") for kernel in kernels)


@pytest.fixture
def memories(monkeypatch):
    """The memories of the solves to come."""
    made = []
    for kind in (solvers._Anderson, solvers._Broyden):
        old = kind.__init__
        monkeypatch.setattr(kind, "__init__", lambda self, *a, old=old: made.append(self) or old(self, *a))
    return made


def test_few_slots_while_wide_rows_are_quick(memories):
    """Steps as many as with all slots; where residuals fall slowly, or rows are narrow, all are taken."""
    quick, z0 = tanh(128, 0.8, 5), torch.zeros(5, 128).double()
    few, all_of_them = both(quick, z0, "anderson", 1e-9, 200)
    assert few.converged.all()
    assert (few.steps - all_of_them.steps).max() <= 1
    assert memories[0].steps > 2 * solvers.ENOUGH
    assert memories[0].counts[:, 0].max() == solvers.ENOUGH
    # One row whose map is nearly the identity in many directions, beside quick ones, then the same in few dimensions.
    rates = draw(7, 5, 128).sigmoid() * torch.tensor([0.99, 0.2, 0.2, 0.2, 0.2]).double()[:, None]
    h = draw(8, 5, 128)
    ours, theirs = both(lambda z: rates * z + h, z0, "anderson", 1e-9, 300)
    assert ours.converged.all()
    assert (ours.steps - theirs.steps).max() <= 2
    used = memories[2].counts[:, 0]
    assert used[0] > solvers.ENOUGH
    assert used[1:].max() == solvers.ENOUGH
    narrow, _ = both(tanh(32, 0.8, 5), z0[:, :32], "anderson", 1e-9, 200)
    assert memories[4].counts[:, 0].max() > solvers.ENOUGH
    assert narrow.converged.all()
    asked, _ = both(quick, z0, "anderson", 1e-9, 200, memory=8)
    assert memories[6].counts[:, 0].max() == 8
    assert asked.converged.all()


@pytest.mark.parametrize("memory", [None, 2])
@pytest.mark.parametrize("solver", ["anderson", "broyden"])
def test_a_memory_of_kernels_is_one_of_tensor_operations(solver, memory, monkeypatch, memories):
    """They take over in the middle of a solve, where slots differ from row to row and some were never written."""
    evaluate, numbers = CompiledSteps._evaluate, iter(range(99))

    def gives_up(self, rows):
        found = evaluate(self, rows)
        if next(numbers) < 5:
            return found
        self._leave()
        self.state.compiled = None
        return None

    monkeypatch.setattr(CompiledSteps, "_evaluate", gives_up)
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda t, *shape: t.new_full(shape, torch.nan))
    ours, theirs = both(tanh(128, 0.9, 3), torch.zeros(3, 128).double(), solver, 1e-9, 200, memory=memory)
    assert ours.converged.all()
    assert memories[0].counts is None
    assert next(numbers) == 6
    assert (ours.steps - theirs.steps).abs().max() <= 1
    torch.testing.assert_close(ours.z, theirs.z, rtol=0, atol=1e-7)


@pytest.mark.parametrize("solver", ["anderson", "broyden"])
def test_memory_in_large_pages(solver, monkeypatch):
    """Rows begin where the processor's lines do, and nothing else changes; more terms than first have room."""
    f, z0 = tanh(24, 0.99, 3), torch.zeros(3, 24).double()
    expected = get_solver(solver)(f, z0, 1e-12, 200, None, Options(compiled=True))
    assert expected.steps.max() > solvers.ROOM
    monkeypatch.setattr(room, "LARGE", 0)
    monkeypatch.setattr(room, "HUGE", 0)
    monkeypatch.setattr(room, "_keep_what_is_freed", lambda: None)
    places, numpy = [], torch.from_numpy
    monkeypatch.setattr(torch, "from_numpy", lambda x: places.append(x.ctypes.data % room.LINE) or numpy(x))
    with torch.inference_mode():
        found = get_solver(solver)(f, z0, 1e-12, 200, None, Options(compiled=True))
    assert torch.equal(found.z, expected.z)
    assert places[0] == 0
    assert room.room(z0, 2, 5).dtype == torch.float64


def test_room_for_late_steps_changes_nothing(monkeypatch, memories):
    """They are there from the start where they are few, else the memory is copied when they are due."""
    f, z0 = tanh(24, 0.99, 3), torch.zeros(3, 24).double()
    there, there_too = both(f, z0, "anderson", 1e-12, 200)
    monkeypatch.setattr(solvers, "LARGE", 0)
    copied, copied_too = both(f, z0, "anderson", 1e-12, 200)
    assert all(memory.window.shape[2] == memory.memory > solvers.MEMORY for memory in memories)
    assert torch.equal(copied.z, there.z)
    assert torch.equal(copied.residuals, there.residuals)
    assert torch.equal(copied_too.steps, there_too.steps)
    torch.testing.assert_close(copied_too.z, there_too.z, rtol=0, atol=1e-10)


@pytest.mark.parametrize("solver", ["anderson", "broyden"])
@pytest.mark.parametrize("rho", [0.7, 0.9])
def test_differences_that_say_nothing_new_make_room(solver, rho):
    """Nearly linear maps with one rate: differences depend on those that are kept, which are of steps far back."""
    for seed in range(4):
        h = 0.05 * draw(seed, 16, 16)
        ours, theirs = both(lambda z, h=h: torch.tanh(rho * z + h), torch.zeros_like(h), solver, 1e-6, 100)
        assert ours.converged.all()
        assert (ours.steps - theirs.steps).max() <= 3


class Kept(torch.nn.Module):
    """``0.5 cos z + h``, which C++ alone keeps and overwrites at the next call."""

    def __init__(self, h):
        super().__init__()
        self.register_buffer("h", h)
        self.register_buffer("image", torch.empty_like(h))

    def forward(self, z):
        self.image.fill_(torch.nan)
        self.image = 0.5 * torch.cos(z) + self.h
        return self.image


def to_array(h):
    """The same, written to an array."""
    image = np.empty(h.shape)

    def f(z):
        image[:] = 0.5 * np.cos(z.numpy()) + h.numpy()
        return torch.from_numpy(image)

    return f


def kept(h, of):
    """Images that f overwrites at its next call, of which it keeps what ``of`` makes of them."""
    last = []

    def f(z):
        former = last.pop() if last else None
        if callable(former):
            former = former()
        if former is not None:
            former[:] = np.nan
        image = 0.5 * torch.cos(z) + h
        last.append(of(image))
        return image

    return f


def from_storage(image):
    """Where an image can be had again though no tensor of it is kept."""
    storage, shape, dtype = image.untyped_storage(), image.shape, image.dtype
    return lambda: torch.empty(0, dtype=dtype).set_(storage, 0, shape)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("solver", SOLVERS)
def test_large_images_that_another_has_are_copied(solver):
    h = draw(11, 2**7, 2**6)
    assert h.numel() >= OWNED
    maps = {
        "nobody's": lambda z: 0.5 * torch.cos(z) + h,
        "of C++": torch.jit.script(Kept(h)),
        "an array": to_array(h),
        "itself": kept(h, lambda t: t),
        "a view": kept(h, lambda t: t.view(-1)),
        "detached": kept(h, lambda t: t.detach()),
        "as an array": kept(h, lambda t: t.numpy()),
        "by its storage": kept(h, from_storage),
        "by a weak reference": kept(h, weakref.ref),
    }
    found = {
        name: get_solver(solver)(f, 0 * h, 1e-10, 60, None, Options(compiled=True, trace=True))
        for name, f in maps.items()
    }
    for name, point in found.items():
        assert point.converged.all(), name
        torch.testing.assert_close(point.trace, found["nobody's"].trace, rtol=1e-4, atol=1e-15)


def test_large_images_that_nobody_else_has_are_not_copied(monkeypatch):
    owned = []
    look = Iteration.look
    monkeypatch.setattr(Iteration, "look", lambda self, rows: owned.append(look(self, rows)) or owned[-1])
    for rows in (2**7, 2):
        h = draw(12, rows, 2**6)
        owned.clear()
        assert get_solver("anderson")(lambda z, h=h: 0.5 * torch.cos(z) + h, 0 * h, 1e-10, 60).converged.all()
        assert {pair[1] for pair in owned} == {rows * 2**6 >= OWNED}
