"""The batched solver against the scalar one, against its own bounds, and against laws of the problem."""

from __future__ import annotations

import dataclasses
import math
import tracemalloc
import warnings

import numpy as np
import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ufm
from ufm.problem import Problem
from ufm.testing import log_uniform
from ufm.two_groups import _arrays as core
from ufm.two_groups import batch
from ufm.two_groups.batch import PHASES, solve_batch
from ufm.two_groups.thresholds import total_collapse_threshold

SETTINGS = settings(max_examples=examples(150), deadline=None, derandomize=True)


def logits_of(s, k_a, k_b, index=()):
    """The (K, K) logits of one point, centred columns: t_BA = -u/K, t_AB = -v/K under cross-entropy."""
    s_a, s_b, d_a, d_b = (float(getattr(s, name)[index]) for name in ("s_A", "s_B", "d_A", "d_B"))
    u, v = s_a + k_a * d_a, s_b + k_b * d_b
    z = np.empty((k_a + k_b,) * 2)
    t_ba, t_ab = -u / (k_a + k_b), -v / (k_a + k_b)
    z[:k_a, :k_a], z[k_a:, :k_a] = t_ba + d_a, t_ba
    z[k_a:, k_a:], z[:k_a, k_a:] = t_ab + d_b, t_ab
    return z + np.diag([s_a] * k_a + [s_b] * k_b)


def phases_nearby(architecture, prior, loss):
    """The phase of a point; on a boundary between phases, where rounding decides, those on both sides of it."""
    name = "lambda_W" if hasattr(architecture, "lambda_W") else "E_W"
    return {
        ufm.solve(
            dataclasses.replace(architecture, **{name: getattr(architecture, name) * factor}),
            prior,
            loss,
            method="reduced",
        ).phase
        for factor in (1 - 1e-12, 1.0, 1 + 1e-12)
    }


def assert_matches_scalar(found, architecture, prior, loss, index=()):
    """One point of a batch against ``ufm.solve``: value, bounds, multiplier, phase and logits."""
    # squared error under decay by its closed form: near a decay of 1e-12 logits beside 1 give z - t to 1e-4 alone
    closed = loss == "mse" and hasattr(architecture, "lambda_W")
    expected = ufm.solve(architecture, prior, loss, method="closed_form" if closed else "reduced")
    assert expected.is_global or expected.value < 1e-280
    value, lower = float(found.value[index]), float(found.lower[index])
    floor = 1e-15 if loss == "mse" else 1e-295
    assert value == pytest.approx(expected.value, rel=1e-10, abs=floor)
    assert value - lower <= 1e-10 * value + floor
    assert lower <= expected.value * (1 + 1e-12) + floor
    assert float(found.multiplier[index]) == pytest.approx(expected.multiplier, rel=1e-9, abs=floor)
    assert PHASES[int(found.phase[index])] in phases_nearby(architecture, prior, loss)
    groups = prior.groups
    if len(groups) == 2 and loss == "ce":
        z = logits_of(found, groups[0].size, groups[1].size, index)
        assert z == pytest.approx(expected.logits, abs=1e-8 * (1 + np.abs(expected.logits).max()))


@st.composite
def points(draw):
    """(architecture, step prior arguments, keywords of solve_batch): corners drawn on purpose."""
    k_a, k_b = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    ratio = 1 + draw(st.one_of(st.just(0.0), log_uniform(1e-6, 1e6)))
    rho = draw(st.one_of(st.just(0.0), st.floats(0, 0.9)))
    if draw(st.booleans()):
        tau = draw(log_uniform(1e-6, 400))
        split = draw(log_uniform(0.1, 10))
        budgets = {"E_W": tau * (1 - rho) * split, "E_H": tau * (1 - rho) / split}
        return ufm.LinearDEQ(**budgets, rho=rho), (k_a, k_b, ratio, 1.0), budgets | {"rho": rho}
    # from strengths that leave the simplex ETF almost alone to ones at which nothing is left
    n_b = draw(log_uniform(0.1, 100))
    beta_b = draw(log_uniform(1e-12, 3 * math.sqrt(ratio)))
    strength = beta_b / (math.sqrt(n_b) * (k_a * ratio + k_b))
    decays = {"lambda_W": strength / (1 - rho), "lambda_H": strength / (1 - rho)}
    return ufm.PenalisedDEQ(**decays, rho=rho), (k_a, k_b, ratio, n_b), decays | {"rho": rho, "minority_count": n_b}


