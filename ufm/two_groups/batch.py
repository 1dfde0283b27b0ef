"""``solve_batch``: two-group problems by the million, on NumPy arrays or torch tensors (a GPU's too)."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ufm._validation import as_array, integer
from ufm.losses import Loss, closed_form
from ufm.two_groups import arrays as core

__all__ = ["PHASES", "BatchSolution", "solve_batch"]

#: Names of the phases by their code in :attr:`BatchSolution.phase`.
PHASES = ("none", "partial", "total")

#: Points solved together: on a CPU what stays in its cache, on a GPU what occupies it.
CHUNK_CPU, CHUNK_GPU = 1 << 15, 1 << 22

#: Relative duality gap that warns, and the absolute one that float64 leaves: the risk can underflow, under MSE be 0.
GAP_TOLERANCE, FLOOR = 1e-9, {"ce": 1e-290, "mse": 1e-15}

#: Smallest multiplier of weight decay over the minority's probability, and inverse of the largest.
_SMALLEST = 1e-250


@dataclass(frozen=True, eq=False)
class BatchSolution:
    """Optima of two-group problems: arrays of one common shape, NumPy or torch like the arguments.

    Attributes:
        value: optimal risk (budgets) or objective (weight decay) at feasible logits.
        lower: lower bound of the optimal value from weak duality, in floating point.
        multiplier: mu; for weight decay the strength.
        s_A, s_B: scale of either group's standard representation, 0 for a collapsed group and for a single class.
        d_A, d_B: how far a group stands out of the other, ``d_A = t_AA - t_BA``, ``d_B = t_BB - t_AB``: logits are
            ``Z_ij = s_a [i=j] + t_ab`` for i in group a, j in group b.
        phase: 0, 1, 2 (int8) for ``PHASES = ("none", "partial", "total")``.
    """

    value: Any
    lower: Any
    multiplier: Any
    s_A: Any
    s_B: Any
    d_A: Any
    d_B: Any
    phase: Any

    @property
    def gap(self) -> Any:
        """``value - lower``, never negative."""
        return self.value - self.lower

    @property
    def shape(self) -> tuple[int, ...]:
        """Common shape of the arrays."""
        return tuple(self.value.shape)


def solve_batch(
    num_majority: Any,
    num_minority: Any,
    ratio: Any = None,
    *,
    E_W: Any = None,
    E_H: Any = None,
    lambda_W: Any = None,
    lambda_H: Any = None,
    rho: Any = 0.0,
    majority_count: Any = None,
    minority_count: Any = None,
    loss: str | Loss = "ce",
    chunk_size: int | None = None,
    workers: int | None = None,
) -> BatchSolution:
    """Solve two-group problems to global optimality at every point of broadcast arrays.

    The layer-peeled model and the linear DEQ (``E_W``, ``E_H``) or unconstrained features and the penalised DEQ
    (``lambda_W``, ``lambda_H``); the explicit networks are ``rho = 0``. Values agree with :func:`ufm.solve` to about
    1e-12 relative. See ``ufm.two_groups.arrays`` for the method: one scalar equation a point.

    Args:
        num_majority, num_minority: K_A, K_B >= 1.
        ratio: R = n_A/n_B >= 1; or give ``majority_count`` and ``minority_count``.
        E_W, E_H: budgets > 0; both or neither.
        lambda_W, lambda_H: weight decays > 0; both or neither.
        rho: spectral bound in [0, 1).
        majority_count: n_A >= n_B.
        minority_count: n_B > 0 (default 1), which sets the scale for weight decay.
        loss: ``"ce"`` or ``"mse"``.
        chunk_size: points solved together; bounds the memory beyond the result's.
        workers: threads for NumPy arrays (default: the cores this process may use). Torch brings its own.

    Returns:
        Arrays in the broadcast shape of the arguments. If one of them is a torch tensor, all work happens in torch in
        float64 on its device, and the results are tensors there.

    Raises:
        TypeError: an argument that is not numeric, or tensors on different devices.
        ValueError: a value out of range (the message names argument, value and place), shapes that do not broadcast, or
            a choice of arguments that fits no architecture.

    Source: theory section 3; Fang et al. 2021.
    """
    given = {
        "num_majority": num_majority,
        "num_minority": num_minority,
        "ratio": ratio,
        "E_W": E_W,
        "E_H": E_H,
        "lambda_W": lambda_W,
        "lambda_H": lambda_H,
        "rho": rho,
        "majority_count": majority_count,
        "minority_count": minority_count,
    }
    given = {name: value for name, value in given.items() if value is not None}
    name = closed_form(loss, where="in batches")
    _check_choice(given)
    xp, arrays = _arrays({"minority_count": 1.0} | given)
    if "majority_count" in arrays:
        arrays["ratio"] = arrays["majority_count"] / arrays["minority_count"]
        check_values("majority_count / minority_count", arrays["ratio"], xp, rule="ratio")
    shape = _broadcast_shape(arrays)
    on_gpu = xp is not np and next(iter(arrays.values())).device.type == "cuda"
    size = math.prod(shape)
    chunk = (CHUNK_GPU if on_gpu else CHUNK_CPU) if chunk_size is None else integer("chunk_size", chunk_size, minimum=1)
    threads = _cores() if workers is None else integer("workers", workers, minimum=1)
    out = _empty(xp, arrays["rho"], shape)

    def solve_range(start: int) -> int:
        stop = min(start + chunk, size)
        part = {key: _flat(xp, value, shape, start, stop) for key, value in arrays.items()}
        found = _solve(xp, part, stop - start, name)
        for f in fields(found):
            getattr(out, f.name).reshape(-1)[start:stop] = getattr(found, f.name)
        return int((~(found.gap <= GAP_TOLERANCE * found.value + FLOOR[name])).sum())

    starts = range(0, size, chunk)
    if xp is np and threads > 1 and len(starts) > 1:
        with ThreadPoolExecutor(min(threads, len(starts))) as pool:
            open_gaps = sum(pool.map(solve_range, starts))
    else:
        open_gaps = sum(map(solve_range, starts))
    if open_gaps:
        warnings.warn(
            f"{open_gaps} of {size} points have a relative duality gap above {GAP_TOLERANCE:g}: "
            "their values are upper bounds, not proven optima",
            RuntimeWarning,
            stacklevel=2,
        )
    return out


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_choice(given: dict[str, Any]) -> None:
    """Raise ValueError unless the arguments describe one architecture and one prior."""
    budgets, decays = {"E_W", "E_H"} & given.keys(), {"lambda_W", "lambda_H"} & given.keys()
    if (len(budgets), len(decays)) not in {(2, 0), (0, 2)}:
        named = ", ".join(sorted(budgets | decays)) or "none of them"
        raise ValueError(f"either E_W and E_H or lambda_W and lambda_H must be given, got {named}")
    if ("ratio" in given) == ("majority_count" in given):
        got = "both" if "ratio" in given else "neither"
        raise ValueError(f"exactly one of ratio and majority_count must be given, got {got}")


def _arrays(given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The namespace, NumPy or torch, and the arguments as its float64 arrays, checked."""
    torch: Any = sys.modules.get("torch")  # a tensor among the arguments means that it has been imported
    tensors = {} if torch is None else {key: v for key, v in given.items() if isinstance(v, torch.Tensor)}
    xp: Any = torch if tensors else np
    devices = {str(value.device) for value in tensors.values()}
    if len(devices) > 1:
        raise TypeError(f"tensors must be on one device, got {', '.join(sorted(devices))}")
    arrays = {}
    for key, value in given.items():
        array: Any = value if key in tensors else as_array(key, value)
        real = array.dtype != torch.bool and not array.is_complex() if key in tensors else array.dtype.kind in "iuf"
        if not real:
            raise TypeError(f"{key} must be real numbers, got {array.dtype}")
        if tensors:
            array = array if key in tensors else torch.from_numpy(array.astype(np.float64))
            arrays[key] = array.detach().to(next(iter(tensors.values())).device, torch.float64)
        else:
            arrays[key] = array.astype(np.float64)
        check_values(key, arrays[key], xp)
    return xp, arrays


