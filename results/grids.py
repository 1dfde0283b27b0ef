"""The paper's grid at a CPU's size: its networks, what they have in common, and its tables."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from kept import finish, trained_grid, write, write_json

from ufm.deq import Comparison, ExperimentConfig, paper_points

CONV_DEQ: dict[str, Any] = {
    "model": "conv-deq",
    "options": {"cell": "contractive", "rho": 0.9, "start": "zero", "blocks": 2},
}
ENCODER = {"model": "conv-deq", "options": {**CONV_DEQ["options"], "rho": 0.0}}
RESIDUAL_DEQ = {
    "model": "conv-deq",
    "width": 24,
    "jacobian_weight": 0.3,
    "options": {"cell": "residual", "blocks": 2},
}
#: Four channels give ResNet-18 as many features as the convolutional DEQ has, 32, and no more parameters
#: (44,540; the DEQ 56,288).
RESNET = {"model": "resnet18", "width": 4, "options": {}}
#: Two networks, and the part of the grid in which they are compared.
Pair = tuple[dict[str, dict[str, Any]], dict[str, Any]]
#: Everything of the paper's grid but model, class numbers, ratio and seed.
P4 = ExperimentConfig(
    dataset="fashion-mnist",
    width=256,
    majority_count=200,
    pool=2,
    epochs=100,
    batch_size=64,
    learning_rate=0.02,
    test_count=100,
    evaluate_every=20,
    classes="shuffled",
    device="cpu",
)

#: The same for convolutional networks.
CONV_P4 = dataclasses.replace(P4, width=32, epochs=60, learning_rate=0.05, evaluate_every=15)


def paper_grid(script: str, what: str, base: ExperimentConfig, pairs: list[Pair]) -> None:
    """Train pairs of networks over the grid or a part of it, explicit network first, and compare them."""
    folder = Path(script).parent
    text, kept = [], {}
    for arms, part in pairs:
        results = trained_grid(folder / "points.sqlite", paper_points(base, arms=arms, **part))
        comparison = Comparison(results, arms)
        explicit, deq = arms
        text += [f"## {explicit} against {deq}", "", comparison.markdown()]
        text += ["| claim | verdict | settings | criterion | numbers |", "|---|---|---|---|---|"]
        observations = [o for o in comparison.observations() if o.of]
        text += [f"| {o.id} | {o.verdict} | {o.holds} of {o.of} | {o.statement} | {o.evidence} |" for o in observations]
        text.append("")
        kept[f"{explicit} against {deq}"] = {
            "rows": comparison.rows(),
            "observations": [{**dataclasses.asdict(o), "verdict": o.verdict} for o in observations],
        }
    write_json(folder / "results.json", kept, ascii_only=False)
    write(folder / "table.md", "\n".join(text[:-1]) + "\n")
    networks = {arm: changes for arms, _ in pairs for arm, changes in arms.items()}
    finish(script, what, [0, 1, 2], {"config": base.to_dict(), "networks": networks})