TINY = {"lambda_W": 1.2882197600262102e-11, "lambda_H": 1.2882197600262102e-11, "rho": 0.0, "minority_count": 1.0}


@SETTINGS
@given(points(), st.sampled_from(["ce", "mse"]))
@example((ufm.PenalisedDEQ(1.2882197600262102e-11, 1.2882197600262102e-11, 0.0), (1, 1, 2.0, 1.0), TINY), "mse")
def test_random_points_and_corners(point, loss):
    architecture, (k_a, k_b, ratio, n_b), keywords = point
    prior = ufm.ClassPrior.step(k_a, k_b, ratio, n_b)
    assert_matches_scalar(solve_batch(k_a, k_b, ratio, loss=loss, **keywords), architecture, prior, loss)


@SETTINGS
@given(st.integers(1, 12), st.integers(2, 12), log_uniform(1e-3, 8), st.sampled_from([-1e-9, 1e-9]))
@example(1, 2, 1e-3, 1e-9)
@example(12, 2, 8.0, -1e-9)
def test_phase_on_either_side_of_the_threshold(k_a, k_b, energy, offset):
    threshold = ufm.collapse_threshold(ufm.LayerPeeled(1.0, energy), k_a, k_b).ratio
    ratio = threshold * (1 + offset)
    if ratio < 1 or not math.isfinite(ratio):
        return
    found = solve_batch(k_a, k_b, ratio, E_W=1.0, E_H=energy)
    assert PHASES[int(found.phase)] == ("none" if offset < 0 else "partial")
    assert (float(found.s_B) == 0) == (offset > 0)


@SETTINGS
@given(st.integers(2, 12), st.integers(2, 12), log_uniform(1e-3, 1), st.sampled_from([-1e-9, 1e-9]))
def test_phase_on_either_side_of_total_collapse(k_a, k_b, energy, offset):
    edge = total_collapse_threshold(ufm.LayerPeeled(energy, energy), k_a, k_b) * (1 + offset)
    if not 1 <= edge < 1e300:
        return
    found = solve_batch(k_a, k_b, edge, E_W=energy, E_H=energy)
    assert PHASES[int(found.phase)] == ("partial" if offset < 0 else "total")


@SETTINGS
@given(
    st.integers(1, 9),
    st.integers(2, 9),
    log_uniform(1, 1e4),
    st.sampled_from([-1e-9, 1e-9]),
    st.sampled_from(["ce", "mse"]),
)
def test_phase_under_weight_decay(k_a, k_b, ratio, offset, loss):
    # collapsed iff n_B <= N^2 lam^2, here with n_B = 1
    lam = (1 + offset) / (k_a * ratio + k_b)
    found = solve_batch(k_a, k_b, ratio, lambda_W=lam, lambda_H=lam, loss=loss)
    assert (float(found.s_B) == 0) == (int(found.phase) > 0) == (offset > 0)


def test_no_threshold_without_a_second_minority_class():
    found = solve_batch(4, 1, np.geomspace(1, 1e6, 200), E_W=1.0, E_H=1.0)
    assert (found.phase == 0).all()
    assert (found.s_B == 0).all()
    assert (np.diff(found.d_B) <= 1e-12).all()