def check_values(name: str, value: Any, xp: Any = np, rule: str | None = None) -> None:
    """Raise ValueError naming ``name`` and the first element out of range for the argument ``rule``, by default it."""
    rule = rule or name
    good = xp.isfinite(value)
    if rule in ("num_majority", "num_minority"):
        good, allowed = good & (value >= 1) & (value == xp.floor(value)), "an integer >= 1"
    elif rule == "ratio":
        good, allowed = good & (value >= 1), "finite and >= 1"
    elif rule == "rho":
        good, allowed = good & (value >= 0) & (value < 1), "in [0, 1)"
    else:
        good, allowed = good & (value > 0), "finite and > 0"
    if bool(good.all()):
        return
    index = tuple(int(axis[0]) for axis in xp.where(~good)) if value.ndim else ()
    place = f"[{', '.join(map(str, index))}]" if index else ""
    raise ValueError(f"{name}{place} must be {allowed}, got {float(value[index])!r}")


def _broadcast_shape(arrays: dict[str, Any]) -> tuple[int, ...]:
    shapes = {name: tuple(value.shape) for name, value in arrays.items()}
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        raise ValueError(f"arguments must broadcast to one shape, got {listed}") from None


def _empty(xp: Any, like: Any, shape: tuple[int, ...]) -> BatchSolution:
    names = [f.name for f in fields(BatchSolution)]
    if xp is np:
        return BatchSolution(*(np.empty(shape, np.int8 if name == "phase" else np.float64) for name in names))
    return BatchSolution(*(like.new_empty(shape, dtype=xp.int8 if name == "phase" else None) for name in names))


