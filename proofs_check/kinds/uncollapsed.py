"""Kind "uncollapsed": an optimum at which the features of a class differ (mean squared error with slack budgets).

The witness is a classifier W (K x d) and one feature vector for each of the n_k samples of every class, all rational.
The budgets are (1/K) |W|^2 <= E_W and (1/K) sum_k (1/n_k) sum_i |h_ki|^2 <= E_H. Features with W h_ki = e_k have the
risk 0, below which no risk is, so that a feasible point of that kind is an optimum. Everything is compared exactly.
"""

from __future__ import annotations

from typing import Any

from flint import fmpq

from proofs_check.kinds.reading import Answer, Claim, Reject, brief, fields, matrix, rational

MAX_SAMPLES = 32  # in all, of counts that have to be integers here
MAX_DIMENSION = 16
MAX_BITS = 128


def describe(claim: Claim) -> str:
    """What the claim says, in words."""
    said = claim.statement if isinstance(claim.statement, dict) else {}
    return f"at some optimum two features of a class have a squared distance of {brief(said.get('distance_squared'))}"


def check(claim: Claim, witness: Any) -> Answer:
    """Some optimum has two features of one class at a squared distance of at least ``distance_squared``."""
    (distance,) = fields(claim.statement, "statement", "distance_squared")
    if claim.loss != "mse" or claim.architecture != "layer_peeled":
        raise Reject("uncollapsed optima are known for a layer_peeled model under mean squared error")
    counts = [n for size, n in zip(claim.sizes, claim.counts, strict=True) for _ in range(min(size, MAX_SAMPLES + 1))]
    if any(n.q != 1 for n in counts) or sum(counts, fmpq(0)) > MAX_SAMPLES:
        raise Reject(f"counts must be integers, {MAX_SAMPLES} samples in all at most")
    w_data, classes = fields(witness, "witness", "W", "features")
    k = len(counts)
    w = matrix(w_data, "W", k, None, MAX_DIMENSION)
    check_size(w)
    if not isinstance(classes, list) or len(classes) != k:
        raise Reject(f"features must be a list of {k} classes")
    samples = [
        matrix(rows, f"features of class {i}", int(n.p), len(w[0]), MAX_SAMPLES)
        for i, (rows, n) in enumerate(zip(classes, counts, strict=True))
    ]
    for own, rows in enumerate(samples):
        check_size(rows)
        for h in rows:
            if any(dot(row, h) != int(i == own) for i, row in enumerate(w)):
                raise Reject("the risk of the witness is not 0")
    budgets = [rational(claim.parameters[key], key) for key in ("E_W", "E_H")]
    spent = [
        sum((dot(row, row) for row in w), fmpq(0)) / k,
        sum((sum((dot(h, h) for h in rows), fmpq(0)) / len(rows) for rows in samples), fmpq(0)) / k,
    ]
    if any(used > budget for used, budget in zip(spent, budgets, strict=True)):
        raise Reject("the witness exceeds a budget")
    apart = max(
        sum(((x - y) ** 2 for x, y in zip(g, h, strict=True)), fmpq(0)) for rows in samples for g in rows for h in rows
    )
    if not apart >= rational(distance, "distance_squared", positive=True):
        raise Reject("no two features of a class are as far apart as claimed")
    return "risk 0 within the budgets: an optimum, exactly", ()


def check_size(rows: list[list[fmpq]]) -> None:
    """Numbers small enough to be compared exactly in no time."""
    if any(x.p.bit_length() > MAX_BITS or x.q.bit_length() > MAX_BITS for row in rows for x in row):
        raise Reject(f"numerators and denominators must have at most {MAX_BITS} bits")


def dot(x: list[fmpq], y: list[fmpq]) -> fmpq:
    """Inner product."""
    return sum((a * b for a, b in zip(x, y, strict=True)), fmpq(0))
