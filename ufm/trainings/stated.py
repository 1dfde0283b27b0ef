"""Training of any problem that can be stated, and what the theory's optimum says beside it.

    L = (1/N) sum_i loss(z_i + b; t_i) + weight decay,   or L alone within budgets,

over all N samples at once, z_i the logits of the network that the architecture states
(:class:`ufm.networks.StatedNetwork`). The prediction is :func:`ufm.solve` of the same problem: there is no free
parameter. Its value is a lower bound of L at any weights wherever ``is_global`` is True and the loss is convex, for
class means cost no more than samples.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ufm._extras import optional
from ufm._validation import array, as_array, integer, one_of, positive
from ufm.data import DATASETS, load_dataset
from ufm.geometry import group_scales
from ufm.labels import ClassPrior, Labels
from ufm.losses import Loss
from ufm.networks.output import Output
from ufm.networks.stated import StatedNetwork
from ufm.problem import Problem
from ufm.solution import LocalMinimum, Solution
from ufm.solvers import solve
from ufm.trainings.comparison import phase_of_classes, rank_of
from ufm.trainings.config import fitted_datasets
from ufm.trainings.judgement import EXCESS, STATIONARY, TOLERANCE
from ufm.trainings.optimisation import Fit, descend
from ufm.trainings.running import Progress, device_named, threads
from ufm.trainings.units import logit_unit, risk_unit

with optional("deq"):
    import torch
    from torch import Tensor

__all__ = ["StatedTraining", "train_problem"]

Array = NDArray[np.float64]

#: Relative error of an objective that float32 cannot resolve where many terms make it up.
_COARSE = 1e-3
#: Share of the unit of a risk below which errors of an objective are relative to that unit.
_SMALL = 1e-3
#: What budgets press with, ``mu tau``, relative to the risk, up to which they are idle: a solver's rounding.
_IDLE = 1e-9
#: Relative error of an objective that a converged training in double precision resolves, and how much nearer a minimum
#: that is known has to be than the optimum for it to be the one that the training is in.
_RESOLVED, _NEARER = 1e-8, 0.1
#: What is left of features by the best output layer, relative to them, up to which an encoder has them.
_REACHED = {"float64": 1e-6, "float32": 1e-3}
#: Root mean square of inputs that weights drawn for inputs of size 1 can be trained on.
_INPUTS = (1e-3, 1e3)
#: How far weights are moved from where a training of a problem that is not convex has ended, to see whether it stays.
SHAKE = 1e-3
#: What the gradient's tolerance is multiplied by then, where the problem is convex.
FINER = 1e-2
#: Most iterations with each slope of a leaky ReLU that leads to the ReLU.
WAY = 60
#: Curvature that the augmented Lagrangian of E_A adds, times E_A^2, and at most so many rounds.
MULTIPLIER_WEIGHT, MULTIPLIER_ROUNDS = 6.0, 12
#: Largest entry of the gradient at which training ends, by dtype, where the unit of the risk is of order 1.
_GRADIENTS = {"float64": 1e-7, "float32": 1e-5}


@dataclass(frozen=True)
class StatedTraining:
    """A trained network beside the optimum of the problem that it was trained on.

    Attributes:
        problem: what was trained.
        solution: the predicted optimum, :func:`ufm.solve` of the problem.
        logits: means over the samples of each column, without the bias, shape (K, m); centred where the loss is
            constant along a direction.
        classifier, features, equilibrium_features: W (K, d), the means of the injected h and of what the classifier
            sees (d, m).
        bias: b (K,), None without one.
        spread: largest distance of a sample's logits from their column's mean, over :attr:`unit` and the size of the
            logits.
        fit: how the optimisation ended.
        network: the network.
        is_reached: whether the hidden layer, as trained, lets some output layer give every sample the optimum's
            features: not where it is too narrow, or where samples of different columns have one input.
    """

    problem: Problem
    solution: Solution
    logits: Array
    classifier: Array
    features: Array
    equilibrium_features: Array
    bias: Array | None
    spread: float
    fit: Fit
    network: Any = field(repr=False)
    is_reached: bool = True

    @property
    def is_attained(self) -> bool:
        """Whether weights of the network reach the optimum; else that is a bound that trainings stay above."""
        return bool(self.network.is_attained) and self.is_reached

    @cached_property
    def unit(self) -> float:
        """What a logit of order 1 is: 1, or less where targets are small, logits are scaled up or budgets are small."""
        found, size = logit_unit(self.problem), float(np.linalg.norm(self.solution.logits))
        return min(found, size) if self.problem.is_constrained and size else found

    @property
    def objective_error(self) -> float:
        """``objective/predicted - 1``; the difference, in the risk's unit, where the predicted is below 1e-3 of it.

        The unit is the lesser of 1 and what the risk falls by, from logits 0, over one :attr:`unit` of logits.
        """
        return self._relative(self.solution.value)

    def _relative(self, value: float) -> float:
        """How far the objective is above another."""
        size = abs(value)
        return (self.fit.objective - value) / (size if size >= _SMALL * self._risk_unit else self._risk_unit)

    @cached_property
    def _risk_unit(self) -> float:
        return min(1.0, risk_unit(self.solution))

    @property
    def logits_error(self) -> float:
        """``|Z - Z*|_F / max(u, |Z*|_F)``, the logits with their bias, centred, and u their :attr:`unit`.

        Of budgets |Z*|_F alone, without the bias, which they leave free: however small they are they are spent.
        """
        predicted = self._total(self.solution.logits, self.solution.bias)
        difference = np.linalg.norm(self._total(self.logits, self.bias) - predicted)
        size = float(np.linalg.norm(self.solution.logits if self.problem.is_constrained else predicted))
        return float(difference / max(self.unit, size))

    @property
    def gram_errors(self) -> dict[str, float | None]:
        """``|G - G*|_F / |G*|_F`` of ``W W^T`` and of ``H^T H``, H what the classifier sees.

        None where G* is 0, and where budgets are idle: then many factors attain the optimum.
        """
        theory, solution = self.solution.factors, self.solution
        idle = self._is_idle or (
            self.problem.is_constrained and solution.multiplier * self.problem.bound <= _IDLE * abs(solution.value)
        )
        pairs = {
            "classifier": (self.problem.centred(self.classifier), self.problem.centred(theory.classifier)),
            "features": (self.equilibrium_features.T, theory.equilibrium_features.T),
        }
        errors: dict[str, float | None] = {}
        for name, (found, predicted) in pairs.items():
            size = float(np.linalg.norm(predicted @ predicted.T))
            error = float(np.linalg.norm(found @ found.T - predicted @ predicted.T))
            errors[name] = error / size if size and not idle else None
        return errors

    @property
    def _is_idle(self) -> bool:
        """Whether the optimum is what it would be without budgets: logits and factors are not determined then."""
        return self.solution.multiplier == 0

    @cached_property
    def singular_values(self) -> Array:
        """Of the mean logits, descending, shape (min(K, m),)."""
        return np.asarray(np.linalg.svd(self.logits, compute_uv=False), dtype=float)

    @cached_property
    def trap(self) -> LocalMinimum | None:
        """The local minimum of the theory that the network is in: same objective, same singular values.

        Of a problem that is not convex those are what its search found. Where the gauge is a nuclear norm they are the
        minima among the logits of the network's rank, zero included: a linear equilibrium layer whose A is rho on the
        directions in use and small beside them cannot leave one, by :mod:`ufm.landscape`. Which classes share a
        direction in a code is a matter of the start, so logits are not compared. None where no minimum is like the
        network.
        """
        minima = itertools.chain(self.solution.local_minima, self._minima_of_rank())
        alike = [x for x in minima if self._like(x.value, x.singular_values)]
        return min(alike, key=lambda x: abs(x.value - self.fit.objective), default=None)

    @property
    def _is_beside(self) -> bool:
        """Whether it is in a known minimum that is not the optimum, though hardly above it and much like it.

        So it is next to a threshold, where a direction that has not opened would be short, and where two codes differ
        in classes of nearly the same counts.
        """
        if self._is_coarse or self.objective_error <= _RESOLVED:
            return False
        known = self.solution.local_minima or self.rank < rank_of(self.solution.logits, self.unit)
        if not known or self.trap is None:
            return False
        return abs(self._relative(self.trap.value)) <= _NEARER * self.objective_error

    def _minima_of_rank(self) -> Iterator[LocalMinimum]:
        problem, rank = self.problem, self.rank
        if not problem.has_nuclear_norm or rank >= rank_of(self.solution.logits, self.unit):
            return
        if rank == 0:
            zero = np.zeros(problem.targets.shape)
            yield LocalMinimum(problem.objective(zero), 1.0, 0.0, None, zero, zero, None)
            return
        searched = solve(
            problem.architecture,
            problem.prior,
            problem.loss,
            bias=problem.stated_bias,
            method="search",
            dim=rank,
        )
        yield from searched.local_minima

    def _like(self, value: float, singular_values: Array) -> bool:
        size = max(self.unit, float(np.linalg.norm(singular_values)))
        near = float(np.linalg.norm(self.singular_values - singular_values)) <= TOLERANCE * size
        return near and abs(self._relative(value)) <= self._resolution[1]

    @property
    def _is_coarse(self) -> bool:
        return bool(self.network.classifier.weight.dtype == torch.float32)

    @property
    def _resolution(self) -> tuple[float, float]:
        """How far below the predicted objective, and how far above it, is the same."""
        return (_COARSE, _COARSE) if self._is_coarse else (EXCESS, TOLERANCE**2)

    @property
    def rank(self) -> int:
        """Numerical rank of the mean logits, to a thousandth of :attr:`unit` or of their largest singular value."""
        return rank_of(self.logits, self.unit)

    @cached_property
    def phase(self) -> str | None:
        """``"none"``, ``"partial"``, ``"total"`` or ``"tail"`` for class labels, None for others.

        That of ``solution.geometry``, at the resolution of :attr:`rank`: closer to a threshold the two may differ.
        """
        if not isinstance(self.problem.prior, ClassPrior):
            return None
        return phase_of_classes(self.logits, self.problem.prior, self.unit)

    @property
    def group_scales(self) -> tuple[float | None, ...]:
        """s of every group of classes, for class labels: ``mean(z_kk) - mean(z_jk)`` within it; None for one class."""
        return group_scales(self.logits, [group.classes for group in self.problem.class_prior.groups])

    @property
    def status(self) -> str:
        """How it stands to the prediction.

        ``"agrees"``: the objective is the predicted one to the square of 1 %, and the logits are to 1 %, or, where the
        problem is not convex, their singular values; where budgets are idle, the objective alone. ``"trapped"``: a
        stationary point above the optimum; :attr:`trap` says whether the theory has it. So is one that agrees so far,
        where a minimum that the theory has is ten times nearer. ``"below"``: below the
        predicted value, which then is no global optimum. ``"unconverged"``: above it, and not at a stationary point, to
        a hundred times the default ``gradient_tol``, unless it is in a minimum that is known; or so little above it
        that the gradient is below its tolerance though logits are elsewhere, as of a loss that saturates. ``"above"``:
        above it, and it is a bound that the network, or its encoder, does not reach (:attr:`is_attained`).
        """
        error, (below, above) = self.objective_error, self._resolution
        if error < -below:
            return "below"
        searched = not self.problem.is_convex or self.solution.local_minima
        same = (
            self._is_idle
            or self.logits_error <= TOLERANCE
            or (searched and self._like(self.solution.value, self.solution.singular_values))
        )
        if error <= above and same:
            if not self._is_beside:
                return "agrees"
            return "trapped" if self.fit.converged else "unconverged"
        if not self.is_attained:
            return "above"
        if error <= below and self.trap is None:
            return "unconverged"
        loose = self.fit.gradient > STATIONARY * _order(risk_unit(self.solution))
        if self.fit.converged and not loose:
            return "trapped"
        # single precision seldom meets a tolerance of the gradient: there the minimum itself has to be known
        return "trapped" if (self.fit.converged or self._is_coarse) and self.trap is not None else "unconverged"

    def _total(self, logits: Array, bias: Array | None) -> Array:
        return self.problem.centred(logits if bias is None else logits + bias[:, None])

    def __str__(self) -> str:
        return (
            f"{self.status}: objective {self.fit.objective:.8g} (predicted {self.solution.value:.8g}), logits off by "
            f"{self.logits_error:.1e}, rank {self.rank}"
        )


#: Values (N,) and gradients (K, N) of a loss at logits (K, N) of the samples.
_Evaluate = Callable[[Array], tuple[Array, Array]]


def _of_samples(loss: Loss, targets: Array, j: NDArray[np.int64]) -> _Evaluate:
    """The loss of samples, each of the column of the targets (K, m) that ``j`` (N,) says.

    One that treats columns differently, as by weights, knows them by their place: it is then asked for a sample of
    every column at a time.
    """
    m = targets.shape[1]
    if loss.on_columns(slice(0, 1), m) is loss:
        of_each = targets[:, j]
        return lambda z: loss.values_and_gradients(z, of_each)
    place = np.empty(len(j), dtype=np.int64)
    for column in range(m):
        place[j == column] = np.arange((j == column).sum())
    rounds = [np.flatnonzero(place == r) for r in range(int(place.max()) + 1)]

    def evaluate(z: Array) -> tuple[Array, Array]:
        values, gradients = np.empty(len(j)), np.empty_like(z)
        for taken in rounds:
            columns = np.zeros(targets.shape)
            columns[:, j[taken]] = z[:, taken]
            value, gradient = loss.values_and_gradients(columns, targets)
            values[taken], gradients[:, taken] = value[j[taken]], gradient[:, j[taken]]
        return values, gradients

    return evaluate


class _Risk(torch.autograd.Function if torch else object):  # type: ignore[misc]
    """Mean of a loss over samples: values and gradients of the loss itself, whatever it is written in."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, evaluate: _Evaluate) -> Tensor:
        with torch.enable_grad():  # a loss may be written in torch itself
            values, gradients = evaluate(logits.detach().cpu().numpy().astype(np.float64).T)
        ctx.gradient = gradients.T / len(logits)
        return logits.new_tensor(float(values.mean()))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        return grad * torch.from_numpy(np.ascontiguousarray(ctx.gradient)).to(grad), None