def _flat(xp: Any, value: Any, shape: tuple[int, ...], start: int, stop: int) -> Any:
    """Elements start..stop of ``value`` broadcast to ``shape`` in C order, without building all of it."""
    if value.ndim == 0 or math.prod(value.shape) == 1:
        return value.reshape(())
    if tuple(value.shape) == shape:
        return value.reshape(-1)[start:stop]
    flat = xp.arange(start, stop) if xp is np else xp.arange(start, stop, device=value.device)
    return xp.broadcast_to(value, shape)[tuple(_unravel(flat, shape))]


def _unravel(flat: Any, shape: tuple[int, ...]) -> Iterator[Any]:
    size = math.prod(shape)
    for n in shape:
        size //= n
        yield flat // size % n


def _solve(xp: Any, given: dict[str, Any], size: int, loss: str) -> BatchSolution:
    """Solve flat points."""
    with np.errstate(all="ignore"):  # overflow and division by zero on the branches that xp.where leaves out
        ones = np.ones(size) if xp is np else given["rho"].new_ones(size)
        k_a, k_b, ratio, shrink = given["num_majority"], given["num_minority"], given["ratio"], 1 - given["rho"]
        points = core.Points(k_a, k_b, xp.log(ratio) * ones)
        strength = None
        if "E_W" in given:
            points.radius = (k_a + k_b) * xp.sqrt(given["E_W"]) * xp.sqrt(given["E_H"]) / shrink * ones
        else:
            strength = shrink * xp.sqrt(given["lambda_W"]) * xp.sqrt(given["lambda_H"])
            points.beta_b = strength * xp.sqrt(given["minority_count"]) * (k_a * ratio + k_b) * ones
            if not bool(((points.beta_b > _SMALLEST) & (points.beta_b < 1 / _SMALLEST)).all()):
                raise ValueError(
                    "lambda_W and lambda_H must leave strength sqrt(n_B) N/n_B, the multiplier over the minority's "
                    f"probability, between {_SMALLEST:g} and {1 / _SMALLEST:g}: beyond, float64 underflows"
                )
        if loss == "ce":
            logits = core.constrained(xp, points) if strength is None else core.penalised(xp, points)
            found = core.bounds(xp, points, logits)
        else:
            logits = core.mean_squared_error(xp, points)
            found = core.mean_squared_bounds(xp, points, logits)
        multiplier = found.norm if strength is None else strength * ones
        # a single class has no scale of its own: all of it goes to d
        single_a, single_b = k_a < 2, k_b < 2
        return BatchSolution(
            found.value,
            found.lower,
            multiplier,
            xp.where(single_a, 0.0, logits.s_a),
            xp.where(single_b, 0.0, logits.s_b),
            xp.where(single_a, logits.s_a + logits.d_a, logits.d_a),
            xp.where(single_b, logits.s_b + logits.d_b, logits.d_b),
            logits.phase,
        )
