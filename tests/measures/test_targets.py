"""Targets and several labels a sample: the measures against their definitions, the theory's optima, and refusals."""

import itertools

import numpy as np
import pytest
import torch

import ufm
from ufm.measures import measure, measure_model, measure_multi_label, measure_regression


def data(seed=0, n=60, d=7, m=3):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) + 5.0, rng.standard_normal((n, m)), rng.standard_normal((m, d))


def projector(basis):
    return basis @ np.linalg.pinv(basis)


def test_regression_by_the_definitions():
    x, y, w = data()
    found = measure_regression(x, y, classifier=w, bias=[1.0, 2.0, 3.0])
    units = x - x.mean(axis=0)
    _, vectors = np.linalg.eigh(units.T @ units)
    units /= np.linalg.norm(units, axis=1)[:, None]
    for name, basis in (("nrc1", vectors[:, -3:]), ("nrc2", w.T)):
        outside = units - units @ projector(basis)
        assert getattr(found, name) == pytest.approx(np.mean(np.sum(outside**2, axis=1)), rel=1e-12), name
    values, q = np.linalg.eigh(np.cov(y.T, bias=True))
    gram = w @ w.T / np.linalg.norm(w @ w.T)
    errors = []
    for offset in np.linspace(0, values[0], 2001):
        root = (q * (np.sqrt(values) - np.sqrt(offset))) @ q.T
        errors.append(np.sum((gram - root / np.linalg.norm(root)) ** 2))
    assert min(errors) * (1 - 1e-4) <= found.nrc3 <= min(errors)
    assert found.mean_squared_error == pytest.approx(np.mean(np.sum((x @ w.T + [1, 2, 3] - y) ** 2, axis=1)))
    p = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    p /= p.sum()
    assert found.effective_rank == pytest.approx(np.exp(-(p * np.log(p)).sum()))


@pytest.mark.parametrize("decay", [0.01, 0.1])
def test_regression_at_an_optimum(decay):
    y = data(1, n=12)[1]
    y -= y.mean(axis=0)
    s = ufm.solve(ufm.UnconstrainedFeatures(decay, decay / 12), ufm.Labels(y.T, [1.0] * 12), "mse")
    found = measure_regression(s.features.T, y, classifier=s.classifier)
    assert max(found.nrc1, found.nrc2, found.nrc3) < 1e-9
    assert found.offset == pytest.approx(decay**2, rel=1e-6)
    off = measure_regression(
        s.features.T, y, classifier=s.classifier @ np.diag(np.arange(1.0, 1 + s.classifier.shape[1]))
    )
    assert off.nrc3 > 1e-4


def test_regression_where_something_is_missing():
    x, y, w = data()
    bare = measure_regression(x, y[:, 0])
    assert (bare.num_targets, bare.nrc2, bare.nrc3, bare.mean_squared_error) == (1, None, None, None)
    equal = measure_regression(np.ones_like(x), y, classifier=0 * w)
    assert (equal.nrc1, equal.nrc2, equal.nrc3, equal.effective_rank) == (None, None, None, None)
    assert measure_regression(x, y[:, :1], classifier=w[:1]).nrc3 == 0.0
    assert measure_regression(x, np.ones_like(y), classifier=w).nrc3 is None


def multi_label(seed=2):
    rng = np.random.default_rng(seed)
    sets = [(0,), (1,), (2,), (3,), (0, 1), (1, 3), (0, 2, 3)]
    index = np.concatenate([np.arange(7), rng.integers(0, 7, 60)])
    marks = np.array([[int(k in sets[i]) for k in range(4)] for i in index])
    return rng.standard_normal((67, 5)), marks, sets, index


