"""Random odd calls of everything public: each ends in a right answer, a true warning, or an error that names arguments.

A family and a seed give one call: ``wild`` draws whole problems of numbers that nobody means, ``entries`` calls every
public function as it should be or with an argument made odd (:mod:`odd_entries`), ``kinds`` with an argument in another
dress (:mod:`odd_kinds`). As a script, it makes many calls and
reports what is wrong with them::

    python tests/helpers/odd_calls.py --family entries --start 0 --count 1000

Counted in two rounds, ten seconds of processor time a call. First: ``wild``, seeds 0 to 9999, 2,929 answers, 242
warnings, 6,814 refusals, 15 faults; ``entries``, seeds 0 to 3999 and 5000 to 8999, 3,993 answers, 59 warnings, 3,905
refusals, 43 faults. Then, those mended: ``wild``, seeds 20000 to 24999, 1,451 answers, 119 warnings, 3,426 refusals, 4
faults; ``entries``, seeds 20000 to 24999, 2,495 answers, 28 warnings, 2,472 refusals, 5 faults; ``kinds``, seeds 0 to
4599 and 5000 to 11999, 2,861 answers, 18 warnings, 8,714 refusals, 7 faults: 21,600 calls.
All were mended since, the slow ones among them: one slow call hid a wrong answer, a threshold where budgets were idle
at every R (wild 22453); others were tilts without a minimum, a bias that costs 5e-324, logits scaled by 1e67, eight
descents to the last digit.
A third round, ``wild``, ``entries`` and ``kinds`` each: seeds 60000 to 62999, 3,140 answers, 101 warnings, 5,754
refusals, 5 faults, all mended; seeds 70000 to 71999, 2,085 answers, 76 warnings, 3,838 refusals, 1 fault: 10.9 s at
scales of 1e20 beside six busy processes, now 4 (wild 70281). 15,000 calls, 36,600 in all.
A fourth, ``newest``, the youngest functions by themselves: seeds 80000 to 82180, 2,181 calls, 8 faults, all mended:
errors of a size that is none of the arguments, a class in the place of its instance, numbers of classes and factors
beyond float64, a refusal of the checker that its maker passed on. In another dress, ``kinds`` among them alone, seeds
90000 to 90399: 89 answers, 311 refusals, no fault.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import odd_entries
import odd_kinds
from odd_checks import disagree, quiet, sampled_below, wrong_by_definition

import ufm
from ufm.losses import CrossEntropy, Loss
from ufm.problem import Problem
from ufm.solvers import METHODS

SECONDS = 10.0  # of processor time, for one call

#: Numbers that nobody means, beside plain ones.
WILD = (
    0.0,
    -1.0,
    5e-324,
    1e-300,
    1e-160,
    1e-20,
    1e20,
    1e160,
    1e300,
    1.7976931348623157e308,
    math.nan,
    math.inf,
    -math.inf,
)
#: What is no number at all.
NONSENSE = (None, True, "1", 1j, [1.0], (), object(), np.ma.masked, b"1")

#: What an error may name: parameters of the functions called, and words of what was given for them.
NAMES = re.compile(
    r"\b(num_\w+|ratio|E_[WHA]|lambda\w*|rho|budgets|counts?|majority_count|minority_count|loss(es)?|architecture|prior"
    r"|method|bias|dim|seed|tol|max_iter|starts?|rank|solver|targets|sets|smoothing|weights|scales|shifts|margin|gamma"
    r"|features|labels|classifier|predictions|tolerance|centre|chunk_size|workers|parameters?|tau|points|solution"
    r"|problem|gap|objective|R|K|K_A|K_B|w|h|is_convex|logits|sigma|fn|convex|infimum|depth|scale|dataset|n_B)\b"
)


class OddLoss(Loss):
    """A loss of one's own, right or wrong in one of many ways."""

    is_convex = True

    def __init__(self, kind: str) -> None:
        self.kind = kind
        if kind == "floor":
            self.floor = 10.0
        if kind == "infimum":
            self.infimum = 0.4
        if kind == "nan floor":
            self.floor = math.nan

    def __repr__(self) -> str:
        return f"OddLoss({self.kind!r})"

    def values(self, logits, targets):
        found = ((logits - targets) ** 2).sum(axis=0) / 2
        if self.kind == "tiny":
            return 1e-30 * found
        if self.kind == "nan":
            return np.where(np.abs(logits).max(axis=0) > 3, np.nan, found)
        if self.kind == "shape":
            return found.sum()
        if self.kind == "negative":
            return -found
        if self.kind == "integer":
            return found.astype(int)
        if self.kind == "concave":
            return np.sqrt(1 + found)
        return found

    def gradients(self, logits, targets):
        r = logits - targets
        if self.kind == "tiny":
            return 1e-30 * r
        if self.kind == "gradient":
            return 2 * r
        if self.kind == "concave":
            return r / (2 * np.sqrt(1 + (r**2).sum(axis=0) / 2))
        return -r if self.kind == "negative" else r


