"""Hysteresis in the imbalance: n_B swept down and up again, every training started from the weights of the last.

The optimum of a linear DEQ leaves collapse at ``n_B = (1-rho)^2 N^2 lambda_W lambda_H``. A collapsed network whose A
is a I on the directions that nothing uses yet is stable *along them* up to ``n_B = (1-a)^2 N^2 lambda_W lambda_H``
instead (see :func:`ufm.trainings.prediction.minority_gain`), and along collapsed directions the gradient of a
vanishes: which branch a network is on is remembered in A. From A = rho I it should follow the optimum both ways. From
A = 0 it should follow codes of the rank that the majority needs (:func:`low_rank_branch`): with A = rho on the
directions in use and 0 beside them their local minima are the network's, by the theorem in :mod:`ufm.landscape`.
Rising, it leaves collapse by mixing with directions in use, at :func:`ufm.two_groups.transitions.trapped_threshold`,
before the unused ones are unstable. Where that is a jump, possibly to a higher rank, the way down is another one: it
collapses at a smaller n_B.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from ufm._files import replacing, write_atomically
from ufm._interrupts import interrupts_held
from ufm._validation import integer, positive
from ufm.architectures import UnconstrainedFeatures
from ufm.data import available_counts
from ufm.geometry import group_scales
from ufm.labels import ClassPrior
from ufm.problem import Problem
from ufm.trainings.prediction import model_of, predict
from ufm.trainings.training import DATASET_SPLITS, Progress, TrainingConfig, train

__all__ = [
    "HysteresisPoint",
    "Loop",
    "LoopInterrupted",
    "LowRankCode",
    "hysteresis_loop",
    "low_rank_branch",
    "low_rank_codes",
]

Array = NDArray[np.float64]

FORMAT = "ufm.deq.hysteresis"
VERSION = 1

#: Noise on a code that is followed, relative to its root mean square.
NOISE = 1e-3

#: End of the name of the file beside an unfinished loop's, with the weights that the next training starts from.
STATE = ".weights.npz"


@dataclass(frozen=True)
class HysteresisPoint:
    """One training of a loop.

    Attributes:
        leg: number of the sweep, 0 for the first.
        minority_count: n_B.
        scale, predicted_scale: s_B measured, and at the global optimum.
        phase, predicted_phase: the same of the phase.
        objective_error: objective over the global optimum, less 1.
        threshold: n_B* of the global optimum.
        local_threshold: n_B up to which a collapsed state with the A reached is stable; None where every direction is
            used.
        rank, predicted_rank: of the class logits.
        converged, iterations: of the optimisation.
    """

    leg: int
    minority_count: int
    scale: float
    predicted_scale: float
    phase: str
    predicted_phase: str
    objective_error: float
    threshold: float
    local_threshold: float | None
    rank: int
    predicted_rank: int
    converged: bool
    iterations: int

    def objective(self, training: TrainingConfig) -> float:
        """Objective reached; ``training`` is the loop's."""
        config = dataclasses.replace(training, minority_count=self.minority_count)
        return predict(config).objective * (1 + self.objective_error)