def test_several_labels_by_the_definitions():
    x, marks, sets, index = multi_label()
    w = np.random.default_rng(3).standard_normal((4, 5))
    found = measure_multi_label(x, marks, classifier=w)
    means = np.array([x[index == i].mean(axis=0) for i in range(7)])
    centre = means[:4].mean(axis=0)
    cosines, scales = [], []
    for i in range(4, 7):
        a, b = means[i] - centre, sum(means[k] - centre for k in sets[i])
        cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        scales.append(np.linalg.norm(a) / np.linalg.norm(b))
    assert found.label_sets == tuple(sets)
    assert found.counts == tuple(np.bincount(index).tolist())
    assert found.tag_cosine == pytest.approx(np.mean(cosines))
    np.testing.assert_allclose(found.tag_scales, scales)
    within = sum(np.sum((x[index == i] - means[i]) ** 2) for i in range(7)) / len(x)
    assert found.trace_quotient == pytest.approx(within / (np.sum((means - means.mean(axis=0)) ** 2) / 7))
    alone = index < 4
    assert found.singles == measure(x[alone], index[alone], classifier=w)
    for same in (marks.astype(bool), marks.astype(float), torch.tensor(marks)):
        assert measure_multi_label(x, same, classifier=w) == found
    assert found.to_dict()["label_sets"][4] == [0, 1]


def test_several_labels_at_an_optimum_are_averages():
    pairs = list(itertools.combinations(range(4), 2))
    labels = ufm.Labels.multi_label(4, [(k,) for k in range(4)] + pairs, [30] * 4 + [10] * 6)
    s = ufm.solve(ufm.UnconstrainedFeatures(0.003, 0.003), labels)
    found = measure_multi_label(s.features.T, labels.targets.T > 0, classifier=s.classifier)
    assert found.tag_cosine == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(found.tag_scales, found.tag_scales[0], rtol=1e-5)
    assert found.singles.etf_error < 1e-6


def test_one_label_each_has_no_tags():
    x, y = np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[0, 1, 2, 0]]
    found = measure_multi_label(x, y)
    assert (found.tag_cosine, found.tag_scales) == (None, ())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y, w: measure_regression(x[:1], y[:1]), "features must hold at least 2 samples, got 1"),
        (lambda x, y, w: measure_regression(x, y[:9]), r"targets must have shape \(n, m\) or \(n,\), .* n = 60, got"),
        (lambda x, y, w: measure_regression(x, np.nan * y), "targets must be finite"),
        (lambda x, y, w: measure_regression(x, y, classifier=w.T), r"classifier must have shape \(m, d\) = \(3, 7\)"),
        (lambda x, y, w: measure_regression(x, y, bias=[1]), "bias must come with a classifier"),
        (lambda x, y, w: measure_regression(x, y, classifier=w, bias=[1.0]), r"bias must have shape \(m,\)"),
        (lambda x, y, w: measure_multi_label(x, y), "labels must be 0 or 1"),
        (
            lambda x, y, w: measure_multi_label(x, 0 * y),
            "labels must give every sample at least one label, .* sample 0",
        ),
        (lambda x, y, w: measure_multi_label(x, 0 * y[:5] + 1), "labels must have as many rows as features, 60, got 5"),
        (lambda x, y, w: measure_multi_label(x, 0 * y + 1), "got no sample of 0, 1, 2 alone"),
        (
            lambda x, y, w: measure(x, y),
            "measure_multi_label takes rows of several labels a sample, measure_regression",
        ),
        (lambda x, y, w: measure(x, y[:, 0]), "labels must be integers, got dtype float64; measure_multi_label"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(*data())


def test_a_network_and_its_loader():
    x, marks, _, _ = multi_label()
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Dropout(0.5), torch.nn.Linear(6, 4))
    inputs = torch.tensor(x, dtype=torch.float32)
    head = {"classifier": net[2].weight.detach(), "bias": net[2].bias.detach()}
    for kind, labels, of in (
        ("multi-label", torch.tensor(marks), measure_multi_label),
        ("regression", torch.tensor(marks) * 1.5, measure_regression),
    ):
        loader = [(inputs[i : i + 20], labels[i : i + 20]) for i in range(0, 67, 20)]
        assert measure_model(net, loader, labels=kind) == of(
            torch.cat([net[0](b).detach() for b, _ in loader]), labels, **head
        )
        with pytest.raises(ValueError, match="layers plays no role for labels="):
            measure_model(net, loader, labels=kind, layers=["0"])
    with pytest.raises(ValueError, match="labels must be one of 'classes', 'multi-label', 'regression', got 'tags'"):
        measure_model(net, loader, labels="tags")
