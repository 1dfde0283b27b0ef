"""What a claim is, what its check returns, and judgements that are hard to get wrong.

A claim is a statement with its source and hypotheses and a check. A check looks for evidence and never just asserts:

* ``proved``: an exact symbolic proof, every step decided;
* ``certified``: rigorous arithmetic (exact rationals or ball arithmetic) establishes the statement as it stands;
* ``supported``: floating-point evidence with known error bounds agrees, and is no proof;
* ``refuted``: rigorous evidence excludes the statement;
* ``inconclusive``: anything else, a crash and a NaN included.

Only the first three count as *as claimed*. The ``judge_*`` functions below turn numbers into a status: they give
``certified`` and ``refuted`` to rigorous enclosures alone, and ``inconclusive`` whenever a number is missing its error.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from proofs_check.scope import Scope, beyond, hypotheses
from ufm._json import plain
from ufm._validation import integer, one_of, real, sequence

if TYPE_CHECKING:
    from ufm.certificates import Certificate

__all__ = [
    "EFFORTS",
    "STANDINGS",
    "Check",
    "Citation",
    "Claim",
    "Context",
    "Enclosure",
    "Evidence",
    "Figure",
    "Scope",
    "Status",
    "Verdict",
    "claim",
    "combine",
    "judge_equal",
    "judge_order",
    "plain",
]

EFFORTS = ("quick", "full")

#: How a claim stands to what its source says: it says the same; more; with hypotheses or numbers put right; that the
#: source's statement, as stated here, is false; or something that no source says.
STANDINGS = ("confirmed", "sharpened", "corrected", "refuted", "new")

T = TypeVar("T")

#: Longest id of a claim: file names, such as those of kept verdicts, are made of it.
LONGEST_ID = 100


class Status(StrEnum):
    """How a claim came out."""

    proved = "proved"
    certified = "certified"
    supported = "supported"
    refuted = "refuted"
    inconclusive = "inconclusive"

    @property
    def as_claimed(self) -> bool:
        """Whether the claim came out as claimed: proved, certified or supported."""
        return self in (Status.proved, Status.certified, Status.supported)


def _status(value: Any, name: str = "status") -> Status:
    try:
        return Status(value)
    except ValueError:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, map(str, Status)))}, got {value!r}") from None


@dataclass(frozen=True)
class Figure:
    """Data of a figure for the report; :mod:`ufm.report.figures` draws it.

    Attributes:
        kind: which drawing, one of ``ufm.report.figures.KINDS``.
        title: short title, also the accessible name of the drawing.
        caption: what to see in it.
        data: the numbers, JSON-able, in the layout that :mod:`ufm.report.figures` documents for the kind.
    """

    kind: str
    title: str
    caption: str
    data: dict[str, Any]

    def __post_init__(self) -> None:
        for name in ("kind", "title", "caption"):
            _text(f"figure {name}", getattr(self, name))
        object.__setattr__(self, "data", plain("figure data", self.data))


@dataclass(frozen=True)
class Citation:
    """A theorem of ``proofs_check`` as a check ran it.

    Attributes:
        theorem: its name.
        status: how its proof came out.
        texts: its statement, or the parts of it that are cited, word for word; the claim must say them.
        scope: what it covers, one case each; the claim must stay inside.
        lemma: whether it is only used on the way: the claim need not say it, and it proves nothing by itself.
        used_for: the part of the claim that a lemma is used for; all of it if empty.
        lemmas: classical lemmas that it assumes, or a theorem that it uses.
        uses: other theorems that it uses, directly or not.
        failing: its steps that were not decided, and the theorems it uses that are not proved.
        num_steps: its exact steps, those that say 0 = 0 as written left out.
        coq: how many of its steps the second kernel accepted when ``make proofs`` last ran, and of how many, those that
            say 0 = 0 included.
    """

    theorem: str
    status: Status
    texts: tuple[str, ...] = ()
    scope: tuple[Scope, ...] = ()
    lemma: bool = False
    used_for: tuple[Scope, ...] = ()
    lemmas: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    num_steps: int = 0
    coq: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Evidence:
    """What a check found.

    Attributes:
        status: the judgement.
        summary: one line, with numbers.
        details: what the summary rests on, JSON-able (NumPy scalars and arrays are converted).
        established_by: what established it, strongest first, e.g. ``("ball arithmetic",)``. Required unless the
            status is inconclusive.
        assumptions: what is used without being checked here, e.g. classical lemmas by name.
        figures: data of figures for the report.
        cites: theorems that it rests on; the claim's statement and scope are compared with theirs.
        instances: what the numbers show without those theorems, None where there are none: what a statement that says
            more than its theorems is judged by.

    Raises:
        ValueError: NaN among the details of a conclusive judgement, an empty summary, or a conclusive judgement that
            does not say what established it.
        TypeError: details that JSON cannot hold.
    """

    status: Status
    summary: str
    details: dict[str, Any] = field(default_factory=dict)
    established_by: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    cites: tuple[Citation, ...] = ()
    instances: Status | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", _status(self.status))
        _text("evidence summary", self.summary)
        object.__setattr__(self, "established_by", _texts("established_by", self.established_by))
        object.__setattr__(self, "assumptions", _texts("assumptions", self.assumptions))
        object.__setattr__(self, "figures", _all("figures", self.figures, Figure))
        object.__setattr__(self, "cites", _all("cites", self.cites, Citation))
        if self.instances is not None:
            object.__setattr__(self, "instances", _status(self.instances, "instances"))
        if not isinstance(self.details, Mapping):
            raise TypeError(f"evidence details must be a dictionary with string keys, got {self.details!r}")
        if self.status is not Status.inconclusive and not self.established_by:
            raise ValueError(f"established_by must not be empty for status {self.status.value!r}")
        details = plain("evidence details", self.details)
        if self.status is not Status.inconclusive and _has_nan(details):
            raise ValueError(f"evidence details contain NaN, which supports nothing (status {self.status.value!r})")
        object.__setattr__(self, "details", details)

    def __str__(self) -> str:
        return self.summary


Check = Callable[["Context"], Evidence]


@dataclass(frozen=True)
class Claim:
    """A statement of the theory with the check that tries it and the false variants that try the check.

    ``claim.check(context)`` compares what the check found with what the claim says: evidence that cites theorems counts
    only where the statement says what they say, word for word, and the scope lies inside theirs.

    Attributes:
        id: kebab-case identifier.
        title: a few words.
        statement: the precise statement, plain text with Unicode mathematics.
        source: paper and theorem, or where else it comes from.
        check: looks for evidence; what it raises makes the verdict inconclusive.
        group: heading it stands under in the report.
        hypotheses: what the statement assumes, those that the ``scope`` says included.
        region: where it holds, if that is narrower than the hypotheses say; None otherwise.
        effort: ``"full"`` for a check too long for a quick run: it runs at full effort, or when named.
        scope: losses, models, classes, groups and dimension it is about, one :class:`Scope` or several cases; needed by a
            claim that cites a theorem.
        variants: false variants by what is wrong in each; none of them may come out as claimed.
        off_by: the claim with its quantity multiplied by ``1 + x``, for false variants of any size.
        resolution: relative error of that quantity, either way, that the check is shown to notice.
        papers: keys of the papers that it is about, such as ``"dang2024"`` (:data:`ufm.claims.PAPERS`).
        topic: what it is found by, such as ``"depth"`` (:data:`ufm.claims.TOPICS`).
        standing: how it stands to what its source says, one of :data:`STANDINGS`.
        core: whether a run of quick effort that names no claim includes it.
    """

    id: str
    title: str
    statement: str
    source: str
    check: Check = field(repr=False, compare=False)
    group: str
    hypotheses: tuple[str, ...] = ()
    region: str | None = None
    effort: str = "quick"
    scope: Scope | tuple[Scope, ...] = ()
    variants: Mapping[str, Claim] = field(default_factory=dict, repr=False, compare=False)
    off_by: Callable[[float], Claim] | None = field(default=None, repr=False, compare=False)
    resolution: float | None = None
    papers: tuple[str, ...] = ()
    topic: str = ""
    standing: str = "new"
    core: bool = True

    def __post_init__(self) -> None:
        for name in ("id", "title", "statement", "source", "group"):
            _text(f"claim {name}", getattr(self, name))
        parts = self.id.split("-")
        if not self.id.isascii() or self.id != self.id.lower() or not all(p.isalnum() for p in parts):
            raise ValueError(f"claim id must be kebab-case (a-z, 0-9, '-'), got {self.id!r}")
        if len(self.id) > LONGEST_ID:
            raise ValueError(f"claim id must have at most {LONGEST_ID} characters, for files bear it, got {self.id!r}")
        if not callable(self.check):
            raise TypeError(f"check of claim {self.id!r} must be callable, got {self.check!r}")
        scope = (self.scope,) if isinstance(self.scope, Scope) else tuple(self.scope)
        if not all(isinstance(case, Scope) for case in scope):
            raise TypeError(f"scope of claim {self.id!r} must be a Scope or a tuple of them, got {self.scope!r}")
        object.__setattr__(self, "scope", scope)
        self._check_variants()
        if self.region is not None:
            _text(f"region of claim {self.id!r}", self.region)
        if not isinstance(self.topic, str):
            raise TypeError(f"topic of claim {self.id!r} must be a string, got {self.topic!r}")
        if not isinstance(self.core, bool):
            raise TypeError(f"core of claim {self.id!r} must be True or False, got {self.core!r}")
        said = hypotheses(scope) if scope else ()
        object.__setattr__(self, "hypotheses", tuple(dict.fromkeys((*said, *_texts("hypotheses", self.hypotheses)))))
        object.__setattr__(self, "papers", _texts("papers", self.papers))
        one_of("effort", self.effort, EFFORTS)
        one_of("standing", self.standing, STANDINGS)
        search = self.check.search if isinstance(self.check, _Compared) else self.check
        object.__setattr__(self, "check", _Compared(self, search))

    def _check_variants(self) -> None:
        """What the false variants are made by: they are asked for long after the claim is made."""
        if not isinstance(self.variants, Mapping):
            raise TypeError(f"variants of claim {self.id!r} must be a dictionary of claims, got {self.variants!r}")
        for name, variant in self.variants.items():
            if not isinstance(name, str) or not isinstance(variant, Claim):
                raise TypeError(
                    f"variants of claim {self.id!r} must be claims by what is wrong in each, got {variant!r} by {name!r}"
                )
        if (self.resolution is None) != (self.off_by is None):
            raise ValueError(f"resolution of claim {self.id!r} must come with off_by, which measures it")
        if self.off_by is None:
            return
        if not callable(self.off_by):
            raise TypeError(
                f"off_by of claim {self.id!r} must be a function of the relative error, got {self.off_by!r}"
            )
        if not 0 < real(f"resolution of claim {self.id!r}", self.resolution) < 1:
            raise ValueError(f"resolution of claim {self.id!r} must be in (0, 1), got {self.resolution!r}")

    def __call__(self, context: Context) -> Evidence:
        """The same as ``check``: a claim made with :func:`claim` is called like the function under it."""
        return self.check(context)

    @property
    def losses(self) -> tuple[str, ...]:
        """Keys of the losses that it is about, from its scope."""
        return tuple(dict.fromkeys(loss for case in _cases(self) for loss in case.losses))

    @property
    def architectures(self) -> tuple[str, ...]:
        """Keys of the models that it is about, from its scope."""
        return tuple(dict.fromkeys(model for case in _cases(self) for model in case.models))

    @property
    def false_variants(self) -> dict[str, Claim]:
        """The ``variants``, and the claim off by its ``resolution`` either way."""
        found = dict(self.variants)
        if self.off_by is not None and self.resolution is not None:
            for size in (self.resolution, -self.resolution):
                off = self.off_by(size)
                if not isinstance(off, Claim):
                    raise TypeError(f"off_by of claim {self.id!r} must return a Claim, got {off!r}")
                found[f"off by {size:+.0e}"] = off
        return found


def claim(
    *,
    id: str,
    title: str,
    statement: str,
    source: str,
    hypotheses: tuple[str, ...] = (),
    group: str = "Claims of your own",
    **fields: Any,
) -> Callable[[Check], Claim]:
    """Make a :class:`Claim` of the function below, which is its check: it takes a :class:`Context` and returns :class:`Evidence`.

    The arguments are the fields of :class:`Claim`, ``scope``, ``variants`` and the others included. The claim goes where ids
    of claims go: ``ufm.verify([check, "fang-thresholds"])``.

    Raises:
        ValueError, TypeError: a field that no claim can have, or something below that cannot be called.

    >>> @claim(id="two-and-two", title="Sum", statement="2 + 2 = 4.", source="Euclid")
    ... def check(context):
    ...     return Evidence("certified", f"2 + 2 is {2 + 2}", established_by=("integer arithmetic",))
    >>> check.id, check(Context()).status.value
    ('two-and-two', 'certified')
    """

    def made(check: Check) -> Claim:
        return Claim(
            id=id,
            title=title,
            statement=statement,
            source=source,
            check=check,
            group=group,
            hypotheses=hypotheses,
            **fields,
        )

    return made


@dataclass(frozen=True, eq=False)
class _Compared:
    """The check of a claim, its evidence compared with what the claim says."""

    claim: Claim
    search: Check

    def __call__(self, context: Context) -> Evidence:
        """What the search finds, inconclusive where the claim is not what the cited theorems prove."""
        found = self.search(context)
        if not isinstance(found, Evidence):
            raise TypeError(f"the check of {self.claim.id!r} must return Evidence, got {found!r}")
        files = context.records.get("certificates")
        if files and "certificates" not in found.details:
            found = replace(found, details={**found.details, "certificates": list(dict.fromkeys(files))})
        mismatch = _mismatch(self.claim, found) if found.status.as_claimed else None
        if mismatch is not None:
            return replace(found, status=Status.inconclusive, summary=f"inconclusive: {mismatch}; {found.summary}")
        proofs = [c for c in found.cites if not c.lemma]
        if found.status is Status.proved and proofs and _rest(self.claim.statement, proofs):
            # what the statement says beyond the theorems is as certain as the instances make it
            seen = combine([found.status, found.instances or Status.inconclusive])
            found = replace(found, status=seen)
        if self.claim.resolution is not None and found.status is Status.supported:
            sharp = f"would notice a relative error of {self.claim.resolution:.0e} (tried on false variants)"
            found = replace(found, established_by=(*found.established_by, sharp))
        return found


def _mismatch(claim: Claim, evidence: Evidence) -> str | None:
    """Why the theorems that the evidence cites do not establish this claim; None where they do."""
    for cited in evidence.cites:
        if cited.status is not Status.proved:
            return f"theorem {cited.theorem} is {cited.status.value}"
        if not claim.scope:
            return f"the claim has no scope to compare with that of theorem {cited.theorem}"
        cases = cited.used_for if cited.lemma and cited.used_for else _cases(claim)
        wider = next(filter(None, (beyond(case, cited.scope) for case in cases)), None)
        if wider is not None:
            return f"wider than theorem {cited.theorem}: {wider}"
    for cited in evidence.cites:
        unsaid = [text for text in cited.texts if not cited.lemma and _find(text, claim.statement) < 0]
        if not cited.lemma and (unsaid or not cited.texts):
            return f"the statement is not that of theorem {cited.theorem}, which says: {' '.join(unsaid)}"
    return None


def _cases(claim: Claim) -> tuple[Scope, ...]:
    return (claim.scope,) if isinstance(claim.scope, Scope) else claim.scope


def _find(text: str, statement: str) -> int:
    """Where ``text`` stands in ``statement`` as whole sentences; -1 if it does not."""
    at = statement.find(text)
    after = statement[at + len(text) :]
    whole = text.endswith(".") and (at == 0 or statement[:at].endswith(". ")) and (not after or after.startswith(" "))
    return at if at >= 0 and whole else -1


def _rest(statement: str, proofs: Iterable[Citation]) -> str:
    """What ``statement`` says beyond the texts of the theorems."""
    for cited in proofs:
        for text in cited.texts:
            statement = statement.replace(text, "")
    return statement.strip()


@dataclass(frozen=True)
class Verdict:
    """A claim, the evidence found for it, and how long that took.

    Attributes:
        claim: the claim.
        evidence: what was found; for a check that raised, an inconclusive one that says so.
        seconds: wall-clock time of the check.
        error: ``"Type: message"`` of what the check raised, None if it returned.
    """

    claim: Claim
    evidence: Evidence
    seconds: float
    error: str | None = None

    @property
    def status(self) -> Status:
        """How the claim came out."""
        return self.evidence.status

    @property
    def as_claimed(self) -> bool:
        """Whether it came out as claimed."""
        return self.status.as_claimed


@dataclass
class Context:
    """What a check may use of the run it is part of.

    Attributes:
        effort: ``"quick"`` or ``"full"``.
        seed: seed of everything random.
        out: directory for checkpoints of long work, or None.
        on_progress: called as ``on_progress(description, completed, total)``; total may be None.
        cache: results that several claims share, see :meth:`once`.
        records: finished pieces of the check that is running, see :meth:`record`.

    Raises:
        TypeError, ValueError: the effort is neither of the two, or the seed is no integer >= 0.

    >>> context = Context(on_progress=lambda description, completed, total: print(description, completed, "of", total))
    >>> context.progress("thresholds", 1, 3)
    thresholds 1 of 3
    >>> context.once("grid", lambda: [0.1, 0.2])
    [0.1, 0.2]
    >>> context.once("grid", lambda: 1 / 0)  # there already: the function is not called
    [0.1, 0.2]
    >>> context.record("thresholds", {"tau": 0.5, "R": np.float64(4.0)})
    >>> context.records
    {'thresholds': [{'tau': 0.5, 'R': 4.0}]}
    """

    effort: str = "quick"
    seed: int = 0
    out: Path | None = None
    on_progress: Callable[[str, float, float | None], None] | None = field(default=None, repr=False)
    cache: dict[str, Any] = field(default_factory=dict, repr=False)
    records: dict[str, list[Any]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        one_of("effort", self.effort, EFFORTS)
        self.seed = integer("seed", self.seed, minimum=0)

    @property
    def full(self) -> bool:
        """Whether the run is one of full effort."""
        return self.effort == "full"

    def progress(self, description: str, completed: float, total: float | None = None) -> None:
        """Call ``on_progress``, if there is one, with how far the running check has come.

        Args:
            description: what is being done.
            completed: how much of it is done.
            total: how much there is to do; None where that is not known.
        """
        if self.on_progress is not None:
            self.on_progress(description, completed, total)

    def once(self, key: str, compute: Callable[[], T]) -> T:
        """Return ``compute()``, which runs once a verification: claims that ask under the same ``key`` share it."""
        if key not in self.cache:
            self.cache[key] = compute()
        return self.cache[key]

    def record(self, name: str, item: Any) -> None:
        """Keep a finished piece of long work under ``name``: it survives an interruption, in the partial report.

        Raises:
            TypeError: JSON cannot hold the item (NumPy scalars and arrays are converted).
        """
        self.records.setdefault(name, []).append(plain(f"record {name!r}", item))


# Judging ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Enclosure:
    """An interval ``[lower, upper]`` said to hold a true value; ``rigorous`` if exact or ball arithmetic says so.

    An interval that is empty or has a NaN end is not an error but evidence of nothing: every judgement on it is
    inconclusive.

    Raises:
        TypeError: an end is no real number, or ``rigorous`` is neither True nor False.

    >>> Enclosure.around(0.25, error=0.125)  # in floating point: the error is an estimate
    Enclosure(lower=0.125, upper=0.375, rigorous=False)
    >>> Enclosure.around(0.25, error=math.nan).is_valid
    False
    >>> from flint import arb
    >>> third = Enclosure.of_ball(arb(1) / 3)
    >>> third.rigorous, third.lower < 1 / 3 < third.upper
    (True, True)
    """

    lower: float
    upper: float
    rigorous: bool = False

    def __post_init__(self) -> None:
        for name in ("lower", "upper"):
            value = getattr(self, name)
            if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real | np.number):
                raise TypeError(f"{name} must be a real number, got {value!r}")
            object.__setattr__(self, name, float(value))
        if not isinstance(self.rigorous, bool):
            raise TypeError(f"rigorous must be True or False, got {self.rigorous!r}")

    @classmethod
    def around(cls, value: float, error: float) -> Enclosure:
        """Make ``[value - error, value + error]``, not rigorous: the error of a floating-point value is an estimate.

        An error that is negative or NaN makes an enclosure of nothing, both of whose ends are NaN.
        """
        value, error = float(value), float(error)
        if not error >= 0:
            return cls(math.nan, math.nan)
        return cls(value - error, value + error)

    @classmethod
    def of_ball(cls, ball: Any) -> Enclosure:
        """Make the rigorous enclosure of a real ball of python-flint (``arb``), its ends rounded outwards."""
        lower, upper = float(ball.lower()), float(ball.upper())
        return cls(math.nextafter(lower, -math.inf), math.nextafter(upper, math.inf), rigorous=True)

    @classmethod
    def of_certificate(cls, certificate: Certificate, name: str) -> Enclosure:
        """The interval that a certificate's statement gives for ``name``, rounded outwards, and rigorous.

        >>> import ufm
        >>> from ufm.certificates import certify_geometry
        >>> found = certify_geometry(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.step(2, 3, 4.0))
        >>> Enclosure.of_certificate(found, "etf_error_squared").rigorous
        True
        """
        low, high = (float(x) for x in certificate.interval(name))
        return cls(math.nextafter(low, -math.inf), math.nextafter(high, math.inf), rigorous=True)

    @property
    def is_valid(self) -> bool:
        """Whether the ends are finite and in order."""
        return math.isfinite(self.lower) and math.isfinite(self.upper) and self.lower <= self.upper


def judge_equal(claimed: float | Enclosure, computed: Enclosure, *, tolerance: float) -> Status:
    """Judge ``|claimed - truth| <= tolerance``, where ``computed`` encloses the truth.

    * every point of the enclosure within the tolerance: ``certified`` if rigorous, else ``supported``;
    * no point within the tolerance: ``refuted`` if rigorous, else ``inconclusive``;
    * anything else (an enclosure wider than the tolerance, NaN): ``inconclusive``.

    Args:
        claimed: the claimed number, or the enclosure of a formula's value.
        computed: enclosure of what was computed.
        tolerance: finite, >= 0; what the claim calls equal.

    Raises:
        TypeError, ValueError: the tolerance is no finite number >= 0, or ``claimed`` is neither number nor enclosure.

    >>> exact = Enclosure(0.5, 0.5, rigorous=True)
    >>> print(judge_equal(0.5, exact, tolerance=0), judge_equal(0.75, exact, tolerance=0.125))
    certified refuted
    >>> rounded = Enclosure.around(0.5, error=0.01)  # floating point supports, and refutes nothing
    >>> print(judge_equal(0.5, rounded, tolerance=0.125), judge_equal(0.75, rounded, tolerance=0.125))
    supported inconclusive
    >>> print(judge_equal(0.5, Enclosure(0.25, 0.75, rigorous=True), tolerance=0.125))  # wider than the tolerance
    inconclusive
    """
    allowed = real("tolerance", tolerance)
    if allowed < 0:
        raise ValueError(f"tolerance must be >= 0, got {tolerance!r}")
    target = claimed if isinstance(claimed, Enclosure) else Enclosure(claimed, claimed, rigorous=True)
    if not (target.is_valid and computed.is_valid):
        return Status.inconclusive
    rigorous = target.rigorous and computed.rigorous
    farthest = max(_up(target.upper, computed.lower), _up(computed.upper, target.lower))
    nearest = max(_down(computed.lower, target.upper), _down(target.lower, computed.upper))
    if farthest <= allowed:
        return Status.certified if rigorous else Status.supported
    if nearest > allowed and rigorous:
        return Status.refuted
    return Status.inconclusive


def judge_order(lhs: Enclosure, rhs: Enclosure, *, strict: bool) -> Status:
    """Judge ``lhs < rhs`` (strict) or ``lhs <= rhs`` from enclosures of the two sides.

    ``certified`` where rigorous enclosures are in that order, ``refuted`` where they are in the opposite one,
    ``supported`` where enclosures in floating point are in order, ``inconclusive`` otherwise: where they overlap, where
    floating point says the opposite, where one holds nothing.

    >>> one, two = Enclosure(1, 1, rigorous=True), Enclosure(2, 2, rigorous=True)
    >>> print(judge_order(one, two, strict=True), judge_order(two, one, strict=False))
    certified refuted
    >>> print(judge_order(one, one, strict=False), judge_order(one, one, strict=True))
    certified refuted
    >>> print(judge_order(one, Enclosure.around(2, error=0.5), strict=True))
    supported
    >>> print(judge_order(one, Enclosure.around(1.25, error=0.5), strict=True))  # they overlap
    inconclusive
    """
    if not (lhs.is_valid and rhs.is_valid):
        return Status.inconclusive
    rigorous = lhs.rigorous and rhs.rigorous
    if lhs.upper < rhs.lower or (not strict and lhs.upper == rhs.lower):
        return Status.certified if rigorous else Status.supported
    if rigorous and (lhs.lower > rhs.upper or (strict and lhs.lower == rhs.upper)):
        return Status.refuted
    return Status.inconclusive


def combine(statuses: Iterable[Status]) -> Status:
    """Return the status of a claim whose parts must all hold: that of its weakest part.

    One refuted part refutes the whole; short of that one inconclusive part leaves it inconclusive, and so do no parts.

    Raises:
        ValueError: a part is no status.

    >>> print(combine(["proved", "supported", "certified"]))
    supported
    >>> print(combine(["proved", "inconclusive", "refuted"]), combine([]))
    refuted inconclusive
    """
    parts = [_status(s) for s in statuses]
    if not parts:
        return Status.inconclusive
    for status in (Status.refuted, Status.inconclusive, Status.supported, Status.certified):
        if status in parts:
            return status
    return Status.proved


# Helpers ------------------------------------------------------------------------------------------------------------


def _has_nan(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, dict):
        return any(map(_has_nan, value.values()))
    return isinstance(value, list) and any(map(_has_nan, value))


def _up(a: float, b: float) -> float:
    return 0.0 if a == b else math.nextafter(a - b, math.inf)


def _down(a: float, b: float) -> float:
    return 0.0 if a == b else math.nextafter(a - b, -math.inf)


def _all(name: str, values: Any, kind: type[T]) -> tuple[T, ...]:
    found = sequence(name, values, f"{kind.__name__} objects")
    for value in found:
        if not isinstance(value, kind):
            raise TypeError(f"{name} must hold {kind.__name__} objects, got {value!r}")
    return found


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} must be a non-empty string, got {value!r}")
    return value


def _texts(name: str, values: Any) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError(f"{name} must be a tuple of strings, got the string {values!r}")
    return tuple(_text(name, v) for v in sequence(name, values, "strings"))
