"""Optional packages: the core needs NumPy and SciPy alone, and where another is missing one error names its extra."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator
from types import ModuleType

__all__ = ["MissingExtraError", "optional", "require", "require_installed"]

#: Import names that differ from what pip installs.
_DISTRIBUTIONS = {"flint": "python-flint", "sklearn": "scikit-learn"}


class MissingExtraError(ImportError):
    """An optional package is missing.

    Attributes:
        package: its import name.
        extra: the extra of ``ufm`` that installs it.
    """

    def __init__(self, package: str, extra: str) -> None:
        distribution = _DISTRIBUTIONS.get(package, package)
        super().__init__(f"this needs {distribution}: pip install 'ufm[{extra}]'", name=package)
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        return type(self), (self.package, self.extra)  # it crosses process pools


@contextlib.contextmanager
def optional(extra: str) -> Iterator[None]:
    """Imports of optional packages in the block: a missing one becomes an error that names ``extra``.

    >>> with optional("grids"):
    ...     import no_such_package
    Traceback (most recent call last):
    ufm._extras.MissingExtraError: this needs no_such_package: pip install 'ufm[grids]'

    Raises:
        MissingExtraError: a package is not installed. A module of this package that is missing is a fault of ours, and
            a package that is there but broken is not missing: both errors pass unchanged.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "ufm", "proofs_check"):
            raise
        raise MissingExtraError(package, extra) from error


def require(package: str, *, extra: str) -> ModuleType:
    """Import ``package``, which the extra ``extra`` installs, before any work starts.

    >>> require("json", extra="report").__name__
    'json'

    Raises:
        MissingExtraError: it is not installed.
    """
    with optional(extra):
        return importlib.import_module(package)


def require_installed(*packages: str, extra: str) -> None:
    """Look for ``packages``, which ``extra`` installs, without importing them: for work that may need them much later.

    >>> require_installed("json", "csv", extra="report")

    Raises:
        MissingExtraError: one is not installed; it is named.
    """
    for package in packages:
        with optional(extra):
            if importlib.util.find_spec(package) is None:
                raise ModuleNotFoundError(f"No module named {package!r}", name=package)
