"""The state of a fixed-point solve: iterates, true residuals, which samples are held, what goes astray.

Samples run along the first axis. A sample that has met the tolerance is held where it is while the others go on, and
looked at again at every evaluation. If its residual then exceeds the tolerance, the samples depend on each other: the
whole state goes on as one, held nowhere. Whatever is returned, the last evaluation of ``f`` was at it.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import Any, Protocol

from ufm._extras import optional

with optional("deq"):
    import torch
    from torch import Tensor

__all__ = [
    "SAMPLES",
    "STOP_MODES",
    "FixedPoint",
    "Guard",
    "Iteration",
    "Map",
    "Options",
    "Relative",
    "check_image",
    "check_map",
    "describe",
    "is_dense",
    "least_norm",
    "norms",
    "power_of_two",
]

Map = Callable[[Tensor], Tensor]

#: Relative residuals (batch,) of the problem itself, from rows z and f(z), where f only serves to solve it.
Relative = Callable[[Tensor, Tensor], Tensor]

#: ``"separate"``: each sample stops by itself; ``"coupled"``: they go on together until each has met the tolerance;
#: ``"joint"``: the whole state is one sample, with one residual.
SAMPLES = ("separate", "coupled", "joint")

#: ``"rel"``: ``|f(z) - z| / |f(z)|``; ``"abs"``: ``|f(z) - z|``.
STOP_MODES = ("rel", "abs")

#: A difference of residuals is rounding when it is below this many times the epsilon of f, relative to f(z).
ROUNDING = 2.0

#: A sample has run away when |f(z)| is this many times what it was at the start and the large residuals since,
RUNAWAY = 100.0

#: unless its residual, and the rounding of f(z), are below this part of what the residual was along the way from the
#: start; where f(z) = z to the last bit, below this part.
FALLEN, FALLEN_EXACTLY = 0.01, 0.25

#: A held sample's residual may exceed the tolerance by this many epsilons of f, as sums in another order do.
SLACK = 8.0

#: Two evaluations of f at the same point differ by as many epsilons at most where samples do not depend on each other.
PROBE = 64.0

#: A sample at its best iterate again has made no headway when its residual is above this part of the one before.
HEADWAY = 0.25

#: A residual is a new least one when it is below this part of the former: less is no progress worth waiting for.
RECORD = 0.99

#: Where the addresses of a method's memory begin among those that a kernel is given.
FIRST_MEMORY = 9

#: Devices whose numbers are read at no cost. Of others the host waits for all that was asked before.
AT_HAND = ("cpu",)

#: Part of the steps to the tolerance, at the pace so far, after which they are looked at again, and how many at most:
#: a solve that is over before has been evaluated that much too often.
UNREAD, MOST_UNREAD = 0.7, 3

#: By how much residuals are expected to fall in a step, before it is known, and at least.
FAST, SLOW = 0.2, 0.999

#: Numbers of an image from which on a copy takes longer than to see whether anybody else has it.
OWNED = 2**13

#: The dtypes that solvers compute in.
_WIDE = (torch.float32, torch.float64)

#: Plain steps after the first failure of an acceleration; each failure doubles them.
PLAIN_STEPS = 8


@dataclass(frozen=True)
class Options:
    """How a solver goes about it, beside tolerance and largest number of steps.

    Attributes:
        memory: number of past differences that Anderson mixing, or rank-one terms that Broyden's method keeps; None:
            the solver's own.
        patience: steps without a new least residual after which an acceleration counts as lost; None: the solver's
            own.
        growth: times the least residual at which an acceleration counts as lost; None: the solver's own.
        stop_mode: ``"rel"`` or ``"abs"``, see :data:`STOP_MODES`.
        samples: ``"separate"``, ``"coupled"`` or ``"joint"``, see :data:`SAMPLES`.
        compact: whether f is evaluated at the samples that are not held alone. None: where f says that it can be (it
            has a method ``of_rows``).
        trace: whether the residuals of all steps are kept.
        states: evaluations after which iterates are kept, increasing.
        compiled: whether steps on a CPU are taken by compiled loops, see :mod:`ufm.deq.compiled`. None: where Numba is
            installed.
    """

    memory: int | None = None
    patience: int | None = None
    growth: float | None = None
    stop_mode: str = "rel"
    samples: str = "separate"
    compact: bool | None = None
    trace: bool = False
    states: tuple[int, ...] = ()
    compiled: bool | None = None


@dataclass
class FixedPoint:
    """Result of a solver.

    Attributes:
        z: the iterate at which all samples met the tolerance, else every sample's best; shape and dtype of ``z0``.
        residuals: ``|f(z) - z| / |f(z)|`` at the returned ``z``, shape (batch,); 0 where ``f(z) = z``. Of a sample that
            has run away, see :class:`Iteration`, more.
        steps: evaluations of ``f`` until the sample stopped, shape (batch,), integer.
        converged: residual finite and at most the tolerance, shape (batch,).
        dtype: in which ``f`` returned its values.
        joint: whether the samples were taken as one, asked for or because they depend on each other.
        trace: residuals at every evaluation, shape (evaluations, batch), or None.
        states: iterates after the evaluations asked for, at most as many; those that were not reached are ``z``.
        done: whether all samples are known to have converged, which is then not to be read from ``converged``.
    """

    z: Tensor
    residuals: Tensor
    steps: Tensor
    converged: Tensor
    dtype: torch.dtype
    joint: bool = False
    trace: Tensor | None = None
    states: tuple[Tensor, ...] = ()
    done: bool = False


def norms(x: Tensor, careful: bool = True) -> Tensor:
    """Return the Euclidean norms (b,) of rows (b, n); if careful, without underflow or overflow of the squares.

    Examples:
        >>> import torch
        >>> rows = torch.tensor([[3e30, 4e30], [3e-30, 4e-30]])
        >>> [f"{float(norm):.1e}" for norm in norms(rows)]  # float32 ends at 3e38, below the squares
        ['5.0e+30', '5.0e-30']
    """
    norm = torch.linalg.vector_norm(x, dim=1)
    if not careful or (x.is_cpu and norm.numel() and _is_safe(norm)):
        return norm
    # By row: what one sample needs changes no bit of another's.
    scale = power_of_two(torch.linalg.vector_norm(x, ord=torch.inf, dim=1))
    scaled = torch.linalg.vector_norm(x / scale[:, None], dim=1) * scale
    return torch.where((norm > least_norm(norm.dtype)) & (norm < torch.inf), norm, scaled)


def _is_safe(norm: Tensor) -> bool:
    """Whether no norm (b,) has lost squares of its entries; it is read on the host, which on a CPU costs nothing."""
    low, high = torch.aminmax(norm)
    return float(low) > least_norm(norm.dtype) and float(high) < math.inf


def _references() -> tuple[int, int]:
    """What Python counts of a tensor that one variable has, and of its storage, which torch has too."""
    image = torch.empty(1)
    storage = image.untyped_storage()
    return sys.getrefcount(image), sys.getrefcount(storage)


#: References to an image that nobody else has, and to its storage.
ALONE, STORAGE_ALONE = _references()


def _is_nobody_elses(references: int, image: Tensor) -> bool:
    """Whether a caller who had so many references to a tensor is the only one who has its numbers.

    There may be no other reference, of C++ neither, which torch counts among Python's, nor a weak one, nor another
    tensor with the storage, which nobody else may have either; nor may the memory be an array's, for a storage cannot
    be resized then.
    """
    storage = image.untyped_storage()
    return (
        references <= ALONE
        and torch._C._storage_Use_Count(storage._cdata) <= 2  # with the one that was asked for here
        and sys.getrefcount(storage) <= STORAGE_ALONE
        and not (weakref.getweakrefcount(image) or weakref.getweakrefcount(storage))
        and storage.resizable()
    )


def power_of_two(x: Tensor) -> Tensor:
    """Return the largest power of two at most x > 0, entry by entry; 1 where x is 0 or not finite.

    Products and quotients with a power of two do not round.

    Examples:
        >>> import torch
        >>> power_of_two(torch.tensor([0.3, 1.0, 5.0, 0.0])).tolist()
        [0.25, 1.0, 4.0, 1.0]
    """
    exponent = (torch.frexp(x)[1] - 1).to(x.dtype)
    least = math.log2(torch.finfo(x.dtype).tiny)
    return torch.where((x > 0) & x.isfinite(), torch.exp2(exponent.clamp_min(least)), 1.0)


@cache
def least_norm(dtype: torch.dtype) -> float:
    """Return the norm above which nothing is lost when squares of entries below its epsilon underflow.

    Examples:
        >>> import torch
        >>> f"{least_norm(torch.float32):.1e}"
        '9.1e-13'
    """
    info = torch.finfo(dtype)
    return float(info.tiny**0.5 / info.eps)


@lru_cache(64)
def _quantum(dtype: torch.dtype, numbers: int) -> float:
    """The length of a row of so many numbers that are a few of the least ones of a dtype."""
    info = torch.finfo(dtype)
    return float(SLACK * info.tiny * info.eps * max(numbers, 1) ** 0.5)


@lru_cache(64)
def _rounded(number: float, dtype: torch.dtype) -> float:
    """A number as a dtype has it."""
    return float(torch.tensor(number, dtype=dtype))


def _copied(rows: Tensor, dtype: torch.dtype) -> Tensor:
    """A contiguous copy of a dtype."""
    if rows.dtype is dtype and rows.is_contiguous() and not rows.is_neg():  # the same, sooner
        return rows.clone()
    return rows.to(dtype, copy=True, memory_format=torch.contiguous_format)


class Kernels(Protocol):
    """What a state asks of compiled loops, see :mod:`ufm.deq.compiled`."""

    def judge(self) -> bool:
        """Take in an evaluation, or return False and change nothing."""

    def release(self) -> None:
        """Give the state its best iterates."""

    def found(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Residuals, steps and what has converged, where that is all that there is to be said."""


