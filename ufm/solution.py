"""What a solver returns: the value with its enclosure, the logits, the factors and their geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import svdvals
from ufm._notebook import table
from ufm._validation import array
from ufm.architectures import Factors
from ufm.architectures.base import numerical_rank
from ufm.labels import ClassPrior
from ufm.problem import Problem

if TYPE_CHECKING:
    from ufm.geometry import Geometry

__all__ = ["LocalMinimum", "Solution"]

Array = NDArray[np.float64]

#: Room for rounding between logits and the product of their factors, relative to the largest of them.
_FACTOR_ROOM = 1e-8


@dataclass(frozen=True, eq=False)
class LocalMinimum:
    """A local minimum that a search from many starts has found.

    Attributes:
        value: risk (budgets) or objective (weight decay).
        share: fraction of the starts that ended here, a measure of its basin under the search's own starts.
        stationarity: ``|x| |grad log(value)|`` in the variables x of the search, over the most that log(value) can vary
            to first order, ``tau |G(0)| / f(0)``, where small budgets make that less than 1.
        is_minimum: whether the Hessian in these variables has no negative eigenvalue; None where it was not formed.
        logits: Z, shape (K, m).
        features: (d, m), what the classifier sees.
        geometry: of the factors: singular values, rank, phase, named structure, ...; None for labels that are not
            one-hot.
    """

    value: float
    share: float
    stationarity: float
    is_minimum: bool | None
    logits: Array = field(repr=False)
    features: Array = field(repr=False)
    geometry: Geometry | None = field(repr=False)

    @property
    def rank(self) -> int:
        """Rank of the logits."""
        if self.geometry is not None:
            return self.geometry.rank
        return numerical_rank(self.singular_values)

    @cached_property
    def singular_values(self) -> Array:
        """Singular values of the logits, descending, shape (min(K, m),)."""
        if self.geometry is not None:
            return self.geometry.singular_values
        return np.asarray(svdvals(self.logits), dtype=float)

    @property
    def phase(self) -> str | None:
        """``"none"``, ``"partial"`` or ``"total"``; None for labels that are not one-hot."""
        return None if self.geometry is None else self.geometry.phase

    @cached_property
    def structure(self) -> str:
        """Name of the features' configuration, see :func:`ufm.geometry.name_structure`."""
        from ufm.geometry import name_structure

        return name_structure(self.features) if self.geometry is None else self.geometry.structure

    def to_dict(self) -> dict[str, Any]:
        """Everything but the logits, as JSON types.

        >>> import ufm
        >>> found = ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]), method="search", starts=3)
        >>> found.local_minima[0].to_dict()["rank"]
        1
        """
        names = ("value", "share", "stationarity", "is_minimum", "rank", "phase", "structure")
        return {name: getattr(self, name) for name in names} | {"singular_values": self.singular_values.tolist()}


