"""Checking claims: :func:`verify` runs the checks in order and keeps what was found."""

from __future__ import annotations

import html
import math
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ufm._extras import require_installed
from ufm._interrupts import check_interrupt, interrupt_answered, interruptible, interrupts_allowed, interrupts_held
from ufm._validation import integer, one_of
from ufm._verdicts import Outcome, Store, check_in_worker, checked, families, is_of_library, run_key, unfinished
from ufm.claims import EFFORTS, Claim, Context, Status, Verdict, all_claims, lookup

__all__ = ["Verification", "prepare_directory", "verify"]

#: Optional packages without which some claim of this package cannot be checked.
NEEDED = ("cvxpy", "flint", "sklearn", "sympy", "torch")
#: And those without which no report is written.
REPORTING = ("jinja2", "matplotlib")

#: Seconds between two looks at what other processes have done, and at a cluster that should be at work.
POLL, LOOK = 0.2, 5.0
#: Seconds for which nobody on a cluster has had any of the calls, after which claims are checked here.
PATIENCE = 30.0


def verify(
    ids: str | Claim | Iterable[str | Claim] | None = None,
    effort: str = "quick",
    *,
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: Callable[[str, float, float | None], None] | None = None,
    command: str | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    resume: bool = False,
) -> Verification:
    """Check claims of the theory; iterate over the result to run the checks and receive a verdict each.

    Arguments are checked here, before any work; the checks run as the iteration goes on.

    Args:
        ids: the claims to check, by id or as :class:`~ufm.claims.Claim` objects, in this order; None for the core of
            the library, and at full effort for all of it. ``ufm.claims.all_claims()`` and ``select`` name others.
        effort: ``"quick"`` (a minute or two) or ``"full"``; claims of full effort run when the effort is full or when
            they are named.
        out: directory for ``report.html`` and ``report.json`` (see :func:`ufm.report.write_report`), written after the
            last verdict or on interruption, and for checkpoints of long work. None writes nothing.
        seed: seed of everything random, >= 0.
        progress: called as ``progress(description, completed, total)`` from running checks; total may be None.
        command: the command line to name in the report.
        workers: processes that check at a time. Claims of one module share results and go to one process; claims that
            are objects of your own are checked in this one.
        executor: any :class:`concurrent.futures.Executor` instead, of processes that see the directory ``out``: Dask's
            ``Client.get_executor()``, MPI, a pool of your own, which stays open.
        resume: take the verdicts that an earlier run with the same code, versions, effort and seed has left in ``out``,
            finished or not, and check the others. False checks every claim anew.

    Returns:
        A :class:`Verification`, an iterator of :class:`~ufm.claims.Verdict`.

    Raises:
        ValueError: an unknown claim (the message names close matches), effort or seed, nothing to check, or a directory
            that cannot be written.
        TypeError: ids that are neither strings nor claims.
        MissingExtraError: a package that some claim needs is missing, when all are to be checked. Named claims go ahead
            with what there is and ball arithmetic; one that lacks more comes out inconclusive, naming the extra. And
            one that the report needs is missing, when ``out`` is given.

    >>> [verdict.status.value for verdict in verify("lpm-balanced-etf")]
    ['proved']
    """
    one_of("effort", effort, EFFORTS)
    seed = integer("seed", seed, minimum=0)
    if ids is None:
        require_installed(*NEEDED, extra="verify")
    if out is not None:
        require_installed(*REPORTING, extra="report")
    workers = integer("workers", workers, minimum=1)
    if executor is not None and not isinstance(executor, Executor):
        raise TypeError(f"executor must be a concurrent.futures.Executor or None, got {executor!r}")
    if not isinstance(resume, bool):
        raise TypeError(f"resume must be True or False, got {resume!r}")
    if resume and out is None:
        raise ValueError("resume must come with out, the directory of the run to go on with")
    claims = _select(ids, effort)
    directory = None if out is None else prepare_directory(out).absolute()  # a check may change the folder it runs in
    context = Context(effort=effort, seed=seed, out=directory, on_progress=progress)
    return Verification(claims, context, command, _write_report, executor=executor, workers=workers, resume=resume)