@dataclass(frozen=True)
class Loop:
    """Legs of a loop, in the order of training.

    Attributes:
        training: everything but n_B.
        legs: n_B of every leg.
        perturbation: relative size of the noise added before every training.
        points: what has been trained, the first of all trainings or all of them.
    """

    training: TrainingConfig
    legs: tuple[tuple[int, ...], ...]
    perturbation: float
    points: tuple[HysteresisPoint, ...]

    @property
    def is_partial(self) -> bool:
        """Whether points are missing: the loop was interrupted, or is still running."""
        return len(self.points) < sum(map(len, self.legs))

    def leg(self, number: int) -> list[HysteresisPoint]:
        """Points of a leg, in the order of training."""
        return [p for p in self.points if p.leg == number]

    def runs(self) -> list[tuple[HysteresisPoint, ...]]:
        """Successive points of a leg that have one and the same rank, below the optimum's."""
        grouped = itertools.groupby(self.points, key=lambda p: (p.leg, p.rank < p.predicted_rank and p.rank))
        return [tuple(points) for (_, rank), points in grouped if rank]

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "training": self.training.to_dict(),
            "legs": [list(leg) for leg in self.legs],
            "perturbation": self.perturbation,
            "points": [dataclasses.asdict(p) for p in self.points],
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Loop:
        """The loop that :meth:`to_dict` wrote; ValueError for anything else."""
        try:
            if (fields["format"], fields["version"]) != (FORMAT, VERSION):
                raise ValueError(f"format {fields['format']!r}, version {fields['version']!r}")
            training = TrainingConfig.from_dict(fields["training"])
            legs = _counts(training, fields["legs"])
            points = tuple(HysteresisPoint(**point) for point in fields["points"])
            order = [(number, n) for number, leg in enumerate(legs) for n in leg]
            if [(p.leg, p.minority_count) for p in points] != order[: len(points)]:
                raise ValueError("points must be those of the legs, in order")
            return cls(training, legs, positive("perturbation", fields["perturbation"]), points)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a loop of format {FORMAT!r}, version {VERSION}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write as JSON; the file is replaced atomically."""
        write_atomically(path, self._text())

    def _text(self) -> str:
        return json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"

    @classmethod
    def load(cls, path: str | Path) -> Loop:
        """Read what :meth:`save` wrote; ValueError naming the file for anything else."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except ValueError as error:
            raise ValueError(f"path must hold a loop, got {str(path)!r}: {error}") from error


class LoopInterrupted(KeyboardInterrupt):
    """Ctrl-C during a loop; ``loop`` holds the finished points."""

    def __init__(self, loop: Loop) -> None:
        super().__init__(f"loop interrupted after {len(loop.points)} of {sum(map(len, loop.legs))} points")
        self.loop = loop


def hysteresis_loop(
    training: TrainingConfig,
    legs: Sequence[Sequence[int]],
    *,
    perturbation: float = 1e-3,
    path: str | Path | None = None,
    root: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    on_point: Callable[[HysteresisPoint], None] | None = None,
) -> Loop:
    """Train at every n_B of every leg, each from the weights of the one before.

    A collapsed state is stationary at every n_B, stable or not: noise of the relative size ``perturbation`` on all
    weights lets a training leave one that is not stable.

    Args:
        training: everything but n_B, a DEQ where there is to be something to remember; its ``start`` is that of the
            first training. ``width`` must be given, as it may not depend on n_B.
        legs: sequences of n_B, none of them empty.
        perturbation: standard deviation of the noise on a weight tensor, relative to the tensor's root mean square (to
            1 where that is 0).
        path: JSON file to keep the points in, written after each. If it holds a part of the same loop, that part is not
            trained again, and the rest ends with the same bits as without the interruption: until the loop is complete,
            the last weights lie beside it in a file of the same name with ``.weights.npz`` behind.
        root: folder of the data set's files, see :func:`ufm.deq.load_dataset`.
        progress: called as ``progress(description, trainings done, all trainings)``.
        on_point: called with every point, those read from ``path`` included.

    Returns:
        The complete loop.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it. ``path`` holds something
            else, another loop, or a part of this one without its weights.
        DatasetNotFoundError, DatasetFormatError: the data set's files are not there or damaged; nothing is trained.
        LoopInterrupted: Ctrl-C; it is a KeyboardInterrupt that carries the finished points, which are in ``path`` too.
    """
    if not isinstance(training, TrainingConfig):
        raise TypeError(f"training must be a ufm.deq.TrainingConfig with a width, got {training!r}")
    if training.width is None:
        raise ValueError(f"training must be a ufm.deq.TrainingConfig with a width, got {training!r}")
    loop = Loop(training, _counts(training, legs), positive("perturbation", perturbation), ())
    for name, function in (("progress", progress), ("on_point", on_point)):
        if function is not None and not callable(function):
            raise TypeError(f"{name} must be callable or None, got {function!r}")
    if path is not None and not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a path or None, got {path!r}")
    generator = torch.Generator().manual_seed(training.seed)
    weights: dict[str, Tensor] | None = None
    if path is not None:
        loop, weights = _resumed(loop, Path(path), generator)
    if loop.is_partial:
        available_counts(training.dataset, root, split=DATASET_SPLITS[training.dataset])
    if path is not None and not Path(path).exists():
        loop.save(path)  # a path that cannot be written shows now, not after the first training
    trainings = [(number, n) for number, leg in enumerate(loop.legs) for n in leg]
    largest = max(n for _, n in trainings)
    try:
        for point in loop.points:
            if on_point is not None:
                on_point(point)
        for i, (number, n) in enumerate(trainings):
            if i < len(loop.points):
                continue
            if progress is not None:
                progress(f"leg {number}, n_B = {n}", i, len(trainings))
            initial = None if weights is None else _perturbed(weights, loop.perturbation, generator)
            point, weights = _train_point(
                dataclasses.replace(training, minority_count=n), number, initial, largest, root
            )
            with interrupts_held():
                loop = dataclasses.replace(loop, points=(*loop.points, point))
                if path is not None:
                    # First the weights, with the points that they belong to: killed in between, the loop goes on from
                    # them.
                    _save_state(Path(path), loop, weights, generator)
                    loop.save(path)
                if on_point is not None:
                    on_point(point)
    except KeyboardInterrupt:
        raise LoopInterrupted(loop) from None
    if path is not None:
        _state_file(Path(path)).unlink(missing_ok=True)
    return loop


