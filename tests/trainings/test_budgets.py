"""Predictions from a network's own budgets, and thresholds by extrapolation: both against the theory's own optimum."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.deq import (
    Sweep,
    SweepConfig,
    SweepPoint,
    TrainingConfig,
    measured_threshold,
    predict,
    predict_from_budgets,
    train,
)
from ufm.trainings.prediction import Budgets, minority_threshold, model_of
from ufm.trainings.threshold import threshold_of_sweep

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

    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            (
                {"labels": [0, 0, 0, 0]},
                ValueError,
                r"labels must hold every class 0..1 at least once, got none of \[1\]",
            ),
            ({"labels": [0, 1, 2, 1]}, ValueError, "labels must lie in 0..1, one for each class, got 2"),
            ({"labels": [0, 1, -1, 1]}, ValueError, "labels must lie in 0..1, .* got -1"),
            ({"labels": [0, 1, 1]}, ValueError, r"labels must have shape \(4,\), .* got \(3,\)"),
            ({"labels": [0.0, 1.0, 1.0, 0.0]}, TypeError, "labels must be integers"),
            ({"classifier": np.eye(2)}, ValueError, "injected must have 2 columns, as classifier has, got 3"),
            ({"classifier": np.ones(3)}, ValueError, r"classifier must be a matrix .* got shape \(3,\)"),
            ({"classifier": "W"}, TypeError, "classifier must be a real matrix, got 'W'"),
            ({"injected": np.full((4, 3), np.nan)}, ValueError, "injected must be finite, got nan"),
            ({"equilibrium": np.eye(2)}, ValueError, r"equilibrium must have shape \(3, 3\), got \(2, 2\)"),
        ],
    )
    def test_bad_arrays(self, changes, error, message):
        good = {"classifier": np.ones((2, 3)), "injected": np.ones((4, 3)), "labels": [0, 1, 1, 0]}
        assert Budgets.of(**good).features == 3
        with pytest.raises(error, match=message):
            Budgets.of(**{**good, **changes})

    def test_bad_fields(self):
        with pytest.raises(TypeError, match="classifier must be a real number, got '1'"):
            Budgets("1", 1.0, 1.0)
        with pytest.raises(ValueError, match="features must be finite, got nan"):
            Budgets(1.0, math.nan, 1.0)
        with pytest.raises(ValueError, match=r"frobenius must be >= 0 and finite, got -1\.0"):
            Budgets(1.0, 1.0, 1.0, 0.5, -1.0)

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
        for k_a in (0, 5, 6):
            with pytest.raises(ValueError, match=f"num_majority must be an integer between 1 and 4, got {k_a}"):
                predict_from_budgets(good, COUNTS, k_a)
        with pytest.raises(TypeError, match="num_majority must be a real number, got '3'"):
            predict_from_budgets(good, COUNTS, "3")
        for counts, k_a in (
            (COUNTS, 2),
            (COUNTS, 4),
            (COUNTS[::-1], 3),
            ((60.0, 50.0, 20.0, 20.0), 2),
            ((60.0, 60.0, 20.0, 10.0), 2),
        ):
            with pytest.raises(ValueError, match=f"counts must be step-wise, {k_a} = num_majority equal ones"):
                predict_from_budgets(good, counts, k_a)
        with pytest.raises(TypeError, match="counts must be a sequence of positive numbers, got '5'"):
            predict_from_budgets(good, "5", 3)
        found = predict_from_budgets(good, COUNTS, 3)
        with pytest.raises(ValueError, match=r"fit together, got shapes \(6, 4\) and \(6, 4\)"):
            found.compare(np.ones((6, 4)), np.ones((6, 4)))

    @pytest.mark.parametrize(
        ("classifier", "features", "rho", "weighting"),
        [
            *(
                (*case, weighting)
                for case in (
                    (1e300, 1.0, 0.0),
                    (1.0, 1e300, 0.5),
                    (1.7e308, 1.7e308, 0.5),
                    (1e3, 1e3, 0.0),
                    (1e3, 1e3, 0.9),
                    (1.0, 1.0, 1 - 1e-9),
                    (1e-300, 1.0, 0.0),
                    (5e-324, 5e-324, 0.5),
                )
                for weighting in ("samples", "classes")
            ),
            (1e-40, 1e-40, 0.5, "samples"),
        ],
    )
    def test_absurd_budgets_are_named(self, weighting, classifier, features, rho):
        absurd = Budgets(classifier, features, min(240 * features, 1.7e308), rho)
        name = "total_features" if weighting == "samples" else "features"
        with pytest.raises(
            ValueError, match=f"budgets.classifier and budgets.{name} must .*{re.escape(repr(classifier))}"
        ):
            predict_from_budgets(absurd, COUNTS, 3, weighting=weighting)

    @pytest.mark.parametrize(
        ("classifier", "features", "weighting"),
        [
            *((*pair, w) for pair in ((1e-9, 1e-9), (1e100, 1e-100), (30.0, 30.0)) for w in ("samples", "classes")),
            (1e-40, 1e-40, "classes"),
        ],
    )
    def test_extreme_budgets_that_are_spent(self, weighting, classifier, features):
        found = predict_from_budgets(Budgets(classifier, features, 240 * features, 0.5), COUNTS, 3, weighting=weighting)
        w = found.solution.factors.classifier
        assert (w**2).sum() / 6 == pytest.approx(classifier, rel=1e-6)
        assert 0 < found.threshold <= 60


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
        few = {"num_majority": 1, "num_minority": 2, "dim": 3}  # a nonlinear problem takes L-BFGS many more iterations
        linear = train(small(**few))
        bent = train(small(gamma=0.5, tol=1e-13, max_iterations=2000, **few))
        assert bent.fit.converged
        assert bent.local_threshold is None
        assert (linear.config.is_modelled, bent.to_dict()["is_modelled"]) == (True, False)
        assert small(architecture="explicit", gamma=0.5).is_modelled
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
        with pytest.raises(ValueError, match="must not be collapsed above all that are not, got s_B = 0 at n_B = 70"):
            measured_threshold([*self.points(seeds=(0,)), (70, 0.0, 0)])
        with pytest.raises(ValueError, match="must not repeat an n_B of a seed"):
            measured_threshold(self.points((54, 54, 58, 62), seeds=(0,)))

    @pytest.mark.parametrize(
        ("points", "error", "message"),
        [
            ([], ValueError, "points must hold 4 uncollapsed ones of every seed, got none"),
            (3, TypeError, r"points must be \(n_B, s_B, seed\) each, got 3"),
            ([3], TypeError, r"points\[0\] must be \(n_B, s_B, seed\), got 3"),
            ([(54, 0.3)], TypeError, r"points\[0\] must be \(n_B, s_B, seed\)"),
            ([(54, 0.3, 0), (0, 0.3, 0)], ValueError, r"points\[1\]: n_B must be an integer >= 1, got 0"),
            ([(54, math.nan, 0)], ValueError, r"points\[0\]: s_B must be finite"),
            ([(54, 0.3, "a")], TypeError, r"points\[0\]: seed must be a real number, got 'a'"),
        ],
    )
    def test_bad_points(self, points, error, message):
        with pytest.raises(error, match=message):
            measured_threshold(points)

    def test_the_spread_over_seeds_is_unknown_with_one(self):
        one, two = measured_threshold(self.points(seeds=(0,))), measured_threshold(self.points())
        assert (one.spread, one.error) == (None, one.extrapolation)
        assert (len(one.seeds), one.points) == (1, 6)
        assert two.spread == 0  # two seeds alike: known, and zero
        # the second seed's curve shifted by one n_B, and so its threshold
        found = measured_threshold([(n + seed, s, seed) for n, s, seed in self.points()])
        assert found.seeds[1] == pytest.approx(found.seeds[0] + 1, rel=1e-9)
        assert found.spread == pytest.approx(abs(found.seeds[0] - found.seeds[1]) / 2)
        assert found.error == pytest.approx(math.hypot(found.spread, found.extrapolation))

    def sweep(
        self, changes: dict[tuple[int, int], dict[str, object]], counts=(40, 46, 54, 58, 62, 66, 70, 74)
    ) -> Sweep:
        """A sweep of the predicted s_B, with ``changes`` to the points of some (n_B, seed)."""
        config = SweepConfig(explicit=counts, seeds=(0, 1), training=self.CONFIG)
        points = []
        for n, s, seed in self.points(counts):
            p = predict(self.CONFIG, n)
            fields = {"status": "agrees", "scale": s, "converged": True, **changes.get((n, seed), {})}
            predicted = (s, p.phase, p.objective, p.solution.geometry.minority_cosine, 0.0, 0.0)
            points.append(SweepPoint("explicit", n, 100 / n, seed, 50.0, fields.pop("status"), *predicted, **fields))
        return Sweep(config, tuple(points))

    def test_unconverged_points_do_not_enter_silently(self):
        clean = threshold_of_sweep(self.sweep({}), "explicit")
        assert clean == measured_threshold(self.points((40, 46, 54, 58, 62, 66, 70, 74)))
        # off the curve: the first would move the bracket, the second the value
        wrong = self.sweep(
            {
                (54, 0): {"scale": 0.0, "converged": False},
                (62, 1): {"scale": 0.25, "converged": False},
                (58, 1): {"scale": None, "converged": None, "status": "failed"},
            }
        )
        found = threshold_of_sweep(wrong, "explicit")
        assert found.value == pytest.approx(clean.value, rel=6e-3)
        assert (found.collapsed, found.uncollapsed) == (46, 54)
        assert (found.points, found.unconverged, found.left_out) == (13, 0, 3)
        admitted = threshold_of_sweep(wrong, "explicit", unconverged=True)
        assert (admitted.points, admitted.unconverged, admitted.left_out) == (15, 2, 1)
        assert admitted.uncollapsed == 58
        assert admitted.error > 1 > found.error

    def test_too_few_that_have_converged(self):
        few = self.sweep({(n, 1): {"converged": False} for n in (54, 58, 62)})
        with pytest.raises(
            ValueError, match="uncollapsed ones of seed 1, got 3; 3 of all seeds failed or did not conv"
        ):
            threshold_of_sweep(few, "explicit")
        assert threshold_of_sweep(few, "explicit", unconverged=True).unconverged == 3
        # A seed without any converged training is missed too.
        none = self.sweep({(n, 1): {"converged": False} for n in (40, 46, 54, 58, 62, 66, 70, 74)})
        with pytest.raises(ValueError, match="uncollapsed ones of seed 1, got 0; 8 of all seeds"):
            threshold_of_sweep(none, "explicit")

    def test_bad_sweeps(self):
        with pytest.raises(TypeError, match=r"sweep must be a ufm\.deq\.Sweep, got 3"):
            threshold_of_sweep(3, "explicit")
        with pytest.raises(ValueError, match="branch must be one of 'explicit', 'identity', 'zero', got 'up'"):
            threshold_of_sweep(self.sweep({}), "up")
        with pytest.raises(ValueError, match="sweep must hold points of the branch 'zero', got none"):
            threshold_of_sweep(self.sweep({}), "zero")
        with pytest.raises(TypeError, match="unconverged must be True or False, got 1"):
            threshold_of_sweep(self.sweep({}), "explicit", unconverged=1)
