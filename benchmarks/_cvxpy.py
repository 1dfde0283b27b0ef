"""The peer CVXPY: the convex problem on the K x K logits, as a user would write it, in a process with a time limit.

``python -m benchmarks._cvxpy PROBLEM SOLVER SAMPLES``, PROBLEM being JSON with ``counts`` and ``radius``, prints JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks._timing import Timing

__all__ = ["DEFAULT", "Answer", "solve"]

#: Stands for no choice of a solver: what CVXPY takes by default for such a problem.
DEFAULT = "default"


class Answer(dict[str, Any]):
    """``seconds``, ``value`` and ``solver``, or ``failure``."""

    @property
    def timing(self) -> Timing | None:
        """The samples, if it was solved."""
        return Timing(tuple(self["seconds"])) if "seconds" in self else None


def solve(counts: list[float], radius: float, solver: str, *, samples: int, limit: float) -> Answer:
    """Solve with CVXPY in a child process that is killed after ``limit`` seconds."""
    problem = json.dumps({"counts": counts, "radius": radius})
    command = [sys.executable, "-m", "benchmarks._cvxpy", problem, solver, str(samples)]
    try:
        # the child finds this package where it lies, whatever the working directory
        root = Path(__file__).parents[1]
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, cwd=root)
    except subprocess.TimeoutExpired:
        return Answer(failure=f"no answer within {limit:.0f} s")
    try:
        return Answer(json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, json.JSONDecodeError):
        return Answer(failure=f"exit status {done.returncode}")


def _main(problem: str, solver: str, samples: str) -> None:
    import cvxpy as cp
    import numpy as np

    given = json.loads(problem)
    counts = np.array(given["counts"])
    k = len(counts)

    def once() -> tuple[float, str]:
        z = cp.Variable((k, k))
        risk = (counts / counts.sum()) @ (cp.log_sum_exp(z, axis=0) - cp.diag(z))
        task = cp.Problem(cp.Minimize(risk), [cp.normNuc(z) <= given["radius"]])
        task.solve(**({} if solver == DEFAULT else {"solver": solver}))
        if task.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
            raise cp.SolverError(task.status)
        return float(task.value), str(task.solver_stats.solver_name)

    warnings.simplefilter("ignore")
    seconds = []
    try:
        for _ in range(int(samples)):
            start = time.perf_counter()
            value, name = once()
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"seconds": seconds, "value": value, "solver": name}))
    except Exception as problem_of_solver:
        print(json.dumps({"failure": f"{type(problem_of_solver).__name__}: {problem_of_solver!s:.80}"}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
