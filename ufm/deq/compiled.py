"""Steps of a fixed-point solve by the kernels of :mod:`ufm.deq._kernels`, as long as nothing happens in them.

What is rare (a row that runs away, an acceleration that is lost, values that are not finite) stays with the tensor
operations: a kernel then changes nothing, and the state is as if there were no kernels.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import functools
import os
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from ufm._extras import optional
from ufm.deq.iteration import RECORD, ROUNDING, RUNAWAY, SLACK, Iteration, least_norm
from ufm.deq.room import LINE

with optional("deq"):
    import torch
    from torch import Tensor

__all__ = ["CompiledSteps", "can_compile"]

#: Entries of a state up to which kernels in two threads are taken over more that tensor operations use.
LARGE = 2**18


def can_compile(wanted: bool | None) -> bool:
    """Return whether kernels are to be used where they can be: if not told, where Numba is there and works.

    Raises:
        ImportError: they are asked for, and Numba is not installed or not for this version of NumPy.

    Examples:
        >>> can_compile(False)
        False
    """
    return _numba_works() if wanted is None else wanted and bool(_load())


@functools.cache
def _numba_works() -> bool:
    try:
        _load()
    except ImportError:
        return False
    return True


@functools.cache
def _load() -> ModuleType:
    from ufm.deq import _kernels

    return _kernels


#: Entries of a state from which on its rows are shared between threads, if torch may have more than one; plain steps,
#: which are little work, take more.
SHARED, SHARED_PLAIN = 2**14, 2**16

#: An array of each dtype, by the size of its entries.
_LIKE: dict[int, Any] = {4: np.empty(1, np.float32), 8: np.empty(1, np.float64)}


def address(array: Any) -> int:
    """Where the numbers of an array are, as a kernel finds it: NumPy takes four times as long."""
    return int(_load().address(array))


#: Of the flags of a process: forked, and no program of its own since (``PF_FORKNOEXEC`` of Linux).
FORKED = 0x40


@functools.cache
def _is_forked(process: int) -> bool:
    """Whether this process, of that number, is a fork, which OpenMP's threads were left behind by; if in doubt."""
    try:
        stat = Path("/proc/self/stat").read_text("utf-8", errors="replace")
        return bool(int(stat.rpartition(")")[2].split()[6]) & FORKED)
    except (OSError, ValueError, IndexError):
        return True


@functools.cache
def _parallel() -> Any:
    """``GOMP_parallel`` of the OpenMP that torch brings, None where that is another.

    Its threads wait for the next work for a while, awake: another of ours would wait for a core, and they are there
    within microseconds.
    """
    for path in sorted((Path(torch.__file__).parent / "lib").glob("libgomp*")):
        with contextlib.suppress(OSError, AttributeError):
            function = ctypes.CDLL(str(path)).GOMP_parallel
            function.argtypes, function.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint), None
            return function
    return None


def has_team() -> bool:
    """Whether kernels may have the threads that tensor operations have."""
    return not _is_forked(os.getpid()) and _parallel() is not None


@functools.cache
def _second() -> concurrent.futures.ThreadPoolExecutor:
    """A second thread, where there is no team."""
    return concurrent.futures.ThreadPoolExecutor(1, "ufm-deq")


def _call(alive: tuple[Any, ...], kernel: Any, *arguments: Any) -> Any:
    """Call a kernel while what it works on is kept alive."""
    return kernel(*arguments)


if hasattr(os, "register_at_fork"):  # a process that is forked has no threads
    os.register_at_fork(after_in_child=_second.cache_clear)


class Memory(Protocol):
    """What an acceleration has for its kernels: how many steps it took, and its numbers."""

    steps: int
    #: Name of its kernel.
    kernel: str
    #: Part of a difference's length below which it is left out.
    dependent: float
    #: Whether steps are to be taken in that were not those that it proposed.
    astray: bool

    def share(self, where: Any) -> bool:
        """See that there is room for one more step, and write where the numbers are; False where nothing changed."""


