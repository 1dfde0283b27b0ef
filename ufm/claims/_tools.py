"""What the checks of several topics share: enclosures of optimal values, theorems, and how the two combine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ufm._extras import require
from ufm.claims._model import Citation, Context, Enclosure, Evidence, Scope, Status, combine, judge_equal
from ufm.solution import Solution

if TYPE_CHECKING:
    from ufm.certificates import Certificate

__all__ = [
    "Comparison",
    "compare",
    "enclose",
    "evidence",
    "extrapolated",
    "floating",
    "keep",
    "second_kernel",
    "symbolic",
]

#: Relative error granted to a float64 solver whose duality gap is closed, beyond the gap itself.
ROUNDING = 1e-12


def keep(ctx: Context, name: str, certificate: Certificate) -> Certificate:
    """Save a certificate to ``certificates/NAME.json`` beside the report, for anyone to check, and return it.

    ``ufm certify FILE`` and ``python -m proofs_check.checker FILE`` check it without any solver.
    """
    if ctx.out is not None:
        folder = ctx.out / "certificates"
        folder.mkdir(exist_ok=True)
        certificate.save(folder / f"{name}.json")
        ctx.record("certificates", f"certificates/{name}.json")
    return certificate


def enclose(solution: Solution, ctx: Context | None = None, name: str = "") -> Enclosure:
    """Rigorous enclosure of the optimal value from a certificate of ``solution``, kept under ``name`` if there is one."""
    from ufm.certificates import certify

    certificate = certify(solution)
    if ctx is not None:
        keep(ctx, name, certificate)
    return Enclosure(certificate.lower, certificate.upper, rigorous=True)


def floating(solution: Solution) -> Enclosure:
    """Enclosure of the optimal value by the duality gap of a solver, in floating point: evidence, not proof."""
    slack = ROUNDING * abs(solution.value)
    return Enclosure(solution.lower - slack, solution.upper + slack)


def extrapolated(sizes: Sequence[float], values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Limit of ``values`` as ``sizes`` grow: the polynomial in 1/size through all of them, at 0 (Lagrange).

    >>> extrapolated([1.0, 2.0, 4.0], [np.array([5 + 3 / s - 2 / s**2]) for s in (1.0, 2.0, 4.0)]).round(12)
    array([5.])
    """
    x = 1 / np.asarray(sizes, dtype=float)
    weights = [np.prod(np.delete(x, i) / (np.delete(x, i) - x[i])) for i in range(len(x))]
    return np.asarray(sum(w * v for w, v in zip(weights, values, strict=True)))


@dataclass(frozen=True)
class Comparison:
    """A claimed number beside a computed enclosure on one instance."""

    label: str
    claimed: float
    computed: Enclosure
    status: Status
    method: str

    def plain(self) -> dict[str, Any]:
        """As a row of evidence details."""
        return {
            "instance": self.label,
            "claimed": self.claimed,
            "lower": self.computed.lower,
            "upper": self.computed.upper,
            "rigorous": self.computed.rigorous,
            "method": self.method,
            "status": self.status.value,
        }


def compare(label: str, claimed: float, computed: Enclosure, method: str, *, relative: float = 1e-11) -> Comparison:
    """Judge a claimed number against an enclosure; equal means within ``relative`` of the claimed size."""
    if not math.isfinite(claimed):
        return Comparison(label, 0.0, computed, Status.inconclusive, method)
    status = judge_equal(claimed, computed, tolerance=relative * abs(claimed))
    return Comparison(label, claimed, computed, status, method)


def symbolic(
    theorem: str, *parts: str, lemma: bool = False, used_for: tuple[Scope, ...] = (), **variant: Any
) -> Citation:
    """Run the symbolic proof of ``theorem``, to cite it.

    Args:
        theorem: its name.
        *parts: keys of the parts of its statement that are cited (``theorems.statements``); all of it if none.
        lemma: whether it is used on the way only: then the claim need not say it, and it proves nothing by itself.
        used_for: what a lemma is used for, where that is less than the whole claim.
        **variant: pieces of its statement to replace (for false variants). A claim whose numbers were replaced otherwise
            must not cite it: the theorem proves the true numbers, and a false one inside the tolerance of the instances
            would pass as proved.
    """
    require("sympy", extra="proofs")
    from proofs_check import theorems
    from proofs_check.coq_steps.record import accepted_steps

    found = theorems.outcome(theorem, **variant)
    said = theorems.statements(theorem, **variant)
    return Citation(
        theorem,
        Status(found.status),
        texts=tuple(said[part] for part in parts or said),
        scope=theorems.scope(theorem),
        lemma=lemma,
        used_for=used_for,
        lemmas=found.lemmas,
        uses=found.uses,
        failing=found.failing,
        num_steps=found.num_exact,
        coq=accepted_steps(found.steps),
    )