@pytest.mark.parametrize("loss", ["ce", "mse", "bce"])
@pytest.mark.parametrize("sizes", [(3, 1), (1, 3), (1, 1), (2, 3)])
@pytest.mark.parametrize("given", [{"E_W": 0.5, "E_H": 0.9}, {"lambda_W": 0.05, "lambda_H": 0.02}])
def test_a_single_class_has_no_scale_under_any_loss(given, sizes, loss):
    found = solve_batch(*sizes, 3.0, loss=loss, **given)
    architecture = (ufm.LayerPeeled if "E_W" in given else ufm.UnconstrainedFeatures)(**given)
    z = ufm.solve(architecture, ufm.ClassPrior.step(*sizes, 3.0), loss).logits
    for k, own, other, s, d in (
        (sizes[0], 0, -1, found.s_A, found.d_A),
        (sizes[1], -1, 0, found.s_B, found.d_B),
    ):
        inner = z[own, own] if k == 1 else z[own + (1 if own == 0 else -1), own]
        assert float(s) == pytest.approx(z[own, own] - inner, abs=1e-6)
        assert float(d) == pytest.approx(inner - z[other, own], abs=1e-6)
        assert k > 1 or float(s) == 0


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("keywords", [{"E_W": 1.0}, {"lambda_W": 1e-3}])
def test_many_points_close_their_gap(keywords, loss):
    rng = np.random.default_rng(0)
    n = 100_000
    k_a, k_b = rng.integers(1, 40, n), rng.integers(1, 40, n)
    ratio, other = 10 ** rng.uniform(0, 5, n), 10 ** rng.uniform(-4, 1.3, n)
    keywords |= {("E_H" if "E_W" in keywords else "lambda_H"): other}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = solve_batch(k_a, k_b, ratio, loss=loss, rho=rng.uniform(0, 0.9, n), **keywords)
    assert (found.lower <= found.value).all()
    assert (found.gap <= 1e-11 * found.value + (1e-15 if loss == "mse" else 0)).all()
    assert set(np.unique(found.phase)) == ({0, 1, 2} if loss == "ce" else {0, 2})
    for array in vars(found).values():
        assert np.isfinite(array).all()


@pytest.mark.parametrize("k_a", [1, 3])
@pytest.mark.parametrize("k_b", [1, 2])
def test_bounds_hold_for_the_full_logits(k_a, k_b):
    """Value, feasibility and lower bound, recomputed by code that knows nothing of the reduction."""
    ratios, energies = np.array([1.0, 1.5, 40.0, 3e4]), np.array([[0.1], [1.0], [9.0]])
    found = solve_batch(k_a, k_b, ratios, E_W=energies, E_H=energies)
    for i, energy in enumerate(energies[:, 0]):
        for j, ratio in enumerate(ratios):
            p = Problem.of(ufm.LayerPeeled(energy, energy), ufm.ClassPrior.step(k_a, k_b, ratio))
            z = logits_of(found, k_a, k_b, (i, j))
            assert p.gauge(z) == pytest.approx(p.radius, rel=1e-12)
            assert p.risk(z) == pytest.approx(found.value[i, j], rel=1e-11)
            assert p.lower_bound(z) == pytest.approx(found.lower[i, j], rel=1e-11)
            assert p.dual_norm(p.gradient(z)) == pytest.approx(found.multiplier[i, j], rel=1e-11)


def test_multiplier_is_minus_the_slope_of_the_value():
    radius = np.array([2.0, 6.0, 30.0])[:, None] * (1 + 1e-5 * np.array([-1, 0, 1]))
    found = solve_batch(3, 4, 9.0, E_W=radius / 7, E_H=radius / 7)
    slope = (found.value[:, 2] - found.value[:, 0]) / (radius[:, 2] - radius[:, 0])
    assert found.multiplier[:, 1] == pytest.approx(-slope, rel=1e-6)


@pytest.mark.filterwarnings("ignore:6 of 30 points have a value below 1e-290")
def test_extreme_radii_and_ratios_stay_finite():
    # K = 2 and K = 1000, risks from log K down to underflow, R up to 1e300
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        found = solve_batch(
            np.array([1, 500])[:, None, None],
            np.array([1, 500])[:, None, None],
            np.array([1.0, 1e3, 1e300])[:, None],
            E_W=1.0,
            E_H=np.array([1e-30, 1e-6, 1.0, 1e4, 1e8]),
        )
    for array in vars(found).values():
        assert np.isfinite(array).all()
    assert (found.value >= 0).all()
    assert (found.lower <= found.value).all()
    assert (np.diff(found.value, axis=-1) <= 1e-15).all()


