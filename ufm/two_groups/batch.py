"""``solve_batch``: two-group problems by the million, on NumPy arrays or torch tensors (a GPU's too)."""

from __future__ import annotations

import importlib
import importlib.util
import math
import mmap
import sys
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ufm._extras import optional
from ufm._threads import available_cpus
from ufm._validation import as_array, integer
from ufm.architectures.blocks import Kind
from ufm.architectures.gain import LARGEST_GAIN, Gain, inverse_gains
from ufm.losses import Loss, get_loss
from ufm.phases import PHASES
from ufm.two_groups import _arrays as core
from ufm.two_groups._arguments import LARGEST_RADIUS, MOST_CLASSES, SMALLEST_RADIUS

__all__ = ["PHASES", "BatchSolution", "check_values", "solve_batch"]

#: Points solved together: on a CPU what stays in its cache, on a GPU what occupies it.
CHUNK_CPU, CHUNK_GPU = 1 << 15, 1 << 22

#: Points that a compiled loop, which keeps nothing beyond a few hundred of them, solves in one call.
CHUNK_COMPILED = 1 << 16

#: Points from which on machine code saves more than the seconds that loading it takes.
WORTH_COMPILING = 1 << 21

#: Relative duality gap that warns, and the absolute one that float64 leaves: the risk can underflow, under MSE be 0.
GAP_TOLERANCE, FLOOR = 1e-9, {"ce": 1e-290, "mse": 1e-15}

#: Smallest multiplier of weight decay over the minority's probability, and inverse of the largest.
_SMALLEST = 1e-250

#: Largest N/n_B: the minority's probability must not underflow.
_LARGEST_MASS = 1e304

#: Risk below which float64 has no relative accuracy.
_SMALLEST_RISK = 1e-290


