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

#: Number of past differences that Anderson mixing uses.
MEMORY = 8

#: Number of rank-one terms that Broyden's method keeps.
BROYDEN_MEMORY = 24

#: A difference is left out if its part orthogonal to the kept ones, or Broyden's denominator, is below this fraction.
DEPENDENT = 1e-7

#: An accelerated iterate is lost when its residual is this many times the best one.
GROWTH = 10.0


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


class _Safeguard:
    """Sends a sample whose acceleration goes astray back to its best iterate, with an empty memory.

    A plain step from the best iterate follows, so a contraction converges whatever the acceleration does in between.
    """

    def __init__(self, patience: int, image: Tensor, residual: Tensor) -> None:
        self.patience = patience
        self.image, self.residual = image, residual
        self.norm = torch.full_like(residual[:, 0], torch.inf)
        self.stale = torch.zeros_like(self.norm, dtype=torch.long)

    def check(self, image: Tensor, residual: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """``(image, residual, lost)``, the first two those of the best iterate where the sample is lost.

        ``lost`` has shape (batch,), or is None when no sample is.
        """
        norm = torch.linalg.vector_norm(residual, dim=1)
        better = norm < self.norm
        self.norm = torch.where(better, norm, self.norm)
        self.stale = torch.where(better, 0, self.stale + 1)
        self.image = torch.where(better[:, None], image, self.image)
        self.residual = torch.where(better[:, None], residual, self.residual)
        # Written so that NaN counts as lost.
        lost = ~(norm <= GROWTH * self.norm) | (self.stale >= self.patience)
        if not bool(lost.any()):
            return image, residual, None
        # What comes next need not beat this iterate: where f expands, that would loop for ever.
        self.norm = torch.where(lost, torch.inf, self.norm)
        self.stale = torch.where(lost, 0, self.stale)
        image = torch.where(lost[:, None], self.image, image)
        residual = torch.where(lost[:, None], self.residual, residual)
        return image, residual, lost


def anderson(f: Map, z0: Tensor, tol: float, max_steps: int) -> FixedPoint:
    """Anderson mixing, type II, with :data:`MEMORY` differences, per sample.

    With residuals ``g_i = f(z_i) - z_i``, ``z <- sum_i alpha_i f(z_i)`` where alpha minimises ``|sum_i alpha_i g_i|``
    subject to ``sum_i alpha_i = 1``. It is solved in the differences of successive residuals, kept orthonormal by
    Gram-Schmidt with the differences of f(z) carried along; a new pair replaces the oldest. On a linear map this is
    GCR, truncated as in ORTHOMIN. A difference that depends linearly on the kept ones is left out, so a singular system
    (repeated residuals) is no special case. A sample that goes astray starts again from its best iterate.

    Source: Anderson 1965; Walker and Ni 2011; Eisenstat, Elman, Schultz 1983 (ORTHOMIN).
    """
    state = _State(f, z0, tol)
    image = state.evaluate()
    residual = image - state.z
    batch, n = image.shape
    memory = min(MEMORY, n)
    guard = _Safeguard(2 * memory, image, residual)
    residual_basis = image.new_zeros(batch, memory, n)
    image_basis = image.new_zeros(batch, memory, n)
    for step in range(max_steps - 1):
        if state.done:
            break
        coefficients = _rows_times(residual_basis, residual)
        state.move(image - _combination(coefficients, image_basis))
        previous_image, previous_residual = image, residual
        image = state.evaluate()
        residual = image - state.z
        slot = step % memory
        residual_basis[:, slot] = 0
        image_basis[:, slot] = 0
        q, p = residual - previous_residual, image - previous_image
        length = torch.linalg.vector_norm(q, dim=1, keepdim=True)
        for _ in range(2):  # twice is enough (Kahan): q is then orthogonal to rounding
            coefficients = _rows_times(residual_basis, q)
            q, p = q - _combination(coefficients, residual_basis), p - _combination(coefficients, image_basis)
        kept = torch.linalg.vector_norm(q, dim=1, keepdim=True)
        usable = kept > DEPENDENT * length
        scale = torch.where(usable, 1 / torch.where(usable, kept, 1.0), 0.0)
        residual_basis[:, slot] = torch.where(usable, q * scale, 0.0)
        image_basis[:, slot] = torch.where(usable, p * scale, 0.0)
        image, residual, lost = guard.check(image, residual)
        if lost is not None:
            residual_basis[lost] = 0
            image_basis[lost] = 0
    return state.result()


def _rows_times(rows: Tensor, x: Tensor) -> Tensor:
    """Inner products (b, m) of the rows (b, m, n) with x (b, n)."""
    return (rows @ x[:, :, None])[:, :, 0]


def _combination(coefficients: Tensor, rows: Tensor) -> Tensor:
    """``sum_j coefficients_j rows_j``, shapes (b, m), (b, m, n) -> (b, n)."""
    return (coefficients[:, :, None] * rows).sum(dim=1)


def broyden(f: Map, z0: Tensor, tol: float, max_steps: int) -> FixedPoint:
    """Good Broyden method on ``g(z) = f(z) - z`` from ``J_g = -I``, per sample.

    The inverse Jacobian is ``-I + sum_i u_i v_i^T`` with the last :data:`BROYDEN_MEMORY` rank-one terms. A sample that
    goes astray starts again from its best iterate.

    Source: Broyden 1965; Bai, Kolter, Koltun 2019, section 3.1.3.
    """
    state = _State(f, z0, tol)
    image = state.evaluate()
    residual = image - state.z
    batch, n = image.shape
    memory = min(BROYDEN_MEMORY, max_steps)
    guard = _Safeguard(2 * min(MEMORY, n), image, residual)
    us = image.new_zeros(batch, memory, n)
    vs = image.new_zeros(batch, memory, n)
    z = state.z
    for i in range(max_steps - 1):
        if state.done:
            break
        state.move(z + residual - _combination(_rows_times(vs, residual), us))
        step = state.z - z
        image = state.evaluate()
        change = image - state.z - residual
        z, residual = state.z, image - state.z
        slot = i % memory
        us[:, slot] = 0
        vs[:, slot] = 0
        v = -step + _combination(_rows_times(us, step), vs)
        denominator = (v * change).sum(dim=1, keepdim=True)
        size = torch.linalg.vector_norm(v, dim=1) * torch.linalg.vector_norm(change, dim=1)
        # No update where the secant condition is degenerate: frozen samples, exact repetitions, overflow.
        usable = denominator.abs() > DEPENDENT * size[:, None]
        u = step + change - _combination(_rows_times(vs, change), us)
        us[:, slot] = torch.where(usable, u / torch.where(usable, denominator, 1.0), 0.0)
        vs[:, slot] = torch.where(usable, v, 0.0)
        image, residual, lost = guard.check(image, residual)
        if lost is not None:
            z = image - residual
            us[lost] = 0
            vs[lost] = 0
    return state.result()


_SOLVERS: dict[str, Solver] = {"fixed_point": fixed_point, "anderson": anderson, "broyden": broyden}

#: Names accepted by :func:`get_solver`.
SOLVERS = tuple(_SOLVERS)


def get_solver(name: str) -> Solver:
    """The solver called ``name``; ValueError when there is none."""
    return _SOLVERS[one_of("solver", name, SOLVERS)]
