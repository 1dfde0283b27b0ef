"""Sweep of trainings across the collapse threshold, prediction beside measurement at every point.

Three branches over n_B: the explicit network, and the DEQ with A started at ``rho I`` and at 0. A sweep can be kept in
a file of JSON lines, one header and one line a point, rewritten atomically after every point: an interrupted sweep
keeps what is finished, and the same call goes on from there.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ufm._files import sealed, unsealed, write_atomically
from ufm._interrupts import interruptible
from ufm.data import available_counts
from ufm.sweeps import Failure, versioned
from ufm.sweeps.engine import MAX_IN_FLIGHT, Engine, decode_result, point_key
from ufm.trainings.config import TrainingConfig
from ufm.trainings.judgement import STATIONARY, STATUSES, judge
from ufm.trainings.prediction import minority_threshold, model_of, predict
from ufm.trainings.result import TrainingResult
from ufm.trainings.running import Progress
from ufm.trainings.sweep_config import BRANCHES, SweepConfig
from ufm.trainings.sweep_point import SweepPoint
from ufm.trainings.training import train

__all__ = ["BRANCHES", "STATUSES", "Sweep", "SweepConfig", "SweepInterrupted", "SweepPoint", "judge", "run_sweep"]

FORMAT = "ufm.deq.sweep"
VERSION = 1

#: What stored points know :func:`sweep_point` by.
NAME, POINT_VERSION = "ufm.trainings.sweep.sweep_point", "1"
#: Branch, n_B and seed.
Place = tuple[str, int, int]


@dataclass(frozen=True)
class Sweep:
    """Finished points of a sweep.

    Attributes:
        config: what was to be trained.
        points: what has been, in order.

    >>> sweep = Sweep(SweepConfig(explicit=(14, 26)))
    >>> sweep.is_partial, sweep.branch("explicit"), Sweep.from_dict(sweep.to_dict()) == sweep
    (True, (), True)
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sweep.save(Path(folder, "sweep.jsonl"))
    ...     Sweep.load(Path(folder, "sweep.jsonl")) == sweep
    True
    >>> sweep.order_parameter()["series"]
    []
    """

    config: SweepConfig
    points: tuple[SweepPoint, ...] = ()

    @property
    def is_partial(self) -> bool:
        """Whether points are missing: the sweep was interrupted, or is still running."""
        return len(self.points) < len(self.config.trainings())

    @property
    def deviations(self) -> tuple[SweepPoint, ...]:
        """Points at least 15% from the threshold where the network is not at the predicted optimum, for any reason.

        The trapped points of the branch that starts at A = 0 are not among them, nor those of nonlinear DEQs: they are
        no prediction's failure.
        """
        allowed = {"explicit": ("agrees",), "identity": ("agrees",), "zero": ("agrees", "trapped")}
        return tuple(p for p in self.points if p.is_judged and p.status not in allowed[p.branch])

    @property
    def largest_error(self) -> float | None:
        """Largest relative error of s_B among the agreeing points at least 15% from the threshold; None without any."""
        errors = [abs(p.scale_error) for p in self.points if p.status == "agrees" and p.scale_error is not None]
        return max(errors, default=None)

    def branch(self, name: str) -> tuple[SweepPoint, ...]:
        """Points of a branch, by n_B."""
        return tuple(sorted((p for p in self.points if p.branch == name), key=lambda p: (p.minority_count, p.seed)))

    def to_dict(self) -> dict[str, Any]:
        """Config, points and what follows from them, as JSON types."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "config": self.config.to_dict(),
            "partial": self.is_partial,
            "largest_error": self.largest_error,
            "points": [dataclasses.asdict(p) for p in self.points],
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Sweep:
        """The sweep that :meth:`to_dict` wrote; ValueError for anything else.

        Points get the status that :func:`judge` gives them now: those of nonlinear DEQs that were kept when these were
        still judged ``"nonlinear"``, and those whose s_B is right, though their objective is above the optimum,
        ``"trapped"``.
        """
        try:
            if fields["format"] != FORMAT or fields["version"] != VERSION:
                raise ValueError(f"format {fields['format']!r}, version {fields['version']!r}")
            config = SweepConfig.from_dict(fields["config"])
            return cls(config, tuple(_rejudged(config, SweepPoint(**point)) for point in fields["points"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a sweep of format {FORMAT!r}, version {VERSION}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write a header and one JSON line a point, each with its checksum; the file is replaced atomically."""
        header = {"format": FORMAT, "version": VERSION, "config": self.config.to_dict()}
        entries = (header, *map(dataclasses.asdict, self.points))
        lines = [json.dumps(sealed(entry), allow_nan=False) for entry in entries]
        write_atomically(path, "\n".join(lines) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Sweep:
        """Read what :meth:`save` wrote; ValueError naming the file for anything else."""
        try:
            header, *points = map(_entry, itertools.count(1), Path(path).read_text(encoding="utf-8").splitlines())
            return cls.from_dict({**header, "points": points})
        except (ValueError, TypeError) as error:
            raise ValueError(f"path must hold a sweep, got {str(path)!r}: {error}") from error

    def order_parameter(self, curve_points: int = 160) -> dict[str, Any]:
        """Data of a figure of s_B against n_B: theory as lines, trainings as points, thresholds as vertical lines.

        Args:
            curve_points: number of points of a line.

        Returns:
            ``{"x_label", "y_label", "series": [{"label", "line": {"x", "y"} or None, "points": {"x", "y"} or None}],
            "thresholds": [{"label", "x"}]}``, the ``"order-parameter"`` layout of :mod:`ufm.report.figures`.
        """
        counts = [c for name in BRANCHES for c in getattr(self.config, name)]
        largest = min(1.05 * max(counts), self.config.training.majority_count)
        explicit, deq = (
            dataclasses.replace(self.config.training, architecture=name, minority_count=1)
            for name in ("explicit", "deq")
        )
        rho = f"ρ = {deq.rho:g}"
        if not deq.is_modelled:  # the line beside its points is of another network
            rho += f", {deq.activation}, γ = {deq.gamma:g}, beside linear theory"
        trained = f"DEQ ({rho})"
        labels = {
            "explicit": "explicit network",
            "identity": f"{trained}, A starts at ρI",
            "zero": f"{trained}, A starts at 0",
        }
        series = []
        for name, training in (("explicit", explicit), ("identity", deq), ("zero", None)):
            points = [p for p in self.branch(name) if p.scale is not None]
            if not points:
                continue
            line = None
            if training is not None:
                threshold = minority_threshold(model_of(training), training)
                grid = [largest * (i + 1) / curve_points for i in range(curve_points)]
                # The kink of the curve belongs to it.
                grid = sorted({*grid, *([threshold] if threshold < largest else [])})
                line = {"x": grid, "y": [predict(training, x).scale for x in grid]}
            measured = {"x": [p.minority_count for p in points], "y": [p.scale for p in points]}
            series.append({"label": labels[name], "line": line, "points": measured})
        thresholds = [
            {"label": f"threshold, {label}", "x": minority_threshold(model_of(training), training)}
            for label, training, branches in (
                ("DEQ" if deq.is_modelled else "linear DEQ", deq, ("identity", "zero")),
                ("explicit", explicit, ("explicit",)),
            )
            if any(p.scale is not None for name in branches for p in self.branch(name))
        ]
        return {
            "x_label": "minority samples per class, n_B",
            "y_label": "order parameter s_B",
            "series": series,
            "thresholds": thresholds,
        }


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during a sweep; ``sweep`` holds the finished points."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(f"sweep interrupted after {len(sweep.points)} of {len(sweep.config.trainings())} points")
        self.sweep = sweep


def run_sweep(
    config: SweepConfig,
    *,
    path: str | Path | None = None,
    root: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    on_point: Callable[[SweepPoint], None] | None = None,
    executor: Executor | None = None,
) -> Sweep:
    """Train all points of a sweep, one after the other or on an executor.

    Args:
        config: what to train.
        path: file of JSON lines to keep the points in. If it holds a part of the same sweep, that part is not trained
            again.
        root: folder of the data set's files, see :func:`ufm.deq.load_dataset`.
        progress: called as ``progress(description, finished points, all points)``, the finished points with the
            fraction of the running one that its iterations suggest.
        on_point: called with every point, those read from ``path`` included.
        executor: any that :func:`ufm.sweeps.run` takes; it stays open. None: the trainings run in this thread.

    Returns:
        The complete sweep. A training that raises gives a point of status ``"failed"``, and the others go on.

    Raises:
        SweepInterrupted: Ctrl-C or SIGTERM; it is a KeyboardInterrupt that carries the finished points, which are in
            ``path`` too.
        ufm.sweeps.SweepBroken: the executor stopped working; what had finished is in ``path``.
        DatasetNotFoundError, DatasetFormatError: the data set's files are not there or damaged; nothing is trained.
        ValueError: ``path`` holds something else, or the sweep of another config.

    >>> counts = {"num_majority": 2, "majority_count": 6, "num_minority": 2}
    >>> training = TrainingConfig(minority_count=3, lambda_W=0.07, lambda_H=0.07, device="cpu", **counts)
    >>> [(p.branch, p.status) for p in run_sweep(SweepConfig(explicit=(3,), training=training)).points]
    [('explicit', 'agrees')]
    """
    if not isinstance(config, SweepConfig):
        raise TypeError(f"config must be a ufm.deq.SweepConfig, got {config!r}")
    file = _File(config, path, root, progress, on_point)
    if file.sweep.is_partial:
        # Without its files every point would fail, and stay failed in ``path``.
        available_counts(config.training.dataset, root, split=config.training.split)
    if path is not None and not Path(path).exists():
        # A path that cannot be written shows now, not after the first training.
        Sweep(config).save(path)
    function = file.train_here if executor is None else sweep_point
    engine = Engine(function, file.points, file, name=NAME, version=POINT_VERSION)
    try:
        with interruptible():
            file.tell_kept()
            if executor is None:
                engine.run_here()
            else:
                engine.run_on(executor, MAX_IN_FLIGHT)
    except KeyboardInterrupt:
        raise SweepInterrupted(file.sweep) from None
    if progress is not None:
        progress("done", len(file.points), len(file.points))
    return file.sweep


@versioned(POINT_VERSION, name=NAME)
def sweep_point(*, branch: str, training: Mapping[str, Any], root: str | None = None) -> dict[str, Any]:
    """One training of a sweep, a point function of :func:`ufm.sweeps.run`.

    Args:
        branch: ``"explicit"``, ``"identity"`` or ``"zero"``.
        training: fields of :class:`TrainingConfig`.
        root: folder of the data set's files.

    Returns:
        Fields of :class:`SweepPoint`.
    """
    return dataclasses.asdict(_train_point(branch, TrainingConfig.from_dict(training), root, None))


class _File:
    """Where the engine keeps the points of a sweep: in memory, and in a file if there is one."""

    def __init__(
        self,
        config: SweepConfig,
        path: str | Path | None,
        root: str | os.PathLike[str] | None,
        progress: Progress | None,
        on_point: Callable[[SweepPoint], None] | None,
    ) -> None:
        self.config, self.path, self.progress, self.on_point = config, path, progress, on_point
        folder = None if root is None else os.fspath(root)
        self.points = [{"branch": b, "training": t.to_dict(), "root": folder} for b, t in config.trainings()]
        places = [(b, t.minority_count, t.seed) for b, t in config.trainings()]
        self._places = {point_key(NAME, POINT_VERSION, p): at for p, at in zip(self.points, places, strict=True)}
        self._kept: dict[Place, SweepPoint] = {}
        if path is not None and Path(path).exists():
            self._kept = {(p.branch, p.minority_count, p.seed): p for p in _resumed(config, Path(path)).points}
        self._error: Exception | None = None

    @property
    def sweep(self) -> Sweep:
        """The finished points, in the order of the config."""
        return Sweep(self.config, tuple(self._kept[at] for at in self._places.values() if at in self._kept))

    def tell_kept(self) -> None:
        for point in self.sweep.points:
            if self.on_point is not None:
                self.on_point(point)

    def train_here(self, *, branch: str, training: Mapping[str, Any], root: str | None) -> dict[str, Any]:
        """:func:`sweep_point` that tells how far it is, and whose error is raised as it is."""
        config, number, total = TrainingConfig.from_dict(training), len(self._kept), len(self.points)

        def advance(iterations: float) -> None:
            if self.progress is not None:
                description = f"{branch}, n_B = {config.minority_count} ({number + 1} of {total})"
                self.progress(description, number + 1 - math.exp(-iterations / 60), total)

        advance(0)
        try:
            return dataclasses.asdict(_train_point(branch, config, root, lambda _, done, __: advance(done)))
        except Exception as error:
            self._error = error
            raise

    def status(self, key: str) -> str | None:
        return "done" if self._places[key] in self._kept else None

    def get(self, key: str) -> None:
        return None

    def put(self, key: str, *, result: str | None, failure: Failure | None, **_: object) -> None:
        if result is None:
            raise self._error or RuntimeError(f"the training {self._places[key]} failed: {failure}")
        point = SweepPoint(**decode_result(result))
        self._kept[self._places[key]] = point
        # A point that is in the file is one that the caller was told of: interrupts wait.
        if self.path is not None:
            self.sweep.save(self.path)
        if self.on_point is not None:
            self.on_point(point)


def _train_point(
    branch: str, training: TrainingConfig, root: str | os.PathLike[str] | None, progress: Progress | None
) -> SweepPoint:
    prediction = predict(training)
    geometry = prediction.solution.geometry
    predicted: dict[str, Any] = {
        "branch": branch,
        "minority_count": training.minority_count,
        "ratio": training.majority_count / training.minority_count,
        "seed": training.seed,
        "threshold": prediction.threshold,
        "predicted_scale": prediction.scale,
        "predicted_phase": prediction.phase,
        "predicted_objective": prediction.objective,
        "predicted_minority_cosine": geometry.minority_cosine,
        "predicted_etf_error": geometry.etf_error,
        "predicted_self_duality_error": geometry.self_duality_error,
        "predicted_rank": geometry.rank,
    }
    try:
        result = train(training, root=root, progress=progress)
    except Exception as error:
        return SweepPoint(**predicted, status="failed", error=f"{type(error).__name__}: {error}")
    return SweepPoint(**predicted, **_measurements(result))


def _measurements(result: TrainingResult) -> dict[str, Any]:
    predicted, measures, fit = result.prediction, result.measures, result.fit
    if measures.phase is None:
        raise ValueError("measures must include the classifier")
    return {
        "status": result.status,
        "scale": result.scale,
        "scale_error": result.scale / predicted.scale - 1 if predicted.phase == "none" else None,
        "phase": measures.phase,
        "objective": fit.objective,
        "objective_error": fit.objective / predicted.objective - 1,
        "minority_cosine": measures.minority_cosine,
        "etf_error": measures.etf_error,
        "self_duality_error": measures.self_duality_error,
        "nc1": measures.nc1,
        "trace_quotient": measures.trace_quotient,
        "rank": result.rank,
        "spectral_norm": result.spectral_norm,
        "residual": result.residual,
        "steps": result.steps,
        "local_threshold": result.local_threshold,
        "gradient": fit.gradient,
        "iterations": fit.iterations,
        "converged": fit.converged,
        "seconds": fit.seconds,
    }


def _rejudged(config: SweepConfig, point: SweepPoint) -> SweepPoint:
    """The point with the status that it has by :func:`judge`, whatever it was kept with."""
    if point.status == "failed" or None in (point.scale, point.phase, point.objective, point.converged):
        return point
    training = dataclasses.replace(config.training, architecture=point.architecture)
    distance = None
    if point.threshold >= (1 - 1e-9) * training.majority_count:  # there is none: the status says what is near
        distance = 0.0 if point.status == "near-threshold" else math.inf
    status = judge(
        minority_count=point.minority_count,
        threshold=point.threshold,
        predicted_scale=point.predicted_scale,
        predicted_phase=point.predicted_phase,
        predicted_objective=point.predicted_objective,
        scale=cast(float, point.scale),
        phase=cast(str, point.phase),
        objective=cast(float, point.objective),
        converged=cast(bool, point.converged) and (point.gradient is None or point.gradient <= STATIONARY),
        is_modelled=training.is_modelled,
        distance=distance,
    )
    return dataclasses.replace(point, status=status)


def _resumed(config: SweepConfig, path: Path) -> Sweep:
    sweep = Sweep.load(path)
    if sweep.config.to_dict() != config.to_dict():
        raise ValueError(
            f"path must be new or hold a part of this sweep, but {str(path)!r} holds one of another config"
        )
    places = iter([(b, t.minority_count, t.seed) for b, t in config.trainings()])
    # Trainings that ran at the same time leave gaps.
    if not all((p.branch, p.minority_count, p.seed) in places for p in sweep.points):
        raise ValueError(f"path must hold the points of this sweep in order, but {str(path)!r} does not")
    return sweep


def _entry(number: int, line: str) -> Any:
    try:
        return unsealed(json.loads(line))
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from error
