"""Writes ``docs/paper.md``, what reproduces of Sun and Shi 2024, from the kept results: ``python results/paper.py``."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "paper.md"

#: Grids of the paper at a CPU's size, and the balanced networks of ten times the weight decay.
GRIDS = {"p4-fashion-mnist": "dense", "p4-conv-fashion-mnist": "convolutional"}
BALANCED = "balanced-conv-fashion-mnist"
#: Training accuracy of a network that has fitted its images.
FITTED = 0.999


def load(name: str) -> Any:
    """What a folder keeps, ``FOLDER/FILE``."""
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    head = list(columns)
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def observed(claim: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(kind of network, pair, observation) of every observation of a claim on the grids."""
    return [
        (kind, pair, found)
        for folder, kind in GRIDS.items()
        for pair, kept in load(f"{folder}/results.json").items()
        for found in kept["observations"]
        if found["id"] == claim
    ]


def criterion(found: dict[str, Any]) -> str:
    """What was asked, in a few words."""
    for word, short in (
        ("smaller NC2", "nearer to the simplex ETF (NC2)"),
        ("smaller NC3", "nearer to self-duality (NC3)"),
        ("on the minority", "more accurate on the minority"),
        ("accuracy overall", "more accurate overall"),
    ):
        if word in found["statement"]:
            return short
    raise ValueError(f"no short word for {found['statement']!r}")


def by_pair(claim: str) -> str:
    """The DEQ against the explicit network, a line for every pair and criterion."""
    rows = [
        [kind, pair, criterion(found), f"{found['holds']} of {found['of']}", found["verdict"]]
        for kind, pair, found in observed(claim)
    ]
    return table(("grid", "explicit against DEQ", "the DEQ is", "settings", "verdict"), rows)


def balance() -> str:
    """P1: what falls from the first epoch to the last."""
    rows = {}
    for _, _, found in observed("P1"):
        rows[found["statement"]] = (found, "0.0005")
    for kept in load(f"{BALANCED}/results.json").values():
        for found in kept["observations"]:
            rows[found["statement"] + "x"] = (found, "0.005")
    lines = []
    for found, decay in rows.values():
        network = found["statement"].partition("in the ")[2].partition(" the training set")[0]
        numbers = found["evidence"].partition(": ")[2]
        lines.append([network, decay, numbers, f"{found['holds']} of {found['of']}", found["verdict"]])
    lines += longer()
    return table(("network", "weight decay", "from the first epoch to the last", "seeds", "verdict"), lines)


def longer() -> list[list[str]]:
    """The dense DEQ for 300 epochs, one seed, by the same criterion."""
    lines = []
    for decay in ("0.0005", "0.005"):
        text = (HERE / f"balanced-fashion-mnist/weight-decay-{decay}/metrics.jsonl").read_text(encoding="utf-8")
        records = [json.loads(line) for line in text.splitlines()]
        first, last = (records[i]["measures"] for i in (0, -1))
        names = {"NC1": "nc1", "NC2": "etf_error", "NC3": "self_duality_error"}
        numbers = ", ".join(f"{short} {first[name]:.3f} to {last[name]:.3f}" for short, name in names.items())
        fits = records[-1]["train_accuracy"]["overall"] >= FITTED
        holds = fits and all(last[name] < first[name] / 2 for name in names.values())
        verdict = "reproduced" if holds else "not reproduced"
        lines.append([f"DEQ, {records[-1]['epoch']} epochs", decay, numbers, f"{int(holds)} of 1", verdict])
    return lines


def collapse() -> str:
    """P2: the minority's classifiers close up, its accuracy falls."""
    seen: dict[tuple[str, str], str] = {}
    rows = []
    for kind, _, found in observed("P2"):
        network = found["statement"].partition("in the ")[2].partition(" the minority")[0]
        if (kind, network) not in seen:
            seen[kind, network] = found["verdict"]
            rows.append([kind, network, f"{found['holds']} of {found['of']}", found["verdict"]])
    return table(("grid", "network", "class numbers (K_A, K_B)", "verdict"), rows)


def terminal() -> str:
    """How far NC1 falls when the grid's trainings go on."""
    rows = []
    for name, kept in load("terminal-phase/trainings.json").items():
        curve = kept["curve"]
        least = min(curve, key=lambda record: record["nc1"])
        below = [record["epoch"] for record in curve if record["nc1"] < 1e-2]
        rows.append(
            [
                name,
                f"{curve[-1]['decay_time']:.2f}",
                f"{least['nc1']:.4f} (epoch {least['epoch']})",
                f"{below[0]} to {below[-1]}" if below else "never",
                f"{curve[-1]['nc1']:.4f}",
            ]
        )
    return table(("network, weight decay", "decay times", "least NC1", "epochs below 0.01", "NC1 at the end"), rows)


def _spread(values: Iterable[float], style: str = ".2f") -> str:
    found = list(values)
    low, high = (format(x, style) for x in (min(found), max(found)))
    return low if low == high else f"{low} to {high}"


