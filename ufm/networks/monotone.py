"""The network with a monotone equilibrium layer whose objective the theory knows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ufm._validation import positive
from ufm.architectures import Penalised
from ufm.deq.layer import DEQ
from ufm.deq.monotone import MonotoneDEQ
from ufm.networks.output import Output
from ufm.networks.stated import StatedNetwork
from ufm.problem import Problem

__all__ = ["MonotoneNetwork"]

#: Relative residual of the equilibria and of their adjoints, that of float32, and steps in which it is reached.
TOLERANCE, COARSE, STEPS = 1e-11, 1e-6, 5000


class MonotoneNetwork(StatedNetwork):
    """``logits = W z + b``, ``z = sigma(A z + h(x))`` with ``I - A`` strongly monotone: an encoder h below the layer.

    The problem is that of the equilibria z: weight decay ``lambda_W`` of W and ``m^2 lambda_H`` of the features. The
    network pays ``lambda_H`` for what it injects, ``h = (I - A) z + df(z)`` with sigma the prox of f. Since 0 is the
    equilibrium of 0, monotonicity gives ``m |z|^2 <= <h, z>``, so ``|h| >= m |z|`` for every A: the network costs no
    less than the problem. With ``A = (1 - m) I`` and ``h = m z`` it costs the same where sigma fixes z: every z of the
    identity, every ``z >= 0`` of the ReLU, none but 0 of tanh.

    Args:
        problem: of :class:`ufm.UnconstrainedFeatures`, nonnegative features for the ReLU.
        columns, num_inputs, dim, width, seed, dtype: as of :class:`ufm.networks.StatedNetwork`.
        start: ``"identity"`` (A = (1 - m) I) or ``"zero"``, B and C drawn as in :class:`ufm.deq.Monotone`.
        m: strong monotonicity > 0.
        activation: ``"identity"``, ``"relu"`` or ``"tanh"``.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    >>> import ufm
    >>> problem = Problem.of(ufm.UnconstrainedFeatures(0.1, 0.025, "nonnegative"), ufm.ClassPrior([2, 2]))
    >>> network = MonotoneNetwork(problem, torch.tensor([0, 0, 1, 1]), 4, dim=2, width=8, m=0.5)
    >>> output = network(torch.eye(4, dtype=torch.float64))
    >>> bool(output.features.min() >= 0), bool(output.injected.norm() >= 0.5 * output.features.norm())
    (True, True)

    Source: Winston and Kolter 2020 for the layer; the price derived here.
    """

    def __init__(
        self,
        problem: Problem,
        columns: Tensor,
        num_inputs: Any,
        *,
        dim: Any,
        width: Any,
        start: str = "identity",
        seed: Any = 0,
        dtype: torch.dtype = torch.float64,
        m: Any = 1.0,
        activation: str = "relu",
    ) -> None:
        super().__init__(problem, columns, num_inputs, dim=dim, width=width, start=start, seed=seed, dtype=dtype)
        if not isinstance(problem.architecture, Penalised) or self.blocks is not None:
            raise ValueError(f"problem must be of a ufm.UnconstrainedFeatures, got one of {problem.architecture!r}")
        self.m = positive("m", m)
        self.is_attained = activation != "tanh"
        tol = TOLERANCE if dtype == torch.float64 else COARSE
        solver = DEQ("fixed_point", tol=tol, max_steps=STEPS, on_failure="raise")
        d = self.classifier.in_features
        self.layer = MonotoneDEQ(d, d, m=self.m, activation=activation, deq=solver, seed=seed, dtype=dtype)
        with torch.no_grad():
            # what is injected is the encoder's output itself
            self.layer.injection.weight.copy_(torch.eye(d, dtype=dtype))
            self.layer.injection.bias.zero_()
            if start == "identity":
                # at B = 0 its gradient is 0 for good
                self.layer.monotone.symmetric.mul_(0.1)
                self.layer.monotone.skew.zero_()
        self.layer.injection.requires_grad_(False)

    def shake(self, scale: float) -> None:
        """As :meth:`StatedNetwork.shake`, the layer's A with it."""
        super().shake(scale)
        with torch.no_grad():
            for weights in self.layer.monotone.parameters():
                step = torch.randn(weights.shape, generator=self._generator, dtype=weights.dtype).to(weights.device)
                weights.add_(scale * weights.square().mean().sqrt() * step)

    def forward(self, inputs: Tensor) -> Output:
        """Forward pass on all N samples, (N, ...) of p entries each."""
        h = self.encoder(inputs)
        z, info = self.layer(h)
        if self.leak:
            # on the way to the ReLU: what it puts out is seen a little, so that every sample keeps a gradient
            z = z + self.leak * (h / self.m).clamp_max(0)
        logits = z @ self.factors()[0].T
        return Output(logits if self.bias is None else logits + self.bias, z, h, info)

    def decay(self, output: Output) -> Tensor:
        """Weight decay, ``m^2 lambda_H`` of ``|h|/m``: lambda_H of what is injected."""
        return super().decay(Output(output.logits, output.features, output.injected / self.m))