@dataclass(frozen=True)
class Solution:
    """Optimum of a :class:`~ufm.problem.Problem`.

    Attributes:
        problem: what was solved.
        method: the solver, one of :data:`ufm.solvers.METHODS` but ``"auto"``.
        value: optimal risk (budgets) or objective (weight decay) found.
        lower: lower bound on the optimal value from weak duality, in floating point; that of a convex relaxation where
            the problem is not convex.
        upper: upper bound: the value at a feasible point. ``ufm.certify`` makes both rigorous.
        multiplier: mu; for budgets the multiplier of the constraint (0 when it is idle), else the strength.
        is_global: True when the duality gap is closed; None when only a best point was found.
        iterations: outer iterations of the solver.
        info: solver-specific figures (residuals, starts, status), for people to read.
        dim: feature dimension d of the factors.
        collapsed: for every group of the prior whether s_a = 0, where the method decides it exactly; else None.
        phase: ``"none"``, ``"partial"`` or ``"total"``, where the method decides it exactly; else None (the geometry
            then decides numerically).
        local_minima: the distinct local minima a search found, best first; empty for the other methods.
    """

    problem: Problem
    method: str
    value: float
    lower: float
    upper: float
    multiplier: float
    is_global: bool | None
    iterations: int
    _logits: Array | Callable[[], Array] = field(repr=False)
    info: dict[str, Any] = field(default_factory=dict, repr=False)
    dim: int | None = None
    _factors: Factors | None = field(default=None, repr=False)
    collapsed: tuple[bool, ...] | None = None
    phase: str | None = None
    local_minima: tuple[LocalMinimum, ...] = field(default=(), repr=False)

    def _repr_html_(self) -> str:
        """A table of the problem, the value with its bounds, and how far it is to be trusted, for notebooks."""
        problem = self.problem
        optimum = {True: "global optimum: the gap is closed", False: "not global", None: "best found: no proof"}
        bias = None if problem.bias is None else f"weight decay {problem.bias:g}" if problem.bias else "free"
        rows = {
            "architecture": repr(problem.architecture),
            "prior": repr(problem.prior),
            "loss": problem.loss.name,
            "bias": bias,
            "method": self.method,
            "value": f"{self.value:.12g}",
            "bounds": f"[{self.lower:.12g}, {self.upper:.12g}]",
            "multiplier": f"{self.multiplier:.6g}",
            "optimum": optimum[self.is_global],
            "phase": None if self.phase is None else str(self.phase),
            "local minima": len(self.local_minima) or None,
            "warning": self.info.get("warning"),
        }
        return table("Solution", rows)

    @property
    def gap(self) -> float:
        """``upper - lower``, never negative."""
        return max(0.0, self.upper - self.lower)

    @cached_property
    def logits(self) -> Array:
        """Z, shape (K, m), column j = logits of class or kind of sample j; columns centred under CE.

        Under MSE without bias a shift of a column changes the risk, and the optimal columns are not centred.
        """
        return self._logits() if callable(self._logits) else self._logits

    @cached_property
    def factors(self) -> Factors:
        """Optimal factors, see :meth:`ufm.architectures.Architecture.factorise`."""
        if self._factors is not None:
            return self._factors
        factors = self.problem.architecture.factorise(self.logits, self.problem.prior, self.dim)
        if not self.problem.is_known:
            _check_factors(type(self.problem.architecture).__name__, factors, self.logits)
        return factors

    @cached_property
    def bias(self) -> Array | None:
        """b (K,), added to every column of the logits ``Z = W H``; None for a problem without bias."""
        return self.problem.best_bias(self.logits)

    @property
    def factors_are_own(self) -> bool:
        """Whether the solver optimised the factors themselves; they may cost more than their logits need."""
        return self._factors is not None

    @property
    def classifier(self) -> Array:
        """W, shape (K, d)."""
        return self.factors.classifier

    @property
    def features(self) -> Array:
        """H, shape (d, m), column j the (collapsed) features of class or kind of sample j; of a DEQ the injection h."""
        return self.factors.features

    @property
    def equilibrium(self) -> Array | None:
        """A, shape (d, d), of a DEQ ``z* = A z* + h``; None for an explicit network."""
        return self.factors.equilibrium

    @property
    def residual_maps(self) -> tuple[Array, ...]:
        """``A_1, ..., A_L`` (d, d) of a residual network ``Z = W (I + A_L) ... (I + A_1) H``, else empty.

        Of an unrolled network those of its steps, of a flow the one A of ``exp(A)``.
        """
        return self.factors.residual_maps

    @property
    def layers(self) -> tuple[Array, ...]:
        """``W_2, ..., W_M`` of a deep linear network of three and more factors, the features last; else empty."""
        return self.factors.layers

    @cached_property
    def singular_values(self) -> Array:
        """Singular values of the logits, descending, shape (min(K, m),)."""
        return np.asarray(svdvals(self.logits), dtype=float)

    @cached_property
    def geometry(self) -> Geometry:
        """Geometry of the optimum: ETF error, self-duality error, minority cosine, rank, phase, ...

        Raises:
            ValueError: labels that are no class prior, whose columns are no classes; the message says what there is.
        """
        from ufm.geometry import Geometry

        if not isinstance(self.problem.prior, ClassPrior):
            raise ValueError(
                "prior must be a ufm.ClassPrior for a geometry; of other labels there are the solution's "
                f"logits, singular_values, classifier and features, got {self.problem.prior!r}"
            )
        return Geometry.of(self.factors, self.problem.prior, collapsed=self.collapsed, phase=self.phase)


def _check_factors(name: str, factors: Any, logits: Array) -> None:
    """Factors of an architecture of one's own: they multiply back to the logits."""
    if not isinstance(factors, Factors):
        raise TypeError(f"architecture {name}.factorise must return ufm.architectures.Factors, got {factors!r}")
    product = array(f"architecture {name}.factorise(...).logits", factors.logits, ndim=2, shape="(K, m)")
    if product.shape != logits.shape:
        raise ValueError(
            f"architecture {name}.factorise must return factors of logits {logits.shape}, got {product.shape}"
        )
    if not np.abs(product - logits).max() <= _FACTOR_ROOM * max(float(np.abs(logits).max()), 1e-300):
        raise ValueError(
            f"architecture {name}.factorise must return factors that multiply back to the logits, but the largest "
            f"difference is {np.abs(product - logits).max():.3g} beside logits of size {np.abs(logits).max():.3g}"
        )