def test_torch_gives_the_same_as_numpy():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    ratio, energy = 10 ** rng.uniform(0, 4, (300, 1)), 10 ** rng.uniform(-2, 1, 5)
    for loss in ("ce", "mse"):
        for keywords in ({"E_W": 0.3, "E_H": energy}, {"lambda_W": 0.003 * energy, "lambda_H": 0.001}):
            expected = solve_batch(3, 2, ratio, rho=0.3, loss=loss, **keywords)
            found = solve_batch(3, 2, torch.from_numpy(ratio), rho=0.3, loss=loss, **keywords)
            for name, array in vars(found).items():
                assert isinstance(array, torch.Tensor)
                assert array.dtype == (torch.int8 if name == "phase" else torch.float64)
                assert array.numpy() == pytest.approx(getattr(expected, name), rel=1e-11, abs=1e-13)


def test_cuda_gives_the_same_as_numpy():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    ratio = np.geomspace(1, 1e4, 100_000)
    expected = solve_batch(5, 5, ratio, E_W=1.0, E_H=5.0)
    found = solve_batch(5, 5, torch.from_numpy(ratio).cuda(), E_W=1.0, E_H=5.0)
    assert found.value.device.type == "cuda"
    assert found.value.cpu().numpy() == pytest.approx(expected.value, rel=1e-11)
    assert (found.phase.cpu().numpy() == expected.phase).all()


@pytest.mark.parametrize(("chunk_size", "workers"), [(1, 1), (7, 2), (1000, 3), (None, None)])
def test_chunks_and_threads_change_nothing(chunk_size, workers):
    arguments = (np.array([2, 3, 1]), 4, np.geomspace(1, 50, 9)[:, None])
    expected = solve_batch(*arguments, E_W=0.7, E_H=np.array([2.0]))
    found = solve_batch(*arguments, E_W=0.7, E_H=np.array([2.0]), chunk_size=chunk_size, workers=workers)
    assert found.shape == (9, 3)
    for name, array in vars(expected).items():
        assert (array == getattr(found, name)).all()


def test_broadcasting_puts_every_point_in_its_place():
    k_a, ratio, energy = np.array([1, 4]), np.array([2.0, 30.0, 900.0])[:, None], np.array([0.2, 3.0])[:, None, None]
    found = solve_batch(k_a, 3, ratio, E_W=1.0, E_H=energy, chunk_size=5)
    assert found.shape == (2, 3, 2)
    for i, j, k in np.ndindex(found.shape):
        prior = ufm.ClassPrior.step(int(k_a[k]), 3, ratio[j, 0])
        assert_matches_scalar(found, ufm.LayerPeeled(1.0, energy[i, 0, 0]), prior, "ce", (i, j, k))