class Iteration:
    """Iterates as (units, m) rows, where a unit is a sample or, in a joint solve, the whole state.

    Where there is no fixed point iterates run away, as of ``f(z) = z + b``, and a residual that stays what it was
    becomes small beside them. So let m be the largest of ``|z_0|``, ``|f(z_0)|`` and the residuals ``|f(z_k) - z_k|``
    of plain steps above ``|f(z_k)|/100``. Farther than 100 m a residual is believed if it has fallen: if it, and the
    rounding of f(z), are below a hundredth of ``d^T (f(z_0) - z_0)``, d the direction from z_0 to z, along which the
    residual of a map without a fixed point stays. Otherwise it counts relative to 100 m, and as no smaller than the
    rounding of f(z).

    Args:
        f: the map.
        z0: start, shape (batch, ...).
        tol: tolerance of the residuals.
        max_steps: largest number of evaluations.
        relative: residuals of the problem itself, or None.
        options: see :class:`Options`.

    Examples:
        Picard's iteration, step by step:

        >>> import torch
        >>> state = Iteration(lambda z: 0.5 * z + 1, torch.zeros(3, 1), 1e-6, 100, None, Options())
        >>> state.evaluate()
        >>> while state.goes_on:
        ...     state.move(state.image)
        ...     state.evaluate()
        >>> point = state.result()
        >>> bool(point.converged.all()), [round(z, 4) for z in point.z.flatten().tolist()]
        (True, [2.0, 2.0, 2.0])
    """

    def __init__(
        self, f: Map, z0: Tensor, tol: float, max_steps: int, relative: Relative | None, options: Options
    ) -> None:
        self.f, self.shape, self.dtype, self.relative, self.options = f, z0.shape, z0.dtype, relative, options
        self.max_steps, self.batch = max_steps, z0.shape[0]
        rows = z0 if z0.ndim == 2 else z0.reshape(self.batch, z0.shape[1:].numel())
        wide = z0.dtype if z0.dtype in _WIDE else torch.promote_types(z0.dtype, torch.float32)
        self.z = _copied(rows, wide)
        self.image: Tensor | None = None
        self.seen = z0.dtype
        #: As the comparison with residuals rounds it: that of their least must not differ.
        self.tol = float(tol) if wide is torch.float64 else _rounded(float(tol), wide)
        self.count, self.extreme, self.interacting = 0, False, False
        self.whole_score: float = math.inf
        self.finite = self.calm = False  # whether residuals and images are of moderate size, and above the tolerance
        self.largest_of_all, self.least_largest = math.inf, 0.0
        #: Rows of the residuals: the samples, or the whole state.
        self.judged = min(self.batch, 1) if options.samples == "joint" else self.batch
        self.joint = options.samples != "separate"
        if self.joint:
            self.z = self.z.reshape(min(self.batch, 1), rows.numel() if self.batch else rows.shape[1])
        self.start = self._by_sample(self.z)
        self.first: Tensor | None = None  # residual at the start, or z and f(z) there
        self._begun: tuple[Tensor, Tensor] | None = None
        self.held: Tensor | None = None
        self.num_held = 0
        self.quantum = _quantum(wide, self.z.numel() // max(self.judged, 1))
        self.guard: Guard | None = None
        self.event = self.accelerated = self.probed = False
        self.vanishing: Tensor | None = None  # samples that shrink towards 0, until they have been moved there
        self.writes: bool | None = None  # whether f writes into its argument
        self.fresh_images = getattr(f, "fresh", False)  # whether they are nobody else's
        self.large = self.z.numel() >= OWNED
        self.flat = self.shape == self.z.shape
        self.compact = _Compaction(f, options.compact) if self._may_compact() else None
        self.best: tuple[Tensor, ...]
        self.trace: list[Tensor] = []
        self.states: list[Tensor] = []
        self._residual: Tensor | None = None
        self._forget_best()
        #: Kernels that do what follows an evaluation where nothing happens, and whether they did at the last one.
        self.compiled: Kernels | None = None
        self.swift = False
        #: Evaluation before which the host looks at none, what it saw last, and units that stay until it does.
        self.due, self.pace, self.rate = 0, (0, 1.0), FAST
        self.stopped: Tensor | None = None

    # Made when it is first asked for: compiled steps have their own numbers by sample -------------------------------

    @cached_property
    def at_hand(self) -> bool:
        """Whether numbers are read at no cost."""
        return self.z.device.type in AT_HAND

    @cached_property
    def residuals(self) -> Tensor:
        """Of the last evaluation, shape (judged,)."""
        return torch.full((self.judged,), torch.inf, dtype=self.z.dtype, device=self.z.device)

    @cached_property
    def norm(self) -> Tensor:
        """``|f(z) - z|``, shape (judged,)."""
        return self.residuals

    @cached_property
    def size(self) -> Tensor:
        """``|f(z)|``, shape (judged,)."""
        return self.residuals

    @cached_property
    def largest(self) -> Tensor:
        """What residuals are relative to of samples that have run away, shape (judged,)."""
        return torch.zeros(self.judged, dtype=self.z.dtype, device=self.z.device)

    @cached_property
    def best_score(self) -> Tensor:
        """Least residuals, shape (units,)."""
        return torch.full((self.z.shape[0],), torch.inf, dtype=self.z.dtype, device=self.z.device)

    @cached_property
    def idle(self) -> Tensor:
        """Evaluations at which a sample was held, shape (judged,)."""
        return torch.zeros(self.judged, dtype=torch.long, device=self.z.device)

    @cached_property
    def vanished(self) -> Tensor:
        """Samples that have been moved to 0, shape (judged,)."""
        return torch.zeros(self.judged, dtype=torch.bool, device=self.z.device)

    @cached_property
    def beginning(self) -> Tensor:
        """The larger of ``|z_0|`` and ``|f(z_0)|``, shape (judged,)."""
        return torch.maximum(norms(self.start), norms(self.start + self._first()))

    @cached_property
    def lost(self) -> Tensor:
        """Samples that stay where they are while the others go on as one, shape (judged,)."""
        return torch.zeros(self.judged, dtype=torch.bool, device=self.z.device)

    # Evaluations ----------------------------------------------------------------------------------------------------

    def evaluate(self) -> None:
        """Evaluate f at the iterates; update residuals, hold what has met the tolerance."""
        self._look()
        self.count += 1
        self.swift = self.compiled is not None and self.compiled.judge()
        if not self.swift and self.batch:
            if self.count < min(self.due, self.max_steps) and self._may_wait():
                self._pass()
            else:
                self.measure()

    def measure(self) -> None:
        """Update residuals after an evaluation by tensor operations, and what follows from them."""
        self.swift = False
        if self.stopped is not None:
            self.idle, self.stopped = self.idle + self.stopped, None
        if self._is_uneventful():
            return
        numbers = self._measure()
        if not self.extreme and self._is_extreme(numbers):
            self.extreme = True
            numbers = self._measure()
        self._conclude(numbers)

    def _look(self) -> None:
        """``f(z)`` and ``f(z) - z`` at the current iterates."""
        if self.dtype != self.z.dtype:
            self.z = self.z.to(self.dtype).to(self.z.dtype)
        rows = self.z if self.z.shape[0] == self.batch else self.z.view(self.batch, -1)
        if self.compact is not None and self.held is not None and self.compact.rows is not None:
            part = self._call(self.compact.map, rows[self.compact.rows])
            assert self.image is not None
            image = self.image.view_as(rows).index_copy(0, self.compact.rows, part)
        else:
            image = self._call(self.f, rows)
        self.see(image if image.shape == self.z.shape else image.view(self.z.shape))

    def see(self, image: Tensor) -> None:
        """Take rows (units, m) for ``f(z)``."""
        self.image, self._residual = image, None

    @property
    def residual(self) -> Tensor:
        """``f(z) - z``, rows (units, m)."""
        if self._residual is None:
            assert self.image is not None
            self._residual = self.image - self.z
        return self._residual

    @residual.setter
    def residual(self, rows: Tensor) -> None:
        self._residual = rows

    def smallest(self) -> float:
        """The norm of f(z) below which a sample may be on its way to 0."""
        if self.relative is not None or self.options.stop_mode == "abs":
            return -math.inf
        return self._epsilon / RUNAWAY * self.largest_of_all

    def _watch(self, least: float) -> None:
        """See which samples have shrunk below the epsilon of where they started, given the least norm of f(z).

        Their fixed point is 0 or next to it, where a residual relative to f(z) stays what it is for ever: once in a
        solve a sample is moved to 0, which is a fixed point or a start as good as any.
        """
        if least < self.smallest():
            unit = self._epsilon / RUNAWAY
            small = (self.size < unit * self.beginning) & ~(self.residuals <= self.tol) & ~self.vanished
            if bool(small.any()):
                self.vanishing, self.vanished = small, self.vanished | small

    def look(self, rows: Tensor) -> tuple[Tensor, bool]:
        """``f(z)`` at rows (units, m), and whether it is nobody else's: less to do than :meth:`_look`, where it can be.

        What is another's may change at the next evaluation.
        """
        self.z = rows
        dtype = self.dtype
        if self.writes is not False or rows.dtype is not dtype or self.compact is not None or rows.is_inference():
            self._look()
            return self.image_rows, True
        point = rows if self.flat else rows.view(self.shape)
        version = point._version
        image = self.f(point)
        if (
            type(image) is Tensor
            and image.dtype is dtype
            and not image.is_nested  # these have no shape
            and image.shape == self.shape
            and point._version == version
            and image.is_contiguous()
            and image.is_cpu
            and not image.requires_grad
            and not image.is_neg()
        ):
            self.seen = dtype
            owned = self.fresh_images or (self.large and _is_nobody_elses(sys.getrefcount(image), image))
            return image if self.flat else image.view(rows.shape), owned
        return self._take(self.f, image, point, version, self.z.view(self.batch, -1)).view_as(rows), True

    @property
    def _epsilon(self) -> float:
        """That of what f returns."""
        return torch.finfo(self.seen).eps

    def _call(self, f: Map, rows: Tensor) -> Tensor:
        """f of rows, as rows of the solver's dtype that no one else writes to.

        Captured graphs return the same buffer each time, and some maps write into their argument: both are copied.
        """
        point = rows if rows.dtype == self.dtype else rows.to(self.dtype)
        shape = self._shape_of(rows)
        if point is rows and self.writes is not False:
            point = rows.clone()
        point = point if point.shape == shape else point.view(shape)
        version = None if point.is_inference() else point._version
        image = f(point)
        # The version says nothing of what is written through ``z.data`` or an array: the first copy does.
        if self.writes is None and point.dtype == rows.dtype and not self.fresh_images:
            self.writes = not torch.equal(point if point.shape == rows.shape else point.view(rows.shape), rows)
        return self._take(f, image, point, version, rows)

    def _shape_of(self, rows: Tensor) -> torch.Size:
        """Shape of the state with these samples."""
        return self.shape if rows.shape[0] == self.batch else torch.Size((rows.shape[0], *self.shape[1:]))

    def _take(self, f: Map, image: Any, point: Tensor, version: int | None, rows: Tensor) -> Tensor:
        """What f returned of a point, as rows that no one else writes to; the version is that of the point before."""
        check_image(image, self._shape_of(rows), rows.device)
        written = version is None or point._version != version
        if self.writes is False and written and point.data_ptr() == rows.data_ptr():
            raise RuntimeError("f must not write into its argument at some calls only: give it a copy, or none")
        self.writes = bool(self.writes) or written
        self.seen = image.dtype
        if image.shape != rows.shape:
            image = image.reshape(rows.shape)
        # Nobody else's need no copy.
        if getattr(f, "fresh", False):
            return image.to(rows.dtype, memory_format=torch.contiguous_format)
        return _copied(image, rows.dtype)

    def _is_uneventful(self) -> bool:
        """Whether no sample is near its end; then residuals, and what goes astray, are all that there is to update.

        That takes few of the operations of :meth:`_measure`, whose number is what a solve of a small problem costs.
        """
        guard, usual = self.guard, self.relative is None and self.options.stop_mode == "rel"
        if not usual or self.held is not None or self.extreme or not self.calm:
            return False
        if guard is not None and (guard.any_plain or guard.orbit is None):
            return False
        assert self.image is not None
        norm = norms(self._by_sample(self.residual), careful=False)
        size = norms(self._by_sample(self.image), careful=False)
        fresh = norm / size
        score = fresh if self.z.shape[0] == self.judged else fresh.amax(dim=0, keepdim=True)
        happens = () if guard is None else (guard.look_quickly(score),)
        flags = ((score < self.best_score).all(), *happens)
        ends = [end for x in (fresh, norm, size) for end in torch.aminmax(x)]
        numbers = torch.stack([*ends, *(flag.to(norm.dtype) for flag in flags)]).tolist()
        self.calm = self._is_calm(numbers)
        if not self.calm:
            return False
        self.event = guard is not None and bool(numbers[7])
        if guard is not None:
            if self.event:
                guard.look(score, score <= self.tol)
            guard.commit()
        self.norm, self.size, self.fresh, self.residuals, self.score = norm, size, fresh, fresh, score
        if numbers[3] > self.least_largest:
            self.largest = self._raise()
        self._record()
        self._keep_best(bool(numbers[6]), numbers[1])
        self._watch(numbers[4])
        self._expect(numbers[0], numbers[1])
        return True

    def _may_wait(self) -> bool:
        """Whether the host need not see an evaluation: at the last one that it saw nothing had gone astray."""
        guard = self.guard
        quiet = guard is None or not (guard.any_plain or guard.orbit is None)
        usual = self.relative is None and self.compact is None and self.z.shape[0] == self.judged
        return usual and quiet and self.finite and not self.extreme

    def _pass(self) -> None:
        """Take in an evaluation of which the host sees nothing.

        Units that have met the tolerance or are lost stay where they are until it looks: the residuals that it then
        finds of them are these.
        """
        guard, held = self.guard, self.held
        if self.stopped is not None:
            self.idle = self.idle + self.stopped
        self.norm = norms(self._by_sample(self.residual), careful=False)
        self.size = norms(self._by_sample(self.image_rows), careful=False)
        score = self.norm if self.options.stop_mode == "abs" else self.norm / self.size
        self.fresh = score
        if held is not None:
            self.idle, score = self.idle + held, torch.where(held, score.clamp_max(self.tol), score)
        self.residuals = self.score = score
        stop = ~(score > self.tol)  # NaN too
        if guard is not None:
            guard.look_quickly(score)
            stop = stop | guard.is_astray(score)
            guard.commit()
        if held is not None:
            stop = stop & ~held
        self.stopped = stop if self.stopped is None else self.stopped | stop
        if not self.accelerated:
            self.largest = self._raise()
        self._record()
        better = score < self.best_score
        self.best_score = torch.where(better, score, self.best_score)
        self.best, self.best_is_last = _where(better, (self.z, self.image_rows), self.best), False
        self.event = False

    def _expect(self, least: float, most: float) -> None:
        """See when to look again, given the least and the largest residual: later, while that is far from the end.

        Until then samples that meet it stay where they are, as if they had been seen to.
        """
        before, then = self.pace
        self.pace = self.count, most
        if not self.tol < most < math.inf:
            return
        if 0 < before < self.count and most < then < math.inf:
            self.rate = min((most / then) ** (1 / (self.count - before)), SLOW)
        self.calm = self.calm and least * self.rate > self.tol
        if self.tol > 0 and not self.at_hand:
            steps = UNREAD * (math.log(self.tol) - math.log(most)) / math.log(self.rate)
            self.due = self.count + min(int(steps), MOST_UNREAD)

    @property
    def image_rows(self) -> Tensor:
        """``f(z)``, of an evaluation that has been made."""
        assert self.image is not None
        return self.image

    def _is_calm(self, numbers: list[float]) -> bool:
        """Whether no sample has met the tolerance or a size that its square may not have; NaN is none of these."""
        least = max(least_norm(self.z.dtype), self.quantum)
        return numbers[0] > self.tol and min(numbers[2], numbers[4]) > least and max(numbers[:6]) < math.inf

    def _raise(self) -> Tensor:
        """What residuals are relative to of samples that have run away, with the present residuals."""
        # A small part of a far f(z) says nothing of the problem: it may be rounding. Nor does a wild step.
        telling = (self.norm > self.size / RUNAWAY) & (self._is_plain() | (self.largest == 0))
        return torch.where(telling, self.norm.maximum(self.largest), self.largest)

    def _measure(self) -> Tensor:
        """Residuals, what they mean, and in one tensor of twelve numbers all that is decided on the host."""
        assert self.image is not None
        image, residual = self._by_sample(self.image), self._by_sample(self.residual)
        norm, size = norms(residual, self.extreme), norms(image, self.extreme)
        if self.count == 1:
            self.largest = torch.maximum(norms(self.start, self.extreme), size)
            self.first = residual
        self.norm, self.size = norm, size
        if self.relative is not None:
            rows = (self.z.view(self.batch, -1), self.image.view(self.batch, -1))
            fresh = self.relative(*rows)
        elif self.options.stop_mode == "abs":
            fresh = norm
        else:
            # f(0) = 0 has residual 0; and so have a few of the least numbers that the dtype has.
            # The norm of a finite f(z) may be infinite: then a finite one above it, or z would pass for a fixed point.
            fresh = torch.where(norm <= self.quantum, 0.0, norm / size.clamp_max(torch.finfo(size.dtype).max))
        self.fresh = fresh
        held = self.held
        if held is None:
            broken = torch.zeros_like(fresh, dtype=torch.bool)
            self.residuals = fresh
        else:
            scale = size if self.options.stop_mode == "abs" and self.relative is None else 1.0
            # NaN compares as false: broken.
            broken = held & ~(fresh <= self.tol + SLACK * torch.finfo(self.seen).eps * scale)
            # Samples that depend on each other may be nearer by now.
            self.residuals = torch.where(held & ~broken, fresh.clamp_max(self.tol), fresh)
        met = self.residuals <= self.tol
        if self.relative is None:
            raised = self._raise()
            far = met & (size > RUNAWAY * raised)
            if held is not None:
                far = far & ~held
            self._raised = raised
        else:
            self._raised, far = self.largest, torch.zeros_like(met)
        self._met, self._far = met, far
        if self.z.shape[0] == self.judged:
            score = self.residuals
        else:
            counts = self._without_lost_rows() if self.extreme else self.residuals
            score = counts.amax(dim=0, keepdim=True)
        self.score = score
        self._better = (score < self.best_score) | (score <= self.tol)
        happens = self.guard.look(score, score <= self.tol) if self.guard is not None else self._better.new_zeros(())
        largest = self.largest if self.count == 1 else size
        ends = torch.stack([*torch.aminmax(self.residuals), *torch.aminmax(norm), size.amin(), largest.amax()])
        flags = torch.stack([broken.any(), far.any(), self._better.all(), happens, met.sum()]).to(ends.dtype)
        return torch.cat([ends, flags, largest.amin()[None]])

    def _without_lost_rows(self) -> Tensor:
        """Residuals that count where samples go on as one: without those that the plain iteration has no value of.

        There they stay where they are, so that the others, which may not depend on them, go on. A wild step of an
        acceleration is not such a place.
        """
        image = self._by_sample(self.image_rows)
        lost = ~image.isfinite().all(dim=1) & (self._is_plain() | self.lost)
        if bool(lost.all()):
            return self.residuals
        self.lost = lost
        self.see(torch.where(lost[:, None], self._by_sample(self.z), image).view_as(self.z))
        return torch.where(lost, 0.0, self.residuals)

    def _is_extreme(self, numbers: Tensor) -> bool:
        """Whether squares of residuals or images may have left the range of the dtype."""
        self._numbers = numbers.tolist()
        low, high = self._numbers[2], max(self._numbers[3], self._numbers[5])
        return not (min(low, self._numbers[4]) > least_norm(self.z.dtype) and high < torch.inf)

    def _conclude(self, measured: Tensor) -> None:
        """Act on what was measured."""
        numbers = measured.tolist() if self.extreme else self._numbers
        self.finite = not self.extreme and max(numbers[:6]) < math.inf
        self.calm = self._is_calm(numbers)  # the next is likely to be uneventful
        most = numbers[1]
        broken, far, all_better, happens, number = (int(n) for n in numbers[6:11])
        self.largest = self._raised
        if self.held is not None:
            self.idle += self.held
        if far:
            self._disbelieve()
            number = int(self._met.sum())
        self._record()
        if broken and not self.joint:
            self.interacting = True
            self.held, self.num_held, self.compact = None, 0, None
            return
        self._keep_best(bool(all_better), most)
        if self.count == 1:
            self.largest_of_all, self.least_largest = numbers[5], numbers[11]
        self._watch(numbers[4])
        self._expect(numbers[0], most)
        self.event = bool(happens)
        if self.guard is not None:
            self.guard.commit()
        if self.z.shape[0] != self.judged:
            number = number if number == self.judged else 0
        if number != self.num_held:
            self.hold(self._met, number)

    def begin(self, largest: float, least: float) -> None:
        """What is remembered of the first evaluation, given the ends of the numbers in ``largest``."""
        assert self.image is not None
        self._begun = self.z, self.image
        self.largest_of_all, self.least_largest = largest, least

    def _first(self) -> Tensor:
        """The residual at the start."""
        if self.first is None:
            assert self._begun is not None
            self.first = self._by_sample(self._begun[1] - self._begun[0])
        return self.first

    def hold(self, met: Tensor, number: int) -> None:
        """Hold the samples that have met the tolerance, so many."""
        self.held, self.num_held = met if number else None, number
        if self.compact is not None and 0 < number < self.batch:
            self._restrict()

    def _record(self) -> None:
        """Keep what the caller asked for of this evaluation."""
        if self.options.trace:
            self.trace.append(self.residuals.clone())
        if self.count in self.options.states:
            self.states.append(self.z.to(self.dtype).reshape(self.shape))

    def _disbelieve(self) -> None:
        """Residuals of samples that have run away, relative to where they started."""
        assert self.image is not None
        way = self._by_sample(self.image) - self.start
        direction = way / norms(way)[:, None].clamp_min(torch.finfo(way.dtype).tiny)
        along = torch.linalg.vecdot(direction, self._first()).abs()
        unit = torch.finfo(self.seen).eps / 2
        part = torch.where(self.norm == 0, FALLEN_EXACTLY, FALLEN)
        doubted = self._far & ~(torch.maximum(self.norm, unit * self.size) <= part * along)
        least = torch.maximum(self.norm, 2 * unit * self.size)
        if self.options.stop_mode == "rel":
            least = least / (RUNAWAY * self.largest)
        self.residuals = torch.where(doubted, least, self.residuals)
        self._met = self.residuals <= self.tol
        self.score = self.residuals if self.z.shape[0] == self.judged else self.residuals.amax(dim=0, keepdim=True)

    def _is_plain(self) -> Tensor:
        """Whether a sample's last step was plain, shape (judged,) or a scalar."""
        if not self.accelerated:
            return self.largest.new_ones((), dtype=torch.bool)
        plain = self.largest.new_zeros((), dtype=torch.bool) if self.guard is None else self.guard.plain > 0
        return plain if self.z.shape[0] == self.judged else plain.any()

    def _by_sample(self, rows: Tensor) -> Tensor:
        """Rows (units, m) as those whose residuals are judged: samples, or the whole state."""
        return rows if rows.shape[0] == self.judged else rows.view(self.judged, -1)

    # Samples --------------------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Every sample has met the tolerance."""
        return self.num_held == self.judged or not self.batch

    @property
    def goes_on(self) -> bool:
        """Whether another step is to be taken."""
        return not self.done and not self.interacting and self.count < self.max_steps

    def resolves(self, change: Tensor) -> Tensor:
        """Return whether norms (units, 1) of differences of residuals are more than the rounding of f(z)."""
        size = self.size if self.z.shape[0] == self.judged else norms(self.size[None])
        return change > ROUNDING * torch.finfo(self.seen).eps * size[:, None]

    def lengths(self, rows: Tensor) -> Tensor:
        """Return the Euclidean norms (units, 1) of rows (units, m)."""
        return norms(rows, self.extreme)[:, None]

    def quotient(self, rows: Tensor, by: Tensor | None, usable: Tensor, out: Tensor) -> Tensor:
        """Write ``rows / by`` (units, m) into ``out`` and return it; 0 where not usable, mask (units, 1)."""
        if not self.finite:
            return out.copy_(torch.where(usable, rows if by is None else rows / by, 0.0))
        # The same with a pass over the rows less.
        return out.copy_(rows / torch.where(usable, 1.0 if by is None else by, torch.inf))

    def move(self, z: Tensor, held_stay: bool = False) -> None:
        """Set the iterates of the samples that are not held to the rows z (units, m), in which the others may stay.

        So do those without a finite value: in sums over samples, as in graphs, 0 times NaN is NaN for all.
        """
        if not self.finite:
            z = torch.where(z.isfinite().all(dim=1, keepdim=True), z, self.z)
        held = None if held_stay or z.shape[0] != self.judged else self.held
        if self.stopped is not None:
            held = self.stopped if held is None else held | self.stopped
        self.z = z if held is None else torch.where(held[:, None], self.z, z)
        if self.vanishing is not None:
            self.z = self._by_sample(self.z).masked_fill(self.vanishing[:, None], 0.0).view_as(self.z)
            self.vanishing = None

    def probe(self) -> None:
        """Evaluate f where samples were sent back: if it is not what it was there, they depend on each other.

        Once in a solve is enough; as one unit there is nothing to be told. It counts as no sample's step, for what is
        found of a sample must not depend on the others.
        """
        if self.probed or self.joint or self.batch == 1:
            return
        self.probed = True
        assert self.image is not None
        known, size = self.image, self.size
        self._look()
        slack = PROBE * torch.finfo(self.seen).eps * known.abs().amax(dim=1, keepdim=True)
        # What was not finite says nothing.
        if bool((((self.image - known).abs() > slack) & known.isfinite()).any()):
            self.interacting, self.held, self.num_held, self.compact = True, None, 0, None
            self.fresh = torch.full_like(size, torch.inf)

    def join(self) -> None:
        """Go on with the whole state as one unit, from the best one: its samples depend on each other."""
        self.joint, self.interacting = True, False
        self.largest = self.largest.amax().expand_as(self.largest)
        score = float(self.fresh.amax())
        if score <= self.whole_score:
            assert self.image is not None
            self.z, self.residual, self.image = (t.view(1, -1) for t in (self.z, self.residual, self.image))
            self.residuals, self.score = self.fresh, self.fresh.amax(dim=0, keepdim=True)
            self._forget_best()
            self._keep_best(True, score)
        else:
            self.z, self.image, self.guard = self.whole.view(1, -1), None, None
            self._forget_best()

    def _may_compact(self) -> bool:
        """Whether f is to be evaluated at some samples alone."""
        wanted = self.options.compact
        if wanted is None:
            wanted = hasattr(self.f, "of_rows")
        return bool(wanted) and self.relative is None and not self.joint

    def _restrict(self) -> None:
        """Find the samples that are not held, and the map of these."""
        assert self.compact is not None
        assert self.held is not None
        rows = (~self.held).nonzero()[:, 0]
        if not self.compact.is_worthwhile(len(rows), self.batch):
            return
        if not self.compact.restrict(self, rows):
            self.compact = None

    # The best iterate -----------------------------------------------------------------------------------------------

    def _forget_best(self) -> None:
        self.__dict__.pop("best_score", None)
        self.best = (self.z, self.z)  # z, image
        self.best_is_last, self.whole = True, self.z
        self.whole_score = math.inf

    def _keep_best(self, all_better: bool, most: float) -> None:
        """Keep the iterates with the least residuals, by unit, and the one that is best as a whole."""
        assert self.image is not None
        now = (self.z, self.image)
        if all_better or self.count == 1:
            self.best_score, self.best = torch.where(self.score.isnan(), torch.inf, self.score), now
        else:
            better = (self.score < self.best_score) | (self.score <= self.tol)
            self.best_score = torch.where(better, self.score, self.best_score)
            self.best = _where(better, now, self.best)
        self.best_is_last = all_better
        if most <= self.whole_score:
            self.whole, self.whole_score = self.z, most

    def result(self) -> FixedPoint:
        """Package the state; NaN residuals count as not converged.

        Where samples did not meet the tolerance they return to their best iterates, and f is evaluated there: if their
        residuals are not what they were, the samples depend on each other, and the best state as a whole is returned.
        """
        point = self._result()
        # In a circle of references a solve's memory, many states, would stay until the garbage collector comes.
        self.compiled = self.guard = None
        return point

    def _result(self) -> FixedPoint:
        if self.compiled is not None:
            known = self.compiled.found() if self.compact is None else None
            if known is not None:
                return FixedPoint(self._z(), *known, self.seen, self.joint, None, (), True)
            self.compiled.release()
            self.compiled = None
        if self.image is None and self.batch:
            self._check()
        elif self.batch and not self.done and not self.best_is_last:
            claimed, self.z = self.best_score, self.best[0]
            self._check()
            slack = SLACK * torch.finfo(self.seen).eps
            if len(self.z) > 1 and bool((self.score > 2 * claimed + slack).any()):
                self.z, self.joint = self.whole, True
                self._check()
        elif self.compact is not None and self.num_held:
            self._check()
        elif self.batch and self.done:
            return replace(self._package(), done=True)
        return self._package()

    def _check(self) -> None:
        """Evaluate f at all samples, and believe no residual from before."""
        steps, self.compact, self.held, self.guard = self.count, None, None, None
        self._look()
        self.count += 1
        numbers = self._measure()
        # Once: where a row has no value, its image is what the first look put there.
        if not self.extreme and self._is_extreme(numbers):
            self.extreme = True
            self._measure()
        if bool(self._far.any()):
            self._disbelieve()
        self.count = steps

    def _z(self) -> Tensor:
        """The iterates as f takes them."""
        z = self.z if self.z.dtype == self.dtype else self.z.to(self.dtype)
        return z if z.shape == self.shape else z.reshape(self.shape)

    def _package(self) -> FixedPoint:
        z = self._z()
        residuals, steps = self.residuals, self.count - self.idle
        trace = torch.stack(self.trace) if self.trace else None
        if self.judged != self.batch:
            residuals, steps = residuals.expand(self.batch), steps.expand(self.batch)
            trace = None if trace is None else trace.expand(-1, self.batch)
        states = (*self.states, *(z,) * (len(self.options.states) - len(self.states)))
        return FixedPoint(z, residuals, steps, residuals <= self.tol, self.seen, self.joint, trace, states)


def _where(rows: Tensor, first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The rows of the first tensors where the mask (units,) says so, else of the second."""
    return tuple(torch.where(rows[:, None], a, b) for a, b in zip(first, second, strict=True))


class _Compaction:
    """Evaluations of f at some samples alone, allowed once they have been seen to give the same values."""

    def __init__(self, f: Map, asked: bool | None) -> None:
        self.f, self.asked = f, bool(asked)
        self.rows: Tensor | None = None
        self.map: Map = f
        self.seen_to_agree = False

    def is_worthwhile(self, number: int, batch: int) -> bool:
        """Whether so many samples are few enough: some maps say from which part on, for each restriction costs."""
        now = batch if self.rows is None else len(self.rows)
        return number <= float(getattr(self.f, "worthwhile", 1.0)) * now

    def restrict(self, state: Iteration, rows: Tensor) -> bool:
        """Evaluate f at these samples alone from now on; False where that is another map.

        Raises:
            ValueError: it is another map, though the caller asked for it.
        """
        of_rows = getattr(self.f, "of_rows", None)
        self.rows, self.map = rows, self.f if of_rows is None else of_rows(rows)
        if not self.seen_to_agree:
            self.seen_to_agree = self._agrees(state, rows)
            if not self.seen_to_agree and self.asked:
                raise ValueError(
                    "compact must be False: f of some samples alone is not what it is of these among all "
                    "(wrap a map with inputs of its own in ufm.deq.Batchwise)"
                )
        return self.seen_to_agree

    def _agrees(self, state: Iteration, rows: Tensor) -> bool:
        assert state.image is not None
        try:
            part = state._call(self.map, state.z[rows])
        except (RuntimeError, ValueError, IndexError):  # sizes that do not fit, whoever notices
            return False
        known = state.image[rows]
        slack = PROBE * torch.finfo(state.seen).eps * known.abs().amax(dim=1, keepdim=True)
        # Where both are NaN they agree.
        return bool((((part - known).abs() <= slack) | ~known.isfinite()).all())


class Guard:
    """Sends a unit whose acceleration goes astray back, with an empty memory, and then lets plain steps take over.

    A unit is lost when its residual is ``growth`` times the least since it was last sent back, when that has been the
    least for ``patience`` steps, or when it is not finite. If the least of all has fallen to :data:`HEADWAY` of what it
    was the last time, the unit goes on from its best iterate. Otherwise the acceleration has failed, and plain steps
    follow, twice as many after each failure: from the best iterate, and every second time from where the plain
    iteration from the start had got to. So where that converges the solver does, in a multiple of its steps.

    Args:
        state: of the solve.
        patience: steps without a new least residual, >= 1.
        growth: times the least residual, > 1.

    Examples:
        >>> import torch
        >>> state = Iteration(lambda z: 0.5 * z + 1, torch.zeros(2, 1), 1e-6, 100, None, Options())
        >>> state.evaluate()
        >>> guard, met = Guard(state, patience=8, growth=10.0), torch.tensor([False, False])
        >>> bool(guard.look(torch.tensor([1.0, 1.0]), met))
        False
        >>> guard.commit()
        >>> bool(guard.look(torch.tensor([0.5, 20.0]), met))  # the second one's residual is 20 times its least
        True
        >>> guard.commit()
        >>> guard.recover().tolist(), guard.plain.tolist()  # sent back, and so many plain steps to come
        ([False, True], [0, 8])

    Source: the safeguard of Zhang, O'Donoghue, Boyd 2020 (plain steps in between); the schedule is made for this.
    """

    def __init__(self, state: Iteration, patience: int, growth: float) -> None:
        self.state, self.patience, self.growth = state, patience, growth
        self.orbit: tuple[Tensor, ...] | None = None
        self.any_plain = False

    # Numbers by unit, made when they are first asked for ------------------------------------------------------------

    def _zeros(self) -> Tensor:
        return torch.zeros(self.state.z.shape[0], dtype=torch.long, device=self.state.z.device)

    @cached_property
    def stale(self) -> Tensor:
        """Steps since the least residual."""
        return self._zeros()

    @cached_property
    def plain(self) -> Tensor:
        """Plain steps to come."""
        return self._zeros()

    @cached_property
    def failures(self) -> Tensor:
        """How often the acceleration has failed."""
        return self._zeros()

    @cached_property
    def limit(self) -> Tensor:
        """Steps without a new least residual after which a unit is lost."""
        return self._zeros() + self.patience

    @cached_property
    def least(self) -> Tensor:
        """Least residuals since units were last sent back."""
        return torch.full_like(self._zeros(), torch.inf, dtype=self.state.z.dtype)

    @cached_property
    def mark(self) -> Tensor:
        """Least residuals when units were last sent back."""
        return self.least

    @cached_property
    def on_orbit(self) -> Tensor:
        """Whether units were sent to where the plain iteration had got to."""
        return self._zeros().bool()

    def look(self, score: Tensor, met: Tensor) -> Tensor:
        """Return whether some unit is lost, or done with its plain steps; :meth:`commit` counts the step.

        Args:
            score: residuals, shape (units,).
            met: which of them have met the tolerance, and are not lost, shape (units,).
        """
        plain = self.plain > 0
        better = score < RECORD * self.least
        least = torch.where(better, score, self.least)
        stale = torch.where(better | plain, 0, self.stale + 1)
        # Written so that NaN counts as lost.
        astray = ~(score <= self.growth * least) | (stale >= self.limit)
        self.lost = torch.where(plain, ~score.isfinite(), astray) & ~met
        self.ended = (self.plain == 1) & ~self.lost
        self._next = (least, stale, (self.plain - 1).clamp_min(0))
        return (self.lost | self.ended).any()

    def look_quickly(self, score: Tensor) -> Tensor:
        """The same where no unit takes plain steps and none has met the tolerance: less to compute.

        Where it is True, :meth:`look` tells which; NaN is the caller's to see.
        """
        better = score < RECORD * self.least
        least = torch.where(better, score, self.least)
        stale = (self.stale + 1).masked_fill(better, 0)
        self._next = (least, stale, self.plain)
        return ((score > self.growth * least) | (stale >= self.limit)).any()

    def is_astray(self, score: Tensor) -> Tensor:
        """Which units are lost, shape (units,), as of the last look where none takes plain steps."""
        least, stale, _ = self._next
        return ~(score <= self.growth * least) | (stale >= self.limit)

    def commit(self) -> None:
        """Count the step that was looked at."""
        self.least, self.stale, self.plain = self._next
        if self.orbit is None:
            self.begin()

    def begin(self) -> None:
        """Remember where the plain iteration is: at the start."""
        self.orbit, self.mark = self._now(), self.least.clone()

    def _now(self) -> tuple[Tensor, ...]:
        assert self.state.image is not None
        return self.state.z, self.state.image

    def recover(self) -> Tensor:
        """Send the lost units back, and return which they are, shape (units,)."""
        state, lost = self.state, self.lost
        assert self.orbit is not None
        self.orbit = _where(self.ended & self.on_orbit, self._now(), self.orbit)
        failed = lost & ~(state.best_score < HEADWAY * self.mark)
        self.failures = self.failures + failed
        to_orbit = failed & (self.failures % 2 == 0)
        target = _where(to_orbit, self.orbit, state.best)
        state.z, state.image = _where(lost, target, self._now())
        state.residual = state.image - state.z
        length = PLAIN_STEPS * 2 ** (self.failures - 1).clamp(0, 40)
        self.plain = torch.where(lost, torch.where(failed, length, 0), self.plain)
        self.limit = torch.where(failed, length // 2, self.limit)
        self.on_orbit = torch.where(lost, to_orbit, self.on_orbit)
        self.mark = torch.where(lost, state.best_score, self.mark)
        self.stale = torch.where(lost | self.ended, 0, self.stale)
        # What comes next need not beat this iterate: where f expands, that would loop for ever.
        self.least = torch.where(lost | self.ended, torch.inf, self.least)
        self.any_plain = bool((self.plain > 0).any())
        return lost


def check_map(f: Any) -> None:
    """Raise TypeError where f cannot be called.

    Examples:
        >>> check_map(2)
        Traceback (most recent call last):
            ...
        TypeError: f must be a map of tensors, got 2
    """
    if not callable(f):
        raise TypeError(f"f must be a map of tensors, got {f!r}")


def check_image(image: Any, shape: torch.Size, device: torch.device) -> None:
    """Raise an error where an image f(z) is no dense floating-point tensor of the given shape and device, those of z.

    Raises:
        TypeError: it is no tensor, or one of integers or complex numbers, or a sparse one.
        ValueError: it has another shape, or is on another device.

    Examples:
        >>> import torch
        >>> check_image(torch.zeros(2, 3), torch.Size((2, 4)), torch.device("cpu"))
        Traceback (most recent call last):
            ...
        ValueError: f must keep the shape of z, (2, 4), but returned (2, 3)
    """
    if not isinstance(image, Tensor) or not image.is_floating_point():
        raise TypeError(f"f must return a floating-point tensor, got {describe(image)}")
    if not is_dense(image):
        raise TypeError(f"f must return a dense tensor, got {describe(image)}")
    if image.device != device:
        raise ValueError(f"f must return a tensor on the device of z, {device}, but it is on {image.device}")
    if image.shape != shape:
        raise ValueError(f"f must keep the shape of z, {tuple(shape)}, but returned {tuple(image.shape)}")


def describe(value: Any) -> str:
    """Return how a message names a value: a tensor by its dtype, one that is not dense by its layout, else its repr.

    Examples:
        >>> import torch
        >>> describe(torch.zeros(1000)), describe("zeros")
        ('a tensor of dtype torch.float32', "'zeros'")
        >>> describe(torch.zeros(2, 3).to_sparse())
        'a tensor of layout torch.sparse_coo'
    """
    if not isinstance(value, Tensor):
        return repr(value)
    if not is_dense(value):
        return "a nested tensor" if value.is_nested else f"a tensor of layout {value.layout}"
    return f"a tensor of dtype {value.dtype}"


def is_dense(value: Tensor) -> bool:
    """Return whether a tensor has numbers in the usual layout: not sparse, not nested.

    Examples:
        >>> import torch
        >>> is_dense(torch.zeros(2, 3)), is_dense(torch.zeros(2, 3).to_sparse())
        (True, False)
    """
    return value.layout is torch.strided and not value.is_nested
