"""Kind "collapse": whether a set of interchangeable classes is collapsed at the optimum, for any loss of ``labels``.

The classes listed have one column each, with the target e_k, equal counts n, weights w, scales Delta and shifts; all
other columns have equal targets at them. Then f does not change when they are permuted, and where their part s of the
logits, s (I - 11^T/K_b) on zero-sum vectors, is 0, own and other logits of the group agree in each column, so that

    -df/ds = (K_b - 1) pi kappa,  kappa = dl/dz_other - dl/dz_own = (1 - a) w Delta for ce, 1 for bce and mse,

whatever the rest of the invariant logits and the bias are. The gauge charges (K_b - 1) |s| times mu (budgets; mu the
multiplier) or times strength sqrt(n) (weight decay) for it. By convexity in s the classes are collapsed, s = 0, at an
invariant optimum (the only one, for these losses are strictly convex where they are not constant) if pi kappa is at
most that, and not if it is more. Under weight decay this compares rationals. With budgets the optimal value v(tau) is
convex with slope -mu, so that values at two radii bound mu: with v(tau) >= D from a dual and U >= v(tau + step) or
v(tau - step) from a point, mu >= (D - U)/step or mu <= (U - D)/step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flint import arb, fmpq

from proofs_check.kinds.labels import OpenClaim, words
from proofs_check.kinds.open_value import enclose
from proofs_check.kinds.reading import Answer, Reject, brief, fields, integer, rational


def describe(claim: OpenClaim) -> str:
    """The claim in words."""
    said = claim.statement if isinstance(claim.statement, dict) else {}
    parameters = ", ".join(f"{key}={brief(value)}" for key, value in sorted(claim.parameters.items()))
    verb = "are" if said.get("collapsed") is True else "are not"
    return (
        f"{claim.architecture}({parameters}), {words(claim)}: the classes {said.get('classes')!r:.80} {verb} collapsed"
    )


def check(claim: OpenClaim, witness: Any) -> Answer:
    """The classes of the statement are collapsed at the optimum, or are not."""
    classes_data, collapsed = fields(claim.statement, "statement", "classes", "collapsed")
    if collapsed not in (True, False) or type(collapsed) is not bool:
        raise Reject("collapsed must be true or false")
    if claim.architecture == "norm_bounded" or "features" in claim.parameters:
        raise Reject("collapse is checked where the gauge is a nuclear norm")
    own = own_column(claim, classes_data)
    pull = claim.pi[own] * kappa(claim, own)
    if claim.penalised:
        fields(witness, "witness")
        if (pull * pull <= claim.scale2 * claim.counts[own]) is not collapsed:
            raise Reject("comparing pi kappa with strength sqrt(n) shows the contrary")
        return "pi kappa compared with strength sqrt(n), exactly", ("gauge", "criterion")
    step_data, value_data = fields(witness, "witness", "step", "value")
    step, tau = rational(step_data, "step", positive=True), arb(claim.scale2).sqrt()
    other = tau + arb(step) if collapsed else tau - arb(step)
    if not other > 0:
        raise Reject("step must be below the radius")
    if not isinstance(value_data, dict):
        raise Reject("value must be the witness of an optimal value")
    lower, _ = enclose(claim, value_data | {"left": zero(claim, 0), "right": zero(claim, 1)})
    _, upper = enclose(replace(claim, scale2=other**2), value_data)
    slope = (lower - upper if collapsed else upper - lower) / arb(step)
    if not (slope > arb(pull) if collapsed else slope < arb(pull)):
        raise Reject(f"no proof that the multiplier is {'above' if collapsed else 'below'} pi kappa")
    return f"the multiplier is {'above' if collapsed else 'below'} pi kappa", ("gauge", "duality", "criterion")


def zero(claim: OpenClaim, factor: int) -> list[list[str]]:
    """The left (0) or right (1) factor of zero logits, which are feasible."""
    return [["0"] for _ in claim.targets] if factor == 0 else [["0"] * len(claim.counts)]


def own_column(claim: OpenClaim, data: Any) -> int:
    """A column of one of the classes, which are shown to be interchangeable."""
    k, m, smooth = len(claim.targets), len(claim.counts), claim.smoothing
    if not isinstance(data, list) or len(data) < 2:
        raise Reject("classes must be a list of at least 2")
    classes = [integer(i, "class", 0, k - 1) for i in data]
    if len(set(classes)) != len(classes):
        raise Reject("a class is listed twice")
    columns = {}
    for i in classes:
        target = [smooth / k + (1 - smooth) * int(j == i) for j in range(k)]
        found = [j for j in range(m) if claim.column(j) == target]
        if len(found) != 1:
            raise Reject(f"class {i} must have one column with its one-hot target")
        columns[i] = found[0]
    first = classes[0]
    for i in classes:
        same = (claim.scales[i], claim.shifts[i]) == (claim.scales[first], claim.shifts[first])
        j, j_first = columns[i], columns[first]
        same = same and (claim.counts[j], claim.weights[j]) == (claim.counts[j_first], claim.weights[j_first])
        beside = [c for c in range(m) if c not in columns.values()]
        if not same or any(claim.targets[i][c] != claim.targets[first][c] for c in beside):
            raise Reject(f"classes {first} and {i} are not interchangeable")
    return columns[first]


def kappa(claim: OpenClaim, own: int) -> fmpq:
    """dl/dz_other - dl/dz_own at a collapsed point, in an own column."""
    if claim.loss not in ("ce", "bce", "mse"):
        raise Reject(f"kappa is not known for {claim.loss!r}: it depends on the rest of the logits")
    if claim.loss != "ce":
        return fmpq(1)
    one = max(range(len(claim.targets)), key=lambda i: claim.targets[i][own])
    return (1 - claim.smoothing) * claim.weights[own] * claim.scales[one]
