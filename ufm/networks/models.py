"""Networks: encoder -> h [-> equilibrium, or a stack of layers] -> features -> linear classifier without bias.

Explicit counterparts of a DEQ with the cell f share its encoder and classifier and, from the same seed, their weights:

| network | features | against the DEQ |
|---|---|---|
| :class:`DEQNetwork` | ``z = f(z)`` | |
| :class:`UnrolledNetwork` | ``f^L(h)``, one f | the same parameters; equal to it as L grows, if f contracts |
| :class:`UntiedNetwork` | ``f_L ... f_1(h)`` | same depth and bounds as unrolled, L times the cell's parameters |
| with free cells | ``phi(V_L ... phi(V_1 h))`` | the same depth; V_l free, h not injected again |

The last one is the deep linear network of the theory, with L + 2 factors, when phi is the identity (gamma = 0).

:func:`parameter_counts` says where parameters are, :func:`matched_width` finds the width that fits a budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ufm._validation import fraction, integer, one_of
from ufm.deq.cells import ACTIVATIONS, Activation, ContractiveConvCell, DenseCell, FreeCell, ResidualConvCell
from ufm.deq.layer import DEQ
from ufm.deq.wellposed import STARTS, check_dtype
from ufm.networks.cellular import DEQNetwork, ResNet18, UnrolledNetwork, UntiedNetwork
from ufm.networks.dense import ExplicitNetwork, LinearDEQNetwork
from ufm.networks.encoders import ConvEncoder, Encoder
from ufm.networks.output import Output
from ufm.networks.resnet import ResNet18Encoder

__all__ = [
    "MODELS",
    "ConvEncoder",
    "DEQNetwork",
    "Encoder",
    "ExplicitNetwork",
    "LinearDEQNetwork",
    "Network",
    "Output",
    "ResNet18",
    "UnrolledNetwork",
    "UntiedNetwork",
    "build_model",
    "check_options",
    "matched_width",
    "parameter_counts",
]

#: What :func:`build_model` gives.
Network = ExplicitNetwork | LinearDEQNetwork | DEQNetwork | UnrolledNetwork | UntiedNetwork | ResNet18

#: Options of every model with their defaults; None: see :func:`build_model`.
_EXPLICIT = {"width": 256, "dim": None}
_LINEAR = {**_EXPLICIT, "rho": 0.5, "start": "identity"}
_DENSE = {**_LINEAR, "activation": "tanh", "gamma": 1.0}
_CONV = {
    "width": 32,
    "blocks": 0,
    "cell": "residual",
    "rho": 0.8,
    "start": "identity",
    "activation": "relu",
    "gamma": 1.0,
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "explicit": _EXPLICIT,
    "linear-deq": _LINEAR,
    "deq": _DENSE,
    "unrolled": {**_DENSE, "depth": 10},
    "untied": {**_DENSE, "depth": 10},
    "feedforward": {**_EXPLICIT, "activation": "tanh", "gamma": 1.0, "depth": 10},
    "conv-deq": _CONV,
    "conv-unrolled": {**_CONV, "depth": 10},
    "conv-untied": {**_CONV, "depth": 10},
    "resnet18": {"width": 64},
}
_SOLVER = {"solver": "anderson", "tol": 1e-6, "max_steps": 100, "on_failure": "warn"}

#: Names of :func:`build_model`.
MODELS = tuple(_OPTIONS)
CELLS = ("residual", "contractive")


def build_model(
    name: str,
    dataset_shape: Sequence[Any],
    num_classes: Any,
    *,
    seed: Any = 0,
    dtype: torch.dtype | None = None,
    deq: DEQ | None = None,
    **options: Any,
) -> Network:
    """A network for inputs of a shape; calling it on (N, ...) gives an :class:`Output`.

    | name | network | options |
    |---|---|---|
    | ``"explicit"`` | MLP encoder | width, dim |
    | ``"linear-deq"`` | ``z = A z + h`` | and rho, start |
    | ``"deq"`` | ``z = phi(A z + h)`` | and activation, gamma |
    | ``"unrolled"``, ``"untied"`` | its explicit counterparts | and depth |
    | ``"feedforward"`` | L free layers on the encoder | width, dim, activation, gamma, depth |
    | ``"conv-deq"`` | convolutional equilibrium | width, blocks, cell; if contractive rho, start, activation, gamma |
    | ``"conv-unrolled"``, ``"conv-untied"`` | its explicit counterparts | and depth |
    | ``"resnet18"`` | ResNet-18 | width |

    Args:
        name: one of :data:`MODELS`.
        dataset_shape: of one input; (channels, length) or (channels, height, width) for convolutions.
        num_classes: K >= 2.
        seed: of the start, >= 0; models with the same encoder and classifier share their weights.
        dtype: default float64, and float32 for convolutions.
        deq: solver of the fixed point. Or its settings as options ``solver``, ``tol``, ``max_steps``, ``on_failure`` as
            in :class:`DEQ`; a model without a fixed point checks them and has no use for them.
        options: ``width``: hidden units of the encoder (256), channels of a convolutional network (32), of the first
            stage of ResNet-18 (64). ``dim``: features d of a dense network (max(16, K)). ``rho``: spectral bound (0.5;
            0.8 for convolutions). ``start``: of A, ``"identity"`` or ``"zero"``. ``activation``: ``"tanh"`` (dense) or
            ``"relu"`` (convolutions). ``gamma``: its strength in [0, 1] (1). ``cell``: ``"residual"`` or, well-posed,
            ``"contractive"``. ``blocks``: residual blocks in the convolutional encoder (0). ``depth``: L (10).

    Raises:
        TypeError, ValueError: an argument is not what it should be, or an option that the model does not have; the
            message names it.

    >>> network = build_model("deq", (1, 8, 8), 10, rho=0.9, width=32)
    >>> type(network).__name__, tuple(network.classifier.weight.shape)
    ('DEQNetwork', (10, 16))
    >>> build_model("explicit", (1, 8, 8), 10, rho=0.9)
    Traceback (most recent call last):
    ValueError: rho must not be given for 'explicit': its options are width, dim, solver, ...
    """
    o, settings = _checked_options(name, options)
    convolutional = _is_convolutional(name)
    shape = _input_shape(name, dataset_shape, convolutional)
    k, seed = integer("num_classes", num_classes, minimum=2), integer("seed", seed, minimum=0)
    dtype = (torch.float32 if convolutional else torch.float64) if dtype is None else check_dtype(dtype)
    if deq is None:
        deq = DEQ(**settings)
    elif not isinstance(deq, DEQ):
        raise TypeError(f"deq must be a ufm.deq.DEQ or None, got {deq!r}")
    elif given := [key for key in _SOLVER if key in options]:
        raise ValueError(f"{given[0]} must not be given together with deq, got {options[given[0]]!r}")
    width, depth = o["width"], o.get("depth", 1)
    generator = torch.Generator().manual_seed(seed)
    if name == "resnet18":
        encoder = ResNet18Encoder(shape[0], len(shape) - 1, width, generator, dtype)
        return ResNet18(encoder, _classifier(encoder.dim, k, generator, dtype))
    # Cells draw from a stream of their own, so that encoder and classifier do not depend on them.
    cell_generator = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, 1]).generate_state(1)[0]))
    base: nn.Module
    if convolutional:
        base = ConvEncoder(shape[0], len(shape) - 1, width, generator, dtype, o["blocks"])
        classifier = _classifier(width, k, generator, dtype)
        size = [math.ceil(n / 2) for n in shape[1:]]

        def cell() -> nn.Module:
            if o["cell"] == "residual":
                return ResidualConvCell(width, len(size), cell_generator, dtype)
            return ContractiveConvCell(width, size, o["rho"], o["start"], o["activation"], o["gamma"], dtype)
    else:
        d = max(16, k) if o["dim"] is None else o["dim"]
        sizes: dict[str, Any] = {"dim": d, "width": width, "seed": seed, "dtype": dtype}
        if name == "linear-deq":
            return LinearDEQNetwork(math.prod(shape), k, rho=o["rho"], start=o["start"], deq=deq, **sizes)
        explicit = ExplicitNetwork(math.prod(shape), k, **sizes)
        if name == "explicit":
            return explicit
        base, classifier = explicit.encoder, explicit.classifier

        def cell() -> nn.Module:
            if name == "feedforward":
                return FreeCell(d, o["activation"], o["gamma"], cell_generator, dtype)
            return DenseCell(d, o["rho"], o["start"], o["activation"], o["gamma"], dtype)

    if name.endswith("deq"):
        return DEQNetwork(base, cell(), classifier, deq)
    if name.endswith("unrolled"):
        return UnrolledNetwork(base, cell(), classifier, depth)
    return UntiedNetwork(base, [cell() for _ in range(depth)], classifier)


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """See whether :func:`build_model` takes these options, names and values, for the model: it needs no data for that.

    Args:
        name: one of :data:`MODELS`.
        options: as of :func:`build_model`.

    Raises:
        TypeError, ValueError: as :func:`build_model`.

    >>> check_options("deq", {"rho": 0.9, "activation": "tanh"})
    >>> check_options("deq", {"rho": 1.5})
    Traceback (most recent call last):
    ValueError: rho must lie in [0, 1), got 1.5
    """
    DEQ(**_checked_options(name, options)[1])


def _is_convolutional(name: str) -> bool:
    return name.startswith("conv") or name == "resnet18"


def _checked_options(name: str, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """All options of the model, checked, and those of its solver, which :class:`DEQ` checks."""
    known = _OPTIONS[one_of("name", name, MODELS)]
    for option, value in options.items():
        if option not in known and option not in _SOLVER:
            allowed = ", ".join([*known, *_SOLVER])
            raise ValueError(f"{option} must not be given for {name!r}: its options are {allowed}; got {value!r}")
    o = {key: options.get(key, default) for key, default in known.items()}
    for key, least in (("width", 1), ("depth", 1), ("blocks", 0), ("dim", 1)):
        if key in o and not (key == "dim" and o[key] is None):
            o[key] = integer(key, o[key], minimum=least)
    if "cell" in o and one_of("cell", o["cell"], CELLS) == "residual":
        for option in ("rho", "start", "activation", "gamma"):
            if option in options:
                raise ValueError(
                    f"{option} must not be given with cell = 'residual', which has no use for it; "
                    f"got {options[option]!r}"
                )
    if "rho" in o:
        o["rho"] = fraction("rho", o["rho"])
        one_of("start", o["start"], STARTS)
    if "activation" in o:
        Activation(one_of("activation", o["activation"], ACTIVATIONS), o["gamma"])
    return o, {key: options.get(key, default) for key, default in _SOLVER.items()}


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Parameters of each part (``encoder``, ``cell``, ``cells``, ``equilibrium``, ``classifier``) and the ``total``.

    >>> parameter_counts(build_model("linear-deq", (4,), 3, width=8, dim=2))
    {'encoder': 58, 'classifier': 6, 'equilibrium': 4, 'total': 68}
    """
    parts = {part: sum(p.numel() for p in module.parameters()) for part, module in model.named_children()}
    return {part: n for part, n in parts.items() if n} | {"total": sum(parts.values())}


