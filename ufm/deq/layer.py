"""Deep equilibrium layer: ``z* = f(z*)`` for any torch ``f``, with an implicit or a phantom gradient.

Forward: a solver iterates without recording anything until every sample meets the stated relative residual.
Backward, implicit: with ``J = df/dz`` at ``z*`` and the incoming gradient g, ``y = J^T y + g`` is itself a fixed-point
problem; its solution gives ``dL/dtheta = (df/dtheta)^T y``. One evaluation of ``f`` is kept for it, however many steps
it took.
Backward, phantom: k damped steps ``z <- (1 - lambda) z + lambda f(z)`` from ``z*`` are recorded and differentiated. At
``z*`` this replaces ``(I - J)^{-1}`` by ``(I - J)^{-1} (I - M^k)`` with ``M = lambda J + (1 - lambda) I``: the relative
error is at most ``(1 - lambda (1 - rho))^k`` where ``|J|_2 <= rho < 1``.

Source: Bai, Kolter, Koltun 2019, Deep Equilibrium Models, Theorem 1; Geng, Zhang, Bai, Wang, Lin 2021, On Training
Implicit Models, section 3 (unrolling-based phantom gradient; the error bound is derived here).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ufm._extras import optional
from ufm._validation import integer, one_of, positive
from ufm.deq.solvers import SOLVERS, FixedPoint, check_map, describe, get_solver, minimal_tolerance

with optional("deq"):
    import torch
    from torch import Tensor, nn

__all__ = ["DEQ", "ConvergenceError", "ConvergenceWarning", "Info", "PrecisionWarning"]

ON_FAILURE = ("warn", "raise")
GRADIENTS = ("implicit", "phantom")


class ConvergenceWarning(RuntimeWarning):
    """A fixed-point solver stopped before some sample met its tolerance."""


class PrecisionWarning(ConvergenceWarning):
    """The tolerance is below what the floating-point type of ``f`` resolves, so meeting it shows less than it says."""


class ConvergenceError(RuntimeError):
    """A fixed-point solver stopped before some sample met its tolerance, and the caller asked for an error."""


@dataclass
class Info:
    """What the solvers did, sample by sample.

    Attributes:
        residuals: relative residual ``|f(z) - z| / |f(z)|`` of every sample, shape (batch,).
        steps: evaluations of ``f`` until the sample was frozen, shape (batch,).
        converged: whether the sample met the tolerance, shape (batch,).
        backward: the same for the adjoint equation; None until ``backward`` has run, and with a phantom gradient.
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
        tol: relative residual ``|f(z) - z| / |f(z)|`` at which a sample stops, > 0. Where f contracts with rho the
            error of z is up to ``1/(1 - rho)`` times as large, that of the gradient too: for gradients to 1e-6 at
            rho = 0.9 ask for 1e-7. Iterates that run away do not pass for a fixed point by growing.
        max_steps: largest number of evaluations of ``f`` in the forward solve, >= 1.
        backward_solver, backward_tol, backward_max_steps: the same for the adjoint equation; default: as forward.
        on_failure: what to do when a sample does not converge: ``"warn"`` (:class:`ConvergenceWarning`) or
            ``"raise"`` (:class:`ConvergenceError`). A value that is not finite counts as not converged.
        gradient: ``"implicit"`` (memory constant in the number of steps) or ``"phantom"`` (memory grows with
            ``phantom_steps``, not with the steps of the solver).
        phantom_steps: k >= 1, recorded steps.
        phantom_damping: lambda in (0, 1]. The error ``(1 - lambda (1 - rho))^k`` of a contraction is least at 1; below
            1 the steps also contract where J has eigenvalues to the left of -1.

    The state and the residuals are float32 at least, whatever the dtype of ``z0``, and every ``f(z)`` is taken in the
    dtype of ``z0``. A relative residual below :func:`ufm.deq.solvers.minimal_tolerance` of the dtype that ``f``
    computes in, under ``torch.autocast`` that of the autocast, is rounding: a tolerance below it gives a
    :class:`PrecisionWarning` naming the least one. Under ``torch.compile`` the layer runs as it is, between two
    compiled graphs; ``f`` itself may be compiled.

    Source: Bai, Kolter, Koltun 2019, Theorem 1 (implicit); Geng et al. 2021, section 3 (phantom).

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
        gradient: str = "implicit",
        phantom_steps: int = 5,
        phantom_damping: float = 0.5,
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
        self.gradient = one_of("gradient", gradient, GRADIENTS)
        self.phantom_steps = integer("phantom_steps", phantom_steps, minimum=1)
        self.phantom_damping = positive("phantom_damping", phantom_damping)
        if self.phantom_damping > 1:
            raise ValueError(f"phantom_damping must lie in (0, 1], got {phantom_damping!r}")

    def forward(self, f: Callable[[Tensor], Tensor], z0: Tensor) -> tuple[Tensor, Info]:
        """Solve ``z = f(z)`` from ``z0``.

        Args:
            f: map from (batch, ...) to the same shape, acting on the samples separately. Parameters and inputs that
                it closes over receive their implicit gradients.
            z0: start, shape (batch, ...), floating point. The equilibrium does not depend on it: no gradient.

        Returns:
            ``z`` of the shape and dtype of ``z0`` and the :class:`Info` of the solve. When gradients are recorded ``z``
            is ``f`` at the last iterate, or the last phantom step. An empty batch gives an empty ``z``.

        Raises:
            TypeError, ValueError: ``z0`` is not a floating-point tensor with a batch dimension, ``f`` is no map or
                returns something else than a floating-point tensor of the shape of ``z0``.
            ConvergenceError: some sample did not converge and ``on_failure`` is ``"raise"``.
            RuntimeError: in ``backward`` with ``create_graph=True``: the implicit gradient has no second derivative.
        """
        check_map(f)
        if not isinstance(z0, Tensor) or not z0.is_floating_point():
            raise TypeError(f"z0 must be a floating-point tensor, got {describe(z0)}")
        if z0.ndim < 1 or z0.shape[1:].numel() == 0:
            raise ValueError(
                f"z0 must have a batch dimension and at least one entry a sample, got shape {tuple(z0.shape)}"
            )
        if torch.compiler.is_compiling():
            # Loops that stop on data are no graph: they run as they are, with f as it comes.
            return torch.compiler.disable(self._solve)(f, z0)
        return self._solve(f, z0)

    def _solve(self, f: Callable[[Tensor], Tensor], z0: Tensor) -> tuple[Tensor, Info]:
        """Both passes of :meth:`forward`, once its arguments are checked."""
        with torch.no_grad():
            point = get_solver(self.solver)(f, z0.detach(), self.tol, self.max_steps)
        info = Info._of(point)
        dtype = _resolution(point.dtype, z0.device)
        self._judge("forward", self.solver, info, self.tol, self.max_steps, dtype)
        if not torch.is_grad_enabled():
            return point.z, info
        if self.gradient == "phantom":
            z = point.z
            for _ in range(self.phantom_steps):
                z = torch.lerp(z, f(z).to(z.dtype), self.phantom_damping)
            return z, info
        root = point.z.detach().requires_grad_()
        image = f(root).to(root.dtype)
        if not image.requires_grad:
            return image, info

        def solve(image: Tensor, root: Tensor, gradient: Tensor) -> Tensor:
            return self._solve_adjoint(image, root, gradient, info, dtype)

        return implicit_gradient(image, root, solve), info

    def _solve_adjoint(self, image: Tensor, root: Tensor, gradient: Tensor, info: Info, dtype: torch.dtype) -> Tensor:
        """Solve ``y = J^T y + gradient``."""
        wide = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
        if torch.finfo(dtype).bits < 32:
            # The equation is linear: at unit scale products in half precision neither overflow nor vanish.
            largest = torch.linalg.vector_norm(wide.flatten(1), ord=torch.inf, dim=1)
            scale = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
            scale = scale.view(-1, *(1,) * (wide.ndim - 1))
            wide = wide / scale
        else:
            scale = None

        def adjoint(y: Tensor) -> Tensor:
            # allow_unused: a map that ignores z has J = 0.
            y = y.to(image.dtype)
            (product,) = torch.autograd.grad(image, root, y, retain_graph=True, allow_unused=True)
            return wide if product is None else product + wide

        with torch.no_grad():
            point = get_solver(self.backward_solver)(adjoint, wide, self.backward_tol, self.backward_max_steps)
        info.backward = Info._of(point)
        self._judge("backward", self.backward_solver, info.backward, self.backward_tol, self.backward_max_steps, dtype)
        return (point.z if scale is None else point.z * scale).to(gradient.dtype)

    def _judge(self, direction: str, solver: str, info: Info, tol: float, max_steps: int, dtype: torch.dtype) -> None:
        """Say aloud what did not converge, and what converged further than ``dtype`` can tell."""
        floor = minimal_tolerance(dtype)
        name = str(dtype).removeprefix("torch.")
        if info.all_converged:
            if tol < floor:
                warnings.warn(
                    f"{direction} solve: tol = {tol:g} is below {floor:.2g}, the least relative residual that {name} "
                    "resolves; residuals under it are rounding and do not bound the error",
                    PrecisionWarning,
                    stacklevel=_users_level(),
                )
            return
        failed = int((~info.converged).sum())
        worst = float(info.residuals[~info.converged].max())
        message = (
            f"{direction} solve with {solver!r} did not converge: {failed} of {len(info.converged)} samples have "
            f"relative residuals above tol = {tol:g} after at most {max_steps} steps (worst {worst:.3g})"
        )
        if tol < floor:
            message += f"; {name} resolves no less than {floor:.2g}"
        if self.on_failure == "raise":
            raise ConvergenceError(message)
        warnings.warn(message, ConvergenceWarning, stacklevel=_users_level())

    def extra_repr(self) -> str:
        """Solver settings, for ``print``."""
        return (
            f"solver={self.solver!r}, tol={self.tol:g}, max_steps={self.max_steps}, "
            f"backward_solver={self.backward_solver!r}, backward_tol={self.backward_tol:g}, "
            f"backward_max_steps={self.backward_max_steps}, on_failure={self.on_failure!r}, gradient={self.gradient!r}"
            + (
                f", phantom_steps={self.phantom_steps}, phantom_damping={self.phantom_damping:g}"
                if self.gradient == "phantom"
                else ""
            )
        )