def test_memory_beyond_the_result_is_bounded_by_the_chunk(monkeypatch):
    monkeypatch.setattr(batch, "_PAGE", 1 << 60)  # Python does not trace large pages

    def overhead(n):
        tracemalloc.start()
        found = solve_batch(5, 5, np.geomspace(1, 100, n // 50)[:, None], E_W=1.0, E_H=np.linspace(1, 5, 50), workers=1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak - sum(array.nbytes for array in vars(found).values())

    assert overhead(400_000) < 1.2 * overhead(100_000)


def test_counts_instead_of_a_ratio():
    expected = solve_batch(2, 3, 20.0, lambda_W=0.01, lambda_H=0.02, minority_count=5.0)
    found = solve_batch(2, 3, lambda_W=0.01, lambda_H=0.02, majority_count=100, minority_count=5)
    assert found.value == expected.value
    assert found.value != solve_batch(2, 3, 20.0, lambda_W=0.01, lambda_H=0.02).value


def test_result_is_frozen():
    found = solve_batch(2, 2, 3.0, E_W=1.0, E_H=1.0)
    assert found.shape == ()
    with pytest.raises(AttributeError):
        found.value = 0


GOOD = {"num_majority": 3, "num_minority": 2, "ratio": 4.0, "E_W": 1.0, "E_H": 1.0}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"num_majority": 0}, ValueError, "num_majority must be an integer >= 1, got 0.0"),
        ({"num_minority": [2, 2.5]}, ValueError, r"num_minority\[1\] must be an integer >= 1, got 2.5"),
        ({"ratio": np.array([[2.0, 0.5]])}, ValueError, r"ratio\[0, 1\] must be finite and >= 1, got 0.5"),
        ({"ratio": np.nan}, ValueError, "ratio must be finite and >= 1, got nan"),
        ({"E_W": -1.0}, ValueError, "E_W must be finite and > 0, got -1.0"),
        ({"E_H": [1.0, np.inf]}, ValueError, r"E_H\[1\] must be finite and > 0, got inf"),
        ({"rho": 1.0}, ValueError, r"rho must be in \[0, 1\), got 1.0"),
        ({"rho": "a"}, TypeError, "rho must be real numbers"),
        ({"ratio": True}, TypeError, "ratio must be real numbers, got bool"),
        ({"ratio": 1j}, TypeError, "ratio must be real numbers, got complex128"),
        ({"ratio": [1.0, 2.0], "E_H": [1.0, 2.0, 3.0]}, ValueError, r"must broadcast .*ratio \(2,\), E_H \(3,\)"),
        ({"E_H": None}, ValueError, "E_W and E_H or lambda_W and lambda_H must be given, got E_W"),
        ({"lambda_W": 1.0}, ValueError, "got E_H, E_W, lambda_W"),
        ({"E_W": None, "E_H": None}, ValueError, "got none of them"),
        ({"ratio": None}, ValueError, "exactly one of ratio and majority_count must be given, got neither"),
        ({"majority_count": 3}, ValueError, "exactly one of ratio and majority_count must be given, got both"),
        (
            {"ratio": None, "majority_count": 3, "minority_count": 4},
            ValueError,
            "majority_count / minority_count must be finite and >= 1, got 0.75",
        ),
        ({"loss": "hinge"}, ValueError, "loss must be one of 'ce', 'mse'"),
        ({"chunk_size": 0}, ValueError, "chunk_size must be an integer >= 1, got 0"),
        ({"workers": 1.5}, ValueError, "workers must be an integer >= 1, got 1.5"),
        (
            {"E_W": None, "E_H": None, "lambda_W": 1e-300, "lambda_H": 1e-300},
            ValueError,
            "lambda_W and lambda_H must leave",
        ),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    arguments = {name: value for name, value in (GOOD | change).items() if value is not None}
    with pytest.raises(error, match=message):
        solve_batch(arguments.pop("num_majority"), arguments.pop("num_minority"), **arguments)


@pytest.mark.filterwarnings("ignore:.*relative duality gap")
class TestMutants:
    """The comparison with the scalar solver notices what it should."""

    def check(self):
        for k_a, k_b, ratio in ((4, 3, 5.0), (4, 3, 400.0), (1, 3, 2.0), (4, 3, 1e4)):
            prior = ufm.ClassPrior.step(k_a, k_b, ratio)
            found = solve_batch(k_a, k_b, ratio, E_W=1.0, E_H=0.5)
            assert_matches_scalar(found, ufm.LayerPeeled(1.0, 0.5), prior, "ce")
            found = solve_batch(k_a, k_b, ratio, lambda_W=0.01, lambda_H=0.02)
            assert_matches_scalar(found, ufm.UnconstrainedFeatures(0.01, 0.02), prior, "ce")

    def test_passes_unchanged(self):
        self.check()

    def test_stopping_early(self, monkeypatch):
        monkeypatch.setattr(core, "_QUADRATIC", 0.05)
        with pytest.raises(AssertionError):
            self.check()

    @pytest.mark.parametrize("name", ["d_a", "a", "b", "y"])
    def test_a_wrong_formula(self, monkeypatch, name):
        right = core.frame_at

        def wrong(*arguments):
            frame = right(*arguments)
            setattr(frame, name, getattr(frame, name) * (1 + 1e-7))
            return frame

        monkeypatch.setattr(core, "frame_at", wrong)
        with pytest.raises(AssertionError):
            self.check()

    @pytest.mark.parametrize("phase", [True, False])
    def test_blind_to_total_collapse(self, monkeypatch, phase):
        monkeypatch.setattr(core, "_totally_collapsed", lambda xp, points: (points.radius > 0) == phase)
        with pytest.raises(AssertionError):
            self.check()

    def test_an_open_gap_warns(self, monkeypatch):
        monkeypatch.setattr(core, "_MAX_STEPS", 1)
        with pytest.warns(RuntimeWarning, match="of 50 points have a relative duality gap above 1e-09"):
            solve_batch(3, 3, np.geomspace(1, 1e3, 50), E_W=1.0, E_H=2.0)


