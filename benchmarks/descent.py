"""Plain stochastic-gradient descent on the unconstrained features model, as papers optimise it, against the solver."""

from __future__ import annotations

import time
from collections.abc import Iterator

import ufm
from benchmarks._timing import Row, Timing, timed

__all__ = ["descent"]


def descent(accuracies: list[float], max_steps: int, samples: int) -> Iterator[Row]:
    """Time until the objective is within a relative accuracy of the optimum.

    K = 10 classes (5 with 100 samples, 5 with 10), d = 20, weight decays 5e-3 and 1e-4 on classifier and features,
    features free for every sample, normal start; torch SGD with momentum 0.9, as Zhu et al. 2021. Of a few step sizes
    the quickest counts, without the time it takes to find it.

    Args:
        accuracies: relative accuracies, descending.
        max_steps: after which a run is given up.
        samples: seeds of the start, a run each.
    """
    prior = ufm.ClassPrior.step(5, 5, 10.0, minority_count=10.0)
    architecture = ufm.UnconstrainedFeatures(5e-3, 1e-4)

    def solve() -> ufm.Solution:
        s = ufm.solve(architecture, prior)
        _ = s.factors  # weights and features, as descent finds them
        return s

    ours, optimum = timed(solve, max(samples, 3))
    runs = [_run(architecture, prior, optimum.value, accuracies, max_steps, seed) for seed in range(samples)]
    for i, accuracy in enumerate(accuracies):
        reached = [found for run in runs if (found := run[i]) is not None]
        theirs = Timing(tuple(taken for taken, _ in reached)) if len(reached) == len(runs) else None
        if theirs:
            note = f"{max(steps for _, steps in reached):,} steps"
        else:
            note = f"not reached in {max_steps:,} steps by {len(runs) - len(reached)} of {len(runs)} starts"
        case, error = f"K = 10, to {accuracy:g}", optimum.gap / optimum.value
        yield Row("descent", case, ours, "torch SGD", theirs, error, accuracy, note, {"accuracy": accuracy})


def _run(
    architecture: ufm.UnconstrainedFeatures,
    prior: ufm.ClassPrior,
    value: float,
    accuracies: list[float],
    max_steps: int,
    seed: int,
) -> list[tuple[float, int] | None]:
    """Seconds and steps to every accuracy, at the step size that is quickest to the last one reached."""
    best: list[tuple[float, int] | None] = [None] * len(accuracies)
    for step in (10.0, 3.0, 1.0, 0.3, 0.1):
        found = _descend(architecture, prior, value, accuracies, max_steps, seed, step)
        for i, (old, new) in enumerate(zip(best, found, strict=True)):
            if new is not None and (old is None or new < old):
                best[i] = new
    return best


def _descend(
    architecture: ufm.UnconstrainedFeatures,
    prior: ufm.ClassPrior,
    value: float,
    accuracies: list[float],
    max_steps: int,
    seed: int,
    step: float,
) -> list[tuple[float, int] | None]:
    import torch

    torch.manual_seed(seed)
    counts = prior.counts.astype(int).tolist()
    k, dim = len(counts), 20
    labels = torch.repeat_interleave(torch.arange(k), torch.tensor(counts))
    w = torch.randn(k, dim, dtype=torch.float64).mul_(0.1).requires_grad_()
    h = torch.randn(sum(counts), dim, dtype=torch.float64).mul_(0.1).requires_grad_()
    optimiser = torch.optim.SGD([w, h], lr=step, momentum=0.9)
    found: list[tuple[float, int] | None] = [None] * len(accuracies)
    start = time.perf_counter()
    for steps in range(1, max_steps + 1):
        optimiser.zero_grad()
        risk = torch.nn.functional.cross_entropy(h @ w.T, labels)
        decay = architecture.lambda_W * (w**2).sum() + architecture.lambda_H * (h**2).sum()
        objective = risk + decay / 2
        objective.backward()
        optimiser.step()
        excess = float(objective.detach()) / value - 1
        if not excess < 1e6:  # diverged
            break
        for i, accuracy in enumerate(accuracies):
            if found[i] is None and excess <= accuracy:
                found[i] = (time.perf_counter() - start, steps)
        if found[-1] is not None:
            break
    return found
