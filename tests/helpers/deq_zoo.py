"""Hard cells for the DEQ layer: maps ``f(z, p)`` with a parameter p, where to start, and what is true of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

ALL = ("fixed_point", "anderson", "broyden")
ACCELERATED = ("anderson", "broyden")


@dataclass(frozen=True)
class Cell:
    """A hard cell.

    Attributes:
        f: map ``f(z, p)``.
        p: parameter, whose gradient is asked for.
        z0: start.
        exact: the fixed point to be found; None: there is none, or one may be found or not.
        exists: whether there is a fixed point at all.
        solved_by: solvers that must find it.
        settings: of the layer.
    """

    f: Callable[[Tensor, Tensor], Tensor]
    p: Tensor
    z0: Tensor
    exact: Tensor | None = None
    exists: bool = True
    solved_by: tuple[str, ...] = ALL
    settings: dict[str, Any] = field(default_factory=dict)


def draw(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def orthogonal(seed: int, n: int) -> Tensor:
    return torch.linalg.qr(draw(seed, n, n))[0]


def linear(a: Tensor, h: Tensor, **options: Any) -> Cell:
    """``z = z A^T + h``, solved in float64."""
    wide = a.double()
    exact = torch.linalg.solve(torch.eye(len(a), dtype=torch.float64) - wide, h.double().T).T
    return Cell(lambda z, p: z @ a.T + p, h, torch.zeros_like(h), exact.to(h.dtype), **options)


def chain() -> Cell:
    """A graph of three nodes, the rows; the last one moves only when the one before has."""
    a = torch.tensor([[0.5, 0, 0], [0.9, 0, 0], [0, 0.9, 0]])
    return Cell(
        lambda z, p: torch.relu(a @ z + p),
        torch.tensor([1.0, -0.5, -0.5]),
        torch.zeros(3),
        torch.tensor([2.0, 1.3, 0.67]),
    )


def long_chain() -> Cell:
    """Twelve nodes with two features; row k waits for row k - 1."""
    n = 12
    a = 0.9 * torch.diag(torch.ones(n - 1, dtype=torch.float64), -1)
    a[0, 0] = 0.5
    p = torch.full((n, 2), -0.05, dtype=torch.float64)
    p[0] = 2.0
    exact = torch.zeros(n, 2, dtype=torch.float64)
    for _ in range(300):
        exact = torch.relu(a @ exact + p)
    return Cell(lambda z, q: torch.relu(a @ z + q), p, torch.zeros(n, 2, dtype=torch.float64), exact)


def graph() -> Cell:
    """Rows mixed by a symmetric matrix of norm .9, columns by another."""
    mix, a = 0.9 * orthogonal(0, 8), orthogonal(1, 3)
    mix = (mix + mix.T) / 2
    mix = 0.9 * mix / torch.linalg.matrix_norm(mix, 2)
    p = draw(2, 8, 3)
    exact = torch.linalg.solve(torch.eye(24, dtype=p.dtype) - torch.kron(mix, a), p.reshape(24)).view(8, 3)
    return Cell(lambda z, q: mix @ z @ a.T + q, p, torch.zeros_like(p), exact, settings={"max_steps": 500})


def saturated_graph() -> Cell:
    """Rows that are held come nearer while the others go on."""
    rng = np.random.default_rng(7)
    mix, p = torch.from_numpy(rng.standard_normal((6, 6))), torch.from_numpy(rng.standard_normal((6, 4)))
    mix = 0.9 * mix / torch.linalg.matrix_norm(mix, 2)
    exact = torch.zeros_like(p)
    for _ in range(2000):
        exact = torch.tanh(mix @ exact + p)
    return Cell(lambda z, q: torch.tanh(mix @ z + q), p, torch.zeros_like(p), exact, settings={"max_steps": 500})


def mean_field() -> Cell:
    """Every row feels the mean of all, as in batch normalisation."""
    p = draw(3, 6, 4)
    exact = torch.zeros_like(p)
    for _ in range(200):
        exact = torch.tanh(0.5 * exact.mean(dim=0) + 0.3 * exact + p)
    return Cell(lambda z, q: torch.tanh(0.5 * z.mean(dim=0) + 0.3 * z + q), p, torch.zeros_like(p), exact)


def far_in_float32() -> Cell:
    """The fixed point is a thousand times as far as f(0)."""
    h = draw(4, 2, 3).float()
    return Cell(lambda z, p: 0.999 * z + p, h, torch.zeros_like(h), 1000 * h, solved_by=ACCELERATED)


def at_the_far_one() -> Cell:
    """Started where f(z) = z bit for bit."""
    h = torch.ones(2, 3)
    return Cell(lambda z, p: 0.999 * z + p, h, torch.full((2, 3), 1000.0), 1000 * h)


def jordan(n: int, value: float) -> Cell:
    """Far from normal: the fixed point is up to (1 - value)^-n as far as f(0)."""
    a = value * torch.eye(n, dtype=torch.float64) + torch.diag(torch.ones(n - 1, dtype=torch.float64), 1)
    return linear(a, torch.ones(1, n, dtype=torch.float64), settings={"tol": 1e-10, "max_steps": 3000})


def symmetric(n: int) -> Cell:
    """Eigenvalues over [-.999, .999]: slow, and with both signs."""
    q = orthogonal(n, n)
    a = (q * torch.linspace(-0.999, 0.999, n, dtype=torch.float64)) @ q.T
    settings = {"tol": 1e-10, "max_steps": 60}
    return linear(a, draw(n + 1, 2, n), solved_by=ACCELERATED if n <= 16 else (), settings=settings)


def slow(n: int) -> Cell:
    """All eigenvalues just below 1: rank-one updates of -I are rounding."""
    q = orthogonal(n + 18, n)
    a = (q * torch.linspace(0.99, 0.9999, n, dtype=torch.float64)) @ q.T
    return linear(a, draw(n + 19, 2, n), solved_by=ACCELERATED, settings={"tol": 1e-10, "max_steps": 300})


def rotation() -> Cell:
    """Turns by a right angle, and shrinks by a hundredth."""
    turn = 0.99 * torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    return linear(torch.block_diag(turn, turn), draw(5, 3, 4), settings={"tol": 1e-9, "max_steps": 3000})


def growing(n: int) -> Cell:
    """``z = 2 relu(z) - .001 z^2 + .001``: the residual grows a hundred thousand times before it falls."""
    root = (1 + (1 + 4e-6) ** 0.5) / 2e-3
    return Cell(
        lambda z, p: 2 * torch.relu(z) - 1e-3 * z**2 + p,
        torch.full((2, n), 1e-3, dtype=torch.float64),
        torch.zeros(2, n, dtype=torch.float64),
        torch.full((2, n), root, dtype=torch.float64),
    )


def expanding() -> Cell:
    """Plain steps run away; accelerated ones need not."""
    return linear(-3 * torch.eye(4, dtype=torch.float64), draw(6, 3, 4), solved_by=ACCELERATED)


def tiny(scale: float, dtype: torch.dtype) -> Cell:
    """Squares of what is iterated underflow."""
    a = 0.9 * orthogonal(7, 5)
    h = draw(8, 3, 5)
    cell = linear(a.to(dtype), h.to(dtype), settings={"max_steps": 300})
    return Cell(
        lambda z, p: z @ a.to(dtype).T + p, (scale * h).to(dtype), cell.z0, scale * cell.exact, True, ALL, cell.settings
    )


def huge() -> Cell:
    """Squares overflow."""
    a, h = 0.9 * orthogonal(9, 4), draw(10, 2, 4)
    cell = linear(a, h, settings={"max_steps": 300})
    return Cell(lambda z, p: z @ a.T + p, 1e200 * h, cell.z0, 1e200 * cell.exact, True, ALL, cell.settings)


def buffered() -> Cell:
    """Returns the same buffer at every call, as captured graphs do."""
    h, buffer = draw(11, 2, 3), torch.empty(2, 3, dtype=torch.float64)

    def f(z: Tensor, p: Tensor) -> Tensor:
        image = 0.8 * torch.sin(z) + p
        return image if torch.is_grad_enabled() else buffer.copy_(image)

    exact = torch.zeros_like(h)
    for _ in range(300):
        exact = 0.8 * torch.sin(exact) + h
    return Cell(f, h, torch.zeros_like(h), exact)


def writing() -> Cell:
    """Writes into its argument, and returns it."""
    h = draw(12, 2, 3)
    return Cell(lambda z, p: z.mul_(0.8).add_(p), h, torch.zeros_like(h), 5 * h)


def kinked() -> Cell:
    """A leaky absolute value: differences of residuals say the wrong thing on either side."""
    h = draw(13, 4, 6)
    a = 0.95 * orthogonal(14, 6)
    exact = torch.zeros_like(h)
    for _ in range(2000):
        exact = (exact @ a.T).abs() * 0.9 + h
    return Cell(lambda z, p: (z @ a.T).abs() * 0.9 + p, h, torch.zeros_like(h), exact, settings={"max_steps": 400})


def steep() -> Cell:
    """A sample that stops at once beside one that takes long."""
    rates = torch.tensor([[0.0], [0.5], [0.99]], dtype=torch.float64)
    h = draw(15, 3, 4)
    return Cell(lambda z, p: rates * z + p, h, torch.zeros_like(h), h / (1 - rates), settings={"max_steps": 3000})


def from_zero_rows() -> Cell:
    """Samples whose fixed point is 0 from the start."""
    h = draw(16, 3, 4)
    h[1] = 0
    a = 0.7 * orthogonal(17, 4)
    exact = torch.zeros_like(h)
    for _ in range(300):
        exact = torch.tanh(exact @ a.T) + h
    return Cell(lambda z, p: torch.tanh(z @ a.T) + p, h, torch.zeros_like(h), exact)


def iterated(f: Callable[[Tensor, Tensor], Tensor], p: Tensor, z0: Tensor, steps: int = 3000, **options: Any) -> Cell:
    """A cell whose plain iteration ends at the fixed point, after so many steps."""
    exact = z0
    for _ in range(steps):
        exact = f(exact.clone(), p)
    return Cell(f, p, z0, exact, **options)


def attention() -> Cell:
    """Every row attends to all."""
    q, k, v = (orthogonal(seed, 4) for seed in (20, 21, 22))

    def f(z: Tensor, p: Tensor) -> Tensor:
        return 0.5 * torch.softmax((z @ q) @ (z @ k).T / 2, dim=1) @ (z @ v) + p

    return iterated(f, draw(23, 6, 4), torch.zeros(6, 4, dtype=torch.float64), settings={"max_steps": 400})


def batch_normalised() -> Cell:
    """Rows are centred and scaled by all of them."""
    p = draw(24, 8, 3)

    def f(z: Tensor, p: Tensor) -> Tensor:
        return torch.tanh(0.5 * (z - z.mean(0)) / (z.var(0) + 0.01).sqrt() + p)

    return iterated(f, p, 0.1 * draw(25, 8, 3), settings={"max_steps": 400})


def ring() -> Cell:
    """Each row hands on to the next, and one has something to hand on."""
    p = torch.zeros(10, 2, dtype=torch.float64)
    p[0] = 1
    return iterated(lambda z, p: 0.8 * z.roll(1, 0) + p, p, torch.zeros_like(p), settings={"max_steps": 400})


def late() -> Cell:
    """Two rows are at their ends before the third is so far that the first depends on it."""
    p = torch.tensor([[0.0], [0.0], [1.0]], dtype=torch.float64)
    first = torch.tensor([[1.0], [0.0], [0.0]], dtype=torch.float64)
    return iterated(lambda z, p: 0.5 * z + p + first * torch.relu(z[-1:] - 1.9), p, torch.zeros_like(p))


def circle() -> Cell:
    """Eigenvalues on a circle of radius .99, two a turn of pi/10: residuals stand still until all are seen."""
    angles = [torch.tensor(torch.pi * (k + 0.5) / 10) for k in range(10)]
    turns = [torch.stack((torch.stack((t.cos(), -t.sin())), torch.stack((t.sin(), t.cos())))) for t in angles]
    a = 0.99 * torch.block_diag(*turns).double()
    return linear(a, draw(26, 2, 20), settings={"max_steps": 3000})


def nilpotent(n: int) -> Cell:
    """A shift: plain steps end after n of them, and a truncated memory of differences takes many times that."""
    shift = torch.diag(torch.ones(n - 1, dtype=torch.float64), 1)
    return linear(shift, draw(1, 2, n), settings={"max_steps": 300 + 3 * n})


def mixed_scales() -> Cell:
    """Entries of one sample from 1e-8 to 1e8."""
    a = torch.diag(torch.tensor([0.9, 0.5, 0.1, -0.9], dtype=torch.float64))
    return linear(a, torch.tensor([[1e-8, 1e8, 1.0, 1e-3]], dtype=torch.float64), settings={"tol": 1e-10})


def expanded() -> Cell:
    """The image has one number a sample in its memory."""
    p = draw(28, 4, 1)
    z0 = torch.zeros(1, 1, dtype=torch.float64).expand(4, 5)
    return iterated(lambda z, p: (0.5 * torch.sin(z.mean(1, keepdim=True)) + p).expand(4, 5), p, z0, 300)


def without_one(f: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype = torch.float64) -> Cell:
    """A map without a fixed point."""
    return Cell(f, torch.ones(2, 3, dtype=dtype), torch.zeros(2, 3, dtype=dtype), None, False, ())


ZOO: dict[str, Cell] = {
    "chain of nodes": chain(),
    "long chain": long_chain(),
    "graph": graph(),
    "saturated graph": saturated_graph(),
    "mean field": mean_field(),
    "far, float32": far_in_float32(),
    "at the far one": at_the_far_one(),
    "jordan 4": jordan(4, 0.9),
    "jordan 6": jordan(6, 0.9),
    "symmetric 16": symmetric(16),
    "symmetric 64": symmetric(64),
    "slow 8": slow(8),
    "rotation": rotation(),
    "growing 1": growing(1),
    "growing 16": growing(16),
    "expanding": expanding(),
    "tiny, float32": tiny(1e-25, torch.float32),
    "tiny, float64": tiny(1e-200, torch.float64),
    "huge": huge(),
    "buffered": buffered(),
    "writing": writing(),
    "kinked": kinked(),
    "steep": steep(),
    "zero rows": from_zero_rows(),
    "attention": attention(),
    "batch normalised": batch_normalised(),
    "ring": ring(),
    "late": late(),
    "circle": circle(),
    "nilpotent 10": nilpotent(10),
    "nilpotent 30": nilpotent(30),
    "nilpotent 60": nilpotent(60),
    "nilpotent 100": nilpotent(100),
    "mixed scales": mixed_scales(),
    "expanded": expanded(),
    "shift": without_one(lambda z, p: z + p),
    "shift, float32": without_one(lambda z, p: z + p, torch.float32),
    "softplus": without_one(lambda z, p: torch.nn.functional.softplus(z) + p),
    "exponential": without_one(lambda z, p: torch.exp(z) + p),
    "period two": without_one(lambda z, p: torch.where(z > 0.5, z - 1, z + 1.5 * p)),
    "not a number": without_one(lambda z, p: z * torch.nan + p),
}
