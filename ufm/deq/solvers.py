"""Fixed-point solvers ``z = f(z)``: batched, with per-sample stopping.

A solver is a function ``(f, z0, tol, max_steps, relative=None, options=Options()) -> FixedPoint``. Samples run along
the first axis; a sample that has met the tolerance is held while the others go on, so its result does not depend on the
rest of the batch, and looked at again, see :mod:`ufm.deq.iteration`. Below float32 the solver computes in float32 and
rounds only the points at which it evaluates ``f``.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ufm._extras import optional
from ufm._validation import one_of
from ufm.deq.compiled import CompiledSteps, address
from ufm.deq.iteration import (
    FIRST_MEMORY,
    FixedPoint,
    Guard,
    Iteration,
    Map,
    Options,
    Relative,
    check_image,
    check_map,
    describe,
)
from ufm.deq.room import LARGE, room

with optional("deq"):
    import torch
    from torch import Tensor

__all__ = [
    "SOLVERS",
    "FixedPoint",
    "Options",
    "Solver",
    "anderson",
    "broyden",
    "check_image",
    "check_map",
    "describe",
    "fixed_point",
    "get_solver",
    "minimal_tolerance",
]

#: Number of past differences that Anderson mixing uses at first.
MEMORY = 8

#: Where twice as many steps have not been enough, samples of so many numbers at most keep all differences from there
#: on, until they are as many as the numbers. Truncated, the method may be many times slower than plain steps where f is
#: far from normal: a nilpotent map of n numbers takes them n steps.
SHORT = 64

#: Differences that are enough for samples of so many numbers in compiled steps, while residuals fall quickly: in many
#: dimensions the steps are then as many. (Of the terms of Broyden's method each rests on those before.)
ENOUGH, WIDE = 3, 96

#: Number of rank-one terms that Broyden's method keeps; of samples of at most so many numbers twice their number where
#: that is more. That is enough on linear maps (Gay 1979), and each term rests on those before: without the first ones a
#: nilpotent map takes four times the plain steps.
BROYDEN_MEMORY, BROYDEN_SHORT = 64, 256

#: A difference is left out if its part orthogonal to the kept ones, or Broyden's denominator, is below this fraction.
DEPENDENT = 1e-7

#: Broyden's method starts again from a multiple of the identity of at most this part of 1/sqrt(epsilon).
LEAP = 0.01

#: An accelerated iterate is lost when its residual is this many times the least one; on linear maps Broyden's method
#: was seen to need 40.
GROWTH, BROYDEN_GROWTH = 10.0, 100.0

#: An acceleration without a new least residual for this many steps is lost, or twice the memory where that is less. On
#: a linear map whose eigenvalues lie on a circle Broyden's method stands still until it has seen them all.
PATIENCE, BROYDEN_PATIENCE = 16, 32

#: Rows that the memory of Broyden's method has room for at first: as many as most solves take.
ROOM = 16

#: Below this many entries of a sample's memory a product and a sum on the CPU are quicker than a batched product.
FEW = 400

_DEFAULT = Options()


def minimal_tolerance(dtype: torch.dtype) -> float:
    """Return the smallest relative residual that a map evaluated in ``dtype`` resolves: four times its epsilon.

    8.9e-16 in float64, 4.8e-7 in float32, 3.9e-3 in float16, 3.1e-2 in bfloat16. A map of two or three roundings moves
    by that much when its argument moves by nothing; residuals below say more about rounding than about the equilibrium.

    Args:
        dtype: floating point.

    Examples:
        >>> import torch
        >>> minimal_tolerance(torch.float32) == 4 * 2**-23
        True
    """
    return 4 * torch.finfo(dtype).eps


class Solver(Protocol):
    """What the solvers below are."""

    def __call__(
        self,
        f: Map,
        z0: Tensor,
        tol: float,
        max_steps: int,
        relative: Relative | None = None,
        options: Options = _DEFAULT,
        /,
    ) -> FixedPoint:
        """Solve ``z = f(z)``."""


class _Acceleration:
    """Proposes the next iterates; learns from each step, and forgets what it learnt of units that were lost.

    Args:
        state: of the solve.
        memory: past steps that it keeps.
    """

    #: Times the least residual at which it counts as lost.
    growth = GROWTH
    #: Steps without a new least residual after which it does.
    patience = PATIENCE
    #: Part of a difference's length below which it is left out.
    dependent = DEPENDENT
    #: Name of its compiled loop.
    kernel: str
    #: Whether compiled loops are to take in steps that were not those proposed, as where they were rounded.
    astray = False

    def __init__(self, state: Iteration, memory: int) -> None:
        self.state, self.memory, self.steps = state, memory, 0
        #: Slots that the rows use, and which is next, (units, 2), where compiled loops have taken steps.
        self.counts: Any = None
        self.last: tuple[Tensor, Tensor]  # step and change of the residual, where units were lost

    def propose(self) -> Tensor:
        """Next iterates (units, m)."""
        raise NotImplementedError

    def learn(self, z: Tensor, image: Tensor, residual: Tensor | None) -> Tensor | None:
        """Take in the step from the former ``z``, ``f(z)`` and, if it is at hand, ``f(z) - z`` to the state's.

        Where a compiled loop does it, it returns what :meth:`propose` would, held rows apart.
        """
        compiled = self.state.compiled
        if isinstance(compiled, CompiledSteps) and compiled.apply:
            if self.state.event:  # it will be asked for
                self.last = self.state.z - z, self.state.residual - (image - z)
            return compiled.learn(self, z, image)
        if self.counts is not None:
            self.leave_kernels()
            self.counts = None
        self.learn_tensors(z, image, image - z if residual is None else residual)
        return None

    def learn_tensors(self, z: Tensor, image: Tensor, residual: Tensor) -> None:
        """:meth:`learn` by tensor operations."""
        raise NotImplementedError

    def share(self, where: Any) -> bool:
        """Tell a compiled loop where the numbers are, with room for a step; False where that has not changed."""
        raise NotImplementedError

    def leave_kernels(self) -> None:
        """Have for tensor operations what compiled loops have learnt."""
        raise NotImplementedError

    def _empty(self, lost: Tensor) -> None:
        """Have no slots in use of the rows that were lost."""
        if self.counts is not None:
            self.counts[lost.numpy()] = 0

    def forget(self, lost: Tensor) -> None:
        """Empty the memory of units, mask (units,)."""
        raise NotImplementedError


def _solve(kind: type[_Acceleration], memory: int, state: Iteration) -> FixedPoint:
    """Iterate until all samples have met the tolerance: again as one unit where they are found to interact."""
    CompiledSteps.attach(state)
    while True:
        _iterate(kind, memory, state)
        if not state.interacting:
            return state.result()
        state.join()


def _iterate(kind: type[_Acceleration], memory: int, state: Iteration) -> None:
    """Accelerated steps, in the care of a :class:`Guard`."""
    options, width = state.options, max(state.z.shape[1], 1)
    method = kind(state, memory if options.memory is None else options.memory)
    patience = min(2 * method.memory, 2 * width, kind.patience) if options.patience is None else options.patience
    guard = state.guard = Guard(state, patience, kind.growth if options.growth is None else options.growth)
    if state.image is None:
        if state.count >= state.max_steps:  # the result is evaluated anyway
            return
        state.evaluate()
    else:
        guard.look(state.score, state.score <= state.tol)
        guard.commit()
    proposal: Tensor | None = None
    former: tuple[Tensor, Tensor, Tensor | None]
    while state.goes_on:
        assert state.image is not None
        # What a kernel proposes leaves held rows where they are.
        held_stay = proposal is not None
        if proposal is None:
            proposal = method.propose()
        if isinstance(state.compiled, CompiledSteps) and state.compiled.flow and (held_stay or state.held is None):
            proposal, before = state.compiled.accelerate(method, proposal)
            if proposal is not None or before is None:
                continue
            former = (*before, None)
        else:
            if guard.any_plain:
                proposal = torch.where(guard.plain[:, None] > 0, state.image, proposal)
            former = (state.z, state.image, state.residual)
            state.accelerated = method.steps > 0
            state.move(proposal, held_stay and not guard.any_plain)
            state.evaluate()
        if not state.goes_on:
            break
        proposal = method.learn(*former)
        if state.event:
            lost = guard.recover()
            method.forget(lost)
            if proposal is not None:
                proposal = torch.where(lost[:, None], method.propose(), proposal)
            state.probe()


def fixed_point(
    f: Map,
    z0: Tensor,
    tol: float,
    max_steps: int,
    relative: Relative | None = None,
    options: Options = _DEFAULT,
    /,
) -> FixedPoint:
    """Iterate ``z <- f(z)`` (Picard); this converges linearly at rate rho when f is a rho-contraction.

    Examples:
        >>> import torch
        >>> point = fixed_point(lambda z: 0.5 * z + 1, torch.zeros(3, 1), 1e-6, 100)
        >>> bool(point.converged.all()), [round(z, 4) for z in point.z.flatten().tolist()]
        (True, [2.0, 2.0, 2.0])

    Source: Banach 1922.
    """
    state = Iteration(f, z0, tol, max_steps, relative, options)
    CompiledSteps.attach(state)
    state.evaluate()
    while not state.done and state.count < max_steps:
        if isinstance(state.compiled, CompiledSteps) and state.compiled.flow:
            state.compiled.plain()
        else:
            if state.image is not None:
                state.move(state.image)
            state.evaluate()
        if state.interacting:
            state.join()
    return state.result()


class _Anderson(_Acceleration):
    """Memory of :func:`anderson`: an orthonormal basis of residual differences, and what they do to f(z)."""

    kernel = "anderson"

    def __init__(self, state: Iteration, memory: int) -> None:
        units, m = state.z.shape
        memory = min(memory, max(m, 1))  # more differences depend linearly
        super().__init__(state, memory)
        own = state.options.memory is None
        self.most = m if own and memory < m <= SHORT else memory
        self.late = 2 * memory  # steps after which the memory grows
        self.left_out = 0  # differences that were overwritten before it did
        self.told = False  # whether compiled loops know where all this is
        self.enough = min(ENOUGH, memory) if m >= WIDE and own else memory
        # Where these are little there are those of late steps, too, so that nothing is copied then.
        later = min(2 * memory, self.most)
        self.capacity = later if 2 * units * later * m * state.z.element_size() < LARGE else memory

    @cached_property
    def numbers(self) -> Tensor:
        """Window and coefficients, in one piece."""
        units, m = self.state.z.shape
        return room(self.state.z, units * self.capacity * (2 * m + 1))

    @cached_property
    def window(self) -> Tensor:
        """Differences of residuals and of f(z), (units, 2, slots, m)."""
        units, m = self.state.z.shape
        return self.numbers[: 2 * units * self.capacity * m].view(units, 2, self.capacity, m)

    @cached_property
    def all_coefficients(self) -> Tensor:
        """Those of the residual in the basis, (units, slots)."""
        units, m = self.state.z.shape
        return self.numbers[2 * units * self.capacity * m :].view(units, self.capacity)

    @cached_property
    def all_residuals(self) -> Tensor:
        """Orthonormal differences of residuals (units, slots, m)."""
        return self.window[:, 0]

    @cached_property
    def all_images(self) -> Tensor:
        """The differences of f(z) that belong to them, (units, slots, m)."""
        return self.window[:, 1]

    @property
    def used(self) -> tuple[Tensor, Tensor, Tensor]:
        """Residuals, images and coefficients of the slots that count."""
        number = min(self.steps - self.left_out, self.memory)
        return self.all_residuals[:, :number], self.all_images[:, :number], self.all_coefficients[:, :number]

    def _grow(self) -> None:
        """Have twice the slots where the next difference would overwrite the oldest one late in a solve."""
        had = self.memory
        if had == self.most or self.steps < self.late or (self.steps - self.left_out) % had:
            return
        if not self.left_out:
            self.left_out = self.steps - had
        self.memory = self.enough = min(2 * had, self.most)
        self.told = False
        if self.capacity < self.memory:
            former = self.window, self.all_coefficients
            for name in ("numbers", "window", "all_coefficients", "all_residuals", "all_images"):
                self.__dict__.pop(name, None)
            self.capacity = self.memory
            self.window[:, :, :had], self.all_coefficients[:, :had] = former
        if self.counts is not None:
            used, slot = self.counts.T
            slot[used == had] = had

    def propose(self) -> Tensor:
        assert self.state.image is not None
        if not self.steps:
            return self.state.image
        _, images, coefficients = self.used
        return _minus(self.state.image, coefficients, images)

    def learn_tensors(self, z: Tensor, image: Tensor, residual: Tensor) -> None:
        self._grow()
        state, number = self.state, self.steps - self.left_out
        slot, new = number % self.memory, number < self.memory
        assert state.image is not None
        residuals, images, coefficients = self.used
        if not new:
            residuals[:, slot].zero_()
            images[:, slot].zero_()
            coefficients[:, slot].zero_()
        q = state.residual - residual
        length = state.lengths(q)
        # Gram-Schmidt, twice: q is then orthogonal to rounding (Kahan). The first inner products are differences of
        # those that the next step needs anyway, and the images follow once.
        now = _rows_times(residuals, state.residual)
        first = now - coefficients
        q = _minus(q, first, residuals)
        second = _rows_times(residuals, q)
        q = _minus(q, second, residuals)
        p = _minus(state.image - image, first + second, images)
        kept = state.lengths(q)
        usable = (kept > self.dependent * length) & state.resolves(length)
        q = state.quotient(q, kept, usable, self.all_residuals[:, slot])
        state.quotient(p, kept, usable, self.all_images[:, slot])
        coefficients.copy_(now)
        self.all_coefficients[:, slot] = torch.linalg.vecdot(q, state.residual)
        self.steps += 1

    def share(self, where: Any) -> bool:
        if self.told and self.steps < self.late:
            return False
        self._grow()
        if self.told:
            return False
        units, m = self.state.z.shape
        if self.counts is None:
            self.counts = np.zeros((units, 2), np.int64)
        self.told, window = True, self.numbers.data_ptr()
        coefficients = window + 2 * units * self.capacity * m * self.numbers.element_size()
        where[FIRST_MEMORY : FIRST_MEMORY + 7] = (
            *(window, coefficients, 0),
            *(address(self.counts), self.memory, self.enough, self.capacity),
        )
        return True

    def leave_kernels(self) -> None:
        # Slots that a row did not use were never written: zeros are its own.
        unused = torch.arange(self.capacity) >= torch.from_numpy(self.counts[:, :1])
        self.window.masked_fill_(unused[:, None, :, None], 0)
        self.all_coefficients.masked_fill_(unused, 0)
        self.told = False

    def forget(self, lost: Tensor) -> None:
        self._empty(lost)
        self.window.masked_fill_(lost[:, None, None, None], 0)
        self.all_coefficients.masked_fill_(lost[:, None], 0)


def anderson(
    f: Map,
    z0: Tensor,
    tol: float,
    max_steps: int,
    relative: Relative | None = None,
    options: Options = _DEFAULT,
    /,
) -> FixedPoint:
    """Solve ``z = f(z)`` by Anderson mixing, type II, with :data:`MEMORY` differences at first, sample by sample.

    With residuals ``g_i = f(z_i) - z_i``, ``z <- sum_i alpha_i f(z_i)`` where alpha minimises ``|sum_i alpha_i g_i|``
    subject to ``sum_i alpha_i = 1``. It is solved in the differences of successive residuals, kept orthonormal by
    Gram-Schmidt with the differences of f(z) carried along; a new pair replaces the oldest. On a linear map this is
    GCR, truncated as in ORTHOMIN; where it takes long, samples of at most :data:`SHORT` numbers keep all pairs from
    then on. A difference that depends linearly on the kept ones is left out, so a singular system (repeated residuals)
    is no special case. A sample that goes astray is sent back, see :class:`ufm.deq.iteration.Guard`.

    Examples:
        >>> import torch
        >>> start = torch.ones(1, 1, dtype=torch.float64)
        >>> mixed, plain = (solve(torch.cos, start, 1e-8, 100) for solve in (anderson, fixed_point))
        >>> f"{float(mixed.z):.6f}", f"{float(plain.z):.6f}", bool(2 * mixed.steps < plain.steps)
        ('0.739085', '0.739085', True)

    Source: Anderson 1965; Walker and Ni 2011; Eisenstat, Elman, Schultz 1983 (ORTHOMIN).
    """
    return _solve(_Anderson, MEMORY, Iteration(f, z0, tol, max_steps, relative, options))


def _rows_times(rows: Tensor, x: Tensor) -> Tensor:
    """Inner products (b, m) of the rows (b, m, n) with x (b, n)."""
    return (x[:, None, :] @ rows.mT)[:, 0]


def _minus(x: Tensor, coefficients: Tensor, rows: Tensor) -> Tensor:
    """``x - sum_j coefficients_j rows_j``, shapes (b, n), (b, m), (b, m, n) -> (b, n)."""
    if rows[0:1].numel() < FEW and x.device.type == "cpu":
        return x - (coefficients[:, :, None] * rows).sum(dim=1)
    return torch.baddbmm(x[:, None], coefficients[:, None], rows, alpha=-1)[:, 0]


class _Broyden(_Acceleration):
    """Memory of :func:`broyden`: the inverse Jacobian ``H = -gamma prod_j (I + w_j e_j^T)``, the newest factor first.

    After a step s that changes the residual g by y the new factor has ``e = s/|s|`` and ``w = (s - H y)/<e, H y>``,
    which is Broyden's ``H + (s - H y) s^T H/<s, H y>``. A product with H takes those of x with all e_j at once,
    ``c_j = <e_j, x> + sum_{i<j} <e_j, w_i> c_i``, and is ``-gamma (x + sum_j c_j w_j)``. Compiled loops take the
    factors one by one, and keep one row for most of them, see :func:`ufm.deq._kernels.broyden`.

    gamma is 1 until a unit is lost, and then ``-<s, y>/|y|^2`` of its last step s and change of the residual y, as in
    the method of Barzilai and Borwein: where f contracts slowly in all directions the updates of -I are rounding.
    """

    growth = BROYDEN_GROWTH
    patience = BROYDEN_PATIENCE
    kernel = "broyden"

    def __init__(self, state: Iteration, memory: int) -> None:
        m = state.z.shape[1]
        if state.options.memory is None and m <= BROYDEN_SHORT:
            memory = max(memory, 2 * m)
        super().__init__(state, memory)
        self.scaled = False
        self.number = 0  # of factors that tensor operations have
        self.step: Tensor | None = None  # the next one, as they found it
        #: Slots of compiled loops, by blocks: e_j, those w_j that have a row, ratios; and lengths of the last steps.
        self.blocks: list[tuple[Tensor, Tensor | None, Any]] = []
        self.addresses: Any = None
        self.lengths: Any = None
        self.apart = False  # whether there are such w_j
        self.until = 0  # steps up to which they need no more, and know where all this is

    @property
    def capacity(self) -> int:
        """Slots of compiled loops at most: one for each term and one for the last step."""
        return min(self.memory, self.state.max_steps) + 1

    @cached_property
    def gamma(self) -> Tensor:
        """Of all units, (units, 1)."""
        return self.state.z.new_ones(self.state.z.shape[0], 1)

    @cached_property
    def all_directions(self) -> Tensor:
        """e_j of tensor operations, (units, slots, m)."""
        return self.state.z.new_empty(len(self.gamma), 0, self.state.z.shape[1])

    @cached_property
    def all_images(self) -> Tensor:
        """w_j, (units, slots, m)."""
        return self.state.z.new_empty(len(self.gamma), 0, self.state.z.shape[1])

    @cached_property
    def all_products(self) -> Tensor:
        """<e_j, w_i> for i < j, (units, slots, slots)."""
        return self.state.z.new_empty(len(self.gamma), 0, 0)

    def propose(self) -> Tensor:
        if self.step is not None:
            return self.state.z + self.step
        return self.state.z + self.gamma * self.state.residual if self.scaled else self.state.image_rows

    def learn_tensors(self, z: Tensor, image: Tensor, residual: Tensor) -> None:
        state, step, change = self.state, self.state.z - z, self.state.residual - residual
        self.last = step, change
        self._make_room()
        n = self.number
        directions, images, products = self.all_directions[:, :n], self.all_images[:, :n], self.all_products[:, :n, :n]
        length = state.lengths(step)
        e = state.quotient(step, length, length > 0, self.all_directions[:, n])
        pair = torch.stack((state.residual, change), dim=1)
        if n:
            along = (pair @ directions.mT).mT
            along = torch.linalg.solve_triangular(-products, along, upper=False, unitriangular=True)
            pair = torch.baddbmm(pair, along.mT, images)
        # In units of |s|.
        moved = -self.gamma * (pair[:, 1] / length.masked_fill(length == 0, torch.inf))
        denominator = torch.linalg.vecdot(e, moved)[:, None]
        # No update where the secant condition is degenerate: held samples, repetitions, overflow.
        usable = (denominator.abs() > self.dependent * state.lengths(moved)) & state.resolves(state.lengths(change))
        w = state.quotient(e - moved, denominator, usable, self.all_images[:, n])
        self.all_products[:, n, :n] = _rows_times(images, e)
        self.step = self.gamma * (pair[:, 0] + torch.linalg.vecdot(e, pair[:, 0])[:, None] * w)
        self.number += 1
        self.steps += 1

    def _make_room(self) -> None:
        """Have room for a factor more: twice the slots where they are full, or the oldest one's."""
        n, units = self.number, len(self.gamma)
        slots, m = self.all_directions.shape[1:]
        if n == self.memory:
            for rows in (self.all_directions, self.all_images):
                rows[:, : n - 1] = rows[:, 1:n].clone()
            self.all_products[:, : n - 1, : n - 1] = self.all_products[:, 1:n, 1:n].clone()
            self.number -= 1
        elif n == slots:
            more = min(max(2 * slots, ROOM), self.memory)
            for name, width in (("all_directions", m), ("all_images", m), ("all_products", more)):
                old = getattr(self, name)
                new = room(old, units, more, width)
                new[:, :n, : old.shape[2]] = old
                setattr(self, name, new)

    def share(self, where: Any) -> bool:
        if self.steps < self.until and (self.apart or not self.astray):
            return False
        (units, m), taken = self.state.z.shape, 0
        if self.counts is None:
            self.counts, self.lengths = np.zeros((units, 2), np.int64), np.empty(units)
        else:
            taken = int(self.counts[:, 1].max())
        capacity = self.capacity
        some, needed = min(ROOM, capacity), min(taken + 2, capacity)
        while some * len(self.blocks) < needed:
            self.blocks.append((room(self.state.z, units, some, m), None, np.empty((units, some))))
        self.apart = self.apart or self.astray or self.steps >= self.memory
        if self.apart:
            self.blocks = [(d, room(d, *d.shape) if w is None else w, ratios) for d, w, ratios in self.blocks]
        self.addresses = np.array(
            [(d.data_ptr(), 0 if w is None else w.data_ptr(), address(ratios)) for d, w, ratios in self.blocks],
            np.int64,
        )
        where[FIRST_MEMORY : FIRST_MEMORY + 7] = (
            *(address(self.addresses), address(self.lengths), self.gamma.data_ptr() if self.scaled else 0),
            *(address(self.counts), capacity, some, len(self.blocks)),
        )
        # A step takes one slot more, and at the end the oldest one's; what was proposed with that is none of H.
        left = some * len(self.blocks) - needed
        self.until = self.steps + 1 + left if needed + left < capacity else self.state.max_steps + 1
        if not self.apart:
            self.until = min(self.until, self.memory)
        return True

    def leave_kernels(self) -> None:
        all_directions, all_images, ratios = zip(*self.blocks, strict=True)
        directions = torch.cat(all_directions, dim=1)
        images = directions if all_images[0] is None else torch.cat(all_images, dim=1)
        used, slot = torch.from_numpy(self.counts[:, :1]), torch.from_numpy(self.counts[:, 1:])
        n = max(int(used.max()) - 1, 0)
        # From the oldest on; what a row has fewer of than others is 0.
        order = (slot - used + torch.arange(n + 1)) % self.capacity
        order = torch.where(torch.arange(n + 1) < used, order, 0)
        e = directions.take_along_dim(order[:, :, None], dim=1)
        ratio = torch.from_numpy(np.concatenate(ratios, axis=1)).take_along_dim(order[:, :n], dim=1)[:, :, None].to(e)
        w = torch.where(ratio < 0, images.take_along_dim(order[:, :n, None], dim=1), e[:, 1:]) * ratio.abs()
        missing = (torch.arange(n) >= used - 1)[:, :, None]
        self.all_directions, self.all_images = e[:, :n].masked_fill(missing, 0), w.masked_fill(missing, 0)
        self.all_products = self.all_directions @ self.all_images.mT
        self.number, self.blocks = n, []

    def forget(self, lost: Tensor) -> None:
        self._empty(lost)
        if self.number:
            for numbers in (self.all_directions, self.all_images, self.all_products):
                numbers.masked_fill_(lost[:, None, None], 0)
        step, change = self.last
        unit = self.state.lengths(change)
        gamma = -torch.linalg.vecdot(step / unit, change / unit)[:, None]
        usable = gamma.isfinite() & (gamma > 0) & self.state.resolves(unit)
        # A longer leap along a singular direction would pass rounding for a fixed point.
        gamma = torch.where(usable, gamma.clamp_max(LEAP / torch.finfo(self.state.seen).eps ** 0.5), 1.0)
        self.gamma = torch.where(lost[:, None], gamma, self.gamma)
        if self.step is not None:
            self.step = torch.where(lost[:, None], self.gamma * self.state.residual, self.step)
        self.scaled, self.until = True, 0


