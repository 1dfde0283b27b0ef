"""Training on the penalised objective that the theory models, to a stationary point.

    L = (1/N) sum_i CE(W z_i, y_i) + (lambda_W/2) |W|_F^2 + (lambda_H/2) sum_i |h_i|^2

over all N samples at once, with h the encoder's output and ``z = h`` (explicit) or ``z = phi(A z + h)`` (DEQ). No other
weight decay: ``ufm.UnconstrainedFeatures`` and, for phi linear, ``ufm.PenalisedDEQ`` with the same lambdas predict it.
How far a nonlinear phi departs from that prediction is what its trainings measure.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from ufm._extras import optional
from ufm.architectures import UnconstrainedFeatures
from ufm.data import Dataset, load_dataset
from ufm.deq.cells import DenseCell
from ufm.deq.layer import DEQ, ConvergenceError
from ufm.deq.wellposed import spectral_norm
from ufm.labels import ClassPrior
from ufm.measures import measure
from ufm.networks.models import DEQNetwork, ExplicitNetwork, LinearDEQNetwork
from ufm.trainings.budgets import Budgets
from ufm.trainings.comparison import phase_of, rank_of
from ufm.trainings.config import ARCHITECTURES, TrainingConfig
from ufm.trainings.errors import TrainingError
from ufm.trainings.gain import minority_gain
from ufm.trainings.optimisation import Fit, Network, equilibrium_of, fit, objective
from ufm.trainings.prediction import minority_threshold, predict
from ufm.trainings.result import TrainingResult
from ufm.trainings.running import DEVICES, Progress, device_named, threads

with optional("deq"):
    import torch
    from torch import Tensor

__all__ = [
    "ARCHITECTURES",
    "DEVICES",
    "Fit",
    "Progress",
    "TrainingConfig",
    "TrainingResult",
    "UnsolvedError",
    "fit",
    "objective",
    "train",
]


class UnsolvedError(TrainingError, ConvergenceError):
    """A fixed point was not found to the tolerance during a training, whose gradients would have been wrong."""


def train(
    config: TrainingConfig,
    *,
    initial: Mapping[str, Tensor] | None = None,
    whitened_by: int | None = None,
    root: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a network on images and measure it.

    Args:
        config: what to train.
        initial: weights to start from, ``network.state_dict()`` of a network of the same shape: a warm start.
        whitened_by: n_B of the draw whose statistics whiten the inputs; default that of ``config``. With the same one,
            an image is the same input in trainings of different n_B, as warm starts need.
        root: folder of the data set's files, see :func:`ufm.deq.load_dataset`.
        progress: called as ``progress(description, iterations, None)`` after every iteration.

    Returns:
        The network with its measures and the prediction.

    Raises:
        UnsolvedError: a fixed point was not found to ``config.tol`` within ``config.max_steps``; it is a
            :class:`ufm.deq.ConvergenceError`.
        DatasetNotFoundError: the files of the data set are not there; the message says what to put where.
        TypeError, ValueError: an argument is not what it should be, ``config.device`` is ``"cuda"`` and there is none,
            ``initial`` does not fit, or the data set has fewer images than asked for.

    >>> counts = {"num_majority": 2, "majority_count": 6, "num_minority": 2, "minority_count": 3}
    >>> config = TrainingConfig(architecture="explicit", lambda_W=0.07, lambda_H=0.07, device="cpu", **counts)
    >>> result = train(config)
    >>> result.status, f"{result.scale:.4f}", f"{result.prediction.scale:.4f}"
    ('agrees', '0.8467', '0.8467')
    """
    if not isinstance(config, TrainingConfig):
        raise TypeError(f"config must be a ufm.deq.TrainingConfig, got {config!r}")
    by = config
    if whitened_by is not None:
        by = dataclasses.replace(config, minority_count=config.checked_minority_count("whitened_by", whitened_by))
    if initial is not None:
        _check_weights(initial)
    device = device_named(config.device)
    data, reference = (
        load_dataset(config.dataset, root, split=config.split, counts=c.counts, seed=config.seed) for c in (config, by)
    )
    data = data.whitened() if whitened_by is None else data.whitened(by=reference)
    network = _build(config, data)
    if initial is not None:
        try:
            network.load_state_dict(initial)
        except RuntimeError as error:
            raise ValueError(f"initial must hold the weights of this network: {error}") from None
    network.to(device)
    inputs = torch.from_numpy(data.inputs).to(device)
    labels = torch.from_numpy(data.labels).to(device)
    try:
        with threads(1):
            fitted = fit(
                network,
                inputs,
                labels,
                lambda_W=config.lambda_W,
                lambda_H=config.lambda_H,
                max_iterations=config.max_iterations,
                gradient_tol=config.gradient_tol,
                progress=progress,
            )
            return _measured(config, network, data, inputs, fitted)
    except ConvergenceError as error:
        raise UnsolvedError(
            f"{error}; the training had rho = {config.rho!r}, solver = {config.solver!r}, tol = {config.tol:g} and "
            f"max_steps = {config.max_steps}: take a smaller rho, solver 'anderson' or more max_steps"
        ) from error