def train_problem(
    architecture: Any,
    prior: ClassPrior | Labels,
    loss: str | Loss = "ce",
    *,
    bias: str | float | None = None,
    solution: Solution | None = None,
    network: Callable[..., StatedNetwork] = StatedNetwork,
    dataset: str = "digits",
    inputs: Any = None,
    columns: Any = None,
    dim: int | None = None,
    width: int | None = None,
    start: str = "identity",
    starts: int = 1,
    seed: int = 0,
    dtype: str = "float64",
    device: str = "auto",
    max_iterations: int = 1000,
    gradient_tol: float | None = None,
    root: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> StatedTraining:
    """Train a network on the objective of a problem, and set the problem's optimum beside it.

    Args:
        architecture: of this package: explicit, DEQ, plain or residual depth, gains, bounded norms, nonnegative
            features.
        prior: class counts, or labels of any kind; counts are whole numbers of samples.
        loss, bias: as of :func:`ufm.solve`; any loss, one of your own included.
        solution: a solution of the very same problem, in as many dimensions, so that it is not solved again.
        network: what makes the network from the arguments of :class:`ufm.networks.StatedNetwork`: that class, or one
            below it of which the problem's optimum is a bound.
        dataset: one of :func:`ufm.trainings.config.fitted_datasets`, whose class j gives the samples of column j.
        inputs, columns: samples of your own instead, (N, p), of a root mean square between 1e-3 and 1e3, and the column
            of each, (N,): the counts must be those of ``prior``.
        dim: feature dimension d, default the larger of 16 and K. Below the rank of the optimum it is a constraint, of
            the prediction too.
        width: hidden units; default 1.2 N, enough to give every sample any features.
        start: of the maps, ``"identity"`` or ``"zero"``.
        starts: trainings from weights of seeds ``seed``, ``seed + 1``, ..., of which the one of lowest objective
            counts: ReLUs, and problems that are not convex, have local minima.
        seed: of the draw of images and of the initial weights.
        dtype: ``"float64"`` or ``"float32"``.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        max_iterations: of L-BFGS; of a problem that is not convex, and where it ends above the optimum, twice: the
            weights are moved by a thousandth and it goes on from there (not with a ``gradient_tol`` above 1e-5); with
            E_A for every multiplier.
        gradient_tol: largest entry of the gradient at which training ends, default 1e-7, 1e-5 in float32, times the
            unit of the risk (:func:`ufm.trainings.units.risk_unit`) where that is below .1 or above 10.
        root: folder of the data set's files.
        progress: called as ``progress(description, iterations, None)`` after every iteration.

    Raises:
        TypeError, ValueError: an argument is not what it should be, or an architecture states no factors.
        DatasetNotFoundError: the files of the data set are not there.

    >>> import ufm
    >>> found = train_problem(ufm.UnconstrainedFeatures(0.05, 0.05), ufm.ClassPrior([6, 6, 3, 3]), "mse", bias="free")
    >>> found.status, f"{found.fit.objective:.6f}", f"{found.solution.value:.6f}"
    ('agrees', '0.241577', '0.241577')
    """
    problem = Problem.of(architecture, prior, loss, bias)
    if solution is None:
        solution = solve(architecture, prior, loss, bias=bias, dim=dim, seed=seed)
    elif not isinstance(solution, Solution) or solution.problem != problem:
        raise ValueError(f"solution must be one of this problem, got {solution!r}")
    counts, seed = _whole_counts(prior), integer("seed", seed, minimum=0)
    kind = torch.float64 if one_of("dtype", dtype, tuple(_GRADIENTS)) == "float64" else torch.float32
    dim = max(16, prior.num_classes) if dim is None else integer("dim", dim, minimum=1)
    _check_dimension(solution, dim)
    tol = (
        _GRADIENTS[dtype] * _order(risk_unit(solution))
        if gradient_tol is None
        else positive("gradient_tol", gradient_tol)
    )
    max_iterations = integer("max_iterations", max_iterations, minimum=1)
    target_device = device_named(one_of("device", device, ("auto", "cpu", "cuda")))
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be callable, as progress(description, iterations, None), got {progress!r}")
    x, j = _samples(counts, dataset, inputs, columns, seed, root)
    where = torch.from_numpy(j)
    data = torch.from_numpy(x).to(target_device, kind)
    evaluate = _of_samples(problem.loss, np.asarray(problem.targets, dtype=float), j)
    found: list[StatedTraining] = []
    with threads(1):
        for weights in range(seed, seed + integer("starts", starts, minimum=1)):
            trained = _built(
                network,
                problem,
                where,
                x.shape[1],
                dim=dim,
                width=64 * -(-6 * len(x) // (5 * 64)) if width is None else width,
                start=start,
                seed=weights,
                dtype=kind,
            ).to(target_device)
            fitted = _descended(trained, solution, data, evaluate, max_iterations, tol, progress)
            with torch.no_grad():
                found.append(_measured(problem, solution, trained, data, j, fitted, _REACHED[dtype]))
    return min(found, key=lambda training: training.fit.objective)


def _check_dimension(solution: Solution, dim: int) -> None:
    """ValueError where a solution has more dimensions than the network, or is one for fewer."""
    own = min(dim, solution.problem.max_rank)
    fewer = solution.dim is not None and solution.dim < own and solution.is_global is not True
    if fewer or int(np.linalg.matrix_rank(solution.logits, tol=1e-7 * np.linalg.norm(solution.logits, 2))) > dim:
        raise ValueError(
            f"solution must be one in {dim} dimensions, as ufm.solve(..., dim={dim}) gives it, got one of dim = "
            f"{solution.dim} and logits of rank {np.linalg.matrix_rank(solution.logits)}"
        )


def _order(unit: float) -> float:
    """1 for a unit of order 1, else the unit, but for a factor of ten."""
    return min(1.0, 10 * unit) * max(1.0, unit / 10)


def _built(build: Callable[..., StatedNetwork], *arguments: Any, **options: Any) -> StatedNetwork:
    found = build(*arguments, **options) if callable(build) else build
    if not isinstance(found, StatedNetwork):
        raise TypeError(f"network must make a ufm.networks.StatedNetwork, got {build!r}")
    return found


def _descended(
    network: StatedNetwork,
    solution: Solution,
    data: Tensor,
    evaluate: _Evaluate,
    max_iterations: int,
    tol: float,
    progress: Progress | None,
) -> Fit:
    def value() -> Tensor:
        output = network(data)
        return cast(Tensor, _Risk.apply(output.logits, evaluate)) + network.decay(output)

    def descended(tol: float = tol) -> Fit:
        # with a slope that is not the true one it is a way to somewhere
        most = min(WAY, max_iterations) if network.leak else max_iterations
        return descend(network, data, value, max_iterations=most, gradient_tol=tol, progress=progress)

    for leak in network.leaks:
        network.leak = leak
        fitted = descended() if not network.map_budget else _within_budget(network, descended, tol)
    ended = fitted.converged or (data.dtype == torch.float32 and fitted.iterations < max_iterations)
    resolved = _COARSE if data.dtype == torch.float32 else _RESOLVED
    unit = risk_unit(solution)
    above = fitted.objective - solution.value > resolved * max(abs(solution.value), min(1.0, unit))
    goes_on = network.is_attained and tol <= STATIONARY * _order(unit) and above
    if ended and (goes_on or not network.problem.is_convex):
        # The way from a start without preferences can end at a saddle between optima that break its symmetry.
        network.shake(SHAKE)
        # Next to a threshold the ways out of a saddle of lower rank are so flat that gradients are below tol for long.
        finer = FINER * tol if network.problem.is_convex else tol
        again = descended(finer) if not network.map_budget else _within_budget(network, descended, tol)
        fitted = dataclasses.replace(
            again,
            converged=again.gradient <= tol,
            iterations=fitted.iterations + again.iterations,
            evaluations=fitted.evaluations + again.evaluations,
            seconds=fitted.seconds + again.seconds,
        )
    with torch.no_grad():
        return dataclasses.replace(fitted, objective=float(value()))


def _within_budget(network: StatedNetwork, descended: Callable[[], Fit], tol: float) -> Fit:
    """Descents with better and better multipliers of ``|A|_F^2 <= E_A``, until it is kept or idle.

    Source: Hestenes 1969, Powell 1969 (augmented Lagrangians).
    """
    assert network.map_budget is not None
    nu, mu = 0.0, MULTIPLIER_WEIGHT / network.map_budget**2
    fits = []
    for _ in range(MULTIPLIER_ROUNDS):
        network.multiplier = (nu, mu)
        fits.append(descended())
        with torch.no_grad():
            excess = float(network.excess())
        nu, former = max(0.0, nu + mu * excess), nu
        if abs(nu - former) <= max(tol, 1e-3 * tol * mu):
            break
    network.multiplier = None
    return dataclasses.replace(
        fits[-1],
        iterations=sum(fit.iterations for fit in fits),
        evaluations=sum(fit.evaluations for fit in fits),
        seconds=sum(fit.seconds for fit in fits),
    )


def _whole_counts(prior: Any) -> tuple[int, ...]:
    if not isinstance(prior, ClassPrior | Labels):
        raise TypeError(f"prior must be a ufm.ClassPrior or ufm.Labels, got {prior!r}")
    if any(n != int(n) for n in prior.counts):
        raise ValueError(f"prior must have whole counts, numbers of samples, got {prior.counts.tolist()}")
    return tuple(int(n) for n in prior.counts)


def _samples(
    counts: tuple[int, ...], dataset: str, inputs: Any, columns: Any, seed: int, root: Any
) -> tuple[Array, NDArray[np.int64]]:
    """Inputs (N, p) and the column of each."""
    if (inputs is None) != (columns is None):
        raise ValueError("inputs and columns must be given together")
    if inputs is None:
        known = fitted_datasets()
        one_of("dataset", dataset, known)
        if len(counts) < 2:
            raise ValueError(f"prior must have 2 columns or more, got {len(counts)}; give inputs and columns for one")
        if len(counts) > DATASETS[dataset].num_classes:
            most = DATASETS[dataset].num_classes
            raise ValueError(
                f"prior must have at most {most} columns, the classes of {dataset}, got {len(counts)}; give inputs and "
                "columns of your own for more"
            )
        data = load_dataset(dataset, root, split=known[dataset], counts=counts, seed=seed).whitened()
        return np.asarray(data.inputs, dtype=float), np.asarray(data.labels, dtype=np.int64)
    x, j = array("inputs", inputs), as_array("columns", columns)
    if x.ndim < 2:
        raise ValueError(f"inputs must have shape (N, p), got {x.shape}")
    largest = float(np.abs(x).max())
    size = largest * float(np.sqrt(np.mean((x / largest) ** 2))) if largest else 1.0
    if not _INPUTS[0] <= size <= _INPUTS[1]:
        raise ValueError(
            f"inputs must have a root mean square between {_INPUTS[0]:g} and {_INPUTS[1]:g}, got {size:.3g}: divide "
            "them by it"
        )
    if j.shape != (len(x),) or j.dtype.kind not in "iu":
        raise ValueError(f"columns must be {len(x)} integers, one a sample, got shape {j.shape} of {j.dtype}")
    if j.min() < 0 or j.max() >= len(counts) or tuple(np.bincount(j, minlength=len(counts)).tolist()) != counts:
        raise ValueError(f"columns must occur as often as prior says, {counts}, got {np.unique(j, return_counts=True)}")
    return x.reshape(len(x), -1), j.astype(np.int64)


def _is_reached(network: StatedNetwork, solution: Solution, data: Tensor, j: NDArray[np.int64], tol: float) -> bool:
    """Whether some output layer on the hidden layer as it is has the optimum's features at every sample."""
    wanted = solution.features.T[j]
    phi = network.encoder.activations(data).cpu().numpy().astype(float)
    phi = np.hstack([phi, np.ones((len(phi), 1))])
    left = wanted - phi @ np.linalg.lstsq(phi, wanted, rcond=None)[0]
    return bool(np.linalg.norm(left) <= tol * np.linalg.norm(wanted))


def _measured(
    problem: Problem,
    solution: Solution,
    network: StatedNetwork,
    data: Tensor,
    j: NDArray[np.int64],
    fitted: Fit,
    tol: float,
) -> StatedTraining:
    output: Output = network(data)
    bias = None if network.bias is None else network.bias.detach().cpu().numpy().astype(float)
    m = problem.prior.num_columns

    def means(x: Tensor) -> Array:
        rows = x.cpu().numpy().astype(float)
        return np.array([rows[j == column].mean(axis=0) for column in range(m)]).T

    logits = means(output.logits)
    apart = output.logits.cpu().numpy().astype(float) - logits.T[j]
    found = StatedTraining(
        problem=problem,
        solution=solution,
        logits=problem.centred(logits if bias is None else logits - bias[:, None]),
        classifier=network.factors()[0].cpu().numpy().astype(float),
        features=means(output.injected),
        equilibrium_features=means(output.features),
        bias=bias,
        spread=float(np.abs(apart).max()),
        fit=fitted,
        network=network,
    )
    if found.objective_error > _RESOLVED:  # else it is reached; a decomposition of all samples' activations tells
        found = dataclasses.replace(found, is_reached=_is_reached(network, solution, data, j, tol))
    return dataclasses.replace(found, spread=found.spread / max(found.unit, float(np.abs(logits).max())))