@dataclass(frozen=True, eq=False)
class BatchSolution:
    """Optima of two-group problems: arrays of one common shape, NumPy or torch like the arguments.

    Attributes:
        value: optimal risk (budgets) or objective (weight decay) at feasible logits.
        lower: lower bound of the optimal value from weak duality, in floating point.
        multiplier: mu, with budgets minus the derivative of the value by the radius ``g(rho) K sqrt(E_W E_H)``; for
            weight decay the strength, by which the derivative of the value is the gauge, ``(value - risk) / strength``.
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
    kind: Kind = "deq",
    depth: int | None = None,
    majority_count: Any = None,
    minority_count: Any = None,
    loss: str | Loss = "ce",
    chunk_size: int | None = None,
    workers: int | None = None,
    compiled: bool | None = None,
) -> BatchSolution:
    """Solve two-group problems to global optimality at every point of broadcast arrays.

    The layer-peeled model and the linear DEQ (``E_W``, ``E_H``) or unconstrained features and the penalised DEQ
    (``lambda_W``, ``lambda_H``); the explicit networks are ``rho = 0``. With budgets ``kind`` and ``depth`` say which
    maps the spectral bound is of, as in :class:`ufm.Gain`: the radius is ``g(rho) K sqrt(E_W E_H)``. Values agree with
    :func:`ufm.solve` to about 1e-12 relative. See :mod:`ufm.two_groups` for the method: one scalar equation a point.

    Args:
        num_majority, num_minority: K_A, K_B >= 1.
        ratio: R = n_A/n_B >= 1; or give ``majority_count`` and ``minority_count``.
        E_W, E_H: budgets > 0; both or neither.
        lambda_W, lambda_H: weight decays > 0; both or neither.
        rho: spectral bound in [0, 1); >= 0 for another kind than ``"deq"``.
        kind, depth: see :class:`ufm.Gain`; with budgets only, one for all points.
        majority_count: n_A >= n_B.
        minority_count: n_B > 0 (default 1), which sets the scale for weight decay.
        loss: ``"ce"``, ``"mse"`` or, on NumPy arrays, any convex loss that treats the classes of a group alike: your
            own, too. Without a closed form a point takes some hundred microseconds, by Newton's method on six numbers.
        chunk_size: points solved together; bounds the memory beyond the result's.
        workers: threads for NumPy arrays (default: the cores this process may use). Torch brings its own.
        compiled: whether Numba's machine code solves NumPy's points under cross-entropy, several times as fast and
            equal to 1e-13 of the value; None, where Numba is installed (the extra ``fast``) and there are at least
            ``WORTH_COMPILING`` points, as the first call of all compiles for some seconds.

    Returns:
        Arrays in the broadcast shape of the arguments. If one of them is a torch tensor, all work happens in torch in
        float64 on its device, and the results are tensors there.

    Raises:
        TypeError: an argument that is not numeric, or tensors on different devices.
        ValueError: a value out of range (the message names argument, value and place), shapes that do not broadcast, a
            choice of arguments that fits no architecture, a combination that leaves float64, another loss, or
            ``compiled`` with tensors or another loss than cross-entropy.
        MissingExtraError: ``compiled`` without Numba.

    Warns:
        RuntimeWarning: points whose duality gap stays open, or whose value underflows.

    Source: theory section 3; Fang et al. 2021.

    >>> found = solve_batch(5, 5, [2.0, 12.0, 13.0], E_W=1.0, E_H=5.0)
    >>> [PHASES[code].value for code in found.phase]
    ['none', 'none', 'partial']
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
    given = {name: value for name, value in given.items() if value is not None or name not in _OPTIONAL}
    judged = get_loss(loss)
    word = judged.closed_form.value if judged.closed_form is not None else None
    if word is None and not judged.is_convex:
        raise ValueError(
            f"loss must be convex for arrays of problems, got {judged!r}; ufm.solve(..., loss=...) takes any"
        )
    check_choice(given)
    check_kind(kind, depth, given)
    xp, arrays, ends = _arrays({"minority_count": 1.0} | given, kind)
    if "majority_count" in arrays:
        with np.errstate(over="ignore"):
            arrays["ratio"] = arrays["majority_count"] / arrays["minority_count"]
        ends["ratio"] = _extremes(arrays["ratio"])
        check_values("majority_count / minority_count", arrays["ratio"], xp, rule="ratio")
    shape = _broadcast_shape(arrays)
    on_gpu = xp is not np and next(iter(arrays.values())).device.type == "cuda"
    size = math.prod(shape)
    if word is None and xp is not np:
        raise ValueError(f"loss must be 'ce' or 'mse' on tensors, got {judged!r}: give NumPy arrays")
    fused = _is_fused(compiled, size, possible=xp is np and word == "ce")
    usual = CHUNK_GPU if on_gpu else CHUNK_COMPILED if fused else CHUNK_CPU
    chunk = usual if chunk_size is None else integer("chunk_size", chunk_size, minimum=1)
    threads = available_cpus() if workers is None else integer("workers", workers, minimum=1)

    def part(start: int) -> dict[str, Any]:
        flat = {key: _flat(xp, value, shape, start, min(start + chunk, size)) for key, value in arrays.items()}
        if xp is np:
            flat = {key: value.astype(np.float64, copy=False) for key, value in flat.items()}
        return flat | {"shrink": inverse_gains(xp, kind, depth, flat["rho"])}

    if size:
        ends["shrink"] = tuple(inverse_gains(xp, kind, depth, rho) for rho in reversed(ends["rho"]))
        if not float(ends["shrink"][0]) >= 1 / LARGEST_GAIN:
            raise ValueError(
                f"rho and depth must leave a gain of at most {LARGEST_GAIN:g}, got rho up to {float(ends['rho'][1])!r} "
                f"with kind={kind!r}, depth={depth!r}"
            )
    _check_domain(xp, ends, map(part, range(0, size, chunk)))
    out = _empty(xp, arrays["rho"], shape)

    def solve_range(start: int) -> tuple[int, int]:
        stop = min(start + chunk, size)
        place = BatchSolution(*(getattr(out, f.name).reshape(-1)[start:stop] for f in fields(out)))
        if word is None:
            return _solve_any(judged, part(start), place)
        if fused:
            left = _solve_fused(part(start), place)
            return _faults(BatchSolution(*(getattr(place, f.name)[left] for f in fields(out))), word)
        found = _solve(xp, part(start), stop - start, word)
        for f in fields(found):
            getattr(place, f.name)[:] = getattr(found, f.name)
        return _faults(found, word)

    starts = range(0, size, chunk)
    if xp is np and threads > 1 and len(starts) > 1:
        with ThreadPoolExecutor(min(threads, len(starts))) as pool:
            counts = list(pool.map(solve_range, starts))
    else:
        counts = list(map(solve_range, starts))
    open_gaps, tiny = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    if open_gaps:
        warnings.warn(
            f"{open_gaps} of {size} points have a relative duality gap above {GAP_TOLERANCE:g}: "
            "their values are upper bounds, not proven optima",
            RuntimeWarning,
            stacklevel=2,
        )
    if tiny:
        warnings.warn(
            f"{tiny} of {size} points have a value below {_SMALLEST_RISK:g}, where float64 underflows: their values, "
            "bounds and multipliers are right to that, not relative to themselves",
            RuntimeWarning,
            stacklevel=2,
        )
    return out


