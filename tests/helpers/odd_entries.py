"""Every public entry called as it should be, with none, one or two of its arguments made odd.

A seed gives one call. What is called as it should be must give what is right by a second computation; what is called
with an odd argument an answer or an error that names that argument.
"""

from __future__ import annotations

import json
import math
import random
import re
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from odd_checks import disagree, quiet, wrong_by_definition

import ufm
from ufm import certificates, deq, geometry, landscape, losses, measures, testing, thresholds
from ufm._validation import array, as_array
from ufm.bounds import functional_bounds
from ufm.data import digits, load_dataset
from ufm.gauges import gamma2_norm, gamma2_polar, nonnegative_gauge, nonnegative_polar
from ufm.landscape.etf_boundary import logits_beating_etf
from ufm.landscape.residual_codes import cheapest_sum, residual_switch
from ufm.problem import Problem
from ufm.problem_file import parse_problem, state_problem
from ufm.sweeps import run, solve_point
from ufm.two_groups.threshold_batch import penalised_threshold_batch, threshold_batch

#: What is put in the place of an argument, beside changes of the value that it had.
NONSENSE = (None, True, "1", 1j, [], {}, object(), b"1", "CE", np.ma.masked, [[1.0], [1.0, 2.0]])
WILD = (0.0, -1.0, 5e-324, 1e-300, 1e-160, 1e-20, 1e20, 1e160, 1e300, math.nan, math.inf, -math.inf, 2.5, 10**12)

#: Words that errors may use for an argument that is called otherwise, or holds others.
ALSO = {
    "architecture": r"E_\w|lambda\w*|rho|budgets|depth|kind|features|gauge|strength|[wh]|type",
    "prior": r"counts?|targets|labels|num_\w+|ratio|dim|weights|scales|shifts",
    "loss": r"weights|scales|shifts|smoothing|gamma|margin|targets",
    "problem": r"architecture|loss|labels|solution|dim|prior|counts",
    "solution": r"problem|architecture|loss|prior|labels",
    "stated": r"architecture|labels|loss|bias|counts|dim|problem|key|E_[WH]|seed|type|options|targets",
    "arguments": r".",
    "vectors": "matrix",
    "value": "fn|loss",
    "dim": "num_classes",
    "lengths": "dim",
    "factors": r"W|A|H|budgets|classifier|features",
}


@dataclass(frozen=True)
class Entry:
    """A function, what it is called with, and what is wrong with its answer to that (in words)."""

    function: Callable[..., Any]
    make: Callable[[random.Random], dict[str, Any]]
    check: Callable[[Any, dict[str, Any]], str] = lambda found, given: _finite(found)
    weight: float = 1.0


def _finite(found: Any) -> str:
    if isinstance(found, float | int | np.floating | np.ndarray) and np.isnan(np.asarray(found, dtype=float)).any():
        return f"NaN: {found!r}"
    return ""


# -- what is given ----------------------------------------------------------------------------------------------------


def size(rng: random.Random, low: float = -1.5, high: float = 1.0) -> float:
    return float(10 ** rng.uniform(low, high))


def generator(rng: random.Random) -> np.random.Generator:
    return np.random.default_rng(rng.randrange(2**32))


def counts(rng: random.Random, least: int = 2, most: int = 5) -> list[float]:
    return [rng.choice([1, 2, 5, 30, 30, 100]) for _ in range(rng.randint(least, most))]


def prior(rng: random.Random, most: int = 5) -> Any:
    if rng.random() < 0.3:
        return ufm.Labels(generator(rng).dirichlet(np.ones(3), size=4).T, counts(rng, 4, 4))
    return class_prior(rng, most)


def class_prior(rng: random.Random, most: int = 5) -> ufm.ClassPrior:
    if rng.random() < 0.5:
        return ufm.ClassPrior.step(rng.randint(1, 3), rng.randint(1, most - 3), size(rng, 0, 2))
    return ufm.ClassPrior(counts(rng, 2, most))


def budgets(rng: random.Random) -> dict[str, float]:
    return {"E_W": size(rng), "E_H": size(rng)}


def decay(rng: random.Random) -> dict[str, float]:
    return {"lambda_W": size(rng, -4, -0.5), "lambda_H": size(rng, -4, -0.5)}


def convex(rng: random.Random) -> Any:
    rho = rng.choice([0.0, 0.3, 0.9])
    makers = [
        lambda: ufm.LayerPeeled(**budgets(rng)),
        lambda: ufm.UnconstrainedFeatures(**decay(rng)),
        lambda: ufm.LinearDEQ(**budgets(rng), rho=rho),
        lambda: ufm.PenalisedDEQ(**decay(rng), rho=rho),
        lambda: ufm.Gain(**budgets(rng), rho=rho, kind=rng.choice(["residual", "unrolled"]), depth=rng.randint(1, 4)),
        lambda: ufm.Gain(**budgets(rng), rho=rho, kind=rng.choice(["ode", "deq"])),
    ]
    return rng.choice(makers)()


def nonconvex(rng: random.Random) -> Any:
    makers = [
        lambda: ufm.LinearDEQ(**budgets(rng), rho=0.9, E_A=size(rng)),
        lambda: ufm.PenalisedDEQ(**decay(rng), rho=0.9, lambda_A=size(rng)),
        lambda: ufm.DeepLinear((size(rng), size(rng), size(rng))),
        lambda: ufm.PenalisedDeepLinear((size(rng, -3, -1), size(rng, -3, -1), size(rng, -3, -1))),
        lambda: ufm.Residual(**decay(rng), lambda_A=size(rng, -3, 1), depth=rng.choice([1, 3, math.inf])),
    ]
    return rng.choice(makers)()


def coned(rng: random.Random) -> Any:
    makers = [
        lambda: ufm.LayerPeeled(**budgets(rng), features="nonnegative"),
        lambda: ufm.UnconstrainedFeatures(**decay(rng), features="nonnegative"),
        lambda: ufm.NormBounded(size(rng), size(rng)),
    ]
    return rng.choice(makers)()


def plain(rng: random.Random) -> str:
    return rng.choice(["ce", "ce", "mse", "bce"])


def any_loss(rng: random.Random) -> Any:
    hinge = ufm.SquaredHinge(rng.choice([0.5, 1.0]))
    return rng.choice(["ce", "mse", "bce", ufm.CrossEntropy(smoothing=0.1), hinge])


def any_bias(rng: random.Random) -> Any:
    return rng.choice([None, None, "free", size(rng)])


def matrix(rng: random.Random, rows: int | None = None, columns: int | None = None) -> Any:
    shape = rows or rng.randint(2, 5), columns or rng.randint(2, 5)
    return generator(rng).normal(size=shape) * 10 ** rng.choice([0, 0, 0, -150, 150, -8, 8])