def second_kernel(certificates: Sequence[Certificate], timeout: float = 300.0) -> tuple[Status, str]:
    """Have certificates checked by both kernels, ball arithmetic and Coq with its Interval library.

    Returns:
        Certified where every kernel that is there accepts every certificate, else inconclusive; and which ones agreed.
        Where coqc is not installed, or needs longer than ``timeout`` seconds, ball arithmetic stands alone.
    """
    from proofs_check import coq

    answers = [coq.kernels(certificate.to_json(), timeout) for certificate in certificates]
    ruled_out = any(answer is False for found in answers for answer in found.values())
    agreed = [name for name in answers[0] if all(found[name] is True for found in answers)]
    missing = [name for name in answers[0] if name not in agreed]
    text = f"certificate kernels in agreement: {', '.join(agreed) or 'none'}"
    if missing and not ruled_out:
        text += f" ({', '.join(missing)} not available here, or out of time)"
    return Status.inconclusive if ruled_out or "ball arithmetic" not in agreed else Status.certified, text


def evidence(
    summary: str,
    *,
    proofs: Sequence[Citation] = (),
    comparisons: Sequence[Comparison] = (),
    numeric: Status | None = None,
    universal: bool = True,
    established_by: Sequence[str] = (),
    assumptions: Sequence[str] = (),
    details: Mapping[str, Any] | None = None,
    figures: Sequence[Any] = (),
) -> Evidence:
    """Combine symbolic proofs with instances into the strongest status that both allow.

    * refuted if a proof step or an instance is rigorously contradicted;
    * proved if every theorem is proved and no instance stayed inconclusive;
    * inconclusive if a theorem that is used as a lemma is not proved;
    * without a proof, instances establish a universal statement only as *supported*, and a statement about just these
      instances (``universal=False``) as strongly as they were judged.

    A proof beside instances that do not confirm it is inconclusive: one of the two has an error.
    """
    instances = [c.status for c in comparisons]
    if numeric is not None:
        instances.append(numeric)
    seen = combine(instances) if instances else None
    proved = combine([p.status for p in proofs if not p.lemma]) if any(not p.lemma for p in proofs) else None
    if Status.refuted in (seen, proved):
        status = Status.refuted
    elif any(p.status is not Status.proved for p in proofs):
        status = Status.inconclusive
    elif proved is Status.proved and (seen is None or seen.as_claimed):
        status = Status.proved
    elif proved is not None or seen is None or not seen.as_claimed:
        status = Status.inconclusive
    else:
        status = Status.supported if universal else seen
    how = [
        f"{'theorem' if p.lemma else 'symbolic proof of'} {p.theorem} ({p.num_steps} exact steps; Coq "
        f"{p.coq[0]} of {p.coq[1]}, steps that say 0 = 0 counted)"
        for p in proofs
        if p.status is Status.proved
    ]
    how += [f"symbolic contradiction in {p.theorem}" for p in proofs if p.status is Status.refuted]
    by_method: dict[str, int] = {}
    for c in comparisons:
        by_method[c.method] = by_method.get(c.method, 0) + 1
    how += [f"{method} on {n} instance{'s' * (n > 1)}" for method, n in by_method.items()]
    how += list(established_by)
    names = dict.fromkeys(x for p in proofs for x in p.lemmas)
    lemmas = [f"classical lemmas: {', '.join(names)}"] if names else []
    body: dict[str, Any] = dict(details or {})
    if comparisons:
        body["instances"] = [c.plain() for c in comparisons]
    if proofs:
        body["proofs"] = [
            {
                "theorem": p.theorem,
                "status": p.status.value,
                "steps": p.num_steps,
                "coq": f"{p.coq[0]} of {p.coq[1]} steps",
                "uses": list(p.uses),
            }
            for p in proofs
        ]
    undecided = [line for p in proofs for line in p.failing][:5]
    if undecided:
        body["open steps"] = undecided
    if status is Status.refuted:
        against = next((c for c in comparisons if c.status is Status.refuted), None)
        if against is not None:
            span = f"[{against.computed.lower:.12g}, {against.computed.upper:.12g}]"
            summary = f"refuted at {against.label}: claimed {against.claimed:.12g}, rigorous enclosure {span}"
        elif undecided:
            summary = f"refuted: {undecided[0]}"
    elif status is Status.inconclusive:
        open_at = next((c.label for c in comparisons if not c.status.as_claimed), undecided[0] if undecided else "")
        summary = f"inconclusive{': ' + open_at if open_at else ''}; {summary}"
    return Evidence(
        status,
        summary,
        body,
        tuple(how) or ("nothing",),
        (*lemmas, *assumptions),
        tuple(figures),
        cites=tuple(proofs),
        instances=seen,
    )