def _counts(training: TrainingConfig, legs: Any) -> tuple[tuple[int, ...], ...]:
    """``legs`` as tuples, every n_B one that ``training`` can have."""

    def items(name: str, value: Any, what: str) -> list[Any]:
        if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
            raise TypeError(f"{name} must be a sequence of {what}, got {value!r}")
        found = list(value)
        if not found:
            raise ValueError(f"{name} must hold at least one {what.split()[0]}, got none")
        return found

    counts: list[list[int]] = []
    for i, leg in enumerate(items("legs", legs, "sequences of n_B")):
        counts.append([])
        for j, n in enumerate(items(f"legs[{i}]", leg, "n_B")):
            counts[-1].append(integer(f"legs[{i}][{j}]", n, minimum=1))
            try:
                dataclasses.replace(training, minority_count=counts[-1][-1])
            except ValueError as error:
                raise ValueError(f"legs[{i}][{j}] must be an n_B of this training: {error}") from None
    return tuple(map(tuple, counts))


def _train_point(
    config: TrainingConfig,
    leg: int,
    initial: Mapping[str, Tensor] | None,
    largest: int,
    root: str | os.PathLike[str] | None,
) -> tuple[HysteresisPoint, dict[str, Tensor]]:
    result = train(config, initial=initial, whitened_by=largest, root=root)
    predicted = predict(config)
    point = HysteresisPoint(
        leg=leg,
        minority_count=config.minority_count,
        scale=result.scale,
        predicted_scale=predicted.scale,
        phase=str(result.measures.phase),
        predicted_phase=predicted.phase,
        objective_error=result.fit.objective / predicted.objective - 1,
        threshold=predicted.threshold,
        local_threshold=result.local_threshold,
        rank=result.rank,
        predicted_rank=predicted.solution.geometry.rank,
        converged=result.fit.converged,
        iterations=result.fit.iterations,
    )
    return point, {name: value.detach().cpu().clone() for name, value in result.network.state_dict().items()}


def _perturbed(weights: Mapping[str, Tensor], size: float, generator: torch.Generator) -> dict[str, Tensor]:
    noisy = {}
    for name, value in weights.items():
        scale = float(value.square().mean().sqrt()) or 1.0
        noisy[name] = value + size * scale * torch.randn(value.shape, generator=generator, dtype=value.dtype)
    return noisy


# what is kept of an unfinished loop -----------------------------------------------------------------------------------


def _state_file(path: Path) -> Path:
    return path.with_name(path.name + STATE)


def _save_state(path: Path, loop: Loop, weights: Mapping[str, Tensor], generator: torch.Generator) -> None:
    arrays = {f"weights/{name}": value.numpy() for name, value in weights.items()}
    text = np.frombuffer(loop._text().encode("utf-8"), dtype=np.uint8)
    with replacing(_state_file(path)) as stream:
        np.savez(stream, loop=text, generator=generator.get_state().numpy(), **arrays)  # type: ignore[arg-type]


