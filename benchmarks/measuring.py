"""Measuring a network's collapse: one call of ours against the passes that accumulators of the usual kind make."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks._timing import Row, timed
from ufm.measures import FeatureStatistics, measure, trace_quotient

__all__ = ["accumulated", "measuring", "packaged"]

Batches = list[tuple[Any, Any]]

#: The package itself, where it is installed (from github.com/rhubarbwu/neural-collapse: it is not on PyPI), and its
#: passes written anew: without the hashes of the means that it takes at every batch, and NC1 by a symmetric inverse.
PACKAGE, PEER = "neural-collapse", "accumulators in torch"

#: From so many classes on the package's kernels over pairs of them, which take minutes then, are left out.
MANY = 500

#: Standard deviations about means of standard normal entries: of classes far apart, and of overlapping ones, where no
#: decision is known beforehand.
SPREADS = {"": 0.3, "overlapping, ": 3.0}


def measuring(sizes: list[tuple[int, int, int]], samples: int, batch_size: int = 500) -> Iterator[Row]:
    """Time all measures of (K, d, N) features in batches, NC4 included, in either float type of the features.

    Ours is one call that gives everything; the peer's time is that of NC1 to NC4, once without and once, where there
    are few classes, with its kernels over pairs of them (CDNV, distances on the sphere). All in CPU seconds.
    """
    for num_classes, dim, count in sizes:
        for dtype, spread in (("float32", ""), ("float64", ""), ("float32", "overlapping, ")):
            batches, classifier = _network(num_classes, dim, count, batch_size, dtype, SPREADS[spread])
            exact = _two_pass(batches, num_classes)
            ours = {
                "NC1 to NC4": timed(partial(_measured, batches, classifier), samples, time.process_time),
                "means and covariance": timed(partial(_gathered, batches, num_classes), samples, time.process_time),
            }
            ours["all measures"] = ours["NC1 to NC4"]
            for what, peer, other in _peers(batches, classifier):
                theirs, answer = timed(other, samples, time.process_time)
                case = f"{what}, {spread}K = {num_classes}, d = {dim}, N = {count:,}, {dtype}"
                note = f"{count / ours[what][0].median:,.0f} samples a second"
                errors = [abs(value["trace_quotient"] / exact - 1) for value in (ours[what][1], answer)]
                figures = {"K": num_classes, "dim": dim, "samples_measured": count}
                yield Row("measuring", case, ours[what][0], peer, theirs, *errors, note, figures)


def _peers(batches: Batches, classifier: Any) -> Iterator[tuple[str, str, Callable[[], dict[str, Any]]]]:
    """What is measured, the peer, and how: the package's own passes where it is installed."""
    num_classes = len(classifier)
    if find_spec("neural_collapse") is not None:
        yield "NC1 to NC4", PACKAGE, partial(packaged, batches, classifier, kernels=False)
        if num_classes < MANY:
            yield "all measures", PACKAGE, partial(packaged, batches, classifier, kernels=True)
    yield "NC1 to NC4", PEER, partial(accumulated, batches, classifier)
    yield "means and covariance", PEER, partial(_totals, batches, num_classes)


def _gathered(batches: Batches, num_classes: int) -> dict[str, Any]:
    """Counts, means, covariance and variances in one pass, and the quotient of their traces."""
    statistics = FeatureStatistics(num_classes)
    for features, labels in batches:
        statistics.update(features, labels)
    return {"trace_quotient": trace_quotient(statistics.within_covariance, statistics.means)}


def _measured(batches: Batches, classifier: Any) -> dict[str, Any]:
    return measure(batches, classifier=classifier).to_dict()


def _network(
    num_classes: int, dim: int, count: int, batch_size: int, dtype: str, spread: float = 0.3
) -> tuple[Batches, Any]:
    """Features about random means, in torch tensors as a loader gives them, and a random classifier."""
    import torch

    rng = np.random.default_rng(0)
    means = rng.standard_normal((num_classes, dim))
    labels = rng.permutation(np.arange(count) % num_classes)
    features = (means[labels] + spread * rng.standard_normal((count, dim))).astype(dtype)
    pairs = [
        (torch.from_numpy(features[i : i + batch_size]), torch.from_numpy(labels[i : i + batch_size]))
        for i in range(0, count, batch_size)
    ]
    return pairs, torch.from_numpy((means + rng.standard_normal((num_classes, dim))).astype(dtype))


def _two_pass(batches: Batches, num_classes: int) -> float:
    """``tr S_W / tr S_B`` by the two-pass formula in float64."""
    x = np.concatenate([features.numpy().astype(np.float64) for features, _ in batches])
    y = np.concatenate([labels.numpy() for _, labels in batches])
    means = np.stack([x[y == k].mean(axis=0) for k in range(num_classes)])
    within = ((x - means[y]) ** 2).sum() / len(x)
    return float(within / (((means - means.mean(axis=0)) ** 2).sum() / num_classes))


