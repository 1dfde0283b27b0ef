"""The contract of a method: which problems it solves, and why not the others.

Every method is a module of this package with two functions, ``supports(problem) -> Support`` and its solve function; it
is listed in :data:`METHODS`. ``auto``, the refusals and the table of what is solved come from ``supports`` alone.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ufm.problem import Problem
from ufm.solution import Solution

__all__ = ["LARGE", "METHODS", "Method", "Support", "method_of", "supported"]

Answer = Literal["exact", "bounded", "refused"]

#: Entries K m of the logits from which on nothing of that size is made, and single precision begins.
LARGE = 2**22


@dataclass(frozen=True)
class Support:
    """Whether a method solves a problem.

    Attributes:
        answer: ``"exact"``: to a closed duality gap, a proof of global optimality in floating point. ``"bounded"``: the
            best point found with a lower bound, global only where the two meet. ``"refused"``: not at all.
        reason: in words, which argument stands in the way, where the answer is not ``"exact"``.
    """

    answer: Answer
    reason: str = ""

    def __bool__(self) -> bool:
        return self.answer != "refused"

    @classmethod
    def refused(cls, reason: str) -> Support:
        """Not at all, because of ``reason``.

        >>> bool(Support.refused("loss is not convex")), bool(Support("exact"))
        (False, True)
        """
        return cls("refused", reason)


@dataclass(frozen=True)
class Method:
    """A way to solve problems.

    Attributes:
        name: what ``method=`` calls it.
        module: where its ``supports`` and its solve function are; imported when it is asked.
        function: name of the solve function, ``function(problem, *, dim, ...options)``.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([3, 1]))
    >>> nuclear = METHODS["nuclear"]
    >>> nuclear.supports(problem).answer, nuclear.options, nuclear.solve(problem, dim=None).is_global
    ('exact', ('tol', 'max_iter', 'start'), True)
    """

    name: str
    module: str
    function: str

    def supports(self, problem: Problem) -> Support:
        """What the method does with ``problem``."""
        answer: Support = importlib.import_module(self.module).supports(problem)
        return answer

    def _solve(self) -> Callable[..., Solution]:
        function: Callable[..., Solution] = getattr(importlib.import_module(self.module), self.function)
        return function

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that the solve function takes, beside ``dim``."""
        return tuple(name for name in inspect.signature(self._solve()).parameters if name not in ("problem", "dim"))

    def check_options(self, options: dict[str, Any]) -> None:
        """Raise a TypeError that names an option which the method does not take."""
        for name in options:
            if name not in self.options:
                allowed = ", ".join(self.options) or "none"
                raise TypeError(f"{name} is no option of method {self.name!r}, which takes {allowed}")

    def solve(self, problem: Problem, *, dim: int | None, **options: Any) -> Solution:
        """Solve ``problem``; options as the solve function has them.

        Raises:
            ValueError: numbers of such sizes leave float64 on the way; the message names what set them.
        """
        try:
            with np.errstate(all="ignore"):  # what overflows is seen by what comes of it
                return self._solve()(problem, dim=dim, **options)
        except (np.linalg.LinAlgError, OverflowError, ZeroDivisionError, MemoryError) as error:
            raise ValueError(
                f"architecture, prior and loss must be of sizes that method {self.name!r} can hold in float64, got "
                f"{problem.architecture!r}, {problem.prior!r} and {problem.loss!r}: {error}"
            ) from error


#: All methods, in the order in which they are listed.
METHODS: dict[str, Method] = {
    name: Method(name, f"ufm.solvers.{name}", f"solve_{name}")
    for name in ("closed_form", "reduced", "nuclear", "sdp", "direct", "search", "atoms", "factored", "low_rank")
}


def supported(problem: Problem) -> dict[str, Support]:
    """What every method says of ``problem``.

    >>> import ufm
    >>> problem = Problem.of(ufm.DeepLinear((1.0, 1.0, 1.0)), ufm.ClassPrior([3, 1, 1]))
    >>> [name for name, support in supported(problem).items() if support]
    ['direct', 'search']
    """
    return {name: method.supports(problem) for name, method in METHODS.items()}


def method_of(name: str, problem: Problem) -> Method:
    """The method ``name`` if it solves ``problem``.

    Raises:
        ValueError: it does not; the message says why, and which methods do.

    >>> import ufm
    >>> method_of("reduced", Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([3, 1]))).name
    'reduced'
    """
    method = METHODS[name]
    answer = method.supports(problem)
    if answer:
        return method
    others = [repr(other) for other, support in supported(problem).items() if support]
    instead = f"methods that solve it: {', '.join(others)}" if others else "no method here solves it"
    raise ValueError(f"method {name!r} does not solve this problem: {answer.reason}; {instead}")
