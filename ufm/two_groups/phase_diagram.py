r"""Phase diagrams of two-group problems: the optimum over a grid of parameters, and its exact phase boundaries.

Boundaries are zeros of closed expressions, not edges of pixels. With the multiplier mu and beta_a = mu omega_a/pi_a,

* *collapse* of the minority (s_B = 0): ``beta_B = 1``. Budgets: ``R = R*(radius)`` on the threshold curve of
  ``ufm.two_groups.thresholds``. Weight decay: ``n_B = N^2 lam^2``.
* *total* collapse (the minority's features vanish): the trivial block of the gradient has dual norm mu where the
  trivial block of the logits is zero, ``K K_B (r_A/beta_A)^2 + (K_A/K)/beta_B^2 = 1``. Under MSE collapse is always
  total, ``R = 1/(1 - radius/K_A)`` with budgets.

Source: Fang et al. 2021 for collapse; theory section 3 for the phases.
"""

from __future__ import annotations

import itertools
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import ufm
from ufm._extras import require
from ufm._validation import as_array, one_of
from ufm.architectures.blocks import Kind
from ufm.architectures.gain import inverse_gains
from ufm.losses import Loss, closed_form
from ufm.phases import PHASES
from ufm.two_groups import _arrays as core
from ufm.two_groups.batch import check_choice, check_kind, check_values, solve_batch

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["PARAMETERS", "phase_boundaries", "phase_diagram", "plot_phase_diagram", "save_phase_diagram"]

Array = NDArray[np.float64]
Margin = Callable[[Any, Any], Array]

#: Parameters of a phase diagram and what they are.
PARAMETERS = {
    "R": "imbalance ratio $R = n_A/n_B$",
    "K_A": "majority classes $K_A$",
    "K_B": "minority classes $K_B$",
    "K": "classes $K$",
    "E_W": "classifier budget $E_W$",
    "E_H": "feature budget $E_H$",
    "rho": r"spectral bound $\rho$",
    "lambda": r"weight decay $\lambda$",
    "lambda_W": r"classifier weight decay $\lambda_W$",
    "lambda_H": r"feature weight decay $\lambda_H$",
    "n_B": "samples $n_B$ of a minority class",
}

#: Quantities of a phase diagram and what they are.
QUANTITIES = {
    "phase": "phase",
    "value": "optimal value",
    "lower": "lower bound of the optimal value",
    "multiplier": r"multiplier $\mu$",
    "s_A": "$s_A$",
    "s_B": "order parameter $s_B$",
    "d_A": "$d_A$",
    "d_B": "$d_B$",
}

_DISCRETE = ("K_A", "K_B", "K")
#: The arguments' names, as everywhere in this package, and the symbols that axes and files have.
SYMBOLS = {
    "ratio": "R",
    "num_majority": "K_A",
    "num_minority": "K_B",
    "num_classes": "K",
    "minority_count": "n_B",
    "lambda_": "lambda",
}
#: What solve_batch calls a parameter, where that differs.
_RULES = {"R": "ratio", "K_A": "num_majority", "K_B": "num_minority", "K": "num_minority"}
_COLOURS, _EDGE = ("#f4e9cd", "#77aca2", "#2f4b63"), "#b3261e"
#: Grid lines along an axis on which boundaries are looked for.
_SCAN = 201


