"""Ordinary training, weight decay on all weights: what an encoder charges, and what its last hidden layer predicts."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import json
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from kept import FINISHED_ONLY, draw, finish, markdown, write, write_json
from torch import Tensor, nn

import ufm
from ufm.bounds import geometry_bounds
from ufm.data import load_dataset
from ufm.deq import Budgets, ExplicitNetwork, predict_from_budgets
from ufm.geometry import group_scales
from ufm.networks import Output
from ufm.trainings.encoder_price import ClassKernel, EncoderPrice, class_logits, predict_from_activations
from ufm.trainings.optimisation import descend, objective

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("table.md", "trainings.json", "spectra.svg")
SEEDS = (0, 1, 2)
GROUPS, DIM = 3, 16
#: Weights at the start over those of the theory's networks, which start next to zero: here the usual size.
OUTPUT_START, CLASSIFIER_START = 30.0, 10.0
#: Singular values above this share of the largest count as the rank.
RANK = 0.02
EPOCHS = (1, 3, 10, 30, 100, 300, 1000)


@dataclass(frozen=True)
class Setting:
    """One training: three majority and three minority classes."""

    dataset: str = "digits"
    majority: int = 60
    minority: int = 15
    decay: float = 5e-3
    width: int = 256
    hidden: int = 1
    seed: int = 0

    @property
    def name(self) -> str:
        """Key in the file."""
        return json.dumps(asdict(self))


BASE = Setting()
VARIED: tuple[dict[str, Any], ...] = (
    {},
    {"decay": 1e-3},
    {"decay": 2e-2},
    {"decay": 5e-2},
    {"minority": 60},
    {"minority": 5},
    {"width": 64},
    {"width": 512},
    {"hidden": 2},
    {"dataset": "mnist1d"},
    {"dataset": "fashion-mnist"},
)


class Deep(nn.Module):
    """An explicit network with a second hidden layer before the first; its encoder counts as the rest."""

    def __init__(self, num_inputs: int, num_classes: int, width: int, seed: int) -> None:
        super().__init__()
        inner = ExplicitNetwork(width, num_classes, dim=DIM, width=width, seed=seed)
        self.encoder, self.classifier = inner.encoder, inner.classifier
        self.first = nn.Linear(num_inputs, width, dtype=torch.float64)
        generator = torch.Generator().manual_seed(seed + 1000)
        with torch.no_grad():
            shape = self.first.weight.shape
            draws = torch.randn(shape, generator=generator, dtype=torch.float64)
            self.first.weight.copy_(math.sqrt(2 / num_inputs) * draws)
            self.first.bias.zero_()
        encode, first = self.encoder.activations, self.first
        self.encoder.activations = (  # type: ignore[method-assign]
            lambda inputs: encode(torch.relu(first(inputs.flatten(1))))
        )

    def forward(self, inputs: Tensor) -> Output:
        """Forward pass on inputs (N, ...)."""
        h = self.encoder.output(self.encoder.activations(inputs))
        return Output(self.classifier(h), h, h)


def network_of(setting: Setting, num_inputs: int) -> Any:
    """At its start."""
    k = 2 * GROUPS
    if setting.hidden == 1:
        network: Any = ExplicitNetwork(num_inputs, k, dim=DIM, width=setting.width, seed=setting.seed)
    else:
        network = Deep(num_inputs, k, setting.width, setting.seed)
    with torch.no_grad():
        network.encoder.output.weight.mul_(OUTPUT_START)
        network.classifier.weight.mul_(CLASSIFIER_START)
    return network


def data_of(setting: Setting) -> tuple[Tensor, Tensor]:
    """Inputs (N, p) and labels (N,)."""
    counts = [setting.majority] * GROUPS + [setting.minority] * GROUPS
    data = load_dataset(setting.dataset, split="train", counts=counts, seed=setting.seed, dtype=np.float64)
    data = data.standardised()
    return torch.from_numpy(data.inputs.reshape(len(data.labels), -1)), torch.from_numpy(np.asarray(data.labels))


def ordinary(network: Any, inputs: Tensor, labels: Tensor, decay: float) -> Tensor:
    """``(1/N) sum CE + (decay/2) |all weights|^2``."""
    risk = nn.functional.cross_entropy(network(inputs).logits, labels.long())
    return risk + decay / 2 * sum(p.square().sum() for p in network.parameters())


def activations_of(network: Any, inputs: Tensor) -> np.ndarray:
    """Phi with a column of ones, (N, p + 1)."""
    with torch.no_grad():
        phi = network.encoder.activations(inputs).numpy()
    return np.hstack([phi, np.ones((len(phi), 1))])


def trained(setting: Setting) -> tuple[Any, Tensor, Tensor, Any]:
    """A network at a stationary point of its objective, by L-BFGS on all samples."""
    inputs, labels = data_of(setting)
    network = network_of(setting, inputs.shape[1])
    fit = descend(
        network,
        inputs,
        lambda: ordinary(network, inputs, labels, setting.decay),
        max_iterations=4000,
        gradient_tol=1e-7,
    )
    return network, inputs, labels, fit


def rank(values: np.ndarray) -> int:
    """Number of singular values that are not next to nothing."""
    return int((values > RANK * max(values[0], 1e-12)).sum())


def error(predicted: np.ndarray, measured: np.ndarray) -> float:
    """Relative, in the Frobenius norm."""
    return float(np.linalg.norm(predicted - measured) / np.linalg.norm(measured))


def spectrum(logits: np.ndarray) -> np.ndarray:
    """Singular values of class-mean logits, the last of which is 0."""
    return np.linalg.svd(logits, compute_uv=False)[:-1]


def predictions(setting: Setting, network: Any, inputs: Tensor, labels: Tensor, z: np.ndarray) -> dict[str, Any]:
    """The optimum at kernels and at budgets, beside the trained class-mean logits."""
    y, found = labels.numpy(), {}
    phi, start = activations_of(network, inputs), activations_of(network_of(setting, inputs.shape[1]), inputs)
    kernel = ClassKernel.of(phi, y)
    for name, activations in (("own", phi), ("three numbers", kernel.activations(y)), ("start", start)):
        at = predict_from_activations(activations, y, setting.decay)
        logits = at.class_logits(y)
        found[name] = {"error": error(logits, z), "gap": at.gap, "spectrum": spectrum(logits).tolist()}
    with torch.no_grad():
        features = network(inputs).features.numpy()
    spent = Budgets.of(network.classifier.weight.detach().numpy(), features, y.astype(np.int64))
    counts = [setting.majority] * GROUPS + [setting.minority] * GROUPS
    for weighting in ("samples", "classes"):
        logits = predict_from_budgets(spent, counts, GROUPS, weighting=weighting).solution.logits
        found[weighting] = {"error": error(logits, z), "spectrum": spectrum(logits).tolist()}
    found["kernel"] = asdict(kernel)
    return found


def measured(setting: Setting) -> dict[str, Any]:
    """Everything of one training."""
    network, inputs, labels, fit = trained(setting)
    torch.save(network.state_dict(), part_of(setting))
    y = labels.numpy().astype(np.int64)
    with torch.no_grad():
        output = network(inputs)
    w = network.classifier.weight.detach().numpy()
    price = asdict(EncoderPrice.of(w, output.features.numpy(), y, setting.decay))
    price["class_prices"] = price["class_prices"].tolist()
    z = class_logits(output.logits.numpy().T, y)
    return {
        "objective": fit.objective,
        "gradient": fit.gradient,
        "iterations": fit.iterations,
        "price": price,
        "spectrum": spectrum(z).tolist(),
        "predictions": predictions(setting, network, inputs, labels, z),
    }


def part_of(setting: Setting) -> Path:
    """Where the weights of a training lie while the transfers need them; not kept."""
    names = f"{setting.dataset}-{setting.minority}-{setting.decay:g}-{setting.width}-{setting.hidden}-{setting.seed}"
    return FOLDER / f".{names}.part"


def transfer(source: Setting, target: Setting) -> dict[str, Any]:
    """The target's class-mean logits, predicted from the source's last hidden layer on the target's samples."""
    inputs, labels = data_of(target)
    networks = []
    for setting in (source, target):
        network = network_of(setting, inputs.shape[1])
        network.load_state_dict(torch.load(part_of(setting), weights_only=True))
        networks.append(network)
    with torch.no_grad():
        z = class_logits(networks[1](inputs).logits.numpy().T, labels.numpy())
    at = predict_from_activations(activations_of(networks[0], inputs), labels.numpy(), target.decay)
    logits = at.class_logits(labels.numpy())
    return {"error": error(logits, z), "rank": rank(spectrum(logits)), "measured_rank": rank(spectrum(z))}


