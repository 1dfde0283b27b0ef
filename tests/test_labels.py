"""Class priors: counts, probabilities, groups, equality, and what is refused."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm

counts = st.lists(st.floats(1e-6, 1e9), min_size=2, max_size=12)


@given(counts)
def test_probabilities_sum_to_one_and_are_proportional_to_counts(values):
    prior = ufm.ClassPrior(values)
    assert prior.counts.tolist() == values
    assert prior.num_classes == len(values)
    assert prior.num_samples == math.fsum(values)
    assert prior.probabilities.sum() == pytest.approx(1.0, rel=1e-14)
    np.testing.assert_allclose(prior.probabilities * prior.num_samples, values, rtol=1e-14)
    assert prior.ratio == max(values) / min(values)


@given(st.lists(st.sampled_from([1.0, 2.0, 2.0 + 1e-9, 10.0]), min_size=2, max_size=12))
def test_groups_partition_the_classes_by_exact_count_most_frequent_first(values):
    prior = ufm.ClassPrior(values)
    members = [k for group in prior.groups for k in group.classes]
    assert sorted(members) == list(range(len(values)))
    assert [group.count for group in prior.groups] == sorted(set(values), reverse=True)
    for a, group in enumerate(prior.groups):
        assert group.size == len(group.classes) == values.count(group.count)
        assert list(group.classes) == sorted(group.classes)
        assert all(values[k] == group.count and prior.group_of_class[k] == a for k in group.classes)
    assert prior.is_balanced == (len(set(values)) == 1)


def test_nearly_equal_counts_are_different_groups():
    assert len(ufm.ClassPrior([1.0, 1.0 + 1e-9]).groups) == 2
    assert len(ufm.ClassPrior([3, 3.0, np.int64(3), np.float32(3), Fraction(3)]).groups) == 1


def test_step_prior_has_the_majority_first():
    prior = ufm.ClassPrior.step(num_majority=2, num_minority=3, ratio=12.0)
    assert prior.counts.tolist() == [12.0, 12.0, 1.0, 1.0, 1.0]
    assert prior.probabilities.tolist() == pytest.approx([12 / 27, 12 / 27, 1 / 27, 1 / 27, 1 / 27], rel=1e-15)
    assert [g.size for g in prior.groups] == [2, 3]
    assert prior.ratio == 12.0
    scaled = ufm.ClassPrior.step(2, 3, 12.0, minority_count=5)
    assert scaled.counts.tolist() == [60.0, 60.0, 5.0, 5.0, 5.0]


def test_step_prior_of_ratio_one_is_balanced():
    assert ufm.ClassPrior.step(2, 3, 1) == ufm.ClassPrior.balanced(5)
    assert ufm.ClassPrior.balanced(num_classes=5).is_balanced
    assert ufm.ClassPrior.balanced(4, count=25).num_samples == 100


def test_long_tailed_prior_is_a_geometric_sequence():
    prior = ufm.ClassPrior.long_tailed(num_classes=10, ratio=100.0)
    assert prior.counts[0] == pytest.approx(100.0, rel=1e-15)
    assert prior.counts[-1] == 1.0
    np.testing.assert_allclose(prior.counts[:-1] / prior.counts[1:], 100 ** (1 / 9), rtol=1e-14)
    assert len(prior.groups) == 10
    assert ufm.ClassPrior.long_tailed(3, 1.0).is_balanced
    assert ufm.ClassPrior.long_tailed(2, 4.0, minority_count=10).counts.tolist() == [40.0, 10.0]


def test_equality_and_hash_go_by_the_counts_in_their_order():
    a, b = ufm.ClassPrior([3, 2, 2]), ufm.ClassPrior(np.array([3.0, 2.0, 2.0]))
    assert a == b
    assert hash(a) == hash(b)
    assert {a: 1}[b] == 1
    assert a != ufm.ClassPrior([2, 3, 2])
    assert a != ufm.ClassPrior([3, 2, 2, 2])
    assert a != [3, 2, 2]
    assert a != "ClassPrior([3, 2, 2])"


def test_priors_are_read_only():
    prior = ufm.ClassPrior([3, 2])
    with pytest.raises(ValueError, match="read-only"):
        prior.counts[0] = 7
    with pytest.raises(ValueError, match="read-only"):
        prior.probabilities[0] = 0.5
    with pytest.raises(AttributeError):
        prior._counts = (1.0, 1.0)


def test_later_changes_of_the_input_array_do_not_reach_the_prior():
    values = np.array([3.0, 2.0])
    prior = ufm.ClassPrior(values)
    values[0] = 99
    assert prior.counts.tolist() == [3.0, 2.0]


def test_repr_gives_the_prior_back_and_stays_short():
    assert repr(ufm.ClassPrior([3, 2, 0.5])) == "ClassPrior([3, 2, 0.5])"
    assert repr(ufm.ClassPrior.step(500, 500, 10)) == "ClassPrior([10] * 500 + [1] * 500)"
    assert repr(ufm.ClassPrior.long_tailed(1000, 100)).endswith(", ...)")
    assert len(repr(ufm.ClassPrior.long_tailed(1000, 100))) < 1000


@given(st.lists(st.sampled_from([0.1, 1 / 3, 1e-270, 1e9, 7.0, 2**60 + 0.0]), min_size=2, max_size=40))
def test_repr_is_exact(values):
    prior = ufm.ClassPrior(values)
    assert eval(repr(prior), {"ClassPrior": ufm.ClassPrior}) == prior


def test_arrays_and_tensors_of_counts():
    torch = pytest.importorskip("torch")
    for values in (
        np.array([3, 2]),
        np.array([3.0, 2.0], dtype=np.float32),
        torch.tensor([3, 2]),
        torch.tensor([3.0, 2]),
    ):
        assert ufm.ClassPrior(values) == ufm.ClassPrior([3, 2])
    with pytest.raises(ValueError, match="counts must be one-dimensional"):
        ufm.ClassPrior(torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"counts\[1\] must be > 0"):
        ufm.ClassPrior(torch.tensor([1.0, -1.0]))
    assert ufm.ClassPrior(np.ma.array([3, 2])) == ufm.ClassPrior([3, 2])
    with pytest.raises(TypeError, match="counts must have no masked entries, got 1"):
        ufm.ClassPrior(np.ma.array([3, 2, 1], mask=[False, True, False]))


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([], ValueError, r"counts must hold at least 2 classes, got 0"),
        ((), ValueError, r"counts must hold at least 2 classes, got 0"),
        (np.array([]), ValueError, r"counts must hold at least 2 classes, got 0"),
        ([5], ValueError, r"counts must hold at least 2 classes, got 1"),
        ([3, 0], ValueError, r"counts\[1\] must be > 0 and finite, got 0"),
        ([-3, 1], ValueError, r"counts\[0\] must be > 0 and finite, got -3"),
        ([1, 2, math.nan], ValueError, r"counts\[2\] must be finite, got nan"),
        ([1, math.inf], ValueError, r"counts\[1\] must be finite, got inf"),
        ([-math.inf, 1], ValueError, r"counts\[0\] must be finite, got -inf"),
        (np.array([1.0, np.nan]), ValueError, r"counts\[1\] must be finite, got .*nan"),
        ([1, 10**400], ValueError, r"counts\[1\] must be finite"),
        ([1e308, 1e308], ValueError, r"counts must have a finite sum"),
        (["3", "2"], TypeError, r"counts\[0\] must be a real number, got '3'"),
        ("32", TypeError, r"counts must be a sequence of positive numbers, got '32'"),
        (b"32", TypeError, r"counts must be a sequence of positive numbers"),
        (5, TypeError, r"counts must be a sequence of positive numbers, got 5"),
        (None, TypeError, r"counts must be a sequence of positive numbers, got None"),
        ([True, True], TypeError, r"counts\[0\] must be a real number, got True"),
        (np.array([True, False]), TypeError, r"counts\[0\] must be a real number"),
        ([1, None], TypeError, r"counts\[1\] must be a real number, got None"),
        ([1, 2j], TypeError, r"counts\[1\] must be a real number, got 2j"),
        (np.array([1 + 0j, 2 + 1j]), TypeError, r"counts\[0\] must be a real number"),
        ([Decimal(1), Decimal(2)], TypeError, r"counts\[0\] must be a real number"),
        ([[1, 2], [3, 4]], TypeError, r"counts\[0\] must be a real number, got \[1, 2\]"),
        (np.ones((2, 2)), ValueError, r"counts must be one-dimensional, got an array of shape \(2, 2\)"),
        (np.array(3.0), (ValueError, TypeError), r"counts must be"),
    ],
)
def test_bad_counts_are_refused_by_name(values, error, message):
    with pytest.raises(error, match=message):
        ufm.ClassPrior(values)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: ufm.ClassPrior.balanced(1),
            ValueError,
            r"num_classes must be an integer between 2 and 1000000, got 1",
        ),
        (lambda: ufm.ClassPrior.balanced(2.5), ValueError, r"num_classes must be an integer >= 2, got 2.5"),
        (lambda: ufm.ClassPrior.balanced("3"), TypeError, r"num_classes must be a real number, got '3'"),
        (lambda: ufm.ClassPrior.balanced(True), TypeError, r"num_classes must be a real number, got True"),
        (lambda: ufm.ClassPrior.balanced(3, count=0), ValueError, r"count must be > 0"),
        (
            lambda: ufm.ClassPrior.step(0, 5, 2.0),
            ValueError,
            r"num_majority must be an integer between 1 and 1000000, got 0",
        ),
        (
            lambda: ufm.ClassPrior.step(5, 0, 2.0),
            ValueError,
            r"num_minority must be an integer between 1 and 1000000, got 0",
        ),
        (lambda: ufm.ClassPrior.step(5, 5, 0.5), ValueError, r"ratio must be >= 1 .*got 0.5"),
        (lambda: ufm.ClassPrior.step(5, 5, math.inf), ValueError, r"ratio must be finite, got inf"),
        (lambda: ufm.ClassPrior.step(5, 5, math.nan), ValueError, r"ratio must be finite, got nan"),
        (lambda: ufm.ClassPrior.step(5, 5, 2.0, minority_count=-1), ValueError, r"minority_count must be > 0"),
        (
            lambda: ufm.ClassPrior.long_tailed(1, 2.0),
            ValueError,
            r"num_classes must be an integer between 2 and 1000000, got 1",
        ),
        (lambda: ufm.ClassPrior.long_tailed(5, 0.5), ValueError, r"ratio must be >= 1 .*got 0.5"),
        (lambda: ufm.ClassPrior.long_tailed(5, "big"), TypeError, r"ratio must be a real number, got 'big'"),
    ],
)
def test_bad_profiles_are_refused_by_name(make, error, message):
    with pytest.raises(error, match=message):
        make()


@given(k_a=st.integers(1, 6), k_b=st.integers(1, 6), ratio=st.floats(1.0, 1e12), minority_count=st.floats(1e-6, 1e6))
@settings(max_examples=examples(50))
def test_step_prior_keeps_its_ratio(k_a, k_b, ratio, minority_count):
    prior = ufm.ClassPrior.step(k_a, k_b, ratio, minority_count)
    assert prior.ratio == pytest.approx(ratio, rel=1e-15)
    assert (prior.counts[:k_a] == ratio * minority_count).all()
    assert (prior.counts[k_a:] == minority_count).all()


@pytest.mark.parametrize("counts", [[0.1, 5e-324], [1e300, 1.0]])
def test_counts_without_digits_in_their_probabilities_are_refused(counts):
    with pytest.raises(ValueError, match=r"counts must not differ by more than 1e\+290 between classes"):
        ufm.ClassPrior(counts)