KINDS = ("right", "floor", "infimum", "nan floor", "tiny", "nan", "shape", "negative", "integer", "concave", "gradient")


@dataclass(frozen=True)
class Call:
    """One odd call: what to call and what is asked of its result."""

    text: str
    run: Callable[[], Any]


def number(rng: random.Random, low: float = -3, high: float = 2) -> Any:
    """Mostly a plain positive number, sometimes a wild one, rarely none at all."""
    dice = rng.random()
    if dice < 0.92:
        return 10 ** rng.uniform(low, high)
    if dice < 0.95:
        return 10 ** rng.uniform(-300, 300)
    if dice < 0.99:
        return rng.choice(WILD)
    return rng.choice(NONSENSE)


def share(rng: random.Random) -> Any:
    return rng.choice([0.0, 0.5, 0.9, 0.999, 1 - 2**-53]) if rng.random() < 0.95 else number(rng)


def whole(rng: random.Random, most: int = 5) -> Any:
    dice = rng.random()
    if dice < 0.94:
        return rng.randint(1, most)
    return rng.choice(
        [0, -1, 1.0, 2.5, np.int64(2), np.float32(3), True, "2", None, 10**6, 10**12, 2**53, math.nan, 1e300]
    )


def architecture(rng: random.Random) -> Any:
    n = lambda: number(rng)  # noqa: E731
    makers: list[Callable[[], Any]] = [
        lambda: ufm.LayerPeeled(n(), n()),
        lambda: ufm.LayerPeeled(n(), n()),
        lambda: ufm.UnconstrainedFeatures(n(), n()),
        lambda: ufm.UnconstrainedFeatures(n(), n()),
        lambda: ufm.LinearDEQ(n(), n(), share(rng)),
        lambda: ufm.PenalisedDEQ(n(), n(), share(rng)),
        lambda: ufm.DeepLinear((n(), n())),
        lambda: ufm.LinearDEQ(n(), n(), share(rng), E_A=n()),
        lambda: ufm.PenalisedDEQ(n(), n(), share(rng), lambda_A=n()),
        lambda: ufm.DeepLinear((n(), n(), n())),
        lambda: rng.choice(["LayerPeeled", None, ufm.LayerPeeled, 3]),
    ]
    return rng.choices(makers, weights=[6] * 7 + [1] * 3 + [0.5])[0]()


def loss(rng: random.Random, k: int, m: int) -> Any:
    n = lambda: number(rng, -1, 1)  # noqa: E731
    makers: list[Callable[[], Any]] = [
        lambda: "ce",
        lambda: "mse",
        lambda: "bce",
        lambda: ufm.SquaredHinge(n()),
        lambda: CrossEntropy(smoothing=rng.choice([0.0, 0.1, 0.999, 1 - 2**-53, n()])),
        lambda: CrossEntropy(weights=tuple(n() for _ in range(m))),
        lambda: CrossEntropy(scales=tuple(n() for _ in range(k)), shifts=tuple(n() for _ in range(k))),
        lambda: CrossEntropy(smoothing=0.2, scales=tuple(n() for _ in range(k))),
        lambda: ufm.FocalLoss(rng.choice([0, 1, 2, n()])),
        lambda: OddLoss(rng.choice(KINDS)),
        lambda: rng.choice(["hinge", None, Loss, "CE", 3]),
    ]
    return rng.choices(makers, weights=[5, 4, 3, 2, 2, 2, 2, 1, 0.4, 3, 0.3])[0]()


