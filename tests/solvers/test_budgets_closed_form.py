"""Mean squared error under budgets with equal counts: the closed form against the descents."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from effort import count

import ufm


def _problem(seed):
    rng = np.random.default_rng(seed)
    k, m = rng.integers(2, 6, size=2)
    targets = rng.normal(size=(k, m))
    tau = float(np.linalg.norm(targets, "nuc") * rng.uniform(0.05, 1.2))  # idle in one of eight
    architectures = (
        ufm.LayerPeeled((tau / k) ** 2, 1.0),
        ufm.DeepLinear((tau, tau)),
        ufm.LinearDEQ((0.7 * tau / k) ** 2, 1.0, 0.3),
    )
    labels = ufm.Labels(targets, np.full(m, float(rng.integers(1, 9))))
    return architectures[seed % 3], labels, [None, "free"][seed % 2]


@pytest.mark.parametrize("seed", range(count(12, 200)))
def test_it_is_what_descents_find(seed):
    architecture, labels, bias = _problem(seed)
    found = ufm.solve(architecture, labels, "mse", bias=bias, method="closed_form")
    other = ufm.solve(architecture, labels, "mse", bias=bias, method="nuclear")
    assert found.is_global
    assert found.value == pytest.approx(other.value, rel=1e-9, abs=1e-14)
    assert found.problem.gauge(found.logits) <= found.problem.radius * (1 + 1e-12)
    assert ufm.solve(architecture, labels, "mse", bias=bias).method == "closed_form"


@pytest.mark.parametrize("seed", range(count(3, 60)))
def test_too_few_dimensions_are_a_constraint(seed):
    architecture, labels, bias = _problem(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the gap to the convex problem stays open
        found = ufm.solve(architecture, labels, "mse", bias=bias, method="closed_form", dim=1)
        other = ufm.solve(architecture, labels, "mse", bias=bias, method="search", dim=1, starts=4)
    assert np.linalg.matrix_rank(found.logits, tol=1e-9) <= 1
    assert found.value == pytest.approx(other.value, rel=1e-6, abs=1e-9)
    assert found.lower <= found.value


def test_balanced_classes_keep_the_identity_shrunk():
    found = ufm.solve(ufm.LayerPeeled(0.3, 0.3), ufm.ClassPrior.balanced(5, 3.0), "mse", method="closed_form")
    assert found.logits == pytest.approx(0.3 * np.eye(5), abs=1e-15)


def test_counts_that_differ_are_refused_by_name():
    with pytest.raises(ValueError, match="prior has columns of different counts"):
        ufm.solve(ufm.LayerPeeled(0.3, 0.3), ufm.ClassPrior([2, 1]), "mse", method="closed_form")
