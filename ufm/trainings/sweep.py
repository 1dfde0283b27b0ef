"""Sweep of trainings across the collapse threshold, prediction beside measurement at every point.

Three branches over n_B: the explicit network, and the DEQ with A started at ``rho I`` and at 0. A sweep can be kept in
a file of JSON lines, one header and one line a point, rewritten atomically after every point: an interrupted sweep
keeps what is finished, and the same call goes on from there.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ufm._files import write_atomically
from ufm._interrupts import interrupts_held
from ufm.data import available_counts
from ufm.trainings.config import TrainingConfig
from ufm.trainings.judgement import STATUSES, judge
from ufm.trainings.prediction import minority_threshold, model_of, predict
from ufm.trainings.result import TrainingResult
from ufm.trainings.running import Progress
from ufm.trainings.sweep_config import BRANCHES, SweepConfig
from ufm.trainings.sweep_point import SweepPoint
from ufm.trainings.training import train

__all__ = ["BRANCHES", "STATUSES", "Sweep", "SweepConfig", "SweepInterrupted", "SweepPoint", "judge", "run_sweep"]

FORMAT = "ufm.deq.sweep"
VERSION = 1


@dataclass(frozen=True)
class Sweep:
    """Finished points of a sweep.

    Attributes:
        config: what was to be trained.
        points: what has been, in order.
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
        """Write a header and one JSON line a point; the file is replaced atomically."""
        header = {"format": FORMAT, "version": VERSION, "config": self.config.to_dict()}
        lines = [json.dumps(entry, allow_nan=False) for entry in (header, *map(dataclasses.asdict, self.points))]
        write_atomically(path, "\n".join(lines) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Sweep:
        """Read what :meth:`save` wrote; ValueError naming the file for anything else."""
        try:
            header, *points = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
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
    """Ctrl-C during a sweep; ``sweep`` holds the finished points."""

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
) -> Sweep:
    """Train all points of a sweep, one after the other.

    Args:
        config: what to train.
        path: file of JSON lines to keep the points in. If it holds a part of the same sweep, that part is not trained
            again.
        root: folder of the data set's files, see :func:`ufm.deq.load_dataset`.
        progress: called as ``progress(description, finished points, all points)``, the finished points with the
            fraction of the running one that its iterations suggest.
        on_point: called with every point, those read from ``path`` included.

    Returns:
        The complete sweep. A training that raises gives a point of status ``"failed"``, and the others go on.

    Raises:
        SweepInterrupted: Ctrl-C; it is a KeyboardInterrupt that carries the finished points, which are in ``path`` too.
        DatasetNotFoundError, DatasetFormatError: the data set's files are not there or damaged; nothing is trained.
        ValueError: ``path`` holds something else, or the sweep of another config.
    """
    if not isinstance(config, SweepConfig):
        raise TypeError(f"config must be a ufm.deq.SweepConfig, got {config!r}")
    trainings = config.trainings()
    total = len(trainings)
    points: list[SweepPoint] = []
    kept = path is not None and Path(path).exists()
    if path is not None and kept:
        points.extend(_resumed(config, Path(path)).points)
    if len(points) < total:
        # Without its files every point would fail, and stay failed in ``path``.
        available_counts(config.training.dataset, root, split=config.training.split)
    if path is not None and not kept:
        # A path that cannot be written shows now, not after the first training.
        Sweep(config).save(path)
    try:
        for point in points:
            if on_point is not None:
                on_point(point)
        for i in range(len(points), total):
            branch, training = trainings[i]
            description = f"{branch}, n_B = {training.minority_count} ({i + 1} of {total})"

            def advance(
                _: str, iterations: float, __: float | None, i: int = i, description: str = description
            ) -> None:
                if progress is not None:
                    progress(description, i + 1 - math.exp(-iterations / 60), total)

            if progress is not None:
                progress(description, i, total)
            point = _train_point(branch, training, root, advance)
            # A point that is in the file is one that the caller was told of.
            with interrupts_held():
                points.append(point)
                if path is not None:
                    Sweep(config, tuple(points)).save(path)
                if on_point is not None:
                    on_point(point)
    except KeyboardInterrupt:
        raise SweepInterrupted(Sweep(config, tuple(points))) from None
    if progress is not None:
        progress("done", total, total)
    return Sweep(config, tuple(points))


def _train_point(
    branch: str, training: TrainingConfig, root: str | os.PathLike[str] | None, progress: Progress
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
        converged=cast(bool, point.converged),
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
    expected = [(b, t.minority_count, t.seed) for b, t in config.trainings()[: len(sweep.points)]]
    if [(p.branch, p.minority_count, p.seed) for p in sweep.points] != expected:
        raise ValueError(f"path must hold the points of this sweep in order, but {str(path)!r} does not")
    return sweep