def phase_diagram(
    loss: str | Loss = "ce",
    *,
    kind: Kind = "deq",
    depth: int | None = None,
    chunk_size: int | None = None,
    workers: int | None = None,
    **parameters: ArrayLike,
) -> xr.Dataset:
    """Solve the two-group problem on a grid of parameters.

    Every parameter is a number, which is fixed, or a one-dimensional array, which becomes an axis; axes keep the order
    in which they are given::

        ufm.phase_diagram(
            num_majority=5, num_minority=5, ratio=np.geomspace(1, 1e4, 1000), E_W=1.0, E_H=np.linspace(0.1, 5, 1000)
        )

    Args:
        loss: ``"ce"`` or ``"mse"``, or plain ``CrossEntropy()`` or ``MeanSquaredError()``.
        kind, depth: maps of :class:`ufm.Gain` that ``rho`` bounds, with budgets; by default a DEQ.
        chunk_size, workers: see :func:`ufm.solve_batch`.
        **parameters: ``ratio`` R = n_A/n_B >= 1; two of ``num_majority`` K_A, ``num_minority`` K_B and ``num_classes``
            K; either the budgets ``E_W`` and ``E_H`` or weight decay, ``lambda_W`` and ``lambda_H`` or one
            ``lambda_`` for both; ``rho`` in [0, 1), by default 0, an explicit network; ``minority_count`` n_B > 0, by
            default 1, which matters for weight decay only. The symbols ``R``, ``K_A``, ``K_B``, ``K``, ``lambda`` and
            ``n_B`` are accepted as well, and are what axes are called.

    Returns:
        A Dataset with the variables ``phase`` (0 none, 1 partial, 2 total), ``value``, ``lower``, ``multiplier``,
        ``s_A``, ``s_B``, ``d_A``, ``d_B`` (as in :class:`ufm.BatchSolution`) over the axes; every fixed parameter is a
        scalar coordinate.

    Raises:
        TypeError: an unknown parameter, one that is given twice, or one that is not numeric.
        ValueError: a parameter out of range or missing, an axis with more than one dimension or repeated values, or
            another loss.

    Source: Fang et al. 2021; theory section 3.

    >>> found = phase_diagram(num_majority=5, num_minority=5, ratio=[2, 12, 13], E_W=1.0, E_H=5.0)
    >>> found.phase.dims, found.phase.values.tolist()
    (('R',), [0, 0, 1])
    """
    require("xarray", extra="grids")
    import xarray as xr

    risk = closed_form(loss, where="for a phase diagram")
    values = _parameters(parameters, kind)
    check_kind(kind, depth, values)
    axes = [name for name, value in values.items() if value.ndim]
    grid = {
        name: value.reshape([-1 if axis == name else 1 for axis in axes]) if value.ndim else value
        for name, value in values.items()
    }
    found = solve_batch(**_arguments(grid), kind=kind, depth=depth, loss=risk, chunk_size=chunk_size, workers=workers)
    coordinates = {
        name: (
            (name,) if value.ndim else (),
            value.astype(np.int32) if name in _DISCRETE else value,
            {"long_name": PARAMETERS[name]},
        )
        for name, value in values.items()
    }
    shape = tuple(values[name].size for name in axes)
    variables: dict[str, tuple[list[str], Any, dict[str, Any]]] = {
        name: (axes, np.broadcast_to(getattr(found, name), shape), {"long_name": text})
        for name, text in QUANTITIES.items()
    }
    variables["phase"][2].update(
        {"flag_values": np.arange(len(PHASES), dtype=np.int8), "flag_meanings": " ".join(PHASES)}
    )
    maps = {} if kind == "deq" else {"kind": kind} | ({} if depth is None else {"depth": int(depth)})
    about = {"loss": risk, "source": f"ufm {ufm.__version__}, phase_diagram"} | maps
    return xr.Dataset(variables, coordinates, about)


def _parameters(given: Mapping[str, ArrayLike], kind: Kind = "deq") -> dict[str, Array]:
    """The parameters as float64 arrays of dimension 0 or 1, defaults filled in."""
    values: dict[str, Array] = {}
    for key, value in given.items():
        name = SYMBOLS.get(key, key)
        if name not in PARAMETERS:
            raise TypeError(f"parameters must be among {', '.join(PARAMETERS)} or {', '.join(SYMBOLS)}, got {key!r}")
        if name in values:
            raise TypeError(f"{name} must be given once, got {key!r} as well")
        array = as_array(name, value)
        if array.dtype.kind not in "iuf":
            raise TypeError(f"{name} must be a number or an array of numbers, got {value!r}")
        if array.ndim > 1 or not array.size:
            raise ValueError(f"{name} must be a number or a one-dimensional array, got shape {array.shape}")
        if len(np.unique(array)) < array.size:
            raise ValueError(f"{name} must not repeat values along its axis")
        values[name] = array.astype(np.float64)
        unbounded = name == "rho" and kind != "deq"
        check_values(name, values[name], rule="spectral bound" if unbounded else _RULES.get(name, name))
    if "R" not in values:
        raise ValueError("R must be given")
    classes = [name for name in _DISCRETE if name in values]
    if len(classes) != 2:
        raise ValueError(f"two of K_A, K_B and K must be given, got {', '.join(classes) or 'none'}")
    if "lambda" in values and not values.keys().isdisjoint({"lambda_W", "lambda_H"}):
        raise ValueError("lambda stands for both lambda_W and lambda_H, and must be given without them")
    if "n_B" in values and "E_W" in values:
        raise ValueError("n_B plays no role with budgets: only R matters")
    values.setdefault("rho", np.array(0.0))
    if not values.keys().isdisjoint({"lambda", "lambda_W", "lambda_H"}):
        values.setdefault("n_B", np.array(1.0))
    return values


