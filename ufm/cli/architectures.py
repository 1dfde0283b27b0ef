"""Architectures on the command line: their names and options are those of the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ufm import architectures
from ufm._parameters import Parameter, parameters_of
from ufm._validation import one_of
from ufm.architectures import command_word
from ufm.cli.options import Options, flag, numbers

if TYPE_CHECKING:
    from ufm.architectures import Architecture

__all__ = ["ARCHITECTURES", "ARCHITECTURE_OPTIONS", "architecture_of"]

DEFAULT = "layer-peeled"

#: Classes by their name on the command line, the default first.
_CLASSES = dict(
    sorted(
        ((command_word(cls), cls) for cls in architectures.ARCHITECTURES.values()), key=lambda item: item[0] != DEFAULT
    )
)
_PARAMETERS = {name: parameters_of(cls) for name, cls in _CLASSES.items()}


def _described() -> dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return {
        name: (
            cls.__name__,
            tuple(p.name for p in _PARAMETERS[name] if p.required),
            tuple(p.name for p in _PARAMETERS[name] if not p.required),
        )
        for name, cls in _CLASSES.items()
    }


#: Architectures by their name on the command line: class, the options it needs and those it may be given.
ARCHITECTURES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = _described()


def _options() -> Options:
    """One option for every parameter of some architecture; its help says what it is, and of which architectures."""
    found: dict[str, dict[str, Parameter]] = {}
    for name, parameters in _PARAMETERS.items():
        for parameter in parameters:
            found.setdefault(parameter.name, {})[name] = parameter
    return {key: (_kinds(of), _flags(key), _help(of)) for key, of in found.items()}


def _kinds(of: dict[str, Parameter]) -> tuple[type, ...]:
    """What a value may be; sequences are read once the architecture is known."""
    kinds = {kind: None for parameter in of.values() for kind in parameter.kinds}
    return (str,) if tuple in kinds else tuple(kinds)


def _flags(key: str) -> tuple[str, ...]:
    """``--E-W`` and, for those who do not care, ``--e-w``."""
    return tuple(dict.fromkeys((flag(key), flag(key.lower()))))


def _help(of: dict[str, Parameter]) -> str:
    texts: dict[str, list[str]] = {}
    for name, parameter in of.items():
        text = parameter.text.removesuffix("; None for none") + ("" if parameter.required else ", optional")
        texts.setdefault(text, []).append(name)
    return " ".join(f"{text[:1].upper()}{text[1:]} ({', '.join(names)})." for text, names in texts.items())


#: Options that choose an architecture, shared by several commands: what a value is, flags, help.
ARCHITECTURE_OPTIONS: Options = {
    "architecture": ((str,), ("--architecture", "-a"), f"One of {', '.join(_CLASSES)}. (default {DEFAULT})"),
    **_options(),
}


def architecture_of(given: dict[str, Any]) -> Architecture:
    """The architecture of the options; raises ValueError for one that is missing or plays no role.

    >>> architecture_of({"architecture": "deep-linear", "budgets": "1,2"})
    DeepLinear(budgets=(1.0, 2.0))
    >>> architecture_of({"lambdas": "0.1,0.1"})
    Traceback (most recent call last):
        ...
    ValueError: --E-W, --E-H must be given for --architecture layer-peeled; --lambdas suit --architecture ...
    """
    name = one_of("--architecture", given.pop("architecture", DEFAULT), _CLASSES)
    _, wanted, optional = ARCHITECTURES[name]
    missing = [flag(key) for key in wanted if key not in given]
    if missing:
        others = [n for n, (_, w, o) in ARCHITECTURES.items() if given and {*w} <= {*given} <= {*w, *o}]
        hint = f"; {', '.join(map(flag, given))} suit --architecture {' or '.join(others)}" if others else ""
        raise ValueError(f"{', '.join(missing)} must be given for --architecture {name}{hint}")
    idle = [flag(key) for key in given if key not in wanted + optional]
    if idle:
        taken = ", ".join(map(flag, wanted + optional))
        raise ValueError(f"{', '.join(idle)} plays no role for --architecture {name}: it takes {taken}")
    sequences = {p.name for p in _PARAMETERS[name] if tuple in p.kinds}
    return _CLASSES[name](**{k: tuple(numbers(k, v)) if k in sequences else v for k, v in given.items()})