def labels(rng: random.Random) -> Any:
    k = rng.randint(2, 5)
    dice = rng.random()
    if dice < 0.35:
        return ufm.ClassPrior([rng.choice([1, 1, 2, 5, 100, number(rng)]) for _ in range(k)])
    if dice < 0.45:
        maker = rng.choice([ufm.ClassPrior.step, ufm.ClassPrior.long_tailed])
        return maker(*((whole(rng), whole(rng)) if maker == ufm.ClassPrior.step else (whole(rng),)), number(rng, 0, 3))
    m = rng.randint(1, 6)
    kind = rng.choice(
        ["zeros", "columns", "repeated", "soft", "real", "wild", "negative", "object", "masked", "ragged"]
    )
    random_state = np.random.default_rng(rng.randrange(2**32))
    targets: Any = (random_state.random((k, m)) < 0.4).astype(float)
    if kind == "zeros":
        targets[:, rng.randrange(m)] = 0
    elif kind == "repeated":
        targets = np.eye(k)[:, random_state.integers(0, k, size=m)]
    elif kind == "soft":
        targets = random_state.dirichlet(np.ones(k), size=m).T
    elif kind in ("real", "negative"):
        targets = random_state.normal(size=(k, m)) * 10 ** rng.uniform(-8, 4)
    elif kind == "wild":
        targets[0, 0] = rng.choice(WILD)
    elif kind == "object":
        targets = targets.astype(rng.choice([object, complex, bool, int, np.float32, str]))
    elif kind == "masked":
        targets = np.ma.masked_array(targets, mask=random_state.random((k, m)) < 0.2)
    elif kind == "ragged":
        targets = [[1, 0], [0]]
    return ufm.Labels(targets, [rng.choice([1, 2, 100, number(rng)]) for _ in range(m)])


def bias(rng: random.Random) -> Any:
    return rng.choices([None, "free", number(rng), rng.choice([0, "none", True, -1])], weights=[5, 4, 4, 0.3])[0]


