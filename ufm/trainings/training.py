"""Training on the penalised objective that the theory models, to a stationary point.

    L = (1/N) sum_i CE(W z_i, y_i) + (lambda_W/2) |W|_F^2 + (lambda_H/2) sum_i |h_i|^2

over all N samples at once, with h the encoder's output and ``z = h`` (explicit) or ``z = phi(A z + h)`` (DEQ). No other
weight decay: ``ufm.UnconstrainedFeatures`` and, for phi linear, ``ufm.PenalisedDEQ`` with the same lambdas predict it.
How far a nonlinear phi departs from that prediction is what its trainings measure.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from ufm._files import replacing
from ufm._validation import fraction, integer, known_fields, one_of, positive, real
from ufm.architectures import UnconstrainedFeatures
from ufm.data import Dataset, digit_counts, load_dataset
from ufm.deq.cells import ACTIVATIONS, DenseCell
from ufm.deq.layer import DEQ
from ufm.deq.solvers import SOLVERS
from ufm.deq.wellposed import STARTS, SpectralBound, spectral_norm
from ufm.labels import ClassPrior
from ufm.measures import Measures, measure
from ufm.networks.models import DEQNetwork, Encoder, ExplicitNetwork, LinearDEQNetwork, Output
from ufm.trainings.prediction import (
    USED,
    Budgets,
    Prediction,
    beside,
    gram_matrices,
    minority_gain,
    minority_threshold,
    predict,
    predict_from_budgets,
)

__all__ = [
    "ARCHITECTURES",
    "DEVICES",
    "Fit",
    "TrainingConfig",
    "TrainingResult",
    "fit",
    "objective",
    "train",
]

Array = NDArray[np.float64]
Network = ExplicitNetwork | LinearDEQNetwork | DEQNetwork
#: ``progress(description, completed, total)``; total may be None.
Progress = Callable[[str, float, float | None], None]

ARCHITECTURES = ("explicit", "deq")
#: Data sets whose images are whitened and fitted, and the split that they are drawn from.
DATASET_SPLITS = {"digits": "all", "mnist1d": "train", "fashion-mnist": "train"}
DEVICES = ("auto", "cpu", "cuda")

NUM_CLASSES = 10

#: lambda_W = lambda_H of the default setting: with 600 samples the explicit threshold is at n_B = 20.
DEFAULT_LAMBDA = math.sqrt(20) / 600

#: Coordinates of the hidden layer are its weights over this number: it then moves slower than the output layer, whose
#: whitened coordinates move the features isotropically.
HIDDEN_STEP = 0.03
#: Ridge of those whitened coordinates, as a fraction of the mean eigenvalue of the activations' Gram matrix.
WHITENING_RIDGE = 1e-3
#: Pairs that L-BFGS remembers.
LBFGS_MEMORY = 20


@dataclass(frozen=True)
class TrainingConfig:
    """A training, with everything that determines its result.

    Attributes:
        architecture: ``"explicit"`` or ``"deq"``.
        dataset: ``"digits"``, ``"mnist1d"`` or ``"fashion-mnist"``; its inputs are whitened.
        minority_count: n_B, images of each minority class; at most ``majority_count``.
        majority_count: n_A, images of each majority class (0..K_A-1).
        num_majority: K_A >= 1.
        num_minority: K_B >= 2; ``K_A + K_B <= 10``.
        lambda_W, lambda_H: weight decay > 0 of the classifier and of the injected features. They stay as they are when
            n_B changes.
        rho: spectral bound in [0, 1) of the DEQ.
        start: where A starts, ``"identity"`` or ``"zero"``.
        activation, gamma: phi of the DEQ, :class:`ufm.deq.cells.Activation`: the identity at gamma = 0, ``"tanh"`` or
            ``"relu"`` at gamma = 1.
        solver, tol, max_steps: of the fixed point and of its adjoint, see :class:`ufm.deq.DEQ`.
        dim: feature dimension d >= K - 1, which the rank of the optimum may need.
        width: hidden units; None for 1.2 N, enough to give every image any features.
        seed: of the subsample and of the initial weights.
        max_iterations: of L-BFGS.
        gradient_tol: largest entry of the gradient at which training ends.
        device: ``"auto"`` (CUDA where there is one), ``"cpu"`` or ``"cuda"``.

    Raises:
        TypeError, ValueError: a field is not what it should be; the message names it.
    """

    architecture: str = "deq"
    minority_count: int = 10
    majority_count: int = 100
    num_majority: int = 5
    num_minority: int = 5
    lambda_W: float = DEFAULT_LAMBDA
    lambda_H: float = DEFAULT_LAMBDA
    rho: float = 0.5
    start: str = "identity"
    solver: str = "fixed_point"
    tol: float = 1e-11
    max_steps: int = 2000
    dim: int = 16
    width: int | None = None
    seed: int = 0
    max_iterations: int = 1000
    gradient_tol: float = 1e-7
    device: str = "auto"
    dataset: str = "digits"
    activation: str = "tanh"
    gamma: float = 0.0

    def __post_init__(self) -> None:
        one_of("architecture", self.architecture, ARCHITECTURES)
        one_of("dataset", self.dataset, DATASET_SPLITS)
        one_of("start", self.start, STARTS)
        one_of("activation", self.activation, ACTIVATIONS)
        object.__setattr__(self, "gamma", real("gamma", self.gamma))
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma must lie in [0, 1], got {self.gamma!r}")
        one_of("solver", self.solver, SOLVERS)
        one_of("device", self.device, DEVICES)
        for name in ("lambda_W", "lambda_H", "tol", "gradient_tol"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        object.__setattr__(self, "rho", fraction("rho", self.rho))
        self._integer("num_majority", 1, NUM_CLASSES - 2)
        self._integer("num_minority", 2, NUM_CLASSES - self.num_majority, "there are 10 classes, two of them minority")
        k = self.num_majority + self.num_minority
        if self.dataset == "digits":
            available = digit_counts()
            reason = "images of the scarcest majority digit"
            self._integer("majority_count", 1, min(available[: self.num_majority]), reason)
        else:  # what they offer shows when they are loaded: a config can be read where their files are missing
            self._integer("majority_count", 1)
        object.__setattr__(self, "minority_count", self.checked_minority_count("minority_count", self.minority_count))
        self._integer("max_steps", 1)
        self._integer("dim", k - 1)
        if self.width is not None:
            self._integer("width", 1)
        self._integer("seed", 0)
        self._integer("max_iterations", 1)

    def _integer(self, name: str, minimum: int, maximum: int | None = None, reason: str = "") -> None:
        value = integer(name, getattr(self, name), minimum=minimum, maximum=maximum, reason=reason)
        object.__setattr__(self, name, value)

    def checked_minority_count(self, name: str, value: Any) -> int:
        """``value`` as an n_B of this data set and n_A; TypeError or ValueError naming it ``name`` for any other."""
        largest, reason = self.majority_count, "at most majority_count"
        if self.dataset == "digits":
            k = self.num_majority + self.num_minority
            largest = min(largest, *digit_counts()[self.num_majority : k])
            reason += ", and what digits offers"
        return integer(name, value, minimum=1, maximum=largest, reason=reason)

    @property
    def is_modelled(self) -> bool:
        """Whether the theory predicts this training: not where the fixed point of a DEQ is nonlinear, gamma > 0."""
        return self.architecture == "explicit" or self.gamma == 0

    @property
    def counts(self) -> tuple[int, ...]:
        """n_k, majority classes first."""
        return (self.majority_count,) * self.num_majority + (self.minority_count,) * self.num_minority

    @property
    def hidden_units(self) -> int:
        """``width``, or 1.2 N rounded up to a multiple of 64."""
        return 64 * math.ceil(1.2 * sum(self.counts) / 64) if self.width is None else self.width

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TrainingConfig:
        """The config that :meth:`to_dict` wrote; ValueError for a field it does not have."""
        return cls(**known_fields("a training", cls, fields))


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


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A trained network, measured on its training data, beside the theory's prediction.

    Attributes:
        config: what was trained.
        network: the trained network.
        fit: how the optimisation ended.
        measures: neural-collapse measures of the features that the classifier sees, :func:`ufm.measure`. Their
            ``phase`` takes class logits as collapsed when they coincide to 1e-3 of the largest singular value.
        prediction: the global optimum of the same objective; where ``config.is_modelled`` is False that of the linear
            DEQ, beside which the measured shows how far a nonlinear one departs.
        spectral_norm: ``|A|_2`` of a DEQ, else None.
        rank: singular values of the class-mean logits above 1e-3 of the largest. A low-rank code that uses fewer
            directions than ``prediction.solution.geometry.rank`` is a typical trap of a DEQ started at A = 0.
        residual: largest relative fixed-point residual of a sample in a fresh solve, else None.
        steps: evaluations of the fixed-point map that the slowest sample took in that solve, else None.
        local_threshold: n_B up to which a collapsed state with this A is a local minimum against perturbations along
            unused directions, see :func:`ufm.trainings.prediction.minority_gain`; None for an explicit network, or
            where no direction is unused, or where phi is not linear.
        budgets: what the network has spent, from which :meth:`from_budgets` predicts.
        features: what the classifier sees, shape (N, d).
        labels: shape (N,).
    """

    config: TrainingConfig
    network: Network
    fit: Fit
    measures: Measures
    prediction: Prediction
    spectral_norm: float | None
    rank: int
    residual: float | None
    steps: int | None
    local_threshold: float | None
    budgets: Budgets
    features: Array
    labels: NDArray[np.int64]

    @property
    def scale(self) -> float:
        """Measured s_B."""
        scales = self.measures.group_scales
        if scales is None or scales[-1] is None:
            raise ValueError("the minority must have at least two classes")
        return scales[-1]

    @property
    def means(self) -> Array:
        """Measured class means of the features, shape (d, K)."""
        k = len(self.config.counts)
        return np.stack([self.features[self.labels == c].mean(axis=0) for c in range(k)], axis=1)

    @property
    def classifier(self) -> Array:
        """Trained W, shape (K, d)."""
        return self.network.classifier.weight.detach().cpu().numpy()

    @property
    def gram(self) -> dict[str, Array]:
        """Measured Gram matrices, beside ``prediction.gram``: :func:`ufm.trainings.prediction.gram_matrices`."""
        return gram_matrices(self.classifier, self.means)

    def from_objective(self) -> dict[str, Any]:
        """Prediction beside the measured, :func:`ufm.trainings.prediction.compare`; with ``objective``."""
        value = beside(self.prediction.objective, self.fit.objective, relative=True)
        return {"objective": value, **self.prediction.compare(self.classifier, self.means)}

    def from_budgets(self, weighting: str = "samples") -> dict[str, Any]:
        """Prediction from the network's own budgets beside the measured, :meth:`BudgetPrediction.compare`.

        With it ``threshold_error`` and, with ``"samples"``, ``lambda_W_error`` and ``lambda_H_error``: relative to what
        the objective predicts or has.

        Raises:
            ValueError: an unknown ``weighting``, or budgets that no optimum spends, as of a network that is all zero.
        """
        predicted = predict_from_budgets(
            self.budgets, self.config.counts, self.config.num_majority, weighting=weighting
        )
        found = predicted.compare(self.classifier, self.means)
        known = {"lambda_W": self.config.lambda_W, "lambda_H": self.config.lambda_H}
        for name, value in {"threshold": self.prediction.threshold, **known}.items():
            if name in found:
                found[f"{name}_error"] = found[name] / value - 1
        return found

    def to_dict(self) -> dict[str, Any]:
        """Everything but weights and features, as JSON types.

        ``from_objective`` and ``from_budgets`` set prediction beside measurement with relative errors; the latter is
        ``{"error": why}`` where the network's budgets predict nothing. ``is_modelled`` is False where the predictions
        are those of the linear theory for a nonlinear network.
        """
        geometry = self.prediction.solution.geometry
        try:
            budgets = self.from_budgets()
        except ValueError as error:
            budgets = {"error": str(error)}
        return {
            "config": self.config.to_dict(),
            "fit": dataclasses.asdict(self.fit),
            "measured": self.measures.to_dict(),
            "predicted": {
                "objective": self.prediction.objective,
                "threshold": self.prediction.threshold,
                "group_scales": list(geometry.group_scales),
                "minority_cosine": geometry.minority_cosine,
                "etf_error": geometry.etf_error,
                "self_duality_error": geometry.self_duality_error,
                "phase": geometry.phase,
                "rank": geometry.rank,
            },
            "is_modelled": self.config.is_modelled,
            "rank": self.rank,
            "spectral_norm": self.spectral_norm,
            "residual": self.residual,
            "steps": self.steps,
            "local_threshold": self.local_threshold,
            "from_objective": self.from_objective(),
            "from_budgets": budgets,
        }

    def save(self, path: str | Path) -> None:
        """Write features, labels, classifier and all weights to a NumPy ``.npz`` file, without pickle.

        ``ufm measure`` reads the file. It appears under its name only when it is complete.
        """
        arrays = {f"weights/{name}": value.cpu().numpy() for name, value in self.network.state_dict().items()}
        with replacing(path) as stream:
            np.savez(stream, features=self.features, labels=self.labels, classifier=self.classifier, **arrays)


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
        ConvergenceError: a fixed point was not found to ``config.tol`` within ``config.max_steps``.
        DatasetNotFoundError: the files of the data set are not there; the message says what to put where.
        TypeError, ValueError: an argument is not what it should be, ``config.device`` is ``"cuda"`` and there is none,
            ``initial`` does not fit, or the data set has fewer images than asked for.
    """
    if not isinstance(config, TrainingConfig):
        raise TypeError(f"config must be a ufm.deq.TrainingConfig, got {config!r}")
    by = config
    if whitened_by is not None:
        by = dataclasses.replace(config, minority_count=config.checked_minority_count("whitened_by", whitened_by))
    if initial is not None:
        _check_weights(initial)
    device = _device(config.device)
    split = DATASET_SPLITS[config.dataset]
    data, reference = (
        load_dataset(config.dataset, root, split=split, counts=c.counts, seed=config.seed) for c in (config, by)
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
    with _threads(1):
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


def objective(output: Output, labels: Tensor, classifier: Tensor, lambda_W: float, lambda_H: float) -> Tensor:
    """``(1/N) sum_i CE(W z_i, y_i) + (lambda_W/2)|W|_F^2 + (lambda_H/2) sum_i |h_i|^2``.

    Args:
        output: of the network on all N samples.
        labels: shape (N,).
        classifier: W, shape (K, d).
        lambda_W, lambda_H: weight decay.
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
    """
    start = time.perf_counter()
    coordinates = _Coordinates(network, inputs)

    def value_and_gradient(vector: Array) -> tuple[float, Array]:
        coordinates.assign(vector)
        value = objective(network(inputs), labels, network.classifier.weight, lambda_W, lambda_H)
        return float(value.detach()), coordinates.gradient(value)

    iterations = 0

    def callback(intermediate_result: Any) -> None:
        nonlocal iterations
        iterations += 1
        if progress is not None:
            progress(f"objective {intermediate_result.fun:.6f}", iterations, None)

    result = minimize(
        value_and_gradient,
        coordinates.read(),
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
    coordinates.assign(np.asarray(result.x))
    gradient = float(np.abs(result.jac).max())
    return Fit(
        objective=float(result.fun),
        gradient=gradient,
        iterations=int(result.nit),
        evaluations=int(result.nfev),
        converged=gradient <= gradient_tol,
        message=str(result.message),
        seconds=time.perf_counter() - start,
    )


class _Coordinates:
    """Linear coordinates of a network's weights, flattened into one float64 vector for the optimiser.

    Output layer of the encoder: ``[V, c] = X P`` with ``P = (Phi^T Phi + ridge)^{-1/2}`` and Phi the activations at the
    start with a column of ones. Hidden layer: weights over :data:`HIDDEN_STEP`. Everything else: itself.
    """

    def __init__(self, network: Network, inputs: Tensor) -> None:
        encoder = cast(Encoder, network.encoder)
        self.output, self.hidden = encoder.output, encoder.hidden
        own = set(encoder.parameters())
        self.others = [p for p in network.parameters() if p not in own]
        with torch.no_grad():
            phi = encoder.activations(inputs)
            phi = torch.cat([phi, torch.ones(len(phi), 1, dtype=phi.dtype, device=phi.device)], dim=1)
            values, vectors = torch.linalg.eigh(phi.T @ phi)
            values = values.clamp_min(0) + WHITENING_RIDGE * values.mean()
            self.whiten = (vectors / values.sqrt()) @ vectors.T
            self.colour = (vectors * values.sqrt()) @ vectors.T

    @property
    def _weights(self) -> list[Tensor]:
        return [self.output.weight, self.output.bias, self.hidden.weight, self.hidden.bias, *self.others]

    def read(self) -> Array:
        """Coordinates of the present weights."""
        with torch.no_grad():
            output = torch.cat([self.output.weight, self.output.bias[:, None]], dim=1) @ self.colour
            hidden = [self.hidden.weight / HIDDEN_STEP, self.hidden.bias / HIDDEN_STEP]
            return self._flat([output, *hidden, *self.others])

    def assign(self, vector: Array) -> None:
        """Set the weights to those with these coordinates."""
        flat = torch.from_numpy(vector).to(self.whiten)
        rows, columns = self.output.weight.shape
        with torch.no_grad():
            size = rows * (columns + 1)
            output = flat[:size].view(rows, columns + 1) @ self.whiten
            self.output.weight.copy_(output[:, :-1])
            self.output.bias.copy_(output[:, -1])
            for weight in self._weights[2:]:
                part = flat[size : size + weight.numel()].view(weight.shape)
                weight.copy_(HIDDEN_STEP * part if weight is self.hidden.weight or weight is self.hidden.bias else part)
                size += weight.numel()

    def gradient(self, value: Tensor) -> Array:
        """Gradient of ``value`` in these coordinates."""
        weight, bias, hidden_weight, hidden_bias, *others = torch.autograd.grad(value, self._weights)
        output = torch.cat([weight, bias[:, None]], dim=1) @ self.whiten
        return self._flat([output, HIDDEN_STEP * hidden_weight, HIDDEN_STEP * hidden_bias, *others])

    @staticmethod
    def _flat(parts: list[Tensor]) -> Array:
        return torch.cat([part.detach().reshape(-1) for part in parts]).cpu().numpy().astype(np.float64)


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    """Torch and BLAS on so many CPU threads: on one, sums come out the same on any machine.

    Vectors of this size gain nothing from more, and on a busy machine threads that wait cost ten times the work.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with threadpool_limits(number, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(threads)


def _check_weights(initial: Any) -> None:
    if not isinstance(initial, Mapping):
        raise TypeError(f"initial must map names of weights to tensors, as state_dict() does, got {initial!r}")
    for name, value in initial.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"initial[{name!r}] must be a tensor, got {value!r}")
        if not torch.isfinite(value).all():
            raise ValueError(f"initial[{name!r}] must be finite, got a tensor with NaN or infinity")


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device must be 'auto' or 'cpu' on this machine, got 'cuda': torch finds no CUDA device")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _build(config: TrainingConfig, data: Dataset) -> Network:
    p, k = data.inputs.shape[1], data.num_classes
    if config.architecture == "explicit":
        return ExplicitNetwork(p, k, dim=config.dim, width=config.hidden_units, seed=config.seed)
    # A training on gradients of unsolved fixed points would be wrong silently.
    deq = DEQ(config.solver, tol=config.tol, max_steps=config.max_steps, on_failure="raise")
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
    measures = measure(features, data.labels, classifier=classifier, prior=ClassPrior(config.counts))
    means = np.stack([features[data.labels == c].mean(axis=0) for c in range(data.num_classes)], axis=1)
    values = np.linalg.svd(classifier @ means, compute_uv=False)
    norm, residual, steps, local, equilibrium = None, None, None, None, None
    if output.info is not None:
        layer = network.cell if isinstance(network, DEQNetwork) else network
        bound = cast(SpectralBound, layer.equilibrium)
        with torch.no_grad():
            a = bound()
        equilibrium = a.cpu().numpy()
        norm = float(spectral_norm(a))
        residual = float(output.info.residuals.max())
        steps = int(output.info.steps.max())
        gain = minority_gain(equilibrium, classifier, means)
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
        rank=int((values > USED * values[0]).sum()),
        residual=residual,
        steps=steps,
        local_threshold=local,
        budgets=Budgets.of(classifier, output.injected.cpu().numpy(), data.labels, equilibrium),
        features=features,
        labels=data.labels,
    )
