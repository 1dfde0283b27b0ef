"""Certificates by the thousand: what each is to prove as a point of a sweep, and one call for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any

from ufm._json import plain
from ufm._validation import one_of
from ufm.certificates._certificate import Certificate
from ufm.certificates._collapse import certify_phase, certify_threshold
from ufm.certificates._geometry import certify_geometry
from ufm.certificates._group_collapse import certify_collapse
from ufm.certificates._values import certify
from ufm.problem import Problem
from ufm.problem_file import StatedProblem, parse_architecture, parse_loss, parse_problem, state_problem
from ufm.solvers import solve
from ufm.sweeps import Failure, run, versioned
from ufm.sweeps.engine import Progress, point_key

__all__ = ["certify_all", "certify_point"]

#: Makes the certificate of a point that has been read.
Maker = Callable[[], Certificate]

_NAME, _VERSION = "ufm.certificates.certify_point", "1"


def _value(found: StatedProblem) -> Certificate:
    problem = found.problem
    settings = {"bias": problem.stated_bias, **found.options}
    return certify(solve(problem.architecture, problem.prior, problem.loss, **settings))


def _phase(found: StatedProblem) -> Certificate:
    problem = _without_bias(found)
    return certify_phase(problem.architecture, problem.class_prior, problem.loss)


def _geometry(found: StatedProblem) -> Certificate:
    problem = _without_bias(found)
    if problem.loss.name != "ce":
        raise ValueError(f"loss must be cross-entropy for a certificate of the geometry, got {problem.loss!r}")
    return certify_geometry(problem.architecture, problem.class_prior)  # type: ignore[arg-type]


def _without_bias(found: StatedProblem) -> Problem:
    if found.problem.bias is not None:
        raise ValueError(f"bias must be none for this statement, got {found.problem.stated_bias!r}")
    return found.problem


def _collapse(stated: dict[str, Any]) -> Maker:
    classes = stated.pop("classes", None)
    if not isinstance(classes, list):
        raise TypeError(f"classes must be a list of class indices, got {classes!r}")
    problem = parse_problem(stated).problem
    return partial(
        certify_collapse, problem.architecture, problem.prior, classes, loss=problem.loss, bias=problem.stated_bias
    )


def _threshold(stated: dict[str, Any]) -> Maker:
    needed, held = ("num_majority", "num_minority"), ("num_samples", "majority_count", "minority_count")
    for name in ("architecture", *needed):
        if name not in stated:
            raise ValueError(f"the threshold's point must state {name}, got {', '.join(stated)}")
    for name in stated:
        one_of("key of a threshold's point", name, ("architecture", "loss", "bias", *needed, *held))
    given = {name: stated[name] for name in ("bias", *held) if name in stated}
    architecture, loss = parse_architecture(stated["architecture"]), parse_loss(stated.get("loss", "ce"))
    return partial(certify_threshold, architecture, *(stated[name] for name in needed), loss=loss, **given)


def _of_problem(make: Callable[[StatedProblem], Certificate]) -> Callable[[dict[str, Any]], Maker]:
    return lambda stated: partial(make, parse_problem(stated))


#: What a point can state, and what reads it.
_STATEMENTS: dict[str, Callable[[dict[str, Any]], Maker]] = {
    "value": _of_problem(_value),
    "phase": _of_problem(_phase),
    "geometry": _of_problem(_geometry),
    "collapse": _collapse,
    "threshold": _threshold,
}


def _read(point: Mapping[str, Any]) -> Maker:
    stated = dict(point)
    return _STATEMENTS[one_of("statement", stated.pop("statement", "value"), _STATEMENTS)](stated)


@versioned(_VERSION, name=_NAME)
def certify_point(**point: Any) -> dict[str, Any]:
    """Return one certificate as plain data, a point function of :func:`ufm.sweeps.run`.

    Args:
        **point: as of :func:`certify_all`.

    Returns:
        ``claim`` and ``witness`` of the :class:`Certificate`.

    Raises:
        TypeError, ValueError: the point does not state what it should; the message names it.
        CertificationError: no certificate was found.

    >>> peeled = {"type": "LayerPeeled", "E_W": 1.0, "E_H": 1.0}
    >>> found = certify_point(statement="phase", architecture=peeled, labels={"counts": [300, 300, 3, 3, 3]})
    >>> Certificate(**found).claim["statement"]
    {'phase': 'partial'}
    """
    certificate = _read(point)()
    return {"claim": certificate.claim, "witness": certificate.witness}


def certify_all(
    points: Iterable[Problem | Mapping[str, Any]],
    *,
    store: str | os.PathLike[str],
    executor: Executor | None = None,
    progress: Progress | None = None,
    max_in_flight: int | None = None,
    retry_failed: bool = False,
    patience: float | None = 30.0,
) -> tuple[Certificate | Failure, ...]:
    """Certify a grid of problems on any executor, and keep every certificate as soon as it is there.

    The same call after an interruption, a crash or a kill makes the missing ones only; more points add to the same
    file. What comes back was accepted by the checker where it was made; a sceptic checks it again by
    :meth:`Certificate.check`, or the file that :meth:`Certificate.save` writes.

    Args:
        points: what to certify. A :class:`ufm.problem.Problem` is solved and its value enclosed. A dictionary states a
            problem as a file does (:mod:`ufm.problem_file`), with ``statement`` beside it: ``"value"`` (default),
            ``"phase"``, ``"geometry"`` or ``"collapse"`` (with ``classes``); or ``"threshold"``, with ``architecture``,
            ``num_majority``, ``num_minority`` and the other arguments of :func:`certify_threshold`.
        store: the SQLite file of a sweep; made if it does not exist.
        executor, progress, max_in_flight, retry_failed, patience: as of :func:`ufm.sweeps.run`.

    Returns:
        A certificate a point, in the order of ``points``; where none was found, the failure that says why.

    Raises:
        TypeError, ValueError: a point that states no problem, by its place; nothing has run then.
        SweepInterrupted, SweepBroken, SweepDamaged: as of :func:`ufm.sweeps.run`; what was made is in ``store``.

    >>> import pathlib, tempfile
    >>> import ufm
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> peeled = {"type": "LayerPeeled", "E_W": 1.0, "E_H": 1.0}
    >>> threshold = {"statement": "threshold", "architecture": peeled, "num_majority": 2, "num_minority": 3}
    >>> problem = Problem.of(ufm.LinearDEQ(1.0, 1.0, 0.5), ufm.ClassPrior.step(2, 3, 4.0))
    >>> with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as executor:
    ...     store = pathlib.Path(folder) / "certificates.sqlite"
    ...     first, second = certify_all([threshold, problem], store=store, executor=executor)
    >>> round(first.lower, 6), second.kind, bool(second.check())
    (4.064289, 'value', True)
    """
    stated = [_stated(i, point) for i, point in enumerate(points)]
    table = run(
        certify_point,
        stated,
        store=store,
        executor=executor,
        progress=progress,
        max_in_flight=max_in_flight,
        retry_failed=retry_failed,
        patience=patience,
    )
    found = {record.key: record.failure or Certificate(**record.result) for record in table}
    return tuple(found[point_key(_NAME, _VERSION, point)] for point in stated)


def _stated(i: int, point: Any) -> dict[str, Any]:
    """The point as JSON values, read once so that none is refused after others have run."""
    try:
        if not isinstance(point, Problem | Mapping):
            raise TypeError(f"it must be a ufm.problem.Problem or a dictionary, got {point!r}")
        stated = state_problem(point) if isinstance(point, Problem) else plain("the point", point)
        _read(stated)
    except (TypeError, ValueError) as error:
        raise type(error)(f"points[{i}] cannot be certified: {error}") from None
    return stated
