"""What theory would have beside the measures of targets and of several labels a sample."""

import itertools
import math

import numpy as np
import pytest

import ufm
from ufm.measures import measure_multi_label, measure_regression, reference_values


def regression(decay=0.02, num_targets=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((num_targets, 12)) * np.arange(1, num_targets + 1)[:, None]
    y -= y.mean(axis=1, keepdims=True)
    return ufm.solve(ufm.UnconstrainedFeatures(decay, decay), ufm.Labels(y, [1.0] * 12), "mse"), y


def tags(sizes=(1, 2), counts=(6.0, 2.0), decay=0.02):
    sets = [s for m in sizes for s in itertools.combinations(range(4), m)]
    labels = ufm.Labels.multi_label(4, sets, [counts[sizes.index(len(s))] for s in sets])
    return ufm.solve(ufm.UnconstrainedFeatures(decay, decay), labels), labels.targets.T > 0


def test_an_optimum_of_targets_has_the_collapsed_values():
    s, y = regression()
    rows = reference_values(measure_regression(s.features.T, y.T, classifier=s.classifier), s)
    for name, row in rows.items():
        assert row["measured"] == pytest.approx(row["optimum"], abs=1e-9), name
        if name != "offset":
            assert row["measured"] == pytest.approx(row["collapse"], rel=1e-6, abs=1e-9), name
    assert (rows["offset"]["collapse"], rows["nrc3"]["floor"], rows["mean_squared_error"]["floor"]) == (None, 0.0, 0.0)
    assert rows["mean_squared_error"]["collapse"] == pytest.approx(3 * 12 * 0.02**2, rel=1e-6)


def test_off_the_optimum_the_collapsed_values_stand_apart():
    s, y = regression()
    far = np.random.default_rng(1).standard_normal(s.features.shape)
    rows = reference_values(measure_regression(far.T, y.T, classifier=s.classifier))
    assert abs(rows["effective_rank"]["collapse"] - rows["effective_rank"]["measured"]) > 0.1
    assert rows["mean_squared_error"]["collapse"] < 0.1 * rows["mean_squared_error"]["measured"]


def test_floors_of_too_few_dimensions():
    y = regression()[1]
    rng, s = np.random.default_rng(2), np.linalg.svd(y / math.sqrt(12), compute_uv=False)
    rows = reference_values(
        measure_regression(rng.standard_normal((12, 1)), y.T, classifier=rng.standard_normal((3, 1)))
    )
    assert rows["mean_squared_error"]["floor"] == pytest.approx(s[1] ** 2 + s[2] ** 2)
    floor = rows["nrc3"]["floor"]
    found = [
        measure_regression(rng.standard_normal((12, 1)), y.T, classifier=w).nrc3
        for w in (*rng.standard_normal((200, 3, 1)), np.linalg.svd(y)[0][:, :1])
    ]
    assert floor > 1e-3
    assert min(found[:-1]) > floor
    assert found[-1] == pytest.approx(floor, rel=1e-6)


def test_of_targets_where_something_is_missing():
    x, y = np.random.default_rng(3).standard_normal((2, 9, 2))
    bare = reference_values(measure_regression(x, y))
    assert bare["nrc2"] == {"measured": None, "collapse": 0.0, "optimum": None, "floor": None}
    assert (bare["effective_rank"]["collapse"], bare["mean_squared_error"]["collapse"]) == (None, None)
    one = reference_values(measure_regression(x, y[:, 0], classifier=np.ones((1, 2))))
    assert one["effective_rank"]["collapse"] == pytest.approx(1)
    constant = reference_values(measure_regression(x, 0 * y, classifier=np.eye(2)))
    assert (constant["effective_rank"]["collapse"], constant["nrc3"]["floor"]) == (None, 0.0)


@pytest.mark.parametrize("sizes", [(1, 2), (1, 2, 3)])
def test_an_optimum_of_several_labels_has_the_collapsed_values(sizes):
    s, marks = tags(sizes, counts=(6.0, 2.0, 1.0))
    rows = reference_values(measure_multi_label(s.features.T, marks, classifier=s.classifier), s)
    for name, row in rows.items():
        if row["measured"] is not None:
            assert row["measured"] == pytest.approx(row["optimum"], rel=1e-6, abs=1e-6), name
    assert rows["tag_scales"]["measured"] == pytest.approx(rows["tag_scales"]["collapse"], rel=1e-4)
    assert max(rows["tag_scales"]["collapse"]) < 0.98  # and so not what any sum has
    assert rows["tag_cosine"]["collapse"] == 1.0
    assert rows["singles: etf_error"]["collapse"] == pytest.approx(0, abs=1e-12)
    assert len(rows["tag_scales"]["optimum"]) == len(marks) - 4


def test_without_a_margin_the_scales_are_not_known():
    s, marks = tags()
    rows = reference_values(measure_multi_label(s.features.T, marks))
    assert rows["tag_scales"]["collapse"] == [None] * 6
    full = np.vstack([marks, [1, 1, 1, 1]])
    x = np.vstack([s.features.T, np.zeros(s.features.shape[0])])
    rows = reference_values(measure_multi_label(x, full, classifier=s.classifier))
    assert rows["tag_scales"]["collapse"][-1] is None
    assert rows["tag_scales"]["collapse"][0] is not None


def test_an_optimum_counts_its_samples():
    y = np.array([[1.0, -1.0, 3.0], [0.0, 2.0, 1.0]])
    model = ufm.UnconstrainedFeatures(0.02, 0.02)
    s, whole = ufm.solve(model, ufm.Labels(y, [1.0, 2.0, 1.0]), "mse"), np.repeat(y, [1, 2, 1], axis=1)
    found = measure_regression(np.repeat(s.features, [1, 2, 1], axis=1).T, whole.T, classifier=s.classifier)
    for name, row in reference_values(found, s).items():
        assert row["optimum"] == pytest.approx(row["measured"], abs=1e-9), name
    with pytest.raises(ValueError, match="counts that are multiples of the least"):
        reference_values(found, ufm.solve(model, ufm.Labels(y, [1.0, 1.5, 1.0]), "mse"))


def test_optima_of_other_problems_are_refused():
    (s, y), (t, marks) = regression(), tags()
    targets = measure_regression(s.features.T, y.T)
    several = measure_multi_label(t.features.T, marks)
    with pytest.raises(ValueError, match="optimum must have 3 targets, got 4"):
        reference_values(targets, t)
    with pytest.raises(ValueError, match="optimum must have the sets of labels"):
        reference_values(several, s)
    with pytest.raises(TypeError, match="optimum must be a ufm"):
        reference_values(several, 1)
