"""Deep equilibrium layer: ``z* = f(z*)`` for any torch ``f``, with an implicit gradient.

Forward: a solver iterates without recording anything until every sample meets the stated relative residual.
Backward: with ``J = df/dz`` at ``z*`` and the incoming gradient g, ``y = J^T y + g`` is itself a fixed-point problem;
its solution gives ``dL/dtheta = (df/dtheta)^T y``. One evaluation of ``f`` is kept for it, however many steps it took.

Source: Bai, Kolter, Koltun 2019, Deep Equilibrium Models, Theorem 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ufm._validation import integer, one_of, positive
from ufm.deq.solvers import SOLVERS, FixedPoint, get_solver

__all__ = ["DEQ", "ConvergenceError", "ConvergenceWarning", "Info"]

ON_FAILURE = ("warn", "raise")


class ConvergenceWarning(RuntimeWarning):
    """A fixed-point solver stopped before some sample met its tolerance."""


class ConvergenceError(RuntimeError):
    """A fixed-point solver stopped before some sample met its tolerance, and the caller asked for an error."""


@dataclass
class Info:
    """What the solvers did, sample by sample.

    Attributes:
        residuals: relative residual ``|f(z) - z| / |f(z)|`` of every sample, shape (batch,).
        steps: evaluations of ``f`` until the sample was frozen, shape (batch,).
        converged: whether the sample met the tolerance, shape (batch,).
        backward: the same for the adjoint equation; None until ``backward`` has run.
    """

    residuals: Tensor
    steps: Tensor
    converged: Tensor
    backward: Info | None = None

    @property
    def all_converged(self) -> bool:
        """Whether every sample met the tolerance."""
        return bool(self.converged.all())

    @classmethod
    def _of(cls, point: FixedPoint) -> Info:
        return cls(point.residuals, point.steps, point.converged)


class DEQ(nn.Module):
    """Fixed point of a map: ``z, info = deq(f, z0)``.

    Args:
        solver: ``"anderson"``, ``"broyden"`` or ``"fixed_point"``.
        tol: relative residual ``|f(z) - z| / |f(z)|`` at which a sample stops, > 0.
        max_steps: largest number of evaluations of ``f`` in the forward solve, >= 1.
        backward_solver, backward_tol, backward_max_steps: the same for the adjoint equation; default: as forward.
        on_failure: what to do when a sample does not converge: ``"warn"`` (:class:`ConvergenceWarning`) or
            ``"raise"`` (:class:`ConvergenceError`). A value that is not finite counts as not converged.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.
    """

    def __init__(
        self,
        solver: str = "anderson",
        *,
        tol: float = 1e-6,
        max_steps: int = 100,
        backward_solver: str | None = None,
        backward_tol: float | None = None,
        backward_max_steps: int | None = None,
        on_failure: str = "warn",
    ) -> None:
        super().__init__()
        self.solver = one_of("solver", solver, SOLVERS)
        self.tol = positive("tol", tol)
        self.max_steps = integer("max_steps", max_steps, minimum=1)
        self.backward_solver = (
            self.solver if backward_solver is None else one_of("backward_solver", backward_solver, SOLVERS)
        )
        self.backward_tol = self.tol if backward_tol is None else positive("backward_tol", backward_tol)
        self.backward_max_steps = (
            self.max_steps
            if backward_max_steps is None
            else integer("backward_max_steps", backward_max_steps, minimum=1)
        )
        self.on_failure = one_of("on_failure", on_failure, ON_FAILURE)

    def forward(self, f: Callable[[Tensor], Tensor], z0: Tensor) -> tuple[Tensor, Info]:
        """Solve ``z = f(z)`` from ``z0``.

        Args:
            f: map from (batch, ...) to the same shape, acting on the samples separately. Parameters and inputs that
                it closes over receive their implicit gradients.
            z0: start, shape (batch, ...), floating point. The equilibrium does not depend on it: no gradient.

        Returns:
            ``z`` of the shape of ``z0`` and the :class:`Info` of the solve. When gradients are recorded ``z`` is
            ``f`` at the last iterate.

        Raises:
            TypeError, ValueError: ``z0`` is not a floating-point tensor with a batch dimension, or ``f`` changes its
                shape.
            ConvergenceError: some sample did not converge and ``on_failure`` is ``"raise"``.
        """
        if not isinstance(z0, Tensor) or not z0.is_floating_point():
            raise TypeError(f"z0 must be a floating-point tensor, got {_describe(z0)}")
        if z0.ndim < 1 or z0.numel() == 0:
            raise ValueError(f"z0 must have a batch dimension and at least one entry, got shape {tuple(z0.shape)}")
        with torch.no_grad():
            point = get_solver(self.solver)(f, z0.detach(), self.tol, self.max_steps)
        info = Info._of(point)
        self._judge("forward", self.solver, info, self.tol, self.max_steps)
        if not torch.is_grad_enabled():
            return point.z, info
        root = point.z.detach().requires_grad_()
        image = f(root)
        if not image.requires_grad:
            return image, info
        return _ImplicitGradient.apply(image, root, self, info), info

    def _solve_adjoint(self, image: Tensor, root: Tensor, gradient: Tensor, info: Info) -> Tensor:
        """Solve ``y = J^T y + gradient``."""

        def adjoint(y: Tensor) -> Tensor:
            # allow_unused: a map that ignores z has J = 0.
            (product,) = torch.autograd.grad(image, root, y, retain_graph=True, allow_unused=True)
            return gradient if product is None else product + gradient

        point = get_solver(self.backward_solver)(adjoint, gradient, self.backward_tol, self.backward_max_steps)
        info.backward = Info._of(point)
        self._judge("backward", self.backward_solver, info.backward, self.backward_tol, self.backward_max_steps)
        return point.z

    def _judge(self, direction: str, solver: str, info: Info, tol: float, max_steps: int) -> None:
        if info.all_converged:
            return
        failed = int((~info.converged).sum())
        worst = float(info.residuals[~info.converged].max())
        message = (
            f"{direction} solve with {solver!r} did not converge: {failed} of {len(info.converged)} samples have "
            f"relative residuals above tol = {tol:g} after at most {max_steps} steps (worst {worst:.3g})"
        )
        if self.on_failure == "raise":
            raise ConvergenceError(message)
        warnings.warn(message, ConvergenceWarning, stacklevel=3)

    def extra_repr(self) -> str:
        """Solver settings, for ``print``."""
        return (
            f"solver={self.solver!r}, tol={self.tol:g}, max_steps={self.max_steps}, "
            f"backward_solver={self.backward_solver!r}, backward_tol={self.backward_tol:g}, "
            f"backward_max_steps={self.backward_max_steps}, on_failure={self.on_failure!r}"
        )


class _ImplicitGradient(torch.autograd.Function):
    """Identity on ``image = f(root)`` whose gradient is the solution of the adjoint equation."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, root: Tensor, deq: DEQ, info: Info) -> Tensor:
        ctx.save_for_backward(image, root)
        ctx.deq, ctx.info = deq, info
        return image.view_as(image)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        image, root = ctx.saved_tensors
        with torch.enable_grad():
            y = ctx.deq._solve_adjoint(image, root, gradient, ctx.info)
        return y, None, None, None


def _describe(value: Any) -> str:
    return f"a tensor of dtype {value.dtype}" if isinstance(value, Tensor) else repr(value)