def ordinary() -> str:
    """Ordinary training: the encoder's price and what is predicted from it."""
    kept = load("ordinary-training/trainings.json")
    settings: dict[str, list[dict[str, Any]]] = {}
    for key, found in kept["stationary"].items():
        fields = json.loads(key)
        del fields["seed"]
        settings.setdefault(json.dumps(fields), []).append(found)
    base = json.loads(next(iter(settings)))
    names = {"decay": "λ", "minority": "n_B", "width": "width", "hidden": "hidden layers", "dataset": "data"}
    rows = []
    for key, runs in settings.items():
        changed = {name: value for name, value in json.loads(key).items() if value != base[name]}
        label = ", ".join(f"{names[name]} {value}" for name, value in changed.items()) or "base"

        def mean(read: Any, style: str, runs: list[dict[str, Any]] = runs) -> str:
            return format(statistics.fmean(read(run) for run in runs), style)

        rows.append(
            [
                label,
                mean(lambda run: run["price"]["departure"], ".3f"),
                mean(lambda run: max(run["price"]["class_prices"]) / min(run["price"]["class_prices"]), ".1f"),
                mean(lambda run: run["price"]["within"], ".2f"),
                mean(lambda run: run["predictions"]["own"]["error"], ".0e"),
                mean(lambda run: run["predictions"]["samples"]["error"], ".2f"),
            ]
        )
    return table(
        (
            "setting",
            "P from λ_H I",
            "class prices, largest over smallest",
            "within-class share",
            "error, own kernel",
            "error, own budgets",
        ),
        rows,
    )


def over_training() -> str:
    """P over a training by SGD."""
    kept = load("ordinary-training/trainings.json")["training"]
    rows = []
    for i, first in enumerate(kept["0"]):
        runs = [kept[seed][i] for seed in kept]
        rows.append(
            [
                str(first["epoch"]),
                *(f"{statistics.fmean(run[name] for run in runs):.2f}" for name in ("identity", "departure")),
                f"{statistics.fmean(run['within'] for run in runs):.2f}",
                f"{statistics.fmean(run['error'] for run in runs):.2f}",
            ]
        )
    return table(("epoch", "identity off by", "P from λ_H I", "within-class share", "error, own kernel"), rows)


def transfers() -> str:
    """One network from the kernel of another."""
    kept = load("ordinary-training/trainings.json")["transfers"]
    names = dict.fromkeys(key.partition(" | ")[0] for key in kept)
    rows = [
        [name, f"{statistics.fmean(found['error'] for key, found in kept.items() if key.startswith(name + ' | ')):.2f}"]
        for name in names
    ]
    return table(("the kernel of a network", "error of the class-mean logits"), rows)


def exact() -> dict[str, str]:
    """Numbers of the trainings on the theory's own objective."""
    thresholds = load("thresholds/thresholds.json")
    stated = load("thresholds-stated/thresholds.json")
    problems = load("trained-problems/trainings.json")
    deq = problems["equilibria"]

    def off(found: dict[str, Any], reference: str) -> float:
        return abs(found["trained"] / found[reference] - 1)

    starts = {start: [found for key, found in deq.items() if f'"{start}"' in key] for start in ("identity", "zero")}
    away = [found for found in starts["zero"] if off(found, "predicted") > 1e-6]
    budgets = load("budgets/budgets.json")
    sgd = [abs(run["scale"]["error"]) for name, runs in budgets.items() if "SGD" in name for run in runs]
    return {
        "thresholds": f"{100 * max(abs(t['value'] / t['predicted'] - 1) for t in thresholds.values()):.2f}",
        "kinds": str(len(stated)),
        "stated": f"{100 * max(abs(t['measured']['value'] / t['predicted'] - 1) for t in stated.values()):.1f}",
        "problems": str(len(problems["problems"])),
        "agree": str(sum(found["status"] == "agrees" for found in problems["problems"].values())),
        "identity": f"{sum(off(f, 'predicted') <= 1e-6 for f in starts['identity'])} of {len(starts['identity'])}",
        "zero": f"{len(starts['zero']) - len(away)} of {len(starts['zero'])}",
        "away": str(len(away)),
        "named": str(sum(f["trap"] is not None and off(f, "trap") <= 1e-6 for f in away)),
        "sgd": f"{100 * min(sgd):.0f} to {100 * max(sgd):.0f}",
    }