def _faults(found: BatchSolution, loss: str) -> tuple[int, int]:
    """How many points have an open gap, and how many a value that underflows."""
    is_open = ~(found.gap <= GAP_TOLERANCE * found.value + FLOOR[loss])
    return int(is_open.sum()), int((found.value < _SMALLEST_RISK).sum()) if loss == "ce" else 0


def _solve_any(loss: Loss, given: dict[str, Any], out: BatchSolution) -> tuple[int, int]:
    """Solve flat points under a loss without closed forms into ``out``; how many stay open, and 0."""
    from ufm.two_groups import _any_loss as general

    strength, scale = _strength_and_scale(np, given)
    names = ("num_majority", "num_minority", "ratio", "minority_count")
    limit = scale if strength is None else strength
    parts = (*(({"minority_count": 1.0} | given)[name] for name in names), limit)
    k_a, k_b, ratio, n_b, limit = (np.broadcast_to(x, out.value.shape) for x in parts)
    points = general.Points(k_a, k_b, ratio, n_b, limit, strength is None)
    found, floors = general.solve(loss, points)
    for f, value in zip(fields(out), found, strict=True):
        getattr(out, f.name)[:] = value
    return int((~(out.gap <= GAP_TOLERANCE * np.abs(out.value) + general.ROOM * floors)).sum()), 0


def _is_fused(wanted: bool | None, size: int, *, possible: bool) -> bool:
    """Whether the compiled loop solves the points."""
    if wanted is None:
        return possible and size >= WORTH_COMPILING and importlib.util.find_spec("numba") is not None
    if not wanted:
        return False
    if not possible:
        raise ValueError(
            "compiled=True is for cross-entropy on NumPy arrays; leave it out for tensors and other losses"
        )
    with optional("fast"):
        importlib.import_module("numba")
    return True


#: Arguments that may be None: the others describe every problem.
_OPTIONAL = {"ratio", "E_W", "E_H", "lambda_W", "lambda_H", "majority_count", "minority_count"}


def check_choice(given: dict[str, Any]) -> None:
    """Raise ValueError unless the arguments describe one architecture and one prior."""
    budgets, decays = {"E_W", "E_H"} & given.keys(), {"lambda_W", "lambda_H"} & given.keys()
    if (len(budgets), len(decays)) not in {(2, 0), (0, 2)}:
        named = ", ".join(sorted(budgets | decays)) or "none of them"
        raise ValueError(f"either E_W and E_H or lambda_W and lambda_H must be given, got {named}")
    if ("ratio" in given) == ("majority_count" in given):
        got = "both" if "ratio" in given else "neither"
        raise ValueError(f"exactly one of ratio and majority_count must be given, got {got}")