def over_training(seed: int) -> list[dict[str, Any]]:
    """Minibatch SGD with momentum on the base setting, a look at every one of the EPOCHS."""
    setting = replace(BASE, seed=seed)
    inputs, labels = data_of(setting)
    network = network_of(setting, inputs.shape[1])
    optimiser = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9, weight_decay=setting.decay)
    generator, y, rows = torch.Generator().manual_seed(seed), labels.numpy().astype(np.int64), []
    for epoch in range(1, EPOCHS[-1] + 1):
        for group in optimiser.param_groups:
            group["lr"] = 0.01 * (1 + math.cos(math.pi * (epoch - 1) / EPOCHS[-1]))
        for batch in torch.randperm(len(inputs), generator=generator).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(inputs[batch]).logits, labels[batch].long()).backward()
            optimiser.step()
        if epoch not in EPOCHS:
            continue
        with torch.no_grad():
            output = network(inputs)
            risk = float(nn.functional.cross_entropy(output.logits, labels.long()))
        w = network.classifier.weight.detach().numpy()
        v = torch.cat([network.encoder.output.weight, network.encoder.output.bias[:, None]], dim=1).detach().numpy()
        price = EncoderPrice.of(w, output.features.numpy(), y, setting.decay)
        at = predict_from_activations(activations_of(network, inputs), y, setting.decay)
        z = class_logits(output.logits.numpy().T, y)
        rows.append(
            {
                "epoch": epoch,
                "identity": price.identity,
                "departure": price.departure,
                "within": price.within,
                "excess": (risk + setting.decay / 2 * float((w**2).sum() + (v**2).sum())) / at.value - 1,
                "error": error(at.class_logits(y), z),
                "rank": rank(spectrum(z)),
            }
        )
    return rows


