"""Problems stated in a file, TOML or JSON: architecture, labels, loss and bias.

::

    method = "auto"                 # optional: options of ufm.solve; also dim, seed
    bias = "free"                   # optional: "free" or lambda_b > 0

    [architecture]
    type = "UnconstrainedFeatures"  # the name of a class, and its parameters
    lambda_W = 0.01
    lambda_H = 0.01

    [labels]                        # counts alone: one-hot, one column a class
    counts = [30, 30, 10]
    targets = [[1, 0, 0.5], [0, 1, 0.5]]    # or targets, K rows of m numbers, with counts (m)
    # sets = [[0], [1], [0, 1]]             # or sets of class indices, with num_classes and counts

    [loss]                          # optional, cross-entropy without it
    type = "CrossEntropy"           # the name of a class, and its parameters; or "ce", "mse", "bce"
    smoothing = 0.1
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ufm._json import plain
from ufm._parameters import parameters_of
from ufm._validation import one_of
from ufm.architectures import ARCHITECTURES
from ufm.labels import ClassPrior, Labels
from ufm.losses import LOSS_CLASSES, LOSSES, Loss
from ufm.problem import Problem

__all__ = [
    "StatedProblem",
    "parse_architecture",
    "parse_loss",
    "parse_problem",
    "parse_text",
    "read_problem",
    "state_problem",
]

_OPTIONS = ("method", "dim", "seed")


@dataclass(frozen=True)
class StatedProblem:
    """A problem, and how it is to be solved.

    Attributes:
        problem: what the file states.
        options: ``method``, ``dim`` and ``seed`` of :func:`ufm.solve`, those that it gives.
    """

    problem: Problem
    options: dict[str, Any]


def read_problem(path: str | Path) -> StatedProblem:
    """Read a problem from a file, by its suffix ``.toml`` or ``.json``; where it has none, such as a pipe, by its text.

    Raises:
        ValueError: a file that is not there, is neither TOML nor JSON, or states no problem; the message names the key.
        TypeError: a value of the wrong kind.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "problem.toml")
    ...     _ = file.write_text("architecture = {type = 'LayerPeeled', E_W = 1, E_H = 5}\\nlabels = {counts = [3, 1]}")
    ...     read_problem(file).problem.prior
    ClassPrior([3, 1])
    """
    path = Path(path)
    if not path.exists() or path.is_dir():
        raise ValueError(f"FILE must be a file that exists, got {str(path)!r}")
    kind = one_of("the file's suffix", path.suffix.lower(), (".toml", ".json", ""))[1:]
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise ValueError(f"FILE must hold {kind.upper() or 'TOML or JSON'}, got {str(path)!r}: {exc}") from exc
    return parse_text(text, kind or None, name=f"FILE {str(path)!r}")


def parse_text(text: str, kind: str | None = None, *, name: str = "text") -> StatedProblem:
    """Return the problem that a text states, in TOML or JSON.

    Args:
        text: of a file.
        kind: ``"toml"`` or ``"json"``; by default JSON where the text begins with a brace, TOML elsewhere.
        name: of the text in messages.

    Raises:
        ValueError: a text that is neither.
        TypeError, ValueError: as :func:`parse_problem`.

    >>> stated = "architecture = {type = 'LayerPeeled', E_W = 1, E_H = 5}\\nlabels = {counts = [3, 1]}"
    >>> parse_text(stated).problem.prior
    ClassPrior([3, 1])
    """
    is_json = text.lstrip().startswith("{") if kind is None else kind == "json"
    try:
        stated = json.loads(text) if is_json else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, RecursionError) as exc:
        raise ValueError(f"{name} must hold {'JSON' if is_json else 'TOML'}: {exc}") from exc
    return parse_problem(stated)


def parse_problem(stated: Mapping[str, Any]) -> StatedProblem:
    """Return the problem that a dictionary states, see the module.

    Raises:
        TypeError, ValueError: a key is missing or unknown, or a value is not what it should be; the message names it.

    >>> found = parse_problem(
    ...     {"architecture": {"type": "LayerPeeled", "E_W": 1, "E_H": 5}, "labels": {"counts": [10, 10, 1]}, "dim": 3}
    ... )
    >>> found.problem.architecture, found.problem.prior, found.problem.loss.name, found.options
    (LayerPeeled(E_W=1.0, E_H=5.0), ClassPrior([10, 10, 1]), 'ce', {'dim': 3})
    """
    table = _table("the problem", stated, {"architecture", "labels"}, {"loss", "bias", *_OPTIONS})
    architecture = parse_architecture(table["architecture"])
    problem = Problem.of(architecture, _labels(table["labels"]), parse_loss(table.get("loss", "ce")), table.get("bias"))
    return StatedProblem(problem, {name: table[name] for name in _OPTIONS if name in table})


def state_problem(problem: Problem) -> dict[str, Any]:
    """Return the dictionary of JSON values that states a problem, the inverse of :func:`parse_problem`.

    Raises:
        ValueError: an architecture or a loss of one's own, which no file can name.

    >>> import ufm
    >>> stated = state_problem(Problem.of(ufm.LinearDEQ(1.0, 5.0, 0.5), ufm.ClassPrior([3, 1]), "mse"))
    >>> stated["architecture"], stated["labels"], stated["loss"]
    ({'type': 'LinearDEQ', 'E_W': 1.0, 'E_H': 5.0, 'rho': 0.5}, {'counts': [3.0, 1.0]}, {'type': 'MeanSquaredError'})
    >>> parse_problem(stated).problem.risk([[1, 0], [0, 1]])
    0.0
    """
    prior = problem.prior
    labels: dict[str, Any] = {"counts": prior.counts.tolist()}
    if not isinstance(prior, ClassPrior):
        labels["targets"] = prior.targets.tolist()
    stated = {
        "architecture": _named("architecture", problem.architecture, ARCHITECTURES),
        "labels": labels,
        "loss": _named("loss", problem.loss, LOSS_CLASSES),
    }
    return stated if problem.bias is None else {**stated, "bias": problem.stated_bias}


def _named(name: str, found: Any, kinds: Mapping[str, type]) -> dict[str, Any]:
    """The table of an object: its class's name and its fields, without those that are None."""
    kind = type(found).__name__
    if kinds.get(kind) is not type(found):
        raise ValueError(f"{name} must be one of this package to be stated, {', '.join(kinds)}, got {found!r}")
    fields = {f.name: getattr(found, f.name) for f in dataclasses.fields(kinds[kind]) if f.init}  # type: ignore[arg-type]
    return {"type": kind} | {name: plain(name, value) for name, value in fields.items() if value is not None}


