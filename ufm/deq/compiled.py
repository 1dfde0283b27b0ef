"""Steps of a fixed-point solve by the kernels of :mod:`ufm.deq._kernels`, as long as nothing happens in them.

What is rare (a row that runs away, an acceleration that is lost, values that are not finite) stays with the tensor
operations: a kernel then changes nothing, and the state is as if there were no kernels.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from ufm._extras import optional
from ufm.deq.iteration import RECORD, ROUNDING, RUNAWAY, SLACK, Iteration, least_norm

with optional("deq"):
    import torch
    from torch import Tensor

__all__ = ["CompiledSteps", "can_compile"]

#: Entries of a state up to which one thread in cache is taken over more than two that tensor operations use.
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


def _load() -> ModuleType:
    return importlib.import_module("ufm.deq._kernels")


class Memory(Protocol):
    """What an acceleration has for its kernels: how many steps it took, and its numbers."""

    steps: int
    #: Name of its kernel.
    kernel: str
    #: Part of a difference's length below which it is left out.
    dependent: float

    def arrays(self) -> tuple[Any, ...]:
        """The numbers, with room for one more step; how many of the slots are used, and the one that is next."""


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
        state.z.numpy()  # it must have numbers of its own
        self.bound, self.floor = False, least_norm(state.z.dtype)
        self.ends, self.numbers = np.empty(4), np.empty(9)
        self.absolute = state.options.stop_mode == "abs"
        #: z and f(z) of the last step that a kernel judged; numbers by unit, and best iterates, that are shared.
        self.last: tuple[Tensor, Tensor] = state.best[0], state.best[1]
        self.units: tuple[Any, ...] = ()
        self.kept_arrays: Any = None

    @staticmethod
    def attach(state: Iteration) -> None:
        """Let the state use kernels where there are any for it.

        Unless they are asked for, not for a large state where torch has more than two threads: a kernel has one.
        """
        rows, asked = state.z, state.options.compiled
        if asked is None and torch.get_num_threads() > 2 and rows.numel() > LARGE:
            return
        usual = state.relative is None and rows.device.type == "cpu" and len(rows) == state.judged and rows.numel() > 0
        if usual and type(rows) is Tensor and can_compile(asked):
            # A tensor may have no numbers of its own: under a transform of torch.func.
            with contextlib.suppress(RuntimeError):
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
        if not self.apply:
            self.release()
            return False
        try:
            z, image = state.z.numpy(), state.image.numpy()
        except RuntimeError:  # what f returns may have no numbers of its own either
            self.release()
            state.compiled = None
            return False
        calm = guard is None or not (guard.any_plain or (guard.orbit is None and state.count > 1))
        if not self.bound:
            self._bind()
        self._tell()
        found = self.kernels.plain(
            *(z, image, np.empty_like(z), self.numbers, *self.units, self.kept_arrays),
            *(self.last[0].numpy(), self.last[1].numpy(), self.absolute, not state.accelerated),
            *(guard is not None, calm, state.count == 1, self.ends),
        )
        if found == self.kernels.RARE:
            self.release()
            return False
        if state.count == 1:
            largest = self.units[0][self.kernels.LARGEST]
            state.begin(float(largest.max()), float(largest.min()))
        self._commit(found)
        self.last = state.z, state.image
        return True

    def _tell(self, dependent: float = 0.0) -> None:
        """Write what the kernels are told."""
        state, guard, eps = self.state, self.state.guard, torch.finfo(self.state.seen).eps
        self.numbers[:] = (
            *(state.tol, SLACK * eps, state.quantum, self.floor, RUNAWAY, RECORD),
            *(1.0 if guard is None else guard.growth, ROUNDING * eps, dependent),
        )

    def _bind(self) -> None:
        """Share the numbers by unit with the state; the tensors that others may have kept stay as they are."""
        state, guard = self.state, self.state.guard
        self.bound = True
        none = state.residuals
        floats = torch.stack(
            (none, none, none, none, state.largest, state.best_score, none if guard is None else guard.least)
        )
        state.norm, state.size, state.fresh, state.residuals, state.largest, state.best_score, least = floats
        longs = torch.stack((state.idle, *((state.idle,) * 2 if guard is None else (guard.stale, guard.limit))))
        state.idle, stale, limit = longs
        if guard is not None:
            guard.least, guard.stale, guard.limit = least, stale, limit
        state.score = state.residuals
        self.flags = torch.zeros(3, state.judged, dtype=torch.bool)
        if state.held is not None:
            self.flags[0] = state.held
        if state.best_is_last:
            self.flags[2] = True
        self.last = (state.best[0], state.best[1])
        self.kept = torch.stack(self.last)
        self.units, self.kept_arrays = (floats.numpy(), longs.numpy(), self.flags.numpy()), self.kept.numpy()

    def _commit(self, found: int) -> None:
        """What the state is told of a step by the way."""
        state = self.state
        most, least_size, number, all_better = self.ends.tolist()
        state.event, state.best_is_last = False, bool(all_better)
        state.take_in(most, least_size)
        if found == self.kernels.MORE:
            state.hold(self.flags[1].clone(), int(number))

    def release(self) -> None:
        """Give the state its best iterates; it may then go on without kernels, and with them again."""
        if not self.bound:
            return
        self.bound = False
        state, is_last = self.state, self.flags[2]
        state.best_is_last = bool(is_last.all())
        best = zip(self.last, self.kept, strict=True)
        state.best = self.last if state.best_is_last else tuple(torch.where(is_last[:, None], a, b) for a, b in best)

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
        now, last = z.numpy(), self.last[0].numpy()
        self._tell()
        while True:
            image, out = self._evaluate(z), torch.empty_like(z)
            if image is None:
                return
            following = out.numpy()
            if state.z is not z:  # rounded
                z, now = state.z, state.z.numpy()
            # Where a row was not held, its image was the next z.
            found = kernels.plain(
                *(now, image, following, self.numbers, *self.units, self.kept_arrays, last, now),
                *(self.absolute, True, False, True, False, self.ends),
            )
            if found == kernels.RARE:
                self._leave()
                return
            self._commit(found)
            self.last = z, out
            if not state.goes_on or state.vanishing is not None:
                self._keep()
                return
            z, last, now = out, now, following

    def accelerate(self, memory: Memory, z: Tensor) -> tuple[Tensor | None, tuple[Tensor, Tensor, Tensor]]:
        """Take accelerated steps, the first to z, until one is left to tensor operations or is the last.

        Args:
            memory: of the method.
            z: what it proposed; held rows stay.

        Returns:
            What the method proposes next, None if it is yet to learn from the last step; and z, f(z) and f(z) - z of
            the step before that one.
        """
        state, rare, last_z = self.state, self.kernels.RARE, self.state.z
        assert state.image is not None
        former = torch.stack((state.image, state.residual))
        kernel, rows, now, last = getattr(self.kernels, memory.kernel), former.numpy(), z.numpy(), last_z.numpy()
        self._tell(memory.dependent)
        image_rows = former[0]
        shared, absolute, ends = (self.numbers, *self.units, self.kept_arrays), self.absolute, self.ends
        while True:
            plain = memory.steps == 0
            state.accelerated = not plain
            image = self._evaluate(z)
            if image is None:
                break
            out = torch.empty_like(z)
            following = out.numpy()
            if state.z is not z:  # rounded
                z, now = state.z, state.z.numpy()
            found = kernel(now, image, following, *shared, last, rows, absolute, plain, False, ends, *memory.arrays())
            if found == rare:
                self._leave()
                break
            self._commit(found)
            if not state.goes_on:
                self.last = z, self.image
                self._keep()
                break
            memory.steps += 1
            self.last = z, image_rows
            if state.vanishing is not None:
                state.image, state.residual = former
                return out, (last_z, former[0], former[1])
            last_z, last, z, now = z, now, out, following
        return None, (last_z, former[0], former[1])

    def learn(self, memory: Memory, z: Tensor, image: Tensor, residual: Tensor) -> Tensor:
        """Take the step that was judged into a memory, and return what the method proposes; held rows stay.

        Args:
            memory: of the method.
            z, image, residual: the step before, z, f(z) and f(z) - z.
        """
        state = self.state
        assert state.image is not None
        self._tell(memory.dependent)
        self.flags[0] = False if state.held is None else state.held
        former, out = torch.stack((image, residual)), torch.empty_like(z)
        getattr(self.kernels, memory.kernel)(
            *(state.z.numpy(), state.image.numpy(), out.numpy(), self.numbers, *self.units, self.kept_arrays),
            *(z.numpy(), former.numpy(), self.absolute, False, True, self.ends, *memory.arrays()),
        )
        memory.steps += 1
        state.residual = former[1]
        return out

    # Evaluations ----------------------------------------------------------------------------------------------------

    def _evaluate(self, rows: Tensor) -> Any:
        """f of rows, as an array; None where it has no numbers of its own, and the state goes on without kernels.

        The array may be f's own, for kernels copy what they keep.
        """
        state = self.state
        state.z = rows
        self.image, self.owned = state.look(rows)
        state.count += 1
        try:
            return self.image.numpy()
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
