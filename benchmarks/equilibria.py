"""The DEQ layer, forward and backward, against TorchDEQ at the same tolerance."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks._timing import Row, timed

__all__ = ["equilibria"]


def equilibria(sizes: list[tuple[int, int]], samples: int, tol: float = 1e-8) -> Iterator[Row]:
    """``z = tanh(A z + x)``, |A|_2 = 0.9: solve to ``tol`` and differentiate the mean square by A and x.

    Args:
        sizes: pairs of batch size and dimension.
        samples: of every timing.
        tol: relative residual for forward and backward solve.
    """
    import torch

    from ufm.deq import DEQ

    for batch, dim in sizes:
        generator = torch.Generator().manual_seed(0)
        matrix = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
        matrix = (0.9 / torch.linalg.matrix_norm(matrix, 2) * matrix).requires_grad_()
        x = torch.randn(batch, dim, generator=generator, dtype=torch.float64)

        def step(layer: Callable[..., Any], a: Any = matrix, h: Any = x) -> tuple[float, Any]:
            a.grad = None
            z = layer(lambda z: torch.tanh(z @ a.T + h), torch.zeros_like(h))[0]
            z = z[-1] if isinstance(z, list) else z
            (z**2).mean().backward()
            with torch.no_grad():
                image = torch.tanh(z @ a.T + h)
                residual = (image - z).norm(dim=1) / image.norm(dim=1)
            return float(residual.max()), a.grad.clone()

        for solver in ("anderson", "broyden", "fixed_point"):
            ours, (residual, gradient) = timed(
                partial(step, DEQ(solver, tol=tol, max_steps=500, on_failure="raise")), samples
            )
            case = f"{solver}, batch {batch}, d = {dim}"
            if importlib.util.find_spec("torchdeq") is None:
                yield Row("equilibria", case, ours, error=residual, note="TorchDEQ is not installed")
                continue
            from torchdeq import get_deq

            name = "fixed_point_iter" if solver == "fixed_point" else solver
            both = {"solver": name, "max_iter": 500, "tol": tol}
            options = {f"{side}_{key}": value for side in "fb" for key, value in both.items()}
            peer = get_deq(**options, ift=True, f_stop_mode="rel", b_stop_mode="rel")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs, (peer_residual, peer_gradient) = timed(partial(step, peer), samples)
            apart = float((gradient - peer_gradient).norm() / gradient.norm())
            note = f"gradients {apart:.1e} apart"
            yield Row("equilibria", case, ours, "TorchDEQ", theirs, residual, peer_residual, note, {"d": dim})
