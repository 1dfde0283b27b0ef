"""The modelled objective, and its minimisation over all weights of a network to a stationary point."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ufm._extras import optional
from ufm._validation import one_of
from ufm.deq.wellposed import SpectralBound
from ufm.networks.models import DEQNetwork, Encoder, ExplicitNetwork, LinearDEQNetwork, Output
from ufm.trainings.lbfgs import End, minimise
from ufm.trainings.running import Progress

with optional("deq"):
    import torch
    from torch import Tensor, nn

__all__ = ["OPTIMISERS", "Coordinates", "Fit", "Network", "descend", "fit", "objective"]

Array = NDArray[np.float64]
Network = ExplicitNetwork | LinearDEQNetwork | DEQNetwork

#: Coordinates of the hidden layer are its weights over this number: it then moves slower than the output layer, whose
#: whitened coordinates move the features isotropically.
HIDDEN_STEP = 0.03
#: Ridge of those whitened coordinates, as a fraction of the mean eigenvalue of the activations' Gram matrix.
WHITENING_RIDGE = 1e-3
#: Pairs that L-BFGS remembers.
LBFGS_MEMORY = 20
#: Where L-BFGS keeps its vectors: in SciPy, beside the weights in torch, or the one that their device asks for.
OPTIMISERS = ("auto", "scipy", "torch")


@dataclass(frozen=True)
class Fit:
    """How an optimisation ended.

    Attributes:
        objective: L at the end.
        gradient: largest entry of its gradient in the coordinates of the optimiser.
        iterations, evaluations: of L-BFGS.
        converged: whether ``gradient`` met the tolerance.
        message: why it stopped.
        seconds: wall time.
    """

    objective: float
    gradient: float
    iterations: int
    evaluations: int
    converged: bool
    message: str
    seconds: float


def objective(output: Output, labels: Tensor, classifier: Tensor, lambda_W: float, lambda_H: float) -> Tensor:
    """``(1/N) sum_i CE(W z_i, y_i) + (lambda_W/2)|W|_F^2 + (lambda_H/2) sum_i |h_i|^2``.

    Args:
        output: of the network on all N samples.
        labels: shape (N,).
        classifier: W, shape (K, d).
        lambda_W, lambda_H: weight decay.

    >>> w, z = torch.zeros(2, 3), torch.zeros(4, 3)
    >>> labels = torch.tensor([0, 1, 0, 1])
    >>> round(objective(Output(z @ w.T, z, z + 1), labels, w, 0.1, 0.5).item(), 6)  # log 2 + 0.25 * 12
    3.693147
    """
    risk = nn.functional.cross_entropy(output.logits, labels)
    return risk + lambda_W / 2 * classifier.square().sum() + lambda_H / 2 * output.injected.square().sum()


def fit(
    network: Network,
    inputs: Tensor,
    labels: Tensor,
    *,
    lambda_W: float,
    lambda_H: float,
    max_iterations: int = 1000,
    gradient_tol: float = 1e-7,
    progress: Progress | None = None,
) -> Fit:
    """Minimise :func:`objective` over all weights of ``network``, in place, by L-BFGS on all samples.

    The encoder's output layer is moved in coordinates in which its activations are white at the start. In them the
    features respond to a step as if they were free, which is the well-conditioned problem of the theory; in the raw
    weights the same optimiser needs a hundred times the iterations.

    Args:
        network: an explicit or linear-DEQ network in float64.
        inputs, labels: shapes (N, p) and (N,), on the network's device.
        lambda_W, lambda_H: weight decay of the classifier and of the injected features.
        max_iterations: of L-BFGS.
        gradient_tol: largest entry of the gradient, in those coordinates, at which it ends.
        progress: called as ``progress(description, iterations, None)``.

    >>> network = ExplicitNetwork(4, 2, dim=2, width=8)
    >>> inputs, labels = torch.eye(4, dtype=torch.float64), torch.tensor([0, 0, 1, 1])
    >>> found = fit(network, inputs, labels, lambda_W=1.0, lambda_H=1.0)  # so much decay that zero is optimal
    >>> found.converged, round(found.objective, 6)
    (True, 0.693147)
    """
    return descend(
        network,
        inputs,
        lambda: objective(network(inputs), labels, network.classifier.weight, lambda_W, lambda_H),
        max_iterations=max_iterations,
        gradient_tol=gradient_tol,
        progress=progress,
    )


def descend(
    network: nn.Module,
    inputs: Tensor,
    value: Callable[[], Tensor],
    *,
    max_iterations: int = 1000,
    gradient_tol: float = 1e-7,
    progress: Progress | None = None,
    optimiser: str = "auto",
) -> Fit:
    """Minimise ``value()`` over all weights of ``network``, in place, by L-BFGS in its :class:`Coordinates`.

    On a GPU the vectors of L-BFGS stay there (:mod:`ufm.trainings.lbfgs`): no weights cross the bus in a step, and the
    host waits once an evaluation, for some inner products.

    Args:
        network: with an :class:`ufm.networks.Encoder` as ``encoder``; other weights as they are.
        inputs: shape (N, p): what whitens the coordinates of the encoder's output layer.
        value: of the objective at the present weights, differentiable in them.
        max_iterations, gradient_tol, progress: as of :func:`fit`.
        optimiser: one of :data:`OPTIMISERS`; ``"auto"``: torch's on a GPU, SciPy's elsewhere.

    Raises:
        ValueError: another ``optimiser``.

    >>> network = ExplicitNetwork(4, 2, dim=2, width=8)
    >>> x = torch.eye(4, dtype=torch.float64)
    >>> descend(network, x, lambda: (network(x).logits - 1).square().sum()).objective < 1e-9
    True
    """
    chosen = one_of("optimiser", optimiser, OPTIMISERS)
    if chosen == "auto":
        chosen = "torch" if inputs.device.type == "cuda" else "scipy"
    run, start = _by_torch if chosen == "torch" else _by_scipy, time.perf_counter()
    end = run(Coordinates(network, inputs), value, max_iterations, gradient_tol, progress)
    return Fit(
        objective=end.objective,
        gradient=end.gradient,
        iterations=end.iterations,
        evaluations=end.evaluations,
        converged=end.gradient <= gradient_tol,
        message=end.message,
        seconds=time.perf_counter() - start,
    )


def _by_scipy(
    coordinates: Coordinates,
    value: Callable[[], Tensor],
    max_iterations: int,
    gradient_tol: float,
    progress: Progress | None,
) -> End:

    def value_and_gradient(vector: Array) -> tuple[float, Array]:
        coordinates.assign(torch.from_numpy(vector))
        found = value()
        return float(found.detach()), _array(coordinates.gradient(found))

    iterations = 0

    def callback(intermediate_result: Any) -> None:
        nonlocal iterations
        iterations += 1
        if progress is not None:
            progress(f"objective {intermediate_result.fun:.6f}", iterations, None)

    result = minimize(
        value_and_gradient,
        _array(coordinates.read()),
        jac=True,
        method="L-BFGS-B",
        callback=callback,
        options={
            "maxcor": LBFGS_MEMORY,
            "maxiter": max_iterations,
            "maxfun": 10 * max_iterations,
            "ftol": 0.0,
            "gtol": gradient_tol,
        },
    )
    coordinates.assign(torch.from_numpy(np.asarray(result.x)))
    gradient = float(np.abs(result.jac).max())
    return End(float(result.fun), gradient, int(result.nit), int(result.nfev), str(result.message))


def _by_torch(
    coordinates: Coordinates,
    value: Callable[[], Tensor],
    max_iterations: int,
    gradient_tol: float,
    progress: Progress | None,
) -> End:
    def value_and_gradient(x: Tensor) -> tuple[Tensor, Tensor]:
        coordinates.assign(x)
        found = value()
        return found, coordinates.gradient(found)

    x, end = minimise(
        value_and_gradient,
        coordinates.read().double(),
        memory=LBFGS_MEMORY,
        max_iterations=max_iterations,
        gradient_tol=gradient_tol,
        progress=progress,
    )
    coordinates.assign(x)
    return end


def _array(vector: Tensor) -> Array:
    return vector.detach().cpu().numpy().astype(np.float64)


def equilibrium_of(network: nn.Module) -> SpectralBound | None:
    """What holds A of a network with an equilibrium layer; None for an explicit one.

    >>> equilibrium_of(ExplicitNetwork(4, 2, dim=2, width=8)) is None
    True
    """
    layer = network.cell if isinstance(network, DEQNetwork) else network
    return cast(SpectralBound | None, getattr(layer, "equilibrium", None))


def _equilibrium_step(bound: SpectralBound) -> float:
    with torch.no_grad():
        a = bound()
        resolvent = torch.linalg.inv(torch.eye(len(a), dtype=a.dtype, device=a.device) - a)
        gain = float(torch.linalg.matrix_norm(resolvent, 2))
    return 1.0 if gain <= 2 * (1 + 1e-9) else 2 / gain


class Coordinates:
    """Linear coordinates of a network's weights, flattened into one vector on their device for the optimiser.

    Output layer of the encoder: ``[V, c] = X L^{-1}`` with ``L L^T = Phi^T Phi + ridge`` and Phi the activations at the
    start with a column of ones; another root than Cholesky's would turn X, which L-BFGS does not see. Hidden layer:
    weights over :data:`HIDDEN_STEP`. Free parameter M of the equilibrium matrix A: over ``min(1, 2/|(I-A)^{-1}|_2)`` at
    the start, for the logits ``W (I-A)^{-1} h`` move with A so much more than with W and h. In M itself the optimiser's
    first steps throw directions out of A where the gain is 10 and more, and it ends in low-rank codes. Everything else:
    itself.

    >>> network = ExplicitNetwork(4, 2, dim=2, width=8)
    >>> coordinates = Coordinates(network, torch.eye(4, dtype=torch.float64))
    >>> x = coordinates.read()
    >>> coordinates.assign(x)
    >>> torch.allclose(coordinates.read(), x)
    True
    >>> output = network(torch.eye(4, dtype=torch.float64))
    >>> coordinates.gradient(output.logits.sum()).shape == x.shape
    True
    """

    def __init__(self, network: nn.Module, inputs: Tensor) -> None:
        encoder = cast(Encoder, network.encoder)
        self.output, self.hidden = encoder.output, encoder.hidden
        own = set(encoder.parameters())
        self.others = [p for p in network.parameters() if p not in own and p.requires_grad]
        bound = equilibrium_of(network)
        step = 1.0 if bound is None else _equilibrium_step(bound)
        free = None if bound is None else bound.weight
        self.steps = [HIDDEN_STEP, HIDDEN_STEP, *(step if p is free else 1.0 for p in self.others)]
        with torch.no_grad():
            phi = encoder.activations(inputs)
            phi = torch.cat([phi, torch.ones(len(phi), 1, dtype=phi.dtype, device=phi.device)], dim=1)
            # in float64: by the ridge alone the matrix may be definite
            gram = phi.T.double() @ phi.double()
            gram.diagonal().add_(WHITENING_RIDGE * gram.diagonal().mean())
            self.root = torch.linalg.cholesky(gram).to(phi)

    @property
    def _weights(self) -> list[Tensor]:
        return [self.output.weight, self.output.bias, self.hidden.weight, self.hidden.bias, *self.others]

    def read(self) -> Tensor:
        """Coordinates of the present weights."""
        with torch.no_grad():
            output = torch.cat([self.output.weight, self.output.bias[:, None]], dim=1) @ self.root
            others = [weight / step for weight, step in zip(self._weights[2:], self.steps, strict=True)]
            return self._flat([output, *others])

    def assign(self, vector: Tensor) -> None:
        """Set the weights to those with these coordinates."""
        flat = vector.to(self.root)
        rows, columns = self.output.weight.shape
        with torch.no_grad():
            size = rows * (columns + 1)
            output = torch.linalg.solve_triangular(
                self.root, flat[:size].view(rows, columns + 1), upper=False, left=False
            )
            self.output.weight.copy_(output[:, :-1])
            self.output.bias.copy_(output[:, -1])
            for weight, step in zip(self._weights[2:], self.steps, strict=True):
                weight.copy_(step * flat[size : size + weight.numel()].view(weight.shape))
                size += weight.numel()

    def gradient(self, value: Tensor) -> Tensor:
        """Gradient of ``value`` in these coordinates."""
        weight, bias, *others = torch.autograd.grad(value, self._weights)
        output = torch.linalg.solve_triangular(
            self.root.T, torch.cat([weight, bias[:, None]], dim=1), upper=True, left=False
        )
        return self._flat([output, *(step * g for g, step in zip(others, self.steps, strict=True))])

    @staticmethod
    def _flat(parts: list[Tensor]) -> Tensor:
        return torch.cat([part.detach().reshape(-1) for part in parts])