def _resumed(loop: Loop, path: Path, generator: torch.Generator) -> tuple[Loop, dict[str, Tensor] | None]:
    """What ``path`` holds of ``loop``, and the last weights; the generator is set to where it was."""
    state = _state_file(path)
    if not path.exists():
        state.unlink(missing_ok=True)
        return loop, None
    kept = Loop.load(path)
    if not _same(kept, loop):
        raise ValueError(f"path must be new or hold a part of this loop, but {str(path)!r} holds another one")
    if not kept.is_partial:
        return kept, None
    if not state.exists():
        if kept.points:
            raise ValueError(
                f"path must hold a loop that can go on, but {str(path)!r} is a part of one, "
                f"and the last weights are not beside it in {state.name!r}"
            )
        return kept, None
    try:
        with np.load(state, allow_pickle=False) as arrays:
            newest = Loop.from_dict(json.loads(arrays["loop"].tobytes().decode("utf-8")))
            prefix = "weights/"
            weights = {n.removeprefix(prefix): torch.from_numpy(arrays[n]) for n in arrays if n.startswith(prefix)}
            generator.set_state(torch.from_numpy(arrays["generator"]))
    except (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{str(state)!r} must hold the weights of {str(path)!r}: {error}") from error
    if not _same(newest, loop) or newest.points[: len(kept.points)] != kept.points:
        raise ValueError(f"{str(state)!r} must hold the weights of {str(path)!r}, but they are of another loop")
    if len(newest.points) > len(kept.points):
        newest.save(path)
    return newest, weights


def _same(one: Loop, other: Loop) -> bool:
    """Whether the trainings are the same; n_B of ``training`` plays no part."""
    first, second = ((dataclasses.replace(x.training, minority_count=1), x.legs, x.perturbation) for x in (one, other))
    return first == second


# the branch of a given rank -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LowRankCode:
    """A minimum among codes of limited rank, and whether a DEQ can be trapped there.

    Attributes:
        minority_count: n_B.
        rank: r, the largest rank allowed.
        value: of the trained objective.
        scale: s_B, averaged over the minority's pairs.
        dual_norm: ``|G D^{-1/2}|_2/lam``, ``lam^2 = lambda_W lambda_H``. Below 1 the code is a local minimum of the DEQ
            whose A is rho on the directions in use and 0 beside them; above ``1 - rho`` it is not the global one.
    """

    minority_count: float
    rank: int
    value: float
    scale: float
    dual_norm: float

    @property
    def is_stable(self) -> bool:
        """Whether it is a local minimum of the DEQ with A = 0 beside the directions in use."""
        return self.dual_norm < 1


def low_rank_branch(
    training: TrainingConfig,
    minority_counts: Iterable[float],
    rank: int,
    *,
    follow: bool = False,
    starts: int = 8,
    seed: int = 0,
) -> tuple[LowRankCode, ...]:
    r"""Codes of rank at most r along n_B: the best found, or what a loop through them should find.

    With A = rho on r directions the objective at the best W and H of the logits ``P Q^T D^{-1/2}``, P and Q of shape
    (K, r), is ``f(P Q^T D^{-1/2}) + (1-rho) lam (|P|^2 + |Q|^2)/2``: the explicit network with r features. That is not
    convex, and its minima here are numerical, without a certificate.

    Args:
        training: the objective; its n_B plays no part. The loss is that of a linear fixed point, whatever gamma is.
        minority_counts: n_B, real numbers > 0.
        rank: r >= 1.
        follow: descend at every n_B from the minimum of the one before it, with noise of :data:`NOISE`, as a loop does;
            only the first is the best found. Else every one is the best found: from random points at the smallest, the
            middle and the largest n_B, and at each n_B from the minima of its neighbours, down and up.
        starts: random points >= 1.
        seed: of the random points and of the noise.

    Returns:
        A code for each n_B, in the order of ``minority_counts``.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.
    """
    if not isinstance(training, TrainingConfig):
        raise TypeError(f"training must be a ufm.deq.TrainingConfig, got {training!r}")
    if not isinstance(minority_counts, Iterable) or isinstance(minority_counts, str | bytes | Mapping):
        raise TypeError(f"minority_counts must be a sequence of n_B, got {minority_counts!r}")
    if not isinstance(follow, bool):
        raise TypeError(f"follow must be True or False, got {follow!r}")
    asked = [positive(f"minority_counts[{i}]", n) for i, n in enumerate(minority_counts)]
    r, number = integer("rank", rank, minimum=1), integer("starts", starts, minimum=1)
    rng = np.random.default_rng(integer("seed", seed, minimum=0))
    if not asked:
        raise ValueError("minority_counts must hold at least one n_B, got none")

    def random(objective: _RankLimited) -> tuple[float, Array]:
        found = (objective.minimum(2 * rng.normal(size=objective.size)) for _ in range(number))
        return min(found, key=lambda pair: pair[0])

    if follow:
        objectives = [_RankLimited(training, n, r) for n in asked]
        minima = [random(objectives[0])]
        for objective in objectives[1:]:
            x = minima[-1][1]
            noise = NOISE * math.sqrt(float((x**2).mean())) * rng.normal(size=x.size)
            minima.append(objective.minimum(x + noise))
        return tuple(o.code(*found) for o, found in zip(objectives, minima, strict=True))
    grid = sorted(set(asked))
    objectives = [_RankLimited(training, n, r) for n in grid]
    best = {i: random(objectives[i]) for i in {0, len(grid) // 2, len(grid) - 1}}
    down = [(i, i + 1) for i in range(len(grid) - 2, -1, -1)]
    for i, neighbour in (*down, *((i + 1, i) for i in range(len(grid) - 1))):
        found = objectives[i].minimum(best[neighbour][1])
        if i not in best or found[0] < best[i][0] - 1e-13 * abs(best[i][0]):
            best[i] = found
    codes = {n: objectives[i].code(*best[i]) for i, n in enumerate(grid)}
    return tuple(codes[n] for n in asked)


def low_rank_codes(loop: Loop) -> tuple[LowRankCode | None, ...]:
    """For every point of a loop the code that its network should be at; None where its rank is the optimum's.

    Every one of :meth:`Loop.runs` starts at the best code of its rank, and goes on as :func:`low_rank_branch` follows.
    """
    if not isinstance(loop, Loop):
        raise TypeError(f"loop must be a ufm.deq.Loop, got {loop!r}")
    found: dict[int, LowRankCode] = {}
    for run in loop.runs():
        codes = low_rank_branch(loop.training, [p.minority_count for p in run], run[0].rank, follow=True)
        found |= {id(p): code for p, code in zip(run, codes, strict=True)}
    return tuple(found.get(id(p)) for p in loop.points)


class _RankLimited:
    """The explicit network with r features that a DEQ with A = rho on r directions is."""

    def __init__(self, training: TrainingConfig, minority_count: float, rank: int) -> None:
        k_a, k_b = training.num_majority, training.num_minority
        self.minority_count, self.rank, self.k, self.k_a = minority_count, rank, k_a + k_b, k_a
        prior = ClassPrior([training.majority_count] * k_a + [minority_count] * k_b)
        self.lam = math.sqrt(training.lambda_W * training.lambda_H)
        self.strength = (1 - float(getattr(model_of(training), "rho", 0.0))) * self.lam
        self.problem = Problem.of(UnconstrainedFeatures(self.strength, self.strength), prior)
        self.root = np.sqrt(prior.counts)
        self.size = 2 * self.k * rank

    def _logits(self, x: Array) -> tuple[Array, Array, Array]:
        p, q = x.reshape(2, self.k, self.rank)
        return p, q, p @ q.T / self.root

    def __call__(self, x: Array) -> tuple[float, Array]:
        p, q, z = self._logits(x)
        g = self.problem.gradient(z) / self.root
        value = self.problem.risk(z) + 0.5 * self.strength * float(x @ x)
        return value, np.concatenate([(g @ q).ravel(), (g.T @ p).ravel()]) + self.strength * x

    def minimum(self, start: Array) -> tuple[float, Array]:
        """Value and place of the minimum that descent from ``start`` ends in."""
        found = minimize(self, start, jac=True, method="BFGS", options={"gtol": 1e-9})
        return float(found.fun), np.asarray(found.x)

    def code(self, value: float, x: Array) -> LowRankCode:
        """The record."""
        z = self._logits(x)[2]
        scale = group_scales(z, [tuple(range(self.k_a)), tuple(range(self.k_a, self.k))])[-1]
        if scale is None:
            raise ValueError("the minority must have at least two classes")
        norm = self.problem.dual_norm(self.problem.gradient(z)) / self.lam
        return LowRankCode(self.minority_count, self.rank, value, scale, float(norm))
