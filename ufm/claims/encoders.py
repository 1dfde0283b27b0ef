"""Ordinary training, weight decay on weights: what an encoder's last hidden layer charges for features."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial

import numpy as np

from ufm.claims._model import Claim, Context, Evidence, Scope, Status, combine
from ufm.claims._tools import evidence, symbolic
from ufm.trainings.encoder_price import ClassKernel, predict_from_activations

__all__ = ["CLAIMS", "kernel_claim"]

GROUP = "Ordinary training: the encoder's price"

#: Kernels (common, between, sample) and the counts of the minority, two majority classes of eight samples beside it.
KERNELS = ((0.0, 0.0, 1.0), (0.5, 0.2, 1.0), (2.0, 1.0, 0.3))
MINORITIES = ((3, 3), (2, 2, 2))
#: Relative distances of lam^2 from the threshold, on both of its sides.
NEAR = tuple(sign * size for size in (1e-2, 1e-3, 1e-4) for sign in (1, -1))
#: Relative duality gap asked for, and up to which an optimum counts: the gap is of first order in what the gradient is
#: off, so that rounding leaves 1e-8 of it where logits are right to 1e-9.
GAP, CLOSED = 1e-11, 1e-7
#: Scatter of the minority's logits, over the distance, that counts as apart: it is 1 to 4 where the minority is
#: apart, and below 1e-4 where it is not.
APART = 0.1

Rule = Callable[[ClassKernel, int], float]


def true_rule(kernel: ClassKernel, count: int) -> float:
    """``n_B (c + b n_B)``."""
    return count * (kernel.sample + kernel.between * count)


def kernel_claim(rule: Rule = true_rule, factor: float = 1.0) -> Claim:
    """``rule <= N^2 lam^2`` where the minority is collapsed; ``factor`` multiplies the claimed lam^2 (false variants)."""
    return Claim(
        id="encoder-kernel-collapse",
        title="What ordinary training charges: by samples, by classes, and the threshold in between",
        statement="If the kernel of the activations is a + b + c ≥ 0 on the diagonal, a + b for two samples of one class and a for two of "
        "different classes, with a, b, c ≥ 0 and c > 0, then the classifiers of K_b ≥ 2 classes with n_b samples each, N in all, coincide, and "
        "so do their class means, if and only if n_b (c + b n_b) ≤ λ_V λ_W N².",
        source="Derived here, for weight decay on all weights; b = 0 is the unconstrained features model with λ_H = λ_V/c, c → 0 pays for "
        "classes as the layer-peeled model of Fang et al. 2021 does",
        scope=Scope(("ce",), ("encoder-kernel",), minority=2, dimension="K"),
        check=partial(_check, rule, factor),
        group=GROUP,
        papers=("fang2021",),
        topic="minority-collapse",
        standing="new",
        resolution=None if rule is not true_rule else 1e-3,
        off_by=(lambda share: kernel_claim(factor=1 + share)) if rule is true_rule else None,
        variants={
            "by samples alone": kernel_claim(lambda kernel, n: n * kernel.sample),
            "by classes alone": kernel_claim(lambda kernel, n: n * n * kernel.between),
            "the common part is charged": kernel_claim(
                lambda kernel, n: n * (kernel.sample + kernel.between * n + kernel.common)
            ),
            "the samples' own part counts with their number": kernel_claim(
                lambda kernel, n: n * n * (kernel.sample + kernel.between)
            ),
        }
        if rule is true_rule and factor == 1
        else {},
    )


def _check(rule: Rule, factor: float, ctx: Context) -> Evidence:
    rows: list[dict[str, object]] = []
    statuses = []
    for numbers, minority, distance in itertools.product(KERNELS, MINORITIES, NEAR):
        kernel, counts = ClassKernel(*numbers), (8, 8, *minority)
        square = factor * rule(kernel, minority[0]) / sum(counts) ** 2 * (1 + distance)
        share = _scatter(kernel, counts, square) / abs(distance) if square > 0 else math.inf
        rows.append({"kernel": numbers, "counts": counts, "distance": distance, "scatter / distance": share})
        right = (share < APART) is (distance > 0)
        statuses.append(Status.inconclusive if math.isnan(share) else Status.supported if right else Status.refuted)
        if statuses[-1] is Status.refuted:
            break  # one instance is enough, and far from a threshold the optimum takes long
    return evidence(
        f"collapsed just above the λ_V λ_W of the formula and not below, at relative distances 10⁻² to 10⁻⁴, on {len(rows)} instances",
        proofs=[symbolic("encoder-kernel", "threshold")] if rule is true_rule and factor == 1 else [],
        numeric=combine(statuses),
        established_by=("the convex problem of W and V at activations with that kernel",),
        details={"instances": rows},
    )


def _scatter(kernel: ClassKernel, counts: tuple[int, ...], square: float) -> float:
    """How far the minority's class-mean logits differ at the optimum; NaN where the gap is not closed."""
    labels = np.repeat(np.arange(len(counts)), counts)
    found = predict_from_activations(kernel.activations(labels), labels, math.sqrt(square), tol=GAP)
    if found.gap > CLOSED:
        return math.nan
    block = found.class_logits(labels)[2:, 2:]
    return float(np.linalg.norm(block - block.mean(axis=0)))


CLAIMS = (kernel_claim(),)