def _arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of :func:`ufm.solve_batch` for parameters that broadcast."""
    k_a, k_b = _classes(values)
    for name, derived in (("K_A", k_a), ("K_B", k_b)):
        if name not in values and (np.asarray(derived) < 1).any():
            raise ValueError(
                f"{name} = {'K - K_B' if name == 'K_A' else 'K - K_A'} must be >= 1 everywhere on the grid"
            )
    arguments = {name: values[name] for name in ("E_W", "E_H", "lambda_W", "lambda_H", "rho") if name in values}
    if "lambda" in values:
        arguments |= {"lambda_W": values["lambda"], "lambda_H": values["lambda"]}
    if "n_B" in values:
        arguments["minority_count"] = values["n_B"]
    return arguments | {"num_majority": k_a, "num_minority": k_b, "ratio": values["R"]}


def _classes(values: Mapping[str, Any]) -> tuple[Any, Any]:
    """K_A and K_B from two of K_A, K_B and K."""
    k_a = values["K_A"] if "K_A" in values else values["K"] - values["K_B"]
    k_b = values["K_B"] if "K_B" in values else values["K"] - values["K_A"]
    return k_a, k_b


# Files --------------------------------------------------------------------------------------------------------------


def save_phase_diagram(dataset: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Write a diagram to ``path``, atomically: NetCDF for the suffix ``.nc``, Zarr for ``.zarr``.

    Read it back with ``xarray.open_dataset`` or ``xarray.open_zarr``.

    Raises:
        TypeError: ``dataset`` or ``path`` is none.
        ValueError: another suffix.
        MissingExtraError: Zarr without its package, ``pip install 'ufm[zarr]'``.

    >>> diagram = phase_diagram(num_majority=5, num_minority=5, ratio=[2, 12, 13], E_W=1.0, E_H=5.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_phase_diagram(diagram, Path(folder) / "diagram.nc").name
    'diagram.nc'
    """
    _check_dataset(dataset)
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a path, got {path!r}")
    target = Path(path)
    if target.suffix not in (".nc", ".zarr"):
        raise ValueError(f"path must end in .nc (NetCDF) or .zarr (Zarr), got {str(path)!r}")
    if target.suffix == ".zarr":
        require("zarr", extra="zarr")
    target.parent.mkdir(parents=True, exist_ok=True)
    # in a directory of its own beside the target: a rename is atomic within a file system
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as directory:
        fresh, old = Path(directory) / target.name, Path(directory) / "old"
        if target.suffix == ".nc":
            dataset.to_netcdf(fresh, engine="scipy", format="NETCDF3_64BIT")
        else:
            dataset.to_zarr(fresh, zarr_format=2, consolidated=True)
            if target.is_dir():
                os.replace(target, old)  # a directory cannot be renamed onto another
        os.replace(fresh, target)
    return target


# Boundaries ---------------------------------------------------------------------------------------------------------


