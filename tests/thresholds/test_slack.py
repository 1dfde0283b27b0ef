"""Thresholds with nonnegative features and bounded norms, any loss and bias: closed forms, differences, refusals."""

import numpy as np
import pytest

import ufm
from ufm.thresholds import slack
from ufm.thresholds.general import BisectedQuestion

RELU = ufm.LayerPeeled(0.5, 0.5, features="nonnegative")
DECAY = ufm.UnconstrainedFeatures(0.02, 0.02, features="nonnegative")
NORMS = ufm.NormBounded(1.0, 1.0)
#: Cross-entropy, which is not known to be it.
SHIFTED = ufm.CrossEntropy(shifts=(0.0, 0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("architecture", "options"),
    [(RELU, {}), (DECAY, {"minority_count": 2.0}), (DECAY, {"num_samples": 60.0}), (NORMS, {})],
    ids=["budgets", "n_B", "N", "norms"],
)
@pytest.mark.sample(1)
def test_bisected_on_solutions_it_is_the_closed_form(architecture, options):
    known = ufm.collapse_threshold(architecture, 2, 2, **options)
    found = ufm.collapse_threshold(architecture, 2, 2, loss=SHIFTED, **options)
    assert isinstance(found.question, BisectedQuestion)
    assert found.lower <= known.ratio <= found.upper
    slopes, exact = found.derivative, known.derivative
    assert {name: slopes[name] for name in exact} == pytest.approx(exact, rel=2e-6)


CASES = [
    (RELU, {"loss": "bce"}),
    (RELU, {"loss": ufm.CrossEntropy(smoothing=0.1), "bias": "free"}),
    (DECAY, {"loss": "mse", "bias": 0.3, "minority_count": 2.0}),
    (NORMS, {"loss": "bce"}),
]


@pytest.mark.parametrize(("architecture", "options"), CASES, ids=["relu-bce", "relu-smooth", "decay-mse", "norms-bce"])
@pytest.mark.sample(2)
def test_s_b_grows_from_zero_at_the_threshold(architecture, options):
    t = ufm.collapse_threshold(architecture, 2, 3, **options)
    held, rest = options.get("minority_count", 1.0), {k: v for k, v in options.items() if k != "minority_count"}

    def spread(ratio):
        s = ufm.solve(architecture, ufm.ClassPrior([held * ratio] * 2 + [held] * 3), **rest)
        z = s.logits[2:, 2:]
        return (np.trace(z) - z.sum() / 3) / 2 / abs(s.logits).max()

    assert abs(spread(t.ratio * 1.002)) < 1e-9
    two, one = spread(t.ratio * 0.996), spread(t.ratio * 0.998)
    assert two > one > 1e-5
    assert two / one == pytest.approx(2, rel=0.05)  # linearly


def test_idle_features_leave_no_threshold():
    """A bias keeps the minority's features off their bound: s_B falls as 1/R and is never 0."""
    with pytest.raises(ValueError, match=r"must leave a threshold below R = 100000 with loss bce and bias 0\.3"):
        ufm.collapse_threshold(NORMS, 2, 2, loss="bce", bias=0.3)
    scales = []
    for ratio in (1e2, 1e4):
        z = ufm.solve(NORMS, ufm.ClassPrior.step(2, 2, ratio), "bce", bias=0.3).logits
        scales.append(ratio * (z[2, 2] - z[2, 3]))
    assert scales == pytest.approx([scales[-1]] * 2, rel=0.1)
    assert scales[-1] > 0.1


@pytest.mark.parametrize("sizes", [(2, 2), (2, 3)])
@pytest.mark.sample(0)
def test_a_sign_that_is_rounding_is_no_threshold(monkeypatch, sizes):
    from ufm.thresholds import general

    monkeypatch.setattr(general, "RESOLVED_RATIO", 1e9)
    with pytest.raises(ValueError, match=r"must leave a threshold (that solutions resolve|below R = 1e\+08)"):
        ufm.collapse_threshold(NORMS, *sizes, loss="bce", bias=0.3)


@pytest.mark.sample(0)
def test_slopes_against_differences_of_thresholds():
    def at(size):
        return ufm.collapse_threshold(ufm.LayerPeeled(size, 0.5, features="nonnegative"), 2, 2, loss="bce")

    difference = (at(0.502).ratio - at(0.498).ratio) / 0.004
    assert at(0.5).derivative["E_W"] == pytest.approx(difference, rel=1e-4)


def test_a_kink_is_named():
    """A margin whose slope in a parameter is another to either side."""

    class Family:
        def __init__(self, x):
            self.x = x

        def at(self, ratio):
            return (2 - ratio) + (self.x - 1) * (2 if self.x > 1 else 1)

    sides = {1: -1.0, -1: -1.0}
    with pytest.raises(ValueError, match=r"no derivative by rho: .* the slope 1 below and 2 above"):
        BisectedQuestion(None)._slope("rho", Family, 1.0, 2.0, sides)


def test_atoms_with_one_class_of_each_group():
    """The polar over nonnegative vectors is the largest over the four kinds."""
    from ufm.gauges import nonnegative_polar

    rng = np.random.default_rng(0)
    groups = range(3), range(3, 5)
    for _ in range(5):
        x = slack._alike(rng.normal(size=(5, 5)), groups)
        frame = slack._frame(groups)
        numbers = [slack._standard(x, group) for group in groups]
        kinds = [(a, b) for a in (True, False) for b in (True, False)]
        forms = [slack._form(numbers, frame.T @ x @ frame, [3, 2], kind) for kind in kinds]
        best = max(np.linalg.eigvalsh(q)[1] if q[0, 1] > 0 else q.diagonal().max() for q in forms)
        assert np.sqrt(best) == pytest.approx(nonnegative_polar(x).value, rel=1e-9)


def test_what_is_refused_says_what_would_do():
    many = ufm.CrossEntropy(smoothing=0.1)
    with pytest.raises(ValueError, match="at most 12 with nonnegative features"):
        ufm.collapse_threshold(RELU, 10, 3, loss=many)
    with pytest.raises(ValueError, match=r"nuclear-norm gauge|function of singular values"):
        ufm.collapse_threshold(ufm.Residual(0.05, 0.05, 0.2, 4), 2, 2, loss="bce", minority_count=2.0)


def test_without_a_pull_there_is_no_slack():
    """A gradient of 0: nothing attains the polar, so that no stretch is a share of it."""
    assert slack._cone_slack([0.0, 0.0], np.zeros((2, 2)), [2, 3]) == 0.0
