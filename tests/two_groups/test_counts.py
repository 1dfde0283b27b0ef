"""How the counts vary with R: three rules, one check of which is given, and where each meets ``n_B = N^2 lam^2``."""

from __future__ import annotations

import math

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.two_groups.counts import HELD, CountRule, count_rule

PENALISED, BUDGETS = ufm.UnconstrainedFeatures(5e-3, 5e-3), ufm.LayerPeeled(1.0, 5.0)
CLASSES = st.integers(1, 20)


def quantities(n_a: float, n_b: float, k_a: int, k_b: int) -> dict[str, float]:
    return dict(zip(HELD, (k_a * n_a + k_b * n_b, n_a, n_b), strict=True))


@given(st.sampled_from(HELD), st.floats(1e-3, 1e6), st.floats(1.0, 1e6), CLASSES, CLASSES)
def test_the_counts_have_the_ratio_and_the_quantity_held(held, value, ratio, k_a, k_b):
    n_a, n_b = CountRule(held, value).counts(ratio, k_a, k_b)
    assert n_a / n_b == pytest.approx(ratio, rel=1e-14)
    assert quantities(n_a, n_b, k_a, k_b)[held] == pytest.approx(value, rel=1e-13)


@given(st.sampled_from(HELD), st.floats(1e-3, 1e6), st.floats(-14.0, 0.0), CLASSES, CLASSES)
@settings(max_examples=examples(200))
def test_collapse_is_where_the_minority_is_worth_its_price(held, value, log_lam, k_a, k_b):
    lam = math.exp(log_lam)
    n_a, n_b = CountRule(held, value).at_collapse(lam, k_a, k_b)
    found = quantities(n_a, n_b, k_a, k_b)
    assert found[held] == pytest.approx(value, rel=1e-13)
    price = (found["num_samples"] * lam) ** 2
    if n_a > n_b * (1 + 1e-9):
        assert n_b == pytest.approx(price, rel=1e-9)
    else:  # collapsed from R = 1 on
        assert n_a == pytest.approx(n_b, rel=1e-12)
        assert n_b <= price * (1 + 1e-9)


def test_budgets_take_no_count_and_weight_decay_exactly_one():
    assert count_rule(BUDGETS) is None
    assert count_rule(PENALISED, majority_count=7) == CountRule("majority_count", 7.0)
    for name in HELD:
        with pytest.raises(ValueError, match=rf"^{name} plays no role for LayerPeeled"):
            count_rule(BUDGETS, **{name: 3})
        with pytest.raises(ValueError, match=rf"^{name} must be > 0"):
            count_rule(PENALISED, **{name: 0})
        with pytest.raises(TypeError, match=rf"^{name} must be a real number"):
            count_rule(PENALISED, **{name: "3"})
    with pytest.raises(ValueError, match=r"exactly one of .* got none"):
        count_rule(PENALISED)
    with pytest.raises(ValueError, match=r"exactly one of .* got \['majority_count', 'num_samples'\]"):
        count_rule(PENALISED, num_samples=6, majority_count=7)