def phase_boundaries(dataset: xr.Dataset) -> dict[str, list[Array]]:
    """Exact phase boundaries in the plane of a diagram's two axes.

    Args:
        dataset: a diagram with two axes longer than 1; choose a slice of a larger one with ``dataset.sel(...)``.

    Returns:
        ``{"collapse": curves, "total": curves}`` (under MSE ``"total"`` alone), every curve an array (m, 2) of points
        (first axis, second axis). Along an axis of class numbers a curve is a staircase around them.

    Raises:
        TypeError: no Dataset.
        ValueError: not two axes, or not a diagram of :func:`phase_diagram`: another loss, parameters missing or out of
            range.

    >>> diagram = phase_diagram(
    ...     num_majority=5, num_minority=5, ratio=np.geomspace(1, 100, 5), E_W=1.0, E_H=np.linspace(1, 5, 5)
    ... )
    >>> (curve,) = phase_boundaries(diagram)["collapse"]
    >>> np.round(curve.max(axis=0), 3)  # R* = 12.192 at E_H = 5
    array([12.192,  5.   ])
    """
    _check_diagram(dataset)
    first, second = _two_axes(dataset)
    fixed = {name: float(value) for name, value in dataset.coords.items() if name in PARAMETERS and value.ndim == 0}
    x, y = (np.sort(dataset[name].values.astype(np.float64)) for name in (first, second))
    maps = _maps(dataset)
    curves = {}
    for kind in ("collapse", "total") if dataset.attrs["loss"] == "ce" else ("total",):

        def margin(at_x: Any, at_y: Any, kind: str = kind) -> Array:
            values = {**fixed, first: at_x, second: at_y}
            return _margin(kind, dataset.attrs["loss"], values, inverse_gains(np, *maps, values.get("rho", 0.0)))

        if first in _DISCRETE or second in _DISCRETE:
            curves[kind] = _staircases(x, y, first in _DISCRETE, second in _DISCRETE, margin)
        else:
            curves[kind] = _contours(_refine(x, _SCAN), _refine(y, _SCAN), margin)
    return curves


def _check_dataset(dataset: Any) -> None:
    """Raise TypeError unless ``dataset`` is an xarray Dataset."""
    require("xarray", extra="grids")
    import xarray as xr

    if not isinstance(dataset, xr.Dataset):
        raise TypeError(f"dataset must be an xarray Dataset of phase_diagram, got {type(dataset).__name__}")


def _check_diagram(dataset: Any) -> None:
    """Raise unless ``dataset`` has the phases, the loss and the parameters of a diagram."""
    _check_dataset(dataset)
    if "phase" not in dataset:
        raise ValueError(f"dataset must have the variable phase of a phase diagram, got {sorted(map(str, dataset))}")
    if dataset.attrs.get("loss") not in ("ce", "mse"):
        raise ValueError(
            "dataset must have the attribute loss, 'ce' or 'mse', whose boundaries are known, "
            f"got {dataset.attrs.get('loss')!r}"
        )
    kind, depth = _maps(dataset)
    try:
        values = {str(k): v.values for k, v in dataset.coords.items() if k in PARAMETERS}
        check_choice(_arguments(_parameters(values, kind)))
        check_kind(kind, depth, values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"dataset must have the coordinates of a phase diagram: {error}") from None
    strange = [str(name) for name in dataset["phase"].dims if name not in PARAMETERS]
    if strange:
        raise ValueError(f"dataset must have axes among {', '.join(PARAMETERS)}, got {', '.join(strange)}")


def _maps(dataset: xr.Dataset) -> tuple[Kind, int | None]:
    """``kind`` and ``depth`` of a diagram; numbers of a file are NumPy's."""
    depth = dataset.attrs.get("depth")
    return dataset.attrs.get("kind", "deq"), None if depth is None else int(depth)


def _two_axes(dataset: xr.Dataset) -> tuple[str, str]:
    axes = [str(name) for name in dataset["phase"].dims if dataset.sizes[name] > 1]
    if len(axes) != 2:
        raise ValueError(f"dataset must have two axes longer than 1 (choose a slice with .sel), got {axes or 'none'}")
    return axes[0], axes[1]


