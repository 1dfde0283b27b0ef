"""Module paths of the first edition, kept importable: ``import ufm.priors`` gives :mod:`ufm.labels`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["MOVED", "install"]

#: Old path -> where the module is now.
MOVED = {
    "ufm.priors": "ufm.labels",
    "ufm.solvers.batch": "ufm.two_groups.batch",
    "ufm.phase": "ufm.two_groups.phase_diagram",
    "ufm.transitions": "ufm.two_groups.transitions",
    "ufm.boundaries": "ufm.landscape.etf_boundary",
    "ufm.deq.models": "ufm.networks.models",
    "ufm.deq.resnet": "ufm.networks.resnet",
    "ufm.deq.data": "ufm.data",
    "ufm.deq.experiment": "ufm.trainings.experiment",
    "ufm.deq.hysteresis": "ufm.trainings.hysteresis",
    "ufm.deq.paper": "ufm.trainings.paper",
    "ufm.deq.plotting": "ufm.trainings.plotting",
    "ufm.deq.prediction": "ufm.trainings.prediction",
    "ufm.deq.sweep": "ufm.trainings.sweep",
    "ufm.deq.threshold": "ufm.trainings.threshold",
    "ufm.deq.training": "ufm.trainings.training",
}


class _Finder:
    """Resolves an old path to the module itself, not to a copy: both names give the same object."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # no importlib.abc.Loader for the type checker's sake: importing that takes as long as importing this package
        return ModuleSpec(fullname, self) if fullname in MOVED else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return ModuleType(spec.name)  # a stand-in until exec_module puts the real one in its place

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        sys.modules[old] = importlib.import_module(MOVED[old])  # the import system returns what stands there


def install() -> None:
    """Make the old paths importable; repeated calls change nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