@pytest.mark.parametrize("kind", ufm.Gain.variants, ids=lambda kind: kind["kind"])
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_gains_are_radii(kind, loss):
    rho = np.array([0.0, 0.3, 0.9] if kind["kind"] == "deq" else [0.0, 0.3, 1.0, 1.7])
    found = solve_batch(3, 2, 6.0, E_W=0.1, E_H=0.2, rho=rho, loss=loss, **kind)
    for i, bound in enumerate(rho.tolist()):
        assert_matches_scalar(found, ufm.Gain(0.1, 0.2, bound, **kind), ufm.ClassPrior.step(3, 2, 6.0), loss, i)


def test_a_gain_moves_the_boundary():
    network = {"kind": "residual", "depth": 3}
    diagram = ufm.phase_diagram(K_A=4, K_B=3, R=[2.0, 4.0, 400.0], E_W=0.3, E_H=0.3, rho=[0.0, 0.5, 1.5], **network)
    curve = ufm.phase_boundaries(diagram)["collapse"][0]
    for ratio, bound in curve[:: len(curve) // 3]:
        expected = ufm.collapse_threshold(ufm.Gain(0.3, 0.3, bound, **network), 4, 3).ratio
        assert ratio == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "tree"}, "kind must be one of"),
        ({"kind": "residual"}, "depth must be an integer >= 1 for kind 'residual'"),
        ({"kind": "ode", "depth": 2}, "depth must be None for kind 'ode'"),
        ({"kind": "ode", "rho": [1.0, -0.5]}, r"rho\[1\] must be finite and >= 0, got -0.5"),
        ({"kind": "ode", "rho": np.inf}, "rho must be finite and >= 0, got inf"),
        ({"kind": "ode", "rho": 1e3}, r"rho and depth must leave a gain of at most 1e\+100, got rho up to 1000.0"),
        (
            {"kind": "ode", "E_W": None, "E_H": None, "lambda_W": 1.0, "lambda_H": 1.0},
            "kind must be 'deq' with weight decay, got 'ode'",
        ),
    ],
)
def test_bad_gains_are_named(change, message):
    arguments = {name: value for name, value in (GOOD | change).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        solve_batch(arguments.pop("num_majority"), arguments.pop("num_minority"), **arguments)


@pytest.mark.parametrize("size", [3, 40_000, 300_000])
def test_results_own_their_memory_whatever_their_size(size):
    arrays = batch._float_arrays(8, (size // 3, 3))
    for number, array in enumerate(arrays):
        assert array.shape == (size // 3, 3)
        assert array.flags.writeable
        assert array.flags.c_contiguous
        array[:] = number
    assert [array.min() for array in arrays] == [array.max() for array in arrays] == list(range(8))


def test_whole_numbers_are_not_multiplied_as_whole_numbers():
    """A product of K_A and R that int64 does not hold: it is a float's, and solved."""
    found = solve_batch(np.array([2**40]), 3, np.array([2**40]), E_W=1e-12, E_H=1.0)
    expected = solve_batch(np.array([2.0**40]), 3.0, np.array([2.0**40]), E_W=1e-12, E_H=1.0)
    assert found.value == expected.value
