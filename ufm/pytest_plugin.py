"""A plugin of pytest: ``pytest --ufm-claims my_claims.py`` collects every claim of a file or module as a test.

A test passes where its claim comes out as claimed (proved, certified, supported) and none of its false variants does::

    pytest --ufm-claims my_claims.py                      # these claims alone, as no other tests are named
    pytest --ufm-claims my_package.claims tests           # beside other tests
    pytest --ufm-claims my_claims.py -k two-and-two       # one of them

Installed with ufm, pytest loads it by itself (entry point of the group ``pytest11``).
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ufm.claims import Claim, Verdict

__all__ = ["ClaimFailure"]  # pytest alone calls the rest

_SOURCES: pytest.StashKey[dict[Path, str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--ufm-claims`` and ``--ufm-effort``."""
    group = parser.getgroup("ufm", "claims of ufm")
    group.addoption(
        "--ufm-claims",
        action="append",
        default=[],
        metavar="FILE|MODULE",
        help="collect the claims (ufm.claim) of a .py file or a module as tests; can be given several times",
    )
    group.addoption(
        "--ufm-effort", choices=("quick", "full"), default="quick", help="effort of their checks (default: quick)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Find the files of the claims; where no tests are named, collect these files alone."""
    named = config.getoption("--ufm-claims")
    sources = {_path(source): source for source in named}
    config.stash[_SOURCES] = sources
    if sources and config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = [str(path) for path in sources]
    elif sources:
        config.args += [str(path) for path in sources if not _within(path, config.args)]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ClaimFile | None:
    """A collector for a file with claims that ``--ufm-claims`` names."""
    source = parent.config.stash[_SOURCES].get(file_path.resolve())
    return None if source is None else ClaimFile.from_parent(parent, path=file_path, source=source)


class ClaimFile(pytest.File):
    """Collects the claims of one file."""

    def __init__(self, *, source: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source

    def collect(self) -> Iterator[ClaimItem]:
        """One test a claim, under the claim's id."""
        from ufm.claims import package_claims
        from ufm.claims.plugins import claims_of

        try:
            claims = claims_of(self.source, "--ufm-claims", package_claims())
        except ValueError as error:
            raise self.CollectError(str(error)) from error
        for name, claim in claims.items():
            yield ClaimItem.from_parent(self, name=name, claim=claim)


class ClaimFailure(Exception):
    """A claim that did not come out as claimed, or a false variant that did."""


class ClaimItem(pytest.Item):
    """A claim as a test."""

    def __init__(self, *, claim: Claim, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.claim = claim

    def runtest(self) -> None:
        """Check the claim, then its false variants."""
        verdict = self._verdict(self.claim)
        if not verdict.as_claimed:
            raise ClaimFailure(_told(verdict))
        for name, variant in self.claim.false_variants.items():
            verdict = self._verdict(variant)
            if verdict.as_claimed:
                raise ClaimFailure(f"the false variant {name!r} came out as if it were true\n{_told(verdict)}")

    def _verdict(self, claim: Claim) -> Verdict:
        from ufm.verification import verify

        (verdict,) = verify([claim], self.config.getoption("--ufm-effort"))
        return verdict

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The claim and what was found, without a traceback."""
        if isinstance(excinfo.value, ClaimFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The file, and the claim's id and title."""
        return self.path, None, f"claim {self.claim.id}: {self.claim.title}"


def _told(verdict: Verdict) -> str:
    lines = {
        "verdict": f"{verdict.status.value}: {verdict.evidence.summary}",
        "claim": f"{verdict.claim.id}: {verdict.claim.title}",
        "statement": verdict.claim.statement,
        "source": verdict.claim.source,
    }
    return "\n".join(f"{name:>9}: {text}" for name, text in lines.items())


def _path(source: str) -> Path:
    """The file of a source; a usage error where there is none."""
    path = Path(source)
    if not source.endswith(".py") and not path.is_file():
        if (here := os.getcwd()) not in sys.path:
            sys.path.insert(0, here)  # as python -m pytest does
        try:
            spec = importlib.util.find_spec(source)
        except (ImportError, ValueError) as error:
            raise pytest.UsageError(f"--ufm-claims must name a .py file or a module, got {source!r}: {error}") from None
        if spec is None or spec.origin is None:
            raise pytest.UsageError(f"--ufm-claims must name a .py file or a module, got {source!r}")
        path = Path(spec.origin)
    if not path.is_file():
        raise pytest.UsageError(f"--ufm-claims must name a .py file that exists, got {source!r}")
    return path.resolve()


def _within(path: Path, args: list[str]) -> bool:
    """Whether one of the files or folders that were named holds ``path``."""
    named = [Path(arg.partition("::")[0]).resolve() for arg in args]
    return any(path == place or place in path.parents for place in named)
