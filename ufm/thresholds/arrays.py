"""Collapse thresholds over arrays of any parameter, one after the other; a million a second are `threshold_batch`'s."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm._validation import as_array
from ufm.architectures import check_architecture
from ufm.losses import get_loss
from ufm.thresholds.front import collapse_threshold
from ufm.thresholds.general import built_with
from ufm.two_groups.thresholds import Threshold

__all__ = ["ThresholdArray", "threshold_array"]

Array = NDArray[np.float64]

#: Arguments of :func:`collapse_threshold` that may be arrays; the other names are parameters of architecture and loss.
ARGUMENTS = ("num_majority", "num_minority", "bias", "num_samples", "majority_count", "minority_count")


@dataclass(frozen=True)
class ThresholdArray:
    """Thresholds over arrays of parameters.

    Attributes:
        thresholds: objects :class:`ufm.Threshold`, in the shape to which the arrays broadcast.
        over: the arrays by name, in that shape.

    >>> import ufm
    >>> found = ufm.threshold_array(ufm.LayerPeeled(1.0, 1.0), 5, 5, over={"E_H": [1.0, 5.0]})
    >>> found.shape, found.ratio.round(6).tolist(), found.derivative["E_H"].round(4).tolist()
    ((2,), [1.735416, 12.192447], [0.8764, 5.3375])
    """

    thresholds: NDArray[Any]
    over: dict[str, Array]

    @property
    def shape(self) -> tuple[int, ...]:
        """The arrays' common shape."""
        return self.thresholds.shape

    @property
    def ratio(self) -> Array:
        """R*; infinite where no finite R collapses the minority."""
        return np.vectorize(float, otypes=[float])(self.thresholds)

    @property
    def derivative(self) -> dict[str, Array]:
        """``dR*/dp`` by parameter, as :attr:`Threshold.derivative`; NaN where R* has none.

        Of a parameter of several numbers, such as ``budgets``, they are along a last axis.

        Raises:
            ValueError: some R* has a kink in a parameter, so that it has no slope.
        """
        found = [t.derivative if 1.0 < t.ratio < math.inf else {} for t in self.thresholds.ravel()]
        names = {name: np.shape(value) for slopes in found for name, value in slopes.items()}
        return {
            name: np.array([slopes.get(name, np.full(shape, np.nan)) for slopes in found]).reshape(*self.shape, *shape)
            for name, shape in names.items()
        }


def threshold_array(
    architecture: Any, num_majority: int, num_minority: int, *, over: Mapping[str, ArrayLike], **options: Any
) -> ThresholdArray:
    """:func:`ufm.collapse_threshold` over arrays that broadcast against each other, with its derivatives.

    Without the derivatives budgets are faster by far in :func:`ufm.two_groups.threshold_batch.threshold_batch`, and
    weight decay in :func:`ufm.two_groups.threshold_batch.penalised_threshold_batch`: a million a second and more.

    Args:
        architecture, num_majority, num_minority: as in :func:`ufm.collapse_threshold`.
        over: arrays by the name of a parameter of the architecture or of the loss, of ``num_majority``,
            ``num_minority``, of the bias' ``bias`` or of the count that is held fixed.
        options: ``loss``, ``bias`` and the count that is held fixed, as in :func:`ufm.collapse_threshold`.

    Raises:
        TypeError, ValueError: a name that is none of these or is both the architecture's and the loss', arrays that do
            not broadcast, or what :func:`ufm.collapse_threshold` refuses.

    >>> import ufm
    >>> smoothing = {"smoothing": [0.0, 0.1, 0.2], "minority_count": [[4.0], [16.0]]}
    >>> found = threshold_array(ufm.UnconstrainedFeatures(5e-3, 5e-3), 5, 5, over=smoothing)
    >>> found.ratio.round(9).tolist()  # n_B (1 - a)^2 = N^2 lam^2
    [[19.0, 17.0, 15.0], [9.0, 8.0, 7.0]]
    """
    if not isinstance(over, Mapping) or not over:
        raise TypeError(f"over must map names of parameters to arrays, got {over!r}")
    check_architecture(architecture)
    arrays = {name: as_array(f"over[{name!r}]", values) for name, values in over.items()}
    for name, values in arrays.items():
        if values.dtype.kind not in "iuf":
            raise TypeError(f"over[{name!r}] must be an array of numbers, got dtype {values.dtype}")
    try:
        shape = np.broadcast_shapes(*(values.shape for values in arrays.values()))
    except ValueError:
        shapes = {name: values.shape for name, values in arrays.items()}
        raise ValueError(f"over must have arrays that broadcast against each other, got shapes {shapes}") from None
    whole = {name: np.broadcast_to(values, shape) for name, values in arrays.items()}
    loss = get_loss(options.pop("loss", "ce"))
    places = {name: _place(name, architecture, loss) for name in whole}
    found = np.empty(shape, dtype=object)
    for at in np.ndindex(shape):
        value = {name: values[at].item() for name, values in whole.items()}
        found[at] = _one(architecture, num_majority, num_minority, loss, options, value, places)
    return ThresholdArray(found, {name: np.array(values) for name, values in whole.items()})


def _place(name: str, architecture: Any, loss: Any) -> str:
    """What a name is a parameter of."""
    if name in ARGUMENTS:
        return "argument"
    given = {"architecture": getattr(architecture, "parameters", {}), "loss": built_with(loss)}
    numbers = {place: [name for name, x in named.items() if isinstance(x, float)] for place, named in given.items()}
    places = [place for place, names in numbers.items() if name in names]
    if len(places) != 1:
        allowed = [*numbers["architecture"], *numbers["loss"], *ARGUMENTS]
        why = "is both the architecture's and the loss'" if places else f"must be one of {', '.join(allowed)}"
        raise ValueError(f"over has the name {name!r}, which {why}")
    return places[0]


def _one(
    architecture: Any,
    num_majority: int,
    num_minority: int,
    loss: Any,
    options: dict[str, Any],
    value: dict[str, Any],
    places: dict[str, str],
) -> Threshold:
    by_place: dict[str, dict[str, Any]] = {"argument": {}, "architecture": {}, "loss": {}}
    for name, place in places.items():
        by_place[place][name] = value[name]
    sizes = {"num_majority": num_majority, "num_minority": num_minority}
    changed = dataclasses.replace(loss, **by_place["loss"]) if by_place["loss"] else loss
    model = dataclasses.replace(architecture, **by_place["architecture"]) if by_place["architecture"] else architecture
    return collapse_threshold(model, **(sizes | options | by_place["argument"]), loss=changed)
