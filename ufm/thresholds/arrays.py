"""Collapse thresholds over arrays of any parameter.

Large arrays of budgets, weight decay, class numbers and counts go through :mod:`ufm.two_groups.threshold_batch`, a
million points a second and more; all others are one threshold after the other.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm._validation import as_array
from ufm.architectures import LayerPeeled, LinearDEQ, PenalisedDEQ, UnconstrainedFeatures, check_architecture
from ufm.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError, get_loss
from ufm.problem import check_bias
from ufm.thresholds.front import MOST_CLASSES, collapse_threshold
from ufm.thresholds.general import LOOKED_AT, built_with
from ufm.two_groups.counts import HELD
from ufm.two_groups.threshold_batch import penalised_threshold_batch, threshold_batch
from ufm.two_groups.thresholds import Threshold

__all__ = ["ThresholdArray", "threshold_array"]

Array = NDArray[np.float64]

#: Arguments of :func:`collapse_threshold` that may be arrays; the other names are parameters of architecture and loss.
ARGUMENTS = ("num_majority", "num_minority", "bias", "num_samples", "majority_count", "minority_count")


#: Points from which on they are found together: below, one after the other costs nothing and has the last digit.
MANY = 1000
NUMBERS = ("num_majority", "num_minority")
#: Beside rho, what radius and strength are made of where there are formulas for arrays.
PARAMETERS = {
    (LayerPeeled, LinearDEQ): {"E_W", "E_H"},
    (UnconstrainedFeatures, PenalisedDEQ): {"lambda_W", "lambda_H"},
}


@dataclass(frozen=True, eq=False)
class ThresholdArray:
    """Thresholds over arrays of parameters.

    Attributes:
        over: the arrays by name, in the shape to which they broadcast.
        make: the objects :class:`ufm.Threshold` in that shape; called when they are asked for.
        together: R* where all were found at once, to about 1e-11 relative; None where one after the other was.

    >>> import ufm
    >>> found = ufm.threshold_array(ufm.LayerPeeled(1.0, 1.0), 5, 5, over={"E_H": [1.0, 5.0]})
    >>> found.shape, found.ratio.round(6).tolist(), found.derivative["E_H"].round(4).tolist()
    ((2,), [1.735416, 12.192447], [0.8764, 5.3375])
    """

    over: dict[str, Array]
    make: Callable[[], NDArray[Any]] = field(repr=False)
    together: Array | None = field(default=None, repr=False)

    @cached_property
    def thresholds(self) -> NDArray[Any]:
        """Objects :class:`ufm.Threshold`: some ten microseconds each where all R* were found at once."""
        return self.make()

    @property
    def shape(self) -> tuple[int, ...]:
        """The arrays' common shape."""
        return next(iter(self.over.values())).shape

    @cached_property
    def ratio(self) -> Array:
        """R*; infinite where no finite R collapses the minority."""
        if self.together is not None:
            return self.together
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

    A thousand points and more of budgets, weight decay, class numbers and counts are found together, a million a second
    and more, wherever :mod:`ufm.two_groups.threshold_batch` has the formula; derivatives are one after the other.

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

    def one(at: tuple[int, ...]) -> Threshold:
        value = {name: values[at].item() for name, values in whole.items()}
        return _one(architecture, num_majority, num_minority, loss, options, value, places)

    def make() -> NDArray[Any]:
        found = np.empty(shape, dtype=object)
        for at in np.ndindex(shape):
            found[at] = one(at)
        return found

    together = None
    if math.prod(shape) >= MANY:
        fixed = {"num_majority": num_majority, "num_minority": num_minority} | options
        together = _together(architecture, loss, fixed | whole)
    found = ThresholdArray({name: np.array(values) for name, values in whole.items()}, make, together)
    if together is None:
        _ = found.thresholds  # what is refused is refused here
    else:
        for at in np.argwhere(~np.isfinite(together))[:1]:
            one(tuple(at))  # refused where R* is beyond float64, infinite where there is none
    return found


def _together(architecture: Any, loss: Any, given: dict[str, Any]) -> Array | None:
    """R* at all points of an array at once; None where there is no formula, or where a value is to be refused."""
    parameters = {name: value for name, value in architecture.parameters.items() if value is not None}
    given = {name: value for name, value in given.items() if value is not None}
    needed = next((names for kinds, names in PARAMETERS.items() if type(architecture) in kinds), set())
    bias, kappa = given.pop("bias", None), _kappa(loss, given.pop("smoothing", None))
    counts = {name for name in HELD if name in given}
    if set(parameters) - {"rho"} != needed or set(given) - {*parameters, *NUMBERS} != counts or kappa is None:
        return None
    if isinstance(bias, np.ndarray) or any(np.asarray(given[name]).dtype.kind not in "iu" for name in NUMBERS):
        return None  # prices of a bias are looked at one by one
    k_a, k_b = (given.pop(name) for name in NUMBERS)
    is_plain = loss.closed_form is not None and check_bias(bias) is None
    if not (counts or is_plain):
        return None
    try:
        if not counts:
            return threshold_batch(k_a, k_b, loss=loss.closed_form.value, **(parameters | given))
        found = penalised_threshold_batch(k_a, k_b, kappa=kappa, **(parameters | given))
    except (TypeError, ValueError):
        return None  # one after the other the first value that is refused is named
    # what is solved on the way one at a time has its bounds
    is_looked_at = np.max(np.add(k_a, k_b)) <= MOST_CLASSES and found.max() <= LOOKED_AT[-1]
    return found if is_plain or is_looked_at else None


def _kappa(loss: Any, smoothing: Array | None) -> Any:
    """kappa where it hangs on no logits, see :func:`penalised_threshold_batch`; None elsewhere."""
    if type(loss) is CrossEntropy and loss.weights is None and loss.scales is None and loss.shifts is None:
        given = loss.smoothing if smoothing is None else smoothing
        return 1 - given if np.min(given) >= 0 else None
    return 1.0 if type(loss) in (BinaryCrossEntropy, MeanSquaredError) and smoothing is None else None


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
