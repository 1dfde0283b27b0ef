"""Steps of a fixed-point solve by the kernels of :mod:`ufm.deq._kernels`, as long as nothing happens in them.

What is rare (a row that runs away, an acceleration that is lost, values that are not finite) stays with the tensor
operations: :meth:`CompiledSteps.judge` then changes nothing, and the state is as if there were no kernels.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

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
        self.last: tuple[Tensor, Tensor] = state.best[0], state.best[1]
        #: z and f(z), now and at the last step that was judged here.
        self.now = tuple(t.numpy() for t in self.last)
        self.last_arrays: Sequence[Any] = self.now
        #: Norms of residuals and images as the kernels find them, whoever judges.
        self.norm, self.length = state.z.new_empty(state.judged), state.z.new_empty(state.judged)
        self.sizes = [self.norm.numpy(), self.length.numpy()]
        self.nowhere, self.met = np.zeros(state.judged, bool), np.empty(state.judged, bool)
        self.ends = np.empty(4)
        self.absolute = state.options.stop_mode == "abs"
        self.seen, self.eps = state.seen, torch.finfo(state.seen).eps

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
            self.now = (state.z.numpy(), state.image.numpy())
        except RuntimeError:  # and so may what f returns
            self.release()
            state.compiled = None
            return False
        calm = guard is None or not (guard.any_plain or (guard.orbit is None and state.count > 1))
        if not self.bound:
            self._bind()
        numbers = (
            *(state.tol, SLACK * self._epsilon(), state.quantum, self.floor, RUNAWAY, RECORD),
            1.0 if guard is None else guard.growth,
        )
        judged = self.kernels.judge(
            *self.now, numbers, self.absolute, not state.accelerated, self._held(), self.met, *self.sizes, *self.units,
            *self.best, *self.last_arrays, *self.guarded, guard is not None, calm, state.count == 1, self.ends,
        )  # fmt: skip
        if not judged:
            self.release()
            return False
        self._commit()
        return True

    def _held(self) -> Any:
        held = self.state.held
        return self.nowhere if held is None else held.numpy()

    def _epsilon(self) -> float:
        """That of what f returns."""
        if self.seen != self.state.seen:
            self.seen, self.eps = self.state.seen, torch.finfo(self.state.seen).eps
        return self.eps

    def _bind(self) -> None:
        """Share the numbers by unit with the state; the tensors that others may have kept stay as they are."""
        state, guard = self.state, self.state.guard
        self.bound = True
        state.norm, state.size = self.norm, self.length
        state.fresh, state.residuals = torch.empty_like(self.norm), state.residuals.clone()
        state.largest = state.largest.clone()
        state.idle, state.best_score = state.idle.clone(), state.best_score.clone()
        state.score = state.residuals
        self.is_last = torch.full_like(state.idle, state.best_is_last, dtype=torch.bool)
        self.last = state.best[0], state.best[1]
        self.last_arrays = [t.numpy() for t in self.last]
        self.kept = tuple(torch.empty_like(t) if state.best_is_last else t.clone() for t in self.last)
        shared = (state.fresh, state.residuals, state.largest, state.idle)
        self.units = [t.numpy() for t in shared]
        self.best = [t.numpy() for t in (state.best_score, self.is_last, *self.kept)]
        if guard is None:
            self.guarded = [self.units[0], self.units[3], self.units[3]]
        else:
            guard.least, guard.stale, guard.limit = guard.least.clone(), guard.stale.clone(), guard.limit.clone()
            self.guarded = [t.numpy() for t in (guard.least, guard.stale, guard.limit)]

    def _commit(self) -> None:
        """What the state is told of the step by the way."""
        state = self.state
        assert state.image is not None
        most, least_size, number, all_better = self.ends.tolist()
        state.event = False
        self.last, self.last_arrays, state.best_is_last = (state.z, state.image), self.now, bool(all_better)
        if state.count == 1:
            largest = self.units[2]
            state.begin(largest.max().item(), largest.min().item())
        state.take_in(most, least_size)
        if number != state.num_held:
            state.hold(torch.from_numpy(self.met.copy()), int(number))

    def release(self) -> None:
        """Give the state its best iterates; it may then go on without kernels, and with them again."""
        if not self.bound:
            return
        self.bound = False
        state, is_last = self.state, self.is_last[:, None]
        state.best_is_last = bool(self.is_last.all())
        best = zip(self.last, self.kept, strict=True)
        state.best = self.last if state.best_is_last else tuple(torch.where(is_last, a, b) for a, b in best)

    # Accelerations --------------------------------------------------------------------------------------------------

    def accelerate(self, kernel: str, dependent: float, former: tuple[Tensor, Tensor], *memory: Any) -> Tensor:
        """Take the step that was judged into a memory, and return what the method proposes; held rows stay.

        Args:
            kernel: ``"anderson"`` or ``"broyden"``.
            dependent: part of a difference's length below which it is left out.
            former: f(z) or z, and the residual, of the step before.
            memory: arrays and numbers of the method.
        """
        state = self.state
        assert state.image is not None
        proposal, residual = torch.empty_like(state.z), torch.empty_like(state.z)
        numbers = (ROUNDING * self._epsilon(), dependent, self.floor)
        arrays = [t.numpy() for t in (residual, proposal, *former)]
        getattr(self.kernels, kernel)(*self.now, *arrays, self._held(), *self.sizes, *memory, numbers)
        state.residual = residual
        return proposal