def check_kind(kind: Kind, depth: int | None, given: Iterable[str]) -> None:
    """Raise ValueError unless ``kind`` and ``depth`` describe maps, with budgets for all but a DEQ."""
    Gain(1.0, 1.0, 0.0, kind, depth)
    if kind != "deq" and "E_W" not in given:
        raise ValueError(f"kind must be 'deq' with weight decay, got {kind!r}: gains are of budgets, E_W and E_H")


def _arrays(given: dict[str, Any], kind: Kind) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The namespace, NumPy or torch, and the arguments as its float64 arrays, checked, and their extremes."""
    torch: Any = sys.modules.get("torch")  # a tensor among the arguments means that it has been imported
    tensors = {} if torch is None else {key: v for key, v in given.items() if isinstance(v, torch.Tensor)}
    xp: Any = torch if tensors else np
    devices = {str(value.device) for value in tensors.values()}
    if len(devices) > 1:
        raise TypeError(f"tensors must be on one device, got {', '.join(sorted(devices))}")
    arrays, ends = {}, {}
    for key, value in given.items():
        array: Any = value if key in tensors else as_array(key, value)
        real = array.dtype != torch.bool and not array.is_complex() if key in tensors else array.dtype.kind in "iuf"
        whole = key not in tensors and array.dtype.kind in "iu"
        if not real:
            raise TypeError(f"{key} must be real numbers, got {array.dtype}")
        if tensors:
            array = array if key in tensors else torch.from_numpy(array.astype(np.float64))
            arrays[key] = array.detach().to(next(iter(tensors.values())).device, torch.float64)
        else:
            arrays[key] = array  # whole numbers become float64 part by part
        ends[key] = _extremes(arrays[key])
        rule = "spectral bound" if key == "rho" and kind != "deq" else key
        if not _allowed(rule, ends[key]) or (key in _CLASSES and not (whole or _is_whole(xp, arrays[key]))):
            check_values(key, arrays[key], xp, rule)
    return xp, arrays, ends


_CLASSES = ("num_majority", "num_minority")


def _extremes(value: Any) -> tuple[Any, Any] | None:
    """Least and largest element, None where there is none; they are not numbers where one element is none."""
    return (1.0 * value.min(), 1.0 * value.max()) if math.prod(value.shape) else None


def _allowed(rule: str, ends: tuple[Any, Any] | None) -> bool:
    """Whether the extremes of an array allow all of it, which saves the arrays that a look at every element makes."""
    if ends is None:
        return True
    low, high = (float(end) for end in ends)
    if rule in ("rho", "spectral bound"):
        return low >= 0 and high < (1 if rule == "rho" else math.inf)
    if rule in _CLASSES:
        return low >= 1 and high <= MOST_CLASSES
    return (low >= 1 if rule == "ratio" else low > 0) and high < math.inf


def _is_whole(xp: Any, value: Any) -> bool:
    return bool((value == xp.floor(value)).all())


def check_values(name: str, value: Any, xp: Any = np, rule: str | None = None) -> None:
    """Raise ValueError naming ``name`` and the first element out of range for the argument ``rule``, by default it.

    >>> check_values("R", np.array([2.0, 0.5]), rule="ratio")
    Traceback (most recent call last):
    ValueError: R[1] must be finite and >= 1, got 0.5
    """
    rule = rule or name
    good = xp.isfinite(value)
    if rule in ("num_majority", "num_minority"):
        good = good & (value >= 1) & (value == xp.floor(value)) & (value <= MOST_CLASSES)
        allowed = "an integer >= 1" if bool((value <= MOST_CLASSES).all()) else "an integer from 1 to 2^53"
    elif rule == "ratio":
        good, allowed = good & (value >= 1), "finite and >= 1"
    elif rule == "rho":
        good, allowed = good & (value >= 0) & (value < 1), "in [0, 1)"
    elif rule == "spectral bound":
        good, allowed = good & (value >= 0), "finite and >= 0"
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
        numbers = iter(_float_arrays(len(names) - 1, shape))
        return BatchSolution(*(np.empty(shape, np.int8) if name == "phase" else next(numbers) for name in names))
    return BatchSolution(*(like.new_empty(shape, dtype=xp.int8 if name == "phase" else None) for name in names))


#: Bytes of a large page. A page is made when it is first written to, and small ones take longer than what is written.
_PAGE = 1 << 21


def _float_arrays(count: int, shape: tuple[int, ...]) -> list[Any]:
    """Float64 arrays with any contents, in large pages where the system has them.

    Arrays below a page share one buffer, which then lives as long as any of them.
    """
    size = math.prod(shape)
    if 8 * size >= _PAGE:
        return [_in_large_pages(size).reshape(shape) for _ in range(count)]
    if 8 * size * count >= _PAGE:
        return list(_in_large_pages(count * size).reshape(count, *shape))
    return [np.empty(shape) for _ in range(count)]


def _in_large_pages(size: int) -> Any:
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.empty(size)
    memory = mmap.mmap(-1, 8 * size + _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without large pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    start = -np.frombuffer(memory, np.uint8).ctypes.data % _PAGE
    return np.frombuffer(memory, np.float64, size, start)


def _flat(xp: Any, value: Any, shape: tuple[int, ...], start: int, stop: int) -> Any:
    """Elements start..stop of ``value`` broadcast to ``shape`` in C order, without building much more than these."""
    if value.ndim == 0 or math.prod(value.shape) == 1:
        return value.reshape(())
    if tuple(value.shape) == shape:
        return value.reshape(-1)[start:stop]
    full, width = xp.broadcast_to(value, shape), shape[-1]
    first, last = start // width, -(-stop // width)
    if width > stop - start:  # one row or two, of which parts
        lines = [full[tuple(_unravel(row, shape[:-1]))] for row in range(first, last)]
        ends = [(max(start - row * width, 0), stop - row * width) for row in range(first, last)]
        return xp.concatenate([line[low:high] for line, (low, high) in zip(lines, ends, strict=True)])
    rows = xp.arange(first, last) if xp is np else xp.arange(first, last, device=value.device)
    return full[tuple(_unravel(rows, shape[:-1]))].reshape(-1)[start - first * width : stop - first * width]


def _unravel(flat: Any, shape: tuple[int, ...]) -> Iterator[Any]:
    size = math.prod(shape)
    for n in shape:
        size //= n
        yield flat // size % n


def _scales(xp: Any, given: dict[str, Any]) -> dict[str, tuple[Any, float, float, str]]:
    """What has to stay within float64, by the arguments to blame: value, smallest, largest, and what it is."""
    k_a, k_b, shrink = given["num_majority"], given["num_minority"], given["shrink"]
    mass = k_a * given["ratio"] + k_b
    found = {"ratio": (mass, 1.0, _LARGEST_MASS, "N/n_B = K_A R + K_B")}
    if "E_W" in given:
        radius = (k_a + k_b) * xp.sqrt(given["E_W"]) * xp.sqrt(given["E_H"]) / shrink
        found["E_W and E_H"] = (
            radius,
            SMALLEST_RADIUS,
            LARGEST_RADIUS,
            "a radius g(rho) K sqrt(E_W E_H), g = 1/(1 - rho) of a DEQ,",
        )
        return found
    strength = shrink * xp.sqrt(given["lambda_W"]) * xp.sqrt(given["lambda_H"])
    decay = strength * xp.sqrt(given["minority_count"])
    fits = (strength > _SMALLEST_RISK) & (decay > _SMALLEST_RISK) & (strength < 1 / _SMALLEST_RISK)
    found["lambda_W and lambda_H"] = (
        xp.where(fits, decay * mass, 0.0),
        _SMALLEST,
        1 / _SMALLEST,
        "strength sqrt(n_B) N/n_B, the multiplier over the minority's probability,",
    )
    return found


def _check_domain(xp: Any, ends: dict[str, Any], parts: Iterator[dict[str, Any]]) -> None:
    """Raise ValueError naming the arguments whose combination leaves float64, before any work."""
    if any(pair is None for pair in ends.values()):
        return
    with np.errstate(all="ignore"):
        # all scales are monotone in every argument, a radius falls in 1/g(rho): two corners bound them, and seldom are
        # the points looked at
        low, high = ({key: pair[i] for key, pair in ends.items()} for i in (0, 1))
        if "E_W" in ends:
            low["shrink"], high["shrink"] = high["shrink"], low["shrink"]
        if _first_outside(xp, low) is None and _first_outside(xp, high) is None:
            return
        for part in parts:
            outside = _first_outside(xp, part)
            if outside is not None:
                raise ValueError(outside)


def _first_outside(xp: Any, given: dict[str, Any]) -> str | None:
    """What is wrong with the first point that leaves float64, None if there is none."""
    for names, (value, low, high, text) in _scales(xp, given).items():
        wrong = ~((value >= low) & (value <= high))
        if bool(wrong.any()):
            first = value.reshape(-1)[xp.where(wrong.reshape(-1))[0][0]] if value.ndim else value
            return f"{names} must leave {text} between {low:g} and {high:g}, the range of float64, got {float(first):g}"
    return None


def _solve(xp: Any, given: dict[str, Any], size: int, loss: str) -> BatchSolution:
    """Solve flat points."""
    with np.errstate(all="ignore"):  # overflow and division by zero on the branches that xp.where leaves out
        ones = np.ones(size) if xp is np else given["shrink"].new_ones(size)
        strength, scale = _strength_and_scale(xp, given)
        points = core.Points(given["num_majority"], given["num_minority"], xp.log(given["ratio"]) * ones)
        if strength is None:
            points.radius = scale * ones
        else:
            points.beta_b = scale * ones
        found, logits = _optima(xp, points, loss)
        multiplier = found.norm if strength is None else strength * ones
        return BatchSolution(
            found.value, found.lower, multiplier, logits.s_a, logits.s_b, logits.d_a, logits.d_b, logits.phase
        )


def _strength_and_scale(xp: Any, given: dict[str, Any]) -> tuple[Any, Any]:
    """None and the radius with budgets; the strength and ``beta_B = strength omega_B / pi_B`` with weight decay."""
    k_a, k_b, shrink = given["num_majority"], given["num_minority"], given["shrink"]
    if "E_W" in given:
        return None, (k_a + k_b) * xp.sqrt(given["E_W"]) * xp.sqrt(given["E_H"]) / shrink
    strength = shrink * xp.sqrt(given["lambda_W"]) * xp.sqrt(given["lambda_H"])
    return strength, strength * xp.sqrt(given["minority_count"]) * (k_a * given["ratio"] + k_b)


def _optima(xp: Any, points: core.Points, loss: str) -> tuple[core.Bounds, core.Optima]:
    if loss == "mse":
        logits = core.mean_squared_error(xp, points)
        return core.mean_squared_bounds(xp, points, logits), logits
    logits = core.constrained(xp, points) if points.radius is not None else core.penalised(xp, points)
    return core.bounds(xp, points, logits), logits


def _solve_fused(given: dict[str, Any], out: BatchSolution) -> Any:
    """Solve flat points under cross-entropy by the compiled loops into ``out``; which were left to the arrays."""
    from ufm.two_groups import _fused

    left = np.empty(len(out.value), np.bool_)
    names = ("E_W", "E_H", "shrink") if "E_W" in given else ("lambda_W", "lambda_H", "shrink", "minority_count")
    kernel = _fused.budgets if "E_W" in given else _fused.weight_decay
    arguments = (given[name] for name in ("num_majority", "num_minority", "ratio", *names))
    kernel(tuple(np.ascontiguousarray(np.reshape(x, -1)) for x in arguments), (*vars(out).values(), left))
    if left.any():
        rest = {key: value[left] if value.ndim else value for key, value in given.items()}
        found = _solve(np, rest, int(left.sum()), "ce")
        for f in fields(out):
            getattr(out, f.name)[left] = getattr(found, f.name)
    return left
