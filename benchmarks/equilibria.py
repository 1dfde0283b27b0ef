"""The DEQ layer, forward and backward, against TorchDEQ at the same tolerance."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks._timing import Row, Timing, timed

__all__ = ["equilibria"]

#: Relative residual that both are asked for, by dtype.
TOLERANCES = {"float64": 1e-8, "float32": 1e-5}


def equilibria(sizes: list[tuple[int, ...]], samples: int) -> Iterator[Row]:
    """``z = tanh(A z + x)``, |A|_2 = 0.9: solve to the tolerance and differentiate the mean square by A.

    A is a matrix, or a 3 x 3 convolution on images. Ours and the peer's samples alternate, so a machine that is busy
    for a while is busy for both; both results are judged by the residual of one more evaluation, outside the timing.

    Args:
        sizes: (batch, dimension) or (batch, channels, side), each in float64 and float32.
        samples: of every timing.
    """
    import torch

    from ufm.deq import DEQ

    for shape in sizes:
        for name, tol in TOLERANCES.items():
            weight, x, apply = _cell(shape, getattr(torch, name))

            def f(z: Any, weight: Any = weight, x: Any = x, apply: Callable[..., Any] = apply) -> Any:
                return torch.tanh(apply(z, weight) + x)

            def step(layer: Callable[..., Any], f: Any = f, weight: Any = weight, x: Any = x) -> tuple[Any, Any]:
                weight.grad = None
                z = layer(f, torch.zeros_like(x))[0]
                z = z[-1] if isinstance(z, list) else z
                (z**2).mean().backward()
                return z.detach(), weight.grad

            def residual(z: Any, f: Any = f) -> float:
                with torch.no_grad():
                    image = f(z)
                    return float(((image - z).flatten(1).norm(dim=1) / image.flatten(1).norm(dim=1)).max())

            for solver in ("anderson", "broyden", "fixed_point"):
                layer = partial(step, DEQ(solver, tol=tol, max_steps=500, on_failure="raise"))
                size = f"d = {shape[1]}" if len(shape) == 2 else f"{shape[1]} x {shape[2]} x {shape[2]} images"
                case = f"{solver}, batch {shape[0]}, {size}, {name}"
                if importlib.util.find_spec("torchdeq") is None:
                    ours, (z, _) = timed(layer, samples)
                    yield Row("equilibria", case, ours, error=residual(z), note="TorchDEQ is not installed")
                    continue
                from torchdeq import get_deq

                both = {
                    "solver": "fixed_point_iter" if solver == "fixed_point" else solver,
                    "max_iter": 500,
                    "tol": tol,
                }
                options = {f"{side}_{key}": value for side in "fb" for key, value in both.items()}
                peer = partial(step, get_deq(**options, ift=True, f_stop_mode="rel", b_stop_mode="rel"))
                taken: tuple[list[float], list[float]] = ([], [])
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    for _ in range(samples):
                        once, (z, gradient) = timed(layer, 1)
                        theirs, (peer_z, peer_gradient) = timed(peer, 1)
                        taken[0].extend(once.samples)
                        taken[1].extend(theirs.samples)
                apart = float((gradient - peer_gradient).norm() / gradient.norm())
                yield Row(
                    "equilibria",
                    case,
                    Timing(tuple(taken[0])),
                    "TorchDEQ",
                    Timing(tuple(taken[1])),
                    residual(z),
                    residual(peer_z),
                    f"gradients {apart:.1e} apart",
                    {"d": x[0].numel(), "dtype": name},
                )


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