def _margin(kind: str, loss: str, values: Mapping[str, Any], shrink: Any = None) -> Array:
    """A function of the parameters and 1/g(rho) that is >= 0 exactly where the minority has collapsed (in total)."""
    k_a, k_b = (np.asarray(k, dtype=float) for k in _classes(values))
    log_ratio = np.log(values["R"])
    shrink = 1 - values.get("rho", 0.0) if shrink is None else shrink
    with np.errstate(all="ignore"):
        if "E_W" in values:
            radius = (k_a + k_b) * np.sqrt(values["E_W"]) * np.sqrt(values["E_H"]) / shrink
            if loss == "mse":
                margin = log_ratio + np.log(np.maximum(1 - radius / k_a, 1e-300))
            elif kind == "collapse":
                margin = log_ratio - _log_threshold(radius, k_a, k_b)
            else:
                s = radius / np.maximum(k_a - 1, 1e-300)
                level, _ = core.total_point(np, k_a, k_b, s)
                margin = np.where(k_a < 2, -np.inf, core.total_margin(np, k_a, k_b, s, level + log_ratio))
            return np.where(k_b < 2, -np.inf, margin)
        decay = values["lambda"] if "lambda" in values else np.sqrt(values["lambda_W"]) * np.sqrt(values["lambda_H"])
        log_beta_b = np.log(shrink * decay * np.sqrt(values["n_B"])) + np.log(k_a * values["R"] + k_b)
        log_beta_a = log_beta_b - 0.5 * log_ratio
        if loss == "mse" or kind == "collapse":
            margin = log_beta_b
        else:
            shape = np.broadcast_shapes(np.shape(log_beta_a), k_a.shape)
            points = core.Points(k_a, k_b, log_ratio)
            target = np.broadcast_to(np.minimum(log_beta_a, -1e-300), shape)
            s = np.where((log_beta_a < 0) & (k_a >= 2), core.total_scale(np, points, target), 0.0)
            margin = core.total_margin(np, k_a, k_b, s, log_beta_b)
            # a single majority class has no logits of its own: only all of them vanish together
            nothing = 1 - (k_b * np.exp(-2 * log_beta_a) + k_a * np.exp(-2 * log_beta_b)) / (k_a + k_b)
            margin = np.where(k_a < 2, nothing, margin)
        # without a second minority class only the end of all features is a phase of its own
        return np.where(k_b < 2, np.where(k_a < 2, -np.inf, log_beta_a), margin)


def _log_threshold(radius: Array, k_a: Array, k_b: Array) -> Array:
    """log R* at which the minority collapses under cross-entropy with budgets, by bisection on its curve.

    The curve (5) of :mod:`ufm.two_groups` at s_B = 0: ``u = K_B d_B / E``, ``radius = (K_A-1)(u - K_A d_A) + u y/K``.
    """
    shape = np.broadcast_shapes(np.shape(radius), k_a.shape, k_b.shape)
    low, high = np.full(shape, -80.0), np.full(shape, math.log(700.0))
    for _ in range(70):
        middle = 0.5 * (low + high)
        frame = core.frame_at(np, -np.exp(middle), k_a, k_b, careful=True)
        u = k_b * frame.d_b / frame.e
        below = (k_a - 1) * (u - k_a * frame.d_a) + u * frame.y / (k_a + k_b) < radius
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    s, q = u - k_a * frame.d_a, frame.a / frame.y
    return np.asarray(core.log_odds(np, q, s, 1.0))


def _contours(x: Array, y: Array, margin: Margin) -> list[Array]:
    """Zeros of ``margin`` over two continuous axes: where grid lines cross the boundary, joined to curves."""
    require("contourpy", extra="plot")
    from contourpy import contour_generator

    signs = np.where(margin(x[:, None], y) >= 0, 1.0, -1.0)
    # contours of the signs pass half-way between two nodes; there the crossing is sought
    curves = []
    for curve in contour_generator(z=signs.T).lines(0.0):
        ends = (rounded(np.asarray(curve)).astype(int) for rounded in (np.floor, np.ceil))
        low, high = (np.stack([x[end[:, 0]], y[end[:, 1]]]) for end in ends)
        curves.append(_bisect(low, high, margin).T)
    return curves


