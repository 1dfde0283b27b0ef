"""What a GPU adds: CUDA tests, thresholds, 1e8 points, the layer beside TorchDEQ, the paper's grid, soft labels."""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
sys.path[:0] = [str(ROOT), str(FOLDER.parent)]
#: Files that this writes, as patterns.
WRITES = ("table.md", "*.json")
#: Relative differences below are none.
AGREES = 1e-7


@dataclass(frozen=True)
class Run:
    """What stages are given.

    Attributes:
        device: ``"cuda"`` or ``"cpu"``.
        rehearse: every stage small.
        data: folder with Fashion-MNIST's IDX files, or None.
        until: ``time.monotonic()`` at which the run ends.
    """

    device: str
    rehearse: bool
    data: Path | None
    until: float

    @property
    def device_name(self) -> str:
        """For the table."""
        import torch

        if self.device == "cuda":
            return str(torch.cuda.get_device_name(0))
        return "a CPU, as a rehearsal: nothing here is of a GPU"

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.until - time.monotonic()


class TimeIsUp(Exception):
    """A training is cut off: what it had found is written."""


def watched(run: Run) -> Callable[..., None]:
    """A training's ``progress`` that raises :class:`TimeIsUp` while there is still time to write."""

    def progress(*_: Any) -> None:
        if run.left < 3:
            raise TimeIsUp

    return progress


# Stages: each yields what it has so far, and stops when the time is up ------------------------------------------------


def cuda_tests(run: Run) -> Iterator[dict[str, Any]]:
    """That the device gives what the CPU does: checks of our own, and with pytest the suite's tests of CUDA.

    Rehearsed, the device is the CPU, and the suite's tests are counted.
    """
    checks: dict[str, float] = {}
    for name, check in (("layer", _layer_off), ("batch", _batch_off), ("training", _training_off)):
        checks[name] = check(run.device)
        yield {"relative_differences": checks}
    wrong = {name: off for name, off in checks.items() if not off < AGREES}
    if wrong:
        raise RuntimeError(f"the device gives something else than the CPU: {wrong}")
    files = ["tests/deq/test_use.py", "tests/trainings/test_training.py", "tests/two_groups/test_batch.py"]
    if not all(importlib.util.find_spec(name) for name in ("pytest", "hypothesis")):
        yield {"relative_differences": checks, "suite": "pytest or hypothesis is not installed"}
        return
    command = [sys.executable, "-m", "pytest", "-q", "-k", "cuda or gpu", *(files[-1:] if run.rehearse else files)]
    command += ["--collect-only"] if run.rehearse else []
    # What the checks above leave unsaid is worth no more than a quarter of the time.
    limit = max(10.0, run.left / 4)
    path = os.pathsep.join([str(ROOT), *sys.path])
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=limit, env=os.environ | {"PYTHONPATH": path}
    )
    last = done.stdout.strip().splitlines()[-3:]
    yield {"relative_differences": checks, "suite": {"status": done.returncode, "last_lines": last}}
    if done.returncode:
        raise RuntimeError(f"pytest ended with status {done.returncode}")


def _layer_off(device: str) -> float:
    """Largest relative difference of fixed points and gradients between device and CPU, float64, all solvers."""
    import torch

    from ufm.deq import DEQ

    generator = torch.Generator().manual_seed(0)
    a, h = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((8, 8), (16, 8)))
    a *= 0.9 / torch.linalg.matrix_norm(a, 2)
    worst = 0.0
    for solver in ("anderson", "broyden", "fixed_point"):
        found = []
        for place in ("cpu", device):
            weight, x = a.to(place).requires_grad_(), h.to(place)
            layer = DEQ(solver, tol=1e-12, max_steps=500, on_failure="raise")
            z, _ = layer(lambda z, w=weight, x=x: torch.tanh(z @ w.T + x), torch.zeros_like(x))
            z.square().sum().backward()
            assert weight.grad is not None
            found.append((z.detach().cpu(), weight.grad.cpu()))
        for ours, wanted in zip(found[1], found[0], strict=True):
            worst = max(worst, float((ours - wanted).norm() / wanted.norm()))
    return worst