def matched_width(
    name: str, dataset_shape: Sequence[Any], num_classes: Any, num_parameters: Any, **options: Any
) -> int:
    """Largest width at which a model has at most ``num_parameters`` parameters.

    Args:
        name, dataset_shape, num_classes, options: as of :func:`build_model`.
        num_parameters: budget, such as ``parameter_counts(other)["total"]``.

    Raises:
        TypeError, ValueError: as :func:`build_model`, or width 1 is over the budget already.

    >>> matched_width("explicit", (4,), 3, 68, dim=2)
    8
    """
    budget = integer("num_parameters", num_parameters, minimum=1)

    def fits(width: int) -> bool:
        model = build_model(name, dataset_shape, num_classes, **{**options, "width": width})
        return parameter_counts(model)["total"] <= budget

    if not fits(1):
        raise ValueError(f"num_parameters must allow {name!r} of width 1, got {budget}")
    low, high = 1, 2
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _input_shape(name: str, shape: Any, convolutional: bool) -> tuple[int, ...]:
    if isinstance(shape, str | bytes) or not isinstance(shape, Sequence):
        raise TypeError(f"dataset_shape must be a sequence of integers, got {shape!r}")
    if len(shape) not in (2, 3) and (convolutional or not shape):
        allowed = "(channels, length) or (channels, height, width)" if convolutional else "not empty"
        raise ValueError(f"dataset_shape must be {allowed} for {name!r}, got {tuple(shape)}")
    return tuple(integer(f"dataset_shape[{i}]", n, minimum=1) for i, n in enumerate(shape))


def _classifier(dim: int, num_classes: int, generator: torch.Generator, dtype: torch.dtype) -> nn.Linear:
    classifier = nn.Linear(dim, num_classes, bias=False, dtype=dtype)
    with torch.no_grad():
        noise = torch.randn(classifier.weight.shape, generator=generator, dtype=dtype)
        classifier.weight.copy_(noise / math.sqrt(dim))
    return classifier