def _bisect(low: Array, high: Array, margin: Margin) -> Array:
    """Where ``margin`` changes its sign between the points ``low`` and ``high``, both (2, n)."""
    rising = margin(*high) >= 0
    for _ in range(60):
        middle = 0.5 * (low + high)
        beyond = (margin(*middle) >= 0) == rising
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    return high


def _staircases(x: Array, y: Array, discrete_x: bool, discrete_y: bool, margin: Margin) -> list[Array]:
    """Boundaries around cells of class numbers, at the exact place along an axis that is continuous."""
    if not discrete_x:
        return [curve[:, ::-1] for curve in _staircases(y, x, True, discrete_y, lambda a, b: margin(b, a))]
    nodes = y if discrete_y else _refine(y, _SCAN)
    positive = margin(x[:, None], nodes) >= 0
    column, node = np.nonzero(positive[:, 1:] != positive[:, :-1])
    if discrete_y:
        turns = _cell_edges(nodes)[node + 1]
    else:
        low, high = (np.stack([x[column], nodes[node + side]]) for side in (0, 1))
        turns = _bisect(low, high, margin)[1]
    edges = _cell_edges(x)
    outer = _cell_edges(y)[[0, -1]]
    segments = [((edges[i], turn), (edges[i + 1], turn)) for i, turn in zip(column, turns, strict=True)]
    for i in range(len(x) - 1):
        # between two columns runs a boundary where one has collapsed and the other has not
        left, right = turns[column == i], turns[column == i + 1]
        differ = positive[i, 0] != positive[i + 1, 0]
        stops = np.concatenate([outer[:1], np.sort(np.concatenate([left, right])), outer[1:]])
        for start, stop in itertools.pairwise(stops):
            if differ and stop > start:
                segments.append(((edges[i + 1], start), (edges[i + 1], stop)))
            differ = not differ
    return _joined(segments)


def _joined(segments: list[tuple[tuple[float, float], tuple[float, float]]]) -> list[Array]:
    """Segments with common ends as curves."""
    loose = dict.fromkeys(segments)
    ends: dict[tuple[float, float], list[Any]] = {}
    for segment in segments:
        for end in segment:
            ends.setdefault(end, []).append(segment)
    curves = []
    # open curves from their ends first, closed ones after
    for start in sorted(ends, key=lambda end: len(ends[end]) != 1):
        curve = [start]
        while following := next((segment for segment in ends[curve[-1]] if segment in loose), None):
            del loose[following]
            curve.append(following[1] if following[0] == curve[-1] else following[0])
        if len(curve) > 1:
            curves.append(np.array(curve))
    return curves


def _is_logarithmic(values: Array) -> bool:
    """Whether an axis is spaced rather by ratios than by differences."""
    values = np.sort(values)
    if len(values) < 3 or values[0] <= 0 or values[-1] < 10 * values[0]:
        return False
    spread = [float(np.ptp(np.diff(v)) / (v[-1] - v[0])) for v in (values, np.log(values))]
    return spread[1] < spread[0]


def _refine(values: Array, size: int) -> Array:
    """``size`` points between the ends of an axis, spaced like it."""
    low, high = values.min(), values.max()
    points = np.geomspace(low, high, size) if _is_logarithmic(values) else np.linspace(low, high, size)
    points[[0, -1]] = low, high
    return points


def _cell_edges(values: Array) -> Array:
    """Edges of cells around the ascending values of an axis: midpoints, geometric where the axis is logarithmic."""
    logarithmic = _is_logarithmic(values)
    v = np.log(values) if logarithmic else values
    middle = 0.5 * (v[1:] + v[:-1])
    edges = np.concatenate([[2 * v[0] - middle[0]], middle, [2 * v[-1] - middle[-1]]])
    return np.exp(edges) if logarithmic else edges


# Picture ------------------------------------------------------------------------------------------------------------