def penalised(seed: int) -> list[dict[str, Any]]:
    """SGD on the modelled objective, features penalised: certified ranges from the measured objective's gap."""
    setting = replace(BASE, minority=30, seed=seed)
    decay = math.sqrt(20) / 270
    inputs, labels = data_of(setting)
    network = ExplicitNetwork(inputs.shape[1], 2 * GROUPS, dim=DIM, width=setting.width, seed=seed)
    prior = ufm.ClassPrior([setting.majority] * GROUPS + [setting.minority] * GROUPS)
    optimum = ufm.solve(ufm.UnconstrainedFeatures(decay, decay), prior)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    rows = []
    for epoch in range(1, 3001):
        optimiser.zero_grad()
        loss = objective(network(inputs), labels.long(), network.classifier.weight, decay, decay)
        loss.backward()
        optimiser.step()
        if epoch in (100, 300, 1000, 3000):
            with torch.no_grad():
                output = network(inputs)
                value = float(objective(output, labels.long(), network.classifier.weight, decay, decay))
            z = class_logits(output.logits.numpy().T, labels.numpy())
            scale = group_scales(z, [group.classes for group in prior.groups])[1]
            near = geometry_bounds(optimum, objective=value).scales[1]
            rows.append(
                {
                    "steps": epoch,
                    "gap": value - optimum.value,
                    "s_B": scale,
                    "lower": near.lower,
                    "upper": near.upper,
                    "optimum": optimum.geometry.group_scales[1],
                }
            )
    return rows


def settings() -> Iterator[Setting]:
    """All stationary trainings."""
    for varied in VARIED:
        for seed in SEEDS:
            yield replace(BASE, **varied, seed=seed)