class Verification(Iterator[Verdict]):
    """A run over claims: an iterator of verdicts that remembers them.

    A check that raises gives an inconclusive verdict. Ctrl-C, SIGTERM and SIGHUP while a check runs are kept as an
    inconclusive verdict of its claim, with the finished pieces of its work, the report is written, and the interrupt
    goes on to the caller as ``KeyboardInterrupt``.

    Attributes:
        claims: the claims of the run, in order.
        context: what the checks share.
        verdicts: the verdicts so far.
        interrupted: whether the run was stopped before its end.
        started: when the run began, UTC.
        command: the command line to name in the report.

    Args:
        write: called as ``write(run, context.out)`` at the end of the run, where it has a directory.
        executor, workers, resume: as of :func:`verify`.

    >>> from ufm.claims import Evidence, claim
    >>> @claim(id="two-and-two", title="Sum", statement="2 + 2 = 4.", source="Euclid")
    ... def check(context):
    ...     return Evidence("certified", f"2 + 2 is {2 + 2}", established_by=("integer arithmetic",))
    >>> run = verify(check)
    >>> [verdict.status.value for verdict in run], run
    (['certified'], <Verification: 1 of 1 claims checked, 1 certified>)
    """

    def __init__(
        self,
        claims: Iterable[Claim],
        context: Context,
        command: str | None = None,
        write: Callable[[Verification, Path], object] | None = None,
        *,
        executor: Executor | None = None,
        workers: int = 1,
        resume: bool = False,
    ) -> None:
        self.claims = tuple(claims)
        self.context = context
        self.verdicts: list[Verdict] = []
        self.interrupted = False
        self.started = datetime.now(UTC)
        self.command = command
        self._write = write
        self._finished = False
        self._key = run_key(context.effort, context.seed) if context.out is not None else ""
        self._store = None if context.out is None else Store(context.out, self._key)
        self._resumed: dict[str, Outcome] = {}
        if self._store is not None and resume:
            found = {claim.id: self._store.load(claim) for claim in self.claims}
            self._resumed = {name: outcome for name, outcome in found.items() if outcome is not None}
        elif self._store is not None:
            self._store.clear(self.claims)
        self._executor, self._workers = executor, workers
        self._pool: Any = None
        self._watch: Any = None  # of a Dask cluster
        self._next_look, self._idle_since = 0.0, math.inf
        self._tasks: dict[str, tuple[Future[list[Outcome | None]], int]] | None = None

    def __repr__(self) -> str:
        counts = "".join(f", {count} {status.value}" for status, count in self.counts.items() if count)
        state = ", interrupted" if self.interrupted else ""
        return f"<Verification: {len(self.verdicts)} of {len(self.claims)} claims checked{counts}{state}>"

    def _repr_html_(self) -> str:
        """A table of the verdicts so far, for notebooks; before the first, how to get them."""
        rows = "".join(
            f"<tr><td><b>{v.status.value}</b></td><td>{html.escape(v.claim.title)}<br>"
            f"<code>{html.escape(v.claim.id)}</code></td><td>{html.escape(v.evidence.summary)}</td>"
            f"<td>{v.seconds:.1f} s</td></tr>"
            for v in self.verdicts
        )
        head = "<tr><th>verdict</th><th>claim</th><th>evidence</th><th>time</th></tr>"
        caption = html.escape(repr(self)[1:-1])
        if not self.verdicts and not self.interrupted:
            caption += ": each step of an iteration, such as <code>list(...)</code>, checks one"
        return f"<table><caption>{caption}</caption><thead>{head}</thead><tbody>{rows}</tbody></table>"

    @property
    def current(self) -> Claim | None:
        """The claim that the next step checks; None at the end."""
        return None if self._finished or len(self.verdicts) == len(self.claims) else self.claims[len(self.verdicts)]

    @property
    def counts(self) -> dict[Status, int]:
        """Number of verdicts of each status."""
        counter = Counter(v.status for v in self.verdicts)
        return {status: counter[status] for status in Status}

    @property
    def all_as_claimed(self) -> bool:
        """Whether every claim of the run was checked and came out as claimed."""
        complete = not self.interrupted and len(self.verdicts) == len(self.claims)
        return complete and all(v.as_claimed for v in self.verdicts)

    def __next__(self) -> Verdict:
        with interruptible():
            try:
                return self._step()
            except KeyboardInterrupt:
                self.stop()
                raise

    def _step(self) -> Verdict:
        claim = self.current
        if claim is None:
            self._finish()
            raise StopIteration
        with interrupts_held():  # but for the check itself: its verdict is in the report or it has not begun
            start = time.perf_counter()
            self.context.records = {}
            try:
                outcome = self._resumed.get(claim.id)
                if outcome is None:
                    if self._tasks is None:
                        self._submit()  # a worker that is being started is not left half-started
                    with interrupts_allowed():
                        outcome = self._elsewhere(claim)
                if outcome is None:
                    with interrupts_allowed():
                        outcome = checked(claim, self.context)
                    if self._store is not None:  # workers keep theirs
                        self._store.save(claim, outcome)
            except KeyboardInterrupt:
                evidence = unfinished("interrupted before the check ended", self.context)
                self.verdicts.append(Verdict(claim, evidence, time.perf_counter() - start, "KeyboardInterrupt"))
                self._gather()
                self.stop()
                raise
            self.verdicts.append(Verdict(claim, outcome.evidence, outcome.seconds, outcome.error))
        return self.verdicts[-1]

    def _elsewhere(self, claim: Claim) -> Outcome | None:
        """The outcome of a claim that another process checks; None for one that is to be checked here."""
        if self._tasks is None or claim.id not in self._tasks:
            return None
        future, place = self._tasks[claim.id]
        while not future.done():
            wait([future], timeout=POLL)
            check_interrupt()
            if self._is_lost():
                future.cancel()
                return None
            total = len(self._tasks)
            done = sum(task.done() for task, _ in self._tasks.values())
            self.context.progress(f"{done} of {total} claims done elsewhere", done, total)
        error = future.exception()
        if error is None:
            return future.result()[place]
        kept = None if self._store is None else self._store.load(claim)
        message = f"{type(error).__name__}: {error}"
        return kept or Outcome(unfinished(f"its worker failed: {message}", self.context), 0.0, message)

    def _is_lost(self) -> bool:
        """Whether nobody on a cluster has had any call for long: a worker that died may take its calls with it."""
        now = time.monotonic()
        if self._watch is None or now < self._next_look:
            return False
        trouble = self._watch.trouble()
        self._next_look = time.monotonic() + LOOK
        self._idle_since = min(self._idle_since, now) if trouble is not None and not trouble.passes else math.inf
        return now - self._idle_since >= PATIENCE

    def _submit(self) -> None:
        """Hand the claims that others can check to the executor, those that share results together."""
        self._tasks = {}
        groups = families(c for c in self.claims if is_of_library(c) and c.id not in self._resumed)
        if self._executor is None and (self._workers == 1 or len(groups) < 2):
            return
        if self._executor is None:
            from ufm.sweeps import processes

            self._pool = processes(min(self._workers, len(groups)))
        executor = self._executor or self._pool
        if hasattr(client := getattr(executor, "_client", None), "scheduler_info"):
            from ufm.sweeps.engine import ClusterWatch

            self._watch = ClusterWatch(client)
        out = None if self.context.out is None else str(self.context.out.absolute())
        for group in groups:
            names = [claim.id for claim in group]
            future = executor.submit(check_in_worker, names, self.context.effort, self.context.seed, out, self._key)
            self._tasks |= {name: (future, i) for i, name in enumerate(names)}

    def _gather(self) -> None:
        """After an interruption: the verdicts that others have found, whose turn had not come."""
        have = {verdict.claim.id for verdict in self.verdicts}
        for claim in self.claims:
            if self._tasks and claim.id in self._tasks and claim.id not in have:
                future, place = self._tasks[claim.id]
                kept = None if self._store is None else self._store.load(claim)
                if kept is None and future.done() and not future.cancelled() and future.exception() is None:
                    kept = future.result()[place]
                if kept is not None:
                    self.verdicts.append(Verdict(claim, kept.evidence, kept.seconds))

    def stop(self) -> None:
        """End the run here: mark it interrupted if claims are left or were cut short, and write the report."""
        with interrupts_held():
            if not self._finished:
                self.interrupted = True
                self._finish()
            interrupt_answered()

    def _finish(self) -> None:
        if self._finished:
            return
        with interrupts_held():  # all that was found is in the report
            self._finished = True
            if self._pool is not None:
                self._pool.stop()
            if self._write is not None and self.context.out is not None:
                self._write(self, self.context.out)