def _totals(batches: Batches, num_classes: int, classifier: Any = None) -> dict[str, Any]:
    """Class means and counts in a pass, scatter and class variances in another, NC4 where there is a classifier.

    Class sums are products with the batch's one-hot labels, in the features' own float type.
    """
    import torch

    dim, dtype = batches[0][0].shape[1], batches[0][0].dtype
    zeros = partial(torch.zeros, dtype=dtype)
    totals, counts = zeros(num_classes, dim), zeros(num_classes)
    for x, y in batches:
        hot = torch.nn.functional.one_hot(y, num_classes).to(dtype)
        totals += hot.T @ x
        counts += hot.sum(dim=0)
    means = totals / counts[:, None]
    squares = (means**2).sum(dim=1)
    scatter, variances, agreements = zeros(dim, dim), zeros(num_classes), zeros(num_classes)
    for x, y in batches:
        hot = torch.nn.functional.one_hot(y, num_classes).to(dtype)
        deviations = x - means[y]
        scatter += deviations.T @ deviations
        variances += (hot.T @ deviations**2).sum(dim=1)
        if classifier is not None:
            nearest = (squares - 2 * x @ means.T).argmin(dim=1)
            agreements += hot.T @ ((x @ classifier.T).argmax(dim=1) == nearest).to(dtype)
    centred = means - means.mean(dim=0)
    within = scatter / counts.sum()
    between = centred.T @ centred / num_classes
    return {
        "centred": centred,
        "within": within,
        "between": between,
        "variances": variances / counts,
        "nc4": float(agreements.sum() / counts.sum()),
        "trace_quotient": float(torch.trace(within) / torch.trace(between)),
    }


def accumulated(batches: Batches, classifier: Any) -> dict[str, float]:
    """The same measures as accumulators of the usual kind find them, in torch and in the features' own float type.

    NC1 is by a pseudo-inverse of S_B.
    """
    import torch

    num_classes = len(classifier)
    found = _totals(batches, num_classes, classifier)
    centred, dtype = found["centred"], classifier.dtype
    frame = (torch.eye(num_classes, dtype=dtype) - 1 / num_classes) / math.sqrt(num_classes - 1)
    errors = {}
    for name, product in (("etf_error", centred @ centred.T), ("duality_error", classifier @ centred.T)):
        errors[name] = float(torch.linalg.norm(product / torch.linalg.norm(product) - frame))
    unit = torch.nn.functional.normalize(centred, dim=1)
    inverse = torch.linalg.pinv(found["between"], hermitian=True)
    return errors | {
        "nc1": float(torch.trace(found["within"] @ inverse)) / num_classes,
        "trace_quotient": found["trace_quotient"],
        "largest_variance": float(found["variances"].max()),
        "coherence": float((unit @ unit.T - 2 * torch.eye(num_classes, dtype=dtype)).max()),
        "nc4": found["nc4"],
    }


def packaged(batches: Batches, classifier: Any, *, kernels: bool) -> dict[str, float]:
    """The measures as the package ``neural-collapse`` finds them by the passes of its README, kernels or none."""
    from neural_collapse import accumulate
    from neural_collapse import kernels as pairs
    from neural_collapse import measure as of

    size = (*classifier.shape, "cpu", classifier.dtype)
    totals = accumulate.MeanAccumulator(*size)
    for x, y in batches:
        totals.accumulate(x, y)
    means, centre = totals.compute()
    scatter = accumulate.CovarAccumulator(*size, M=means)
    variances = accumulate.VarNormAccumulator(*size, M=means)
    for x, y in batches:
        scatter.accumulate(x, y, means)
        variances.accumulate(x, y, means)
    decisions = accumulate.DecAccumulator(*size, M=means, W=classifier)
    for x, y in batches:
        decisions.accumulate(x, y, classifier, means)
    within = scatter.compute()
    found = {
        "nc1": of.covariance_ratio(within, means, centre),
        "trace_quotient": of.covariance_ratio(within, means, centre, "quotient"),
        "etf_error": of.simplex_etf_error(means, centre),
        "logit_etf_error": of.self_duality_error(classifier, means, centre),
        "nc4": of.clf_ncc_agreement(decisions),
    }
    if kernels:
        found["cdnv"] = of.variability_cdnv(variances.compute()[0], means, tile_size=64)
        found["log_distances"] = pairs.kernel_stats(means, centre, kernel=pairs.log_kernel, tile_size=64)[1]
    return found