def transfers() -> Iterator[tuple[str, Setting, Setting]]:
    """What is predicted from what."""
    for seed in SEEDS:
        target, other = replace(BASE, seed=seed), replace(BASE, seed=(seed + 1) % len(SEEDS))
        yield "another seed: weights, samples and classifier", other, target
        for decay in (1e-3, 2e-2):
            yield f"trained at decay {decay:g}", replace(target, decay=decay), target
        for minority in (5, 60):
            yield f"trained at n_B = {minority}", replace(target, minority=minority), target


def main() -> None:
    """Train what is missing, and write tables and the figure."""
    torch.set_num_threads(1)
    path = FOLDER / "trainings.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def kept(part: str, key: str, of: Callable[[], Any]) -> None:
        if not FINISHED_ONLY and key not in found.setdefault(part, {}):
            found[part][key] = of()
            write_json(path, found)
            print(part, key, flush=True)

    for setting in settings():
        kept("stationary", setting.name, lambda setting=setting: measured(setting))  # type: ignore[misc]
    for what, source, target in transfers():
        key = f"{what} | {target.seed}"
        kept("transfers", key, lambda s=source, t=target: transfer(s, t))  # type: ignore[misc]
    for seed in SEEDS:
        kept("training", str(seed), lambda seed=seed: over_training(seed))  # type: ignore[misc]
        kept("penalised", str(seed), lambda seed=seed: penalised(seed))  # type: ignore[misc]
    write(
        FOLDER / "table.md", "\n\n".join([stationary(found), transferred(found), epochs(found), ranges(found)]) + "\n"
    )
    spectra(found)
    finish(__file__, __doc__ or "", list(SEEDS))
    if not FINISHED_ONLY:
        for left in FOLDER.glob(".*.part"):
            left.unlink()


def spread(values: list[float], style: str = "{:.3f}") -> str:
    """Mean and deviation over seeds."""
    return f"{style.format(statistics.fmean(values))} ± {style.format(statistics.stdev(values))}"


def rows_of(found: dict[str, Any], varied: dict[str, Any]) -> list[dict[str, Any]]:
    """The trainings of one line of the table."""
    return [found["stationary"][replace(BASE, **varied, seed=seed).name] for seed in SEEDS]


def label_of(varied: dict[str, Any]) -> str:
    """First cell of a line."""
    names = {"decay": "λ", "minority": "n_B", "width": "width", "hidden": "hidden layers", "dataset": "data"}
    return ", ".join(f"{names[key]} = {value}" for key, value in varied.items()) or "base"


#: Columns of the first table.
COLUMNS = (
    "setting",
    "identity",
    "departure of P from λ_H I",
    "largest over smallest class price",
    "within-class share",
    "identity with class means",
    "rank",
    "rank, own kernel",
    "error, own kernel",
    "error, three numbers",
    "error, kernel at the start",
    "error, budgets by samples",
    "error, budgets by classes",
)


def stationary(found: dict[str, Any]) -> str:
    """Prices and predictions at stationary points."""
    text = (
        f"Base: {BASE.dataset}, three classes of n_A = {BASE.majority} and three of n_B = {BASE.minority}, "
        f"λ = {BASE.decay:g} on all weights, one hidden layer of {BASE.width}, d = {DIM}. "
        "Errors: of class-mean logits, relative, in the Frobenius norm."
    )

    def cells(varied: dict[str, Any]) -> list[str]:
        rows = rows_of(found, varied)
        prices = [row["price"] for row in rows]
        ratio = [max(p["class_prices"]) / min(p["class_prices"]) for p in prices]
        ranks = [rank(np.array(row["spectrum"])) for row in rows]
        own = [rank(np.array(row["predictions"]["own"]["spectrum"])) for row in rows]
        return [
            label_of(varied),
            spread([p["identity"] for p in prices], "{:.1e}"),
            spread([p["departure"] for p in prices]),
            spread(ratio, "{:.1f}"),
            spread([p["within"] for p in prices]),
            spread([p["means_identity"] for p in prices]),
            ", ".join(map(str, ranks)),
            ", ".join(map(str, own)),
            *(
                spread([row["predictions"][name]["error"] for row in rows], "{:.1e}" if name == "own" else "{:.3f}")
                for name in ("own", "three numbers", "start", "samples", "classes")
            ),
        ]

    return section("At stationary points", COLUMNS, map(cells, VARIED), text)