def square(rng: random.Random) -> Any:
    k = rng.randint(2, 5)
    return matrix(rng, k, k)


def sizes(rng: random.Random) -> dict[str, Any]:
    return {"num_majority": rng.randint(1, 4), "num_minority": rng.randint(2, 4)}


def held(rng: random.Random, architecture: Any) -> dict[str, Any]:
    if not hasattr(architecture, "lambda_W"):
        return {}
    return {rng.choice(["num_samples", "majority_count", "minority_count"]): rng.choice([7.5, 20, 100, 600])}


# -- what is asked ----------------------------------------------------------------------------------------------------


def solved(found: ufm.Solution, given: dict[str, Any]) -> str:
    """Enclosures of the same optimum meet: for classes permuted, for counts scaled, and by another method."""
    numbers = [found.value, *found.logits.ravel()]
    if not np.isfinite(numbers).all() or not found.lower <= found.value <= found.upper:
        return f"not finite, or bounds that do not hold the value: {found!r}"
    if not found.factors_are_own and (wrong := wrong_by_definition(found)):
        return wrong
    architecture, labels = given["architecture"], given["prior"]
    more = {"bias": given.get("bias"), "method": given.get("method", "auto")}
    more |= {name: given[name] for name in ("starts", "dim") if name in given}
    if isinstance(labels, ufm.ClassPrior):
        turned = ufm.ClassPrior(labels.counts[::-1])
        wrong = disagree(found, quiet(ufm.solve, architecture, turned, given["loss"], **more), "classes permuted")
        if wrong:
            return wrong
    if getattr(architecture, "lambda_H", None) is None:  # budgets and norms see frequencies alone
        scaled = _scaled(labels, 8.0)
        return disagree(found, quiet(ufm.solve, architecture, scaled, given["loss"], **more), "counts times eight")
    return ""


def _scaled(labels: Any, factor: float) -> Any:
    if isinstance(labels, ufm.ClassPrior):
        return ufm.ClassPrior(labels.counts * factor)
    return ufm.Labels(labels.targets, labels.counts * factor)


def crossed(found: Any, given: dict[str, Any]) -> str:
    """The minority is out of collapse a little below R*, and in it a little above."""
    if not found.lower <= found.ratio <= found.upper:
        return f"a threshold outside of its bracket: {found!r}"
    alike = quiet(ufm.threshold_array, **given, over={"num_minority": [given["num_minority"]]})
    if alike.ratio.tolist() != [found.ratio]:
        return f"{found!r}, but in an array {alike.ratio!r}"
    if not 1.001 < found.ratio < 1e4:
        return ""
    architecture, held_ = given["architecture"], {n: given[n] for n in given if n.endswith(("_samples", "_count"))}
    k_a, k_b = given["num_majority"], given["num_minority"]
    for ratio, inside in ((found.ratio / 1.01, False), (found.ratio * 1.01, True)):
        n_b = _minority(held_, ratio, k_a, k_b)
        labels = ufm.ClassPrior([ratio * n_b] * k_a + [n_b] * k_b)
        s = quiet(ufm.solve, architecture, labels, given["loss"], bias=given.get("bias"))
        margin = thresholds.group_margin(s, range(k_a, k_a + k_b))
        if margin.is_collapsed != inside:
            return f"at R = {ratio!r} beside {found!r}: {margin!r}"
    return _sloped(found, given)


def _minority(held_: dict[str, float], ratio: float, k_a: int, k_b: int) -> float:
    if "num_samples" in held_:
        return held_["num_samples"] / (k_a * ratio + k_b)
    return held_["majority_count"] / ratio if "majority_count" in held_ else held_.get("minority_count", 1.0)


def _sloped(found: Any, given: dict[str, Any]) -> str:
    """The derivative by the first parameter against a difference quotient."""
    try:
        stated = found.derivative
    except ValueError:
        return ""
    name = "E_W" if hasattr(given["architecture"], "E_W") else "lambda_W"
    if name not in stated or not isinstance(given["architecture"], ufm.LayerPeeled | ufm.UnconstrainedFeatures):
        return ""
    at, h, other = getattr(given["architecture"], name), 1e-4, {"E_W": "E_H", "lambda_W": "lambda_H"}[name]
    rest = {n: v for n, v in given.items() if n != "architecture"}
    ends = []
    for factor in (1 + h, 1 - h):
        moved = type(given["architecture"])(**{name: at * factor, other: getattr(given["architecture"], other)})
        ends.append(quiet(ufm.collapse_threshold, moved, **rest).ratio)
    quotient = (ends[0] - ends[1]) / (2 * h * at)
    room = 1e-3 * abs(quotient) + 1e-6 * found.ratio / at
    if ends[1] > 1 and ends[0] > 1 and math.isfinite(quotient) and not abs(stated[name] - quotient) <= room:
        return f"dR*/d{name} = {stated[name]!r}, by differences {quotient!r}: {found!r}"
    return ""


def batched(found: Any, given: dict[str, Any]) -> str:
    """Every entry of a batch against the problem solved by itself."""
    values = [np.asarray(v, dtype=float) for v in vars(found).values()]
    if not all(np.isfinite(v).all() for v in values):
        return "a batch that is not finite"
    ratio, k_a, k_b = given["ratio"], given["num_majority"], given["num_minority"]
    n_b = _minority({n: v for n, v in given.items() if n.endswith("_count")}, ratio, k_a, k_b)
    rho = given.get("rho", 0.0)
    labels = ufm.ClassPrior([ratio * n_b] * k_a + [n_b] * k_b)
    pair = {n: given[n] for n in ("E_W", "E_H", "lambda_W", "lambda_H") if n in given}
    model = (ufm.LinearDEQ if "E_W" in pair else ufm.PenalisedDEQ)(**pair, rho=rho)
    s = quiet(ufm.solve, model, labels, given["loss"])
    low, high = max(s.lower, float(found.lower)), min(s.value, float(found.value))
    return "" if low <= high * (1 + 1e-9) + 1e-13 else f"batch [{found.lower}, {found.value}], {s!r}"


def grouped(found: Any, given: dict[str, Any]) -> str:
    """Each group's critical scale, looked at on both sides."""
    k = len(given["prior"].counts)
    for g in found.groups:
        if len(g.classes) < 2 or not 1e-6 < g.critical_scale < 1e6:
            continue
        for factor, inside in ((0.99, found.is_constrained), (1.01, not found.is_constrained)):
            scale = g.critical_scale * factor
            model = (
                ufm.LayerPeeled(scale / k, scale / k)
                if found.is_constrained
                else ufm.UnconstrainedFeatures(scale, scale)
            )
            s = quiet(ufm.solve, model, given["prior"], given["loss"], bias=given["bias"])
            if thresholds.group_margin(s, g.classes).is_collapsed != inside:
                return f"group {g.classes} at {factor} of {g.critical_scale!r}: {s!r}"
    return ""


