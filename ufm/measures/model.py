"""The neural collapse of a torch network over a loader: forward hooks take what its layers see."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ufm._extras import require
from ufm._validation import one_of
from ufm.measures.accumulators import FeatureStatistics
from ufm.measures.front import measure
from ufm.measures.passes import copies, pairs_of
from ufm.measures.summary import Measures
from ufm.measures.targets import MultiLabelMeasures, RegressionMeasures, measure_multi_label, measure_regression

if TYPE_CHECKING:
    import torch

__all__ = ["measure_model"]


def measure_model(
    model: torch.nn.Module,
    loader: Iterable[Any],
    *,
    layers: Sequence[str] | None = None,
    num_classes: int | None = None,
    nc4: bool = True,
    labels: str = "classes",
    **options: Any,
) -> Measures | dict[str, Measures] | RegressionMeasures | MultiLabelMeasures:
    """Measure the neural collapse of a network on a data set.

    What the network's last ``torch.nn.Linear`` takes is measured as features, with its weight and bias as classifier;
    feature maps are flattened. The network is put into evaluation mode for the time, on the device where it is.

    Args:
        model: a torch network that maps inputs to logits.
        loader: iterable of (inputs, labels) batches.
        layers: names of submodules (``model.named_modules()``) whose outputs are measured instead, without classifier.
        num_classes: K; default that of the last linear layer, and needed with ``layers`` where there is none.
        nc4: measure NC4 too; without it, or with an iterator, NC4 is None. The loader is gone through once where the
            features fit in 256 MB, else a second time for NC4.
        labels: what the loader gives: ``"classes"``; or ``"multi-label"``, rows of 0 and 1 for
            :func:`~ufm.measures.measure_multi_label`, or ``"regression"``, targets for
            :func:`~ufm.measures.measure_regression`, for which all features are kept, and no other option plays a role.
        options: ``prior``, ``num_minority``, ``tolerance`` and ``centre`` of :func:`measure`.

    Returns:
        :class:`Measures`, or with ``layers`` a dictionary of them by layer; or what the other labels give.

    Raises:
        MissingExtraError: torch is not installed.
        TypeError, ValueError: not a module, a layer that it has not, no linear layer, or what :func:`measure` refuses.

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> data = [(torch.randn(8, 2, 2), torch.tensor([0, 1] * 4)) for _ in range(2)]
    >>> measure_model(net, data).dim, sorted(measure_model(net, data, layers=["1", "2"]))
    (3, ['1', '2'])
    """
    nn = require("torch", extra="deq").nn
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    one_of("labels", labels, ("classes", *_OTHERS))
    heads = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    if labels in _OTHERS:
        idle = {"layers": layers, "num_classes": num_classes, **options}
        given = [name for name, value in idle.items() if value is not None]
        if given:
            raise ValueError(f"{', '.join(given)} plays no role for labels={labels!r}")
        return _other_labels(model, loader, heads, _OTHERS[labels])
    if num_classes is None:
        if not heads:
            raise ValueError("num_classes must be given for a model without a torch.nn.Linear")
        num_classes = heads[-1][1].out_features
    if layers is not None:
        return _layers(model, loader, layers, num_classes, options)
    if not heads:
        raise ValueError("model must have a torch.nn.Linear, whose input is measured; or say layers=")
    head = heads[-1][1]
    return measure(
        _batches(_Inputs(model, loader, *heads[-1]), nc4 and not isinstance(loader, Iterator)),
        classifier=head.weight.detach(),
        bias=None if head.bias is None else head.bias.detach(),
        num_classes=num_classes,
        **options,
    )


_OTHERS: dict[str, Callable[..., Any]] = {"multi-label": measure_multi_label, "regression": measure_regression}


def _other_labels(model: Any, loader: Any, heads: list[tuple[str, Any]], of: Callable[..., Any]) -> Any:
    """Measures of all features at once, for labels that are no classes."""
    import torch

    if not heads:
        raise ValueError("model must have a torch.nn.Linear, whose input is measured")
    pairs = list(_Inputs(model, loader, *heads[-1]))
    if not pairs:
        raise ValueError("loader must give at least one batch, got none")
    features, labels = (
        torch.cat([torch.as_tensor(part).cpu() for part in parts]) for parts in zip(*pairs, strict=True)
    )
    head = heads[-1][1]
    bias = None if head.bias is None else head.bias.detach()
    return of(features, labels, classifier=head.weight.detach(), bias=bias)


def _layers(model: Any, loader: Any, layers: Any, num_classes: int, options: dict[str, Any]) -> dict[str, Measures]:
    """Measures of the outputs of several submodules, in one pass."""
    if isinstance(layers, str) or not layers:
        raise TypeError(f"layers must be a sequence of names of submodules, got {layers!r}")
    known = dict(model.named_modules())
    unknown = [name for name in layers if name not in known]
    if unknown:
        raise ValueError(
            f"layers must name submodules of the model, got {unknown}; it has {', '.join(filter(None, known))}"
        )
    statistics = {name: FeatureStatistics(num_classes) for name in layers}
    for outputs, labels in _forward(model, loader, {name: known[name] for name in layers}, inputs=False):
        for name, features in outputs.items():
            statistics[name].update(features, labels)
    return {name: Measures.of(found, **options) for name, found in statistics.items()}


def _batches(inputs: _Inputs, nc4: bool) -> Any:
    """What the head takes: kept, where all fits, so that the network runs once; as an iterator where NC4 is not wanted.

    Where it does not fit the network runs from the beginning, twice with NC4.
    """
    if not nc4:
        return iter(inputs)
    kept, more = copies(pairs_of(inputs))
    return inputs if more else kept


class _Inputs:
    """(features, labels) batches of what one submodule takes, anew each time that they are gone through."""

    def __init__(self, model: Any, loader: Any, name: str, module: Any) -> None:
        self._model, self._loader, self._name, self._module = model, loader, name, module

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for caught, labels in _forward(self._model, self._loader, {self._name: self._module}, inputs=True):
            yield caught[self._name], labels


def _forward(model: Any, loader: Any, modules: dict[str, Any], *, inputs: bool) -> Iterator[tuple[dict[str, Any], Any]]:
    """What the modules take, or give, for every batch: (n, d) tensors by name, and the labels."""
    import torch

    caught: dict[str, Any] = {}

    def keep(name: str) -> Any:
        def hook(module: Any, args: Any, output: Any) -> None:
            value = args[0] if inputs else output
            if not isinstance(value, torch.Tensor):
                raise TypeError(f"layer {name!r} must give a tensor to be measured, got {type(value).__name__}")
            caught[name] = value.detach().flatten(1)

        return hook

    place = next((p.device for p in model.parameters()), None)
    training = model.training
    with contextlib.ExitStack() as stack:
        for name, module in modules.items():
            stack.callback(module.register_forward_hook(keep(name)).remove)
        stack.callback(model.train, training)
        model.eval()
        for i, batch in enumerate(loader):
            if not isinstance(batch, Sequence) or len(batch) != 2:
                raise TypeError(f"loader must give (inputs, labels) batches, got {type(batch).__name__} as batch {i}")
            caught.clear()
            with torch.no_grad():
                model(batch[0] if place is None else batch[0].to(place))
            missing = set(modules) - set(caught)
            if missing:
                raise ValueError(f"layers must take part in the forward pass, {sorted(missing)} did not")
            yield dict(caught), batch[1]