def implicit_gradient(image: Tensor, root: Tensor, solve: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """``image = f(root)`` with the gradient ``solve(image, root, g)`` in place of the incoming g.

    Called in ``backward`` with gradients enabled. Source: Bai, Kolter, Koltun 2019, Theorem 1.
    """
    result: Tensor = _ImplicitGradient.apply(image, root, solve)
    return result


class _ImplicitGradient(torch.autograd.Function):
    """What :func:`implicit_gradient` applies."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, root: Tensor, solve: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(image, root)
        ctx.solve = solve
        return image.view_as(image)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        # Not once_differentiable: it says nothing where the incoming gradient is a constant, and the solution y, which
        # depends on all that f does, would pass for one too.
        if torch.is_grad_enabled():
            raise RuntimeError(
                "the implicit gradient cannot be differentiated again (create_graph=True): use gradient='phantom' or "
                "record the iterations"
            )
        image, root = ctx.saved_tensors
        with torch.enable_grad():
            y = ctx.solve(image, root, gradient)
        return y, None, None


def _resolution(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """The coarser of ``dtype`` and what autocast computes in; autocast leaves float64 alone."""
    if dtype == torch.float64 or not torch.is_autocast_enabled(device.type):
        return dtype
    return max(dtype, torch.get_autocast_dtype(device.type), key=lambda kind: torch.finfo(kind).eps)


def _users_level() -> int:
    """``stacklevel`` at which the caller's warning points out of torch and this package, at the user's line."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("torch", "ufm"):
        level, frame = level + 1, frame.f_back
    return level