def broyden(
    f: Map,
    z0: Tensor,
    tol: float,
    max_steps: int,
    relative: Relative | None = None,
    options: Options = _DEFAULT,
    /,
) -> FixedPoint:
    """Solve ``z = f(z)`` by the good Broyden method on ``g(z) = f(z) - z`` from ``J_g = -I``, sample by sample.

    The inverse Jacobian is ``-prod_j (I + w_j e_j^T)``, a factor for each of the last steps, :data:`BROYDEN_MEMORY` or,
    of samples of n <= :data:`BROYDEN_SHORT` numbers, 2 n if that is more: a linear map takes no more (Gay 1979).
    Without its oldest factor a product is another matrix than the sum ``-I + sum_i u_i v_i^T`` without its oldest term.
    Shifts of 30 to 200 numbers took 98 to 264 steps with 8 factors and 213 to 442 with 8 terms; with 3 of either now
    the one took fewer, now the other. A sample that goes astray is sent back, see :class:`ufm.deq.iteration.Guard`.

    Examples:
        >>> import torch
        >>> start = torch.zeros(1, 1)
        >>> def expanding(z):  # plain iteration runs away from z = 1
        ...     return 3 - 2 * z
        >>> found, plain = (solve(expanding, start, 1e-6, 30) for solve in (broyden, fixed_point))
        >>> f"{float(found.z):.4f}", bool(found.converged), bool(plain.converged)
        ('1.0000', True, False)

    Source: Broyden 1965; Gay 1979; Kelley 2003, chapter 4 (products); Bai, Kolter, Koltun 2019, section 3.1.3.
    """
    return _solve(_Broyden, BROYDEN_MEMORY, Iteration(f, z0, tol, max_steps, relative, options))


_SOLVERS: dict[str, Solver] = {"fixed_point": fixed_point, "anderson": anderson, "broyden": broyden}

#: Names accepted by :func:`get_solver`.
SOLVERS = tuple(_SOLVERS)


def get_solver(name: str) -> Solver:
    """Return the solver called ``name``, one of :data:`SOLVERS`.

    Raises:
        ValueError: there is none of this name.

    Examples:
        >>> get_solver("anderson") is anderson
        True
    """
    return _SOLVERS[one_of("solver", name, SOLVERS)]