def accepted(found: Any, given: dict[str, Any]) -> str:
    return "" if found.check().accepted else f"a certificate that its checker does not accept, of {given!r}"


def bounded(found: Any, given: dict[str, Any]) -> str:
    """The functional of the optimum lies in its range."""
    at = float(np.vdot(given["functional"], given["problem"].logits))
    room = 1e-6 * (1 + abs(at))
    return "" if found.lower - room <= at <= found.upper + room else f"{at!r} outside of {found!r}"


def dual(gauge: Callable[[Any], Any], polar: Callable[[Any], Any]) -> Callable[..., float]:
    """``<Y, G> / (gauge(Y) polar(G))``, at most 1."""

    def quotient(y: Any, gradient: Any) -> float:
        sizes = float(gauge(y)), float(polar(gradient))
        y, gradient = array("y", y), array("gradient", gradient)
        if y.shape != gradient.shape:
            raise ValueError(f"gradient must have the shape of y, got {gradient.shape}")
        if not min(sizes) > 0:
            return 0.0
        return float(np.vdot(y.astype(np.longdouble) / sizes[0], gradient.astype(np.longdouble) / sizes[1]))

    return quotient


def at_most_one(found: Any, given: dict[str, Any]) -> str:
    return "" if found <= 1 + 1e-6 else f"<Y, G> = {found!r} gauge polar"


def trained(found: Any, given: dict[str, Any]) -> str:
    """No training of a convex problem lies below its lower bound."""
    short = found.fit.objective < found.solution.lower * (1 - 1e-6) - 1e-9
    return f"objective {found.fit.objective!r} below {found.solution!r}" if short else ""