def parse_architecture(stated: Any) -> Any:
    """Return the architecture that a table with a ``type`` states.

    >>> parse_architecture({"type": "DeepLinear", "budgets": [1, 1, 2]})
    DeepLinear(budgets=(1.0, 1.0, 2.0))
    """
    kind, given = _typed("architecture", stated, ARCHITECTURES)
    parameters = {p.name: p for p in parameters_of(kind)}
    needed = {name for name, p in parameters.items() if p.required}
    _table("architecture", given, needed, set(parameters) - needed)
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})


def _labels(stated: Any) -> ClassPrior | Labels:
    table = _table("labels", stated, {"counts"}, {"targets", "sets", "num_classes"})
    if "targets" in table and "sets" in table:
        raise ValueError("labels must state targets or sets, got both")
    if "sets" in table:
        if "num_classes" not in table:
            raise ValueError("labels must state num_classes beside sets")
        return Labels.multi_label(table["num_classes"], table["sets"], table["counts"])
    if "num_classes" in table:
        raise ValueError("labels.num_classes plays no role without sets")
    return Labels(table["targets"], table["counts"]) if "targets" in table else ClassPrior(table["counts"])


def parse_loss(stated: Any) -> Loss | str:
    """Return the loss that a word or a table with a ``type`` states.

    >>> parse_loss({"type": "SquaredHinge", "margin": 2.0}), parse_loss("ce")
    (SquaredHinge(margin=2.0), 'ce')
    """
    if isinstance(stated, str):
        return one_of("loss", stated, LOSSES)
    if isinstance(stated, Mapping) and stated.get("type") in LOSSES:
        _table("loss", stated, {"type"}, set())
        return str(stated["type"])
    kind, given = _typed("loss", stated, LOSS_CLASSES)
    known = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()  # type: ignore[arg-type]
    _table("loss", given, set(), known)
    return kind(**given)


def _typed(name: str, stated: Any, kinds: Mapping[str, type]) -> tuple[Any, dict[str, Any]]:
    """The class that a table's ``type`` names, and the rest of the table."""
    if not isinstance(stated, Mapping) or not isinstance(stated.get("type"), str):
        raise TypeError(f"{name} must be a table with a type, got {stated!r}")
    return kinds[one_of(f"{name}.type", stated["type"], kinds)], {k: v for k, v in stated.items() if k != "type"}


def _table(name: str, stated: Any, needed: set[str], optional: set[str]) -> Mapping[str, Any]:
    """``stated`` if it is a table with the keys that it needs and no others."""
    if not isinstance(stated, Mapping):
        raise TypeError(f"{name} must be a table, got {stated!r}")
    missing, unknown = sorted(needed - set(stated)), sorted(set(stated) - needed - optional)
    if missing:
        raise ValueError(f"{name} must state {', '.join(missing)}, got {', '.join(map(str, stated)) or 'nothing'}")
    if unknown:
        raise ValueError(f"{name} must state none but {', '.join(sorted(needed | optional))}, got {', '.join(unknown)}")
    return stated
