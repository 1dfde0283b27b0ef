"""The paper's experiment (P4): a DEQ against an explicit network over class numbers and imbalance ratios.

Sun & Shi 2024 train ResNet-18 and a DEQ on CIFAR with (K_A, K_B) = (3, 7), (5, 5), (7, 3) and R = 10, 50, 100, and
balanced classes. :func:`paper_points` is that grid for any models and data set; :func:`ufm.sweeps.run` trains it,
resumable, with :func:`experiment_point`; :class:`Comparison` makes the table and says which observations came out.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.sweeps import versioned
from ufm.trainings.experiment import ExperimentConfig, run_experiment

__all__ = ["ARMS", "CLASS_NUMBERS", "RATIOS", "Comparison", "Observation", "experiment_point", "paper_points"]

CLASS_NUMBERS = ((3, 7), (5, 5), (7, 3))
RATIOS = (10, 50, 100)
#: The two networks that are compared: what they change in the config. They share encoder and classifier.
ARMS: dict[str, dict[str, Any]] = {
    "explicit": {"model": "explicit", "options": {}},
    "DEQ": {"model": "deq", "options": {"rho": 0.9}},
}

#: Columns of the table: label, where the number is in a record, format.
COLUMNS: dict[str, tuple[tuple[str, ...], str]] = {
    "train acc.": (("train_accuracy", "overall"), "{:.3f}"),
    "test acc.": (("test_accuracy", "overall"), "{:.3f}"),
    "majority": (("test_accuracy", "majority"), "{:.3f}"),
    "minority": (("test_accuracy", "minority"), "{:.3f}"),
    "NC1": (("measures", "trace_quotient"), "{:.3f}"),
    "NC2": (("measures", "etf_error"), "{:.3f}"),
    "NC3": (("measures", "self_duality_error"), "{:.3f}"),
    "min. cosine W": (("measures", "minority_cosine"), "{:.3f}"),
    "min. cosine M": (("measures", "minority_feature_cosine"), "{:.3f}"),
    "within tol": (("fixed_point", "converged"), "{:.3f}"),
}


@versioned(1, name="ufm.deq.paper.experiment_point")
def experiment_point(**fields: Any) -> dict[str, Any]:
    """:func:`ufm.deq.run_experiment` as a point function of :func:`ufm.sweeps.run`.

    Args:
        **fields: of :class:`ExperimentConfig`.

    Returns:
        ``config``, ``counts``, ``stopped``, and the metrics of the ``first`` and the ``final`` evaluation, without wall
        times.

    >>> small = {"num_majority": 2, "num_minority": 2, "majority_count": 6, "ratio": 2, "test_count": 5, "width": 8}
    >>> point = experiment_point(dataset="digits", model="explicit", epochs=1, device="cpu", **small)
    >>> sorted(point), point["counts"]
    (['config', 'counts', 'final', 'first', 'stopped'], [6, 6, 3, 3])
    """
    experiment = run_experiment(ExperimentConfig.from_dict(fields))
    first, final = ({key: value for key, value in experiment.records[i].items() if key != "seconds"} for i in (0, -1))
    found = experiment.to_dict()
    return {**{key: found[key] for key in ("config", "counts", "stopped")}, "first": first, "final": final}


def paper_points(
    base: ExperimentConfig,
    *,
    arms: Mapping[str, Mapping[str, Any]] = ARMS,
    class_numbers: Sequence[tuple[int, int]] = CLASS_NUMBERS,
    ratios: Sequence[float] = RATIOS,
    seeds: Sequence[int] = (0, 1, 2),
) -> list[dict[str, Any]]:
    """Points of the grid, seeds outermost, and of the balanced setting (K_A = K_B, R = 1).

    Args:
        base: everything else.
        arms: what each network changes in ``base``.
        class_numbers: (K_A, K_B).
        ratios: R.
        seeds: of draws, weights and batches; both networks get the same.

    >>> points = paper_points(ExperimentConfig(), seeds=(0,))
    >>> len(points), [(p["model"], p["num_majority"], p["ratio"]) for p in points[:3]]
    (20, [('explicit', 5, 1.0), ('deq', 5, 1.0), ('explicit', 3, 10.0)])
    """
    total = sum(class_numbers[0])
    cells = [(total - total // 2, total // 2, 1.0), *((a, b, float(r)) for a, b in class_numbers for r in ratios)]
    return [
        dataclasses.replace(base, num_majority=a, num_minority=b, ratio=r, seed=seed, **arm).to_dict()
        for seed in seeds
        for a, b, r in cells
        for arm in arms.values()
    ]


@dataclass(frozen=True)
class Observation:
    """What the paper says of its experiment, and whether it came out here.

    Attributes:
        id: of the paper's claim.
        statement: what was looked for, with its criterion.
        holds, of: number of settings where it came out, and of all.
        evidence: in numbers.
    """

    id: str
    statement: str
    holds: int
    of: int
    evidence: str

    @property
    def verdict(self) -> str:
        """``"reproduced"``, ``"not reproduced"``, ``"reproduced in part"``, or ``"not tried"`` without a setting."""
        if not self.of:
            return "not tried"
        return {0: "not reproduced", self.of: "reproduced"}.get(self.holds, "reproduced in part")


class Comparison:
    """Finished points of the grid, by network and setting.

    Args:
        results: what :func:`experiment_point` returned.
        arms: as given to :func:`paper_points`; first the explicit network, then the DEQ.

    Raises:
        ValueError: a result of none of the networks.

    >>> def result(arm, seed, accuracy):
    ...     config = {**ARMS[arm], "num_majority": 5, "num_minority": 5, "ratio": 10.0, "seed": seed}
    ...     record = {"test_accuracy": {"minority": accuracy}}
    ...     return {"config": config, "counts": [100, 10], "first": record, "final": record}
    >>> accuracies = [("explicit", 0, 0.5), ("DEQ", 0, 0.75), ("explicit", 1, 0.5), ("DEQ", 1, 0.75)]
    >>> comparison = Comparison([result(*x) for x in accuracies])
    >>> cell = comparison.cells[0]
    >>> cell, comparison.values("DEQ", cell, "minority"), comparison.difference(cell, "minority")
    ((5, 5, 10.0), {0: 0.75, 1: 0.75}, (0.25, 0.0))
    >>> len(comparison.rows()), comparison.markdown().splitlines()[2][:34]
    (2, '| 5, 5 | 10 | 100, 10 | explicit |')
    """

    def __init__(self, results: Iterable[Mapping[str, Any]], arms: Mapping[str, Mapping[str, Any]] = ARMS) -> None:
        self.arms = tuple(arms)
        if len(self.arms) != 2:
            raise ValueError(f"arms must be two networks, got {list(self.arms)}")
        self._results: dict[tuple[str, tuple[int, int, float]], dict[int, Mapping[str, Any]]] = {}
        for result in results:
            config = result["config"]
            arm = next((n for n, a in arms.items() if all(config[key] == value for key, value in a.items())), None)
            if arm is None:
                raise ValueError(f"results must be of the networks {list(arms)}, got one of {config['model']!r}")
            cell = (config["num_majority"], config["num_minority"], config["ratio"])
            self._results.setdefault((arm, cell), {})[config["seed"]] = result

    @property
    def cells(self) -> list[tuple[int, int, float]]:
        """Settings (K_A, K_B, R) that both networks have been trained in."""
        both = [{cell for name, cell in self._results if name == arm} for arm in self.arms]
        return sorted(both[0] & both[1], key=lambda c: (c[2] != 1, c))

    def values(self, arm: str, cell: tuple[int, int, float], column: str, when: str = "final") -> dict[int, float]:
        """Numbers of a column by seed; a setting's ``None`` are left out, and a network's without a fixed point."""
        block, key = COLUMNS[column][0]
        found = {seed: (result[when].get(block) or {}).get(key) for seed, result in self._results[arm, cell].items()}
        return {seed: value for seed, value in sorted(found.items()) if value is not None}

    def difference(self, cell: tuple[int, int, float], column: str) -> tuple[float, float]:
        """DEQ less explicit network: mean over seeds and its standard error (inf with one seed), paired by seed."""
        explicit, deq = (self.values(arm, cell, column) for arm in self.arms)
        pairs = [deq[seed] - explicit[seed] for seed in deq if seed in explicit]
        if not pairs:
            return math.nan, math.inf
        error = statistics.stdev(pairs) / math.sqrt(len(pairs)) if len(pairs) > 1 else math.inf
        return statistics.fmean(pairs), error

    def rows(self) -> list[dict[str, Any]]:
        """The table: a dictionary for every setting and network, ``{"mean", "std", "n"}`` for every column."""
        rows = []
        for cell in self.cells:
            for arm in self.arms:
                row: dict[str, Any] = {"K_A": cell[0], "K_B": cell[1], "R": cell[2], "network": arm}
                counts = next(iter(self._results[arm, cell].values()))["counts"]
                row |= {"n_A": counts[0], "n_B": counts[-1]}
                for column in COLUMNS:
                    v = list(self.values(arm, cell, column).values())
                    spread = statistics.stdev(v) if len(v) > 1 else None
                    row[column] = {"mean": statistics.fmean(v) if v else None, "std": spread, "n": len(v)}
                rows.append(row)
        return rows

    def markdown(self) -> str:
        """The table as Markdown, mean ± standard deviation over seeds."""
        lines = [
            f"| K_A, K_B | R | n_A, n_B | network | {' | '.join(COLUMNS)} |",
            f"|{'---|' * (4 + len(COLUMNS))}",
        ]
        for row in self.rows():
            numbers = []
            for column, (_, style) in COLUMNS.items():
                mean, std = row[column]["mean"], row[column]["std"]
                text = "–" if mean is None else style.format(mean)
                numbers.append(text if std is None else f"{text} ± {style.format(std)}")
            lines.append(
                f"| {row['K_A']}, {row['K_B']} | {row['R']:g} | {row['n_A']}, {row['n_B']} | {row['network']} | "
                f"{' | '.join(numbers)} |"
            )
        return "\n".join(lines) + "\n"

    def observations(self) -> list[Observation]:
        """The paper's observations, each with its criterion and how often it was met."""
        explicit, deq = self.arms
        imbalanced = [c for c in self.cells if c[2] > 1]
        found = [self._collapse(deq)]
        found += [self._minority_collapse(arm) for arm in self.arms]
        for id_, column, statement, sign in (
            ("P3", "NC2", "class means nearer to the simplex ETF (smaller NC2)", -1),
            ("P3", "NC3", "class means nearer to self-duality (smaller NC3)", -1),
            ("P4", "minority", "higher test accuracy on the minority", 1),
            ("P4", "test acc.", "higher test accuracy overall", 1),
        ):
            differences = [(cell, *self.difference(cell, column)) for cell in imbalanced]
            clear = [(cell, mean) for cell, mean, error in differences if sign * mean > error]
            opposite = [cell for cell, mean, error in differences if sign * mean < -error]
            found.append(
                Observation(
                    id_,
                    f"Imbalanced: the {deq} has {statement} than the {explicit} network, by more than the standard "
                    "error of the paired difference",
                    len(clear),
                    len(imbalanced),
                    f"{len(clear)} settings for, {len(opposite)} against, "
                    f"{len(imbalanced) - len(clear) - len(opposite)} within the error; mean differences "
                    + ", ".join(f"{mean:+.3f}" for _, mean, _ in differences),
                )
            )
        return found

    def _collapse(self, arm: str) -> Observation:
        """P1: NC1-NC3 fall by half in a balanced training that fits its training set."""
        pairs = []
        columns = ("NC1", "NC2", "NC3")
        for cell in (c for c in self.cells if c[2] == 1):
            first, final = ([self.values(arm, cell, c, when) for c in columns] for when in ("first", "final"))
            fitted = self.values(arm, cell, "train acc.")
            pairs += [
                ([f[seed] for f in first], [f[seed] for f in final], fitted[seed])
                for seed in fitted
                if all(seed in f for f in (*first, *final))
            ]
        holds = sum(all(b <= a / 2 for a, b in zip(x, y, strict=True)) and fit >= 0.999 for x, y, fit in pairs)
        means = []
        if pairs:
            starts, ends = (np.mean([pair[i] for pair in pairs], axis=0) for i in (0, 1))
            means = [f"{name} {a:.3f} to {b:.3f}" for name, a, b in zip(columns, starts, ends, strict=True)]
        return Observation(
            "P1",
            f"Balanced: in the {arm} the training set is fitted and NC1, NC2 and NC3 fall to less than half of their "
            "values after the first epoch (counted in seeds)",
            holds,
            len(pairs),
            "from the first epoch to the last: " + ", ".join(means),
        )

    def _minority_collapse(self, arm: str) -> Observation:
        """P2: the minority's classifiers close up as R grows."""
        column = "min. cosine W"
        numbers = sorted({c[:2] for c in self.cells if c[2] > 1})
        texts, holds = [], 0
        for a, b in numbers:
            ratios = sorted(c[2] for c in self.cells if c[:2] == (a, b) and c[2] > 1)
            means = [statistics.fmean(self.values(arm, (a, b, r), column).values()) for r in ratios]
            accuracy = [statistics.fmean(self.values(arm, (a, b, r), "minority").values()) for r in ratios]
            holds += means[-1] > means[0] and accuracy[-1] < accuracy[0]
            cosines = ", ".join(f"{m:.3f}" for m in means)
            texts.append(f"({a}, {b}): cosine {cosines}, accuracy {', '.join(f'{x:.3f}' for x in accuracy)}")
        return Observation(
            "P2",
            f"Imbalanced: in the {arm} the minority's classifiers close up (mean pairwise cosine) and its test "
            "accuracy falls from the smallest R to the largest",
            holds,
            len(numbers),
            "; ".join(texts),
        )
