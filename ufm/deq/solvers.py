"""Fixed-point solvers ``z = f(z)``: batched, with per-sample stopping.

A solver is a function ``(f, z0, tol, max_steps) -> FixedPoint``. Samples run along the first axis; a sample that has
met the tolerance is frozen while the others go on, so its result does not depend on the rest of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ufm._validation import one_of

__all__ = ["SOLVERS", "FixedPoint", "anderson", "broyden", "fixed_point", "get_solver"]

Map = Callable[[Tensor], Tensor]
Solver = Callable[[Map, Tensor, float, int], "FixedPoint"]

#: Number of past iterates that Anderson mixing uses.
ANDERSON_MEMORY = 6

#: Anderson mixing drops a difference whose part orthogonal to newer differences is below this fraction of it.
DEPENDENT = 1e-7


@dataclass
class FixedPoint:
    """Result of a solver.

    Attributes:
        z: last iterate, shape of ``z0``.
        residuals: ``|f(z) - z| / |f(z)|`` at the returned ``z``, shape (batch,); 0 where ``f(z) = z = 0``.
        steps: evaluations of ``f`` until the sample stopped, shape (batch,), integer.
        converged: residual finite and at most the tolerance, shape (batch,).
    """

    z: Tensor
    residuals: Tensor
    steps: Tensor
    converged: Tensor


class _State:
    """Iterates as (batch, n) rows, and which samples are still active."""

    def __init__(self, f: Map, z0: Tensor, tol: float) -> None:
        self.f, self.shape, self.tol = f, z0.shape, tol
        self.z = z0.reshape(z0.shape[0], -1).clone()
        batch = len(self.z)
        self.residuals = torch.full((batch,), torch.inf, dtype=z0.dtype, device=z0.device)
        self.steps = torch.zeros(batch, dtype=torch.long, device=z0.device)
        self.active = torch.ones(batch, dtype=torch.bool, device=z0.device)
        self.num_active = batch

    def evaluate(self) -> Tensor:
        """Evaluate ``f`` at the current iterates, update residuals, freeze what has converged; returns f(z)."""
        image = self.f(self.z.view(self.shape))
        if image.shape != self.shape:
            raise ValueError(f"f must keep the shape of z, {tuple(self.shape)}, but returned {tuple(image.shape)}")
        image = image.reshape(self.z.shape)
        norm = torch.linalg.vector_norm(image, dim=1)
        # The floor makes the residual of f(0) = 0 zero instead of 0/0.
        residuals = torch.linalg.vector_norm(image - self.z, dim=1) / norm.clamp_min(torch.finfo(norm.dtype).tiny)
        self.residuals = torch.where(self.active, residuals, self.residuals)
        self.steps += self.active
        self.active = self.active & ~(residuals <= self.tol)
        self.num_active = int(self.active.sum())
        return image

    @property
    def done(self) -> bool:
        """No sample is active."""
        return self.num_active == 0

    def move(self, z: Tensor) -> None:
        """Set the iterates of the active samples."""
        self.z = z if self.num_active == len(z) else torch.where(self.active[:, None], z, self.z)

    def result(self) -> FixedPoint:
        """Package the state; NaN residuals count as not converged."""
        return FixedPoint(self.z.view(self.shape), self.residuals, self.steps, self.residuals <= self.tol)


def fixed_point(f: Map, z0: Tensor, tol: float, max_steps: int) -> FixedPoint:
    """Picard iteration ``z <- f(z)``; converges linearly at rate rho when f is a rho-contraction."""
    state = _State(f, z0, tol)
    for step in range(max_steps):
        image = state.evaluate()
        if state.done or step == max_steps - 1:
            break
        state.move(image)
    return state.result()


def anderson(f: Map, z0: Tensor, tol: float, max_steps: int) -> FixedPoint:
    """Anderson mixing, type II, over the last :data:`ANDERSON_MEMORY` iterates, per sample.

    With residuals ``g_i = f(z_i) - z_i``, ``z <- sum_i alpha_i f(z_i)`` where alpha minimises ``|sum_i alpha_i g_i|``
    subject to ``sum_i alpha_i = 1``; it is solved in the differences of successive iterates. Differences that depend
    linearly on newer ones are left out, so a singular system (repeated residuals) is no special case.

    Source: Anderson 1965; Walker and Ni 2011.
    """
    state = _State(f, z0, tol)
    image = state.evaluate()
    residual = image - state.z
    image_steps: list[Tensor] = []  # newest first
    residual_steps: list[Tensor] = []
    for _ in range(max_steps - 1):
        if state.done:
            break
        state.move(image - _mixture(residual_steps, image_steps, residual))
        previous_image, previous_residual = image, residual
        image = state.evaluate()
        residual = image - state.z
        image_steps = [image - previous_image, *image_steps[: ANDERSON_MEMORY - 2]]
        residual_steps = [residual - previous_residual, *residual_steps[: ANDERSON_MEMORY - 2]]
    return state.result()


def _mixture(residual_steps: list[Tensor], image_steps: list[Tensor], residual: Tensor) -> Tensor:
    """``sum_j gamma_j image_steps_j``, gamma minimising ``|residual - sum_j gamma_j residual_steps_j|``, per sample.

    Modified Gram-Schmidt on the residual differences, newest first, applied to the image differences alongside: after
    it ``q_j = sum_i c_ij residual_steps_i`` are orthonormal and ``p_j`` is the same combination of image differences.
    A column that keeps less than :data:`DEPENDENT` of its length is dropped.
    """
    basis: list[tuple[Tensor, Tensor]] = []
    mixture = torch.zeros_like(residual)
    for dg, df in zip(residual_steps, image_steps, strict=True):
        q, p, length = dg, df, dg.norm(dim=1, keepdim=True)
        for q_other, p_other in basis:
            coefficient = (q_other * q).sum(dim=1, keepdim=True)
            q, p = q - coefficient * q_other, p - coefficient * p_other
        kept = q.norm(dim=1, keepdim=True)
        usable = kept > DEPENDENT * length
        scale = torch.where(usable, 1 / torch.where(usable, kept, 1.0), 0.0)
        q, p = q * scale, p * scale
        basis.append((q, p))
        coefficient = (q * residual).sum(dim=1, keepdim=True)
        mixture, residual = mixture + coefficient * p, residual - coefficient * q
    return mixture


def broyden(f: Map, z0: Tensor, tol: float, max_steps: int) -> FixedPoint:
    """Good Broyden method on ``g(z) = f(z) - z`` from ``J_g = -I``, per sample, limited memory.

    The inverse Jacobian is ``-I + sum_i u_i v_i^T``, one rank-one term a step; with at most ``max_steps`` terms.

    Source: Broyden 1965; Bai, Kolter, Koltun 2019, section 3.1.3.
    """
    state = _State(f, z0, tol)
    residual = state.evaluate() - state.z
    us: list[Tensor] = []
    vs: list[Tensor] = []

    def inverse(x: Tensor) -> Tensor:
        return -x if not us else -x + _combine(us, vs, x)

    def inverse_transposed(x: Tensor) -> Tensor:
        return -x if not us else -x + _combine(vs, us, x)

    for _ in range(max_steps - 1):
        if state.done:
            break
        before = state.z
        state.move(before - inverse(residual))
        step = state.z - before
        new_residual = state.evaluate() - state.z
        change = new_residual - residual
        v = inverse_transposed(step)
        denominator = (v * change).sum(dim=1, keepdim=True)
        # No update where the secant condition is degenerate: frozen samples and exact repetitions.
        usable = denominator.abs() > torch.finfo(step.dtype).eps * v.norm(dim=1, keepdim=True) * change.norm(
            dim=1, keepdim=True
        )
        u = torch.where(usable, (step - inverse(change)) / torch.where(usable, denominator, 1.0), 0.0)
        us.append(u)
        vs.append(torch.where(usable, v, 0.0))
        residual = new_residual
    return state.result()


def _combine(left: list[Tensor], right: list[Tensor], x: Tensor) -> Tensor:
    """``sum_i left_i (right_i . x)`` per sample."""
    coefficients = torch.einsum("kbn,bn->kb", torch.stack(right), x)
    return torch.einsum("kb,kbn->bn", coefficients, torch.stack(left))


_SOLVERS: dict[str, Solver] = {"fixed_point": fixed_point, "anderson": anderson, "broyden": broyden}

#: Names accepted by :func:`get_solver`.
SOLVERS = tuple(_SOLVERS)


def get_solver(name: str) -> Solver:
    """The solver called ``name``; ValueError when there is none."""
    return _SOLVERS[one_of("solver", name, SOLVERS)]
