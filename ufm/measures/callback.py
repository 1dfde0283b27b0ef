"""Neural collapse over the epochs of a training with Lightning."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Iterable, Sequence
from typing import Any, cast

from ufm._extras import require
from ufm._json import plain
from ufm._validation import integer
from ufm.measures.history import History
from ufm.measures.model import measure_model
from ufm.measures.summary import Measures

__all__ = ["EpochRecorder", "lightning_callback"]

#: Where Lightning's Callback is, by the name of its distribution.
HOMES = ("lightning.pytorch", "pytorch_lightning")
#: What is logged unless measures are named.
LOGGED = ("nc1", "etf_error", "self_duality_error", "nc4")


class EpochRecorder:
    """Measures a network after epochs of its training, and keeps what it found in a :class:`History`.

    The methods are hooks of Lightning's callbacks, and are called so by :func:`lightning_callback`; nothing of
    Lightning is used but ``trainer.current_epoch``, ``trainer.is_global_zero`` and the module's ``log``. It draws
    no random number of the training: with or without it the training is the same. The network is measured in evaluation
    mode, on one process where there are several.

    Args:
        loader: iterable of (inputs, labels) batches: the training set, in any order, for the collapse of training.
        every: measure after every so many epochs.
        log: names of measures to log as ``nc/NAME``, those that are None left out; empty for none.
        options: of :func:`measure_model`, without ``layers`` and for labels that are classes.

    Attributes:
        history: the measures by epoch, kept in Lightning's checkpoints.

    Raises:
        TypeError, ValueError: a loader that cannot be gone through again, a name that is no measure of one number, an
            ``every`` that is no integer >= 1, ``layers``, or ``labels`` that are no classes.
    """

    def __init__(self, loader: Iterable[Any], *, every: int = 1, log: Sequence[str] = LOGGED, **options: Any) -> None:
        if not isinstance(loader, Iterable) or iter(loader) is loader:
            raise TypeError(f"loader must be an iterable that can be gone through again, got {type(loader).__name__}")
        if "layers" in options:
            raise ValueError("layers plays no role in a history: use measure_model")
        if options.get("labels", "classes") != "classes":
            raise ValueError(f"labels must be 'classes' in a history, got {options['labels']!r}: use measure_model")
        self._loader, self._options = loader, options
        self._every = integer("every", every, minimum=1)
        self._log = _checked_names(log)
        self.history = History()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Measure, record and log, if it is this epoch's turn.

        >>> import torch
        >>> from types import SimpleNamespace
        >>> batches = [(torch.eye(4), torch.tensor([0, 0, 1, 1]))]
        >>> recorder, module = EpochRecorder(batches, log=()), torch.nn.Linear(4, 2)
        >>> recorder.on_train_epoch_end(SimpleNamespace(current_epoch=0, is_global_zero=True), module)
        >>> recorder.history.epochs
        [0]
        """
        epoch = trainer.current_epoch
        if (epoch + 1) % self._every or not getattr(trainer, "is_global_zero", True):
            return
        torch = require("torch", extra="deq")
        with torch.random.fork_rng(devices=[]):  # a loader draws a seed for its workers
            found = cast(Measures, measure_model(pl_module, self._loader, **self._options))
        self.history.record(epoch, found)
        for name in self._log:
            value = getattr(found, name)
            if value is not None and math.isfinite(value):
                pl_module.log(f"nc/{name}", float(value), rank_zero_only=True)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the history.

        >>> EpochRecorder([]).state_dict()
        {'epochs': [], 'rows': []}
        """
        return {"epochs": list(self.history.epochs), "rows": plain("rows", self.history.rows)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint's history.

        >>> EpochRecorder([]).load_state_dict({"epochs": [], "rows": []})
        """
        self.history = History(list(state_dict["epochs"]), list(state_dict["rows"]))


def lightning_callback(loader: Iterable[Any], *, every: int = 1, log: Sequence[str] = LOGGED, **options: Any) -> Any:
    """A Lightning ``Callback`` that measures neural collapse over the epochs: an :class:`EpochRecorder`.

    ``Trainer(callbacks=[lightning_callback(loader)])``; afterwards ``callback.history.plot()``. Of the two packages
    that Lightning comes in, ``lightning`` is taken, else ``pytorch_lightning``.

    Args:
        loader, every, log, options: see :class:`EpochRecorder`.

    Raises:
        ImportError: Lightning is not installed.
        TypeError, ValueError: see :class:`EpochRecorder`.

    >>> lightning_callback(iter([]))
    Traceback (most recent call last):
        ...
    TypeError: loader must be an iterable that can be gone through again, got list_iterator
    """
    EpochRecorder(loader, every=every, log=log, **options)  # a mistake is told before anything is imported
    kind = type("NeuralCollapse", (EpochRecorder, _callback_class()), {"__doc__": EpochRecorder.__doc__})
    return kind(loader, every=every, log=log, **options)


def _callback_class() -> type[Any]:
    for home in HOMES:
        try:
            found: type[Any] = importlib.import_module(home).Callback
        except ModuleNotFoundError as error:
            if error.name not in (home, home.partition(".")[0]):
                raise
        else:
            return found
    raise ImportError("this needs lightning: pip install lightning", name="lightning")


def _checked_names(log: Sequence[str]) -> tuple[str, ...]:
    numbers = [f.name for f in dataclasses.fields(Measures) if str(f.type) in ("float", "float | None")]
    if isinstance(log, str) or not all(name in numbers for name in log):
        raise ValueError(f"log must hold names among {', '.join(numbers)}, got {log!r}")
    return tuple(log)