def _write_report(run: Verification, directory: Path) -> None:
    from ufm import report  # when a run ends: drawing is slow to import, and no run knows of reports

    report.write_report(run, directory)


def prepare_directory(path: str | os.PathLike[str], name: str = "out") -> Path:
    """Create the directory ``path``, the argument ``name``, if it is missing and make sure it can be written in.

    Raises:
        ValueError: it cannot be created or written; the message says why.

    >>> prepare_directory("/proc/nowhere")
    Traceback (most recent call last):
    ValueError: out must be a directory that can be written, got '/proc/nowhere': ...
    """
    directory = Path(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as exc:
        reason = exc.strerror or exc
        raise ValueError(f"{name} must be a directory that can be written, got {str(path)!r}: {reason}") from exc
    return directory


def _select(ids: str | Claim | Iterable[str | Claim] | None, effort: str) -> list[Claim]:
    if ids is None:
        selected = [c for c in all_claims().values() if effort == "full" or (c.core and c.effort == "quick")]
    else:
        if not isinstance(ids, str | Claim | Iterable):
            raise TypeError(f"ids must be claim ids (strings) or None, got {ids!r}")
        wanted = [ids] if isinstance(ids, str | Claim) else list(ids)
        selected = [c if isinstance(c, Claim) else lookup(c) for c in wanted]
    unique: dict[str, Claim] = {}
    for claim in selected:
        if unique.setdefault(claim.id, claim) is not claim:
            raise ValueError(f"ids must be unique, got two claims with the id {claim.id!r}")
    if not unique:
        raise ValueError("ids must name at least one claim; there is nothing to verify")
    return list(unique.values())