def plot_phase_diagram(dataset: xr.Dataset, *, quantity: str = "phase") -> Figure:
    """Draw a diagram over its two axes, the first upwards, with its exact phase boundaries.

    Args:
        dataset: a diagram with two axes longer than 1; choose a slice of a larger one with ``dataset.sel(...)``.
        quantity: what the colour shows, a variable of the diagram.

    Returns:
        A matplotlib figure without a window; ``figure.savefig(...)`` writes it.

    Raises:
        TypeError: no Dataset.
        ValueError: not two axes, not a diagram of :func:`phase_diagram`, or an unknown quantity.

    >>> diagram = phase_diagram(
    ...     num_majority=5, num_minority=5, ratio=np.geomspace(1, 100, 5), E_W=1.0, E_H=np.linspace(1, 5, 5)
    ... )
    >>> plot_phase_diagram(diagram, quantity="s_B").axes[0].get_xlabel()
    'feature budget $E_H$'
    """
    _check_diagram(dataset)
    require("matplotlib", extra="plot")
    from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    one_of("quantity", quantity, QUANTITIES)
    if quantity not in dataset:
        raise ValueError(f"quantity must be a variable of the dataset, {sorted(map(str, dataset))}, got {quantity!r}")
    vertical, horizontal = _two_axes(dataset)
    plane = dataset.squeeze().sortby([vertical, horizontal])
    x, y = (plane[name].values.astype(np.float64) for name in (horizontal, vertical))
    values = plane[quantity].transpose(vertical, horizontal).values
    figure = Figure(figsize=(7.2, 5.6), layout="constrained")
    axes = figure.add_subplot()
    handles: list[Any] = []
    options: dict[str, Any] = {"rasterized": True, "shading": "flat"}
    if quantity == "phase":
        options |= {"cmap": ListedColormap(_COLOURS), "norm": BoundaryNorm([-0.5, 0.5, 1.5, 2.5], 3)}
        handles += [
            Patch(color=colour, label=name)
            for code, (colour, name) in enumerate(zip(_COLOURS, PHASES, strict=True))
            if (values == code).any()
        ]
    else:
        options["cmap"] = "viridis"
        if values.min() > 0 and values.max() > 100 * values.min():
            options["norm"] = LogNorm(max(values.min(), 1e-12 * values.max()), values.max())
    mesh = axes.pcolormesh(_cell_edges(x), _cell_edges(y), values, **options)
    if quantity != "phase":
        figure.colorbar(mesh, ax=axes, label=QUANTITIES[quantity])
    curves = phase_boundaries(dataset)
    styles: dict[str, Any] = {"collapse": "-", "total": "--"}
    for kind, found in curves.items():
        for curve in found:
            # a light line under the dark one shows on every colour
            axes.plot(curve[:, 1], curve[:, 0], color="white", linewidth=2.6, zorder=2)
            axes.plot(curve[:, 1], curve[:, 0], color=_EDGE, linestyle=styles[kind], linewidth=1.4, zorder=3)
        if found:
            label = f"{'' if kind == 'collapse' else 'total '}collapse, exact"
            handles.append(Line2D([], [], color=_EDGE, linestyle=styles[kind], linewidth=1.4, label=label))
    axes.set(xlabel=PARAMETERS[horizontal], ylabel=PARAMETERS[vertical])
    for name, nodes, axis, scale, limit in (
        (horizontal, x, axes.xaxis, axes.set_xscale, axes.set_xlim),
        (vertical, y, axes.yaxis, axes.set_yscale, axes.set_ylim),
    ):
        if _is_logarithmic(nodes):
            scale("log")
        elif name in _DISCRETE:
            axis.set_major_locator(MaxNLocator(integer=True))
        limit(*_cell_edges(nodes)[[0, -1]])
    axes.set_title(_title(dataset), fontsize=10)
    figure.legend(handles=handles, loc="outside lower center", ncols=max(len(handles), 1), frameon=False, fontsize=9)
    return figure


def _title(dataset: xr.Dataset) -> str:
    """The fixed parameters."""
    symbols = {"rho": r"\rho", "lambda": r"\lambda", "lambda_W": r"\lambda_W", "lambda_H": r"\lambda_H"}
    fixed = [
        f"${symbols.get(str(name), name)} = {float(value):.4g}$"
        for name, value in dataset.squeeze().coords.items()
        if name in PARAMETERS and value.ndim == 0
    ]
    return ", ".join([{"ce": "cross-entropy", "mse": "MSE"}[dataset.attrs["loss"]], *fixed])
