"""What commands share: options, and how their text becomes numbers, lists, arrays and priors."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ufm._extras import require_installed

if TYPE_CHECKING:
    from ufm.labels import ClassPrior

__all__ = [
    "FigureOption",
    "JsonOption",
    "LossOption",
    "MajorityOption",
    "MinorityOption",
    "Options",
    "RootOption",
    "SeedOption",
    "check_figure",
    "check_loss_name",
    "class_numbers",
    "flag",
    "numbers",
    "parsed",
    "prepare_files",
    "prior_of",
    "with_options",
]

#: Options by the name of the argument that they become: the kinds of :func:`parsed`, flags, help.
Options = dict[str, tuple[tuple[type, ...], tuple[str, ...], str]]


def parsed(*kinds: type) -> dict[str, Any]:
    """Keywords of ``typer.Option`` that parse an ``int``, a ``float`` or, failing these, ``str``, by the ``kinds``.

    Unlike typer's own, the error shows the text that is none of them.

    >>> parse = parsed(int, float)["parser"]
    >>> parse("3"), parse("0.5"), parse("inf")
    (3, 0.5, inf)
    """
    nouns = {int: "an integer", float: "a number"}
    wanted = " or ".join(noun for kind, noun in nouns.items() if kind in kinds)

    def parse(text: str) -> Any:
        for kind in (int, float, str):
            if kind in kinds:
                try:
                    return kind(text)
                except ValueError:
                    continue
        raise typer.BadParameter(f"must be {wanted}, got {text!r}")

    return {"parser": parse, "metavar": f"<{'|'.join(kind.__name__ for kind in kinds)}>"}


_INTEGER = parsed(int)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
FigureOption = Annotated[
    Path | None, typer.Option("--figure", help="Draw s_B against n_B into this .svg, .png or .pdf.")
]
RootOption = Annotated[Path | None, typer.Option("--root", help="Folder of the data set's files.")]
LossOption = Annotated[str, typer.Option("--loss", help="ce (cross-entropy), mse, or, with solve and threshold, bce.")]
MajorityOption = Annotated[int | None, typer.Option("--majority", help="Number K_A of majority classes.", **_INTEGER)]
MinorityOption = Annotated[int | None, typer.Option("--minority", help="Number K_B of minority classes.", **_INTEGER)]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of everything random.", **_INTEGER)]


def with_options(
    options: Options, build: Callable[[dict[str, Any]], Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command ``options`` in place of its first parameter, which gets ``build`` of those that were given.

    Raises:
        ValueError: one of them has a name that the command has too.

    >>> @with_options({"rho": ((float,), ("--rho",), "Spectral bound.")}, dict)
    ... def show(given, name):
    ...     print(given, name)
    >>> show(rho=0.5, name="A")
    {'rho': 0.5} A
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        twice = options.keys() & {p.name for p in own}
        if twice:
            raise ValueError(f"options of {function.__name__} must differ from its own, got {', '.join(sorted(twice))}")
        shared = [
            inspect.Parameter(
                key,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[Any, typer.Option(*flags, help=text, **parsed(*kinds))],
            )
            for key, (kinds, flags, text) in options.items()
        ]

        def wrapper(**values: Any) -> None:
            given = {key: value for key in options if (value := values.pop(key)) is not None}
            function(build(given), **values)

        parameters = [*shared, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own)]
        wrapper.__name__, wrapper.__doc__ = function.__name__, function.__doc__
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapper

    return decorate


def flag(key: str) -> str:
    """The option of the argument ``key``.

    >>> flag("E_W")
    '--E-W'
    """
    return f"--{key.replace('_', '-')}"


def numbers(name: str, text: str) -> list[float]:
    """The numbers in a text; ValueError that names the option of ``name`` for text that is none.

    >>> numbers("counts", "100,10")
    [100.0, 10.0]
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        option = name if name.startswith("--") else flag(name)
        raise ValueError(f"{option} must be numbers separated by commas, got {text!r}") from None


def prior_of(
    counts: str | None,
    majority: int | None,
    minority: int | None,
    ratio: float | None,
    minority_count: float | None,
) -> ClassPrior:
    """The class prior of ``--counts``, or of ``--majority``, ``--minority``, ``--ratio`` and ``--minority-count``.

    >>> prior_of(None, 2, 1, 10.0, None)
    ClassPrior([10, 10, 1])
    """
    from ufm.labels import ClassPrior

    if counts is not None:
        if any(value is not None for value in (majority, minority, ratio, minority_count)):
            raise ValueError("--counts must stand alone, without --majority, --minority, --ratio and --minority-count")
        return ClassPrior(numbers("counts", counts))
    k_a, k_b = class_numbers(majority, minority, "; or give --counts")
    if ratio is None:
        raise ValueError("--ratio must be given with --majority and --minority")
    return ClassPrior.step(k_a, k_b, ratio, 1.0 if minority_count is None else minority_count)


def check_loss_name(loss: str) -> None:
    """ValueError where ``--loss`` is no name of a loss; a file states those that have parameters."""
    from ufm.losses import LOSSES

    if loss not in LOSSES:
        names = ", ".join(map(repr, LOSSES))
        raise ValueError(
            f"--loss must be one of {names}, got {loss!r}; ufm solve FILE takes the others, with parameters"
        )


def class_numbers(majority: int | None, minority: int | None, otherwise: str = "") -> tuple[int, int]:
    """(K_A, K_B), or a ValueError that asks for them.

    >>> class_numbers(5, None)
    Traceback (most recent call last):
    ValueError: --majority and --minority must be given
    """
    if majority is None or minority is None:
        raise ValueError(f"--majority and --minority must be given{otherwise}")
    return majority, minority


def check_figure(name: str, path: Path | None) -> None:
    """ValueError for the name of a figure that cannot be written, MissingExtraError where none can be drawn.

    >>> check_figure("plot", Path("phases.gif"))
    Traceback (most recent call last):
    ValueError: --plot must end in .png, .svg or .pdf, got 'phases.gif'
    """
    if path is None:
        return
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--{name} must end in .png, .svg or .pdf, got {str(path)!r}")
    require_installed("matplotlib", extra="plot")  # now, and not after hours of training


def prepare_files(out: Path | None, figure: Path | None) -> None:
    """See that both can be written, before any training; None for what is not wanted.

    >>> prepare_files(None, Path("loop.txt"))
    Traceback (most recent call last):
    ValueError: --figure must end in .png, .svg or .pdf, got 'loop.txt'
    """
    from ufm.verification import prepare_directory

    check_figure("figure", figure)
    for name, path in (("--out", out), ("--figure", figure)):
        if path is not None:
            prepare_directory(path.parent, f"{name}'s folder")