def _batch_off(device: str) -> float:
    """Largest relative difference of the values of :func:`ufm.solve_batch` between device and NumPy."""
    import numpy as np
    import torch

    from ufm import solve_batch

    ratio = np.geomspace(1, 1e4, 2000)
    wanted = np.asarray(solve_batch(5, 5, ratio, E_W=1.0, E_H=5.0).value)
    found = solve_batch(5, 5, torch.from_numpy(ratio).to(device), E_W=1.0, E_H=5.0).value.cpu().numpy()
    return float(np.abs(found / wanted - 1).max())


def _training_off(device: str) -> float:
    """Relative difference of the objectives of a small training on the device from the prediction."""
    from ufm import ClassPrior, UnconstrainedFeatures
    from ufm.deq import train_problem

    found = train_problem(UnconstrainedFeatures(0.05, 0.05), ClassPrior([6, 6, 3, 3]), "mse", device=device)
    return abs(found.objective_error)


def thresholds(run: Run) -> Iterator[dict[str, Any]]:
    """Thresholds of an explicit network and a linear DEQ on Fashion-MNIST at 28 x 28, three seeds.

    First with 600 images of a majority class, then with 2,000 and with all 6,000 of them, while there is time.
    """
    # all features of all images: 1.2 N hidden units, at 6,000 images a class 40 million weights and 0.3 s an evaluation
    sizes = [(20, 2, 1)] if run.rehearse else [(600, 5, 3), (2000, 5, 3), (6000, 5, 3)]
    found: list[dict[str, Any]] = []
    for majority, groups, seeds in sizes:
        for point in _threshold_points(run, majority, groups, seeds):
            found.append(point)
            yield {"points": found}


def _threshold_points(run: Run, majority: int, groups: int, seeds: int) -> Iterator[dict[str, Any]]:
    from ufm.deq import TrainingConfig, train

    star = majority // 3  # n_B at the threshold
    samples = groups * (majority + star)
    for seed in range(seeds):
        for architecture, rho in (("explicit", 0.0), ("deq", 0.5)):
            for factor in (0.8, 1.25) if run.rehearse else (0.9, 0.97, 1.03, 1.1):
                if run.left < 20:
                    raise TimeIsUp
                # n_B = (1 - rho)^2 N^2 lam^2 at the threshold, where lam^2 = lambda_W lambda_H
                decay = math.sqrt(star) / samples / (1 - rho)
                config = TrainingConfig(
                    architecture=architecture,
                    dataset="fashion-mnist",
                    rho=rho,
                    num_majority=groups,
                    num_minority=groups,
                    majority_count=majority,
                    minority_count=round(star * factor),
                    lambda_W=decay,
                    lambda_H=decay,
                    dim=2 * groups,
                    seed=seed,
                    gradient_tol=1e-5 if run.rehearse else 1e-6,
                    device=run.device,
                )
                found = train(config, root=run.data, progress=watched(run))
                yield {
                    "architecture": architecture,
                    "n_A": majority,
                    "seed": seed,
                    "n_B": config.minority_count,
                    "predicted_threshold": star,
                    "s_B": found.scale,
                    "predicted_s_B": found.prediction.scale,
                    "status": str(found.status),
                    "seconds": round(found.fit.seconds, 2),
                }