def page() -> str:
    """The page."""
    said, kept = exact(), load("ordinary-training/trainings.json")
    departures = [run["price"]["departure"] for run in kept["stationary"].values()]
    return f"""# What reproduces of the paper

Sun and Shi, *Understanding Representation of Deep Equilibrium Models from Neural Collapse Perspective*, NeurIPS 2024. Its four claims, P1 to
P4, as this project states them; what is a theorem here, and under which hypotheses; what networks trained here show, at a CPU's size: Fashion-MNIST
at 14 x 14, 200 images of a majority class, three seeds, the paper's class numbers and ratios, not its images or its number of epochs. Written from
[the kept results](../results/README.md) by `python results/paper.py`.

| claim | as a theorem here | in trained networks |
|---|---|---|
| P1: balanced classes collapse to a simplex ETF | true with a bound on ‖A‖₂, false with one on ‖A‖_F alone | on the theory's objective to six digits; by SGD in the convolutional DEQ at ten times the paper's weight decay |
| P2: the minority collapses in a DEQ too | true, at a larger imbalance than without the layer | reproduced in every network |
| P3: under imbalance the DEQ is nearer to the ETF and to self-duality | neither half is true as it stands | the first half in dense networks only |
| P4: experiments bear this out | not a theorem | in part; which part hangs on the networks |

## P1: balanced classes

**The paper**: a DEQ shows neural collapse under balanced classes.
**Theorem**: for a linear equilibrium layer with ‖A‖₂ ≤ ρ < 1, unconstrained features, d ≥ K - 1 and budgets of W and H, the optimum is a
self-dual simplex ETF (`deq-balanced-etf`). With ‖A‖_F bounded alone that is false: a square beats the ETF (`deq-frobenius-counterexample`,
`etf-suboptimal-frobenius`).
**Trainings**, by SGD; asked is that the training set is fitted and NC1, NC2 and NC3 halve:

{balance()}

The convolutional DEQ gets there at ten times the paper's weight decay, 0.0005. At the paper's own what stops it is time: the grid's trainings end
after a seventh of a decay time, before NC2 and NC3 have settled. The dense one does not get there in 300 epochs at either: within-class spread goes, the
simplex does not come.

## P2: minority collapse

**The paper**: it is there in a DEQ as in explicit networks.
**Theorem**: under budgets the minority is collapsed from one imbalance R* on, and the layer moves it: R*(τ/(1 - ρ)) > R*(τ)
(`deq-threshold-larger`). Under weight decay collapse is n_B ≤ (1 - ρ)² N² λ_W λ_H (`penalised-threshold-ce`). Linear layer, ‖A‖₂ ≤ ρ, K_B ≥ 2.
**Trainings on that objective**: thresholds on three data sets within {said["thresholds"]} % of the prediction; of {said["kinds"]} kinds of problem
within {said["stated"]} %. Whether the DEQ gets there hangs on where A starts: for ρ from .5 to .95, from A = ρI {said["identity"]} trainings end at
the optimum, from A = 0 {said["zero"]}. The other {said["away"]} end in minima of lower rank, of which the theory has {said["named"]} to six digits
([table](../results/trained-problems/table.md)).
**By SGD**: the minority's classifiers close up and its test accuracy falls, from the smallest R to the largest:

{collapse()}

## P3: nearer to the ETF, nearer to self-duality

**The paper**: under imbalance and mild conditions the DEQ's features go to a simplex ETF and are dual to the classifier, the explicit network's not.
**Theorem**: a DEQ with ‖A‖₂ ≤ ρ at budgets (E_W, E_H) is the explicit model at the larger radius τ/(1 - ρ), and for a fixed R and τ → ∞ that goes
to the ETF. At finite budgets both halves fail somewhere: in total collapse both models are equally far from the ETF (`deq-etf-error-tie`), and the
DEQ can be less self-dual (`deq-self-duality-counterexample`). On a grid, outside of those regions, both hold (`deq-etf-error-smaller`,
`deq-self-duality-smaller`).
**Trainings**, by SGD, in how many imbalanced settings by more than the standard error:

{by_pair("P3")}

What stops the convolutional ones is the rest of their architecture: the DEQ's own encoder without a fixed point (the last pair) is no farther from
the ETF than the DEQ, so the fixed point does not bring it nearer, and ResNet-18, of another encoder, is nearer than both.

## P4: accuracy

**The paper**: its experiments, balanced and imbalanced, favour the DEQ.
**Theorem**: none; the theory says nothing of test images.
**Trainings**:

{by_pair("P4")}

## Terminal phase

The paper's networks at R = 10, (5, 5), trained for 400 epochs. A decay time is that in which weight decay alone shrinks a weight e-fold; the
grid's trainings have 0.14 of them.

{terminal()}

Within 400 epochs NC1 is below 0.01 in one training of three, and not for good: at ten times the decay the loss breaks out now and then and the
training begins again. At the paper's decay NC1 stands still once the learning rate has fallen.

## What ordinary training does

The theory penalises features; papers put weight decay on all weights. A network's own budgets then predict nothing: s_B is off by {said["sgd"]} %.
What an encoder charges for features is a measured N x N matrix P, `-WᵀG = H P` at a stationary point; the theory's model is P = λ_H I. At stationary
points P departs from that by {_spread(departures)}, 1 being no likeness at all, whatever is varied (means over seeds; base: digits, three
classes of 60 and three of 15, one hidden layer of 256, λ = 0.005):

{ordinary()}

So the hypotheses of P1 to P3 do not hold of ordinary training. What does hold at a stationary point: the class-mean logits are the optimum of a
convex problem in the network's own last hidden layer's kernel (the fifth column). SGD comes within a tenth of it in some hundred epochs:

{over_training()}

Another network's kernel predicts in part:

{transfers()}
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