def _check_weights(initial: Any) -> None:
    if not isinstance(initial, Mapping):
        raise TypeError(f"initial must map names of weights to tensors, as state_dict() does, got {initial!r}")
    for name, value in initial.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"initial[{name!r}] must be a tensor, got {value!r}")
        if not torch.isfinite(value).all():
            raise ValueError(f"initial[{name!r}] must be finite, got a tensor with NaN or infinity")


def _build(config: TrainingConfig, data: Dataset) -> Network:
    p, k = data.inputs.shape[1], data.num_classes
    if config.architecture == "explicit":
        return ExplicitNetwork(p, k, dim=config.dim, width=config.hidden_units, seed=config.seed)
    # A training on gradients of unsolved fixed points would be wrong silently.
    deq = DEQ(config.solver, tol=config.tol, max_steps=cast(int, config.max_steps), on_failure="raise")
    network = LinearDEQNetwork(
        p, k, dim=config.dim, width=config.hidden_units, rho=config.rho, start=config.start, deq=deq, seed=config.seed
    )
    if config.gamma == 0:
        return network
    cell = DenseCell(config.dim, config.rho, config.start, config.activation, config.gamma)
    return DEQNetwork(network.encoder, cell, network.classifier, deq)


def _measured(config: TrainingConfig, network: Network, data: Dataset, inputs: Tensor, fitted: Fit) -> TrainingResult:
    with torch.no_grad():
        output = network(inputs)
    features = output.features.cpu().numpy()
    classifier = network.classifier.weight.detach().cpu().numpy()
    means = np.stack([features[data.labels == c].mean(axis=0) for c in range(data.num_classes)], axis=1)
    prior = ClassPrior(config.counts)
    measures = measure(features, data.labels, classifier=classifier, prior=prior)
    measures = dataclasses.replace(measures, phase=phase_of(classifier @ means, prior))
    rank = rank_of(classifier @ means)
    norm, residual, steps, local, equilibrium = None, None, None, None, None
    if output.info is not None:
        bound = equilibrium_of(network)
        assert bound is not None  # it has a fixed point
        with torch.no_grad():
            a = bound()
        equilibrium = a.cpu().numpy()
        norm = float(spectral_norm(a))
        residual = float(output.info.residuals.max())
        steps = int(output.info.steps.max())
        # A network that is zero but for rounding uses no direction.
        used = 1.0 if rank else 0.0
        gain = minority_gain(equilibrium, used * classifier, used * means)
        if gain > 0 and config.is_modelled:
            # A gain c acts like weaker weight decay: strength lam / c.
            weaker = UnconstrainedFeatures(config.lambda_W / gain, config.lambda_H / gain)
            local = minority_threshold(weaker, config)
    return TrainingResult(
        config=config,
        network=network,
        fit=fitted,
        measures=measures,
        prediction=predict(config),
        spectral_norm=norm,
        rank=rank,
        residual=residual,
        steps=steps,
        local_threshold=local,
        budgets=Budgets.of(classifier, output.injected.cpu().numpy(), data.labels, equilibrium),
        features=features,
        labels=data.labels,
    )
