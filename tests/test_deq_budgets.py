"""Predictions from a network's own budgets, and thresholds by extrapolation: both against the theory's own optimum."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.deq import TrainingConfig, measured_threshold, predict, predict_from_budgets, train
from ufm.deq.prediction import Budgets, minority_threshold, model_of

COUNTS = (60.0,) * 3 + (20.0,) * 3
N = sum(COUNTS)


def spent(solution: ufm.Solution, counts=COUNTS) -> Budgets:
    """Budgets of optimal factors, a sample at every class mean."""
    labels = np.repeat(np.arange(len(counts)), np.asarray(counts, dtype=int))
    return Budgets.of(solution.classifier, solution.features.T[labels], labels, solution.equilibrium)


class TestBudgets:
    def test_definition(self):
        rng = np.random.default_rng(0)
        w, h, a = rng.standard_normal((2, 3)), rng.standard_normal((5, 3)), rng.standard_normal((3, 3))
        b = Budgets.of(w, h, np.array([0, 0, 0, 1, 1]), a)
        squares = (h**2).sum(axis=1)
        assert b.classifier == pytest.approx((w**2).sum() / 2)
        assert b.features == pytest.approx((squares[:3].mean() + squares[3:].mean()) / 2)
        assert b.total_features == pytest.approx(squares.sum())
        assert b.spectral == pytest.approx(np.linalg.svd(a)[1][0])
        assert b.frobenius == pytest.approx(np.linalg.norm(a))
        assert Budgets.of(w, h, np.array([0, 0, 0, 1, 1])).spectral == 0

    @given(
        st.floats(0.02, 0.9),  # of the strength at which everything is zero
        st.floats(0.1, 10),
        st.sampled_from([0.0, 0.3, 0.8]),
    )
    @settings(max_examples=15, deadline=None)
    def test_an_optimum_predicts_itself_and_its_weight_decay(self, fraction, balance, rho):
        lam = fraction * math.sqrt(60) / N / (1 - rho)
        decays = lam * balance, lam / balance
        model = ufm.PenalisedDEQ(*decays, rho) if rho else ufm.UnconstrainedFeatures(*decays)
        solution = ufm.solve(model, ufm.ClassPrior(COUNTS), "ce")
        found = predict_from_budgets(spent(solution), COUNTS, 3)
        assert (found.model.lambda_W, found.model.lambda_H) == pytest.approx(decays, rel=1e-6)
        np.testing.assert_allclose(found.solution.logits, solution.logits, atol=1e-5)
        comparison = found.compare(solution.classifier, solution.factors.equilibrium_features)
        assert comparison["gram_features"] < 1e-5
        assert comparison["gram_classifier"] < 1e-5
        if comparison["scale"]["error"] is not None and solution.geometry.group_scales[-1] > 0.1:
            assert abs(comparison["scale"]["error"]) < 1e-4
        expected = ufm.collapse_threshold(model, 3, 3, majority_count=60)
        assert found.threshold == pytest.approx(60 / expected.ratio, rel=1e-5)

    @pytest.mark.parametrize("rho", [0.0, 0.4])
    def test_class_averages_are_the_layer_peeled_model(self, rho):
        model = ufm.LinearDEQ(1.3, 2.0, rho) if rho else ufm.LayerPeeled(1.3, 2.0)
        solution = ufm.solve(model, ufm.ClassPrior(COUNTS), "ce")
        found = predict_from_budgets(spent(solution), COUNTS, 3, weighting="classes")
        np.testing.assert_allclose(found.solution.logits, solution.logits, atol=1e-7)
        assert found.threshold == pytest.approx(60 / ufm.collapse_threshold(model, 3, 3).ratio, rel=1e-9)
        assert "lambda_W" not in found.compare(solution.classifier, solution.factors.equilibrium_features)

    def test_wrong_budgets_show(self):
        model = ufm.PenalisedDEQ(0.02, 0.02, 0.5)
        solution = ufm.solve(model, ufm.ClassPrior(COUNTS), "ce")
        right = spent(solution)
        for wrong in (
            dataclasses.replace(right, classifier=1.02 * right.classifier),
            dataclasses.replace(right, total_features=0.98 * right.total_features),
            dataclasses.replace(right, spectral=0.48),
            dataclasses.replace(right, spectral=0.0),
        ):
            found = predict_from_budgets(wrong, COUNTS, 3)
            comparison = found.compare(solution.classifier, solution.factors.equilibrium_features)
            assert abs(comparison["scale"]["error"]) > 2e-3
            assert abs(found.model.strength / model.strength - 1) > 2e-3
        mixed = predict_from_budgets(right, COUNTS, 3, weighting="classes")
        assert mixed.compare(solution.classifier, solution.factors.equilibrium_features)["gram_features"] > 0.02

    def test_bad_arguments(self):
        good = Budgets(1.0, 1.0, 100.0, 0.5, 1.0)
        with pytest.raises(TypeError, match="budgets must be"):
            predict_from_budgets((1.0, 2.0), COUNTS, 3)
        with pytest.raises(ValueError, match="weighting must be one of 'samples', 'classes'"):
            predict_from_budgets(good, COUNTS, 3, weighting="both")
        with pytest.raises(ValueError, match=r"budgets\.spectral must lie in \[0, 1\)"):
            predict_from_budgets(dataclasses.replace(good, spectral=1.0), COUNTS, 3)
        with pytest.raises(ValueError, match=r"budgets\.total_features must be > 0"):
            predict_from_budgets(dataclasses.replace(good, total_features=0.0), COUNTS, 3)


LAMBDA = math.sqrt(6) / 108


def small(**fields) -> TrainingConfig:
    settings_ = {"majority_count": 30, "num_majority": 3, "num_minority": 3, "lambda_W": LAMBDA, "lambda_H": LAMBDA}
    return TrainingConfig(**{**settings_, "minority_count": 4, "device": "cpu", **fields})


class TestTrained:
    def test_budgets_of_a_trained_deq_predict_it(self):
        r = train(small(dataset="mnist1d"))
        assert r.fit.converged
        assert r.scale == pytest.approx(r.prediction.scale, rel=1e-3)
        found = r.to_dict()["from_budgets"]
        assert found == r.from_budgets()
        assert found["lambda_W"] == pytest.approx(LAMBDA, rel=1e-4)
        assert found["spectral"] == pytest.approx(0.5, abs=1e-6)
        assert found["gram_features"] < 1e-3
        assert found["gram_classifier"] < 1e-3
        assert abs(found["scale"]["error"]) < 1e-3
        assert found["threshold"] == pytest.approx(r.prediction.threshold, rel=1e-3)
        assert found["phase"] == r.measures.phase

    def test_nonlinear_fixed_point_departs(self):
        linear = train(small())
        bent = train(small(gamma=0.5))
        assert bent.fit.converged
        assert bent.local_threshold is None
        assert abs(linear.scale / linear.prediction.scale - 1) < 1e-3
        assert abs(bent.scale / bent.prediction.scale - 1) > 0.01
        assert bent.fit.objective > bent.prediction.objective
        with pytest.raises(ValueError, match=r"gamma must lie in \[0, 1\]"):
            small(gamma=1.5)
        with pytest.raises(ValueError, match="activation must be one of"):
            small(activation="sine")

    def test_warm_start(self):
        cold = train(small(width=128))
        weights = cold.network.state_dict()
        warm = train(small(width=128), initial=weights)
        assert warm.fit.iterations < cold.fit.iterations / 4
        assert warm.scale == pytest.approx(cold.scale, rel=1e-4)
        with pytest.raises(ValueError, match="initial must hold the weights of this network"):
            train(small(width=64), initial=weights)


class TestMeasuredThreshold:
    CONFIG = TrainingConfig(
        architecture="explicit", lambda_W=math.sqrt(50) / 750, lambda_H=math.sqrt(50) / 750, minority_count=1
    )

    def points(self, counts=(40, 46, 54, 58, 62, 66), seeds=(0, 1), config=CONFIG):
        return [(n, predict(config, n).scale, seed) for n in counts for seed in seeds]

    @pytest.mark.parametrize("architecture", ["explicit", "deq"])
    @pytest.mark.parametrize("factor", [0.8, 1.0, 1.1])
    def test_finds_the_kink_of_the_predicted_curve(self, architecture, factor):
        decay = factor * self.CONFIG.lambda_W
        config = dataclasses.replace(self.CONFIG, architecture=architecture, rho=0.05, lambda_W=decay)
        star = minority_threshold(model_of(config), config)
        counts = [math.ceil(star * x) for x in (1.06, 1.14, 1.22, 1.3)]
        found = measured_threshold(self.points(counts, config=config))
        assert found.value == pytest.approx(star, rel=6e-3)
        assert abs(found.value - star) < 2 * found.error
        assert found.collapsed is None
        assert found.uncollapsed == counts[0]

    def test_bracket_and_seeds(self):
        found = measured_threshold(self.points())
        assert (found.collapsed, found.uncollapsed) == (46, 54)
        assert found.seeds[0] == found.seeds[1] == found.value
        noisy = [(n, s * (1.03 if seed else 1) * (1 + 0.002 * (n % 4) * seed), seed) for n, s, seed in self.points()]
        assert measured_threshold(noisy).error > found.error

    def test_the_order_of_vanishing_matters(self):
        """Of s_B^2 in place of s_B, as for a square-root singularity, the zero comes out wrong."""
        points = [(n, math.log1p(s**2), seed) for n, s, seed in self.points((54, 58, 62, 66))]
        wrong = measured_threshold(points)
        assert abs(wrong.value / 50 - 1) > 0.01

    def test_too_little(self):
        with pytest.raises(ValueError, match="4 uncollapsed ones of seed 0, got 3"):
            measured_threshold(self.points((40, 54, 58, 62)))
        with pytest.raises(ValueError, match="must extrapolate to a threshold"):
            measured_threshold([(n, 1.0, 0) for n in (54, 58, 62, 66)])