class CompiledSteps:
    """Kernels bound to the state of a solve on a CPU, in which each unit is judged by itself.

    Arrays of numbers by unit are shared with the state's tensors and written in place. The best iterates are kept by
    unit: those of a step that is the best so far are that step's, and copied when the next is worse.

    Args:
        state: of the solve.

    Examples:
        >>> import torch
        >>> from ufm.deq.iteration import Options
        >>> state = Iteration(lambda z: 0.5 * z + 1, torch.zeros(3, 1), 1e-6, 100, None, Options(compiled=False))
        >>> CompiledSteps.attach(state), state.compiled is None
        (None, True)
    """

    def __init__(self, state: Iteration) -> None:
        self.state, self.kernels = state, _load()
        self.bound, self.floor = False, least_norm(state.z.dtype)
        #: Whether the numbers by unit are only here, and the state's as they were before.
        self.separate = False
        self.floats: Any = None
        self.longs: Any = None
        self.flags: Any = None
        self.kept: Any = None
        self.held: Tensor | None = None  # those of the flags, once some are
        self.began = False  # whether the residuals of the start are the guard's mark
        self.small = -np.inf  # images below this are on their way to 0
        self.records = state.options.trace or bool(state.options.states)
        rows = state.z.shape[0]
        #: Threads that share the rows, and in how many parts; whether they are a team.
        self.threads = torch.get_num_threads() if state.z.numel() >= SHARED else 1
        self.team = self.threads > 1 and has_team()
        self.parts = min(self.threads if self.team else 2, self.threads, rows)
        self.call: Any = None  # of the team, for a kernel of the steps
        #: z and f(z) of the last step that a kernel judged.
        self.last: tuple[Tensor, Tensor] = state.best[0], state.best[1]
        #: An array of the dtype, and sizes and addresses of what is shared, see ``_kernels.FOUND``.
        self.like = _LIKE[state.z.element_size()]
        self.where = np.zeros(self.kernels.FOUND + self.parts, np.int64)
        self.where[self.kernels.PARTS] = self.parts
        self.numbers, self.ends = np.zeros(self.kernels.ABSOLUTE + 1), np.zeros(self.kernels.ROW + self.parts)
        self.told: Any = None  # the dtype that f is known to return
        #: Room that kernels work in, so many numbers.
        self.needed, self.scratch = 0, np.empty(0, self.like.dtype)
        #: Next iterates of a step that a kernel left at a row, the rows before it taken.
        self.left: Tensor | None = None
        #: What was last proposed, and which rows took it as their step.
        self.proposal: Tensor | None = None
        self.taken = np.zeros(rows, np.bool_)

    @functools.cached_property
    def after(self) -> Any:
        """The rows after each part."""
        return self.state.z.shape[0] * np.arange(1, self.parts + 1) // self.parts

    @staticmethod
    def attach(state: Iteration) -> None:
        """Let the state use kernels where there are any for it.

        Unless they are asked for, not for a large state where torch has more than two threads and a kernel only two.
        """
        rows, asked = state.z, state.options.compiled
        if asked is None and rows.numel() > LARGE and torch.get_num_threads() > 2 and not has_team():
            return
        usual = state.relative is None and rows.is_cpu and rows.shape[0] == state.judged
        if usual and rows.numel() > 0 and type(rows) is Tensor and can_compile(asked):
            try:
                rows.data_ptr()
            except RuntimeError:  # it may have no numbers of its own: under a transform of torch.func
                return
            state.compiled = CompiledSteps(state)

    # Judging --------------------------------------------------------------------------------------------------------

    @property
    def apply(self) -> bool:
        """Whether each unit is still judged by itself."""
        return self.state.z.shape[0] == self.state.judged

    def judge(self) -> bool:
        """Take in an evaluation in which nothing happens; else return False, and leave the state to itself."""
        state, guard = self.state, self.state.guard
        assert state.image is not None
        if not (self.apply and state.z.is_contiguous() and state.image.is_contiguous()):
            self.release()
            return False
        try:
            image = state.image.data_ptr()
        except RuntimeError:  # what f returns may have no numbers of its own either
            self.release()
            state.compiled = None
            return False
        first = state.count == 1
        calm = guard is None or not (guard.any_plain or (guard.orbit is None and not first))
        if not self.bound:
            self._bind()
        self._tell()
        found = self.kernels.entry("plain", self.like.itemsize)(
            *(self.like, self.where, state.z.data_ptr(), image, 0),
            *(self.last[0].data_ptr(), self.last[1].data_ptr(), not state.accelerated),
            *(guard is not None, calm, first, 0, 1),
        )
        if found == self.kernels.RARE:
            self.release()
            return False
        if first:
            state.begin(*self.ends[self.kernels.MOST_LARGEST : self.kernels.LEAST_LARGEST + 1].tolist())
            if guard is not None:
                guard.orbit, self.began = (state.z, state.image), True
        self.small = self.numbers[self.kernels.SMALL] = state.smallest()
        self._commit(found)
        self.last = state.z, state.image
        return True

    def _tell(self, memory: Memory | None = None) -> None:
        """Write what the kernels are told of the dtype that f returns, and of a method."""
        if memory is not None:
            self.numbers[self.kernels.DEPENDENT] = memory.dependent
        if self.state.seen is not self.told:
            self.told = self.state.seen
            eps = torch.finfo(self.told).eps
            self.numbers[self.kernels.SLACK], self.numbers[self.kernels.ROUNDING] = SLACK * eps, ROUNDING * eps

    def _bind(self) -> None:
        """Have numbers by unit: those of a new solve, or the state's, of which others may have kept the tensors."""
        state, guard, kernels, units = self.state, self.state.guard, self.kernels, self.state.judged
        self.bound, self.held = True, None
        self.separate = state.count == 1
        self.floats = np.empty((kernels.MARK + 1, units), self.like.dtype)
        self.longs, self.flags = np.zeros((4, units), np.int64), np.zeros((3, units), np.bool_)
        self.kept = np.empty((2, *state.z.shape), self.like.dtype)
        patience, growth = (0, 1.0) if guard is None else (int(guard.patience), float(guard.growth))
        kernels.bind(
            *(self.where, self.numbers, self.ends, self.floats, self.longs, self.flags, self.kept, self.taken),
            *(state.tol, state.quantum, self.floor, RUNAWAY, RECORD, growth, state.options.stop_mode == "abs"),
            *(state.whole_score, patience, state.best_is_last),
        )
        self.last = (state.best[0], state.best[1])
        if self.separate:
            return
        none = state.residuals
        least = none if guard is None else guard.least
        self.floats[:] = torch.stack((none, none, none, none, state.largest, state.best_score, least, none)).numpy()
        waits = (state.idle, state.idle, *((state.idle,) * 2 if guard is None else (guard.stale, guard.limit)))
        self.longs[:] = torch.stack(waits).numpy()
        self._share()
        if state.held is not None:
            self.flags[kernels.HELD] = state.held.numpy()
        if not state.best_is_last:
            self.kept[:] = torch.stack(self.last).numpy()

    def share(self) -> None:
        """Give the state the numbers by unit, which the kernels then go on writing to."""
        if self.separate:
            self._share()

    def _share(self) -> None:
        state, guard, self.separate = self.state, self.state.guard, False
        numbers = torch.from_numpy(self.floats)
        state.norm, state.size, state.fresh, state.residuals, state.largest, state.best_score, least, mark = numbers
        _, state.idle, stale, limit = torch.from_numpy(self.longs)
        state.score = state.residuals
        if guard is not None:
            guard.least, guard.stale, guard.limit = least, stale, limit
            if self.began:
                guard.mark, self.began = mark, False

    def _commit(self, found: int) -> None:
        """What the state is told of a step by the way."""
        state = self.state
        most, least_size, number, least_most = self.ends.tolist()[:4]
        state.event = False
        if self.records:
            self.share()
            state._record()
        if most == least_most:
            state.whole = state.z
        if least_size < self.small:
            self.share()
            state._watch(least_size)
        if found == self.kernels.MORE:
            if self.held is None:
                self.held = torch.from_numpy(self.flags[self.kernels.HELD])
            state.hold(self.held, int(number))

    def release(self) -> None:
        """Give the state its best iterates; it may then go on without kernels, and with them again."""
        if not self.bound:
            return
        self.share()
        self.bound = False
        state, is_last = self.state, torch.from_numpy(self.flags[self.kernels.IS_LAST])
        state.best_is_last, state.whole_score = bool(is_last.all()), float(self.ends[self.kernels.LEAST_MOST])
        best = zip(self.last, torch.from_numpy(self.kept), strict=True)
        state.best = self.last if state.best_is_last else tuple(torch.where(is_last[:, None], a, b) for a, b in best)

    def found(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Residuals, steps and what has converged where all samples have and the state was told of none of it."""
        state = self.state
        if not (self.bound and self.separate and state.done and state.judged == state.batch):
            return None
        assert self.held is not None
        residuals, steps = self.floats[self.kernels.RESIDUAL], self.longs[self.kernels.STEPS]
        return torch.from_numpy(residuals), torch.from_numpy(steps), self.held

    # Steps ----------------------------------------------------------------------------------------------------------

    @property
    def flow(self) -> bool:
        """Whether the last evaluation was judged by a kernel, and nothing is to be done before the next."""
        state, guard = self.state, self.state.guard
        return state.swift and state.vanishing is None and not (state.event or (guard is not None and guard.any_plain))

    def plain(self) -> None:
        """Take plain steps until one is left to tensor operations or is the last."""
        state, kernels = self.state, self.kernels
        assert state.image is not None
        z = state.image if state.held is None else torch.where(state.held[:, None], state.z, state.image)
        now, last = z.data_ptr(), self.last[0].data_ptr()
        self._tell()
        alone, like, where = self.parts == 1 or z.numel() < SHARED_PLAIN, self.like, self.where
        kernel, rare, usual = kernels.entry("plain", self.like.itemsize), kernels.RARE, kernels.USUAL
        while True:
            image = self._evaluate(z)
            if image is None:
                return
            if state.z is not z:  # rounded
                z, now = state.z, state.z.data_ptr()
            # What is nobody else's is the next iterate as it is.
            kept = self.owned and state.held is None
            out = self.image if kept else torch.empty_like(z)
            # Where a row was not held, its image was the next z.
            following = 0 if kept else out.data_ptr()
            if alone:
                found = kernel(like, where, now, image, following, last, now, True, False, True, False, 0, 1)
            else:
                points = (now, image, following, last, now)
                alive = (z, out, self.image, self.last)
                found = self._run("plain", (*points, True, False, True, False), (True, False), alive)
            if found == rare:
                self._leave()
                return
            if found == usual and not self.records:
                state.whole = z
            else:
                self._commit(found)
            self.last = z, out
            ends = (found != usual or state.count >= state.max_steps) and not state.goes_on
            if ends or state.vanishing is not None:
                self._keep()
                return
            if kept and state.held is not None:
                out = torch.where(state.held[:, None], z, out)
            z, last, now = out, now, out.data_ptr()

    def accelerate(self, memory: Memory, z: Tensor) -> tuple[Tensor | None, tuple[Tensor, Tensor] | None]:
        """Take accelerated steps, the first to z, until one is left to tensor operations or is the last.

        Args:
            memory: of the method.
            z: what it proposed; held rows stay.

        Returns:
            What the method proposes next, None if it is yet to learn from the last step; and z and f(z) of the step
            before that one, None where there is no next.
        """
        state, rare, usual, last_z = self.state, self.kernels.RARE, self.kernels.USUAL, self.state.z
        assert state.image is not None
        # f(z) of the last step, and room for a copy of this one's where it may be f's own.
        last_image, before, spare, copied = state.image, state.image.data_ptr(), None, False
        kernel, now, last = self.kernels.entry(memory.kernel, self.like.itemsize), z.data_ptr(), last_z.data_ptr()
        self._tell(memory)
        alone, like, where = self.parts == 1, self.like, self.where
        memory.astray = state.dtype != z.dtype  # for it will be rounded
        self.taken.fill(not memory.astray)
        while True:
            plain = memory.steps == 0
            state.accelerated = not plain
            self.proposal = z
            image = self._evaluate(z)
            if image is None:
                break
            out = torch.empty_like(z)
            following, after = out.data_ptr(), 0
            image_rows, former = self.image, copied
            copied = not self.owned
            if copied:
                image_rows = torch.empty_like(z) if spare is None else spare
                after = image_rows.data_ptr()
            if state.z is not z:  # rounded
                z, now = state.z, state.z.data_ptr()
            if memory.share(where):
                self._make_room()
            if alone:
                found = kernel(like, where, now, image, following, last, before, after, plain, -1, 0, 1)
            else:
                points = (now, image, following, last, before, after)
                alive = (memory, z, out, self.image, last_z, last_image, image_rows)
                found = self._run(memory.kernel, (*points, plain, -1), (plain, True), alive)
            if found == rare:
                self.left = out
                self._leave()
                break
            if found == usual and not self.records:
                state.whole = z
            else:
                self._commit(found)
            self.last = z, image_rows
            if (found != usual or state.count >= state.max_steps) and not state.goes_on:
                self._keep()
                return None, None
            memory.steps += 1
            if state.vanishing is not None:
                self.proposal, state.image, state.residual = out, image_rows, image_rows - z
                return out, (last_z, last_image)
            last_z, last, z, now = z, now, out, following
            spare = last_image if former else None
            last_image, before = image_rows, after or image
        return None, (last_z, last_image)

    def learn(self, memory: Memory, z: Tensor, image: Tensor) -> Tensor:
        """Take the step that was judged into a memory, and return what the method proposes; held rows stay.

        Args:
            memory: of the method.
            z, image: the step before, z and f(z).
        """
        state = self.state
        assert state.image is not None
        self._tell(memory)
        self.flags[self.kernels.HELD] = False if state.held is None else state.held.numpy()
        # Rows that a kernel had come to before it met something rare have taken the step.
        started = [0] * self.parts if self.left is None else self.ends[self.kernels.ROW :].astype(int).tolist()
        out = torch.empty_like(z) if self.left is None else self.left
        # The first step is a plain one.
        self.taken[:] = (state.z == (image if self.proposal is None else self.proposal)).all(dim=1).numpy()
        self.left, self.proposal, memory.astray = None, out, not self.taken.all()
        if memory.share(self.where):
            self._make_room()
        points = [*(t.data_ptr() for t in (state.z, state.image, out, z, image)), 0]
        for part, first in enumerate(started):
            getattr(self.kernels, memory.kernel)(self.like, self.where, *points, False, first, part, self.parts)
        memory.steps += 1
        return out

    def _make_room(self) -> None:
        """Have room to work in, for each part, for as many slots as the memory has by now."""
        needed = self.parts * (3 * int(self.where[self.kernels.SLOTS]) + 5 * int(self.where[self.kernels.WIDTH]))
        if needed > self.needed:
            self.needed, self.scratch = needed, np.empty(needed + LINE // self.like.itemsize, self.like.dtype)
            self.where[self.kernels.SCRATCH] = -(-address(self.scratch) // LINE) * LINE

    def _run(self, name: str, arguments: tuple[Any, ...], told: tuple[bool, bool], alive: tuple[Any, ...]) -> int:
        """What a kernel finds of a step in several threads, for a large state.

        Args:
            name, arguments: of the kernel, and what it is called with, but for the part.
            told: whether the step was plain, and whether it is guarded.
            alive: whose addresses are among the arguments; another thread keeps them, whatever interrupts this one.
        """
        like, where, parts, kernels = self.like, self.where, self.parts, self.kernels
        # All rows of a part have taken the step where nothing says another.
        self.ends[kernels.ROW :] = self.after
        if self.team:
            if self.call is None:
                run = kernels.of_a_team(name, like.itemsize)
                self.call = functools.partial(_parallel(), run.address, address(where), self.threads, 0)
            where[kernels.NEXT_PART] = 0
            where[kernels.ARGUMENTS : kernels.ARGUMENTS + len(arguments)] = arguments
            self.call()
            found = where[kernels.FOUND :].tolist()
        else:
            kernel = kernels.entry(name, like.itemsize)
            other = _second().submit(_call, (self, *alive), kernel, like, where, *arguments, 1, parts)
            found = [kernel(like, where, *arguments, 0, parts), other.result()]
        return int(kernels.RARE if kernels.RARE in found else kernels.commit(like, where, *told))

    # Evaluations ----------------------------------------------------------------------------------------------------

    def _evaluate(self, rows: Tensor) -> int | None:
        """Where f of rows is; None where it has no numbers of its own, and the state goes on without kernels.

        It may be f's own, for kernels copy what they keep.
        """
        state = self.state
        self.image, self.owned = state.look(rows)
        state.count += 1
        try:
            return self.image.data_ptr()
        except RuntimeError:
            self._leave()
            state.compiled = None
            return None

    def _keep(self) -> None:
        """Give the state the last image."""
        self.state.see(self.image if self.owned or self.state.done else self.image.clone())

    def _leave(self) -> None:
        """Leave the last evaluation to tensor operations."""
        self._keep()
        self.release()
        self.state.measure()
