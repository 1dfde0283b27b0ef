"""What goes through the samples: copies of batches that come once, decisions known about the class means."""

import numpy as np
import pytest
import torch

from ufm.geometry.arrangement import Arrangement
from ufm.measures import FeatureStatistics, measure, measure_model, passes
from ufm.measures.accumulators import ClassMeans
from ufm.measures.head import Head, decided_near
from ufm.measures.nearest_mean import LinearDecisions
from ufm.measures.span import span_of_means


def network(seed=0, k=7, d=30, n=160, spread=0.3):
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((k, d))
    y = rng.permutation(np.arange(n) % k)
    return means[y] + spread * rng.standard_normal((n, d)), y, means + 0.3 * rng.standard_normal((k, d))


def same(one, other, tol=1e-11):
    for name, value in one.to_dict().items():
        if isinstance(value, float):
            assert value == pytest.approx(other.to_dict()[name], rel=tol, abs=1e-13), name


@pytest.mark.parametrize("d", [30, 8])  # more and fewer than twice the classes: along the means, and with a covariance
@pytest.mark.parametrize("bytes_kept", [0, 5000, 1 << 28])
def test_kept_or_streamed_batches_give_the_same(monkeypatch, d, bytes_kept):
    monkeypatch.setattr(passes, "KEPT", bytes_kept)
    x, y, w = network(d=d)
    batches = [(x[i : i + 20], y[i : i + 20]) for i in range(0, len(x), 20)]

    class Loader:
        def __iter__(self):
            buffer = np.empty((20, d))
            for features, labels in batches:
                buffer[:] = features
                yield buffer, labels

    whole = measure(x, y, classifier=w)
    same(measure(batches, classifier=w), whole)
    same(measure(Loader(), classifier=w), whole)
    once = measure(iter(Loader()), classifier=w).to_dict()
    assert once.pop("nc4") is None is once.pop("nc4_by_class")
    assert once == {name: measure(Loader(), classifier=w).to_dict()[name] for name in once}


def test_a_network_runs_once_where_its_features_are_kept(monkeypatch):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
    data = [(torch.randn(9, 4), torch.tensor([0, 1, 2] * 3)) for _ in range(4)]
    runs = []
    net.register_forward_hook(lambda *_: runs.append(1))
    kept = measure_model(net, data)
    assert len(runs) == len(data)
    assert kept.nc4 is not None
    monkeypatch.setattr(passes, "KEPT", 9 * 6 * 4)
    same(measure_model(net, data), kept)


def test_class_means_of_equal_samples_are_exact():
    rng = np.random.default_rng(1)
    points = 1e3 + rng.standard_normal((3, 5))
    y = rng.integers(0, 3, 1000)
    found = ClassMeans(3).update(points[y][:300], y[:300]).update(points[y][300:], y[300:])
    np.testing.assert_array_equal(found.means, points.T)


@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_class_means_are_those_of_the_statistics(offset):
    x, y, _ = network(2)
    one, other = ClassMeans(7).update(x + offset, y), FeatureStatistics(7).update(x + offset, y)
    np.testing.assert_allclose(one.means - offset, other.means - offset, atol=1e-14 * (1 + 10 * offset))
    np.testing.assert_array_equal(one.counts, other.counts)


@pytest.mark.parametrize("message", ["features must have d = 30 as before, got 2", "got no sample of 7, 8"])
def test_class_means_refuse(message):
    x, y, _ = network(2)
    found = ClassMeans(9).update(x, y)
    with pytest.raises(ValueError, match=message):
        _ = found.update(x[:, :2], y).means if "as before" in message else found.means


def test_nothing_else_is_decided_within_the_radius_and_something_is_beyond():
    rng = np.random.default_rng(3)
    means, w, b = rng.standard_normal((4, 6)), rng.standard_normal((6, 4)), rng.standard_normal(6)
    centre = means.mean(axis=1)
    found, radii = decided_near(Head(w, b), Arrangement(means - centre[:, None]), centre)
    np.testing.assert_array_equal(found, (w @ means + b[:, None]).argmax(axis=0))
    steps = rng.standard_normal((4, 6, 2000))
    steps /= np.linalg.norm(steps, axis=0)
    for size, held in ((1.0, True), (1.02, False)):
        logits = np.einsum("kd,dcn->kcn", w, means[:, :, None] + size * radii[:, None] * steps) + b[:, None, None]
        inside = (logits.argmax(axis=0) == found[:, None]).all(axis=1)
        assert inside.all() if held else not inside.all()
    # Along the difference of the nearest rows the boundary is exactly there.
    for k in range(6):
        z = w @ means[:, k] + b
        gaps = [(z[found[k]] - z[j]) / np.linalg.norm(w[found[k]] - w[j]) for j in range(6) if j != found[k]]
        assert radii[k] == pytest.approx(min(gaps), rel=1e-8)


def test_a_tie_at_a_mean_leaves_no_radius():
    w = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    found, radii = decided_near(Head(w, np.zeros(3)), Arrangement([[1.0, 0.0, -1.0], [0.0, 0.0, 0.0]]), np.zeros(2))
    assert radii[0] == radii[1] == 0 < radii[2]
    assert found[2] == 2


@pytest.mark.parametrize("spread", [0.01, 0.4, 2.0])
def test_decisions_with_the_means_known_are_those_of_the_logits(spread):
    x, y, w = network(4, n=700, spread=spread)
    means = np.array([x[y == k].mean(axis=0) for k in range(7)])
    b = np.linspace(-1, 1, 7)
    decisions = LinearDecisions.of_head(Head(w, b), span_of_means(means.T))
    distances = np.linalg.norm(x - means[y], axis=1)
    found = decisions.of_labelled(x, y, distances, np.linalg.norm(x, axis=1))
    np.testing.assert_array_equal(found, (x @ w.T + b).argmax(axis=1))
    assert not decisions.of_labelled(x[:0], y[:0], distances[:0], distances[:0]).size