def swept(points: Any, **more: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        return run(solve_point, points, store=Path(folder, "store.sqlite"), executor=pool, **more)


def written(architecture: Any, prior: Any, loss: Any, bias: Any) -> bool:
    """Whether a problem that is stated in a file is read back as the same one."""
    problem = Problem.of(architecture, prior, loss, bias)
    return parse_problem(json.loads(json.dumps(state_problem(problem)))).problem == problem


def scale_free(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The difference that a factor of 1024 makes, and the value: of a measure that sees no scale."""

    def both(vectors: Any) -> Any:
        first, second = function(vectors), function(as_array("vectors", vectors) * 1024.0)
        return (first, second)

    return both


def same(found: Any, given: dict[str, Any]) -> str:
    one, two = found
    if one is None or two is None:
        return "" if one is two else f"a scale decides: {found!r}"
    fine = np.isfinite([one, two]).all() and abs(one - two) <= 1e-6 * (1 + abs(one))
    return "" if fine else f"a measure that should not see scale: {found!r}"


def command(*arguments: Any) -> Any:
    from typer.testing import CliRunner

    from ufm.cli import app

    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise RuntimeError(f"ufm {arguments}: a traceback, {result.exception!r}")
    if result.exit_code not in (0, 1, 2):
        raise RuntimeError(f"ufm {arguments}: exit status {result.exit_code}")
    if result.exit_code and not result.output.strip():
        raise RuntimeError(f"ufm {arguments}: exit status {result.exit_code} and not a word")
    if result.exit_code == 0 and "--json" in arguments and "NaN" in result.stdout:
        raise RuntimeError(f"ufm {arguments}: NaN in {result.stdout[:200]}")
    if result.exit_code == 2:
        raise ValueError(result.output)
    return result.exit_code


def ordered(arguments: Any) -> Any:
    """The command line with a list of arguments."""
    return command(*arguments) if isinstance(arguments, list) else None


def options(rng: random.Random) -> list[Any]:
    odd = lambda x: rng.choice([x, x, x, x, x, rng.choice(WILD), "", "1,2", "abc", -x])  # noqa: E731
    model = rng.choice(["layer-peeled", "unconstrained-features", "linear-deq", "penalised-deq", "no-such"])
    pair = ["--E-W", odd(1.0), "--E-H", odd(size(rng))] if model in ("layer-peeled", "linear-deq") else []
    pair = pair or ["--lambda-W", odd(0.01), "--lambda-H", odd(size(rng, -4, -1))]
    pair += ["--rho", odd(0.5)] if model.endswith("deq") else []
    groups = ["--majority", odd(rng.randint(1, 3)), "--minority", odd(rng.randint(1, 3))]
    kind = rng.choice(["solve", "solve", "threshold", "threshold", "phase"])
    if kind == "phase":
        return ["phase", *pair, *groups, "--R", rng.choice(["1:5:3", "2", "x", "1:2", "0", "1,nan"]), "--json"]
    more = ["--ratio", odd(3.0)] if kind == "solve" else []
    more += ["--minority-count", odd(5)] if "--lambda-W" in pair else []
    return [kind, "-a", model, *pair, *groups, *more, "--loss", odd("mse") if rng.random() < 0.2 else "ce", "--json"]


def commanded(rng: random.Random) -> dict[str, Any]:
    try:
        return {"arguments": options(rng)}
    except TypeError:  # minus a word
        return {"arguments": ["claims", rng.choice(["--json", "--topic", "--no-such"])]}


def seeded(rng: random.Random) -> int:
    return rng.randint(0, 9)


def state(architecture: Any, prior: Any) -> Any:
    return Problem.of(architecture, prior)


def stated(rng: random.Random) -> dict[str, Any]:
    table = {
        "architecture": {"type": "LayerPeeled", **budgets(rng)},
        "labels": {"counts": counts(rng)},
        "loss": plain(rng),
        "bias": any_bias(rng),
    }
    if rng.random() < 0.6:
        at = rng.choice([table, table["architecture"], table["labels"]])
        key = rng.choice([*at, "no_such"])
        at[key] = rng.choice([*NONSENSE[:-2], *WILD])
    return {"stated": {k: v for k, v in table.items() if v is not None or rng.random() < 0.5}}


def of(function: Callable[..., Any], *names: str) -> Callable[..., Any]:
    """The function, called with what ``names`` name in this order."""

    def call(**given: Any) -> Any:
        first = [given.pop(name) for name in names if name in given]
        return function(*first, **given)

    call.__name__ = getattr(function, "__name__", str(function))
    return call


def problem_of(rng: random.Random, models: Callable[[random.Random], Any], **more: Any) -> dict[str, Any]:
    return {"architecture": models(rng), "prior": prior(rng), "loss": any_loss(rng), "bias": any_bias(rng), **more}


def threshold_of(rng: random.Random) -> dict[str, Any]:
    model = convex(rng)
    given = {"architecture": model, **sizes(rng), "loss": rng.choice(["ce", "mse"]), **held(rng, model)}
    return given if rng.random() < 0.85 else given | {"loss": plain(rng), "bias": any_bias(rng)}


def batch_of(rng: random.Random) -> dict[str, Any]:
    given = {**sizes(rng), "ratio": size(rng, 0, 2), "loss": rng.choice(["ce", "mse"]), "rho": rng.choice([0.0, 0.5])}
    if rng.random() < 0.5:
        return given | budgets(rng)
    return given | decay(rng) | {"minority_count": rng.choice([3, 30, 200.5])}


def group_of(rng: random.Random) -> dict[str, Any]:
    labels = ufm.ClassPrior([n for n in {rng.choice([1, 3, 9, 30, 100]) for _ in range(3)} for _ in range(2)])
    loss = rng.choice(["ce", "mse", "bce", "ce"])
    return {"architecture": convex(rng), "prior": labels, "loss": loss, "bias": rng.choice([None, None, "free"])}


def solution_of(rng: random.Random) -> ufm.Solution:
    loss = rng.choice(["ce", "mse"])
    return quiet(ufm.solve, convex(rng), class_prior(rng), loss)


def functional_of(rng: random.Random) -> dict[str, Any]:
    s = solution_of(rng)
    return {"problem": s, "functional": generator(rng).normal(size=s.logits.shape), "gap": rng.choice([1e-3, 0.1])}


def training_of(rng: random.Random) -> dict[str, Any]:
    model = rng.choice([convex, convex, nonconvex, coned])(rng)
    given = {"architecture": model, "prior": ufm.ClassPrior([3, 3, 1]), "loss": any_loss(rng)}
    if not hasattr(model, "lambda_W") or isinstance(model, ufm.Residual):
        given["architecture"] = ufm.UnconstrainedFeatures(0.05, 0.05)
    return given | {
        "dim": 3,
        "width": 8,
        "seed": seeded(rng),
        "max_iterations": rng.choice([1, 10]),
        "dtype": "float64",
    }


def features_of(rng: random.Random) -> dict[str, Any]:
    k, d, n = rng.randint(2, 4), rng.randint(2, 4), rng.randint(8, 16)
    labels = np.r_[np.arange(k), generator(rng).integers(0, k, size=n - k)]
    found = {"features": matrix(rng, n, d), "labels": labels, "num_classes": k, "classifier": matrix(rng, k, d)}
    return found | {"bias": matrix(rng, k, 1)[:, 0], "tolerance": 1e-3}


def layer_of(rng: random.Random) -> dict[str, Any]:
    return {
        "solver": rng.choice(["anderson", "broyden", "fixed_point"]),
        "tol": rng.choice([1e-3, 1e-8]),
        "max_steps": rng.choice([1, 20, 200]),
        "on_failure": rng.choice(["warn", "raise", "ignore"]),
        "gradient": rng.choice(["implicit", "phantom"]),
        "phantom_steps": 3,
        "stop_mode": rng.choice(["rel", "abs"]),
        "samples": rng.choice(["separate", "coupled"]),
        "memory": rng.choice([None, 1, 5]),
        "matrix": generator(rng).normal(size=(3, 3)) / rng.choice([6, 20]),
    }


def layer(matrix: Any, **more: Any) -> Any:
    import torch

    a = torch.as_tensor(array("matrix", matrix, ndim=2), dtype=torch.float64)
    b = torch.ones(2, len(a), dtype=torch.float64, requires_grad=True)
    z, info = deq.DEQ(**more)(lambda z: z @ a.T + b, torch.zeros(2, len(a), dtype=torch.float64))
    return z, info, torch.linalg.solve(torch.eye(len(a), dtype=torch.float64) - a, b.T).T


def equilibrium(found: Any, given: dict[str, Any]) -> str:
    z, info, exact = found
    error, scale = float((z - exact).detach().abs().max()), 1 + float(exact.detach().abs().max())
    if bool(info.converged.all()) and not error <= 50 * given["tol"] * scale:
        return f"converged, with an error of {error!r}"
    return "" if bool(z.isfinite().all()) else "a state that is not finite"


def contraction(dim: Any, rho: Any, start: Any, parametrisation: Any) -> Any:
    return deq.SpectralBound(dim, rho, start, parametrisation=parametrisation)().detach().numpy()


def contracts(found: Any, given: dict[str, Any]) -> str:
    norm = float(np.linalg.norm(found, 2))
    return "" if norm <= given["rho"] * (1 + 1e-9) else f"norm {norm!r}"


def own_loss(value: Any, convex: Any, infimum: Any) -> Any:
    import torch

    functions = {
        "right": lambda z, t: ((z - t) ** 2).sum(),
        "concave": lambda z, t: -((z - t) ** 2).sum(),
        "numpy": lambda z, t: 1.0,
        "vector": lambda z, t: (z - t) ** 2,
        "complex": lambda z, t: ((z - t) ** 2).sum() * 1j,
        "nan": lambda z, t: ((z - t) ** 2).sum() * torch.nan,
    }
    loss = ufm.torch_loss(
        functions[value] if isinstance(value, str) and value in functions else value, convex=convex, infimum=infimum
    )
    return ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([2, 1]), loss)


def asserted(function: Callable[..., Any]) -> Callable[..., Any]:
    """An assertion of the testing kit: whether it holds."""

    def call(**given: Any) -> bool:
        try:
            function(*given.values()) if "tol" not in given else function(
                *[v for n, v in given.items() if n != "tol"], tol=given["tol"]
            )
        except AssertionError as error:
            if not str(error):
                raise RuntimeError("a bare assertion") from error
            return False
        return True

    return call


def true(found: Any, given: dict[str, Any]) -> str:
    return "" if found is True else f"{found!r} for {given!r}"


def an_etf(rng: random.Random) -> Any:
    k = rng.randint(2, 5)
    return geometry.simplex_etf(k, dim=k + rng.randint(0, 2), seed=seeded(rng)) * size(rng, -3, 3)


def claimed(**fields: Any) -> Any:
    @ufm.claim(**fields)
    def check(context: Any) -> Any:
        return ufm.Evidence("supported", "a word", established_by=("a word",))

    return [v.status.value for v in ufm.verify([check])]


def claim_of(rng: random.Random) -> dict[str, Any]:
    words = {"id": "my-claim", "title": "A word", "statement": "A word.", "source": "a page"}
    return words | {"hypotheses": ("a word",), "effort": rng.choice(["quick", "full"])}


def evidence_of(rng: random.Random) -> dict[str, Any]:
    status = rng.choice(["proved", "certified", "supported", "refuted", "inconclusive"])
    return {"status": status, "summary": "a word", "established_by": ("a word",), "assumptions": ()}


def diagram_of(rng: random.Random) -> dict[str, Any]:
    pair = budgets(rng) if rng.random() < 0.6 else {**decay(rng), "n_B": 20.0}
    return {"loss": plain(rng), "R": [1.0, size(rng, 0, 2)], "K_A": rng.randint(1, 3), "K_B": rng.randint(2, 3), **pair}


def counterexample_of(rng: random.Random) -> dict[str, Any]:
    code = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    model = {"name": "linear_deq", "E_W": 1, "E_H": 1, "rho": "9/10", "E_A": "1/2"}
    factors = {"W": code, "A": [["1/2", 0], [0, "1/2"]], "H": [list(c) for c in zip(*code, strict=True)]}
    if rng.random() < 0.4:
        at = rng.choice([model, factors])
        at[rng.choice([*at, "no_such"])] = rng.choice([*NONSENSE, *WILD])
    return {"architecture": model, "num_classes": 4, "factors": factors}


def of_decay(rng: random.Random) -> dict[str, Any]:
    return {"architecture": ufm.UnconstrainedFeatures(**decay(rng)), "prior": ufm.ClassPrior([30, 30, 3, 3])}


def _loss_values(loss: Any, logits: Any, targets: Any) -> Any:
    return losses.get_loss(loss).values(logits, targets)


def entries() -> list[Entry]:
    """All of them."""
    e, g = Entry, geometry
    return [
        # solving
        e(ufm.solve, lambda r: problem_of(r, convex), solved, 8),
        e(ufm.solve, lambda r: problem_of(r, coned), solved, 3),
        e(ufm.solve, lambda r: problem_of(r, convex, method=r.choice(["nuclear", "reduced", "direct"])), solved, 3),
        e(ufm.solve, lambda r: problem_of(r, nonconvex, method="search", starts=2), solved, 3),
        e(ufm.solve, lambda r: problem_of(r, nonconvex, method="direct", starts=1), solved, 1),
        e(ufm.solve, lambda r: problem_of(r, convex, dim=1, method="search", starts=2), solved, 1),
        e(ufm.solve_batch, batch_of, batched, 6),
        e(ufm.phase_diagram, diagram_of, lambda found, given: "", 1),
        e(of(written), lambda r: problem_of(r, r.choice([convex, nonconvex, coned])), true, 3),
        e(of(parse_problem, "stated"), stated, lambda found, given: "", 3),
        e(
            of(swept, "points"),
            lambda r: {"points": [{"architecture": {"type": "LayerPeeled", **budgets(r)}, "counts": counts(r)}]},
            lambda found, given: "",
            1,
        ),
        # thresholds
        e(ufm.collapse_threshold, threshold_of, crossed, 8),
        e(ufm.collapse_thresholds, group_of, grouped, 1.5),
        e(
            thresholds.total_collapse_threshold,
            lambda r: {"architecture": ufm.LayerPeeled(**budgets(r)), **sizes(r)},
            weight=2,
        ),
        e(
            of(thresholds.threshold_curve, "angle"),
            lambda r: {"angle": r.uniform(0.05, 1.5), **sizes(r)},
            lambda f, g: "",
            2,
        ),
        e(
            threshold_batch,
            lambda r: {**sizes(r), "E_W": [size(r), 1.0], "E_H": size(r), "rho": r.choice([0.0, 0.5])},
            weight=2,
        ),
        e(
            of(thresholds.group_margin, "solution", "members"),
            lambda r: {"solution": solution_of(r), "members": [0, 1]},
            lambda f, g: "",
            1,
        ),
        e(
            ufm.hysteresis,
            lambda r: {
                "architecture": ufm.PenalisedDEQ(0.007, 0.007, 0.5, lambda_A=size(r, -1.5, 0)),
                **sizes(r),
                "num_samples": 600,
                "points": 10,
            },
            lambda f, g: "",
            0.3,
        ),
        e(
            ufm.trapped_threshold,
            lambda r: {"architecture": ufm.PenalisedDEQ(0.007, 0.007, 0.5), **sizes(r), "num_samples": 600},
            weight=1,
        ),
        # certificates
        e(ufm.certify, lambda r: {"solution": solution_of(r)}, accepted, 2),
        e(
            ufm.certify_phase,
            lambda r: {"architecture": convex(r), "prior": class_prior(r), "loss": r.choice(["ce", "mse"])},
            accepted,
            2,
        ),
        e(ufm.certify_threshold, lambda r: threshold_of(r), accepted, 1.5),
        e(
            certificates.certify_collapse,
            lambda r: {**of_decay(r), "classes": [2, 3], "loss": plain(r), "bias": any_bias(r)},
            accepted,
            2,
        ),
        e(
            certificates.certify_geometry,
            lambda r: {
                "architecture": ufm.LayerPeeled(**budgets(r)),
                "prior": ufm.ClassPrior.step(2, 3, size(r, 0, 1)),
            },
            accepted,
            0.5,
        ),
        e(
            certificates.enclose_geometry,
            lambda r: {
                "architecture": ufm.LayerPeeled(**budgets(r)),
                "prior": ufm.ClassPrior.step(2, 3, size(r, 0, 1)),
            },
            lambda f, g: "",
            1,
        ),
        e(ufm.certify_counterexample, counterexample_of, accepted, 2),
        e(
            ufm.certify_etf_optimal,
            lambda r: {"num_classes": r.randint(3, 5), "tau": size(r), "E_A": r.choice([0.01, 0.1])},
            lambda f, g: "",
            0.3,
        ),
        e(
            certificates.bound_balanced_risk,
            lambda r: {"num_classes": r.randint(3, 5), "tau": size(r), "E_A": r.choice([0, 0.1])},
            weight=0.5,
        ),
        e(
            certificates.certify_code,
            lambda r: {"logits": np.diag([1.0, 1, 1, 1]) * 2 - 0.5, "tau": 4.0, "E_A": 0.5, "rho": 0.9},
            accepted,
            0.5,
        ),
        e(of(functional_bounds, "problem", "functional"), functional_of, bounded, 2),
        e(
            of(ufm.geometry_bounds, "problem"),
            lambda r: {"problem": solution_of(r), "gap": r.choice([1e-3, 0.1])},
            lambda f, g: "",
            0.3,
        ),
        # landscape
        e(
            ufm.etf_boundary,
            lambda r: {"num_classes": r.randint(3, 6), "tau": size(r), "rho": 0.9, "certify": False},
            lambda f, g: "",
            1,
        ),
        e(
            logits_beating_etf,
            lambda r: {"num_classes": r.randint(3, 6), "tau": size(r), "E_A": size(r, -1, 0), "rho": 0.9},
            lambda f, g: "",
            0.5,
        ),
        e(
            residual_switch,
            lambda r: {
                "num_classes": r.randint(4, 6),
                "decay": r.uniform(0.01, 0.15),
                "depth": r.choice([1, 4, math.inf]),
            },
            lambda f, g: "",
            1,
        ),
        e(
            of(cheapest_sum, "network"),
            lambda r: {
                "network": ufm.Residual(**decay(r), lambda_A=size(r), depth=4),
                "num_classes": r.randint(4, 8),
                "num_samples": 3,
            },
            lambda f, g: "",
            1,
        ),
        e(
            of(landscape.classify, "problem", "factors"),
            lambda r: {"problem": (s := solution_of(r)).problem, "factors": s.factors, "tol": 1e-6},
            lambda f, g: "",
            1,
        ),
        # geometry and measures
        e(ufm.measure, features_of, lambda f, g: "", 4),
        e(
            g.simplex_etf,
            lambda r: {"num_classes": (k := r.randint(2, 5)), "dim": k + 1, "seed": seeded(r)},
            lambda f, g: "" if abs(geometry.etf_error(f)) < 1e-9 else "no ETF",
            1,
        ),
        e(
            g.orthogonal_frame,
            lambda r: {"num_classes": (k := r.randint(2, 5)), "dim": k + 1, "seed": seeded(r)},
            weight=1,
        ),
        e(g.general_orthogonal_frame, lambda r: {"lengths": counts(r), "dim": 6, "seed": seeded(r)}, weight=1),
        e(g.seli, lambda r: {"prior": class_prior(r), "dim": 7, "seed": seeded(r)}, lambda f, g: "", 1),
        *(
            e(scale_free(f), lambda r: {"vectors": matrix(r)}, same, 1)
            for f in (
                measures.equinorm_cv,
                measures.equiangle_std,
                measures.equiangle_cv,
                measures.mean_cosine_gap,
                measures.coherence,
                measures.effective_rank,
                geometry.gof_error,
            )
        ),
        e(
            of(measures.nc1, "within_covariance", "means"),
            lambda r: {"within_covariance": np.eye(3) * size(r), "means": matrix(r, 4, 3)},
            lambda f, g: "",
            1,
        ),
        e(
            of(g.gram_distance, "matrix", "frame"),
            lambda r: {"matrix": matrix(r, 3, 3), "frame": matrix(r, 3, 3)},
            weight=1,
        ),
        e(
            of(g.procrustes_distance, "matrix", "frame"),
            lambda r: {"matrix": matrix(r, 3, 3), "frame": matrix(r, 3, 3)},
            weight=1,
        ),
        e(
            of(g.self_duality_error, "classifier", "means"),
            lambda r: {"classifier": matrix(r, 3, 3), "means": matrix(r, 3, 3)},
            weight=1,
        ),
        e(of(g.cosine_matrix, "matrix"), lambda r: {"matrix": matrix(r)}, weight=1),
        e(
            of(g.centred, "matrix"),
            lambda r: {"matrix": (m := matrix(r)), "weights": np.ones(m.shape[1])},
            lambda f, g: "",
            1,
        ),
        # losses and gauges
        e(
            _loss_values,
            lambda r: {
                "loss": any_loss(r),
                "logits": square(r) if r.random() < 0.2 else generator(r).normal(size=(3, 3)),
                "targets": np.eye(3),
            },
            lambda f, g: "",
            1,
        ),
        e(
            own_loss,
            lambda r: {
                "value": r.choice(["right", "concave", "numpy", "vector", "complex", "nan"]),
                "convex": True,
                "infimum": 0.0,
            },
            lambda f, g: "",
            0.5,
        ),
        e(
            of(dual(gamma2_norm, lambda x: gamma2_polar(x).value), "y", "gradient"),
            lambda r: {"y": generator(r).normal(size=(3, 3)), "gradient": generator(r).normal(size=(3, 3))},
            at_most_one,
            0.5,
        ),
        e(
            of(dual(lambda y: nonnegative_gauge(y).value, lambda x: nonnegative_polar(x).value), "y", "gradient"),
            lambda r: {"y": generator(r).normal(size=(3, 3)), "gradient": generator(r).normal(size=(3, 3))},
            at_most_one,
            0.5,
        ),
        # labels
        e(
            ufm.ClassPrior,
            lambda r: {"counts": counts(r)},
            lambda f, g: "" if abs(f.probabilities.sum() - 1) < 1e-12 else "shares",
            2,
        ),
        e(ufm.ClassPrior.step, lambda r: {**sizes(r), "ratio": size(r, 0, 3)}, lambda f, g: "", 1),
        e(
            ufm.ClassPrior.long_tailed,
            lambda r: {"num_classes": r.randint(2, 9), "ratio": size(r, 0, 3)},
            lambda f, g: "",
            1,
        ),
        e(
            ufm.Labels,
            lambda r: {"targets": generator(r).random((3, 4)), "counts": counts(r, 4, 4)},
            lambda f, g: "",
            2,
        ),
        e(
            ufm.Labels.multi_label,
            lambda r: {"num_classes": 4, "sets": [(0,), (1, 2)], "counts": [5, 2]},
            lambda f, g: "",
            2,
        ),
        # real networks
        e(deq.train_problem, training_of, trained, 0.4),
        e(
            deq.TrainingConfig,
            lambda r: {
                "minority_count": 3,
                "majority_count": 6,
                "rho": 0.5,
                "tol": 1e-9,
                "dim": 12,
                "seed": 1,
                "width": 20,
                "gamma": 0.5,
                "max_iterations": 9,
            },
            lambda f, g: "",
            2,
        ),
        e(
            deq.ExperimentConfig,
            lambda r: {
                "width": 4,
                "num_majority": 3,
                "ratio": 2.0,
                "epochs": 3,
                "pool": 2,
                "batch_size": 8,
                "majority_count": 50,
            },
            lambda f, g: "",
            2,
        ),
        e(layer, layer_of, equilibrium, 4),
        e(
            contraction,
            lambda r: {
                "dim": r.randint(1, 4),
                "rho": r.choice([0.0, 0.5, 5e-324, 1 - 2**-53]),
                "start": r.choice(["identity", "zero"]),
                "parametrisation": r.choice(["cayley", "normalised"]),
            },
            contracts,
            2,
        ),
        e(of(digits, "counts"), lambda r: {"counts": [3, 2], "seed": seeded(r)}, lambda f, g: "", 1),
        e(
            of(load_dataset, "name"),
            lambda r: {
                "name": "digits",
                "split": r.choice(["all", "train"]),
                "counts": [3, 2],
                "classes": r.choice([None, "shuffled", [1, 2]]),
                "seed": seeded(r),
            },
            lambda f, g: "",
            1,
        ),
        # the testing kit, claims, the command line
        e(asserted(testing.assert_etf), lambda r: {"matrix": an_etf(r), "tol": 1e-8}, true, 1),
        e(asserted(testing.assert_optimal), lambda r: {"solution": solution_of(r)}, true, 0.5),
        e(asserted(testing.assert_feasible), lambda r: {"solution": solution_of(r), "tol": 1e-8}, true, 0.5),
        e(
            asserted(testing.assert_well_posed),
            lambda r: {"matrix": np.eye(3) * 0.5, "rho": 0.6, "tol": 1e-9},
            true,
            0.5,
        ),
        e(testing.log_uniform, lambda r: {"low": 0.1, "high": 2.0}, lambda f, g: "", 0.5),
        e(
            testing.priors,
            lambda r: {"min_classes": 2, "max_classes": 4, "max_groups": 2, "max_ratio": 9.0},
            lambda f, g: "",
            0.5,
        ),
        e(
            testing.architectures,
            lambda r: {"families": ["LayerPeeled"], "min_size": 0.1, "max_size": 2.0, "max_rho": 0.5},
            lambda f, g: "",
            0.5,
        ),
        e(claimed, claim_of, lambda f, g: "", 0.5),
        e(ufm.Evidence, evidence_of, lambda f, g: "", 1),
        e(ordered, commanded, lambda f, g: "", 3),
    ]


# -- the newest ones --------------------------------------------------------------------------------------------------


def sharp_loss(rng: random.Random) -> Any:
    """A loss with numbers of its own, alike for all classes."""
    weighted = ufm.CrossEntropy(smoothing=rng.choice([0.0, 0.2]))
    return rng.choice(["ce", "mse", "bce", weighted, ufm.SquaredHinge(size(rng, -0.5, 0.5))])


def any_batch_of(rng: random.Random) -> dict[str, Any]:
    return batch_of(rng) | {"loss": rng.choice(["bce", ufm.CrossEntropy(smoothing=rng.choice([0.1, 0.4])), "hinge"])}


def hinge_batch_of(rng: random.Random) -> dict[str, Any]:
    given = any_batch_of(rng)
    return given | ({"loss": ufm.SquaredHinge(size(rng, -0.5, 0.5))} if given["loss"] == "hinge" else {})


def array_of(rng: random.Random) -> dict[str, Any]:
    """Thresholds over arrays: of the architecture's numbers, the loss' or the count that is held fixed."""
    given = threshold_of(rng)
    model = given["architecture"]
    names = sorted(n for n, v in model.parameters.items() if isinstance(v, float) and v > 0)
    name = rng.choice([*names, "num_minority", *(n for n in given if n.endswith(("_samples", "_count")))])
    value = given.get(name) or model.parameters.get(name)
    if name.endswith(("_samples", "_count")):
        del given[name]
    over = {name: [value, 2] if name == "num_minority" else [value, value * 0.9]}
    return given | {"over": over}


def elementwise(found: Any, given: dict[str, Any]) -> str:
    """Every entry of an array of thresholds is the threshold itself, and its slopes are."""
    rest = {n: v for n, v in given.items() if n not in ("architecture", "over")}
    ((name, values),) = given["over"].items()
    for at, value in enumerate(values):
        model, more = given["architecture"], dict(rest)
        if name in model.parameters:
            model = type(model)(**(dict(model.parameters) | {name: value}))
        else:
            more[name] = value
        alone = quiet(ufm.collapse_threshold, model, **more)
        if found.ratio[at] != alone.ratio:
            return f"{found.ratio!r} at {at}, {alone!r} alone"
    return ""


def slack_of(rng: random.Random) -> dict[str, Any]:
    """Thresholds where the gauge is no function of singular values, small enough to be solved."""
    tiny = {"num_majority": rng.randint(1, 2), "num_minority": 2}
    e = {n: size(rng, -1, 0) for n in ("E_W", "E_H")}
    models = [
        (ufm.LayerPeeled(**e, features="nonnegative"), {}),
        (ufm.UnconstrainedFeatures(0.02, size(rng, -2, -1), features="nonnegative"), {"minority_count": 4.0}),
        (ufm.NormBounded(size(rng, -0.5, 0.2), 1.0), {}),
    ]
    model, held_ = rng.choice(models)
    loss, bias = rng.choice([("ce", None), ("ce", None), ("mse", None), ("ce", "free"), ("bce", None)])
    return {"architecture": model, **tiny, "loss": loss, "bias": bias, **held_}


def slack_crossed(found: Any, given: dict[str, Any]) -> str:
    """The minority's margin is 0 a little above R* and not a little below, and the first slope is a difference."""
    if not found.lower <= found.ratio <= found.upper:
        return f"a threshold outside of its bracket: {found!r}"
    if not 1.05 < found.ratio < 1e3:
        return ""
    k_a, k_b, n_b = given["num_majority"], given["num_minority"], given.get("minority_count", 1.0)
    sizes_ = []
    for ratio in (found.ratio / 1.03, found.ratio * 1.03):
        labels = ufm.ClassPrior([ratio * n_b] * k_a + [n_b] * k_b)
        s = quiet(ufm.solve, given["architecture"], labels, given["loss"], bias=given["bias"])
        sizes_.append(float(s.logits[-1, -1] - s.logits[-2, -1]) / (1e-12 + float(np.abs(s.logits).max())))
    return "" if sizes_[0] > 1e-4 > abs(sizes_[1]) else f"{found!r}: s_B relative to the logits {sizes_!r} beside it"


def slopes(**given: Any) -> Any:
    """Threshold and its slopes by everything."""
    found = ufm.collapse_threshold(**given)
    return found, (found.derivative if 1 < found.ratio < math.inf else {})


def finite_slopes(found: Any, given: dict[str, Any]) -> str:
    threshold, by = found
    values = [x for slope in by.values() for x in np.ravel(slope)]
    return "" if np.isfinite(values).all() else f"slopes {by!r} of {threshold!r}"


def contrastive_of(rng: random.Random) -> dict[str, Any]:
    return {
        "num_majority": rng.randint(1, 3),
        "num_minority": rng.randint(2, 3),
        "ratio": rng.choice([1, 3, "7/2", 40.5, 10**4]),
        "beta": rng.choice([1, "1/2", 2.5, 0.1]),
        "statement": rng.choice(["value", "collapse"]),
    }


def contrastive(found: Any, given: dict[str, Any]) -> str:
    """Accepted; and no random unit vectors are below the value."""
    if wrong := accepted(found, given):
        return wrong
    if given["statement"] != "value":
        return ""
    m, n, r, b = (given[x] for x in ("num_majority", "num_minority", "ratio", "beta"))
    r, b = float(Fraction(r)), float(Fraction(b))
    pi = np.array([r] * m + [1.0] * n)
    pi /= pi.sum()
    vectors = np.random.default_rng(0).normal(size=(200, m + n, m + n))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    grams = vectors.transpose(0, 2, 1) @ vectors
    values = np.log(np.exp(b * (grams - 1)) @ pi) @ pi
    least = float(values.min())
    return "" if least >= found.lower - 1e-12 else f"unit vectors of {least!r}, below {found.lower!r}"


def residual_etf_of(rng: random.Random) -> dict[str, Any]:
    network = ufm.Residual(size(rng, -1.5, -0.7), 0.1, lambda_A=size(rng, 0, 2), depth=rng.choice([1, 4, math.inf]))
    return {"network": network, "num_classes": rng.randint(3, 5), "num_samples": rng.choice([1, 2])}


def residual_code_of(rng: random.Random) -> dict[str, Any]:
    network = ufm.Residual(0.05, 0.05, lambda_A=size(rng, -2, 0), depth=rng.choice([2, 4, math.inf]))
    pairs = np.kron(np.eye(2), [[1.0, -1.0], [-1.0, 1.0]])
    return {"network": network, "logits": rng.uniform(1, 6) * pairs, "num_samples": rng.choice([1, 3])}


def within(found: Any, given: dict[str, Any]) -> str:
    """The optimum itself lies in the ranges around it."""
    z = given["problem"].logits
    groups = [list(g.classes) for g in given["problem"].problem.prior.groups]
    for (a, b), span in found.margins.items():
        other = next(j for j in groups[b] if j != groups[a][0])
        at = float(z[groups[a][0], groups[a][0]] - z[other, groups[a][0]])
        room = 1e-6 * (1 + abs(at))
        if not span.lower - room <= at <= span.upper + room:
            return f"margin {at!r} of groups {a}, {b} outside of {span!r}"
    return ""


def newest() -> list[Entry]:
    """Those that are younger than the first rounds of calls."""
    e = Entry
    return [
        e(ufm.solve_batch, hinge_batch_of, batched, 4),
        e(ufm.threshold_array, array_of, elementwise, 4),
        e(ufm.collapse_threshold, slack_of, slack_crossed, 2),
        e(slopes, threshold_of, finite_slopes, 3),
        e(slopes, lambda r: {**threshold_of(r), "loss": sharp_loss(r), "bias": any_bias(r)}, finite_slopes, 2),
        e(certificates.certify_contrastive, contrastive_of, contrastive, 3),
        e(certificates.certify_residual_etf, residual_etf_of, accepted, 1),
        e(certificates.certify_residual_code, residual_code_of, accepted, 2),
        e(
            of(ufm.geometry_bounds, "problem"),
            lambda r: {"problem": solution_of(r), "gap": r.choice([0.0, 1e-6, 1e-3, 0.1])},
            within,
            2,
        ),
    ]


def decayed_of(rng: random.Random) -> dict[str, Any]:
    k_a, k_b = [rng.randint(1, 4), 2], rng.randint(2, 4)
    held = {rng.choice(["num_samples", "majority_count", "minority_count"]): size(rng, 0, 2)}
    decay_ = {"lambda_W": [size(rng, -3, 0), 0.01], "lambda_H": size(rng, -3, 0), "rho": rng.choice([0.0, 0.5])}
    return {"num_majority": k_a, "num_minority": k_b, **decay_, **held}


def decayed(found: Any, given: dict[str, Any]) -> str:
    """Every entry is the threshold that is found alone."""
    held = {n: v for n, v in given.items() if n.endswith(("_samples", "_count"))}
    for at, (k_a, decay_) in enumerate(zip(given["num_majority"], given["lambda_W"], strict=True)):
        network = ufm.PenalisedDEQ(decay_, given["lambda_H"], given["rho"])
        alone = quiet(ufm.collapse_threshold, network, k_a, given["num_minority"], **held).ratio
        if not abs(found[at] - alone) <= 1e-12 * alone:
            return f"{found!r} at {at}, {alone!r} alone"
    return ""


def batches() -> list[Entry]:
    """Those that came after the newest; again a list of their own."""
    return [Entry(penalised_threshold_batch, decayed_of, decayed, 1)]


# -- odd arguments ----------------------------------------------------------------------------------------------------


def odd(rng: random.Random, name: str, value: Any) -> Any:
    """Something else in the place of an argument's value."""
    if rng.random() < 0.15:
        return rng.choice(NONSENSE)
    if isinstance(value, bool | str) or value is None:
        return rng.choice([*NONSENSE, *WILD, "no-such"])
    if isinstance(value, int):
        return rng.choice([0, -1, float(value), value + 0.5, np.int64(value), str(value), *WILD])
    if isinstance(value, float):
        return rng.choice(
            [-value, value * 10 ** rng.uniform(-20, 20), np.float32(value), np.array(value), str(value), *WILD]
        )
    if isinstance(value, list | tuple | np.ndarray):
        return odd_array(rng, value)
    if isinstance(value, Mapping):
        key = rng.choice(list(value)) if value else "no_such"
        return dict(value) | {key: rng.choice([*NONSENSE, *WILD])}
    if name == "architecture":
        return rng.choice([nonconvex(rng), coned(rng), "LayerPeeled", type(value), None, odd_model(rng, value)])
    return rng.choice([type(value), "no-such", None, 3, [value], *NONSENSE])


def odd_model(rng: random.Random, value: Any) -> Any:
    """Another architecture of the class, with sizes that nobody means."""
    try:
        fields = {n: v for n, v in vars(value).items() if isinstance(v, float)}
        name = rng.choice(sorted(fields))
        return type(value)(**{n: v for n, v in vars(value).items() if not n.startswith("_")} | {name: rng.choice(WILD)})
    except (TypeError, ValueError, IndexError):
        return 3


def odd_array(rng: random.Random, value: Any) -> Any:
    kinds: list[Callable[[Any], Any]] = [
        lambda x: x.astype(complex),
        lambda x: x.astype(object),
        lambda x: x.astype(str),
        lambda x: x.astype(bool),
        lambda x: x[..., :-1],
        lambda x: x[None],
        lambda x: x * 1e200,
        lambda x: x * 1e-200,
        lambda x: x * 0,
        lambda x: -x,
        lambda x: np.ma.masked_array(x, mask=x == x.flat[0]),
        lambda x: np.where(x == x.flat[0], rng.choice([np.nan, np.inf, -np.inf]), x),
        lambda x: x.T,
        lambda x: x.tolist(),
        lambda x: list(x.ravel()),
        lambda x: x + 0.5,
    ]
    try:
        return rng.choice(kinds)(np.asarray(value))
    except (TypeError, ValueError, IndexError):
        return "no-such"


def named(message: str, given: Mapping[str, Any]) -> bool:
    """Whether a message names one of the arguments."""
    words = "|".join(rf"{re.escape(name)}|{ALSO.get(name, re.escape(name))}" for name in given)
    return re.search(rf"(?<!\w)({words})(?!\w)", message, flags=re.DOTALL) is not None