def options(rng: random.Random, method: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if rng.random() < 0.15:
        found["dim"] = whole(rng)
    if rng.random() < 0.08:
        found["seed"] = whole(rng)
    if rng.random() < 0.1:
        found["tol"] = number(rng, -12, -3)
    if method in ("direct", "search"):
        found["starts"] = whole(rng, 3)
    if rng.random() < 0.05:
        found["max_iter"] = whole(rng, 50)
    return found


def solve(rng: random.Random) -> Any:
    prior = labels(rng)
    k, m = prior.num_classes, prior.num_columns
    method = rng.choices([*METHODS, "newton"], weights=[12, *[1.0] * (len(METHODS) - 1), 0.1])[0]
    if method == "sdp" and rng.random() < 0.8:
        method = "auto"
    given = architecture(rng), prior, loss(rng, k, m)
    convex = Problem.of(*given).has_nuclear_norm
    if method == "auto" and (not convex or isinstance(given[2], ufm.FocalLoss)):
        method = "search"  # what auto takes, with few starts
    chosen = options(rng, method)
    return ufm.solve(*given, method=method, bias=bias(rng), **chosen)


def counted(rng: random.Random) -> dict[str, Any]:
    """How counts vary with R, given as it should be for weight decay, or not."""
    if rng.random() < 0.5:
        return {}
    return {rng.choice(["num_samples", "majority_count", "minority_count"]): number(rng, 0, 4)}


def plain_loss(rng: random.Random) -> Any:
    return rng.choice(["ce", "ce", "mse", "bce", CrossEntropy(smoothing=0.1), OddLoss(rng.choice(KINDS)), 3])


def threshold(rng: random.Random) -> Any:
    return ufm.collapse_threshold(architecture(rng), whole(rng), whole(rng), loss=plain_loss(rng), **counted(rng))


def certified_threshold(rng: random.Random) -> Any:
    return ufm.certify_threshold(architecture(rng), whole(rng, 4), whole(rng, 4), loss=plain_loss(rng), **counted(rng))


def certified(rng: random.Random) -> Any:
    return ufm.certify(ufm.solve(architecture(rng), labels(rng), rng.choice(["ce", "mse"])))


def certified_phase(rng: random.Random) -> Any:
    return ufm.certify_phase(architecture(rng), labels(rng), plain_loss(rng))


def batch(rng: random.Random) -> Any:
    names = rng.choice([("E_W", "E_H"), ("E_W", "E_H"), ("lambda_W", "lambda_H"), ("E_W", "lambda_H")])
    given = {name: rng.choice([number(rng), [number(rng), 1.0]]) for name in names}
    if "lambda_W" in names:
        given[rng.choice(["majority_count", "minority_count"])] = number(rng, 0, 3)
    return ufm.solve_batch(whole(rng), whole(rng), number(rng, 0, 3), **given, rho=share(rng), loss=plain_loss(rng))


def diagram(rng: random.Random) -> Any:
    given = (
        {"E_W": number(rng), "E_H": number(rng)} if rng.random() < 0.7 else {"lambda_W": 0.01, "lambda_H": number(rng)}
    )
    grid = {"R": [1.0, number(rng, 0, 3)], "K_A": whole(rng), "K_B": whole(rng)}
    return ufm.phase_diagram(plain_loss(rng), **grid, **given, **counted(rng))


def loop(rng: random.Random) -> Any:
    given = ufm.PenalisedDEQ(number(rng), number(rng), share(rng), lambda_A=number(rng))
    function = rng.choice([ufm.hysteresis, ufm.trapped_threshold])
    more = {"points": whole(rng, 9)} if function is ufm.hysteresis else {}
    return function(given, whole(rng, 4), whole(rng, 4), **(counted(rng) or {"num_samples": 100}), **more)


def boundary(rng: random.Random) -> Any:
    return ufm.etf_boundary(whole(rng), number(rng), share(rng), certify=rng.random() < 0.2)


def measured(rng: random.Random) -> Any:
    random_state = np.random.default_rng(rng.randrange(2**32))
    n, d, k = rng.randint(2, 12), rng.randint(1, 4), rng.randint(1, 4)
    features: Any = random_state.normal(size=(n, d)) * rng.choice([1, 0, 1e-160, 1e160, 1e-300])
    given: Any = random_state.integers(0, k, size=n)
    odd = rng.choice(["", "", "nan", "masked", "complex", "object", "float labels", "short", "negative"])
    if odd == "nan":
        features[0, 0] = rng.choice([np.nan, np.inf])
    elif odd == "masked":
        features = np.ma.masked_array(features, mask=random_state.random((n, d)) < 0.2)
    elif odd in ("complex", "object"):
        features = features.astype(odd)
    elif odd == "float labels":
        given = given + 0.5
    elif odd == "short":
        given = given[:-1]
    elif odd == "negative":
        given = given - 1
    more: dict[str, Any] = {}
    if rng.random() < 0.4:
        more["classifier"] = random_state.normal(size=(k, rng.choice([d, d, 7])))
    if rng.random() < 0.3:
        more["num_classes"] = whole(rng)
    if rng.random() < 0.3:
        more["tolerance"] = number(rng, -6, 0)
    return ufm.measure(features, given, **more)


def bounded(rng: random.Random) -> Any:
    solution = ufm.solve(architecture(rng), labels(rng), rng.choice(["ce", "mse"]))
    return ufm.geometry_bounds(solution, number(rng, -4, 0))


#: What is called, and how often beside the others.
FUNCTIONS: dict[Callable[[random.Random], Any], float] = {
    solve: 12,
    threshold: 2,
    certified_threshold: 0.7,
    certified: 1,
    certified_phase: 0.7,
    batch: 2,
    diagram: 0.5,
    loop: 0.7,
    boundary: 0.5,
    measured: 2,
    bounded: 0.1,
}


class TooLong(BaseException):
    """A call that does not end."""


@dataclass(frozen=True)
class Drawn:
    """A call that was drawn: its name, what makes it, what is asked of its answer and of an error's message."""

    name: str
    call: Callable[[], Any]
    complaint: Callable[[Any], str]
    named: Callable[[str], bool]


def drawn_wild(seed: int) -> Drawn:
    """A whole problem of wild numbers."""
    rng = random.Random(seed)
    function = rng.choices(list(FUNCTIONS), weights=list(FUNCTIONS.values()))[0]
    return Drawn(function.__name__, lambda: function(rng), _complaint, lambda message: bool(NAMES.search(message)))


ENTRIES, NEWEST, BATCHES = odd_entries.entries(), odd_entries.newest(), odd_entries.batches()


def drawn_entry(seed: int, among: list[odd_entries.Entry] = ENTRIES) -> Drawn:
    """A public function as it should be called (half of the time), or with one or two arguments made odd."""
    rng = random.Random(seed)
    entry = rng.choices(among, weights=[e.weight for e in among])[0]
    given = quiet(entry.make, rng)
    changed = rng.sample(sorted(given), min(len(given), rng.choices([0, 1, 2], weights=[5, 4, 1])[0]))
    for name in changed:
        given[name] = odd_entries.odd(rng, name, given[name])
    name = entry.function.__name__ + ("" if not changed else f" with odd {', '.join(changed)}")

    def complaint(found: Any) -> str:
        return _complaint(found) or ("" if changed else entry.check(found, given))

    def named(message: str) -> bool:
        return odd_entries.named(message, given) or (not changed and bool(NAMES.search(message)))

    return Drawn(name, lambda: entry.function(**given), complaint, named)


def drawn_kind(seed: int) -> Drawn:
    """A public function with one argument in another dress: of the same value (then the answer is checked), or not."""
    rng = random.Random(seed)
    entry = rng.choices(ENTRIES, weights=[e.weight for e in ENTRIES])[0]
    plain = quiet(entry.make, rng)
    name = rng.choice(sorted(plain))
    worn, same = odd_kinds.dressed(rng, plain[name])
    given = plain | {name: worn}

    def complaint(found: Any) -> str:
        return _complaint(found) or (entry.check(found, plain) if same else "")

    text = f"{entry.function.__name__} with {name} of {type(worn).__name__}, {str(worn)[:60]}"
    return Drawn(text, lambda: entry.function(**given), complaint, lambda said: odd_entries.named(said, plain))


def drawn_newest(seed: int) -> Drawn:
    """Likewise of the youngest functions, by a list of their own: seeds of the other families stay what they were."""
    return drawn_entry(seed, NEWEST)


def drawn_batch(seed: int) -> Drawn:
    """And of batches that came later still."""
    return drawn_entry(seed, BATCHES)


FAMILIES: dict[str, Callable[[int], Drawn]] = {
    "wild": drawn_wild,
    "entries": drawn_entry,
    "kinds": drawn_kind,
    "newest": drawn_newest,
    "batches": drawn_batch,
}
#: Errors that are no refusals of arguments, but say in words why there is no answer.
WORDED = ("CertificationError", "BranchError", "ConvergenceError", "DivergedError")


def judge(seed: int, family: str = "wild") -> tuple[str, str]:
    """The call's outcome, ``answer``, ``warned``, ``refused`` or ``wrong``, and what is wrong with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = FAMILIES[family](seed)
    start = time.process_time()
    outcome, said = "answer", ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            said = drawn.complaint(drawn.call())
        except (ValueError, TypeError) as error:
            outcome = "refused"
            if not drawn.named(str(error)) or "unexpected keyword" in str(error):
                said = f"an error that names no argument: {type(error).__name__}: {error}"
        except TooLong:
            said = "it does not end"
        except Exception as error:
            if type(error).__name__ not in WORDED or not str(error):
                said = f"{type(error).__name__}: {error}"
            outcome = "refused"
    if not said and time.process_time() - start > SECONDS:
        said = f"it took {time.process_time() - start:.1f} s"
    if outcome == "answer" and any(not _is_numpys(w) for w in caught):
        outcome = "warned"
    return ("wrong", f"{drawn.name}: {said}") if said else (outcome, drawn.name)


def _is_numpys(warning: warnings.WarningMessage) -> bool:
    return " encountered in " in str(warning.message)


def _complaint(result: Any) -> str:
    """What is wrong with a result, in words; empty if nothing is."""
    if isinstance(result, ufm.Solution):
        return _of_solution(result)
    if isinstance(result, ufm.Certificate):
        return "" if result.check().accepted else "a certificate that its checker does not accept"
    if isinstance(result, ufm.BatchSolution):
        fields = [np.asarray(v, dtype=float) for v in vars(result).values()]
        return "" if all(np.isfinite(v).all() for v in fields) else "a batch that is not finite"
    if hasattr(result, "ratio") and hasattr(result, "lower"):
        fine = (
            result.lower <= result.ratio * (1 + 1e-12)
            and result.ratio <= result.upper * (1 + 1e-12)
            and result.ratio >= 1
        )
        return "" if fine else f"a threshold {result.ratio!r} outside of [{result.lower!r}, {result.upper!r}]"
    if isinstance(result, float):
        return "NaN" if math.isnan(result) else ""
    return ""


def _of_solution(found: ufm.Solution) -> str:
    problem = found.problem
    numbers = [found.value, found.upper, found.multiplier, *found.logits.ravel()]
    if not np.isfinite(numbers).all() or math.isnan(found.lower) or found.lower == math.inf:
        return f"a solution that is not finite: {found!r}"
    if not found.lower <= found.value <= found.upper:
        return f"bounds that do not hold the value: {found!r}"
    if found.is_global and found.value - found.lower > max(1e-4 * abs(found.value), problem.floor):
        return f"an open gap called closed: {found!r}"
    if problem.is_constrained and not problem.gauge(found.logits) <= problem.bound * (1 + 1e-8):
        return f"an infeasible optimum: {found!r}"
    size = max(abs(found.value), 1e-300)
    if not found.factors_are_own and abs(problem.objective(found.logits) - found.value) > 1e-6 * size + problem.floor:
        return f"a value that is not the objective at its logits: {found!r}"
    if not found.factors_are_own and (wrong := wrong_by_definition(found)):
        return wrong
    if wrong := sampled_below(found, np.random.default_rng(0)):
        return wrong
    if problem.is_convex and found.is_global and found.method != "nuclear" and problem.is_known and found.dim is None:
        other = quiet(ufm.solve, *_stated(problem), method="nuclear", bias=_said(problem))
        return disagree(found, other, "method 'nuclear'")
    return ""


def _stated(problem: Any) -> tuple[Any, Any, Any]:
    return problem.architecture, problem.prior, problem.loss


def _said(problem: Any) -> Any:
    return "free" if problem.bias == 0 else problem.bias


def _stop(*_: Any) -> None:
    raise TooLong


def main() -> int:
    """Make calls and report; exit status 1 where one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=1000, help="number of calls")
    parser.add_argument(
        "--patience", type=int, default=60, help="seconds of processor time after which a call is stopped"
    )
    parser.add_argument("--family", choices=FAMILIES, default="wild", help="what is drawn")
    given = parser.parse_args()
    signal.signal(signal.SIGPROF, _stop)  # of processor time: other people's work slows this down
    outcomes: Counter[str] = Counter()
    slowest: list[tuple[float, int, str]] = []
    for seed in range(given.start, given.start + given.count):
        start = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, given.patience)
        try:
            outcome, said = judge(seed, given.family)
        except TooLong:
            outcome, said = "wrong", "its making does not end"
        signal.setitimer(signal.ITIMER_PROF, 0)
        outcomes[outcome] += 1
        slowest = sorted([*slowest, (time.process_time() - start, seed, said[:40])], reverse=True)[:5]
        if outcome == "wrong":
            print(given.family, seed, said[:600], flush=True)
    print(f"{given.count} calls of {given.family} from seed {given.start}: {dict(outcomes)}; slowest:", flush=True)
    print(*(f"  {seconds:.1f} s: {seed} {said}" for seconds, seed, said in slowest), sep="\n", flush=True)
    return 1 if outcomes["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
