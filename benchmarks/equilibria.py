"""The DEQ layer, forward and backward, against TorchDEQ at equal residual."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

from benchmarks._timing import Row, Timing, timed

__all__ = ["equilibria", "steps"]

#: Relative residual that the peer is asked for, by dtype.
TOLERANCES = {"float64": 1e-8, "float32": 1e-5}

#: Our tolerances are the largest of these fractions of the peer's that make us as accurate.
TIGHTER = [0.8**k for k in range(60)]


def equilibria(sizes: list[tuple[int, ...]], samples: int) -> Iterator[Row]:
    """``z = tanh(A z + x)``, |A|_2 = 0.9: solve to the tolerance and differentiate the mean square by A.

    A is a matrix, or a 3 x 3 convolution on images. TorchDEQ solves forward and backward to the tolerance of the dtype
    and attains less; our own tolerances, forward and backward, are lowered until the worst sample's residual and the
    error of the gradient are at most TorchDEQ's, then both are timed. Samples alternate, so a machine that is busy for
    a while is busy for both. The residual is that of one more evaluation, the gradient's error that against a solve in
    float64 near machine precision, both outside the timing.

    The note counts evaluations of f and products with its Jacobian on both sides, and times ours without the layer.

    Args:
        sizes: (batch, dimension) or (batch, channels, side), each in float64 and float32.
        samples: of every timing.
    """
    import torch

    from ufm.deq import DEQ

    installed = importlib.util.find_spec("torchdeq") is not None
    for shape in sizes:
        for name, tol in TOLERANCES.items():
            problem = Problem(*_cell(shape, getattr(torch, name)))
            for solver in ("anderson", "broyden", "fixed_point"):
                size = f"d = {shape[1]}" if len(shape) == 2 else f"{shape[1]} x {shape[2]} x {shape[2]} images"
                case = f"{solver}, batch {shape[0]}, {size}, {name}"
                if not installed:
                    layer = DEQ(solver, tol=tol, max_steps=500, on_failure="raise")
                    ours, (z, _) = timed(partial(problem.step, layer), samples)
                    yield Row("equilibria", case, ours, error=problem.residual(z), note="TorchDEQ is not installed")
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    yield _row(case, problem, solver, tol, samples)


def _row(case: str, problem: Problem, solver: str, tol: float, samples: int) -> Row:
    """Find our tolerances, time both."""
    from torchdeq import get_deq

    from ufm.deq import DEQ

    both = {"solver": "fixed_point_iter" if solver == "fixed_point" else solver, "max_iter": 500, "tol": tol}
    options = {f"{side}_{key}": value for side in "fb" for key, value in both.items()}
    peer = get_deq(**options, ift=True, f_stop_mode="rel", b_stop_mode="rel")
    peer_z, peer_gradient = problem.step(peer)
    goal = problem.residual(peer_z), problem.error(peer_gradient)
    forward, backward = as_accurate(problem, solver, tol, *goal)
    layer = DEQ(solver, tol=forward, backward_tol=backward, max_steps=500, on_failure="raise")
    taken: tuple[list[float], list[float], list[float]] = ([], [], [])
    evaluations, peer_evaluations = problem.count(layer), problem.count(peer)
    for _ in range(samples):
        once, (z, gradient) = timed(partial(problem.step, layer), 1)
        rounds = once, timed(partial(problem.step, peer), 1)[0], timed(partial(problem.bare, *evaluations), 1)[0]
        for times, timing in zip(taken, rounds, strict=True):
            times.extend(timing.samples)
    ours, theirs, least = (Timing(tuple(times)) for times in taken)
    attained, error = problem.residual(z), problem.error(gradient)
    note = (
        f"gradient errors {error:.1e} and {goal[1]:.1e}, {evaluations[0]} + {evaluations[1]} evaluations "
        f"({1000 * least.median:.3g} ms alone) and {peer_evaluations[0]} + {peer_evaluations[1]}"
    )
    if attained > goal[0] or error > goal[1]:
        note = f"NOT as accurate: {note}"
    figures = {
        "d": problem.x[0].numel(),
        "dtype": str(problem.x.dtype).removeprefix("torch."),
        "tol": forward,
        "backward_tol": backward,
        "peer_tol": tol,
        "gradient_error": error,
        "peer_gradient_error": goal[1],
        "evaluations": evaluations,
        "peer_evaluations": peer_evaluations,
        "evaluations_seconds": least.median,
    }
    return Row("equilibria", case, ours, "TorchDEQ", theirs, attained, goal[0], note, figures)


def as_accurate(problem: Problem, solver: str, tol: float, residual: float, error: float) -> tuple[float, float]:
    """Our tolerances, forward and backward: the loosest of the fractions with which both goals are met.

    The forward one is found with an adjoint equation solved as far as the dtype allows, so that what is left of the
    gradient's error is that of z. Where no fraction is enough, the least that the dtype resolves.
    """
    from ufm.deq import DEQ
    from ufm.deq.solvers import minimal_tolerance

    floor = minimal_tolerance(problem.x.dtype)
    tolerances = [*(tol * part for part in TIGHTER if tol * part > floor), floor]

    def met(forward: float, backward: float) -> bool:
        layer = DEQ(solver, tol=forward, backward_tol=backward, max_steps=500)
        z, gradient = problem.step(layer)
        return problem.residual(z) <= residual and problem.error(gradient) <= error

    forward = next((value for value in tolerances if met(value, max(tol * 1e-3, floor))), tolerances[-1])
    return forward, next((value for value in tolerances if met(forward, value)), tolerances[-1])


class Problem:
    """``z = tanh(apply(z, weight) + x)``, how far a solution and its gradient are off, and what they took.

    A layer is a function ``(f, z0)`` whose first result is z, or a list that ends in z.
    """

    def __init__(self, weight: Any, x: Any, apply: Callable[..., Any]) -> None:
        """Keep the map and find its gradient in float64 near machine precision."""
        from ufm.deq import DEQ

        self.apply = apply
        self.weight, self.x = weight.detach().double().requires_grad_(), x.double()
        _, self.exact = self.step(DEQ(tol=1e-14, max_steps=500, on_failure="raise"))
        self.weight, self.x = weight, x

    def __call__(self, z: Any) -> Any:
        """The map."""
        import torch

        return torch.tanh(self.apply(z, self.weight) + self.x)

    def step(self, layer: Callable[..., Any], f: Callable[..., Any] | None = None) -> tuple[Any, Any]:
        """Solution from 0, and the gradient of its mean square by the weight."""
        import torch

        self.weight.grad = None
        z = layer(f or self, torch.zeros_like(self.x))[0]
        z = z[-1] if isinstance(z, list) else z
        (z**2).mean().backward()
        return z.detach(), self.weight.grad

    def residual(self, z: Any) -> float:
        """Relative, of the worst sample."""
        import torch

        with torch.no_grad():
            image = self(z)
            return float(((image - z).flatten(1).norm(dim=1) / image.flatten(1).norm(dim=1)).max())

    def error(self, gradient: Any) -> float:
        """Of a gradient, relative."""
        return float((gradient.double() - self.exact).norm() / self.exact.norm())

    def count(self, layer: Callable[..., Any]) -> tuple[int, int]:
        """Evaluations of f that a step takes, and products with its Jacobian."""
        import torch

        from ufm.deq import layer as ours

        f = mock.Mock(wraps=self)
        with (
            mock.patch.object(torch.autograd, "grad", wraps=torch.autograd.grad) as products,
            mock.patch.object(ours, "jacobian_product", wraps=ours.jacobian_product) as our_products,
        ):
            self.step(layer, f)
        return f.call_count, products.call_count + our_products.call_count

    def bare(self, evaluations: int, products: int) -> None:
        """So many of both and nothing else, apart from the gradient by the weight that ends a step."""
        import torch

        z = torch.zeros_like(self.x)
        with torch.no_grad():
            for _ in range(evaluations - 1):
                z = self(z)
        root = z.requires_grad_()
        image = self(root)
        y = (2 / image.numel()) * image.detach()
        for _ in range(products):
            (y,) = torch.autograd.grad(image, root, y, retain_graph=True)
        torch.autograd.grad(image, self.weight, y)


def steps(sizes: list[tuple[int, ...]], samples: int) -> Iterator[Row]:
    """Solves ``z = tanh(A z + x)`` without gradient, beside as many evaluations of the map and nothing else.

    The note has the quotient of the two, and the least that memory allows: what the steps must read and write, a row of
    the state at a time, at the pace at which this machine adds two arrays as large as all of that into a third. Samples
    alternate.

    Args:
        sizes: (batch, dimension) or (batch, channels, side), each in float64 and float32.
        samples: of every timing.
    """
    import torch

    from ufm.deq import DEQ

    for shape in sizes:
        for name, tol in TOLERANCES.items():
            cell = Problem(*_cell(shape, getattr(torch, name)))
            x, f = cell.x, Counted(cell)
            for solver in ("fixed_point", "anderson", "broyden"):
                layer = DEQ(solver, tol=tol, max_steps=500, on_failure="raise")
                with torch.no_grad():
                    f.count = 0
                    z, _ = layer(f, torch.zeros_like(x))
                    count, moved = f.count, moved_by_steps(solver, f.count, x[0].numel()) * x.numel() * x.itemsize
                    pace = _pace(moved / count)
                    taken: tuple[list[float], list[float]] = ([], [])
                    for _ in range(samples):
                        taken[0].extend(timed(partial(layer, f, torch.zeros_like(x)), 1)[0].samples)
                        taken[1].extend(timed(partial(f.times, count, torch.zeros_like(x)), 1)[0].samples)
                ours, bare = (Timing(tuple(times)) for times in taken)
                quotient, least = ours.median / bare.median, 1 + moved / pace / bare.median
                size = f"d = {shape[1]}" if len(shape) == 2 else f"{shape[1]} x {shape[2]} x {shape[2]} images"
                note = f"{quotient:.2f} times f alone, {count} evaluations; memory allows {least:.2f}"
                note += f" ({moved / count / 1e6:.3g} MB a step at {pace / 1e9:.3g} GB/s)"
                figures = {"evaluations": count, "quotient": quotient, "least": least, "moved": moved, "pace": pace}
                error = float(((f(z) - z).norm() / z.norm()).detach())
                case = f"{solver}, batch {shape[0]}, {size}, {name}"
                yield Row("steps", case, ours, "f alone", bare, error, None, note, figures)


class Counted:
    """A map that counts its evaluations."""

    def __init__(self, f: Callable[[Any], Any]) -> None:
        self.f, self.count = f, 0

    def __call__(self, z: Any) -> Any:
        """The map."""
        self.count += 1
        return self.f(z)

    def times(self, count: int, z: Any) -> Any:
        """So many evaluations in turn."""
        for _ in range(count):
            z = self.f(z)
        return z


def moved_by_steps(solver: str, count: int, width: int) -> float:
    """Rows that a solve of so many evaluations must read and write beside f, in multiples of the state.

    A plain step reads z and f(z) and writes the next z. An accelerated one reads those of two steps, writes the next z
    and f(z), and reads its memory of two rows a slot, of Broyden's method one, and writes as many; a line of memory
    that is written is read before.
    """
    from ufm.deq import solvers

    if solver == "fixed_point":
        return 4.0 * count
    few = solvers.ENOUGH if width >= solvers.WIDE else solvers.MEMORY
    rows, most = (2, few) if solver == "anderson" else (1, solvers.BROYDEN_MEMORY)
    return 4.0 + sum(4 + 2 * 2 + rows * min(k, most) + 2 * rows for k in range(count - 1))


def _pace(size: float) -> float:
    """Bytes a second at which arrays of so many bytes together are added, the one that is written counted twice."""
    import torch

    a, b, c = torch.zeros(3, max(int(size) // 32, 1), dtype=torch.float64)
    return 4 * a.numel() * a.itemsize / min(timed(lambda: torch.add(a, b, out=c), 5)[0].samples)


def _cell(shape: tuple[int, ...], dtype: Any) -> tuple[Any, Any, Callable[..., Any]]:
    """Seeded weight of operator norm 0.9, input, and the linear map."""
    import torch

    generator = torch.Generator().manual_seed(0)
    if len(shape) == 2:
        batch, dim = shape
        weight = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
        x = torch.randn(batch, dim, generator=generator, dtype=torch.float64)
        weight *= 0.9 / torch.linalg.matrix_norm(weight, 2)
        return weight.to(dtype).requires_grad_(), x.to(dtype), lambda z, a: z @ a.T
    batch, channels, side = shape
    weight = torch.randn(channels, channels, 3, 3, generator=generator, dtype=torch.float64)
    x = torch.randn(batch, channels, side, side, generator=generator, dtype=torch.float64)
    image = x[:1]
    for _ in range(200):  # power iteration on the convolution times its adjoint
        image = torch.nn.functional.conv2d(image / image.norm(), weight, padding=1)
        norm = float(image.norm())
        image = torch.nn.functional.conv_transpose2d(image, weight, padding=1)
    weight *= 0.9 / norm
    return weight.to(dtype).requires_grad_(), x.to(dtype), lambda z, w: torch.nn.functional.conv2d(z, w, padding=1)
