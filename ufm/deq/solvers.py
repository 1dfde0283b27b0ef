"""Fixed-point solvers ``z = f(z)``: batched, with per-sample stopping.

A solver is a function ``(f, z0, tol, max_steps, relative=None) -> FixedPoint``. Samples run along the first axis; a
sample that has met the tolerance is frozen while the others go on, so its result does not depend on the rest of the
batch. Below float32 the solver computes in float32 and rounds only the points at which it evaluates ``f``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ufm._extras import optional
from ufm._validation import one_of

with optional("deq"):
    import torch
    from torch import Tensor

__all__ = ["SOLVERS", "FixedPoint", "anderson", "broyden", "fixed_point", "get_solver", "minimal_tolerance"]

Map = Callable[[Tensor], Tensor]

#: Relative residuals (batch,) of the problem itself, from rows z and f(z), where f only serves to solve it.
Relative = Callable[[Tensor, Tensor], Tensor]

#: Number of past differences that Anderson mixing uses.
MEMORY = 8

#: Number of rank-one terms that Broyden's method keeps.
BROYDEN_MEMORY = 24

#: A difference is left out if its part orthogonal to the kept ones, or Broyden's denominator, is below this fraction.
DEPENDENT = 1e-7

#: A difference of residuals is rounding when it is below this many times the epsilon of f, relative to f(z).
ROUNDING = 2.0

#: A sample has run away when |f(z)| is this many times what it was at the start and the large residuals since.
RUNAWAY = 100.0

#: An accelerated iterate is lost when its residual is this many times the best one.
GROWTH = 10.0

#: Below this many entries of a sample's memory a product and a sum on the CPU are quicker than a batched product.
FEW = 400


def minimal_tolerance(dtype: torch.dtype) -> float:
    """Smallest relative residual that a map evaluated in ``dtype`` resolves: four times its epsilon.

    8.9e-16 in float64, 4.8e-7 in float32, 3.9e-3 in float16, 3.1e-2 in bfloat16. A map of two or three roundings moves
    by that much when its argument moves by nothing; residuals below say more about rounding than about the equilibrium.

    Args:
        dtype: floating point.
    """
    return 4 * torch.finfo(dtype).eps


@dataclass
class FixedPoint:
    """Result of a solver.

    Attributes:
        z: last iterate, shape and dtype of ``z0``.
        residuals: ``|f(z) - z| / |f(z)|`` at the returned ``z``, shape (batch,); 0 where ``f(z) = z = 0``. Of a sample
            that has run away, see :class:`_State`, more.
        steps: evaluations of ``f`` until the sample stopped, shape (batch,), integer.
        converged: residual finite and at most the tolerance, shape (batch,).
        dtype: in which ``f`` returned its values.
    """

    z: Tensor
    residuals: Tensor
    steps: Tensor
    converged: Tensor
    dtype: torch.dtype


class Solver(Protocol):
    """What the solvers below are."""

    def __call__(
        self, f: Map, z0: Tensor, tol: float, max_steps: int, relative: Relative | None = None, /
    ) -> FixedPoint:
        """Solve ``z = f(z)``."""


class _State:
    """Iterates as (batch, n) rows, and which samples are frozen.

    Where there is no fixed point iterates run away, as of ``f(z) = z + b``, and a residual that stays what it was
    becomes small beside them. So let m be the largest of ``|z_0|``, ``|f(z_0)|`` and the residuals ``|f(z_k) - z_k|``
    above ``|f(z_k)|/100``: the size that residuals are relative to is at most ``100 m``, and no residual beyond it
    counts as smaller than the rounding of f(z). What this asks of a fixed point farther than 100 m is a smaller
    residual.
    """

    def __init__(self, f: Map, z0: Tensor, tol: float, relative: Relative | None) -> None:
        self.f, self.shape, self.dtype, self.relative = f, z0.shape, z0.dtype, relative
        rows = z0.reshape(z0.shape[0], z0.shape[1:].numel())
        self.z = rows.to(torch.promote_types(z0.dtype, torch.float32), copy=True)
        self.flat = rows.shape == z0.shape
        #: As the comparison with residuals rounds it: that of their least must not differ.
        self.tol = torch.tensor(tol, dtype=self.z.dtype).item()
        self.batch, self.num_frozen = len(rows), 0
        self.residuals = torch.full((self.batch,), torch.inf, dtype=self.z.dtype, device=z0.device)
        self.norm = self.size = self.residuals
        self.largest = torch.linalg.vector_norm(self.z, dim=1)
        self.tiny = torch.finfo(self.z.dtype).tiny
        self.count = 0
        #: Which samples have met the tolerance, None while none has; evaluations since they did.
        self.frozen: Tensor | None = None
        self.idle = torch.zeros(self.batch, dtype=torch.long, device=z0.device)
        self.seen = z0.dtype

    def evaluate(self) -> tuple[Tensor, Tensor]:
        """``f(z)`` and ``f(z) - z`` at the current iterates; updates residuals, freezes what has converged."""
        point = z = self.z
        if self.dtype != z.dtype:
            point = z.to(self.dtype)
            self.z = z = point.to(z.dtype)
        image = self.f(point if self.flat else point.view(self.shape))
        check_image(image, self.shape)
        self.seen = image.dtype
        if not self.flat:
            image = image.reshape(z.shape)
        if image.dtype != z.dtype:
            image = image.to(z.dtype)
        residual = image - z
        self.norm = torch.linalg.vector_norm(residual, dim=1)
        # The floor makes the residual of f(0) = 0 zero instead of 0/0.
        self.size = torch.linalg.vector_norm(image, dim=1).clamp_min_(self.tiny)
        if not self.count:
            self.largest = torch.maximum(self.largest, self.size)
        self.count += 1
        if not self.batch:
            return image, residual
        residuals = self.norm / self.size if self.relative is None else self.relative(z, image)
        if self.frozen is not None:
            residuals = torch.where(self.frozen, self.residuals, residuals)
            self.idle += self.frozen
        self.residuals = residuals
        # One look at both ends spares most steps the masks; NaN is at both, and compares as false.
        least, most = (float(end) for end in torch.aminmax(residuals))
        if not most <= 1 / RUNAWAY and self.relative is None:
            # A small part of a far f(z) says nothing of the problem: it may be rounding.
            self.largest = torch.where(self.norm > self.size / RUNAWAY, self.largest.maximum(self.norm), self.largest)
        if self.frozen is None and least > self.tol:
            return image, residual
        met = residuals <= self.tol
        number = int(met.sum())
        if number != self.num_frozen and self.relative is None:
            bound = RUNAWAY * self.largest
            far = met & (self.size > bound)
            if bool(far.any()):
                rounding = torch.finfo(self.seen).eps * self.size
                self.residuals = torch.where(far, torch.maximum(self.norm, rounding) / bound, residuals)
                met = self.residuals <= self.tol
                number = int(met.sum())
        if number:
            self.frozen, self.num_frozen = met, number
        return image, residual

    @property
    def done(self) -> bool:
        """Every sample is frozen."""
        return self.num_frozen == self.batch

    def resolves(self, change: Tensor) -> Tensor:
        """Whether norms (batch, 1) of differences of residuals are more than the rounding of f(z)."""
        return change > ROUNDING * torch.finfo(self.seen).eps * self.size[:, None]

    def move(self, z: Tensor) -> None:
        """Set the iterates of the samples that are not frozen."""
        self.z = z if self.frozen is None else torch.where(self.frozen[:, None], self.z, z)

    def result(self) -> FixedPoint:
        """Package the state; NaN residuals count as not converged."""
        z = self.z.to(self.dtype).view(self.shape)
        return FixedPoint(z, self.residuals, self.count - self.idle, self.residuals <= self.tol, self.seen)


def fixed_point(f: Map, z0: Tensor, tol: float, max_steps: int, relative: Relative | None = None, /) -> FixedPoint:
    """Picard iteration ``z <- f(z)``; converges linearly at rate rho when f is a rho-contraction.

    Source: Banach 1922.
    """
    state = _State(f, z0, tol, relative)
    for step in range(max_steps):
        image = state.evaluate()[0]
        if state.done or step == max_steps - 1:
            break
        state.move(image)
    return state.result()


class _Safeguard:
    """Sends a sample whose acceleration goes astray back to its best iterate, with an empty memory.

    A plain step from the best iterate follows, so a contraction converges whatever the acceleration does in between.
    """

    def __init__(self, patience: int, state: _State, image: Tensor, residual: Tensor) -> None:
        self.patience, self.state = patience, state
        self.image, self.residual = image, residual
        self.norm = torch.full_like(state.norm, torch.inf)
        self.stale = torch.zeros_like(self.norm, dtype=torch.long)

    def check(self, image: Tensor, residual: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """``(image, residual, lost)``, the first two those of the best iterate where the sample is lost.

        ``lost`` has shape (batch,), or is None when no sample is. Frozen samples are never lost.
        """
        norm = self.state.norm
        better = norm < self.norm
        frozen = self.state.frozen
        if frozen is not None:
            better |= frozen
        if bool(better.all()):
            self.norm, self.image, self.residual = norm, image, residual
            self.stale.zero_()
            return image, residual, None
        self.norm = torch.where(better, norm, self.norm)
        self.stale = torch.where(better, 0, self.stale + 1)
        self.image = torch.where(better[:, None], image, self.image)
        self.residual = torch.where(better[:, None], residual, self.residual)
        # Written so that NaN counts as lost.
        lost = ~(norm <= GROWTH * self.norm) | (self.stale >= self.patience)
        if frozen is not None:
            lost &= ~frozen
        if not bool(lost.any()):
            return image, residual, None
        # What comes next need not beat this iterate: where f expands, that would loop for ever.
        self.norm = torch.where(lost, torch.inf, self.norm)
        self.stale = torch.where(lost, 0, self.stale)
        image = torch.where(lost[:, None], self.image, image)
        residual = torch.where(lost[:, None], self.residual, residual)
        return image, residual, lost


def anderson(f: Map, z0: Tensor, tol: float, max_steps: int, relative: Relative | None = None, /) -> FixedPoint:
    """Anderson mixing, type II, with :data:`MEMORY` differences, per sample.

    With residuals ``g_i = f(z_i) - z_i``, ``z <- sum_i alpha_i f(z_i)`` where alpha minimises ``|sum_i alpha_i g_i|``
    subject to ``sum_i alpha_i = 1``. It is solved in the differences of successive residuals, kept orthonormal by
    Gram-Schmidt with the differences of f(z) carried along; a new pair replaces the oldest. On a linear map this is
    GCR, truncated as in ORTHOMIN. A difference that depends linearly on the kept ones is left out, so a singular system
    (repeated residuals) is no special case. A sample that goes astray starts again from its best iterate.

    Source: Anderson 1965; Walker and Ni 2011; Eisenstat, Elman, Schultz 1983 (ORTHOMIN).
    """
    state = _State(f, z0, tol, relative)
    image, residual = state.evaluate()
    batch, n = image.shape
    memory = min(MEMORY, n)
    guard = _Safeguard(2 * memory, state, image, residual)
    all_residuals = image.new_zeros(batch, memory, n)
    all_images = image.new_zeros(batch, memory, n)
    residual_basis, image_basis = all_residuals[:, :0], all_images[:, :0]
    coefficients = image.new_zeros(batch, 0)  # of the residual in the basis
    for step in range(max_steps - 1):
        if state.done:
            break
        state.move(_minus(image, coefficients, image_basis))
        previous_image, previous_residual = image, residual
        image, residual = state.evaluate()
        if state.done:
            break
        slot = step % memory
        if step >= memory:
            all_residuals[:, slot] = 0
            all_images[:, slot] = 0
            coefficients[:, slot] = 0
        q = residual - previous_residual
        length = torch.linalg.vector_norm(q, dim=1, keepdim=True)
        # Gram-Schmidt, twice: q is then orthogonal to rounding (Kahan). The first inner products are differences of
        # those that the next step needs anyway, and the images follow once.
        now = _rows_times(residual_basis, residual)
        first = now - coefficients
        q = _minus(q, first, residual_basis)
        second = _rows_times(residual_basis, q)
        q = _minus(q, second, residual_basis)
        p = _minus(image - previous_image, first + second, image_basis)
        kept = torch.linalg.vector_norm(q, dim=1, keepdim=True)
        usable = (kept > DEPENDENT * length) & state.resolves(length)
        q, p = q / kept, p / kept
        if not bool(usable.all()):
            q, p = torch.where(usable, q, 0.0), torch.where(usable, p, 0.0)
        all_residuals[:, slot] = q
        all_images[:, slot] = p
        along = torch.linalg.vecdot(q, residual)
        if step < memory:
            coefficients = torch.cat([now, along[:, None]], dim=1)
            residual_basis, image_basis = all_residuals[:, : step + 1], all_images[:, : step + 1]
        else:
            coefficients = now
            coefficients[:, slot] = along
        image, residual, lost = guard.check(image, residual)
        if lost is not None:
            all_residuals[lost] = 0
            all_images[lost] = 0
            coefficients[lost] = 0
    return state.result()


def _rows_times(rows: Tensor, x: Tensor) -> Tensor:
    """Inner products (b, m) of the rows (b, m, n) with x (b, n)."""
    return (x[:, None, :] @ rows.mT)[:, 0]


def _minus(x: Tensor, coefficients: Tensor, rows: Tensor) -> Tensor:
    """``x - sum_j coefficients_j rows_j``, shapes (b, n), (b, m), (b, m, n) -> (b, n)."""
    if rows[0:1].numel() < FEW and x.device.type == "cpu":
        return x - (coefficients[:, :, None] * rows).sum(dim=1)
    return torch.baddbmm(x[:, None], coefficients[:, None], rows, alpha=-1)[:, 0]


def broyden(f: Map, z0: Tensor, tol: float, max_steps: int, relative: Relative | None = None, /) -> FixedPoint:
    """Good Broyden method on ``g(z) = f(z) - z`` from ``J_g = -I``, per sample.

    The inverse Jacobian is ``-I + sum_i u_i v_i^T`` with the last :data:`BROYDEN_MEMORY` rank-one terms. A sample that
    goes astray starts again from its best iterate.

    Source: Broyden 1965; Bai, Kolter, Koltun 2019, section 3.1.3.
    """
    state = _State(f, z0, tol, relative)
    image, residual = state.evaluate()
    batch, n = image.shape
    memory = min(BROYDEN_MEMORY, max_steps)
    guard = _Safeguard(2 * min(MEMORY, n), state, image, residual)
    all_us = image.new_zeros(batch, memory, n)
    all_vs = image.new_zeros(batch, memory, n)
    z = state.z
    for i in range(max_steps - 1):
        if state.done:
            break
        slot, filled = i % memory, min(i, memory)
        us, vs = all_us[:, :filled], all_vs[:, :filled]
        # The step is -H g with the inverse Jacobian H; z itself may differ where the sample is frozen.
        state.move(_minus(z + residual, _rows_times(vs, residual), us))
        step = state.z - z
        previous = residual
        image, residual = state.evaluate()
        if state.done:
            break
        change, z = residual - previous, state.z
        if i >= memory:
            all_us[:, slot] = 0
            all_vs[:, slot] = 0
        v = _minus(-step, -_rows_times(us, step), vs)
        denominator = torch.linalg.vecdot(v, change)[:, None]
        length = torch.linalg.vector_norm(change, dim=1, keepdim=True)
        size = torch.linalg.vector_norm(v, dim=1, keepdim=True) * length
        # No update where the secant condition is degenerate: frozen samples, repetitions, overflow.
        usable = (denominator.abs() > DEPENDENT * size) & state.resolves(length)
        u = _minus(step + change, _rows_times(vs, change), us)
        u = u / denominator
        if not bool(usable.all()):
            u, v = torch.where(usable, u, 0.0), torch.where(usable, v, 0.0)
        all_us[:, slot] = u
        all_vs[:, slot] = v
        image, residual, lost = guard.check(image, residual)
        if lost is not None:
            z = image - residual
            all_us[lost] = 0
            all_vs[lost] = 0
    return state.result()


def check_map(f: Any) -> None:
    """TypeError where f cannot be called."""
    if not callable(f):
        raise TypeError(f"f must be a map of tensors, got {f!r}")


def check_image(image: Any, shape: torch.Size) -> None:
    """TypeError or ValueError where f(z) is no floating-point tensor of the shape of z."""
    if not isinstance(image, Tensor) or not image.is_floating_point():
        raise TypeError(f"f must return a floating-point tensor, got {describe(image)}")
    if image.shape != shape:
        raise ValueError(f"f must keep the shape of z, {tuple(shape)}, but returned {tuple(image.shape)}")


def describe(value: Any) -> str:
    """A value in a message: a tensor by its dtype."""
    return f"a tensor of dtype {value.dtype}" if isinstance(value, Tensor) else repr(value)


_SOLVERS: dict[str, Solver] = {"fixed_point": fixed_point, "anderson": anderson, "broyden": broyden}

#: Names accepted by :func:`get_solver`.
SOLVERS = tuple(_SOLVERS)


def get_solver(name: str) -> Solver:
    """The solver called ``name``; ValueError when there is none."""
    return _SOLVERS[one_of("solver", name, SOLVERS)]