def points(run: Run) -> Iterator[dict[str, Any]]:
    """1e8 two-group problems in batches on the device: points a second and the largest relative gap."""
    import torch

    from ufm import solve_batch

    size, total = (2000, 4000) if run.rehearse else (10**7, 10**8)
    generator = torch.Generator().manual_seed(0)
    done, seconds, worst = 0, 0.0, 0.0
    while done < total and run.left > 5:
        ratio = torch.exp(8 * torch.rand(size, generator=generator, dtype=torch.float64)).to(run.device)
        budget = (5 * torch.rand(size, generator=generator, dtype=torch.float64) + 0.1).to(run.device)
        begin = time.perf_counter()
        found = solve_batch(5, 5, ratio, E_W=1.0, E_H=budget)
        gap = float((found.gap / found.value).max())  # waits for the device
        seconds += time.perf_counter() - begin
        done, worst = done + size, max(worst, gap)
        yield {"points": done, "seconds": round(seconds, 3), "points_a_second": done / seconds, "largest_gap": worst}
    if done < total:
        raise TimeIsUp


def layer(run: Run) -> Iterator[dict[str, Any]]:
    """``z = tanh(A z + x)`` forward and backward, by this layer and TorchDEQ at one tolerance: medians of rounds."""
    import torch

    from ufm.deq import DEQ

    sizes = [(16, 32)] if run.rehearse else [(256, 128), (1024, 512)]
    rounds, rows = (2, []) if run.rehearse else (20, [])
    for batch, dim in sizes:
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(dim, dim, generator=generator)
        weight *= 0.9 / torch.linalg.matrix_norm(weight, 2)
        weight = weight.to(run.device).requires_grad_()
        x = torch.randn(batch, dim, generator=generator).to(run.device)

        def cell(z: Any, weight: Any = weight, x: Any = x) -> Any:
            return torch.tanh(z @ weight.T + x)

        for solver in ("anderson", "broyden", "fixed_point"):
            layers: dict[str, Any] = {"ufm": DEQ(solver, tol=1e-5, max_steps=500)}
            peer = _torchdeq(solver)
            if peer is not None:
                layers["TorchDEQ"] = peer
            times: dict[str, list[float]] = {name: [] for name in layers}
            residuals: dict[str, float] = {}
            for _ in range(rounds):
                for name, solve in layers.items():
                    begin = time.perf_counter()
                    z = solve(cell, torch.zeros_like(x))[0]
                    z = z[-1] if isinstance(z, list) else z
                    z.square().mean().backward()
                    off = (cell(z) - z).detach().norm() / z.detach().norm()
                    residuals[name] = float(off)  # waits for the device
                    times[name].append(time.perf_counter() - begin)
            medians = {name: sorted(t)[len(t) // 2] for name, t in times.items()}
            rows.append({"batch": batch, "dim": dim, "solver": solver, "seconds": medians, "residuals": residuals})
            yield {"rows": rows}
            if run.left < 10:
                raise TimeIsUp


def _torchdeq(solver: str) -> Any:
    """TorchDEQ's layer with the same solver and tolerance; None where it is not installed."""
    try:
        from torchdeq import get_deq
    except ImportError:
        return None
    name = "fixed_point_iter" if solver == "fixed_point" else solver
    options = {f"{side}_{key}": v for side in "fb" for key, v in (("solver", name), ("max_iter", 500), ("tol", 1e-5))}
    return get_deq(**options, ift=True, f_stop_mode="rel", b_stop_mode="rel")


def grid(run: Run) -> Iterator[dict[str, Any]]:
    """The paper's imbalanced grid on Fashion-MNIST at 28 x 28: ResNet-18 beside a convolutional DEQ, by SGD."""
    from ufm.deq import ExperimentConfig, run_experiment

    rows = []
    small = {"majority_count": 8, "test_count": 4, "epochs": 1, "width": 4, "batch_size": 16, "pool": 4}
    full = {"majority_count": 500, "test_count": 200, "epochs": 40}
    for ratio in (4.0,) if run.rehearse else (10.0, 100.0):
        for seed in range(1 if run.rehearse else 3):
            for model, width in (("conv-deq", 32), ("resnet18", 64)):
                if run.left < 30:
                    raise TimeIsUp
                sizes = small if run.rehearse else {**full, "width": width}
                config = ExperimentConfig(
                    dataset="fashion-mnist", model=model, ratio=ratio, seed=seed, device=run.device, **sizes
                )
                begin = time.perf_counter()
                last = run_experiment(config, root=run.data, progress=watched(run)).records[-1]
                kept = {f"test_{name}": value for name, value in last["test_accuracy"].items()}
                kept |= {name: last["measures"][name] for name in ("nc1", "etf_error", "self_duality_error")}
                seconds = round(time.perf_counter() - begin, 2)
                rows.append({"model": model, "ratio": ratio, "seed": seed, "seconds": seconds, **kept})
                yield {"rows": rows}


def soft_labels(run: Run) -> Iterator[dict[str, Any]]:
    """Next-token prediction, V tokens by m contexts at rank 64, by its factors: value, bound and seconds.

    The bound is the dual's: the mean entropy of ``t P + (1-t) T``, with ``P = softmax(Z)`` and t the most in [0, 1]
    with ``t |P - T|_2 <= m lam``. The weight decay is a third of that at which nothing is learnt.
    """
    import torch

    for tokens, contexts in [(40, 90)] if run.rehearse else [(1000, 4000), (5000, 20000)]:
        generator = torch.Generator().manual_seed(0)
        scores = torch.randn(tokens, contexts, generator=generator, dtype=torch.float64)
        targets = torch.softmax(3 * scores.to(run.device), dim=0)
        del scores
        lam = _reach(1 / tokens - targets) / 3
        shape = [(tokens, min(64, tokens)), (min(64, tokens), contexts)]
        factors = [0.01 * torch.randn(s, generator=generator, dtype=torch.float64) for s in shape]
        w, h = (x.to(run.device).requires_grad_() for x in factors)
        lbfgs = torch.optim.LBFGS(
            [w, h],
            max_iter=20,
            history_size=10,
            tolerance_grad=1e-12,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

        def closure(w: Any = w, h: Any = h, targets: Any = targets, lam: Any = lam, lbfgs: Any = lbfgs) -> Any:
            lbfgs.zero_grad()
            value = _soft_value(w, h, targets, lam)
            value.backward()
            return value

        begin, value = time.perf_counter(), math.inf
        for _ in range(5 if run.rehearse else 15):
            lbfgs.step(closure)
            with torch.no_grad():
                value = float(_soft_value(w, h, targets, lam))
                p = torch.softmax(w @ h, dim=0)
                t = min(1.0, lam / _reach(p - targets))
                q = t * p + (1 - t) * targets
                lower = float(torch.special.entr(q).sum() / contexts)
            seconds = round(time.perf_counter() - begin, 2)
            yield {
                "tokens": tokens,
                "contexts": contexts,
                "value": value,
                "lower": lower,
                "gap": (value - lower) / value,
                "seconds": seconds,
            }
            if run.left < 15:
                raise TimeIsUp


def _reach(g: Any) -> float:
    """``|G|_2 / m`` of a matrix (V, m), by all eigenvalues of ``G G^T``: a bound rests on it."""
    import torch

    return float(torch.linalg.eigvalsh(g @ g.T)[-1].clamp_min(0).sqrt()) / g.shape[1]


def _soft_value(w: Any, h: Any, targets: Any, lam: float) -> Any:
    """``(1/m) sum CE + (lam/2)(|W|^2 + |H|^2)``."""
    import torch

    z = w @ h
    risk = (torch.logsumexp(z, dim=0) - (targets * z).sum(dim=0)).mean()
    return risk + lam / 2 * (w.square().sum() + h.square().sum())


#: In order of value, with the seconds without which one is not begun.
STAGES: dict[str, tuple[Callable[[Run], Iterator[dict[str, Any]]], float]] = {
    "cuda-tests": (cuda_tests, 30.0),
    "thresholds": (thresholds, 60.0),
    "points": (points, 20.0),
    "layer": (layer, 30.0),
    "grid": (grid, 60.0),
    "soft-labels": (soft_labels, 30.0),
}
#: The part of what is left that a stage may take, so that none leaves the later ones nothing; the last takes all.
SHARES = {"cuda-tests": 0.3, "thresholds": 0.5, "points": 0.3, "layer": 0.4, "grid": 0.7}


def perform(run: Run, out: Path) -> dict[str, dict[str, Any]]:
    """Run the stages, each writing its file whenever it has something; a stage that fails leaves its error."""
    found = {}
    for name, (stage, least) in STAGES.items():
        begin, result = time.monotonic(), {"stage": name, "status": "skipped: no time left", "seconds": 0.0}
        if run.rehearse or run.left >= least:
            result["status"] = "stopped: no time left"
            try:
                for part in stage(replace(run, until=time.monotonic() + SHARES.get(name, 1.0) * run.left)):
                    result["result"] = part
                    _write(out / f"{name}.json", result | {"seconds": round(time.monotonic() - begin, 2)})
                result["status"] = "done"
            except TimeIsUp:
                pass
            except KeyboardInterrupt:
                result["status"] = "stopped: interrupted"
                _write(out / f"{name}.json", result | {"seconds": round(time.monotonic() - begin, 2)})
                raise
            except Exception as error:
                result["status"] = f"failed: {type(error).__name__}: {error}"
                traceback.print_exc()
        result["seconds"] = round(time.monotonic() - begin, 2)
        _write(out / f"{name}.json", result)
        found[name] = result
        _write(out / "table.md", table(found, run.device_name))
        print(f"{name}: {result['status']}, {result['seconds']:.1f} s, {max(0, run.left):.0f} s left", flush=True)
    return found


def table(found: dict[str, dict[str, Any]], device: str) -> str:
    """The results as Markdown."""
    lines = [f"On {device}.", "", "| stage | how it ended | seconds | what it found |", "|---|---|---|---|"]
    for name, result in found.items():
        text = json.dumps(result.get("result", {}))
        lines.append(f"| {name} | {result['status']} | {result['seconds']} | {text[:160].replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def _write(path: Path, value: Any) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(value if isinstance(value, str) else json.dumps(value, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def _import_from(data: Path) -> None:
    """Make importable what comes along: ``packages/``, and what TorchDEQ's sdist holds."""
    sys.path.append(str(data / "packages"))
    for archive in sorted(data.glob("torchdeq-*.tar.gz")):
        place = tempfile.mkdtemp(prefix="torchdeq-")
        with tarfile.open(archive) as stream:
            stream.extractall(place, filter="data")
        sys.path.extend(str(folder) for folder in Path(place).iterdir())


def main(arguments: list[str]) -> int:
    """Parse the command line and run; the exit status is 1 when a stage failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="when to end")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the results go")
    parser.add_argument(
        "--data", type=Path, help="folder of Fashion-MNIST's IDX files, and TorchDEQ's sdist or packages/"
    )
    parser.add_argument("--rehearse", action="store_true", help="every stage small, on a CPU")
    given = parser.parse_args(arguments)
    # A machine that is taken away sends SIGTERM: what there is by then is written like after Ctrl-C.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(parser, given)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(parser: argparse.ArgumentParser, given: argparse.Namespace) -> int:
    if given.data is not None:
        _import_from(given.data)
    os.environ.setdefault("OMP_NUM_THREADS", "4")
    import torch

    device = "cpu" if given.rehearse or not torch.cuda.is_available() else "cuda"
    if device == "cpu" and not given.rehearse:
        parser.error("torch finds no CUDA device; --rehearse runs every stage small on a CPU")
    given.out.mkdir(parents=True, exist_ok=True)
    run = Run(device, given.rehearse, given.data, time.monotonic() + 60 * given.minutes)
    try:
        found = perform(run, given.out)
    except KeyboardInterrupt:
        print("stopped; what was found is written", flush=True)
        return 130
    if given.out.resolve() == FOLDER.resolve():
        from kept import finish

        finish(__file__, __doc__ or "", [0, 1, 2], {"rehearsal": given.rehearse, "minutes": given.minutes})
    return int(any(result["status"].startswith("failed") for result in found.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
