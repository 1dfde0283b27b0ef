"""The Jacobian ``J = df/dz`` of an equilibrium map, by sample: a penalty on its size, and its spectral radius."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ufm._extras import optional
from ufm._validation import integer
from ufm.deq.solvers import check_image, check_map, describe

with optional("deq"):
    import torch
    from torch import Tensor

__all__ = ["jacobian_penalty", "spectral_radius"]

Map = Callable[[Tensor], Tensor]


def jacobian_penalty(f: Map, z: Tensor, *, probes: int = 1, generator: torch.Generator | None = None) -> Tensor:
    """Unbiased estimate of ``|J|_F^2 / n``, mean over the samples: the penalty of Bai et al., to be added to a loss.

    ``|J|_F^2 = E |J^T e|^2`` for e with independent entries of mean 0 and variance 1; signs +-1 have the least variance
    among them. n is the number of entries of a sample.

    Args:
        f: map from (batch, ...) to the same shape, acting on the samples separately.
        z: where, usually the equilibrium, shape (batch, ...). Held constant, as in the source: the gradient reaches
            what ``f`` closes over.
        probes: number of random e >= 1; the variance is inversely proportional.
        generator: source of the signs, on the device of ``z``; default: torch's.

    Returns:
        Scalar, differentiable in what ``f`` closes over where gradients are recorded. 0 for an empty batch.

    Raises:
        TypeError, ValueError: ``f`` is no map or returns something else than a floating-point tensor of the shape of
            ``z``, ``z`` is not a floating-point tensor with a batch dimension, ``probes`` is not an integer >= 1.

    Examples:
        >>> import torch
        >>> w = torch.tensor(3.0, requires_grad=True)
        >>> penalty = jacobian_penalty(lambda z: w * z, torch.zeros(4, 5))  # J = w I: the penalty is w^2
        >>> penalty.backward()
        >>> round(float(penalty.detach()), 4), round(float(w.grad), 4)
        (9.0, 6.0)

    Source: Bai, Koltun, Kolter 2021, Stabilizing Equilibrium Models by Jacobian Regularization, equation (7);
    Hutchinson 1989.
    """
    probes = integer("probes", probes, minimum=1)
    check_map(f)
    _check_point(z)
    record = torch.is_grad_enabled()
    with torch.enable_grad():
        root = z.detach().requires_grad_()
        image = f(root)
        check_image(image, root.shape, root.device)
        total = torch.zeros((), dtype=torch.promote_types(z.dtype, torch.float32), device=z.device)
        for i in range(probes):
            signs = torch.randint(0, 2, z.shape, generator=generator, device=z.device).to(image.dtype) * 2 - 1
            product = _pull_back(image, root, signs, record, record or i < probes - 1)
            total = total + product.to(total.dtype).square().sum()
    estimate = total / max(probes * z.numel(), 1)
    return estimate if record else estimate.detach()


def spectral_radius(f: Map, z: Tensor, *, steps: int = 100, generator: torch.Generator | None = None) -> Tensor:
    """Estimate of the largest ``|eigenvalue|`` of J, by power iteration. Below 1, Picard's iteration converges near z.

    With ``v_k = (J^T)^k v_0`` it is ``(|v_k| / |v_h|)^{1/(k-h)}``, h = k/2. Growth over many steps also converges where
    a complex pair dominates, for which single steps and Rayleigh quotients oscillate; the error is then O(1/k),
    else geometric in the ratio of the two largest moduli. It estimates and bounds nothing.

    Args:
        f, z, generator: as for :func:`jacobian_penalty`.
        steps: k >= 2, products with J^T.

    Returns:
        Shape (batch,), without gradient; 0 where J is nilpotent on the way.

    Raises:
        TypeError, ValueError: as :func:`jacobian_penalty`, or ``steps`` is not an integer >= 2.

    Examples:
        >>> import torch
        >>> quarter_turn = torch.tensor([[0.0, -0.5], [0.5, 0.0]])  # times 1/2: eigenvalues i/2 and -i/2
        >>> [round(r, 4) for r in spectral_radius(lambda z: z @ quarter_turn, torch.zeros(2, 2)).tolist()]
        [0.5, 0.5]

    Source: Bai, Koltun, Kolter 2021, section 3, for its use; von Mises and Pollaczek-Geiringer 1929.
    """
    steps = integer("steps", steps, minimum=2)
    check_map(f)
    _check_point(z)
    half = steps // 2
    samples = (len(z), math.prod(z.shape[1:]))
    with torch.enable_grad():
        root = z.detach().requires_grad_()
        image = f(root)
        check_image(image, root.shape, root.device)
        vector = torch.randn(z.shape, generator=generator, dtype=image.dtype, device=z.device)
        growth = torch.zeros(len(z), dtype=torch.promote_types(z.dtype, torch.float32), device=z.device)
        for step in range(steps):
            norm = torch.linalg.vector_norm(vector.reshape(samples), dim=1).to(growth.dtype)
            unit = vector / norm.clamp_min(torch.finfo(vector.dtype).tiny).view(-1, *(1,) * (z.ndim - 1))
            vector = _pull_back(image, root, unit.to(image.dtype), False, step < steps - 1).to(image.dtype)
            if step >= half:
                growth += torch.linalg.vector_norm(vector.reshape(samples), dim=1).to(growth.dtype).log()
    return (growth / (steps - half)).exp()


def _check_point(z: Any) -> None:
    if not isinstance(z, Tensor) or not z.is_floating_point():
        raise TypeError(f"z must be a floating-point tensor, got {describe(z)}")
    if z.ndim < 1:
        raise ValueError(f"z must have a batch dimension, got shape {tuple(z.shape)}")


def _pull_back(image: Tensor, root: Tensor, vector: Tensor, create: bool, retain: bool) -> Tensor:
    """``J^T vector``; zero where ``f`` ignores z."""
    if not image.requires_grad:
        return torch.zeros_like(root)
    (product,) = torch.autograd.grad(image, root, vector, create_graph=create, retain_graph=retain, allow_unused=True)
    return torch.zeros_like(root) if product is None else product