def transferred(found: dict[str, Any]) -> str:
    """One network from another's last hidden layer."""

    def cells(name: str) -> list[str]:
        rows = [found["transfers"][f"{name} | {seed}"] for seed in SEEDS]
        ranks = ", ".join(f"{row['rank']} and {row['measured_rank']}" for row in rows)
        return [name, spread([row["error"] for row in rows]), ranks]

    names = dict.fromkeys(key.partition(" | ")[0] for key in found["transfers"])
    columns = ("the other", "error of class-mean logits", "rank, predicted and measured")
    return section("One network from the last hidden layer of another", columns, map(cells, names))


def epochs(found: dict[str, Any]) -> str:
    """Over training by SGD."""
    text = "Excess: of the trained part of the objective (risk, W and V) over its optimum at the present kernel."

    def cells(i: int) -> list[str]:
        rows = [found["training"][str(seed)][i] for seed in SEEDS]
        styles = dict.fromkeys(("identity", "departure", "within", "excess", "error"), "{:.1e}")
        styles |= dict.fromkeys(("departure", "within"), "{:.3f}")
        numbers = [spread([row[name] for row in rows], style) for name, style in styles.items()]
        return [str(EPOCHS[i]), *numbers, ", ".join(str(row["rank"]) for row in rows)]

    columns = ("epoch", "identity", "departure of P", "within-class share", "excess", "error, own kernel", "rank")
    return section("Over training, minibatch SGD", columns, map(cells, range(len(EPOCHS))), text)


def ranges(found: dict[str, Any]) -> str:
    """Certified ranges from the measured objective."""

    def cells(seed: int, row: dict[str, Any]) -> list[str]:
        low, s_b, high = row["lower"], row["s_B"], row["upper"]
        allowed, inside = f"{low:.4f} to {high:.4f}", "yes" if low <= s_b <= high else "no"
        return [
            str(row["steps"]),
            str(seed),
            f"{row['gap']:.1e}",
            f"{s_b:.4f}",
            allowed,
            f"{row['optimum']:.4f}",
            inside,
        ]

    title = "Features penalised: ranges of s_B from the measured objective"
    columns = (
        "steps",
        "seed",
        "gap of the objective",
        "s_B, measured",
        "range that the gap allows",
        "optimum",
        "inside",
    )
    return section(title, columns, (cells(seed, row) for seed in SEEDS for row in found["penalised"][str(seed)]))


def section(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], text: str = "") -> str:
    """A heading, what is to be known, and a table."""
    return "\n\n".join(part for part in (f"## {title}", text, markdown(columns, rows)) if part)


#: Predictions in the figure.
DRAWN = {"own kernel": "own", "kernel at the start": "start", "budgets by samples": "samples"}


def spectra(found: dict[str, Any]) -> None:
    """Singular values of class-mean logits: trained, and at the kernels."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "ufm"
    import matplotlib.pyplot as plt

    shown: tuple[dict[str, Any], ...] = ({"minority": 60}, {}, {"minority": 5}, {"hidden": 2})
    figure, axes = plt.subplots(1, len(shown), figsize=(11, 3.4), sharey=True, layout="constrained")
    for axis, varied in zip(axes, shown, strict=True):
        row = rows_of(found, varied)[0]
        kinds = {"trained": row["spectrum"]}
        kinds |= {name: row["predictions"][key]["spectrum"] for name, key in DRAWN.items()}
        for (name, values), style in zip(kinds.items(), ("ko-", "C0x", "C1s--", "C2^:"), strict=True):
            axis.plot(range(1, len(values) + 1), values, style, label=name, markersize=5, fillstyle="none")
        axis.set(title=label_of(varied), xlabel="index", xticks=range(1, 6))
    axes[0].set_ylabel("singular value of class-mean logits")
    axes[0].set_ylim(bottom=0)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    draw(figure, FOLDER / "spectra.svg", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
