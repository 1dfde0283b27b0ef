"""L-BFGS whose vectors stay on their device: the host reads a few inner products of them, once an evaluation.

With S and Y the last steps and changes of the gradient, the direction ``-H g`` is a combination of the rows of S and Y
and of g, whose coefficients follow from the inner products of these vectors alone. So an evaluation leaves 2 m + 3
products with each of the step, the change and the gradient, which one transfer brings to the host with the value and
the largest entry of the gradient; the host answers with the next step's length, or with the next coefficients.

Source: Nocedal 1980 for L-BFGS; Chen, Wang, Zhou 2014 for the products; Hager and Zhang 2005 for the approximate
conditions of Wolfe, which can be told where values differ by rounding alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ufm._extras import optional
from ufm.trainings.running import Progress

with optional("deq"):
    import torch
    from torch import Tensor

__all__ = ["End", "minimise"]

Array = NDArray[np.float64]

#: Decrease and curvature of the conditions of Wolfe.
DECREASE, CURVATURE = 1e-4, 0.9
#: Evaluations of a line search, how far it goes on while the slope is steep, the parts of a bracket it stays within.
MOST_TRIED, STRIDE, INNER = 25, 10.0, (0.1, 0.9)
#: Values that differ by less than so many eps of float64, relative, may be the same.
ROUNDING = 8.0


class End(NamedTuple):
    """What an optimiser says of its last point; see :class:`ufm.trainings.Fit`."""

    objective: float
    gradient: float
    iterations: int
    evaluations: int
    message: str


@dataclass
class _Trial:
    """A point of a line search, and what the host knows of it."""

    step: float
    value: float
    slope: float
    largest: float
    products: Array
    gradient: Tensor
    change: Tensor

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.value) and math.isfinite(self.largest)


def minimise(
    value_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]],
    start: Tensor,
    *,
    memory: int = 20,
    max_iterations: int = 1000,
    gradient_tol: float = 1e-7,
    progress: Progress | None = None,
) -> tuple[Tensor, End]:
    """Minimise a function of a vector, and return the last point with how it was reached.

    Args:
        value_and_gradient: of a point (n,), a scalar and (n,), on the point's device.
        start: (n,), float64.
        memory: m, pairs that are remembered.
        max_iterations, gradient_tol, progress: as of :func:`ufm.trainings.fit`.

    >>> def bowl(x):
    ...     return (x**4).sum() / 4 + x[0], x**3 + torch.eye(3, dtype=x.dtype)[0]
    >>> x, end = minimise(bowl, torch.full((3,), 2.0, dtype=torch.float64), max_iterations=200)
    >>> round(float(x[0]), 6), round(end.objective, 6), end.message
    (-1.0, -0.75, 'the gradient is small')
    """
    found = _Descent(value_and_gradient, start, memory)
    iterations, message = 0, "the iterations are used up"
    while found.largest > gradient_tol and iterations < max_iterations:
        if not found.descend():
            message = "no step lowers the value"
            break
        iterations += 1
        if progress is not None:
            progress(f"objective {found.value:.6f}", iterations, None)
    if found.largest <= gradient_tol:
        message = "the gradient is small"
    return found.x, End(found.value, found.largest, iterations, found.evaluations, message)


class _Descent:
    """The present point, its memory on the device, and the inner products of the memory on the host.

    Rows of ``basis``: m steps, then m changes of the gradient. ``gram``: products of those rows, and of g in the last
    row and column.
    """

    def __init__(
        self, value_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]], start: Tensor, memory: int
    ) -> None:
        self.function, self.x, self.memory = value_and_gradient, start.detach().clone(), memory
        self.basis = self.x.new_zeros((2 * memory, len(self.x)))
        self.gram = np.zeros((2 * memory + 1, 2 * memory + 1))
        self.order: list[int] = []  # slots of the memory, oldest first
        self.evaluations = 0
        value, self.g = self._evaluated(self.x)
        self.value, self.largest, square = self._read(value, self.g.abs().amax(), self.g @ self.g)
        self.gram[-1, -1] = square

    def _evaluated(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = self.function(x)
        self.evaluations += 1
        return value.detach().to(x), gradient.detach().to(x)

    @staticmethod
    def _read(*numbers: Tensor) -> list[float]:
        """What crosses to the host, in one transfer."""
        return torch.cat([x.reshape(-1) for x in numbers]).tolist()  # type: ignore[no-any-return]

    def descend(self) -> bool:
        """One iteration; False where no step along the steepest descent lowers the value."""
        for coefficients in self._directions():
            slope = float(coefficients @ self.gram[-1])
            if not slope < 0:
                continue
            upper = torch.from_numpy(coefficients[:-1]).to(self.x)
            direction = torch.addmv(float(coefficients[-1]) * self.g, self.basis.T, upper)
            first = 1.0 if self.order else min(1.0, 1.0 / math.sqrt(self.gram[-1, -1]))
            taken = self._searched(direction, slope, first)
            if taken is not None:
                self._accept(direction, taken)
                return True
            self.order.clear()
        return False

    def _directions(self) -> list[Array]:
        """Coefficients on steps, changes and g: of ``-H g``, and of ``-g`` should that fail."""
        steepest = np.zeros(len(self.gram))
        steepest[-1] = -1.0
        return [self._newton(), steepest] if self.order else [steepest]

    def _newton(self) -> Array:
        """The two loops of L-BFGS, on coefficients."""
        m, gram = self.memory, self.gram
        c, parts = np.zeros(len(gram)), {}
        c[-1] = -1.0
        for i in reversed(self.order):
            parts[i] = gram[i] @ c / gram[i, m + i]
            c[m + i] -= parts[i]
        last = self.order[-1]
        c *= gram[last, m + last] / gram[m + last, m + last]
        for i in self.order:
            c[i] += parts[i] - gram[m + i] @ c / gram[i, m + i]
        return c

    def _searched(self, direction: Tensor, slope: float, step: float) -> _Trial | None:
        """A step that meets the conditions of Wolfe, or the best of those that lower the value; None without one."""
        zero = (0.0, self.value, slope)
        low, high, best = zero, None, None
        slack = ROUNDING * np.finfo(float).eps * abs(self.value)
        for _ in range(MOST_TRIED):
            trial = self._tried(direction, step)
            here = (step, trial.value, trial.slope)
            lower = trial.is_finite and trial.value <= self.value + DECREASE * step * slope
            same = trial.is_finite and trial.value <= self.value + slack and trial.slope <= (2 * DECREASE - 1) * slope
            if (lower or same) and abs(trial.slope) <= -CURVATURE * slope:
                return trial
            if lower and (best is None or trial.value < best.value):
                best = trial
            if not (lower or same) or (trial.value > low[1] + slack):
                high = here
            else:
                if trial.slope * ((math.inf if high is None else high[0]) - low[0]) >= 0:
                    high = low
                low = here
            if high is None:
                step = min(STRIDE * step, max(2 * step, _cubic(zero, here)))
            else:
                width = high[0] - low[0]
                if abs(width) <= 1e-14 * max(low[0], high[0]):
                    break
                part = (_cubic(low, high) - low[0]) / width
                step = low[0] + min(max(part if math.isfinite(part) else 0.5, INNER[0]), INNER[1]) * width
        return best

    def _tried(self, direction: Tensor, step: float) -> _Trial:
        s = step * direction
        value, gradient = self._evaluated(self.x + s)
        y = gradient - self.g
        three = torch.stack([s, y, gradient])
        value_, largest, *rest = self._read(value, gradient.abs().amax(), self.basis @ three.T, three @ three.T)
        products = np.array(rest).reshape(-1, 3)
        return _Trial(step, value_, float(products[-3, 2]) / step, largest, products, gradient, y)

    def _accept(self, direction: Tensor, taken: _Trial) -> None:
        m, p = self.memory, taken.products
        self.x = self.x + taken.step * direction
        (ss, sy, sg), (_, yy, yg), (_, _, gg) = p[-3:]
        remembered = sy > np.finfo(float).eps * math.sqrt(ss * yy)
        if remembered:
            i = len(self.order) if len(self.order) < m else self.order.pop(0)
            while i in self.order:
                i = (i + 1) % m
            self.order.append(i)
            self.basis[i], self.basis[m + i] = taken.step * direction, taken.change
        self.gram[-1, :-1] = self.gram[:-1, -1] = p[:-3, 2]
        self.gram[-1, -1] = gg
        if remembered:
            for row, column, own, other in ((i, 0, ss, sg), (m + i, 1, yy, yg)):
                self.gram[row, :-1] = self.gram[:-1, row] = p[:-3, column]
                self.gram[row, row] = own
                self.gram[row, -1] = self.gram[-1, row] = other
            self.gram[i, m + i] = self.gram[m + i, i] = sy
        self.value, self.largest, self.g = taken.value, taken.largest, taken.gradient


def _cubic(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    """Where the cubic through two steps with values and slopes is least; NaN where it has no minimum.

    >>> _cubic((0.0, 1.0, -2.0), (2.0, 1.0, 2.0))  # (x - 1)^2
    1.0
    """
    (s, f, df), (t, g, dg) = a, b
    if s == t:
        return math.nan
    d = df + dg - 3 * (f - g) / (s - t)
    square = d * d - df * dg
    if not square >= 0:
        return math.nan
    root = math.copysign(math.sqrt(square), t - s)
    below = dg - df + 2 * root
    return t - (t - s) * (dg + root - d) / below if below else math.nan
