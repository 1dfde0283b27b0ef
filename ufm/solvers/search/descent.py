"""L-BFGS from many starts at once: one evaluation of all of them is a few operations on arrays."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["End", "Limits", "Queue", "descents"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Armijo's and Wolfe's constants, and evaluations of a line search after which it starts anew along the gradient.
_FALL, _BEND, _MOST = 1e-4, 0.9, 25


@dataclass(frozen=True)
class Limits:
    """When a descent ends.

    Attributes:
        steps: taken.
        fall: of the value in a step, over the larger of its size and 1.
        gradient: its largest entry.
        memory: pairs of differences that stand for the curvature.
        look: evaluations after which ``known`` is asked again.
        together: descents at a time.
    """

    steps: int
    fall: float = 1e-14
    gradient: float = 1e-8
    memory: int = 10
    look: int = 10
    together: int = 16


@dataclass(frozen=True)
class End:
    """Where a descent ended.

    Attributes:
        start: its number in the queue.
        x: the last point, shape (n,).
        steps: taken.
        is_known: whether it was given up as ``known`` told where it leads.
    """

    start: int
    x: Array
    steps: int
    is_known: bool


class Queue:
    """Starts that wait for a place, read when there is one; more may be added while others descend, and go first.

    >>> queue = Queue([np.zeros(2), np.ones(2)])
    >>> queue.take(1), queue.add(np.ones(2)), [i for i, _ in queue.take(5)], queue.take(5)
    ([(0, array([0., 0.]))], 1, [1, 2], [])
    """

    def __init__(self, starts: Iterable[Array]) -> None:
        self._starts = iter(starts)
        self._added: deque[tuple[int, Array]] = deque()
        self._count = 0

    def _number(self) -> int:
        self._count += 1
        return self._count - 1

    def add(self, x: Array) -> int:
        """Let ``x`` (n,) wait too; its number."""
        self._added.append((self._number(), x))
        return self._added[-1][0]

    def take(self, most: int) -> list[tuple[int, Array]]:
        """The next starts with their numbers."""
        taken = [self._added.popleft() for _ in range(min(most, len(self._added)))]
        return taken + [(self._number(), x) for x in itertools.islice(self._starts, most - len(taken))]


def descents(
    function: Callable[[Array], tuple[Array, Array]],
    queue: Queue,
    limits: Limits,
    known: Callable[[Array, Array], Mask] | None = None,
) -> Iterator[End]:
    """Descend from every start of a queue, many at a time, and yield the ends as they come.

    A step is one of a weak Wolfe line search (Lewis and Overton 2013) along the direction of L-BFGS.

    Args:
        function: values (B,) and gradients (B, n) at the rows of an array (B, n).
        queue: where to begin; what is added to it before the last end is asked for is descended from too.
        limits: when to end.
        known: told the points (B, n) and values (B,) of those still on their way, says which lead where is known.

    >>> def bowl(x):
    ...     return ((x - 1) ** 2).sum(axis=1), 2 * (x - 1)
    >>> ends = descents(bowl, Queue(np.array([[0.0, 3.0], [5.0, 5.0]])), Limits(steps=50))
    >>> sorted((end.start, end.x.round(6).tolist()) for end in ends)
    [(0, [1.0, 1.0]), (1, [1.0, 1.0])]
    """
    while starts := queue.take(limits.together):
        state = _State(function, starts, limits)
        tick = 0
        while len(state.x):
            tick += 1
            ended, given_up = state.tick(), np.zeros(len(state.x), dtype=bool)
            if known is not None and tick % limits.look == 0 and not ended.all():
                given_up[~ended] = known(state.x[~ended], state.value[~ended])
            places = np.flatnonzero(ended | given_up)
            for i in places.tolist():
                yield End(int(state.start[i]), state.x[i].copy(), int(state.steps[i]), bool(given_up[i]))
            if len(places):
                state.replace(places, queue.take(len(places)))


class _State:
    """The descents that have not ended; rows of every array belong together."""

    def __init__(
        self, function: Callable[[Array], tuple[Array, Array]], starts: list[tuple[int, Array]], limits: Limits
    ) -> None:
        self.function, self.limits = function, limits
        self.start, self.x = np.array([i for i, _ in starts]), np.array([x for _, x in starts], dtype=float)
        count, n = self.x.shape
        self.steps = np.zeros(count, dtype=int)
        self.value, self.gradient = function(self.x)
        # pairs of a tick lie together, whichever rows took a step then: 1/<s, y>, and 0 where a row has none
        self.s, self.y = np.zeros((2, limits.memory, count, n))
        self.weight = np.zeros((limits.memory, count))
        self.scale = np.ones(count)
        self.taken = 0
        self.direction = np.empty_like(self.x)
        self.slope, self.length, self.low, self.high = np.empty((4, count))
        self.tries = np.zeros(count, dtype=int)
        self._along(np.ones(count, dtype=bool), -self.gradient, first=True)

    def replace(self, places: NDArray[np.int_], starts: list[tuple[int, Array]]) -> None:
        """Let new starts take the places of descents that have ended; close up where there are fewer."""
        filled, left = places[: len(starts)], places[len(starts) :]
        if len(filled):
            self.start[filled], self.x[filled] = [i for i, _ in starts], [x for _, x in starts]
            self.value[filled], self.gradient[filled] = self.function(self.x[filled])
            self.steps[filled] = 0
            self.weight[:, filled], self.scale[filled] = 0.0, 1.0
            fresh = np.zeros(len(self.x), dtype=bool)
            fresh[filled] = True
            self._along(fresh, -self.gradient, first=True)
        if len(left):
            for name in ("start", "x", "value", "gradient", "steps", "scale", "direction", "slope", "length", "low"):
                setattr(self, name, np.delete(getattr(self, name), left, axis=0))
            self.high, self.tries = np.delete(self.high, left), np.delete(self.tries, left)
            self.s, self.y = np.delete(self.s, left, axis=1), np.delete(self.y, left, axis=1)
            self.weight = np.delete(self.weight, left, axis=1)

    def tick(self) -> Mask:
        """One evaluation of all, a step of those whose line search is satisfied; which have ended."""
        trial = self.x + self.length[:, None] * self.direction
        value, gradient = self.function(trial)
        aim = self.value + _FALL * self.length * self.slope
        slope = np.einsum("bn,bn->b", gradient, self.direction)
        fell = value <= aim
        taken = fell & (slope >= _BEND * self.slope)
        self.tries += 1
        self._search(fell, taken, value)
        ended = self._restart(~taken & (self.tries >= _MOST))
        if taken.any():
            ended |= self._step(taken, trial, value, gradient)
        return ended

    def _search(self, fell: Mask, taken: Mask, value: Array) -> None:
        """The next length of rows that go on searching: back to the parabola's minimum, or on to twice as far."""
        t = self.length
        back, on = ~fell, fell & ~taken
        self.high[back] = t[back]
        self.low[on] = t[on]
        with np.errstate(all="ignore"):
            parabola = -self.slope * t * t / (2 * (value - self.value - self.slope * t))
            nearest = np.where(np.isfinite(parabola), parabola, 0.0)
            inside = np.clip(nearest, 0.1 * self.high, 0.7 * self.high)
        middle = (self.low + self.high) / 2
        closer = np.where(self.low > 0, middle, inside)
        self.length = np.where(back, closer, np.where(on, np.where(np.isinf(self.high), 2 * t, middle), t))

    def _restart(self, stuck: Mask) -> Mask:
        """Begin anew along the gradient where a line search failed; those that did so already have ended."""
        if not stuck.any():
            return stuck
        ended = stuck & ~self.weight.any(axis=0)
        again = stuck & ~ended
        self.weight[:, again] = 0.0
        self.scale[again] = 1.0
        self._along(again, -self.gradient, first=True)
        return ended

    def _step(self, taken: Mask, trial: Array, value: Array, gradient: Array) -> Mask:
        limits, before = self.limits, self.value
        s, y = trial - self.x, gradient - self.gradient
        curvature, size = np.einsum("bn,bn->b", s, y), np.einsum("bn,bn->b", y, y)
        use = taken & (curvature > 1e-12 * np.sqrt(size * np.einsum("bn,bn->b", s, s)))
        s[~use] = y[~use] = 0.0
        slot = self.taken % limits.memory
        self.s[slot], self.y[slot] = s, y
        with np.errstate(divide="ignore", invalid="ignore"):
            self.weight[slot] = np.where(use, 1 / curvature, 0.0)
        self.scale[use] = curvature[use] / size[use]
        self.taken += 1
        self.x[taken], self.value, self.gradient[taken] = trial[taken], np.where(taken, value, before), gradient[taken]
        self.steps += taken
        self._along(taken, self._newton())
        reach = limits.fall * np.maximum(np.maximum(np.abs(before), np.abs(value)), 1.0)
        flat = (before - self.value <= reach) | (np.abs(self.gradient).max(axis=1) <= limits.gradient)
        return taken & (flat | (self.steps >= limits.steps))

    def _newton(self) -> Array:
        """Minus the gradients times the inverse Hessian that the pairs stand for (Nocedal 1980)."""
        q = -self.gradient
        move = np.empty_like(q)
        newest_first = [i % self.limits.memory for i in range(self.taken - 1, self.taken - 1 - self._pairs, -1)]
        alphas = {}
        for i in newest_first:
            alphas[i] = self.weight[i] * np.einsum("bn,bn->b", self.s[i], q)
            q -= np.multiply(alphas[i][:, None], self.y[i], out=move)
        q *= self.scale[:, None]
        for i in reversed(newest_first):
            beta = self.weight[i] * np.einsum("bn,bn->b", self.y[i], q)
            q += np.multiply((alphas[i] - beta)[:, None], self.s[i], out=move)
        return q

    @property
    def _pairs(self) -> int:
        return min(self.taken, self.limits.memory)

    def _along(self, rows: Mask, directions: Array, *, first: bool = False) -> None:
        """Search along new directions from here; of the first one alone the length is not known."""
        slope = np.einsum("bn,bn->b", directions, self.gradient)
        self.direction[rows], self.slope[rows] = directions[rows], slope[rows]
        size = np.sqrt(np.maximum(-slope, 1e-300))
        self.length[rows] = np.minimum(1.0, 1 / size)[rows] if first else 1.0
        self.low[rows], self.high[rows], self.tries[rows] = 0.0, np.inf, 0
