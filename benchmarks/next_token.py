"""``python -m benchmarks.next_token``: next-token prediction of many tokens, at looser and then at closer gaps.

Targets are softmax of logits of a low rank, counts heavy-tailed, the weight decay such that the optimum has about that
rank. Each tolerance goes on from where the one before it ended. What is finished, and the gap over time, are kept in
``--out`` as they come, so that a run that is stopped has told what it knows::

    python -m benchmarks.next_token --tokens 5000 --contexts 20000 --rank 64 --out next_token.json
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ufm
from ufm._files import write_atomically

__all__ = ["main", "runs", "sample"]

Array = NDArray[np.float64]

#: Relative gaps that are asked for, one after the other.
TOLERANCES = (1e-3, 1e-4, 1e-6)


def sample(tokens: int, contexts: int, rank: int, seed: int = 0) -> tuple[ufm.Labels, float]:
    """Labels (tokens, contexts), and the strength that about ``rank`` singular values of the gradient at 0 exceed."""
    rng = np.random.default_rng(seed)
    left = 1.5 * rng.normal(size=(tokens, rank))
    right = 2 * rng.normal(size=(rank, contexts)) / np.sqrt(rank)
    z = left @ right
    z -= z.max(axis=0)
    np.exp(z, out=z)
    z /= z.sum(axis=0)
    labels = ufm.Labels(z, rng.zipf(1.8, contexts).clip(1, 1000))
    slope = (1 / tokens - z) * (labels.probabilities / np.sqrt(labels.counts))
    found = rng.normal(size=(contexts, rank + 10))
    for _ in range(4):
        left = np.linalg.qr(slope @ found)[0]
        found = np.linalg.qr(slope.T @ left)[0]
    return labels, float(np.linalg.svd(left.T @ slope, compute_uv=False)[rank - 1])


def runs(
    tokens: int,
    contexts: int,
    rank: int,
    tolerances: Sequence[float] = TOLERANCES,
    progress: Callable[[dict[str, float]], None] = lambda row: None,
) -> Iterator[dict[str, Any]]:
    """What each tolerance took, loosest first, each from where the one before it ended.

    Value, certified gap, seconds of wall and CPU in all, peak memory. ``progress`` is called with what is known
    after every round of the descents: the tolerance, seconds of wall, evaluations, value, about the relative gap.
    """
    labels, strength = sample(tokens, contexts, rank)
    architecture = ufm.UnconstrainedFeatures(strength, strength)
    wall, cpu, evaluations = time.perf_counter(), time.process_time(), 0
    start: ufm.Solution | None = None
    for tol in sorted(tolerances, reverse=True):

        def told(more: int, value: float, gap: float, tol: float = tol, before: int = evaluations) -> None:
            seconds = time.perf_counter() - wall
            progress({"tol": tol, "seconds": seconds, "evaluations": before + more, "value": value, "gap": gap / value})

        s = ufm.solve(architecture, labels, method="low_rank", dim=rank, tol=tol, start=start, report=told)
        start, evaluations = s, evaluations + int(s.info["evaluations"])
        yield {
            "tokens": tokens,
            "contexts": contexts,
            "rank": rank,
            "tol": tol,
            "value": s.value,
            "lower": s.lower,
            "relative_gap": s.gap / s.value,
            "is_global": s.is_global,
            "evaluations": evaluations,
            "wall_seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
            "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        }


def main(arguments: Sequence[str]) -> int:
    """Run the tolerances, keep each and the gap over time; exit status 0, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.next_token", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tokens", type=int, default=5000)
    parser.add_argument("--contexts", type=int, default=20000)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--tol", type=float, nargs="+", default=list(TOLERANCES))
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    kept: list[dict[str, Any]] = []
    path: list[dict[str, float]] = []

    def keep() -> None:
        write_atomically(given.out, json.dumps({"finished": kept, "progress": path}, indent=1) + "\n")

    def progress(row: dict[str, float]) -> None:
        path.append(row)
        keep()
        print(f"  {row['seconds']:.1f} s: {row['value']:.9g}, gap about {row['gap']:.2g}", flush=True)

    try:
        for row in runs(given.tokens, given.contexts, given.rank, given.tol, progress):
            kept.append(row)
            keep()
            print(
                f"tol {row['tol']:g}: {row['value']:.9g}, gap {row['relative_gap']:.2g}, "
                f"{row['cpu_seconds']:.1f} CPU s, {row['wall_seconds']:.1f} s, {row['peak_megabytes']:.0f} MB",
                flush=True,
            )
    except KeyboardInterrupt:
        print(f"interrupted: {given.out} has what is known" if path else "interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
